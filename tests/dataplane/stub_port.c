/* See stub_port.h. */
#include "stub_port.h"

#include <stdio.h>

#include <rte_dev.h>

enum { DESCRIPTORS = 512 };

int stub_port_open(struct bl_port *port, const char *name, struct rte_mempool *pool, rte_rx_callback_fn receive,
                   void *argument)
{
    const struct rte_eth_conf conf = {0};

    snprintf(port->device, sizeof(port->device), "%s", name);
    port->frame_max_bytes = STUB_PORT_FRAME_MAX;
    if (rte_eal_hotplug_add("vdev", name, "no-rx=1") != 0 || rte_eth_dev_get_port_by_name(name, &port->id) != 0 ||
        rte_eth_dev_configure(port->id, 1, 1, &conf) != 0 ||
        rte_eth_rx_queue_setup(port->id, 0, DESCRIPTORS, 0, NULL, pool) != 0 ||
        rte_eth_tx_queue_setup(port->id, 0, DESCRIPTORS, 0, NULL) != 0 || rte_eth_dev_start(port->id) != 0)
        return BL_EIO;
    return rte_eth_add_rx_callback(port->id, 0, receive, argument) != NULL ? BL_OK : BL_EIO;
}

void stub_port_close(struct bl_port *port)
{
    if (port->device[0] != '\0')
        (void)rte_eal_hotplug_remove("vdev", port->device);
}
