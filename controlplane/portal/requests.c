/* See requests.h. */
#include "controlplane/portal/requests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/notice.h"
#include "controlplane/portal/requests_parts.h"

enum { HOUR_MS = 3600 * 1000, DAY_MS = 24 * HOUR_MS, BUSY_MS = 5000 };

static const char schema[] =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
    "CREATE TABLE IF NOT EXISTS request(id INTEGER PRIMARY KEY AUTOINCREMENT, token_hash BLOB NOT NULL UNIQUE,"
    " nonce BLOB NOT NULL, email TEXT NOT NULL, mailbox TEXT NOT NULL, address TEXT NOT NULL, language INTEGER NOT "
    "NULL,"
    " source TEXT NOT NULL, network TEXT NOT NULL, state INTEGER NOT NULL DEFAULT 0, created_ms INTEGER NOT NULL,"
    " expires_ms INTEGER NOT NULL, outcome INTEGER NOT NULL DEFAULT 0, refusal INTEGER NOT NULL DEFAULT 0,"
    " enforced INTEGER NOT NULL DEFAULT 0, serial INTEGER NOT NULL DEFAULT 0, n_enforced INTEGER NOT NULL DEFAULT 0,"
    " n_connected INTEGER NOT NULL DEFAULT 0, took_us INTEGER NOT NULL DEFAULT 0, detail TEXT NOT NULL DEFAULT '');"
    "CREATE INDEX IF NOT EXISTS request_mailbox ON request(mailbox, created_ms);"
    "CREATE INDEX IF NOT EXISTS request_source ON request(source, created_ms);"
    "CREATE INDEX IF NOT EXISTS request_network ON request(network, created_ms);"
    "CREATE INDEX IF NOT EXISTS request_created ON request(created_ms);"
    "CREATE TABLE IF NOT EXISTS mail(id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " request INTEGER NOT NULL REFERENCES request(id) ON DELETE CASCADE, kind INTEGER NOT NULL,"
    " state INTEGER NOT NULL DEFAULT 0, n_attempts INTEGER NOT NULL DEFAULT 0, due_ms INTEGER NOT NULL,"
    " cause TEXT NOT NULL DEFAULT '', UNIQUE(request, kind));"
    "CREATE INDEX IF NOT EXISTS mail_due ON mail(due_ms) WHERE state = 0;"
    "CREATE TABLE IF NOT EXISTS request_address(request INTEGER NOT NULL REFERENCES request(id) ON DELETE CASCADE,"
    " number INTEGER NOT NULL, unit TEXT NOT NULL, unit_outcome INTEGER NOT NULL DEFAULT 0,"
    " unit_refusal INTEGER NOT NULL DEFAULT 0, unit_detail TEXT NOT NULL DEFAULT '', PRIMARY KEY(request, number))"
    " WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS lookup(request INTEGER PRIMARY KEY REFERENCES request(id) ON DELETE CASCADE,"
    " state INTEGER NOT NULL DEFAULT 0, n_attempts INTEGER NOT NULL DEFAULT 0, due_ms INTEGER NOT NULL,"
    " cause TEXT NOT NULL DEFAULT '');"
    "CREATE INDEX IF NOT EXISTS lookup_due ON lookup(due_ms) WHERE state = 0;"
    "UPDATE mail SET state = 4, cause = 'the portal ended while it was handed over' WHERE state = 1;";

int bl_requests_say_failed(struct bl_requests *requests)
{
    bl_notice_write("portal's store: %s", sqlite3_errmsg(requests->db));
    return BL_EIO;
}

int bl_requests_open(struct bl_requests **out, const char *path, const struct bl_settings_portal *settings,
                     struct bl_error_detail *detail)
{
    struct bl_requests *requests = calloc(1, sizeof(*requests));
    char *cause = NULL;

    if (requests == NULL)
        return BL_ENOMEM;
    requests->settings = settings;
    (void)pthread_mutex_init(&requests->lock, NULL);
    if (sqlite3_open(path, &requests->db) != SQLITE_OK || sqlite3_busy_timeout(requests->db, BUSY_MS) != SQLITE_OK ||
        sqlite3_exec(requests->db, schema, NULL, NULL, &cause) != SQLITE_OK) {
        (void)bl_error_set(detail, BL_EIO, "%s: %s", path, cause != NULL ? cause : sqlite3_errmsg(requests->db));
        sqlite3_free(cause);
        bl_requests_close(requests);
        return BL_EIO;
    }
    *out = requests;
    return BL_OK;
}

void bl_requests_close(struct bl_requests *requests)
{
    if (requests == NULL)
        return;
    (void)sqlite3_close(requests->db);
    (void)pthread_mutex_destroy(&requests->lock);
    free(requests);
}

sqlite3_stmt *bl_requests_prepare(struct bl_requests *requests, const char *sql)
{
    sqlite3_stmt *statement = NULL;

    if (sqlite3_prepare_v2(requests->db, sql, -1, &statement, NULL) != SQLITE_OK)
        (void)bl_requests_say_failed(requests);
    return statement;
}

static bool execute(struct bl_requests *requests, const char *sql)
{
    return sqlite3_exec(requests->db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

bool bl_requests_run(sqlite3_stmt *statement)
{
    bool done = statement != NULL && sqlite3_step(statement) == SQLITE_DONE;

    return sqlite3_finalize(statement) == SQLITE_OK && done;
}

bool bl_requests_begin(struct bl_requests *requests)
{
    return execute(requests, "BEGIN IMMEDIATE");
}

bool bl_requests_end(struct bl_requests *requests, bool well)
{
    if (well && execute(requests, "COMMIT"))
        return true;
    (void)bl_requests_say_failed(requests);
    (void)execute(requests, "ROLLBACK");
    return false;
}

/* Rows with the text since then; text NULL: all. @return -1 on failure. */
static int64_t count_since(struct bl_requests *requests, const char *sql, const char *text, int64_t since_ms)
{
    sqlite3_stmt *statement = bl_requests_prepare(requests, sql);
    int64_t n = -1;

    if (statement == NULL)
        return -1;
    (void)sqlite3_bind_int64(statement, 1, since_ms);
    if (text != NULL)
        (void)sqlite3_bind_text(statement, 2, text, -1, SQLITE_STATIC);
    if (sqlite3_step(statement) == SQLITE_ROW)
        n = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    return n;
}

int64_t bl_requests_count_mails(struct bl_requests *requests, const char *mailbox, int64_t now_ms)
{
    return count_since(requests,
                       "SELECT count(*) FROM request JOIN mail ON mail.request = request.id WHERE"
                       " created_ms > ?1 AND mailbox = ?2 AND kind = 1 AND mail.state <> 5",
                       mailbox, now_ms - DAY_MS);
}

/* A request by name mails nobody yet: its mailboxes are judged when they are known. */
static enum bl_admission judge(struct bl_requests *requests, const struct bl_request *request,
                               const struct bl_requests_entry *entry)
{
    const struct bl_settings_portal *settings = requests->settings;
    char mailbox[BL_CLAIM_EMAIL_MAX + 1];
    int64_t hour_ms = request->created_ms - HOUR_MS;
    int64_t n_source = count_since(requests, "SELECT count(*) FROM request WHERE created_ms > ?1 AND source = ?2",
                                   entry->source, hour_ms);
    int64_t n_network = count_since(requests, "SELECT count(*) FROM request WHERE created_ms > ?1 AND network = ?2",
                                    entry->network, hour_ms);
    int64_t n_all = count_since(requests, "SELECT count(*) FROM request WHERE created_ms > ?1", NULL, hour_ms);
    int64_t n_mailbox;

    bl_claim_email_fold(request->email, mailbox);
    n_mailbox =
        request->state == BL_REQUEST_BY_NAME ? 0 : bl_requests_count_mails(requests, mailbox, request->created_ms);
    if (n_source < 0 || n_network < 0 || n_all < 0 || n_mailbox < 0)
        return BL_ADMISSION_FAILED;
    if (n_source >= settings->requests_per_source_hour || n_network >= settings->requests_per_network_hour)
        return BL_ADMISSION_SOURCE;
    if (n_all >= settings->requests_per_hour)
        return BL_ADMISSION_ALL;
    return n_mailbox >= settings->mails_per_address_day ? BL_ADMISSION_QUIET : BL_ADMISSION_ACCEPTED;
}

bool bl_requests_put_mail(struct bl_requests *requests, int64_t request, enum bl_mail_kind kind,
                          enum bl_mail_state state, int64_t due_ms)
{
    sqlite3_stmt *statement =
        bl_requests_prepare(requests, "INSERT INTO mail(request, kind, state, due_ms) VALUES(?, ?, ?, ?)");

    (void)sqlite3_bind_int64(statement, 1, request);
    (void)sqlite3_bind_int(statement, 2, kind);
    (void)sqlite3_bind_int(statement, 3, (int)state);
    (void)sqlite3_bind_int64(statement, 4, due_ms);
    return bl_requests_run(statement);
}

bool bl_requests_insert(struct bl_requests *requests, struct bl_request *request, const struct bl_requests_entry *entry)
{
    sqlite3_stmt *statement = bl_requests_prepare(
        requests, "INSERT INTO request(token_hash, nonce, email, mailbox, address, language, source, network, state,"
                  " created_ms, expires_ms) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    char mailbox[BL_CLAIM_EMAIL_MAX + 1] = "";

    if (request->state != BL_REQUEST_BY_NAME)
        bl_claim_email_fold(request->email, mailbox);
    (void)sqlite3_bind_blob(statement, 1, entry->token_hash, BL_SECRET_HASH_BYTES, SQLITE_STATIC);
    (void)sqlite3_bind_blob(statement, 2, request->nonce, BL_SECRET_NONCE_BYTES, SQLITE_STATIC);
    (void)sqlite3_bind_text(statement, 3, request->email, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(statement, 4, mailbox, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(statement, 5, request->address, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int(statement, 6, (int)request->language);
    (void)sqlite3_bind_text(statement, 7, entry->source, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(statement, 8, entry->network, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int(statement, 9, (int)request->state);
    (void)sqlite3_bind_int64(statement, 10, request->created_ms);
    (void)sqlite3_bind_int64(statement, 11, request->expires_ms);
    if (!bl_requests_run(statement))
        return false;
    request->id = sqlite3_last_insert_rowid(requests->db);
    return entry->items == NULL || bl_ranges_insert(requests, request->id, entry->items);
}

static bool store(struct bl_requests *requests, struct bl_request *request, const struct bl_requests_entry *entry,
                  enum bl_mail_state mail)
{
    if (!bl_requests_insert(requests, request, entry))
        return false;
    if (request->state == BL_REQUEST_BY_NAME)
        return bl_lookups_queue(requests, request->id, entry->due_ms);
    return bl_requests_put_mail(requests, request->id, BL_MAIL_LINK, mail, entry->due_ms);
}

enum bl_admission bl_requests_admit(struct bl_requests *requests, struct bl_request *request,
                                    const struct bl_requests_entry *entry)
{
    enum bl_admission admission;

    (void)pthread_mutex_lock(&requests->lock);
    admission = judge(requests, request, entry);
    if (admission == BL_ADMISSION_ACCEPTED || admission == BL_ADMISSION_QUIET) {
        bool well =
            bl_requests_begin(requests) &&
            store(requests, request, entry, admission == BL_ADMISSION_QUIET ? BL_MAIL_WITHHELD : BL_MAIL_QUEUED);

        if (!bl_requests_end(requests, well))
            admission = BL_ADMISSION_FAILED;
    }
    (void)pthread_mutex_unlock(&requests->lock);
    return admission;
}

void bl_requests_read_text(sqlite3_stmt *statement, int column, char *out, size_t size)
{
    const unsigned char *text = sqlite3_column_text(statement, column);

    (void)snprintf(out, size, "%s", text == NULL ? "" : (const char *)text);
}

void bl_requests_read_request(sqlite3_stmt *statement, int column, struct bl_request *out)
{
    const void *nonce = sqlite3_column_blob(statement, column + 1);

    memset(out, 0, sizeof(*out));
    out->id = sqlite3_column_int64(statement, column);
    if (nonce != NULL && sqlite3_column_bytes(statement, column + 1) == BL_SECRET_NONCE_BYTES)
        memcpy(out->nonce, nonce, sizeof(out->nonce));
    bl_requests_read_text(statement, column + 2, out->email, sizeof(out->email));
    bl_requests_read_text(statement, column + 3, out->address, sizeof(out->address));
    out->language = sqlite3_column_int(statement, column + 4) == BL_LANGUAGE_NL ? BL_LANGUAGE_NL : BL_LANGUAGE_EN;
    out->state = (enum bl_request_state)sqlite3_column_int(statement, column + 5);
    out->created_ms = sqlite3_column_int64(statement, column + 6);
    out->expires_ms = sqlite3_column_int64(statement, column + 7);
    out->result.outcome = (unsigned)sqlite3_column_int(statement, column + 8);
    out->result.refusal = (unsigned)sqlite3_column_int(statement, column + 9);
    out->result.enforced = sqlite3_column_int(statement, column + 10) != 0;
    out->result.serial = (uint64_t)sqlite3_column_int64(statement, column + 11);
    out->result.n_enforced = (uint32_t)sqlite3_column_int64(statement, column + 12);
    out->result.n_connected = (uint32_t)sqlite3_column_int64(statement, column + 13);
    out->result.took_us = (uint64_t)sqlite3_column_int64(statement, column + 14);
    bl_requests_read_text(statement, column + 15, out->result.detail, sizeof(out->result.detail));
    out->named = sqlite3_column_int(statement, column + 16) != 0;
    out->n_addresses = (uint32_t)sqlite3_column_int64(statement, column + 17);
}

int bl_requests_find(struct bl_requests *requests, const uint8_t token_hash[BL_SECRET_HASH_BYTES],
                     struct bl_request *out)
{
    sqlite3_stmt *statement;
    int error = BL_EIO;
    int step;

    (void)pthread_mutex_lock(&requests->lock);
    statement = bl_requests_prepare(requests, "SELECT " BL_REQUESTS_COLUMNS " FROM request WHERE token_hash = ?"
                                              " AND state <> 3");
    if (statement != NULL) {
        (void)sqlite3_bind_blob(statement, 1, token_hash, BL_SECRET_HASH_BYTES, SQLITE_STATIC);
        step = sqlite3_step(statement);
        if (step == SQLITE_ROW)
            bl_requests_read_request(statement, 0, out);
        error = step == SQLITE_ROW ? BL_OK : step == SQLITE_DONE ? BL_ENOENT : bl_requests_say_failed(requests);
        (void)sqlite3_finalize(statement);
    }
    (void)pthread_mutex_unlock(&requests->lock);
    return error;
}

int bl_requests_press(struct bl_requests *requests, int64_t id)
{
    sqlite3_stmt *statement;
    int error = BL_EIO;

    (void)pthread_mutex_lock(&requests->lock);
    statement = bl_requests_prepare(requests, "UPDATE request SET state = 1 WHERE id = ? AND state = 0");
    (void)sqlite3_bind_int64(statement, 1, id);
    if (bl_requests_run(statement))
        error = sqlite3_changes(requests->db) == 1 ? BL_OK : BL_ECONFLICT;
    (void)pthread_mutex_unlock(&requests->lock);
    return error;
}

static bool update_result(struct bl_requests *requests, int64_t id, const struct bl_control_result *result)
{
    sqlite3_stmt *statement = bl_requests_prepare(
        requests, "UPDATE request SET state = 2, outcome = ?, refusal = ?, enforced = ?, serial = ?,"
                  " n_enforced = ?, n_connected = ?, took_us = ?, detail = ? WHERE id = ? AND state = 1");

    (void)sqlite3_bind_int(statement, 1, (int)result->outcome);
    (void)sqlite3_bind_int(statement, 2, (int)result->refusal);
    (void)sqlite3_bind_int(statement, 3, result->enforced);
    (void)sqlite3_bind_int64(statement, 4, (int64_t)result->serial);
    (void)sqlite3_bind_int64(statement, 5, result->n_enforced);
    (void)sqlite3_bind_int64(statement, 6, result->n_connected);
    (void)sqlite3_bind_int64(statement, 7, (int64_t)result->took_us);
    (void)sqlite3_bind_text(statement, 8, result->detail, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(statement, 9, id);
    return bl_requests_run(statement);
}

int bl_requests_finish(struct bl_requests *requests, int64_t id, const struct bl_control_result *result,
                       const struct bl_control_items *items, int64_t now_ms)
{
    bool changed = false;
    bool well;

    (void)pthread_mutex_lock(&requests->lock);
    well = bl_requests_begin(requests);
    well = well && update_result(requests, id, result);
    changed = well && sqlite3_changes(requests->db) == 1;
    if (changed && items != NULL)
        well = bl_ranges_update(requests, id, items);
    if (changed && well)
        well = bl_requests_put_mail(requests, id, BL_MAIL_RECEIPT, BL_MAIL_QUEUED, now_ms);
    well = bl_requests_end(requests, well);
    (void)pthread_mutex_unlock(&requests->lock);
    if (!well)
        return BL_EIO;
    return changed ? BL_OK : BL_ECONFLICT;
}

int bl_requests_next_mail(struct bl_requests *requests, int64_t now_ms, struct bl_mail *out, int64_t *next_ms)
{
    sqlite3_stmt *statement;
    int error = BL_EIO;
    int step;

    *next_ms = 0;
    (void)pthread_mutex_lock(&requests->lock);
    statement =
        bl_requests_prepare(requests, "SELECT due_ms, mail.id, kind, n_attempts, " BL_REQUESTS_COLUMNS
                                      " FROM mail JOIN request ON request.id = mail.request WHERE mail.state = 0"
                                      " ORDER BY due_ms LIMIT 1");
    if (statement != NULL) {
        step = sqlite3_step(statement);
        error = step == SQLITE_DONE ? BL_ENOENT : step == SQLITE_ROW ? BL_OK : bl_requests_say_failed(requests);
        if (step == SQLITE_ROW && sqlite3_column_int64(statement, 0) > now_ms) {
            *next_ms = sqlite3_column_int64(statement, 0);
            error = BL_ENOENT;
        } else if (step == SQLITE_ROW) {
            out->id = sqlite3_column_int64(statement, 1);
            out->kind = (enum bl_mail_kind)sqlite3_column_int(statement, 2);
            out->n_attempts = (uint32_t)sqlite3_column_int64(statement, 3);
            bl_requests_read_request(statement, 4, &out->request);
        }
        (void)sqlite3_finalize(statement);
    }
    (void)pthread_mutex_unlock(&requests->lock);
    return error;
}

int bl_requests_mark_mail(struct bl_requests *requests, int64_t id, enum bl_mail_state state, int64_t due_ms,
                          const char *cause)
{
    sqlite3_stmt *statement;
    bool well;

    (void)pthread_mutex_lock(&requests->lock);
    statement =
        bl_requests_prepare(requests, "UPDATE mail SET n_attempts = n_attempts + (?1 <> 1), state = ?1, due_ms = ?2,"
                                      " cause = ?3 WHERE id = ?4");
    (void)sqlite3_bind_int(statement, 1, (int)state);
    (void)sqlite3_bind_int64(statement, 2, due_ms);
    (void)sqlite3_bind_text(statement, 3, cause, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(statement, 4, id);
    well = bl_requests_run(statement);
    if (!well)
        (void)bl_requests_say_failed(requests);
    (void)pthread_mutex_unlock(&requests->lock);
    return well ? BL_OK : BL_EIO;
}

void bl_requests_purge(struct bl_requests *requests, int64_t now_ms)
{
    sqlite3_stmt *statement;

    (void)pthread_mutex_lock(&requests->lock);
    statement = bl_requests_prepare(requests, "DELETE FROM request WHERE expires_ms < ?");
    (void)sqlite3_bind_int64(statement, 1, now_ms - 7 * (int64_t)DAY_MS);
    if (!bl_requests_run(statement))
        (void)bl_requests_say_failed(requests);
    (void)pthread_mutex_unlock(&requests->lock);
}
