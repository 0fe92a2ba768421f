/* A copy of the log while it is written to, and its new epoch when it comes back; see log_sqlite.h.
 *
 * SQLite's backup copies some pages at a time. What the writer changes between two steps goes through the same connection,
 * which writes it to the copy as well: so the copy is of the moment of its last step, and no step begins anew. */
#include "controlplane/log_sqlite.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* 256 KiB: what an append may have to wait for. */
enum { STEP_PAGES = 64 };

struct bl_log_copy {
    sqlite3 *db;
    sqlite3_backup *backup;
};

int bl_log_copy_begin(struct bl_log *log, const char *path, struct bl_log_copy **out, struct bl_error_detail *detail)
{
    struct bl_log_copy *copy = calloc(1, sizeof(*copy));
    int code;

    if (copy == NULL)
        return BL_ENOMEM;
    code = sqlite3_open_v2(path, &copy->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    /* Whoever wants the file syncs it; half of it is no use to anybody. */
    if (code == SQLITE_OK)
        code = sqlite3_exec(copy->db, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF", NULL, NULL, NULL);
    if (code == SQLITE_OK)
        copy->backup = sqlite3_backup_init(copy->db, "main", log->db, "main");
    if (copy->backup == NULL) {
        (void)bl_log_sqlite_refuse(copy->db, BL_EIO, path, detail);
        bl_log_copy_end(copy);
        return BL_EIO;
    }
    *out = copy;
    return BL_OK;
}

int bl_log_copy_step(struct bl_log_copy *copy, struct bl_error_detail *detail)
{
    int code = sqlite3_backup_step(copy->backup, STEP_PAGES);

    if (code == SQLITE_OK)
        return 1;
    if (code == SQLITE_DONE)
        return 0;
    return bl_error_set(detail, (code & 0xff) == SQLITE_FULL ? BL_EFULL : BL_EIO, "copying the log: %s",
                        sqlite3_errstr(code));
}

void bl_log_copy_end(struct bl_log_copy *copy)
{
    (void)sqlite3_backup_finish(copy->backup);
    (void)sqlite3_close(copy->db);
    free(copy);
}

int bl_log_renew(struct bl_log *log, struct bl_error_detail *detail)
{
    uint64_t epoch = 0;
    int code;

    while (epoch == 0 || epoch == log->epoch || epoch == log->origin)
        if (getrandom(&epoch, sizeof(epoch), 0) != (ssize_t)sizeof(epoch))
            return bl_error_set(detail, BL_EIO, "no random numbers from the system");
    code = bl_log_sqlite_run(log->db, "UPDATE meta SET epoch = %lld", epoch, 0);
    if (code != SQLITE_OK)
        return bl_log_sqlite_fail(log, code, "the new epoch", detail);
    log->epoch = epoch;
    return BL_OK;
}
