/* PostgreSQL: one transaction a batch, which is on disk before it is answered; see sink.h. Two clients: COPY, the fastest
 * way in, and one prepared INSERT of an array. */
#include "sink.h"

#include <glob.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libpq-fe.h>

#define USER "postgres"

enum { LINE_BYTES = 64, BATCH_MAX = 1000 };

struct client {
    PGconn *connection;
    char *text; /* a batch as lines, or as an array */
};

/* Debian keeps the server's programs by version: the newest. @return false: none is there. */
static bool find_program(const char *name, char path[SINK_PATH_MAX])
{
    char pattern[SINK_PATH_MAX];
    glob_t found;

    (void)snprintf(pattern, sizeof(pattern), "/usr/lib/postgresql/*/bin/%s", name);
    if (glob(pattern, 0, NULL, &found) != 0)
        return false;
    (void)snprintf(path, SINK_PATH_MAX, "%s", found.gl_pathv[found.gl_pathc - 1]);
    globfree(&found);
    return true;
}

static bool find(void)
{
    char path[SINK_PATH_MAX];

    return find_program("initdb", path) && find_program("postgres", path);
}

static int give_away(struct sink *sink)
{
    const struct passwd *entry = getpwnam(USER);

    if (entry != NULL && chown(sink->directory, entry->pw_uid, entry->pw_gid) == 0)
        return 0;
    (void)snprintf(sink->why, sizeof(sink->why), "user " USER ": expected to exist and to be given %s",
                   sink->directory);
    return -1;
}

static PGconn *open_connection(const struct sink *sink)
{
    char text[2 * SINK_PATH_MAX];

    (void)snprintf(text, sizeof(text), "host=%s user=" USER " dbname=postgres", sink->directory);
    return PQconnectdb(text);
}

static int is_ready(const struct sink *sink)
{
    PGconn *connection = open_connection(sink);
    int ready = PQstatus(connection) == CONNECTION_OK;

    PQfinish(connection);
    return ready;
}

/* @return 0 when the server did what @p result says, which is taken. */
static int check(PGresult *result, ExecStatusType expected)
{
    int failed = PQresultStatus(result) != expected;

    if (failed)
        (void)fprintf(stderr, "postgres: %s\n", PQresultErrorMessage(result));
    PQclear(result);
    return failed ? -1 : 0;
}

static int make_table(struct sink *sink)
{
    PGconn *connection = open_connection(sink);
    int failed = check(PQexec(connection, "CREATE TABLE entry (prefix inet PRIMARY KEY, code smallint, source text, "
                                          "observed_at bigint)"),
                       PGRES_COMMAND_OK);

    PQfinish(connection);
    return failed;
}

static int start(struct sink *sink)
{
    char initdb[SINK_PATH_MAX];
    char postgres[SINK_PATH_MAX];
    const char *const make[] = {initdb, "-D", "data", "-A", "trust", "-U", USER, "--no-sync", NULL};
    const char *const serve[] = {postgres,
                                 "-D",
                                 "data",
                                 "-k",
                                 sink->directory,
                                 "-c",
                                 "listen_addresses=",
                                 "-c",
                                 "synchronous_commit=on",
                                 "-c",
                                 "fsync=on",
                                 "-c",
                                 "shared_buffers=256MB",
                                 "-c",
                                 "max_connections=100",
                                 "-c",
                                 "wal_level=minimal",
                                 "-c",
                                 "max_wal_senders=0",
                                 "-c",
                                 "max_wal_size=8GB",
                                 "-c",
                                 "autovacuum=off",
                                 NULL};

    if (!find_program("initdb", initdb) || !find_program("postgres", postgres) || give_away(sink) != 0 ||
        sink_run(sink, USER, make) != 0)
        return -1;
    sink->pid = sink_spawn(sink, USER, serve);
    return sink->pid < 0 || sink_await(sink, sink->pid, is_ready) != 0 ? -1 : make_table(sink);
}

static void disconnect(void *memory)
{
    struct client *client = memory;

    PQfinish(client->connection);
    free(client->text);
    free(client);
}

static int connect_postgres(const struct sink *sink, void **out)
{
    struct client *client = calloc(1, sizeof(*client));

    if (client == NULL)
        return -1;
    client->connection = open_connection(sink);
    client->text = malloc((size_t)LINE_BYTES * BATCH_MAX + 4);
    if (client->text == NULL || PQstatus(client->connection) != CONNECTION_OK ||
        check(
            PQprepare(client->connection, "insert",
                      "INSERT INTO entry SELECT prefix, 607, 'bench', 1764000000000 FROM unnest($1::inet[]) AS prefix",
                      1, NULL),
            PGRES_COMMAND_OK) != 0) {
        disconnect(client);
        return -1;
    }
    *out = client;
    return 0;
}

static int send_copy(void *memory, uint32_t first, uint32_t n)
{
    struct client *client = memory;
    int length = 0;

    for (uint32_t i = 0; i < n; i++) {
        length += sink_format(first + i, client->text + length);
        length += snprintf(client->text + length, LINE_BYTES - 16, "\t607\tbench\t1764000000000\n");
    }
    if (check(PQexec(client->connection, "COPY entry FROM STDIN"), PGRES_COPY_IN) != 0 ||
        PQputCopyData(client->connection, client->text, length) != 1 || PQputCopyEnd(client->connection, NULL) != 1 ||
        check(PQgetResult(client->connection), PGRES_COMMAND_OK) != 0)
        return -1;
    return PQgetResult(client->connection) == NULL ? 0 : -1;
}

static int send_insert(void *memory, uint32_t first, uint32_t n)
{
    struct client *client = memory;
    const char *values[1] = {client->text};
    int length = 0;

    for (uint32_t i = 0; i < n; i++) {
        client->text[length++] = i == 0 ? '{' : ',';
        length += sink_format(first + i, client->text + length);
    }
    memcpy(client->text + length, "}", 2);
    return check(PQexecPrepared(client->connection, "insert", 1, values, NULL, NULL, 0), PGRES_COMMAND_OK);
}

const struct sink_kind sink_copy = {
    "postgres COPY", "synchronous_commit on, one COPY a batch", find, start, connect_postgres, send_copy, disconnect};
const struct sink_kind sink_insert = {"postgres INSERT",
                                      "synchronous_commit on, one prepared INSERT of an array a batch",
                                      find,
                                      start,
                                      connect_postgres,
                                      send_insert,
                                      disconnect};
