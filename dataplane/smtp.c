/* The lines of one segment to the lines of its answer; see smtp.h.
 *
 * All answers are constants but for five words: our name, the code, the source's address, its ticket and the class's
 * URL. What the peer sent is compared with verbs and counted, never copied. A reply that does not fit is taken back
 * whole, and what it would have answered stays unconsumed: the peer's TCP sends it again. */
#include "dataplane/smtp.h"

#include <string.h>

#include "bounceline/settings.h"

/* The answer as it grows. Once something did not fit, `full` stays true until the answer is taken back. */
struct writer {
    char *out;
    size_t length;
    size_t room;
    bool full;
};

enum verb {
    VERB_OTHER,
    VERB_EHLO,
    VERB_HELO,
    VERB_MAIL,
    VERB_RCPT,
    VERB_DATA,
    VERB_RSET,
    VERB_NOOP,
    VERB_QUIT,
    VERB_STARTTLS,
};

enum { VERB_BYTES_MAX = 8 };

static const struct {
    char name[VERB_BYTES_MAX + 1];
    uint8_t verb; /* enum verb */
} verbs[] = {
    /* in the order in which a sender of many recipients says them */
    {"RCPT", VERB_RCPT}, {"MAIL", VERB_MAIL}, {"EHLO", VERB_EHLO}, {"HELO", VERB_HELO}, {"QUIT", VERB_QUIT},
    {"RSET", VERB_RSET}, {"NOOP", VERB_NOOP}, {"DATA", VERB_DATA}, {"BDAT", VERB_DATA}, {"STARTTLS", VERB_STARTTLS},
};

static const char reply_sender_ok[] = "250 2.1.0 Sender OK\r\n";
static const char reply_no_recipients[] = "503 5.5.1 No valid recipients\r\n";
static const char reply_ok[] = "250 2.0.0 OK\r\n";
static const char reply_bye[] = "221 2.0.0 Bye\r\n";
static const char reply_not_implemented[] = "502 5.5.1 Command not implemented\r\n";

/* PIPELINING and CHUNKING are never offered: with two segments in flight our answers would overlap. */
static const char extensions[] = "\r\n250-SIZE\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n";
static const char extension_starttls[] = "250-STARTTLS\r\n";
static const char extension_last[] = "250 ENHANCEDSTATUSCODES\r\n";

/* The only place that writes. */
static void put(struct writer *writer, const char *text, size_t length)
{
    if (writer->full || length > writer->room - writer->length) {
        writer->full = true;
        return;
    }
    memcpy(writer->out + writer->length, text, length);
    writer->length += length;
}

static void put_text(struct writer *writer, const char *text)
{
    put(writer, text, strlen(text));
}

static void put_code(struct writer *writer, uint16_t code)
{
    const char digits[3] = {(char)('0' + code / 100 % 10), (char)('0' + code / 10 % 10), (char)('0' + code % 10)};

    put(writer, digits, sizeof(digits));
}

/* @return what takes the place of the placeholder at @brace, and *length, the placeholder's; a brace stands for itself
 * where there is none, though bl_class_validate lets none through. */
static const char *value_of(const struct bl_smtp_script *script, const char *brace, size_t *length)
{
    *length = sizeof(BL_CLASS_PLACEHOLDER_ADDRESS) - 1;
    if (strncmp(brace, BL_CLASS_PLACEHOLDER_ADDRESS, *length) == 0)
        return script->address;
    *length = sizeof(BL_CLASS_PLACEHOLDER_TICKET) - 1;
    if (strncmp(brace, BL_CLASS_PLACEHOLDER_TICKET, *length) == 0)
        return script->ticket;
    *length = 1;
    return "{";
}

/* With everything filled in; bl_class_validate has seen to it that the line stays short enough. */
static void put_url(struct writer *writer, const struct bl_smtp_script *script)
{
    const char *at = script->class->url;
    const char *brace;
    size_t length;

    while ((brace = strchr(at, '{')) != NULL) {
        put(writer, at, (size_t)(brace - at));
        put_text(writer, value_of(script, brace, &length));
        at = brace + length;
    }
    put_text(writer, at);
}

/* Senders show this line to the person who wrote the mail: it is the product. */
static void put_deny(struct writer *writer, const struct bl_smtp_script *script)
{
    put_text(writer, "550 5.7.");
    put_code(writer, script->class->code);
    put_text(writer, " Access denied, banned sending IP [");
    put_text(writer, script->address);
    put_text(writer, "]; To request removal from this list please visit ");
    put_url(writer, script);
    put_text(writer, " and follow the directions.\r\n");
}

static void put_ehlo(struct writer *writer, const struct bl_smtp_script *script)
{
    put_text(writer, "250-");
    put_text(writer, script->hostname);
    put_text(writer, extensions);
    if (script->starttls == BL_STARTTLS_REFUSE)
        put_text(writer, extension_starttls);
    put_text(writer, extension_last);
}

static void put_helo(struct writer *writer, const struct bl_smtp_script *script)
{
    put_text(writer, "250 ");
    put_text(writer, script->hostname);
    put_text(writer, "\r\n");
}

/* The verb of a line without its end: the first token, cut at a space or colon, in any case. */
static enum verb verb_of(const uint8_t *line, size_t length)
{
    char token[VERB_BYTES_MAX + 1] = "";

    for (size_t n = 0; n < length && line[n] != ' ' && line[n] != ':'; n++) {
        /* The token is compared with its padding: a NUL of the peer's would pass for that. */
        if (n == VERB_BYTES_MAX || line[n] == '\0')
            return VERB_OTHER;
        token[n] = (char)(line[n] >= 'a' && line[n] <= 'z' ? line[n] - 'a' + 'A' : line[n]);
    }
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (memcmp(token, verbs[i].name, sizeof(token)) == 0)
            return (enum verb)verbs[i].verb;
    }
    return VERB_OTHER;
}

/* True when the line is answered like any other line: at this stage, with this handling of STARTTLS. */
static bool is_denied(const struct bl_smtp_script *script, enum verb verb)
{
    switch (verb) {
    case VERB_OTHER:
    case VERB_RCPT:
        return true;
    case VERB_MAIL:
        return script->stage == BL_STAGE_MAIL;
    case VERB_STARTTLS:
        return script->starttls == BL_STARTTLS_REFUSE;
    default:
        return false;
    }
}

/* Nothing here depends on the lines before: the dialogue has no order to break. */
static void put_reply(struct writer *writer, const struct bl_smtp_script *script, enum verb verb)
{
    switch (verb) {
    case VERB_EHLO:
        put_ehlo(writer, script);
        break;
    case VERB_HELO:
        put_helo(writer, script);
        break;
    case VERB_MAIL:
        put_text(writer, reply_sender_ok);
        break;
    case VERB_DATA:
        put_text(writer, reply_no_recipients);
        break;
    case VERB_RSET:
    case VERB_NOOP:
        put_text(writer, reply_ok);
        break;
    case VERB_QUIT:
        put_text(writer, reply_bye);
        break;
    case VERB_STARTTLS:
        put_text(writer, reply_not_implemented);
        break;
    default:
        put_deny(writer, script);
        break;
    }
}

size_t bl_smtp_greet(const struct bl_smtp_script *script, char *out, size_t room)
{
    struct writer writer = {.out = out, .room = room};

    put_text(&writer, "220 ");
    put_text(&writer, script->hostname);
    put_text(&writer, " ESMTP\r\n");
    return writer.full ? 0 : writer.length;
}

size_t bl_smtp_deny(const struct bl_smtp_script *script, char *out, size_t room)
{
    struct writer writer = {.out = out, .room = room};

    put_deny(&writer, script);
    return writer.full ? 0 : writer.length;
}

static enum bl_denied_at denied_at(enum verb verb)
{
    switch (verb) {
    case VERB_MAIL:
        return BL_DENIED_AT_MAIL;
    case VERB_RCPT:
        return BL_DENIED_AT_RCPT;
    case VERB_STARTTLS:
        return BL_DENIED_AT_STARTTLS;
    default:
        return BL_DENIED_AT_OTHER;
    }
}

/* Answers the line and counts it as consumed. @return false when the answer did not fit, or would have to name the source
 * and can't: nothing changed. */
static bool answer_line(struct writer *writer, const struct bl_smtp_script *script, const uint8_t *line, size_t length,
                        struct bl_smtp_answer *answer)
{
    size_t text_bytes = length - 1;
    enum verb said;
    enum verb verb;

    if (text_bytes > 0 && line[text_bytes - 1] == '\r')
        text_bytes--;
    said = verb_of(line, text_bytes);
    verb = is_denied(script, said) ? VERB_OTHER : said;
    if (verb == VERB_OTHER && script->address == NULL) {
        answer->nameless = true;
        return false;
    }
    put_reply(writer, script, verb);
    if (writer->full)
        return false;
    answer->written = writer->length;
    answer->consumed += length;
    if (verb == VERB_OTHER && !answer->bounced) {
        answer->bounced = true;
        answer->denied = (uint8_t)denied_at(said);
    }
    answer->quit = verb == VERB_QUIT;
    return true;
}

void bl_smtp_answer(const struct bl_smtp_script *script, const uint8_t *input, size_t length, char *out, size_t room,
                    struct bl_smtp_answer *answer)
{
    struct writer writer = {.out = out, .room = room};

    memset(answer, 0, sizeof(*answer));
    while (answer->consumed < length) {
        const uint8_t *line = input + answer->consumed;
        const uint8_t *feed = memchr(line, '\n', length - answer->consumed);

        if (feed == NULL) {
            /* A client that waits for this to be acknowledged before it sends the rest would wait for ever. The rest,
             * when it comes, is an unknown line, and ends in the 550. */
            answer->consumed = length;
            answer->partial = true;
            return;
        }
        if (!answer_line(&writer, script, line, (size_t)(feed - line) + 1, answer))
            return;
        if (answer->quit) {
            /* We close: what follows QUIT is taken and not answered (RFC 5321, 4.1.1.10). */
            answer->consumed = length;
            return;
        }
    }
}
