/* Watch, Export and History messages; see codec_stream.h. */
#include "controlplane/codec_stream.h"

#include <stdlib.h>
#include <string.h>

#include "bounceline/class.h"
#include "bounceline/v1/list_control.pb-c.h"
#include "proto/wire.h"

/* Questions are small. */
static const struct bl_wire_limits limits = {.message_bytes_max = 4096, .memory_bytes_max = 16384, .repeats_max = 1};

int bl_codec_stream_decode_watch(const uint8_t *data, size_t length, struct bl_codec_watch_request *out,
                                 struct bl_error_detail *detail)
{
    ProtobufCMessage *message = NULL;
    int error = bl_wire_decode(&bounceline__v1__watch_request__descriptor, data, length, &limits, &message, detail);

    if (error != BL_OK)
        return error;
    const Bounceline__V1__WatchRequest *in = (const Bounceline__V1__WatchRequest *)message;

    *out = (struct bl_codec_watch_request){in->from_serial, in->epoch, in->live_only != 0};
    bl_wire_free(message);
    return BL_OK;
}

int bl_codec_stream_decode_export(const uint8_t *data, size_t length, struct bl_codec_export_request *out,
                                  struct bl_error_detail *detail)
{
    ProtobufCMessage *message = NULL;
    int error = bl_wire_decode(&bounceline__v1__export_request__descriptor, data, length, &limits, &message, detail);

    if (error != BL_OK)
        return error;
    const Bounceline__V1__ExportRequest *in = (const Bounceline__V1__ExportRequest *)message;
    size_t source_bytes = strlen(in->source);

    memset(out, 0, sizeof(*out));
    if (source_bytes >= sizeof(out->source))
        error = bl_error_set(detail, BL_ERANGE, "source: %zu bytes: expected a source's name", source_bytes);
    else
        memcpy(out->source, in->source, source_bytes + 1);
    out->all_layers = in->all_layers != 0;
    bl_wire_free(message);
    return error;
}

int bl_codec_stream_decode_history(const uint8_t *data, size_t length, uint8_t ipv6_unit,
                                   struct bl_codec_history_request *out, struct bl_error_detail *detail)
{
    ProtobufCMessage *message = NULL;
    int error = bl_wire_decode(&bounceline__v1__history_request__descriptor, data, length, &limits, &message, detail);

    if (error != BL_OK)
        return error;
    const Bounceline__V1__HistoryRequest *in = (const Bounceline__V1__HistoryRequest *)message;

    memset(out, 0, sizeof(*out));
    out->limit = in->limit == 0 ? BL_CODEC_STREAM_HISTORY : in->limit;
    out->before_serial = in->before_serial;
    if (out->limit > BL_CODEC_STREAM_HISTORY_MAX)
        error =
            bl_error_set(detail, BL_ERANGE, "limit: %u: expected at most %d", in->limit, BL_CODEC_STREAM_HISTORY_MAX);
    else
        error = bl_address_parse_prefix(in->prefix, ipv6_unit, &out->prefix, detail);
    bl_wire_free(message);
    return error;
}

int bl_codec_stream_decode_backup(const uint8_t *data, size_t length, struct bl_error_detail *detail)
{
    ProtobufCMessage *message = NULL;
    int error = bl_wire_decode(&bounceline__v1__backup_request__descriptor, data, length, &limits, &message, detail);

    if (error == BL_OK)
        bl_wire_free(message);
    return error;
}

static char *borrow(const char *text)
{
    union {
        const char *in;
        char *out;
    } pointer = {.in = text == NULL ? "" : text};

    return pointer.out;
}

/* An effect in the words of a client: what it would have sent to have this effect. */
static Bounceline__V1__UpdateKind kind_of(enum bl_effect_kind kind)
{
    switch (kind) {
    case BL_EFFECT_LIST:
        return BOUNCELINE__V1__UPDATE_KIND__UPDATE_KIND_LIST;
    case BL_EFFECT_UNLIST: /* with its source */
    case BL_EFFECT_DELIST:
        return BOUNCELINE__V1__UPDATE_KIND__UPDATE_KIND_DELIST;
    case BL_EFFECT_UNDELIST:
        return BOUNCELINE__V1__UPDATE_KIND__UPDATE_KIND_UNDELIST;
    case BL_EFFECT_EXEMPT:
        return BOUNCELINE__V1__UPDATE_KIND__UPDATE_KIND_EXEMPT;
    case BL_EFFECT_UNEXEMPT:
        return BOUNCELINE__V1__UPDATE_KIND__UPDATE_KIND_UNEXEMPT;
    }
    return BOUNCELINE__V1__UPDATE_KIND__UPDATE_KIND_UNSPECIFIED;
}

static Bounceline__V1__SelfService self_service_of(const struct bl_effect_group *group)
{
    if (group->kind != BL_EFFECT_LIST)
        return BOUNCELINE__V1__SELF_SERVICE__SELF_SERVICE_UNSPECIFIED;
    return group->attributes.self_service ? BOUNCELINE__V1__SELF_SERVICE__SELF_SERVICE_OPEN
                                          : BOUNCELINE__V1__SELF_SERVICE__SELF_SERVICE_CLOSED;
}

static void fill_attributes(const struct bl_effect_group *group, Bounceline__V1__BulkUpdate *out)
{
    const struct bl_effect_attributes *attributes = &group->attributes;

    bounceline__v1__bulk_update__init(out);
    out->kind = kind_of(group->kind);
    out->source = borrow(attributes->source);
    out->code = attributes->code;
    out->reason = borrow(attributes->reason);
    out->observed_at_ms = attributes->observed_at_ms;
    out->expires_at_ms = attributes->expires_at_ms;
    out->self_service = self_service_of(group);
    out->action = (Bounceline__V1__Action)attributes->action;
    out->actor = borrow(attributes->actor);
    out->serial = attributes->serial;
    out->suppress_until_ms = attributes->suppress_until_ms;
    out->url = borrow(attributes->url);
}

/* The bulk of one part; its columns lie in @column. @return the first byte behind them. */
static uint8_t *fill_bulk(const struct bl_codec_stream_part *part, uint8_t *column, Bounceline__V1__BulkUpdate *out)
{
    const struct bl_prefix *prefixes = part->group->prefixes + part->first;
    size_t n_ipv4 = 0;

    for (size_t i = 0; i < part->n; i++)
        n_ipv4 += prefixes[i].family == BL_FAMILY_IPV4;
    fill_attributes(part->group, out);
    out->ipv4_addresses = (ProtobufCBinaryData){0, column};
    out->ipv4_lengths = (ProtobufCBinaryData){0, column + n_ipv4 * 4};
    out->ipv6_addresses = (ProtobufCBinaryData){0, column + n_ipv4 * 5};
    out->ipv6_lengths = (ProtobufCBinaryData){0, column + n_ipv4 * 5 + (part->n - n_ipv4) * 16};
    for (size_t i = 0; i < part->n; i++) {
        bool ipv4 = prefixes[i].family == BL_FAMILY_IPV4;
        ProtobufCBinaryData *addresses = ipv4 ? &out->ipv4_addresses : &out->ipv6_addresses;
        ProtobufCBinaryData *lengths = ipv4 ? &out->ipv4_lengths : &out->ipv6_lengths;

        memcpy(addresses->data + addresses->len, prefixes[i].bytes, ipv4 ? 4 : 16);
        addresses->len += ipv4 ? 4 : 16;
        lengths->data[lengths->len++] = prefixes[i].length;
    }
    return column + n_ipv4 * 5 + (part->n - n_ipv4) * 17;
}

int bl_codec_stream_encode_change(const struct bl_record *record, const struct bl_codec_stream_part *parts,
                                  size_t n_parts, bool more, struct bl_codec_bytes *out)
{
    Bounceline__V1__BulkUpdate *bulks = calloc(n_parts + 1, sizeof(*bulks));
    Bounceline__V1__BulkUpdate **pointers = calloc(n_parts + 1, sizeof(*pointers));
    Bounceline__V1__WatchResponse message;
    size_t n_items = 0;
    uint8_t *columns;
    int error = BL_ENOMEM;

    for (size_t i = 0; i < n_parts; i++)
        n_items += parts[i].n;
    columns = malloc(n_items * 17 + 1);
    if (bulks != NULL && pointers != NULL && columns != NULL) {
        uint8_t *column = columns;

        for (size_t i = 0; i < n_parts; i++) {
            column = fill_bulk(&parts[i], column, &bulks[i]);
            pointers[i] = &bulks[i];
        }
        bounceline__v1__watch_response__init(&message);
        message.epoch = record->epoch;
        message.serial = record->serial;
        message.time_ms = record->time_ms;
        message.actor = borrow(record->actor);
        message.groups = pointers;
        message.n_groups = n_parts;
        message.more = more;
        error = bl_codec_pack(&message.base, 0, out);
    }
    free(columns);
    free(pointers);
    free(bulks);
    return error;
}

int bl_codec_stream_encode_heartbeat(uint64_t epoch, uint64_t serial, int64_t now_ms, struct bl_codec_bytes *out)
{
    Bounceline__V1__WatchResponse message;

    bounceline__v1__watch_response__init(&message);
    message.epoch = epoch;
    message.serial = serial;
    message.time_ms = now_ms;
    message.heartbeat = true;
    return bl_codec_pack(&message.base, 0, out);
}

int bl_codec_stream_encode_export(uint64_t epoch, uint64_t serial, const struct bl_codec_stream_part *part,
                                  uint64_t n_items, struct bl_codec_bytes *out)
{
    Bounceline__V1__ExportResponse message;
    Bounceline__V1__BulkUpdate bulk;
    uint8_t *columns = NULL;
    int error;

    bounceline__v1__export_response__init(&message);
    message.epoch = epoch;
    message.serial = serial;
    if (part != NULL) {
        columns = malloc(part->n * 17 + 1);
        if (columns == NULL)
            return BL_ENOMEM;
        (void)fill_bulk(part, columns, &bulk);
        message.bulk = &bulk;
    } else {
        message.last = true;
        message.n_items = n_items;
    }
    error = bl_codec_pack(&message.base, 0, out);
    free(columns);
    return error;
}

int bl_codec_stream_encode_history(const struct bl_record *record, const struct bl_effect_group *group,
                                   const struct bl_prefix *prefix, struct bl_codec_bytes *out)
{
    const struct bl_effect_attributes *attributes = &group->attributes;
    Bounceline__V1__HistoryResponse message;
    Bounceline__V1__Update update;
    char text[BL_ADDRESS_TEXT_MAX];

    bounceline__v1__update__init(&update);
    update.kind = kind_of(group->kind);
    update.prefix = bl_address_format_prefix(prefix, text);
    update.source = borrow(attributes->source);
    update.code = attributes->code;
    update.reason = borrow(attributes->reason);
    update.observed_at_ms = attributes->observed_at_ms;
    update.expires_at_ms = attributes->expires_at_ms;
    update.self_service = self_service_of(group);
    update.action = (Bounceline__V1__Action)attributes->action;
    bounceline__v1__history_response__init(&message);
    message.serial = record->serial;
    message.time_ms = record->time_ms;
    message.actor = borrow(record->actor);
    message.update = &update;
    return bl_codec_pack(&message.base, 0, out);
}

int bl_codec_stream_encode_history_end(uint64_t next_before, uint64_t first, struct bl_codec_bytes *out)
{
    Bounceline__V1__HistoryResponse message;

    bounceline__v1__history_response__init(&message);
    message.last = true;
    message.next_before_serial = next_before;
    message.first_serial = first;
    return bl_codec_pack(&message.base, 0, out);
}

int bl_codec_stream_encode_backup(const uint8_t *data, size_t length, uint64_t n_bytes, struct bl_codec_bytes *out)
{
    union {
        const uint8_t *in;
        uint8_t *out;
    } pointer = {.in = data};
    Bounceline__V1__BackupResponse message;

    bounceline__v1__backup_response__init(&message);
    message.data = (ProtobufCBinaryData){length, pointer.out};
    message.n_bytes = n_bytes;
    return bl_codec_pack(&message.base, 0, out);
}
