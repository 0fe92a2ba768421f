/* What systemd hears, by a path and by an abstract name; and that nothing is said where nobody asked. */
#include <check.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bounceline/supervisor.h"

static char folder[] = "/tmp/bounceline-test-XXXXXX";

/* A socket of systemd's kind. */
static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    ck_assert_int_eq(bind(descriptor, (const struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))),
                     0);
    ck_assert_int_eq(setenv("NOTIFY_SOCKET", path, 1), 0);
    return descriptor;
}

START_TEST(it_is_told)
{
    char name[2][80];

    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(name[0], sizeof(name[0]), "%s/notify", folder);
    (void)snprintf(name[1], sizeof(name[1]), "@bounceline-test-%d", (int)getpid());
    for (int i = 0; i < 2; i++) {
        int descriptor = listen_at(name[i]);
        char text[32] = "";

        bl_supervisor_tell("READY=1");
        ck_assert_int_eq(recv(descriptor, text, sizeof(text), 0), 7);
        ck_assert_str_eq(text, "READY=1");
        (void)close(descriptor);
        /* Nobody listens any more. */
        bl_supervisor_tell("STOPPING=1");
    }
    (void)unlink(name[0]);
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

START_TEST(nobody_asked)
{
    char path[300];

    (void)unsetenv("NOTIFY_SOCKET");
    bl_supervisor_tell("READY=1");
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    for (size_t length = 0; length < sizeof(path); length += 107) {
        (void)setenv("NOTIFY_SOCKET", path + sizeof(path) - 1 - length, 1);
        bl_supervisor_tell("READY=1");
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("supervisor");
    TCase *cases = tcase_create("all");
    SRunner *runner;
    int n_failed;

    tcase_add_test(cases, it_is_told);
    tcase_add_test(cases, nobody_asked);
    suite_add_tcase(suite, cases);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
