/** @file idle.h
 * What a worker does when nothing came in: go on polling, or sleep a little.
 *
 * `poll: adaptive` polls on for a while, then sleeps for times that grow to idle_sleep_us; the first packet or
 * message ends that. The longest sleep is what an idle worker can add to a packet's way and to an update's; a receive
 * ring must hold what comes in meanwhile. `poll: busy` never sleeps. Threads: owning worker. */
#ifndef BL_IDLE_H
#define BL_IDLE_H

#include <stdint.h>
#include <time.h>

#include <rte_pause.h>

enum {
    BL_IDLE_POLLS_HOT = 512,   /**< empty polls before the first sleep */
    BL_IDLE_POLLS_A_STEP = 16, /**< sleeps of one length before a longer one */
    BL_IDLE_SLEEP_FIRST_US = 5,
};

struct bl_idle {
    uint32_t n_polls; /**< empty ones in a row */
    uint32_t sleep_us;
};

static inline void bl_idle_reset(struct bl_idle *idle)
{
    idle->n_polls = 0;
    idle->sleep_us = BL_IDLE_SLEEP_FIRST_US;
}

/** @p sleep_max_us: 0 goes on polling. */
static inline void bl_idle_wait(struct bl_idle *idle, uint32_t sleep_max_us)
{
    struct timespec sleep;

    if (sleep_max_us == 0 || ++idle->n_polls < BL_IDLE_POLLS_HOT) {
        rte_pause();
        return;
    }
    if (idle->n_polls % BL_IDLE_POLLS_A_STEP == 0)
        idle->sleep_us = idle->sleep_us * 2 < sleep_max_us ? idle->sleep_us * 2 : sleep_max_us;
    sleep = (struct timespec){.tv_nsec = idle->sleep_us * 1000L};
    nanosleep(&sleep, NULL);
}

#endif
