/* Hands patches, class tables, blocks and repairs to the workers; see distribute.h. What a parcel brought is freed when
 * it was collected; a replica's block, and its sums, come back in the one that replaced them. */
#include "dataplane/distribute.h"

#include <stdlib.h>
#include <string.h>

#include <rte_malloc.h>

#include "dataplane/parcel.h"
#include "dataplane/scrub.h"
#include "dataplane/table_build.h"

enum {
    COMPARE_EVERY_MS = 10000,
    COMPARE_RETRY_MS = 1000,        /* after a round that an update came into */
    COMPARE_STEP_BYTES = 256 << 10, /* of the master, between two looks at the socket */
};

struct slot {
    struct bl_worker *worker;
    struct bl_parcel_classes *classes; /* that the worker uses now */
    struct bl_held held;
    bool broken; /* a patch did not fit; a copy is on its way, or there was no master to copy */
    bool repairing;
    uint64_t check_serial;
    uint64_t check_sum;
    const struct bl_replica_sums *sums; /* of this round; NULL: not yet */
};

struct bl_distribute {
    unsigned n_slots;
    struct slot *slots;
    struct bl_held enforced;
    struct bl_held latest; /* handed out last */
    struct bl_parcel_classes *latest_classes;
    struct bl_distribute_counts counts;
    /* The round of comparing that is under way. */
    uint64_t round;
    bool comparing;
    bool master_summed;
    uint64_t compare_next_ms;
    uint64_t compare_serial; /* what the round is about */
    struct bl_replica_check master_check;
    struct bl_replica_sums *master_sums;
};

int bl_distribute_create(struct bl_distribute **out, struct bl_worker **workers, unsigned n_workers)
{
    static const struct bl_class none[BL_CLASS_COUNT];
    struct bl_distribute *distribute = calloc(1, sizeof(*distribute));

    if (distribute == NULL)
        return BL_ENOMEM;
    distribute->slots = calloc(n_workers, sizeof(*distribute->slots));
    distribute->latest_classes = bl_parcel_share_classes(none);
    if (distribute->slots == NULL || distribute->latest_classes == NULL) {
        bl_distribute_free(distribute);
        return BL_ENOMEM;
    }
    distribute->n_slots = n_workers;
    for (unsigned i = 0; i < n_workers; i++)
        distribute->slots[i].worker = workers[i];
    *out = distribute;
    return BL_OK;
}

void bl_distribute_free(struct bl_distribute *distribute)
{
    if (distribute == NULL)
        return;
    for (unsigned i = 0; i < distribute->n_slots; i++) {
        struct slot *slot = &distribute->slots[i];
        struct bl_message *message;

        while ((message = bl_mailbox_take_back(&slot->worker->mailbox)) != NULL)
            bl_parcel_free((struct bl_parcel *)message);
        rte_free(slot->worker->replica.table);
        free(slot->worker->replica.sums);
        slot->worker->replica.table = NULL;
        slot->worker->replica.sums = NULL;
        slot->worker->replica.classes = NULL;
        bl_parcel_drop_classes(slot->classes);
    }
    bl_parcel_drop_classes(distribute->latest_classes);
    free(distribute->master_sums);
    free(distribute->slots);
    free(distribute);
}

/* The state that was handed out last is now @p held with @p classes (taken; NULL: as before). */
static void note_latest(struct bl_distribute *distribute, const struct bl_held *held, struct bl_parcel_classes *classes)
{
    distribute->latest = *held;
    if (classes == NULL)
        return;
    bl_parcel_drop_classes(distribute->latest_classes);
    distribute->latest_classes = classes;
}

int bl_distribute_start(struct bl_distribute *distribute, const struct bl_table *master, const struct bl_class *classes,
                        const struct bl_held *held)
{
    struct bl_table *copies[BL_DISTRIBUTE_WORKERS_MAX] = {NULL};
    struct bl_parcel_classes *shared = bl_parcel_share_classes(classes);
    bool complete = shared != NULL;

    for (unsigned i = 0; i < distribute->n_slots && complete; i++) {
        copies[i] = bl_parcel_copy_master(master, distribute->slots[i].worker->socket_id);
        complete = copies[i] != NULL;
    }
    if (!complete) {
        for (unsigned i = 0; i < distribute->n_slots; i++)
            rte_free(copies[i]);
        bl_parcel_drop_classes(shared);
        return BL_ENOMEM;
    }
    for (unsigned i = 0; i < distribute->n_slots; i++) {
        struct slot *slot = &distribute->slots[i];

        slot->worker->replica.table = copies[i];
        slot->worker->replica.table_bytes = bl_table_size(master);
        slot->classes = shared;
        slot->classes->n_users++;
        slot->worker->replica.classes = shared->classes;
        slot->held = *held;
    }
    note_latest(distribute, held, shared);
    distribute->enforced = *held;
    return BL_OK;
}

/* A comparison is worth nothing across a new block: serials of two epochs may be equal. */
static void abandon_comparison(struct bl_distribute *distribute)
{
    distribute->comparing = false;
}

/* Sends one parcel a worker, or frees them all when one is missing. */
static int send_all(struct bl_distribute *distribute, struct bl_parcel **parcels)
{
    int error = BL_OK;

    for (unsigned i = 0; i < distribute->n_slots; i++)
        if (parcels[i] == NULL)
            error = BL_ENOMEM;
    for (unsigned i = 0; i < distribute->n_slots; i++) {
        if (error == BL_OK)
            bl_mailbox_send(&distribute->slots[i].worker->mailbox, &parcels[i]->message);
        else if (parcels[i] != NULL)
            bl_parcel_free(parcels[i]);
    }
    return error;
}

int bl_distribute_switch(struct bl_distribute *distribute, const struct bl_table *master,
                         const struct bl_class *classes, const struct bl_held *held)
{
    struct bl_parcel *parcels[BL_DISTRIBUTE_WORKERS_MAX] = {NULL};
    struct bl_parcel_classes *shared = bl_parcel_share_classes(classes);
    int error;

    if (shared == NULL)
        return BL_ENOMEM;
    for (unsigned i = 0; i < distribute->n_slots; i++)
        parcels[i] = bl_parcel_create_switch(held, master, distribute->slots[i].worker->socket_id, shared);
    error = send_all(distribute, parcels);
    if (error != BL_OK) {
        bl_parcel_drop_classes(shared);
        return error;
    }
    for (unsigned i = 0; i < distribute->n_slots; i++) {
        distribute->slots[i].broken = false;
        distribute->slots[i].check_serial = 0;
        distribute->slots[i].check_sum = 0;
    }
    note_latest(distribute, held, shared);
    abandon_comparison(distribute);
    return BL_OK;
}

int bl_distribute_patch(struct bl_distribute *distribute, struct bl_table_patch *patch, const struct bl_class *classes,
                        const struct bl_held *held)
{
    struct bl_parcel *parcels[BL_DISTRIBUTE_WORKERS_MAX] = {NULL};
    struct bl_parcel_patch *shared = calloc(1, sizeof(*shared));
    struct bl_parcel_classes *shared_classes = NULL;
    int error = BL_ENOMEM;

    if (shared == NULL) {
        bl_table_patch_free(patch);
        return BL_ENOMEM;
    }
    *shared = (struct bl_parcel_patch){.n_users = 1, .patch = patch};
    if (classes != NULL)
        shared_classes = bl_parcel_share_classes(classes);
    if (classes == NULL || shared_classes != NULL) {
        for (unsigned i = 0; i < distribute->n_slots; i++)
            parcels[i] = bl_parcel_create_patch(held, shared, shared_classes);
        error = send_all(distribute, parcels);
    }
    bl_parcel_drop_patch(shared);
    if (error != BL_OK) {
        bl_parcel_drop_classes(shared_classes);
        return error;
    }
    note_latest(distribute, held, shared_classes);
    return BL_OK;
}

/* One worker gets a copy of the master. Without a master or memory it stays as it is, and the next poll tries again. */
static void repair(struct bl_distribute *distribute, struct slot *slot, const struct bl_table *master)
{
    struct bl_parcel *parcel;

    if (master == NULL)
        return;
    parcel = bl_parcel_create_switch(&distribute->latest, master, slot->worker->socket_id, distribute->latest_classes);
    if (parcel == NULL)
        return;
    slot->broken = false;
    slot->repairing = true;
    distribute->counts.n_repairs++;
    abandon_comparison(distribute);
    bl_mailbox_send(&slot->worker->mailbox, &parcel->message);
}

static void collect(struct slot *slot, struct bl_parcel *parcel)
{
    struct bl_message *message = &parcel->message;

    if (message->kind == BL_MESSAGE_SWITCH)
        slot->repairing = false;
    if (message->failed)
        slot->broken = !slot->repairing;
    else if (message->kind != BL_MESSAGE_CHECK)
        slot->held = message->held;
    if (parcel->classes != NULL) {
        bl_parcel_drop_classes(slot->classes);
        slot->classes = parcel->classes;
        parcel->classes = NULL;
    }
    bl_parcel_free(parcel);
}

static void note_enforced(struct bl_distribute *distribute)
{
    const struct bl_held *least = &distribute->slots[0].held;

    for (unsigned i = 1; i < distribute->n_slots; i++) {
        const struct bl_held *held = &distribute->slots[i].held;

        if (held->epoch != least->epoch)
            return;
        if (held->serial < least->serial)
            least = held;
    }
    distribute->enforced = *least;
}

void bl_distribute_poll(struct bl_distribute *distribute, const struct bl_table *master)
{
    for (unsigned i = 0; i < distribute->n_slots; i++) {
        struct slot *slot = &distribute->slots[i];
        struct bl_message *message;

        while ((message = bl_mailbox_collect(&slot->worker->mailbox)) != NULL)
            collect(slot, (struct bl_parcel *)message);
        if (slot->broken)
            repair(distribute, slot, master);
        bl_mailbox_flush(&slot->worker->mailbox);
    }
    note_enforced(distribute);
}

/* True when every worker has the latest state, in a block of the master's size. */
static bool are_equal(const struct bl_distribute *distribute)
{
    for (unsigned i = 0; i < distribute->n_slots; i++) {
        const struct slot *slot = &distribute->slots[i];

        if (slot->broken || slot->repairing || slot->held.epoch != distribute->latest.epoch ||
            slot->held.serial != distribute->latest.serial)
            return false;
    }
    return bl_distribute_waiting(distribute) == 0;
}

/* Asks all workers for checksums. */
static void start_comparison(struct bl_distribute *distribute, const struct bl_table *master, uint64_t now_ms)
{
    struct bl_parcel *parcels[BL_DISTRIBUTE_WORKERS_MAX] = {NULL};

    distribute->compare_next_ms = now_ms + COMPARE_EVERY_MS;
    free(distribute->master_sums);
    distribute->master_sums = bl_replica_create_sums(bl_table_size(master));
    if (distribute->master_sums == NULL)
        return;
    distribute->round++;
    for (unsigned i = 0; i < distribute->n_slots; i++) {
        distribute->slots[i].sums = NULL;
        parcels[i] = bl_parcel_create_check(distribute->round, master);
    }
    if (send_all(distribute, parcels) != BL_OK)
        return;
    distribute->comparing = true;
    distribute->compare_serial = distribute->latest.serial;
    distribute->master_summed = false;
    memset(&distribute->master_check, 0, sizeof(distribute->master_check));
}

/* @return true when every worker has answered. */
static bool gather(struct bl_distribute *distribute)
{
    bool complete = true;

    for (unsigned i = 0; i < distribute->n_slots; i++) {
        struct slot *slot = &distribute->slots[i];

        if (slot->sums == NULL) {
            slot->sums = bl_replica_check_result(&slot->worker->replica, distribute->round, &slot->check_serial);
            if (slot->sums != NULL)
                slot->check_sum = bl_scrub_total(slot->sums);
        }
        complete = complete && slot->sums != NULL;
    }
    return complete;
}

/* Everybody has answered. No replica is behind or has another block: the round began when all had the latest state,
 * and a patch, a switch or a whole copy since would have ended it. @return true when the master can't be believed. */
static bool judge(struct bl_distribute *distribute, const struct bl_table *master, uint64_t now_ms)
{
    const struct bl_replica_sums *sums[BL_DISTRIBUTE_WORKERS_MAX];
    struct bl_scrub_findings findings;

    for (unsigned i = 0; i < distribute->n_slots; i++)
        sums[i] = distribute->slots[i].sums;
    bl_scrub_judge(distribute->master_sums, sums, distribute->n_slots, &findings);
    distribute->counts.n_mismatches += findings.n;
    if (findings.master_doubted)
        return true;
    for (unsigned i = 0; i < findings.n; i++) {
        struct bl_worker *worker = distribute->slots[findings.at[i].replica].worker;
        struct bl_parcel *parcel = bl_parcel_create_repair(&distribute->latest, master, findings.at[i].region);

        if (parcel == NULL)
            break; /* the next round tries again */
        distribute->counts.n_repairs++;
        bl_mailbox_send(&worker->mailbox, &parcel->message);
    }
    if (findings.n > 0)
        distribute->compare_next_ms = now_ms + COMPARE_RETRY_MS;
    return false;
}

bool bl_distribute_compare(struct bl_distribute *distribute, const struct bl_table *master, uint64_t now_ms)
{
    if (!distribute->comparing) {
        if (now_ms >= distribute->compare_next_ms && are_equal(distribute))
            start_comparison(distribute, master, now_ms);
        return false;
    }
    if (distribute->latest.serial != distribute->compare_serial) {
        distribute->comparing = false;
        distribute->compare_next_ms = now_ms + COMPARE_RETRY_MS;
        return false;
    }
    if (!distribute->master_summed) {
        distribute->master_summed =
            bl_replica_check_table(master, &distribute->master_check, distribute->master_sums, COMPARE_STEP_BYTES);
        return false;
    }
    if (!gather(distribute))
        return false;
    distribute->comparing = false;
    return judge(distribute, master, now_ms);
}

const struct bl_held *bl_distribute_enforced(const struct bl_distribute *distribute)
{
    return &distribute->enforced;
}

const struct bl_held *bl_distribute_held(const struct bl_distribute *distribute, unsigned id)
{
    return &distribute->slots[id].held;
}

void bl_distribute_checksum(const struct bl_distribute *distribute, unsigned id, uint64_t *serial, uint64_t *sum)
{
    *serial = distribute->slots[id].check_serial;
    *sum = distribute->slots[id].check_sum;
}

uint32_t bl_distribute_waiting(const struct bl_distribute *distribute)
{
    uint32_t most = 0;

    for (unsigned i = 0; i < distribute->n_slots; i++)
        if (distribute->slots[i].worker->mailbox.n_waiting > most)
            most = distribute->slots[i].worker->mailbox.n_waiting;
    return most;
}

bool bl_distribute_comparing(const struct bl_distribute *distribute)
{
    return distribute->comparing;
}

struct bl_distribute_counts bl_distribute_counts(const struct bl_distribute *distribute)
{
    return distribute->counts;
}
