/** @file message.h
 * The portal's mails: the link, and the receipt. Plain text and HTML side by side (multipart/alternative), both quoted
 * printable, from templates. No header holds what a person typed but To, whose address has been checked to be a plain
 * dot-atom@host (claim.h). Pure but for the heap; called by courier.c. */
#ifndef BL_MESSAGE_H
#define BL_MESSAGE_H

#include "bounceline/settings.h"
#include "controlplane/portal/requests.h"

/** @return the whole message with CRLF, owned by the caller (free), or NULL: out of memory. */
char *bl_message_make(const struct bl_settings_portal *settings, const struct bl_secret *secret,
                      const struct bl_mail *mail, int64_t now_ms, size_t *length);

#endif
