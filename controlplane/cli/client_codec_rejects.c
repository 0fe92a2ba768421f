/* ListRejects and GetTop as bytes; see client_codec_rejects.h. */
#include "controlplane/cli/client_codec_rejects.h"

#include <stdlib.h>

#include "bounceline/v1/list_control.pb-c.h"
#include "proto/wire.h"

/* 10000 rejects of at most some 400 bytes. */
static const struct bl_wire_limits answer_limits = {
    .message_bytes_max = 8 << 20,
    .memory_bytes_max = 32 << 20,
    .repeats_max = 10000,
};

static char *lend_text(const char *text)
{
    return (char *)(uintptr_t)text;
}

static int encode(const ProtobufCMessage *message, uint8_t **out, size_t *length, struct bl_error_detail *detail)
{
    *length = protobuf_c_message_get_packed_size(message);
    *out = malloc(*length == 0 ? 1 : *length);
    if (*out == NULL)
        return bl_error_set(detail, BL_ENOMEM, "out of memory");
    (void)protobuf_c_message_pack(message, *out);
    return BL_OK;
}

int bl_client_codec_encode_rejects(const struct bl_rejects_request *request, uint8_t **out, size_t *length,
                                   struct bl_error_detail *detail)
{
    Bounceline__V1__ListRejectsRequest wire = BOUNCELINE__V1__LIST_REJECTS_REQUEST__INIT;

    wire.instance = request->instance;
    wire.after = request->after;
    wire.prefix = lend_text(request->prefix);
    wire.all_stages = request->all_stages;
    wire.since_ms = request->since_ms;
    wire.limit = request->limit;
    return encode(&wire.base, out, length, detail);
}

int bl_client_codec_encode_top(bool listings, uint32_t limit, uint8_t **out, size_t *length,
                               struct bl_error_detail *detail)
{
    Bounceline__V1__GetTopRequest wire = BOUNCELINE__V1__GET_TOP_REQUEST__INIT;

    wire.kind = listings ? BOUNCELINE__V1__TOP_KIND__TOP_KIND_LISTINGS : BOUNCELINE__V1__TOP_KIND__TOP_KIND_SOURCES;
    wire.limit = limit;
    return encode(&wire.base, out, length, detail);
}

static struct bl_rejects_line read_line(const Bounceline__V1__Reject *wire)
{
    return (struct bl_rejects_line){
        .id = wire->id,
        .time_ms = wire->time_ms,
        .source = wire->source,
        .destination = wire->destination,
        .source_port = wire->source_port,
        .destination_port = wire->destination_port,
        .reason = wire->reason,
        .denied_at = wire->denied_at,
        .code = wire->code,
        .action = wire->action,
        .listing = wire->listing,
        .listing_source = wire->listing_source,
        .dataplane = wire->dataplane,
        .worker = wire->worker,
        .weight = wire->weight,
        .class_id = wire->class_id,
    };
}

int bl_client_codec_decode_rejects(const uint8_t *data, size_t length, struct bl_rejects_page *out,
                                   struct bl_error_detail *detail)
{
    const Bounceline__V1__ListRejectsResponse *wire;
    ProtobufCMessage *message = NULL;
    struct bl_rejects_page page;
    int error = bl_wire_decode(&bounceline__v1__list_rejects_response__descriptor, data, length, &answer_limits,
                               &message, detail);

    if (error != BL_OK)
        return error;
    wire = (const Bounceline__V1__ListRejectsResponse *)message;
    page = (struct bl_rejects_page){
        .instance = wire->instance,
        .next = wire->next,
        .n_lost = wire->n_lost,
        .more = wire->more != 0,
        .lines = calloc(wire->n_rejects + 1, sizeof(*page.lines)),
        .n_lines = wire->n_rejects,
        .message = message,
    };
    if (page.lines == NULL) {
        bl_client_codec_free_rejects(&page);
        return bl_error_set(detail, BL_ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < wire->n_rejects; i++)
        page.lines[i] = read_line(wire->rejects[i]);
    *out = page;
    return BL_OK;
}

int bl_client_codec_decode_top(const uint8_t *data, size_t length, struct bl_top *out, struct bl_error_detail *detail)
{
    const Bounceline__V1__GetTopResponse *wire;
    ProtobufCMessage *message = NULL;
    struct bl_top top;
    int error =
        bl_wire_decode(&bounceline__v1__get_top_response__descriptor, data, length, &answer_limits, &message, detail);

    if (error != BL_OK)
        return error;
    wire = (const Bounceline__V1__GetTopResponse *)message;
    top = (struct bl_top){
        .n_events = wire->n_events,
        .n_counted = wire->n_counted,
        .since_ms = wire->since_ms,
        .entries = calloc(wire->n_entries + 1, sizeof(*top.entries)),
        .n_entries = wire->n_entries,
        .message = message,
    };
    if (top.entries == NULL) {
        bl_client_codec_free_top(&top);
        return bl_error_set(detail, BL_ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < wire->n_entries; i++) {
        const Bounceline__V1__TopEntry *entry = wire->entries[i];

        top.entries[i] =
            (struct bl_top_entry){entry->prefix, entry->source, entry->n_events, entry->error, entry->last_ms};
    }
    *out = top;
    return BL_OK;
}

void bl_client_codec_free_rejects(struct bl_rejects_page *page)
{
    free(page->lines);
    bl_wire_free(page->message);
    *page = (struct bl_rejects_page){0};
}

void bl_client_codec_free_top(struct bl_top *top)
{
    free(top->entries);
    bl_wire_free(top->message);
    *top = (struct bl_top){0};
}
