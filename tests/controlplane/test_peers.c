/* Descriptor numbers and their users: never the next one's. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controlplane/peers.h"

static struct bl_peers *peers;

static void set_up(void)
{
    struct bl_error_detail detail;

    ck_assert_int_eq(bl_peers_create(&peers, &detail), BL_OK);
}

static void tear_down(void)
{
    bl_peers_free(peers);
}

static int one_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int find(int descriptor, struct bl_peer *who)
{
    char peer[32];

    (void)snprintf(peer, sizeof(peer), "fd:%d", descriptor);
    return bl_peers_find(peers, peer, who);
}

START_TEST(a_number_is_its_users)
{
    int a = bl_peers_admit(peers, one_socket(), &(struct bl_peer){1000, 16, 64}, 0);
    int b = bl_peers_admit(peers, one_socket(), &(struct bl_peer){1001}, 0);
    struct bl_peer who;

    ck_assert_int_ge(a, 0);
    ck_assert_int_gt(b, a);
    ck_assert_int_eq(find(a, &who), BL_OK);
    ck_assert_uint_eq(who.uid, 1000);
    ck_assert_uint_eq(who.socket, 16);
    ck_assert_uint_eq(who.actor, 64);
    ck_assert_int_eq(find(b, &who), BL_OK);
    ck_assert_uint_eq(who.uid, 1001);
    ck_assert_int_ne(fcntl(a, F_GETFD) & FD_CLOEXEC, 0);
    (void)close(a);
    (void)close(b);
}
END_TEST

/* The heart of it: the connection closes, the next one comes; a late call of the first is still the first's. */
START_TEST(the_next_connection_has_another_number)
{
    int first = bl_peers_admit(peers, one_socket(), &(struct bl_peer){1000}, 0);
    struct bl_peer who;

    (void)close(first);
    for (int i = 0; i < 100; i++) {
        int next = bl_peers_admit(peers, one_socket(), &(struct bl_peer){0}, i);

        ck_assert_int_ge(next, 0);
        ck_assert_int_ne(next, first);
        (void)close(next);
    }
    ck_assert_int_eq(find(first, &who), BL_OK);
    ck_assert_uint_eq(who.uid, 1000);
}
END_TEST

/* Once around the range: refused before the time is over, served after it. */
START_TEST(a_number_rests_before_it_is_used_again)
{
    int first = bl_peers_admit(peers, one_socket(), &(struct bl_peer){1000}, 0);
    int next = first;
    int n = 0;

    (void)close(first);
    while (next >= 0) {
        next = bl_peers_admit(peers, one_socket(), &(struct bl_peer){0}, BL_PEERS_QUARANTINE_MS - 1);
        ck_assert_int_ne(next, first);
        if (next >= 0)
            (void)close(next);
        ck_assert_int_lt(n++, BL_PEERS_RANGE_MAX + 1);
    }
    ck_assert_int_eq(next, BL_EAGAIN);
    ck_assert_int_eq(bl_peers_admit(peers, one_socket(), &(struct bl_peer){1}, BL_PEERS_QUARANTINE_MS), first);
    (void)close(first);
}
END_TEST

START_TEST(one_user_does_not_lock_the_others_out)
{
    static int held[BL_PEERS_OPEN_USER_MAX];
    int other;

    for (int i = 0; i < BL_PEERS_OPEN_USER_MAX; i++) {
        held[i] = bl_peers_admit(peers, one_socket(), &(struct bl_peer){1000}, 0);
        ck_assert_int_ge(held[i], 0);
    }
    ck_assert_int_eq(bl_peers_admit(peers, one_socket(), &(struct bl_peer){1000}, 0), BL_EFULL);
    other = bl_peers_admit(peers, one_socket(), &(struct bl_peer){0}, 0);
    ck_assert_int_ge(other, 0);
    (void)close(other);
    (void)close(held[0]);
    held[0] = bl_peers_admit(peers, one_socket(), &(struct bl_peer){1000}, 0);
    ck_assert_int_ge(held[0], 0);
    for (int i = 0; i < BL_PEERS_OPEN_USER_MAX; i++)
        (void)close(held[i]);
}
END_TEST

START_TEST(what_is_no_peer_is_nobody)
{
    static const char *const strange[] = {
        "",      "fd:", "fd:1", "fd:-1", "fd:600x", "fd: 600", "unix:/x", "ipv4:1.2.3.4:5", "fd:99999999999999999999",
        "fd:601"};
    struct bl_peer who;

    for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++)
        ck_assert_int_eq(bl_peers_find(peers, strange[i], &who), BL_ENOENT);
}
END_TEST

START_TEST(a_number_that_tcp_took_is_not_its_users_any_more)
{
    int admitted[BL_PEERS_OPEN_USER_MAX];
    int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int more;

    for (int i = 0; i < BL_PEERS_OPEN_USER_MAX; i++)
        admitted[i] = bl_peers_admit(peers, one_socket(), &(struct bl_peer){1000}, 0);
    ck_assert_int_eq(bl_peers_admit(peers, one_socket(), &(struct bl_peer){1000}, 0), BL_EFULL);
    ck_assert_int_eq(dup2(tcp, admitted[7]), admitted[7]);
    more = bl_peers_admit(peers, one_socket(), &(struct bl_peer){1000}, 0);
    ck_assert_int_ge(more, 0);
    for (int i = 0; i < BL_PEERS_OPEN_USER_MAX; i++)
        (void)close(admitted[i]);
    (void)close(more);
    (void)close(tcp);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("peers");
    TCase *tcase = tcase_create("peers");
    SRunner *runner;
    int n_failed;

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, a_number_is_its_users);
    tcase_add_test(tcase, the_next_connection_has_another_number);
    tcase_add_test(tcase, a_number_that_tcp_took_is_not_its_users_any_more);
    tcase_add_test(tcase, a_number_rests_before_it_is_used_again);
    tcase_add_test(tcase, one_user_does_not_lock_the_others_out);
    tcase_add_test(tcase, what_is_no_peer_is_nobody);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
