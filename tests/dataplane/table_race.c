/* Patches under lookups, for ThreadSanitizer: one builder, workers with a replica and a mailbox each, as in the data
 * plane, but on pthreads and C11 atomics, which the sanitizer understands. This program and the table below it are
 * built with -fsanitize=thread.
 *
 *   builder: set, commit ─▶ mailbox of each worker (patch, or a copy of the block) ─▶ frees what all have acknowledged
 *   worker:  a step of what came, then lookups: addresses of stable prefixes must keep their class, others one of theirs
 *
 *   table_race [--plant shared|freed|master] [--seconds N]
 *
 * --plant makes a race, to see that it is found: a worker that reads another one's replica; a patch that is freed when
 * the first worker is done with it; a worker that reads the master. Exit: 0 all well, 1 a wrong answer, 2 usage; the
 * sanitizer's own, 66, after a race. */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dataplane/table_build.h"
#include "dataplane/table_workload.h"

enum {
    N_WORKERS = 3,
    N_STABLE = 400,
    N_CHANGING = 3000,
    CHANGES_MAX = 40,
    MESSAGES = 64, /* a mailbox; power of two */
    BURST = 64,
    EPOCH = 3,
    SECONDS = 4,
};

enum plant { PLANT_NOTHING, PLANT_SHARED, PLANT_FREED, PLANT_MASTER };

/* Immutable once sent. */
struct message {
    struct bl_table_patch *patch;
    struct bl_table *block; /* each worker's own copy, instead of a patch */
    bool stop;
};

/* The builder writes entries and n_sent (release); the worker reads them (acquire) and writes n_done (release), which
 * the builder reads (acquire) before it frees or overwrites. */
struct mailbox {
    struct message messages[MESSAGES];
    _Atomic uint64_t n_sent;
    _Atomic uint64_t n_done;
};

struct race;

struct worker {
    struct race *race;
    unsigned number;
    pthread_t thread;
    struct mailbox mailbox;
    struct bl_table *table;
    struct bl_table_cursor cursor;
    uint64_t random;
    uint64_t n_lookups;
    uint64_t n_patches;
    uint64_t n_blocks;
    bool wrong;
};

struct race {
    enum plant plant;
    struct bl_table_build *build;
    struct bl_table_patch *sent[MESSAGES]; /* by message number, until all are done with it */
    uint64_t n_sent;
    uint64_t n_freed;
    uint64_t serial;
    uint64_t random;
    struct bl_prefix stable[N_STABLE]; /* hosts; written before the workers start */
    struct worker workers[N_WORKERS];
    bool failed;
};

static const struct bl_siphash_key table_key = {0x7261636572616365ULL, 0x6563617265636172ULL};

/* No change ever touches 198.18.0.0/15; the changing prefixes lie in the clusters of the workload. */
static struct bl_prefix stable_prefix(unsigned i)
{
    struct bl_prefix prefix = {.family = BL_FAMILY_IPV4, .length = 32};

    bl_address_from_ip4(198u << 24 | 18u << 16 | i * 97u, prefix.bytes);
    return prefix;
}

static uint8_t stable_class(unsigned i)
{
    return (uint8_t)(BL_CLASS_FIRST + i % BL_CLASS_LAST);
}

/* Half of each burst is stable hosts, half other addresses: no answer is above the last class. */
static bool look_up(struct worker *worker, const struct bl_table *table)
{
    uint32_t ip4[BURST];
    struct bl_ip6 ip6[BURST];
    uint8_t classes[BURST];
    unsigned first = workload_below(&worker->random, N_STABLE - BURST);

    for (unsigned i = 0; i < BURST; i++) {
        struct bl_address address = workload_address(&worker->random);

        ip4[i] = i % 2 == 0 ? bl_address_to_ip4(worker->race->stable[first + i].bytes)
                            : (uint32_t)workload_random(&worker->random);
        ip6[i] = bl_address_to_ip6(address.bytes);
    }
    bl_table_lookup_ipv4_burst(table, ip4, classes, BURST);
    for (unsigned i = 0; i < BURST; i += 2)
        if (classes[i] != stable_class(first + i) || classes[i + 1] > BL_CLASS_EXEMPT)
            return false;
    bl_table_lookup_ipv6_burst(table, ip6, classes, BURST);
    for (unsigned i = 0; i < BURST; i++)
        if (classes[i] > BL_CLASS_EXEMPT)
            return false;
    worker->n_lookups += 2 * BURST;
    return true;
}

/* One step. @return false when the builder said stop. */
static bool follow(struct worker *worker)
{
    struct mailbox *mailbox = &worker->mailbox;
    uint64_t n_done = atomic_load_explicit(&mailbox->n_done, memory_order_relaxed);
    const struct message *message = &mailbox->messages[n_done % MESSAGES];

    if (atomic_load_explicit(&mailbox->n_sent, memory_order_acquire) == n_done)
        return true;
    if (message->stop)
        return false;
    if (message->block != NULL) {
        free(worker->table);
        worker->table = message->block;
        worker->n_blocks++;
    } else {
        if (worker->cursor.offset == 0 && !bl_table_patch_fits(worker->table, message->patch))
            worker->wrong = true;
        if (!bl_table_apply(worker->table, message->patch, &worker->cursor, workload_below(&worker->random, 400)))
            return true;
        worker->n_patches++;
    }
    worker->cursor = (struct bl_table_cursor){0};
    atomic_store_explicit(&mailbox->n_done, n_done + 1, memory_order_release);
    return true;
}

static void *run_worker(void *argument)
{
    struct worker *worker = argument;
    const struct race *race = worker->race;

    while (follow(worker) && !worker->wrong) {
        const struct bl_table *table = worker->table;

        if (table == NULL)
            continue;
        if (race->plant == PLANT_SHARED && worker->number == 1)
            table = race->workers[0].table;
        if (race->plant == PLANT_MASTER && worker->number == 1)
            table = bl_table_build_master(race->build);
        if (table != NULL && !look_up(worker, table) && race->plant == PLANT_NOTHING)
            worker->wrong = true;
    }
    /* Its last word, so that the builder does not wait for it. */
    atomic_store_explicit(&worker->mailbox.n_done, UINT64_MAX, memory_order_release);
    return NULL;
}

/* How many messages all workers are done with; of the first one alone, when that is what is planted. */
static uint64_t n_done_by_all(const struct race *race)
{
    uint64_t least = UINT64_MAX;

    for (unsigned i = 0; i < (race->plant == PLANT_FREED ? 1 : N_WORKERS); i++) {
        uint64_t n = atomic_load_explicit(&race->workers[i].mailbox.n_done, memory_order_acquire);

        least = n < least ? n : least;
    }
    return least < race->n_sent ? least : race->n_sent;
}

static void free_patches(struct race *race)
{
    for (uint64_t n = n_done_by_all(race); race->n_freed < n; race->n_freed++)
        bl_table_patch_free(race->sent[race->n_freed % MESSAGES]);
}

static struct bl_table *copy_master(const struct race *race)
{
    const struct bl_table *master = bl_table_build_master(race->build);
    size_t size = bl_table_size(master);
    struct bl_table *copy = aligned_alloc(BL_TABLE_ALIGN, size);

    if (copy == NULL)
        abort();
    memcpy(copy, master, size);
    return copy;
}

/* Waits for room in every mailbox. */
static void send(struct race *race, struct bl_table_patch *patch, bool rebuilt, bool stop)
{
    while (race->n_sent - race->n_freed >= MESSAGES - 1) {
        free_patches(race);
        sched_yield();
    }
    for (unsigned i = 0; i < N_WORKERS; i++) {
        struct mailbox *mailbox = &race->workers[i].mailbox;

        /* With the planted bug above there is room too early. */
        while (race->n_sent - atomic_load_explicit(&mailbox->n_done, memory_order_acquire) >= MESSAGES - 1 &&
               atomic_load(&mailbox->n_done) != UINT64_MAX)
            sched_yield();
        mailbox->messages[race->n_sent % MESSAGES] =
            (struct message){.patch = patch, .block = rebuilt ? copy_master(race) : NULL, .stop = stop};
        atomic_store_explicit(&mailbox->n_sent, race->n_sent + 1, memory_order_release);
    }
    race->sent[race->n_sent++ % MESSAGES] = patch;
    free_patches(race);
}

static bool change(struct race *race, const struct bl_prefix *prefix, uint8_t class_id)
{
    return bl_table_build_set(race->build, prefix, class_id) == BL_OK;
}

static bool commit(struct race *race)
{
    struct bl_table_patch *patch = NULL;
    bool rebuilt = false;

    if (bl_table_build_commit(race->build, ++race->serial, &patch, &rebuilt) != BL_OK)
        return false;
    send(race, patch, rebuilt, false);
    return true;
}

/* Wide prefixes would cover the stable hosts' neighbours only: the longest prefix wins. */
static bool build_for(struct race *race, unsigned seconds)
{
    struct timespec now;
    time_t end;

    clock_gettime(CLOCK_MONOTONIC, &now);
    end = now.tv_sec + (time_t)seconds;
    for (unsigned i = 0; i < N_STABLE; i++)
        if (!change(race, &race->stable[i], stable_class(i)))
            return false;
    if (!commit(race))
        return false;
    for (uint64_t round = 0; now.tv_sec < end; round++) {
        bool filling = round / 50 % 2 == 0;

        for (unsigned i = workload_below(&race->random, CHANGES_MAX); i > 0; i--) {
            struct bl_prefix prefix = workload_prefix(&race->random);
            bool add = workload_below(&race->random, 10) < (filling ? 8 : 2);

            if (!change(race, &prefix, add ? (uint8_t)(1 + workload_below(&race->random, BL_CLASS_EXEMPT)) : 0))
                return false;
        }
        if (!commit(race))
            return false;
        clock_gettime(CLOCK_MONOTONIC, &now);
    }
    return true;
}

/* At the end every replica is the master, byte by byte. */
static void judge(struct race *race)
{
    const struct bl_table *master = bl_table_build_master(race->build);
    uint64_t n_lookups = 0;

    for (unsigned i = 0; i < N_WORKERS; i++) {
        struct worker *worker = &race->workers[i];

        if (worker->wrong || bl_table_serial(worker->table) != race->serial ||
            memcmp(worker->table, master, bl_table_size(master)) != 0) {
            fprintf(stderr, "table_race: worker %u: %s\n", i,
                    worker->wrong ? "a wrong answer" : "not the master's bytes");
            race->failed = true;
        }
        n_lookups += worker->n_lookups;
        free(worker->table);
    }
    printf("table_race: %d workers, %llu patches and %llu blocks each, %llu lookups meanwhile\n", N_WORKERS,
           (unsigned long long)race->workers[0].n_patches, (unsigned long long)race->workers[0].n_blocks,
           (unsigned long long)n_lookups);
}

static int run(struct race *race, unsigned seconds)
{
    race->random = 1;
    if (bl_table_build_create(&race->build, EPOCH, &table_key, 0) != BL_OK)
        return EXIT_FAILURE;
    for (unsigned i = 0; i < N_STABLE; i++)
        race->stable[i] = stable_prefix(i);
    for (unsigned i = 0; i < N_WORKERS; i++) {
        struct worker *worker = &race->workers[i];

        *worker = (struct worker){.race = race, .number = i, .random = 100 + i};
        if (pthread_create(&worker->thread, NULL, run_worker, worker) != 0)
            return EXIT_FAILURE;
    }
    race->failed = !build_for(race, seconds);
    send(race, NULL, false, true);
    for (unsigned i = 0; i < N_WORKERS; i++)
        pthread_join(race->workers[i].thread, NULL);
    free_patches(race);
    judge(race);
    bl_table_build_free(race->build);
    return race->failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static bool read_plant(const char *text, enum plant *out)
{
    static const char *const names[] = {[PLANT_SHARED] = "shared", [PLANT_FREED] = "freed", [PLANT_MASTER] = "master"};

    for (unsigned i = PLANT_SHARED; i <= PLANT_MASTER; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (enum plant)i;
            return true;
        }
    return false;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"plant", required_argument, NULL, 'p'}, {"seconds", required_argument, NULL, 's'}, {NULL, 0, NULL, 0}};
    static struct race race; /* too large for the stack */
    unsigned seconds = SECONDS;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        bool good = option == 'p' ? read_plant(optarg, &race.plant)
                                  : option == 's' && (seconds = (unsigned)strtoul(optarg, NULL, 10)) > 0;

        if (!good) {
            fputs("usage: table_race [--plant shared|freed|master] [--seconds N]\n", stderr);
            return 2;
        }
    }
    return run(&race, seconds);
}
