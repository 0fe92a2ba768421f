/* The order-independent digest of an effective set; see digest.h. */
#include "bounceline/digest.h"

#include <string.h>

/* What one entry contributes: the same bytes in both planes, whatever the machine. Two SipHashes under different keys make
 * the two lanes independent; a word of both, then the next, so that a core works on the two at once: a list of ten million
 * is hashed at every start. */
static struct bl_digest entry_hash(uint64_t epoch, const struct bl_prefix *prefix, uint8_t class_id)
{
    const struct bl_siphash_key key_hi = {epoch, 0x626f756e63656869ULL};
    const struct bl_siphash_key key_lo = {epoch, 0x626f756e63656c6fULL};
    uint64_t words[3];
    uint64_t hi[4];
    uint64_t lo[4];

    memcpy(words, prefix->bytes, sizeof(prefix->bytes));
    words[2] = prefix->length | (uint64_t)prefix->family << 8 | (uint64_t)class_id << 16 |
               (uint64_t)(sizeof(prefix->bytes) + 3) << 56;
    bl_siphash_start(&key_hi, hi);
    bl_siphash_start(&key_lo, lo);
    for (int i = 0; i < 3; i++) {
        bl_siphash_word(hi, words[i]);
        bl_siphash_word(lo, words[i]);
    }
    return (struct bl_digest){.hi = bl_siphash_end(hi), .lo = bl_siphash_end(lo)};
}

void bl_digest_add(struct bl_digest *digest, uint64_t epoch, const struct bl_prefix *prefix, uint8_t class_id)
{
    struct bl_digest entry = entry_hash(epoch, prefix, class_id);

    digest->hi += entry.hi;
    digest->lo += entry.lo;
}

void bl_digest_remove(struct bl_digest *digest, uint64_t epoch, const struct bl_prefix *prefix, uint8_t class_id)
{
    struct bl_digest entry = entry_hash(epoch, prefix, class_id);

    digest->hi -= entry.hi;
    digest->lo -= entry.lo;
}
