/** @file policy_text.h
 * Which strings of a client may enter the list (policy_item.c calls). Pure; any thread. */
#ifndef BL_POLICY_TEXT_H
#define BL_POLICY_TEXT_H

#include <stdbool.h>

enum { BL_POLICY_TEXT_REASON_MAX = 200, BL_POLICY_TEXT_SOURCE_MAX = 63 };

/** True for well-formed UTF-8 (RFC 3629) of at most BL_POLICY_TEXT_REASON_MAX bytes without control characters, line
 * separators and characters that change the direction of what follows: reasons are shown in terminals and logs. */
bool bl_policy_text_is_reason(const char *text);

/** True for 1 to BL_POLICY_TEXT_SOURCE_MAX of a-z 0-9 . _ - */
bool bl_policy_text_is_source(const char *text);

#endif
