/** @file list_state.h
 * The authoritative list: a pure fold over the log's effects (policy → log → list_state → publish).
 *
 * Holds the layers (listings by prefix and source, delists, exemptions) in one trie a family, numbers the classes, and
 * computes the effective set: prefix → class, holes as BL_CLASS_EXEMPT. No clock, no configuration but the order of the
 * sources: the same effects give the same state, classes and digest, always.
 *
 * At any address, in this order:
 *   1. an exemption covers it: not listed;
 *   2. operator listings cover it: the longest;
 *   3. other listings that cover it, without those that a delist covering it suppresses (observed_at at or before the
 *      delist's suppress_until): the longest prefix; at equal length the configured order of sources, sources not
 *      configured after all others; of these the lowest code, then by name;
 *   4. nothing: not listed.
 * An entry of the effective set exists for a prefix exactly when a layer names the prefix and its class differs from what
 * the nearest covering entry gives (63 where that is listed and this is not). So the set is canonical: the order of
 * arrival leaves no trace in it.
 *
 * Changes are undoable until committed: the writer applies, appends to the log, then commits; or rolls back, and nothing
 * was seen. Threads: one writer; readers only while the writer is outside (the control plane holds a rwlock). Cost:
 * control path; a change costs the subtree below its prefix. */
#ifndef BL_LIST_STATE_H
#define BL_LIST_STATE_H

#include "bounceline/class.h"
#include "bounceline/digest.h"
#include "controlplane/record.h"

struct bl_list_state;

/** One change of the effective set; class 0: no entry. */
struct bl_list_change {
    struct bl_prefix prefix;
    uint8_t class_id;
};

/** What a commit did to the effective set. Owned by the state, valid until the next apply. In order: a prefix may come
 * more than once, the last counts. */
struct bl_list_changes {
    const struct bl_list_change *changes;
    size_t n_changes;
    uint64_t classes_changed; /**< bit n: class n has a new meaning */
};

/** One layer that covers what was asked. Strings are the state's own, valid while the reader holds the lock. */
struct bl_list_layer {
    enum bl_effect_kind kind; /**< LIST, DELIST or EXEMPT */
    struct bl_prefix prefix;
    struct bl_effect_attributes attributes;
    bool effective;
    bool suppressed;
};

enum { BL_LIST_LAYERS_MAX = 512 };

struct bl_list_counts {
    uint64_t n_listings;
    uint64_t n_delists;
    uint64_t n_exemptions;
    uint64_t n_effective_ipv4;
    uint64_t n_effective_ipv6;
    uint32_t n_classes;
};

/** How much one source covers: IPv4 addresses, and IPv6 /64s (a longer prefix counts as one). Sums over its prefixes. */
struct bl_list_coverage {
    uint64_t n_ipv4;
    uint64_t n_ipv6;
    uint64_t n_listings;
};

/** @param source_order the configured sources, strongest first (borrowed for the state's life). */
int bl_list_state_create(struct bl_list_state **out, uint64_t epoch, const char *const *source_order, size_t n_sources);
void bl_list_state_free(struct bl_list_state *state);

/** Applies one group at @p serial by @p actor (attributes.actor and .serial are used instead where set, for snapshots).
 * Removing what is absent changes nothing. @return 0, BL_EINVAL, BL_EFULL (all classes in use) or BL_ENOMEM; on failure
 * nothing of the group is left applied. */
int bl_list_state_apply(struct bl_list_state *state, const struct bl_effect_group *group, uint64_t serial,
                        const char *actor, struct bl_error_detail *detail);

/** A place to roll back to. */
size_t bl_list_state_mark(const struct bl_list_state *state);
void bl_list_state_rollback(struct bl_list_state *state, size_t mark);

/** Ends undo for all that was applied, sets the state's serial, and hands the changes out. */
void bl_list_state_commit(struct bl_list_state *state, uint64_t serial, struct bl_list_changes *changes);

uint64_t bl_list_state_serial(const struct bl_list_state *state);
uint64_t bl_list_state_epoch(const struct bl_list_state *state);
struct bl_digest bl_list_state_digest(const struct bl_list_state *state);
void bl_list_state_count(const struct bl_list_state *state, struct bl_list_counts *counts);
void bl_list_state_cover(const struct bl_list_state *state, const char *source, struct bl_list_coverage *coverage);

/** The class table; entry 0 and 63 and unused ones have code 0. */
const struct bl_class *bl_list_state_classes(const struct bl_list_state *state);

/** Begins a load of an empty state: what is applied until the end can't be taken back, and no entries, digest or times are
 * known before it. After an apply that failed the state is good for bl_list_state_free only. */
void bl_list_state_begin_restore(struct bl_list_state *state);

/** Ends it at @p serial: everything is as if it had been applied and committed one by one. */
void bl_list_state_end_restore(struct bl_list_state *state, uint64_t serial);

/** Sets the class table of an empty state (from a snapshot). */
int bl_list_state_restore_classes(struct bl_list_state *state, const struct bl_class classes[BL_CLASS_COUNT]);

/** The layers that cover @p prefix, strongest first as in the rules above, and the class at it: 0, 1..62, or 63 when an
 * exemption or a delist is what keeps it from being listed. Listings that are suppressed come last, behind the delists;
 * of these the one that suppresses longest is the effective one. @return the number of layers, at most @p max. */
size_t bl_list_state_lookup(const struct bl_list_state *state, const struct bl_prefix *prefix,
                            struct bl_list_layer *layers, size_t max, uint8_t *class_id);

/** The listing (prefix, source) itself. @return 0 or BL_ENOENT. */
int bl_list_state_find(const struct bl_list_state *state, const struct bl_prefix *prefix, const char *source,
                       struct bl_effect_attributes *attributes);

/** The exemption or delist of exactly @p prefix (kind EXEMPT or DELIST). @return 0 or BL_ENOENT. */
int bl_list_state_find_other(const struct bl_list_state *state, enum bl_effect_kind kind,
                             const struct bl_prefix *prefix, struct bl_effect_attributes *attributes);

/** A place in the effective set, to go on from. Zero it to begin. */
struct bl_list_cursor {
    struct bl_prefix last; /**< what is at or before it was read; family NONE: nothing was */
    bool ended;
};

/** Reads on from @p cursor in prefix order: at most @p max entries, and fewer where many prefixes in a row are no
 * entries, so that a call takes a bounded time. Between calls the list may change: an entry is then read as it is when
 * its turn comes. @return how many. */
size_t bl_list_state_read_entries(const struct bl_list_state *state, struct bl_list_cursor *cursor,
                                  struct bl_list_change *out, size_t max);

/** Calls @p each for every layer, in prefix order. `suppressed` is said, `effective` is not. */
int bl_list_state_each_layer(const struct bl_list_state *state,
                             int (*each)(void *context, const struct bl_list_layer *layer), void *context);

/** The same for the layers of the prefixes that @p prefix covers, itself included. */
int bl_list_state_each_layer_in(const struct bl_list_state *state, const struct bl_prefix *prefix,
                                int (*each)(void *context, const struct bl_list_layer *layer), void *context);

/** The prefixes that @p source lists, in their order (bl_address_prefix_compare). A non-zero return of @p each ends it and
 * is returned. Cost: a walk over all of the list, but for a source that lists nothing. */
int bl_list_state_each_of_source(const struct bl_list_state *state, const char *source,
                                 int (*each)(void *context, const struct bl_prefix *prefix), void *context);

/** How many layers are due at @p now_ms, at most @p max. */
size_t bl_list_state_count_due(const struct bl_list_state *state, int64_t now_ms, size_t max);

/** Up to @p max effects (UNLIST, UNDELIST, UNEXEMPT) that are due at @p now_ms, soonest first, as groups of one prefix;
 * they are not applied. The groups and their prefixes are the state's own, valid until the next apply.
 * @return the number. */
size_t bl_list_state_due(struct bl_list_state *state, int64_t now_ms, size_t max,
                         const struct bl_effect_group **groups);

#endif
