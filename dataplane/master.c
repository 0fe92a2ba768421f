/* Snapshots and deltas into the master table; see master.h. */
#include "dataplane/master.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/random.h"

/* A snapshot on its way in, or a delta of several parts. */
enum gathering { GATHERING_NOTHING, GATHERING_SNAPSHOT, GATHERING_DELTA };

/* Entries that the table takes in one call, with their misses of the cache under way together. */
enum { AT_ONCE = 256 };

struct bl_master {
    struct bl_distribute *distribute;
    struct bl_keeper *keeper; /* NULL: nothing is kept */
    struct bl_siphash_key table_key;
    /* The committed state. build == NULL: nothing is held. */
    struct bl_table_build *build;
    struct bl_class classes[BL_CLASS_COUNT];
    struct bl_held held;
    /* What is coming in. A delta changes `build` at once, so that `held` is what it no longer is until the commit. */
    enum gathering gathering;
    struct bl_table_build *aside; /* snapshot */
    uint64_t coming_epoch;
    uint64_t coming_serial;
    uint32_t next_chunk;
    bool classes_changed;
    struct bl_class coming_classes[BL_CLASS_COUNT];
};

static int no_memory_for_workers(int error, struct bl_error_detail *detail)
{
    return bl_error_set(detail, error, "no memory for the workers' tables: raise dataplane.memory_mb");
}

static int start_empty(struct bl_master *master, struct bl_error_detail *detail)
{
    const struct bl_held none = {.epoch = 0};
    struct bl_table_build *empty = NULL;
    int error = bl_table_build_create(&empty, 0, &master->table_key, 0);

    if (error == BL_OK)
        error = bl_distribute_start(master->distribute, bl_table_build_master(empty), master->classes, &none);
    bl_table_build_free(empty);
    return error == BL_OK ? BL_OK : no_memory_for_workers(error, detail);
}

/* Builds the master of a file's entries. */
static int load_entries(struct bl_master *master, const struct bl_table_file *table, struct bl_error_detail *detail)
{
    size_t n = bl_entries_count(&table->entries);
    struct bl_table_patch *patch = NULL;
    struct bl_table_entry entries[AT_ONCE];
    struct bl_digest digest;
    bool rebuilt;
    int error = bl_table_build_create(&master->build, table->held.epoch, &master->table_key, n);

    for (size_t i = 0; i < n && error == BL_OK; i += AT_ONCE) {
        size_t n_these = n - i < AT_ONCE ? n - i : AT_ONCE;
        size_t n_done;

        for (size_t at = 0; at < n_these; at++)
            bl_entries_get(&table->entries, i + at, &entries[at]);
        error = bl_table_build_load(master->build, entries, n_these, &n_done);
    }
    if (error == BL_OK)
        error = bl_table_build_commit(master->build, table->held.serial, &patch, &rebuilt);
    bl_table_patch_free(patch);
    if (error != BL_OK)
        return bl_error_set(detail, error, "the table does not take its entries: %s", bl_error_text(error));
    digest = bl_table_build_digest(master->build);
    if (!bl_digest_equal(&digest, &table->held.digest))
        return bl_error_set(detail, BL_EDIGEST, "the digest of its entries is %016llx%016llx: expected %016llx%016llx",
                            (unsigned long long)digest.hi, (unsigned long long)digest.lo,
                            (unsigned long long)table->held.digest.hi, (unsigned long long)table->held.digest.lo);
    return BL_OK;
}

static int start_loaded(struct bl_master *master, const struct bl_table_file *table, struct bl_error_detail *detail)
{
    int error = load_entries(master, table, detail);

    if (error != BL_OK)
        return error;
    master->held = table->held;
    memcpy(master->classes, table->classes, sizeof(master->classes));
    error =
        bl_distribute_start(master->distribute, bl_table_build_master(master->build), master->classes, &master->held);
    return error == BL_OK ? BL_OK : no_memory_for_workers(error, detail);
}

int bl_master_create(struct bl_master **out, struct bl_distribute *distribute, const struct bl_table_file *table,
                     struct bl_error_detail *detail)
{
    struct bl_master *master = calloc(1, sizeof(*master));
    int error;

    if (master == NULL)
        return bl_error_set(detail, BL_ENOMEM, "no memory for the master table");
    master->distribute = distribute;
    error = bl_random_key(&master->table_key, detail);
    if (error == BL_OK)
        error = table != NULL ? start_loaded(master, table, detail) : start_empty(master, detail);
    if (error != BL_OK) {
        bl_master_free(master);
        return error;
    }
    *out = master;
    return BL_OK;
}

void bl_master_set_keeper(struct bl_master *master, struct bl_keeper *keeper)
{
    master->keeper = keeper;
}

void bl_master_forget(struct bl_master *master)
{
    if (master->build != NULL)
        bl_table_build_free(master->build);
    if (master->aside != NULL)
        bl_table_build_free(master->aside);
    master->build = NULL;
    master->aside = NULL;
    master->gathering = GATHERING_NOTHING;
    memset(&master->held, 0, sizeof(master->held));
}

void bl_master_free(struct bl_master *master)
{
    if (master == NULL)
        return;
    bl_master_forget(master);
    free(master);
}

void bl_master_interrupt(struct bl_master *master)
{
    if (master->gathering == GATHERING_DELTA)
        bl_master_forget(master);
    if (master->aside != NULL)
        bl_table_build_free(master->aside);
    master->aside = NULL;
    master->gathering = GATHERING_NOTHING;
}

static int set_entries(struct bl_master *master, struct bl_table_build *build, const struct bl_sync_message *message,
                       struct bl_error_detail *detail)
{
    struct bl_table_entry entries[AT_ONCE];
    char text[BL_ADDRESS_TEXT_MAX];

    for (size_t i = 0; i < message->n_entries; i += AT_ONCE) {
        size_t n = message->n_entries - i < AT_ONCE ? message->n_entries - i : AT_ONCE;
        size_t n_done;
        int error;

        for (size_t at = 0; at < n; at++)
            bl_sync_codec_entry(message, i + at, &entries[at]);
        error = bl_table_build_load(build, entries, n, &n_done);
        if (error != BL_OK)
            return bl_error_set(detail, error, "%s: the table does not take it: %s",
                                bl_address_format_prefix(&entries[n_done].prefix, text), bl_error_text(error));
        for (size_t at = 0; at < n; at++)
            bl_keeper_note(master->keeper, &entries[at]);
    }
    return BL_OK;
}

static void set_classes(struct bl_master *master, const struct bl_sync_message *message)
{
    for (unsigned i = 0; i < BL_CLASS_COUNT; i++)
        if ((message->classes_mask & UINT64_C(1) << i) != 0) {
            master->coming_classes[i] = message->classes[i];
            master->classes_changed = true;
        }
}

static int check_digest(const struct bl_table_build *build, const struct bl_sync_message *message,
                        struct bl_error_detail *detail)
{
    struct bl_digest digest = bl_table_build_digest(build);

    if (bl_digest_equal(&digest, &message->digest))
        return BL_OK;
    return bl_error_set(detail, BL_EDIGEST, "serial %llu: the set's digest is %016llx%016llx: expected %016llx%016llx",
                        (unsigned long long)message->serial, (unsigned long long)digest.hi,
                        (unsigned long long)digest.lo, (unsigned long long)message->digest.hi,
                        (unsigned long long)message->digest.lo);
}

static struct bl_held describe(const struct bl_table_build *build, const struct bl_sync_message *message)
{
    struct bl_held held = {.epoch = message->epoch, .serial = message->serial, .digest = message->digest};

    bl_table_build_count(build, &held.n_ipv4, &held.n_ipv6);
    return held;
}

/* The new state is what the next delta starts from. */
static void keep(struct bl_master *master, const struct bl_held *held)
{
    bool new_classes = master->gathering == GATHERING_SNAPSHOT || master->classes_changed;

    bl_keeper_end(master->keeper, held, new_classes ? master->coming_classes : NULL);
    master->held = *held;
    master->gathering = GATHERING_NOTHING;
    memcpy(master->classes, master->coming_classes, sizeof(master->classes));
}

static int start_snapshot(struct bl_master *master, const struct bl_sync_message *message,
                          struct bl_error_detail *detail)
{
    if (bl_table_build_create(&master->aside, message->epoch, &master->table_key, message->n_entries_all) != BL_OK) {
        master->aside = NULL;
        return bl_error_set(detail, BL_ENOMEM, "no memory for a second table");
    }
    master->gathering = GATHERING_SNAPSHOT;
    master->coming_epoch = message->epoch;
    master->coming_serial = message->serial;
    master->next_chunk = 0;
    bl_keeper_begin(master->keeper, true);
    memset(master->coming_classes, 0, sizeof(master->coming_classes));
    return BL_OK;
}

static int end_snapshot(struct bl_master *master, const struct bl_sync_message *message, struct bl_error_detail *detail)
{
    struct bl_held held = describe(master->aside, message);
    struct bl_table_patch *patch = NULL;
    bool rebuilt;
    int error = check_digest(master->aside, message, detail);

    if (error != BL_OK)
        return error;
    if (held.n_ipv4 + held.n_ipv6 != message->n_entries_all)
        return bl_error_set(detail, BL_EDIGEST, "snapshot: %llu entries came: expected %llu",
                            (unsigned long long)(held.n_ipv4 + held.n_ipv6),
                            (unsigned long long)message->n_entries_all);
    error = bl_table_build_commit(master->aside, message->serial, &patch, &rebuilt);
    if (error != BL_OK)
        return bl_error_set(detail, error, "no memory to finish the snapshot");
    bl_table_patch_free(patch); /* the workers get copies of the whole block */
    error =
        bl_distribute_switch(master->distribute, bl_table_build_master(master->aside), master->coming_classes, &held);
    if (error != BL_OK)
        return bl_error_set(detail, error, "no memory for the workers' tables: raise dataplane.memory_mb");
    if (master->build != NULL)
        bl_table_build_free(master->build);
    master->build = master->aside;
    master->aside = NULL;
    keep(master, &held);
    return BL_OK;
}

/* On failure the snapshot is given up; a master that is there stays as it is. */
static int apply_snapshot(struct bl_master *master, const struct bl_sync_message *message,
                          struct bl_error_detail *detail)
{
    int error = BL_OK;

    if (message->chunk == 0) {
        bl_master_interrupt(master);
        error = start_snapshot(master, message, detail);
    } else if (master->gathering != GATHERING_SNAPSHOT || message->chunk != master->next_chunk ||
               message->epoch != master->coming_epoch || message->serial != master->coming_serial) {
        error = bl_error_set(detail, BL_EORDER, "snapshot: chunk %u of serial %llu does not come next", message->chunk,
                             (unsigned long long)message->serial);
    }
    if (error == BL_OK) {
        master->next_chunk++;
        set_classes(master, message);
        error = set_entries(master, master->aside, message, detail);
    }
    if (error == BL_OK && message->last)
        error = end_snapshot(master, message, detail);
    if (error != BL_OK)
        bl_master_interrupt(master);
    return error;
}

static int check_order(const struct bl_master *master, const struct bl_sync_message *message,
                       struct bl_error_detail *detail)
{
    bool fits = master->build != NULL && message->epoch == master->held.epoch &&
                message->from_serial == master->held.serial &&
                (master->gathering == GATHERING_NOTHING || message->serial == master->coming_serial);

    if (fits)
        return BL_OK;
    return bl_error_set(detail, BL_EORDER, "delta of epoch %llx from serial %llu to %llu: expected one from %llx, %llu",
                        (unsigned long long)message->epoch, (unsigned long long)message->from_serial,
                        (unsigned long long)message->serial, (unsigned long long)master->held.epoch,
                        (unsigned long long)master->held.serial);
}

static int end_delta(struct bl_master *master, const struct bl_sync_message *message, struct bl_error_detail *detail)
{
    struct bl_held held = describe(master->build, message);
    struct bl_table_patch *patch = NULL;
    bool rebuilt = false;
    int error = check_digest(master->build, message, detail);

    if (error != BL_OK)
        return error;
    error = bl_table_build_commit(master->build, message->serial, &patch, &rebuilt);
    if (error == BL_OK && rebuilt)
        error = bl_distribute_switch(master->distribute, bl_table_build_master(master->build), master->coming_classes,
                                     &held);
    else if (error == BL_OK)
        error = bl_distribute_patch(master->distribute, patch, master->classes_changed ? master->coming_classes : NULL,
                                    &held);
    if (error != BL_OK)
        return bl_error_set(detail, error, "no memory to hand serial %llu to the workers",
                            (unsigned long long)message->serial);
    keep(master, &held);
    return BL_OK;
}

/* What the chunks are read from went on: the snapshot goes with it. Its last chunk says whether that is right. */
static int apply_between(struct bl_master *master, const struct bl_sync_message *message,
                         struct bl_error_detail *detail)
{
    int error = BL_OK;

    if (message->epoch != master->coming_epoch || message->from_serial != master->coming_serial)
        error = bl_error_set(detail, BL_EORDER, "snapshot: delta from serial %llu does not come next after %llu",
                             (unsigned long long)message->from_serial, (unsigned long long)master->coming_serial);
    if (error == BL_OK) {
        set_classes(master, message);
        error = set_entries(master, master->aside, message, detail);
    }
    if (error != BL_OK)
        bl_master_interrupt(master);
    else if (message->last)
        master->coming_serial = message->serial;
    return error;
}

static int apply_delta(struct bl_master *master, const struct bl_sync_message *message, struct bl_error_detail *detail)
{
    int error = check_order(master, message, detail);

    /* Out of order is found before anything is changed, unless a delta is half in. */
    if (error != BL_OK) {
        bl_master_interrupt(master);
        return error;
    }
    if (master->gathering == GATHERING_NOTHING) {
        master->gathering = GATHERING_DELTA;
        master->coming_serial = message->serial;
        master->classes_changed = false;
        bl_keeper_begin(master->keeper, false);
        memcpy(master->coming_classes, master->classes, sizeof(master->classes));
    }
    set_classes(master, message);
    error = set_entries(master, master->build, message, detail);
    if (error == BL_OK && message->last)
        error = end_delta(master, message, detail);
    if (error != BL_OK)
        bl_master_forget(master);
    return error;
}

int bl_master_apply(struct bl_master *master, const struct bl_sync_message *message, struct bl_error_detail *detail)
{
    if (message->kind == BL_SYNC_SNAPSHOT)
        return apply_snapshot(master, message, detail);
    return master->gathering == GATHERING_SNAPSHOT ? apply_between(master, message, detail)
                                                   : apply_delta(master, message, detail);
}

struct bl_held bl_master_held(const struct bl_master *master)
{
    return master->held;
}

const struct bl_table *bl_master_table(const struct bl_master *master)
{
    return master->build != NULL && master->gathering != GATHERING_DELTA ? bl_table_build_master(master->build) : NULL;
}
