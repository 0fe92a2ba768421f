/* fanout.c: the group of a port's sockets. What the kernel makes of the rest is in tests/e2e. */
#include <check.h>
#include <stdlib.h>

#include "dataplane/fanout.h"

/* Data planes that start one after the other on one host, with ports side by side: the driver's own rule gives two of
 * them one group in thousands of cases here. */
START_TEST(neighbours_are_apart)
{
    enum { N = 64 };
    unsigned n_equal = 0;
    unsigned n_equal_xor = 0;

    for (uint32_t process = 1000; process < 1000 + N; process++)
        for (uint32_t other = process + 1; other < process + 8; other++)
            for (uint32_t interface = 1; interface < 16; interface++)
                for (uint32_t second = 1; second < 16; second++) {
                    n_equal += bl_fanout_group(process, interface, 0) == bl_fanout_group(other, second, 0) ? 1 : 0;
                    n_equal_xor += (process ^ interface) == (other ^ second) ? 1 : 0;
                }
    ck_assert_uint_gt(n_equal_xor, 1000);
    ck_assert_uint_le(n_equal, 16); /* of 100,000 pairs; by chance it would be 1.5 */
}
END_TEST

START_TEST(a_port_has_one_group_a_try)
{
    ck_assert_uint_eq(bl_fanout_group(4711, 3, 0), bl_fanout_group(4711, 3, 0));
    ck_assert_uint_ne(bl_fanout_group(4711, 3, 0), bl_fanout_group(4711, 4, 0));
    ck_assert_uint_eq((uint16_t)(bl_fanout_group(4711, 3, 0) + 1), bl_fanout_group(4711, 3, 1));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fanout");
    TCase *all = tcase_create("all");
    SRunner *runner;
    int n_failed;

    tcase_add_test(all, neighbours_are_apart);
    tcase_add_test(all, a_port_has_one_group_a_try);
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
