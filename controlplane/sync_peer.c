/* The control plane's half of TableSync for one data plane; see sync_peer.h. */
#include "controlplane/sync_peer.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bounceline/version.h"
#include "controlplane/notice.h"
#include "controlplane/sync_snapshot.h"
#include "proto/wire.h"

/* A data plane's messages are small: see the limit in codec_sync.c. */
enum { INPUT_BYTES_MAX = (64 << 10) + BL_WIRE_FRAME_HEADER_BYTES };

/* Points on their way; more are not sent before some are acknowledged. */
enum { POINTS_MAX = 4096 };

/* After a digest mismatch the next snapshot waits: a data plane that can't get it right must not keep us busy. */
enum { RESYNC_PAUSE_MS = 1000 };

/* A serial that was sent, and what the set must be there. */
struct point {
    uint64_t serial;
    struct bl_digest digest;
};

/* NEW until its hello is good; REFUSED from then on only waits to be freed. */
enum peer_state { PEER_NEW, PEER_LIVE, PEER_REFUSED };

struct bl_sync_peer {
    int descriptor;
    enum peer_state state;
    struct bl_publish *publish;
    struct bl_store *store;
    struct bl_rejects *rejects;
    struct bl_publish_plane *plane;
    char name[BL_CODEC_SYNC_NAME_MAX];

    struct bl_frames *sending; /* NULL: idle */
    size_t sent_bytes;         /* of it */
    bool blocked;              /* the socket took no more */
    int64_t progress_ms;       /* when a byte went last, or sending began; or when it connected */
    bool wants_snapshot;
    int64_t snapshot_not_before_ms;
    struct bl_sync_snapshot snapshot; /* where one is wanted: how far it is */
    uint64_t position;                /* the serial that all sent frames lead to */

    struct point points[POINTS_MAX]; /* sent, not acknowledged; oldest first, wraps */
    size_t first_point;
    size_t n_points;
    struct point settled; /* acknowledged last; serial 0 and settled_known false: none */
    bool settled_known;

    size_t n_input;
    uint8_t input[INPUT_BYTES_MAX];
};

int bl_sync_peer_create(struct bl_sync_peer **out, int descriptor, const struct bl_sync_parts *parts, int64_t now_ms)
{
    struct bl_sync_peer *peer = calloc(1, sizeof(*peer));

    if (peer == NULL) {
        (void)close(descriptor);
        return BL_ENOMEM;
    }
    peer->descriptor = descriptor;
    peer->publish = parts->publish;
    peer->store = parts->store;
    peer->rejects = parts->rejects;
    peer->progress_ms = now_ms;
    *out = peer;
    return BL_OK;
}

void bl_sync_peer_free(struct bl_sync_peer *peer)
{
    if (peer->plane != NULL) {
        bl_notice_write("data plane %s: disconnected", peer->name);
        bl_publish_disconnect(peer->publish, peer->plane);
    }
    bl_frames_release(peer->sending);
    (void)close(peer->descriptor);
    free(peer);
}

int bl_sync_peer_descriptor(const struct bl_sync_peer *peer)
{
    return peer->descriptor;
}

short bl_sync_peer_events(const struct bl_sync_peer *peer)
{
    return (short)(POLLIN | (peer->blocked ? POLLOUT : 0));
}

struct bl_publish_plane *bl_sync_peer_plane(const struct bl_sync_peer *peer)
{
    return peer->plane;
}

/* Puts a message on its way; nothing else may be. Only our hello goes this way: deltas and snapshots come from the ring
 * and the list state. */
static int send_message(struct bl_sync_peer *peer, int error, struct bl_codec_bytes *frame, int64_t now_ms)
{
    if (error == BL_OK)
        error = bl_frames_create_message(&peer->sending, frame);
    peer->sent_bytes = 0;
    peer->progress_ms = now_ms;
    return error == BL_OK ? BL_OK : BL_ECLOSED;
}

/* Says why, and closes after it. What is half-sent can't be followed by a refusal: then only the log has the reason. */
static int refuse(struct bl_sync_peer *peer, enum bl_codec_sync_refusal reason, const char *text)
{
    struct bl_codec_bytes frame;

    bl_notice_write("data plane %s: refused: %s", peer->name[0] == '\0' ? "(no name yet)" : peer->name, text);
    if (peer->sending == NULL && bl_codec_sync_encode_refusal(reason, text, &frame) == BL_OK) {
        /* A socket that does not even take this is closed all the same. */
        ssize_t sent = send(peer->descriptor, frame.data, frame.length, MSG_NOSIGNAL | MSG_DONTWAIT);

        (void)sent;
        bl_codec_bytes_fini(&frame);
    }
    peer->state = PEER_REFUSED;
    return BL_ECLOSED;
}

void bl_sync_peer_refuse_name(struct bl_sync_peer *peer)
{
    (void)refuse(peer, BL_CODEC_SYNC_REFUSAL_NAME_IN_USE, "another data plane of this name is connected");
}

static void add_point(struct bl_sync_peer *peer, uint64_t serial, struct bl_digest digest)
{
    peer->points[(peer->first_point + peer->n_points) % POINTS_MAX] = (struct point){serial, digest};
    peer->n_points++;
}

/* Nothing that was sent counts any more; a snapshot is next. */
static void resync(struct bl_sync_peer *peer, bool digest_mismatch, int64_t not_before_ms)
{
    bl_publish_count_resync(peer->publish, peer->plane, digest_mismatch);
    bl_publish_withdraw(peer->publish, peer->plane);
    peer->wants_snapshot = true;
    peer->snapshot = (struct bl_sync_snapshot){.n_chunks = 0};
    peer->snapshot_not_before_ms = not_before_ms;
    peer->n_points = 0;
    peer->settled_known = false;
}

/* Where does it go on from what it holds? */
static void start_from(struct bl_sync_peer *peer, const struct bl_codec_sync_message *hello)
{
    struct bl_digest digest;

    peer->position = hello->serial;
    if (hello->epoch == bl_publish_epoch(peer->publish) &&
        bl_publish_find_digest(peer->publish, hello->serial, &digest) == BL_OK) {
        if (bl_digest_equal(&digest, &hello->digest)) {
            add_point(peer, hello->serial, digest);
            return;
        }
        bl_notice_write("data plane %s: other digest at serial %llu, gets a snapshot", peer->name,
                        (unsigned long long)hello->serial);
        resync(peer, true, 0);
        return;
    }
    resync(peer, false, 0);
}

static int handle_hello(struct bl_sync_peer *peer, const struct bl_codec_sync_message *hello, int64_t now_ms,
                        struct bl_publish_plane **held)
{
    struct bl_codec_bytes frame = {NULL, 0};
    struct bl_publish_plane *plane;
    struct bl_digest digest;
    uint64_t serial;
    int error;

    memcpy(peer->name, hello->name, sizeof(peer->name));
    if (hello->protocol_version != BL_VERSION_SYNC)
        return refuse(peer, BL_CODEC_SYNC_REFUSAL_VERSION, "expected protocol version 1");
    error = bl_publish_connect(peer->publish, hello, now_ms, &plane);
    /* Whether the one that holds the name lives is for the server to find out: it has both connections. */
    if (error == BL_EEXIST)
        *held = plane;
    if (error == BL_EFULL)
        return refuse(peer, BL_CODEC_SYNC_REFUSAL_TOO_BIG, "too many data planes are connected");
    if (error != BL_OK)
        return error;
    peer->plane = plane;
    peer->state = PEER_LIVE;
    start_from(peer, hello);
    bl_notice_write("data plane %s: connected (%s, %u workers), %s from serial %llu", peer->name, hello->version,
                    hello->n_workers, peer->wants_snapshot ? "gets a snapshot, not deltas" : "gets deltas",
                    (unsigned long long)hello->serial);
    /* Where the list stands, for its log; what it gets next tells it where to go. */
    bl_publish_head(peer->publish, &serial, &digest);
    error = bl_codec_sync_encode_hello(bl_publish_epoch(peer->publish), serial, digest, &frame);
    return send_message(peer, error, &frame, now_ms);
}

/* The place of @serial among the points on their way; n_points when it is not there. */
static size_t find_point(const struct bl_sync_peer *peer, uint64_t serial)
{
    for (size_t i = 0; i < peer->n_points; i++)
        if (peer->points[(peer->first_point + i) % POINTS_MAX].serial == serial)
            return i;
    return peer->n_points;
}

static void mismatch(struct bl_sync_peer *peer, uint64_t serial, int64_t now_ms)
{
    bl_notice_write("data plane %s: other digest at serial %llu, gets a snapshot", peer->name,
                    (unsigned long long)serial);
    resync(peer, true, now_ms + RESYNC_PAUSE_MS);
}

/* An acknowledgement, or a report that is as good. One of a point that a resync took back means nothing. */
static void settle_point(struct bl_sync_peer *peer, uint64_t serial, const struct bl_digest *digest, int64_t now_ms)
{
    size_t at = find_point(peer, serial);
    struct point point;

    if (at == peer->n_points)
        return;
    point = peer->points[(peer->first_point + at) % POINTS_MAX];
    if (!bl_digest_equal(&point.digest, digest)) {
        mismatch(peer, serial, now_ms);
        return;
    }
    peer->first_point = (peer->first_point + at + 1) % POINTS_MAX;
    peer->n_points -= at + 1;
    peer->settled = point;
    peer->settled_known = true;
    bl_publish_acknowledge(peer->publish, peer->plane, serial);
}

/* Once a second it repeats what it enforces: a set that came to differ without a delta of ours is found within a second.
 * Its digest is not of the tables' bytes: rot in those it finds itself (dataplane/distribute.c). */
static void handle_report(struct bl_sync_peer *peer, const struct bl_codec_sync_report *report, int64_t now_ms)
{
    bool all_workers = report->n_workers != 0;

    bl_publish_report(peer->publish, peer->plane, report, now_ms);
    if (report->epoch != bl_publish_epoch(peer->publish))
        return;
    if (peer->settled_known && report->serial == peer->settled.serial) {
        if (!bl_digest_equal(&peer->settled.digest, &report->digest))
            mismatch(peer, report->serial, now_ms);
        return;
    }
    for (uint32_t i = 0; i < report->n_workers; i++)
        all_workers = all_workers && report->workers[i].serial >= report->serial;
    if (all_workers)
        settle_point(peer, report->serial, &report->digest, now_ms);
}

/* Acks of another epoch are of a table that it is about to replace: they say nothing about ours. */
static int handle_message(struct bl_sync_peer *peer, const struct bl_codec_sync_message *message, int64_t now_ms,
                          struct bl_publish_plane **held)
{
    if (message->kind == BL_CODEC_SYNC_REFUSAL) {
        bl_notice_write("data plane %s: it refuses (reason %u): %s", peer->name, message->refusal,
                        message->detail.text);
        return BL_ECLOSED;
    }
    if ((message->kind == BL_CODEC_SYNC_HELLO) != (peer->state == PEER_NEW))
        return refuse(peer, BL_CODEC_SYNC_REFUSAL_MALFORMED, "expected one hello, first");
    switch (message->kind) {
    case BL_CODEC_SYNC_HELLO:
        return handle_hello(peer, message, now_ms, held);
    case BL_CODEC_SYNC_ACK:
        if (message->epoch == bl_publish_epoch(peer->publish))
            settle_point(peer, message->serial, &message->digest, now_ms);
        return BL_OK;
    case BL_CODEC_SYNC_REJECTS:
        bl_rejects_push(peer->rejects, peer->name, &message->rejects);
        return BL_OK;
    default:
        handle_report(peer, &message->report, now_ms);
        return BL_OK;
    }
}

/* Handles the frames that are whole. The frame of a hello that meets its own name is left for the next time. */
static int handle_input(struct bl_sync_peer *peer, int64_t now_ms, struct bl_publish_plane **held)
{
    size_t at = 0;
    int error = BL_OK;

    while (error == BL_OK && peer->n_input - at >= BL_WIRE_FRAME_HEADER_BYTES) {
        struct bl_codec_sync_message message;
        struct bl_error_detail detail = {""};
        size_t length = 0;

        if (bl_wire_frame_parse(peer->input + at, &length) != BL_OK ||
            length > INPUT_BYTES_MAX - BL_WIRE_FRAME_HEADER_BYTES)
            return refuse(peer, BL_CODEC_SYNC_REFUSAL_TOO_BIG, "frame too long");
        if (peer->n_input - at - BL_WIRE_FRAME_HEADER_BYTES < length)
            break;
        error = bl_codec_sync_decode(peer->input + at + BL_WIRE_FRAME_HEADER_BYTES, length, &message, &detail);
        if (error != BL_OK)
            return refuse(peer, BL_CODEC_SYNC_REFUSAL_MALFORMED, detail.text);
        error = handle_message(peer, &message, now_ms, held);
        if (error != BL_EEXIST)
            at += BL_WIRE_FRAME_HEADER_BYTES + length;
    }
    peer->n_input -= at;
    memmove(peer->input, peer->input + at, peer->n_input);
    return error;
}

/* One recv a call: a data plane that floods us gets one turn among the others. */
int bl_sync_peer_read(struct bl_sync_peer *peer, int64_t now_ms, struct bl_publish_plane **held)
{
    ssize_t got;
    int error = handle_input(peer, now_ms, held);

    if (error != BL_OK)
        return error;
    do {
        got = recv(peer->descriptor, peer->input + peer->n_input, sizeof(peer->input) - peer->n_input, MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? BL_OK : BL_ECLOSED;
    if (got == 0)
        return BL_ECLOSED;
    peer->n_input += (size_t)got;
    return handle_input(peer, now_ms, held);
}

/* The delta that goes on from all that was sent. Where the ring does not reach there any more, a snapshot is wanted. */
static int begin_delta(struct bl_sync_peer *peer)
{
    int error = bl_publish_fetch(peer->publish, peer->position, &peer->sending);

    if (error == BL_ENOENT)
        resync(peer, false, 0);
    return error;
}

/* A chunk, or a delta between two of them. */
static int begin_chunk(struct bl_sync_peer *peer, int64_t now_ms)
{
    bool last = false;
    int error;

    if (now_ms < peer->snapshot_not_before_ms)
        return BL_EAGAIN;
    error = bl_sync_snapshot_next(&peer->snapshot, peer->store, peer->position, &last, &peer->sending);
    if (error == BL_EAGAIN)
        return begin_delta(peer);
    if (error != BL_OK)
        return BL_ECLOSED;
    peer->wants_snapshot = !last;
    return BL_OK;
}

/* Puts the next thing on its way. @return 0, BL_EAGAIN: there is nothing now, or BL_ECLOSED. */
static int begin_next(struct bl_sync_peer *peer, int64_t now_ms)
{
    int error = BL_ENOENT;

    /* So many unacknowledged points mean that it reads but does not enforce: it catches up later, from the ring or with
     * a snapshot. */
    if (peer->state != PEER_LIVE || peer->n_points == POINTS_MAX)
        return BL_EAGAIN;
    if (!peer->wants_snapshot)
        error = begin_delta(peer);
    while (error == BL_ENOENT)
        error = begin_chunk(peer, now_ms);
    if (error != BL_OK)
        return error;
    peer->sent_bytes = 0;
    peer->progress_ms = now_ms;
    peer->position = peer->sending->serial;
    /* Before the last chunk there is nothing to acknowledge. */
    if (!peer->wants_snapshot)
        add_point(peer, peer->sending->serial, peer->sending->digest);
    return BL_OK;
}

/* Sends of what is on its way. @return 0: all gone, BL_EAGAIN or BL_ECLOSED. */
static int send_some(struct bl_sync_peer *peer, int64_t now_ms)
{
    while (peer->sent_bytes < peer->sending->n_bytes) {
        ssize_t sent = send(peer->descriptor, peer->sending->data + peer->sent_bytes,
                            peer->sending->n_bytes - peer->sent_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? BL_EAGAIN : BL_ECLOSED;
        peer->sent_bytes += (size_t)sent;
        peer->progress_ms = now_ms;
    }
    bl_frames_release(peer->sending);
    peer->sending = NULL;
    return BL_OK;
}

/* Until the socket is full or there is nothing to send: a delist goes out in the turn that the writer's wake began. But
 * one chunk of a snapshot a turn: the others, and what this one says, come in between. */
int bl_sync_peer_write(struct bl_sync_peer *peer, int64_t now_ms)
{
    int error = BL_OK;

    if (peer->state == PEER_NEW && now_ms - peer->progress_ms >= BL_SYNC_PEER_HELLO_MS)
        return refuse(peer, BL_CODEC_SYNC_REFUSAL_MALFORMED, "no hello in time");
    peer->blocked = false;
    while (error == BL_OK) {
        if (peer->sending == NULL)
            error = begin_next(peer, now_ms);
        if (error == BL_OK)
            error = send_some(peer, now_ms);
        if (peer->wants_snapshot && peer->sending == NULL)
            break;
    }
    if (error == BL_ECLOSED)
        return error;
    peer->blocked = peer->sending != NULL;
    if (peer->blocked && now_ms - peer->progress_ms >= BL_SYNC_PEER_STUCK_MS) {
        bl_notice_write("data plane %s: takes nothing, is disconnected", peer->name);
        return BL_ECLOSED;
    }
    return BL_OK;
}

int64_t bl_sync_peer_due_ms(const struct bl_sync_peer *peer)
{
    if (peer->state == PEER_NEW)
        return peer->progress_ms + BL_SYNC_PEER_HELLO_MS;
    if (peer->sending != NULL)
        return peer->progress_ms + BL_SYNC_PEER_STUCK_MS;
    return peer->wants_snapshot ? peer->snapshot_not_before_ms : INT64_MAX;
}
