/** @file list_due.h
 * Which layers end by themselves, soonest first: a binary heap of cells' numbers (list_state.c owns one).
 *
 * A cell knows its place, so one that goes is taken out at once and nothing stale piles up. Threads: as list_state.h. */
#ifndef BL_LIST_DUE_H
#define BL_LIST_DUE_H

#include "controlplane/list_layer.h"

struct bl_list_due {
    uint32_t *cells;
    size_t n;
    size_t n_max;
};

void bl_list_due_fini(struct bl_list_due *due);

/** Makes room for one more. @return 0 or BL_ENOMEM. */
int bl_list_due_reserve(struct bl_list_due *due);

/** Room must be reserved, or the cell have been in it since (undo). */
void bl_list_due_add(struct bl_list_due *due, const struct bl_list_layers *layers, uint32_t cell);
void bl_list_due_remove(struct bl_list_due *due, const struct bl_list_layers *layers, uint32_t cell);

/** Up to @p max cells due at @p now_ms, soonest first. They stay in the heap. @return the number. */
size_t bl_list_due_find(struct bl_list_due *due, const struct bl_list_layers *layers, int64_t now_ms, uint32_t *cells,
                        size_t max);

/** How many are due at @p now_ms; counts on to @p max only. */
size_t bl_list_due_count(const struct bl_list_due *due, const struct bl_list_layers *layers, int64_t now_ms,
                         size_t max);

#endif
