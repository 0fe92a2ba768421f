/* make_table_file: the table file that a data plane starts from with no control plane there, from plain lists. For
 * measurements: what loadgen calls listed is listed then. See --help and dataplane/table_file.h.
 *
 * Exit: 0 written, 1 not, 2 usage. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/table_file.h"
#include "perf/list.h"

enum { LISTS_MAX = 8, USAGE_EXIT = 2 };

struct options {
    const char *paths[LISTS_MAX];
    struct bl_class classes[LISTS_MAX];
    unsigned n_lists;
    const char *url;
    const char *out;
};

static const struct argp_option option_list[] = {
    {"listed", 'l', "FILE[=CODE]", 0,
     "Listed prefixes, one a line, gzipped or not; their code (default: 606). Up to 8 times", 0},
    {"url", 'u', "URL", 0, "In the 550 (default: https://delist.example.net/?ip={address})", 0},
    {0},
};

static void read_list(char *text, struct options *options, struct argp_state *state)
{
    char *equals = strrchr(text, '=');
    long code = BL_CLASS_CODE_MIN;
    char *end = NULL;

    if (options->n_lists == LISTS_MAX)
        argp_error(state, "--listed: expected at most %d", LISTS_MAX);
    if (equals != NULL) {
        code = strtol(equals + 1, &end, 10);
        if (*end != '\0' || code < BL_CLASS_CODE_MIN || code > BL_CLASS_CODE_MAX)
            argp_error(state, "%s: expected a code of %d..%d", equals + 1, BL_CLASS_CODE_MIN, BL_CLASS_CODE_MAX);
        *equals = '\0';
    }
    options->paths[options->n_lists] = text;
    options->classes[options->n_lists++] =
        (struct bl_class){.code = (uint16_t)code, .action = BL_ACTION_REJECT, .self_service = true};
}

static error_t parse_option(int option, char *argument, struct argp_state *state)
{
    struct options *options = state->input;

    switch (option) {
    case 'l':
        read_list(argument, options, state);
        return 0;
    case 'u':
        options->url = argument;
        return 0;
    case ARGP_KEY_ARG:
        if (options->out != NULL)
            argp_error(state, "%s: expected one file to write", argument);
        options->out = argument;
        return 0;
    case ARGP_KEY_END:
        if (options->out == NULL || options->n_lists == 0)
            argp_error(state, "expected --listed FILE and the file to write");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int add_family(struct bl_table_file *table, const struct options *options, unsigned number, uint8_t family,
                      struct bl_error_detail *detail)
{
    struct list list = {.entries = NULL};
    int error = list_read(&list, options->paths[number], family, detail);

    for (size_t i = 0; error == BL_OK && i < list.n; i++) {
        struct bl_table_entry entry = {list.entries[i].prefix, (uint8_t)(BL_CLASS_FIRST + number)};

        error = bl_entries_add(&table->entries, &entry);
        if (error == BL_OK)
            bl_digest_add(&table->held.digest, table->held.epoch, &entry.prefix, entry.class_id);
    }
    if (list.entries != NULL)
        list_free(&list);
    return error;
}

static int make(struct bl_table_file *table, struct options *options, struct bl_error_detail *detail)
{
    int error = BL_OK;

    for (unsigned i = 0; error == BL_OK && i < options->n_lists; i++) {
        struct bl_class *class = &table->classes[BL_CLASS_FIRST + i];

        *class = options->classes[i];
        snprintf(class->url, sizeof(class->url), "%s", options->url);
        error = bl_class_validate(class, detail);
        if (error == BL_OK)
            error = add_family(table, options, i, BL_FAMILY_IPV4, detail);
        if (error == BL_OK)
            error = add_family(table, options, i, BL_FAMILY_IPV6, detail);
    }
    if (error == BL_OK)
        error = bl_entries_sort(&table->entries);
    table->held.n_ipv4 = table->entries.columns[BL_ENTRIES_IPV4].n;
    table->held.n_ipv6 = table->entries.columns[BL_ENTRIES_IPV6].n;
    return error;
}

int main(int argc, char **argv)
{
    const struct argp argp = {
        option_list,
        parse_option,
        "TABLE_FILE",
        "Writes the table file of some lists: a data plane whose setting table_file names it serves "
        "them, with no control plane there. The lists share no prefix.",
        NULL,
        NULL,
        NULL};
    struct options options = {.url = "https://delist.example.net/?ip={address}"};
    struct bl_table_file table = {.held = {.epoch = 1, .serial = 1}};
    struct bl_error_detail detail = {""};
    int error;

    argp_err_exit_status = USAGE_EXIT;
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    error = make(&table, &options, &detail);
    if (error == BL_OK)
        error = bl_table_file_write(options.out, &table, &detail);
    if (error == BL_OK)
        printf("%s: %zu IPv4 and %zu IPv6 prefixes\n", options.out, (size_t)table.held.n_ipv4,
               (size_t)table.held.n_ipv6);
    else
        fprintf(stderr, "make_table_file: %s\n", detail.text[0] != '\0' ? detail.text : bl_error_text(error));
    bl_table_file_fini(&table);
    return error == BL_OK ? 0 : 1;
}
