/* wire_input: what bench_wire needs of files: a capture of one class of frames, and the table file whose list they were
 * made for. See --help.
 *
 *   list ─┬▶ table file (dataplane/table_file.h)
 *         └▶ table ─▶ traffic ─▶ capture (pcap, microseconds, Ethernet)
 *
 * Says how many distinct sources the capture has. Exit: 0 written, 1 something failed, 2 usage. */
#include <stdlib.h>
#include <string.h>

#include "dataplane/table_file.h"
#include "options.h"
#include "traffic.h"

#define PCAP_MAGIC 0xa1b2c3d4U /* no int */

enum { PCAP_MAJOR = 2, PCAP_MINOR = 4, PCAP_SNAP = 65535, PCAP_ETHERNET = 1 };

enum {
    EXIT_USAGE = 2,
    NETWORKS_BELOW = 10000,
    /* Of the source address in an untagged frame. */
    SOURCE_IPV4 = 14 + 12,
    SOURCE_IPV6 = 14 + 8,
};

struct options {
    const char *class_name;
    const char *capture;
    const char *table;
    unsigned long n_entries;
    unsigned long n_frames;
    unsigned long first;
    unsigned long seed;
    uint8_t family;
};

struct pcap_head {
    uint32_t magic;
    uint16_t major;
    uint16_t minor;
    uint32_t zone;
    uint32_t accuracy;
    uint32_t snap;
    uint32_t link;
};

struct pcap_frame {
    uint32_t seconds;
    uint32_t microseconds;
    uint32_t captured;
    uint32_t length;
};

static const struct argp_option option_list[] = {
    {"class", 'c', "NAME", 0,
     "Class of the frames, as bench_burst --csv names it: allowed, other, syn, drop, mixed ...", 0},
    {"capture", 'o', "FILE", 0, "Where the capture goes", 0},
    {"table", 't', "FILE", 0, "Where the table file goes", 0},
    {"entries", 'n', "N", 0, "Entries of the list, 100..16000000 (default: 1000000); below 10000 they are networks", 0},
    {"frames", 'f', "N", 0, "1..16000000 (default: 1000000)", 0},
    {"first", 'i', "N", 0, "Number of the first frame: captures of other numbers have other sources (default: 0)", 0},
    {"seed", 's', "N", 0, "Of list and sources (default: 1)", 0},
    {"ipv6", '6', NULL, 0, "IPv6 instead of IPv4", 0},
    {0},
};

static error_t parse_option(int option, char *argument, struct argp_state *state)
{
    struct options *options = state->input;

    switch (option) {
    case 'c':
        options->class_name = argument;
        return 0;
    case 'o':
        options->capture = argument;
        return 0;
    case 't':
        options->table = argument;
        return 0;
    case 'n':
        options->n_entries = options_read_number(argument, 100, 16000000, "entries", state);
        return 0;
    case 'f':
        options->n_frames = options_read_number(argument, 1, 16000000, "frames", state);
        return 0;
    case 'i':
        options->first = options_read_number(argument, 0, UINT32_MAX, "first", state);
        return 0;
    case 's':
        options->seed = options_read_number(argument, 0, UINT32_MAX, "seed", state);
        return 0;
    case '6':
        options->family = BL_FAMILY_IPV6;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "%s: expected options only", argument);
        return 0;
    case ARGP_KEY_END:
        if (options->class_name == NULL || options->capture == NULL || options->table == NULL)
            argp_error(state, "expected --class, --capture and --table");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp parser = {
    option_list, parse_option, NULL, "Writes a capture and a table file for perf/bench_wire.", NULL, NULL, NULL};

static int find_class(const char *name)
{
    int class = 0;

    while (class < TRAFFIC_CLASSES && strcmp(traffic_kinds[class].name, name) != 0)
        class ++;
    return class;
}

static int write_table(const char *path, const struct list *list, struct bl_digest digest, uint8_t action)
{
    struct bl_table_file table = {.held = {.epoch = 1, .serial = 1, .digest = digest}};
    struct bl_error_detail detail = {""};
    int error = BL_OK;

    for (unsigned i = BL_CLASS_FIRST; i <= BL_CLASS_LAST; i++)
        table.classes[i] =
            (struct bl_class){.code = 606, .action = action, .url = "https://delist.example.net/?ip={address}"};
    for (size_t i = 0; error == BL_OK && i < list->n; i++)
        error = bl_entries_add(&table.entries, &list->entries[i]);
    if (error == BL_OK)
        error = bl_entries_sort(&table.entries);
    table.held.n_ipv4 = table.entries.columns[BL_ENTRIES_IPV4].n;
    table.held.n_ipv6 = table.entries.columns[BL_ENTRIES_IPV6].n;
    if (error == BL_OK)
        error = bl_table_file_write(path, &table, &detail);
    if (error != BL_OK)
        fprintf(stderr, "wire_input: %s\n", detail.text[0] != '\0' ? detail.text : bl_error_text(error));
    bl_table_file_fini(&table);
    return error;
}

static int compare_sources(const void *a, const void *b)
{
    return memcmp(a, b, 16);
}

static size_t count_distinct(uint8_t (*sources)[16], size_t n)
{
    size_t n_distinct = n > 0 ? 1 : 0;

    qsort(sources, n, sizeof(sources[0]), compare_sources);
    for (size_t i = 1; i < n; i++)
        n_distinct += memcmp(sources[i - 1], sources[i], sizeof(sources[i])) != 0;
    return n_distinct;
}

/* @return false when the file takes no more. */
static bool write_frame(FILE *file, const struct traffic *traffic, enum traffic_class class, uint64_t number,
                        uint8_t source[16])
{
    uint8_t frame[TRAFFIC_FRAME_MAX];
    uint32_t length = (uint32_t)traffic_build(traffic, class, number, frame);
    const struct pcap_frame head = {.captured = length, .length = length};

    if (traffic->list->family == BL_FAMILY_IPV4)
        memcpy(source, frame + SOURCE_IPV4, 4);
    else
        memcpy(source, frame + SOURCE_IPV6, 16);
    return fwrite(&head, sizeof(head), 1, file) == 1 && fwrite(frame, length, 1, file) == 1;
}

static int write_capture(const struct options *options, const struct traffic *traffic, enum traffic_class class)
{
    const struct pcap_head head = {PCAP_MAGIC, PCAP_MAJOR, PCAP_MINOR, 0, 0, PCAP_SNAP, PCAP_ETHERNET};
    uint8_t(*sources)[16] = calloc(options->n_frames, sizeof(sources[0]));
    FILE *file = fopen(options->capture, "we");
    bool written = sources != NULL && file != NULL && fwrite(&head, sizeof(head), 1, file) == 1;

    for (uint64_t i = 0; i < options->n_frames && written; i++)
        written = write_frame(file, traffic, class, options->first + i, sources[i]);
    if (file != NULL && fclose(file) != 0)
        written = false;
    if (written)
        printf("%s: %lu frames, %zu distinct sources; list of %zu entries\n", options->class_name, options->n_frames,
               count_distinct(sources, options->n_frames), traffic->list->n);
    else
        fprintf(stderr, "wire_input: %s: %s\n", options->capture, strerror(errno));
    free(sources);
    return written ? BL_OK : BL_EIO;
}

int main(int argc, char **argv)
{
    struct options options = {.n_entries = 1000000, .n_frames = 1000000, .seed = 1, .family = BL_FAMILY_IPV4};
    struct bl_table_build *build = NULL;
    struct list list = {.n = 0};
    struct traffic traffic = {.list = &list};
    int class;
    int error;

    argp_err_exit_status = EXIT_USAGE;
    argp_parse(&parser, argc, argv, 0, NULL, &options);
    class = find_class(options.class_name);
    if (class == TRAFFIC_CLASSES) {
        fprintf(stderr, "wire_input: --class %s: expected syn, drop, reset, other, allowed, mixed ...\n",
                options.class_name);
        return EXIT_USAGE;
    }
    traffic.seed = options.seed;
    error = list_make(&list, options.family, options.n_entries < NETWORKS_BELOW ? LIST_DROP : LIST_CLUSTERED,
                      options.n_entries, options.seed);
    if (error == BL_OK)
        error = list_build(&build, &list, 1);
    if (error == BL_OK) {
        traffic.table = bl_table_build_master(build);
        error = write_table(options.table, &list, bl_table_build_digest(build), traffic_kinds[class].action);
    }
    if (error == BL_OK)
        error = write_capture(&options, &traffic, (enum traffic_class) class);
    if (build != NULL)
        bl_table_build_free(build);
    list_free(&list);
    return error == BL_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
