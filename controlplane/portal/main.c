/* bounceline-portal: reads the settings, opens its store, serves people until SIGTERM.
 *
 *   reverse proxy → server → site → requests (SQLite) → courier → mail server
 *                              │       └→ inquiry → DNS, with reverse_names
 *                              └→ control → control plane's socket, as a delister
 *
 * Order of the start: settings; directories, made where they are missing and given to portal.user; the listening socket;
 * privileges dropped for good; key, store, courier, server. Order of the end: the reverse. */
#define _GNU_SOURCE /* initgroups, setresuid */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bounceline/settings.h"
#include "bounceline/supervisor.h"
#include "bounceline/version.h"
#include "controlplane/listen.h"
#include "controlplane/notice.h"
#include "controlplane/portal/operator.h"
#include "controlplane/portal/server.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, TICKET_KEY_BYTES = 16 };

const char *argp_program_version = "bounceline-portal " BL_VERSION_TEXT;

struct options {
    const char *config;
    bool check;
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
    {0},
};

static const struct argp option_parser = {
    option_list,
    parse_option,
    NULL,
    "The delist portal: a person whose mail bounced asks for a link by mail, and delists the address with it.",
    NULL,
    NULL,
    NULL};

struct program {
    struct bl_settings settings;
    struct bl_site site;
    struct bl_server *server;
    struct bl_operator *view; /* NULL: nobody looks */
    int listening;
};

static bool is_unix(const char *listen)
{
    return strncmp(listen, "unix:", 5) == 0;
}

/* What needs the first user's rights; then they are gone. */
static int become(struct program *program, struct bl_error_detail *detail)
{
    const struct bl_settings_portal *settings = &program->settings.portal;
    uid_t uid = geteuid();
    gid_t gid = getegid();
    const struct passwd *entry = settings->user[0] == '\0' ? NULL : getpwnam(settings->user);
    int error;

    if (settings->user[0] != '\0' && entry == NULL)
        return bl_error_set(detail, BL_EINVAL, "portal.user: there is no user %s", settings->user);
    if (entry != NULL) {
        uid = entry->pw_uid;
        gid = entry->pw_gid;
    }
    error = bl_listen_prepare(settings->data_directory, 1, uid, gid, detail);
    if (error == BL_OK && is_unix(settings->listen))
        error = bl_listen_prepare(settings->listen + 5, 0, uid, gid, detail);
    if (error == BL_OK && is_unix(settings->operator_listen))
        error = bl_listen_prepare(settings->operator_listen + 5, 0, uid, gid, detail);
    if (error == BL_OK && uid != geteuid() &&
        (initgroups(settings->user, gid) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0))
        error = bl_error_set(detail, BL_EPERM, "can't become user %s: %s", settings->user, strerror(errno));
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return error;
}

static int read_ticket_key(struct bl_site *site, const char *path, struct bl_error_detail *detail)
{
    uint8_t bytes[TICKET_KEY_BYTES + 1];
    ssize_t length;
    int fd;

    if (path[0] == '\0')
        return BL_OK;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return bl_error_set(detail, BL_EIO, "portal.ticket_key_file: %s: %s", path, strerror(errno));
    length = read(fd, bytes, sizeof(bytes));
    (void)close(fd);
    if (length != TICKET_KEY_BYTES)
        return bl_error_set(detail, BL_EINVAL, "portal.ticket_key_file: %s: found %zd bytes, expected %d", path, length,
                            TICKET_KEY_BYTES);
    memcpy(&site->ticket_key, bytes, sizeof(site->ticket_key));
    site->has_ticket_key = true;
    return BL_OK;
}

/* Before the server: from its first visitor on there is a tally. */
static int start_operator(struct program *program, const char *store, struct bl_error_detail *detail)
{
    int listening = bl_server_listen("portal.operator_listen", program->settings.portal.operator_listen, detail);

    return listening < 0 ? listening : bl_operator_create(&program->view, &program->site, store, listening, detail);
}

static int start(struct program *program, struct bl_error_detail *detail)
{
    const struct bl_settings_portal *settings = &program->settings.portal;
    struct bl_site *site = &program->site;
    char missing[64];
    char path[BL_SETTINGS_TEXT_MAX + 16];
    int error = bl_page_load(missing) == 0 ? BL_OK : bl_error_set(detail, BL_EINVAL, "texts: %s is missing", missing);

    site->settings = &program->settings;
    /* The ticket's key may be root's alone. */
    if (error == BL_OK)
        error = read_ticket_key(site, settings->ticket_key_file, detail);
    if (error == BL_OK)
        error = become(program, detail);
    (void)umask(0077);
    (void)snprintf(path, sizeof(path), "%s/key", settings->data_directory);
    if (error == BL_OK)
        error = bl_secret_open(&site->secret, path, detail);
    (void)snprintf(path, sizeof(path), "%s/portal.db", settings->data_directory);
    if (error == BL_OK)
        error = bl_requests_open(&site->requests, path, settings, detail);
    if (error == BL_OK)
        error = bl_control_create(&site->control, settings);
    if (error == BL_OK)
        program->listening = bl_server_listen("portal.listen", settings->listen, detail);
    if (error == BL_OK && program->listening < 0)
        error = program->listening;
    if (error == BL_OK && settings->operator_listen[0] != '\0')
        error = start_operator(program, path, detail);
    if (error == BL_OK)
        error = bl_courier_create(&site->courier, site->requests, &site->secret, settings);
    if (error == BL_OK && settings->reverse_names)
        error = bl_inquiry_create(
            &site->inquiry, &(struct bl_inquiry_parts){site->requests, site->courier, &site->secret, settings}, detail);
    if (error == BL_OK)
        error = bl_server_create(&program->server, site, program->listening, detail);
    return error;
}

/* Until a signal ends it; the clock of what is to be done by the second. */
static void serve(struct program *program, const sigset_t *signals)
{
    const struct timespec second = {.tv_sec = 1};

    while (sigtimedwait(signals, NULL, &second) < 0) {
        bl_server_tend(program->server);
        bl_operator_tend(program->view);
    }
}

static void stop(struct program *program)
{
    const struct bl_settings_portal *settings = &program->settings.portal;

    bl_notice_write("stopping");
    bl_server_free(program->server);
    bl_operator_free(program->view);
    bl_inquiry_free(program->site.inquiry);
    if (is_unix(settings->listen))
        (void)unlink(settings->listen + 5);
    if (is_unix(settings->operator_listen))
        (void)unlink(settings->operator_listen + 5);
    bl_courier_free(program->site.courier);
    bl_control_free(program->site.control);
    bl_requests_close(program->site.requests);
}

int main(int argc, char **argv)
{
    struct options options = {"/etc/bounceline/bounceline.yaml", false};
    struct bl_error_detail detail = {""};
    struct program *program = calloc(1, sizeof(*program));
    int error = program == NULL ? BL_ENOMEM : BL_OK;
    sigset_t signals;

    argp_err_exit_status = EXIT_USAGE;
    (void)argp_parse(&option_parser, argc, argv, 0, NULL, &options);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    if (error == BL_OK)
        error = bl_settings_load(options.config, BL_SETTINGS_PORTAL, &program->settings, &detail);
    if (error == BL_OK && !options.check)
        error = start(program, &detail);
    if (error != BL_OK) {
        bl_notice_write("%s", detail.text[0] == '\0' ? bl_error_text(error) : detail.text);
        return EXIT_FAILED;
    }
    if (!options.check) {
        bl_notice_write("ready: %s as %s", program->settings.portal.listen, program->settings.portal.base_url);
        bl_supervisor_tell("READY=1");
        serve(program, &signals);
        bl_supervisor_tell("STOPPING=1");
        stop(program);
    }
    free(program);
    return 0;
}
