/* See loadgen_port.h. */
#include "perf/loadgen_port.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_pause.h>

#include "perf/loadgen_frame.h"
#include "perf/pcap_file.h"

enum { BUFFERS = 16383, CACHE = 256, DESCRIPTORS = 1024, TRIES = 200 };

struct rte_mempool *loadgen_port_make_pool(void)
{
    return rte_pktmbuf_pool_create("loadgen", BUFFERS, CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE, (int)rte_socket_id());
}

static int set_up(struct loadgen_port *port)
{
    struct rte_eth_conf conf = {.rxmode = {.mq_mode = RTE_ETH_MQ_RX_NONE}};
    uint16_t n_rx = DESCRIPTORS;
    uint16_t n_tx = DESCRIPTORS;
    int socket_id = rte_eth_dev_socket_id(port->id);
    int error = rte_eth_dev_configure(port->id, 1, 1, &conf);

    if (error == 0)
        error = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &n_rx, &n_tx);
    if (error == 0)
        error = rte_eth_rx_queue_setup(port->id, 0, n_rx, (unsigned)socket_id, NULL, port->pool);
    if (error == 0)
        error = rte_eth_tx_queue_setup(port->id, 0, n_tx, (unsigned)socket_id, NULL);
    return error == 0 ? rte_eth_dev_start(port->id) : error;
}

int loadgen_port_open(struct loadgen_port *port, uint16_t id, struct rte_mempool *pool, struct bl_error_detail *detail)
{
    int error;

    memset(port, 0, sizeof(*port));
    port->id = id;
    port->pool = pool;
    if (!rte_eth_dev_is_valid_port(id))
        return bl_error_set(detail, BL_ENOENT, "port %u: DPDK has %u: expected --vdev or -a for each", id,
                            rte_eth_dev_count_avail());
    error = set_up(port);
    if (error != 0)
        return bl_error_set(detail, BL_EIO, "port %u can't be set up: %s", id, strerror(-error));
    /* What is for the other side's address must come in. Not every virtual port knows of it. */
    (void)rte_eth_promiscuous_enable(id);
    return BL_OK;
}

void loadgen_port_close(struct loadgen_port *port)
{
    if (port->pool == NULL)
        return;
    (void)rte_eth_dev_stop(port->id);
    (void)rte_eth_dev_close(port->id);
    port->pool = NULL;
}

bool loadgen_port_wait(const struct loadgen_port *port, double seconds)
{
    uint64_t end = rte_get_timer_cycles() + (uint64_t)(seconds * (double)rte_get_timer_hz());
    struct rte_eth_link link;

    do {
        if (rte_eth_link_get_nowait(port->id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP)
            return true;
        rte_delay_us_sleep(5000);
    } while (rte_get_timer_cycles() < end);
    return false;
}

uint8_t *loadgen_port_room(struct loadgen_port *port)
{
    struct rte_mbuf *frame = rte_pktmbuf_alloc(port->pool);

    if (frame == NULL) {
        port->n_no_buffer++;
        return NULL;
    }
    port->waiting[port->n_waiting] = frame;
    return rte_pktmbuf_mtod(frame, uint8_t *);
}

void loadgen_port_push(struct loadgen_port *port, size_t length)
{
    struct rte_mbuf *frame = port->waiting[port->n_waiting++];

    frame->data_len = (uint16_t)length;
    frame->pkt_len = (uint32_t)length;
    if (port->n_waiting == LOADGEN_BURST)
        loadgen_port_flush(port);
}

static void capture(struct loadgen_capture *to, const uint8_t *frame, size_t length)
{
    struct timespec now;

    if (to->n_left == 0 || to->error != 0)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    if (!pcap_file_write(to->file, (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec, frame, length))
        to->error = errno != 0 ? errno : EIO;
    to->n_left--;
    to->n_written++;
}

/* @return how many of the frames the port took. */
static unsigned push_out(const struct loadgen_port *port, struct rte_mbuf **frames, unsigned n)
{
    unsigned sent = 0;

    for (unsigned tries = 0; sent < n && tries < TRIES; tries++) {
        unsigned more = rte_eth_tx_burst(port->id, 0, frames + sent, (uint16_t)(n - sent));

        sent += more;
        if (more == 0)
            rte_pause();
    }
    return sent;
}

/* One by one, so that the capture holds what was really sent: the frame is the port's once it is. */
static unsigned send_captured(struct loadgen_port *port)
{
    uint8_t copy[LOADGEN_FRAME_MAX];
    unsigned i;

    for (i = 0; i < port->n_waiting; i++) {
        size_t length = port->waiting[i]->data_len;

        memcpy(copy, rte_pktmbuf_mtod(port->waiting[i], uint8_t *), length);
        if (push_out(port, &port->waiting[i], 1) == 0)
            break;
        capture(port->capture, copy, length);
    }
    return i;
}

void loadgen_port_flush(struct loadgen_port *port)
{
    bool captured = port->capture->file != NULL && port->capture->n_left != 0;
    unsigned sent;

    if (port->n_waiting == 0)
        return;
    sent = captured ? send_captured(port) : push_out(port, port->waiting, port->n_waiting);
    port->n_sent += sent;
    port->n_refused += port->n_waiting - sent;
    for (unsigned i = sent; i < port->n_waiting; i++)
        rte_pktmbuf_free(port->waiting[i]);
    port->n_waiting = 0;
}

unsigned loadgen_port_receive(struct loadgen_port *port, struct rte_mbuf *frames[LOADGEN_BURST])
{
    unsigned n = rte_eth_rx_burst(port->id, 0, frames, LOADGEN_BURST);

    port->n_received += n;
    if (port->capture->file != NULL)
        for (unsigned i = 0; i < n; i++)
            capture(port->capture, rte_pktmbuf_mtod(frames[i], uint8_t *), frames[i]->data_len);
    return n;
}
