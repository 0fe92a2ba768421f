/* A queue of deltas in an array that wraps around; see ring.h. */
#include "controlplane/ring.h"

#include <stdlib.h>

#include "bounceline/error.h"

enum { RING_DELTAS = 1 << 16 };

/* deltas[first .. first + n), modulo RING_DELTAS; n_bytes is their sum. */
struct bl_ring {
    size_t bytes_max;
    size_t n_bytes;
    size_t first;
    size_t n;
    struct bl_frames *deltas[RING_DELTAS];
};

int bl_ring_create(struct bl_ring **out, size_t bytes_max)
{
    struct bl_ring *ring = calloc(1, sizeof(*ring));

    if (ring == NULL)
        return BL_ENOMEM;
    ring->bytes_max = bytes_max;
    *out = ring;
    return BL_OK;
}

static struct bl_frames *at(const struct bl_ring *ring, size_t index)
{
    return ring->deltas[(ring->first + index) % RING_DELTAS];
}

static void drop_oldest(struct bl_ring *ring)
{
    struct bl_frames *oldest = at(ring, 0);

    ring->n_bytes -= oldest->n_bytes;
    ring->first = (ring->first + 1) % RING_DELTAS;
    ring->n--;
    bl_frames_release(oldest);
}

void bl_ring_clear(struct bl_ring *ring)
{
    while (ring->n != 0)
        drop_oldest(ring);
}

void bl_ring_free(struct bl_ring *ring)
{
    if (ring != NULL)
        bl_ring_clear(ring);
    free(ring);
}

/* Room is made before: the bound holds at all times, but for a single delta that is larger than all of it. */
void bl_ring_push(struct bl_ring *ring, struct bl_frames *delta)
{
    if (ring->n != 0 && at(ring, ring->n - 1)->serial != delta->from_serial)
        bl_ring_clear(ring);
    while (ring->n == RING_DELTAS || (ring->n != 0 && ring->n_bytes + delta->n_bytes > ring->bytes_max))
        drop_oldest(ring);
    ring->deltas[(ring->first + ring->n) % RING_DELTAS] = delta;
    ring->n++;
    ring->n_bytes += delta->n_bytes;
}

/* The first delta that ends behind @serial; n when there is none. */
static size_t search(const struct bl_ring *ring, uint64_t serial)
{
    size_t low = 0;
    size_t high = ring->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (at(ring, middle)->serial > serial)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

struct bl_frames *bl_ring_find(const struct bl_ring *ring, uint64_t serial)
{
    size_t index = search(ring, serial);

    return index < ring->n && at(ring, index)->from_serial == serial ? at(ring, index) : NULL;
}

int bl_ring_find_digest(const struct bl_ring *ring, uint64_t serial, struct bl_digest *digest)
{
    size_t index = search(ring, serial);

    if (index == 0 || at(ring, index - 1)->serial != serial)
        return BL_ENOENT;
    *digest = at(ring, index - 1)->digest;
    return BL_OK;
}
