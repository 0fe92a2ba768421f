/* Error codes have a text each, and details are cut, never overrun. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "bounceline/error.h"

static const int codes[] = {BL_OK,
#define X(name, value, text) name,
                            BL_ERRORS(X)
#undef X
};

enum { N_CODES = sizeof(codes) / sizeof(codes[0]) };

START_TEST(every_code_has_its_own_text)
{
    for (size_t i = 0; i < N_CODES; i++) {
        ck_assert_str_ne(bl_error_text(codes[i]), "unknown error");
        for (size_t j = 0; j < i; j++) {
            ck_assert_int_ne(codes[i], codes[j]);
            ck_assert_str_ne(bl_error_text(codes[i]), bl_error_text(codes[j]));
        }
    }
    ck_assert_str_eq(bl_error_text(BL_EFULL), "no room left");
    ck_assert_str_eq(bl_error_text(1), "unknown error");
    ck_assert_str_eq(bl_error_text(-1000), "unknown error");
}
END_TEST

START_TEST(set_writes_the_cause_and_returns_the_code)
{
    struct bl_error_detail detail;

    ck_assert_int_eq(bl_error_set(&detail, BL_ERANGE, "line %u: %s", 12u, "too large"), BL_ERANGE);
    ck_assert_str_eq(detail.text, "line 12: too large");
    ck_assert_int_eq(bl_error_set(NULL, BL_EIO, "%s", "nobody reads this"), BL_EIO);
}
END_TEST

START_TEST(long_causes_are_cut)
{
    struct {
        struct bl_error_detail detail;
        char behind;
    } memory;
    char text[2000];

    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    memory.behind = 'x';
    ck_assert_int_eq(bl_error_set(&memory.detail, BL_EINVAL, "%s", text), BL_EINVAL);
    ck_assert_uint_eq(strlen(memory.detail.text), sizeof(memory.detail.text) - 1);
    ck_assert_int_eq(memory.behind, 'x');
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("error");
    TCase *tests = tcase_create("error");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_test(tests, every_code_has_its_own_text);
    tcase_add_test(tests, set_writes_the_cause_and_returns_the_code);
    tcase_add_test(tests, long_causes_are_cut);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
