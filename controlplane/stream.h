/** @file stream.h
 * A call with one request and many answers: Watch, Export, History (ingest → stream → watch, export, history).
 *
 * Each has a thread of its own, so that what it does is written from top to bottom: it sends, and send blocks until the
 * core has room for more, which is when the client reads (HTTP/2's flow control). So a slow client is bounded by one
 * message and the window, and holds up nobody else. BL_STREAM_MAX of them at a time. Nothing here is locked while a
 * stream blocks. */
#ifndef BL_STREAM_H
#define BL_STREAM_H

#include <stdbool.h>

#include "bounceline/error.h"
#include "controlplane/codec.h"

enum { BL_STREAM_MAX = 64 };

struct bl_call;
struct bl_stream;

struct bl_stream_work {
    /** Serves the request. @return 0 for the end, or an error that becomes the call's status: as everywhere, and
     * BL_ENOENT: OUT_OF_RANGE, BL_EVERSION: FAILED_PRECONDITION. On the stream's own thread. */
    int (*run)(struct bl_stream *stream, void *context, const uint8_t *request, size_t length,
               struct bl_error_detail *detail);
    void *context;
    int64_t idle_ms; /**< a client that takes nothing for so long is dropped: RESOURCE_EXHAUSTED */
    /** May the caller still do this? Asked for each BL_STREAM_ADMIT_MS. */
    int (*admit)(struct bl_call *call, struct bl_error_detail *detail);
    /** The thread is about to end and touches nothing of the call or the stream any more. */
    void (*ended)(void *owner);
    void *owner;
};

enum { BL_STREAM_ADMIT_MS = 1000 };

/** Serves @p call, which owns the stream from then on, with a copy of @p request. @return 0, BL_ENOMEM or BL_EFULL. */
int bl_stream_create(struct bl_call *call, const struct bl_stream_work *work, const uint8_t *request, size_t length);

/** Sends @p message, which it takes over. @return 0, or BL_ECLOSED: the client has gone, may not read on, or the server
 * stops. Threads: the stream's own. */
int bl_stream_send(struct bl_stream *stream, struct bl_codec_bytes *message);

/** Is there still somebody to serve? Same returns, same thread. */
int bl_stream_check(struct bl_stream *stream);

/** Room for the next: BL_CALL_SENT. Threads: any, as below. */
void bl_stream_sent(struct bl_stream *stream);

/** The client has gone, or (with @p stop) the server stops. */
void bl_stream_cancel(struct bl_stream *stream, bool stop);

void bl_stream_free(struct bl_stream *stream);

#endif
