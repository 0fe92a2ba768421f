/** @file options.h
 * The command line: which command, and what was said to it. Everything is checked here, before a connection is made;
 * what is wrong ends the program with exit code 2 and a word on what was expected (argp).
 *
 * Called by main.c only; the commands read the result. The strings are argv's. One thread. */
#ifndef BL_OPTIONS_H
#define BL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/cli/client_codec.h"

/** Exit codes of every command, as `bounceline --help` says them. */
enum bl_exit {
    BL_EXIT_DONE = 0,
    BL_EXIT_REFUSED = 1, /**< or not found */
    BL_EXIT_USAGE = 2,
    BL_EXIT_UNAVAILABLE = 3,
    BL_EXIT_NOT_ENFORCED = 4, /**< durable, but not enforced before the deadline */
};

struct bl_command;
struct bl_list_format;

struct bl_options {
    const struct bl_command *command;
    const char *socket;  /**< NULL: see bl_session_open */
    const char *connect; /**< HOST:PORT; NULL likewise, as the next three */
    const char *certificate_file;
    const char *key_file;
    const char *ca_file;
    const char *config; /**< NULL: no file is read */
    enum bl_wait wait;
    uint32_t deadline_ms; /**< 0: not said */
    bool json;
    const char *source; /**< this and below: "" and 0 mean not said */
    const char *reason;
    uint32_t code;
    uint8_t action; /**< enum bl_action */
    int64_t for_ms;
    bool force;
    bool all;
    bool follow;
    bool listings;
    uint64_t from_serial;
    bool has_from;
    const char *format; /**< of an export */
    const char *output; /**< a file; NULL: standard output */
    int64_t since_ms;   /**< not older than so much */
    uint32_t limit;
    const struct bl_list_format *import_format; /**< of import; NULL: detected */
    bool replace;
    bool dry_run;
    bool mask_host_bits;
    bool allow_stale;
    char **arguments; /**< owned */
    size_t n_arguments;
};

/** Reads argv. Ends the program itself on --help, --version and on mistakes. */
void bl_options_parse(int argc, char **argv, struct bl_options *out);
void bl_options_fini(struct bl_options *options);

#endif
