/* See reverse.h. RFC 1035, 3.5; RFC 3596, 2.5; RFC 2317 (a PTR behind a CNAME: c-ares follows it within the answer). */
#include "controlplane/portal/reverse.h"

#include <arpa/nameser.h>
#include <ctype.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <ares.h>

#include "controlplane/clock.h"

enum { TRIES = 2, SLICE_MS = 200, SERVERS_TEXT_MAX = BL_SETTINGS_RESOLVERS_MAX * 64, ADDRESSES_MAX = 32 };

struct run;

/* One in flight, or to come: of an address its PTR, or one of its names. */
struct question {
    struct run *run;
    struct bl_reverse_answer *answer;
    char name[BL_HOSTNAME_MAX + 1]; /* that is to be confirmed */
};

struct run {
    ares_channel channel;
    struct bl_reverse_answer *answers;
    struct question *questions; /* 1 + BL_REVERSE_NAMES_MAX for each address */
    size_t n;
    size_t n_started; /* addresses */
    unsigned n_in_flight;
};

static void note_failure(struct bl_reverse_answer *answer, int status)
{
    if (status != ARES_SUCCESS && status != ARES_ENODATA && status != ARES_ENOTFOUND)
        answer->unsure = true;
}

static bool holds(const struct bl_address *address, const unsigned char *reply, int length)
{
    struct ares_addrttl ipv4[ADDRESSES_MAX];
    struct ares_addr6ttl ipv6[ADDRESSES_MAX];
    int n = ADDRESSES_MAX;

    if (address->family == BL_FAMILY_IPV4) {
        if (ares_parse_a_reply(reply, length, NULL, ipv4, &n) != ARES_SUCCESS)
            return false;
        for (int i = 0; i < n; i++) {
            if (memcmp(&ipv4[i].ipaddr, address->bytes, 4) == 0)
                return true;
        }
        return false;
    }
    if (ares_parse_aaaa_reply(reply, length, NULL, ipv6, &n) != ARES_SUCCESS)
        return false;
    for (int i = 0; i < n; i++) {
        if (memcmp(&ipv6[i].ip6addr, address->bytes, 16) == 0)
            return true;
    }
    return false;
}

static void take_addresses(void *context, int status, int n_timeouts, unsigned char *reply, int length)
{
    struct question *question = context;
    struct bl_reverse_answer *answer = question->answer;

    (void)n_timeouts;
    question->run->n_in_flight--;
    note_failure(answer, status);
    if (status == ARES_SUCCESS && holds(&answer->address, reply, length))
        memcpy(answer->names[answer->n_names++], question->name, sizeof(question->name));
}

/* A name that may stand in a mail address, in lower case. */
static bool read_name(const char *text, char *out)
{
    size_t length = strlen(text);

    if (length > 0 && text[length - 1] == '.')
        length--;
    if (length == 0 || length > BL_HOSTNAME_MAX)
        return false;
    for (size_t i = 0; i < length; i++)
        out[i] = (char)tolower((unsigned char)text[i]);
    out[length] = '\0';
    return bl_hostname_valid(out) && strchr(out, '.') != NULL;
}

/* @param first the questions of this address's names. */
static void ask_names(struct run *run, struct bl_reverse_answer *answer, const struct hostent *host,
                      struct question *first)
{
    int type = answer->address.family == BL_FAMILY_IPV4 ? ns_t_a : ns_t_aaaa;
    unsigned n = 0;

    for (char **alias = host->h_aliases; *alias != NULL && n < BL_REVERSE_NAMES_MAX; alias++) {
        struct question *question = &first[n];

        *question = (struct question){.run = run, .answer = answer};
        if (!read_name(*alias, question->name))
            continue;
        n++;
        run->n_in_flight++;
        ares_query(run->channel, question->name, ns_c_in, type, take_addresses, question);
    }
}

static void take_names(void *context, int status, int n_timeouts, unsigned char *reply, int length)
{
    struct question *question = context;
    struct bl_reverse_answer *answer = question->answer;
    const struct bl_address *address = &answer->address;
    bool ipv4 = address->family == BL_FAMILY_IPV4;
    struct hostent *host = NULL;

    (void)n_timeouts;
    question->run->n_in_flight--;
    note_failure(answer, status);
    if (status != ARES_SUCCESS || ares_parse_ptr_reply(reply, length, address->bytes, ipv4 ? 4 : 16,
                                                       ipv4 ? AF_INET : AF_INET6, &host) != ARES_SUCCESS)
        return;
    ask_names(question->run, answer, host, question + 1);
    ares_free_hostent(host);
}

/* The name whose PTR is asked for: "7.2.0.192.in-addr.arpa", or 32 digits before "ip6.arpa". */
static void name_address(const struct bl_address *address, char out[80])
{
    if (address->family == BL_FAMILY_IPV4) {
        (void)snprintf(out, 80, "%u.%u.%u.%u.in-addr.arpa", address->bytes[3], address->bytes[2], address->bytes[1],
                       address->bytes[0]);
        return;
    }
    for (unsigned i = 0; i < 16; i++) {
        unsigned byte = address->bytes[15 - i];

        (void)snprintf(out + 4 * i, 5, "%x.%x.", byte & 15, byte >> 4);
    }
    (void)snprintf(out + 64, 16, "ip6.arpa");
}

static void ask_more(struct run *run)
{
    while (run->n_started < run->n && run->n_in_flight < BL_REVERSE_QUESTIONS_MAX) {
        struct bl_reverse_answer *answer = &run->answers[run->n_started];
        struct question *question = &run->questions[run->n_started * (1 + BL_REVERSE_NAMES_MAX)];
        char name[80];

        *question = (struct question){.run = run, .answer = answer};
        name_address(&answer->address, name);
        run->n_started++;
        run->n_in_flight++;
        ares_query(run->channel, name, ns_c_in, ns_t_ptr, take_names, question);
    }
}

/* Waits for the next answer or timeout, a slice at most. */
static void process(struct run *run)
{
    ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
    struct pollfd polled[ARES_GETSOCK_MAXNUM];
    struct timeval slice = {.tv_usec = SLICE_MS * 1000};
    struct timeval until;
    struct timeval *wait = ares_timeout(run->channel, &slice, &until);
    int ready = ares_getsock(run->channel, sockets, ARES_GETSOCK_MAXNUM);
    nfds_t n = 0;

    for (unsigned i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
        short events = 0;

        if (ARES_GETSOCK_READABLE(ready, i))
            events |= POLLIN;
        /* Not by ARES_GETSOCK_WRITABLE, which shifts a signed 1 into the sign for the last one. */
        if (((unsigned)ready >> (ARES_GETSOCK_MAXNUM + i) & 1) != 0)
            events |= POLLOUT;
        if (events != 0)
            polled[n++] = (struct pollfd){.fd = sockets[i], .events = events};
    }
    if (poll(polled, n, (int)(wait->tv_sec * 1000 + (wait->tv_usec + 999) / 1000)) <= 0)
        n = 0;
    for (nfds_t i = 0; i < n; i++) {
        bool readable = (polled[i].revents & (POLLIN | POLLERR | POLLHUP)) != 0;

        ares_process_fd(run->channel, readable ? polled[i].fd : ARES_SOCKET_BAD,
                        (polled[i].revents & POLLOUT) != 0 ? polled[i].fd : ARES_SOCKET_BAD);
    }
    if (n == 0)
        ares_process_fd(run->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* timeouts */
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

static int open_channel(const struct bl_settings_portal *settings, ares_channel *out)
{
    char lookups[] = "b";
    struct ares_options options = {.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
                                   .timeout = (int)settings->resolver_timeout_ms,
                                   .tries = TRIES,
                                   .lookups = lookups};
    char servers[SERVERS_TEXT_MAX] = "";
    size_t at = 0;

    if (ares_init_options(out, &options, ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS) !=
        ARES_SUCCESS)
        return BL_EIO;
    for (uint32_t i = 0; i < settings->n_resolvers; i++) {
        char text[BL_ADDRESS_TEXT_MAX];
        bool ipv6 = settings->resolvers[i].address.family == BL_FAMILY_IPV6;

        at += (size_t)snprintf(servers + at, sizeof(servers) - at, "%s%s%s%s:%u", at == 0 ? "" : ",", ipv6 ? "[" : "",
                               bl_address_format(&settings->resolvers[i].address, text), ipv6 ? "]" : "",
                               settings->resolvers[i].port);
    }
    if (at > 0 && ares_set_servers_ports_csv(*out, servers) != ARES_SUCCESS) {
        ares_destroy(*out);
        return BL_EIO;
    }
    return BL_OK;
}

int bl_reverse_find(const struct bl_settings_portal *settings, const atomic_bool *stop,
                    struct bl_reverse_answer *answers, size_t n)
{
    int64_t until_ms = bl_clock_monotonic_ms() + BL_REVERSE_WHOLE_MS;
    struct run run = {.answers = answers, .n = n};

    for (size_t i = 0; i < n; i++) {
        answers[i].n_names = 0;
        answers[i].unsure = false;
    }
    run.questions = calloc(n * (1 + BL_REVERSE_NAMES_MAX), sizeof(*run.questions));
    if (run.questions == NULL || open_channel(settings, &run.channel) != BL_OK) {
        free(run.questions);
        return BL_EIO;
    }
    ask_more(&run);
    while (run.n_in_flight > 0 && bl_clock_monotonic_ms() < until_ms && !atomic_load(stop)) {
        process(&run);
        ask_more(&run);
    }
    for (size_t i = run.n_started; i < n; i++)
        answers[i].unsure = true;
    ares_cancel(run.channel); /* calls back for each that is in flight: unsure */
    ares_destroy(run.channel);
    free(run.questions);
    for (size_t i = 0; i < n; i++)
        qsort(answers[i].names, answers[i].n_names, sizeof(answers[i].names[0]), compare_names);
    return BL_OK;
}
