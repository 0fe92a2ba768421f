/** @file counters.h
 * One worker's counters: one a reason, the packets in and out, and what it sends of its own accord.
 *
 * Written by the owning worker alone, with plain additions; read by the main core for reports and by the telemetry
 * thread. Loads and stores are relaxed atomics so that a reader never sees a torn value: each counter is right on its
 * own, and they need not agree with each other to the packet. */
#ifndef BL_COUNTERS_H
#define BL_COUNTERS_H

#include <stdint.h>

#include <rte_common.h>

#include "bounceline/verdict.h"

/** Of packets that answer none, or that the reason of another does not tell of: member and name. */
#define BL_COUNTERS_OWN(X) \
    X(resent_syn_ack)    /* a handshake was not completed in time */ \
    X(resent_greeting)   /* the greeting was not acknowledged in time */ \
    X(resend_limited)    /* due, but above the limit, or without a credit */ \
    X(challenge_reset)   /* established: reset, a server's challenge answered */ \
    X(challenge_limited) /* the same above the limit of resets */

struct bl_counters {
    uint64_t reasons[BL_REASON_COUNT];
    uint64_t rx_packets; /**< from both ports */
    uint64_t tx_packets; /**< to both ports, answers too */
#define X(member) uint64_t member;
    BL_COUNTERS_OWN(X)
#undef X
} __rte_cache_aligned;

/** Threads: owning worker. Cost: fast path, a load and a store: no other core writes here. */
static inline void bl_counters_add(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static inline void bl_counters_add_reason(struct bl_counters *counters, unsigned reason)
{
    bl_counters_add(&counters->reasons[reason], 1);
}

/** Threads: any. */
static inline uint64_t bl_counters_read(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

#endif
