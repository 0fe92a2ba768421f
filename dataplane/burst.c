/* A burst from the WAN port: parse → look_up → deliver; see burst.h. */
#include "dataplane/burst.h"

#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include "dataplane/answer.h"
#include "dataplane/forward.h"
#include "dataplane/glance.h"

/* The packets of one family whose source is to be looked up: where they stand in the burst. */
struct asked {
    enum bl_family family;
    unsigned n;
    uint8_t at[BL_WORKER_BURST];
};

/* One burst on its way through the steps. What passes at a glance leaves no trace but a count; frame i has packets[i]
 * where `parsed` has its bit, and decisions[i] where `stopped` has it. */
struct burst {
    unsigned n;
    struct rte_mbuf **frames;
    uint64_t parsed;
    uint64_t stopped; /* the others pass, and are counted */
    struct bl_packet packets[BL_WORKER_BURST];
    struct bl_decision decisions[BL_WORKER_BURST];
    struct asked asked_ipv4;
    struct asked asked_ipv6;
    uint32_t ipv4[BL_WORKER_BURST];
    struct bl_ip6 ipv6[BL_WORKER_BURST];
};

static void ask_ipv4(struct burst *burst, unsigned i, uint32_t ip4)
{
    burst->asked_ipv4.at[burst->asked_ipv4.n] = (uint8_t)i;
    burst->ipv4[burst->asked_ipv4.n++] = ip4;
}

static void ask_ipv6(struct burst *burst, unsigned i, struct bl_ip6 ip6)
{
    burst->asked_ipv6.at[burst->asked_ipv6.n] = (uint8_t)i;
    burst->ipv6[burst->asked_ipv6.n++] = ip6;
}

/* A TCP segment to a protected port, of the shape that a glance knows. @return 1 when it passes as other traffic. */
static unsigned glance_at_protected(const struct bl_classify_policy *policy, struct burst *burst, unsigned i,
                                    enum bl_family family)
{
    const uint8_t *bytes = rte_pktmbuf_mtod(burst->frames[i], const uint8_t *);

    if (family == BL_FAMILY_IPV4) {
        if (!bl_classify_is_protected_ip4(policy, bl_glance_destination_ip4(bytes)))
            return 1;
        ask_ipv4(burst, i, bl_glance_source_ip4(bytes));
    } else {
        if (!bl_classify_is_protected_ip6(policy, bl_glance_destination_ip6(bytes)))
            return 1;
        ask_ipv6(burst, i, bl_glance_source_ip6(bytes));
    }
    return 0;
}

/* Ports hand over whole frames in one buffer (port.c sizes them so). A driver that does not gets its frame joined, which
 * changes none of its bytes; where that can't be done it is judged by its first part, which the parser calls unparsable. */
static void parse_other_shape(struct bl_worker *worker, struct burst *burst, unsigned i)
{
    const struct bl_packet *packet = &burst->packets[i];

    if (unlikely(burst->frames[i]->nb_segs > 1))
        (void)rte_pktmbuf_linearize(burst->frames[i]);
    bl_parse_frame(rte_pktmbuf_mtod(burst->frames[i], const uint8_t *), burst->frames[i]->data_len, &burst->packets[i]);
    burst->parsed |= UINT64_C(1) << i;
    if (!bl_classify_needs_lookup(&worker->common->policy, packet, &burst->decisions[i]))
        bl_counters_add_reason(&worker->counters, burst->decisions[i].reason);
    else if (packet->family == BL_FAMILY_IPV4)
        ask_ipv4(burst, i, packet->source_ip4);
    else
        ask_ipv6(burst, i, packet->source_ip6);
}

static void parse(struct bl_worker *worker, struct burst *burst)
{
    const struct bl_classify_policy *policy = &worker->common->policy;
    unsigned n_other = 0;

    for (unsigned i = 0; i < burst->n; i++)
        rte_prefetch0(rte_pktmbuf_mtod(burst->frames[i], const void *));
    burst->parsed = 0;
    burst->stopped = 0;
    burst->asked_ipv4.family = BL_FAMILY_IPV4;
    burst->asked_ipv4.n = 0;
    burst->asked_ipv6.family = BL_FAMILY_IPV6;
    burst->asked_ipv6.n = 0;
    for (unsigned i = 0; i < burst->n; i++) {
        const uint8_t *bytes = rte_pktmbuf_mtod(burst->frames[i], const uint8_t *);
        enum bl_family family = bl_glance_family(bytes, burst->frames[i]->data_len);

        if (unlikely(family == BL_FAMILY_NONE))
            parse_other_shape(worker, burst, i);
        else if (!bl_classify_is_protected_port(policy, bl_glance_destination_port(bytes, family)))
            n_other++;
        else
            n_other += glance_at_protected(policy, burst, i, family);
    }
    bl_counters_add(&worker->counters.reasons[BL_REASON_PASS_OTHER], n_other);
}

/* What the list does not know passes; the others are for the policy to decide. */
static void decide(struct bl_worker *worker, struct burst *burst, const struct asked *asked, const uint8_t *classes)
{
    unsigned n_not_listed = 0;

    for (unsigned k = 0; k < asked->n; k++) {
        unsigned i = asked->at[k];
        bool parsed = (burst->parsed >> i & 1) != 0;

        if (classes[k] == BL_CLASS_NONE && !parsed) {
            n_not_listed++;
            continue;
        }
        if (!parsed)
            bl_glance_packet(rte_pktmbuf_mtod(burst->frames[i], const uint8_t *), asked->family, &burst->packets[i]);
        bl_classify_decide(&worker->common->policy, worker->replica.classes, &burst->packets[i], classes[k],
                           &burst->decisions[i]);
        if (burst->decisions[i].verdict == BL_VERDICT_PASS)
            bl_counters_add_reason(&worker->counters, burst->decisions[i].reason);
        else
            burst->stopped |= UINT64_C(1) << i;
    }
    bl_counters_add(&worker->counters.reasons[BL_REASON_PASS_NOT_LISTED], n_not_listed);
}

static void look_up(struct bl_worker *worker, struct burst *burst)
{
    uint8_t classes[BL_WORKER_BURST];

    if (burst->asked_ipv4.n > 0) {
        bl_table_lookup_ipv4_burst(worker->replica.table, burst->ipv4, classes, burst->asked_ipv4.n);
        decide(worker, burst, &burst->asked_ipv4, classes);
    }
    if (burst->asked_ipv6.n > 0) {
        bl_table_lookup_ipv6_burst(worker->replica.table, burst->ipv6, classes, burst->asked_ipv6.n);
        decide(worker, burst, &burst->asked_ipv6, classes);
    }
}

static void drop(struct bl_worker *worker, struct burst *burst, unsigned i)
{
    const struct bl_decision *decision = &burst->decisions[i];

    bl_counters_add_reason(&worker->counters, decision->reason);
    bl_worker_sample(worker, &burst->packets[i], decision->class_id, decision->reason, BL_DENIED_AT_NONE);
    rte_pktmbuf_free(burst->frames[i]);
}

/* What does not pass. A segment of a connection that is not ours may pass after all, and is among the passing ones then. */
static void stop(struct bl_worker *worker, struct burst *burst)
{
    struct bl_answer_job jobs[BL_WORKER_BURST];
    uint8_t at[BL_WORKER_BURST];
    unsigned n = 0;

    for (uint64_t left = burst->stopped; left != 0; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);

        if (burst->decisions[i].verdict == BL_VERDICT_DROP) {
            drop(worker, burst, i);
            continue;
        }
        jobs[n].frame = burst->frames[i];
        jobs[n].packet = &burst->packets[i];
        at[n] = (uint8_t)i;
        jobs[n++].decision = &burst->decisions[i];
    }
    bl_answer_burst(worker, jobs, n);
    for (unsigned k = 0; k < n; k++)
        burst->stopped &= ~((uint64_t)jobs[k].passes << at[k]);
}

/* All that passes goes out in the order in which it came in. */
static void deliver(struct bl_worker *worker, struct burst *burst)
{
    struct rte_mbuf *passing[BL_WORKER_BURST];
    unsigned n_passing = 0;

    if (burst->stopped != 0) {
        stop(worker, burst);
        bl_steps_end(&worker->steps, BL_STEP_ANSWER);
    }
    for (unsigned i = 0; i < burst->n; i++) {
        passing[n_passing] = burst->frames[i];
        n_passing += (burst->stopped >> i & 1) == 0;
    }
    bl_forward_burst(&worker->tx[BL_SIDE_LAN], &worker->counters, passing, n_passing);
    bl_steps_end(&worker->steps, BL_STEP_FORWARD);
}

void bl_burst_take(struct bl_worker *worker, struct rte_mbuf **frames, unsigned n)
{
    struct burst burst;

    burst.frames = frames;
    burst.n = n;
    parse(worker, &burst);
    bl_steps_end(&worker->steps, BL_STEP_PARSE);
    look_up(worker, &burst);
    bl_steps_end(&worker->steps, BL_STEP_LOOK_UP);
    deliver(worker, &burst);
}
