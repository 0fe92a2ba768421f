/* The master table: what it takes and refuses, what it keeps true about itself, when it sends a patch and when a block,
 * and what happens when its key is known. What happens at the end of memory: test_table_build_limits.c. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/table_fixture.h"
#include "dataplane/table_invariants.h"
#include "dataplane/table_layout.h"

static struct bl_prefix random_prefix(uint64_t *state)
{
    uint64_t a = fixture_random(state);
    uint64_t b = fixture_random(state);

    if (a % 2 == 0)
        return fixture_prefix_ip4((uint32_t)(0x0a000000 | (b & 0xfff)), (unsigned)(a >> 8) % 33);
    return fixture_prefix_ip6(0x20010db800000000 | (b & 0xff), b & 0xf, (unsigned)(a >> 8) % 129);
}

static void set_random(struct bl_table_build *build, uint64_t *state)
{
    struct bl_prefix prefix = random_prefix(state);

    ck_assert_int_eq(bl_table_build_set(build, &prefix, (uint8_t)(fixture_random(state) % BL_CLASS_COUNT)), BL_OK);
}

START_TEST(takes_classes_up_to_63)
{
    struct bl_table_build *build = fixture_create();
    struct bl_prefix prefix = fixture_prefix("10.0.0.0/8");

    for (unsigned class_id = 63; class_id > 0; class_id--) {
        ck_assert_int_eq(bl_table_build_set(build, &prefix, (uint8_t)class_id), BL_OK);
        ck_assert_uint_eq(fixture_lookup(bl_table_build_master(build), "10.9.8.7"), class_id);
    }
    for (unsigned class_id = 64; class_id < 256; class_id++)
        ck_assert_int_eq(bl_table_build_set(build, &prefix, (uint8_t)class_id), BL_EINVAL);
    ck_assert_uint_eq(fixture_lookup(bl_table_build_master(build), "10.9.8.7"), 1);
    bl_table_build_free(build);
}
END_TEST

START_TEST(refuses_what_is_no_prefix)
{
    struct bl_prefix bad[] = {
        {.bytes = {10, 0, 0, 1}, .length = 24, .family = BL_FAMILY_IPV4},
        {.bytes = {10, 0, 0, 0, 1}, .length = 32, .family = BL_FAMILY_IPV4},
        {.bytes = {10}, .length = 33, .family = BL_FAMILY_IPV4},
        {.bytes = {0x20, 1}, .length = 129, .family = BL_FAMILY_IPV6},
        {.bytes = {0x20, 1}, .length = 8, .family = BL_FAMILY_IPV6},
        {.bytes = {0}, .length = 0, .family = BL_FAMILY_NONE},
        {.bytes = {0}, .length = 0, .family = 5},
    };
    struct bl_table_build *build = fixture_create();
    struct bl_table *before = fixture_replica(build);

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_int_eq(bl_table_build_set(build, &bad[i], 1), BL_EINVAL);
        ck_assert_int_eq(bl_table_build_set(build, &bad[i], 0), BL_EINVAL);
    }
    fixture_assert_equal(before, bl_table_build_master(build));
    ck_assert_uint_eq(bl_table_build_digest(build).hi, 0);
    free(before);
    bl_table_build_free(build);
}
END_TEST

/* What changes nothing must not be in a patch either. */
START_TEST(a_change_that_changes_nothing_costs_nothing)
{
    struct bl_table_build *build = fixture_create();
    struct bl_table_patch *empty;
    struct bl_table_patch *patch;

    fixture_set(build, "10.0.0.0/8", 1);
    ck_assert_ptr_null(fixture_commit(build, 1));
    empty = fixture_commit(build, 2);
    ck_assert_ptr_nonnull(empty);
    fixture_set(build, "10.0.0.0/8", 1);
    fixture_set(build, "11.0.0.0/8", 0);
    fixture_set(build, "10.0.0.0/16", 0);
    fixture_set(build, "::/0", 0);
    patch = fixture_commit(build, 3);
    ck_assert_ptr_nonnull(patch);
    ck_assert_uint_eq(bl_table_patch_size(patch), bl_table_patch_size(empty));
    bl_table_patch_free(patch);
    bl_table_patch_free(empty);
    bl_table_build_free(build);
}
END_TEST

START_TEST(a_commit_without_changes_moves_the_serial)
{
    struct bl_table_build *build = fixture_create();
    struct bl_table_cursor cursor = {0};
    struct bl_table_patch *patch;
    struct bl_table *replica;

    ck_assert_ptr_null(fixture_commit(build, 1));
    ck_assert_uint_eq(bl_table_serial(bl_table_build_master(build)), 1);
    replica = fixture_replica(build);
    patch = fixture_commit(build, 9);
    ck_assert_ptr_nonnull(patch);
    ck_assert_uint_eq(bl_table_patch_serial(patch), 9);
    ck_assert(bl_table_patch_fits(replica, patch));
    ck_assert(bl_table_apply(replica, patch, &cursor, 0));
    ck_assert_uint_eq(bl_table_serial(replica), 9);
    fixture_assert_equal(replica, bl_table_build_master(build));
    bl_table_patch_free(patch);
    free(replica);
    bl_table_build_free(build);
}
END_TEST

START_TEST(the_digest_is_that_of_the_content)
{
    enum { N = 300 };
    struct bl_table_build *forward = fixture_create();
    struct bl_table_build *backward = fixture_create();
    struct bl_prefix prefixes[N];
    struct bl_digest expected = {0, 0};
    struct bl_digest got;
    uint64_t n_ipv4;
    uint64_t n_ipv6;

    for (unsigned i = 0; i < N; i++) {
        prefixes[i] = i % 2 == 0 ? fixture_prefix_ip4(i << 8, 24) : fixture_prefix_ip6(i, 0, 64);
        bl_digest_add(&expected, FIXTURE_EPOCH, &prefixes[i], (uint8_t)(1 + i % 63));
    }
    for (unsigned i = 0; i < N; i++) {
        ck_assert_int_eq(bl_table_build_set(forward, &prefixes[i], (uint8_t)(1 + i % 63)), BL_OK);
        /* With detours: another class first, and a neighbour that goes again. */
        ck_assert_int_eq(bl_table_build_set(backward, &prefixes[N - 1 - i], 7), BL_OK);
    }
    for (unsigned i = 0; i < N; i++) {
        ck_assert_int_eq(bl_table_build_set(backward, &prefixes[i], 0), BL_OK);
        ck_assert_int_eq(bl_table_build_set(backward, &prefixes[i], (uint8_t)(1 + i % 63)), BL_OK);
    }
    got = bl_table_build_digest(forward);
    ck_assert(bl_digest_equal(&got, &expected));
    got = bl_table_build_digest(backward);
    ck_assert(bl_digest_equal(&got, &expected));
    ck_assert_uint_eq(bl_table_build_epoch(forward), FIXTURE_EPOCH);
    bl_table_build_count(backward, &n_ipv4, &n_ipv6);
    ck_assert_uint_eq(n_ipv4, N / 2);
    ck_assert_uint_eq(n_ipv6, N / 2);
    for (unsigned i = 0; i < N; i++)
        ck_assert_int_eq(bl_table_build_set(backward, &prefixes[i], 0), BL_OK);
    got = bl_table_build_digest(backward);
    ck_assert_uint_eq(got.hi, 0);
    ck_assert_uint_eq(got.lo, 0);
    bl_table_build_count(backward, &n_ipv4, &n_ipv6);
    ck_assert_uint_eq(n_ipv4 + n_ipv6, 0);
    bl_table_build_free(forward);
    bl_table_build_free(backward);
}
END_TEST

START_TEST(churn_keeps_the_invariants)
{
    struct bl_table_build *build = fixture_create();
    uint64_t state = 21;

    for (unsigned round = 0; round < 60; round++) {
        for (unsigned i = 0; i < 300; i++)
            set_random(build, &state);
        (void)check_invariants(build);
    }
    bl_table_build_free(build);
}
END_TEST

/* Hosts are added one by one, past the point where they get lines of their own and past where these get more: the size
 * changes exactly when the commit says so, and nothing is lost on the way. */
START_TEST(growth_is_a_new_block)
{
    enum { N = 140000, EVERY = 97 };
    struct bl_table_build *build = fixture_create();
    size_t size = bl_table_size(bl_table_build_master(build));
    unsigned n_moves = 0;
    unsigned n_patches = 0;

    ck_assert_ptr_null(fixture_commit(build, 1));
    for (unsigned i = 0; i < N; i++) {
        struct bl_prefix prefix = fixture_prefix_ip4(i * 30011, 32);

        fixture_must(bl_table_build_set(build, &prefix, (uint8_t)(1 + i % 5)) == BL_OK, "set");
        if (i % EVERY == 0) {
            struct bl_table_patch *patch = fixture_commit(build, 2 + i);
            size_t now = bl_table_size(bl_table_build_master(build));

            ck_assert(patch == NULL || now == size);
            n_moves += patch == NULL;
            n_patches += patch != NULL;
            size = now;
            bl_table_patch_free(patch);
        }
    }
    ck_assert_uint_ge(n_moves, 4);
    ck_assert_uint_le(n_moves, 40);
    ck_assert_uint_gt(n_patches, N / EVERY - 40);
    for (unsigned i = 0; i < N; i++) {
        uint32_t address = i * 30011;
        uint8_t class_id;

        bl_table_lookup_ipv4_burst(bl_table_build_master(build), &address, &class_id, 1);
        fixture_must(class_id == 1 + i % 5, "a lookup");
    }
    ck_assert_uint_gt(check_invariants(build).n_in_lines, N * 9 / 10);
    bl_table_build_free(build);
}
END_TEST

/* A class more than a palette takes: the lines get whole classes, and say so by another block. */
START_TEST(many_classes_of_hosts_are_a_new_block)
{
    enum { N = 20000 };
    struct bl_table_build *build = fixture_create();

    for (unsigned i = 0; i < N; i++) {
        struct bl_prefix prefix = fixture_prefix_ip4(i * 50021, 32);

        fixture_must(bl_table_build_set(build, &prefix, (uint8_t)(1 + i % 15)) == BL_OK, "set");
    }
    ck_assert_ptr_null(fixture_commit(build, 1));
    ck_assert((bl_table_build_master(build)->geometry.options & BL_TABLE_OPTION_PALETTE) != 0);
    for (unsigned i = 0; i < N; i++) {
        struct bl_prefix prefix = fixture_prefix_ip4(i * 50021, 32);
        struct bl_table_patch *patch;

        fixture_must(bl_table_build_set(build, &prefix, (uint8_t)(1 + i % 63)) == BL_OK, "set");
        if (i > 20)
            continue;
        patch = fixture_commit(build, 2 + i);
        ck_assert_int_eq(patch == NULL, i == 15);
        bl_table_patch_free(patch);
    }
    ck_assert((bl_table_build_master(build)->geometry.options & BL_TABLE_OPTION_PALETTE) == 0);
    for (unsigned i = 0; i < N; i++) {
        uint32_t address = i * 50021;
        uint8_t class_id;

        bl_table_lookup_ipv4_burst(bl_table_build_master(build), &address, &class_id, 1);
        fixture_must(class_id == 1 + i % 63, "a lookup");
    }
    (void)check_invariants(build);
    bl_table_build_free(build);
}
END_TEST

START_TEST(a_delta_larger_than_a_copy_is_a_new_block)
{
    struct bl_table_build *build = fixture_create();
    struct bl_table_patch *patch;
    struct bl_table *before;
    unsigned n_changes = 0;

    ck_assert_ptr_null(fixture_commit(build, 1));
    before = fixture_replica(build);
    for (; n_changes < 200; n_changes++)
        fixture_set(build, "10.0.0.0/24", (uint8_t)(1 + n_changes % 2));
    patch = fixture_commit(build, 2);
    ck_assert_ptr_nonnull(patch);
    ck_assert_uint_le(bl_table_patch_size(patch), bl_table_size(before));
    bl_table_patch_free(patch);
    for (; n_changes < 6000; n_changes++)
        fixture_set(build, "10.0.0.0/24", (uint8_t)(1 + n_changes % 2));
    ck_assert_ptr_null(fixture_commit(build, 3));
    ck_assert_uint_eq(bl_table_size(bl_table_build_master(build)), bl_table_size(before));
    free(before);
    bl_table_build_free(build);
}
END_TEST

START_TEST(room_that_was_not_needed_is_given_back)
{
    struct bl_table_build *build = NULL;
    struct bl_table_build *small = fixture_create();

    ck_assert_int_eq(bl_table_build_create(&build, FIXTURE_EPOCH, &fixture_key, 1000000), BL_OK);
    for (unsigned i = 0; i < 300; i++) {
        struct bl_prefix prefix = fixture_prefix_ip6(i, 0, 64);

        ck_assert_int_eq(bl_table_build_set(build, &prefix, 4), BL_OK);
        ck_assert_int_eq(bl_table_build_set(small, &prefix, 4), BL_OK);
    }
    ck_assert_uint_gt(bl_table_size(bl_table_build_master(build)), 2 * bl_table_size(bl_table_build_master(small)));
    ck_assert_ptr_null(fixture_commit(build, 1));
    ck_assert_ptr_null(fixture_commit(small, 1));
    ck_assert_uint_eq(bl_table_size(bl_table_build_master(build)), bl_table_size(bl_table_build_master(small)));
    ck_assert_uint_eq(fixture_lookup(bl_table_build_master(build), "0:0:0:12b::1"), 4);
    (void)check_invariants(build);
    bl_table_build_free(build);
    bl_table_build_free(small);
}
END_TEST

/* A load of as many entries as were expected never moves the block on its way. */
START_TEST(what_was_expected_fits)
{
    struct bl_table_build *build = NULL;
    const struct bl_table *master;

    ck_assert_int_eq(bl_table_build_create(&build, FIXTURE_EPOCH, &fixture_key, 50000), BL_OK);
    master = bl_table_build_master(build);
    for (unsigned i = 0; i < 50000; i++) {
        struct bl_prefix prefix = fixture_prefix_ip4(i * 977, 32);

        fixture_must(bl_table_build_set(build, &prefix, 4) == BL_OK, "set");
        ck_assert_ptr_eq(bl_table_build_master(build), master);
    }
    bl_table_build_free(build);
}
END_TEST

enum { N_REPLICAS = 5 };

/* Each replica has a budget of its own; the last one starts late, from a copy of the master. */
START_TEST(replicas_are_equal_at_equal_serial)
{
    static const size_t budgets[N_REPLICAS] = {0, 50, 333, 1 << 20, 77};
    struct bl_table *replicas[N_REPLICAS] = {NULL};
    struct bl_table_build *build = fixture_create();
    uint64_t state = 31;
    unsigned n_patches = 0;

    for (uint64_t serial = 1; serial <= 200; serial++) {
        struct bl_table_patch *patch;

        for (unsigned i = 0; i < 40; i++)
            set_random(build, &state);
        patch = fixture_commit(build, serial);
        for (unsigned i = 0; i < N_REPLICAS; i++) {
            struct bl_table_cursor cursor = {0};

            if (i == N_REPLICAS - 1 && serial < 150)
                continue;
            if (patch == NULL || replicas[i] == NULL) {
                free(replicas[i]);
                replicas[i] = fixture_replica(build);
            } else {
                ck_assert(bl_table_patch_fits(replicas[i], patch));
                while (!bl_table_apply(replicas[i], patch, &cursor, budgets[i]))
                    ck_assert_uint_eq(bl_table_serial(replicas[i]), serial - 1);
            }
            fixture_assert_equal(replicas[i], bl_table_build_master(build));
        }
        n_patches += patch != NULL;
        bl_table_patch_free(patch);
    }
    ck_assert_uint_gt(n_patches, 150);
    for (unsigned i = 0; i < N_REPLICAS; i++)
        free(replicas[i]);
    bl_table_build_free(build);
}
END_TEST

START_TEST(a_patch_does_not_fit_another_master)
{
    struct bl_table_build *build = fixture_create();
    struct bl_table_build *other_epoch = NULL;
    struct bl_table_build *other_key = NULL;
    const struct bl_siphash_key key = {1, 2};
    struct bl_table_patch *patch;

    ck_assert_int_eq(bl_table_build_create(&other_epoch, FIXTURE_EPOCH + 1, &fixture_key, 0), BL_OK);
    ck_assert_int_eq(bl_table_build_create(&other_key, FIXTURE_EPOCH, &key, 0), BL_OK);
    ck_assert_ptr_null(fixture_commit(build, 1));
    ck_assert_ptr_null(fixture_commit(other_epoch, 1));
    ck_assert_ptr_null(fixture_commit(other_key, 1));
    ck_assert_uint_eq(bl_table_size(bl_table_build_master(build)), bl_table_size(bl_table_build_master(other_key)));
    patch = fixture_commit(build, 2);
    ck_assert(!bl_table_patch_fits(bl_table_build_master(build), patch));
    ck_assert(!bl_table_patch_fits(bl_table_build_master(other_epoch), patch));
    ck_assert(!bl_table_patch_fits(bl_table_build_master(other_key), patch));
    bl_table_patch_free(patch);
    bl_table_build_free(build);
    bl_table_build_free(other_epoch);
    bl_table_build_free(other_key);
}
END_TEST

/* The next host from @p start on that belongs to the line: what an attacker who knows the keys can do. */
static uint32_t find_host(const struct bl_table *table, uint32_t start, uint32_t line)
{
    while (bl_table_host_line(bl_table_host_permute(&table->keys, start), table->geometry.host_lines) != line)
        start++;
    return start;
}

static void set_hosts(struct bl_table_build *build, const uint32_t *hosts, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct bl_prefix prefix = fixture_prefix_ip4(hosts[i], 32);

        fixture_must(bl_table_build_set(build, &prefix, (uint8_t)(1 + i % 9)) == BL_OK, "set");
    }
}

static void check_hosts(const struct bl_table_build *build, const uint32_t *hosts, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint8_t class_id;

        bl_table_lookup_ipv4_burst(bl_table_build_master(build), &hosts[i], &class_id, 1);
        fixture_must(class_id == 1 + i % 9, "a lookup");
    }
}

/* Who knows everything, the keys too, fills one line: what is over lies in the ranges, where a lookup takes at most four
 * steps; when that becomes many, the keys change, and the hosts are back in the lines. */
START_TEST(built_collisions_get_new_keys)
{
    enum { N_OTHERS = 8000, N = 1000 };
    struct bl_table_build *build = NULL;
    static uint32_t hosts[N];
    uint32_t start = 0x40000000;
    uint32_t multiplier;
    struct invariants_tally before;

    ck_assert_int_eq(bl_table_build_create(&build, FIXTURE_EPOCH, &fixture_key, N_OTHERS), BL_OK);
    for (unsigned i = 0; i < N_OTHERS; i++) {
        struct bl_prefix prefix = fixture_prefix_ip4(i * 400009 >> 2, 32);

        fixture_must(bl_table_build_set(build, &prefix, 1) == BL_OK, "set");
    }
    ck_assert_ptr_null(fixture_commit(build, 1));
    before = check_invariants(build);
    multiplier = bl_table_build_master(build)->keys.host_multipliers[0];
    for (unsigned i = 0; i < N; i++) {
        hosts[i] = find_host(bl_table_build_master(build), start, 1000);
        start = hosts[i] + 1;
    }
    set_hosts(build, hosts, 100);
    ck_assert_uint_eq(bl_table_build_master(build)->keys.host_multipliers[0], multiplier);
    /* The line is full, more is not there. */
    ck_assert_uint_le(check_invariants(build).n_in_lines, before.n_in_lines + BL_TABLE_LAYOUT_HOSTS);
    check_hosts(build, hosts, 100);
    set_hosts(build, hosts, N);
    ck_assert_uint_ne(bl_table_build_master(build)->keys.host_multipliers[0], multiplier);
    ck_assert_uint_gt(check_invariants(build).n_in_lines, before.n_in_lines + N * 8 / 10);
    check_hosts(build, hosts, N);
    ck_assert_ptr_null(fixture_commit(build, 2));
    bl_table_build_free(build);
}
END_TEST

/* Without the keys: dense, strided and structured addresses, those that would fill lines under the keys of another
 * table, and such that a linear hash would put together, fill lines as random ones do. */
START_TEST(structured_addresses_do_not_collide)
{
    static const uint32_t strides[] = {1, 256, 65536, 0x01000193, 0x9e3779b1, 0x00010001, 0x80000001, 0x10};
    enum { N = 40000, N_STRIDES = sizeof(strides) / sizeof(strides[0]) };
    const struct bl_siphash_key other_key = {77, 78};
    struct bl_table_build *other = NULL;

    ck_assert_int_eq(bl_table_build_create(&other, FIXTURE_EPOCH, &other_key, N), BL_OK);
    for (unsigned kind = 0; kind <= N_STRIDES; kind++) {
        struct bl_table_build *build = NULL;
        struct invariants_tally tally;
        uint32_t address = 0;

        ck_assert_int_eq(bl_table_build_create(&build, FIXTURE_EPOCH, &fixture_key, N), BL_OK);
        for (unsigned i = 0; i < N; i++) {
            struct bl_prefix prefix;

            if (kind == N_STRIDES && i < 4000)
                address = find_host(bl_table_build_master(other), address + 1, i / 1000);
            else
                address = i * strides[kind % N_STRIDES];
            prefix = fixture_prefix_ip4(address, 32);
            fixture_must(bl_table_build_set(build, &prefix, 1) == BL_OK, "set");
        }
        tally = check_invariants(build);
        /* Of 4096 lines with 9.8 hosts each, one in 2000 is full by chance. */
        ck_assert_msg(tally.n_host_lines_full < 30, "stride %u: %lu lines are full", kind,
                      (unsigned long)tally.n_host_lines_full);
        bl_table_build_free(build);
    }
    bl_table_build_free(other);
}
END_TEST

START_TEST(structured_ipv6_prefixes_do_not_collide)
{
    for (unsigned kind = 0; kind < 6; kind++) {
        struct bl_table_build *build = fixture_create();
        struct invariants_tally tally;

        for (unsigned i = 0; i < 30000; i++) {
            struct bl_prefix six = kind % 2 == 0
                                       ? fixture_prefix_ip6(0x20010db800000000, (uint64_t)i << kind * 8, 128)
                                       : fixture_prefix_ip6(0x2001000000000000 + ((uint64_t)i << kind * 8), 0, 64);

            fixture_must(bl_table_build_set(build, &six, 1) == BL_OK, "set");
        }
        ck_assert_ptr_null(fixture_commit(build, 1));
        tally = check_invariants(build);
        ck_assert_uint_eq(tally.n_short + tally.n_long + tally.n_rest, 30000);
        ck_assert_uint_lt(tally.n_rest, 60);
        bl_table_build_free(build);
    }
}
END_TEST

static uint64_t patch_bytes(const struct bl_table_patch *patch)
{
    return bl_table_patch_size(patch) - sizeof(*patch);
}

/* The largest groups that there are keep the promise of table.h: the whole space, and half of a /16 in which every
 * other address is listed. */
START_TEST(the_largest_group_keeps_its_limit)
{
    static const char *const prefixes[] = {"0.0.0.0/0", "10.1.0.0/17", "10.1.0.0/16", "::/0"};
    struct bl_table_build *build = fixture_create();
    uint64_t serial = 1;

    for (uint32_t i = 0; i < 0x8000; i++) {
        struct bl_prefix prefix = fixture_prefix_ip4(0x0a010000 + 2 * i, 31);

        prefix.length = 32;
        if (i % 4 == 0)
            prefix.length = 31;
        fixture_must(bl_table_build_set(build, &prefix, (uint8_t)(1 + i % 3)) == BL_OK, "set");
    }
    fixture_set(build, "2001:db8::/32", 1);
    ck_assert_ptr_null(fixture_commit(build, serial));
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        for (unsigned class_id = 3; class_id-- > 0;) {
            struct bl_table *replica = fixture_replica(build);
            struct bl_table_cursor cursor = {0};
            struct bl_table_patch *patch;

            fixture_set(build, prefixes[i], (uint8_t)class_id);
            patch = fixture_commit(build, ++serial);
            if (patch != NULL) {
                ck_assert_uint_le(patch_bytes(patch), BL_TABLE_GROUP_MAX);
                ck_assert(bl_table_apply(replica, patch, &cursor, 0));
                fixture_assert_equal(replica, bl_table_build_master(build));
            }
            bl_table_patch_free(patch);
            free(replica);
        }
    (void)check_invariants(build);
    bl_table_build_free(build);
}
END_TEST

/* What a host costs a worker: a patch of two stores. */
START_TEST(a_host_is_a_patch_of_two_stores)
{
    enum { N = 30000 };
    struct bl_table_build *build = NULL;
    struct bl_table_patch *patch;
    struct bl_prefix prefix = fixture_prefix("192.0.2.1");

    ck_assert_int_eq(bl_table_build_create(&build, FIXTURE_EPOCH, &fixture_key, N), BL_OK);
    for (unsigned i = 0; i < N; i++) {
        struct bl_prefix host = fixture_prefix_ip4(i * 70001, 32);

        fixture_must(bl_table_build_set(build, &host, 1) == BL_OK, "set");
    }
    ck_assert_ptr_null(fixture_commit(build, 1));
    for (unsigned class_id = 2; class_id-- > 0;) {
        fixture_must(bl_table_build_set(build, &prefix, (uint8_t)class_id) == BL_OK, "set");
        patch = fixture_commit(build, 3 - class_id);
        ck_assert_ptr_nonnull(patch);
        /* The group's word, and two writes of a word each; who leaves may be replaced by the line's last one. */
        ck_assert_uint_le(patch_bytes(patch), (class_id == 1 ? 5 : 9) * sizeof(uint64_t));
        bl_table_patch_free(patch);
    }
    bl_table_build_free(build);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("table_build");
    TCase *changes = tcase_create("changes");
    TCase *commits = tcase_create("commits");
    TCase *keys = tcase_create("keys");
    SRunner *runner;
    int n_failed;

    tcase_add_test(changes, takes_classes_up_to_63);
    tcase_add_test(changes, refuses_what_is_no_prefix);
    tcase_add_test(changes, a_change_that_changes_nothing_costs_nothing);
    tcase_add_test(changes, the_digest_is_that_of_the_content);
    tcase_add_test(changes, churn_keeps_the_invariants);
    tcase_add_test(commits, a_commit_without_changes_moves_the_serial);
    tcase_add_test(commits, growth_is_a_new_block);
    tcase_add_test(commits, many_classes_of_hosts_are_a_new_block);
    tcase_add_test(commits, the_largest_group_keeps_its_limit);
    tcase_add_test(commits, a_host_is_a_patch_of_two_stores);
    tcase_add_test(commits, a_delta_larger_than_a_copy_is_a_new_block);
    tcase_add_test(commits, room_that_was_not_needed_is_given_back);
    tcase_add_test(commits, what_was_expected_fits);
    tcase_add_test(commits, replicas_are_equal_at_equal_serial);
    tcase_add_test(commits, a_patch_does_not_fit_another_master);
    tcase_add_test(keys, built_collisions_get_new_keys);
    tcase_add_test(keys, structured_addresses_do_not_collide);
    tcase_add_test(keys, structured_ipv6_prefixes_do_not_collide);
    suite_add_tcase(suite, changes);
    suite_add_tcase(suite, commits);
    suite_add_tcase(suite, keys);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
