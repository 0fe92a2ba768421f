/* Sections durable (all contenders in turns) and enforced (which only Bounceline has), a cell (batch size, clients) after
 * the other; see bench_update.c.
 *
 * In a turn each client of one contender sends a batch of new entries, waits for its answer, and sends the next, for the
 * same time; the others' servers are idle meanwhile. A client is a thread with a connection of its own. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench_update.h"

enum { CLIENTS_MAX = 64, TIMES_MAX = 1 << 16 };

/* One contender, with all its clients connected. */
struct entrant {
    struct sink sink;
    void *clients[CLIENTS_MAX];
    _Atomic uint32_t next; /* entry; relaxed: a ticket */
    double rate[MEASURE_ROUNDS_MAX];
    double p50_ms[MEASURE_ROUNDS_MAX];
    double p99_ms[MEASURE_ROUNDS_MAX];
    double most_ms;
};

struct cell {
    uint32_t n_batch;
    unsigned n_clients;
};

struct turn {
    struct entrant *entrant;
    const struct cell *cell;
    double until_s;
    pthread_barrier_t start;
    double *times_ms; /* TIMES_MAX, shared out */
    _Atomic size_t n_times;
    _Atomic uint64_t n_done;
    _Atomic bool failed;
};

struct worker {
    struct turn *turn;
    void *client;
    pthread_t thread;
};

static const struct sink_kind *const kinds[] = {
    &sink_bounceline,
#ifdef BENCH_REDIS
    &sink_redis,      &sink_redis_mset,
#endif
#ifdef BENCH_POSTGRES
    &sink_copy,       &sink_insert,
#endif
    &sink_etcd,
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* How many times as fast each peer is to be left behind; MSET was not asked for. */
static double bar_of(const struct sink_kind *kind)
{
    return strcmp(kind->name, "postgres COPY") == 0 ? 1 : strcmp(kind->name, "redis MSET") == 0 ? 0 : 3;
}

static double now_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void *work(void *context)
{
    struct worker *worker = context;
    struct turn *turn = worker->turn;
    uint32_t n = turn->cell->n_batch;

    (void)pthread_barrier_wait(&turn->start);
    for (double from = now_s(); from < turn->until_s;) {
        uint32_t first = atomic_fetch_add_explicit(&turn->entrant->next, n, memory_order_relaxed);
        size_t place;
        double to;

        if (turn->entrant->sink.kind->send(worker->client, first, n) != 0) {
            atomic_store(&turn->failed, true);
            break;
        }
        to = now_s();
        place = atomic_fetch_add_explicit(&turn->n_times, 1, memory_order_relaxed);
        if (place < TIMES_MAX)
            turn->times_ms[place] = (to - from) * 1000;
        (void)atomic_fetch_add_explicit(&turn->n_done, n, memory_order_relaxed);
        from = to;
    }
    return NULL;
}

/* One contender's turn of @p seconds. A batch that is under way at its end is waited for, and counted with its time. */
static int take_turn(struct entrant *entrant, const struct cell *cell, double seconds, unsigned round, double *times_ms)
{
    struct turn turn = {.entrant = entrant, .cell = cell, .times_ms = times_ms};
    struct worker workers[CLIENTS_MAX];
    double from;
    double took;
    size_t n;

    (void)pthread_barrier_init(&turn.start, NULL, cell->n_clients + 1);
    for (unsigned i = 0; i < cell->n_clients; i++) {
        workers[i] = (struct worker){.turn = &turn, .client = entrant->clients[i]};
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            abort();
    }
    from = now_s();
    turn.until_s = from + seconds;
    (void)pthread_barrier_wait(&turn.start);
    for (unsigned i = 0; i < cell->n_clients; i++)
        (void)pthread_join(workers[i].thread, NULL);
    took = now_s() - from;
    (void)pthread_barrier_destroy(&turn.start);
    n = turn.n_times < TIMES_MAX ? turn.n_times : TIMES_MAX;
    if (turn.failed || n == 0)
        return -1;
    entrant->rate[round] = (double)turn.n_done / took;
    entrant->p50_ms[round] = measure_percentile(times_ms, n, 50);
    entrant->p99_ms[round] = measure_percentile(times_ms, n, 99);
    if (times_ms[n - 1] > entrant->most_ms)
        entrant->most_ms = times_ms[n - 1];
    return 0;
}

static const char *judge(const struct measure_summary *value, double bar)
{
    if (bar == 0)
        return "";
    return value->low >= bar ? "met" : value->high < bar ? "NOT MET" : "open";
}

static void tell_ratio(struct bench *bench, const char *of, const struct entrant *ours, const struct entrant *peer,
                       bool is_judged)
{
    double ratios[MEASURE_ROUNDS_MAX];
    char contender[64];
    struct bench_figure figure = {of, contender, "ratio", "x", {0}};

    for (unsigned i = 0; i < bench->rounds; i++)
        ratios[i] = ours->rate[i] / peer->rate[i];
    (void)snprintf(contender, sizeof(contender), "bounceline/%s", peer->sink.kind->name);
    figure.value = measure_summarize(ratios, bench->rounds);
    bench_row(bench, &figure, is_judged ? judge(&figure.value, bar_of(peer->sink.kind)) : "");
}

static void tell(struct bench *bench, const struct cell *cell, const struct entrant *entrants, unsigned n)
{
    bool is_judged = cell->n_batch == 1000;
    bool is_enforced = entrants[0].sink.kind == &sink_bounceline_enforced;
    char of[64];

    (void)snprintf(of, sizeof(of), "%s %u x %u clients", is_enforced ? "enforced" : "durable", cell->n_batch,
                   cell->n_clients);
    for (unsigned i = 0; i < n; i++) {
        const struct entrant *entrant = &entrants[i];
        const char *name = entrant->sink.kind->name;
        struct bench_figure rate = {of, name, "rate", "updates/s", measure_summarize(entrant->rate, bench->rounds)};
        struct bench_figure p50 = {of, name, "p50", "ms", measure_summarize(entrant->p50_ms, bench->rounds)};
        struct bench_figure p99 = {of, name, "p99", "ms", measure_summarize(entrant->p99_ms, bench->rounds)};
        struct bench_figure most = {of, name, "max", "ms", {entrant->most_ms, entrant->most_ms, entrant->most_ms}};

        bench_row(bench, &rate, is_judged && i == 0 && !is_enforced ? judge(&rate.value, 1e6) : "");
        bench_row(bench, &p50, "");
        bench_row(bench, &p99, "");
        bench_row(bench, &most, "");
    }
    for (unsigned i = 1; i < n && entrants[0].sink.kind == &sink_bounceline; i++)
        tell_ratio(bench, of, &entrants[0], &entrants[i], is_judged);
}

static int measure_cell(struct bench *bench, const struct cell *cell, struct entrant *entrants, unsigned n,
                        double *times_ms)
{
    double seconds = bench->quick ? 0.12 : 0.5;

    for (unsigned i = 0; i < n; i++)
        entrants[i].most_ms = 0;
    /* Who begins changes, so that nobody always follows the same one. */
    for (unsigned round = 0; round < bench->rounds; round++) {
        for (unsigned i = 0; i < n; i++) {
            struct entrant *entrant = &entrants[(i + round) % n];

            if (take_turn(entrant, cell, seconds, round, times_ms) != 0) {
                bench_fail(bench, entrant->sink.kind->name, "a batch failed");
                return -1;
            }
        }
    }
    tell(bench, cell, entrants, n);
    return 0;
}

/* @return 0, or -1: it failed, or is not installed, which was said. */
static int enter(struct bench *bench, struct entrant *entrant, const struct sink_kind *kind)
{
    if (kind->find != NULL && !kind->find()) {
        bench_miss(kind->name, "not installed");
        return -1;
    }
    if (bench_start(bench, &entrant->sink, kind) != 0)
        return -1;
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        if (kind->connect(&entrant->sink, &entrant->clients[i]) == 0)
            continue;
        bench_fail(bench, kind->name, "a client can't connect");
        return -1;
    }
    (void)printf("%-16s %s\n", kind->name, kind->how);
    return 0;
}

static void leave(struct entrant *entrant)
{
    for (unsigned i = 0; i < CLIENTS_MAX; i++)
        if (entrant->clients[i] != NULL)
            entrant->sink.kind->disconnect(entrant->clients[i]);
    sink_stop(&entrant->sink, SIGKILL);
}

static void measure_cells(struct bench *bench, struct entrant *entrants, unsigned n)
{
    static const struct cell quick[] = {{1, 1}, {1, 64}, {100, 8}, {1000, 8}};
    static const struct cell all[] = {{1, 1},    {1, 8},    {1, 64},   {100, 1},  {100, 8},
                                      {100, 64}, {1000, 1}, {1000, 8}, {1000, 64}};
    const struct cell *cells = bench->quick ? quick : all;
    size_t n_cells = bench->quick ? sizeof(quick) / sizeof(quick[0]) : sizeof(all) / sizeof(all[0]);
    double *times_ms = calloc(TIMES_MAX, sizeof(*times_ms));

    for (size_t i = 0; times_ms != NULL && i < n_cells; i++)
        if (measure_cell(bench, &cells[i], entrants, n, times_ms) != 0)
            break;
    free(times_ms);
}

/* Who can't enter is told, and the others are measured. */
static void measure(struct bench *bench, const struct sink_kind *const *all, unsigned n_all)
{
    struct entrant *entrants = calloc(n_all, sizeof(*entrants));
    unsigned n = 0;

    if (entrants == NULL)
        abort();
    for (unsigned i = 0; i < n_all; i++) {
        if (enter(bench, &entrants[n], all[i]) == 0) {
            n++;
            continue;
        }
        leave(&entrants[n]);
        memset(&entrants[n], 0, sizeof(entrants[n]));
    }
    if (n != 0)
        measure_cells(bench, entrants, n);
    for (unsigned i = 0; i < n; i++)
        leave(&entrants[i]);
    free(entrants);
}

void bench_durable(struct bench *bench)
{
#ifndef BENCH_REDIS
    bench_miss("redis", "built without libhiredis-dev");
#endif
#ifndef BENCH_POSTGRES
    bench_miss("postgres", "built without libpq-dev");
#endif
    measure(bench, kinds, bench->alone ? 1 : KINDS);
}

void bench_enforced(struct bench *bench)
{
    static const struct sink_kind *const enforced = &sink_bounceline_enforced;

    measure(bench, &enforced, 1);
}
