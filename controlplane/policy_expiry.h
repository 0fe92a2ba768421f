/** @file policy_expiry.h
 * How far expiry may go now (writer.c, each second): a clock that can't be made to empty the list.
 *
 * The expiry clock is the wall clock as long as that moves with the monotonic one. A step forward (NTP, a bad clock at the
 * start, a long downtime) is followed when at most expiry_hold_percent of the list would expire by it; else it is held:
 * expiry goes on with the old time and the time that passes, until the wall clock comes back, the time that passes has
 * caught up with it, or an operator releases the hold. At the start no time is known, so everything that is due then
 * counts as a step. A step back is followed: what has expired stays so.
 *
 * And what is truly due goes in ticks of at most that share. Pure: clocks and counts come in. */
#ifndef BL_POLICY_EXPIRY_H
#define BL_POLICY_EXPIRY_H

#include <stdbool.h>
#include <stdint.h>

enum { BL_POLICY_EXPIRY_FLOOR = 1000, BL_POLICY_EXPIRY_SKEW_MS = 1000 };

/** All zero to begin with. */
struct bl_policy_expiry {
    int64_t time_ms;      /**< everything that ends up to it may expire; 0: unknown */
    int64_t monotonic_ms; /**< when that was */
    bool is_held;
    bool is_released; /**< by an operator: the next step is followed */
};

/** The layers that may expire in one tick, of @p n_layers. Never under BL_POLICY_EXPIRY_FLOOR. */
uint64_t bl_policy_expiry_limit(uint32_t percent, uint64_t n_layers);

/** True when the wall clock is ahead of what passed since the last tick: then bl_policy_expiry_tick wants a count. */
bool bl_policy_expiry_is_step(const struct bl_policy_expiry *expiry, int64_t wall_ms, int64_t monotonic_ms);

/** One tick; @p n_due are due at @p wall_ms, which is looked at only where bl_policy_expiry_is_step. Sets time_ms and
 * is_held. */
void bl_policy_expiry_tick(struct bl_policy_expiry *expiry, int64_t wall_ms, int64_t monotonic_ms, uint64_t n_due,
                           uint64_t limit);

#endif
