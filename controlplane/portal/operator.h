/** @file operator.h
 * The operator's view: GET / (a page) and GET /status.json, on a listener of its own (portal.operator_listen; off without).
 *
 * It asks for no password and shows who asked for what, by the audit's setting: whoever can reach the socket is taken for
 * an operator, so it is a Unix socket of mode 0660, or an address that only operators reach. A request by a host's name
 * other than localhost is refused: a page elsewhere that has its name point to 127.0.0.1 would read it in an operator's
 * browser. Nothing can be changed here. It also keeps the tally of refusals: once a minute, at each look, and at the end.
 * Threads: one of its own; bl_operator_tend: main's. */
#ifndef BL_OPERATOR_H
#define BL_OPERATOR_H

#include "controlplane/portal/site.h"

struct bl_operator;

/** Serves on @p listening; counts begin in site->tally, which is made here. @param store the path of the store.
 * @return 0, BL_ENOMEM or BL_EIO. */
int bl_operator_create(struct bl_operator **out, struct bl_site *site, const char *store, int listening,
                       struct bl_error_detail *detail);

/** After the server: nobody counts any more. NULL does nothing. */
void bl_operator_free(struct bl_operator *view);

/** To be called about once a second. */
void bl_operator_tend(struct bl_operator *view);

/** Pure: whether a Host header names an address or localhost. */
bool bl_operator_host_valid(const char *host);

#endif
