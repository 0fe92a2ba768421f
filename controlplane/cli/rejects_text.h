/** @file rejects_text.h
 * A reject as a line for people, and as JSON (rejects.c prints with it). Pure but for the stream. */
#ifndef BL_REJECTS_TEXT_H
#define BL_REJECTS_TEXT_H

#include <stdio.h>

#include "controlplane/cli/client_codec_rejects.h"
#include "controlplane/cli/json.h"

/** "2026-11-25 14:02:03.123Z 198.51.100.10 -> 192.0.2.25:25 550 5.7.606 at RCPT, listed by 198.51.100.0/24 from drop,
 * edge1 worker 1", with the line's end. What the server said is escaped. */
void bl_rejects_text_put(FILE *out, const struct bl_rejects_line *line);

/** An object under @p key, or NULL. */
void bl_rejects_text_put_json(struct bl_json *json, const char *key, const struct bl_rejects_line *line);

#endif
