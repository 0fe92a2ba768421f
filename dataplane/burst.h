/** @file burst.h
 * What a worker does with a burst from the WAN port (worker → burst → forward | answer): who is who at a glance, one lookup
 * of all sources that are to be looked up, then each frame to where its verdict says.
 *
 * Each step goes over the whole burst before the next one starts, so that a step's misses of the cache overlap. What passes
 * is counted a burst; a record is made for frames of an odd shape and of listed sources only. Threads: owning worker. */
#ifndef BL_BURST_H
#define BL_BURST_H

#include <rte_mbuf.h>

#include "dataplane/worker.h"

/** Takes @p n frames, at most BL_WORKER_BURST. Cost: fast path. */
void bl_burst_take(struct bl_worker *worker, struct rte_mbuf **frames, unsigned n);

#endif
