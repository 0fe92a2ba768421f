/** @file sync_snapshot.h
 * The effective set on its way to one data plane, a slice at a time (sync_peer → sync_snapshot → list_state, frames).
 *
 * Neither a copy of the set nor a lock for as long as it takes: each slice is read when the data plane has room for it,
 * under the read lock, BL_SYNC_SNAPSHOT_SLICE entries. So the writer waits for one slice at most, updates go on, and the
 * memory of a snapshot is that of one chunk, whatever the list's size. Meanwhile the list changes: a slice is of another
 * serial than the one before. The deltas between the two, sent behind the slice, make it one state again: what was read
 * already gets the changes, what is still to come is read with them in it, and a change that is made twice is made. The
 * last chunk says the serial, the digest and the count that all of it leads to.
 *
 * Threads: sync thread only. */
#ifndef BL_SYNC_SNAPSHOT_H
#define BL_SYNC_SNAPSHOT_H

#include "controlplane/codec_sync.h"
#include "controlplane/frames.h"
#include "controlplane/store.h"

/** About 1 ms of the read lock, 48 KiB of IPv4. */
enum { BL_SYNC_SNAPSHOT_SLICE = 8192 };

_Static_assert((int)BL_SYNC_SNAPSHOT_SLICE <= (int)BL_CODEC_SYNC_ENTRIES_MAX, "a slice goes into one frame");

/** Zero it to begin. */
struct bl_sync_snapshot {
    struct bl_list_cursor cursor;
    uint32_t n_chunks;    /**< that were made; 0: not begun */
    uint64_t read_serial; /**< of the slice that was read last: deltas up to here come before the next */
};

/** Makes the next chunk, which is sent behind everything up to serial @p sent (of the first: whatever it is). The chunk's
 * serial is the one that all leads to when it is taken in: @p sent, but for the first. @return 0; BL_EAGAIN: the deltas
 * from @p sent to read_serial first; or BL_ENOMEM. */
int bl_sync_snapshot_next(struct bl_sync_snapshot *snapshot, struct bl_store *store, uint64_t sent, bool *last,
                          struct bl_frames **chunk);

#endif
