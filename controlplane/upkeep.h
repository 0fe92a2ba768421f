/** @file upkeep.h
 * What the log needs beside traffic: snapshots written, old records deleted (writer → upkeep → view, log).
 *
 * The writer only forks a view of the list (view.h) when a snapshot is due; the thread here reads it, encodes it in parts
 * of BL_UPKEEP_PART_BYTES and adds them to the log one by one, so that an append waits for one part at most. Then it
 * sweeps the old snapshot, and deletes records that are older than controlplane.log_kept_days and covered by the snapshot,
 * BL_LOG_DROP_MAX at a time. A snapshot that does not fit on the disk costs time at the next start and nothing else; an
 * error that leaves the log in doubt ends the program, as in the writer.
 *
 * Threads: one of its own; the others' duty is said below. */
#ifndef BL_UPKEEP_H
#define BL_UPKEEP_H

#include "controlplane/store.h"

enum { BL_UPKEEP_PART_BYTES = 256 << 10 };

struct bl_upkeep;
struct bl_view;

/** Starts the thread. @return 0, BL_ENOMEM or BL_EIO. */
int bl_upkeep_create(struct bl_upkeep **out, struct bl_store *store);

/** Ends it, with a snapshot that is not whole yet. */
void bl_upkeep_free(struct bl_upkeep *upkeep);

/** Begins a snapshot of the list as it is when enough records have come since the last, and none is being written.
 * Threads: writer only, between two groups. */
void bl_upkeep_begin_snapshot(struct bl_upkeep *upkeep);

/** Writes a snapshot from @p view, which must have the answers too. For the thread here, and for tests. @return 0,
 * BL_ECLOSED: @p stop was set; or the view's, the codec's or the log's error. */
int bl_upkeep_write_snapshot(struct bl_store *store, uint64_t serial, struct bl_view *view, const atomic_bool *stop,
                             struct bl_error_detail *detail);

/** Deletes records from before @p before_ms, one transaction. @return 1: there may be more; 0: there are none; or the
 * log's error. */
int bl_upkeep_drop(struct bl_store *store, int64_t before_ms, struct bl_error_detail *detail);

#endif
