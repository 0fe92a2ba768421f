/* What to answer a listed source, from the segment alone; see reject.h.
 *
 * bl_reject_answer() is one ordered policy: who may not be answered at all, the flags, the SYN, the cookie, and only
 * then the dialogue. Nothing before the cookie writes payload, and no path answers a RST or a SYN-ACK.
 *
 * The peer's window is taken as it stands in the header: we never send the window scale option, so that it is never
 * scaled (RFC 7323, 2.2). Allocates nothing; the one working buffer is the reply. */
#include "dataplane/reject.h"

#include "bounceline/hostname.h"
#include "bounceline/ticket.h"
#include "dataplane/cookie.h"
#include "dataplane/smtp.h"

enum {
    WINDOW_BYTES = 8192,
    /* Fits every path of IPv6 and any tunnel of IPv4: no answer depends on path MTU discovery. */
    MSS_BYTES = 1220,
    /* From here on a dialogue gets its last word: its next answers would run out of the cookie's offsets. */
    OFFSET_LAST = 60000,
};

/* The longest answer to one line must fit in one segment, or a dialogue could stand still. */
_Static_assert((int)BL_CLASS_LINE_MAX <= (int)BL_REJECT_PAYLOAD_MAX_IPV4, "a 550 line fits in a segment");
_Static_assert((int)BL_HOSTNAME_MAX + 128 <= (int)BL_REJECT_PAYLOAD_MAX_IPV4, "the answer to EHLO fits in a segment");
_Static_assert((int)OFFSET_LAST + 2 * (int)BL_REJECT_PAYLOAD_MAX_IPV6 <= (int)BL_COOKIE_OFFSET_MAX,
               "the last word is still ours");

/* One segment of a dialogue that has proved to be ours. */
struct dialogue {
    const struct bl_reject_rules *rules;
    uint64_t now_s;
    struct bl_smtp_script script;
    const struct bl_packet *packet;
    const uint8_t *payload;
    size_t room; /* bytes that the answer may have */
    char address[BL_ADDRESS_TEXT_MAX];
    char ticket[BL_TICKET_TEXT_MAX];
};

static bool is_keyed(const struct bl_siphash_key *key)
{
    return key->k0 != 0 || key->k1 != 0;
}

int bl_reject_rules_validate(const struct bl_reject_rules *rules, struct bl_error_detail *detail)
{
    if (!is_keyed(&rules->cookie_key))
        return bl_error_set(detail, BL_EINVAL, "cookie key: all zero: expected 16 random bytes");
    if (!bl_hostname_valid(rules->hostname))
        return bl_error_set(
            detail, BL_EINVAL,
            "hostname: expected labels of 1..%d letters, digits and inner hyphens with dots between, at "
            "most %d bytes",
            BL_HOSTNAME_LABEL_MAX, BL_HOSTNAME_MAX);
    if (rules->stage != BL_STAGE_RCPT && rules->stage != BL_STAGE_MAIL)
        return bl_error_set(detail, BL_EINVAL, "stage: expected rcpt or mail");
    if (rules->starttls != BL_STARTTLS_HIDE && rules->starttls != BL_STARTTLS_REFUSE)
        return bl_error_set(detail, BL_EINVAL, "starttls: expected hide or refuse");
    if (rules->established > BL_ESTABLISHED_DROP)
        return bl_error_set(detail, BL_EINVAL, "established: expected pass, reset or drop");
    return BL_OK;
}

/* 0/8, 127/8, 169.254/16, and 224/4 with 240/4 and broadcast above it. */
static bool is_answerable_ip4(uint32_t ip4)
{
    return ip4 >> 24 != 0 && ip4 >> 24 != 127 && ip4 >> 16 != 0xa9fe && ip4 >> 28 < 0xe;
}

/* ::, ::1, ff00::/8 and ::ffff:0:0/96, which no wire may carry. */
static bool is_answerable_ip6(struct bl_ip6 ip6)
{
    if (ip6.hi == 0)
        return ip6.lo > 1 && ip6.lo >> 32 != 0xffff;
    return ip6.hi >> 56 != 0xff;
}

bool bl_reject_answerable(const struct bl_packet *packet)
{
    if (packet->link_group)
        return false;
    if (packet->family == BL_FAMILY_IPV4)
        return packet->source_ip4 != packet->destination_ip4 && is_answerable_ip4(packet->source_ip4) &&
               is_answerable_ip4(packet->destination_ip4);
    if (packet->source_ip6.hi == packet->destination_ip6.hi && packet->source_ip6.lo == packet->destination_ip6.lo)
        return false;
    return is_answerable_ip6(packet->source_ip6) && is_answerable_ip6(packet->destination_ip6);
}

/* Flags that no segment from a client to a server may have: a SYN with ACK, FIN or RST, and none of SYN, RST and ACK. */
static bool is_flags_odd(uint8_t flags)
{
    if ((flags & BL_TCP_SYN) != 0)
        return (flags & (BL_TCP_ACK | BL_TCP_FIN | BL_TCP_RST)) != 0;
    return (flags & (BL_TCP_RST | BL_TCP_ACK)) == 0;
}

/* Everything but the payload. */
static void set_reply(struct bl_reply *reply, uint8_t flags, uint32_t sequence, uint32_t acknowledgement)
{
    reply->flags = flags;
    reply->onward = false;
    reply->mss = 0;
    reply->sequence = sequence;
    reply->acknowledgement = acknowledgement;
    reply->window = WINDOW_BYTES;
}

/* The source's text and its ticket, for the 550, which is all that needs them. */
static void format_source(struct dialogue *dialogue)
{
    const struct bl_reject_rules *rules = dialogue->rules;
    const struct bl_packet *packet = dialogue->packet;
    struct bl_address address = {.family = packet->family};
    struct bl_prefix unit;

    if (packet->family == BL_FAMILY_IPV4)
        bl_address_from_ip4(packet->source_ip4, address.bytes);
    else
        bl_address_from_ip6(packet->source_ip6, address.bytes);
    dialogue->script.address = bl_address_format(&address, dialogue->address);
    if (!is_keyed(&rules->ticket_key) || !bl_class_has_ticket(dialogue->script.class))
        return;
    unit = bl_ticket_unit(&address, rules->ipv6_unit);
    bl_ticket_make(&rules->ticket_key, &unit, dialogue->now_s / BL_TICKET_DAY_S, dialogue->ticket);
}

/* A client that talks first gets the greeting and keeps its data: it sends it again when it has been greeted. */
static enum bl_reason answer_greeting(const struct dialogue *dialogue, struct bl_reply *reply)
{
    size_t written = bl_smtp_greet(&dialogue->script, reply->payload, dialogue->room);

    if (written == 0)
        return BL_REASON_DROP_WINDOW;
    set_reply(reply, BL_TCP_PSH | BL_TCP_ACK, dialogue->packet->acknowledgement, dialogue->packet->sequence);
    reply->payload_bytes = (uint16_t)written;
    return BL_REASON_REJECT_GREETING;
}

/* The dialogue has gone on for too long: the 550 once more, and the end. */
static enum bl_reason answer_last(struct dialogue *dialogue, struct bl_reply *reply)
{
    const struct bl_packet *packet = dialogue->packet;
    uint32_t fin = (packet->tcp_flags & BL_TCP_FIN) != 0 ? 1 : 0;
    size_t written;

    format_source(dialogue);
    written = bl_smtp_deny(&dialogue->script, reply->payload, dialogue->room);
    if (written == 0)
        return BL_REASON_DROP_WINDOW;
    set_reply(reply, BL_TCP_PSH | BL_TCP_ACK | BL_TCP_FIN, packet->acknowledgement,
              packet->sequence + packet->payload_bytes + fin);
    reply->payload_bytes = (uint16_t)written;
    reply->denied = BL_DENIED_AT_OTHER;
    return BL_REASON_REJECT_BOUNCE;
}

/* The strongest thing that was said. */
static enum bl_reason reason_of_answer(const struct bl_smtp_answer *answer, bool fin)
{
    if (answer->bounced)
        return BL_REASON_REJECT_BOUNCE;
    if (answer->quit)
        return BL_REASON_REJECT_QUIT;
    if (answer->written != 0)
        return BL_REASON_REJECT_COMMAND;
    return fin ? BL_REASON_REJECT_FIN : BL_REASON_REJECT_PARTIAL;
}

/* Answers the segment's lines, and its FIN when everything before it is answered. What is not answered is not
 * acknowledged, and comes again. Without payload this is the answer to a lone FIN. */
static enum bl_reason answer_lines(struct dialogue *dialogue, struct bl_reply *reply)
{
    const struct bl_packet *packet = dialogue->packet;
    struct bl_smtp_answer answer;
    uint8_t flags = BL_TCP_ACK;
    bool fin;

    bl_smtp_answer(&dialogue->script, dialogue->payload, packet->payload_bytes, reply->payload, dialogue->room,
                   &answer);
    if (answer.nameless) {
        format_source(dialogue);
        bl_smtp_answer(&dialogue->script, dialogue->payload, packet->payload_bytes, reply->payload, dialogue->room,
                       &answer);
    }
    if (answer.consumed == 0 && packet->payload_bytes != 0)
        return BL_REASON_DROP_WINDOW;
    fin = (packet->tcp_flags & BL_TCP_FIN) != 0 && answer.consumed == packet->payload_bytes;
    if (answer.written != 0)
        flags |= BL_TCP_PSH;
    if (fin || answer.quit)
        flags |= BL_TCP_FIN;
    set_reply(reply, flags, packet->acknowledgement, packet->sequence + (uint32_t)answer.consumed + (fin ? 1 : 0));
    reply->payload_bytes = (uint16_t)answer.written;
    reply->denied = answer.denied;
    return reason_of_answer(&answer, fin);
}

/* The peer's MSS was in its SYN, which nobody remembers: the default of RFC 9293, 3.7.1 and its like for IPv6. */
static size_t answer_room(const struct bl_packet *packet)
{
    size_t room = packet->family == BL_FAMILY_IPV4 ? BL_REJECT_PAYLOAD_MAX_IPV4 : BL_REJECT_PAYLOAD_MAX_IPV6;

    return packet->window < room ? packet->window : room;
}

/* A segment whose cookie is ours. @p offset: how much of our side the peer has. */
static enum bl_reason answer_dialogue(struct dialogue *dialogue, uint32_t offset, struct bl_reply *reply)
{
    const struct bl_packet *packet = dialogue->packet;
    bool fin = (packet->tcp_flags & BL_TCP_FIN) != 0;

    if (packet->payload_bytes == 0 && !fin) {
        /* To answer any other pure acknowledgement would be to answer our own kind: two of us would never stop. */
        return offset == 0 ? answer_greeting(dialogue, reply) : BL_REASON_REJECT_ACK;
    }
    if (packet->payload_bytes != 0 && offset == 0)
        return answer_greeting(dialogue, reply);
    if (packet->payload_bytes != 0 && offset > OFFSET_LAST)
        return answer_last(dialogue, reply);
    return answer_lines(dialogue, reply);
}

void bl_reject_prove(const struct bl_reject_rules *rules, const struct bl_packet *packet, uint64_t now_s,
                     struct bl_reject_proof *proof)
{
    struct bl_cookie_proof seen;

    *proof = (struct bl_reject_proof){.ours = false};
    if ((packet->tcp_flags & BL_TCP_SYN) != 0)
        *proof =
            (struct bl_reject_proof){true, 0, bl_cookie_hash(&rules->cookie_key, packet, now_s / BL_COOKIE_EPOCH_S)};
    /* A RST without ACK can't show a cookie: it is for the server, who will know whether it ends anything. */
    else if ((packet->tcp_flags & BL_TCP_ACK) != 0 && bl_cookie_verify(&rules->cookie_key, packet, now_s, &seen))
        *proof = (struct bl_reject_proof){true, seen.offset, seen.hash};
}

enum bl_reason bl_reject_answer(const struct bl_reject_rules *rules, const struct bl_reject_segment *segment,
                                uint64_t now_s, struct bl_reply *reply)
{
    const struct bl_packet *packet = segment->packet;
    struct dialogue dialogue;

    reply->flags = 0;
    reply->payload_bytes = 0;
    reply->cookie = 0;
    if (!bl_reject_answerable(packet))
        return BL_REASON_DROP_UNANSWERABLE;
    if (is_flags_odd(packet->tcp_flags))
        return BL_REASON_DROP_FLAGS;
    if (!segment->proof->ours)
        return BL_REASON_PASS_ESTABLISHED;
    reply->cookie = segment->proof->cookie;
    if ((packet->tcp_flags & BL_TCP_SYN) != 0) {
        /* Data in a SYN (fast open) is not acknowledged: the client sends it again when it has the cookie. */
        bl_reject_repeat_syn_ack(reply->cookie, packet->sequence + 1, reply);
        return BL_REASON_REJECT_SYN;
    }
    if ((packet->tcp_flags & BL_TCP_RST) != 0)
        return BL_REASON_REJECT_RST;

    dialogue.script = (struct bl_smtp_script){
        .hostname = rules->hostname,
        .class = segment->class,
        .ticket = dialogue.ticket,
        .stage = rules->stage,
        .starttls = rules->starttls,
    };
    dialogue.rules = rules;
    dialogue.now_s = now_s;
    dialogue.packet = packet;
    dialogue.payload = segment->payload;
    dialogue.room = answer_room(packet);
    dialogue.ticket[0] = '\0';
    return answer_dialogue(&dialogue, segment->proof->offset, reply);
}

void bl_reject_repeat_syn_ack(uint64_t cookie, uint32_t sequence, struct bl_reply *reply)
{
    set_reply(reply, BL_TCP_SYN | BL_TCP_ACK, (uint32_t)cookie, sequence);
    reply->mss = MSS_BYTES;
    reply->payload_bytes = 0;
    reply->cookie = cookie;
}

/* The greeting went out before, into the peer's window: it fits. */
void bl_reject_repeat_greeting(const struct bl_reject_rules *rules, uint64_t cookie, uint32_t sequence,
                               struct bl_reply *reply)
{
    const struct bl_smtp_script script = {.hostname = rules->hostname};

    set_reply(reply, BL_TCP_PSH | BL_TCP_ACK, (uint32_t)cookie + 1, sequence);
    reply->payload_bytes = (uint16_t)bl_smtp_greet(&script, reply->payload, BL_REJECT_PAYLOAD_MAX_IPV4);
    reply->cookie = cookie;
}

enum bl_reason bl_reject_reset(const struct bl_packet *packet, struct bl_reply *reply)
{
    uint8_t flags = packet->tcp_flags;
    uint32_t length = packet->payload_bytes;

    reply->flags = 0;
    reply->payload_bytes = 0;
    reply->cookie = 0;
    if (!bl_reject_answerable(packet))
        return BL_REASON_DROP_UNANSWERABLE;
    if (is_flags_odd(flags))
        return BL_REASON_DROP_FLAGS;
    if ((flags & BL_TCP_RST) != 0)
        return BL_REASON_RESET_ACTION;
    /* SYN and FIN take a number each; a SYN has acknowledged nothing, so that our number is 0 then. */
    if ((flags & BL_TCP_SYN) != 0)
        length++;
    if ((flags & BL_TCP_FIN) != 0)
        length++;
    set_reply(reply, BL_TCP_RST | BL_TCP_ACK, (flags & BL_TCP_ACK) != 0 ? packet->acknowledgement : 0,
              packet->sequence + length);
    /* There is nothing behind a reset. */
    reply->window = 0;
    return BL_REASON_RESET_ACTION;
}

/* A bare RST: with an ACK its number would have to be right too. */
static void set_rst(struct bl_reply *reply, uint32_t sequence)
{
    set_reply(reply, BL_TCP_RST, sequence, 0);
    reply->window = 0;
    reply->payload_bytes = 0;
    reply->cookie = 0;
}

void bl_reject_reset_onward(const struct bl_packet *packet, struct bl_reply *reply)
{
    set_rst(reply, packet->sequence);
    reply->onward = true;
}

bool bl_reject_reset_challenge(const struct bl_packet *packet, struct bl_reply *reply)
{
    const uint8_t looked_at = BL_TCP_ACK | BL_TCP_SYN | BL_TCP_FIN | BL_TCP_RST;

    reply->flags = 0;
    if ((packet->tcp_flags & looked_at) != BL_TCP_ACK || packet->payload_bytes != 0)
        return false;
    set_rst(reply, packet->acknowledgement);
    return true;
}
