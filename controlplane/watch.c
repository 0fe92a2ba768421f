/* The log as a stream; see watch.h. */
#include "controlplane/watch.h"

#include <stdlib.h>

#include "controlplane/clock.h"
#include "controlplane/codec_log.h"
#include "controlplane/codec_stream.h"
#include "controlplane/store.h"

/* How long a watcher waits for news before it looks whether it is still wanted. */
enum { PATIENCE_MS = 200 };

/* Where a record is cut into messages. */
struct cut {
    struct bl_codec_stream_part *parts; /* BL_CODEC_STREAM_GROUPS_MAX of them */
    size_t n_parts;
    size_t n_items;
};

struct watch {
    struct bl_stream *stream;
    struct bl_store *store;
    uint64_t epoch;
    uint64_t serial; /* the last that was sent */
    int64_t sent_ms;
    struct bl_store_slice slice;
    struct cut cut;
};

static int send(struct watch *watch, struct bl_codec_bytes *message)
{
    watch->sent_ms = bl_clock_monotonic_ms();
    return bl_stream_send(watch->stream, message);
}

static int flush(struct watch *watch, const struct bl_record *record, bool more)
{
    struct cut *cut = &watch->cut;
    struct bl_codec_bytes message;
    int error = bl_codec_stream_encode_change(record, cut->parts, cut->n_parts, more, &message);

    cut->n_parts = 0;
    cut->n_items = 0;
    return error == BL_OK ? send(watch, &message) : error;
}

/* A new message begins only when there is something for it: so `more` is never wrong. */
static int send_record(struct watch *watch, const struct bl_record *record)
{
    struct cut *cut = &watch->cut;
    int error = BL_OK;

    for (size_t i = 0; i < record->n_groups; i++) {
        const struct bl_effect_group *group = &record->groups[i];

        for (size_t at = 0; at < group->n_prefixes && error == BL_OK;) {
            size_t n = group->n_prefixes - at;

            if (cut->n_parts == BL_CODEC_STREAM_GROUPS_MAX || cut->n_items == BL_CODEC_STREAM_ITEMS_MAX)
                error = flush(watch, record, true);
            if (n > BL_CODEC_STREAM_ITEMS_MAX - cut->n_items)
                n = BL_CODEC_STREAM_ITEMS_MAX - cut->n_items;
            cut->parts[cut->n_parts++] = (struct bl_codec_stream_part){group, at, n};
            cut->n_items += n;
            at += n;
        }
    }
    return error == BL_OK ? flush(watch, record, false) : error;
}

static int send_slice(struct watch *watch, struct bl_error_detail *detail)
{
    int error = BL_OK;

    for (size_t i = 0; i < watch->slice.n && error == BL_OK; i++) {
        const struct bl_log_blob *blob = &watch->slice.records[i];
        struct bl_codec_record record;

        error = bl_codec_log_decode_record(blob->data, blob->length, &record, detail);
        if (error != BL_OK)
            break;
        record.record.epoch = watch->epoch; /* it says the log's origin */
        error = send_record(watch, &record.record);
        bl_codec_log_record_fini(&record);
        watch->serial = blob->serial;
    }
    return error;
}

/* Everything that is in the log is sent; now what comes. */
static int wait_for_more(struct watch *watch)
{
    uint64_t head = bl_store_await(watch->store, watch->serial, PATIENCE_MS);
    struct bl_codec_bytes message;
    int error;

    if (head > watch->serial || bl_clock_monotonic_ms() - watch->sent_ms < BL_WATCH_HEARTBEAT_MS)
        return bl_stream_check(watch->stream);
    error = bl_codec_stream_encode_heartbeat(watch->epoch, head, bl_clock_wall_ms(), &message);
    return error == BL_OK ? send(watch, &message) : error;
}

static int follow(struct watch *watch, struct bl_error_detail *detail)
{
    int error = BL_OK;

    while (error == BL_OK) {
        uint64_t first = 0;

        error = bl_store_read(watch->store, watch->serial + 1, false, &watch->slice, &first, detail);
        if (error == BL_OK)
            error = send_slice(watch, detail);
        else if (error == BL_EAGAIN)
            error = wait_for_more(watch);
        else if (error == BL_ENOENT)
            return bl_error_set(detail, BL_ENOENT,
                                "record %llu is no longer kept, the first that is: %llu; take an Export, and watch "
                                "from its serial",
                                (unsigned long long)(watch->serial + 1), (unsigned long long)first);
        if (watch->slice.n_allocated > 4 * (size_t)BL_STORE_SLICE_BYTES)
            bl_store_slice_fini(&watch->slice);
    }
    return error;
}

/* A serial that is not there yet would be a watcher of another log, or of what was lost: better said than waited for. */
static int begin(struct watch *watch, const struct bl_codec_watch_request *request, struct bl_error_detail *detail)
{
    uint64_t head = bl_store_await(watch->store, 0, 0);

    watch->epoch = bl_log_epoch(watch->store->log);
    watch->serial = request->live_only ? head : request->from_serial;
    if (request->epoch != 0 && request->epoch != watch->epoch)
        return bl_error_set(detail, BL_EVERSION,
                            "epoch %llx: the log's is %llx; take an Export, and watch from its serial",
                            (unsigned long long)request->epoch, (unsigned long long)watch->epoch);
    if (watch->serial > head)
        return bl_error_set(detail, BL_ENOENT, "from_serial %llu: the log ends at %llu",
                            (unsigned long long)watch->serial, (unsigned long long)head);
    return BL_OK;
}

int bl_watch_run(struct bl_stream *stream, void *context, const uint8_t *request, size_t length,
                 struct bl_error_detail *detail)
{
    struct watch *watch = calloc(1, sizeof(*watch));
    struct bl_codec_watch_request asked;
    int error = BL_ENOMEM;

    if (watch == NULL)
        return error;
    watch->stream = stream;
    watch->store = context;
    watch->sent_ms = bl_clock_monotonic_ms();
    watch->cut.parts = calloc(BL_CODEC_STREAM_GROUPS_MAX, sizeof(*watch->cut.parts));
    if (watch->cut.parts != NULL)
        error = bl_codec_stream_decode_watch(request, length, &asked, detail);
    if (error == BL_OK)
        error = begin(watch, &asked, detail);
    if (error == BL_OK)
        error = follow(watch, detail);
    bl_store_slice_fini(&watch->slice);
    free(watch->cut.parts);
    free(watch);
    return error;
}
