/** @file loadgen_sources.h
 * Where clients are: listed prefixes from files, each with its code, and addresses that are in none of them
 * (options → sources → schedule).
 *
 * Entries are sorted and disjoint: what another entry of the same code covers is left out, and an address that would hear
 * two codes is refused. Prefixes to which nothing may be answered (reserved space) are left out and counted. Threads:
 * read by any once made. */
#ifndef BL_PERF_LOADGEN_SOURCES_H
#define BL_PERF_LOADGEN_SOURCES_H

#include <stddef.h>

#include "bounceline/address.h"
#include "perf/loadgen_options.h"

struct loadgen_source {
    struct bl_prefix prefix;
    uint8_t list; /**< number of its --listed */
};

enum { LOADGEN_IPV4, LOADGEN_IPV6, LOADGEN_FAMILIES };

struct loadgen_pool {
    struct loadgen_source *entries;
    size_t n;
};

struct loadgen_sources {
    struct loadgen_pool listed[LOADGEN_FAMILIES];
    struct loadgen_pool allowed[LOADGEN_FAMILIES];
    size_t n_reserved; /**< left out */
};

/** Reads and makes everything. @return 0, or BL_EIO, BL_EINVAL, BL_ECONFLICT, BL_ENOMEM with the cause. */
int loadgen_sources_init(struct loadgen_sources *sources, const struct loadgen_options *options,
                         struct bl_error_detail *detail);
void loadgen_sources_fini(struct loadgen_sources *sources);

/** An address below the entry's prefix, chosen by two random words. */
void loadgen_sources_address(const struct loadgen_source *source, uint64_t high, uint64_t low, uint8_t out[16]);

#endif
