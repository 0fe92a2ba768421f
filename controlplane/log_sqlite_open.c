/* Opens the log: lock, WAL, format, checks; see log_sqlite.h for why in this order. */
#include "controlplane/log_sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bounceline/version.h"

/* "BLlg" */
enum { APPLICATION_ID = 0x424c6c67 };

/* Files up to this size are checked as a whole at open. */
enum { QUICK_CHECK_BYTES_MAX = 64 << 20 };

static const char schema[] =
    "CREATE TABLE record(serial INTEGER PRIMARY KEY, checksum INTEGER NOT NULL, body BLOB NOT NULL) STRICT;"
    "CREATE TABLE snapshot(part INTEGER PRIMARY KEY, checksum INTEGER NOT NULL, body BLOB NOT NULL) STRICT;"
    "CREATE TABLE meta(id INTEGER PRIMARY KEY CHECK(id = 0), epoch INTEGER NOT NULL, snapshot_serial INTEGER NOT NULL,"
    " snapshot_parts INTEGER NOT NULL, origin INTEGER NOT NULL) STRICT;";

/* What was version 1. */
static const char upgrade[] = "BEGIN EXCLUSIVE; ALTER TABLE meta ADD COLUMN origin INTEGER NOT NULL DEFAULT 0;"
                              "UPDATE meta SET origin = epoch; PRAGMA user_version = 2; COMMIT";
_Static_assert(BL_VERSION_LOG == 2, "what is written here makes a log of version 2");

/* Statements without a result that matters. The statement itself is the best name of what failed. */
static int run(sqlite3 *db, const char *sql, struct bl_error_detail *detail)
{
    int code = sqlite3_exec(db, sql, NULL, NULL, NULL);

    return code == SQLITE_OK ? BL_OK : bl_log_sqlite_refuse(db, bl_log_sqlite_error(code), sql, detail);
}

/* The one number that @p sql gives; NULL is 0. */
static int query_integer(sqlite3 *db, const char *sql, int64_t *value, struct bl_error_detail *detail)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *value = sqlite3_column_int64(statement, 0);
    else if (code != SQLITE_DONE)
        (void)bl_log_sqlite_refuse(db, bl_log_sqlite_error(code), sql, detail);
    else
        (void)bl_error_set(detail, BL_EINVAL, "%s: found no row", sql);
    (void)sqlite3_finalize(statement);
    return code == SQLITE_ROW ? BL_OK : code == SQLITE_DONE ? BL_EINVAL : bl_log_sqlite_error(code);
}

/* Makes the directory, and sees to it that its name is on disk. */
static int make_directory(const char *path, struct bl_error_detail *detail)
{
    char *copy;
    int parent;
    int error = BL_OK;

    if (mkdir(path, 0700) != 0)
        return errno == EEXIST ? BL_OK : bl_error_set(detail, BL_EIO, "%s: can't be made: %s", path, strerror(errno));
    copy = strdup(path);
    parent = copy == NULL ? -1 : open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0 || fsync(parent) != 0)
        error = bl_error_set(detail, BL_EIO, "%s: its parent can't be synced: %s", path, strerror(errno));
    if (parent >= 0)
        (void)close(parent);
    free(copy);
    return error;
}

/* Ours before SQLite's: the WAL is written over before SQLite opens anything, and that must never hit a log in use. The
 * lock goes with the descriptor, so also with a killed process. */
static int lock_directory(struct bl_log *log, const char *path, struct bl_error_detail *detail)
{
    log->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (log->directory < 0)
        return bl_error_set(detail, BL_EIO, "%s: can't be opened: %s", path, strerror(errno));
    if (flock(log->directory, LOCK_EX | LOCK_NB) == 0)
        return BL_OK;
    if (errno == EWOULDBLOCK)
        return bl_error_set(detail, BL_EEXIST, "%s: in use by another process", path);
    return bl_error_set(detail, BL_EIO, "%s: can't be locked: %s", path, strerror(errno));
}

/* Writes each byte over with itself, so that the sync that follows is a real one. A crash in between changes nothing. */
static int rewrite(int file, struct bl_error_detail *detail)
{
    static const char what[] = BL_LOG_SQLITE_FILE "-wal";
    char buffer[65536];
    off_t at = 0;

    for (;;) {
        ssize_t n = pread(file, buffer, sizeof(buffer), at);

        if (n < 0 || (n > 0 && pwrite(file, buffer, (size_t)n, at) != n))
            return bl_error_set(detail, BL_EIO, "%s: can't be written over: %s", what, strerror(errno));
        if (n == 0)
            break;
        at += n;
    }
    if (fsync(file) != 0)
        return bl_error_set(detail, BL_EIO, "%s: can't be synced: %s", what, strerror(errno));
    return BL_OK;
}

/* No WAL is the usual case: a log that was closed in order leaves none, or an empty one. */
static int rewrite_wal(const struct bl_log *log, struct bl_error_detail *detail)
{
    int file = openat(log->directory, BL_LOG_SQLITE_FILE "-wal", O_RDWR | O_CLOEXEC);
    int error;

    if (file < 0)
        return errno == ENOENT
                   ? BL_OK
                   : bl_error_set(detail, BL_EIO, BL_LOG_SQLITE_FILE "-wal: can't be opened: %s", strerror(errno));
    error = rewrite(file, detail);
    (void)close(file);
    return error;
}

/* SQLite's hook behind each commit: the number of frames in the WAL. */
static int count_frames(void *context, sqlite3 *db, const char *database, int n_frames)
{
    struct bl_log *log = context;

    (void)db;
    (void)database;
    log->n_wal_frames = n_frames;
    return SQLITE_OK;
}

/* What can't be said later than here: who may come in, when SQLite syncs, and what a damaged file may do to us. */
static int open_database(struct bl_log *log, const char *path, struct bl_error_detail *detail)
{
    char *file = sqlite3_mprintf("%s/" BL_LOG_SQLITE_FILE, path);
    int code;
    int error;

    if (file == NULL)
        return bl_error_set(detail, BL_EIO, "%s: out of memory", path);
    code = sqlite3_open_v2(file, &log->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    sqlite3_free(file);
    if (code != SQLITE_OK)
        return log->db == NULL ? bl_error_set(detail, BL_EIO, "%s: out of memory", path)
                               : bl_log_sqlite_refuse(log->db, bl_log_sqlite_error(code), path, detail);
    (void)sqlite3_extended_result_codes(log->db, 1);
    (void)sqlite3_db_config(log->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    (void)sqlite3_db_config(log->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(log->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    /* Exclusive before the first access: the WAL's index is then in our memory and no other process comes in. */
    error = run(log->db, "PRAGMA locking_mode = EXCLUSIVE", detail);
    if (error == BL_OK)
        error = run(log->db, "PRAGMA cell_size_check = ON", detail);
    if (error == BL_OK)
        error = run(log->db, "PRAGMA synchronous = FULL", detail);
    return error;
}

/* An empty file becomes a log in one transaction. */
static int create_schema(struct bl_log *log, struct bl_error_detail *detail)
{
    uint64_t epoch = 0;
    char *sql;
    int error;

    while (epoch == 0) {
        if (getrandom(&epoch, sizeof(epoch), 0) != (ssize_t)sizeof(epoch))
            return bl_error_set(detail, BL_EIO, "no random numbers from the system: %s", strerror(errno));
    }
    sql = sqlite3_mprintf("BEGIN EXCLUSIVE; %s INSERT INTO meta VALUES(0, %lld, 0, 0, %lld);"
                          "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
                          schema, (sqlite3_int64)epoch, (sqlite3_int64)epoch, APPLICATION_ID, (int)BL_VERSION_LOG);
    if (sql == NULL)
        return bl_error_set(detail, BL_EIO, "out of memory");
    error = run(log->db, sql, detail);
    sqlite3_free(sql);
    if (error == BL_OK && fsync(log->directory) != 0)
        error = bl_error_set(detail, BL_EIO, "the directory can't be synced: %s", strerror(errno));
    return error;
}

/* Ours, of our version or @old, or empty: then it is made. */
static int check_format(struct bl_log *log, bool *old, struct bl_error_detail *detail)
{
    int64_t application = 0;
    int64_t version = 0;
    int64_t n_objects = 0;
    int error = query_integer(log->db, "PRAGMA application_id", &application, detail);

    if (error == BL_OK)
        error = query_integer(log->db, "PRAGMA user_version", &version, detail);
    if (error == BL_OK)
        error = query_integer(log->db, "SELECT count(*) FROM sqlite_schema", &n_objects, detail);
    if (error != BL_OK)
        return error;
    if (application == 0 && version == 0 && n_objects == 0)
        return create_schema(log, detail);
    if (application != APPLICATION_ID)
        return bl_error_set(detail, BL_EVERSION, "application_id is 0x%llx: expected 0x%x, a log of Bounceline",
                            (unsigned long long)application, (unsigned)APPLICATION_ID);
    if (version < 1 || version > (int64_t)BL_VERSION_LOG)
        return bl_error_set(detail, BL_EVERSION, "the log's format is version %lld: expected 1 to %u",
                            (long long)version, BL_VERSION_LOG);
    *old = version == 1;
    return BL_OK;
}

/* The structure of all b-trees, without the order of their keys: records are checked against their checksums anyway. */
static int quick_check(sqlite3 *db, struct bl_error_detail *detail)
{
    static const char sql[] = "PRAGMA quick_check(1)";
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    int error = BL_OK;

    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code != SQLITE_ROW)
        error = bl_log_sqlite_refuse(db, bl_log_sqlite_error(code), sql, detail);
    else if (strcmp((const char *)sqlite3_column_text(statement, 0), "ok") != 0)
        error = bl_error_set(detail, BL_EINVAL, "the database is damaged: %s", sqlite3_column_text(statement, 0));
    (void)sqlite3_finalize(statement);
    return error;
}

static int check_structure(struct bl_log *log, struct bl_error_detail *detail)
{
    int64_t n_bytes = 0;
    int error = query_integer(log->db, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
                              &n_bytes, detail);

    return error == BL_OK && n_bytes <= QUICK_CHECK_BYTES_MAX ? quick_check(log->db, detail) : error;
}

/* Reads the state, and refuses a gap from the snapshot on (what lies before it is checked when it is read). */
static int load_state(struct bl_log *log, struct bl_error_detail *detail)
{
    int64_t epoch = 0;
    int64_t origin = 0;
    int64_t first = 0;
    int64_t last = 0;
    int64_t snapshot = 0;
    int64_t n_parts = 0;
    int64_t n_after = 0;
    int error = query_integer(log->db, "SELECT epoch FROM meta", &epoch, detail);

    if (error == BL_OK)
        error = query_integer(log->db, "SELECT origin FROM meta", &origin, detail);
    if (error == BL_OK)
        error = query_integer(log->db, "SELECT min(serial) FROM record", &first, detail);
    if (error == BL_OK)
        error = query_integer(log->db, "SELECT max(serial) FROM record", &last, detail);
    if (error == BL_OK)
        error = query_integer(log->db, "SELECT snapshot_serial FROM meta", &snapshot, detail);
    if (error == BL_OK)
        error = query_integer(log->db, "SELECT snapshot_parts FROM meta", &n_parts, detail);
    if (error == BL_OK)
        error = query_integer(log->db, "SELECT count(*) FROM record WHERE serial > (SELECT snapshot_serial FROM meta)",
                              &n_after, detail);
    if (error != BL_OK)
        return error;
    if (epoch == 0 || origin == 0)
        return bl_error_set(detail, BL_EINVAL, "the log has no epoch");
    if (snapshot < 0 || n_parts < 0)
        return bl_error_set(detail, BL_EINVAL, "the snapshot is at serial %lld, of %lld parts", (long long)snapshot,
                            (long long)n_parts);
    /* A restored log begins as a snapshot alone. */
    if (last == 0)
        last = snapshot;
    if (first > snapshot + 1)
        return bl_error_set(detail, BL_EINVAL, "the first record is %lld: expected at most %lld, behind the snapshot",
                            (long long)first, (long long)snapshot + 1);
    if (last < snapshot)
        return bl_error_set(detail, BL_EINVAL,
                            "the snapshot is at serial %lld and the last record is %lld: expected "
                            "records up to the snapshot",
                            (long long)snapshot, (long long)last);
    if (n_after != last - snapshot)
        return bl_error_set(detail, BL_EINVAL, "found %lld records from %lld to %lld: expected %lld, without a gap",
                            (long long)n_after, (long long)snapshot + 1, (long long)last, (long long)(last - snapshot));
    log->epoch = (uint64_t)epoch;
    log->origin = (uint64_t)origin;
    log->first = (uint64_t)first;
    log->serial = (uint64_t)last;
    log->snapshot_serial = (uint64_t)snapshot;
    log->snapshot_parts = (uint64_t)n_parts;
    return BL_OK;
}

/* SQLite answers with the mode it is in, and calls a refusal to change no error. The change itself is committed behind
 * that answer: its error comes with the next step. */
static int enter_wal(sqlite3 *db, struct bl_error_detail *detail)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, "PRAGMA journal_mode = WAL", -1, &statement, NULL);
    int error = BL_OK;

    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(statement, 0), "wal") != 0)
        error = bl_error_set(detail, BL_EIO, "the journal mode is %s: expected wal", sqlite3_column_text(statement, 0));
    if (code == SQLITE_ROW && error == BL_OK)
        code = sqlite3_step(statement);
    if (error == BL_OK && code != SQLITE_DONE)
        error = bl_log_sqlite_refuse(db, bl_log_sqlite_error(code), "journal_mode", detail);
    (void)sqlite3_finalize(statement);
    return error;
}

/* The order matters: nothing is read before the lock and the rewritten WAL, nothing appended before the checkpoint. */
static int open_steps(struct bl_log *log, const char *path, struct bl_error_detail *detail)
{
    static const char sql[] = "INSERT INTO record VALUES(?1, ?2, ?3)";
    bool old = false;
    int error = make_directory(path, detail);

    if (error == BL_OK)
        error = lock_directory(log, path, detail);
    if (error == BL_OK)
        error = rewrite_wal(log, detail);
    if (error == BL_OK)
        error = open_database(log, path, detail);
    if (error == BL_OK)
        error = check_format(log, &old, detail);
    if (error == BL_OK)
        error = enter_wal(log->db, detail);
    if (error == BL_OK)
        error = run(log->db, "PRAGMA journal_size_limit = 67108864", detail);
    if (error == BL_OK)
        (void)sqlite3_wal_hook(log->db, count_frames, log); /* also ends SQLite's own checkpoints */
    if (error == BL_OK)
        error = bl_log_sqlite_checkpoint(log, SQLITE_CHECKPOINT_TRUNCATE, detail);
    if (error == BL_OK)
        error = check_structure(log, detail);
    if (error == BL_OK && old)
        error = run(log->db, upgrade, detail);
    if (error == BL_OK)
        error = load_state(log, detail);
    if (error == BL_OK &&
        sqlite3_prepare_v3(log->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &log->insert, NULL) != SQLITE_OK)
        error = bl_log_sqlite_refuse(log->db, BL_EINVAL, sql, detail);
    return error;
}

int bl_log_open(struct bl_log **out, const char *directory, struct bl_error_detail *detail)
{
    struct bl_error_detail cause = {""};
    struct bl_log *log = calloc(1, sizeof(*log));
    int error;

    if (log == NULL)
        return bl_error_set(detail, BL_EIO, "%s: out of memory", directory);
    log->directory = -1;
    error = open_steps(log, directory, &cause);
    if (error != BL_OK) {
        bl_log_sqlite_release(log);
        return bl_error_set(detail, error, "log %s: %s", directory, cause.text);
    }
    *out = log;
    return BL_OK;
}
