/* Exclusions carved out; see list_carve.h.
 *
 * A sorted array is a tree in the order of its walk: what lies in a prefix is a run of it. So the walk halves a prefix
 * only where an exclusion lies in its run, and finds each run's end by bisection. */
#include "controlplane/cli/list_carve.h"

#include <stdlib.h>
#include <string.h>

struct carving {
    const struct bl_list_file_entry *entries;
    uint32_t *n_excluded_before; /* of entry i */
    bool by_octets;
    struct bl_list_file_entry *out;
    size_t n;
    size_t capacity;
};

/* What holds for a prefix, and from which entry. */
struct rule {
    const struct bl_list_file_entry *entry; /* NULL: nothing does */
    int level;
};

void bl_list_carve_last(const struct bl_prefix *prefix, uint8_t bytes[16])
{
    memcpy(bytes, prefix->bytes, 16);
    for (unsigned bit = prefix->length; bit < bl_address_bits(prefix->family); bit++)
        bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
}

struct bl_prefix bl_list_carve_half(const struct bl_prefix *prefix, int side)
{
    struct bl_prefix half = *prefix;

    if (side == 1)
        half.bytes[prefix->length / 8] |= (uint8_t)(0x80 >> prefix->length % 8);
    half.length++;
    return half;
}

/* The first entry of [low, high) that is not before @prefix; all before it in the run lie in its lower sibling. */
static size_t find(const struct carving *carving, const struct bl_prefix *prefix, size_t low, size_t high)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (bl_address_prefix_compare(&carving->entries[middle].prefix, prefix) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int emit(struct carving *carving, const struct bl_prefix *prefix, const struct bl_list_file_entry *of)
{
    if (carving->n == BL_LIST_FILE_ENTRIES_MAX)
        return BL_ETOOBIG;
    if (carving->n == carving->capacity) {
        size_t capacity = carving->capacity * 2 + 1024;
        struct bl_list_file_entry *out = realloc(carving->out, capacity * sizeof(*out));

        if (out == NULL)
            return BL_ENOMEM;
        carving->out = out;
        carving->capacity = capacity;
    }
    carving->out[carving->n] = *of;
    carving->out[carving->n++].prefix = *prefix;
    return BL_OK;
}

static struct rule apply(const struct carving *carving, struct rule rule, const struct bl_list_file_entry *entry)
{
    int level = carving->by_octets ? (entry->prefix.length + 7) / 8 : entry->prefix.length;

    if (rule.entry == NULL || level > rule.level || (level == rule.level && entry->excluded))
        return (struct rule){entry, level};
    return rule;
}

/* No exclusion in the run: listings stay as they are, one within another too. */
static int emit_run(struct carving *carving, struct rule rule, size_t low, size_t high)
{
    int error = BL_OK;

    for (size_t i = low; i < high && error == BL_OK; i++)
        if (!apply(carving, rule, &carving->entries[i]).entry->excluded)
            error = emit(carving, &carving->entries[i].prefix, &carving->entries[i]);
    return error;
}

/* By recursion, as deep as a prefix has bits. [low, high) is what lies in @prefix. */
static int carve(struct carving *carving, const struct bl_prefix *prefix, struct rule rule, size_t low, size_t high)
{
    int error = BL_OK;

    for (; low < high && carving->entries[low].prefix.length == prefix->length; low++)
        rule = apply(carving, rule, &carving->entries[low]);
    if (carving->n_excluded_before[high] == carving->n_excluded_before[low]) {
        if (rule.entry != NULL && !rule.entry->excluded)
            error = emit(carving, prefix, rule.entry);
        return error == BL_OK ? emit_run(carving, rule, low, high) : error;
    }
    /* There is an exclusion that is longer than the prefix: so it has halves. */
    struct bl_prefix lower = bl_list_carve_half(prefix, 0);
    struct bl_prefix upper = bl_list_carve_half(prefix, 1);
    size_t middle = find(carving, &upper, low, high);

    error = carve(carving, &lower, rule, low, middle);
    return error == BL_OK ? carve(carving, &upper, rule, middle, high) : error;
}

int bl_list_carve(const struct bl_list_file_entry *entries, size_t n, bool by_octets, struct bl_list_file_entry **out,
                  size_t *n_out)
{
    static const struct bl_prefix ipv4 = {.family = BL_FAMILY_IPV4};
    static const struct bl_prefix ipv6 = {.family = BL_FAMILY_IPV6};
    static const struct rule nothing = {NULL, 0};
    struct carving carving = {.entries = entries, .by_octets = by_octets};
    size_t n_ipv4;
    int error;

    carving.n_excluded_before = calloc(n + 1, sizeof(*carving.n_excluded_before));
    if (carving.n_excluded_before == NULL)
        return BL_ENOMEM;
    for (size_t i = 0; i < n; i++)
        carving.n_excluded_before[i + 1] = carving.n_excluded_before[i] + entries[i].excluded;
    n_ipv4 = find(&carving, &ipv6, 0, n);
    error = carve(&carving, &ipv4, nothing, 0, n_ipv4);
    if (error == BL_OK)
        error = carve(&carving, &ipv6, nothing, n_ipv4, n);
    free(carving.n_excluded_before);
    if (error != BL_OK) {
        free(carving.out);
        return error;
    }
    *out = carving.out;
    *n_out = carving.n;
    return BL_OK;
}
