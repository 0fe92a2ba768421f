/** @file worker_path.h
 * One frame at a time through a worker: the real program's bl_burst_take() and all that is behind it (and challenge.c for
 * what comes from the servers), on DPDK's buffers, with its queues emptied by hand where a port would be. Used by
 * mutate_frames.c. */
#ifndef BL_TEST_WORKER_PATH_H
#define BL_TEST_WORKER_PATH_H

#include "dataplane/exchange.h"
#include "dataplane/worker.h"

enum { WORKER_PATH_TICKS_A_SECOND = 1000000, WORKER_PATH_OUT_MAX = 40 };

/** A frame that the worker made. */
struct worker_path_out {
    size_t length;
    uint8_t bytes[BL_SEGMENT_FRAME_MAX];
};

struct worker_path {
    struct bl_worker *worker;
    struct bl_common *common;
    struct bl_table *tables[BL_CLASS_COUNT]; /* every source is of this class; NULL: not made */
    struct rte_mbuf *frame;
    /* What came out of the last step. */
    struct worker_path_out wan[WORKER_PATH_OUT_MAX];
    struct worker_path_out lan[WORKER_PATH_OUT_MAX];
    unsigned n_wan;
    unsigned n_lan;
    bool forwarded; /* the frame itself went on */
};

/** Starts DPDK (ordinary memory, no files) and makes the worker. Ends the program when it can't. */
void worker_path_init(struct worker_path *path, const struct bl_classify_policy *policy);

/** What every source is of from now on; BL_CLASS_NONE, BL_CLASS_EXEMPT or EXCHANGE_CLASS. Classes, rules and time are the
 * exchange's. */
void worker_path_set(struct worker_path *path, const struct exchange *exchange);

/** No limits, or limits that have nothing left. */
void worker_path_limit(struct worker_path *path, bool limited);

/** A frame from the WAN port; it lies in a heap block of exactly its size. @return the reason that was counted, or
 * BL_REASON_COUNT when it was not just one. */
enum bl_reason worker_path_receive(struct worker_path *path, const uint8_t *frame, size_t length);

/** The same from the LAN port; the frame stays the worker's caller's, as poll_lan forwards it. */
void worker_path_receive_lan(struct worker_path *path, const uint8_t *frame, size_t length);

/** So much later; what the ring then sends again is in path->wan. */
void worker_path_wait(struct worker_path *path, uint64_t ticks);

#endif
