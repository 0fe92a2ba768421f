/** @file sketch.h
 * Who has the most, in bounded memory: the Space-Saving sketch (Metwally, Agrawal, El Abbadi: Efficient Computation of
 * Frequent and Top-k Elements in Data Streams, 2005), with weights. rejects.c has one for sources, one for listings.
 *
 * k entries count exactly until there are more keys than that; then a new key takes the place of the least, with its
 * count as the new one's error. What is added may be a guess: a sample stands for `weight` events, and only `own` of them
 * are known to be the key's; the others count as error too. Whatever the stream, with N the sum of all weights:
 *   - count - error ≤ what the key really has;
 *   - while all that is added is its key's own: what the key really has ≤ count, error ≤ N / k, and a key that really
 *     has more than N / k is in. With guesses this holds of what was added under a key, not of what the key has.
 * Keys are hashed with a secret, so that nobody chooses sources that fall together. Pure. Threads: one at a time. Cost:
 * an add is a hash, a short chain and a walk of the heap: log2 k steps. */
#ifndef BL_SKETCH_H
#define BL_SKETCH_H

#include <stddef.h>
#include <stdint.h>

#include "bounceline/siphash.h"

enum { BL_SKETCH_KEY_MAX = 84 };

struct bl_sketch;

struct bl_sketch_item {
    uint64_t count;
    uint64_t error;                 /**< of which so many may not be its own */
    int64_t last_ms;                /**< the latest */
    uint8_t key[BL_SKETCH_KEY_MAX]; /**< key_bytes of it */
};

/** @param key_bytes of every key, at most BL_SKETCH_KEY_MAX. @return 0 or BL_ENOMEM. */
int bl_sketch_create(struct bl_sketch **out, uint32_t n_entries, uint32_t key_bytes, struct bl_siphash_key secret);
void bl_sketch_free(struct bl_sketch *sketch);

/** @p key borrows key_bytes; @p now_ms, not negative, is kept as the key's last, unless one that was
 * added before is later: workers' samples come out of order. A sum that would overflow stays at its largest.
 * @param own how much of @p weight is the key's for sure; at most all of it */
void bl_sketch_add(struct bl_sketch *sketch, const void *key, uint64_t weight, uint64_t own, int64_t now_ms);

/** @return 0, or BL_ENOENT: not counted, so that it has at most the least entry's count. */
int bl_sketch_find(const struct bl_sketch *sketch, const void *key, struct bl_sketch_item *item);

/** Up to @p max items, the largest count first; equal ones by key, so that two calls show the same order.
 * @return how many. */
size_t bl_sketch_top(const struct bl_sketch *sketch, struct bl_sketch_item *items, size_t max);

/** N, the sum of all weights; and k. */
uint64_t bl_sketch_total(const struct bl_sketch *sketch);
uint32_t bl_sketch_entries_max(const struct bl_sketch *sketch);

#endif
