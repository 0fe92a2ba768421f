/* The expiry clock; see policy_expiry.h. */
#include "controlplane/policy_expiry.h"

uint64_t bl_policy_expiry_limit(uint32_t percent, uint64_t n_layers)
{
    /* n_layers * percent / 100 without overflow. */
    uint64_t share = n_layers / 100 * percent + n_layers % 100 * percent / 100;

    return share < BL_POLICY_EXPIRY_FLOOR ? BL_POLICY_EXPIRY_FLOOR : share;
}

/* The last time and what passed since. Unknown, it stays: nothing is due at it. */
static int64_t passed_to(const struct bl_policy_expiry *expiry, int64_t monotonic_ms)
{
    return expiry->time_ms == 0 ? 0 : expiry->time_ms + (monotonic_ms - expiry->monotonic_ms);
}

bool bl_policy_expiry_is_step(const struct bl_policy_expiry *expiry, int64_t wall_ms, int64_t monotonic_ms)
{
    return wall_ms > passed_to(expiry, monotonic_ms) + BL_POLICY_EXPIRY_SKEW_MS;
}

void bl_policy_expiry_tick(struct bl_policy_expiry *expiry, int64_t wall_ms, int64_t monotonic_ms, uint64_t n_due,
                           uint64_t limit)
{
    expiry->is_held = bl_policy_expiry_is_step(expiry, wall_ms, monotonic_ms) && n_due > limit && !expiry->is_released;
    expiry->time_ms = expiry->is_held ? passed_to(expiry, monotonic_ms) : wall_ms;
    expiry->monotonic_ms = monotonic_ms;
    expiry->is_released = false;
}
