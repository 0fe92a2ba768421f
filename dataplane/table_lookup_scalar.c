/* Lookups in plain C, for every processor; see table_passes.h. What the other variants are compared with. */
#include "dataplane/table_lookup.h"

static inline uint8_t host_class(const uint8_t *line, const struct bl_table_spots *spots, unsigned at,
                                 unsigned side_shift, const uint8_t *palette)
{
    const uint8_t *side = line + BL_TABLE_LAYOUT_SIDE;
    unsigned wanted = spots->sides[at];
    unsigned mask = 0xffu << side_shift & 0xff;
    unsigned found = BL_TABLE_LAYOUT_HOSTS; /* the zero byte */
    uint16_t tags[BL_TABLE_LAYOUT_HOSTS];

    memcpy(tags, line, sizeof(tags));
    for (unsigned i = BL_TABLE_LAYOUT_HOSTS; i-- > 0;)
        if (tags[i] == (uint16_t)spots->permuted[at] && (side[i] & mask) == wanted)
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

static inline uint8_t short_class(const uint64_t *line, uint64_t word, unsigned *full)
{
    uint64_t found = 0;

    *full = 1;
    for (unsigned i = 0; i < BL_TABLE_LAYOUT_SHORTS; i++) {
        if ((line[i] ^ word) << (64 - BL_TABLE_LAYOUT_DEEP_CLASS_SHIFT) == 0)
            found |= line[i];
        *full &= line[i] != 0;
    }
    return (uint8_t)(found >> BL_TABLE_LAYOUT_DEEP_CLASS_SHIFT);
}

static inline uint8_t long_class(const uint64_t *line, uint64_t hi, uint64_t word, unsigned *full)
{
    uint64_t found = 0;

    *full = 1;
    for (unsigned i = 0; i < BL_TABLE_LAYOUT_LONGS; i++) {
        if (line[2 * i] == hi && (line[2 * i + 1] ^ word) << (64 - BL_TABLE_LAYOUT_DEEP_CLASS_SHIFT) == 0)
            found |= line[2 * i + 1];
        *full &= line[2 * i + 1] != 0;
    }
    return (uint8_t)(found >> BL_TABLE_LAYOUT_DEEP_CLASS_SHIFT);
}

static inline uint64_t bits_pass(const struct bl_table_view *view, const uint32_t *keys, unsigned n)
{
    uint64_t some = 0;

    for (unsigned i = 0; i < n; i++)
        some |= (uint64_t)(view->bits[keys[i] >> view->bits_shift >> 5] >> (keys[i] >> view->bits_shift & 31) & 1) << i;
    return some;
}

static inline uint64_t candidates_pass(const struct bl_table_view *view, const struct bl_table_spots *spots, unsigned n)
{
    uint64_t members = 0;

    for (unsigned i = 0; i < n; i++) {
        uint16_t tags[BL_TABLE_LAYOUT_HOSTS];
        unsigned any = 0;

        memcpy(tags, view->host_lines + (size_t)spots->lines[i] * BL_TABLE_LAYOUT_LINE, sizeof(tags));
        for (unsigned slot = 0; slot < BL_TABLE_LAYOUT_HOSTS; slot++)
            any |= tags[slot] == (uint16_t)spots->permuted[i];
        members |= (uint64_t)any << i;
    }
    return members;
}

static inline void permute_pass(const struct bl_table_view *view, const uint32_t *addresses, unsigned n,
                                struct bl_table_spots *spots)
{
    const struct bl_table_keys keys = view->table->keys;

    for (unsigned i = 0; i < n; i++) {
        spots->permuted[i] = bl_table_host_permute(&keys, addresses[i]);
        spots->lines[i] = bl_table_host_line(spots->permuted[i], view->n_host_lines);
        spots->sides[i] = (uint8_t)(spots->permuted[i] >> 16 << view->side_shift);
    }
}

static inline uint64_t without_class(const uint8_t *classes, unsigned n)
{
    uint64_t without = 0;

    for (unsigned i = 0; i < n; i++)
        without |= (uint64_t)(1 - bl_table_is_some(classes[i])) << i;
    return without;
}

static inline uint8_t tag_class(const uint8_t *line, const uint32_t *permuted)
{
    unsigned found = BL_TABLE_LAYOUT_HOSTS; /* the zero byte */
    uint16_t tags[BL_TABLE_LAYOUT_HOSTS];

    memcpy(tags, line, sizeof(tags));
    for (unsigned i = BL_TABLE_LAYOUT_HOSTS; i-- > 0;)
        found = tags[i] == (uint16_t)*permuted ? i : found;
    return line[BL_TABLE_LAYOUT_SIDE + found] % BL_CLASS_COUNT;
}

static inline uint64_t far_pass(const struct bl_table_view *view, const uint32_t *tops, unsigned n, uint16_t *far,
                                uint64_t *gated)
{
    const struct bl_table_keys keys = view->table->keys;
    uint64_t members = 0;

    *gated = 0;
    for (unsigned i = 0; i < n; i++) {
        far[i] = view->filter[bl_table_filter_far(&keys, tops[i], view->filter_bits)];
        members |= (uint64_t)bl_table_is_some(far[i]) << i;
        *gated |= (uint64_t)(far[i] >> BL_TABLE_LAYOUT_FILTER_GATE) << i;
    }
    return members;
}

static inline uint64_t who_has(const uint16_t *masks, unsigned bit)
{
    uint64_t who = 0;

    for (unsigned i = 0; i < BL_TABLE_LOOKUP_BURST; i++)
        who |= (uint64_t)(masks[i] >> bit & 1) << i;
    return who;
}

#include "dataplane/table_passes.h"

const struct bl_table_lookup bl_table_lookup_scalar = {"scalar", lookup_ipv4, lookup_ipv6};
