/* Group commit; see writer.h. In order: queue → decide → append → commit → publish → answer. */
#include "controlplane/writer.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controlplane/clock.h"
#include "controlplane/codec_log.h"
#include "controlplane/notice.h"
#include "controlplane/policy.h"
#include "controlplane/policy_expiry.h"
#include "controlplane/upkeep.h"

/* The fault, and what who wrote is told: only delists are taken, from the reserve, until there is room again. */
#define DISK_FULL "disk full"

/* First in, first out. */
struct queue {
    struct bl_writer_job *first;
    struct bl_writer_job *last;
};

/* Two halves: what submitters touch, under `lock`, and what only the writer thread touches. The list state's own lock
 * (store.h) is taken outside of `lock`, never inside it. */
struct bl_writer {
    struct bl_store *store;
    struct bl_publish *publish;
    struct bl_upkeep *upkeep;
    pthread_t thread;
    _Atomic(const char *) fault; /* relaxed: a text for people */
    _Atomic(const char *) hold;  /* likewise: why expiry is held */

    pthread_mutex_t lock; /* of the next, up to the counts */
    pthread_cond_t wake;
    bool stop;
    struct queue small;
    struct queue bulk;
    bool bulks_turn;
    size_t n_queued_bytes;
    size_t n_queued;
    struct bl_writer_counts counts; /* but for what is queued */

    struct bl_latency latency; /* the writer thread adds */

    /* Of the writer thread alone: the group in the making. */
    struct bl_writer_job **jobs;
    struct bl_codec_bytes *records; /* of job i; length 0: nothing to record, or an error */
    struct bl_log_blob *blobs;
    size_t n_jobs;
    size_t n_jobs_max;

    struct bl_policy_expiry expiry;
    uint64_t n_expiries_left; /* of this tick */
};

/* The log is in doubt: nobody may be told anything. */
static _Noreturn void give_up(const char *what, const struct bl_error_detail *detail, int error)
{
    bl_notice_write("%s: %s: %s; exiting, nothing in doubt was answered", what, bl_error_text(error), detail->text);
    _exit(1);
}

/* An answer that was encoded already is dropped: a failed job says nothing but its error. */
static void fail(struct bl_writer_job *job, int error, const char *text)
{
    job->error = bl_error_set(&job->detail, error, "%s", text);
    bl_codec_bytes_fini(&job->answer);
}

/* A retry gets its first answer. @return true when the job is decided by that. */
static bool answer_repeated(struct bl_writer *writer, struct bl_writer_job *job)
{
    const struct bl_batch *batch = &job->request.batch;
    struct bl_answer answer;
    int error;

    if (batch->session[0] == '\0')
        return false;
    error = bl_answers_find(writer->store->answers, job->actor.name, batch->session, batch->sequence,
                            batch->request_hash, &answer);
    if (error == BL_ENOENT)
        return false;
    if (error != BL_OK) {
        job->error = bl_error_set(&job->detail, BL_ECONFLICT, "session %s, sequence %llu: names another batch",
                                  batch->session, (unsigned long long)batch->sequence);
        return true;
    }
    job->answer.data = malloc(answer.length + 1);
    if (job->answer.data == NULL) {
        fail(job, BL_ENOMEM, "out of memory");
        return true;
    }
    memcpy(job->answer.data, answer.data, answer.length);
    job->answer.length = answer.length;
    job->serial = answer.serial;
    job->repeated = true;
    return true;
}

/* The record holds what was decided and the answer, not the request: a replay needs neither policy nor clock. */
static int encode_record(struct bl_writer *writer, const struct bl_writer_job *job,
                         const struct bl_policy_effects *effects, int64_t now_ms, struct bl_codec_bytes *out)
{
    const struct bl_batch *batch = &job->request.batch;
    const struct bl_record record = {
        .epoch = bl_log_origin(writer->store->log),
        .serial = job->serial,
        .time_ms = now_ms,
        .actor = job->actor.name,
        .session = batch->session,
        .sequence = batch->sequence,
        .request_hash = batch->request_hash,
        .groups = effects->groups,
        .n_groups = effects->n_groups,
        /* Without a session nobody can ask for it again. */
        .answer = job->answer.data,
        .answer_bytes = batch->session[0] == '\0' ? 0 : job->answer.length,
    };

    return bl_codec_log_encode_record(&record, out);
}

/* What is to be counted once it is certain. Of a bulk the first refused items are here, and all of a held batch are. */
static void note_outcomes(struct bl_writer_job *job, const struct bl_batch_result *result)
{
    job->held = false;
    memset(job->n_outcomes, 0, sizeof(job->n_outcomes));
    if (job->request.batch.dry_run)
        return;
    memcpy(job->n_outcomes, result->n_outcomes, sizeof(job->n_outcomes));
    for (size_t i = 0; i < result->n_items && !job->held; i++)
        job->held = result->items[i].refusal == BL_REFUSAL_HELD_FOR_FORCE;
}

/* A batch of nothing, by force. @return false when it is refused. */
static bool release_expiry(struct bl_writer *writer, struct bl_writer_job *job)
{
    if (job->actor.role != BL_ROLE_ADMIN) {
        job->error = bl_error_set(&job->detail, BL_EPERM, "actor %s is a %s: expected an admin to release expiry",
                                  job->actor.name, bl_settings_role_text(job->actor.role));
        return false;
    }
    if (job->request.batch.force && bl_writer_hold(writer)[0] != '\0') {
        writer->expiry.is_released = true;
        bl_notice_write("expiry: released by %s", job->actor.name);
    }
    return true;
}

/* Decides one batch on the locked state, as the next serial after @serial. @return true when it has a record. */
static bool decide(struct bl_writer *writer, struct bl_writer_job *job, uint64_t serial, int64_t now_ms,
                   struct bl_codec_bytes *record)
{
    struct bl_batch_result result = {0};
    struct bl_policy_effects effects = {0};
    const struct bl_batch *batch = &job->request.batch;
    size_t mark = bl_list_state_mark(writer->store->state);
    int error;

    if (bl_batch_n_items(batch) == 0 && !release_expiry(writer, job))
        return false;
    if (batch->expected_serial != 0 && batch->expected_serial != serial) {
        job->error = bl_error_set(&job->detail, BL_EORDER, "expected_serial %llu: the list is at %llu",
                                  (unsigned long long)batch->expected_serial, (unsigned long long)serial);
        return false;
    }
    /* Applies what it accepts at once, so that the next batch of the group is decided on it. */
    error = bl_policy_apply(writer->store->settings, writer->store->state, &job->actor, batch, now_ms, serial + 1,
                            &result, &effects);
    if (error == BL_OK) {
        result.epoch = bl_log_epoch(writer->store->log);
        result.serial = effects.n_groups != 0 ? serial + 1 : 0;
        job->serial = effects.n_groups != 0 ? serial + 1 : serial;
        note_outcomes(job, &result);
        error = bl_codec_client_encode_answer(batch, &result, &job->answer);
        if (error == BL_OK && effects.n_groups != 0)
            error = encode_record(writer, job, &effects, now_ms, record);
    }
    bl_policy_effects_fini(&effects);
    bl_batch_result_fini(&result);
    if (error != BL_OK) {
        bl_list_state_rollback(writer->store->state, mark);
        fail(job, error, "out of memory");
        return false;
    }
    return record->length != 0;
}

/* Told once when it begins and once when it ends, not for each batch. */
static void set_fault(struct bl_writer *writer, const char *fault)
{
    if (atomic_load_explicit(&writer->fault, memory_order_relaxed) == fault)
        return;
    atomic_store_explicit(&writer->fault, fault, memory_order_relaxed);
    bl_notice_write("writes: %s", fault[0] == '\0' ? "accepted again" : fault);
}

/* Makes @n records durable, and what they say visible. The state is locked and has them applied.
 * @return 0, or BL_EFULL with all of it taken back to @mark. @since_us: when the
 * oldest of it was submitted; 0: it was not. */
static int append(struct bl_writer *writer, size_t n, size_t mark, int64_t since_us)
{
    struct bl_error_detail detail = {""};
    struct bl_list_changes changes;
    uint64_t from_serial = bl_log_serial(writer->store->log);
    int error;

    (void)pthread_mutex_lock(&writer->store->log_lock);
    error = bl_log_append(writer->store->log, writer->blobs, n, &detail);
    (void)pthread_mutex_unlock(&writer->store->log_lock);
    if (error == BL_EFULL) {
        bl_list_state_rollback(writer->store->state, mark);
        set_fault(writer, DISK_FULL);
        return error;
    }
    /* Anything else may or may not be on disk; after a failed fsync a second one would lie. */
    if (error != BL_OK)
        give_up("log", &detail, error);
    /* From here on it is true: readers get in when the caller unlocks, data planes are told right away. */
    bl_list_state_commit(writer->store->state, from_serial + n, &changes);
    bl_publish_commit(writer->publish, writer->store->state, from_serial, since_us, &changes);
    bl_store_move_head(writer->store, from_serial + n);
    return BL_OK;
}

/* Only after the commit: an answer that was taken back must not be given to a retry. */
static void remember_answer(struct bl_writer *writer, const struct bl_writer_job *job)
{
    const struct bl_batch *batch = &job->request.batch;
    const struct bl_answer answer = {
        .actor = job->actor.name,
        .session = batch->session,
        .sequence = batch->sequence,
        .request_hash = batch->request_hash,
        .serial = job->serial,
        .data = job->answer.data,
        .length = job->answer.length,
    };

    if (batch->session[0] != '\0' && bl_answers_add(writer->store->answers, &answer) != BL_OK)
        bl_notice_write("no memory to keep the answer of serial %llu", (unsigned long long)job->serial);
}

/* A group that was taken back: what was decided in it was decided on a list that is not there. */
static void fail_group(struct bl_writer *writer)
{
    for (size_t i = 0; i < writer->n_jobs; i++)
        if (writer->jobs[i]->error == BL_OK && !writer->jobs[i]->repeated)
            fail(writer->jobs[i], BL_EFULL, DISK_FULL);
}

/* The one place where the list changes for clients. The write lock spans from the first decision until the records are
 * on disk, so no reader sees what a crash could take back. @return 0, or BL_EFULL: all of it was taken back. */
static int decide_group(struct bl_writer *writer)
{
    int64_t now_ms = bl_clock_wall_ms();
    size_t n_records = 0;
    int64_t since_us = INT64_MAX;
    uint64_t serial;
    size_t mark;
    int error = BL_OK;

    (void)pthread_rwlock_wrlock(&writer->store->lock);
    serial = bl_log_serial(writer->store->log);
    mark = bl_list_state_mark(writer->store->state);
    for (size_t i = 0; i < writer->n_jobs; i++) {
        writer->records[i] = (struct bl_codec_bytes){NULL, 0};
        if (answer_repeated(writer, writer->jobs[i]))
            continue;
        if (!decide(writer, writer->jobs[i], serial, now_ms, &writer->records[i]))
            continue;
        if (writer->jobs[i]->submitted_us < since_us)
            since_us = writer->jobs[i]->submitted_us;
        /* Only a batch that has a record uses up a serial. */
        writer->blobs[n_records++] = (struct bl_log_blob){++serial, writer->records[i].data, writer->records[i].length};
    }
    if (n_records != 0)
        error = append(writer, n_records, mark, since_us);
    else
        bl_list_state_rollback(writer->store->state, mark);
    (void)pthread_rwlock_unlock(&writer->store->lock);
    return error;
}

/* Before the answer: who has it and then looks finds it counted. */
static void count(struct bl_writer *writer, const struct bl_writer_job *job)
{
    (void)pthread_mutex_lock(&writer->lock);
    writer->counts.n_failed += job->error != BL_OK;
    if (job->error == BL_OK && !job->repeated) {
        for (int i = 0; i < BL_OUTCOME_COUNT; i++)
            writer->counts.n_outcomes[i] += job->n_outcomes[i];
        writer->counts.n_held += job->held;
    }
    (void)pthread_mutex_unlock(&writer->lock);
    if (job->error == BL_OK)
        bl_latency_add(&writer->latency, bl_clock_monotonic_us() - job->submitted_us);
}

static void finish(struct bl_writer *writer, struct bl_writer_job *job)
{
    count(writer, job);
    job->done(job);
}

/* The group is decided, one way or the other. */
static void answer_group(struct bl_writer *writer, int error)
{
    if (error != BL_OK)
        fail_group(writer);
    for (size_t i = 0; i < writer->n_jobs; i++) {
        if (error == BL_OK && writer->records[i].length != 0)
            remember_answer(writer, writer->jobs[i]);
        bl_codec_bytes_fini(&writer->records[i]);
        finish(writer, writer->jobs[i]);
    }
}

static bool is_delist(const struct bl_writer_job *job)
{
    const struct bl_batch *batch = &job->request.batch;

    for (size_t i = 0; i < batch->n_updates; i++)
        if (batch->updates[i].kind != BL_UPDATE_DELIST)
            return false;
    return batch->bulk == NULL;
}

/* Answers "disk full" to all but the delists of the group that have a record, which are made as if nobody had looked at
 * them yet. */
static void keep_delists(struct bl_writer *writer)
{
    size_t n_kept = 0;

    for (size_t i = 0; i < writer->n_jobs; i++) {
        struct bl_writer_job *job = writer->jobs[i];

        bl_codec_bytes_fini(&writer->records[i]);
        if (job->error == BL_OK && !job->repeated && is_delist(job)) {
            bl_codec_bytes_fini(&job->answer);
            writer->jobs[n_kept++] = job;
            continue;
        }
        if (job->error == BL_OK && !job->repeated)
            fail(job, BL_EFULL, DISK_FULL);
        finish(writer, job);
    }
    writer->n_jobs = n_kept;
}

/* Lets go of the reserve. */
static int give_reserve(struct bl_writer *writer)
{
    struct bl_error_detail detail = {""};
    int error;

    (void)pthread_mutex_lock(&writer->store->log_lock);
    error = bl_log_reserve_give(writer->store->log, &detail);
    (void)pthread_mutex_unlock(&writer->store->log_lock);
    if (error != BL_OK && error != BL_EFULL)
        give_up("log", &detail, error);
    return error;
}

/* The disk is well again when the reserve fits on it. */
static void look_for_room(struct bl_writer *writer)
{
    int error;

    (void)pthread_mutex_lock(&writer->store->log_lock);
    error = bl_log_reserve_hold(writer->store->log);
    (void)pthread_mutex_unlock(&writer->store->log_lock);
    if (error == BL_OK)
        set_fault(writer, "");
}

static void commit_group(struct bl_writer *writer)
{
    int error = BL_OK;

    if (bl_writer_fault(writer)[0] != '\0')
        look_for_room(writer);
    /* What is left of the disk is for delists. */
    if (bl_writer_fault(writer)[0] != '\0')
        for (size_t i = 0; i < writer->n_jobs; i++)
            writer->records[i] = (struct bl_codec_bytes){NULL, 0};
    if (bl_writer_fault(writer)[0] != '\0')
        keep_delists(writer);
    if (writer->n_jobs != 0)
        error = decide_group(writer);
    if (error == BL_EFULL) {
        keep_delists(writer);
        if (writer->n_jobs != 0 && give_reserve(writer) == BL_OK)
            error = decide_group(writer);
    }
    answer_group(writer, error);
}

/* A retry that meets its first try in one group waits for the next: its answer is not known before. */
static bool repeats_in_group(const struct bl_writer *writer, const struct bl_writer_job *job)
{
    const struct bl_batch *batch = &job->request.batch;

    if (batch->session[0] == '\0')
        return false;
    for (size_t i = 0; i < writer->n_jobs; i++) {
        const struct bl_writer_job *other = writer->jobs[i];

        if (other->request.batch.sequence == batch->sequence &&
            strcmp(other->request.batch.session, batch->session) == 0 &&
            strcmp(other->actor.name, job->actor.name) == 0)
            return true;
    }
    return false;
}

bool bl_writer_is_bulk(const struct bl_writer_job *job)
{
    return bl_batch_n_items(&job->request.batch) > BL_WRITER_SMALL_ITEMS;
}

/* Moves jobs from @queue to the group, up to @n_jobs_max of them and as many items as a commit may have. */
static void take_jobs(struct bl_writer *writer, struct queue *queue, size_t n_jobs_max)
{
    size_t n_bytes = 0;
    size_t n_items = 0;

    while (queue->first != NULL && writer->n_jobs < n_jobs_max && n_bytes < BL_WRITER_GROUP_BYTES &&
           n_items < BL_WRITER_GROUP_ITEMS) {
        struct bl_writer_job *job = queue->first;

        if (repeats_in_group(writer, job))
            break;
        queue->first = job->next;
        if (queue->first == NULL)
            queue->last = NULL;
        writer->n_queued_bytes -= job->request_bytes;
        writer->n_queued--;
        n_bytes += job->request_bytes;
        n_items += bl_batch_n_items(&job->request.batch);
        writer->jobs[writer->n_jobs++] = job;
    }
}

/* What goes into one commit: small ones or bulks, in turns while both wait. Under the lock. */
static void take_group(struct bl_writer *writer)
{
    bool bulks = writer->bulk.first != NULL && (writer->small.first == NULL || writer->bulks_turn);

    writer->n_jobs = 0;
    take_jobs(writer, bulks ? &writer->bulk : &writer->small, writer->n_jobs_max);
    writer->bulks_turn = !bulks;
}

/* Applies a record as a replay would. The state is locked. */
static int apply_record(struct bl_writer *writer, const struct bl_codec_bytes *blob, uint64_t serial)
{
    struct bl_codec_record decoded;
    struct bl_error_detail detail = {""};
    int error = bl_codec_log_decode_record(blob->data, blob->length, &decoded, &detail);

    if (error != BL_OK)
        return error;
    for (size_t i = 0; i < decoded.record.n_groups && error == BL_OK; i++)
        error = bl_list_state_apply(writer->store->state, &decoded.record.groups[i], serial, BL_RECORD_EXPIRY, &detail);
    bl_codec_log_record_fini(&decoded);
    return error;
}

/* Turns what is due into one record: encoded first (the due groups live until the next apply only), then applied from
 * the record. @return how many expired. */
static size_t expire_locked(struct bl_writer *writer, int64_t now_ms)
{
    const struct bl_effect_group *groups = NULL;
    size_t n_max = writer->n_expiries_left < BL_WRITER_EXPIRIES_MAX ? writer->n_expiries_left : BL_WRITER_EXPIRIES_MAX;
    size_t n = bl_list_state_due(writer->store->state, now_ms, n_max, &groups);
    size_t mark = bl_list_state_mark(writer->store->state);
    const struct bl_record record = {
        .epoch = bl_log_origin(writer->store->log),
        .serial = bl_log_serial(writer->store->log) + 1,
        .time_ms = now_ms,
        .actor = BL_RECORD_EXPIRY,
        .session = "",
        .groups = groups,
        .n_groups = n,
    };
    struct bl_codec_bytes blob = {NULL, 0};
    int error;

    if (n == 0)
        return 0;
    error = bl_codec_log_encode_record(&record, &blob);
    if (error == BL_OK)
        error = apply_record(writer, &blob, record.serial);
    if (error == BL_OK) {
        writer->blobs[0] = (struct bl_log_blob){record.serial, blob.data, blob.length};
        error = append(writer, 1, mark, 0);
    } else {
        bl_list_state_rollback(writer->store->state, mark);
        bl_notice_write("expiry: %s; tried again", bl_error_text(error));
    }
    bl_codec_bytes_fini(&blob);
    return error == BL_OK ? n : 0;
}

/* Told once when it begins and once when it ends, and shown by status as long as it lasts. */
static void set_hold(struct bl_writer *writer, bool is_held, uint64_t limit)
{
    if ((bl_writer_hold(writer)[0] != '\0') == is_held)
        return;
    atomic_store_explicit(&writer->hold, is_held ? BL_WRITER_HOLD : "", memory_order_relaxed);
    if (is_held)
        bl_notice_write("expiry: %s; more than %llu layers would expire at once", BL_WRITER_HOLD,
                        (unsigned long long)limit);
    else
        bl_notice_write("expiry: follows the clock again");
}

/* How far this tick may go, by time and by number. The state is only read: nobody else changes it. */
static void begin_expiry(struct bl_writer *writer)
{
    const struct bl_list_state *state = writer->store->state;
    int64_t wall_ms = bl_clock_wall_ms();
    int64_t monotonic_ms = bl_clock_monotonic_ms();
    struct bl_list_counts counts;
    uint64_t limit;
    uint64_t n_due = 0;

    bl_list_state_count(state, &counts);
    limit = bl_policy_expiry_limit(writer->store->settings->expiry_hold_percent,
                                   counts.n_listings + counts.n_delists + counts.n_exemptions);
    if (bl_policy_expiry_is_step(&writer->expiry, wall_ms, monotonic_ms))
        n_due = bl_list_state_count_due(state, wall_ms, limit + 1);
    bl_policy_expiry_tick(&writer->expiry, wall_ms, monotonic_ms, n_due, limit);
    set_hold(writer, writer->expiry.is_held, limit);
    writer->n_expiries_left = limit;
}

/* @return true when more may be due in this tick. */
static bool expire(struct bl_writer *writer)
{
    size_t n;

    if (writer->n_expiries_left == 0)
        begin_expiry(writer);
    (void)pthread_rwlock_wrlock(&writer->store->lock);
    n = expire_locked(writer, writer->expiry.time_ms);
    (void)pthread_rwlock_unlock(&writer->store->lock);
    writer->n_expiries_left -= n;
    if (n == BL_WRITER_EXPIRIES_MAX && writer->n_expiries_left != 0)
        return true;
    if (n != 0 && writer->n_expiries_left == 0)
        bl_notice_write("expiry: controlplane.expiry_hold_percent of the list expired at once; the rest in a second");
    writer->n_expiries_left = 0;
    return false;
}

/* Waits for work or @due_ms, then takes a group. @return false when all is done and the thread is to end. */
static bool next_group(struct bl_writer *writer, int64_t due_ms)
{
    struct timespec due = {.tv_sec = due_ms / 1000, .tv_nsec = due_ms % 1000 * 1000000};
    bool goes_on;

    (void)pthread_mutex_lock(&writer->lock);
    while (writer->small.first == NULL && writer->bulk.first == NULL && !writer->stop)
        if (pthread_cond_timedwait(&writer->wake, &writer->lock, &due) != 0)
            break;
    take_group(writer);
    goes_on = writer->n_jobs != 0 || !writer->stop;
    (void)pthread_mutex_unlock(&writer->lock);
    return goes_on;
}

enum { EXPIRY_TICK_MS = 1000 };

/* Group, expiries, snapshot, and again. Expiries come after the group, so that a flood of them holds nobody up for more
 * than one record. */
static void *run(void *context)
{
    struct bl_writer *writer = context;
    int64_t expiry_ms = bl_clock_monotonic_ms();

    while (next_group(writer, expiry_ms)) {
        if (writer->n_jobs != 0)
            commit_group(writer);
        if (bl_clock_monotonic_ms() >= expiry_ms) {
            look_for_room(writer);
            if (bl_writer_fault(writer)[0] != '\0' || !expire(writer))
                expiry_ms = bl_clock_monotonic_ms() + EXPIRY_TICK_MS;
        }
        bl_upkeep_begin_snapshot(writer->upkeep);
    }
    return NULL;
}

/* What create allocated, whichever part of it. */
static void free_memory(struct bl_writer *writer)
{
    free(writer->blobs);
    free(writer->records);
    free(writer->jobs);
    free(writer);
}

int bl_writer_create(struct bl_writer **out, struct bl_store *store, struct bl_publish *publish)
{
    struct bl_writer *writer = calloc(1, sizeof(*writer));
    pthread_condattr_t attributes;

    if (writer == NULL)
        return BL_ENOMEM;
    writer->store = store;
    writer->publish = publish;
    writer->n_jobs_max = store->settings->commit_batches_max;
    writer->jobs = calloc(writer->n_jobs_max, sizeof(struct bl_writer_job *));
    writer->records = calloc(writer->n_jobs_max, sizeof(*writer->records));
    writer->blobs = calloc(writer->n_jobs_max + 1, sizeof(*writer->blobs));
    if (writer->jobs == NULL || writer->records == NULL || writer->blobs == NULL) {
        free_memory(writer);
        return BL_ENOMEM;
    }
    atomic_init(&writer->fault, "");
    atomic_init(&writer->hold, "");
    (void)pthread_mutex_init(&writer->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&writer->wake, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    if (bl_upkeep_create(&writer->upkeep, store) != BL_OK || pthread_create(&writer->thread, NULL, run, writer) != 0) {
        free_memory(writer);
        return BL_EIO;
    }
    *out = writer;
    return BL_OK;
}

void bl_writer_free(struct bl_writer *writer)
{
    (void)pthread_mutex_lock(&writer->lock);
    writer->stop = true;
    (void)pthread_cond_signal(&writer->wake);
    (void)pthread_mutex_unlock(&writer->lock);
    (void)pthread_join(writer->thread, NULL);
    bl_upkeep_free(writer->upkeep);
    (void)pthread_cond_destroy(&writer->wake);
    (void)pthread_mutex_destroy(&writer->lock);
    free_memory(writer);
}

int bl_writer_submit(struct bl_writer *writer, struct bl_writer_job *job)
{
    struct queue *queue = job->bulk ? &writer->bulk : &writer->small;
    int error = BL_OK;

    job->next = NULL;
    job->submitted_us = bl_clock_monotonic_us();
    (void)pthread_mutex_lock(&writer->lock);
    if (writer->n_queued_bytes + job->request_bytes > BL_WRITER_QUEUE_BYTES) {
        error = BL_EFULL;
    } else {
        if (queue->last == NULL)
            queue->first = job;
        else
            queue->last->next = job;
        queue->last = job;
        writer->n_queued_bytes += job->request_bytes;
        writer->n_queued++;
        /* One writer waits here, so one is woken. */
        (void)pthread_cond_signal(&writer->wake);
    }
    (void)pthread_mutex_unlock(&writer->lock);
    return error;
}

const char *bl_writer_fault(const struct bl_writer *writer)
{
    return atomic_load_explicit(&writer->fault, memory_order_relaxed);
}

void bl_writer_count(struct bl_writer *writer, struct bl_writer_counts *counts)
{
    (void)pthread_mutex_lock(&writer->lock);
    *counts = writer->counts;
    counts->n_queued = writer->n_queued;
    counts->n_queued_bytes = writer->n_queued_bytes;
    (void)pthread_mutex_unlock(&writer->lock);
}

const struct bl_latency *bl_writer_latency(const struct bl_writer *writer)
{
    return &writer->latency;
}

const char *bl_writer_hold(const struct bl_writer *writer)
{
    return atomic_load_explicit(&writer->hold, memory_order_relaxed);
}
