/** @file update.h
 * Takes the time of changes at the size of the list: a host and a /8, added and removed (contender → update → report).
 *
 * Of ours both halves are measured: set and commit on the main core, and the worker that applies the patch to a replica
 * of its own, on another core where there is one, with bursts of lookups between two patches so that its caches are
 * those of a worker. Every other host is one of the list, removed and added again; the other ones are random. */
#ifndef BL_PERF_UPDATE_H
#define BL_PERF_UPDATE_H

#include "measure.h"

enum update_act { UPDATE_ADD_HOST, UPDATE_REMOVE_HOST, UPDATE_ADD_WIDE, UPDATE_REMOVE_WIDE, UPDATE_ACTS };

struct update_times {
    size_t n;
    double p50;
    double p99;
};

struct update_result {
    struct update_times main_us[UPDATE_ACTS];       /**< n is 0 where it was not measured */
    struct update_times worker_cycles[UPDATE_ACTS]; /**< ours only */
    size_t n_rebuilt;                               /**< commits that asked for copies instead of a patch */
    size_t n_refused;                               /**< changes that returned an error */
    char why[CONTENDER_WHY_MAX];                    /**< what went wrong, or nothing */
};

/** "add a host", "remove a /8". */
const char *update_act_name(enum update_act act, uint8_t family);

/** @p n hosts and some /8 (IPv6: /19). @p keys are what the worker looks up in between. */
void update_measure(const struct contender_kind *kind, void *state, const struct list *list, const struct keys *keys,
                    size_t n, struct update_result *out);

#endif
