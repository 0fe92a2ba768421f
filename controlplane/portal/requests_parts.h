/** @file requests_parts.h
 * What the files of the portal's store share: requests.c, ranges.c, lookups.c. All but bl_requests_prepare's caller hold
 * the lock. */
#ifndef BL_REQUESTS_PARTS_H
#define BL_REQUESTS_PARTS_H

#include <pthread.h>

#include <sqlite3.h>

#include "controlplane/portal/requests.h"

struct bl_requests {
    sqlite3 *db;
    pthread_mutex_t lock;
    const struct bl_settings_portal *settings;
};

/** Says what SQLite said. @return BL_EIO. */
int bl_requests_say_failed(struct bl_requests *requests);

/** @return the statement, or NULL, which all that follows takes as a failure. */
sqlite3_stmt *bl_requests_prepare(struct bl_requests *requests, const char *sql);

/** Runs a statement that gives no row, and frees it. */
bool bl_requests_run(sqlite3_stmt *statement);

bool bl_requests_begin(struct bl_requests *requests);

/** Ends the transaction: a failure leaves nothing of it. */
bool bl_requests_end(struct bl_requests *requests, bool well);

/** How many links went to the mailbox in the day before. @return -1 on failure. */
int64_t bl_requests_count_mails(struct bl_requests *requests, const char *mailbox, int64_t now_ms);

/** Stores a request, with its addresses when it has some; sets its id. */
bool bl_requests_insert(struct bl_requests *requests, struct bl_request *request,
                        const struct bl_requests_entry *entry);

bool bl_requests_put_mail(struct bl_requests *requests, int64_t request, enum bl_mail_kind kind,
                          enum bl_mail_state state, int64_t due_ms);

void bl_requests_read_text(sqlite3_stmt *statement, int column, char *out, size_t size);

/** The columns of a request, in the order that bl_requests_read_request takes them from @p column on. */
#define BL_REQUESTS_COLUMNS \
    "request.id, nonce, email, address, language, request.state, created_ms, expires_ms, outcome, refusal, enforced," \
    " serial, n_enforced, n_connected, took_us, detail, source = '" BL_REQUESTS_NAMED "'," \
    " (SELECT count(*) FROM request_address WHERE request_address.request = request.id)"
void bl_requests_read_request(sqlite3_stmt *statement, int column, struct bl_request *out);

/** Instead of a source: a reverse name named the mailbox. No address is written so. */
#define BL_REQUESTS_NAMED "name"

/** ranges.c: the addresses of a request, before and after they are delisted; and whatever else goes with it. */
bool bl_ranges_insert(struct bl_requests *requests, int64_t request, const struct bl_control_items *items);
bool bl_ranges_update(struct bl_requests *requests, int64_t request, const struct bl_control_items *items);
bool bl_ranges_copy(struct bl_requests *requests, int64_t from, int64_t to);

/** lookups.c: asks for the reverse names of a request's addresses from @p due_ms on. */
bool bl_lookups_queue(struct bl_requests *requests, int64_t request, int64_t due_ms);

#endif
