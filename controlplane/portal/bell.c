/* See bell.h. */
#include "controlplane/portal/bell.h"

void bl_bell_init(struct bl_bell *bell)
{
    (void)pthread_mutex_init(&bell->lock, NULL);
    (void)pthread_cond_init(&bell->cond, NULL);
    bell->rung = false;
    atomic_init(&bell->stopping, false);
}

bool bl_bell_wait(struct bl_bell *bell, int64_t until_ms)
{
    const struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};

    (void)pthread_mutex_lock(&bell->lock);
    while (!bell->rung && !atomic_load(&bell->stopping)) {
        if (pthread_cond_timedwait(&bell->cond, &bell->lock, &until) != 0)
            break;
    }
    bell->rung = false;
    (void)pthread_mutex_unlock(&bell->lock);
    return !atomic_load(&bell->stopping);
}

void bl_bell_ring(struct bl_bell *bell)
{
    (void)pthread_mutex_lock(&bell->lock);
    bell->rung = true;
    (void)pthread_cond_signal(&bell->cond);
    (void)pthread_mutex_unlock(&bell->lock);
}

void bl_bell_stop(struct bl_bell *bell)
{
    atomic_store(&bell->stopping, true);
    bl_bell_ring(bell);
}
