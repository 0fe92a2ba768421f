/** @file requests.h
 * The portal's memory, a SQLite file: who asked for what, what came of it, and which mails are still to go.
 *
 *   request: 0 waiting → 1 pressed → 2 done        mail: 0 queued → 1 handed → 2 sent
 *                                                  5 withheld   └→ 3 failed  └→ 4 unsure
 *
 * Everything is committed (WAL, synchronous=FULL) before the world sees it: a request with its mail in one transaction,
 * `pressed` before the control plane is asked, the result with its receipt in one transaction. So a kill at any step
 * loses nothing: a pressed request is asked again under the same batch name, which gets the first answer. A mail is
 * `handed` just before the end of its data is said to the mail server; before that the server has taken nothing and it is
 * sent again, and after that never: `unsure` is what a crash or a lost connection in those milliseconds leaves. A
 * request has at most one mail of each kind, by the schema.
 *
 * Limits are counts of rows over the last hour or day: no counter can go wrong. Of one mailbox only requests count whose
 * mail was not withheld, or whoever keeps asking could keep its owner out for ever. Threads: any; one lock. */
#ifndef BL_REQUESTS_H
#define BL_REQUESTS_H

#include <stdbool.h>
#include <stdint.h>

#include "controlplane/portal/claim.h"
#include "controlplane/portal/control.h"
#include "controlplane/portal/page.h"
#include "controlplane/portal/secret.h"

struct bl_requests;

enum bl_request_state {
    BL_REQUEST_WAITING = 0,
    BL_REQUEST_PRESSED = 1,
    BL_REQUEST_DONE = 2,
    BL_REQUEST_BY_NAME = 3, /**< no link of its own: lookups.h makes requests of it, for whom the reverse names name */
};

/** The values are the file's. */
enum bl_mail_state {
    BL_MAIL_QUEUED = 0,
    BL_MAIL_HANDED = 1,
    BL_MAIL_SENT = 2,
    BL_MAIL_FAILED = 3,
    BL_MAIL_UNSURE = 4,
    BL_MAIL_WITHHELD = 5, /**< from the start: the mailbox had its mails for today */
};
enum bl_mail_kind { BL_MAIL_LINK = 1, BL_MAIL_RECEIPT = 2 };

struct bl_request {
    int64_t id;
    uint8_t nonce[BL_SECRET_NONCE_BYTES];
    char email[BL_CLAIM_EMAIL_MAX + 1];
    char address[BL_ADDRESS_TEXT_MAX]; /**< or the network of a range */
    uint32_t n_addresses;              /**< of a range: ranges.h; 0: the one above */
    bool named;                        /**< the mailbox was found by the reverse name */
    enum bl_language language;
    enum bl_request_state state;
    int64_t created_ms;
    int64_t expires_ms;
    struct bl_control_result result; /**< when done */
};

struct bl_mail {
    int64_t id;
    enum bl_mail_kind kind;
    uint32_t n_attempts; /**< before this one */
    struct bl_request request;
    const struct bl_control_items *items; /**< of a range: set before it is written */
};

/** A request that comes in: who asks, for limits, and what is stored beside it. */
struct bl_requests_entry {
    const char *source;                       /**< an IPv4 address or an IPv6 /64 */
    const char *network;                      /**< a /24 or a /48 */
    uint8_t token_hash[BL_SECRET_HASH_BYTES]; /**< what its link is found by */
    int64_t due_ms;                           /**< of the mail, or of the question for names */
    const struct bl_control_items *items;     /**< the addresses of a range; NULL: none */
};

enum bl_admission {
    BL_ADMISSION_ACCEPTED,
    BL_ADMISSION_QUIET,  /**< stored and counted as any, its mail withheld: who asks can't tell, not by time either */
    BL_ADMISSION_SOURCE, /**< this source or network asks too often */
    BL_ADMISSION_ALL,    /**< everybody together does */
    BL_ADMISSION_FAILED,
};

/** Opens or makes the file; mails that a crash left `handed` become `unsure`. @return 0 or BL_EIO. */
int bl_requests_open(struct bl_requests **out, const char *path, const struct bl_settings_portal *settings,
                     struct bl_error_detail *detail);
void bl_requests_close(struct bl_requests *requests);

/** Takes a request (email, address, language, state, created_ms, expires_ms, nonce are read; id is set), and queues its
 * mail, or the question for names when its state is BY_NAME. */
enum bl_admission bl_requests_admit(struct bl_requests *requests, struct bl_request *request,
                                    const struct bl_requests_entry *entry);

/** @return 0, BL_ENOENT or BL_EIO. */
int bl_requests_find(struct bl_requests *requests, const uint8_t token_hash[BL_SECRET_HASH_BYTES],
                     struct bl_request *out);

/** Waiting becomes pressed, once. @return 0, BL_ECONFLICT (it was not waiting) or BL_EIO. */
int bl_requests_press(struct bl_requests *requests, int64_t id);

/** Pressed becomes done, and the receipt is queued. @param items what became of each address of a range, or NULL.
 * @return 0, BL_ECONFLICT or BL_EIO. */
int bl_requests_finish(struct bl_requests *requests, int64_t id, const struct bl_control_result *result,
                       const struct bl_control_items *items, int64_t now_ms);

/** The mail that is due first. @return 0, BL_ENOENT (then *next_ms is when one will be, or 0) or BL_EIO. */
int bl_requests_next_mail(struct bl_requests *requests, int64_t now_ms, struct bl_mail *out, int64_t *next_ms);

/** @return 0 or BL_EIO: then the mail must not go on. */
int bl_requests_mark_mail(struct bl_requests *requests, int64_t id, enum bl_mail_state state, int64_t due_ms,
                          const char *cause);

/** Forgets what expired a week ago. */
void bl_requests_purge(struct bl_requests *requests, int64_t now_ms);

#endif
