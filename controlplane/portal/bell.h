/** @file bell.h
 * Wakes a thread that waits for work of the store: there is some, it is due by now, or the portal stops (courier.c, inquiry.c).
 * Threads: any; one waits. */
#ifndef BL_BELL_H
#define BL_BELL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct bl_bell {
    pthread_mutex_t lock; /**< of rung */
    pthread_cond_t cond;
    bool rung;
    atomic_bool stopping;
};

void bl_bell_init(struct bl_bell *bell);

/** Until it is rung, or @p until_ms of the wall clock. @return false: it is time to stop. */
bool bl_bell_wait(struct bl_bell *bell, int64_t until_ms);

void bl_bell_ring(struct bl_bell *bell);

/** From now on every wait ends at once. */
void bl_bell_stop(struct bl_bell *bell);

#endif
