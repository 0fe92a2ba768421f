/* The one list of reasons: each has a verdict, a counter's name of its own and a sentence. */
#include <check.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "bounceline/verdict.h"

START_TEST(every_reason_has_its_own_name_and_a_sentence)
{
    for (unsigned i = 0; i < BL_REASON_COUNT; i++) {
        const char *name = bl_verdict_reason_name(i);

        ck_assert_ptr_nonnull(name);
        ck_assert_uint_gt(strlen(bl_verdict_reason_text(i)), 5);
        ck_assert_uint_lt(strlen(name), 48); /* a counter's name on the sync socket */
        for (const char *at = name; *at != '\0'; at++)
            ck_assert(islower((unsigned char)*at) || *at == '_');
        for (unsigned j = 0; j < i; j++)
            ck_assert_str_ne(name, bl_verdict_reason_name(j));
    }
    ck_assert_ptr_null(bl_verdict_reason_name(BL_REASON_COUNT));
    ck_assert_ptr_null(bl_verdict_reason_text(BL_REASON_COUNT));
    ck_assert_ptr_null(bl_verdict_reason_name(~0u));
}
END_TEST

/* A name starts with what happens to the packet, so that a counter can't say one thing and the code another. */
START_TEST(names_agree_with_verdicts)
{
    static const char *const prefixes[] = {
        [BL_VERDICT_PASS] = "pass_",
        [BL_VERDICT_REJECT] = "reject_",
        [BL_VERDICT_DROP] = "drop_",
        [BL_VERDICT_RESET] = "reset_",
    };

    for (unsigned i = 0; i < BL_REASON_COUNT; i++) {
        const char *prefix = prefixes[bl_verdict_of((enum bl_reason)i)];

        ck_assert_msg(strncmp(bl_verdict_reason_name(i), prefix, strlen(prefix)) == 0, "%s has the verdict of %s",
                      bl_verdict_reason_name(i), prefix);
    }
}
END_TEST

START_TEST(what_is_not_ours_passes)
{
    ck_assert_int_eq(bl_verdict_of(BL_REASON_PASS_NOT_LISTED), BL_VERDICT_PASS);
    ck_assert_int_eq(bl_verdict_of(BL_REASON_PASS_UNPARSABLE), BL_VERDICT_PASS);
    ck_assert_int_eq(bl_verdict_of(BL_REASON_PASS_EXEMPT), BL_VERDICT_PASS);
    ck_assert_int_eq(bl_verdict_of(BL_REASON_DROP_UNPARSABLE), BL_VERDICT_DROP);
    ck_assert_int_eq(bl_verdict_of(BL_REASON_REJECT_BOUNCE), BL_VERDICT_REJECT);
    ck_assert_int_eq(bl_verdict_of(BL_REASON_RESET_ACTION), BL_VERDICT_RESET);
}
END_TEST

/* What `bounceline rejects` shows without being asked for more, and what counts in `top`. */
START_TEST(what_ends_an_attempt_is_final)
{
    static const enum bl_reason final[] = {
        BL_REASON_REJECT_BOUNCE,   BL_REASON_DROP_ESTABLISHED,  BL_REASON_DROP_ACTION, BL_REASON_DROP_FRAGMENT,
        BL_REASON_DROP_UNPARSABLE, BL_REASON_RESET_ESTABLISHED, BL_REASON_RESET_ACTION};
    size_t n = 0;

    for (unsigned i = 0; i <= BL_REASON_COUNT; i++)
        n += bl_verdict_is_final(i);
    ck_assert_uint_eq(n, sizeof(final) / sizeof(final[0]));
    for (size_t i = 0; i < n; i++)
        ck_assert(bl_verdict_is_final(final[i]));
}
END_TEST

START_TEST(a_reason_is_found_by_its_name)
{
    for (unsigned i = 0; i < BL_REASON_COUNT; i++)
        ck_assert_uint_eq(bl_verdict_find_reason(bl_verdict_reason_name(i)), i);
    ck_assert_uint_eq(bl_verdict_find_reason("reject"), BL_REASON_COUNT);
    ck_assert_uint_eq(bl_verdict_find_reason(""), BL_REASON_COUNT);
}
END_TEST

START_TEST(commands_have_names)
{
    ck_assert_str_eq(bl_verdict_denied_at_text(BL_DENIED_AT_RCPT), "RCPT");
    ck_assert_str_eq(bl_verdict_denied_at_text(BL_DENIED_AT_MAIL), "MAIL");
    ck_assert_str_eq(bl_verdict_denied_at_text(BL_DENIED_AT_STARTTLS), "STARTTLS");
    ck_assert_str_eq(bl_verdict_denied_at_text(BL_DENIED_AT_OTHER), "other");
    ck_assert_str_eq(bl_verdict_denied_at_text(BL_DENIED_AT_NONE), "");
    ck_assert_str_eq(bl_verdict_denied_at_text(BL_DENIED_AT_COUNT), "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("verdict");
    TCase *tests = tcase_create("verdict");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_test(tests, every_reason_has_its_own_name_and_a_sentence);
    tcase_add_test(tests, names_agree_with_verdicts);
    tcase_add_test(tests, what_is_not_ours_passes);
    tcase_add_test(tests, what_ends_an_attempt_is_final);
    tcase_add_test(tests, a_reason_is_found_by_its_name);
    tcase_add_test(tests, commands_have_names);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
