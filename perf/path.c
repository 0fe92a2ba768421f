/* See path.h. */
#include "path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

#include "measure.h"
#include "stub_port.h"

enum { BUFFER_BYTES = 256, CACHE = 256, POOL_EXTRA = 4 * CACHE, SAMPLES = 64 };

/* bounceline.yaml's defaults, but for limits: they would be met. */
static const struct bl_settings_dataplane settings = {
    .workers = 1,
    .answers_per_s = 100000000,
    .established_per_s = 100000000,
    .resets_per_s = 100000000,
    .resends_per_s = 1000,
    .resend_entries = 16384,
    .reply_buffers = 2048,
    .reject_samples_per_s = 100,
};

static uint16_t hand_out(uint16_t port, uint16_t queue, struct rte_mbuf *frames[], uint16_t n, uint16_t max,
                         void *argument)
{
    struct path *path = argument;
    size_t left = path->n_filled - path->n_taken;

    (void)port;
    (void)queue;
    (void)n;
    if (left > max)
        left = max;
    memcpy(frames, path->frames + path->n_taken - path->first, left * sizeof(frames[0]));
    path->n_taken += left;
    return (uint16_t)left;
}

static uint16_t hand_out_wan(uint16_t port, uint16_t queue, struct rte_mbuf *frames[], uint16_t n, uint16_t max,
                             void *argument)
{
    return ((struct path *)argument)->side == BL_SIDE_WAN ? hand_out(port, queue, frames, n, max, argument) : 0;
}

static uint16_t hand_out_lan(uint16_t port, uint16_t queue, struct rte_mbuf *frames[], uint16_t n, uint16_t max,
                             void *argument)
{
    return ((struct path *)argument)->side == BL_SIDE_LAN ? hand_out(port, queue, frames, n, max, argument) : 0;
}

static int open_port(struct path *path, enum bl_side side, unsigned id)
{
    char name[32];

    snprintf(name, sizeof(name), "net_null_%s%u", side == BL_SIDE_WAN ? "wan" : "lan", id);
    return stub_port_open(&path->ports[side], name, path->pool, side == BL_SIDE_WAN ? hand_out_wan : hand_out_lan,
                          path);
}

static int create_common(struct path *path)
{
    path->common = rte_zmalloc("path_common", sizeof(*path->common), RTE_CACHE_LINE_SIZE);
    if (path->common == NULL)
        return BL_ENOMEM;
    path->common->rules = (struct bl_reject_rules){
        .cookie_key = {0x0706050403020100, 0x0f0e0d0c0b0a0908},
        .stage = BL_STAGE_RCPT,
        .starttls = BL_STARTTLS_HIDE,
        .hostname = "mx.example.org",
    };
    path->common->patch_step_bytes = 4096;
    path->common->now_s = 1800000000;
    path->common->now_ms = path->common->now_s * 1000;
    bl_classify_policy_init(&path->common->policy);
    bl_classify_policy_protect(&path->common->policy, 25, BL_ACTION_REJECT);
    return BL_OK;
}

int path_create(struct path **out, unsigned id, unsigned lcore, size_t window)
{
    struct path *path = calloc(1, sizeof(*path));
    struct bl_error_detail detail = {""};
    struct bl_worker_plan plan;
    char name[32];
    int error;

    if (path == NULL)
        return BL_ENOMEM;
    path->lcore = lcore;
    path->window = window;
    snprintf(name, sizeof(name), "path_%u", id);
    path->pool =
        rte_pktmbuf_pool_create(name, PATH_FRAMES_MAX + POOL_EXTRA, CACHE, 0, RTE_PKTMBUF_HEADROOM + BUFFER_BYTES, 0);
    path->bytes = rte_malloc("path_bytes", sizeof(path->bytes[0]) * PATH_FRAMES_MAX, RTE_CACHE_LINE_SIZE);
    error = path->pool == NULL || path->bytes == NULL ? BL_ENOMEM : create_common(path);
    for (unsigned side = 0; side < BL_SIDE_COUNT && error == BL_OK; side++)
        error = open_port(path, (enum bl_side)side, id);
    plan = (struct bl_worker_plan){path->common, &settings, path->ports};
    if (error == BL_OK)
        error = bl_worker_parts_create(&path->worker, &plan, id, lcore, &detail);
    if (error != BL_OK) {
        fprintf(stderr, "bench_burst: no worker on lcore %u: %s %s\n", lcore, bl_error_text(error), detail.text);
        path_free(path);
        return error;
    }
    for (unsigned side = 0; side < BL_SIDE_COUNT; side++)
        path->worker->tx[side].queue = 0; /* each path has ports of its own */
    *out = path;
    return BL_OK;
}

void path_free(struct path *path)
{
    if (path->worker != NULL)
        bl_worker_parts_free(path->worker);
    for (unsigned side = 0; side < BL_SIDE_COUNT; side++)
        stub_port_close(&path->ports[side]);
    rte_free(path->common);
    rte_free(path->bytes);
    rte_mempool_free(path->pool);
    free(path);
}

void path_set(struct path *path, struct bl_table *replica, uint8_t action)
{
    struct bl_sample samples[SAMPLES];

    for (unsigned i = BL_CLASS_FIRST; i <= BL_CLASS_LAST; i++)
        path->classes[i] = (struct bl_class){
            .code = 606,
            .action = action,
            .url = "https://delist.example.net/?ip={address}",
        };
    path->worker->replica.table = replica;
    path->worker->replica.table_bytes = bl_table_size(replica);
    path->worker->replica.classes = path->classes;
    while (bl_sampler_take(&path->worker->sampler, samples, SAMPLES) == SAMPLES)
        continue;
    path->n_frames = 0;
    path->side = BL_SIDE_WAN;
}

void path_load(struct path *path, const struct traffic *traffic, enum traffic_class class, uint64_t first, size_t n)
{
    for (size_t i = 0; i < n; i++, path->n_frames++)
        path->lengths[path->n_frames] = (uint8_t)traffic_build(traffic, class, first + i, path->bytes[path->n_frames]);
}

/* The part of the NIC: fills the next window. */
static int fill(struct path *path)
{
    size_t n = path->n_frames - path->n_filled < path->window ? path->n_frames - path->n_filled : path->window;

    if (rte_pktmbuf_alloc_bulk(path->pool, path->frames, (unsigned)n) != 0)
        return BL_ENOMEM;
    path->first = path->n_filled;
    for (size_t i = 0; i < n; i++, path->n_filled++) {
        struct rte_mbuf *frame = path->frames[i];

        memcpy(rte_pktmbuf_mtod(frame, uint8_t *), path->bytes[path->n_filled], TRAFFIC_FRAME_MAX);
        frame->data_len = path->lengths[path->n_filled];
        frame->pkt_len = frame->data_len;
    }
    return BL_OK;
}

static void forward(const struct path *path)
{
    struct rte_mbuf *frames[BL_WORKER_BURST];
    uint16_t n = rte_eth_rx_burst(path->ports[BL_SIDE_WAN].id, 0, frames, BL_WORKER_BURST);

    (void)rte_eth_tx_burst(path->ports[BL_SIDE_LAN].id, 0, frames, n);
}

static void receive(const struct path *path)
{
    struct rte_mbuf *frames[BL_WORKER_BURST];
    uint16_t n = rte_eth_rx_burst(path->ports[BL_SIDE_WAN].id, 0, frames, BL_WORKER_BURST);

    rte_pktmbuf_free_bulk(frames, n);
}

static void take(struct path *path, enum path_kind kind)
{
    uint64_t *ticks = &path->ticks[path->n_taken / BL_WORKER_BURST];
    uint64_t start = rte_rdtsc_precise();

    if (kind == PATH_WORKER)
        (void)bl_worker_turn(path->worker);
    else if (kind == PATH_FORWARD)
        forward(path);
    else
        receive(path);
    *ticks = rte_rdtsc_precise() - start;
}

int path_run(struct path *path, enum path_kind kind)
{
    path->n_taken = 0;
    path->n_filled = 0;
    while (path->n_taken < path->n_frames) {
        if (path->n_taken == path->n_filled && fill(path) != BL_OK)
            return BL_ENOMEM;
        take(path, kind);
    }
    return BL_OK;
}

double path_ns(struct path *path, size_t first, size_t n)
{
    static double ns[PATH_FRAMES_MAX / BL_WORKER_BURST];
    size_t n_turns = n / BL_WORKER_BURST;

    for (size_t i = 0; i < n_turns; i++)
        ns[i] = (double)path->ticks[first / BL_WORKER_BURST + i] / BL_WORKER_BURST * 1e9 / (double)rte_get_tsc_hz();
    return measure_percentile(ns, n_turns, 50);
}

uint64_t path_count(struct path *path, enum bl_reason reason)
{
    uint64_t *counter = &path->worker->counters.reasons[reason];
    uint64_t n = *counter;

    *counter = 0;
    return n;
}

uint64_t path_step(struct path *path, enum bl_step step)
{
    uint64_t ticks = path->worker->steps.ticks[step];

    path->worker->steps.ticks[step] = 0;
    return ticks;
}
