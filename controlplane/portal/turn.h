/** @file turn.h
 * One visit on its way through the portal, and what its handlers (site.c, hosts.c) have in common: pages, the form's
 * token, tickets, and taking a request into the store. Threads: the one that answers the visit. */
#ifndef BL_TURN_H
#define BL_TURN_H

#include "controlplane/portal/form.h"
#include "controlplane/portal/site.h"
#include "controlplane/portal/words.h"

struct bl_turn {
    struct bl_site *site;
    const struct bl_visit *visit;
    struct bl_answer *answer;
    struct bl_words words;
    enum bl_language language;
    char path[64];
    char source[BL_ADDRESS_TEXT_MAX];  /**< who asks, as limits count: an IPv4 address, an IPv6 /64 */
    char network[BL_ADDRESS_TEXT_MAX]; /**< a /24, a /48 */
    char form_token[BL_SECRET_FORM_CHARS + 1];
    struct bl_form query;
    struct bl_form form;
};

/** Names who asks. */
void bl_turn_init(struct bl_turn *turn, struct bl_site *site, const struct bl_visit *visit, struct bl_answer *answer);

/** Renders page.html as the page @p name, whose title is the text NAME_title. */
void bl_turn_put_page(struct bl_turn *turn, unsigned status, const char *name);

/** The page `problem`, with the text that @p which switches on. */
void bl_turn_put_problem(struct bl_turn *turn, unsigned status, const char *which);

/** The page @p name, which holds a form: with a new form token, the proof of work, and what it may offer. */
void bl_turn_put_form(struct bl_turn *turn, unsigned status, const char *name);

/** True when the form was fetched from here, by the same source. */
bool bl_turn_form_holds(const struct bl_turn *turn);

/** True when @p text is a ticket of the last days for the address. */
bool bl_turn_has_ticket(const struct bl_site *site, const struct bl_address *address, const char *text);

/** The name in the audit's lines, and in the reason in the control plane's log. */
void bl_turn_name_asker(const struct bl_site *site, const char *email, char out[BL_CLAIM_EMAIL_MAX + 1]);

/** The batch of a request's delist: its session, so that the same one asked again is answered once, and its reason.
 * @p session takes two digits a byte of the nonce and a NUL. */
void bl_turn_name_batch(const struct bl_site *site, const struct bl_request *request, char *session,
                        char reason[BL_CLAIM_EMAIL_MAX + 64]);

/** What is asked for. */
struct bl_turn_claim {
    const char *email;
    const char *address;                  /**< or the network of a range */
    const struct bl_control_items *items; /**< the addresses of a range; NULL: none */
    bool ticket;                          /**< a bounce speaks for it */
    bool by_name;                         /**< the link goes to whom the reverse names name, if they do */
};

/** Stores the request and puts the page that says so, or why not: the same page whatever is listed and whatever any name
 * is. The mail, or the question for names, waits when nothing speaks for the one who asks. */
void bl_turn_admit(struct bl_turn *turn, const struct bl_turn_claim *claim);

#endif
