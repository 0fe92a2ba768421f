/* Sends bursts; see tx.h. */
#include "dataplane/tx.h"

#include <string.h>

#include <rte_ethdev.h>
#include <rte_pause.h>

/* A queue that stays full for this many tries is not held up by a descriptor that is about to be free. */
enum { TRIES_MAX = 8 };

void bl_tx_push(struct bl_tx *tx, struct bl_counters *counters, struct rte_mbuf *frame)
{
    tx->frames[tx->n_pkts++] = frame;
    if (tx->n_pkts == BL_TX_BURST)
        bl_tx_flush(tx, counters);
}

void bl_tx_push_burst(struct bl_tx *tx, struct bl_counters *counters, struct rte_mbuf *const *frames, unsigned n)
{
    while (n > 0) {
        unsigned room = BL_TX_BURST - tx->n_pkts;
        unsigned n_now = n < room ? n : room;

        memcpy(tx->frames + tx->n_pkts, frames, n_now * sizeof(frames[0]));
        tx->n_pkts = (uint16_t)(tx->n_pkts + n_now);
        frames += n_now;
        n -= n_now;
        if (tx->n_pkts == BL_TX_BURST)
            bl_tx_flush(tx, counters);
    }
}

void bl_tx_flush(struct bl_tx *tx, struct bl_counters *counters)
{
    uint16_t n_sent = 0;

    if (tx->n_pkts == 0)
        return;
    for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
        n_sent += rte_eth_tx_burst(tx->port, tx->queue, tx->frames + n_sent, tx->n_pkts - n_sent);
        if (n_sent == tx->n_pkts)
            break;
        rte_pause();
    }
    bl_counters_add(&counters->tx_packets, n_sent);
    if (unlikely(n_sent < tx->n_pkts)) {
        bl_counters_add(&counters->reasons[BL_REASON_DROP_TX_FULL], tx->n_pkts - n_sent);
        rte_pktmbuf_free_bulk(tx->frames + n_sent, tx->n_pkts - n_sent);
    }
    tx->n_pkts = 0;
}
