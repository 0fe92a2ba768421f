/* The ticket in the 550's URL; see ticket.h.
 *
 * Both hashed records are of fixed length and without padding, so that no two of them share their bytes: their layout
 * is as fixed as a wire format. */
#include "bounceline/ticket.h"

#include <string.h>

struct key_record {
    char purpose[24];
    uint64_t day;
    uint64_t half;
};

struct ticket_record {
    uint8_t address[16];
    uint8_t length;
    uint8_t family;
    uint8_t zero[6];
    uint64_t day;
};

_Static_assert(sizeof(struct key_record) == 40 && sizeof(struct ticket_record) == 32, "padding would be hashed");

enum { BITS_A_CHAR = 5, UNUSED_BITS = 64 - BITS_A_CHAR * BL_TICKET_CHARS };

static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

struct bl_prefix bl_ticket_unit(const struct bl_address *address, uint8_t ipv6_unit)
{
    struct bl_prefix unit = bl_address_host_prefix(address);

    if (unit.family == BL_FAMILY_IPV6) {
        unit.length = ipv6_unit;
        bl_address_prefix_mask(&unit);
    }
    return unit;
}

static struct bl_siphash_key key_of_day(const struct bl_siphash_key *key, uint64_t day)
{
    struct key_record record = {.purpose = "bounceline ticket key", .day = day};
    struct bl_siphash_key out;

    out.k0 = bl_siphash(key, &record, sizeof(record));
    record.half = 1;
    out.k1 = bl_siphash(key, &record, sizeof(record));
    return out;
}

char *bl_ticket_make(const struct bl_siphash_key *key, const struct bl_prefix *unit, uint64_t day,
                     char out[BL_TICKET_TEXT_MAX])
{
    struct bl_siphash_key daily = key_of_day(key, day);
    struct ticket_record record = {.length = unit->length, .family = unit->family, .day = day};
    uint64_t bits;

    memcpy(record.address, unit->bytes, sizeof(record.address));
    bits = bl_siphash(&daily, &record, sizeof(record)) >> UNUSED_BITS;
    for (int i = BL_TICKET_CHARS - 1; i >= 0; i--) {
        out[i] = alphabet[bits & 31];
        bits >>= BITS_A_CHAR;
    }
    out[BL_TICKET_CHARS] = '\0';
    return out;
}

bool bl_ticket_verify(const struct bl_siphash_key *key, const struct bl_prefix *unit, uint64_t today, const char *text,
                      uint64_t *age_days)
{
    char folded[BL_TICKET_CHARS] = "";
    bool found = false;

    if (strnlen(text, BL_TICKET_TEXT_MAX) != BL_TICKET_CHARS)
        return false;
    for (unsigned i = 0; i < BL_TICKET_CHARS; i++)
        folded[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] - 'A' + 'a' : text[i]);
    /* Every day and every character is looked at: how long it takes must not tell how much of a guess was right. */
    for (uint64_t age = 0; age <= BL_TICKET_DAYS_MAX; age++) {
        char right[BL_TICKET_TEXT_MAX];
        unsigned difference = 0;

        bl_ticket_make(key, unit, today - age, right);
        for (unsigned i = 0; i < BL_TICKET_CHARS; i++)
            difference |= (unsigned)(unsigned char)folded[i] ^ (unsigned)(unsigned char)right[i];
        if (difference == 0) {
            *age_days = age;
            found = true;
        }
    }
    return found;
}
