/** @file loadgen_port.h
 * DPDK's side of loadgen: a port, its buffers, and the capture of what goes through it (trial → port).
 *
 * One queue each way. What the port does not take within a few microseconds is thrown away and counted as refused: an open
 * loop waits for nobody. Threads: one. */
#ifndef BL_PERF_LOADGEN_PORT_H
#define BL_PERF_LOADGEN_PORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <rte_mbuf.h>

#include "bounceline/error.h"

enum { LOADGEN_BURST = 64 };

/** Where frames are written on request. */
struct loadgen_capture {
    FILE *file; /**< NULL: nowhere */
    uint64_t n_left;
    uint64_t n_written;
    int error; /**< errno of the first write that failed */
};

struct loadgen_port {
    uint16_t id;
    struct rte_mempool *pool;        /**< borrowed */
    struct loadgen_capture *capture; /**< borrowed */
    struct rte_mbuf *waiting[LOADGEN_BURST];
    unsigned n_waiting;
    uint64_t n_sent;
    uint64_t n_received;
    uint64_t n_refused; /**< the port was full */
    uint64_t n_no_buffer;
};

/** Buffers for all ports. @return NULL with rte_errno. */
struct rte_mempool *loadgen_port_make_pool(void);

/** @return 0, BL_ENOENT or BL_EIO with the cause. */
int loadgen_port_open(struct loadgen_port *port, uint16_t id, struct rte_mempool *pool, struct bl_error_detail *detail);
void loadgen_port_close(struct loadgen_port *port);

/** Waits until the link is up. @return false: not within the time. */
bool loadgen_port_wait(const struct loadgen_port *port, double seconds);

/** Room of LOADGEN_FRAME_MAX bytes for the next frame, NULL when there is no buffer. loadgen_port_push with its length
 * follows. */
uint8_t *loadgen_port_room(struct loadgen_port *port);
void loadgen_port_push(struct loadgen_port *port, size_t length);

/** Sends what waits. */
void loadgen_port_flush(struct loadgen_port *port);

/** Takes what has come in; the caller frees it. @return how many. */
unsigned loadgen_port_receive(struct loadgen_port *port, struct rte_mbuf *frames[LOADGEN_BURST]);

#endif
