/* Health and reflection; see codec_stock.h.
 *
 * Reflection hands out our .proto files as the compiler described them (proto/descriptors.h: an encoded
 * FileDescriptorSet). To find a file by a name in it, its fields are read as they lie; they are our own bytes. */
#include "controlplane/codec_stock.h"

#include <string.h>

#include "grpc/health/v1/health.pb-c.h"
#include "grpc/reflection/v1alpha/reflection.pb-c.h"
#include "proto/descriptors.h"
#include "proto/wire.h"

static const struct bl_wire_limits limits = {.message_bytes_max = 4096, .memory_bytes_max = 16384, .repeats_max = 1};

static const char *const service_names[] = {"bounceline.v1.ListControl", "grpc.health.v1.Health",
                                            "grpc.reflection.v1alpha.ServerReflection"};

enum { SERVICES = sizeof(service_names) / sizeof(service_names[0]), FILES = SERVICES, GRPC_NOT_FOUND = 5 };

/* ---- Health ---- */

int bl_codec_stock_decode_health(const uint8_t *data, size_t length, bool *known, struct bl_error_detail *detail)
{
    ProtobufCMessage *message = NULL;
    int error =
        bl_wire_decode(&grpc__health__v1__health_check_request__descriptor, data, length, &limits, &message, detail);

    if (error != BL_OK)
        return error;
    const char *service = ((const Grpc__Health__V1__HealthCheckRequest *)message)->service;

    *known = service[0] == '\0';
    for (size_t i = 0; i < SERVICES && !*known; i++)
        *known = strcmp(service, service_names[i]) == 0;
    bl_wire_free(message);
    return BL_OK;
}

int bl_codec_stock_encode_health(enum bl_codec_health status, struct bl_codec_bytes *out)
{
    Grpc__Health__V1__HealthCheckResponse message;

    grpc__health__v1__health_check_response__init(&message);
    message.status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)status;
    return bl_codec_pack(&message.base, 0, out);
}

/* ---- Descriptors ---- */

struct span {
    const uint8_t *data;
    size_t length;
};

/* Field numbers of descriptor.proto. */
enum {
    SET_FILE = 1,
    FILE_NAME = 1,
    FILE_PACKAGE = 2,
    FILE_MESSAGE = 4,
    FILE_ENUM = 5,
    FILE_SERVICE = 6,
    ANY_NAME = 1,
    MESSAGE_FIELD = 2, /* of a service: its methods */
    MESSAGE_NESTED = 3,
    MESSAGE_ENUM = 4,
};

static uint64_t take_varint(struct span *span)
{
    uint64_t value = 0;

    for (unsigned shift = 0; span->length != 0 && shift < 64; shift += 7) {
        uint8_t byte = *span->data++;

        span->length--;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            break;
    }
    return value;
}

/* The next field with a length (texts and messages; numbers are passed over). @return its number; 0: there is none. */
static uint32_t take_field(struct span *span, struct span *field)
{
    while (span->length != 0) {
        uint64_t tag = take_varint(span);
        uint64_t length = take_varint(span); /* or the number itself: descriptor.proto has no fixed ones that we set */

        if ((tag & 7) != 2)
            continue;
        if (length > span->length)
            return 0;
        *field = (struct span){span->data, (size_t)length};
        span->data += length;
        span->length -= (size_t)length;
        return (uint32_t)(tag >> 3);
    }
    return 0;
}

static struct span find_field(struct span span, uint32_t number)
{
    struct span field = {NULL, 0};
    uint32_t found;

    while ((found = take_field(&span, &field)) != 0)
        if (found == number)
            return field;
    return (struct span){NULL, 0};
}

/* Takes @name and the dot behind it off *@text. @return false: it begins with something else. */
static bool take_name(const char **text, struct span name)
{
    if (name.length == 0 || strncmp(*text, (const char *)name.data, name.length) != 0)
        return false;
    if ((*text)[name.length] != '\0' && (*text)[name.length] != '.')
        return false;
    *text += name.length + ((*text)[name.length] == '.');
    return true;
}

/* Is @symbol the message, enum or service @type, or something right in it? */
static bool type_has(struct span type, const char *symbol)
{
    struct span member;
    uint32_t number;

    if (!take_name(&symbol, find_field(type, ANY_NAME)))
        return false;
    if (symbol[0] == '\0')
        return true;
    while ((number = take_field(&type, &member)) != 0) {
        const char *rest = symbol;

        if (number >= MESSAGE_FIELD && number <= MESSAGE_ENUM && take_name(&rest, find_field(member, ANY_NAME)) &&
            rest[0] == '\0')
            return true;
    }
    return false;
}

static bool file_has(struct span file, const char *symbol)
{
    struct span type;
    uint32_t number;

    if (!take_name(&symbol, find_field(file, FILE_PACKAGE)))
        return false;
    while ((number = take_field(&file, &type)) != 0)
        if (number >= FILE_MESSAGE && number <= FILE_SERVICE && type_has(type, symbol))
            return true;
    return false;
}

static bool find_file(const char *name, bool by_symbol, struct span *file)
{
    struct span set = {bl_descriptors_set, bl_descriptors_set_bytes};

    while (take_field(&set, file) == SET_FILE) {
        struct span own = find_field(*file, FILE_NAME);

        if (by_symbol ? file_has(*file, name) : own.length == strlen(name) && memcmp(own.data, name, own.length) == 0)
            return true;
    }
    return false;
}

/* ---- Reflection ---- */

/* The parts of a response; whichever is wanted. */
struct reflection {
    Grpc__Reflection__V1alpha__ServerReflectionResponse message;
    Grpc__Reflection__V1alpha__FileDescriptorResponse files;
    Grpc__Reflection__V1alpha__ListServiceResponse list;
    Grpc__Reflection__V1alpha__ServiceResponse services[SERVICES];
    Grpc__Reflection__V1alpha__ServiceResponse *service_pointers[SERVICES];
    Grpc__Reflection__V1alpha__ErrorResponse error;
    ProtobufCBinaryData file;
};

static void answer_services(struct reflection *reflection)
{
    grpc__reflection__v1alpha__list_service_response__init(&reflection->list);
    for (size_t i = 0; i < SERVICES; i++) {
        union {
            const char *in;
            char *out;
        } name = {.in = service_names[i]};

        grpc__reflection__v1alpha__service_response__init(&reflection->services[i]);
        reflection->services[i].name = name.out;
        reflection->service_pointers[i] = &reflection->services[i];
    }
    reflection->list.service = reflection->service_pointers;
    reflection->list.n_service = SERVICES;
    reflection->message.list_services_response = &reflection->list;
    reflection->message.message_response_case =
        GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
}

static void answer_error(struct reflection *reflection)
{
    static char text[] = "not found";

    grpc__reflection__v1alpha__error_response__init(&reflection->error);
    reflection->error.error_code = GRPC_NOT_FOUND;
    reflection->error.error_message = text;
    reflection->message.error_response = &reflection->error;
    reflection->message.message_response_case =
        GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
}

/* None of our files imports another: the file is all that is needed. */
static void answer_file(struct reflection *reflection, const char *name, bool by_symbol)
{
    struct span file;
    union {
        const uint8_t *in;
        uint8_t *out;
    } data;

    if (!find_file(name, by_symbol, &file)) {
        answer_error(reflection);
        return;
    }
    data.in = file.data;
    reflection->file = (ProtobufCBinaryData){file.length, data.out};
    grpc__reflection__v1alpha__file_descriptor_response__init(&reflection->files);
    reflection->files.file_descriptor_proto = &reflection->file;
    reflection->files.n_file_descriptor_proto = 1;
    reflection->message.file_descriptor_response = &reflection->files;
    reflection->message.message_response_case =
        GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
}

int bl_codec_stock_reflect(const uint8_t *data, size_t length, struct bl_codec_bytes *out,
                           struct bl_error_detail *detail)
{
    struct reflection reflection;
    ProtobufCMessage *message = NULL;
    int error = bl_wire_decode(&grpc__reflection__v1alpha__server_reflection_request__descriptor, data, length, &limits,
                               &message, detail);

    if (error != BL_OK)
        return error;
    Grpc__Reflection__V1alpha__ServerReflectionRequest *request =
        (Grpc__Reflection__V1alpha__ServerReflectionRequest *)message;

    grpc__reflection__v1alpha__server_reflection_response__init(&reflection.message);
    reflection.message.valid_host = request->host;
    reflection.message.original_request = request;
    switch (request->message_request_case) {
    case GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
        answer_services(&reflection);
        break;
    case GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
        answer_file(&reflection, request->file_by_filename, false);
        break;
    case GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
        answer_file(&reflection, request->file_containing_symbol, true);
        break;
    default: /* there are no extensions in proto3 */
        answer_error(&reflection);
        break;
    }
    error = bl_codec_pack(&reflection.message.base, 0, out);
    bl_wire_free(message);
    return error;
}
