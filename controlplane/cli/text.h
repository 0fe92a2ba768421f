/** @file text.h
 * Text that others wrote, made safe for a terminal; and times for people.
 *
 * What the server, a list file or a path says may hold bytes that steer a terminal. Everything of that kind goes
 * through here before it is printed. Called by the commands; any thread, one FILE each. */
#ifndef BL_TEXT_H
#define BL_TEXT_H

#include <stdint.h>
#include <stdio.h>

/** Writes @p text; control characters (C0, DEL, C1), characters that change the direction or break the line, the
 * backslash and malformed bytes become \xNN, \\ or \u{N}. */
void bl_text_put(FILE *out, const char *text);

/** "2026-11-24T02:18:26Z"; "never" for 0. */
void bl_text_put_time(FILE *out, int64_t time_ms);

/** "2026-11-24 02:18:26.045Z": of an event. */
void bl_text_put_moment(FILE *out, int64_t time_ms);

#endif
