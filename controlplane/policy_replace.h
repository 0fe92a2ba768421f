/** @file policy_replace.h
 * A bulk that replaces what its source lists: which listings are not in it (policy.c calls).
 *
 * It is found out here, on the list as it is when the batch is decided, and not by who sends the bulk: between a client's
 * look and its batch another one may have changed the source. Threads: writer thread only. Cost: a sorted copy of the
 * bulk and a walk over the list. */
#ifndef BL_POLICY_REPLACE_H
#define BL_POLICY_REPLACE_H

#include "controlplane/batch.h"
#include "controlplane/list_state.h"

struct bl_policy_replace {
    struct bl_prefix *gone; /**< owned; sorted */
    size_t n_gone;
};

/** Finds the listings of @p source that are not in @p bulk. @return 0 or BL_ENOMEM. */
int bl_policy_replace_find(const struct bl_list_state *state, const char *source, const struct bl_bulk *bulk,
                           struct bl_policy_replace *replace);
void bl_policy_replace_fini(struct bl_policy_replace *replace);

/** Item @p index of a bulk, IPv4 first, as its columns have it. */
struct bl_prefix bl_policy_replace_item(const struct bl_bulk *bulk, size_t index);

#endif
