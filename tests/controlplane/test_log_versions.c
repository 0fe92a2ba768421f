/* The log's format of before, and its copies: what is read, what is made of it, and what a restore changes. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "controlplane/log.h"

static char directory[] = "/tmp/bl-test-log-XXXXXX";
static struct bl_error_detail detail;

static void make_directory(void)
{
    memcpy(directory + sizeof(directory) - 7, "XXXXXX", 6);
    ck_assert_ptr_nonnull(mkdtemp(directory));
}

static void remove_directory(void)
{
    char command[128];

    (void)snprintf(command, sizeof(command), "rm -rf %s", directory);
    ck_assert_int_eq(system(command), 0); /* NOLINT: a name of ours */
}

static struct bl_log *open_log(void)
{
    struct bl_log *log = NULL;

    ck_assert_msg(bl_log_open(&log, directory, &detail) == BL_OK, "%s", detail.text);
    return log;
}

static void append(struct bl_log *log, uint64_t first, uint64_t n)
{
    for (uint64_t serial = first; serial < first + n; serial++) {
        struct bl_log_blob record = {serial, (const uint8_t *)&serial, sizeof(serial)};

        ck_assert_int_eq(bl_log_append(log, &record, 1, &detail), BL_OK);
    }
}

static void write_snapshot(struct bl_log *log, uint64_t serial, uint8_t n_parts)
{
    ck_assert_int_eq(bl_log_snapshot_begin(log, serial, &detail), BL_OK);
    for (uint8_t i = 0; i < n_parts; i++) {
        struct bl_log_blob part = {serial, &i, 1};

        ck_assert_int_eq(bl_log_snapshot_add(log, &part, &detail), BL_OK);
    }
    ck_assert_int_eq(bl_log_snapshot_end(log, &detail), BL_OK);
}

static int check_part(void *context, const struct bl_log_blob *part)
{
    uint8_t *next = context;

    ck_assert_uint_eq(part->length, 1);
    ck_assert_uint_eq(part->data[0], *next);
    ++*next;
    return 0;
}

static int check_record(void *context, const struct bl_log_blob *record)
{
    uint64_t *next = context;

    ck_assert_uint_eq(record->serial, *next);
    ck_assert_uint_eq(record->length, sizeof(*next));
    ck_assert_mem_eq(record->data, next, sizeof(*next));
    ++*next;
    return 0;
}

static void check_content(struct bl_log *log, uint64_t last, uint64_t snapshot, uint8_t n_parts)
{
    uint64_t serial = 0;
    uint64_t next = 1;
    uint8_t part = 0;

    ck_assert_msg(bl_log_read(log, 1, check_record, &next, &detail) == BL_OK, "%s", detail.text);
    ck_assert_uint_eq(next, last + 1);
    ck_assert_msg(bl_log_read_snapshot(log, &serial, check_part, &part, &detail) == BL_OK, "%s", detail.text);
    ck_assert_uint_eq(serial, snapshot);
    ck_assert_uint_eq(part, n_parts);
}

static void run_sql(const char *sql)
{
    char path[128];
    sqlite3 *db = NULL;

    (void)snprintf(path, sizeof(path), "%s/log.sqlite", directory);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
    (void)sqlite3_close(db);
}

static void make_log(void)
{
    struct bl_log *log = open_log();

    append(log, 1, 20);
    write_snapshot(log, 10, 4);
    bl_log_close(log);
}

/* As the program before wrote it: parts without a generation, no origin. */
START_TEST(version_1_is_read_and_becomes_2)
{
    struct bl_log *log;

    make_log();
    run_sql("UPDATE snapshot SET part = part % 4294967296;"
            "UPDATE meta SET snapshot_parts = snapshot_parts % 4294967296;"
            "ALTER TABLE meta DROP COLUMN origin; PRAGMA user_version = 1");
    for (int i = 0; i < 2; i++) {
        log = open_log();
        ck_assert_uint_eq(bl_log_origin(log), bl_log_epoch(log));
        check_content(log, 20, 10, 4);
        bl_log_close(log);
    }
    /* What an old program looks at, so that it refuses. */
    run_sql("CREATE TEMP TABLE t(version CHECK(version = 2)); INSERT INTO t SELECT user_version FROM "
            "pragma_user_version");
    log = open_log();
    append(log, 21, 1);
    write_snapshot(log, 21, 3);
    check_content(log, 21, 21, 3);
    bl_log_close(log);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log_versions");
    TCase *tests = tcase_create("log_versions");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, make_directory, remove_directory);
    tcase_add_test(tests, version_1_is_read_and_becomes_2);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
