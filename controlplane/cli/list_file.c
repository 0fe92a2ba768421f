/* The reader of list files; see list_file.h.
 *
 * Bytes are taken one at a time into a small buffer that holds a line's content without its comment, so that neither a
 * long comment nor a file without line ends costs memory. Only the head, until the format is known, and a JSON document
 * are kept as a whole. */
#include "controlplane/cli/list_file.h"

#include <stdlib.h>
#include <string.h>

#include "controlplane/cli/list_carve.h"
#include "controlplane/cli/list_format.h"

void bl_list_file_init(struct bl_list_file *file)
{
    memset(file, 0, sizeof(*file));
}

void bl_list_file_fini(struct bl_list_file *file)
{
    free(file->entries);
    free(file->document);
    file->entries = NULL;
    file->document = NULL;
    file->n_entries = file->capacity = 0;
}

/* The first ones are kept: they are the ones that a person mends first, and often one cause for all. */
static void add_bad(struct bl_list_file *file, const struct bl_error_detail *cause)
{
    if (file->n_bad < BL_LIST_FILE_BAD_SHOWN)
        file->bad[file->n_bad] = (struct bl_list_file_bad){file->n_lines, *cause};
    file->n_bad++;
}

static int take_content(struct bl_list_file *file, struct bl_error_detail *cause)
{
    char *content = file->content;

    file->content[file->content_length] = '\0';
    /* Editors of one large vendor begin a text file with U+FEFF. */
    if (file->n_lines == 1 && strncmp(content, "\xef\xbb\xbf", 3) == 0)
        content += 3;
    content = bl_list_format_trim(content);
    if (file->has_nul)
        return bl_error_set(cause, BL_EINVAL, "holds a NUL byte: expected text");
    if (file->too_long)
        return bl_error_set(cause, BL_EINVAL, "'%.40s...' is longer than %d bytes: expected one prefix or address",
                            content, file->format->content_max);
    return *content == '\0' ? BL_OK : file->format->take_line(file, content, cause);
}

static int end_line(struct bl_list_file *file, struct bl_error_detail *detail)
{
    struct bl_error_detail cause = {""};
    int error;

    if (++file->n_lines == UINT32_MAX)
        return bl_error_set(detail, BL_ETOOBIG, "more than %u lines in one file: split it", UINT32_MAX - 1);
    file->comment[file->comment_length] = '\0';
    if (file->in_comment && file->format->take_comment != NULL)
        file->format->take_comment(file, file->comment);
    error = take_content(file, &cause);
    if (error == BL_EINVAL || error == BL_ERANGE)
        add_bad(file, &cause);
    else if (error != BL_OK)
        return bl_error_set(detail, error, "line %u: %s", file->n_lines, cause.text);
    file->content_length = file->comment_length = 0;
    file->too_long = file->has_nul = file->in_comment = file->line_begun = false;
    return BL_OK;
}

static void take_comment_byte(struct bl_list_file *file, char byte)
{
    if (byte != '\0' && file->comment_length < BL_LIST_FILE_COMMENT_MAX)
        file->comment[file->comment_length++] = byte;
}

static void take_byte(struct bl_list_file *file, char byte)
{
    file->line_begun = true;
    if (file->in_comment) {
        take_comment_byte(file, byte);
        return;
    }
    /* Spaces before the content take no room in the buffer, however many. */
    if (byte == '\0')
        file->has_nul = true;
    else if (strchr(file->format->comment, byte) != NULL)
        file->in_comment = true;
    else if (file->content_length == 0 && bl_list_format_is_space(byte))
        return;
    else if (file->content_length < file->format->content_max)
        file->content[file->content_length++] = byte;
    else if (!bl_list_format_is_space(byte))
        file->too_long = true;
}

static int take_lines(struct bl_list_file *file, const char *data, size_t length, struct bl_error_detail *detail)
{
    int error = BL_OK;

    for (size_t i = 0; i < length && error == BL_OK; i++) {
        if (data[i] == '\n')
            error = end_line(file, detail);
        else
            take_byte(file, data[i]);
    }
    return error;
}

static int keep(struct bl_list_file *file, const char *data, size_t length, struct bl_error_detail *detail)
{
    if (length > BL_LIST_FILE_DOCUMENT_MAX - file->document_length)
        return bl_error_set(detail, BL_ETOOBIG, "a JSON document of more than %d bytes: split it",
                            BL_LIST_FILE_DOCUMENT_MAX);
    if (file->document_length + length + 1 > file->document_capacity) {
        size_t capacity = (file->document_length + length) * 2 + 4096;
        char *document = realloc(file->document, capacity);

        if (document == NULL)
            return bl_error_set(detail, BL_ENOMEM, "out of memory");
        file->document = document;
        file->document_capacity = capacity;
    }
    memcpy(file->document + file->document_length, data, length);
    file->document_length += length;
    return BL_OK;
}

/* The format is known from here on: what was held back for it goes the way of all bytes. */
static int choose_format(struct bl_list_file *file, struct bl_error_detail *detail)
{
    char *head = file->document;
    size_t length = file->document_length;
    int error;

    file->format = bl_list_format_detect(head == NULL ? "" : head, length);
    if (file->format->is_document)
        return BL_OK;
    file->document = NULL;
    file->document_length = file->document_capacity = 0;
    error = take_lines(file, head, length, detail);
    free(head);
    return error;
}

int bl_list_file_feed(struct bl_list_file *file, const char *data, size_t length, struct bl_error_detail *detail)
{
    int error = BL_OK;

    if (file->format == NULL) {
        size_t n_head = BL_LIST_FILE_HEAD_MAX - file->document_length;

        n_head = length < n_head ? length : n_head;
        error = keep(file, data, n_head, detail);
        data += n_head;
        length -= n_head;
        if (error == BL_OK && file->document_length == BL_LIST_FILE_HEAD_MAX)
            error = choose_format(file, detail);
        if (error != BL_OK || length == 0)
            return error;
    }
    return file->format->is_document ? keep(file, data, length, detail) : take_lines(file, data, length, detail);
}

int bl_list_file_end(struct bl_list_file *file, struct bl_error_detail *detail)
{
    struct bl_error_detail cause = {""};
    int error = file->format == NULL ? choose_format(file, detail) : BL_OK;

    if (error == BL_OK && file->line_begun)
        error = end_line(file, detail);
    if (error != BL_OK || file->format->end == NULL)
        return error;
    error = file->format->end(file, &cause);
    if (error == BL_EINVAL || error == BL_ERANGE)
        add_bad(file, &cause);
    else if (error != BL_OK)
        return bl_error_set(detail, error, "%s", cause.text);
    return BL_OK;
}

/* By prefix, then by line, so that of equal prefixes the first line is kept whatever qsort does. */
static int compare_entries(const void *left, const void *right)
{
    const struct bl_list_file_entry *a = left;
    const struct bl_list_file_entry *b = right;
    int order = bl_address_prefix_compare(&a->prefix, &b->prefix);

    return order != 0 ? order : (a->line > b->line) - (a->line < b->line);
}

/* Of one prefix that ends at two times the later holds: both were said. */
static void merge(struct bl_list_file_entry *kept, const struct bl_list_file_entry *other)
{
    if (other->expires_at_s == 0 || (kept->expires_at_s != 0 && other->expires_at_s > kept->expires_at_s))
        kept->expires_at_s = other->expires_at_s;
}

/* In place: the part that is kept never overtakes the part that is read. @return how many went. */
static size_t drop_duplicates(struct bl_list_file *file)
{
    size_t n_kept = 0;
    size_t n_before = file->n_entries;

    for (size_t i = 0; i < file->n_entries; i++) {
        struct bl_list_file_entry *last = n_kept == 0 ? NULL : &file->entries[n_kept - 1];

        if (last != NULL && last->excluded == file->entries[i].excluded &&
            bl_address_prefix_compare(&last->prefix, &file->entries[i].prefix) == 0)
            merge(last, &file->entries[i]);
        else
            file->entries[n_kept++] = file->entries[i];
    }
    file->n_entries = n_kept;
    return n_before - n_kept;
}

static int carve(struct bl_list_file *file)
{
    struct bl_list_file_entry *carved = NULL;
    size_t n_carved = 0;
    int error;

    for (size_t i = 0; i < file->n_entries; i++)
        file->n_excluded += file->entries[i].excluded;
    if (file->n_excluded == 0)
        return BL_OK;
    error = bl_list_carve(file->entries, file->n_entries, file->format->by_octets, &carved, &n_carved);
    if (error != BL_OK)
        return error;
    free(file->entries);
    file->entries = carved;
    file->n_entries = file->capacity = n_carved;
    /* A piece of a wide one may be what another line says anyway. Nothing at all may be left. */
    if (file->n_entries > 1)
        qsort(file->entries, file->n_entries, sizeof(*file->entries), compare_entries);
    (void)drop_duplicates(file);
    return BL_OK;
}

/* A prefix sorts directly before what it covers. */
static void count_overlaps(struct bl_list_file *file)
{
    const struct bl_prefix *cover = NULL;

    for (size_t i = 0; i < file->n_entries; i++) {
        if (cover != NULL && bl_address_prefix_covers(cover, &file->entries[i].prefix))
            file->n_overlaps++;
        else
            cover = &file->entries[i].prefix;
    }
}

int bl_list_file_finish(struct bl_list_file *file, uint8_t ipv6_unit)
{
    int error;

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
    file->n_duplicates = drop_duplicates(file);
    error = carve(file);
    if (error == BL_OK)
        count_overlaps(file);
    return error;
}
