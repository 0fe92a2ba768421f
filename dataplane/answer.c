/* Answers listed sources; see answer.h. In order: decide, then the limits, then what is sent, then what is remembered.
 *
 * A wrong checksum is not answered: the sender's real segment will come again, and a forged one should cost nothing. */
#include "dataplane/answer.h"

#include "dataplane/cookie.h"
#include "dataplane/segment.h"

/* Of what is due again, in one turn: so that a burst of packets waits for so many at most. */
enum { RESENDS_A_TURN = 32 };

/* A segment with its frame. */
struct heard {
    const uint8_t *bytes;
    const struct bl_packet *packet;
    const struct bl_answer_job *job;
};

static enum bl_reason decide(const struct bl_worker *worker, const struct heard *heard, struct bl_reply *reply)
{
    const struct bl_common *common = worker->common;
    const struct bl_decision *decision = heard->job->decision;
    const struct bl_reject_segment segment = {heard->packet, heard->bytes + heard->packet->payload_offset,
                                              &worker->replica.classes[decision->class_id], &heard->job->proof};

    reply->flags = 0;
    reply->cookie = 0;
    if (!bl_parse_verify_checksums(heard->bytes, heard->packet))
        return BL_REASON_DROP_CHECKSUM;
    if (decision->verdict == BL_VERDICT_RESET)
        return bl_reject_reset(heard->packet, reply);
    return bl_reject_answer(&common->rules, &segment, __atomic_load_n(&common->now_s, __ATOMIC_RELAXED), reply);
}

/* A segment of a connection that is not ours. A RST ends what we would end, and goes on where anything does: nothing
 * answers it. */
static enum bl_reason decide_established(struct bl_worker *worker, const struct bl_packet *packet,
                                         struct bl_reply *reply)
{
    uint8_t established = worker->common->rules.established;

    if (established == BL_ESTABLISHED_DROP)
        return BL_REASON_DROP_ESTABLISHED;
    if (established == BL_ESTABLISHED_RESET && (packet->tcp_flags & BL_TCP_RST) == 0) {
        (void)bl_reject_reset(packet, reply);
        return BL_REASON_RESET_ESTABLISHED;
    }
    return bl_bucket_take(&worker->limits.established, worker->now_tsc) ? BL_REASON_PASS_ESTABLISHED
                                                                        : BL_REASON_DROP_LIMIT_ESTABLISHED;
}

/* What would be sent is held against its limit; one that is above is not sent, and its segment is dropped. */
static enum bl_reason limit(struct bl_worker *worker, enum bl_reason reason, struct bl_reply *reply)
{
    bool is_reset = bl_verdict_of(reason) == BL_VERDICT_RESET;

    if (reply->flags == 0 ||
        bl_bucket_take(is_reset ? &worker->limits.resets : &worker->limits.answers, worker->now_tsc))
        return reason;
    reply->flags = 0;
    return is_reset ? BL_REASON_DROP_LIMIT_RESET : BL_REASON_DROP_LIMIT_ANSWER;
}

bool bl_answer_send(struct bl_worker *worker, enum bl_side side, const uint8_t *bytes, const struct bl_packet *packet,
                    const struct bl_reply *reply)
{
    struct rte_mbuf *frame = rte_pktmbuf_alloc(worker->reply_pool);
    size_t length;

    if (frame == NULL)
        return false;
    length = bl_segment_build(bytes, packet, reply, rte_pktmbuf_mtod(frame, uint8_t *));
    frame->data_len = (uint16_t)length;
    frame->pkt_len = (uint32_t)length;
    bl_tx_push(&worker->tx[side], &worker->counters, frame);
    return true;
}

/* @return the final reason: what can't be sent for lack of a buffer is as if it had not come. */
static enum bl_reason send(struct bl_worker *worker, const struct heard *heard, enum bl_reason reason,
                           struct bl_reply *reply)
{
    if (reply->flags == 0)
        return reason;
    if (!bl_answer_send(worker, BL_SIDE_WAN, heard->bytes, heard->packet, reply))
        return BL_REASON_DROP_NO_BUFFER;
    if (reason != BL_REASON_RESET_ESTABLISHED)
        return reason;
    bl_reject_reset_onward(heard->packet, reply);
    return bl_answer_send(worker, BL_SIDE_LAN, heard->bytes, heard->packet, reply) ? reason : BL_REASON_DROP_NO_BUFFER;
}

/* The peer of a SYN-ACK that it did not ask for answers with a RST that shows no cookie. */
static void forget(struct bl_worker *worker, const struct bl_packet *packet)
{
    const struct bl_common *common = worker->common;
    struct bl_cookie_epochs good = bl_cookie_epochs(__atomic_load_n(&common->now_s, __ATOMIC_RELAXED));

    for (unsigned i = 0; i < good.n; i++)
        bl_resend_clear(&worker->resend, bl_cookie_hash(&common->rules.cookie_key, packet, good.epochs[i]));
}

/* What the ring of handshakes learns of this segment. */
static void remember(struct bl_worker *worker, const struct heard *heard, enum bl_reason reason, uint64_t cookie)
{
    if (worker->resend.memory.n_sets == 0)
        return;
    if (reason == BL_REASON_REJECT_SYN)
        bl_resend_note_syn(&worker->resend, heard->bytes, heard->packet, cookie, worker->now_tsc);
    else if (reason == BL_REASON_REJECT_GREETING)
        bl_resend_note_greeting(&worker->resend, heard->bytes, heard->packet, cookie, worker->now_tsc);
    else if (bl_verdict_of(reason) == BL_VERDICT_REJECT)
        bl_resend_clear(&worker->resend, cookie);
    else if (reason != BL_REASON_DROP_CHECKSUM && (heard->packet->tcp_flags & BL_TCP_RST) != 0)
        forget(worker, heard->packet);
}

static void answer(struct bl_worker *worker, struct bl_answer_job *job)
{
    const struct heard heard = {rte_pktmbuf_mtod(job->frame, const uint8_t *), job->packet, job};
    struct bl_reply reply;
    enum bl_reason reason = decide(worker, &heard, &reply);

    if (reason == BL_REASON_PASS_ESTABLISHED)
        reason = decide_established(worker, job->packet, &reply);
    reason = limit(worker, reason, &reply);
    reason = send(worker, &heard, reason, &reply);
    remember(worker, &heard, reason, reply.cookie);
    bl_counters_add_reason(&worker->counters, reason);
    job->passes = bl_verdict_of(reason) == BL_VERDICT_PASS;
    if (job->passes)
        return;
    bl_worker_sample(worker, job->packet, job->decision->class_id, reason,
                     reason == BL_REASON_REJECT_BOUNCE ? reply.denied : BL_DENIED_AT_NONE);
    rte_pktmbuf_free(job->frame);
}

/* Only a SYN and what may be a handshake's last ACK have an entry to be written. */
static bool is_handshake(const struct bl_answer_job *job)
{
    return job->proof.ours && job->proof.offset == 0;
}

/* First all hashes, then all misses of the handshakes' memory, so that they overlap. */
void bl_answer_burst(struct bl_worker *worker, struct bl_answer_job *jobs, unsigned n)
{
    const struct bl_common *common = worker->common;
    uint64_t now_s = __atomic_load_n(&common->now_s, __ATOMIC_RELAXED);

    for (unsigned i = 0; i < n; i++) {
        if (jobs[i].decision->verdict == BL_VERDICT_REJECT)
            bl_reject_prove(&common->rules, jobs[i].packet, now_s, &jobs[i].proof);
        else
            jobs[i].proof.ours = false;
        if (jobs[i].proof.ours)
            bl_resend_fetch_set(&worker->resend, jobs[i].proof.cookie);
    }
    for (unsigned i = 0; i < n; i++)
        if (is_handshake(&jobs[i]))
            bl_resend_fetch_entry(&worker->resend, jobs[i].proof.cookie);
    bl_steps_end(&worker->steps, BL_STEP_PROVE);
    for (unsigned i = 0; i < n; i++)
        answer(worker, &jobs[i]);
}

bool bl_answer_resend(struct bl_worker *worker)
{
    struct bl_counters *counters = &worker->counters;
    uint64_t n_limited = 0;
    struct bl_resend_due due;
    struct bl_reply reply;
    unsigned n = 0;

    while (n < RESENDS_A_TURN && bl_resend_next(&worker->resend, worker->now_tsc, &due, &n_limited)) {
        uint64_t *counter = &counters->resent_syn_ack;

        n++;
        if (due.state == BL_RESEND_SYN_ACK) {
            bl_reject_repeat_syn_ack(due.cookie, due.sequence, &reply);
        } else {
            bl_reject_repeat_greeting(&worker->common->rules, due.cookie, due.sequence, &reply);
            counter = &counters->resent_greeting;
        }
        if (bl_answer_send(worker, BL_SIDE_WAN, due.headers, &due.packet, &reply))
            bl_counters_add(counter, 1);
    }
    if (n_limited != 0)
        bl_counters_add(&counters->resend_limited, n_limited);
    return n != 0;
}
