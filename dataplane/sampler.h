/** @file sampler.h
 * A worker's samples of what it rejects, on their way to the main core (answer, worker → sampler → feed).
 *
 *   worker: offer ──▶ common budget? ──yes──────────────────────────┬──▶ ring (one producer, one consumer)
 *                        └─no─▶ first of its source, and reserve? ─yes─┘      └──▶ take :main core
 *                                  └─no, or the ring is full──▶ counted, and added to the next sample's weight
 *
 * Three token buckets, so that nothing that can be sent with a forged source crowds out what can't: the 550 (its
 * receiver has proved a cookie); drops and resets by a class; everything before that (SYN, greeting, commands). The
 * second leaves a quarter of the ring, the last a half.
 *
 * One busy source could use up a common bucket by itself. So the 550 has a reserve beside it, a bucket for sources that
 * had no sample in the last 10 s, and drops and resets have theirs. Who had one is remembered in an array that is hashed
 * with a secret, a place each: of two sources that share a place the older is forgotten, and may draw on the reserve
 * again. An IPv6 source is its /64 here: who has one has all of its addresses.
 *
 * A sample from a common bucket has as its weight 1 and the events of its reason that were counted since the last such
 * sample, whoever sent them; one from a reserve stands for itself, with weight 1. So the weights of each reason add up
 * to its counter, but for those that wait for the next sample. The worker never waits: no lock, no system call, no
 * allocation. Pure: the clocks come in by argument. */
#ifndef BL_SAMPLER_H
#define BL_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounceline/siphash.h"
#include "bounceline/verdict.h"
#include "dataplane/bucket.h"
#include "dataplane/parse.h"

enum {
    BL_SAMPLER_RING = 1024,
    BL_SAMPLER_BURST_MAX = BL_SAMPLER_RING / 8, /**< of a bucket, at once: five of them are less than the ring */
    BL_SAMPLER_SEEN = 2048,
    BL_SAMPLER_SEEN_S = 10,
    BL_SAMPLER_LINE_BYTES = 64,
};

enum bl_sampler_budget {
    BL_SAMPLER_DENIED, /**< the 550 */
    BL_SAMPLER_ACTION, /**< dropped or reset as the class says */
    BL_SAMPLER_EARLY,
    BL_SAMPLER_BUDGETS,
    BL_SAMPLER_RESERVES = BL_SAMPLER_EARLY, /**< the budgets before this one have a reserve */
};

/** One event, and how many more it stands for. Addresses and ports are host order, as the packet's. */
struct bl_sample {
    uint64_t time_ms; /**< wall clock */
    uint64_t weight;
    union {
        uint32_t source_ip4;
        struct bl_ip6 source_ip6;
    };
    union {
        uint32_t destination_ip4;
        struct bl_ip6 destination_ip6;
    };
    uint16_t source_port; /**< 0 in what is no whole TCP segment */
    uint16_t destination_port;
    uint8_t family;       /**< enum bl_family */
    uint8_t class_id;     /**< of the source */
    uint8_t reason;       /**< enum bl_reason */
    uint8_t denied;       /**< enum bl_denied_at */
    bool destination_cut; /**< the frame ended before it: it is not known */
};

_Static_assert(sizeof(struct bl_sample) <= BL_SAMPLER_LINE_BYTES, "a sample is one cache line");

/** The source that had the last sample of those that share this place. */
struct bl_sampler_seen {
    uint64_t hash;
    uint64_t at_ticks;
};

/** For sources without a sample in the last BL_SAMPLER_SEEN_S seconds. Each budget has its own, array and all: what can
 * be forged makes nobody forgotten that can't. */
struct bl_sampler_reserve {
    struct bl_bucket bucket;
    struct bl_sampler_seen seen[BL_SAMPLER_SEEN];
};

struct bl_sampler {
    /* The worker's. `head` is read by the main core (released in offer, acquired in take), `n_full` too (relaxed). */
    uint64_t head;
    uint64_t n_full; /**< samples for which the ring had no room */
    bool off;
    uint8_t budgets[BL_REASON_COUNT]; /**< bl_sampler_budget_of */
    struct bl_bucket buckets[BL_SAMPLER_BUDGETS];
    uint64_t skipped[BL_REASON_COUNT]; /**< events of the reason that no sample stands for yet */
    struct bl_siphash_key secret;
    uint64_t seen_ticks; /**< BL_SAMPLER_SEEN_S */
    struct bl_sampler_reserve reserves[BL_SAMPLER_RESERVES];
    /* The main core's, on a line of its own; read by the worker (released in take, acquired in offer). */
    _Alignas(BL_SAMPLER_LINE_BYTES) uint64_t tail;
    _Alignas(BL_SAMPLER_LINE_BYTES) struct bl_sample ring[BL_SAMPLER_RING];
};

/** @p n_per_s samples a second in each budget and each reserve, as many at once but at most BL_SAMPLER_BURST_MAX; 0: none
 * at all.
 * @param secret what nobody outside knows (copied). Threads: before workers start. */
void bl_sampler_init(struct bl_sampler *sampler, uint32_t n_per_s, uint64_t ticks_per_s, struct bl_siphash_key secret);

/** Which budget an event is paid from. Pure. */
enum bl_sampler_budget bl_sampler_budget_of(unsigned reason);

/** True when no event of the reason can get a sample now: this one is counted then, and that was all. Threads: owning
 * worker. Cost: fast path; in a flood nearly every event ends here. */
static inline bool bl_sampler_pass_over(struct bl_sampler *sampler, unsigned reason, uint64_t now_ticks)
{
    unsigned budget = sampler->budgets[reason];

    if (bl_bucket_conforms(&sampler->buckets[budget], now_ticks) ||
        (budget < BL_SAMPLER_RESERVES && bl_bucket_conforms(&sampler->reserves[budget].bucket, now_ticks)))
        return false;
    sampler->skipped[reason]++;
    return true;
}

/** An event of a listed source: takes a sample if budget or reserve allow it, else counts it.
 * @param event reason, class_id, denied and time_ms; the rest is taken from @p packet, which has a family.
 * @param now_ticks of the buckets' clock. Threads: owning worker. Cost: fast path; some 5 ns without a sample, and a hash more
 * (30 ns and a line of memory) of a 550, drop or reset above the budget while the reserve has something left. */
void bl_sampler_offer(struct bl_sampler *sampler, const struct bl_packet *packet, const struct bl_sample *event,
                      uint64_t now_ticks);

/** Moves up to @p max samples out, oldest first. @return how many. Threads: main core only. */
size_t bl_sampler_take(struct bl_sampler *sampler, struct bl_sample *out, size_t max);

/** Samples that found no room; their events went into the weights of later ones. Threads: any. */
uint64_t bl_sampler_lost(const struct bl_sampler *sampler);

#endif
