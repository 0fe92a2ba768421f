/** @file push.h
 * Push: a stream of batches in, their answers out in the same order (ingest → push → writer, publish).
 *
 * Pipelined: a batch goes to the writer as it comes, and its answer waits until those before it are sent. Bounded: of one
 * stream BL_PUSH_BATCHES_MAX batches are in flight, or BL_PUSH_BYTES_MAX of them and the one that goes over; then nothing
 * is read until an answer has gone out, and HTTP/2's flow control stops the client. So a client that reads no answers
 * ends up not being read, and costs this much and no more. In flight, a batch is its message decoded (codec_client.h).
 *
 * Batches of a stream are decided in its order: one that could go before bulks (writer.h) stays behind its own, and a
 * bulk is held back, and nothing read, until the small ones in front of it are decided. A batch that is refused gets
 * its refusal as its answer; a message that can't be decoded ends the stream behind the answers to what came before
 * it. The caller is identified anew for each batch. When the client goes, what the writer has is still decided, and
 * nobody waits for data planes any more.
 *
 * Threads: any; one lock a stream, which is never held while calling anyone who may call back. */
#ifndef BL_PUSH_H
#define BL_PUSH_H

#include "controlplane/call.h"
#include "controlplane/limits.h"

enum { BL_PUSH_BATCHES_MAX = 256, BL_PUSH_BYTES_MAX = 8 << 20 };

struct bl_push;

/** What a stream needs; borrowed. */
struct bl_push_parts {
    struct bl_writer *writer;
    struct bl_publish *publish;
    struct bl_limits *limits;
    /** May the caller still do this? Fills in job.actor. */
    int (*admit)(struct bl_call *call, struct bl_error_detail *detail);
};

/** Begins to serve @p call, which owns the stream from then on. @return 0 or BL_ENOMEM. */
int bl_push_create(struct bl_call *call, const struct bl_push_parts *parts);

/** A message came, or the end: BL_CALL_RECEIVED. */
void bl_push_receive(struct bl_push *push);

/** The core has room for the next answer: BL_CALL_SENT. */
void bl_push_sent(struct bl_push *push);

/** The client has gone: BL_CALL_CLOSED, cancelled. */
void bl_push_cancel(struct bl_push *push);

/** Takes no more batches, answers what is in flight, and ends with UNAVAILABLE. */
void bl_push_stop(struct bl_push *push);

/** Likewise, with the status that fits @p error. */
void bl_push_refuse(struct bl_push *push, int error, const char *text);

/** When the call is freed: nothing is in flight then. */
void bl_push_free(struct bl_push *push);

#endif
