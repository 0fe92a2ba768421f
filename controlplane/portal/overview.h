/** @file overview.h
 * What the operator's view shows: read from the portal's store over a connection of its own, so that no question of an
 * operator holds up a visitor's request (WAL: readers and the writer do not wait for each other). Stands between
 * operator.c and the store's file; overview_text.c makes pages of it.
 *
 * Requests and their mails are the store's rows (requests.h), which live for a week after their links ended. What was
 * refused without a row is in a table of its own, `refused`: so many of a reason in an hour. Hours and days are UTC.
 * Threads: any; one lock. */
#ifndef BL_OVERVIEW_H
#define BL_OVERVIEW_H

#include "controlplane/portal/requests.h"
#include "controlplane/portal/tally.h"

enum {
    BL_OVERVIEW_HOURS = 24,
    BL_OVERVIEW_DAYS = 7,
    BL_OVERVIEW_REASONS_MAX = 48,
    BL_OVERVIEW_LATEST_MAX = 50,
    BL_OVERVIEW_OUTBOX_MAX = 50,
};

struct bl_overview;

/** What was asked for in an hour or a day, and what became of it. */
struct bl_overview_slot {
    int64_t begin_ms;
    uint64_t n_requests;
    uint64_t n_delisted; /**< removed, or exempted from a wider listing */
    uint64_t n_refused;  /**< for any reason, by the portal or the control plane */
};

struct bl_overview_reason {
    char name[32];
    uint64_t n_day;
    uint64_t n_week;
};

/** Of the requests of the last 24 hours and 7 days. */
struct bl_overview_outcomes {
    uint64_t n_removed;
    uint64_t n_exempted;
    uint64_t n_not_listed;
    uint64_t n_refused;
    uint64_t n_not_enforced; /**< of those removed and exempted: not yet when the control plane answered */
    uint64_t n_waiting;      /**< the link was not used (yet) */
};

struct bl_overview_request {
    int64_t id;
    int64_t created_ms;
    char email[BL_CLAIM_EMAIL_MAX + 1]; /**< as it is: what is shown of it is the audit's setting */
    char address[BL_ADDRESS_TEXT_MAX];
    char source[BL_ADDRESS_TEXT_MAX];
    enum bl_request_state state;
    unsigned outcome;
    unsigned refusal;
    uint64_t serial;
    uint64_t took_us;
};

struct bl_overview_mail {
    int64_t id;
    enum bl_mail_kind kind;
    int64_t due_ms;
    uint32_t n_attempts;
    char email[BL_CLAIM_EMAIL_MAX + 1];
    char cause[160];
};

struct bl_overview_state {
    int64_t now_ms;
    struct bl_overview_slot hours[BL_OVERVIEW_HOURS]; /**< the last one is this hour */
    struct bl_overview_slot days[BL_OVERVIEW_DAYS];
    struct bl_overview_outcomes day;
    struct bl_overview_outcomes week;
    uint64_t median_us; /**< of a delist of the last 24 hours, from the question until enforced; 0: there was none */
    uint64_t largest_us;
    struct bl_overview_reason reasons[BL_OVERVIEW_REASONS_MAX]; /**< of a week, the most frequent first */
    size_t n_reasons;
    uint64_t mails[BL_MAIL_WITHHELD + 1];                   /**< of a week, by enum bl_mail_state */
    struct bl_overview_mail outbox[BL_OVERVIEW_OUTBOX_MAX]; /**< queued or handed over, the first one due first */
    size_t n_outbox;                                        /**< of those that are shown: mails[] has all */
    struct bl_overview_request latest[BL_OVERVIEW_LATEST_MAX];
    size_t n_latest;
};

/** Opens the store's file, which is there. @return 0, BL_ENOMEM or BL_EIO. */
int bl_overview_open(struct bl_overview **out, const char *path, struct bl_error_detail *detail);
void bl_overview_close(struct bl_overview *overview);

/** Adds counts to this hour's, and forgets those of hours that no view shows. @return 0 or BL_EIO: nothing was added. */
int bl_overview_keep(struct bl_overview *overview, const struct bl_tally_entry *entries, size_t n, int64_t now_ms);

/** All of it, as of one moment. @return 0 or BL_EIO. */
int bl_overview_read(struct bl_overview *overview, int64_t now_ms, struct bl_overview_state *out);

#endif
