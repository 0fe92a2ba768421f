/* The JSON writer and the escaping of other people's text. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/cli/json.h"
#include "controlplane/cli/text.h"

/* Collects what a test writes. */
static char *written;
static size_t written_length;

static FILE *open_out(void)
{
    FILE *out = open_memstream(&written, &written_length);

    ck_assert_ptr_nonnull(out);
    return out;
}

static void expect(FILE *out, const char *text)
{
    ck_assert_int_eq(fclose(out), 0);
    ck_assert_str_eq(written, text);
    free(written);
    written = NULL;
}

START_TEST(nests_and_separates)
{
    FILE *out = open_out();
    struct bl_json json;

    bl_json_init(&json, out);
    bl_json_begin_object(&json, NULL);
    bl_json_begin_array(&json, "none");
    bl_json_end_array(&json);
    bl_json_begin_array(&json, "some");
    bl_json_put_uint(&json, NULL, UINT64_MAX);
    bl_json_put_int(&json, NULL, INT64_MIN);
    bl_json_begin_object(&json, NULL);
    bl_json_end_object(&json);
    bl_json_begin_object(&json, NULL);
    bl_json_put_bool(&json, "yes", true);
    bl_json_put_bool(&json, "no", false);
    bl_json_put_null(&json, "neither");
    bl_json_end_object(&json);
    bl_json_end_array(&json);
    bl_json_begin_array(&json, "more");
    bl_json_put_text(&json, NULL, "x");
    bl_json_end_array(&json);
    bl_json_put_hex(&json, "epoch", 0xabc);
    bl_json_put_digest(&json, "digest", 1, UINT64_MAX);
    bl_json_end_object(&json);
    expect(out, "{\"none\":[],\"some\":[18446744073709551615,-9223372036854775808,{},"
                "{\"yes\":true,\"no\":false,\"neither\":null}],\"more\":[\"x\"],\"epoch\":\"0000000000000abc\","
                "\"digest\":\"0000000000000001ffffffffffffffff\"}\n");
}
END_TEST

START_TEST(escapes_strings_and_keys)
{
    static const struct {
        const char *text;
        const char *json;
    } cases[] = {
        {"", "\"\""},
        {"a \"b\" \\c/", "\"a \\\"b\\\" \\\\c/\""},
        {"\n\r\t\x01\x1b\x7f", "\"\\u000a\\u000d\\u0009\\u0001\\u001b\\u007f\""},
        {"\xc2\x9b", "\"\\u009b\""},
        {"\xc3\xa9 \xf0\x9f\x90\x98", "\"\xc3\xa9 \xf0\x9f\x90\x98\""},
        /* not UTF-8: a lone continuation, a cut sequence, an overlong '/', a surrogate, above U+10FFFF */
        {"a\x80z", "\"a\\ufffdz\""},
        {"a\xe2\x82", "\"a\\ufffd\\ufffd\""},
        {"\xc0\xaf", "\"\\ufffd\\ufffd\""},
        {"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""},
        {"\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char wanted[128];
        FILE *out = open_out();
        struct bl_json json;

        bl_json_init(&json, out);
        bl_json_begin_object(&json, NULL);
        bl_json_put_text(&json, "k\"", cases[i].text);
        bl_json_end_object(&json);
        (void)snprintf(wanted, sizeof(wanted), "{\"k\\\"\":%s}\n", cases[i].json);
        expect(out, wanted);
    }
}
END_TEST

START_TEST(text_can_not_steer_a_terminal)
{
    static const struct {
        const char *text;
        const char *shown;
    } cases[] = {
        {"plain, r\xc3\xa9sum\xc3\xa9", "plain, r\xc3\xa9sum\xc3\xa9"},
        {"\x1b[2J\r\n\b\x7f", "\\x1b[2J\\x0d\\x0a\\x08\\x7f"},
        {"back\\slash", "back\\\\slash"},
        {"\xc2\x9b"
         "31m",
         "\\u{9b}31m"},
        {"a\xe2\x80\xae"
         "b",
         "a\\u{202e}b"},
        {"a\xe2\x80\xa8z\xef\xbb\xbf", "a\\u{2028}z\\u{feff}"},
        {"\xff\xfe", "\\xff\\xfe"},
        {"\xe2\x82", "\\xe2\\x82"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        FILE *out = open_out();

        bl_text_put(out, cases[i].text);
        expect(out, cases[i].shown);
    }
}
END_TEST

START_TEST(times_are_utc)
{
    FILE *out = open_out();

    ck_assert_int_eq(setenv("TZ", "America/New_York", 1), 0);
    bl_text_put_time(out, 0);
    (void)fputc(' ', out);
    bl_text_put_time(out, INT64_C(1790000000999));
    (void)fputc(' ', out);
    bl_text_put_time(out, INT64_MAX);
    expect(out, "never 2026-09-21T14:13:20Z 292278994-08-17T07:12:55Z");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli json and text");
    TCase *test_case = tcase_create("all");
    SRunner *runner;
    int n_failed;

    tcase_add_test(test_case, nests_and_separates);
    tcase_add_test(test_case, escapes_strings_and_keys);
    tcase_add_test(test_case, text_can_not_steer_a_terminal);
    tcase_add_test(test_case, times_are_utc);
    suite_add_tcase(suite, test_case);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
