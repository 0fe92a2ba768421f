/* The cookie in our initial sequence number; see cookie.h.
 *
 * The hashed record holds source, destination, ports and epoch in whole words: no padding, and of another length in
 * each family, so that no two connections share one. A standby pair must agree on it to the bit: its layout is as fixed
 * as a wire format. */
#include "dataplane/cookie.h"

struct cookie_ipv4 {
    uint32_t source;
    uint32_t destination;
    uint32_t ports;
    uint32_t epoch;
};

struct cookie_ipv6 {
    struct bl_ip6 source;
    struct bl_ip6 destination;
    uint32_t ports;
    uint32_t epoch;
};

_Static_assert(sizeof(struct cookie_ipv4) == 16 && sizeof(struct cookie_ipv6) == 40, "padding would be hashed");

uint64_t bl_cookie_hash(const struct bl_siphash_key *key, const struct bl_packet *packet, uint64_t epoch)
{
    uint32_t ports = ((uint32_t)packet->source_port << 16) | packet->destination_port;

    if (packet->family == BL_FAMILY_IPV4) {
        struct cookie_ipv4 record = {packet->source_ip4, packet->destination_ip4, ports, (uint32_t)epoch};

        return bl_siphash(key, &record, sizeof(record));
    }
    struct cookie_ipv6 record = {packet->source_ip6, packet->destination_ip6, ports, (uint32_t)epoch};

    return bl_siphash(key, &record, sizeof(record));
}

uint32_t bl_cookie_isn(const struct bl_siphash_key *key, const struct bl_packet *packet, uint64_t epoch)
{
    return (uint32_t)bl_cookie_hash(key, packet, epoch);
}

/* The current epoch first: most dialogues end within seconds. */
struct bl_cookie_epochs bl_cookie_epochs(uint64_t now_s)
{
    uint64_t now = now_s / BL_COOKIE_EPOCH_S;
    struct bl_cookie_epochs good = {.epochs = {now, now - 1, now + 1}, .n = 2};

    if (now_s % BL_COOKIE_EPOCH_S >= BL_COOKIE_EPOCH_S - BL_COOKIE_SKEW_S)
        good.n = 3;
    return good;
}

bool bl_cookie_verify(const struct bl_siphash_key *key, const struct bl_packet *packet, uint64_t now_s,
                      struct bl_cookie_proof *proof)
{
    struct bl_cookie_epochs good = bl_cookie_epochs(now_s);

    for (unsigned i = 0; i < good.n; i++) {
        uint64_t hash = bl_cookie_hash(key, packet, good.epochs[i]);
        uint32_t offset = packet->acknowledgement - (uint32_t)hash - 1;

        if (offset < BL_COOKIE_OFFSET_MAX) {
            *proof = (struct bl_cookie_proof){hash, offset};
            return true;
        }
    }
    return false;
}
