/* The model test of the table: random changes go to the master and to an oracle that works another way, three replicas
 * follow by patches in steps of random size, a fourth starts late, and all must agree all the time.
 *
 *   table_model [--operations N] [--seed S] [--fill N]
 *
 *   change ─▶ master ─commit─▶ messages (patch or block) ─▶ replicas 0..2, each at its own pace
 *        └──▶ oracle ◀──── full compare every 1000 changes: lookups, digest, counts, replicas byte by byte ────┘
 *
 * The addresses come from few clusters, so that prefixes nest; the number of entries goes up and down in waves, so that
 * the block grows, empties and is built anew. --fill puts so many scattered hosts below all that first, so that the
 * waves go to and fro at another size: 50,000 operations, or 10^6 with BL_LONG in the environment. Between the compares, replicas in the middle of a patch are asked for
 * addresses that no change since has touched: these must answer as before.
 *
 * With BL_SHARED_DATA in the environment the real routing table there is loaded and compared too. Prints one line a
 * part; exit 0 all agreed, 1 not (with the seed and the operation), 2 usage. */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/table_build.h"
#include "dataplane/table_oracle.h"
#include "dataplane/table_workload.h"

#ifdef __SANITIZE_ADDRESS__
enum { OPERATIONS_DEFAULT = 100000 };
#else
enum { OPERATIONS_DEFAULT = 1000000 };
#endif

enum {
    OPERATIONS_FILLED = OPERATIONS_DEFAULT / 20,
    EPOCH = 9,
    N_REPLICAS = 3,
    COMPARE_EVERY = 1000,
    COMMIT_OPERATIONS_MAX = 200,
    ENTRIES_LOW = 1000,
    ENTRIES_HIGH = 60000, /* enough that hosts get lines of their own */
    N_RANDOM_ADDRESSES = 1200,
    PROBES_MAX = 4 * COMPARE_EVERY + N_RANDOM_ADDRESSES,
    N_REAL_LOOKUPS = 100000,
};

/* What the main core sends: a patch, or the block to start again from. */
struct message {
    struct bl_table_patch *patch;
    struct bl_table *block;
};

/* A worker's replica and how far it has come in the messages. */
struct follower {
    struct bl_table *table;
    struct bl_table_cursor cursor;
    size_t next;
};

struct model {
    uint64_t seed;
    uint64_t random;
    uint64_t operation;
    uint64_t serial;
    struct bl_table_build *build;
    struct oracle oracle;
    struct follower replicas[N_REPLICAS];
    struct bl_table *late; /* a copy that starts at one compare and is judged at the next */
    size_t late_next;
    struct message messages[COMPARE_EVERY + 1]; /* since the last compare */
    size_t n_messages;
    struct bl_prefix changed[COMPARE_EVERY];
    size_t n_changed;
    bool filling;
    size_t n_fill; /* entries that the waves come on top of */
    struct bl_address probes[PROBES_MAX];
    struct {
        uint64_t n_compares;
        uint64_t n_lookups;
        uint64_t n_nested; /* lookups that more than one prefix covers */
        uint64_t n_holes;
        uint64_t n_unlisted;
        uint64_t n_patches;
        uint64_t n_blocks;
        uint64_t n_steps;
        uint64_t n_midway;
        size_t n_entries_max;
    } stats;
};

static const struct bl_siphash_key table_key = {0x1234567890abcdefULL, 0xfedcba0987654321ULL};

static void __attribute__((format(printf, 2, 3), noreturn)) fail(const struct model *model, const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "table_model: seed %llu, operation %llu: ", (unsigned long long)model->seed,
            (unsigned long long)model->operation);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

static void must(const struct model *model, bool condition, const char *what)
{
    if (!condition)
        fail(model, "%s", what);
}

static struct bl_prefix listed_prefix(struct model *model)
{
    size_t n = model->oracle.n_ipv4 + model->oracle.n_ipv6;

    if (n == 0)
        return workload_prefix(&model->random);
    return oracle_pick(&model->oracle, (size_t)(workload_random(&model->random) % n));
}

/* One change: add, remove, change the class, say the same again, or remove what is not there. */
static void change(struct model *model)
{
    size_t n = model->oracle.n_ipv4 + model->oracle.n_ipv6;
    unsigned kind = workload_below(&model->random, 100);
    struct bl_prefix prefix;
    uint8_t class_id;

    if (n >= model->n_fill + ENTRIES_HIGH)
        model->filling = false;
    if (n <= model->n_fill - model->n_fill / 8 + ENTRIES_LOW)
        model->filling = true;
    if (n > model->stats.n_entries_max)
        model->stats.n_entries_max = n;
    class_id = (uint8_t)(workload_below(&model->random, 5) == 0
                             ? BL_CLASS_EXEMPT
                             : BL_CLASS_FIRST + workload_below(&model->random, BL_CLASS_LAST));
    if (kind < 5) {
        prefix = workload_prefix(&model->random);
        class_id = BL_CLASS_NONE;
    } else if (kind < 20) {
        prefix = listed_prefix(model);
    } else if (kind < (model->filling ? 85u : 35u)) {
        prefix = workload_prefix(&model->random);
    } else {
        prefix = listed_prefix(model);
        class_id = BL_CLASS_NONE;
    }
    must(model, bl_table_build_set(model->build, &prefix, class_id) == BL_OK, "a set failed");
    oracle_set(&model->oracle, &prefix, class_id);
    model->changed[model->n_changed++] = prefix;
}

static struct bl_table *copy_master(const struct model *model)
{
    const struct bl_table *master = bl_table_build_master(model->build);
    size_t size = bl_table_size(master);
    struct bl_table *copy = aligned_alloc(BL_TABLE_ALIGN, size);

    must(model, copy != NULL, "out of memory");
    memcpy(copy, master, size);
    return copy;
}

static void commit(struct model *model)
{
    struct message *message = &model->messages[model->n_messages];
    bool rebuilt;

    must(model, model->n_messages <= COMPARE_EVERY, "too many commits");
    message->block = NULL;
    must(model, bl_table_build_commit(model->build, ++model->serial, &message->patch, &rebuilt) == BL_OK,
         "a commit failed");
    must(model, rebuilt == (message->patch == NULL), "a commit gave both or nothing");
    if (rebuilt) {
        message->block = copy_master(model);
        model->stats.n_blocks++;
    } else {
        must(model, bl_table_patch_serial(message->patch) == model->serial, "a patch leads elsewhere");
        model->stats.n_patches++;
    }
    must(model, bl_table_serial(bl_table_build_master(model->build)) == model->serial, "the master's serial");
    model->n_messages++;
}

/* One step of a worker. @return false when it has done all messages. */
static bool follow(struct model *model, struct follower *replica, size_t budget)
{
    const struct message *message = &model->messages[replica->next];

    if (replica->next == model->n_messages)
        return false;
    model->stats.n_steps++;
    if (message->block != NULL) {
        size_t size = bl_table_size(message->block);

        free(replica->table);
        replica->table = aligned_alloc(BL_TABLE_ALIGN, size);
        must(model, replica->table != NULL, "out of memory");
        memcpy(replica->table, message->block, size);
    } else {
        if (replica->cursor.offset == 0)
            must(model, bl_table_patch_fits(replica->table, message->patch), "a patch does not fit");
        if (!bl_table_apply(replica->table, message->patch, &replica->cursor, budget))
            return true;
        must(model, bl_table_serial(replica->table) == bl_table_patch_serial(message->patch), "a replica's serial");
    }
    memset(&replica->cursor, 0, sizeof(replica->cursor));
    replica->next++;
    return true;
}

/* Small budgets are common: they stop in the middle of patches. */
static size_t random_budget(struct model *model)
{
    return workload_below(&model->random, 4) == 0 ? workload_below(&model->random, 20000)
                                                  : workload_below(&model->random, 300);
}

static uint8_t lookup(const struct bl_table *table, const struct bl_address *address)
{
    uint8_t class_id = 0xff;

    if (address->family == BL_FAMILY_IPV4) {
        uint32_t ip4 = bl_address_to_ip4(address->bytes);

        bl_table_lookup_ipv4_burst(table, &ip4, &class_id, 1);
    } else {
        struct bl_ip6 ip6 = bl_address_to_ip6(address->bytes);

        bl_table_lookup_ipv6_burst(table, &ip6, &class_id, 1);
    }
    return class_id;
}

static void expect(struct model *model, const struct bl_address *address, uint8_t class_id, const char *who)
{
    uint8_t expected = oracle_lookup(&model->oracle, address);
    char text[BL_ADDRESS_TEXT_MAX];

    if (class_id != expected)
        fail(model, "%s: %s is of class %u: expected %u", who, bl_address_format(address, text), class_id, expected);
}

/* A replica that is behind, or in the middle of a patch, knows what no change since the last compare has touched. */
static void check_midway(struct model *model, const struct bl_table *table)
{
    for (unsigned i = 0; i < 4; i++) {
        struct bl_address address = workload_address(&model->random);
        struct bl_prefix host = bl_address_host_prefix(&address);
        bool touched = false;

        for (size_t at = 0; at < model->n_changed && !touched; at++)
            touched = bl_address_prefix_covers(&model->changed[at], &host);
        if (touched)
            continue;
        expect(model, &address, lookup(table, &address), "a replica midway");
        model->stats.n_midway++;
    }
}

/* Looks all probes up in bursts of random size and compares each. */
static void compare_lookups(struct model *model, const struct bl_table *table, size_t n_probes)
{
    enum { BURST_MAX = 150 };
    uint32_t ip4[BURST_MAX];
    struct bl_ip6 ip6[BURST_MAX];
    uint8_t classes[BURST_MAX];

    for (size_t at = 0; at < n_probes;) {
        const struct bl_address *probes = &model->probes[at];
        unsigned wanted = 1 + workload_below(&model->random, BURST_MAX);
        unsigned n = 0;

        for (; n < wanted && at + n < n_probes && probes[n].family == probes[0].family; n++) {
            ip4[n] = bl_address_to_ip4(probes[n].bytes);
            ip6[n] = bl_address_to_ip6(probes[n].bytes);
        }
        if (probes[0].family == BL_FAMILY_IPV4)
            bl_table_lookup_ipv4_burst(table, ip4, classes, n);
        else
            bl_table_lookup_ipv6_burst(table, ip6, classes, n);
        for (unsigned i = 0; i < n; i++) {
            expect(model, &probes[i], classes[i], "a lookup");
            model->stats.n_holes += classes[i] == BL_CLASS_EXEMPT;
            model->stats.n_unlisted += classes[i] == BL_CLASS_NONE;
            model->stats.n_nested += oracle_depth(&model->oracle, &probes[i]) > 1;
        }
        model->stats.n_lookups += n;
        at += n;
    }
}

static int compare_family(const void *a, const void *b)
{
    return (int)((const struct bl_address *)a)->family - (int)((const struct bl_address *)b)->family;
}

static void check_equal(const struct model *model, const struct bl_table *table, const char *who)
{
    const struct bl_table *master = bl_table_build_master(model->build);
    size_t size = bl_table_size(master);

    if (bl_table_size(table) != size || memcmp(table, master, size) != 0)
        fail(model, "%s differs from the master at serial %llu", who, (unsigned long long)model->serial);
    if (bl_table_checksum(table, 0, size, 0) != bl_table_checksum(master, 0, size, 0))
        fail(model, "%s: equal bytes, another checksum", who);
}

static void check_summary(struct model *model)
{
    struct bl_digest digest = bl_table_build_digest(model->build);
    struct bl_digest expected = oracle_digest(&model->oracle, EPOCH);
    uint64_t n_ipv4;
    uint64_t n_ipv6;

    must(model, bl_digest_equal(&digest, &expected), "the digest differs");
    bl_table_build_count(model->build, &n_ipv4, &n_ipv6);
    must(model, n_ipv4 == model->oracle.n_ipv4 && n_ipv6 == model->oracle.n_ipv6, "the counts differ");
}

static void forget_messages(struct model *model)
{
    for (size_t i = 0; i < model->n_messages; i++) {
        bl_table_patch_free(model->messages[i].patch);
        free(model->messages[i].block);
    }
    model->n_messages = 0;
    for (unsigned i = 0; i < N_REPLICAS; i++)
        model->replicas[i].next = 0;
}

/* Everything against everything; then the next thousand starts with a new late replica. */
static void compare_all(struct model *model)
{
    struct follower late = {.table = model->late, .next = model->late_next};
    size_t n_probes = 0;

    commit(model);
    for (unsigned i = 0; i < N_REPLICAS; i++) {
        while (follow(model, &model->replicas[i], random_budget(model)))
            continue;
        check_equal(model, model->replicas[i].table, "a replica");
    }
    while (late.table != NULL && follow(model, &late, SIZE_MAX))
        continue;
    if (late.table != NULL)
        check_equal(model, late.table, "the late replica");
    free(late.table);
    model->late = NULL;
    for (size_t i = 0; i < model->n_changed; i++)
        n_probes += workload_edges(&model->changed[i], &model->probes[n_probes]);
    for (unsigned i = 0; i < N_RANDOM_ADDRESSES; i++) {
        struct bl_address *address = &model->probes[n_probes++];

        *address = workload_address(&model->random);
        for (unsigned at = 0; i % 4 == 0 && at < bl_address_bits(address->family) / 8; at++)
            address->bytes[at] = (uint8_t)workload_random(&model->random);
    }
    qsort(model->probes, n_probes, sizeof(model->probes[0]), compare_family);
    compare_lookups(model, model->replicas[model->stats.n_compares % N_REPLICAS].table, n_probes);
    check_summary(model);
    model->stats.n_compares++;
    model->n_changed = 0;
    forget_messages(model);
}

static void run(struct model *model, uint64_t n_operations)
{
    unsigned until_commit = 1;

    for (model->operation = 1; model->operation <= n_operations; model->operation++) {
        change(model);
        if (--until_commit == 0) {
            until_commit = 1 + workload_below(&model->random, COMMIT_OPERATIONS_MAX);
            commit(model);
            if (model->late == NULL && workload_below(&model->random, 3) == 0) {
                model->late = copy_master(model);
                model->late_next = model->n_messages;
            }
        }
        if (workload_below(&model->random, 16) == 0) {
            struct follower *replica = &model->replicas[workload_below(&model->random, N_REPLICAS)];

            (void)follow(model, replica, random_budget(model));
            if (replica->table != NULL)
                check_midway(model, replica->table);
        }
        if (model->operation % COMPARE_EVERY == 0 || model->operation == n_operations)
            compare_all(model);
    }
}

static void start(struct model *model, uint64_t seed, uint64_t n_expected)
{
    memset(model, 0, sizeof(*model));
    model->seed = seed;
    model->random = seed;
    must(model, bl_table_build_create(&model->build, EPOCH, &table_key, n_expected) == BL_OK, "out of memory");
}

/* Hosts in ascending order, which is the oracle's own, two thirds of them IPv4. */
static void fill(struct model *model, size_t n)
{
    const uint64_t step = UINT64_MAX / (n + 1);

    model->n_fill = n;
    model->filling = true;
    for (size_t i = 0; i < n; i++) {
        uint64_t place = i * step + workload_random(&model->random) % step;
        struct bl_address address = {.family = i % 3 == 2 ? BL_FAMILY_IPV6 : BL_FAMILY_IPV4};
        struct bl_prefix prefix;
        uint8_t class_id = (uint8_t)(BL_CLASS_FIRST + i % BL_CLASS_LAST);

        if (address.family == BL_FAMILY_IPV4)
            bl_address_from_ip4((uint32_t)(place >> 32), address.bytes);
        else
            bl_address_from_ip6((struct bl_ip6){place >> 3 | UINT64_C(1) << 61, place}, address.bytes);
        prefix = bl_address_host_prefix(&address);
        must(model, bl_table_build_set(model->build, &prefix, class_id) == BL_OK, "a set failed");
        oracle_set(&model->oracle, &prefix, class_id);
    }
}

static void finish(struct model *model)
{
    forget_messages(model);
    for (unsigned i = 0; i < N_REPLICAS; i++)
        free(model->replicas[i].table);
    free(model->late);
    oracle_free(&model->oracle);
    bl_table_build_free(model->build);
}

/* Reads a prefix a line into both. @return how many. */
static size_t load_prefixes(struct model *model, FILE *lines)
{
    char line[128];
    size_t n = 0;

    while (fgets(line, sizeof(line), lines) != NULL) {
        uint8_t class_id = (uint8_t)(BL_CLASS_FIRST + n % BL_CLASS_LAST);
        struct bl_prefix prefix;

        line[strcspn(line, "\r\n")] = '\0';
        if (bl_address_parse_prefix(line, 128, &prefix, NULL) != BL_OK)
            fail(model, "'%s' is no prefix", line);
        must(model, bl_table_build_set(model->build, &prefix, class_id) == BL_OK, "a set failed");
        oracle_set(&model->oracle, &prefix, class_id);
        n++;
    }
    return n;
}

static void compare_real(struct model *model)
{
    commit(model);
    while (follow(model, &model->replicas[0], random_budget(model)))
        continue;
    check_equal(model, model->replicas[0].table, "the replica");
    check_summary(model);
    for (size_t done = 0; done < N_REAL_LOOKUPS;) {
        size_t n = 0;

        while (n + 8 <= PROBES_MAX) {
            struct bl_prefix prefix = listed_prefix(model);

            n += workload_edges(&prefix, &model->probes[n]);
            for (unsigned i = 0; i < 4; i++, n++) {
                model->probes[n] = model->probes[n - 4];
                model->probes[n].bytes[workload_below(&model->random, bl_address_bits(prefix.family) / 8)] =
                    (uint8_t)workload_random(&model->random);
            }
        }
        qsort(model->probes, n, sizeof(model->probes[0]), compare_family);
        compare_lookups(model, model->replicas[0].table, n);
        done += n;
    }
}

/* The real routing table: a load, then a delta of removals and holes that goes out as a patch. */
static void run_real(struct model *model, uint64_t seed, const char *folder)
{
    char path[512];
    char command[640];
    FILE *lines;
    size_t n;

    (void)snprintf(path, sizeof(path), "%s/bgp-prefixes.txt.gz", folder);
    lines = fopen(path, "rb");
    if (lines == NULL || strchr(path, '\'') != NULL) {
        printf("table_model: skipped the real routing table: no %s\n", path);
        if (lines != NULL)
            fclose(lines);
        return;
    }
    fclose(lines);
    (void)snprintf(command, sizeof(command), "gzip -dc '%s'", path);
    lines = popen(command, "r");
    start(model, seed, 0);
    must(model, lines != NULL, "gzip does not start");
    n = load_prefixes(model, lines);
    must(model, pclose(lines) == 0 && n > 0, "gzip failed");
    compare_real(model);
    for (unsigned i = 0; i < 5000; i++) {
        struct bl_prefix prefix = listed_prefix(model);
        uint8_t class_id = i % 2 == 0 ? BL_CLASS_NONE : BL_CLASS_EXEMPT;

        must(model, bl_table_build_set(model->build, &prefix, class_id) == BL_OK, "a set failed");
        oracle_set(&model->oracle, &prefix, class_id);
    }
    compare_real(model);
    must(model, model->stats.n_patches == 1, "the delta was no patch");
    printf("table_model: real routing table: %zu prefixes, %llu lookups agreed, %.1f MiB a replica\n", n,
           (unsigned long long)model->stats.n_lookups,
           (double)bl_table_size(model->replicas[0].table) / (1024.0 * 1024.0));
    finish(model);
}

static void print_summary(const struct model *model, uint64_t n_operations)
{
    printf("table_model: seed %llu: %llu operations, at most %zu entries, %llu full compares: all agreed\n",
           (unsigned long long)model->seed, (unsigned long long)n_operations, model->stats.n_entries_max,
           (unsigned long long)model->stats.n_compares);
    printf("table_model: %llu lookups: %llu in nested prefixes, %llu in holes, %llu not listed; %llu more midway\n",
           (unsigned long long)model->stats.n_lookups, (unsigned long long)model->stats.n_nested,
           (unsigned long long)model->stats.n_holes, (unsigned long long)model->stats.n_unlisted,
           (unsigned long long)model->stats.n_midway);
    printf("table_model: %llu patches and %llu new blocks, followed in %llu steps\n",
           (unsigned long long)model->stats.n_patches, (unsigned long long)model->stats.n_blocks,
           (unsigned long long)model->stats.n_steps);
}

static bool read_number(const char *text, uint64_t *out)
{
    char *end;

    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && text[0] != '-';
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"operations", required_argument, NULL, 'o'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"fill", required_argument, NULL, 'f'},
                                            {NULL, 0, NULL, 0}};
    const char *folder = getenv("BL_SHARED_DATA");
    uint64_t n_operations = 0;
    uint64_t seed = 1;
    uint64_t n_fill = 0;
    struct model *model = malloc(sizeof(*model));
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        uint64_t *number = option == 'o' ? &n_operations : option == 's' ? &seed : option == 'f' ? &n_fill : NULL;

        if (number == NULL || !read_number(optarg, number)) {
            fputs("usage: table_model [--operations N] [--seed S] [--fill N]\n", stderr);
            return 2;
        }
    }
    if (model == NULL)
        return EXIT_FAILURE;
    if (n_operations == 0)
        n_operations = n_fill > 0 && getenv("BL_LONG") == NULL ? OPERATIONS_FILLED : OPERATIONS_DEFAULT;
    start(model, seed, 0);
    fill(model, n_fill);
    run(model, n_operations);
    print_summary(model, n_operations);
    finish(model);
    if (n_fill > 0)
        printf("table_model: on top of %llu scattered hosts\n", (unsigned long long)n_fill);
    else if (folder == NULL)
        printf("table_model: skipped the real routing table: BL_SHARED_DATA is not set\n");
    else
        run_real(model, seed, folder);
    free(model);
    return EXIT_SUCCESS;
}
