/** @file list_parts.h
 * struct bl_list_state as the parts of list_state.h see it: list_state.c changes it, list_read.c and list_entries.c read
 * it. Nobody else includes this. */
#ifndef BL_LIST_PARTS_H
#define BL_LIST_PARTS_H

#include "controlplane/list_class.h"
#include "controlplane/list_due.h"
#include "controlplane/list_effective.h"
#include "controlplane/list_layer.h"
#include "controlplane/list_state.h"
#include "controlplane/list_trie.h"
#include "controlplane/list_undo.h"

struct bl_list_state {
    uint64_t epoch;
    uint64_t serial;
    struct bl_list_trie trie;
    struct bl_list_layers layers;
    struct bl_list_classes classes;
    struct bl_list_effective effective;
    struct bl_list_due due;
    struct bl_list_undo undo;
    uint64_t n_layers[BL_EFFECT_EXEMPT + 1]; /**< living ones, by kind */
    bool handed_out;                         /**< the changes belong to who committed, until the next apply */
    bool restoring;                          /**< no undo, and nothing is evaluated */
    struct bl_list_path path;                /**< of the last insert; no nodes once one was taken out */

    /* The answer of bl_list_state_due. */
    struct bl_effect_group *due_groups;
    struct bl_prefix *due_prefixes;
    uint32_t *due_cells;
    size_t n_due_max;
};

/** The attributes of a layer; strings are the state's own. */
void bl_list_parts_describe(const struct bl_list_state *state, const struct bl_list_cell *cell,
                            struct bl_effect_attributes *attributes);

#endif
