/* rte_fib6, next hops of 2 and of 4 bytes; see contender.h.
 *
 * In DPDK 22.11 it runs out of groups before it has filled them and does not get them back when prefixes are deleted
 * and added again: it gets GROUPS_FACTOR times what the list needs, each return is looked at, and after the updates it
 * is asked for nothing more. 8 bytes do the same work in twice the memory and are left out where 4 fit, which is
 * everywhere. */
#include "contender.h"

#include <stdlib.h>

#include <rte_errno.h>
#include <rte_fib6.h>
#include <rte_memory.h>

enum { GROUPS_FACTOR = 2, GROUPS_SPARE = 8192, GROUP = 256, WIDE = 1 << 24, NODE_BYTES = 224 };

struct fib6 {
    struct rte_fib6 *fib;
    uint64_t lookup_bytes;
    uint64_t heap_bytes;
};

static uint64_t groups_max(enum rte_fib_trie_nh_sz size)
{
    return size == RTE_FIB6_TRIE_2B ? 0x7fff : 0x7fffffff;
}

static uint64_t groups_of(const struct list *list)
{
    return GROUPS_FACTOR * list->n_groups + GROUPS_SPARE;
}

static uint64_t need_sized(const struct list *list, enum rte_fib_trie_nh_sz size, char why[CONTENDER_WHY_MAX])
{
    if (groups_of(list) > groups_max(size)) {
        snprintf(why, CONTENDER_WHY_MAX, "the next-hop size numbers %llu groups: the list is given %llu",
                 (unsigned long long)groups_max(size), (unsigned long long)groups_of(list));
        return 0;
    }
    return ((WIDE + groups_of(list) * GROUP) << size) + 2 * (list->n + GROUPS_SPARE) * NODE_BYTES;
}

static int set(void *state, const struct bl_prefix *prefix, uint8_t class_id)
{
    struct rte_fib6 *fib = ((struct fib6 *)state)->fib;

    return class_id == BL_CLASS_NONE ? rte_fib6_delete(fib, prefix->bytes, prefix->length)
                                     : rte_fib6_add(fib, prefix->bytes, prefix->length, class_id);
}

static void fib6_free(void *state)
{
    rte_fib6_free(((struct fib6 *)state)->fib);
    free(state);
}

static void *build_sized(const struct list *list, enum rte_fib_trie_nh_sz size, char why[CONTENDER_WHY_MAX])
{
    struct rte_fib6_conf config = {.type = RTE_FIB6_TRIE,
                                   .default_nh = BL_CLASS_NONE,
                                   .max_routes = (int)list->n + GROUPS_SPARE,
                                   .trie = {.nh_sz = size, .num_tbl8 = (uint32_t)groups_of(list)}};
    struct fib6 *fib = calloc(1, sizeof(*fib));
    uint64_t before = contender_heap_bytes();
    char name[16];
    int error = 0;

    snprintf(name, sizeof(name), "bench_fib6_%d", 1 << size);
    if (fib != NULL)
        fib->fib = rte_fib6_create(name, SOCKET_ID_ANY, &config);
    if (fib == NULL || fib->fib == NULL) {
        snprintf(why, CONTENDER_WHY_MAX, "rte_fib6_create: %s", rte_strerror(rte_errno));
        free(fib);
        return NULL;
    }
    for (size_t i = 0; error == 0 && i < list->n; i++)
        error = set(fib, &list->entries[i].prefix, list->entries[i].class_id);
    fib->lookup_bytes = (WIDE + list->n_groups * GROUP) << size;
    fib->heap_bytes = contender_heap_bytes() - before;
    if (error == 0)
        return fib;
    snprintf(why, CONTENDER_WHY_MAX, "rte_fib6_add: %s", rte_strerror(-error));
    fib6_free(fib);
    return NULL;
}

static struct contender_memory memory(const void *state)
{
    const struct fib6 *fib = state;

    return (struct contender_memory){fib->lookup_bytes, fib->heap_bytes};
}

static bool select_variant(void *state, unsigned variant)
{
    struct rte_fib6 *fib = ((struct fib6 *)state)->fib;
    bool vector = rte_fib6_select_lookup(fib, RTE_FIB6_LOOKUP_TRIE_VECTOR_AVX512) == 0;

    if (variant == 0)
        return rte_fib6_select_lookup(fib, RTE_FIB6_LOOKUP_DEFAULT) == 0;
    return vector && rte_fib6_select_lookup(fib, RTE_FIB6_LOOKUP_TRIE_SCALAR) == 0;
}

static void lookup(const void *state, unsigned core, const struct keys *keys, size_t first, size_t n,
                   union contender_results *results)
{
    struct rte_fib6 *fib = ((const struct fib6 *)state)->fib;

    (void)core;
    for (size_t i = first; i < first + n; i += CONTENDER_BURST)
        (void)rte_fib6_lookup_bulk(fib, keys->bytes + i, results->wide, CONTENDER_BURST);
}

static uint8_t class_of(const void *state, const union contender_results *results, unsigned i)
{
    (void)state;
    return (uint8_t)results->wide[i];
}

static uint64_t need_2(const struct list *list, char why[CONTENDER_WHY_MAX])
{
    return need_sized(list, RTE_FIB6_TRIE_2B, why);
}

static void *build_2(const struct list *list, char why[CONTENDER_WHY_MAX])
{
    return build_sized(list, RTE_FIB6_TRIE_2B, why);
}

static uint64_t need_4(const struct list *list, char why[CONTENDER_WHY_MAX])
{
    return need_sized(list, RTE_FIB6_TRIE_4B, why);
}

static void *build_4(const struct list *list, char why[CONTENDER_WHY_MAX])
{
    return build_sized(list, RTE_FIB6_TRIE_4B, why);
}

#define CONTENDER_FIB6(bytes) \
    { \
        .name = "rte_fib6 " #bytes " B", .family = BL_FAMILY_IPV6, .need = need_##bytes, .build = build_##bytes, \
        .memory = memory, .variants = {"", "scalar"}, .select = select_variant, .lookup = lookup, \
        .class_of = class_of, .set = set, .free = fib6_free \
    }

const struct contender_kind contender_fib6[CONTENDER_FIB6_SIZES] = {CONTENDER_FIB6(2), CONTENDER_FIB6(4)};
