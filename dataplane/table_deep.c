/* IPv6 prefixes longer than /32: short and long lines, rest and filter; see table_layout.h for the bytes.
 *
 * A lookup goes on from a full line to the one beside it, and from there to the rest. So a line that was full must look
 * full until nobody depends on it any more: who leaves it is replaced by a mark that is neither empty nor a prefix. */
#include "dataplane/table_state.h"

#include <string.h>

/* A prefix in the block's terms. */
struct deep {
    struct bl_ip6 address;
    unsigned length;
    bool is_long;
    uint64_t permuted;
    uint64_t word; /* without the class */
    uint32_t line;
};

/* Lines of one kind, as words: a slot is one or two of them, the last one has length and class. */
struct lines {
    uint64_t *words;
    uint32_t n;
    unsigned n_slots;
    unsigned stride;
    unsigned kept;
};

static struct lines lines_of(const struct bl_table_build *build, bool is_long)
{
    uint8_t *block = (uint8_t *)build->master;

    if (is_long)
        return (struct lines){(uint64_t *)(void *)(block + build->areas.long_lines), build->master->geometry.long_lines,
                              BL_TABLE_LAYOUT_LONGS, 2, BL_TABLE_LAYOUT_LONG_KEPT};
    return (struct lines){(uint64_t *)(void *)(block + build->areas.short_lines), build->master->geometry.short_lines,
                          BL_TABLE_LAYOUT_SHORTS, 1, BL_TABLE_LAYOUT_SHORT_KEPT};
}

static uint64_t *slot_at(const struct lines *lines, uint32_t line, unsigned slot)
{
    return lines->words + (size_t)line * (BL_TABLE_LAYOUT_LINE / sizeof(uint64_t)) + slot * lines->stride;
}

/* The word with length and class. */
static uint64_t *last_word(const struct lines *lines, uint32_t line, unsigned slot)
{
    return slot_at(lines, line, slot) + lines->stride - 1;
}

static bool is_empty(uint64_t word)
{
    return word >> BL_TABLE_LAYOUT_DEEP_CLASS_SHIFT == BL_CLASS_NONE;
}

static struct deep deep_of(const struct bl_table_build *build, struct bl_ip6 address, unsigned length)
{
    const struct bl_table_keys *keys = &build->master->keys;
    struct deep deep = {.address = address, .length = length, .is_long = length >= BL_TABLE_LAYOUT_LONG_FIRST};
    struct lines lines = lines_of(build, deep.is_long);

    if (deep.is_long) {
        deep.permuted = bl_table_deep_permute(keys, address.lo, bl_table_deep_tweak(keys, address.hi, length));
        deep.word = bl_table_long_word(deep.permuted, length);
    } else {
        deep.permuted = bl_table_deep_permute(keys, address.hi, bl_table_deep_tweak(keys, 0, length));
        deep.word = bl_table_short_word(deep.permuted, length);
    }
    deep.line = bl_table_deep_line(deep.permuted, lines.n);
    return deep;
}

void bl_table_deep_prefetch(const struct bl_table_build *build, struct bl_ip6 address, unsigned length)
{
    struct deep deep = deep_of(build, address, length);
    struct lines lines = lines_of(build, deep.is_long);

    BL_TABLE_KEEP_CALL();
    if (lines.n != 0)
        __builtin_prefetch(slot_at(&lines, deep.line, 0), 1);
}

static uint64_t *find_in_line(const struct lines *lines, uint32_t line, const struct deep *deep, bool *full)
{
    const uint64_t mask = (UINT64_C(1) << BL_TABLE_LAYOUT_DEEP_CLASS_SHIFT) - 1;

    *full = true;
    for (unsigned i = 0; i < lines->n_slots; i++) {
        uint64_t *word = last_word(lines, line, i);

        *full = *full && *word != 0;
        if (!is_empty(*word) && (*word & mask) == deep->word &&
            (!deep->is_long || *slot_at(lines, line, i) == deep->address.hi))
            return word;
    }
    return NULL;
}

static struct bl_table_rest *rest_at(const struct bl_table_build *build, const struct deep *deep, uint32_t step)
{
    struct bl_table_rest *rest = (struct bl_table_rest *)(void *)((uint8_t *)build->master + build->areas.rest);
    uint64_t tweak = bl_table_deep_tweak(&build->master->keys, deep->address.hi, deep->length);
    uint64_t permuted = bl_table_deep_permute(&build->master->keys, deep->address.lo, tweak);
    uint32_t n = build->master->geometry.rest_slots;

    return rest + ((bl_table_deep_line(permuted, n) + step) & (n - 1));
}

static struct bl_table_rest *find_in_rest(const struct bl_table_build *build, const struct deep *deep)
{
    for (uint32_t step = 0; step < BL_TABLE_LAYOUT_REST_PROBES; step++) {
        struct bl_table_rest *slot = rest_at(build, deep, step);

        if (slot->length == 0)
            return NULL;
        if (slot->class_id != BL_CLASS_NONE && slot->length == deep->length && slot->address.hi == deep->address.hi &&
            slot->address.lo == deep->address.lo)
            return slot;
    }
    return NULL;
}

/* Where a prefix is: a word of the lines, a slot of the rest, or neither. */
struct found {
    uint64_t *word;
    uint32_t line;
    struct bl_table_rest *rest;
};

static struct found find(const struct bl_table_build *build, const struct deep *deep)
{
    struct lines lines = lines_of(build, deep->is_long);
    struct found found = {NULL, deep->line, NULL};
    bool full;

    if (lines.n == 0)
        return found;
    found.word = find_in_line(&lines, found.line, deep, &full);
    if (found.word != NULL || !full)
        return found;
    found.line ^= 1;
    found.word = find_in_line(&lines, found.line, deep, &full);
    if (found.word == NULL && full)
        found.rest = find_in_rest(build, deep);
    return found;
}

uint8_t bl_table_deep_find(const struct bl_table_build *build, struct bl_ip6 address, unsigned length)
{
    struct deep deep;
    struct found found;

    if ((build->master->geometry.options & BL_TABLE_OPTION_IPV6) == 0 || build->n_deep_lengths[length] == 0)
        return BL_CLASS_NONE;
    deep = deep_of(build, address, length);
    found = find(build, &deep);
    if (found.word != NULL)
        return (uint8_t)(*found.word >> BL_TABLE_LAYOUT_DEEP_CLASS_SHIFT);
    return found.rest != NULL ? found.rest->class_id : BL_CLASS_NONE;
}

/* A bit of a filter's entry counts one more or one less; who once counted too far to know stays. */
static void count_bit(struct bl_table_build *build, uint32_t slot, unsigned bit, int change)
{
    uint16_t *filter = (uint16_t *)(void *)((uint8_t *)build->master + build->areas.filter);
    uint16_t *n = &build->n_filter[(size_t)slot * BL_TABLE_LAYOUT_FILTER_BITS + bit];
    uint16_t now;

    if (*n != UINT16_MAX)
        *n = (uint16_t)(*n + change);
    now = (uint16_t)(*n != 0 ? filter[slot] | 1u << bit : filter[slot] & ~(1u << bit));
    if (now == filter[slot])
        return;
    build->n_filter_used[slot >= 1u << (build->master->geometry.filter_bits - BL_TABLE_LAYOUT_FILTER_FEWER)] +=
        (uint64_t)(filter[slot] == 0) - (uint64_t)(now == 0);
    filter[slot] = now;
    bl_table_record_write(build, &filter[slot], sizeof(now));
}

static void count_filter(struct bl_table_build *build, const struct deep *deep, int change)
{
    const struct bl_table_keys *keys = &build->master->keys;
    uint32_t bits = build->master->geometry.filter_bits;
    uint32_t far = bl_table_filter_far(keys, (uint32_t)(deep->address.hi >> 32), bits);

    if (deep->length < BL_TABLE_LAYOUT_FILTER_NEAR) {
        count_bit(build, far, deep->length - BL_TABLE_LAYOUT_SHORT_FIRST, change);
        return;
    }
    count_bit(build, far, BL_TABLE_LAYOUT_FILTER_GATE, change);
    count_bit(build, bl_table_filter_near(keys, deep->address.hi, bits), build->length_bits[deep->length], change);
}

/* The first prefix of a length: a bit of the near entries stands for it from now on, one of its own while there
 * are any. */
static void note_length(struct bl_table_build *build, unsigned length)
{
    struct bl_table_lengths *lengths = build->master->lengths;
    uint64_t mask = UINT64_C(1) << (length - 1) % 64;
    unsigned word = (length - 1) / 64;
    unsigned bit = 0;

    if (length < BL_TABLE_LAYOUT_FILTER_NEAR)
        return;
    for (unsigned i = 0; i < BL_TABLE_LAYOUT_FILTER_BITS; i++)
        if ((lengths[i].words[word] & mask) != 0)
            return;
    while (bit < BL_TABLE_LAYOUT_FILTER_BITS - 1 && (lengths[bit].words[0] | lengths[bit].words[1]) != 0)
        bit++;
    build->length_bits[length] = (uint8_t)bit;
    lengths[bit].words[word] |= mask;
    bl_table_record_write(build, &lengths[bit].words[word], sizeof(mask));
}

static void count_in(struct bl_table_build *build, const struct deep *deep)
{
    *(deep->is_long ? &build->n_long : &build->n_short) += 1;
    build->n_deep_lengths[deep->length]++;
    note_length(build, deep->length);
    count_filter(build, deep, 1);
}

static bool add_to_line(struct bl_table_build *build, const struct lines *lines, uint32_t line, const struct deep *deep,
                        uint8_t class_id)
{
    for (unsigned i = 0; i < lines->n_slots; i++) {
        uint64_t *word = last_word(lines, line, i);

        if (!is_empty(*word))
            continue;
        if (deep->is_long)
            *slot_at(lines, line, i) = deep->address.hi;
        *word = deep->word | (uint64_t)class_id << BL_TABLE_LAYOUT_DEEP_CLASS_SHIFT;
        bl_table_record_write(build, slot_at(lines, line, i), lines->stride * sizeof(*word));
        return true;
    }
    return false;
}

static bool add_to_rest(struct bl_table_build *build, const struct deep *deep, uint8_t class_id)
{
    /* More would make the ways long, and slots that were left do not come back before the next block. */
    if (build->n_rest + build->n_rest_left >= build->master->geometry.rest_slots / 2)
        return false;
    for (uint32_t step = 0; step < BL_TABLE_LAYOUT_REST_PROBES; step++) {
        struct bl_table_rest *slot = rest_at(build, deep, step);

        if (slot->class_id != BL_CLASS_NONE)
            continue;
        build->n_rest_left -= slot->length != 0;
        build->n_rest++;
        *slot = (struct bl_table_rest){.address = deep->address, .length = (uint8_t)deep->length, .class_id = class_id};
        bl_table_record_write(build, slot, sizeof(*slot));
        return true;
    }
    return false;
}

int bl_table_deep_add(struct bl_table_build *build, struct bl_ip6 address, unsigned length, uint8_t class_id)
{
    struct deep deep = deep_of(build, address, length);
    struct lines lines = lines_of(build, deep.is_long);

    if (lines.n == 0 ||
        (!add_to_line(build, &lines, deep.line, &deep, class_id) &&
         !add_to_line(build, &lines, deep.line ^ 1, &deep, class_id) && !add_to_rest(build, &deep, class_id)))
        return BL_EFULL;
    count_in(build, &deep);
    return BL_OK;
}

void bl_table_deep_change(struct bl_table_build *build, struct bl_ip6 address, unsigned length, uint8_t class_id)
{
    struct deep deep = deep_of(build, address, length);
    struct found found = find(build, &deep);

    if (found.word != NULL) {
        *found.word = deep.word | (uint64_t)class_id << BL_TABLE_LAYOUT_DEEP_CLASS_SHIFT;
        bl_table_record_write(build, found.word, sizeof(*found.word));
    } else {
        found.rest->class_id = class_id;
        bl_table_record_write(build, found.rest, sizeof(*found.rest));
    }
}

/* The permuted words of a pair of lines are a run: the kept bits say which it is. */
static uint64_t permuted_at(const struct lines *lines, uint32_t line, uint64_t word)
{
    uint64_t first = ((((uint64_t)(line & ~1u) << 32) + lines->n - 1) / lines->n) << 32;

    return first + ((word - first) & ((UINT64_C(1) << lines->kept) - 1));
}

static bool is_full(const struct lines *lines, uint32_t line)
{
    for (unsigned i = 0; i < lines->n_slots; i++)
        if (*last_word(lines, line, i) == 0)
            return false;
    return true;
}

/* True when a prefix lies elsewhere that is only found because this line is full. */
static bool is_depended_on(const struct bl_table_build *build, const struct lines *lines, uint32_t line)
{
    for (unsigned i = 0; i < lines->n_slots; i++) {
        uint64_t word = *last_word(lines, line ^ 1, i);

        if (!is_empty(word) && bl_table_deep_line(permuted_at(lines, line, word), lines->n) == line)
            return true;
    }
    return build->n_rest > 0 && is_full(lines, line ^ 1);
}

/* Marks of those that left become empty slots as soon as nobody needs them. */
static void tidy(struct bl_table_build *build, const struct lines *lines, uint32_t line)
{
    if (is_full(lines, line) && is_depended_on(build, lines, line))
        return;
    for (unsigned i = 0; i < lines->n_slots; i++) {
        uint64_t *word = last_word(lines, line, i);

        if (!is_empty(*word) || *word == 0)
            continue;
        *word = 0;
        bl_table_record_write(build, word, sizeof(*word));
    }
}

void bl_table_deep_remove(struct bl_table_build *build, struct bl_ip6 address, unsigned length)
{
    struct deep deep = deep_of(build, address, length);
    struct lines lines = lines_of(build, deep.is_long);
    struct found found = find(build, &deep);

    if (found.word != NULL) {
        *found.word = BL_TABLE_LAYOUT_LEFT;
        if (deep.is_long)
            *(found.word - 1) = 0;
        bl_table_record_write(build, found.word - (lines.stride - 1), lines.stride * sizeof(*found.word));
    } else {
        found.rest->class_id = BL_CLASS_NONE;
        build->n_rest--;
        build->n_rest_left++;
        bl_table_record_write(build, found.rest, sizeof(*found.rest));
    }
    tidy(build, &lines, deep.line);
    tidy(build, &lines, deep.line ^ 1);
    *(deep.is_long ? &build->n_long : &build->n_short) -= 1;
    build->n_deep_lengths[length]--;
    count_filter(build, &deep, -1);
}

/* The number that makes the product with an odd one 1, modulo 2^64: see table_hosts.c. */
static uint64_t inverse_of(uint64_t odd)
{
    uint64_t inverse = odd;

    for (int i = 0; i < 5; i++)
        inverse *= 2 - odd * inverse;
    return inverse;
}

static int copy_lines(const struct bl_table_build *from, struct bl_table_build *to, bool is_long)
{
    const struct bl_table_keys *keys = &from->master->keys;
    const uint64_t back_first = inverse_of(keys->deep_multipliers[0]);
    const uint64_t back_second = inverse_of(keys->deep_multipliers[1]);
    const unsigned first_length = is_long ? BL_TABLE_LAYOUT_LONG_FIRST : BL_TABLE_LAYOUT_SHORT_FIRST;
    struct lines lines = lines_of(from, is_long);

    for (size_t i = 0; i < (size_t)lines.n * lines.n_slots; i++) {
        uint32_t line = (uint32_t)(i / lines.n_slots);
        const uint64_t *slot = slot_at(&lines, line, (unsigned)(i % lines.n_slots));
        uint64_t word = slot[lines.stride - 1];
        uint8_t class_id = (uint8_t)(word >> BL_TABLE_LAYOUT_DEEP_CLASS_SHIFT);
        unsigned length = first_length + (unsigned)(word >> lines.kept &
                                                    ((1u << (BL_TABLE_LAYOUT_DEEP_CLASS_SHIFT - lines.kept)) - 1));
        struct bl_ip6 address = {0, 0};
        uint64_t plain;

        if (is_empty(word))
            continue;
        plain = permuted_at(&lines, line, word) * back_second;
        plain = (plain ^ plain >> 32) * back_first ^ keys->deep_mask;
        address.hi = is_long ? slot[0] : plain ^ bl_table_deep_tweak(keys, 0, length);
        if (is_long)
            address.lo = plain ^ bl_table_deep_tweak(keys, address.hi, length);
        if (bl_table_deep_add(to, address, length, class_id) != BL_OK)
            return BL_EFULL;
    }
    return BL_OK;
}

int bl_table_deep_copy(const struct bl_table_build *from, struct bl_table_build *to)
{
    const struct bl_table_rest *rest =
        (const struct bl_table_rest *)(const void *)((const uint8_t *)from->master + from->areas.rest);
    int error = copy_lines(from, to, false);

    if (error == BL_OK)
        error = copy_lines(from, to, true);
    for (uint32_t i = 0; error == BL_OK && i < from->master->geometry.rest_slots; i++)
        if (rest[i].class_id != BL_CLASS_NONE)
            error = bl_table_deep_add(to, rest[i].address, rest[i].length, rest[i].class_id);
    return error;
}
