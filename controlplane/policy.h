/** @file policy.h
 * May this actor change this prefix now, and what is the effect? (ingest → authorize → policy → log)
 *
 * One ordered function of rules, each with its refusal. A batch is decided item by item, each against the list as the
 * items before it left it, and applied to the list state at once; the writer appends the record and commits, or rolls
 * the state back. So an atomic batch that meets a refusal, or a batch that moves too much of a source, leaves nothing.
 *
 * Pure but for the heap: the time comes in. Threads: writer thread only. */
#ifndef BL_POLICY_H
#define BL_POLICY_H

#include "bounceline/settings.h"
#include "controlplane/batch.h"
#include "controlplane/list_state.h"
#include "controlplane/record.h"

/** The effects of one decided batch, as they go into its record. Strings are borrowed from batch, actor,
 * settings and, until it is committed, the state. */
struct bl_policy_effects {
    struct bl_effect_group *groups;
    size_t n_groups;
    void *memory; /**< owner of the prefixes */
};

/** Decides @p batch for @p actor and applies what was accepted to @p state, at @p serial. Items that are refused leave
 * no trace; n_outcomes and items say what happened to each. When nothing was accepted, effects->n_groups is 0 and the
 * state is as before. @return 0 or BL_ENOMEM (state rolled back). */
int bl_policy_apply(const struct bl_settings_controlplane *settings, struct bl_list_state *state,
                    const struct bl_actor *actor, const struct bl_batch *batch, int64_t now_ms, uint64_t serial,
                    struct bl_batch_result *result, struct bl_policy_effects *effects);

void bl_policy_effects_fini(struct bl_policy_effects *effects);
void bl_batch_result_fini(struct bl_batch_result *result);

#endif
