/* The sync thread's poll loop; see sync_server.h. */
#include "controlplane/sync_server.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/clock.h"
#include "controlplane/listen.h"
#include "controlplane/notice.h"
#include "controlplane/sync_peer.h"

enum { PEERS_MAX = BL_PUBLISH_PLANES_MAX + 16 };

/* The first two places of the poll set. */
enum { POLL_WAKE, POLL_LISTENING, POLL_FIRST_PEER };

/* All but `stop` is the thread's alone while it runs. */
struct bl_sync_server {
    pthread_t thread;
    atomic_bool stop; /* released by free, acquired by the thread, after a wake */
    int listening;
    struct bl_sync_parts parts;
    size_t n_peers;
    struct bl_sync_peer *peers[PEERS_MAX];
    struct pollfd polls[POLL_FIRST_PEER + PEERS_MAX];
};

/* The order of the peers means nothing: the last one takes the place. */
static void remove_peer(struct bl_sync_server *server, struct bl_sync_peer *peer)
{
    for (size_t i = 0; i < server->n_peers; i++) {
        if (server->peers[i] != peer)
            continue;
        server->peers[i] = server->peers[--server->n_peers];
        break;
    }
    bl_sync_peer_free(peer);
}

static struct bl_sync_peer *find_peer(const struct bl_sync_server *server, const struct bl_publish_plane *plane)
{
    for (size_t i = 0; i < server->n_peers; i++)
        if (bl_sync_peer_plane(server->peers[i]) == plane)
            return server->peers[i];
    return NULL;
}

/* The one that holds the name a new connection says: dead (closed, or silent for long) or alive? */
static bool holder_is_dead(struct bl_sync_server *server, struct bl_sync_peer *holder, int64_t now_ms)
{
    struct pollfd poll_one = {.fd = bl_sync_peer_descriptor(holder), .events = 0};

    return (poll(&poll_one, 1, 0) == 1 && (poll_one.revents & (POLLHUP | POLLERR)) != 0) ||
           bl_publish_is_stale(server->parts.publish, bl_sync_peer_plane(holder), now_ms);
}

/* A data plane that restarts may say hello before we saw its old connection close: then the old one goes first. */
static void read_peer(struct bl_sync_server *server, struct bl_sync_peer *peer, int64_t now_ms)
{
    struct bl_publish_plane *held = NULL;
    int error = bl_sync_peer_read(peer, now_ms, &held);

    if (error == BL_EEXIST) {
        struct bl_sync_peer *holder = find_peer(server, held);

        if (holder == NULL || !holder_is_dead(server, holder, now_ms)) {
            bl_sync_peer_refuse_name(peer);
            remove_peer(server, peer);
            return;
        }
        remove_peer(server, holder);
        error = bl_sync_peer_read(peer, now_ms, &held);
    }
    if (error != BL_OK)
        remove_peer(server, peer);
}

/* The socket's mode says who may connect; who then says no hello in time is closed. */
static void accept_peers(struct bl_sync_server *server, int64_t now_ms)
{
    uint32_t uid;
    int accepted;

    while (server->n_peers < PEERS_MAX && (accepted = bl_listen_accept(server->listening, &uid)) >= 0)
        if (bl_sync_peer_create(&server->peers[server->n_peers], accepted, &server->parts, now_ms) == BL_OK)
            server->n_peers++;
}

/* Lets everyone send. @return the next time that somebody is due. */
static int64_t write_peers(struct bl_sync_server *server, int64_t now_ms)
{
    int64_t due_ms = INT64_MAX;

    for (size_t i = server->n_peers; i-- > 0;) {
        struct bl_sync_peer *peer = server->peers[i];
        int64_t peer_due_ms;

        if (bl_sync_peer_write(peer, now_ms) != BL_OK) {
            remove_peer(server, peer);
            continue;
        }
        peer_due_ms = bl_sync_peer_due_ms(peer);
        due_ms = peer_due_ms < due_ms ? peer_due_ms : due_ms;
    }
    return due_ms;
}

/* @return as poll(2). Waits until an event or @due_ms. */
static int wait_for_events(struct bl_sync_server *server, int64_t due_ms)
{
    int64_t left_ms = due_ms == INT64_MAX ? -1 : due_ms - bl_clock_monotonic_ms();
    int timeout = left_ms > 60000 ? 60000 : (int)left_ms;

    if (due_ms != INT64_MAX && timeout < 0)
        timeout = 0;
    server->polls[POLL_WAKE] =
        (struct pollfd){.fd = bl_publish_wake_descriptor(server->parts.publish), .events = POLLIN};
    /* With all places taken, who comes waits in the backlog. */
    server->polls[POLL_LISTENING] =
        (struct pollfd){.fd = server->n_peers < PEERS_MAX ? server->listening : -1, .events = POLLIN};
    for (size_t i = 0; i < server->n_peers; i++)
        server->polls[POLL_FIRST_PEER + i] = (struct pollfd){.fd = bl_sync_peer_descriptor(server->peers[i]),
                                                             .events = bl_sync_peer_events(server->peers[i])};
    return poll(server->polls, POLL_FIRST_PEER + server->n_peers, timeout);
}

/* Reads from all that poll named. Handling one may remove another: so they are taken by descriptor. */
static void read_peers(struct bl_sync_server *server, size_t n_polled, int64_t now_ms)
{
    for (size_t i = 0; i < n_polled; i++) {
        const struct pollfd *ready = &server->polls[POLL_FIRST_PEER + i];

        if ((ready->revents & (POLLIN | POLLHUP | POLLERR)) == 0)
            continue;
        for (size_t k = 0; k < server->n_peers; k++) {
            if (bl_sync_peer_descriptor(server->peers[k]) != ready->fd)
                continue;
            read_peer(server, server->peers[k], now_ms);
            break;
        }
    }
}

/* Sends first: what woke the thread is most often a commit, and its acknowledgement is being waited for. */
static void *run(void *context)
{
    struct bl_sync_server *server = context;

    while (!atomic_load_explicit(&server->stop, memory_order_acquire)) {
        int64_t now_ms = bl_clock_monotonic_ms();
        int64_t due_ms = write_peers(server, now_ms);
        int64_t deadline_ms = bl_publish_expire(server->parts.publish, now_ms, false);
        size_t n_polled = server->n_peers;

        if (wait_for_events(server, deadline_ms < due_ms ? deadline_ms : due_ms) <= 0)
            continue;
        now_ms = bl_clock_monotonic_ms();
        if (server->polls[POLL_WAKE].revents != 0)
            bl_publish_wake_clear(server->parts.publish);
        /* The old before the new: a name may just have become free. */
        read_peers(server, n_polled, now_ms);
        if (server->polls[POLL_LISTENING].revents != 0)
            accept_peers(server, now_ms);
    }
    return NULL;
}

int bl_sync_server_create(struct bl_sync_server **out, int listening, const struct bl_sync_parts *parts)
{
    struct bl_sync_server *server = calloc(1, sizeof(*server));

    if (server == NULL)
        return BL_ENOMEM;
    server->listening = listening;
    server->parts = *parts;
    atomic_init(&server->stop, false);
    if (pthread_create(&server->thread, NULL, run, server) != 0) {
        free(server);
        return BL_EIO;
    }
    *out = server;
    return BL_OK;
}

void bl_sync_server_free(struct bl_sync_server *server)
{
    atomic_store_explicit(&server->stop, true, memory_order_release);
    bl_publish_wake(server->parts.publish);
    (void)pthread_join(server->thread, NULL);
    while (server->n_peers != 0)
        remove_peer(server, server->peers[0]);
    free(server);
}
