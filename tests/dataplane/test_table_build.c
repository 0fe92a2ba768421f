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

START_TEST(growth_is_a_new_block)
{
    struct bl_table_build *build = fixture_create();
    struct bl_table_patch *patch = NULL;
    bool rebuilt;
    size_t size;

    ck_assert_ptr_null(fixture_commit(build, 1));
    size = bl_table_size(bl_table_build_master(build));
    for (unsigned i = 0; i < 512; i++) {
        struct bl_prefix prefix = fixture_prefix_ip4(i, 32);

        ck_assert_int_eq(bl_table_build_set(build, &prefix, 1), BL_OK);
        if (i % 100 == 99)
            bl_table_patch_free(fixture_commit(build, 2 + i));
    }
    patch = fixture_commit(build, 1000);
    ck_assert_ptr_nonnull(patch);
    bl_table_patch_free(patch);
    ck_assert_uint_eq(bl_table_size(bl_table_build_master(build)), size);
    fixture_set(build, "10.0.0.0/8", 2);
    ck_assert_uint_gt(bl_table_size(bl_table_build_master(build)), size);
    ck_assert_int_eq(bl_table_build_commit(build, 1001, &patch, &rebuilt), BL_OK);
    ck_assert(rebuilt);
    ck_assert_ptr_null(patch);
    ck_assert_uint_eq(bl_table_serial(bl_table_build_master(build)), 1001);
    ck_assert_uint_eq(fixture_lookup(bl_table_build_master(build), "0.0.1.255"), 1);
    ck_assert_uint_eq(fixture_lookup(bl_table_build_master(build), "10.0.1.255"), 2);
    (void)check_invariants(build);
    /* From here on patches again. */
    fixture_set(build, "10.0.0.0/8", 3);
    patch = fixture_commit(build, 1002);
    ck_assert_ptr_nonnull(patch);
    bl_table_patch_free(patch);
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
        fixture_set(build, "10.0.0.0/8", (uint8_t)(1 + n_changes % 2));
    patch = fixture_commit(build, 2);
    ck_assert_ptr_nonnull(patch);
    ck_assert_uint_le(bl_table_patch_size(patch), bl_table_size(before));
    bl_table_patch_free(patch);
    for (; n_changes < 4000; n_changes++)
        fixture_set(build, "10.0.0.0/8", (uint8_t)(1 + n_changes % 2));
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
    size_t size;

    ck_assert_int_eq(bl_table_build_create(&build, FIXTURE_EPOCH, &fixture_key, 100000), BL_OK);
    size = bl_table_size(bl_table_build_master(build));
    ck_assert_uint_gt(size, bl_table_size(bl_table_build_master(small)));
    for (unsigned i = 0; i < 300; i++) {
        struct bl_prefix prefix = fixture_prefix_ip6(i, 0, 64);

        ck_assert_int_eq(bl_table_build_set(build, &prefix, 4), BL_OK);
    }
    ck_assert_ptr_null(fixture_commit(build, 1));
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

        ck_assert_int_eq(bl_table_build_set(build, &prefix, 4), BL_OK);
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

/* The next host from @p start on whose home is the slot: what an attacker who knows the key can do. */
static uint32_t find_host(const struct bl_table *table, uint32_t start, size_t home)
{
    struct bl_table_area area = bl_table_layout_ipv4(table->geometry);

    for (;; start++) {
        struct bl_table_slot slot = bl_table_layout_key_ipv4(start, 32);

        if (bl_table_layout_home(&table->key, slot.words, area.n_words, area.bits) == home)
            return start;
    }
}

static void set_hosts(struct bl_table_build *build, const uint32_t *hosts, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct bl_prefix prefix = fixture_prefix_ip4(hosts[i], 32);

        ck_assert_int_eq(bl_table_build_set(build, &prefix, (uint8_t)(1 + i % 63)), BL_OK);
    }
}

static void check_hosts(const struct bl_table_build *build, const uint32_t *hosts, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint8_t class_id;

        bl_table_lookup_ipv4_burst(bl_table_build_master(build), &hosts[i], &class_id, 1);
        ck_assert_uint_eq(class_id, 1 + i % 63);
    }
}

START_TEST(built_collisions_get_a_new_key)
{
    enum { N = 400 };
    struct bl_table_build *build = fixture_create();
    struct bl_siphash_key key = bl_table_build_master(build)->key;
    uint32_t hosts[N];
    uint32_t start = 0;

    ck_assert_ptr_null(fixture_commit(build, 1));
    for (unsigned i = 0; i < N; i++) {
        /* Near the end of the slots, so that the run goes round. */
        hosts[i] = find_host(bl_table_build_master(build), start, 1000);
        start = hosts[i] + 1;
    }
    set_hosts(build, hosts, BL_TABLE_LAYOUT_PROBE_MAX);
    ck_assert_uint_eq(bl_table_build_master(build)->key.k0, key.k0);
    ck_assert_uint_eq(check_invariants(build), BL_TABLE_LAYOUT_PROBE_MAX - 1);
    set_hosts(build, hosts, N);
    ck_assert_uint_ne(bl_table_build_master(build)->key.k0, key.k0);
    ck_assert_uint_lt(check_invariants(build), 64);
    check_hosts(build, hosts, N);
    ck_assert_ptr_null(fixture_commit(build, 2));
    bl_table_build_free(build);
}
END_TEST

/* Two at one home and one at each home behind it: taking the first away would move them all. */
START_TEST(a_removal_that_moves_too_much_gets_a_new_key)
{
    enum { N = BL_TABLE_LAYOUT_MOVES_MAX + 20 };
    struct bl_table_build *build = fixture_create();
    struct bl_siphash_key key = bl_table_build_master(build)->key;
    struct bl_prefix prefix;
    uint32_t hosts[N];

    for (unsigned i = 0; i < N; i++) {
        size_t home = i == 0 ? 900 : (900 + i - 1) % 1024;

        hosts[i] = find_host(bl_table_build_master(build), i == 1 ? hosts[0] + 1 : 0, home);
    }
    set_hosts(build, hosts, N);
    ck_assert_ptr_null(fixture_commit(build, 1));
    (void)check_invariants(build);
    /* One from the run's end moves few: a patch. */
    prefix = fixture_prefix_ip4(hosts[N - 10], 32);
    ck_assert_int_eq(bl_table_build_set(build, &prefix, 0), BL_OK);
    bl_table_patch_free(fixture_commit(build, 2));
    ck_assert_uint_eq(bl_table_build_master(build)->key.k0, key.k0);
    ck_assert_int_eq(bl_table_build_set(build, &prefix, (uint8_t)(1 + (N - 10) % 63)), BL_OK);
    prefix = fixture_prefix_ip4(hosts[0], 32);
    ck_assert_int_eq(bl_table_build_set(build, &prefix, 0), BL_OK);
    (void)check_invariants(build);
    ck_assert_uint_ne(bl_table_build_master(build)->key.k0, key.k0);
    ck_assert_ptr_null(fixture_commit(build, 3));
    ck_assert_int_eq(bl_table_build_set(build, &prefix, 1), BL_OK);
    check_hosts(build, hosts, N);
    bl_table_build_free(build);
}
END_TEST

/* The largest removal that still is a patch moves MOVES_MAX slots, and its group keeps the promise of table.h. */
START_TEST(the_largest_group_keeps_its_limit)
{
    enum { N = BL_TABLE_LAYOUT_MOVES_MAX + 1 };
    struct bl_table_build *build = fixture_create();
    struct bl_table_cursor cursor = {0};
    struct bl_table_patch *patch;
    struct bl_table *replica;
    struct bl_prefix prefix;
    uint32_t hosts[N];

    for (unsigned i = 0; i < N; i++)
        hosts[i] = find_host(bl_table_build_master(build), i == 1 ? hosts[0] + 1 : 0, i == 0 ? 100 : 100 + i - 1);
    set_hosts(build, hosts, N);
    ck_assert_ptr_null(fixture_commit(build, 1));
    replica = fixture_replica(build);
    prefix = fixture_prefix_ip4(hosts[0], 32);
    ck_assert_int_eq(bl_table_build_set(build, &prefix, 0), BL_OK);
    patch = fixture_commit(build, 2);
    ck_assert_ptr_nonnull(patch);
    ck_assert_uint_gt(bl_table_patch_size(patch), 16 * BL_TABLE_LAYOUT_MOVES_MAX);
    ck_assert_uint_le(bl_table_patch_size(patch) - sizeof(*patch), BL_TABLE_GROUP_MAX);
    ck_assert(bl_table_apply(replica, patch, &cursor, 0));
    fixture_assert_equal(replica, bl_table_build_master(build));
    (void)check_invariants(build);
    bl_table_patch_free(patch);
    free(replica);
    bl_table_build_free(build);
}
END_TEST

/* Without the key: dense, strided and structured addresses land as random ones do. */
START_TEST(structured_addresses_do_not_collide)
{
    static const uint32_t strides[] = {1, 256, 65536, 0x01000193, 0x9e3779b1, 0x00010001};
    struct bl_table_build *build = fixture_create();

    for (unsigned i = 0; i < 30000; i++) {
        struct bl_prefix four = fixture_prefix_ip4(i / 6 * strides[i % 6] + i % 6, 32);
        struct bl_prefix six = fixture_prefix_ip6(0x20010db800000000, (uint64_t)i << (i % 6 * 8), 128);

        ck_assert_int_eq(bl_table_build_set(build, &four, 1), BL_OK);
        ck_assert_int_eq(bl_table_build_set(build, &six, 1), BL_OK);
    }
    ck_assert_uint_lt(check_invariants(build), 100);
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
    tcase_add_test(commits, a_delta_larger_than_a_copy_is_a_new_block);
    tcase_add_test(commits, room_that_was_not_needed_is_given_back);
    tcase_add_test(commits, what_was_expected_fits);
    tcase_add_test(commits, replicas_are_equal_at_equal_serial);
    tcase_add_test(commits, a_patch_does_not_fit_another_master);
    tcase_add_test(keys, built_collisions_get_a_new_key);
    tcase_add_test(keys, a_removal_that_moves_too_much_gets_a_new_key);
    tcase_add_test(keys, the_largest_group_keeps_its_limit);
    tcase_add_test(keys, structured_addresses_do_not_collide);
    suite_add_tcase(suite, changes);
    suite_add_tcase(suite, commits);
    suite_add_tcase(suite, keys);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
