/* Host lines, palette and map; see table_layout.h for the bytes.
 *
 * The slots of a line are used from the first on, so that who leaves is replaced by the last one. The map counts hosts
 * of each /24 beside the block, to know when its bit goes. */
#include "dataplane/table_state.h"

#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { HOSTS = BL_TABLE_LAYOUT_HOSTS, NOT_THERE = BL_TABLE_LAYOUT_HOSTS };

/* A line, and what a host in it would look like. */
struct spot {
    uint8_t *line;
    uint16_t tag;
    uint8_t extra; /* of the side byte, in place */
    uint8_t mask;  /* of those bits */
};

static struct spot spot_of(const struct bl_table_build *build, uint32_t permuted)
{
    const struct bl_table_geometry *geometry = &build->master->geometry;
    unsigned shift = bl_table_host_side_shift(geometry);
    uint8_t *lines = (uint8_t *)build->master + build->areas.host_lines;

    return (struct spot){
        .line = lines + (size_t)bl_table_host_line(permuted, geometry->host_lines) * BL_TABLE_LAYOUT_LINE,
        .tag = (uint16_t)permuted,
        .extra = (uint8_t)(permuted >> 16 << shift),
        .mask = (uint8_t)(0xffu << shift),
    };
}

static uint16_t tag_at(const uint8_t *line, unsigned slot)
{
    uint16_t tag;

    memcpy(&tag, line + slot * sizeof(tag), sizeof(tag));
    return tag;
}

static uint8_t *side_at(uint8_t *line, unsigned slot)
{
    return line + BL_TABLE_LAYOUT_SIDE + slot;
}

#ifdef __SSE2__
/* Two loads that overlap: 16 bytes and the last 16 of 21. */
enum { SECOND = HOSTS - 16 };

/* A bit for every slot whose side byte, of these bits, is @p wanted. */
static uint32_t side_bits(const struct spot *spot, uint8_t bits, uint8_t wanted)
{
    const uint8_t *side = spot->line + BL_TABLE_LAYOUT_SIDE;
    const __m128i mask = _mm_set1_epi8((char)bits);
    const __m128i value = _mm_set1_epi8((char)wanted);
    __m128i a = _mm_loadu_si128((const __m128i *)(const void *)side);
    __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(side + SECOND));

    a = _mm_cmpeq_epi8(_mm_and_si128(a, mask), value);
    b = _mm_cmpeq_epi8(_mm_and_si128(b, mask), value);
    return (uint32_t)_mm_movemask_epi8(a) | (uint32_t)_mm_movemask_epi8(b) << SECOND;
}

/* A bit for every slot with the spot's tag. */
static uint32_t tag_bits(const struct spot *spot)
{
    const __m128i value = _mm_set1_epi16((short)spot->tag);
    __m128i a = _mm_loadu_si128((const __m128i *)(const void *)spot->line);
    __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(spot->line + 16));
    __m128i c = _mm_loadu_si128((const __m128i *)(const void *)(spot->line + 2 * (HOSTS - 8)));

    a = _mm_packs_epi16(_mm_cmpeq_epi16(a, value), _mm_cmpeq_epi16(b, value));
    c = _mm_packs_epi16(_mm_cmpeq_epi16(c, value), _mm_setzero_si128());
    return (uint32_t)_mm_movemask_epi8(a) | (uint32_t)_mm_movemask_epi8(c) << (HOSTS - 8);
}
#else
static uint32_t side_bits(const struct spot *spot, uint8_t bits, uint8_t wanted)
{
    uint32_t found = 0;

    for (unsigned i = 0; i < HOSTS; i++)
        found |= (uint32_t)((*side_at(spot->line, i) & bits) == wanted) << i;
    return found;
}

static uint32_t tag_bits(const struct spot *spot)
{
    uint32_t found = 0;

    for (unsigned i = 0; i < HOSTS; i++)
        found |= (uint32_t)(tag_at(spot->line, i) == spot->tag) << i;
    return found;
}
#endif

/* Slots are used from the first on: the first without a class says how many. */
static unsigned count_used(const struct spot *spot)
{
    return (unsigned)__builtin_ctz(side_bits(spot, (uint8_t)~spot->mask, 0) | UINT32_C(1) << HOSTS);
}

static unsigned find_slot(const struct spot *spot)
{
    uint32_t used = (UINT32_C(1) << count_used(spot)) - 1;
    uint32_t found = tag_bits(spot) & side_bits(spot, spot->mask, spot->extra) & used;

    return found == 0 ? (unsigned)NOT_THERE : (unsigned)__builtin_ctz(found);
}

static void write_slot(struct bl_table_build *build, const struct spot *spot, unsigned slot, uint16_t tag, uint8_t side)
{
    memcpy(spot->line + slot * sizeof(tag), &tag, sizeof(tag));
    *side_at(spot->line, slot) = side;
    bl_table_record_write(build, spot->line + slot * sizeof(tag), sizeof(tag));
    bl_table_record_write(build, side_at(spot->line, slot), 1);
}

/* The number of a class in the palette; without one it is the class. @return 0: the palette has none and is full. */
static uint8_t palette_number(struct bl_table_build *build, uint8_t class_id)
{
    uint8_t *palette = build->master->palette;

    if ((build->master->geometry.options & BL_TABLE_OPTION_PALETTE) == 0)
        return class_id;
    for (uint8_t i = 1; i < BL_TABLE_LAYOUT_PALETTE; i++) {
        if (palette[i] == class_id)
            return i;
        if (palette[i] != BL_CLASS_NONE)
            continue;
        palette[i] = class_id;
        bl_table_record_write(build, &palette[i], 1);
        return i;
    }
    return 0;
}

void bl_table_hosts_prefetch(const struct bl_table_build *build, uint32_t address)
{
    BL_TABLE_KEEP_CALL();
    if (build->master->geometry.host_lines != 0)
        __builtin_prefetch(spot_of(build, bl_table_host_permute(&build->master->keys, address)).line, 1);
    if (build->n_map == NULL)
        return;
    __builtin_prefetch(&build->n_map[address >> 8], 1);
    __builtin_prefetch((const uint8_t *)build->master + build->areas.map + (address >> 10), 1);
}

bool bl_table_hosts_palette_full(const struct bl_table_build *build, uint8_t class_id)
{
    const uint8_t *palette = build->master->palette;

    if ((build->master->geometry.options & BL_TABLE_OPTION_PALETTE) == 0)
        return false;
    for (unsigned i = 1; i < BL_TABLE_LAYOUT_PALETTE; i++)
        if (palette[i] == class_id || palette[i] == BL_CLASS_NONE)
            return false;
    return true;
}

uint8_t bl_table_hosts_find(const struct bl_table_build *build, uint32_t address)
{
    struct spot spot;
    unsigned slot;

    if (build->master->geometry.host_lines == 0)
        return BL_CLASS_NONE;
    spot = spot_of(build, bl_table_host_permute(&build->master->keys, address));
    slot = find_slot(&spot);
    return slot == NOT_THERE ? BL_CLASS_NONE : build->master->palette[*side_at(spot.line, slot) & ~spot.mask];
}

/* The map's byte of a /24, and the bit of the hosts there; twice that is the bit of the ranges. */
static uint8_t *map_byte(const struct bl_table_build *build, uint32_t net, uint8_t *bit)
{
    *bit = (uint8_t)(1u << (net & 3) * 2);
    return (uint8_t *)build->master + build->areas.map + (net >> 2);
}

static void set_map(struct bl_table_build *build, uint32_t net, bool is_ranges, bool is_set)
{
    uint8_t bit;
    uint8_t *byte = map_byte(build, net, &bit);
    uint8_t now;

    bit = (uint8_t)(bit << is_ranges);
    now = (uint8_t)(is_set ? *byte | bit : *byte & ~bit);
    if (now == *byte)
        return;
    *byte = now;
    bl_table_record_write(build, byte, 1);
}

static void count_map(struct bl_table_build *build, uint32_t address, int change)
{
    uint16_t *n;

    if (build->n_map == NULL)
        return;
    n = &build->n_map[address >> 8];
    *n = (uint16_t)(*n + change);
    set_map(build, address >> 8, false, *n != 0);
}

void bl_table_hosts_map_ranges(struct bl_table_build *build, uint32_t bits, unsigned length)
{
    uint32_t n = length >= 24 ? 1 : 1u << (24 - length);

    if (build->n_map == NULL || length <= 16)
        return;
    for (uint32_t net = bits >> 8; n > 0; net++, n--)
        set_map(build, net, true, bl_table_ranges_any(&build->ranges[BL_TABLE_IPV4], net));
}

bool bl_table_hosts_add(struct bl_table_build *build, uint32_t address, uint8_t class_id)
{
    struct spot spot;
    uint8_t number;
    unsigned slot;

    if (build->master->geometry.host_lines == 0)
        return false;
    spot = spot_of(build, bl_table_host_permute(&build->master->keys, address));
    slot = count_used(&spot);
    if (slot == HOSTS)
        return false;
    number = palette_number(build, class_id);
    if (number == 0)
        return false;
    write_slot(build, &spot, slot, spot.tag, spot.extra | number);
    count_map(build, address, 1);
    return true;
}

bool bl_table_hosts_change(struct bl_table_build *build, uint32_t address, uint8_t class_id)
{
    struct spot spot = spot_of(build, bl_table_host_permute(&build->master->keys, address));
    unsigned slot = find_slot(&spot);
    uint8_t number = palette_number(build, class_id);

    if (number == 0)
        return false;
    *side_at(spot.line, slot) = spot.extra | number;
    bl_table_record_write(build, side_at(spot.line, slot), 1);
    return true;
}

void bl_table_hosts_remove(struct bl_table_build *build, uint32_t address)
{
    struct spot spot = spot_of(build, bl_table_host_permute(&build->master->keys, address));
    unsigned slot = find_slot(&spot);
    unsigned last = count_used(&spot) - 1;

    if (slot != last)
        write_slot(build, &spot, slot, tag_at(spot.line, last), *side_at(spot.line, last));
    write_slot(build, &spot, last, 0, 0);
    count_map(build, address, -1);
}

/* The number that makes the product with an odd one 1, modulo 2^32: Newton's iteration doubles the bits that are right,
 * of which there are 3 at first. */
static uint32_t inverse_of(uint32_t odd)
{
    uint32_t inverse = odd;

    for (int i = 0; i < 4; i++)
        inverse *= 2 - odd * inverse;
    return inverse;
}

/* The permuted addresses of a line are a run of less than 2^20: the low bits that a slot has say which it is. */
static uint32_t permuted_at(const struct bl_table_geometry *geometry, uint32_t line, uint16_t tag, uint8_t side)
{
    unsigned shift = bl_table_host_side_shift(geometry);
    uint32_t low_mask = (UINT32_C(1) << (24 - shift)) - 1;
    uint32_t low = (uint32_t)side >> shift << 16 | tag;
    uint32_t first = (uint32_t)((((uint64_t)line << 32) + geometry->host_lines - 1) / geometry->host_lines);

    return first + ((low - first) & low_mask);
}

int bl_table_hosts_note(struct bl_table_hosts *hosts, uint32_t address, uint8_t class_id)
{
    if (hosts->n == hosts->room) {
        size_t room = 2 * hosts->room + 1024;
        uint64_t *at = realloc(hosts->at, room * sizeof(*at));

        if (at == NULL)
            return BL_ENOMEM;
        hosts->at = at;
        hosts->room = room;
    }
    hosts->at[hosts->n++] = (uint64_t)class_id << 32 | address;
    return BL_OK;
}

int bl_table_hosts_copy(const struct bl_table_build *from, struct bl_table_build *to, struct bl_table_hosts *missed)
{
    const struct bl_table *block = from->master;
    const struct bl_table_geometry *geometry = &block->geometry;
    const uint8_t *line = (const uint8_t *)block + from->areas.host_lines;
    const uint8_t mask = (uint8_t)(0xffu << bl_table_host_side_shift(geometry));
    const uint32_t back_first = inverse_of(block->keys.host_multipliers[0]);
    const uint32_t back_second = inverse_of(block->keys.host_multipliers[1]);

    for (uint32_t i = 0; i < geometry->host_lines; i++, line += BL_TABLE_LAYOUT_LINE) {
        const uint8_t *side = line + BL_TABLE_LAYOUT_SIDE;

        for (unsigned slot = 0; slot < HOSTS && (side[slot] & ~mask) != 0; slot++) {
            uint32_t address = permuted_at(geometry, i, tag_at(line, slot), side[slot]) * back_second;
            uint8_t class_id = block->palette[side[slot] & ~mask];

            address ^= address >> 15 ^ address >> 30;
            address = address * back_first ^ block->keys.host_mask;
            if (!bl_table_hosts_add(to, address, class_id) && bl_table_hosts_note(missed, address, class_id) != BL_OK)
                return BL_ENOMEM;
        }
    }
    return BL_OK;
}
