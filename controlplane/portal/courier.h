/** @file courier.h
 * Sends the mails of the store over SMTP (libcurl), one at a time, in a thread of its own; tries again with growing
 * pauses while the link would still be good. What a mail is when, and what a crash leaves: requests.h. */
#ifndef BL_COURIER_H
#define BL_COURIER_H

#include "controlplane/portal/requests.h"

struct bl_courier;

/** Starts. Everything is borrowed. @return 0, BL_ENOMEM or BL_EAGAIN (no thread). */
int bl_courier_create(struct bl_courier **out, struct bl_requests *requests, const struct bl_secret *secret,
                      const struct bl_settings_portal *settings);

/** A mail was queued. Threads: any. */
void bl_courier_wake(struct bl_courier *courier);

/** Waits for the mail in hand, at most its deadlines. */
void bl_courier_free(struct bl_courier *courier);

#endif
