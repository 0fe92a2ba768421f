/* The files of rbldnsd: ip4set, ip4trie, ip6trie; see list_format.h.
 *
 * Addresses there are not RFC 4291's: "127/24" and "127.0.0" are 127.0.0.0/24, "127.16-31" is 127.16.0.0 to
 * 127.31.255.255, "2001:21ab" is a /32. What a line says behind its address, and the lines that begin with a colon or a
 * dollar, are answers for DNS: nothing of it concerns a list, but for the width that the file allows. */
#include <stdlib.h>
#include <string.h>

#include "controlplane/cli/list_format.h"

/* 1 to 4 octets without leading zeros; the rest is 0. @return their number, 0: malformed. */
static unsigned parse_octets(const char **text, uint8_t bytes[16])
{
    const char *at = *text;
    unsigned n = 0;

    memset(bytes, 0, 16);
    for (;;) {
        unsigned value = 0;
        size_t digits = strspn(at, "0123456789");

        if (digits == 0 || digits > 3 || (digits > 1 && at[0] == '0') || n == 4)
            return 0;
        for (size_t i = 0; i < digits; i++)
            value = value * 10 + (unsigned)(at[i] - '0');
        if (value > 255)
            return 0;
        bytes[n++] = (uint8_t)value;
        at += digits;
        /* "10." is no octet and a dot. */
        if (*at != '.')
            break;
        at++;
    }
    *text = at;
    return n;
}

/* 1..max; no sign, no leading zero. */
static bool parse_length(const char *text, unsigned max, uint8_t *length)
{
    size_t digits = strspn(text, "0123456789");
    unsigned long value = strtoul(text, NULL, 10);

    if (digits == 0 || digits > 3 || text[digits] != '\0' || text[0] == '0' || value > max)
        return false;
    *length = (uint8_t)value;
    return true;
}

/* The end of a range: one octet replaces the last that the beginning named, and what is missing is 255. */
static bool parse_end(const char *text, unsigned n_first, const struct bl_address *first, struct bl_address *last)
{
    unsigned n;

    last->family = BL_FAMILY_IPV4;
    n = parse_octets(&text, last->bytes);
    if (n == 0 || *text != '\0')
        return false;
    if (n == 1 && n_first > 1) {
        last->bytes[n_first - 1] = last->bytes[0];
        memcpy(last->bytes, first->bytes, n_first - 1);
        n = n_first;
    }
    for (unsigned i = n; i < 4; i++)
        last->bytes[i] = 255;
    return true;
}

static int take_ip4(struct bl_list_file *file, const char *word, bool ranges, struct bl_list_found *found,
                    struct bl_error_detail *cause)
{
    const char *at = word;
    struct bl_address first = {.family = BL_FAMILY_IPV4};
    struct bl_address last;
    unsigned n = parse_octets(&at, first.bytes);

    memcpy(found->prefix.bytes, first.bytes, sizeof(first.bytes));
    found->prefix.family = BL_FAMILY_IPV4;
    found->prefix.length = (uint8_t)(n * 8);
    if (n != 0 && *at == '\0')
        return bl_list_format_add(file, found, cause);
    if (n != 0 && *at == '/' && parse_length(at + 1, 32, &found->prefix.length))
        return bl_list_format_add(file, found, cause);
    if (n != 0 && *at == '-' && ranges && parse_end(at + 1, n, &first, &last))
        return bl_list_format_add_range(file, found, &first, &last, cause);
    return bl_error_set(cause, BL_EINVAL, "'%.60s': expected an IPv4 address, prefix%s of rbldnsd", word,
                        ranges ? " or range" : "");
}

/* Names and sections would be read as what they are not. */
static int take_special(struct bl_list_file *file, char *content, struct bl_error_detail *cause)
{
    char *rest = content;
    const char *word = bl_list_format_word(&rest);
    const char *value = bl_list_format_word(&rest);

    if (strcmp(word, "$DATASET") == 0)
        return bl_error_set(cause, BL_EINVAL, "a combined data set: expected one of ip4set, ip4trie or ip6trie");
    if (strcmp(word, "$MAXRANGE4") != 0 || value == NULL)
        return BL_OK;
    if (value[0] == '/' && parse_length(value + 1, 32, &file->facts.length_min))
        return BL_OK;
    /* A number of addresses. */
    if (value[0] >= '1' && value[0] <= '9' && strspn(value, "0123456789") == strlen(value)) {
        unsigned long long n = strtoull(value, NULL, 10);

        for (file->facts.length_min = 32; file->facts.length_min > 1 && n >= 2; n /= 2)
            file->facts.length_min--;
        return BL_OK;
    }
    return bl_error_set(cause, BL_EINVAL, "$MAXRANGE4 '%.20s': expected /length or a number of addresses", value);
}

/* @return the entry's own word without its mark, NULL: the line is none; *error says whether it is bad. */
static char *find_entry(struct bl_list_file *file, char *content, struct bl_list_found *found,
                        struct bl_error_detail *cause, int *error)
{
    char *rest;
    char *word;

    *error = BL_OK;
    if (content[0] == '$') {
        *error = take_special(file, content, cause);
        return NULL;
    }
    /* "::1" is an address, ":127.0.0.2:text" the answer for those that name none. */
    if (content[0] == ':' && content[1] != ':')
        return NULL;
    found->excluded = content[0] == '!';
    rest = content + found->excluded;
    word = bl_list_format_word(&rest);
    if (word == NULL)
        *error = bl_error_set(cause, BL_EINVAL, "'!': expected what is excluded behind it");
    return word;
}

static int take_ip4_line(struct bl_list_file *file, char *content, bool ranges, struct bl_error_detail *cause)
{
    struct bl_list_found found = {.excluded = false};
    int error;
    char *word = find_entry(file, content, &found, cause, &error);

    if (word == NULL)
        return error;
    word[strcspn(word, ":")] = '\0';
    return take_ip4(file, word, ranges, &found, cause);
}

static int take_ip4set(struct bl_list_file *file, char *content, struct bl_error_detail *cause)
{
    return take_ip4_line(file, content, true, cause);
}

static int take_ip4trie(struct bl_list_file *file, char *content, struct bl_error_detail *cause)
{
    return take_ip4_line(file, content, false, cause);
}

/* One group of 1 to 4 hex digits. @return false: there is none. */
static bool parse_group(const char **text, uint8_t bytes[2])
{
    size_t digits = strspn(*text, "0123456789abcdefABCDEF");
    unsigned long value = strtoul(*text, NULL, 16);

    if (digits == 0 || digits > 4)
        return false;
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
    *text += digits;
    return true;
}

/* Groups from the left; those that are missing at the right are 0 and make it a prefix. "::" and a dotted end are
 * RFC 4291's, and are left to its parser. */
static int take_ip6trie(struct bl_list_file *file, char *content, struct bl_error_detail *cause)
{
    struct bl_list_found found = {.excluded = false};
    int error;
    char *word = find_entry(file, content, &found, cause, &error);
    const char *at = word;
    char *slash;
    unsigned n = 0;

    if (word == NULL)
        return error;
    slash = strchr(word, '/');
    if (slash != NULL)
        *slash = '\0';
    found.prefix.family = BL_FAMILY_IPV6;
    if (strstr(word, "::") != NULL || strchr(word, '.') != NULL) {
        struct bl_address address;

        error = bl_address_parse(word, &address, cause);
        if (error != BL_OK)
            return error;
        found.prefix = bl_address_host_prefix(&address);
    } else {
        while (n < 8 && parse_group(&at, found.prefix.bytes + 2 * n) && ++n < 8 && *at == ':' && at[1] != '\0')
            at++;
        if (n == 0 || *at != '\0')
            return bl_error_set(cause, BL_EINVAL, "'%.60s': expected IPv6 groups of rbldnsd", word);
        found.prefix.length = (uint8_t)(16 * n);
    }
    if (slash != NULL) {
        bool is_mapped = found.prefix.family == BL_FAMILY_IPV4;

        if (!parse_length(slash + 1, 128, &found.prefix.length) || (is_mapped && found.prefix.length < 96))
            return bl_error_set(cause, BL_EINVAL, "length '%.10s': expected %d..128", slash + 1, is_mapped ? 96 : 1);
        found.prefix.length -= is_mapped ? 96 : 0;
    }
    return bl_list_format_add(file, &found, cause);
}

const struct bl_list_format bl_list_rbldnsd_ip4set = {.name = "ip4set",
                                                      .comment = "#;",
                                                      .content_max = BL_LIST_FILE_LINE_MAX,
                                                      .by_octets = true,
                                                      .take_line = take_ip4set};
const struct bl_list_format bl_list_rbldnsd_ip4trie = {
    .name = "ip4trie", .comment = "#;", .content_max = BL_LIST_FILE_LINE_MAX, .take_line = take_ip4trie};
const struct bl_list_format bl_list_rbldnsd_ip6trie = {
    .name = "ip6trie", .comment = "#;", .content_max = BL_LIST_FILE_LINE_MAX, .take_line = take_ip6trie};
