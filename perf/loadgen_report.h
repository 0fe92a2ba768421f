/** @file loadgen_report.h
 * What a run has found, for a person or as JSON (loadgen → report). Threads: one. Cost: control path. */
#ifndef BL_PERF_LOADGEN_REPORT_H
#define BL_PERF_LOADGEN_REPORT_H

#include "perf/loadgen_trial.h"

enum { LOADGEN_TRIALS_MAX = 64 };

/** A search, or the one trial of a run without. */
struct loadgen_search {
    struct loadgen_result trials[LOADGEN_TRIALS_MAX];
    unsigned n_trials;
    int best;          /**< number of the trial with the highest rate that was good enough; -1: none */
    bool at_the_limit; /**< the highest rate that was asked for */
};

/** True when more guesses at cookies hit than chance explains; then they are wrong answers. */
bool loadgen_report_guesses_are_wrong(const struct loadgen_tally *tally);

/** The tally is the last trial's. */
void loadgen_report_text(const struct loadgen *loadgen, const struct loadgen_search *search);
void loadgen_report_json(const struct loadgen *loadgen, const struct loadgen_search *search);

/** The first wrong answers in hex, on standard error. */
void loadgen_report_wrong(const struct loadgen *loadgen);

#endif
