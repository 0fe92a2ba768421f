/* Who waits for which data planes, and when the waiting ends. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/publish.h"

static struct bl_publish *publish;

static void set_up(void)
{
    ck_assert_int_eq(bl_publish_create(&publish, 1, 10, (struct bl_digest){0, 0}), BL_OK);
}

static void tear_down(void)
{
    bl_publish_free(publish);
}

static struct bl_publish_plane *connect_plane(const char *name, int64_t now_ms, int expected)
{
    struct bl_codec_sync_message hello = {.kind = BL_CODEC_SYNC_HELLO};
    struct bl_publish_plane *plane = NULL;

    strcpy(hello.name, name);
    ck_assert_int_eq(bl_publish_connect(publish, &hello, now_ms, &plane), expected);
    return plane;
}

/* A wait that counts its ends. */
struct waiting {
    struct bl_publish_wait wait;
    int n_done;
    struct bl_codec_reached reached;
};

static void done(struct bl_publish_wait *wait, const struct bl_codec_reached *reached)
{
    struct waiting *waiting = (struct waiting *)(void *)wait;

    waiting->n_done++;
    waiting->reached = *reached;
}

static void add(struct waiting *waiting, uint64_t serial, int64_t deadline_ms)
{
    *waiting = (struct waiting){.wait = {.serial = serial, .deadline_ms = deadline_ms, .done = done}};
    bl_publish_add_wait(publish, &waiting->wait);
}

static void assert_done(const struct waiting *waiting, bool enforced, uint32_t n, uint32_t m)
{
    ck_assert_int_eq(waiting->n_done, 1);
    ck_assert_int_eq(waiting->reached.enforced, enforced);
    ck_assert_uint_eq(waiting->reached.n_enforced, n);
    ck_assert_uint_eq(waiting->reached.n_connected, m);
}

START_TEST(without_data_planes_nobody_waits_and_nothing_is_enforced)
{
    struct waiting waiting;

    add(&waiting, 10, INT64_MAX);
    assert_done(&waiting, false, 0, 0);
}
END_TEST

START_TEST(all_of_them_must_acknowledge)
{
    struct bl_publish_plane *a = connect_plane("a", 0, BL_OK);
    struct bl_publish_plane *b = connect_plane("b", 0, BL_OK);
    struct bl_codec_reached reached;
    struct waiting waiting;
    struct waiting later;

    add(&waiting, 11, INT64_MAX);
    add(&later, 13, INT64_MAX);
    bl_publish_acknowledge(publish, a, 12); /* a group: 11 is in it */
    ck_assert_int_eq(waiting.n_done, 0);
    bl_publish_acknowledge(publish, b, 10);
    ck_assert_int_eq(waiting.n_done, 0);
    ck_assert_uint_eq(bl_publish_reached(publish, 11, &reached), 10);
    ck_assert(!reached.enforced && reached.n_enforced == 1 && reached.n_connected == 2);
    bl_publish_acknowledge(publish, b, 12);
    assert_done(&waiting, true, 2, 2);
    ck_assert_int_eq(later.n_done, 0);
    bl_publish_disconnect(publish, b);
    bl_publish_acknowledge(publish, a, 13);
    assert_done(&later, true, 1, 1);
    add(&waiting, 13, INT64_MAX);
    assert_done(&waiting, true, 1, 1);
}
END_TEST

START_TEST(a_deadline_ends_it_unenforced)
{
    struct bl_publish_plane *a = connect_plane("a", 0, BL_OK);
    struct waiting first;
    struct waiting second;

    add(&first, 11, 100);
    add(&second, 11, 200);
    ck_assert_int_eq(bl_publish_expire(publish, 99, false), 100);
    ck_assert_int_eq(first.n_done, 0);
    ck_assert_int_eq(bl_publish_expire(publish, 100, false), 200);
    assert_done(&first, false, 0, 1);
    ck_assert_int_eq(second.n_done, 0);
    ck_assert_int_eq(bl_publish_expire(publish, 100, true), INT64_MAX);
    assert_done(&second, false, 0, 1);
    bl_publish_disconnect(publish, a);
}
END_TEST

START_TEST(the_last_one_that_goes_ends_it_unenforced)
{
    struct bl_publish_plane *a = connect_plane("a", 0, BL_OK);
    struct waiting waiting;

    add(&waiting, 11, INT64_MAX);
    bl_publish_disconnect(publish, a);
    assert_done(&waiting, false, 0, 0);
}
END_TEST

START_TEST(a_resync_takes_back_what_was_enforced)
{
    struct bl_publish_plane *a = connect_plane("a", 0, BL_OK);
    struct bl_codec_reached reached;

    bl_publish_acknowledge(publish, a, 10);
    ck_assert_uint_eq(bl_publish_reached(publish, 10, &reached), 10);
    ck_assert(reached.enforced);
    bl_publish_withdraw(publish, a);
    ck_assert_uint_eq(bl_publish_reached(publish, 10, &reached), 0);
    ck_assert(!reached.enforced && reached.n_connected == 1);
}
END_TEST

/* A new log begins at serial 0, and a data plane may come to it with the table of another. */
START_TEST(serial_0_must_be_acknowledged_too)
{
    struct bl_publish_plane *a = connect_plane("a", 0, BL_OK);
    struct waiting waiting;

    add(&waiting, 0, INT64_MAX);
    ck_assert_int_eq(waiting.n_done, 0);
    bl_publish_acknowledge(publish, a, 0);
    assert_done(&waiting, true, 1, 1);
    bl_publish_withdraw(publish, a);
    add(&waiting, 0, INT64_MAX);
    ck_assert_int_eq(waiting.n_done, 0);
    bl_publish_disconnect(publish, a);
    assert_done(&waiting, false, 0, 0);
}
END_TEST

START_TEST(names_are_unique_while_connected_and_remembered_after)
{
    static struct bl_codec_dataplane status[BL_PUBLISH_PLANES_MAX];
    static const struct bl_codec_sync_report report = {.serial = 10, .n_entries_ipv4 = 7, .n_workers = 1};
    struct bl_codec_reached reached;
    struct bl_publish_plane *a = connect_plane("a", 0, BL_OK);

    bl_publish_count_resync(publish, a, true);
    bl_publish_acknowledge(publish, a, 10);
    bl_publish_report(publish, a, &report, 0);
    ck_assert_ptr_eq(connect_plane("a", 0, BL_EEXIST), a);
    ck_assert(!bl_publish_is_stale(publish, a, BL_PUBLISH_STALE_MS));
    ck_assert(bl_publish_is_stale(publish, a, BL_PUBLISH_STALE_MS + 1));
    bl_publish_disconnect(publish, a);
    ck_assert_uint_eq(bl_publish_status(publish, status, 70), 1);
    ck_assert(!status[0].connected);
    ck_assert_uint_eq(status[0].age_ms, 70);
    ck_assert_uint_eq(status[0].report.serial, 10);
    ck_assert_ptr_eq(connect_plane("a", 80, BL_OK), a);
    ck_assert_uint_eq(bl_publish_status(publish, status, 90), 1);
    ck_assert(status[0].connected);
    /* What the last connection acknowledged and reported does not count for this one. */
    ck_assert_uint_eq(bl_publish_reached(publish, 10, &reached), 0);
    ck_assert_uint_eq(status[0].report.serial, 0);
    ck_assert_uint_eq(status[0].report.n_entries_ipv4, 0);
    ck_assert_uint_eq(status[0].report.n_workers, 0);
    ck_assert_uint_eq(status[0].n_resyncs, 1);
    ck_assert_uint_eq(status[0].n_digest_mismatches, 1);
}
END_TEST

START_TEST(places_are_bounded_and_used_again)
{
    struct bl_publish_plane *planes[BL_PUBLISH_PLANES_MAX];
    char name[16];

    for (int i = 0; i < BL_PUBLISH_PLANES_MAX; i++) {
        (void)snprintf(name, sizeof(name), "n%d", i);
        planes[i] = connect_plane(name, i, BL_OK);
    }
    (void)connect_plane("one more", 100, BL_EFULL);
    bl_publish_disconnect(publish, planes[7]);
    ck_assert_ptr_eq(connect_plane("one more", 100, BL_OK), planes[7]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("publish");
    TCase *tcase = tcase_create("publish");
    SRunner *runner;
    int n_failed;

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, without_data_planes_nobody_waits_and_nothing_is_enforced);
    tcase_add_test(tcase, all_of_them_must_acknowledge);
    tcase_add_test(tcase, a_deadline_ends_it_unenforced);
    tcase_add_test(tcase, the_last_one_that_goes_ends_it_unenforced);
    tcase_add_test(tcase, a_resync_takes_back_what_was_enforced);
    tcase_add_test(tcase, serial_0_must_be_acknowledged_too);
    tcase_add_test(tcase, names_are_unique_while_connected_and_remembered_after);
    tcase_add_test(tcase, places_are_bounded_and_used_again);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
