/** @file frames.h
 * Frames for tests: one description makes the IPv4 and the IPv6 frame of a case. Shares no code with the product, its
 * checksums neither. Used by test_*.c, mutate_frames.c and the fuzzers. */
#ifndef BL_TEST_FRAMES_H
#define BL_TEST_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { FRAME_FIN = 1, FRAME_SYN = 2, FRAME_RST = 4, FRAME_PSH = 8, FRAME_ACK = 16, FRAME_URG = 32 };
enum { FRAME_BYTES_MAX = 66000, FRAME_EXTENSIONS_MAX = 12, FRAME_TAGS_MAX = 6 };

struct frame_spec {
    uint8_t family; /* 4 or 6 */
    uint8_t destination_mac[6];
    uint8_t source_mac[6];
    unsigned n_tags;
    uint16_t tags[FRAME_TAGS_MAX]; /* their EtherTypes; the tag's own number is 0x2001 and up */
    uint8_t source[16];            /* IPv4 uses the first 4 */
    uint8_t destination[16];
    uint8_t ip_options_bytes; /* IPv4: 0..40 of no-operation options */
    unsigned n_extensions;    /* IPv6 */
    uint8_t extensions[FRAME_EXTENSIONS_MAX];
    uint16_t extension_bytes; /* each; a multiple of 8 */
    uint16_t fragment;        /* IPv4: flags and offset as they are in the header */
    uint16_t source_port;
    uint16_t destination_port;
    uint32_t sequence;
    uint32_t acknowledgement;
    uint8_t flags;
    uint16_t window;
    uint8_t tcp_options_bytes;  /* 0..40 */
    const uint8_t *tcp_options; /* NULL: bytes that are no valid options */
    const uint8_t *payload;
    size_t payload_bytes;
    size_t padding_bytes; /* behind the IP packet, of 0xee: never part of it */
};

static inline void frame_store16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void frame_store32(uint8_t *at, uint32_t value)
{
    frame_store16(at, value >> 16);
    frame_store16(at + 2, value & 0xffff);
}

static inline unsigned frame_load16(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

static inline uint32_t frame_load32(const uint8_t *at)
{
    return (uint32_t)frame_load16(at) << 16 | frame_load16(at + 2);
}

/** RFC 1071, the slow way: byte pairs, big end first. Not yet complemented. */
static inline uint32_t frame_sum(uint32_t sum, const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        sum += i % 2 == 0 ? (uint32_t)data[i] << 8 : data[i];
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

/** The TCP checksum's sum over pseudo-header and segment; 0xffff when the segment's own checksum is right. */
static inline uint32_t frame_tcp_sum(const uint8_t *ip, uint8_t family, const uint8_t *tcp, size_t tcp_bytes)
{
    uint8_t tail[4] = {0, 6, (uint8_t)(tcp_bytes >> 8), (uint8_t)tcp_bytes};
    uint32_t sum = family == 4 ? frame_sum(0, ip + 12, 8) : frame_sum(0, ip + 8, 32);

    return frame_sum(frame_sum(sum, tail, sizeof(tail)), tcp, tcp_bytes);
}

/** A client 192.0.2.7 or 2001:db8::7 and a server 198.51.100.25 or 2001:db8:1::25, port 25, flags ACK. */
static inline struct frame_spec frame_spec_init(uint8_t family)
{
    struct frame_spec spec = {
        .family = family,
        .destination_mac = {0x02, 0, 0, 0, 0, 0x25},
        .source_mac = {0x02, 0, 0, 0, 0, 0x07},
        .source = {192, 0, 2, 7},
        .destination = {198, 51, 100, 25},
        .extension_bytes = 8,
        .source_port = 40007,
        .destination_port = 25,
        .sequence = 0x10000000,
        .flags = FRAME_ACK,
        .window = 64240,
    };

    if (family == 6) {
        memcpy(spec.source, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07", 16);
        memcpy(spec.destination, "\x20\x01\x0d\xb8\0\x01\0\0\0\0\0\0\0\0\0\x25", 16);
    }
    return spec;
}

static inline size_t frame_put_ethernet(const struct frame_spec *spec, uint8_t *out)
{
    size_t at = 12;

    memcpy(out, spec->destination_mac, 6);
    memcpy(out + 6, spec->source_mac, 6);
    for (unsigned i = 0; i < spec->n_tags; i++, at += 4) {
        frame_store16(out + at, spec->tags[i]);
        frame_store16(out + at + 2, 0x2001 + i);
    }
    frame_store16(out + at, spec->family == 4 ? 0x0800 : 0x86dd);
    return at + 2;
}

static inline size_t frame_put_ipv4(const struct frame_spec *spec, uint8_t *ip, size_t tcp_bytes)
{
    size_t header_bytes = 20u + spec->ip_options_bytes;

    memset(ip, 0, 20);
    ip[0] = (uint8_t)(0x40 | header_bytes / 4);
    ip[1] = 0x10;
    frame_store16(ip + 2, (unsigned)(header_bytes + tcp_bytes));
    frame_store16(ip + 4, 0xabcd);
    frame_store16(ip + 6, spec->fragment);
    ip[8] = 57;
    ip[9] = 6;
    memcpy(ip + 12, spec->source, 4);
    memcpy(ip + 16, spec->destination, 4);
    memset(ip + 20, 1, spec->ip_options_bytes);
    frame_store16(ip + 10, ~frame_sum(0, ip, header_bytes) & 0xffff);
    return header_bytes;
}

static inline size_t frame_put_ipv6(const struct frame_spec *spec, uint8_t *ip, size_t tcp_bytes)
{
    size_t at = 40;
    uint8_t *next = ip + 6;

    frame_store32(ip, 0x60312345);
    ip[7] = 57;
    memcpy(ip + 8, spec->source, 16);
    memcpy(ip + 24, spec->destination, 16);
    for (unsigned i = 0; i < spec->n_extensions; i++, at += spec->extension_bytes) {
        *next = spec->extensions[i];
        next = ip + at;
        memset(ip + at, 0, spec->extension_bytes);
        /* Authentication (51) counts in words of 4 bytes less 2, the others in words of 8 less 1. */
        ip[at + 1] =
            (uint8_t)(spec->extensions[i] == 51 ? spec->extension_bytes / 4 - 2 : spec->extension_bytes / 8 - 1);
        ip[at + 2] = 1;
        ip[at + 3] = (uint8_t)(spec->extension_bytes > 200 ? 0 : spec->extension_bytes - 4);
    }
    *next = 6;
    frame_store16(ip + 4, (unsigned)(at - 40 + tcp_bytes));
    return at;
}

/** Writes the frame, at most FRAME_BYTES_MAX bytes, with right checksums. @return its length. */
static inline size_t frame_build(const struct frame_spec *spec, uint8_t *out)
{
    size_t l3 = frame_put_ethernet(spec, out);
    size_t header_bytes = 20u + spec->tcp_options_bytes;
    size_t tcp_bytes = header_bytes + spec->payload_bytes;
    size_t ip_bytes =
        spec->family == 4 ? frame_put_ipv4(spec, out + l3, tcp_bytes) : frame_put_ipv6(spec, out + l3, tcp_bytes);
    uint8_t *tcp = out + l3 + ip_bytes;

    memset(tcp, 0, 20);
    frame_store16(tcp, spec->source_port);
    frame_store16(tcp + 2, spec->destination_port);
    frame_store32(tcp + 4, spec->sequence);
    frame_store32(tcp + 8, spec->acknowledgement);
    tcp[12] = (uint8_t)(header_bytes / 4 << 4);
    tcp[13] = spec->flags;
    frame_store16(tcp + 14, spec->window);
    frame_store16(tcp + 18, (spec->flags & FRAME_URG) != 0 ? 1 : 0);
    memset(tcp + 20, 0xfd, spec->tcp_options_bytes);
    if (spec->tcp_options != NULL)
        memcpy(tcp + 20, spec->tcp_options, spec->tcp_options_bytes);
    if (spec->payload_bytes != 0)
        memcpy(tcp + header_bytes, spec->payload, spec->payload_bytes);
    frame_store16(tcp + 16, ~frame_tcp_sum(out + l3, spec->family, tcp, tcp_bytes) & 0xffff);
    memset(tcp + tcp_bytes, 0xee, spec->padding_bytes);
    return (size_t)(tcp - out) + tcp_bytes + spec->padding_bytes;
}

#endif
