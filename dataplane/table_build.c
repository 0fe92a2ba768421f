/* The master table and what is recorded of its changes; see table_build.h, and table_layout.h for the bytes.
 *
 * A change is made in the master at once, and the words it writes are recorded as one group of the next patch. The
 * recording may give up at any time (a delta that writes more than a copy would, no memory, a new block): then `moved`
 * is set, nothing more is recorded, and the commit tells the caller to copy the block. So recording never makes a
 * change fail.
 *
 * The block moves when a family is half full, when a prefix finds no place near its home, or when a removal would move
 * too many slots; the last two mean that the key is known or luck is very bad, so that each new block has a new key. */
#include "dataplane/table_build.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/table_layout.h"

/* Keys that are tried for one size before the block grows instead. */
enum { KEYS_PER_SIZE = 4 };

enum { IPV4, IPV6, N_FAMILIES };

#define NO_SLOT SIZE_MAX

struct bl_table_build {
    struct bl_table *master; /* in `memory`, aligned */
    void *memory;
    struct bl_siphash_key key; /* the caller's; every block's key is derived from it */
    uint64_t n_blocks;
    struct bl_table_patch *patch; /* being recorded; NULL: nothing yet */
    size_t patch_room;            /* words that it has room for */
    size_t group;                 /* its word where the open group starts */
    bool moved;                   /* since the last commit: no patch can tell what changed */
    struct bl_digest digest;
    uint64_t n_entries[N_FAMILIES];
    uint32_t n_lengths[N_FAMILIES][129];
};

/* A prefix in the block's terms. */
struct target {
    struct bl_table_slot slot; /* the key, with class 0 */
    unsigned family;           /* IPV4 or IPV6 */
    unsigned length;
};

/* The slots that a removal moves, each into the place of the one before it. */
struct moves {
    unsigned n;
    size_t places[BL_TABLE_LAYOUT_MOVES_MAX];
};

static struct bl_table_area area_of(const struct bl_table *table, unsigned family)
{
    return family == IPV4 ? bl_table_layout_ipv4(table->geometry) : bl_table_layout_ipv6(table->geometry);
}

static uint64_t *slot_at(struct bl_table *table, const struct bl_table_area *area, size_t index)
{
    return (uint64_t *)table + area->first + index * area->n_words;
}

static uint64_t *last_word(struct bl_table *table, const struct bl_table_area *area, size_t index)
{
    return slot_at(table, area, index) + area->n_words - 1;
}

static size_t home_of(const struct bl_table *table, const struct bl_table_area *area, const uint64_t *slot)
{
    return bl_table_layout_home(&table->key, slot, area->n_words, area->bits);
}

static size_t index_mask(const struct bl_table_area *area)
{
    return ((size_t)1 << area->bits) - 1;
}

/* Room for @p n entries that does not fill up at once. */
static unsigned bits_for(uint64_t n)
{
    unsigned bits = BL_TABLE_LAYOUT_BITS_MIN;

    while (bits < BL_TABLE_LAYOUT_BITS_ALL && n > ((uint64_t)3 << bits) / 8)
        bits++;
    return bits;
}

/* calloc, not aligned_alloc: pages that no entry touches are never there. */
static struct bl_table *create_block(struct bl_table_build *build, const unsigned bits[N_FAMILIES], void **memory)
{
    uint64_t geometry = bl_table_layout_geometry(bits[IPV4], bits[IPV6]);
    const uint64_t words[2] = {build->n_blocks, build->n_blocks + (UINT64_C(1) << 63)};
    struct bl_table *table;

    *memory = calloc(1, bl_table_layout_size(geometry) + BL_TABLE_ALIGN);
    if (*memory == NULL)
        return NULL;
    build->n_blocks++;
    table = (struct bl_table *)(((uintptr_t)*memory + BL_TABLE_ALIGN - 1) & ~(uintptr_t)(BL_TABLE_ALIGN - 1));
    table->magic = BL_TABLE_LAYOUT_MAGIC;
    table->version = BL_TABLE_LAYOUT_VERSION;
    table->geometry = geometry;
    table->seal = bl_table_layout_seal(geometry);
    table->key.k0 = bl_siphash(&build->key, &words[0], sizeof(words[0]));
    table->key.k1 = bl_siphash(&build->key, &words[1], sizeof(words[1]));
    return table;
}

/* The first empty slot for a key that is not there, or NO_SLOT when it would be too far from its home. */
static size_t find_room(struct bl_table *table, const struct bl_table_area *area, const uint64_t *key)
{
    size_t home = home_of(table, area, key);

    for (size_t step = 0; step < BL_TABLE_LAYOUT_PROBE_MAX; step++) {
        size_t index = (home + step) & index_mask(area);

        if (*last_word(table, area, index) == 0)
            return index;
    }
    return NO_SLOT;
}

static size_t find_key(struct bl_table *table, const struct bl_table_area *area, const uint64_t *key)
{
    size_t home = home_of(table, area, key);

    for (size_t step = 0; step < BL_TABLE_LAYOUT_PROBE_MAX; step++) {
        size_t index = (home + step) & index_mask(area);

        if (*last_word(table, area, index) == 0)
            return NO_SLOT;
        if (bl_table_layout_match(slot_at(table, area, index), key, area->n_words))
            return index;
    }
    return NO_SLOT;
}

/* Copies a family's slots into an empty block. @return false when one found no room there. */
static bool copy_slots(struct bl_table *from, struct bl_table *to, unsigned family)
{
    struct bl_table_area source = area_of(from, family);
    struct bl_table_area target = area_of(to, family);

    for (size_t i = 0; i <= index_mask(&source); i++) {
        const uint64_t *slot = slot_at(from, &source, i);
        size_t index;

        if (slot[source.n_words - 1] == 0)
            continue;
        index = find_room(to, &target, slot);
        if (index == NO_SLOT)
            return false;
        memcpy(slot_at(to, &target, index), slot, source.n_words * sizeof(uint64_t));
    }
    return true;
}

static void drop_patch(struct bl_table_build *build)
{
    free(build->patch);
    build->patch = NULL;
    build->patch_room = 0;
    build->moved = true;
}

/* Moves the entries to a block of these sizes, or larger ones, with a key of its own. On failure nothing changed. */
static int rebuild(struct bl_table_build *build, const unsigned bits[N_FAMILIES])
{
    unsigned sizes[N_FAMILIES] = {bits[IPV4], bits[IPV6]};

    for (unsigned try = 1;; try++) {
        void *memory;
        struct bl_table *table = create_block(build, sizes, &memory);
        unsigned family = IPV4;

        if (table == NULL)
            return BL_ENOMEM;
        while (family < N_FAMILIES && copy_slots(build->master, table, family))
            family++;
        if (family == N_FAMILIES) {
            table->epoch = build->master->epoch;
            table->serial = build->master->serial;
            table->lengths_ipv4 = build->master->lengths_ipv4;
            memcpy(table->lengths_ipv6, build->master->lengths_ipv6, sizeof(table->lengths_ipv6));
            free(build->memory);
            build->memory = memory;
            build->master = table;
            drop_patch(build);
            return BL_OK;
        }
        free(memory);
        if (try % KEYS_PER_SIZE == 0 && ++sizes[family] > BL_TABLE_LAYOUT_BITS_MAX)
            return BL_EFULL;
    }
}

/* The same sizes with a new key; @p more_bits for one family. */
static int rebuild_larger(struct bl_table_build *build, unsigned family, unsigned more_bits)
{
    unsigned bits[N_FAMILIES] = {area_of(build->master, IPV4).bits, area_of(build->master, IPV6).bits};

    bits[family] += more_bits;
    if (bits[family] > BL_TABLE_LAYOUT_BITS_MAX)
        return BL_EFULL;
    return rebuild(build, bits);
}

static struct bl_table_patch *create_patch(const struct bl_table *master, size_t room)
{
    struct bl_table_patch *patch = malloc(sizeof(*patch) + room * sizeof(uint64_t));

    if (patch == NULL)
        return NULL;
    *patch = (struct bl_table_patch){
        .epoch = master->epoch,
        .geometry = master->geometry,
        .key = master->key,
        .from_serial = master->serial,
    };
    return patch;
}

/* Makes room for the largest group, so that nothing inside the group can fail. */
static void open_group(struct bl_table_build *build)
{
    const size_t group_words = BL_TABLE_GROUP_MAX / sizeof(uint64_t);

    if (build->moved)
        return;
    if (build->patch == NULL) {
        build->patch = create_patch(build->master, group_words);
        build->patch_room = group_words;
    } else if (build->patch_room - build->patch->n_words < group_words) {
        size_t room = 2 * build->patch_room + group_words;
        struct bl_table_patch *patch = realloc(build->patch, sizeof(*patch) + room * sizeof(uint64_t));

        if (patch == NULL) {
            drop_patch(build);
            return;
        }
        build->patch = patch;
        build->patch_room = room;
    }
    if (build->patch == NULL) {
        drop_patch(build);
        return;
    }
    build->group = build->patch->n_words++;
}

/* Writes words of the master, and records them in the open group. */
static void write_words(struct bl_table_build *build, uint64_t *place, const uint64_t *words, size_t n)
{
    struct bl_table_patch *patch = build->patch;

    memcpy(place, words, n * sizeof(*words));
    if (build->moved)
        return;
    patch->words[patch->n_words++] = (uint64_t)(place - (uint64_t *)build->master) | (uint64_t)n
                                                                                         << BL_TABLE_LAYOUT_WRITE_SHIFT;
    memcpy(patch->words + patch->n_words, place, n * sizeof(*words));
    patch->n_words += n;
}

/* A patch that has half the block's bytes costs a worker more than the copy of the block that the main core makes. */
static void close_group(struct bl_table_build *build)
{
    struct bl_table_patch *patch = build->patch;

    if (build->moved)
        return;
    patch->words[build->group] = patch->n_words - build->group - 1;
    if (patch->n_words * sizeof(uint64_t) > bl_table_size(build->master) / 2)
        drop_patch(build);
}

/* Counts an entry of a length in (+1) or out (-1), and keeps the header's bit of the length true. */
static void count_length(struct bl_table_build *build, const struct target *target, int change)
{
    uint64_t *lengths =
        target->family == IPV4 ? &build->master->lengths_ipv4 : &build->master->lengths_ipv6[target->length / 64];
    uint64_t bit = UINT64_C(1) << (target->length % 64);
    uint32_t *n = &build->n_lengths[target->family][target->length];
    uint64_t now;

    *n += (uint32_t)change;
    build->n_entries[target->family] += (uint64_t)(int64_t)change;
    now = *n != 0 ? *lengths | bit : *lengths & ~bit;
    if (now != *lengths)
        write_words(build, lengths, &now, 1);
}

/* Finds room for a new entry, in a new block when there is none in this one. */
static int make_room(struct bl_table_build *build, const struct target *target, size_t *index)
{
    struct bl_table_area area = area_of(build->master, target->family);

    if (build->n_entries[IPV4] + build->n_entries[IPV6] >= BL_TABLE_ENTRIES_MAX)
        return BL_EFULL;
    if (build->n_entries[target->family] >= (UINT64_C(1) << area.bits) / 2) {
        int error = rebuild_larger(build, target->family, 1);

        if (error != BL_OK)
            return error;
    }
    for (unsigned try = 1;; try++) {
        int error;

        area = area_of(build->master, target->family);
        *index = find_room(build->master, &area, target->slot.words);
        if (*index != NO_SLOT)
            return BL_OK;
        error = rebuild_larger(build, target->family, try % KEYS_PER_SIZE == 0);
        if (error != BL_OK)
            return error;
    }
}

static int insert(struct bl_table_build *build, const struct target *target, uint8_t class_id)
{
    struct bl_table_slot slot = target->slot;
    struct bl_table_area area;
    size_t index;
    int error = make_room(build, target, &index);

    if (error != BL_OK)
        return error;
    area = area_of(build->master, target->family);
    slot.words[area.n_words - 1] |= (uint64_t)class_id << BL_TABLE_LAYOUT_CLASS_SHIFT;
    open_group(build);
    write_words(build, slot_at(build->master, &area, index), slot.words, area.n_words);
    count_length(build, target, 1);
    close_group(build);
    return BL_OK;
}

static void replace(struct bl_table_build *build, const struct target *target, size_t index, uint8_t class_id)
{
    struct bl_table_area area = area_of(build->master, target->family);
    uint64_t *last = last_word(build->master, &area, index);
    uint64_t word = (*last & BL_TABLE_LAYOUT_KEY_MASK) | (uint64_t)class_id << BL_TABLE_LAYOUT_CLASS_SHIFT;

    open_group(build);
    write_words(build, last, &word, 1);
    close_group(build);
}

/* What has to move when the slot at @p hole goes: the next slot that may lie in the hole (its home is not behind it)
 * leaves a hole of its own, and so on to the end of the run. A slot PROBE_MAX or more behind the hole never moves.
 * Knuth, The Art of Computer Programming, volume 3, 6.4, algorithm R.
 * @return false when more would move than one group may hold. */
static bool find_moves(struct bl_table *table, const struct bl_table_area *area, size_t hole, struct moves *moves)
{
    size_t mask = index_mask(area);

    moves->n = 0;
    for (size_t i = (hole + 1) & mask; ((i - hole) & mask) < BL_TABLE_LAYOUT_PROBE_MAX; i = (i + 1) & mask) {
        const uint64_t *slot = slot_at(table, area, i);

        if (slot[area->n_words - 1] == 0)
            return true;
        if (((i - home_of(table, area, slot)) & mask) < ((i - hole) & mask))
            continue;
        if (moves->n == BL_TABLE_LAYOUT_MOVES_MAX)
            return false;
        moves->places[moves->n++] = i;
        hole = i;
    }
    return true;
}

static int take_out(struct bl_table_build *build, const struct target *target, size_t index)
{
    static const struct bl_table_slot empty;
    struct bl_table_area area = area_of(build->master, target->family);
    struct moves moves;

    for (unsigned try = 1; !find_moves(build->master, &area, index, &moves); try++) {
        int error = rebuild_larger(build, target->family, try % KEYS_PER_SIZE == 0);

        if (error != BL_OK)
            return error;
        area = area_of(build->master, target->family);
        index = find_key(build->master, &area, target->slot.words);
    }
    open_group(build);
    for (unsigned i = 0; i < moves.n; i++) {
        write_words(build, slot_at(build->master, &area, index), slot_at(build->master, &area, moves.places[i]),
                    area.n_words);
        index = moves.places[i];
    }
    write_words(build, slot_at(build->master, &area, index), empty.words, area.n_words);
    count_length(build, target, -1);
    close_group(build);
    return BL_OK;
}

int bl_table_build_create(struct bl_table_build **out, uint64_t epoch, const struct bl_siphash_key *key,
                          uint64_t n_entries_expected)
{
    /* Nobody says how many of them are IPv6: most lists have few, and what is not used goes at the first commit. */
    const unsigned bits[N_FAMILIES] = {bits_for(n_entries_expected), BL_TABLE_LAYOUT_BITS_MIN};
    struct bl_table_build *build = calloc(1, sizeof(*build));

    if (build == NULL)
        return BL_ENOMEM;
    build->key = *key;
    build->moved = true; /* there is no replica yet that a patch could fit */
    build->master = create_block(build, bits, &build->memory);
    if (build->master == NULL) {
        free(build);
        return BL_ENOMEM;
    }
    build->master->epoch = epoch;
    *out = build;
    return BL_OK;
}

void bl_table_build_free(struct bl_table_build *build)
{
    if (build == NULL)
        return;
    free(build->patch);
    free(build->memory);
    free(build);
}

static struct target target_of(const struct bl_prefix *prefix)
{
    struct target target = {.length = prefix->length};

    if (prefix->family == BL_FAMILY_IPV4) {
        target.family = IPV4;
        target.slot = bl_table_layout_key_ipv4(bl_address_to_ip4(prefix->bytes), prefix->length);
    } else {
        target.family = IPV6;
        target.slot = bl_table_layout_key_ipv6(bl_address_to_ip6(prefix->bytes), prefix->length);
    }
    return target;
}

int bl_table_build_set(struct bl_table_build *build, const struct bl_prefix *prefix, uint8_t class_id)
{
    uint8_t class_before = BL_CLASS_NONE;
    struct bl_table_area area;
    struct target target;
    size_t index;
    int error = BL_OK;

    if (!bl_address_prefix_canonical(prefix) || class_id >= BL_CLASS_COUNT)
        return BL_EINVAL;
    target = target_of(prefix);
    area = area_of(build->master, target.family);
    index = find_key(build->master, &area, target.slot.words);
    if (index != NO_SLOT)
        class_before = (uint8_t)(*last_word(build->master, &area, index) >> BL_TABLE_LAYOUT_CLASS_SHIFT);
    if (class_id == class_before)
        return BL_OK;
    if (class_before == BL_CLASS_NONE)
        error = insert(build, &target, class_id);
    else if (class_id == BL_CLASS_NONE)
        error = take_out(build, &target, index);
    else
        replace(build, &target, index, class_id);
    if (error != BL_OK)
        return error;
    if (class_before != BL_CLASS_NONE)
        bl_digest_remove(&build->digest, build->master->epoch, prefix, class_before);
    if (class_id != BL_CLASS_NONE)
        bl_digest_add(&build->digest, build->master->epoch, prefix, class_id);
    return BL_OK;
}

/* Everybody is about to copy the block: the time to give back room that the load did not need. It may fail: then the
 * block is larger than it has to be. */
static void trim(struct bl_table_build *build)
{
    unsigned bits[N_FAMILIES];
    bool smaller = false;

    for (unsigned family = IPV4; family < N_FAMILIES; family++) {
        unsigned now = area_of(build->master, family).bits;

        bits[family] = bits_for(build->n_entries[family]);
        if (bits[family] < now)
            smaller = true;
        else
            bits[family] = now;
    }
    if (smaller)
        (void)rebuild(build, bits);
}

/* Gives back the room that was kept for more groups: workers may take long to acknowledge a patch. */
static struct bl_table_patch *fit_patch(struct bl_table_patch *patch)
{
    struct bl_table_patch *fitted = malloc(bl_table_patch_size(patch));

    if (fitted == NULL)
        return patch;
    memcpy(fitted, patch, bl_table_patch_size(patch));
    free(patch);
    return fitted;
}

int bl_table_build_commit(struct bl_table_build *build, uint64_t serial, struct bl_table_patch **patch, bool *rebuilt)
{
    struct bl_table_patch *done = build->patch;

    *patch = NULL;
    *rebuilt = build->moved;
    if (build->moved) {
        trim(build);
        build->moved = false;
    } else {
        if (done == NULL)
            done = create_patch(build->master, 0);
        if (done == NULL)
            return BL_ENOMEM;
        done->serial = serial;
        *patch = fit_patch(done);
        build->patch = NULL;
        build->patch_room = 0;
    }
    build->master->serial = serial;
    return BL_OK;
}

void bl_table_patch_free(struct bl_table_patch *patch)
{
    free(patch);
}

const struct bl_table *bl_table_build_master(const struct bl_table_build *build)
{
    return build->master;
}

struct bl_digest bl_table_build_digest(const struct bl_table_build *build)
{
    return build->digest;
}

uint64_t bl_table_build_epoch(const struct bl_table_build *build)
{
    return build->master->epoch;
}

void bl_table_build_count(const struct bl_table_build *build, uint64_t *n_ipv4, uint64_t *n_ipv6)
{
    *n_ipv4 = build->n_entries[IPV4];
    *n_ipv6 = build->n_entries[IPV6];
}
