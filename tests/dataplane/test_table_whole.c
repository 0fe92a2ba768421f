/* One whole /8, address by address, against an array that was painted the plain way: with few hosts, with many, and with
 * so many that there is a map; after the load, and after half of it went again by patches. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/table_fixture.h"
#include "dataplane/table_invariants.h"
#include "dataplane/table_lookup.h"

enum { N_ADDRESSES = 1 << 24, FIRST = 10 << 24, N_WIDE = 30000 };

struct whole {
    struct bl_table_build *build;
    struct bl_table *replica;
    struct bl_table_entry *entries;
    unsigned n;
    uint8_t *expected;
};

static unsigned length_of(const struct bl_table_entry *entry)
{
    return entry->prefix.length;
}

static int compare_length(const void *a, const void *b)
{
    return (int)length_of(a) - (int)length_of(b);
}

static void create(struct whole *whole, unsigned n_hosts)
{
    uint64_t state = 5 + n_hosts;
    size_t n_done;

    *whole = (struct whole){.n = N_WIDE + n_hosts, .expected = malloc(N_ADDRESSES)};
    whole->entries = malloc(whole->n * sizeof(*whole->entries));
    ck_assert_ptr_nonnull(whole->entries);
    ck_assert_ptr_nonnull(whole->expected);
    for (unsigned i = 0; i < whole->n; i++) {
        uint64_t a = fixture_random(&state);
        /* Half of the wide ones crowd in one /16. */
        uint32_t address = FIRST | (uint32_t)(i < N_WIDE / 2 ? 0x420000 | (a & 0xffff) : a & 0xffffff);
        unsigned length = i >= N_WIDE ? 32 : i < 6 ? 4 + i : i < 600 ? 8 + a % 12 : 17 + a % 15;

        whole->entries[i].prefix = fixture_prefix_ip4(address, length);
        whole->entries[i].class_id = (uint8_t)(1 + (a >> 40) % (i % 3 == 0 ? 63 : 2));
    }
    /* Equal prefixes lie together, the last one in the order counts: as in the array. */
    qsort(whole->entries, whole->n, sizeof(*whole->entries), compare_length);
    ck_assert_int_eq(bl_table_build_create(&whole->build, FIXTURE_EPOCH, &fixture_key, whole->n), BL_OK);
    ck_assert_int_eq(bl_table_build_load(whole->build, whole->entries, whole->n, &n_done), BL_OK);
    ck_assert_uint_eq(n_done, whole->n);
    ck_assert_ptr_null(fixture_commit(whole->build, 1));
    whole->replica = fixture_replica(whole->build);
}

static void check_all(struct whole *whole)
{
    enum { AT_ONCE = 1 << 10 };
    static uint32_t addresses[AT_ONCE];
    static uint8_t classes[AT_ONCE];

    memset(whole->expected, BL_CLASS_NONE, N_ADDRESSES);
    for (unsigned i = 0; i < whole->n; i++) {
        unsigned length = whole->entries[i].prefix.length;
        uint32_t first = bl_address_to_ip4(whole->entries[i].prefix.bytes);
        uint32_t n = length <= 8 ? N_ADDRESSES : 1u << (32 - length);

        if (whole->entries[i].class_id != BL_CLASS_NONE)
            memset(whole->expected + (length <= 8 ? 0 : first - FIRST), whole->entries[i].class_id, n);
    }
    for (uint32_t at = 0; at < N_ADDRESSES; at += AT_ONCE) {
        for (uint32_t i = 0; i < AT_ONCE; i++)
            addresses[i] = FIRST + at + i;
        bl_table_lookup_ipv4_burst(whole->replica, addresses, classes, AT_ONCE);
        for (uint32_t i = 0; i < AT_ONCE && memcmp(classes, whole->expected + at, AT_ONCE) != 0; i++)
            if (classes[i] != whole->expected[at + i])
                ck_abort_msg("%#x: class %u: expected %u", addresses[i], classes[i], whole->expected[at + i]);
    }
}

/* Every other prefix goes; equal ones with it, so that the array says the same. */
static void remove_half(struct whole *whole)
{
    unsigned n_patches = 0;
    uint64_t serial = 1;

    for (unsigned i = 0; i < whole->n; i++) {
        struct bl_table_entry *entry = &whole->entries[i];

        if ((entry->prefix.bytes[3] ^ entry->prefix.bytes[2] ^ entry->prefix.length) % 2 != 0)
            continue;
        entry->class_id = BL_CLASS_NONE;
        fixture_must(bl_table_build_set(whole->build, &entry->prefix, BL_CLASS_NONE) == BL_OK, "set");
        if (i % 1000 == 999 || i + 1 == whole->n) {
            struct bl_table_patch *patch = fixture_commit(whole->build, ++serial);
            struct bl_table_cursor cursor = {0};

            if (patch == NULL) {
                free(whole->replica);
                whole->replica = fixture_replica(whole->build);
                continue;
            }
            n_patches++;
            fixture_must(bl_table_patch_fits(whole->replica, patch), "a patch does not fit");
            while (!bl_table_apply(whole->replica, patch, &cursor, 4096))
                continue;
            bl_table_patch_free(patch);
        }
    }
    ck_assert_uint_gt(n_patches, 10);
}

START_TEST(every_address_of_a_network)
{
    static const unsigned n_hosts[] = {1000, 200000, BL_TABLE_LAYOUT_MAP_MIN + 400000};
    struct whole whole;
    struct bl_table_patch *patch;
    struct bl_table_cursor cursor = {0};

    create(&whole, n_hosts[_i]);
    ck_assert_int_eq(whole.replica->geometry.host_lines != 0, _i > 0);
    ck_assert_int_eq((whole.replica->geometry.options & BL_TABLE_OPTION_MAP) != 0, _i > 1);
    check_all(&whole);
    remove_half(&whole);
    patch = fixture_commit(whole.build, UINT64_MAX);
    ck_assert_ptr_nonnull(patch);
    while (!bl_table_apply(whole.replica, patch, &cursor, SIZE_MAX))
        continue;
    bl_table_patch_free(patch);
    fixture_assert_equal(whole.replica, bl_table_build_master(whole.build));
    check_all(&whole);
    (void)check_invariants(whole.build);
    free(whole.replica);
    free(whole.entries);
    free(whole.expected);
    bl_table_build_free(whole.build);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("table_whole");
    TCase *tcase = tcase_create("whole");
    SRunner *runner;
    int n_failed;

    tcase_add_loop_test(tcase, every_address_of_a_network, 0, 3);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
