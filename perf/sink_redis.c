/* Redis: an append-only file that is synced before each answer; see sink.h. Two clients: a pipeline of SET, as feeds are
 * written, and one MSET a batch, which is the least that Redis can be asked. */
#include "sink.h"

#include <stdlib.h>
#include <unistd.h>

#include <hiredis.h>

#define VALUE "607 bench 1764000000000"

enum { KEY_BYTES = 24, BATCH_MAX = 1000 };

struct client {
    redisContext *redis;
    const char **argv; /* of MSET */
    size_t *lengths;
    char (*keys)[KEY_BYTES];
};

static void path_of(const struct sink *sink, char path[SINK_PATH_MAX + 16])
{
    (void)snprintf(path, SINK_PATH_MAX + 16, "%s/redis.sock", sink->directory);
}

static int is_ready(const struct sink *sink)
{
    char path[SINK_PATH_MAX + 16];

    path_of(sink, path);
    return access(path, F_OK) == 0;
}

static bool find(void)
{
    return sink_is_installed("redis-server");
}

static int start(struct sink *sink)
{
    const char *const argv[] = {"redis-server",
                                "--port",
                                "0",
                                "--unixsocket",
                                "redis.sock",
                                "--appendonly",
                                "yes",
                                "--appendfsync",
                                "always",
                                "--save",
                                "",
                                "--auto-aof-rewrite-percentage",
                                "0",
                                NULL};

    sink->pid = sink_spawn(sink, NULL, argv);
    return sink->pid < 0 ? -1 : sink_await(sink, sink->pid, is_ready);
}

static void disconnect(void *memory)
{
    struct client *client = memory;

    if (client->redis != NULL)
        redisFree(client->redis);
    free(client->argv);
    free(client->lengths);
    free(client->keys);
    free(client);
}

static int connect_redis(const struct sink *sink, void **out)
{
    struct client *client = calloc(1, sizeof(*client));
    char path[SINK_PATH_MAX + 16];

    if (client == NULL)
        return -1;
    path_of(sink, path);
    client->redis = redisConnectUnix(path);
    client->argv = calloc(2 * BATCH_MAX + 1, sizeof(*client->argv));
    client->lengths = calloc(2 * BATCH_MAX + 1, sizeof(*client->lengths));
    client->keys = calloc(BATCH_MAX, sizeof(*client->keys));
    if (client->redis == NULL || client->redis->err != 0 || client->argv == NULL || client->lengths == NULL ||
        client->keys == NULL) {
        disconnect(client);
        return -1;
    }
    *out = client;
    return 0;
}

/* @return 0 when the next answer is no error. */
static int take_answer(struct client *client)
{
    redisReply *reply = NULL;
    int failed =
        redisGetReply(client->redis, (void **)&reply) != REDIS_OK || reply == NULL || reply->type == REDIS_REPLY_ERROR;

    if (reply != NULL)
        freeReplyObject(reply);
    return failed ? -1 : 0;
}

static int send_pipeline(void *memory, uint32_t first, uint32_t n)
{
    struct client *client = memory;
    const char *argv[3] = {"SET", client->keys[0], VALUE};
    size_t lengths[3] = {3, 0, sizeof(VALUE) - 1};
    int failed = 0;

    for (uint32_t i = 0; i < n; i++) {
        lengths[1] = (size_t)sink_format(first + i, client->keys[0]);
        if (redisAppendCommandArgv(client->redis, 3, argv, lengths) != REDIS_OK)
            return -1;
    }
    for (uint32_t i = 0; i < n; i++)
        failed |= take_answer(client);
    return failed;
}

static int send_mset(void *memory, uint32_t first, uint32_t n)
{
    struct client *client = memory;

    client->argv[0] = "MSET";
    client->lengths[0] = 4;
    for (uint32_t i = 0; i < n; i++) {
        client->lengths[2 * i + 1] = (size_t)sink_format(first + i, client->keys[i]);
        client->argv[2 * i + 1] = client->keys[i];
        client->lengths[2 * i + 2] = sizeof(VALUE) - 1;
        client->argv[2 * i + 2] = VALUE;
    }
    if (redisAppendCommandArgv(client->redis, (int)(2 * n + 1), client->argv, client->lengths) != REDIS_OK)
        return -1;
    return take_answer(client);
}

const struct sink_kind sink_redis = {
    "redis", "appendfsync always, a pipeline of SET a batch", find, start, connect_redis, send_pipeline, disconnect};
const struct sink_kind sink_redis_mset = {
    "redis MSET", "appendfsync always, one MSET a batch", find, start, connect_redis, send_mset, disconnect};
