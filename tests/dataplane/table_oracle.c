/* See table_oracle.h. */
#include "table_oracle.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void cut(uint8_t bytes[16], int length)
{
    for (int bit = length; bit < 128; bit++) {
        if (bit % 8 == 0) {
            memset(bytes + bit / 8, 0, (size_t)(16 - bit / 8));
            return;
        }
        bytes[bit / 8] &= (uint8_t) ~(0x80 >> (bit % 8));
    }
}

/* Where the bytes are, or would be. */
static size_t position(const struct oracle_list *list, const uint8_t bytes[16], bool *found)
{
    size_t low = 0;
    size_t high = list->n;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (memcmp(list->entries[middle].bytes, bytes, 16) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *found = low < list->n && memcmp(list->entries[low].bytes, bytes, 16) == 0;
    return low;
}

static struct oracle_list *list_of(struct oracle *oracle, const struct bl_prefix *prefix)
{
    return prefix->family == BL_FAMILY_IPV4 ? &oracle->ipv4[prefix->length] : &oracle->ipv6[prefix->length];
}

static void grow(struct oracle_list *list)
{
    list->room = list->room == 0 ? 64 : 2 * list->room;
    list->entries = realloc(list->entries, list->room * sizeof(*list->entries));
    if (list->entries == NULL) {
        fputs("table_oracle: out of memory\n", stderr);
        exit(EXIT_FAILURE);
    }
}

void oracle_set(struct oracle *oracle, const struct bl_prefix *prefix, uint8_t class_id)
{
    struct oracle_list *list = list_of(oracle, prefix);
    size_t *n = prefix->family == BL_FAMILY_IPV4 ? &oracle->n_ipv4 : &oracle->n_ipv6;
    bool found;
    size_t at = position(list, prefix->bytes, &found);
    struct oracle_entry *entry;

    if (found && class_id == 0) {
        list->n--;
        memmove(list->entries + at, list->entries + at + 1, (list->n - at) * sizeof(*list->entries));
        --*n;
        return;
    }
    if (class_id == 0)
        return;
    if (!found) {
        if (list->n == list->room)
            grow(list);
        memmove(list->entries + at + 1, list->entries + at, (list->n - at) * sizeof(*list->entries));
        list->n++;
        ++*n;
    }
    entry = &list->entries[at];
    memcpy(entry->bytes, prefix->bytes, sizeof(entry->bytes));
    entry->class_id = class_id;
}

/* The first @p room entries that cover the address, the longest first. @return how many. */
static unsigned find_covering(const struct oracle *oracle, const struct bl_address *address,
                              const struct oracle_entry **out, unsigned room)
{
    const struct oracle_list *lists = address->family == BL_FAMILY_IPV4 ? oracle->ipv4 : oracle->ipv6;
    uint8_t bytes[16];
    unsigned n = 0;

    memcpy(bytes, address->bytes, sizeof(bytes));
    for (int length = address->family == BL_FAMILY_IPV4 ? 32 : 128; length >= 0 && n < room; length--) {
        bool found;
        size_t at;

        if (lists[length].n == 0)
            continue;
        cut(bytes, length);
        at = position(&lists[length], bytes, &found);
        if (found)
            out[n++] = &lists[length].entries[at];
    }
    return n;
}

uint8_t oracle_lookup(const struct oracle *oracle, const struct bl_address *address)
{
    const struct oracle_entry *entry;

    return find_covering(oracle, address, &entry, 1) == 0 ? 0 : entry->class_id;
}

unsigned oracle_depth(const struct oracle *oracle, const struct bl_address *address)
{
    const struct oracle_entry *entries[2];

    return find_covering(oracle, address, entries, 2);
}

struct bl_prefix oracle_pick(const struct oracle *oracle, size_t n)
{
    struct bl_prefix prefix = {.family = n < oracle->n_ipv4 ? BL_FAMILY_IPV4 : BL_FAMILY_IPV6};
    const struct oracle_list *list = n < oracle->n_ipv4 ? oracle->ipv4 : oracle->ipv6;

    if (n >= oracle->n_ipv4)
        n -= oracle->n_ipv4;
    for (; n >= list->n; list++, prefix.length++)
        n -= list->n;
    memcpy(prefix.bytes, list->entries[n].bytes, sizeof(prefix.bytes));
    return prefix;
}

static void add_lists(struct bl_digest *digest, uint64_t epoch, const struct oracle_list *lists, uint8_t family)
{
    for (unsigned length = 0; length <= bl_address_bits(family); length++) {
        for (size_t i = 0; i < lists[length].n; i++) {
            struct bl_prefix prefix = {.family = family, .length = (uint8_t)length};

            memcpy(prefix.bytes, lists[length].entries[i].bytes, sizeof(prefix.bytes));
            bl_digest_add(digest, epoch, &prefix, lists[length].entries[i].class_id);
        }
    }
}

struct bl_digest oracle_digest(const struct oracle *oracle, uint64_t epoch)
{
    struct bl_digest digest = {0, 0};

    add_lists(&digest, epoch, oracle->ipv4, BL_FAMILY_IPV4);
    add_lists(&digest, epoch, oracle->ipv6, BL_FAMILY_IPV6);
    return digest;
}

void oracle_free(struct oracle *oracle)
{
    for (unsigned i = 0; i < 33; i++)
        free(oracle->ipv4[i].entries);
    for (unsigned i = 0; i < 129; i++)
        free(oracle->ipv6[i].entries);
    memset(oracle, 0, sizeof(*oracle));
}
