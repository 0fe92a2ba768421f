/** @file keys.h
 * The streams of addresses that are looked up (list → keys → measure). All contenders get the same. */
#ifndef BL_PERF_KEYS_H
#define BL_PERF_KEYS_H

#include "list.h"

/** Of KEYS_HITS and KEYS_ZIPF 30 % hit, as long as the list leaves room for others. Zipf: drawn from a population of
 * KEYS_POPULATION sources, the k-th as often as 1 / k. */
enum keys_stream { KEYS_UNIFORM, KEYS_HITS, KEYS_ZIPF, KEYS_MISSES, KEYS_STREAMS };

enum { KEYS_POPULATION = 1 << 18, KEYS_HIT_PERCENT = 30 };

/** The same addresses in the forms that the contenders take. */
struct keys {
    uint8_t family;
    size_t n;
    uint32_t *ip4;
    struct bl_ip6 *ip6;
    uint8_t (*bytes)[16];
};

const char *keys_stream_name(enum keys_stream stream);

/** @p listed says whether an address is listed; it is asked so that a miss is one. @return 0 or BL_ENOMEM. Returns
 * owned arrays: keys_free. */
int keys_make(struct keys *out, const struct list *list, enum keys_stream stream, size_t n,
              const struct bl_table *listed);
void keys_free(struct keys *keys);

#endif
