/** @file call.h
 * One gRPC call on the server's side: from arrival over its message to the one answer, or over many to many (ingest.c
 * drives it; push.c and stream.c drive those with many).
 *
 * A call has up to four operations at the gRPC core at a time, and perhaps a place in the writer's queue or among
 * publish's waits; each holds a reference, and the last one frees it. The core may be called from any thread; the
 * answer is sent exactly once, by whoever decides it. */
#ifndef BL_CALL_H
#define BL_CALL_H

#include <stdatomic.h>

#include <grpc/grpc.h>

#include "controlplane/authorize.h"
#include "controlplane/limits.h"
#include "controlplane/publish.h"
#include "controlplane/tls.h"
#include "controlplane/writer.h"

struct bl_ingest;
struct bl_call;

/** What a completion queue event is about. */
enum bl_call_event {
    BL_CALL_ARRIVED,
    BL_CALL_RECEIVED,
    BL_CALL_STARTED, /**< a stream's headers are on their way */
    BL_CALL_SENT,    /**< a stream's message is */
    BL_CALL_ANSWERED,
    BL_CALL_CLOSED,
};

struct bl_call_tag {
    struct bl_call *call;
    enum bl_call_event event;
};

struct bl_call {
    struct bl_ingest *ingest;
    _Atomic unsigned n_references;
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array metadata;
    grpc_byte_buffer *message; /**< received; NULL: none came */
    int cancelled;             /**< the core writes it before CLOSED */
    struct bl_call_tag arrived;
    struct bl_call_tag received;
    struct bl_call_tag started;
    struct bl_call_tag sent;
    struct bl_call_tag answered;
    struct bl_call_tag closed;
    bool counted;                    /**< among the calls in flight */
    bool known;                      /**< `method` is set */
    int status;                      /**< grpc_status_code, as it was answered */
    uint32_t holder;                 /**< whose shares `held` are, as bl_actor.number: a reload may change the actor */
    uint64_t held[BL_LIMITS_SHARES]; /**< given back when it is answered */

    enum bl_authorize_method method;
    int64_t arrived_ms;
    struct bl_tls_seen seen;  /**< of a TLS caller */
    struct bl_writer_job job; /**< Apply */
    struct bl_publish_wait wait;
    struct bl_push *push;      /**< Push; goes with the call */
    struct bl_stream *stream;  /**< a call with many answers; goes with the call */
    _Atomic bool gone;         /**< the client is; relaxed: nobody need wait for its sake */
    struct bl_call *next_open; /**< ingest.c's: calls with streams */
    struct bl_call *previous_open;
};

/** An empty call with one reference. @return 0 or BL_ENOMEM. */
int bl_call_create(struct bl_call **out, struct bl_ingest *ingest);
void bl_call_hold(struct bl_call *call);
void bl_call_release(struct bl_call *call);

/** Asks the core to say when the call is over. To be called once, before anything else is asked of it. */
void bl_call_watch(struct bl_call *call);

/** Asks the core for the message, or the next: BL_CALL_RECEIVED follows. */
void bl_call_receive(struct bl_call *call);

/** The received message as one piece; unref it after use. @return 0 or BL_EINVAL: no message came. */
int bl_call_message(struct bl_call *call, grpc_slice *out);

/** Answers with @p response, which it takes over: BL_CALL_ANSWERED follows. */
void bl_call_answer(struct bl_call *call, struct bl_codec_bytes *response);

/** Begins a stream of answers: BL_CALL_STARTED follows. Then send as often as wanted, each after the last one's
 * BL_CALL_SENT, then finish. */
void bl_call_start(struct bl_call *call);

/** Sends @p response, which it takes over. BL_CALL_SENT follows when the core has room for another: that is the flow
 * control. */
void bl_call_send(struct bl_call *call, struct bl_codec_bytes *response);

/** Ends a stream: BL_CALL_ANSWERED follows. */
void bl_call_finish(struct bl_call *call, grpc_status_code status, const char *text);

/** Ends a call whose client takes nothing: what is under way fails, and BL_CALL_CLOSED follows. */
void bl_call_drop(struct bl_call *call, grpc_status_code status, const char *text);

/** Answers with a status other than OK. */
void bl_call_refuse(struct bl_call *call, grpc_status_code status, const char *text);

/** The status that fits @p error of decoding, authorizing or writing. */
grpc_status_code bl_call_status(int error);

/** Answers with that status. */
void bl_call_refuse_error(struct bl_call *call, int error, const char *text);

#endif
