/** @file stub_port.h
 * A DPDK port that receives what a test hands out and sends by freeing: net_null without reception, with callbacks. Used by
 * overload.c and perf/path.c. */
#ifndef BL_TEST_STUB_PORT_H
#define BL_TEST_STUB_PORT_H

#include <rte_ethdev.h>

#include "dataplane/port.h"

enum { STUB_PORT_FRAME_MAX = 2048 };

/** Opens a port of this name (net_null_...). @p receive is called by rte_eth_rx_burst and fills the burst. @return 0, or
 * BL_EIO. */
int stub_port_open(struct bl_port *port, const char *name, struct rte_mempool *pool, rte_rx_callback_fn receive,
                   void *argument);
void stub_port_close(struct bl_port *port);

#endif
