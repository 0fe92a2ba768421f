/** @file table_layout_ipv6.h
 * The second half of table_layout.h: how what is longer than /32 is found. */
#ifndef BL_TABLE_LAYOUT_IPV6_H
#define BL_TABLE_LAYOUT_IPV6_H

/** The kept bits and the length of a short or a long prefix, as its word has them below the class. */
static inline uint64_t bl_table_short_word(uint64_t permuted, unsigned length)
{
    return (permuted & ((UINT64_C(1) << BL_TABLE_LAYOUT_SHORT_KEPT) - 1)) |
           (uint64_t)(length - BL_TABLE_LAYOUT_SHORT_FIRST) << BL_TABLE_LAYOUT_SHORT_KEPT;
}

static inline uint64_t bl_table_long_word(uint64_t permuted, unsigned length)
{
    return (permuted & ((UINT64_C(1) << BL_TABLE_LAYOUT_LONG_KEPT) - 1)) |
           (uint64_t)(length - BL_TABLE_LAYOUT_LONG_FIRST) << BL_TABLE_LAYOUT_LONG_KEPT;
}

/** The filter's far entry, of the first 32 bits of an address; the far ones come first. */
static inline uint32_t bl_table_filter_far(const struct bl_table_keys *keys, uint32_t top, uint32_t bits)
{
    return (bl_table_host_permute(keys, top) * keys->filter_multiplier) >> (32 - bits + BL_TABLE_LAYOUT_FILTER_FEWER);
}

/** The near one, of its first 48. */
static inline uint32_t bl_table_filter_near(const struct bl_table_keys *keys, uint64_t hi, uint32_t bits)
{
    uint64_t mixed = ((hi >> 16) ^ keys->deep_mask) * keys->length_multiplier;

    mixed = (mixed ^ mixed >> 32) * keys->deep_multipliers[0];
    return (uint32_t)(mixed >> (64 - bits)) + (1u << (bits - BL_TABLE_LAYOUT_FILTER_FEWER));
}

/** The keyed permutation of a word under a tweak. */
static inline uint64_t bl_table_deep_permute(const struct bl_table_keys *keys, uint64_t word, uint64_t tweak)
{
    uint64_t p = (word ^ keys->deep_mask ^ tweak) * keys->deep_multipliers[0];

    return (p ^ p >> 32) * keys->deep_multipliers[1];
}

static inline uint64_t bl_table_deep_tweak(const struct bl_table_keys *keys, uint64_t hi, unsigned length)
{
    uint64_t t = (hi + length) * keys->length_multiplier;

    return t ^ t >> 31;
}

static inline uint32_t bl_table_deep_line(uint64_t permuted, uint32_t n_lines)
{
    return (uint32_t)((permuted >> 32) * n_lines >> 32);
}

#endif
