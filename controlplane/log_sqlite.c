/* Records in SQLite; see log_sqlite.h for the format and the rules. */
#include "controlplane/log_sqlite.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bounceline/siphash.h"

/* The WAL's frames (pages of 4 KiB) after which it is copied into the file. */
enum { CHECKPOINT_FRAMES = 1024 };

int bl_log_sqlite_refuse(sqlite3 *db, int error, const char *what, struct bl_error_detail *detail)
{
    int cause = sqlite3_system_errno(db);

    return bl_error_set(detail, error, "%s: %s (%d)%s%s", what, sqlite3_errmsg(db), sqlite3_extended_errcode(db),
                        cause == 0 ? "" : ": ", cause == 0 ? "" : strerror(cause));
}

/* A damaged file is no use; anything else (I/O, memory) may be another matter next time. */
int bl_log_sqlite_error(int code)
{
    switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_MISMATCH:
    case SQLITE_ERROR:
        return BL_EINVAL;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return BL_EEXIST;
    default:
        return BL_EIO;
    }
}

/* Keyed by the place, so that a body that moved to another row is found as well as one that changed. */
uint64_t bl_log_sqlite_checksum(uint64_t k0, uint64_t k1, const void *data, size_t length)
{
    const struct bl_siphash_key key = {k0, k1};

    return bl_siphash(&key, data, length);
}

/* From here on nothing is written. Reads go on, so what was begun is undone: in WAL mode that is a matter of memory and
 * touches no file. @return BL_EIO. */
static int poison(struct bl_log *log, const char *what, struct bl_error_detail *detail)
{
    (void)bl_log_sqlite_refuse(log->db, BL_EIO, what, &log->poison);
    (void)sqlite3_exec(log->db, "ROLLBACK", NULL, NULL, NULL);
    return bl_error_set(detail, BL_EIO, "%s", log->poison.text);
}

/* The first error is what a person needs, not the hundredth refusal after it. */
int bl_log_sqlite_poisoned(const struct bl_log *log, struct bl_error_detail *detail)
{
    return bl_error_set(detail, BL_EIO, "the log takes no more writes until a restart: %s", log->poison.text);
}

/* A write that did not succeed and was not committed: undone when the disk is merely full, in doubt otherwise. */
int bl_log_sqlite_fail(struct bl_log *log, int code, const char *what, struct bl_error_detail *detail)
{
    if ((code & 0xff) != SQLITE_FULL)
        return poison(log, what, detail);
    (void)bl_log_sqlite_refuse(log->db, BL_EFULL, what, detail);
    if (sqlite3_get_autocommit(log->db) == 0 && sqlite3_exec(log->db, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK)
        return poison(log, "ROLLBACK", detail);
    return BL_EFULL;
}

/* The only connection there is: anything left over is an error. */
int bl_log_sqlite_checkpoint(struct bl_log *log, int mode, struct bl_error_detail *detail)
{
    int n_frames = 0;
    int n_copied = 0;
    int code = sqlite3_wal_checkpoint_v2(log->db, NULL, mode, &n_frames, &n_copied);

    if (code == SQLITE_OK && n_frames != n_copied)
        code = SQLITE_BUSY;
    if (code != SQLITE_OK)
        return bl_log_sqlite_fail(log, code, "wal_checkpoint", detail);
    log->n_wal_frames = 0;
    return BL_OK;
}

void bl_log_sqlite_release(struct bl_log *log)
{
    (void)sqlite3_finalize(log->insert);
    (void)sqlite3_close(log->db);
    if (log->directory >= 0)
        (void)close(log->directory);
    free(log);
}

void bl_log_close(struct bl_log *log)
{
    if (log == NULL)
        return;
    if (log->poison.text[0] == '\0')
        (void)bl_log_sqlite_checkpoint(log, SQLITE_CHECKPOINT_TRUNCATE, NULL);
    bl_log_sqlite_release(log);
}

uint64_t bl_log_epoch(const struct bl_log *log)
{
    return log->epoch;
}

uint64_t bl_log_origin(const struct bl_log *log)
{
    return log->origin;
}

uint64_t bl_log_first(const struct bl_log *log)
{
    return log->first == 0 ? log->serial + 1 : log->first;
}

uint64_t bl_log_serial(const struct bl_log *log)
{
    return log->serial;
}

/* ---- Records ---- */

/* Binds and runs an INSERT of (number, checksum, body). An empty body is a blob of no bytes, not NULL. */
int bl_log_sqlite_insert(sqlite3_stmt *insert, uint64_t number, uint64_t checksum, const struct bl_log_blob *blob)
{
    int code = sqlite3_bind_int64(insert, 1, (sqlite3_int64)number);

    if (code == SQLITE_OK)
        code = sqlite3_bind_int64(insert, 2, (sqlite3_int64)checksum);
    if (code == SQLITE_OK)
        code = blob->length == 0 ? sqlite3_bind_zeroblob(insert, 3, 0)
                                 : sqlite3_bind_blob64(insert, 3, blob->data, blob->length, SQLITE_STATIC);
    if (code == SQLITE_OK)
        code = sqlite3_step(insert);
    (void)sqlite3_reset(insert);
    (void)sqlite3_clear_bindings(insert);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* IMMEDIATE takes the write lock at once: nothing later in the transaction can fail for want of it. */
static int append_rows(struct bl_log *log, const struct bl_log_blob *records, size_t n)
{
    int code = sqlite3_exec(log->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

    for (size_t i = 0; code == SQLITE_OK && i < n; i++)
        code = bl_log_sqlite_insert(
            log->insert, records[i].serial,
            bl_log_sqlite_checksum(log->origin, records[i].serial, records[i].data, records[i].length), &records[i]);
    return code == SQLITE_OK ? sqlite3_exec(log->db, "COMMIT", NULL, NULL, NULL) : code;
}

int bl_log_append(struct bl_log *log, const struct bl_log_blob *records, size_t n, struct bl_error_detail *detail)
{
    int error = BL_OK;
    int code;

    if (log->poison.text[0] != '\0')
        return bl_log_sqlite_poisoned(log, detail);
    for (size_t i = 0; i < n; i++) {
        if (records[i].serial != log->serial + 1 + i)
            return bl_error_set(detail, BL_EORDER, "record %llu: expected serial %llu",
                                (unsigned long long)records[i].serial, (unsigned long long)(log->serial + 1 + i));
    }
    /* Here, not behind the commit: when it fails, nothing of these records was written. */
    if (log->n_wal_frames >= CHECKPOINT_FRAMES)
        error = bl_log_sqlite_checkpoint(log, SQLITE_CHECKPOINT_PASSIVE, detail);
    if (error != BL_OK || n == 0)
        return error;
    code = append_rows(log, records, n);
    if (code != SQLITE_OK)
        return bl_log_sqlite_fail(log, code, "append", detail);
    if (log->first == 0)
        log->first = log->serial + 1;
    log->serial += n;
    return BL_OK;
}

/* The current row of (number, checksum, body), checked. */
int bl_log_sqlite_row(sqlite3_stmt *statement, uint64_t k0, uint64_t k1, struct bl_log_blob *blob,
                      struct bl_error_detail *detail)
{
    static const uint8_t nothing[1];

    blob->data = sqlite3_column_blob(statement, 2);
    blob->length = (size_t)sqlite3_column_bytes(statement, 2);
    if (blob->data == NULL)
        blob->data = nothing;
    if ((uint64_t)sqlite3_column_int64(statement, 1) != bl_log_sqlite_checksum(k0, k1, blob->data, blob->length))
        return bl_error_set(detail, BL_EINVAL, "%s %lld is damaged: its checksum differs",
                            sqlite3_column_name(statement, 0), (long long)sqlite3_column_int64(statement, 0));
    return BL_OK;
}

/* The current row, which must be @serial's. */
static int read_record(struct bl_log *log, sqlite3_stmt *statement, uint64_t serial,
                       int (*each)(void *context, const struct bl_log_blob *record), void *context,
                       struct bl_error_detail *detail)
{
    struct bl_log_blob record = {.serial = serial};
    int error;

    if ((uint64_t)sqlite3_column_int64(statement, 0) != serial)
        return bl_error_set(detail, BL_EINVAL, "record %llu is missing", (unsigned long long)serial);
    error = bl_log_sqlite_row(statement, log->origin, serial, &record, detail);
    return error == BL_OK ? each(context, &record) : error;
}

/* @p n records from @p serial on, by steps of 1 or -1. */
static int read_records(struct bl_log *log, const char *sql, uint64_t serial, uint64_t n, int step,
                        int (*each)(void *context, const struct bl_log_blob *record), void *context,
                        struct bl_error_detail *detail)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(log->db, sql, -1, &statement, NULL);
    int error = BL_OK;

    if (code == SQLITE_OK)
        code = sqlite3_bind_int64(statement, 1, (sqlite3_int64)serial);
    for (; code == SQLITE_OK && error == BL_OK && n != 0; n--, serial += (uint64_t)(int64_t)step) {
        code = sqlite3_step(statement);
        if (code != SQLITE_ROW)
            break;
        code = SQLITE_OK;
        error = read_record(log, statement, serial, each, context, detail);
    }
    if (error == BL_OK && code == SQLITE_DONE)
        error = bl_error_set(detail, BL_EINVAL, "record %llu is missing", (unsigned long long)serial);
    else if (error == BL_OK && code != SQLITE_OK)
        error = bl_log_sqlite_refuse(log->db, bl_log_sqlite_error(code), "reading records", detail);
    (void)sqlite3_finalize(statement);
    return error;
}

int bl_log_read(struct bl_log *log, uint64_t from_serial, int (*each)(void *context, const struct bl_log_blob *record),
                void *context, struct bl_error_detail *detail)
{
    static const char sql[] = "SELECT serial, checksum, body FROM record WHERE serial >= ?1 ORDER BY serial";
    uint64_t first = from_serial == 0 ? 1 : from_serial;

    if (first > log->serial)
        return BL_OK;
    return read_records(log, sql, first, log->serial - first + 1, 1, each, context, detail);
}

int bl_log_read_back(struct bl_log *log, uint64_t from_serial,
                     int (*each)(void *context, const struct bl_log_blob *record), void *context,
                     struct bl_error_detail *detail)
{
    static const char sql[] = "SELECT serial, checksum, body FROM record WHERE serial <= ?1 ORDER BY serial DESC";
    uint64_t last = from_serial < log->serial ? from_serial : log->serial;

    if (log->first == 0 || last < log->first)
        return BL_OK;
    return read_records(log, sql, last, last - log->first + 1, -1, each, context, detail);
}
