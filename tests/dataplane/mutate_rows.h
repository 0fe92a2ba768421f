/** @file mutate_rows.h
 * Which rows of the dialogue's notes a judged frame is of, beyond the states that the judge names; so that a run can say
 * that it met each of them often enough. Used by mutate_frames.c. */
#ifndef BL_TEST_MUTATE_ROWS_H
#define BL_TEST_MUTATE_ROWS_H

#include "dataplane/worker_judge.h"

#define MUTATE_ROWS(X) \
    X(STAGE_RCPT, "senders: stage rcpt, MAIL accepted") \
    X(STAGE_MAIL, "senders: stage mail, MAIL hears the 550") \
    X(STARTTLS_HIDE, "rules: STARTTLS with starttls: hide") \
    X(STARTTLS_REFUSE, "rules: STARTTLS with starttls: refuse") \
    X(BARE_LF, "rules: a bare LF ends a line") \
    X(LINE_AND_PART, "rules: ends inside a line, behind others") \
    X(SYN_DATA, "tcp/1 SYN with data") \
    X(SYN_OPTIONS, "tcp/1 SYN with options") \
    X(SYN_ECN, "tcp/1 SYN with ECN's flags") \
    X(EPOCH_BEFORE, "tcp/2 cookie of the epoch before") \
    X(NO_COOKIE, "tcp/2 no cookie, or too old") \
    X(NOT_ALL, "tcp/2 acknowledged no further than answered") \
    X(LARGE, "tcp/2 near the most that a reply may hold") \
    X(WINDOW_CUT, "tcp/3 window smaller than 536, answered") \
    X(WINDOW_NONE, "tcp/3 window too small for any answer") \
    X(FLAGS, "tcp/4 SYN-ACK and flags of no connection") \
    X(PORT, "tcp/5 another port, or not TCP") \
    X(CHECKSUM, "tcp/6 wrong checksum") \
    X(IP_OPTIONS, "tcp/7 IPv4 options, answered") \
    X(EXTENSIONS, "tcp/7 IPv6 extension headers, answered") \
    X(ONE_TAG, "tcp/7 VLAN, answered") \
    X(TAGS, "tcp/7 QinQ and more tags, answered") \
    X(FRAGMENT, "tcp/7 fragment, dropped") \
    X(UNPARSABLE, "tcp/7 not parsable, listed, dropped") \
    X(UNPARSABLE_PASSED, "tcp/7 not parsable, not listed, passed") \
    X(NOT_IP, "tcp/7 not IP, passed") \
    X(BOGON, "tcp/8 not to be answered") \
    X(AGAIN_SYN_ACK, "loss: SYN-ACK sent again") \
    X(AGAIN_GREETING, "loss: greeting sent again") \
    X(FOREIGN_PASS, "established: pass") \
    X(FOREIGN_DROP, "established: drop") \
    X(FOREIGN_RESET, "established: reset, one each way") \
    X(CHALLENGE, "established: challenge answered") \
    X(LIMIT_ANSWER, "limits: answers") \
    X(LIMIT_RESET, "limits: resets") \
    X(LIMIT_FOREIGN, "limits: cookie-less segments") \
    X(TICKET, "ticket: in a 550's URL") \
    X(RESET, "actions: reset") \
    X(DROP, "actions: drop") \
    X(MONITOR, "actions: monitor") \
    X(EXEMPT, "exempt")

enum mutate_row {
#define X(suffix, text) ROW_##suffix,
    MUTATE_ROWS(X)
#undef X
        ROW_COUNT
};

/* Rows that a reason alone tells. */
static inline int row_of_reason(enum bl_reason reason)
{
    static const struct {
        enum bl_reason reason;
        enum mutate_row row;
    } rows[] = {
        {BL_REASON_PASS_NOT_IP, ROW_NOT_IP},
        {BL_REASON_PASS_UNPARSABLE, ROW_UNPARSABLE_PASSED},
        {BL_REASON_PASS_OTHER, ROW_PORT},
        {BL_REASON_PASS_EXEMPT, ROW_EXEMPT},
        {BL_REASON_PASS_MONITOR, ROW_MONITOR},
        {BL_REASON_PASS_ESTABLISHED, ROW_FOREIGN_PASS},
        {BL_REASON_DROP_ESTABLISHED, ROW_FOREIGN_DROP},
        {BL_REASON_RESET_ESTABLISHED, ROW_FOREIGN_RESET},
        {BL_REASON_DROP_ACTION, ROW_DROP},
        {BL_REASON_DROP_FRAGMENT, ROW_FRAGMENT},
        {BL_REASON_DROP_UNPARSABLE, ROW_UNPARSABLE},
        {BL_REASON_DROP_CHECKSUM, ROW_CHECKSUM},
        {BL_REASON_DROP_UNANSWERABLE, ROW_BOGON},
        {BL_REASON_DROP_FLAGS, ROW_FLAGS},
        {BL_REASON_DROP_WINDOW, ROW_WINDOW_NONE},
        {BL_REASON_DROP_LIMIT_ANSWER, ROW_LIMIT_ANSWER},
        {BL_REASON_DROP_LIMIT_RESET, ROW_LIMIT_RESET},
        {BL_REASON_DROP_LIMIT_ESTABLISHED, ROW_LIMIT_FOREIGN},
        {BL_REASON_RESET_ACTION, ROW_RESET},
    };

    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].reason == reason)
            return (int)rows[i].row;
    return -1;
}

/* A frame that was answered in a dialogue of ours, or with a SYN-ACK. */
static inline void rows_of_answer(const struct judge_case *c, const struct judgement *judgement, uint64_t *rows)
{
    const struct bl_reject_rules *rules = c->judge->rules;
    size_t limit = c->seen.family == 4 ? 536 : 1220;
    size_t tcp_header = c->seen.payload - c->seen.tcp;
    size_t ip_header = c->seen.tcp - c->seen.l3;
    const char *data = (const char *)c->in + c->seen.payload;
    bool denied = c->said.payload_bytes > 3 && memcmp(c->out + c->said.payload, "550", 3) == 0;

    rows[ROW_ONE_TAG] += c->seen.l3 == 18;
    rows[ROW_TAGS] += c->seen.l3 > 18;
    rows[ROW_IP_OPTIONS] += c->seen.family == 4 && ip_header > 20;
    rows[ROW_EXTENSIONS] += c->seen.family == 6 && ip_header > 40;
    if (judgement->state == JUDGE_SYN) {
        rows[ROW_SYN_DATA] += c->seen.payload_bytes != 0;
        rows[ROW_SYN_OPTIONS] += tcp_header > 20;
        rows[ROW_SYN_ECN] += (c->seen.flags & 0xc0) != 0;
        return;
    }
    rows[ROW_EPOCH_BEFORE] += c->seen.acknowledgement - judge_isn(c, c->judge->now_s / 1024) - 1 >= 65536;
    rows[ROW_STAGE_RCPT] += judgement->state == JUDGE_MAIL && rules->stage == BL_STAGE_RCPT && !denied;
    rows[ROW_STAGE_MAIL] += judgement->state == JUDGE_MAIL && rules->stage == BL_STAGE_MAIL && denied;
    rows[ROW_STARTTLS_HIDE] += judgement->state == JUDGE_STARTTLS && rules->starttls == BL_STARTTLS_HIDE && !denied;
    rows[ROW_STARTTLS_REFUSE] += judgement->state == JUDGE_STARTTLS && rules->starttls == BL_STARTTLS_REFUSE && denied;
    rows[ROW_TICKET] += denied && rules->ticket_key.k0 != 0 && strstr(c->judge->class->url, "{ticket}") != NULL;
    rows[ROW_LARGE] += c->said.payload_bytes > limit - 64;
    rows[ROW_WINDOW_CUT] += c->seen.window < 536 && c->said.payload_bytes != 0;
    if (c->seen.payload_bytes < 2 || judgement->offset == 0 || judgement->offset > 60000)
        return;
    rows[ROW_NOT_ALL] += c->said.acknowledgement - c->seen.sequence < c->seen.payload_bytes;
    rows[ROW_BARE_LF] += memchr(data, '\r', c->seen.payload_bytes) == NULL && data[c->seen.payload_bytes - 1] == '\n';
    rows[ROW_LINE_AND_PART] += memchr(data, '\n', c->seen.payload_bytes) != NULL &&
                               data[c->seen.payload_bytes - 1] != '\n' && c->said.payload_bytes != 0;
}

#endif
