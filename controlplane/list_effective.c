/* From layers to the effective set; see list_effective.h. */
#include "controlplane/list_effective.h"

#include <stdlib.h>

enum { CHANGES_KEPT_MAX = 1 << 16 };

/* One run through a subtree. */
struct run {
    struct bl_list_effective *effective;
    const struct bl_list_trie *trie;
    const struct bl_list_layers *layers;
    struct bl_digest_batch *batch;         /* NULL: one entry at a time */
    uint32_t feeds[BL_LIST_TRIE_PATH_MAX]; /* the nodes above that have listings not of the operator, widest first */
};

/* What covers a node, from the root down to itself. */
struct cover {
    int64_t suppress_until_ms; /* the latest of the delists; INT64_MIN: there is none */
    uint32_t n_feeds;          /* of run.feeds */
    uint8_t operator_class;    /* of the longest operator's listing; 0: there is none */
    bool exempt;
};

void bl_list_effective_fini(struct bl_list_effective *effective)
{
    free(effective->changes);
    *effective = (struct bl_list_effective){.changes = NULL};
}

/* As with undo: what an import took is given back. */
void bl_list_effective_reset(struct bl_list_effective *effective)
{
    effective->n_changes = 0;
    if (effective->n_changes_max > CHANGES_KEPT_MAX) {
        free(effective->changes);
        effective->changes = NULL;
        effective->n_changes_max = 0;
    }
}

/* Adds the layers of @number to what covers. */
static void take_node(struct run *run, uint32_t number, struct cover *cover)
{
    uint32_t at = bl_list_trie_at(run->trie, number)->first_cell;
    bool has_feeds = false;

    while (at != 0) {
        const struct bl_list_cell *cell = bl_list_layer_at(run->layers, at);
        const struct bl_list_label *label = bl_list_layer_label(run->layers, cell);

        at = cell->next;
        if (cell->due == BL_LIST_LAYER_DEAD)
            continue;
        if (label->kind == BL_EFFECT_EXEMPT)
            cover->exempt = true;
        else if (label->kind == BL_EFFECT_DELIST &&
                 bl_list_layer_suppress_until(cell, label) > cover->suppress_until_ms)
            cover->suppress_until_ms = bl_list_layer_suppress_until(cell, label);
        else if (label->kind == BL_EFFECT_LIST && label->is_operator)
            cover->operator_class = label->class_id;
        else if (label->kind == BL_EFFECT_LIST)
            has_feeds = true;
    }
    if (has_feeds)
        run->feeds[cover->n_feeds++] = number;
}

/* Rule 3 at one node: its strongest listing that is not suppressed; 0: there is none. */
static uint8_t strongest_feed(const struct run *run, uint32_t number, int64_t suppress_until_ms)
{
    uint32_t at = bl_list_trie_at(run->trie, number)->first_cell;

    while (at != 0) {
        const struct bl_list_cell *cell = bl_list_layer_at(run->layers, at);
        const struct bl_list_label *label = bl_list_layer_label(run->layers, cell);

        at = cell->next;
        if (cell->due != BL_LIST_LAYER_DEAD && label->kind == BL_EFFECT_LIST && !label->is_operator &&
            cell->observed_at_ms > suppress_until_ms)
            return label->class_id;
    }
    return 0;
}

/* The rules, in their order. */
static uint8_t decide(const struct run *run, const struct cover *cover)
{
    if (cover->exempt)
        return BL_CLASS_NONE;
    if (cover->operator_class != 0)
        return cover->operator_class;
    for (uint32_t i = cover->n_feeds; i > 0; i--) {
        uint8_t class_id = strongest_feed(run, run->feeds[i - 1], cover->suppress_until_ms);

        if (class_id != 0)
            return class_id;
    }
    return BL_CLASS_NONE;
}

/* Without memory the walk goes on: value, digest and counts must agree with each other for the rollback that follows. */
static void write_down(struct bl_list_effective *effective, const struct bl_prefix *prefix, uint8_t class_id)
{
    if (effective->quiet)
        return;
    if (effective->n_changes == effective->n_changes_max) {
        size_t n_max = effective->n_changes_max * 2 + 64;
        struct bl_list_change *changes = realloc(effective->changes, n_max * sizeof(*changes));

        if (changes == NULL) {
            effective->lost = true;
            return;
        }
        effective->changes = changes;
        effective->n_changes_max = n_max;
    }
    effective->changes[effective->n_changes++] = (struct bl_list_change){*prefix, class_id};
}

/* The digest costs four hashes a change, and saves a walk over millions for each answer. */
static void set_entry(const struct run *run, const struct bl_list_node *node, uint8_t before, uint8_t after)
{
    struct bl_list_effective *effective = run->effective;
    struct bl_prefix prefix = bl_list_trie_prefix(node);
    uint64_t *n = node->family == BL_FAMILY_IPV4 ? &effective->n_ipv4 : &effective->n_ipv6;

    if (before != BL_CLASS_NONE) {
        bl_digest_remove(&effective->digest, effective->epoch, &prefix, before);
        (*n)--;
    }
    if (after != BL_CLASS_NONE) {
        if (run->batch != NULL)
            bl_digest_batch_add(run->batch, &effective->digest, effective->epoch, &prefix, after);
        else
            bl_digest_add(&effective->digest, effective->epoch, &prefix, after);
        (*n)++;
    }
    write_down(effective, &prefix, after);
}

/* @param before, after: the value of the node above, as it was and as it is. */
static void visit(struct run *run, uint32_t number, struct cover cover, uint8_t before, uint8_t after)
{
    struct bl_list_node *node = bl_list_trie_at(run->trie, number);
    uint8_t old = node->value;
    uint8_t entry_before;
    uint8_t entry_after;

    take_node(run, number, &cover);
    /* A fork is named by no layer: it must not become an entry. */
    node->value = node->first_cell == 0 ? after : decide(run, &cover);
    entry_before = bl_list_effective_entry(before, old);
    entry_after = bl_list_effective_entry(after, node->value);
    if (entry_before != entry_after)
        set_entry(run, node, entry_before, entry_after);
    for (int side = 0; side < 2; side++)
        if (node->children[side] != 0)
            visit(run, node->children[side], cover, old, node->value);
}

void bl_list_effective_evaluate(struct bl_list_effective *effective, const struct bl_list_trie *trie,
                                const struct bl_list_layers *layers, const struct bl_list_path *path)
{
    struct run run = {.effective = effective, .trie = trie, .layers = layers};
    struct cover cover = {.suppress_until_ms = INT64_MIN};
    uint8_t above = BL_CLASS_NONE;

    /* What covers the node from above did not change, but decides with it. */
    for (uint32_t i = 0; i + 1 < path->n; i++)
        take_node(&run, path->nodes[i], &cover);
    if (path->n > 1)
        above = bl_list_trie_at(trie, path->nodes[path->n - 2])->value;
    visit(&run, path->nodes[path->n - 1], cover, above, above);
}

void bl_list_effective_evaluate_all(struct bl_list_effective *effective, const struct bl_list_trie *trie,
                                    const struct bl_list_layers *layers)
{
    struct bl_digest_batch batch = {.n = 0};
    struct run run = {.effective = effective, .trie = trie, .layers = layers, .batch = &batch};
    const struct cover cover = {.suppress_until_ms = INT64_MIN};

    effective->quiet = true;
    visit(&run, trie->root_ipv4, cover, BL_CLASS_NONE, BL_CLASS_NONE);
    visit(&run, trie->root_ipv6, cover, BL_CLASS_NONE, BL_CLASS_NONE);
    effective->quiet = false;
    bl_digest_batch_end(&batch, &effective->digest, effective->epoch);
}
