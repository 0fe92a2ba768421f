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

    bl_address_from_ip6(bl_list_trie_key(node), prefix.bytes);
    return prefix;
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
    bool is_wide = length > BL_LIST_TRIE_NARROW_MAX;
    uint32_t number = is_wide ? bl_list_pool_take(&trie->wide) | BL_LIST_TRIE_WIDE : bl_list_pool_take(&trie->narrow);
    struct bl_list_node *node = bl_list_trie_at(trie, number);

    node->hi = key.hi;
    node->length = length;
    if (is_wide)
        ((struct bl_list_wide_node *)node)->lo = key.lo;
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

    bl_list_pool_init(&trie->narrow, sizeof(struct bl_list_node), BL_LIST_POOL_MAX);
    bl_list_pool_init(&trie->wide, sizeof(struct bl_list_wide_node), BL_LIST_POOL_MAX);
    /* The roots are there for ever: no path is empty, and every node but these has one above it. */
    error = bl_list_pool_reserve(&trie->narrow, 2);
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
    bl_list_pool_fini(&trie->narrow);
    bl_list_pool_fini(&trie->wide);
}

/* Leaves of @path the nodes that cover @key, at least the root. */
static void turn_back(const struct bl_list_trie *trie, uint8_t family, struct bl_ip6 key, unsigned length,
                      struct bl_list_path *path)
{
    uint32_t root = family == BL_FAMILY_IPV4 ? trie->root_ipv4 : trie->root_ipv6;
    unsigned common;

    if (path->n == 0 || path->nodes[0] != root) {
        path->nodes[0] = root;
        path->n = 1;
        return;
    }
    common = common_bits(bl_list_trie_key(bl_list_trie_at(trie, path->nodes[path->n - 1])), key);
    if (common > length)
        common = length;
    while (bl_list_trie_at(trie, path->nodes[path->n - 1])->length > common)
        path->n--;
}

/* Follows @key on from the end of the path while nodes cover it. @return the link below the last one of the path. */
static uint32_t *descend(const struct bl_list_trie *trie, struct bl_ip6 key, unsigned length, struct bl_list_path *path)
{
    for (;;) {
        struct bl_list_node *node = bl_list_trie_at(trie, path->nodes[path->n - 1]);
        uint32_t *link;

        if (node->length == length)
            return NULL;
        link = &node->children[bl_list_trie_bit(key, node->length)];
        if (*link == 0)
            return link;
        node = bl_list_trie_at(trie, *link);
        /* Path compression: the bits that the link skips must be compared, too. */
        if (node->length > length || common_bits(bl_list_trie_key(node), key) < node->length)
            return link;
        path->nodes[path->n++] = *link;
    }
}

bool bl_list_trie_find(const struct bl_list_trie *trie, const struct bl_prefix *prefix, struct bl_list_path *path)
{
    struct bl_ip6 key = key_of(prefix);

    path->n = 0;
    turn_back(trie, prefix->family, key, prefix->length, path);
    return descend(trie, key, prefix->length, path) == NULL;
}

uint32_t bl_list_trie_below(const struct bl_list_trie *trie, const struct bl_prefix *prefix)
{
    struct bl_ip6 key = key_of(prefix);
    struct bl_list_path path = {.n = 0};
    const uint32_t *link;

    turn_back(trie, prefix->family, key, prefix->length, &path);
    link = descend(trie, key, prefix->length, &path);
    if (link == NULL)
        return path.nodes[path.n - 1];
    if (*link == 0 || common_bits(bl_list_trie_key(bl_list_trie_at(trie, *link)), key) < prefix->length)
        return 0;
    return *link;
}

int bl_list_trie_insert(struct bl_list_trie *trie, const struct bl_prefix *prefix, struct bl_list_path *path)
{
    struct bl_ip6 key = key_of(prefix);
    const struct bl_list_node *above;
    uint32_t added;
    uint32_t *link;
    int error = bl_list_pool_reserve(&trie->narrow, 2);

    if (error == BL_OK && prefix->length > BL_LIST_TRIE_NARROW_MAX)
        error = bl_list_pool_reserve(&trie->wide, 2);
    if (error != BL_OK)
        return error;
    turn_back(trie, prefix->family, key, prefix->length, path);
    link = descend(trie, key, prefix->length, path);
    if (link == NULL)
        return BL_OK;
    above = bl_list_trie_at(trie, path->nodes[path->n - 1]);
    if (*link == 0) {
        added = *link = make(trie, key, prefix->length, above);
    } else {
        const struct bl_list_node *below = bl_list_trie_at(trie, *link);
        struct bl_ip6 below_key = bl_list_trie_key(below);
        unsigned common = common_bits(below_key, key);

        added = make(trie, key, prefix->length, above);
        /* Either it comes between the two, or both hang on a fork where they part. */
        if (common >= prefix->length) {
            bl_list_trie_at(trie, added)->children[bl_list_trie_bit(below_key, prefix->length)] = *link;
            *link = added;
        } else {
            uint32_t fork = make(trie, cut(key, common), (uint8_t)common, above);
            struct bl_list_node *node = bl_list_trie_at(trie, fork);

            node->children[bl_list_trie_bit(key, common)] = added;
            node->children[bl_list_trie_bit(below_key, common)] = *link;
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
    struct bl_ip6 key = bl_list_trie_key(node);
    uint32_t above_number;
    struct bl_list_node *above;

    if (node->first_cell != 0 || node->length == 0 || (node->children[0] != 0 && node->children[1] != 0))
        return;
    path.n = 0;
    turn_back(trie, node->family, key, node->length, &path);
    (void)descend(trie, key, node->length, &path);
    above_number = path.nodes[path.n - 2];
    above = bl_list_trie_at(trie, above_number);
    above->children[bl_list_trie_bit(key, above->length)] =
        node->children[0] != 0 ? node->children[0] : node->children[1];
    if ((number & BL_LIST_TRIE_WIDE) != 0)
        bl_list_pool_give(&trie->wide, number & ~BL_LIST_TRIE_WIDE);
    else
        bl_list_pool_give(&trie->narrow, number);
    /* Where a child took the place, the node above forks as before, and this does nothing. */
    bl_list_trie_prune(trie, above_number);
}
