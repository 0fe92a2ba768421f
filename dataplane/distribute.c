/* Hands patches, class tables and blocks to the workers; see distribute.h.
 *
 * A patch and a class table are shared by all workers and counted: one reference a message that carries them, and one
 * a worker that still uses the class table. Only the main core counts, so that no atomic is needed. A replica's block
 * is one worker's own, and comes back in the message that replaced it. */
#include "dataplane/distribute.h"

#include <stdlib.h>
#include <string.h>

#include <rte_malloc.h>

#include "dataplane/table_build.h"

enum {
    COMPARE_EVERY_MS = 10000,
    COMPARE_RETRY_MS = 1000,        /* after a round that an update came into */
    COMPARE_STEP_BYTES = 256 << 10, /* of the master, between two looks at the socket */
};

struct shared_patch {
    unsigned n_users;
    struct bl_table_patch *patch;
};

struct shared_classes {
    unsigned n_users;
    struct bl_class classes[BL_CLASS_COUNT];
};

/* A message as this file sends it; `message` first, so that one is the other. */
struct parcel {
    struct bl_message message;
    struct shared_patch *patch;
    struct shared_classes *classes;
};

struct slot {
    struct bl_worker *worker;
    struct shared_classes *classes; /* that the worker uses now */
    struct bl_held held;
    bool broken; /* a patch did not fit; a copy is on its way, or there was no master to copy */
    bool repairing;
    uint64_t check_serial;
    uint64_t check_sum;
    bool checked; /* in this round */
};

struct bl_distribute {
    unsigned n_slots;
    struct slot *slots;
    struct bl_held enforced;
    struct bl_held latest; /* handed out last */
    struct shared_classes *latest_classes;
    struct bl_distribute_counts counts;
    /* The round of comparing that is under way. */
    uint64_t round;
    bool comparing;
    bool master_summed;
    uint64_t compare_next_ms;
    uint64_t compare_serial; /* what the round is about */
    struct bl_replica_check master_check;
};

static void drop_patch(struct shared_patch *shared)
{
    if (shared == NULL || --shared->n_users > 0)
        return;
    bl_table_patch_free(shared->patch);
    free(shared);
}

static void drop_classes(struct shared_classes *shared)
{
    if (shared == NULL || --shared->n_users > 0)
        return;
    free(shared);
}

static struct shared_classes *share_classes(const struct bl_class *classes)
{
    struct shared_classes *shared = calloc(1, sizeof(*shared));

    if (shared == NULL)
        return NULL;
    shared->n_users = 1;
    if (classes != NULL)
        memcpy(shared->classes, classes, sizeof(shared->classes));
    return shared;
}

static struct bl_table *copy_master(const struct bl_table *master, int socket_id)
{
    size_t size = bl_table_size(master);
    struct bl_table *copy = rte_malloc_socket("bl_replica", size, BL_TABLE_ALIGN, socket_id);

    if (copy != NULL)
        memcpy(copy, master, size);
    return copy;
}

static void free_parcel(struct parcel *parcel)
{
    drop_patch(parcel->patch);
    drop_classes(parcel->classes);
    rte_free(parcel->message.table);
    free(parcel);
}

int bl_distribute_create(struct bl_distribute **out, struct bl_worker **workers, unsigned n_workers)
{
    struct bl_distribute *distribute = calloc(1, sizeof(*distribute));

    if (distribute == NULL)
        return BL_ENOMEM;
    distribute->slots = calloc(n_workers, sizeof(*distribute->slots));
    distribute->latest_classes = share_classes(NULL);
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
            free_parcel((struct parcel *)message);
        rte_free(slot->worker->replica.table);
        slot->worker->replica.table = NULL;
        slot->worker->replica.classes = NULL;
        drop_classes(slot->classes);
    }
    drop_classes(distribute->latest_classes);
    free(distribute->slots);
    free(distribute);
}

/* The state that was handed out last is now @p held with @p classes (taken; NULL: as before). */
static void note_latest(struct bl_distribute *distribute, const struct bl_held *held, struct shared_classes *classes)
{
    distribute->latest = *held;
    if (classes == NULL)
        return;
    drop_classes(distribute->latest_classes);
    distribute->latest_classes = classes;
}

int bl_distribute_start(struct bl_distribute *distribute, const struct bl_table *master, const struct bl_class *classes,
                        const struct bl_held *held)
{
    struct bl_table *copies[BL_DISTRIBUTE_WORKERS_MAX] = {NULL};
    struct shared_classes *shared = share_classes(classes);
    bool complete = shared != NULL;

    for (unsigned i = 0; i < distribute->n_slots && complete; i++) {
        copies[i] = copy_master(master, distribute->slots[i].worker->socket_id);
        complete = copies[i] != NULL;
    }
    if (!complete) {
        for (unsigned i = 0; i < distribute->n_slots; i++)
            rte_free(copies[i]);
        drop_classes(shared);
        return BL_ENOMEM;
    }
    for (unsigned i = 0; i < distribute->n_slots; i++) {
        struct slot *slot = &distribute->slots[i];

        slot->worker->replica.table = copies[i];
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

static struct parcel *make_parcel(enum bl_message_kind kind, const struct bl_held *held, struct shared_patch *patch,
                                  struct shared_classes *classes)
{
    struct parcel *parcel = calloc(1, sizeof(*parcel));

    if (parcel == NULL)
        return NULL;
    parcel->message.kind = kind;
    parcel->message.held = *held;
    parcel->patch = patch;
    parcel->classes = classes;
    if (patch != NULL) {
        patch->n_users++;
        parcel->message.patch = patch->patch;
    }
    if (classes != NULL) {
        classes->n_users++;
        parcel->message.classes = classes->classes;
    }
    return parcel;
}

/* Sends one parcel a worker, or frees them all when one is missing. */
static int send_all(struct bl_distribute *distribute, struct parcel **parcels)
{
    int error = BL_OK;

    for (unsigned i = 0; i < distribute->n_slots; i++)
        if (parcels[i] == NULL)
            error = BL_ENOMEM;
    for (unsigned i = 0; i < distribute->n_slots; i++) {
        if (error == BL_OK)
            bl_mailbox_send(&distribute->slots[i].worker->mailbox, &parcels[i]->message);
        else if (parcels[i] != NULL)
            free_parcel(parcels[i]);
    }
    return error;
}

static struct parcel *make_switch(const struct slot *slot, const struct bl_table *master, const struct bl_held *held,
                                  struct shared_classes *classes)
{
    struct parcel *parcel = make_parcel(BL_MESSAGE_SWITCH, held, NULL, classes);

    if (parcel == NULL)
        return NULL;
    parcel->message.table = copy_master(master, slot->worker->socket_id);
    if (parcel->message.table == NULL) {
        free_parcel(parcel);
        return NULL;
    }
    return parcel;
}

int bl_distribute_switch(struct bl_distribute *distribute, const struct bl_table *master,
                         const struct bl_class *classes, const struct bl_held *held)
{
    struct parcel *parcels[BL_DISTRIBUTE_WORKERS_MAX] = {NULL};
    struct shared_classes *shared = share_classes(classes);
    int error;

    if (shared == NULL)
        return BL_ENOMEM;
    for (unsigned i = 0; i < distribute->n_slots; i++)
        parcels[i] = make_switch(&distribute->slots[i], master, held, shared);
    error = send_all(distribute, parcels);
    if (error != BL_OK) {
        drop_classes(shared);
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
    struct parcel *parcels[BL_DISTRIBUTE_WORKERS_MAX] = {NULL};
    struct shared_patch *shared = calloc(1, sizeof(*shared));
    struct shared_classes *shared_classes = NULL;
    int error = BL_ENOMEM;

    if (shared == NULL) {
        bl_table_patch_free(patch);
        return BL_ENOMEM;
    }
    *shared = (struct shared_patch){.n_users = 1, .patch = patch};
    if (classes != NULL)
        shared_classes = share_classes(classes);
    if (classes == NULL || shared_classes != NULL) {
        for (unsigned i = 0; i < distribute->n_slots; i++)
            parcels[i] = make_parcel(BL_MESSAGE_PATCH, held, shared, shared_classes);
        error = send_all(distribute, parcels);
    }
    drop_patch(shared);
    if (error != BL_OK) {
        drop_classes(shared_classes);
        return error;
    }
    note_latest(distribute, held, shared_classes);
    return BL_OK;
}

/* One worker gets a copy of the master. Without a master or memory it stays as it is, and the next poll tries again. */
static void repair(struct bl_distribute *distribute, struct slot *slot, const struct bl_table *master)
{
    struct parcel *parcel;

    if (master == NULL)
        return;
    parcel = make_switch(slot, master, &distribute->latest, distribute->latest_classes);
    if (parcel == NULL)
        return;
    slot->broken = false;
    slot->repairing = true;
    distribute->counts.n_repairs++;
    abandon_comparison(distribute);
    bl_mailbox_send(&slot->worker->mailbox, &parcel->message);
}

static void collect(struct slot *slot, struct parcel *parcel)
{
    struct bl_message *message = &parcel->message;

    if (message->kind == BL_MESSAGE_SWITCH)
        slot->repairing = false;
    if (message->failed)
        slot->broken = !slot->repairing;
    else if (message->kind != BL_MESSAGE_CHECK)
        slot->held = message->held;
    if (parcel->classes != NULL) {
        drop_classes(slot->classes);
        slot->classes = parcel->classes;
        parcel->classes = NULL;
    }
    free_parcel(parcel);
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
            collect(slot, (struct parcel *)message);
        if (slot->broken)
            repair(distribute, slot, master);
        bl_mailbox_flush(&slot->worker->mailbox);
    }
    note_enforced(distribute);
}

/* Asks all workers for a checksum, when all are up to date. */
static void start_comparison(struct bl_distribute *distribute, uint64_t now_ms)
{
    const struct bl_held none = {0};
    struct parcel *parcels[BL_DISTRIBUTE_WORKERS_MAX] = {NULL};

    distribute->compare_next_ms = now_ms + COMPARE_EVERY_MS;
    distribute->round++;
    for (unsigned i = 0; i < distribute->n_slots; i++) {
        distribute->slots[i].checked = false;
        parcels[i] = make_parcel(BL_MESSAGE_CHECK, &none, NULL, NULL);
        if (parcels[i] != NULL)
            parcels[i]->message.round = distribute->round;
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

        if (!slot->checked)
            slot->checked = bl_replica_check_result(&slot->worker->replica, distribute->round, &slot->check_serial,
                                                    &slot->check_sum);
        complete = complete && slot->checked;
    }
    return complete;
}

/* Everybody has answered. One that was being repaired may have answered for another serial: the next round compares it.
 * @return true when the master is the one that differs from all. */
static bool judge(struct bl_distribute *distribute, const struct bl_table *master)
{
    unsigned n_same = 0, n_others = 0;

    for (unsigned i = 0; i < distribute->n_slots; i++) {
        const struct slot *slot = &distribute->slots[i];

        if (slot->check_serial != distribute->compare_serial)
            return false;
        n_same += slot->check_sum == distribute->master_check.sum;
        n_others += slot->check_sum == distribute->slots[0].check_sum;
    }
    if (n_same == distribute->n_slots)
        return false;
    distribute->counts.n_mismatches += distribute->n_slots - n_same;
    if (n_same == 0 && n_others == distribute->n_slots && distribute->n_slots > 1)
        return true;
    for (unsigned i = 0; i < distribute->n_slots; i++)
        if (distribute->slots[i].check_sum != distribute->master_check.sum)
            repair(distribute, &distribute->slots[i], master);
    return false;
}

bool bl_distribute_compare(struct bl_distribute *distribute, const struct bl_table *master, uint64_t now_ms)
{
    if (!distribute->comparing) {
        if (now_ms >= distribute->compare_next_ms && bl_distribute_waiting(distribute) == 0)
            start_comparison(distribute, now_ms);
        return false;
    }
    if (distribute->latest.serial != distribute->compare_serial) {
        distribute->comparing = false;
        distribute->compare_next_ms = now_ms + COMPARE_RETRY_MS;
        return false;
    }
    if (!distribute->master_summed) {
        distribute->master_summed = bl_replica_check_table(master, &distribute->master_check, COMPARE_STEP_BYTES);
        return false;
    }
    if (!gather(distribute))
        return false;
    distribute->comparing = false;
    return judge(distribute, master);
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
