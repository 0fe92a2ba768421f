/** @file writer.h
 * The one thread that changes the list (ingest → policy → log → list_state → publish).
 *
 * It takes what is queued, up to commit_batches_max batches, decides them one after the other on the write-locked list
 * state, appends their records in one transaction, and only then unlocks, publishes and answers. So what any reader sees
 * is durable, and what is answered is durable and readable. Each second it also turns what has expired into a record.
 *
 * Two lanes: small batches (at most BL_WRITER_SMALL_ITEMS, a delist and the like) and bulks have commits of their own, in
 * turns while both wait, and a commit of bulks ends behind BL_WRITER_GROUP_ITEMS items: so a delist beside an import waits
 * for one short commit and not for what is queued. A single batch is never cut: who sends a million items in one batch
 * holds the others up for as long as it takes to decide it.
 *
 * When the disk is full the whole group is taken back and refused, and then everything but delists is: those go on, in
 * space that is kept for them (bl_log_reserve_hold). As soon as that much is free again, writes are taken again. When the log is in doubt
 * there is no answer: the program exits with status 1, and the next start finds out what is true. */
#ifndef BL_WRITER_H
#define BL_WRITER_H

#include "controlplane/codec_client.h"
#include "controlplane/latency.h"
#include "controlplane/publish.h"
#include "controlplane/store.h"

enum {
    BL_WRITER_QUEUE_BYTES = 128 << 20,
    BL_WRITER_GROUP_BYTES = 8 << 20, /**< a group ends behind the batch that reaches it */
    BL_WRITER_GROUP_ITEMS = 2048,    /**< likewise: some 3 ms on the locked list */
    BL_WRITER_SMALL_ITEMS = 64,
    BL_WRITER_EXPIRIES_MAX = 4096, /**< in one record */
};

/** What bl_writer_hold says. */
#define BL_WRITER_HOLD "held: the clock is ahead of the time that passed; if it is right, say: bounceline expire"

struct bl_writer;

/** A batch on its way. Owned by who submits it, until done. */
struct bl_writer_job {
    struct bl_actor actor;
    struct bl_codec_request request;
    size_t request_bytes;
    bool bulk; /**< which lane: bl_writer_is_bulk says, or true where it must stay behind an earlier bulk */
    void (*done)(struct bl_writer_job *job); /**< on the writer thread, without the lock */

    /* The result: */
    int error;                     /**< 0; BL_ECONFLICT: the id names another batch; BL_EORDER: expected_serial;
                                      BL_EFULL: disk full; BL_ENOMEM */
    struct bl_error_detail detail; /**< of the error */
    struct bl_codec_bytes answer;  /**< encoded, as the log has it; owned by the submitter */
    bool repeated;
    uint64_t n_outcomes[BL_OUTCOME_COUNT]; /**< zero where nothing was decided, or only tried (dry_run) */
    bool held;                             /**< until somebody says force */
    uint64_t serial; /**< that is to be enforced: the batch's, or the list's when nothing was recorded */

    int64_t submitted_us; /**< writer.c's, as the next */
    struct bl_writer_job *next;
};

/** Starts the thread. @return 0, BL_ENOMEM or BL_EIO. */
int bl_writer_create(struct bl_writer **out, struct bl_store *store, struct bl_publish *publish);

/** Answers what is queued, then ends the thread. No submit may come after it began. */
void bl_writer_free(struct bl_writer *writer);

/** The lane that the batch of @p job belongs to. */
bool bl_writer_is_bulk(const struct bl_writer_job *job);

/** Queues @p job in its lane; those of one lane are decided in the order they came. @return 0, or BL_EFULL: too much is queued (done is not called). Threads: any. */
int bl_writer_submit(struct bl_writer *writer, struct bl_writer_job *job);

/** Why writes are refused now; "" when they are not. A static string. Threads: any. */
const char *bl_writer_fault(const struct bl_writer *writer);

/** What became of everything since the start, and what waits. */
struct bl_writer_counts {
    uint64_t n_outcomes[BL_OUTCOME_COUNT]; /**< updates; a retry that gets its first answer is not counted again */
    uint64_t n_held;                       /**< batches that were held for force */
    uint64_t n_failed;                     /**< batches that got an error instead of an answer */
    uint64_t n_queued;                     /**< batches that wait now */
    uint64_t n_queued_bytes;
};

/** Threads: any. */
void bl_writer_count(struct bl_writer *writer, struct bl_writer_counts *counts);

/** From submit to done, of batches that were answered. Threads: any. */
const struct bl_latency *bl_writer_latency(const struct bl_writer *writer);

/** Why nothing expires by the wall clock now (policy_expiry.h); "" when it does. A static string. Threads: any. */
const char *bl_writer_hold(const struct bl_writer *writer);

#endif
