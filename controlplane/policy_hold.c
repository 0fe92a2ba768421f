/* Batches that move too much of a source; see policy_hold.h. */
#include "controlplane/policy_hold.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/list_layer.h"

void bl_policy_hold_fini(struct bl_policy_hold *hold)
{
    free(hold->sources);
    *hold = (struct bl_policy_hold){.sources = NULL};
}

/* A batch touches few sources, and mostly one. */
static struct bl_policy_hold_source *find(struct bl_policy_hold *hold, const char *name)
{
    if (hold->last < hold->n && strcmp(hold->sources[hold->last].name, name) == 0)
        return &hold->sources[hold->last];
    for (size_t i = 0; i < hold->n; i++) {
        if (strcmp(hold->sources[i].name, name) == 0) {
            hold->last = i;
            return &hold->sources[i];
        }
    }
    return NULL;
}

static struct bl_policy_hold_source *add(struct bl_policy_hold *hold, const struct bl_list_state *state,
                                         const char *name)
{
    struct bl_policy_hold_source *source;

    if (hold->n == hold->n_max) {
        size_t n_max = hold->n_max * 2 + 4;
        struct bl_policy_hold_source *sources = realloc(hold->sources, n_max * sizeof(*sources));

        if (sources == NULL)
            return NULL;
        hold->sources = sources;
        hold->n_max = n_max;
    }
    hold->last = hold->n++;
    source = &hold->sources[hold->last];
    *source = (struct bl_policy_hold_source){.name = name};
    bl_list_state_cover(state, name, &source->before);
    return source;
}

int bl_policy_hold_count(struct bl_policy_hold *hold, const struct bl_list_state *state, const char *name,
                         const struct bl_prefix *prefix, bool is_added)
{
    struct bl_policy_hold_source *source = find(hold, name);
    struct bl_list_coverage *coverage;

    if (source == NULL)
        source = add(hold, state, name);
    if (source == NULL)
        return BL_ENOMEM;
    coverage = is_added ? &source->added : &source->removed;
    if (prefix->family == BL_FAMILY_IPV4)
        coverage->n_ipv4 += bl_list_layer_addresses(prefix->family, prefix->length);
    else
        coverage->n_ipv6 += bl_list_layer_addresses(prefix->family, prefix->length);
    return BL_OK;
}

/* What one figure of one source is held against. */
struct bound {
    const struct bl_settings_controlplane *settings;
    const char *source;
    const char *act;
    const char *unit;
};

static bool is_over(const struct bound *bound, uint64_t moved, uint64_t before, struct bl_error_detail *detail)
{
    uint64_t percent = bound->settings->hold_percent;
    /* before * percent / 100 without overflow. */
    uint64_t share = before / 100 * percent + before % 100 * percent / 100;

    if (moved <= share || moved <= bound->settings->hold_floor_addresses)
        return false;
    (void)bl_error_set(detail, BL_EPERM,
                       "source %s: the batch %s %" PRIu64 " %s, the source covers %" PRIu64 ": over %" PRIu64
                       " %% and over %" PRIu64 ": say force if that is meant",
                       bound->source, bound->act, moved, bound->unit, before, percent,
                       bound->settings->hold_floor_addresses);
    return true;
}

bool bl_policy_hold_check(const struct bl_policy_hold *hold, const struct bl_settings_controlplane *settings,
                          struct bl_error_detail *detail)
{
    for (size_t i = 0; i < hold->n; i++) {
        const struct bl_policy_hold_source *source = &hold->sources[i];
        struct bound bound = {settings, source->name, "adds", "IPv4 addresses"};

        /* Its first import. */
        if (source->before.n_listings == 0)
            continue;
        if (is_over(&bound, source->added.n_ipv4, source->before.n_ipv4, detail))
            return true;
        bound.unit = "IPv6 /64s";
        if (is_over(&bound, source->added.n_ipv6, source->before.n_ipv6, detail))
            return true;
        bound.act = "removes";
        if (is_over(&bound, source->removed.n_ipv6, source->before.n_ipv6, detail))
            return true;
        bound.unit = "IPv4 addresses";
        if (is_over(&bound, source->removed.n_ipv4, source->before.n_ipv4, detail))
            return true;
    }
    return false;
}
