/* A replica: its sizes, which lookup it gets, and the patches that bring it up to date; see bounceline/table.h and
 * dataplane/table_layout.h. The lookups themselves: table_passes.h. */
#include "bounceline/table.h"

#include <string.h>

#include "dataplane/table_lookup.h"

size_t bl_table_size(const struct bl_table *table)
{
    const struct bl_table_geometry geometry = table->geometry;

    if (!bl_table_layout_sound(&geometry, table->seal))
        return sizeof(*table);
    return bl_table_layout_areas(&geometry).end;
}

uint64_t bl_table_serial(const struct bl_table *table)
{
    return table->serial;
}

static bool within(uint32_t value, uint32_t least, uint32_t most)
{
    return value >= least && value <= most;
}

static bool lines_sound(uint32_t n, uint32_t least, uint32_t most)
{
    return n == 0 || within(n, least, most);
}

static bool ipv6_sound(const struct bl_table_geometry *geometry)
{
    if ((geometry->options & BL_TABLE_OPTION_IPV6) == 0)
        return (geometry->ipv6_units | geometry->filter_bits | geometry->short_lines | geometry->long_lines |
                geometry->rest_slots) == 0;
    return within(geometry->ipv6_units, 1, BL_TABLE_LAYOUT_UNITS_MAX) && geometry->short_lines % 2 == 0 &&
           geometry->long_lines % 2 == 0 &&
           within(geometry->filter_bits, BL_TABLE_LAYOUT_FILTER_MIN, BL_TABLE_LAYOUT_FILTER_MAX) &&
           lines_sound(geometry->short_lines, BL_TABLE_LAYOUT_SHORT_LINES_MIN, BL_TABLE_LAYOUT_DEEP_LINES_MAX) &&
           lines_sound(geometry->long_lines, BL_TABLE_LAYOUT_LONG_LINES_MIN, BL_TABLE_LAYOUT_DEEP_LINES_MAX) &&
           within(geometry->rest_slots, BL_TABLE_LAYOUT_REST_MIN, BL_TABLE_LAYOUT_REST_MAX) &&
           (geometry->rest_slots & (geometry->rest_slots - 1)) == 0;
}

bool bl_table_layout_sound(const struct bl_table_geometry *geometry, uint64_t seal)
{
    uint32_t lines_min = (geometry->options & BL_TABLE_OPTION_PALETTE) != 0 ? BL_TABLE_LAYOUT_LINES_PALETTE
                                                                            : BL_TABLE_LAYOUT_LINES_PLAIN;
    uint32_t lines_max =
        (geometry->options & BL_TABLE_OPTION_PALETTE) != 0 ? BL_TABLE_LAYOUT_LINES_PLAIN : BL_TABLE_LAYOUT_LINES_MAX;

    return seal == bl_table_layout_seal(geometry) && geometry->options < 2 * BL_TABLE_OPTION_IPV6 &&
           lines_sound(geometry->host_lines, lines_min, lines_max) &&
           within(geometry->ipv4_units, 1, BL_TABLE_LAYOUT_UNITS_MAX) && ipv6_sound(geometry);
}

int bl_table_validate(const struct bl_table *table, size_t size_bytes)
{
    if (size_bytes < sizeof(*table) || (uintptr_t)table % BL_TABLE_ALIGN != 0 || table->magic != BL_TABLE_LAYOUT_MAGIC)
        return BL_EINVAL;
    if (table->version != BL_TABLE_LAYOUT_VERSION)
        return BL_EVERSION;
    if (!bl_table_layout_sound(&table->geometry, table->seal) ||
        bl_table_layout_areas(&table->geometry).end != size_bytes)
        return BL_EINVAL;
    return BL_OK;
}

unsigned bl_table_lookup_variants(const struct bl_table_lookup *variants[BL_TABLE_LOOKUP_VARIANTS])
{
    unsigned n = 0;

    variants[n++] = &bl_table_lookup_scalar;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("bmi"))
        variants[n++] = &bl_table_lookup_avx2;
    if (n == 2 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        variants[n++] = &bl_table_lookup_avx512;
#endif
    return n;
}

/* Three loads of what the start of the program found out. */
static const struct bl_table_lookup *fastest(void)
{
    const struct bl_table_lookup *variants[BL_TABLE_LOOKUP_VARIANTS];

    return variants[bl_table_lookup_variants(variants) - 1];
}

/* The geometry was copied and checked: what rots in the block after that can't reach the places. */
static struct bl_table_view view_ipv4(const struct bl_table *table, const struct bl_table_geometry *geometry)
{
    const struct bl_table_areas areas = bl_table_layout_areas(geometry);
    const uint8_t *block = (const uint8_t *)table;

    return (struct bl_table_view){
        .table = table,
        .bits = (const uint32_t *)(const void *)(block + areas.ipv4_bits),
        .bits_shift = bl_table_bits_shift(geometry),
        .index = (const uint32_t *)(const void *)(block + areas.ipv4_index),
        .arena = block + areas.ipv4_arena,
        .arena_last = (geometry->ipv4_units - 1) * BL_TABLE_LAYOUT_LINE,
        .side_shift = bl_table_host_side_shift(geometry),
        .n_host_lines = geometry->host_lines,
        .host_lines = block + areas.host_lines,
        .map = (geometry->options & BL_TABLE_OPTION_MAP) != 0 ? block + areas.map : NULL,
    };
}

static struct bl_table_view view_ipv6(const struct bl_table *table, const struct bl_table_geometry *geometry)
{
    const struct bl_table_areas areas = bl_table_layout_areas(geometry);
    const uint8_t *block = (const uint8_t *)table;

    return (struct bl_table_view){
        .table = table,
        .bits = (const uint32_t *)(const void *)(block + areas.ipv6_bits),
        .bits_shift = 16,
        .index = (const uint32_t *)(const void *)(block + areas.ipv6_index),
        .arena = block + areas.ipv6_arena,
        .arena_last = (geometry->ipv6_units - 1) * BL_TABLE_LAYOUT_LINE,
        .filter = (const uint16_t *)(const void *)(block + areas.filter),
        .filter_bits = geometry->filter_bits,
        .n_short_lines = geometry->short_lines,
        .n_long_lines = geometry->long_lines,
        .n_rest_slots = geometry->rest_slots,
        .short_lines = (const uint64_t *)(const void *)(block + areas.short_lines),
        .long_lines = (const uint64_t *)(const void *)(block + areas.long_lines),
        .rest = (const struct bl_table_rest *)(const void *)(block + areas.rest),
    };
}

void bl_table_lookup_ipv4_by(const struct bl_table_lookup *variant, const struct bl_table *table,
                             const uint32_t *addresses, uint8_t *classes, unsigned n)
{
    const struct bl_table_geometry geometry = table->geometry;
    struct bl_table_view view;

    if (!bl_table_layout_sound(&geometry, table->seal)) {
        memset(classes, BL_CLASS_NONE, n);
        return;
    }
    view = view_ipv4(table, &geometry);
    for (unsigned at = 0; at < n; at += BL_TABLE_LOOKUP_BURST)
        variant->ipv4(&view, addresses + at, classes + at,
                      n - at < BL_TABLE_LOOKUP_BURST ? n - at : BL_TABLE_LOOKUP_BURST);
}

void bl_table_lookup_ipv6_by(const struct bl_table_lookup *variant, const struct bl_table *table,
                             const struct bl_ip6 *addresses, uint8_t *classes, unsigned n)
{
    const struct bl_table_geometry geometry = table->geometry;
    struct bl_table_view view;

    if ((geometry.options & BL_TABLE_OPTION_IPV6) == 0 || !bl_table_layout_sound(&geometry, table->seal)) {
        memset(classes, BL_CLASS_NONE, n);
        return;
    }
    view = view_ipv6(table, &geometry);
    for (unsigned at = 0; at < n; at += BL_TABLE_LOOKUP_BURST)
        variant->ipv6(&view, addresses + at, classes + at,
                      n - at < BL_TABLE_LOOKUP_BURST ? n - at : BL_TABLE_LOOKUP_BURST);
}

void bl_table_lookup_ipv4_burst(const struct bl_table *table, const uint32_t *addresses, uint8_t *classes, unsigned n)
{
    bl_table_lookup_ipv4_by(fastest(), table, addresses, classes, n);
}

void bl_table_lookup_ipv6_burst(const struct bl_table *table, const struct bl_ip6 *addresses, uint8_t *classes,
                                unsigned n)
{
    bl_table_lookup_ipv6_by(fastest(), table, addresses, classes, n);
}

/* Copies one group's writes. The offsets were in the block when the main core made them, and bl_table_patch_fits has
 * seen that this block is of the same size. */
static void apply_group(struct bl_table *table, const uint64_t *words, size_t n_words)
{
    uint64_t *block = (uint64_t *)table;

    for (size_t at = 0; at < n_words;) {
        size_t place = (size_t)(words[at] & UINT32_MAX);
        size_t count = (size_t)(words[at] >> BL_TABLE_LAYOUT_WRITE_SHIFT);

        memcpy(block + place, words + at + 1, count * sizeof(uint64_t));
        at += 1 + count;
    }
}

bool bl_table_apply(struct bl_table *table, const struct bl_table_patch *patch, struct bl_table_cursor *cursor,
                    size_t budget_bytes)
{
    size_t start = cursor->offset;

    while (cursor->offset < patch->n_words) {
        size_t n_words = (size_t)patch->words[cursor->offset];

        if (cursor->offset != start && (cursor->offset - start) * sizeof(uint64_t) >= budget_bytes)
            return false;
        apply_group(table, patch->words + cursor->offset + 1, n_words);
        cursor->offset += 1 + n_words;
    }
    table->serial = patch->serial;
    return true;
}

bool bl_table_patch_fits(const struct bl_table *table, const struct bl_table_patch *patch)
{
    return table->magic == BL_TABLE_LAYOUT_MAGIC && table->version == BL_TABLE_LAYOUT_VERSION &&
           bl_table_layout_sound(&table->geometry, table->seal) && table->seal == patch->seal &&
           table->epoch == patch->epoch && table->generation == patch->generation &&
           table->serial == patch->from_serial;
}

uint64_t bl_table_patch_serial(const struct bl_table_patch *patch)
{
    return patch->serial;
}

size_t bl_table_patch_size(const struct bl_table_patch *patch)
{
    return sizeof(*patch) + patch->n_words * sizeof(uint64_t);
}

/* One multiplication a word. The rotation carries the high bits, which a multiplication alone never brings back down;
 * the constant makes zero words count. */
static uint64_t checksum_word(uint64_t sum, uint64_t word)
{
    return (((sum << 23) | (sum >> 41)) ^ (word + 0xd6e8feb86659fd93ULL)) * 0x9e3779b97f4a7c15ULL;
}

uint64_t bl_table_checksum(const struct bl_table *table, size_t offset, size_t length, uint64_t seed)
{
    size_t size = bl_table_size(table);
    const uint8_t *at = (const uint8_t *)table;
    uint64_t sum = seed;
    uint64_t word;

    if (offset >= size)
        return sum;
    if (length > size - offset)
        length = size - offset;
    for (at += offset; length >= sizeof(word); at += sizeof(word), length -= sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        sum = checksum_word(sum, word);
    }
    if (length != 0) {
        word = 0;
        memcpy(&word, at, length);
        sum = checksum_word(sum, word);
    }
    return sum;
}
