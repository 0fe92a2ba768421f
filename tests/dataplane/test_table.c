/* A replica: what a lookup answers, how a patch goes in, what is refused, and what damage can not do. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/table_fixture.h"
#include "dataplane/table_lookup.h"

START_TEST(an_empty_table_lists_nothing)
{
    struct bl_table_build *build = fixture_create();
    const struct bl_table *table = bl_table_build_master(build);

    ck_assert_uint_eq(bl_table_serial(table), 0);
    ck_assert_uint_eq(fixture_lookup(table, "0.0.0.0"), 0);
    ck_assert_uint_eq(fixture_lookup(table, "255.255.255.255"), 0);
    ck_assert_uint_eq(fixture_lookup(table, "::"), 0);
    ck_assert_uint_eq(fixture_lookup(table, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), 0);
    bl_table_build_free(build);
}
END_TEST

START_TEST(the_longest_prefix_wins)
{
    struct bl_table_build *build = fixture_create();
    const struct bl_table *table;

    fixture_set(build, "192.0.0.0/8", 1);
    fixture_set(build, "192.0.2.0/24", 2);
    fixture_set(build, "192.0.2.7/32", 62);
    fixture_set(build, "2001:db8::/32", 3);
    fixture_set(build, "2001:db8:0:1::/64", 4);
    fixture_set(build, "2001:db8:0:1::7/128", 5);
    fixture_set(build, "2001:db8:0:1:8000::/65", 6);
    table = bl_table_build_master(build);
    ck_assert_uint_eq(fixture_lookup(table, "191.255.255.255"), 0);
    ck_assert_uint_eq(fixture_lookup(table, "192.0.0.0"), 1);
    ck_assert_uint_eq(fixture_lookup(table, "192.0.1.255"), 1);
    ck_assert_uint_eq(fixture_lookup(table, "192.0.2.0"), 2);
    ck_assert_uint_eq(fixture_lookup(table, "192.0.2.6"), 2);
    ck_assert_uint_eq(fixture_lookup(table, "192.0.2.7"), 62);
    ck_assert_uint_eq(fixture_lookup(table, "192.0.2.8"), 2);
    ck_assert_uint_eq(fixture_lookup(table, "192.0.2.255"), 2);
    ck_assert_uint_eq(fixture_lookup(table, "192.0.3.0"), 1);
    ck_assert_uint_eq(fixture_lookup(table, "192.255.255.255"), 1);
    ck_assert_uint_eq(fixture_lookup(table, "193.0.0.0"), 0);
    ck_assert_uint_eq(fixture_lookup(table, "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff"), 0);
    ck_assert_uint_eq(fixture_lookup(table, "2001:db8::"), 3);
    ck_assert_uint_eq(fixture_lookup(table, "2001:db8:0:1::6"), 4);
    ck_assert_uint_eq(fixture_lookup(table, "2001:db8:0:1::7"), 5);
    ck_assert_uint_eq(fixture_lookup(table, "2001:db8:0:1:7fff:ffff:ffff:ffff"), 4);
    ck_assert_uint_eq(fixture_lookup(table, "2001:db8:0:1:8000::"), 6);
    ck_assert_uint_eq(fixture_lookup(table, "2001:db8:0:1:ffff:ffff:ffff:ffff"), 6);
    ck_assert_uint_eq(fixture_lookup(table, "2001:db8:0:2::"), 3);
    ck_assert_uint_eq(fixture_lookup(table, "2001:db9::"), 0);
    bl_table_build_free(build);
}
END_TEST

START_TEST(a_hole_hides_what_is_wider)
{
    struct bl_table_build *build = fixture_create();
    const struct bl_table *table;

    fixture_set(build, "10.0.0.0/8", 9);
    fixture_set(build, "10.1.0.0/16", BL_CLASS_EXEMPT);
    fixture_set(build, "10.1.2.3", 11);
    fixture_set(build, "2001:db8::/32", 9);
    fixture_set(build, "2001:db8:1::/48", BL_CLASS_EXEMPT);
    table = bl_table_build_master(build);
    ck_assert_uint_eq(fixture_lookup(table, "10.0.0.1"), 9);
    ck_assert_uint_eq(fixture_lookup(table, "10.1.2.2"), BL_CLASS_EXEMPT);
    ck_assert_uint_eq(fixture_lookup(table, "10.1.2.3"), 11);
    ck_assert_uint_eq(fixture_lookup(table, "2001:db8:1:ffff::"), BL_CLASS_EXEMPT);
    ck_assert_uint_eq(fixture_lookup(table, "2001:db8:2::"), 9);
    fixture_set(build, "10.1.0.0/16", 0);
    fixture_set(build, "2001:db8:1::/48", 0);
    table = bl_table_build_master(build);
    ck_assert_uint_eq(fixture_lookup(table, "10.1.2.2"), 9);
    ck_assert_uint_eq(fixture_lookup(table, "2001:db8:1:ffff::"), 9);
    bl_table_build_free(build);
}
END_TEST

START_TEST(the_whole_space_is_a_prefix_of_its_family_only)
{
    struct bl_table_build *build = fixture_create();
    const struct bl_table *table;

    fixture_set(build, "0.0.0.0/0", 5);
    table = bl_table_build_master(build);
    ck_assert_uint_eq(fixture_lookup(table, "0.0.0.0"), 5);
    ck_assert_uint_eq(fixture_lookup(table, "255.255.255.255"), 5);
    ck_assert_uint_eq(fixture_lookup(table, "::"), 0);
    fixture_set(build, "::/0", 6);
    fixture_set(build, "0.0.0.0/0", 0);
    table = bl_table_build_master(build);
    ck_assert_uint_eq(fixture_lookup(table, "0.0.0.0"), 0);
    ck_assert_uint_eq(fixture_lookup(table, "::"), 6);
    ck_assert_uint_eq(fixture_lookup(table, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), 6);
    bl_table_build_free(build);
}
END_TEST

/* One address in prefixes of every length: they are taken away from the longest on, and each time the next answers. */
static void check_every_length(struct bl_table_build *build, const struct bl_address *address)
{
    const unsigned bits = bl_address_bits(address->family);

    for (unsigned length = 0; length <= bits; length++) {
        struct bl_prefix prefix = bl_address_host_prefix(address);

        prefix.length = (uint8_t)length;
        bl_address_prefix_mask(&prefix);
        ck_assert_int_eq(bl_table_build_set(build, &prefix, (uint8_t)(1 + length % 62)), BL_OK);
    }
    for (unsigned length = bits + 1; length-- > 0;) {
        struct bl_prefix prefix = bl_address_host_prefix(address);
        struct bl_address outside = *address;

        ck_assert_uint_eq(fixture_lookup_address(bl_table_build_master(build), address), 1 + length % 62);
        if (length > 0) {
            /* The other half of the next wider prefix is in that one, not in this. */
            outside.bytes[(length - 1) / 8] ^= (uint8_t)(0x80 >> ((length - 1) % 8));
            ck_assert_uint_eq(fixture_lookup_address(bl_table_build_master(build), &outside), 1 + (length - 1) % 62);
        }
        prefix.length = (uint8_t)length;
        bl_address_prefix_mask(&prefix);
        ck_assert_int_eq(bl_table_build_set(build, &prefix, 0), BL_OK);
    }
    ck_assert_uint_eq(fixture_lookup_address(bl_table_build_master(build), address), 0);
}

START_TEST(every_length_is_matched)
{
    static const char *const texts[] = {"10.20.30.40", "255.255.255.255",
                                        "0.0.0.0",     "2001:db8:1234:5678:9abc:def0:1:2",
                                        "::",          "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"};
    struct bl_table_build *build = fixture_create();

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct bl_address address;

        ck_assert_int_eq(bl_address_parse(texts[i], &address, NULL), BL_OK);
        check_every_length(build, &address);
    }
    bl_table_build_free(build);
}
END_TEST

START_TEST(a_burst_answers_as_single_lookups_do)
{
    enum { N = 200 };
    static const unsigned sizes[] = {0, 1, 2, 63, 64, 65, 127, 128, 129, N};
    struct bl_table_build *build = fixture_create();
    const struct bl_table *table;
    uint32_t ip4[N];
    struct bl_ip6 ip6[N];

    for (unsigned i = 0; i < N; i++) {
        struct bl_prefix four = fixture_prefix_ip4(0x0a000000 + i * 3, i % 2 == 0 ? 32 : 31);
        struct bl_prefix six = fixture_prefix_ip6(0x20010db800000000 + i * 3, i, i % 2 == 0 ? 128 : 63);

        ck_assert_int_eq(bl_table_build_set(build, &four, (uint8_t)(1 + i % 63)), BL_OK);
        ck_assert_int_eq(bl_table_build_set(build, &six, (uint8_t)(1 + i % 63)), BL_OK);
        ip4[i] = 0x0a000000 + i;
        ip6[i] = (struct bl_ip6){0x20010db800000000 + i, i / 3};
    }
    table = bl_table_build_master(build);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint8_t four[N + 1];
        uint8_t six[N + 1];

        memset(four, 0xee, sizeof(four));
        memset(six, 0xee, sizeof(six));
        bl_table_lookup_ipv4_burst(table, ip4, four, sizes[i]);
        bl_table_lookup_ipv6_burst(table, ip6, six, sizes[i]);
        for (unsigned at = 0; at < sizes[i]; at++) {
            uint8_t one;

            bl_table_lookup_ipv4_burst(table, &ip4[at], &one, 1);
            ck_assert_uint_eq(four[at], one);
            bl_table_lookup_ipv6_burst(table, &ip6[at], &one, 1);
            ck_assert_uint_eq(six[at], one);
        }
        ck_assert_uint_eq(four[sizes[i]], 0xee);
        ck_assert_uint_eq(six[sizes[i]], 0xee);
    }
    bl_table_build_free(build);
}
END_TEST

START_TEST(validate_takes_a_copy_and_refuses_a_wrong_block)
{
    struct bl_table_build *build = fixture_create();
    struct bl_table *copy;
    size_t size;

    fixture_set(build, "10.0.0.0/8", 1);
    ck_assert_ptr_null(fixture_commit(build, 5));
    copy = fixture_replica(build);
    size = bl_table_size(copy);
    ck_assert_uint_eq(size % BL_TABLE_ALIGN, 0);
    ck_assert_int_eq(bl_table_validate(copy, size), BL_OK);
    ck_assert_int_eq(bl_table_validate(copy, size - 1), BL_EINVAL);
    ck_assert_int_eq(bl_table_validate(copy, size + 1), BL_EINVAL);
    ck_assert_int_eq(bl_table_validate(copy, 0), BL_EINVAL);
    ck_assert_int_eq(bl_table_validate(copy, sizeof(*copy) - 1), BL_EINVAL);
    copy->magic ^= 1;
    ck_assert_int_eq(bl_table_validate(copy, size), BL_EINVAL);
    copy->magic ^= 1;
    copy->version++;
    ck_assert_int_eq(bl_table_validate(copy, size), BL_EVERSION);
    copy->version--;
    copy->seal ^= 1;
    ck_assert_int_eq(bl_table_validate(copy, size), BL_EINVAL);
    copy->seal ^= 1;
    ck_assert_int_eq(bl_table_validate(copy, size), BL_OK);
    free(copy);
    bl_table_build_free(build);
}
END_TEST

/* A sealed geometry of sizes that no block has is refused too: the seal proves integrity, not sense. */
START_TEST(validate_refuses_sizes_out_of_range)
{
    static const struct bl_table_geometry bad[] = {
        {.ipv4_units = 0},
        {.ipv4_units = BL_TABLE_LAYOUT_UNITS_MAX + 1},
        {.ipv4_units = 9, .options = 8},
        {.ipv4_units = 9, .options = UINT32_MAX, .filter_bits = 10},
        {.ipv4_units = 9, .host_lines = 1},
        {.ipv4_units = 9, .host_lines = BL_TABLE_LAYOUT_LINES_PLAIN - 1},
        {.ipv4_units = 9, .options = BL_TABLE_OPTION_PALETTE, .host_lines = BL_TABLE_LAYOUT_LINES_PALETTE - 1},
        {.ipv4_units = 9, .host_lines = BL_TABLE_LAYOUT_LINES_MAX + 1},
        {.ipv4_units = 9, .ipv6_units = 9, .filter_bits = 10, .rest_slots = 64},
        {.ipv4_units = 9, .options = BL_TABLE_OPTION_IPV6, .filter_bits = 10, .rest_slots = 64},
        {.ipv4_units = 9, .options = BL_TABLE_OPTION_IPV6, .ipv6_units = 9, .filter_bits = 9, .rest_slots = 64},
        {.ipv4_units = 9, .options = BL_TABLE_OPTION_IPV6, .ipv6_units = 9, .filter_bits = 21, .rest_slots = 64},
        {.ipv4_units = 9, .options = BL_TABLE_OPTION_IPV6, .ipv6_units = 9, .filter_bits = 10, .rest_slots = 0},
        {.ipv4_units = 9, .options = BL_TABLE_OPTION_IPV6, .ipv6_units = 9, .filter_bits = 10, .rest_slots = 65},
        {BL_TABLE_OPTION_IPV6, 0, 9, 9, 10, BL_TABLE_LAYOUT_SHORT_LINES_MIN + 1, 0, 64},
        {BL_TABLE_OPTION_IPV6, 0, 9, 9, 10, BL_TABLE_LAYOUT_SHORT_LINES_MIN - 2, 0, 64},
        {BL_TABLE_OPTION_IPV6, 0, 9, 9, 10, 0, BL_TABLE_LAYOUT_LONG_LINES_MIN - 2, 64},
        {BL_TABLE_OPTION_IPV6, 0, 9, 9, 10, 0, BL_TABLE_LAYOUT_DEEP_LINES_MAX + 2, 64},
    };
    struct bl_table_build *build = fixture_create();
    struct bl_table *copy = fixture_replica(build);
    size_t size = bl_table_size(copy);

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        copy->geometry = bad[i];
        copy->seal = bl_table_layout_seal(&copy->geometry);
        ck_assert_msg(bl_table_validate(copy, size) == BL_EINVAL, "geometry %zu", i);
        ck_assert_int_eq(bl_table_validate(copy, bl_table_layout_areas(&copy->geometry).end), BL_EINVAL);
        ck_assert_uint_eq(bl_table_size(copy), sizeof(*copy));
    }
    free(copy);
    bl_table_build_free(build);
}
END_TEST

START_TEST(validate_refuses_a_block_that_is_not_aligned)
{
    struct bl_table_build *build = fixture_create();
    size_t size = bl_table_size(bl_table_build_master(build));
    uint8_t *room = aligned_alloc(BL_TABLE_ALIGN, size + BL_TABLE_ALIGN);

    ck_assert_ptr_nonnull(room);
    memcpy(room + 8, bl_table_build_master(build), size);
    ck_assert_int_eq(bl_table_validate((const struct bl_table *)(room + 8), size), BL_EINVAL);
    free(room);
    bl_table_build_free(build);
}
END_TEST

/* Ten changes; after every call with a budget of one byte the replica must be in the state after exactly that many. */
START_TEST(a_patch_is_applied_prefix_by_prefix)
{
    static const struct {
        const char *prefix;
        uint8_t class_id;
    } changes[] = {{"10.0.0.0/8", 1}, {"10.1.0.0/16", 63}, {"10.1.1.1", 2}, {"10.0.0.0/8", 0},  {"10.1.1.1", 3},
                   {"::/0", 4},       {"2001:db8::1", 5},  {"::/0", 0},     {"10.1.0.0/16", 0}, {"2001:db8::1", 6}};
    static const char *const probes[] = {"10.0.0.1", "10.1.0.1",    "10.1.1.1", "10.1.1.2",
                                         "::1",      "2001:db8::1", "11.0.0.0"};
    enum { N = sizeof(changes) / sizeof(changes[0]), N_PROBES = sizeof(probes) / sizeof(probes[0]) };
    struct bl_table_build *build = fixture_create();
    struct bl_table_patch *patch;
    struct bl_table_cursor cursor = {0};
    struct bl_table *replica;
    uint8_t expected[N][N_PROBES];

    /* The first of its family and length is a new block. */
    fixture_set(build, "2001:db8:ffff::1", 9);
    ck_assert_ptr_null(fixture_commit(build, 1));
    replica = fixture_replica(build);
    for (unsigned i = 0; i < N; i++) {
        fixture_set(build, changes[i].prefix, changes[i].class_id);
        for (unsigned p = 0; p < N_PROBES; p++)
            expected[i][p] = fixture_lookup(bl_table_build_master(build), probes[p]);
    }
    patch = fixture_commit(build, 2);
    ck_assert_ptr_nonnull(patch);
    ck_assert_uint_eq(bl_table_patch_serial(patch), 2);
    ck_assert(bl_table_patch_fits(replica, patch));
    for (unsigned i = 0; i < N; i++) {
        bool done = bl_table_apply(replica, patch, &cursor, i % 2);

        ck_assert_int_eq(done, i == N - 1);
        ck_assert_uint_eq(bl_table_serial(replica), done ? 2 : 1);
        for (unsigned p = 0; p < N_PROBES; p++)
            ck_assert_msg(fixture_lookup(replica, probes[p]) == expected[i][p], "change %u, %s", i, probes[p]);
    }
    fixture_assert_equal(replica, bl_table_build_master(build));
    ck_assert(!bl_table_patch_fits(replica, patch));
    bl_table_patch_free(patch);
    free(replica);
    bl_table_build_free(build);
}
END_TEST

START_TEST(a_step_ends_at_the_first_group_behind_the_budget)
{
    static const size_t budgets[] = {0, 1, 16, 100, 1000, 4096, 1 << 20};
    struct bl_table_build *build = fixture_create();
    struct bl_table_patch *patch;
    struct bl_table *before;

    for (unsigned i = 0; i < 400; i++) {
        struct bl_prefix prefix = fixture_prefix_ip4(i << 8, 24);

        ck_assert_int_eq(bl_table_build_set(build, &prefix, 1), BL_OK);
    }
    ck_assert_ptr_null(fixture_commit(build, 1));
    before = fixture_replica(build);
    for (unsigned i = 0; i < 300; i++) {
        struct bl_prefix prefix = fixture_prefix_ip4(i << 8, 24);

        ck_assert_int_eq(bl_table_build_set(build, &prefix, (uint8_t)(i % 3)), BL_OK);
    }
    patch = fixture_commit(build, 2);
    ck_assert_ptr_nonnull(patch);
    for (size_t i = 0; i < sizeof(budgets) / sizeof(budgets[0]); i++) {
        struct bl_table *replica = fixture_copy(before);
        struct bl_table_cursor cursor = {0};
        unsigned n_steps = 1;

        for (; !bl_table_apply(replica, patch, &cursor, budgets[i]); n_steps++)
            ck_assert_uint_eq(bl_table_serial(replica), 1);
        fixture_assert_equal(replica, bl_table_build_master(build));
        /* No step does less than its budget but the last, and none more than a group above it. */
        ck_assert_uint_le(n_steps, bl_table_patch_size(patch) / (budgets[i] + 1) + 1);
        ck_assert_uint_ge(n_steps, (bl_table_patch_size(patch) - sizeof(*patch)) / (budgets[i] + BL_TABLE_GROUP_MAX));
        ck_assert(budgets[i] > 1 || n_steps == 200);
        free(replica);
    }
    free(before);
    bl_table_patch_free(patch);
    bl_table_build_free(build);
}
END_TEST

START_TEST(a_patch_fits_the_replica_that_it_was_made_for_only)
{
    struct bl_table_build *build = fixture_create();
    struct bl_table_patch *patch;
    struct bl_table *replica;

    ck_assert_ptr_null(fixture_commit(build, 1));
    replica = fixture_replica(build);
    fixture_set(build, "10.0.0.0/8", 1);
    patch = fixture_commit(build, 2);
    ck_assert_ptr_nonnull(patch);
    ck_assert(bl_table_patch_fits(replica, patch));
    replica->serial = 0;
    ck_assert(!bl_table_patch_fits(replica, patch));
    replica->serial = 2;
    ck_assert(!bl_table_patch_fits(replica, patch));
    replica->serial = 1;
    replica->magic ^= 1;
    ck_assert(!bl_table_patch_fits(replica, patch));
    replica->magic ^= 1;
    replica->version++;
    ck_assert(!bl_table_patch_fits(replica, patch));
    replica->version--;
    replica->epoch++;
    ck_assert(!bl_table_patch_fits(replica, patch));
    replica->epoch--;
    replica->generation ^= 1;
    ck_assert(!bl_table_patch_fits(replica, patch));
    replica->generation ^= 1;
    replica->seal ^= 1;
    ck_assert(!bl_table_patch_fits(replica, patch));
    replica->seal ^= 1;
    replica->geometry.ipv4_units++;
    replica->seal = bl_table_layout_seal(&replica->geometry);
    ck_assert(!bl_table_patch_fits(replica, patch));
    replica->geometry.ipv4_units--;
    replica->seal = bl_table_layout_seal(&replica->geometry);
    ck_assert(bl_table_patch_fits(replica, patch));
    bl_table_patch_free(patch);
    free(replica);
    bl_table_build_free(build);
}
END_TEST

START_TEST(the_checksum_sees_every_bit_and_no_step)
{
    struct bl_table_build *build = fixture_create();
    struct bl_table *copy;
    uint64_t state = 3;
    uint64_t whole;
    size_t size;

    fixture_set(build, "10.0.0.0/8", 1);
    copy = fixture_replica(build);
    size = bl_table_size(copy);
    whole = bl_table_checksum(copy, 0, size, 0);
    ck_assert_uint_eq(bl_table_checksum(copy, 0, SIZE_MAX, 0), whole);
    ck_assert_uint_eq(bl_table_checksum(copy, size, 100, whole), whole);
    ck_assert_uint_eq(bl_table_checksum(copy, SIZE_MAX, SIZE_MAX, whole), whole);
    ck_assert_uint_ne(bl_table_checksum(copy, 0, size, 1), whole);
    for (unsigned try = 0; try < 20; try++) {
        uint64_t sum = 0;

        for (size_t at = 0; at < size;) {
            size_t step = 8 * (1 + fixture_random(&state) % 500);

            sum = bl_table_checksum(copy, at, step, sum);
            at += step;
        }
        ck_assert_uint_eq(sum, whole);
    }
    ck_assert_uint_ne(bl_table_checksum(copy, 0, 7, 0), bl_table_checksum(copy, 0, 8, 0));
    /* The seal and the geometry shorten the sum instead: any difference will do. Pairs must not cancel. */
    for (unsigned try = 0; try < 2000; try++) {
        uint8_t *bytes = (uint8_t *)copy;
        size_t first = fixture_random(&state) % size;
        size_t second = fixture_random(&state) % size;
        unsigned bit = (unsigned)(fixture_random(&state) % 8);

        bytes[first] ^= (uint8_t)(1u << bit);
        ck_assert_uint_ne(bl_table_checksum(copy, 0, size, 0), whole);
        if (second / 8 != first / 8) {
            second = second / 8 * 8 + first % 8;
            bytes[second] ^= (uint8_t)(1u << bit);
            ck_assert_uint_ne(bl_table_checksum(copy, 0, size, 0), whole);
            bytes[second] ^= (uint8_t)(1u << bit);
        }
        bytes[first] ^= (uint8_t)(1u << bit);
    }
    ck_assert_uint_eq(bl_table_checksum(copy, 0, size, 0), whole);
    free(copy);
    bl_table_build_free(build);
}
END_TEST

/* A table whose block has every kind of area: @p n_hosts decides whether there are host lines and a map. */
static struct bl_table_build *create_mixed(uint64_t seed, unsigned n, unsigned n_hosts)
{
    struct bl_table_build *build = NULL;

    ck_assert_int_eq(bl_table_build_create(&build, FIXTURE_EPOCH, &fixture_key, n_hosts), BL_OK);
    for (unsigned i = 0; i < n + n_hosts; i++) {
        uint64_t a = fixture_random(&seed);
        uint64_t b = fixture_random(&seed);
        struct bl_prefix prefix = i >= n ? fixture_prefix_ip4((uint32_t)(a % 3 == 0 ? a : a & 0xffffff), 32)
                                  : i % 2 == 0
                                      ? fixture_prefix_ip4((uint32_t)a, (unsigned)(b % 33))
                                      : fixture_prefix_ip6(a & 0xffffff00ffffffff, b, (unsigned)((a ^ b) % 129));

        fixture_must(bl_table_build_set(build, &prefix, (uint8_t)(1 + b % (i % 8 == 0 ? 63 : 9))) == BL_OK, "set");
    }
    return build;
}

/* Hosts that give: none but ranges, lines with a palette, lines, lines with a map. */
static const unsigned host_counts[] = {0, 20000, 300000, BL_TABLE_LAYOUT_MAP_MIN + 300000};
enum { N_HOST_COUNTS = sizeof(host_counts) / sizeof(host_counts[0]) };

/* Hosts that are in the table, and others. */
static void pick_addresses(uint64_t *state, uint32_t *ip4, struct bl_ip6 *ip6, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint64_t a = fixture_random(state);

        ip4[i] = (uint32_t)(i % 2 == 0 ? a : a & 0xffffff);
        ip6[i] = (struct bl_ip6){a & 0xffffff00ffffffff, fixture_random(state)};
    }
}

/* Looks everything up that leads anywhere, in each variant: AddressSanitizer watches the block's end, the classes must
 * be classes. */
static void check_lookups_stay_inside(const struct bl_table *table, uint64_t *state)
{
    enum { N = 130 };
    const struct bl_table_lookup *variants[BL_TABLE_LOOKUP_VARIANTS];
    unsigned n_variants = bl_table_lookup_variants(variants);
    uint32_t ip4[N];
    struct bl_ip6 ip6[N];
    uint8_t classes[N];

    pick_addresses(state, ip4, ip6, N);
    for (unsigned variant = 0; variant < n_variants; variant++) {
        memset(classes, 0xff, sizeof(classes));
        bl_table_lookup_ipv4_by(variants[variant], table, ip4, classes, N);
        for (unsigned i = 0; i < N; i++)
            fixture_must(classes[i] < BL_CLASS_COUNT, "a class that is none");
        memset(classes, 0xff, sizeof(classes));
        bl_table_lookup_ipv6_by(variants[variant], table, ip6, classes, N);
        for (unsigned i = 0; i < N; i++)
            fixture_must(classes[i] < BL_CLASS_COUNT, "a class that is none");
    }
    ck_assert_uint_le(bl_table_serial(table), UINT64_MAX);
}

START_TEST(flipped_bytes_never_lead_a_lookup_outside)
{
    struct bl_table_build *build = create_mixed(11, 3000, _i < 2 ? host_counts[_i] : 0);
    const struct bl_table *master = bl_table_build_master(build);
    const struct bl_table_areas areas = bl_table_layout_areas(&master->geometry);
    struct bl_table *copy = fixture_replica(build);
    size_t size = bl_table_size(copy);
    uint64_t state = 12;

    for (unsigned round = 0; round < 300; round++) {
        /* In the header, where the sizes and keys are; in an arena, where the places are; and anywhere. */
        size_t first = round % 3 == 1 ? areas.ipv4_arena : 0;
        size_t range = round % 3 == 0 ? sizeof(*copy) : round % 3 == 1 ? areas.ipv6_index - first : size;
        unsigned n = round % 3 == 0 ? 1 + round % 64 : 1 + round % 4096;

        memcpy(copy, master, size);
        for (unsigned i = 0; i < n; i++)
            ((uint8_t *)copy)[first + fixture_random(&state) % range] = (uint8_t)fixture_random(&state);
        check_lookups_stay_inside(copy, &state);
        ck_assert(bl_table_size(copy) == size || bl_table_size(copy) == sizeof(*copy));
    }
    free(copy);
    bl_table_build_free(build);
}
END_TEST

START_TEST(a_block_of_noise_never_leads_a_lookup_outside)
{
    struct bl_table_build *build = create_mixed(13, 800, host_counts[_i]);
    const struct bl_table_geometry geometry = bl_table_build_master(build)->geometry;
    struct bl_table *copy = fixture_replica(build);
    size_t size = bl_table_size(copy);
    uint64_t *words = (uint64_t *)copy;
    uint64_t state = 14;

    ck_assert_int_eq(geometry.host_lines != 0, _i > 0);
    ck_assert_int_eq((geometry.options & BL_TABLE_OPTION_MAP) != 0, _i == 3);
    ck_assert((geometry.options & BL_TABLE_OPTION_IPV6) != 0);
    for (unsigned round = 0; round < (_i == 3 ? 3 : 20); round++) {
        for (size_t i = 0; i < size / sizeof(*words); i++)
            words[i] = round == 0 ? UINT64_MAX : fixture_random(&state);
        check_lookups_stay_inside(copy, &state);
        ck_assert_uint_eq(bl_table_size(copy), sizeof(*copy));
        /* With a sound geometry every line is full and every entry leads on: the ways must end by themselves. */
        copy->geometry = geometry;
        copy->seal = bl_table_layout_seal(&geometry);
        for (unsigned again = 0; again < 20; again++)
            check_lookups_stay_inside(copy, &state);
    }
    free(copy);
    bl_table_build_free(build);
}
END_TEST

START_TEST(a_damaged_geometry_lists_nothing)
{
    struct bl_table_build *build = fixture_create();
    struct bl_table *copy;

    fixture_set(build, "0.0.0.0/0", 7);
    fixture_set(build, "::/0", 7);
    copy = fixture_replica(build);
    ck_assert_uint_eq(fixture_lookup(copy, "10.0.0.1"), 7);
    for (unsigned bit = 0; bit < 8 * sizeof(copy->geometry); bit++) {
        uint8_t *byte = (uint8_t *)&copy->geometry + bit / 8;

        *byte ^= (uint8_t)(1u << bit % 8);
        ck_assert_uint_eq(fixture_lookup(copy, "10.0.0.1"), 0);
        ck_assert_uint_eq(fixture_lookup(copy, "2001:db8::1"), 0);
        *byte ^= (uint8_t)(1u << bit % 8);
    }
    for (unsigned bit = 0; bit < 64; bit++) {
        copy->seal ^= UINT64_C(1) << bit;
        ck_assert_uint_eq(fixture_lookup(copy, "10.0.0.1"), 0);
        ck_assert_uint_eq(fixture_lookup(copy, "2001:db8::1"), 0);
        copy->seal ^= UINT64_C(1) << bit;
    }
    ck_assert_uint_eq(fixture_lookup(copy, "2001:db8::1"), 7);
    free(copy);
    bl_table_build_free(build);
}
END_TEST

/* What each variant says of the same replica, in bursts of any size. */
START_TEST(every_variant_says_what_the_scalar_one_does)
{
    enum { N = 64 };
    const struct bl_table_lookup *variants[BL_TABLE_LOOKUP_VARIANTS];
    unsigned n_variants = bl_table_lookup_variants(variants);
    struct bl_table_build *build = create_mixed(15, 6000, host_counts[_i]);
    const struct bl_table *table = bl_table_build_master(build);
    uint64_t state = 16;
    unsigned n_listed = 0;

    ck_assert_str_eq(variants[0]->name, "scalar");
    for (unsigned round = 0; round < 4000; round++) {
        unsigned n = round % 4 == 0 ? 1 + round % N : N;
        uint32_t ip4[N];
        struct bl_ip6 ip6[N];
        uint8_t expected[2][N];
        uint8_t classes[N];

        pick_addresses(&state, ip4, ip6, N);
        bl_table_lookup_ipv4_by(variants[0], table, ip4, expected[0], n);
        bl_table_lookup_ipv6_by(variants[0], table, ip6, expected[1], n);
        for (unsigned variant = 1; variant < n_variants; variant++) {
            bl_table_lookup_ipv4_by(variants[variant], table, ip4, classes, n);
            fixture_must(memcmp(classes, expected[0], n) == 0, variants[variant]->name);
            bl_table_lookup_ipv6_by(variants[variant], table, ip6, classes, n);
            fixture_must(memcmp(classes, expected[1], n) == 0, variants[variant]->name);
        }
        for (unsigned i = 0; i < n; i++)
            n_listed += expected[0][i] != BL_CLASS_NONE;
    }
    ck_assert_uint_gt(n_listed, 1000);
    bl_table_build_free(build);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("table");
    TCase *lookup = tcase_create("lookup");
    TCase *patch = tcase_create("patch");
    TCase *damage = tcase_create("damage");
    SRunner *runner;
    int n_failed;

    tcase_add_test(lookup, an_empty_table_lists_nothing);
    tcase_add_test(lookup, the_longest_prefix_wins);
    tcase_add_test(lookup, a_hole_hides_what_is_wider);
    tcase_add_test(lookup, the_whole_space_is_a_prefix_of_its_family_only);
    tcase_add_test(lookup, every_length_is_matched);
    tcase_add_test(lookup, a_burst_answers_as_single_lookups_do);
    tcase_add_loop_test(lookup, every_variant_says_what_the_scalar_one_does, 0, N_HOST_COUNTS);
    tcase_add_test(patch, a_patch_is_applied_prefix_by_prefix);
    tcase_add_test(patch, a_step_ends_at_the_first_group_behind_the_budget);
    tcase_add_test(patch, a_patch_fits_the_replica_that_it_was_made_for_only);
    tcase_add_test(damage, validate_takes_a_copy_and_refuses_a_wrong_block);
    tcase_add_test(damage, validate_refuses_sizes_out_of_range);
    tcase_add_test(damage, validate_refuses_a_block_that_is_not_aligned);
    tcase_add_test(damage, the_checksum_sees_every_bit_and_no_step);
    tcase_add_loop_test(damage, flipped_bytes_never_lead_a_lookup_outside, 0, 2);
    tcase_add_loop_test(damage, a_block_of_noise_never_leads_a_lookup_outside, 0, N_HOST_COUNTS);
    tcase_add_test(damage, a_damaged_geometry_lists_nothing);
    suite_add_tcase(suite, lookup);
    suite_add_tcase(suite, patch);
    suite_add_tcase(suite, damage);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
