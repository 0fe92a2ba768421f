/* The list state at size: bytes an entry, time to build it, and a start from a snapshot in the log on disk.
 *
 * Each case is N listings, 95 % hosts (IPv4 and one in twenty IPv6 /64), the rest /24 to /30, of five sources with twenty
 * reasons and a serial for each 100,000; half of them end some day. The log is written into a directory of its own, which
 * goes again. Allocated is jemalloc's stats.allocated, after less before; resident is what the process takes from the system
 * (VmRSS), after less before, by a fresh list of a start: all told. The start is bl_store_open, what the control plane does. */
#include <argp.h>
#include <errno.h>
#include <jemalloc/jemalloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "controlplane/codec_log.h"
#include "controlplane/store.h"

enum { SOURCES = 5, REASONS = 20, PART_ITEMS = 8192, CASES_MAX = 8 };

static const char *const sources[SOURCES] = {"trap", "drop", "firehol", "crowdsec", "operator"};

static double now_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static size_t stat_of(const char *name)
{
    uint64_t epoch = 1;
    size_t n_bytes = sizeof(epoch);
    size_t value = 0;

    (void)mallctl("epoch", &epoch, &n_bytes, &epoch, sizeof(epoch));
    n_bytes = sizeof(value);
    return mallctl(name, &value, &n_bytes, NULL, 0) == 0 ? value : 0;
}

static void check(int error, const char *what, const struct bl_error_detail *detail)
{
    if (error == BL_OK)
        return;
    (void)fprintf(stderr, "bench_list_state: %s: %s %s\n", what, bl_error_text(error), detail->text);
    exit(1);
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* Listing @i: the same at every run. */
static void make(uint64_t i, char reason[32], struct bl_prefix *prefix, struct bl_effect_attributes *attributes)
{
    uint64_t draw = mix(i + 1);
    uint32_t address = (uint32_t)(draw >> 32);
    uint32_t length = draw % 20 == 0 ? 24 + draw / 20 % 7 : 32;

    *prefix = (struct bl_prefix){.length = (uint8_t)length, .family = BL_FAMILY_IPV4};
    address &= UINT32_MAX << (32 - length);
    for (int k = 0; k < 4; k++)
        prefix->bytes[k] = (uint8_t)(address >> (24 - 8 * k));
    if (draw / 1000 % 20 == 0) {
        prefix->family = BL_FAMILY_IPV6;
        prefix->length = 64;
        memcpy(prefix->bytes, "\x20\x01", 2);
        for (int k = 2; k < 8; k++)
            prefix->bytes[k] = (uint8_t)(draw >> (8 * k));
    }
    (void)snprintf(reason, 32, "reason %u", (unsigned)(draw / 7 % REASONS));
    *attributes = (struct bl_effect_attributes){
        .source = sources[draw / 11 % SOURCES],
        .reason = reason,
        .url = "https://delist.example/",
        .actor = "feeds",
        .serial = 1 + i / 100000,
        .observed_at_ms = INT64_C(1700000000000) + (int64_t)(i / 100000) * 1000,
        .expires_at_ms = draw / 13 % 2 == 0 ? 0 : INT64_C(4000000000000) + (int64_t)(i / 100000) * 1000,
        .code = (uint16_t)(606 + draw / 11 % SOURCES),
        .action = 1,
        .self_service = true,
    };
}

static void build(struct bl_list_state *state, uint64_t n)
{
    struct bl_error_detail detail = {""};
    struct bl_effect_attributes attributes;
    struct bl_list_changes changes;
    struct bl_prefix prefix;
    char reason[32];

    for (uint64_t i = 0; i < n; i++) {
        make(i, reason, &prefix, &attributes);
        const struct bl_effect_group group = {BL_EFFECT_LIST, attributes, &prefix, 1};

        check(bl_list_state_apply(state, &group, attributes.serial, "feeds", &detail), "apply", &detail);
        if (i % 2048 == 2047)
            bl_list_state_commit(state, attributes.serial, &changes);
    }
    bl_list_state_commit(state, 1, &changes);
}

/* A snapshot in the making. */
struct parts {
    struct bl_log *log;
    struct bl_codec_snapshot snapshot;
    struct bl_effect_group *groups;
    struct bl_prefix *prefixes;
    size_t n_bytes;
    struct bl_error_detail detail;
};

static void end_part(struct parts *parts)
{
    struct bl_codec_bytes bytes = {NULL, 0};

    if (parts->snapshot.n_groups == 0)
        return;
    check(bl_codec_log_encode_snapshot(&parts->snapshot, &bytes), "encode", &parts->detail);
    const struct bl_log_blob blob = {1, bytes.data, bytes.length};

    check(bl_log_snapshot_add(parts->log, &blob, &parts->detail), "add", &parts->detail);
    parts->n_bytes += bytes.length;
    bl_codec_bytes_fini(&bytes);
    parts->snapshot.n_groups = 0;
    parts->snapshot.classes = NULL;
}

static int take(void *context, const struct bl_list_layer *layer)
{
    struct parts *parts = context;
    size_t i = parts->snapshot.n_groups++;

    parts->prefixes[i] = layer->prefix;
    parts->groups[i] = (struct bl_effect_group){layer->kind, layer->attributes, &parts->prefixes[i], 1};
    if (parts->snapshot.n_groups == PART_ITEMS)
        end_part(parts);
    return 0;
}

static size_t write_snapshot(const char *directory, const struct bl_list_state *state)
{
    struct parts parts = {.groups = calloc(PART_ITEMS, sizeof(*parts.groups)),
                          .prefixes = calloc(PART_ITEMS, sizeof(*parts.prefixes))};
    struct bl_record record = {.serial = 1, .actor = "feeds", .session = ""};
    struct bl_codec_bytes bytes = {NULL, 0};

    if (parts.groups == NULL || parts.prefixes == NULL)
        check(BL_ENOMEM, "parts", &parts.detail);
    check(bl_log_open(&parts.log, directory, &parts.detail), "open", &parts.detail);
    record.epoch = bl_log_epoch(parts.log);
    check(bl_codec_log_encode_record(&record, &bytes), "record", &parts.detail);
    const struct bl_log_blob blob = {1, bytes.data, bytes.length};

    check(bl_log_append(parts.log, &blob, 1, &parts.detail), "append", &parts.detail);
    check(bl_log_snapshot_begin(parts.log, 1, &parts.detail), "begin", &parts.detail);
    parts.snapshot = (struct bl_codec_snapshot){
        .epoch = record.epoch, .serial = 1, .groups = parts.groups, .classes = bl_list_state_classes(state)};
    (void)bl_list_state_each_layer(state, take, &parts);
    end_part(&parts);
    check(bl_log_snapshot_end(parts.log, &parts.detail), "end", &parts.detail);
    bl_log_close(parts.log);
    bl_codec_bytes_fini(&bytes);
    free(parts.groups);
    free(parts.prefixes);
    return parts.n_bytes;
}

/* What the process has from the system now. */
static double resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long size = 0;
    unsigned long resident = 0;

    if (file == NULL || fscanf(file, "%lu %lu", &size, &resident) != 2)
        check(BL_EIO, "/proc/self/statm", &(struct bl_error_detail){"can't be read"});
    (void)fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

/* Gives back what is free, so that only what is held is resident. */
static void purge(void)
{
    (void)mallctl("arena.4096.purge", NULL, NULL, NULL, 0); /* MALLCTL_ARENAS_ALL */
}

struct figures {
    uint64_t n_listings;
    double build_s;
    double allocated; /* bytes a listing */
    double resident;
    double snapshot_s;
    double snapshot; /* bytes a listing */
    double start_s;
};

static void start(const char *directory, struct figures *figures)
{
    struct bl_settings_controlplane *settings = calloc(1, sizeof(*settings));
    struct bl_error_detail detail = {""};
    struct bl_list_counts counts;
    struct bl_store store;
    double before;
    double begin_s;

    if (settings == NULL)
        check(BL_ENOMEM, "settings", &detail);
    (void)snprintf(settings->data_directory, sizeof(settings->data_directory), "%s", directory);
    settings->retry_window = 65536;
    purge();
    before = resident_bytes();
    begin_s = now_s();
    check(bl_store_open(&store, settings, &detail), "start", &detail);
    figures->start_s = now_s() - begin_s;
    purge();
    figures->resident = (resident_bytes() - before) / (double)figures->n_listings;
    bl_list_state_count(store.state, &counts);
    if (counts.n_listings != figures->n_listings)
        check(BL_EINVAL, "the start has another number of listings", &detail);
    bl_store_close(&store);
    free(settings);
}

static struct figures measure(uint64_t n, const char *directory)
{
    struct bl_error_detail detail = {""};
    struct figures figures = {0};
    struct bl_list_state *state;
    struct bl_list_counts counts;
    size_t before = stat_of("stats.allocated");
    double begin_s = now_s();

    check(bl_list_state_create(&state, 1, sources, SOURCES - 1), "create", &detail);
    build(state, n);
    figures.build_s = now_s() - begin_s;
    bl_list_state_count(state, &counts);
    figures.n_listings = counts.n_listings;
    figures.allocated = (double)(stat_of("stats.allocated") - before) / (double)counts.n_listings;
    begin_s = now_s();
    figures.snapshot = (double)write_snapshot(directory, state) / (double)counts.n_listings;
    figures.snapshot_s = now_s() - begin_s;
    bl_list_state_free(state);
    start(directory, &figures);
    return figures;
}

static void write_row(FILE *csv, uint64_t n, const char *measure, const char *unit, double value)
{
    (void)fprintf(csv, "%llu listings,bounceline,%s,%s,%.3f,%.3f,%.3f\n", (unsigned long long)n, measure, unit, value,
                  value, value);
}

static void report(const struct figures *figures, uint64_t n, FILE *csv)
{
    (void)printf("%llu listings: %.1f bytes each allocated, %.1f resident; built one by one in %.2f s;\n"
                 "  snapshot %.1f bytes each in %.2f s; start from it %.2f s\n",
                 (unsigned long long)figures->n_listings, figures->allocated, figures->resident, figures->build_s,
                 figures->snapshot, figures->snapshot_s, figures->start_s);
    (void)fflush(stdout);
    if (csv == NULL)
        return;
    write_row(csv, n, "allocated", "B", figures->allocated);
    write_row(csv, n, "resident", "B", figures->resident);
    write_row(csv, n, "build", "s", figures->build_s);
    write_row(csv, n, "snapshot size", "B", figures->snapshot);
    write_row(csv, n, "snapshot", "s", figures->snapshot_s);
    write_row(csv, n, "start", "s", figures->start_s);
}

/* A directory of its own for each case: a log that is there would be folded, too. */
static void run_case(uint64_t n, const char *parent, FILE *csv)
{
    static const char *const files[] = {"log.sqlite", "log.sqlite-wal", "log.sqlite-shm", "reserve"};
    struct figures figures;
    char directory[256];
    char path[300];

    (void)snprintf(directory, sizeof(directory), "%s/bench_list_state.XXXXXX", parent);
    if (mkdtemp(directory) == NULL) {
        (void)fprintf(stderr, "bench_list_state: %s: no directory can be made in it: %s\n", parent, strerror(errno));
        exit(1);
    }
    figures = measure(n, directory);
    report(&figures, n, csv);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", directory, files[i]);
        (void)unlink(path);
    }
    (void)rmdir(directory);
}

struct options {
    uint64_t cases[CASES_MAX];
    size_t n_cases;
    const char *directory;
    const char *csv_path;
};

static error_t take_option(int key, char *argument, struct argp_state *parser)
{
    struct options *options = parser->input;
    char *end;

    switch (key) {
    case 'q':
        options->cases[0] = 50000;
        options->n_cases = 1;
        return 0;
    case 'n':
        if (options->n_cases == CASES_MAX)
            argp_error(parser, "--listings: at most %d cases", CASES_MAX);
        options->cases[options->n_cases] = strtoull(argument, &end, 10);
        if (*end != '\0' || options->cases[options->n_cases] == 0 || options->cases[options->n_cases] > 100000000)
            argp_error(parser, "--listings %s: expected 1 to 100000000", argument);
        options->n_cases++;
        return 0;
    case 'd':
        options->directory = argument;
        return 0;
    case 'c':
        options->csv_path = argument;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv)
{
    static const struct argp_option known[] = {
        {"listings", 'n', "N", 0, "A list of N; more than once for more cases (default: 1000000 and 10000000)", 0},
        {"directory", 'd', "DIR", 0, "The logs are written below it (default: /var/tmp)", 0},
        {"quick", 'q', NULL, 0, "50000 listings: a second, no result", 0},
        {"csv", 'c', "FILE", 0, "Write the figures there too", 0},
        {0}};
    static const struct argp parser = {
        known, take_option,
        NULL,  "Bytes an entry of the control plane's list, and the time of a start from a snapshot of it.",
        NULL,  NULL,
        NULL};
    struct options options = {.directory = "/var/tmp"};
    FILE *csv = NULL;

    (void)argp_parse(&parser, argc, argv, 0, NULL, &options);
    if (options.n_cases == 0) {
        options.cases[options.n_cases++] = 1000000;
        options.cases[options.n_cases++] = 10000000;
    }
    if (options.csv_path != NULL && (csv = fopen(options.csv_path, "we")) == NULL) {
        (void)fprintf(stderr, "bench_list_state: %s: %s\n", options.csv_path, strerror(errno));
        return 1;
    }
    if (csv != NULL)
        (void)fprintf(csv, "case,contender,measure,unit,value,low,high\n");
    for (size_t i = 0; i < options.n_cases; i++)
        run_case(options.cases[i], options.directory, csv);
    return csv != NULL && fclose(csv) != 0 ? 1 : 0;
}
