/* See keys.h. */
#include "keys.h"

#include <math.h>
#include <stdlib.h>

/* A list can cover so much that no miss is found: then a hit will do. */
enum { TRIES_MAX = 64 };

static const char *const names[KEYS_STREAMS] = {"uniform", "30 % hits", "Zipf-hot", "all miss"};

const char *keys_stream_name(enum keys_stream stream)
{
    return names[stream];
}

static bool is_listed(const struct bl_table *table, const struct bl_address *address)
{
    uint8_t class_id = 0;

    if (address->family == BL_FAMILY_IPV4) {
        uint32_t ip4 = bl_address_to_ip4(address->bytes);

        bl_table_lookup_ipv4_burst(table, &ip4, &class_id, 1);
    } else {
        struct bl_ip6 ip6 = bl_address_to_ip6(address->bytes);

        bl_table_lookup_ipv6_burst(table, &ip6, &class_id, 1);
    }
    return class_id != BL_CLASS_NONE;
}

static struct bl_address hit(uint64_t *random, const struct list *list)
{
    return list_address_in(random, &list->entries[list_below(random, list->n)].prefix);
}

static struct bl_address miss(uint64_t *random, const struct list *list, const struct bl_table *listed)
{
    struct bl_address address = list_random_address(random, list->family);

    for (unsigned i = 0; i < TRIES_MAX && is_listed(listed, &address); i++)
        address = list_random_address(random, list->family);
    return address;
}

static struct bl_address hit_or_miss(uint64_t *random, const struct list *list, const struct bl_table *listed)
{
    return list_below(random, 100) < KEYS_HIT_PERCENT ? hit(random, list) : miss(random, list, listed);
}

static void put(struct keys *keys, size_t at, const struct bl_address *address)
{
    if (keys->family == BL_FAMILY_IPV4) {
        keys->ip4[at] = bl_address_to_ip4(address->bytes);
        return;
    }
    keys->ip6[at] = bl_address_to_ip6(address->bytes);
    bl_address_from_ip6(keys->ip6[at], keys->bytes[at]);
}

static int allocate(struct keys *keys)
{
    if (keys->family == BL_FAMILY_IPV4) {
        keys->ip4 = malloc(keys->n * sizeof(*keys->ip4));
        return keys->ip4 != NULL ? BL_OK : BL_ENOMEM;
    }
    keys->ip6 = malloc(keys->n * sizeof(*keys->ip6));
    keys->bytes = malloc(keys->n * sizeof(*keys->bytes));
    return keys->ip6 != NULL && keys->bytes != NULL ? BL_OK : BL_ENOMEM;
}

/* The rank of a source, 0..KEYS_POPULATION-1: the inverse of the harmonic numbers, taken as a logarithm. */
static size_t rank(uint64_t *random)
{
    double share = (double)(list_random(random) >> 11) * 0x1p-53;
    size_t at = (size_t)(exp(share * log((double)KEYS_POPULATION + 1)) - 1);

    return at < KEYS_POPULATION ? at : KEYS_POPULATION - 1;
}

static int fill_zipf(struct keys *keys, const struct list *list, const struct bl_table *listed, uint64_t random)
{
    struct bl_address *population = malloc(KEYS_POPULATION * sizeof(*population));

    if (population == NULL)
        return BL_ENOMEM;
    /* The hottest sources are many of the packets: one in so many is a hit by its rank, not by chance. */
    for (size_t i = 0; i < KEYS_POPULATION; i++)
        population[i] = i % 10 == 1 || i % 10 == 4 || i % 10 == 7 ? hit(&random, list) : miss(&random, list, listed);
    for (size_t i = 0; i < keys->n; i++)
        put(keys, i, &population[rank(&random)]);
    free(population);
    return BL_OK;
}

int keys_make(struct keys *out, const struct list *list, enum keys_stream stream, size_t n,
              const struct bl_table *listed)
{
    struct keys keys = {.family = list->family, .n = n};
    uint64_t random = 1000 + (uint64_t)stream;
    int error = allocate(&keys);

    if (error == BL_OK && stream == KEYS_ZIPF)
        error = fill_zipf(&keys, list, listed, random);
    for (size_t i = 0; error == BL_OK && stream != KEYS_ZIPF && i < n; i++) {
        struct bl_address address = stream == KEYS_UNIFORM ? list_random_address(&random, list->family)
                                    : stream == KEYS_HITS  ? hit_or_miss(&random, list, listed)
                                                           : miss(&random, list, listed);

        put(&keys, i, &address);
    }
    if (error != BL_OK) {
        keys_free(&keys);
        return error;
    }
    *out = keys;
    return BL_OK;
}

void keys_free(struct keys *keys)
{
    free(keys->ip4);
    free(keys->ip6);
    free(keys->bytes);
    *keys = (struct keys){0};
}
