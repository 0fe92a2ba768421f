/* From the record of an answer to a frame; see segment.h.
 *
 * Headers are written field by field at their offsets: no packed structs, no alignment to think of. What comes from the
 * received frame is copied from there and is nothing but MAC addresses, tags, EtherType, IP addresses and ports. */
#include "dataplane/segment.h"

#include <string.h>

#include "dataplane/checksum.h"

enum {
    IPV4_BYTES = 20,
    IPV6_BYTES = 40,
    TCP_BYTES = 20,
    MSS_BYTES = 4,
    TAGS_BYTES_MAX = 16,
    FRAME_BYTES_MIN = 60,
    FRAME_BYTES_LEAST = 14 + IPV4_BYTES + TCP_BYTES, /* what no answer is shorter than, before it is padded */
    HOP_LIMIT = 64,
    PROTOCOL_TCP = 6,
    OPTION_MSS = 2,
};

static size_t tcp_header_bytes(const struct bl_reply *reply)
{
    return reply->mss != 0 ? TCP_BYTES + MSS_BYTES : TCP_BYTES;
}

/* A header's word and the same as it counts in a checksum: both are of the bytes in memory. */
static uint16_t be16(unsigned value)
{
    return __builtin_bswap16((uint16_t)value);
}

static uint32_t be32(uint32_t value)
{
    return __builtin_bswap32(value);
}

static void store16(uint8_t *at, uint16_t value_be)
{
    memcpy(at, &value_be, sizeof(value_be));
}

static void store32(uint8_t *at, uint32_t value_be)
{
    memcpy(at, &value_be, sizeof(value_be));
}

/* Two fields that lie side by side, source and destination in one order or the other: exchanged on the way back, and as
 * they are on the way on. */
static void put_pair(uint8_t *out, const uint8_t *received, size_t field_bytes, bool onward)
{
    memcpy(out, received + (onward ? 0 : field_bytes), field_bytes);
    memcpy(out + field_bytes, received + (onward ? field_bytes : 0), field_bytes);
}

/* Everything before the IP header. The tags come along with their priority and their EtherTypes: as many bytes as they can
 * have, so that the copy is two moves; what is too much is the IP header's, which is written next. */
static void put_ethernet(uint8_t *out, const uint8_t *frame, bool onward)
{
    put_pair(out, frame, 6, onward);
    memcpy(out + 12, frame + 12, TAGS_BYTES_MAX + 2);
}

/* @return the sum of the addresses, for the TCP checksum: the received ones', whose order does not matter. */
static uint64_t put_ipv4(uint8_t *out, const uint8_t *received, size_t tcp_bytes, bool onward)
{
    const uint16_t version = be16(0x4500);
    const uint16_t total = be16((unsigned)(IPV4_BYTES + tcp_bytes));
    const uint16_t fragment = be16(0x4000); /* DF: so that the identification may be 0 (RFC 6864, 4.1) */
    const uint16_t protocol = be16(HOP_LIMIT << 8 | PROTOCOL_TCP);
    uint64_t sum = bl_checksum_add(0, received + 12, 8);

    store16(out, version);
    store16(out + 2, total);
    store16(out + 4, 0);
    store16(out + 6, fragment);
    store16(out + 8, protocol);
    store16(out + 10, (uint16_t)~bl_checksum_fold(sum + version + total + fragment + protocol));
    put_pair(out + 12, received + 12, 4, onward);
    return sum;
}

/* @return the same for IPv6, whose header has no checksum of its own. */
static uint64_t put_ipv6(uint8_t *out, const uint8_t *received, size_t tcp_bytes, bool onward)
{
    store32(out, be32(0x60000000));
    store16(out + 4, be16((unsigned)tcp_bytes));
    store16(out + 6, be16(PROTOCOL_TCP << 8 | HOP_LIMIT));
    put_pair(out + 8, received + 8, 16, onward);
    return bl_checksum_add(0, received + 8, 32);
}

/* The urgent pointer and the reserved bits stay zero; the MSS is the one option that we know. @p sum is the
 * pseudo-header's. */
static void put_tcp(uint8_t *out, const uint8_t *received, const struct bl_reply *reply, uint64_t sum)
{
    const uint32_t sequence = be32(reply->sequence);
    const uint32_t acknowledgement = be32(reply->acknowledgement);
    const uint16_t window = be16(reply->window);
    size_t header_bytes = tcp_header_bytes(reply);
    uint16_t lengths = be16((unsigned)header_bytes / 4 << 12 | reply->flags);
    uint8_t *payload = out + header_bytes;

    put_pair(out, received, 2, reply->onward);
    store32(out + 4, sequence);
    store32(out + 8, acknowledgement);
    store16(out + 12, lengths);
    store16(out + 14, window);
    store16(out + 18, 0);
    sum = bl_checksum_add(sum, received, 4);
    sum += (uint64_t)sequence + acknowledgement + lengths + window;
    if (reply->mss != 0) {
        const uint32_t option = be32((uint32_t)OPTION_MSS << 24 | MSS_BYTES << 16 | reply->mss);

        store32(out + TCP_BYTES, option);
        sum += option;
    }
    if (reply->payload_bytes != 0) {
        memcpy(payload, reply->payload, reply->payload_bytes);
        sum = bl_checksum_add(sum, payload, reply->payload_bytes);
    }
    store16(out + 16, (uint16_t)~bl_checksum_fold(sum));
}

/* Sums are made of what is written, not of what was: to load in larger pieces what was just stored in smaller ones waits
 * until all of it has reached the cache. */
size_t bl_segment_build(const uint8_t *frame, const struct bl_packet *packet, const struct bl_reply *reply,
                        uint8_t *out)
{
    size_t tcp_bytes = tcp_header_bytes(reply) + reply->payload_bytes;
    const uint8_t *received_ip = frame + packet->l3_offset;
    uint8_t *ip = out + packet->l3_offset;
    uint8_t *tcp;
    uint64_t sum;
    size_t length;

    /* The least that Ethernet carries, checksum excepted. Zeros: a buffer's old bytes are nobody's business. */
    memset(out + FRAME_BYTES_LEAST, 0, FRAME_BYTES_MIN - FRAME_BYTES_LEAST);
    put_ethernet(out, frame, reply->onward);
    if (packet->family == BL_FAMILY_IPV4) {
        sum = put_ipv4(ip, received_ip, tcp_bytes, reply->onward);
        tcp = ip + IPV4_BYTES;
    } else {
        sum = put_ipv6(ip, received_ip, tcp_bytes, reply->onward);
        tcp = ip + IPV6_BYTES;
    }
    put_tcp(tcp, frame + packet->l4_offset, reply, bl_checksum_add_pseudo(sum, PROTOCOL_TCP, (uint16_t)tcp_bytes));
    length = (size_t)(tcp - out) + tcp_bytes;
    return length < FRAME_BYTES_MIN ? FRAME_BYTES_MIN : length;
}
