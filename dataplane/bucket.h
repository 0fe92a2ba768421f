/** @file bucket.h
 * A token bucket in one number: so many events a second, and one second's worth at once (used by answer.c, challenge.c,
 * resend.c).
 *
 * The Generic Cell Rate Algorithm (ITU-T I.371, Annex A) as virtual scheduling: each event moves the time at which the
 * next one is due; one that comes more than the depth before its time does not conform. Time is the caller's, in ticks
 * of any rate; where it goes back (a machine that was moved or restored), the bucket starts again full. Pure. Threads: owner of the bucket. Cost: fast path. */
#ifndef BL_BUCKET_H
#define BL_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct bl_bucket {
    uint64_t interval_ticks; /**< between two events; 0: no limit */
    uint64_t depth_ticks;    /**< how much too early an event may be */
    uint64_t due_ticks;      /**< when the next one is on time */
};

/** @param per_s 0: no limit; at most @p ticks_per_s. */
static inline void bl_bucket_init(struct bl_bucket *bucket, uint32_t per_s, uint64_t ticks_per_s)
{
    *bucket = (struct bl_bucket){0};
    if (per_s == 0)
        return;
    bucket->interval_ticks = ticks_per_s / per_s;
    bucket->depth_ticks = ticks_per_s - bucket->interval_ticks;
}

/** How far ahead of @p now_ticks the bucket is. Further than any event can have put it: time went back. */
static inline uint64_t bl_bucket_ahead(const struct bl_bucket *bucket, uint64_t now_ticks)
{
    uint64_t ahead = bucket->due_ticks > now_ticks ? bucket->due_ticks - now_ticks : 0;

    return ahead > bucket->depth_ticks + bucket->interval_ticks ? 0 : ahead;
}

/** @return true: an event would conform. */
static inline bool bl_bucket_conforms(const struct bl_bucket *bucket, uint64_t now_ticks)
{
    return bl_bucket_ahead(bucket, now_ticks) <= bucket->depth_ticks;
}

/** @return true: the event conforms, and is counted. */
static inline bool bl_bucket_take(struct bl_bucket *bucket, uint64_t now_ticks)
{
    if (bucket->interval_ticks == 0)
        return true;
    if (!bl_bucket_conforms(bucket, now_ticks))
        return false;
    bucket->due_ticks = now_ticks + bl_bucket_ahead(bucket, now_ticks) + bucket->interval_ticks;
    return true;
}

#endif
