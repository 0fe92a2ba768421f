/* Ranges: index, nodes and containers of one family; see table_layout.h for the bytes, table_state.h for what is beside.
 *
 * A change reads the smallest part of the tree that holds the prefix into a list of pieces, paints the list, and writes
 * it anew: in place when a container stays of its kind, else elsewhere in the arena. Room is counted before anything is
 * written. The rank of each class lies at the same place in the shadow; a leaf's in a node at its entry's first byte. */
#include "dataplane/table_state.h"

#include <stdlib.h>
#include <string.h>

enum {
    LINE = BL_TABLE_LAYOUT_LINE,
    /* Pieces of a node that are few enough for one container, with some room before it would be a node again. */
    PIECES_JOIN = 16,
};

/* Pieces of a part of the tree; the first one starts with the part, wherever its `start` is. */
struct pieces {
    const struct bl_table_range *at;
    size_t n;
};

/* A part of the tree. */
struct part {
    uint32_t *entry;
    uint8_t *rank; /* of the entry as a leaf of a node; NULL: an index entry */
    uint32_t base; /* low 16 bits of its first address */
    unsigned bits; /* log2 of its addresses */
};

/* Lines and pieces of lines that an encoding takes, by kind (a node is a line). */
struct need {
    size_t n[BL_TABLE_KIND_NODE];
};

int bl_table_ranges_init(struct bl_table_ranges *ranges, unsigned bits_shift, uint8_t *bits, uint8_t *arena,
                         size_t arena_bytes)
{
    *ranges = (struct bl_table_ranges){
        .bits = (uint64_t *)(void *)bits,
        .bits_shift = bits_shift,
        .index = (uint32_t *)(void *)(bits + bl_table_bits_bytes(bits_shift)),
        .arena = arena,
        .n_bytes = arena_bytes - LINE,
    };
    ranges->ranks = calloc(1, BL_TABLE_LAYOUT_INDEX);
    ranges->shadow = bl_table_grow_alloc(1, arena_bytes);
    if (ranges->ranks != NULL && ranges->shadow != NULL)
        return BL_OK;
    bl_table_ranges_fini(ranges);
    return BL_ENOMEM;
}

void bl_table_ranges_fini(struct bl_table_ranges *ranges)
{
    free(ranges->ranks);
    free(ranges->shadow);
    memset(ranges, 0, sizeof(*ranges));
}

static uint32_t place_of(const struct bl_table_ranges *ranges, uint32_t entry)
{
    return bl_table_entry_place(entry, (uint32_t)ranges->n_bytes);
}

static size_t kind_bytes(unsigned kind)
{
    return (size_t)1 << bl_table_kind_shift(kind);
}

static struct part top_part(const struct bl_table_ranges *ranges, uint32_t top)
{
    return (struct part){.entry = &ranges->index[top], .bits = 16};
}

/* The child of a node where @p low is. */
static struct part child_part(const struct bl_table_ranges *ranges, const struct part *node, uint32_t low)
{
    uint32_t place = place_of(ranges, *node->entry);
    unsigned bits = node->bits - BL_TABLE_NODE_BITS;
    unsigned child = low >> bits & (BL_TABLE_NODE_ENTRIES - 1);
    size_t at = place + child * sizeof(uint32_t);

    return (struct part){.entry = (uint32_t *)(void *)(ranges->arena + at),
                         .rank = ranges->shadow + at,
                         .base = node->base + (child << bits),
                         .bits = bits};
}

/* Adds a piece; one that goes on like the last is none. */
static void append(struct bl_table_range *out, size_t *n, uint32_t start, uint8_t class_id, uint8_t rank)
{
    if (*n > 0 && out[*n - 1].class_id == class_id && out[*n - 1].rank == rank)
        return;
    if (*n > 0 && out[*n - 1].start == start)
        --*n;
    out[(*n)++] = (struct bl_table_range){(uint16_t)start, class_id, rank};
}

static void read_container(const struct bl_table_ranges *ranges, const struct part *part, struct bl_table_range *out,
                           size_t *n)
{
    uint32_t place = place_of(ranges, *part->entry);
    unsigned n_boundaries = bl_table_kind_boundaries(bl_table_entry_kind(*part->entry));
    const uint8_t *classes = ranges->arena + place + n_boundaries * sizeof(uint16_t);
    const uint8_t *ranks = ranges->shadow + place + n_boundaries * sizeof(uint16_t);

    append(out, n, part->base, classes[0], ranks[0]);
    for (unsigned i = 0; i < n_boundaries; i++) {
        uint16_t boundary;

        memcpy(&boundary, ranges->arena + place + i * sizeof(boundary), sizeof(boundary));
        append(out, n, boundary, classes[i + 1], ranks[i + 1]);
    }
}

static void read_part(const struct bl_table_ranges *ranges, const struct part *part, struct bl_table_range *out,
                      size_t *n)
{
    switch (bl_table_entry_kind(*part->entry)) {
    case BL_TABLE_KIND_LEAF:
        if (part->rank == NULL)
            append(out, n, part->base, BL_CLASS_NONE, 0);
        else
            append(out, n, part->base, *part->entry & BL_TABLE_ENTRY_CLASS, *part->rank);
        return;
    case BL_TABLE_KIND_NODE:
        for (uint32_t child = 0; child < BL_TABLE_NODE_ENTRIES; child++) {
            struct part below = child_part(ranges, part, part->base + (child << (part->bits - BL_TABLE_NODE_BITS)));

            read_part(ranges, &below, out, n);
        }
        return;
    default:
        read_container(ranges, part, out, n);
    }
}

/* True when a prefix longer than /16 decides any of these. */
static bool any_below(const struct bl_table_ranges *ranges, const struct part *part, uint32_t first, uint32_t last)
{
    struct bl_table_range pieces[BL_TABLE_BOUNDARIES_MAX + 1];
    size_t n = 0;

    if (bl_table_entry_kind(*part->entry) == BL_TABLE_KIND_NODE) {
        bool any = false;

        for (uint32_t child = 0; child < BL_TABLE_NODE_ENTRIES && !any; child++) {
            struct part below = child_part(ranges, part, part->base + (child << (part->bits - BL_TABLE_NODE_BITS)));

            if (below.base <= last && below.base + (1u << below.bits) > first)
                any = any_below(ranges, &below, first, last);
        }
        return any;
    }
    read_part(ranges, part, pieces, &n);
    for (size_t i = 0; i < n; i++)
        if (pieces[i].rank != 0 && pieces[i].start <= last && (i + 1 == n || pieces[i + 1].start > first))
            return true;
    return false;
}

/* What a bit is about: there is a class in the index or, unless a map tells of that, anything below in its part. */
static bool has_any(const struct bl_table_ranges *ranges, uint32_t top, uint32_t first)
{
    uint32_t entry = ranges->index[top];
    struct part part = top_part(ranges, top);

    if ((entry & BL_TABLE_ENTRY_CLASS) != 0)
        return true;
    if (ranges->has_map || bl_table_entry_kind(entry) == BL_TABLE_KIND_LEAF)
        return false;
    return ranges->bits_shift == 16 || any_below(ranges, &part, first, first + (1u << ranges->bits_shift) - 1);
}

/* Brings the bits of [first, last] in a /16 up to date. @return true when one changed. */
static bool set_bits(struct bl_table_ranges *ranges, uint32_t top, uint32_t first, uint32_t last)
{
    bool changed = false;

    for (uint32_t low = first >> ranges->bits_shift; low <= last >> ranges->bits_shift; low++) {
        uint32_t at = (top << (16 - ranges->bits_shift)) + low;
        uint64_t *word = &ranges->bits[at / 64];
        uint64_t bit = UINT64_C(1) << at % 64;
        uint64_t now = has_any(ranges, top, low << ranges->bits_shift) ? *word | bit : *word & ~bit;

        changed |= now != *word;
        *word = now;
    }
    return changed;
}

size_t bl_table_ranges_read(const struct bl_table_ranges *ranges, uint32_t top, struct bl_table_range *out)
{
    struct part part = top_part(ranges, top);
    size_t n = 0;

    read_part(ranges, &part, out, &n);
    return n;
}

/* The smallest kind for a part's pieces. Containers of a kind are given out only in arenas that its places reach. */
static unsigned kind_for(const struct bl_table_ranges *ranges, const struct pieces *pieces, bool is_top)
{
    const size_t units = (size_t)1 << (32 - BL_TABLE_ENTRY_PLACE_SHIFT);

    if (pieces->n == 1 && (!is_top || pieces->at[0].rank == 0))
        return BL_TABLE_KIND_LEAF;
    for (unsigned kind = BL_TABLE_KIND_SMALL; kind <= BL_TABLE_KIND_LARGE; kind++)
        if (pieces->n <= bl_table_kind_boundaries(kind) + 1 && ranges->n_bytes <= units << bl_table_kind_shift(kind))
            return kind;
    return BL_TABLE_KIND_NODE;
}

/* The pieces of @p pieces that reach into [base, base + 2^bits): @p from is where the last child's ended. */
static struct pieces child_pieces(const struct pieces *pieces, size_t *from, uint32_t base, unsigned bits)
{
    struct pieces below = {.at = pieces->at + *from, .n = 1};
    uint32_t end = base + (1u << bits);

    while (*from + 1 < pieces->n && pieces->at[*from + 1].start <= base)
        below.at = pieces->at + ++*from;
    while (*from + 1 < pieces->n && pieces->at[*from + 1].start < end) {
        ++*from;
        below.n++;
    }
    return below;
}

static void count_need(const struct bl_table_ranges *ranges, const struct pieces *pieces, uint32_t base, unsigned bits,
                       struct need *need)
{
    unsigned kind = kind_for(ranges, pieces, bits == 16);
    size_t from = 0;

    if (kind == BL_TABLE_KIND_LEAF)
        return;
    need->n[kind == BL_TABLE_KIND_NODE ? BL_TABLE_KIND_LARGE : kind]++;
    if (kind != BL_TABLE_KIND_NODE)
        return;
    bits -= BL_TABLE_NODE_BITS;
    for (uint32_t child = 0; child < BL_TABLE_NODE_ENTRIES; child++) {
        struct pieces below = child_pieces(pieces, &from, base + (child << bits), bits);

        count_need(ranges, &below, base + (child << bits), bits, need);
    }
}

/* True when give_out will not fail for this need. */
static bool has_room(const struct bl_table_ranges *ranges, const struct need *need)
{
    size_t lines = need->n[BL_TABLE_KIND_LARGE];
    size_t lines_free = ranges->n_free[BL_TABLE_KIND_LARGE] + (ranges->n_bytes - ranges->end) / LINE;

    for (unsigned kind = BL_TABLE_KIND_SMALL; kind < BL_TABLE_KIND_LARGE; kind++)
        if (need->n[kind] > ranges->n_free[kind])
            lines += (need->n[kind] - ranges->n_free[kind] + LINE / kind_bytes(kind) - 1) / (LINE / kind_bytes(kind));
    return lines <= lines_free;
}

static void give_back(struct bl_table_ranges *ranges, unsigned kind, uint32_t place)
{
    memcpy(ranges->shadow + place, &ranges->free_first[kind], sizeof(uint32_t));
    ranges->free_first[kind] = place + 1;
    ranges->n_free[kind]++;
}

static uint32_t give_out(struct bl_table_ranges *ranges, unsigned kind)
{
    uint32_t place;

    if (kind == BL_TABLE_KIND_NODE)
        kind = BL_TABLE_KIND_LARGE;
    if (ranges->n_free[kind] > 0) {
        place = ranges->free_first[kind] - 1;
        memcpy(&ranges->free_first[kind], ranges->shadow + place, sizeof(uint32_t));
        ranges->n_free[kind]--;
    } else if (kind == BL_TABLE_KIND_LARGE) {
        place = (uint32_t)ranges->end;
        ranges->end += LINE;
    } else {
        place = give_out(ranges, BL_TABLE_KIND_LARGE);
        ranges->n_used -= LINE;
        for (size_t at = kind_bytes(kind); at < LINE; at += kind_bytes(kind))
            give_back(ranges, kind, (uint32_t)(place + LINE - at));
    }
    ranges->n_used += kind_bytes(kind);
    return place;
}

/* All containers and nodes below an entry. */
static void give_back_part(struct bl_table_ranges *ranges, const struct part *part)
{
    unsigned kind = bl_table_entry_kind(*part->entry);

    if (kind == BL_TABLE_KIND_LEAF)
        return;
    for (uint32_t child = 0; kind == BL_TABLE_KIND_NODE && child < BL_TABLE_NODE_ENTRIES; child++) {
        struct part below = child_part(ranges, part, part->base + (child << (part->bits - BL_TABLE_NODE_BITS)));

        give_back_part(ranges, &below);
    }
    ranges->n_used -= kind_bytes(kind);
    give_back(ranges, kind == BL_TABLE_KIND_NODE ? BL_TABLE_KIND_LARGE : kind, place_of(ranges, *part->entry));
}

/* What is behind the last boundary is like it, so that a count of boundaries that goes too far finds the same. */
static void write_container(struct bl_table_build *build, struct bl_table_ranges *ranges, const struct pieces *pieces,
                            unsigned kind, uint32_t place)
{
    unsigned n_boundaries = bl_table_kind_boundaries(kind);
    uint8_t *container = ranges->arena + place;
    uint8_t *classes = container + n_boundaries * sizeof(uint16_t);
    uint8_t *ranks = ranges->shadow + place + n_boundaries * sizeof(uint16_t);

    for (unsigned i = 0; i <= n_boundaries; i++) {
        const struct bl_table_range *piece = &pieces->at[i < pieces->n ? i : pieces->n - 1];
        uint16_t boundary = i < pieces->n ? piece->start : UINT16_MAX;

        if (i > 0)
            memcpy(container + (i - 1) * sizeof(boundary), &boundary, sizeof(boundary));
        classes[i] = piece->class_id;
        ranks[i] = piece->rank;
    }
    bl_table_record_write(build, container, kind_bytes(kind));
}

static uint32_t write_pieces(struct bl_table_build *build, struct bl_table_ranges *ranges, const struct pieces *pieces,
                             uint32_t base, unsigned bits);

static void write_node(struct bl_table_build *build, struct bl_table_ranges *ranges, const struct pieces *pieces,
                       const struct part *node)
{
    uint32_t place = place_of(ranges, *node->entry);
    unsigned bits = node->bits - BL_TABLE_NODE_BITS;
    size_t from = 0;

    for (uint32_t child = 0; child < BL_TABLE_NODE_ENTRIES; child++) {
        uint32_t base = node->base + (child << bits);
        struct pieces below = child_pieces(pieces, &from, base, bits);
        uint32_t entry = write_pieces(build, ranges, &below, base, bits);
        size_t at = place + child * sizeof(entry);

        memcpy(ranges->arena + at, &entry, sizeof(entry));
        ranges->shadow[at] = below.at[0].rank;
    }
    bl_table_record_write(build, ranges->arena + place, LINE);
}

/* @return the entry for them; an index entry still lacks its class. */
static uint32_t write_pieces(struct bl_table_build *build, struct bl_table_ranges *ranges, const struct pieces *pieces,
                             uint32_t base, unsigned bits)
{
    unsigned kind = kind_for(ranges, pieces, bits == 16);
    uint32_t entry;
    uint32_t place;

    if (kind == BL_TABLE_KIND_LEAF)
        return pieces->at[0].class_id;
    place = give_out(ranges, kind);
    entry = place >> bl_table_kind_shift(kind) << BL_TABLE_ENTRY_PLACE_SHIFT | kind << BL_TABLE_ENTRY_KIND_SHIFT;
    if (kind == BL_TABLE_KIND_NODE)
        write_node(build, ranges, pieces, &(struct part){.entry = &entry, .base = base, .bits = bits});
    else
        write_container(build, ranges, pieces, kind, place);
    return entry;
}

/* @return 0 or BL_EFULL. */
static int replace_part(struct bl_table_build *build, struct bl_table_ranges *ranges, const struct part *part,
                        const struct pieces *pieces)
{
    unsigned kind = kind_for(ranges, pieces, part->rank == NULL);
    uint32_t class_bits = part->rank == NULL ? *part->entry & BL_TABLE_ENTRY_CLASS : 0;
    struct need need = {{0}};
    uint32_t entry;

    if (kind == bl_table_entry_kind(*part->entry) && kind != BL_TABLE_KIND_LEAF && kind != BL_TABLE_KIND_NODE) {
        write_container(build, ranges, pieces, kind, place_of(ranges, *part->entry));
        return BL_OK;
    }
    count_need(ranges, pieces, part->base, part->bits, &need);
    if (!has_room(ranges, &need))
        return BL_EFULL;
    entry = write_pieces(build, ranges, pieces, part->base, part->bits) | class_bits;
    give_back_part(ranges, part);
    *part->entry = entry;
    if (part->rank != NULL)
        *part->rank = pieces->at[0].rank;
    bl_table_record_write(build, part->entry, sizeof(entry));
    return BL_OK;
}

/* What is to be painted in a part that ends before `end`: [first, last], where no prefix longer than @p rank's is. */
struct stroke {
    uint32_t first;
    uint32_t last;
    uint32_t end;
    unsigned rank;
    struct bl_table_range to;
};

/* @return pieces in @p out. */
static size_t paint_pieces(const struct pieces *pieces, const struct stroke *stroke, struct bl_table_range *out)
{
    const struct bl_table_range to = stroke->to;
    uint32_t first = stroke->first;
    uint32_t last = stroke->last;
    size_t n = 0;

    for (size_t i = 0; i < pieces->n; i++) {
        const struct bl_table_range *piece = &pieces->at[i];
        uint32_t end = i + 1 < pieces->n ? pieces->at[i + 1].start : stroke->end;

        if (piece->rank > stroke->rank || piece->start > last || end <= first) {
            append(out, &n, piece->start, piece->class_id, piece->rank);
            continue;
        }
        if (piece->start < first)
            append(out, &n, piece->start, piece->class_id, piece->rank);
        append(out, &n, piece->start < first ? first : piece->start, to.class_id, to.rank);
        if (end > last + 1)
            append(out, &n, last + 1, piece->class_id, piece->rank);
    }
    return n;
}

/* After a part of a node became small: one container for the whole node, when all its pieces fit. It may go wrong for
 * lack of room: then the node stays. */
static void join_node(struct bl_table_build *build, struct bl_table_ranges *ranges, const struct part *node)
{
    struct pieces pieces = {.at = build->scratch};
    size_t n_nodes = 0;

    for (uint32_t child = 0; child < BL_TABLE_NODE_ENTRIES; child++) {
        struct part below = child_part(ranges, node, node->base + (child << (node->bits - BL_TABLE_NODE_BITS)));

        n_nodes += bl_table_entry_kind(*below.entry) == BL_TABLE_KIND_NODE;
    }
    if (n_nodes > 0)
        return;
    read_part(ranges, node, build->scratch, &pieces.n);
    if (pieces.n <= PIECES_JOIN)
        (void)replace_part(build, ranges, node, &pieces);
}

/* A prefix longer than /16: [first, last] of one /16. */
static int paint_below(struct bl_table_build *build, struct bl_table_ranges *ranges, uint32_t address, unsigned length,
                       struct bl_table_range to)
{
    struct stroke stroke = {.first = address & 0xffff, .rank = length + 1, .to = to};
    struct bl_table_range *painted = build->scratch + BL_TABLE_RANGES_MAX + 2;
    struct part path[4] = {top_part(ranges, address >> 16)};
    struct pieces before = {.at = build->scratch};
    struct pieces after = {.at = painted};
    unsigned depth = 0;
    int error;

    stroke.last = stroke.first | ((1u << (32 - length)) - 1);
    while (bl_table_entry_kind(*path[depth].entry) == BL_TABLE_KIND_NODE &&
           (stroke.first ^ stroke.last) >> (path[depth].bits - BL_TABLE_NODE_BITS) == 0) {
        path[depth + 1] = child_part(ranges, &path[depth], stroke.first);
        depth++;
    }
    stroke.end = path[depth].base + (1u << path[depth].bits);
    read_part(ranges, &path[depth], build->scratch, &before.n);
    after.n = paint_pieces(&before, &stroke, painted);
    if (after.n == before.n && memcmp(before.at, after.at, after.n * sizeof(*painted)) == 0)
        return BL_OK;
    error = replace_part(build, ranges, &path[depth], &after);
    while (error == BL_OK && depth > 0 && after.n <= 2 && bl_table_entry_kind(*path[depth].entry) < BL_TABLE_KIND_LARGE)
        join_node(build, ranges, &path[--depth]);
    return error;
}

/* The bits of the /16s around [address, address + n), which lie in whole bytes or in one. */
static void record_bits(struct bl_table_build *build, const struct bl_table_ranges *ranges, uint32_t address,
                        uint64_t n)
{
    uint32_t first = address >> ranges->bits_shift;
    uint64_t last = (address + n - 1) >> ranges->bits_shift;

    bl_table_record_write(build, (uint8_t *)ranges->bits + first / 8, (size_t)(last / 8 - first / 8 + 1));
}

/* A prefix up to /16: the classes of index entries. */
static void paint_index(struct bl_table_build *build, struct bl_table_ranges *ranges, uint32_t address, unsigned length,
                        struct bl_table_range to)
{
    uint32_t first = address >> 16;
    uint32_t n = 1u << (16 - length);
    bool changed = false;

    for (uint32_t i = first; i < first + n; i++) {
        if (ranges->ranks[i] > length + 1)
            continue;
        ranges->ranks[i] = to.rank;
        ranges->index[i] = (ranges->index[i] & ~BL_TABLE_ENTRY_CLASS) | to.class_id;
        changed |= set_bits(ranges, i, 0, UINT16_MAX);
    }
    bl_table_record_write(build, &ranges->index[first], n * sizeof(ranges->index[0]));
    if (changed)
        record_bits(build, ranges, address, (uint64_t)n << 16);
}

int bl_table_ranges_paint(struct bl_table_build *build, struct bl_table_ranges *ranges, uint32_t bits, unsigned length,
                          struct bl_table_range to)
{
    uint32_t first = bits & UINT16_MAX;
    uint32_t n = 1u << (32 - length) % 32;
    int error;

    if (length <= 16) {
        paint_index(build, ranges, bits, length, to);
        return BL_OK;
    }
    error = paint_below(build, ranges, bits, length, to);
    if (error == BL_OK && set_bits(ranges, bits >> 16, first, first + n - 1))
        record_bits(build, ranges, bits, n);
    return error;
}

struct bl_table_range bl_table_ranges_find(const struct bl_table_ranges *ranges, uint32_t address)
{
    struct part part = top_part(ranges, address >> 16);
    uint32_t low = address & 0xffff;
    struct bl_table_range pieces[BL_TABLE_BOUNDARIES_MAX + 1];
    size_t n = 0;

    while (bl_table_entry_kind(*part.entry) == BL_TABLE_KIND_NODE)
        part = child_part(ranges, &part, low);
    read_part(ranges, &part, pieces, &n);
    while (n > 1 && pieces[n - 1].start > low)
        n--;
    if (pieces[n - 1].rank != 0)
        return pieces[n - 1];
    return (struct bl_table_range){0, ranges->index[address >> 16] & BL_TABLE_ENTRY_CLASS,
                                   ranges->ranks[address >> 16]};
}

bool bl_table_ranges_any(const struct bl_table_ranges *ranges, uint32_t net)
{
    struct part part = top_part(ranges, net >> 8);
    uint32_t first = (net & 0xff) << 8;

    return any_below(ranges, &part, first, first + 0xff);
}

int bl_table_ranges_copy(struct bl_table_build *build, const struct bl_table_ranges *from, struct bl_table_ranges *to)
{
    struct pieces pieces = {.at = build->scratch};

    memcpy(to->ranks, from->ranks, BL_TABLE_LAYOUT_INDEX);
    for (uint32_t top = 0; top < BL_TABLE_LAYOUT_INDEX; top++) {
        struct need need = {{0}};

        to->index[top] = from->index[top] & BL_TABLE_ENTRY_CLASS;
        (void)set_bits(to, top, 0, UINT16_MAX);
        if (bl_table_entry_kind(from->index[top]) == BL_TABLE_KIND_LEAF)
            continue;
        pieces.n = bl_table_ranges_read(from, top, build->scratch);
        count_need(to, &pieces, 0, 16, &need);
        if (!has_room(to, &need))
            return BL_EFULL;
        to->index[top] |= write_pieces(build, to, &pieces, 0, 16);
        (void)set_bits(to, top, 0, UINT16_MAX);
    }
    return BL_OK;
}
