/* See table_plain.h. */
#include "table_plain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct range {
    struct bl_ip6 first;
    struct bl_ip6 last;
    uint8_t class_id;
};

static void *allocate(size_t n, size_t size)
{
    void *memory = calloc(n + 1, size);

    if (memory == NULL) {
        fputs("table_plain: out of memory\n", stderr);
        exit(EXIT_FAILURE);
    }
    return memory;
}

void plain_init(struct plain *plain, size_t n_max)
{
    memset(plain, 0, sizeof(*plain));
    for (plain->n_slots = 1024; plain->n_slots < 2 * n_max; plain->n_slots *= 2)
        continue;
    plain->slots = allocate(plain->n_slots, sizeof(*plain->slots));
}

void plain_free(struct plain *plain)
{
    free(plain->slots);
    free(plain->ipv4.points);
    free(plain->ipv6.points);
    memset(plain, 0, sizeof(*plain));
}

/* FNV-1a over all bytes. */
static size_t hash(const struct bl_prefix *prefix)
{
    uint64_t value = 0xcbf29ce484222325ULL;

    for (unsigned i = 0; i < sizeof(prefix->bytes); i++)
        value = (value ^ prefix->bytes[i]) * 0x100000001b3ULL;
    value = (value ^ prefix->length) * 0x100000001b3ULL;
    value = (value ^ prefix->family) * 0x100000001b3ULL;
    return (size_t)(value ^ value >> 29);
}

void plain_set(struct plain *plain, const struct bl_prefix *prefix, uint8_t class_id)
{
    size_t at = hash(prefix) % plain->n_slots;

    while (plain->slots[at].prefix.family != 0 && memcmp(&plain->slots[at].prefix, prefix, sizeof(*prefix)) != 0)
        at = (at + 1) % plain->n_slots;
    if (plain->slots[at].prefix.family == 0) {
        if (class_id == 0)
            return;
        if (++plain->n_used > plain->n_slots / 4 * 3) {
            fputs("table_plain: more prefixes than were announced\n", stderr);
            exit(EXIT_FAILURE);
        }
        plain->slots[at].prefix = *prefix;
    }
    plain->n += (class_id != 0) - (plain->slots[at].class_id != 0);
    plain->slots[at].class_id = class_id;
}

const struct bl_table_entry *plain_next(const struct plain *plain, size_t *at)
{
    while (*at < plain->n_slots)
        if (plain->slots[(*at)++].class_id != 0)
            return &plain->slots[*at - 1];
    return NULL;
}

static bool is_less(struct bl_ip6 a, struct bl_ip6 b)
{
    return a.hi != b.hi ? a.hi < b.hi : a.lo < b.lo;
}

static struct bl_ip6 number(const uint8_t bytes[16], uint8_t family)
{
    struct bl_ip6 value = {0, 0};

    for (unsigned i = 0; i < (family == BL_FAMILY_IPV4 ? 4u : 16u); i++) {
        value.hi = value.hi << 8 | value.lo >> 56;
        value.lo = value.lo << 8 | bytes[i];
    }
    return value;
}

static struct range range_of(const struct bl_table_entry *entry)
{
    unsigned n_free = (entry->prefix.family == BL_FAMILY_IPV4 ? 32u : 128u) - entry->prefix.length;
    struct range range = {.first = number(entry->prefix.bytes, entry->prefix.family), .class_id = entry->class_id};

    range.last = range.first;
    range.last.lo |= n_free >= 64 ? UINT64_MAX : (UINT64_C(1) << n_free) - 1;
    if (n_free > 64)
        range.last.hi |= n_free == 128 ? UINT64_MAX : (UINT64_C(1) << (n_free - 64)) - 1;
    return range;
}

/* What contains comes before what it contains. */
static int compare_ranges(const void *a, const void *b)
{
    const struct range *x = a;
    const struct range *y = b;

    if (is_less(x->first, y->first) || is_less(y->first, x->first))
        return is_less(x->first, y->first) ? -1 : 1;
    return is_less(y->last, x->last) ? -1 : is_less(x->last, y->last);
}

/* A later word about the same address counts. */
static void put(struct plain_points *points, struct bl_ip6 address, uint8_t class_id)
{
    struct plain_point *last = points->n > 0 ? &points->points[points->n - 1] : NULL;

    if (last != NULL && !is_less(last->address, address)) {
        last->class_id = class_id;
        return;
    }
    points->points[points->n++] = (struct plain_point){address, class_id};
}

/* Behind the end of a range its container's class is back; nothing is behind the end of the space. */
static void leave(struct plain_points *points, const struct range *range, uint8_t outer)
{
    struct bl_ip6 next = range->last;

    next.lo++;
    next.hi += next.lo == 0;
    if (next.hi != 0 || next.lo != 0)
        put(points, next, outer);
}

static void compile(const struct plain *plain, uint8_t family, struct plain_points *points)
{
    struct range *ranges = allocate(plain->n, sizeof(*ranges));
    const struct range *open[129];
    const struct bl_table_entry *entry;
    unsigned depth = 0;
    size_t n = 0;

    for (size_t at = 0; (entry = plain_next(plain, &at)) != NULL;)
        if (entry->prefix.family == family)
            ranges[n++] = range_of(entry);
    qsort(ranges, n, sizeof(*ranges), compare_ranges);
    free(points->points);
    points->points = allocate(2 * n, sizeof(*points->points));
    points->n = 0;
    for (size_t i = 0; i < n; i++) {
        for (; depth > 0 && is_less(open[depth - 1]->last, ranges[i].first); depth--)
            leave(points, open[depth - 1], depth > 1 ? open[depth - 2]->class_id : 0);
        put(points, ranges[i].first, ranges[i].class_id);
        open[depth++] = &ranges[i];
    }
    for (; depth > 0; depth--)
        leave(points, open[depth - 1], depth > 1 ? open[depth - 2]->class_id : 0);
    free(ranges);
}

void plain_compile(struct plain *plain)
{
    compile(plain, BL_FAMILY_IPV4, &plain->ipv4);
    compile(plain, BL_FAMILY_IPV6, &plain->ipv6);
}

uint8_t plain_lookup(const struct plain *plain, const struct bl_address *address)
{
    const struct plain_points *points = address->family == BL_FAMILY_IPV4 ? &plain->ipv4 : &plain->ipv6;
    struct bl_ip6 value = number(address->bytes, address->family);
    size_t low = 0;
    size_t high = points->n;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (is_less(value, points->points[middle].address))
            high = middle;
        else
            low = middle + 1;
    }
    return low == 0 ? 0 : points->points[low - 1].class_id;
}

struct bl_digest plain_digest(const struct plain *plain, uint64_t epoch)
{
    struct bl_digest digest = {0, 0};
    const struct bl_table_entry *entry;

    for (size_t at = 0; (entry = plain_next(plain, &at)) != NULL;)
        bl_digest_add(&digest, epoch, &entry->prefix, entry->class_id);
    return digest;
}
