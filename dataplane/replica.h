/** @file replica.h
 * A worker's own copy of the table and how it follows the main core's messages (mailbox → replica → lookups).
 *
 * A patch is applied in steps of bounded size between bursts, so that no packet waits for a large one; so are the bytes
 * of a region that is repaired. Such a region is of the replica's very serial: messages come in order, and the main core
 * sends it at the serial that it compared. The checksums of the replica's regions are computed in steps too, when there
 * is nothing else to do; a patch or repair that comes in between starts them anew, because they are only worth something
 * at one serial. */
#ifndef BL_REPLICA_H
#define BL_REPLICA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounceline/class.h"
#include "bounceline/table.h"
#include "dataplane/mailbox.h"

enum { BL_REPLICA_REGION_BYTES = 64 << 10 };

/** The checksums of a block's regions, the last of which may be shorter. */
struct bl_replica_sums {
    size_t room; /**< regions of the block that they are for */
    size_t n;    /**< that are summed; fewer than there are when the block's header is damaged: its size is not known */
    uint64_t sums[];
};

/** How far the sums have come. */
struct bl_replica_check {
    size_t offset;
    uint64_t sum; /**< of the region that it is in */
};

struct bl_replica {
    struct bl_table *table;         /**< owned by this worker while it runs; allocated and freed by the main core */
    size_t table_bytes;             /**< of its block, whatever its header says */
    const struct bl_class *classes; /**< borrowed from the main core; it keeps them until the next ones are done */
    struct bl_message *current;     /**< a patch or repair that is partly applied */
    struct bl_table_cursor cursor;
    struct bl_replica_check check;
    uint64_t round_asked; /**< of the checksums that are wanted; equal to round_done: none */
    /* The finished checksums: written before round_done (release), read after it (acquire) by the main core, which asks
     * for no other round in between. */
    struct bl_replica_sums *sums; /**< the main core's, handed over with the question */
    uint64_t check_serial;
    uint64_t round_done;
};

/** Does the next step of what the mailbox holds: at most @p step_bytes of a patch or repair. @return false when there was nothing
 * to do. Threads: owning worker. Cost: fast path; an empty mailbox costs one load. */
bool bl_replica_follow(struct bl_replica *replica, struct bl_mailbox *mailbox, size_t step_bytes);

/** Goes on with wanted checksums for @p step_bytes. Threads: owning worker, in idle time. */
void bl_replica_check_step(struct bl_replica *replica, size_t step_bytes);

/** @return the result when @p round is done, NULL before; the replica's own until the next question is collected.
 * Threads: main core only. */
const struct bl_replica_sums *bl_replica_check_result(const struct bl_replica *replica, uint64_t round,
                                                      uint64_t *serial);

/** Sums for a block of @p n_bytes, none summed yet; free() them. NULL: no memory. Threads: main core only. */
struct bl_replica_sums *bl_replica_create_sums(size_t n_bytes);

/** The next step of the checksums of any table. @return true when they are complete. Zero @p check first. Threads: owner of
 * the table. */
bool bl_replica_check_table(const struct bl_table *table, struct bl_replica_check *check, struct bl_replica_sums *sums,
                            size_t step_bytes);

#endif
