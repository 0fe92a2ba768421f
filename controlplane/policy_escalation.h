/** @file policy_escalation.h
 * How often self-service delisted one prefix, and whether that closes it (policy_delist.c).
 *
 * The times stand in the delist itself, as a text of seconds since 1970, oldest first, spaces between: so they are in the
 * record, in snapshots and after a restart, and end with the delist. Exact over any window: no time that still counts is
 * dropped but the oldest of more than may count. Pure. */
#ifndef BL_POLICY_ESCALATION_H
#define BL_POLICY_ESCALATION_H

#include <stdint.h>

enum {
    BL_POLICY_ESCALATION_TIMES_MAX = 16, /**< the largest self_service_delists */
    BL_POLICY_ESCALATION_TIME_MAX = 24,
};

/** Room for the times of one delist. */
struct bl_policy_escalation {
    char text[BL_POLICY_ESCALATION_TIMES_MAX * 20 + 1];
};

/** What of @p times still counts at @p now_ms, and now. */
void bl_policy_escalation_add(struct bl_policy_escalation *out, const char *times, int64_t now_ms, int64_t window_ms);

/** @return until when a prefix with these @p times is closed, where @p limit of them within @p window_ms close it; 0: it
 * is open. */
int64_t bl_policy_escalation_until(const char *times, int64_t now_ms, int64_t window_ms, uint32_t limit);

/** @return @p out, with the time as people read it. */
const char *bl_policy_escalation_time(int64_t time_ms, char out[BL_POLICY_ESCALATION_TIME_MAX]);

#endif
