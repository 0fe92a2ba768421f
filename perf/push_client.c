/* See push_client.h. One completion queue serves one operation at a time: its next event is that operation's. */
#include "push_client.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>

struct push_client {
    grpc_completion_queue *queue;
    grpc_channel *channel;
    grpc_call *call;
    grpc_metadata_array metadata;
};

static int connect_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (fd < 0)
        return -1;
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

static grpc_channel *open_channel(int fd)
{
    char authority_key[] = GRPC_ARG_DEFAULT_AUTHORITY;
    char authority[] = "localhost";
    grpc_arg argument = {.type = GRPC_ARG_STRING, .key = authority_key, .value.string = authority};
    const grpc_channel_args arguments = {1, &argument};
    grpc_channel_credentials *credentials = grpc_insecure_credentials_create();
    /* Takes fd, also when it fails. */
    grpc_channel *channel = grpc_channel_create_from_fd("controlplane", fd, credentials, &arguments);

    grpc_channel_credentials_release(credentials);
    return channel;
}

/* Runs @p n operations to their end. @return 0 when they were done. */
static int run(struct push_client *client, const grpc_op *operations, size_t n)
{
    grpc_event event;

    if (grpc_call_start_batch(client->call, operations, n, client, NULL) != GRPC_CALL_OK)
        return -1;
    event = grpc_completion_queue_next(client->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    return event.type == GRPC_OP_COMPLETE && event.success != 0 ? 0 : -1;
}

/* No message comes before the server's headers were asked for. */
static int begin(struct push_client *client)
{
    const grpc_op head[2] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},
        {.op = GRPC_OP_RECV_INITIAL_METADATA, .data.recv_initial_metadata.recv_initial_metadata = &client->metadata},
    };

    client->call = grpc_channel_create_call(client->channel, NULL, GRPC_PROPAGATE_DEFAULTS, client->queue,
                                            grpc_slice_from_static_string("/bounceline.v1.ListControl/Push"), NULL,
                                            gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    return run(client, head, 2);
}

struct push_client *push_client_open(const char *path)
{
    struct push_client *client;
    int fd = connect_socket(path);

    if (fd < 0)
        return NULL;
    client = calloc(1, sizeof(*client));
    if (client == NULL)
        abort();
    (void)setenv("GRPC_VERBOSITY", "NONE", 0);
    grpc_init();
    grpc_metadata_array_init(&client->metadata);
    client->queue = grpc_completion_queue_create_for_next(NULL);
    client->channel = open_channel(fd);
    if (client->channel != NULL && begin(client) == 0)
        return client;
    push_client_close(client);
    return NULL;
}

static int take(grpc_byte_buffer *message, uint8_t **answer, size_t *length)
{
    grpc_byte_buffer_reader reader;
    grpc_slice slice;

    if (message == NULL || grpc_byte_buffer_reader_init(&reader, message) == 0)
        return -1;
    slice = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    *length = GRPC_SLICE_LENGTH(slice);
    *answer = malloc(*length + 1);
    if (*answer == NULL)
        abort();
    memcpy(*answer, GRPC_SLICE_START_PTR(slice), *length);
    grpc_slice_unref(slice);
    return 0;
}

int push_client_send(struct push_client *client, uint8_t *request, size_t length, uint8_t **answer,
                     size_t *answer_length)
{
    grpc_slice body = grpc_slice_new(request, length, free);
    grpc_byte_buffer *message = grpc_raw_byte_buffer_create(&body, 1);
    grpc_byte_buffer *received = NULL;
    const grpc_op operations[2] = {
        {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = message},
        {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &received},
    };
    int failed = run(client, operations, 2);

    if (failed == 0)
        failed = take(received, answer, answer_length);
    if (received != NULL)
        grpc_byte_buffer_destroy(received);
    grpc_byte_buffer_destroy(message);
    grpc_slice_unref(body);
    return failed;
}

void push_client_close(struct push_client *client)
{
    if (client->call != NULL) {
        (void)grpc_call_cancel(client->call, NULL);
        grpc_call_unref(client->call);
    }
    if (client->channel != NULL)
        grpc_channel_destroy(client->channel);
    grpc_completion_queue_shutdown(client->queue);
    while (grpc_completion_queue_next(client->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type !=
           GRPC_QUEUE_SHUTDOWN)
        ;
    grpc_completion_queue_destroy(client->queue);
    grpc_metadata_array_destroy(&client->metadata);
    grpc_shutdown();
    free(client);
}
