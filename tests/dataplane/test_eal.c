/* The --lcores argument: a CPU each while there are enough, all on all when not. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/eal.h"

static cpu_set_t cpus_of(const char *list)
{
    cpu_set_t cpus;

    CPU_ZERO(&cpus);
    for (const char *at = list; *at != '\0'; at += strcspn(at, ",") + (strchr(at, ',') != NULL))
        CPU_SET(atoi(at), &cpus);
    return cpus;
}

static void assert_lcores(uint32_t n_workers, const char *cpus, const char *expected)
{
    cpu_set_t set = cpus_of(cpus);
    char out[BL_EAL_LCORES_MAX];

    ck_assert_int_eq(bl_eal_lcores(n_workers, &set, out), BL_OK);
    ck_assert_str_eq(out, expected);
}

START_TEST(a_cpu_each)
{
    assert_lcores(1, "0,1", "0@0,1@1");
    assert_lcores(2, "0,1,2,3", "0@0,1@1,2@2");
    assert_lcores(2, "3,5,9", "0@3,1@5,2@9"); /* what this process may use, not what there is */
}
END_TEST

START_TEST(too_few_cpus_are_shared)
{
    assert_lcores(4, "0,1", "(0-4)@(0,1)");
    assert_lcores(1, "7", "(0-1)@(7)");
    assert_lcores(2, "2,4", "(0-2)@(2,4)");
}
END_TEST

START_TEST(no_cpu_and_no_room_are_errors)
{
    cpu_set_t cpus;
    char out[BL_EAL_LCORES_MAX];

    CPU_ZERO(&cpus);
    ck_assert_int_eq(bl_eal_lcores(1, &cpus, out), BL_ERANGE);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        CPU_SET(cpu, &cpus);
    ck_assert_int_eq(bl_eal_lcores(64, &cpus, out), BL_OK);
    ck_assert_int_eq(bl_eal_lcores(5000, &cpus, out), BL_ERANGE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("eal");
    TCase *tests = tcase_create("lcores");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_test(tests, a_cpu_each);
    tcase_add_test(tests, too_few_cpus_are_shared);
    tcase_add_test(tests, no_cpu_and_no_room_are_errors);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
