/* The JSON writer; see json.h.
 *
 * Errors of the stream are not looked at here: main.c asks the stream once, at the end. */
#include "controlplane/cli/json.h"

#include <assert.h>
#include <inttypes.h>

#include "bounceline/utf8.h"

void bl_json_init(struct bl_json *json, FILE *out)
{
    *json = (struct bl_json){.out = out};
}

static void put_escaped(FILE *out, const char *text)
{
    (void)fputc('"', out);
    while (*text != '\0') {
        uint32_t code = 0;
        size_t length = bl_utf8_decode_string(text, &code);

        /* DEL and C1 are legal JSON, but the line may well be shown on a terminal. */
        if (length == 0)
            (void)fputs("\\ufffd", out);
        else if (code < 0x20 || (code >= 0x7f && code <= 0x9f))
            (void)fprintf(out, "\\u%04" PRIx32, code);
        else if (code == '"' || code == '\\')
            (void)fprintf(out, "\\%c", (int)code);
        else
            (void)fwrite(text, 1, length, out);
        text += length == 0 ? 1 : length;
    }
    (void)fputc('"', out);
}

/* What stands before every value: the comma that is due, and the key. */
static void put_start(struct bl_json *json, const char *key)
{
    if (json->has_items[json->depth])
        (void)fputc(',', json->out);
    json->has_items[json->depth] = true;
    if (key != NULL) {
        put_escaped(json->out, key);
        (void)fputc(':', json->out);
    }
}

static void begin(struct bl_json *json, const char *key, char bracket)
{
    /* The shape is ours, never the server's: a depth that is exceeded is a mistake in this program. */
    assert(json->depth < BL_JSON_DEPTH_MAX);
    put_start(json, key);
    (void)fputc(bracket, json->out);
    json->has_items[++json->depth] = false;
}

static void end(struct bl_json *json, char bracket)
{
    assert(json->depth > 0);
    json->depth--;
    (void)fputc(bracket, json->out);
    /* One object a line: answers can be appended to a file and read back line by line. */
    if (json->depth == 0)
        (void)fputc('\n', json->out);
}

void bl_json_begin_object(struct bl_json *json, const char *key)
{
    begin(json, key, '{');
}

void bl_json_end_object(struct bl_json *json)
{
    end(json, '}');
}

void bl_json_begin_array(struct bl_json *json, const char *key)
{
    begin(json, key, '[');
}

void bl_json_end_array(struct bl_json *json)
{
    end(json, ']');
}

void bl_json_put_text(struct bl_json *json, const char *key, const char *value)
{
    put_start(json, key);
    put_escaped(json->out, value);
}

void bl_json_put_uint(struct bl_json *json, const char *key, uint64_t value)
{
    put_start(json, key);
    (void)fprintf(json->out, "%" PRIu64, value);
}

void bl_json_put_int(struct bl_json *json, const char *key, int64_t value)
{
    put_start(json, key);
    (void)fprintf(json->out, "%" PRId64, value);
}

void bl_json_put_bool(struct bl_json *json, const char *key, bool value)
{
    put_start(json, key);
    (void)fputs(value ? "true" : "false", json->out);
}

void bl_json_put_null(struct bl_json *json, const char *key)
{
    put_start(json, key);
    (void)fputs("null", json->out);
}

void bl_json_put_hex(struct bl_json *json, const char *key, uint64_t value)
{
    put_start(json, key);
    (void)fprintf(json->out, "\"%016" PRIx64 "\"", value);
}

void bl_json_put_digest(struct bl_json *json, const char *key, uint64_t hi, uint64_t lo)
{
    put_start(json, key);
    (void)fprintf(json->out, "\"%016" PRIx64 "%016" PRIx64 "\"", hi, lo);
}
