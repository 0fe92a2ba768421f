/** @file ring.h
 * The recent deltas, so that a data plane that was away for a moment needs no snapshot (publish.c owns one).
 *
 * Bounded by bytes; the oldest go first, the newest always stays. The deltas are consecutive: each starts where the one
 * before it ended. Threads: none of its own; publish.c's lock. */
#ifndef BL_RING_H
#define BL_RING_H

#include "controlplane/frames.h"

struct bl_ring;

int bl_ring_create(struct bl_ring **out, size_t bytes_max);
void bl_ring_free(struct bl_ring *ring);

/** Takes the caller's reference. A delta that does not follow the last one empties the ring first. */
void bl_ring_push(struct bl_ring *ring, struct bl_frames *delta);

/** Forgets all. */
void bl_ring_clear(struct bl_ring *ring);

/** The delta that starts at @p serial; NULL when there is none. Not a new reference. Cost: a binary search. */
struct bl_frames *bl_ring_find(const struct bl_ring *ring, uint64_t serial);

/** The digest at @p serial, where a delta of the ring ends there. @return 0 or BL_ENOENT. */
int bl_ring_find_digest(const struct bl_ring *ring, uint64_t serial, struct bl_digest *digest);

#endif
