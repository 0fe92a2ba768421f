/* Follows the mailbox; see replica.h. */
#include "dataplane/replica.h"

#include <stdlib.h>
#include <string.h>

struct bl_replica_sums *bl_replica_create_sums(size_t n_bytes)
{
    size_t n = (n_bytes + BL_REPLICA_REGION_BYTES - 1) / BL_REPLICA_REGION_BYTES;
    struct bl_replica_sums *sums = calloc(1, sizeof(*sums) + n * sizeof(sums->sums[0]));

    if (sums != NULL)
        sums->room = n;
    return sums;
}

bool bl_replica_check_table(const struct bl_table *table, struct bl_replica_check *check, struct bl_replica_sums *sums,
                            size_t step_bytes)
{
    size_t size = bl_table_size(table);

    while (step_bytes > 0 && check->offset < size) {
        size_t length = BL_REPLICA_REGION_BYTES - check->offset % BL_REPLICA_REGION_BYTES;

        if (length > size - check->offset)
            length = size - check->offset;
        if (length > step_bytes)
            length = step_bytes;
        check->sum = bl_table_checksum(table, check->offset, length, check->sum);
        check->offset += length;
        step_bytes -= length;
        if (check->offset % BL_REPLICA_REGION_BYTES != 0 && check->offset < size)
            continue;
        if (sums->n < sums->room)
            sums->sums[sums->n++] = check->sum;
        check->sum = 0;
    }
    return check->offset >= size;
}

void bl_replica_check_step(struct bl_replica *replica, size_t step_bytes)
{
    if (replica->round_asked == replica->round_done || replica->current != NULL)
        return;
    if (!bl_replica_check_table(replica->table, &replica->check, replica->sums, step_bytes))
        return;
    replica->check_serial = bl_table_serial(replica->table);
    /* Pairs with the acquire in bl_replica_check_result. */
    __atomic_store_n(&replica->round_done, replica->round_asked, __ATOMIC_RELEASE);
}

const struct bl_replica_sums *bl_replica_check_result(const struct bl_replica *replica, uint64_t round,
                                                      uint64_t *serial)
{
    if (__atomic_load_n(&replica->round_done, __ATOMIC_ACQUIRE) != round)
        return NULL;
    *serial = replica->check_serial;
    return replica->sums;
}

/* Sums that are published already are the main core's to read, and stay. */
static void restart_check(struct bl_replica *replica)
{
    if (replica->round_asked == replica->round_done)
        return;
    memset(&replica->check, 0, sizeof(replica->check));
    replica->sums->n = 0;
}

static void start_check(struct bl_replica *replica, struct bl_message *message)
{
    struct bl_replica_sums *sums = replica->sums;

    replica->sums = message->sums;
    message->sums = sums;
    replica->round_asked = message->round;
    restart_check(replica);
}

/* Patches and repairs are begun here; their bytes are for bl_replica_follow's steps. */
static void start_steps(struct bl_replica *replica, struct bl_message *message)
{
    replica->current = message;
    memset(&replica->cursor, 0, sizeof(replica->cursor));
    restart_check(replica);
}

/* @return true when the message is done at once. */
static bool start_message(struct bl_replica *replica, struct bl_message *message)
{
    struct bl_table *table;

    switch (message->kind) {
    case BL_MESSAGE_SWITCH:
        table = replica->table;
        replica->table = message->table;
        replica->table_bytes = message->n_bytes;
        replica->classes = message->classes;
        message->table = table;
        restart_check(replica);
        return true;
    case BL_MESSAGE_CHECK:
        start_check(replica, message);
        return true;
    case BL_MESSAGE_REPAIR:
        if (message->offset + message->n_bytes > replica->table_bytes) {
            message->failed = true;
            return true;
        }
        start_steps(replica, message);
        return false;
    case BL_MESSAGE_PATCH:
        break;
    }
    /* New classes first: an entry of the patch may be of one of them. */
    if (message->classes != NULL)
        replica->classes = message->classes;
    if (!bl_table_patch_fits(replica->table, message->patch)) {
        message->failed = true;
        return true;
    }
    start_steps(replica, message);
    return false;
}

/* A region's bytes may go anywhere in the block, into its header too. */
static bool repair_step(struct bl_replica *replica, size_t step_bytes)
{
    const struct bl_message *message = replica->current;
    size_t done = replica->cursor.offset;
    size_t length = message->n_bytes - done < step_bytes ? message->n_bytes - done : step_bytes;

    memcpy((uint8_t *)replica->table + message->offset + done, message->bytes + done, length);
    replica->cursor.offset += length;
    return replica->cursor.offset == message->n_bytes;
}

/* @return true when the current message is done. */
static bool step(struct bl_replica *replica, size_t step_bytes)
{
    if (replica->current->kind == BL_MESSAGE_REPAIR)
        return repair_step(replica, step_bytes);
    return bl_table_apply(replica->table, replica->current->patch, &replica->cursor, step_bytes);
}

bool bl_replica_follow(struct bl_replica *replica, struct bl_mailbox *mailbox, size_t step_bytes)
{
    struct bl_message *message;

    if (replica->current == NULL) {
        message = bl_mailbox_receive(mailbox);
        if (message == NULL)
            return false;
        if (start_message(replica, message)) {
            bl_mailbox_done(mailbox);
            return true;
        }
    }
    if (step(replica, step_bytes)) {
        replica->current = NULL;
        bl_mailbox_done(mailbox);
    }
    return true;
}
