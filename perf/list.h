/** @file list.h
 * The lists that the benchmarks measure: made from a seed, or read from a file (list → contender, keys).
 *
 * A list is of one family, holds each prefix once, in no order. Made lists are what lists of senders look like: hosts
 * (IPv4) or /64s (IPv6), a few of something wider. Threads: one. Cost: start-up. */
#ifndef BL_PERF_LIST_H
#define BL_PERF_LIST_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/table_build.h"

enum { LIST_NAME_MAX = 48 };

/** How the addresses of a made list lie. Clustered: each bit of the first 24 (IPv6: 64) is one with a chance that
 * belongs to the bits before it, so that some networks hold many and most none: the multifractal structure of addresses
 * seen in traffic (Kohler, Li, Paxson, Shenker: Observed structure of addresses in IP traffic, 2002). DROP: networks
 * only, of the lengths of that list. */
enum list_shape { LIST_DROP, LIST_UNIFORM, LIST_CLUSTERED };

struct list {
    char name[LIST_NAME_MAX];
    uint8_t family;
    struct bl_table_entry *entries;
    size_t n;
    size_t n_hosts;
    uint64_t n_groups;      /**< tables of 256 below the first 24 bits that DIR24-8, or its like for IPv6, needs */
    uint64_t replica_bytes; /**< of our table, once it was built; the caller keeps it */
};

/** SplitMix64 (Steele, Lea and Flood, 2014). */
static inline uint64_t list_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

/** 0..n-1, n below 2^32. */
static inline uint32_t list_below(uint64_t *state, uint64_t n)
{
    return (uint32_t)(((list_random(state) >> 32) * n) >> 32);
}

/** Makes @p n entries. @return 0, or BL_ENOMEM. Returns owned entries: list_free. */
int list_make(struct list *out, uint8_t family, enum list_shape shape, size_t n, uint64_t seed);

/** Reads the prefixes of one family from a file, gzipped or not: one a line, the first word of it; comments start with
 * # or ;. @return 0 (n can be 0), BL_EIO, BL_ENOMEM, or BL_EINVAL with the line in @p detail. */
int list_read(struct list *out, const char *path, uint8_t family, struct bl_error_detail *detail);

void list_free(struct list *list);

/** The master table of @p n lists, epoch 1, committed. @return 0 or BL_ENOMEM. Returns owned: bl_table_build_free. */
int list_build(struct bl_table_build **out, const struct list *lists, unsigned n);

/** A random address of the whole space that addresses of senders come from. */
struct bl_address list_random_address(uint64_t *random, uint8_t family);

/** A random address below the prefix. */
struct bl_address list_address_in(uint64_t *random, const struct bl_prefix *prefix);

#endif
