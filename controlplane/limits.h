/** @file limits.h
 * How many updates an actor may ask for: a second, a minute, a day (ingest asks before the writer); and how many calls,
 * streams and bytes of batches it may have at a time, so that one client never has all of what there is for all.
 *
 * Each window begins with the first update after the last one ended, so in any stretch of its length at most twice its
 * limit gets through. A batch counts whole, whatever becomes of its items, and is refused whole. Kept in memory: a
 * restart begins anew. Pure but for the heap: the time comes in. Threads: any. Cost: a lock and three comparisons. */
#ifndef BL_LIMITS_H
#define BL_LIMITS_H

#include "bounceline/settings.h"
#include "controlplane/batch.h"

struct bl_limits;

/** @return 0 or BL_ENOMEM. */
int bl_limits_create(struct bl_limits **out, const struct bl_settings_controlplane *settings);

/** From now on the limits of @p actor count for the actor of that number, 1 and on; what it used stays used. */
void bl_limits_change(struct bl_limits *limits, uint32_t number, const struct bl_settings_actor *actor);

void bl_limits_free(struct bl_limits *limits);

/** Takes @p n updates from what @p actor may ask for at @p now_ms (monotonic), from all windows or none.
 * @return 0, or BL_EFULL naming the actor, the limit, and when it is worth another try. */
int bl_limits_take(struct bl_limits *limits, const struct bl_actor *actor, uint64_t n, int64_t now_ms,
                   struct bl_error_detail *detail);

/** What an actor has a share of, at a time. */
enum bl_limits_share {
    BL_LIMITS_CALLS,   /**< with one answer */
    BL_LIMITS_STREAMS, /**< calls with many messages */
    BL_LIMITS_BYTES,   /**< of batches, from their decoding to their answer */
    BL_LIMITS_SHARES,
};

/** Takes @p n of a share. @return 0, or BL_EFULL naming the actor and the limit: then nothing is taken. */
int bl_limits_hold(struct bl_limits *limits, const struct bl_actor *actor, enum bl_limits_share share, uint64_t n,
                   struct bl_error_detail *detail);

/** Gives back what the actor of that number holds. */
void bl_limits_give_back(struct bl_limits *limits, uint32_t number, enum bl_limits_share share, uint64_t n);

/** How many updates of an actor (1 and on, as bl_actor.number) were refused here. */
uint64_t bl_limits_refused(struct bl_limits *limits, uint32_t number);

#endif
