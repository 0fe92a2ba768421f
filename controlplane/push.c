/* One stream of batches; see push.h. In order: receive → submit → decided → (enforced) → answered → sent. */
#include "controlplane/push.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#include "controlplane/clock.h"

/* A batch on its way; in the stream's order. */
struct item {
    struct bl_push *push;
    struct bl_writer_job job;
    struct bl_publish_wait wait;
    int64_t arrived_ms;
    bool queued;   /* counted in its lane of the writer */
    bool waits;    /* for data planes */
    bool answered; /* response is there */
    uint64_t held; /* bytes of the actor's share */
    struct bl_codec_bytes response;
    struct item *next;
};

struct bl_push {
    struct bl_call *call; /* owns this */
    struct bl_push_parts parts;

    pthread_mutex_t lock; /* of all that follows */
    struct item *first;
    struct item *last;
    size_t n_items; /* in the list, and the one that is being sent */
    size_t n_bytes;
    size_t n_sending_bytes; /* of the one that is being sent */
    size_t n_bulks;         /* in the writer's bulk lane */
    size_t n_smalls;        /* in the other; there are never some in both */
    struct item *held;      /* a bulk that waits until no small one is in front of it */
    bool holding;           /* meanwhile, and until it is in its lane, nothing is read */
    bool receiving;
    bool sending;
    bool ended;     /* no more batches: half-closed, failed or stopped */
    bool cancelled; /* nobody reads answers */
    bool finished;  /* the status is out */
    int error;      /* with which it ends */
    struct bl_error_detail detail;
};

static struct item *item_of_job(struct bl_writer_job *job)
{
    return (struct item *)(void *)((char *)job - offsetof(struct item, job));
}

static void free_item(struct item *item)
{
    bl_limits_give_back(item->push->parts.limits, item->job.actor.number, BL_LIMITS_BYTES, item->held);
    bl_codec_client_request_fini(&item->job.request);
    bl_codec_bytes_fini(&item->job.answer);
    bl_codec_bytes_fini(&item->response);
    free(item);
}

/* Takes the oldest off the list once it is answered. */
static struct item *pop_answered(struct bl_push *push)
{
    struct item *item = push->first;

    if (item == NULL || !item->answered)
        return NULL;
    push->first = item->next;
    if (push->first == NULL)
        push->last = NULL;
    return item;
}

/* The next answer goes out when the core has taken the last. Under the lock. */
static void send_next(struct bl_push *push)
{
    struct item *item;

    while (!push->sending && (item = pop_answered(push)) != NULL) {
        if (push->cancelled || item->response.data == NULL) {
            push->n_items--;
            push->n_bytes -= item->job.request_bytes;
        } else {
            push->sending = true;
            push->n_sending_bytes = item->job.request_bytes;
            bl_call_send(push->call, &item->response);
        }
        free_item(item);
    }
}

/* Whatever happened: sends, reads and ends as far as that goes now. Calls the core only, which does not call back. */
static void advance(struct bl_push *push)
{
    (void)pthread_mutex_lock(&push->lock);
    send_next(push);
    if (!push->receiving && !push->ended && !push->holding && push->n_items < BL_PUSH_BATCHES_MAX &&
        push->n_bytes < BL_PUSH_BYTES_MAX) {
        push->receiving = true;
        bl_call_receive(push->call);
    }
    if (push->ended && push->n_items == 0 && !push->finished) {
        push->finished = true;
        bl_call_finish(push->call, bl_call_status(push->error), push->detail.text);
    }
    (void)pthread_mutex_unlock(&push->lock);
}

/* No more batches; the first reason stands. */
static void end(struct bl_push *push, int error, const char *text)
{
    (void)pthread_mutex_lock(&push->lock);
    if (!push->ended) {
        push->ended = true;
        push->error = bl_error_set(&push->detail, error, "%s", text);
    }
    (void)pthread_mutex_unlock(&push->lock);
}

/* The item has its response, or none for want of memory: then the stream can't go on, since answers are in order. */
static void answer(struct item *item, const struct bl_codec_reached *reached)
{
    struct bl_push *push = item->push;
    struct bl_call *call = push->call;
    struct bl_writer_job *job = &item->job;
    int error = job->error != BL_OK
                    ? bl_codec_client_encode_refusal(&job->request.batch, (uint32_t)bl_call_status(job->error),
                                                     job->detail.text, &item->response)
                    : bl_codec_client_encode_result(job->answer.data, job->answer.length, reached, job->repeated,
                                                    &item->response);

    if (error != BL_OK)
        end(push, error, bl_error_text(error));
    (void)pthread_mutex_lock(&push->lock);
    item->answered = true;
    (void)pthread_mutex_unlock(&push->lock);
    advance(push);
    bl_call_release(call);
}

/* The waiting for data planes ended. */
static void wait_done(struct bl_publish_wait *wait, const struct bl_codec_reached *reached)
{
    struct item *item = (struct item *)(void *)((char *)wait - offsetof(struct item, wait));

    (void)pthread_mutex_lock(&item->push->lock);
    item->waits = false;
    (void)pthread_mutex_unlock(&item->push->lock);
    answer(item, reached);
}

/* One of those that wait for data planes. What publish does not have any more is wait_done's, now or in a moment; what it
 * does not have yet, job_done's. */
static struct item *take_waiting(struct bl_push *push)
{
    struct item *item;

    (void)pthread_mutex_lock(&push->lock);
    for (item = push->first; item != NULL; item = item->next)
        if (item->waits && bl_publish_remove_wait(push->parts.publish, &item->wait))
            break;
    if (item != NULL)
        item->waits = false;
    (void)pthread_mutex_unlock(&push->lock);
    return item;
}

/* The client has gone: nobody waits for its sake. */
static void end_waits(struct bl_push *push)
{
    static const struct bl_codec_reached nothing = {false, 0, 0};
    struct item *item;

    while ((item = take_waiting(push)) != NULL)
        answer(item, &nothing);
}

/* Another thread may answer before add_wait is back, and a client that went meanwhile found nothing to take. */
static void wait_for_dataplanes(struct bl_push *push, struct item *item)
{
    struct bl_call *call = push->call;
    bool cancelled;

    bl_call_hold(call);
    bl_publish_add_wait(push->parts.publish, &item->wait);
    (void)pthread_mutex_lock(&push->lock);
    cancelled = push->cancelled;
    (void)pthread_mutex_unlock(&push->lock);
    if (cancelled)
        end_waits(push);
    bl_call_release(call);
}

static void submit(struct item *item);

/* What was in front of the bulk that waits is decided. It is in its lane before anything else is read. */
static void release_held(struct bl_push *push)
{
    struct item *held;

    (void)pthread_mutex_lock(&push->lock);
    held = push->n_smalls == 0 ? push->held : NULL;
    if (held != NULL) {
        push->held = NULL;
        held->queued = true;
        push->n_bulks++;
    }
    (void)pthread_mutex_unlock(&push->lock);
    if (held == NULL)
        return;
    submit(held);
    (void)pthread_mutex_lock(&push->lock);
    push->holding = false;
    (void)pthread_mutex_unlock(&push->lock);
}

/* The writer decided. While the server stops, and for a client that has gone, nobody waits any more. */
static void job_done(struct bl_writer_job *job)
{
    struct item *item = item_of_job(job);
    struct bl_push *push = item->push;
    struct bl_codec_reached reached = {false, 0, 0};
    bool waits;

    (void)pthread_mutex_lock(&push->lock);
    if (item->queued && job->bulk)
        push->n_bulks--;
    else if (item->queued)
        push->n_smalls--;
    waits = job->error == BL_OK && job->request.wait_enforced && !push->cancelled && push->error != BL_ECLOSED;
    item->waits = waits;
    if (waits)
        item->wait = (struct bl_publish_wait){
            .serial = job->serial, .deadline_ms = item->arrived_ms + job->request.deadline_ms, .done = wait_done};
    (void)pthread_mutex_unlock(&push->lock);
    release_held(push);
    if (waits) {
        wait_for_dataplanes(push, item);
        return;
    }
    if (job->error == BL_OK)
        (void)bl_publish_reached(push->parts.publish, job->serial, &reached);
    answer(item, &reached);
}

/* Behind what is in flight: in the bulks' lane while one is in it, and a bulk not in that lane while the other is in use.
 * Under the lock. */
static void choose_lane(struct bl_push *push, struct item *item)
{
    item->job.bulk = push->n_bulks != 0 || bl_writer_is_bulk(&item->job);
    if (item->job.bulk && push->n_smalls != 0) {
        push->held = item;
        push->holding = true;
        return;
    }
    item->queued = true;
    push->n_bulks += item->job.bulk;
    push->n_smalls += !item->job.bulk;
}

/* In the list before the writer has it: its answer must find its place. @return true when it may go to the writer. */
static bool append(struct bl_push *push, struct item *item)
{
    bool goes;

    (void)pthread_mutex_lock(&push->lock);
    if (item->job.error == BL_OK)
        choose_lane(push, item);
    goes = item->queued;
    if (push->last == NULL)
        push->first = item;
    else
        push->last->next = item;
    push->last = item;
    push->n_items++;
    push->n_bytes += item->job.request_bytes;
    (void)pthread_mutex_unlock(&push->lock);
    return goes;
}

static void submit(struct item *item)
{
    if (bl_writer_submit(item->push->parts.writer, &item->job) == BL_OK)
        return;
    item->job.error = bl_error_set(&item->job.detail, BL_EFULL, "too much is queued, try again");
    job_done(&item->job);
}

/* One message. @return BL_OK also for a batch that is refused. */
static int take_message(struct bl_push *push, const grpc_slice *message, struct bl_error_detail *detail)
{
    const uint8_t *data = GRPC_SLICE_START_PTR(*message);
    size_t length = GRPC_SLICE_LENGTH(*message);
    struct item *item = calloc(1, sizeof(*item));
    int error = item == NULL ? BL_ENOMEM : push->parts.admit(push->call, detail);
    bool refused;

    if (error == BL_OK)
        error = bl_codec_client_decode_pushed(data, length, &item->job.request, &item->job.error, detail);
    if (error != BL_OK) {
        free(item);
        return error;
    }
    item->push = push;
    item->arrived_ms = bl_clock_monotonic_ms();
    item->job.actor = push->call->job.actor;
    if (item->job.error == BL_OK)
        item->job.error = bl_limits_hold(push->parts.limits, &item->job.actor, BL_LIMITS_BYTES, length, detail);
    item->held = item->job.error == BL_OK ? length : 0;
    if (item->job.error == BL_OK)
        item->job.error = bl_limits_take(push->parts.limits, &item->job.actor,
                                         bl_batch_n_items(&item->job.request.batch), item->arrived_ms, detail);
    item->job.request_bytes = length + sizeof(*item);
    item->job.done = job_done;
    if (item->job.error != BL_OK)
        item->job.detail = *detail;
    bl_call_hold(push->call);
    refused = item->job.error != BL_OK;
    /* From here on it may be answered and gone, where it is not ours to answer. */
    if (append(push, item))
        submit(item);
    else if (refused)
        job_done(&item->job);
    return BL_OK;
}

void bl_push_receive(struct bl_push *push)
{
    struct bl_error_detail detail = {""};
    grpc_slice message;
    bool over;
    int error;

    (void)pthread_mutex_lock(&push->lock);
    over = push->ended;
    (void)pthread_mutex_unlock(&push->lock);
    if (!over && bl_call_message(push->call, &message) == BL_OK) {
        error = take_message(push, &message, &detail);
        grpc_slice_unref(message);
        if (error != BL_OK)
            end(push, error, detail.text[0] == '\0' ? bl_error_text(error) : detail.text);
    } else if (!over && grpc_call_failed_before_recv_message(push->call->call)) {
        end(push, BL_ETOOBIG, "the message is larger than 32 MiB, or cut short");
    } else {
        end(push, BL_OK, "");
    }
    /* Not before its batch has its place: another thread would ask for the next, over this message and out of order. */
    (void)pthread_mutex_lock(&push->lock);
    push->receiving = false;
    (void)pthread_mutex_unlock(&push->lock);
    advance(push);
}

void bl_push_sent(struct bl_push *push)
{
    (void)pthread_mutex_lock(&push->lock);
    push->sending = false;
    push->n_items--;
    push->n_bytes -= push->n_sending_bytes;
    (void)pthread_mutex_unlock(&push->lock);
    advance(push);
}

void bl_push_cancel(struct bl_push *push)
{
    end(push, BL_ECLOSED, "cancelled");
    (void)pthread_mutex_lock(&push->lock);
    push->cancelled = true;
    (void)pthread_mutex_unlock(&push->lock);
    end_waits(push);
    advance(push);
}

void bl_push_stop(struct bl_push *push)
{
    bl_push_refuse(push, BL_ECLOSED, "the control plane stops");
}

void bl_push_refuse(struct bl_push *push, int error, const char *text)
{
    end(push, error, text);
    advance(push);
}

int bl_push_create(struct bl_call *call, const struct bl_push_parts *parts)
{
    struct bl_push *push = calloc(1, sizeof(*push));

    if (push == NULL)
        return BL_ENOMEM;
    push->call = call;
    push->parts = *parts;
    (void)pthread_mutex_init(&push->lock, NULL);
    call->push = push;
    bl_call_start(call);
    advance(push);
    return BL_OK;
}

void bl_push_free(struct bl_push *push)
{
    if (push == NULL)
        return;
    (void)pthread_mutex_destroy(&push->lock);
    free(push);
}
