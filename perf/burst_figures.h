/** @file burst_figures.h
 * What bench_burst measured, and how it is told: tables on standard output, lines of CSV (bench_burst → burst_figures). */
#ifndef BL_PERF_BURST_FIGURES_H
#define BL_PERF_BURST_FIGURES_H

#include <stddef.h>
#include <stdint.h>

#include "measure.h"
#include "traffic.h"

#include "dataplane/steps.h"

enum { BURST_LISTS = 3, BURST_FAMILIES = 2 };

/** The classes, then what is measured beside them. */
enum burst_row {
    BURST_ROW_DIALOGUE = TRAFFIC_CLASSES,
    BURST_ROW_LAN,
    BURST_ROW_FORWARD,
    BURST_ROW_RECEIVE,
    BURST_ROW_ALLOWED_TWO,
    BURST_ROWS
};

struct burst_list {
    const char *name;
    size_t n_entries[BURST_FAMILIES];
    size_t table_bytes;
};

/** Families are IPv4, IPv6. */
struct burst_figures {
    struct burst_list lists[BURST_LISTS];
    unsigned n_lists;
    unsigned n_rounds;
    uint64_t rows;                                                             /**< a bit for each that was measured */
    double ns[BURST_LISTS][BURST_FAMILIES][BURST_ROWS][MEASURE_ROUNDS_MAX];    /**< a packet */
    double steps[BURST_LISTS][BURST_FAMILIES][TRAFFIC_CLASSES][BL_STEP_COUNT]; /**< ns a packet, in the last round */
};

/** As the CSV names it. */
const char *burst_figures_row_name(unsigned row);

/** @param csv_path NULL: no CSV. @return 0, or BL_EIO when that can't be written. */
int burst_figures_tell(const struct burst_figures *figures, const char *csv_path);

#endif
