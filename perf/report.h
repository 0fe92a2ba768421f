/** @file report.h
 * What was measured of one list, and how it is told: tables on standard output, lines of CSV (measure, update → report).
 *
 * A claim is made only where the interval of the ratio leaves it standing; else the word is "noise". */
#ifndef BL_PERF_REPORT_H
#define BL_PERF_REPORT_H

#include <stdio.h>

#include "update.h"

enum { REPORT_RESULTS_MAX = 24, REPORT_LABEL_MAX = 32, REPORT_NOTES_MAX = 48 };

/** One kind of lookup each: the streams on one core, then KEYS_HITS on two. */
enum report_cell {
    REPORT_TWO_OWN = KEYS_STREAMS, /**< a replica a core */
    REPORT_TWO_SHARED,             /**< one for both */
    REPORT_CELLS
};

/** One structure looked up in one way. */
struct report_result {
    const struct contender_kind *kind;
    char label[REPORT_LABEL_MAX];
    unsigned group; /**< those of one group were measured together */
    unsigned variant;
    double ns[REPORT_CELLS][MEASURE_ROUNDS_MAX];
    unsigned n_rounds[REPORT_CELLS];
    struct contender_memory memory;
    double build_ms;
    double copy_ms; /**< of ours: the block into one replica */
    struct update_result update;
};

/** What issue 4 asks of a list; 0: nothing. */
struct report_bar {
    double ratio; /**< ours against the best peer, KEYS_HITS on one core */
    double mib;   /**< a replica */
    double floor; /**< at most so many times "one access", KEYS_MISSES */
};

struct report {
    const struct list *list;
    struct report_bar bar;
    struct report_result *results; /**< REPORT_RESULTS_MAX; ours and "one access" once a group */
    unsigned n_results;
    char (*notes)[2 * CONTENDER_WHY_MAX]; /**< REPORT_NOTES_MAX; what could not be run, and remarks */
    unsigned n_notes;
};

const char *report_cell_name(unsigned cell);
void report_print(FILE *out, const struct report *report);

/** The line of column names, then a line a figure: see perf/README.md. */
void report_csv_head(FILE *csv);
void report_csv(FILE *csv, const struct report *report);

#endif
