/** @file latency.h
 * A histogram of times, as Prometheus has them: how many took at most so long (writer, publish → latency → metrics).
 *
 * Threads: one adds, any reads; relaxed, so that a reader may see a time's bucket before its sum. Cost: two additions. */
#ifndef BL_LATENCY_H
#define BL_LATENCY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { BL_LATENCY_BOUNDS = 16 };

/** Upper bounds: 1, 2, 5 ... from 100 µs to 10 s. */
extern const int64_t bl_latency_bounds_us[BL_LATENCY_BOUNDS];

struct bl_latency {
    _Atomic uint64_t n[BL_LATENCY_BOUNDS + 1]; /**< of each bound's own bucket; the last: above all */
    _Atomic uint64_t sum_us;
};

/** A time below 0 counts as 0. */
void bl_latency_add(struct bl_latency *latency, int64_t us);

#endif
