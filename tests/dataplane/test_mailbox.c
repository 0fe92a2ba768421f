/* Messages arrive in order, all of them, also when there are far more than the ring holds; what is not done is not
 * collected. */
#include "dataplane/plane_fixture.h"

enum { N_MESSAGES = 10 * BL_MAILBOX_RING };

static struct bl_mailbox mailbox;
static struct bl_message messages[N_MESSAGES];

static void start(void)
{
    plane_start_eal();
    ck_assert_int_eq(bl_mailbox_init(&mailbox, "mailbox", 0), BL_OK);
}

static void end(void)
{
    bl_mailbox_fini(&mailbox);
    plane_end_eal();
}

static void send_all(void)
{
    for (uint64_t i = 0; i < N_MESSAGES; i++) {
        messages[i].round = i;
        bl_mailbox_send(&mailbox, &messages[i]);
    }
}

START_TEST(a_full_ring_loses_nothing_and_keeps_the_order)
{
    uint64_t n_received = 0, n_collected = 0;
    struct bl_message *message;

    send_all();
    ck_assert_uint_eq(mailbox.n_waiting, N_MESSAGES);
    while (n_collected < N_MESSAGES) {
        /* A worker that takes a few at a time, a main core that looks in between. */
        for (int i = 0; i < 7 && (message = bl_mailbox_receive(&mailbox)) != NULL; i++) {
            ck_assert_uint_eq(message->round, n_received++);
            bl_mailbox_done(&mailbox);
        }
        while ((message = bl_mailbox_collect(&mailbox)) != NULL)
            ck_assert_uint_eq(message->round, n_collected++);
        ck_assert_uint_eq(n_collected, n_received);
        bl_mailbox_flush(&mailbox);
    }
    ck_assert_uint_eq(mailbox.n_waiting, 0);
    ck_assert_ptr_null(bl_mailbox_receive(&mailbox));
}
END_TEST

START_TEST(what_is_received_but_not_done_is_not_collected)
{
    send_all();
    ck_assert_ptr_nonnull(bl_mailbox_receive(&mailbox));
    ck_assert_ptr_null(bl_mailbox_collect(&mailbox));
    bl_mailbox_done(&mailbox);
    ck_assert_ptr_eq(bl_mailbox_collect(&mailbox), &messages[0]);
    ck_assert_ptr_null(bl_mailbox_collect(&mailbox));
}
END_TEST

START_TEST(what_was_never_done_can_be_taken_back)
{
    struct bl_message *message;
    uint64_t n = 0;

    send_all();
    ck_assert_ptr_nonnull(bl_mailbox_receive(&mailbox));
    bl_mailbox_done(&mailbox);
    while ((message = bl_mailbox_take_back(&mailbox)) != NULL)
        ck_assert_uint_eq(message->round, n++);
    ck_assert_uint_eq(n, N_MESSAGES);
}
END_TEST

START_TEST(it_can_be_used_again_when_it_was_empty)
{
    struct bl_message *message;

    for (int turn = 0; turn < 3 * BL_MAILBOX_RING; turn++) {
        bl_mailbox_send(&mailbox, &messages[turn % 2]);
        message = bl_mailbox_receive(&mailbox);
        ck_assert_ptr_eq(message, &messages[turn % 2]);
        bl_mailbox_done(&mailbox);
        ck_assert_ptr_eq(bl_mailbox_collect(&mailbox), message);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mailbox");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_checked_fixture(tests, start, end);
    tcase_add_test(tests, a_full_ring_loses_nothing_and_keeps_the_order);
    tcase_add_test(tests, what_is_received_but_not_done_is_not_collected);
    tcase_add_test(tests, what_was_never_done_can_be_taken_back);
    tcase_add_test(tests, it_can_be_used_again_when_it_was_empty);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
