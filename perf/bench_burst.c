/* bench_burst: what a packet costs a worker, by class, without a port. See --help and perf/README.md.
 *
 *   lists ─▶ tables ─▶ traffic ─▶ path (the product's bl_worker_turn, and two floors) ─▶ rounds ─▶ burst_figures
 *
 * Every round goes through all lists, families and classes once, with other sources each time. A pass whose packets the
 * worker did not all count with the class's reason ends the run. Exit: 0 measured, 1 something failed, 2 usage. */
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_pause.h>

#include "burst_figures.h"
#include "machine.h"
#include "options.h"
#include "path.h"

enum {
    EXIT_USAGE = 2,
    CORES = 2,
    IPV6_ENTRIES_MAX = 1000000,
    ROUNDS_QUICK = 3,
    ROUNDS_FULL = 17,
    FRAMES_QUICK = 1 << 13,
};

static const struct list_plan {
    const char *name;
    enum list_shape shape;
    size_t n;
} list_plans[BURST_LISTS] = {
    {"1.5 k", LIST_DROP, 1500},
    {"1 M", LIST_CLUSTERED, 1000000},
    {"10 M", LIST_CLUSTERED, 10000000},
};

static const uint8_t families[BURST_FAMILIES] = {BL_FAMILY_IPV4, BL_FAMILY_IPV6};

struct options {
    bool large;
    unsigned rounds;
    unsigned cores;
    size_t n_frames;
    size_t window;
    uint64_t seed;
    const char *only;
    const char *csv_path;
};

struct bench {
    struct options options;
    struct list lists[BURST_LISTS][BURST_FAMILIES];
    struct bl_table *replicas[BURST_LISTS][CORES];
    struct path *paths[CORES];
    uint64_t n_loaded; /* frames so far: each has a number of its own */
    struct burst_figures figures;
};

static const struct argp_option option_list[] = {
    {"quick", 'q', NULL, 0, "3 rounds, passes of 8192 frames: some seconds, no result", 0},
    {"large", 'l', NULL, 0, "The list of 10 M too; 1.5 GiB more memory", 0},
    {"rounds", 'r', "N", 0, "3..51 (default: 17)", 0},
    {"cores", 'c', "N", 0, "1 or 2: two workers at once too (default: 2 where there are two CPUs)", 0},
    {"window", 'w', "N", 0, "Frames that lie ready in buffers: 64..65536, a multiple of 64 (default: 512)", 0},
    {"seed", 's', "N", 0, "Of lists and sources (default: 1)", 0},
    {"only", 'o', "PART", 0, "Of the rows, those with this in their names, as the CSV has them", 0},
    {"csv", 'f', "FILE", 0, "Write the figures there too", 0},
    {0},
};

static error_t parse_option(int option, char *argument, struct argp_state *state)
{
    struct options *options = state->input;

    switch (option) {
    case 'q':
        options->rounds = ROUNDS_QUICK;
        options->n_frames = FRAMES_QUICK;
        return 0;
    case 'l':
        options->large = true;
        return 0;
    case 'r':
        options->rounds = (unsigned)options_read_number(argument, 3, MEASURE_ROUNDS_MAX, "rounds", state);
        return 0;
    case 'c':
        options->cores = (unsigned)options_read_number(argument, 1, CORES, "cores", state);
        return 0;
    case 'w':
        options->window = options_read_number(argument, BL_WORKER_BURST, PATH_FRAMES_MAX, "window", state) /
                          BL_WORKER_BURST * BL_WORKER_BURST;
        return 0;
    case 's':
        options->seed = options_read_number(argument, 0, UINT32_MAX, "seed", state);
        return 0;
    case 'o':
        options->only = argument;
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
    "Measures what a packet of each class costs a worker of the data plane, on prepared frames between two stub ports.",
    NULL,
    NULL,
    NULL};

/* ---- lists and tables ---- */

static struct bl_table *copy_table(const struct bl_table *table)
{
    size_t size = bl_table_size(table);
    struct bl_table *copy = rte_malloc("bl_replica", size, BL_TABLE_ALIGN);

    return copy == NULL ? NULL : memcpy(copy, table, size);
}

static int create_list(struct bench *bench, unsigned at)
{
    const struct list_plan *plan = &list_plans[at];
    struct bl_table_build *build = NULL;
    int error = BL_OK;

    for (unsigned i = 0; i < BURST_FAMILIES && error == BL_OK; i++) {
        size_t n = families[i] == BL_FAMILY_IPV6 && plan->n > IPV6_ENTRIES_MAX ? IPV6_ENTRIES_MAX : plan->n;

        error = list_make(&bench->lists[at][i], families[i], plan->shape, n, bench->options.seed + at);
    }
    if (error == BL_OK)
        error = list_build(&build, bench->lists[at], BURST_FAMILIES);
    for (unsigned i = 0; i < bench->options.cores && error == BL_OK; i++)
        bench->replicas[at][i] = copy_table(bl_table_build_master(build));
    if (build != NULL)
        bl_table_build_free(build);
    for (unsigned i = 0; i < bench->options.cores; i++)
        if (bench->replicas[at][i] == NULL) {
            fprintf(stderr, "bench_burst: no memory for the list of %s\n", plan->name);
            return BL_ENOMEM;
        }
    bench->figures.lists[at] =
        (struct burst_list){.name = plan->name, .table_bytes = bl_table_size(bench->replicas[at][0])};
    for (unsigned i = 0; i < BURST_FAMILIES; i++)
        bench->figures.lists[at].n_entries[i] = bench->lists[at][i].n;
    return BL_OK;
}

static int create(struct bench *bench)
{
    unsigned lcore = (unsigned)-1;
    int error = BL_OK;

    bench->figures.n_lists = bench->options.large ? BURST_LISTS : BURST_LISTS - 1;
    for (unsigned i = 0; i < bench->options.cores && error == BL_OK; i++) {
        lcore = rte_get_next_lcore(lcore, 0, 0);
        error = path_create(&bench->paths[i], i, lcore, bench->options.window);
    }
    for (unsigned i = 0; i < bench->figures.n_lists && error == BL_OK; i++)
        error = create_list(bench, i);
    return error;
}

static void free_all(struct bench *bench)
{
    for (unsigned i = 0; i < CORES; i++)
        if (bench->paths[i] != NULL)
            path_free(bench->paths[i]);
    for (unsigned i = 0; i < BURST_LISTS; i++) {
        for (unsigned k = 0; k < BURST_FAMILIES; k++)
            list_free(&bench->lists[i][k]);
        for (unsigned k = 0; k < CORES; k++)
            rte_free(bench->replicas[i][k]);
    }
}

/* ---- rounds ---- */

/* One list and family, in one round. */
struct turn {
    struct bench *bench;
    struct traffic traffic;
    unsigned list;
    unsigned family;
    unsigned round;
};

static void set_ns(const struct turn *turn, unsigned row, double ns)
{
    turn->bench->figures.ns[turn->list][turn->family][row][turn->round] = ns;
}

static void load(const struct turn *turn, unsigned core, enum traffic_class class, size_t n)
{
    struct bench *bench = turn->bench;

    path_set(bench->paths[core], bench->replicas[turn->list][core], traffic_kinds[class].action);
    bench->n_loaded += n;
    path_load(bench->paths[core], &turn->traffic, class, bench->n_loaded - n, n);
}

/* All packets of the pass must have met the fate that they were made for. */
static int expect(struct path *path, enum traffic_class class, uint64_t n)
{
    const struct traffic_kind *kind = &traffic_kinds[class];
    uint64_t counted = path_count(path, kind->reason);

    if (class == TRAFFIC_MIXED)
        counted += path_count(path, BL_REASON_PASS_NOT_LISTED);
    if (counted == n)
        return BL_OK;
    fprintf(stderr, "bench_burst: %s: %llu of %llu packets were counted as %s\n", kind->name,
            (unsigned long long)counted, (unsigned long long)n, bl_verdict_reason_name(kind->reason));
    for (unsigned reason = 0; reason < BL_REASON_COUNT; reason++)
        if ((counted = path_count(path, (enum bl_reason)reason)) != 0)
            fprintf(stderr, "    %s: %llu\n", bl_verdict_reason_name(reason), (unsigned long long)counted);
    return BL_EINVAL;
}

/* Of a pass of @p n packets. */
static void set_steps(const struct turn *turn, enum traffic_class class, size_t n)
{
    for (unsigned step = 0; step < BL_STEP_COUNT; step++)
        turn->bench->figures.steps[turn->list][turn->family][class][step] =
            (double)path_step(turn->bench->paths[0], (enum bl_step)step) * 1e9 / (double)rte_get_tsc_hz() / (double)n;
}

static int measure_class(const struct turn *turn, enum traffic_class class)
{
    struct path *path = turn->bench->paths[0];
    size_t n = turn->bench->options.n_frames;
    int error;

    load(turn, 0, class, n);
    error = path_run(path, PATH_WORKER);
    set_ns(turn, class, path_ns(path, 0, n));
    set_steps(turn, class, n);
    return error != BL_OK ? error : expect(path, class, n);
}

/* What does not depend on the class: the same frames from the other side, and without the worker. */
static int measure_floors(const struct turn *turn)
{
    struct path *path = turn->bench->paths[0];
    size_t n = turn->bench->options.n_frames;
    int error;

    load(turn, 0, TRAFFIC_OTHER, n);
    path->side = BL_SIDE_LAN;
    error = path_run(path, PATH_WORKER);
    set_ns(turn, BURST_ROW_LAN, path_ns(path, 0, n));
    if (error == BL_OK && path_count(path, BL_REASON_PASS_FROM_LAN) != n)
        error = BL_EINVAL;
    path->side = BL_SIDE_WAN;
    if (error == BL_OK)
        error = path_run(path, PATH_FORWARD);
    set_ns(turn, BURST_ROW_FORWARD, path_ns(path, 0, n));
    if (error == BL_OK)
        error = path_run(path, PATH_RECEIVE);
    set_ns(turn, BURST_ROW_RECEIVE, path_ns(path, 0, n));
    return error;
}

/* So many dialogues at once: all SYNs, then all ACKs, and so on. */
static int measure_dialogue(const struct turn *turn)
{
    struct bench *bench = turn->bench;
    struct path *path = bench->paths[0];
    size_t n = bench->options.n_frames / TRAFFIC_DIALOGUE;
    double sum = 0;
    int error;

    path_set(path, bench->replicas[turn->list][0], BL_ACTION_REJECT);
    for (unsigned class = 0; class < TRAFFIC_DIALOGUE; class ++)
        path_load(path, &turn->traffic, (enum traffic_class) class, bench->n_loaded, n);
    bench->n_loaded += n;
    error = path_run(path, PATH_WORKER);
    for (unsigned class = 0; class < TRAFFIC_DIALOGUE; class ++) {
        double ns = path_ns(path, class * n, n);

        sum += ns;
        set_ns(turn, class, ns);
    }
    set_ns(turn, BURST_ROW_DIALOGUE, sum);
    set_steps(turn, TRAFFIC_SYN, n); /* of the whole dialogue */
    for (unsigned class = 0; class < TRAFFIC_DIALOGUE && error == BL_OK; class ++)
        if (class != TRAFFIC_MAIL) /* counted with EHLO */
            error = expect(path, (enum traffic_class) class, class == TRAFFIC_EHLO ? 2 * n : n);
    return error;
}

/* Two workers start together. */
struct race {
    struct path *path;
    unsigned *n_ready;
};

static int run_race(void *argument)
{
    const struct race *race = argument;

    __atomic_fetch_add(race->n_ready, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(race->n_ready, __ATOMIC_ACQUIRE) < CORES)
        rte_pause();
    return path_run(race->path, PATH_WORKER);
}

static int measure_two(const struct turn *turn)
{
    struct bench *bench = turn->bench;
    size_t n = bench->options.n_frames;
    unsigned n_ready = 0;
    struct race races[CORES];
    double ns = 0;
    int error;

    for (unsigned i = 0; i < CORES; i++) {
        races[i] = (struct race){bench->paths[i], &n_ready};
        load(turn, i, TRAFFIC_ALLOWED, n);
    }
    rte_eal_remote_launch(run_race, &races[1], bench->paths[1]->lcore);
    error = run_race(&races[0]);
    if (rte_eal_wait_lcore(bench->paths[1]->lcore) != 0)
        error = BL_ENOMEM;
    for (unsigned i = 0; i < CORES && error == BL_OK; i++) {
        ns += path_ns(bench->paths[i], 0, n) / CORES;
        error = expect(bench->paths[i], TRAFFIC_ALLOWED, n);
    }
    set_ns(turn, BURST_ROW_ALLOWED_TWO, ns);
    return error;
}

static bool is_wanted(const struct bench *bench, unsigned row)
{
    return (bench->figures.rows >> row & 1) != 0;
}

static int measure_all(const struct turn *turn)
{
    const struct bench *bench = turn->bench;
    int error = BL_OK;

    if (is_wanted(bench, BURST_ROW_DIALOGUE))
        error = measure_dialogue(turn);
    for (unsigned class = TRAFFIC_DIALOGUE; class < TRAFFIC_CLASSES && error == BL_OK; class ++)
        if (is_wanted(bench, class))
            error = measure_class(turn, (enum traffic_class) class);
    if (error == BL_OK && is_wanted(bench, BURST_ROW_LAN))
        error = measure_floors(turn);
    if (error == BL_OK && is_wanted(bench, BURST_ROW_ALLOWED_TWO))
        error = measure_two(turn);
    return error;
}

/* What is measured together is wanted together: a dialogue with its frames, and the floors. */
static int choose_rows(struct bench *bench)
{
    static const uint64_t together[] = {UINT64_C(1) << BURST_ROW_DIALOGUE | ((UINT64_C(1) << TRAFFIC_DIALOGUE) - 1),
                                        UINT64_C(1) << BURST_ROW_LAN | UINT64_C(1) << BURST_ROW_FORWARD |
                                            UINT64_C(1) << BURST_ROW_RECEIVE};
    uint64_t *rows = &bench->figures.rows;

    for (unsigned row = 0; row < BURST_ROWS; row++)
        if (bench->options.only == NULL || strstr(burst_figures_row_name(row), bench->options.only) != NULL)
            *rows |= UINT64_C(1) << row;
    for (unsigned i = 0; i < sizeof(together) / sizeof(together[0]); i++)
        if ((*rows & together[i]) != 0)
            *rows |= together[i];
    if (bench->options.cores < CORES)
        *rows &= ~(UINT64_C(1) << BURST_ROW_ALLOWED_TWO);
    if (*rows != 0)
        return BL_OK;
    fprintf(stderr, "bench_burst: --only %s: expected a part of one of:", bench->options.only);
    for (unsigned row = 0; row < BURST_ROWS; row++)
        fprintf(stderr, " %s", burst_figures_row_name(row));
    fputc('\n', stderr);
    return BL_EINVAL;
}

static int run_rounds(struct bench *bench)
{
    int error = BL_OK;

    for (unsigned round = 0; round < bench->options.rounds; round++)
        for (unsigned i = 0; i < bench->figures.n_lists * BURST_FAMILIES && error == BL_OK; i++) {
            struct turn turn = {
                .bench = bench, .list = i / BURST_FAMILIES, .family = i % BURST_FAMILIES, .round = round};

            turn.traffic = (struct traffic){
                .list = &bench->lists[turn.list][turn.family],
                .table = bench->replicas[turn.list][0],
                .cookie_key = bench->paths[0]->common->rules.cookie_key,
                .now_s = bench->paths[0]->common->now_s,
                .seed = bench->options.seed,
            };
            error = measure_all(&turn);
        }
    return error;
}

int main(int argc, char **argv)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    unsigned cpus = machine_cpus();
    int error;

    if (bench == NULL)
        return EXIT_FAILURE;
    bench->options = (struct options){.rounds = ROUNDS_FULL,
                                      .cores = cpus < CORES ? 1 : CORES,
                                      .n_frames = PATH_FRAMES_MAX,
                                      .window = 512,
                                      .seed = 1};
    argp_err_exit_status = EXIT_USAGE;
    argp_parse(&parser, argc, argv, 0, NULL, &bench->options);
    if (choose_rows(bench) != BL_OK) {
        free(bench);
        return EXIT_USAGE;
    }
    bench->figures.n_rounds = bench->options.rounds;
    if (machine_start(bench->options.cores, false) != 0)
        return EXIT_FAILURE;
    machine_print(stdout, "# ", cpus);
    printf("# rounds %u, passes of %zu frames from random sources, %zu in buffers at once, seed %llu\n",
           bench->options.rounds, bench->options.n_frames, bench->options.window,
           (unsigned long long)bench->options.seed);
    error = create(bench);
    if (error == BL_OK)
        error = run_rounds(bench);
    if (error == BL_OK)
        error = burst_figures_tell(&bench->figures, bench->options.csv_path);
    free_all(bench);
    machine_stop();
    free(bench);
    return error == BL_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
