/* Durations, text in and out; see duration.h.
 *
 * One number and one unit, nothing else: "1h30m" or "1.5h" would be guesses at what the person meant, and a bare number
 * has been read as seconds by one program and as days by the next. */
#include "controlplane/cli/duration.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A month and a year are left out: neither is a fixed number of milliseconds. */
static const struct unit {
    const char *name;
    int64_t ms;
} units[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}, {"d", 86400 * 1000}, {"w", INT64_C(7) * 86400 * 1000},
};

static const struct unit *find_unit(const char *name)
{
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (strcmp(units[i].name, name) == 0)
            return &units[i];
    return NULL;
}

int bl_duration_parse(const char *text, int64_t *out_ms, struct bl_error_detail *detail)
{
    const char *at = text;
    const struct unit *unit;
    int64_t value = 0;

    for (; *at >= '0' && *at <= '9'; at++) {
        value = value * 10 + (*at - '0');
        /* A value over the limit in the smallest unit is over it in every unit; stopping here keeps it in 64 bits. */
        if (value > BL_DURATION_MAX_MS)
            return bl_error_set(detail, BL_ERANGE, "duration '%.40s': expected at most 3660d", text);
    }
    /* Zero would mean "not said" on the wire: a listing for no time must not become one for ever. */
    unit = find_unit(at);
    if (at == text || unit == NULL || value == 0)
        return bl_error_set(
            detail, BL_EINVAL,
            "duration '%.40s': expected a whole number over 0 and a unit, such as 90s, 15m, 12h, 30d or 2w", text);
    if (value > BL_DURATION_MAX_MS / unit->ms)
        return bl_error_set(detail, BL_ERANGE, "duration '%.40s': expected at most 3660d", text);
    *out_ms = value * unit->ms;
    return BL_OK;
}

char *bl_duration_format(uint64_t duration_ms, char out[BL_DURATION_TEXT_MAX])
{
    uint64_t seconds = duration_ms / 1000;
    uint64_t minutes = seconds / 60;
    uint64_t hours = minutes / 60;

    /* Hours up to two days: "30 h" says more than "1 d 6 h" to who reads an uptime. */
    if (duration_ms < 1000)
        (void)snprintf(out, BL_DURATION_TEXT_MAX, "%" PRIu64 " ms", duration_ms);
    else if (minutes == 0)
        (void)snprintf(out, BL_DURATION_TEXT_MAX, "%" PRIu64 ".%" PRIu64 " s", seconds, duration_ms % 1000 / 100);
    else if (hours == 0)
        (void)snprintf(out, BL_DURATION_TEXT_MAX, "%" PRIu64 " min %" PRIu64 " s", minutes, seconds % 60);
    else if (hours < 48)
        (void)snprintf(out, BL_DURATION_TEXT_MAX, "%" PRIu64 " h %" PRIu64 " min", hours, minutes % 60);
    else
        (void)snprintf(out, BL_DURATION_TEXT_MAX, "%" PRIu64 " d %" PRIu64 " h", hours / 24, hours % 24);
    return out;
}
