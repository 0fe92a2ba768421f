/** @file policy_hold.h
 * The hold: a batch that adds or removes too much of what a source covers is refused until somebody says force, so that
 * a feed gone wrong or taken over can't list or free half the world (policy.c owns one a batch, policy_item.c counts).
 *
 * Added and removed are counted apart, IPv4 addresses and IPv6 /64s too; each is held against the share of what the
 * source covered before the batch, and against a floor. A source that covered nothing yet is at its first import: free.
 * Threads: writer thread only. */
#ifndef BL_POLICY_HOLD_H
#define BL_POLICY_HOLD_H

#include "bounceline/settings.h"
#include "controlplane/list_state.h"

struct bl_policy_hold_source {
    const char *name; /**< borrowed from the batch or the settings */
    struct bl_list_coverage before;
    struct bl_list_coverage added; /**< n_listings is not counted */
    struct bl_list_coverage removed;
};

struct bl_policy_hold {
    struct bl_policy_hold_source *sources;
    size_t n;
    size_t n_max;
    size_t last; /**< the one that was counted last: mostly the next, too */
};

void bl_policy_hold_fini(struct bl_policy_hold *hold);

/** Counts a listing of @p source that is about to come (@p is_added) or go. To be called before @p state changes.
 * @return 0 or BL_ENOMEM. */
int bl_policy_hold_count(struct bl_policy_hold *hold, const struct bl_list_state *state, const char *source,
                         const struct bl_prefix *prefix, bool is_added);

/** @return true when the batch is to be held; @p detail says which source and the figures. */
bool bl_policy_hold_check(const struct bl_policy_hold *hold, const struct bl_settings_controlplane *settings,
                          struct bl_error_detail *detail);

#endif
