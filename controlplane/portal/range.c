/* See range.h. A network has 256 units and an entry is a unit once, so that the entries never run out. */
#include "controlplane/portal/range.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { UNIT_BITS_OF_NETWORK = 8, WORD_MAX = 512 };

static bool is_ticket(const char *word)
{
    if (strlen(word) != BL_TICKET_CHARS)
        return false;
    for (; *word != '\0'; word++) {
        if (!isalpha((unsigned char)*word) && (*word < '2' || *word > '7'))
            return false;
    }
    return true;
}

static bool same_unit(const struct bl_address *a, const struct bl_address *b, uint8_t ipv6_unit)
{
    struct bl_prefix one = bl_ticket_unit(a, ipv6_unit);
    struct bl_prefix other = bl_ticket_unit(b, ipv6_unit);

    return bl_address_prefix_compare(&one, &other) == 0;
}

static struct bl_range_entry *find_entry(struct bl_range *range, const struct bl_address *address, uint8_t ipv6_unit)
{
    for (size_t i = 0; i < range->n; i++) {
        if (same_unit(&range->entries[i].address, address, ipv6_unit))
            return &range->entries[i];
    }
    return NULL;
}

/* Adds one, or finds its unit; *entry is where a ticket behind it goes. */
static enum bl_range_mistake add_address(struct bl_range *range, const struct bl_address *address, uint8_t ipv6_unit,
                                         struct bl_range_entry **entry)
{
    struct bl_prefix unit = bl_ticket_unit(address, ipv6_unit);

    if (bl_address_reserved(&unit) != NULL)
        return BL_RANGE_RESERVED;
    if (range->n == 0) {
        range->network = unit;
        range->network.length = (uint8_t)(unit.length - UNIT_BITS_OF_NETWORK);
        bl_address_prefix_mask(&range->network);
    } else if (!bl_address_prefix_covers(&range->network, &unit)) {
        return BL_RANGE_APART;
    }
    *entry = find_entry(range, address, ipv6_unit);
    if (*entry == NULL) {
        *entry = &range->entries[range->n++];
        (*entry)->address = *address;
        (*entry)->ticket[0] = '\0';
    }
    return BL_RANGE_NONE;
}

/* A prefix's units, each by its first address. */
static enum bl_range_mistake add_prefix(struct bl_range *range, const char *word, uint8_t ipv6_unit)
{
    struct bl_prefix prefix;
    struct bl_address address = {.family = BL_FAMILY_NONE};
    struct bl_range_entry *entry;
    enum bl_range_mistake mistake = BL_RANGE_NONE;
    uint8_t unit_length;

    if (bl_address_parse_prefix(word, ipv6_unit, &prefix, NULL) != BL_OK)
        return BL_RANGE_WORD;
    unit_length = prefix.family == BL_FAMILY_IPV4 ? 32 : ipv6_unit;
    if (prefix.length > unit_length)
        return BL_RANGE_WORD;
    if (prefix.length + UNIT_BITS_OF_NETWORK < unit_length)
        return BL_RANGE_APART;
    memcpy(address.bytes, prefix.bytes, sizeof(address.bytes));
    address.family = prefix.family;
    /* The unit's own last 8 bits may lie across two bytes (ipv6_unit: 52). */
    for (unsigned i = 0; i < 1U << (unit_length - prefix.length) && mistake == BL_RANGE_NONE; i++) {
        struct bl_address one = address;
        unsigned last = (unit_length - 1) / 8;
        unsigned shifted = i << (7 - (unit_length - 1) % 8);

        one.bytes[last] |= (uint8_t)shifted;
        one.bytes[last - 1] |= (uint8_t)(shifted >> 8);
        mistake = add_address(range, &one, ipv6_unit, &entry);
    }
    return mistake;
}

/* The value of a parameter in a URL, up to its end: "ip=", "t=". @return false: it has none, or too long a one. */
static bool find_parameter(const char *url, const char *name, char *out, size_t size)
{
    const char *at = strchr(url, '?');
    size_t length = strlen(name);

    while (at != NULL && strncmp(at + 1, name, length) != 0)
        at = strchr(at + 1, '&');
    if (at == NULL)
        return false;
    at += 1 + length;
    length = strcspn(at, "&#");
    if (length >= size)
        return false;
    memcpy(out, at, length);
    out[length] = '\0';
    return true;
}

static enum bl_range_mistake add_url(struct bl_range *range, const char *word, uint8_t ipv6_unit)
{
    char text[BL_ADDRESS_TEXT_MAX];
    char ticket[BL_TICKET_TEXT_MAX];
    struct bl_address address;
    struct bl_range_entry *entry;
    enum bl_range_mistake mistake;

    if (!find_parameter(word, "ip=", text, sizeof(text)) || bl_address_parse(text, &address, NULL) != BL_OK)
        return BL_RANGE_WORD;
    mistake = add_address(range, &address, ipv6_unit, &entry);
    if (mistake == BL_RANGE_NONE && find_parameter(word, "t=", ticket, sizeof(ticket)) && is_ticket(ticket))
        memcpy(entry->ticket, ticket, sizeof(ticket));
    return mistake;
}

/* *last: the entry that a ticket belongs to, or NULL. */
static enum bl_range_mistake take_word(struct bl_range *range, char *word, uint8_t ipv6_unit,
                                       struct bl_range_entry **last)
{
    struct bl_address address;
    size_t length = strlen(word);

    if (is_ticket(word) && *last != NULL) {
        memcpy((*last)->ticket, word, BL_TICKET_TEXT_MAX);
        *last = NULL;
        return BL_RANGE_NONE;
    }
    *last = NULL;
    if (strncmp(word, "http://", 7) == 0 || strncmp(word, "https://", 8) == 0)
        return add_url(range, word, ipv6_unit);
    if (strchr(word, '/') != NULL)
        return add_prefix(range, word, ipv6_unit);
    if (word[0] == '[' && word[length - 1] == ']') {
        word[length - 1] = '\0';
        word++;
    }
    if (bl_address_parse(word, &address, NULL) != BL_OK)
        return BL_RANGE_WORD;
    return add_address(range, &address, ipv6_unit, last);
}

enum bl_range_mistake bl_range_read(const char *text, uint8_t ipv6_unit, struct bl_range *out)
{
    static const char between[] = " ,;\t\r\n";
    struct bl_range_entry *last = NULL;
    enum bl_range_mistake mistake = BL_RANGE_NONE;

    out->n = 0;
    out->word[0] = '\0';
    for (text += strspn(text, between); *text != '\0'; text += strspn(text, between)) {
        char word[WORD_MAX];
        size_t length = strcspn(text, between);

        (void)snprintf(out->word, sizeof(out->word), "%.*s", (int)length, text);
        if (length >= sizeof(word))
            return BL_RANGE_WORD;
        memcpy(word, text, length);
        word[length] = '\0';
        mistake = take_word(out, word, ipv6_unit, &last);
        if (mistake != BL_RANGE_NONE)
            return mistake;
        text += length;
    }
    return out->n == 0 ? BL_RANGE_EMPTY : BL_RANGE_NONE;
}
