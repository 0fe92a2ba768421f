/** @file answer_judge.h
 * An independent judge over one frame in and at most one frame out of the pure path. It reads both with its own eyes
 * (frame_view.h, smtp_oracle.h) and knows nothing of parse.c, smtp.c, reject.c or segment.c; of the product it takes
 * the keyed hash alone, to know which acknowledgement numbers prove a handshake.
 *
 * It holds the safety rules (what may never be sent) and the duties (what must be answered, and with what). */
#ifndef BL_TEST_ANSWER_JUDGE_H
#define BL_TEST_ANSWER_JUDGE_H

#include <arpa/inet.h>

#include "bounceline/ticket.h"
#include "dataplane/cookie.h"
#include "dataplane/reject.h"
#include "frame_view.h"
#include "smtp_oracle.h"

/** What a segment is, by what it holds. */
#define JUDGE_STATES(X) \
    X(NOTHING, "not a segment to answer") \
    X(SYN, "SYN") \
    X(HANDSHAKE, "handshake ACK") \
    X(EARLY, "data at offset 0") \
    X(EHLO, "EHLO") \
    X(HELO, "HELO") \
    X(MAIL, "MAIL") \
    X(RCPT, "RCPT") \
    X(DATA, "DATA, BDAT") \
    X(RSET, "RSET") \
    X(NOOP, "NOOP") \
    X(QUIT, "QUIT") \
    X(STARTTLS, "STARTTLS") \
    X(UNKNOWN, "unknown line") \
    X(PARTIAL, "partial line") \
    X(MULTI, "several lines") \
    X(FIN, "FIN") \
    X(FIN_DATA, "FIN with data") \
    X(RST, "RST") \
    X(PURE_ACK, "pure ACK") \
    X(LAST, "offset above 60000")

enum judge_state {
#define X(suffix, text) JUDGE_##suffix,
    JUDGE_STATES(X)
#undef X
        JUDGE_STATE_COUNT
};

struct judge {
    const struct bl_reject_rules *rules;
    const struct bl_class *class;
    uint64_t now_s;
};

/** What the judge saw. */
struct judgement {
    const char *wrong; /* NULL: all is right */
    enum judge_state state;
    bool cookie; /* the acknowledgement number is ours */
    uint32_t offset;
};

struct judge_case {
    const struct judge *judge;
    const uint8_t *in;
    const uint8_t *out;
    size_t in_bytes;
    size_t out_bytes; /* 0: no answer */
    struct frame_view seen;
    struct frame_view said;
};

static inline bool judge_is_ip4_sane(const uint8_t *ip)
{
    return ip[0] != 0 && ip[0] != 127 && ip[0] < 224 && !(ip[0] == 169 && ip[1] == 254);
}

static inline bool judge_is_ip6_sane(const uint8_t *ip)
{
    static const uint8_t zero[16];
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    return ip[0] != 0xff && (memcmp(ip, zero, 15) != 0 || ip[15] > 1) && memcmp(ip, mapped, 12) != 0;
}

/* A whole segment with right checksums, between hosts that exist. */
static inline bool judge_is_answerable(const struct judge_case *c)
{
    if (!c->seen.checksums_right || (c->in[0] & 1) != 0 || (c->in[6] & 1) != 0 ||
        memcmp(c->seen.source, c->seen.destination, 16) == 0)
        return false;
    if (c->seen.family == 4)
        return judge_is_ip4_sane(c->seen.source) && judge_is_ip4_sane(c->seen.destination);
    return judge_is_ip6_sane(c->seen.source) && judge_is_ip6_sane(c->seen.destination);
}

static inline uint64_t judge_load64(const uint8_t *at)
{
    return (uint64_t)frame_load32(at) << 32 | frame_load32(at + 4);
}

/* Our first sequence number for the segment's connection. */
static inline uint32_t judge_isn(const struct judge_case *c, uint64_t epoch)
{
    struct bl_packet packet = {
        .family = c->seen.family,
        .source_port = (uint16_t)c->seen.source_port,
        .destination_port = (uint16_t)c->seen.destination_port,
    };

    if (c->seen.family == 4) {
        packet.source_ip4 = frame_load32(c->seen.source);
        packet.destination_ip4 = frame_load32(c->seen.destination);
    } else {
        packet.source_ip6 = (struct bl_ip6){judge_load64(c->seen.source), judge_load64(c->seen.source + 8)};
        packet.destination_ip6 =
            (struct bl_ip6){judge_load64(c->seen.destination), judge_load64(c->seen.destination + 8)};
    }
    return bl_cookie_isn(&c->judge->rules->cookie_key, &packet, epoch);
}

static inline enum judge_state judge_state_of_line(const char *line, size_t length)
{
    static const struct {
        const char *verb;
        enum judge_state state;
    } map[] = {
        {"EHLO", JUDGE_EHLO}, {"HELO", JUDGE_HELO},         {"MAIL", JUDGE_MAIL}, {"RCPT", JUDGE_RCPT},
        {"DATA", JUDGE_DATA}, {"BDAT", JUDGE_DATA},         {"RSET", JUDGE_RSET}, {"NOOP", JUDGE_NOOP},
        {"QUIT", JUDGE_QUIT}, {"STARTTLS", JUDGE_STARTTLS},
    };

    for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
        if (smtp_oracle_is(line, length, map[i].verb))
            return map[i].state;
    }
    return JUDGE_UNKNOWN;
}

static inline enum judge_state judge_state_of_data(const struct judge_case *c)
{
    const char *data = (const char *)c->in + c->seen.payload;
    size_t n_lines = 0;
    size_t first = 0;

    for (size_t i = 0; i < c->seen.payload_bytes; i++) {
        if (data[i] == '\n' && n_lines++ == 0)
            first = i;
    }
    if (data[c->seen.payload_bytes - 1] != '\n' && n_lines == 0)
        return JUDGE_PARTIAL;
    return n_lines > 1 ? JUDGE_MULTI : judge_state_of_line(data, first);
}

/* What the incoming frame is; sets cookie and offset. */
static inline enum judge_state judge_state_of(const struct judge_case *c, struct judgement *judgement)
{
    uint64_t epoch = c->judge->now_s / 1024;
    uint8_t flags = c->seen.flags & (FRAME_SYN | FRAME_ACK | FRAME_RST | FRAME_FIN);

    if (c->seen.destination_port != 25 || !judge_is_answerable(c))
        return JUDGE_NOTHING;
    if (flags == FRAME_SYN)
        return JUDGE_SYN;
    if ((flags & FRAME_ACK) == 0 || (flags & FRAME_SYN) != 0)
        return JUDGE_NOTHING;
    /* The one that begins within 32 s is good already: a pair's clocks differ. */
    for (unsigned i = 0; i < (c->judge->now_s % 1024 >= 992 ? 3 : 2) && !judgement->cookie; i++) {
        judgement->offset = c->seen.acknowledgement - judge_isn(c, i < 2 ? epoch - i : epoch + 1) - 1;
        judgement->cookie = judgement->offset < 65536;
    }
    if (!judgement->cookie)
        return JUDGE_NOTHING;
    if ((flags & FRAME_RST) != 0)
        return JUDGE_RST;
    if (c->seen.payload_bytes == 0) {
        if ((flags & FRAME_FIN) != 0)
            return JUDGE_FIN;
        return judgement->offset == 0 ? JUDGE_HANDSHAKE : JUDGE_PURE_ACK;
    }
    if (judgement->offset == 0)
        return JUDGE_EARLY;
    if (judgement->offset > 60000)
        return JUDGE_LAST;
    return (flags & FRAME_FIN) != 0 ? JUDGE_FIN_DATA : judge_state_of_data(c);
}

/* The answer's frame: where it goes, its lengths, its checksums, and nothing in it that is not ours to say. */
static inline const char *judge_envelope(const struct judge_case *c)
{
    const struct frame_view *said = &c->said;
    const uint8_t *ip = c->out + said->l3;
    const uint8_t *tcp = c->out + said->tcp;
    bool syn = (said->flags & FRAME_SYN) != 0;
    size_t frame_bytes = said->l3 + said->ip_bytes;

    if (said->family != c->seen.family || said->l3 != c->seen.l3 || memcmp(c->out, c->in + 6, 6) != 0 ||
        memcmp(c->out + 6, c->in, 6) != 0 || memcmp(c->out + 12, c->in + 12, said->l3 - 12) != 0)
        return "Ethernet addresses not swapped, or tags not kept";
    if (c->out_bytes != (frame_bytes < 60 ? 60 : frame_bytes))
        return "frame's length";
    for (size_t i = frame_bytes; i < c->out_bytes; i++) {
        if (c->out[i] != 0)
            return "padding is not zero";
    }
    if (!said->checksums_right)
        return "checksum of the answer";
    if (memcmp(said->source, c->seen.destination, 16) != 0 || memcmp(said->destination, c->seen.source, 16) != 0 ||
        said->source_port != c->seen.destination_port || said->destination_port != c->seen.source_port)
        return "addresses or ports not swapped";
    if (said->family == 4 ? memcmp(ip, "\x45\x00", 2) != 0 || memcmp(ip + 4, "\0\0\x40\0\x40\x06", 6) != 0
                          : memcmp(ip, "\x60\0\0\0", 4) != 0 || memcmp(ip + 6, "\x06\x40", 2) != 0)
        return "IP header is not the plain one";
    if (frame_load16(tcp + 18) != 0 || (tcp[12] & 15) != 0)
        return "urgent pointer or reserved bits";
    if (syn ? said->payload - said->tcp != 24 || memcmp(tcp + 20, "\x02\x04", 2) != 0 : said->payload - said->tcp != 20)
        return "TCP options other than the SYN's MSS";
    if (syn && (frame_load16(tcp + 22) < 536 || frame_load16(tcp + 22) > (said->family == 4 ? 1460 : 1440)))
        return "MSS out of range";
    return NULL;
}

/* SYN-ACK: no payload, no larger than the SYN allows, and the number that the cookie demands. */
static inline const char *judge_syn_ack(const struct judge_case *c)
{
    if (c->said.flags != (FRAME_SYN | FRAME_ACK) || c->said.payload_bytes != 0 || c->said.window != 8192)
        return "SYN-ACK: flags, payload or window";
    if (c->said.acknowledgement != c->seen.sequence + 1)
        return "SYN-ACK: acknowledges other than the SYN";
    if (c->said.sequence != judge_isn(c, c->judge->now_s / 1024))
        return "SYN-ACK: sequence is not the cookie";
    if (c->said.ip_bytes * 10 > c->seen.ip_bytes * 11)
        return "SYN-ACK: larger than 1.1 times the SYN";
    return NULL;
}

/* The class says reset: a lone RST,ACK. */
static inline const char *judge_reset(const struct judge_case *c)
{
    uint8_t flags = c->seen.flags;
    uint32_t length = (uint32_t)c->seen.payload_bytes + ((flags & FRAME_SYN) != 0) + ((flags & FRAME_FIN) != 0);

    if (c->said.flags != (FRAME_RST | FRAME_ACK) || c->said.payload_bytes != 0)
        return "reset: flags or payload";
    if (c->said.acknowledgement != c->seen.sequence + length)
        return "reset: acknowledges other than the segment";
    if (c->said.sequence != ((flags & FRAME_ACK) != 0 ? c->seen.acknowledgement : 0))
        return "reset: sequence";
    return NULL;
}

static inline const char *judge_text(const char *text, size_t length)
{
    if (length < 5 || memcmp(text + length - 2, "\r\n", 2) != 0)
        return "payload does not end in CRLF";
    for (size_t i = 0; i < 3; i++) {
        if (text[i] < '0' || text[i] > '9')
            return "payload does not begin with a code";
    }
    return NULL;
}

/* The source's ticket of the day: ticket.c has test vectors of its own, so that it is taken as it is. */
static inline void judge_ticket(const struct judge_case *c, char ticket[BL_TICKET_TEXT_MAX])
{
    struct bl_prefix unit = {.family = c->seen.family, .length = 32};
    unsigned bits = c->judge->rules->ipv6_unit;

    memcpy(unit.bytes, c->seen.source, 16);
    ticket[0] = '\0';
    if (c->seen.family == 6) {
        unit.length = (uint8_t)bits;
        for (unsigned bit = bits; bit < 128; bit++)
            unit.bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
    }
    if (c->judge->rules->ticket_key.k0 != 0 && strstr(c->judge->class->url, "{ticket}") != NULL)
        (void)bl_ticket_make(&c->judge->rules->ticket_key, &unit, c->judge->now_s / 86400, ticket);
}

/* What the dialogue has to say, to the byte. @p fin: FIN wanted; @p consumed: bytes of the segment acknowledged. */
static inline size_t judge_expect(const struct judge_case *c, const struct judgement *judgement, char *text, bool *fin,
                                  size_t *consumed)
{
    char address[INET6_ADDRSTRLEN] = "";
    size_t limit = c->seen.family == 4 ? 536 : 1220;
    size_t room = c->seen.window < limit ? c->seen.window : limit;
    char ticket[BL_TICKET_TEXT_MAX];
    struct smtp_oracle oracle = {.hostname = c->judge->rules->hostname,
                                 .class = c->judge->class,
                                 .address = address,
                                 .ticket = ticket,
                                 .stage = c->judge->rules->stage,
                                 .starttls = c->judge->rules->starttls};
    struct smtp_oracle_answer answer;

    (void)inet_ntop(c->seen.family == 4 ? AF_INET : AF_INET6, c->seen.source, address, sizeof(address));
    judge_ticket(c, ticket);
    *consumed = c->seen.payload_bytes;
    *fin = (c->seen.flags & FRAME_FIN) != 0;
    if (judgement->state == JUDGE_HANDSHAKE || judgement->state == JUDGE_EARLY) {
        smtp_oracle_greeting(&oracle, text);
        *consumed = 0;
        *fin = false;
        return strlen(text) <= room ? strlen(text) : 0;
    }
    if (judgement->state == JUDGE_LAST) {
        smtp_oracle_deny(&oracle, text);
        *fin = true;
        return strlen(text) <= room ? strlen(text) : 0;
    }
    answer = smtp_oracle_answer(&oracle, (const char *)c->in + c->seen.payload, c->seen.payload_bytes, room, text);
    *consumed = answer.consumed;
    *fin = answer.quit || (*fin && answer.consumed == c->seen.payload_bytes);
    return answer.written;
}

/* An answer, or silence, inside a dialogue that is ours. */
static inline const char *judge_dialogue(const struct judge_case *c, const struct judgement *judgement)
{
    static char text[4096];
    bool fin;
    size_t consumed;
    uint32_t acknowledgement;
    size_t written = judge_expect(c, judgement, text, &fin, &consumed);
    bool speaks =
        judgement->state == JUDGE_HANDSHAKE || judgement->state == JUDGE_EARLY || judgement->state == JUDGE_LAST;
    bool silent = (speaks && written == 0) || (c->seen.payload_bytes != 0 && consumed == 0 && written == 0);

    if (judgement->state == JUDGE_RST || judgement->state == JUDGE_PURE_ACK || silent)
        return c->out_bytes != 0 ? "answer where there must be none" : NULL;
    if (c->out_bytes == 0)
        return "no answer where there must be one";
    if (c->said.sequence != c->seen.acknowledgement)
        return "sequence is not the segment's acknowledgement";
    acknowledgement = c->seen.sequence + (uint32_t)consumed;
    if ((c->seen.flags & FRAME_FIN) != 0 && !speaks && consumed == c->seen.payload_bytes)
        acknowledgement++;
    if (judgement->state == JUDGE_LAST && (c->seen.flags & FRAME_FIN) != 0)
        acknowledgement++;
    if (c->said.acknowledgement != acknowledgement)
        return "acknowledges other than what it answers";
    if (c->said.flags != (FRAME_ACK | (written != 0 ? FRAME_PSH : 0) | (fin ? FRAME_FIN : 0)) || c->said.window != 8192)
        return "flags or window of the answer";
    if (c->said.payload_bytes > (c->seen.family == 4 ? 536 : 1220) || c->said.payload_bytes > c->seen.window)
        return "payload larger than the peer may get";
    if (written != 0 && judge_text((const char *)c->out + c->said.payload, c->said.payload_bytes) != NULL)
        return judge_text((const char *)c->out + c->said.payload, c->said.payload_bytes);
    if (c->said.payload_bytes != written || memcmp(c->out + c->said.payload, text, written) != 0)
        return "payload is not what the dialogue says";
    return NULL;
}

static inline const char *judge_class(struct judge_case *c, const struct judgement *judgement)
{
    uint8_t flags = c->seen.flags;

    if (c->out_bytes != 0 && !frame_view_read(c->out, c->out_bytes, &c->said))
        return "answer is not a TCP segment";
    if (c->out_bytes != 0 && judge_envelope(c) != NULL)
        return judge_envelope(c);
    if (c->out_bytes != 0 && ((flags & FRAME_RST) != 0 || (flags & (FRAME_SYN | FRAME_ACK)) == (FRAME_SYN | FRAME_ACK)))
        return "answer to a RST or SYN-ACK";
    if (c->judge->class->action == BL_ACTION_RESET) {
        if (c->out_bytes != 0)
            return judge_reset(c);
        return judgement->state == JUDGE_SYN || (judgement->cookie && judgement->state != JUDGE_RST)
                   ? "no answer where there must be one"
                   : NULL;
    }
    if (judgement->state == JUDGE_SYN)
        return c->out_bytes != 0 ? judge_syn_ack(c) : "SYN not answered";
    if (!judgement->cookie)
        return c->out_bytes != 0 ? "answer without a valid cookie" : NULL;
    return judge_dialogue(c, judgement);
}

/** Judges the answer (@p out_bytes 0: none) to the frame, which came from a listed source of the judge's class. */
static inline struct judgement judge_answer(const struct judge *judge, const uint8_t *in, size_t in_bytes,
                                            const uint8_t *out, size_t out_bytes)
{
    struct judgement judgement = {.state = JUDGE_NOTHING};
    struct judge_case c = {.judge = judge, .in = in, .out = out, .in_bytes = in_bytes, .out_bytes = out_bytes};

    if (!frame_view_read(in, in_bytes, &c.seen)) {
        judgement.wrong = out_bytes != 0 ? "answer to what is no TCP segment" : NULL;
        return judgement;
    }
    judgement.state = judge_state_of(&c, &judgement);
    if (out_bytes != 0 && (!judge_is_answerable(&c) || c.seen.destination_port != 25))
        judgement.wrong = "answer to what must not be answered";
    else
        judgement.wrong = judge_class(&c, &judgement);
    return judgement;
}

#endif
