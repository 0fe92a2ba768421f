/** @file table_invariants.h
 * What table_layout.h says is true of every block that table_build.c made, checked slot by slot. */
#ifndef BL_TABLE_INVARIANTS_H
#define BL_TABLE_INVARIANTS_H

#include <check.h>
#include <string.h>

#include "dataplane/table_build.h"
#include "dataplane/table_layout.h"

struct invariants_tally {
    uint64_t n;
    uint64_t lengths[3]; /* bit n: a prefix of length n is there */
    size_t displacement_max;
};

/* Every slot must be canonical, of a class, and reachable from its home without an empty slot in between. */
static inline struct invariants_tally invariants_check_area(const struct bl_table *table, struct bl_table_area area)
{
    const uint64_t *slots = (const uint64_t *)table + area.first;
    const size_t mask = ((size_t)1 << area.bits) - 1;
    const unsigned last = area.n_words - 1;
    struct invariants_tally tally = {0};

    for (size_t i = 0; i <= mask; i++) {
        const uint64_t *slot = slots + i * area.n_words;
        unsigned class_id = (unsigned)(slot[last] >> BL_TABLE_LAYOUT_CLASS_SHIFT);
        unsigned length = (unsigned)(slot[last] >> BL_TABLE_LAYOUT_LENGTH_SHIFT & 0xff) - 1;
        size_t home;

        if (slot[last] == 0) {
            for (unsigned word = 0; word < last; word++)
                ck_assert_uint_eq(slot[word], 0);
            continue;
        }
        ck_assert_uint_ge(class_id, BL_CLASS_FIRST);
        ck_assert_uint_le(class_id, BL_CLASS_EXEMPT);
        ck_assert_uint_le(length, area.n_words == 1 ? 32 : 128);
        home = bl_table_layout_home(&table->key, slot, area.n_words, area.bits);
        ck_assert_uint_lt((i - home) & mask, BL_TABLE_LAYOUT_PROBE_MAX);
        if (((i - home) & mask) > tally.displacement_max)
            tally.displacement_max = (i - home) & mask;
        for (size_t at = home; at != i; at = (at + 1) & mask)
            ck_assert_uint_ne(slots[at * area.n_words + last], 0);
        tally.n++;
        tally.lengths[length / 64] |= UINT64_C(1) << (length % 64);
    }
    return tally;
}

/* @return the longest way of a slot from its home. */
static inline size_t check_invariants(const struct bl_table_build *build)
{
    const struct bl_table *table = bl_table_build_master(build);
    struct invariants_tally ipv4 = invariants_check_area(table, bl_table_layout_ipv4(table->geometry));
    struct invariants_tally ipv6 = invariants_check_area(table, bl_table_layout_ipv6(table->geometry));
    uint64_t n_ipv4;
    uint64_t n_ipv6;

    ck_assert_int_eq(bl_table_validate(table, bl_table_size(table)), BL_OK);
    bl_table_build_count(build, &n_ipv4, &n_ipv6);
    ck_assert_uint_eq(ipv4.n, n_ipv4);
    ck_assert_uint_eq(ipv6.n, n_ipv6);
    ck_assert_uint_eq(table->lengths_ipv4, ipv4.lengths[0]);
    ck_assert_int_eq(memcmp(table->lengths_ipv6, ipv6.lengths, sizeof(ipv6.lengths)), 0);
    ck_assert_uint_le(2 * n_ipv4, UINT64_C(1) << bl_table_layout_ipv4(table->geometry).bits);
    ck_assert_uint_le(2 * n_ipv6, UINT64_C(1) << bl_table_layout_ipv6(table->geometry).bits);
    return ipv4.displacement_max > ipv6.displacement_max ? ipv4.displacement_max : ipv6.displacement_max;
}

#endif
