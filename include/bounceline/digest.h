/** @file digest.h
 * The order-independent digest of an effective set: both planes keep one, and they are equal exactly when the sets are
 * (up to a chance of 2^-128 for sets that differ by accident).
 *
 * The digest is the sum, in two 64-bit lanes modulo 2^64, of a keyed hash of each (prefix, class). Adding and removing
 * are O(1), and the order does not matter. Keyed by the epoch: sets of two epochs never compare equal. Owner: one
 * thread. Cost: two SipHash calls an operation. */
#ifndef BL_DIGEST_H
#define BL_DIGEST_H

#include <stdbool.h>

#include "bounceline/address.h"
#include "bounceline/siphash.h"

struct bl_digest {
    uint64_t hi;
    uint64_t lo;
};

/** Adds the entry. The empty set's digest is {0, 0}. */
void bl_digest_add(struct bl_digest *digest, uint64_t epoch, const struct bl_prefix *prefix, uint8_t class_id);

/** Takes an entry out that was added with the same values. */
void bl_digest_remove(struct bl_digest *digest, uint64_t epoch, const struct bl_prefix *prefix, uint8_t class_id);

enum { BL_DIGEST_BATCH = 8 };

/** Entries that wait to be added together. Zero it. */
struct bl_digest_batch {
    uint64_t words[3][BL_DIGEST_BATCH];
    unsigned n;
};

/** As bl_digest_add, when the batch is full or ended: for a list that is loaded; the hashes of eight entries run in the lanes
 * of wide registers (AVX-512, AVX2 where the CPU has them). */
void bl_digest_batch_add(struct bl_digest_batch *batch, struct bl_digest *digest, uint64_t epoch,
                         const struct bl_prefix *prefix, uint8_t class_id);
void bl_digest_batch_end(struct bl_digest_batch *batch, struct bl_digest *digest, uint64_t epoch);

static inline bool bl_digest_equal(const struct bl_digest *a, const struct bl_digest *b)
{
    return a->hi == b->hi && a->lo == b->lo;
}

#endif
