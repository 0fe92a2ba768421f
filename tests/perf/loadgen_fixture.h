/** @file loadgen_fixture.h
 * A schedule over a list of a few prefixes of both families, as loadgen makes it from its command line. */
#ifndef BL_TEST_LOADGEN_FIXTURE_H
#define BL_TEST_LOADGEN_FIXTURE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "perf/loadgen_schedule.h"

struct loadgen_fixture {
    struct loadgen_options options;
    struct loadgen_schedule schedule;
    char paths[2][64];
};

/* Two lists with a code each. */
static inline void loadgen_fixture_init(struct loadgen_fixture *fixture, const char *seed, const char *mix)
{
    static const char *const lists[2] = {"45.0.0.0/16\n46.1.2.3\n2a00:45::/32 ; a comment\n127.0.0.0/8\n45.0.7.0/24\n",
                                         "# another\n47.9.0.0/24\n2a00:47:1:2::/64\n"};
    char arguments[2][80];
    char *argv[] = {(char *)(uintptr_t) "loadgen",
                    (char *)(uintptr_t) "--listed",
                    arguments[0],
                    (char *)(uintptr_t) "--listed",
                    arguments[1],
                    (char *)(uintptr_t) "--seed",
                    (char *)(uintptr_t)seed,
                    (char *)(uintptr_t) "--mix",
                    strdup(mix),
                    NULL};
    struct bl_error_detail detail = {""};

    for (int i = 0; i < 2; i++) {
        FILE *file;

        snprintf(fixture->paths[i], sizeof(fixture->paths[i]), "/tmp/test_loadgen.%d.%d", (int)getpid(), i);
        file = fopen(fixture->paths[i], "we");
        ck_assert_ptr_nonnull(file);
        ck_assert_int_ge(fputs(lists[i], file), 0);
        ck_assert_int_eq(fclose(file), 0);
        snprintf(arguments[i], sizeof(arguments[i]), "%s=%d", fixture->paths[i], 633 + i);
    }
    loadgen_options_read(&fixture->options, 9, argv);
    /* The paths in the options are of this function. */
    for (int i = 0; i < 2; i++)
        fixture->options.lists[i].path = fixture->paths[i];
    ck_assert_msg(loadgen_schedule_init(&fixture->schedule, &fixture->options, &detail) == BL_OK, "%s", detail.text);
    free(argv[8]);
}

static inline void loadgen_fixture_fini(struct loadgen_fixture *fixture)
{
    loadgen_schedule_fini(&fixture->schedule);
    for (int i = 0; i < 2; i++)
        (void)unlink(fixture->paths[i]);
}

#endif
