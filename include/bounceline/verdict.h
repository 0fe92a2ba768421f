/** @file verdict.h
 * The verdicts on a packet, and the one list of reasons. Each reason has a verdict, a counter of its own in every
 * worker, a name in `bounceline status` and a sentence for people: there is no drop without a name. */
#ifndef BL_VERDICT_H
#define BL_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

enum bl_verdict { BL_VERDICT_PASS, BL_VERDICT_REJECT, BL_VERDICT_DROP, BL_VERDICT_RESET };

/** enum suffix, verdict, counter's name, text. The order is the order in which a packet meets them. */
#define BL_REASONS(X) \
    X(PASS_FROM_LAN, PASS, "pass_from_lan", "came in on the protected side") \
    X(PASS_NOT_IP, PASS, "pass_not_ip", "neither IPv4 nor IPv6") \
    X(PASS_UNPARSABLE, PASS, "pass_unparsable", "can't be parsed, and its source is not listed or can't be read") \
    X(PASS_OTHER, PASS, "pass_other", "not TCP to a protected port and address") \
    X(PASS_NOT_LISTED, PASS, "pass_not_listed", "the source is not listed") \
    X(PASS_EXEMPT, PASS, "pass_exempt", "the source is exempt or delisted") \
    X(PASS_MONITOR, PASS, "pass_monitor", "listed, its class only monitors") \
    X(PASS_ESTABLISHED, PASS, "pass_established", "listed, a segment of a connection that is not ours") \
    X(REJECT_SYN, REJECT, "reject_syn", "listed, SYN answered with a cookie") \
    X(REJECT_GREETING, REJECT, "reject_greeting", "listed, handshake complete, greeting sent") \
    X(REJECT_COMMAND, REJECT, "reject_command", "listed, SMTP commands answered, none with the 550") \
    X(REJECT_BOUNCE, REJECT, "reject_bounce", "listed, answered with the 550") \
    X(REJECT_QUIT, REJECT, "reject_quit", "listed, QUIT answered and closed") \
    X(REJECT_PARTIAL, REJECT, "reject_partial", "listed, a segment without a line's end acknowledged") \
    X(REJECT_FIN, REJECT, "reject_fin", "listed, FIN acknowledged") \
    X(REJECT_ACK, REJECT, "reject_ack", "listed, a pure acknowledgement of the dialogue, nothing to answer") \
    X(REJECT_RST, REJECT, "reject_rst", "listed, a reset of our dialogue, never answered") \
    X(DROP_ESTABLISHED, DROP, "drop_established", "listed, a segment of a connection that is not ours, by setting") \
    X(DROP_ACTION, DROP, "drop_action", "listed, its class drops") \
    X(DROP_FRAGMENT, DROP, "drop_fragment", "listed, a fragment to a protected address") \
    X(DROP_UNPARSABLE, DROP, "drop_unparsable", "listed, can't be parsed") \
    X(DROP_CHECKSUM, DROP, "drop_checksum", "listed, checksum wrong: no answer to it") \
    X(DROP_UNANSWERABLE, DROP, "drop_unanswerable", \
      "listed, source or destination must not be answered (broadcast, multicast, bogon)") \
    X(DROP_FLAGS, DROP, "drop_flags", "listed, TCP flags that no connection uses") \
    X(DROP_WINDOW, DROP, "drop_window", "listed, the peer's window leaves no room for an answer") \
    X(DROP_LIMIT_ESTABLISHED, DROP, "drop_limit_established", \
      "listed, more segments of connections that are not ours than the limit") \
    X(DROP_LIMIT_ANSWER, DROP, "drop_limit_answer", "listed, more answers than the limit") \
    X(DROP_LIMIT_RESET, DROP, "drop_limit_reset", "listed, more resets than the limit") \
    X(DROP_NO_BUFFER, DROP, "drop_no_buffer", "listed, no buffer for the answer") \
    X(DROP_TX_FULL, DROP, "drop_tx_full", "the port took no more: lost on the way out") \
    X(DROP_OVERSIZE, DROP, "drop_oversize", "longer than the other port can send") \
    X(RESET_ESTABLISHED, RESET, "reset_established", "listed, a connection that is not ours reset at both ends") \
    X(RESET_ACTION, RESET, "reset_action", "listed, its class or port resets")

enum bl_reason {
#define X(suffix, verdict, name, text) BL_REASON_##suffix,
    BL_REASONS(X)
#undef X
        BL_REASON_COUNT
};

/** The reason's verdict. Cost: fast path (an array). */
enum bl_verdict bl_verdict_of(enum bl_reason reason);

/** True for what ends a listed source's attempt: the 550, a drop or a reset that its class or a setting asks for, what is
 * dropped whole because it can't be told apart (fragments, what can't be parsed). False for what comes before that, and
 * for segments that are dropped for a fault of their own. */
bool bl_verdict_is_final(unsigned reason);

/** At which command the 550 was said. The values are the wire's (bounceline.v1.DeniedAt). */
enum bl_denied_at {
    BL_DENIED_AT_NONE,  /**< there was no 550 */
    BL_DENIED_AT_OTHER, /**< at a line that is no command we know, or because the dialogue went on for too long */
    BL_DENIED_AT_MAIL,
    BL_DENIED_AT_RCPT,
    BL_DENIED_AT_STARTTLS,
    BL_DENIED_AT_COUNT,
};

/** "RCPT" ... ; "other" for OTHER, "" for NONE and what is out of range. */
const char *bl_verdict_denied_at_text(unsigned denied_at);

/** The reason of a counter's name. @return BL_REASON_COUNT for a name that this version does not know. */
unsigned bl_verdict_find_reason(const char *name);

/** The counter's name ("pass_from_lan") and the sentence. NULL when @p reason is out of range. */
const char *bl_verdict_reason_name(unsigned reason);
const char *bl_verdict_reason_text(unsigned reason);

#endif
