/* Who is wrong where: every way in which up to three replicas can agree with the master and with each other. */
#include <check.h>
#include <stdlib.h>

#include "dataplane/scrub.h"

enum { REGIONS = 40 };

static struct bl_replica_sums *master;
static struct bl_replica_sums *replicas[3];
static const struct bl_replica_sums *views[3];
static struct bl_scrub_findings findings;

static struct bl_replica_sums *create(void)
{
    struct bl_replica_sums *sums = bl_replica_create_sums((REGIONS - 1) * BL_REPLICA_REGION_BYTES + 8);

    ck_assert_ptr_nonnull(sums);
    ck_assert_uint_eq(sums->room, REGIONS);
    sums->n = REGIONS;
    for (size_t i = 0; i < REGIONS; i++)
        sums->sums[i] = 1000 + i;
    return sums;
}

static void start(void)
{
    master = create();
    for (int i = 0; i < 3; i++)
        views[i] = replicas[i] = create();
}

static void end(void)
{
    free(master);
    for (int i = 0; i < 3; i++)
        free(replicas[i]);
}

/* The master has 'm' in region 7; @p values: what the replicas have there, a letter each. */
static void judge(const char *values)
{
    master->sums[7] = 'm';
    for (size_t i = 0; values[i] != '\0'; i++)
        replicas[i]->sums[7] = (uint64_t)values[i];
    bl_scrub_judge(master, views, (unsigned)strlen(values), &findings);
}

START_TEST(most_votes_win)
{
    const struct {
        const char *values;
        unsigned n_findings;
        bool doubted;
    } rows[] = {
        {"m", 0, false},  {"a", 1, true},   {"mm", 0, false},  {"ma", 1, false},  {"am", 1, false},
        {"aa", 2, true},  {"ab", 2, true},  {"mmm", 0, false}, {"mma", 1, false}, {"mab", 2, false},
        {"maa", 2, true}, {"aam", 2, true}, {"abc", 3, true},  {"aab", 3, true},  {"aaa", 3, true},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        judge(rows[i].values);
        ck_assert_msg(findings.n == rows[i].n_findings, "%s: %u findings", rows[i].values, findings.n);
        ck_assert_msg(findings.master_doubted == rows[i].doubted, "%s", rows[i].values);
        for (unsigned k = 0; k < findings.n; k++) {
            ck_assert_uint_eq(findings.at[k].region, 7);
            ck_assert_int_ne(rows[i].values[findings.at[k].replica], 'm');
        }
    }
}
END_TEST

/* What a damaged header hides is not judged; the header is. */
START_TEST(regions_that_are_not_there)
{
    replicas[1]->n = 1;
    replicas[1]->sums[0] = 5;
    bl_scrub_judge(master, views, 3, &findings);
    ck_assert(!findings.master_doubted);
    ck_assert_uint_eq(findings.n, 1);
    ck_assert(findings.at[0].replica == 1 && findings.at[0].region == 0);
    replicas[1]->n = REGIONS;
    replicas[1]->sums[0] = 1000;
    master->n = 1; /* and the master's own */
    master->sums[0] = 5;
    bl_scrub_judge(master, views, 3, &findings);
    ck_assert(findings.master_doubted);
}
END_TEST

START_TEST(a_round_has_so_many_findings)
{
    for (size_t i = 0; i < REGIONS; i++)
        replicas[2]->sums[i] = 5;
    bl_scrub_judge(master, views, 3, &findings);
    ck_assert(!findings.master_doubted);
    ck_assert_uint_eq(findings.n, BL_SCRUB_FINDINGS_MAX);
}
END_TEST

START_TEST(the_total_is_of_all_regions)
{
    uint64_t total = bl_scrub_total(master);

    ck_assert_uint_eq(total, bl_scrub_total(replicas[0]));
    for (size_t i = 0; i < REGIONS; i++) {
        master->sums[i] ^= 1;
        ck_assert_uint_ne(bl_scrub_total(master), total);
        master->sums[i] ^= 1;
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("scrub");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_checked_fixture(tests, start, end);
    tcase_add_test(tests, most_votes_win);
    tcase_add_test(tests, regions_that_are_not_there);
    tcase_add_test(tests, a_round_has_so_many_findings);
    tcase_add_test(tests, the_total_is_of_all_regions);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
