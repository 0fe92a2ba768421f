/** @file clock.h
 * The control plane's two clocks. Threads: any. */
#ifndef BL_CLOCK_H
#define BL_CLOCK_H

#include <stdint.h>
#include <time.h>

/** For deadlines and ages: never set back. */
static inline int64_t bl_clock_monotonic_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/** For latencies. */
static inline int64_t bl_clock_monotonic_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/** For what records say. */
static inline int64_t bl_clock_wall_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#endif
