/* The thread that keeps the table file; see keeper.h.
 *
 *   main core:  begin, note… ──▶ coming ──end──▶ noted (under the lock) ──▶ table, merged ──▶ file  :thread
 *
 * `noted` is one batch, however many deltas went in. The thread swaps it for an empty one, and works without the lock. */
#include "dataplane/keeper.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <rte_lcore.h>

#include "dataplane/say.h"

enum {
    NICE = 10, /* where it shares a CPU with the main core */
    /* So many changes are merged before it is time to write: their memory stays bounded, 24 MiB at most. */
    NOTED_MAX = 1 << 20,
};

/* What came in since the thread took the last one. */
struct batch {
    bool any;
    bool whole;  /* begins with a snapshot */
    bool failed; /* an entry is missing: there was no memory for it */
    bool has_classes;
    struct bl_held held; /* after it */
    struct bl_class classes[BL_CLASS_COUNT];
    struct bl_entries entries;
};

struct bl_keeper {
    struct bl_keeper_options options;
    pthread_t thread;
    bool started;
    /* The main core's: a snapshot or delta that has not ended. */
    bool coming_whole;
    bool coming_failed;
    struct bl_entries coming;
    /* Under the lock. */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct batch *noted;
    bool stopping;
    /* The thread's. */
    struct batch *taken;
    struct bl_table_file table; /* epoch 0: there is nothing that could be written */
    struct bl_digest digest;    /* of its entries */
    bool unwritten;
    bool said_failure;
    uint64_t next_ms; /* no write before this */
    /* Written by the thread, relaxed. */
    struct bl_keeper_counts counts;
};

static uint64_t clock_ms(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void count(uint64_t *counter)
{
    __atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

/* The thread's part. */

static void give_up(struct bl_keeper *keeper, const char *why)
{
    bl_say_line("table file %s: %s: it stays as it is until the next snapshot", keeper->options.path, why);
    count(&keeper->counts.n_failures);
    bl_table_file_fini(&keeper->table);
    keeper->unwritten = false;
}

/* Brings what was taken into the set. */
static void merge(struct bl_keeper *keeper)
{
    struct bl_table_file *table = &keeper->table;
    struct batch *batch = keeper->taken;
    int error = batch->failed ? BL_ENOMEM : BL_OK;

    if (batch->whole) {
        bl_table_file_fini(table);
        memset(&keeper->digest, 0, sizeof(keeper->digest));
    } else if (table->held.epoch == 0) {
        return; /* given up: a delta does not help */
    }
    if (error == BL_OK)
        error = bl_entries_sort(&batch->entries);
    if (error == BL_OK)
        error = bl_entries_merge(&table->entries, &batch->entries, batch->held.epoch, &keeper->digest);
    if (error != BL_OK) {
        give_up(keeper, "no memory to keep the list");
        return;
    }
    table->held = batch->held;
    if (batch->has_classes)
        memcpy(table->classes, batch->classes, sizeof(table->classes));
    keeper->unwritten = true;
    if (!bl_digest_equal(&keeper->digest, &table->held.digest))
        give_up(keeper, "what would be written has another digest than the list");
}

static void write_file(struct bl_keeper *keeper)
{
    struct bl_error_detail detail = {""};
    int error;

    keeper->table.written_ms = clock_ms(CLOCK_REALTIME);
    error = bl_table_file_write(keeper->options.path, &keeper->table, &detail);
    keeper->next_ms = clock_ms(CLOCK_MONOTONIC) + keeper->options.least_ms;
    if (error == BL_OK) {
        if (keeper->said_failure)
            bl_say_line("table file %s: written again", keeper->options.path);
        keeper->said_failure = false;
        keeper->unwritten = false;
        count(&keeper->counts.n_writes);
        return;
    }
    if (!keeper->said_failure)
        bl_say_line("table file %s: trying on", detail.text);
    keeper->said_failure = true;
    count(&keeper->counts.n_failures);
}

static void wait_a_tick(struct bl_keeper *keeper)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += keeper->options.tick_ms / 1000;
    until.tv_nsec += (long)(keeper->options.tick_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (!keeper->stopping && pthread_cond_timedwait(&keeper->wake, &keeper->lock, &until) == 0)
        ;
}

/* Takes what was noted, if it is wanted now: to be written, or because it is much. Under the lock. */
static bool take(struct bl_keeper *keeper, bool due)
{
    struct batch *batch = keeper->noted;

    if (!batch->any || !(due || batch->whole || bl_entries_count(&batch->entries) > NOTED_MAX))
        return false;
    keeper->noted = keeper->taken;
    keeper->taken = batch;
    return true;
}

static void *run(void *argument)
{
    struct bl_keeper *keeper = argument;
    bool stopping = false;

    setpriority(PRIO_PROCESS, 0, NICE); /* Linux: of this thread alone */
    while (!stopping) {
        bool due, taken;

        pthread_mutex_lock(&keeper->lock);
        wait_a_tick(keeper);
        stopping = keeper->stopping;
        due = stopping || clock_ms(CLOCK_MONOTONIC) >= keeper->next_ms;
        taken = take(keeper, due);
        pthread_mutex_unlock(&keeper->lock);
        if (taken) {
            merge(keeper);
            bl_entries_fini(&keeper->taken->entries);
            memset(keeper->taken, 0, sizeof(*keeper->taken));
        }
        if (due && keeper->unwritten)
            write_file(keeper);
    }
    return NULL;
}

/* The main core's part. */

static int start(struct bl_keeper *keeper)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&keeper->lock, NULL);
    pthread_cond_init(&keeper->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    keeper->noted = calloc(1, sizeof(*keeper->noted));
    keeper->taken = calloc(1, sizeof(*keeper->taken));
    if (keeper->noted == NULL || keeper->taken == NULL)
        return BL_ENOMEM;
    if (rte_ctrl_thread_create(&keeper->thread, "bl_keeper", NULL, run, keeper) != 0)
        return BL_ENOMEM;
    keeper->started = true;
    return BL_OK;
}

int bl_keeper_create(struct bl_keeper **out, const struct bl_keeper_options *options, struct bl_table_file *table)
{
    struct bl_keeper *keeper = calloc(1, sizeof(*keeper));
    struct bl_table_file none = {.held = {.epoch = 0}};
    int error;

    if (keeper == NULL)
        return BL_ENOMEM;
    keeper->options = *options;
    keeper->table = *table;
    keeper->digest = table->held.digest;
    error = start(keeper);
    if (error != BL_OK) {
        keeper->table = none;
        bl_keeper_free(keeper);
        return error;
    }
    *table = none;
    *out = keeper;
    return BL_OK;
}

void bl_keeper_begin(struct bl_keeper *keeper, bool whole)
{
    if (keeper == NULL)
        return;
    bl_entries_fini(&keeper->coming);
    keeper->coming_whole = whole;
    keeper->coming_failed = false;
}

void bl_keeper_note(struct bl_keeper *keeper, const struct bl_table_entry *entry)
{
    if (keeper != NULL && bl_entries_add(&keeper->coming, entry) != BL_OK)
        keeper->coming_failed = true;
}

void bl_keeper_end(struct bl_keeper *keeper, const struct bl_held *held, const struct bl_class *classes)
{
    struct bl_entries empty = {0};
    struct batch *batch;

    if (keeper == NULL)
        return;
    pthread_mutex_lock(&keeper->lock);
    batch = keeper->noted;
    if (keeper->coming_whole) {
        bl_entries_fini(&batch->entries);
        batch->entries = keeper->coming;
        batch->whole = true;
        batch->failed = keeper->coming_failed;
        keeper->coming = empty;
    } else {
        batch->failed |= keeper->coming_failed || bl_entries_append(&batch->entries, &keeper->coming) != BL_OK;
    }
    batch->any = true;
    batch->held = *held;
    if (classes != NULL) {
        memcpy(batch->classes, classes, sizeof(batch->classes));
        batch->has_classes = true;
    }
    pthread_mutex_unlock(&keeper->lock);
    bl_entries_fini(&keeper->coming);
}

void bl_keeper_stop(struct bl_keeper *keeper)
{
    if (keeper == NULL || !keeper->started)
        return;
    pthread_mutex_lock(&keeper->lock);
    keeper->stopping = true;
    pthread_cond_signal(&keeper->wake);
    pthread_mutex_unlock(&keeper->lock);
    pthread_join(keeper->thread, NULL);
    keeper->started = false;
}

static void free_batch(struct batch *batch)
{
    if (batch == NULL)
        return;
    bl_entries_fini(&batch->entries);
    free(batch);
}

void bl_keeper_free(struct bl_keeper *keeper)
{
    if (keeper == NULL)
        return;
    bl_keeper_stop(keeper);
    pthread_cond_destroy(&keeper->wake);
    pthread_mutex_destroy(&keeper->lock);
    free_batch(keeper->noted);
    free_batch(keeper->taken);
    bl_entries_fini(&keeper->coming);
    bl_table_file_fini(&keeper->table);
    free(keeper);
}

struct bl_keeper_counts bl_keeper_counts(const struct bl_keeper *keeper)
{
    struct bl_keeper_counts counts = {0};

    if (keeper == NULL)
        return counts;
    counts.n_writes = __atomic_load_n(&keeper->counts.n_writes, __ATOMIC_RELAXED);
    counts.n_failures = __atomic_load_n(&keeper->counts.n_failures, __ATOMIC_RELAXED);
    return counts;
}
