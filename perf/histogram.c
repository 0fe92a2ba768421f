/* See histogram.h. */
#include "perf/histogram.h"

uint64_t histogram_bucket_max(unsigned bucket)
{
    unsigned octave;

    if (bucket < 2 * HISTOGRAM_PARTS)
        return bucket;
    octave = (bucket >> HISTOGRAM_PART_BITS) - 1;
    return ((uint64_t)(bucket - (octave << HISTOGRAM_PART_BITS)) << octave) + (UINT64_C(1) << octave) - 1;
}

uint64_t histogram_quantile(const struct histogram *histogram, double quantile)
{
    double wanted = quantile * (double)histogram->n;
    uint64_t n = 0;

    if (histogram->n == 0)
        return 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        n += histogram->buckets[i];
        if (n != 0 && (double)n >= wanted) {
            uint64_t value = histogram_bucket_max(i);

            return value < histogram->max ? value : histogram->max;
        }
    }
    return histogram->max;
}
