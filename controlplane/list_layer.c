/* Cells and their chains; see list_layer.h. */
#include "controlplane/list_layer.h"

#include <stdlib.h>
#include <string.h>

int bl_list_layers_init(struct bl_list_layers *layers, const char *const *order, size_t n_order)
{
    *layers = (struct bl_list_layers){.order = order, .n_order = n_order};
    bl_list_pool_init(&layers->cells, sizeof(struct bl_list_cell), BL_LIST_POOL_MAX);
    return bl_list_labels_init(&layers->labels, BL_LIST_POOL_MAX);
}

void bl_list_layers_fini(struct bl_list_layers *layers)
{
    bl_list_pool_fini(&layers->cells);
    bl_list_labels_fini(&layers->labels);
    free(layers->known);
}

/* At most as many as there may be in the settings, and only when a name is held: no index. */
static uint32_t find_order(const struct bl_list_layers *layers, const char *source)
{
    for (size_t i = 0; i < layers->n_order; i++)
        if (strcmp(layers->order[i], source) == 0)
            return (uint32_t)i;
    return UINT32_MAX;
}

/* Holds the source's name, and makes sure that there is a place for what is known of it. */
static int hold_source(struct bl_list_layers *layers, const char *name, uint32_t *source)
{
    int error = bl_list_text_hold(&layers->labels.sources, name, source);

    if (error != BL_OK)
        return error;
    if (*source >= layers->n_known) {
        uint32_t n_known = *source * 2 + 16;
        struct bl_list_source *known = realloc(layers->known, n_known * sizeof(*known));

        if (known == NULL) {
            bl_list_text_release(&layers->labels.sources, *source);
            return BL_ENOMEM;
        }
        memset(known + layers->n_known, 0, (n_known - layers->n_known) * sizeof(*known));
        layers->known = known;
        layers->n_known = n_known;
    }
    /* A number is used again only when nothing held it: then its source covered nothing. */
    layers->known[*source].order = find_order(layers, name);
    return BL_OK;
}

/* The texts of the model: on failure those that are held by then stand in it. */
static int hold_texts(struct bl_list_layers *layers, const struct bl_effect_attributes *attributes,
                      struct bl_list_label *model)
{
    struct bl_list_texts *texts = &layers->labels.texts;
    int error = bl_list_text_hold(texts, attributes->reason, &model->reason);

    if (error == BL_OK)
        error = bl_list_text_hold(texts, attributes->actor, &model->actor);
    if (error == BL_OK && model->kind == BL_EFFECT_DELIST)
        error = bl_list_text_hold(texts, attributes->self_delists, &model->self_delists);
    if (error == BL_OK && model->kind == BL_EFFECT_LIST)
        error = hold_source(layers, attributes->source, &model->source);
    return error;
}

int bl_list_layer_hold_label(struct bl_list_layers *layers, enum bl_effect_kind kind,
                             const struct bl_effect_attributes *attributes, uint8_t class_id, uint32_t *label)
{
    struct bl_list_label model = {.kind = (uint8_t)kind, .class_id = class_id};
    int error;

    if (kind == BL_EFFECT_LIST)
        model.is_operator = strcmp(attributes->source, BL_RECORD_OPERATOR) == 0;
    else if (kind == BL_EFFECT_DELIST)
        model.grace_ms = (int32_t)(attributes->suppress_until_ms - attributes->observed_at_ms);
    error = hold_texts(layers, attributes, &model);
    if (error == BL_OK)
        error = bl_list_label_hold(&layers->labels, &model, label);
    /* The label holds its own by now. */
    bl_list_label_release_texts(&layers->labels, &model);
    return error;
}

uint32_t bl_list_layer_find(const struct bl_list_layers *layers, const struct bl_list_node *node,
                            enum bl_effect_kind kind, uint32_t source)
{
    uint32_t number = node->first_cell;

    for (; number != 0; number = bl_list_layer_at(layers, number)->next) {
        const struct bl_list_cell *cell = bl_list_layer_at(layers, number);
        const struct bl_list_label *label = bl_list_layer_label(layers, cell);

        if (cell->due != BL_LIST_LAYER_DEAD && label->kind == kind &&
            (kind != BL_EFFECT_LIST || label->source == source))
            break;
    }
    return number;
}

/* Exemption, delist, operator, others. */
static int rank_of(const struct bl_list_label *label)
{
    if (label->kind == BL_EFFECT_EXEMPT)
        return 0;
    if (label->kind == BL_EFFECT_DELIST)
        return 1;
    return label->is_operator ? 2 : 3;
}

/* True when @a stands before @b: rule 3's order of sources, those not configured last. */
static bool is_stronger(const struct bl_list_layers *layers, const struct bl_list_label *a,
                        const struct bl_list_label *b)
{
    const struct bl_list_texts *sources = &layers->labels.sources;
    int rank_a = rank_of(a);
    int rank_b = rank_of(b);
    uint32_t order_a;
    uint32_t order_b;

    if (rank_a != rank_b || rank_a != 3)
        return rank_a < rank_b;
    order_a = layers->known[a->source].order;
    order_b = layers->known[b->source].order;
    if (order_a != order_b || order_a != UINT32_MAX)
        return order_a < order_b;
    if (layers->classes[a->class_id].code != layers->classes[b->class_id].code)
        return layers->classes[a->class_id].code < layers->classes[b->class_id].code;
    return strcmp(bl_list_text_at(sources, a->source), bl_list_text_at(sources, b->source)) < 0;
}

/* A renewal stands beside the cell that it replaces until that is killed, so equal ones may be neighbours for a
 * moment: either order is right, as only one of them will live. The dead are not compared: their number may have another
 * meaning by now. Undo takes out what was linked since before it revives one, so that it finds its old neighbours. */
uint32_t bl_list_layer_link(struct bl_list_layers *layers, struct bl_list_node *node, const struct bl_list_cell *model)
{
    uint32_t number = bl_list_pool_take(&layers->cells);
    struct bl_list_cell *cell = bl_list_layer_at(layers, number);
    const struct bl_list_label *label = bl_list_layer_label(layers, model);
    uint32_t *link = &node->first_cell;

    while (*link != 0) {
        const struct bl_list_cell *other = bl_list_layer_at(layers, *link);

        if (other->due != BL_LIST_LAYER_DEAD && !is_stronger(layers, bl_list_layer_label(layers, other), label))
            break;
        link = &bl_list_layer_at(layers, *link)->next;
    }
    *cell = *model;
    cell->next = *link;
    *link = number;
    bl_list_label_hold_again(&layers->labels, cell->label);
    return number;
}

void bl_list_layer_unlink(struct bl_list_layers *layers, struct bl_list_node *node, uint32_t number)
{
    struct bl_list_cell *cell = bl_list_layer_at(layers, number);
    uint32_t *link = &node->first_cell;

    while (*link != number)
        link = &bl_list_layer_at(layers, *link)->next;
    *link = cell->next;
    bl_list_label_release(&layers->labels, cell->label);
    bl_list_pool_give(&layers->cells, number);
}

uint64_t bl_list_layer_addresses(uint8_t family, uint8_t length)
{
    if (family == BL_FAMILY_IPV4)
        return UINT64_C(1) << (32 - length);
    if (length == 0)
        return UINT64_MAX; /* 2^64 does not fit; ::/0 is never listable */
    return length >= 64 ? 1 : UINT64_C(1) << (64 - length);
}

void bl_list_layer_cover(struct bl_list_layers *layers, const struct bl_list_cell *cell,
                         const struct bl_list_node *node, int sign)
{
    struct bl_list_source *source = &layers->known[bl_list_layer_label(layers, cell)->source];
    uint64_t *n_addresses = node->family == BL_FAMILY_IPV4 ? &source->n_ipv4 : &source->n_ipv6;
    uint64_t n = bl_list_layer_addresses(node->family, node->length);

    /* Modulo 2^64: what was added is taken off again, whatever the sum was. */
    *n_addresses += sign > 0 ? n : 0 - n;
    source->n_listings += sign > 0 ? 1 : UINT64_MAX;
}
