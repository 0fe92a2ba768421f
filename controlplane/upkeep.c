/* Snapshots and deletion beside traffic; see upkeep.h. */
#include "controlplane/upkeep.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "controlplane/clock.h"
#include "controlplane/codec_log.h"
#include "controlplane/notice.h"
#include "controlplane/view.h"

enum {
    LAYER_BYTES = 64, /* about what a layer takes before neighbours are merged */
    PART_ITEMS_MAX = BL_UPKEEP_PART_BYTES / LAYER_BYTES,
    TICK_MS = 1000,
    PAUSE_MS = 2, /* between two transactions: the writer's turn */
};

struct bl_upkeep {
    struct bl_store *store;
    pthread_t thread;
    atomic_bool stop;      /* relaxed: looked at again and again */
    uint64_t tried_serial; /* the writer's: of the last snapshot that was begun */

    pthread_mutex_t lock; /* of the next */
    pthread_cond_t wake;
    struct bl_view *view; /* to be written; NULL: none */
    uint64_t serial;      /* of it */
    bool busy;            /* from begin until it is written */
};

/* ---- A snapshot ---- */

/* The part in the making: each layer a group of its own; the codec makes neighbours that are alike one. */
struct parts {
    struct bl_store *store;
    struct bl_view *view;
    struct bl_codec_snapshot snapshot;
    struct bl_effect_group *groups;
    struct bl_prefix *prefixes;
    struct bl_answer *answers;
    size_t n_bytes;
    struct bl_error_detail *detail;
};

static int add_part(struct parts *parts, const struct bl_codec_bytes *part)
{
    static const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    struct bl_store *store = parts->store;
    const struct bl_log_blob blob = {parts->snapshot.serial, part->data, part->length};
    int error;

    (void)pthread_mutex_lock(&store->log_lock);
    error = bl_log_snapshot_add(store->log, &blob, parts->detail);
    (void)pthread_mutex_unlock(&store->log_lock);
    (void)nanosleep(&pause, NULL);
    return error;
}

static int flush_part(struct parts *parts)
{
    struct bl_codec_bytes part;
    int error = bl_codec_log_encode_snapshot(&parts->snapshot, &part);

    if (error != BL_OK)
        return error;
    error = add_part(parts, &part);
    bl_codec_bytes_fini(&part);
    bl_view_forget(parts->view);
    parts->n_bytes = 0;
    parts->snapshot.n_groups = 0;
    parts->snapshot.n_answers = 0;
    parts->snapshot.classes = NULL;
    return error;
}

static int take_layer(struct parts *parts, const struct bl_list_layer *layer)
{
    const struct bl_effect_attributes *attributes = &layer->attributes;
    size_t i = parts->snapshot.n_groups++;

    parts->prefixes[i] = layer->prefix;
    parts->groups[i] = (struct bl_effect_group){layer->kind, *attributes, &parts->prefixes[i], 1};
    parts->n_bytes += LAYER_BYTES + strlen(attributes->source) + strlen(attributes->reason) + strlen(attributes->url) +
                      strlen(attributes->actor);
    return parts->n_bytes >= BL_UPKEEP_PART_BYTES ? flush_part(parts) : BL_OK;
}

/* Taken before a part is flushed, as a layer is: a flush lets go of the view's texts. */
static int take_answer(struct parts *parts, const struct bl_answer *answer)
{
    parts->answers[parts->snapshot.n_answers++] = *answer;
    parts->n_bytes += LAYER_BYTES + strlen(answer->session) + answer->length;
    return parts->n_bytes >= BL_UPKEEP_PART_BYTES ? flush_part(parts) : BL_OK;
}

/* The first part is there in any case: it has the classes. */
static int write_parts(struct parts *parts, const atomic_bool *stop)
{
    const struct bl_list_layer *layer = NULL;
    const struct bl_answer *answer = NULL;
    int error = BL_OK;
    int more = 1;

    while (error == BL_OK && (more = bl_view_next(parts->view, &layer, &answer)) == 1) {
        error = layer != NULL ? take_layer(parts, layer) : take_answer(parts, answer);
        if (atomic_load_explicit(stop, memory_order_relaxed))
            return BL_ECLOSED;
    }
    if (error == BL_OK && more < 0)
        return bl_error_set(parts->detail, BL_ENOMEM, "the view of the list ended early");
    return error == BL_OK ? flush_part(parts) : error;
}

static int begin(struct bl_store *store, uint64_t serial, struct bl_error_detail *detail)
{
    int error;

    (void)pthread_mutex_lock(&store->log_lock);
    error = bl_log_snapshot_begin(store->log, serial, detail);
    (void)pthread_mutex_unlock(&store->log_lock);
    return error;
}

/* What no snapshot counts any more, a part at a time. */
static int sweep(struct bl_store *store, struct bl_error_detail *detail)
{
    static const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    int more;

    do {
        (void)pthread_mutex_lock(&store->log_lock);
        more = bl_log_snapshot_sweep(store->log, detail);
        (void)pthread_mutex_unlock(&store->log_lock);
        (void)nanosleep(&pause, NULL);
    } while (more == 1);
    return more;
}

static int end(struct bl_store *store, struct bl_error_detail *detail)
{
    int error;

    (void)pthread_mutex_lock(&store->log_lock);
    error = bl_log_snapshot_end(store->log, detail);
    (void)pthread_mutex_unlock(&store->log_lock);
    return error;
}

/* The old parts go first: those of a try that failed would be in the way of the new ones. */
int bl_upkeep_write_snapshot(struct bl_store *store, uint64_t serial, struct bl_view *view, const atomic_bool *stop,
                             struct bl_error_detail *detail)
{
    struct parts parts = {.store = store, .view = view, .detail = detail};
    int error = BL_ENOMEM;

    parts.groups = calloc(PART_ITEMS_MAX + 1, sizeof(*parts.groups));
    parts.prefixes = calloc(PART_ITEMS_MAX + 1, sizeof(*parts.prefixes));
    parts.answers = calloc(PART_ITEMS_MAX + 1, sizeof(*parts.answers));
    if (parts.groups != NULL && parts.prefixes != NULL && parts.answers != NULL) {
        parts.snapshot = (struct bl_codec_snapshot){.epoch = bl_log_origin(store->log),
                                                    .serial = serial,
                                                    .groups = parts.groups,
                                                    .classes = bl_view_classes(view),
                                                    .answers = parts.answers};
        error = sweep(store, detail);
        if (error == BL_OK)
            error = begin(store, serial, detail);
        if (error == BL_OK)
            error = write_parts(&parts, stop);
        if (error == BL_OK)
            error = end(store, detail);
        if (error == BL_OK)
            error = sweep(store, detail);
    }
    free(parts.answers);
    free(parts.prefixes);
    free(parts.groups);
    return error;
}

/* ---- Deletion ---- */

/* The last serial of a slice whose records are all from before. */
static uint64_t last_before(const struct bl_store_slice *slice, int64_t before_ms)
{
    uint64_t last = 0;

    for (size_t i = 0; i < slice->n; i++) {
        int64_t time_ms = INT64_MAX;

        if (bl_codec_log_peek_time(slice->records[i].data, slice->records[i].length, &time_ms) != BL_OK ||
            time_ms >= before_ms)
            break;
        last = slice->records[i].serial;
    }
    return last;
}

int bl_upkeep_drop(struct bl_store *store, int64_t before_ms, struct bl_error_detail *detail)
{
    struct bl_store_slice *slice = calloc(1, sizeof(*slice));
    uint64_t first = 0;
    uint64_t last = 0;
    uint64_t kept = 0;
    int error;

    if (slice == NULL)
        return BL_ENOMEM;
    (void)pthread_mutex_lock(&store->log_lock);
    first = bl_log_first(store->log);
    (void)pthread_mutex_unlock(&store->log_lock);
    error = bl_store_read(store, first, false, slice, &kept, detail);
    if (error == BL_OK)
        last = last_before(slice, before_ms);
    bl_store_slice_fini(slice);
    free(slice);
    if (error != BL_OK || last == 0)
        return error == BL_EAGAIN || error == BL_ENOENT ? 0 : error;
    (void)pthread_mutex_lock(&store->log_lock);
    error = bl_log_drop(store->log, last, detail);
    kept = bl_log_first(store->log);
    (void)pthread_mutex_unlock(&store->log_lock);
    return error == BL_OK ? kept > first : error;
}

/* ---- The thread ---- */

/* In doubt is what the writer may not go on with either. */
static void check(const char *what, int error, const struct bl_error_detail *detail)
{
    if (error == BL_OK || error == BL_ECLOSED || error == 1)
        return;
    bl_notice_write("%s: %s: %s", what, bl_error_text(error), detail->text);
    if (error == BL_EIO || error == BL_EORDER) {
        bl_notice_write("exiting, nothing in doubt was answered");
        _exit(1);
    }
}

static void snapshot(struct bl_upkeep *upkeep, struct bl_view *view, uint64_t serial)
{
    struct bl_error_detail detail = {""};
    int error = bl_upkeep_write_snapshot(upkeep->store, serial, view, &upkeep->stop, &detail);

    bl_view_close(view);
    check("snapshot", error, &detail);
    if (error == BL_OK)
        bl_notice_write("snapshot at serial %llu", (unsigned long long)serial);
}

static void drop_old(struct bl_upkeep *upkeep)
{
    static const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    int64_t kept_ms = (int64_t)upkeep->store->settings->log_kept_days * 86400 * 1000;
    struct bl_error_detail detail = {""};
    int more = kept_ms == 0 ? 0 : 1;

    while (more == 1 && !atomic_load_explicit(&upkeep->stop, memory_order_relaxed)) {
        more = bl_upkeep_drop(upkeep->store, bl_clock_wall_ms() - kept_ms, &detail);
        (void)nanosleep(&pause, NULL);
    }
    check("deleting old records", more, &detail);
}

static void *run(void *context)
{
    struct bl_upkeep *upkeep = context;

    while (!atomic_load_explicit(&upkeep->stop, memory_order_relaxed)) {
        int64_t until_ms = bl_clock_monotonic_ms() + TICK_MS;
        struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
        struct bl_view *view;
        uint64_t serial;

        (void)pthread_mutex_lock(&upkeep->lock);
        if (upkeep->view == NULL && !atomic_load_explicit(&upkeep->stop, memory_order_relaxed))
            (void)pthread_cond_timedwait(&upkeep->wake, &upkeep->lock, &until);
        view = upkeep->view;
        serial = upkeep->serial;
        upkeep->view = NULL;
        (void)pthread_mutex_unlock(&upkeep->lock);
        if (view != NULL)
            snapshot(upkeep, view, serial);
        (void)pthread_mutex_lock(&upkeep->lock);
        upkeep->busy = upkeep->view != NULL;
        (void)pthread_mutex_unlock(&upkeep->lock);
        drop_old(upkeep);
    }
    if (upkeep->view != NULL)
        bl_view_close(upkeep->view);
    return NULL;
}

/* One at a time: a list that takes long to write gets its next snapshot later. */
void bl_upkeep_begin_snapshot(struct bl_upkeep *upkeep)
{
    struct bl_store *store = upkeep->store;
    uint64_t serial = bl_log_serial(store->log);
    struct bl_error_detail detail = {""};
    struct bl_view *view;
    bool busy;
    int error;

    if (serial - upkeep->tried_serial < store->settings->snapshot_records)
        return;
    (void)pthread_mutex_lock(&upkeep->lock);
    busy = upkeep->busy;
    (void)pthread_mutex_unlock(&upkeep->lock);
    if (busy)
        return;
    upkeep->tried_serial = serial;
    error = bl_view_open(&view, store->state, store->answers, &detail);
    if (error != BL_OK) {
        bl_notice_write("snapshot at serial %llu: %s", (unsigned long long)serial, detail.text);
        return;
    }
    (void)pthread_mutex_lock(&upkeep->lock);
    upkeep->view = view;
    upkeep->serial = serial;
    upkeep->busy = true;
    (void)pthread_cond_signal(&upkeep->wake);
    (void)pthread_mutex_unlock(&upkeep->lock);
}

int bl_upkeep_create(struct bl_upkeep **out, struct bl_store *store)
{
    struct bl_upkeep *upkeep = calloc(1, sizeof(*upkeep));
    pthread_condattr_t attributes;

    if (upkeep == NULL)
        return BL_ENOMEM;
    upkeep->store = store;
    upkeep->tried_serial = store->snapshot_serial;
    atomic_init(&upkeep->stop, false);
    (void)pthread_mutex_init(&upkeep->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&upkeep->wake, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    if (pthread_create(&upkeep->thread, NULL, run, upkeep) != 0) {
        free(upkeep);
        return BL_EIO;
    }
    *out = upkeep;
    return BL_OK;
}

void bl_upkeep_free(struct bl_upkeep *upkeep)
{
    (void)pthread_mutex_lock(&upkeep->lock);
    atomic_store_explicit(&upkeep->stop, true, memory_order_relaxed);
    (void)pthread_cond_signal(&upkeep->wake);
    (void)pthread_mutex_unlock(&upkeep->lock);
    (void)pthread_join(upkeep->thread, NULL);
    (void)pthread_cond_destroy(&upkeep->wake);
    (void)pthread_mutex_destroy(&upkeep->lock);
    free(upkeep);
}
