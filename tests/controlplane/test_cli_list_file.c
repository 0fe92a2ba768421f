/* The list file's parser: every form of a line, every cut of the input, duplicates, bad lines. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/cli/list_file.h"

static struct bl_list_file file;

static void setup(void)
{
    bl_list_file_init(&file);
}

static void teardown(void)
{
    bl_list_file_fini(&file);
}

static void read_bytes(const char *text, size_t length)
{
    ck_assert_int_eq(bl_list_file_feed(&file, text, length, NULL), BL_OK);
    ck_assert_int_eq(bl_list_file_end(&file, NULL), BL_OK);
}

static void read_text(const char *text)
{
    read_bytes(text, strlen(text));
}

static void expect_entry(size_t index, const char *prefix, uint32_t line)
{
    char text[BL_ADDRESS_TEXT_MAX];

    ck_assert_uint_lt(index, file.n_entries);
    ck_assert_str_eq(bl_address_format_prefix(&file.entries[index].prefix, text), prefix);
    ck_assert_uint_eq(file.entries[index].line, line);
}

START_TEST(reads_every_form_of_a_good_line)
{
    read_text("\xef\xbb\xbf# a list\r\n"
              "\n"
              "192.0.2.7\n"
              "  198.51.100.0/24\t; SBL1 \r\n"
              "203.0.113.9#no space\n"
              "\t \r\n"
              ";only a comment # with another\n"
              "2001:db8:1::/48 # wide\n"
              "::ffff:192.0.2.8\n"
              "192.0.2.9");
    ck_assert_uint_eq(file.n_bad, 0);
    ck_assert_uint_eq(file.n_lines, 10);
    ck_assert_int_eq(bl_list_file_finish(&file, 64), BL_OK);
    ck_assert_uint_eq(file.n_entries, 6);
    ck_assert_uint_eq(file.n_duplicates, 0);
    expect_entry(0, "192.0.2.7/32", 3);
    expect_entry(1, "192.0.2.8/32", 9);
    expect_entry(2, "192.0.2.9/32", 10);
    expect_entry(3, "198.51.100.0/24", 4);
    expect_entry(4, "203.0.113.9/32", 5);
    expect_entry(5, "2001:db8:1::/48", 8);
}
END_TEST

START_TEST(a_first_line_may_begin_with_a_mark_and_hold_a_prefix)
{
    read_text("\xef\xbb\xbf 192.0.2.7\n\xef\xbb\xbf"
              "192.0.2.8\n");
    ck_assert_uint_eq(file.n_entries, 1);
    ck_assert_uint_eq(file.n_bad, 1);
    ck_assert_uint_eq(file.bad[0].line, 2);
}
END_TEST

/* The same input in two parts, cut at every place, says the same. */
START_TEST(the_cut_of_the_input_does_not_matter)
{
    static const char text[] = "192.0.2.7 ; x\r\n# c\r\n\r\n2001:db8::1\nbad line\n10.1.2.0/23\n1.2.3.4";

    for (size_t cut = 0; cut < sizeof(text); cut++) {
        bl_list_file_init(&file);
        ck_assert_int_eq(bl_list_file_feed(&file, text, cut, NULL), BL_OK);
        ck_assert_int_eq(bl_list_file_feed(&file, text + cut, strlen(text + cut), NULL), BL_OK);
        ck_assert_int_eq(bl_list_file_end(&file, NULL), BL_OK);
        ck_assert_uint_eq(file.n_lines, 7);
        ck_assert_uint_eq(file.n_bad, 1);
        ck_assert_uint_eq(file.bad[0].line, 5);
        ck_assert_uint_eq(file.n_entries, 2);
        ck_assert(file.has_bare_ipv6);
        bl_list_file_fini(&file);
    }
}
END_TEST

START_TEST(an_ipv6_address_gets_the_unit_that_is_said)
{
    read_text("2001:db8:1:2:3:4:5:6\n2001:db8:1:2::/64\n2001:db8:1:2:3:4:5:6/128\n2001:db8:1:2:ffff::\n");
    ck_assert_uint_eq(file.n_bad, 0);
    ck_assert(file.has_bare_ipv6);
    ck_assert_int_eq(bl_list_file_finish(&file, 48), BL_OK);
    ck_assert_uint_eq(file.n_entries, 3);
    ck_assert_uint_eq(file.n_duplicates, 1);
    expect_entry(0, "2001:db8:1::/48", 1);
    expect_entry(1, "2001:db8:1:2::/64", 2);
    expect_entry(2, "2001:db8:1:2:3:4:5:6/128", 3);
}
END_TEST

START_TEST(duplicates_are_counted_and_the_first_line_stays)
{
    read_text("192.0.2.9\n192.0.2.7/32\n192.0.2.7\n192.0.2.0/24\n::ffff:192.0.2.7\n192.0.2.9\n");
    ck_assert_int_eq(bl_list_file_finish(&file, 64), BL_OK);
    ck_assert_uint_eq(file.n_entries, 3);
    ck_assert_uint_eq(file.n_duplicates, 3);
    expect_entry(0, "192.0.2.0/24", 4);
    expect_entry(1, "192.0.2.7/32", 2);
    expect_entry(2, "192.0.2.9/32", 1);
}
END_TEST

START_TEST(bad_lines_have_number_and_cause)
{
    static const struct {
        const char *line;
        const char *cause;
    } cases[] = {
        {"192.0.2.256", "expected an IPv4 or IPv6 address"},
        {"192.0.2.1/33", "expected a prefix length of 0..32"},
        {"2001:db8::/129", "expected a prefix length of 0..128"},
        {"192.0.2.1/24", "expected 192.0.2.0/24"},
        {"192.0.2.01", "expected an IPv4 or IPv6 address"},
        {"192.0.2.1 192.0.2.2", "nothing behind it"},
        {"192.0.2.1\t10", "nothing behind it"},
        {"192.0.2.9 - 192.0.2.1", "ends before it begins"},
        {"192.0.2.1 - 2001:db8::1", "two families"},
        {"192.0.2.1-", "expected an IPv4 or IPv6 address"},
        {"192.0.2.1-9", "expected an IPv4 or IPv6 address"},
        {"192.0.2.1,", "expected an IPv4 or IPv6 address"},
        {"mail.example.net", "expected an IPv4 or IPv6 address"},
        {"192.0.2.1/", "expected a prefix length"},
        {"[2001:db8::1]", "expected an IPv4 or IPv6 address"},
        {"192.0.2.1\r192.0.2.2", "nothing behind it"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bl_list_file_init(&file);
        read_text("192.0.2.1\n# c\n");
        read_text(cases[i].line);
        ck_assert_msg(file.n_bad == 1, "'%s' was taken", cases[i].line);
        ck_assert_uint_eq(file.bad[0].line, 3);
        ck_assert_msg(strstr(file.bad[0].cause.text, cases[i].cause) != NULL, "'%s': %s", cases[i].line,
                      file.bad[0].cause.text);
        bl_list_file_fini(&file);
    }
}
END_TEST

START_TEST(a_nul_byte_makes_a_line_bad)
{
    static const char text[] = "192.0.2.1\0\n192.0.2.2\n# a\0b\n\0\n";

    read_bytes(text, sizeof(text) - 1);
    ck_assert_uint_eq(file.n_lines, 4);
    ck_assert_uint_eq(file.n_bad, 2);
    ck_assert_uint_eq(file.bad[0].line, 1);
    ck_assert_uint_eq(file.bad[1].line, 4);
    ck_assert_ptr_nonnull(strstr(file.bad[0].cause.text, "NUL"));
}
END_TEST

START_TEST(only_twenty_bad_lines_are_kept_and_all_counted)
{
    for (int i = 0; i < 1000; i++)
        read_text("bad\n192.0.2.1\n");
    ck_assert_uint_eq(file.n_bad, 1000);
    ck_assert_uint_eq(file.bad[BL_LIST_FILE_BAD_SHOWN - 1].line, 2 * BL_LIST_FILE_BAD_SHOWN - 1);
    ck_assert_uint_eq(file.n_entries, 0);
}
END_TEST

START_TEST(long_lines_cost_nothing)
{
    char block[4096];

    memset(block, 'x', sizeof(block));
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(bl_list_file_feed(&file, block, sizeof(block), NULL), BL_OK);
    ck_assert_int_eq(bl_list_file_feed(&file, "\n# ", 3, NULL), BL_OK);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(bl_list_file_feed(&file, block, sizeof(block), NULL), BL_OK);
    ck_assert_int_eq(bl_list_file_feed(&file, "\n", 1, NULL), BL_OK);
    memset(block, ' ', sizeof(block));
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(bl_list_file_feed(&file, block, sizeof(block), NULL), BL_OK);
    read_text("192.0.2.2\n");
    ck_assert_uint_eq(file.n_lines, 3);
    ck_assert_uint_eq(file.n_bad, 1);
    ck_assert_uint_eq(file.bad[0].line, 1);
    ck_assert_ptr_nonnull(strstr(file.bad[0].cause.text, "longer than 127 bytes"));
}
END_TEST

START_TEST(the_longest_content_is_still_read)
{
    char line[BL_LIST_FILE_CONTENT_MAX + 2];

    memset(line, ' ', sizeof(line));
    memcpy(line, "192.0.2.1", 9);
    line[sizeof(line) - 1] = '\0';
    read_text(line);
    ck_assert_uint_eq(file.n_bad, 0);
    line[BL_LIST_FILE_CONTENT_MAX - 1] = '1';
    read_text(line);
    ck_assert_uint_eq(file.n_bad, 1);
    ck_assert_ptr_nonnull(strstr(file.bad[0].cause.text, "nothing behind it"));
}
END_TEST

START_TEST(many_entries_are_sorted_and_unique)
{
    enum { N = 100000 };

    /* A permutation of 0..N-1 (7919 is prime to N), each twice. */
    for (unsigned i = 0; i < 2 * N; i++) {
        unsigned value = (unsigned)((uint64_t)i * 7919 % N);
        char line[32];

        (void)snprintf(line, sizeof(line), "10.%u.%u.%u\n", value >> 16, value >> 8 & 0xff, value & 0xff);
        read_text(line);
    }
    ck_assert_int_eq(bl_list_file_finish(&file, 64), BL_OK);
    ck_assert_uint_eq(file.n_entries, N);
    ck_assert_uint_eq(file.n_duplicates, N);
    for (unsigned i = 0; i < N; i++) {
        ck_assert_uint_eq(bl_address_to_ip4(file.entries[i].prefix.bytes), 0x0a000000u + i);
        ck_assert_uint_le(file.entries[i].line, N);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli list file");
    TCase *test_case = tcase_create("all");
    SRunner *runner;
    int n_failed;

    tcase_add_checked_fixture(test_case, setup, teardown);
    tcase_add_test(test_case, reads_every_form_of_a_good_line);
    tcase_add_test(test_case, a_first_line_may_begin_with_a_mark_and_hold_a_prefix);
    tcase_add_test(test_case, the_cut_of_the_input_does_not_matter);
    tcase_add_test(test_case, an_ipv6_address_gets_the_unit_that_is_said);
    tcase_add_test(test_case, duplicates_are_counted_and_the_first_line_stays);
    tcase_add_test(test_case, bad_lines_have_number_and_cause);
    tcase_add_test(test_case, a_nul_byte_makes_a_line_bad);
    tcase_add_test(test_case, only_twenty_bad_lines_are_kept_and_all_counted);
    tcase_add_test(test_case, long_lines_cost_nothing);
    tcase_add_test(test_case, the_longest_content_is_still_read);
    tcase_add_test(test_case, many_entries_are_sorted_and_unique);
    suite_add_tcase(suite, test_case);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
