/* Answers servers that challenge our RST; see challenge.h.
 *
 * The one policy decides here too: it is asked about the client's segment that the server's would answer. */
#include "dataplane/challenge.h"

#include "dataplane/answer.h"

/* The server's segment as the client's: addresses and ports exchanged. */
static struct bl_packet turn(const struct bl_packet *packet)
{
    struct bl_packet turned = *packet;

    turned.source_port = packet->destination_port;
    turned.destination_port = packet->source_port;
    if (packet->family == BL_FAMILY_IPV4) {
        turned.source_ip4 = packet->destination_ip4;
        turned.destination_ip4 = packet->source_ip4;
    } else {
        turned.source_ip6 = packet->destination_ip6;
        turned.destination_ip6 = packet->source_ip6;
    }
    return turned;
}

/* Would the client's segments be rejected? */
static bool is_rejected(const struct bl_worker *worker, const struct bl_packet *turned)
{
    const struct bl_replica *replica = &worker->replica;
    struct bl_decision decision;
    uint8_t class_id;

    if (!bl_classify_needs_lookup(&worker->common->policy, turned, &decision))
        return false;
    if (turned->family == BL_FAMILY_IPV4)
        bl_table_lookup_ipv4_burst(replica->table, &turned->source_ip4, &class_id, 1);
    else
        bl_table_lookup_ipv6_burst(replica->table, &turned->source_ip6, &class_id, 1);
    bl_classify_decide(&worker->common->policy, replica->classes, turned, class_id, &decision);
    return decision.verdict == BL_VERDICT_REJECT;
}

static void answer_challenge(struct bl_worker *worker, const uint8_t *bytes, const struct bl_packet *packet)
{
    struct bl_packet turned = turn(packet);
    struct bl_reply reply;

    if (!bl_reject_reset_challenge(packet, &reply) || !is_rejected(worker, &turned) || !bl_reject_answerable(packet) ||
        !bl_parse_verify_checksums(bytes, packet))
        return;
    if (!bl_bucket_take(&worker->limits.resets, worker->now_tsc))
        bl_counters_add(&worker->counters.challenge_limited, 1);
    else if (bl_answer_send(worker, BL_SIDE_LAN, bytes, packet, &reply))
        bl_counters_add(&worker->counters.challenge_reset, 1);
}

void bl_challenge_burst(struct bl_worker *worker, struct rte_mbuf *const *frames, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const uint8_t *bytes = rte_pktmbuf_mtod(frames[i], const uint8_t *);
        struct bl_packet packet;

        bl_parse_frame(bytes, frames[i]->data_len, &packet);
        if (packet.status == BL_PARSE_TCP && packet.payload_bytes == 0 &&
            bl_classify_is_protected_port(&worker->common->policy, packet.source_port))
            answer_challenge(worker, bytes, &packet);
    }
}
