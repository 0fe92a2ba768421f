/** @file checksum.h
 * The internet checksum (RFC 1071) over byte spans: parse.c verifies with it, segment.c computes with it.
 *
 * Sums are of words as they lie in memory: a ones' complement sum does not care about byte order, so that nothing is
 * swapped and the result is stored as it is. Every span but the last of a sum must have an even length. Pure. Threads:
 * any. Cost: fast path, a load for 8 bytes. */
#ifndef BL_CHECKSUM_H
#define BL_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/** Adds @p length bytes to @p sum. A span of 64 KiB adds less than 2^46: the sum can't overflow. */
static inline uint64_t bl_checksum_add(uint64_t sum, const uint8_t *data, size_t length)
{
    uint64_t pair;
    uint32_t word;
    uint16_t half;

    for (; length >= sizeof(pair); data += sizeof(pair), length -= sizeof(pair)) {
        memcpy(&pair, data, sizeof(pair));
        sum += (pair & UINT32_MAX) + (pair >> 32);
    }
    if (length >= sizeof(word)) {
        memcpy(&word, data, sizeof(word));
        sum += word;
        data += sizeof(word);
        length -= sizeof(word);
    }
    if (length >= sizeof(half)) {
        memcpy(&half, data, sizeof(half));
        sum += half;
        data += sizeof(half);
        length -= sizeof(half);
    }
    if (length != 0) {
        uint8_t padded[2] = {data[0], 0};

        memcpy(&half, padded, sizeof(half));
        sum += half;
    }
    return sum;
}

/** Adds what a pseudo-header has beside the addresses: zero, the protocol and the segment's length (RFC 9293, 3.1). For
 * lengths below 64 KiB the IPv6 form (RFC 8200, 8.1) has the same words in another order. */
static inline uint64_t bl_checksum_add_pseudo(uint64_t sum, uint8_t protocol, uint16_t length)
{
    const uint8_t words[4] = {0, protocol, (uint8_t)(length >> 8), (uint8_t)length};

    return bl_checksum_add(sum, words, sizeof(words));
}

/** The sum in 16 bits, in memory order. It is 0xffff for a span whose own checksum is right; its complement is what goes
 * into a checksum field that was zero. */
static inline uint16_t bl_checksum_fold(uint64_t sum)
{
    while ((sum >> 16) != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

#endif
