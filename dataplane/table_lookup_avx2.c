/* Lookups with AVX2, compiled for it (CMakeLists.txt) and called only where the processor has it; see table_passes.h. */
#include "dataplane/table_lookup.h"

#include <immintrin.h>

#include "dataplane/table_range_sse.h"

/* The line's second half holds the last 5 tags, the side bytes from its byte 10 on, and the zero byte. The first slot
 * that matches is the one: empty ones, which may look like a tag of zeros, come after all that are used. */
static inline uint8_t host_class(const uint8_t *line, const struct bl_table_spots *spots, unsigned at,
                                 unsigned side_shift, const uint8_t *palette)
{
    const __m256i first = _mm256_load_si256((const __m256i *)(const void *)line);
    const __m256i second = _mm256_load_si256((const __m256i *)(const void *)(line + 32));
    const __m256i tag = _mm256_set1_epi16((short)spots->permuted[at]);
    const __m256i mask = _mm256_set1_epi8((char)(0xffu << side_shift));
    const __m256i wanted = _mm256_set1_epi8((char)spots->sides[at]);
    __m256i tags = _mm256_packs_epi16(_mm256_cmpeq_epi16(first, tag), _mm256_cmpeq_epi16(second, tag));
    __m256i sides = _mm256_cmpeq_epi8(_mm256_and_si256(second, mask), wanted);
    uint32_t found;

    tags = _mm256_permute4x64_epi64(tags, 0xd8);
    found = (uint32_t)_mm256_movemask_epi8(tags) & (uint32_t)_mm256_movemask_epi8(sides) >> 10;
    found |= 1u << BL_TABLE_LAYOUT_HOSTS;
    return palette[line[BL_TABLE_LAYOUT_SIDE + (unsigned)__builtin_ctz(found)] & ~(0xffu << side_shift)] %
           BL_CLASS_COUNT;
}

static inline uint64_t fold(__m256i words)
{
    __m128i half = _mm_or_si128(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));

    return (uint64_t)_mm_cvtsi128_si64(half) | (uint64_t)_mm_extract_epi64(half, 1);
}

static inline uint8_t short_class(const uint64_t *line, uint64_t word, unsigned *full)
{
    const __m256i a = _mm256_load_si256((const __m256i *)(const void *)line);
    const __m256i b = _mm256_load_si256((const __m256i *)(const void *)(line + 4));
    const __m256i wanted = _mm256_set1_epi64x((long long)(word << 6));
    const __m256i zero = _mm256_setzero_si256();
    __m256i found = _mm256_or_si256(_mm256_and_si256(a, _mm256_cmpeq_epi64(_mm256_slli_epi64(a, 6), wanted)),
                                    _mm256_and_si256(b, _mm256_cmpeq_epi64(_mm256_slli_epi64(b, 6), wanted)));
    __m256i empty = _mm256_or_si256(_mm256_cmpeq_epi64(a, zero), _mm256_cmpeq_epi64(b, zero));

    *full = (unsigned)_mm256_testz_si256(empty, empty);
    return (uint8_t)(fold(found) >> BL_TABLE_LAYOUT_DEEP_CLASS_SHIFT);
}

static inline uint8_t long_class(const uint64_t *line, uint64_t hi, uint64_t word, unsigned *full)
{
    const __m256i a = _mm256_load_si256((const __m256i *)(const void *)line);
    const __m256i b = _mm256_load_si256((const __m256i *)(const void *)(line + 4));
    const __m256i his = _mm256_unpacklo_epi64(a, b);
    const __m256i words = _mm256_unpackhi_epi64(a, b);
    const __m256i zero = _mm256_setzero_si256();
    __m256i equal =
        _mm256_and_si256(_mm256_cmpeq_epi64(his, _mm256_set1_epi64x((long long)hi)),
                         _mm256_cmpeq_epi64(_mm256_slli_epi64(words, 6), _mm256_set1_epi64x((long long)(word << 6))));
    __m256i empty = _mm256_cmpeq_epi64(words, zero);

    *full = (unsigned)_mm256_testz_si256(empty, empty);
    return (uint8_t)(fold(_mm256_and_si256(words, equal)) >> BL_TABLE_LAYOUT_DEEP_CLASS_SHIFT);
}

_Static_assert(BL_TABLE_LAYOUT_DEEP_CLASS_SHIFT == 64 - 6, "the class is shifted out of a comparison");

/* 8 at a time; what is left of a burst goes one by one. */
static inline uint64_t bits_pass(const struct bl_table_view *view, const uint32_t *keys, unsigned n)
{
    const __m256i low = _mm256_set1_epi32(31);
    const __m128i shift = _mm_cvtsi32_si128((int)view->bits_shift);
    uint64_t some = 0;
    unsigned i = 0;

    for (; i + 8 <= n; i += 8) {
        __m256i tops = _mm256_srl_epi32(_mm256_loadu_si256((const __m256i *)(const void *)(keys + i)), shift);
        __m256i words = _mm256_i32gather_epi32((const int *)(const void *)view->bits, _mm256_srli_epi32(tops, 5), 4);

        words = _mm256_sllv_epi32(words, _mm256_sub_epi32(low, _mm256_and_si256(tops, low)));
        some |= (uint64_t)(unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(words)) << i;
    }
    for (; i < n; i++)
        some |= (uint64_t)(view->bits[keys[i] >> view->bits_shift >> 5] >> (keys[i] >> view->bits_shift & 31) & 1) << i;
    return some;
}

/* Some of the line's second half are no tags: they may look like one. */
static inline uint64_t candidates_pass(const struct bl_table_view *view, const struct bl_table_spots *spots, unsigned n)
{
    uint64_t members = 0;

    for (unsigned i = 0; i < n; i++) {
        const uint8_t *line = view->host_lines + (size_t)spots->lines[i] * BL_TABLE_LAYOUT_LINE;
        const __m256i tag = _mm256_set1_epi16((short)spots->permuted[i]);
        const __m256i first = _mm256_load_si256((const __m256i *)(const void *)line);
        const __m256i second = _mm256_load_si256((const __m256i *)(const void *)(line + 32));
        __m256i equal = _mm256_or_si256(_mm256_cmpeq_epi16(first, tag), _mm256_cmpeq_epi16(second, tag));

        members |= (uint64_t)(_mm256_movemask_epi8(equal) != 0) << i;
    }
    return members;
}

/* 8 at a time; a burst's arrays have room for all of the last 8. */
static inline void permute_pass(const struct bl_table_view *view, const uint32_t *addresses, unsigned n,
                                struct bl_table_spots *spots)
{
    const struct bl_table_keys *keys = &view->table->keys;
    const __m256i mask = _mm256_set1_epi32((int)keys->host_mask);
    const __m256i first = _mm256_set1_epi32((int)keys->host_multipliers[0]);
    const __m256i second = _mm256_set1_epi32((int)keys->host_multipliers[1]);
    const __m256i lines = _mm256_set1_epi64x((long long)view->n_host_lines);
    uint32_t rest[8] = {0};

    for (unsigned i = 0; i < n; i += 8) {
        const uint32_t *from = addresses + i;
        __m256i p;

        if (n - i < 8) {
            memcpy(rest, from, (n - i) * sizeof(rest[0]));
            from = rest;
        }
        p = _mm256_loadu_si256((const __m256i *)(const void *)from);
        p = _mm256_mullo_epi32(_mm256_xor_si256(p, mask), first);
        p = _mm256_mullo_epi32(_mm256_xor_si256(p, _mm256_srli_epi32(p, 15)), second);
        _mm256_storeu_si256((__m256i *)(void *)(spots->permuted + i), p);
        for (unsigned at = i; at < i + 8; at++)
            spots->sides[at] = (uint8_t)(spots->permuted[at] >> 16 << view->side_shift);
        p = _mm256_blend_epi32(_mm256_srli_epi64(_mm256_mul_epu32(p, lines), 32),
                               _mm256_mul_epu32(_mm256_srli_epi64(p, 32), lines), 0xaa);
        _mm256_storeu_si256((__m256i *)(void *)(spots->lines + i), p);
    }
}

static inline uint64_t without_class(const uint8_t *classes, unsigned n)
{
    const __m256i zero = _mm256_setzero_si256();
    uint8_t all[BL_TABLE_LOOKUP_BURST];
    uint64_t low;
    uint64_t high;

    if (n < BL_TABLE_LOOKUP_BURST) {
        memset(all, UINT8_MAX, sizeof(all));
        memcpy(all, classes, n);
        classes = all;
    }
    low = (uint32_t)_mm256_movemask_epi8(
        _mm256_cmpeq_epi8(_mm256_loadu_si256((const __m256i *)(const void *)classes), zero));
    high = (uint32_t)_mm256_movemask_epi8(
        _mm256_cmpeq_epi8(_mm256_loadu_si256((const __m256i *)(const void *)(classes + 32)), zero));
    return low | high << 32;
}

static inline uint8_t tag_class(const uint8_t *line, const uint32_t *permuted)
{
    const __m256i first = _mm256_load_si256((const __m256i *)(const void *)line);
    const __m256i second = _mm256_load_si256((const __m256i *)(const void *)(line + 32));
    const __m256i tag = _mm256_set1_epi16(*(const short *)(const void *)permuted);
    __m256i tags = _mm256_packs_epi16(_mm256_cmpeq_epi16(first, tag), _mm256_cmpeq_epi16(second, tag));
    uint32_t found = (uint32_t)_mm256_movemask_epi8(_mm256_permute4x64_epi64(tags, 0xd8)) | 1u << BL_TABLE_LAYOUT_HOSTS;

    return line[BL_TABLE_LAYOUT_SIDE + (unsigned)__builtin_ctz(found)] % BL_CLASS_COUNT;
}

/* 8 at a time; a gather takes what follows an entry with it, and near ones follow the last. */
static inline uint64_t far_pass(const struct bl_table_view *view, const uint32_t *tops, unsigned n, uint16_t *far,
                                uint64_t *gated)
{
    const struct bl_table_keys *keys = &view->table->keys;
    const __m256i mask = _mm256_set1_epi32((int)keys->host_mask);
    const __m256i first = _mm256_set1_epi32((int)keys->host_multipliers[0]);
    const __m256i second =
        _mm256_set1_epi32((int)(keys->host_multipliers[1] * keys->filter_multiplier)); /* one after the other */
    const __m128i shift = _mm_cvtsi32_si128((int)(32 - view->filter_bits + BL_TABLE_LAYOUT_FILTER_FEWER));
    const __m256i entry = _mm256_set1_epi32(UINT16_MAX);
    uint64_t without = 0;

    *gated = 0;
    for (unsigned i = 0; i < n; i += 8) {
        __m256i p = _mm256_loadu_si256((const __m256i *)(const void *)(tops + i));

        p = _mm256_mullo_epi32(_mm256_xor_si256(p, mask), first);
        p = _mm256_mullo_epi32(_mm256_xor_si256(p, _mm256_srli_epi32(p, 15)), second);
        p = _mm256_i32gather_epi32((const int *)(const void *)view->filter, _mm256_srl_epi32(p, shift), 2);
        p = _mm256_and_si256(p, entry);
        without |=
            (uint64_t)(unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(p, _mm256_setzero_si256())))
            << i;
        *gated |= (uint64_t)(unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_slli_epi32(p, 16))) << i;
        p = _mm256_permute4x64_epi64(_mm256_packus_epi32(p, p), 0xd8);
        _mm_storeu_si128((__m128i *)(void *)(far + i), _mm256_castsi256_si128(p));
    }
    return ~without;
}

_Static_assert(BL_TABLE_LAYOUT_FILTER_GATE == 15, "the gate is the sign of an entry");

/* The bit becomes the sign, and keeps it when words become bytes. */
static inline uint64_t who_has(const uint16_t *masks, unsigned bit)
{
    const __m128i shift = _mm_cvtsi32_si128((int)(15 - bit));
    uint64_t who = 0;

    for (unsigned i = 0; i < BL_TABLE_LOOKUP_BURST; i += 32) {
        __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)(masks + i));
        __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(masks + i + 16));

        a = _mm256_packs_epi16(_mm256_sll_epi16(a, shift), _mm256_sll_epi16(b, shift));
        who |= (uint64_t)(unsigned)_mm256_movemask_epi8(_mm256_permute4x64_epi64(a, 0xd8)) << i;
    }
    return who;
}

#include "dataplane/table_passes.h"

const struct bl_table_lookup bl_table_lookup_avx2 = {"AVX2", lookup_ipv4, lookup_ipv6};
