/* Answers listed sources; see answer.h. */
#include "dataplane/answer.h"

#include "dataplane/forward.h"
#include "dataplane/segment.h"

/* A wrong checksum is not answered: the sender's real segment will come again, and a forged one should cost nothing. */
static enum bl_reason decide(const struct bl_worker *worker, const uint8_t *bytes, const struct bl_packet *packet,
                             const struct bl_decision *decision, struct bl_reply *reply)
{
    const struct bl_common *common = worker->common;
    uint64_t now_s;

    reply->flags = 0;
    if (!bl_parse_verify_checksums(bytes, packet))
        return BL_REASON_DROP_CHECKSUM;
    if (decision->verdict == BL_VERDICT_RESET)
        return bl_reject_reset(packet, reply);
    now_s = __atomic_load_n(&common->now_s, __ATOMIC_RELAXED);
    return bl_reject_answer(&common->rules, &worker->replica.classes[decision->class_id], packet,
                            bytes + packet->payload_offset, now_s, reply);
}

/* @return false when there is no buffer. */
static bool send_reply(struct bl_worker *worker, const uint8_t *bytes, const struct bl_packet *packet,
                       const struct bl_reply *reply)
{
    struct rte_mbuf *answer = rte_pktmbuf_alloc(worker->reply_pool);
    size_t length;

    if (answer == NULL)
        return false;
    length = bl_segment_build(bytes, packet, reply, rte_pktmbuf_mtod(answer, uint8_t *));
    answer->data_len = (uint16_t)length;
    answer->pkt_len = (uint32_t)length;
    bl_tx_push(&worker->tx[BL_SIDE_WAN], &worker->counters, answer);
    return true;
}

void bl_answer_frame(struct bl_worker *worker, struct rte_mbuf *frame, const struct bl_packet *packet,
                     const struct bl_decision *decision)
{
    const uint8_t *bytes = rte_pktmbuf_mtod(frame, const uint8_t *);
    struct bl_reply reply;
    enum bl_reason reason = decide(worker, bytes, packet, decision, &reply);

    if (reply.flags != 0 && !send_reply(worker, bytes, packet, &reply))
        reason = BL_REASON_DROP_NO_BUFFER;
    bl_counters_add_reason(&worker->counters, reason);
    if (bl_verdict_of(reason) == BL_VERDICT_PASS)
        bl_forward_frame(&worker->tx[BL_SIDE_LAN], &worker->counters, frame);
    else
        rte_pktmbuf_free(frame);
}
