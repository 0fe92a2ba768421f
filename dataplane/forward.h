/** @file forward.h
 * A frame that passes goes to the other port, unchanged to the bit (classify → forward → tx).
 *
 * Nothing here, and nothing that may run before it, writes into the frame. Threads: owning worker. Cost: fast path. */
#ifndef BL_FORWARD_H
#define BL_FORWARD_H

#include <rte_mbuf.h>

#include "dataplane/counters.h"
#include "dataplane/tx.h"

/** Takes the frame. One that the port could not send whole is dropped and counted as drop_oversize: some drivers
 * would drop it without a word. */
void bl_forward_frame(struct bl_tx *tx, struct bl_counters *counters, struct rte_mbuf *frame);

/** The same for @p n frames, in their order. */
void bl_forward_burst(struct bl_tx *tx, struct bl_counters *counters, struct rte_mbuf **frames, unsigned n);

#endif
