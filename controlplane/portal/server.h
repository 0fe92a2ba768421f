/** @file server.h
 * HTTP: libmicrohttpd behind a reverse proxy. Refuses what a proxy and it could read in two ways (a second
 * Content-Length, a space in a header's name, any Transfer-Encoding), bodies above BL_FORM_BYTES_MAX, a head or a body that
 * takes longer than ten seconds, and forms that another site sends; knows the client from X-Forwarded-For of trusted
 * proxies only; puts the security headers on every answer. Its threads call site.c. */
#ifndef BL_SERVER_H
#define BL_SERVER_H

#include "controlplane/portal/site.h"

struct bl_server;

/** Listens and serves. @return 0, or BL_EIO, BL_EEXIST, BL_EINVAL with the cause. */
int bl_server_create(struct bl_server **out, struct bl_site *site, int listening, struct bl_error_detail *detail);
void bl_server_free(struct bl_server *server);

/** To be called about once a second: ends what takes too long (patience.h). */
void bl_server_tend(struct bl_server *server);

/** Opens what the setting of that name says. @return the descriptor or a negative error. */
int bl_server_listen(const char *setting, const char *listen, struct bl_error_detail *detail);

/** The client: the last address of @p forwarded that is no trusted proxy's, when @p peer is one. Pure. */
struct bl_address bl_server_find_client(const struct bl_settings_portal *settings, const struct bl_address *peer,
                                        const char *forwarded);

#endif
