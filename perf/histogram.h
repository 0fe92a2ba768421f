/** @file histogram.h
 * Durations in log-linear buckets: each power of two is cut into 64 parts, so that a quantile is at most 1/64 above the
 * true one, from nanoseconds to centuries, in 30 KiB and without a search (loadgen_check → histogram → loadgen_report).
 *
 * Below 128 every value has a bucket of its own. Pure. Threads: one at a time a
 * histogram. Cost: recording is a shift and an add. Source: the layout of G. Tene's HdrHistogram. */
#ifndef BL_PERF_HISTOGRAM_H
#define BL_PERF_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_PART_BITS = 6,
    HISTOGRAM_PARTS = 1 << HISTOGRAM_PART_BITS,
    HISTOGRAM_BUCKETS = (64 - HISTOGRAM_PART_BITS + 1) * HISTOGRAM_PARTS,
};

/** Zero it for an empty one. */
struct histogram {
    uint64_t n;
    uint64_t max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/** The bucket of a value, and the highest value of a bucket. */
static inline unsigned histogram_bucket(uint64_t value)
{
    unsigned octave;

    if (value < HISTOGRAM_PARTS)
        return (unsigned)value;
    octave = 63U - (unsigned)__builtin_clzll(value) - HISTOGRAM_PART_BITS;
    return (octave << HISTOGRAM_PART_BITS) + (unsigned)(value >> octave);
}
uint64_t histogram_bucket_max(unsigned bucket);

static inline void histogram_record(struct histogram *histogram, uint64_t value)
{
    histogram->n++;
    if (value > histogram->max)
        histogram->max = value;
    histogram->buckets[histogram_bucket(value)]++;
}

/** The least value that at least the share @p quantile (0..1) of all are not above, rounded up to its bucket's highest,
 * but never above the largest that was recorded; 0 of an empty one. */
uint64_t histogram_quantile(const struct histogram *histogram, double quantile);

#endif
