/* See ranges.h. A row an address; (request, number) is its key. */
#include "controlplane/portal/ranges.h"

#include <string.h>

#include "controlplane/portal/requests_parts.h"

bool bl_ranges_insert(struct bl_requests *requests, int64_t request, const struct bl_control_items *items)
{
    for (size_t i = 0; i < items->n; i++) {
        sqlite3_stmt *statement =
            bl_requests_prepare(requests, "INSERT INTO request_address(request, number, unit) VALUES(?, ?, ?)");

        (void)sqlite3_bind_int64(statement, 1, request);
        (void)sqlite3_bind_int64(statement, 2, (int64_t)i);
        (void)sqlite3_bind_text(statement, 3, items->items[i].address, -1, SQLITE_STATIC);
        if (!bl_requests_run(statement))
            return false;
    }
    return true;
}

bool bl_ranges_update(struct bl_requests *requests, int64_t request, const struct bl_control_items *items)
{
    for (size_t i = 0; i < items->n; i++) {
        const struct bl_control_item *item = &items->items[i];
        sqlite3_stmt *statement =
            bl_requests_prepare(requests, "UPDATE request_address SET unit_outcome = ?, unit_refusal = ?,"
                                          " unit_detail = ? WHERE request = ? AND number = ?");

        (void)sqlite3_bind_int(statement, 1, (int)item->outcome);
        (void)sqlite3_bind_int(statement, 2, (int)item->refusal);
        (void)sqlite3_bind_text(statement, 3, item->detail, -1, SQLITE_STATIC);
        (void)sqlite3_bind_int64(statement, 4, request);
        (void)sqlite3_bind_int64(statement, 5, (int64_t)i);
        if (!bl_requests_run(statement))
            return false;
    }
    return true;
}

bool bl_ranges_copy(struct bl_requests *requests, int64_t from, int64_t to)
{
    sqlite3_stmt *statement =
        bl_requests_prepare(requests, "INSERT INTO request_address(request, number, unit)"
                                      " SELECT ?, number, unit FROM request_address WHERE request = ?");

    (void)sqlite3_bind_int64(statement, 1, to);
    (void)sqlite3_bind_int64(statement, 2, from);
    return bl_requests_run(statement);
}

int bl_ranges_read(struct bl_requests *requests, int64_t request, struct bl_control_items *out)
{
    sqlite3_stmt *statement;
    int step = SQLITE_ERROR;

    out->n = 0;
    (void)pthread_mutex_lock(&requests->lock);
    statement = bl_requests_prepare(requests, "SELECT unit, unit_outcome, unit_refusal, unit_detail"
                                              " FROM request_address WHERE request = ? ORDER BY number");
    (void)sqlite3_bind_int64(statement, 1, request);
    while (statement != NULL && (step = sqlite3_step(statement)) == SQLITE_ROW && out->n < BL_CONTROL_ITEMS_MAX) {
        struct bl_control_item *item = &out->items[out->n++];

        bl_requests_read_text(statement, 0, item->address, sizeof(item->address));
        item->outcome = (unsigned)sqlite3_column_int(statement, 1);
        item->refusal = (unsigned)sqlite3_column_int(statement, 2);
        bl_requests_read_text(statement, 3, item->detail, sizeof(item->detail));
    }
    if (step != SQLITE_DONE)
        (void)bl_requests_say_failed(requests);
    (void)sqlite3_finalize(statement);
    (void)pthread_mutex_unlock(&requests->lock);
    return step == SQLITE_DONE ? BL_OK : BL_EIO;
}
