/** @file list_pool.h
 * Items of one size in slabs, named by a 32-bit number: half of a pointer's memory, and no allocator overhead for the
 * millions of nodes and layers of the list state (list_trie.c and list_state.c own one each).
 *
 * Number 0 is never given out. Memory goes back to the system at fini only; what was given back is used first. So a
 * rollback, which needs no more items than there have been, never fails. Threads: as list_state.h. */
#ifndef BL_LIST_POOL_H
#define BL_LIST_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "bounceline/error.h"

enum { BL_LIST_POOL_SHIFT = 13, BL_LIST_POOL_SLAB = 1 << BL_LIST_POOL_SHIFT };

struct bl_list_pool {
    uint8_t **slabs;
    uint32_t n_slabs;
    uint32_t n_slabs_max;
    uint32_t item_bytes;
    uint32_t n_max;
    uint32_t next;       /**< the first number that was never taken */
    uint32_t first_free; /**< given back; each starts with the number of the next */
    uint32_t n_free;
};

enum { BL_LIST_POOL_MAX = INT32_MAX }; /* a bit is left to tell two pools' numbers apart */

/** @param item_bytes a multiple of 8. @param n_max at most so many items, up to BL_LIST_POOL_MAX. Nothing is allocated yet. */
void bl_list_pool_init(struct bl_list_pool *pool, uint32_t item_bytes, uint32_t n_max);
void bl_list_pool_fini(struct bl_list_pool *pool);

/** Makes sure that the next @p n takes succeed. @return 0 or BL_ENOMEM (also where n_max is in the way). */
int bl_list_pool_reserve(struct bl_list_pool *pool, uint32_t n);

/** A zeroed item; one must be reserved. */
uint32_t bl_list_pool_take(struct bl_list_pool *pool);
void bl_list_pool_give(struct bl_list_pool *pool, uint32_t number);

static inline void *bl_list_pool_at(const struct bl_list_pool *pool, uint32_t number)
{
    return pool->slabs[number >> BL_LIST_POOL_SHIFT] + (size_t)(number % BL_LIST_POOL_SLAB) * pool->item_bytes;
}

#endif
