/* The real programs, a stream of batches a client (push_client.h), and the command line; see sink_bounceline.h. */
#include "sink_bounceline.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "controlplane/cli/client_codec.h"
#include "push_client.h"

enum { BATCH_MAX = 10000, DEADLINE_MS = 60000, PATH_BYTES = 512 };

struct client {
    struct push_client *stream;
    uint8_t *addresses;
    char session[48];
    uint64_t sequence;
};

static const char settings[] = "controlplane:\n"
                               "  socket: %s/control.sock\n"
                               "  sync_socket: %s/sync.sock\n"
                               "  data_directory: %s/log\n"
                               "  url: https://delist.example.net/?ip={address}\n"
                               "dataplane:\n"
                               "  wan: net_null0,no-rx=1\n"
                               "  lan: net_null1,no-rx=1\n"
                               "  hostname: mx.example.org\n"
                               "  sync_socket: %s/sync.sock\n"
                               "  table_file: %s/table\n"
                               "  workers: 4\n"
                               "  lcores: \"(0-4)@(0,1)\"\n"
                               "  memory_mb: 1024\n";

/* The bench is in perf/ beside the programs. */
static void find_program(const char *name, char path[PATH_BYTES])
{
    ssize_t n = readlink("/proc/self/exe", path, PATH_BYTES - 64);
    char *slash;

    path[n < 0 ? 0 : n] = '\0';
    for (int i = 0; i < 2 && (slash = strrchr(path, '/')) != NULL; i++)
        *slash = '\0';
    (void)snprintf(path + strlen(path), 64, "/%s", name);
}

static int write_settings(struct sink *sink)
{
    const char *at = sink->directory;
    char path[SINK_PATH_MAX + 16];
    FILE *out;

    (void)snprintf(path, sizeof(path), "%s/bounceline.yaml", at);
    out = fopen(path, "w");
    if (out == NULL || fprintf(out, settings, at, at, at, at, at) < 0 || fclose(out) != 0) {
        (void)snprintf(sink->why, sizeof(sink->why), "%s: can't be written", path);
        return -1;
    }
    return 0;
}

static long ready_from;

static int is_ready(const struct sink *sink)
{
    return sink_has_said(sink, "ready: ", ready_from);
}

static int start_program(struct sink *sink, const char *name, pid_t *pid)
{
    char path[PATH_BYTES];
    const char *const argv[] = {path, "--config", "bounceline.yaml", NULL};

    find_program(name, path);
    *pid = sink_spawn(sink, NULL, argv);
    return *pid < 0 ? -1 : 0;
}

static int start(struct sink *sink)
{
    ready_from = sink_said_bytes(sink);
    if (write_settings(sink) != 0 || start_program(sink, "bounceline-controlplane", &sink->pid) != 0)
        return -1;
    return sink_await(sink, sink->pid, is_ready);
}

int sink_bounceline_restart(struct sink *sink, double *seconds)
{
    struct timespec from;
    struct timespec to;
    int failed;

    sink_end(&sink->pid, SIGTERM);
    (void)clock_gettime(CLOCK_MONOTONIC, &from);
    failed = start(sink);
    (void)clock_gettime(CLOCK_MONOTONIC, &to);
    *seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) * 1e-9;
    return failed;
}

static void disconnect(void *memory)
{
    struct client *client = memory;

    if (client->stream != NULL)
        push_client_close(client->stream);
    free(client->addresses);
    free(client);
}

static int connect_bounceline(const struct sink *sink, void **out)
{
    static unsigned n;
    struct client *client = calloc(1, sizeof(*client));
    char path[SINK_PATH_MAX + 16];

    if (client == NULL)
        return -1;
    (void)snprintf(path, sizeof(path), "%s/control.sock", sink->directory);
    (void)snprintf(client->session, sizeof(client->session), "bench-%d-%u", (int)getpid(), n++);
    client->addresses = malloc((size_t)4 * BATCH_MAX);
    client->stream = push_client_open(path);
    if (client->addresses == NULL || client->stream == NULL) {
        disconnect(client);
        return -1;
    }
    *out = client;
    return 0;
}

/* @return 0 when nothing was refused and the level was reached. */
static int check(const struct bl_result *result, enum bl_wait wait, struct bl_error_detail *detail)
{
    if (result->durable && (wait != BL_WAIT_ENFORCED || result->enforced) &&
        result->n_outcomes[BL_OUTCOME_REFUSED] == 0 && result->n_outcomes[BL_OUTCOME_NOT_LISTED] == 0)
        return BL_OK;
    return bl_error_set(detail, BL_EINVAL, "durable %d, enforced %d, refused %" PRIu64 ", not listed %" PRIu64,
                        result->durable, result->enforced, result->n_outcomes[BL_OUTCOME_REFUSED],
                        result->n_outcomes[BL_OUTCOME_NOT_LISTED]);
}

static int apply(struct client *client, struct bl_batch *batch, enum bl_wait wait)
{
    struct bl_error_detail detail = {"the stream is over"};
    struct bl_result result;
    uint8_t *request = NULL;
    uint8_t *answer = NULL;
    size_t length = 0;
    size_t answer_length = 0;
    int error;

    batch->session = client->session;
    batch->sequence = ++client->sequence;
    error = bl_client_codec_encode_batch(batch, wait, DEADLINE_MS, &request, &length, &detail);
    if (error == BL_OK && push_client_send(client->stream, request, length, &answer, &answer_length) != 0)
        error = BL_ECLOSED;
    if (error == BL_OK)
        error = bl_client_codec_decode_result(answer, answer_length, &result, &detail);
    if (error == BL_OK) {
        error = check(&result, wait, &detail);
        bl_client_codec_free_result(&result);
    }
    if (error != BL_OK)
        (void)fprintf(stderr, "bounceline: %s\n", detail.text);
    free(answer);
    return error == BL_OK ? 0 : -1;
}

int sink_bounceline_list(void *memory, uint32_t first, uint32_t n, bool enforced)
{
    struct client *client = memory;
    struct bl_bulk bulk = {.update = {.kind = BL_UPDATE_LIST, .source = "bench", .reason = "", .code = 607},
                           .ipv4_addresses = client->addresses,
                           .n_ipv4 = n};
    struct bl_batch batch = {.force = true, .bulk = &bulk};

    if (n > BATCH_MAX)
        return -1;
    for (uint32_t i = 0; i < n; i++)
        bl_address_from_ip4(sink_address(first + i), client->addresses + (size_t)4 * i);
    return apply(client, &batch, enforced ? BL_WAIT_ENFORCED : BL_WAIT_DURABLE);
}

static int send_durable(void *client, uint32_t first, uint32_t n)
{
    return sink_bounceline_list(client, first, n, false);
}

static int send_enforced(void *client, uint32_t first, uint32_t n)
{
    return sink_bounceline_list(client, first, n, true);
}

int sink_bounceline_delist(void *client, uint32_t i)
{
    char text[16];
    struct bl_update update = {.kind = BL_UPDATE_DELIST, .prefix = text, .source = "", .reason = ""};
    struct bl_batch batch = {.updates = &update, .n_updates = 1};

    (void)sink_format(i, text);
    return apply(client, &batch, BL_WAIT_ENFORCED);
}

/* A data plane is there when an update is enforced: without one no answer says so. */
static int has_dataplane(const struct sink *sink)
{
    static uint32_t i = SINK_ENTRIES - 1;
    void *client;
    int enforced;

    if (!sink_has_said(sink, ": connected (", ready_from) || connect_bounceline(sink, &client) != 0)
        return 0;
    enforced = sink_bounceline_list(client, i--, 1, true) == 0;
    disconnect(client);
    return enforced;
}

static int start_with_dataplane(struct sink *sink)
{
    if (start(sink) != 0 || start_program(sink, "bounceline-dataplane", &sink->beside) != 0)
        return -1;
    return sink_await(sink, sink->beside, has_dataplane);
}

pid_t sink_bounceline_import(struct sink *sink, const char *path, const char *source)
{
    char program[PATH_BYTES];
    const char *const argv[] = {program,  "import", path,     "--socket", "control.sock", "--source", source,
                                "--code", "607",    "--wait", "enforced", "--deadline",   "60s",      NULL};

    find_program("bounceline", program);
    return sink_spawn(sink, NULL, argv);
}

uint64_t sink_bounceline_resident(const struct sink *sink)
{
    char path[32];
    unsigned long size = 0;
    unsigned long pages = 0;
    FILE *statm;

    (void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)sink->pid);
    statm = fopen(path, "r");
    if (statm == NULL)
        return 0;
    if (fscanf(statm, "%lu %lu", &size, &pages) != 2)
        pages = 0;
    (void)fclose(statm);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

const struct sink_kind sink_bounceline = {"bounceline",
                                          "one Push stream a client, a message in columns a batch",
                                          NULL,
                                          start,
                                          connect_bounceline,
                                          send_durable,
                                          disconnect};
const struct sink_kind sink_bounceline_enforced = {"bounceline",
                                                   "the same, each batch until four workers have it",
                                                   NULL,
                                                   start_with_dataplane,
                                                   connect_bounceline,
                                                   send_enforced,
                                                   disconnect};
