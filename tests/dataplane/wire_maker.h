/* The parts that wire_shapes.c makes frames of: random numbers, headers with right checksums, addresses of the list.
 *
 * The list: class 1 rejects 45.0.0.0/16 and 2a00:45::/32, class 2 resets 46.0.0.0/16 and 2a00:46::/32, class 3 drops
 * 47.0.0.0/16 and 2a00:47::/32, class 4 monitors 48.0.0.0/16 and 2a00:48::/32; 45.0.200.0/24 and 2a00:45:200::/48 are
 * exempt. Port 25 is protected. */
#ifndef WIRE_MAKER_H
#define WIRE_MAKER_H

#include <string.h>

#include "dataplane/wire_shapes.h"

enum { REJECT = 45, RESET = 46, DROP = 47, MONITOR = 48, EXEMPT = 200, FREE = 80 };
enum { TCP = 6, UDP = 17, ICMP = 1, ICMP6 = 58, SYN = 0x02, SMTP = 25, ETHERNET_BYTES = 14, MTU = 1500, JUMBO = 9000 };

struct maker {
    uint8_t *bytes;
    size_t at;
    uint64_t random;
    enum wire_direction direction;
};

/* splitmix64 (Steele, Lea, Flood 2014) */
static inline uint64_t draw64(struct maker *m)
{
    uint64_t z = m->random += 0x9e3779b97f4a7c15;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static inline uint32_t draw(struct maker *m, uint32_t below)
{
    return (uint32_t)(((draw64(m) & 0xffffffff) * below) >> 32);
}

static inline uint32_t between(struct maker *m, uint32_t first, uint32_t last)
{
    return first + draw(m, last - first + 1);
}

static inline void put(struct maker *m, const void *bytes, size_t n)
{
    memcpy(m->bytes + m->at, bytes, n);
    m->at += n;
}

static inline void put8(struct maker *m, uint32_t value)
{
    m->bytes[m->at++] = (uint8_t)value;
}

static inline void put16(struct maker *m, uint32_t value)
{
    put8(m, value >> 8);
    put8(m, value);
}

static inline void put32(struct maker *m, uint32_t value)
{
    put16(m, value >> 16);
    put16(m, value);
}

static inline void put_random(struct maker *m, size_t n)
{
    for (; n >= 8; n -= 8) {
        uint64_t word = draw64(m);

        put(m, &word, 8);
    }
    while (n-- > 0)
        put8(m, draw(m, 256));
}

static inline uint64_t add(uint64_t sum, const uint8_t *at, size_t n)
{
    for (; n >= 2; n -= 2, at += 2)
        sum += (uint32_t)(at[0] << 8 | at[1]);
    return n == 0 ? sum : sum + (uint32_t)(at[0] << 8);
}

static inline void store_checksum(uint8_t *at, uint64_t sum)
{
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    at[0] = (uint8_t)(~sum >> 8);
    at[1] = (uint8_t)~sum;
}

/* The last byte but one says the direction: it is how an answer, whose addresses are swapped, is told from a frame. */
static inline void put_macs(struct maker *m, bool group)
{
    static const uint8_t multicast[] = {0x01, 0x00, 0x5e, 0x00, 0x00, 0xfb};
    static const uint8_t outside[] = {2, 0, 0, 0, 0xcc, 1};
    uint8_t inside[] = {2, 0, 0, 0, m->direction == WIRE_FROM_WAN ? 0xaa : 0xbb, 0x25};

    if (m->direction == WIRE_FROM_WAN) {
        put(m, group ? multicast : inside, 6);
        put(m, outside, 6);
    } else {
        put(m, group ? multicast : outside, 6);
        put(m, inside, 6);
    }
}

static inline void put_tag(struct maker *m, uint32_t type)
{
    put16(m, type);
    put16(m, draw(m, 65536));
}

/* Addresses, and for a third of the frames one or two tags, and the EtherType. */
static inline void put_ethernet(struct maker *m, uint32_t type)
{
    static const uint16_t tags[] = {0x8100, 0x88a8, 0x9100};
    uint32_t kind = draw(m, 9);

    put_macs(m, false);
    if (kind < 3)
        put_tag(m, tags[kind]);
    if (kind == 2)
        put_tag(m, 0x8100);
    put16(m, type);
}

static inline uint32_t ip4_of(struct maker *m, uint32_t net)
{
    if (net == FREE)
        return between(m, 60, 99) << 24 | draw(m, 1 << 24);
    if (net == EXEMPT)
        return (uint32_t)REJECT << 24 | 200 << 8 | draw(m, 256);
    return net << 24 | draw(m, 200) << 8 | draw(m, 256);
}

static inline uint32_t any_net(struct maker *m)
{
    static const uint8_t nets[] = {REJECT, RESET, DROP, MONITOR, EXEMPT, FREE};

    return nets[draw(m, sizeof(nets))];
}

static inline uint32_t listed_net(struct maker *m)
{
    return between(m, REJECT, DROP);
}

static inline void put_ip6_of(struct maker *m, uint32_t net)
{
    static const uint8_t bcd[] = {[REJECT] = 0x45, [RESET] = 0x46, [DROP] = 0x47, [MONITOR] = 0x48};

    put16(m, 0x2a00);
    put16(m, net == FREE ? 0x80 : net == EXEMPT ? 0x45 : bcd[net]);
    put16(m, net == EXEMPT ? 0x200 : draw(m, 0x200));
    put_random(m, 10);
}

/* An IPv4 header; @return where it starts. @p body_bytes is what will stand behind it, as its length says. */
static inline size_t put_ip4(struct maker *m, uint32_t net, uint32_t protocol, size_t body_bytes, size_t option_bytes)
{
    size_t start = m->at;

    put8(m, 0x45 + option_bytes / 4);
    put8(m, draw(m, 256));
    put16(m, (uint32_t)(20 + option_bytes + body_bytes));
    put16(m, draw(m, 65536));
    put16(m, draw(m, 2) == 0 ? 0x4000 : 0);
    put8(m, between(m, 1, 255));
    put8(m, protocol);
    put16(m, 0);
    put32(m, ip4_of(m, net));
    put32(m, 0xc0000219);
    memset(m->bytes + m->at, 1, option_bytes); /* no operation */
    m->at += option_bytes;
    store_checksum(m->bytes + start + 10, add(0, m->bytes + start, m->at - start));
    return start;
}

static inline size_t put_ip6(struct maker *m, uint32_t net, uint32_t protocol, size_t body_bytes)
{
    static const uint8_t destination[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0x25, [15] = 0x25};
    size_t start = m->at;

    put32(m, 6u << 28 | draw(m, 1 << 28));
    put16(m, (uint32_t)body_bytes);
    put8(m, protocol);
    put8(m, between(m, 1, 255));
    put_ip6_of(m, net);
    put(m, destination, 16);
    return start;
}

struct segment {
    uint32_t source_port;
    uint32_t port;
    uint32_t flags;
    size_t payload_bytes;
    bool bad_checksum;
};

/* @p addresses: where the source's and the destination's lie, side by side. */
static inline void put_tcp(struct maker *m, const struct segment *segment, const uint8_t *addresses,
                           size_t address_bytes)
{
    size_t start = m->at;
    size_t bytes = 20 + segment->payload_bytes;
    uint64_t sum;

    put16(m, segment->source_port);
    put16(m, segment->port);
    put32(m, draw(m, UINT32_MAX));
    put32(m, draw(m, UINT32_MAX));
    put8(m, 5 << 4 | draw(m, 16));
    put8(m, segment->flags);
    put16(m, between(m, 1024, 65535));
    put32(m, 0);
    put_random(m, segment->payload_bytes);
    sum = add(add(TCP + bytes, addresses, 2 * address_bytes), m->bytes + start, bytes);
    store_checksum(m->bytes + start + 16, segment->bad_checksum ? sum + between(m, 1, 65534) : sum);
}

/* A whole segment in one family or the other; @p extra bytes of IPv4 options or IPv6 extension headers. */
static inline void put_segment(struct maker *m, uint32_t net, const struct segment *segment, size_t extra)
{
    size_t bytes = 20 + segment->payload_bytes;
    size_t ip;

    if (draw(m, 2) == 0) {
        put_ethernet(m, 0x0800);
        ip = put_ip4(m, net, TCP, bytes, extra);
        put_tcp(m, segment, m->bytes + ip + 12, 4);
    } else {
        static const uint8_t headers[] = {0, 60, 43, 135, 139, 140};
        size_t n_headers = extra / 8;
        uint32_t first = n_headers > 0 ? headers[draw(m, 6)] : TCP;

        put_ethernet(m, 0x86dd);
        ip = put_ip6(m, net, first, bytes + 8 * n_headers);
        for (size_t i = 1; i <= n_headers; i++) {
            put8(m, i < n_headers ? headers[draw(m, 6)] : TCP);
            put8(m, 0);
            put_random(m, 6);
        }
        put_tcp(m, segment, m->bytes + ip + 8, 16);
    }
    if (draw(m, 4) == 0)
        put_random(m, between(m, 1, 20)); /* behind the packet: padding, a trailer */
}

static inline struct segment segment_of(struct maker *m, uint32_t port, uint32_t flags, size_t payload_max)
{
    return (struct segment){between(m, 1024, 65535), port, flags, draw(m, (uint32_t)payload_max + 1), false};
}

static inline uint32_t open_port(struct maker *m)
{
    static const uint16_t ports[] = {0, 24, 26, 80, 443, 465, 587, 6400, 65535};

    return draw(m, 2) == 0 ? ports[draw(m, 9)] : between(m, 1024, 65535);
}

#endif
