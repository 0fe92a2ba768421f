/* See table_workload.h. */
#include "table_workload.h"

#include <string.h>

uint64_t workload_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

unsigned workload_below(uint64_t *state, unsigned n)
{
    return (unsigned)(workload_random(state) % n);
}

/* An address of few clusters: some bytes take few values, the space's ends among them. */
struct bl_address workload_address(uint64_t *state)
{
    static const uint8_t first[] = {10, 11, 127, 0, 255};
    static const uint8_t middle[] = {0, 255, 1, 128};
    struct bl_address address = {.family = workload_below(state, 2) == 0 ? BL_FAMILY_IPV4 : BL_FAMILY_IPV6};

    if (address.family == BL_FAMILY_IPV4) {
        address.bytes[0] = first[workload_below(state, sizeof(first))];
        address.bytes[1] = middle[workload_below(state, sizeof(middle))];
        address.bytes[2] = (uint8_t)(workload_below(state, 8) * 32 + workload_below(state, 2));
        address.bytes[3] = (uint8_t)workload_below(state, 256);
        return address;
    }
    address.bytes[0] = workload_below(state, 8) == 0 ? first[workload_below(state, sizeof(first))] : 0x20;
    address.bytes[1] = 0x01;
    for (unsigned i = 2; i < 7; i++)
        address.bytes[i] = middle[workload_below(state, i < 4 ? 2 : sizeof(middle))];
    address.bytes[7] = (uint8_t)workload_below(state, 16);
    if (workload_below(state, 2) == 0)
        memset(address.bytes + 8, middle[workload_below(state, 2)], 7);
    address.bytes[15] = (uint8_t)workload_below(state, 256);
    return address;
}

/* Hosts and whole networks are common; the few widest are rare, because they touch everything. */
struct bl_prefix workload_prefix(uint64_t *state)
{
    struct bl_address address = workload_address(state);
    struct bl_prefix prefix = bl_address_host_prefix(&address);
    unsigned kind = workload_below(state, 10000);

    if (kind < 4000)
        return prefix;
    if (kind < 6000)
        prefix.length = address.family == BL_FAMILY_IPV4 ? 24 : 64;
    else if (kind < 9900)
        prefix.length = (uint8_t)(20 + workload_below(state, prefix.length - 19u));
    else if (kind < 9990)
        prefix.length = (uint8_t)(8 + workload_below(state, 12));
    else
        prefix.length = (uint8_t)workload_below(state, 8);
    bl_address_prefix_mask(&prefix);
    return prefix;
}

static void add_neighbour(struct bl_address *address, int direction)
{
    unsigned i = address->family == BL_FAMILY_IPV4 ? 4 : 16;

    while (i-- > 0) {
        address->bytes[i] = (uint8_t)(address->bytes[i] + direction);
        if (address->bytes[i] != (direction > 0 ? 0 : 0xff))
            return;
    }
}

size_t workload_edges(const struct bl_prefix *prefix, struct bl_address out[4])
{
    struct bl_address first = {.family = prefix->family};
    struct bl_address last;

    memcpy(first.bytes, prefix->bytes, sizeof(first.bytes));
    last = first;
    for (unsigned bit = prefix->length; bit < bl_address_bits(prefix->family); bit++)
        last.bytes[bit / 8] |= (uint8_t)(0x80 >> (bit % 8));
    out[0] = first;
    out[1] = last;
    out[2] = first;
    out[3] = last;
    add_neighbour(&out[2], -1);
    add_neighbour(&out[3], 1);
    return 4;
}
