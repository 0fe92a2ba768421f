/* Samples of what a worker rejects; see sampler.h. */
#include "dataplane/sampler.h"

#include <stdbool.h>
#include <string.h>

enum { EARLY_ROOM = BL_SAMPLER_RING / 2 };

_Static_assert((BL_SAMPLER_RING & (BL_SAMPLER_RING - 1)) == 0, "positions are cut by a mask");

void bl_sampler_init(struct bl_sampler *sampler, uint32_t n_per_s, uint64_t ticks_per_s)
{
    memset(sampler, 0, sizeof(*sampler));
    sampler->off = n_per_s == 0;
    for (int i = 0; i < BL_SAMPLER_BUDGETS; i++)
        bl_bucket_init(&sampler->buckets[i], n_per_s, ticks_per_s);
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

void bl_sampler_offer(struct bl_sampler *sampler, const struct bl_packet *packet, const struct bl_sample *event,
                      uint64_t now_ticks)
{
    enum bl_sampler_budget budget = bl_sampler_budget_of(event->reason);
    uint64_t room = budget == BL_SAMPLER_EARLY ? EARLY_ROOM : BL_SAMPLER_RING;
    struct bl_sample *sample;

    if (sampler->off)
        return;
    sampler->skipped[event->reason]++;
    if (!bl_bucket_take(&sampler->buckets[budget], now_ticks))
        return;
    /* Pairs with the release in take: what it freed is not read any more. */
    if (sampler->head - __atomic_load_n(&sampler->tail, __ATOMIC_ACQUIRE) >= room) {
        __atomic_store_n(&sampler->n_full, sampler->n_full + 1, __ATOMIC_RELAXED);
        return;
    }
    sample = &sampler->ring[sampler->head & (BL_SAMPLER_RING - 1)];
    fill(sample, packet, event);
    sample->weight = sampler->skipped[event->reason];
    sampler->skipped[event->reason] = 0;
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
