/* From the record of an answer to a frame; see segment.h.
 *
 * Headers are written byte by byte at their offsets: no packed structs, no alignment to think of. What comes from the
 * received frame is copied from there and is nothing but MAC addresses, tags, EtherType, IP addresses and ports. */
#include "dataplane/segment.h"

#include <string.h>

#include "dataplane/checksum.h"

enum {
    IPV4_BYTES = 20,
    IPV6_BYTES = 40,
    TCP_BYTES = 20,
    MSS_BYTES = 4,
    FRAME_BYTES_MIN = 60,
    HOP_LIMIT = 64,
    PROTOCOL_TCP = 6,
    OPTION_MSS = 2,
};

static void store_be16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void store_be32(uint8_t *at, uint32_t value)
{
    store_be16(at, (uint16_t)(value >> 16));
    store_be16(at + 2, (uint16_t)value);
}

/* A checksum is in memory order already. */
static void store_checksum(uint8_t *at, uint64_t sum)
{
    uint16_t checksum = (uint16_t)~bl_checksum_fold(sum);

    memcpy(at, &checksum, sizeof(checksum));
}

/* Two fields that lie side by side, source and destination in one order or the other: exchanged on the way back, and as
 * they are on the way on. */
static void put_pair(uint8_t *out, const uint8_t *received, size_t field_bytes, bool onward)
{
    memcpy(out, received + (onward ? 0 : field_bytes), field_bytes);
    memcpy(out + field_bytes, received + (onward ? field_bytes : 0), field_bytes);
}

/* Everything before the IP header. The tags come along with their priority and their EtherTypes. */
static void put_ethernet(uint8_t *out, const uint8_t *frame, size_t l3_offset, bool onward)
{
    put_pair(out, frame, 6, onward);
    memcpy(out + 12, frame + 12, l3_offset - 12);
}

/* @return the sum of the addresses, for the TCP checksum. */
static uint64_t put_ipv4(uint8_t *out, const uint8_t *received, size_t tcp_bytes, bool onward)
{
    out[0] = 0x45;
    out[1] = 0;
    store_be16(out + 2, (uint16_t)(IPV4_BYTES + tcp_bytes));
    store_be16(out + 4, 0);
    store_be16(out + 6, 0x4000); /* DF: so that the identification may be 0 (RFC 6864, 4.1) */
    out[8] = HOP_LIMIT;
    out[9] = PROTOCOL_TCP;
    store_be16(out + 10, 0);
    put_pair(out + 12, received + 12, 4, onward);
    store_checksum(out + 10, bl_checksum_add(0, out, IPV4_BYTES));
    return bl_checksum_add(0, out + 12, 8);
}

/* @return the same for IPv6, whose header has no checksum of its own. */
static uint64_t put_ipv6(uint8_t *out, const uint8_t *received, size_t tcp_bytes, bool onward)
{
    store_be32(out, 0x60000000);
    store_be16(out + 4, (uint16_t)tcp_bytes);
    out[6] = PROTOCOL_TCP;
    out[7] = HOP_LIMIT;
    put_pair(out + 8, received + 8, 16, onward);
    return bl_checksum_add(0, out + 8, 32);
}

/* The urgent pointer and the reserved bits stay zero; the MSS is the one option that we know. */
static void put_tcp(uint8_t *out, const uint8_t *received, const struct bl_reply *reply, size_t header_bytes)
{
    put_pair(out, received, 2, reply->onward);
    store_be32(out + 4, reply->sequence);
    store_be32(out + 8, reply->acknowledgement);
    out[12] = (uint8_t)(header_bytes / 4 << 4);
    out[13] = reply->flags;
    store_be16(out + 14, reply->window);
    store_be16(out + 16, 0);
    store_be16(out + 18, 0);
    if (reply->mss != 0) {
        out[TCP_BYTES] = OPTION_MSS;
        out[TCP_BYTES + 1] = MSS_BYTES;
        store_be16(out + TCP_BYTES + 2, reply->mss);
    }
    memcpy(out + header_bytes, reply->payload, reply->payload_bytes);
}

size_t bl_segment_build(const uint8_t *frame, const struct bl_packet *packet, const struct bl_reply *reply,
                        uint8_t *out)
{
    size_t tcp_header_bytes = reply->mss != 0 ? TCP_BYTES + MSS_BYTES : TCP_BYTES;
    size_t tcp_bytes = tcp_header_bytes + reply->payload_bytes;
    const uint8_t *received_ip = frame + packet->l3_offset;
    uint8_t *ip = out + packet->l3_offset;
    uint8_t *tcp;
    uint64_t sum;
    size_t length;

    put_ethernet(out, frame, packet->l3_offset, reply->onward);
    if (packet->family == BL_FAMILY_IPV4) {
        sum = put_ipv4(ip, received_ip, tcp_bytes, reply->onward);
        tcp = ip + IPV4_BYTES;
    } else {
        sum = put_ipv6(ip, received_ip, tcp_bytes, reply->onward);
        tcp = ip + IPV6_BYTES;
    }
    put_tcp(tcp, frame + packet->l4_offset, reply, tcp_header_bytes);
    sum = bl_checksum_add_pseudo(sum, PROTOCOL_TCP, (uint16_t)tcp_bytes);
    store_checksum(tcp + 16, bl_checksum_add(sum, tcp, tcp_bytes));
    length = (size_t)(tcp - out) + tcp_bytes;
    /* The least that Ethernet carries, checksum excepted. Zeros: a buffer's old bytes are nobody's business. */
    if (length < FRAME_BYTES_MIN) {
        memset(out + length, 0, FRAME_BYTES_MIN - length);
        length = FRAME_BYTES_MIN;
    }
    return length;
}
