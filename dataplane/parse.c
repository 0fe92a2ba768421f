/* Frame to struct bl_packet; see parse.h.
 *
 * One function a layer, outside in. Each gets what is left of the frame, checks that its header lies in it, and hands a
 * shorter span on; nothing reads a byte that was not checked. A length that a header claims is believed only as far as
 * the bytes are there.
 *
 * Invariant: when a function returns BL_PARSE_TCP, l3_offset <= l4_offset <= payload_offset and payload_offset +
 * payload_bytes <= the frame's length. Sources: RFC 791, RFC 8200, RFC 4302, RFC 9293, IEEE 802.1Q. */
#include "dataplane/parse.h"

#include <string.h>

#include "dataplane/checksum.h"

enum {
    ETHERNET_BYTES = 14,
    VLAN_BYTES = 4,
    VLAN_TAGS_MAX = 4,
    IPV4_BYTES = 20,
    IPV4_SOURCE_END = 16,
    IPV6_BYTES = 40,
    IPV6_SOURCE_END = 24,
    TCP_BYTES = 20,
    EXTENSION_HEADERS_MAX = 8,
    EXTENSION_BYTES_MAX = 256,
};

enum { ETHERTYPE_IPV4 = 0x0800, ETHERTYPE_IPV6 = 0x86dd };
enum { ETHERTYPE_VLAN = 0x8100, ETHERTYPE_QINQ = 0x88a8, ETHERTYPE_QINQ_OLD = 0x9100 };

/* IANA's protocol numbers and IPv6 extension header types. */
enum {
    PROTOCOL_HOP_BY_HOP = 0,
    PROTOCOL_TCP = 6,
    PROTOCOL_ROUTING = 43,
    PROTOCOL_FRAGMENT = 44,
    PROTOCOL_AUTHENTICATION = 51,
    PROTOCOL_DESTINATION = 60,
    PROTOCOL_MOBILITY = 135,
    PROTOCOL_HIP = 139,
    PROTOCOL_SHIM6 = 140,
};

/* More fragments, and the fragment offset; the reserved bit and DF are not looked at. */
enum { IPV4_FRAGMENT_MASK = 0x3fff };

/* A part of the frame: `at` is an offset from the frame's start, `end` the first byte behind. */
struct span {
    const uint8_t *frame;
    size_t at;
    size_t end;
};

/* Byte by byte: headers lie at any alignment behind tags, and compilers make one load and a swap of it. */
static uint16_t load_be16(const uint8_t *at)
{
    return (uint16_t)((at[0] << 8) | at[1]);
}

static uint32_t load_be32(const uint8_t *at)
{
    return ((uint32_t)load_be16(at) << 16) | load_be16(at + 2);
}

static struct bl_ip6 load_ip6(const uint8_t *at)
{
    struct bl_ip6 ip6 = {
        .hi = ((uint64_t)load_be32(at) << 32) | load_be32(at + 4),
        .lo = ((uint64_t)load_be32(at + 8) << 32) | load_be32(at + 12),
    };

    return ip6;
}

static size_t left(const struct span *span)
{
    return span->end - span->at;
}

/* Reached for whole packets only. The header's checksum is not looked at: that costs a pass over the payload, and only
 * listed sources get an answer (bl_parse_verify_checksums). */
static enum bl_parse_status parse_tcp(struct span span, struct bl_packet *packet)
{
    const uint8_t *tcp = span.frame + span.at;
    size_t header_bytes;

    if (left(&span) < TCP_BYTES)
        return BL_PARSE_UNPARSABLE;
    /* The options are skipped, not read: we use none, so that broken ones don't matter. */
    header_bytes = (size_t)(tcp[12] >> 4) * 4;
    if (header_bytes < TCP_BYTES || header_bytes > left(&span))
        return BL_PARSE_UNPARSABLE;
    packet->source_port = load_be16(tcp);
    packet->destination_port = load_be16(tcp + 2);
    packet->sequence = load_be32(tcp + 4);
    packet->acknowledgement = load_be32(tcp + 8);
    packet->tcp_flags = tcp[13];
    packet->window = load_be16(tcp + 14);
    packet->l4_offset = (uint16_t)span.at;
    packet->payload_offset = (uint16_t)(span.at + header_bytes);
    packet->payload_bytes = (uint16_t)(left(&span) - header_bytes);
    return BL_PARSE_TCP;
}

static enum bl_parse_status parse_ipv4(struct span span, struct bl_packet *packet)
{
    const uint8_t *ip = span.frame + span.at;
    size_t header_bytes;
    size_t total_bytes;

    if (left(&span) < IPV4_SOURCE_END || ip[0] >> 4 != 4)
        return BL_PARSE_UNPARSABLE;
    /* Before any length is judged: a listed source must not get through behind a header that lies, or is cut. */
    packet->family = BL_FAMILY_IPV4;
    packet->source_ip4 = load_be32(ip + 12);
    packet->destination_cut = left(&span) < IPV4_BYTES;
    if (packet->destination_cut)
        return BL_PARSE_UNPARSABLE;
    packet->destination_ip4 = load_be32(ip + 16);
    header_bytes = (size_t)(ip[0] & 0x0f) * 4;
    total_bytes = load_be16(ip + 2);
    if (header_bytes < IPV4_BYTES || total_bytes < header_bytes || total_bytes > left(&span))
        return BL_PARSE_UNPARSABLE;
    /* The first fragment too: it shows its ports, but what follows it can overwrite them (RFC 1858). */
    if ((load_be16(ip + 6) & IPV4_FRAGMENT_MASK) != 0)
        return BL_PARSE_FRAGMENT;
    if (ip[9] != PROTOCOL_TCP)
        return BL_PARSE_OTHER;
    /* What lies behind the packet is Ethernet's padding. */
    span.end = span.at + total_bytes;
    span.at += header_bytes;
    return parse_tcp(span, packet);
}

/* The extension headers of RFC 7045, 4.1, that have a length of their own and something behind them. */
static bool is_extension(uint8_t protocol)
{
    switch (protocol) {
    case PROTOCOL_HOP_BY_HOP:
    case PROTOCOL_ROUTING:
    case PROTOCOL_AUTHENTICATION:
    case PROTOCOL_DESTINATION:
    case PROTOCOL_MOBILITY:
    case PROTOCOL_HIP:
    case PROTOCOL_SHIM6:
        return true;
    default:
        return false;
    }
}

/* Walks to the upper layer. Any fragment header counts as a fragment, one that says "whole" too (RFC 6946): a sender
 * of mail has no use for it, and a rule without exceptions can't be stretched. */
static enum bl_parse_status parse_extensions(struct span span, uint8_t protocol, struct bl_packet *packet)
{
    size_t first = span.at;

    for (unsigned n_headers = 0; is_extension(protocol); n_headers++) {
        const uint8_t *header = span.frame + span.at;
        size_t header_bytes;

        if (n_headers == EXTENSION_HEADERS_MAX || left(&span) < 8)
            return BL_PARSE_UNPARSABLE;
        /* Authentication counts in 4 bytes less 2 (RFC 4302, 2.2), all the others in 8 bytes less 1. */
        header_bytes = protocol == PROTOCOL_AUTHENTICATION ? ((size_t)header[1] + 2) * 4 : ((size_t)header[1] + 1) * 8;
        if (header_bytes > left(&span) || span.at + header_bytes - first > EXTENSION_BYTES_MAX)
            return BL_PARSE_UNPARSABLE;
        protocol = header[0];
        span.at += header_bytes;
    }
    if (protocol == PROTOCOL_FRAGMENT)
        return BL_PARSE_FRAGMENT;
    if (protocol != PROTOCOL_TCP)
        return BL_PARSE_OTHER;
    return parse_tcp(span, packet);
}

static enum bl_parse_status parse_ipv6(struct span span, struct bl_packet *packet)
{
    const uint8_t *ip = span.frame + span.at;
    size_t payload_bytes;

    if (left(&span) < IPV6_SOURCE_END || ip[0] >> 4 != 6)
        return BL_PARSE_UNPARSABLE;
    packet->family = BL_FAMILY_IPV6;
    packet->source_ip6 = load_ip6(ip + 8);
    packet->destination_cut = left(&span) < IPV6_BYTES;
    if (packet->destination_cut)
        return BL_PARSE_UNPARSABLE;
    packet->destination_ip6 = load_ip6(ip + 24);
    /* A jumbogram says 0 here (RFC 2675): nothing is left for TCP then, and it is not parsable. */
    payload_bytes = load_be16(ip + 4);
    if (payload_bytes > left(&span) - IPV6_BYTES)
        return BL_PARSE_UNPARSABLE;
    span.at += IPV6_BYTES;
    span.end = span.at + payload_bytes;
    return parse_extensions(span, ip[6], packet);
}

/* 9100 is what switches said before 802.1ad. */
static bool is_vlan(uint16_t ethertype)
{
    return ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_QINQ || ethertype == ETHERTYPE_QINQ_OLD;
}

/* Tags are walked, not read: which network a frame is of does not change who sent it. More of them than any network
 * stacks are no IP to us, and none to a mail server either. */
static enum bl_parse_status parse_ethernet(struct span span, struct bl_packet *packet)
{
    uint16_t ethertype;

    if (left(&span) < ETHERNET_BYTES)
        return BL_PARSE_NOT_IP;
    packet->link_group = ((span.frame[0] | span.frame[6]) & 1) != 0;
    ethertype = load_be16(span.frame + 12);
    span.at = ETHERNET_BYTES;
    for (unsigned n_tags = 0; is_vlan(ethertype); n_tags++) {
        if (n_tags == VLAN_TAGS_MAX || left(&span) < VLAN_BYTES)
            return BL_PARSE_NOT_IP;
        ethertype = load_be16(span.frame + span.at + 2);
        span.at += VLAN_BYTES;
    }
    packet->l3_offset = (uint16_t)span.at;
    if (ethertype == ETHERTYPE_IPV4)
        return parse_ipv4(span, packet);
    if (ethertype == ETHERTYPE_IPV6)
        return parse_ipv6(span, packet);
    return BL_PARSE_NOT_IP;
}

/* In one piece: what a layer hands to the next stays in registers. */
__attribute__((flatten)) void bl_parse_frame(const uint8_t *frame, size_t length, struct bl_packet *packet)
{
    struct span whole = {.frame = frame, .at = 0, .end = length};

    /* One store of a cache line: no field of the packet before can show through. */
    memset(packet, 0, sizeof(*packet));
    packet->status = (uint8_t)parse_ethernet(whole, packet);
}

bool bl_parse_verify_checksums(const uint8_t *frame, const struct bl_packet *packet)
{
    const uint8_t *ip = frame + packet->l3_offset;
    uint16_t tcp_bytes = (uint16_t)(packet->payload_offset - packet->l4_offset + packet->payload_bytes);
    uint64_t sum;

    /* Source and destination lie side by side in both families. The pseudo-header has the destination of this header: a
     * segment on its way through a routing header verifies at its last hop only, and is not ours to answer. */
    if (packet->family == BL_FAMILY_IPV4) {
        if (bl_checksum_fold(bl_checksum_add(0, ip, (size_t)(packet->l4_offset - packet->l3_offset))) != 0xffff)
            return false;
        sum = bl_checksum_add(0, ip + 12, 8);
    } else {
        sum = bl_checksum_add(0, ip + 8, 32);
    }
    sum = bl_checksum_add_pseudo(sum, PROTOCOL_TCP, tcp_bytes);
    sum = bl_checksum_add(sum, frame + packet->l4_offset, tcp_bytes);
    return bl_checksum_fold(sum) == 0xffff;
}
