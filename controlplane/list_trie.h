/** @file list_trie.h
 * One path-compressed binary trie a family: prefix → node, for all layers together (list_state.c and its parts use it).
 *
 * A node is there because layers name its prefix, or because it is the fork of two that are; a /0 of each family always
 * is. Its layers hang in a chain that list_layer.c keeps. Its value is the class at its own prefix: 0 where it is not
 * listed, for whatever cause. A fork has the value of the node above it, so that an entry of the effective set is just a
 * node whose value differs from that of the node above.
 *
 * Keys are host order, left-aligned: IPv4 in the upper half of `hi`. Up to /64 the lower half of a key is zero, and is not
 * kept: such nodes, nearly all there are, lie in a pool of their own. Depth is at most 129. Threads: as list_state.h. */
#ifndef BL_LIST_TRIE_H
#define BL_LIST_TRIE_H

#include "bounceline/address.h"
#include "controlplane/list_pool.h"

struct bl_list_node {
    uint64_t hi;          /**< of its key */
    uint32_t children[2]; /**< 0: none */
    uint32_t first_cell;  /**< of its layers; 0: none */
    uint8_t length;
    uint8_t family;
    uint8_t value;
    uint8_t unused;
};

/** A node longer than BL_LIST_TRIE_NARROW_MAX bits. */
struct bl_list_wide_node {
    struct bl_list_node node; /**< first: a pointer to the one is a pointer to the other */
    uint64_t lo;
};

_Static_assert(sizeof(struct bl_list_node) == 24 && sizeof(struct bl_list_wide_node) == 32,
               "a host listing costs two nodes: keep them small");

enum { BL_LIST_TRIE_NARROW_MAX = 64 };

#define BL_LIST_TRIE_WIDE 0x80000000U /* in the number of a wide node; no enum: those are int */

struct bl_list_trie {
    struct bl_list_pool narrow;
    struct bl_list_pool wide;
    uint32_t root_ipv4;
    uint32_t root_ipv6;
};

enum { BL_LIST_TRIE_PATH_MAX = 129 };

/** The nodes that cover a prefix, widest first. */
struct bl_list_path {
    uint32_t nodes[BL_LIST_TRIE_PATH_MAX];
    uint32_t n;
};

int bl_list_trie_init(struct bl_list_trie *trie);
void bl_list_trie_fini(struct bl_list_trie *trie);

static inline struct bl_list_node *bl_list_trie_at(const struct bl_list_trie *trie, uint32_t node)
{
    if ((node & BL_LIST_TRIE_WIDE) != 0)
        return bl_list_pool_at(&trie->wide, node & ~BL_LIST_TRIE_WIDE);
    return bl_list_pool_at(&trie->narrow, node);
}

static inline struct bl_ip6 bl_list_trie_key(const struct bl_list_node *node)
{
    struct bl_ip6 key = {node->hi, 0};

    if (node->length > BL_LIST_TRIE_NARROW_MAX)
        key.lo = ((const struct bl_list_wide_node *)node)->lo;
    return key;
}

/** Which child of a node of @p i bits a key is below. */
static inline unsigned bl_list_trie_bit(struct bl_ip6 key, unsigned i)
{
    return (unsigned)((i < 64 ? key.hi >> (63 - i) : key.lo >> (127 - i)) & 1);
}

/** The nodes above and at @p prefix. @return true when the last one is at the prefix itself. */
bool bl_list_trie_find(const struct bl_list_trie *trie, const struct bl_prefix *prefix, struct bl_list_path *path);

/** Makes the node of @p prefix if it is not there; it ends the path. @p path has no nodes, or is the path of an insert
 * since which no node was taken out: then the way down begins where the two part, which is near in a sorted list.
 * @return 0, or BL_ENOMEM with nothing made. */
int bl_list_trie_insert(struct bl_list_trie *trie, const struct bl_prefix *prefix, struct bl_list_path *path);

/** Takes @p node out when it has no layers and forks nothing, and then the fork above it if that is needless now. */
void bl_list_trie_prune(struct bl_list_trie *trie, uint32_t node);

/** The widest node that @p prefix covers, which holds all others in it; 0: there is none. */
uint32_t bl_list_trie_below(const struct bl_list_trie *trie, const struct bl_prefix *prefix);

struct bl_prefix bl_list_trie_prefix(const struct bl_list_node *node);

#endif
