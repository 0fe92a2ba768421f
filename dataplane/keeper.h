/** @file keeper.h
 * Keeps the table file up to date (master → keeper → table_file).
 *
 * The main core notes what it takes in anyway, the entries of snapshots and deltas, 8 or 24 bytes each: no walk over the
 * table, no copy of it. A thread has the whole set in two sorted columns, merges into it what was noted, and writes it
 * when it is time. So whatever a list's size, the main core's part is to append, and to take a lock that the thread
 * holds for the swap of a pointer: sorting, checksums and the disk cost no acknowledgement any time. The thread runs
 * where DPDK's control threads do, never on a worker's core, and gives way to the main core. What it costs is memory:
 * 8 bytes an IPv4 entry, 24 an IPv6 one, for a moment twice that while it merges.
 *
 * It writes within a tick after a change, but never sooner than `least` after the last write, and at the end. What it
 * writes has the digest that the control plane gave for its serial; a set that has not, because a bit flipped in it, is
 * never written: the keeper says so and waits for the next snapshot. A failure to write is said once, counted, and tried
 * again after `least`. Threads: main core only, where nothing else is said. */
#ifndef BL_KEEPER_H
#define BL_KEEPER_H

#include "dataplane/table_file.h"

struct bl_keeper;

struct bl_keeper_options {
    const char *path;  /**< borrowed for as long as the keeper lives */
    uint32_t least_ms; /**< between two writes */
    uint32_t tick_ms;  /**< how often the thread looks */
};

struct bl_keeper_counts {
    uint64_t n_writes;
    uint64_t n_failures; /**< of writing, and sets that could not be kept */
};

/** Starts the thread. @p table is what the file holds now, epoch 0 for nothing; taken on success. @return 0 or BL_ENOMEM.
 * Threads: main core, after DPDK has started. */
int bl_keeper_create(struct bl_keeper **out, const struct bl_keeper_options *options, struct bl_table_file *table);

/** A snapshot (@p whole) or delta begins; one that has not ended is forgotten. @p keeper may be NULL, here and below:
 * then nothing is kept. */
void bl_keeper_begin(struct bl_keeper *keeper, bool whole);

/** An entry of it. Can't fail: what finds no memory shows later, as a set that can't be kept. */
void bl_keeper_note(struct bl_keeper *keeper, const struct bl_table_entry *entry);

/** It is complete: the state is @p held now, with @p classes (copied) unless NULL: as before. */
void bl_keeper_end(struct bl_keeper *keeper, const struct bl_held *held, const struct bl_class *classes);

/** Writes what is not written yet, waits for that, and ends the thread: nothing is noted after this. */
void bl_keeper_stop(struct bl_keeper *keeper);

/** Stops it, if that was not done. */
void bl_keeper_free(struct bl_keeper *keeper);

/** Threads: any. */
struct bl_keeper_counts bl_keeper_counts(const struct bl_keeper *keeper);

#endif
