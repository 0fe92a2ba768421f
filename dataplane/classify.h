/** @file classify.h
 * One ordered policy: what happens to this packet? (parse → classify → forward | reject)
 *
 * Two calls, with the table's lookup burst between them: bl_classify_needs_lookup() settles what no list can change,
 * bl_classify_decide() the rest. Pure. Threads: any. Cost: fast path. */
#ifndef BL_CLASSIFY_H
#define BL_CLASSIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "bounceline/class.h"
#include "bounceline/verdict.h"
#include "dataplane/parse.h"

enum { BL_CLASSIFY_PORTS_MAX = 16, BL_CLASSIFY_RANGES_MAX = 64 };

/** What stands in for the action reject on one port. */
struct bl_classify_port {
    uint16_t port;
    uint8_t action; /**< enum bl_action */
};

struct bl_classify_range_ipv4 {
    uint32_t first;
    uint32_t last;
};

struct bl_classify_range_ipv6 {
    struct bl_ip6 first;
    struct bl_ip6 last;
};

/** What is protected. Immutable while workers run. */
struct bl_classify_policy {
    uint64_t protected_ports[65536 / 64]; /**< a bit a TCP port */
    struct bl_classify_port ports[BL_CLASSIFY_PORTS_MAX];
    uint32_t n_ports; /**< of those that have an action of their own */
    uint32_t n_ipv4;
    uint32_t n_ipv6;
    bool any_destination;
    bool bites; /**< on some port the action reject is more than monitor */
    struct bl_classify_range_ipv4 ipv4[BL_CLASSIFY_RANGES_MAX]; /**< protected addresses; sorted, none overlap */
    struct bl_classify_range_ipv6 ipv6[BL_CLASSIFY_RANGES_MAX];
};

struct bl_decision {
    uint8_t verdict;  /**< enum bl_verdict */
    uint8_t reason;   /**< enum bl_reason; for REJECT bl_reject_answer sets the final one */
    uint8_t class_id; /**< of the source; 0 when it was not looked up */
};

/** No port yet, and every destination. */
void bl_classify_policy_init(struct bl_classify_policy *policy);

/** @param action what the action reject becomes on this port: BL_ACTION_REJECT, or what stands in for it. At most
 * BL_CLASSIFY_PORTS_MAX ports. */
void bl_classify_policy_protect(struct bl_classify_policy *policy, uint16_t port, uint8_t action);

/** From the first call on only the destinations that were said are protected. At most BL_CLASSIFY_RANGES_MAX. */
void bl_classify_policy_protect_prefix(struct bl_classify_policy *policy, const struct bl_prefix *prefix);

/** True when the port is a protected one. Cost: fast path, one load, however many ports are protected. */
static inline bool bl_classify_is_protected_port(const struct bl_classify_policy *policy, uint16_t port)
{
    return ((policy->protected_ports[port / 64] >> (port % 64)) & 1) != 0;
}

/** True when the address is a protected one. Cost: fast path, at most 7 steps. */
bool bl_classify_is_protected_ip4(const struct bl_classify_policy *policy, uint32_t ip4);
bool bl_classify_is_protected_ip6(const struct bl_classify_policy *policy, struct bl_ip6 ip6);

/** For a packet that came in on the WAN port. @return true when the source's class decides; false: @p decision is
 * final (a pass). Fragments and unparsable packets with a readable source need the lookup too. */
bool bl_classify_needs_lookup(const struct bl_classify_policy *policy, const struct bl_packet *packet,
                              struct bl_decision *decision);

/** The decision for a looked-up packet. @p classes is the class table of BL_CLASS_COUNT; a class that is not in use
 * there passes. */
void bl_classify_decide(const struct bl_classify_policy *policy, const struct bl_class *classes,
                        const struct bl_packet *packet, uint8_t class_id, struct bl_decision *decision);

#endif
