/* bucket.h: how many events pass, against counting them. */
#include <check.h>
#include <stdlib.h>

#include "dataplane/bucket.h"

enum { TICKS_PER_S = 3000000 };

START_TEST(zero_is_no_limit)
{
    struct bl_bucket bucket;

    bl_bucket_init(&bucket, 0, TICKS_PER_S);
    for (int i = 0; i < 100000; i++)
        ck_assert(bl_bucket_take(&bucket, 7));
}
END_TEST

/* So many at once, and no more at that moment; then one for each interval. */
START_TEST(one_second_at_once_and_then_the_rate)
{
    static const uint32_t rates[] = {1, 2, 3, 1000, 20000, TICKS_PER_S};
    uint32_t per_s = rates[_i];
    uint64_t now = 123456789;
    struct bl_bucket bucket;
    uint32_t n = 0;

    bl_bucket_init(&bucket, per_s, TICKS_PER_S);
    while (n <= per_s && bl_bucket_take(&bucket, now))
        n++;
    ck_assert_uint_eq(n, per_s);
    for (uint32_t i = 0; i < 100; i++) {
        now += TICKS_PER_S / per_s;
        ck_assert(bl_bucket_take(&bucket, now));
        if (per_s < TICKS_PER_S)
            ck_assert(!bl_bucket_take(&bucket, now + TICKS_PER_S / per_s - 1));
        ck_assert(!bl_bucket_take(&bucket, now));
    }
}
END_TEST

/* In ten seconds of any load no more than eleven seconds' worth; what was not used is not saved up beyond one second. */
START_TEST(no_load_gets_more)
{
    uint64_t now = UINT64_C(1) << 40;
    uint64_t end = now + 10 * (uint64_t)TICKS_PER_S;
    struct bl_bucket bucket;
    unsigned n = 0;

    bl_bucket_init(&bucket, 1000, TICKS_PER_S);
    srand(1);
    for (; now < end; now += (uint64_t)rand() % 1000)
        n += bl_bucket_take(&bucket, now) ? 1 : 0;
    ck_assert_uint_ge(n, 10000);
    ck_assert_uint_le(n, 11000);
    now += 1000 * (uint64_t)TICKS_PER_S;
    for (n = 0; n < 5000; n++)
        if (!bl_bucket_take(&bucket, now))
            break;
    ck_assert_uint_eq(n, 1000);
}
END_TEST

/* A clock that goes back does not close the bucket until it has caught up. */
START_TEST(time_that_goes_back_does_not_count)
{
    uint64_t now = UINT64_C(1) << 40;
    struct bl_bucket bucket;
    unsigned n = 0;

    bl_bucket_init(&bucket, 10, TICKS_PER_S);
    while (bl_bucket_take(&bucket, now))
        n++;
    ck_assert_uint_eq(n, 10);
    now -= 7200 * (uint64_t)TICKS_PER_S;
    for (n = 0; bl_bucket_take(&bucket, now); n++)
        continue;
    ck_assert_uint_eq(n, 10);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bucket");
    TCase *all = tcase_create("all");
    SRunner *runner;
    int n_failed;

    tcase_add_test(all, zero_is_no_limit);
    tcase_add_loop_test(all, one_second_at_once_and_then_the_rate, 0, 6);
    tcase_add_test(all, no_load_gets_more);
    tcase_add_test(all, time_that_goes_back_does_not_count);
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
