/* bench_live: the prefix table in use. See --help and perf/README.md.
 *
 *   list ─▶ table file ─▶ read, build, commit, a replica each worker    how long a start takes
 *        └▶ main core: set, commit ─▶ patches ─▶ 2 workers              what so many changes a second cost each of them
 *
 * Workers look up bursts of 64, 30 % of them hits, and apply what has come between two bursts, each in its own replica.
 * Exit: 0 measured, 1 something failed, 2 usage. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_pause.h>

#include "dataplane/table_file.h"
#include "keys.h"
#include "measure.h"
#include "options.h"

enum {
    EXIT_USAGE = 2,
    WORKERS = 2,
    BURST = 64,
    BUDGET_BYTES = 4096, /* dataplane.patch_step_bytes */
    RING = 1 << 16,
    KEYS = 1 << 20,
    LOADS = 3,
    AT_ONCE = 1024, /* as master.c */
    HUGE_PAGE = 2 << 20,
    FRESH_CLASS = 9, /* no list has it */
    SAMPLES_MAX = 1 << 22,
};

struct options {
    unsigned long n_entries;
    unsigned long per_s;
    unsigned long seconds;
    bool clustered;
    const char *csv_path;
};

struct worker {
    pthread_t thread;
    unsigned cpu;
    struct live *live;
    struct bl_table *replica;
    size_t replica_bytes;
    uint32_t *cycles; /* of each patch */
    size_t n_patches;
    uint64_t patch_cycles;
    uint64_t all_cycles;
    uint64_t n_lookups;
    _Atomic uint64_t n_done; /* worker: release; main: acquire */
};

struct live {
    struct options options;
    FILE *csv; /* NULL: nobody wants it */
    double load_s[LOADS];
    double hz; /* of the TSC */
    struct list list;
    struct keys keys;
    struct bl_table_build *build;
    const struct bl_table_patch *ring[RING];
    _Atomic uint64_t n_sent; /* main: release; workers: acquire */
    _Atomic bool stop;
    struct worker workers[WORKERS];
};

static const struct bl_siphash_key key = {0x0f1e2d3c4b5a6978ULL, 0x8796a5b4c3d2e1f0ULL};

static const struct argp_option option_list[] = {
    {"entries", 'n', "N", 0, "Entries of the list, 1000..16000000 (default: 1000000)", 0},
    {"per-second", 'u', "N", 0, "Changes a second, 1..1000000 (default: 100000)", 0},
    {"seconds", 't', "N", 0, "How long, 1..60 (default: 5)", 0},
    {"clustered", 'c', NULL, 0, "Entries lie in clusters, as in real lists, not uniformly", 0},
    {"quick", 'q', NULL, 0, "A second with 100,000 entries", 0},
    {"csv", 'f', "FILE", 0, "Write the figures there too", 0},
    {0},
};

static error_t parse_option(int option, char *argument, struct argp_state *state)
{
    struct options *options = state->input;

    switch (option) {
    case 'n':
        options->n_entries = options_read_number(argument, 1000, 16000000, "entries", state);
        return 0;
    case 'u':
        options->per_s = options_read_number(argument, 1, 1000000, "per-second", state);
        return 0;
    case 't':
        options->seconds = options_read_number(argument, 1, 60, "seconds", state);
        return 0;
    case 'c':
        options->clustered = true;
        return 0;
    case 'q':
        options->n_entries = 100000;
        options->seconds = 1;
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

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Ticks of taking the time, the least of many: nothing was under way. */
static uint64_t find_overhead(void)
{
    uint64_t least = UINT64_MAX;

    for (unsigned i = 0; i < 1000; i++) {
        uint64_t start = rte_rdtsc_precise();
        uint64_t ticks = rte_rdtsc_precise() - start;

        least = ticks < least ? ticks : least;
    }
    return least;
}

static void pin(unsigned cpu)
{
    cpu_set_t cpus;

    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    (void)pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
}

/* Huge pages where there are some. */
static int copy_replica(struct worker *worker, const struct bl_table *master)
{
    size_t bytes = bl_table_size(master);
    size_t room = (bytes + HUGE_PAGE - 1) & ~(size_t)(HUGE_PAGE - 1);
    void *to = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

    if (worker->replica != NULL)
        munmap(worker->replica, worker->replica_bytes);
    if (to == MAP_FAILED)
        to = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    worker->replica = to == MAP_FAILED ? NULL : to;
    worker->replica_bytes = room;
    if (to == MAP_FAILED)
        return BL_ENOMEM;
    memcpy(to, master, bytes);
    return BL_OK;
}

static int make_file(struct live *live, const char *path)
{
    struct bl_table_file table = {.held = {.epoch = 1, .serial = 1}};
    struct bl_error_detail detail = {""};
    int error = BL_OK;

    for (unsigned i = BL_CLASS_FIRST; i < FRESH_CLASS; i++) {
        table.classes[i] = (struct bl_class){.code = 606, .action = BL_ACTION_REJECT};
        snprintf(table.classes[i].url, sizeof(table.classes[i].url), "https://delist.example.net/{address}");
    }
    for (size_t i = 0; error == BL_OK && i < live->list.n; i++)
        error = bl_entries_add(&table.entries, &live->list.entries[i]);
    if (error == BL_OK)
        error = bl_entries_sort(&table.entries);
    table.held.n_ipv4 = table.entries.columns[BL_ENTRIES_IPV4].n;
    if (error == BL_OK)
        error = bl_table_file_write(path, &table, &detail);
    if (error != BL_OK)
        fprintf(stderr, "bench_live: %s\n", detail.text[0] != '\0' ? detail.text : bl_error_text(error));
    bl_table_file_fini(&table);
    return error;
}

/* See perf/README.md: case, contender, measure, unit, value, low, high. */
static void csv_line(const struct live *live, const char *contender, const char *figure, struct measure_summary value)
{
    if (live->csv != NULL)
        fprintf(live->csv, "%lu entries %s,%s,%s,%.4f,%.4f,%.4f\n", live->options.n_entries,
                live->options.clustered ? "clustered" : "uniform", contender, figure, value.median, value.low,
                value.high);
}

static void csv_value(const struct live *live, const char *contender, const char *figure, double value)
{
    csv_line(live, contender, figure, (struct measure_summary){value, value, value});
}

/* As master.c does it. */
static int build_from(struct live *live, const struct bl_entries *entries)
{
    size_t n = bl_entries_count(entries);
    struct bl_table_entry some[AT_ONCE];
    struct bl_table_patch *patch = NULL;
    bool rebuilt;
    int error = bl_table_build_create(&live->build, 1, &key, n);

    for (size_t i = 0; error == BL_OK && i < n; i += AT_ONCE) {
        size_t n_these = n - i < AT_ONCE ? n - i : AT_ONCE;
        size_t n_done;

        for (size_t at = 0; at < n_these; at++)
            bl_entries_get(entries, i + at, &some[at]);
        error = bl_table_build_load(live->build, some, n_these, &n_done);
    }
    if (error == BL_OK)
        error = bl_table_build_commit(live->build, 1, &patch, &rebuilt);
    bl_table_patch_free(patch);
    return error;
}

static int load(struct live *live, const char *path, double *seconds)
{
    struct bl_table_file table;
    struct bl_error_detail detail = {""};
    double start = now_s();
    double read_end;
    double build_end;
    double end;
    int error = bl_table_file_read(path, &table, &detail);

    read_end = now_s();
    if (error == BL_OK) {
        bl_table_build_free(live->build);
        live->build = NULL;
        error = build_from(live, &table.entries);
    }
    build_end = now_s();
    for (unsigned i = 0; error == BL_OK && i < WORKERS; i++)
        error = copy_replica(&live->workers[i], bl_table_build_master(live->build));
    end = now_s();
    bl_table_file_fini(&table);
    if (error != BL_OK) {
        fprintf(stderr, "bench_live: %s\n", detail.text[0] != '\0' ? detail.text : bl_error_text(error));
        return error;
    }
    printf("  from the table file to serving: %.2f s: read and check %.2f, build %.2f, %d replicas %.3f\n", end - start,
           read_end - start, build_end - read_end, WORKERS, end - build_end);
    *seconds = end - start;
    return BL_OK;
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct live *live = worker->live;
    uint8_t classes[BURST];
    uint64_t overhead = find_overhead();
    uint64_t start;
    uint64_t n = 0;
    size_t at = 0;

    pin(worker->cpu);
    start = rte_rdtsc_precise();
    while (!atomic_load_explicit(&live->stop, memory_order_relaxed)) {
        uint64_t sent = atomic_load_explicit(&live->n_sent, memory_order_acquire);

        bl_table_lookup_ipv4_burst(worker->replica, live->keys.ip4 + at, classes, BURST);
        at = (at + BURST) % live->keys.n;
        worker->n_lookups += BURST;
        for (; n < sent; n++) {
            struct bl_table_cursor cursor = {0};
            uint64_t before = rte_rdtsc_precise();
            uint64_t took;

            while (!bl_table_apply(worker->replica, live->ring[n % RING], &cursor, BUDGET_BYTES))
                continue;
            took = rte_rdtsc_precise() - before;
            took = took > overhead ? took - overhead : 0;
            worker->patch_cycles += took;
            if (worker->n_patches < SAMPLES_MAX)
                worker->cycles[worker->n_patches++] = took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
        }
        atomic_store_explicit(&worker->n_done, n, memory_order_release);
    }
    worker->all_cycles = rte_rdtsc_precise() - start;
    return NULL;
}

static uint64_t n_done_by_all(const struct live *live)
{
    uint64_t a = atomic_load_explicit(&live->workers[0].n_done, memory_order_acquire);
    uint64_t b = atomic_load_explicit(&live->workers[1].n_done, memory_order_acquire);

    return a < b ? a : b;
}

/* One host, added or removed again, in a patch of its own. @return false: it went wrong. */
static bool change(struct live *live, uint64_t number, uint64_t *random, double *us)
{
    static struct bl_prefix fresh;
    struct bl_table_patch *patch = NULL;
    uint64_t start;
    bool rebuilt = false;
    bool adds = number % 2 == 0;
    int error;

    if (adds) {
        struct bl_address address = list_random_address(random, BL_FAMILY_IPV4);

        fresh = bl_address_host_prefix(&address);
    }
    start = rte_rdtsc_precise();
    error = bl_table_build_set(live->build, &fresh, adds ? FRESH_CLASS : BL_CLASS_NONE);
    if (error == BL_OK)
        error = bl_table_build_commit(live->build, number + 2, &patch, &rebuilt);
    *us = (double)(rte_rdtsc_precise() - start) * 1e6 / live->hz;
    if (error != BL_OK || rebuilt)
        return false;
    if (number >= RING)
        bl_table_patch_free((struct bl_table_patch *)(uintptr_t)live->ring[number % RING]);
    live->ring[number % RING] = patch;
    atomic_store_explicit(&live->n_sent, number + 1, memory_order_release);
    return true;
}

/* Sends what is due, then sleeps: the main core has other things to do. @return how many were sent; 0: it went wrong. */
static uint64_t send_all(struct live *live, double *us)
{
    const struct timespec pause = {0, 100000};
    uint64_t all = live->options.per_s * live->options.seconds;
    uint64_t random = 77;
    uint64_t n = 0;
    double start = now_s();

    while (n < all) {
        double due = (now_s() - start) * (double)live->options.per_s;

        for (; n < all && (double)n < due; n++) {
            while (n - n_done_by_all(live) >= RING / 2)
                sched_yield();
            if (!change(live, n, &random, &us[n]))
                return 0;
        }
        nanosleep(&pause, NULL);
    }
    while (n_done_by_all(live) < n)
        sched_yield();
    printf("  %llu changes in %.2f s, a patch each: %.0f a second\n", (unsigned long long)n, now_s() - start,
           (double)n / (now_s() - start));
    return n;
}

static int compare_cycles(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

/* @return false when a replica is not what it must be. */
static bool tell(struct live *live, double *us, uint64_t n)
{
    double p50 = measure_percentile(us, n, 50);
    double p99 = measure_percentile(us, n, 99);
    bool all_same = true;

    printf("  main core, set and commit: %.2f us p50, %.2f us p99\n", p50, p99);
    csv_value(live, "main core", "set and commit p50,us", p50);
    csv_value(live, "main core", "set and commit p99,us", p99);
    for (unsigned i = 0; i < WORKERS; i++) {
        struct worker *worker = &live->workers[i];
        double usual = 0;
        char who[16];
        bool same = memcmp(worker->replica, bl_table_build_master(live->build),
                           bl_table_size(bl_table_build_master(live->build))) == 0;

        qsort(worker->cycles, worker->n_patches, sizeof(worker->cycles[0]), compare_cycles);
        for (size_t at = 0; at < worker->n_patches / 1000 * 999; at++)
            usual += worker->cycles[at];
        printf("  worker %u on CPU %u: %.2f %% of its cycles in patches, %.2f %% without the dearest 1 in 1000 "
               "(%u p50, %u p99 each)\n",
               i, worker->cpu, 100.0 * (double)worker->patch_cycles / (double)worker->all_cycles,
               100.0 * usual / (double)worker->all_cycles, worker->cycles[worker->n_patches / 2],
               worker->cycles[worker->n_patches / 100 * 99]);
        printf("    %.1f M lookups a second; its replica is %s the master\n",
               (double)worker->n_lookups / 1e6 * live->hz / (double)worker->all_cycles,
               same ? "equal to" : "NOT EQUAL to");
        all_same = all_same && same;
        snprintf(who, sizeof(who), "worker %u", i);
        csv_value(live, who, "cycles in patches,%", 100.0 * (double)worker->patch_cycles / (double)worker->all_cycles);
        csv_value(live, who, "a patch p50,cycles", worker->cycles[worker->n_patches / 2]);
        csv_value(live, who, "a patch p99,cycles", worker->cycles[worker->n_patches / 100 * 99]);
    }
    return all_same;
}

static int run_live(struct live *live)
{
    double *us = calloc(live->options.per_s * live->options.seconds, sizeof(*us));
    long n_cpus = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t n;

    if (us == NULL)
        return BL_ENOMEM;
    printf("  live: %d workers%s\n", WORKERS,
           n_cpus > WORKERS ? ""
                            : ", the main core shares CPU 0 with the first of them: its share has what that takes");
    pin(0);
    for (unsigned i = 0; i < WORKERS; i++) {
        struct worker *worker = &live->workers[i];

        worker->live = live;
        worker->cpu = n_cpus > WORKERS ? i + 1 : i % (unsigned)n_cpus;
        worker->cycles = calloc(SAMPLES_MAX, sizeof(worker->cycles[0]));
        if (worker->cycles == NULL || pthread_create(&worker->thread, NULL, work, worker) != 0)
            abort();
    }
    n = send_all(live, us);
    atomic_store(&live->stop, true);
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(live->workers[i].thread, NULL);
    if (n > 0 && !tell(live, us, n))
        n = 0;
    free(us);
    return n > 0 ? BL_OK : BL_EINVAL;
}

static int run(struct live *live)
{
    char path[] = "/tmp/bench_live.XXXXXX";
    int fd = mkstemp(path);
    int error;

    if (fd < 0)
        return BL_EIO;
    close(fd);
    error = list_make(&live->list, BL_FAMILY_IPV4, live->options.clustered ? LIST_CLUSTERED : LIST_UNIFORM,
                      live->options.n_entries, 1);
    if (error == BL_OK)
        error = make_file(live, path);
    for (unsigned i = 0; error == BL_OK && i < LOADS; i++)
        error = load(live, path, &live->load_s[i]);
    (void)unlink(path);
    if (error == BL_OK)
        csv_line(live, "bounceline", "from the table file to serving,s", measure_summarize(live->load_s, LOADS));
    if (error == BL_OK)
        error = keys_make(&live->keys, &live->list, KEYS_HITS, KEYS, live->workers[0].replica);
    return error == BL_OK ? run_live(live) : error;
}

int main(int argc, char **argv)
{
    static const struct argp parser = {option_list,
                                       parse_option,
                                       NULL,
                                       "Measures how long a start from a table file takes, and what changes cost two "
                                       "workers that look up all the time. Wants huge pages.",
                                       NULL,
                                       NULL,
                                       NULL};
    struct live *live = calloc(1, sizeof(*live));
    int error;

    argp_err_exit_status = EXIT_USAGE;
    if (live == NULL)
        return EXIT_FAILURE;
    live->options = (struct options){.n_entries = 1000000, .per_s = 100000, .seconds = 5};
    argp_parse(&parser, argc, argv, 0, NULL, &live->options);
    live->hz = measure_tsc_hz();
    if (live->options.csv_path != NULL) {
        live->csv = fopen(live->options.csv_path, "we");
        if (live->csv == NULL) {
            fprintf(stderr, "bench_live: %s: %s\n", live->options.csv_path, strerror(errno));
            return EXIT_FAILURE;
        }
        fprintf(live->csv, "case,contender,measure,unit,value,low,high\n");
    }
    printf("== %lu entries, %s\n", live->options.n_entries, live->options.clustered ? "clustered" : "uniform");
    error = run(live);
    if (error != BL_OK)
        fprintf(stderr, "bench_live: failed: %s\n", bl_error_text(error));
    if (live->csv != NULL && fclose(live->csv) != 0) {
        fprintf(stderr, "bench_live: %s: %s\n", live->options.csv_path, strerror(errno));
        return EXIT_FAILURE;
    }
    return error == BL_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
