/* rejects: the last ones, or all from now on; see rejects.h.
 *
 * To follow is to ask again and again with the cursor of the last answer: nothing is held open, so that a control plane
 * that comes back is simply asked again. */
#include "controlplane/cli/rejects.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "controlplane/cli/rejects_text.h"
#include "controlplane/cli/session.h"

enum {
    LIMIT = 100,
    LIMIT_FOLLOW = 10, /* of what was before, as tail does */
    LIMIT_PAGE = 1000,
    POLL_MS = 250,
    PATIENCE_MS = 1000, /* of one question while following: a loss is told soon */
};

/* The only thing that a signal changes. */
static volatile sig_atomic_t interrupted;

static void handle_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static int64_t wall_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct bl_rejects_request first_request(const struct bl_options *options)
{
    uint32_t limit = options->follow ? LIMIT_FOLLOW : LIMIT;

    return (struct bl_rejects_request){
        .prefix = options->n_arguments == 0 ? "" : options->arguments[0],
        .all_stages = options->all,
        .since_ms = options->since_ms == 0 ? 0 : wall_ms() - options->since_ms,
        .limit = options->limit != 0 ? options->limit : limit,
    };
}

static enum bl_exit show_page(const struct bl_options *options, const struct bl_rejects_page *page)
{
    enum bl_exit code = page->n_lines == 0 ? BL_EXIT_REFUSED : BL_EXIT_DONE;
    struct bl_json json;

    if (!options->json) {
        for (size_t i = 0; i < page->n_lines; i++)
            bl_rejects_text_put(stdout, &page->lines[i]);
        return code;
    }
    bl_json_init(&json, stdout);
    bl_json_begin_object(&json, NULL);
    bl_json_begin_array(&json, "rejects");
    for (size_t i = 0; i < page->n_lines; i++)
        bl_rejects_text_put_json(&json, NULL, &page->lines[i]);
    bl_json_end_array(&json);
    bl_json_put_int(&json, "exit_code", code);
    bl_json_end_object(&json);
    return code;
}

static enum bl_exit show_once(struct bl_session *session)
{
    const struct bl_rejects_request request = first_request(session->options);
    struct bl_error_detail detail = {""};
    struct bl_rejects_page page;
    enum bl_exit code;
    int error = bl_session_rejects(session, &request, &page, &detail);

    if (error != BL_OK)
        return bl_session_fail(session->options, bl_session_exit(error), detail.text);
    code = show_page(session->options, &page);
    bl_client_codec_free_rejects(&page);
    return code;
}

/* One line or object each, and a word on what is not there. */
static void show_more(const struct bl_options *options, const struct bl_rejects_page *page, bool is_restarted)
{
    if (is_restarted)
        (void)fputs("bounceline: the control plane was restarted: what it kept before is gone\n", stderr);
    if (page->n_lost != 0)
        (void)fprintf(stderr, "bounceline: %" PRIu64 " rejects came faster than they were asked for\n", page->n_lost);
    for (size_t i = 0; i < page->n_lines; i++) {
        struct bl_json json;

        bl_json_init(&json, stdout);
        if (options->json)
            bl_rejects_text_put_json(&json, NULL, &page->lines[i]);
        else
            bl_rejects_text_put(stdout, &page->lines[i]);
    }
}

/* Until the next question; ends early when nobody reads our output any more. @return false then. */
static bool wait_a_little(void)
{
    struct pollfd output = {.fd = STDOUT_FILENO};

    return poll(&output, 1, POLL_MS) <= 0 || (output.revents & (POLLERR | POLLHUP)) == 0;
}

/* @return true when @p error may pass: the control plane is away, or busy. It is told once. */
static bool is_away(int error, const struct bl_error_detail *detail, bool *is_told)
{
    if (bl_session_exit(error) != BL_EXIT_UNAVAILABLE || error == BL_EVERSION)
        return false;
    if (!*is_told)
        (void)fprintf(stderr, "bounceline: %s; waiting for it\n", detail->text);
    *is_told = true;
    return true;
}

static enum bl_exit follow(struct bl_session *session)
{
    struct bl_rejects_request request = first_request(session->options);
    bool is_told = false;

    session->deadline_ms = PATIENCE_MS;
    while (!interrupted) {
        struct bl_error_detail detail = {""};
        struct bl_rejects_page page = {0};
        bool is_more;
        int error = bl_session_rejects(session, &request, &page, &detail);

        if (error != BL_OK && !is_away(error, &detail, &is_told))
            return bl_session_fail(session->options, bl_session_exit(error), detail.text);
        if (error == BL_OK) {
            if (is_told)
                (void)fputs("bounceline: the control plane is back\n", stderr);
            is_told = false;
            show_more(session->options, &page, request.instance != 0 && request.instance != page.instance);
            request.instance = page.instance;
            request.after = page.next;
            request.limit = LIMIT_PAGE;
        }
        is_more = page.more;
        bl_client_codec_free_rejects(&page);
        /* What is not written now would be seen too late. A pipe that is closed ends the program by its signal. */
        if (fflush(stdout) != 0 || (!is_more && !wait_a_little()))
            return BL_EXIT_DONE;
    }
    return BL_EXIT_DONE;
}

int bl_cli_rejects_run(const struct bl_options *options)
{
    struct sigaction action = {.sa_handler = handle_signal};
    struct bl_session session;
    enum bl_exit code = bl_session_open(&session, options);

    if (code != BL_EXIT_DONE)
        return code;
    if (options->follow) {
        (void)sigaction(SIGINT, &action, NULL);
        (void)sigaction(SIGTERM, &action, NULL);
        code = follow(&session);
    } else {
        code = show_once(&session);
    }
    bl_session_close(&session);
    return code;
}
