/* The command line with argp; see options.h.
 *
 * Two parsers: the first reads the options before the command and stops at its name; the second reads the rest with
 * the command's own options and the global ones again, so that both places are right for those. */
#include "controlplane/cli/options.h"

#include <argp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bounceline/version.h"
#include "controlplane/cli/command.h"
#include "controlplane/cli/duration.h"
#include "controlplane/cli/list_format.h"
#include "controlplane/cli/text.h"

/* argp's interface: it reads these. */
const char *argp_program_version = "bounceline " BL_VERSION_TEXT;

/* The control plane holds no call longer. */
enum { DEADLINE_MAX_MS = 10 * 60 * 1000 };

static const struct argp_option global_options[] = {
    {NULL, 0, NULL, 0, "For every command:", 2},
    {"socket", BL_OPTION_SOCKET, "PATH", 0,
     "the control plane's socket (else client.socket of --config, $BOUNCELINE_SOCKET, the default)", 2},
    {"connect", BL_OPTION_CONNECT, "HOST:PORT", 0,
     "a control plane elsewhere, by TLS (else client.connect of --config); with the next three", 2},
    {"cert", BL_OPTION_CERT, "FILE", 0, "the certificate to show there, in PEM (else client.certificate_file)", 2},
    {"key", BL_OPTION_KEY, "FILE", 0, "its key (else client.key_file)", 2},
    {"ca", BL_OPTION_CA, "FILE", 0, "the CA of the control plane's certificate (else client.ca_file)", 2},
    {"config", BL_OPTION_CONFIG, "FILE", 0, "take socket or connect, and deadline, from section client of FILE", 2},
    {"wait", BL_OPTION_WAIT, "LEVEL", 0,
     "answer when the change is durable (the default: on disk) or enforced (by every worker)", 2},
    {"deadline", BL_OPTION_DEADLINE, "DURATION", 0, "wait at most so long (500ms, 5s, 1m)", 2},
    {"json", BL_OPTION_JSON, NULL, 0, "print one JSON object", 2},
    {0},
};

/* A mistake on the command line, with what was expected; ends the program. What was typed may come from a log or a
 * mail, by way of a script: it is escaped. */
__attribute__((format(printf, 2, 3))) static void refuse(struct argp_state *state, const char *format, ...)
{
    char *safe = NULL;
    size_t length = 0;
    char text[512];
    va_list arguments;
    FILE *out;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    out = open_memstream(&safe, &length);
    if (out == NULL) {
        argp_error(state, "out of memory");
        return;
    }
    bl_text_put(out, text);
    if (fclose(out) == 0)
        argp_error(state, "%s", safe);
    free(safe);
}

static void parse_wait(const char *text, struct bl_options *options, struct argp_state *state)
{
    if (strcmp(text, "durable") == 0)
        options->wait = BL_WAIT_DURABLE;
    else if (strcmp(text, "enforced") == 0)
        options->wait = BL_WAIT_ENFORCED;
    else
        refuse(state, "--wait '%.40s': expected durable or enforced", text);
}

/* argp_error ends the program; the returns behind it are for the compiler. */
static int64_t parse_duration(const char *option, const char *text, int64_t max_ms, struct argp_state *state)
{
    struct bl_error_detail detail;
    int64_t duration_ms = 0;

    if (bl_duration_parse(text, &duration_ms, &detail) != BL_OK)
        refuse(state, "%s: %s", option, detail.text);
    else if (duration_ms > max_ms)
        refuse(state, "%s: duration '%.40s': expected at most %lldm", option, text, (long long)max_ms / 60000);
    return duration_ms;
}

/* One of the options that say where: each is a word, and a socket is not TCP. */
static const char *parse_place(const char *option, const char *text, const char *other, struct argp_state *state)
{
    if (text[0] == '\0')
        refuse(state, "%s '': expected a value", option);
    if (other != NULL)
        refuse(state, "%s: expected either --socket or --connect", option);
    return text;
}

static error_t parse_global(int key, char *argument, struct argp_state *state)
{
    struct bl_options *options = state->input;

    switch (key) {
    case BL_OPTION_SOCKET:
        options->socket = parse_place("--socket", argument, options->connect, state);
        return 0;
    case BL_OPTION_CONNECT:
        options->connect = parse_place("--connect", argument, options->socket, state);
        return 0;
    case BL_OPTION_CERT:
        options->certificate_file = parse_place("--cert", argument, NULL, state);
        return 0;
    case BL_OPTION_KEY:
        options->key_file = parse_place("--key", argument, NULL, state);
        return 0;
    case BL_OPTION_CA:
        options->ca_file = parse_place("--ca", argument, NULL, state);
        return 0;
    case BL_OPTION_CONFIG:
        options->config = argument;
        return 0;
    case BL_OPTION_WAIT:
        parse_wait(argument, options, state);
        return 0;
    case BL_OPTION_DEADLINE:
        options->deadline_ms = (uint32_t)parse_duration("--deadline", argument, DEADLINE_MAX_MS, state);
        return 0;
    case BL_OPTION_JSON:
        options->json = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* strtoul takes a sign, spaces and nothing at all; the first character rules that out. */
static uint32_t parse_code(const char *text, struct argp_state *state)
{
    char *end;
    unsigned long code = strtoul(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end != '\0' || code < BL_CLASS_CODE_MIN || code > BL_CLASS_CODE_MAX)
        refuse(state, "--code '%.40s': expected a number of %d..%d", text, BL_CLASS_CODE_MIN, BL_CLASS_CODE_MAX);
    return (uint32_t)code;
}

/* What one answer may hold: the server's limits (list_control.proto). */
static uint32_t parse_limit(const char *text, const struct bl_command *command, struct argp_state *state)
{
    unsigned long max = command->takes_prefixes ? 10000 : 1024;
    char *end;
    unsigned long limit = strtoul(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end != '\0' || limit < 1 || limit > max)
        refuse(state, "--limit '%.40s': expected a number of 1..%lu", text, max);
    return (uint32_t)limit;
}

static uint64_t parse_serial(const char *text, struct argp_state *state)
{
    char *end;
    unsigned long long serial = strtoull(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end != '\0' || serial >= (unsigned long long)INT64_MAX)
        refuse(state, "--from '%.40s': expected a serial", text);
    return serial;
}

static uint8_t parse_action(const char *text, struct argp_state *state)
{
    for (uint8_t action = BL_ACTION_REJECT; action <= BL_ACTION_MONITOR; action++)
        if (strcmp(text, bl_class_action_text(action)) == 0)
            return action;
    refuse(state, "--action '%.40s': expected reject, reset, drop or monitor", text);
    return BL_ACTION_NONE;
}

static const struct bl_list_format *parse_format(const char *text, struct argp_state *state)
{
    const struct bl_list_format *format = bl_list_format_find(text);
    char names[256] = "";

    for (size_t i = 0; bl_list_format_table[i] != NULL; i++) {
        size_t length = strlen(names);

        (void)snprintf(names + length, sizeof(names) - length, "%s%s", i == 0 ? "" : ", ",
                       bl_list_format_table[i]->name);
    }
    if (format == NULL)
        refuse(state, "--format '%.40s': expected one of %s", text, names);
    return format;
}

/* The control plane checks again; here it costs no connection, and the message can name the option. */
static const char *parse_reason(const char *text, struct argp_state *state)
{
    if (strlen(text) > BL_COMMAND_REASON_MAX)
        refuse(state, "--reason: has %zu bytes: expected at most %d", strlen(text), BL_COMMAND_REASON_MAX);
    for (const char *at = text; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            refuse(state, "--reason: holds a control character: expected printable text");
    return text;
}

/* Prefixes are read here for their form only and travel as they were typed: a length that is not said is the control
 * plane's to add. */
static void add_argument(char *argument, struct bl_options *options, struct argp_state *state)
{
    struct bl_error_detail detail;
    struct bl_prefix prefix;

    if (options->n_arguments == options->command->arguments_max)
        refuse(state, "'%.60s': expected %s%s", argument, options->command->arguments_max == 0 ? "no argument" : "",
               options->command->arguments_max == 0 ? "" : options->command->arguments);
    if (options->command->takes_prefixes && bl_address_parse_prefix(argument, 64, &prefix, &detail) != BL_OK)
        refuse(state, "%s", detail.text);
    options->arguments[options->n_arguments++] = argument;
}

static error_t parse_command(int key, char *argument, struct argp_state *state)
{
    struct bl_options *options = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = options;
        return 0;
    case BL_OPTION_CODE:
        options->code = parse_code(argument, state);
        return 0;
    case BL_OPTION_REASON:
        options->reason = parse_reason(argument, state);
        return 0;
    case BL_OPTION_FOR:
        options->for_ms = parse_duration("--for", argument, BL_DURATION_MAX_MS, state);
        return 0;
    case BL_OPTION_SOURCE:
        if (argument[0] == '\0')
            refuse(state, "--source '': expected a name");
        options->source = argument;
        return 0;
    case BL_OPTION_ACTION:
        options->action = parse_action(argument, state);
        return 0;
    case BL_OPTION_FORCE:
        options->force = true;
        return 0;
    case BL_OPTION_ALL:
        options->all = true;
        return 0;
    case BL_OPTION_FOLLOW:
        options->follow = true;
        return 0;
    case BL_OPTION_LISTINGS:
        options->listings = true;
        return 0;
    case BL_OPTION_SINCE:
        options->since_ms = parse_duration("--since", argument, BL_DURATION_MAX_MS, state);
        return 0;
    case BL_OPTION_FROM:
        options->from_serial = parse_serial(argument, state);
        options->has_from = true;
        return 0;
    case BL_OPTION_FORMAT:
        if (strcmp(argument, "plain") != 0 && strcmp(argument, "json") != 0 && strcmp(argument, "nft") != 0 &&
            strcmp(argument, "rbldnsd") != 0)
            refuse(state, "--format '%.40s': expected plain, json, nft or rbldnsd", argument);
        options->format = argument;
        return 0;
    case BL_OPTION_OUTPUT:
        if (argument[0] == '\0')
            refuse(state, "--output '': expected a path");
        options->output = argument;
        return 0;
    case BL_OPTION_IMPORT_FORMAT:
        options->import_format = parse_format(argument, state);
        return 0;
    case BL_OPTION_REPLACE:
        options->replace = true;
        return 0;
    case BL_OPTION_DRY_RUN:
        options->dry_run = true;
        return 0;
    case BL_OPTION_MASK:
        options->mask_host_bits = true;
        return 0;
    case BL_OPTION_STALE:
        options->allow_stale = true;
        return 0;
    case BL_OPTION_LIMIT:
        options->limit = parse_limit(argument, options->command, state);
        return 0;
    case ARGP_KEY_ARG:
        add_argument(argument, options, state);
        return 0;
    case ARGP_KEY_END:
        if (options->n_arguments < options->command->arguments_min)
            refuse(state, "expected %s", options->command->arguments);
        /* The default is all that operators list: nobody means that by leaving a word out. */
        if (options->replace && options->source[0] == '\0')
            refuse(state, "--replace: expected --source, whose list it is");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_program(int key, char *argument, struct argp_state *state)
{
    struct bl_options *options = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = options;
        return 0;
    case ARGP_KEY_ARG:
        options->command = bl_command_find(argument);
        if (options->command == NULL)
            refuse(state, "'%.40s': expected a command: see --help", argument);
        /* The rest is the command's: skipping to the end makes argp stop here, options and all. */
        options->arguments = state->argv + state->next - 1;
        options->n_arguments = (size_t)(state->argc - state->next + 1);
        state->next = state->argc;
        return 0;
    case ARGP_KEY_NO_ARGS:
        refuse(state, "expected a command: see --help");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp global_argp = {.options = global_options, .parser = parse_global};

/* The list of commands in `bounceline --help` comes from the table, so that it can't lag behind it. Only argp calls
 * this, for each part of its text; what is returned is freed by it. */
static char *program_help(int key, const char *text, void *input)
{
    char *help = NULL;
    size_t length = 0;
    FILE *out;

    (void)input;
    if (key != ARGP_KEY_HELP_POST_DOC)
        return (char *)(uintptr_t)text;
    out = open_memstream(&help, &length);
    if (out == NULL)
        return (char *)(uintptr_t)text;
    (void)fputs("Commands (each has its own --help):\n", out);
    for (const struct bl_command *command = bl_command_table; command->name != NULL; command++)
        (void)fprintf(out, "  %-9s%-12s%s\n", command->name, command->arguments, command->summary);
    (void)fputs(text, out);
    if (fclose(out) != 0)
        return (char *)(uintptr_t)text;
    return help;
}

static const char program_doc[] = "Lists, delists, exempts and looks up what Bounceline rejects.\v"
                                  "\n"
                                  "Exit codes:\n"
                                  "  0  done\n"
                                  "  1  refused, or not found (lookup: not listed)\n"
                                  "  2  the command line is wrong\n"
                                  "  3  the control plane can't be reached, or gave no answer in time\n"
                                  "  4  durable, but not enforced before the deadline (with --wait enforced)\n";

static void parse_rest(const struct bl_command *command, int argc, char **argv, struct bl_options *options)
{
    const struct argp_child children[] = {{.argp = &global_argp}, {0}};
    const struct argp argp = {
        .options = command->options,
        .parser = parse_command,
        .args_doc = command->arguments,
        .doc = command->help,
        .children = children,
    };
    char name[64];

    /* argp names the program by its first word, in --help and in complaints. */
    (void)snprintf(name, sizeof(name), "bounceline %s", command->name);
    argv[0] = name;
    (void)argp_parse(&argp, argc, argv, 0, NULL, options);
}

void bl_options_parse(int argc, char **argv, struct bl_options *out)
{
    const struct argp_child children[] = {{.argp = &global_argp}, {0}};
    const struct argp argp = {
        .parser = parse_program,
        .args_doc = "COMMAND [ARGUMENT...]",
        .doc = program_doc,
        .children = children,
        .help_filter = program_help,
    };
    char **rest;
    int n_rest;

    /* argp's own choice is 64 of sysexits.h. */
    argp_err_exit_status = BL_EXIT_USAGE;
    *out = (struct bl_options){.wait = BL_WAIT_DURABLE, .source = "", .reason = ""};
    /* In order: what stands behind the command's name must not be taken for a global option first. */
    (void)argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, out);
    rest = out->arguments;
    n_rest = (int)out->n_arguments;
    out->n_arguments = 0;
    out->arguments = calloc((size_t)n_rest, sizeof(char *));
    if (out->arguments == NULL) {
        (void)fputs("bounceline: out of memory\n", stderr);
        exit(BL_EXIT_UNAVAILABLE);
    }
    parse_rest(out->command, n_rest, rest, out);
}

void bl_options_fini(struct bl_options *options)
{
    free(options->arguments);
    options->arguments = NULL;
}
