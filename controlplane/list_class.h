/** @file list_class.h
 * The numbers of classes: a listing's code, action, self-service and URL get the lowest free number, and the number is
 * free again when no listing has it (list_state.c owns one).
 *
 * Numbers follow from the order of effects alone, so every change of the table must be undone exactly: what a number
 * meant before is kept until the commit. Threads: as list_state.h. */
#ifndef BL_LIST_CLASS_H
#define BL_LIST_CLASS_H

#include <stddef.h>

#include "bounceline/class.h"

/** What a number meant before one change of the table. */
struct bl_list_class_change {
    uint64_t changed;
    struct bl_class before;
    uint8_t class_id;
};

struct bl_list_classes {
    struct bl_class table[BL_CLASS_COUNT];
    uint32_t n_listings[BL_CLASS_COUNT];
    uint64_t changed; /**< bit n: n got a new meaning since the last commit */
    struct bl_list_class_change *undo;
    size_t n_undo;
    size_t n_undo_max;
};

void bl_list_class_fini(struct bl_list_classes *classes);

/** Makes room to undo one more change. @return 0 or BL_ENOMEM. */
int bl_list_class_reserve(struct bl_list_classes *classes);

/** The number of @p class; 0: it has none yet. */
uint8_t bl_list_class_find(const struct bl_list_classes *classes, const struct bl_class *class);

/** Gives @p class the lowest free number; room must be reserved. @return 0: all are in use. */
uint8_t bl_list_class_take(struct bl_list_classes *classes, const struct bl_class *class);

/** Frees a number that no listing has any more; room must be reserved. */
void bl_list_class_clear(struct bl_list_classes *classes, uint8_t class_id);

/** Undoes the last take or clear. */
void bl_list_class_undo(struct bl_list_classes *classes);

/** Ends undo. @return the changed bits. */
uint64_t bl_list_class_commit(struct bl_list_classes *classes);

/** Puts a table in that a snapshot kept. @return 0 or BL_EINVAL: not a table, or this one is in use. */
int bl_list_class_restore(struct bl_list_classes *classes, const struct bl_class table[BL_CLASS_COUNT]);

uint32_t bl_list_class_count(const struct bl_list_classes *classes);

#endif
