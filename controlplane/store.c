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

static int apply_groups(struct fold *fold, const struct bl_effect_group *groups, size_t n, uint64_t serial,
                        const char *actor)
{
    for (size_t i = 0; i < n; i++) {
        int error = bl_list_state_apply(fold->store->state, &groups[i], serial, actor, fold->detail);

        if (error != BL_OK)
            return error;
    }
    return BL_OK;
}

/* One part. The first brings the classes, so that they keep their numbers; answers are in the last. */
static int fold_snapshot(struct fold *fold, const struct bl_codec_snapshot *snapshot)
{
    int error = BL_OK;

    if (snapshot->epoch != bl_log_origin(fold->store->log))
        return bl_error_set(fold->detail, BL_EINVAL, "snapshot of epoch %llx in a log of epoch %llx",
                            (unsigned long long)snapshot->epoch, (unsigned long long)bl_log_origin(fold->store->log));
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

    if (record->epoch != bl_log_origin(fold->store->log) || record->serial != serial || serial != fold->serial + 1)
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

/* Snapshot first, then what came after it; in the end both the log and the fold must be at one serial. While folding there
 * is nobody to hand changes to, and nothing to take back. */
static int fold_log(struct bl_store *store, struct bl_error_detail *detail)
{
    struct fold fold = {store, 0, detail};
    int error;

    bl_list_state_begin_restore(store->state);
    error = bl_log_read_snapshot(store->log, &store->snapshot_serial, take_snapshot_part, &fold, detail);
    if (error == BL_OK && fold.serial != store->snapshot_serial)
        error = bl_error_set(detail, BL_EORDER, "the snapshot's parts are of serial %llu, expected %llu",
                             (unsigned long long)fold.serial, (unsigned long long)store->snapshot_serial);
    if (error == BL_OK)
        error = bl_log_read(store->log, fold.serial + 1, take_record, &fold, detail);
    if (error == BL_OK && fold.serial != bl_log_serial(store->log))
        error = bl_error_set(detail, BL_EORDER, "the log ends at serial %llu, its records at %llu",
                             (unsigned long long)bl_log_serial(store->log), (unsigned long long)fold.serial);
    if (error == BL_OK)
        bl_list_state_end_restore(store->state, fold.serial);
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
