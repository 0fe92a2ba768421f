/** @file table_layout.h
 * The bytes of a replica and of a patch: what table.c reads and table_build.c writes. Nobody else includes this, tests
 * of damage and of collisions excepted.
 *
 *   block:  header, 128 bytes │ IPv4 slots, 1 word each │ IPv6 slots, 3 words each        (a word: 8 bytes)
 *   patch:  head │ group: word count │ write: place and count, words... │ write ... │ group ...
 *
 * Each family has an open-addressing hash table of its prefixes, keyed (length, masked address), linear probing, at
 * most half full. A slot's home is a keyed hash, SipHash-1-3: who does not know the key can't build collisions.
 * Invariants of a sound block, all kept by table_build.c at every group boundary:
 *   - between a slot's home and its place no slot is empty, and fewer than BL_TABLE_LAYOUT_PROBE_MAX slots lie there;
 *   - the header's bit of a length is set exactly when a slot of that length exists;
 *   - every unused bit is zero: blocks that were built by the same changes compare equal with memcmp.
 * A lookup relies on none of them for its safety: the number of slots comes from `geometry`, which is only believed
 * when `seal` agrees, and every index is cut to that number. */
#ifndef BL_TABLE_LAYOUT_H
#define BL_TABLE_LAYOUT_H

#include "bounceline/siphash.h"
#include "bounceline/table.h"

#define BL_TABLE_LAYOUT_MAGIC 0x454c4241542d4c42ULL /* "BL-TABLE" in memory */
#define BL_TABLE_LAYOUT_VERSION 1u

/** log2 of the slots of one family: at least, for BL_TABLE_ENTRIES_MAX entries, and at most. */
#define BL_TABLE_LAYOUT_BITS_MIN 10u
#define BL_TABLE_LAYOUT_BITS_ALL 25u
#define BL_TABLE_LAYOUT_BITS_MAX 26u

/** No slot is further from its home. At half load a run of 256 has a chance below 1e-20 a slot: who meets one has met
 * an attack or a bug, and gets a block with a new key. */
#define BL_TABLE_LAYOUT_PROBE_MAX 256u

/** Slots that the removal of one prefix may move; more and the block is built anew with another key. */
#define BL_TABLE_LAYOUT_MOVES_MAX 256u

#define BL_TABLE_LAYOUT_IPV4_WORDS 1u
#define BL_TABLE_LAYOUT_IPV6_WORDS 3u

struct bl_table {
    uint64_t magic;
    uint64_t version;
    uint64_t geometry; /**< IPv4 bits, IPv6 bits << 8; sizes and places follow from it */
    uint64_t seal;     /**< of the geometry: see bl_table_layout_seal */
    uint64_t epoch;
    uint64_t serial;
    struct bl_siphash_key key;
    uint64_t lengths_ipv4;    /**< bit n: a /n exists */
    uint64_t lengths_ipv6[3]; /**< bit n % 64 of word n / 64 */
    uint64_t unused[4];
};

_Static_assert(sizeof(struct bl_table) == 2 * BL_TABLE_ALIGN, "slots start on a cache line");
_Static_assert((1u << (BL_TABLE_LAYOUT_BITS_ALL - 1)) >= BL_TABLE_ENTRIES_MAX, "all entries fit at half load");

/** The last word of a slot: for IPv4 the address, then, for both, the length + 1 and the class. 0: empty slot. Words 0
 * and 1 of an IPv6 slot are the address. */
#define BL_TABLE_LAYOUT_LENGTH_SHIFT 48
#define BL_TABLE_LAYOUT_CLASS_SHIFT 56
#define BL_TABLE_LAYOUT_KEY_MASK ((UINT64_C(1) << BL_TABLE_LAYOUT_CLASS_SHIFT) - 1)

/** Bits that a length mask may have: damage above them would become a length that does not exist. */
#define BL_TABLE_LAYOUT_LENGTHS_IPV4 ((UINT64_C(1) << 33) - 1)
#define BL_TABLE_LAYOUT_LENGTHS_IPV6_LAST UINT64_C(1)

/** A slot, or the key of one (class 0). IPv4 uses the first word only. */
struct bl_table_slot {
    uint64_t words[BL_TABLE_LAYOUT_IPV6_WORDS];
};

/** Where a family's slots are. */
struct bl_table_area {
    size_t first;     /**< word of the block */
    unsigned n_words; /**< of one slot */
    unsigned bits;    /**< log2 of the slots */
};

/** Changes between two states of one block. A group is one word, the number of words behind it, and writes; a write is
 * one word (place in words | count << 32) and its content. */
struct bl_table_patch {
    uint64_t epoch;
    uint64_t geometry;
    struct bl_siphash_key key; /**< the block's: a rebuilt block has another, so that old patches do not fit it */
    uint64_t from_serial;
    uint64_t serial;
    size_t n_words;
    uint64_t words[];
};

#define BL_TABLE_LAYOUT_WRITE_SHIFT 32

/** A removal's moves with the slot that is emptied, one length mask, and the group's own word. */
_Static_assert(8 * (1 + 2 + (BL_TABLE_LAYOUT_MOVES_MAX + 1) * (1 + BL_TABLE_LAYOUT_IPV6_WORDS)) <= BL_TABLE_GROUP_MAX,
               "the largest group keeps the promise of table.h");

/** Two words that agree by accident have a chance of 2^-64: bit rot in either is seen. */
static inline uint64_t bl_table_layout_seal(uint64_t geometry)
{
    return (geometry ^ BL_TABLE_LAYOUT_MAGIC) * 0x9e3779b97f4a7c15ULL;
}

static inline uint64_t bl_table_layout_geometry(unsigned ipv4_bits, unsigned ipv6_bits)
{
    return (uint64_t)ipv4_bits | (uint64_t)ipv6_bits << 8;
}

/** True when the geometry may be believed. */
static inline bool bl_table_layout_sound(uint64_t geometry, uint64_t seal)
{
    uint64_t ipv4_bits = geometry & 0xff;
    uint64_t ipv6_bits = geometry >> 8;

    return seal == bl_table_layout_seal(geometry) && ipv4_bits >= BL_TABLE_LAYOUT_BITS_MIN &&
           ipv4_bits <= BL_TABLE_LAYOUT_BITS_MAX && ipv6_bits >= BL_TABLE_LAYOUT_BITS_MIN &&
           ipv6_bits <= BL_TABLE_LAYOUT_BITS_MAX;
}

static inline struct bl_table_area bl_table_layout_ipv4(uint64_t geometry)
{
    return (struct bl_table_area){
        .first = sizeof(struct bl_table) / sizeof(uint64_t),
        .n_words = BL_TABLE_LAYOUT_IPV4_WORDS,
        .bits = (unsigned)(geometry & 0xff),
    };
}

static inline struct bl_table_area bl_table_layout_ipv6(uint64_t geometry)
{
    struct bl_table_area before = bl_table_layout_ipv4(geometry);

    return (struct bl_table_area){
        .first = before.first + ((size_t)before.n_words << before.bits),
        .n_words = BL_TABLE_LAYOUT_IPV6_WORDS,
        .bits = (unsigned)(geometry >> 8),
    };
}

/** Bytes of a block of sound geometry. */
static inline size_t bl_table_layout_size(uint64_t geometry)
{
    struct bl_table_area last = bl_table_layout_ipv6(geometry);

    return sizeof(uint64_t) * (last.first + ((size_t)last.n_words << last.bits));
}

/** The key of (address, length); the address has no bits behind the length. */
static inline struct bl_table_slot bl_table_layout_key_ipv4(uint32_t address, unsigned length)
{
    return (struct bl_table_slot){{address | (uint64_t)(length + 1) << BL_TABLE_LAYOUT_LENGTH_SHIFT}};
}

static inline struct bl_table_slot bl_table_layout_key_ipv6(struct bl_ip6 address, unsigned length)
{
    return (struct bl_table_slot){{address.hi, address.lo, (uint64_t)(length + 1) << BL_TABLE_LAYOUT_LENGTH_SHIFT}};
}

/** The slot where the search for a key starts. SipHash-1-3 without its length block: the keys of one family all have
 * one length. Cost: 4 rounds for IPv4, 6 for IPv6. */
static inline size_t bl_table_layout_home(const struct bl_siphash_key *key, const uint64_t *words, unsigned n_words,
                                          unsigned bits)
{
    uint64_t v[4] = {key->k0 ^ 0x736f6d6570736575ULL, key->k1 ^ 0x646f72616e646f6dULL, key->k0 ^ 0x6c7967656e657261ULL,
                     key->k1 ^ 0x7465646279746573ULL};

    for (unsigned i = 0; i < n_words; i++) {
        uint64_t word = i + 1 == n_words ? words[i] & BL_TABLE_LAYOUT_KEY_MASK : words[i];

        v[3] ^= word;
        bl_siphash_round(v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        bl_siphash_round(v);
    return (size_t)((v[0] ^ v[1] ^ v[2] ^ v[3]) >> (64 - bits));
}

/** True when the slot holds the key. */
static inline bool bl_table_layout_match(const uint64_t *slot, const uint64_t *key, unsigned n_words)
{
    uint64_t different = (slot[n_words - 1] ^ key[n_words - 1]) & BL_TABLE_LAYOUT_KEY_MASK;

    for (unsigned i = 0; i + 1 < n_words; i++)
        different |= slot[i] ^ key[i];
    return different == 0;
}

#endif
