/* Prefix → node; see list_trie.h. */
#include "controlplane/list_trie.h"

static struct bl_ip6 key_of(const struct bl_prefix *prefix)
{
    /* The unused bytes of an IPv4 prefix are zero: left-aligned already. */
    return bl_address_to_ip6(prefix->bytes);
}

struct bl_prefix bl_list_trie_prefix(const struct bl_list_node *node)
{
    struct bl_prefix prefix = {.length = node->length, .family = node->family};

    bl_address_from_ip6(node->key, prefix.bytes);
    return prefix;
}

static unsigned bit_of(struct bl_ip6 key, unsigned i)
{
    return (unsigned)((i < 64 ? key.hi >> (63 - i) : key.lo >> (127 - i)) & 1);
}

/* How many leading bits are the same. */
static unsigned common_bits(struct bl_ip6 a, struct bl_ip6 b)
{
    if (a.hi != b.hi)
        return (unsigned)__builtin_clzll(a.hi ^ b.hi);
    if (a.lo != b.lo)
        return 64 + (unsigned)__builtin_clzll(a.lo ^ b.lo);
    return 128;
}

/* Shifts by 64 are undefined: the ends are said apart. */
static struct bl_ip6 cut(struct bl_ip6 key, unsigned length)
{
    uint64_t hi = length == 0 ? 0 : length >= 64 ? UINT64_MAX : ~(UINT64_MAX >> length);
    uint64_t lo = length <= 64 ? 0 : length == 128 ? UINT64_MAX : ~(UINT64_MAX >> (length - 64));

    return (struct bl_ip6){key.hi & hi, key.lo & lo};
}

/* A new node has the value of the node above it: it is no entry, and what is below it need not be told. */
static uint32_t make(struct bl_list_trie *trie, struct bl_ip6 key, uint8_t length, const struct bl_list_node *above)
{
    uint32_t number = bl_list_pool_take(&trie->nodes);
    struct bl_list_node *node = bl_list_trie_at(trie, number);

    node->key = key;
    node->length = length;
    if (above != NULL) {
        node->family = above->family;
        node->value = above->value;
    }
    return number;
}

int bl_list_trie_init(struct bl_list_trie *trie)
{
    const struct bl_ip6 zero = {0, 0};
    int error;

    bl_list_pool_init(&trie->nodes, sizeof(struct bl_list_node), BL_LIST_POOL_MAX);
    /* The roots are there for ever: no path is empty, and every node but these has one above it. */
    error = bl_list_pool_reserve(&trie->nodes, 2);
    if (error != BL_OK)
        return error;
    trie->root_ipv4 = make(trie, zero, 0, NULL);
    trie->root_ipv6 = make(trie, zero, 0, NULL);
    bl_list_trie_at(trie, trie->root_ipv4)->family = BL_FAMILY_IPV4;
    bl_list_trie_at(trie, trie->root_ipv6)->family = BL_FAMILY_IPV6;
    return BL_OK;
}

void bl_list_trie_fini(struct bl_list_trie *trie)
{
    bl_list_pool_fini(&trie->nodes);
}

/* Follows @key down from the root while nodes cover it. @return the link below the last one of the path. */
static uint32_t *descend(const struct bl_list_trie *trie, uint8_t family, struct bl_ip6 key, unsigned length,
                         struct bl_list_path *path)
{
    uint32_t at = family == BL_FAMILY_IPV4 ? trie->root_ipv4 : trie->root_ipv6;

    for (path->n = 0;;) {
        struct bl_list_node *node = bl_list_trie_at(trie, at);
        uint32_t *link;

        path->nodes[path->n++] = at;
        if (node->length == length)
            return NULL;
        link = &node->children[bit_of(key, node->length)];
        if (*link == 0)
            return link;
        node = bl_list_trie_at(trie, *link);
        /* Path compression: the bits that the link skips must be compared, too. */
        if (node->length > length || common_bits(node->key, key) < node->length)
            return link;
        at = *link;
    }
}

bool bl_list_trie_find(const struct bl_list_trie *trie, const struct bl_prefix *prefix, struct bl_list_path *path)
{
    return descend(trie, prefix->family, key_of(prefix), prefix->length, path) == NULL;
}

uint32_t bl_list_trie_below(const struct bl_list_trie *trie, const struct bl_prefix *prefix)
{
    struct bl_ip6 key = key_of(prefix);
    struct bl_list_path path;
    const uint32_t *link = descend(trie, prefix->family, key, prefix->length, &path);

    if (link == NULL)
        return path.nodes[path.n - 1];
    if (*link == 0 || common_bits(bl_list_trie_at(trie, *link)->key, key) < prefix->length)
        return 0;
    return *link;
}

int bl_list_trie_insert(struct bl_list_trie *trie, const struct bl_prefix *prefix, struct bl_list_path *path)
{
    struct bl_ip6 key = key_of(prefix);
    const struct bl_list_node *above;
    uint32_t added;
    uint32_t *link;
    int error = bl_list_pool_reserve(&trie->nodes, 2);

    if (error != BL_OK)
        return error;
    link = descend(trie, prefix->family, key, prefix->length, path);
    if (link == NULL)
        return BL_OK;
    above = bl_list_trie_at(trie, path->nodes[path->n - 1]);
    if (*link == 0) {
        added = *link = make(trie, key, prefix->length, above);
    } else {
        const struct bl_list_node *below = bl_list_trie_at(trie, *link);
        unsigned common = common_bits(below->key, key);

        added = make(trie, key, prefix->length, above);
        /* Either it comes between the two, or both hang on a fork where they part. */
        if (common >= prefix->length) {
            bl_list_trie_at(trie, added)->children[bit_of(below->key, prefix->length)] = *link;
            *link = added;
        } else {
            uint32_t fork = make(trie, cut(key, common), (uint8_t)common, above);
            struct bl_list_node *node = bl_list_trie_at(trie, fork);

            node->children[bit_of(key, common)] = added;
            node->children[bit_of(below->key, common)] = *link;
            *link = fork;
            path->nodes[path->n++] = fork;
        }
    }
    path->nodes[path->n++] = added;
    return BL_OK;
}

void bl_list_trie_prune(struct bl_list_trie *trie, uint32_t number)
{
    struct bl_list_node *node = bl_list_trie_at(trie, number);
    struct bl_list_path path;
    uint32_t above_number;
    struct bl_list_node *above;

    if (node->first_cell != 0 || node->length == 0 || (node->children[0] != 0 && node->children[1] != 0))
        return;
    (void)descend(trie, node->family, node->key, node->length, &path);
    above_number = path.nodes[path.n - 2];
    above = bl_list_trie_at(trie, above_number);
    above->children[bit_of(node->key, above->length)] = node->children[0] != 0 ? node->children[0] : node->children[1];
    bl_list_pool_give(&trie->nodes, number);
    /* Where a child took the place, the node above forks as before, and this does nothing. */
    bl_list_trie_prune(trie, above_number);
}
