/** @file policy_delist.h
 * The delist without a source: what a person with a bounce asks for (policy_item.c calls).
 *
 * It takes the prefix off the list as far as the actor may: an operator's own listing is removed, feeds' listings are
 * suppressed, and the answer says which of the two happened, or why nothing did. Threads: writer thread only. */
#ifndef BL_POLICY_DELIST_H
#define BL_POLICY_DELIST_H

#include "controlplane/policy_item.h"

/** Decides the delist of @p prefix by context->update, whose fields, role and width were found good.
 * @return 0 or BL_ENOMEM. */
int bl_policy_delist_decide(struct bl_policy_context *context, const struct bl_prefix *prefix,
                            struct bl_policy_decision *decision);

#endif
