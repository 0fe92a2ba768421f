/* The reading half of the list state; see list_state.h. The changing half is list_state.c. */
#include <stdlib.h>
#include <string.h>

#include "controlplane/list_parts.h"

uint64_t bl_list_state_serial(const struct bl_list_state *state)
{
    return state->serial;
}

uint64_t bl_list_state_epoch(const struct bl_list_state *state)
{
    return state->epoch;
}

struct bl_digest bl_list_state_digest(const struct bl_list_state *state)
{
    return state->effective.digest;
}

const struct bl_class *bl_list_state_classes(const struct bl_list_state *state)
{
    return state->classes.table;
}

void bl_list_state_count(const struct bl_list_state *state, struct bl_list_counts *counts)
{
    *counts = (struct bl_list_counts){
        .n_listings = state->n_layers[BL_EFFECT_LIST],
        .n_delists = state->n_layers[BL_EFFECT_DELIST],
        .n_exemptions = state->n_layers[BL_EFFECT_EXEMPT],
        .n_effective_ipv4 = state->effective.n_ipv4,
        .n_effective_ipv6 = state->effective.n_ipv6,
        .n_classes = bl_list_class_count(&state->classes),
    };
}

void bl_list_state_cover(const struct bl_list_state *state, const char *source, struct bl_list_coverage *coverage)
{
    uint32_t number = bl_list_text_find(&state->layers.labels.sources, source);

    *coverage = (struct bl_list_coverage){0};
    if (number == 0)
        return;
    coverage->n_ipv4 = state->layers.known[number].n_ipv4;
    coverage->n_ipv6 = state->layers.known[number].n_ipv6;
    coverage->n_listings = state->layers.known[number].n_listings;
}

size_t bl_list_state_count_due(const struct bl_list_state *state, int64_t now_ms, size_t max)
{
    return bl_list_due_count(&state->due, now_ms, max);
}

void bl_list_parts_describe(const struct bl_list_state *state, const struct bl_list_cell *cell,
                            struct bl_effect_attributes *attributes)
{
    const struct bl_list_label *label = bl_list_layer_label(&state->layers, cell);
    const struct bl_list_texts *texts = &state->layers.labels.texts;

    *attributes = (struct bl_effect_attributes){
        .source = "",
        .reason = bl_list_text_at(texts, label->reason),
        .url = "",
        .actor = bl_list_text_at(texts, label->actor),
        .serial = cell->serial,
        .observed_at_ms = cell->observed_at_ms,
        .expires_at_ms = bl_list_due_time(&state->due, cell),
        .self_delists = "",
    };
    if (label->kind == BL_EFFECT_LIST) {
        const struct bl_class *class = &state->classes.table[label->class_id];

        attributes->source = bl_list_text_at(&state->layers.labels.sources, label->source);
        attributes->url = class->url;
        attributes->code = class->code;
        attributes->action = class->action;
        attributes->self_service = class->self_service;
    } else if (label->kind == BL_EFFECT_DELIST) {
        attributes->suppress_until_ms = bl_list_layer_suppress_until(cell, label);
        attributes->self_delists = bl_list_text_at(texts, label->self_delists);
    }
}

/* The order in which layers that cover one prefix decide: rule 1, rule 2, what rule 3 takes, what keeps the rest of rule
 * 3 out, and the rest. */
enum strength { EXEMPTION, OPERATOR_LISTING, LISTING, DELIST, SUPPRESSED, STRENGTHS };

static enum strength strength_of(const struct bl_list_cell *cell, const struct bl_list_label *label,
                                 int64_t suppress_until_ms)
{
    if (label->kind == BL_EFFECT_EXEMPT)
        return EXEMPTION;
    if (label->kind == BL_EFFECT_DELIST)
        return DELIST;
    if (label->is_operator)
        return OPERATOR_LISTING;
    return cell->observed_at_ms > suppress_until_ms ? LISTING : SUPPRESSED;
}

static int64_t suppress_until(const struct bl_list_state *state, const struct bl_list_cell *cell)
{
    return bl_list_layer_suppress_until(cell, bl_list_layer_label(&state->layers, cell));
}

/* Of several delists the one that suppresses longest decides, wherever on the path it stands. */
static int64_t latest_delist(const struct bl_list_state *state, const struct bl_list_path *path)
{
    int64_t latest_ms = INT64_MIN;

    for (uint32_t i = 0; i < path->n; i++) {
        const struct bl_list_node *node = bl_list_trie_at(&state->trie, path->nodes[i]);
        uint32_t at = bl_list_layer_find(&state->layers, node, BL_EFFECT_DELIST, 0);

        const struct bl_list_cell *cell = at == 0 ? NULL : bl_list_layer_at(&state->layers, at);

        if (cell != NULL && suppress_until(state, cell) > latest_ms)
            latest_ms = suppress_until(state, cell);
    }
    return latest_ms;
}

/* The layers found so far, and how many of each strength there are, beyond what fits as well. */
struct found {
    struct bl_list_layer *layers;
    size_t n;
    size_t max;
    size_t n_of[STRENGTHS];
    size_t delist; /* which layer is the delist that suppresses longest; n: none */
    uint8_t class_id;
};

static void add_found(const struct bl_list_state *state, const struct bl_list_node *node,
                      const struct bl_list_cell *cell, enum strength strength, struct found *found)
{
    const struct bl_list_label *label = bl_list_layer_label(&state->layers, cell);

    if (found->n_of[strength]++ == 0 && (strength == OPERATOR_LISTING || strength == LISTING) && found->class_id == 0)
        found->class_id = label->class_id;
    if (found->n == found->max)
        return;
    found->layers[found->n] = (struct bl_list_layer){
        .kind = (enum bl_effect_kind)label->kind,
        .prefix = bl_list_trie_prefix(node),
        .suppressed = strength == SUPPRESSED,
    };
    bl_list_parts_describe(state, cell, &found->layers[found->n].attributes);
    found->n++;
}

/* Adds the layers of one strength, the longest prefix first; in a chain the stronger source stands first. */
static void collect(const struct bl_list_state *state, const struct bl_list_path *path, int64_t suppress_until_ms,
                    enum strength strength, struct found *found)
{
    for (uint32_t i = path->n; i > 0; i--) {
        const struct bl_list_node *node = bl_list_trie_at(&state->trie, path->nodes[i - 1]);

        for (uint32_t at = node->first_cell; at != 0;) {
            const struct bl_list_cell *cell = bl_list_layer_at(&state->layers, at);

            at = cell->next;
            if (cell->due == BL_LIST_LAYER_DEAD ||
                strength_of(cell, bl_list_layer_label(&state->layers, cell), suppress_until_ms) != strength)
                continue;
            if (strength == DELIST && suppress_until(state, cell) == suppress_until_ms && found->delist == SIZE_MAX)
                found->delist = found->n;
            add_found(state, node, cell, strength, found);
        }
    }
}

size_t bl_list_state_lookup(const struct bl_list_state *state, const struct bl_prefix *prefix,
                            struct bl_list_layer *layers, size_t max, uint8_t *class_id)
{
    struct found found = {.layers = layers, .max = max, .delist = SIZE_MAX};
    struct bl_list_path path;
    int64_t suppress_until_ms;
    bool is_listed;

    (void)bl_list_trie_find(&state->trie, prefix, &path);
    suppress_until_ms = latest_delist(state, &path);
    for (enum strength strength = EXEMPTION; strength < STRENGTHS; strength++)
        collect(state, &path, suppress_until_ms, strength, &found);
    is_listed = found.class_id != 0 && found.n_of[EXEMPTION] == 0;
    /* The strongest stands first, and decides; where only suppressed listings are, what suppresses them does. */
    if (is_listed || found.n_of[EXEMPTION] != 0) {
        if (found.n != 0)
            layers[0].effective = true;
    } else if (found.n_of[SUPPRESSED] != 0 && found.delist < found.n) {
        layers[found.delist].effective = true;
    }
    if (is_listed)
        *class_id = found.class_id;
    else
        *class_id = found.class_id != 0 || found.n_of[SUPPRESSED] != 0 ? BL_CLASS_EXEMPT : BL_CLASS_NONE;
    return found.n;
}

static int find_cell(const struct bl_list_state *state, enum bl_effect_kind kind, const struct bl_prefix *prefix,
                     uint32_t source, struct bl_effect_attributes *attributes)
{
    struct bl_list_path path;
    uint32_t cell;

    if (!bl_list_trie_find(&state->trie, prefix, &path))
        return BL_ENOENT;
    cell = bl_list_layer_find(&state->layers, bl_list_trie_at(&state->trie, path.nodes[path.n - 1]), kind, source);
    if (cell == 0)
        return BL_ENOENT;
    bl_list_parts_describe(state, bl_list_layer_at(&state->layers, cell), attributes);
    return BL_OK;
}

int bl_list_state_find(const struct bl_list_state *state, const struct bl_prefix *prefix, const char *source,
                       struct bl_effect_attributes *attributes)
{
    uint32_t number = bl_list_text_find(&state->layers.labels.sources, source);

    return number == 0 ? BL_ENOENT : find_cell(state, BL_EFFECT_LIST, prefix, number, attributes);
}

int bl_list_state_find_other(const struct bl_list_state *state, enum bl_effect_kind kind,
                             const struct bl_prefix *prefix, struct bl_effect_attributes *attributes)
{
    return find_cell(state, kind, prefix, 0, attributes);
}

struct layer_walk {
    const struct bl_list_state *state;
    int (*each)(void *context, const struct bl_list_layer *layer);
    void *context;
};

/* @param suppress_until_ms of the delists above. */
static int walk_layers(const struct layer_walk *walk, uint32_t number, int64_t suppress_until_ms)
{
    const struct bl_list_state *state = walk->state;
    const struct bl_list_node *node = bl_list_trie_at(&state->trie, number);
    struct bl_list_layer layer = {.prefix = bl_list_trie_prefix(node)};
    int result = 0;

    /* A delist stands before the listings of its node. */
    for (uint32_t at = node->first_cell; at != 0 && result == 0;) {
        const struct bl_list_cell *cell = bl_list_layer_at(&state->layers, at);
        const struct bl_list_label *label = bl_list_layer_label(&state->layers, cell);

        at = cell->next;
        if (cell->due == BL_LIST_LAYER_DEAD)
            continue;
        if (label->kind == BL_EFFECT_DELIST && bl_list_layer_suppress_until(cell, label) > suppress_until_ms)
            suppress_until_ms = bl_list_layer_suppress_until(cell, label);
        layer.kind = (enum bl_effect_kind)label->kind;
        layer.suppressed = strength_of(cell, label, suppress_until_ms) == SUPPRESSED;
        bl_list_parts_describe(state, cell, &layer.attributes);
        result = walk->each(walk->context, &layer);
    }
    for (int side = 0; side < 2 && result == 0; side++)
        if (node->children[side] != 0)
            result = walk_layers(walk, node->children[side], suppress_until_ms);
    return result;
}

int bl_list_state_each_layer(const struct bl_list_state *state,
                             int (*each)(void *context, const struct bl_list_layer *layer), void *context)
{
    const struct layer_walk walk = {state, each, context};
    int result = walk_layers(&walk, state->trie.root_ipv4, INT64_MIN);

    return result != 0 ? result : walk_layers(&walk, state->trie.root_ipv6, INT64_MIN);
}

int bl_list_state_each_layer_in(const struct bl_list_state *state, const struct bl_prefix *prefix,
                                int (*each)(void *context, const struct bl_list_layer *layer), void *context)
{
    const struct layer_walk walk = {state, each, context};
    uint32_t below = bl_list_trie_below(&state->trie, prefix);
    struct bl_list_path path;

    if (below == 0)
        return 0;
    /* The walk itself counts the delist of the prefix, when it comes to its node. */
    if (bl_list_trie_find(&state->trie, prefix, &path))
        path.n--;
    return walk_layers(&walk, below, latest_delist(state, &path));
}

struct source_walk {
    const struct bl_list_state *state;
    uint32_t source;
    int (*each)(void *context, const struct bl_prefix *prefix);
    void *context;
};

static int walk_source(const struct source_walk *walk, uint32_t number)
{
    const struct bl_list_node *node = bl_list_trie_at(&walk->state->trie, number);
    int result = 0;

    if (node->first_cell != 0 && bl_list_layer_find(&walk->state->layers, node, BL_EFFECT_LIST, walk->source) != 0) {
        struct bl_prefix prefix = bl_list_trie_prefix(node);

        result = walk->each(walk->context, &prefix);
    }
    for (int side = 0; side < 2 && result == 0; side++)
        if (node->children[side] != 0)
            result = walk_source(walk, node->children[side]);
    return result;
}

int bl_list_state_each_of_source(const struct bl_list_state *state, const char *source,
                                 int (*each)(void *context, const struct bl_prefix *prefix), void *context)
{
    const struct source_walk walk = {state, bl_list_text_find(&state->layers.labels.sources, source), each, context};
    int result;

    if (walk.source == 0)
        return 0;
    result = walk_source(&walk, state->trie.root_ipv4);
    return result != 0 ? result : walk_source(&walk, state->trie.root_ipv6);
}
