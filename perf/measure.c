/* See measure.h. */
#include "measure.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_pause.h>

enum { CHUNKS_MAX = 4096 };

/* One turn of all its cores. */
struct turn {
    const struct contender_kind *kind;
    const void *state;
    const struct keys *keys;
    unsigned n_cores;
    _Atomic unsigned n_ready; /* a core that warmed up; the last one starts all */
    _Atomic unsigned n_done;
    double ns[CONTENDER_CORES_MAX];
};

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

double measure_tsc_hz(void)
{
    const struct timespec pause = {0, 50000000};
    uint64_t ticks = rte_rdtsc_precise();
    double start = now_s();

    nanosleep(&pause, NULL);
    ticks = rte_rdtsc_precise() - ticks;
    return (double)ticks / (now_s() - start);
}

double measure_percentile(double *values, size_t n, double percent)
{
    size_t at = (size_t)(percent / 100.0 * (double)n);

    if (n == 0)
        return 0;
    qsort(values, n, sizeof(values[0]), compare_doubles);
    return values[at < n ? at : n - 1];
}

/* How many values may be left out at either end: the chance that so many or fewer of n lie on one side of the median is
 * at most 2.5 %. */
static unsigned left_out(unsigned n)
{
    double chance = 1; /* of exactly k, in units of 2^-n */
    double sum = 0;
    double all = 1;
    unsigned k = 0;

    for (unsigned i = 0; i < n; i++)
        all *= 2;
    for (; k < n / 2; k++) {
        sum += chance;
        if (sum > 0.025 * all)
            break;
        chance = chance * (n - k) / (k + 1);
    }
    return k > 0 ? k - 1 : 0;
}

struct measure_summary measure_summarize(const double *values, unsigned n)
{
    double sorted[MEASURE_ROUNDS_MAX];
    unsigned out = left_out(n);

    if (n == 0)
        return (struct measure_summary){0, 0, 0};
    memcpy(sorted, values, n * sizeof(values[0]));
    qsort(sorted, n, sizeof(sorted[0]), compare_doubles);
    return (struct measure_summary){n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2, sorted[out],
                                    sorted[n - 1 - out]};
}

static void run_core(struct turn *turn, unsigned core)
{
    const struct keys *keys = turn->keys;
    size_t n_chunks = keys->n / MEASURE_CHUNK;
    union contender_results results;
    double ticks[CHUNKS_MAX];
    size_t at = core * (n_chunks / CONTENDER_CORES_MAX); /* cores do not follow each other through the keys */

    for (size_t i = 0; i < n_chunks; i++)
        turn->kind->lookup(turn->state, core, keys, (at + i) % n_chunks * MEASURE_CHUNK, MEASURE_CHUNK, &results);
    atomic_fetch_add(&turn->n_ready, 1);
    while (atomic_load(&turn->n_ready) < turn->n_cores)
        rte_pause();
    for (size_t i = 0; i < n_chunks; i++) {
        uint64_t start = rte_rdtsc_precise();

        turn->kind->lookup(turn->state, core, keys, (at + i) % n_chunks * MEASURE_CHUNK, MEASURE_CHUNK, &results);
        ticks[i] = (double)(rte_rdtsc_precise() - start);
    }
    turn->ns[core] = measure_percentile(ticks, n_chunks, 50) / MEASURE_CHUNK * 1e9 / (double)rte_get_tsc_hz();
    /* The others are measured with all cores at work. */
    atomic_fetch_add(&turn->n_done, 1);
    for (size_t i = 0; atomic_load(&turn->n_done) < turn->n_cores; i++)
        turn->kind->lookup(turn->state, core, keys, (at + i) % n_chunks * MEASURE_CHUNK, MEASURE_CHUNK, &results);
}

static int run_worker(void *argument)
{
    run_core(argument, 1);
    return 0;
}

double measure_turn(const struct contender_kind *kind, const void *state, const struct keys *keys, unsigned n_cores)
{
    struct turn turn = {.kind = kind, .state = state, .keys = keys, .n_cores = n_cores};
    unsigned worker = rte_get_next_lcore(-1, 1, 0);

    if (n_cores > 1)
        rte_eal_remote_launch(run_worker, &turn, worker);
    run_core(&turn, 0);
    if (n_cores > 1)
        rte_eal_wait_lcore(worker);
    return n_cores > 1 ? (turn.ns[0] + turn.ns[1]) / 2 : turn.ns[0];
}
