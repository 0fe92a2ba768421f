/* The effective set, a slice at a time; see list_state.h. */
#include "controlplane/list_parts.h"

/* Of a walk: a node has at most one sibling waiting a level, the other family's root waits below all. */
enum { PENDING_MAX = BL_LIST_TRIE_PATH_MAX + 2 };

/* A node for an entry: its fork. What is more are prefixes that are no entries. */
enum { NODES_AN_ENTRY = 3 };

/* A subtree to be read. */
struct pending {
    uint32_t node;
    uint8_t above; /* the value of the node above */
};

/* The next is the last of them. */
struct walk {
    const struct bl_list_trie *trie;
    size_t n;
    struct pending pending[PENDING_MAX];
};

/* Its first access is likely to miss every cache: the next but one is under way while the next is read. */
static void push(struct walk *walk, uint32_t node, uint8_t above)
{
    if (node == 0)
        return;
    walk->pending[walk->n++] = (struct pending){node, above};
    __builtin_prefetch(bl_list_trie_at(walk->trie, node));
}

/* What comes below a node in their order: so the right side first. */
static void push_children(struct walk *walk, const struct bl_list_node *node)
{
    push(walk, node->children[1], node->value);
    push(walk, node->children[0], node->value);
}

/* Finds all that comes behind @last below @number. */
static void resume(struct walk *walk, uint32_t number, const struct bl_prefix *last)
{
    uint8_t above = BL_CLASS_NONE;

    while (number != 0) {
        const struct bl_list_node *node = bl_list_trie_at(walk->trie, number);
        struct bl_prefix prefix = bl_list_trie_prefix(node);
        unsigned side;

        if (!bl_address_prefix_covers(&prefix, last)) {
            if (bl_address_prefix_compare(&prefix, last) > 0)
                push(walk, number, above);
            return;
        }
        if (node->length == last->length) {
            push_children(walk, node);
            return;
        }
        side = bl_list_trie_bit(bl_address_to_ip6(last->bytes), node->length);
        above = node->value;
        if (side == 0)
            push(walk, node->children[1], above);
        number = node->children[side];
    }
}

static void begin(struct walk *walk, const struct bl_list_trie *trie, const struct bl_prefix *last)
{
    walk->trie = trie;
    walk->n = 0;
    if (last->family != BL_FAMILY_IPV6)
        push(walk, trie->root_ipv6, BL_CLASS_NONE);
    if (last->family == BL_FAMILY_NONE)
        push(walk, trie->root_ipv4, BL_CLASS_NONE);
    else
        resume(walk, last->family == BL_FAMILY_IPV4 ? trie->root_ipv4 : trie->root_ipv6, last);
}

size_t bl_list_state_read_entries(const struct bl_list_state *state, struct bl_list_cursor *cursor,
                                  struct bl_list_change *out, size_t max)
{
    const struct bl_list_node *node = NULL;
    struct walk walk;
    size_t n = 0;

    begin(&walk, &state->trie, &cursor->last);
    for (size_t i = 0; i < max * NODES_AN_ENTRY && n < max && walk.n != 0; i++) {
        struct pending next = walk.pending[--walk.n];
        uint8_t entry;

        node = bl_list_trie_at(&state->trie, next.node);
        entry = bl_list_effective_entry(next.above, node->value);
        if (entry != BL_CLASS_NONE)
            out[n++] = (struct bl_list_change){bl_list_trie_prefix(node), entry};
        push_children(&walk, node);
    }
    if (node != NULL)
        cursor->last = bl_list_trie_prefix(node);
    cursor->ended = walk.n == 0;
    return n;
}
