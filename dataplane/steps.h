/** @file steps.h
 * What each step of a packet's way costs a worker, in ticks of the time stamp counter; only in a build with
 * -DBL_STEPS=ON. Without it the calls are empty and nothing is left of them.
 *
 * A worker reads the counter at the end of each step of a burst: 10 reads a turn, some 25 ticks each. bench_burst prints the
 * sums by class, a running data plane by DPDK's telemetry, /bounceline/steps. Written by the owning worker alone. */
#ifndef BL_STEPS_H
#define BL_STEPS_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_cycles.h>

#ifdef BL_STEPS
enum { BL_STEPS_ON = 1 };
#else
enum { BL_STEPS_ON = 0 };
#endif

/** Enum suffix, name, what is in it. */
#define BL_STEPS_ALL(X) \
    X(RECEIVE, "receive", "the WAN port's receive call") \
    X(PARSE, "parse", "glance, parse, what needs the list") \
    X(LOOK_UP, "look_up", "the table, and the decisions") \
    X(FORWARD, "forward", "what passes, to the LAN port's burst") \
    X(PROVE, "prove", "cookies of listed segments") \
    X(ANSWER, "answer", "answers, drops, what is remembered of them") \
    X(LAN, "lan", "all that comes from the LAN port") \
    X(BETWEEN, "between", "what is due again, patches, checks") \
    X(SEND, "send", "both ports' transmit calls")

enum bl_step {
#define X(suffix, name, text) BL_STEP_##suffix,
    BL_STEPS_ALL(X)
#undef X
        BL_STEP_COUNT
};

struct bl_steps {
    uint64_t mark; /* when the step under way began */
    uint64_t ticks[BL_STEP_COUNT];
};

/** A turn begins at @p now_tsc. */
static inline void bl_steps_begin(struct bl_steps *steps, uint64_t now_tsc)
{
    if (BL_STEPS_ON)
        steps->mark = now_tsc;
}

/** The step is done for this burst, and the next one begins. */
static inline void bl_steps_end(struct bl_steps *steps, enum bl_step step)
{
    uint64_t now;

    if (!BL_STEPS_ON)
        return;
    now = rte_rdtsc();
    __atomic_store_n(&steps->ticks[step], steps->ticks[step] + now - steps->mark, __ATOMIC_RELAXED);
    steps->mark = now;
}

#endif
