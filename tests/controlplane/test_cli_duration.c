/* Durations: what is read, what is refused, what is written. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/cli/duration.h"

START_TEST(reads_every_unit)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"1ms", 1},
        {"500ms", 500},
        {"90s", 90000},
        {"15m", 900000},
        {"12h", INT64_C(43200000)},
        {"30d", INT64_C(2592000000)},
        {"2w", INT64_C(1209600000)},
        {"007s", 7000},
        {"3660d", BL_DURATION_MAX_MS},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bl_error_detail detail = {""};
        int64_t ms = -1;

        ck_assert_msg(bl_duration_parse(cases[i].text, &ms, &detail) == BL_OK, "%s: %s", cases[i].text, detail.text);
        ck_assert_int_eq(ms, cases[i].ms);
    }
}
END_TEST

START_TEST(refuses_what_is_no_duration)
{
    static const char *const bad[] = {"",     "5",  "s",   "0s",    "-5s", "+5s",  " 5s",  "5 s", "5s ",
                                      "1.5h", "5x", "5sm", "1h30m", "5S",  "0x5s", "5sec", "ms"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct bl_error_detail detail = {""};
        int64_t ms = -1;

        ck_assert_msg(bl_duration_parse(bad[i], &ms, &detail) == BL_EINVAL, "'%s' was read as %ld", bad[i], (long)ms);
        ck_assert_int_eq(ms, -1);
        ck_assert_ptr_nonnull(strstr(detail.text, "expected"));
    }
}
END_TEST

START_TEST(refuses_what_is_too_long_or_overflows)
{
    static const char *const bad[] = {
        "3661d", "524w", "87841h", "316224000001ms", "99999999999999999999999999s", "9223372036854775807ms"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t ms = -1;

        ck_assert_msg(bl_duration_parse(bad[i], &ms, NULL) == BL_ERANGE, "'%s' was read as %ld", bad[i], (long)ms);
        ck_assert_int_eq(ms, -1);
    }
}
END_TEST

START_TEST(writes_two_units)
{
    static const struct {
        uint64_t ms;
        const char *text;
    } cases[] = {
        {0, "0 ms"},
        {999, "999 ms"},
        {1000, "1.0 s"},
        {59999, "59.9 s"},
        {60000, "1 min 0 s"},
        {3599999, "59 min 59 s"},
        {3600000, "1 h 0 min"},
        {172799999, "47 h 59 min"},
        {172800000, "2 d 0 h"},
        {UINT64_MAX, "213503982334 d 14 h"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[BL_DURATION_TEXT_MAX];

        ck_assert_str_eq(bl_duration_format(cases[i].ms, text), cases[i].text);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli duration");
    TCase *test_case = tcase_create("all");
    SRunner *runner;
    int n_failed;

    tcase_add_test(test_case, reads_every_unit);
    tcase_add_test(test_case, refuses_what_is_no_duration);
    tcase_add_test(test_case, refuses_what_is_too_long_or_overflows);
    tcase_add_test(test_case, writes_two_units);
    suite_add_tcase(suite, test_case);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
