/** @file worker.h
 * A worker: one polling core, and everything that it owns in one struct. worker.c is the map of a packet's way.
 *
 * Worker i has queue pair i of both ports, its own replica of the table, mailbox, buffers for answers and counters. It
 * takes no lock, makes no system call per packet (a driver may), and shares no line that is written but its mailbox
 * and the clock's. Made and freed by the main core while it does not run. */
#ifndef BL_WORKER_H
#define BL_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_common.h>
#include <rte_mempool.h>

#include "dataplane/bucket.h"
#include "dataplane/classify.h"
#include "dataplane/counters.h"
#include "dataplane/idle.h"
#include "dataplane/mailbox.h"
#include "dataplane/reject.h"
#include "dataplane/replica.h"
#include "dataplane/resend.h"
#include "dataplane/sampler.h"
#include "dataplane/steps.h"
#include "dataplane/tx.h"

/** Frames taken from a port at once: enough to hide the table's memory latency behind prefetches. */
enum { BL_WORKER_BURST = 64 };

enum bl_side { BL_SIDE_WAN, BL_SIDE_LAN, BL_SIDE_COUNT };

/** What all workers share. Immutable while they run, but for the fields at the end. */
struct bl_common {
    struct bl_reject_rules rules;
    struct bl_classify_policy policy;
    uint32_t idle_sleep_us; /**< at most; 0: poll: busy */
    size_t patch_step_bytes;
    /* Written by the main core now and then (relaxed: they order nothing). The clock is good to a second or so, which
     * is enough for the cookie's epoch of 1024 s. */
    uint64_t now_s __rte_cache_aligned;
    uint64_t now_ms; /* the same clock, for samples: good to a turn of the main core's loop, 20 ms */
    bool stop;
};

/** What one worker may send or let through; see the settings of the same names. */
struct bl_limits {
    struct bl_bucket answers;
    struct bl_bucket established;
    struct bl_bucket resets;
};

struct bl_worker {
    struct bl_common *common; /**< borrowed */
    struct rte_mempool *reply_pool;
    unsigned id;
    unsigned lcore;
    int socket_id;
    uint64_t now_tsc; /**< the time stamp counter when this turn began: the clock of limits and resends */
    struct bl_replica replica;
    struct bl_limits limits;
    struct bl_resend resend;
    struct bl_idle idle;
    struct bl_tx tx[BL_SIDE_COUNT];
    struct bl_counters counters;
    struct bl_mailbox mailbox;
    struct bl_sampler sampler;
    struct bl_steps steps;
} __rte_cache_aligned;

/** Offers a packet that ended with @p reason, not a pass, to the sampler. Threads: owning worker. Cost: fast path. */
static inline void bl_worker_sample(struct bl_worker *worker, const struct bl_packet *packet, uint8_t class_id,
                                    enum bl_reason reason, uint8_t denied)
{
    struct bl_sample event;

    if (bl_sampler_pass_over(&worker->sampler, reason, worker->now_tsc))
        return;
    event = (struct bl_sample){
        .time_ms = __atomic_load_n(&worker->common->now_ms, __ATOMIC_RELAXED),
        .class_id = class_id,
        .reason = (uint8_t)reason,
        .denied = denied,
    };
    bl_sampler_offer(&worker->sampler, packet, &event, worker->now_tsc);
}

/** One turn of the loop: a burst from each port, what is due again, a step of the replica, and all that is to be sent.
 * @return false: nothing came in, and nothing was to be done. Threads: owning worker. Cost: fast path. */
bool bl_worker_turn(struct bl_worker *worker);

/** Turns until common->stop. @param worker a struct bl_worker. @return 0. Threads: its lcore (rte_eal_remote_launch). */
int bl_worker_run(void *worker);

#endif
