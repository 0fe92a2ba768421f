/* The map of a packet's way: what one worker does, again and again; see worker.h.
 *
 *                        ┌─────── burst.c ───────┐
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

#include "dataplane/answer.h"
#include "dataplane/burst.h"
#include "dataplane/challenge.h"
#include "dataplane/forward.h"

/* Of a checksum, in one turn: some 10 µs when idle, a quarter of one between bursts. */
enum { CHECK_IDLE_BYTES = 64 << 10, CHECK_LOADED_BYTES = 2 << 10 };

static unsigned poll_wan(struct bl_worker *worker)
{
    const struct bl_tx *wan = &worker->tx[BL_SIDE_WAN];
    struct rte_mbuf *frames[BL_WORKER_BURST];
    unsigned n = rte_eth_rx_burst(wan->port, wan->queue, frames, BL_WORKER_BURST);

    bl_steps_end(&worker->steps, BL_STEP_RECEIVE);
    if (n > 0)
        bl_burst_take(worker, frames, n);
    return n;
}

static unsigned poll_lan(struct bl_worker *worker)
{
    const struct bl_tx *lan = &worker->tx[BL_SIDE_LAN];
    struct rte_mbuf *frames[BL_WORKER_BURST];
    unsigned n = rte_eth_rx_burst(lan->port, lan->queue, frames, BL_WORKER_BURST);

    if (n == 0)
        return 0;
    if (unlikely(worker->common->rules.established == BL_ESTABLISHED_RESET))
        bl_challenge_burst(worker, frames, n);
    bl_forward_burst(&worker->tx[BL_SIDE_WAN], &worker->counters, frames, n);
    bl_counters_add(&worker->counters.reasons[BL_REASON_PASS_FROM_LAN], n);
    return n;
}

bool bl_worker_turn(struct bl_worker *worker)
{
    const struct bl_common *common = worker->common;
    unsigned n;
    bool moved;

    worker->now_tsc = rte_rdtsc();
    bl_steps_begin(&worker->steps, worker->now_tsc);
    n = poll_wan(worker);
    n += poll_lan(worker);
    bl_steps_end(&worker->steps, BL_STEP_LAN);
    moved = bl_answer_resend(worker);
    moved |= bl_replica_follow(&worker->replica, &worker->mailbox, common->patch_step_bytes);
    bl_steps_end(&worker->steps, BL_STEP_BETWEEN);
    bl_tx_flush(&worker->tx[BL_SIDE_WAN], &worker->counters);
    bl_tx_flush(&worker->tx[BL_SIDE_LAN], &worker->counters);
    bl_steps_end(&worker->steps, BL_STEP_SEND);
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
