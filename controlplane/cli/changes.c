/* Changes of the list, as lines or objects; see changes.h. */
#include "controlplane/cli/changes.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "bounceline/class.h"
#include "controlplane/cli/text.h"

/* The only thing that a signal changes. */
static volatile sig_atomic_t interrupted;

static void handle_signal(int number)
{
    (void)number;
    interrupted = 1;
}

/* The wire's UpdateKind. */
static const char *kind_text(unsigned kind)
{
    static const char *const texts[] = {"?", "list", "delist", "exempt", "unexempt", "undelist"};

    return kind < sizeof(texts) / sizeof(texts[0]) ? texts[kind] : "?";
}

static const char *action_text(unsigned action)
{
    return action >= BL_ACTION_REJECT && action <= BL_ACTION_MONITOR ? bl_class_action_text((uint8_t)action) : "";
}

void bl_cli_changes_put_json(struct bl_json *json, const struct bl_stream_message *message,
                             const struct bl_stream_group *group, const struct bl_prefix *prefix)
{
    char text[BL_ADDRESS_TEXT_MAX];

    bl_json_begin_object(json, NULL);
    bl_json_put_uint(json, "serial", message->serial);
    bl_json_put_int(json, "time_ms", message->time_ms);
    bl_json_put_text(json, "actor", message->actor);
    bl_json_put_text(json, "kind", kind_text(group->kind));
    bl_json_put_text(json, "prefix", bl_address_format_prefix(prefix, text));
    bl_json_put_text(json, "source", group->source);
    bl_json_put_uint(json, "code", group->code);
    bl_json_put_text(json, "reason", group->reason);
    bl_json_put_text(json, "action", action_text(group->action));
    bl_json_put_text(json, "self_service",
                     group->self_service == BL_SELF_SERVICE_OPEN     ? "open"
                     : group->self_service == BL_SELF_SERVICE_CLOSED ? "closed"
                                                                     : "");
    bl_json_put_int(json, "observed_at_ms", group->observed_at_ms);
    bl_json_put_int(json, "expires_at_ms", group->expires_at_ms);
    bl_json_end_object(json);
}

/* 2026-11-24 02:18:26.045Z  12  root  list 192.0.2.0/24  source drop, code 607, reject: spam */
static void put_line(const struct bl_stream_message *message, const struct bl_stream_group *group,
                     const struct bl_prefix *prefix)
{
    char text[BL_ADDRESS_TEXT_MAX];

    bl_text_put_moment(stdout, message->time_ms);
    (void)printf("  %" PRIu64 "  ", message->serial);
    bl_text_put(stdout, message->actor);
    (void)printf("  %s %s", kind_text(group->kind), bl_address_format_prefix(prefix, text));
    if (group->source[0] != '\0') {
        (void)fputs("  source ", stdout);
        bl_text_put(stdout, group->source);
    }
    if (group->code != 0)
        (void)printf(", code %" PRIu32 ", %s", group->code, action_text(group->action));
    if (group->expires_at_ms != 0) {
        (void)fputs(", until ", stdout);
        bl_text_put_time(stdout, group->expires_at_ms);
    }
    if (group->reason[0] != '\0') {
        (void)fputs(": ", stdout);
        bl_text_put(stdout, group->reason);
    }
    (void)fputc('\n', stdout);
}

/* ---- watch ---- */

static int watch_take(void *context, const struct bl_stream_message *message, struct bl_error_detail *detail)
{
    const struct bl_options *options = context;

    (void)detail;
    for (size_t i = 0; i < message->n_groups; i++) {
        for (size_t at = 0; at < message->groups[i].n_prefixes; at++) {
            struct bl_json json;

            bl_json_init(&json, stdout);
            if (options->json)
                bl_cli_changes_put_json(&json, message, &message->groups[i], &message->groups[i].prefixes[at]);
            else
                put_line(message, &message->groups[i], &message->groups[i].prefixes[at]);
        }
    }
    (void)fflush(stdout);
    return BL_OK;
}

/* Also when nobody reads our output any more. */
static bool watch_is_over(void *context)
{
    struct pollfd output = {.fd = STDOUT_FILENO};

    (void)context;
    return interrupted != 0 || ferror(stdout) != 0 ||
           (poll(&output, 1, 0) > 0 && (output.revents & (POLLERR | POLLHUP)) != 0);
}

int bl_cli_watch_run(const struct bl_options *options)
{
    struct sigaction action = {.sa_handler = handle_signal};
    union {
        const struct bl_options *in;
        void *out;
    } context = {.in = options};
    struct bl_session_stream stream = {
        .kind = BL_STREAM_WATCH, .take = watch_take, .is_over = watch_is_over, .context = context.out};
    struct bl_error_detail detail = {""};
    struct bl_session session;
    enum bl_exit code = bl_session_open(&session, options);
    int error;

    if (code != BL_EXIT_DONE)
        return code;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    error =
        bl_client_codec_encode_watch(options->from_serial, !options->has_from, &stream.request, &stream.request_length);
    if (error == BL_OK)
        error = bl_session_stream(&session, &stream, &detail);
    bl_session_close(&session);
    if (error == BL_OK)
        return BL_EXIT_DONE;
    return bl_session_fail(options, bl_session_exit(error), detail.text);
}

/* ---- history ---- */

struct history {
    const struct bl_options *options;
    struct bl_json json;
    uint32_t n_left;
    uint64_t n;
    uint64_t next_before;
};

static int history_take(void *context, const struct bl_stream_message *message, struct bl_error_detail *detail)
{
    struct history *history = context;

    (void)detail;
    if (message->last)
        history->next_before = message->next_before;
    if (message->n_groups == 0)
        return BL_OK;
    history->n++;
    history->n_left--;
    if (history->options->json)
        bl_cli_changes_put_json(&history->json, message, &message->groups[0], &message->groups[0].prefixes[0]);
    else
        put_line(message, &message->groups[0], &message->groups[0].prefixes[0]);
    return BL_OK;
}

/* Part after part, until there are enough or the log's beginning is reached. */
static int history_read(struct bl_session *session, struct history *history, struct bl_error_detail *detail)
{
    int error;

    do {
        struct bl_session_stream stream = {.kind = BL_STREAM_HISTORY, .take = history_take, .context = history};

        error = bl_client_codec_encode_history(session->options->arguments[0], history->n_left, history->next_before,
                                               &stream.request, &stream.request_length);
        history->next_before = 0;
        if (error == BL_OK)
            error = bl_session_stream(session, &stream, detail);
    } while (error == BL_OK && history->next_before != 0 && history->n_left != 0);
    return error;
}

int bl_cli_history_run(const struct bl_options *options)
{
    struct history history = {.options = options, .n_left = options->limit == 0 ? 100 : options->limit};
    struct bl_error_detail detail = {""};
    struct bl_session session;
    enum bl_exit code = bl_session_open(&session, options);
    int error;

    if (code != BL_EXIT_DONE)
        return code;
    bl_json_init(&history.json, stdout);
    if (options->json) {
        bl_json_begin_object(&history.json, NULL);
        bl_json_begin_array(&history.json, "changes");
    }
    error = history_read(&session, &history, &detail);
    bl_session_close(&session);
    code = error != BL_OK ? bl_session_exit(error) : history.n == 0 ? BL_EXIT_REFUSED : BL_EXIT_DONE;
    if (options->json) {
        bl_json_end_array(&history.json);
        if (error != BL_OK)
            bl_json_put_text(&history.json, "error", detail.text);
        bl_json_put_int(&history.json, "exit_code", code);
        bl_json_end_object(&history.json);
    }
    if (error != BL_OK) {
        (void)fputs("bounceline: ", stderr);
        bl_text_put(stderr, detail.text);
        (void)fputc('\n', stderr);
    }
    return code;
}
