/** @file table_invariants.h
 * What table_layout.h says is true of every block that the master made, checked byte by byte, and how full it is. */
#ifndef BL_TABLE_INVARIANTS_H
#define BL_TABLE_INVARIANTS_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/table_fixture.h"
#include "dataplane/table_layout.h"

struct invariants_tally {
    uint64_t n_in_lines; /* hosts in host lines */
    uint64_t n_host_lines_full;
    uint64_t n_containers;
    uint64_t n_nodes;
    uint64_t n_short;
    uint64_t n_long;
    uint64_t n_rest;
    uint64_t n_left; /* slots of deep lines that only look used */
};

/* The arena's bytes that were seen in use: no two containers share one. */
struct invariants_arena {
    const uint8_t *bytes;
    size_t n;
    uint8_t *seen;
};

static inline void invariants_claim(struct invariants_arena *arena, size_t place, size_t n)
{
    fixture_must(place + n <= arena->n - BL_TABLE_LAYOUT_LINE, "a container in the last line");
    for (size_t i = 0; i < n; i++)
        fixture_must(arena->seen[place + i]++ == 0, "two containers in one place");
}

static inline void invariants_check_entry(struct invariants_arena *arena, uint32_t entry, uint32_t base, unsigned bits,
                                          struct invariants_tally *tally)
{
    unsigned kind = bl_table_entry_kind(entry);
    size_t place = (size_t)(entry >> BL_TABLE_ENTRY_PLACE_SHIFT) << bl_table_kind_shift(kind);
    unsigned n = bl_table_kind_boundaries(kind);
    uint32_t before = base;

    fixture_must(kind < BL_TABLE_KINDS, "a kind that is none");
    if (kind == BL_TABLE_KIND_LEAF)
        return;
    invariants_claim(arena, place, (size_t)1 << bl_table_kind_shift(kind));
    if (kind == BL_TABLE_KIND_NODE) {
        tally->n_nodes++;
        fixture_must(bits > BL_TABLE_NODE_BITS, "a node too deep");
        bits -= BL_TABLE_NODE_BITS;
        for (uint32_t child = 0; child < BL_TABLE_NODE_ENTRIES; child++) {
            memcpy(&entry, arena->bytes + place + child * sizeof(entry), sizeof(entry));
            invariants_check_entry(arena, entry, base + (child << bits), bits, tally);
        }
        return;
    }
    tally->n_containers++;
    for (unsigned i = 0; i < n; i++) {
        const uint8_t *classes = arena->bytes + place + n * sizeof(uint16_t);
        uint16_t boundary;

        memcpy(&boundary, arena->bytes + place + i * sizeof(boundary), sizeof(boundary));
        fixture_must((classes[i] | classes[i + 1]) < BL_CLASS_COUNT, "a class that is none");
        if (boundary <= before) {
            /* Behind the last one: nothing changes any more. */
            fixture_must(boundary == UINT16_MAX && classes[i] == classes[i + 1], "something behind the last boundary");
        } else if (boundary == UINT16_MAX) {
            before = boundary;
        } else {
            fixture_must(boundary < base + (1u << bits), "a boundary of another part");
            before = boundary;
        }
    }
}

static inline void invariants_check_ranges(const struct bl_table *table, size_t index_at, size_t arena_at,
                                           uint32_t units, struct invariants_tally *tally)
{
    const uint8_t *block = (const uint8_t *)table;
    struct invariants_arena arena = {block + arena_at, (size_t)units * BL_TABLE_LAYOUT_LINE, NULL};

    arena.seen = calloc(1, arena.n);
    ck_assert_ptr_nonnull(arena.seen);
    for (uint32_t i = 0; i < BL_TABLE_LAYOUT_INDEX; i++) {
        uint32_t entry;

        memcpy(&entry, block + index_at + i * sizeof(entry), sizeof(entry));
        invariants_check_entry(&arena, entry, 0, 16, tally);
    }
    free(arena.seen);
}

/* Slots are used from the first on, no two of a line are alike, the rest is zero. */
static inline void invariants_check_hosts(const struct bl_table *table, const struct bl_table_areas *areas,
                                          struct invariants_tally *tally)
{
    const uint8_t *line = (const uint8_t *)table + areas->host_lines;
    const unsigned low = ~(0xffu << bl_table_host_side_shift(&table->geometry)) & 0xff;

    for (uint32_t i = 0; i < table->geometry.host_lines; i++, line += BL_TABLE_LAYOUT_LINE) {
        const uint8_t *side = line + BL_TABLE_LAYOUT_SIDE;
        unsigned n = 0;

        while (n < BL_TABLE_LAYOUT_HOSTS && (side[n] & low) != 0)
            n++;
        for (unsigned slot = 0; slot < BL_TABLE_LAYOUT_HOSTS; slot++) {
            if (slot >= n) {
                fixture_must((line[2 * slot] | line[2 * slot + 1] | side[slot]) == 0, "an empty slot that is not zero");
                continue;
            }
            fixture_must(table->palette[side[slot] & low] != BL_CLASS_NONE, "a class that the palette has not");
            for (unsigned other = 0; other < slot; other++)
                fixture_must(memcmp(line + 2 * slot, line + 2 * other, 2) != 0 ||
                                 (side[slot] & ~low) != (side[other] & ~low),
                             "two hosts that are alike");
        }
        fixture_must(side[BL_TABLE_LAYOUT_HOSTS] == 0, "a line's last byte");
        tally->n_in_lines += n;
        tally->n_host_lines_full += n == BL_TABLE_LAYOUT_HOSTS;
    }
}

static inline void invariants_check_deep(const struct bl_table *table, const struct bl_table_areas *areas,
                                         struct invariants_tally *tally)
{
    const uint8_t *block = (const uint8_t *)table;
    const uint64_t *shorts = (const uint64_t *)(const void *)(block + areas->short_lines);
    const uint64_t *longs = (const uint64_t *)(const void *)(block + areas->long_lines);
    const struct bl_table_rest *rest = (const struct bl_table_rest *)(const void *)(block + areas->rest);

    for (size_t i = 0; i < (size_t)table->geometry.short_lines * BL_TABLE_LAYOUT_SHORTS; i++) {
        tally->n_short += shorts[i] >> BL_TABLE_LAYOUT_DEEP_CLASS_SHIFT != BL_CLASS_NONE;
        tally->n_left += shorts[i] == BL_TABLE_LAYOUT_LEFT;
    }
    for (size_t i = 0; i < (size_t)table->geometry.long_lines * BL_TABLE_LAYOUT_LONGS; i++) {
        tally->n_long += longs[2 * i + 1] >> BL_TABLE_LAYOUT_DEEP_CLASS_SHIFT != BL_CLASS_NONE;
        tally->n_left += longs[2 * i + 1] == BL_TABLE_LAYOUT_LEFT;
    }
    for (uint32_t i = 0; i < table->geometry.rest_slots; i++)
        tally->n_rest += rest[i].class_id != BL_CLASS_NONE;
}

static inline struct invariants_tally check_invariants(const struct bl_table_build *build)
{
    const struct bl_table *table = bl_table_build_master(build);
    const struct bl_table_areas areas = bl_table_layout_areas(&table->geometry);
    struct invariants_tally tally = {0};
    uint64_t n_ipv4;
    uint64_t n_ipv6;

    ck_assert_int_eq(bl_table_validate(table, bl_table_size(table)), BL_OK);
    bl_table_build_count(build, &n_ipv4, &n_ipv6);
    invariants_check_ranges(table, areas.ipv4_index, areas.ipv4_arena, table->geometry.ipv4_units, &tally);
    invariants_check_hosts(table, &areas, &tally);
    ck_assert_uint_le(tally.n_in_lines, n_ipv4);
    if ((table->geometry.options & BL_TABLE_OPTION_IPV6) == 0) {
        ck_assert_uint_eq(n_ipv6, 0);
        return tally;
    }
    invariants_check_ranges(table, areas.ipv6_index, areas.ipv6_arena, table->geometry.ipv6_units, &tally);
    invariants_check_deep(table, &areas, &tally);
    ck_assert_uint_le(tally.n_short + tally.n_long + tally.n_rest, n_ipv6);
    return tally;
}

#endif
