/* See lookups.h. */
#include "controlplane/portal/lookups.h"

#include <stdio.h>
#include <string.h>

#include "controlplane/portal/requests_parts.h"

bool bl_lookups_queue(struct bl_requests *requests, int64_t request, int64_t due_ms)
{
    sqlite3_stmt *statement = bl_requests_prepare(requests, "INSERT INTO lookup(request, due_ms) VALUES(?, ?)");

    (void)sqlite3_bind_int64(statement, 1, request);
    (void)sqlite3_bind_int64(statement, 2, due_ms);
    return bl_requests_run(statement);
}

/* The row of the query below. Of a request without a range, its address is the only item. */
static void read_job(sqlite3_stmt *statement, struct bl_lookup_job *out)
{
    out->request = sqlite3_column_int64(statement, 1);
    out->n_attempts = (uint32_t)sqlite3_column_int64(statement, 2);
    out->items.n = 1;
    memset(&out->items.items[0], 0, sizeof(out->items.items[0]));
    bl_requests_read_text(statement, 3, out->items.items[0].address, sizeof(out->items.items[0].address));
}

int bl_lookups_next(struct bl_requests *requests, int64_t now_ms, int64_t after_id, struct bl_lookup_job *out,
                    int64_t *next_ms)
{
    sqlite3_stmt *statement;
    int error = BL_EIO;

    *next_ms = 0;
    (void)pthread_mutex_lock(&requests->lock);
    statement = bl_requests_prepare(requests, "SELECT due_ms, lookup.request, n_attempts, address FROM lookup"
                                              " JOIN request ON request.id = lookup.request WHERE lookup.state = 0"
                                              " AND lookup.request > ? ORDER BY due_ms LIMIT 1");
    (void)sqlite3_bind_int64(statement, 1, after_id);
    if (statement != NULL) {
        int step = sqlite3_step(statement);

        error = step == SQLITE_DONE ? BL_ENOENT : step == SQLITE_ROW ? BL_OK : bl_requests_say_failed(requests);
        if (step == SQLITE_ROW && sqlite3_column_int64(statement, 0) > now_ms) {
            *next_ms = sqlite3_column_int64(statement, 0);
            error = BL_ENOENT;
        } else if (step == SQLITE_ROW) {
            read_job(statement, out);
        }
        (void)sqlite3_finalize(statement);
    }
    (void)pthread_mutex_unlock(&requests->lock);
    return error;
}

static bool mark(struct bl_requests *requests, int64_t request, int state, const char *cause)
{
    sqlite3_stmt *statement = bl_requests_prepare(
        requests,
        "UPDATE lookup SET state = ?, cause = ?, n_attempts = n_attempts + 1 WHERE request = ? AND state = 0");

    (void)sqlite3_bind_int(statement, 1, state);
    (void)sqlite3_bind_text(statement, 2, cause, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(statement, 3, request);
    return bl_requests_run(statement) && sqlite3_changes(requests->db) == 1;
}

static bool read_asked(struct bl_requests *requests, int64_t request, struct bl_request *out)
{
    sqlite3_stmt *statement = bl_requests_prepare(requests, "SELECT " BL_REQUESTS_COLUMNS " FROM request WHERE id = ?");
    bool found;

    (void)sqlite3_bind_int64(statement, 1, request);
    found = statement != NULL && sqlite3_step(statement) == SQLITE_ROW;
    if (found)
        bl_requests_read_request(statement, 0, out);
    (void)sqlite3_finalize(statement);
    return found;
}

/* One link for one mailbox. @return 1, 0 (it had its mails for today) or BL_EIO. */
static int add_link(struct bl_requests *requests, const struct bl_secret *secret, const struct bl_request *asked,
                    const char *mailbox, int64_t now_ms)
{
    struct bl_request link = *asked;
    struct bl_requests_entry entry = {.source = BL_REQUESTS_NAMED, .network = BL_REQUESTS_NAMED};
    int64_t n_today = bl_requests_count_mails(requests, mailbox, now_ms);

    if (n_today < 0)
        return BL_EIO;
    if (n_today >= requests->settings->mails_per_address_day)
        return 0;
    (void)snprintf(link.email, sizeof(link.email), "%s", mailbox);
    link.state = BL_REQUEST_WAITING;
    link.created_ms = now_ms;
    link.expires_ms = now_ms + (int64_t)requests->settings->link_lifetime_s * 1000;
    if (bl_secret_make_link(secret, link.nonce, entry.token_hash) != BL_OK ||
        !bl_requests_insert(requests, &link, &entry) || !bl_ranges_copy(requests, asked->id, link.id) ||
        !bl_requests_put_mail(requests, link.id, BL_MAIL_LINK, BL_MAIL_QUEUED, now_ms))
        return BL_EIO;
    return 1;
}

int bl_lookups_settle(struct bl_requests *requests, const struct bl_secret *secret, int64_t request,
                      const struct bl_lookup_answer *answer, int64_t now_ms)
{
    struct bl_request asked;
    int n_queued = 0;
    bool well;

    (void)pthread_mutex_lock(&requests->lock);
    well = bl_requests_begin(requests) && read_asked(requests, request, &asked);
    for (size_t i = 0; well && i < answer->n_mailboxes; i++) {
        int added = add_link(requests, secret, &asked, answer->mailboxes[i], now_ms);

        well = added >= 0;
        n_queued += well ? added : 0;
    }
    well = well && mark(requests, request, answer->n_mailboxes > 0 ? 1 : 2, answer->cause);
    well = bl_requests_end(requests, well);
    (void)pthread_mutex_unlock(&requests->lock);
    return well ? n_queued : BL_EIO;
}

void bl_lookups_postpone(struct bl_requests *requests, int64_t request, int64_t due_ms, const char *cause)
{
    sqlite3_stmt *statement;

    (void)pthread_mutex_lock(&requests->lock);
    statement = bl_requests_prepare(requests, "UPDATE lookup SET state = CASE ?1 WHEN 0 THEN 3 ELSE 0 END, due_ms = ?1,"
                                              " cause = ?2, n_attempts = n_attempts + 1 WHERE request = ?3");
    (void)sqlite3_bind_int64(statement, 1, due_ms);
    (void)sqlite3_bind_text(statement, 2, cause, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(statement, 3, request);
    if (!bl_requests_run(statement))
        (void)bl_requests_say_failed(requests);
    (void)pthread_mutex_unlock(&requests->lock);
}
