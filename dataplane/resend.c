/* Handshakes that may have lost a packet; see resend.h.
 *
 * An entry's due_ticks names the one item of the queue that counts for it; items of entries that were cleared, moved on
 * or overwritten are passed over when their time comes. An entry whose tries are used up stays, as the first to be
 * overwritten: its ACK may still come, and earns its credit. */
#include "dataplane/resend.h"

#include <string.h>

enum { IPV4_BYTES = 20, IPV6_BYTES = 40, TCP_BYTES = 20, PORTS_BYTES = 4 };

_Static_assert(sizeof(struct bl_resend_entry) <= 128, "two cache lines a handshake");

void bl_resend_init(struct bl_resend *resend, struct bl_resend_entry *entries, struct bl_resend_item *items,
                    uint32_t n_entries)
{
    memset(resend, 0, sizeof(*resend));
    resend->entries = entries;
    resend->items = items;
    resend->n_entries = n_entries;
    resend->n_credits = BL_RESEND_CREDITS_FIRST;
}

void bl_resend_set_time(struct bl_resend *resend, uint32_t per_s, uint64_t ticks_per_s)
{
    resend->wait_ticks = ticks_per_s * BL_RESEND_WAIT_S;
    bl_bucket_init(&resend->limit, per_s, ticks_per_s);
}

/* The set of this cookie. */
static struct bl_resend_entry *set_of(struct bl_resend *resend, uint64_t cookie)
{
    uint32_t n_sets = resend->n_entries / BL_RESEND_WAYS;

    return &resend->entries[((cookie >> 32) & (n_sets - 1)) * BL_RESEND_WAYS];
}

static struct bl_resend_entry *find(struct bl_resend *resend, uint64_t cookie)
{
    struct bl_resend_entry *set;

    if (resend->n_entries == 0)
        return NULL;
    set = set_of(resend, cookie);
    for (unsigned i = 0; i < BL_RESEND_WAYS; i++)
        if (set[i].state != BL_RESEND_FREE && set[i].cookie == cookie)
            return &set[i];
    return NULL;
}

/* A free one of its set, or the one that has waited longest. */
static struct bl_resend_entry *take_oldest(struct bl_resend *resend, uint64_t cookie)
{
    struct bl_resend_entry *set = set_of(resend, cookie);
    struct bl_resend_entry *oldest = &set[0];

    for (unsigned i = 0; i < BL_RESEND_WAYS; i++) {
        if (set[i].state == BL_RESEND_FREE)
            return &set[i];
        if (set[i].due_ticks < oldest->due_ticks)
            oldest = &set[i];
    }
    return oldest;
}

/* A full queue forgets its first item. */
static void queue(struct bl_resend *resend, struct bl_resend_entry *entry, uint64_t now_ticks)
{
    struct bl_resend_item *item = &resend->items[resend->n_pushed & (resend->n_entries - 1)];

    if (resend->n_pushed - resend->n_popped == resend->n_entries)
        resend->n_popped++;
    entry->due_ticks = now_ticks + resend->wait_ticks;
    *item = (struct bl_resend_item){entry->due_ticks, (uint32_t)(entry - resend->entries)};
    resend->n_pushed++;
}

/* Only what bl_segment_build reads of a frame; options and extension headers are left out. */
static void keep_headers(struct bl_resend_entry *entry, const uint8_t *frame, const struct bl_packet *packet)
{
    size_t ip_bytes = packet->family == BL_FAMILY_IPV4 ? IPV4_BYTES : IPV6_BYTES;

    entry->family = packet->family;
    entry->l3_offset = (uint8_t)packet->l3_offset;
    entry->l4_offset = (uint8_t)(packet->l3_offset + ip_bytes);
    memcpy(entry->headers, frame, packet->l3_offset + ip_bytes);
    memcpy(entry->headers + entry->l4_offset, frame + packet->l4_offset, PORTS_BYTES);
}

/* The entry of this dialogue, made anew where there is none. */
static struct bl_resend_entry *obtain(struct bl_resend *resend, const uint8_t *frame, const struct bl_packet *packet,
                                      uint64_t cookie)
{
    struct bl_resend_entry *entry = find(resend, cookie);

    if (entry != NULL)
        return entry;
    entry = take_oldest(resend, cookie);
    entry->state = BL_RESEND_FREE;
    entry->cookie = cookie;
    keep_headers(entry, frame, packet);
    return entry;
}

/* The same again does not get its tries again. */
static void note(struct bl_resend *resend, struct bl_resend_entry *entry, enum bl_resend_state state, uint32_t sequence,
                 uint64_t now_ticks)
{
    if (entry->state != (uint8_t)state || entry->sequence != sequence)
        entry->n_tries = 0;
    entry->state = (uint8_t)state;
    entry->sequence = sequence;
    if (entry->n_tries < BL_RESEND_TRIES_MAX)
        queue(resend, entry, now_ticks);
}

void bl_resend_note_syn(struct bl_resend *resend, const uint8_t *frame, const struct bl_packet *packet, uint64_t cookie,
                        uint64_t now_ticks)
{
    bool has_options = packet->payload_offset - packet->l4_offset > TCP_BYTES;

    if (resend->n_entries != 0 && has_options)
        note(resend, obtain(resend, frame, packet, cookie), BL_RESEND_SYN_ACK, packet->sequence + 1, now_ticks);
}

void bl_resend_note_greeting(struct bl_resend *resend, const uint8_t *frame, const struct bl_packet *packet,
                             uint64_t cookie, uint64_t now_ticks)
{
    struct bl_resend_entry *entry;

    if (resend->n_entries == 0)
        return;
    entry = obtain(resend, frame, packet, cookie);
    if (entry->state == BL_RESEND_SYN_ACK && resend->n_credits < BL_RESEND_CREDITS_MAX)
        resend->n_credits++;
    note(resend, entry, BL_RESEND_GREETING, packet->sequence, now_ticks);
}

void bl_resend_clear(struct bl_resend *resend, uint64_t cookie)
{
    struct bl_resend_entry *entry = find(resend, cookie);

    if (entry != NULL)
        entry->state = BL_RESEND_FREE;
}

/* @return false when neither the credit nor the rate allows it. */
static bool may_send(struct bl_resend *resend, const struct bl_resend_entry *entry, uint64_t now_ticks)
{
    bool earned = entry->state == BL_RESEND_SYN_ACK;

    if ((earned && resend->n_credits == 0) || !bl_bucket_take(&resend->limit, now_ticks))
        return false;
    if (earned)
        resend->n_credits--;
    return true;
}

static void describe(const struct bl_resend_entry *entry, struct bl_resend_due *due)
{
    due->state = (enum bl_resend_state)entry->state;
    due->cookie = entry->cookie;
    due->sequence = entry->sequence;
    due->headers = entry->headers;
    memset(&due->packet, 0, sizeof(due->packet));
    due->packet.family = entry->family;
    due->packet.l3_offset = entry->l3_offset;
    due->packet.l4_offset = entry->l4_offset;
}

bool bl_resend_next(struct bl_resend *resend, uint64_t now_ticks, struct bl_resend_due *due, uint64_t *n_limited)
{
    while (resend->n_popped != resend->n_pushed) {
        const struct bl_resend_item *item = &resend->items[resend->n_popped & (resend->n_entries - 1)];
        struct bl_resend_entry *entry = &resend->entries[item->entry];

        if (item->due_ticks > now_ticks)
            return false;
        resend->n_popped++;
        if (entry->state == BL_RESEND_FREE || entry->due_ticks != item->due_ticks)
            continue;
        if (!may_send(resend, entry, now_ticks)) {
            entry->due_ticks = 0;
            (*n_limited)++;
            continue;
        }
        describe(entry, due);
        entry->due_ticks = 0;
        if (++entry->n_tries < BL_RESEND_TRIES_MAX)
            queue(resend, entry, now_ticks);
        return true;
    }
    return false;
}
