/* Times in buckets; see latency.h. */
#include "controlplane/latency.h"

const int64_t bl_latency_bounds_us[BL_LATENCY_BOUNDS] = {
    100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000, 500000, 1000000, 2000000, 5000000, 10000000,
};

void bl_latency_add(struct bl_latency *latency, int64_t us)
{
    size_t i = 0;

    if (us < 0)
        us = 0;
    while (i < BL_LATENCY_BOUNDS && us > bl_latency_bounds_us[i])
        i++;
    (void)atomic_fetch_add_explicit(&latency->n[i], 1, memory_order_relaxed);
    (void)atomic_fetch_add_explicit(&latency->sum_us, (uint64_t)us, memory_order_relaxed);
}
