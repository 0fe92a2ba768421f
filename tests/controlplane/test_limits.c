/* Windows of updates: full, over, independent of one another, all or nothing. */
#include <check.h>
#include <string.h>

#include "controlplane/limits.h"

static struct bl_settings_controlplane settings;
static struct bl_limits *limits;
static struct bl_error_detail detail;

static const struct bl_actor nobody = {"root", BL_ROLE_ADMIN, "", 0};
static const struct bl_actor portal = {"portal", BL_ROLE_DELISTER, "", 1};
static const struct bl_actor other = {"other", BL_ROLE_DELISTER, "", 2};

static void setup(void)
{
    memset(&settings, 0, sizeof(settings));
    settings.n_actors = 2;
    settings.actors[0].updates_per_s = 3;
    settings.actors[0].updates_per_minute = 5;
    settings.actors[0].updates_per_day = 8;
    settings.actors[0].calls_max = 3;
    settings.actors[0].in_flight_mb = 1;
    ck_assert_int_eq(bl_limits_create(&limits, &settings), BL_OK);
}

static void teardown(void)
{
    bl_limits_free(limits);
}

static int take(const struct bl_actor *actor, uint64_t n, int64_t now_ms)
{
    return bl_limits_take(limits, actor, n, now_ms, &detail);
}

START_TEST(each_window_counts)
{
    ck_assert_int_eq(take(&portal, 2, 100), BL_OK);
    ck_assert_int_eq(take(&portal, 1, 1099), BL_OK);
    ck_assert_int_eq(take(&portal, 1, 1099), BL_EFULL);
    ck_assert_str_eq(detail.text, "actor portal: more than 3 updates a second, try again in 1 s");
    ck_assert_int_eq(take(&portal, 2, 1100), BL_OK);
    ck_assert_int_eq(take(&portal, 1, 60099), BL_EFULL);
    ck_assert_str_eq(detail.text, "actor portal: more than 5 updates a minute, try again in 1 s");
    ck_assert_int_eq(take(&portal, 3, 60100), BL_OK);
    ck_assert_int_eq(take(&portal, 1, 200000), BL_EFULL);
    ck_assert_str_eq(detail.text, "actor portal: more than 8 updates a day, try again in 86201 s");
    ck_assert_int_eq(take(&portal, 1, 86400100), BL_OK);
    ck_assert_uint_eq(bl_limits_refused(limits, 1), 3);
}
END_TEST

static int hold(const struct bl_actor *actor, enum bl_limits_share share, uint64_t n)
{
    return bl_limits_hold(limits, actor, share, n, &detail);
}

START_TEST(shares_are_held_and_given_back)
{
    ck_assert_int_eq(hold(&portal, BL_LIMITS_CALLS, 2), BL_OK);
    ck_assert_int_eq(hold(&portal, BL_LIMITS_CALLS, 2), BL_EFULL);
    ck_assert_str_eq(detail.text, "actor portal: more than 3 calls at a time, try again");
    ck_assert_int_eq(hold(&portal, BL_LIMITS_CALLS, UINT64_MAX), BL_EFULL);
    ck_assert_int_eq(hold(&portal, BL_LIMITS_CALLS, 1), BL_OK);
    ck_assert_int_eq(hold(&portal, BL_LIMITS_CALLS, 1), BL_EFULL);
    bl_limits_give_back(limits, 1, BL_LIMITS_CALLS, 1);
    ck_assert_int_eq(hold(&portal, BL_LIMITS_CALLS, 1), BL_OK);
    ck_assert_int_eq(hold(&portal, BL_LIMITS_BYTES, 1 << 20), BL_OK);
    ck_assert_int_eq(hold(&portal, BL_LIMITS_BYTES, 1), BL_EFULL);
    ck_assert_str_eq(detail.text, "actor portal: more than 1048576 bytes of batches in flight at a time, try again");
    /* 0 is no limit, and one that is not among the actors has none. */
    ck_assert_int_eq(hold(&portal, BL_LIMITS_STREAMS, 100000), BL_OK);
    ck_assert_int_eq(hold(&nobody, BL_LIMITS_CALLS, 100000), BL_OK);
    bl_limits_give_back(limits, 0, BL_LIMITS_CALLS, 100000);
    /* A limit that falls below what is held takes nothing away. */
    settings.actors[0].calls_max = 1;
    bl_limits_change(limits, 1, &settings.actors[0]);
    bl_limits_give_back(limits, 1, BL_LIMITS_CALLS, 2);
    ck_assert_int_eq(hold(&portal, BL_LIMITS_CALLS, 1), BL_EFULL);
    bl_limits_give_back(limits, 1, BL_LIMITS_CALLS, 1);
    ck_assert_int_eq(hold(&portal, BL_LIMITS_CALLS, 1), BL_OK);
}
END_TEST

START_TEST(a_refused_batch_takes_nothing)
{
    ck_assert_int_eq(take(&portal, 4, 0), BL_EFULL);
    ck_assert_str_eq(detail.text, "actor portal: a batch of 4, expected at most 3, the limit of a second");
    ck_assert_int_eq(take(&portal, UINT64_MAX, 0), BL_EFULL);
    ck_assert_int_eq(take(&portal, 3, 0), BL_OK);
}
END_TEST

START_TEST(others_are_not_touched)
{
    ck_assert_int_eq(take(&portal, 3, 0), BL_OK);
    ck_assert_int_eq(take(&portal, 1, 0), BL_EFULL);
    ck_assert_int_eq(take(&other, 1000000, 0), BL_OK);
    ck_assert_int_eq(take(&nobody, 1000000, 0), BL_OK);
    ck_assert_uint_eq(bl_limits_refused(limits, 0), 0);
    ck_assert_uint_eq(bl_limits_refused(limits, 2), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("limits");
    TCase *tcase = tcase_create("limits");
    SRunner *runner;
    int n_failed;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, each_window_counts);
    tcase_add_test(tcase, shares_are_held_and_given_back);
    tcase_add_test(tcase, a_refused_batch_takes_nothing);
    tcase_add_test(tcase, others_are_not_touched);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
