/** @file domain.h
 * Whom confirmed reverse names name: mailboxes at the names and at their registered domains, never at a public suffix
 * ("co.uk", "com", and those of the list's private part, as providers' domains with customers below them). By libpsl, with
 * the newest list that the system has. Called by inquiry.c. Pure; any thread. */
#ifndef BL_DOMAIN_H
#define BL_DOMAIN_H

#include "controlplane/portal/lookups.h"
#include "controlplane/portal/reverse.h"

struct bl_domain_list;

/** @return 0 or BL_EIO: the system has no list. */
int bl_domain_open(struct bl_domain_list **out);
void bl_domain_close(struct bl_domain_list *list);

/** The registered domain: the public suffix above @p name and one label. @return within @p name, or NULL: it is a public
 * suffix itself. */
const char *bl_domain_registered(const struct bl_domain_list *list, const char *name);

/** Whom to mail about @p n addresses: postmaster@ and abuse@. Of one: at its first confirmed name and that name's registered
 * domain. Of several: at the registered domain under which each of them has a confirmed name; none when they disagree. */
void bl_domain_choose(const struct bl_domain_list *list, const struct bl_reverse_answer *answers, size_t n,
                      struct bl_lookup_answer *out);

#endif
