/** @file table_range_sse.h
 * A look into a container of boundaries with 128-bit registers (table_lookup_avx2.c, table_lookup_avx512.c): the largest is
 * three of them, and wider ones gain nothing. Needs SSE4.1; included by files that are compiled for more. Pure. Threads:
 * any. Cost: fast path, one cache line. */
#ifndef BL_TABLE_RANGE_SSE_H
#define BL_TABLE_RANGE_SSE_H

#include <immintrin.h>

#include "dataplane/table_lookup.h"

/** The class of the range in which the address with these low bits lies. */
static inline uint8_t range_class(const uint8_t *container, unsigned kind, uint32_t low)
{
    /* Bits of the boundaries among the 24 lanes of a container; parts that a kind has not are its first again. */
    static const uint32_t lanes[8] = {0x1fffff, 0x1f, 0x3ff, 0x1fffff, 0x1fffff, 0x1fffff, 0x1fffff, 0x1fffff};
    static const uint8_t seconds[8] = {16, 0, 16, 16, 16, 16, 16, 16};
    static const uint8_t thirds[8] = {32, 0, 0, 32, 32, 32, 32, 32};
    static const uint8_t classes[8] = {42, 10, 20, 42, 42, 42, 42, 42};
    const __m128i wanted = _mm_set1_epi16((short)low);
    __m128i a = _mm_load_si128((const __m128i *)(const void *)container);
    __m128i b = _mm_load_si128((const __m128i *)(const void *)(container + seconds[kind]));
    __m128i c = _mm_load_si128((const __m128i *)(const void *)(container + thirds[kind]));
    uint32_t below;

    a = _mm_cmpeq_epi16(_mm_max_epu16(a, wanted), wanted);
    /* Most are small where there are few. */
    if (kind == BL_TABLE_KIND_SMALL) {
        below = (uint32_t)_mm_movemask_epi8(a) & 0x3ff;
        return container[10 + (unsigned)__builtin_popcount(below) / 2] % BL_CLASS_COUNT;
    }
    b = _mm_cmpeq_epi16(_mm_max_epu16(b, wanted), wanted);
    c = _mm_cmpeq_epi16(_mm_max_epu16(c, wanted), wanted);
    below = (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(a, b)) |
            (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(c, _mm_setzero_si128())) << 16;
    return container[classes[kind] + (unsigned)__builtin_popcount(below & lanes[kind])] % BL_CLASS_COUNT;
}

#endif
