/* Opens the two ports; see port.h. */
#include "dataplane/port.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_ethdev.h>
#include <rte_pci.h>

#include "dataplane/fanout.h"

enum {
    ETHERNET_BYTES = 14,
    TAGS_BYTES = 8, /* two tags: QinQ */
    /* In a receive slot of AF_PACKET the kernel puts its header, an address and padding before the frame: 66 bytes
     * (TPACKET2_HDRLEN and 16, aligned, less the Ethernet header), and before a frame to be sent 32. */
    SLOT_OVERHEAD_BYTES = 80,
    SLOT_SEND_OVERHEAD_BYTES = 32,
    /* The kernel takes each block of the ring from physically contiguous memory. */
    BLOCK_BYTES_MIN = 4096,
};

static uint32_t slot_bytes(const struct bl_settings_dataplane *settings)
{
    uint32_t bytes = 2048;

    while (bytes < settings->frame_bytes + SLOT_OVERHEAD_BYTES)
        bytes *= 2;
    return bytes;
}

uint32_t bl_port_buffer_bytes(const struct bl_settings_dataplane *settings)
{
    /* net_af_packet wants buffers as large as its slots, though it never fills them. */
    return slot_bytes(settings) - SLOT_SEND_OVERHEAD_BYTES;
}

int bl_port_parse(const char *key, const char *setting, struct bl_port *port, struct bl_error_detail *detail)
{
    struct rte_pci_addr address;
    size_t name_bytes = strcspn(setting, ",");

    memset(port, 0, sizeof(*port));
    port->key = key;
    snprintf(port->setting, sizeof(port->setting), "%s", setting);
    if (strncmp(setting, "net_", 4) == 0) {
        port->form = BL_PORT_VDEV;
        if (name_bytes >= sizeof(port->device))
            return bl_error_set(detail, BL_EINVAL,
                                "dataplane.%s: the device's name is too long: expected at most %zu bytes", key,
                                sizeof(port->device) - 1);
        memcpy(port->device, setting, name_bytes);
        return BL_OK;
    }
    if (rte_pci_addr_parse(setting, &address) == 0) {
        port->form = BL_PORT_PCI;
        rte_pci_device_name(&address, port->device, sizeof(port->device));
        return BL_OK;
    }
    if (setting[0] == '\0' || strlen(setting) >= IFNAMSIZ || strpbrk(setting, ",= /") != NULL)
        return bl_error_set(detail, BL_EINVAL,
                            "dataplane.%s: '%s': expected a network interface, a DPDK device net_..., or a PCI address",
                            key, setting);
    port->form = BL_PORT_KERNEL;
    snprintf(port->device, sizeof(port->device), "net_af_packet_%s", key);
    return BL_OK;
}

int bl_port_distinct(const struct bl_port *wan, const struct bl_port *lan, struct bl_error_detail *detail)
{
    bool same = wan->form == lan->form && (wan->form == BL_PORT_KERNEL ? strcmp(wan->setting, lan->setting)
                                                                       : strcmp(wan->device, lan->device)) == 0;

    if (!same)
        return BL_OK;
    return bl_error_set(detail, BL_ECONFLICT, "dataplane.wan and dataplane.lan are both %s: expected two ports",
                        wan->setting);
}

/* One question or order to the kernel about an interface. */
static int ask_kernel(const struct bl_port *port, unsigned long request, struct ifreq *answer)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int result;

    if (fd < 0)
        return -1;
    snprintf(answer->ifr_name, sizeof(answer->ifr_name), "%.*s", IFNAMSIZ - 1, port->setting);
    result = ioctl(fd, request, answer);
    close(fd);
    return result;
}

static int check_mtu(const struct bl_port *port, const struct bl_settings_dataplane *settings,
                     struct bl_error_detail *detail)
{
    uint32_t needed = port->mtu + ETHERNET_BYTES + TAGS_BYTES;

    if (needed <= settings->frame_bytes)
        return BL_OK;
    return bl_error_set(detail, BL_ERANGE,
                        "dataplane.%s: port %s has an MTU of %u: with Ethernet header and two tags frames of %u bytes: "
                        "expected dataplane.frame_bytes, now %u, to be at least that, or a smaller MTU",
                        port->key, port->setting, port->mtu, needed, settings->frame_bytes);
}

int bl_port_check(struct bl_port *port, const struct bl_settings_dataplane *settings, struct bl_error_detail *detail)
{
    struct ifreq answer;

    if (port->form != BL_PORT_KERNEL)
        return BL_OK;
    memset(&answer, 0, sizeof(answer));
    if (ask_kernel(port, SIOCGIFMTU, &answer) != 0)
        return bl_error_set(detail, BL_ENOENT, "dataplane.%s: %s: there is no such network interface", port->key,
                            port->setting);
    port->mtu = (uint32_t)answer.ifr_mtu;
    return check_mtu(port, settings, detail);
}

void bl_port_argument(const struct bl_port *port, const struct bl_settings_dataplane *settings, const char **option,
                      char value[BL_PORT_ARGUMENT_MAX])
{
    uint32_t slot = slot_bytes(settings);
    uint32_t block = slot < BLOCK_BYTES_MIN ? BLOCK_BYTES_MIN : slot;
    uint32_t slots =
        settings->rx_descriptors > settings->tx_descriptors ? settings->rx_descriptors : settings->tx_descriptors;
    uint32_t a_block = block / slot;

    *option = port->form == BL_PORT_PCI ? "-a" : "--vdev";
    if (port->form != BL_PORT_KERNEL) {
        snprintf(value, BL_PORT_ARGUMENT_MAX, "%s", port->form == BL_PORT_PCI ? port->device : port->setting);
        return;
    }
    /* The kernel refuses a ring whose slots do not fill its blocks. The bypass of the queueing discipline saves a lock
     * and a queue for each frame; a bump in the wire has nothing to shape. */
    slots = (slots + a_block - 1) / a_block * a_block;
    snprintf(value, BL_PORT_ARGUMENT_MAX, "%s,iface=%s,qpairs=%u,blocksz=%u,framesz=%u,framecnt=%u,qdisc_bypass=1",
             port->device, port->setting, settings->workers, block, slot, slots);
}

/* Spreads flows over the workers' queues where the device can; virtual devices have ways of their own. */
static void set_spreading(const struct rte_eth_dev_info *info, uint32_t workers, struct rte_eth_conf *conf)
{
    uint64_t wanted = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP;

    if (workers == 1 || (info->flow_type_rss_offloads & wanted) == 0)
        return;
    conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf->rx_adv_conf.rss_conf.rss_hf = info->flow_type_rss_offloads & wanted;
}

static int configure(struct bl_port *port, const struct bl_settings_dataplane *settings, struct bl_error_detail *detail)
{
    struct rte_eth_dev_info info;
    struct rte_eth_conf conf = {0};
    uint16_t mtu;

    if (rte_eth_dev_info_get(port->id, &info) != 0)
        return bl_error_set(detail, BL_EIO, "dataplane.%s: %s: the driver does not describe its device", port->key,
                            port->setting);
    if (info.max_rx_queues < settings->workers || info.max_tx_queues < settings->workers)
        return bl_error_set(
            detail, BL_ERANGE,
            "dataplane.%s: port %s has %u receive and %u transmit queues: expected one for each of the %u "
            "workers (dataplane.workers)",
            port->key, port->setting, info.max_rx_queues, info.max_tx_queues, settings->workers);
    set_spreading(&info, settings->workers, &conf);
    if (rte_eth_dev_configure(port->id, (uint16_t)settings->workers, (uint16_t)settings->workers, &conf) != 0)
        return bl_error_set(detail, BL_EIO, "dataplane.%s: port %s can't be configured with %u queue pairs", port->key,
                            port->setting, settings->workers);
    if (port->form == BL_PORT_KERNEL) {
        port->frame_max_bytes = port->mtu + ETHERNET_BYTES;
        port->tag_bytes = 4;
        return BL_OK;
    }
    if (rte_eth_dev_get_mtu(port->id, &mtu) != 0)
        mtu = RTE_ETHER_MTU;
    port->mtu = mtu;
    port->frame_max_bytes = settings->frame_bytes;
    port->tag_bytes = 0;
    return check_mtu(port, settings, detail);
}

static int set_up_queues(const struct bl_port *port, const struct bl_settings_dataplane *settings,
                         struct rte_mempool *pool, struct bl_error_detail *detail)
{
    uint16_t n_rx = (uint16_t)settings->rx_descriptors;
    uint16_t n_tx = (uint16_t)settings->tx_descriptors;
    int socket_id = rte_eth_dev_socket_id(port->id);

    if (rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &n_rx, &n_tx) != 0)
        return bl_error_set(detail, BL_EIO, "dataplane.%s: port %s takes no %u and %u descriptors", port->key,
                            port->setting, settings->rx_descriptors, settings->tx_descriptors);
    for (uint16_t queue = 0; queue < settings->workers; queue++)
        if (rte_eth_rx_queue_setup(port->id, queue, n_rx, (unsigned)socket_id, NULL, pool) != 0 ||
            rte_eth_tx_queue_setup(port->id, queue, n_tx, (unsigned)socket_id, NULL) != 0)
            return bl_error_set(detail, BL_EIO, "dataplane.%s: port %s: queue pair %u can't be set up", port->key,
                                port->setting, queue);
    return BL_OK;
}

static bool is_promiscuous(const struct bl_port *port)
{
    struct ifreq answer;

    memset(&answer, 0, sizeof(answer));
    return port->form == BL_PORT_KERNEL && ask_kernel(port, SIOCGIFFLAGS, &answer) == 0 &&
           (answer.ifr_flags & IFF_PROMISC) != 0;
}

int bl_port_open(struct bl_port *port, const struct bl_settings_dataplane *settings, struct rte_mempool *pool,
                 struct bl_error_detail *detail)
{
    int error;

    if (rte_eth_dev_get_port_by_name(port->device, &port->id) != 0)
        return bl_error_set(detail, BL_ENOENT, "dataplane.%s: %s: DPDK found no such port", port->key, port->setting);
    if (port->form == BL_PORT_KERNEL && !bl_fanout_verify())
        return bl_error_set(detail, BL_EIO, "dataplane.%s: port %s would put fragments together: see fanout.h",
                            port->key, port->setting);
    port->promiscuous_before = is_promiscuous(port);
    error = configure(port, settings, detail);
    if (error == BL_OK)
        error = set_up_queues(port, settings, pool, detail);
    if (error == BL_OK && rte_eth_dev_start(port->id) != 0)
        error = bl_error_set(detail, BL_EIO, "dataplane.%s: port %s does not start", port->key, port->setting);
    if (error != BL_OK) {
        rte_eth_dev_close(port->id);
        return error;
    }
    port->opened = true;
    /* Without it the mail servers' frames, which carry their addresses and not ours, would not come in. */
    if (rte_eth_promiscuous_enable(port->id) != 0 && rte_eth_promiscuous_get(port->id) != 1 &&
        port->form != BL_PORT_VDEV) {
        bl_port_close(port);
        return bl_error_set(detail, BL_EIO, "dataplane.%s: port %s does not become promiscuous", port->key,
                            port->setting);
    }
    return BL_OK;
}

void bl_port_close(struct bl_port *port)
{
    if (!port->opened)
        return;
    port->opened = false;
    if (!port->promiscuous_before)
        (void)rte_eth_promiscuous_disable(port->id);
    (void)rte_eth_dev_stop(port->id);
    (void)rte_eth_dev_close(port->id);
}

/* Up, and with a carrier: net_af_packet says "up" whatever the interface is. IFF_RUNNING lags behind the carrier by up to a
 * second (net/core/link_watch.c); where a driver does not tell its carrier, it has to do. */
static bool kernel_link(const struct bl_port *port)
{
    struct ethtool_value value = {.cmd = ETHTOOL_GLINK};
    struct ifreq answer;
    bool running;

    memset(&answer, 0, sizeof(answer));
    if (ask_kernel(port, SIOCGIFFLAGS, &answer) != 0 || (answer.ifr_flags & IFF_UP) == 0)
        return false;
    running = (answer.ifr_flags & IFF_RUNNING) != 0;
    answer.ifr_data = (void *)&value;
    return ask_kernel(port, SIOCETHTOOL, &answer) == 0 ? value.data != 0 : running;
}

bool bl_port_link(struct bl_port *port)
{
    struct rte_eth_link link;
    bool up;

    if (port->form == BL_PORT_KERNEL)
        up = kernel_link(port);
    else
        up = rte_eth_link_get_nowait(port->id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
    if (up == port->link_up)
        return false;
    port->link_up = up;
    return true;
}

int bl_port_set_link(const struct bl_port *port, bool up)
{
    struct ifreq flags;

    if (port->form != BL_PORT_KERNEL)
        return (up ? rte_eth_dev_set_link_up(port->id) : rte_eth_dev_set_link_down(port->id)) == 0 ? BL_OK : BL_EIO;
    memset(&flags, 0, sizeof(flags));
    if (ask_kernel(port, SIOCGIFFLAGS, &flags) != 0)
        return BL_EIO;
    flags.ifr_flags = (short)(up ? flags.ifr_flags | IFF_UP : flags.ifr_flags & ~IFF_UP);
    return ask_kernel(port, SIOCSIFFLAGS, &flags) == 0 ? BL_OK : BL_EIO;
}

int bl_port_check_set_link(const struct bl_port *port, struct bl_error_detail *detail)
{
    struct rte_eth_dev_info info;
    int error;

    if (port->form == BL_PORT_KERNEL)
        return BL_OK;
    error = rte_eth_dev_set_link_down(port->id);
    if (error == 0)
        error = rte_eth_dev_set_link_up(port->id);
    if (error == 0)
        return BL_OK;
    if (rte_eth_dev_info_get(port->id, &info) != 0)
        info.driver_name = "unknown";
    return bl_error_set(
        detail, BL_EINVAL,
        "dataplane.link_propagate: true, but driver %s of port %s (dataplane.%s) can't take a link down "
        "and up (%s): expected false, or another port",
        info.driver_name, port->setting, port->key, strerror(-error));
}
