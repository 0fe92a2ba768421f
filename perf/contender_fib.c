/* rte_fib, DIR24-8, one contender a next-hop size; see contender.h.
 *
 * A next hop of 1 byte leaves 7 bits for it and for the number of groups, 2 bytes 15 bits: what is too small for a list
 * says so. Lookups as the library chooses (AVX-512 where the machine has it) and, where that is not the scalar one, the
 * scalar macro too. In 22.11 a host that is added below a prefix of its own next hop and deleted again takes one off the
 * count of reserved groups that it never added; below zero every later add is refused. */
#include "contender.h"

#include <stdlib.h>

#include <rte_cpuflags.h>
#include <rte_errno.h>
#include <rte_fib.h>
#include <rte_memory.h>
#include <rte_vect.h>

enum { GROUPS_SPARE = 4096, GROUP = 256, WIDE = 1 << 24, NODE_BYTES = 224 };

struct fib {
    struct rte_fib *fib;
    uint64_t lookup_bytes;
    uint64_t heap_bytes;
};

static uint64_t lookup_bytes(uint64_t n_groups, enum rte_fib_dir24_8_nh_sz size)
{
    return (WIDE + n_groups * GROUP) << size;
}

static uint64_t groups_max(enum rte_fib_dir24_8_nh_sz size)
{
    return size == RTE_FIB_DIR24_8_1B ? 0x7f : size == RTE_FIB_DIR24_8_2B ? 0x7fff : 0x7fffffff;
}

/* A list without long prefixes needs no group; the updates of hosts need some. */
static uint64_t groups_of(const struct list *list, enum rte_fib_dir24_8_nh_sz size)
{
    uint64_t n = list->n_groups + GROUPS_SPARE;

    return n > groups_max(size) && list->n_groups < groups_max(size) ? groups_max(size) : n;
}

static uint64_t need_sized(const struct list *list, enum rte_fib_dir24_8_nh_sz size, char why[CONTENDER_WHY_MAX])
{
    if (groups_of(list, size) > groups_max(size)) {
        snprintf(why, CONTENDER_WHY_MAX, "the next-hop size numbers %llu groups: the list needs %llu",
                 (unsigned long long)groups_max(size), (unsigned long long)list->n_groups);
        return 0;
    }
    return lookup_bytes(groups_of(list, size), size) + 2 * (list->n + GROUPS_SPARE) * NODE_BYTES;
}

static int set(void *state, const struct bl_prefix *prefix, uint8_t class_id)
{
    struct rte_fib *fib = ((struct fib *)state)->fib;
    uint32_t ip4 = bl_address_to_ip4(prefix->bytes);

    return class_id == BL_CLASS_NONE ? rte_fib_delete(fib, ip4, prefix->length)
                                     : rte_fib_add(fib, ip4, prefix->length, class_id);
}

static void fib_free(void *state)
{
    rte_fib_free(((struct fib *)state)->fib);
    free(state);
}

static void *build_sized(const struct list *list, enum rte_fib_dir24_8_nh_sz size, char why[CONTENDER_WHY_MAX])
{
    struct rte_fib_conf config = {.type = RTE_FIB_DIR24_8,
                                  .default_nh = BL_CLASS_NONE,
                                  .max_routes = (int)list->n + GROUPS_SPARE,
                                  .dir24_8 = {.nh_sz = size, .num_tbl8 = (uint32_t)groups_of(list, size)}};
    struct fib *fib = calloc(1, sizeof(*fib));
    uint64_t before = contender_heap_bytes();
    char name[16];
    int error = 0;

    snprintf(name, sizeof(name), "bench_fib_%d", 1 << size);
    if (fib != NULL)
        fib->fib = rte_fib_create(name, SOCKET_ID_ANY, &config);
    if (fib == NULL || fib->fib == NULL) {
        snprintf(why, CONTENDER_WHY_MAX, "rte_fib_create: %s", rte_strerror(rte_errno));
        free(fib);
        return NULL;
    }
    for (size_t i = 0; error == 0 && i < list->n; i++)
        error = set(fib, &list->entries[i].prefix, list->entries[i].class_id);
    fib->lookup_bytes = lookup_bytes(list->n_groups, size);
    fib->heap_bytes = contender_heap_bytes() - before;
    if (error == 0)
        return fib;
    snprintf(why, CONTENDER_WHY_MAX, "rte_fib_add: %s", rte_strerror(-error));
    fib_free(fib);
    return NULL;
}

static struct contender_memory memory(const void *state)
{
    const struct fib *fib = state;

    return (struct contender_memory){fib->lookup_bytes, fib->heap_bytes};
}

static bool select_variant(void *state, unsigned variant)
{
    struct rte_fib *fib = ((struct fib *)state)->fib;
    bool vector = rte_fib_select_lookup(fib, RTE_FIB_LOOKUP_DIR24_8_VECTOR_AVX512) == 0;

    if (variant == 0)
        return rte_fib_select_lookup(fib, RTE_FIB_LOOKUP_DEFAULT) == 0;
    return vector && rte_fib_select_lookup(fib, RTE_FIB_LOOKUP_DIR24_8_SCALAR_MACRO) == 0;
}

static void lookup(const void *state, unsigned core, const struct keys *keys, size_t first, size_t n,
                   union contender_results *results)
{
    struct rte_fib *fib = ((const struct fib *)state)->fib;

    (void)core;
    for (size_t i = first; i < first + n; i += CONTENDER_BURST)
        (void)rte_fib_lookup_bulk(fib, keys->ip4 + i, results->wide, CONTENDER_BURST);
}

static uint8_t class_of(const void *state, const union contender_results *results, unsigned i)
{
    (void)state;
    return (uint8_t)results->wide[i];
}

static uint64_t need_1(const struct list *list, char why[CONTENDER_WHY_MAX])
{
    return need_sized(list, RTE_FIB_DIR24_8_1B, why);
}

static void *build_1(const struct list *list, char why[CONTENDER_WHY_MAX])
{
    return build_sized(list, RTE_FIB_DIR24_8_1B, why);
}

static uint64_t need_2(const struct list *list, char why[CONTENDER_WHY_MAX])
{
    return need_sized(list, RTE_FIB_DIR24_8_2B, why);
}

static void *build_2(const struct list *list, char why[CONTENDER_WHY_MAX])
{
    return build_sized(list, RTE_FIB_DIR24_8_2B, why);
}

static uint64_t need_4(const struct list *list, char why[CONTENDER_WHY_MAX])
{
    return need_sized(list, RTE_FIB_DIR24_8_4B, why);
}

static void *build_4(const struct list *list, char why[CONTENDER_WHY_MAX])
{
    return build_sized(list, RTE_FIB_DIR24_8_4B, why);
}

static uint64_t need_8(const struct list *list, char why[CONTENDER_WHY_MAX])
{
    return need_sized(list, RTE_FIB_DIR24_8_8B, why);
}

static void *build_8(const struct list *list, char why[CONTENDER_WHY_MAX])
{
    return build_sized(list, RTE_FIB_DIR24_8_8B, why);
}

#define CONTENDER_FIB(bytes) \
    { \
        .name = "rte_fib " #bytes " B", .family = BL_FAMILY_IPV4, .need = need_##bytes, .build = build_##bytes, \
        .memory = memory, .variants = {"", "scalar"}, .select = select_variant, .lookup = lookup, \
        .class_of = class_of, .set = set, .free = fib_free \
    }

const struct contender_kind contender_fib[CONTENDER_FIB_SIZES] = {CONTENDER_FIB(1), CONTENDER_FIB(2), CONTENDER_FIB(4),
                                                                  CONTENDER_FIB(8)};
