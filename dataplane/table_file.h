/** @file table_file.h
 * The file that a data plane starts from while no control plane is there: one committed state, its entries, not the
 * table's block (keeper → table_file; plane reads it at start).
 *
 * Why entries: a block is of one layout, one processor's best and one key, and the master keeps more than its block;
 * entries make the same state in any later version, in half the bytes, and come sorted to whoever loads them in bulk.
 *
 *   header, 128 bytes │ classes in use, 312 bytes each │ IPv4, 8 bytes each │ IPv6, 24 bytes each │ checksum
 *                                                        (entries.h)            (little-endian)
 * A file is valid when all of this holds, and refused whole when not, with the reason: magic and version are ours; its
 * length is what the counts say; the checksum is right (SipHash-2-4 with a public key over the SipHashes of the three
 * parts: against rot and torn writes, not against whoever may write the file); each class is one that can be said in
 * the 550 (bl_class_validate); the entries are in order, canonical, of classes 1..63. The digest is compared by who
 * builds the table of it (master.c).
 *
 * Writing: a new file beside the old one, fsync, rename, fsync of the directory: whenever it is interrupted, the path
 * names the whole old file or the whole new one. Threads: any, one at a time a path. */
#ifndef BL_TABLE_FILE_H
#define BL_TABLE_FILE_H

#include "dataplane/entries.h"
#include "dataplane/mailbox.h"

/** A committed state. Zero it for none (epoch 0). */
struct bl_table_file {
    struct bl_held held;
    uint64_t written_ms; /**< since 1970; told at start, never judged by */
    struct bl_class classes[BL_CLASS_COUNT];
    struct bl_entries entries; /**< sorted */
};

void bl_table_file_fini(struct bl_table_file *table);

/** @return 0 with @p out (free it with bl_table_file_fini); BL_ENOENT: there is none; BL_EVERSION, BL_EDIGEST,
 * BL_EINVAL, BL_ETOOBIG, BL_EPERM (others may write it), BL_EIO or BL_ENOMEM. @p detail names the path and says what was
 * found and what was expected. Cost: start-up. */
int bl_table_file_read(const char *path, struct bl_table_file *out, struct bl_error_detail *detail);

/** Writes it with mode 0600; the last directory of the path is made, mode 0700, when it is not there. @return 0 or
 * BL_EIO with the step and its cause: the old file is as it was, unless the last step failed, which makes the new one last.
 * Cost: as long as the disk takes. */
int bl_table_file_write(const char *path, const struct bl_table_file *table, struct bl_error_detail *detail);

#endif
