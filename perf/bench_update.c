/* bench_update: how fast updates become durable, and enforced; against Redis, PostgreSQL and etcd.
 *
 *   durable   clients that each send a batch, wait until it is on disk, and send the next: updates a second, and the time
 *             of a batch; all contenders in turns
 *   enforced  the same until every worker of a data plane has the batch, which only Bounceline has
 *   latency   a delist, from the time it was due until every worker of a real data plane has it, while other updates come
 *   import    `bounceline import` of a file, until it is enforced; alone, and with delists beside it
 *   start     the control plane's start with that list, and its memory
 *
 * All servers run in a folder of the bench on the disk that --directory names. perf/README.md says how it is made.
 * Exit codes: 0 measured, 1 a contender failed or answered wrongly, 2 usage, 77 nothing can be measured here. */
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench_update.h"
#include "machine.h"
#include "options.h"

enum { EXIT_USAGE = 2, EXIT_SKIPPED = 77, TREE_FDS = 16 };

static const struct argp_option option_list[] = {
    {"quick", 'q', NULL, 0, "Under a minute: fewer cells, shorter turns, an import of 100 k", 0},
    {"only", 'o', "SECTION", 0, "durable, enforced, latency, import or start (which makes import's list)", 0},
    {"alone", 'a', NULL, 0, "Section durable without the peers", 0},
    {"rounds", 'r', "N", 0, "Rounds of durable and enforced, 1..51 (default: 5, quick 3)", 0},
    {"entries", 'n', "N", 0, "Addresses of the import (default: 1000000, quick 100000)", 0},
    {"ten-million", 't', NULL, 0, "Section start with 10 M entries, too", 0},
    {"directory", 'd', "DIR", 0, "On the disk to measure (default: /var/tmp); at most 48 characters", 0},
    {"csv", 'f', "FILE", 0, "Write every figure there too", 0},
    {0},
};

static void read_section(struct bench *bench, const char *text, const struct argp_state *state)
{
    static const char *const names[] = {"durable", "enforced", "latency", "import", "start"};

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(text, names[i]) == 0) {
            bench->sections = 1u << i;
            return;
        }
    }
    argp_error(state, "--only %s: expected durable, enforced, latency, import or start", text);
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct bench *bench = state->input;

    switch (key) {
    case 'q':
        bench->quick = true;
        return 0;
    case 'o':
        read_section(bench, argument, state);
        return 0;
    case 'r':
        bench->rounds = (unsigned)options_read_number(argument, 1, MEASURE_ROUNDS_MAX, "rounds", state);
        return 0;
    case 'n':
        bench->n_entries = (uint32_t)options_read_number(argument, 1000, 2000000, "entries", state);
        return 0;
    case 'a':
        bench->alone = true;
        return 0;
    case 't':
        bench->ten_million = true;
        return 0;
    case 'd':
        if (strlen(argument) > 48)
            argp_error(state, "--directory: expected at most 48 characters, for the sockets in it");
        bench->parent = argument;
        return 0;
    case 'f':
        bench->csv_path = argument;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "%s: expected options only", argument);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp parser = {
    option_list,
    parse_option,
    NULL,
    "Measures how fast updates become durable and enforced, against Redis, PostgreSQL and etcd on the same disk, "
    "interleaved. Runs them itself, in a folder of its own. Needs root, for the data plane and PostgreSQL's user.",
    NULL,
    NULL,
    NULL};

void bench_row(struct bench *bench, const struct bench_figure *figure, const char *remark)
{
    const struct measure_summary *value = &figure->value;

    (void)printf("%-32s %-26s %-12s %12.2f %-10s %10.2f .. %-10.2f %s\n", figure->of, figure->contender,
                 figure->measure, value->median, figure->unit, value->low, value->high, remark);
    (void)fflush(stdout);
    if (bench->csv == NULL)
        return;
    (void)fprintf(bench->csv, "%s,%s,%s,%s,%.6g,%.6g,%.6g\n", figure->of, figure->contender, figure->measure,
                  figure->unit, value->median, value->low, value->high);
    (void)fflush(bench->csv);
}

void bench_fail(struct bench *bench, const char *what, const char *why)
{
    (void)fprintf(stderr, "bench_update: %s: %s\n", what, why);
    bench->failed = true;
}

void bench_miss(const char *what, const char *why)
{
    (void)printf("%s: not measured: %s\n", what, why);
}

int bench_start(struct bench *bench, struct sink *sink, const struct sink_kind *kind)
{
    static unsigned n;

    *sink = (struct sink){.kind = kind};
    (void)snprintf(sink->directory, sizeof(sink->directory), "%s/%u", bench->directory, n++);
    if (mkdir(sink->directory, 0700) != 0) {
        bench_fail(bench, sink->directory, strerror(errno));
        return -1;
    }
    if (kind->start(sink) == 0)
        return 0;
    bench_fail(bench, kind->name, sink->why);
    return -1;
}

static int remove_one(const char *path, const struct stat *facts, int flag, struct FTW *where)
{
    (void)facts;
    (void)flag;
    (void)where;
    return remove(path);
}

static int run(struct bench *bench)
{
    char directory[SINK_PATH_MAX];

    (void)snprintf(directory, sizeof(directory), "%s/bench_update.XXXXXX", bench->parent);
    if (mkdtemp(directory) == NULL) {
        (void)fprintf(stderr, "bench_update: %s: %s\n", bench->parent, strerror(errno));
        return EXIT_SKIPPED;
    }
    (void)chmod(directory, 0755);
    bench->directory = directory;
    machine_print(stdout, "", 2);
    if ((bench->sections & BENCH_DURABLE) != 0)
        bench_durable(bench);
    if ((bench->sections & BENCH_ENFORCED) != 0)
        bench_enforced(bench);
    if ((bench->sections & (BENCH_LATENCY | BENCH_IMPORT | BENCH_START)) != 0)
        bench_delists(bench);
    if (!bench->failed)
        (void)nftw(directory, remove_one, TREE_FDS, FTW_DEPTH | FTW_PHYS);
    return bench->failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct bench bench = {.parent = "/var/tmp", .sections = BENCH_ALL};
    int code;

    argp_err_exit_status = EXIT_USAGE;
    if (argp_parse(&parser, argc, argv, 0, NULL, &bench) != 0)
        return EXIT_USAGE;
    if (geteuid() != 0) {
        (void)fprintf(stderr, "bench_update: expected root, for the data plane and PostgreSQL's user\n");
        return EXIT_SKIPPED;
    }
    bench.rounds = bench.rounds != 0 ? bench.rounds : bench.quick ? 3 : 5;
    bench.n_entries = bench.n_entries != 0 ? bench.n_entries : bench.quick ? 100000 : 1000000;
    bench.csv = bench.csv_path == NULL ? NULL : fopen(bench.csv_path, "w");
    if (bench.csv_path != NULL && bench.csv == NULL) {
        (void)fprintf(stderr, "bench_update: %s: %s\n", bench.csv_path, strerror(errno));
        return EXIT_USAGE;
    }
    if (bench.csv != NULL)
        (void)fprintf(bench.csv, "case,contender,measure,unit,value,low,high\n");
    code = run(&bench);
    if (bench.csv != NULL && fclose(bench.csv) != 0)
        code = EXIT_FAILURE;
    return code;
}
