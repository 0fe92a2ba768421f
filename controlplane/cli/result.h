/** @file result.h
 * The answer to a batch, for people and as JSON, and the exit code that it means. Called by update.c and import.c. */
#ifndef BL_RESULT_H
#define BL_RESULT_H

#include "controlplane/cli/session.h"

/** The exit code: refused before not durable before not found before not enforced. */
enum bl_exit bl_result_exit(const struct bl_result *result, enum bl_wait wait);

/** "serial 42, durable, enforced by 1 of 1 data planes in 1.3 ms", with the line's end. */
void bl_result_put_reached(FILE *out, const struct bl_result *result, const struct bl_session *session);

/** The keys that every answer to a batch has, into the open object. */
void bl_result_put_json(struct bl_json *json, const struct bl_result *result, const struct bl_session *session);

/** One item's keys, into the open object. */
void bl_result_put_item_json(struct bl_json *json, const struct bl_result_item *item);

/** "192.0.2.0/24: refused (held for force): cause" with the line's end, escaped. */
void bl_result_put_refusal(FILE *out, const char *prefix, const struct bl_result_item *item);

#endif
