/* bench_table: the prefix table against DPDK's own structures, in one run. See --help and perf/README.md.
 *
 *   list ─▶ contenders (ours, "one access", peers) ─▶ rounds of turns ─▶ updates ─▶ report, CSV
 *
 * All contenders that fit into memory together are built, compared with ours on every key, and measured in turns; those
 * that do not fit together make further groups, each with ours. Exit: 0 measured, 1 something failed (answers that
 * differ, no memory for ours), 2 usage. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "machine.h"
#include "options.h"
#include "report.h"

enum {
    EXIT_USAGE = 2,
    FILES_MAX = 8,
    KINDS = 3 + CONTENDER_FIB_SIZES + CONTENDER_FIB6_SIZES,
    ROUNDS_QUICK = 5,
    ROUNDS_FULL = 11,
    KEYS_QUICK = 1 << 17,
    KEYS_FULL = 1 << 20,
    UPDATES_QUICK = 500,
    UPDATES_FULL = 4000,
};

/* The lists that are made, and what issue 4 asks of them. */
static const struct plan {
    const char *name;
    uint8_t family;
    enum list_shape shape;
    size_t n;
    bool quick;
    struct report_bar bar;
} plans[] = {
    {"1.5 k networks", BL_FAMILY_IPV4, LIST_DROP, 1500, true, {4, 0.3, 2.5}},
    {"100 k clustered", BL_FAMILY_IPV4, LIST_CLUSTERED, 100000, true, {3, 1, 2.5}},
    {"100 k uniform", BL_FAMILY_IPV4, LIST_UNIFORM, 100000, true, {3, 1, 2.5}},
    {"1 M clustered", BL_FAMILY_IPV4, LIST_CLUSTERED, 1000000, false, {2.5, 6, 2.5}},
    {"1 M uniform", BL_FAMILY_IPV4, LIST_UNIFORM, 1000000, false, {3.5, 6, 2.5}},
    {"10 M clustered", BL_FAMILY_IPV4, LIST_CLUSTERED, 10000000, false, {2, 48, 0}},
    {"10 M uniform", BL_FAMILY_IPV4, LIST_UNIFORM, 10000000, false, {2.5, 48, 0}},
    {"IPv6 80 networks", BL_FAMILY_IPV6, LIST_DROP, 80, true, {1, 0, 0}},
    {"IPv6 100 k clustered", BL_FAMILY_IPV6, LIST_CLUSTERED, 100000, true, {3, 4, 0}},
    {"IPv6 100 k uniform", BL_FAMILY_IPV6, LIST_UNIFORM, 100000, false, {3, 4, 0}},
    {"IPv6 1 M clustered", BL_FAMILY_IPV6, LIST_CLUSTERED, 1000000, false, {3, 22, 0}},
    {"IPv6 1 M uniform", BL_FAMILY_IPV6, LIST_UNIFORM, 1000000, false, {3, 22, 0}},
};

struct options {
    bool quick;
    bool ordinary;
    unsigned rounds;
    unsigned cores;
    unsigned cpus;
    uint64_t seed;
    const char *only;
    const char *csv_path;
    const char *files[FILES_MAX];
    unsigned n_files;
};

/* One structure while it exists. */
struct entrant {
    const struct contender_kind *kind;
    void *state;
    double build_ms;
};

struct bench {
    struct options options;
    FILE *csv;
    bool on_terminal;
    struct keys keys[KEYS_STREAMS];
    struct entrant ours;
    struct entrant floor_array;
    struct entrant peers[KINDS];
    unsigned n_peers;
    struct report report;
    struct report_result results[REPORT_RESULTS_MAX];
    char notes[REPORT_NOTES_MAX][2 * CONTENDER_WHY_MAX];
    bool failed;
};

static const struct argp_option option_list[] = {
    {"quick", 'q', NULL, 0, "Under a minute: lists up to 100 k, 5 rounds, fewer keys", 0},
    {"list", 'l', "FILE", 0, "A list of prefixes, one a line, gzipped or not, instead of the made ones (up to 8)", 0},
    {"only", 'o', "TEXT", 0, "Only lists whose name has TEXT in it", 0},
    {"rounds", 'r', "N", 0, "Rounds, 3..51 (default: 11, quick 5)", 0},
    {"cores", 'c', "N", 0, "1, or 2 to measure on two at once too (default: 2 if there are two)", 0},
    {"seed", 's', "N", 0, "What the made lists come from (default: 1)", 0},
    {"ordinary-memory", 'm', NULL, 0, "No huge pages: slower for all, but there is more of it for the largest peers",
     0},
    {"csv", 'f', "FILE", 0, "Write every figure there too", 0},
    {0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct options *options = state->input;

    switch (key) {
    case 'q':
        options->quick = true;
        return 0;
    case 'm':
        options->ordinary = true;
        return 0;
    case 'l':
        if (options->n_files == FILES_MAX)
            argp_error(state, "--list: expected at most %d of them", FILES_MAX);
        options->files[options->n_files++] = argument;
        return 0;
    case 'o':
        options->only = argument;
        return 0;
    case 'r':
        options->rounds = (unsigned)options_read_number(argument, 3, MEASURE_ROUNDS_MAX, "rounds", state);
        return 0;
    case 'c':
        options->cores = (unsigned)options_read_number(argument, 1, CONTENDER_CORES_MAX, "cores", state);
        return 0;
    case 's':
        options->seed = options_read_number(argument, 0, UINT32_MAX, "seed", state);
        return 0;
    case 'f':
        options->csv_path = argument;
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
    "Measures Bounceline's prefix table against rte_lpm, rte_fib, rte_hash, rte_lpm6, rte_fib6 and one random "
    "access, interleaved, on the same keys. Needs root for huge pages; without any it says so.",
    NULL,
    NULL,
    NULL};

static void progress(const struct bench *bench, const char *what, const char *whose)
{
    if (bench->on_terminal)
        fprintf(stderr, "\r\033[K%s: %s %s", bench->report.list->name, what, whose);
}

static void __attribute__((format(printf, 2, 3))) note(struct bench *bench, const char *format, ...)
{
    va_list arguments;

    if (bench->report.n_notes == REPORT_NOTES_MAX)
        return;
    va_start(arguments, format);
    vsnprintf(bench->notes[bench->report.n_notes++], sizeof(bench->notes[0]), format, arguments);
    va_end(arguments);
}

static bool build(struct bench *bench, struct entrant *entrant, const struct contender_kind *kind)
{
    char why[CONTENDER_WHY_MAX] = "";
    uint64_t start;

    progress(bench, "building", kind->name);
    start = rte_rdtsc();
    *entrant = (struct entrant){.kind = kind, .state = kind->build(bench->report.list, why)};
    entrant->build_ms = (double)(rte_rdtsc() - start) * 1e3 / (double)rte_get_tsc_hz();
    if (entrant->state == NULL)
        note(bench, "not run: %s: %s", kind->name, why);
    return entrant->state != NULL;
}

static void drop(struct entrant *entrant)
{
    if (entrant->state != NULL)
        entrant->kind->free(entrant->state);
    entrant->state = NULL;
}

/* Every key's answer must be ours. A structure of hosts is judged where it finds one. */
static bool agrees(struct bench *bench, const struct entrant *entrant, const struct keys *keys)
{
    const struct contender_kind *kind = entrant->kind;
    union contender_results expected;
    union contender_results results;

    for (size_t at = 0; !kind->no_answers && at < keys->n; at += CONTENDER_BURST) {
        contender_ours.lookup(bench->ours.state, 0, keys, at, CONTENDER_BURST, &expected);
        kind->lookup(entrant->state, 0, keys, at, CONTENDER_BURST, &results);
        for (unsigned i = 0; i < CONTENDER_BURST; i++) {
            uint8_t ours = contender_ours.class_of(bench->ours.state, &expected, i);
            uint8_t theirs = kind->class_of(entrant->state, &results, i);
            struct bl_address address = {.family = keys->family};
            char text[BL_ADDRESS_TEXT_MAX];

            if (ours == theirs || (kind->hosts_only && theirs == BL_CLASS_NONE))
                continue;
            if (keys->family == BL_FAMILY_IPV4)
                bl_address_from_ip4(keys->ip4[at + i], address.bytes);
            else
                bl_address_from_ip6(keys->ip6[at + i], address.bytes);
            note(bench, "FAILED: %s is of class %u for us, of class %u for %s", bl_address_format(&address, text), ours,
                 theirs, kind->name);
            return false;
        }
    }
    return true;
}

/* A row of the report for each way to look up in the structure. */
static void add_results(struct bench *bench, const struct entrant *entrant, unsigned group)
{
    const struct contender_kind *kind = entrant->kind;

    for (unsigned variant = 0; variant < CONTENDER_VARIANTS_MAX && kind->variants[variant] != NULL; variant++) {
        struct report_result *result = &bench->results[bench->report.n_results];
        bool agreed = true;

        if (bench->report.n_results == REPORT_RESULTS_MAX)
            return;
        if (kind->select != NULL && !kind->select(entrant->state, variant))
            continue;
        for (unsigned stream = 0; agreed && stream < KEYS_STREAMS; stream++)
            agreed = agrees(bench, entrant, &bench->keys[stream]);
        if (!agreed) {
            bench->failed = true;
            continue;
        }
        *result = (struct report_result){.kind = kind, .group = group, .variant = variant};
        snprintf(result->label, sizeof(result->label), "%s%s%s", kind->name,
                 *kind->variants[variant] != '\0' ? " " : "", kind->variants[variant]);
        result->memory = kind->memory(entrant->state);
        result->build_ms = entrant->build_ms;
        bench->report.n_results++;
    }
}

static const struct entrant *entrant_of(const struct bench *bench, const struct report_result *result)
{
    if (result->kind == &contender_ours)
        return &bench->ours;
    if (result->kind == &contender_floor)
        return &bench->floor_array;
    for (unsigned i = 0; i < bench->n_peers; i++)
        if (bench->peers[i].kind == result->kind)
            return &bench->peers[i];
    return NULL;
}

static void take_turn(struct bench *bench, struct report_result *result, unsigned cell)
{
    const struct entrant *entrant = entrant_of(bench, result);
    unsigned n_cores = cell >= KEYS_STREAMS ? 2 : 1;
    bool ours = result->kind == &contender_ours;

    /* Peers are not replicated, and the floor is of one replica. */
    if (cell == REPORT_TWO_OWN && !ours)
        return;
    if (result->kind->select != NULL)
        (void)result->kind->select(entrant->state, result->variant);
    if (ours)
        contender_ours_share(entrant->state, cell == REPORT_TWO_SHARED);
    result->ns[cell][result->n_rounds[cell]++] =
        measure_turn(result->kind, entrant->state, &bench->keys[cell < KEYS_STREAMS ? cell : KEYS_HITS], n_cores);
}

/* Each round begins with another one, so that nobody always follows the same. */
static void run_rounds(struct bench *bench, unsigned first)
{
    unsigned n = bench->report.n_results - first;
    unsigned n_cells = bench->options.cores > 1 ? REPORT_CELLS : KEYS_STREAMS;
    char text[32];

    for (unsigned round = 0; round < bench->options.rounds; round++) {
        snprintf(text, sizeof(text), "%u of %u", round + 1, bench->options.rounds);
        progress(bench, "round", text);
        for (unsigned cell = 0; cell < n_cells; cell++)
            for (unsigned i = 0; i < n; i++)
                take_turn(bench, &bench->results[first + (i + round) % n], cell);
    }
}

static void update(struct bench *bench, struct entrant *entrant, unsigned first)
{
    size_t n = bench->options.quick ? UPDATES_QUICK : UPDATES_FULL;

    if (entrant->kind->set == NULL)
        return;
    progress(bench, "changing", entrant->kind->name);
    for (unsigned i = first; i < bench->report.n_results; i++) {
        struct report_result *result = &bench->results[i];

        if (result->kind != entrant->kind || result->variant != 0)
            continue;
        update_measure(entrant->kind, entrant->state, bench->report.list, &bench->keys[KEYS_HITS], n, &result->update);
        if (result->update.why[0] != '\0')
            note(bench, "%s: %s", result->label, result->update.why);
    }
}

/* One group: those of @p kinds from @p from on that fit together. @return where the next group starts. */
static unsigned run_group(struct bench *bench, const struct contender_kind *const kinds[KINDS], unsigned from,
                          unsigned group)
{
    uint64_t room = machine_free_bytes() / 20 * 19;
    unsigned first = bench->report.n_results;
    char why[CONTENDER_WHY_MAX];
    unsigned at = from;

    add_results(bench, &bench->ours, group);
    add_results(bench, &bench->floor_array, group);
    for (bench->n_peers = 0; at < KINDS; at++) {
        uint64_t need;

        if (kinds[at]->family != BL_FAMILY_NONE && kinds[at]->family != bench->report.list->family)
            continue;
        need = kinds[at]->need(bench->report.list, why);
        if (need == 0) {
            note(bench, "not run: %s: %s", kinds[at]->name, why);
            continue;
        }
        if (need > room && bench->n_peers > 0)
            break;
        if (need > room) {
            note(bench, "not run: %s: it needs %llu MiB, %llu MiB are free", kinds[at]->name,
                 (unsigned long long)(need >> 20), (unsigned long long)(room >> 20));
            continue;
        }
        room -= need;
        if (!build(bench, &bench->peers[bench->n_peers], kinds[at]))
            continue;
        add_results(bench, &bench->peers[bench->n_peers++], group);
    }
    if (bench->n_peers > 0 || group == 0)
        run_rounds(bench, first);
    else
        bench->report.n_results = first;
    for (unsigned i = 0; i < bench->n_peers; i++) {
        const struct contender_kind *kind = bench->peers[i].kind;

        if (kind->remark != NULL && kind->remark(bench->peers[i].state) != NULL)
            note(bench, "%s: %s", kind->name, kind->remark(bench->peers[i].state));
        update(bench, &bench->peers[i], first);
        drop(&bench->peers[i]);
    }
    return at;
}

static void run_groups(struct bench *bench)
{
    const struct contender_kind *const kinds[KINDS] = {
        &contender_lpm,  &contender_fib[0], &contender_fib[1],  &contender_fib[2],  &contender_fib[3],
        &contender_hash, &contender_lpm6,   &contender_fib6[0], &contender_fib6[1],
    };
    unsigned group = 0;

    for (unsigned at = 0; at < KINDS && kinds[at] != NULL; group++)
        at = run_group(bench, kinds, at, group);
    if (group > 1)
        note(bench, "not all fit into memory together: measured in %u groups, each with ours and its own ratios",
             group);
}

static bool make_keys(struct bench *bench)
{
    const struct bl_table *table = contender_ours_replica(bench->ours.state, 0);
    size_t n = bench->options.quick ? KEYS_QUICK : KEYS_FULL;

    progress(bench, "making", "keys");
    for (unsigned stream = 0; stream < KEYS_STREAMS; stream++)
        if (keys_make(&bench->keys[stream], bench->report.list, (enum keys_stream)stream, n, table) != BL_OK)
            return false;
    return true;
}

static void run_list(struct bench *bench, struct list *list, struct report_bar bar)
{
    bench->report = (struct report){.list = list, .bar = bar, .results = bench->results, .notes = bench->notes};
    if (build(bench, &bench->ours, &contender_ours) && make_keys(bench)) {
        list->replica_bytes = contender_ours.memory(bench->ours.state).lookup;
        if (build(bench, &bench->floor_array, &contender_floor)) {
            run_groups(bench);
            bench->results[0].copy_ms = contender_ours_copy_ms(bench->ours.state);
            update(bench, &bench->ours, 0);
        }
    } else {
        bench->failed = true;
    }
    if (bench->on_terminal)
        fprintf(stderr, "\r\033[K");
    printf("== %s: %zu entries, %zu of them hosts\n", list->name, list->n, list->n_hosts);
    report_print(stdout, &bench->report);
    if (bench->csv != NULL)
        report_csv(bench->csv, &bench->report);
    drop(&bench->ours);
    drop(&bench->floor_array);
    for (unsigned stream = 0; stream < KEYS_STREAMS; stream++)
        keys_free(&bench->keys[stream]);
}

static bool is_wanted(const struct bench *bench, const char *name)
{
    return bench->options.only == NULL || strstr(name, bench->options.only) != NULL;
}

static unsigned run_plans(struct bench *bench)
{
    unsigned n = 0;

    for (unsigned i = 0; i < sizeof(plans) / sizeof(plans[0]); i++) {
        const struct plan *plan = &plans[i];
        struct list list;

        if (!is_wanted(bench, plan->name) || (bench->options.quick && !plan->quick))
            continue;
        n++;
        if (bench->on_terminal)
            fprintf(stderr, "\r\033[K%s: making the list", plan->name);
        if (list_make(&list, plan->family, plan->shape, plan->n, bench->options.seed) != BL_OK) {
            printf("== %s: no memory for the list\n", plan->name);
            bench->failed = true;
            continue;
        }
        snprintf(list.name, sizeof(list.name), "%s", plan->name);
        run_list(bench, &list, plan->bar);
        list_free(&list);
    }
    return n;
}

/* A file's IPv4 and IPv6 prefixes are two lists. @return false when it cannot be read. */
static bool run_file(struct bench *bench, const char *path)
{
    static const uint8_t families[] = {BL_FAMILY_IPV4, BL_FAMILY_IPV6};
    struct bl_error_detail detail = {""};
    size_t n = 0;

    for (unsigned i = 0; i < 2; i++) {
        struct list list;

        if (list_read(&list, path, families[i], &detail) != BL_OK) {
            fprintf(stderr, "bench_table: %s\n", detail.text);
            return false;
        }
        n += list.n;
        strncat(list.name, families[i] == BL_FAMILY_IPV4 ? " IPv4" : " IPv6", 6);
        if (list.n > 0)
            run_list(bench, &list, (struct report_bar){0, 0, 0});
        list_free(&list);
    }
    if (n == 0)
        fprintf(stderr, "bench_table: %s: no prefixes\n", path);
    return n > 0;
}

static void choose(struct options *options)
{
    if (options->rounds == 0)
        options->rounds = options->quick ? ROUNDS_QUICK : ROUNDS_FULL;
    if (options->cores == 0)
        options->cores = CONTENDER_CORES_MAX;
    options->cpus = machine_cpus();
    if (options->cores > options->cpus)
        options->cores = options->cpus;
}

static int run(struct bench *bench)
{
    const struct options *options = &bench->options;
    unsigned n = options->n_files;

    printf("# bench_table%s: %u rounds, %d keys a stream, %u core%s, seed %llu (keys 1000.., changes 4242)\n",
           options->quick ? " --quick" : "", options->rounds, options->quick ? KEYS_QUICK : KEYS_FULL, options->cores,
           options->cores > 1 ? "s" : "", (unsigned long long)options->seed);
    machine_print(stdout, "# ", options->cpus);
    if (options->cores < 2)
        printf("# not run: two cores at once: %s\n", options->cpus < 2 ? "one CPU may be used" : "--cores 1");
    printf("\n");
    fflush(stdout);
    for (unsigned i = 0; i < options->n_files; i++)
        if (!run_file(bench, options->files[i]))
            return EXIT_USAGE;
    if (options->n_files == 0)
        n = run_plans(bench);
    if (n == 0) {
        fprintf(stderr, "bench_table: --only %s: no list has that in its name\n", options->only);
        return EXIT_USAGE;
    }
    return bench->failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    int code;

    argp_err_exit_status = EXIT_USAGE;
    if (bench == NULL)
        return EXIT_FAILURE;
    bench->options.seed = 1;
    argp_parse(&parser, argc, argv, 0, NULL, &bench->options);
    choose(&bench->options);
    bench->on_terminal = isatty(STDERR_FILENO) != 0;
    if (bench->options.csv_path != NULL && (bench->csv = fopen(bench->options.csv_path, "we")) == NULL) {
        fprintf(stderr, "bench_table: %s: %s\n", bench->options.csv_path, strerror(errno));
        return EXIT_USAGE;
    }
    if (bench->csv != NULL)
        report_csv_head(bench->csv);
    code = EXIT_FAILURE;
    if (machine_start(bench->options.cores, bench->options.ordinary) == 0) {
        code = run(bench);
        machine_stop();
    }
    if (bench->csv != NULL && fclose(bench->csv) != 0)
        code = EXIT_FAILURE;
    free(bench);
    return code;
}
