/* Lookups with AVX-512 (F, BW, VL), compiled for it (CMakeLists.txt) and called only where the processor has it: a line
 * is one register. See table_passes.h; containers are looked into as with AVX2. */
#include "dataplane/table_lookup.h"

#include <immintrin.h>

static inline uint8_t host_class(const uint8_t *line, unsigned side_shift, const uint8_t *palette, uint32_t permuted)
{
    const __m512i all = _mm512_load_si512(line);
    const __m512i mask = _mm512_set1_epi8((char)(0xffu << side_shift));
    uint64_t tags = _mm512_cmpeq_epi16_mask(all, _mm512_set1_epi16((short)permuted));
    uint64_t sides =
        _mm512_cmpeq_epi8_mask(_mm512_and_si512(all, mask), _mm512_set1_epi8((char)(permuted >> 16 << side_shift))) >>
        BL_TABLE_LAYOUT_SIDE;
    uint64_t found = (tags & sides) | 1u << BL_TABLE_LAYOUT_HOSTS;

    return palette[line[BL_TABLE_LAYOUT_SIDE + (unsigned)__builtin_ctzll(found)] & ~(0xffu << side_shift)] %
           BL_CLASS_COUNT;
}

/* Lanes of the boundaries are read, the others are masked and so touch nothing. */
static inline uint8_t range_class(const uint8_t *container, unsigned kind, uint32_t low)
{
    static const uint32_t lanes[8] = {0x1fffff, 0x1f, 0x3ff, 0x1fffff, 0x1fffff, 0x1fffff, 0x1fffff, 0x1fffff};
    static const uint8_t classes[8] = {42, 10, 20, 42, 42, 42, 42, 42};
    const __m512i all = _mm512_maskz_loadu_epi16(lanes[kind], container);
    uint32_t below = _mm512_mask_cmple_epu16_mask(lanes[kind], all, _mm512_set1_epi16((short)low));

    return container[classes[kind] + (unsigned)__builtin_popcount(below)] % BL_CLASS_COUNT;
}

static inline uint8_t short_class(const uint64_t *line, uint64_t word, bool *full)
{
    const __m512i all = _mm512_load_si512(line);
    __mmask8 equal = _mm512_cmpeq_epi64_mask(_mm512_slli_epi64(all, 6), _mm512_set1_epi64((long long)(word << 6)));

    *full = _mm512_test_epi64_mask(all, all) == 0xff;
    return (uint8_t)((uint64_t)_mm512_mask_reduce_or_epi64(equal, all) >> BL_TABLE_LAYOUT_DEEP_CLASS_SHIFT);
}

static inline uint8_t long_class(const uint64_t *line, uint64_t hi, uint64_t word, bool *full)
{
    const __m512i all = _mm512_load_si512(line);
    unsigned his = _mm512_cmpeq_epi64_mask(all, _mm512_set1_epi64((long long)hi)) & 0x55u;
    unsigned words = _mm512_cmpeq_epi64_mask(_mm512_slli_epi64(all, 6), _mm512_set1_epi64((long long)(word << 6)));

    *full = (_mm512_test_epi64_mask(all, all) & 0xaa) == 0xaa;
    return (uint8_t)((uint64_t)_mm512_mask_reduce_or_epi64((__mmask8)(his << 1 & words), all) >>
                     BL_TABLE_LAYOUT_DEEP_CLASS_SHIFT);
}

_Static_assert(BL_TABLE_LAYOUT_DEEP_CLASS_SHIFT == 64 - 6, "the class is shifted out of a comparison");

#include "dataplane/table_passes.h"

const struct bl_table_lookup bl_table_lookup_avx512 = {"AVX-512", lookup_ipv4, lookup_ipv6};
