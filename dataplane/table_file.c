/* Reads and writes table files; see table_file.h for the bytes and what makes them valid. */
#include "dataplane/table_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[8] = {'B', 'L', '-', 'L', 'I', 'S', 'T', '\n'};

/* The layout of this file alone: another layout of the table does not change it. */
enum { VERSION = 1 };

struct header {
    char magic[8];
    uint32_t version;
    uint32_t n_classes;
    uint64_t epoch;
    uint64_t serial;
    uint64_t digest_hi;
    uint64_t digest_lo;
    uint64_t n_ipv4;
    uint64_t n_ipv6;
    uint64_t written_ms;
    uint64_t unused[7];
};
_Static_assert(sizeof(struct header) == 128, "as the head of table_file.h says, without holes");

struct class_record {
    uint16_t class_id;
    uint16_t code;
    uint8_t action;
    uint8_t self_service;
    char url[BL_CLASS_URL_MAX + 1];
    char unused[5];
};
_Static_assert(sizeof(struct class_record) == 312, "as the head of table_file.h says, without holes");

struct head {
    struct header header;
    struct class_record classes[BL_CLASS_COUNT];
};

/* Everybody knows it: it is against rot. */
static const struct bl_siphash_key checksum_key = {0x626f756e63656c69, 0x7461626c652e6631};

static size_t head_bytes(const struct header *header)
{
    return sizeof(*header) + header->n_classes * sizeof(struct class_record);
}

static size_t column_bytes(const struct bl_entries *entries, int family)
{
    return entries->columns[family].n * bl_entries_words((enum bl_entries_family)family) * sizeof(uint64_t);
}

static uint64_t checksum(const struct head *head, const struct bl_entries *entries)
{
    uint64_t sums[1 + BL_ENTRIES_FAMILIES];

    sums[0] = bl_siphash(&checksum_key, head, head_bytes(&head->header));
    for (int family = 0; family < BL_ENTRIES_FAMILIES; family++)
        sums[1 + family] = bl_siphash(&checksum_key, entries->columns[family].words, column_bytes(entries, family));
    return bl_siphash(&checksum_key, sums, sizeof(sums));
}

void bl_table_file_fini(struct bl_table_file *table)
{
    bl_entries_fini(&table->entries);
    memset(table, 0, sizeof(*table));
}

/* Reading. */

static int read_all(int fd, void *data, size_t length)
{
    uint8_t *at = data;

    while (length > 0) {
        ssize_t n = read(fd, at, length < INT_MAX ? length : INT_MAX);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return BL_EIO;
        at += n;
        length -= (size_t)n;
    }
    return BL_OK;
}

/* From here on every count is small enough to compute with. */
static int check_header(const struct header *header, uint64_t n_bytes, struct bl_error_detail *detail)
{
    uint64_t expected;

    if (memcmp(header->magic, magic, sizeof(magic)) != 0)
        return bl_error_set(detail, BL_EINVAL, "does not begin as a table file does");
    if (header->version != VERSION)
        return bl_error_set(detail, BL_EVERSION, "version %u: expected %u", header->version, VERSION);
    if (header->n_classes > BL_CLASS_LAST || header->n_ipv4 > BL_TABLE_ENTRIES_MAX ||
        header->n_ipv6 > BL_TABLE_ENTRIES_MAX || header->n_ipv4 + header->n_ipv6 > BL_TABLE_ENTRIES_MAX)
        return bl_error_set(detail, BL_ETOOBIG, "%u classes, %llu and %llu entries: expected at most %d and %u",
                            header->n_classes, (unsigned long long)header->n_ipv4, (unsigned long long)header->n_ipv6,
                            BL_CLASS_LAST, BL_TABLE_ENTRIES_MAX);
    expected = head_bytes(header) + header->n_ipv4 * sizeof(uint64_t) + header->n_ipv6 * 3 * sizeof(uint64_t) +
               sizeof(uint64_t);
    if (n_bytes != expected)
        return bl_error_set(detail, BL_EINVAL, "%llu bytes: expected %llu for its entries", (unsigned long long)n_bytes,
                            (unsigned long long)expected);
    return BL_OK;
}

static int take_class(const struct class_record *record, struct bl_class *classes, struct bl_error_detail *detail)
{
    struct bl_error_detail cause = {""};
    struct bl_class class = {.code = record->code, .action = record->action, .self_service = record->self_service != 0};

    if (record->class_id < BL_CLASS_FIRST || record->class_id > BL_CLASS_LAST || classes[record->class_id].code != 0)
        return bl_error_set(detail, BL_EINVAL, "class %u: expected each of %d..%d once at most", record->class_id,
                            BL_CLASS_FIRST, BL_CLASS_LAST);
    memcpy(class.url, record->url, sizeof(class.url));
    if (memchr(class.url, '\0', sizeof(class.url)) == NULL)
        return bl_error_set(detail, BL_EINVAL, "class %u: its URL has no end", record->class_id);
    if (bl_class_validate(&class, &cause) != BL_OK)
        return bl_error_set(detail, BL_EINVAL, "class %u: %.200s", record->class_id, cause.text);
    classes[record->class_id] = class;
    return BL_OK;
}

/* The checksum is right: what follows finds what no rot but a bug, or somebody's hand, has put there. */
static int take_head(const struct head *head, struct bl_table_file *out, struct bl_error_detail *detail)
{
    const struct header *header = &head->header;

    if (header->epoch == 0)
        return bl_error_set(detail, BL_EINVAL, "epoch 0: expected one that a control plane has given");
    out->held = (struct bl_held){
        .epoch = header->epoch,
        .serial = header->serial,
        .digest = {header->digest_hi, header->digest_lo},
        .n_ipv4 = header->n_ipv4,
        .n_ipv6 = header->n_ipv6,
    };
    out->written_ms = header->written_ms;
    for (uint32_t i = 0; i < header->n_classes; i++) {
        int error = take_class(&head->classes[i], out->classes, detail);

        if (error != BL_OK)
            return error;
    }
    return BL_OK;
}

static int read_parts(int fd, struct head *head, struct bl_entries *entries, struct bl_error_detail *detail)
{
    const struct header *header = &head->header;
    uint64_t sum;
    int error = bl_entries_resize(entries, BL_ENTRIES_IPV4, header->n_ipv4);

    if (error == BL_OK)
        error = bl_entries_resize(entries, BL_ENTRIES_IPV6, header->n_ipv6);
    if (error != BL_OK)
        return bl_error_set(detail, error, "no memory for its entries");
    error = read_all(fd, head->classes, head_bytes(header) - sizeof(*header));
    for (int family = 0; family < BL_ENTRIES_FAMILIES && error == BL_OK; family++)
        error = read_all(fd, entries->columns[family].words, column_bytes(entries, family));
    if (error == BL_OK)
        error = read_all(fd, &sum, sizeof(sum));
    if (error != BL_OK)
        return bl_error_set(detail, error, "can't be read");
    if (sum != checksum(head, entries))
        return bl_error_set(detail, BL_EDIGEST, "its checksum is %016llx: expected %016llx for what is in it",
                            (unsigned long long)sum, (unsigned long long)checksum(head, entries));
    return BL_OK;
}

static int check_entries(const struct bl_entries *entries, struct bl_error_detail *detail)
{
    size_t bad = bl_entries_check(entries);
    struct bl_table_entry entry;
    char text[BL_ADDRESS_TEXT_MAX];

    if (bad == bl_entries_count(entries))
        return BL_OK;
    bl_entries_get(entries, bad, &entry);
    if (!bl_address_prefix_canonical(&entry.prefix))
        snprintf(text, sizeof(text), "no prefix");
    else
        bl_address_format_prefix(&entry.prefix, text);
    return bl_error_set(detail, BL_EINVAL, "entry %zu, %s of class %u: expected a prefix of class 1..%d, in order", bad,
                        text, entry.class_id, BL_CLASS_EXEMPT);
}

static int read_table(int fd, struct bl_table_file *out, struct bl_error_detail *detail)
{
    struct stat status;
    struct head *head;
    int error;

    if (fstat(fd, &status) != 0)
        return bl_error_set(detail, BL_EIO, "%s", strerror(errno));
    if (!S_ISREG(status.st_mode))
        return bl_error_set(detail, BL_EINVAL, "expected a regular file");
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return bl_error_set(detail, BL_EPERM, "its mode is %04o: expected one that lets nobody else write",
                            (unsigned)(status.st_mode & 07777));
    if (status.st_size < (off_t)sizeof(head->header))
        return bl_error_set(detail, BL_EINVAL, "%lld bytes: expected at least %zu", (long long)status.st_size,
                            sizeof(head->header));
    head = calloc(1, sizeof(*head));
    if (head == NULL)
        return bl_error_set(detail, BL_ENOMEM, "no memory");
    error = read_all(fd, &head->header, sizeof(head->header));
    if (error != BL_OK)
        bl_error_set(detail, error, "can't be read");
    if (error == BL_OK)
        error = check_header(&head->header, (uint64_t)status.st_size, detail);
    if (error == BL_OK)
        error = read_parts(fd, head, &out->entries, detail);
    if (error == BL_OK)
        error = take_head(head, out, detail);
    if (error == BL_OK)
        error = check_entries(&out->entries, detail);
    free(head);
    return error;
}

int bl_table_file_read(const char *path, struct bl_table_file *out, struct bl_error_detail *detail)
{
    struct bl_error_detail cause = {""};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int error;

    memset(out, 0, sizeof(*out));
    if (fd < 0)
        return bl_error_set(detail, errno == ENOENT ? BL_ENOENT : BL_EIO, "%s: %s", path, strerror(errno));
    error = read_table(fd, out, &cause);
    close(fd);
    if (error == BL_OK)
        return BL_OK;
    bl_table_file_fini(out);
    return bl_error_set(detail, error, "%s: %s", path, cause.text);
}

/* Writing. */

static struct head *make_head(const struct bl_table_file *table)
{
    struct head *head = calloc(1, sizeof(*head));

    if (head == NULL)
        return NULL;
    head->header = (struct header){
        .version = VERSION,
        .epoch = table->held.epoch,
        .serial = table->held.serial,
        .digest_hi = table->held.digest.hi,
        .digest_lo = table->held.digest.lo,
        .n_ipv4 = table->entries.columns[BL_ENTRIES_IPV4].n,
        .n_ipv6 = table->entries.columns[BL_ENTRIES_IPV6].n,
        .written_ms = table->written_ms,
    };
    memcpy(head->header.magic, magic, sizeof(magic));
    for (unsigned i = BL_CLASS_FIRST; i <= BL_CLASS_LAST; i++) {
        const struct bl_class *class = &table->classes[i];
        struct class_record *record = &head->classes[head->header.n_classes];

        if (class->code == 0)
            continue;
        head->header.n_classes++;
        *record = (struct class_record){
            .class_id = (uint16_t)i,
            .code = class->code,
            .action = class->action,
            .self_service = class->self_service,
        };
        memcpy(record->url, class->url, strnlen(class->url, BL_CLASS_URL_MAX));
    }
    return head;
}

static int write_all(int fd, const void *data, size_t length)
{
    const uint8_t *at = data;

    while (length > 0) {
        ssize_t n = write(fd, at, length < INT_MAX ? length : INT_MAX);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return BL_EIO;
        at += n;
        length -= (size_t)n;
    }
    return BL_OK;
}

static int write_parts(int fd, const struct bl_table_file *table)
{
    struct head *head = make_head(table);
    uint64_t sum;
    int error;

    if (head == NULL)
        return BL_ENOMEM;
    sum = checksum(head, &table->entries);
    error = write_all(fd, head, head_bytes(&head->header));
    for (int family = 0; family < BL_ENTRIES_FAMILIES && error == BL_OK; family++)
        error = write_all(fd, table->entries.columns[family].words, column_bytes(&table->entries, family));
    if (error == BL_OK)
        error = write_all(fd, &sum, sizeof(sum));
    free(head);
    return error;
}

static int fail(const char *path, const char *step, struct bl_error_detail *detail)
{
    return bl_error_set(detail, BL_EIO, "%s: %s: %s", path, step, strerror(errno));
}

/* The file beside: a name that a program which was killed may have left, so that it goes first. */
static int write_beside(const char *beside, const struct bl_table_file *table, struct bl_error_detail *detail)
{
    int error = BL_OK;
    int fd;

    if (unlink(beside) != 0 && errno != ENOENT)
        return fail(beside, "the one of before can't be removed", detail);
    fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(beside, "can't be made", detail);
    if (write_parts(fd, table) != BL_OK)
        error = fail(beside, "can't be written", detail);
    else if (fsync(fd) != 0)
        error = fail(beside, "fsync", detail);
    if (close(fd) != 0 && error == BL_OK)
        error = fail(beside, "close", detail);
    return error;
}

static int sync_directory(const char *directory, struct bl_error_detail *detail)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = BL_OK;

    if (fd < 0)
        return fail(directory, "can't be opened", detail);
    if (fsync(fd) != 0)
        error = fail(directory, "fsync", detail);
    close(fd);
    return error;
}

int bl_table_file_write(const char *path, const struct bl_table_file *table, struct bl_error_detail *detail)
{
    const char *slash = strrchr(path, '/');
    char directory[PATH_MAX];
    char beside[PATH_MAX];
    int error;

    if (strlen(path) + sizeof(".new") > sizeof(beside))
        return bl_error_set(detail, BL_EIO, "the path is too long");
    snprintf(beside, sizeof(beside), "%s.new", path);
    snprintf(directory, sizeof(directory), "%.*s",
             slash == NULL   ? 1
             : slash == path ? 1
                             : (int)(slash - path),
             slash == NULL ? "." : path);
    if (mkdir(directory, 0700) != 0 && errno != EEXIST)
        return fail(directory, "can't be made", detail);
    error = write_beside(beside, table, detail);
    if (error == BL_OK && rename(beside, path) != 0)
        error = fail(path, "rename", detail);
    if (error == BL_OK)
        return sync_directory(directory, detail);
    (void)unlink(beside);
    return error;
}
