/* ListRejects and GetTop ↔ rejects.h; see codec_rejects.h. */
#include "controlplane/codec_rejects.h"

#include <stdlib.h>
#include <string.h>

#include "bounceline/v1/list_control.pb-c.h"
#include "proto/wire.h"

_Static_assert((int)BL_DENIED_AT_STARTTLS == (int)BOUNCELINE__V1__DENIED_AT__DENIED_AT_STARTTLS, "wire value");
_Static_assert((int)BL_REJECTS_TOP_LISTINGS == (int)BOUNCELINE__V1__TOP_KIND__TOP_KIND_LISTINGS, "wire value");

static const struct bl_wire_limits question_limits = {
    .message_bytes_max = 4096, .memory_bytes_max = 16384, .repeats_max = 1};

/* 0 is the default. */
static int take_limit(uint32_t said, uint32_t otherwise, uint32_t max, uint32_t *out, struct bl_error_detail *detail)
{
    if (said > max)
        return bl_error_set(detail, BL_ERANGE, "limit: %u: expected at most %u", said, max);
    *out = said == 0 ? otherwise : said;
    return BL_OK;
}

static int take_list(const Bounceline__V1__ListRejectsRequest *in, uint8_t ipv6_unit,
                     struct bl_codec_rejects_request *out, struct bl_error_detail *detail)
{
    memset(out, 0, sizeof(*out));
    out->instance = in->instance;
    out->query.after = in->after;
    out->query.all_stages = in->all_stages != 0;
    out->query.since_ms = in->since_ms;
    if (in->prefix[0] != '\0') {
        int error = bl_address_parse_prefix(in->prefix, ipv6_unit, &out->query.prefix, detail);

        if (error != BL_OK)
            return error;
    }
    return take_limit(in->limit, BL_CODEC_REJECTS_LIMIT, BL_CODEC_REJECTS_LIMIT_MAX, &out->limit, detail);
}

int bl_codec_rejects_decode_list(const uint8_t *data, size_t length, uint8_t ipv6_unit,
                                 struct bl_codec_rejects_request *out, struct bl_error_detail *detail)
{
    ProtobufCMessage *message = NULL;
    int error = bl_wire_decode(&bounceline__v1__list_rejects_request__descriptor, data, length, &question_limits,
                               &message, detail);

    if (error != BL_OK)
        return error;
    error = take_list((const Bounceline__V1__ListRejectsRequest *)message, ipv6_unit, out, detail);
    bl_wire_free(message);
    return error;
}

static int take_top(const Bounceline__V1__GetTopRequest *in, enum bl_rejects_top *kind, uint32_t *limit,
                    struct bl_error_detail *detail)
{
    if ((int)in->kind != BL_REJECTS_TOP_SOURCES && (int)in->kind != BL_REJECTS_TOP_LISTINGS)
        return bl_error_set(detail, BL_EINVAL, "kind: %d: expected TOP_KIND_SOURCES or TOP_KIND_LISTINGS",
                            (int)in->kind);
    *kind = (enum bl_rejects_top)in->kind;
    return take_limit(in->limit, BL_CODEC_REJECTS_TOP, BL_REJECTS_COUNTED, limit, detail);
}

int bl_codec_rejects_decode_top(const uint8_t *data, size_t length, enum bl_rejects_top *kind, uint32_t *limit,
                                struct bl_error_detail *detail)
{
    ProtobufCMessage *message = NULL;
    int error =
        bl_wire_decode(&bounceline__v1__get_top_request__descriptor, data, length, &question_limits, &message, detail);

    if (error != BL_OK)
        return error;
    error = take_top((const Bounceline__V1__GetTopRequest *)message, kind, limit, detail);
    bl_wire_free(message);
    return error;
}

/* The generated structs want char *, and never write to what is behind it. */
static char *borrow(const char *text)
{
    union {
        const char *in;
        char *out;
    } pointer = {.in = text};

    return pointer.out;
}

struct reject_row {
    Bounceline__V1__Reject reject;
    char source[BL_ADDRESS_TEXT_MAX];
    char destination[BL_ADDRESS_TEXT_MAX];
    char listing[BL_ADDRESS_TEXT_MAX];
};

static void fill_reject(const struct bl_reject *in, struct reject_row *row)
{
    const struct bl_codec_sync_reject *sample = &in->sample;
    const char *reason = bl_verdict_reason_name(sample->reason);
    Bounceline__V1__Reject *out = &row->reject;

    bounceline__v1__reject__init(out);
    out->id = in->id;
    out->time_ms = sample->time_ms;
    out->source = bl_address_format(&sample->source, row->source);
    out->destination = bl_address_format(&sample->destination, row->destination);
    out->source_port = sample->source_port;
    out->destination_port = sample->destination_port;
    out->reason = borrow(reason == NULL ? "unknown" : reason);
    out->denied_at = (Bounceline__V1__DeniedAt)sample->denied_at;
    out->code = in->code;
    out->action = (Bounceline__V1__Action)in->action;
    if (in->listing.family != BL_FAMILY_NONE)
        out->listing = bl_address_format_prefix(&in->listing, row->listing);
    out->listing_source = borrow(in->listing_source);
    out->dataplane = borrow(in->dataplane);
    out->worker = sample->worker;
    out->weight = sample->weight;
    out->class_id = sample->class_id;
}

/* Rows live in two arrays, one of structs and one of pointers to them, as protobuf-c wants it. */
int bl_codec_rejects_encode_list(uint64_t instance, const struct bl_reject *rejects,
                                 const struct bl_reject_answer *answer, struct bl_codec_bytes *out)
{
    struct reject_row *rows = calloc(answer->n + 1, sizeof(*rows));
    Bounceline__V1__Reject **pointers = calloc(answer->n + 1, sizeof(*pointers));
    Bounceline__V1__ListRejectsResponse message;
    int error = BL_ENOMEM;

    bounceline__v1__list_rejects_response__init(&message);
    if (rows != NULL && pointers != NULL) {
        for (size_t i = 0; i < answer->n; i++) {
            fill_reject(&rejects[i], &rows[i]);
            pointers[i] = &rows[i].reject;
        }
        message.instance = instance;
        message.next = answer->next;
        message.n_lost = answer->n_lost;
        message.more = answer->more;
        message.rejects = pointers;
        message.n_rejects = answer->n;
        error = bl_codec_pack(&message.base, 0, out);
    }
    free(pointers);
    free(rows);
    return error;
}

struct top_row {
    Bounceline__V1__TopEntry entry;
    char prefix[BL_ADDRESS_TEXT_MAX];
};

/* A source is an address: its full length is not said. */
static char *format_item(enum bl_rejects_top kind, const struct bl_rejects_item *item, char *text)
{
    struct bl_address address = {.family = item->prefix.family};

    if (kind == BL_REJECTS_TOP_LISTINGS)
        return bl_address_format_prefix(&item->prefix, text);
    memcpy(address.bytes, item->prefix.bytes, sizeof(address.bytes));
    return bl_address_format(&address, text);
}

int bl_codec_rejects_encode_top(enum bl_rejects_top kind, const struct bl_rejects_item *items, size_t n,
                                const struct bl_rejects_total *total, struct bl_codec_bytes *out)
{
    struct top_row *rows = calloc(n + 1, sizeof(*rows));
    Bounceline__V1__TopEntry **pointers = calloc(n + 1, sizeof(*pointers));
    Bounceline__V1__GetTopResponse message;
    int error = BL_ENOMEM;

    bounceline__v1__get_top_response__init(&message);
    if (rows != NULL && pointers != NULL) {
        for (size_t i = 0; i < n; i++) {
            bounceline__v1__top_entry__init(&rows[i].entry);
            rows[i].entry.prefix = format_item(kind, &items[i], rows[i].prefix);
            rows[i].entry.source = borrow(items[i].source);
            rows[i].entry.n_events = items[i].n_events;
            rows[i].entry.error = items[i].error;
            rows[i].entry.last_ms = items[i].last_ms;
            pointers[i] = &rows[i].entry;
        }
        message.kind = (Bounceline__V1__TopKind)kind;
        message.n_events = total->n_events;
        message.n_counted = BL_REJECTS_COUNTED;
        message.since_ms = total->since_ms;
        message.entries = pointers;
        message.n_entries = n;
        error = bl_codec_pack(&message.base, 0, out);
    }
    free(pointers);
    free(rows);
    return error;
}
