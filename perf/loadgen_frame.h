/** @file loadgen_frame.h
 * Frames of a client, of a server behind the appliance, and the reading of what comes back (schedule, client and check
 * stand on it). Written without the product's parser and builder: it judges what those make.
 *
 * Addresses are bytes in network order; ports and numbers host order. Pure. Threads: any. */
#ifndef BL_PERF_LOADGEN_FRAME_H
#define BL_PERF_LOADGEN_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOADGEN_FRAME_MAX = 1600 };

enum {
    LOADGEN_FIN = 0x01,
    LOADGEN_SYN = 0x02,
    LOADGEN_RST = 0x04,
    LOADGEN_PSH = 0x08,
    LOADGEN_ACK = 0x10,
};

enum { LOADGEN_ICMP = 1, LOADGEN_TCP = 6, LOADGEN_UDP = 17, LOADGEN_ICMPV6 = 58 };

/** The Ethernet in which everything lies. */
struct loadgen_link {
    uint8_t client_mac[6];
    uint8_t server_mac[6];
    uint16_t vlan; /**< 0: no tag */
};

/** Who talks with whom. */
struct loadgen_ends {
    uint8_t family; /**< enum bl_family */
    uint8_t client[16];
    uint8_t server[16];
    uint16_t client_port;
    uint16_t server_port;
};

struct loadgen_segment {
    uint8_t flags; /**< LOADGEN_SYN ... */
    bool mss;      /**< with the option that every SYN has */
    uint16_t window;
    uint32_t sequence;
    uint32_t acknowledgement;
    uint16_t payload_bytes;
    const void *payload; /**< borrowed */
};

/** A TCP segment as a frame, at least 60 bytes. @p to_server: from the client, else to it. @return its length. */
size_t loadgen_frame_tcp(const struct loadgen_link *link, const struct loadgen_ends *ends, bool to_server,
                         const struct loadgen_segment *segment, uint8_t out[LOADGEN_FRAME_MAX]);

/** A UDP datagram or an ICMP echo with @p payload_bytes of payload. */
size_t loadgen_frame_datagram(const struct loadgen_link *link, const struct loadgen_ends *ends, bool to_server,
                              const void *payload, uint16_t payload_bytes, bool icmp, uint8_t out[LOADGEN_FRAME_MAX]);

/** Bytes of Ethernet's header, tag included. */
static inline size_t loadgen_frame_link_bytes(const struct loadgen_link *link)
{
    return link->vlan != 0 ? 18 : 14;
}

/** A TCP segment that came in. */
struct loadgen_heard {
    struct loadgen_ends ends; /**< the client is the receiver: the frame's destination */
    uint8_t options_bytes;
    uint16_t flags; /**< with the four bits above them */
    uint16_t window;
    uint16_t urgent;
    uint16_t payload_bytes;
    uint32_t sequence;
    uint32_t acknowledgement;
    const uint8_t *options;
    const uint8_t *payload;
    bool checksums_right;
    bool dont_fragment;     /**< always, in IPv6 */
    bool padded_with_zeros; /**< and not longer than Ethernet makes it */
};

/** True when the frame is a TCP segment over plain IP (no options, no extension headers) in this link's kind of
 * Ethernet; whoever wants other traffic looks at the bytes. Of a frame from a client, the ends come out exchanged. */
bool loadgen_frame_read(const struct loadgen_link *link, const uint8_t *frame, size_t length,
                        struct loadgen_heard *heard);

#endif
