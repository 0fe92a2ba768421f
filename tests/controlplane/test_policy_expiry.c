/* The expiry clock on clocks of the test's own: what a step may expire, what holds it, what ends the hold. */
#include <check.h>
#include <stdlib.h>

#include "bounceline/address.h"
#include "controlplane/list_state.h"
#include "controlplane/policy_expiry.h"

#define START INT64_C(1700000000000)
#define HOUR INT64_C(3600000)
enum { LIMIT = 1000 };

static struct bl_policy_expiry expiry;

/* One tick; all of it is due where @n_due says so. @return the expiry clock. */
static int64_t tick(int64_t wall_ms, int64_t monotonic_ms, uint64_t n_due)
{
    bl_policy_expiry_tick(&expiry, wall_ms, monotonic_ms, n_due, LIMIT);
    return expiry.time_ms;
}

static void setup(void)
{
    expiry = (struct bl_policy_expiry){.time_ms = 0};
    ck_assert_int_eq(tick(START, 5000, LIMIT), START);
    ck_assert(!expiry.is_held);
}

START_TEST(the_share_has_a_floor_and_no_overflow)
{
    ck_assert_uint_eq(bl_policy_expiry_limit(10, 0), 1000);
    ck_assert_uint_eq(bl_policy_expiry_limit(10, 10009), 1000);
    ck_assert_uint_eq(bl_policy_expiry_limit(10, 10000019), 1000001);
    ck_assert_uint_eq(bl_policy_expiry_limit(100, UINT64_MAX), UINT64_MAX);
}
END_TEST

/* To the second, however much is due: the clock is confirmed by what passed. */
START_TEST(time_that_passes_is_followed)
{
    for (int64_t i = 1; i < 100; i++) {
        ck_assert(!bl_policy_expiry_is_step(&expiry, START + i * 1000, 5000 + i * 1000));
        ck_assert_int_eq(tick(START + i * 1000, 5000 + i * 1000, UINT64_MAX), START + i * 1000);
        ck_assert(!expiry.is_held);
    }
}
END_TEST

START_TEST(a_small_step_is_followed_a_large_one_held)
{
    ck_assert(bl_policy_expiry_is_step(&expiry, START + HOUR, 6000));
    ck_assert_int_eq(tick(START + HOUR, 6000, LIMIT), START + HOUR);
    ck_assert(!expiry.is_held);
    ck_assert_int_eq(tick(START + 3 * HOUR, 7000, LIMIT + 1), START + HOUR + 1000);
    ck_assert(expiry.is_held);
    /* What would have expired meanwhile does, by the time that passes. */
    ck_assert_int_eq(tick(START + 3 * HOUR + 1000, 8000, LIMIT + 1), START + HOUR + 2000);
    ck_assert(expiry.is_held);
}
END_TEST

START_TEST(a_hold_ends_when_the_time_has_passed)
{
    (void)tick(START + HOUR, 6000, LIMIT + 1);
    ck_assert(expiry.is_held);
    /* Not what the clock says, but what is left to expire by it: renewals end a hold, too. */
    ck_assert_int_eq(tick(START + HOUR + 1000, 7000, LIMIT), START + HOUR + 1000);
    ck_assert(!expiry.is_held);
}
END_TEST

START_TEST(a_hold_ends_when_the_clock_comes_back)
{
    (void)tick(START + HOUR, 6000, LIMIT + 1);
    ck_assert_int_eq(tick(START + 2000, 7000, 0), START + 2000);
    ck_assert(!expiry.is_held);
}
END_TEST

START_TEST(a_step_back_is_followed_and_the_way_forth_is_a_step)
{
    ck_assert_int_eq(tick(START - HOUR, 6000, 0), START - HOUR);
    ck_assert(!expiry.is_held);
    (void)tick(START, 7000, LIMIT + 1);
    ck_assert(expiry.is_held);
}
END_TEST

/* A downtime and a bad clock look alike: somebody must say which it was, once. */
START_TEST(a_start_with_much_due_is_held_until_released)
{
    expiry = (struct bl_policy_expiry){.time_ms = 0};
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(tick(START + i * 1000, 5000 + i * 1000, LIMIT + 1), 0);
        ck_assert(expiry.is_held);
    }
    expiry.is_released = true;
    ck_assert_int_eq(tick(START + 3000, 8000, LIMIT + 1), START + 3000);
    ck_assert(!expiry.is_held);
    /* From here on its time is known, and what is left goes on; the next step is another one. */
    ck_assert_int_eq(tick(START + 4000, 9000, LIMIT + 1), START + 4000);
    (void)tick(START + HOUR, 10000, LIMIT + 1);
    ck_assert(expiry.is_held);
}
END_TEST

/* The heap's count against the plain one, at every time and bound. */
START_TEST(what_is_due_is_counted)
{
    enum { N = 200 };
    struct bl_list_state *state;
    struct bl_list_changes changes;

    ck_assert_int_eq(bl_list_state_create(&state, 1, NULL, 0), BL_OK);
    ck_assert_uint_eq(bl_list_state_count_due(state, INT64_MAX, 10), 0);
    for (uint32_t i = 0; i < N; i++) {
        const struct bl_prefix prefix = {{192, 0, 2, (uint8_t)i}, 32, BL_FAMILY_IPV4};
        const struct bl_effect_attributes attributes = {
            .source = "trap", .code = 606, .action = BL_ACTION_REJECT, .expires_at_ms = 1 + i * 7919 % N / 2};
        const struct bl_effect_group group = {BL_EFFECT_LIST, attributes, &prefix, 1};

        ck_assert_int_eq(bl_list_state_apply(state, &group, 1, "root", NULL), BL_OK);
    }
    bl_list_state_commit(state, 1, &changes);
    for (int64_t now_ms = 0; now_ms <= N / 2; now_ms++)
        for (size_t max = 0; max < N + 2; max += 67)
            ck_assert_uint_eq(bl_list_state_count_due(state, now_ms, max),
                              (size_t)now_ms * 2 < max ? (size_t)now_ms * 2 : max);
    bl_list_state_free(state);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("policy_expiry");
    TCase *clock = tcase_create("clock");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_checked_fixture(clock, setup, NULL);
    tcase_add_test(clock, the_share_has_a_floor_and_no_overflow);
    tcase_add_test(clock, time_that_passes_is_followed);
    tcase_add_test(clock, a_small_step_is_followed_a_large_one_held);
    tcase_add_test(clock, a_hold_ends_when_the_time_has_passed);
    tcase_add_test(clock, a_hold_ends_when_the_clock_comes_back);
    tcase_add_test(clock, a_step_back_is_followed_and_the_way_forth_is_a_step);
    tcase_add_test(clock, a_start_with_much_due_is_held_until_released);
    tcase_add_test(clock, what_is_due_is_counted);
    suite_add_tcase(suite, clock);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
