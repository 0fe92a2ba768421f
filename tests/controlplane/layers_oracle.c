/* A naive list; see layers_oracle.h. */
#include "controlplane/layers_oracle.h"

#include <stdlib.h>
#include <string.h>

const char *const oracle_sources[ORACLE_SOURCES] = {"operator", "zeta", "alpha", "gamma", "aaa", "beta"};
const char *const oracle_urls[ORACLE_URLS] = {"https://one.example/", "https://two.example/?ip={address}", ""};

static bool is_bit_set(const uint8_t *bytes, unsigned i)
{
    return (bytes[i / 8] & (0x80U >> (i % 8))) != 0;
}

bool oracle_covers(const struct bl_prefix *outer, const struct bl_prefix *inner)
{
    if (outer->family != inner->family || outer->length > inner->length)
        return false;
    for (unsigned i = 0; i < outer->length; i++)
        if (is_bit_set(outer->bytes, i) != is_bit_set(inner->bytes, i))
            return false;
    return true;
}

static bool is_same_prefix(const struct bl_prefix *a, const struct bl_prefix *b)
{
    return a->length == b->length && oracle_covers(a, b);
}

static struct oracle_layer *find(struct oracle *oracle, enum bl_effect_kind kind, const struct bl_prefix *prefix,
                                 int source)
{
    for (size_t i = 0; i < oracle->n; i++) {
        struct oracle_layer *layer = &oracle->layers[i];

        if (layer->kind == kind && is_same_prefix(&layer->prefix, prefix) &&
            (kind != BL_EFFECT_LIST || layer->source == source))
            return layer;
    }
    return NULL;
}

void oracle_set(struct oracle *oracle, const struct oracle_layer *layer)
{
    struct oracle_layer *known = find(oracle, layer->kind, &layer->prefix, layer->source);

    if (known == NULL) {
        if (oracle->n == ORACLE_LAYERS_MAX)
            abort();
        known = &oracle->layers[oracle->n++];
    }
    *known = *layer;
}

void oracle_remove(struct oracle *oracle, enum bl_effect_kind kind, const struct bl_prefix *prefix, int source)
{
    struct oracle_layer *known = find(oracle, kind, prefix, source);

    if (known != NULL)
        *known = oracle->layers[--oracle->n];
}

static bool is_same_meaning(const struct oracle_meaning *a, const struct oracle_meaning *b)
{
    return a->code == b->code && a->action == b->action && a->self_service == b->self_service && a->url == b->url;
}

bool oracle_is_full(const struct oracle *oracle, const struct oracle_meaning *meaning)
{
    struct oracle_meaning seen[BL_CLASS_LAST];
    size_t n = 0;

    for (size_t i = 0; i < oracle->n; i++) {
        const struct oracle_layer *layer = &oracle->layers[i];
        size_t j = 0;

        if (layer->kind != BL_EFFECT_LIST)
            continue;
        if (is_same_meaning(&layer->meaning, meaning))
            return false;
        while (j < n && !is_same_meaning(&seen[j], &layer->meaning))
            j++;
        if (j == n && n < BL_CLASS_LAST)
            seen[n++] = layer->meaning;
    }
    return n == BL_CLASS_LAST;
}

bool oracle_is_suppressed(const struct oracle *oracle, const struct oracle_layer *layer, const struct bl_prefix *prefix)
{
    for (size_t i = 0; i < oracle->n; i++) {
        const struct oracle_layer *delist = &oracle->layers[i];

        if (delist->kind == BL_EFFECT_DELIST && oracle_covers(&delist->prefix, prefix) &&
            layer->observed_at_ms <= delist->suppress_until_ms)
            return true;
    }
    return false;
}

/* Rule 3's order at equal length. */
static bool is_stronger_listing(const struct oracle_layer *layer_a, const struct oracle_layer *layer_b)
{
    int a = layer_a->source;
    int b = layer_b->source;
    bool a_configured = a <= ORACLE_CONFIGURED;
    bool b_configured = b <= ORACLE_CONFIGURED;

    if (a_configured && b_configured)
        return a < b;
    if (a_configured != b_configured)
        return a_configured;
    if (layer_a->meaning.code != layer_b->meaning.code)
        return layer_a->meaning.code < layer_b->meaning.code;
    return strcmp(oracle_sources[a], oracle_sources[b]) < 0;
}

static bool is_stronger(const struct oracle_layer *a, const struct oracle_layer *b)
{
    if (b == NULL)
        return true;
    if (a->prefix.length != b->prefix.length)
        return a->prefix.length > b->prefix.length;
    return is_stronger_listing(a, b);
}

struct oracle_meaning oracle_value(const struct oracle *oracle, const struct bl_prefix *prefix, bool *kept_out)
{
    const struct oracle_meaning none = {.code = 0};
    const struct oracle_layer *by_operator = NULL;
    const struct oracle_layer *by_feed = NULL;
    bool is_exempt = false;
    bool is_covered = false;

    for (size_t i = 0; i < oracle->n; i++) {
        const struct oracle_layer *layer = &oracle->layers[i];

        if (!oracle_covers(&layer->prefix, prefix))
            continue;
        is_exempt |= layer->kind == BL_EFFECT_EXEMPT;
        if (layer->kind != BL_EFFECT_LIST)
            continue;
        is_covered = true;
        if (layer->source == 0)
            by_operator = is_stronger(layer, by_operator) ? layer : by_operator;
        else if (!oracle_is_suppressed(oracle, layer, prefix))
            by_feed = is_stronger(layer, by_feed) ? layer : by_feed;
    }
    *kept_out = is_covered && (is_exempt || (by_operator == NULL && by_feed == NULL));
    if (is_exempt)
        return none;
    if (by_operator != NULL)
        return by_operator->meaning;
    return by_feed != NULL ? by_feed->meaning : none;
}

bool oracle_names(const struct oracle *oracle, const struct bl_prefix *prefix)
{
    for (size_t i = 0; i < oracle->n; i++)
        if (is_same_prefix(&oracle->layers[i].prefix, prefix))
            return true;
    return false;
}

struct bl_list_coverage oracle_cover(const struct oracle *oracle, int source)
{
    struct bl_list_coverage coverage = {0, 0, 0};

    for (size_t i = 0; i < oracle->n; i++) {
        const struct oracle_layer *layer = &oracle->layers[i];

        if (layer->kind != BL_EFFECT_LIST || layer->source != source)
            continue;
        coverage.n_listings++;
        if (layer->prefix.family == BL_FAMILY_IPV4)
            coverage.n_ipv4 += UINT64_C(1) << (32 - layer->prefix.length);
        else if (layer->prefix.length == 0)
            coverage.n_ipv6 += UINT64_MAX; /* sums are modulo 2^64 */
        else
            coverage.n_ipv6 += layer->prefix.length >= 64 ? 1 : UINT64_C(1) << (64 - layer->prefix.length);
    }
    return coverage;
}

void oracle_plane_take(struct oracle_plane *plane, const struct bl_list_changes *changes,
                       const struct bl_class *classes)
{
    for (int i = 0; i < BL_CLASS_COUNT; i++)
        if ((changes->classes_changed >> i & 1) != 0)
            plane->classes[i] = classes[i];
    for (size_t i = 0; i < changes->n_changes; i++) {
        const struct bl_list_change *change = &changes->changes[i];
        size_t at = 0;

        while (at < plane->n && !is_same_prefix(&plane->entries[at].prefix, &change->prefix))
            at++;
        if (change->class_id == 0) {
            if (at < plane->n)
                plane->entries[at] = plane->entries[--plane->n];
        } else {
            if (at == ORACLE_LAYERS_MAX * 2)
                abort();
            plane->n += at == plane->n;
            plane->entries[at] = *change;
        }
    }
}

uint8_t oracle_plane_lookup(const struct oracle_plane *plane, const struct bl_prefix *address)
{
    const struct bl_list_change *longest = NULL;

    for (size_t i = 0; i < plane->n; i++)
        if (oracle_covers(&plane->entries[i].prefix, address) &&
            (longest == NULL || plane->entries[i].prefix.length > longest->prefix.length))
            longest = &plane->entries[i];
    return longest == NULL ? 0 : longest->class_id;
}
