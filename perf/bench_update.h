/** @file bench_update.h
 * The parts of bench_update: its options, its rows, its sections (bench_update.c → update_rates.c, update_delists.c). */
#ifndef BL_PERF_BENCH_UPDATE_H
#define BL_PERF_BENCH_UPDATE_H

#include <stdbool.h>
#include <stdio.h>

#include "measure.h"
#include "sink.h"

enum {
    BENCH_DURABLE = 1,
    BENCH_ENFORCED = 2,
    BENCH_LATENCY = 4,
    BENCH_IMPORT = 8,
    BENCH_START = 16,
    BENCH_ALL = 31,
};

struct bench {
    bool quick;
    bool ten_million;
    bool alone; /**< without the peers */
    unsigned sections;
    unsigned rounds;
    uint32_t n_entries;
    const char *parent;
    const char *directory;
    const char *csv_path;
    FILE *csv;
    bool failed;
};

/** A line of the table and of the CSV. */
struct bench_figure {
    const char *of;
    const char *contender;
    const char *measure;
    const char *unit;
    struct measure_summary value;
};

void bench_row(struct bench *bench, const struct bench_figure *figure, const char *remark);
void bench_fail(struct bench *bench, const char *what, const char *why);

/** Starts a server in a folder of its own. @return 0, or -1, which was said. */
int bench_start(struct bench *bench, struct sink *sink, const struct sink_kind *kind);

/** Says what is not measured, and why; nothing has failed. */
void bench_miss(const char *what, const char *why);

void bench_durable(struct bench *bench);
void bench_enforced(struct bench *bench);
/** Latency, import and start. */
void bench_delists(struct bench *bench);

#endif
