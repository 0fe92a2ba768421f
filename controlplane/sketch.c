/* Space-Saving; see sketch.h.
 *
 * Entries stay where they are; a heap of their numbers has the least at its top, and chains by hash find a key.
 * heap[entries[e].at] == e for every entry in use. */
#include "controlplane/sketch.h"

#include <stdlib.h>
#include <string.h>

#include "bounceline/error.h"

#define NONE UINT32_MAX

struct entry {
    struct bl_sketch_item item;
    uint32_t at;   /* in the heap */
    uint32_t next; /* in the chain, or NONE */
};

struct bl_sketch {
    struct bl_siphash_key secret;
    uint64_t total;
    uint32_t key_bytes;
    uint32_t n_max;
    uint32_t n;
    uint32_t n_chains; /* a power of two */
    struct entry *entries;
    uint32_t *heap;
    uint32_t *chains; /* first entries */
};

int bl_sketch_create(struct bl_sketch **out, uint32_t n_entries, uint32_t key_bytes, struct bl_siphash_key secret)
{
    struct bl_sketch *sketch = calloc(1, sizeof(*sketch));

    if (sketch == NULL)
        return BL_ENOMEM;
    sketch->secret = secret;
    sketch->key_bytes = key_bytes;
    sketch->n_max = n_entries;
    sketch->n_chains = 1;
    while (sketch->n_chains < 2 * n_entries)
        sketch->n_chains *= 2;
    sketch->entries = calloc(n_entries, sizeof(*sketch->entries));
    sketch->heap = calloc(n_entries, sizeof(*sketch->heap));
    sketch->chains = malloc(sketch->n_chains * sizeof(*sketch->chains));
    if (sketch->entries == NULL || sketch->heap == NULL || sketch->chains == NULL) {
        bl_sketch_free(sketch);
        return BL_ENOMEM;
    }
    for (uint32_t i = 0; i < sketch->n_chains; i++)
        sketch->chains[i] = NONE;
    *out = sketch;
    return BL_OK;
}

void bl_sketch_free(struct bl_sketch *sketch)
{
    if (sketch == NULL)
        return;
    free(sketch->entries);
    free(sketch->heap);
    free(sketch->chains);
    free(sketch);
}

static uint32_t *chain_of(const struct bl_sketch *sketch, const void *key)
{
    return &sketch->chains[bl_siphash(&sketch->secret, key, sketch->key_bytes) & (sketch->n_chains - 1)];
}

static uint32_t find(const struct bl_sketch *sketch, const void *key)
{
    uint32_t e = *chain_of(sketch, key);

    while (e != NONE && memcmp(sketch->entries[e].item.key, key, sketch->key_bytes) != 0)
        e = sketch->entries[e].next;
    return e;
}

static void unchain(struct bl_sketch *sketch, uint32_t e)
{
    uint32_t *link = chain_of(sketch, sketch->entries[e].item.key);

    while (*link != e)
        link = &sketch->entries[*link].next;
    *link = sketch->entries[e].next;
}

static void chain(struct bl_sketch *sketch, uint32_t e, const void *key)
{
    uint32_t *link = chain_of(sketch, key);

    memcpy(sketch->entries[e].item.key, key, sketch->key_bytes);
    sketch->entries[e].next = *link;
    *link = e;
}

static uint64_t count_at(const struct bl_sketch *sketch, uint32_t at)
{
    return sketch->entries[sketch->heap[at]].item.count;
}

static void swap(struct bl_sketch *sketch, uint32_t a, uint32_t b)
{
    uint32_t e = sketch->heap[a];

    sketch->heap[a] = sketch->heap[b];
    sketch->heap[b] = e;
    sketch->entries[sketch->heap[a]].at = a;
    sketch->entries[sketch->heap[b]].at = b;
}

/* A new entry comes in at the end with a count that may be less than all others. */
static void sift_up(struct bl_sketch *sketch, uint32_t at)
{
    while (at > 0 && count_at(sketch, at) < count_at(sketch, (at - 1) / 2)) {
        swap(sketch, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

/* A count only grows: it moves away from the top. */
static void sift_down(struct bl_sketch *sketch, uint32_t at)
{
    for (;;) {
        uint32_t least = at;

        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < sketch->n; child++)
            if (count_at(sketch, child) < count_at(sketch, least))
                least = child;
        if (least == at)
            return;
        swap(sketch, at, least);
        at = least;
    }
}

static uint64_t add_capped(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* Takes a free entry, or the least one's place: what that had counts as the new one's error. */
static uint32_t make_room(struct bl_sketch *sketch, const void *key)
{
    uint32_t e;

    if (sketch->n < sketch->n_max) {
        e = sketch->n++;
        sketch->heap[e] = e;
        sketch->entries[e].at = e;
        sift_up(sketch, e);
    } else {
        e = sketch->heap[0];
        unchain(sketch, e);
        sketch->entries[e].item.error = sketch->entries[e].item.count;
        sketch->entries[e].item.last_ms = 0;
    }
    chain(sketch, e, key);
    return e;
}

void bl_sketch_add(struct bl_sketch *sketch, const void *key, uint64_t weight, uint64_t own, int64_t now_ms)
{
    uint32_t e = find(sketch, key);
    struct bl_sketch_item *item;

    if (e == NONE)
        e = make_room(sketch, key);
    item = &sketch->entries[e].item;
    sketch->total = add_capped(sketch->total, weight);
    item->count = add_capped(item->count, weight);
    item->error = add_capped(item->error, weight - own);
    item->last_ms = item->last_ms > now_ms ? item->last_ms : now_ms;
    sift_down(sketch, sketch->entries[e].at);
}

int bl_sketch_find(const struct bl_sketch *sketch, const void *key, struct bl_sketch_item *item)
{
    uint32_t e = find(sketch, key);

    if (e == NONE)
        return BL_ENOENT;
    *item = sketch->entries[e].item;
    return BL_OK;
}

static int compare(const void *a, const void *b)
{
    const struct bl_sketch_item *left = a;
    const struct bl_sketch_item *right = b;

    if (left->count != right->count)
        return left->count > right->count ? -1 : 1;
    return memcmp(left->key, right->key, sizeof(left->key));
}

size_t bl_sketch_top(const struct bl_sketch *sketch, struct bl_sketch_item *items, size_t max)
{
    struct bl_sketch_item *all = malloc((sketch->n + 1) * sizeof(*all));
    size_t n = sketch->n < max ? sketch->n : max;

    if (all == NULL)
        return 0;
    for (uint32_t i = 0; i < sketch->n; i++)
        all[i] = sketch->entries[i].item;
    qsort(all, sketch->n, sizeof(*all), compare);
    memcpy(items, all, n * sizeof(*items));
    free(all);
    return n;
}

uint64_t bl_sketch_total(const struct bl_sketch *sketch)
{
    return sketch->total;
}

uint32_t bl_sketch_entries_max(const struct bl_sketch *sketch)
{
    return sketch->n_max;
}
