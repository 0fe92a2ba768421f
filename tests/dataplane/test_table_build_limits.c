/* The master table where memory or its entries end. AddressSanitizer needs an address space without a limit: with it,
 * these tests are skipped. The one that takes 16 Mi entries and up to a minute runs with BL_LONG=1 only. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "dataplane/table_fixture.h"
#include "dataplane/table_invariants.h"

#ifdef __SANITIZE_ADDRESS__

int main(void)
{
    printf("test_table_build_limits: skipped: AddressSanitizer allows no limit on the address space\n");
    return EXIT_SUCCESS;
}

#else

/* Lets this process take about @p more_bytes of address space from now on. @return what to give to set_limit after. */
static struct rlimit limit_memory(size_t more_bytes)
{
    FILE *statm = fopen("/proc/self/statm", "r");
    struct rlimit before;
    struct rlimit now;
    unsigned long pages;

    ck_assert_ptr_nonnull(statm);
    ck_assert_int_eq(fscanf(statm, "%lu", &pages), 1);
    fclose(statm);
    ck_assert_int_eq(getrlimit(RLIMIT_AS, &before), 0);
    now = before;
    now.rlim_cur = pages * 4096 + more_bytes;
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &now), 0);
    return before;
}

static void fill_hosts(struct bl_table_build *build, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct bl_prefix prefix = fixture_prefix_ip4(i, 32);

        ck_assert_int_eq(bl_table_build_set(build, &prefix, 1), BL_OK);
    }
}

START_TEST(a_change_without_memory_leaves_no_trace)
{
    enum { FULL = 65536 }; /* 16 hosts a line in 4096 lines: the next one needs a larger block */
    struct bl_table_build *build = fixture_create();
    struct bl_table_patch *patch;
    struct bl_table *before;
    struct bl_digest digest;
    struct bl_digest after;
    struct rlimit limit;

    fill_hosts(build, FULL);
    ck_assert_ptr_null(fixture_commit(build, 1));
    digest = bl_table_build_digest(build);
    before = fixture_replica(build);
    limit = limit_memory(1 << 17);
    {
        struct bl_prefix prefix = fixture_prefix("10.0.0.0");

        ck_assert_int_eq(bl_table_build_set(build, &prefix, 1), BL_ENOMEM);
    }
    fixture_assert_equal(before, bl_table_build_master(build));
    after = bl_table_build_digest(build);
    ck_assert(bl_digest_equal(&after, &digest));
    /* Changes that need no room go on, and so do patches. */
    fixture_set(build, "0.0.0.0", 0);
    fixture_set(build, "10.0.0.0", 5);
    patch = fixture_commit(build, 2);
    ck_assert_ptr_nonnull(patch);
    ck_assert(bl_table_patch_fits(before, patch));
    bl_table_patch_free(patch);
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
    fixture_set(build, "0.0.0.0", 1);
    ck_assert_ptr_null(fixture_commit(build, 3));
    (void)check_invariants(build);
    free(before);
    bl_table_build_free(build);
}
END_TEST

START_TEST(a_patch_without_memory_becomes_a_block)
{
    struct bl_table_build *build = fixture_create();
    struct rlimit limit;

    fill_hosts(build, 100000);
    ck_assert_ptr_null(fixture_commit(build, 1));
    limit = limit_memory(1 << 18);
    for (unsigned i = 0; i < 40000; i++) {
        struct bl_prefix prefix = fixture_prefix_ip4(i, 32);

        ck_assert_int_eq(bl_table_build_set(build, &prefix, 2), BL_OK);
    }
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
    ck_assert_ptr_null(fixture_commit(build, 2));
    ck_assert_uint_eq(fixture_lookup(bl_table_build_master(build), "0.0.156.63"), 2);
    ck_assert_uint_eq(fixture_lookup(bl_table_build_master(build), "0.0.156.64"), 1);
    bl_table_build_free(build);
}
END_TEST

START_TEST(a_full_table_refuses_and_goes_on)
{
    struct bl_table_build *build = NULL;
    struct bl_prefix prefix = fixture_prefix("2001:db8::/32");
    uint64_t n_ipv4;
    uint64_t n_ipv6;

    ck_assert_int_eq(bl_table_build_create(&build, FIXTURE_EPOCH, &fixture_key, BL_TABLE_ENTRIES_MAX), BL_OK);
    fill_hosts(build, BL_TABLE_ENTRIES_MAX);
    ck_assert_int_eq(bl_table_build_set(build, &prefix, 1), BL_EFULL);
    bl_table_build_count(build, &n_ipv4, &n_ipv6);
    ck_assert_uint_eq(n_ipv4, BL_TABLE_ENTRIES_MAX);
    ck_assert_uint_eq(n_ipv6, 0);
    ck_assert_uint_eq(fixture_lookup(bl_table_build_master(build), "2001:db8::1"), 0);
    fixture_set(build, "0.0.0.1", 2);
    fixture_set(build, "0.0.0.1", 0);
    ck_assert_int_eq(bl_table_build_set(build, &prefix, 1), BL_OK);
    ck_assert_uint_eq(fixture_lookup(bl_table_build_master(build), "2001:db8::1"), 1);
    ck_assert_uint_eq(fixture_lookup(bl_table_build_master(build), "0.255.255.255"), 1);
    bl_table_build_free(build);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("table_build_limits");
    TCase *limits = tcase_create("limits");
    SRunner *runner;
    int n_failed;

    tcase_add_test(limits, a_change_without_memory_leaves_no_trace);
    tcase_add_test(limits, a_patch_without_memory_becomes_a_block);
    if (getenv("BL_LONG") != NULL)
        tcase_add_test(limits, a_full_table_refuses_and_goes_on);
    else
        printf("test_table_build_limits: skipped a table of all entries: BL_LONG is not set\n");
    suite_add_tcase(suite, limits);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
