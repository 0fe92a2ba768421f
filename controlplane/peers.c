/* Descriptor number → user; see peers.h for why, and for what must never happen. */
#include "controlplane/peers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* Below the range lie all other descriptors of the program: the log, data planes, epoll, what is being accepted. */
enum { RANGE_FIRST = 512, RANGE_MIN = 512 };

#define NOBODY UINT64_MAX

struct slot {
    _Atomic uint64_t peer; /* see pack; NOBODY: never used. Released by admit, acquired by find */
    int64_t used_ms;       /* when it was admitted last; accepting thread only */
    bool open;             /* as far as the accepting thread knows */
};

/* The range is [first, first + n). Slots are never cleared: what a number was last is what a late call is asked for. */
struct bl_peers {
    int first;
    int n;
    int next; /* offset in the range where the search goes on */
    int n_open;
    struct slot slots[];
};

int bl_peers_create(struct bl_peers **out, struct bl_error_detail *detail)
{
    struct rlimit limit;
    rlim_t wanted = RANGE_FIRST + BL_PEERS_RANGE_MAX;
    struct bl_peers *peers;
    int n;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return bl_error_set(detail, BL_ERANGE, "getrlimit: %s", strerror(errno));
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < wanted) {
        struct rlimit raised = {wanted, wanted};

        /* Only root may raise the hard limit; without it the range is shorter. */
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            limit = raised;
        wanted = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    }
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = wanted;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            return bl_error_set(detail, BL_ERANGE, "setrlimit: %s", strerror(errno));
    }
    if (wanted < RANGE_FIRST + RANGE_MIN)
        return bl_error_set(detail, BL_ERANGE, "%lu open files allowed: expected at least %d", (unsigned long)wanted,
                            RANGE_FIRST + RANGE_MIN);
    n = (int)wanted - RANGE_FIRST;
    peers = calloc(1, sizeof(*peers) + (size_t)n * sizeof(peers->slots[0]));
    if (peers == NULL)
        return BL_ENOMEM;
    peers->first = RANGE_FIRST;
    peers->n = n;
    for (int i = 0; i < n; i++) {
        atomic_init(&peers->slots[i].peer, NOBODY);
        peers->slots[i].used_ms = -(int64_t)BL_PEERS_QUARANTINE_MS;
    }
    *out = peers;
    return BL_OK;
}

void bl_peers_free(struct bl_peers *peers)
{
    free(peers);
}

/* TCP connections, which the core accepts by itself, take the numbers of closed ones. */
static bool is_unix(int descriptor)
{
    int domain = 0;
    socklen_t length = sizeof(domain);

    return getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_UNIX;
}

/* Looks which of the open ones the core has closed since, and counts the rest. @return those of @uid. */
static int count_open(struct bl_peers *peers, uint32_t uid)
{
    int n_of_user = 0;

    peers->n_open = 0;
    for (int i = 0; i < peers->n; i++) {
        struct slot *slot = &peers->slots[i];

        if (slot->open && !is_unix(peers->first + i))
            slot->open = false;
        peers->n_open += slot->open;
        n_of_user += slot->open && (uint32_t)atomic_load_explicit(&slot->peer, memory_order_relaxed) == uid;
    }
    return n_of_user;
}

/* n_open only grows between two counts, so it is never too small. */
static bool has_room(struct bl_peers *peers, uint32_t uid)
{
    /* Counting costs a walk of the range; far from the limits it is not needed. */
    if (peers->n_open < BL_PEERS_OPEN_USER_MAX)
        return true;
    return count_open(peers, uid) < BL_PEERS_OPEN_USER_MAX && peers->n_open < BL_PEERS_OPEN_MAX;
}

/* Duplicates to the first free number from offset @at on. */
static int duplicate_from(struct bl_peers *peers, int accepted, int at)
{
    int moved = fcntl(accepted, F_DUPFD_CLOEXEC, peers->first + at);

    if (moved >= peers->first + peers->n) {
        (void)close(moved);
        return -1;
    }
    return moved;
}

/* In one word, so that it is read as one. */
static uint64_t pack(const struct bl_peer *peer)
{
    return peer->uid | (uint64_t)peer->socket << 32 | (uint64_t)peer->actor << 40;
}

int bl_peers_admit(struct bl_peers *peers, int accepted, const struct bl_peer *peer, int64_t now_ms)
{
    int moved = -1;

    if (has_room(peers, peer->uid)) {
        moved = duplicate_from(peers, accepted, peers->next);
        if (moved < 0) /* the end of the range: from its start again */
            moved = duplicate_from(peers, accepted, 0);
    }
    (void)close(accepted);
    if (moved < 0)
        return BL_EFULL;

    struct slot *slot = &peers->slots[moved - peers->first];

    if (now_ms - slot->used_ms < BL_PEERS_QUARANTINE_MS) {
        (void)close(moved);
        return BL_EAGAIN;
    }
    slot->used_ms = now_ms;
    peers->n_open += !slot->open;
    slot->open = true;
    peers->next = (moved - peers->first + 1) % peers->n;
    atomic_store_explicit(&slot->peer, pack(peer), memory_order_release);
    return moved;
}

int bl_peers_find(const struct bl_peers *peers, const char *name, struct bl_peer *peer)
{
    char *end;
    long number;
    uint64_t found;

    if (strncmp(name, "fd:", 3) != 0 || name[3] < '0' || name[3] > '9')
        return BL_ENOENT;
    number = strtol(name + 3, &end, 10);
    if (*end != '\0' || number < peers->first || number >= peers->first + peers->n)
        return BL_ENOENT;
    found = atomic_load_explicit(&peers->slots[number - peers->first].peer, memory_order_acquire);
    if (found == NOBODY)
        return BL_ENOENT;
    *peer = (struct bl_peer){(uint32_t)found, (uint8_t)(found >> 32), (uint8_t)(found >> 40)};
    return BL_OK;
}
