/* The master table; see table_build.h, table_layout.h for the bytes, table_state.h for the parts.
 *
 * A change is made in the master at once, and the words it writes are recorded as one group of the next patch. When a
 * part has no room, or a rule says that it should have more, everything moves to a new block first (table_grow.c), and
 * the next commit tells the caller to copy it. */
#include "dataplane/table_build.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/table_state.h"

/* Times that one change asks for a new block, each with twice the room to spare, before the table counts as full. */
enum { GROW_TRIES = 16 };

/* Entries of a load whose lines are under way. */
enum { LOAD_AHEAD = 24 };

/* A filter that is fuller lets too many addresses through: who comes to the near entries is probably listed. */
enum { FAR_SHARE = 4, NEAR_SHARE = 2 };

int bl_table_build_create(struct bl_table_build **out, uint64_t epoch, const struct bl_siphash_key *key,
                          uint64_t n_entries_expected)
{
    struct bl_table_build *build = calloc(1, sizeof(*build));

    if (build == NULL)
        return BL_ENOMEM;
    build->key = *key;
    if (n_entries_expected > BL_TABLE_ENTRIES_MAX)
        n_entries_expected = BL_TABLE_ENTRIES_MAX;
    build->scratch = calloc(2 * (BL_TABLE_RANGES_MAX + 2), sizeof(*build->scratch));
    /* Nobody says how many are hosts: most lists have little else, and what is not used goes at the first commit. */
    if (build->scratch == NULL || bl_table_grow_start(build, epoch, n_entries_expected) != BL_OK) {
        free(build->scratch);
        free(build);
        return BL_ENOMEM;
    }
    *out = build;
    return BL_OK;
}

void bl_table_build_free(struct bl_table_build *build)
{
    if (build == NULL)
        return;
    bl_table_grow_fini(build);
    free(build);
}

/* Paints until there is room. */
static int paint(struct bl_table_build *build, enum bl_table_family family, uint32_t bits, unsigned length,
                 struct bl_table_range to)
{
    unsigned want = family == BL_TABLE_IPV4 ? BL_TABLE_WANT_IPV4 : BL_TABLE_WANT_IPV6;
    int error = BL_EFULL;

    for (unsigned try = 0; error == BL_EFULL && try < GROW_TRIES; try++) {
        if (build->ranges[family].index != NULL)
            error = bl_table_ranges_paint(build, &build->ranges[family], bits, length, to);
        if (error == BL_EFULL) {
            int grown = bl_table_grow(build, want, try);

            if (grown != BL_OK)
                return grown;
        }
    }
    if (error == BL_OK && family == BL_TABLE_IPV4)
        bl_table_hosts_map_ranges(build, bits, length);
    return error;
}

/* What decides inside a prefix when it is gone: something longer than /16 or, for index entries, anything. */
static struct bl_table_range cover_of(const struct bl_table_build *build, enum bl_table_family family, uint32_t bits,
                                      unsigned length)
{
    struct bl_table_range cover = {0, 0, 0};

    cover.class_id =
        bl_table_prefixes_cover(&build->prefixes[family], &build->key, bits, length, length > 16 ? 17 : 0, &cover.rank);
    return cover;
}

static int set_wide(struct bl_table_build *build, enum bl_table_family family, uint32_t bits, unsigned length,
                    uint8_t class_id)
{
    struct bl_table_range to = {0, class_id, (uint8_t)(length + 1)};
    int error = bl_table_prefixes_reserve(&build->prefixes[family], &build->key);

    if (error != BL_OK)
        return error;
    if (class_id == BL_CLASS_NONE)
        to = cover_of(build, family, bits, length);
    error = paint(build, family, bits, length, to);
    if (error == BL_OK)
        bl_table_prefixes_set(&build->prefixes[family], &build->key, bits, length, class_id);
    return error;
}

/* A host that is in the ranges, or goes there. */
static int set_host_range(struct bl_table_build *build, uint32_t address, uint8_t class_id, bool is_there)
{
    struct bl_table_range to = {0, class_id, 33};
    int error;

    if (class_id == BL_CLASS_NONE)
        to = cover_of(build, BL_TABLE_IPV4, address, 32);
    error = paint(build, BL_TABLE_IPV4, address, 32, to);
    if (error != BL_OK)
        return error;
    if (!is_there)
        build->n_host_ranges++;
    else if (class_id == BL_CLASS_NONE)
        build->n_host_ranges--;
    return BL_OK;
}

/* More hosts in the ranges than chance puts there: somebody knows the keys, or luck is very bad. */
static void change_keys(struct bl_table_build *build)
{
    if (build->master->geometry.host_lines != 0 && build->n_host_ranges > build->host_ranges_limit)
        (void)bl_table_grow(build, BL_TABLE_WANT_KEYS, 0);
}

static int add_host(struct bl_table_build *build, uint32_t address, uint8_t class_id)
{
    int error = BL_OK;

    if (bl_table_grow_is_due(build))
        error = bl_table_grow(build, BL_TABLE_WANT_HOSTS, 0);
    if (error == BL_OK && bl_table_hosts_palette_full(build, class_id))
        error = bl_table_grow(build, BL_TABLE_WANT_PALETTE, 0);
    if (error == BL_OK && !bl_table_hosts_add(build, address, class_id))
        error = set_host_range(build, address, class_id, false);
    if (error == BL_OK) {
        build->n_hosts++;
        change_keys(build);
    }
    return error;
}

static int set_host(struct bl_table_build *build, uint32_t address, uint8_t class_before, uint8_t class_id)
{
    int error = BL_OK;

    if (class_before == BL_CLASS_NONE)
        return add_host(build, address, class_id);
    if (class_id != BL_CLASS_NONE && bl_table_hosts_palette_full(build, class_id))
        error = bl_table_grow(build, BL_TABLE_WANT_PALETTE, 0);
    if (error != BL_OK)
        return error;
    if (bl_table_hosts_find(build, address) == BL_CLASS_NONE)
        error = set_host_range(build, address, class_id, true);
    else if (class_id == BL_CLASS_NONE)
        bl_table_hosts_remove(build, address);
    else
        bl_table_hosts_change(build, address, class_id);
    if (error == BL_OK && class_id == BL_CLASS_NONE)
        build->n_hosts--;
    return error;
}

static bool filter_is_full(const struct bl_table_build *build)
{
    uint32_t bits = build->master->geometry.filter_bits;

    return bits != 0 && (build->n_filter_used[0] * FAR_SHARE > UINT64_C(1) << (bits - BL_TABLE_LAYOUT_FILTER_FEWER) ||
                         build->n_filter_used[1] * NEAR_SHARE > UINT64_C(1) << bits);
}

static int add_deep(struct bl_table_build *build, struct bl_ip6 address, unsigned length, uint8_t class_id)
{
    unsigned want = length >= BL_TABLE_LAYOUT_LONG_FIRST ? BL_TABLE_WANT_LONG : BL_TABLE_WANT_SHORT;
    int error = BL_EFULL;

    for (unsigned try = 0; error == BL_EFULL && try < GROW_TRIES; try++) {
        uint32_t bits = build->master->geometry.filter_bits;

        if (filter_is_full(build) && bits < BL_TABLE_LAYOUT_FILTER_MAX)
            (void)bl_table_grow(build, BL_TABLE_WANT_FILTER, 0);
        if ((build->master->geometry.options & BL_TABLE_OPTION_IPV6) != 0)
            error = bl_table_deep_add(build, address, length, class_id);
        if (error == BL_EFULL) {
            int grown = bl_table_grow(build, want, try);

            if (grown != BL_OK)
                return grown;
        }
    }
    return error;
}

static int set_deep(struct bl_table_build *build, struct bl_ip6 address, unsigned length, uint8_t class_before,
                    uint8_t class_id)
{
    if (class_before == BL_CLASS_NONE)
        return add_deep(build, address, length, class_id);
    if (class_id == BL_CLASS_NONE)
        bl_table_deep_remove(build, address, length);
    else
        bl_table_deep_change(build, address, length, class_id);
    return BL_OK;
}

/* A prefix in the block's terms. */
struct target {
    enum bl_table_family family;
    unsigned length;
    uint32_t bits;       /* the address, IPv6: its first 32 bits */
    struct bl_ip6 whole; /* IPv6 */
};

static struct target target_of(const struct bl_prefix *prefix)
{
    struct target target = {.length = prefix->length};

    if (prefix->family == BL_FAMILY_IPV4) {
        target.family = BL_TABLE_IPV4;
        target.bits = bl_address_to_ip4(prefix->bytes);
    } else {
        target.family = BL_TABLE_IPV6;
        target.whole = bl_address_to_ip6(prefix->bytes);
        target.bits = (uint32_t)(target.whole.hi >> 32);
    }
    return target;
}

static uint8_t find(const struct bl_table_build *build, const struct target *target)
{
    struct bl_table_range range;
    uint8_t class_id;

    if (target->length < 32 || (target->family == BL_TABLE_IPV6 && target->length == 32))
        return bl_table_prefixes_find(&build->prefixes[target->family], &build->key, target->bits, target->length);
    if (target->family == BL_TABLE_IPV6)
        return bl_table_deep_find(build, target->whole, target->length);
    class_id = bl_table_hosts_find(build, target->bits);
    if (class_id != BL_CLASS_NONE || build->n_host_ranges == 0 ||
        bl_table_entry_kind(build->ranges[BL_TABLE_IPV4].index[target->bits >> 16]) == BL_TABLE_KIND_LEAF)
        return class_id;
    range = bl_table_ranges_find(&build->ranges[BL_TABLE_IPV4], target->bits);
    return range.rank == 33 ? range.class_id : BL_CLASS_NONE;
}

static int set_target(struct bl_table_build *build, const struct target *target, uint8_t class_before, uint8_t class_id)
{
    if (target->length < 32 || (target->family == BL_TABLE_IPV6 && target->length == 32))
        return set_wide(build, target->family, target->bits, target->length, class_id);
    if (target->family == BL_TABLE_IPV6)
        return set_deep(build, target->whole, target->length, class_before, class_id);
    return set_host(build, target->bits, class_before, class_id);
}

/* All of a change but the digest. */
static int set_undigested(struct bl_table_build *build, const struct bl_prefix *prefix, uint8_t class_id,
                          uint8_t *class_before)
{
    struct target target;
    int error;

    if (!bl_address_prefix_canonical(prefix) || class_id >= BL_CLASS_COUNT)
        return BL_EINVAL;
    target = target_of(prefix);
    *class_before = find(build, &target);
    if (class_id == *class_before)
        return BL_OK;
    if (*class_before == BL_CLASS_NONE &&
        build->n_entries[BL_TABLE_IPV4] + build->n_entries[BL_TABLE_IPV6] >= BL_TABLE_ENTRIES_MAX)
        return BL_EFULL;
    bl_table_record_open(build);
    error = set_target(build, &target, *class_before, class_id);
    bl_table_record_close(build);
    if (error != BL_OK)
        return error;
    build->n_entries[target.family] += (uint64_t)(*class_before == BL_CLASS_NONE);
    build->n_entries[target.family] -= (uint64_t)(class_id == BL_CLASS_NONE);
    return BL_OK;
}

int bl_table_build_set(struct bl_table_build *build, const struct bl_prefix *prefix, uint8_t class_id)
{
    uint8_t class_before;
    int error = set_undigested(build, prefix, class_id, &class_before);

    if (error != BL_OK || class_id == class_before)
        return error;
    if (class_before != BL_CLASS_NONE)
        bl_digest_remove(&build->digest, build->master->epoch, prefix, class_before);
    if (class_id != BL_CLASS_NONE)
        bl_digest_add(&build->digest, build->master->epoch, prefix, class_id);
    return BL_OK;
}

/* The lines that an entry of a load will touch. */
static void prefetch(const struct bl_table_build *build, const struct bl_prefix *prefix)
{
    if (prefix->family == BL_FAMILY_IPV4 && prefix->length == 32)
        bl_table_hosts_prefetch(build, bl_address_to_ip4(prefix->bytes));
    else if (prefix->family == BL_FAMILY_IPV6 && prefix->length > 32 && prefix->length <= 128 &&
             (build->master->geometry.options & BL_TABLE_OPTION_IPV6) != 0)
        bl_table_deep_prefetch(build, bl_address_to_ip6(prefix->bytes), prefix->length);
}

int bl_table_build_load(struct bl_table_build *build, const struct bl_table_entry *entries, size_t n, size_t *n_done)
{
    struct bl_digest_batch batch = {.n = 0};
    uint64_t epoch = build->master->epoch;
    int error = BL_OK;

    for (size_t i = 0; i < n && i < LOAD_AHEAD; i++)
        prefetch(build, &entries[i].prefix);
    for (*n_done = 0; *n_done < n; ++*n_done) {
        const struct bl_table_entry *entry = &entries[*n_done];
        uint8_t class_before;

        if (n - *n_done > LOAD_AHEAD)
            prefetch(build, &entries[*n_done + LOAD_AHEAD].prefix);
        error = set_undigested(build, &entry->prefix, entry->class_id, &class_before);
        if (error != BL_OK)
            break;
        if (entry->class_id == class_before)
            continue;
        if (class_before != BL_CLASS_NONE)
            bl_digest_remove(&build->digest, epoch, &entry->prefix, class_before);
        if (entry->class_id != BL_CLASS_NONE)
            bl_digest_batch_add(&batch, &build->digest, epoch, &entry->prefix, entry->class_id);
    }
    bl_digest_batch_end(&batch, &build->digest, epoch);
    return error;
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
    struct bl_table_record *record = &build->record;
    struct bl_table_patch *done = record->patch;

    *patch = NULL;
    *rebuilt = record->moved;
    if (record->moved) {
        /* Everybody is about to copy the block: the time to give back room that the load did not need. It may fail:
         * then the block is larger than it has to be. */
        if (bl_table_grow_trims(build))
            (void)bl_table_grow(build, BL_TABLE_WANT_TRIM, 0);
        record->moved = false;
    } else {
        if (done == NULL)
            done = bl_table_record_create(build->master, 0);
        if (done == NULL)
            return BL_ENOMEM;
        done->serial = serial;
        *patch = fit_patch(done);
        record->patch = NULL;
        record->room = 0;
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
    *n_ipv4 = build->n_entries[BL_TABLE_IPV4];
    *n_ipv6 = build->n_entries[BL_TABLE_IPV6];
}
