/** @file duration.h
 * Durations as people type and read them. Pure; any thread. Units: milliseconds. */
#ifndef BL_DURATION_H
#define BL_DURATION_H

#include <stdint.h>

#include "bounceline/error.h"

/** Ten years: an operator who means longer means for ever. */
#define BL_DURATION_MAX_MS (INT64_C(3660) * 86400 * 1000)

/** Longest text of bl_duration_format with its NUL. */
#define BL_DURATION_TEXT_MAX 32

/** Reads a whole number and one unit: 500ms, 90s, 15m, 12h, 30d, 2w. Refused: no unit, a sign, a space, a fraction,
 * zero. @return 0, BL_EINVAL or BL_ERANGE (more than BL_DURATION_MAX_MS); @p out_ms is written only on success. */
int bl_duration_parse(const char *text, int64_t *out_ms, struct bl_error_detail *detail);

/** Writes the two largest units: "450 ms", "3.2 s", "15 min", "3 h 12 min", "4 d 2 h". @return @p out. */
char *bl_duration_format(uint64_t duration_ms, char out[BL_DURATION_TEXT_MAX]);

#endif
