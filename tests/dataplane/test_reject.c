/* reject.c with all it calls: a row a rule of the dialogue and of its TCP, whole dialogues with a client, splits, resets.
 * Each answer is a finished frame and goes past the judge (answer_judge.h). */
#define _GNU_SOURCE /* memmem */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "bounceline/ticket.h"
#include "client.h"

#define GREETING "220 mx.example.org ESMTP\r\n"
#define DENY_START "550 5.7.606 Access denied, banned sending IP ["

static struct client client;
static struct exchange exchange;

static uint8_t family_of(int i)
{
    return i % 2 == 0 ? 4 : 6;
}

/* What a row says instead of an offset. */
enum { NO_COOKIE = -1, LAST_EPOCH = -2, TOO_OLD = -3, NO_ACK = -4 };

enum { F = FRAME_FIN, S = FRAME_SYN, R = FRAME_RST, P = FRAME_PSH, A = FRAME_ACK, U = FRAME_URG };

static const struct row {
    const char *name;
    int flags;
    int offset;
    const char *payload;
    int window;
    int reason;
    int out_flags;    /* 0: no answer */
    int acknowledged; /* counted from SEG.SEQ */
    const char *text; /* how the answer's payload starts */
} rows[] = {
    {"SYN", S, NO_ACK, "", 64240, BL_REASON_REJECT_SYN, S | A, 1, ""},
    {"SYN with window 0", S, NO_ACK, "", 0, BL_REASON_REJECT_SYN, S | A, 1, ""},
    {"SYN with data", S, NO_ACK, "EHLO x\r\n", 64240, BL_REASON_REJECT_SYN, S | A, 1, ""},
    {"SYN with ECN", S | 0xc0, NO_ACK, "", 64240, BL_REASON_REJECT_SYN, S | A, 1, ""},
    {"SYN with PSH and URG", S | P | U, NO_ACK, "", 64240, BL_REASON_REJECT_SYN, S | A, 1, ""},
    {"SYN-ACK", S | A, NO_COOKIE, "", 64240, BL_REASON_DROP_FLAGS, 0, 0, ""},
    {"SYN-ACK with our cookie", S | A, 0, "", 64240, BL_REASON_DROP_FLAGS, 0, 0, ""},
    {"SYN and FIN", S | F, NO_ACK, "", 64240, BL_REASON_DROP_FLAGS, 0, 0, ""},
    {"SYN and RST", S | R, NO_ACK, "", 64240, BL_REASON_DROP_FLAGS, 0, 0, ""},
    {"no flags", 0, 0, "", 64240, BL_REASON_DROP_FLAGS, 0, 0, ""},
    {"FIN without ACK", F, 5, "", 64240, BL_REASON_DROP_FLAGS, 0, 0, ""},
    {"FIN, PSH and URG", F | P | U, 5, "QUIT\r\n", 64240, BL_REASON_DROP_FLAGS, 0, 0, ""},
    {"data without ACK", P, 5, "QUIT\r\n", 64240, BL_REASON_DROP_FLAGS, 0, 0, ""},
    {"all flags", 0xff, 5, "QUIT\r\n", 64240, BL_REASON_DROP_FLAGS, 0, 0, ""},

    {"handshake ACK", A, 0, "", 64240, BL_REASON_REJECT_GREETING, P | A, 0, GREETING},
    {"handshake ACK of the last epoch", A, LAST_EPOCH, "", 64240, BL_REASON_REJECT_GREETING, P | A, 0, GREETING},
    {"handshake ACK too old", A, TOO_OLD, "", 64240, BL_REASON_PASS_ESTABLISHED, 0, 0, ""},
    {"window exactly for the greeting", A, 0, "", 26, BL_REASON_REJECT_GREETING, P | A, 0, GREETING},
    {"window one too small for it", A, 0, "", 25, BL_REASON_DROP_WINDOW, 0, 0, ""},
    {"window 0", A, 0, "", 0, BL_REASON_DROP_WINDOW, 0, 0, ""},
    {"talks first", P | A, 0, "EHLO x\r\n", 64240, BL_REASON_REJECT_GREETING, P | A, 0, GREETING},
    {"talks first, and closes", F | P | A, 0, "QUIT\r\n", 64240, BL_REASON_REJECT_GREETING, P | A, 0, GREETING},
    {"closes first", F | A, 0, "", 64240, BL_REASON_REJECT_FIN, F | A, 1, ""},
    {"pure ACK in the dialogue", A, 26, "", 64240, BL_REASON_REJECT_ACK, 0, 0, ""},
    {"pure ACK at the last offset", A, 65535, "", 64240, BL_REASON_REJECT_ACK, 0, 0, ""},
    {"ACK of an offset that is not ours", A, 65536, "", 64240, BL_REASON_PASS_ESTABLISHED, 0, 0, ""},
    {"ACK without a cookie", A, NO_COOKIE, "", 64240, BL_REASON_PASS_ESTABLISHED, 0, 0, ""},
    {"data without a cookie", P | A, NO_COOKIE, "RCPT TO:<c@d>\r\n", 64240, BL_REASON_PASS_ESTABLISHED, 0, 0, ""},
    {"FIN without a cookie", F | A, NO_COOKIE, "", 64240, BL_REASON_PASS_ESTABLISHED, 0, 0, ""},

    {"EHLO", P | A, 26, "EHLO x\r\n", 64240, BL_REASON_REJECT_COMMAND, P | A, 8, "250-mx.example.org\r\n250-SIZE\r\n"},
    {"HELO", P | A, 26, "HELO x\r\n", 64240, BL_REASON_REJECT_COMMAND, P | A, 8, "250 mx.example.org\r\n"},
    {"MAIL", P | A, 99, "MAIL FROM:<a@b>\r\n", 64240, BL_REASON_REJECT_COMMAND, P | A, 17, "250 2.1.0 Sender OK\r\n"},
    {"RCPT", P | A, 120, "RCPT TO:<c@d>\r\n", 64240, BL_REASON_REJECT_BOUNCE, P | A, 15, DENY_START},
    {"DATA", P | A, 300, "DATA\r\n", 64240, BL_REASON_REJECT_COMMAND, P | A, 6, "503 5.5.1 No valid recipients\r\n"},
    {"BDAT", P | A, 300, "BDAT 9\r\n", 64240, BL_REASON_REJECT_COMMAND, P | A, 8, "503 5.5.1 No valid recipients\r\n"},
    {"RSET", P | A, 300, "RSET\r\n", 64240, BL_REASON_REJECT_COMMAND, P | A, 6, "250 2.0.0 OK\r\n"},
    {"NOOP", P | A, 300, "NOOP\r\n", 64240, BL_REASON_REJECT_COMMAND, P | A, 6, "250 2.0.0 OK\r\n"},
    {"QUIT", P | A, 300, "QUIT\r\n", 64240, BL_REASON_REJECT_QUIT, F | P | A, 6, "221 2.0.0 Bye\r\n"},
    {"STARTTLS", P | A, 99, "STARTTLS\r\n", 64240, BL_REASON_REJECT_COMMAND, P | A, 10, "502 5.5.1 Command not "},
    {"unknown line", P | A, 99, "AUTH LOGIN\r\n", 64240, BL_REASON_REJECT_BOUNCE, P | A, 12, DENY_START},
    {"tail of a split command", P | A, 99, "OM:<a@b>\r\n", 64240, BL_REASON_REJECT_BOUNCE, P | A, 10, DENY_START},
    {"lone LF", P | A, 99, "\n", 64240, BL_REASON_REJECT_BOUNCE, P | A, 1, DENY_START},
    {"bare LF ends a line", P | A, 99, "NOOP\n", 64240, BL_REASON_REJECT_COMMAND, P | A, 5, "250 2.0.0 OK\r\n"},
    {"urgent data is data", P | A | U, 99, "NOOP\r\n", 64240, BL_REASON_REJECT_COMMAND, P | A, 6, "250 2.0.0 OK\r\n"},
    {"partial line", P | A, 99, "MAIL FR", 64240, BL_REASON_REJECT_PARTIAL, A, 7, ""},
    {"partial line, CR only", P | A, 99, "NOOP\r", 64240, BL_REASON_REJECT_PARTIAL, A, 5, ""},
    {"partial line, window 0", P | A, 99, "MAIL FR", 0, BL_REASON_REJECT_PARTIAL, A, 7, ""},
    {"line and partial line", P | A, 99, "NOOP\r\nMA", 64240, BL_REASON_REJECT_COMMAND, P | A, 8, "250 2.0.0 OK\r\n"},
    {"window for one reply of two", P | A, 99, "NOOP\r\nNOOP\r\n", 27, BL_REASON_REJECT_COMMAND, P | A, 6,
     "250 2.0.0 OK\r\n"},
    {"window for no reply", P | A, 99, "NOOP\r\nNOOP\r\n", 13, BL_REASON_DROP_WINDOW, 0, 0, ""},
    {"what follows QUIT", P | A, 99, "QUIT\r\nNOOP\r\n", 64240, BL_REASON_REJECT_QUIT, F | P | A, 12,
     "221 2.0.0 Bye\r\n"},

    {"FIN", F | A, 300, "", 64240, BL_REASON_REJECT_FIN, F | A, 1, ""},
    {"FIN with window 0", F | A, 300, "", 0, BL_REASON_REJECT_FIN, F | A, 1, ""},
    {"FIN with a line", F | P | A, 300, "NOOP\r\n", 64240, BL_REASON_REJECT_COMMAND, F | P | A, 7, "250 2.0.0 OK\r\n"},
    {"FIN with QUIT", F | P | A, 300, "QUIT\r\n", 64240, BL_REASON_REJECT_QUIT, F | P | A, 7, "221 2.0.0 Bye\r\n"},
    {"FIN with a partial line", F | P | A, 300, "QUI", 64240, BL_REASON_REJECT_FIN, F | A, 4, ""},
    {"FIN behind lines that do not fit", F | P | A, 99, "NOOP\r\nNOOP\r\n", 20, BL_REASON_REJECT_COMMAND, P | A, 6,
     "250 2.0.0 OK\r\n"},
    {"RST", R, NO_ACK, "", 0, BL_REASON_PASS_ESTABLISHED, 0, 0, ""},
    {"RST,ACK of another connection", R | A, NO_COOKIE, "", 0, BL_REASON_PASS_ESTABLISHED, 0, 0, ""},
    {"RST,ACK at offset 0", R | A, 0, "", 0, BL_REASON_REJECT_RST, 0, 0, ""},
    {"RST,ACK in the dialogue", R | A, 300, "", 0, BL_REASON_REJECT_RST, 0, 0, ""},
    {"RST with data", R | A | P, 300, "QUIT\r\n", 64240, BL_REASON_REJECT_RST, 0, 0, ""},
    {"RST and FIN", R | A | F, 300, "", 64240, BL_REASON_REJECT_RST, 0, 0, ""},

    {"offset 60000", P | A, 60000, "NOOP\r\n", 64240, BL_REASON_REJECT_COMMAND, P | A, 6, "250 2.0.0 OK\r\n"},
    {"beyond 60000", P | A, 60001, "NOOP\r\nNOOP\r\n", 64240, BL_REASON_REJECT_BOUNCE, F | P | A, 12, DENY_START},
    {"beyond 60000, partial line", P | A, 65535, "NO", 64240, BL_REASON_REJECT_BOUNCE, F | P | A, 2, DENY_START},
    {"beyond 60000, FIN", F | A, 60001, "", 64240, BL_REASON_REJECT_FIN, F | A, 1, ""},
    {"beyond 60000, FIN with data", F | P | A, 60001, "QUIT\r\n", 64240, BL_REASON_REJECT_BOUNCE, F | P | A, 7,
     DENY_START},
    {"beyond 60000, small window", P | A, 60001, "NOOP\r\n", 100, BL_REASON_DROP_WINDOW, 0, 0, ""},
};

enum { N_ROWS = sizeof(rows) / sizeof(rows[0]) };

static uint32_t acknowledgement_of(const struct row *row, const struct frame_spec *spec)
{
    switch (row->offset) {
    case NO_ACK:
        return 0;
    case NO_COOKIE:
        return exchange_isn(&exchange, spec, exchange.now_s) - 1000;
    case LAST_EPOCH:
        return exchange_isn(&exchange, spec, exchange.now_s - 1024) + 1;
    case TOO_OLD:
        return exchange_isn(&exchange, spec, exchange.now_s - 2048) + 1;
    default:
        return exchange_isn(&exchange, spec, exchange.now_s) + 1 + (uint32_t)row->offset;
    }
}

static void set_up(void)
{
    exchange_init(&exchange);
}

/* Runs the frame of the row; the judge has to agree, and the answer to be what the row says. */
static void run_row(const struct row *row, struct frame_spec *spec)
{
    const char *wrong;

    spec->flags = (uint8_t)row->flags;
    spec->window = (uint16_t)row->window;
    spec->payload = (const uint8_t *)row->payload;
    spec->payload_bytes = strlen(row->payload);
    spec->acknowledgement = acknowledgement_of(row, spec);
    wrong = exchange_run(&exchange, exchange.frame, frame_build(spec, exchange.frame));
    ck_assert_msg(wrong == NULL, "%s: %s", row->name, wrong);
    ck_assert_msg((int)exchange.reason == row->reason, "%s: %s", row->name, bl_verdict_reason_name(exchange.reason));
    ck_assert_msg((exchange.out_bytes != 0) == (row->out_flags != 0), "%s: %zu bytes out", row->name,
                  exchange.out_bytes);
    if (row->out_flags == 0)
        return;
    ck_assert_msg(exchange.view.flags == row->out_flags, "%s: flags 0x%02x", row->name, exchange.view.flags);
    ck_assert_uint_eq(exchange.view.acknowledgement, spec->sequence + (uint32_t)row->acknowledged);
    ck_assert_uint_eq(exchange.view.window, 8192);
    if ((row->flags & FRAME_ACK) != 0)
        ck_assert_uint_eq(exchange.view.sequence, spec->acknowledgement);
    ck_assert_msg(strncmp(exchange_payload(&exchange), row->text, strlen(row->text)) == 0, "%s", row->name);
    ck_assert_msg((exchange.view.payload_bytes != 0) == (row->text[0] != '\0'), "%s", row->name);
}

START_TEST(every_rule)
{
    struct frame_spec spec = frame_spec_init(family_of(_i));

    run_row(&rows[_i / 2], &spec);
}
END_TEST

/* The same with tags, options and extension headers, padding, and numbers that wrap around in the segment. */
START_TEST(every_rule_whatever_is_around_it)
{
    struct frame_spec spec = frame_spec_init(family_of(_i));

    spec.n_tags = 2;
    spec.tags[0] = 0x88a8;
    spec.tags[1] = 0x8100;
    spec.ip_options_bytes = 40;
    spec.n_extensions = 8;
    memset(spec.extensions, 60, 8);
    spec.tcp_options_bytes = 40;
    spec.padding_bytes = 7;
    spec.sequence = 0xffffffff;
    run_row(&rows[_i / 2], &spec);
}
END_TEST

START_TEST(the_550_names_address_code_and_url)
{
    static const char *const expected[] = {
        "550 5.7.606 Access denied, banned sending IP [192.0.2.7]; To request removal from this list please visit "
        "https://delist.example.net/?ip=192.0.2.7 and follow the directions.\r\n",
        "550 5.7.606 Access denied, banned sending IP [2001:db8::7]; To request removal from this list please visit "
        "https://delist.example.net/?ip=2001:db8::7 and follow the directions.\r\n"};

    client_connect(&client, family_of(_i));
    client_send_line(&client, "RCPT TO:<c@d>\r\n");
    ck_assert_str_eq(client_last_line(&client), expected[_i]);
}
END_TEST

START_TEST(a_whole_dialogue)
{
    client_connect(&client, family_of(_i));
    client_send_line(&client, "EHLO mail.example.com\r\n");
    ck_assert_str_eq(client_last_line(&client), "250 ENHANCEDSTATUSCODES\r\n");
    ck_assert_uint_eq(client_count(&client, "250-PIPELINING") + client_count(&client, "250-CHUNKING"), 0);
    client_send_line(&client, "MAIL FROM:<a@b>\r\n");
    ck_assert_str_eq(client_last_line(&client), "250 2.1.0 Sender OK\r\n");
    client_send_line(&client, "RCPT TO:<c@d>\r\n");
    ck_assert(strncmp(client_last_line(&client), DENY_START, strlen(DENY_START)) == 0);
    ck_assert(!client.peer_closed);
    client_send_line(&client, "QUIT\r\n");
    ck_assert_str_eq(client_last_line(&client), "221 2.0.0 Bye\r\n");
    ck_assert(client.peer_closed);
    client_close(&client);
}
END_TEST

START_TEST(stage_mail_says_it_at_mail)
{
    client_connect(&client, family_of(_i));
    client.exchange.rules.stage = BL_STAGE_MAIL;
    client_send_line(&client, "EHLO x\r\n");
    ck_assert_uint_eq(client_count(&client, "550"), 0);
    client_send_line(&client, "MAIL FROM:<a@b>\r\n");
    ck_assert_uint_eq(client_count(&client, DENY_START), 1);
}
END_TEST

START_TEST(starttls_refuse_offers_and_refuses)
{
    client_connect(&client, family_of(_i));
    client.exchange.rules.starttls = BL_STARTTLS_REFUSE;
    client_send_line(&client, "EHLO x\r\n");
    ck_assert_uint_eq(client_count(&client, "250-STARTTLS\r\n"), 1);
    client_send_line(&client, "STARTTLS\r\n");
    ck_assert_uint_eq(client_count(&client, DENY_START), 1);
}
END_TEST

/* Every command cut at every byte: the part is acknowledged, the tail ends in the 550. */
START_TEST(a_command_split_anywhere)
{
    static const char *const commands[] = {"EHLO x\r\n", "MAIL FROM:<a@b>\r\n", "RCPT TO:<c@d>\r\n"};

    for (size_t i = 0; i < 3; i++) {
        size_t length = strlen(commands[i]);

        for (size_t cut = 1; cut < length; cut++) {
            client_connect(&client, family_of(_i));
            for (size_t before = 0; before < i; before++)
                client_send_line(&client, commands[before]);
            client_send(&client, commands[i], cut);
            ck_assert_uint_eq(client_count(&client, "550"), 0);
            client_send(&client, commands[i] + cut, length - cut);
            ck_assert_uint_eq(client_count(&client, DENY_START), 1);
            ck_assert(strncmp(client_last_line(&client), "550", 3) == 0);
        }
    }
}
END_TEST

START_TEST(a_command_byte_by_byte)
{
    const char *command = "MAIL FROM:<a@b>\r\n";

    client_connect(&client, family_of(_i));
    for (size_t at = 0; at < strlen(command); at++)
        client_send(&client, command + at, 1);
    ck_assert_uint_eq(client_count(&client, DENY_START), 1);
}
END_TEST

START_TEST(recipients_by_the_dozen)
{
    client_connect(&client, family_of(_i));
    client_send_line(&client, "EHLO x\r\n");
    client_send_line(&client, "MAIL FROM:<a@b>\r\n");
    for (unsigned n = 1; n <= 150; n++) {
        client_send_line(&client, "RCPT TO:<someone@example.org>\r\n");
        ck_assert_uint_eq(client_count(&client, DENY_START), n);
    }
    ck_assert(!client.peer_closed);
    client_send_line(&client, "QUIT\r\n");
    ck_assert(client.peer_closed);
    client_close(&client);
}
END_TEST

/* A dialogue that would run out of our sequence numbers is ended, not left alone. */
START_TEST(recipients_without_end)
{
    unsigned n = 0;

    client_connect(&client, family_of(_i));
    while (!client.peer_closed) {
        ck_assert_uint_lt(n, 1000);
        client_send_line(&client, "RCPT TO:<someone@example.org>\r\n");
        ck_assert_uint_eq(client_count(&client, DENY_START), ++n);
    }
    ck_assert_uint_gt(client.n_received, 60000);
    client_close(&client);
}
END_TEST

START_TEST(five_commands_in_one_segment)
{
    client_connect(&client, family_of(_i));
    client_send_line(&client, "EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nQUIT\r\n");
    ck_assert_uint_eq(client_count(&client, "250 ENHANCED"), 1);
    ck_assert_uint_eq(client_count(&client, "250 2.1.0"), 1);
    ck_assert_uint_eq(client_count(&client, DENY_START), 1);
    ck_assert_uint_eq(client_count(&client, "503"), 1);
    ck_assert_str_eq(client_last_line(&client), "221 2.0.0 Bye\r\n");
    ck_assert(client.peer_closed);
    client_close(&client);
}
END_TEST

/* More than fits in a segment or in the window: the client sends the rest again, and no reply is lost or repeated. */
START_TEST(more_commands_than_fit)
{
    static const uint16_t windows[] = {65535, 1460, 300, 200};
    char many[1000] = "";

    for (unsigned n = 0; n < 20; n++)
        strcat(many, "RCPT TO:<c@d>\r\nNOOP\r\n");
    for (size_t i = 0; i < 4; i++) {
        client_connect(&client, family_of(_i));
        client.spec.window = windows[i];
        client_send_line(&client, many);
        ck_assert_uint_eq(client_count(&client, DENY_START), 20);
        ck_assert_uint_eq(client_count(&client, "250 2.0.0 OK"), 20);
        ck_assert_uint_eq(client_count(&client, ""), 41);
    }
}
END_TEST

START_TEST(a_lost_answer_comes_again_the_same)
{
    static uint8_t first[BL_SEGMENT_FRAME_MAX];
    size_t first_bytes;

    for (unsigned i = 0; i < N_ROWS; i++) {
        struct frame_spec spec = frame_spec_init(family_of(_i));

        run_row(&rows[i], &spec);
        first_bytes = exchange.out_bytes;
        memcpy(first, exchange.out, first_bytes);
        run_row(&rows[i], &spec);
        ck_assert_uint_eq(exchange.out_bytes, first_bytes);
        ck_assert_mem_eq(exchange.out, first, first_bytes);
    }
}
END_TEST

START_TEST(what_must_get_no_answer)
{
    static const char *const ip4[] = {"\x00\x00\x00\x00", "\x00\x01\x02\x03", "\x7f\x00\x00\x01", "\xa9\xfe\x01\x01",
                                      "\xe0\x00\x00\x01", "\xef\xff\xff\xff", "\xf0\x00\x00\x01", "\xff\xff\xff\xff"};
    static const char *const ip6[] = {"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01",
                                      "\xff\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", "\xff\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
                                      "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\x02\x07"};
    size_t n = _i == 0 ? sizeof(ip4) / sizeof(ip4[0]) : sizeof(ip6) / sizeof(ip6[0]);
    size_t bytes = _i == 0 ? 4 : 16;

    for (size_t i = 0; i < 4 * n; i++) {
        struct frame_spec spec = frame_spec_init(family_of(_i));
        const char *address = _i == 0 ? ip4[i % n] : ip6[i % n];

        exchange.classes[EXCHANGE_CLASS].action = i >= 2 * n ? BL_ACTION_RESET : BL_ACTION_REJECT;
        spec.flags = FRAME_SYN;
        memcpy(i / n % 2 != 0 ? spec.destination : spec.source, address, bytes);
        ck_assert_ptr_null(exchange_run(&exchange, exchange.frame, frame_build(&spec, exchange.frame)));
        ck_assert_int_eq(exchange.reason, BL_REASON_DROP_UNANSWERABLE);
        ck_assert_uint_eq(exchange.out_bytes, 0);
    }
}
END_TEST

START_TEST(no_answer_to_oneself_or_a_group)
{
    struct frame_spec specs[3];

    for (unsigned i = 0; i < 3; i++) {
        specs[i] = frame_spec_init(family_of(_i));
        specs[i].flags = FRAME_SYN;
    }
    memcpy(specs[0].source, specs[0].destination, 16);
    memset(specs[1].destination_mac, 0xff, 6);
    specs[2].source_mac[0] = 0x01;
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_ptr_null(exchange_run(&exchange, exchange.frame, frame_build(&specs[i], exchange.frame)));
        ck_assert_int_eq(exchange.reason, BL_REASON_DROP_UNANSWERABLE);
    }
}
END_TEST

START_TEST(reset_for_every_kind_of_segment)
{
    static const struct {
        int flags;
        const char *payload;
        int reason;
        bool answered;
    } resets[] = {
        {S, "", BL_REASON_RESET_ACTION, true},     {S, "data", BL_REASON_RESET_ACTION, true},
        {A, "", BL_REASON_RESET_ACTION, true},     {P | A, "data", BL_REASON_RESET_ACTION, true},
        {F | A, "", BL_REASON_RESET_ACTION, true}, {F | P | A, "data", BL_REASON_RESET_ACTION, true},
        {R, "", BL_REASON_RESET_ACTION, false},    {R | A, "", BL_REASON_RESET_ACTION, false},
        {S | A, "", BL_REASON_DROP_FLAGS, false},  {S | F, "", BL_REASON_DROP_FLAGS, false},
        {0, "", BL_REASON_DROP_FLAGS, false},      {F, "", BL_REASON_DROP_FLAGS, false},
    };

    exchange.classes[EXCHANGE_CLASS].action = BL_ACTION_RESET;
    for (size_t i = 0; i < sizeof(resets) / sizeof(resets[0]); i++) {
        struct frame_spec spec = frame_spec_init(family_of(_i));

        spec.flags = (uint8_t)resets[i].flags;
        spec.acknowledgement = 0x87654321;
        spec.sequence = 0xfffffffe;
        spec.payload = (const uint8_t *)resets[i].payload;
        spec.payload_bytes = strlen(resets[i].payload);
        ck_assert_ptr_null(exchange_run(&exchange, exchange.frame, frame_build(&spec, exchange.frame)));
        ck_assert_int_eq(exchange.reason, resets[i].reason);
        ck_assert_int_eq(exchange.out_bytes != 0, resets[i].answered);
        if (!resets[i].answered)
            continue;
        ck_assert_uint_eq(exchange.view.flags, R | A);
        ck_assert_uint_eq(exchange.view.window, 0);
        ck_assert_uint_eq(exchange.view.sequence, (spec.flags & A) != 0 ? 0x87654321 : 0);
    }
}
END_TEST

/* What ends a connection that is not ours at the server, and a server's challenge to that. */
START_TEST(the_server_is_reset_at_its_own_numbers)
{
    static const struct {
        int flags;
        size_t payload_bytes;
        bool challenged;
    } from_server[] = {
        {A, 0, true},  {A | U, 0, true}, {P | A, 0, true},  {A, 5, false},     {S | A, 0, false},
        {S, 0, false}, {R, 0, false},    {R | A, 0, false}, {F | A, 0, false}, {0, 0, false},
    };
    struct frame_spec spec = frame_spec_init(family_of(_i));
    struct bl_packet packet;
    struct bl_reply reply;

    spec.sequence = 0xfffffffe;
    spec.acknowledgement = 0x87654321;
    for (size_t i = 0; i < sizeof(from_server) / sizeof(from_server[0]); i++) {
        spec.flags = (uint8_t)from_server[i].flags;
        spec.payload = (const uint8_t *)"12345";
        spec.payload_bytes = from_server[i].payload_bytes;
        bl_parse_frame(exchange.frame, frame_build(&spec, exchange.frame), &packet);
        memset(&reply, 0xa5, sizeof(reply));
        ck_assert_msg(bl_reject_reset_challenge(&packet, &reply) == from_server[i].challenged, "row %zu", i);
        ck_assert_uint_eq(reply.flags, from_server[i].challenged ? R : 0);
        if (!from_server[i].challenged)
            continue;
        ck_assert(!reply.onward);
        ck_assert_uint_eq(reply.sequence, 0x87654321);
        ck_assert_uint_eq(reply.acknowledgement + reply.window + reply.payload_bytes + reply.mss, 0);
    }
    memset(&reply, 0xa5, sizeof(reply));
    bl_reject_reset_onward(&packet, &reply);
    ck_assert(reply.onward);
    ck_assert_uint_eq(reply.flags, R);
    ck_assert_uint_eq(reply.sequence, 0xfffffffe);
    ck_assert_uint_eq(reply.acknowledgement + reply.window + reply.payload_bytes + reply.mss, 0);
}
END_TEST

START_TEST(the_550_carries_the_ticket_of_the_day)
{
    struct bl_class *class = &exchange.classes[EXCHANGE_CLASS];
    struct frame_spec spec = frame_spec_init(family_of(_i));
    struct bl_address address = {.family = spec.family};
    char url[BL_CLASS_URL_MAX];
    char ticket[BL_TICKET_TEXT_MAX];
    struct bl_prefix unit;

    exchange.rules.ticket_key = (struct bl_siphash_key){3, 4};
    exchange.rules.ipv6_unit = 56;
    strcpy(class->url, "https://delist.example.net/?t={ticket}");
    spec.flags = P | A;
    spec.payload = (const uint8_t *)"RCPT TO:<a@b>\r\n";
    spec.payload_bytes = strlen("RCPT TO:<a@b>\r\n");
    spec.acknowledgement = exchange_isn(&exchange, &spec, exchange.now_s) + 100;
    memcpy(address.bytes, spec.source, spec.family == 4 ? 4 : 16);
    unit = bl_ticket_unit(&address, 56);
    bl_ticket_make(&exchange.rules.ticket_key, &unit, exchange.now_s / 86400, ticket);
    (void)snprintf(url, sizeof(url), " https://delist.example.net/?t=%s ", ticket);
    ck_assert_int_eq(exchange_receive(&exchange, exchange.frame, frame_build(&spec, exchange.frame)),
                     BL_REASON_REJECT_BOUNCE);
    ck_assert_ptr_nonnull(memmem(exchange.out, exchange.out_bytes, url, strlen(url)));
    /* Without a key there is none; the line is whole all the same. */
    memset(&exchange.rules.ticket_key, 0, sizeof(exchange.rules.ticket_key));
    (void)exchange_receive(&exchange, exchange.frame, frame_build(&spec, exchange.frame));
    ck_assert_ptr_nonnull(memmem(exchange.out, exchange.out_bytes, "?t= and follow", strlen("?t= and follow")));
}
END_TEST

START_TEST(rules_that_are_refused)
{
    static const char *const bad[] = {"",     ".",    "mx.",    ".mx",        "a..b",         "-a.b",      "a-.b",
                                      "a.-b", "a.b-", "mx org", "mx\r\n250 ", "mx_1.example", "m\xc3\xbc", "mx;x"};
    static const char *const good[] = {"mx", "mx.example.org", "a-b.c--d.e1", "1.2.3.4", "MX.EXAMPLE.ORG"};
    struct bl_error_detail detail;
    struct bl_reject_rules rules;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        rules = exchange.rules;
        strcpy(rules.hostname, bad[i]);
        detail.text[0] = '\0';
        ck_assert_int_eq(bl_reject_rules_validate(&rules, &detail), BL_EINVAL);
        ck_assert_ptr_nonnull(strstr(detail.text, "hostname"));
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        rules = exchange.rules;
        strcpy(rules.hostname, good[i]);
        ck_assert_int_eq(bl_reject_rules_validate(&rules, NULL), BL_OK);
    }
    rules = exchange.rules;
    memset(rules.hostname, 'a', sizeof(rules.hostname)); /* not even an end */
    ck_assert_int_eq(bl_reject_rules_validate(&rules, &detail), BL_EINVAL);
    rules.hostname[64] = '\0';
    ck_assert_int_eq(bl_reject_rules_validate(&rules, &detail), BL_EINVAL);
    rules.hostname[63] = '\0';
    ck_assert_int_eq(bl_reject_rules_validate(&rules, &detail), BL_OK);
    rules = exchange.rules;
    rules.cookie_key = (struct bl_siphash_key){0, 0};
    ck_assert_int_eq(bl_reject_rules_validate(&rules, &detail), BL_EINVAL);
    rules = exchange.rules;
    rules.stage = 2;
    ck_assert_int_eq(bl_reject_rules_validate(&rules, &detail), BL_EINVAL);
    rules = exchange.rules;
    rules.starttls = 2;
    ck_assert_int_eq(bl_reject_rules_validate(&rules, &detail), BL_EINVAL);
}
END_TEST

#ifdef __SANITIZE_ADDRESS__
enum { N_GUESSES = 200000 };
#else
enum { N_GUESSES = 1000000 };
#endif

/* Data with a random acknowledgement number: 2 * 65536 / 2^32 of a million guesses, 30.5, prove a cookie (6 sigma is 33),
 * and each of these buys one line. */
START_TEST(a_million_blind_guesses)
{
    static const char line[] = "RCPT TO:<b@y.example>\r\n";
    struct frame_spec spec = frame_spec_init(family_of(_i));
    uint64_t random = 25;
    uint64_t in_bytes = 0;
    uint64_t out_bytes = 0;
    unsigned n_answered = 0;

    spec.flags = A | P;
    spec.payload = (const uint8_t *)line;
    spec.payload_bytes = sizeof(line) - 1;
    for (unsigned n = 0; n < N_GUESSES; n++) {
        size_t length;

        random = random * 6364136223846793005 + 1442695040888963407;
        spec.acknowledgement = (uint32_t)(random >> 32);
        spec.sequence = (uint32_t)(random >> 7);
        spec.source_port = (uint16_t)(random >> 13);
        length = frame_build(&spec, exchange.frame);
        in_bytes += length;
        (void)exchange_receive(&exchange, exchange.frame, length);
        if (exchange.out_bytes == 0)
            continue;
        n_answered++;
        out_bytes += exchange.out_bytes;
        ck_assert_uint_lt(exchange.out_bytes, 14 + 40 + 20 + BL_CLASS_LINE_MAX);
        ck_assert_ptr_null(exchange_run(&exchange, exchange.frame, length));
    }
    ck_assert_uint_gt(n_answered, 0);
    ck_assert_uint_lt(n_answered, 64);
    ck_assert_uint_lt(out_bytes * 5000, in_bytes);
}
END_TEST

/* The longest name that is let through still leaves every reply whole in the smallest segment. */
START_TEST(the_longest_name_fits)
{
    client_connect(&client, family_of(_i));
    client.exchange.rules.starttls = BL_STARTTLS_REFUSE;
    memset(client.exchange.rules.hostname, 'a', 253);
    for (unsigned i = 63; i < 253; i += 64)
        client.exchange.rules.hostname[i] = '.';
    client.exchange.rules.hostname[253] = '\0';
    ck_assert_int_eq(bl_reject_rules_validate(&client.exchange.rules, NULL), BL_OK);
    client_send_line(&client, "EHLO x\r\n");
    ck_assert_str_eq(client_last_line(&client), "250 ENHANCEDSTATUSCODES\r\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reject");
    TCase *rules = tcase_create("rules");
    TCase *dialogues = tcase_create("dialogues");
    SRunner *runner;
    int n_failed;

    tcase_add_checked_fixture(rules, set_up, NULL);
    tcase_add_loop_test(rules, every_rule, 0, 2 * N_ROWS);
    tcase_add_loop_test(rules, every_rule_whatever_is_around_it, 0, 2 * N_ROWS);
    tcase_add_loop_test(rules, a_lost_answer_comes_again_the_same, 0, 2);
    tcase_add_loop_test(rules, what_must_get_no_answer, 0, 2);
    tcase_add_loop_test(rules, no_answer_to_oneself_or_a_group, 0, 2);
    tcase_add_loop_test(rules, reset_for_every_kind_of_segment, 0, 2);
    tcase_add_loop_test(rules, the_server_is_reset_at_its_own_numbers, 0, 2);
    tcase_add_loop_test(rules, the_550_carries_the_ticket_of_the_day, 0, 2);
    tcase_add_loop_test(rules, a_million_blind_guesses, 0, 2);
    tcase_add_test(rules, rules_that_are_refused);
    tcase_add_loop_test(dialogues, the_550_names_address_code_and_url, 0, 2);
    tcase_add_loop_test(dialogues, a_whole_dialogue, 0, 2);
    tcase_add_loop_test(dialogues, stage_mail_says_it_at_mail, 0, 2);
    tcase_add_loop_test(dialogues, starttls_refuse_offers_and_refuses, 0, 2);
    tcase_add_loop_test(dialogues, a_command_split_anywhere, 0, 2);
    tcase_add_loop_test(dialogues, a_command_byte_by_byte, 0, 2);
    tcase_add_loop_test(dialogues, recipients_by_the_dozen, 0, 2);
    tcase_add_loop_test(dialogues, recipients_without_end, 0, 2);
    tcase_add_loop_test(dialogues, five_commands_in_one_segment, 0, 2);
    tcase_add_loop_test(dialogues, more_commands_than_fit, 0, 2);
    tcase_add_loop_test(dialogues, the_longest_name_fits, 0, 2);
    suite_add_tcase(suite, rules);
    suite_add_tcase(suite, dialogues);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
