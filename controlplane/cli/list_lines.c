/* Formats of an entry a line: plain, first column, DROP, FireHOL, DShield, CrowdSec's CSV, ipset; see list_format.h. */
#define _GNU_SOURCE /* strptime, timegm */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "controlplane/cli/list_format.h"

static const struct bl_list_found nothing_said = {.expires_at_s = 0};

static int take_plain(struct bl_list_file *file, char *content, struct bl_error_detail *cause)
{
    return bl_list_format_add_text(file, &nothing_said, content, cause);
}

const struct bl_list_format bl_list_lines_plain = {
    .name = "plain", .comment = "#;", .content_max = BL_LIST_FILE_CONTENT_MAX, .take_line = take_plain};

/* Only when it is asked for: what the other columns say is not looked at. */
static int take_first_column(struct bl_list_file *file, char *content, struct bl_error_detail *cause)
{
    content[strcspn(content, " \t,\r")] = '\0';
    return bl_list_format_add_text(file, &nothing_said, content, cause);
}

const struct bl_list_format bl_list_lines_columns = {
    .name = "first-column", .comment = "#;", .content_max = BL_LIST_FILE_LINE_MAX, .take_line = take_first_column};

/* "; Expires: Tue, 30 Aug 2016 09:03:35 GMT". The comment comes without its semicolon. */
static void take_drop_comment(struct bl_list_file *file, const char *comment)
{
    const char *at = strstr(comment, "Expires:");
    struct tm time = {0};

    if (at != NULL && strptime(at + 8, " %a, %d %b %Y %H:%M:%S GMT", &time) != NULL)
        file->facts.valid_until_s = timegm(&time);
}

const struct bl_list_format bl_list_lines_drop = {
    .name = "drop",
    .comment = "#;",
    .content_max = BL_LIST_FILE_CONTENT_MAX,
    .take_line = take_plain,
    .take_comment = take_drop_comment,
    .end = bl_list_format_check_whole,
};

/* "# Entries : 6273 subnets, 680864624 unique IPs", or "# Entries : 120 unique IPs": lines both times. */
static void take_firehol_comment(struct bl_list_file *file, const char *comment)
{
    unsigned long long n;

    comment += strspn(comment, "# \t");
    if (strncmp(comment, "Entries", 7) != 0 || sscanf(comment + 7, " : %llu", &n) != 1)
        return;
    file->facts.n_expected = n;
    file->facts.has_expected = true;
}

const struct bl_list_format bl_list_lines_firehol = {
    .name = "firehol",
    .comment = "#",
    .content_max = BL_LIST_FILE_CONTENT_MAX,
    .take_line = take_plain,
    .take_comment = take_firehol_comment,
    .end = bl_list_format_check_whole,
};

/* Start, end and length say the same: a line where they do not is no line of this list. The names behind them hold
 * anything. */
static int take_dshield(struct bl_list_file *file, char *content, struct bl_error_detail *cause)
{
    char *rest = content;
    char *first = bl_list_format_word(&rest);
    char *last = bl_list_format_word(&rest);
    char *length = bl_list_format_word(&rest);
    uint64_t n_before = file->n_entries;
    char text[BL_LIST_FILE_CONTENT_MAX + 1];
    int error;

    if (strcmp(first, "Start") == 0)
        return BL_OK;
    if (last == NULL || length == NULL || strlen(first) > 60 || strlen(last) > 60)
        return bl_error_set(cause, BL_EINVAL, "expected first address, last address and length, with tabs between");
    (void)snprintf(text, sizeof(text), "%s-%s", first, last);
    error = bl_list_format_add_text(file, &nothing_said, text, cause);
    if (error == BL_OK && file->n_bad == 0 &&
        (file->n_entries != n_before + 1 || length[0] < '0' || length[0] > '9' ||
         strtoul(length, NULL, 10) != file->entries[n_before].prefix.length))
        return bl_error_set(cause, BL_EINVAL, "%.60s to %.60s: not the /%.10s that the line says", first, last, length);
    return error;
}

const struct bl_list_format bl_list_lines_dshield = {
    .name = "dshield", .comment = "#", .content_max = BL_LIST_FILE_LINE_MAX, .take_line = take_dshield};

enum { COLUMN_VALUE, COLUMN_SCOPE, COLUMN_TYPE, COLUMN_DURATION, COLUMNS, FIELDS_MAX = 32 };
static const char *const column_names[COLUMNS] = {"value", "scope", "type", "duration"};

/* RFC 4180 within one line: a field in quotes may hold commas, and "" is a quote. @return their number. */
static size_t split(char *line, char *fields[FIELDS_MAX])
{
    size_t n = 0;

    while (n < FIELDS_MAX) {
        char *out = line;
        bool quoted = false;

        fields[n++] = line;
        for (; *line != '\0' && (quoted || *line != ','); line++) {
            if (*line != '"')
                *out++ = *line;
            else if (quoted && line[1] == '"')
                *out++ = *++line;
            else
                quoted = !quoted;
        }
        if (*line == '\0') {
            *out = '\0';
            return n;
        }
        *out = '\0';
        line++;
    }
    return n;
}

static int take_crowdsec_header(struct bl_list_file *file, char **fields, size_t n, struct bl_error_detail *cause)
{
    for (size_t i = 0; i < n; i++)
        for (size_t column = 0; column < COLUMNS; column++)
            if (strcmp(bl_list_format_trim(fields[i]), column_names[column]) == 0)
                file->facts.columns[column] = (uint8_t)(i + 1);
    file->facts.has_begun = true;
    if (file->facts.columns[COLUMN_VALUE] == 0)
        return bl_error_set(cause, BL_EINVAL, "the header names no column 'value'");
    return BL_OK;
}

static const char *field(const struct bl_list_file *file, char **fields, size_t n, size_t column)
{
    size_t at = file->facts.columns[column];

    return at == 0 || at > n ? "" : bl_list_format_trim(fields[at - 1]);
}

static int take_crowdsec(struct bl_list_file *file, char *content, struct bl_error_detail *cause)
{
    char *fields[FIELDS_MAX];
    size_t n = split(content, fields);
    struct bl_list_found found = nothing_said;
    const char *duration;
    const char *scope;
    const char *type;
    int error = BL_OK;

    if (!file->facts.has_begun)
        return take_crowdsec_header(file, fields, n, cause);
    scope = field(file, fields, n, COLUMN_SCOPE);
    type = field(file, fields, n, COLUMN_TYPE);
    duration = field(file, fields, n, COLUMN_DURATION);
    if (duration[0] != '\0')
        error = bl_list_format_expiry(file, duration, &found.expires_at_s, cause);
    if (error == BL_ENOENT || (scope[0] != '\0' && strcasecmp(scope, "ip") != 0 && strcasecmp(scope, "range") != 0) ||
        (type[0] != '\0' && strcasecmp(type, "ban") != 0)) {
        file->n_skipped++;
        return BL_OK;
    }
    if (error != BL_OK)
        return error;
    if (file->facts.columns[COLUMN_VALUE] > n)
        return bl_error_set(cause, BL_EINVAL, "has %zu fields, and none in column 'value'", n);
    return bl_list_format_add_text(file, &found, bl_list_format_trim(fields[file->facts.columns[COLUMN_VALUE] - 1]),
                                   cause);
}

const struct bl_list_format bl_list_lines_crowdsec = {
    .name = "crowdsec-csv", .comment = "", .content_max = BL_LIST_FILE_LINE_MAX, .take_line = take_crowdsec};

static int take_ipset_create(struct bl_list_file *file, char *rest, struct bl_error_detail *cause)
{
    const char *name = bl_list_format_word(&rest);
    const char *type = bl_list_format_word(&rest);

    if (name == NULL || type == NULL || (strcmp(type, "hash:ip") != 0 && strcmp(type, "hash:net") != 0))
        return bl_error_set(cause, BL_EINVAL, "type '%.40s': expected hash:ip or hash:net", type == NULL ? "" : type);
    if (file->facts.has_begun)
        return bl_error_set(cause, BL_EINVAL, "a second set, '%.40s': expected one (ipset save NAME)", name);
    (void)snprintf(file->facts.name, sizeof(file->facts.name), "%s", name);
    file->facts.has_begun = true;
    return BL_OK;
}

/* What ipset writes behind an entry. Counters and marks are of no interest; a comment is the rest of the line. */
static int take_ipset_options(const struct bl_list_file *file, char *rest, struct bl_list_found *found,
                              struct bl_error_detail *cause)
{
    const char *word;

    while ((word = bl_list_format_word(&rest)) != NULL && strcmp(word, "comment") != 0) {
        const char *value;

        if (strcmp(word, "nomatch") == 0) {
            found->excluded = true;
            continue;
        }
        value = bl_list_format_word(&rest);
        if (value == NULL)
            return bl_error_set(cause, BL_EINVAL, "option '%.40s': expected a value", word);
        if (strcmp(word, "timeout") != 0)
            continue;
        if (strspn(value, "0123456789") != strlen(value))
            return bl_error_set(cause, BL_EINVAL, "timeout '%.40s': expected seconds", value);
        if (strcmp(value, "0") != 0)
            found->expires_at_s = bl_list_format_expiry_s(file, strtoull(value, NULL, 10));
    }
    return BL_OK;
}

static int take_ipset(struct bl_list_file *file, char *content, struct bl_error_detail *cause)
{
    struct bl_list_found found = nothing_said;
    char *rest = content;
    const char *command = bl_list_format_word(&rest);
    const char *name;
    char *entry;
    int error;

    if (strcmp(command, "create") == 0 || strcmp(command, "-N") == 0)
        return take_ipset_create(file, rest, cause);
    if (strcmp(command, "COMMIT") == 0)
        return BL_OK;
    name = bl_list_format_word(&rest);
    entry = bl_list_format_word(&rest);
    if ((strcmp(command, "add") != 0 && strcmp(command, "-A") != 0) || entry == NULL)
        return bl_error_set(cause, BL_EINVAL, "'%.40s': expected create, or add with a set and an entry", command);
    if (file->facts.name[0] == '\0')
        (void)snprintf(file->facts.name, sizeof(file->facts.name), "%s", name);
    if (strncmp(name, file->facts.name, sizeof(file->facts.name) - 1) != 0)
        return bl_error_set(cause, BL_EINVAL, "set '%.40s': expected '%s': one set a file", name, file->facts.name);
    error = take_ipset_options(file, rest, &found, cause);
    /* A set of a family of its own has no unit of IPv6: an address is an address. */
    if (error == BL_OK && strchr(entry, ':') != NULL && strpbrk(entry, "/-") == NULL) {
        char host[BL_LIST_FILE_CONTENT_MAX + 1];

        (void)snprintf(host, sizeof(host), "%.100s/128", entry);
        return bl_list_format_add_text(file, &found, host, cause);
    }
    return error == BL_OK ? bl_list_format_add_text(file, &found, entry, cause) : error;
}

const struct bl_list_format bl_list_lines_ipset = {
    .name = "ipset", .comment = "#", .content_max = BL_LIST_FILE_LINE_MAX, .take_line = take_ipset};
