/* The table of formats, how one is detected, and what they share; see list_format.h. */
#include "controlplane/cli/list_format.h"

#include <stdlib.h>
#include <string.h>

#include "controlplane/cli/list_carve.h"

const struct bl_list_format *const bl_list_format_table[] = {
    &bl_list_lines_plain,     &bl_list_lines_columns,
    &bl_list_lines_drop,      &bl_list_json_drop,
    &bl_list_lines_firehol,   &bl_list_lines_dshield,
    &bl_list_lines_crowdsec,  &bl_list_json_crowdsec,
    &bl_list_rbldnsd_ip4set,  &bl_list_rbldnsd_ip4trie,
    &bl_list_rbldnsd_ip6trie, &bl_list_lines_ipset,
    &bl_list_json_nft,        NULL,
};

const struct bl_list_format *bl_list_format_find(const char *name)
{
    for (size_t i = 0; bl_list_format_table[i] != NULL; i++)
        if (strcmp(bl_list_format_table[i]->name, name) == 0)
            return bl_list_format_table[i];
    return NULL;
}

/* CR is a space like any other: files from everywhere end their lines in CRLF. The locale has no say. */
bool bl_list_format_is_space(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\v' || byte == '\f';
}

char *bl_list_format_trim(char *text)
{
    size_t length;

    while (bl_list_format_is_space(*text))
        text++;
    length = strlen(text);
    while (length > 0 && bl_list_format_is_space(text[length - 1]))
        length--;
    text[length] = '\0';
    return text;
}

char *bl_list_format_word(char **rest)
{
    char *word = *rest + strspn(*rest, " \t\r\v\f");

    if (*word == '\0')
        return NULL;
    *rest = word + strcspn(word, " \t\r\v\f");
    if (**rest != '\0')
        *(*rest)++ = '\0';
    return word;
}

static bool begins_with(const char *line, size_t length, const char *text)
{
    return length >= strlen(text) && strncmp(line, text, strlen(text)) == 0;
}

static bool contains(const char *line, size_t length, const char *text)
{
    size_t n = strlen(text);

    for (size_t i = 0; i + n <= length; i++)
        if (memcmp(line + i, text, n) == 0)
            return true;
    return false;
}

/* A document or lines of JSON: by the keys that only one of them has. */
static const struct bl_list_format *detect_json(const char *head, size_t length)
{
    if (contains(head, length, "\"nftables\""))
        return &bl_list_json_nft;
    if (head[0] == '{' && (contains(head, length, "\"cidr\"") || contains(head, length, "\"metadata\"")))
        return &bl_list_json_drop;
    return &bl_list_json_crowdsec;
}

/* Only IPv6's short form has two colons, and only its file none of IPv4. */
static const struct bl_list_format *detect_rbldnsd(const char *head, size_t length)
{
    for (size_t i = 0; i + 1 < length; i++) {
        size_t start = i;

        while (i < length && head[i] != '\n')
            i++;
        if (head[start] == '!')
            start++;
        /* Six characters before a colon are no default line and no value. */
        if (strspn(head + start, "0123456789abcdefABCDEF") != 0 &&
            head[start + strspn(head + start, "0123456789abcdefABCDEF")] == ':')
            return &bl_list_rbldnsd_ip6trie;
        if (begins_with(head + start, length - start, "::"))
            return &bl_list_rbldnsd_ip6trie;
    }
    return &bl_list_rbldnsd_ip4set;
}

/* @return what this line alone says; NULL: nothing. */
static const struct bl_list_format *detect_line(const char *line, size_t length)
{
    if (line[0] == ';' || line[0] == '#') {
        if (contains(line, length, "Spamhaus") && contains(line, length, "DROP"))
            return &bl_list_lines_drop;
        if (contains(line, length, "This File Date") || contains(line, length, "# Entries"))
            return &bl_list_lines_firehol;
        return NULL;
    }
    if (begins_with(line, length, "create ") || begins_with(line, length, "add ") || begins_with(line, length, "-N ") ||
        begins_with(line, length, "-A "))
        return &bl_list_lines_ipset;
    if (begins_with(line, length, "Start\tEnd\tNetmask"))
        return &bl_list_lines_dshield;
    if (contains(line, length, "value") && !contains(line, length, "{"))
        return &bl_list_lines_crowdsec;
    return NULL;
}

const struct bl_list_format *bl_list_format_detect(const char *head, size_t length)
{
    size_t at = 0;

    if (length >= 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0)
        at = 3;
    while (at < length && (bl_list_format_is_space(head[at]) || head[at] == '\n'))
        at++;
    if (at < length && (head[at] == '{' || head[at] == '['))
        return detect_json(head + at, length - at);
    while (at < length) {
        const char *end = memchr(head + at, '\n', length - at);
        size_t n = end == NULL ? length - at : (size_t)(end - head) - at;
        const struct bl_list_format *format = n == 0 ? NULL : detect_line(head + at, n);

        if (format != NULL)
            return format;
        if (n != 0 && (head[at] == '$' || head[at] == '!' || head[at] == ':') && !begins_with(head + at, n, "::"))
            return detect_rbldnsd(head, length);
        at += n + 1;
    }
    return &bl_list_lines_plain;
}

static int add_entry(struct bl_list_file *file, const struct bl_list_file_entry *entry, struct bl_error_detail *cause)
{
    if (file->n_entries == BL_LIST_FILE_ENTRIES_MAX)
        return bl_error_set(cause, BL_ETOOBIG, "more than %d prefixes in one file: split it", BL_LIST_FILE_ENTRIES_MAX);
    if (file->n_entries == file->capacity) {
        size_t capacity = file->capacity == 0 ? 1024 : file->capacity * 2;
        struct bl_list_file_entry *entries = realloc(file->entries, capacity * sizeof(*entries));

        if (entries == NULL)
            return bl_error_set(cause, BL_ENOMEM, "out of memory");
        file->entries = entries;
        file->capacity = capacity;
    }
    file->entries[file->n_entries++] = *entry;
    return BL_OK;
}

static void unmap(struct bl_prefix *prefix)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    if (prefix->family != BL_FAMILY_IPV6 || prefix->length < 96 || memcmp(prefix->bytes, mapped, 12) != 0)
        return;
    memmove(prefix->bytes, prefix->bytes + 12, 4);
    memset(prefix->bytes + 4, 0, 12);
    prefix->family = BL_FAMILY_IPV4;
    prefix->length -= 96;
}

int bl_list_format_add(struct bl_list_file *file, const struct bl_list_found *found, struct bl_error_detail *cause)
{
    struct bl_list_file_entry entry = {
        .prefix = found->prefix,
        .bare_ipv6 = found->bare_ipv6 && found->prefix.family == BL_FAMILY_IPV6,
        .excluded = found->excluded,
        .line = file->n_lines,
        .expires_at_s = found->expires_at_s,
    };
    char want[BL_ADDRESS_TEXT_MAX];

    unmap(&entry.prefix);
    if (!bl_address_prefix_canonical(&entry.prefix)) {
        bl_address_prefix_mask(&entry.prefix);
        if (!file->mask_host_bits)
            return bl_error_set(cause, BL_EINVAL, "has bits set behind its length: expected %s (or --mask-host-bits)",
                                bl_address_format_prefix(&entry.prefix, want));
        file->n_masked++;
    }
    if (file->facts.length_min != 0 && entry.prefix.length < file->facts.length_min)
        return bl_error_set(cause, BL_EINVAL, "%s is wider than the /%u that the file allows",
                            bl_address_format_prefix(&entry.prefix, want), file->facts.length_min);
    file->facts.n_taken++;
    file->has_bare_ipv6 = file->has_bare_ipv6 || entry.bare_ipv6;
    file->has_expiries = file->has_expiries || entry.expires_at_s != 0;
    /* Once a line is bad nothing will be sent: the rest is only checked. */
    return file->n_bad == 0 ? add_entry(file, &entry, cause) : BL_OK;
}

/* What of @prefix lies in the range, by recursion: one that lies in it whole is taken as it is. */
static int cover(struct bl_list_file *file, struct bl_list_found *found, const struct bl_prefix *prefix,
                 const uint8_t range[2][16], struct bl_error_detail *cause)
{
    uint8_t last[16];
    int error = BL_OK;

    bl_list_carve_last(prefix, last);
    if (memcmp(last, range[0], 16) < 0 || memcmp(prefix->bytes, range[1], 16) > 0)
        return BL_OK;
    if (memcmp(prefix->bytes, range[0], 16) >= 0 && memcmp(last, range[1], 16) <= 0) {
        found->prefix = *prefix;
        return bl_list_format_add(file, found, cause);
    }
    for (int side = 0; side < 2 && error == BL_OK; side++) {
        struct bl_prefix half = bl_list_carve_half(prefix, side);

        error = cover(file, found, &half, range, cause);
    }
    return error;
}

int bl_list_format_add_range(struct bl_list_file *file, const struct bl_list_found *found,
                             const struct bl_address *first, const struct bl_address *last,
                             struct bl_error_detail *cause)
{
    const struct bl_prefix all = {.family = first->family};
    struct bl_list_found piece = *found;
    uint64_t n_taken = file->facts.n_taken;
    uint8_t range[2][16];
    int error;

    if (first->family != last->family)
        return bl_error_set(cause, BL_EINVAL, "a range of two families: expected one");
    memcpy(range[0], first->bytes, 16);
    memcpy(range[1], last->bytes, 16);
    if (memcmp(range[0], range[1], 16) > 0)
        return bl_error_set(cause, BL_EINVAL, "a range that ends before it begins");
    piece.bare_ipv6 = false;
    error = cover(file, &piece, &all, (const uint8_t(*)[16])range, cause);
    /* One entry to whoever counts them. */
    if (error == BL_OK)
        file->facts.n_taken = n_taken + 1;
    return error;
}

static int add_dashed(struct bl_list_file *file, const struct bl_list_found *found, char *text, char *dash,
                      struct bl_error_detail *cause)
{
    struct bl_address first;
    struct bl_address last;
    int error;

    *dash = '\0';
    error = bl_address_parse(bl_list_format_trim(text), &first, cause);
    if (error == BL_OK)
        error = bl_address_parse(bl_list_format_trim(dash + 1), &last, cause);
    return error == BL_OK ? bl_list_format_add_range(file, found, &first, &last, cause) : error;
}

/* The address alone can't be refused for its host bits: it is read as one of full length, and the length is set then. */
static int parse_masked(char *text, struct bl_prefix *prefix, struct bl_error_detail *cause)
{
    struct bl_error_detail ignored;
    struct bl_prefix host;
    char *slash = strchr(text, '/');
    char zero[BL_ADDRESS_TEXT_MAX];
    struct bl_prefix length;
    int error = bl_address_parse_prefix(text, 128, prefix, cause);

    if (error != BL_EINVAL || slash == NULL)
        return error;
    *slash = '\0';
    error = bl_address_parse_prefix(text, 128, &host, &ignored);
    *slash = '/';
    if (error != BL_OK)
        return error;
    /* The length is read where no host bits can be. */
    (void)strcpy(zero, strchr(text, ':') == NULL ? "0.0.0.0" : "::");
    if (strlen(slash) > 4)
        return BL_EINVAL;
    (void)strcat(zero, slash);
    error = bl_address_parse_prefix(zero, 128, &length, cause);
    if (error != BL_OK)
        return error;
    if (length.family != host.family) {
        if (length.length < 96)
            return BL_EINVAL;
        length.length -= 96;
    }
    host.length = length.length;
    *prefix = host;
    return BL_OK;
}

int bl_list_format_add_text(struct bl_list_file *file, const struct bl_list_found *found, char *text,
                            struct bl_error_detail *cause)
{
    struct bl_list_found one = *found;
    char *dash = strchr(text, '-');
    int error;

    if (dash != NULL)
        return add_dashed(file, found, text, dash, cause);
    /* A second word makes the line bad: "a n" is a score in some formats, and to take the first word would list what a
     * score of 0 had cleared. */
    if (strpbrk(text, " \t\v\f\r") != NULL)
        return bl_error_set(cause, BL_EINVAL, "'%.60s': expected one prefix or address and nothing behind it", text);
    one.bare_ipv6 = strchr(text, '/') == NULL;
    error = file->mask_host_bits ? parse_masked(text, &one.prefix, cause)
                                 : bl_address_parse_prefix(text, 128, &one.prefix, cause);
    return error == BL_OK ? bl_list_format_add(file, &one, cause) : error;
}

uint32_t bl_list_format_expiry_s(const struct bl_list_file *file, uint64_t seconds)
{
    uint64_t now_s = (uint64_t)file->now_s;

    return seconds > UINT32_MAX - 1 - now_s ? UINT32_MAX - 1 : (uint32_t)(now_s + seconds);
}

int bl_list_format_expiry(const struct bl_list_file *file, const char *text, uint32_t *expires_at_s,
                          struct bl_error_detail *cause)
{
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"h", 3600}, {"ms", 0.001}, {"m", 60}, {"us", 0.000001}, {"ns", 0.000000001}, {"s", 1}};
    bool is_past = text[0] == '-';
    const char *at = text + is_past;
    double total_s = 0;

    do {
        char *end;
        double value = *at >= '0' && *at <= '9' && strspn(at, "0123456789.") < 16 ? strtod(at, &end) : -1;
        size_t i = 0;

        if (value < 0)
            return bl_error_set(cause, BL_EINVAL, "duration '%.40s': expected such as 4h or 3h58m38.3s", text);
        while (i < 6 && strncmp(end, units[i].unit, strlen(units[i].unit)) != 0)
            i++;
        if (i == 6)
            return bl_error_set(cause, BL_EINVAL, "duration '%.40s': expected such as 4h or 3h58m38.3s", text);
        total_s += value * units[i].seconds;
        at = end + strlen(units[i].unit);
    } while (*at != '\0');
    if (is_past || total_s < 1)
        return BL_ENOENT;
    *expires_at_s = bl_list_format_expiry_s(file, total_s > 4e9 ? UINT32_MAX : (uint64_t)total_s);
    return BL_OK;
}

int bl_list_format_check_whole(struct bl_list_file *file, struct bl_error_detail *cause)
{
    const struct bl_list_file_facts *facts = &file->facts;

    if (file->n_bad == 0 && facts->has_expected && facts->n_taken != facts->n_expected)
        return bl_error_set(cause, BL_EINVAL,
                            "the file has %llu entries and says it has %llu: truncated, or not as it was published",
                            (unsigned long long)facts->n_taken, (unsigned long long)facts->n_expected);
    if (facts->valid_until_s != 0 && file->now_s > facts->valid_until_s && !file->allow_stale)
        return bl_error_set(cause, BL_EINVAL,
                            "out of date: it was good until %lld s ago: fetch it again (or --allow-stale)",
                            (long long)(file->now_s - facts->valid_until_s));
    return BL_OK;
}
