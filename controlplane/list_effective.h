/** @file list_effective.h
 * From layers to the effective set: the four rules of list_state.h, and the differences that a change makes.
 *
 * The value at a prefix depends on all layers that cover it, so a change at a prefix is followed through its subtree.
 * Called by list_state.c after each change of a chain. Threads: as list_state.h. */
#ifndef BL_LIST_EFFECTIVE_H
#define BL_LIST_EFFECTIVE_H

#include "controlplane/list_layer.h"
#include "controlplane/list_state.h"

struct bl_list_effective {
    struct bl_list_change *changes; /**< since the last commit */
    size_t n_changes;
    size_t n_changes_max;
    uint64_t n_ipv4; /**< entries */
    uint64_t n_ipv6;
    struct bl_digest digest;
    uint64_t epoch;
    bool quiet; /**< a rollback or a restore: nothing is written down */
    bool lost;  /**< there was no memory to write a change down: the caller must roll back */
};

void bl_list_effective_fini(struct bl_list_effective *effective);

/** Brings the node that ends @p path, and all below it, up to date with the chains. */
void bl_list_effective_evaluate(struct bl_list_effective *effective, const struct bl_list_trie *trie,
                                const struct bl_list_layers *layers, const struct bl_list_path *path);

/** Brings a trie up to date that nothing was evaluated of: one walk, and nothing is written down. */
void bl_list_effective_evaluate_all(struct bl_list_effective *effective, const struct bl_list_trie *trie,
                                    const struct bl_list_layers *layers);

/** Forgets the changes that were handed out, and their memory where it was much. */
void bl_list_effective_reset(struct bl_list_effective *effective);

/** The entry of a node of value @p value below one of value @p above: a class, BL_CLASS_EXEMPT, or 0 for none. */
static inline uint8_t bl_list_effective_entry(uint8_t above, uint8_t value)
{
    if (value == above)
        return BL_CLASS_NONE;
    return value == BL_CLASS_NONE ? BL_CLASS_EXEMPT : value;
}

#endif
