/** @file table_build.h
 * The master table on the main core: changes in, patches and digests out (feed → table_build → mailbox → worker).
 *
 * Owns the master block, from which every replica starts as a copy, and the running digest. Changes are made in the
 * master at once, its serial follows at the commit: a replica is copied after a commit and before the next set, never
 * in between. Pure: memory by calloc, no DPDK, no clock. Threads: main core only. Cost: control path. */
#ifndef BL_TABLE_BUILD_H
#define BL_TABLE_BUILD_H

#include "bounceline/digest.h"
#include "bounceline/error.h"
#include "bounceline/siphash.h"
#include "bounceline/table.h"

struct bl_table_build;

/** One entry of a snapshot or change of a delta; class 0 removes. */
struct bl_table_entry {
    struct bl_prefix prefix;
    uint8_t class_id;
};

/** An empty master at serial 0 of @p epoch. @p key keys the table's own hashes, so that nobody who does not know it can
 * build collisions; it is copied. @p n_entries_expected saves the moves to larger blocks while a snapshot is loaded;
 * the first commit gives back what was not needed. @return 0 or BL_ENOMEM. Takes nothing, returns an owned object. */
int bl_table_build_create(struct bl_table_build **out, uint64_t epoch, const struct bl_siphash_key *key,
                          uint64_t n_entries_expected);
void bl_table_build_free(struct bl_table_build *build);

/** Records one change; many changes make one patch. Removing what is absent is no error. @return 0, BL_EINVAL (prefix
 * not canonical, class over 63), BL_EFULL, BL_ENOMEM. On failure this change left no trace; those before it since the
 * last commit are in the master and in the next patch. */
int bl_table_build_set(struct bl_table_build *build, const struct bl_prefix *prefix, uint8_t class_id);

/** Records many changes in their order: what a set of each would do, several times as fast, because the memory that the
 * next ones touch is under way. Into a new build of as many expected entries it is the bulk load: each entry goes to its
 * final place. @return as bl_table_build_set; @p n_done entries were set before the one that failed. */
int bl_table_build_load(struct bl_table_build *build, const struct bl_table_entry *entries, size_t n, size_t *n_done);

/** Ends the changes since the last commit: the master gets @p serial, and @p patch (owned by the caller, freed with
 * bl_table_patch_free) brings a replica of the last committed state there; without changes it brings the serial alone.
 * At the first commit, when the master moved to another block (full, or a run of collisions), and when a patch would be
 * more work than a copy or found no memory, *patch is NULL and *rebuilt true: replicas start again from a copy of the
 * block. @return 0, or BL_ENOMEM: then nothing is committed, and it may be tried again. */
int bl_table_build_commit(struct bl_table_build *build, uint64_t serial, struct bl_table_patch **patch, bool *rebuilt);

void bl_table_patch_free(struct bl_table_patch *patch);

/** The master's block, to copy bl_table_size() bytes from after a commit: valid until the next set or commit. */
const struct bl_table *bl_table_build_master(const struct bl_table_build *build);

/** Of the entries now in the master. */
struct bl_digest bl_table_build_digest(const struct bl_table_build *build);
uint64_t bl_table_build_epoch(const struct bl_table_build *build);
void bl_table_build_count(const struct bl_table_build *build, uint64_t *n_ipv4, uint64_t *n_ipv6);

#endif
