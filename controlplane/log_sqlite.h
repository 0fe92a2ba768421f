/** @file log_sqlite.h
 * What the two halves of the log in SQLite share: log_sqlite_open.c opens and checks, log_sqlite.c reads and writes.
 * Nobody else includes this. The format and the rules of durability stand here.
 *
 *   DIRECTORY/log.sqlite   application_id "BLlg", user_version BL_VERSION_LOG
 *     record(serial, checksum, body)           serials without a gap; the oldest are deleted (bl_log_drop)
 *     snapshot(part, checksum, body)           the snapshot, and what was begun of the next or left of the last
 *     meta(epoch, snapshot_serial, snapshot_parts, origin)   one row
 *   DIRECTORY/reserve      BL_LOG_RESERVE_BYTES for when the disk is full
 *
 * snapshot_parts is generation × 2^32 + number of parts, and the parts of the snapshot are generation × 2^32 + 0, 1, 2 …;
 * all others count for nothing. So a snapshot is written beside the old one in small transactions, and counts from the one
 * that changes meta.
 *
 * Version 1 had no generations (all parts are of generation 0) and no origin (it is the epoch): it is opened and made 2
 * by one transaction. A program that knows 1 refuses 2.
 *
 * Valid: the serials have no gap, and each checksum is SipHash-2-4 of the body under the key (origin, serial), of a
 * snapshot's part under (origin ^ serial, part). SQLite has no checksum of its own for pages of the file. Records are
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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "controlplane/log.h"

#define BL_LOG_SQLITE_FILE "log.sqlite"
#define BL_LOG_SQLITE_RESERVE "reserve"

struct bl_log {
    sqlite3 *db;
    sqlite3_stmt *insert;
    int directory; /* holds the lock */
    uint64_t epoch;
    uint64_t origin; /* the epoch that the log was created with */
    uint64_t first;  /* kept; 0: none */
    uint64_t serial;
    uint64_t snapshot_serial;
    uint64_t snapshot_parts;  /* as in meta */
    uint64_t building_serial; /* of the snapshot that is being written; 0: none is */
    uint64_t building_parts;
    bool reserved;
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

/** SipHash-2-4 of a body, keyed by its place: one that moved to another row is found as well as one that changed. */
uint64_t bl_log_sqlite_checksum(uint64_t k0, uint64_t k1, const void *data, size_t length);

/** Binds and runs an INSERT of (number, checksum, body). @return SQLite's code. */
int bl_log_sqlite_insert(sqlite3_stmt *insert, uint64_t number, uint64_t checksum, const struct bl_log_blob *blob);

/** The current row of (number, checksum, body), checked. @return 0 or BL_EINVAL. */
int bl_log_sqlite_row(sqlite3_stmt *statement, uint64_t k0, uint64_t k1, struct bl_log_blob *blob,
                      struct bl_error_detail *detail);

/** A write that did not succeed and was not committed: undone when the disk is merely full, in doubt otherwise. */
int bl_log_sqlite_fail(struct bl_log *log, int code, const char *what, struct bl_error_detail *detail);

/** Refuses a write to a poisoned log, with the first error. @return BL_EIO. */
int bl_log_sqlite_poisoned(const struct bl_log *log, struct bl_error_detail *detail);

/** Statements of ours without a result; %lld stands for the two numbers. @return SQLite's code. */
int bl_log_sqlite_run(sqlite3 *db, const char *format, uint64_t a, uint64_t b);

#endif
