/** @file table_workload.h
 * Random addresses and prefixes for the tests of the table, from a seed: clustered, so that prefixes nest, with the
 * ends of the space among them. */
#ifndef BL_TABLE_WORKLOAD_H
#define BL_TABLE_WORKLOAD_H

#include <stddef.h>
#include <stdint.h>

#include "bounceline/address.h"

/** SplitMix64 (Steele, Lea and Flood, 2014). */
uint64_t workload_random(uint64_t *state);

/** 0..n-1. */
unsigned workload_below(uint64_t *state, unsigned n);

struct bl_address workload_address(uint64_t *state);
struct bl_prefix workload_prefix(uint64_t *state);

/** The prefix's first and last address and those just outside. @return 4. */
size_t workload_edges(const struct bl_prefix *prefix, struct bl_address out[4]);

#endif
