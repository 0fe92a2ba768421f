/** @file log_sqlite.h
 * What the two halves of the log in SQLite share: log_sqlite_open.c opens and checks, log_sqlite.c reads and writes.
 * Nobody else includes this. The format and the rules of durability stand here.
 *
 *   DIRECTORY/log.sqlite   application_id "BLlg", user_version BL_VERSION_LOG
 *     record(serial, checksum, body)           serial 1, 2, 3 … without a gap; never deleted: the audit
 *     snapshot(part, checksum, body)           the one snapshot: parts 0 .. snapshot_parts - 1
 *     meta(epoch, snapshot_serial, snapshot_parts)   one row
 *
 * Valid: the serials have no gap, and each checksum is SipHash-2-4 of the body under the key (epoch, serial), of a
 * snapshot's part under (epoch ^ serial, part). SQLite has no checksum of its own for pages of the file. Records are
 * checked whenever they are read, so a start checks everything it relies on; the whole file's structure is checked at
 * open while it is small (quick_check takes 6 s a GiB of small records), later each page as it is read.
 *
 * Durability: WAL mode, synchronous=FULL: a commit returns after fdatasync of the WAL. SQLite would checkpoint on its own
 * inside a commit and ignore its errors; here that is off, and checkpoints are made before an append, errors included.
 * After any error in doubt the log is poisoned: nothing is written or synced through its descriptors again (the kernel
 * reports a failed write-back once; the next fsync of the same descriptor says "fine" and lies).
 *
 * At open, the same trap from the process before: what it failed to sync may still sit in the page cache, clean, not on
 * disk. So the WAL's bytes are written over with themselves and synced before SQLite reads them, and then checkpointed
 * into the file (TRUNCATE) before any append. This needs the lock first: flock on the directory, then SQLite's own. */
#ifndef BL_LOG_SQLITE_H
#define BL_LOG_SQLITE_H

#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "controlplane/log.h"

#define BL_LOG_SQLITE_FILE "log.sqlite"

struct bl_log {
    sqlite3 *db;
    sqlite3_stmt *insert;
    int directory; /* holds the lock */
    uint64_t epoch;
    uint64_t first; /* kept; 0: none */
    uint64_t serial;
    uint64_t snapshot_serial;
    uint64_t snapshot_parts;
    int n_wal_frames;
    struct bl_error_detail poison; /* not empty: why nothing is written any more */
};

/** Says what SQLite says, with the system's word where there is one. @return @p error. */
int bl_log_sqlite_refuse(sqlite3 *db, int error, const char *what, struct bl_error_detail *detail);

/** The error of a read that gave @p code: BL_EINVAL for a damaged file, BL_EEXIST for one in use, else BL_EIO. */
int bl_log_sqlite_error(int code);

/** Copies the WAL into the file (SQLITE_CHECKPOINT_*), whole or not at all. @return 0, BL_EFULL or BL_EIO: poisoned. */
int bl_log_sqlite_checkpoint(struct bl_log *log, int mode, struct bl_error_detail *detail);

/** Closes without a word to the file: what is not synced by now stays so. Also for a log half opened. */
void bl_log_sqlite_release(struct bl_log *log);

#endif
