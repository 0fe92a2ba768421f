/** @file tx.h
 * The last step of a packet's way: frames gathered for one port, sent in bursts (forward | answer → tx → port).
 *
 * One struct bl_tx a worker and port, so that no queue is shared. A worker flushes at the end of every turn of its
 * loop: no frame waits for the next one. Threads: owning worker. */
#ifndef BL_TX_H
#define BL_TX_H

#include <stdint.h>

#include <rte_mbuf.h>

#include "dataplane/counters.h"

enum { BL_TX_BURST = 64 };

struct bl_tx {
    uint16_t port;
    uint16_t queue;
    uint16_t n_pkts;
    uint32_t frame_max_bytes; /**< the longest frame that the port sends, without a tag of its own allowance */
    uint32_t tag_bytes;       /**< what a frame with an 8100 tag may have above that: 4 on kernel interfaces, else 0 */
    struct rte_mbuf *frames[BL_TX_BURST];
};

/** Takes the frame; sends a full burst at once. Cost: fast path. */
void bl_tx_push(struct bl_tx *tx, struct bl_counters *counters, struct rte_mbuf *frame);

/** The same for @p n frames. */
void bl_tx_push_burst(struct bl_tx *tx, struct bl_counters *counters, struct rte_mbuf *const *frames, unsigned n);

/** Sends what was pushed. What the port does not take after a few tries is freed and counted as drop_tx_full: to wait
 * for one port would stop the other direction too. Cost: fast path, bounded. */
void bl_tx_flush(struct bl_tx *tx, struct bl_counters *counters);

#endif
