/* Samples of what a worker rejects; see sampler.h. */
#include "dataplane/sampler.h"

#include <stdbool.h>
#include <string.h>

_Static_assert((BL_SAMPLER_RING & (BL_SAMPLER_RING - 1)) == 0 && (BL_SAMPLER_SEEN & (BL_SAMPLER_SEEN - 1)) == 0,
               "positions are cut by a mask");

/* How full of others' samples the ring may be for one more. */
static const uint64_t rooms[BL_SAMPLER_BUDGETS] = {
    [BL_SAMPLER_DENIED] = BL_SAMPLER_RING,
    [BL_SAMPLER_ACTION] = BL_SAMPLER_RING / 4 * 3,
    [BL_SAMPLER_EARLY] = BL_SAMPLER_RING / 2,
};

/* What the ring would have no room for at once is not promised. */
static void init_bucket(struct bl_bucket *bucket, uint32_t n_per_s, uint64_t ticks_per_s)
{
    bl_bucket_init(bucket, n_per_s, ticks_per_s);
    if (n_per_s > BL_SAMPLER_BURST_MAX)
        bucket->depth_ticks = (BL_SAMPLER_BURST_MAX - 1) * bucket->interval_ticks;
}

void bl_sampler_init(struct bl_sampler *sampler, uint32_t n_per_s, uint64_t ticks_per_s, struct bl_siphash_key secret)
{
    memset(sampler, 0, sizeof(*sampler));
    sampler->off = n_per_s == 0;
    sampler->secret = secret;
    sampler->seen_ticks = BL_SAMPLER_SEEN_S * ticks_per_s;
    for (unsigned reason = 0; reason < BL_REASON_COUNT; reason++)
        sampler->budgets[reason] = (uint8_t)bl_sampler_budget_of(reason);
    for (int i = 0; i < BL_SAMPLER_BUDGETS; i++)
        init_bucket(&sampler->buckets[i], n_per_s, ticks_per_s);
    for (int i = 0; i < BL_SAMPLER_RESERVES; i++)
        init_bucket(&sampler->reserves[i].bucket, n_per_s, ticks_per_s);
}

enum bl_sampler_budget bl_sampler_budget_of(unsigned reason)
{
    if (reason == BL_REASON_REJECT_BOUNCE)
        return BL_SAMPLER_DENIED;
    return bl_verdict_is_final(reason) ? BL_SAMPLER_ACTION : BL_SAMPLER_EARLY;
}

static void fill(struct bl_sample *sample, const struct bl_packet *packet, const struct bl_sample *event)
{
    *sample = *event;
    sample->family = packet->family;
    sample->destination_cut = packet->destination_cut;
    sample->source_port = packet->status == BL_PARSE_TCP ? packet->source_port : 0;
    sample->destination_port = packet->status == BL_PARSE_TCP ? packet->destination_port : 0;
    if (packet->family == BL_FAMILY_IPV4) {
        sample->source_ip4 = packet->source_ip4;
        sample->destination_ip4 = packet->destination_ip4;
    } else {
        sample->source_ip6 = packet->source_ip6;
        sample->destination_ip6 = packet->destination_ip6;
    }
}

static uint64_t hash_source(const struct bl_sampler *sampler, const struct bl_packet *packet)
{
    if (packet->family == BL_FAMILY_IPV4)
        return bl_siphash(&sampler->secret, &packet->source_ip4, sizeof(packet->source_ip4));
    return bl_siphash(&sampler->secret, &packet->source_ip6.hi, sizeof(packet->source_ip6.hi));
}

/* What the common bucket has no token for. */
static bool take_reserve(struct bl_sampler *sampler, enum bl_sampler_budget budget, const struct bl_packet *packet,
                         uint64_t now_ticks)
{
    struct bl_sampler_reserve *reserve = &sampler->reserves[budget];
    const struct bl_sampler_seen *seen;
    uint64_t hash;

    /* A flood from ever new sources empties it, and is not hashed then. */
    if (budget >= BL_SAMPLER_RESERVES || !bl_bucket_conforms(&reserve->bucket, now_ticks))
        return false;
    hash = hash_source(sampler, packet);
    seen = &reserve->seen[hash & (BL_SAMPLER_SEEN - 1)];
    if (seen->hash == hash && now_ticks - seen->at_ticks < sampler->seen_ticks)
        return false;
    return bl_bucket_take(&reserve->bucket, now_ticks);
}

static void note_source(struct bl_sampler *sampler, enum bl_sampler_budget budget, const struct bl_packet *packet,
                        uint64_t now_ticks)
{
    uint64_t hash;

    if (budget >= BL_SAMPLER_RESERVES)
        return;
    hash = hash_source(sampler, packet);
    sampler->reserves[budget].seen[hash & (BL_SAMPLER_SEEN - 1)] = (struct bl_sampler_seen){hash, now_ticks};
}

void bl_sampler_offer(struct bl_sampler *sampler, const struct bl_packet *packet, const struct bl_sample *event,
                      uint64_t now_ticks)
{
    enum bl_sampler_budget budget = bl_sampler_budget_of(event->reason);
    struct bl_sample *sample;
    bool is_common;

    if (sampler->off)
        return;
    sampler->skipped[event->reason]++;
    is_common = bl_bucket_take(&sampler->buckets[budget], now_ticks);
    if (!is_common && !take_reserve(sampler, budget, packet, now_ticks))
        return;
    /* Pairs with the release in take: what it freed is not read any more. */
    if (sampler->head - __atomic_load_n(&sampler->tail, __ATOMIC_ACQUIRE) >= rooms[budget]) {
        __atomic_store_n(&sampler->n_full, sampler->n_full + 1, __ATOMIC_RELAXED);
        return;
    }
    sample = &sampler->ring[sampler->head & (BL_SAMPLER_RING - 1)];
    fill(sample, packet, event);
    sample->weight = is_common ? sampler->skipped[event->reason] : 1;
    sampler->skipped[event->reason] -= sample->weight;
    note_source(sampler, budget, packet, now_ticks);
    /* Pairs with the acquire in take: the sample is written before it is seen. */
    __atomic_store_n(&sampler->head, sampler->head + 1, __ATOMIC_RELEASE);
}

size_t bl_sampler_take(struct bl_sampler *sampler, struct bl_sample *out, size_t max)
{
    uint64_t waiting = __atomic_load_n(&sampler->head, __ATOMIC_ACQUIRE) - sampler->tail;
    size_t n = waiting < max ? (size_t)waiting : max;

    for (size_t i = 0; i < n; i++)
        out[i] = sampler->ring[(sampler->tail + i) & (BL_SAMPLER_RING - 1)];
    if (n > 0)
        __atomic_store_n(&sampler->tail, sampler->tail + n, __ATOMIC_RELEASE);
    return n;
}

uint64_t bl_sampler_lost(const struct bl_sampler *sampler)
{
    return __atomic_load_n(&sampler->n_full, __ATOMIC_RELAXED);
}
