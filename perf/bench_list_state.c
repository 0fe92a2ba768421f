/* The list state at size: bytes an entry, time to build it, and a start from a snapshot in the log on disk.
 *
 * bench_list_state N DIRECTORY: N listings, 95 % hosts (IPv4 and one in twenty IPv6 /64), the rest /24 to /30, of five sources
 * with twenty reasons and a hundred serials; half of them end some day. The directory gets a log, which is removed again.
 * Bytes are jemalloc's stats.allocated, after less before; the start is bl_store_open, what the control plane does. */
#include <jemalloc/jemalloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "controlplane/codec_log.h"
#include "controlplane/store.h"

enum { SOURCES = 5, REASONS = 20, PART_ITEMS = 65536 };

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

static void start(const char *directory, uint64_t n_listings)
{
    struct bl_settings_controlplane *settings = calloc(1, sizeof(*settings));
    struct bl_error_detail detail = {""};
    struct bl_list_counts counts;
    struct bl_store store;
    double begin_s = now_s();

    if (settings == NULL)
        check(BL_ENOMEM, "settings", &detail);
    (void)snprintf(settings->data_directory, sizeof(settings->data_directory), "%s", directory);
    settings->retry_window = 65536;
    check(bl_store_open(&store, settings, &detail), "start", &detail);
    (void)printf("start from the snapshot: %.2f s\n", now_s() - begin_s);
    bl_list_state_count(store.state, &counts);
    if (counts.n_listings != n_listings)
        check(BL_EINVAL, "the start has another number of listings", &detail);
    bl_store_close(&store);
    free(settings);
}

int main(int argc, char **argv)
{
    uint64_t n = argc == 3 ? strtoull(argv[1], NULL, 10) : 0;
    struct bl_error_detail detail = {""};
    struct bl_list_state *state;
    struct bl_list_counts counts;
    size_t before;
    size_t after;
    size_t n_bytes;
    double begin_s;

    if (n == 0) {
        (void)fprintf(stderr, "usage: bench_list_state N DIRECTORY (empty, on the disk to measure)\n");
        return 2;
    }
    before = stat_of("stats.allocated");
    begin_s = now_s();
    check(bl_list_state_create(&state, 1, sources, SOURCES - 1), "create", &detail);
    build(state, n);
    (void)printf("build, one by one: %.2f s\n", now_s() - begin_s);
    after = stat_of("stats.allocated");
    bl_list_state_count(state, &counts);
    (void)printf("%llu listings, %llu entries: %.1f bytes a listing allocated, %zu MB resident\n",
                 (unsigned long long)counts.n_listings,
                 (unsigned long long)(counts.n_effective_ipv4 + counts.n_effective_ipv6),
                 (double)(after - before) / (double)counts.n_listings, stat_of("stats.resident") >> 20);
    begin_s = now_s();
    n_bytes = write_snapshot(argv[2], state);
    (void)printf("snapshot written: %.2f s, %zu MB\n", now_s() - begin_s, n_bytes >> 20);
    bl_list_state_free(state);
    start(argv[2], counts.n_listings);
    return 0;
}
