/** @file sync_server.h
 * The thread that talks to all data planes (publish ⇄ sync_server → sync_peer): one poll loop, no lock held in it. */
#ifndef BL_SYNC_SERVER_H
#define BL_SYNC_SERVER_H

#include "controlplane/sync_peer.h"

struct bl_sync_server;

/** Starts the thread on @p listening (borrowed). @return 0, BL_ENOMEM or BL_EIO. */
int bl_sync_server_create(struct bl_sync_server **out, int listening, const struct bl_sync_parts *parts);

/** Ends the thread and closes its connections. Who still waits in publish must have been answered. */
void bl_sync_server_free(struct bl_sync_server *server);

#endif
