/* A worker without ports; see worker_path.h. */
#include "dataplane/worker_path.h"

#include <stdio.h>
#include <stdlib.h>

#include <rte_eal.h>
#include <rte_mbuf.h>

#include "dataplane/answer.h"
#include "dataplane/burst.h"
#include "dataplane/challenge.h"
#include "dataplane/table_build.h"

enum { TABLE_EPOCH = 5, REPLIES = 255, FRAME_BYTES_ENOUGH = 100000, RING = 64 };

static void die(const char *what)
{
    (void)fprintf(stderr, "worker_path: %s\n", what);
    exit(2);
}

static void start_eal(void)
{
    char *arguments[] = {(char[]){"test"},
                         (char[]){"--no-huge"},
                         (char[]){"--no-shconf"},
                         (char[]){"--no-pci"},
                         (char[]){"-m"},
                         (char[]){"64"},
                         (char[]){"--lcores=0@0"},
                         (char[]){"--no-telemetry"},
                         (char[]){"--log-level=*:error"},
                         NULL};

    if (rte_eal_init(9, arguments) < 0)
        die("DPDK does not start");
}

/* A table in which every address is of the class. */
static struct bl_table *make_table(uint8_t class_id)
{
    static const struct bl_siphash_key key = {1, 2};
    const struct bl_prefix all[] = {{.family = BL_FAMILY_IPV4}, {.family = BL_FAMILY_IPV6}};
    struct bl_table_build *build;
    struct bl_table_patch *patch;
    struct bl_table *table;
    bool rebuilt;
    size_t size;

    if (bl_table_build_create(&build, TABLE_EPOCH, &key, 0) != BL_OK)
        die("no memory for a table");
    for (unsigned i = 0; class_id != BL_CLASS_NONE && i < 2; i++)
        if (bl_table_build_set(build, &all[i], class_id) != BL_OK)
            die("no memory for a table");
    if (bl_table_build_commit(build, 1, &patch, &rebuilt) != BL_OK || !rebuilt)
        die("no memory for a table");
    size = bl_table_size(bl_table_build_master(build));
    table = aligned_alloc(BL_TABLE_ALIGN, size);
    if (table == NULL)
        die("no memory for a table");
    memcpy(table, bl_table_build_master(build), size);
    bl_table_build_free(build);
    return table;
}

static void *make_zeroed(size_t n, size_t bytes)
{
    size_t size = (n * bytes + RTE_CACHE_LINE_SIZE - 1) / RTE_CACHE_LINE_SIZE * RTE_CACHE_LINE_SIZE;
    void *memory = aligned_alloc(RTE_CACHE_LINE_SIZE, size);

    if (memory == NULL)
        die("no memory for the ring");
    return memset(memory, 0, size);
}

static void make_ring(struct bl_resend *resend)
{
    struct bl_resend_memory memory = bl_resend_size(RING);

    memory.sets = make_zeroed(memory.n_sets, sizeof(*memory.sets));
    memory.entries = make_zeroed((size_t)memory.n_sets * BL_RESEND_WAYS, sizeof(*memory.entries));
    memory.items = make_zeroed(memory.n_items, sizeof(*memory.items));
    bl_resend_init(resend, &memory);
}

void worker_path_init(struct worker_path *path, const struct bl_classify_policy *policy)
{
    struct bl_worker *worker;

    start_eal();
    memset(path, 0, sizeof(*path));
    worker = aligned_alloc(_Alignof(struct bl_worker), sizeof(*worker));
    path->common = aligned_alloc(_Alignof(struct bl_common), sizeof(*path->common));
    if (worker == NULL || path->common == NULL)
        die("no memory");
    memset(worker, 0, sizeof(*worker));
    memset(path->common, 0, sizeof(*path->common));
    path->common->policy = *policy;
    path->worker = worker;
    worker->common = path->common;
    worker->reply_pool =
        rte_pktmbuf_pool_create("replies", REPLIES, 0, 0, RTE_PKTMBUF_HEADROOM + BL_SEGMENT_FRAME_MAX, 0);
    if (worker->reply_pool == NULL)
        die("no memory for buffers");
    path->frame = rte_pktmbuf_alloc(worker->reply_pool);
    for (unsigned side = 0; side < BL_SIDE_COUNT; side++)
        worker->tx[side].frame_max_bytes = FRAME_BYTES_ENOUGH;
    path->tables[BL_CLASS_NONE] = make_table(BL_CLASS_NONE);
    path->tables[EXCHANGE_CLASS] = make_table(EXCHANGE_CLASS);
    path->tables[BL_CLASS_EXEMPT] = make_table(BL_CLASS_EXEMPT);
    make_ring(&worker->resend);
    bl_resend_set_time(&worker->resend, 0, WORKER_PATH_TICKS_A_SECOND);
    worker->now_tsc = WORKER_PATH_TICKS_A_SECOND;
    worker->sampler.off = true;
}

void worker_path_set(struct worker_path *path, const struct exchange *exchange)
{
    path->common->rules = exchange->rules;
    path->common->now_s = exchange->now_s;
    path->worker->replica.classes = exchange->classes;
    path->worker->replica.table = path->tables[exchange->class_id];
}

void worker_path_limit(struct worker_path *path, bool limited)
{
    struct bl_limits *limits = &path->worker->limits;
    struct bl_bucket *buckets[] = {&limits->answers, &limits->established, &limits->resets};

    for (unsigned i = 0; i < 3; i++) {
        bl_bucket_init(buckets[i], limited ? 1 : 0, WORKER_PATH_TICKS_A_SECOND);
        (void)bl_bucket_take(buckets[i], path->worker->now_tsc);
    }
}

/* Takes what is queued for a side, frees it, and keeps its bytes. The frame itself is only noted. */
static void collect(struct worker_path *path, enum bl_side side)
{
    struct bl_tx *tx = &path->worker->tx[side];
    struct worker_path_out *out = side == BL_SIDE_WAN ? path->wan : path->lan;
    unsigned *n = side == BL_SIDE_WAN ? &path->n_wan : &path->n_lan;

    *n = 0;
    for (unsigned i = 0; i < tx->n_pkts; i++) {
        struct rte_mbuf *sent = tx->frames[i];

        if (sent == path->frame) {
            path->forwarded = side == BL_SIDE_LAN;
            rte_pktmbuf_refcnt_update(sent, -1);
            continue;
        }
        if (*n == WORKER_PATH_OUT_MAX)
            die("more answers than frames");
        out[*n].length = sent->pkt_len;
        memcpy(out[*n].bytes, rte_pktmbuf_mtod(sent, const uint8_t *), sent->pkt_len);
        ++*n;
        rte_pktmbuf_free(sent);
    }
    tx->n_pkts = 0;
}

/* The buffer holds a block of exactly the frame's size, and is held twice, so that the worker's free leaves it to us. */
static void put_frame(struct worker_path *path, uint8_t *block, size_t length)
{
    struct rte_mbuf *frame = path->frame;

    frame->buf_addr = block;
    frame->buf_len = (uint16_t)length;
    frame->data_off = 0;
    frame->data_len = (uint16_t)length;
    frame->pkt_len = (uint32_t)length;
    frame->nb_segs = 1;
    frame->next = NULL;
    rte_mbuf_refcnt_set(frame, 2);
    path->forwarded = false;
}

static uint8_t *copy_exact(const uint8_t *frame, size_t length)
{
    uint8_t *block = malloc(length);

    if (block == NULL)
        die("out of memory");
    memcpy(block, frame, length);
    return block;
}

enum bl_reason worker_path_receive(struct worker_path *path, const uint8_t *frame, size_t length)
{
    struct bl_worker *worker = path->worker;
    uint8_t *block = copy_exact(frame, length);
    enum bl_reason reason = BL_REASON_COUNT;
    unsigned n = 0;

    put_frame(path, block, length);
    memset(worker->counters.reasons, 0, sizeof(worker->counters.reasons));
    bl_burst_take(worker, &path->frame, 1);
    collect(path, BL_SIDE_WAN);
    collect(path, BL_SIDE_LAN);
    for (unsigned i = 0; i < BL_REASON_COUNT; i++)
        if (worker->counters.reasons[i] != 0) {
            reason = (enum bl_reason)i;
            n += (unsigned)worker->counters.reasons[i];
        }
    if (memcmp(block, frame, length) != 0)
        die("the worker changed a received frame");
    free(block);
    return n == 1 ? reason : BL_REASON_COUNT;
}

void worker_path_receive_lan(struct worker_path *path, const uint8_t *frame, size_t length)
{
    uint8_t *block = copy_exact(frame, length);

    put_frame(path, block, length);
    bl_challenge_burst(path->worker, &path->frame, 1);
    if (memcmp(block, frame, length) != 0 || rte_mbuf_refcnt_read(path->frame) != 2)
        die("a server's frame was changed or kept");
    collect(path, BL_SIDE_WAN);
    collect(path, BL_SIDE_LAN);
    free(block);
}

void worker_path_wait(struct worker_path *path, uint64_t ticks)
{
    path->worker->now_tsc += ticks;
    (void)bl_answer_resend(path->worker);
    collect(path, BL_SIDE_WAN);
    collect(path, BL_SIDE_LAN);
}
