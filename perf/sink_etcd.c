/* etcd: a server alone, which syncs its log before it answers; see sink.h. The client is ours (controlplane/cli/client.h),
 * which is gRPC's C core; the few messages are written by hand: a Put, or a Txn of Puts, of etcdserverpb. */
#include "sink.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controlplane/cli/client.h"

#define VALUE "607 bench 1764000000000"
#define SOCKET "client.sock:0" /* etcd wants a port in every address, and takes it for a part of the name */

enum { PUT_MAX = 64, BATCH_MAX = 1000, DEADLINE_MS = 60000 };

struct client {
    struct bl_client *client;
    uint8_t *request;
};

static int is_ready(const struct sink *sink)
{
    return sink_has_said(sink, "serving client traffic", 0);
}

static bool find(void)
{
    return sink_is_installed("etcd");
}

static int start(struct sink *sink)
{
    const char *const argv[] = {"etcd",
                                "--data-dir=data",
                                "--listen-client-urls=unix://" SOCKET,
                                "--advertise-client-urls=unix://" SOCKET,
                                "--listen-peer-urls=unix://peer.sock:0",
                                "--initial-advertise-peer-urls=unix://peer.sock:0",
                                "--initial-cluster=default=unix://peer.sock:0",
                                "--max-txn-ops=1000",
                                "--quota-backend-bytes=8589934592",
                                "--logger=zap",
                                "--log-level=info",
                                NULL};

    sink->pid = sink_spawn(sink, NULL, argv);
    return sink->pid < 0 ? -1 : sink_await(sink, sink->pid, is_ready);
}

static void disconnect(void *memory)
{
    struct client *client = memory;

    bl_client_close(client->client);
    free(client->request);
    free(client);
}

static int connect_etcd(const struct sink *sink, void **out)
{
    struct client *client = calloc(1, sizeof(*client));
    char path[SINK_PATH_MAX + 16];
    const struct bl_client_target target = {.path = path};
    struct bl_error_detail detail;

    if (client == NULL)
        return -1;
    (void)snprintf(path, sizeof(path), "%s/" SOCKET, sink->directory);
    client->request = malloc((size_t)PUT_MAX * BATCH_MAX);
    if (client->request == NULL || bl_client_open(&client->client, &target, &detail) != BL_OK) {
        disconnect(client);
        return -1;
    }
    *out = client;
    return 0;
}

/* PutRequest: key = 1, value = 2. All lengths are below 128: one byte each. */
static size_t write_put(uint8_t *at, uint32_t i)
{
    char key[16];
    size_t length = (size_t)sink_format(i, key);
    uint8_t *start = at;

    *at++ = 0x0a;
    *at++ = (uint8_t)length;
    memcpy(at, key, length);
    at += length;
    *at++ = 0x12;
    *at++ = sizeof(VALUE) - 1;
    memcpy(at, VALUE, sizeof(VALUE) - 1);
    return (size_t)(at - start) + sizeof(VALUE) - 1;
}

/* TxnRequest: success = 2, a RequestOp each, with request_put = 2. */
static size_t write_txn(uint8_t *request, uint32_t first, uint32_t n)
{
    size_t length = 0;

    for (uint32_t i = 0; i < n; i++) {
        size_t put = write_put(request + length + 4, first + i);

        request[length] = 0x12;
        request[length + 1] = (uint8_t)(put + 2);
        request[length + 2] = 0x12;
        request[length + 3] = (uint8_t)put;
        length += put + 4;
    }
    return length;
}

static int send_etcd(void *memory, uint32_t first, uint32_t n)
{
    struct client *client = memory;
    struct bl_client_call call = {.method = n == 1 ? "/etcdserverpb.KV/Put" : "/etcdserverpb.KV/Txn",
                                  .request = client->request,
                                  .request_length =
                                      n == 1 ? write_put(client->request, first) : write_txn(client->request, first, n),
                                  .deadline_ms = DEADLINE_MS};
    struct bl_error_detail detail = {""};
    uint8_t *response = NULL;
    size_t length = 0;
    int error = bl_client_call(client->client, &call, &response, &length, &detail);

    if (error != BL_OK)
        (void)fprintf(stderr, "etcd: %s\n", detail.text);
    free(response);
    return error == BL_OK ? 0 : -1;
}

const struct sink_kind sink_etcd = {
    "etcd", "one member, a Put or a Txn of Puts a batch", find, start, connect_etcd, send_etcd, disconnect};
