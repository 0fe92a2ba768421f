/** @file lookups.h
 * Requests that wait for the reverse names of their addresses (requests.h keeps them: state BY_NAME), in the portal's
 * store: a row of the table `lookup` each, 0 waiting → 1 mailed, 2 nobody to mail, 3 given up.
 *
 * An answer and the links that come of it are one transaction: a kill before it asks the names again, after it never, so
 * that no mail goes out twice. Links are requests of their own, one a mailbox, each with its own token and within the
 * mailbox's limit of a day; who asked learns of none of this. Threads: any. */
#ifndef BL_LOOKUPS_H
#define BL_LOOKUPS_H

#include "controlplane/portal/requests.h"

enum { BL_LOOKUPS_MAILBOXES_MAX = 4 };

struct bl_lookup_job {
    int64_t request;
    uint32_t n_attempts; /**< before this one */
    struct bl_control_items items;
};

/** Whom to mail. */
struct bl_lookup_answer {
    char mailboxes[BL_LOOKUPS_MAILBOXES_MAX][BL_CLAIM_EMAIL_MAX + 1];
    size_t n_mailboxes; /**< 0: nobody */
    const char *cause;  /**< for the table */
};

/** The lookup that is due first, of those above @p after_id. @return 0, BL_ENOENT (then *next_ms is when one will be, or
 * 0) or BL_EIO. */
int bl_lookups_next(struct bl_requests *requests, int64_t now_ms, int64_t after_id, struct bl_lookup_job *out,
                    int64_t *next_ms);

/** Ends a lookup: stores a request with its link's mail for each mailbox that may have one more today.
 * @return how many mails were queued, or BL_EIO: then nothing was done. */
int bl_lookups_settle(struct bl_requests *requests, const struct bl_secret *secret, int64_t request,
                      const struct bl_lookup_answer *answer, int64_t now_ms);

/** No answer: asks again at @p due_ms; 0: never. */
void bl_lookups_postpone(struct bl_requests *requests, int64_t request, int64_t due_ms, const char *cause);

#endif
