/* Scan before decode, capped allocation, frames; see wire.h.
 *
 * The scan walks the encoded bytes once, with the descriptor as its map, and allocates nothing but one counter a field
 * on the stack. It recurses only as deep as BL_WIRE_DEPTH_MAX. */
#include "proto/wire.h"

#include <stdbool.h>
#include <stdlib.h>

#include "bounceline/utf8.h"

/* Fields of one message type: more is a mistake in our own .proto. */
enum { FIELDS_MAX = 64 };

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct reader {
    const uint8_t *at;
    const uint8_t *end;
};

/* One scan: what it may not exceed, and where it says why. */
struct scan {
    const struct bl_wire_limits *limits;
    struct bl_error_detail *detail;
};

/* Ten bytes at most; bits over 64 are refused. */
static bool read_varint(struct reader *reader, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && reader->at < reader->end; shift += 7) {
        uint8_t byte = *reader->at++;

        if (shift == 63 && byte > 1)
            return false;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0)
            return true;
    }
    return false;
}

static unsigned wire_type_of(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return WIRE_FIXED64;
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return WIRE_FIXED32;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return WIRE_BYTES;
    default:
        return WIRE_VARINT;
    }
}

/* Reads the value behind a tag. For WIRE_BYTES *body is the content. */
static bool read_value(struct reader *reader, unsigned wire_type, struct reader *body)
{
    uint64_t value;
    size_t length;

    switch (wire_type) {
    case WIRE_VARINT:
        return read_varint(reader, &value);
    case WIRE_FIXED64:
        length = 8;
        break;
    case WIRE_FIXED32:
        length = 4;
        break;
    case WIRE_BYTES:
        if (!read_varint(reader, &value) || value > (size_t)(reader->end - reader->at))
            return false;
        length = (size_t)value;
        break;
    default:
        return false;
    }
    if ((size_t)(reader->end - reader->at) < length)
        return false;
    *body = (struct reader){reader->at, reader->at + length};
    reader->at += length;
    return true;
}

/* How often each field came in one message; members of a oneof (our messages have at most one) also count together. */
struct tally {
    uint32_t of_field[FIELDS_MAX];
    uint32_t of_oneof;
};

/* RFC 3629, without NUL: a string of ours ends at the first one, so that what stands behind it would be lost. */
static bool is_text(const struct reader *body)
{
    const uint8_t *at = body->at;

    while (at < body->end) {
        uint32_t code;
        size_t length = bl_utf8_decode((const char *)at, (size_t)(body->end - at), &code);

        if (length == 0 || code == 0)
            return false;
        at += length;
    }
    return true;
}

static int refuse(const struct scan *scan, int error, const ProtobufCMessageDescriptor *type, const char *field,
                  const char *cause)
{
    return bl_error_set(scan->detail, error, "%s.%s: %s", type->short_name, field, cause);
}

/* A packed repeated scalar is one field here: it is bounded by its bytes, of which an item has at least one. */
static bool is_packed(const ProtobufCFieldDescriptor *field, unsigned wire_type)
{
    return field->label == PROTOBUF_C_LABEL_REPEATED && wire_type == WIRE_BYTES && wire_type_of(field) != WIRE_BYTES;
}

static int check_field(const struct scan *scan, const ProtobufCMessageDescriptor *type,
                       const ProtobufCFieldDescriptor *field, unsigned wire_type, struct tally *tally)
{
    uint32_t count = ++tally->of_field[field - type->fields];

    if (wire_type != wire_type_of(field) && !is_packed(field, wire_type))
        return refuse(scan, BL_EINVAL, type, field->name, "has the wrong wire type");
    if (field->label != PROTOBUF_C_LABEL_REPEATED && count > 1)
        return refuse(scan, BL_EINVAL, type, field->name, "comes more than once");
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 && ++tally->of_oneof > 1)
        return refuse(scan, BL_EINVAL, type, field->name, "comes with another member of its oneof");
    if (count > scan->limits->repeats_max)
        return refuse(scan, BL_ETOOBIG, type, field->name, "has more items than allowed");
    return BL_OK;
}

static int scan_message(const struct scan *scan, const ProtobufCMessageDescriptor *type, struct reader reader,
                        unsigned depth);

static int scan_field(const struct scan *scan, const ProtobufCMessageDescriptor *type, struct reader *reader,
                      struct tally *tally, unsigned depth)
{
    const ProtobufCFieldDescriptor *field;
    struct reader body = {NULL, NULL};
    uint64_t tag;
    unsigned wire_type;
    int error;

    if (!read_varint(reader, &tag) || tag > UINT32_MAX || tag >> 3 == 0)
        return refuse(scan, BL_EINVAL, type, "?", "malformed tag");
    wire_type = (unsigned)(tag & 7);
    field = protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> 3));
    if (field == NULL)
        return bl_error_set(scan->detail, BL_EINVAL, "%s: unknown field number %u", type->short_name,
                            (unsigned)(tag >> 3));
    error = check_field(scan, type, field, wire_type, tally);
    if (error != BL_OK)
        return error;
    if (!read_value(reader, wire_type, &body))
        return refuse(scan, BL_EINVAL, type, field->name, "is cut short or malformed");
    if (is_packed(field, wire_type) && (size_t)(body.end - body.at) > scan->limits->repeats_max)
        return refuse(scan, BL_ETOOBIG, type, field->name, "has more items than allowed");
    if (field->type == PROTOBUF_C_TYPE_STRING && !is_text(&body))
        return refuse(scan, BL_EINVAL, type, field->name, "is not UTF-8 text");
    if (field->type != PROTOBUF_C_TYPE_MESSAGE)
        return BL_OK;
    return scan_message(scan, field->descriptor, body, depth + 1);
}

static int scan_message(const struct scan *scan, const ProtobufCMessageDescriptor *type, struct reader reader,
                        unsigned depth)
{
    struct tally tally = {{0}, 0};

    if (depth >= BL_WIRE_DEPTH_MAX)
        return refuse(scan, BL_EINVAL, type, "?", "nested too deep");
    if (type->n_fields > FIELDS_MAX)
        return refuse(scan, BL_EINVAL, type, "?", "has more fields than this decoder knows");
    while (reader.at < reader.end) {
        int error = scan_field(scan, type, &reader, &tally, depth);

        if (error != BL_OK)
            return error;
    }
    return BL_OK;
}

int bl_wire_scan(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data, size_t length,
                 const struct bl_wire_limits *limits, struct bl_error_detail *detail)
{
    const struct scan scan = {limits, detail};

    if (length > limits->message_bytes_max)
        return bl_error_set(detail, BL_ETOOBIG, "%s: %zu bytes: expected at most %zu", descriptor->short_name, length,
                            limits->message_bytes_max);
    return scan_message(&scan, descriptor, (struct reader){data, data + length}, 0);
}

/* What one decode may still allocate. Blocks come from malloc, so that bl_wire_free needs no allocator. */
struct budget {
    size_t left;
    bool exceeded;
};

static void *budget_alloc(void *data, size_t size)
{
    struct budget *budget = data;

    /* protobuf-c asks for room of zero items; malloc(0) may be NULL, which it would take for a failure. */
    if (size > budget->left) {
        budget->exceeded = true;
        return NULL;
    }
    budget->left -= size;
    return malloc(size == 0 ? 1 : size);
}

static void budget_free(void *data, void *pointer)
{
    (void)data;
    free(pointer);
}

int bl_wire_decode(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data, size_t length,
                   const struct bl_wire_limits *limits, ProtobufCMessage **out, struct bl_error_detail *detail)
{
    struct budget budget = {.left = limits->memory_bytes_max};
    ProtobufCAllocator allocator = {.alloc = budget_alloc, .free = budget_free, .allocator_data = &budget};
    ProtobufCMessage *message;
    int error = bl_wire_scan(descriptor, data, length, limits, detail);

    if (error != BL_OK)
        return error;
    message = protobuf_c_message_unpack(descriptor, &allocator, length, data);
    if (message == NULL && budget.exceeded)
        return bl_error_set(detail, BL_ETOOBIG, "%s: decoding takes more than %zu bytes of memory",
                            descriptor->short_name, limits->memory_bytes_max);
    if (message == NULL)
        return bl_error_set(detail, BL_EINVAL, "%s: can't be decoded", descriptor->short_name);
    if (!protobuf_c_message_check(message)) {
        bl_wire_free(message);
        return bl_error_set(detail, BL_EINVAL, "%s: a field is missing or malformed", descriptor->short_name);
    }
    *out = message;
    return BL_OK;
}

void bl_wire_free(ProtobufCMessage *message)
{
    if (message != NULL)
        protobuf_c_message_free_unpacked(message, NULL);
}

int bl_wire_frame_parse(const uint8_t header[BL_WIRE_FRAME_HEADER_BYTES], size_t *length)
{
    size_t value = (size_t)header[0] << 24 | (size_t)header[1] << 16 | (size_t)header[2] << 8 | header[3];

    if (value > BL_WIRE_FRAME_BYTES_MAX)
        return BL_ETOOBIG;
    *length = value;
    return BL_OK;
}

void bl_wire_frame_write(uint8_t header[BL_WIRE_FRAME_HEADER_BYTES], size_t length)
{
    for (int i = 0; i < BL_WIRE_FRAME_HEADER_BYTES; i++)
        header[i] = (uint8_t)(length >> (24 - 8 * i));
}
