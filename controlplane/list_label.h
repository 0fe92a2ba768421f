/** @file list_label.h
 * What layers have in common, held once and counted: kind, class, source, reason, actor, grace and self-service delists of a
 * layer are one label, and the layer keeps its number (list_layer.c owns one set).
 *
 * Feeds list millions of prefixes under a few dozen labels, so that a layer takes 32 bytes instead of 56. Where each has a
 * reason of its own, a label and its text are added to each. A label holds its texts; it is never altered. Threads: as
 * list_state.h. */
#ifndef BL_LIST_LABEL_H
#define BL_LIST_LABEL_H

#include <stdbool.h>

#include "controlplane/list_pool.h"
#include "controlplane/list_text.h"

struct bl_list_label {
    uint32_t next; /**< in its bucket */
    uint32_t n_holds;
    uint32_t reason; /**< numbers of texts */
    uint32_t actor;
    uint32_t self_delists; /**< DELIST */
    uint32_t source;       /**< LIST: number of the source */
    int32_t grace_ms;      /**< DELIST: from observed_at_ms to the end of what it suppresses */
    uint8_t kind;          /**< BL_EFFECT_LIST, _DELIST or _EXEMPT */
    uint8_t class_id;      /**< LIST */
    bool is_operator;      /**< LIST, of the reserved source */
    uint8_t unused;
};

_Static_assert(sizeof(struct bl_list_label) == 32, "no bytes between the fields: labels are compared as bytes");

struct bl_list_labels {
    struct bl_list_pool pool;
    struct bl_list_texts texts;   /**< reasons, actors and self_delists */
    struct bl_list_texts sources; /**< names */
    uint32_t *buckets;            /**< a power of two of them */
    uint32_t n_buckets;
    uint32_t n;
};

/** @p labels stays where it is, as list_text.h asks. @param n_max at most so many at a time.
 * @return 0 or BL_ENOMEM (nothing to fini). */
int bl_list_labels_init(struct bl_list_labels *labels, uint32_t n_max);
void bl_list_labels_fini(struct bl_list_labels *labels);

/** Holds the label that is like @p model (whose texts the caller holds) once, and makes it where there is none.
 * @return 0, or BL_ENOMEM (also when n_max are held) with nothing changed. */
int bl_list_label_hold(struct bl_list_labels *labels, const struct bl_list_label *model, uint32_t *number);
void bl_list_label_release(struct bl_list_labels *labels, uint32_t number);

static inline struct bl_list_label *bl_list_label_at(const struct bl_list_labels *labels, uint32_t number)
{
    return bl_list_pool_at(&labels->pool, number);
}

static inline void bl_list_label_hold_again(struct bl_list_labels *labels, uint32_t number)
{
    bl_list_label_at(labels, number)->n_holds++;
}

/** Lets go of the texts of a model. */
void bl_list_label_release_texts(struct bl_list_labels *labels, const struct bl_list_label *model);

#endif
