/** @file reject_ring.h
 * The last rejects that were told, by number, for who asks why (rejects.c owns one; ingest.c asks through it).
 *
 * A fixed array that wraps around: the newest takes the oldest one's place. Numbers count up from 1 and are never given
 * twice, so that a number is a cursor, and a gap behind it is known by its size. Pure. Threads: one at a time. */
#ifndef BL_REJECT_RING_H
#define BL_REJECT_RING_H

#include <stdbool.h>

#include "controlplane/codec_sync.h"

enum { BL_REJECT_SOURCE_MAX = 64 /**< of a listing's source, with NUL */ };

/** A sample, with what the control plane knows about it. */
struct bl_reject {
    uint64_t id;
    struct bl_codec_sync_reject sample;
    struct bl_prefix listing; /**< family BL_FAMILY_NONE: no listing of that meaning covers the source any more */
    char listing_source[BL_REJECT_SOURCE_MAX];
    char dataplane[BL_CODEC_SYNC_NAME_MAX];
    uint16_t code;  /**< 0: the class is no longer in use */
    uint8_t action; /**< enum bl_action */
};

struct bl_reject_ring;

/** @param n_max rejects are kept. @return 0 or BL_ENOMEM. */
int bl_reject_ring_create(struct bl_reject_ring **out, uint32_t n_max);
void bl_reject_ring_free(struct bl_reject_ring *ring);

/** Copies @p reject in under the next number, which is also written to reject->id. */
void bl_reject_ring_push(struct bl_reject_ring *ring, struct bl_reject *reject);

struct bl_reject_query {
    uint64_t after;          /**< 0: the newest that fit; else those behind this number, the oldest first */
    struct bl_prefix prefix; /**< family BL_FAMILY_NONE: all sources */
    bool all_stages;         /**< else only what bl_verdict_is_final, and reasons of other versions */
    int64_t since_ms;
};

struct bl_reject_answer {
    uint64_t next; /**< the cursor behind what was looked at */
    uint64_t n_lost;
    bool more;
    size_t n;
};

/** Copies up to @p max of what the query asks for, by number. Cost: up to a walk of the ring. */
void bl_reject_ring_find(const struct bl_reject_ring *ring, const struct bl_reject_query *query, struct bl_reject *out,
                         size_t max, struct bl_reject_answer *answer);

#endif
