/** @file table_lookup.h
 * The lookups of one burst, in variants for what the processor can do (table.c → table_lookup_*.c).
 *
 * A view is what a lookup needs of a block: places that were checked once, so that what rots later can't move them.
 * Threads: owning worker. Cost: fast path. */
#ifndef BL_TABLE_LOOKUP_H
#define BL_TABLE_LOOKUP_H

#include "dataplane/table_layout.h"

/** Addresses that go through the passes together: enough to have all their misses in flight. */
enum { BL_TABLE_LOOKUP_BURST = 64 };

struct bl_table_view {
    const struct bl_table *table; /**< for its keys, palette and lengths */
    const uint32_t *bits;
    unsigned bits_shift;
    const uint32_t *index;
    const uint8_t *arena;
    uint32_t arena_last; /**< place of the arena's last line */
    /* IPv4 */
    unsigned side_shift;
    uint32_t n_host_lines;
    const uint8_t *host_lines;
    const uint8_t *map; /**< NULL: none */
    /* IPv6 */
    const uint16_t *filter;
    uint32_t filter_bits;
    uint32_t n_short_lines;
    uint32_t n_long_lines;
    uint32_t n_rest_slots;
    const uint64_t *short_lines;
    const uint64_t *long_lines;
    const struct bl_table_rest *rest;
};

/** Where the hosts of a burst would be. */
struct bl_table_spots {
    uint32_t permuted[BL_TABLE_LOOKUP_BURST];
    uint32_t lines[BL_TABLE_LOOKUP_BURST];
    uint8_t sides[BL_TABLE_LOOKUP_BURST]; /**< tag bits above the first 16, as they stand in the side byte */
};

/** 1 when the value, below 2^31, is not 0; else 0. Without a branch, as all that follows. */
static inline unsigned bl_table_is_some(uint32_t value)
{
    return (0u - value) >> 31;
}

/** The first class, or the second where the first is 0. */
static inline uint8_t bl_table_first_class(uint32_t first, uint32_t second)
{
    return (uint8_t)(first | (second & (bl_table_is_some(first) - 1)));
}

/** One variant: classes of up to BL_TABLE_LOOKUP_BURST addresses. */
struct bl_table_lookup {
    const char *name;
    void (*ipv4)(const struct bl_table_view *view, const uint32_t *addresses, uint8_t *classes, unsigned n);
    void (*ipv6)(const struct bl_table_view *view, const struct bl_ip6 *addresses, uint8_t *classes, unsigned n);
};

extern const struct bl_table_lookup bl_table_lookup_scalar;
#if defined(__x86_64__)
extern const struct bl_table_lookup bl_table_lookup_avx2;
extern const struct bl_table_lookup bl_table_lookup_avx512;
#endif

/** The variants that this processor can run, the fastest last. @return how many of BL_TABLE_LOOKUP_VARIANTS. */
enum { BL_TABLE_LOOKUP_VARIANTS = 3 };
unsigned bl_table_lookup_variants(const struct bl_table_lookup *variants[BL_TABLE_LOOKUP_VARIANTS]);

/** Lookups by one variant: what bl_table_lookup_*_burst does with the fastest. */
void bl_table_lookup_ipv4_by(const struct bl_table_lookup *variant, const struct bl_table *table,
                             const uint32_t *addresses, uint8_t *classes, unsigned n);
void bl_table_lookup_ipv6_by(const struct bl_table_lookup *variant, const struct bl_table *table,
                             const struct bl_ip6 *addresses, uint8_t *classes, unsigned n);

#endif
