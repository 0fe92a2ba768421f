/* TableSync, the data plane's side; see feed.h.
 *
 *   CLOSED ──connect, hello sent──▶ GREETING ──hello received──▶ LIVE
 *     ▲                                │                          │
 *     └──── refusal, error, silence ───┴──────────────────────────┘ */
#include "dataplane/feed.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "bounceline/version.h"
#include "dataplane/channel.h"
#include "dataplane/say.h"

enum {
    PAUSE_FIRST_MS = 20,
    PAUSE_MAX_MS = 1000,
    REPORT_EVERY_MS = 1000,
    /* Of a hello, or of the rest of a frame that has begun: longer, and the control plane is stuck. */
    SILENCE_MAX_MS = 10000,
    ALARM_AGE_MS = 5 * 60 * 1000,
};

enum state { STATE_CLOSED, STATE_GREETING, STATE_LIVE };

struct bl_feed {
    struct bl_feed_options options;
    struct bl_channel channel;
    enum state state;
    uint64_t due_ms;    /* closed: when to connect; greeting, or in a frame: when to give up */
    uint64_t report_ms; /* the next report */
    uint64_t lost_ms;   /* when the control plane was heard last, while it is gone */
    uint32_t pause_ms;
    bool pending;
    bool said_lost;       /* the operator knows that it is gone */
    bool said_old;        /* ... and that the table is old */
    uint64_t acked_epoch; /* of this connection; epoch 0: nothing was acknowledged in it */
    uint64_t acked_serial;
    uint64_t n_samples_sent;
    uint64_t n_samples_lost; /* on their way when a connection ended */
    size_t n_samples_unsent; /* of the last frame of them, while the socket has not taken all that was sent */
    struct bl_sync_sample samples[BL_SYNC_SAMPLES_MAX];
    struct bl_error_detail last; /* the last connection's end, not to be said again and again */
};

int bl_feed_create(struct bl_feed **out, const struct bl_feed_options *options, struct bl_error_detail *detail)
{
    struct bl_feed *feed;

    if (strlen(options->socket) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return bl_error_set(detail, BL_ERANGE, "dataplane.sync_socket: %s: too long for a socket's path",
                            options->socket);
    feed = calloc(1, sizeof(*feed));
    if (feed == NULL)
        return bl_error_set(detail, BL_ENOMEM, "no memory for the sync connection");
    feed->options = *options;
    feed->pause_ms = PAUSE_FIRST_MS;
    bl_channel_init(&feed->channel);
    *out = feed;
    return BL_OK;
}

void bl_feed_free(struct bl_feed *feed)
{
    if (feed == NULL)
        return;
    bl_channel_fini(&feed->channel);
    free(feed);
}

/* Closes, and says why unless that was said of the last attempt too. */
static void disconnect(struct bl_feed *feed, uint64_t now_ms, const struct bl_error_detail *cause)
{
    if (strcmp(cause->text, feed->last.text) != 0) {
        const struct bl_held *held = bl_distribute_enforced(feed->options.distribute);

        if (held->epoch == 0)
            bl_say_line("control plane: %s; no table yet, everything passes", cause->text);
        else
            bl_say_line("control plane: %s; the table of serial %llu rules", cause->text,
                        (unsigned long long)held->serial);
        feed->last = *cause;
    }
    if (!feed->said_lost) {
        feed->said_lost = true;
        feed->lost_ms = now_ms;
    }
    feed->n_samples_lost += feed->n_samples_unsent;
    feed->n_samples_unsent = 0;
    bl_channel_close(&feed->channel);
    bl_master_interrupt(feed->options.master);
    feed->state = STATE_CLOSED;
    feed->pending = false;
    feed->due_ms = now_ms + feed->pause_ms;
    feed->pause_ms = feed->pause_ms * 2 < PAUSE_MAX_MS ? feed->pause_ms * 2 : PAUSE_MAX_MS;
}

static int send_frame(struct bl_feed *feed, int error, struct bl_sync_frame *frame)
{
    if (error != BL_OK)
        return error;
    error = bl_channel_send(&feed->channel, frame->data, frame->length);
    free(frame->data);
    return error;
}

static void connect_now(struct bl_feed *feed, uint64_t now_ms)
{
    struct bl_held held = bl_master_held(feed->options.master);
    struct bl_sync_hello hello = {feed->options.name, held.epoch, held.serial, held.digest, feed->options.n_workers};
    struct bl_error_detail detail = {""};
    struct bl_sync_frame frame;
    int error = bl_channel_connect(&feed->channel, feed->options.socket, &detail);

    if (error == BL_OK) {
        error = send_frame(feed, bl_sync_codec_encode_hello(&hello, &frame), &frame);
        if (error != BL_OK)
            bl_error_set(&detail, error, "hello can't be sent");
    }
    if (error != BL_OK) {
        disconnect(feed, now_ms, &detail);
        return;
    }
    feed->state = STATE_GREETING;
    feed->due_ms = now_ms + SILENCE_MAX_MS;
    feed->acked_epoch = 0;
    feed->acked_serial = 0;
}

static enum bl_sync_refusal reason_of(int error)
{
    switch (error) {
    case BL_EVERSION:
        return BL_SYNC_REFUSAL_VERSION;
    case BL_EORDER:
        return BL_SYNC_REFUSAL_OUT_OF_ORDER;
    case BL_EDIGEST:
        return BL_SYNC_REFUSAL_DIGEST;
    case BL_ETOOBIG:
    case BL_EFULL:
    case BL_ENOMEM:
        return BL_SYNC_REFUSAL_TOO_BIG;
    default:
        return BL_SYNC_REFUSAL_MALFORMED;
    }
}

/* Tells the control plane and the operator, and ends the connection. After a message that did not fit what is held,
 * only a snapshot can be trusted; a malformed one leaves what is held as good as before. */
static void refuse(struct bl_feed *feed, uint64_t now_ms, int error, const struct bl_error_detail *cause)
{
    struct bl_error_detail line;
    struct bl_sync_frame frame;

    (void)send_frame(feed, bl_sync_codec_encode_refusal(reason_of(error), cause->text, &frame), &frame);
    if (error == BL_EORDER || error == BL_EDIGEST)
        bl_master_forget(feed->options.master);
    bl_error_set(&line, error, "refused what it sent: %.250s", cause->text);
    disconnect(feed, now_ms, &line);
}

static void become_live(struct bl_feed *feed, uint64_t now_ms, const struct bl_sync_message *hello)
{
    bl_say_line("control plane: connected, epoch %llx at serial %llu", (unsigned long long)hello->epoch,
                (unsigned long long)hello->serial);
    feed->state = STATE_LIVE;
    feed->said_lost = false;
    feed->said_old = false;
    feed->last.text[0] = '\0';
    feed->report_ms = now_ms;
}

/* A URL that promises a ticket which nobody can make: people would not get far with it. */
static void say_missing_ticket(const struct bl_feed *feed, const struct bl_sync_message *message)
{
    for (unsigned i = BL_CLASS_FIRST; i <= BL_CLASS_LAST && !feed->options.has_tickets; i++) {
        if ((message->classes_mask >> i & 1) == 0 || !bl_class_has_ticket(&message->classes[i]))
            continue;
        bl_say_line("the control plane's URL holds {ticket}, and dataplane.ticket_key_file is not set: "
                    "the 550 goes out without one");
        return;
    }
}

/* @return 0, or why the message is refused. */
static int handle_message(struct bl_feed *feed, uint64_t now_ms, const struct bl_sync_message *message,
                          struct bl_error_detail *detail)
{
    int error;

    if (message->kind == BL_SYNC_HELLO) {
        if (feed->state != STATE_GREETING)
            return bl_error_set(detail, BL_EINVAL, "a second hello");
        if (message->protocol_version != BL_VERSION_SYNC)
            return bl_error_set(detail, BL_EVERSION, "protocol version %u: expected %u", message->protocol_version,
                                BL_VERSION_SYNC);
        become_live(feed, now_ms, message);
        return BL_OK;
    }
    if (feed->state != STATE_LIVE)
        return bl_error_set(detail, BL_EINVAL, "a message before hello");
    error = bl_master_apply(feed->options.master, message, detail);
    if (error == BL_OK)
        say_missing_ticket(feed, message);
    /* The pause before the next attempt shrinks when something was right: what is refused again and again must not be
     * asked for without a pause. */
    if (error == BL_OK && message->last)
        feed->pause_ms = PAUSE_FIRST_MS;
    return error;
}

/* Takes in one frame. @return false when there was none, or the connection is over. */
static bool read_frame(struct bl_feed *feed, uint64_t now_ms)
{
    struct bl_error_detail detail = {""};
    struct bl_sync_message *message = NULL;
    const uint8_t *body;
    size_t length;
    int error = bl_channel_receive(&feed->channel, &body, &length);

    if (error == BL_EAGAIN)
        return false;
    if (error == BL_ECLOSED) {
        bl_error_set(&detail, error, "connection closed");
        disconnect(feed, now_ms, &detail);
        return false;
    }
    if (error != BL_OK)
        bl_error_set(&detail, error, "a frame: %s", bl_error_text(error));
    else
        error = bl_sync_codec_decode(body, length, &message, &detail);
    if (error == BL_OK && message->kind == BL_SYNC_REFUSAL) {
        bl_error_set(&detail, BL_ECLOSED, "refuses (reason %u): %.200s", message->refusal,
                     message->refusal_detail.text);
        /* What it holds against us may be what we hold. */
        if (message->refusal == BL_SYNC_REFUSAL_DIGEST || message->refusal == BL_SYNC_REFUSAL_OUT_OF_ORDER)
            bl_master_forget(feed->options.master);
        disconnect(feed, now_ms, &detail);
    } else {
        if (error == BL_OK)
            error = handle_message(feed, now_ms, message, &detail);
        if (error != BL_OK)
            refuse(feed, now_ms, error, &detail);
    }
    bl_sync_codec_free(message);
    return feed->state != STATE_CLOSED;
}

/* Reads one frame, unless the slowest worker is far behind: then the control plane waits. */
static void read_next(struct bl_feed *feed, uint64_t now_ms)
{
    struct bl_error_detail detail = {""};

    feed->pending = false;
    if (bl_distribute_waiting(feed->options.distribute) >= BL_DISTRIBUTE_WAITING_MAX)
        return;
    if (read_frame(feed, now_ms)) {
        feed->pending = true;
        feed->due_ms = now_ms + SILENCE_MAX_MS;
        return;
    }
    if (feed->state == STATE_CLOSED)
        return;
    if (feed->state == STATE_LIVE && !bl_channel_in_frame(&feed->channel)) {
        feed->due_ms = now_ms + SILENCE_MAX_MS;
    } else if (now_ms >= feed->due_ms) {
        bl_error_set(&detail, BL_ECLOSED, "silent in the middle of a %s",
                     feed->state == STATE_LIVE ? "frame" : "greeting");
        disconnect(feed, now_ms, &detail);
    }
}

/* What every worker enforces is told once; a serial that was overtaken is not told at all. */
static int acknowledge(struct bl_feed *feed)
{
    const struct bl_held *held = bl_distribute_enforced(feed->options.distribute);
    struct bl_sync_frame frame;
    int error;

    if (held->epoch == 0 || (held->epoch == feed->acked_epoch && held->serial == feed->acked_serial))
        return BL_OK;
    error = send_frame(feed, bl_sync_codec_encode_ack(held->epoch, held->serial, held->digest, &frame), &frame);
    if (error == BL_OK) {
        feed->acked_epoch = held->epoch;
        feed->acked_serial = held->serial;
    }
    return error;
}

static int report(struct bl_feed *feed, uint64_t now_ms)
{
    const struct bl_sync_counter own[] = {{"reject_samples", feed->n_samples_sent},
                                          {"reject_samples_unsent", feed->n_samples_lost}};
    struct bl_sync_report now = {0};
    struct bl_sync_frame frame;

    _Static_assert(sizeof(own) / sizeof(own[0]) == BL_FEED_COUNTERS, "whoever fills the report leaves room for them");
    if (now_ms < feed->report_ms)
        return BL_OK;
    feed->report_ms = now_ms + REPORT_EVERY_MS;
    feed->options.fill_report(feed->options.context, &now);
    for (unsigned i = 0; i < BL_FEED_COUNTERS; i++)
        now.counters[now.n_counters++] = own[i];
    return send_frame(feed, bl_sync_codec_encode_report(&now, &frame), &frame);
}

/* Samples are the last to be sent, and only when everything before has gone: an acknowledgement waits for none of them.
 * Without a control plane, or while it does not read, they stay in the workers' rings, and when those are full the
 * workers count what they would have told. One frame a turn. */
static int tell_rejects(struct bl_feed *feed)
{
    struct bl_sync_frame frame;
    size_t n;
    int error;

    if (feed->channel.out_bytes > 0)
        return BL_OK;
    n = feed->options.take_samples(feed->options.context, feed->samples, BL_SYNC_SAMPLES_MAX);
    if (n == 0)
        return BL_OK;
    error = send_frame(feed, bl_sync_codec_encode_rejects(feed->samples, n, &frame), &frame);
    if (error != BL_OK) {
        feed->n_samples_lost += n;
        /* They are not worth the connection. */
        return error == BL_ENOMEM ? BL_OK : error;
    }
    feed->n_samples_sent += n;
    feed->n_samples_unsent = feed->channel.out_bytes > 0 ? n : 0;
    feed->pending |= n == BL_SYNC_SAMPLES_MAX;
    return BL_OK;
}

static void say_age(struct bl_feed *feed, uint64_t now_ms)
{
    if (!feed->said_lost || feed->said_old || now_ms - feed->lost_ms < ALARM_AGE_MS)
        return;
    feed->said_old = true;
    bl_say_line("ALARM: no control plane for 5 minutes; the table of serial %llu still rules",
                (unsigned long long)bl_distribute_enforced(feed->options.distribute)->serial);
}

void bl_feed_poll(struct bl_feed *feed, uint64_t now_ms)
{
    struct bl_error_detail detail = {""};
    int error;

    if (feed->state == STATE_CLOSED) {
        say_age(feed, now_ms);
        if (now_ms >= feed->due_ms)
            connect_now(feed, now_ms);
        return;
    }
    read_next(feed, now_ms);
    if (feed->state == STATE_CLOSED)
        return;
    error = bl_channel_flush(&feed->channel);
    if (error == BL_OK && feed->channel.out_bytes == 0)
        feed->n_samples_unsent = 0;
    if (error == BL_OK && feed->state == STATE_LIVE)
        error = acknowledge(feed);
    if (error == BL_OK && feed->state == STATE_LIVE)
        error = report(feed, now_ms);
    if (error == BL_OK && feed->state == STATE_LIVE)
        error = tell_rejects(feed);
    if (error != BL_OK) {
        bl_error_set(&detail, error, "does not take what is sent: %s", bl_error_text(error));
        disconnect(feed, now_ms, &detail);
    }
}

void bl_feed_resync(struct bl_feed *feed, uint64_t now_ms)
{
    struct bl_error_detail detail = {"left, to get a snapshot"};

    bl_master_forget(feed->options.master);
    if (feed->state != STATE_CLOSED)
        disconnect(feed, now_ms, &detail);
}

int bl_feed_descriptor(const struct bl_feed *feed, short *events)
{
    *events = 0;
    if (feed->state == STATE_CLOSED)
        return -1;
    /* With a worker far behind nothing is read: its progress is looked at by time, not by event. */
    if (bl_distribute_waiting(feed->options.distribute) < BL_DISTRIBUTE_WAITING_MAX)
        *events |= POLLIN;
    if (feed->channel.out_bytes > 0)
        *events |= POLLOUT;
    return feed->channel.fd;
}

bool bl_feed_pending(const struct bl_feed *feed)
{
    return feed->pending;
}
