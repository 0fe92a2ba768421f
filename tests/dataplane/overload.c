/* A flood of SYNs from 2^24 forged listed sources, all of 10/8, with mail of others in between, through the data plane's own
 * worker between two stub ports. What must hold, flood or no flood:
 *
 *   - memory is flat: no byte is allocated for a source, and every buffer comes back
 *   - answers stay below their limit; what is above it is dropped, and counted
 *   - forwarded traffic does not notice: each of its frames goes out, also while the WAN port sends nothing
 *   - each frame is counted once
 *
 *     overload [--sources N] [--plant none|limit|leak|remember]
 *
 * --plant makes one of these promises untrue from outside, to see that it is noticed: limit takes the limit away, leak
 * keeps a buffer in 4096, remember allocates for each burst. Exit: 0 all held, 1 not, 2 usage or no DPDK. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

#include "dataplane/table_build.h"
#include "dataplane/worker_parts.h"
#include "frames.h"
#include "stub_port.h"

enum {
    EXIT_USAGE = 2,
    MAIL_EVERY = 16, /* frames: one of them is mail of somebody who is not listed */
    ANSWERS_PER_S = 1000,
    BUFFERS = 4095,
    REPLY_BUFFERS = 255,
    LEAK_EVERY = 4096,
};

#if defined(__SANITIZE_ADDRESS__)
enum { SOURCES = 1 << 20 };
#else
enum { SOURCES = 1 << 24 };
#endif

enum plant { PLANT_NONE, PLANT_LIMIT, PLANT_LEAK, PLANT_REMEMBER, PLANTS };

static const char *const plants[PLANTS] = {"none", "limit", "leak", "remember"};

struct flood {
    struct rte_mempool *pool;
    struct bl_port ports[BL_SIDE_COUNT];
    struct bl_worker *worker;
    struct bl_common *common;
    struct bl_class classes[BL_CLASS_COUNT];
    uint8_t syn[FRAME_BYTES_MAX];
    uint8_t mail[FRAME_BYTES_MAX];
    size_t syn_bytes;
    size_t mail_bytes;
    uint32_t n_sources;
    uint32_t n_syns; /* handed out: the next source is 10.0.0.0 and so many */
    uint32_t n_mails;
    uint64_t n_forwarded;
    bool wan_stuck;
    enum plant plant;
};

/* What may not grow. */
struct memory {
    uint64_t heap;
    uint64_t dpdk_heap;
    unsigned n_buffers; /* free ones */
    unsigned n_reply_buffers;
};

static void die(const char *what)
{
    (void)fprintf(stderr, "overload: %s\n", what);
    exit(EXIT_USAGE);
}

static bool expect(bool held, const char *what, uint64_t found, uint64_t wanted)
{
    if (!held)
        printf("NOT HELD: %s: %llu, expected %llu\n", what, (unsigned long long)found, (unsigned long long)wanted);
    return held;
}

/* The source and its checksums are changed in the frame that was made once. */
static void put_syn(struct flood *flood, struct rte_mbuf *frame)
{
    uint8_t *bytes = rte_pktmbuf_mtod(frame, uint8_t *);
    uint8_t *ip = bytes + 14;

    memcpy(bytes, flood->syn, flood->syn_bytes);
    frame_store32(ip + 12, 10u << 24 | flood->n_syns++);
    frame_store16(ip + 10, 0);
    frame_store16(ip + 10, ~frame_sum(0, ip, 20) & 0xffff);
    frame_store16(ip + 20 + 16, 0);
    frame_store16(ip + 20 + 16, ~frame_tcp_sum(ip, 4, ip + 20, flood->syn_bytes - 34) & 0xffff);
    frame->data_len = (uint16_t)flood->syn_bytes;
}

static uint16_t receive_wan(uint16_t port, uint16_t queue, struct rte_mbuf *frames[], uint16_t n, uint16_t max,
                            void *argument)
{
    struct flood *flood = argument;

    (void)port;
    (void)queue;
    if (flood->n_syns >= flood->n_sources || rte_pktmbuf_alloc_bulk(flood->pool, frames, max) != 0)
        return 0;
    for (n = 0; n < max; n++) {
        if (n % MAIL_EVERY == 0 || flood->n_syns == flood->n_sources) {
            memcpy(rte_pktmbuf_mtod(frames[n], uint8_t *), flood->mail, flood->mail_bytes);
            frames[n]->data_len = (uint16_t)flood->mail_bytes;
            flood->n_mails++;
        } else {
            put_syn(flood, frames[n]);
        }
        frames[n]->pkt_len = frames[n]->data_len;
    }
    return n;
}

static uint16_t receive_nothing(uint16_t port, uint16_t queue, struct rte_mbuf *frames[], uint16_t n, uint16_t max,
                                void *argument)
{
    (void)port, (void)queue, (void)frames, (void)max, (void)argument;
    return n;
}

/* A port that takes nothing hands nothing on. */
static uint16_t send_wan(uint16_t port, uint16_t queue, struct rte_mbuf *frames[], uint16_t n, void *argument)
{
    (void)port, (void)queue, (void)frames;
    return ((struct flood *)argument)->wan_stuck ? 0 : n;
}

static uint16_t send_lan(uint16_t port, uint16_t queue, struct rte_mbuf *frames[], uint16_t n, void *argument)
{
    struct flood *flood = argument;

    (void)port, (void)queue;
    flood->n_forwarded += n;
    if (flood->plant == PLANT_LEAK && flood->n_forwarded % LEAK_EVERY < n)
        rte_mbuf_refcnt_update(frames[0], 1);
    return n;
}

/* 10/8 is listed. */
static struct bl_table *make_table(void)
{
    static const struct bl_siphash_key key = {1, 2};
    const struct bl_prefix listed = {.family = BL_FAMILY_IPV4, .length = 8, .bytes = {10}};
    struct bl_table_build *build;
    struct bl_table_patch *patch = NULL;
    struct bl_table *table;
    bool rebuilt;
    size_t size;

    if (bl_table_build_create(&build, 1, &key, 0) != BL_OK || bl_table_build_set(build, &listed, 1) != BL_OK ||
        bl_table_build_commit(build, 1, &patch, &rebuilt) != BL_OK)
        die("no memory for a table");
    size = bl_table_size(bl_table_build_master(build));
    table = aligned_alloc(BL_TABLE_ALIGN, size);
    if (table == NULL)
        die("no memory for a table");
    memcpy(table, bl_table_build_master(build), size);
    bl_table_patch_free(patch);
    bl_table_build_free(build);
    return table;
}

static void make_frames(struct flood *flood)
{
    static const uint8_t options[] = {2, 4, 0x05, 0xb4};
    struct frame_spec spec = frame_spec_init(4);

    spec.payload = (const uint8_t *)"MAIL FROM:<a@example.org>\r\n";
    spec.payload_bytes = strlen((const char *)spec.payload);
    flood->mail_bytes = frame_build(&spec, flood->mail);
    spec.payload_bytes = 0;
    spec.flags = FRAME_SYN;
    spec.tcp_options = options; /* with some, as senders have them: such a SYN is remembered */
    spec.tcp_options_bytes = sizeof(options);
    flood->syn_bytes = frame_build(&spec, flood->syn);
}

static void make_common(struct flood *flood)
{
    flood->common = rte_zmalloc("common", sizeof(*flood->common), RTE_CACHE_LINE_SIZE);
    if (flood->common == NULL)
        die("no memory");
    flood->common->rules = (struct bl_reject_rules){.cookie_key = {1, 2}, .hostname = "mx.example.org"};
    flood->common->now_s = 1800000000;
    flood->common->patch_step_bytes = 4096;
    bl_classify_policy_init(&flood->common->policy);
    bl_classify_policy_protect(&flood->common->policy, 25, BL_ACTION_REJECT);
    flood->classes[1] =
        (struct bl_class){.code = 606, .action = BL_ACTION_REJECT, .url = "https://delist.example.net/"};
}

static void make_worker(struct flood *flood)
{
    const struct bl_settings_dataplane settings = {
        .workers = 1,
        .answers_per_s = flood->plant == PLANT_LIMIT ? 0 : ANSWERS_PER_S,
        .resends_per_s = 1000,
        .resend_entries = 16384,
        .reply_buffers = REPLY_BUFFERS,
        .reject_samples_per_s = 100,
    };
    const struct bl_worker_plan plan = {flood->common, &settings, flood->ports};
    struct bl_error_detail detail = {""};

    if (bl_worker_parts_create(&flood->worker, &plan, 0, 0, &detail) != BL_OK)
        die(detail.text);
    flood->worker->replica.table = make_table();
    flood->worker->replica.table_bytes = bl_table_size(flood->worker->replica.table);
    flood->worker->replica.classes = flood->classes;
}

static struct memory look(const struct flood *flood)
{
    struct mallinfo2 info = mallinfo2();
    struct rte_malloc_socket_stats stats = {0};

    (void)rte_malloc_get_socket_stats(0, &stats);
    return (struct memory){
        .heap = info.uordblks + info.hblkhd,
        .dpdk_heap = stats.heap_allocsz_bytes,
        .n_buffers = rte_mempool_avail_count(flood->pool),
        .n_reply_buffers = rte_mempool_avail_count(flood->worker->reply_pool),
    };
}

static void keep_for_ever(void)
{
    static void *last;
    void **note = malloc(sizeof(*note));

    if (note == NULL)
        die("no memory");
    *note = last;
    last = note;
}

/* Half of the flood with a WAN port that sends, half with one that does not. */
static uint64_t run(struct flood *flood)
{
    uint64_t start = rte_rdtsc();

    while (flood->n_syns < flood->n_sources) {
        flood->wan_stuck = flood->n_syns > flood->n_sources / 2;
        (void)bl_worker_turn(flood->worker);
        if (flood->plant == PLANT_REMEMBER)
            keep_for_ever();
    }
    return rte_rdtsc() - start;
}

static bool judge(const struct flood *flood, const struct memory *before, uint64_t ticks)
{
    const struct memory after = look(flood);
    const uint64_t *reasons = flood->worker->counters.reasons;
    uint64_t most = ANSWERS_PER_S + ANSWERS_PER_S * ticks / rte_get_tsc_hz() + 1;
    uint64_t n_answered = reasons[BL_REASON_REJECT_SYN] + reasons[BL_REASON_DROP_NO_BUFFER];
    bool held = true;

    held &= expect(after.heap == before->heap, "bytes of the heap", after.heap, before->heap);
    held &= expect(after.dpdk_heap == before->dpdk_heap, "bytes of DPDK's heap", after.dpdk_heap, before->dpdk_heap);
    held &= expect(after.n_buffers == before->n_buffers, "free buffers", after.n_buffers, before->n_buffers);
    held &= expect(after.n_reply_buffers == before->n_reply_buffers, "free buffers for answers", after.n_reply_buffers,
                   before->n_reply_buffers);
    held &= expect(n_answered > 0 && n_answered <= most, "answers", n_answered, most);
    held &= expect(n_answered + reasons[BL_REASON_DROP_LIMIT_ANSWER] == flood->n_syns, "SYNs counted",
                   n_answered + reasons[BL_REASON_DROP_LIMIT_ANSWER], flood->n_syns);
    held &= expect(reasons[BL_REASON_PASS_NOT_LISTED] == flood->n_mails, "mail that passed",
                   reasons[BL_REASON_PASS_NOT_LISTED], flood->n_mails);
    held &= expect(flood->n_forwarded == flood->n_mails, "mail that went out", flood->n_forwarded, flood->n_mails);
    printf("%u SYNs from %u sources, %u mails between: %llu answered (at most %llu), %llu above the limit, all mail "
           "went out, heap %llu and %llu bytes as before\n",
           flood->n_syns, flood->n_syns, flood->n_mails, (unsigned long long)n_answered, (unsigned long long)most,
           (unsigned long long)reasons[BL_REASON_DROP_LIMIT_ANSWER], (unsigned long long)after.heap,
           (unsigned long long)after.dpdk_heap);
    return held;
}

static void parse_arguments(struct flood *flood, int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc)
            die("expected --sources N or --plant NAME");
        if (strcmp(argv[i], "--sources") == 0) {
            flood->n_sources = (uint32_t)strtoul(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--plant") == 0) {
            flood->plant = PLANT_NONE;
            while (flood->plant < PLANTS && strcmp(argv[i + 1], plants[flood->plant]) != 0)
                flood->plant++;
        }
    }
    if (flood->plant == PLANTS || flood->n_sources == 0)
        die("expected --sources N or --plant none, limit, leak or remember");
}

int main(int argc, char **argv)
{
    static struct flood flood = {.n_sources = SOURCES};
    char *arguments[] = {(char[]){"overload"},
                         (char[]){"--no-huge"},
                         (char[]){"--no-shconf"},
                         (char[]){"--no-pci"},
                         (char[]){"-m"},
                         (char[]){"128"},
                         (char[]){"--lcores=0@0"},
                         (char[]){"--no-telemetry"},
                         (char[]){"--log-level=*:error"},
                         NULL};
    struct memory before;
    bool held;

    parse_arguments(&flood, argc, argv);
    if (rte_eal_init(9, arguments) < 0)
        die("DPDK does not start");
    flood.pool = rte_pktmbuf_pool_create("frames", BUFFERS, 256, 0, RTE_PKTMBUF_HEADROOM + 256, 0);
    if (flood.pool == NULL ||
        stub_port_open(&flood.ports[BL_SIDE_WAN], "net_null_wan", flood.pool, receive_wan, &flood) != BL_OK ||
        stub_port_open(&flood.ports[BL_SIDE_LAN], "net_null_lan", flood.pool, receive_nothing, NULL) != BL_OK ||
        rte_eth_add_tx_callback(flood.ports[BL_SIDE_WAN].id, 0, send_wan, &flood) == NULL ||
        rte_eth_add_tx_callback(flood.ports[BL_SIDE_LAN].id, 0, send_lan, &flood) == NULL)
        die("no ports");
    make_frames(&flood);
    make_common(&flood);
    make_worker(&flood);
    before = look(&flood);
    held = judge(&flood, &before, run(&flood));
    free(flood.worker->replica.table);
    bl_worker_parts_free(flood.worker);
    stub_port_close(&flood.ports[BL_SIDE_WAN]);
    stub_port_close(&flood.ports[BL_SIDE_LAN]);
    (void)rte_eal_cleanup();
    return held ? EXIT_SUCCESS : EXIT_FAILURE;
}
