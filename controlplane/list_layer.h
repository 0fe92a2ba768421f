/** @file list_layer.h
 * The layers as the list state keeps them: one cell each, in a chain at the node of its prefix, strongest first.
 *
 * Chain: the exemption, the delist, the operator's listing, then the other listings in the order of rule 3. So rules 1
 * to 3 of list_state.h read a chain from its front. A cell that was removed in a change not yet committed stays in its
 * chain, marked dead, and holds its label: undo revives it without needing memory. Every reader skips the dead.
 * Threads: as list_state.h. */
#ifndef BL_LIST_LAYER_H
#define BL_LIST_LAYER_H

#include "bounceline/class.h"
#include "controlplane/list_label.h"
#include "controlplane/list_trie.h"
#include "controlplane/record.h"

/* No enum: those are int. */
#define BL_LIST_LAYER_NOT_DUE UINT32_MAX
#define BL_LIST_LAYER_DEAD (UINT32_MAX - 1)

struct bl_list_cell {
    uint32_t next; /**< in its chain; 0: the last */
    uint32_t node;
    uint32_t label;
    uint32_t due; /**< its place in the heap of list_due.c, or one of the two above */
    uint64_t serial;
    int64_t observed_at_ms;
};

_Static_assert(sizeof(struct bl_list_cell) == 32, "one a listing: keep it small");

/** What is known of a source while a listing names it. */
struct bl_list_source {
    uint64_t n_ipv4; /**< as in struct bl_list_coverage */
    uint64_t n_ipv6;
    uint64_t n_listings;
    uint32_t order; /**< in the settings; UINT32_MAX: not there */
};

struct bl_list_layers {
    struct bl_list_pool cells;
    struct bl_list_labels labels;
    struct bl_list_source *known; /**< by number of source */
    uint32_t n_known;
    const char *const *order; /**< borrowed */
    size_t n_order;
    const struct bl_class *classes; /**< borrowed: what class_id means */
};

int bl_list_layers_init(struct bl_list_layers *layers, const char *const *order, size_t n_order);
void bl_list_layers_fini(struct bl_list_layers *layers);

static inline struct bl_list_cell *bl_list_layer_at(const struct bl_list_layers *layers, uint32_t cell)
{
    return bl_list_pool_at(&layers->cells, cell);
}

static inline const struct bl_list_label *bl_list_layer_label(const struct bl_list_layers *layers,
                                                              const struct bl_list_cell *cell)
{
    return bl_list_label_at(&layers->labels, cell->label);
}

/** The grace of a delist that fits: suppress_until_ms is at most so far from observed_at_ms. */
#define BL_LIST_LAYER_GRACE_MS_MAX INT32_MAX

/** DELIST: listings observed at or before it do not count. */
static inline int64_t bl_list_layer_suppress_until(const struct bl_list_cell *cell, const struct bl_list_label *label)
{
    return cell->observed_at_ms + label->grace_ms;
}

/** Holds the label of layers of @p kind with these attributes (of them the actor too) and, LIST, @p class_id.
 * @return 0 or BL_ENOMEM with nothing held. */
int bl_list_layer_hold_label(struct bl_list_layers *layers, enum bl_effect_kind kind,
                             const struct bl_effect_attributes *attributes, uint8_t class_id, uint32_t *label);

/** The living cell of @p kind (and, for a listing, @p source) at @p node; 0: none. */
uint32_t bl_list_layer_find(const struct bl_list_layers *layers, const struct bl_list_node *node,
                            enum bl_effect_kind kind, uint32_t source);

/** Puts a copy of @p model into the chain of @p node; a cell must be reserved. @return its number. */
uint32_t bl_list_layer_link(struct bl_list_layers *layers, struct bl_list_node *node, const struct bl_list_cell *model);

/** Takes the cell out of its chain, lets go of its label and frees it. */
void bl_list_layer_unlink(struct bl_list_layers *layers, struct bl_list_node *node, uint32_t cell);

/** Adds the cell's prefix to what its source covers, or takes it off (@p sign -1). Listings only. */
void bl_list_layer_cover(struct bl_list_layers *layers, const struct bl_list_cell *cell,
                         const struct bl_list_node *node, int sign);

/** IPv4 addresses, or IPv6 /64s (a longer prefix counts as one), of one prefix; 0/0 and ::/0 too. */
uint64_t bl_list_layer_addresses(uint8_t family, uint8_t length);

#endif
