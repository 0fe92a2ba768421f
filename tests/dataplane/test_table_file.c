/* Table files: what is written is read; whatever byte is changed or cut off, the file is refused; whenever the writer is
 * interrupted or the disk fails, the path names the whole old file or the whole new one.
 *
 * The linker leads the writer's system calls through the functions below (--wrap), which count them and end or fail the
 * chosen one. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dataplane/table_file.h"
#include "dataplane/table_fixture.h"

enum { OUTCOME_OLD = 1, OUTCOME_NEW = 2 };

static char directory[] = "/tmp/test_table_file.XXXXXX";
static char path[64];
static struct bl_table_file table;
static struct bl_table_file found;
static struct bl_error_detail detail;

/* The system call that is interrupted: 0 none. */
static int chosen;
static int n_calls;
static int failure; /* errno; 0: the process ends there */

static bool is_chosen(void)
{
    if (chosen == 0 || ++n_calls != chosen)
        return false;
    if (failure == 0)
        _exit(0);
    errno = failure;
    return true;
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __real_unlink(const char *name);
int __wrap_unlink(const char *name);
ssize_t __real_write(int fd, const void *data, size_t length);
ssize_t __wrap_write(int fd, const void *data, size_t length);

int __wrap_fsync(int fd)
{
    return is_chosen() ? -1 : __real_fsync(fd);
}

int __wrap_rename(const char *from, const char *to)
{
    return is_chosen() ? -1 : __real_rename(from, to);
}

int __wrap_unlink(const char *name)
{
    return is_chosen() ? -1 : __real_unlink(name);
}

/* Half of it is written first, so that an end here tears the file. */
ssize_t __wrap_write(int fd, const void *data, size_t length)
{
    ssize_t n;

    if (chosen == 0)
        return __real_write(fd, data, length);
    n = length < 2 ? 0 : __real_write(fd, data, length / 2);
    if (is_chosen())
        return -1;
    return n + __real_write(fd, (const char *)data + n, length - (size_t)n);
}

static void add(const char *prefix, uint8_t class_id)
{
    struct bl_table_entry entry = {fixture_prefix(prefix), class_id};

    ck_assert_int_eq(bl_entries_add(&table.entries, &entry), BL_OK);
    bl_digest_add(&table.held.digest, table.held.epoch, &entry.prefix, class_id);
    if (entry.prefix.family == BL_FAMILY_IPV4)
        table.held.n_ipv4++;
    else
        table.held.n_ipv6++;
}

static void start(void)
{
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/table", directory);
    table.held.epoch = FIXTURE_EPOCH;
    table.held.serial = 1234567;
    table.written_ms = 1790000000123;
    table.classes[1] = (struct bl_class){606, BL_ACTION_REJECT, true, "https://delist.example.net/?ip={address}"};
    table.classes[62] = (struct bl_class){649, BL_ACTION_DROP, false, "https://delist.example.net/"};
    add("10.0.0.0/8", 63);
    add("192.0.2.0/24", 1);
    add("192.0.2.1", 62);
    add("2001:db8::/32", 1);
    add("2001:db8::1/128", 63);
}

static void end(void)
{
    char command[128];

    bl_table_file_fini(&table);
    bl_table_file_fini(&found);
    snprintf(command, sizeof(command), "rm -rf %s", directory);
    ck_assert_int_eq(system(command), 0);
}

static void write_table(void)
{
    ck_assert_msg(bl_table_file_write(path, &table, &detail) == BL_OK, "%s", detail.text);
}

static int read_table(void)
{
    bl_table_file_fini(&found);
    detail.text[0] = '\0';
    return bl_table_file_read(path, &found, &detail);
}

static void assert_refused(int error, const char *why)
{
    ck_assert_int_eq(read_table(), error);
    ck_assert_msg(strncmp(detail.text, path, strlen(path)) == 0 && strstr(detail.text, why) != NULL, "said: %s",
                  detail.text);
    ck_assert_uint_eq(found.held.epoch, 0);
    ck_assert_uint_eq(bl_entries_count(&found.entries), 0);
}

static void assert_found_whole(void)
{
    ck_assert_msg(read_table() == BL_OK, "%s", detail.text);
    ck_assert_int_eq(memcmp(&found.held, &table.held, sizeof(found.held)), 0);
    ck_assert_uint_eq(found.written_ms, table.written_ms);
    for (unsigned i = 0; i < BL_CLASS_COUNT; i++)
        ck_assert(bl_class_equal(&found.classes[i], &table.classes[i]));
    for (int i = 0; i < BL_ENTRIES_FAMILIES; i++) {
        const struct bl_entries_column *a = &found.entries.columns[i], *b = &table.entries.columns[i];

        ck_assert_uint_eq(a->n, b->n);
        ck_assert_int_eq(
            a->n == 0 ? 0 : memcmp(a->words, b->words, a->n * 8 * bl_entries_words((enum bl_entries_family)i)), 0);
    }
}

/* The file's bytes; the caller frees them. */
static uint8_t *slurp(size_t *length)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(1 << 16);

    ck_assert(file != NULL && bytes != NULL);
    *length = fread(bytes, 1, 1 << 16, file);
    ck_assert(*length > 0 && *length < 1 << 16);
    fclose(file);
    return bytes;
}

static void put(const uint8_t *bytes, size_t length)
{
    FILE *file = fopen(path, "wb");

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, length, file), length);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(what_is_written_is_read)
{
    struct stat status;

    write_table();
    assert_found_whole();
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_uint_eq(status.st_mode & 07777, 0600);
    bl_entries_fini(&table.entries);
    memset(table.classes, 0, sizeof(table.classes));
    table.held.n_ipv4 = 0;
    table.held.n_ipv6 = 0;
    write_table(); /* over the old one; an empty list is a list too */
    assert_found_whole();
}
END_TEST

START_TEST(there_is_none)
{
    assert_refused(BL_ENOENT, "No such file");
}
END_TEST

START_TEST(the_directory_is_made)
{
    struct stat status;

    snprintf(path, sizeof(path), "%s/made/table", directory);
    write_table();
    assert_found_whole();
    snprintf(path, sizeof(path), "%s/made", directory);
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_uint_eq(status.st_mode & 07777, 0700);
    snprintf(path, sizeof(path), "%s/no/no/table", directory);
    ck_assert_int_eq(bl_table_file_write(path, &table, &detail), BL_EIO);
}
END_TEST

/* Every bit of the file, one at a time: refused, always. */
START_TEST(every_flipped_bit_is_refused)
{
    size_t length;
    uint8_t *bytes;
    int file;

    write_table();
    bytes = slurp(&length);
    file = open(path, O_WRONLY);
    ck_assert_int_ge(file, 0);
    for (size_t i = 0; i < 8 * length; i++) {
        uint8_t flipped = bytes[i / 8] ^ (uint8_t)(1 << i % 8);

        ck_assert_int_eq(pwrite(file, &flipped, 1, (off_t)(i / 8)), 1);
        ck_assert_msg(read_table() != BL_OK, "bit %zu of byte %zu", i % 8, i / 8);
        ck_assert_msg(strlen(detail.text) > strlen(path) + 10, "byte %zu: said: %s", i / 8, detail.text);
        ck_assert_int_eq(pwrite(file, &bytes[i / 8], 1, (off_t)(i / 8)), 1);
    }
    assert_found_whole();
    close(file);
    free(bytes);
}
END_TEST

START_TEST(every_other_length_is_refused)
{
    size_t length;
    uint8_t *bytes;

    write_table();
    bytes = slurp(&length);
    for (size_t n = 0; n < length; n++) {
        put(bytes, n);
        assert_refused(BL_EINVAL, "expected");
    }
    bytes = realloc(bytes, length + 1);
    bytes[length] = 0;
    put(bytes, length + 1);
    assert_refused(BL_EINVAL, "expected");
    free(bytes);
}
END_TEST

START_TEST(says_what_is_wrong)
{
    size_t length;
    uint8_t *bytes;

    write_table();
    bytes = slurp(&length);
    bytes[8] = 2;
    put(bytes, length);
    assert_refused(BL_EVERSION, "version 2: expected 1");
    bytes[8] = 1;
    bytes[0] ^= 1;
    put(bytes, length);
    assert_refused(BL_EINVAL, "does not begin");
    bytes[0] ^= 1;
    bytes[length - 9] ^= 1;
    put(bytes, length);
    assert_refused(BL_EDIGEST, "checksum");
    bytes[length - 9] ^= 1;
    put(bytes, length);
    ck_assert_int_eq(chmod(path, 0620), 0);
    assert_refused(BL_EPERM, "0620");
    ck_assert_int_eq(chmod(path, 0600), 0);
    assert_found_whole();
    free(bytes);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    assert_refused(BL_EINVAL, "regular");
}
END_TEST

/* A count that nothing stands behind asks for no memory. */
START_TEST(large_counts_are_refused)
{
    size_t length;
    uint8_t *bytes;

    write_table();
    bytes = slurp(&length);
    memset(bytes + 48, 0xff, 8);
    put(bytes, length);
    assert_refused(BL_ETOOBIG, "expected at most");
    free(bytes);
}
END_TEST

/* What no rot makes, with a checksum that is right. */
START_TEST(wrong_content_is_refused)
{
    table.held.epoch = 0;
    write_table();
    assert_refused(BL_EINVAL, "epoch 0");
    table.held.epoch = FIXTURE_EPOCH;
    table.classes[1].code = 605;
    write_table();
    assert_refused(BL_EINVAL, "class 1");
    table.classes[1].code = 606;
    table.classes[62].url[0] = 'x';
    write_table();
    assert_refused(BL_EINVAL, "class 62");
    table.classes[62].url[0] = 'h';
    table.entries.columns[BL_ENTRIES_IPV4].words[0] &= ~UINT64_C(0xff);
    write_table();
    assert_refused(BL_EINVAL, "entry 0");
    table.entries.columns[BL_ENTRIES_IPV4].words[0] |= 64;
    write_table();
    assert_refused(BL_EINVAL, "entry 0");
    table.entries.columns[BL_ENTRIES_IPV4].words[0] ^= 64 ^ 63;
    table.entries.columns[BL_ENTRIES_IPV6].words[2] ^= UINT64_C(1) << 63;
    write_table();
    assert_refused(BL_EINVAL, "entry 4");
    table.entries.columns[BL_ENTRIES_IPV6].words[2] ^= UINT64_C(1) << 63;
    write_table();
    assert_found_whole();
}
END_TEST

/* Writes the new table over the old one in a child, interrupted at its n-th call. @return false when it did all. */
static bool interrupt(int n, int with)
{
    pid_t child = fork();
    int status;

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        chosen = n;
        failure = with;
        (void)bl_table_file_write(path, &table, &detail);
        _exit(n_calls < n ? 1 : 0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status) == 0;
}

static int outcome(void)
{
    ck_assert_msg(read_table() == BL_OK, "%s", detail.text);
    if (found.held.serial == 1)
        ck_assert_uint_eq(bl_entries_count(&found.entries), 5);
    else
        ck_assert_uint_eq(bl_entries_count(&found.entries), 6);
    return found.held.serial == 1 ? OUTCOME_OLD : OUTCOME_NEW;
}

static bool is_there(const char *suffix)
{
    char name[80];

    snprintf(name, sizeof(name), "%s%s", path, suffix);
    return access(name, F_OK) == 0;
}

/* unlink, four or five writes, fsync, rename, fsync: killed at each, then with a failure at each. */
START_TEST(interrupted_anywhere_it_is_the_old_or_the_new_one)
{
    int with = _i == 0 ? 0 : _i == 1 ? ENOSPC : EIO;
    int n = 1, n_old = 0;

    for (;; n++) {
        bool interrupted;

        table.held.serial = 1;
        table.entries.columns[BL_ENTRIES_IPV4].n = 3;
        write_table();
        ck_assert_int_eq(outcome(), OUTCOME_OLD);
        table.held.serial = 2;
        if (n == 1)
            add("198.51.100.0/24", 1);
        table.entries.columns[BL_ENTRIES_IPV4].n = 4;
        interrupted = interrupt(n, with);
        if (outcome() == OUTCOME_OLD)
            n_old = n;
        if (!interrupted)
            break;
        ck_assert_msg(with == 0 || n == 1 || !is_there(".new"), "call %d leaves a file", n);
    }
    ck_assert_int_eq(n, 9); /* the calls are 8 */
    ck_assert_int_eq(n_old, 7);
    ck_assert(!is_there(".new"));
}
END_TEST

/* In a mount namespace of its own, on a file system of 16 KiB. */
START_TEST(a_full_disk_leaves_the_old_file)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", directory, "tmpfs", 0, "size=16k") != 0) {
        fprintf(stderr, "a_full_disk_leaves_the_old_file: not done: needs root, for a small file system\n");
        return;
    }
    write_table();
    table.held.serial++;
    for (uint32_t i = 0; i < 4096; i++) {
        struct bl_table_entry entry = {fixture_prefix_ip4(0xc6000000 + (i << 8), 24), 1};

        ck_assert_int_eq(bl_entries_add(&table.entries, &entry), BL_OK);
    }
    ck_assert_int_eq(bl_table_file_write(path, &table, &detail), BL_EIO);
    ck_assert_msg(strstr(detail.text, "No space left") != NULL, "said: %s", detail.text);
    ck_assert(!is_there(".new"));
    table.held.serial--;
    table.entries.columns[BL_ENTRIES_IPV4].n = 3;
    assert_found_whole();
    ck_assert_int_eq(umount(directory), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("table_file");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_checked_fixture(tests, start, end);
    tcase_add_test(tests, what_is_written_is_read);
    tcase_add_test(tests, there_is_none);
    tcase_add_test(tests, the_directory_is_made);
    tcase_add_test(tests, every_flipped_bit_is_refused);
    tcase_add_test(tests, every_other_length_is_refused);
    tcase_add_test(tests, says_what_is_wrong);
    tcase_add_test(tests, large_counts_are_refused);
    tcase_add_test(tests, wrong_content_is_refused);
    tcase_add_loop_test(tests, interrupted_anywhere_it_is_the_old_or_the_new_one, 0, 3);
    tcase_add_test(tests, a_full_disk_leaves_the_old_file);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
