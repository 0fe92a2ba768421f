/** @file plane.h
 * The whole data plane, put together: ports, buffers, workers, tables, the connection to the control plane; and the
 * main core's loop. Called by main.c. Threads: main core only. */
#ifndef BL_PLANE_H
#define BL_PLANE_H

#include <signal.h>

#include "bounceline/settings.h"
#include "dataplane/port.h"
#include "dataplane/worker.h"

struct bl_plane;

/** What the settings mean, checked without touching a device: the two ports, and what all workers share. */
struct bl_plane_plan {
    const struct bl_settings_dataplane *settings; /**< borrowed */
    struct bl_port ports[BL_SIDE_COUNT];
    struct bl_common common;
};

/** @return 0 or a negative error: @p detail names the key and what was expected. Of the control plane's section only
 * what tickets are about is used (ipv6_unit), and whether its URLs hold any. */
int bl_plane_prepare(const struct bl_settings *settings, struct bl_plane_plan *plan, struct bl_error_detail *detail);

/** Starts DPDK, opens the ports, starts the workers: forwarding goes on from here. @p plan is borrowed until
 * bl_plane_free. @return 0 or a negative error, and nothing is left running. */
int bl_plane_create(struct bl_plane **out, struct bl_plane_plan *plan, struct bl_error_detail *detail);

/** The main core's loop, until *stop is set by a signal handler. @p unblocked is the signal mask to wait with: the
 * caller has blocked the signals that set *stop, so that none is missed. */
void bl_plane_run(struct bl_plane *plane, const volatile sig_atomic_t *stop, const sigset_t *unblocked);

/** Stops the workers, closes the ports, frees everything, ends DPDK. */
void bl_plane_free(struct bl_plane *plane);

#endif
