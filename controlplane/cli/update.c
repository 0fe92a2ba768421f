/* list, delist, exempt, unexempt; see update.h.
 *
 * One line a prefix and what was reached; with one prefix all of it is one line. Refusals go to stderr. */
#include "controlplane/cli/update.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/cli/session.h"
#include "controlplane/cli/command.h"
#include "controlplane/cli/result.h"
#include "controlplane/cli/text.h"
#include "controlplane/clock.h"

/* "192.0.2.7/32" for "192.0.2.7". An IPv6 address without a length stays as it was typed: the control plane knows its
 * unit, we don't. @return @p full or the argument itself. */
static const char *full_prefix(const struct bl_options *options, const struct bl_result_item *item,
                               char full[BL_ADDRESS_TEXT_MAX])
{
    struct bl_prefix prefix;
    const char *text;

    if (item->index >= options->n_arguments)
        return "?";
    text = options->arguments[item->index];
    if (bl_address_parse_prefix(text, 128, &prefix, NULL) == BL_OK && prefix.family == BL_FAMILY_IPV4)
        return bl_address_format_prefix(&prefix, full);
    return text;
}

static const char *outcome_words(unsigned outcome)
{
    switch (outcome) {
    case BL_OUTCOME_EXEMPTED:
        return "exempted from a wider listing";
    case BL_OUTCOME_NOT_LISTED:
        return "not listed";
    default:
        return bl_client_codec_outcome_text(outcome);
    }
}

/* The control plane's remark says what the outcome alone would hide: that a wider listing stays, that it is exempt. Most
 * remarks begin with the outcome's own word. */
static void put_outcome(const struct bl_result_item *item)
{
    const char *words = outcome_words(item->outcome);

    (void)fputs(": ", stdout);
    if (strncmp(item->detail, words, strlen(words)) != 0) {
        (void)fputs(words, stdout);
        if (item->detail[0] != '\0')
            (void)fputs(", ", stdout);
    }
    bl_text_put(stdout, item->detail);
}

/* What is well goes to stdout, what is refused to stderr with the program's name, as it would in a log of cron. */
static void put_item(const struct bl_options *options, const struct bl_result_item *item)
{
    char full[BL_ADDRESS_TEXT_MAX];
    const char *prefix = full_prefix(options, item, full);

    if (item->outcome == BL_OUTCOME_REFUSED) {
        (void)fprintf(stderr, "bounceline: %s ", options->command->name);
        bl_result_put_refusal(stderr, prefix, item);
        return;
    }
    (void)printf("%s ", item->outcome == BL_OUTCOME_NOT_LISTED ? options->command->name : options->command->past);
    bl_text_put(stdout, prefix);
    if (item->outcome == BL_OUTCOME_NOT_LISTED && options->command->kind == BL_UPDATE_UNEXEMPT)
        (void)fputs(": not exempt", stdout);
    else
        put_outcome(item);
}

/* Refused means all of it was: what was reached would be said of nothing. */
static void show_text(const struct bl_session *session, const struct bl_result *result)
{
    for (size_t i = 0; i < result->n_items; i++) {
        put_item(session->options, &result->items[i]);
        if (result->items[i].outcome != BL_OUTCOME_REFUSED)
            (void)fputs(i + 1 == result->n_items ? "; " : "\n", stdout);
    }
    if (result->n_outcomes[BL_OUTCOME_REFUSED] == 0)
        bl_result_put_reached(stdout, result, session);
}

static void show_json(const struct bl_session *session, const struct bl_result *result, enum bl_exit code)
{
    struct bl_json json;

    bl_json_init(&json, stdout);
    bl_json_begin_object(&json, NULL);
    bl_result_put_json(&json, result, session);
    bl_json_begin_array(&json, "items");
    for (size_t i = 0; i < result->n_items; i++) {
        const struct bl_result_item *item = &result->items[i];

        bl_json_begin_object(&json, NULL);
        bl_json_put_text(&json, "prefix",
                         item->index < session->options->n_arguments ? session->options->arguments[item->index] : "?");
        bl_result_put_item_json(&json, item);
        bl_json_end_object(&json);
    }
    bl_json_end_array(&json);
    bl_json_put_int(&json, "exit_code", code);
    bl_json_end_object(&json);
}

/* One batch: the same words for every prefix. Without one it is `expire`. */
static int apply(struct bl_session *session, struct bl_result *result, struct bl_error_detail *detail)
{
    const struct bl_options *options = session->options;
    struct bl_update *updates = calloc(options->n_arguments + 1, sizeof(*updates));
    struct bl_batch batch = {.atomic = true,
                             .force = options->force || options->n_arguments == 0,
                             .updates = updates,
                             .n_updates = options->n_arguments};
    int64_t expires_at_ms = options->for_ms == 0 ? 0 : bl_clock_wall_ms() + options->for_ms;
    int error;

    if (updates == NULL)
        return bl_error_set(detail, BL_ENOMEM, "out of memory");
    for (size_t i = 0; i < options->n_arguments; i++)
        updates[i] = (struct bl_update){
            .kind = options->command->kind,
            .prefix = options->arguments[i],
            .source = options->source,
            .reason = options->reason,
            .code = options->code,
            .action = options->action,
            .expires_at_ms = expires_at_ms,
        };
    error = bl_session_apply(session, &batch, result, detail);
    free(updates);
    return error;
}

int bl_update_run(const struct bl_options *options)
{
    struct bl_error_detail detail = {""};
    struct bl_result result;
    struct bl_session session;
    enum bl_exit code = bl_session_open(&session, options);
    int error;

    if (code != BL_EXIT_DONE)
        return code;
    error = apply(&session, &result, &detail);
    bl_session_close(&session);
    if (error != BL_OK)
        return bl_session_fail(options, bl_session_exit(error), detail.text);
    code = bl_result_exit(&result, options->wait);
    if (options->json)
        show_json(&session, &result, code);
    else
        show_text(&session, &result);
    bl_client_codec_free_result(&result);
    return code;
}
