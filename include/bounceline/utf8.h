/** @file utf8.h
 * One strict UTF-8 decoder for all that reads text of others: the wire's scan, the policy on reasons, what is printed on
 * a terminal. Strict (RFC 3629: shortest form, no surrogates, at most U+10FFFF) because a lax one lets a control
 * character through in a spelling that the check does not know but the reader does. Pure; any thread. */
#ifndef BL_UTF8_H
#define BL_UTF8_H

#include <stddef.h>
#include <stdint.h>

/** Reads the first character of @p length bytes. A NUL byte is the character 0: callers say what it means.
 * @return its bytes, 1..4, or 0 when they are malformed, cut short or none; @p code is written only on success. */
size_t bl_utf8_decode(const char *text, size_t length, uint32_t *code);

/** The same for a NUL-terminated text: 0 at its end. Never reads behind the NUL. */
size_t bl_utf8_decode_string(const char *text, uint32_t *code);

#endif
