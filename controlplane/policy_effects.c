/* The effects of a batch, in groups; see policy_effects.h. */
#include "controlplane/policy_effects.h"

#include <stdlib.h>
#include <string.h>

/* In a bulk all items point to the same strings. */
static bool is_same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool is_same(const struct bl_effect_attributes *a, const struct bl_effect_attributes *b)
{
    return a->observed_at_ms == b->observed_at_ms && a->expires_at_ms == b->expires_at_ms &&
           a->suppress_until_ms == b->suppress_until_ms && a->code == b->code && a->action == b->action &&
           a->self_service == b->self_service && is_same_text(a->source, b->source) &&
           is_same_text(a->reason, b->reason) && is_same_text(a->url, b->url) &&
           is_same_text(a->self_delists, b->self_delists);
}

static int add_group(struct bl_policy_effects_maker *maker, const struct bl_effect_group *effect)
{
    if (maker->n_groups == maker->n_groups_max) {
        size_t n_max = maker->n_groups_max * 2 + 8;
        struct bl_effect_group *groups = realloc(maker->groups, n_max * sizeof(*groups));

        if (groups == NULL)
            return BL_ENOMEM;
        maker->groups = groups;
        maker->n_groups_max = n_max;
    }
    maker->groups[maker->n_groups] = *effect;
    maker->groups[maker->n_groups++].n_prefixes = 0;
    return BL_OK;
}

int bl_policy_effects_add(struct bl_policy_effects_maker *maker, const struct bl_effect_group *effect)
{
    struct bl_effect_group *last = maker->n_groups == 0 ? NULL : &maker->groups[maker->n_groups - 1];

    if (maker->n_prefixes == maker->n_prefixes_max) {
        size_t n_max = maker->n_prefixes_max * 2 + 16;
        struct bl_prefix *prefixes = realloc(maker->prefixes, n_max * sizeof(*prefixes));

        if (prefixes == NULL)
            return BL_ENOMEM;
        maker->prefixes = prefixes;
        maker->n_prefixes_max = n_max;
    }
    if (last == NULL || last->kind != effect->kind || !is_same(&last->attributes, &effect->attributes)) {
        int error = add_group(maker, effect);

        if (error != BL_OK)
            return error;
    }
    maker->groups[maker->n_groups - 1].n_prefixes++;
    maker->prefixes[maker->n_prefixes++] = effect->prefixes[0];
    return BL_OK;
}

void bl_policy_effects_clear(struct bl_policy_effects_maker *maker)
{
    maker->n_groups = 0;
    maker->n_prefixes = 0;
}

void bl_policy_effects_finish(struct bl_policy_effects_maker *maker, struct bl_policy_effects *effects)
{
    /* Only now: the array moved while it grew. */
    struct bl_prefix *prefixes = maker->prefixes;

    for (size_t i = 0; i < maker->n_groups; i++) {
        maker->groups[i].prefixes = prefixes;
        prefixes += maker->groups[i].n_prefixes;
    }
    *effects = (struct bl_policy_effects){maker->groups, maker->n_groups, maker->prefixes};
    *maker = (struct bl_policy_effects_maker){.groups = NULL};
}

void bl_policy_effects_fini(struct bl_policy_effects *effects)
{
    free(effects->groups);
    free(effects->memory);
    *effects = (struct bl_policy_effects){NULL, 0, NULL};
}
