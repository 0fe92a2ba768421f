/* Unary calls with the gRPC C core; see client.h.
 *
 * One completion queue serves one call at a time: the tag says nothing, the queue's next event is the call's. */
#include "controlplane/cli/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>

#include "controlplane/certificates.h"

enum {
    CONNECT_TIMEOUT_S = 5, /* a socket whose backlog is full; one that nobody serves fails at once */
    TICK_MS = 100,
    /* A server that answers exactly at the deadline ("durable, not enforced") must still be heard. */
    GRACE_MS = 1000,
};

struct bl_client {
    struct sockaddr_un address; /* of a socket */
    char *host_port;            /* by TLS; NULL: the socket */
    struct bl_certificates *certificates;
    grpc_channel *channel; /* NULL after a connection was lost and none came back */
    grpc_completion_queue *queue;
};

static int connect_socket(const struct sockaddr_un *address, struct bl_error_detail *detail)
{
    const struct timeval timeout = {.tv_sec = CONNECT_TIMEOUT_S};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int cause;

    if (fd < 0)
        return bl_error_set(detail, BL_ECLOSED, "can't open a socket: %s", strerror(errno));
    /* On a Unix socket this timeout is connect's, too. gRPC wants the descriptor non-blocking, but only once it stands. */
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 &&
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0)
        return fd;
    cause = errno;
    (void)close(fd);
    return bl_error_set(detail, BL_ECLOSED, "can't reach the control plane at %s: %s%s", address->sun_path,
                        strerror(cause),
                        cause == ENOENT || cause == ECONNREFUSED ? ": is bounceline-controlplane running?"
                        : cause == EACCES ? ": expected a user that the socket's mode and directory admit"
                                          : "");
}

static const char *place_of(const struct bl_client *client)
{
    return client->host_port != NULL ? client->host_port : client->address.sun_path;
}

/* The name that the control plane's certificate must carry is the host's. The pool is the channel's own, so that a new
 * channel is a new connection. Answers as below. */
static int open_secure_channel(struct bl_client *client, struct bl_error_detail *detail)
{
    char receive_key[] = GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH;
    char send_key[] = GRPC_ARG_MAX_SEND_MESSAGE_LENGTH;
    char pool_key[] = GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL;
    grpc_arg arguments[] = {
        {.type = GRPC_ARG_INTEGER, .key = receive_key, .value.integer = BL_CLIENT_MESSAGE_BYTES_MAX},
        {.type = GRPC_ARG_INTEGER, .key = send_key, .value.integer = BL_CLIENT_MESSAGE_BYTES_MAX},
        {.type = GRPC_ARG_INTEGER, .key = pool_key, .value.integer = 1},
    };
    const grpc_channel_args list = {.num_args = sizeof(arguments) / sizeof(arguments[0]), .args = arguments};
    grpc_ssl_pem_key_cert_pair pair = {bl_certificates_key_pem(client->certificates),
                                       bl_certificates_chain_pem(client->certificates)};
    grpc_channel_credentials *credentials =
        grpc_ssl_credentials_create_ex(bl_certificates_ca_pem(client->certificates), &pair, NULL, NULL);

    client->channel = grpc_channel_create(client->host_port, credentials, &list);
    grpc_channel_credentials_release(credentials);
    if (client->channel == NULL)
        return bl_error_set(detail, BL_ECLOSED, "gRPC makes no channel to %s", client->host_port);
    return BL_OK;
}

/* A path is no host name, and HTTP/2 wants one; the server does not look at it. Answers may be as large as requests: a
 * status of many data planes, the items of a refused import. */
static int open_socket_channel(struct bl_client *client, struct bl_error_detail *detail)
{
    char authority_key[] = GRPC_ARG_DEFAULT_AUTHORITY;
    char authority[] = "localhost";
    char receive_key[] = GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH;
    char send_key[] = GRPC_ARG_MAX_SEND_MESSAGE_LENGTH;
    grpc_arg arguments[] = {
        {.type = GRPC_ARG_STRING, .key = authority_key, .value.string = authority},
        {.type = GRPC_ARG_INTEGER, .key = receive_key, .value.integer = BL_CLIENT_MESSAGE_BYTES_MAX},
        {.type = GRPC_ARG_INTEGER, .key = send_key, .value.integer = BL_CLIENT_MESSAGE_BYTES_MAX},
    };
    const grpc_channel_args list = {.num_args = sizeof(arguments) / sizeof(arguments[0]), .args = arguments};
    grpc_channel_credentials *credentials;
    int fd = connect_socket(&client->address, detail);

    if (fd < 0)
        return fd;
    credentials = grpc_insecure_credentials_create();
    /* Takes fd, also when it fails. */
    client->channel = grpc_channel_create_from_fd("controlplane", fd, credentials, &list);
    grpc_channel_credentials_release(credentials);
    if (client->channel == NULL)
        return bl_error_set(detail, BL_ECLOSED, "gRPC makes no channel on %s", client->address.sun_path);
    return BL_OK;
}

static int open_channel(struct bl_client *client, struct bl_error_detail *detail)
{
    return client->host_port != NULL ? open_secure_channel(client, detail) : open_socket_channel(client, detail);
}

static void close_channel(struct bl_client *client)
{
    if (client->channel != NULL)
        grpc_channel_destroy(client->channel);
    client->channel = NULL;
}

/* OpenSSL's version is set before gRPC looks at it. */
static int aim(struct bl_client *client, const struct bl_client_target *target, struct bl_error_detail *detail)
{
    const struct bl_certificates_files files = {target->certificate_file, target->key_file, target->ca_file, ""};
    int error;

    if (target->connect == NULL) {
        size_t length = strlen(target->path);

        if (length == 0 || length >= sizeof(client->address.sun_path))
            return bl_error_set(detail, BL_EINVAL, "socket '%.120s': expected a path of 1..%zu bytes", target->path,
                                sizeof(client->address.sun_path) - 1);
        client->address.sun_family = AF_UNIX;
        memcpy(client->address.sun_path, target->path, length + 1);
        return BL_OK;
    }
    client->host_port = strdup(target->connect);
    if (client->host_port == NULL)
        return bl_error_set(detail, BL_ENOMEM, "out of memory");
    error = bl_certificates_require_tls13(detail);
    return error == BL_OK ? bl_certificates_load(&client->certificates, &files, detail) : error;
}

static void free_client(struct bl_client *client)
{
    bl_certificates_free(client->certificates);
    free(client->host_port);
    free(client);
}

int bl_client_open(struct bl_client **out, const struct bl_client_target *target, struct bl_error_detail *detail)
{
    struct bl_client *client = calloc(1, sizeof(*client));
    int error;

    if (client == NULL)
        return bl_error_set(detail, BL_ENOMEM, "out of memory");
    error = aim(client, target, detail);
    if (error != BL_OK) {
        free_client(client);
        return error;
    }
    /* gRPC's own log lines say nothing that our messages don't; who debugs it sets the variable. */
    (void)setenv("GRPC_VERBOSITY", "NONE", 0);
    grpc_init();
    client->queue = grpc_completion_queue_create_for_next(NULL);
    error = open_channel(client, detail);
    if (error != BL_OK) {
        bl_client_close(client);
        return error;
    }
    *out = client;
    return BL_OK;
}

void bl_client_close(struct bl_client *client)
{
    if (client == NULL)
        return;
    /* gRPC wants its queue empty before it goes; no call is under way, so that this ends at once. */
    close_channel(client);
    grpc_completion_queue_shutdown(client->queue);
    while (grpc_completion_queue_next(client->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type !=
           GRPC_QUEUE_SHUTDOWN)
        ;
    grpc_completion_queue_destroy(client->queue);
    grpc_shutdown();
    free_client(client);
}

/* What a server's status means here. OK and UNKNOWN statuses of later gRPC versions fall to the default. */
static int error_of_status(grpc_status_code status)
{
    switch (status) {
    case GRPC_STATUS_OK:
        return BL_OK;
    case GRPC_STATUS_UNAVAILABLE:
    case GRPC_STATUS_CANCELLED:
        return BL_ECLOSED;
    case GRPC_STATUS_DEADLINE_EXCEEDED:
        return BL_EAGAIN;
    case GRPC_STATUS_UNIMPLEMENTED:
        return BL_EVERSION;
    case GRPC_STATUS_PERMISSION_DENIED:
    case GRPC_STATUS_UNAUTHENTICATED:
        return BL_EPERM;
    case GRPC_STATUS_INVALID_ARGUMENT:
        return BL_EINVAL;
    case GRPC_STATUS_OUT_OF_RANGE:
        return BL_ERANGE;
    case GRPC_STATUS_NOT_FOUND:
        return BL_ENOENT;
    case GRPC_STATUS_ALREADY_EXISTS:
        return BL_EEXIST;
    case GRPC_STATUS_ABORTED:
    case GRPC_STATUS_FAILED_PRECONDITION:
        return BL_ECONFLICT;
    case GRPC_STATUS_RESOURCE_EXHAUSTED:
        return BL_EFULL;
    default:
        return BL_EIO;
    }
}

/* What one call's operations fill in. */
struct answer {
    grpc_metadata_array initial;
    grpc_metadata_array trailing;
    grpc_byte_buffer *message;
    grpc_status_code status;
    grpc_slice status_text;
};

/* Until gRPC says otherwise the status is unknown: a batch that did not start has not succeeded. */
static void answer_init(struct answer *answer)
{
    *answer = (struct answer){.status = GRPC_STATUS_UNKNOWN, .status_text = grpc_empty_slice()};
    grpc_metadata_array_init(&answer->initial);
    grpc_metadata_array_init(&answer->trailing);
}

static void answer_fini(struct answer *answer)
{
    grpc_metadata_array_destroy(&answer->initial);
    grpc_metadata_array_destroy(&answer->trailing);
    grpc_slice_unref(answer->status_text);
    if (answer->message != NULL)
        grpc_byte_buffer_destroy(answer->message);
}

/* Starts all six operations of a unary call at once. */
static bool start_call(grpc_call *call, grpc_byte_buffer *request, struct answer *answer)
{
    grpc_op operations[6] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},
        {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = request},
        {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
        {.op = GRPC_OP_RECV_INITIAL_METADATA, .data.recv_initial_metadata.recv_initial_metadata = &answer->initial},
        {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &answer->message},
        {.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
         .data.recv_status_on_client = {.trailing_metadata = &answer->trailing,
                                        .status = &answer->status,
                                        .status_details = &answer->status_text}},
    };

    return grpc_call_start_batch(call, operations, 6, call, NULL) == GRPC_CALL_OK;
}

/* The call's own deadline ends this, so that the loop has none. */
static void wait_call(struct bl_client *client, const struct bl_client_call *call)
{
    grpc_event event;

    do {
        gpr_timespec next = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(TICK_MS, GPR_TIMESPAN));

        event = grpc_completion_queue_next(client->queue, next, NULL);
        if (event.type == GRPC_QUEUE_TIMEOUT && call->tick != NULL)
            call->tick(call->tick_context);
    } while (event.type == GRPC_QUEUE_TIMEOUT);
}

/* Copies the answer out of gRPC's slices, so that nothing of gRPC leaves this file. */
static int take_message(grpc_byte_buffer *message, uint8_t **response, size_t *response_length)
{
    grpc_byte_buffer_reader reader;
    grpc_slice slice;

    /* A status of OK without a message is a broken server. */
    if (message == NULL || grpc_byte_buffer_reader_init(&reader, message) == 0)
        return BL_EIO;
    slice = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    *response_length = GRPC_SLICE_LENGTH(slice);
    *response = malloc(*response_length == 0 ? 1 : *response_length);
    if (*response != NULL)
        memcpy(*response, GRPC_SLICE_START_PTR(slice), *response_length);
    grpc_slice_unref(slice);
    return *response == NULL ? BL_ENOMEM : BL_OK;
}

static int read_answer(const struct answer *answer, uint8_t **response, size_t *response_length,
                       struct bl_error_detail *detail)
{
    int error = error_of_status(answer->status);

    if (error == BL_OK) {
        error = take_message(answer->message, response, response_length);
        if (error != BL_OK)
            return bl_error_set(detail, error, "the control plane's answer can't be read: %s", bl_error_text(error));
        return BL_OK;
    }
    if (error == BL_EAGAIN)
        return bl_error_set(detail, error,
                            "no answer from the control plane before the deadline: a change may have been recorded");
    return bl_error_set(detail, error, "%.*s", (int)GRPC_SLICE_LENGTH(answer->status_text),
                        (const char *)GRPC_SLICE_START_PTR(answer->status_text));
}

static int call_once(struct bl_client *client, const struct bl_client_call *call, gpr_timespec deadline,
                     uint8_t **response, size_t *response_length, struct bl_error_detail *detail)
{
    /* A copy: after a call that ended early the transport may still hold what it was to write. */
    grpc_slice body = grpc_slice_from_copied_buffer((const char *)call->request, call->request_length);
    grpc_byte_buffer *request = grpc_raw_byte_buffer_create(&body, 1);
    grpc_call *rpc = grpc_channel_create_call(client->channel, NULL, GRPC_PROPAGATE_DEFAULTS, client->queue,
                                              grpc_slice_from_static_string(call->method), NULL, deadline, NULL);
    struct answer answer;
    int error;

    answer_init(&answer);
    if (start_call(rpc, request, &answer)) {
        wait_call(client, call);
        error = read_answer(&answer, response, response_length, detail);
    } else {
        error = bl_error_set(detail, BL_EIO, "gRPC refuses to start the call");
    }
    grpc_call_unref(rpc);
    answer_fini(&answer);
    grpc_byte_buffer_destroy(request);
    grpc_slice_unref(body);
    return error;
}

/* The control plane may be on its way back: waits for its socket until the deadline. */
static int reopen_channel(struct bl_client *client, const struct bl_client_call *call, gpr_timespec deadline)
{
    const struct timespec pause = {.tv_nsec = TICK_MS * 1000000L};

    close_channel(client);
    while (open_channel(client, NULL) != BL_OK) {
        if (gpr_time_cmp(gpr_now(GPR_CLOCK_MONOTONIC), deadline) >= 0)
            return BL_ECLOSED;
        if (call->tick != NULL)
            call->tick(call->tick_context);
        (void)nanosleep(&pause, NULL);
    }
    return BL_OK;
}

int bl_client_call(struct bl_client *client, const struct bl_client_call *call, uint8_t **response,
                   size_t *response_length, struct bl_error_detail *detail)
{
    gpr_timespec deadline = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                         gpr_time_from_millis((int64_t)call->deadline_ms + GRACE_MS, GPR_TIMESPAN));
    struct bl_error_detail cause = {""};
    int error;

    if (client->channel == NULL && open_channel(client, detail) != BL_OK)
        return BL_ECLOSED;
    error = call_once(client, call, deadline, response, response_length, &cause);
    if (error == BL_ECLOSED) {
        if (reopen_channel(client, call, deadline) != BL_OK)
            return bl_error_set(detail, BL_ECLOSED,
                                "the connection to %s was lost and the control plane did not come back before the "
                                "deadline: a change may have been recorded",
                                place_of(client));
        error = call_once(client, call, deadline, response, response_length, &cause);
    }
    /* Twice in a row is no accident of the connection: its own words count. */
    if (error == BL_ECLOSED)
        return bl_error_set(detail, error, "the control plane at %s does not serve this: %.160s", place_of(client),
                            cause.text);
    if (error != BL_OK && detail != NULL)
        *detail = cause;
    return error;
}

/* A stream in progress: how many events of the queue are still due, and whether the next answer was asked for. */
struct streaming {
    grpc_call *call;
    struct answer answer;
    unsigned n_due;
    bool asked;
};

/* Tags of a stream's events. */
static char start_tag;
static char message_tag;

static bool begin_stream(struct streaming *streaming, grpc_byte_buffer *request)
{
    struct answer *answer = &streaming->answer;
    grpc_op operations[5] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},
        {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = request},
        {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
        {.op = GRPC_OP_RECV_INITIAL_METADATA, .data.recv_initial_metadata.recv_initial_metadata = &answer->initial},
    };
    grpc_op status = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
                      .data.recv_status_on_client = {.trailing_metadata = &answer->trailing,
                                                     .status = &answer->status,
                                                     .status_details = &answer->status_text}};

    if (grpc_call_start_batch(streaming->call, operations, 4, &start_tag, NULL) != GRPC_CALL_OK)
        return false;
    streaming->n_due++;
    if (grpc_call_start_batch(streaming->call, &status, 1, &start_tag, NULL) != GRPC_CALL_OK)
        return false;
    streaming->n_due++;
    return true;
}

static void ask_message(struct streaming *streaming)
{
    grpc_op operation = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &streaming->answer.message};

    if (grpc_call_start_batch(streaming->call, &operation, 1, &message_tag, NULL) == GRPC_CALL_OK) {
        streaming->n_due++;
        streaming->asked = true;
    }
}

/* An answer, or the end of them. */
static int take_answer(struct streaming *streaming, const struct bl_client_stream *stream,
                       struct bl_error_detail *detail)
{
    uint8_t *data;
    size_t length;
    int error;

    streaming->asked = false;
    if (streaming->answer.message == NULL)
        return BL_OK;
    error = take_message(streaming->answer.message, &data, &length);
    grpc_byte_buffer_destroy(streaming->answer.message);
    streaming->answer.message = NULL;
    if (error != BL_OK)
        return bl_error_set(detail, error, "the control plane's answer can't be read: %s", bl_error_text(error));
    error = stream->take(stream->context, data, length, detail);
    free(data);
    if (error == BL_OK)
        ask_message(streaming);
    return error;
}

/* All events are waited for, also behind a cancellation: they point into our memory. */
static int run_stream(struct bl_client *client, struct streaming *streaming, const struct bl_client_stream *stream,
                      bool *is_over, struct bl_error_detail *detail)
{
    int error = BL_OK;

    ask_message(streaming);
    while (streaming->n_due != 0) {
        gpr_timespec next = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(TICK_MS, GPR_TIMESPAN));
        grpc_event event = grpc_completion_queue_next(client->queue, next, NULL);

        if (event.type == GRPC_OP_COMPLETE)
            streaming->n_due--;
        if (event.type == GRPC_OP_COMPLETE && event.tag == &message_tag && error == BL_OK && !*is_over)
            error = take_answer(streaming, stream, detail);
        if (error == BL_OK && !*is_over && stream->is_over(stream->context))
            *is_over = true;
        if (error != BL_OK || *is_over)
            (void)grpc_call_cancel(streaming->call, NULL);
    }
    return error;
}

int bl_client_stream(struct bl_client *client, const struct bl_client_stream *stream, struct bl_error_detail *detail)
{
    grpc_slice body = grpc_slice_from_copied_buffer((const char *)stream->request, stream->request_length);
    grpc_byte_buffer *request = grpc_raw_byte_buffer_create(&body, 1);
    struct streaming streaming = {.n_due = 0};
    bool is_over = false;
    int error;

    answer_init(&streaming.answer);
    streaming.call = grpc_channel_create_call(client->channel, NULL, GRPC_PROPAGATE_DEFAULTS, client->queue,
                                              grpc_slice_from_static_string(stream->method), NULL,
                                              gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    if (!begin_stream(&streaming, request))
        (void)grpc_call_cancel(streaming.call, NULL);
    error = run_stream(client, &streaming, stream, &is_over, detail);
    if (error == BL_OK && !is_over && streaming.answer.status != GRPC_STATUS_OK)
        error = bl_error_set(detail, error_of_status(streaming.answer.status), "%.*s",
                             (int)GRPC_SLICE_LENGTH(streaming.answer.status_text),
                             (const char *)GRPC_SLICE_START_PTR(streaming.answer.status_text));
    grpc_call_unref(streaming.call);
    answer_fini(&streaming.answer);
    grpc_byte_buffer_destroy(request);
    grpc_slice_unref(body);
    return error;
}
