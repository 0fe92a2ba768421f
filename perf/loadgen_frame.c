/* See loadgen_frame.h. */
#include "perf/loadgen_frame.h"

#include <string.h>

#include "bounceline/address.h"
#include "dataplane/checksum.h"

enum {
    FRAME_BYTES_MIN = 60,
    MAC_BYTES = 6,
    IPV4_BYTES = 20,
    IPV6_BYTES = 40,
    TCP_BYTES = 20,
    UDP_BYTES = 8,
    MSS = 1460,
    HOP_LIMIT = 57, /* a host some way off; the appliance's own frames have another */
};

static void put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, value >> 16);
    put16(at + 2, value & 0xffff);
}

static unsigned get16(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static void put_checksum(uint8_t *at, uint64_t sum)
{
    uint16_t checksum = (uint16_t)~bl_checksum_fold(sum);

    memcpy(at, &checksum, sizeof(checksum));
}

static unsigned address_bytes(uint8_t family)
{
    return family == BL_FAMILY_IPV4 ? 4 : 16;
}

/* Ethernet and IP. @return where the next header goes; *sum becomes that of its pseudo-header. */
static uint8_t *put_head(const struct loadgen_link *link, const struct loadgen_ends *ends, bool to_server,
                         uint8_t protocol, size_t length, uint8_t *out, uint64_t *sum)
{
    const uint8_t *from = to_server ? ends->client : ends->server;
    const uint8_t *to = to_server ? ends->server : ends->client;
    unsigned n = address_bytes(ends->family);
    uint8_t *ip = out + loadgen_frame_link_bytes(link);
    uint8_t *addresses;

    memcpy(out, to_server ? link->server_mac : link->client_mac, MAC_BYTES);
    memcpy(out + MAC_BYTES, to_server ? link->client_mac : link->server_mac, MAC_BYTES);
    if (link->vlan != 0)
        put32(out + 12, 0x81000000U | link->vlan);
    put16(ip - 2, ends->family == BL_FAMILY_IPV4 ? 0x0800 : 0x86dd);
    if (ends->family == BL_FAMILY_IPV4) {
        addresses = ip + 12;
        put16(ip, 0x4500);
        put16(ip + 2, (unsigned)(IPV4_BYTES + length));
        put32(ip + 4, 0x4000); /* DF */
        ip[8] = HOP_LIMIT;
        ip[9] = protocol;
        put16(ip + 10, 0);
    } else {
        addresses = ip + 8;
        put32(ip, 0x60000000);
        put16(ip + 4, (unsigned)length);
        ip[6] = protocol;
        ip[7] = HOP_LIMIT;
    }
    memcpy(addresses, from, n);
    memcpy(addresses + n, to, n);
    if (ends->family == BL_FAMILY_IPV4)
        put_checksum(ip + 10, bl_checksum_add(0, ip, IPV4_BYTES));
    *sum = bl_checksum_add_pseudo(bl_checksum_add(0, addresses, 2 * n), protocol, (uint16_t)length);
    return addresses + 2 * n;
}

static size_t pad(uint8_t *out, size_t length)
{
    if (length >= FRAME_BYTES_MIN)
        return length;
    memset(out + length, 0, FRAME_BYTES_MIN - length);
    return FRAME_BYTES_MIN;
}

size_t loadgen_frame_tcp(const struct loadgen_link *link, const struct loadgen_ends *ends, bool to_server,
                         const struct loadgen_segment *segment, uint8_t out[LOADGEN_FRAME_MAX])
{
    size_t head = segment->mss ? TCP_BYTES + 4 : TCP_BYTES;
    size_t length = head + segment->payload_bytes;
    uint64_t sum;
    uint8_t *tcp = put_head(link, ends, to_server, LOADGEN_TCP, length, out, &sum);

    put16(tcp, to_server ? ends->client_port : ends->server_port);
    put16(tcp + 2, to_server ? ends->server_port : ends->client_port);
    put32(tcp + 4, segment->sequence);
    put32(tcp + 8, segment->acknowledgement);
    tcp[12] = (uint8_t)(head / 4 << 4);
    tcp[13] = segment->flags;
    put16(tcp + 14, segment->window);
    put32(tcp + 16, 0);
    if (segment->mss)
        put32(tcp + TCP_BYTES, 0x02040000U | MSS);
    if (segment->payload_bytes != 0)
        memcpy(tcp + head, segment->payload, segment->payload_bytes);
    put_checksum(tcp + 16, bl_checksum_add(sum, tcp, length));
    return pad(out, (size_t)(tcp - out) + length);
}

size_t loadgen_frame_datagram(const struct loadgen_link *link, const struct loadgen_ends *ends, bool to_server,
                              const void *payload, uint16_t payload_bytes, bool icmp, uint8_t out[LOADGEN_FRAME_MAX])
{
    bool ipv4 = ends->family == BL_FAMILY_IPV4;
    uint8_t protocol = icmp ? (ipv4 ? LOADGEN_ICMP : LOADGEN_ICMPV6) : LOADGEN_UDP;
    size_t length = (size_t)UDP_BYTES + payload_bytes;
    uint64_t sum;
    uint8_t *at = put_head(link, ends, to_server, protocol, length, out, &sum);

    memcpy(at + UDP_BYTES, payload, payload_bytes);
    if (icmp) {
        put16(at, ipv4 ? 0x0800 : 0x8000); /* echo request */
        put16(at + 2, 0);
        put32(at + 4, (uint32_t)ends->client_port << 16 | ends->server_port);
        put_checksum(at + 2, bl_checksum_add(ipv4 ? 0 : sum, at, length));
    } else {
        put16(at, to_server ? ends->client_port : ends->server_port);
        put16(at + 2, to_server ? ends->server_port : ends->client_port);
        put32(at + 4, (uint32_t)length << 16);
        put_checksum(at + 6, bl_checksum_add(sum, at, length));
    }
    return pad(out, (size_t)(at - out) + length);
}

/* @return the IP header of a frame whose Ethernet is the link's kind; NULL of any other. */
static const uint8_t *find_ip(const struct loadgen_link *link, const uint8_t *frame, size_t length, uint8_t *family)
{
    size_t head = loadgen_frame_link_bytes(link);
    unsigned type;

    if (length < head + IPV4_BYTES)
        return NULL;
    if (link->vlan != 0 && (get16(frame + 12) != 0x8100 || (get16(frame + 14) & 0xfff) != link->vlan))
        return NULL;
    type = get16(frame + head - 2);
    *family = type == 0x0800 ? BL_FAMILY_IPV4 : type == 0x86dd ? BL_FAMILY_IPV6 : BL_FAMILY_NONE;
    return *family == BL_FAMILY_NONE ? NULL : frame + head;
}

static bool is_zero(const uint8_t *at, const uint8_t *end)
{
    while (at < end && *at == 0)
        at++;
    return at == end;
}

/* The TCP header and behind it. @p sum is of the addresses. */
static bool read_tcp(const uint8_t *tcp, size_t bytes, uint64_t sum, struct loadgen_heard *heard)
{
    size_t head;

    if (bytes < TCP_BYTES)
        return false;
    head = (size_t)(tcp[12] >> 4) * 4;
    if (head < TCP_BYTES || head > bytes)
        return false;
    heard->ends.server_port = (uint16_t)get16(tcp);
    heard->ends.client_port = (uint16_t)get16(tcp + 2);
    heard->sequence = get32(tcp + 4);
    heard->acknowledgement = get32(tcp + 8);
    heard->flags = (uint16_t)(get16(tcp + 12) & 0xfff);
    heard->urgent = (uint16_t)get16(tcp + 18);
    heard->window = (uint16_t)get16(tcp + 14);
    heard->options = tcp + TCP_BYTES;
    heard->options_bytes = (uint8_t)(head - TCP_BYTES);
    heard->payload = tcp + head;
    heard->payload_bytes = (uint16_t)(bytes - head);
    sum = bl_checksum_add(bl_checksum_add_pseudo(sum, LOADGEN_TCP, (uint16_t)bytes), tcp, bytes);
    heard->checksums_right = heard->checksums_right && bl_checksum_fold(sum) == 0xffff;
    return true;
}

bool loadgen_frame_read(const struct loadgen_link *link, const uint8_t *frame, size_t length,
                        struct loadgen_heard *heard)
{
    const uint8_t *end = frame + length;
    const uint8_t *ip = find_ip(link, frame, length, &heard->ends.family);
    const uint8_t *addresses, *tcp;
    size_t bytes;
    unsigned n;

    if (ip == NULL)
        return false;
    heard->checksums_right = true;
    heard->dont_fragment = true;
    if (heard->ends.family == BL_FAMILY_IPV4) {
        bytes = get16(ip + 2);
        if (ip[0] != 0x45 || ip[9] != LOADGEN_TCP || (get16(ip + 6) & 0xbfff) != 0 || bytes < IPV4_BYTES)
            return false;
        bytes -= IPV4_BYTES;
        heard->dont_fragment = get16(ip + 6) != 0;
        addresses = ip + 12;
        heard->checksums_right = bl_checksum_fold(bl_checksum_add(0, ip, IPV4_BYTES)) == 0xffff;
    } else {
        if (end - ip < IPV6_BYTES || ip[0] >> 4 != 6 || ip[6] != LOADGEN_TCP)
            return false;
        bytes = get16(ip + 4);
        addresses = ip + 8;
    }
    n = address_bytes(heard->ends.family);
    tcp = addresses + 2 * n;
    if (tcp + bytes > end)
        return false;
    memset(heard->ends.client, 0, sizeof(heard->ends.client));
    memset(heard->ends.server, 0, sizeof(heard->ends.server));
    memcpy(heard->ends.server, addresses, n);
    memcpy(heard->ends.client, addresses + n, n);
    heard->padded_with_zeros = (tcp + bytes == end || length == FRAME_BYTES_MIN) && is_zero(tcp + bytes, end);
    return read_tcp(tcp, bytes, bl_checksum_add(0, addresses, 2 * n), heard);
}
