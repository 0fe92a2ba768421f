/* See server.h. */
#include "controlplane/portal/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "controlplane/listen.h"
#include "controlplane/portal/form.h"
#include "controlplane/portal/patience.h"

enum {
    TIMEOUT_S = 10,
    PART_MS = 10000,
    THREADS = 4,
    CONNECTIONS_MAX = 4096,
    CONNECTION_BYTES = 32 << 10,
    FORWARDED_MAX = 1024
};

struct bl_server {
    struct MHD_Daemon *daemon;
    struct bl_site *site;
    struct bl_patience *patience;
};

/* One request on its way in. */
struct intake {
    char target[2048];
    char body[BL_FORM_BYTES_MAX];
    size_t length;
    bool judged;
    unsigned refusal; /* a status, or 0 */
};

static bool covered(const struct bl_settings_portal *settings, const struct bl_address *address)
{
    struct bl_prefix host = bl_address_host_prefix(address);

    for (uint32_t i = 0; i < settings->n_trusted_proxies; i++) {
        if (bl_address_prefix_covers(&settings->trusted_proxies[i], &host))
            return true;
    }
    return false;
}

/* From the right: each proxy adds whom it saw, and what stands left of the first stranger is the stranger's own word. */
struct bl_address bl_server_find_client(const struct bl_settings_portal *settings, const struct bl_address *peer,
                                        const char *forwarded)
{
    struct bl_address client = *peer;
    size_t end = forwarded == NULL ? 0 : strnlen(forwarded, FORWARDED_MAX);

    while (end > 0 && (client.family == BL_FAMILY_NONE || covered(settings, &client))) {
        char text[BL_ADDRESS_TEXT_MAX];
        size_t begin = end;
        size_t length;

        while (begin > 0 && forwarded[begin - 1] != ',')
            begin--;
        length = end - begin;
        end = begin == 0 ? 0 : begin - 1;
        while (length > 0 && forwarded[begin] == ' ') {
            begin++;
            length--;
        }
        while (length > 0 && forwarded[begin + length - 1] == ' ')
            length--;
        if (length >= sizeof(text))
            break;
        memcpy(text, forwarded + begin, length);
        text[length] = '\0';
        if (bl_address_parse(text, &client, NULL) != BL_OK)
            break;
    }
    return client;
}

static struct bl_address find_peer(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct bl_address address = {.family = BL_FAMILY_NONE};

    if (info != NULL && info->client_addr != NULL && info->client_addr->sa_family == AF_INET) {
        address.family = BL_FAMILY_IPV4;
        memcpy(address.bytes, (const char *)info->client_addr + offsetof(struct sockaddr_in, sin_addr), 4);
    } else if (info != NULL && info->client_addr != NULL && info->client_addr->sa_family == AF_INET6) {
        char text[INET6_ADDRSTRLEN] = "";

        /* By way of text, which makes an IPv4 address of a mapped one. */
        (void)inet_ntop(AF_INET6, (const char *)info->client_addr + offsetof(struct sockaddr_in6, sin6_addr), text,
                        sizeof(text));
        (void)bl_address_parse(text, &address, NULL);
    }
    return address;
}

/* Header names and counts that matter. */
struct header_count {
    unsigned n_content_length;
    unsigned n_forwarded;
    bool bad;
    bool chunked;
};

static enum MHD_Result count_header(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct header_count *count = context;

    (void)kind;
    (void)value;
    if (name[strcspn(name, " \t")] != '\0')
        count->bad = true;
    count->n_content_length += strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0;
    count->n_forwarded += strcasecmp(name, "X-Forwarded-For") == 0;
    count->chunked = count->chunked || strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0;
    return MHD_YES;
}

/* A form of another site's that is sent here by its visitor's browser, which says so. There is no cookie for SameSite to
 * keep from it: this, the form's token and the link's are what it would need. */
static bool is_cross_site(struct MHD_Connection *connection)
{
    const char *site = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Sec-Fetch-Site");

    return site != NULL && (strcmp(site, "cross-site") == 0 || strcmp(site, "same-site") == 0);
}

/* @return the status that refuses the request for its headers, or 0. */
static unsigned judge(struct MHD_Connection *connection, const char *method, const struct intake *intake)
{
    const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    const char *type = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_TYPE);
    static const char form_type[] = "application/x-www-form-urlencoded";
    struct header_count count = {0};
    bool post = strcmp(method, MHD_HTTP_METHOD_POST) == 0;

    (void)MHD_get_connection_values(connection, MHD_HEADER_KIND, count_header, &count);
    if (count.bad || count.chunked || count.n_content_length > 1 || count.n_forwarded > 1 || intake->target[0] == '\0')
        return MHD_HTTP_BAD_REQUEST;
    if (!post && strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return MHD_HTTP_METHOD_NOT_ALLOWED;
    if (length != NULL && (length[0] == '\0' || strspn(length, "0123456789") != strlen(length)))
        return MHD_HTTP_BAD_REQUEST;
    if (post && length == NULL)
        return MHD_HTTP_LENGTH_REQUIRED;
    if (length != NULL && (strlen(length) > 9 || atol(length) > (post ? BL_FORM_BYTES_MAX : 0)))
        return MHD_HTTP_CONTENT_TOO_LARGE;
    if (post && (type == NULL || strncasecmp(type, form_type, sizeof(form_type) - 1) != 0))
        return MHD_HTTP_UNSUPPORTED_MEDIA_TYPE;
    return post && is_cross_site(connection) ? MHD_HTTP_FORBIDDEN : 0;
}

static void add_headers(struct MHD_Response *response, const struct bl_answer *answer)
{
    static const char *const headers[][2] = {
        {"Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; "
                                    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"},
        {"Referrer-Policy", "no-referrer"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Permissions-Policy", "geolocation=(), camera=(), microphone=()"},
        {"X-Robots-Tag", "noindex"},
        {"Vary", "Accept-Language"},
    };

    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        (void)MHD_add_response_header(response, headers[i][0], headers[i][1]);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL,
                                  answer->cacheable ? "public, max-age=3600" : "no-store");
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->type);
    if (answer->location[0] != '\0')
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_LOCATION, answer->location);
    if (answer->status == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD, POST");
}

/* Takes the answer's body. */
static enum MHD_Result put_answer(struct MHD_Connection *connection, struct bl_answer *answer, bool closes)
{
    struct MHD_Response *response =
        answer->body == NULL ? MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT)
                             : MHD_create_response_from_buffer(answer->length, answer->body, MHD_RESPMEM_MUST_FREE);
    enum MHD_Result result;

    if (response == NULL) {
        free(answer->body);
        return MHD_NO;
    }
    add_headers(response, answer);
    if (closes)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    result = MHD_queue_response(connection, answer->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result refuse(struct bl_server *server, struct MHD_Connection *connection, unsigned status)
{
    struct bl_answer answer;

    bl_site_refuse(server->site, status, &answer);
    return put_answer(connection, &answer, true);
}

static struct bl_patience_guest *guest_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info == NULL ? NULL : info->socket_context;
}

/* libmicrohttpd calls this with the headers, then for each part of the body, then to be answered. */
static enum MHD_Result take(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                            const char *version, const char *data, size_t *length, void **connection_context)
{
    struct bl_server *server = context;
    struct intake *intake = *connection_context;
    struct bl_visit visit;
    struct bl_answer answer;
    struct bl_address peer = find_peer(connection);

    (void)url;
    (void)version;
    if (intake == NULL)
        return MHD_NO;
    if (!intake->judged) {
        intake->judged = true;
        intake->refusal = judge(connection, method, intake);
        bl_patience_restart(server->patience, guest_of(connection));
        return intake->refusal == 0 ? MHD_YES : refuse(server, connection, intake->refusal);
    }
    if (*length > 0) {
        if (*length > sizeof(intake->body) - intake->length)
            return MHD_NO;
        memcpy(intake->body + intake->length, data, *length);
        intake->length += *length;
        *length = 0;
        return MHD_YES;
    }
    bl_patience_rest(server->patience, guest_of(connection));
    visit = (struct bl_visit){
        .post = strcmp(method, MHD_HTTP_METHOD_POST) == 0,
        .target = intake->target,
        .body = intake->body,
        .body_length = intake->length,
        .accept_language = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT_LANGUAGE),
        .client = bl_server_find_client(&server->site->settings->portal, &peer,
                                        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "X-Forwarded-For")),
    };
    bl_site_answer(server->site, &visit, &answer);
    return put_answer(connection, &answer, false);
}

/* The only place that sees the target as it came. One that is too long stays empty, and is refused. */
static void *begin(void *context, const char *target, struct MHD_Connection *connection)
{
    struct intake *intake = calloc(1, sizeof(*intake));

    (void)context;
    (void)connection;
    if (intake == NULL)
        return NULL;
    if (strlen(target) < sizeof(intake->target))
        memcpy(intake->target, target, strlen(target) + 1);
    return intake;
}

static void complete(void *context, struct MHD_Connection *connection, void **connection_context,
                     enum MHD_RequestTerminationCode code)
{
    struct bl_server *server = context;

    (void)code;
    bl_patience_restart(server->patience, guest_of(connection));
    free(*connection_context);
    *connection_context = NULL;
}

/* The library calls this before it closes the socket, too. */
static void notice_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                              enum MHD_ConnectionNotificationCode code)
{
    struct bl_server *server = context;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

    if (code == MHD_CONNECTION_NOTIFY_STARTED && info != NULL) {
        *socket_context = bl_patience_admit(server->patience, info->connect_fd);
    } else if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        bl_patience_leave(server->patience, *socket_context);
        *socket_context = NULL;
    }
}

int bl_server_listen(const char *setting, const char *listen, struct bl_error_detail *detail)
{
    if (strncmp(listen, "unix:", 5) == 0)
        return bl_listen_open(listen + 5, 0660, detail);
    return bl_listen_open_endpoint(setting, listen, detail);
}

int bl_server_create(struct bl_server **out, struct bl_site *site, int listening, struct bl_error_detail *detail)
{
    struct bl_server *server = calloc(1, sizeof(*server));

    if (server == NULL)
        return BL_ENOMEM;
    server->site = site;
    server->patience = bl_patience_create(PART_MS);
    if (server->patience == NULL) {
        free(server);
        return BL_ENOMEM;
    }
    server->daemon =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, take, server, MHD_OPTION_LISTEN_SOCKET,
                         listening, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS, MHD_OPTION_CONNECTION_LIMIT,
                         (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S,
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_STRICT_FOR_CLIENT, 1,
                         MHD_OPTION_URI_LOG_CALLBACK, begin, NULL, MHD_OPTION_NOTIFY_COMPLETED, complete, server,
                         MHD_OPTION_NOTIFY_CONNECTION, notice_connection, server, MHD_OPTION_END);
    if (server->daemon == NULL) {
        bl_patience_free(server->patience);
        free(server);
        return bl_error_set(detail, BL_EIO, "libmicrohttpd does not start: %s", strerror(errno));
    }
    *out = server;
    return BL_OK;
}

void bl_server_tend(struct bl_server *server)
{
    (void)bl_patience_check(server->patience);
}

void bl_server_free(struct bl_server *server)
{
    MHD_stop_daemon(server->daemon);
    bl_patience_free(server->patience);
    free(server);
}
