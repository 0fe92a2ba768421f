/* Lookups with AVX-512 (F, BW, VL), compiled for it (CMakeLists.txt) and called only where the processor has it: a line
 * is one register. See table_passes.h; containers are looked into as with AVX2. */
#include "dataplane/table_lookup.h"

#include <immintrin.h>

#include "dataplane/table_range_sse.h"

static inline uint8_t host_class(const uint8_t *line, const struct bl_table_spots *spots, unsigned at,
                                 unsigned side_shift, const uint8_t *palette)
{
    const __m512i all = _mm512_load_si512(line);
    const __m512i mask = _mm512_set1_epi8((char)(0xffu << side_shift));
    uint64_t tags = _mm512_cmpeq_epi16_mask(all, _mm512_set1_epi16((short)spots->permuted[at]));
    uint64_t sides = _mm512_cmpeq_epi8_mask(_mm512_and_si512(all, mask), _mm512_set1_epi8((char)spots->sides[at])) >>
                     BL_TABLE_LAYOUT_SIDE;
    uint64_t found = (tags & sides) | 1u << BL_TABLE_LAYOUT_HOSTS;

    return palette[line[BL_TABLE_LAYOUT_SIDE + (unsigned)__builtin_ctzll(found)] & ~(0xffu << side_shift)] %
           BL_CLASS_COUNT;
}

static inline uint8_t short_class(const uint64_t *line, uint64_t word, unsigned *full)
{
    const __m512i all = _mm512_load_si512(line);
    __mmask8 equal = _mm512_cmpeq_epi64_mask(_mm512_slli_epi64(all, 6), _mm512_set1_epi64((long long)(word << 6)));

    *full = _mm512_test_epi64_mask(all, all) == 0xff;
    return (uint8_t)((uint64_t)_mm512_mask_reduce_or_epi64(equal, all) >> BL_TABLE_LAYOUT_DEEP_CLASS_SHIFT);
}

static inline uint8_t long_class(const uint64_t *line, uint64_t hi, uint64_t word, unsigned *full)
{
    const __m512i all = _mm512_load_si512(line);
    unsigned his = _mm512_cmpeq_epi64_mask(all, _mm512_set1_epi64((long long)hi)) & 0x55u;
    unsigned words = _mm512_cmpeq_epi64_mask(_mm512_slli_epi64(all, 6), _mm512_set1_epi64((long long)(word << 6)));

    *full = (_mm512_test_epi64_mask(all, all) & 0xaa) == 0xaa;
    return (uint8_t)((uint64_t)_mm512_mask_reduce_or_epi64((__mmask8)(his << 1 & words), all) >>
                     BL_TABLE_LAYOUT_DEEP_CLASS_SHIFT);
}

_Static_assert(BL_TABLE_LAYOUT_DEEP_CLASS_SHIFT == 64 - 6, "the class is shifted out of a comparison");

static inline __mmask16 some_of(unsigned n)
{
    return n < 16 ? (__mmask16)((1u << n) - 1) : 0xffff;
}

/* 16 at a time; what is left of a burst is masked. */
static inline uint64_t bits_pass(const struct bl_table_view *view, const uint32_t *keys, unsigned n)
{
    const __m128i shift = _mm_cvtsi32_si128((int)view->bits_shift);
    const __m512i one = _mm512_set1_epi32(1);
    const __m512i low = _mm512_set1_epi32(31);
    uint64_t with = 0;

    for (unsigned i = 0; i < n; i += 16) {
        __mmask16 some = some_of(n - i);
        __m512i tops = _mm512_srl_epi32(_mm512_maskz_loadu_epi32(some, keys + i), shift);
        __m512i words = _mm512_i32gather_epi32(_mm512_srli_epi32(tops, 5), view->bits, 4);

        words = _mm512_srlv_epi32(words, _mm512_and_si512(tops, low));
        with |= (uint64_t)_mm512_mask_test_epi32_mask(some, words, one) << i;
    }
    return with;
}

/* A compare a line, its mask to memory; then 16 masks at a time. */
static inline uint64_t candidates_pass(const struct bl_table_view *view, const struct bl_table_spots *spots, unsigned n)
{
    uint32_t masks[BL_TABLE_LOOKUP_BURST];
    uint64_t members = 0;

    for (unsigned i = 0; i < n; i++) {
        const uint8_t *line = view->host_lines + (size_t)spots->lines[i] * BL_TABLE_LAYOUT_LINE;

        masks[i] = _mm512_mask_cmpeq_epi16_mask((1u << BL_TABLE_LAYOUT_HOSTS) - 1, _mm512_load_si512(line),
                                                _mm512_set1_epi16((short)spots->permuted[i]));
    }
    for (unsigned i = 0; i < n; i += 16) {
        __m512i some = _mm512_maskz_loadu_epi32(some_of(n - i), masks + i);

        members |= (uint64_t)_mm512_test_epi32_mask(some, some) << i;
    }
    return members;
}

static inline void permute_pass(const struct bl_table_view *view, const uint32_t *addresses, unsigned n,
                                struct bl_table_spots *spots)
{
    const struct bl_table_keys *keys = &view->table->keys;
    const __m512i mask = _mm512_set1_epi32((int)keys->host_mask);
    const __m512i first = _mm512_set1_epi32((int)keys->host_multipliers[0]);
    const __m512i second = _mm512_set1_epi32((int)keys->host_multipliers[1]);
    const __m512i lines = _mm512_set1_epi64((long long)view->n_host_lines);
    const __m128i shift = _mm_cvtsi32_si128((int)view->side_shift);

    for (unsigned i = 0; i < n; i += 16) {
        __m512i p = _mm512_maskz_loadu_epi32(some_of(n - i), addresses + i);

        p = _mm512_mullo_epi32(_mm512_xor_si512(p, mask), first);
        p = _mm512_mullo_epi32(_mm512_xor_si512(p, _mm512_srli_epi32(p, 15)), second);
        _mm512_storeu_si512(spots->permuted + i, p);
        _mm_storeu_si128((__m128i *)(void *)(spots->sides + i),
                         _mm512_cvtepi32_epi8(_mm512_sll_epi32(_mm512_srli_epi32(p, 16), shift)));
        p = _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(_mm512_mul_epu32(p, lines), 32),
                                    _mm512_mul_epu32(_mm512_srli_epi64(p, 32), lines));
        _mm512_storeu_si512(spots->lines + i, p);
    }
}

static inline uint64_t without_class(const uint8_t *classes, unsigned n)
{
    __mmask64 some = n < 64 ? (UINT64_C(1) << n) - 1 : UINT64_MAX;
    __m512i all = _mm512_maskz_loadu_epi8(some, classes);

    return ~_mm512_test_epi8_mask(all, all);
}

static inline uint8_t tag_class(const uint8_t *line, const uint32_t *permuted)
{
    const __m512i all = _mm512_load_si512(line);
    uint32_t found = _mm512_cmpeq_epi16_mask(all, _mm512_set1_epi16(*(const short *)(const void *)permuted));

    found |= 1u << BL_TABLE_LAYOUT_HOSTS;
    return line[BL_TABLE_LAYOUT_SIDE + (unsigned)__builtin_ctz(found)] % BL_CLASS_COUNT;
}

/* 16 at a time; a gather takes what follows an entry with it, and near ones follow the last. */
static inline uint64_t far_pass(const struct bl_table_view *view, const uint32_t *tops, unsigned n, uint16_t *far,
                                uint64_t *gated)
{
    const struct bl_table_keys *keys = &view->table->keys;
    const __m512i mask = _mm512_set1_epi32((int)keys->host_mask);
    const __m512i first = _mm512_set1_epi32((int)keys->host_multipliers[0]);
    const __m512i second =
        _mm512_set1_epi32((int)(keys->host_multipliers[1] * keys->filter_multiplier)); /* one after the other */
    const __m128i shift = _mm_cvtsi32_si128((int)(32 - view->filter_bits + BL_TABLE_LAYOUT_FILTER_FEWER));
    uint64_t members = 0;

    *gated = 0;
    for (unsigned i = 0; i < n; i += 16) {
        __m512i p = _mm512_loadu_si512(tops + i);

        p = _mm512_mullo_epi32(_mm512_xor_si512(p, mask), first);
        p = _mm512_mullo_epi32(_mm512_xor_si512(p, _mm512_srli_epi32(p, 15)), second);
        p = _mm512_i32gather_epi32(_mm512_srl_epi32(p, shift), view->filter, 2);
        members |= (uint64_t)_mm512_test_epi32_mask(p, _mm512_set1_epi32(UINT16_MAX)) << i;
        *gated |= (uint64_t)_mm512_test_epi32_mask(p, _mm512_set1_epi32(1 << BL_TABLE_LAYOUT_FILTER_GATE)) << i;
        _mm256_storeu_si256((__m256i *)(void *)(far + i), _mm512_cvtepi32_epi16(p));
    }
    return members;
}

static inline uint64_t who_has(const uint16_t *masks, unsigned bit)
{
    const __m512i wanted = _mm512_set1_epi16((short)(1u << bit));

    return _mm512_test_epi16_mask(_mm512_loadu_si512(masks), wanted) |
           (uint64_t)_mm512_test_epi16_mask(_mm512_loadu_si512(masks + 32), wanted) << 32;
}

#include "dataplane/table_passes.h"

const struct bl_table_lookup bl_table_lookup_avx512 = {"AVX-512", lookup_ipv4, lookup_ipv6};
