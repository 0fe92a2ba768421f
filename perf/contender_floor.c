/* One access: a random line of an array as large as our replica, in the same bursts: what a lookup that misses the
 * cache once cannot beat; see contender.h. */
#include "contender.h"

#include <stdlib.h>
#include <string.h>

#include <rte_malloc.h>
#include <rte_prefetch.h>

enum { LINE = 64 };

struct floor_array {
    uint64_t n_lines;
    uint8_t *lines;
};

static uint64_t need(const struct list *list, char why[CONTENDER_WHY_MAX])
{
    (void)why;
    return list->replica_bytes;
}

static void *floor_build(const struct list *list, char why[CONTENDER_WHY_MAX])
{
    struct floor_array *array = calloc(1, sizeof(*array));

    if (array != NULL) {
        array->n_lines = list->replica_bytes / LINE;
        array->lines = rte_malloc("bench_floor", array->n_lines * LINE, LINE);
    }
    if (array == NULL || array->lines == NULL) {
        snprintf(why, CONTENDER_WHY_MAX, "out of memory");
        free(array);
        return NULL;
    }
    memset(array->lines, 1, array->n_lines * LINE);
    return array;
}

static struct contender_memory memory(const void *state)
{
    const struct floor_array *array = state;

    return (struct contender_memory){array->n_lines * LINE, array->n_lines * LINE};
}

static inline const uint8_t *line_of(const struct floor_array *array, uint64_t key)
{
    return array->lines + (((key * 0x9e3779b97f4a7c15ULL >> 32) * array->n_lines) >> 32) * LINE;
}

static void lookup(const void *state, unsigned core, const struct keys *keys, size_t first, size_t n,
                   union contender_results *results)
{
    const struct floor_array *array = state;
    const uint8_t *lines[CONTENDER_BURST];

    (void)core;
    for (size_t at = first; at < first + n; at += CONTENDER_BURST) {
        for (unsigned i = 0; i < CONTENDER_BURST; i++) {
            lines[i] = line_of(array, keys->family == BL_FAMILY_IPV4 ? keys->ip4[at + i]
                                                                     : keys->ip6[at + i].hi ^ keys->ip6[at + i].lo);
            rte_prefetch0(lines[i]);
        }
        for (unsigned i = 0; i < CONTENDER_BURST; i++)
            results->classes[i] = *lines[i];
    }
}

static void floor_free(void *state)
{
    rte_free(((struct floor_array *)state)->lines);
    free(state);
}

const struct contender_kind contender_floor = {
    .name = "one access",
    .no_answers = true,
    .need = need,
    .build = floor_build,
    .memory = memory,
    .variants = {""},
    .lookup = lookup,
    .free = floor_free,
};
