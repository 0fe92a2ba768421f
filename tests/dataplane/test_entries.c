/* Sorted columns: what is added comes out sorted, the last change of a prefix wins, a merge is what the changes one by
 * one would have made, digest and all; what can't be in a set is found. */
#include <check.h>
#include <stdlib.h>

#include "dataplane/entries.h"
#include "dataplane/table_fixture.h"

static struct bl_entries entries;
static struct bl_entries changes;
static struct bl_digest digest;

static void start(void)
{
    memset(&digest, 0, sizeof(digest));
}

static void end(void)
{
    bl_entries_fini(&entries);
    bl_entries_fini(&changes);
}

static void add(struct bl_entries *to, const char *prefix, uint8_t class_id)
{
    struct bl_table_entry entry = {fixture_prefix(prefix), class_id};

    ck_assert_int_eq(bl_entries_add(to, &entry), BL_OK);
}

static void merge(void)
{
    ck_assert_int_eq(bl_entries_sort(&changes), BL_OK);
    ck_assert_int_eq(bl_entries_merge(&entries, &changes, FIXTURE_EPOCH, &digest), BL_OK);
    ck_assert_uint_eq(bl_entries_check(&entries), bl_entries_count(&entries));
    bl_entries_fini(&changes);
}

static void assert_entry(size_t i, const char *prefix, uint8_t class_id)
{
    char text[BL_ADDRESS_TEXT_MAX];
    struct bl_table_entry entry;

    bl_entries_get(&entries, i, &entry);
    ck_assert_str_eq(bl_address_format_prefix(&entry.prefix, text), prefix);
    ck_assert_uint_eq(entry.class_id, class_id);
}

START_TEST(they_come_out_in_order)
{
    add(&changes, "2001:db8::/32", 3);
    add(&changes, "198.51.100.7", 1);
    add(&changes, "10.0.0.0/8", 2);
    add(&changes, "2001:db8::1/128", 62);
    add(&changes, "10.0.0.0/9", 63);
    add(&changes, "::/0", 5);
    merge();
    ck_assert_uint_eq(bl_entries_count(&entries), 6);
    assert_entry(0, "10.0.0.0/8", 2);
    assert_entry(1, "10.0.0.0/9", 63);
    assert_entry(2, "198.51.100.7/32", 1);
    assert_entry(3, "::/0", 5);
    assert_entry(4, "2001:db8::/32", 3);
    assert_entry(5, "2001:db8::1/128", 62);
}
END_TEST

START_TEST(the_last_change_wins)
{
    add(&changes, "192.0.2.1", 1);
    add(&changes, "2001:db8::/64", 1);
    merge();
    add(&changes, "192.0.2.1", 2);
    add(&changes, "2001:db8::/64", 0);
    add(&changes, "192.0.2.1", 0);
    add(&changes, "203.0.113.0/24", 7);
    add(&changes, "2001:db8::/64", 9);
    add(&changes, "203.0.113.0/24", 0);
    add(&changes, "192.0.2.1", 3);
    merge();
    ck_assert_uint_eq(bl_entries_count(&entries), 2);
    assert_entry(0, "192.0.2.1/32", 3);
    assert_entry(1, "2001:db8::/64", 9);
}
END_TEST

/* Against the master table, by its digest and counts: 200 merges of random changes in a small world. */
START_TEST(merges_are_what_the_table_does)
{
    struct bl_table_build *build = fixture_create();
    uint64_t state = 7;
    uint64_t n_ipv4, n_ipv6;

    for (int round = 0; round < 200; round++) {
        struct bl_digest expected;

        for (uint64_t n = fixture_random(&state) % 64; n > 0; n--) {
            uint64_t bits = fixture_random(&state);
            struct bl_table_entry entry = {.class_id = (uint8_t)(bits >> 60 < 6 ? 0 : bits >> 58)};

            entry.prefix = (bits & 1) != 0 ? fixture_prefix_ip4((uint32_t)(bits >> 8) & 0x1f0f0000, 8 + bits % 25)
                                           : fixture_prefix_ip6(bits & 0x1f0f, bits << 9, 48 + bits % 81);
            ck_assert_int_eq(bl_table_build_set(build, &entry.prefix, entry.class_id), BL_OK);
            ck_assert_int_eq(bl_entries_add(&changes, &entry), BL_OK);
        }
        merge();
        expected = bl_table_build_digest(build);
        bl_table_build_count(build, &n_ipv4, &n_ipv6);
        ck_assert_uint_eq(entries.columns[BL_ENTRIES_IPV4].n, n_ipv4);
        ck_assert_uint_eq(entries.columns[BL_ENTRIES_IPV6].n, n_ipv6);
        ck_assert(bl_digest_equal(&digest, &expected));
    }
    ck_assert_uint_gt(n_ipv4, 100);
    ck_assert_uint_gt(n_ipv6, 100);
    bl_table_build_free(build);
}
END_TEST

START_TEST(appended_is_added)
{
    for (uint32_t i = 0; i < 1000; i++) {
        struct bl_table_entry entry = {fixture_prefix_ip4(i << 8, 24), 1};

        ck_assert_int_eq(bl_entries_add(&changes, &entry), BL_OK);
        if (i % 100 == 99) {
            ck_assert_int_eq(bl_entries_append(&entries, &changes), BL_OK);
            bl_entries_fini(&changes);
        }
    }
    ck_assert_uint_eq(bl_entries_count(&entries), 1000);
    ck_assert_uint_eq(bl_entries_check(&entries), 1000);
    assert_entry(999, "0.3.231.0/24", 1);
}
END_TEST

/* One word of a sound set is made wrong; the check names the entry. */
START_TEST(what_cannot_be_is_found)
{
    const struct {
        int family;
        size_t word;
        uint64_t flip;
    } wrong[] = {
        {BL_ENTRIES_IPV4, 1, 1 << 14},             /* /88 */
        {BL_ENTRIES_IPV4, 1, 1 << 16},             /* a host bit */
        {BL_ENTRIES_IPV4, 1, 1ULL << 48},          /* unused */
        {BL_ENTRIES_IPV4, 1, 1 << 6},              /* class 65 */
        {BL_ENTRIES_IPV4, 1, 1},                   /* class 0 */
        {BL_ENTRIES_IPV4, 1, 0x0a000000ULL << 16}, /* out of order */
        {BL_ENTRIES_IPV6, 3, 1ULL << 16},          /* unused */
        {BL_ENTRIES_IPV6, 4, 1},                   /* a host bit */
        {BL_ENTRIES_IPV6, 5, 0x20010db8ULL << 32}, /* out of order */
    };

    add(&entries, "9.0.0.0/24", 1);
    add(&entries, "10.0.0.0/24", 1);
    add(&entries, "2001:db8::/64", 1);
    add(&entries, "2001:db8:1::/64", 1);
    ck_assert_uint_eq(bl_entries_check(&entries), 4);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        uint64_t *word = &entries.columns[wrong[i].family].words[wrong[i].word];

        *word ^= wrong[i].flip;
        ck_assert_msg(bl_entries_check(&entries) == (wrong[i].family == BL_ENTRIES_IPV4 ? 1 : 3), "row %zu", i);
        *word ^= wrong[i].flip;
    }
    entries.columns[BL_ENTRIES_IPV4].words[1] = entries.columns[BL_ENTRIES_IPV4].words[0]; /* twice */
    ck_assert_uint_eq(bl_entries_check(&entries), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("entries");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_checked_fixture(tests, start, end);
    tcase_add_test(tests, they_come_out_in_order);
    tcase_add_test(tests, the_last_change_wins);
    tcase_add_test(tests, merges_are_what_the_table_does);
    tcase_add_test(tests, appended_is_added);
    tcase_add_test(tests, what_cannot_be_is_found);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
