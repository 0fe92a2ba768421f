/* Lookups in a replica and the patches that bring it up to date; see bounceline/table.h and dataplane/table_layout.h.
 *
 * A lookup goes through the lengths that exist, longest first, and through the whole burst for each of them: one pass
 * computes where to look and asks for the lines, the next one looks. An address that was found leaves the burst, so
 * that the longest prefix wins and a hole (class 63) hides what is wider. */
#include "bounceline/table.h"

#include <string.h>

#include "dataplane/table_layout.h"

/* Addresses that walk the lengths together: enough to have all their misses in flight. */
enum { BURST = 64 };

/* The addresses of a burst that have no class yet, by their index. */
struct pending {
    unsigned n;
    uint8_t indexes[BURST];
};

/* What is looked for in one pass. */
struct probes {
    struct bl_table_slot keys[BURST];
    size_t homes[BURST];
};

static const uint64_t *block_words(const struct bl_table *table)
{
    return (const uint64_t *)table;
}

size_t bl_table_size(const struct bl_table *table)
{
    if (!bl_table_layout_sound(table->geometry, table->seal))
        return sizeof(*table);
    return bl_table_layout_size(table->geometry);
}

uint64_t bl_table_serial(const struct bl_table *table)
{
    return table->serial;
}

int bl_table_validate(const struct bl_table *table, size_t size_bytes)
{
    if (size_bytes < sizeof(*table) || (uintptr_t)table % BL_TABLE_ALIGN != 0 || table->magic != BL_TABLE_LAYOUT_MAGIC)
        return BL_EINVAL;
    if (table->version != BL_TABLE_LAYOUT_VERSION)
        return BL_EVERSION;
    if (!bl_table_layout_sound(table->geometry, table->seal) || bl_table_layout_size(table->geometry) != size_bytes)
        return BL_EINVAL;
    if ((table->lengths_ipv4 & ~BL_TABLE_LAYOUT_LENGTHS_IPV4) != 0 ||
        (table->lengths_ipv6[2] & ~BL_TABLE_LAYOUT_LENGTHS_IPV6_LAST) != 0)
        return BL_EINVAL;
    return BL_OK;
}

/* The class of one key, 0 when it is not there. Bounded and cut to the area, whatever the block holds. */
static inline uint8_t probe(const uint64_t *slots, const struct bl_table_area *area, const uint64_t *key, size_t home)
{
    size_t mask = ((size_t)1 << area->bits) - 1;

    for (size_t step = 0; step < BL_TABLE_LAYOUT_PROBE_MAX; step++) {
        const uint64_t *slot = slots + ((home + step) & mask) * area->n_words;
        uint64_t last = slot[area->n_words - 1];

        if (last == 0)
            return BL_CLASS_NONE;
        if (bl_table_layout_match(slot, key, area->n_words))
            return (uint8_t)(last >> BL_TABLE_LAYOUT_CLASS_SHIFT) % BL_CLASS_COUNT;
    }
    return BL_CLASS_NONE;
}

/* The second pass: who is found gets its class and leaves. */
static inline void settle(const uint64_t *slots, const struct bl_table_area *area, const struct probes *probes,
                          struct pending *pending, uint8_t *classes)
{
    unsigned n_left = 0;

    for (unsigned i = 0; i < pending->n; i++) {
        uint8_t index = pending->indexes[i];
        uint8_t class_id = probe(slots, area, probes->keys[i].words, probes->homes[i]);

        if (class_id != BL_CLASS_NONE)
            classes[index] = class_id;
        else
            pending->indexes[n_left++] = index;
    }
    pending->n = n_left;
}

static void start_burst(struct pending *pending, uint8_t *classes, unsigned n)
{
    memset(classes, BL_CLASS_NONE, n);
    pending->n = n;
    for (unsigned i = 0; i < n; i++)
        pending->indexes[i] = (uint8_t)i;
}

/* The longest length of the mask, which is not empty; it is taken out. */
static inline unsigned take_longest(uint64_t *lengths)
{
    unsigned bit = 63 - (unsigned)__builtin_clzll(*lengths);

    *lengths &= ~(UINT64_C(1) << bit);
    return bit;
}

static void lookup_ipv4(const struct bl_table *table, struct bl_table_area area, const uint32_t *addresses,
                        uint8_t *classes, unsigned n)
{
    const uint64_t *slots = block_words(table) + area.first;
    uint64_t lengths = table->lengths_ipv4 & BL_TABLE_LAYOUT_LENGTHS_IPV4;
    struct pending pending;
    struct probes probes;

    /* Said again, so that the loops below are compiled for slots of this size. */
    area.n_words = BL_TABLE_LAYOUT_IPV4_WORDS;
    start_burst(&pending, classes, n);
    while (lengths != 0 && pending.n != 0) {
        unsigned length = take_longest(&lengths);
        uint32_t mask = length == 0 ? 0 : UINT32_MAX << (32 - length);

        for (unsigned i = 0; i < pending.n; i++) {
            probes.keys[i] = bl_table_layout_key_ipv4(addresses[pending.indexes[i]] & mask, length);
            probes.homes[i] = bl_table_layout_home(&table->key, probes.keys[i].words, area.n_words, area.bits);
            __builtin_prefetch(slots + probes.homes[i] * area.n_words);
        }
        settle(slots, &area, &probes, &pending, classes);
    }
}

static inline struct bl_ip6 cut_ipv6(struct bl_ip6 address, unsigned length)
{
    if (length <= 64) {
        address.lo = 0;
        address.hi &= length == 0 ? 0 : UINT64_MAX << (64 - length);
    } else {
        address.lo &= UINT64_MAX << (128 - length);
    }
    return address;
}

static void lookup_ipv6(const struct bl_table *table, struct bl_table_area area, const struct bl_ip6 *addresses,
                        uint8_t *classes, unsigned n)
{
    const uint64_t *slots = block_words(table) + area.first;
    uint64_t lengths[3] = {table->lengths_ipv6[0], table->lengths_ipv6[1],
                           table->lengths_ipv6[2] & BL_TABLE_LAYOUT_LENGTHS_IPV6_LAST};
    struct pending pending;
    struct probes probes;

    area.n_words = BL_TABLE_LAYOUT_IPV6_WORDS;
    start_burst(&pending, classes, n);
    for (unsigned word = 3; word-- > 0;) {
        while (lengths[word] != 0 && pending.n != 0) {
            unsigned length = 64 * word + take_longest(&lengths[word]);

            for (unsigned i = 0; i < pending.n; i++) {
                struct bl_ip6 cut = cut_ipv6(addresses[pending.indexes[i]], length);

                probes.keys[i] = bl_table_layout_key_ipv6(cut, length);
                probes.homes[i] = bl_table_layout_home(&table->key, probes.keys[i].words, area.n_words, area.bits);
                __builtin_prefetch(slots + probes.homes[i] * area.n_words);
            }
            settle(slots, &area, &probes, &pending, classes);
        }
    }
}

/* The geometry is read once, checked, and used: what rots in between can't reach the indexes. */
void bl_table_lookup_ipv4_burst(const struct bl_table *table, const uint32_t *addresses, uint8_t *classes, unsigned n)
{
    uint64_t geometry = table->geometry;

    if (!bl_table_layout_sound(geometry, table->seal)) {
        memset(classes, BL_CLASS_NONE, n);
        return;
    }
    for (unsigned at = 0; at < n; at += BURST)
        lookup_ipv4(table, bl_table_layout_ipv4(geometry), addresses + at, classes + at,
                    n - at < BURST ? n - at : BURST);
}

void bl_table_lookup_ipv6_burst(const struct bl_table *table, const struct bl_ip6 *addresses, uint8_t *classes,
                                unsigned n)
{
    uint64_t geometry = table->geometry;

    if (!bl_table_layout_sound(geometry, table->seal)) {
        memset(classes, BL_CLASS_NONE, n);
        return;
    }
    for (unsigned at = 0; at < n; at += BURST)
        lookup_ipv6(table, bl_table_layout_ipv6(geometry), addresses + at, classes + at,
                    n - at < BURST ? n - at : BURST);
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
           bl_table_layout_sound(table->geometry, table->seal) && table->geometry == patch->geometry &&
           table->epoch == patch->epoch && table->key.k0 == patch->key.k0 && table->key.k1 == patch->key.k1 &&
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
