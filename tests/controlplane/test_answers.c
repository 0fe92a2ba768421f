/* The window of first answers: found again, another batch by the same name refused, oldest out first. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bounceline/error.h"
#include "controlplane/answers.h"

enum { WINDOW = 50 };

static struct bl_answers *answers;

static void setup(void)
{
    ck_assert_int_eq(bl_answers_create(&answers, WINDOW), BL_OK);
}

static void teardown(void)
{
    bl_answers_free(answers);
}

static void add(const char *actor, const char *session, uint64_t sequence, uint64_t hash, const char *data)
{
    const struct bl_answer answer = {actor,       session, sequence, hash, sequence + 1000, (const uint8_t *)data,
                                     strlen(data)};

    ck_assert_int_eq(bl_answers_add(answers, &answer), BL_OK);
}

START_TEST(finds_its_own_copy)
{
    char actor[] = "feed";
    char data[] = "the answer";
    struct bl_answer found;

    add(actor, "s1", 3, 42, data);
    memset(actor, 'x', 4);
    memset(data, 'x', 4);
    ck_assert_int_eq(bl_answers_find(answers, "feed", "s1", 3, 42, &found), BL_OK);
    ck_assert_uint_eq(found.length, 10);
    ck_assert_mem_eq(found.data, "the answer", 10);
    ck_assert_uint_eq(found.serial, 1003);
    ck_assert_str_eq(found.actor, "feed");
}
END_TEST

START_TEST(every_part_of_the_name_counts)
{
    struct bl_answer found;

    add("feed", "s1", 3, 42, "a");
    ck_assert_int_eq(bl_answers_find(answers, "other", "s1", 3, 42, &found), BL_ENOENT);
    ck_assert_int_eq(bl_answers_find(answers, "feed", "s2", 3, 42, &found), BL_ENOENT);
    ck_assert_int_eq(bl_answers_find(answers, "feed", "s1", 4, 42, &found), BL_ENOENT);
    ck_assert_int_eq(bl_answers_find(answers, "feed", "s1", 3, 43, &found), BL_ECONFLICT);
}
END_TEST

START_TEST(an_empty_session_is_not_kept)
{
    struct bl_answer found;

    add("feed", "", 3, 42, "a");
    ck_assert_int_eq(bl_answers_find(answers, "feed", "", 3, 42, &found), BL_ENOENT);
}
END_TEST

START_TEST(the_first_answer_stands)
{
    struct bl_answer found;

    add("feed", "s1", 3, 42, "first");
    add("feed", "s1", 3, 42, "second");
    ck_assert_int_eq(bl_answers_find(answers, "feed", "s1", 3, 42, &found), BL_OK);
    ck_assert_mem_eq(found.data, "first", 5);
}
END_TEST

static int note(void *context, const struct bl_answer *answer)
{
    uint64_t *next = context;

    ck_assert_uint_eq(answer->sequence, *next);
    (*next)++;
    return *next == WINDOW * 3 + 7 ? 9 : 0;
}

START_TEST(oldest_out_first)
{
    uint64_t next = WINDOW * 2 + 7;
    struct bl_answer found;

    for (uint64_t i = 0; i < WINDOW * 3 + 7; i++)
        add("feed", "s1", i, i, "a");
    ck_assert_int_eq(bl_answers_find(answers, "feed", "s1", next - 1, next - 1, &found), BL_ENOENT);
    for (uint64_t i = next; i < WINDOW * 3 + 7; i++)
        ck_assert_int_eq(bl_answers_find(answers, "feed", "s1", i, i, &found), BL_OK);
    ck_assert_int_eq(bl_answers_each(answers, note, &next), 9);
    ck_assert_uint_eq(next, WINDOW * 3 + 7);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("answers");
    TCase *window = tcase_create("window");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_checked_fixture(window, setup, teardown);
    tcase_add_test(window, finds_its_own_copy);
    tcase_add_test(window, every_part_of_the_name_counts);
    tcase_add_test(window, an_empty_session_is_not_kept);
    tcase_add_test(window, the_first_answer_stands);
    tcase_add_test(window, oldest_out_first);
    suite_add_tcase(suite, window);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
