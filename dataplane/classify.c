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

/* A bit a port: one load, however many ports are protected. */
static bool is_protected(const struct bl_classify_policy *policy, uint16_t port)
{
    return ((policy->protected_ports[port / 64] >> (port % 64)) & 1) != 0;
}

void bl_classify_policy_init(struct bl_classify_policy *policy)
{
    memset(policy, 0, sizeof(*policy));
}

void bl_classify_policy_protect(struct bl_classify_policy *policy, uint16_t port)
{
    policy->protected_ports[port / 64] |= UINT64_C(1) << (port % 64);
}

/* A fragment can't show its port reliably, and what can't be parsed shows nothing: the source alone decides on them. */
bool bl_classify_needs_lookup(const struct bl_classify_policy *policy, const struct bl_packet *packet,
                              struct bl_decision *decision)
{
    set_decision(decision, BL_REASON_PASS_OTHER, BL_CLASS_NONE);
    switch (packet->status) {
    case BL_PARSE_TCP:
        return is_protected(policy, packet->destination_port);
    case BL_PARSE_FRAGMENT:
        return true;
    case BL_PARSE_UNPARSABLE:
        set_decision(decision, BL_REASON_PASS_UNPARSABLE, BL_CLASS_NONE);
        return packet->family != BL_FAMILY_NONE;
    case BL_PARSE_OTHER:
        return false;
    default:
        set_decision(decision, BL_REASON_PASS_NOT_IP, BL_CLASS_NONE);
        return false;
    }
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
void bl_classify_decide(const struct bl_class *classes, const struct bl_packet *packet, uint8_t class_id,
                        struct bl_decision *decision)
{
    enum bl_reason reason;

    if (class_id == BL_CLASS_EXEMPT)
        reason = BL_REASON_PASS_EXEMPT;
    else if (class_id >= BL_CLASS_FIRST && class_id <= BL_CLASS_LAST && classes[class_id].code != 0 &&
             classes[class_id].action >= BL_ACTION_REJECT && classes[class_id].action <= BL_ACTION_MONITOR)
        reason = reason_of_action(packet, classes[class_id].action);
    else
        reason = packet->status == BL_PARSE_UNPARSABLE ? BL_REASON_PASS_UNPARSABLE : BL_REASON_PASS_NOT_LISTED;
    set_decision(decision, reason, class_id);
}
