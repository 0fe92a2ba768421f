/** @file table_layout.h
 * The bytes of a replica and of a patch: what the lookups (table_lookup_*.c) read and the master (table_build.c and the
 * files that it names) writes. Nobody else includes this, tests of damage and of collisions excepted.
 *
 *   block:  header │ IPv4: bits, index, host lines, map, arena │ IPv6: bits, index, filter, short, long, rest, arena
 *   patch:  head │ group: word count │ write: place and count, words... │ write ... │ group ...     (a word: 8 bytes)
 *
 * IPv4. Hosts (/32) lie in HOST LINES of 64 bytes, 21 a line: 21 tags of 16 bits, then a byte each of 2 or 4 more tag
 * bits and the class (or its number in the palette), then a zero byte. A keyed permutation of the address gives the line
 * (high part times number of lines) and the tag (low bits): both together are the address, so a match is exact. The
 * slots of a line are used from the first on. A host that finds its line full lies in the ranges. Fewer than
 * BL_TABLE_LAYOUT_HOSTS_MIN hosts: no lines, all in the ranges.
 * All other prefixes are RANGES. A BIT a /18 says whether anything is there: 32 KiB that stay near; a bit a /16, 8 KiB,
 * where there are no host lines or a map. The index has one entry a /16: the class of the longest prefix up to /16, and what lies
 * below it: nothing, a container of up to 5, 10 or 21 sorted boundaries with the classes between them (0: nothing
 * longer than /16), or a node of 16 entries for the next 4 bits. One container is at most one cache line.
 * The MAP, from BL_TABLE_LAYOUT_MAP_MIN hosts on, has two bits a /24: hosts in the lines, ranges in the arena. With it
 * the bit of a /16 tells of a class in the index alone.
 *
 * IPv6. Prefixes up to /32 are ranges of the first 32 bits. Longer ones lie in lines of 64 bytes, keyed and exact like
 * the hosts: SHORT ones (/33 to /64) 8 a line, a word each; LONG ones 4 a line, two words each. Who finds its line full
 * lies in the line beside it, then in the REST, a small hash table of whole prefixes. The FILTER says which lengths can
 * occur. A far entry, found by a hash of the first 32 bits, has a bit for each length up to /47 and one, the gate, for
 * all that is longer; a near one, by the first 48 bits, has bits for those, of one length or several each.
 *
 * Safety does not rest on any of this: sizes come from the geometry, which is believed only when `seal` agrees, and
 * every place that is read from the block is cut to its area. All unused bytes are what the changes left there, so that
 * blocks that saw the same changes compare equal with memcmp. */
#ifndef BL_TABLE_LAYOUT_H
#define BL_TABLE_LAYOUT_H

#include "bounceline/siphash.h"
#include "bounceline/table.h"

#define BL_TABLE_LAYOUT_MAGIC 0x454c4241542d4c42ULL /* "BL-TABLE" in memory */
#define BL_TABLE_LAYOUT_VERSION 3u

#define BL_TABLE_LAYOUT_LINE 64u
/** Hosts of one line; its tag bytes; where its class bytes start. */
#define BL_TABLE_LAYOUT_HOSTS 21u
#define BL_TABLE_LAYOUT_SIDE (2 * BL_TABLE_LAYOUT_HOSTS)
_Static_assert(3 * BL_TABLE_LAYOUT_HOSTS + 1 == BL_TABLE_LAYOUT_LINE, "a line ends with its zero byte");

/** Tags of 16 + 4 bits (palette): a line may stand for 2^20 addresses; 16 + 2: for 2^18. */
#define BL_TABLE_LAYOUT_LINES_PALETTE 4096u
#define BL_TABLE_LAYOUT_LINES_PLAIN 16384u
#define BL_TABLE_LAYOUT_LINES_MAX (1u << 22)
#define BL_TABLE_LAYOUT_PALETTE 16u

#define BL_TABLE_LAYOUT_HOSTS_MIN 6000u
#define BL_TABLE_LAYOUT_MAP_MIN (2u << 20)
#define BL_TABLE_LAYOUT_MAP_BYTES ((size_t)1 << 22)

/** The word of a short prefix, the second word of a long one: these low bits of the permuted word, the length, the
 * class. With 53 bits kept a pair of lines may stand for 2^53 permuted words, with 52 for 2^52. A class of 0: empty
 * (all zero), or a slot that was left so that its line still counts as full (BL_TABLE_LAYOUT_LEFT). */
#define BL_TABLE_LAYOUT_SHORT_KEPT 53u
#define BL_TABLE_LAYOUT_LONG_KEPT 52u
#define BL_TABLE_LAYOUT_DEEP_CLASS_SHIFT 58u
#define BL_TABLE_LAYOUT_LEFT UINT64_C(1)
#define BL_TABLE_LAYOUT_SHORT_FIRST 33u
#define BL_TABLE_LAYOUT_LONG_FIRST 65u
#define BL_TABLE_LAYOUT_SHORT_LINES_MIN 4096u
#define BL_TABLE_LAYOUT_LONG_LINES_MIN 8192u
#define BL_TABLE_LAYOUT_DEEP_LINES_MAX (1u << 24)
#define BL_TABLE_LAYOUT_SHORTS 8u
#define BL_TABLE_LAYOUT_LONGS 4u
#define BL_TABLE_LAYOUT_REST_MIN 64u
#define BL_TABLE_LAYOUT_REST_MAX (1u << 20)
#define BL_TABLE_LAYOUT_REST_PROBES 64u
#define BL_TABLE_LAYOUT_FILTER_MIN 10u
#define BL_TABLE_LAYOUT_FILTER_MAX 20u
#define BL_TABLE_LAYOUT_FILTER_BITS 16u
#define BL_TABLE_LAYOUT_FILTER_GATE 15u
#define BL_TABLE_LAYOUT_FILTER_NEAR 48u /* the first length of the near entries */
#define BL_TABLE_LAYOUT_FILTER_FEWER 2u /* far entries are fewer than near ones by so many bits */

#define BL_TABLE_LAYOUT_INDEX 65536u
#define BL_TABLE_LAYOUT_UNITS_MAX (1u << 23)
enum bl_table_option { BL_TABLE_OPTION_MAP = 1, BL_TABLE_OPTION_PALETTE = 2, BL_TABLE_OPTION_IPV6 = 4 };

/** What the sizes and places follow from. */
struct bl_table_geometry {
    uint32_t options;     /**< enum bl_table_option */
    uint32_t host_lines;  /**< 0: hosts are ranges */
    uint32_t ipv4_units;  /**< of the arena: lines of 64 bytes, the last one unused */
    uint32_t ipv6_units;  /**< the same; with option IPV6, as all that follows */
    uint32_t filter_bits; /**< log2 of its near entries */
    uint32_t short_lines; /**< even, or 0 */
    uint32_t long_lines;  /**< even, or 0 */
    uint32_t rest_slots;  /**< a power of two */
};

/** The keys of the block: none of them is ever sent anywhere. Multipliers are odd. */
struct bl_table_keys {
    uint32_t host_mask;
    uint32_t host_multipliers[2];
    uint32_t filter_multiplier;
    uint64_t deep_mask;
    uint64_t deep_multipliers[2];
    uint64_t length_multiplier;
};

/** Lengths that one bit of a filter's entry stands for: bit n % 64 of word n / 64, for /(n + 1). */
struct bl_table_lengths {
    uint64_t words[2];
};

struct bl_table {
    uint64_t magic;
    uint64_t version;
    struct bl_table_geometry geometry;
    uint64_t seal; /**< of the geometry: see bl_table_layout_seal */
    uint64_t epoch;
    uint64_t serial;
    uint64_t generation; /**< random-like, of the block: a rebuilt one has another, so that old patches do not fit it */
    struct bl_table_keys keys;
    uint8_t palette[BL_CLASS_COUNT];
    struct bl_table_lengths lengths[BL_TABLE_LAYOUT_FILTER_BITS];
};

_Static_assert(sizeof(struct bl_table) % BL_TABLE_ALIGN == 0, "areas start on a cache line");

/** Changes between two states of one block. A group is one word, the number of words behind it, and writes; a write is
 * one word (place in words | count << 32) and its content. */
struct bl_table_patch {
    uint64_t epoch;
    uint64_t seal; /**< equal seals: equal geometry */
    uint64_t generation;
    uint64_t from_serial;
    uint64_t serial;
    size_t n_words;
    uint64_t words[];
};

#define BL_TABLE_LAYOUT_WRITE_SHIFT 32

/* An entry of an index or node: class (in an index: of the longest prefix up to /16; in a node: of the leaf), what lies
 * below, and where in the arena: in units of 16 bytes for the smallest kind of container, 32, then 64. */
enum bl_table_kind {
    BL_TABLE_KIND_LEAF,
    BL_TABLE_KIND_SMALL,
    BL_TABLE_KIND_MIDDLE,
    BL_TABLE_KIND_LARGE,
    BL_TABLE_KIND_NODE,
    BL_TABLE_KINDS
};

#define BL_TABLE_ENTRY_CLASS 0x3fu
#define BL_TABLE_ENTRY_KIND_SHIFT 6
#define BL_TABLE_ENTRY_PLACE_SHIFT 9
#define BL_TABLE_NODE_BITS 4u
#define BL_TABLE_NODE_ENTRIES 16u
#define BL_TABLE_BOUNDARIES_MAX 21u

static inline unsigned bl_table_entry_kind(uint32_t entry)
{
    return entry >> BL_TABLE_ENTRY_KIND_SHIFT & 7;
}

/** log2 of the bytes of a kind, any value of it. */
static inline unsigned bl_table_kind_shift(unsigned kind)
{
    return kind < BL_TABLE_KIND_LARGE ? kind + 3 : 6;
}

/** Where in the arena, cut to it: @p last is the place of its last line, which nothing uses. */
static inline uint32_t bl_table_entry_place(uint32_t entry, uint32_t last)
{
    uint32_t place = entry >> BL_TABLE_ENTRY_PLACE_SHIFT << bl_table_kind_shift(bl_table_entry_kind(entry));

    return place < last ? place : last;
}

/** Boundaries that a kind of container has; its classes follow them. */
static inline unsigned bl_table_kind_boundaries(unsigned kind)
{
    return kind == BL_TABLE_KIND_SMALL ? 5 : kind == BL_TABLE_KIND_MIDDLE ? 10 : BL_TABLE_BOUNDARIES_MAX;
}

/** log2 of the addresses that one of the bits is about: finer where each that is set for no reason costs a host's miss
 * two accesses more. IPv6: 16. */
static inline unsigned bl_table_bits_shift(const struct bl_table_geometry *geometry)
{
    return geometry->host_lines != 0 && (geometry->options & BL_TABLE_OPTION_MAP) == 0 ? 14 : 16;
}

static inline size_t bl_table_bits_bytes(unsigned shift)
{
    return ((size_t)1 << (32 - shift)) / 8;
}

/** Places of the areas in a block of sound geometry, in bytes; an area ends where the next one starts. */
struct bl_table_areas {
    size_t ipv4_bits;
    size_t ipv4_index;
    size_t host_lines;
    size_t map;
    size_t ipv4_arena;
    size_t ipv6_bits;
    size_t ipv6_index;
    size_t filter;
    size_t short_lines;
    size_t long_lines;
    size_t rest;
    size_t ipv6_arena;
    size_t end;
};

/** A slot of the rest: the address, then length and class; class 0 and length 0: never used. */
struct bl_table_rest {
    struct bl_ip6 address;
    uint8_t length;
    uint8_t class_id;
    uint8_t unused[14];
};
_Static_assert(sizeof(struct bl_table_rest) == 32, "two a line");

/** Far and near. */
static inline size_t bl_table_filter_entries(uint32_t bits)
{
    return ((size_t)1 << bits) + ((size_t)1 << (bits - BL_TABLE_LAYOUT_FILTER_FEWER));
}

static inline struct bl_table_areas bl_table_layout_areas(const struct bl_table_geometry *geometry)
{
    const size_t line = BL_TABLE_LAYOUT_LINE;
    const size_t index = BL_TABLE_LAYOUT_INDEX * sizeof(uint32_t);
    struct bl_table_areas areas = {.ipv4_bits = sizeof(struct bl_table)};

    areas.ipv4_index = areas.ipv4_bits + bl_table_bits_bytes(bl_table_bits_shift(geometry));
    areas.host_lines = areas.ipv4_index + index;
    areas.map = areas.host_lines + geometry->host_lines * line;
    areas.ipv4_arena = areas.map + ((geometry->options & BL_TABLE_OPTION_MAP) != 0 ? BL_TABLE_LAYOUT_MAP_BYTES : 0);
    areas.ipv6_bits = areas.ipv4_arena + geometry->ipv4_units * line;
    areas.end = areas.ipv6_bits;
    if ((geometry->options & BL_TABLE_OPTION_IPV6) == 0)
        return areas;
    areas.ipv6_index = areas.ipv6_bits + bl_table_bits_bytes(16);
    areas.filter = areas.ipv6_index + index;
    areas.short_lines = areas.filter + sizeof(uint16_t) * bl_table_filter_entries(geometry->filter_bits);
    areas.long_lines = areas.short_lines + geometry->short_lines * line;
    areas.rest = areas.long_lines + geometry->long_lines * line;
    areas.ipv6_arena = areas.rest + geometry->rest_slots * sizeof(struct bl_table_rest);
    areas.end = areas.ipv6_arena + geometry->ipv6_units * line;
    return areas;
}

/** Words that agree by accident have a chance of 2^-64: bit rot in either is seen. */
static inline uint64_t bl_table_layout_seal(const struct bl_table_geometry *geometry)
{
    uint64_t words[sizeof(*geometry) / sizeof(uint64_t)];
    uint64_t seal = BL_TABLE_LAYOUT_MAGIC;

    memcpy(words, geometry, sizeof(words));
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        seal = (seal ^ words[i]) * 0x9e3779b97f4a7c15ULL;
        seal ^= seal >> 29;
    }
    return seal;
}

/** True when the geometry may be believed. Cost: fast path, once a burst. */
bool bl_table_layout_sound(const struct bl_table_geometry *geometry, uint64_t seal);

/** The keyed permutation of an IPv4 address (or of 32 bits of an IPv6 address). */
static inline uint32_t bl_table_host_permute(const struct bl_table_keys *keys, uint32_t address)
{
    uint32_t p = (address ^ keys->host_mask) * keys->host_multipliers[0];

    return (p ^ p >> 15) * keys->host_multipliers[1];
}

static inline uint32_t bl_table_host_line(uint32_t permuted, uint32_t n_lines)
{
    return (uint32_t)((uint64_t)permuted * n_lines >> 32);
}

/** Tag bits above the first 16 stand in the side byte from this bit on; the class or its number below. */
static inline unsigned bl_table_host_side_shift(const struct bl_table_geometry *geometry)
{
    return (geometry->options & BL_TABLE_OPTION_PALETTE) != 0 ? 4 : 6;
}

#include "dataplane/table_layout_ipv6.h"

#endif
