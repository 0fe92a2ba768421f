/* A thread that serves one call with many answers; see stream.h. */
#include "controlplane/stream.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "controlplane/call.h"
#include "controlplane/clock.h"

enum { STACK_BYTES = 1 << 20 };

struct bl_stream {
    struct bl_call *call; /* owns this */
    struct bl_stream_work work;
    int64_t admitted_ms;           /* the thread's own */
    struct bl_error_detail detail; /* the thread's own: why it may not go on */

    pthread_mutex_t lock; /* of the rest */
    pthread_cond_t changed;
    bool sending;
    bool cancelled;
    bool stopped;

    size_t length;
    uint8_t request[];
};

static grpc_status_code status_of(int error)
{
    switch (error) {
    case BL_ENOENT:
        return GRPC_STATUS_OUT_OF_RANGE;
    case BL_EVERSION:
        return GRPC_STATUS_FAILED_PRECONDITION;
    default:
        return bl_call_status(error);
    }
}

/* A role or a certificate can be taken back while a stream is open. */
static int admit_again(struct bl_stream *stream)
{
    int64_t now_ms = bl_clock_monotonic_ms();
    int error;

    if (now_ms - stream->admitted_ms < BL_STREAM_ADMIT_MS)
        return BL_OK;
    error = stream->work.admit(stream->call, &stream->detail);
    if (error == BL_OK)
        stream->admitted_ms = now_ms;
    return error;
}

int bl_stream_check(struct bl_stream *stream)
{
    bool closed;

    (void)pthread_mutex_lock(&stream->lock);
    closed = stream->cancelled || stream->stopped;
    (void)pthread_mutex_unlock(&stream->lock);
    return closed || admit_again(stream) != BL_OK ? BL_ECLOSED : BL_OK;
}

/* Until the client took what was sent before, or there is none any more. Who takes nothing for long is dropped: the core
 * then says so, as of any client that went. Under the lock. */
static void wait_for_room(struct bl_stream *stream)
{
    int64_t until_ms = bl_clock_monotonic_ms() + stream->work.idle_ms;
    const struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    bool dropped = false;

    while (stream->sending && !stream->cancelled && !stream->stopped) {
        if (dropped)
            (void)pthread_cond_wait(&stream->changed, &stream->lock);
        else if (pthread_cond_timedwait(&stream->changed, &stream->lock, &until) == ETIMEDOUT) {
            dropped = true;
            bl_call_drop(stream->call, GRPC_STATUS_RESOURCE_EXHAUSTED, "nothing was read for controlplane.idle_s");
        }
    }
}

int bl_stream_send(struct bl_stream *stream, struct bl_codec_bytes *message)
{
    int error = BL_OK;

    (void)pthread_mutex_lock(&stream->lock);
    wait_for_room(stream);
    if (stream->cancelled || stream->stopped) {
        bl_codec_bytes_fini(message);
        error = BL_ECLOSED;
    } else {
        stream->sending = true;
        bl_call_send(stream->call, message);
    }
    (void)pthread_mutex_unlock(&stream->lock);
    return error == BL_OK ? bl_stream_check(stream) : error;
}

void bl_stream_sent(struct bl_stream *stream)
{
    (void)pthread_mutex_lock(&stream->lock);
    stream->sending = false;
    (void)pthread_cond_signal(&stream->changed);
    (void)pthread_mutex_unlock(&stream->lock);
}

void bl_stream_cancel(struct bl_stream *stream, bool stop)
{
    (void)pthread_mutex_lock(&stream->lock);
    stream->cancelled = stream->cancelled || !stop;
    stream->stopped = stream->stopped || stop;
    (void)pthread_cond_signal(&stream->changed);
    (void)pthread_mutex_unlock(&stream->lock);
}

/* The last message must be out before the status, or the core would take it as a breach of its order. */
static void finish(struct bl_stream *stream, int error, const char *text)
{
    bool stopped;

    (void)pthread_mutex_lock(&stream->lock);
    wait_for_room(stream);
    stopped = stream->stopped;
    (void)pthread_mutex_unlock(&stream->lock);
    if (stream->detail.text[0] != '\0')
        bl_call_finish(stream->call, GRPC_STATUS_PERMISSION_DENIED, stream->detail.text);
    else if (error == BL_ECLOSED && stopped)
        bl_call_finish(stream->call, GRPC_STATUS_UNAVAILABLE, "the control plane stops");
    else
        bl_call_finish(stream->call, status_of(error), error == BL_OK || text[0] != '\0' ? text : bl_error_text(error));
}

static void *run(void *context)
{
    struct bl_stream *stream = context;
    struct bl_call *call = stream->call;
    struct bl_stream_work work = stream->work;
    struct bl_error_detail detail = {""};
    int error = work.run(stream, work.context, stream->request, stream->length, &detail);

    finish(stream, error, detail.text);
    bl_call_release(call);
    work.ended(work.owner);
    return NULL;
}

int bl_stream_create(struct bl_call *call, const struct bl_stream_work *work, const uint8_t *request, size_t length)
{
    struct bl_stream *stream = calloc(1, sizeof(*stream) + length + 1);
    pthread_condattr_t clock;
    pthread_attr_t attributes;
    pthread_t thread;
    int failed;

    if (stream == NULL)
        return BL_ENOMEM;
    stream->call = call;
    stream->work = *work;
    stream->admitted_ms = bl_clock_monotonic_ms();
    stream->length = length;
    if (length != 0)
        memcpy(stream->request, request, length);
    (void)pthread_mutex_init(&stream->lock, NULL);
    (void)pthread_condattr_init(&clock);
    (void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&stream->changed, &clock);
    (void)pthread_condattr_destroy(&clock);
    call->stream = stream;
    bl_call_hold(call);
    bl_call_start(call);
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    failed = pthread_create(&thread, &attributes, run, stream);
    (void)pthread_attr_destroy(&attributes);
    if (failed == 0)
        return BL_OK;
    bl_call_finish(call, GRPC_STATUS_RESOURCE_EXHAUSTED, "can't start a thread");
    work->ended(work->owner);
    bl_call_release(call);
    return BL_OK;
}

void bl_stream_free(struct bl_stream *stream)
{
    if (stream == NULL)
        return;
    (void)pthread_cond_destroy(&stream->changed);
    (void)pthread_mutex_destroy(&stream->lock);
    free(stream);
}
