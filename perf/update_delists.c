/* Sections latency, import and start, which only Bounceline has: with a real data plane of four workers; see
 * bench_update.c.
 *
 * A delist is due at a fixed time, whatever became of the last: its time runs from when it was due, so that one that
 * blocks others counts for all that it blocks. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench_update.h"
#include "sink_bounceline.h"

enum {
    TIMES_MAX = 1 << 14,
    STOCK = 40000,          /* entries that are listed to be delisted */
    IMPORT_FIRST = 1 << 22, /* of the imported ones */
    LOAD_FIRST = 1 << 25,
    LOAD_BATCH = 100,
    TEN_MILLION = 10000000,
};

struct enforced {
    struct bench *bench;
    struct sink sink;
    void *client;  /* delists */
    void *loader;  /* the other updates */
    uint32_t next; /* of the stock */
    double *times_ms;
    size_t n_times;
    unsigned load_per_s; /* batches */
    atomic_bool over;
    bool failed;
};

static double now_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void sleep_until(double time_s)
{
    struct timespec until = {.tv_sec = (time_t)time_s};

    until.tv_nsec = (long)((time_s - (double)until.tv_sec) * 1e9);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
}

static void *load(void *context)
{
    static uint32_t next = LOAD_FIRST;
    struct enforced *enforced = context;
    double due = now_s();

    while (!atomic_load(&enforced->over)) {
        if (sink_bounceline_list(enforced->loader, next, LOAD_BATCH, false) != 0)
            enforced->failed = true;
        next += LOAD_BATCH;
        due += 1.0 / enforced->load_per_s;
        sleep_until(due);
    }
    return NULL;
}

/* One delist at its time. */
static void delist_at(struct enforced *enforced, double due)
{
    sleep_until(due);
    if (sink_bounceline_delist(enforced->client, enforced->next++ % STOCK) != 0)
        enforced->failed = true;
    if (enforced->n_times < TIMES_MAX)
        enforced->times_ms[enforced->n_times++] = (now_s() - due) * 1000;
}

static void tell(struct enforced *enforced, const char *of, double bar_p99_ms)
{
    static const struct {
        const char *name;
        double percent;
    } all[] = {{"p50", 50}, {"p99", 99}, {"max", 100}};

    for (unsigned i = 0; i < 3 && enforced->n_times != 0; i++) {
        double ms = i == 2 ? 0 : measure_percentile(enforced->times_ms, enforced->n_times, all[i].percent);
        struct bench_figure figure = {of, "bounceline", all[i].name, "ms", {0}};
        char remark[64] = "";

        if (i == 2)
            ms = enforced->times_ms[enforced->n_times - 1];
        figure.value = (struct measure_summary){ms, ms, ms};
        if (i == 1)
            (void)snprintf(remark, sizeof(remark), "%zu delists%s", enforced->n_times,
                           bar_p99_ms == 0   ? ""
                           : ms < bar_p99_ms ? ", met"
                                             : ", NOT MET");
        bench_row(enforced->bench, &figure, remark);
    }
    if (enforced->failed)
        bench_fail(enforced->bench, of, "an update failed");
    enforced->failed = false;
    enforced->n_times = 0;
}

static void tell_one(struct bench *bench, const char *of, const char *measure, const char *unit, double value,
                     const char *remark)
{
    const struct bench_figure figure = {of, "bounceline", measure, unit, {value, value, value}};

    bench_row(bench, &figure, remark);
}

/* Delists @p delists_per_s a second for @p seconds, and batches of LOAD_BATCH beside them. */
static void measure_latency(struct enforced *enforced, const char *of, unsigned delists_per_s, unsigned load_per_s,
                            double seconds)
{
    unsigned n = (unsigned)(seconds * delists_per_s);
    pthread_t loader;
    double from;

    enforced->load_per_s = load_per_s;
    atomic_store(&enforced->over, false);
    if (load_per_s != 0 && pthread_create(&loader, NULL, load, enforced) != 0)
        abort();
    from = now_s() + 0.01;
    for (unsigned i = 0; i < n; i++)
        delist_at(enforced, from + (double)i / delists_per_s);
    atomic_store(&enforced->over, true);
    if (load_per_s != 0)
        (void)pthread_join(loader, NULL);
    tell(enforced, of, 3);
}

static void measure_latencies(struct enforced *enforced)
{
    double seconds = enforced->bench->quick ? 3 : 10;

    measure_latency(enforced, "delist at 1 update/s", 1, 0, seconds);
    measure_latency(enforced, "delist at 100 updates/s", 100, 0, seconds);
    measure_latency(enforced, "delist at 10 k updates/s", 100, 99, seconds);
}

static int write_list(const char *path, uint32_t first, uint32_t n)
{
    FILE *out = fopen(path, "w");
    char text[16];

    if (out == NULL)
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        (void)sink_format(first + i, text);
        (void)fprintf(out, "%s\n", text);
    }
    return fclose(out);
}

/* Runs an import to its end, with delists beside it when @p with_delists. @return seconds, or -1. */
static double import_file(struct enforced *enforced, const char *source, uint32_t first, bool with_delists)
{
    const double period_s = 0.01;
    char path[SINK_PATH_MAX + 16];
    double from;
    double due;
    pid_t pid;
    int status = 0;
    pid_t ended = 0;

    (void)snprintf(path, sizeof(path), "%s/list", enforced->sink.directory);
    if (write_list(path, first, enforced->bench->n_entries) != 0)
        return -1;
    from = now_s();
    pid = sink_bounceline_import(&enforced->sink, "list", source);
    for (due = from; with_delists && pid > 0 && (ended = waitpid(pid, &status, WNOHANG)) == 0; due += period_s)
        delist_at(enforced, due);
    while (pid > 0 && ended == 0 && (ended = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
        ended = 0;
    return ended == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? now_s() - from : -1;
}

static void measure_import(struct enforced *enforced)
{
    struct bench *bench = enforced->bench;
    uint64_t before = sink_bounceline_resident(&enforced->sink);
    double alone_s = import_file(enforced, "feed-1", IMPORT_FIRST, false);
    double bytes = ((double)sink_bounceline_resident(&enforced->sink) - (double)before) / bench->n_entries;
    double beside_s;
    char of[64];

    (void)snprintf(of, sizeof(of), "import of %u", bench->n_entries);
    if (alone_s < 0) {
        bench_fail(bench, of, "failed; its words are in the folder's file said");
        return;
    }
    tell_one(bench, of, "file to enforced", "s", alone_s,
             bench->n_entries != 1000000 ? ""
             : alone_s < 4               ? "met"
                                         : "NOT MET");
    tell_one(bench, of, "resident bytes an entry", "B", bytes, "with what the import left behind");
    if ((bench->sections & BENCH_IMPORT) == 0)
        return;
    beside_s = import_file(enforced, "feed-2", IMPORT_FIRST + bench->n_entries, true);
    if (beside_s < 0)
        bench_fail(bench, of, "failed, with delists beside it");
    (void)snprintf(of, sizeof(of), "delist beside an import of %u", bench->n_entries);
    tell(enforced, of, 20);
    tell_one(bench, of, "file to enforced", "s", beside_s, "the import");
}

static void measure_start(struct enforced *enforced, const char *of, double bar_s)
{
    double seconds = 0;

    if (sink_bounceline_restart(&enforced->sink, &seconds) != 0)
        bench_fail(enforced->bench, of, enforced->sink.why);
    else
        tell_one(enforced->bench, of, "ready", "s", seconds, bar_s == 0 ? "" : seconds < bar_s ? "met" : "NOT MET");
}

/* The stock, or what makes the list ten million. */
static int list_many(struct enforced *enforced, uint32_t first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i += 10000)
        if (sink_bounceline_list(enforced->loader, first + i, 10000, false) != 0)
            return -1;
    return 0;
}

static void measure_starts(struct enforced *enforced)
{
    struct bench *bench = enforced->bench;
    uint32_t have = bench->n_entries;
    char of[64];

    (void)snprintf(of, sizeof(of), "start with %u entries", have);
    measure_start(enforced, of, 0);
    if (!bench->ten_million || bench->failed)
        return;
    if (list_many(enforced, LOAD_FIRST + (1 << 24), TEN_MILLION) != 0)
        bench_fail(bench, "start", "the list can't be made");
    else
        measure_start(enforced, "start with 10 M entries", 8);
    tell_one(bench, "start with 10 M entries", "resident bytes an entry", "B",
             (double)sink_bounceline_resident(&enforced->sink) / TEN_MILLION, "all of the control plane");
}

static int set_up(struct enforced *enforced)
{
    const struct sink_kind *kind = &sink_bounceline_enforced;
    struct sink *sink = &enforced->sink;

    if (bench_start(enforced->bench, sink, kind) != 0)
        return -1;
    if (kind->connect(sink, &enforced->client) != 0 || kind->connect(sink, &enforced->loader) != 0 ||
        list_many(enforced, 0, STOCK) != 0) {
        bench_fail(enforced->bench, "bounceline", "the list to begin with can't be made");
        return -1;
    }
    return 0;
}

static void measure(struct enforced *enforced)
{
    struct bench *bench = enforced->bench;

    if ((bench->sections & BENCH_LATENCY) != 0)
        measure_latencies(enforced);
    if ((bench->sections & (BENCH_IMPORT | BENCH_START)) != 0)
        measure_import(enforced);
    if ((bench->sections & BENCH_START) != 0 && !bench->failed)
        measure_starts(enforced);
}

void bench_delists(struct bench *bench)
{
    struct enforced enforced = {.bench = bench, .times_ms = calloc(TIMES_MAX, sizeof(double))};

    if (enforced.times_ms == NULL)
        abort();
    if (set_up(&enforced) == 0)
        measure(&enforced);
    if (enforced.client != NULL)
        sink_bounceline.disconnect(enforced.client);
    if (enforced.loader != NULL)
        sink_bounceline.disconnect(enforced.loader);
    sink_stop(&enforced.sink, SIGTERM);
    free(enforced.times_ms);
}
