/* Classes: what can be said in one SMTP line, and what is refused. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bounceline/class.h"

static struct bl_error_detail detail;

static struct bl_class make_class(const char *url)
{
    struct bl_class class = {.code = 606, .action = BL_ACTION_REJECT, .self_service = true};

    (void)snprintf(class.url, sizeof(class.url), "%s", url);
    return class;
}

static int validate(const char *url)
{
    struct bl_class class = make_class(url);

    return bl_class_validate(&class, &detail);
}

START_TEST(good_urls_pass)
{
    ck_assert_int_eq(validate("https://delist.example.net/?ip={address}"), BL_OK);
    ck_assert_int_eq(validate("https://delist.example.net/?ip={address}&t={ticket}"), BL_OK);
    ck_assert_int_eq(validate("http://delist.example.net"), BL_OK);
    ck_assert_int_eq(validate("https://[2001:db8::1]:8443/{address}/{address}"), BL_OK);
}
END_TEST

START_TEST(codes_and_actions_have_bounds)
{
    struct bl_class class = make_class("https://a.example/");

    for (unsigned code = 0; code < 1000; code++) {
        class.code = (uint16_t)code;
        ck_assert_int_eq(bl_class_validate(&class, &detail), code >= 606 && code <= 649 ? BL_OK : BL_ERANGE);
    }
    class.code = 649;
    for (unsigned action = 0; action < 256; action++) {
        class.action = (uint8_t)action;
        ck_assert_int_eq(bl_class_validate(&class, &detail), action >= 1 && action <= 4 ? BL_OK : BL_ERANGE);
    }
}
END_TEST

static const char *const bad_urls[] = {
    "",
    "delist.example.net",
    "ftp://delist.example.net/",
    "HTTPS://delist.example.net/",
    "https://",
    "https:///x",
    "http://?ip={address}",
    "https://a.example/ b",
    "https://a.example/\r\n250 OK",
    "https://a.example/\tb",
    "https://a.example/\x7f",
    "https://a.example/\xc3\xa4",
    "https://a.example/{ip}",
    "https://a.example/{address",
    "https://a.example/address}",
    "https://a.example/{{address}}",
    "https://a.example/{}",
    "https://a.example/{ADDRESS}",
    "https://a.example/{ticket",
    "https://a.example/ticket}",
    "https://a.example/{tickets}",
};

START_TEST(bad_urls_are_refused)
{
    detail.text[0] = '\0';
    ck_assert_int_eq(validate(bad_urls[_i]), BL_EINVAL);
    ck_assert_int_eq(strncmp(detail.text, "url: ", 5), 0);
}
END_TEST

/* The line is built here as smtp.c must, with the longest address everywhere: what is taken stays under the limit, and
 * the limit is not wasted: one more byte would break it. */
static size_t line_length(const char *url)
{
    static const char longest[] = "2001:db8:1111:2222:3333:4444:5555:6666";
    size_t length = strlen("550 5.7.606 Access denied, banned sending IP []; To request removal from this list please "
                           "visit  and follow the directions.\r\n") +
                    sizeof("xxxx:xxxx:xxxx:xxxx:xxxx:xxxx:xxxx:xxxx") - 1;

    ck_assert_uint_le(sizeof(longest), sizeof("xxxx:xxxx:xxxx:xxxx:xxxx:xxxx:xxxx:xxxx"));
    for (; *url != '\0'; url++) {
        if (url[0] == '{' && url[1] == 't') {
            length += strlen("czssdtoz3j5i");
            url += strlen("{ticket}") - 1;
        } else if (*url == '{') {
            length += sizeof("xxxx:xxxx:xxxx:xxxx:xxxx:xxxx:xxxx:xxxx") - 1;
            url += strlen("{address}") - 1;
        } else {
            length++;
        }
    }
    return length;
}

START_TEST(the_finished_line_stays_under_the_limit)
{
    int n_refused = 0;

    for (int n_addresses = 0; n_addresses < 12; n_addresses++) {
        for (int n = 0; n < 200; n++) {
            char url[BL_CLASS_URL_MAX + 400] = "https://a/";

            for (int i = 0; i < n_addresses; i++)
                strcat(url, "{address}");
            if (n % 2 != 0)
                strcat(url, "{ticket}");
            for (int i = 0; i < n; i++)
                strcat(url, "x");
            if (strlen(url) > BL_CLASS_URL_MAX)
                break;
            if (line_length(url) < BL_CLASS_LINE_MAX) {
                ck_assert_int_eq(validate(url), BL_OK);
            } else {
                ck_assert_int_eq(validate(url), BL_ERANGE);
                n_refused++;
            }
        }
    }
    ck_assert_int_gt(n_refused, 10);
}
END_TEST

START_TEST(a_url_without_its_end_is_refused)
{
    struct bl_class class = make_class("https://a.example/");

    memset(class.url + strlen(class.url), 'x', sizeof(class.url) - strlen(class.url));
    ck_assert_int_eq(bl_class_validate(&class, &detail), BL_ERANGE);
}
END_TEST

START_TEST(equality_sees_every_field)
{
    struct bl_class a = make_class("https://a.example/");
    struct bl_class b = a;

    memset(b.url + strlen(b.url) + 1, 'x', 10); /* behind the end: does not count */
    ck_assert(bl_class_equal(&a, &b));
    b.code++;
    ck_assert(!bl_class_equal(&a, &b));
    b = a;
    b.action = BL_ACTION_DROP;
    ck_assert(!bl_class_equal(&a, &b));
    b = a;
    b.self_service = false;
    ck_assert(!bl_class_equal(&a, &b));
    b = make_class("https://b.example/");
    ck_assert(!bl_class_equal(&a, &b));
}
END_TEST

START_TEST(actions_have_names)
{
    ck_assert_str_eq(bl_class_action_text(BL_ACTION_REJECT), "reject");
    ck_assert_str_eq(bl_class_action_text(BL_ACTION_RESET), "reset");
    ck_assert_str_eq(bl_class_action_text(BL_ACTION_DROP), "drop");
    ck_assert_str_eq(bl_class_action_text(BL_ACTION_MONITOR), "monitor");
    ck_assert_str_eq(bl_class_action_text(BL_ACTION_NONE), "none");
    ck_assert_str_eq(bl_class_action_text(255), "none");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("class");
    TCase *tests = tcase_create("class");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_test(tests, good_urls_pass);
    tcase_add_test(tests, codes_and_actions_have_bounds);
    tcase_add_loop_test(tests, bad_urls_are_refused, 0, (int)(sizeof(bad_urls) / sizeof(bad_urls[0])));
    tcase_add_test(tests, the_finished_line_stays_under_the_limit);
    tcase_add_test(tests, a_url_without_its_end_is_refused);
    tcase_add_test(tests, equality_sees_every_field);
    tcase_add_test(tests, actions_have_names);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
