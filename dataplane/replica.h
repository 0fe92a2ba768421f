/** @file replica.h
 * A worker's own copy of the table and how it follows the main core's messages (mailbox → replica → lookups).
 *
 * A patch is applied in steps of bounded size between bursts, so that no packet waits for a large one. The checksum of
 * the replica is computed in steps too, when there is nothing else to do; a patch that comes in between starts it
 * anew, because it is only worth something at one serial. */
#ifndef BL_REPLICA_H
#define BL_REPLICA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounceline/class.h"
#include "bounceline/table.h"
#include "dataplane/mailbox.h"

/** A checksum over a table that is taken in steps. */
struct bl_replica_check {
    size_t offset;
    uint64_t sum;
};

struct bl_replica {
    struct bl_table *table;         /**< owned by this worker while it runs; allocated and freed by the main core */
    const struct bl_class *classes; /**< borrowed from the main core; it keeps them until the next ones are done */
    struct bl_message *current;     /**< a patch that is partly applied */
    struct bl_table_cursor cursor;
    struct bl_replica_check check;
    uint64_t round_asked; /**< of the checksum that is wanted; equal to round_done: none */
    /* The finished checksum: written before round_done (release), read after it (acquire) by the main core, which asks
     * for no other round in between. */
    uint64_t check_serial;
    uint64_t check_sum;
    uint64_t round_done;
};

/** Does the next step of what the mailbox holds: at most @p step_bytes of a patch. @return false when there was nothing
 * to do. Threads: owning worker. Cost: fast path; an empty mailbox costs one load. */
bool bl_replica_follow(struct bl_replica *replica, struct bl_mailbox *mailbox, size_t step_bytes);

/** Goes on with a wanted checksum for @p step_bytes. Threads: owning worker, in idle time. */
void bl_replica_check_step(struct bl_replica *replica, size_t step_bytes);

/** @return true with the result when @p round is done. Threads: main core only. */
bool bl_replica_check_result(const struct bl_replica *replica, uint64_t round, uint64_t *serial, uint64_t *sum);

/** The next step of a checksum over any table. @return true when it is complete: check->sum. Zero @p check first.
 * Threads: owner of the table. */
bool bl_replica_check_table(const struct bl_table *table, struct bl_replica_check *check, size_t step_bytes);

#endif
