/* See list.h. */
#include "list.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* How far a bit's chance may be from one half, in 1/256: found by trial, so that 1 M clustered hosts lie in about
 * 430,000 networks of /24 and 10 M in 1.8 M, as in lists that were measured. */
enum { SKEW_IPV4 = 224, SKEW_IPV6 = 224, PREFIXES_32 = 8000 };

/* Each prefix once: open addressing, at most half full. */
struct seen {
    struct bl_prefix *slots;
    size_t mask;
};

static uint64_t mix(uint64_t value)
{
    return list_random(&value);
}

static int seen_init(struct seen *seen, size_t n)
{
    size_t n_slots = 1024;

    while (n_slots < 2 * n)
        n_slots *= 2;
    seen->slots = calloc(n_slots, sizeof(*seen->slots));
    seen->mask = n_slots - 1;
    return seen->slots != NULL ? BL_OK : BL_ENOMEM;
}

/* @return false when it was there already. */
static bool seen_add(struct seen *seen, const struct bl_prefix *prefix)
{
    uint64_t words[2];
    size_t at;

    memcpy(words, prefix->bytes, sizeof(words));
    for (at = (size_t)mix(mix(words[0] + prefix->length) ^ words[1]) & seen->mask; seen->slots[at].family != 0;
         at = (at + 1) & seen->mask)
        if (memcmp(&seen->slots[at], prefix, sizeof(*prefix)) == 0)
            return false;
    seen->slots[at] = *prefix;
    return true;
}

/* The bits from @p first to @p end of an address' first 64: each depends on those before it. IPv6 networks are numbered
 * more sparsely: there each chance is one of the two that are furthest from one half. */
static uint64_t cascade(uint64_t *random, uint64_t bits, unsigned first, unsigned end)
{
    bool ipv6 = first != 0;
    uint64_t skew = ipv6 ? SKEW_IPV6 : SKEW_IPV4;

    for (unsigned bit = first; bit < end; bit++) {
        uint64_t lean = mix(bits ^ (uint64_t)bit << 56) & 0xff;

        if (ipv6)
            lean = lean < 128 ? 0 : 0xff;
        if ((list_random(random) & 0xff) < 128 + lean * skew / 256 - skew / 2)
            bits |= UINT64_C(1) << (63 - bit);
    }
    return bits;
}

static bool is_sender(uint32_t ip4)
{
    uint32_t first = ip4 >> 24;

    return first != 0 && first != 10 && first != 127 && first < 224;
}

struct bl_address list_random_address(uint64_t *random, uint8_t family)
{
    struct bl_address address = {.family = family};
    uint32_t ip4;

    if (family == BL_FAMILY_IPV6) {
        struct bl_ip6 ip6 = {list_random(random) >> 3 | UINT64_C(1) << 61, list_random(random)};

        bl_address_from_ip6(ip6, address.bytes);
        return address;
    }
    do
        ip4 = (uint32_t)list_random(random);
    while (!is_sender(ip4));
    bl_address_from_ip4(ip4, address.bytes);
    return address;
}

struct bl_address list_address_in(uint64_t *random, const struct bl_prefix *prefix)
{
    struct bl_address address = {.family = prefix->family};
    uint64_t words[2] = {list_random(random), list_random(random)};
    unsigned bits = bl_address_bits(prefix->family);

    memcpy(address.bytes, prefix->bytes, sizeof(address.bytes));
    for (unsigned bit = prefix->length; bit < bits; bit++)
        if ((words[bit / 64] >> (bit % 64) & 1) != 0)
            address.bytes[bit / 8] |= (uint8_t)(0x80 >> (bit % 8));
    return address;
}

static struct bl_address clustered_address(uint64_t *random, uint8_t family)
{
    struct bl_address address = {.family = family};
    uint64_t bits = 0;

    if (family == BL_FAMILY_IPV4) {
        do
            bits = cascade(random, 0, 0, 24) | (uint64_t)list_below(random, 256) << 32;
        while (!is_sender((uint32_t)(bits >> 32)));
        bl_address_from_ip4((uint32_t)(bits >> 32), address.bytes);
        return address;
    }
    /* One of so many /32 of 2000::/3, the first ones more often. */
    bits = (uint64_t)list_below(random, PREFIXES_32) * list_below(random, PREFIXES_32) / PREFIXES_32;
    bits = (mix(bits) >> 35 | UINT64_C(1) << 29) << 32;
    bl_address_from_ip6((struct bl_ip6){cascade(random, bits, 32, 64), list_random(random)}, address.bytes);
    return address;
}

/* Of the lengths of Spamhaus' DROP and DROPv6. */
static uint8_t drop_length(uint64_t *random, uint8_t family)
{
    static const uint8_t ipv4[] = {24, 24, 24, 24, 24, 24, 24, 23, 23, 22, 22, 22, 21, 20, 20, 19, 18, 17, 16, 16};
    static const uint8_t ipv6[] = {29, 29, 29, 32, 32, 32, 32, 32, 36, 40, 44, 48, 48, 48, 48};

    return family == BL_FAMILY_IPV4 ? ipv4[list_below(random, sizeof(ipv4))] : ipv6[list_below(random, sizeof(ipv6))];
}

static uint8_t entry_length(uint64_t *random, uint8_t family)
{
    uint32_t kind = list_below(random, 1000);

    if (family == BL_FAMILY_IPV4)
        return kind < 985 ? 32 : kind < 998 ? 24 : (uint8_t)(20 + list_below(random, 4));
    return kind < 900 ? 64 : kind < 930 ? 128 : kind < 985 ? 48 : (uint8_t)(36 + list_below(random, 20));
}

/* Nearly all of one class, some others, a hole now and then. */
static uint8_t entry_class(uint64_t *random)
{
    uint32_t kind = list_below(random, 1000);

    return kind < 900 ? 1 : kind < 999 ? (uint8_t)(2 + list_below(random, 5)) : BL_CLASS_EXEMPT;
}

static struct bl_prefix entry_prefix(uint64_t *random, uint8_t family, enum list_shape shape)
{
    struct bl_address address =
        shape == LIST_CLUSTERED ? clustered_address(random, family) : list_random_address(random, family);
    struct bl_prefix prefix = bl_address_host_prefix(&address);

    prefix.length = shape == LIST_DROP ? drop_length(random, family) : entry_length(random, family);
    bl_address_prefix_mask(&prefix);
    return prefix;
}

static int compare_entries(const void *a, const void *b)
{
    return bl_address_prefix_compare(&((const struct bl_table_entry *)a)->prefix,
                                     &((const struct bl_table_entry *)b)->prefix);
}

static bool same_bits(const struct bl_prefix *a, const struct bl_prefix *b, unsigned bits)
{
    return memcmp(a->bytes, b->bytes, bits / 8) == 0;
}

/* Sorted entries that share their first 24, 32, ... bits lie together; each such run with anything longer in it is a
 * group. */
static int count(struct list *list)
{
    struct bl_table_entry *sorted = malloc((list->n + 1) * sizeof(*sorted));
    const struct bl_prefix *last[16] = {NULL};

    if (sorted == NULL)
        return BL_ENOMEM;
    memcpy(sorted, list->entries, list->n * sizeof(*sorted));
    qsort(sorted, list->n, sizeof(*sorted), compare_entries);
    list->n_groups = 0;
    list->n_hosts = 0;
    for (size_t i = 0; i < list->n; i++) {
        const struct bl_prefix *prefix = &sorted[i].prefix;

        list->n_hosts += prefix->length == bl_address_bits(list->family);
        for (unsigned bits = 24; bits < prefix->length; bits += 8) {
            const struct bl_prefix **before = &last[bits / 8];

            if (*before == NULL || !same_bits(*before, prefix, bits))
                list->n_groups++;
            *before = prefix;
        }
    }
    free(sorted);
    return BL_OK;
}

int list_make(struct list *out, uint8_t family, enum list_shape shape, size_t n, uint64_t seed)
{
    struct list list = {.family = family, .entries = malloc(n * sizeof(*list.entries))};
    uint64_t random = seed;
    struct seen seen = {NULL, 0};
    int error = list.entries == NULL ? BL_ENOMEM : seen_init(&seen, n);

    while (error == BL_OK && list.n < n) {
        struct bl_table_entry *entry = &list.entries[list.n];

        *entry = (struct bl_table_entry){entry_prefix(&random, family, shape), entry_class(&random)};
        list.n += seen_add(&seen, &entry->prefix);
    }
    free(seen.slots);
    if (error == BL_OK)
        error = count(&list);
    if (error != BL_OK) {
        list_free(&list);
        return error;
    }
    *out = list;
    return BL_OK;
}

void list_free(struct list *list)
{
    free(list->entries);
    list->entries = NULL;
    list->n = 0;
}

/* gzip reads what is not gzipped too (-f). */
static FILE *open_lines(const char *path, pid_t *child)
{
    int ends[2];

    if (access(path, R_OK) != 0 || pipe(ends) != 0)
        return NULL;
    *child = fork();
    if (*child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execlp("gzip", "gzip", "-dcf", "--", path, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    if (*child < 0) {
        close(ends[0]);
        return NULL;
    }
    return fdopen(ends[0], "r");
}

static int read_line(struct list *list, size_t *room, struct seen *seen, char *line, struct bl_error_detail *detail)
{
    struct bl_table_entry entry = {.class_id = 1};
    struct bl_prefix prefix;
    int error;

    line[strcspn(line, "#;, \t\r\n")] = '\0';
    if (line[0] == '\0')
        return BL_OK;
    error = bl_address_parse_prefix(line, 64, &prefix, detail);
    if (error != BL_OK || prefix.family != list->family)
        return error;
    if (list->n == *room) {
        *room = *room == 0 ? 1024 : 2 * *room;
        list->entries = realloc(list->entries, *room * sizeof(*list->entries));
        free(seen->slots);
        if (list->entries == NULL || seen_init(seen, *room) != BL_OK)
            return BL_ENOMEM;
        for (size_t i = 0; i < list->n; i++)
            (void)seen_add(seen, &list->entries[i].prefix);
    }
    entry.prefix = prefix;
    if (seen_add(seen, &entry.prefix))
        list->entries[list->n++] = entry;
    return BL_OK;
}

int list_read(struct list *out, const char *path, uint8_t family, struct bl_error_detail *detail)
{
    struct list list = {.family = family};
    struct bl_error_detail cause = {""};
    struct seen seen = {NULL, 0};
    const char *slash = strrchr(path, '/');
    char line[512];
    size_t room = 0;
    size_t number = 0;
    pid_t child = -1;
    int status = 0;
    FILE *lines = open_lines(path, &child);
    int error = BL_OK;

    if (lines == NULL)
        return bl_error_set(detail, BL_EIO, "%s: %s", path, strerror(errno));
    while (error == BL_OK && fgets(line, sizeof(line), lines) != NULL) {
        number++;
        error = read_line(&list, &room, &seen, line, &cause);
    }
    fclose(lines);
    waitpid(child, &status, 0);
    free(seen.slots);
    if (error != BL_OK)
        error = bl_error_set(detail, error, "%s:%zu: %s", path, number, cause.text);
    else if (status != 0)
        error = bl_error_set(detail, BL_EIO, "%s: gzip cannot read it", path);
    else
        error = count(&list);
    if (error != BL_OK) {
        list_free(&list);
        return error;
    }
    snprintf(list.name, sizeof(list.name), "%.40s", slash != NULL ? slash + 1 : path);
    *out = list;
    return BL_OK;
}

int list_build(struct bl_table_build **out, const struct list *lists, unsigned n)
{
    static const struct bl_siphash_key key = {0x0f1e2d3c4b5a6978ULL, 0x8796a5b4c3d2e1f0ULL};
    struct bl_table_build *build = NULL;
    struct bl_table_patch *patch = NULL;
    size_t n_entries = 0;
    size_t n_done;
    bool rebuilt;
    int error;

    for (unsigned i = 0; i < n; i++)
        n_entries += lists[i].n;
    error = bl_table_build_create(&build, 1, &key, n_entries);
    for (unsigned i = 0; i < n && error == BL_OK; i++)
        error = bl_table_build_load(build, lists[i].entries, lists[i].n, &n_done);
    if (error == BL_OK)
        error = bl_table_build_commit(build, 1, &patch, &rebuilt);
    bl_table_patch_free(patch);
    if (error != BL_OK && build != NULL)
        bl_table_build_free(build);
    else
        *out = build;
    return error;
}
