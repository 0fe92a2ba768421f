/** @file metrics_server.h
 * GET /metrics over HTTP, on a listener of its own (libmicrohttpd → metrics_server → metrics).
 *
 * Off unless controlplane.metrics says where. The page is made for each answer, from the moment's numbers; it takes the
 * list's read lock for as long as GetStatus does. Bounded: 16 connections, 10 s each, 16 KiB a request. Anything but a GET
 * or HEAD of /metrics is refused. Threads: one of its own. */
#ifndef BL_METRICS_SERVER_H
#define BL_METRICS_SERVER_H

#include "controlplane/ingest.h"

struct bl_metrics_server;

/** What the page is made of; all borrowed. */
struct bl_metrics_parts {
    struct bl_store *store;
    struct bl_writer *writer;
    struct bl_publish *publish;
    struct bl_limits *limits;
    const struct bl_ingest *ingest;
};

/** Listens on controlplane.metrics of the store's settings. @return 0, BL_ENOMEM, or BL_EIO naming the address. */
int bl_metrics_server_create(struct bl_metrics_server **out, const struct bl_metrics_parts *parts,
                             struct bl_error_detail *detail);

/** Ends open connections. NULL does nothing. */
void bl_metrics_server_free(struct bl_metrics_server *server);

#endif
