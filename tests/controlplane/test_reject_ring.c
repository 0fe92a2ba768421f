/* The last rejects: by number, filtered, and a gap is known by its size. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/reject_ring.h"

enum { N_MAX = 10 };

static struct bl_reject_ring *ring;
static struct bl_reject found[100];
static struct bl_reject_answer answer;

static void set_up(void)
{
    ck_assert_int_eq(bl_reject_ring_create(&ring, N_MAX), BL_OK);
}

static void tear_down(void)
{
    bl_reject_ring_free(ring);
}

/* @return its number. */
static uint64_t push(const char *source, enum bl_reason reason, int64_t time_ms)
{
    struct bl_reject reject = {.sample = {.reason = (uint8_t)reason, .time_ms = time_ms, .weight = 1}};

    ck_assert_int_eq(bl_address_parse(source, &reject.sample.source, NULL), BL_OK);
    bl_reject_ring_push(ring, &reject);
    return reject.id;
}

static void push_many(int n)
{
    for (int i = 0; i < n; i++)
        (void)push("192.0.2.1", BL_REASON_REJECT_BOUNCE, 100 + i);
}

static struct bl_reject_query query_for(const char *prefix)
{
    struct bl_reject_query query = {.after = 0};

    if (prefix != NULL)
        ck_assert_int_eq(bl_address_parse_prefix(prefix, 64, &query.prefix, NULL), BL_OK);
    return query;
}

START_TEST(empty)
{
    const struct bl_reject_query query = query_for(NULL);

    bl_reject_ring_find(ring, &query, found, 100, &answer);
    ck_assert_uint_eq(answer.n, 0);
    ck_assert_uint_eq(answer.next, 0);
    ck_assert(!answer.more);
}
END_TEST

START_TEST(without_a_cursor_the_newest_come_in_order)
{
    const struct bl_reject_query query = query_for(NULL);

    push_many(7);
    bl_reject_ring_find(ring, &query, found, 3, &answer);
    ck_assert_uint_eq(answer.n, 3);
    ck_assert_uint_eq(found[0].id, 5);
    ck_assert_uint_eq(found[2].id, 7);
    ck_assert_uint_eq(answer.next, 7);
    ck_assert(!answer.more);
    ck_assert_uint_eq(answer.n_lost, 0);
}
END_TEST

START_TEST(a_cursor_goes_on_from_where_it_was)
{
    struct bl_reject_query query = query_for(NULL);

    push_many(8);
    query.after = 2;
    bl_reject_ring_find(ring, &query, found, 4, &answer);
    ck_assert_uint_eq(answer.n, 4);
    ck_assert_uint_eq(found[0].id, 3);
    ck_assert_uint_eq(answer.next, 6);
    ck_assert(answer.more);
    query.after = answer.next;
    bl_reject_ring_find(ring, &query, found, 4, &answer);
    ck_assert_uint_eq(answer.n, 2);
    ck_assert_uint_eq(found[1].id, 8);
    ck_assert_uint_eq(answer.next, 8);
    ck_assert(!answer.more);
    query.after = answer.next;
    bl_reject_ring_find(ring, &query, found, 4, &answer);
    ck_assert_uint_eq(answer.n, 0);
    ck_assert_uint_eq(answer.next, 8);
}
END_TEST

START_TEST(what_was_overwritten_is_counted)
{
    struct bl_reject_query query = query_for(NULL);

    push_many(25);
    query.after = 3;
    bl_reject_ring_find(ring, &query, found, 100, &answer);
    ck_assert_uint_eq(answer.n_lost, 12); /* 4..15 */
    ck_assert_uint_eq(answer.n, N_MAX);
    ck_assert_uint_eq(found[0].id, 16);
    ck_assert_uint_eq(found[9].id, 25);
    /* Exactly at the edge nothing is lost. */
    query.after = 15;
    bl_reject_ring_find(ring, &query, found, 100, &answer);
    ck_assert_uint_eq(answer.n_lost, 0);
    ck_assert_uint_eq(answer.n, N_MAX);
}
END_TEST

/* One of another run, or a made-up one. */
START_TEST(a_cursor_from_nowhere_finds_nothing)
{
    struct bl_reject_query query = query_for(NULL);

    push_many(5);
    query.after = 1000;
    bl_reject_ring_find(ring, &query, found, 100, &answer);
    ck_assert_uint_eq(answer.n, 0);
    ck_assert_uint_eq(answer.next, 1000);
    query.after = UINT64_MAX;
    bl_reject_ring_find(ring, &query, found, 100, &answer);
    ck_assert_uint_eq(answer.n, 0);
    ck_assert_uint_eq(answer.n_lost, 0);
}
END_TEST

START_TEST(filters)
{
    struct bl_reject_query query = query_for("192.0.2.0/24");

    (void)push("192.0.2.1", BL_REASON_REJECT_BOUNCE, 10);
    (void)push("192.0.3.1", BL_REASON_REJECT_BOUNCE, 20);
    (void)push("2001:db8:5::10", BL_REASON_REJECT_BOUNCE, 30);
    (void)push("192.0.2.2", BL_REASON_REJECT_SYN, 40);
    (void)push("192.0.2.3", BL_REASON_DROP_ACTION, 50);
    (void)push("192.0.2.4", BL_REASON_COUNT, 60); /* of a later version: better shown than hidden */
    bl_reject_ring_find(ring, &query, found, 100, &answer);
    ck_assert_uint_eq(answer.n, 3);
    ck_assert_uint_eq(found[0].id, 1);
    ck_assert_uint_eq(found[1].id, 5);
    ck_assert_uint_eq(found[2].id, 6);
    ck_assert_uint_eq(answer.next, 6);
    query.all_stages = true;
    bl_reject_ring_find(ring, &query, found, 100, &answer);
    ck_assert_uint_eq(answer.n, 4);
    query.since_ms = 50;
    bl_reject_ring_find(ring, &query, found, 100, &answer);
    ck_assert_uint_eq(answer.n, 2);
    query = query_for("2001:db8:5::99"); /* its /64 */
    bl_reject_ring_find(ring, &query, found, 100, &answer);
    ck_assert_uint_eq(answer.n, 1);
    ck_assert_uint_eq(found[0].id, 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reject_ring");
    TCase *tests = tcase_create("all");
    SRunner *runner;
    int n_failed;

    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, empty);
    tcase_add_test(tests, without_a_cursor_the_newest_come_in_order);
    tcase_add_test(tests, a_cursor_goes_on_from_where_it_was);
    tcase_add_test(tests, what_was_overwritten_is_counted);
    tcase_add_test(tests, a_cursor_from_nowhere_finds_nothing);
    tcase_add_test(tests, filters);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
