/* rte_lpm, bulk and four at a time; see contender.h.
 *
 * rte_lpm_add looks for its rule and for a free group one by one, so that filling takes time squared: beyond
 * RULES_MAX entries the two tables that lookups read, which are public, are filled here as rte_lpm_add fills them, and
 * adding is not measured. */
#include "contender.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_lpm.h>
#include <rte_vect.h>

enum { RULES_MAX = 20000, GROUPS_SPARE = 256, ENTRY_BYTES = 4, GROUP = RTE_LPM_TBL8_GROUP_NUM_ENTRIES };

struct lpm {
    struct rte_lpm *lpm;
    unsigned variant;
    bool by_api;
    uint64_t n_groups;
    uint32_t n_groups_filled;
    uint64_t heap_bytes;
};

static uint64_t lookup_bytes(const struct list *list)
{
    return ENTRY_BYTES * ((uint64_t)RTE_LPM_TBL24_NUM_ENTRIES + (list->n_groups + GROUPS_SPARE) * GROUP);
}

static uint64_t need(const struct list *list, char why[CONTENDER_WHY_MAX])
{
    if (list->n_groups + GROUPS_SPARE > RTE_LPM_MAX_TBL8_NUM_GROUPS) {
        snprintf(why, CONTENDER_WHY_MAX, "it takes %d groups: the list needs %llu", RTE_LPM_MAX_TBL8_NUM_GROUPS,
                 (unsigned long long)list->n_groups);
        return 0;
    }
    return lookup_bytes(list) + list->n * 16;
}

static struct rte_lpm_tbl_entry leaf(uint8_t class_id, unsigned length, bool in_group)
{
    return (struct rte_lpm_tbl_entry){
        .next_hop = class_id, .valid = 1, .valid_group = in_group, .depth = length & 0x3f};
}

static struct rte_lpm_tbl_entry *group_of(struct lpm *lpm, uint32_t ip4)
{
    struct rte_lpm_tbl_entry *wide = &lpm->lpm->tbl24[ip4 >> 8];
    struct rte_lpm_tbl_entry *group;

    if (wide->valid && wide->valid_group)
        return &lpm->lpm->tbl8[(size_t)wide->next_hop * GROUP];
    group = &lpm->lpm->tbl8[(size_t)lpm->n_groups_filled * GROUP];
    for (unsigned i = 0; i < GROUP; i++) {
        group[i] = *wide;
        group[i].valid_group = 1;
    }
    *wide = (struct rte_lpm_tbl_entry){
        .next_hop = lpm->n_groups_filled++ & 0xffffff, .valid = 1, .valid_group = 1, .depth = 0};
    return group;
}

/* Shorter prefixes first, so that longer ones come to lie over them. */
static void fill(struct lpm *lpm, const struct list *list)
{
    for (unsigned length = 1; length <= 32; length++) {
        for (size_t i = 0; i < list->n; i++) {
            const struct bl_prefix *prefix = &list->entries[i].prefix;
            uint32_t ip4 = bl_address_to_ip4(prefix->bytes);
            uint8_t class_id = list->entries[i].class_id;

            if (prefix->length != length)
                continue;
            if (length <= 24) {
                for (uint32_t at = ip4 >> 8; at < (ip4 >> 8) + (1u << (24 - length)); at++)
                    lpm->lpm->tbl24[at] = leaf(class_id, length, false);
            } else {
                struct rte_lpm_tbl_entry *group = group_of(lpm, ip4);

                for (uint32_t at = ip4 & 0xff; at < (ip4 & 0xff) + (1u << (32 - length)); at++)
                    group[at] = leaf(class_id, length, true);
            }
        }
    }
}

static int lpm_set(void *state, const struct bl_prefix *prefix, uint8_t class_id)
{
    struct lpm *lpm = state;
    uint32_t ip4 = bl_address_to_ip4(prefix->bytes);

    if (!lpm->by_api)
        return -ENOTSUP;
    return class_id == BL_CLASS_NONE ? rte_lpm_delete(lpm->lpm, ip4, prefix->length)
                                     : rte_lpm_add(lpm->lpm, ip4, prefix->length, class_id);
}

static void lpm_free(void *state)
{
    struct lpm *lpm = state;

    rte_lpm_free(lpm->lpm);
    free(lpm);
}

static void *lpm_build(const struct list *list, char why[CONTENDER_WHY_MAX])
{
    struct rte_lpm_config config = {.max_rules = (uint32_t)(list->n <= RULES_MAX ? list->n + GROUPS_SPARE : 1),
                                    .number_tbl8s = (uint32_t)list->n_groups + GROUPS_SPARE};
    struct lpm *lpm = calloc(1, sizeof(*lpm));
    uint64_t before = contender_heap_bytes();
    int error = 0;

    if (lpm != NULL)
        lpm->lpm = rte_lpm_create("bench_lpm", SOCKET_ID_ANY, &config);
    if (lpm == NULL || lpm->lpm == NULL) {
        snprintf(why, CONTENDER_WHY_MAX, "rte_lpm_create: %s", rte_strerror(rte_errno));
        free(lpm);
        return NULL;
    }
    lpm->heap_bytes = contender_heap_bytes() - before;
    lpm->n_groups = list->n_groups;
    lpm->by_api = list->n <= RULES_MAX;
    if (!lpm->by_api)
        fill(lpm, list);
    for (size_t i = 0; lpm->by_api && error == 0 && i < list->n; i++)
        error = lpm_set(lpm, &list->entries[i].prefix, list->entries[i].class_id);
    if (error == 0)
        return lpm;
    snprintf(why, CONTENDER_WHY_MAX, "rte_lpm_add: %s", rte_strerror(-error));
    lpm_free(lpm);
    return NULL;
}

static struct contender_memory memory(const void *state)
{
    const struct lpm *lpm = state;

    return (struct contender_memory){ENTRY_BYTES * ((uint64_t)RTE_LPM_TBL24_NUM_ENTRIES + lpm->n_groups * GROUP),
                                     lpm->heap_bytes};
}

static bool select_variant(void *state, unsigned variant)
{
    ((struct lpm *)state)->variant = variant;
    return true;
}

static void lookup_x4(const struct rte_lpm *lpm, const uint32_t *ips, uint32_t *next_hops)
{
    for (unsigned i = 0; i < CONTENDER_BURST; i += 4)
        rte_lpm_lookupx4(lpm, _mm_loadu_si128((const __m128i *)(const void *)(ips + i)), next_hops + i, 0);
}

static void lookup(const void *state, unsigned core, const struct keys *keys, size_t first, size_t n,
                   union contender_results *results)
{
    const struct lpm *lpm = state;

    (void)core;
    for (size_t i = first; i < first + n; i += CONTENDER_BURST)
        if (lpm->variant == 0)
            rte_lpm_lookup_bulk(lpm->lpm, keys->ip4 + i, results->next_hops, CONTENDER_BURST);
        else
            lookup_x4(lpm->lpm, keys->ip4 + i, results->next_hops);
}

static uint8_t class_of(const void *state, const union contender_results *results, unsigned i)
{
    const struct lpm *lpm = state;
    uint32_t next_hop = results->next_hops[i];

    if (lpm->variant == 0 && (next_hop & RTE_LPM_LOOKUP_SUCCESS) == 0)
        return BL_CLASS_NONE;
    return (uint8_t)next_hop;
}

static const char *remark(const void *state)
{
    return ((const struct lpm *)state)->by_api ? NULL
                                               : "filled past its API, rte_lpm_add being too slow at this size: "
                                                 "its build time is not rte_lpm's; adds are not measured";
}

const struct contender_kind contender_lpm = {
    .name = "rte_lpm",
    .family = BL_FAMILY_IPV4,
    .need = need,
    .build = lpm_build,
    .memory = memory,
    .variants = {"bulk", "x4"},
    .select = select_variant,
    .lookup = lookup,
    .class_of = class_of,
    .set = lpm_set,
    .remark = remark,
    .free = lpm_free,
};
