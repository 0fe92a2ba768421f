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

/** What is protected. Immutable while workers run. */
struct bl_classify_policy {
    uint64_t protected_ports[65536 / 64]; /**< a bit a TCP port */
};

struct bl_decision {
    uint8_t verdict;  /**< enum bl_verdict */
    uint8_t reason;   /**< enum bl_reason; for REJECT bl_reject_answer sets the final one */
    uint8_t class_id; /**< of the source; 0 when it was not looked up */
};

void bl_classify_policy_init(struct bl_classify_policy *policy);
void bl_classify_policy_protect(struct bl_classify_policy *policy, uint16_t port);

/** For a packet that came in on the WAN port. @return true when the source's class decides; false: @p decision is
 * final (a pass). Fragments and unparsable packets with a readable source need the lookup too. */
bool bl_classify_needs_lookup(const struct bl_classify_policy *policy, const struct bl_packet *packet,
                              struct bl_decision *decision);

/** The decision for a looked-up packet. @p classes is the class table of BL_CLASS_COUNT; a class that is not in use
 * there passes. */
void bl_classify_decide(const struct bl_class *classes, const struct bl_packet *packet, uint8_t class_id,
                        struct bl_decision *decision);

#endif
