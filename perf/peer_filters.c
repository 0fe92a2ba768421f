/* peer_filters: what a listed packet costs until it is dropped, in the kernel's filters and in ours. See --help.
 *
 *   list ─▶ frames ─▶ filters, each behind a veth (filter.c), and parse, classify, look up, decide of ours ─▶ rounds
 *
 * A peer's figure is the difference to a filter that drops everything in the same place, round by round: the port and
 * the kernel's way there are not counted against it. Ours is all that is done until the decision. Before anything is
 * timed each must let through what is not listed, and at the end nothing of the list may have passed. Exit: 0 measured,
 * 1 something failed, 2 usage, 77 can't run here. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_prefetch.h>

#include "dataplane/classify.h"
#include "filter.h"
#include "keys.h"
#include "list.h"
#include "measure.h"
#include "options.h"

enum {
    EXIT_USAGE = 2,
    EXIT_SKIP = 77,
    CHUNK = 1024,
    CHUNKS_MAX = 256,
    ROUNDS_QUICK = 5,
    ROUNDS_FULL = 21,
    FRAMES = 1 << 17, /* 8 MiB: more than the caches near a core hold */
    OURS = FILTER_KINDS,
    RESULTS,
};

struct options {
    unsigned long n_entries;
    unsigned rounds;
    unsigned chunks; /* a turn */
    const char *csv_path;
};

struct bench {
    struct options options;
    FILE *csv;
    double ns_a_tick;
    uint32_t *addresses; /* the list */
    size_t n;
    struct bl_table *table;
    struct bl_classify_policy policy;
    struct bl_class classes[BL_CLASS_COUNT];
    uint8_t *listed; /* FRAMES from random sources of the list */
    uint8_t *others; /* CHUNK from sources that are not in it */
    struct filter filters[FILTER_KINDS];
    bool runs[RESULTS];
    double ns[RESULTS][MEASURE_ROUNDS_MAX];
};

static const struct argp_option option_list[] = {
    {"quick", 'q', NULL, 0, "5 rounds, 100,000 entries", 0},
    {"entries", 'n', "N", 0, "Entries of the list, 1000..4000000 (default: 1000000)", 0},
    {"csv", 'f', "FILE", 0, "Write the figures there too", 0},
    {0},
};

static error_t parse_option(int option, char *argument, struct argp_state *state)
{
    struct options *options = state->input;

    switch (option) {
    case 'q':
        options->n_entries = 100000;
        options->rounds = ROUNDS_QUICK;
        options->chunks = 8;
        return 0;
    case 'n':
        options->n_entries = options_read_number(argument, 1000, 4000000, "entries", state);
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

/* Hosts alone: a hash map can hold nothing else, and the interval set takes no two entries that overlap. */
static int make_table(struct bench *bench)
{
    struct bl_siphash_key key;
    struct bl_table_patch *patch = NULL;
    struct bl_table_build *build = NULL;
    struct list list;
    size_t n_done;
    bool rebuilt;
    int error = list_make(&list, BL_FAMILY_IPV4, LIST_CLUSTERED, bench->options.n_entries, 1);

    if (error != BL_OK)
        return error;
    for (size_t i = 0; i < list.n; i++)
        if (list.entries[i].prefix.length == 32 && list.entries[i].class_id != BL_CLASS_EXEMPT)
            list.entries[bench->n++] = list.entries[i];
    bench->addresses = malloc(bench->n * sizeof(bench->addresses[0]));
    for (size_t i = 0; bench->addresses != NULL && i < bench->n; i++)
        bench->addresses[i] = bl_address_to_ip4(list.entries[i].prefix.bytes);
    if (bench->addresses == NULL || getrandom(&key, sizeof(key), 0) != sizeof(key))
        error = BL_ENOMEM;
    if (error == BL_OK)
        error = bl_table_build_create(&build, 1, &key, bench->n);
    if (error == BL_OK)
        error = bl_table_build_load(build, list.entries, bench->n, &n_done);
    if (error == BL_OK)
        error = bl_table_build_commit(build, 1, &patch, &rebuilt);
    if (error == BL_OK) {
        const struct bl_table *master = bl_table_build_master(build);

        bench->table = aligned_alloc(BL_TABLE_ALIGN, (bl_table_size(master) + BL_TABLE_ALIGN - 1) & -BL_TABLE_ALIGN);
        if (bench->table != NULL)
            memcpy(bench->table, master, bl_table_size(master));
        else
            error = BL_ENOMEM;
    }
    bl_table_patch_free(patch);
    bl_table_build_free(build);
    list_free(&list);
    return error;
}

static void make_policy(struct bench *bench)
{
    bl_classify_policy_init(&bench->policy);
    bl_classify_policy_protect(&bench->policy, 25, BL_ACTION_REJECT);
    for (unsigned i = BL_CLASS_FIRST; i <= BL_CLASS_LAST; i++)
        bench->classes[i] = (struct bl_class){.code = BL_CLASS_CODE_MIN, .action = BL_ACTION_DROP};
}

static uint16_t checksum(const uint8_t *bytes, size_t n)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < n; i += 2)
        sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t) ~(sum + (sum >> 16));
}

/* A SYN to port 25 of 192.0.2.25; nobody asks for its TCP checksum. */
static void make_frame(uint8_t *frame, uint32_t source)
{
    static const uint8_t head[48] = {0x02, 0,  0, 0, 0, 0x01, 0x08, 0x00, 0x45, 0,   0,    40,         0,    0,    0x40,
                                     0,    64, 6, 0, 0, 0,    0,    0,    0,    192, 0,    2,          25,   0xc3, 0x50,
                                     0,    25, 0, 0, 0, 1,    0,    0,    0,    0,   0x50, BL_TCP_SYN, 0xff, 0xff};
    uint16_t sum;

    memcpy(frame, filter_mac, sizeof(filter_mac));
    memcpy(frame + 6, head, sizeof(head));
    for (unsigned i = 0; i < 4; i++)
        frame[26 + i] = (uint8_t)(source >> (24 - 8 * i));
    sum = checksum(frame + 14, 20);
    frame[24] = (uint8_t)(sum >> 8);
    frame[25] = (uint8_t)sum;
}

static int make_frames(struct bench *bench)
{
    uint64_t random = 77;

    bench->listed = calloc(FRAMES, FILTER_FRAME_STRIDE);
    bench->others = calloc(CHUNK, FILTER_FRAME_STRIDE);
    if (bench->listed == NULL || bench->others == NULL)
        return BL_ENOMEM;
    for (size_t i = 0; i < FRAMES; i++)
        make_frame(bench->listed + i * FILTER_FRAME_STRIDE, bench->addresses[list_below(&random, bench->n)]);
    for (size_t i = 0; i < CHUNK;) {
        uint32_t address = bl_address_to_ip4(list_random_address(&random, BL_FAMILY_IPV4).bytes);
        uint8_t class_id;

        bl_table_lookup_ipv4_burst(bench->table, &address, &class_id, 1);
        if (class_id == BL_CLASS_NONE)
            make_frame(bench->others + i++ * FILTER_FRAME_STRIDE, address);
    }
    return BL_OK;
}

/* As worker.c takes a burst. @return how many are dropped. */
static unsigned judge_burst(const struct bench *bench, const uint8_t *frames)
{
    struct bl_packet packets[FILTER_BURST];
    struct bl_decision decisions[FILTER_BURST];
    uint32_t sources[FILTER_BURST];
    uint8_t of[FILTER_BURST];
    uint8_t classes[FILTER_BURST];
    unsigned n = 0;
    unsigned dropped = 0;

    for (unsigned i = 0; i < FILTER_BURST; i++)
        rte_prefetch0(frames + i * FILTER_FRAME_STRIDE);
    for (unsigned i = 0; i < FILTER_BURST; i++) {
        bl_parse_frame(frames + i * FILTER_FRAME_STRIDE, FILTER_FRAME_BYTES, &packets[i]);
        if (!bl_classify_needs_lookup(&bench->policy, &packets[i], &decisions[i]))
            continue;
        of[n] = (uint8_t)i;
        sources[n++] = packets[i].source_ip4;
    }
    bl_table_lookup_ipv4_burst(bench->table, sources, classes, n);
    for (unsigned i = 0; i < n; i++)
        bl_classify_decide(&bench->policy, bench->classes, &packets[of[i]], classes[i], &decisions[of[i]]);
    for (unsigned i = 0; i < FILTER_BURST; i++)
        dropped += decisions[i].verdict == BL_VERDICT_DROP;
    return dropped;
}

static bool send_chunk(const struct bench *bench, unsigned who, const uint8_t *frames, size_t n)
{
    unsigned dropped = 0;

    if (who != OURS)
        return filter_send(&bench->filters[who], frames, n);
    for (size_t i = 0; i < n; i += FILTER_BURST)
        dropped += judge_burst(bench, frames + i * FILTER_FRAME_STRIDE);
    return dropped == n;
}

/* The median chunk of a turn. Negative: it went wrong. */
static double take_turn(struct bench *bench, unsigned who, unsigned round)
{
    double ticks[CHUNKS_MAX];
    size_t at = (size_t)round * bench->options.chunks * CHUNK % FRAMES;

    for (unsigned i = 0; i < bench->options.chunks; i++, at = (at + CHUNK) % FRAMES) {
        uint64_t start = rte_rdtsc_precise();

        if (!send_chunk(bench, who, bench->listed + at * FILTER_FRAME_STRIDE, CHUNK))
            return -1;
        ticks[i] = (double)(rte_rdtsc_precise() - start);
    }
    return measure_percentile(ticks, bench->options.chunks, 50) / CHUNK * bench->ns_a_tick;
}

static const char *name_of(unsigned who)
{
    return who == OURS ? "bounceline" : filter_name((enum filter_kind)who);
}

/* What is not listed must pass. */
static bool verify(const struct bench *bench, unsigned who)
{
    int64_t passed;

    if (who == OURS) {
        unsigned dropped = 0;

        for (size_t i = 0; i < CHUNK; i += FILTER_BURST)
            dropped += judge_burst(bench, bench->others + i * FILTER_FRAME_STRIDE);
        return dropped == 0;
    }
    if (filter_floor((enum filter_kind)who) == (enum filter_kind)who)
        return true;
    if (!filter_send(&bench->filters[who], bench->others, CHUNK))
        return false;
    passed = filter_passed(&bench->filters[who]);
    if (passed != CHUNK)
        fprintf(stderr, "peer_filters: %s let %lld of %d through that are not listed\n", name_of(who),
                (long long)passed, CHUNK);
    return passed == CHUNK;
}

static bool open_all(struct bench *bench)
{
    bench->runs[OURS] = true;
    for (unsigned who = 0; who < RESULTS; who++) {
        char why[FILTER_WHY_MAX];

        if (who != OURS) {
            if (isatty(STDERR_FILENO))
                fprintf(stderr, "\r\033[Kloading %s", name_of(who));
            bench->runs[who] =
                filter_open(&bench->filters[who], (enum filter_kind)who, bench->addresses, bench->n, why);
            if (!bench->runs[who])
                printf("  not run: %s: %s\n", name_of(who), why);
        }
        if (bench->runs[who] && !verify(bench, who)) {
            fprintf(stderr, "peer_filters: %s does not filter as it must\n", name_of(who));
            return false;
        }
    }
    return true;
}

static bool run_rounds(struct bench *bench)
{
    for (unsigned round = 0; round < bench->options.rounds; round++)
        for (unsigned i = 0; i < RESULTS; i++) {
            unsigned who = (i + round) % RESULTS;

            if (!bench->runs[who])
                continue;
            bench->ns[who][round] = take_turn(bench, who, round);
            if (bench->ns[who][round] < 0) {
                fprintf(stderr, "peer_filters: %s did not take or drop all frames\n", name_of(who));
                return false;
            }
        }
    for (unsigned who = 0; who < OURS; who++) {
        int64_t expected = filter_floor((enum filter_kind)who) == (enum filter_kind)who ? 0 : CHUNK;

        if (bench->runs[who] && filter_passed(&bench->filters[who]) != expected) {
            fprintf(stderr, "peer_filters: %s let listed frames through\n", name_of(who));
            return false;
        }
    }
    return true;
}

static void tell(const struct bench *bench, const char *who, const char *figure, const double *values)
{
    struct measure_summary sum = measure_summarize(values, bench->options.rounds);

    printf("  %-34s %-12s %8.1f [%.1f–%.1f]\n", who, figure, sum.median, sum.low, sum.high);
    if (bench->csv != NULL)
        fprintf(bench->csv, "a listed packet dropped; %zu hosts,%s,%s,%.3f,%.3f,%.3f\n", bench->n, who, figure,
                sum.median, sum.low, sum.high);
}

static void report(const struct bench *bench)
{
    printf("== %zu hosts, frames from random ones of them, all dropped; ns a packet, median [95 %%]\n", bench->n);
    tell(bench, "bounceline", "list,ns", bench->ns[OURS]);
    for (unsigned who = 0; who < OURS; who++) {
        unsigned below = filter_floor((enum filter_kind)who);
        double added[MEASURE_ROUNDS_MAX];
        double ratios[MEASURE_ROUNDS_MAX];
        char pair[64];

        if (!bench->runs[who] || !bench->runs[below])
            continue;
        if (who == below) {
            tell(bench, name_of(who), "packet,ns", bench->ns[who]);
            continue;
        }
        for (unsigned round = 0; round < bench->options.rounds; round++) {
            added[round] = bench->ns[who][round] - bench->ns[below][round];
            ratios[round] = added[round] / bench->ns[OURS][round];
        }
        snprintf(pair, sizeof(pair), "bounceline/%s", name_of(who));
        tell(bench, name_of(who), "list,ns", added);
        tell(bench, pair, "ratio,x", ratios);
    }
}

static int measure(struct bench *bench)
{
    bool measured;

    bench->ns_a_tick = 1e9 / measure_tsc_hz();
    if (make_table(bench) != BL_OK || make_frames(bench) != BL_OK) {
        fprintf(stderr, "peer_filters: no memory for %lu entries\n", bench->options.n_entries);
        return EXIT_FAILURE;
    }
    make_policy(bench);
    if (filter_begin() != 0)
        return EXIT_SKIP;
    measured = open_all(bench) && run_rounds(bench);
    if (measured)
        report(bench);
    for (unsigned who = 0; who < OURS; who++)
        if (bench->runs[who])
            filter_close(&bench->filters[who]);
    free(bench->table);
    free(bench->addresses);
    free(bench->listed);
    free(bench->others);
    return measured ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* On one CPU, so that what is sent is received on the same. */
static void pin(void)
{
    cpu_set_t cpus;

    CPU_ZERO(&cpus);
    CPU_SET((size_t)sched_getcpu(), &cpus);
    (void)sched_setaffinity(0, sizeof(cpus), &cpus);
}

int main(int argc, char **argv)
{
    static const struct argp parser = {option_list,
                                       parse_option,
                                       NULL,
                                       "Measures what a list costs a packet that is dropped: nftables, ipset and XDP "
                                       "in network namespaces of their own, and Bounceline's lookup. Needs root.",
                                       NULL,
                                       NULL,
                                       NULL};
    struct bench *bench = calloc(1, sizeof(*bench));
    int status;

    argp_err_exit_status = EXIT_USAGE;
    if (bench == NULL)
        return EXIT_FAILURE;
    bench->options = (struct options){.n_entries = 1000000, .rounds = ROUNDS_FULL, .chunks = 32};
    argp_parse(&parser, argc, argv, 0, NULL, &bench->options);
    if (bench->options.csv_path != NULL && (bench->csv = fopen(bench->options.csv_path, "we")) == NULL) {
        fprintf(stderr, "peer_filters: %s: %s\n", bench->options.csv_path, strerror(errno));
        return EXIT_FAILURE;
    }
    if (bench->csv != NULL)
        fprintf(bench->csv, "case,contender,measure,unit,value,low,high\n");
    pin();
    status = measure(bench);
    if (bench->csv != NULL && fclose(bench->csv) != 0)
        status = EXIT_FAILURE;
    free(bench);
    return status;
}
