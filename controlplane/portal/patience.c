/* See patience.h. A guest is in the list exactly as long as its descriptor is open, so that no other's is shut down. */
#include "controlplane/portal/patience.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "controlplane/clock.h"

struct bl_patience_guest {
    struct bl_patience_guest *next;
    struct bl_patience_guest *previous;
    int descriptor;
    int64_t until_ms; /* INT64_MAX: no time runs */
};

struct bl_patience {
    pthread_mutex_t lock;
    int64_t limit_ms;
    struct bl_patience_guest *first;
};

struct bl_patience *bl_patience_create(int64_t limit_ms)
{
    struct bl_patience *patience = calloc(1, sizeof(*patience));

    if (patience == NULL)
        return NULL;
    patience->limit_ms = limit_ms;
    (void)pthread_mutex_init(&patience->lock, NULL);
    return patience;
}

void bl_patience_free(struct bl_patience *patience)
{
    if (patience == NULL)
        return;
    while (patience->first != NULL)
        bl_patience_leave(patience, patience->first);
    (void)pthread_mutex_destroy(&patience->lock);
    free(patience);
}

struct bl_patience_guest *bl_patience_admit(struct bl_patience *patience, int descriptor)
{
    struct bl_patience_guest *guest = calloc(1, sizeof(*guest));

    if (guest == NULL)
        return NULL;
    guest->descriptor = descriptor;
    guest->until_ms = bl_clock_monotonic_ms() + patience->limit_ms;
    (void)pthread_mutex_lock(&patience->lock);
    guest->next = patience->first;
    if (guest->next != NULL)
        guest->next->previous = guest;
    patience->first = guest;
    (void)pthread_mutex_unlock(&patience->lock);
    return guest;
}

void bl_patience_leave(struct bl_patience *patience, struct bl_patience_guest *guest)
{
    if (guest == NULL)
        return;
    (void)pthread_mutex_lock(&patience->lock);
    if (guest->previous != NULL)
        guest->previous->next = guest->next;
    else
        patience->first = guest->next;
    if (guest->next != NULL)
        guest->next->previous = guest->previous;
    (void)pthread_mutex_unlock(&patience->lock);
    free(guest);
}

static void set_until(struct bl_patience *patience, struct bl_patience_guest *guest, int64_t until_ms)
{
    if (guest == NULL)
        return;
    (void)pthread_mutex_lock(&patience->lock);
    guest->until_ms = until_ms;
    (void)pthread_mutex_unlock(&patience->lock);
}

void bl_patience_restart(struct bl_patience *patience, struct bl_patience_guest *guest)
{
    set_until(patience, guest, bl_clock_monotonic_ms() + patience->limit_ms);
}

void bl_patience_rest(struct bl_patience *patience, struct bl_patience_guest *guest)
{
    set_until(patience, guest, INT64_MAX);
}

unsigned bl_patience_check(struct bl_patience *patience)
{
    int64_t now_ms = bl_clock_monotonic_ms();
    unsigned n = 0;

    (void)pthread_mutex_lock(&patience->lock);
    for (struct bl_patience_guest *guest = patience->first; guest != NULL; guest = guest->next) {
        if (now_ms < guest->until_ms)
            continue;
        (void)shutdown(guest->descriptor, SHUT_RDWR);
        guest->until_ms = INT64_MAX;
        n++;
    }
    (void)pthread_mutex_unlock(&patience->lock);
    return n;
}
