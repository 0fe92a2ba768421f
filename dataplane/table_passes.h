/** @file table_passes.h
 * The passes of a lookup, the same in every variant. A variant includes this after it has defined
 *
 *   bits_pass(view, keys, n)                         who may have anything in the index
 *   permute_pass(view, addresses, n, spots)          where the host of each would be
 *   without_class(classes, n)                        whose class is 0
 *   candidates_pass(view, spots, n)                  whose line has a tag of its first 16 bits
 *   host_class(line, spots, at, shift, palette)      class of a host in its line, 0: not there
 *   tag_class(line, permuted)                        the same where the tag alone is exact and the class is whole
 *   range_class(container, kind, low)                class of the low 16 bits in a container
 *   far_pass(view, tops, n, far, gated)              far entries of the filter; who has any bit, who the gate; both
 *                                                    may have bits beyond n, and so may what is read of tops
 *   who_has(masks, bit)                              whose mask, of all BL_TABLE_LOOKUP_BURST, has the bit
 *   short_class(line, word, full), long_class(line, hi, word, full)
 *
 * All of a burst goes through one pass before the next one starts; a pass asks for the lines of the next. A set of
 * members of the burst is a word, bit n for the n-th. Nothing branches on what an address finds but the rare. */
#ifndef BL_TABLE_PASSES_H
#define BL_TABLE_PASSES_H

#include "dataplane/table_lookup.h"

/* The class below an index entry that is no leaf: 0 when nothing longer than /16 is there. */
static inline uint8_t below_entry(const struct bl_table_view *view, uint32_t entry, uint32_t low)
{
    for (unsigned shift = 16 - BL_TABLE_NODE_BITS; bl_table_entry_kind(entry) == BL_TABLE_KIND_NODE && shift > 0;
         shift -= BL_TABLE_NODE_BITS) {
        const uint8_t *node = view->arena + bl_table_entry_place(entry, view->arena_last);

        memcpy(&entry, node + (low >> shift & (BL_TABLE_NODE_ENTRIES - 1)) * sizeof(entry), sizeof(entry));
        if (bl_table_entry_kind(entry) == BL_TABLE_KIND_LEAF)
            return entry & BL_TABLE_ENTRY_CLASS;
    }
    return range_class(view->arena + bl_table_entry_place(entry, view->arena_last), bl_table_entry_kind(entry), low);
}

static inline unsigned take_member(uint64_t *members)
{
    unsigned at = (unsigned)__builtin_ctzll(*members);

    *members &= *members - 1;
    return at;
}

/* Members, whose class is 0 so far, by index and arena; with the map's word on who has anything below the index. */
static inline void ranges_pass(const struct bl_table_view *view, uint64_t members, uint64_t below, const uint32_t *keys,
                               uint8_t *classes)
{
    uint32_t entries[BL_TABLE_LOOKUP_BURST];

    for (uint64_t left = members; left != 0;) {
        unsigned at = take_member(&left);

        entries[at] = view->index[keys[at] >> 16];
        classes[at] = entries[at] & BL_TABLE_ENTRY_CLASS;
        below &= ~((uint64_t)(1 - bl_table_is_some(bl_table_entry_kind(entries[at]))) << at);
        __builtin_prefetch(view->arena + bl_table_entry_place(entries[at], view->arena_last));
    }
    for (uint64_t left = members & below; left != 0;) {
        unsigned at = take_member(&left);
        uint8_t class_id = below_entry(view, entries[at], keys[at] & 0xffff);

        classes[at] = bl_table_first_class(class_id, classes[at]);
    }
}

/* No host lines: all is ranges. */
static void lookup_ranges(const struct bl_table_view *view, const uint32_t *keys, uint8_t *classes, unsigned n)
{
    memset(classes, BL_CLASS_NONE, n);
    ranges_pass(view, bits_pass(view, keys, n), UINT64_MAX, keys, classes);
}

static inline const uint8_t *host_line(const struct bl_table_view *view, uint32_t line)
{
    return view->host_lines + (size_t)line * BL_TABLE_LAYOUT_LINE;
}

/* A line stands for at most 2^16 addresses: 16 bits of tag say all, and there is no palette. */
static inline bool tags_suffice(const struct bl_table_view *view)
{
    return view->n_host_lines >= 1u << 16;
}

static inline __attribute__((always_inline)) void
hosts_pass(const struct bl_table_view *view, const struct bl_table_spots *spots, uint64_t members, uint8_t *hosts)
{
    if (tags_suffice(view)) {
        while (members != 0) {
            unsigned at = take_member(&members);

            hosts[at] = tag_class(host_line(view, spots->lines[at]), &spots->permuted[at]);
        }
        return;
    }
    while (members != 0) {
        unsigned at = take_member(&members);

        hosts[at] = host_class(host_line(view, spots->lines[at]), spots, at, view->side_shift, view->table->palette);
    }
}

/* Host lines without a map: every address looks into its line. Most find no tag there, and are done with it. */
static void lookup_hosts(const struct bl_table_view *view, const uint32_t *addresses, uint8_t *classes, unsigned n)
{
    struct bl_table_spots spots;
    uint64_t members;

    permute_pass(view, addresses, n, &spots);
    for (unsigned i = 0; i < n; i++)
        __builtin_prefetch(host_line(view, spots.lines[i]));
    members = bits_pass(view, addresses, n);
    memset(classes, BL_CLASS_NONE, n);
    hosts_pass(view, &spots, candidates_pass(view, &spots, n), classes);
    ranges_pass(view, members & without_class(classes, n), UINT64_MAX, addresses, classes);
}

/* With a map: only who has hosts or ranges in its /24 looks for them. */
static void lookup_mapped(const struct bl_table_view *view, const uint32_t *addresses, uint8_t *classes, unsigned n)
{
    struct bl_table_spots spots;
    uint64_t with_hosts = 0;
    uint64_t with_ranges = 0;
    uint64_t members;

    for (unsigned i = 0; i < n; i++)
        __builtin_prefetch(view->map + (addresses[i] >> 10));
    permute_pass(view, addresses, n, &spots);
    members = bits_pass(view, addresses, n);
    memset(classes, BL_CLASS_NONE, n);
    for (unsigned i = n; i-- > 0;) {
        uint64_t bits = view->map[addresses[i] >> 10] >> (addresses[i] >> 7 & 6);

        __builtin_prefetch(host_line(view, spots.lines[i] & (uint32_t)(0 - (bits & 1))));
        with_hosts |= (bits & 1) << i;
        with_ranges |= (bits >> 1 & 1) << i;
    }
    hosts_pass(view, &spots, with_hosts, classes);
    ranges_pass(view, (members | with_ranges) & without_class(classes, n), with_ranges, addresses, classes);
}

static void lookup_ipv4(const struct bl_table_view *view, const uint32_t *addresses, uint8_t *classes, unsigned n)
{
    if (view->n_host_lines == 0)
        lookup_ranges(view, addresses, classes, n);
    else if (view->map == NULL)
        lookup_hosts(view, addresses, classes, n);
    else
        lookup_mapped(view, addresses, classes, n);
}

#include "dataplane/table_passes_ipv6.h"

#endif
