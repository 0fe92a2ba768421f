/** @file table_passes.h
 * The passes of a lookup, the same in every variant. A variant includes this after it has defined how it looks into one
 * cache line:
 *
 *   host_class(line, side_shift, palette, permuted)  class of a host in its line, 0: not there
 *   range_class(container, kind, low)                class of the low 16 bits in a container
 *   short_class(line, word, full), long_class(line, hi, word, full)
 *
 * All of a burst goes through one pass before the next one starts; a pass asks for the lines of the next. Nothing
 * branches on what an address finds but the rare: lists of who goes on are made by adding to the count. */
#ifndef BL_TABLE_PASSES_H
#define BL_TABLE_PASSES_H

#include "dataplane/table_lookup.h"

/* Members of the burst, by index. */
struct members {
    unsigned n;
    uint8_t indexes[BL_TABLE_LOOKUP_BURST];
};

static inline void add_member(struct members *members, unsigned index, bool is_one)
{
    members->indexes[members->n] = (uint8_t)index;
    members->n += is_one;
}

/* The class below an index entry that is no leaf: 0 when nothing longer than /16 is there. */
static inline uint8_t below_entry(const struct bl_table_view *view, uint32_t entry, uint32_t low)
{
    for (unsigned shift = 16 - BL_TABLE_NODE_BITS; bl_table_entry_kind(entry) == BL_TABLE_KIND_NODE && shift > 0;
         shift -= BL_TABLE_NODE_BITS) {
        const uint8_t *node = view->arena + bl_table_entry_place(entry, view->arena_last);

        memcpy(&entry, node + (low >> shift & (BL_TABLE_NODE_ENTRIES - 1)) * sizeof(entry), sizeof(entry));
        if (bl_table_entry_kind(entry) == BL_TABLE_KIND_LEAF)
            return entry & BL_TABLE_ENTRY_CLASS;
    }
    return range_class(view->arena + bl_table_entry_place(entry, view->arena_last), bl_table_entry_kind(entry), low);
}

/* For members whose class so far is that of the index alone. */
static inline void ranges_pass(const struct bl_table_view *view, const struct members *members, const uint32_t *keys,
                               const uint32_t *entries, uint8_t *classes)
{
    for (unsigned i = 0; i < members->n; i++) {
        unsigned at = members->indexes[i];
        uint8_t below = below_entry(view, entries[at], keys[at] & 0xffff);

        classes[at] = below != BL_CLASS_NONE ? below : classes[at];
    }
}

/* All addresses by the index; who has more below it becomes a member. */
static inline void index_pass(const struct bl_table_view *view, const uint32_t *keys, unsigned n, uint32_t *entries,
                              uint8_t *classes, struct members *members)
{
    for (unsigned i = 0; i < n; i++) {
        uint32_t entry = view->index[keys[i] >> 16];

        entries[i] = entry;
        classes[i] = entry & BL_TABLE_ENTRY_CLASS;
        add_member(members, i, bl_table_entry_kind(entry) != BL_TABLE_KIND_LEAF);
    }
}

static inline void prefetch_ranges(const struct bl_table_view *view, const struct members *members,
                                   const uint32_t *entries)
{
    for (unsigned i = 0; i < members->n; i++)
        __builtin_prefetch(view->arena + bl_table_entry_place(entries[members->indexes[i]], view->arena_last));
}

/* No host lines: all is ranges. */
static void lookup_ranges(const struct bl_table_view *view, const uint32_t *keys, uint8_t *classes, unsigned n)
{
    struct members members = {.n = 0};
    uint32_t entries[BL_TABLE_LOOKUP_BURST];

    index_pass(view, keys, n, entries, classes, &members);
    prefetch_ranges(view, &members, entries);
    ranges_pass(view, &members, keys, entries, classes);
}

static inline void permute_hosts(const struct bl_table_view *view, const uint32_t *addresses, unsigned n,
                                 uint32_t *permuted, uint32_t *lines)
{
    const struct bl_table_keys keys = view->table->keys;

    for (unsigned i = 0; i < n; i++) {
        permuted[i] = bl_table_host_permute(&keys, addresses[i]);
        lines[i] = bl_table_host_line(permuted[i], view->n_host_lines);
    }
}

static inline const uint8_t *host_line(const struct bl_table_view *view, uint32_t line)
{
    return view->host_lines + (size_t)line * BL_TABLE_LAYOUT_LINE;
}

/* Host lines without a map: every address looks into its line. */
static void lookup_hosts(const struct bl_table_view *view, const uint32_t *addresses, uint8_t *classes, unsigned n)
{
    struct members members = {.n = 0};
    uint32_t permuted[BL_TABLE_LOOKUP_BURST];
    uint32_t lines[BL_TABLE_LOOKUP_BURST];
    uint32_t entries[BL_TABLE_LOOKUP_BURST] = {0}; /* GCC 12 fears a burst of none */

    permute_hosts(view, addresses, n, permuted, lines);
    for (unsigned i = 0; i < n; i++)
        __builtin_prefetch(host_line(view, lines[i]));
    for (unsigned i = 0; i < n; i++)
        entries[i] = view->index[addresses[i] >> 16];
    for (unsigned i = 0; i < n; i++) {
        uint8_t host = host_class(host_line(view, lines[i]), view->side_shift, view->table->palette, permuted[i]);

        classes[i] = host != BL_CLASS_NONE ? host : entries[i] & BL_TABLE_ENTRY_CLASS;
        add_member(&members, i, (host == BL_CLASS_NONE) & (bl_table_entry_kind(entries[i]) != BL_TABLE_KIND_LEAF));
    }
    ranges_pass(view, &members, addresses, entries, classes);
}

/* With a map: only who has hosts or ranges in its /24 looks for them. */
static void lookup_mapped(const struct bl_table_view *view, const uint32_t *addresses, uint8_t *classes, unsigned n)
{
    struct members hosts = {.n = 0};
    struct members ranges = {.n = 0};
    struct members left = {.n = 0};
    uint32_t permuted[BL_TABLE_LOOKUP_BURST];
    uint32_t lines[BL_TABLE_LOOKUP_BURST];
    uint32_t entries[BL_TABLE_LOOKUP_BURST] = {0}; /* GCC 12 fears a burst of none */

    for (unsigned i = 0; i < n; i++)
        __builtin_prefetch(view->map + (addresses[i] >> 10));
    permute_hosts(view, addresses, n, permuted, lines);
    for (unsigned i = 0; i < n; i++) {
        entries[i] = view->index[addresses[i] >> 16];
        classes[i] = entries[i] & BL_TABLE_ENTRY_CLASS;
    }
    for (unsigned i = 0; i < n; i++) {
        unsigned bits = view->map[addresses[i] >> 10] >> (addresses[i] >> 8 & 3) * 2;

        add_member(&hosts, i, bits & 1);
        add_member(&ranges, i, bits >> 1 & 1);
    }
    for (unsigned i = 0; i < hosts.n; i++)
        __builtin_prefetch(host_line(view, lines[hosts.indexes[i]]));
    for (unsigned i = 0; i < ranges.n; i++) {
        unsigned at = ranges.indexes[i];

        add_member(&left, at, bl_table_entry_kind(entries[at]) != BL_TABLE_KIND_LEAF);
    }
    ranges_pass(view, &left, addresses, entries, classes);
    for (unsigned i = 0; i < hosts.n; i++) {
        unsigned at = hosts.indexes[i];
        uint8_t host = host_class(host_line(view, lines[at]), view->side_shift, view->table->palette, permuted[at]);

        classes[at] = host != BL_CLASS_NONE ? host : classes[at];
    }
}

static void lookup_ipv4(const struct bl_table_view *view, const uint32_t *addresses, uint8_t *classes, unsigned n)
{
    if (view->n_host_lines == 0)
        lookup_ranges(view, addresses, classes, n);
    else if (view->map == NULL)
        lookup_hosts(view, addresses, classes, n);
    else
        lookup_mapped(view, addresses, classes, n);
}

/* One length that one address is looked for with. */
struct job {
    uint64_t hi;   /* of the prefix */
    uint64_t lo;   /* of a long prefix */
    uint64_t word; /* as it stands in a line, without the class */
    uint32_t line;
    uint8_t index;
    uint8_t length;
};

enum { JOBS_MAX = 128 };

struct jobs {
    unsigned n_long;
    unsigned n_short;
    struct job longs[JOBS_MAX];
    struct job shorts[JOBS_MAX];
};

/* Who finds its line and the one beside it full may be here. Bounded by its probes. */
static uint8_t rest_class(const struct bl_table_view *view, const struct job *job)
{
    uint64_t permuted = bl_table_deep_permute(&view->table->keys, job->lo,
                                              bl_table_deep_tweak(&view->table->keys, job->hi, job->length));
    uint32_t start = bl_table_deep_line(permuted, view->n_rest_slots);

    for (uint32_t step = 0; step < BL_TABLE_LAYOUT_REST_PROBES; step++) {
        const struct bl_table_rest *slot = view->rest + ((start + step) & (view->n_rest_slots - 1));

        if (slot->length == 0)
            return BL_CLASS_NONE;
        if (slot->length == job->length && slot->address.hi == job->hi && slot->address.lo == job->lo)
            return slot->class_id % BL_CLASS_COUNT;
    }
    return BL_CLASS_NONE;
}

static inline uint8_t short_job(const struct bl_table_view *view, const struct job *job)
{
    const uint64_t *lines = view->short_lines;
    bool full;
    uint8_t class_id = short_class(lines + (size_t)job->line * BL_TABLE_LAYOUT_SHORTS, job->word, &full);

    if (class_id != BL_CLASS_NONE || !full)
        return class_id;
    class_id = short_class(lines + (size_t)(job->line ^ 1) * BL_TABLE_LAYOUT_SHORTS, job->word, &full);
    return class_id != BL_CLASS_NONE || !full ? class_id : rest_class(view, job);
}

static inline uint8_t long_job(const struct bl_table_view *view, const struct job *job)
{
    const uint64_t *lines = view->long_lines;
    bool full;
    uint8_t class_id = long_class(lines + (size_t)job->line * BL_TABLE_LAYOUT_LONGS * 2, job->hi, job->word, &full);

    if (class_id != BL_CLASS_NONE || !full)
        return class_id;
    class_id = long_class(lines + (size_t)(job->line ^ 1) * BL_TABLE_LAYOUT_LONGS * 2, job->hi, job->word, &full);
    return class_id != BL_CLASS_NONE || !full ? class_id : rest_class(view, job);
}

/* An address' jobs come longest first: the first one that finds anything decides. */
static void do_jobs(const struct bl_table_view *view, struct jobs *jobs, uint8_t *deep)
{
    for (unsigned i = 0; i < jobs->n_long; i++)
        if (deep[jobs->longs[i].index] == BL_CLASS_NONE)
            deep[jobs->longs[i].index] = long_job(view, &jobs->longs[i]);
    for (unsigned i = 0; i < jobs->n_short; i++) {
        uint8_t class_id = short_job(view, &jobs->shorts[i]);
        uint8_t *found = &deep[jobs->shorts[i].index];

        *found = *found != BL_CLASS_NONE ? *found : class_id;
    }
    jobs->n_long = 0;
    jobs->n_short = 0;
}

static inline void add_long(const struct bl_table_view *view, struct jobs *jobs, const struct bl_ip6 *address,
                            unsigned index, unsigned length)
{
    const struct bl_table_keys *keys = &view->table->keys;
    struct job *job = &jobs->longs[jobs->n_long++];
    uint64_t lo = address->lo & UINT64_MAX << (128 - length);
    uint64_t permuted = bl_table_deep_permute(keys, lo, bl_table_deep_tweak(keys, address->hi, length));
    uint32_t line = bl_table_deep_line(permuted, view->n_long_lines);

    *job = (struct job){address->hi, lo, bl_table_long_word(permuted, length), line, (uint8_t)index, (uint8_t)length};
    __builtin_prefetch(view->long_lines + (size_t)line * BL_TABLE_LAYOUT_LONGS * 2);
}

static inline void add_short(const struct bl_table_view *view, struct jobs *jobs, const struct bl_ip6 *address,
                             unsigned index, unsigned length)
{
    const struct bl_table_keys *keys = &view->table->keys;
    struct job *job = &jobs->shorts[jobs->n_short++];
    uint64_t hi = address->hi & UINT64_MAX << (64 - length);
    uint64_t permuted = bl_table_deep_permute(keys, hi, bl_table_deep_tweak(keys, 0, length));
    uint32_t line = bl_table_deep_line(permuted, view->n_short_lines);

    *job = (struct job){hi, 0, bl_table_short_word(permuted, length), line, (uint8_t)index, (uint8_t)length};
    __builtin_prefetch(view->short_lines + (size_t)line * BL_TABLE_LAYOUT_SHORTS);
}

/* The lengths that the filter's entry allows, longest first. */
static void add_jobs(const struct bl_table_view *view, struct jobs *jobs, const struct bl_ip6 *address, unsigned index,
                     uint8_t *deep)
{
    uint32_t slot = bl_table_filter_slot(&view->table->keys, (uint32_t)(address->hi >> 32), view->filter_bits);
    unsigned mask = view->filter[slot];
    uint64_t longs = 0;
    uint64_t shorts = 0;

    for (; mask != 0; mask &= mask - 1) {
        const struct bl_table_lengths *lengths = &view->table->lengths[(unsigned)__builtin_ctz(mask)];

        shorts |= lengths->words[0] & UINT64_MAX << 32; /* bit n: /(n + 1) */
        longs |= lengths->words[1];
    }
    longs = view->n_long_lines == 0 ? 0 : longs;
    shorts = view->n_short_lines == 0 ? 0 : shorts;
    for (; longs != 0; longs &= ~(UINT64_C(1) << (63 - __builtin_clzll(longs)))) {
        if (jobs->n_long == JOBS_MAX)
            do_jobs(view, jobs, deep);
        add_long(view, jobs, address, index, 128 - (unsigned)__builtin_clzll(longs));
    }
    for (; shorts != 0; shorts &= ~(UINT64_C(1) << (63 - __builtin_clzll(shorts)))) {
        if (jobs->n_short == JOBS_MAX)
            do_jobs(view, jobs, deep);
        add_short(view, jobs, address, index, 64 - (unsigned)__builtin_clzll(shorts));
    }
}

static void lookup_ipv6(const struct bl_table_view *view, const struct bl_ip6 *addresses, uint8_t *classes, unsigned n)
{
    struct members wide = {.n = 0};
    struct members deep_members = {.n = 0};
    uint32_t tops[BL_TABLE_LOOKUP_BURST];
    uint32_t entries[BL_TABLE_LOOKUP_BURST];
    uint8_t deep[BL_TABLE_LOOKUP_BURST];
    struct jobs jobs;

    if (n == 0)
        return;
    for (unsigned i = 0; i < n; i++)
        tops[i] = (uint32_t)(addresses[i].hi >> 32);
    index_pass(view, tops, n, entries, classes, &wide);
    for (unsigned i = 0; i < n; i++) {
        uint32_t slot = bl_table_filter_slot(&view->table->keys, tops[i], view->filter_bits);

        add_member(&deep_members, i, view->filter[slot] != 0);
    }
    ranges_pass(view, &wide, tops, entries, classes);
    if (deep_members.n == 0)
        return;
    memset(deep, BL_CLASS_NONE, n);
    jobs.n_long = 0;
    jobs.n_short = 0;
    for (unsigned i = 0; i < deep_members.n; i++)
        add_jobs(view, &jobs, &addresses[deep_members.indexes[i]], deep_members.indexes[i], deep);
    do_jobs(view, &jobs, deep);
    for (unsigned i = 0; i < n; i++)
        classes[i] = deep[i] != BL_CLASS_NONE ? deep[i] : classes[i];
}

#endif
