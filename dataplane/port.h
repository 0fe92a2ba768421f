/** @file port.h
 * The two ports of the bump in the wire. A setting `wan` or `lan` has one of three forms:
 *
 *   eth0                            a kernel interface, through DPDK's net_af_packet with a queue pair for each worker
 *   net_pcap0,iface=eth0            what starts with "net_": a virtual device, handed to DPDK as it stands (--vdev)
 *   0000:01:00.0 or 01:00.0         a PCI device that is bound to a DPDK driver (-a)
 *
 * Any DPDK port will do that has a queue pair for each worker. Frames are received whole, in one buffer; nothing is
 * offloaded, so that what comes in is what goes out.
 *
 * Limits of net_af_packet: the outermost tag of type 88a8 becomes 8100, and frames above its frame size would be cut
 * without a word, which is why a port whose MTU does not fit is refused. It reports an MTU of its own; the interface's is
 * asked from the kernel. fanout.h keeps it from reassembling fragments. Threads: before workers start and after they stopped; bl_port_link and bl_port_set_link on
 * the main core. */
#ifndef BL_PORT_H
#define BL_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_mempool.h>

#include "bounceline/error.h"
#include "bounceline/settings.h"

enum bl_port_form { BL_PORT_KERNEL, BL_PORT_VDEV, BL_PORT_PCI };

/** Longest --vdev or -a argument with its NUL. */
enum { BL_PORT_ARGUMENT_MAX = BL_SETTINGS_TEXT_MAX + 160 };

struct bl_port {
    enum bl_port_form form;
    const char *key;                    /**< the setting's name, "wan" or "lan" */
    char setting[BL_SETTINGS_TEXT_MAX]; /**< its value */
    char device[64];                    /**< DPDK's name of it */
    uint16_t id;
    uint32_t mtu;
    uint32_t frame_max_bytes; /**< the longest frame that it sends; see struct bl_tx */
    uint32_t tag_bytes;
    bool opened;
    bool promiscuous_before; /**< a kernel interface that someone else had made so stays so */
    bool link_up;
};

/** Reads a setting's form. @return 0 or BL_EINVAL naming the key. */
int bl_port_parse(const char *key, const char *setting, struct bl_port *port, struct bl_error_detail *detail);

/** Refuses two settings that mean one device. @return 0 or BL_ECONFLICT. */
int bl_port_distinct(const struct bl_port *wan, const struct bl_port *lan, struct bl_error_detail *detail);

/** Of a kernel interface: is it there, and does its MTU fit? Other forms are checked by bl_port_open.
 * @return 0, BL_ENOENT or BL_ERANGE. */
int bl_port_check(struct bl_port *port, const struct bl_settings_dataplane *settings, struct bl_error_detail *detail);

/** What EAL is told about the device: @p option "--vdev" or "-a", and its value. */
void bl_port_argument(const struct bl_port *port, const struct bl_settings_dataplane *settings, const char **option,
                      char value[BL_PORT_ARGUMENT_MAX]);

/** Payload bytes that a receive buffer must hold for either port. */
uint32_t bl_port_buffer_bytes(const struct bl_settings_dataplane *settings);

/** Configures and starts the device with one queue pair a worker, promiscuous, receiving into @p pool.
 * @return 0, BL_ENOENT, BL_ERANGE (queues, MTU) or BL_EIO. Nothing is left open on failure. */
int bl_port_open(struct bl_port *port, const struct bl_settings_dataplane *settings, struct rte_mempool *pool,
                 struct bl_error_detail *detail);
void bl_port_close(struct bl_port *port);

/** Asks for the link's state without waiting. @return true when it changed: port->link_up. Cost: system calls. */
bool bl_port_link(struct bl_port *port);

/** Takes the port's link down or brings it up: a kernel interface as `ip link set` does, other ports as their drivers do.
 * A kernel interface need not be open. @return 0 or BL_EIO. */
int bl_port_set_link(const struct bl_port *port, bool up);

/** Whether an open port's driver can do that: does it once, down and up. @return 0, or BL_EINVAL naming the driver. */
int bl_port_check_set_link(const struct bl_port *port, struct bl_error_detail *detail);

#endif
