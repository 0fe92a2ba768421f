/* Messages to one worker and their acknowledgements; see mailbox.h. */
#include "dataplane/mailbox.h"

#include <stddef.h>
#include <string.h>

#include "bounceline/error.h"

int bl_mailbox_init(struct bl_mailbox *mailbox, const char *name, int socket_id)
{
    memset(mailbox, 0, sizeof(*mailbox));
    mailbox->ring = rte_ring_create(name, BL_MAILBOX_RING, socket_id, RING_F_SP_ENQ | RING_F_SC_DEQ);
    return mailbox->ring == NULL ? BL_ENOMEM : BL_OK;
}

void bl_mailbox_fini(struct bl_mailbox *mailbox)
{
    rte_ring_free(mailbox->ring);
    mailbox->ring = NULL;
}

void bl_mailbox_send(struct bl_mailbox *mailbox, struct bl_message *message)
{
    message->next = NULL;
    if (mailbox->last == NULL)
        mailbox->first = message;
    else
        mailbox->last->next = message;
    mailbox->last = message;
    if (mailbox->unsent == NULL)
        mailbox->unsent = message;
    mailbox->n_waiting++;
    bl_mailbox_flush(mailbox);
}

void bl_mailbox_flush(struct bl_mailbox *mailbox)
{
    while (mailbox->unsent != NULL && rte_ring_sp_enqueue(mailbox->ring, mailbox->unsent) == 0)
        mailbox->unsent = mailbox->unsent->next;
}

struct bl_message *bl_mailbox_collect(struct bl_mailbox *mailbox)
{
    /* Pairs with the release in bl_mailbox_done: what the worker wrote into the message is seen. */
    if (mailbox->n_collected == __atomic_load_n(&mailbox->n_done, __ATOMIC_ACQUIRE))
        return NULL;
    mailbox->n_collected++;
    return bl_mailbox_take_back(mailbox);
}

struct bl_message *bl_mailbox_take_back(struct bl_mailbox *mailbox)
{
    struct bl_message *message = mailbox->first;

    if (message == NULL)
        return NULL;
    mailbox->first = message->next;
    if (mailbox->first == NULL)
        mailbox->last = NULL;
    if (mailbox->unsent == message)
        mailbox->unsent = message->next;
    mailbox->n_waiting--;
    return message;
}

struct bl_message *bl_mailbox_receive(struct bl_mailbox *mailbox)
{
    void *message;

    return rte_ring_sc_dequeue(mailbox->ring, &message) == 0 ? message : NULL;
}

void bl_mailbox_done(struct bl_mailbox *mailbox)
{
    __atomic_store_n(&mailbox->n_done, mailbox->n_done + 1, __ATOMIC_RELEASE);
}
