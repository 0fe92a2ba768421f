/* perf/histogram.c: against a sorted array. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "perf/histogram.h"
#include "perf/list.h"

enum { VALUES = 20000 };

static struct histogram histogram;
static uint64_t values[VALUES];

static int compare(const void *a, const void *b)
{
    uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;

    return (first > second) - (first < second);
}

/* Of all magnitudes. */
static void fill(uint64_t seed)
{
    memset(&histogram, 0, sizeof(histogram));
    for (unsigned i = 0; i < VALUES; i++) {
        uint64_t random = list_random(&seed);

        values[i] = list_random(&seed) >> (random % 64);
        histogram_record(&histogram, values[i]);
    }
    qsort(values, VALUES, sizeof(values[0]), compare);
}

/* The true quantile or at most a 64th above it. */
START_TEST(quantiles_are_close)
{
    static const double quantiles[] = {0, 0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 1};

    fill((uint64_t)_i);
    for (unsigned i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
        size_t rank = (size_t)(quantiles[i] * VALUES);
        uint64_t right = values[rank > 0 ? rank - 1 : 0];
        uint64_t got = histogram_quantile(&histogram, quantiles[i]);

        ck_assert_uint_ge(got, right);
        ck_assert_uint_le(got - right, right / 64);
    }
    ck_assert_uint_eq(histogram.max, values[VALUES - 1]);
    ck_assert_uint_eq(histogram_quantile(&histogram, 1), values[VALUES - 1]);
}
END_TEST

/* No value falls between two buckets, or into none. */
START_TEST(buckets_follow_each_other)
{
    for (unsigned bucket = 0; bucket + 1 < HISTOGRAM_BUCKETS; bucket++) {
        uint64_t max = histogram_bucket_max(bucket);

        ck_assert_uint_eq(histogram_bucket(max), bucket);
        ck_assert_uint_eq(histogram_bucket(max + 1), bucket + 1);
    }
    ck_assert_uint_eq(histogram_bucket_max(HISTOGRAM_BUCKETS - 1), UINT64_MAX);
}
END_TEST

START_TEST(small_values_are_exact)
{
    memset(&histogram, 0, sizeof(histogram));
    ck_assert_uint_eq(histogram_quantile(&histogram, 0.5), 0);
    for (uint64_t value = 1; value <= 100; value++)
        histogram_record(&histogram, value);
    ck_assert_uint_eq(histogram_quantile(&histogram, 0.5), 50);
    ck_assert_uint_eq(histogram_quantile(&histogram, 0.99), 99);
    ck_assert_uint_eq(histogram_quantile(&histogram, 0.991), 100);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("histogram");
    TCase *all = tcase_create("all");
    SRunner *runner;
    int n_failed;

    tcase_add_loop_test(all, quantiles_are_close, 0, 5);
    tcase_add_test(all, buckets_follow_each_other);
    tcase_add_test(all, small_values_are_exact);
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
