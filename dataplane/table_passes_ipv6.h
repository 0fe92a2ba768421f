/** @file table_passes_ipv6.h
 * The second half of table_passes.h: what IPv6 has below its first 32 bits. */
#ifndef BL_TABLE_PASSES_IPV6_H
#define BL_TABLE_PASSES_IPV6_H

/* One length that one address is looked for with. */
struct job {
    uint64_t hi;   /* of the prefix */
    uint64_t lo;   /* of a long prefix */
    uint64_t word; /* as it stands in a line, without the class */
    uint32_t line;
    uint8_t index;
    uint8_t length;
};

enum { JOBS_MAX = 4 * BL_TABLE_LOOKUP_BURST };

struct jobs {
    unsigned n;
    struct job at[JOBS_MAX];
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
        if (slot->length == job->length && slot->address.hi == job->hi && slot->address.lo == job->lo &&
            slot->class_id != BL_CLASS_NONE)
            return slot->class_id % BL_CLASS_COUNT;
    }
    return BL_CLASS_NONE;
}

static uint8_t beside_class(const struct bl_table_view *view, const struct job *job, bool is_long)
{
    size_t line = (size_t)(job->line ^ 1) * (BL_TABLE_LAYOUT_LINE / sizeof(uint64_t));
    unsigned full;
    uint8_t class_id = is_long ? long_class(view->long_lines + line, job->hi, job->word, &full)
                               : short_class(view->short_lines + line, job->word, &full);

    return class_id != BL_CLASS_NONE || full == 0 ? class_id : rest_class(view, job);
}

/* The longest length that finds anything decides: @p deep has length << 8 | class. */
static inline void do_jobs(const struct bl_table_view *view, struct jobs *jobs, bool is_long, uint16_t *deep)
{
    for (unsigned i = 0; i < jobs->n; i++) {
        const struct job *job = &jobs->at[i];
        size_t line = (size_t)job->line * (BL_TABLE_LAYOUT_LINE / sizeof(uint64_t));
        unsigned full;
        unsigned class_id = is_long ? long_class(view->long_lines + line, job->hi, job->word, &full)
                                    : short_class(view->short_lines + line, job->word, &full);
        unsigned found;

        if (__builtin_expect((full & (1 - bl_table_is_some(class_id))) != 0, 0))
            class_id = beside_class(view, job, is_long);
        found = (class_id | (unsigned)job->length << 8) & (0 - bl_table_is_some(class_id));
        deep[job->index] = (uint16_t)(deep[job->index] > found ? deep[job->index] : found);
    }
    jobs->n = 0;
}

static inline void add_short(const struct bl_table_view *view, struct jobs *jobs, const struct bl_ip6 *address,
                             unsigned index, unsigned length)
{
    const struct bl_table_keys *keys = &view->table->keys;
    struct job *job = &jobs->at[jobs->n++];
    uint64_t hi = address->hi & UINT64_MAX << (64 - length);
    uint64_t permuted = bl_table_deep_permute(keys, hi, bl_table_deep_tweak(keys, 0, length));
    uint32_t line = bl_table_deep_line(permuted, view->n_short_lines);

    *job = (struct job){hi, 0, bl_table_short_word(permuted, length), line, (uint8_t)index, (uint8_t)length};
    __builtin_prefetch(view->short_lines + (size_t)line * (BL_TABLE_LAYOUT_LINE / sizeof(uint64_t)));
}

static inline void add_long(const struct bl_table_view *view, struct jobs *jobs, const struct bl_ip6 *address,
                            unsigned index, unsigned length)
{
    const struct bl_table_keys *keys = &view->table->keys;
    struct job *job = &jobs->at[jobs->n++];
    uint64_t lo = address->lo & UINT64_MAX << (128 - length);
    uint64_t permuted = bl_table_deep_permute(keys, lo, bl_table_deep_tweak(keys, address->hi, length));
    uint32_t line = bl_table_deep_line(permuted, view->n_long_lines);

    *job = (struct job){address->hi, lo, bl_table_long_word(permuted, length), line, (uint8_t)index, (uint8_t)length};
    __builtin_prefetch(view->long_lines + (size_t)line * (BL_TABLE_LAYOUT_LINE / sizeof(uint64_t)));
}

/* Members with one length; none of a kind that has no lines. */
static void add_jobs(const struct bl_table_view *view, struct jobs jobs[2], uint64_t members,
                     const struct bl_ip6 *addresses, unsigned length, uint16_t *deep)
{
    bool is_long = length >= BL_TABLE_LAYOUT_LONG_FIRST;

    if (length < BL_TABLE_LAYOUT_SHORT_FIRST || (is_long ? view->n_long_lines : view->n_short_lines) == 0)
        return;
    if (jobs[is_long].n > JOBS_MAX - BL_TABLE_LOOKUP_BURST)
        do_jobs(view, &jobs[is_long], is_long, deep);
    while (members != 0) {
        unsigned at = take_member(&members);

        if (is_long)
            add_long(view, &jobs[1], &addresses[at], at, length);
        else
            add_short(view, &jobs[0], &addresses[at], at, length);
    }
}

/* What the filter allows: by address, its far entry, whole, and its near one. */
struct masks {
    uint16_t far[BL_TABLE_LOOKUP_BURST];
    uint16_t near[BL_TABLE_LOOKUP_BURST];
};

/* Near lengths, of members that the filter allows them. */
static inline void near_pass(const struct bl_table_view *view, struct jobs jobs[2], uint64_t members,
                             const struct masks *masks, const struct bl_ip6 *addresses, uint16_t *deep)
{
    unsigned near = 0;

    for (unsigned i = 0; i < BL_TABLE_LOOKUP_BURST; i++)
        near |= masks->near[i];
    for (; near != 0; near &= near - 1) {
        unsigned bit = (unsigned)__builtin_ctz(near);
        uint64_t who = members & who_has(masks->near, bit);

        for (unsigned word = 0; word < 2; word++)
            for (uint64_t set = view->table->lengths[bit].words[word]; set != 0; set &= set - 1)
                add_jobs(view, jobs, who, addresses, 64 * word + (unsigned)__builtin_ctzll(set) + 1, deep);
    }
    do_jobs(view, &jobs[0], false, deep);
    do_jobs(view, &jobs[1], true, deep);
}

/* Far lengths, likewise. */
static inline void far_lengths_pass(const struct bl_table_view *view, struct jobs jobs[2], uint64_t members,
                                    const struct masks *masks, const struct bl_ip6 *addresses, uint16_t *deep)
{
    unsigned far = 0;

    for (uint64_t left = members; left != 0;)
        far |= masks->far[take_member(&left)];
    far &= (1u << BL_TABLE_LAYOUT_FILTER_GATE) - 1;
    for (; far != 0; far &= far - 1) {
        unsigned bit = (unsigned)__builtin_ctz(far);

        add_jobs(view, jobs, members & who_has(masks->far, bit), addresses, BL_TABLE_LAYOUT_SHORT_FIRST + bit, deep);
    }
    do_jobs(view, &jobs[0], false, deep);
}

/* Length by length: all members that the filter allows it. Who is found by a near length, the longer ones, needs no far
 * one: most listed sources are (a list of /64s has all kinds of wider prefixes in the same /32). */
static void deep_pass(const struct bl_table_view *view, uint64_t members, const struct masks *masks,
                      const struct bl_ip6 *addresses, uint16_t *deep)
{
    struct jobs jobs[2];

    jobs[0].n = 0;
    jobs[1].n = 0;
    near_pass(view, jobs, members, masks, addresses, deep);
    for (uint64_t left = members; left != 0;) {
        unsigned at = take_member(&left);

        members &= ~((uint64_t)bl_table_is_some(deep[at]) << at);
    }
    far_lengths_pass(view, jobs, members, masks, addresses, deep);
}

/* What the filter allows each address; @p masks is all zero. @return who is allowed anything. */
static inline uint64_t filter_pass(const struct bl_table_view *view, const struct bl_ip6 *addresses,
                                   const uint32_t *tops, unsigned n, struct masks *masks)
{
    const struct bl_table_keys keys = view->table->keys;
    uint64_t all = UINT64_MAX >> (BL_TABLE_LOOKUP_BURST - n);
    uint64_t gated;
    uint64_t members = all & far_pass(view, tops, n, masks->far, &gated);

    gated &= all;
    for (uint64_t left = gated; left != 0;)
        __builtin_prefetch(
            &view->filter[bl_table_filter_near(&keys, addresses[take_member(&left)].hi, view->filter_bits)]);
    while (gated != 0) {
        unsigned at = take_member(&gated);

        masks->near[at] = view->filter[bl_table_filter_near(&keys, addresses[at].hi, view->filter_bits)];
    }
    return members;
}

static void lookup_ipv6(const struct bl_table_view *view, const struct bl_ip6 *addresses, uint8_t *classes, unsigned n)
{
    uint32_t tops[BL_TABLE_LOOKUP_BURST] = {0};
    struct masks masks = {0};
    uint16_t deep[BL_TABLE_LOOKUP_BURST] = {0};
    uint64_t with_deep = 0;

    for (unsigned i = 0; i < n; i++)
        tops[i] = (uint32_t)(addresses[i].hi >> 32);
    if ((view->n_short_lines | view->n_long_lines) != 0)
        with_deep = filter_pass(view, addresses, tops, n, &masks);
    lookup_ranges(view, tops, classes, n);
    if (with_deep == 0)
        return;
    deep_pass(view, with_deep, &masks, addresses, deep);
    while (with_deep != 0) {
        unsigned at = take_member(&with_deep);

        classes[at] = bl_table_first_class(deep[at] & 0xff, classes[at]);
    }
}

#endif
