/* The list file's parser; see list_file.h.
 *
 * Bytes are taken one at a time into a small buffer that holds a line's content without its comment, so that neither a
 * long comment nor a file without line ends costs memory. */
#include "controlplane/cli/list_file.h"

#include <stdlib.h>
#include <string.h>

void bl_list_file_init(struct bl_list_file *file)
{
    memset(file, 0, sizeof(*file));
}

void bl_list_file_fini(struct bl_list_file *file)
{
    free(file->entries);
    file->entries = NULL;
    file->n_entries = file->capacity = 0;
}

static int add_entry(struct bl_list_file *file, const struct bl_list_file_entry *entry, struct bl_error_detail *detail)
{
    if (file->n_entries == BL_LIST_FILE_ENTRIES_MAX)
        return bl_error_set(detail, BL_ETOOBIG, "line %u: more than %d prefixes in one file: split it", entry->line,
                            BL_LIST_FILE_ENTRIES_MAX);
    if (file->n_entries == file->capacity) {
        size_t capacity = file->capacity == 0 ? 1024 : file->capacity * 2;
        struct bl_list_file_entry *entries = realloc(file->entries, capacity * sizeof(*entries));

        if (entries == NULL)
            return bl_error_set(detail, BL_ENOMEM, "line %u: out of memory", entry->line);
        file->entries = entries;
        file->capacity = capacity;
    }
    file->entries[file->n_entries++] = *entry;
    return BL_OK;
}

/* CR is a space like any other: files from everywhere end their lines in CRLF. The locale has no say. */
static bool is_space(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\v' || byte == '\f';
}

/* Cuts the spaces around the content. */
static char *trim(struct bl_list_file *file)
{
    char *start = file->content;

    while (file->content_length > 0 && is_space(file->content[file->content_length - 1]))
        file->content_length--;
    file->content[file->content_length] = '\0';
    while (is_space(*start))
        start++;
    /* Editors of one large vendor begin a text file with U+FEFF. */
    if (file->n_lines == 1 && strncmp(start, "\xef\xbb\xbf", 3) == 0)
        for (start += 3; is_space(*start); start++)
            ;
    return start;
}

/* A second word makes the line bad: "a - b" is a range in some formats, "a n" a score in others, and to take the first
 * word would list one address of many, or list what a score of 0 had cleared. */
static int parse_content(const struct bl_list_file *file, const char *content, struct bl_list_file_entry *entry,
                         struct bl_error_detail *cause)
{
    if (file->has_nul)
        return bl_error_set(cause, BL_EINVAL, "holds a NUL byte: expected text");
    if (file->too_long)
        return bl_error_set(cause, BL_EINVAL, "'%.40s...' is longer than %d bytes: expected one prefix or address",
                            content, BL_LIST_FILE_CONTENT_MAX);
    if (strpbrk(content, " \t\v\f\r") != NULL)
        return bl_error_set(cause, BL_EINVAL, "'%.60s': expected one prefix or address and nothing behind it", content);
    /* A bare address keeps all its bits until the unit is known. */
    entry->bare_ipv6 = strchr(content, '/') == NULL;
    if (bl_address_parse_prefix(content, 128, &entry->prefix, cause) != BL_OK)
        return BL_EINVAL;
    entry->bare_ipv6 = entry->bare_ipv6 && entry->prefix.family == BL_FAMILY_IPV6;
    return BL_OK;
}

/* The first ones are kept: they are the ones that a person mends first, and often one cause for all. */
static void add_bad(struct bl_list_file *file, const struct bl_error_detail *cause)
{
    if (file->n_bad < BL_LIST_FILE_BAD_SHOWN)
        file->bad[file->n_bad] = (struct bl_list_file_bad){file->n_lines, *cause};
    file->n_bad++;
}

static int end_line(struct bl_list_file *file, struct bl_error_detail *detail)
{
    struct bl_list_file_entry entry = {.line = ++file->n_lines};
    struct bl_error_detail cause = {""};
    const char *content = trim(file);
    int error = BL_OK;

    if (file->n_lines == UINT32_MAX)
        return bl_error_set(detail, BL_ETOOBIG, "more than %u lines in one file: split it", UINT32_MAX - 1);
    if (*content == '\0' && !file->has_nul && !file->too_long) {
        /* Empty, or a comment only. */
    } else if (parse_content(file, content, &entry, &cause) != BL_OK) {
        add_bad(file, &cause);
    } else {
        file->has_bare_ipv6 = file->has_bare_ipv6 || entry.bare_ipv6;
        /* Once a line is bad nothing will be sent: the rest is only checked. */
        if (file->n_bad == 0)
            error = add_entry(file, &entry, detail);
    }
    file->content_length = 0;
    file->too_long = file->has_nul = file->in_comment = file->line_begun = false;
    return error;
}

static void take_byte(struct bl_list_file *file, char byte)
{
    file->line_begun = true;
    /* Neither character occurs in an address: a comment needs no space in front. */
    if (byte == '#' || byte == ';')
        file->in_comment = true;
    if (file->in_comment)
        return;
    if (byte == '\0')
        file->has_nul = true;
    /* Spaces before the content take no room in the buffer, however many. */
    else if (file->content_length == 0 && is_space(byte))
        return;
    else if (file->content_length < BL_LIST_FILE_CONTENT_MAX)
        file->content[file->content_length++] = byte;
    else if (!is_space(byte))
        file->too_long = true;
}

int bl_list_file_feed(struct bl_list_file *file, const char *data, size_t length, struct bl_error_detail *detail)
{
    for (size_t i = 0; i < length; i++) {
        int error = BL_OK;

        if (data[i] == '\n')
            error = end_line(file, detail);
        else
            take_byte(file, data[i]);
        if (error != BL_OK)
            return error;
    }
    return BL_OK;
}

int bl_list_file_end(struct bl_list_file *file, struct bl_error_detail *detail)
{
    return file->line_begun ? end_line(file, detail) : BL_OK;
}

/* By prefix, then by line, so that of equal prefixes the first line is kept whatever qsort does. */
static int compare_entries(const void *left, const void *right)
{
    const struct bl_list_file_entry *a = left;
    const struct bl_list_file_entry *b = right;
    int order = bl_address_prefix_compare(&a->prefix, &b->prefix);

    return order != 0 ? order : (a->line > b->line) - (a->line < b->line);
}

void bl_list_file_finish(struct bl_list_file *file, uint8_t ipv6_unit)
{
    size_t n_kept = 0;

    for (size_t i = 0; i < file->n_entries; i++) {
        struct bl_list_file_entry *entry = &file->entries[i];

        if (!entry->bare_ipv6)
            continue;
        entry->prefix.length = ipv6_unit;
        bl_address_prefix_mask(&entry->prefix);
        entry->bare_ipv6 = false;
    }
    if (file->n_entries > 1)
        qsort(file->entries, file->n_entries, sizeof(*file->entries), compare_entries);
    /* In place: the part that is kept never overtakes the part that is read. */
    for (size_t i = 0; i < file->n_entries; i++) {
        if (n_kept > 0 && bl_address_prefix_compare(&file->entries[n_kept - 1].prefix, &file->entries[i].prefix) == 0)
            continue;
        file->entries[n_kept++] = file->entries[i];
    }
    file->n_duplicates = file->n_entries - n_kept;
    file->n_entries = n_kept;
}
