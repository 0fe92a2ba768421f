/** @file entries.h
 * A set of entries in two sorted columns, one a family: what a table file holds (master → keeper → table_file), and
 * what changes are merged into. It knows nothing of the table's layout.
 *
 * A column is an array of 8-byte words, n_words each entry; sorted, it is ordered by address, then length:
 *   IPv4, 1 word:   address << 16 │ length << 8 │ class
 *   IPv6, 3 words:  length << 8 │ class, low half of the address, high half
 * 8 and 24 bytes an entry. Pure but for the heap. Threads: any, one at a time a set. Cost: control path. */
#ifndef BL_ENTRIES_H
#define BL_ENTRIES_H

#include "dataplane/table_build.h"

enum bl_entries_family { BL_ENTRIES_IPV4, BL_ENTRIES_IPV6, BL_ENTRIES_FAMILIES };

struct bl_entries_column {
    uint64_t *words;
    size_t n; /**< entries */
    size_t room;
};

/** Zero it for an empty set. */
struct bl_entries {
    struct bl_entries_column columns[BL_ENTRIES_FAMILIES];
};

/** Words of one entry: 1 or 3. */
unsigned bl_entries_words(enum bl_entries_family family);

void bl_entries_fini(struct bl_entries *entries);

/** Appends one; the set is not sorted then. Class 0 is a change that removes. @return 0 or BL_ENOMEM. */
int bl_entries_add(struct bl_entries *entries, const struct bl_table_entry *entry);

/** Appends all of @p from. @return 0 or BL_ENOMEM: then only some of them. */
int bl_entries_append(struct bl_entries *entries, const struct bl_entries *from);

/** Room for exactly @p n entries of a family, whose words the caller writes. @return 0 or BL_ENOMEM. */
int bl_entries_resize(struct bl_entries *entries, enum bl_entries_family family, size_t n);

/** Entry @p i of all, IPv4 first. */
void bl_entries_get(const struct bl_entries *entries, size_t i, struct bl_table_entry *entry);

size_t bl_entries_count(const struct bl_entries *entries);

/** Sorts; of changes of one prefix the one that was added last stays. @return 0 or BL_ENOMEM: then nothing changed. */
int bl_entries_sort(struct bl_entries *entries);

/** Finds the first entry that can't be: not in order or twice, not canonical, class not 1..63. @return its number, or
 * bl_entries_count(): all is well. */
size_t bl_entries_check(const struct bl_entries *entries);

/** Makes @p changes (sorted) in @p entries (sorted), and in the digest of @p epoch. @return 0 or BL_ENOMEM: then nothing
 * changed. */
int bl_entries_merge(struct bl_entries *entries, const struct bl_entries *changes, uint64_t epoch,
                     struct bl_digest *digest);

#endif
