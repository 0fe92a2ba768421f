/** @file measure.h
 * Takes the time of lookups, and makes statistics of rounds (contender, keys → measure → report).
 *
 * A turn goes over all keys once without a clock, so that the caches hold what this contender needs, then once more in
 * chunks, each with its own time; the turn's figure is the median chunk: a chunk in which the machine did something else
 * does not count. Contenders take turns in every round, so that all meet the same machine; what is compared is the
 * ratio within a round. */
#ifndef BL_PERF_MEASURE_H
#define BL_PERF_MEASURE_H

#include "contender.h"

enum { MEASURE_ROUNDS_MAX = 51, MEASURE_CHUNK = 2048 };

/** Of rounds, or of their ratios. @p low and @p high enclose the true median with a chance of at least 95 %, whatever
 * the distribution (order statistics); below 6 rounds they are the extremes, and the chance is less. */
struct measure_summary {
    double median;
    double low;
    double high;
};

struct measure_summary measure_summarize(const double *values, unsigned n);

/** Sorts in place. @return the value below which @p percent of them are. */
double measure_percentile(double *values, size_t n, double percent);

/** ns a lookup of one turn on @p n_cores cores at once: the mean of the cores' medians. */
double measure_turn(const struct contender_kind *kind, const void *state, const struct keys *keys, unsigned n_cores);

/** Ticks of the TSC a second, for who does not start DPDK. Takes 50 ms. */
double measure_tsc_hz(void);

#endif
