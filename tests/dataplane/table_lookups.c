/* Lookups of a large list against an oracle of another kind: does the table ever reject who is not listed, or pass who
 * is?
 *
 *   table_lookups [--prefixes N] [--lookups N] [--long-lookups N] [--seed S]
 *
 *   random prefixes ─┬─▶ table_build.c ─▶ a replica ─▶ bl_table_lookup_*_burst ─┐
 *                    └─▶ sorted, swept into ranges ─▶ binary search ────────────┴─▶ equal?
 *
 * The list is like a real one, and worse: scattered hosts, clusters that nest, holes, the same prefix said twice, a few
 * wide networks, the ends of the space. Half of the addresses stand at a boundary of the ranges or one beside it, the
 * others are random, or random in a range. With BL_LONG in the environment the long number is the number.
 * Prints the counts; exit 0 when no lookup was wrong, 1 otherwise, 2 usage. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/table_build.h"
#include "dataplane/table_workload.h"

/* An address of either family as a number. */
__extension__ typedef unsigned __int128 wide;

enum { EPOCH = 3, BURST = 64, SHOWN_MAX = 5 };

struct item {
    wide first;
    wide last;
    uint32_t order;
    uint8_t length;
    uint8_t class_id;
};

/* From here to the next one. */
struct range {
    wide first;
    uint8_t class_id;
};

struct family {
    uint8_t family;
    unsigned bits;
    struct item *items;
    size_t n_items;
    struct range *ranges;
    size_t n_ranges;
};

struct test {
    uint64_t seed;
    uint64_t random;
    struct family families[2];
    struct bl_table_build *build;
    const struct bl_table *table;
    uint64_t n_listed;
    uint64_t n_exempt;
    uint64_t n_unlisted;
    uint64_t n_boundary;
    uint64_t n_false_rejects;
    uint64_t n_false_passes;
    uint64_t n_other_class;
};

static void die(const char *what)
{
    (void)fprintf(stderr, "table_lookups: %s\n", what);
    exit(2);
}

static void *get_memory(size_t n, size_t size)
{
    void *memory = calloc(n, size);

    if (memory == NULL)
        die("out of memory");
    return memory;
}

static wide random_wide(struct test *test)
{
    wide high = workload_random(&test->random);

    return high << 64 | workload_random(&test->random);
}

/* The number's upper bits: all of them for IPv6, the lower 32 of it for IPv4. */
static wide cut(const struct family *family, wide number)
{
    return family->bits == 128 ? number : number & 0xffffffff;
}

/* --- the list ------------------------------------------------------------------------------------------------------ */

static wide random_address(struct test *test, const struct family *family)
{
    unsigned kind = workload_below(&test->random, 100);
    wide number = cut(family, random_wide(test));

    if (kind < 60)
        return family->bits == 128 ? number >> 3 | (wide)1 << 125 : number;
    if (kind < 99) /* a cluster of few: prefixes nest in it */
        return family->bits == 128 ? (wide)0x20010db8 << 96 | (number & 0x3ff) << 72 | (number >> 100 & 3) << 60
                                   : ((wide)10 << 24 | (number & 0x1fffff));
    return kind % 2 == 0 ? 0 : cut(family, ~(wide)0);
}

static uint8_t random_length(struct test *test, const struct family *family)
{
    unsigned kind = workload_below(&test->random, 10000);

    if (kind < 7000)
        return (uint8_t)(family->bits == 128 && kind < 5000 ? 64 : family->bits);
    if (kind < 9900)
        return (uint8_t)(family->bits - workload_below(&test->random, family->bits == 128 ? 90 : 14));
    return (uint8_t)(family->bits == 128 ? 20 + workload_below(&test->random, 20)
                                         : (kind < 9999 ? 14 : 8) + workload_below(&test->random, 6));
}

static struct bl_prefix prefix_of(const struct family *family, const struct item *item)
{
    struct bl_prefix prefix = {.family = family->family, .length = item->length};

    for (unsigned i = 0; i < family->bits / 8; i++)
        prefix.bytes[i] = (uint8_t)(item->first >> (family->bits - 8 - 8 * i));
    return prefix;
}

static void add_prefix(struct test *test, struct family *family)
{
    struct item *item = &family->items[family->n_items];
    wide host;
    struct bl_prefix prefix;

    item->length = random_length(test, family);
    host = item->length == 0 ? cut(family, ~(wide)0)
                             : (item->length == family->bits ? 0 : ((wide)1 << (family->bits - item->length)) - 1);
    item->first = random_address(test, family) & ~host;
    item->last = item->first | host;
    item->order = (uint32_t)family->n_items++;
    item->class_id = (uint8_t)(workload_below(&test->random, 10) == 0
                                   ? BL_CLASS_EXEMPT
                                   : BL_CLASS_FIRST + workload_below(&test->random, BL_CLASS_LAST));
    prefix = prefix_of(family, item);
    if (bl_table_build_set(test->build, &prefix, item->class_id) != BL_OK)
        die("a set failed");
}

/* --- the oracle ---------------------------------------------------------------------------------------------------- */

/* By the first address; of these the widest, and of the same prefix what was said first. */
static int compare_items(const void *a, const void *b)
{
    const struct item *x = a;
    const struct item *y = b;

    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    if (x->length != y->length)
        return x->length < y->length ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

static void add_range(struct family *family, wide first, uint8_t class_id)
{
    if (family->n_ranges > 0 && family->ranges[family->n_ranges - 1].first == first)
        family->n_ranges--;
    family->ranges[family->n_ranges++] = (struct range){first, class_id};
}

/* Goes over the prefixes with those open that hold the place: the innermost one is what is said of it. */
static void sweep(struct family *family)
{
    const struct item *open[129];
    unsigned n_open = 0;

    qsort(family->items, family->n_items, sizeof(family->items[0]), compare_items);
    family->ranges = get_memory(2 * family->n_items + 2, sizeof(family->ranges[0]));
    add_range(family, 0, BL_CLASS_NONE);
    for (size_t i = 0; i <= family->n_items; i++) {
        const struct item *item = i < family->n_items ? &family->items[i] : NULL;

        while (n_open > 0 && (item == NULL || open[n_open - 1]->last < item->first)) {
            wide last = open[--n_open]->last;

            if (last != cut(family, ~(wide)0))
                add_range(family, last + 1, n_open > 0 ? open[n_open - 1]->class_id : BL_CLASS_NONE);
        }
        if (item == NULL)
            break;
        if (n_open > 0 && open[n_open - 1]->first == item->first && open[n_open - 1]->length == item->length)
            n_open--;
        open[n_open++] = item;
        add_range(family, item->first, item->class_id);
    }
}

static uint8_t ask_oracle(const struct family *family, wide address)
{
    size_t low = 0;
    size_t high = family->n_ranges;

    while (high - low > 1) {
        size_t middle = (low + high) / 2;

        if (family->ranges[middle].first <= address)
            low = middle;
        else
            high = middle;
    }
    return family->ranges[low].class_id;
}

/* --- lookups ------------------------------------------------------------------------------------------------------- */

static wide probe(struct test *test, const struct family *family)
{
    unsigned kind = workload_below(&test->random, 8);
    wide first = family->ranges[workload_random(&test->random) % family->n_ranges].first;

    test->n_boundary += kind < 4;
    if (kind < 4) /* the first of a range, the last of the one before, and one beside each */
        return cut(family, first + kind - 2);
    if (kind < 6)
        return cut(family, first + (workload_random(&test->random) >> (workload_below(&test->random, 64))));
    return cut(family, random_wide(test));
}

static bool is_listed(uint8_t class_id)
{
    return class_id != BL_CLASS_NONE && class_id != BL_CLASS_EXEMPT;
}

static void compare(struct test *test, const struct family *family, wide address, uint8_t class_id)
{
    uint8_t expected = ask_oracle(family, address);
    uint64_t *wrong = &test->n_other_class;

    test->n_listed += is_listed(expected);
    test->n_exempt += expected == BL_CLASS_EXEMPT;
    test->n_unlisted += expected == BL_CLASS_NONE;
    if (class_id == expected)
        return;
    if (is_listed(class_id) != is_listed(expected))
        wrong = is_listed(class_id) ? &test->n_false_rejects : &test->n_false_passes;
    if (test->n_other_class + test->n_false_rejects + test->n_false_passes < SHOWN_MAX) {
        struct item item = {.first = address, .length = (uint8_t)family->bits};
        struct bl_prefix prefix = prefix_of(family, &item);
        struct bl_address shown = {.family = family->family};
        char text[BL_ADDRESS_TEXT_MAX];

        memcpy(shown.bytes, prefix.bytes, sizeof(shown.bytes));
        (void)printf("table_lookups: seed %llu: %s is of class %u: expected %u\n", (unsigned long long)test->seed,
                     bl_address_format(&shown, text), class_id, expected);
    }
    ++*wrong;
}

static void look_up(struct test *test, const struct family *family)
{
    wide addresses[BURST];
    uint32_t ip4[BURST];
    struct bl_ip6 ip6[BURST];
    uint8_t classes[BURST];

    for (unsigned i = 0; i < BURST; i++) {
        addresses[i] = probe(test, family);
        ip4[i] = (uint32_t)addresses[i];
        ip6[i] = (struct bl_ip6){(uint64_t)(addresses[i] >> 64), (uint64_t)addresses[i]};
    }
    if (family->family == BL_FAMILY_IPV4)
        bl_table_lookup_ipv4_burst(test->table, ip4, classes, BURST);
    else
        bl_table_lookup_ipv6_burst(test->table, ip6, classes, BURST);
    for (unsigned i = 0; i < BURST; i++)
        compare(test, family, addresses[i], classes[i]);
}

/* --- the run ------------------------------------------------------------------------------------------------------- */

static void make_list(struct test *test, uint64_t n_prefixes)
{
    static const struct bl_siphash_key key = {0x8796a5b4c3d2e1f0, 0x0123456789abcdef};
    struct bl_table_patch *patch = NULL;
    struct bl_table *replica;
    bool rebuilt;
    size_t size;

    if (bl_table_build_create(&test->build, EPOCH, &key, n_prefixes) != BL_OK)
        die("no memory for the table");
    test->families[0] = (struct family){.family = BL_FAMILY_IPV4, .bits = 32};
    test->families[1] = (struct family){.family = BL_FAMILY_IPV6, .bits = 128};
    for (unsigned i = 0; i < 2; i++)
        test->families[i].items = get_memory(n_prefixes, sizeof(struct item));
    for (uint64_t n = 0; n < n_prefixes; n++)
        add_prefix(test, &test->families[workload_below(&test->random, 3) == 0]);
    for (unsigned i = 0; i < 2; i++)
        sweep(&test->families[i]);
    if (bl_table_build_commit(test->build, 1, &patch, &rebuilt) != BL_OK || !rebuilt)
        die("the commit failed");
    size = bl_table_size(bl_table_build_master(test->build));
    replica = aligned_alloc(BL_TABLE_ALIGN, size);
    if (replica == NULL)
        die("out of memory");
    memcpy(replica, bl_table_build_master(test->build), size);
    test->table = replica;
}

static uint64_t read_number(const char *text)
{
    char *end;
    unsigned long long value;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (errno != 0 || *text < '0' || *text > '9' || *end != '\0')
        die("usage: table_lookups [--prefixes N] [--lookups N] [--long-lookups N] [--seed S]");
    return value;
}

static bool show(const struct test *test)
{
    uint64_t n = test->n_listed + test->n_exempt + test->n_unlisted;

    (void)printf("table_lookups: seed %llu: %zu + %zu prefixes, %zu + %zu ranges, %.1f MiB\n",
                 (unsigned long long)test->seed, test->families[0].n_items, test->families[1].n_items,
                 test->families[0].n_ranges, test->families[1].n_ranges,
                 (double)bl_table_size(test->table) / (1024.0 * 1024.0));
    (void)printf("table_lookups: %llu lookups, %llu of them at boundaries: %llu listed, %llu exempt, %llu not listed\n",
                 (unsigned long long)n, (unsigned long long)test->n_boundary, (unsigned long long)test->n_listed,
                 (unsigned long long)test->n_exempt, (unsigned long long)test->n_unlisted);
    (void)printf("table_lookups: %llu false rejects, %llu false passes, %llu of another class\n",
                 (unsigned long long)test->n_false_rejects, (unsigned long long)test->n_false_passes,
                 (unsigned long long)test->n_other_class);
    /* A run that met few of one kind would show nothing of it. */
    return test->n_false_rejects + test->n_false_passes + test->n_other_class == 0 && test->n_listed > n / 100 &&
           test->n_exempt > n / 1000 && test->n_unlisted > n / 100;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"prefixes", required_argument, NULL, 'p'},
        {"lookups", required_argument, NULL, 'n'},
        {"long-lookups", required_argument, NULL, 'l'},
        {"seed", required_argument, NULL, 's'},
        {NULL, 0, NULL, 0},
    };
    static struct test test = {.seed = 1};
    uint64_t values[128] = {['p'] = 1000000, ['n'] = 10000000, ['l'] = 100000000, ['s'] = 1};
    uint64_t n_lookups;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == '?')
            return 2;
        values[option] = read_number(optarg);
    }
    test.seed = test.random = values['s'];
    n_lookups = getenv("BL_LONG") != NULL ? values['l'] : values['n'];
    make_list(&test, values['p']);
    for (uint64_t n = 0; n < n_lookups; n += BURST)
        look_up(&test, &test.families[n / BURST % 2]);
    return show(&test) ? 0 : 1;
}
