/** @file site.h
 * What the portal answers: the form, the link, the button, the result. server.c brings visits and sends answers.
 *
 *   GET /           the form; ip= and t= (the ticket) fill it in, lang= chooses the language
 *   POST /          takes a request; says the same whether or not the address is listed, which it does not even look up
 *   GET /c/TOKEN    what the button will do, and later what it did with the state that is enforced now; changes nothing
 *   POST /c/TOKEN   the button: delists, then sends the browser to the same page
 *   GET, POST /hosts and the links that come of it: hosts.h
 *   GET /style.css, /work.js
 *
 * Threads: any. */
#ifndef BL_SITE_H
#define BL_SITE_H

#include "bounceline/siphash.h"
#include "controlplane/portal/inquiry.h"
#include "controlplane/portal/tally.h"

struct bl_site {
    const struct bl_settings *settings;
    struct bl_requests *requests;
    struct bl_control *control;
    struct bl_courier *courier;
    struct bl_inquiry *inquiry; /**< NULL: reverse names are not asked for */
    struct bl_tally *tally;     /**< of refusals; NULL: nobody wants to know */
    struct bl_secret secret;
    struct bl_siphash_key ticket_key;
    bool has_ticket_key;
};

struct bl_visit {
    bool post;
    const char *target; /**< path and query, as they came */
    const char *body;
    size_t body_length;
    const char *accept_language; /**< or NULL */
    struct bl_address client;
};

struct bl_answer {
    unsigned status;
    const char *type;
    char *body; /**< owned by the caller (free); NULL: none */
    size_t length;
    char location[128]; /**< "" for none */
    bool cacheable;
};

/** Never fails: what goes wrong is a page too. */
void bl_site_answer(struct bl_site *site, const struct bl_visit *visit, struct bl_answer *answer);

/** A page that says why a request could not even be read (400, 405, 411, 413). */
void bl_site_refuse(struct bl_site *site, unsigned status, struct bl_answer *answer);

#endif
