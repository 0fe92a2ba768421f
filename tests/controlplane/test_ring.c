/* The ring of deltas: found by where they start, bounded, never with a gap. */
#include <check.h>
#include <stdlib.h>

#include "bounceline/error.h"
#include "controlplane/ring.h"

static struct bl_ring *ring;

static void set_up(void)
{
    ck_assert_int_eq(bl_ring_create(&ring, 1000), BL_OK);
}

static void tear_down(void)
{
    bl_ring_free(ring);
}

static void push(uint64_t from_serial, uint64_t serial, size_t n_bytes)
{
    struct bl_codec_bytes frame = {malloc(n_bytes), n_bytes};
    struct bl_frames *frames;

    ck_assert_int_eq(bl_frames_create_message(&frames, &frame), BL_OK);
    frames->from_serial = from_serial;
    frames->serial = serial;
    frames->digest.lo = serial * 10;
    bl_ring_push(ring, frames);
}

START_TEST(deltas_are_found_by_their_start)
{
    struct bl_digest digest;

    push(5, 6, 10);
    push(6, 9, 10); /* a group of three batches */
    push(9, 10, 10);
    ck_assert_uint_eq(bl_ring_find(ring, 5)->serial, 6);
    ck_assert_uint_eq(bl_ring_find(ring, 6)->serial, 9);
    ck_assert_uint_eq(bl_ring_find(ring, 9)->serial, 10);
    ck_assert_ptr_null(bl_ring_find(ring, 4));
    ck_assert_ptr_null(bl_ring_find(ring, 7)); /* inside a group */
    ck_assert_ptr_null(bl_ring_find(ring, 10));
    ck_assert_int_eq(bl_ring_find_digest(ring, 9, &digest), BL_OK);
    ck_assert_uint_eq(digest.lo, 90);
    ck_assert_int_eq(bl_ring_find_digest(ring, 7, &digest), BL_ENOENT);
    ck_assert_int_eq(bl_ring_find_digest(ring, 5, &digest), BL_ENOENT);
    ck_assert_int_eq(bl_ring_find_digest(ring, 11, &digest), BL_ENOENT);
}
END_TEST

START_TEST(the_oldest_go_the_newest_stays)
{
    for (uint64_t i = 0; i < 20; i++)
        push(i, i + 1, 100);
    ck_assert_ptr_null(bl_ring_find(ring, 9));
    ck_assert_ptr_nonnull(bl_ring_find(ring, 10));
    push(20, 21, 5000); /* larger than the ring */
    ck_assert_ptr_null(bl_ring_find(ring, 19));
    ck_assert_uint_eq(bl_ring_find(ring, 20)->serial, 21);
}
END_TEST

START_TEST(a_gap_empties_it)
{
    push(1, 2, 10);
    push(3, 4, 10);
    ck_assert_ptr_null(bl_ring_find(ring, 1));
    ck_assert_uint_eq(bl_ring_find(ring, 3)->serial, 4);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ring");
    TCase *tcase = tcase_create("ring");
    SRunner *runner;
    int n_failed;

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, deltas_are_found_by_their_start);
    tcase_add_test(tcase, the_oldest_go_the_newest_stays);
    tcase_add_test(tcase, a_gap_empties_it);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
