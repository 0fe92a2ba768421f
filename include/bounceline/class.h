/** @file class.h
 * What a table entry means. The effective set maps a prefix to a class; the class table, which travels with the set,
 * maps the class to the code, the action and the URL of the answer.
 *
 * Owner: the control plane numbers classes (list_state.c), the data plane copies them (feed.c). Pure; any thread. */
#ifndef BL_CLASS_H
#define BL_CLASS_H

#include <stdbool.h>
#include <stdint.h>

#include "bounceline/error.h"

enum {
    BL_CLASS_NONE = 0, /**< not listed */
    BL_CLASS_FIRST = 1,
    BL_CLASS_LAST = 62,
    BL_CLASS_EXEMPT = 63, /**< a hole: stop here, not listed */
    BL_CLASS_COUNT = 64,
};

enum { BL_CLASS_CODE_MIN = 606, BL_CLASS_CODE_MAX = 649 };

/** What a URL may hold in braces: the source's address, and the ticket that shows it got a bounce (ticket.h). */
#define BL_CLASS_PLACEHOLDER_ADDRESS "{address}"
#define BL_CLASS_PLACEHOLDER_TICKET "{ticket}"

/** Longest URL of a class without NUL, and longest SMTP reply line with CRLF (RFC 5321, 4.5.3.1.5). */
enum { BL_CLASS_URL_MAX = 300, BL_CLASS_LINE_MAX = 512 };

/** The values are the wire's (bounceline.v1.Action). */
enum bl_action {
    BL_ACTION_NONE = 0,
    BL_ACTION_REJECT = 1,
    BL_ACTION_RESET = 2,
    BL_ACTION_DROP = 3,
    BL_ACTION_MONITOR = 4,
};

struct bl_class {
    uint16_t code;     /**< 606..649; 0: this number is not in use */
    uint8_t action;    /**< enum bl_action */
    bool self_service; /**< the portal may delist it */
    char url[BL_CLASS_URL_MAX + 1];
};

/** Refuses a code, action or URL that can't be said in one SMTP line: the URL must start with http:// or https://, be
 * printable ASCII without space, and the finished 550 line, with the longest address in each {address} and a ticket in
 * each {ticket}, must stay under BL_CLASS_LINE_MAX. Any other brace is refused.
 * @return 0, BL_ERANGE or BL_EINVAL with the cause. Cost: control path. */
int bl_class_validate(const struct bl_class *class, struct bl_error_detail *detail);

/** True when the URL holds {ticket}: the data plane needs a key for it. */
bool bl_class_has_ticket(const struct bl_class *class);

bool bl_class_equal(const struct bl_class *a, const struct bl_class *b);

/** "reject", "reset", "drop", "monitor"; "none" for any other value. */
const char *bl_class_action_text(uint8_t action);

#endif
