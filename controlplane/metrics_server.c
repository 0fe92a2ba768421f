/* libmicrohttpd and the collecting of the numbers; see metrics_server.h. */
#include "controlplane/metrics_server.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bounceline/address.h"
#include "controlplane/clock.h"
#include "controlplane/listen.h"
#include "controlplane/log_sqlite.h"
#include "controlplane/metrics.h"

enum { CONNECTIONS_MAX = 16, TIMEOUT_S = 10, CONNECTION_BYTES = 16 << 10 };

/* What a page is made of; too large for a stack. */
struct page {
    struct bl_codec_dataplane planes[BL_PUBLISH_PLANES_MAX];
    struct bl_metrics_actor actors[BL_SETTINGS_ACTORS_MAX];
    struct bl_ingest_counts ingest;
    struct bl_writer_counts writer;
    struct bl_codec_status status;
};

struct bl_metrics_server {
    struct bl_metrics_parts parts;
    int64_t started_ms;
    struct MHD_Daemon *daemon;
};

/* The file and what SQLite keeps beside it. */
static uint64_t log_bytes(const char *directory)
{
    static const char *const endings[] = {"", "-wal", "-shm"};
    char path[BL_SETTINGS_TEXT_MAX + 64];
    struct stat status;
    uint64_t n = 0;

    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/" BL_LOG_SQLITE_FILE "%s", directory, endings[i]);
        if (stat(path, &status) == 0)
            n += (uint64_t)status.st_size;
    }
    return n;
}

static void fill_status(const struct bl_metrics_server *server, struct page *page)
{
    const struct bl_metrics_parts *parts = &server->parts;
    struct bl_codec_status *status = &page->status;
    struct bl_codec_reached reached;
    int64_t now_ms = bl_clock_monotonic_ms();

    status->uptime_ms = (uint64_t)(now_ms - server->started_ms);
    status->write_fault = bl_writer_fault(parts->writer);
    status->expiry_hold = bl_writer_hold(parts->writer);
    (void)pthread_rwlock_rdlock(&parts->store->lock);
    status->durable_serial = bl_list_state_serial(parts->store->state);
    bl_list_state_count(parts->store->state, &status->counts);
    (void)pthread_rwlock_unlock(&parts->store->lock);
    status->enforced_serial = bl_publish_reached(parts->publish, status->durable_serial, &reached);
    status->dataplanes = page->planes;
    status->n_dataplanes = bl_publish_status(parts->publish, page->planes, now_ms);
}

static int make_page(const struct bl_metrics_server *server, char **text, size_t *length)
{
    const struct bl_metrics_parts *parts = &server->parts;
    const struct bl_settings_controlplane *settings = parts->store->settings;
    struct page *page = calloc(1, sizeof(*page));
    struct bl_metrics metrics = {0};
    int error;

    if (page == NULL)
        return BL_ENOMEM;
    fill_status(server, page);
    bl_writer_count(parts->writer, &page->writer);
    bl_ingest_count(parts->ingest, &page->ingest);
    for (uint32_t i = 0; i < settings->n_actors; i++)
        page->actors[i] = (struct bl_metrics_actor){settings->actors[i].name, bl_limits_refused(parts->limits, i + 1)};
    metrics.status = &page->status;
    metrics.writer = &page->writer;
    metrics.durable = bl_writer_latency(parts->writer);
    metrics.enforced = bl_publish_latency(parts->publish, &metrics.n_unmeasured);
    metrics.log_bytes = log_bytes(settings->data_directory);
    metrics.ingest = &page->ingest;
    metrics.actors = page->actors;
    metrics.n_actors = settings->n_actors;
    error = bl_metrics_write(&metrics, text, length);
    free(page);
    return error;
}

static enum MHD_Result respond(struct MHD_Connection *connection, unsigned status, char *text, size_t length,
                               enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(length, text, mode);
    enum MHD_Result result;

    if (response == NULL) {
        if (mode == MHD_RESPMEM_MUST_FREE)
            free(text);
        return MHD_NO;
    }
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status, const char *text)
{
    char line[128];
    int n = snprintf(line, sizeof(line), "%s\n", text);

    return respond(connection, status, line, (size_t)n, MHD_RESPMEM_MUST_COPY);
}

/* Called with the headers first, and again for the body, which nobody wants: so it is answered at once. */
static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *upload, size_t *n_upload, void **state)
{
    char *text = NULL;
    size_t length = 0;

    (void)version;
    (void)upload;
    (void)n_upload;
    (void)state;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "expected GET or HEAD");
    if (strcmp(url, "/metrics") != 0)
        return refuse(connection, MHD_HTTP_NOT_FOUND, "the page is /metrics");
    if (make_page(context, &text, &length) != BL_OK)
        return refuse(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
    return respond(connection, MHD_HTTP_OK, text, length, MHD_RESPMEM_MUST_FREE);
}

int bl_metrics_server_create(struct bl_metrics_server **out, const struct bl_metrics_parts *parts,
                             struct bl_error_detail *detail)
{
    struct bl_metrics_server *server = calloc(1, sizeof(*server));
    int descriptor;

    if (server == NULL)
        return BL_ENOMEM;
    server->parts = *parts;
    server->started_ms = bl_clock_monotonic_ms();
    descriptor = bl_listen_open_endpoint("controlplane.metrics", parts->store->settings->metrics, detail);
    if (descriptor < 0) {
        free(server);
        return descriptor;
    }
    server->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, NULL, NULL, handle, server,
                                      MHD_OPTION_LISTEN_SOCKET, descriptor, MHD_OPTION_CONNECTION_LIMIT,
                                      (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S,
                                      MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_END);
    if (server->daemon == NULL) {
        (void)close(descriptor);
        free(server);
        return bl_error_set(detail, BL_EIO, "controlplane.metrics: libmicrohttpd does not start");
    }
    *out = server;
    return BL_OK;
}

void bl_metrics_server_free(struct bl_metrics_server *server)
{
    if (server == NULL)
        return;
    MHD_stop_daemon(server->daemon);
    free(server);
}
