/** @file hosts.h
 * The hosters' page: up to 256 addresses of one network (range.h) in one visit, one link, one button.
 *
 *   GET /hosts      the form
 *   POST /hosts     takes a request. Each address shows its ticket: the link goes to the mail address that was given.
 *                   Else their reverse names are asked (inquiry.h): the link goes to postmaster@ and abuse@ of the domain
 *                   that all of them have in common, and to nobody when there is none; the page is the same
 *   GET /c/TOKEN    of such a request: each address, what lists it, and later what became of it and what is now
 *   POST /c/TOKEN   delists all of them in one batch; the control plane's quota counts each
 *
 * Called by site.c. Threads: the one that answers the visit. */
#ifndef BL_HOSTS_H
#define BL_HOSTS_H

#include "controlplane/portal/turn.h"

/** False: nothing could open the flow (no ticket key and no reverse names), or the page is switched off. */
bool bl_hosts_offered(const struct bl_site *site);

void bl_hosts_get_form(struct bl_turn *turn);
void bl_hosts_post_form(struct bl_turn *turn);

/** The link's page, before and after. */
void bl_hosts_show(struct bl_turn *turn, const struct bl_request *request);

/** The button, once the request is marked as pressed. @return false: the page that says why is put. */
bool bl_hosts_delist(struct bl_turn *turn, const struct bl_request *request);

#endif
