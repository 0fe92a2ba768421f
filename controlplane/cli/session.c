/* Connection, calls, failures; see session.h.
 *
 * A program is one session: a random name and a sequence that counts its batches. The control plane knows a batch by
 * these, so that client.c may send one again without asking. */
#include "controlplane/cli/session.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "bounceline/settings.h"
#include "controlplane/cli/client.h"
#include "controlplane/cli/text.h"

static uint64_t now_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* No file is read unless it is named: a person's command must not change its meaning with what lies in /etc. */
static int load_settings(const char *config, struct bl_settings *settings, struct bl_error_detail *detail)
{
    bl_settings_init(settings);
    return config == NULL ? BL_OK : bl_settings_load(config, BL_SETTINGS_CLIENT, settings, detail);
}

/* A session must never come again: a batch under a known name would get an old answer. So no randomness, no write. */
static int name_session(struct bl_session *session, struct bl_error_detail *detail)
{
    uint8_t random[16];

    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return bl_error_set(detail, BL_EIO, "no random numbers from the system: %s", strerror(errno));
    for (size_t i = 0; i < sizeof(random); i++)
        (void)snprintf(session->name + 2 * i, 3, "%02x", random[i]);
    return BL_OK;
}

/* A path, in the order that session.h says. */
static const char *choose_socket(const struct bl_options *options, const struct bl_settings *settings)
{
    const char *environment = getenv("BOUNCELINE_SOCKET");

    if (options->socket != NULL)
        return options->socket;
    if (options->config == NULL && environment != NULL && environment[0] != '\0')
        return environment;
    return settings->client.socket;
}

/* What was said on the command line wins over the file, --socket over its client.connect. */
static int choose_target(const struct bl_options *options, const struct bl_settings *settings,
                         struct bl_client_target *target, struct bl_error_detail *detail)
{
    const struct bl_settings_client *client = &settings->client;

    *target = (struct bl_client_target){.path = choose_socket(options, settings)};
    if (options->socket != NULL || (options->connect == NULL && client->connect[0] == '\0'))
        return BL_OK;
    target->connect = options->connect != NULL ? options->connect : client->connect;
    target->certificate_file = options->certificate_file != NULL ? options->certificate_file : client->certificate_file;
    target->key_file = options->key_file != NULL ? options->key_file : client->key_file;
    target->ca_file = options->ca_file != NULL ? options->ca_file : client->ca_file;
    if (target->certificate_file[0] != '\0' && target->key_file[0] != '\0' && target->ca_file[0] != '\0')
        return BL_OK;
    return bl_error_set(detail, BL_EINVAL, "--connect: expected --cert, --key and --ca with it");
}

enum bl_exit bl_session_open(struct bl_session *session, const struct bl_options *options)
{
    struct bl_settings *settings = malloc(sizeof(*settings)); /* too large for a careful stack */
    struct bl_error_detail detail = {""};
    enum bl_exit code = BL_EXIT_DONE;

    *session = (struct bl_session){.options = options};
    if (settings == NULL)
        return bl_session_fail(options, BL_EXIT_UNAVAILABLE, "out of memory");
    if (load_settings(options->config, settings, &detail) != BL_OK) {
        code = bl_session_fail(options, BL_EXIT_USAGE, detail.text);
    } else if (name_session(session, &detail) != BL_OK) {
        code = bl_session_fail(options, BL_EXIT_UNAVAILABLE, detail.text);
    } else {
        struct bl_client_target target;
        int error = choose_target(options, settings, &target, &detail);

        if (error == BL_OK)
            error = bl_client_open(&session->client, &target, &detail);
        /* What is refused before a connection is made is what was said of it: a path, a file. */
        if (error != BL_OK)
            code = bl_session_fail(
                options, error == BL_ECLOSED || error == BL_ENOMEM ? BL_EXIT_UNAVAILABLE : BL_EXIT_USAGE, detail.text);
        session->deadline_ms = options->deadline_ms != 0 ? options->deadline_ms : settings->client.deadline_ms;
    }
    free(settings);
    return code;
}

void bl_session_close(struct bl_session *session)
{
    bl_client_close(session->client);
    session->client = NULL;
}

/* Takes request. */
static int exchange(struct bl_session *session, const char *method, uint8_t *request, size_t request_length,
                    uint8_t **response, size_t *response_length, struct bl_error_detail *detail)
{
    const struct bl_client_call client_call = {
        .method = method,
        .request = request,
        .request_length = request_length,
        .deadline_ms = session->deadline_ms,
        .tick = session->tick,
        .tick_context = session->tick_context,
    };
    uint64_t start_us = now_us();
    int error = bl_client_call(session->client, &client_call, response, response_length, detail);

    session->elapsed_us = now_us() - start_us;
    free(request);
    return error;
}

/* An answer that can't be decoded is the control plane's failure, not a refusal of what was asked. */
static int answer_error(int error, struct bl_error_detail *detail)
{
    struct bl_error_detail cause = *detail;

    if (error == BL_OK || error == BL_ENOMEM)
        return error;
    return bl_error_set(detail, BL_EIO, "the control plane's answer can't be read: %.240s", cause.text);
}

int bl_session_apply(struct bl_session *session, struct bl_batch *batch, struct bl_result *out,
                     struct bl_error_detail *detail)
{
    uint8_t *request;
    uint8_t *response;
    size_t request_length;
    size_t response_length;
    int error;

    /* Encoded once: a second try must be the same bytes, or it would be refused as another batch of that name. */
    batch->session = session->name;
    batch->sequence = ++session->sequence;
    error = bl_client_codec_encode_batch(batch, session->options->wait, session->deadline_ms, &request, &request_length,
                                         detail);
    if (error == BL_OK)
        error = exchange(session, BL_CLIENT_CODEC_APPLY, request, request_length, &response, &response_length, detail);
    if (error != BL_OK)
        return error;
    error = bl_client_codec_decode_result(response, response_length, out, detail);
    free(response);
    return answer_error(error, detail);
}

int bl_session_lookup(struct bl_session *session, const char *prefix, struct bl_lookup *out,
                      struct bl_error_detail *detail)
{
    uint8_t *request;
    uint8_t *response;
    size_t request_length;
    size_t response_length;
    int error = bl_client_codec_encode_lookup(prefix, &request, &request_length, detail);

    if (error == BL_OK)
        error = exchange(session, BL_CLIENT_CODEC_LOOKUP, request, request_length, &response, &response_length, detail);
    if (error != BL_OK)
        return error;
    error = bl_client_codec_decode_lookup(response, response_length, out, detail);
    free(response);
    return answer_error(error, detail);
}

int bl_session_status(struct bl_session *session, struct bl_status *out, struct bl_error_detail *detail)
{
    uint8_t *request = calloc(1, 1); /* GetStatusRequest has no fields */
    uint8_t *response;
    size_t response_length;
    int error;

    if (request == NULL)
        return bl_error_set(detail, BL_ENOMEM, "out of memory");
    error = exchange(session, BL_CLIENT_CODEC_GET_STATUS, request, 0, &response, &response_length, detail);
    if (error != BL_OK)
        return error;
    error = bl_client_codec_decode_status(response, response_length, out, detail);
    free(response);
    return answer_error(error, detail);
}

int bl_session_rejects(struct bl_session *session, const struct bl_rejects_request *question,
                       struct bl_rejects_page *out, struct bl_error_detail *detail)
{
    uint8_t *request;
    uint8_t *response;
    size_t request_length;
    size_t response_length;
    int error = bl_client_codec_encode_rejects(question, &request, &request_length, detail);

    if (error == BL_OK)
        error = exchange(session, BL_CLIENT_CODEC_LIST_REJECTS, request, request_length, &response, &response_length,
                         detail);
    if (error != BL_OK)
        return error;
    error = bl_client_codec_decode_rejects(response, response_length, out, detail);
    free(response);
    return answer_error(error, detail);
}

int bl_session_top(struct bl_session *session, bool listings, uint32_t limit, struct bl_top *out,
                   struct bl_error_detail *detail)
{
    uint8_t *request;
    uint8_t *response;
    size_t request_length;
    size_t response_length;
    int error = bl_client_codec_encode_top(listings, limit, &request, &request_length, detail);

    if (error == BL_OK)
        error =
            exchange(session, BL_CLIENT_CODEC_GET_TOP, request, request_length, &response, &response_length, detail);
    if (error != BL_OK)
        return error;
    error = bl_client_codec_decode_top(response, response_length, out, detail);
    free(response);
    return answer_error(error, detail);
}

static int take_stream(void *context, const uint8_t *answer, size_t length, struct bl_error_detail *detail)
{
    const struct bl_session_stream *stream = context;
    struct bl_stream_message message;
    int error = answer_error(bl_client_codec_decode_stream(stream->kind, answer, length, &message, detail), detail);

    if (error != BL_OK)
        return error;
    error = stream->take(stream->context, &message, detail);
    bl_client_codec_free_stream(&message);
    return error;
}

static bool stream_is_over(void *context)
{
    const struct bl_session_stream *stream = context;

    return stream->is_over != NULL && stream->is_over(stream->context);
}

int bl_session_stream(struct bl_session *session, const struct bl_session_stream *stream,
                      struct bl_error_detail *detail)
{
    static const char *const methods[] = {BL_CLIENT_CODEC_WATCH, BL_CLIENT_CODEC_HISTORY, BL_CLIENT_CODEC_EXPORT};
    struct bl_session_stream copy = *stream;
    const struct bl_client_stream call = {
        .method = methods[stream->kind],
        .request = stream->request,
        .request_length = stream->request_length,
        .take = take_stream,
        .is_over = stream_is_over,
        .context = &copy,
    };
    int error = bl_client_stream(session->client, &call, detail);

    free(stream->request);
    return error;
}

struct backup {
    FILE *out;
    uint64_t n_bytes; /* as the last piece says */
};

static int take_backup(void *context, const uint8_t *answer, size_t length, struct bl_error_detail *detail)
{
    struct backup *backup = context;

    return bl_client_codec_write_backup(answer, length, backup->out, &backup->n_bytes, detail);
}

static bool backup_is_over(void *context)
{
    (void)context;
    return false;
}

int bl_session_backup(struct bl_session *session, FILE *out, struct bl_error_detail *detail)
{
    struct backup backup = {.out = out};
    static const uint8_t nothing[1];
    const struct bl_client_stream call = {.method = BL_CLIENT_CODEC_BACKUP,
                                          .request = nothing,
                                          .take = take_backup,
                                          .is_over = backup_is_over,
                                          .context = &backup};
    int error = bl_client_stream(session->client, &call, detail);

    if (error == BL_OK && (backup.n_bytes == 0 || ftello(out) != (off_t)backup.n_bytes))
        error = bl_error_set(detail, BL_EIO, "the backup was cut short");
    return error;
}

/* What is not known to be a refusal is unavailability: a script retries the second and must not retry the first. */
enum bl_exit bl_session_exit(int error)
{
    switch (error) {
    case BL_OK:
        return BL_EXIT_DONE;
    case BL_ECLOSED:
    case BL_EAGAIN:
    case BL_EIO:
    case BL_ENOMEM:
    case BL_EVERSION:
        return BL_EXIT_UNAVAILABLE;
    default:
        return BL_EXIT_REFUSED;
    }
}

enum bl_exit bl_session_fail(const struct bl_options *options, enum bl_exit code, const char *text)
{
    (void)fputs("bounceline: ", stderr);
    bl_text_put(stderr, text);
    (void)fputc('\n', stderr);
    if (options->json) {
        struct bl_json json;

        bl_json_init(&json, stdout);
        bl_json_begin_object(&json, NULL);
        bl_json_put_text(&json, "error", text);
        bl_json_put_int(&json, "exit_code", code);
        bl_json_end_object(&json);
    }
    return code;
}
