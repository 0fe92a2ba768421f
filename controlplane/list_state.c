/* The changing half of the list state; see list_state.h. The reading half is list_read.c.
 *
 * A change of a chain is made of two acts: a cell is linked, a cell is killed (a renewal is both). Each act is pushed for
 * undo, and has all the memory that it and its undo may need before it begins. Cells are never altered once they are
 * linked, so reviving what was killed and unlinking what was linked, in reverse order, restores everything: the effective
 * set is canonical, and classes keep their own undo. Nodes are pruned only when no chain hangs on them, dead cells
 * included, so an undo never has to make one. */
#include "controlplane/list_state.h"

#include <stdlib.h>
#include <string.h>

#include "controlplane/list_parts.h"

int bl_list_state_create(struct bl_list_state **out, uint64_t epoch, const char *const *source_order, size_t n_sources)
{
    struct bl_list_state *state = calloc(1, sizeof(*state));
    int error;

    if (state == NULL)
        return BL_ENOMEM;
    state->epoch = epoch;
    state->effective.epoch = epoch;
    error = bl_list_trie_init(&state->trie);
    if (error != BL_OK)
        goto out_free;
    error = bl_list_layers_init(&state->layers, source_order, n_sources);
    if (error != BL_OK)
        goto out_fini_trie;
    state->layers.classes = state->classes.table;
    *out = state;
    return BL_OK;
out_fini_trie:
    bl_list_trie_fini(&state->trie);
out_free:
    free(state);
    return error;
}

void bl_list_state_free(struct bl_list_state *state)
{
    if (state == NULL)
        return;
    bl_list_undo_fini(&state->undo);
    bl_list_due_fini(&state->due);
    bl_list_effective_fini(&state->effective);
    bl_list_class_fini(&state->classes);
    bl_list_layers_fini(&state->layers);
    bl_list_trie_fini(&state->trie);
    free(state->due_groups);
    free(state->due_prefixes);
    free(state->due_cells);
    free(state);
}

/* Counts a cell in that lives from now on. No memory is needed: list_due.c had a place for it, or has one reserved. */
static void count_in(struct bl_list_state *state, uint32_t number, int64_t expires_at_ms)
{
    const struct bl_list_cell *cell = bl_list_layer_at(&state->layers, number);
    const struct bl_list_label *label = bl_list_layer_label(&state->layers, cell);

    state->n_layers[label->kind]++;
    if (label->kind == BL_EFFECT_LIST) {
        state->classes.n_listings[label->class_id]++;
        bl_list_layer_cover(&state->layers, cell, bl_list_trie_at(&state->trie, cell->node), 1);
    }
    if (expires_at_ms != 0)
        bl_list_due_add(&state->due, &state->layers, number, expires_at_ms);
}

/* The class may be left without listings: kill_cell frees it, a rollback does not, as the table has its own undo. */
static void count_out(struct bl_list_state *state, uint32_t number)
{
    const struct bl_list_cell *cell = bl_list_layer_at(&state->layers, number);
    const struct bl_list_label *label = bl_list_layer_label(&state->layers, cell);

    state->n_layers[label->kind]--;
    if (label->kind == BL_EFFECT_LIST) {
        state->classes.n_listings[label->class_id]--;
        bl_list_layer_cover(&state->layers, cell, bl_list_trie_at(&state->trie, cell->node), -1);
    }
    if (cell->due != BL_LIST_LAYER_NOT_DUE)
        bl_list_due_remove(&state->due, &state->layers, number);
}

/* The number of changes goes with each act: a rollback forgets what was written down since. */
static void push(struct bl_list_state *state, enum bl_list_undo_act act, uint32_t cell, int64_t expires_at_ms)
{
    const struct bl_list_undo_entry entry = {state->effective.n_changes, expires_at_ms, cell, (uint32_t)act};

    if (state->restoring)
        return;
    bl_list_undo_push(&state->undo, &entry);
}

/* A layer to be set: what its cell will be, and when it ends. */
struct model {
    struct bl_list_cell cell;
    int64_t expires_at_ms;
};

static void link_cell(struct bl_list_state *state, uint32_t node, struct model *model)
{
    uint32_t number;

    model->cell.node = node;
    number = bl_list_layer_link(&state->layers, bl_list_trie_at(&state->trie, node), &model->cell);
    push(state, BL_LIST_UNDO_LINK, number, 0);
    count_in(state, number, model->expires_at_ms);
}

static void kill_cell(struct bl_list_state *state, uint32_t number)
{
    struct bl_list_cell *cell = bl_list_layer_at(&state->layers, number);
    const struct bl_list_label *label = bl_list_layer_label(&state->layers, cell);

    push(state, BL_LIST_UNDO_KILL, number, bl_list_due_time(&state->due, cell));
    count_out(state, number);
    cell->due = BL_LIST_LAYER_DEAD;
    if (label->kind == BL_EFFECT_LIST && state->classes.n_listings[label->class_id] == 0) {
        push(state, BL_LIST_UNDO_CLASS, 0, 0);
        bl_list_class_clear(&state->classes, label->class_id);
    }
    if (state->restoring)
        bl_list_layer_unlink(&state->layers, bl_list_trie_at(&state->trie, cell->node), number);
}

/* What was taken out may have been on the path. */
static void prune(struct bl_list_state *state, uint32_t node)
{
    bl_list_trie_prune(&state->trie, node);
    state->path.n = 0;
}

/* All the memory that one prefix and its undo can take, the nodes excepted. */
static int reserve(struct bl_list_state *state)
{
    int error = bl_list_undo_reserve(&state->undo, 3);

    if (error == BL_OK)
        error = bl_list_class_reserve(&state->classes);
    if (error == BL_OK)
        error = bl_list_pool_reserve(&state->layers.cells, 1);
    if (error == BL_OK)
        error = bl_list_due_reserve(&state->due);
    return error;
}

/* True when a renewal can't change what is enforced: then the subtree need not be looked at. */
static bool is_same_to_rules(const struct bl_list_layers *layers, const struct bl_list_cell *a,
                             const struct bl_list_cell *b)
{
    const struct bl_list_label *label_a = bl_list_layer_label(layers, a);
    const struct bl_list_label *label_b = bl_list_layer_label(layers, b);

    if (label_a->kind == BL_EFFECT_LIST)
        return label_a->class_id == label_b->class_id && a->observed_at_ms == b->observed_at_ms;
    return label_a->kind == BL_EFFECT_EXEMPT ||
           bl_list_layer_suppress_until(a, label_a) == bl_list_layer_suppress_until(b, label_b);
}

static int evaluate(struct bl_list_state *state, const struct bl_list_path *path)
{
    if (state->restoring)
        return BL_OK;
    bl_list_effective_evaluate(&state->effective, &state->trie, &state->layers, path);
    return state->effective.lost ? BL_ENOMEM : BL_OK;
}

static int set_layer(struct bl_list_state *state, const struct bl_prefix *prefix, struct model *model)
{
    const struct bl_list_label *label = bl_list_layer_label(&state->layers, &model->cell);
    uint32_t node;
    uint32_t old;
    int error = reserve(state);

    if (error == BL_OK)
        error = bl_list_trie_insert(&state->trie, prefix, &state->path);
    if (error != BL_OK)
        return error;
    node = state->path.nodes[state->path.n - 1];
    old = bl_list_layer_find(&state->layers, bl_list_trie_at(&state->trie, node), (enum bl_effect_kind)label->kind,
                             label->source);
    /* First in, then out: a number that this listing alone had is not given a new meaning by its own renewal. */
    link_cell(state, node, model);
    if (old == 0)
        return evaluate(state, &state->path);
    kill_cell(state, old);
    if (state->restoring || is_same_to_rules(&state->layers, bl_list_layer_at(&state->layers, old), &model->cell))
        return BL_OK;
    return evaluate(state, &state->path);
}

/* What is absent stays absent: that a removal comes twice, or late, is no fault. */
static int remove_layer(struct bl_list_state *state, const struct bl_prefix *prefix, enum bl_effect_kind kind,
                        uint32_t source)
{
    struct bl_list_path path;
    uint32_t cell;
    int error;

    if (!bl_list_trie_find(&state->trie, prefix, &path))
        return BL_OK;
    cell = bl_list_layer_find(&state->layers, bl_list_trie_at(&state->trie, path.nodes[path.n - 1]), kind, source);
    if (cell == 0)
        return BL_OK;
    error = reserve(state);
    if (error != BL_OK)
        return error;
    kill_cell(state, cell);
    if (state->restoring)
        prune(state, path.nodes[path.n - 1]);
    return evaluate(state, &path);
}

/* The cell keeps the difference, in 32 bits. */
static bool is_grace(const struct bl_effect_attributes *attributes)
{
    int64_t grace_ms;

    return !__builtin_sub_overflow(attributes->suppress_until_ms, attributes->observed_at_ms, &grace_ms) &&
           grace_ms >= -BL_LIST_LAYER_GRACE_MS_MAX && grace_ms <= BL_LIST_LAYER_GRACE_MS_MAX;
}

/* The log is trusted, but not to be ours: a record of a broken program must not be folded in silence. */
static int check_group(const struct bl_effect_group *group, struct bl_error_detail *detail)
{
    const struct bl_effect_attributes *attributes = &group->attributes;
    char text[BL_ADDRESS_TEXT_MAX];
    bool is_list = group->kind == BL_EFFECT_LIST;

    if (group->kind < BL_EFFECT_LIST || group->kind > BL_EFFECT_UNEXEMPT)
        return bl_error_set(detail, BL_EINVAL, "effect of kind %d", (int)group->kind);
    if ((is_list || group->kind == BL_EFFECT_UNLIST) && (attributes->source == NULL || attributes->source[0] == '\0'))
        return bl_error_set(detail, BL_EINVAL, "effect of kind %d without a source", (int)group->kind);
    if (is_list && (attributes->code < BL_CLASS_CODE_MIN || attributes->code > BL_CLASS_CODE_MAX))
        return bl_error_set(detail, BL_EINVAL, "listing with code %u", attributes->code);
    if (is_list && (attributes->action < BL_ACTION_REJECT || attributes->action > BL_ACTION_MONITOR))
        return bl_error_set(detail, BL_EINVAL, "listing with action %u", attributes->action);
    if (is_list && attributes->url != NULL && strlen(attributes->url) > BL_CLASS_URL_MAX)
        return bl_error_set(detail, BL_EINVAL, "listing with a URL of %zu bytes", strlen(attributes->url));
    if (group->kind == BL_EFFECT_DELIST && !is_grace(attributes))
        return bl_error_set(detail, BL_EINVAL, "delist of %lld that suppresses until %lld",
                            (long long)attributes->observed_at_ms, (long long)attributes->suppress_until_ms);
    for (size_t i = 0; i < group->n_prefixes; i++)
        if (!bl_address_prefix_canonical(&group->prefixes[i]))
            return bl_error_set(detail, BL_EINVAL, "effect on %s: not a prefix without host bits",
                                bl_address_format_prefix(&group->prefixes[i], text));
    return BL_OK;
}

/* Finds or takes the number of the group's class. A number that was taken has no listing until the first is linked,
 * which comes next. */
static int choose_class(struct bl_list_state *state, const struct bl_effect_attributes *attributes, uint8_t *class_id,
                        struct bl_error_detail *detail)
{
    struct bl_class class = {
        .code = attributes->code,
        .action = attributes->action,
        .self_service = attributes->self_service,
    };
    int error;

    if (attributes->url != NULL)
        memcpy(class.url, attributes->url, strlen(attributes->url) + 1);
    *class_id = bl_list_class_find(&state->classes, &class);
    if (*class_id != 0)
        return BL_OK;
    error = bl_list_class_reserve(&state->classes);
    if (error == BL_OK)
        error = bl_list_undo_reserve(&state->undo, 1);
    if (error != BL_OK)
        return error;
    *class_id = bl_list_class_take(&state->classes, &class);
    if (*class_id == 0)
        return bl_error_set(detail, BL_EFULL, "all %d classes are in use: no number for code %u, action %s",
                            BL_CLASS_LAST, class.code, bl_class_action_text(class.action));
    push(state, BL_LIST_UNDO_CLASS, 0, 0);
    return BL_OK;
}

static int set_group(struct bl_list_state *state, const struct bl_effect_group *group, uint64_t serial,
                     const char *actor, struct bl_error_detail *detail)
{
    struct bl_effect_attributes attributes = group->attributes;
    struct model model = {.expires_at_ms = attributes.expires_at_ms};
    uint8_t class_id = 0;
    int error = BL_OK;

    /* A snapshot says who set it and when; a record is that itself. */
    if (attributes.actor == NULL || attributes.actor[0] == '\0')
        attributes.actor = actor;
    if (group->kind == BL_EFFECT_LIST)
        error = choose_class(state, &attributes, &class_id, detail);
    if (error == BL_OK)
        error = bl_list_layer_hold_label(&state->layers, group->kind, &attributes, class_id, &model.cell.label);
    if (error != BL_OK)
        return error;
    model.cell.due = BL_LIST_LAYER_NOT_DUE;
    model.cell.serial = attributes.serial != 0 ? attributes.serial : serial;
    /* An exemption has no evidence: what a client says of it must not make two states differ. */
    model.cell.observed_at_ms = group->kind == BL_EFFECT_EXEMPT ? 0 : attributes.observed_at_ms;
    for (size_t i = 0; i < group->n_prefixes && error == BL_OK; i++)
        error = set_layer(state, &group->prefixes[i], &model);
    /* Each cell holds it by now. */
    bl_list_label_release(&state->layers.labels, model.cell.label);
    return error;
}

static int remove_group(struct bl_list_state *state, const struct bl_effect_group *group)
{
    uint32_t source = 0;
    int error = BL_OK;

    if (group->kind == BL_EFFECT_UNLIST) {
        source = bl_list_text_find(&state->layers.labels.sources, group->attributes.source);
        /* A name that nothing holds has no listings. */
        if (source == 0)
            return BL_OK;
    }
    /* Each removing kind is one more than the kind that it removes. */
    for (size_t i = 0; i < group->n_prefixes && error == BL_OK; i++)
        error = remove_layer(state, &group->prefixes[i], (enum bl_effect_kind)(group->kind - 1), source);
    return error;
}

_Static_assert(BL_EFFECT_UNLIST == BL_EFFECT_LIST + 1 && BL_EFFECT_UNDELIST == BL_EFFECT_DELIST + 1 &&
                   BL_EFFECT_UNEXEMPT == BL_EFFECT_EXEMPT + 1,
               "remove_group counts on it");

int bl_list_state_apply(struct bl_list_state *state, const struct bl_effect_group *group, uint64_t serial,
                        const char *actor, struct bl_error_detail *detail)
{
    size_t mark = state->undo.n;
    int error = check_group(group, detail);

    if (error != BL_OK || group->n_prefixes == 0)
        return error;
    if (state->handed_out) {
        bl_list_effective_reset(&state->effective);
        state->handed_out = false;
    }
    if (group->kind == BL_EFFECT_LIST || group->kind == BL_EFFECT_DELIST || group->kind == BL_EFFECT_EXEMPT)
        error = set_group(state, group, serial, actor, detail);
    else
        error = remove_group(state, group);
    if (error == BL_ENOMEM)
        (void)bl_error_set(detail, error, "out of memory");
    if (error != BL_OK)
        bl_list_state_rollback(state, mark);
    return error;
}

size_t bl_list_state_mark(const struct bl_list_state *state)
{
    return state->undo.n;
}

static void evaluate_at(struct bl_list_state *state, const struct bl_list_node *node)
{
    struct bl_prefix prefix = bl_list_trie_prefix(node);
    struct bl_list_path path;

    (void)bl_list_trie_find(&state->trie, &prefix, &path);
    (void)evaluate(state, &path);
}

/* Nothing that is undone later refers to this node but by a cell in its chain, which would keep it. */
static void undo_link(struct bl_list_state *state, uint32_t number)
{
    uint32_t node_number = bl_list_layer_at(&state->layers, number)->node;
    struct bl_list_node *node = bl_list_trie_at(&state->trie, node_number);

    count_out(state, number);
    bl_list_layer_unlink(&state->layers, node, number);
    evaluate_at(state, node);
    prune(state, node_number);
}

static void undo_kill(struct bl_list_state *state, uint32_t number, int64_t expires_at_ms)
{
    struct bl_list_cell *cell = bl_list_layer_at(&state->layers, number);

    cell->due = BL_LIST_LAYER_NOT_DUE;
    count_in(state, number, expires_at_ms);
    evaluate_at(state, bl_list_trie_at(&state->trie, cell->node));
}

void bl_list_state_rollback(struct bl_list_state *state, size_t mark)
{
    size_t n_changes = state->effective.n_changes;

    state->effective.quiet = true;
    while (state->undo.n > mark) {
        const struct bl_list_undo_entry *entry = &state->undo.entries[--state->undo.n];

        n_changes = entry->n_changes;
        if (entry->act == BL_LIST_UNDO_LINK)
            undo_link(state, entry->cell);
        else if (entry->act == BL_LIST_UNDO_KILL)
            undo_kill(state, entry->cell, entry->expires_at_ms);
        else
            bl_list_class_undo(&state->classes);
    }
    state->effective.quiet = false;
    state->effective.lost = false;
    state->effective.n_changes = n_changes;
}

/* A killed cell needs no undo any more. */
static void bury(struct bl_list_state *state, uint32_t number)
{
    uint32_t node = bl_list_layer_at(&state->layers, number)->node;

    bl_list_layer_unlink(&state->layers, bl_list_trie_at(&state->trie, node), number);
    prune(state, node);
}

void bl_list_state_commit(struct bl_list_state *state, uint64_t serial, struct bl_list_changes *changes)
{
    if (state->handed_out)
        bl_list_effective_reset(&state->effective);
    for (size_t i = 0; i < state->undo.n; i++)
        if (state->undo.entries[i].act == BL_LIST_UNDO_KILL)
            bury(state, state->undo.entries[i].cell);
    bl_list_undo_reset(&state->undo);
    state->serial = serial;
    *changes = (struct bl_list_changes){
        .changes = state->effective.changes,
        .n_changes = state->effective.n_changes,
        .classes_changed = bl_list_class_commit(&state->classes),
    };
    state->handed_out = true;
}

void bl_list_state_begin_restore(struct bl_list_state *state)
{
    state->restoring = true;
    state->due.is_pile = true;
}

/* What an order of arrival would have given: the effective set is canonical, and the classes were numbered on the way. */
void bl_list_state_end_restore(struct bl_list_state *state, uint64_t serial)
{
    bl_list_due_order(&state->due, &state->layers);
    bl_list_effective_evaluate_all(&state->effective, &state->trie, &state->layers);
    (void)bl_list_class_commit(&state->classes);
    state->restoring = false;
    state->serial = serial;
}

int bl_list_state_restore_classes(struct bl_list_state *state, const struct bl_class classes[BL_CLASS_COUNT])
{
    if (state->undo.n != 0 || state->n_layers[BL_EFFECT_LIST] != 0)
        return BL_EINVAL;
    return bl_list_class_restore(&state->classes, classes);
}

/* Kept between calls: it is asked for each second, and is small. */
static int make_due_memory(struct bl_list_state *state, size_t max)
{
    if (max <= state->n_due_max)
        return BL_OK;
    free(state->due_groups);
    free(state->due_prefixes);
    free(state->due_cells);
    state->due_groups = calloc(max, sizeof(*state->due_groups));
    state->due_prefixes = calloc(max, sizeof(*state->due_prefixes));
    state->due_cells = calloc(max, sizeof(*state->due_cells));
    state->n_due_max = max;
    if (state->due_groups == NULL || state->due_prefixes == NULL || state->due_cells == NULL) {
        state->n_due_max = 0;
        return BL_ENOMEM;
    }
    return BL_OK;
}

size_t bl_list_state_due(struct bl_list_state *state, int64_t now_ms, size_t max, const struct bl_effect_group **groups)
{
    size_t n;

    if (max > state->due.n)
        max = state->due.n;
    if (max == 0 || state->due.times_ms[0] > now_ms || make_due_memory(state, max) != BL_OK)
        return 0;
    n = bl_list_due_find(&state->due, &state->layers, now_ms, state->due_cells, max);
    for (size_t i = 0; i < n; i++) {
        const struct bl_list_cell *cell = bl_list_layer_at(&state->layers, state->due_cells[i]);
        const struct bl_list_label *label = bl_list_layer_label(&state->layers, cell);

        state->due_prefixes[i] = bl_list_trie_prefix(bl_list_trie_at(&state->trie, cell->node));
        state->due_groups[i] = (struct bl_effect_group){
            .kind = (enum bl_effect_kind)(label->kind + 1),
            .attributes = {.source = bl_list_text_at(&state->layers.labels.sources, label->source),
                           .reason = "",
                           .url = "",
                           .actor = ""},
            .prefixes = &state->due_prefixes[i],
            .n_prefixes = 1,
        };
    }
    *groups = state->due_groups;
    return n;
}
