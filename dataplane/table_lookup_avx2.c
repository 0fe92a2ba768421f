/* Lookups with AVX2, compiled for it (CMakeLists.txt) and called only where the processor has it; see table_passes.h. */
#include "dataplane/table_lookup.h"

#include <immintrin.h>

/* The line's second half holds the last 5 tags, the side bytes from its byte 10 on, and the zero byte. The first slot
 * that matches is the one: empty ones, which may look like a tag of zeros, come after all that are used. */
static inline uint8_t host_class(const uint8_t *line, unsigned side_shift, const uint8_t *palette, uint32_t permuted)
{
    const __m256i first = _mm256_load_si256((const __m256i *)(const void *)line);
    const __m256i second = _mm256_load_si256((const __m256i *)(const void *)(line + 32));
    const __m256i tag = _mm256_set1_epi16((short)permuted);
    const __m256i mask = _mm256_set1_epi8((char)(0xffu << side_shift));
    const __m256i wanted = _mm256_set1_epi8((char)(permuted >> 16 << side_shift));
    __m256i tags = _mm256_packs_epi16(_mm256_cmpeq_epi16(first, tag), _mm256_cmpeq_epi16(second, tag));
    __m256i sides = _mm256_cmpeq_epi8(_mm256_and_si256(second, mask), wanted);
    uint32_t found;

    tags = _mm256_permute4x64_epi64(tags, 0xd8);
    found = (uint32_t)_mm256_movemask_epi8(tags) & (uint32_t)_mm256_movemask_epi8(sides) >> 10;
    found |= 1u << BL_TABLE_LAYOUT_HOSTS;
    return palette[line[BL_TABLE_LAYOUT_SIDE + (unsigned)__builtin_ctz(found)] & ~(0xffu << side_shift)] %
           BL_CLASS_COUNT;
}

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
    b = _mm_cmpeq_epi16(_mm_max_epu16(b, wanted), wanted);
    c = _mm_cmpeq_epi16(_mm_max_epu16(c, wanted), wanted);
    below = (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(a, b)) |
            (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(c, _mm_setzero_si128())) << 16;
    return container[classes[kind] + (unsigned)__builtin_popcount(below & lanes[kind])] % BL_CLASS_COUNT;
}

static inline uint64_t fold(__m256i words)
{
    __m128i half = _mm_or_si128(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));

    return (uint64_t)_mm_cvtsi128_si64(half) | (uint64_t)_mm_extract_epi64(half, 1);
}

static inline uint8_t short_class(const uint64_t *line, uint64_t word, bool *full)
{
    const __m256i a = _mm256_load_si256((const __m256i *)(const void *)line);
    const __m256i b = _mm256_load_si256((const __m256i *)(const void *)(line + 4));
    const __m256i wanted = _mm256_set1_epi64x((long long)(word << 6));
    const __m256i zero = _mm256_setzero_si256();
    __m256i found = _mm256_or_si256(_mm256_and_si256(a, _mm256_cmpeq_epi64(_mm256_slli_epi64(a, 6), wanted)),
                                    _mm256_and_si256(b, _mm256_cmpeq_epi64(_mm256_slli_epi64(b, 6), wanted)));
    __m256i empty = _mm256_or_si256(_mm256_cmpeq_epi64(a, zero), _mm256_cmpeq_epi64(b, zero));

    *full = _mm256_testz_si256(empty, empty) != 0;
    return (uint8_t)(fold(found) >> BL_TABLE_LAYOUT_DEEP_CLASS_SHIFT);
}

static inline uint8_t long_class(const uint64_t *line, uint64_t hi, uint64_t word, bool *full)
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

    *full = _mm256_testz_si256(empty, empty) != 0;
    return (uint8_t)(fold(_mm256_and_si256(words, equal)) >> BL_TABLE_LAYOUT_DEEP_CLASS_SHIFT);
}

_Static_assert(BL_TABLE_LAYOUT_DEEP_CLASS_SHIFT == 64 - 6, "the class is shifted out of a comparison");

#include "dataplane/table_passes.h"

const struct bl_table_lookup bl_table_lookup_avx2 = {"AVX2", lookup_ipv4, lookup_ipv6};
