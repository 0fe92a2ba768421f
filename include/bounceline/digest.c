/* The order-independent digest of an effective set; see digest.h. */
#include "bounceline/digest.h"

#include <string.h>

/* Two hashes under different keys make the two lanes independent. */
static const uint64_t key_hi = 0x626f756e63656869ULL;
static const uint64_t key_lo = 0x626f756e63656c6fULL;

/* What is hashed of an entry, as SipHash takes it in: the same in both planes, whatever the machine. */
static void entry_words(const struct bl_prefix *prefix, uint8_t class_id, uint64_t words[3])
{
    memcpy(words, prefix->bytes, sizeof(prefix->bytes));
    words[2] = prefix->length | (uint64_t)prefix->family << 8 | (uint64_t)class_id << 16 |
               (uint64_t)(sizeof(prefix->bytes) + 3) << 56;
}

/* A word of both hashes, then the next, so that a core works on the two at once. */
static struct bl_digest words_hash(uint64_t epoch, const uint64_t words[3])
{
    uint64_t hi[4];
    uint64_t lo[4];

    bl_siphash_start(&(struct bl_siphash_key){epoch, key_hi}, hi);
    bl_siphash_start(&(struct bl_siphash_key){epoch, key_lo}, lo);
    for (int i = 0; i < 3; i++) {
        bl_siphash_word(hi, words[i]);
        bl_siphash_word(lo, words[i]);
    }
    return (struct bl_digest){.hi = bl_siphash_end(hi), .lo = bl_siphash_end(lo)};
}

static struct bl_digest entry_hash(uint64_t epoch, const struct bl_prefix *prefix, uint8_t class_id)
{
    uint64_t words[3];

    entry_words(prefix, class_id, words);
    return words_hash(epoch, words);
}

void bl_digest_add(struct bl_digest *digest, uint64_t epoch, const struct bl_prefix *prefix, uint8_t class_id)
{
    struct bl_digest entry = entry_hash(epoch, prefix, class_id);

    digest->hi += entry.hi;
    digest->lo += entry.lo;
}

void bl_digest_remove(struct bl_digest *digest, uint64_t epoch, const struct bl_prefix *prefix, uint8_t class_id)
{
    struct bl_digest entry = entry_hash(epoch, prefix, class_id);

    digest->hi -= entry.hi;
    digest->lo -= entry.lo;
}

/* A lane an entry. */
typedef uint64_t lanes __attribute__((vector_size(sizeof(uint64_t) * BL_DIGEST_BATCH)));

/* The sum of the hashes of a full batch. */
static inline __attribute__((always_inline)) uint64_t lanes_hash(uint64_t epoch, uint64_t key,
                                                                 const uint64_t words[3][BL_DIGEST_BATCH])
{
    const lanes zero = {0};
    lanes v[4];
    uint64_t start[4];
    uint64_t sum = 0;

    bl_siphash_start(&(struct bl_siphash_key){epoch, key}, start);
    for (int i = 0; i < 4; i++)
        v[i] = zero + start[i];
    for (int i = 0; i < 3; i++) {
        lanes word;

        memcpy(&word, words[i], sizeof(word));
        v[3] ^= word;
        BL_SIPHASH_ROUND(v);
        BL_SIPHASH_ROUND(v);
        v[0] ^= word;
    }
    v[2] ^= zero + 0xff;
    for (int i = 0; i < 4; i++)
        BL_SIPHASH_ROUND(v);
    v[0] ^= v[1] ^ v[2] ^ v[3];
    for (int i = 0; i < BL_DIGEST_BATCH; i++)
        sum += v[0][i];
    return sum;
}

static inline __attribute__((always_inline)) void add_lanes(const struct bl_digest_batch *batch,
                                                            struct bl_digest *digest, uint64_t epoch)
{
    digest->hi += lanes_hash(epoch, key_hi, batch->words);
    digest->lo += lanes_hash(epoch, key_lo, batch->words);
}

#ifdef __x86_64__
static __attribute__((target("avx512f"))) void add_avx512(const struct bl_digest_batch *batch, struct bl_digest *digest,
                                                          uint64_t epoch)
{
    add_lanes(batch, digest, epoch);
}

static __attribute__((target("avx2"))) void add_avx2(const struct bl_digest_batch *batch, struct bl_digest *digest,
                                                     uint64_t epoch)
{
    add_lanes(batch, digest, epoch);
}
#endif

/* Not target_clones: its resolver runs before ThreadSanitizer is ready for it. */
static void add_full(const struct bl_digest_batch *batch, struct bl_digest *digest, uint64_t epoch)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f")) {
        add_avx512(batch, digest, epoch);
        return;
    }
    if (__builtin_cpu_supports("avx2")) {
        add_avx2(batch, digest, epoch);
        return;
    }
#endif
    add_lanes(batch, digest, epoch);
}

void bl_digest_batch_add(struct bl_digest_batch *batch, struct bl_digest *digest, uint64_t epoch,
                         const struct bl_prefix *prefix, uint8_t class_id)
{
    uint64_t words[3];

    entry_words(prefix, class_id, words);
    for (int i = 0; i < 3; i++)
        batch->words[i][batch->n] = words[i];
    if (++batch->n < BL_DIGEST_BATCH)
        return;
    add_full(batch, digest, epoch);
    batch->n = 0;
}

void bl_digest_batch_end(struct bl_digest_batch *batch, struct bl_digest *digest, uint64_t epoch)
{
    for (unsigned i = 0; i < batch->n; i++) {
        struct bl_digest entry =
            words_hash(epoch, (const uint64_t[3]){batch->words[0][i], batch->words[1][i], batch->words[2][i]});

        digest->hi += entry.hi;
        digest->lo += entry.lo;
    }
    batch->n = 0;
}
