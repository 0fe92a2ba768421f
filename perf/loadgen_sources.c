/* See loadgen_sources.h. */
#include "perf/loadgen_sources.h"

#include <stdlib.h>
#include <string.h>

#include "perf/list.h"

/* Of each family, when no file names them. */
enum { ALLOWED_MADE = 65536 };

static uint8_t family_of(unsigned i)
{
    return i == LOADGEN_IPV4 ? BL_FAMILY_IPV4 : BL_FAMILY_IPV6;
}

static int compare(const void *a, const void *b)
{
    return bl_address_prefix_compare(&((const struct loadgen_source *)a)->prefix,
                                     &((const struct loadgen_source *)b)->prefix);
}

/* Appends a file's prefixes of one family. */
static int add_file(struct loadgen_pool *pool, const char *path, uint8_t family, uint8_t number, size_t *n_reserved,
                    struct bl_error_detail *detail)
{
    struct list list = {.entries = NULL};
    int error = list_read(&list, path, family, detail);
    struct loadgen_source *entries;

    if (error != BL_OK)
        return error;
    entries = realloc(pool->entries, (pool->n + list.n + 1) * sizeof(*entries));
    if (entries != NULL) {
        pool->entries = entries;
        for (size_t i = 0; i < list.n; i++) {
            if (bl_address_reserved(&list.entries[i].prefix) != NULL)
                (*n_reserved)++;
            else
                entries[pool->n++] = (struct loadgen_source){list.entries[i].prefix, number};
        }
    }
    list_free(&list);
    return entries != NULL ? BL_OK : bl_error_set(detail, BL_ENOMEM, "%s: no memory for its entries", path);
}

/* Sorts, and leaves out what is covered: a prefix sorts directly before what it covers. */
static int make_disjoint(struct loadgen_pool *pool, struct bl_error_detail *detail)
{
    size_t n = 0;

    qsort(pool->entries, pool->n, sizeof(*pool->entries), compare);
    for (size_t i = 0; i < pool->n; i++) {
        const struct loadgen_source *outer = n > 0 ? &pool->entries[n - 1] : NULL;
        const struct loadgen_source *entry = &pool->entries[i];
        char texts[2][BL_ADDRESS_TEXT_MAX];

        if (outer == NULL || !bl_address_prefix_covers(&outer->prefix, &entry->prefix))
            pool->entries[n++] = *entry;
        else if (outer->list != entry->list)
            return bl_error_set(detail, BL_ECONFLICT,
                                "--listed: %s is in list %u and %s in list %u: expected lists that share no address",
                                bl_address_format_prefix(&outer->prefix, texts[0]), outer->list + 1U,
                                bl_address_format_prefix(&entry->prefix, texts[1]), entry->list + 1U);
    }
    pool->n = n;
    return BL_OK;
}

/* How many entries are not behind the prefix. */
static size_t position(const struct loadgen_pool *pool, const struct bl_prefix *prefix)
{
    size_t low = 0;
    size_t high = pool->n;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (bl_address_prefix_compare(&pool->entries[middle].prefix, prefix) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The entry that covers the prefix, or NULL. */
static const struct loadgen_source *find(const struct loadgen_pool *pool, const struct bl_prefix *prefix)
{
    size_t n = position(pool, prefix);

    return n != 0 && bl_address_prefix_covers(&pool->entries[n - 1].prefix, prefix) ? &pool->entries[n - 1] : NULL;
}

/* Addresses of senders that are in no list. A list of the whole space has none. */
static int make_allowed(struct loadgen_sources *sources, unsigned i, uint64_t seed, struct bl_error_detail *detail)
{
    struct loadgen_pool *pool = &sources->allowed[i];
    uint64_t random = seed ^ 0xa110eed;

    pool->entries = malloc(ALLOWED_MADE * sizeof(*pool->entries));
    if (pool->entries == NULL)
        return bl_error_set(detail, BL_ENOMEM, "no memory for allowed sources");
    for (unsigned tries = 0; pool->n < ALLOWED_MADE && tries < 20 * ALLOWED_MADE; tries++) {
        struct bl_address address = list_random_address(&random, family_of(i));
        struct loadgen_source source = {.prefix = bl_address_host_prefix(&address)};

        if (bl_address_reserved(&source.prefix) == NULL && find(&sources->listed[i], &source.prefix) == NULL)
            pool->entries[pool->n++] = source;
    }
    return BL_OK;
}

/* What a file calls allowed may not be listed, nor hold anything that is. */
static int check_allowed(const struct loadgen_sources *sources, unsigned i, struct bl_error_detail *detail)
{
    const struct loadgen_pool *listed = &sources->listed[i];

    for (size_t n = 0; n < sources->allowed[i].n; n++) {
        const struct bl_prefix *prefix = &sources->allowed[i].entries[n].prefix;
        size_t behind = position(listed, prefix);
        char text[BL_ADDRESS_TEXT_MAX];

        if (find(listed, prefix) != NULL ||
            (behind < listed->n && bl_address_prefix_covers(prefix, &listed->entries[behind].prefix)))
            return bl_error_set(detail, BL_ECONFLICT, "--allowed: %s is listed, or part of it: expected other prefixes",
                                bl_address_format_prefix(prefix, text));
    }
    return BL_OK;
}

static int init_family(struct loadgen_sources *sources, const struct loadgen_options *options, unsigned i,
                       struct bl_error_detail *detail)
{
    int error = BL_OK;

    for (unsigned n = 0; error == BL_OK && n < options->n_lists; n++)
        error = add_file(&sources->listed[i], options->lists[n].path, family_of(i), (uint8_t)n, &sources->n_reserved,
                         detail);
    if (error == BL_OK)
        error = make_disjoint(&sources->listed[i], detail);
    if (error != BL_OK || options->allowed == NULL)
        return error == BL_OK ? make_allowed(sources, i, options->seed, detail) : error;
    error = add_file(&sources->allowed[i], options->allowed, family_of(i), 0, &sources->n_reserved, detail);
    if (error == BL_OK)
        error = make_disjoint(&sources->allowed[i], detail);
    return error == BL_OK ? check_allowed(sources, i, detail) : error;
}

int loadgen_sources_init(struct loadgen_sources *sources, const struct loadgen_options *options,
                         struct bl_error_detail *detail)
{
    int error = BL_OK;

    memset(sources, 0, sizeof(*sources));
    for (unsigned i = 0; error == BL_OK && i < LOADGEN_FAMILIES; i++)
        error = init_family(sources, options, i, detail);
    if (error == BL_OK && options->n_lists != 0 &&
        sources->listed[LOADGEN_IPV4].n + sources->listed[LOADGEN_IPV6].n == 0)
        error = bl_error_set(detail, BL_EINVAL, "--listed: no prefix that may be answered in any of the files");
    if (error != BL_OK)
        loadgen_sources_fini(sources);
    return error;
}

void loadgen_sources_fini(struct loadgen_sources *sources)
{
    for (unsigned i = 0; i < LOADGEN_FAMILIES; i++) {
        free(sources->listed[i].entries);
        free(sources->allowed[i].entries);
    }
    memset(sources, 0, sizeof(*sources));
}

/* One half of an address: the bits behind @p bits of it are random's. */
static void fill(uint8_t out[8], unsigned bits, uint64_t random)
{
    uint64_t word;

    if (bits >= 64)
        return;
    memcpy(&word, out, sizeof(word));
    word = __builtin_bswap64(word) | (random & (UINT64_MAX >> bits));
    word = __builtin_bswap64(word);
    memcpy(out, &word, sizeof(word));
}

void loadgen_sources_address(const struct loadgen_source *source, uint64_t high, uint64_t low, uint8_t out[16])
{
    unsigned length = source->prefix.length;

    memcpy(out, source->prefix.bytes, 16);
    if (source->prefix.family == BL_FAMILY_IPV4) {
        fill(out, length, high & ~(uint64_t)UINT32_MAX);
        return;
    }
    fill(out, length, high);
    fill(out + 8, length > 64 ? length - 64 : 0, low);
}
