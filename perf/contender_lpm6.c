/* rte_lpm6; see contender.h. */
#include "contender.h"

#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_lpm6.h>
#include <rte_memory.h>

/* GROUPS_MAX is its own limit, from rte_lpm6.c, which no header says. RULE_BYTES: its hash of the rules. */
enum { GROUPS_MAX = 1 << 21, GROUPS_SPARE = 4096, GROUP = 256, WIDE = 1 << 24, ENTRY_BYTES = 4, RULE_BYTES = 80 };

struct lpm6 {
    struct rte_lpm6 *lpm;
    uint64_t n_groups;
    uint64_t heap_bytes;
};

static uint64_t need(const struct list *list, char why[CONTENDER_WHY_MAX])
{
    if (list->n_groups + GROUPS_SPARE > GROUPS_MAX) {
        snprintf(why, CONTENDER_WHY_MAX, "it takes %d groups: the list needs %llu", GROUPS_MAX,
                 (unsigned long long)list->n_groups);
        return 0;
    }
    return ENTRY_BYTES * (WIDE + (list->n_groups + GROUPS_SPARE) * (GROUP + 4)) + (list->n + GROUPS_SPARE) * RULE_BYTES;
}

static int set(void *state, const struct bl_prefix *prefix, uint8_t class_id)
{
    struct rte_lpm6 *lpm = ((struct lpm6 *)state)->lpm;

    return class_id == BL_CLASS_NONE ? rte_lpm6_delete(lpm, prefix->bytes, prefix->length)
                                     : rte_lpm6_add(lpm, prefix->bytes, prefix->length, class_id);
}

static void lpm6_free(void *state)
{
    rte_lpm6_free(((struct lpm6 *)state)->lpm);
    free(state);
}

static void *lpm6_build(const struct list *list, char why[CONTENDER_WHY_MAX])
{
    struct rte_lpm6_config config = {.max_rules = (uint32_t)list->n + GROUPS_SPARE,
                                     .number_tbl8s = (uint32_t)list->n_groups + GROUPS_SPARE};
    struct lpm6 *lpm = calloc(1, sizeof(*lpm));
    uint64_t before = contender_heap_bytes();
    int error = 0;

    if (lpm != NULL)
        lpm->lpm = rte_lpm6_create("bench_lpm6", SOCKET_ID_ANY, &config);
    if (lpm == NULL || lpm->lpm == NULL) {
        snprintf(why, CONTENDER_WHY_MAX, "rte_lpm6_create: %s", rte_strerror(rte_errno));
        free(lpm);
        return NULL;
    }
    for (size_t i = 0; error == 0 && i < list->n; i++)
        error = set(lpm, &list->entries[i].prefix, list->entries[i].class_id);
    lpm->n_groups = list->n_groups;
    lpm->heap_bytes = contender_heap_bytes() - before;
    if (error == 0)
        return lpm;
    snprintf(why, CONTENDER_WHY_MAX, "rte_lpm6_add: %s", rte_strerror(-error));
    lpm6_free(lpm);
    return NULL;
}

static struct contender_memory memory(const void *state)
{
    const struct lpm6 *lpm = state;

    return (struct contender_memory){ENTRY_BYTES * (WIDE + lpm->n_groups * GROUP), lpm->heap_bytes};
}

static void lookup(const void *state, unsigned core, const struct keys *keys, size_t first, size_t n,
                   union contender_results *results)
{
    const struct lpm6 *lpm = state;

    (void)core;
    for (size_t i = first; i < first + n; i += CONTENDER_BURST)
        (void)rte_lpm6_lookup_bulk_func(lpm->lpm, keys->bytes + i, results->positions, CONTENDER_BURST);
}

static uint8_t class_of(const void *state, const union contender_results *results, unsigned i)
{
    (void)state;
    return results->positions[i] < 0 ? BL_CLASS_NONE : (uint8_t)results->positions[i];
}

const struct contender_kind contender_lpm6 = {
    .name = "rte_lpm6",
    .family = BL_FAMILY_IPV6,
    .need = need,
    .build = lpm6_build,
    .memory = memory,
    .variants = {""},
    .lookup = lookup,
    .class_of = class_of,
    .set = set,
    .free = lpm6_free,
};
