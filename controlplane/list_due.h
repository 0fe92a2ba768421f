/** @file list_due.h
 * When layers end by themselves, soonest first: a binary heap of times with cells' numbers (list_state.c owns one).
 *
 * The time stands here alone: most layers never end, and need no room for it. A cell knows its place, so one that goes is
 * taken out at once and nothing stale piles up. Threads: as list_state.h. */
#ifndef BL_LIST_DUE_H
#define BL_LIST_DUE_H

#include "controlplane/list_layer.h"

struct bl_list_due {
    int64_t *times_ms; /**< when cells[i] ends */
    uint32_t *cells;
    size_t n;
    size_t n_max;
    bool is_pile; /**< of a list that is loaded: in no order until bl_list_due_order */
};

void bl_list_due_fini(struct bl_list_due *due);

/** Makes room for one more. @return 0 or BL_ENOMEM. */
int bl_list_due_reserve(struct bl_list_due *due);

/** When the cell ends; 0: it does not. */
static inline int64_t bl_list_due_time(const struct bl_list_due *due, const struct bl_list_cell *cell)
{
    return cell->due >= BL_LIST_LAYER_DEAD ? 0 : due->times_ms[cell->due];
}

/** Room must be reserved, or the cell have been in it since (undo). */
void bl_list_due_add(struct bl_list_due *due, const struct bl_list_layers *layers, uint32_t cell, int64_t time_ms);
void bl_list_due_remove(struct bl_list_due *due, const struct bl_list_layers *layers, uint32_t cell);

/** Makes a heap of the pile, in one pass from below. */
void bl_list_due_order(struct bl_list_due *due, const struct bl_list_layers *layers);

/** Up to @p max cells due at @p now_ms, soonest first. They stay in the heap. @return the number. */
size_t bl_list_due_find(struct bl_list_due *due, const struct bl_list_layers *layers, int64_t now_ms, uint32_t *cells,
                        size_t max);

/** How many are due at @p now_ms; counts on to @p max only. */
size_t bl_list_due_count(const struct bl_list_due *due, int64_t now_ms, size_t max);

#endif
