/** @file smtp_oracle.h
 * What the dialogue has to say, written down a second time from the rules' table and with other means than smtp.c:
 * whole replies by snprintf. Slow and plain. */
#ifndef BL_TEST_SMTP_ORACLE_H
#define BL_TEST_SMTP_ORACLE_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "bounceline/class.h"
#include "bounceline/settings.h"

struct smtp_oracle {
    const char *hostname;
    const struct bl_class *class;
    const char *address;
    const char *ticket;
    int stage;
    int starttls;
};

enum { SMTP_ORACLE_LINE_MAX = 1024 };

/** The 550 with everything filled in. */
static inline void smtp_oracle_deny(const struct smtp_oracle *oracle, char *out)
{
    char url[SMTP_ORACLE_LINE_MAX] = "";
    const char *from = oracle->class->url;

    while (*from != '\0') {
        size_t n = strlen(url);

        if (strncmp(from, "{address}", 9) == 0) {
            (void)snprintf(url + n, sizeof(url) - n, "%s", oracle->address);
            from += 9;
        } else if (strncmp(from, "{ticket}", 8) == 0) {
            (void)snprintf(url + n, sizeof(url) - n, "%s", oracle->ticket);
            from += 8;
        } else {
            url[n] = *from++;
            url[n + 1] = '\0';
        }
    }
    (void)snprintf(out, SMTP_ORACLE_LINE_MAX,
                   "550 5.7.%u Access denied, banned sending IP [%s]; To request removal from this list please visit "
                   "%.600s and follow the directions.\r\n",
                   oracle->class->code, oracle->address, url);
}

static inline void smtp_oracle_greeting(const struct smtp_oracle *oracle, char *out)
{
    (void)snprintf(out, SMTP_ORACLE_LINE_MAX, "220 %s ESMTP\r\n", oracle->hostname);
}

/** True when the line (without LF) begins with the verb: up to its end, a CR at the end, a space or a colon. */
static inline bool smtp_oracle_is(const char *line, size_t length, const char *verb)
{
    size_t n = strlen(verb);

    if (length > 0 && line[length - 1] == '\r')
        length--;
    if (length < n || strncasecmp(line, verb, n) != 0)
        return false;
    return length == n || line[n] == ' ' || line[n] == ':';
}

/** The reply to one line, given without its LF. @return true when it is the answer to QUIT. */
static inline bool smtp_oracle_reply(const struct smtp_oracle *oracle, const char *line, size_t length, char *out)
{
    const size_t max = SMTP_ORACLE_LINE_MAX;

    if (smtp_oracle_is(line, length, "EHLO"))
        (void)snprintf(out, max, "250-%s\r\n250-SIZE\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n%s250 %s\r\n",
                       oracle->hostname, oracle->starttls == BL_STARTTLS_REFUSE ? "250-STARTTLS\r\n" : "",
                       "ENHANCEDSTATUSCODES");
    else if (smtp_oracle_is(line, length, "HELO"))
        (void)snprintf(out, max, "250 %s\r\n", oracle->hostname);
    else if (smtp_oracle_is(line, length, "MAIL") && oracle->stage == BL_STAGE_RCPT)
        (void)snprintf(out, max, "250 2.1.0 Sender OK\r\n");
    else if (smtp_oracle_is(line, length, "DATA") || smtp_oracle_is(line, length, "BDAT"))
        (void)snprintf(out, max, "503 5.5.1 No valid recipients\r\n");
    else if (smtp_oracle_is(line, length, "RSET") || smtp_oracle_is(line, length, "NOOP"))
        (void)snprintf(out, max, "250 2.0.0 OK\r\n");
    else if (smtp_oracle_is(line, length, "QUIT"))
        (void)snprintf(out, max, "221 2.0.0 Bye\r\n");
    else if (smtp_oracle_is(line, length, "STARTTLS") && oracle->starttls == BL_STARTTLS_HIDE)
        (void)snprintf(out, max, "502 5.5.1 Command not implemented\r\n");
    else
        smtp_oracle_deny(oracle, out);
    return smtp_oracle_is(line, length, "QUIT");
}

/** The answer to a whole input in @p room bytes. @p out takes room + SMTP_ORACLE_LINE_MAX. */
struct smtp_oracle_answer {
    size_t written;
    size_t consumed;
    bool quit;
};

static inline struct smtp_oracle_answer smtp_oracle_answer(const struct smtp_oracle *oracle, const char *input,
                                                           size_t length, size_t room, char *out)
{
    struct smtp_oracle_answer answer = {0};
    size_t start = 0;

    for (size_t i = 0; i < length && !answer.quit; i++) {
        char reply[SMTP_ORACLE_LINE_MAX];

        if (input[i] != '\n')
            continue;
        answer.quit = smtp_oracle_reply(oracle, input + start, i - start, reply);
        if (answer.written + strlen(reply) > room) {
            answer.quit = false;
            answer.consumed = start;
            return answer;
        }
        memcpy(out + answer.written, reply, strlen(reply));
        answer.written += strlen(reply);
        start = i + 1;
    }
    answer.consumed = length;
    return answer;
}

#endif
