/** @file glance.h
 * Most frames in a few loads (worker → glance; what it does not know goes on to parse.c).
 *
 * Nearly every frame has one shape: untagged, IPv4 without options or IPv6 without extension headers, TCP, whole, no
 * fragment. All of that is asked at once, with one jump that is foreseen, and what the policy wants to know lies at
 * fixed places then. Invariant: of a frame that has the shape bl_parse_frame makes the record that bl_glance_packet
 * makes (tests/fuzz/fuzz_parse.c). Pure. Threads: any. Cost: fast path, some 3 ns. */
#ifndef BL_GLANCE_H
#define BL_GLANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "dataplane/parse.h"

enum {
    BL_GLANCE_IP = 14, /**< the IP header */
    BL_GLANCE_TCP_IPV4 = BL_GLANCE_IP + 20,
    BL_GLANCE_TCP_IPV6 = BL_GLANCE_IP + 40,
    BL_GLANCE_TCP_BYTES = 20,
};

static inline uint16_t bl_glance_load16(const uint8_t *at)
{
    return (uint16_t)((at[0] << 8) | at[1]);
}

static inline uint32_t bl_glance_load32(const uint8_t *at)
{
    return ((uint32_t)bl_glance_load16(at) << 16) | bl_glance_load16(at + 2);
}

static inline struct bl_ip6 bl_glance_load_ip6(const uint8_t *at)
{
    return (struct bl_ip6){((uint64_t)bl_glance_load32(at) << 32) | bl_glance_load32(at + 4),
                           ((uint64_t)bl_glance_load32(at + 8) << 32) | bl_glance_load32(at + 12)};
}

/** Twelve bytes of a frame from its EtherType on, as two words in memory order. */
struct bl_glance_words {
    uint64_t first;
    uint32_t last;
};

static inline struct bl_glance_words bl_glance_load_words(const uint8_t *at)
{
    struct bl_glance_words words;

    memcpy(&words.first, at, sizeof(words.first));
    memcpy(&words.last, at + sizeof(words.first), sizeof(words.last));
    return words;
}

/** True when the bytes of @p words under @p mask are those of @p wanted, which are 0 elsewhere. */
static inline bool bl_glance_matches(struct bl_glance_words words, const uint8_t mask[12], const uint8_t wanted[12])
{
    struct bl_glance_words m = bl_glance_load_words(mask);
    struct bl_glance_words w = bl_glance_load_words(wanted);

    return (((words.first & m.first) ^ w.first) | ((words.last & m.last) ^ w.last)) == 0;
}

/** @return the family when the frame has the shape, else BL_FAMILY_NONE. */
static inline enum bl_family bl_glance_family(const uint8_t *frame, size_t length)
{
    /* EtherType; version and header length; no fragment (DF and the reserved bit are not asked); TCP. */
    static const uint8_t mask4[12] = {0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0x3f, 0xff, 0, 0xff};
    static const uint8_t wanted4[12] = {0x08, 0x00, 0x45, 0, 0, 0, 0, 0, 0, 0, 0, 6};
    static const uint8_t mask6[12] = {0xff, 0xff, 0xf0, 0, 0, 0, 0, 0, 0xff, 0, 0, 0};
    static const uint8_t wanted6[12] = {0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, 6, 0, 0, 0};
    struct bl_glance_words words;
    size_t tcp_bytes; /* with its payload, by the IP header */
    size_t header_bytes;

    if (length < BL_GLANCE_TCP_IPV4 + BL_GLANCE_TCP_BYTES)
        return BL_FAMILY_NONE;
    words = bl_glance_load_words(frame + 12);
    if (bl_glance_matches(words, mask4, wanted4)) {
        header_bytes = (size_t)(frame[BL_GLANCE_TCP_IPV4 + 12] >> 4) * 4;
        tcp_bytes = (size_t)bl_glance_load16(frame + BL_GLANCE_IP + 2) - (BL_GLANCE_TCP_IPV4 - BL_GLANCE_IP);
        /* A total length below 20 has wrapped round, and is above any frame's. */
        return ((header_bytes >= BL_GLANCE_TCP_BYTES) & (header_bytes <= tcp_bytes) &
                (tcp_bytes <= length - BL_GLANCE_TCP_IPV4))
                   ? BL_FAMILY_IPV4
                   : BL_FAMILY_NONE;
    }
    if (bl_glance_matches(words, mask6, wanted6) && length >= BL_GLANCE_TCP_IPV6 + BL_GLANCE_TCP_BYTES) {
        header_bytes = (size_t)(frame[BL_GLANCE_TCP_IPV6 + 12] >> 4) * 4;
        tcp_bytes = bl_glance_load16(frame + BL_GLANCE_IP + 4);
        return ((header_bytes >= BL_GLANCE_TCP_BYTES) & (header_bytes <= tcp_bytes) &
                (tcp_bytes <= length - BL_GLANCE_TCP_IPV6))
                   ? BL_FAMILY_IPV6
                   : BL_FAMILY_NONE;
    }
    return BL_FAMILY_NONE;
}

/** Of a frame that has the shape. */
static inline uint16_t bl_glance_destination_port(const uint8_t *frame, enum bl_family family)
{
    return bl_glance_load16(frame + (family == BL_FAMILY_IPV4 ? BL_GLANCE_TCP_IPV4 : BL_GLANCE_TCP_IPV6) + 2);
}

static inline uint32_t bl_glance_source_ip4(const uint8_t *frame)
{
    return bl_glance_load32(frame + BL_GLANCE_IP + 12);
}

static inline uint32_t bl_glance_destination_ip4(const uint8_t *frame)
{
    return bl_glance_load32(frame + BL_GLANCE_IP + 16);
}

static inline struct bl_ip6 bl_glance_source_ip6(const uint8_t *frame)
{
    return bl_glance_load_ip6(frame + BL_GLANCE_IP + 8);
}

static inline struct bl_ip6 bl_glance_destination_ip6(const uint8_t *frame)
{
    return bl_glance_load_ip6(frame + BL_GLANCE_IP + 24);
}

/** The record of a frame that has the shape: what bl_parse_frame makes of it, without asking again. */
static inline void bl_glance_packet(const uint8_t *frame, enum bl_family family, struct bl_packet *packet)
{
    bool ipv4 = family == BL_FAMILY_IPV4;
    const uint8_t *tcp = frame + (ipv4 ? BL_GLANCE_TCP_IPV4 : BL_GLANCE_TCP_IPV6);
    /* The total length counts the IP header, the payload length does not. */
    size_t end = ipv4 ? (size_t)BL_GLANCE_IP + bl_glance_load16(frame + BL_GLANCE_IP + 2)
                      : (size_t)BL_GLANCE_TCP_IPV6 + bl_glance_load16(frame + BL_GLANCE_IP + 4);

    memset(packet, 0, sizeof(*packet));
    packet->status = BL_PARSE_TCP;
    packet->family = (uint8_t)family;
    packet->tcp_flags = tcp[13];
    packet->link_group = ((frame[0] | frame[6]) & 1) != 0;
    packet->l3_offset = BL_GLANCE_IP;
    packet->l4_offset = (uint16_t)(tcp - frame);
    packet->payload_offset = (uint16_t)(packet->l4_offset + (tcp[12] >> 4) * 4);
    packet->payload_bytes = (uint16_t)(end - packet->payload_offset);
    packet->source_port = bl_glance_load16(tcp);
    packet->destination_port = bl_glance_load16(tcp + 2);
    packet->window = bl_glance_load16(tcp + 14);
    packet->sequence = bl_glance_load32(tcp + 4);
    packet->acknowledgement = bl_glance_load32(tcp + 8);
    if (ipv4) {
        packet->source_ip4 = bl_glance_source_ip4(frame);
        packet->destination_ip4 = bl_glance_destination_ip4(frame);
    } else {
        packet->source_ip6 = bl_glance_source_ip6(frame);
        packet->destination_ip6 = bl_glance_destination_ip6(frame);
    }
}

#endif
