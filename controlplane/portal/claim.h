/** @file claim.h
 * What a person claims in the form: a mail address, and an IP address in whatever they have pasted. Called by site.c.
 * Pure; any thread. */
#ifndef BL_CLAIM_H
#define BL_CLAIM_H

#include <stdbool.h>

#include "bounceline/address.h"

enum { BL_CLAIM_EMAIL_MAX = 254 };

/** True for dot-atom@host.name of RFC 5321's sizes: no quotes, no comments, no address literals, ASCII only. */
bool bl_claim_email_valid(const char *text);

/** The mailbox that limits count by: lower case, without +tag. @p out takes BL_CLAIM_EMAIL_MAX + 1 bytes. */
void bl_claim_email_fold(const char *email, char *out);

/** Finds the IP address that @p text is about: the text itself, spaces and brackets around it aside; or a bounce's line,
 * where the first address in brackets behind "banned sending IP" counts, then the first in brackets, then the only one.
 * @return 0, BL_ENOENT (none), or BL_ECONFLICT (several, and nothing tells which). */
int bl_claim_find_address(const char *text, struct bl_address *out);

#endif
