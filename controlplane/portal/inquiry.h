/** @file inquiry.h
 * Answers the lookups of the store (lookups.h) in a thread of its own: asks the DNS (reverse.h), chooses whom to mail
 * (domain.h), settles, and wakes the courier. Several requests at a time, so that dead name servers of one hold up the others
 * for BL_REVERSE_WHOLE_MS at most; one that is unsure is asked again a few times with growing pauses. */
#ifndef BL_INQUIRY_H
#define BL_INQUIRY_H

#include "controlplane/portal/courier.h"
#include "controlplane/portal/domain.h"

struct bl_inquiry;

struct bl_inquiry_parts {
    struct bl_requests *requests;
    struct bl_courier *courier;
    const struct bl_secret *secret;
    const struct bl_settings_portal *settings;
};

/** Starts; all is borrowed. @return 0, BL_ENOMEM, BL_EAGAIN (no thread) or BL_EIO (no list of public suffixes, no
 * c-ares) with the cause. */
int bl_inquiry_create(struct bl_inquiry **out, const struct bl_inquiry_parts *parts, struct bl_error_detail *detail);

/** A lookup was queued. NULL: nothing is done. Threads: any. */
void bl_inquiry_wake(struct bl_inquiry *inquiry);

/** Ends within a fraction of a second, whatever is asked. NULL: nothing is done. */
void bl_inquiry_free(struct bl_inquiry *inquiry);

#endif
