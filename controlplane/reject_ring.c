/* The last rejects; see reject_ring.h. */
#include "controlplane/reject_ring.h"

#include <stdlib.h>
#include <string.h>

/* Number i, if it is still there, is at rejects[i % n_max]. */
struct bl_reject_ring {
    uint32_t n_max;
    uint64_t last; /* 0: none yet */
    struct bl_reject rejects[];
};

int bl_reject_ring_create(struct bl_reject_ring **out, uint32_t n_max)
{
    struct bl_reject_ring *ring = calloc(1, sizeof(*ring) + n_max * sizeof(ring->rejects[0]));

    if (ring == NULL)
        return BL_ENOMEM;
    ring->n_max = n_max;
    *out = ring;
    return BL_OK;
}

void bl_reject_ring_free(struct bl_reject_ring *ring)
{
    free(ring);
}

void bl_reject_ring_push(struct bl_reject_ring *ring, struct bl_reject *reject)
{
    reject->id = ++ring->last;
    ring->rejects[reject->id % ring->n_max] = *reject;
}

static bool is_wanted(const struct bl_reject_query *query, const struct bl_reject *reject)
{
    struct bl_prefix source;

    if (reject->sample.time_ms < query->since_ms)
        return false;
    if (!query->all_stages && reject->sample.reason != BL_REASON_COUNT && !bl_verdict_is_final(reject->sample.reason))
        return false;
    if (query->prefix.family == BL_FAMILY_NONE)
        return true;
    source = bl_address_host_prefix(&reject->sample.source);
    return bl_address_prefix_covers(&query->prefix, &source);
}

static const struct bl_reject *at(const struct bl_reject_ring *ring, uint64_t id)
{
    return &ring->rejects[id % ring->n_max];
}

/* Where the newest @max that are wanted begin. */
static uint64_t newest_from(const struct bl_reject_ring *ring, const struct bl_reject_query *query, uint64_t oldest,
                            size_t max)
{
    uint64_t from = ring->last + 1;
    size_t n = 0;

    while (from > oldest && n < max)
        n += is_wanted(query, at(ring, --from));
    return from;
}

void bl_reject_ring_find(const struct bl_reject_ring *ring, const struct bl_reject_query *query, struct bl_reject *out,
                         size_t max, struct bl_reject_answer *answer)
{
    uint64_t oldest = ring->last > ring->n_max ? ring->last - ring->n_max + 1 : 1;
    uint64_t id = query->after + 1;

    *answer = (struct bl_reject_answer){.next = query->after};
    /* Also a cursor from nowhere: its owner must not be sent round again. */
    if (query->after >= ring->last)
        return;
    if (query->after == 0) {
        id = newest_from(ring, query, oldest, max);
    } else if (id < oldest) {
        answer->n_lost = oldest - id;
        id = oldest;
    }
    for (; id <= ring->last; id++) {
        if (!is_wanted(query, at(ring, id)))
            continue;
        if (answer->n == max) {
            answer->more = true;
            break;
        }
        out[answer->n++] = *at(ring, id);
    }
    answer->next = answer->more ? id - 1 : ring->last;
}
