/** @file sink_bounceline.h
 * What only Bounceline is asked: updates until they are enforced, a delist, an import, a start (bench_update). The list is that of source `bench`; the programs are those that were built with the
 * bench. */
#ifndef BL_PERF_SINK_BOUNCELINE_H
#define BL_PERF_SINK_BOUNCELINE_H

#include <stdbool.h>

#include "sink.h"

/** Ends the control plane and starts it again. @return 0 with the time until it was ready, or -1 with sink->why. */
int sink_bounceline_restart(struct sink *sink, double *seconds);

/** As send, to the level that is said. */
int sink_bounceline_list(void *client, uint32_t first, uint32_t n, bool enforced);

/** One address, until it is enforced. @return 0, or -1: it was not listed, or is not enforced. */
int sink_bounceline_delist(void *client, uint32_t i);

/** Runs `bounceline import` of @p path as @p source, until it is enforced. @return its pid, or -1. */
pid_t sink_bounceline_import(struct sink *sink, const char *path, const char *source);

/** Resident bytes of the control plane; 0: not known. */
uint64_t sink_bounceline_resident(const struct sink *sink);

#endif
