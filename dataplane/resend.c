/* Handshakes that may have lost a packet; see resend.h.
 *
 * An entry is there when its set has its cookie. Its due_ticks names the one item of the queue that counts for it; items
 * of entries that were cleared, moved on or overwritten are passed over when their time comes. An entry whose tries are
 * used up stays: its ACK may still come, and earns its credit. */
#include "dataplane/resend.h"

#include <string.h>

enum { IPV4_BYTES = 20, IPV6_BYTES = 40, TCP_BYTES = 20, PORTS_BYTES = 4 };

/* Items that one call looks at: what was cleared or limited costs two lines of cache each. */
enum { LOOKS_MAX = 64 };

_Static_assert(sizeof(struct bl_resend_set) == 64 && sizeof(struct bl_resend_entry) == 128, "whole cache lines");

struct bl_resend_memory bl_resend_size(uint32_t n_handshakes)
{
    struct bl_resend_memory memory = {.n_sets = (n_handshakes + BL_RESEND_WAYS - 1) / BL_RESEND_WAYS, .n_items = 1};

    while (memory.n_items < memory.n_sets * BL_RESEND_WAYS)
        memory.n_items *= 2;
    return memory;
}

void bl_resend_init(struct bl_resend *resend, const struct bl_resend_memory *memory)
{
    memset(resend, 0, sizeof(*resend));
    resend->memory = *memory;
    resend->n_credits = BL_RESEND_CREDITS_FIRST;
}

void bl_resend_set_time(struct bl_resend *resend, uint32_t per_s, uint64_t ticks_per_s)
{
    resend->wait_ticks = ticks_per_s * BL_RESEND_WAIT_S;
    bl_bucket_init(&resend->limit, per_s, ticks_per_s);
}

static struct bl_resend_set *set_of(const struct bl_resend *resend, uint64_t cookie)
{
    return &resend->memory.sets[((cookie >> 32) * resend->memory.n_sets) >> 32];
}

static struct bl_resend_entry *entry_of(const struct bl_resend *resend, const struct bl_resend_set *set, unsigned way)
{
    return &resend->memory.entries[(size_t)(set - resend->memory.sets) * BL_RESEND_WAYS + way];
}

/* The way that has the cookie; BL_RESEND_WAYS when there is none. */
static unsigned find(const struct bl_resend_set *set, uint64_t cookie)
{
    unsigned way = 0;

    while (way < BL_RESEND_WAYS && set->cookies[way] != cookie)
        way++;
    return way;
}

/* A full queue forgets its first item. */
static void queue(struct bl_resend *resend, struct bl_resend_entry *entry, uint64_t cookie, uint64_t now_ticks)
{
    struct bl_resend_item *item = &resend->memory.items[resend->n_pushed & (resend->memory.n_items - 1)];

    if (resend->n_pushed - resend->n_popped == resend->memory.n_items)
        resend->n_popped++;
    entry->due_ticks = now_ticks + resend->wait_ticks;
    *item = (struct bl_resend_item){entry->due_ticks, cookie};
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

/* The way that the dialogue has, or would get: a free one or the oldest's. */
static unsigned choose(const struct bl_resend_set *set, uint64_t cookie, bool *known)
{
    unsigned way = find(set, cookie);

    *known = way < BL_RESEND_WAYS;
    if (!*known)
        way = find(set, 0);
    return way < BL_RESEND_WAYS ? way : (unsigned)set->oldest;
}

/* The empty statement is no comment: gcc takes a function that does nothing but prefetch for one without effects, and
 * leaves its calls out. */
static void fetch(const void *line)
{
    __builtin_prefetch(line, 1);
    __asm__ volatile("");
}

void bl_resend_fetch_set(const struct bl_resend *resend, uint64_t cookie)
{
    if (resend->memory.n_sets != 0)
        fetch(set_of(resend, cookie));
}

void bl_resend_fetch_entry(const struct bl_resend *resend, uint64_t cookie)
{
    const struct bl_resend_set *set;
    const uint8_t *entry;
    bool known;

    if (resend->memory.n_sets == 0)
        return;
    set = set_of(resend, cookie);
    entry = (const uint8_t *)entry_of(resend, set, choose(set, cookie, &known));
    fetch(entry);
    fetch(entry + sizeof(struct bl_resend_entry) / 2);
}

/* The entry of this dialogue; *known false: it was made anew, in a free way or in place of the oldest. The way back is
 * that of the latest segment: a router may have been replaced since the SYN. */
static struct bl_resend_entry *obtain(struct bl_resend *resend, const uint8_t *frame, const struct bl_packet *packet,
                                      uint64_t cookie, bool *known)
{
    struct bl_resend_set *set = set_of(resend, cookie);
    unsigned way = choose(set, cookie, known);
    struct bl_resend_entry *entry;

    /* A way that is neither known nor free is the oldest's. */
    if (!*known && set->cookies[way] != 0)
        set->oldest = (set->oldest + 1) % BL_RESEND_WAYS;
    set->cookies[way] = cookie;
    entry = entry_of(resend, set, way);
    if (!*known)
        entry->n_tries = 0;
    keep_headers(entry, frame, packet);
    return entry;
}

/* The same again does not get its tries again. */
static void note(struct bl_resend *resend, struct bl_resend_entry *entry, const struct bl_resend_due *news,
                 uint64_t now_ticks)
{
    if (entry->state != (uint8_t)news->state || entry->sequence != news->sequence)
        entry->n_tries = 0;
    entry->state = (uint8_t)news->state;
    entry->sequence = news->sequence;
    if (entry->n_tries < BL_RESEND_TRIES_MAX)
        queue(resend, entry, news->cookie, now_ticks);
}

void bl_resend_note_syn(struct bl_resend *resend, const uint8_t *frame, const struct bl_packet *packet, uint64_t cookie,
                        uint64_t now_ticks)
{
    const struct bl_resend_due news = {.state = BL_RESEND_SYN_ACK, .cookie = cookie, .sequence = packet->sequence + 1};
    bool has_options = packet->payload_offset - packet->l4_offset > TCP_BYTES;
    bool known;

    if (resend->memory.n_sets != 0 && has_options)
        note(resend, obtain(resend, frame, packet, cookie, &known), &news, now_ticks);
}

void bl_resend_note_greeting(struct bl_resend *resend, const uint8_t *frame, const struct bl_packet *packet,
                             uint64_t cookie, uint64_t now_ticks)
{
    const struct bl_resend_due news = {.state = BL_RESEND_GREETING, .cookie = cookie, .sequence = packet->sequence};
    struct bl_resend_entry *entry;
    bool known;

    if (resend->memory.n_sets == 0)
        return;
    entry = obtain(resend, frame, packet, cookie, &known);
    if (known && entry->state == BL_RESEND_SYN_ACK && resend->n_credits < BL_RESEND_CREDITS_MAX)
        resend->n_credits++;
    note(resend, entry, &news, now_ticks);
}

void bl_resend_clear(struct bl_resend *resend, uint64_t cookie)
{
    struct bl_resend_set *set;
    unsigned way;

    if (resend->memory.n_sets == 0)
        return;
    set = set_of(resend, cookie);
    way = find(set, cookie);
    if (way < BL_RESEND_WAYS)
        set->cookies[way] = 0;
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

static void describe(const struct bl_resend_entry *entry, uint64_t cookie, struct bl_resend_due *due)
{
    due->state = (enum bl_resend_state)entry->state;
    due->cookie = cookie;
    due->sequence = entry->sequence;
    due->headers = entry->headers;
    memset(&due->packet, 0, sizeof(due->packet));
    due->packet.family = entry->family;
    due->packet.l3_offset = entry->l3_offset;
    due->packet.l4_offset = entry->l4_offset;
}

/* The entry that the item is about; NULL when it has gone, or another item counts. */
static struct bl_resend_entry *recall(const struct bl_resend *resend, const struct bl_resend_item *item)
{
    const struct bl_resend_set *set = set_of(resend, item->cookie);
    unsigned way = find(set, item->cookie);
    struct bl_resend_entry *entry;

    if (way == BL_RESEND_WAYS)
        return NULL;
    entry = entry_of(resend, set, way);
    return entry->due_ticks == item->due_ticks ? entry : NULL;
}

bool bl_resend_next(struct bl_resend *resend, uint64_t now_ticks, struct bl_resend_due *due, uint64_t *n_limited)
{
    for (unsigned n = 0; n < LOOKS_MAX && resend->n_popped != resend->n_pushed; n++) {
        struct bl_resend_item item = resend->memory.items[resend->n_popped & (resend->memory.n_items - 1)];
        struct bl_resend_entry *entry;

        /* One that is further ahead than anything is put: time has gone back, and it would wait until that is made up. */
        if (item.due_ticks > now_ticks && item.due_ticks - now_ticks <= resend->wait_ticks)
            return false;
        resend->n_popped++;
        entry = recall(resend, &item);
        if (entry == NULL)
            continue;
        entry->due_ticks = 0;
        if (!may_send(resend, entry, now_ticks)) {
            (*n_limited)++;
            continue;
        }
        describe(entry, item.cookie, due);
        if (++entry->n_tries < BL_RESEND_TRIES_MAX)
            queue(resend, entry, item.cookie, now_ticks);
        return true;
    }
    return false;
}
