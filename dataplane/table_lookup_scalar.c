/* Lookups in plain C, for every processor; see table_passes.h. What the other variants are compared with. */
#include "dataplane/table_lookup.h"

static inline uint8_t host_class(const uint8_t *line, unsigned side_shift, const uint8_t *palette, uint32_t permuted)
{
    const uint8_t *side = line + BL_TABLE_LAYOUT_SIDE;
    unsigned wanted = permuted >> 16 << side_shift & 0xff;
    unsigned mask = 0xffu << side_shift & 0xff;
    unsigned found = BL_TABLE_LAYOUT_HOSTS; /* the zero byte */
    uint16_t tags[BL_TABLE_LAYOUT_HOSTS];

    memcpy(tags, line, sizeof(tags));
    for (unsigned i = BL_TABLE_LAYOUT_HOSTS; i-- > 0;)
        if (tags[i] == (uint16_t)permuted && (side[i] & mask) == wanted)
            found = i;
    return palette[side[found] & ~mask] % BL_CLASS_COUNT;
}

static inline uint8_t range_class(const uint8_t *container, unsigned kind, uint32_t low)
{
    unsigned n = bl_table_kind_boundaries(kind);
    uint16_t boundaries[BL_TABLE_BOUNDARIES_MAX];
    unsigned below = 0;

    memcpy(boundaries, container, n * sizeof(boundaries[0]));
    for (unsigned i = 0; i < n; i++)
        below += boundaries[i] <= low;
    return container[n * sizeof(boundaries[0]) + below] % BL_CLASS_COUNT;
}

static inline uint8_t short_class(const uint64_t *line, uint64_t word, bool *full)
{
    uint64_t found = 0;

    *full = true;
    for (unsigned i = 0; i < BL_TABLE_LAYOUT_SHORTS; i++) {
        if ((line[i] ^ word) << (64 - BL_TABLE_LAYOUT_DEEP_CLASS_SHIFT) == 0)
            found |= line[i];
        *full = *full && line[i] != 0;
    }
    return (uint8_t)(found >> BL_TABLE_LAYOUT_DEEP_CLASS_SHIFT);
}

static inline uint8_t long_class(const uint64_t *line, uint64_t hi, uint64_t word, bool *full)
{
    uint64_t found = 0;

    *full = true;
    for (unsigned i = 0; i < BL_TABLE_LAYOUT_LONGS; i++) {
        if (line[2 * i] == hi && (line[2 * i + 1] ^ word) << (64 - BL_TABLE_LAYOUT_DEEP_CLASS_SHIFT) == 0)
            found |= line[2 * i + 1];
        *full = *full && line[2 * i + 1] != 0;
    }
    return (uint8_t)(found >> BL_TABLE_LAYOUT_DEEP_CLASS_SHIFT);
}

#include "dataplane/table_passes.h"

const struct bl_table_lookup bl_table_lookup_scalar = {"scalar", lookup_ipv4, lookup_ipv6};
