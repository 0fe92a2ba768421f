/** @file path.h
 * A worker of the product between two stub ports: bl_worker_turn() and all that is behind it, linked as in the data plane
 * (traffic → path → bench_burst).
 *
 * The ports are DPDK's net_null without reception. A receive callback, which rte_eth_rx_burst() calls, hands out frames;
 * what is sent is freed, as every driver does with a frame that is out. A turn is timed as a whole: receive call, steps,
 * answers, transmit call, frees.
 *
 * Frames are made before a pass, and lie in plain memory. Before so many turns as fill a window they are copied into
 * buffers of the pool, untimed, as a NIC fills the descriptors of its queue (and into the cache, where it can). So the
 * frames are in L2 and what the sources need of the table is not. A window as large as the pass has them come from
 * memory: the worst that can be. Threads: each path its lcore; all else main. */
#ifndef BL_PERF_PATH_H
#define BL_PERF_PATH_H

#include "bounceline/class.h"
#include "dataplane/worker_parts.h"
#include "traffic.h"

enum { PATH_FRAMES_MAX = 1 << 16 };

/** What goes over the frames: the worker, or as little as can be done with them, for comparison. */
enum path_kind {
    PATH_WORKER,
    PATH_FORWARD, /**< receive, send: what testpmd does in mode io */
    PATH_RECEIVE, /**< receive, free: mode rxonly */
    PATH_KINDS
};

struct path {
    unsigned lcore;
    struct bl_common *common;
    struct bl_worker *worker;
    struct rte_mempool *pool;
    struct bl_port ports[BL_SIDE_COUNT];
    struct bl_class classes[BL_CLASS_COUNT];
    enum bl_side side;                   /* where the frames come in */
    size_t window;                       /* frames that are in buffers at once */
    uint8_t (*bytes)[TRAFFIC_FRAME_MAX]; /* PATH_FRAMES_MAX */
    uint8_t lengths[PATH_FRAMES_MAX];
    size_t n_frames;
    size_t n_filled; /* of them are in buffers, or were */
    size_t n_taken;
    struct rte_mbuf *frames[PATH_FRAMES_MAX];          /* of this window */
    size_t first;                                      /* frame that is in the first of them */
    uint64_t ticks[PATH_FRAMES_MAX / BL_WORKER_BURST]; /* of each turn */
};

/** Makes path @p id, which runs on @p lcore; one for each. @return 0, or negative with a line on standard error. */
int path_create(struct path **out, unsigned id, unsigned lcore, size_t window);
void path_free(struct path *path);

/** The list that it judges by (borrowed), and what the classes of all listed sources do. */
void path_set(struct path *path, struct bl_table *replica, uint8_t action);

/** Appends @p n frames of connections @p first and up; all together at most PATH_FRAMES_MAX. */
void path_load(struct path *path, const struct traffic *traffic, enum traffic_class class, uint64_t first, size_t n);

/** Takes all loaded frames, in bursts. @return 0, or BL_ENOMEM: no buffers. Threads: its lcore. */
int path_run(struct path *path, enum path_kind kind);

/** ns a frame: the median turn of those that began with the frames @p first to @p first + @p n. */
double path_ns(struct path *path, size_t first, size_t n);

/** Ticks that the worker spent in a step since the last call of this; 0 in a build that does not count them. */
uint64_t path_step(struct path *path, enum bl_step step);

/** How many packets the worker has counted with the reason since the last call of this. */
uint64_t path_count(struct path *path, enum bl_reason reason);

#endif
