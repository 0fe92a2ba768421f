/* One ordered policy; see classify.h.
 *
 * The worker calls bl_classify_needs_lookup() for each packet of a burst, looks all those addresses up at once, and
 * then calls bl_classify_decide(). Only the destination port is looked at: an answer to the servers' own outbound mail
 * comes from port 25 to another port, and a listed source must not get through by sending from port 25 itself. */
#include "dataplane/classify.h"

#include <string.h>

static void set_decision(struct bl_decision *decision, enum bl_reason reason, uint8_t class_id)
{
    decision->reason = (uint8_t)reason;
    decision->verdict = (uint8_t)bl_verdict_of(reason);
    decision->class_id = class_id;
}

static int compare_ip6(struct bl_ip6 a, struct bl_ip6 b)
{
    if (a.hi != b.hi)
        return a.hi < b.hi ? -1 : 1;
    return a.lo < b.lo ? -1 : a.lo > b.lo;
}

/* Sorted ranges that do not overlap: only the last one that begins at or before the address can hold it. NULL: none. */
static const struct bl_classify_range_ipv4 *find_ip4(const struct bl_classify_policy *policy, uint32_t ip4)
{
    uint32_t low = 0;

    for (uint32_t high = policy->n_ipv4; low < high;) {
        uint32_t middle = (low + high) / 2;

        if (policy->ipv4[middle].first <= ip4)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && ip4 <= policy->ipv4[low - 1].last ? &policy->ipv4[low - 1] : NULL;
}

static const struct bl_classify_range_ipv6 *find_ip6(const struct bl_classify_policy *policy, struct bl_ip6 ip6)
{
    uint32_t low = 0;

    for (uint32_t high = policy->n_ipv6; low < high;) {
        uint32_t middle = (low + high) / 2;

        if (compare_ip6(policy->ipv6[middle].first, ip6) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && compare_ip6(ip6, policy->ipv6[low - 1].last) <= 0 ? &policy->ipv6[low - 1] : NULL;
}

bool bl_classify_is_protected_ip4(const struct bl_classify_policy *policy, uint32_t ip4)
{
    return policy->any_destination || find_ip4(policy, ip4) != NULL;
}

bool bl_classify_is_protected_ip6(const struct bl_classify_policy *policy, struct bl_ip6 ip6)
{
    return policy->any_destination || find_ip6(policy, ip6) != NULL;
}

static bool is_protected_destination(const struct bl_classify_policy *policy, const struct bl_packet *packet)
{
    if (packet->destination_cut)
        return true;
    return packet->family == BL_FAMILY_IPV4 ? bl_classify_is_protected_ip4(policy, packet->destination_ip4)
                                            : bl_classify_is_protected_ip6(policy, packet->destination_ip6);
}

void bl_classify_policy_init(struct bl_classify_policy *policy)
{
    memset(policy, 0, sizeof(*policy));
    policy->any_destination = true;
}

void bl_classify_policy_protect(struct bl_classify_policy *policy, uint16_t port, uint8_t action)
{
    policy->protected_ports[port / 64] |= UINT64_C(1) << (port % 64);
    policy->bites |= action != BL_ACTION_MONITOR;
    if (action != BL_ACTION_REJECT)
        policy->ports[policy->n_ports++] = (struct bl_classify_port){port, action};
}

/* Two prefixes are apart, or one holds the other: the wider one stays, and nothing has to be merged. */
static void protect_ip4(struct bl_classify_policy *policy, const struct bl_prefix *prefix)
{
    uint32_t first = bl_address_to_ip4(prefix->bytes);
    uint32_t last = prefix->length == 0 ? UINT32_MAX : first | (uint32_t)(((uint64_t)1 << (32 - prefix->length)) - 1);
    const struct bl_classify_range_ipv4 *wider = find_ip4(policy, first);
    uint32_t n = 0;

    if (wider != NULL && last <= wider->last)
        return;
    for (uint32_t i = 0; i < policy->n_ipv4; i++)
        if (policy->ipv4[i].first < first || policy->ipv4[i].first > last)
            policy->ipv4[n++] = policy->ipv4[i];
    for (policy->n_ipv4 = n + 1; n > 0 && policy->ipv4[n - 1].first > first; n--)
        policy->ipv4[n] = policy->ipv4[n - 1];
    policy->ipv4[n] = (struct bl_classify_range_ipv4){first, last};
}

static void protect_ip6(struct bl_classify_policy *policy, const struct bl_prefix *prefix)
{
    struct bl_ip6 first = bl_address_to_ip6(prefix->bytes);
    struct bl_ip6 last = first;
    const struct bl_classify_range_ipv6 *wider;
    uint32_t n = 0;

    if (prefix->length < 64)
        last = (struct bl_ip6){first.hi | UINT64_MAX >> prefix->length, UINT64_MAX};
    else if (prefix->length < 128)
        last.lo = first.lo | UINT64_MAX >> (prefix->length - 64);
    wider = find_ip6(policy, first);
    if (wider != NULL && compare_ip6(last, wider->last) <= 0)
        return;
    for (uint32_t i = 0; i < policy->n_ipv6; i++)
        if (compare_ip6(policy->ipv6[i].first, first) < 0 || compare_ip6(policy->ipv6[i].first, last) > 0)
            policy->ipv6[n++] = policy->ipv6[i];
    for (policy->n_ipv6 = n + 1; n > 0 && compare_ip6(policy->ipv6[n - 1].first, first) > 0; n--)
        policy->ipv6[n] = policy->ipv6[n - 1];
    policy->ipv6[n] = (struct bl_classify_range_ipv6){first, last};
}

void bl_classify_policy_protect_prefix(struct bl_classify_policy *policy, const struct bl_prefix *prefix)
{
    policy->any_destination = false;
    if (prefix->family == BL_FAMILY_IPV4)
        protect_ip4(policy, prefix);
    else
        protect_ip6(policy, prefix);
}

/* A fragment can't show its port reliably, and what can't be parsed shows nothing: the source alone decides on them. */
bool bl_classify_needs_lookup(const struct bl_classify_policy *policy, const struct bl_packet *packet,
                              struct bl_decision *decision)
{
    set_decision(decision, BL_REASON_PASS_OTHER, BL_CLASS_NONE);
    switch (packet->status) {
    case BL_PARSE_TCP:
        return bl_classify_is_protected_port(policy, packet->destination_port) &&
               is_protected_destination(policy, packet);
    case BL_PARSE_FRAGMENT:
        return is_protected_destination(policy, packet);
    case BL_PARSE_UNPARSABLE:
        set_decision(decision, BL_REASON_PASS_UNPARSABLE, BL_CLASS_NONE);
        return packet->family != BL_FAMILY_NONE && is_protected_destination(policy, packet);
    case BL_PARSE_OTHER:
        return false;
    default:
        set_decision(decision, BL_REASON_PASS_NOT_IP, BL_CLASS_NONE);
        return false;
    }
}

/* On a port with an action of its own that stands in for the 550. Where every port only monitors, what shows no port is
 * let through too: somebody is trying things out. */
static uint8_t action_on_port(const struct bl_classify_policy *policy, const struct bl_packet *packet, uint8_t action)
{
    if (action != BL_ACTION_REJECT)
        return action;
    if (packet->status != BL_PARSE_TCP)
        return policy->bites ? action : BL_ACTION_MONITOR;
    for (uint32_t i = 0; i < policy->n_ports; i++)
        if (policy->ports[i].port == packet->destination_port)
            return policy->ports[i].action;
    return action;
}

/* What the action does to a packet that the list is for. */
static enum bl_reason reason_of_action(const struct bl_packet *packet, uint8_t action)
{
    if (action == BL_ACTION_MONITOR)
        return BL_REASON_PASS_MONITOR;
    if (action == BL_ACTION_DROP)
        return BL_REASON_DROP_ACTION;
    if (packet->status == BL_PARSE_FRAGMENT)
        return BL_REASON_DROP_FRAGMENT;
    if (packet->status == BL_PARSE_UNPARSABLE)
        return BL_REASON_DROP_UNPARSABLE;
    if (action == BL_ACTION_RESET)
        return BL_REASON_RESET_ACTION;
    return BL_REASON_REJECT_SYN; /* bl_reject_answer says which one */
}

/* The class number comes from a table that may be newer than the class table, or damaged: what is not in use there, and
 * what is out of range, passes. */
void bl_classify_decide(const struct bl_classify_policy *policy, const struct bl_class *classes,
                        const struct bl_packet *packet, uint8_t class_id, struct bl_decision *decision)
{
    enum bl_reason reason;

    if (class_id == BL_CLASS_EXEMPT)
        reason = BL_REASON_PASS_EXEMPT;
    else if (class_id >= BL_CLASS_FIRST && class_id <= BL_CLASS_LAST && classes[class_id].code != 0 &&
             classes[class_id].action >= BL_ACTION_REJECT && classes[class_id].action <= BL_ACTION_MONITOR)
        reason = reason_of_action(packet, action_on_port(policy, packet, classes[class_id].action));
    else
        reason = packet->status == BL_PARSE_UNPARSABLE ? BL_REASON_PASS_UNPARSABLE : BL_REASON_PASS_NOT_LISTED;
    set_decision(decision, reason, class_id);
}
