/* smtp.c: the table of the dialogue, a row a rule. Inputs and outputs lie in heap blocks of exactly their size. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bounceline/settings.h"
#include "dataplane/smtp.h"

#define DENY \
    "550 5.7.612 Access denied, banned sending IP [192.0.2.7]; To request removal from this list please visit " \
    "https://d.example/?ip=192.0.2.7 and follow the directions.\r\n"
#define EHLO_HEAD "250-mx.example.org\r\n250-SIZE\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n"
#define EHLO EHLO_HEAD "250 ENHANCEDSTATUSCODES\r\n"
#define HELO "250 mx.example.org\r\n"
#define SENDER "250 2.1.0 Sender OK\r\n"
#define NO_RCPT "503 5.5.1 No valid recipients\r\n"
#define OK "250 2.0.0 OK\r\n"
#define BYE "221 2.0.0 Bye\r\n"

static const struct bl_class class = {
    .code = 612, .action = BL_ACTION_REJECT, .url = "https://d.example/?ip={address}"};

static struct bl_smtp_script script_of(uint8_t stage, uint8_t starttls)
{
    struct bl_smtp_script script = {
        .hostname = "mx.example.org", .class = &class, .address = "192.0.2.7", .stage = stage, .starttls = starttls};

    return script;
}

static char said[4096]; /* the last answer, NUL-terminated */

static struct bl_smtp_answer answer(const struct bl_smtp_script *script, const char *input, size_t length, size_t room)
{
    struct bl_smtp_answer answer;
    uint8_t *in = malloc(length != 0 ? length : 1);
    char *out = malloc(room != 0 ? room : 1);

    ck_assert_ptr_nonnull(in);
    ck_assert_ptr_nonnull(out);
    memcpy(in, input, length);
    memset(&answer, 0xff, sizeof(answer));
    bl_smtp_answer(script, in, length, out, room, &answer);
    ck_assert_uint_le(answer.written, room);
    memcpy(said, out, answer.written);
    said[answer.written] = '\0';
    free(out);
    free(in);
    return answer;
}

/* The stage and STARTTLS of a row; ANY row holds for all four mixes. */
enum { ANY = -1 };

static const struct row {
    const char *input;
    const char *output;
    int stage;
    int starttls;
    bool bounced;
    bool quit;
} rows[] = {
    {"EHLO mail.example.com\r\n", EHLO, ANY, BL_STARTTLS_HIDE, false, false},
    {"EHLO x\r\n", EHLO_HEAD "250-STARTTLS\r\n250 ENHANCEDSTATUSCODES\r\n", ANY, BL_STARTTLS_REFUSE, false, false},
    {"HELO mail.example.com\r\n", HELO, ANY, ANY, false, false},
    {"MAIL FROM:<a@b>\r\n", SENDER, BL_STAGE_RCPT, ANY, false, false},
    {"MAIL FROM:<a@b>\r\n", DENY, BL_STAGE_MAIL, ANY, true, false},
    {"RCPT TO:<c@d>\r\n", DENY, ANY, ANY, true, false},
    {"DATA\r\n", NO_RCPT, ANY, ANY, false, false},
    {"BDAT 86 LAST\r\n", NO_RCPT, ANY, ANY, false, false},
    {"RSET\r\n", OK, ANY, ANY, false, false},
    {"NOOP\r\n", OK, ANY, ANY, false, false},
    {"QUIT\r\n", BYE, ANY, ANY, false, true},
    {"STARTTLS\r\n", "502 5.5.1 Command not implemented\r\n", ANY, BL_STARTTLS_HIDE, false, false},
    {"STARTTLS\r\n", DENY, ANY, BL_STARTTLS_REFUSE, true, false},
    /* in any case, cut at a space or a colon, ended by a bare LF too */
    {"ehlo X\r\n", EHLO, ANY, BL_STARTTLS_HIDE, false, false},
    {"qUiT\n", BYE, ANY, ANY, false, true},
    {"NOOP\n", OK, ANY, ANY, false, false},
    {"NOOP:\r\n", OK, ANY, ANY, false, false},
    {"MAIL:FROM\r\n", SENDER, BL_STAGE_RCPT, ANY, false, false},
    {"EHLO\r\n", EHLO, ANY, BL_STARTTLS_HIDE, false, false},
    {"HELO:\n", HELO, ANY, ANY, false, false},
    /* any other line */
    {"\r\n", DENY, ANY, ANY, true, false},
    {"\n", DENY, ANY, ANY, true, false},
    {"\r\r\n", DENY, ANY, ANY, true, false},
    {" NOOP\r\n", DENY, ANY, ANY, true, false},
    {"NOOP\tx\r\n", DENY, ANY, ANY, true, false},
    {"NOOP\r \r\n", DENY, ANY, ANY, true, false},
    {"NOO\r\n", DENY, ANY, ANY, true, false},
    {"NOOPS\r\n", DENY, ANY, ANY, true, false},
    {"STARTTLSX\r\n", DENY, ANY, ANY, true, false},
    {"STARTTLSXYZZY now\r\n", DENY, ANY, ANY, true, false},
    {"AUTH PLAIN AGEAYg==\r\n", DENY, ANY, ANY, true, false},
    {"VRFY a\r\n", DENY, ANY, ANY, true, false},
    {"HELP\r\n", DENY, ANY, ANY, true, false},
    {"\xc5\xc8\xcc\xcf x\r\n", DENY, ANY, ANY, true, false},
    {"OM:<a@b>\r\n", DENY, ANY, ANY, true, false},
    {"GET / HTTP/1.1\r\n", DENY, ANY, ANY, true, false},
};

START_TEST(every_line_has_its_reply)
{
    const struct row *row = &rows[_i];

    for (int mix = 0; mix < 4; mix++) {
        struct bl_smtp_script script = script_of((uint8_t)(mix & 1), (uint8_t)(mix >> 1));
        struct bl_smtp_answer result;

        if ((row->stage != ANY && row->stage != (mix & 1)) || (row->starttls != ANY && row->starttls != mix >> 1))
            continue;
        result = answer(&script, row->input, strlen(row->input), 536);
        ck_assert_str_eq(said, row->output);
        ck_assert_uint_eq(result.written, strlen(row->output));
        ck_assert_uint_eq(result.consumed, strlen(row->input));
        ck_assert_int_eq(result.bounced, row->bounced);
        ck_assert_int_eq(result.quit, row->quit);
        ck_assert_int_eq(result.partial, false);
    }
}
END_TEST

START_TEST(a_nul_is_no_end_of_a_verb)
{
    static const char *const inputs[] = {"QUIT\0\r\n", "DATA\0 x\n", "\0QUIT\r\n", "QU\0T\r\n"};
    static const size_t lengths[] = {7, 8, 7, 6};
    struct bl_smtp_script script = script_of(BL_STAGE_RCPT, BL_STARTTLS_HIDE);

    for (size_t i = 0; i < 4; i++) {
        struct bl_smtp_answer result = answer(&script, inputs[i], lengths[i], 536);

        ck_assert_str_eq(said, DENY);
        ck_assert_uint_eq(result.consumed, lengths[i]);
        ck_assert(!result.quit);
    }
}
END_TEST

START_TEST(several_lines_in_order)
{
    struct bl_smtp_script script = script_of(BL_STAGE_RCPT, BL_STARTTLS_HIDE);
    const char *input = "EHLO x\r\nMAIL FROM:<a@b>\nRCPT TO:<c@d>\r\nDATA\r\nQUIT\r\n";
    struct bl_smtp_answer result = answer(&script, input, strlen(input), 1220);

    ck_assert_str_eq(said, EHLO SENDER DENY NO_RCPT BYE);
    ck_assert_uint_eq(result.consumed, strlen(input));
    ck_assert(result.bounced && result.quit && !result.partial);
}
END_TEST

/* The first one that got it, whatever stands around it. */
START_TEST(the_command_that_got_the_550_is_said)
{
    static const struct {
        const char *input;
        uint8_t stage;
        uint8_t starttls;
        uint8_t denied;
    } cases[] = {
        {"NOOP\r\nRCPT TO:<c@d>\r\nQUIT\r\n", BL_STAGE_RCPT, BL_STARTTLS_HIDE, BL_DENIED_AT_RCPT},
        {"RCPT TO:<c@d>\r\nVRFY x\r\n", BL_STAGE_RCPT, BL_STARTTLS_HIDE, BL_DENIED_AT_RCPT},
        {"VRFY x\r\nRCPT TO:<c@d>\r\n", BL_STAGE_RCPT, BL_STARTTLS_HIDE, BL_DENIED_AT_OTHER},
        {"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", BL_STAGE_MAIL, BL_STARTTLS_HIDE, BL_DENIED_AT_MAIL},
        {"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", BL_STAGE_RCPT, BL_STARTTLS_HIDE, BL_DENIED_AT_RCPT},
        {"STARTTLS\r\n", BL_STAGE_RCPT, BL_STARTTLS_REFUSE, BL_DENIED_AT_STARTTLS},
        {"STARTTLS\r\n", BL_STAGE_RCPT, BL_STARTTLS_HIDE, BL_DENIED_AT_NONE},
        {"MAIL FROM:<a@b>\r\nQUIT\r\n", BL_STAGE_RCPT, BL_STARTTLS_HIDE, BL_DENIED_AT_NONE},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bl_smtp_script script = script_of(cases[i].stage, cases[i].starttls);
        struct bl_smtp_answer result = answer(&script, cases[i].input, strlen(cases[i].input), 1220);

        ck_assert_uint_eq(result.denied, cases[i].denied);
        ck_assert_int_eq(result.bounced, cases[i].denied != BL_DENIED_AT_NONE);
    }
}
END_TEST

START_TEST(what_follows_quit_is_taken_unanswered)
{
    struct bl_smtp_script script = script_of(BL_STAGE_RCPT, BL_STARTTLS_HIDE);
    const char *input = "QUIT\r\nRCPT TO:<c@d>\r\nRC";
    struct bl_smtp_answer result = answer(&script, input, strlen(input), 536);

    ck_assert_str_eq(said, BYE);
    ck_assert_uint_eq(result.consumed, strlen(input));
    ck_assert(result.quit && !result.bounced && !result.partial);
}
END_TEST

START_TEST(a_part_of_a_line_is_taken_unanswered)
{
    struct bl_smtp_script script = script_of(BL_STAGE_RCPT, BL_STARTTLS_HIDE);
    struct bl_smtp_answer result = answer(&script, "RCPT TO:<c@d>\r", 14, 536);

    ck_assert_uint_eq(result.written, 0);
    ck_assert_uint_eq(result.consumed, 14);
    ck_assert(result.partial && !result.bounced && !result.quit);
    result = answer(&script, "NOOP\r\nQUIT", 10, 536);
    ck_assert_str_eq(said, OK);
    ck_assert_uint_eq(result.consumed, 10);
    ck_assert(result.partial && !result.quit);
    result = answer(&script, "", 0, 536);
    ck_assert_uint_eq(result.consumed + result.written, 0);
    ck_assert(!result.partial);
}
END_TEST

/* For every room: whole replies only, and exactly the lines that they answer. */
START_TEST(what_does_not_fit_is_left)
{
    static const char *const replies[] = {OK, NO_RCPT, DENY, OK, BYE};
    static const char *const inputs[] = {"NOOP\r\n", "DATA\r\n", "RCPT TO:<x@y>\r\n", "RSET\n", "QUIT\r\n"};
    struct bl_smtp_script script = script_of(BL_STAGE_RCPT, BL_STARTTLS_HIDE);
    char input[100] = "";

    for (size_t i = 0; i < 5; i++)
        strcat(input, inputs[i]);
    for (size_t room = 0; room < 300; room++) {
        struct bl_smtp_answer result = answer(&script, input, strlen(input), room);
        size_t written = 0;
        size_t consumed = 0;
        size_t n;

        for (n = 0; n < 5 && written + strlen(replies[n]) <= room; n++) {
            written += strlen(replies[n]);
            consumed += strlen(inputs[n]);
        }
        ck_assert_uint_eq(result.written, written);
        ck_assert_uint_eq(result.consumed, consumed);
        ck_assert_int_eq(result.bounced, n > 2);
        ck_assert_int_eq(result.quit, n == 5);
        ck_assert(!result.partial);
    }
}
END_TEST

START_TEST(a_line_that_does_not_fit_holds_the_rest_back)
{
    struct bl_smtp_script script = script_of(BL_STAGE_RCPT, BL_STARTTLS_HIDE);
    struct bl_smtp_answer result = answer(&script, "RCPT x\r\nNOOP\r\nNO", 16, 20);

    /* NOOP's reply would fit, but it would come before the one of RCPT; and the part behind is not taken either. */
    ck_assert_uint_eq(result.written, 0);
    ck_assert_uint_eq(result.consumed, 0);
    ck_assert(!result.partial && !result.bounced);
}
END_TEST

START_TEST(greeting_and_denial_fit_or_are_not_there)
{
    struct bl_smtp_script script = script_of(BL_STAGE_RCPT, BL_STARTTLS_HIDE);
    const char *greeting = "220 mx.example.org ESMTP\r\n";
    char out[600];

    for (size_t room = 0; room < sizeof(out); room++) {
        char *exact = malloc(room != 0 ? room : 1);

        ck_assert_ptr_nonnull(exact);
        ck_assert_uint_eq(bl_smtp_greet(&script, exact, room), room < strlen(greeting) ? 0 : strlen(greeting));
        if (room >= strlen(greeting))
            ck_assert_mem_eq(exact, greeting, strlen(greeting));
        ck_assert_uint_eq(bl_smtp_deny(&script, exact, room), room < strlen(DENY) ? 0 : strlen(DENY));
        if (room >= strlen(DENY))
            ck_assert_mem_eq(exact, DENY, strlen(DENY));
        free(exact);
    }
}
END_TEST

START_TEST(address_and_ticket_wherever_the_url_says)
{
    static const struct {
        const char *url;
        const char *filled;
    } urls[] = {
        {"http://d.example/", "http://d.example/"},
        {"https://{address}", "https://2001:db8::7"},
        {"https://x/{address}/{address}", "https://x/2001:db8::7/2001:db8::7"},
        {"https://x/{address}?a={address}&z", "https://x/2001:db8::7?a=2001:db8::7&z"},
        {"https://x/?ip={address}&t={ticket}", "https://x/?ip=2001:db8::7&t=czssdtoz3j5i"},
        {"https://x/{ticket}{ticket}{address}", "https://x/czssdtoz3j5iczssdtoz3j5i2001:db8::7"},
        {"https://x/{tick}{", "https://x/{tick}{"}, /* no class has such a URL; it must do no harm */
    };

    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct bl_class other = {.code = 649, .action = BL_ACTION_REJECT};
        struct bl_smtp_script script = script_of(BL_STAGE_RCPT, BL_STARTTLS_HIDE);
        char expected[600];
        size_t written;

        strcpy(other.url, urls[i].url);
        script.class = &other;
        script.address = "2001:db8::7";
        script.ticket = "czssdtoz3j5i";
        written = bl_smtp_deny(&script, said, 536);
        said[written] = '\0';
        (void)snprintf(expected, sizeof(expected),
                       "550 5.7.649 Access denied, banned sending IP [2001:db8::7]; To request removal from this list "
                       "please visit %s and follow the directions.\r\n",
                       urls[i].filled);
        ck_assert_str_eq(said, expected);
    }
}
END_TEST

/* What bl_class_validate lets through must fit: the line under 512 bytes, in the smallest segment. */
START_TEST(the_longest_valid_class_fits)
{
    struct bl_class longest = {.code = 649, .action = BL_ACTION_REJECT};
    struct bl_smtp_script script = script_of(BL_STAGE_RCPT, BL_STARTTLS_HIDE);
    size_t written;

    strcpy(longest.url, "https://");
    for (size_t n = strlen(longest.url); n < BL_CLASS_URL_MAX; n++) {
        longest.url[n] = 'u';
        if (bl_class_validate(&longest, NULL) != BL_OK) {
            longest.url[n] = '\0';
            break;
        }
    }
    script.class = &longest;
    script.address = "2001:db8:1111:2222:3333:4444:5555:6666";
    written = bl_smtp_deny(&script, said, sizeof(said));
    ck_assert_uint_gt(written, 400);
    ck_assert_uint_lt(written, BL_CLASS_LINE_MAX);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("smtp");
    TCase *lines = tcase_create("lines");
    SRunner *runner;
    int n_failed;

    tcase_add_loop_test(lines, every_line_has_its_reply, 0, sizeof(rows) / sizeof(rows[0]));
    tcase_add_test(lines, a_nul_is_no_end_of_a_verb);
    tcase_add_test(lines, several_lines_in_order);
    tcase_add_test(lines, the_command_that_got_the_550_is_said);
    tcase_add_test(lines, what_follows_quit_is_taken_unanswered);
    tcase_add_test(lines, a_part_of_a_line_is_taken_unanswered);
    tcase_add_test(lines, what_does_not_fit_is_left);
    tcase_add_test(lines, a_line_that_does_not_fit_holds_the_rest_back);
    tcase_add_test(lines, greeting_and_denial_fit_or_are_not_there);
    tcase_add_test(lines, address_and_ticket_wherever_the_url_says);
    tcase_add_test(lines, the_longest_valid_class_fits);
    suite_add_tcase(suite, lines);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
