/** @file policy_item.h
 * One update: may this actor change this prefix now, and what is the effect? (policy.c calls for each item)
 *
 * The rules stand in one order: malformed, role, too wide, never listed, source; then what the kind asks. What is
 * accepted is applied to the state and added to the batch's effects at once. Threads: writer thread only. */
#ifndef BL_POLICY_ITEM_H
#define BL_POLICY_ITEM_H

#include "controlplane/policy_effects.h"
#include "controlplane/policy_hold.h"

enum { BL_POLICY_ITEM_SKEW_MS = 300000 }; /**< evidence this far in the future is a clock; beyond it, a mistake */

/** What all items of a batch share. All zero but the first six to begin with. */
struct bl_policy_context {
    const struct bl_settings_controlplane *settings;
    struct bl_list_state *state;
    const struct bl_actor *actor;
    int64_t now_ms;
    uint64_t serial;
    bool is_bulk; /**< nobody reads remarks on items that were accepted */
    struct bl_policy_effects_maker effects;
    struct bl_policy_hold hold;

    /** Of the update that was looked at last: a bulk has one for all. */
    const struct bl_update *update;
    struct bl_effect_attributes attributes; /**< of the listing it asks for */
    const char *source;                     /**< said, or the actor's */
    enum bl_refusal refusal;                /**< of its fields; NONE: they are well-formed */
    struct bl_error_detail detail;

    struct bl_list_layer layers[BL_LIST_LAYERS_MAX]; /**< what covers the prefix at hand */
};

struct bl_policy_decision {
    enum bl_outcome outcome;
    enum bl_refusal refusal;
    struct bl_error_detail detail; /**< why it was refused, or a remark; empty: nothing to say */
};

/** Decides one item. @p prefix NULL: update->prefix is the text of it; else it comes from a bulk's columns.
 * @return 0, or BL_ENOMEM: the caller rolls the batch back. */
int bl_policy_item_decide(struct bl_policy_context *context, const struct bl_update *update,
                          const struct bl_prefix *prefix, struct bl_policy_decision *decision);

/** Who an update speaks for: what it says, or for a listing that says nothing the actor's own source. */
const char *bl_policy_item_source(const struct bl_actor *actor, const struct bl_update *update);

/** For policy_delist.c: refuses, always with the prefix in the text. @return BL_OK, for `return refuse(...)`. */
int bl_policy_item_refuse(struct bl_policy_decision *decision, enum bl_refusal refusal, const struct bl_prefix *prefix,
                          const char *format, ...) __attribute__((format(printf, 4, 5)));

/** For policy_delist.c: applies one effect on @p prefix and adds it to the batch's; changes of listings are counted for
 * the hold. @p is_new: a listing that was not there. @return 0, BL_EFULL with nothing changed, or BL_ENOMEM. */
int bl_policy_item_put(struct bl_policy_context *context, enum bl_effect_kind kind,
                       const struct bl_effect_attributes *attributes, const struct bl_prefix *prefix, bool is_new);

#endif
