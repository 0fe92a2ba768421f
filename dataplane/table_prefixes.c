/* Which wide prefixes there are; see table_state.h. A hash table, at most half full: a word a prefix, so 16 to 32 bytes
 * of the main core's memory each. SipHash-1-3: who does not know the key can't build collisions. */
#include "dataplane/table_state.h"

#include <stdlib.h>

enum { BITS_MIN = 8, LENGTH_SHIFT = 32, CLASS_SHIFT = 40 };

#define KEY_MASK ((UINT64_C(1) << CLASS_SHIFT) - 1)

static uint64_t word_of(uint32_t bits, unsigned length)
{
    return bits | (uint64_t)(length + 1) << LENGTH_SHIFT;
}

static size_t home_of(const struct bl_siphash_key *key, uint64_t word, unsigned bits)
{
    uint64_t v[4] = {key->k0 ^ 0x736f6d6570736575ULL, key->k1 ^ 0x646f72616e646f6dULL, key->k0 ^ 0x6c7967656e657261ULL,
                     key->k1 ^ 0x7465646279746573ULL};

    v[3] ^= word & KEY_MASK;
    bl_siphash_round(v);
    v[0] ^= word & KEY_MASK;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        bl_siphash_round(v);
    return (size_t)((v[0] ^ v[1] ^ v[2] ^ v[3]) >> (64 - bits));
}

/* Where the word is or would go. */
static size_t find_slot(const struct bl_table_prefixes *prefixes, const struct bl_siphash_key *key, uint64_t word)
{
    size_t mask = ((size_t)1 << prefixes->bits) - 1;
    size_t at = home_of(key, word, prefixes->bits);

    while (prefixes->slots[at] != 0 && (prefixes->slots[at] & KEY_MASK) != word)
        at = (at + 1) & mask;
    return at;
}

int bl_table_prefixes_reserve(struct bl_table_prefixes *prefixes, const struct bl_siphash_key *key)
{
    struct bl_table_prefixes larger = *prefixes;

    if (prefixes->slots != NULL && prefixes->n < (UINT64_C(1) << prefixes->bits) / 2)
        return BL_OK;
    larger.bits = prefixes->slots == NULL ? BITS_MIN : prefixes->bits + 1;
    larger.slots = calloc((size_t)1 << larger.bits, sizeof(*larger.slots));
    if (larger.slots == NULL)
        return BL_ENOMEM;
    for (size_t i = 0; prefixes->slots != NULL && i < (size_t)1 << prefixes->bits; i++)
        if (prefixes->slots[i] != 0)
            larger.slots[find_slot(&larger, key, prefixes->slots[i] & KEY_MASK)] = prefixes->slots[i];
    free(prefixes->slots);
    *prefixes = larger;
    return BL_OK;
}

uint8_t bl_table_prefixes_find(const struct bl_table_prefixes *prefixes, const struct bl_siphash_key *key,
                               uint32_t bits, unsigned length)
{
    if (prefixes->n_lengths[length] == 0)
        return BL_CLASS_NONE;
    return (uint8_t)(prefixes->slots[find_slot(prefixes, key, word_of(bits, length))] >> CLASS_SHIFT);
}

/* Knuth, The Art of Computer Programming, volume 3, 6.4, algorithm R. */
static void remove_slot(struct bl_table_prefixes *prefixes, const struct bl_siphash_key *key, size_t hole)
{
    size_t mask = ((size_t)1 << prefixes->bits) - 1;

    for (size_t i = (hole + 1) & mask; prefixes->slots[i] != 0; i = (i + 1) & mask) {
        size_t home = home_of(key, prefixes->slots[i], prefixes->bits);

        if (((i - home) & mask) < ((i - hole) & mask))
            continue;
        prefixes->slots[hole] = prefixes->slots[i];
        hole = i;
    }
    prefixes->slots[hole] = 0;
}

void bl_table_prefixes_set(struct bl_table_prefixes *prefixes, const struct bl_siphash_key *key, uint32_t bits,
                           unsigned length, uint8_t class_id)
{
    uint64_t word = word_of(bits, length);
    size_t at = find_slot(prefixes, key, word);
    bool is_there = prefixes->slots[at] != 0;

    if (class_id != BL_CLASS_NONE) {
        prefixes->slots[at] = word | (uint64_t)class_id << CLASS_SHIFT;
        prefixes->n += !is_there;
        prefixes->n_lengths[length] += !is_there;
    } else if (is_there) {
        remove_slot(prefixes, key, at);
        prefixes->n--;
        prefixes->n_lengths[length]--;
    }
}

uint8_t bl_table_prefixes_cover(const struct bl_table_prefixes *prefixes, const struct bl_siphash_key *key,
                                uint32_t bits, unsigned length, unsigned least, uint8_t *rank)
{
    while (length-- > least) {
        uint8_t class_id;

        bits = length == 0 ? 0 : bits & UINT32_MAX << (32 - length);
        class_id = bl_table_prefixes_find(prefixes, key, bits, length);
        if (class_id != BL_CLASS_NONE) {
            *rank = (uint8_t)(length + 1);
            return class_id;
        }
    }
    *rank = 0;
    return BL_CLASS_NONE;
}
