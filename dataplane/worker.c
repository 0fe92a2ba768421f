/* The map of a packet's way: what one worker does, again and again; see worker.h.
 *
 *   WAN port → receive → parse → look_up → deliver ┬─ pass ──────────▶ forward.c → tx.c → LAN port
 *                                                  ├─ drop ──────────▶ counted and freed
 *                                                  └─ reject, reset ─▶ answer.c  → tx.c → WAN port
 *   LAN port ─────────────────────────────────────────────────────────▶ forward.c → tx.c → WAN port
 *                                        handshakes that wait in vain ─▶ answer.c  → tx.c → WAN port
 *
 * Each step goes over the whole burst before the next one starts, so that a step's misses of the cache overlap.
 * Between bursts the replica takes a step toward the main core's latest state (replica.c). */
#include "dataplane/worker.h"

#include <sys/prctl.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include "dataplane/answer.h"
#include "dataplane/challenge.h"
#include "dataplane/forward.h"

/* Of a checksum, in one turn: some 10 µs when idle, a quarter of one between bursts. */
enum { CHECK_IDLE_BYTES = 64 << 10, CHECK_LOADED_BYTES = 2 << 10 };

/* One burst on its way through the steps; frame i has packets[i] and decisions[i]. */
struct burst {
    unsigned n;
    unsigned n_ipv4;
    unsigned n_ipv6;
    struct rte_mbuf *frames[BL_WORKER_BURST];
    struct bl_packet packets[BL_WORKER_BURST];
    struct bl_decision decisions[BL_WORKER_BURST];
    /* The packets whose source is to be looked up, by family: their keys, and where they stand in the burst. */
    uint32_t ipv4[BL_WORKER_BURST];
    struct bl_ip6 ipv6[BL_WORKER_BURST];
    uint8_t of_ipv4[BL_WORKER_BURST];
    uint8_t of_ipv6[BL_WORKER_BURST];
};

/* Ports hand over whole frames in one buffer (port.c sizes them so). A driver that does not gets its frame joined, which
 * changes none of its bytes; where that can't be done it is judged by its first part, which the parser calls unparsable. */
static void parse(const struct bl_classify_policy *policy, struct burst *burst)
{
    for (unsigned i = 0; i < burst->n; i++)
        rte_prefetch0(rte_pktmbuf_mtod(burst->frames[i], const void *));
    burst->n_ipv4 = 0;
    burst->n_ipv6 = 0;
    for (unsigned i = 0; i < burst->n; i++) {
        struct bl_packet *packet = &burst->packets[i];

        if (unlikely(burst->frames[i]->nb_segs > 1))
            (void)rte_pktmbuf_linearize(burst->frames[i]);
        bl_parse_frame(rte_pktmbuf_mtod(burst->frames[i], const uint8_t *), burst->frames[i]->data_len, packet);
        if (!bl_classify_needs_lookup(policy, packet, &burst->decisions[i]))
            continue;
        if (packet->family == BL_FAMILY_IPV4) {
            burst->of_ipv4[burst->n_ipv4] = (uint8_t)i;
            burst->ipv4[burst->n_ipv4++] = packet->source_ip4;
        } else {
            burst->of_ipv6[burst->n_ipv6] = (uint8_t)i;
            burst->ipv6[burst->n_ipv6++] = packet->source_ip6;
        }
    }
}

static void look_up(const struct bl_classify_policy *policy, const struct bl_replica *replica, struct burst *burst)
{
    uint8_t classes[BL_WORKER_BURST];

    bl_table_lookup_ipv4_burst(replica->table, burst->ipv4, classes, burst->n_ipv4);
    for (unsigned i = 0; i < burst->n_ipv4; i++) {
        unsigned at = burst->of_ipv4[i];

        bl_classify_decide(policy, replica->classes, &burst->packets[at], classes[i], &burst->decisions[at]);
    }
    bl_table_lookup_ipv6_burst(replica->table, burst->ipv6, classes, burst->n_ipv6);
    for (unsigned i = 0; i < burst->n_ipv6; i++) {
        unsigned at = burst->of_ipv6[i];

        bl_classify_decide(policy, replica->classes, &burst->packets[at], classes[i], &burst->decisions[at]);
    }
}

static void deliver(struct bl_worker *worker, struct burst *burst)
{
    for (unsigned i = 0; i < burst->n; i++) {
        const struct bl_decision *decision = &burst->decisions[i];

        if (decision->verdict == BL_VERDICT_REJECT || decision->verdict == BL_VERDICT_RESET) {
            bl_answer_frame(worker, burst->frames[i], &burst->packets[i], decision);
            continue;
        }
        bl_counters_add_reason(&worker->counters, decision->reason);
        if (decision->verdict == BL_VERDICT_PASS) {
            bl_forward_frame(&worker->tx[BL_SIDE_LAN], &worker->counters, burst->frames[i]);
        } else {
            bl_worker_sample(worker, &burst->packets[i], decision->class_id, decision->reason, BL_DENIED_AT_NONE);
            rte_pktmbuf_free(burst->frames[i]);
        }
    }
}

static unsigned poll_wan(struct bl_worker *worker, struct burst *burst)
{
    const struct bl_tx *wan = &worker->tx[BL_SIDE_WAN];

    burst->n = rte_eth_rx_burst(wan->port, wan->queue, burst->frames, BL_WORKER_BURST);
    if (burst->n == 0)
        return 0;
    parse(&worker->common->policy, burst);
    look_up(&worker->common->policy, &worker->replica, burst);
    deliver(worker, burst);
    return burst->n;
}

static unsigned poll_lan(struct bl_worker *worker, struct burst *burst)
{
    const struct bl_tx *lan = &worker->tx[BL_SIDE_LAN];
    unsigned n = rte_eth_rx_burst(lan->port, lan->queue, burst->frames, BL_WORKER_BURST);

    if (unlikely(worker->common->rules.established == BL_ESTABLISHED_RESET))
        bl_challenge_burst(worker, burst->frames, n);
    for (unsigned i = 0; i < n; i++)
        bl_forward_frame(&worker->tx[BL_SIDE_WAN], &worker->counters, burst->frames[i]);
    bl_counters_add(&worker->counters.reasons[BL_REASON_PASS_FROM_LAN], n);
    return n;
}

bool bl_worker_turn(struct bl_worker *worker)
{
    const struct bl_common *common = worker->common;
    struct burst burst;
    unsigned n;
    bool moved;

    worker->now_tsc = rte_rdtsc();
    n = poll_wan(worker, &burst) + poll_lan(worker, &burst);
    moved = bl_answer_resend(worker);
    moved |= bl_replica_follow(&worker->replica, &worker->mailbox, common->patch_step_bytes);
    bl_tx_flush(&worker->tx[BL_SIDE_WAN], &worker->counters);
    bl_tx_flush(&worker->tx[BL_SIDE_LAN], &worker->counters);
    bl_counters_add(&worker->counters.rx_packets, n);
    bl_replica_check_step(&worker->replica, n > 0 ? CHECK_LOADED_BYTES : CHECK_IDLE_BYTES);
    return n > 0 || moved;
}

int bl_worker_run(void *argument)
{
    struct bl_worker *worker = argument;
    const struct bl_common *common = worker->common;

    /* Without this the kernel rounds short sleeps up by 50 µs. */
    prctl(PR_SET_TIMERSLACK, 1000UL);
    bl_idle_reset(&worker->idle);
    while (!__atomic_load_n(&common->stop, __ATOMIC_RELAXED)) {
        if (bl_worker_turn(worker))
            bl_idle_reset(&worker->idle);
        else
            bl_idle_wait(&worker->idle, common->idle_sleep_us);
    }
    return 0;
}
