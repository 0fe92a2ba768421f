/* Opening: snapshot, tail, answers; and writing the snapshot; see store.h. */
#include "controlplane/store.h"

#include <stdlib.h>
#include <string.h>

#include "controlplane/codec_log.h"
#include "controlplane/notice.h"

/* A fold in progress. */
struct fold {
    struct bl_store *store;
    uint64_t serial; /* reached so far; of the snapshot while its parts are read */
    struct bl_error_detail *detail;
};

/* Commits at once: while folding there is nobody to hand the changes to, and nothing to take back. */
static int apply_groups(struct fold *fold, const struct bl_effect_group *groups, size_t n, uint64_t serial,
                        const char *actor)
{
    struct bl_list_changes changes;

    for (size_t i = 0; i < n; i++) {
        int error = bl_list_state_apply(fold->store->state, &groups[i], serial, actor, fold->detail);

        if (error != BL_OK)
            return error;
    }
    bl_list_state_commit(fold->store->state, serial, &changes);
    return BL_OK;
}

/* One part. The first brings the classes, so that they keep their numbers; answers are in the last. */
static int fold_snapshot(struct fold *fold, const struct bl_codec_snapshot *snapshot)
{
    int error = BL_OK;

    if (snapshot->epoch != bl_log_epoch(fold->store->log))
        return bl_error_set(fold->detail, BL_EINVAL, "snapshot of epoch %llx in a log of epoch %llx",
                            (unsigned long long)snapshot->epoch, (unsigned long long)bl_log_epoch(fold->store->log));
    if (snapshot->classes != NULL)
        error = bl_list_state_restore_classes(fold->store->state, snapshot->classes);
    if (error == BL_OK)
        error = apply_groups(fold, snapshot->groups, snapshot->n_groups, snapshot->serial, "");
    for (size_t i = 0; i < snapshot->n_answers && error == BL_OK; i++)
        error = bl_answers_add(fold->store->answers, &snapshot->answers[i]);
    fold->serial = snapshot->serial;
    return error;
}

static int take_snapshot_part(void *context, const struct bl_log_blob *blob)
{
    struct fold *fold = context;
    struct bl_codec_snapshot_part part;
    int error = bl_codec_log_decode_snapshot(blob->data, blob->length, &part, fold->detail);

    if (error == BL_OK) {
        error = fold_snapshot(fold, &part.snapshot);
        bl_codec_log_snapshot_fini(&part);
    }
    return error;
}

/* A record that does not follow means that the log is not the one that was written: no guess is made. */
static int fold_record(struct fold *fold, const struct bl_record *record, uint64_t serial)
{
    int error;

    if (record->epoch != bl_log_epoch(fold->store->log) || record->serial != serial || serial != fold->serial + 1)
        return bl_error_set(fold->detail, BL_EORDER, "record %llu says epoch %llx and serial %llu",
                            (unsigned long long)serial, (unsigned long long)record->epoch,
                            (unsigned long long)record->serial);
    error = apply_groups(fold, record->groups, record->n_groups, serial, record->actor);
    if (error == BL_OK && record->answer_bytes != 0) {
        const struct bl_answer answer = {record->actor, record->session, record->sequence,    record->request_hash,
                                         serial,        record->answer,  record->answer_bytes};

        error = bl_answers_add(fold->store->answers, &answer);
    }
    fold->serial = serial;
    return error;
}

static int take_record(void *context, const struct bl_log_blob *blob)
{
    struct fold *fold = context;
    struct bl_codec_record record;
    int error = bl_codec_log_decode_record(blob->data, blob->length, &record, fold->detail);

    if (error == BL_OK) {
        error = fold_record(fold, &record.record, blob->serial);
        bl_codec_log_record_fini(&record);
    }
    if (error != BL_OK)
        bl_notice_write("record %llu can't be folded: %s", (unsigned long long)blob->serial, bl_error_text(error));
    return error;
}

/* Snapshot first, then what came after it; in the end both the log and the fold must be at one serial. */
static int fold_log(struct bl_store *store, struct bl_error_detail *detail)
{
    struct fold fold = {store, 0, detail};
    int error = bl_log_read_snapshot(store->log, &store->snapshot_serial, take_snapshot_part, &fold, detail);

    if (error == BL_OK && fold.serial != store->snapshot_serial)
        error = bl_error_set(detail, BL_EORDER, "the snapshot's parts are of serial %llu, expected %llu",
                             (unsigned long long)fold.serial, (unsigned long long)store->snapshot_serial);
    if (error == BL_OK)
        error = bl_log_read(store->log, fold.serial + 1, take_record, &fold, detail);
    if (error == BL_OK && fold.serial != bl_log_serial(store->log))
        error = bl_error_set(detail, BL_EORDER, "the log ends at serial %llu, its records at %llu",
                             (unsigned long long)bl_log_serial(store->log), (unsigned long long)fold.serial);
    return error;
}

static int init_lock(pthread_rwlock_t *lock)
{
    pthread_rwlockattr_t attributes;
    int failed;

    if (pthread_rwlockattr_init(&attributes) != 0)
        return BL_ENOMEM;
    (void)pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    failed = pthread_rwlock_init(lock, &attributes);
    (void)pthread_rwlockattr_destroy(&attributes);
    return failed != 0 ? BL_ENOMEM : BL_OK;
}

static void init_moved(pthread_cond_t *moved)
{
    pthread_condattr_t attributes;

    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(moved, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

int bl_store_open(struct bl_store *store, const struct bl_settings_controlplane *settings,
                  struct bl_error_detail *detail)
{
    int error;

    memset(store, 0, sizeof(*store));
    store->settings = settings;
    for (uint32_t i = 0; i < settings->n_sources; i++)
        store->source_order[i] = settings->sources[i].name;
    error = init_lock(&store->lock);
    if (error != BL_OK)
        return error;
    (void)pthread_mutex_init(&store->log_lock, NULL);
    (void)pthread_mutex_init(&store->reader_lock, NULL);
    (void)pthread_mutex_init(&store->head_lock, NULL);
    init_moved(&store->moved);
    error = bl_log_open(&store->log, settings->data_directory, detail);
    if (error == BL_OK)
        error = bl_list_state_create(&store->state, bl_log_epoch(store->log), store->source_order, settings->n_sources);
    if (error == BL_OK)
        error = bl_answers_create(&store->answers, settings->retry_window);
    if (error == BL_OK)
        error = fold_log(store, detail);
    if (error == BL_OK)
        store->head = bl_log_serial(store->log);
    if (error != BL_OK)
        bl_store_close(store);
    return error;
}

void bl_store_close(struct bl_store *store)
{
    if (store->answers != NULL)
        bl_answers_free(store->answers);
    if (store->state != NULL)
        bl_list_state_free(store->state);
    if (store->log != NULL)
        bl_log_close(store->log);
    (void)pthread_cond_destroy(&store->moved);
    (void)pthread_mutex_destroy(&store->head_lock);
    (void)pthread_mutex_destroy(&store->reader_lock);
    (void)pthread_mutex_destroy(&store->log_lock);
    (void)pthread_rwlock_destroy(&store->lock);
    memset(store, 0, sizeof(*store));
}

/* About what one part of a snapshot takes before neighbours are merged. */
enum { PART_BYTES = 1 << 20, LAYER_BYTES = 64 };

/* Cuts the state into encoded parts. Strings are the state's own. */
struct parts {
    struct bl_codec_snapshot snapshot;
    struct bl_codec_bytes *blobs;
    size_t n;
    size_t n_allocated;
    size_t next; /* to write */

    struct bl_effect_group *groups; /* of the part in the making; one a layer */
    struct bl_prefix *prefixes;
    struct bl_answer *answers;
    size_t n_bytes;
};

enum { PART_ITEMS_MAX = PART_BYTES / LAYER_BYTES };

static int flush_part(struct parts *parts)
{
    int error;

    if (parts->n == parts->n_allocated) {
        size_t n_allocated = parts->n_allocated * 2 + 16;
        struct bl_codec_bytes *blobs = realloc(parts->blobs, n_allocated * sizeof(*blobs));

        if (blobs == NULL)
            return BL_ENOMEM;
        parts->blobs = blobs;
        parts->n_allocated = n_allocated;
    }
    error = bl_codec_log_encode_snapshot(&parts->snapshot, &parts->blobs[parts->n]);
    if (error != BL_OK)
        return error;
    parts->n++;
    parts->n_bytes = 0;
    parts->snapshot.n_groups = 0;
    parts->snapshot.n_answers = 0;
    parts->snapshot.classes = NULL;
    return BL_OK;
}

static size_t text_bytes(const char *text)
{
    return text == NULL ? 0 : strlen(text);
}

/* Each layer as a group of its own; the codec makes neighbours that are alike one. */
static int take_layer(void *context, const struct bl_list_layer *layer)
{
    struct parts *parts = context;
    size_t i = parts->snapshot.n_groups++;

    parts->prefixes[i] = layer->prefix;
    parts->groups[i] = (struct bl_effect_group){layer->kind, layer->attributes, &parts->prefixes[i], 1};
    parts->n_bytes += LAYER_BYTES + text_bytes(layer->attributes.source) + text_bytes(layer->attributes.reason) +
                      text_bytes(layer->attributes.url) + text_bytes(layer->attributes.actor);
    return parts->n_bytes >= PART_BYTES ? flush_part(parts) : BL_OK;
}

static int take_answer(void *context, const struct bl_answer *answer)
{
    struct parts *parts = context;

    parts->answers[parts->snapshot.n_answers++] = *answer;
    parts->n_bytes += LAYER_BYTES + text_bytes(answer->session) + answer->length;
    return parts->n_bytes >= PART_BYTES ? flush_part(parts) : BL_OK;
}

/* All parts are encoded before the first is written: the log pulls, the state pushes. */
static int make_parts(const struct bl_store *store, struct parts *parts)
{
    int error;

    parts->groups = calloc(PART_ITEMS_MAX + 1, sizeof(*parts->groups));
    parts->prefixes = calloc(PART_ITEMS_MAX + 1, sizeof(*parts->prefixes));
    parts->answers = calloc(PART_ITEMS_MAX + 1, sizeof(*parts->answers));
    if (parts->groups == NULL || parts->prefixes == NULL || parts->answers == NULL)
        return BL_ENOMEM;
    parts->snapshot = (struct bl_codec_snapshot){
        .epoch = bl_list_state_epoch(store->state),
        .serial = bl_list_state_serial(store->state),
        .groups = parts->groups,
        .classes = bl_list_state_classes(store->state),
        .answers = parts->answers,
    };
    error = bl_list_state_each_layer(store->state, take_layer, parts);
    /* Answers start in a part of their own; the first part is there in any case: it has the classes. */
    if (error == BL_OK)
        error = flush_part(parts);
    if (error == BL_OK)
        error = bl_answers_each(store->answers, take_answer, parts);
    if (error == BL_OK && parts->snapshot.n_answers != 0)
        error = flush_part(parts);
    return error;
}

static int next_part(void *context, struct bl_log_blob *blob)
{
    struct parts *parts = context;

    if (parts->next == parts->n)
        return 0;
    *blob =
        (struct bl_log_blob){parts->snapshot.serial, parts->blobs[parts->next].data, parts->blobs[parts->next].length};
    parts->next++;
    return 1;
}

int bl_store_write_snapshot(struct bl_store *store, struct bl_error_detail *detail)
{
    struct parts parts = {.n = 0};
    int error = make_parts(store, &parts);

    if (error == BL_OK)
        error = bl_log_write_snapshot(store->log, parts.snapshot.serial, next_part, &parts, detail);
    /* Also after a failure: the next try comes after as many records again. */
    store->snapshot_serial = bl_list_state_serial(store->state);
    for (size_t i = 0; i < parts.n; i++)
        bl_codec_bytes_fini(&parts.blobs[i]);
    free(parts.blobs);
    free(parts.groups);
    free(parts.prefixes);
    free(parts.answers);
    return error;
}
