/* What a replacing bulk leaves out; see policy_replace.h. */
#include "controlplane/policy_replace.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* The bulk beside the list: both in the order of prefixes, so one step forward finds or does not. */
struct merge {
    const struct bl_prefix *wanted;
    size_t n_wanted;
    size_t at;
    struct bl_policy_replace *replace;
    size_t n_max;
};

struct bl_prefix bl_policy_replace_item(const struct bl_bulk *bulk, size_t index)
{
    struct bl_prefix prefix = {.family = BL_FAMILY_IPV4, .length = 32};

    if (index < bulk->n_ipv4) {
        memcpy(prefix.bytes, bulk->ipv4_addresses + index * 4, 4);
        if (bulk->ipv4_lengths != NULL)
            prefix.length = bulk->ipv4_lengths[index];
        return prefix;
    }
    index -= bulk->n_ipv4;
    prefix.family = BL_FAMILY_IPV6;
    prefix.length = bulk->ipv6_lengths[index];
    memcpy(prefix.bytes, bulk->ipv6_addresses + index * 16, 16);
    return prefix;
}

/* As it will be listed: mapped addresses are IPv4. */
static struct bl_prefix plain_item(const struct bl_bulk *bulk, size_t index)
{
    struct bl_prefix prefix = bl_policy_replace_item(bulk, index);

    if (prefix.family == BL_FAMILY_IPV6 && prefix.length >= 96 && memcmp(prefix.bytes, mapped, sizeof(mapped)) == 0) {
        memmove(prefix.bytes, prefix.bytes + 12, 4);
        memset(prefix.bytes + 4, 0, 12);
        prefix.family = BL_FAMILY_IPV4;
        prefix.length -= 96;
    }
    return prefix;
}

static int compare(const void *a, const void *b)
{
    return bl_address_prefix_compare(a, b);
}

static int take(void *context, const struct bl_prefix *prefix)
{
    struct merge *merge = context;
    struct bl_policy_replace *replace = merge->replace;

    while (merge->at < merge->n_wanted && bl_address_prefix_compare(&merge->wanted[merge->at], prefix) < 0)
        merge->at++;
    if (merge->at < merge->n_wanted && bl_address_prefix_compare(&merge->wanted[merge->at], prefix) == 0)
        return BL_OK;
    if (replace->n_gone == merge->n_max) {
        size_t n_max = merge->n_max * 2 + 64;
        struct bl_prefix *gone = realloc(replace->gone, n_max * sizeof(*gone));

        if (gone == NULL)
            return BL_ENOMEM;
        replace->gone = gone;
        merge->n_max = n_max;
    }
    replace->gone[replace->n_gone++] = *prefix;
    return BL_OK;
}

int bl_policy_replace_find(const struct bl_list_state *state, const char *source, const struct bl_bulk *bulk,
                           struct bl_policy_replace *replace)
{
    size_t n = bulk->n_ipv4 + bulk->n_ipv6;
    struct bl_prefix *wanted = malloc((n + 1) * sizeof(*wanted));
    struct merge merge = {.wanted = wanted, .n_wanted = n, .replace = replace};
    bool is_sorted = true;
    int error;

    *replace = (struct bl_policy_replace){NULL, 0};
    if (wanted == NULL)
        return BL_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        wanted[i] = plain_item(bulk, i);
        is_sorted = is_sorted && (i == 0 || compare(&wanted[i - 1], &wanted[i]) <= 0);
    }
    /* Import sends it sorted. */
    if (!is_sorted)
        qsort(wanted, n, sizeof(*wanted), compare);
    error = bl_list_state_each_of_source(state, source, take, &merge);
    free(wanted);
    if (error != BL_OK)
        bl_policy_replace_fini(replace);
    return error;
}

void bl_policy_replace_fini(struct bl_policy_replace *replace)
{
    free(replace->gone);
    *replace = (struct bl_policy_replace){NULL, 0};
}
