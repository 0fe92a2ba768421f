/* A new block: larger, smaller, or with other keys; see table_state.h.
 *
 * The sizes are planned from what there is and what is wanted; everything is copied, part by part; a part that does not
 * fit (containers are rounded, luck is bad) gets more room in the next try. Only then the old block goes. */
#include "dataplane/table_state.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    LINE = BL_TABLE_LAYOUT_LINE,
    TRIES = 12,
    HUGE_PAGE = 2 << 20,
    UNITS_SPARE = 128, /* lines of an arena that a new block has to spare, and an eighth of what is used */
    /* Hosts a line, in tenths: in a new block, in one that grew, and when it grows. With 12.5 of 21 one host in a
     * thousand finds its line full; with a map these cost little, and the lines are most of the block. */
    HOSTS_NEW = 125,
    HOSTS_GROWN = 110,
    HOSTS_MOST = 160,
    MAPPED_NEW = 150,
    MAPPED_GROWN = 130,
    MAPPED_MOST = 175,
    /* Short and long prefixes a line, in tenths, in a new block and in one that grew. */
    SHORT_NEW = 40,
    SHORT_GROWN = 32,
    LONG_NEW = 16,
    LONG_GROWN = 12,
    REST_SHARE = 256,
};

static uint32_t at_least(uint64_t value, uint32_t least, uint32_t most)
{
    return value < least ? least : value > most ? most : (uint32_t)value;
}

static bool has_map(const struct bl_table_geometry *geometry)
{
    return (geometry->options & BL_TABLE_OPTION_MAP) != 0;
}

bool bl_table_grow_is_due(const struct bl_table_build *build)
{
    const struct bl_table_geometry *geometry = &build->master->geometry;
    uint64_t most = has_map(geometry) ? MAPPED_MOST : HOSTS_MOST;

    if (geometry->host_lines == 0)
        return build->n_hosts >= BL_TABLE_LAYOUT_HOSTS_MIN;
    return geometry->host_lines < BL_TABLE_LAYOUT_LINES_MAX && build->n_hosts * 10 >= geometry->host_lines * most;
}

/* Lines, palette and map for @p n hosts. */
static void plan_hosts(struct bl_table_geometry *geometry, uint64_t n, unsigned wants)
{
    bool is_new = (wants & BL_TABLE_WANT_TRIM) != 0;
    bool maps = n >= BL_TABLE_LAYOUT_MAP_MIN;
    uint64_t each = maps ? is_new ? MAPPED_NEW : MAPPED_GROWN : is_new ? HOSTS_NEW : HOSTS_GROWN;
    bool is_plain = geometry->host_lines >= BL_TABLE_LAYOUT_LINES_PLAIN || (wants & BL_TABLE_WANT_PALETTE) != 0;

    geometry->options &= ~(uint32_t)(BL_TABLE_OPTION_MAP | BL_TABLE_OPTION_PALETTE);
    geometry->host_lines = 0;
    if (n < BL_TABLE_LAYOUT_HOSTS_MIN)
        return;
    is_plain = is_plain || n * 10 / each >= BL_TABLE_LAYOUT_LINES_PLAIN;
    geometry->options |= (is_plain ? 0 : BL_TABLE_OPTION_PALETTE) | (maps ? BL_TABLE_OPTION_MAP : 0);
    geometry->host_lines =
        at_least(n * 10 / each, is_plain ? BL_TABLE_LAYOUT_LINES_PLAIN : BL_TABLE_LAYOUT_LINES_PALETTE,
                 BL_TABLE_LAYOUT_LINES_MAX);
}

static uint32_t plan_units(const struct bl_table_ranges *ranges, bool is_wanted, unsigned tries)
{
    uint64_t used = ranges->n_used / LINE + 4;
    uint64_t spare = used / 8 + UNITS_SPARE;

    if (is_wanted)
        spare = (used / 4 + 2 * UNITS_SPARE) << tries;
    return at_least(used + spare, 1, BL_TABLE_LAYOUT_UNITS_MAX);
}

static uint32_t plan_lines(uint64_t n, unsigned each, uint32_t least)
{
    uint32_t lines = at_least(n * 10 / each, least, BL_TABLE_LAYOUT_DEEP_LINES_MAX);

    return lines & ~1u;
}

static void plan_ipv6(const struct bl_table_build *build, struct bl_table_geometry *geometry, unsigned wants,
                      unsigned tries)
{
    const unsigned any = BL_TABLE_WANT_IPV6 | BL_TABLE_WANT_SHORT | BL_TABLE_WANT_LONG;
    bool trims = (wants & BL_TABLE_WANT_TRIM) != 0;
    uint64_t n_deep = build->n_short + build->n_long;

    if (build->n_entries[BL_TABLE_IPV6] == 0 && (wants & any) == 0) {
        const struct bl_table_geometry none = {geometry->options & ~(uint32_t)BL_TABLE_OPTION_IPV6,
                                               geometry->host_lines,
                                               geometry->ipv4_units,
                                               0,
                                               0,
                                               0,
                                               0,
                                               0};

        *geometry = none;
        return;
    }
    geometry->options |= BL_TABLE_OPTION_IPV6;
    geometry->ipv6_units = plan_units(&build->ranges[BL_TABLE_IPV6], (wants & BL_TABLE_WANT_IPV6) != 0, tries);
    if (geometry->filter_bits < BL_TABLE_LAYOUT_FILTER_MIN || (trims && n_deep == 0))
        geometry->filter_bits = BL_TABLE_LAYOUT_FILTER_MIN;
    else if ((wants & BL_TABLE_WANT_FILTER) != 0)
        geometry->filter_bits = at_least(geometry->filter_bits + 2, 0, BL_TABLE_LAYOUT_FILTER_MAX);
    if ((wants & BL_TABLE_WANT_SHORT) != 0)
        geometry->short_lines = plan_lines((build->n_short + 1) << tries, SHORT_GROWN, BL_TABLE_LAYOUT_SHORT_LINES_MIN);
    else if (trims)
        geometry->short_lines =
            build->n_short == 0 ? 0 : plan_lines(build->n_short, SHORT_NEW, BL_TABLE_LAYOUT_SHORT_LINES_MIN);
    if ((wants & BL_TABLE_WANT_LONG) != 0)
        geometry->long_lines = plan_lines((build->n_long + 1) << tries, LONG_GROWN, BL_TABLE_LAYOUT_LONG_LINES_MIN);
    else if (trims)
        geometry->long_lines =
            build->n_long == 0 ? 0 : plan_lines(build->n_long, LONG_NEW, BL_TABLE_LAYOUT_LONG_LINES_MIN);
    geometry->rest_slots = BL_TABLE_LAYOUT_REST_MIN;
    while (geometry->rest_slots < BL_TABLE_LAYOUT_REST_MAX && geometry->rest_slots < (n_deep / REST_SHARE) << tries)
        geometry->rest_slots *= 2;
}

static struct bl_table_geometry plan(const struct bl_table_build *build, unsigned wants, unsigned tries)
{
    struct bl_table_geometry geometry = build->master->geometry;

    if ((wants & (BL_TABLE_WANT_HOSTS | BL_TABLE_WANT_PALETTE | BL_TABLE_WANT_TRIM)) != 0)
        plan_hosts(&geometry, build->n_hosts, wants);
    geometry.ipv4_units = plan_units(&build->ranges[BL_TABLE_IPV4], (wants & BL_TABLE_WANT_IPV4) != 0, tries);
    plan_ipv6(build, &geometry, wants, tries);
    return geometry;
}

bool bl_table_grow_trims(const struct bl_table_build *build)
{
    const struct bl_table_geometry geometry = plan(build, BL_TABLE_WANT_TRIM, 0);
    size_t now = build->areas.end;

    return bl_table_layout_areas(&geometry).end < now - now / 8;
}

static uint64_t derive(const struct bl_table_build *build, uint64_t what, uint64_t number)
{
    const uint64_t words[2] = {what, number};

    return bl_siphash(&build->key, words, sizeof(words));
}

static struct bl_table_keys make_keys(const struct bl_table_build *build, uint64_t number)
{
    uint64_t first = derive(build, 1, number);
    uint64_t second = derive(build, 2, number);

    return (struct bl_table_keys){
        .host_mask = (uint32_t)first,
        .host_multipliers = {(uint32_t)(first >> 32) | 1, (uint32_t)second | 1},
        .filter_multiplier = (uint32_t)(second >> 32) | 1,
        .deep_mask = derive(build, 3, number),
        .deep_multipliers = {derive(build, 4, number) | 1, derive(build, 5, number) | 1},
        .length_multiplier = derive(build, 6, number) | 1,
    };
}

void *bl_table_grow_alloc(size_t n, size_t bytes_each)
{
    uint8_t *memory = calloc(n, bytes_each);
    uintptr_t first = ((uintptr_t)memory + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1);
    uintptr_t end = ((uintptr_t)memory + n * bytes_each) & ~(uintptr_t)(HUGE_PAGE - 1);

    if (memory != NULL && first < end)
        (void)madvise(memory + (first - (uintptr_t)memory), end - first, MADV_HUGEPAGE);
    return memory;
}

/* Zeroed by the kernel, not by us: pages that no entry touches are never there. */
static int create_block(struct bl_table_build *build, const struct bl_table_geometry *geometry)
{
    struct bl_table *table;

    build->areas = bl_table_layout_areas(geometry);
    build->memory = bl_table_grow_alloc(1, build->areas.end + BL_TABLE_ALIGN);
    if (build->memory == NULL)
        return BL_ENOMEM;
    table = (struct bl_table *)(((uintptr_t)build->memory + BL_TABLE_ALIGN - 1) & ~(uintptr_t)(BL_TABLE_ALIGN - 1));
    table->magic = BL_TABLE_LAYOUT_MAGIC;
    table->version = BL_TABLE_LAYOUT_VERSION;
    table->geometry = *geometry;
    table->seal = bl_table_layout_seal(geometry);
    table->generation = derive(build, 0, build->n_blocks++);
    if ((geometry->options & BL_TABLE_OPTION_PALETTE) == 0)
        for (uint8_t i = 0; i < BL_CLASS_COUNT; i++)
            table->palette[i] = i;
    build->master = table;
    return BL_OK;
}

static int create_ranges(struct bl_table_build *build, enum bl_table_family family)
{
    bool is_ipv4 = family == BL_TABLE_IPV4;
    uint8_t *block = (uint8_t *)build->master;
    size_t bits = is_ipv4 ? build->areas.ipv4_bits : build->areas.ipv6_bits;
    size_t arena = is_ipv4 ? build->areas.ipv4_arena : build->areas.ipv6_arena;
    uint32_t units = is_ipv4 ? build->master->geometry.ipv4_units : build->master->geometry.ipv6_units;

    if (units == 0)
        return BL_OK;
    return bl_table_ranges_init(&build->ranges[family], is_ipv4 ? bl_table_bits_shift(&build->master->geometry) : 16,
                                block + bits, block + arena, (size_t)units * LINE);
}

static void free_block(struct bl_table_build *build)
{
    for (unsigned family = 0; family < BL_TABLE_FAMILIES; family++)
        bl_table_ranges_fini(&build->ranges[family]);
    free(build->n_map);
    free(build->n_filter);
    free(build->memory);
}

/* An empty block and what lies beside it, in @p next; the rest of @p next is as it was. On failure it has nothing. */
static int create_all(struct bl_table_build *next, const struct bl_table_geometry *geometry)
{
    bool has_ipv6 = (geometry->options & BL_TABLE_OPTION_IPV6) != 0;
    int error;

    memset(next->ranges, 0, sizeof(next->ranges));
    next->record = (struct bl_table_record){.moved = true};
    next->n_map = NULL;
    next->n_filter = NULL;
    memset(next->n_filter_used, 0, sizeof(next->n_filter_used));
    next->n_host_ranges = 0;
    next->n_short = 0;
    next->n_long = 0;
    next->n_rest = 0;
    next->n_rest_left = 0;
    memset(next->n_deep_lengths, 0, sizeof(next->n_deep_lengths));
    error = create_block(next, geometry);
    if (error == BL_OK && has_map(geometry))
        next->n_map = bl_table_grow_alloc(1u << 24, sizeof(*next->n_map));
    if (error == BL_OK && has_ipv6)
        next->n_filter = bl_table_grow_alloc(
            BL_TABLE_LAYOUT_FILTER_BITS * bl_table_filter_entries(geometry->filter_bits), sizeof(*next->n_filter));
    if (error == BL_OK && ((has_map(geometry) && next->n_map == NULL) || (has_ipv6 && next->n_filter == NULL)))
        error = BL_ENOMEM;
    for (unsigned family = 0; error == BL_OK && family < BL_TABLE_FAMILIES; family++)
        error = create_ranges(next, family);
    next->ranges[BL_TABLE_IPV4].has_map = has_map(geometry);
    if (error != BL_OK)
        free_block(next);
    return error;
}

/* The lengths that most prefixes have get a bit of the near entries each, the rest share the last one. */
static void assign_lengths(struct bl_table_build *next, const uint32_t n_lengths[129])
{
    uint32_t left[129];

    memcpy(left, n_lengths, sizeof(left));
    for (unsigned bit = 0; bit < BL_TABLE_LAYOUT_FILTER_BITS; bit++) {
        unsigned most = 0;

        for (unsigned length = BL_TABLE_LAYOUT_FILTER_NEAR; length <= 128; length++)
            if (left[length] > left[most] || most == 0)
                most = length;
        for (unsigned length = BL_TABLE_LAYOUT_FILTER_NEAR; length <= 128; length++) {
            if (left[length] == 0 || (length != most && bit < BL_TABLE_LAYOUT_FILTER_BITS - 1))
                continue;
            next->length_bits[length] = (uint8_t)bit;
            next->master->lengths[bit].words[(length - 1) / 64] |= UINT64_C(1) << (length - 1) % 64;
            left[length] = 0;
        }
    }
}

static void map_all_ranges(struct bl_table_build *next)
{
    for (uint32_t top = 0; next->n_map != NULL && top < BL_TABLE_LAYOUT_INDEX; top++)
        if (bl_table_entry_kind(next->ranges[BL_TABLE_IPV4].index[top]) != BL_TABLE_KIND_LEAF)
            for (uint32_t net = 0; net < 256; net++)
                bl_table_hosts_map_ranges(next, top << 16 | net << 8, 24);
}

/* Hosts that lie in the ranges, all of them. */
static int list_host_ranges(struct bl_table_build *next, struct bl_table_hosts *hosts)
{
    const struct bl_table_ranges *ranges = &next->ranges[BL_TABLE_IPV4];

    for (uint32_t top = 0; top < BL_TABLE_LAYOUT_INDEX; top++) {
        size_t n;

        if (bl_table_entry_kind(ranges->index[top]) == BL_TABLE_KIND_LEAF)
            continue;
        n = bl_table_ranges_read(ranges, top, next->scratch);
        for (size_t i = 0; i < n; i++) {
            const struct bl_table_range *piece = &next->scratch[i];
            uint32_t end = i + 1 < n ? next->scratch[i + 1].start : UINT16_MAX + 1u;

            for (uint32_t low = piece->start; piece->rank == 33 && low < end; low++)
                if (bl_table_hosts_note(hosts, top << 16 | low, piece->class_id) != BL_OK)
                    return BL_ENOMEM;
        }
    }
    return BL_OK;
}

static int paint_host(struct bl_table_build *next, uint32_t address, struct bl_table_range to)
{
    return bl_table_ranges_paint(next, &next->ranges[BL_TABLE_IPV4], address, 32, to);
}

/* Hosts from the ranges go into the lines where they find room now; who found none in the lines goes into the ranges. */
static int move_hosts(struct bl_table_build *next, const struct bl_table_hosts *in_ranges,
                      const struct bl_table_hosts *missed)
{
    int error = BL_OK;

    for (size_t i = 0; error == BL_OK && i < in_ranges->n; i++) {
        uint32_t address = (uint32_t)in_ranges->at[i];
        struct bl_table_range cover = {0, 0, 0};

        if (!bl_table_hosts_add(next, address, (uint8_t)(in_ranges->at[i] >> 32))) {
            next->n_host_ranges++;
            continue;
        }
        cover.class_id =
            bl_table_prefixes_cover(&next->prefixes[BL_TABLE_IPV4], &next->key, address, 32, 17, &cover.rank);
        error = paint_host(next, address, cover);
    }
    for (size_t i = 0; error == BL_OK && i < missed->n; i++) {
        const struct bl_table_range host = {0, (uint8_t)(missed->at[i] >> 32), 33};

        next->n_host_ranges++;
        error = paint_host(next, (uint32_t)missed->at[i], host);
    }
    return error;
}

/* @return 0, BL_ENOMEM, or BL_EFULL with what was too small in @p wants. */
static int copy_ipv4(const struct bl_table_build *build, struct bl_table_build *next, unsigned *wants)
{
    struct bl_table_hosts in_ranges = {NULL, 0, 0};
    struct bl_table_hosts missed = {NULL, 0, 0};
    int error = bl_table_ranges_copy(next, &build->ranges[BL_TABLE_IPV4], &next->ranges[BL_TABLE_IPV4]);

    if (error == BL_OK && next->master->geometry.host_lines == 0)
        next->n_host_ranges = build->n_host_ranges;
    else if (error == BL_OK && build->n_host_ranges > 0)
        error = list_host_ranges(next, &in_ranges);
    if (error == BL_OK)
        error = bl_table_hosts_copy(build, next, &missed);
    if (error == BL_OK)
        error = move_hosts(next, &in_ranges, &missed);
    free(in_ranges.at);
    free(missed.at);
    if (error == BL_OK)
        map_all_ranges(next);
    if (error == BL_EFULL)
        *wants |= BL_TABLE_WANT_IPV4;
    return error;
}

static int copy_ipv6(const struct bl_table_build *build, struct bl_table_build *next, unsigned *wants)
{
    int error;

    if ((next->master->geometry.options & BL_TABLE_OPTION_IPV6) == 0 ||
        (build->master->geometry.options & BL_TABLE_OPTION_IPV6) == 0)
        return BL_OK;
    error = bl_table_ranges_copy(next, &build->ranges[BL_TABLE_IPV6], &next->ranges[BL_TABLE_IPV6]);
    if (error == BL_EFULL)
        *wants |= BL_TABLE_WANT_IPV6;
    if (error != BL_OK)
        return error;
    assign_lengths(next, build->n_deep_lengths);
    error = bl_table_deep_copy(build, next);
    if (error == BL_EFULL)
        *wants |= (build->n_short != 0 ? BL_TABLE_WANT_SHORT : 0u) | (build->n_long != 0 ? BL_TABLE_WANT_LONG : 0u);
    return error;
}

int bl_table_grow(struct bl_table_build *build, unsigned wants, unsigned tries)
{
    uint64_t n_keys = build->n_keys + ((wants & BL_TABLE_WANT_KEYS) != 0);
    const struct bl_table_keys keys = make_keys(build, n_keys);

    for (unsigned try = tries; try < tries + TRIES; try++) {
        const struct bl_table_geometry geometry = plan(build, wants, try);
        struct bl_table_build next = *build;
        int error = create_all(&next, &geometry);

        if (error != BL_OK)
            return error;
        next.n_keys = n_keys;
        next.master->keys = keys;
        next.master->epoch = build->master->epoch;
        next.master->serial = build->master->serial;
        error = copy_ipv4(build, &next, &wants);
        if (error == BL_OK)
            error = copy_ipv6(build, &next, &wants);
        if (error == BL_OK) {
            bl_table_record_drop(build);
            free_block(build);
            *build = next;
            build->host_ranges_limit = 2 * build->n_host_ranges + build->n_hosts / 16 + 64;
            return BL_OK;
        }
        build->n_blocks = next.n_blocks;
        free_block(&next);
        if (error != BL_EFULL)
            return error;
    }
    return BL_EFULL;
}

int bl_table_grow_start(struct bl_table_build *build, uint64_t epoch, uint64_t n_expected)
{
    struct bl_table_geometry geometry = {.ipv4_units = 1};
    int error;

    plan_hosts(&geometry, n_expected, BL_TABLE_WANT_TRIM);
    geometry.ipv4_units = at_least(UNITS_SPARE + n_expected / 256, 1, BL_TABLE_LAYOUT_UNITS_MAX);
    error = create_all(build, &geometry);
    if (error != BL_OK)
        return error;
    build->master->keys = make_keys(build, 0);
    build->master->epoch = epoch;
    build->host_ranges_limit = n_expected / 16 + 64;
    return BL_OK;
}

void bl_table_grow_fini(struct bl_table_build *build)
{
    free_block(build);
    free(build->record.patch);
    for (unsigned family = 0; family < BL_TABLE_FAMILIES; family++)
        free(build->prefixes[family].slots);
    free(build->scratch);
}
