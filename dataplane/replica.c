/* Follows the mailbox; see replica.h. */
#include "dataplane/replica.h"

#include <string.h>

bool bl_replica_check_table(const struct bl_table *table, struct bl_replica_check *check, size_t step_bytes)
{
    size_t size = bl_table_size(table);

    if (check->offset < size) {
        size_t length = size - check->offset < step_bytes ? size - check->offset : step_bytes;

        check->sum = bl_table_checksum(table, check->offset, length, check->sum);
        check->offset += length;
    }
    return check->offset >= size;
}

void bl_replica_check_step(struct bl_replica *replica, size_t step_bytes)
{
    if (replica->round_asked == replica->round_done || replica->current != NULL)
        return;
    if (!bl_replica_check_table(replica->table, &replica->check, step_bytes))
        return;
    replica->check_serial = bl_table_serial(replica->table);
    replica->check_sum = replica->check.sum;
    /* Pairs with the acquire in bl_replica_check_result. */
    __atomic_store_n(&replica->round_done, replica->round_asked, __ATOMIC_RELEASE);
}

bool bl_replica_check_result(const struct bl_replica *replica, uint64_t round, uint64_t *serial, uint64_t *sum)
{
    if (__atomic_load_n(&replica->round_done, __ATOMIC_ACQUIRE) != round)
        return false;
    *serial = replica->check_serial;
    *sum = replica->check_sum;
    return true;
}

static void restart_check(struct bl_replica *replica)
{
    memset(&replica->check, 0, sizeof(replica->check));
}

/* @return true when the message is done at once. A patch never is: its bytes are for bl_replica_follow's steps. */
static bool start_message(struct bl_replica *replica, struct bl_message *message)
{
    struct bl_table *table;

    switch (message->kind) {
    case BL_MESSAGE_SWITCH:
        table = replica->table;
        replica->table = message->table;
        replica->classes = message->classes;
        message->table = table;
        restart_check(replica);
        return true;
    case BL_MESSAGE_CHECK:
        replica->round_asked = message->round;
        restart_check(replica);
        return true;
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
    replica->current = message;
    memset(&replica->cursor, 0, sizeof(replica->cursor));
    restart_check(replica);
    return false;
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
    if (bl_table_apply(replica->table, replica->current->patch, &replica->cursor, step_bytes)) {
        replica->current = NULL;
        bl_mailbox_done(mailbox);
    }
    return true;
}
