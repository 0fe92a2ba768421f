/* bounceline-dataplane: reads the settings, starts the data plane, runs until SIGTERM or SIGINT.
 *
 *   main → plane ┬─ port, eal          DPDK and the two ports
 *                ├─ worker × n         a packet's way, one core each
 *                └─ feed → master → distribute → worker's mailbox   an update's way, this core
 *
 * Exit: 0 after SIGTERM or SIGINT, and of --check when all is well; 1 when the system does not give what is needed; 2
 * for a bad setting or argument, whose key and cause are on standard error. */
#include <argp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bounceline/settings.h"
#include "bounceline/supervisor.h"
#include "bounceline/version.h"
#include "dataplane/plane.h"
#include "dataplane/say.h"

enum { EXIT_SYSTEM = 1, EXIT_SETTINGS = 2 };

const char *argp_program_version = "bounceline-dataplane " BL_VERSION_TEXT;

/* The only thing that a signal changes. */
static volatile sig_atomic_t stop;

struct options {
    const char *config;
    bool check;
};

static const struct argp_option option_list[] = {
    {"config", 'c', "FILE", 0, "Settings (default: /etc/bounceline/bounceline.yaml)", 0},
    {"check", 'n', NULL, 0, "Read the settings, say what is wrong with them, and exit", 0},
    {0},
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

static const struct argp parser = {
    option_list, parse_option,
    NULL,        "Stands between two ports, forwards frames, and answers mail from listed addresses with the reason.",
    NULL,        NULL,
    NULL};

static void handle_signal(int number)
{
    (void)number;
    stop = 1;
}

/* SIGTERM and SIGINT are let in where the main core waits (bl_plane_run) and nowhere else. DPDK's threads inherit the
 * block. */
static void set_signals(sigset_t *unblocked)
{
    struct sigaction action = {.sa_handler = handle_signal};
    sigset_t blocked;

    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    sigprocmask(SIG_BLOCK, &blocked, unblocked);
    sigdelset(unblocked, SIGTERM);
    sigdelset(unblocked, SIGINT);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

static int exit_code(int error)
{
    return error == BL_EIO || error == BL_ENOMEM ? EXIT_SYSTEM : EXIT_SETTINGS;
}

static int run(struct bl_plane_plan *plan)
{
    struct bl_error_detail detail = {""};
    struct bl_plane *plane = NULL;
    sigset_t unblocked;
    int error;

    set_signals(&unblocked);
    error = bl_plane_create(&plane, plan, &detail);
    if (error != BL_OK) {
        bl_say_line("%s", detail.text);
        return exit_code(error);
    }
    bl_supervisor_tell("READY=1");
    bl_plane_run(plane, &stop, &unblocked);
    bl_supervisor_tell("STOPPING=1");
    bl_plane_free(plane);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct options options = {.config = "/etc/bounceline/bounceline.yaml"};
    struct bl_error_detail detail = {""};
    struct bl_settings *settings = calloc(1, sizeof(*settings));
    struct bl_plane_plan *plan = aligned_alloc(_Alignof(struct bl_plane_plan), sizeof(*plan));
    int code = EXIT_SYSTEM;
    int error;

    argp_err_exit_status = EXIT_SETTINGS;
    argp_parse(&parser, argc, argv, 0, NULL, &options);
    if (settings == NULL || plan == NULL) {
        bl_say_line("no memory");
        goto out;
    }
    error = bl_settings_load(options.config, BL_SETTINGS_DATAPLANE, settings, &detail);
    if (error == BL_OK)
        error = bl_plane_prepare(settings, plan, &detail);
    if (error != BL_OK) {
        bl_say_line("%s", detail.text);
        code = EXIT_SETTINGS;
        goto out;
    }
    code = options.check ? EXIT_SUCCESS : run(plan);
out:
    free(plan);
    free(settings);
    return code;
}
