/* Bounceline's table, a replica a core on DPDK's heap as in distribute.c; see contender.h. */
#include "contender.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_malloc.h>

struct ours {
    struct bl_table_build *build;
    struct bl_table *replicas[CONTENDER_CORES_MAX];
    bool shared;
    uint64_t serial;
    uint64_t build_bytes;
    uint64_t copy_tsc;
};

static const struct bl_siphash_key key = {0x0f1e2d3c4b5a6978ULL, 0x8796a5b4c3d2e1f0ULL};

uint64_t contender_heap_bytes(void)
{
    struct rte_malloc_socket_stats stats;
    uint64_t bytes = 0;

    for (unsigned i = 0; i < rte_socket_count(); i++)
        if (rte_malloc_get_socket_stats(rte_socket_id_by_idx(i), &stats) == 0)
            bytes += stats.heap_allocsz_bytes;
    return bytes;
}

static uint64_t c_heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

/* The replicas alone: the master is on the C heap. No list was seen to take more than these. */
static uint64_t need(const struct list *list, char why[CONTENDER_WHY_MAX])
{
    (void)why;
    return CONTENDER_CORES_MAX * (list->n * (list->family == BL_FAMILY_IPV4 ? 32 : 64) + (1 << 20));
}

int contender_ours_copy(void *state)
{
    struct ours *ours = state;
    const struct bl_table *master = bl_table_build_master(ours->build);
    size_t size = bl_table_size(master);

    for (unsigned i = 0; i < CONTENDER_CORES_MAX; i++) {
        struct bl_table *copy = rte_malloc("bl_replica", size, BL_TABLE_ALIGN);

        if (copy == NULL)
            return BL_ENOMEM;
        memcpy(copy, master, size);
        rte_free(ours->replicas[i]);
        ours->replicas[i] = copy;
    }
    return BL_OK;
}

static void ours_free(void *state)
{
    struct ours *ours = state;

    for (unsigned i = 0; i < CONTENDER_CORES_MAX; i++)
        rte_free(ours->replicas[i]);
    if (ours->build != NULL)
        bl_table_build_free(ours->build);
    free(ours);
}

/* As master.c takes a snapshot in. */
static int fill(struct ours *ours, const struct list *list)
{
    struct bl_table_patch *patch = NULL;
    size_t n_done;
    bool rebuilt;
    int error = bl_table_build_create(&ours->build, 1, &key, list->n);

    if (error == BL_OK)
        error = bl_table_build_load(ours->build, list->entries, list->n, &n_done);
    if (error == BL_OK)
        error = bl_table_build_commit(ours->build, 1, &patch, &rebuilt);
    bl_table_patch_free(patch);
    if (error != BL_OK)
        return error;
    ours->copy_tsc = rte_rdtsc();
    error = contender_ours_copy(ours);
    ours->copy_tsc = (rte_rdtsc() - ours->copy_tsc) / CONTENDER_CORES_MAX;
    return error;
}

static void *ours_build(const struct list *list, char why[CONTENDER_WHY_MAX])
{
    struct ours *ours = calloc(1, sizeof(*ours));
    uint64_t before = c_heap_bytes();
    int error = ours == NULL ? BL_ENOMEM : fill(ours, list);

    if (error == BL_OK) {
        ours->build_bytes = c_heap_bytes() - before;
        return ours;
    }
    snprintf(why, CONTENDER_WHY_MAX, "%s", bl_error_text(error));
    if (ours != NULL)
        ours_free(ours);
    return NULL;
}

static struct contender_memory memory(const void *state)
{
    const struct ours *ours = state;
    uint64_t size = bl_table_size(ours->replicas[0]);

    return (struct contender_memory){size, size + ours->build_bytes};
}

static void lookup(const void *state, unsigned core, const struct keys *keys, size_t first, size_t n,
                   union contender_results *results)
{
    const struct ours *ours = state;
    const struct bl_table *table = ours->replicas[ours->shared ? 0 : core];

    for (size_t i = first; i < first + n; i += CONTENDER_BURST)
        if (keys->family == BL_FAMILY_IPV4)
            bl_table_lookup_ipv4_burst(table, keys->ip4 + i, results->classes, CONTENDER_BURST);
        else
            bl_table_lookup_ipv6_burst(table, keys->ip6 + i, results->classes, CONTENDER_BURST);
}

static uint8_t class_of(const void *state, const union contender_results *results, unsigned i)
{
    (void)state;
    return results->classes[i];
}

/* Without the replicas: update.c has workers apply the patches. */
static int set(void *state, const struct bl_prefix *prefix, uint8_t class_id)
{
    struct ours *ours = state;

    return bl_table_build_set(ours->build, prefix, class_id);
}

void contender_ours_share(void *state, bool shared)
{
    ((struct ours *)state)->shared = shared;
}

double contender_ours_copy_ms(const void *state)
{
    return 1000.0 * (double)((const struct ours *)state)->copy_tsc / (double)rte_get_tsc_hz();
}

struct bl_table_build *contender_ours_build(void *state)
{
    return ((struct ours *)state)->build;
}

struct bl_table *contender_ours_replica(void *state, unsigned core)
{
    return ((struct ours *)state)->replicas[core];
}

const struct contender_kind contender_ours = {
    .name = "bounceline",
    .need = need,
    .build = ours_build,
    .memory = memory,
    .variants = {""},
    .lookup = lookup,
    .class_of = class_of,
    .set = set,
    .free = ours_free,
};
