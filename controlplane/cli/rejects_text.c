/* One line a reject; see rejects_text.h. */
#include "controlplane/cli/rejects_text.h"

#include <inttypes.h>
#include <string.h>

#include "bounceline/class.h"
#include "bounceline/verdict.h"
#include "controlplane/cli/text.h"

/* "192.0.2.25:25", "[2001:db8::25]:25"; without a port where there was none to see, "?" without an address. */
static void put_destination(FILE *out, const struct bl_rejects_line *line)
{
    const char *destination = line->destination[0] == '\0' ? "?" : line->destination;
    bool is_bracketed = strchr(destination, ':') != NULL && line->destination_port != 0;

    if (is_bracketed)
        (void)fputc('[', out);
    bl_text_put(out, destination);
    if (is_bracketed)
        (void)fputc(']', out);
    if (line->destination_port != 0)
        (void)fprintf(out, ":%" PRIu32, line->destination_port);
}

/* The sentence of a reason, without the "listed, " that all of these begin with. */
static const char *sentence_of(unsigned reason)
{
    static const char prefix[] = "listed, ";
    const char *text = bl_verdict_reason_text(reason);

    return strncmp(text, prefix, sizeof(prefix) - 1) == 0 ? text + sizeof(prefix) - 1 : text;
}

/* What it met. Codes are said as the sender heard them, or would have. */
static void put_what(FILE *out, const struct bl_rejects_line *line)
{
    unsigned reason = bl_verdict_find_reason(line->reason);

    switch (reason) {
    case BL_REASON_REJECT_BOUNCE:
        (void)fputs("550", out);
        if (line->code != 0)
            (void)fprintf(out, " 5.7.%" PRIu32, line->code);
        if (line->denied_at == BL_DENIED_AT_OTHER)
            (void)fputs(" at another line", out);
        else if (bl_verdict_denied_at_text(line->denied_at)[0] != '\0')
            (void)fprintf(out, " at %s", bl_verdict_denied_at_text(line->denied_at));
        return;
    case BL_REASON_DROP_ACTION:
        (void)fputs("dropped", out);
        break;
    case BL_REASON_RESET_ACTION:
        (void)fputs("reset", out);
        break;
    case BL_REASON_COUNT:
        bl_text_put(out, line->reason);
        break;
    default:
        (void)fputs(sentence_of(reason), out);
        break;
    }
    if (line->code != 0)
        (void)fprintf(out, " (code %" PRIu32 ")", line->code);
}

void bl_rejects_text_put(FILE *out, const struct bl_rejects_line *line)
{
    bl_text_put_moment(out, line->time_ms);
    (void)fputc(' ', out);
    bl_text_put(out, line->source);
    (void)fputs(" -> ", out);
    put_destination(out, line);
    (void)fputc(' ', out);
    put_what(out, line);
    if (line->listing[0] != '\0') {
        (void)fputs(", listed by ", out);
        bl_text_put(out, line->listing);
        (void)fputs(" from ", out);
        bl_text_put(out, line->listing_source);
    } else {
        (void)fputs(", no longer listed so", out);
    }
    (void)fputs(", ", out);
    bl_text_put(out, line->dataplane);
    (void)fprintf(out, " worker %" PRIu32, line->worker);
    if (line->weight > 1)
        (void)fprintf(out, ", one of %" PRIu64 " of its kind", line->weight);
    (void)fputc('\n', out);
}

void bl_rejects_text_put_json(struct bl_json *json, const char *key, const struct bl_rejects_line *line)
{
    bl_json_begin_object(json, key);
    bl_json_put_uint(json, "id", line->id);
    bl_json_put_int(json, "time_ms", line->time_ms);
    bl_json_put_text(json, "source", line->source);
    bl_json_put_uint(json, "source_port", line->source_port);
    bl_json_put_text(json, "destination", line->destination);
    bl_json_put_uint(json, "destination_port", line->destination_port);
    bl_json_put_text(json, "reason", line->reason);
    bl_json_put_text(json, "denied_at", bl_verdict_denied_at_text(line->denied_at));
    bl_json_put_uint(json, "code", line->code);
    bl_json_put_text(json, "action", bl_class_action_text((uint8_t)line->action));
    bl_json_put_text(json, "listing", line->listing);
    bl_json_put_text(json, "listing_source", line->listing_source);
    bl_json_put_text(json, "dataplane", line->dataplane);
    bl_json_put_uint(json, "worker", line->worker);
    bl_json_put_uint(json, "weight", line->weight);
    bl_json_put_uint(json, "class_id", line->class_id);
    bl_json_end_object(json);
}
