/** @file reject.h
 * What to answer a listed source, from the segment alone (classify → reject → segment). The dialogue's measured rules
 * are the project's REJECT notes; the README's chapter "The dialogue" is their public form.
 *
 * Decide, then emit: bl_reject_answer() returns a record, segment.c makes the frame, tx.c sends it. No state between
 * segments: the cookie (cookie.c) in the acknowledgement number says which byte of our side the peer has seen, and
 * smtp.c answers the lines of this segment. Pure: time and keys come in by argument. Threads: any. Cost: fast path. */
#ifndef BL_REJECT_H
#define BL_REJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "bounceline/class.h"
#include "bounceline/settings.h"
#include "bounceline/siphash.h"
#include "bounceline/verdict.h"
#include "dataplane/parse.h"

/** No reply segment carries more: the peer's MSS is not known without state. */
enum { BL_REJECT_PAYLOAD_MAX_IPV4 = 536, BL_REJECT_PAYLOAD_MAX_IPV6 = 1220 };

/** Immutable while workers run; shared by all. */
struct bl_reject_rules {
    struct bl_siphash_key cookie_key;    /**< from getrandom or the key file; never zero */
    struct bl_siphash_key ticket_key;    /**< from its file; zero: {ticket} becomes nothing */
    uint8_t ipv6_unit;                   /**< what a ticket for an IPv6 address is about */
    uint8_t stage;                       /**< enum bl_stage: 550 at RCPT, or at MAIL */
    uint8_t starttls;                    /**< enum bl_starttls */
    uint8_t established;                 /**< enum bl_established: of connections that are not ours (answer.c) */
    char hostname[BL_SETTINGS_TEXT_MAX]; /**< checked by bl_reject_rules_validate */
};

/** The answer to one segment. flags == 0: send nothing. */
struct bl_reply {
    uint8_t flags; /**< BL_TCP_* of the answer */
    bool onward;   /**< on to the segment's destination, in the name of its source; else back to the source */
    uint16_t mss;  /**< the MSS option of a SYN-ACK; 0: no option */
    uint32_t sequence;
    uint32_t acknowledgement;
    uint16_t window;
    uint16_t payload_bytes;
    uint64_t cookie; /**< bl_cookie_hash of the dialogue; 0: the segment is of none */
    uint8_t denied;  /**< enum bl_denied_at; only where the reason is REJECT_BOUNCE */
    char payload[BL_REJECT_PAYLOAD_MAX_IPV6];
};

/** Refuses a host name that could break or overflow an SMTP line, and a zero key. @return 0 or BL_EINVAL. */
int bl_reject_rules_validate(const struct bl_reject_rules *rules, struct bl_error_detail *detail);

/** What a segment shows of whose dialogue it is, before its payload is looked at. */
struct bl_reject_proof {
    bool ours;       /**< a SYN, which begins one, or an acknowledgement of our side */
    uint32_t offset; /**< bytes of our side that the peer has; 0 of a SYN */
    uint64_t cookie; /**< bl_cookie_hash of the dialogue; 0 when it is not ours */
};

/** A TCP segment from a source of an in-use class with action reject, its checksums verified. All borrowed. */
struct bl_reject_segment {
    const struct bl_packet *packet;
    const uint8_t *payload; /**< packet->payload_bytes long */
    const struct bl_class *class;
    const struct bl_reject_proof *proof;
};

/** Hashes and compares: a step of its own, so that the hashes of a burst overlap and what is remembered of the dialogue can
 * be fetched meanwhile. */
void bl_reject_prove(const struct bl_reject_rules *rules, const struct bl_packet *packet, uint64_t now_s,
                     struct bl_reject_proof *proof);

/** Decides the answer.
 * @param now_s wall clock, seconds; only its epoch and day count
 * @param reply written always; reply->flags == 0 when nothing is to be sent
 * @return the reason: REJECT_*, DROP_*, or PASS_ESTABLISHED when the segment is not of our dialogue and
 * goes on to the server. */
enum bl_reason bl_reject_answer(const struct bl_reject_rules *rules, const struct bl_reject_segment *segment,
                                uint64_t now_s, struct bl_reply *reply);

/** The SYN-ACK or the greeting of a dialogue once more, when nothing was heard since (resend.c).
 * @param cookie   its bl_cookie_hash
 * @param sequence what the peer sends next */
void bl_reject_repeat_syn_ack(uint64_t cookie, uint32_t sequence, struct bl_reply *reply);
void bl_reject_repeat_greeting(const struct bl_reject_rules *rules, uint64_t cookie, uint32_t sequence,
                               struct bl_reply *reply);

/** The RST,ACK of the action `reset` (RFC 9293, 3.10.7.1): never for a RST, a SYN-ACK or odd flags. Sets flags to 0
 * when there is none. @return RESET_ACTION, DROP_UNANSWERABLE or DROP_FLAGS. */
enum bl_reason bl_reject_reset(const struct bl_packet *packet, struct bl_reply *reply);

/** For a segment of a connection that is not ours: the RST that ends it at the server, at the segment's own number
 * (RFC 9293, 3.10.7.4). */
void bl_reject_reset_onward(const struct bl_packet *packet, struct bl_reply *reply);

/** For a segment of the server: true when it is a bare acknowledgement, as the challenge to a RST at another number
 * than it expects (RFC 5961, 3.2); @p reply is then the RST at the number that it names, back to the server. */
bool bl_reject_reset_challenge(const struct bl_packet *packet, struct bl_reply *reply);

/** False for sources and destinations that must get no answer: broadcast, multicast, unspecified, loopback,
 * link-local and reserved (240/4) IPv4, IPv4-mapped IPv6, source equal to destination, and any group MAC address. */
bool bl_reject_answerable(const struct bl_packet *packet);

#endif
