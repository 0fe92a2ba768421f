/* The snapshot beside the records, their deletion, and the reserve; see log_sqlite.h. */
#define _GNU_SOURCE /* fallocate */
#include "controlplane/log_sqlite.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { GENERATION_SHIFT = 32 };

/* Generations come again after as many snapshots as nobody lives to see. */
static uint64_t generation_of(uint64_t parts)
{
    return parts >> GENERATION_SHIFT << GENERATION_SHIFT;
}

static uint64_t count_of(uint64_t parts)
{
    return parts - generation_of(parts);
}

/* For two numbers of ours in a statement that runs now and then: no text from outside gets here. */
int bl_log_sqlite_run(sqlite3 *db, const char *format, uint64_t a, uint64_t b)
{
    char sql[256];

    (void)sqlite3_snprintf((int)sizeof(sql), sql, format, (sqlite3_int64)a, (sqlite3_int64)b);
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* ---- The snapshot ---- */

uint64_t bl_log_snapshot_serial(const struct bl_log *log)
{
    return log->snapshot_serial;
}

int bl_log_snapshot_begin(struct bl_log *log, uint64_t serial, struct bl_error_detail *detail)
{
    if (log->poison.text[0] != '\0')
        return bl_log_sqlite_poisoned(log, detail);
    if (serial == 0 || serial > log->serial)
        return bl_error_set(detail, BL_EORDER, "snapshot at serial %llu: expected 1..%llu", (unsigned long long)serial,
                            (unsigned long long)log->serial);
    log->building_serial = serial;
    log->building_parts = (generation_of(log->snapshot_parts) + ((uint64_t)1 << GENERATION_SHIFT)) & INT64_MAX;
    return BL_OK;
}

int bl_log_snapshot_add(struct bl_log *log, const struct bl_log_blob *part, struct bl_error_detail *detail)
{
    sqlite3_stmt *insert = NULL;
    int code;

    if (log->poison.text[0] != '\0')
        return bl_log_sqlite_poisoned(log, detail);
    code = sqlite3_prepare_v2(log->db, "INSERT INTO snapshot VALUES(?1, ?2, ?3)", -1, &insert, NULL);
    if (code == SQLITE_OK)
        code = bl_log_sqlite_insert(insert, log->building_parts,
                                    bl_log_sqlite_checksum(log->origin ^ log->building_serial,
                                                           count_of(log->building_parts), part->data, part->length),
                                    part);
    (void)sqlite3_finalize(insert);
    if (code != SQLITE_OK)
        return bl_log_sqlite_fail(log, code, "writing a snapshot", detail);
    log->building_parts++;
    return BL_OK;
}

int bl_log_snapshot_end(struct bl_log *log, struct bl_error_detail *detail)
{
    int code;

    if (log->poison.text[0] != '\0')
        return bl_log_sqlite_poisoned(log, detail);
    code = bl_log_sqlite_run(log->db, "UPDATE meta SET snapshot_serial = %lld, snapshot_parts = %lld",
                             log->building_serial, log->building_parts);
    if (code != SQLITE_OK)
        return bl_log_sqlite_fail(log, code, "writing a snapshot", detail);
    log->snapshot_serial = log->building_serial;
    log->snapshot_parts = log->building_parts;
    log->building_serial = 0;
    return BL_OK;
}

int bl_log_snapshot_sweep(struct bl_log *log, struct bl_error_detail *detail)
{
    int code;

    if (log->poison.text[0] != '\0')
        return bl_log_sqlite_poisoned(log, detail);
    code = bl_log_sqlite_run(log->db,
                             "DELETE FROM snapshot WHERE part = (SELECT part FROM snapshot WHERE part < %lld OR"
                             " part >= %lld LIMIT 1)",
                             generation_of(log->snapshot_parts),
                             generation_of(log->snapshot_parts) + ((uint64_t)1 << GENERATION_SHIFT));
    if (code != SQLITE_OK)
        return bl_log_sqlite_fail(log, code, "sweeping a snapshot", detail);
    return sqlite3_changes(log->db) != 0;
}

int bl_log_read_snapshot(struct bl_log *log, uint64_t *serial,
                         int (*each)(void *context, const struct bl_log_blob *part), void *context,
                         struct bl_error_detail *detail)
{
    static const char sql[] = "SELECT part, checksum, body FROM snapshot WHERE part >= ?1 AND part < ?2 ORDER BY part";
    uint64_t base = generation_of(log->snapshot_parts);
    struct bl_log_blob part = {.serial = log->snapshot_serial};
    sqlite3_stmt *statement = NULL;
    uint64_t n = 0;
    int code = sqlite3_prepare_v2(log->db, sql, -1, &statement, NULL);
    int error = code == SQLITE_OK ? BL_OK : bl_log_sqlite_refuse(log->db, bl_log_sqlite_error(code), sql, detail);

    (void)sqlite3_bind_int64(statement, 1, (sqlite3_int64)base);
    (void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)(base + ((uint64_t)1 << GENERATION_SHIFT)));
    *serial = log->snapshot_serial;
    while (error == BL_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        if ((uint64_t)sqlite3_column_int64(statement, 0) != base + n)
            error = bl_error_set(detail, BL_EINVAL, "part %llu of the snapshot is missing", (unsigned long long)n);
        if (error == BL_OK)
            error = bl_log_sqlite_row(statement, log->origin ^ log->snapshot_serial, n, &part, detail);
        if (error == BL_OK)
            error = each(context, &part);
        n++;
    }
    if (error == BL_OK && code != SQLITE_DONE)
        error = bl_log_sqlite_refuse(log->db, bl_log_sqlite_error(code), "reading the snapshot", detail);
    if (error == BL_OK && n != count_of(log->snapshot_parts))
        error = bl_error_set(detail, BL_EINVAL, "the snapshot has %llu parts: expected %llu", (unsigned long long)n,
                             (unsigned long long)count_of(log->snapshot_parts));
    (void)sqlite3_finalize(statement);
    return error;
}

/* ---- Deletion ---- */

int bl_log_drop(struct bl_log *log, uint64_t last_serial, struct bl_error_detail *detail)
{
    uint64_t last = last_serial < log->snapshot_serial ? last_serial : log->snapshot_serial;
    int code;

    if (log->poison.text[0] != '\0')
        return bl_log_sqlite_poisoned(log, detail);
    if (last >= log->serial)
        last = log->serial - 1;
    if (log->first == 0 || last < log->first)
        return BL_OK;
    if (last - log->first >= BL_LOG_DROP_MAX)
        last = log->first + BL_LOG_DROP_MAX - 1;
    code = bl_log_sqlite_run(log->db, "DELETE FROM record WHERE serial BETWEEN %lld AND %lld", log->first, last);
    if (code != SQLITE_OK)
        return bl_log_sqlite_fail(log, code, "deleting old records", detail);
    log->first = last + 1;
    return BL_OK;
}

/* ---- The reserve ---- */

/* Beside the reserve: enough for some hundred small commits. */
static bool is_room(const struct bl_log *log)
{
    struct statvfs disk;

    return fstatvfs(log->directory, &disk) != 0 || (uint64_t)disk.f_bavail * disk.f_frsize >= BL_LOG_ROOM_BYTES;
}

/* Blocks, not a hole: fallocate says whether they are there. */
int bl_log_reserve_hold(struct bl_log *log)
{
    int file;

    if (log->reserved)
        return is_room(log) ? BL_OK : BL_EFULL;
    file = openat(log->directory, BL_LOG_SQLITE_RESERVE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0)
        return BL_EFULL;
    log->reserved = fallocate(file, 0, 0, BL_LOG_RESERVE_BYTES) == 0;
    (void)close(file);
    if (!log->reserved)
        (void)unlinkat(log->directory, BL_LOG_SQLITE_RESERVE, 0);
    return log->reserved && is_room(log) ? BL_OK : BL_EFULL;
}

int bl_log_reserve_give(struct bl_log *log, struct bl_error_detail *detail)
{
    if (!log->reserved)
        return bl_error_set(detail, BL_EFULL, "disk full, and the reserve is used up");
    log->reserved = false;
    (void)unlinkat(log->directory, BL_LOG_SQLITE_RESERVE, 0);
    return bl_log_sqlite_checkpoint(log, SQLITE_CHECKPOINT_PASSIVE, detail);
}
