/** @file log.h
 * The durable sequence of records, and snapshots beside it. One implementation: log_sqlite.c; PostgreSQL will be the
 * next. Knows nothing of what a record says: blobs with serials.
 *
 * Rule: after any error of append the caller may believe nothing about the last records: it does not answer and exits
 * (BL_EFULL excepted: nothing was written, later appends may succeed). Threads: one at a time (store.h has the lock). */
#ifndef BL_LOG_H
#define BL_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "bounceline/error.h"

struct bl_log;

struct bl_log_blob {
    uint64_t serial;
    const uint8_t *data;
    size_t length;
};

/** Opens or creates the log in @p directory. Takes an exclusive lock: a second process is refused. An unknown format, a
 * gap in the serials or a database that fails its checks is refused with the reason. @return 0, BL_EIO, BL_EVERSION,
 * BL_EEXIST (in use), BL_EINVAL. */
int bl_log_open(struct bl_log **out, const char *directory, struct bl_error_detail *detail);
void bl_log_close(struct bl_log *log);

/** Random at creation; changes only by a restore. Never 0. */
uint64_t bl_log_epoch(const struct bl_log *log);

/** The epoch that the log was created with: a restore does not change it. Records and snapshots say this one. */
uint64_t bl_log_origin(const struct bl_log *log);

/** The serial of the last record; 0 in an empty log. */
uint64_t bl_log_serial(const struct bl_log *log);

/** Appends records with consecutive serials, the first being bl_log_serial() + 1, in one transaction, and returns when
 * they are on disk. @return 0; BL_EFULL: disk full, nothing written; BL_EORDER: wrong serials; BL_EIO: in doubt. */
int bl_log_append(struct bl_log *log, const struct bl_log_blob *records, size_t n, struct bl_error_detail *detail);

/** The serial of the first record that is kept; bl_log_serial() + 1 when there is none. */
uint64_t bl_log_first(const struct bl_log *log);

/** Calls @p each for every record from @p from_serial on, in order. A non-zero return of @p each ends it and is
 * returned. */
int bl_log_read(struct bl_log *log, uint64_t from_serial, int (*each)(void *context, const struct bl_log_blob *record),
                void *context, struct bl_error_detail *detail);

/** The same from @p from_serial down to the first that is kept. */
int bl_log_read_back(struct bl_log *log, uint64_t from_serial,
                     int (*each)(void *context, const struct bl_log_blob *record), void *context,
                     struct bl_error_detail *detail);

/** Begins a new snapshot at @p serial beside the one there is, which counts until end. Parts are read back in the order
 * they were added. Each of these is a small transaction of its own, so that appends can go between. After an error of add
 * or end there is no new snapshot. @return 0, BL_EORDER, BL_EFULL or BL_EIO. */
int bl_log_snapshot_begin(struct bl_log *log, uint64_t serial, struct bl_error_detail *detail);
int bl_log_snapshot_add(struct bl_log *log, const struct bl_log_blob *part, struct bl_error_detail *detail);
int bl_log_snapshot_end(struct bl_log *log, struct bl_error_detail *detail);

/** Deletes one part that no snapshot counts any more. @return 1: there may be more; 0: there are none; or an error. */
int bl_log_snapshot_sweep(struct bl_log *log, struct bl_error_detail *detail);

/** Deletes the oldest records up to @p last_serial, which a snapshot must cover, at most BL_LOG_DROP_MAX in one
 * transaction. The last record always stays. @return 0 or the error of a write. */
int bl_log_drop(struct bl_log *log, uint64_t last_serial, struct bl_error_detail *detail);

enum { BL_LOG_DROP_MAX = 64, BL_LOG_RESERVE_BYTES = 4 << 20, BL_LOG_ROOM_BYTES = 512 << 10 };

/** The serial of the snapshot. */
uint64_t bl_log_snapshot_serial(const struct bl_log *log);

/** A copy of the log in the file @p path, some pages a step (1: more, 0: whole), while appends go between. */
struct bl_log_copy;
int bl_log_copy_begin(struct bl_log *log, const char *path, struct bl_log_copy **out, struct bl_error_detail *detail);
int bl_log_copy_step(struct bl_log_copy *copy, struct bl_error_detail *detail);
void bl_log_copy_end(struct bl_log_copy *copy);

/** Another epoch, for a log that is restored. @return 0 or the error of a write. */
int bl_log_renew(struct bl_log *log, struct bl_error_detail *detail);

/** Space on the disk that is kept for when it is full: hold takes it (again), give lets it go and makes the WAL usable from
 * its beginning. @return 0: held, and BL_LOG_ROOM_BYTES are free beside it (given, respectively); BL_EFULL; give also
 * BL_EIO. */
int bl_log_reserve_hold(struct bl_log *log);
int bl_log_reserve_give(struct bl_log *log, struct bl_error_detail *detail);

/** @return 0 with *serial (0: there is none) after calling @p each for every part. */
int bl_log_read_snapshot(struct bl_log *log, uint64_t *serial,
                         int (*each)(void *context, const struct bl_log_blob *part), void *context,
                         struct bl_error_detail *detail);

#endif
