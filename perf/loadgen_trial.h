/** @file loadgen_trial.h
 * One run at one rate: begins what is due whatever comes back, answers and judges what comes in, and waits for the last
 * answers (loadgen → trial → schedule, client, check, port).
 *
 * An open loop: the n-th event is due at start + n / rate, and what is late is begun at once, never left out. Threads: one
 * polling core. */
#ifndef BL_PERF_LOADGEN_TRIAL_H
#define BL_PERF_LOADGEN_TRIAL_H

#include "perf/loadgen_check.h"
#include "perf/loadgen_port.h"

enum { LOADGEN_WRONG_SHOWN_MAX = 1000 };

/** A wrong frame that is kept to be shown. */
struct loadgen_exhibit {
    enum loadgen_wrong wrong;
    bool on_wan;
    uint16_t length;
    uint8_t frame[LOADGEN_FRAME_MAX];
    char expected[LOADGEN_TEXT_MAX];
};

/** Everything that loadgen owns. */
struct loadgen {
    struct loadgen_options options;
    struct loadgen_schedule schedule;
    struct loadgen_check check;
    struct loadgen_capture capture;
    struct loadgen_port wan;
    struct loadgen_port lan; /**< pool NULL: there is none */
    struct loadgen_exhibit *exhibits;
    unsigned n_exhibits;
    uint64_t tsc_base;
    double ns_per_tick;
    uint64_t base_s; /**< since 1970, at tsc_base */
    bool live;       /**< somebody looks at standard error */
};

struct loadgen_result {
    double rate;
    double seconds; /**< in which it was all begun */
    uint64_t n_planned;
    uint64_t n_begun;
    uint64_t n_expected;
    uint64_t n_completed;
    uint64_t n_sent; /**< frames, both ports */
    uint64_t n_received;
    uint64_t n_refused;
    double behind_max_ns; /**< the latest that anything was begun */
    bool behind;          /**< so late that the rate was not ours to give */
    double loss_percent;
};

/** Ends a trial early; a signal handler sets it. */
extern volatile int loadgen_trial_stop;

/** The tally is in loadgen->check. @param count how much is begun; 0: for the seconds in the options */
void loadgen_trial_run(struct loadgen *loadgen, double rate, uint64_t count, struct loadgen_result *result);

#endif
