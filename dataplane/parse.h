/** @file parse.h
 * Frame to struct bl_packet: the first step of a packet's way (worker.c → parse → classify).
 *
 * Pure: a byte span in, a record out; nothing is kept, nothing is allocated. Walks Ethernet, any VLAN tags (8100, 88a8,
 * 9100; at most 4), IPv4 with options or IPv6 with at most 8 extension headers in 256 bytes, and TCP. All offsets in
 * the record are checked against the frame's length: the steps behind may use them unchecked. Addresses, ports and
 * numbers are host order. Threads: any. Cost: fast path. */
#ifndef BL_PARSE_H
#define BL_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounceline/address.h"

enum bl_parse_status {
    BL_PARSE_NOT_IP,     /**< ARP, unknown EtherType, too short for an Ethernet header: nothing else is set */
    BL_PARSE_UNPARSABLE, /**< IP by its EtherType, but broken; family and source are set when it could be read */
    BL_PARSE_FRAGMENT,   /**< any fragment, the first too (TCP ports unreliable); addresses are set */
    BL_PARSE_OTHER,      /**< IP, whole, not TCP; addresses are set */
    BL_PARSE_TCP,        /**< everything is set */
};

enum {
    BL_TCP_FIN = 0x01,
    BL_TCP_SYN = 0x02,
    BL_TCP_RST = 0x04,
    BL_TCP_PSH = 0x08,
    BL_TCP_ACK = 0x10,
    BL_TCP_URG = 0x20,
    BL_TCP_ECE = 0x40,
    BL_TCP_CWR = 0x80,
};

struct bl_packet {
    uint8_t status;          /**< enum bl_parse_status */
    uint8_t family;          /**< enum bl_family; BL_FAMILY_NONE: no address is readable */
    uint8_t tcp_flags;       /**< BL_TCP_* */
    bool link_group;         /**< to or from a group MAC address: nothing may be answered to it (RFC 1122, 4.2.3.10) */
    uint16_t l3_offset;      /**< of the IP header from the frame's start: 14 and 4 for each tag */
    uint16_t l4_offset;      /**< of the TCP header */
    uint16_t payload_offset; /**< of the TCP payload */
    uint16_t payload_bytes;  /**< by the IP length, not the frame's (padding is not payload) */
    uint16_t source_port;
    uint16_t destination_port;
    uint16_t window;
    bool destination_cut; /**< unparsable: the frame ends before the destination does */
    uint32_t sequence;
    uint32_t acknowledgement;
    union {
        uint32_t source_ip4;
        struct bl_ip6 source_ip6;
    };
    union {
        uint32_t destination_ip4;
        struct bl_ip6 destination_ip6;
    };
};

_Static_assert(sizeof(struct bl_packet) == 64, "a burst of records is walked several times: one cache line each");

/** Fills @p packet from the frame (borrowed). Always sets status and family. */
void bl_parse_frame(const uint8_t *frame, size_t length, struct bl_packet *packet);

/** Verifies the IPv4 header's checksum and TCP's of a packet that parsed as BL_PARSE_TCP. */
bool bl_parse_verify_checksums(const uint8_t *frame, const struct bl_packet *packet);

#endif
