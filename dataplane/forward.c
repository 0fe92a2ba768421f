/* Hands frames on; see forward.h. */
#include "dataplane/forward.h"

#include <stdbool.h>

#include <rte_byteorder.h>
#include <rte_ether.h>

/* A kernel interface sends its MTU and an Ethernet header, and 4 bytes more when the outer tag is an 8100 one
 * (linux/net/packet/af_packet.c, packet_extra_vlan_len_allowed). */
static bool is_oversize(const struct bl_tx *tx, const struct rte_mbuf *frame)
{
    const struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(frame, const struct rte_ether_hdr *);
    uint32_t max_bytes = tx->frame_max_bytes;

    if (likely(frame->pkt_len <= max_bytes))
        return false;
    if (frame->data_len >= sizeof(*ethernet) && ethernet->ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_VLAN))
        max_bytes += tx->tag_bytes;
    return frame->pkt_len > max_bytes;
}

static void drop_oversize(struct bl_counters *counters, struct rte_mbuf *frame)
{
    bl_counters_add_reason(counters, BL_REASON_DROP_OVERSIZE);
    rte_pktmbuf_free(frame);
}

void bl_forward_frame(struct bl_tx *tx, struct bl_counters *counters, struct rte_mbuf *frame)
{
    if (unlikely(is_oversize(tx, frame)))
        drop_oversize(counters, frame);
    else
        bl_tx_push(tx, counters, frame);
}

void bl_forward_burst(struct bl_tx *tx, struct bl_counters *counters, struct rte_mbuf **frames, unsigned n)
{
    unsigned n_long = 0;

    for (unsigned i = 0; i < n; i++)
        n_long += frames[i]->pkt_len > tx->frame_max_bytes;
    if (likely(n_long == 0)) {
        bl_tx_push_burst(tx, counters, frames, n);
        return;
    }
    for (unsigned i = 0; i < n; i++)
        bl_forward_frame(tx, counters, frames[i]);
}
