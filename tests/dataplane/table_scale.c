/* The table at the size of real lists, against a plain oracle (table_plain.h); a replica follows by patches.
 *
 *   table_scale changes   a large list of nested prefixes of both families, changed by patches, and random lookups
 *   table_scale slash8    all 2^24 addresses of 10.0.0.0/8 (a tenth under a sanitizer), prefixes in and around it
 *   table_scale routes    the real routing table, then a real sequence of its updates (BL_SHARED_DATA)
 *
 *   [--seed S]
 *
 * With BL_LONG in the environment: 2 * 10^7 lookups in a list of 8 * 10^6 (table_lookups.c has 10^8 in one that stays as
 * it is). Prints what was compared; exit 0 all agreed, 1 not (with the address), 2 usage, 77 what is needed is not
 * there, with the reason. */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/table_plain.h"
#include "dataplane/table_workload.h"

#if defined(__SANITIZE_ADDRESS__)
enum { SHARE = 10 };
#else
enum { SHARE = 1 };
#endif

enum {
    EXIT_USAGE = 2,
    EXIT_SKIPPED = 77,
    EPOCH = 5,
    BURST_MAX = 256,
    ENTRIES_SHORT = 150000 / SHARE,
    ENTRIES_LONG = 8000000,
    LOOKUPS_SHORT = 3000000 / SHARE,
    LOOKUPS_LONG = 20000000,
    ROUNDS = 5, /* of changes, each followed by its share of the lookups */
    SLASH8_ENTRIES = 200000 / SHARE,
    SLASH8_BITS = 24,
    ROUTES_MAX = 1200000,
    ROUTE_LOOKUPS = 1000000 / SHARE,
};

static const struct bl_siphash_key table_key = {0x6c6f6e6720616e64ULL, 0x77696465206c6f6eULL};

struct scale {
    uint64_t seed;
    uint64_t random;
    struct bl_table_build *build;
    struct plain plain;
    struct bl_table *replica;
    uint64_t serial;
    struct bl_prefix *prefixes; /* every one that ever was set, for making addresses of */
    size_t n_prefixes;
    uint64_t n_lookups;
    uint64_t n_listed;
    uint64_t n_patches;
    uint64_t n_blocks;
};

static void __attribute__((format(printf, 2, 3), noreturn)) fail(const struct scale *scale, const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "table_scale: seed %llu, serial %llu: ", (unsigned long long)scale->seed,
            (unsigned long long)scale->serial);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

static void must(const struct scale *scale, bool condition, const char *what)
{
    if (!condition)
        fail(scale, "%s", what);
}

static void start(struct scale *scale, uint64_t seed, size_t n_max)
{
    memset(scale, 0, sizeof(*scale));
    scale->seed = seed;
    scale->random = seed;
    scale->prefixes = calloc(n_max, sizeof(*scale->prefixes));
    must(scale, scale->prefixes != NULL, "out of memory");
    must(scale, bl_table_build_create(&scale->build, EPOCH, &table_key, n_max / 2) == BL_OK, "no master");
    plain_init(&scale->plain, n_max);
}

static void finish(struct scale *scale)
{
    bl_table_build_free(scale->build);
    plain_free(&scale->plain);
    free(scale->replica);
    free(scale->prefixes);
}

static void set(struct scale *scale, const struct bl_prefix *prefix, uint8_t class_id)
{
    must(scale, bl_table_build_set(scale->build, prefix, class_id) == BL_OK, "a set failed");
    plain_set(&scale->plain, prefix, class_id);
}

static void copy_master(struct scale *scale)
{
    const struct bl_table *master = bl_table_build_master(scale->build);
    size_t size = bl_table_size(master);

    free(scale->replica);
    scale->replica = aligned_alloc(BL_TABLE_ALIGN, size);
    must(scale, scale->replica != NULL, "out of memory");
    memcpy(scale->replica, master, size);
    scale->n_blocks++;
}

/* The replica follows by the patch, in steps of random size. */
static void commit(struct scale *scale)
{
    struct bl_table_cursor cursor = {0};
    struct bl_table_patch *patch = NULL;
    bool rebuilt = false;

    must(scale, bl_table_build_commit(scale->build, ++scale->serial, &patch, &rebuilt) == BL_OK, "a commit failed");
    if (rebuilt) {
        copy_master(scale);
        return;
    }
    must(scale, bl_table_patch_fits(scale->replica, patch), "a patch does not fit");
    while (!bl_table_apply(scale->replica, patch, &cursor, workload_below(&scale->random, 5000)))
        continue;
    bl_table_patch_free(patch);
    scale->n_patches++;
}

static void check_whole(struct scale *scale)
{
    const struct bl_table *master = bl_table_build_master(scale->build);
    struct bl_digest digest = bl_table_build_digest(scale->build);
    struct bl_digest expected = plain_digest(&scale->plain, EPOCH);
    uint64_t n_ipv4;
    uint64_t n_ipv6;

    must(scale, bl_digest_equal(&digest, &expected), "the digest differs");
    bl_table_build_count(scale->build, &n_ipv4, &n_ipv6);
    must(scale, n_ipv4 + n_ipv6 == scale->plain.n, "the count differs");
    must(scale,
         bl_table_size(scale->replica) == bl_table_size(master) &&
             memcmp(scale->replica, master, bl_table_size(master)) == 0,
         "the replica differs from the master");
}

static void lookup(const struct bl_table *table, const struct bl_address *addresses, uint8_t *classes, unsigned n)
{
    uint32_t ip4[BURST_MAX];
    struct bl_ip6 ip6[BURST_MAX];

    for (unsigned i = 0; i < n; i++)
        if (addresses[0].family == BL_FAMILY_IPV4)
            ip4[i] = bl_address_to_ip4(addresses[i].bytes);
        else
            ip6[i] = bl_address_to_ip6(addresses[i].bytes);
    if (addresses[0].family == BL_FAMILY_IPV4)
        bl_table_lookup_ipv4_burst(table, ip4, classes, n);
    else
        bl_table_lookup_ipv6_burst(table, ip6, classes, n);
}

static struct bl_address random_below(struct scale *scale, const struct bl_prefix *prefix)
{
    struct bl_address address = {.family = prefix->family};

    memcpy(address.bytes, prefix->bytes, sizeof(address.bytes));
    for (unsigned bit = prefix->length; bit < bl_address_bits(prefix->family); bit++)
        if ((workload_random(&scale->random) & 1) != 0)
            address.bytes[bit / 8] |= (uint8_t)(0x80 >> (bit % 8));
    return address;
}

/* Of one family: anywhere, below a prefix, at one's edges. */
static struct bl_address probe(struct scale *scale, uint8_t family)
{
    const struct bl_prefix whole = {.family = family};
    const struct bl_prefix *prefix = &scale->prefixes[workload_random(&scale->random) % scale->n_prefixes];
    unsigned kind = workload_below(&scale->random, 10);
    struct bl_address edges[4];

    if (kind < 3 || prefix->family != family)
        return random_below(scale, &whole);
    if (kind < 6)
        return random_below(scale, prefix);
    (void)workload_edges(prefix, edges);
    return edges[workload_below(&scale->random, 4)];
}

static void compare(struct scale *scale, const struct bl_table *table, uint64_t n)
{
    struct bl_address addresses[BURST_MAX];
    uint8_t classes[BURST_MAX];

    for (uint64_t done = 0; done < n;) {
        unsigned burst = 1 + workload_below(&scale->random, BURST_MAX);
        uint8_t family = workload_below(&scale->random, 2) == 0 ? BL_FAMILY_IPV4 : BL_FAMILY_IPV6;

        for (unsigned i = 0; i < burst; i++)
            addresses[i] = probe(scale, family);
        lookup(table, addresses, classes, burst);
        for (unsigned i = 0; i < burst; i++) {
            uint8_t expected = plain_lookup(&scale->plain, &addresses[i]);
            char text[BL_ADDRESS_TEXT_MAX];

            if (classes[i] != expected)
                fail(scale, "%s is of class %u: expected %u", bl_address_format(&addresses[i], text), classes[i],
                     expected);
            scale->n_listed += classes[i] != BL_CLASS_NONE;
        }
        done += burst;
        scale->n_lookups += burst;
    }
}

static uint8_t random_class(struct scale *scale)
{
    return (uint8_t)(workload_below(&scale->random, 8) == 0
                         ? BL_CLASS_EXEMPT
                         : BL_CLASS_FIRST + workload_below(&scale->random, BL_CLASS_LAST));
}

/* Scattered hosts and networks, the model's clusters, and prefixes below those that are there. */
static struct bl_prefix random_prefix(struct scale *scale)
{
    unsigned kind = workload_below(&scale->random, 10);
    struct bl_prefix outer = {.family = workload_below(&scale->random, 4) > 0 ? BL_FAMILY_IPV4 : BL_FAMILY_IPV6};
    struct bl_address address;
    struct bl_prefix prefix;
    unsigned bits;

    if (kind < 2) {
        /* The widest would leave no address unlisted: slash8 has them. */
        do
            prefix = workload_prefix(&scale->random);
        while (prefix.length < 8);
        return prefix;
    }
    if (kind < 4 && scale->n_prefixes > 0)
        outer = scale->prefixes[workload_random(&scale->random) % scale->n_prefixes];
    address = random_below(scale, &outer);
    prefix = bl_address_host_prefix(&address);
    bits = prefix.length;
    if (outer.length > 0)
        prefix.length = (uint8_t)(outer.length + workload_below(&scale->random, bits - outer.length + 1));
    else if (kind == 9)
        prefix.length = (uint8_t)(bits / 2 + workload_below(&scale->random, bits / 2));
    bl_address_prefix_mask(&prefix);
    return prefix;
}

static void run_changes(struct scale *scale, uint64_t seed)
{
    bool is_long = getenv("BL_LONG") != NULL;
    size_t n_entries = is_long ? ENTRIES_LONG : ENTRIES_SHORT;
    uint64_t n_lookups = is_long ? LOOKUPS_LONG : LOOKUPS_SHORT;

    start(scale, seed, 2 * n_entries);
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t n = round == 0 ? n_entries : n_entries / 100;

        for (size_t i = 0; i < n; i++) {
            struct bl_prefix prefix = random_prefix(scale);

            set(scale, &prefix, random_class(scale));
            scale->prefixes[scale->n_prefixes++] = prefix;
            if (round > 0)
                set(scale, &scale->prefixes[workload_random(&scale->random) % scale->n_prefixes], BL_CLASS_NONE);
            if (round > 0 && i % 64 == 0)
                commit(scale);
        }
        commit(scale);
        plain_compile(&scale->plain);
        check_whole(scale);
        compare(scale, scale->replica, n_lookups / ROUNDS);
    }
    printf("table_scale: seed %llu: %zu prefixes, %llu patches, %llu blocks: %llu lookups agreed, %llu of them listed; "
           "%.1f MiB a replica\n",
           (unsigned long long)seed, scale->plain.n, (unsigned long long)scale->n_patches,
           (unsigned long long)scale->n_blocks, (unsigned long long)scale->n_lookups,
           (unsigned long long)scale->n_listed, (double)bl_table_size(scale->replica) / (1024.0 * 1024.0));
}

/* Below 10.0.0.0/8: hosts, short networks, now and then a wide one, so that about half of the addresses is listed. */
static struct bl_prefix slash8_prefix(struct scale *scale)
{
    uint32_t ip4 = 10u << SLASH8_BITS | (uint32_t)(workload_random(&scale->random) >> 40);
    struct bl_prefix prefix = {.family = BL_FAMILY_IPV4, .length = 32};

    if (workload_below(&scale->random, 10000) == 0)
        prefix.length = (uint8_t)(10 + workload_below(&scale->random, 14));
    else if (workload_below(&scale->random, 2) == 0)
        prefix.length = (uint8_t)(24 + workload_below(&scale->random, 9));
    bl_address_from_ip4(ip4, prefix.bytes);
    bl_address_prefix_mask(&prefix);
    return prefix;
}

/* The /8 itself and what covers it: these come in the second round only. */
static void set_around(struct scale *scale)
{
    for (unsigned length = 0; length <= 8; length += 4) {
        struct bl_prefix prefix = {.family = BL_FAMILY_IPV4, .length = (uint8_t)length};

        bl_address_from_ip4(10u << SLASH8_BITS, prefix.bytes);
        bl_address_prefix_mask(&prefix);
        set(scale, &prefix, (uint8_t)(BL_CLASS_FIRST + length));
    }
}

/* What the map says of each address: shorter prefixes first, longer ones over them. */
static void paint(const struct plain *plain, uint8_t *classes)
{
    const struct bl_table_entry *entry;
    const uint32_t mask = (1u << SLASH8_BITS) - 1;

    memset(classes, 0, (size_t)mask + 1);
    for (unsigned length = 0; length <= 32; length++) {
        for (size_t at = 0; (entry = plain_next(plain, &at)) != NULL;) {
            uint32_t first = length <= 8 ? 0 : bl_address_to_ip4(entry->prefix.bytes) & mask;

            if (entry->prefix.length == length)
                memset(classes + first, entry->class_id, length <= 8 ? (size_t)mask + 1 : (size_t)1 << (32 - length));
        }
    }
}

/* All addresses, in an order that takes a burst to many places. */
static void compare_slash8(struct scale *scale, const uint8_t *classes)
{
    enum { BURST = 64, STEP = 0x1e3779b1 };
    const uint32_t mask = (1u << SLASH8_BITS) - 1;
    uint32_t ip4[BURST];
    uint8_t found[BURST];

    for (uint32_t at = 0; at <= mask / SHARE; at += BURST) {
        for (uint32_t i = 0; i < BURST; i++)
            ip4[i] = 10u << SLASH8_BITS | ((at + i) * (uint32_t)STEP & mask);
        bl_table_lookup_ipv4_burst(scale->replica, ip4, found, BURST);
        for (unsigned i = 0; i < BURST; i++) {
            if (found[i] != classes[ip4[i] & mask])
                fail(scale, "10.%u.%u.%u is of class %u: expected %u", ip4[i] >> 16 & 0xff, ip4[i] >> 8 & 0xff,
                     ip4[i] & 0xff, found[i], classes[ip4[i] & mask]);
            scale->n_listed += found[i] != 0;
        }
        scale->n_lookups += BURST;
    }
}

static void run_slash8(struct scale *scale, uint64_t seed)
{
    uint8_t *classes = malloc((size_t)1 << SLASH8_BITS);

    start(scale, seed, 2 * SLASH8_ENTRIES);
    must(scale, classes != NULL, "out of memory");
    for (unsigned round = 0; round < 2; round++) {
        for (size_t i = 0; i < (round == 0 ? SLASH8_ENTRIES : SLASH8_ENTRIES / 10); i++) {
            struct bl_prefix prefix = slash8_prefix(scale);

            set(scale, &prefix, random_class(scale));
            scale->prefixes[scale->n_prefixes++] = prefix;
            if (round > 0)
                set(scale, &scale->prefixes[workload_random(&scale->random) % scale->n_prefixes], BL_CLASS_NONE);
            if (round > 0 && i % 500 == 0)
                commit(scale);
        }
        if (round > 0)
            set_around(scale);
        commit(scale);
        check_whole(scale);
        paint(&scale->plain, classes);
        compare_slash8(scale, classes);
    }
    free(classes);
    printf("table_scale: seed %llu: %zu prefixes in and around 10.0.0.0/8, %llu patches: its addresses%s, twice: "
           "%llu lookups agreed, %llu of them listed\n",
           (unsigned long long)seed, scale->plain.n, (unsigned long long)scale->n_patches, SHARE > 1 ? " in part" : "",
           (unsigned long long)scale->n_lookups, (unsigned long long)scale->n_listed);
}

/* Lines of a gzipped file of BL_SHARED_DATA; ends the program with 77 when it is not there. */
static FILE *open_shared(const char *name)
{
    const char *folder = getenv("BL_SHARED_DATA");
    char path[512];
    char command[640];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", folder == NULL ? "" : folder, name);
    file = fopen(path, "rb");
    if (folder == NULL || file == NULL || strchr(path, '\'') != NULL) {
        printf("table_scale: skipped: no %s in BL_SHARED_DATA\n", name);
        exit(EXIT_SKIPPED);
    }
    fclose(file);
    (void)snprintf(command, sizeof(command), "gzip -dc '%s'", path);
    return popen(command, "r");
}

static void load_routes(struct scale *scale, FILE *lines)
{
    char line[128];

    must(scale, lines != NULL, "gzip does not start");
    while (fgets(line, sizeof(line), lines) != NULL) {
        struct bl_prefix prefix;

        line[strcspn(line, "\r\n")] = '\0';
        must(scale, bl_address_parse_prefix(line, 128, &prefix, NULL) == BL_OK, line);
        must(scale, scale->n_prefixes < ROUTES_MAX, "more routes than expected");
        set(scale, &prefix, random_class(scale));
        scale->prefixes[scale->n_prefixes++] = prefix;
    }
    must(scale, pclose(lines) == 0, "gzip failed");
}

/* "1418774413 a 202.70.88.0/21 195.66.226.74": an add has the class that its next hop's text comes to. @return how
 * many. */
static size_t replay(struct scale *scale, FILE *lines)
{
    char line[128];
    size_t n = 0;

    must(scale, lines != NULL, "gzip does not start");
    for (; fgets(line, sizeof(line), lines) != NULL; n++) {
        char text[64];
        char hop[64];
        char kind;
        struct bl_prefix prefix;
        unsigned sum = 0;

        must(scale, sscanf(line, "%*u %c %63s %63s", &kind, text, hop) == 3 && (kind == 'a' || kind == 'w'), line);
        must(scale, bl_address_parse_prefix(text, 128, &prefix, NULL) == BL_OK, text);
        for (const char *c = hop; *c != '\0'; c++)
            sum = 31 * sum + (unsigned char)*c;
        set(scale, &prefix, kind == 'w' ? BL_CLASS_NONE : (uint8_t)(BL_CLASS_FIRST + sum % BL_CLASS_LAST));
        must(scale, scale->n_prefixes < ROUTES_MAX, "more routes than expected");
        scale->prefixes[scale->n_prefixes++] = prefix;
        if (workload_below(&scale->random, 20) == 0)
            commit(scale);
    }
    must(scale, pclose(lines) == 0 && n > 0, "gzip failed");
    return n;
}

/* The same set, built at once, in another order. */
static void compare_fresh(struct scale *scale)
{
    struct bl_table_build *fresh = NULL;
    struct bl_table_patch *patch = NULL;
    const struct bl_table_entry *entry;
    struct bl_digest digest = bl_table_build_digest(scale->build);
    struct bl_digest again;
    bool rebuilt;

    must(scale, bl_table_build_create(&fresh, EPOCH, &table_key, scale->plain.n) == BL_OK, "no fresh master");
    for (size_t at = 0; (entry = plain_next(&scale->plain, &at)) != NULL;)
        must(scale, bl_table_build_set(fresh, &entry->prefix, entry->class_id) == BL_OK, "a fresh set failed");
    must(scale, bl_table_build_commit(fresh, scale->serial, &patch, &rebuilt) == BL_OK, "a fresh commit failed");
    bl_table_patch_free(patch);
    again = bl_table_build_digest(fresh);
    must(scale, bl_digest_equal(&digest, &again), "the digest differs from that of a fresh build");
    compare(scale, bl_table_build_master(fresh), ROUTE_LOOKUPS);
    bl_table_build_free(fresh);
}

static void run_routes(struct scale *scale, uint64_t seed)
{
    FILE *routes = open_shared("bgp-prefixes.txt.gz");
    FILE *updates = open_shared("bgp-updates-20141217.txt.gz");
    size_t n_routes;
    size_t n_updates;

    start(scale, seed, ROUTES_MAX);
    load_routes(scale, routes);
    n_routes = scale->plain.n;
    commit(scale);
    n_updates = replay(scale, updates);
    commit(scale);
    plain_compile(&scale->plain);
    check_whole(scale);
    compare(scale, scale->replica, ROUTE_LOOKUPS);
    compare_fresh(scale);
    printf(
        "table_scale: seed %llu: %zu routes, %zu updates in %llu patches, %zu routes at the end: %llu lookups agreed, "
        "%llu of them listed, digest and lookups as of a fresh build\n",
        (unsigned long long)seed, n_routes, n_updates, (unsigned long long)scale->n_patches, scale->plain.n,
        (unsigned long long)scale->n_lookups, (unsigned long long)scale->n_listed);
}

static int usage(void)
{
    fputs("usage: table_scale changes|slash8|routes [--seed S]\n", stderr);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(struct scale *, uint64_t);
    } parts[] = {{"changes", run_changes}, {"slash8", run_slash8}, {"routes", run_routes}};
    static const struct option options[] = {{"seed", required_argument, NULL, 's'}, {NULL, 0, NULL, 0}};
    struct scale scale;
    uint64_t seed = 1;
    char *end = NULL;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        errno = 0;
        if (option == 's')
            seed = strtoull(optarg, &end, 10);
        if (option != 's' || errno != 0 || end == optarg || *end != '\0')
            return usage();
    }
    if (optind != argc - 1)
        return usage();
    for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (strcmp(argv[optind], parts[i].name) != 0)
            continue;
        parts[i].run(&scale, seed);
        finish(&scale);
        return EXIT_SUCCESS;
    }
    return usage();
}
