/** @file ingest.h
 * The gRPC server: calls in, answers out (listen → ingest → authorize → writer | the list state; publish → ingest).
 *
 * Apply goes to the writer and, with wait = ENFORCED, from there to publish; Lookup, GetStatus, ListRejects and GetTop
 * are answered on the spot, the first two under the list state's read lock. Push is push.c's, Watch, Export and History
 * have threads of their own (stream.h), health and reflection are stock.c's. Bounded: calls in flight
 * (BL_INGEST_CALLS_MAX, above that RESOURCE_EXHAUSTED), bytes a message (32 MiB), bytes queued (writer.h).
 *
 * A caller is known by its connection (peers.h) or its certificate (tls.h) and asked for before its message is read. Threads: two of its own on
 * one completion queue; answers may be sent from any thread. */
#ifndef BL_INGEST_H
#define BL_INGEST_H

#include "controlplane/authorize.h"
#include "controlplane/limits.h"
#include "controlplane/peers.h"
#include "controlplane/publish.h"
#include "controlplane/rejects.h"
#include "controlplane/store.h"
#include "controlplane/tls.h"
#include "controlplane/writer.h"

enum { BL_INGEST_CALLS_MAX = 512, BL_INGEST_STATUSES = 17 };

/** Calls that have ended, by method (the last: one that there is not, or that was refused before it was looked at) and
 * grpc_status_code. */
struct bl_ingest_counts {
    uint64_t n_calls[BL_AUTHORIZE_METHOD_COUNT + 1][BL_INGEST_STATUSES];
};

struct bl_ingest;

/** What a call needs; all borrowed. */
struct bl_ingest_parts {
    struct bl_store *store;
    struct bl_writer *writer;
    struct bl_publish *publish;
    struct bl_rejects *rejects;
    const struct bl_peers *peers;
    const struct bl_authorize *authorize;
    struct bl_limits *limits;
    struct bl_tls *tls; /**< NULL: Unix sockets only */
};

/** Starts the server without any connection; with TLS it listens. @return 0, BL_ENOMEM or BL_EIO. */
int bl_ingest_create(struct bl_ingest **out, const struct bl_ingest_parts *parts, struct bl_error_detail *detail);

/** After bl_tls_reload: ends the open streams that wait for their clients and may not go on. The others notice by
 * themselves within BL_STREAM_ADMIT_MS. */
void bl_ingest_readmit(struct bl_ingest *ingest);

/** Serves the connection @p descriptor, which must have been admitted to peers. Takes it over. */
void bl_ingest_serve(struct bl_ingest *ingest, int descriptor);

/** Takes no new calls, waits up to @p patience_ms for those in flight (what waits for data planes is answered at once
 * as it stands), then cancels the rest. Afterwards no thread is in here and the writer gets nothing more. */
void bl_ingest_stop(struct bl_ingest *ingest, int patience_ms);

/** Threads: any. */
void bl_ingest_count(const struct bl_ingest *ingest, struct bl_ingest_counts *counts);

/** What methods.c asks of the server that a call came to. Threads: any. */
const struct bl_ingest_parts *bl_ingest_lend_parts(const struct bl_ingest *ingest);
bool bl_ingest_is_stopping(const struct bl_ingest *ingest);
int64_t bl_ingest_started_ms(const struct bl_ingest *ingest);

void bl_ingest_free(struct bl_ingest *ingest);

#endif
