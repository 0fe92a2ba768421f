/* See loadgen_text.h. */
#include "perf/loadgen_text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "bounceline/address.h"

enum { EPOCH_S = 1024, DAY_S = 86400 };

static size_t put(char *out, size_t room, size_t length, const char *text, size_t bytes)
{
    if (bytes >= room - length)
        bytes = room - length - 1;
    memcpy(out + length, text, bytes);
    return length + bytes;
}

/* The text of RFC 5952, by the C library. */
static void format(const struct loadgen_ends *ends, char out[INET6_ADDRSTRLEN])
{
    char *at = out;

    if (ends->family == BL_FAMILY_IPV6) {
        (void)inet_ntop(AF_INET6, ends->client, out, INET6_ADDRSTRLEN);
        return;
    }
    for (unsigned i = 0; i < 4; i++) {
        unsigned byte = ends->client[i];

        if (byte >= 100)
            *at++ = (char)('0' + byte / 100);
        if (byte >= 10)
            *at++ = (char)('0' + byte / 10 % 10);
        *at++ = (char)('0' + byte % 10);
        *at++ = i < 3 ? '.' : '\0';
    }
}

static size_t put_url(char *out, size_t room, size_t length, const char *url, const char *address)
{
    while (*url != '\0') {
        size_t plain = strcspn(url, "{");

        length = put(out, room, length, url, plain);
        url += plain;
        if (strncmp(url, "{address}", 9) == 0) {
            length = put(out, room, length, address, strlen(address));
            url += 9;
        } else if (strncmp(url, "{ticket}", 8) == 0) {
            length = put(out, room, length, "************", LOADGEN_TICKET_CHARS);
            url += 8;
        } else if (*url != '\0') {
            length = put(out, room, length, url++, 1);
        }
    }
    return length;
}

size_t loadgen_text_deny(const struct loadgen_options *options, const struct loadgen_ends *ends, uint16_t code,
                         char *out, size_t room)
{
    static const char banned[] = " Access denied, banned sending IP [";
    static const char visit[] = "]; To request removal from this list please visit ";
    static const char follow[] = " and follow the directions.\r\n";
    const char status[11] = {'5',
                             '5',
                             '0',
                             ' ',
                             '5',
                             '.',
                             '7',
                             '.',
                             (char)('0' + code / 100),
                             (char)('0' + code / 10 % 10),
                             (char)('0' + code % 10)};
    char address[INET6_ADDRSTRLEN];
    size_t length;

    format(ends, address);
    length = put(out, room, 0, status, sizeof(status));
    length = put(out, room, length, banned, sizeof(banned) - 1);
    length = put(out, room, length, address, strlen(address));
    length = put(out, room, length, visit, sizeof(visit) - 1);
    length = put_url(out, room, length, options->url, address);
    return put(out, room, length, follow, sizeof(follow) - 1);
}

/* include/bounceline/ticket.h: "ticket = the upper 60 bits of SipHash-2-4(key of the day, address unit, day)". */
static void make_ticket(const struct loadgen_options *options, const struct loadgen_ends *ends, uint64_t day,
                        char out[LOADGEN_TICKET_CHARS])
{
    uint8_t key_record[40] = "bounceline ticket key";
    uint8_t record[32] = {0};
    struct bl_siphash_key daily;
    uint64_t bits, half = 1;
    unsigned length = ends->family == BL_FAMILY_IPV4 ? 32 : options->ipv6_unit;

    memcpy(key_record + 24, &day, sizeof(day));
    daily.k0 = bl_siphash(&options->ticket_key, key_record, sizeof(key_record));
    memcpy(key_record + 32, &half, sizeof(half));
    daily.k1 = bl_siphash(&options->ticket_key, key_record, sizeof(key_record));
    for (unsigned bit = 0; bit < length; bit++)
        record[bit / 8] |= (uint8_t)(ends->client[bit / 8] & (0x80 >> bit % 8));
    record[16] = (uint8_t)length;
    record[17] = ends->family;
    memcpy(record + 24, &day, sizeof(day));
    bits = bl_siphash(&daily, record, sizeof(record)) >> 4;
    for (unsigned i = 0; i < LOADGEN_TICKET_CHARS; i++)
        out[i] = "abcdefghijklmnopqrstuvwxyz234567"[bits >> (55 - 5 * i) & 31];
}

bool loadgen_text_is_ticket(const struct loadgen_options *options, const struct loadgen_ends *ends, const char *text,
                            uint64_t time_s)
{
    char right[LOADGEN_TICKET_CHARS];

    if (!options->has_ticket_key) {
        for (unsigned i = 0; i < LOADGEN_TICKET_CHARS; i++)
            if (!((text[i] >= 'a' && text[i] <= 'z') || (text[i] >= '2' && text[i] <= '7')))
                return false;
        return true;
    }
    for (uint64_t back = 0; back <= 1; back++) {
        make_ticket(options, ends, time_s / DAY_S - back, right);
        if (memcmp(right, text, sizeof(right)) == 0)
            return true;
    }
    return false;
}

/* dataplane/cookie.c: the hashed record is source, destination, ports, epoch in host order. */
bool loadgen_text_is_cookie(const struct bl_siphash_key *key, const struct loadgen_ends *ends, uint32_t isn,
                            uint64_t time_s)
{
    const uint8_t *addresses[2] = {ends->client, ends->server};
    unsigned n = ends->family == BL_FAMILY_IPV4 ? 4 : 8; /* bytes of a word */
    unsigned words = ends->family == BL_FAMILY_IPV4 ? 1 : 2;
    uint8_t record[40];
    uint8_t *at = record;
    uint32_t last[2] = {(uint32_t)ends->client_port << 16 | ends->server_port, 0};

    for (unsigned i = 0; i < 2; i++)
        for (unsigned word = 0; word < words; word++)
            for (unsigned byte = n; byte-- > 0;)
                *at++ = addresses[i][word * n + byte];
    for (int step = -1; step <= 1; step++) {
        last[1] = (uint32_t)(time_s / EPOCH_S) + (uint32_t)step;
        memcpy(at, last, sizeof(last));
        if ((uint32_t)bl_siphash(key, record, (size_t)(at - record) + sizeof(last)) == isn)
            return true;
    }
    return false;
}
