/* The ring of deltas, the known data planes, the waiting calls; see publish.h.
 *
 * Everything hangs on one mutex that is held for moments. Calls that are to be answered are taken out of the list under
 * it and answered after it. */
#include "controlplane/publish.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "controlplane/clock.h"
#include "controlplane/ring.h"

/* connected, enforces, acknowledged and heard_ms change under the lock; only the sync thread changes them. */
struct bl_publish_plane {
    bool known;
    bool enforces; /* `acknowledged`; before, its table may be of another list, which no serial of ours describes */
    uint64_t acknowledged;
    int64_t heard_ms; /* its hello or last report */
    struct bl_codec_dataplane status;
};

/* A commit that is not enforced yet. */
struct timed {
    uint64_t serial;
    int64_t since_us;
};

/* serial and digest are the head: what the ring leads to, and what a data plane in step has. */
struct bl_publish {
    pthread_mutex_t lock;
    int wake;
    uint64_t epoch;
    uint64_t serial;
    struct bl_digest digest;
    struct bl_ring *ring;
    struct bl_publish_wait *waits;
    struct bl_publish_plane planes[BL_PUBLISH_PLANES_MAX];
    struct timed timed[BL_PUBLISH_TIMED_MAX]; /* a ring, in the order of serials */
    size_t timed_first;
    size_t n_timed;
    uint64_t n_unmeasured;
    struct bl_latency latency; /* added to under the lock */
};

/* The ring starts empty: who comes back from before a restart gets a snapshot, unless it is at the head already. */
int bl_publish_create(struct bl_publish **out, uint64_t epoch, uint64_t serial, struct bl_digest digest)
{
    struct bl_publish *publish = calloc(1, sizeof(*publish));
    int error = BL_ENOMEM;

    if (publish == NULL)
        return BL_ENOMEM;
    publish->epoch = epoch;
    publish->serial = serial;
    publish->digest = digest;
    publish->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (publish->wake < 0) {
        error = BL_EIO;
        goto out_free;
    }
    error = bl_ring_create(&publish->ring, BL_PUBLISH_RING_BYTES);
    if (error != BL_OK)
        goto out_close;
    (void)pthread_mutex_init(&publish->lock, NULL);
    *out = publish;
    return BL_OK;
out_close:
    (void)close(publish->wake);
out_free:
    free(publish);
    return error;
}

void bl_publish_free(struct bl_publish *publish)
{
    if (publish == NULL)
        return;
    bl_ring_free(publish->ring);
    (void)pthread_mutex_destroy(&publish->lock);
    (void)close(publish->wake);
    free(publish);
}

int bl_publish_wake_descriptor(const struct bl_publish *publish)
{
    return publish->wake;
}

void bl_publish_wake(struct bl_publish *publish)
{
    uint64_t one = 1;

    /* EAGAIN means that the counter is full: awake enough. */
    if (write(publish->wake, &one, sizeof(one)) < 0 && errno != EAGAIN)
        abort();
}

void bl_publish_wake_clear(struct bl_publish *publish)
{
    uint64_t count;

    /* Nothing to read is as good. */
    if (read(publish->wake, &count, sizeof(count)) < 0)
        return;
}

/* How far the connected data planes are. Under the lock. */
static uint64_t count_reached(const struct bl_publish *publish, uint64_t serial, struct bl_codec_reached *reached)
{
    uint64_t lowest = UINT64_MAX;

    *reached = (struct bl_codec_reached){false, 0, 0};
    for (size_t i = 0; i < BL_PUBLISH_PLANES_MAX; i++) {
        const struct bl_publish_plane *plane = &publish->planes[i];

        if (!plane->status.connected)
            continue;
        reached->n_connected++;
        reached->n_enforced += plane->enforces && plane->acknowledged >= serial;
        lowest = plane->acknowledged < lowest ? plane->acknowledged : lowest;
    }
    reached->enforced = reached->n_connected != 0 && reached->n_enforced == reached->n_connected;
    return reached->n_connected == 0 ? 0 : lowest;
}

/* The head was committed. Under the lock. */
static void begin_timing(struct bl_publish *publish, int64_t since_us)
{
    struct bl_codec_reached reached;

    (void)count_reached(publish, publish->serial, &reached);
    if (reached.n_connected == 0 || publish->n_timed == BL_PUBLISH_TIMED_MAX) {
        publish->n_unmeasured++;
        return;
    }
    publish->timed[(publish->timed_first + publish->n_timed++) % BL_PUBLISH_TIMED_MAX] =
        (struct timed){publish->serial, since_us};
}

/* Somebody acknowledged: what is enforced now? Under the lock. */
static void end_timing(struct bl_publish *publish)
{
    int64_t now_us = bl_clock_monotonic_us();
    struct bl_codec_reached reached;

    while (publish->n_timed != 0) {
        const struct timed *timed = &publish->timed[publish->timed_first];

        (void)count_reached(publish, timed->serial, &reached);
        if (!reached.enforced)
            return;
        bl_latency_add(&publish->latency, now_us - timed->since_us);
        publish->timed_first = (publish->timed_first + 1) % BL_PUBLISH_TIMED_MAX;
        publish->n_timed--;
    }
}

void bl_publish_commit(struct bl_publish *publish, const struct bl_list_state *state, uint64_t from_serial,
                       int64_t since_us, const struct bl_list_changes *changes)
{
    struct bl_frames *delta = NULL;
    int error = bl_frames_create_delta(&delta, state, from_serial, changes);

    (void)pthread_mutex_lock(&publish->lock);
    publish->serial = bl_list_state_serial(state);
    publish->digest = bl_list_state_digest(state);
    /* A gap would be worse than nothing: without this delta the ones before it lead nowhere. */
    if (error == BL_OK)
        bl_ring_push(publish->ring, delta);
    else
        bl_ring_clear(publish->ring);
    if (since_us != 0)
        begin_timing(publish, since_us);
    (void)pthread_mutex_unlock(&publish->lock);
    bl_publish_wake(publish);
}

/* Takes those out of the list that can be answered: enforced, nobody to wait for, or too late. @return them. */
static struct bl_publish_wait *take_ready(struct bl_publish *publish, int64_t now_ms, int64_t *next_ms)
{
    struct bl_publish_wait *ready = NULL;
    struct bl_publish_wait **link = &publish->waits;

    *next_ms = INT64_MAX;
    while (*link != NULL) {
        struct bl_publish_wait *wait = *link;

        (void)count_reached(publish, wait->serial, &wait->reached);
        if (wait->reached.enforced || wait->reached.n_connected == 0 || wait->deadline_ms <= now_ms) {
            *link = wait->next;
            wait->next = ready;
            ready = wait;
        } else {
            *next_ms = wait->deadline_ms < *next_ms ? wait->deadline_ms : *next_ms;
            link = &wait->next;
        }
    }
    return ready;
}

/* Outside the lock: done may come back here. */
static void answer(struct bl_publish_wait *ready)
{
    while (ready != NULL) {
        struct bl_publish_wait *wait = ready;

        ready = wait->next;
        wait->done(wait, &wait->reached);
    }
}

void bl_publish_add_wait(struct bl_publish *publish, struct bl_publish_wait *wait)
{
    bool waits;

    (void)pthread_mutex_lock(&publish->lock);
    (void)count_reached(publish, wait->serial, &wait->reached);
    waits = !wait->reached.enforced && wait->reached.n_connected != 0;
    if (waits) {
        wait->next = publish->waits;
        publish->waits = wait;
    }
    (void)pthread_mutex_unlock(&publish->lock);
    /* A wait that is in the list may be gone by now. */
    if (waits)
        bl_publish_wake(publish); /* the sync thread keeps the deadlines */
    else
        wait->done(wait, &wait->reached);
}

bool bl_publish_remove_wait(struct bl_publish *publish, struct bl_publish_wait *wait)
{
    struct bl_publish_wait **link = &publish->waits;
    bool found;

    (void)pthread_mutex_lock(&publish->lock);
    while (*link != NULL && *link != wait)
        link = &(*link)->next;
    found = *link != NULL;
    if (found)
        *link = wait->next;
    (void)pthread_mutex_unlock(&publish->lock);
    return found;
}

int64_t bl_publish_expire(struct bl_publish *publish, int64_t now_ms, bool all)
{
    struct bl_publish_wait *ready;
    int64_t next_ms;

    (void)pthread_mutex_lock(&publish->lock);
    ready = take_ready(publish, all ? INT64_MAX : now_ms, &next_ms);
    (void)pthread_mutex_unlock(&publish->lock);
    answer(ready);
    return next_ms;
}

uint64_t bl_publish_reached(struct bl_publish *publish, uint64_t serial, struct bl_codec_reached *reached)
{
    uint64_t lowest;

    (void)pthread_mutex_lock(&publish->lock);
    lowest = count_reached(publish, serial, reached);
    (void)pthread_mutex_unlock(&publish->lock);
    return lowest;
}

/* Those that have gone stay in the status with the age of their last word, until their place is needed. */
size_t bl_publish_status(struct bl_publish *publish, struct bl_codec_dataplane *out, int64_t now_ms)
{
    size_t n = 0;

    (void)pthread_mutex_lock(&publish->lock);
    for (size_t i = 0; i < BL_PUBLISH_PLANES_MAX; i++) {
        if (!publish->planes[i].known)
            continue;
        out[n] = publish->planes[i].status;
        out[n].age_ms = (uint64_t)(now_ms - publish->planes[i].heard_ms);
        n++;
    }
    (void)pthread_mutex_unlock(&publish->lock);
    return n;
}

/* A reference is taken under the lock: the ring may drop the delta the moment after. */
int bl_publish_fetch(struct bl_publish *publish, uint64_t serial, struct bl_frames **delta)
{
    int error = BL_OK;

    (void)pthread_mutex_lock(&publish->lock);
    if (serial == publish->serial) {
        error = BL_EAGAIN;
    } else {
        *delta = bl_ring_find(publish->ring, serial);
        if (*delta == NULL)
            error = BL_ENOENT;
        else
            (void)bl_frames_hold(*delta);
    }
    (void)pthread_mutex_unlock(&publish->lock);
    return error;
}

/* Inside a group of batches there is no digest: nobody can be there. */
int bl_publish_find_digest(struct bl_publish *publish, uint64_t serial, struct bl_digest *digest)
{
    int error = BL_OK;

    (void)pthread_mutex_lock(&publish->lock);
    if (serial == publish->serial)
        *digest = publish->digest;
    else
        error = bl_ring_find_digest(publish->ring, serial, digest);
    (void)pthread_mutex_unlock(&publish->lock);
    return error;
}

uint64_t bl_publish_epoch(const struct bl_publish *publish)
{
    return publish->epoch;
}

void bl_publish_head(struct bl_publish *publish, uint64_t *serial, struct bl_digest *digest)
{
    (void)pthread_mutex_lock(&publish->lock);
    *serial = publish->serial;
    *digest = publish->digest;
    (void)pthread_mutex_unlock(&publish->lock);
}

/* The place of @name: its own, an unused one, or the one that has been away longest. NULL: all are connected. */
static struct bl_publish_plane *find_place(struct bl_publish *publish, const char *name)
{
    struct bl_publish_plane *place = NULL;

    for (size_t i = 0; i < BL_PUBLISH_PLANES_MAX; i++) {
        struct bl_publish_plane *plane = &publish->planes[i];

        if (plane->known && strcmp(plane->status.name, name) == 0)
            return plane;
        if (plane->status.connected)
            continue;
        if (place == NULL || (place->known && (!plane->known || plane->heard_ms < place->heard_ms)))
            place = plane;
    }
    return place;
}

int bl_publish_connect(struct bl_publish *publish, const struct bl_codec_sync_message *hello, int64_t now_ms,
                       struct bl_publish_plane **plane)
{
    struct bl_publish_plane *place;
    int error = BL_OK;

    (void)pthread_mutex_lock(&publish->lock);
    place = find_place(publish, hello->name);
    if (place == NULL) {
        error = BL_EFULL;
    } else if (place->status.connected) {
        error = BL_EEXIST;
    } else {
        if (!place->known || strcmp(place->status.name, hello->name) != 0)
            memset(place, 0, sizeof(*place));
        place->known = true;
        /* A new connection has to acknowledge and report afresh: what its last one had may be gone. */
        place->enforces = false;
        place->acknowledged = 0;
        place->heard_ms = now_ms;
        memset(&place->status.report, 0, sizeof(place->status.report));
        place->status.connected = true;
        memcpy(place->status.name, hello->name, sizeof(place->status.name));
        memcpy(place->status.version, hello->version, sizeof(place->status.version));
    }
    (void)pthread_mutex_unlock(&publish->lock);
    *plane = place;
    return error;
}

/* After any change of who is connected or how far: answers who need wait no longer. */
static void settle(struct bl_publish *publish)
{
    (void)bl_publish_expire(publish, INT64_MIN, false);
}

void bl_publish_disconnect(struct bl_publish *publish, struct bl_publish_plane *plane)
{
    (void)pthread_mutex_lock(&publish->lock);
    plane->status.connected = false;
    plane->enforces = false;
    plane->acknowledged = 0;
    (void)pthread_mutex_unlock(&publish->lock);
    settle(publish);
}

bool bl_publish_is_stale(struct bl_publish *publish, const struct bl_publish_plane *plane, int64_t now_ms)
{
    bool stale;

    (void)pthread_mutex_lock(&publish->lock);
    stale = now_ms - plane->heard_ms > BL_PUBLISH_STALE_MS;
    (void)pthread_mutex_unlock(&publish->lock);
    return stale;
}

void bl_publish_acknowledge(struct bl_publish *publish, struct bl_publish_plane *plane, uint64_t serial)
{
    (void)pthread_mutex_lock(&publish->lock);
    plane->enforces = true;
    plane->acknowledged = serial;
    end_timing(publish);
    (void)pthread_mutex_unlock(&publish->lock);
    settle(publish);
}

/* Nobody's waiting ends by this. */
void bl_publish_withdraw(struct bl_publish *publish, struct bl_publish_plane *plane)
{
    (void)pthread_mutex_lock(&publish->lock);
    plane->enforces = false;
    plane->acknowledged = 0;
    (void)pthread_mutex_unlock(&publish->lock);
}

/* A report is also the sign of life that bl_publish_is_stale goes by. */
void bl_publish_report(struct bl_publish *publish, struct bl_publish_plane *plane,
                       const struct bl_codec_sync_report *report, int64_t now_ms)
{
    (void)pthread_mutex_lock(&publish->lock);
    plane->heard_ms = now_ms;
    plane->status.report = *report;
    (void)pthread_mutex_unlock(&publish->lock);
}

void bl_publish_count_resync(struct bl_publish *publish, struct bl_publish_plane *plane, bool digest_mismatch)
{
    (void)pthread_mutex_lock(&publish->lock);
    plane->status.n_resyncs++;
    plane->status.n_digest_mismatches += digest_mismatch;
    (void)pthread_mutex_unlock(&publish->lock);
}

const struct bl_latency *bl_publish_latency(struct bl_publish *publish, uint64_t *n_unmeasured)
{
    (void)pthread_mutex_lock(&publish->lock);
    *n_unmeasured = publish->n_unmeasured;
    (void)pthread_mutex_unlock(&publish->lock);
    return &publish->latency;
}
