/* bounceline-controlplane: reads the settings, folds the log, opens its sockets, serves until SIGTERM; SIGHUP reads
 * certificates and their actors again.
 *
 *   clients → listen → ingest → authorize → writer: policy → log → list_state → publish → sync_server → data planes
 *
 * Order of the start: settings; directories of the sockets and of the log, made where they are missing and given to
 * controlplane.user; privileges dropped for good; the log (its lock keeps a second program out); sockets; threads. A
 * directory that exists already must be writable by that user.
 *
 * Order of the end: no more connections, calls in flight answered (at most PATIENCE_MS, then cancelled), the writer,
 * the sync thread, the log. This thread only accepts connections and waits for signals. */
#define _GNU_SOURCE /* initgroups, setresuid */
#include <argp.h>
#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bounceline/settings.h"
#include "bounceline/supervisor.h"
#include "bounceline/version.h"
#include "controlplane/backup.h"
#include "controlplane/clock.h"
#include "controlplane/ingest.h"
#include "controlplane/listen.h"
#include "controlplane/metrics_server.h"
#include "controlplane/notice.h"
#include "controlplane/sync_server.h"
#include "controlplane/tls.h"

enum { PATIENCE_MS = 2000, SYNC_SOCKET_MODE = 0600 };

enum { GROUPS_MAX = 256 };

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

const char *argp_program_version = "bounceline-controlplane " BL_VERSION_TEXT;

struct options {
    const char *config;
    bool check;
    bool backup;
    bool restore;
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct options *options = state->input;

    switch (key) {
    case 'c':
        options->config = argument;
        return 0;
    case 'n':
        options->check = true;
        return 0;
    case 'b':
        options->backup = true;
        return 0;
    case 'r':
        options->restore = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_usage(state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option option_list[] = {
    {"config", 'c', "FILE", 0, "Settings (default: /etc/bounceline/bounceline.yaml)", 0},
    {"check", 'n', NULL, 0, "Read the settings, say what is wrong with them, and exit", 0},
    {"backup", 'b', NULL, 0, "Write the log of a control plane that does not run to standard output, and exit", 0},
    {"restore", 'r', NULL, 0, "Put the backup on standard input in the place of the log, and exit", 0},
    {0},
};

static const struct argp option_parser = {
    option_list, parse_option,
    NULL,        "Holds the list: takes updates over gRPC, keeps them in a log, sends them to the data planes.",
    NULL,        NULL,
    NULL};

/* Everything that runs, in the order it is started. */
struct program {
    struct bl_settings settings;
    struct bl_store store;
    struct bl_peers *peers;
    struct bl_authorize *authorize;
    struct bl_limits *limits;
    struct bl_tls *tls; /* NULL: not asked for */
    struct bl_publish *publish;
    struct bl_rejects *rejects;
    struct bl_writer *writer;
    struct bl_ingest *ingest;
    struct bl_sync_server *sync_server;
    struct bl_metrics_server *metrics_server;   /* NULL: there is none */
    int listening[1 + BL_SETTINGS_SOCKETS_MAX]; /* socket, then sockets */
    uint32_t n_listening;                       /* of sockets */
    int sync_listening;
    int signals;
    struct bl_notice_limit refusals;
};

/* Makes what is missing for @user while it may, then becomes it. */
static int become(const struct bl_settings_controlplane *settings, struct bl_error_detail *detail)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    const struct passwd *entry = settings->user[0] == '\0' ? NULL : getpwnam(settings->user);
    int error;

    if (settings->user[0] != '\0' && entry == NULL)
        return bl_error_set(detail, BL_EINVAL, "controlplane.user: there is no user %s", settings->user);
    if (entry != NULL) {
        uid = entry->pw_uid;
        gid = entry->pw_gid;
    }
    error = bl_listen_prepare(settings->socket, 0, uid, gid, detail);
    for (uint32_t i = 0; i < settings->n_sockets && error == BL_OK; i++)
        error = bl_listen_prepare(settings->sockets[i].path, 0, uid, gid, detail);
    if (error == BL_OK)
        error = bl_listen_prepare(settings->sync_socket, 0, uid, gid, detail);
    if (error == BL_OK)
        error = bl_listen_prepare(settings->data_directory, 1, uid, gid, detail);
    if (error != BL_OK || uid == geteuid())
        return error;
    if (initgroups(settings->user, gid) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
        return bl_error_set(detail, BL_EPERM, "can't become user %s: %s", settings->user, strerror(errno));
    return BL_OK;
}

/* Signals come through a descriptor; every thread inherits the mask. */
static int open_signals(void)
{
    sigset_t set;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Opened for nobody else, then given away: nobody gets in with the rights of a moment in between. */
static int open_further(const struct bl_settings_socket *socket, int *descriptor, struct bl_error_detail *detail)
{
    const struct passwd *owner = socket->owner[0] == '\0' ? NULL : getpwnam(socket->owner);
    const struct group *group = socket->group[0] == '\0' ? NULL : getgrnam(socket->group);
    int error;

    if (owner == NULL && socket->owner[0] != '\0')
        return bl_error_set(detail, BL_EINVAL, "controlplane.sockets: %s: there is no user %s", socket->path,
                            socket->owner);
    if (group == NULL && socket->group[0] != '\0')
        return bl_error_set(detail, BL_EINVAL, "controlplane.sockets: %s: there is no group %s", socket->path,
                            socket->group);
    *descriptor = bl_listen_open(socket->path, 0, detail);
    if (*descriptor < 0)
        return *descriptor;
    error = bl_listen_give(socket->path, owner == NULL ? UINT32_MAX : owner->pw_uid,
                           group == NULL ? UINT32_MAX : group->gr_gid, detail);
    if (error == BL_OK && chmod(socket->path, socket->mode) != 0)
        error = bl_error_set(detail, BL_EIO, "%s: can't set the mode: %s", socket->path, strerror(errno));
    return error;
}

/* The sync socket is for the data plane, which runs as root or as this user: nobody else may open it. */
static int open_sockets(struct program *program, struct bl_error_detail *detail)
{
    const struct bl_settings_controlplane *settings = &program->settings.controlplane;

    int error = BL_OK;

    program->sync_listening = bl_listen_open(settings->sync_socket, SYNC_SOCKET_MODE, detail);
    if (program->sync_listening < 0)
        return program->sync_listening;
    program->listening[0] = bl_listen_open(settings->socket, settings->socket_mode, detail);
    if (program->listening[0] < 0)
        error = program->listening[0];
    for (uint32_t i = 0; i < settings->n_sockets && error == BL_OK; i++) {
        error = open_further(&settings->sockets[i], &program->listening[1 + i], detail);
        program->n_listening += error == BL_OK;
    }
    return error;
}

/* From the inside out: whoever is started finds everything that it calls. */
static int start_threads(struct program *program, struct bl_error_detail *detail)
{
    const struct bl_list_state *state = program->store.state;
    int error = bl_publish_create(&program->publish, bl_list_state_epoch(state), bl_list_state_serial(state),
                                  bl_list_state_digest(state));

    if (error == BL_OK)
        error = bl_rejects_create(&program->rejects, &program->store, detail);
    if (error == BL_OK)
        error = bl_writer_create(&program->writer, &program->store, program->publish);
    if (error == BL_OK)
        error = bl_sync_server_create(&program->sync_server, program->sync_listening,
                                      &(struct bl_sync_parts){program->publish, &program->store, program->rejects});
    if (error == BL_OK)
        error = bl_ingest_create(&program->ingest,
                                 &(struct bl_ingest_parts){&program->store, program->writer, program->publish,
                                                           program->rejects, program->peers, program->authorize,
                                                           program->limits, program->tls},
                                 detail);
    if (error == BL_OK && program->settings.controlplane.metrics[0] != '\0')
        error = bl_metrics_server_create(&program->metrics_server,
                                         &(struct bl_metrics_parts){&program->store, program->writer, program->publish,
                                                                    program->limits, program->ingest},
                                         detail);
    if (error == BL_OK || detail->text[0] != '\0')
        return error;
    return bl_error_set(detail, error, "can't start: %s", bl_error_text(error));
}

/* What fails here ends the program: the kernel cleans up. */
static int start(struct program *program, struct bl_error_detail *detail)
{
    const struct bl_settings_controlplane *settings = &program->settings.controlplane;
    int error = become(settings, detail);

    if (error != BL_OK)
        return error;
    program->signals = open_signals();
    error = bl_peers_create(&program->peers, detail);
    if (error == BL_OK)
        error = bl_authorize_create(&program->authorize, settings, geteuid(), detail);
    if (error == BL_OK)
        error = bl_limits_create(&program->limits, settings);
    if (error == BL_OK && settings->tls_listen[0] != '\0')
        error = bl_tls_create(&program->tls, settings, program->limits, detail);
    if (error == BL_OK)
        error = bl_store_open(&program->store, settings, detail);
    if (error == BL_OK)
        error = open_sockets(program, detail);
    if (error == BL_OK)
        error = start_threads(program, detail);
    return error;
}

static void say_ready(const struct program *program)
{
    struct bl_digest digest;
    uint64_t serial;

    bl_publish_head(program->publish, &serial, &digest);
    bl_notice_write("ready: epoch %llx, serial %llu, socket %s", (unsigned long long)bl_publish_epoch(program->publish),
                    (unsigned long long)serial, program->settings.controlplane.socket);
}

/* One at a time; poll comes back while more wait. */
static void accept_client(struct program *program, uint32_t socket)
{
    int64_t now_ms = bl_clock_monotonic_ms();
    struct bl_peer peer = {.socket = (uint8_t)socket};
    uint32_t groups[GROUPS_MAX];
    int descriptor = bl_listen_accept(program->listening[socket], &peer.uid);
    bool accepted = descriptor >= 0;
    unsigned n;

    if (accepted) {
        peer.actor =
            bl_authorize_match(program->authorize, peer.uid, groups, bl_listen_groups(descriptor, groups, GROUPS_MAX));
        descriptor = bl_peers_admit(program->peers, descriptor, &peer, now_ms);
    }
    if (descriptor >= 0) {
        bl_ingest_serve(program->ingest, descriptor);
        return;
    }
    if (!accepted && descriptor == BL_EAGAIN)
        return;
    if (bl_notice_may(&program->refusals, now_ms, &n))
        bl_notice_write("connections refused, there are too many: %u, the last of uid %u", n, peer.uid);
    /* Without descriptors the listening socket stays readable: don't spin on it. */
    if (!accepted)
        (void)poll(NULL, 0, 50);
}

/* What can't be taken over as a whole changes nothing. */
static void reload(struct program *program, const char *path)
{
    struct bl_settings *settings = malloc(sizeof(*settings));
    struct bl_error_detail detail = {""};
    int error = settings == NULL ? BL_ENOMEM : bl_settings_load(path, BL_SETTINGS_CONTROLPLANE, settings, &detail);

    if (error == BL_OK && program->tls != NULL)
        error = bl_tls_reload(program->tls, &settings->controlplane, &detail);
    if (error != BL_OK) {
        bl_notice_write("reload refused, all stays as it was: %s",
                        detail.text[0] == '\0' ? bl_error_text(error) : detail.text);
    } else {
        if (program->tls != NULL)
            bl_ingest_readmit(program->ingest);
        bl_notice_write("reloaded: %s", program->tls == NULL ? "nothing to take over without controlplane.tls_listen"
                                                             : "certificates, and the actors that have one");
    }
    free(settings);
}

/* @return whether the program goes on. */
static bool handle_signal(struct program *program, const char *path)
{
    struct signalfd_siginfo signal;

    if (read(program->signals, &signal, sizeof(signal)) != (ssize_t)sizeof(signal))
        return true;
    if (signal.ssi_signo != SIGHUP)
        return false;
    reload(program, path);
    return true;
}

/* Until a signal ends it. */
static void serve(struct program *program, const char *path)
{
    uint32_t n = 1 + program->n_listening;
    struct pollfd polls[2 + BL_SETTINGS_SOCKETS_MAX];

    for (uint32_t i = 0; i < n; i++)
        polls[i] = (struct pollfd){.fd = program->listening[i], .events = POLLIN};
    polls[n] = (struct pollfd){.fd = program->signals, .events = POLLIN};
    for (;;) {
        if (poll(polls, n + 1, -1) < 0)
            continue;
        if (polls[n].revents != 0 && !handle_signal(program, path))
            return;
        for (uint32_t i = 0; i < n; i++)
            if (polls[i].revents != 0)
                accept_client(program, i);
    }
}

/* From the outside in: nobody is freed whom somebody still calls. */
static void stop(struct program *program)
{
    const struct bl_settings_controlplane *settings = &program->settings.controlplane;

    bl_notice_write("stopping");
    bl_listen_close(program->listening[0], settings->socket);
    for (uint32_t i = 0; i < program->n_listening; i++)
        bl_listen_close(program->listening[1 + i], settings->sockets[i].path);
    bl_metrics_server_free(program->metrics_server);
    bl_ingest_stop(program->ingest, PATIENCE_MS);
    bl_writer_free(program->writer);
    bl_sync_server_free(program->sync_server);
    bl_listen_close(program->sync_listening, settings->sync_socket);
    bl_ingest_free(program->ingest);
    bl_rejects_free(program->rejects);
    bl_publish_free(program->publish);
    bl_store_close(&program->store);
    bl_tls_free(program->tls);
    bl_limits_free(program->limits);
    bl_authorize_free(program->authorize);
    bl_peers_free(program->peers);
    (void)close(program->signals);
}

/* What `bounceline backup` and `bounceline restore` call. As the user that the log belongs to. */
static int copy_log(const struct bl_settings_controlplane *settings, bool restore, struct bl_error_detail *detail)
{
    int error = become(settings, detail);

    (void)umask(0077);
    if (error != BL_OK)
        return error;
    return restore ? bl_backup_restore(settings, STDIN_FILENO, detail)
                   : bl_backup_write(settings, STDOUT_FILENO, detail);
}

int main(int argc, char **argv)
{
    struct options options = {"/etc/bounceline/bounceline.yaml", false, false, false};
    struct bl_error_detail detail = {""};
    struct program *program = calloc(1, sizeof(*program));
    int error = program == NULL ? BL_ENOMEM : BL_OK;

    argp_err_exit_status = EXIT_USAGE;
    (void)argp_parse(&option_parser, argc, argv, 0, NULL, &options);
    if (error == BL_OK)
        error = bl_settings_load(options.config, BL_SETTINGS_CONTROLPLANE, &program->settings, &detail);
    if (error == BL_OK && (options.backup || options.restore))
        error = copy_log(&program->settings.controlplane, options.restore, &detail);
    else if (error == BL_OK && !options.check)
        error = start(program, &detail);
    if (error != BL_OK) {
        bl_notice_write("%s", detail.text[0] == '\0' ? bl_error_text(error) : detail.text);
        return EXIT_FAILED;
    }
    if (!options.check && !options.backup && !options.restore) {
        say_ready(program);
        bl_supervisor_tell("READY=1");
        serve(program, options.config);
        bl_supervisor_tell("STOPPING=1");
        stop(program);
    }
    free(program);
    return 0;
}
