/* See update.h. */
#include "update.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_pause.h>

/* FRESH_CLASS: no list has it; see contender_fib.c. */
enum {
    FRESH_CLASS = 9,
    N_MAX = 20000,
    BUDGET_BYTES = 4096,
    KEYS_BETWEEN = 4 * CONTENDER_BURST,
    WIDE_MAX = 100,
    WIDE_IPV4 = 8,
    WIDE_IPV6 = 19
};

static const char *const act_names[2][UPDATE_ACTS] = {
    {"add a host", "remove a host", "add a /8", "remove a /8"},
    {"add a host", "remove a host", "add a /19", "remove a /19"},
};

/* One patch at a time; what is not atomic belongs to whoever the last store gave it to. */
struct post {
    struct bl_table *table; /* replica of the worker */
    const struct bl_table_patch *patch;
    const struct keys *keys;
    uint64_t ticks;
    _Atomic uint64_t n_sent; /* main core: release; worker: acquire */
    _Atomic uint64_t n_done; /* worker: release; main core: acquire */
    _Atomic bool stop;
};

struct session {
    const struct contender_kind *kind;
    void *state;
    struct update_result *out;
    struct post post;
    bool ours;
    bool has_worker;
    uint64_t serial;
    double overhead; /* ticks of taking the time */
    double *main_us[UPDATE_ACTS];
    double *worker[UPDATE_ACTS];
};

const char *update_act_name(enum update_act act, uint8_t family)
{
    return act_names[family == BL_FAMILY_IPV6][act];
}

static double elapsed_us(uint64_t start, uint64_t end, double overhead)
{
    double ticks = (double)(end - start) - overhead;

    return (ticks > 0 ? ticks : 0) * 1e6 / (double)rte_get_tsc_hz();
}

static double find_overhead(void)
{
    enum { N = 1001 };
    double ticks[N];

    for (unsigned i = 0; i < N; i++) {
        uint64_t start = rte_rdtsc_precise();

        ticks[i] = (double)(rte_rdtsc_precise() - start);
    }
    return measure_percentile(ticks, N, 50);
}

static void apply_one(struct post *post, uint64_t number)
{
    struct bl_table_cursor cursor = {0};
    size_t first = number * KEYS_BETWEEN % (post->keys->n - KEYS_BETWEEN);
    uint8_t classes[KEYS_BETWEEN];
    uint64_t start;

    if (post->keys->family == BL_FAMILY_IPV4)
        bl_table_lookup_ipv4_burst(post->table, post->keys->ip4 + first, classes, KEYS_BETWEEN);
    else
        bl_table_lookup_ipv6_burst(post->table, post->keys->ip6 + first, classes, KEYS_BETWEEN);
    start = rte_rdtsc_precise();
    while (!bl_table_apply(post->table, post->patch, &cursor, BUDGET_BYTES))
        continue;
    post->ticks = rte_rdtsc_precise() - start;
}

static int run_worker(void *argument)
{
    struct post *post = argument;

    for (uint64_t n = 0;;) {
        if (atomic_load_explicit(&post->n_sent, memory_order_acquire) == n) {
            if (atomic_load(&post->stop))
                return 0;
            rte_pause();
            continue;
        }
        apply_one(post, n++);
        atomic_store_explicit(&post->n_done, n, memory_order_release);
    }
}

static bool follow(struct session *session, struct bl_table_patch *patch, enum update_act act)
{
    struct post *post = &session->post;
    uint64_t number = atomic_load(&post->n_done);
    struct update_times *times = &session->out->worker_cycles[act];
    double ticks;

    post->table = contender_ours_replica(session->state, session->has_worker ? 1 : 0);
    post->patch = patch;
    if (!bl_table_patch_fits(post->table, patch))
        return false;
    if (session->has_worker) {
        atomic_store_explicit(&post->n_sent, number + 1, memory_order_release);
        while (atomic_load_explicit(&post->n_done, memory_order_acquire) == number)
            rte_pause();
    } else {
        apply_one(post, number);
        atomic_store(&post->n_done, number + 1);
    }
    ticks = (double)post->ticks - session->overhead;
    session->worker[act][times->n++] = ticks > 0 ? ticks : 0;
    return true;
}

/* What a peer refuses is counted and passed over. @return false when nothing more can be measured. */
static bool change(struct session *session, const struct bl_prefix *prefix, uint8_t class_id, enum update_act act)
{
    struct update_result *out = session->out;
    struct bl_table_patch *patch = NULL;
    bool rebuilt = false;
    uint64_t start = rte_rdtsc_precise();
    int error = session->kind->set(session->state, prefix, class_id);

    if (error == 0 && session->ours)
        error = bl_table_build_commit(contender_ours_build(session->state), ++session->serial, &patch, &rebuilt);
    session->main_us[act][out->main_us[act].n] = elapsed_us(start, rte_rdtsc_precise(), session->overhead);
    if (error == -ENOTSUP)
        return false;
    if (error != 0) {
        out->n_refused++;
        snprintf(out->why, sizeof(out->why), "%zu changes were refused, \"%s\" with %d the last", out->n_refused,
                 update_act_name(act, prefix->family), error);
        return !session->ours;
    }
    out->main_us[act].n++;
    if (rebuilt) {
        out->n_rebuilt++;
        error = contender_ours_copy(session->state);
    } else if (session->ours && !follow(session, patch, act)) {
        error = BL_EINVAL;
    }
    bl_table_patch_free(patch);
    if (error != 0)
        snprintf(out->why, sizeof(out->why), "%s: the replica does not follow", update_act_name(act, prefix->family));
    return error == 0;
}

static bool change_hosts(struct session *session, const struct list *list, uint64_t *random, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct bl_table_entry *listed = &list->entries[list_below(random, list->n)];
        struct bl_address address = list_random_address(random, list->family);
        struct bl_prefix fresh = bl_address_host_prefix(&address);

        if (i % 2 == 0 || listed->prefix.length != fresh.length) {
            if (!change(session, &fresh, FRESH_CLASS, UPDATE_ADD_HOST) ||
                !change(session, &fresh, 0, UPDATE_REMOVE_HOST))
                return false;
        } else if (!change(session, &listed->prefix, 0, UPDATE_REMOVE_HOST) ||
                   !change(session, &listed->prefix, listed->class_id, UPDATE_ADD_HOST)) {
            return false;
        }
    }
    return true;
}

static bool is_there(const struct list *list, const struct bl_prefix *prefix)
{
    for (size_t i = 0; i < list->n; i++)
        if (memcmp(&list->entries[i].prefix, prefix, sizeof(*prefix)) == 0)
            return true;
    return false;
}

static bool change_wide(struct session *session, const struct list *list, uint64_t *random, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct bl_address address = list_random_address(random, list->family);
        struct bl_prefix wide = bl_address_host_prefix(&address);

        wide.length = list->family == BL_FAMILY_IPV4 ? WIDE_IPV4 : WIDE_IPV6;
        bl_address_prefix_mask(&wide);
        if (is_there(list, &wide))
            continue;
        if (!change(session, &wide, FRESH_CLASS, UPDATE_ADD_WIDE) || !change(session, &wide, 0, UPDATE_REMOVE_WIDE))
            return false;
    }
    return true;
}

static void finish(struct session *session)
{
    for (unsigned act = 0; act < UPDATE_ACTS; act++) {
        struct update_times *main_us = &session->out->main_us[act];
        struct update_times *worker = &session->out->worker_cycles[act];

        main_us->p50 = measure_percentile(session->main_us[act], main_us->n, 50);
        main_us->p99 = measure_percentile(session->main_us[act], main_us->n, 99);
        worker->p50 = measure_percentile(session->worker[act], worker->n, 50);
        worker->p99 = measure_percentile(session->worker[act], worker->n, 99);
        free(session->main_us[act]);
        free(session->worker[act]);
    }
}

void update_measure(const struct contender_kind *kind, void *state, const struct list *list, const struct keys *keys,
                    size_t n, struct update_result *out)
{
    struct session session = {.kind = kind,
                              .state = state,
                              .out = out,
                              .post = {.keys = keys},
                              .ours = kind == &contender_ours,
                              .has_worker = rte_lcore_count() > 1,
                              .overhead = find_overhead()};
    unsigned worker = rte_get_next_lcore(-1, 1, 0);
    uint64_t random = 4242;
    bool room = true;

    memset(out, 0, sizeof(*out));
    n = n < N_MAX ? n : N_MAX;
    for (unsigned act = 0; act < UPDATE_ACTS; act++) {
        session.main_us[act] = calloc(n + 1, sizeof(double));
        session.worker[act] = calloc(n + 1, sizeof(double));
        room = room && session.main_us[act] != NULL && session.worker[act] != NULL;
    }
    if (session.ours)
        session.serial = bl_table_serial(bl_table_build_master(contender_ours_build(state)));
    if (session.ours && session.has_worker)
        rte_eal_remote_launch(run_worker, &session.post, worker);
    if (room && change_hosts(&session, list, &random, n) && !kind->hosts_only)
        (void)change_wide(&session, list, &random, n / 10 < WIDE_MAX ? n / 10 : WIDE_MAX);
    atomic_store(&session.post.stop, true);
    if (session.ours && session.has_worker)
        rte_eal_wait_lcore(worker);
    finish(&session);
}
