/* Mutated HTTP requests to the portal's own server, over a socket; each answer judged.
 *
 *   mutate_requests [--count N] [--long-count N] [--seed N]
 *
 * Everything that faces the public is the product's: libmicrohttpd with its settings, form, claim, site, pages, store. The
 * control plane is a socket that is not there, mails wait ten minutes. A connection carries one to three requests, each a
 * right one at first (a form that is filled in and whose token holds, a link that was mailed), then mutated in its bytes:
 * changed, cut, doubled, words of the protocol put in. The client ends its side, so that the server answers what it can
 * and hangs up; where it waits for more, the client leaves after 20 ms, and nothing is judged. Runs under ASan. With BL_LONG in the environment the long count is the count.
 *
 * Ends with a table of the statuses, and fails when an answer was not one of the portal's, or a status was not met often
 * enough to say that mutants get past the first line; at the end the store holds nothing that the form should refuse. */
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <sqlite3.h>

#include "bounceline/error.h"
#include "controlplane/clock.h"
#include "controlplane/notice.h"
#include "controlplane/portal/page.h"
#include "controlplane/portal/server.h"

enum {
    CLIENTS = 12,
    PATIENCE_MS = 20,
    SEEDS = 8,
    REQUEST_MAX = 4096,
    ANSWER_MAX = 1 << 18,
    FIRST_STATUS = 200,
    STATUSES = 400
};

struct fixture {
    struct bl_settings settings;
    struct bl_site site;
    struct bl_server *server;
    char folder[64];
    struct sockaddr_un to;
    char seeds[SEEDS][REQUEST_MAX];
    uint64_t count; /* requests */
    uint64_t seed;
    atomic_uint_fast64_t n_taken;
    atomic_uint_fast64_t n_failures;
    atomic_uint_fast64_t n_unanswered; /* connections: cut short, so that the server waits for the rest */
    atomic_uint_fast64_t n_statuses[STATUSES];
};

struct client {
    struct fixture *fixture;
    pthread_t thread;
    uint64_t random;
    char sent[4 * REQUEST_MAX];
    size_t sent_length;
    char answer[ANSWER_MAX + 1];
};

/* Of each, so many in a million requests there must be. */
static const struct {
    unsigned status;
    unsigned per_million;
} wanted[] = {{200, 20000}, {400, 10000}, {404, 1000},  {405, 100}, {411, 100},
              {413, 10},    {415, 100},   {422, 10000}, {503, 1000}};

static atomic_uint_fast64_t n_notices;

/* In place of the product's: a line for each request that is taken would be a flood. */
void bl_notice_write(const char *format, ...)
{
    (void)format;
    atomic_fetch_add_explicit(&n_notices, 1, memory_order_relaxed);
}

static uint64_t next(struct client *client)
{
    client->random ^= client->random << 13;
    client->random ^= client->random >> 7;
    client->random ^= client->random << 17;
    return client->random;
}

static unsigned below(struct client *client, size_t n)
{
    return (unsigned)((next(client) >> 20) % n);
}

static void check(int error, const char *what, const struct bl_error_detail *detail)
{
    if (error == BL_OK)
        return;
    (void)fprintf(stderr, "%s: %s %s\n", what, bl_error_text(error), detail->text);
    exit(1);
}

/* A link that was mailed a moment ago. */
static void add_link(struct fixture *fixture, char token[BL_SECRET_TOKEN_CHARS + 1])
{
    struct bl_request request = {.email = "bob@example.net", .address = "192.0.2.9", .created_ms = bl_clock_wall_ms()};
    struct bl_requests_entry entry = {.source = "192.0.2.1", .network = "192.0.2.0"};

    request.expires_ms = request.created_ms + 3600 * 1000;
    (void)bl_secret_random(request.nonce, sizeof(request.nonce));
    bl_secret_make_token(&fixture->site.secret, request.nonce, token);
    (void)bl_secret_hash_token(token, entry.token_hash);
    entry.due_ms = request.expires_ms;
    if (bl_requests_admit(fixture->site.requests, &request, &entry) != BL_ADMISSION_ACCEPTED)
        check(BL_EIO, "a request", &(struct bl_error_detail){""});
}

static void make_post(char *out, const char *target, const char *source, const char *body)
{
    (void)snprintf(
        out, REQUEST_MAX,
        "POST %s HTTP/1.1\r\nHost: delist.example.net\r\nX-Forwarded-For: %s\r\nAccept-Language: nl-NL,en;q=0.5\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n\r\n%s",
        target, source, strlen(body), body);
}

static void make_seeds(struct fixture *fixture)
{
    static const char source[] = "203.0.113.1";
    char form[BL_SECRET_FORM_CHARS + 1];
    char token[BL_SECRET_TOKEN_CHARS + 1];
    char body[1024];
    char target[64];

    bl_secret_make_form(&fixture->site.secret, "203.0.113.1/32", bl_clock_wall_ms(), form);
    for (int i = 0; i < 3; i++) {
        static const char *const ips[] = {"192.0.2.7", "550+5.7.606+banned+sending+IP+%5B2001%3Adb8%3A%3A7%5D%3B+To",
                                          "192.0.2.7"};

        (void)snprintf(body, sizeof(body), "form=%s&email=alice%d%%40example.net&ip=%s&lang=%s&t=&work=%d", form, i,
                       ips[i], i == 1 ? "nl" : "en", i);
        make_post(fixture->seeds[i], "/", source, body);
    }
    (void)snprintf(fixture->seeds[3], REQUEST_MAX,
                   "GET /?ip=192.0.2.7&t=abcdefghijkl&lang=nl HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 2001:db8::1, "
                   "192.0.2.1\r\n\r\n");
    (void)snprintf(fixture->seeds[4], REQUEST_MAX, "HEAD /style.css HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    (void)snprintf(fixture->seeds[5], REQUEST_MAX, "PUT /work.js HTTP/1.0\r\nHost: x\r\nContent-Length: 1\r\n\r\n1");
    add_link(fixture, token);
    (void)snprintf(fixture->seeds[6], REQUEST_MAX, "GET /c/%s?lang=en HTTP/1.1\r\nHost: x\r\n\r\n", token);
    (void)snprintf(target, sizeof(target), "/c/%s", token);
    make_post(fixture->seeds[7], target, source, "lang=en");
}

static void set_up(struct fixture *fixture)
{
    struct bl_settings_portal *settings = &fixture->settings.portal;
    struct bl_site *site = &fixture->site;
    struct bl_error_detail detail = {""};
    char path[128];
    char missing[64];
    int listening;

    /* In memory where there is such a folder: a commit waits for the disk. */
    (void)snprintf(fixture->folder, sizeof(fixture->folder), "%s/bounceline-test-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(fixture->folder) == NULL || bl_page_load(missing) != 0)
        check(BL_EIO, fixture->folder, &detail);
    bl_settings_init(&fixture->settings);
    (void)snprintf(settings->base_url, sizeof(settings->base_url), "https://delist.example.net");
    (void)snprintf(settings->contact, sizeof(settings->contact), "postmaster@example.net");
    (void)snprintf(settings->mail_from, sizeof(settings->mail_from), "delist@example.net");
    (void)snprintf(settings->socket, sizeof(settings->socket), "/nonexistent/control.sock");
    settings->delay_s = 600;
    settings->requests_per_source_hour = settings->requests_per_network_hour = 1000000;
    settings->requests_per_hour = 2000; /* then they are one too many */
    site->settings = &fixture->settings;
    (void)snprintf(path, sizeof(path), "%s/key", fixture->folder);
    check(bl_secret_open(&site->secret, path, &detail), path, &detail);
    (void)snprintf(path, sizeof(path), "%s/portal.db", fixture->folder);
    check(bl_requests_open(&site->requests, path, settings, &detail), path, &detail);
    check(bl_control_create(&site->control, settings), "control", &detail);
    check(bl_courier_create(&site->courier, site->requests, &site->secret, settings), "courier", &detail);
    (void)snprintf(settings->listen, sizeof(settings->listen), "unix:%s/socket", fixture->folder);
    listening = bl_server_listen("portal.listen", settings->listen, &detail);
    check(listening < 0 ? listening : BL_OK, settings->listen, &detail);
    check(bl_server_create(&fixture->server, site, listening, &detail), "server", &detail);
    fixture->to.sun_family = AF_UNIX;
    (void)snprintf(fixture->to.sun_path, sizeof(fixture->to.sun_path), "%s", settings->listen + 5);
    make_seeds(fixture);
}

/* Everything the folder has; it has no folders. */
static void tear_down(struct fixture *fixture)
{
    static const char *const names[] = {"key", "portal.db", "portal.db-wal", "portal.db-shm", "socket"};

    bl_server_free(fixture->server);
    bl_courier_free(fixture->site.courier);
    bl_control_free(fixture->site.control);
    bl_requests_close(fixture->site.requests);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/%s", fixture->folder, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(fixture->folder);
}

/* Puts @p length bytes in place of @p n_old at @p at, where there is room for it. */
static void splice(struct client *client, size_t at, size_t n_old, const char *bytes, size_t length)
{
    char copy[64];

    if (length > sizeof(copy) || client->sent_length - n_old + length > sizeof(client->sent))
        return;
    memcpy(copy, bytes, length); /* it may lie in what moves */
    memmove(client->sent + at + length, client->sent + at + n_old, client->sent_length - at - n_old);
    memcpy(client->sent + at, copy, length);
    client->sent_length += length - n_old;
}

static void mutate(struct client *client)
{
    static const char *const words[] = {"\r\n",
                                        "\n",
                                        " ",
                                        ":",
                                        "%00",
                                        "%",
                                        "%0d%0aX-Planted: 1",
                                        "\r\nX-Planted: 1\r\n",
                                        "<script>alert(1)</script>",
                                        "&",
                                        "=",
                                        "\xff",
                                        "{{email}}",
                                        "Content-Length: 5\r\n",
                                        "Content-Length : 5\r\n",
                                        "Transfer-Encoding: chunked\r\n",
                                        "HTTP/1.1",
                                        "X-Forwarded-For: ::1\r\n",
                                        "Expect: 100-continue\r\n",
                                        "Connection: close\r\n",
                                        "%2e%2e/",
                                        "?",
                                        "lang=nl",
                                        "&ip=1",
                                        "+",
                                        ",",
                                        "@",
                                        "[",
                                        "192.0.2.8",
                                        "2001:db8::",
                                        "\r\n\r\n",
                                        "99999999999999999999"};
    size_t at = below(client, client->sent_length);
    size_t rest = client->sent_length - at;
    char byte = (char)next(client);
    const char *word;

    switch (below(client, 6)) {
    case 0:
        client->sent[at] = byte;
        break;
    case 1:
        splice(client, at, 1 + below(client, rest < 20 ? rest : 20), "", 0);
        break;
    case 2:
        splice(client, below(client, client->sent_length), 0, client->sent + at,
               1 + below(client, rest < 60 ? rest : 60));
        break;
    case 3:
        splice(client, at, 1, &byte, 1);
        break;
    default:
        word = words[below(client, sizeof(words) / sizeof(words[0]))];
        splice(client, at, 0, word, strlen(word));
    }
}

/* @return how many requests there are to be sent. */
static unsigned make(struct client *client)
{
    unsigned n = below(client, 4) == 0 ? 1 + below(client, 3) : 1;
    unsigned n_mutations = below(client, 4);

    client->sent_length = 0;
    for (unsigned i = 0; i < n; i++) {
        /* Half are forms; the control plane, which is asked for a link, is not there. */
        const char *seed = client->fixture->seeds[below(client, 2) == 0 ? below(client, 3) : below(client, SEEDS)];

        memcpy(client->sent + client->sent_length, seed, strlen(seed));
        client->sent_length += strlen(seed);
    }
    while (n_mutations-- > 0 && client->sent_length > 0)
        mutate(client);
    return n;
}

/* @return how many bytes came until the server hung up; -1: it did so in the middle of ours, or waits for more. */
static ssize_t exchange(struct client *client)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct pollfd answer = {.fd = fd, .events = POLLIN};
    size_t length = 0;
    ssize_t n = -1;

    if (fd < 0 || connect(fd, (const struct sockaddr *)&client->fixture->to, sizeof(client->fixture->to)) != 0) {
        perror("connect");
        exit(1);
    }
    if (send(fd, client->sent, client->sent_length, MSG_NOSIGNAL) == (ssize_t)client->sent_length &&
        shutdown(fd, SHUT_WR) == 0) {
        do {
            n = poll(&answer, 1, PATIENCE_MS) == 1 ? read(fd, client->answer + length, ANSWER_MAX - length) : -1;
            length += n > 0 ? (size_t)n : 0;
        } while (n > 0);
    }
    (void)close(fd);
    client->answer[length] = '\0';
    return n < 0 ? -1 : (ssize_t)length;
}

/* One answer at *at. @return NULL, or what is wrong with it. */
static const char *judge_one(struct client *client, const char **at, const char *end)
{
    unsigned status = 0;
    const char *body = strstr(*at, "\r\n\r\n");
    const char *field;
    size_t length = 0;

    if (sscanf(*at, "HTTP/1.%*1[01] %3u ", &status) != 1 || status < 100 || status >= FIRST_STATUS + STATUSES ||
        body == NULL)
        return "this is no answer of HTTP";
    body += 4;
    for (const char *line = strchr(*at, '\n') + 1; line < body - 2; line = strchr(line, '\n') + 1) {
        size_t name = strspn(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-");

        if (name == 0 || line[name] != ':' || strncasecmp(line, "X-Planted", 9) == 0)
            return "a header that the portal does not send";
    }
    field = memmem(*at, (size_t)(body - *at), "Content-Length: ", 16);
    if (field != NULL)
        length = (size_t)strtoul(field + 16, NULL, 10);
    /* What answers HEAD has no body: then the next answer, or nothing, stands in its place. */
    if (body == end || strncmp(body, "HTTP/1.", 7) == 0)
        length = 0;
    if (length > (size_t)(end - body))
        return "less than its Content-Length says";
    *at = body + length;
    if (status < FIRST_STATUS)
        return status == 100 ? NULL : "an interim answer that nobody asked for";
    atomic_fetch_add_explicit(&client->fixture->n_statuses[status - FIRST_STATUS], 1, memory_order_relaxed);
    if (status == 500)
        return "500: that is a mistake of ours";
    if (length > 0 && memmem(body, length, "<script>a", 9) != NULL)
        return "a script of the client's in the page";
    return NULL;
}

static void judge(struct client *client, ssize_t length)
{
    const char *at = client->answer;
    const char *end = client->answer + length;
    const char *wrong = NULL;

    if (length == ANSWER_MAX || strlen(client->answer) != (size_t)length)
        wrong = "too long, or with a NUL";
    while (wrong == NULL && at < end)
        wrong = judge_one(client, &at, end);
    if (wrong == NULL || atomic_fetch_add(&client->fixture->n_failures, 1) >= 5)
        return;
    (void)printf("%s\n--- sent\n%.*s\n--- received, at\n%.600s\n", wrong, (int)client->sent_length, client->sent, at);
}

static void *run(void *context)
{
    struct client *client = context;
    struct fixture *fixture = client->fixture;

    while (atomic_load(&fixture->n_taken) < fixture->count) {
        ssize_t length;

        atomic_fetch_add(&fixture->n_taken, make(client));
        if (client->sent_length == 0)
            continue;
        length = exchange(client);
        if (length >= 0)
            judge(client, length);
        else
            atomic_fetch_add(&fixture->n_unanswered, 1);
    }
    return NULL;
}

/* @return how many rows the form should have refused. */
static unsigned judge_store(const struct fixture *fixture)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    char path[128];
    unsigned n = 0;
    unsigned n_wrong = 0;

    (void)snprintf(path, sizeof(path), "%s/portal.db", fixture->folder);
    if (sqlite3_open(path, &db) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "SELECT email, address FROM request", -1, &statement, NULL) != SQLITE_OK) {
        (void)printf("%s: %s\n", path, sqlite3_errmsg(db));
        return 1;
    }
    while (sqlite3_step(statement) == SQLITE_ROW) {
        const char *email = (const char *)sqlite3_column_text(statement, 0);
        const char *text = (const char *)sqlite3_column_text(statement, 1);
        struct bl_address address;
        bool good = strpbrk(email, "\r\n <>\"(),:;[\\]") == NULL && strchr(email, '@') != NULL &&
                    bl_address_parse(text, &address, NULL) == BL_OK;

        n++;
        if (!good)
            (void)printf("stored: %s for %s\n", email, text);
        n_wrong += !good;
    }
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    (void)printf("%u requests stored, %llu notices\n", n, (unsigned long long)atomic_load(&n_notices));
    return n_wrong;
}

static bool report(struct fixture *fixture)
{
    bool good = atomic_load(&fixture->n_failures) == 0;

    (void)printf("%llu requests, seed %llu; on %llu connections the server waited for more\n",
                 (unsigned long long)atomic_load(&fixture->n_taken), (unsigned long long)fixture->seed,
                 (unsigned long long)atomic_load(&fixture->n_unanswered));
    for (unsigned i = 0; i < STATUSES; i++) {
        if (atomic_load(&fixture->n_statuses[i]) > 0)
            (void)printf("  %u: %llu\n", FIRST_STATUS + i, (unsigned long long)atomic_load(&fixture->n_statuses[i]));
    }
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        uint64_t n = atomic_load(&fixture->n_statuses[wanted[i].status - FIRST_STATUS]);

        if (n * 1000000 >= wanted[i].per_million * fixture->count)
            continue;
        (void)printf("status %u: %llu times, expected %u in a million\n", wanted[i].status, (unsigned long long)n,
                     wanted[i].per_million);
        good = false;
    }
    return judge_store(fixture) == 0 && good;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"count", required_argument, NULL, 'c'},
                                            {"long-count", required_argument, NULL, 'l'},
                                            {"seed", required_argument, NULL, 's'},
                                            {0}};
    static struct fixture fixture = {.count = 20000, .seed = 6};
    static struct client clients[CLIENTS];
    bool good;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == '?')
            return 2;
        if (option == 's')
            fixture.seed = strtoull(optarg, NULL, 10);
        else if (option == 'c' || getenv("BL_LONG") != NULL)
            fixture.count = strtoull(optarg, NULL, 10);
    }
    set_up(&fixture);
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i].fixture = &fixture;
        clients[i].random = (fixture.seed + i + 1) * 0x9e3779b97f4a7c15ULL;
        if (pthread_create(&clients[i].thread, NULL, run, &clients[i]) != 0)
            return 1;
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        (void)pthread_join(clients[i].thread, NULL);
    good = report(&fixture);
    tear_down(&fixture);
    return good ? 0 : 1;
}
