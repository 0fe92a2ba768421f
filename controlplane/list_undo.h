/** @file list_undo.h
 * What was done since the last commit, so that it can be undone in reverse (list_state.c owns one). Threads: as
 * list_state.h. */
#ifndef BL_LIST_UNDO_H
#define BL_LIST_UNDO_H

#include <stddef.h>
#include <stdint.h>

#include "bounceline/error.h"

enum bl_list_undo_act {
    BL_LIST_UNDO_LINK,  /**< a cell came: undone by taking it out */
    BL_LIST_UNDO_KILL,  /**< a cell was marked dead: undone by reviving it */
    BL_LIST_UNDO_CLASS, /**< a class was taken or cleared: list_class.c knows which */
};

struct bl_list_undo_entry {
    size_t n_changes;      /**< of the effective set, before the act */
    int64_t expires_at_ms; /**< KILL: only list_due.h knew */
    uint32_t cell;
    uint32_t act; /**< enum bl_list_undo_act */
};

struct bl_list_undo {
    struct bl_list_undo_entry *entries;
    size_t n;
    size_t n_max;
};

void bl_list_undo_fini(struct bl_list_undo *undo);

/** Makes room for @p n more. @return 0 or BL_ENOMEM. */
int bl_list_undo_reserve(struct bl_list_undo *undo, size_t n);

/** Room must be reserved. */
void bl_list_undo_push(struct bl_list_undo *undo, const struct bl_list_undo_entry *entry);

/** Forgets all, and gives memory back where it was much. */
void bl_list_undo_reset(struct bl_list_undo *undo);

#endif
