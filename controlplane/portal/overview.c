/* See overview.h. */
#include "controlplane/portal/overview.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "controlplane/batch.h"
#include "controlplane/notice.h"

enum { HOUR_MS = 3600 * 1000, DAY_MS = 24 * HOUR_MS, BUSY_MS = 5000 };

struct bl_overview {
    sqlite3 *db;
    pthread_mutex_t lock;
};

/* Called with each row of a question. */
typedef void take_row(sqlite3_stmt *row, struct bl_overview_state *out);

static int say_failed(struct bl_overview *overview)
{
    bl_notice_write("portal's store, for the operator's view: %s", sqlite3_errmsg(overview->db));
    return BL_EIO;
}

static bool execute(struct bl_overview *overview, const char *sql)
{
    return sqlite3_exec(overview->db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

int bl_overview_open(struct bl_overview **out, const char *path, struct bl_error_detail *detail)
{
    static const char schema[] = "CREATE TABLE IF NOT EXISTS refused(hour INTEGER NOT NULL, reason TEXT NOT NULL,"
                                 " n INTEGER NOT NULL, PRIMARY KEY(hour, reason)) WITHOUT ROWID";
    struct bl_overview *overview = calloc(1, sizeof(*overview));

    if (overview == NULL)
        return BL_ENOMEM;
    (void)pthread_mutex_init(&overview->lock, NULL);
    if (sqlite3_open_v2(path, &overview->db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
        sqlite3_busy_timeout(overview->db, BUSY_MS) != SQLITE_OK || !execute(overview, schema)) {
        (void)bl_error_set(detail, BL_EIO, "%s: %s", path, sqlite3_errmsg(overview->db));
        bl_overview_close(overview);
        return BL_EIO;
    }
    *out = overview;
    return BL_OK;
}

void bl_overview_close(struct bl_overview *overview)
{
    if (overview == NULL)
        return;
    (void)sqlite3_close(overview->db);
    (void)pthread_mutex_destroy(&overview->lock);
    free(overview);
}

/* Steps through what is asked since a time (?1). @return false: said. */
static bool ask(struct bl_overview *overview, const char *sql, int64_t since, take_row *take,
                struct bl_overview_state *out)
{
    sqlite3_stmt *statement = NULL;
    int step = sqlite3_prepare_v2(overview->db, sql, -1, &statement, NULL);

    if (step == SQLITE_OK) {
        (void)sqlite3_bind_int64(statement, 1, since);
        while ((step = sqlite3_step(statement)) == SQLITE_ROW)
            take(statement, out);
    }
    if (step != SQLITE_DONE)
        (void)say_failed(overview);
    (void)sqlite3_finalize(statement);
    return step == SQLITE_DONE;
}

static bool add(struct bl_overview *overview, const struct bl_tally_entry *entry, int64_t hour)
{
    sqlite3_stmt *statement = NULL;
    bool done = sqlite3_prepare_v2(overview->db,
                                   "INSERT INTO refused(hour, reason, n) VALUES(?, ?, ?)"
                                   " ON CONFLICT(hour, reason) DO UPDATE SET n = n + excluded.n",
                                   -1, &statement, NULL) == SQLITE_OK;

    (void)sqlite3_bind_int64(statement, 1, hour);
    (void)sqlite3_bind_text(statement, 2, entry->reason, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(statement, 3, (int64_t)entry->n);
    done = done && sqlite3_step(statement) == SQLITE_DONE;
    return sqlite3_finalize(statement) == SQLITE_OK && done;
}

static void take_nothing(sqlite3_stmt *row, struct bl_overview_state *out)
{
    (void)row;
    (void)out;
}

int bl_overview_keep(struct bl_overview *overview, const struct bl_tally_entry *entries, size_t n, int64_t now_ms)
{
    int64_t hour = now_ms / HOUR_MS;
    bool well;

    if (n == 0)
        return BL_OK;
    (void)pthread_mutex_lock(&overview->lock);
    well = execute(overview, "BEGIN IMMEDIATE");
    for (size_t i = 0; well && i < n; i++)
        well = add(overview, &entries[i], hour);
    well = well &&
           ask(overview, "DELETE FROM refused WHERE hour < ?", hour - 24 * (BL_OVERVIEW_DAYS + 1), take_nothing, NULL);
    if (!well || !execute(overview, "COMMIT")) {
        (void)say_failed(overview);
        (void)execute(overview, "ROLLBACK");
        well = false;
    }
    (void)pthread_mutex_unlock(&overview->lock);
    return well ? BL_OK : BL_EIO;
}

static uint64_t count_at(sqlite3_stmt *row, int column)
{
    return (uint64_t)sqlite3_column_int64(row, column);
}

static void read_text(sqlite3_stmt *row, int column, char *out, size_t size)
{
    const unsigned char *text = sqlite3_column_text(row, column);

    (void)snprintf(out, size, "%s", text == NULL ? "" : (const char *)text);
}

/* An hour's row goes into its hour's slot and its day's, where these are shown. */
static void add_slots(struct bl_overview_state *out, int64_t hour, const struct bl_overview_slot *more)
{
    int64_t at_hour = hour - out->hours[0].begin_ms / HOUR_MS;
    int64_t at_day = hour / 24 - out->days[0].begin_ms / DAY_MS;
    struct bl_overview_slot *slots[2] = {
        at_hour >= 0 && at_hour < BL_OVERVIEW_HOURS ? &out->hours[at_hour] : NULL,
        at_day >= 0 && at_day < BL_OVERVIEW_DAYS ? &out->days[at_day] : NULL,
    };

    for (int i = 0; i < 2; i++) {
        if (slots[i] == NULL)
            continue;
        slots[i]->n_requests += more->n_requests;
        slots[i]->n_delisted += more->n_delisted;
        slots[i]->n_refused += more->n_refused;
    }
}

static const char hours_sql[] = "SELECT created_ms / 3600000, count(*), sum(state = 2 AND outcome IN (3, 4))"
                                " FROM request WHERE created_ms >= ?1 GROUP BY 1";

static void take_hour(sqlite3_stmt *row, struct bl_overview_state *out)
{
    const struct bl_overview_slot more = {.n_requests = count_at(row, 1), .n_delisted = count_at(row, 2)};

    add_slots(out, sqlite3_column_int64(row, 0), &more);
}

_Static_assert(BL_OUTCOME_REMOVED == 3 && BL_OUTCOME_EXEMPTED == 4 && BL_OUTCOME_REFUSED == 6,
               "as hours_sql, outcomes_sql and reasons_sql have them");
_Static_assert((int)BL_REQUEST_DONE == 2 && (int)BL_MAIL_WITHHELD == 5, "as above");

/* Without a row, with a mail that was withheld, by the control plane. */
static const char reasons_sql[] =
    "SELECT hour, reason, n FROM refused WHERE hour >= ?1 / 3600000 UNION ALL"
    " SELECT created_ms / 3600000, 'mailbox', count(*) FROM request JOIN mail ON mail.request = request.id"
    " WHERE created_ms >= ?1 AND mail.state = 5 GROUP BY 1 UNION ALL"
    " SELECT created_ms / 3600000, CASE refusal WHEN 6 THEN 'operator_listing' WHEN 7 THEN 'self_service_closed'"
    " WHEN 11 THEN 'quota' ELSE 'control_plane' END AS why, count(*)"
    " FROM request WHERE created_ms >= ?1 AND state = 2 AND outcome = 6 GROUP BY 1, 2";

_Static_assert(BL_REFUSAL_OPERATOR_LISTING == 6 && BL_REFUSAL_SELF_SERVICE_CLOSED == 7 && BL_REFUSAL_QUOTA == 11,
               "as reasons_sql has them");

static void take_reason(sqlite3_stmt *row, struct bl_overview_state *out)
{
    const struct bl_overview_slot more = {.n_refused = count_at(row, 2)};
    int64_t hour = sqlite3_column_int64(row, 0);
    struct bl_overview_reason *reason = out->reasons;
    char name[sizeof(reason->name)];

    read_text(row, 1, name, sizeof(name));
    while (reason < out->reasons + out->n_reasons && strcmp(reason->name, name) != 0)
        reason++;
    if (reason == out->reasons + BL_OVERVIEW_REASONS_MAX)
        reason--;
    else if (reason == out->reasons + out->n_reasons) {
        memcpy(reason->name, name, sizeof(name));
        out->n_reasons++;
    }
    reason->n_week += more.n_refused;
    if (hour > out->now_ms / HOUR_MS - 24)
        reason->n_day += more.n_refused;
    add_slots(out, hour, &more);
}

static int compare_reasons(const void *left, const void *right)
{
    const struct bl_overview_reason *a = left;
    const struct bl_overview_reason *b = right;

    if (a->n_week != b->n_week)
        return a->n_week < b->n_week ? 1 : -1;
    return strcmp(a->name, b->name);
}

static const char outcomes_sql[] =
    "SELECT created_ms > ?1 + 518400000, state, outcome, enforced, count(*) FROM request WHERE created_ms > ?1"
    " GROUP BY 1, 2, 3, 4";

_Static_assert((BL_OVERVIEW_DAYS - 1) * (int64_t)DAY_MS == 518400000, "as outcomes_sql has it");

static void add_outcome(struct bl_overview_outcomes *to, sqlite3_stmt *row)
{
    bool done = sqlite3_column_int(row, 1) == BL_REQUEST_DONE;
    unsigned outcome = (unsigned)sqlite3_column_int(row, 2);
    uint64_t n = count_at(row, 4);
    bool delisted = outcome == BL_OUTCOME_REMOVED || outcome == BL_OUTCOME_EXEMPTED;

    if (!done)
        to->n_waiting += n;
    else if (outcome == BL_OUTCOME_REMOVED)
        to->n_removed += n;
    else if (outcome == BL_OUTCOME_EXEMPTED)
        to->n_exempted += n;
    else if (outcome == BL_OUTCOME_REFUSED)
        to->n_refused += n;
    else
        to->n_not_listed += n;
    if (done && delisted && sqlite3_column_int(row, 3) == 0)
        to->n_not_enforced += n;
}

static void take_outcome(sqlite3_stmt *row, struct bl_overview_state *out)
{
    add_outcome(&out->week, row);
    if (sqlite3_column_int(row, 0) != 0)
        add_outcome(&out->day, row);
}

/* The middle one of those that are asked for in order, and the last. */
static const char times_sql[] =
    "WITH took(us, place, n) AS (SELECT took_us, row_number() OVER (ORDER BY took_us), count(*) OVER () FROM request"
    " WHERE created_ms > ?1 AND state = 2 AND outcome IN (3, 4) AND enforced)"
    " SELECT us, place = n FROM took WHERE place = (n + 1) / 2 OR place = n ORDER BY place";

static void take_time(sqlite3_stmt *row, struct bl_overview_state *out)
{
    if (out->median_us == 0)
        out->median_us = count_at(row, 0);
    if (sqlite3_column_int(row, 1) != 0)
        out->largest_us = count_at(row, 0);
}

static const char mails_sql[] = "SELECT mail.state, count(*) FROM mail JOIN request ON request.id = mail.request"
                                " WHERE created_ms > ?1 GROUP BY 1";

static void take_mails(sqlite3_stmt *row, struct bl_overview_state *out)
{
    int state = sqlite3_column_int(row, 0);

    if (state >= 0 && state <= BL_MAIL_WITHHELD)
        out->mails[state] = count_at(row, 1);
}

static const char outbox_sql[] =
    "SELECT mail.id, kind, due_ms, n_attempts, email, cause FROM mail JOIN request ON request.id = mail.request"
    " WHERE mail.state IN (0, 1) AND created_ms > ?1 ORDER BY due_ms, mail.id LIMIT 50";

static void take_outbox(sqlite3_stmt *row, struct bl_overview_state *out)
{
    struct bl_overview_mail *mail = &out->outbox[out->n_outbox++];

    mail->id = sqlite3_column_int64(row, 0);
    mail->kind = (enum bl_mail_kind)sqlite3_column_int(row, 1);
    mail->due_ms = sqlite3_column_int64(row, 2);
    mail->n_attempts = (uint32_t)sqlite3_column_int64(row, 3);
    read_text(row, 4, mail->email, sizeof(mail->email));
    read_text(row, 5, mail->cause, sizeof(mail->cause));
}

static const char latest_sql[] =
    "SELECT id, created_ms, email, address, source, state, outcome, refusal, serial, took_us FROM request"
    " WHERE created_ms > ?1 ORDER BY id DESC LIMIT 50";

_Static_assert((int)BL_OVERVIEW_LATEST_MAX == 50 && (int)BL_OVERVIEW_OUTBOX_MAX == 50,
               "as latest_sql, outbox_sql have it");

static void take_latest(sqlite3_stmt *row, struct bl_overview_state *out)
{
    struct bl_overview_request *request = &out->latest[out->n_latest++];

    request->id = sqlite3_column_int64(row, 0);
    request->created_ms = sqlite3_column_int64(row, 1);
    read_text(row, 2, request->email, sizeof(request->email));
    read_text(row, 3, request->address, sizeof(request->address));
    read_text(row, 4, request->source, sizeof(request->source));
    request->state = (enum bl_request_state)sqlite3_column_int(row, 5);
    request->outcome = (unsigned)sqlite3_column_int(row, 6);
    request->refusal = (unsigned)sqlite3_column_int(row, 7);
    request->serial = count_at(row, 8);
    request->took_us = count_at(row, 9);
}

static void begin_slots(struct bl_overview_state *out)
{
    int64_t hour = out->now_ms / HOUR_MS;
    int64_t day = out->now_ms / DAY_MS;

    for (int i = 0; i < BL_OVERVIEW_HOURS; i++)
        out->hours[i].begin_ms = (hour - BL_OVERVIEW_HOURS + 1 + i) * HOUR_MS;
    for (int i = 0; i < BL_OVERVIEW_DAYS; i++)
        out->days[i].begin_ms = (day - BL_OVERVIEW_DAYS + 1 + i) * DAY_MS;
}

int bl_overview_read(struct bl_overview *overview, int64_t now_ms, struct bl_overview_state *out)
{
    int64_t day_ms = now_ms - DAY_MS;
    int64_t week_ms = now_ms - BL_OVERVIEW_DAYS * (int64_t)DAY_MS;
    bool well;

    memset(out, 0, sizeof(*out));
    out->now_ms = now_ms;
    begin_slots(out);
    (void)pthread_mutex_lock(&overview->lock);
    /* One read transaction: everything is of one moment. */
    well = execute(overview, "BEGIN");
    well = well && ask(overview, hours_sql, out->days[0].begin_ms, take_hour, out);
    well = well && ask(overview, reasons_sql, out->days[0].begin_ms, take_reason, out);
    well = well && ask(overview, outcomes_sql, week_ms, take_outcome, out);
    well = well && ask(overview, times_sql, day_ms, take_time, out);
    well = well && ask(overview, mails_sql, week_ms, take_mails, out);
    well = well && ask(overview, outbox_sql, 0, take_outbox, out);
    well = well && ask(overview, latest_sql, week_ms, take_latest, out);
    (void)execute(overview, "COMMIT");
    (void)pthread_mutex_unlock(&overview->lock);
    qsort(out->reasons, out->n_reasons, sizeof(out->reasons[0]), compare_reasons);
    return well ? BL_OK : BL_EIO;
}
