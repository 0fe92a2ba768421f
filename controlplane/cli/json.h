/** @file json.h
 * Writes one JSON value (RFC 8259) to a stream, on one line. The commands' --json goes through here.
 *
 * The writer keeps commas and brackets; the caller opens and closes in order. A key is given inside an object, NULL
 * inside an array and at the top. 64-bit values that are not counts (digests, checksums, epochs) are written as 16 or
 * 32 hexadecimal digits in a string: many readers hold numbers as doubles. Threads: one writer, one thread. */
#ifndef BL_JSON_H
#define BL_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { BL_JSON_DEPTH_MAX = 8 };

struct bl_json {
    FILE *out; /**< borrowed */
    unsigned depth;
    bool has_items[BL_JSON_DEPTH_MAX + 1]; /**< a comma is due at this depth */
};

void bl_json_init(struct bl_json *json, FILE *out);

/** Opening deeper than BL_JSON_DEPTH_MAX is a mistake of the caller and asserted. */
void bl_json_begin_object(struct bl_json *json, const char *key);
void bl_json_end_object(struct bl_json *json);
void bl_json_begin_array(struct bl_json *json, const char *key);
void bl_json_end_array(struct bl_json *json);

/** Malformed UTF-8 becomes U+FFFD: the output is always valid JSON. */
void bl_json_put_text(struct bl_json *json, const char *key, const char *value);
void bl_json_put_uint(struct bl_json *json, const char *key, uint64_t value);
void bl_json_put_int(struct bl_json *json, const char *key, int64_t value);
void bl_json_put_bool(struct bl_json *json, const char *key, bool value);
void bl_json_put_null(struct bl_json *json, const char *key);
void bl_json_put_hex(struct bl_json *json, const char *key, uint64_t value);
void bl_json_put_digest(struct bl_json *json, const char *key, uint64_t hi, uint64_t lo);

#endif
