/* The log read backwards; see history.h. */
#include "controlplane/history.h"

#include <stdlib.h>

#include "controlplane/codec_log.h"
#include "controlplane/codec_stream.h"
#include "controlplane/store.h"

struct history {
    struct bl_stream *stream;
    struct bl_codec_history_request request;
    uint32_t n_sent;
    uint64_t next_before; /* what is done: everything from this serial on; 0: all */
    struct bl_store_slice slice;
};

static bool meets(const struct bl_prefix *a, const struct bl_prefix *b)
{
    return bl_address_prefix_covers(a, b) || bl_address_prefix_covers(b, a);
}

/* Within a record the last effect is the newest. A record is told whole or, where the limit cuts it, in part: the next
 * call begins before it. */
static int tell_record(struct history *history, const struct bl_record *record)
{
    int error = BL_OK;

    for (size_t i = record->n_groups; i-- != 0 && error == BL_OK;) {
        const struct bl_effect_group *group = &record->groups[i];

        for (size_t at = group->n_prefixes; at-- != 0 && error == BL_OK && history->n_sent < history->request.limit;) {
            struct bl_codec_bytes message;

            if (!meets(&group->prefixes[at], &history->request.prefix))
                continue;
            history->n_sent++;
            error = bl_codec_stream_encode_history(record, group, &group->prefixes[at], &message);
            if (error == BL_OK)
                error = bl_stream_send(history->stream, &message);
        }
    }
    return error;
}

static int tell_slice(struct history *history, struct bl_error_detail *detail)
{
    int error = BL_OK;

    for (size_t i = 0; i < history->slice.n && error == BL_OK && history->n_sent < history->request.limit; i++) {
        const struct bl_log_blob *blob = &history->slice.records[i];
        struct bl_codec_record record;

        error = bl_codec_log_decode_record(blob->data, blob->length, &record, detail);
        if (error != BL_OK)
            break;
        error = tell_record(history, &record.record);
        bl_codec_log_record_fini(&record);
        history->next_before = blob->serial;
    }
    return error;
}

/* What was deleted meanwhile counts as the end. */
static int tell(struct history *history, struct bl_store *store, struct bl_error_detail *detail)
{
    struct bl_codec_bytes message;
    uint64_t first = 1;
    size_t n_bytes = 0;
    int error = BL_OK;

    while (error == BL_OK && history->next_before > first && history->n_sent < history->request.limit &&
           n_bytes < BL_HISTORY_BYTES) {
        error = bl_store_read(store, history->next_before - 1, true, &history->slice, &first, detail);
        if (error == BL_OK)
            error = tell_slice(history, detail);
        if (error == BL_OK)
            error = bl_stream_check(history->stream);
        n_bytes += history->slice.n_bytes;
    }
    if (error != BL_OK && error != BL_ENOENT)
        return error;
    error =
        bl_codec_stream_encode_history_end(history->next_before > first ? history->next_before : 0, first, &message);
    return error == BL_OK ? bl_stream_send(history->stream, &message) : error;
}

int bl_history_run(struct bl_stream *stream, void *context, const uint8_t *request, size_t length,
                   struct bl_error_detail *detail)
{
    struct bl_store *store = context;
    struct history *history = calloc(1, sizeof(*history));
    uint64_t head = bl_store_await(store, 0, 0);
    int error;

    if (history == NULL)
        return BL_ENOMEM;
    history->stream = stream;
    error = bl_codec_stream_decode_history(request, length, store->settings->ipv6_unit, &history->request, detail);
    history->next_before = history->request.before_serial == 0 || history->request.before_serial > head
                               ? head + 1
                               : history->request.before_serial;
    if (error == BL_OK)
        error = tell(history, store, detail);
    bl_store_slice_fini(&history->slice);
    free(history);
    return error;
}
