/** @file table.h
 * The prefix table: a flat, position-independent replica that a worker owns, reads in bursts and brings up to date by
 * copying patches into it.
 *
 *   main core:  table_build.c keeps the master and turns changes into patches
 *   worker:     bl_table_apply() between bursts, bl_table_lookup_*_burst() in them
 *
 * A replica is one block of memory, the same bytes in every worker at equal serial. Nothing in it is a pointer. It is
 * written by its worker alone, so lookups take no lock and no atomic instruction. A lookup in a damaged replica reads
 * nothing outside it and takes bounded time: every index is cut to the block's size. When damage hit what the size
 * comes from, nothing is listed any more; the checksum finds either.
 *
 * Values: the class, 0 not listed, 1..62, 63 exempt. The longest prefix wins; IPv4 and IPv6, /0 to host.
 * Limits: BL_TABLE_ENTRIES_MAX entries. Byte order: keys are host order. */
#ifndef BL_TABLE_H
#define BL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounceline/address.h"
#include "bounceline/class.h"

#define BL_TABLE_ENTRIES_MAX (16u << 20)

/** A replica's block; starts with its own header (magic, layout version, size). Alignment: BL_TABLE_ALIGN. */
struct bl_table;

#define BL_TABLE_ALIGN 64

/** The changes that bring a replica from one serial to the next: writes of bytes at offsets, in groups that must be
 * applied whole (one prefix each). Made by the main core, read by all workers, freed by the main core when the last
 * worker has acknowledged its serial. Immutable once made. */
struct bl_table_patch;

/** How far a worker has come in a patch. Zero it for a new patch. */
struct bl_table_cursor {
    size_t offset;
};

/** The bytes that this replica takes; those of its header alone when that is damaged. Threads: any. Cost: fast path. */
size_t bl_table_size(const struct bl_table *table);

/** The serial that the replica has reached. */
uint64_t bl_table_serial(const struct bl_table *table);

/** Checks a block that came from elsewhere (magic, version, size against @p size_bytes, masks). @return 0 or
 * BL_EVERSION / BL_EINVAL. Cost: start-up. */
int bl_table_validate(const struct bl_table *table, size_t size_bytes);

/** The classes of @p n addresses. Threads: owning worker. Cost: fast path. */
void bl_table_lookup_ipv4_burst(const struct bl_table *table, const uint32_t *addresses, uint8_t *classes, unsigned n);
void bl_table_lookup_ipv6_burst(const struct bl_table *table, const struct bl_ip6 *addresses, uint8_t *classes,
                                unsigned n);

/** Copies the patch's next groups, stopping at the first group boundary after @p budget_bytes; at least one, so that
 * every call gets on.
 * @return true when the whole patch is in and the replica has its serial; false: call again with the same cursor.
 * The caller checks bl_table_patch_fits first. Threads: owning worker. Cost: fast path, bounded by the budget and the
 * largest group (BL_TABLE_GROUP_MAX). */
bool bl_table_apply(struct bl_table *table, const struct bl_table_patch *patch, struct bl_table_cursor *cursor,
                    size_t budget_bytes);

/** True when the patch was made for a replica of this layout, size, epoch and serial, of this very block. */
bool bl_table_patch_fits(const struct bl_table *table, const struct bl_table_patch *patch);

/** Where the patch leads. */
uint64_t bl_table_patch_serial(const struct bl_table_patch *patch);

/** Bytes of one patch in memory. */
size_t bl_table_patch_size(const struct bl_table_patch *patch);

/** The bytes of the largest group. A host's is 40 to 72 bytes, a /8's 1 KiB. Only two kinds come near the limit: a prefix
 * wider than /4 (the index has 4 bytes a /16, and all of them change at once), and one just longer than /16 around tens
 * of thousands of others. */
#define BL_TABLE_GROUP_MAX (384 << 10)

/** A checksum of @p length bytes of the replica from @p offset (cut to its size), for comparing replicas in steps.
 * @p seed chains: pass 0, then the last result; steps of any multiples of 8 bytes come to the same sum. Cost: about
 * 1.5 ns for 8 bytes; a worker calls it in idle time only. */
uint64_t bl_table_checksum(const struct bl_table *table, size_t offset, size_t length, uint64_t seed);

#endif
