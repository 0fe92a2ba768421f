/** @file watch.h
 * Watches the two ports' links for the main core: tells the operator when one changes and, with link_propagate, takes the
 * other port down and brings it up again as link.c decides.
 *
 * With link_propagate it looks each 50 ms, else each second. Looking, not listening: of other ports than the kernel's
 * there is nothing to listen to, and the kernel tells its listeners of a lost carrier up to a second late
 * (net/core/link_watch.c), while it answers at once when it is asked. Two ports cost some 10 system calls a look.
 *
 * The ports' up and down belong to the data plane then: both are brought up when it starts, which puts right what one
 * that was killed has left, and what it took down is brought up again at its orderly end. Threads: main core only. */
#ifndef BL_WATCH_H
#define BL_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "bounceline/error.h"
#include "dataplane/link.h"
#include "dataplane/port.h"

/** How often each port lost its link by itself, and was taken down by us. */
struct bl_watch_counts {
    uint64_t n_lost;
    uint64_t n_taken_down;
};

struct bl_watch {
    struct bl_port *ports; /**< borrowed, BL_LINK_PORTS of them */
    bool propagate;
    struct bl_link link;
    int held;          /**< the port that is down by us, or BL_LINK_NONE */
    bool failure_told; /**< that the kernel or the driver did not obey */
    uint64_t look_ms;  /**< the next look */
    uint64_t slow_ms;  /**< the next of those each second */
    struct bl_watch_counts counts[BL_LINK_PORTS];
};

/** Before DPDK starts: kernel interfaces are brought up if @p propagate. @return 0 or BL_EIO naming the port. */
int bl_watch_prepare(struct bl_port *ports, bool propagate, struct bl_error_detail *detail);

/** With both ports open: tells how their links are. @return 0, or BL_EINVAL when @p propagate and a port's driver can't be
 * told to go up and down: @p detail names setting, port and driver. */
int bl_watch_init(struct bl_watch *watch, struct bl_port *ports, bool propagate, uint64_t now_ms,
                  struct bl_error_detail *detail);

/** Looks when it is time. Cost: control path. */
void bl_watch_poll(struct bl_watch *watch, uint64_t now_ms);

/** At the end, while the ports are open: what is down by us is brought up. Fine with a watch of zeros. */
void bl_watch_fini(struct bl_watch *watch);

#endif
