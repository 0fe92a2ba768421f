/* A reject as people and as programs read it. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "bounceline/class.h"
#include "bounceline/verdict.h"
#include "controlplane/cli/rejects_text.h"
#include "controlplane/cli/text.h"

static struct bl_rejects_line line;

static void set_up(void)
{
    line = (struct bl_rejects_line){.id = 42,
                                    .time_ms = 1795615323003,
                                    .source = "198.51.100.10",
                                    .destination = "192.0.2.25",
                                    .source_port = 40000,
                                    .destination_port = 25,
                                    .reason = "reject_bounce",
                                    .denied_at = BL_DENIED_AT_RCPT,
                                    .code = 606,
                                    .action = BL_ACTION_REJECT,
                                    .listing = "198.51.100.0/24",
                                    .listing_source = "drop",
                                    .dataplane = "edge1",
                                    .worker = 1,
                                    .weight = 1,
                                    .class_id = 3};
}

static void expect(const char *text)
{
    char *written;
    size_t length;
    FILE *out = open_memstream(&written, &length);

    ck_assert_ptr_nonnull(out);
    bl_rejects_text_put(out, &line);
    ck_assert_int_eq(fclose(out), 0);
    ck_assert_str_eq(written, text);
    free(written);
}

START_TEST(the_550)
{
    expect(
        "2026-11-25 14:02:03.003Z 198.51.100.10 -> 192.0.2.25:25 550 5.7.606 at RCPT, listed by 198.51.100.0/24 from "
        "drop, edge1 worker 1\n");
    line.weight = 17;
    line.denied_at = BL_DENIED_AT_OTHER;
    line.source = "2001:db8:5::10";
    line.destination = "2001:db8:25::25";
    line.listing = "2001:db8:5::/48";
    expect("2026-11-25 14:02:03.003Z 2001:db8:5::10 -> [2001:db8:25::25]:25 550 5.7.606 at another line, listed by "
           "2001:db8:5::/48 from drop, edge1 worker 1, one of 17 of its kind\n");
}
END_TEST

START_TEST(drops_resets_and_what_came_before)
{
    line.reason = "drop_action";
    line.denied_at = BL_DENIED_AT_NONE;
    expect("2026-11-25 14:02:03.003Z 198.51.100.10 -> 192.0.2.25:25 dropped (code 606), listed by 198.51.100.0/24 from "
           "drop, edge1 worker 1\n");
    line.reason = "reset_action";
    expect("2026-11-25 14:02:03.003Z 198.51.100.10 -> 192.0.2.25:25 reset (code 606), listed by 198.51.100.0/24 from "
           "drop, edge1 worker 1\n");
    line.reason = "reject_syn";
    expect("2026-11-25 14:02:03.003Z 198.51.100.10 -> 192.0.2.25:25 SYN answered with a cookie (code 606), listed by "
           "198.51.100.0/24 from drop, edge1 worker 1\n");
}
END_TEST

START_TEST(what_is_not_known_is_left_out)
{
    line.reason = "drop_fragment";
    line.destination_port = 0;
    line.code = 0;
    line.listing = "";
    line.listing_source = "";
    expect("2026-11-25 14:02:03.003Z 198.51.100.10 -> 192.0.2.25 a fragment to a protected address, no longer listed "
           "so, edge1 worker 1\n");
    line.destination = "2001:db8:25::25";
    expect("2026-11-25 14:02:03.003Z 198.51.100.10 -> 2001:db8:25::25 a fragment to a protected address, no longer "
           "listed so, edge1 worker 1\n");
    line.destination = "";
    line.reason = "drop_unparsable";
    expect("2026-11-25 14:02:03.003Z 198.51.100.10 -> ? can't be parsed, no longer listed so, edge1 worker 1\n");
}
END_TEST

/* A server of another make, or one that was taken over, does not steer the terminal. */
START_TEST(what_a_server_says_is_escaped)
{
    line.reason = "of\x1b[2Janother";
    line.dataplane = "a\nb";
    line.time_ms = -1;
    expect("-1 ms 198.51.100.10 -> 192.0.2.25:25 of\\x1b[2Janother (code 606), listed by 198.51.100.0/24 from drop, "
           "a\\x0ab worker 1\n");
}
END_TEST

START_TEST(as_json)
{
    char *written;
    size_t length;
    FILE *out = open_memstream(&written, &length);
    struct bl_json json;

    ck_assert_ptr_nonnull(out);
    bl_json_init(&json, out);
    bl_rejects_text_put_json(&json, NULL, &line);
    ck_assert_int_eq(fclose(out), 0);
    ck_assert_str_eq(written,
                     "{\"id\":42,\"time_ms\":1795615323003,\"source\":\"198.51.100.10\",\"source_port\":40000,"
                     "\"destination\":\"192.0.2.25\",\"destination_port\":25,\"reason\":\"reject_bounce\","
                     "\"denied_at\":\"RCPT\",\"code\":606,\"action\":\"reject\",\"listing\":\"198.51.100.0/24\","
                     "\"listing_source\":\"drop\",\"dataplane\":\"edge1\",\"worker\":1,\"weight\":1,\"class_id\":3}\n");
    free(written);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli_rejects_text");
    TCase *tests = tcase_create("all");
    SRunner *runner;
    int n_failed;

    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, the_550);
    tcase_add_test(tests, drops_resets_and_what_came_before);
    tcase_add_test(tests, what_is_not_known_is_left_out);
    tcase_add_test(tests, what_a_server_says_is_escaped);
    tcase_add_test(tests, as_json);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
