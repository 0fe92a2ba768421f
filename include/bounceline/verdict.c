/* The one list of reasons, as arrays; see verdict.h. */
#include "bounceline/verdict.h"

#include <stddef.h>
#include <string.h>

static const uint8_t verdicts[BL_REASON_COUNT] = {
#define X(suffix, verdict, name, text) [BL_REASON_##suffix] = BL_VERDICT_##verdict,
    BL_REASONS(X)
#undef X
};

static const char *const names[BL_REASON_COUNT] = {
#define X(suffix, verdict, name, text) [BL_REASON_##suffix] = name,
    BL_REASONS(X)
#undef X
};

static const char *const texts[BL_REASON_COUNT] = {
#define X(suffix, verdict, name, text) [BL_REASON_##suffix] = text,
    BL_REASONS(X)
#undef X
};

enum bl_verdict bl_verdict_of(enum bl_reason reason)
{
    return (enum bl_verdict)verdicts[reason];
}

const char *bl_verdict_reason_name(unsigned reason)
{
    return reason < BL_REASON_COUNT ? names[reason] : NULL;
}

const char *bl_verdict_reason_text(unsigned reason)
{
    return reason < BL_REASON_COUNT ? texts[reason] : NULL;
}

bool bl_verdict_is_final(unsigned reason)
{
    switch (reason) {
    case BL_REASON_REJECT_BOUNCE:
    case BL_REASON_DROP_ESTABLISHED:
    case BL_REASON_DROP_ACTION:
    case BL_REASON_DROP_FRAGMENT:
    case BL_REASON_DROP_UNPARSABLE:
        return true;
    default:
        return reason < BL_REASON_COUNT && verdicts[reason] == BL_VERDICT_RESET;
    }
}

const char *bl_verdict_denied_at_text(unsigned denied_at)
{
    static const char *const commands[BL_DENIED_AT_COUNT] = {
        [BL_DENIED_AT_NONE] = "",     [BL_DENIED_AT_OTHER] = "other",       [BL_DENIED_AT_MAIL] = "MAIL",
        [BL_DENIED_AT_RCPT] = "RCPT", [BL_DENIED_AT_STARTTLS] = "STARTTLS",
    };

    return denied_at < BL_DENIED_AT_COUNT ? commands[denied_at] : "";
}

unsigned bl_verdict_find_reason(const char *name)
{
    unsigned reason = 0;

    while (reason < BL_REASON_COUNT && strcmp(names[reason], name) != 0)
        reason++;
    return reason;
}
