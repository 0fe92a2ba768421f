/* Items of one size in slabs; see list_pool.h. */
#include "controlplane/list_pool.h"

#include <stdlib.h>
#include <string.h>

void bl_list_pool_init(struct bl_list_pool *pool, uint32_t item_bytes, uint32_t n_max)
{
    *pool = (struct bl_list_pool){.item_bytes = item_bytes, .n_max = n_max, .next = 1};
}

void bl_list_pool_fini(struct bl_list_pool *pool)
{
    for (uint32_t i = 0; i < pool->n_slabs; i++)
        free(pool->slabs[i]);
    free(pool->slabs);
    bl_list_pool_init(pool, pool->item_bytes, pool->n_max);
}

/* Slabs are never moved: pointers to items stay good while others are taken. Not zeroed here but when taken, so that a
 * page costs nothing before it is used. */
static int add_slab(struct bl_list_pool *pool)
{
    if (pool->n_slabs == pool->n_slabs_max) {
        uint32_t n_slabs_max = pool->n_slabs_max * 2 + 8;
        uint8_t **slabs = realloc(pool->slabs, n_slabs_max * sizeof(*slabs));

        if (slabs == NULL)
            return BL_ENOMEM;
        pool->slabs = slabs;
        pool->n_slabs_max = n_slabs_max;
    }
    pool->slabs[pool->n_slabs] = malloc((size_t)BL_LIST_POOL_SLAB * pool->item_bytes);
    if (pool->slabs[pool->n_slabs] == NULL)
        return BL_ENOMEM;
    pool->n_slabs++;
    return BL_OK;
}

int bl_list_pool_reserve(struct bl_list_pool *pool, uint32_t n)
{
    if (pool->n_max - (pool->next - 1) + pool->n_free < n)
        return BL_ENOMEM;
    while ((size_t)pool->n_slabs * BL_LIST_POOL_SLAB - (pool->n_slabs == 0 ? 0 : pool->next) + pool->n_free < n) {
        int error = add_slab(pool);

        if (error != BL_OK)
            return error;
    }
    return BL_OK;
}

/* What was given back first: it is in the cache, and keeps the slabs full. */
uint32_t bl_list_pool_take(struct bl_list_pool *pool)
{
    uint32_t number = pool->first_free;
    void *item;

    if (number != 0) {
        item = bl_list_pool_at(pool, number);
        memcpy(&pool->first_free, item, sizeof(pool->first_free));
        pool->n_free--;
    } else {
        number = pool->next++;
        item = bl_list_pool_at(pool, number);
    }
    memset(item, 0, pool->item_bytes);
    return number;
}

void bl_list_pool_give(struct bl_list_pool *pool, uint32_t number)
{
    memcpy(bl_list_pool_at(pool, number), &pool->first_free, sizeof(pool->first_free));
    pool->first_free = number;
    pool->n_free++;
}
