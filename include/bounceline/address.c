/* Addresses and prefixes, text in and out; see address.h. */
#include "bounceline/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

uint8_t bl_address_bits(uint8_t family)
{
    return family == BL_FAMILY_IPV4 ? 32 : 128;
}

/* inet_pton refuses leading zeros, spaces, zones and ports for us; it takes them in no form. */
static int parse_text(const char *text, struct bl_address *out, struct bl_error_detail *detail)
{
    struct bl_address address = {0};

    if (inet_pton(AF_INET, text, address.bytes) == 1) {
        address.family = BL_FAMILY_IPV4;
    } else if (inet_pton(AF_INET6, text, address.bytes) == 1) {
        address.family = BL_FAMILY_IPV6;
    } else {
        return bl_error_set(detail, BL_EINVAL, "'%.60s': expected an IPv4 or IPv6 address", text);
    }
    *out = address;
    return BL_OK;
}

static bool is_mapped(const struct bl_address *address)
{
    return address->family == BL_FAMILY_IPV6 && memcmp(address->bytes, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

static void unmap(uint8_t bytes[16])
{
    memmove(bytes, bytes + 12, 4);
    memset(bytes + 4, 0, 12);
}

int bl_address_parse(const char *text, struct bl_address *out, struct bl_error_detail *detail)
{
    struct bl_address address;
    int error = parse_text(text, &address, detail);

    if (error != BL_OK)
        return error;
    if (is_mapped(&address)) {
        unmap(address.bytes);
        address.family = BL_FAMILY_IPV4;
    }
    *out = address;
    return BL_OK;
}

/* "0".."128" without sign, space or leading zero. */
static int parse_length(const char *text, unsigned max, unsigned *out)
{
    unsigned value = 0;

    if (text[0] == '\0' || strlen(text) > 3 || (text[0] == '0' && text[1] != '\0'))
        return BL_EINVAL;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return BL_EINVAL;
        value = value * 10 + (unsigned)(*text - '0');
    }
    if (value > max)
        return BL_ERANGE;
    *out = value;
    return BL_OK;
}

int bl_address_parse_prefix(const char *text, uint8_t ipv6_unit, struct bl_prefix *out, struct bl_error_detail *detail)
{
    char head[INET6_ADDRSTRLEN + 1];
    const char *slash = strchr(text, '/');
    size_t head_length = slash == NULL ? strlen(text) : (size_t)(slash - text);
    struct bl_address address;
    struct bl_prefix prefix = {0};
    unsigned length = 0;
    int error;

    if (head_length >= sizeof(head))
        return bl_error_set(detail, BL_EINVAL, "'%.60s': expected an address or a prefix", text);
    memcpy(head, text, head_length);
    head[head_length] = '\0';
    error = parse_text(head, &address, detail);
    if (error != BL_OK)
        return error;
    if (slash != NULL) {
        error = parse_length(slash + 1, bl_address_bits(address.family), &length);
        if (error != BL_OK)
            return bl_error_set(detail, error, "'%.60s': expected a prefix length of 0..%u", text,
                                bl_address_bits(address.family));
    }
    if (is_mapped(&address) && (slash == NULL || length >= 96)) {
        unmap(address.bytes);
        address.family = BL_FAMILY_IPV4;
        length = slash == NULL ? 0 : length - 96;
    }
    memcpy(prefix.bytes, address.bytes, sizeof(prefix.bytes));
    prefix.family = address.family;
    if (slash == NULL) {
        prefix.length = address.family == BL_FAMILY_IPV4 ? 32 : ipv6_unit;
        bl_address_prefix_mask(&prefix);
    } else {
        prefix.length = (uint8_t)length;
        if (!bl_address_prefix_canonical(&prefix)) {
            char want[BL_ADDRESS_TEXT_MAX];

            bl_address_prefix_mask(&prefix);
            return bl_error_set(detail, BL_EINVAL, "'%.60s': has bits set behind its length: expected %s", text,
                                bl_address_format_prefix(&prefix, want));
        }
    }
    *out = prefix;
    return BL_OK;
}

static char *put_decimal(char *out, uint8_t value)
{
    if (value >= 100)
        *out++ = (char)('0' + value / 100);
    if (value >= 10)
        *out++ = (char)('0' + value / 10 % 10);
    *out++ = (char)('0' + value % 10);
    return out;
}

static char *put_hex(char *out, unsigned value)
{
    static const char digits[] = "0123456789abcdef";

    if (value >= 0x1000)
        *out++ = digits[value >> 12];
    if (value >= 0x100)
        *out++ = digits[value >> 8 & 0xf];
    if (value >= 0x10)
        *out++ = digits[value >> 4 & 0xf];
    *out++ = digits[value & 0xf];
    return out;
}

static void format_ip4(const uint8_t *bytes, char *out)
{
    for (unsigned i = 0; i < 4; i++) {
        if (i > 0)
            *out++ = '.';
        out = put_decimal(out, bytes[i]);
    }
    *out = '\0';
}

/* The longest run of two or more zero words, the first of equal ones (RFC 5952, 4.2). @return its length, or 0. */
static unsigned find_zeros(const uint8_t *bytes, unsigned *first)
{
    unsigned best = 1;

    *first = 8;
    for (unsigned i = 0, run = 0; i < 8; i++) {
        run = bytes[2 * i] == 0 && bytes[2 * i + 1] == 0 ? run + 1 : 0;
        if (run > best) {
            best = run;
            *first = i + 1 - run;
        }
    }
    return best > 1 ? best : 0;
}

/* Of an address whose first 64 bits are not all zero, so that no part of it is written as IPv4. */
static void format_ip6(const uint8_t *bytes, char *out)
{
    unsigned first;
    unsigned n = find_zeros(bytes, &first);

    for (unsigned i = 0; i < 8; i++) {
        if (i == first) {
            *out++ = ':';
            i += n - 1;
            if (i == 7)
                *out++ = ':';
            continue;
        }
        if (i > 0)
            *out++ = ':';
        out = put_hex(out, (unsigned)bytes[2 * i] << 8 | bytes[2 * i + 1]);
    }
    *out = '\0';
}

/* By hand, for the 550 has an address in it: inet_ntop goes through printf, twice to eight times a call. */
char *bl_address_format(const struct bl_address *address, char *out)
{
    static const uint8_t zeros[8];

    if (address->family == BL_FAMILY_IPV4)
        format_ip4(address->bytes, out);
    else if (address->family == BL_FAMILY_IPV6 && memcmp(address->bytes, zeros, sizeof(zeros)) != 0)
        format_ip6(address->bytes, out);
    else if (address->family != BL_FAMILY_IPV6 || inet_ntop(AF_INET6, address->bytes, out, BL_ADDRESS_TEXT_MAX) == NULL)
        out[0] = '\0';
    return out;
}

char *bl_address_format_prefix(const struct bl_prefix *prefix, char *out)
{
    struct bl_address address = {.family = prefix->family};
    size_t length;

    memcpy(address.bytes, prefix->bytes, sizeof(address.bytes));
    bl_address_format(&address, out);
    length = strlen(out);
    (void)snprintf(out + length, BL_ADDRESS_TEXT_MAX - length, "/%u", prefix->length);
    return out;
}

void bl_address_prefix_mask(struct bl_prefix *prefix)
{
    unsigned whole = prefix->length / 8;

    if (whole >= sizeof(prefix->bytes))
        return;
    if (prefix->length % 8 != 0) {
        prefix->bytes[whole] &= (uint8_t)(0xff << (8 - prefix->length % 8));
        whole++;
    }
    memset(prefix->bytes + whole, 0, sizeof(prefix->bytes) - whole);
}

bool bl_address_prefix_canonical(const struct bl_prefix *prefix)
{
    struct bl_ip6 bits = bl_address_to_ip6(prefix->bytes);
    uint64_t host_hi = prefix->length < 64 ? UINT64_MAX >> prefix->length : 0;
    uint64_t host_lo = prefix->length <= 64   ? UINT64_MAX
                       : prefix->length < 128 ? UINT64_MAX >> (prefix->length - 64)
                                              : 0;

    return (prefix->family == BL_FAMILY_IPV4 || prefix->family == BL_FAMILY_IPV6) &&
           prefix->length <= bl_address_bits(prefix->family) && ((bits.hi & host_hi) | (bits.lo & host_lo)) == 0;
}

bool bl_address_prefix_covers(const struct bl_prefix *outer, const struct bl_prefix *inner)
{
    unsigned whole = outer->length / 8;
    unsigned rest = outer->length % 8;

    if (outer->family != inner->family || outer->length > inner->length)
        return false;
    if (memcmp(outer->bytes, inner->bytes, whole) != 0)
        return false;
    return rest == 0 || ((outer->bytes[whole] ^ inner->bytes[whole]) >> (8 - rest)) == 0;
}

int bl_address_prefix_compare(const struct bl_prefix *a, const struct bl_prefix *b)
{
    int order;

    if (a->family != b->family)
        return a->family < b->family ? -1 : 1;
    order = memcmp(a->bytes, b->bytes, sizeof(a->bytes));
    if (order != 0)
        return order < 0 ? -1 : 1;
    return (a->length > b->length) - (a->length < b->length);
}

struct bl_prefix bl_address_host_prefix(const struct bl_address *address)
{
    struct bl_prefix prefix = {.family = address->family, .length = bl_address_bits(address->family)};

    memcpy(prefix.bytes, address->bytes, sizeof(prefix.bytes));
    return prefix;
}

/* RFC 6890 and the IANA registries. Private, shared and documentation networks are left out on purpose: a list inside a
 * network or a lab holds them. */
static const struct reserved {
    const char *text;
    struct bl_prefix prefix;
} reserved_networks[] = {
    {"0.0.0.0/8", {{0}, 8, BL_FAMILY_IPV4}},
    {"127.0.0.0/8", {{127}, 8, BL_FAMILY_IPV4}},
    {"169.254.0.0/16", {{169, 254}, 16, BL_FAMILY_IPV4}},
    {"224.0.0.0/4", {{224}, 4, BL_FAMILY_IPV4}},
    {"240.0.0.0/4", {{240}, 4, BL_FAMILY_IPV4}},
    {"::/96", {{0}, 96, BL_FAMILY_IPV6}},
    {"::ffff:0:0/96", {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, BL_FAMILY_IPV6}},
    {"fe80::/10", {{0xfe, 0x80}, 10, BL_FAMILY_IPV6}},
    {"ff00::/8", {{0xff}, 8, BL_FAMILY_IPV6}},
};

const char *bl_address_reserved(const struct bl_prefix *prefix)
{
    for (size_t i = 0; i < sizeof(reserved_networks) / sizeof(reserved_networks[0]); i++) {
        const struct reserved *network = &reserved_networks[i];

        if (bl_address_prefix_covers(&network->prefix, prefix) || bl_address_prefix_covers(prefix, &network->prefix))
            return network->text;
    }
    return NULL;
}

uint32_t bl_address_to_ip4(const uint8_t bytes[4])
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

struct bl_ip6 bl_address_to_ip6(const uint8_t bytes[16])
{
    struct bl_ip6 ip6 = {0, 0};

    for (int i = 0; i < 8; i++) {
        ip6.hi = ip6.hi << 8 | bytes[i];
        ip6.lo = ip6.lo << 8 | bytes[8 + i];
    }
    return ip6;
}

void bl_address_from_ip4(uint32_t ip4, uint8_t bytes[4])
{
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(ip4 >> (24 - 8 * i));
}

void bl_address_from_ip6(struct bl_ip6 ip6, uint8_t bytes[16])
{
    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(ip6.hi >> (56 - 8 * i));
        bytes[8 + i] = (uint8_t)(ip6.lo >> (56 - 8 * i));
    }
}

/* The port is what stands behind the last colon; an IPv6 address has brackets, so that it is no guess which that is. */
int bl_address_parse_endpoint(const char *text, struct bl_address *address, uint16_t *port,
                              struct bl_error_detail *detail)
{
    const char *colon = strrchr(text, ':');
    size_t length = colon == NULL ? 0 : (size_t)(colon - text);
    bool bracketed = length > 2 && text[0] == '[' && text[length - 1] == ']';
    char host[BL_ADDRESS_TEXT_MAX] = "";
    struct bl_address found;
    unsigned long number = 0;

    if (bracketed)
        length -= 2;
    if (colon != NULL && length < sizeof(host) && strlen(colon + 1) <= 5 && colon[1] != '0' &&
        colon[1 + strspn(colon + 1, "0123456789")] == '\0') {
        memcpy(host, text + bracketed, length);
        number = strtoul(colon + 1, NULL, 10);
    }
    if (number == 0 || number > UINT16_MAX || bl_address_parse(host, &found, NULL) != BL_OK ||
        bracketed != (strchr(host, ':') != NULL))
        return bl_error_set(detail, BL_EINVAL, "found '%.60s', expected ADDRESS:PORT, such as 127.0.0.1:9117", text);
    *address = found;
    *port = (uint16_t)number;
    return BL_OK;
}
