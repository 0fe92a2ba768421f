/** @file table_fixture.h
 * What the tests of the table share: prefixes from text, a replica on the heap that ends where its block ends (so that
 * AddressSanitizer sees a read behind it), lookups of one address, numbers from a seed. */
#ifndef BL_TABLE_FIXTURE_H
#define BL_TABLE_FIXTURE_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "bounceline/table.h"
#include "dataplane/table_build.h"

static const struct bl_siphash_key fixture_key = {0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};

enum { FIXTURE_EPOCH = 77 };

/* For loops of millions: ck_assert writes to a file each time. */
static inline void fixture_must(bool is_so, const char *what)
{
    if (!is_so)
        ck_abort_msg("%s", what);
}

static inline uint64_t fixture_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static inline struct bl_prefix fixture_prefix(const char *text)
{
    struct bl_prefix prefix;

    ck_assert_msg(bl_address_parse_prefix(text, 128, &prefix, NULL) == BL_OK, "%s is no prefix", text);
    return prefix;
}

static inline struct bl_prefix fixture_prefix_ip4(uint32_t ip4, unsigned length)
{
    struct bl_prefix prefix = {.family = BL_FAMILY_IPV4, .length = (uint8_t)length};

    bl_address_from_ip4(ip4, prefix.bytes);
    bl_address_prefix_mask(&prefix);
    return prefix;
}

static inline struct bl_prefix fixture_prefix_ip6(uint64_t hi, uint64_t lo, unsigned length)
{
    struct bl_prefix prefix = {.family = BL_FAMILY_IPV6, .length = (uint8_t)length};

    bl_address_from_ip6((struct bl_ip6){hi, lo}, prefix.bytes);
    bl_address_prefix_mask(&prefix);
    return prefix;
}

static inline struct bl_table_build *fixture_create(void)
{
    struct bl_table_build *build = NULL;

    ck_assert_int_eq(bl_table_build_create(&build, FIXTURE_EPOCH, &fixture_key, 0), BL_OK);
    return build;
}

static inline void fixture_set(struct bl_table_build *build, const char *prefix, uint8_t class_id)
{
    struct bl_prefix parsed = fixture_prefix(prefix);

    ck_assert_int_eq(bl_table_build_set(build, &parsed, class_id), BL_OK);
}

/* Commits; the patch is the caller's, NULL when the block moved. */
static inline struct bl_table_patch *fixture_commit(struct bl_table_build *build, uint64_t serial)
{
    struct bl_table_patch *patch = NULL;
    bool rebuilt = false;

    ck_assert_int_eq(bl_table_build_commit(build, serial, &patch, &rebuilt), BL_OK);
    ck_assert_int_eq(rebuilt, patch == NULL);
    return patch;
}

/* Of exactly bl_table_size() bytes; free() it. */
static inline struct bl_table *fixture_copy(const struct bl_table *table)
{
    size_t size = bl_table_size(table);
    struct bl_table *copy = aligned_alloc(BL_TABLE_ALIGN, size);

    ck_assert_ptr_nonnull(copy);
    memcpy(copy, table, size);
    return copy;
}

static inline struct bl_table *fixture_replica(const struct bl_table_build *build)
{
    return fixture_copy(bl_table_build_master(build));
}

static inline uint8_t fixture_lookup_address(const struct bl_table *table, const struct bl_address *address)
{
    uint8_t class_id = 0xff;

    if (address->family == BL_FAMILY_IPV4) {
        uint32_t ip4 = bl_address_to_ip4(address->bytes);

        bl_table_lookup_ipv4_burst(table, &ip4, &class_id, 1);
    } else {
        struct bl_ip6 ip6 = bl_address_to_ip6(address->bytes);

        bl_table_lookup_ipv6_burst(table, &ip6, &class_id, 1);
    }
    return class_id;
}

static inline uint8_t fixture_lookup(const struct bl_table *table, const char *text)
{
    struct bl_address address;

    ck_assert_msg(bl_address_parse(text, &address, NULL) == BL_OK, "%s is no address", text);
    return fixture_lookup_address(table, &address);
}

static inline void fixture_assert_equal(const struct bl_table *a, const struct bl_table *b)
{
    ck_assert_uint_eq(bl_table_size(a), bl_table_size(b));
    ck_assert_uint_eq(bl_table_serial(a), bl_table_serial(b));
    ck_assert_int_eq(memcmp(a, b, bl_table_size(a)), 0);
    ck_assert_uint_eq(bl_table_checksum(a, 0, bl_table_size(a), 0), bl_table_checksum(b, 0, bl_table_size(b), 0));
}

#endif
