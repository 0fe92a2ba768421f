/** @file policy_effects.h
 * Gathers the effects of a batch for its record: neighbours that differ in nothing but their prefix become one group
 * (policy.c owns one a batch, policy_item.c adds). Strings are borrowed from the batch, the actor and the settings.
 * Threads: writer thread only. */
#ifndef BL_POLICY_EFFECTS_H
#define BL_POLICY_EFFECTS_H

#include "controlplane/policy.h"

/** A bl_policy_effects in the making: its groups know their prefixes by number only. */
struct bl_policy_effects_maker {
    struct bl_effect_group *groups;
    struct bl_prefix *prefixes;
    size_t n_groups;
    size_t n_groups_max;
    size_t n_prefixes;
    size_t n_prefixes_max;
};

/** @return 0 or BL_ENOMEM. */
int bl_policy_effects_add(struct bl_policy_effects_maker *maker, const struct bl_effect_group *effect);

/** Forgets all effects. */
void bl_policy_effects_clear(struct bl_policy_effects_maker *maker);

/** Hands everything over to @p effects; the maker is empty then. */
void bl_policy_effects_finish(struct bl_policy_effects_maker *maker, struct bl_policy_effects *effects);

#endif
