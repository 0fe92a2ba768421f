/* The gRPC server's completion queue and its methods; see ingest.h. In order: arrive → identify → receive → handle. */
#include "controlplane/ingest.h"

#include <stdlib.h>
#include <string.h>

#include <grpc/grpc.h>
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <grpc/support/log.h>

#include "controlplane/backup.h"
#include "controlplane/call.h"
#include "controlplane/clock.h"
#include "controlplane/export.h"
#include "controlplane/history.h"
#include "controlplane/methods.h"
#include "controlplane/notice.h"
#include "controlplane/push.h"
#include "controlplane/stock.h"
#include "controlplane/stream.h"
#include "controlplane/watch.h"

enum {
    THREADS = 2,
    REQUESTED_CALLS = 32, /* asked for in advance, so that arrivals don't wait for one another */
    STREAMS_PER_CONNECTION = 256,
    SIGN_OF_LIFE_MS = 20000, /* to answer a PING in */
    HANDSHAKE_MS = 5000,     /* of TLS and HTTP/2 */
};

/* Created before and freed after everything that calls into it; what is not a lock or an atomic is written once, at the
 * start. */
struct bl_ingest {
    struct bl_ingest_parts parts;
    int64_t started_ms;
    grpc_completion_queue *queue;
    grpc_server *server;
    grpc_server_credentials *credentials;
    pthread_t threads[THREADS];
    _Atomic unsigned n_calls;                                                    /* in flight; relaxed: a limit */
    atomic_bool stopping;                                                        /* relaxed: waits need not begin */
    _Atomic uint64_t n_ended[BL_AUTHORIZE_METHOD_COUNT + 1][BL_INGEST_STATUSES]; /* relaxed: counters */

    struct bl_notice_limit refusals;

    pthread_mutex_t lock;   /* of the next */
    pthread_cond_t is_shut; /* or a stream's thread ended */
    bool shut;
    struct bl_call *open; /* calls with streams, to be ended when the server stops */
    unsigned n_streams;   /* their threads */
};

/* The tag of the server's own event. */
static char shutdown_tag;

/* Asks the core for one more call. Without memory there is one fewer outstanding; the others keep the server going. */
static void request_call(struct bl_ingest *ingest)
{
    struct bl_call *call;

    if (bl_call_create(&call, ingest) != BL_OK)
        return;
    if (grpc_server_request_call(ingest->server, &call->call, &call->details, &call->metadata, ingest->queue,
                                 ingest->queue, &call->arrived) != GRPC_CALL_OK)
        bl_call_release(call);
}

/* Who calls? Of our own sockets the peer is the number of our own descriptor, which we gave the core: the client has no say in it. That
 * makes it fit for this, against the general warning at grpc_call_get_peer. */
static int identify(struct bl_ingest *ingest, struct bl_call *call, struct bl_error_detail *detail)
{
    struct bl_tls *tls = ingest->parts.tls;
    char *peer = grpc_call_get_peer(call->call);
    struct bl_peer who;
    int error = bl_peers_find(ingest->parts.peers, peer, &who);

    gpr_free(peer);
    if (error != BL_OK && tls != NULL)
        return bl_tls_identify(tls, call->call, &call->seen, &call->job.actor, detail);
    if (error != BL_OK)
        return bl_error_set(detail, BL_EPERM, "the connection's user is not known");
    return bl_authorize_find(ingest->parts.authorize, &who, &call->job.actor, detail);
}

/* Of an open stream, again and again: a role can be taken away meanwhile. */
static int admit(struct bl_call *call, struct bl_error_detail *detail)
{
    int error = identify(call->ingest, call, detail);

    return error == BL_OK ? bl_authorize_check(&call->job.actor, call->method, detail) : error;
}

/* Calls with streams are known, so that the server's stop can end them. @return false while it stops. */
static bool open_call(struct bl_ingest *ingest, struct bl_call *call)
{
    bool stopping;

    (void)pthread_mutex_lock(&ingest->lock);
    stopping = atomic_load_explicit(&ingest->stopping, memory_order_relaxed);
    if (!stopping) {
        call->next_open = ingest->open;
        if (ingest->open != NULL)
            ingest->open->previous_open = call;
        ingest->open = call;
    }
    (void)pthread_mutex_unlock(&ingest->lock);
    return !stopping;
}

static void close_call(struct bl_ingest *ingest, struct bl_call *call)
{
    (void)pthread_mutex_lock(&ingest->lock);
    if (call->next_open != NULL)
        call->next_open->previous_open = call->previous_open;
    if (call->previous_open != NULL)
        call->previous_open->next_open = call->next_open;
    else if (ingest->open == call)
        ingest->open = call->next_open;
    call->next_open = NULL;
    call->previous_open = NULL;
    (void)pthread_mutex_unlock(&ingest->lock);
}

static void begin_push(struct bl_ingest *ingest, struct bl_call *call)
{
    const struct bl_push_parts parts = {ingest->parts.writer, ingest->parts.publish, ingest->parts.limits, admit};

    if (!open_call(ingest, call))
        bl_call_refuse_error(call, BL_ECLOSED, "the control plane stops");
    else if (bl_push_create(call, &parts) != BL_OK)
        bl_call_refuse_error(call, BL_ENOMEM, "");
    else if (atomic_load_explicit(&ingest->stopping, memory_order_relaxed))
        bl_push_stop(call->push); /* end_streams may have been here before the stream was */
}

static void begin_reflection(struct bl_ingest *ingest, struct bl_call *call)
{
    if (open_call(ingest, call))
        bl_stock_reflect_begin(call);
    else
        bl_call_refuse_error(call, BL_ECLOSED, "the control plane stops");
}

/* One question and many answers: a thread of its own (stream.h). */
static bool has_thread(enum bl_authorize_method method)
{
    switch (method) {
    case BL_AUTHORIZE_WATCH:
    case BL_AUTHORIZE_EXPORT:
    case BL_AUTHORIZE_HISTORY:
    case BL_AUTHORIZE_BACKUP:
    case BL_AUTHORIZE_HEALTH_WATCH:
        return true;
    default:
        return false;
    }
}

static bool is_stream(enum bl_authorize_method method)
{
    return method == BL_AUTHORIZE_PUSH || method == BL_AUTHORIZE_REFLECTION || has_thread(method);
}

/* So that no client has all there is. Administrators that are not among the actors have no limit. */
static int take_share(struct bl_ingest *ingest, struct bl_call *call, struct bl_error_detail *detail)
{
    enum bl_limits_share share = is_stream(call->method) ? BL_LIMITS_STREAMS : BL_LIMITS_CALLS;
    int error = bl_limits_hold(ingest->parts.limits, &call->job.actor, share, 1, detail);

    call->holder = call->job.actor.number;
    call->held[share] = error == BL_OK;
    return error;
}

static void give_back_shares(struct bl_ingest *ingest, struct bl_call *call)
{
    for (int share = 0; share < BL_LIMITS_SHARES; share++)
        bl_limits_give_back(ingest->parts.limits, call->holder, share, call->held[share]);
}

static void tell_refused(struct bl_ingest *ingest, const char *text)
{
    unsigned n;

    if (!bl_notice_may(&ingest->refusals, bl_clock_monotonic_ms(), &n))
        return;
    if (n == 1)
        bl_notice_write("refused: %s", text);
    else
        bl_notice_write("refused: %u calls, the last: %s", n, text);
}

/* Refusals come in the order of what they cost: load, user, method, role; the message is not even asked for before. */
static void handle_arrival(struct bl_ingest *ingest, struct bl_call *call)
{
    struct bl_error_detail detail = {""};
    int error;

    bl_call_watch(call);
    call->counted = true;
    call->arrived_ms = bl_clock_monotonic_ms();
    if (atomic_fetch_add_explicit(&ingest->n_calls, 1, memory_order_relaxed) >= BL_INGEST_CALLS_MAX) {
        bl_call_refuse(call, GRPC_STATUS_RESOURCE_EXHAUSTED, "too many calls in flight, try again");
        return;
    }
    error = identify(ingest, call, &detail);
    call->known = bl_methods_find(&call->details.method, &call->method);
    if (error == BL_OK && !call->known) {
        bl_call_refuse(call, GRPC_STATUS_UNIMPLEMENTED, "this control plane does not have this method");
        return;
    }
    if (error == BL_OK)
        error = bl_authorize_check(&call->job.actor, call->method, &detail);
    if (error != BL_OK)
        tell_refused(ingest, detail.text);
    else
        error = take_share(ingest, call, &detail);
    if (error != BL_OK) {
        bl_call_refuse_error(call, error, detail.text);
        return;
    }
    if (call->method == BL_AUTHORIZE_PUSH)
        begin_push(ingest, call);
    else if (call->method == BL_AUTHORIZE_REFLECTION)
        begin_reflection(ingest, call);
    else
        bl_call_receive(call);
}

/* A stream's thread has let go of everything. */
static void stream_ended(void *owner)
{
    struct bl_ingest *ingest = owner;

    (void)pthread_mutex_lock(&ingest->lock);
    ingest->n_streams--;
    (void)pthread_cond_broadcast(&ingest->is_shut);
    (void)pthread_mutex_unlock(&ingest->lock);
}

static int begin_stream(struct bl_ingest *ingest, struct bl_call *call, const uint8_t *data, size_t length,
                        struct bl_error_detail *detail)
{
    struct bl_stream_work work = {.context = ingest->parts.store,
                                  .idle_ms = (int64_t)ingest->parts.store->settings->idle_s * 1000,
                                  .admit = admit,
                                  .ended = stream_ended,
                                  .owner = ingest};
    bool full;
    int error;

    switch (call->method) {
    case BL_AUTHORIZE_WATCH:
        work.run = bl_watch_run;
        break;
    case BL_AUTHORIZE_EXPORT:
        work.run = bl_export_run;
        break;
    case BL_AUTHORIZE_HISTORY:
        work.run = bl_history_run;
        break;
    case BL_AUTHORIZE_BACKUP:
        work.run = bl_backup_run;
        break;
    default:
        work.run = bl_stock_watch;
        break;
    }
    if (!open_call(ingest, call))
        return bl_error_set(detail, BL_ECLOSED, "the control plane stops");
    (void)pthread_mutex_lock(&ingest->lock);
    full = ingest->n_streams >= BL_STREAM_MAX;
    ingest->n_streams += !full;
    (void)pthread_mutex_unlock(&ingest->lock);
    if (full)
        return bl_error_set(detail, BL_EFULL, "%d streams are open, try again", BL_STREAM_MAX);
    error = bl_stream_create(call, &work, data, length);
    if (error != BL_OK)
        stream_ended(ingest);
    else if (atomic_load_explicit(&call->gone, memory_order_relaxed))
        bl_stream_cancel(call->stream, false); /* handle_closed may have been here before the stream was */
    else if (atomic_load_explicit(&ingest->stopping, memory_order_relaxed))
        bl_stream_cancel(call->stream, true); /* end_streams likewise */
    return error;
}

static int handle_method(struct bl_ingest *ingest, struct bl_call *call, const uint8_t *data, size_t length,
                         struct bl_error_detail *detail)
{
    if (has_thread(call->method))
        return begin_stream(ingest, call, data, length, detail);
    return bl_methods_handle(call, data, length, detail);
}

static void handle_message(struct bl_ingest *ingest, struct bl_call *call)
{
    struct bl_error_detail detail = {""};
    grpc_slice message;
    int error = bl_call_message(call, &message);

    /* The core keeps a message back that is larger than it was told to take, or when the client has gone. */
    if (error != BL_OK) {
        if (grpc_call_failed_before_recv_message(call->call))
            bl_call_refuse(call, GRPC_STATUS_RESOURCE_EXHAUSTED, "the message is larger than 32 MiB, or cut short");
        else
            bl_call_refuse(call, GRPC_STATUS_INVALID_ARGUMENT, "expected one message");
        return;
    }
    error = handle_method(ingest, call, GRPC_SLICE_START_PTR(message), GRPC_SLICE_LENGTH(message), &detail);
    grpc_slice_unref(message);
    if (error != BL_OK)
        bl_call_refuse_error(call, error, detail.text);
}

/* The call is over; where the client ended it, so do the waiting and sending for its sake. */
static void handle_closed(struct bl_ingest *ingest, struct bl_call *call)
{
    static const struct bl_codec_reached nothing = {false, 0, 0};

    if (!call->cancelled)
        return;
    atomic_store_explicit(&call->gone, true, memory_order_relaxed);
    if (call->push != NULL)
        bl_push_cancel(call->push);
    else if (call->stream != NULL)
        bl_stream_cancel(call->stream, false);
    else if (bl_publish_remove_wait(ingest->parts.publish, &call->wait))
        call->wait.done(&call->wait, &nothing);
}

static void count_ended(struct bl_ingest *ingest, const struct bl_call *call)
{
    int status = call->status >= 0 && call->status < BL_INGEST_STATUSES ? call->status : GRPC_STATUS_UNKNOWN;

    (void)atomic_fetch_add_explicit(&ingest->n_ended[call->known ? call->method : BL_AUTHORIZE_METHOD_COUNT][status], 1,
                                    memory_order_relaxed);
}

/* Every event carries one reference to its call, which ends here. */
static void handle_event(struct bl_ingest *ingest, const struct bl_call_tag *tag, bool success)
{
    struct bl_call *call = tag->call;

    switch (tag->event) {
    case BL_CALL_ARRIVED:
        /* Without success the server stops; the call never was. */
        if (success) {
            request_call(ingest);
            handle_arrival(ingest, call);
        }
        break;
    case BL_CALL_RECEIVED:
        if (call->push != NULL)
            bl_push_receive(call->push);
        else if (call->method == BL_AUTHORIZE_REFLECTION)
            bl_stock_reflect_receive(call);
        else
            handle_message(ingest, call);
        break;
    case BL_CALL_STARTED:
        break;
    case BL_CALL_SENT:
        if (call->push != NULL)
            bl_push_sent(call->push);
        else if (call->method == BL_AUTHORIZE_REFLECTION)
            bl_stock_reflect_sent(call);
        else
            bl_stream_sent(call->stream);
        break;
    case BL_CALL_ANSWERED:
        close_call(ingest, call);
        count_ended(ingest, call);
        give_back_shares(ingest, call);
        if (call->counted)
            (void)atomic_fetch_sub_explicit(&ingest->n_calls, 1, memory_order_relaxed);
        break;
    case BL_CALL_CLOSED:
        handle_closed(ingest, call);
        break;
    }
    bl_call_release(call);
}

/* Ends when the queue is shut down and drained. */
static void *run(void *context)
{
    struct bl_ingest *ingest = context;

    for (;;) {
        grpc_event event = grpc_completion_queue_next(ingest->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);

        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        if (event.type != GRPC_OP_COMPLETE)
            continue;
        if (event.tag == &shutdown_tag) {
            (void)pthread_mutex_lock(&ingest->lock);
            ingest->shut = true;
            (void)pthread_cond_signal(&ingest->is_shut);
            (void)pthread_mutex_unlock(&ingest->lock);
            continue;
        }
        handle_event(ingest, event.tag, event.success != 0);
    }
}

static grpc_arg integer_argument(const char *key, int value)
{
    union {
        const char *in;
        char *out;
    } name = {.in = key};
    grpc_arg argument = {.type = GRPC_ARG_INTEGER, .key = name.out};

    argument.value.integer = value;
    return argument;
}

/* Flow control and limits of the core. What it refuses by itself (messages too long, compression, headers over 8 KiB)
 * never gets to our code. */
static grpc_server *create_server(int idle_ms)
{
    grpc_arg arguments[] = {
        integer_argument(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, BL_CODEC_CLIENT_REQUEST_MAX),
        integer_argument(GRPC_ARG_MAX_CONCURRENT_STREAMS, STREAMS_PER_CONNECTION),
        integer_argument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, idle_ms),
        integer_argument(GRPC_ARG_KEEPALIVE_TIME_MS, idle_ms),
        integer_argument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, SIGN_OF_LIFE_MS),
        integer_argument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, HANDSHAKE_MS),
        integer_argument(GRPC_ARG_ALLOW_REUSEPORT, 0), /* another program on our port would get some of our clients */
        /* A compressed message could unpack to a thousand times its bytes before its length is looked at. */
        integer_argument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0),
        integer_argument(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1),
    };
    const grpc_channel_args all = {sizeof(arguments) / sizeof(arguments[0]), arguments};

    return grpc_server_create(&all, NULL);
}

/* @return the number of threads that run. */
static int start_threads(struct bl_ingest *ingest)
{
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&ingest->threads[i], NULL, run, ingest) != 0)
            return i;
    return THREADS;
}

/* The core costs about 15 ms to start. What fails ends the program. */
int bl_ingest_create(struct bl_ingest **out, const struct bl_ingest_parts *parts, struct bl_error_detail *detail)
{
    struct bl_ingest *ingest = calloc(1, sizeof(*ingest));
    pthread_condattr_t attributes;

    if (ingest == NULL)
        return BL_ENOMEM;
    ingest->parts = *parts;
    ingest->started_ms = bl_clock_monotonic_ms();
    atomic_init(&ingest->n_calls, 0);
    atomic_init(&ingest->stopping, false);
    (void)pthread_mutex_init(&ingest->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&ingest->is_shut, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
    grpc_init();
    ingest->queue = grpc_completion_queue_create_for_next(NULL);
    ingest->server = create_server((int)parts->store->settings->idle_s * 1000);
    ingest->credentials = grpc_insecure_server_credentials_create();
    grpc_server_register_completion_queue(ingest->server, ingest->queue, NULL);
    if (parts->tls != NULL) {
        int error = bl_tls_listen(parts->tls, ingest->server, detail);

        if (error != BL_OK)
            return error;
    }
    grpc_server_start(ingest->server);
    for (int i = 0; i < REQUESTED_CALLS; i++)
        request_call(ingest);
    if (start_threads(ingest) != THREADS) {
        /* Not worth an orderly way back: the program does not start. */
        bl_notice_write("can't start a thread");
        exit(1);
    }
    *out = ingest;
    return BL_OK;
}

/* The core closes the descriptor when the connection ends: peers.c must not. */
void bl_ingest_serve(struct bl_ingest *ingest, int descriptor)
{
    grpc_server_add_channel_from_fd(ingest->server, descriptor, ingest->credentials);
}

/* Waits for the server's event until @until_ms. Calls that wait for data planes are answered as they stand: also those
 * that the writer hands over meanwhile. */
static bool wait_shut(struct bl_ingest *ingest, int64_t until_ms)
{
    bool shut = false;

    while (!shut && bl_clock_monotonic_ms() < until_ms) {
        int64_t next_ms = bl_clock_monotonic_ms() + 20;
        struct timespec next = {.tv_sec = next_ms / 1000, .tv_nsec = next_ms % 1000 * 1000000};

        (void)bl_publish_expire(ingest->parts.publish, 0, true);
        (void)pthread_mutex_lock(&ingest->lock);
        if (!ingest->shut)
            (void)pthread_cond_timedwait(&ingest->is_shut, &ingest->lock, &next);
        shut = ingest->shut;
        (void)pthread_mutex_unlock(&ingest->lock);
    }
    return shut;
}

/* Streams would go on for ever. */
static void end_streams(struct bl_ingest *ingest)
{
    (void)pthread_mutex_lock(&ingest->lock);
    atomic_store_explicit(&ingest->stopping, true, memory_order_relaxed);
    for (struct bl_call *call = ingest->open; call != NULL; call = call->next_open) {
        if (call->push != NULL)
            bl_push_stop(call->push);
        else if (call->stream != NULL)
            bl_stream_cancel(call->stream, true);
        else if (call->method == BL_AUTHORIZE_REFLECTION)
            bl_stock_reflect_stop(call);
    }
    (void)pthread_mutex_unlock(&ingest->lock);
}

/* On its own account: the actor that the call has is its thread's. */
static void readmit(struct bl_ingest *ingest, struct bl_call *call)
{
    struct bl_error_detail detail = {""};
    struct bl_tls_seen seen = {0, 0};
    struct bl_peer who;
    struct bl_actor actor;
    char *peer = grpc_call_get_peer(call->call);
    bool by_socket = bl_peers_find(ingest->parts.peers, peer, &who) == BL_OK;
    int error = BL_OK;

    gpr_free(peer);
    if (!by_socket)
        error = bl_tls_identify(ingest->parts.tls, call->call, &seen, &actor, &detail);
    if (!by_socket && error == BL_OK)
        error = bl_authorize_check(&actor, call->method, &detail);
    if (error == BL_OK)
        return;
    if (call->push != NULL)
        bl_push_refuse(call->push, error, detail.text);
    else if (call->method == BL_AUTHORIZE_REFLECTION)
        bl_stock_reflect_stop(call);
}

void bl_ingest_readmit(struct bl_ingest *ingest)
{
    (void)pthread_mutex_lock(&ingest->lock);
    for (struct bl_call *call = ingest->open; call != NULL; call = call->next_open)
        readmit(ingest, call);
    (void)pthread_mutex_unlock(&ingest->lock);
}

void bl_ingest_stop(struct bl_ingest *ingest, int patience_ms)
{
    end_streams(ingest);
    grpc_server_shutdown_and_notify(ingest->server, ingest->queue, &shutdown_tag);
    if (!wait_shut(ingest, bl_clock_monotonic_ms() + patience_ms)) {
        /* Also ends the connections of clients that read nothing and answer no ping. */
        grpc_server_cancel_all_calls(ingest->server);
        while (!wait_shut(ingest, bl_clock_monotonic_ms() + 1000))
            continue;
    }
    (void)pthread_mutex_lock(&ingest->lock);
    while (ingest->n_streams != 0)
        (void)pthread_cond_wait(&ingest->is_shut, &ingest->lock);
    (void)pthread_mutex_unlock(&ingest->lock);
    grpc_completion_queue_shutdown(ingest->queue);
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(ingest->threads[i], NULL);
}

void bl_ingest_count(const struct bl_ingest *ingest, struct bl_ingest_counts *counts)
{
    for (int method = 0; method <= BL_AUTHORIZE_METHOD_COUNT; method++)
        for (int status = 0; status < BL_INGEST_STATUSES; status++)
            counts->n_calls[method][status] =
                atomic_load_explicit(&ingest->n_ended[method][status], memory_order_relaxed);
}

const struct bl_ingest_parts *bl_ingest_lend_parts(const struct bl_ingest *ingest)
{
    return &ingest->parts;
}

bool bl_ingest_is_stopping(const struct bl_ingest *ingest)
{
    return atomic_load_explicit(&ingest->stopping, memory_order_relaxed);
}

int64_t bl_ingest_started_ms(const struct bl_ingest *ingest)
{
    return ingest->started_ms;
}

void bl_ingest_free(struct bl_ingest *ingest)
{
    grpc_server_destroy(ingest->server);
    grpc_completion_queue_destroy(ingest->queue);
    grpc_server_credentials_release(ingest->credentials);
    grpc_shutdown();
    (void)pthread_cond_destroy(&ingest->is_shut);
    (void)pthread_mutex_destroy(&ingest->lock);
    free(ingest);
}
