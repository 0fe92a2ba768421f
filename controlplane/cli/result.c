/* What a batch came to; see result.h.
 *
 * The exit code is for scripts and the words for people, but both come from the same fields: a script that reads only the
 * code and a person who reads only the line must not come to different ends. */
#include "controlplane/cli/result.h"

#include <inttypes.h>
#include <string.h>

#include "controlplane/cli/command.h"
#include "controlplane/cli/text.h"

/* Whether there is anything that had to reach the disk. */
static bool changed(const struct bl_result *result)
{
    return result->n_outcomes[BL_OUTCOME_APPLIED] + result->n_outcomes[BL_OUTCOME_REMOVED] +
               result->n_outcomes[BL_OUTCOME_EXEMPTED] !=
           0;
}

enum bl_exit bl_result_exit(const struct bl_result *result, enum bl_wait wait)
{
    if (result->n_outcomes[BL_OUTCOME_REFUSED] != 0)
        return BL_EXIT_REFUSED;
    if (changed(result) && !result->durable)
        return BL_EXIT_UNAVAILABLE;
    /* Nothing was found, nothing was recorded: there is nothing to enforce. */
    if (!changed(result) && result->n_outcomes[BL_OUTCOME_NOT_LISTED] != 0)
        return BL_EXIT_REFUSED;
    if (wait == BL_WAIT_ENFORCED && !result->enforced)
        return BL_EXIT_NOT_ENFORCED;
    return result->n_outcomes[BL_OUTCOME_NOT_LISTED] != 0 ? BL_EXIT_REFUSED : BL_EXIT_DONE;
}

void bl_result_put_reached(FILE *out, const struct bl_result *result, const struct bl_session *session)
{
    if (result->serial == 0)
        (void)fputs("nothing recorded", out);
    else
        (void)fprintf(out, "serial %" PRIu64 ", %s", result->serial, result->durable ? "durable" : "not durable");
    /* What was not waited for says nothing yet: it is left out rather than shown as a shortfall. */
    if (result->enforced)
        (void)fprintf(out, ", enforced by %" PRIu32 " of %" PRIu32 " data planes", result->n_dataplanes_enforced,
                      result->n_dataplanes_connected);
    else if (session->options->wait == BL_WAIT_ENFORCED && result->n_dataplanes_connected == 0)
        (void)fputs(", not enforced: no data plane is connected,", out);
    else if (session->options->wait == BL_WAIT_ENFORCED)
        (void)fprintf(out, ", not enforced: by %" PRIu32 " of %" PRIu32 " data planes", result->n_dataplanes_enforced,
                      result->n_dataplanes_connected);
    (void)fprintf(out, " in %" PRIu64 ".%" PRIu64 " ms%s\n", session->elapsed_us / 1000,
                  session->elapsed_us % 1000 / 100, result->repeated ? " (the answer to an earlier try)" : "");
}

void bl_result_put_json(struct bl_json *json, const struct bl_result *result, const struct bl_session *session)
{
    static const struct {
        const char *key;
        enum bl_outcome outcome;
    } counts[] = {
        {"n_applied", BL_OUTCOME_APPLIED},   {"n_unchanged", BL_OUTCOME_UNCHANGED},   {"n_removed", BL_OUTCOME_REMOVED},
        {"n_exempted", BL_OUTCOME_EXEMPTED}, {"n_not_listed", BL_OUTCOME_NOT_LISTED}, {"n_refused", BL_OUTCOME_REFUSED},
    };

    bl_json_put_text(json, "command", session->options->command->name);
    bl_json_put_text(json, "session", session->name);
    bl_json_put_uint(json, "sequence", session->sequence);
    bl_json_put_hex(json, "epoch", result->epoch);
    bl_json_put_uint(json, "serial", result->serial);
    bl_json_put_text(json, "wait", session->options->wait == BL_WAIT_ENFORCED ? "enforced" : "durable");
    bl_json_put_bool(json, "durable", result->durable);
    bl_json_put_bool(json, "enforced", result->enforced);
    bl_json_put_uint(json, "dataplanes_enforced", result->n_dataplanes_enforced);
    bl_json_put_uint(json, "dataplanes_connected", result->n_dataplanes_connected);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        bl_json_put_uint(json, counts[i].key, result->n_outcomes[counts[i].outcome]);
    bl_json_put_bool(json, "repeated_answer", result->repeated);
    bl_json_put_uint(json, "elapsed_us", session->elapsed_us);
}

void bl_result_put_item_json(struct bl_json *json, const struct bl_result_item *item)
{
    bl_json_put_text(json, "outcome", bl_client_codec_outcome_text(item->outcome));
    bl_json_put_text(json, "refusal", bl_client_codec_refusal_text(item->refusal));
    bl_json_put_text(json, "detail", item->detail);
}

void bl_result_put_refusal(FILE *out, const char *prefix, const struct bl_result_item *item)
{
    const char *detail = item->detail;
    size_t length = strlen(prefix);

    bl_text_put(out, prefix);
    (void)fputs(": refused (", out);
    for (const char *at = bl_client_codec_refusal_text(item->refusal); *at != '\0'; at++)
        (void)fputc(*at == '_' ? ' ' : *at, out);
    (void)fputc(')', out);
    /* The control plane's words stand alone elsewhere and name the prefix; here it is said already. */
    if (strncmp(detail, prefix, length) == 0 && strncmp(detail + length, ": ", 2) == 0)
        detail += length + 2;
    if (detail[0] != '\0') {
        (void)fputs(": ", out);
        bl_text_put(out, detail);
    }
    (void)fputc('\n', out);
}
