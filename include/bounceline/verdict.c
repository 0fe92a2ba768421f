/* The one list of reasons, as arrays; see verdict.h. */
#include "bounceline/verdict.h"

#include <stddef.h>

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
