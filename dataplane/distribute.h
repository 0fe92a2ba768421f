/** @file distribute.h
 * Brings every worker's replica to the main core's state, and knows how far each of them is (master → distribute →
 * mailbox → replica, and the acknowledgements back).
 *
 * Owns every replica's block, patch and class table from the moment that they are handed in until the last worker is
 * done with them. Nothing is ever lost: a full mailbox keeps its messages and is tried again. Replicas are compared
 * with the master at equal serial every now and then, region by region; one that differs is counted, and gets the
 * master's bytes of that region (scrub.h).
 * Threads: main core only. */
#ifndef BL_DISTRIBUTE_H
#define BL_DISTRIBUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/replica.h"
#include "dataplane/worker.h"

/** Messages that the slowest worker may have before it: above this the feed stops reading, so that a control plane
 * that is faster than a worker waits in its own queue. */
enum { BL_DISTRIBUTE_WAITING_MAX = 256, BL_DISTRIBUTE_WORKERS_MAX = 64 };

struct bl_distribute;

struct bl_distribute_counts {
    uint64_t n_mismatches; /**< regions of replicas that differed from the master's */
    uint64_t n_repairs;    /**< those that were copied from it, and whole replicas after a patch that did not fit */
};

/** Takes note of the workers (borrowed). Each has a mailbox. @return 0 or BL_ENOMEM. */
int bl_distribute_create(struct bl_distribute **out, struct bl_worker **workers, unsigned n_workers);

/** Frees everything, the replicas too. Threads: main core, after workers stopped. */
void bl_distribute_free(struct bl_distribute *distribute);

/** Gives each worker its first replica, a copy of @p master, and a copy of @p classes (BL_CLASS_COUNT): @p held is what
 * they enforce. Threads: before workers start. @return 0, or BL_ENOMEM: then no worker has one, and it may be tried again
 * with a smaller one. */
int bl_distribute_start(struct bl_distribute *distribute, const struct bl_table *master, const struct bl_class *classes,
                        const struct bl_held *held);

/** All workers go over to a copy of @p master and to @p classes (BL_CLASS_COUNT; copied). @return 0 or BL_ENOMEM: then
 * no worker will. */
int bl_distribute_switch(struct bl_distribute *distribute, const struct bl_table *master,
                         const struct bl_class *classes, const struct bl_held *held);

/** All workers apply @p patch (taken, also on failure) and, when @p classes is not NULL, use a copy of those.
 * @return 0 or BL_ENOMEM: then no worker will. */
int bl_distribute_patch(struct bl_distribute *distribute, struct bl_table_patch *patch, const struct bl_class *classes,
                        const struct bl_held *held);

/** Moves messages, collects what is done. @p master is what replicas are copied from where one must be repaired: NULL
 * when the main core holds none now. */
void bl_distribute_poll(struct bl_distribute *distribute, const struct bl_table *master);

/** Goes on comparing the replicas with the master, a step at a time; an update that comes in between ends the round.
 * @p master as it was handed out last, without changes since. @return true when the master can't be
 * believed, because as many have something else: only a snapshot makes it right. */
bool bl_distribute_compare(struct bl_distribute *distribute, const struct bl_table *master, uint64_t now_ms);

/** What every worker enforces: the least of theirs. While workers are between two epochs it stays as it was. */
const struct bl_held *bl_distribute_enforced(const struct bl_distribute *distribute);

/** What worker @p id holds, and its last checksum with its serial. */
const struct bl_held *bl_distribute_held(const struct bl_distribute *distribute, unsigned id);
void bl_distribute_checksum(const struct bl_distribute *distribute, unsigned id, uint64_t *serial, uint64_t *sum);

/** Messages before the slowest worker; 0: all of them are up to date. */
uint32_t bl_distribute_waiting(const struct bl_distribute *distribute);

/** True while a comparison is under way: the next step is due at once. */
bool bl_distribute_comparing(const struct bl_distribute *distribute);

struct bl_distribute_counts bl_distribute_counts(const struct bl_distribute *distribute);

#endif
