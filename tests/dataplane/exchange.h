/** @file exchange.h
 * One frame through the whole pure path, as a worker does it: parse, classify, checksums, reject or reset, segment. The
 * judge looks at every answer, so that each test gets all the rules for nothing. */
#ifndef BL_TEST_EXCHANGE_H
#define BL_TEST_EXCHANGE_H

#include "answer_judge.h"
#include "dataplane/classify.h"
#include "dataplane/segment.h"

enum { EXCHANGE_CLASS = 1, EXCHANGE_NOW_S = 1800000000 };

struct exchange {
    struct bl_reject_rules rules;
    struct bl_class classes[BL_CLASS_COUNT];
    struct bl_classify_policy policy;
    uint64_t now_s;
    uint8_t class_id; /* of every source */
    uint8_t frame[FRAME_BYTES_MAX];
    uint8_t out[BL_SEGMENT_FRAME_MAX];
    size_t out_bytes;
    enum bl_reason reason;
    struct judgement judgement;
    struct frame_view view; /* of the answer */
};

static inline void exchange_init(struct exchange *exchange)
{
    memset(exchange, 0, sizeof(*exchange));
    exchange->rules = (struct bl_reject_rules){
        .cookie_key = {0x0706050403020100, 0x0f0e0d0c0b0a0908},
        .stage = BL_STAGE_RCPT,
        .starttls = BL_STARTTLS_HIDE,
        .hostname = "mx.example.org",
    };
    exchange->classes[EXCHANGE_CLASS] =
        (struct bl_class){.code = 606, .action = BL_ACTION_REJECT, .url = "https://delist.example.net/?ip={address}"};
    exchange->now_s = EXCHANGE_NOW_S;
    exchange->class_id = EXCHANGE_CLASS;
    bl_classify_policy_init(&exchange->policy);
    bl_classify_policy_protect(&exchange->policy, 25, BL_ACTION_REJECT);
}

/** The reason for a received frame; exchange->out_bytes is its answer's length, 0 when there is none. */
static inline enum bl_reason exchange_receive(struct exchange *exchange, const uint8_t *frame, size_t length)
{
    struct bl_packet packet;
    struct bl_decision decision;
    struct bl_reply reply;
    enum bl_reason reason;

    exchange->out_bytes = 0;
    bl_parse_frame(frame, length, &packet);
    if (bl_classify_needs_lookup(&exchange->policy, &packet, &decision))
        bl_classify_decide(&exchange->policy, exchange->classes, &packet, exchange->class_id, &decision);
    if (decision.verdict != BL_VERDICT_REJECT && decision.verdict != BL_VERDICT_RESET)
        return (enum bl_reason)decision.reason;
    if (!bl_parse_verify_checksums(frame, &packet))
        return BL_REASON_DROP_CHECKSUM;
    /* Stale bytes must never show: whatever is not written is poison. */
    memset(&reply, 0xa5, sizeof(reply));
    if (decision.verdict == BL_VERDICT_REJECT) {
        struct bl_reject_proof proof;
        const struct bl_reject_segment segment = {&packet, frame + packet.payload_offset,
                                                  &exchange->classes[decision.class_id], &proof};

        bl_reject_prove(&exchange->rules, &packet, exchange->now_s, &proof);
        reason = bl_reject_answer(&exchange->rules, &segment, exchange->now_s, &reply);
    } else {
        reason = bl_reject_reset(&packet, &reply);
    }
    memset(exchange->out, 0xa5, sizeof(exchange->out));
    if (reply.flags != 0)
        exchange->out_bytes = bl_segment_build(frame, &packet, &reply, exchange->out);
    return reason;
}

/** Receives the frame and judges the answer. @return what is wrong with it, or NULL. */
static inline const char *exchange_run(struct exchange *exchange, const uint8_t *frame, size_t length)
{
    struct judge judge = {&exchange->rules, &exchange->classes[EXCHANGE_CLASS], exchange->now_s};

    exchange->reason = exchange_receive(exchange, frame, length);
    exchange->judgement = judge_answer(&judge, frame, length, exchange->out, exchange->out_bytes);
    if (exchange->out_bytes != 0 && exchange->judgement.wrong == NULL)
        (void)frame_view_read(exchange->out, exchange->out_bytes, &exchange->view);
    return exchange->judgement.wrong;
}

/** Our first sequence number for the connection of @p spec, as its SYN-ACK would say it. */
static inline uint32_t exchange_isn(const struct exchange *exchange, const struct frame_spec *spec, uint64_t now_s)
{
    struct judge judge = {&exchange->rules, &exchange->classes[EXCHANGE_CLASS], now_s};
    struct judge_case c = {.judge = &judge};

    c.seen.family = spec->family;
    memcpy(c.seen.source, spec->source, spec->family == 4 ? 4 : 16);
    memcpy(c.seen.destination, spec->destination, spec->family == 4 ? 4 : 16);
    c.seen.source_port = spec->source_port;
    c.seen.destination_port = spec->destination_port;
    return judge_isn(&c, now_s / 1024);
}

static inline const char *exchange_payload(const struct exchange *exchange)
{
    return (const char *)exchange->out + exchange->view.payload;
}

#endif
