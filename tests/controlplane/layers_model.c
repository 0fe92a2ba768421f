/* The list state against a naive model: random effects on nested prefixes of both families, by several sources, with
 * delists, exemptions, expiries, marks, rollbacks and commits.
 *
 *   layers_model [--operations N] [--seed N]
 *
 * After each commit a second state that was given only what was committed, group by group, must have the same classes and
 * digest. Regularly everything is compared: the changes that were handed out, taken by a naive data plane, must give at
 * every boundary of every prefix what the rules give; and be the entries that the state has; and be canonical; layers,
 * counts and coverage must agree, and a start from a snapshot and what was committed since. Ends with status 1 at the first difference. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/layers_oracle.h"

#if defined(__SANITIZE_ADDRESS__)
enum { OPERATIONS = 30000 };
#else
enum { OPERATIONS = 250000 };
#endif

enum { LAYERS_AIM = 160, FULL_EVERY = 40, EPOCH = 77, DUE_MAX = 6, GROUP_MAX = 4, COMMITTED_MAX = 64, SLICE_MAX = 7 };

/* One effect as it was applied, with memory of its own. */
struct effect {
    struct bl_effect_group group;
    struct bl_prefix prefixes[GROUP_MAX];
};

struct model {
    struct bl_list_state *state;
    struct bl_list_state *replay; /* gets what was committed */
    struct bl_list_state *loaded; /* being restored: a snapshot, then what was committed since */
    struct oracle oracle;
    struct oracle_plane plane;
    struct effect committed[COMMITTED_MAX]; /* of the transaction */
    size_t n_committed;
    uint64_t serial;
    int64_t now_ms;
    uint64_t random;
    uint64_t n_operations;
    uint64_t n_full;
    uint64_t n_rollbacks;
    uint64_t n_expired;
    uint64_t n_compared;
};

#define CHECK(condition, ...) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "layers_model: operation %" PRIu64 ": %s: ", model->n_operations, #condition); \
            fprintf(stderr, __VA_ARGS__); \
            fputc('\n', stderr); \
            exit(1); \
        } \
    } while (0)

static const char *text(const struct bl_prefix *prefix)
{
    static char buffers[4][BL_ADDRESS_TEXT_MAX];
    static unsigned next;

    return bl_address_format_prefix(prefix, buffers[next++ % 4]);
}

/* splitmix64 */
static uint64_t draw(struct model *model, uint64_t n)
{
    uint64_t z = model->random += 0x9e3779b97f4a7c15ULL;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return (z ^ (z >> 31)) % n;
}

/* A few bits that vary at chosen places, so that prefixes nest, neighbour and repeat. */
static struct bl_prefix draw_prefix(struct model *model)
{
    static const uint8_t ipv4_lengths[] = {0, 7, 8, 15, 16, 22, 23, 24, 25, 28, 30, 31, 32, 32, 32};
    static const uint8_t ipv6_lengths[] = {0, 19, 32, 47, 48, 63, 64, 64, 65, 96, 127, 128};
    struct bl_prefix prefix = {.family = BL_FAMILY_IPV4};

    if (draw(model, 3) != 0) {
        prefix.bytes[0] = (uint8_t)(10 + draw(model, 2));
        prefix.bytes[1] = (uint8_t)draw(model, 2);
        prefix.bytes[2] = (uint8_t)draw(model, 3);
        prefix.bytes[3] = (uint8_t)(draw(model, 2) * 128 + draw(model, 6));
        prefix.length = ipv4_lengths[draw(model, sizeof(ipv4_lengths))];
    } else {
        prefix.family = BL_FAMILY_IPV6;
        prefix.bytes[0] = 0x20;
        prefix.bytes[2] = (uint8_t)(draw(model, 2) * 0x20);
        prefix.bytes[5] = (uint8_t)draw(model, 2);
        prefix.bytes[7] = (uint8_t)draw(model, 3);
        prefix.bytes[8] = (uint8_t)(draw(model, 2) * 0x80);
        prefix.bytes[15] = (uint8_t)draw(model, 3);
        prefix.length = ipv6_lengths[draw(model, sizeof(ipv6_lengths))];
    }
    for (unsigned i = prefix.length; i < 128; i++)
        prefix.bytes[i / 8] &= (uint8_t) ~(0x80U >> (i % 8));
    return prefix;
}

/* By turns few classes, and any: so that all 62 come into use, and run out. */
static struct oracle_meaning draw_meaning(struct model *model)
{
    if (model->n_operations / 2000 % 2 == 0 && draw(model, 4) != 0)
        return (struct oracle_meaning){(uint16_t)(606 + draw(model, 3)), BL_ACTION_REJECT, true, 0};
    return (struct oracle_meaning){(uint16_t)(606 + draw(model, 44)), (uint8_t)(1 + draw(model, 4)),
                                   draw(model, 2) != 0, (int)draw(model, ORACLE_URLS)};
}

static void draw_effect(struct model *model, struct effect *effect, struct oracle_layer *layer)
{
    static const enum bl_effect_kind kinds[] = {
        BL_EFFECT_LIST,   BL_EFFECT_LIST,   BL_EFFECT_LIST,   BL_EFFECT_LIST,   BL_EFFECT_LIST,     BL_EFFECT_UNLIST,
        BL_EFFECT_UNLIST, BL_EFFECT_DELIST, BL_EFFECT_DELIST, BL_EFFECT_EXEMPT, BL_EFFECT_UNDELIST, BL_EFFECT_UNEXEMPT};
    enum bl_effect_kind kind = kinds[draw(model, sizeof(kinds) / sizeof(kinds[0]))];
    const struct oracle_layer *victim = NULL;

    if (model->oracle.n > LAYERS_AIM && draw(model, 8) != 0) {
        victim = &model->oracle.layers[draw(model, model->oracle.n)];
        kind = (enum bl_effect_kind)(victim->kind + 1); /* what removes it */
    }
    *layer = (struct oracle_layer){
        .kind = kind,
        .source = victim != NULL ? victim->source : (int)draw(model, ORACLE_SOURCES),
        .meaning = draw_meaning(model),
        .observed_at_ms = (int64_t)draw(model, 20),
        .suppress_until_ms = (int64_t)draw(model, 20),
        .expires_at_ms = draw(model, 4) == 0 ? model->now_ms + 1 + (int64_t)draw(model, 50) : 0,
    };
    *effect = (struct effect){.group = {
                                  .kind = kind,
                                  .attributes = {.source = oracle_sources[layer->source],
                                                 .reason = draw(model, 2) == 0 ? "spam" : "",
                                                 .url = oracle_urls[layer->meaning.url],
                                                 .observed_at_ms = layer->observed_at_ms,
                                                 .expires_at_ms = layer->expires_at_ms,
                                                 .suppress_until_ms = layer->suppress_until_ms,
                                                 .code = layer->meaning.code,
                                                 .action = layer->meaning.action,
                                                 .self_service = layer->meaning.self_service},
                                  .n_prefixes = 1 + draw(model, GROUP_MAX),
                              }};
    for (size_t i = 0; i < effect->group.n_prefixes; i++) {
        /* What is there is met more often than chance would have it. */
        if (model->oracle.n != 0 && draw(model, 2) == 0)
            effect->prefixes[i] = model->oracle.layers[draw(model, model->oracle.n)].prefix;
        else
            effect->prefixes[i] = draw_prefix(model);
    }
    if (victim != NULL)
        effect->prefixes[0] = victim->prefix;
}

static void apply_to_oracle(struct model *model, const struct effect *effect, const struct oracle_layer *layer)
{
    for (size_t i = 0; i < effect->group.n_prefixes; i++) {
        struct oracle_layer one = *layer;

        one.prefix = effect->prefixes[i];
        switch (layer->kind) {
        case BL_EFFECT_UNLIST:
            oracle_remove(&model->oracle, BL_EFFECT_LIST, &one.prefix, one.source);
            break;
        case BL_EFFECT_UNDELIST:
            oracle_remove(&model->oracle, BL_EFFECT_DELIST, &one.prefix, 0);
            break;
        case BL_EFFECT_UNEXEMPT:
            oracle_remove(&model->oracle, BL_EFFECT_EXEMPT, &one.prefix, 0);
            break;
        default:
            oracle_set(&model->oracle, &one);
        }
    }
}

static void apply(struct model *model, struct effect *effect, const struct oracle_layer *layer)
{
    struct bl_error_detail detail = {""};
    bool is_full = layer->kind == BL_EFFECT_LIST && oracle_is_full(&model->oracle, &layer->meaning);
    int error;

    effect->group.prefixes = effect->prefixes;
    error = bl_list_state_apply(model->state, &effect->group, model->serial + 1, "model", &detail);
    CHECK(error == (is_full ? BL_EFULL : BL_OK), "%d: %s", error, detail.text);
    model->n_full += is_full;
    model->n_operations++;
    if (is_full)
        return;
    apply_to_oracle(model, effect, layer);
    model->committed[model->n_committed++] = *effect;
}

/* Everything that is due, against the model's own search; then it is applied like any effect. */
static void expire(struct model *model)
{
    const struct bl_effect_group *groups = NULL;
    struct effect effects[DUE_MAX];
    size_t n_due = 0;
    size_t n;

    model->now_ms += (int64_t)draw(model, 12);
    for (size_t i = 0; i < model->oracle.n; i++)
        n_due += model->oracle.layers[i].expires_at_ms != 0 && model->oracle.layers[i].expires_at_ms <= model->now_ms;
    n = bl_list_state_due(model->state, model->now_ms, DUE_MAX, &groups);
    CHECK(n == (n_due < DUE_MAX ? n_due : DUE_MAX), "%zu of %zu", n, n_due);
    for (size_t i = 0; i < n; i++) {
        CHECK(groups[i].n_prefixes == 1, "%zu", groups[i].n_prefixes);
        effects[i].group = groups[i];
        effects[i].prefixes[0] = groups[i].prefixes[0];
    }
    for (size_t i = 0; i < n; i++) {
        struct oracle_layer layer = {.kind = effects[i].group.kind};
        size_t before = model->oracle.n;

        /* The names of the state's own may go with their listing. */
        for (int j = 0; j < ORACLE_SOURCES; j++)
            if (strcmp(effects[i].group.attributes.source, oracle_sources[j]) == 0)
                layer.source = j;
        effects[i].group.attributes = (struct bl_effect_attributes){.source = oracle_sources[layer.source]};
        apply(model, &effects[i], &layer);
        CHECK(model->oracle.n == before - 1, "%s was not there", text(&effects[i].prefixes[0]));
        model->n_expired++;
    }
    for (size_t i = 0; n < DUE_MAX && i < model->oracle.n; i++)
        CHECK(model->oracle.layers[i].expires_at_ms == 0 || model->oracle.layers[i].expires_at_ms > model->now_ms,
              "%s is still there", text(&model->oracle.layers[i].prefix));
}

static void compare_meaning(const struct model *model, const struct bl_class *class,
                            const struct oracle_meaning *meaning, const struct bl_prefix *at)
{
    CHECK(class->code == meaning->code && class->action == meaning->action &&
              class->self_service == meaning->self_service &&
              (meaning->code == 0 || strcmp(class->url, oracle_urls[meaning->url]) == 0),
          "%s: code %u, expected %u", text(at), class->code, meaning->code);
}

/* One address or prefix: the rules, the state's lookup, and for an address the data plane's table. */
static void compare_at(struct model *model, const struct bl_prefix *at)
{
    static const struct bl_class none;
    struct bl_list_layer layers[BL_LIST_LAYERS_MAX];
    bool kept_out;
    struct oracle_meaning meaning = oracle_value(&model->oracle, at, &kept_out);
    uint8_t class_id;
    uint8_t expected = meaning.code != 0 ? 0 : kept_out ? BL_CLASS_EXEMPT : BL_CLASS_NONE;
    size_t n = bl_list_state_lookup(model->state, at, layers, BL_LIST_LAYERS_MAX, &class_id);
    size_t n_expected = 0;

    model->n_compared++;
    for (size_t i = 0; i < model->oracle.n; i++)
        n_expected += oracle_covers(&model->oracle.layers[i].prefix, at);
    CHECK(n == n_expected, "%s: %zu layers, expected %zu", text(at), n, n_expected);
    if (meaning.code == 0)
        CHECK(class_id == expected, "%s: class %u, expected %u", text(at), class_id, expected);
    else
        compare_meaning(model, &bl_list_state_classes(model->state)[class_id], &meaning, at);
    for (size_t i = 0; i < n; i++) {
        struct oracle_layer layer = {.observed_at_ms = layers[i].attributes.observed_at_ms};
        bool is_feed = layers[i].kind == BL_EFFECT_LIST && strcmp(layers[i].attributes.source, "operator") != 0;

        CHECK(oracle_covers(&layers[i].prefix, at), "%s: layer of %s", text(at), text(&layers[i].prefix));
        CHECK(layers[i].suppressed == (is_feed && oracle_is_suppressed(&model->oracle, &layer, at)), "%s", text(at));
        if (layers[i].effective && layers[i].kind == BL_EFFECT_LIST)
            CHECK(layers[i].attributes.code == meaning.code, "%s", text(at));
    }
    if (at->length == bl_address_bits(at->family)) {
        class_id = oracle_plane_lookup(&model->plane, at);
        CHECK(class_id != 0 || meaning.code == 0, "%s: not in the table", text(at));
        compare_meaning(model, class_id == BL_CLASS_EXEMPT ? &none : &model->plane.classes[class_id], &meaning, at);
    }
}

/* Adds @by to the address. */
static void step(struct bl_prefix *address, int by)
{
    for (int i = address->family == BL_FAMILY_IPV4 ? 3 : 15; i >= 0; i--) {
        uint8_t before = address->bytes[i];

        address->bytes[i] = (uint8_t)(before + by);
        if (!(by > 0 && address->bytes[i] == 0) && !(by < 0 && before == 0))
            return;
    }
}

/* The first and last address of a prefix, and their neighbours outside. */
static void compare_bounds(struct model *model, const struct bl_prefix *prefix)
{
    struct bl_prefix first = *prefix;
    struct bl_prefix last = *prefix;

    compare_at(model, prefix);
    first.length = last.length = bl_address_bits(prefix->family);
    for (unsigned i = prefix->length; i < last.length; i++)
        last.bytes[i / 8] |= (uint8_t)(0x80U >> (i % 8));
    compare_at(model, &first);
    compare_at(model, &last);
    step(&first, -1);
    step(&last, 1);
    compare_at(model, &first);
    compare_at(model, &last);
}

/* The entries of a state, gathered. */
struct entries {
    struct model *model;
    struct oracle_plane plane;
    struct bl_digest digest;
    struct bl_prefix previous;
};

static void take_entry(struct entries *entries, const struct bl_prefix *prefix, uint8_t class_id)
{
    struct model *model = entries->model;
    uint8_t above = oracle_plane_lookup(&entries->plane, prefix);

    /* In prefix order, wider ones have come before: this is the canonical rule itself. */
    CHECK(entries->plane.n == 0 || bl_address_prefix_compare(&entries->previous, prefix) < 0, "%s", text(prefix));
    CHECK(oracle_names(&model->oracle, prefix), "%s is in no layer", text(prefix));
    CHECK(class_id != above && !(class_id == BL_CLASS_EXEMPT && above == BL_CLASS_NONE), "%s says nothing new",
          text(prefix));
    entries->previous = *prefix;
    entries->plane.entries[entries->plane.n++] = (struct bl_list_change){*prefix, class_id};
    bl_digest_add(&entries->digest, EPOCH, prefix, class_id);
}

/* In slices: each entry is where one of them ends, sooner or later. */
static void take_entries(struct entries *entries)
{
    struct bl_list_cursor cursor = {.ended = false};
    struct bl_list_change slice[SLICE_MAX];

    while (!cursor.ended) {
        size_t n = bl_list_state_read_entries(entries->model->state, &cursor, slice, 1 + entries->plane.n % SLICE_MAX);

        for (size_t i = 0; i < n; i++)
            take_entry(entries, &slice[i].prefix, slice[i].class_id);
    }
}

static void compare_entries(struct model *model)
{
    static struct entries entries;
    struct bl_digest digest = bl_list_state_digest(model->state);
    struct bl_list_counts counts;

    memset(&entries, 0, sizeof(entries));
    entries.model = model;
    take_entries(&entries);
    CHECK(bl_digest_equal(&entries.digest, &digest), "digest of %zu entries", entries.plane.n);
    CHECK(entries.plane.n == model->plane.n, "%zu entries, %zu in the data plane", entries.plane.n, model->plane.n);
    for (size_t i = 0; i < model->plane.n; i++) {
        const struct bl_list_change *entry = &model->plane.entries[i];
        size_t j = 0;

        while (j < entries.plane.n && bl_address_prefix_compare(&entries.plane.entries[j].prefix, &entry->prefix) != 0)
            j++;
        CHECK(j < entries.plane.n && entries.plane.entries[j].class_id == entry->class_id, "%s", text(&entry->prefix));
    }
    bl_list_state_count(model->state, &counts);
    CHECK(counts.n_effective_ipv4 + counts.n_effective_ipv6 == model->plane.n, "%zu", model->plane.n);
    CHECK(counts.n_listings + counts.n_delists + counts.n_exemptions == model->oracle.n, "%zu", model->oracle.n);
}

static void compare_coverage(struct model *model)
{
    for (int i = 0; i < ORACLE_SOURCES; i++) {
        struct bl_list_coverage expected = oracle_cover(&model->oracle, i);
        struct bl_list_coverage coverage;

        bl_list_state_cover(model->state, oracle_sources[i], &coverage);
        CHECK(coverage.n_ipv4 == expected.n_ipv4 && coverage.n_ipv6 == expected.n_ipv6 &&
                  coverage.n_listings == expected.n_listings,
              "%s", oracle_sources[i]);
    }
}

/* Two states that are to be the same. */
static void compare_states(struct model *model, const struct bl_list_state *other, const char *what)
{
    const struct bl_class *a = bl_list_state_classes(model->state);
    const struct bl_class *b = bl_list_state_classes(other);
    struct bl_digest digest_a = bl_list_state_digest(model->state);
    struct bl_digest digest_b = bl_list_state_digest(other);

    CHECK(bl_digest_equal(&digest_a, &digest_b), "digest of the %s", what);
    for (int i = 0; i < BL_CLASS_COUNT; i++)
        CHECK(bl_class_equal(&a[i], &b[i]), "class %d of the %s", i, what);
}

static int restore_layer(void *context, const struct bl_list_layer *layer)
{
    const struct bl_effect_group group = {layer->kind, layer->attributes, &layer->prefix, 1};

    return bl_list_state_apply(context, &group, 1, "snapshot", NULL);
}

static void begin_load(struct model *model)
{
    int error = bl_list_state_create(&model->loaded, EPOCH, oracle_sources + 1, ORACLE_CONFIGURED);

    CHECK(error == BL_OK, "%d", error);
    error = bl_list_state_restore_classes(model->loaded, bl_list_state_classes(model->state));
    CHECK(error == BL_OK, "%d", error);
    bl_list_state_begin_restore(model->loaded);
    error = bl_list_state_each_layer(model->state, restore_layer, model->loaded);
    CHECK(error == BL_OK, "%d", error);
}

/* A start from the snapshot that was taken at the last comparison and the tail since. Now and then it is gone on with. */
static void compare_load(struct model *model)
{
    struct bl_list_counts a;
    struct bl_list_counts b;

    bl_list_state_end_restore(model->loaded, bl_list_state_serial(model->state));
    compare_states(model, model->loaded, "load");
    bl_list_state_count(model->state, &a);
    bl_list_state_count(model->loaded, &b);
    CHECK(a.n_listings == b.n_listings && a.n_delists == b.n_delists && a.n_exemptions == b.n_exemptions &&
              a.n_effective_ipv4 == b.n_effective_ipv4 && a.n_effective_ipv6 == b.n_effective_ipv6 &&
              a.n_classes == b.n_classes,
          "counts of the load");
    for (int64_t ahead_ms = 0; ahead_ms < 100000; ahead_ms = ahead_ms * 2 + 1) {
        size_t n = bl_list_state_count_due(model->state, model->now_ms + ahead_ms, SIZE_MAX);

        CHECK(bl_list_state_count_due(model->loaded, model->now_ms + ahead_ms, SIZE_MAX) == n, "due: %zu", n);
    }
    if (draw(model, 2) == 0) {
        bl_list_state_free(model->state);
        model->state = model->loaded;
    } else {
        bl_list_state_free(model->loaded);
    }
    begin_load(model);
}

static void compare_all(struct model *model)
{
    compare_entries(model);
    compare_coverage(model);
    compare_load(model);
    for (size_t i = 0; i < model->oracle.n; i++)
        compare_bounds(model, &model->oracle.layers[i].prefix);
    for (int i = 0; i < 50; i++) {
        struct bl_prefix prefix = draw_prefix(model);

        compare_bounds(model, &prefix);
    }
}

static void commit(struct model *model)
{
    struct bl_list_changes changes;

    model->serial++;
    bl_list_state_commit(model->state, model->serial, &changes);
    oracle_plane_take(&model->plane, &changes, bl_list_state_classes(model->state));
    for (size_t i = 0; i < model->n_committed; i++) {
        struct effect *effect = &model->committed[i];
        int error;

        effect->group.prefixes = effect->prefixes;
        error = bl_list_state_apply(model->replay, &effect->group, model->serial, "model", NULL);
        CHECK(error == BL_OK, "replay: %d", error);
        error = bl_list_state_apply(model->loaded, &effect->group, model->serial, "model", NULL);
        CHECK(error == BL_OK, "load: %d", error);
        /* Where the commits fall must not matter. */
        if (draw(model, 3) == 0)
            bl_list_state_commit(model->replay, model->serial, &changes);
    }
    bl_list_state_commit(model->replay, model->serial, &changes);
    model->n_committed = 0;
    compare_states(model, model->replay, "replay");
}

/* Rolls back to @mark, where the model was as @before. */
static void roll_back(struct model *model, size_t mark, const struct oracle *before, size_t n_committed)
{
    bl_list_state_rollback(model->state, mark);
    model->oracle = *before;
    model->n_committed = n_committed;
    model->n_rollbacks++;
}

/* Some effects, perhaps a part of them taken back, and a commit; or all taken back, which must leave nothing. */
static void run_transaction(struct model *model)
{
    static struct oracle before;
    static struct oracle middle;
    size_t mark = bl_list_state_mark(model->state);
    size_t n_effects = 1 + draw(model, 8);
    size_t middle_at = draw(model, n_effects);
    size_t middle_mark = 0;
    size_t middle_committed = 0;

    before = model->oracle;
    for (size_t i = 0; i < n_effects; i++) {
        struct effect effect;
        struct oracle_layer layer;

        if (i == middle_at) {
            middle_mark = bl_list_state_mark(model->state);
            middle = model->oracle;
            middle_committed = model->n_committed;
        }
        draw_effect(model, &effect, &layer);
        apply(model, &effect, &layer);
    }
    if (draw(model, 4) == 0)
        roll_back(model, middle_mark, &middle, middle_committed);
    if (draw(model, 6) == 0) {
        struct bl_list_changes changes;

        roll_back(model, mark, &before, 0);
        compare_states(model, model->replay, "state before");
        bl_list_state_commit(model->state, model->serial, &changes);
        CHECK(changes.n_changes == 0 && changes.classes_changed == 0, "%zu changes after a rollback",
              changes.n_changes);
    } else {
        commit(model);
    }
}

static uint64_t read_number(const char *argument)
{
    char *end;
    uint64_t number = strtoull(argument, &end, 10);

    if (*end != '\0' || end == argument) {
        fprintf(stderr, "layers_model: %s: expected a number\n", argument);
        exit(2);
    }
    return number;
}

int main(int argc, char **argv)
{
    static struct model model;
    uint64_t n_operations = OPERATIONS;

    model.random = 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--operations") == 0)
            n_operations = read_number(argv[i + 1]);
        else if (strcmp(argv[i], "--seed") == 0)
            model.random = read_number(argv[i + 1]);
    }
    if (bl_list_state_create(&model.state, EPOCH, oracle_sources + 1, ORACLE_CONFIGURED) != BL_OK ||
        bl_list_state_create(&model.replay, EPOCH, oracle_sources + 1, ORACLE_CONFIGURED) != BL_OK)
        return 1;
    begin_load(&model);
    for (uint64_t i = 1; model.n_operations < n_operations; i++) {
        run_transaction(&model);
        if (draw(&model, 3) == 0) {
            expire(&model);
            commit(&model);
        }
        if (i % FULL_EVERY == 0)
            compare_all(&model);
    }
    compare_all(&model);
    printf("layers_model: %" PRIu64 " operations, %" PRIu64 " commits, %" PRIu64 " rollbacks, %" PRIu64
           " expired, %" PRIu64 " times out of classes, %" PRIu64 " places compared\n",
           model.n_operations, model.serial, model.n_rollbacks, model.n_expired, model.n_full, model.n_compared);
    bl_list_state_free(model.state);
    bl_list_state_free(model.replay);
    bl_list_state_free(model.loaded);
    return 0;
}
