/* See operator.h. */
#include "controlplane/portal/operator.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <microhttpd.h>

#include "controlplane/clock.h"
#include "controlplane/portal/files.h"
#include "controlplane/portal/overview_text.h"

enum { CONNECTIONS_MAX = 16, TIMEOUT_S = 10, CONNECTION_BYTES = 16 << 10, KEEP_MS = 60000 };

struct bl_operator {
    struct bl_site *site;
    struct bl_overview *overview;
    struct MHD_Daemon *daemon;
    int64_t keep_ms; /* when the tally is kept next */
};

bool bl_operator_host_valid(const char *host)
{
    char text[BL_ADDRESS_TEXT_MAX];
    bool bracketed = host != NULL && host[0] == '[';
    size_t length;
    struct bl_address address;

    if (host == NULL)
        return false;
    host += bracketed;
    length = strcspn(host, bracketed ? "]" : ":");
    if (length == 0 || length >= sizeof(text))
        return false;
    memcpy(text, host, length);
    text[length] = '\0';
    return strcmp(text, "localhost") == 0 || bl_address_parse(text, &address, NULL) == BL_OK;
}

/* What can't be stored is counted the next time. */
static void keep(struct bl_operator *view, int64_t now_ms)
{
    struct bl_tally_entry entries[BL_TALLY_REASONS_MAX];
    size_t n = bl_tally_take(view->site->tally, entries);

    if (bl_overview_keep(view->overview, entries, n, now_ms) == BL_OK)
        return;
    for (size_t i = 0; i < n; i++)
        bl_tally_add_many(view->site->tally, entries[i].reason, entries[i].n);
}

static enum MHD_Result respond(struct MHD_Connection *connection, unsigned status, const char *type, char *text,
                               size_t length)
{
    static const char *const headers[][2] = {
        {"Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; "
                                    "form-action 'none'; frame-ancestors 'none'"},
        {"Referrer-Policy", "no-referrer"},
        {"X-Content-Type-Options", "nosniff"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Cache-Control", "no-store"},
    };
    struct MHD_Response *response = MHD_create_response_from_buffer(length, text, MHD_RESPMEM_MUST_FREE);
    enum MHD_Result result;

    if (response == NULL) {
        free(text);
        return MHD_NO;
    }
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        (void)MHD_add_response_header(response, headers[i][0], headers[i][1]);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status, const char *text)
{
    char *line = strdup(text);

    return line == NULL ? MHD_NO : respond(connection, status, "text/plain; charset=utf-8", line, strlen(line));
}

static enum MHD_Result put_file(struct MHD_Connection *connection, const char *name)
{
    const struct bl_files_file *file = bl_files_find(name);
    char *copy = strdup(file->text);

    return copy == NULL ? MHD_NO : respond(connection, MHD_HTTP_OK, "text/css; charset=utf-8", copy, file->length);
}

static enum MHD_Result put_view(struct bl_operator *view, struct MHD_Connection *connection, bool json)
{
    const struct bl_overview_names names = {&view->site->settings->portal, &view->site->secret};
    struct bl_overview_state *state = malloc(sizeof(*state));
    int64_t now_ms = bl_clock_wall_ms();
    char *text = NULL;
    size_t length = 0;

    if (state == NULL)
        return MHD_NO;
    keep(view, now_ms);
    if (bl_overview_read(view->overview, now_ms, state) == BL_OK)
        text = json ? bl_overview_text_json(state, &names, &length) : bl_overview_text_page(state, &names, &length);
    free(state);
    if (text == NULL)
        return refuse(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "the store can't be read: the portal's log says why\n");
    return respond(connection, MHD_HTTP_OK, json ? "application/json" : "text/html; charset=utf-8", text, length);
}

/* Called with the headers first, and again for a body, which nobody wants: so it is answered at once. */
static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *upload, size_t *n_upload, void **state)
{
    (void)version;
    (void)upload;
    (void)n_upload;
    (void)state;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "expected GET or HEAD\n");
    if (!bl_operator_host_valid(MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST)))
        return refuse(connection, MHD_HTTP_FORBIDDEN, "Host: expected an address or localhost\n");
    if (strcmp(url, "/") == 0 || strcmp(url, "/status.json") == 0)
        return put_view(context, connection, url[1] != '\0');
    if (strcmp(url, "/style.css") == 0 || strcmp(url, "/operator.css") == 0)
        return put_file(connection, url + 1);
    return refuse(connection, MHD_HTTP_NOT_FOUND, "the pages are / and /status.json\n");
}

int bl_operator_create(struct bl_operator **out, struct bl_site *site, const char *store, int listening,
                       struct bl_error_detail *detail)
{
    struct bl_operator *view = calloc(1, sizeof(*view));
    int error;

    if (view == NULL)
        return BL_ENOMEM;
    view->site = site;
    site->tally = bl_tally_create();
    error = site->tally == NULL ? BL_ENOMEM : bl_overview_open(&view->overview, store, detail);
    if (error == BL_OK) {
        view->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, NULL, NULL, handle, view,
                                        MHD_OPTION_LISTEN_SOCKET, listening, MHD_OPTION_CONNECTION_LIMIT,
                                        (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S,
                                        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_END);
        if (view->daemon == NULL)
            error = bl_error_set(detail, BL_EIO, "portal.operator_listen: libmicrohttpd does not start: %s",
                                 strerror(errno));
    }
    if (error != BL_OK) {
        bl_operator_free(view);
        return error;
    }
    *out = view;
    return BL_OK;
}

void bl_operator_tend(struct bl_operator *view)
{
    int64_t now_ms = bl_clock_monotonic_ms();

    if (view == NULL || now_ms < view->keep_ms)
        return;
    view->keep_ms = now_ms + KEEP_MS;
    keep(view, bl_clock_wall_ms());
}

void bl_operator_free(struct bl_operator *view)
{
    if (view == NULL)
        return;
    if (view->daemon != NULL) {
        MHD_stop_daemon(view->daemon);
        keep(view, bl_clock_wall_ms());
    }
    bl_overview_close(view->overview);
    bl_tally_free(view->site->tally);
    view->site->tally = NULL;
    free(view);
}
