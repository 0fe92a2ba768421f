/* rte_hash over the hosts of a list: it has no prefixes; see contender.h. */
#include "contender.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>

enum { HOSTS_SPARE = 1024, ENTRY_BYTES = 40 };

struct hash {
    struct rte_hash *hash;
    uint8_t *classes; /* by position */
    uint64_t heap_bytes;
    uint64_t class_bytes;
    uint32_t key_bytes;
};

static uint64_t need(const struct list *list, char why[CONTENDER_WHY_MAX])
{
    if (list->n_hosts == 0) {
        snprintf(why, CONTENDER_WHY_MAX, "the list has no hosts");
        return 0;
    }
    return (list->n_hosts + HOSTS_SPARE) * (ENTRY_BYTES + bl_address_bits(list->family) / 8);
}

/* In host order, as the keys of a burst are. */
static const void *key_of(const struct bl_prefix *prefix, uint32_t *ip4)
{
    if (prefix->family == BL_FAMILY_IPV6)
        return prefix->bytes;
    *ip4 = bl_address_to_ip4(prefix->bytes);
    return ip4;
}

static int set(void *state, const struct bl_prefix *prefix, uint8_t class_id)
{
    struct hash *hash = state;
    uint32_t ip4;
    int position;

    if (prefix->length != bl_address_bits(prefix->family))
        return -ENOTSUP;
    if (class_id == BL_CLASS_NONE)
        position = rte_hash_del_key(hash->hash, key_of(prefix, &ip4));
    else
        position = rte_hash_add_key(hash->hash, key_of(prefix, &ip4));
    if (position < 0)
        return position;
    hash->classes[position] = class_id;
    return 0;
}

static void hash_free(void *state)
{
    struct hash *hash = state;

    rte_hash_free(hash->hash);
    free(hash->classes);
    free(hash);
}

static bool create(struct hash *hash, const struct list *list)
{
    struct rte_hash_parameters parameters = {.name = "bench_hash",
                                             .entries = (uint32_t)list->n_hosts + HOSTS_SPARE,
                                             .key_len = bl_address_bits(list->family) / 8u,
                                             .hash_func = rte_hash_crc,
                                             .socket_id = SOCKET_ID_ANY,
                                             .extra_flag = RTE_HASH_EXTRA_FLAGS_EXT_TABLE};

    hash->key_bytes = parameters.key_len;
    hash->hash = rte_hash_create(&parameters);
    if (hash->hash == NULL)
        return false;
    hash->class_bytes = (uint64_t)rte_hash_max_key_id(hash->hash) + 1;
    hash->classes = calloc(1, hash->class_bytes);
    return hash->classes != NULL;
}

static void *hash_build(const struct list *list, char why[CONTENDER_WHY_MAX])
{
    struct hash *hash = calloc(1, sizeof(*hash));
    uint64_t before = contender_heap_bytes();
    int error = 0;

    if (hash == NULL || !create(hash, list)) {
        snprintf(why, CONTENDER_WHY_MAX, "rte_hash_create: %s", rte_strerror(rte_errno));
        if (hash != NULL)
            hash_free(hash);
        return NULL;
    }
    for (size_t i = 0; error == 0 && i < list->n; i++)
        if (list->entries[i].prefix.length == bl_address_bits(list->family))
            error = set(hash, &list->entries[i].prefix, list->entries[i].class_id);
    hash->heap_bytes = contender_heap_bytes() - before;
    if (error == 0)
        return hash;
    snprintf(why, CONTENDER_WHY_MAX, "rte_hash_add_key: %s", rte_strerror(-error));
    hash_free(hash);
    return NULL;
}

static struct contender_memory memory(const void *state)
{
    const struct hash *hash = state;

    return (struct contender_memory){hash->heap_bytes + hash->class_bytes, hash->heap_bytes + hash->class_bytes};
}

/* The class is part of the answer: read here, as ours reads it. */
static void lookup(const void *state, unsigned core, const struct keys *keys, size_t first, size_t n,
                   union contender_results *results)
{
    const struct hash *hash = state;
    const void *pointers[CONTENDER_BURST];
    int32_t positions[CONTENDER_BURST];

    (void)core;
    for (size_t at = first; at < first + n; at += CONTENDER_BURST) {
        for (unsigned i = 0; i < CONTENDER_BURST; i++)
            pointers[i] =
                keys->family == BL_FAMILY_IPV4 ? (const void *)&keys->ip4[at + i] : (const void *)keys->bytes[at + i];
        (void)rte_hash_lookup_bulk(hash->hash, pointers, CONTENDER_BURST, positions);
        for (unsigned i = 0; i < CONTENDER_BURST; i++)
            results->classes[i] = positions[i] < 0 ? BL_CLASS_NONE : hash->classes[positions[i]];
    }
}

static uint8_t class_of(const void *state, const union contender_results *results, unsigned i)
{
    (void)state;
    return results->classes[i];
}

static const char *remark(const void *state)
{
    (void)state;
    return "hosts only: it answers an easier question";
}

const struct contender_kind contender_hash = {
    .name = "rte_hash",
    .hosts_only = true,
    .need = need,
    .build = hash_build,
    .memory = memory,
    .variants = {""},
    .lookup = lookup,
    .class_of = class_of,
    .set = set,
    .remark = remark,
    .free = hash_free,
};
