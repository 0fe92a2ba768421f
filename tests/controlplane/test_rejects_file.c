/* The file of rejects: whole lines of JSON, rotation, a disk that is full and one that is not any more. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controlplane/rejects_file.h"

enum { BYTES_MAX = 2000 };

static char folder[64];
static char path[96];
static struct bl_rejects_file *file;
static struct bl_rejects_file_counts counts;

static void set_up(void)
{
    (void)snprintf(folder, sizeof(folder), "/tmp/bounceline-rejects-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/rejects.json", folder);
    file = NULL;
    counts = (struct bl_rejects_file_counts){0};
}

static void tear_down(void)
{
    char command[128];

    bl_rejects_file_close(file);
    (void)snprintf(command, sizeof(command), "rm -r %s", folder);
    ck_assert_int_eq(system(command), 0);
}

static void open_file(uint32_t n_files)
{
    struct bl_error_detail detail = {""};

    ck_assert_msg(bl_rejects_file_open(&file, &(struct bl_rejects_file_options){path, BYTES_MAX, n_files}, &detail) ==
                      BL_OK,
                  "%s", detail.text);
}

static struct bl_reject make_reject(void)
{
    struct bl_reject reject = {
        .id = 1,
        .sample = {.time_ms = 1795615323123,
                   .weight = 3,
                   .source_port = 40000,
                   .destination_port = 25,
                   .class_id = 2,
                   .reason = BL_REASON_REJECT_BOUNCE,
                   .denied_at = BL_DENIED_AT_RCPT,
                   .worker = 1},
        .listing_source = "drop",
        .dataplane = "ed\"ge\\1",
        .code = 607,
        .action = BL_ACTION_REJECT,
    };

    ck_assert_int_eq(bl_address_parse("198.51.100.10", &reject.sample.source, NULL), BL_OK);
    ck_assert_int_eq(bl_address_parse("192.0.2.25", &reject.sample.destination, NULL), BL_OK);
    ck_assert_int_eq(bl_address_parse_prefix("198.51.100.0/24", 64, &reject.listing, NULL), BL_OK);
    return reject;
}

static void write_lines(size_t n)
{
    const struct bl_reject reject = make_reject();

    for (size_t i = 0; i < n; i++)
        bl_rejects_file_write(file, &reject, 1, &counts);
}

/* Bytes and lines of FILE or FILE.number; every line must be whole. @return lines, or -1: there is none. */
static int count_lines(int number)
{
    char name[128];
    char line[2000];
    FILE *in;
    int n = 0;

    (void)snprintf(name, sizeof(name), number == 0 ? "%s" : "%s.%d", path, number);
    in = fopen(name, "r");
    if (in == NULL)
        return -1;
    while (fgets(line, sizeof(line), in) != NULL) {
        ck_assert_int_eq(line[0], '{');
        ck_assert_str_eq(line + strlen(line) - 2, "}\n");
        n++;
    }
    (void)fclose(in);
    return n;
}

START_TEST(a_line_is_json)
{
    char line[2000];
    FILE *in;

    open_file(3);
    write_lines(1);
    in = fopen(path, "r");
    ck_assert_ptr_nonnull(in);
    ck_assert_ptr_nonnull(fgets(line, sizeof(line), in));
    (void)fclose(in);
    ck_assert_str_eq(line, "{\"time\":\"2026-11-25T14:02:03.123Z\",\"time_ms\":1795615323123,"
                           "\"source\":\"198.51.100.10\",\"source_port\":40000,\"destination\":\"192.0.2.25\","
                           "\"destination_port\":25,\"reason\":\"reject_bounce\",\"denied_at\":\"RCPT\",\"code\":607,"
                           "\"action\":\"reject\",\"listing\":\"198.51.100.0/24\",\"listing_source\":\"drop\","
                           "\"dataplane\":\"ed\\\"ge\\\\1\",\"worker\":1,\"weight\":3}\n");
    ck_assert_uint_eq(counts.n_written, 1);
}
END_TEST

START_TEST(it_goes_on_where_it_was)
{
    open_file(3);
    write_lines(2);
    bl_rejects_file_close(file);
    open_file(3);
    write_lines(1);
    ck_assert_int_eq(count_lines(0), 3);
}
END_TEST

START_TEST(files_are_rotated_and_the_oldest_goes)
{
    struct stat status;
    int n_all = 0;
    int per_file;

    open_file(3);
    write_lines(60);
    per_file = count_lines(1);
    ck_assert_int_gt(per_file, 2);
    ck_assert_int_eq(count_lines(2), per_file);
    ck_assert_int_eq(count_lines(3), -1);
    for (int i = 0; i < 3; i++) {
        char name[128];

        n_all += count_lines(i);
        (void)snprintf(name, sizeof(name), i == 0 ? "%s" : "%s.%d", path, i);
        ck_assert_int_eq(stat(name, &status), 0);
        ck_assert_int_le(status.st_size, BYTES_MAX);
        ck_assert_uint_eq(status.st_mode & 0777, 0640);
    }
    ck_assert_int_lt(n_all, 60);
    ck_assert_uint_eq(counts.n_written, 60);
    ck_assert_uint_eq(counts.n_lost, 0);
}
END_TEST

START_TEST(a_single_file_starts_anew)
{
    open_file(1);
    write_lines(60);
    ck_assert_int_gt(count_lines(0), 0);
    ck_assert_int_lt(count_lines(0), 10);
    ck_assert_int_eq(count_lines(1), -1);
}
END_TEST

START_TEST(a_file_that_was_moved_away_is_made_anew)
{
    char moved[128];

    open_file(3);
    write_lines(1);
    (void)snprintf(moved, sizeof(moved), "%s.old", path);
    ck_assert_int_eq(rename(path, moved), 0);
    write_lines(2);
    ck_assert_int_eq(count_lines(0), 2);
}
END_TEST

/* A limit of the process stands for a full disk: the write that reaches it is cut short, the next fails. */
START_TEST(a_full_disk_leaves_whole_lines_and_is_counted)
{
    struct rlimit limit = {1000, RLIM_INFINITY};
    int n_before;

    (void)signal(SIGXFSZ, SIG_IGN);
    open_file(3);
    (void)setrlimit(RLIMIT_FSIZE, &limit);
    write_lines(10);
    /* Before anything else: Check writes its own messages to a file, which would be cut too. */
    limit.rlim_cur = RLIM_INFINITY;
    (void)setrlimit(RLIMIT_FSIZE, &limit);
    n_before = count_lines(0);
    ck_assert_int_gt(n_before, 0);
    ck_assert_int_lt(n_before, 4);
    ck_assert_uint_eq(counts.n_written, (uint64_t)n_before);
    ck_assert_uint_eq(counts.n_lost, 10 - (uint64_t)n_before);
    write_lines(1);
    ck_assert_int_eq(count_lines(0), n_before + 1);
    ck_assert_uint_eq(counts.n_written, (uint64_t)n_before + 1);
}
END_TEST

/* A directory in the way stands for a directory that became read-only. */
START_TEST(a_file_that_can_not_be_rotated_stops_at_twice_its_size)
{
    char in_the_way[128];
    struct stat status;
    uint64_t n_before;

    (void)snprintf(in_the_way, sizeof(in_the_way), "%s.1", path);
    ck_assert_int_eq(mkdir(in_the_way, 0700), 0);
    open_file(2);
    write_lines(60);
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_int_gt(status.st_size, BYTES_MAX);
    ck_assert_int_le(status.st_size, 2 * BYTES_MAX);
    ck_assert_int_eq(count_lines(0), (int)counts.n_written);
    ck_assert_uint_eq(counts.n_written + counts.n_lost, 60);
    ck_assert_uint_gt(counts.n_lost, 40);
    /* It works again: it goes on. */
    n_before = counts.n_written;
    ck_assert_int_eq(rmdir(in_the_way), 0);
    write_lines(2);
    ck_assert_int_eq(count_lines(0), 2);
    ck_assert_int_eq(count_lines(1), (int)n_before);
    ck_assert_uint_eq(counts.n_written, n_before + 2);
}
END_TEST

/* What could not be moved last time left a gap: nothing behind it moves again. */
START_TEST(a_gap_is_filled_before_the_oldest_goes)
{
    char name[128];

    open_file(4);
    while (count_lines(3) < 0)
        write_lines(1);
    (void)snprintf(name, sizeof(name), "%s.1", path);
    ck_assert_int_eq(unlink(name), 0);
    /* To be told from the others. */
    (void)snprintf(name, sizeof(name), "%s.3", path);
    ck_assert_int_eq(truncate(name, 0), 0);
    while (count_lines(1) < 0)
        write_lines(1);
    ck_assert_int_eq(count_lines(3), 0);
}
END_TEST

/* The file could be written, but never rotated. Root may write everywhere, hence another user. */
START_TEST(a_directory_that_can_not_be_written_is_refused)
{
    struct bl_error_detail detail = {""};
    bool is_root = geteuid() == 0;
    int in_two;
    int in_one;
    FILE *made = fopen(path, "w");

    ck_assert_ptr_nonnull(made);
    (void)fclose(made);
    ck_assert_int_eq(chmod(path, 0666), 0);
    ck_assert_int_eq(chmod(folder, 0555), 0);
    ck_assert(!is_root || seteuid(65534) == 0);
    in_two = bl_rejects_file_open(&file, &(struct bl_rejects_file_options){path, BYTES_MAX, 2}, &detail);
    /* One file alone is only emptied. */
    in_one = bl_rejects_file_open(&file, &(struct bl_rejects_file_options){path, BYTES_MAX, 1}, NULL);
    ck_assert(!is_root || seteuid(0) == 0);
    ck_assert_int_eq(chmod(folder, 0700), 0);
    ck_assert_int_eq(in_two, BL_EIO);
    ck_assert_ptr_nonnull(strstr(detail.text, "controlplane.rejects_file"));
    ck_assert_ptr_nonnull(strstr(detail.text, path));
    ck_assert_ptr_nonnull(strstr(detail.text, "Permission denied"));
    ck_assert_int_eq(in_one, BL_OK);
}
END_TEST

START_TEST(only_a_regular_file_will_do)
{
    struct bl_error_detail detail = {""};
    struct bl_rejects_file_options options = {folder, BYTES_MAX, 2};

    ck_assert_int_eq(bl_rejects_file_open(&file, &options, &detail), BL_EIO);
    ck_assert_ptr_nonnull(strstr(detail.text, "controlplane.rejects_file"));
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    options.path = path;
    ck_assert_int_eq(bl_rejects_file_open(&file, &options, &detail), BL_EIO);
    options.path = "/nowhere/at/all";
    ck_assert_int_eq(bl_rejects_file_open(&file, &options, &detail), BL_EIO);
    file = NULL;
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rejects_file");
    TCase *tests = tcase_create("all");
    SRunner *runner;
    int n_failed;

    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_line_is_json);
    tcase_add_test(tests, it_goes_on_where_it_was);
    tcase_add_test(tests, files_are_rotated_and_the_oldest_goes);
    tcase_add_test(tests, a_single_file_starts_anew);
    tcase_add_test(tests, a_file_that_was_moved_away_is_made_anew);
    tcase_add_test(tests, a_full_disk_leaves_whole_lines_and_is_counted);
    tcase_add_test(tests, a_file_that_can_not_be_rotated_stops_at_twice_its_size);
    tcase_add_test(tests, a_gap_is_filled_before_the_oldest_goes);
    tcase_add_test(tests, a_directory_that_can_not_be_written_is_refused);
    tcase_add_test(tests, only_a_regular_file_will_do);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
