/* The log in SQLite: round trips, what it refuses, and what it does when the disk lies.
 *
 * fsync and fdatasync are defined here, in front of the C library's: SQLite and the log call these. They count, and fail
 * when told to, which is how a write-back error reaches a program. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "controlplane/log.h"

static int n_syncs;
static int fail_sync_at; /* counted from 1; 0: never */

static int sync_or_fail(long call, int descriptor)
{
    if (++n_syncs == fail_sync_at) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(call, descriptor);
}

int fsync(int descriptor)
{
    return sync_or_fail(SYS_fsync, descriptor);
}

int fdatasync(int descriptor)
{
    return sync_or_fail(SYS_fdatasync, descriptor);
}

static char base[64];
static char directory[96];
static struct bl_error_detail detail;

static void setup(void)
{
    (void)snprintf(base, sizeof(base), "/tmp/test_log.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(base));
    (void)snprintf(directory, sizeof(directory), "%s/data", base);
    n_syncs = 0;
    fail_sync_at = 0;
    detail.text[0] = '\0';
}

static void teardown(void)
{
    char command[160];

    (void)snprintf(command, sizeof(command), "rm -rf '%s'", base);
    ck_assert_int_eq(system(command), 0);
}

static struct bl_log *open_log(void)
{
    struct bl_log *log = NULL;
    int error = bl_log_open(&log, directory, &detail);

    ck_assert_msg(error == BL_OK, "open: %d %s", error, detail.text);
    return log;
}

/* The body of a record: its length and bytes follow from its serial. */
static size_t make_body(uint64_t serial, uint8_t body[5000])
{
    size_t length = serial % 7 == 0 ? 0 : serial * 131 % 4999;

    for (size_t i = 0; i < length; i++)
        body[i] = (uint8_t)(serial * 31 + i * 7);
    return length;
}

static int append(struct bl_log *log, uint64_t first, size_t n)
{
    static uint8_t bodies[64][5000];
    struct bl_log_blob records[64];

    ck_assert_uint_le(n, 64);
    for (size_t i = 0; i < n; i++) {
        records[i].serial = first + i;
        records[i].data = bodies[i];
        records[i].length = make_body(first + i, bodies[i]);
    }
    return bl_log_append(log, records, n, &detail);
}

struct reading {
    uint64_t next;
    size_t n;
    int stop_with; /* at the third record */
};

static int check_record(void *context, const struct bl_log_blob *record)
{
    struct reading *reading = context;
    uint8_t body[5000];
    size_t length = make_body(reading->next, body);

    /* A passing ck_assert costs a write to a pipe; there are thousands of records. */
    if (record->serial != reading->next || record->length != length || memcmp(record->data, body, length) != 0)
        ck_abort_msg("record %llu is not what was written", (unsigned long long)reading->next);
    reading->next++;
    return ++reading->n == 3 ? reading->stop_with : 0;
}

static size_t read_from(struct bl_log *log, uint64_t from)
{
    struct reading reading = {.next = from == 0 ? 1 : from};

    ck_assert_int_eq(bl_log_read(log, from, check_record, &reading, &detail), BL_OK);
    return reading.n;
}

static void run_sql(const char *sql)
{
    char path[128];
    sqlite3 *db;
    char *cause = NULL;

    (void)snprintf(path, sizeof(path), "%s/log.sqlite", directory);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, &cause) == SQLITE_OK, "%s: %s", sql, cause);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

START_TEST(records_come_back_after_reopening)
{
    struct bl_log *log = open_log();
    uint64_t epoch = bl_log_epoch(log);
    struct stat status;

    ck_assert_int_eq(stat(directory, &status), 0);
    ck_assert_uint_eq(status.st_mode & 07777, 0700);
    ck_assert(epoch != 0);
    ck_assert_uint_eq(bl_log_serial(log), 0);
    ck_assert_uint_eq(read_from(log, 0), 0);
    ck_assert_int_eq(append(log, 1, 1), BL_OK);
    ck_assert_int_eq(append(log, 2, 64), BL_OK);
    ck_assert_int_eq(append(log, 66, 0), BL_OK);
    ck_assert_uint_eq(bl_log_serial(log), 65);
    bl_log_close(log);
    log = open_log();
    ck_assert_uint_eq(bl_log_epoch(log), epoch);
    ck_assert_uint_eq(bl_log_serial(log), 65);
    ck_assert_uint_eq(read_from(log, 1), 65);
    ck_assert_uint_eq(read_from(log, 60), 6);
    ck_assert_uint_eq(read_from(log, 66), 0);
    ck_assert_int_eq(append(log, 66, 1), BL_OK);
    bl_log_close(log);
}
END_TEST

START_TEST(a_reader_can_stop)
{
    struct bl_log *log = open_log();
    struct reading reading = {.next = 1, .stop_with = BL_EAGAIN};

    ck_assert_int_eq(append(log, 1, 10), BL_OK);
    ck_assert_int_eq(bl_log_read(log, 1, check_record, &reading, &detail), BL_EAGAIN);
    ck_assert_uint_eq(reading.n, 3);
    bl_log_close(log);
}
END_TEST

START_TEST(wrong_serials_write_nothing)
{
    struct bl_log *log = open_log();
    const struct bl_log_blob gap[2] = {{1, (const uint8_t *)"a", 1}, {3, (const uint8_t *)"b", 1}};

    ck_assert_int_eq(append(log, 2, 1), BL_EORDER);
    ck_assert_int_eq(append(log, 0, 1), BL_EORDER);
    ck_assert_int_eq(bl_log_append(log, gap, 2, &detail), BL_EORDER);
    ck_assert_str_eq(detail.text, "record 3: expected serial 2");
    ck_assert_uint_eq(bl_log_serial(log), 0);
    ck_assert_int_eq(append(log, 1, 1), BL_OK);
    ck_assert_int_eq(append(log, 1, 1), BL_EORDER);
    bl_log_close(log);
    log = open_log();
    ck_assert_uint_eq(read_from(log, 1), 1);
    bl_log_close(log);
}
END_TEST

START_TEST(every_append_is_synced_before_it_returns)
{
    struct bl_log *log = open_log();

    for (uint64_t serial = 1; serial <= 5; serial++) {
        int before = n_syncs;

        ck_assert_int_eq(append(log, serial, 1), BL_OK);
        ck_assert_int_ge(n_syncs, before + 1);
    }
    bl_log_close(log);
}
END_TEST

START_TEST(a_second_opener_is_refused)
{
    struct bl_log *log = open_log();
    struct bl_log *other = NULL;
    pid_t child;
    int status;

    ck_assert_int_eq(append(log, 1, 1), BL_OK);
    ck_assert_int_eq(bl_log_open(&other, directory, &detail), BL_EEXIST);
    ck_assert_ptr_nonnull(strstr(detail.text, "in use by another process"));
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        _exit(bl_log_open(&other, directory, NULL) == BL_EEXIST ? 0 : 1);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(append(log, 2, 1), BL_OK);
    bl_log_close(log);
    log = open_log();
    ck_assert_uint_eq(read_from(log, 1), 2);
    bl_log_close(log);
}
END_TEST

/* What somebody did to a log of 20 records with a snapshot at 10, and the word that the refusal must have. */
static const struct {
    const char *sql;
    int error;
    const char *cause;
} damages[] = {
    {"PRAGMA user_version = 3", BL_EVERSION, "version 3: expected 1 to 2"},
    {"PRAGMA application_id = 7", BL_EVERSION, "application_id is 0x7"},
    {"DELETE FROM record WHERE serial = 15", BL_EINVAL, "without a gap"},
    {"DELETE FROM record WHERE serial < 12", BL_EINVAL, "the first record is 12: expected at most 11"},
    {"DELETE FROM record WHERE serial > 9", BL_EINVAL, "the snapshot is at serial 10"},
    {"DELETE FROM meta", BL_EINVAL, "found no row"},
    {"DROP TABLE record", BL_EINVAL, "no such table"},
};

struct parts {
    size_t next;
    size_t n;
    int fail_at; /* 0: never */
    uint8_t seed;
};

static int next_part(void *context, struct bl_log_blob *part)
{
    static uint8_t body[100000];
    struct parts *parts = context;

    if (parts->fail_at != 0 && parts->next + 1 == (size_t)parts->fail_at)
        return BL_ENOMEM;
    if (parts->next == parts->n)
        return 0;
    memset(body, (int)(parts->seed + parts->next), sizeof(body));
    part->data = body;
    part->length = parts->next * 9000;
    parts->next++;
    return 1;
}

static int check_part(void *context, const struct bl_log_blob *part)
{
    struct parts *parts = context;

    bool same = part->length == parts->next * 9000;

    for (size_t i = 0; same && i < part->length; i++)
        same = part->data[i] == (uint8_t)(parts->seed + parts->next);
    ck_assert_msg(same, "part %zu is not what was written", parts->next);
    parts->next++;
    return 0;
}

static int write_snapshot(struct bl_log *log, uint64_t serial, int (*next)(void *context, struct bl_log_blob *part),
                          void *context, struct bl_error_detail *said)
{
    struct bl_log_blob part = {.serial = serial};
    int error = bl_log_snapshot_begin(log, serial, said);
    int more = error == BL_OK ? 1 : 0;

    while (error == BL_OK && (more = next(context, &part)) == 1)
        error = bl_log_snapshot_add(log, &part, said);
    if (error == BL_OK)
        error = more < 0 ? more : bl_log_snapshot_end(log, said);
    while (error == BL_OK && (more = bl_log_snapshot_sweep(log, said)) != 0)
        error = more < 0 ? more : BL_OK;
    return error;
}

static void check_snapshot(struct bl_log *log, uint64_t expected_serial, size_t n, uint8_t seed)
{
    struct parts parts = {.seed = seed};
    uint64_t serial = 99;

    ck_assert_int_eq(bl_log_read_snapshot(log, &serial, check_part, &parts, &detail), BL_OK);
    ck_assert_uint_eq(serial, expected_serial);
    ck_assert_uint_eq(parts.next, n);
}

static void make_log(void)
{
    struct bl_log *log = open_log();
    struct parts parts = {.n = 4, .seed = 50};

    ck_assert_int_eq(append(log, 1, 20), BL_OK);
    ck_assert_int_eq(write_snapshot(log, 10, next_part, &parts, &detail), BL_OK);
    bl_log_close(log);
}

START_TEST(damaged_content_is_refused_with_a_reason)
{
    struct bl_log *log = NULL;

    make_log();
    run_sql(damages[_i].sql);
    ck_assert_int_eq(bl_log_open(&log, directory, &detail), damages[_i].error);
    ck_assert_msg(strstr(detail.text, damages[_i].cause) != NULL, "said: %s", detail.text);
    ck_assert_ptr_nonnull(strstr(detail.text, directory));
}
END_TEST

START_TEST(damaged_bodies_are_found_when_read)
{
    struct bl_log *log;
    struct reading reading = {.next = 1};
    struct parts parts = {.seed = 50};
    uint64_t serial;

    make_log();
    run_sql("UPDATE record SET body = zeroblob(length(body)) WHERE serial = 12");
    run_sql("UPDATE snapshot SET body = zeroblob(length(body)) WHERE part % 4294967296 = 3");
    log = open_log();
    ck_assert_int_eq(bl_log_read(log, 1, check_record, &reading, &detail), BL_EINVAL);
    ck_assert_uint_eq(reading.n, 11);
    ck_assert_str_eq(detail.text, "serial 12 is damaged: its checksum differs");
    ck_assert_int_eq(bl_log_read_snapshot(log, &serial, check_part, &parts, &detail), BL_EINVAL);
    ck_assert_str_eq(detail.text, "part 4294967299 is damaged: its checksum differs");
    bl_log_close(log);
    run_sql("DELETE FROM record WHERE serial = 4");
    run_sql("DELETE FROM snapshot WHERE part % 4294967296 = 3");
    log = open_log(); /* the gap is in the audit, before the snapshot */
    reading = (struct reading){.next = 1};
    ck_assert_int_eq(bl_log_read(log, 1, check_record, &reading, &detail), BL_EINVAL);
    ck_assert_str_eq(detail.text, "record 4 is missing");
    parts.next = 0;
    ck_assert_int_eq(bl_log_read_snapshot(log, &serial, check_part, &parts, &detail), BL_EINVAL);
    ck_assert_str_eq(detail.text, "the snapshot has 3 parts: expected 4");
    bl_log_close(log);
}
END_TEST

/* A record moved to another place keeps its bytes and still is not what was written there. */
START_TEST(swapped_records_are_found)
{
    struct bl_log *log;
    struct reading reading = {.next = 1};

    make_log();
    run_sql("UPDATE record SET serial = 100 WHERE serial = 12; UPDATE record SET serial = 12 WHERE serial = 13;"
            "UPDATE record SET serial = 13 WHERE serial = 100");
    log = open_log();
    ck_assert_int_eq(bl_log_read(log, 1, check_record, &reading, &detail), BL_EINVAL);
    ck_assert_str_eq(detail.text, "serial 12 is damaged: its checksum differs");
    bl_log_close(log);
}
END_TEST

static void write_file(const char *name, off_t at, const void *data, size_t length)
{
    char path[128];
    int file;

    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    file = open(path, O_RDWR);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(pwrite(file, data, length, at), (ssize_t)length);
    ck_assert_int_eq(close(file), 0);
}

START_TEST(damaged_files_are_refused)
{
    static const char garbage[8192] = {1, 2, 3, 4};
    static const char *const words[] = {"malformed", "not a database", "damaged"};
    struct bl_log *log = NULL;
    char path[128];

    make_log();
    (void)snprintf(path, sizeof(path), "%s/log.sqlite", directory);
    if (_i == 0)
        ck_assert_int_eq(truncate(path, 20000), 0); /* pages are missing */
    else if (_i == 1)
        write_file("log.sqlite", 0, garbage, 100); /* no header */
    else
        write_file("log.sqlite", 4096, garbage, 4096); /* the root of a table */
    ck_assert_int_eq(bl_log_open(&log, directory, &detail), BL_EINVAL);
    ck_assert_msg(strstr(detail.text, words[_i]) != NULL, "said: %s", detail.text);
}
END_TEST

/* A flipped bit anywhere in the file must never give other records than were written. */
START_TEST(flipped_bits_never_pass_as_records)
{
    char path[128];
    struct stat status;
    int n_found = 0;

    make_log();
    (void)snprintf(path, sizeof(path), "%s/log.sqlite", directory);
    ck_assert_int_eq(stat(path, &status), 0);
    for (off_t at = 100; at < status.st_size; at += status.st_size / 61) {
        struct bl_log *log = NULL;
        struct reading reading = {.next = 1};
        struct parts parts = {.seed = 50};
        uint64_t serial;
        uint8_t byte;
        int file = open(path, O_RDWR);

        ck_assert_int_eq(pread(file, &byte, 1, at), 1);
        byte ^= 0x10;
        ck_assert_int_eq(pwrite(file, &byte, 1, at), 1);
        if (bl_log_open(&log, directory, &detail) != BL_OK) {
            n_found++;
        } else {
            /* check_record and check_part assert that whatever is handed out is what was written. */
            if (bl_log_read(log, 1, check_record, &reading, &detail) != BL_OK)
                n_found++;
            else
                ck_assert_uint_eq(reading.n, 20);
            if (bl_log_read_snapshot(log, &serial, check_part, &parts, &detail) != BL_OK)
                n_found++;
            bl_log_close(log);
        }
        byte ^= 0x10;
        ck_assert_int_eq(pwrite(file, &byte, 1, at), 1);
        ck_assert_int_eq(close(file), 0);
    }
    ck_assert_int_gt(n_found, 20);
}
END_TEST

/* Deletion goes as far as the snapshot, in steps. */
START_TEST(old_records_are_dropped_behind_the_snapshot)
{
    struct parts parts = {.n = 2, .seed = 1};
    struct bl_log *log = open_log();

    ck_assert_int_eq(append(log, 1, 64), BL_OK);
    ck_assert_int_eq(append(log, 65, 36), BL_OK);
    ck_assert_int_eq(bl_log_drop(log, 50, &detail), BL_OK);
    ck_assert_uint_eq(bl_log_first(log), 1); /* no snapshot covers them */
    ck_assert_int_eq(write_snapshot(log, 90, next_part, &parts, &detail), BL_OK);
    ck_assert_int_eq(bl_log_drop(log, 100, &detail), BL_OK);
    ck_assert_uint_eq(bl_log_first(log), BL_LOG_DROP_MAX + 1);
    ck_assert_int_eq(bl_log_drop(log, 100, &detail), BL_OK);
    ck_assert_uint_eq(bl_log_first(log), 91);
    bl_log_close(log);
    log = open_log();
    ck_assert_uint_eq(bl_log_first(log), 91);
    bl_log_close(log);
}
END_TEST

START_TEST(snapshots_replace_each_other_whole)
{
    struct bl_log *log = open_log();
    struct parts parts = {.n = 9, .seed = 3};
    uint64_t serial = 5;

    ck_assert_int_eq(bl_log_read_snapshot(log, &serial, check_part, &parts, &detail), BL_OK);
    ck_assert_uint_eq(serial, 0);
    ck_assert_int_eq(write_snapshot(log, 1, next_part, &parts, &detail), BL_EORDER);
    ck_assert_int_eq(append(log, 1, 20), BL_OK);
    ck_assert_int_eq(write_snapshot(log, 0, next_part, &parts, &detail), BL_EORDER);
    ck_assert_int_eq(write_snapshot(log, 12, next_part, &parts, &detail), BL_OK);
    check_snapshot(log, 12, 9, 3);
    parts = (struct parts){.n = 2, .seed = 77};
    ck_assert_int_eq(write_snapshot(log, 20, next_part, &parts, &detail), BL_OK);
    check_snapshot(log, 20, 2, 77);
    /* A writer that gives up half-way leaves the one before, and the log goes on. */
    parts = (struct parts){.n = 9, .seed = 8, .fail_at = 5};
    ck_assert_int_eq(write_snapshot(log, 20, next_part, &parts, &detail), BL_ENOMEM);
    check_snapshot(log, 20, 2, 77);
    ck_assert_int_eq(append(log, 21, 3), BL_OK);
    bl_log_close(log);
    log = open_log();
    check_snapshot(log, 20, 2, 77);
    ck_assert_uint_eq(read_from(log, 1), 23); /* the audit stays */
    bl_log_close(log);
}
END_TEST

/* Killed in the middle of appending, again and again: what was acknowledged through the pipe is there. */
START_TEST(kill_loses_nothing_acknowledged)
{
    uint64_t acknowledged = 0;

    for (int round = 0; round < 12; round++) {
        int ends[2];
        uint64_t serial;
        pid_t child;
        struct bl_log *log;

        ck_assert_int_eq(pipe(ends), 0);
        child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            struct bl_log *mine = NULL;

            if (bl_log_open(&mine, directory, NULL) != BL_OK)
                _exit(1);
            for (;;) {
                serial = bl_log_serial(mine) + 7;
                if (append(mine, serial - 6, 7) != BL_OK || write(ends[1], &serial, sizeof(serial)) < 0)
                    _exit(1);
            }
        }
        ck_assert_int_eq(close(ends[1]), 0);
        for (int i = 0; i < 5 + round; i++)
            ck_assert_int_eq(read(ends[0], &acknowledged, sizeof(acknowledged)), (ssize_t)sizeof(acknowledged));
        ck_assert_int_eq(usleep((useconds_t)(round * 313)), 0);
        ck_assert_int_eq(kill(child, SIGKILL), 0);
        ck_assert_int_eq(waitpid(child, NULL, 0), child);
        while (read(ends[0], &serial, sizeof(serial)) == (ssize_t)sizeof(serial))
            acknowledged = serial;
        ck_assert_int_eq(close(ends[0]), 0);
        log = open_log();
        ck_assert_uint_ge(bl_log_serial(log), acknowledged);
        ck_assert_uint_eq(bl_log_serial(log) % 7, 0); /* no group half there */
        ck_assert_uint_eq(read_from(log, 1), bl_log_serial(log));
        bl_log_close(log);
    }
}
END_TEST

/* fdatasync fails once and would succeed the second time: there must be no second time. */
START_TEST(a_failed_sync_ends_all_writing)
{
    struct bl_log *log = open_log();
    struct parts parts = {.n = 3, .seed = 1};
    uint64_t serial = 9;
    int after;

    ck_assert_int_eq(append(log, 1, 5), BL_OK);
    fail_sync_at = n_syncs + 1;
    ck_assert_int_eq(append(log, 6, 1), BL_EIO);
    ck_assert_msg(strstr(detail.text, "disk I/O error") != NULL, "said: %s", detail.text);
    after = n_syncs;
    ck_assert_int_eq(append(log, 6, 1), BL_EIO);
    ck_assert_ptr_nonnull(strstr(detail.text, "until a restart"));
    ck_assert_int_eq(write_snapshot(log, 5, next_part, &parts, &detail), BL_EIO);
    ck_assert_uint_eq(bl_log_serial(log), 5);
    ck_assert_uint_eq(read_from(log, 1), 5); /* reads go on */
    ck_assert_int_eq(bl_log_read_snapshot(log, &serial, check_part, &parts, &detail), BL_OK);
    ck_assert_uint_eq(serial, 0);
    bl_log_close(log);
    ck_assert_int_eq(n_syncs, after);
    log = open_log();
    ck_assert_uint_ge(bl_log_serial(log), 5); /* the one in doubt may be there or not */
    ck_assert_uint_le(bl_log_serial(log), 6);
    ck_assert_uint_eq(read_from(log, 1), bl_log_serial(log));
    ck_assert_int_eq(append(log, bl_log_serial(log) + 1, 1), BL_OK);
    bl_log_close(log);
}
END_TEST

static int take_part(void *context, const struct bl_log_blob *part)
{
    (void)context;
    (void)part;
    return BL_OK;
}

START_TEST(a_failed_sync_of_a_snapshot_keeps_the_old_one)
{
    struct bl_log *log = open_log();
    struct parts parts = {.n = 3, .seed = 1};
    uint64_t serial = 9;

    ck_assert_int_eq(append(log, 1, 5), BL_OK);
    ck_assert_int_eq(write_snapshot(log, 3, next_part, &parts, &detail), BL_OK);
    fail_sync_at = n_syncs + 1;
    parts = (struct parts){.n = 5, .seed = 9};
    ck_assert_int_eq(write_snapshot(log, 5, next_part, &parts, &detail), BL_EIO);
    check_snapshot(log, 3, 3, 1);
    bl_log_close(log);
    log = open_log(); /* in doubt: the old or the new one, whole */
    ck_assert_int_eq(bl_log_read_snapshot(log, &serial, take_part, NULL, &detail), BL_OK);
    ck_assert(serial == 3 || serial == 5);
    check_snapshot(log, serial, serial == 3 ? 3 : 5, serial == 3 ? 1 : 9);
    bl_log_close(log);
}
END_TEST

/* Every sync of an open may fail: then it is refused, and the next open finds all. */
START_TEST(a_failed_sync_at_open_is_refused)
{
    struct bl_log *log;
    int n_refused = 0;

    make_log();
    for (int at = 1; at <= 6; at++) {
        int error;

        log = open_log();
        ck_assert_int_eq(append(log, bl_log_serial(log) + 1, 1), BL_OK);
        fail_sync_at = n_syncs + 1;
        ck_assert_int_eq(append(log, bl_log_serial(log) + 1, 1), BL_EIO); /* so that the WAL is left behind */
        bl_log_close(log);
        fail_sync_at = n_syncs + at;
        error = bl_log_open(&log, directory, &detail);
        fail_sync_at = 0;
        if (error == BL_OK) {
            bl_log_close(log);
            continue;
        }
        ck_assert_int_eq(error, BL_EIO);
        n_refused++;
    }
    ck_assert_int_ge(n_refused, 3); /* the WAL, and both files in the checkpoint */
    log = open_log();
    ck_assert_uint_ge(bl_log_serial(log), 26);
    ck_assert_uint_eq(read_from(log, 1), bl_log_serial(log));
    bl_log_close(log);
}
END_TEST

/* What is left of a WAL is written over with itself and synced before SQLite reads it. */
START_TEST(the_wal_is_synced_again_at_open)
{
    struct bl_log *log = open_log();
    char path[128];
    struct stat before;
    struct stat after;
    int file;

    ck_assert_int_eq(append(log, 1, 30), BL_OK);
    fail_sync_at = n_syncs + 1;
    ck_assert_int_eq(append(log, 31, 1), BL_EIO);
    bl_log_close(log);
    (void)snprintf(path, sizeof(path), "%s/log.sqlite-wal", directory);
    file = open(path, O_RDONLY);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(fstat(file, &before), 0);
    ck_assert_int_gt(before.st_size, 0);
    fail_sync_at = n_syncs + 1; /* the first sync of an open is of the WAL: it stops there, having written */
    ck_assert_int_eq(usleep(20000), 0);
    ck_assert_int_eq(bl_log_open(&log, directory, &detail), BL_EIO);
    ck_assert_ptr_nonnull(strstr(detail.text, "log.sqlite-wal: can't be synced"));
    ck_assert_int_eq(fstat(file, &after), 0);
    ck_assert_int_eq(after.st_size, before.st_size);
    ck_assert(after.st_mtim.tv_sec != before.st_mtim.tv_sec || after.st_mtim.tv_nsec != before.st_mtim.tv_nsec);
    ck_assert_int_eq(close(file), 0);
    log = open_log();
    ck_assert_uint_eq(read_from(log, 1), bl_log_serial(log));
    bl_log_close(log);
}
END_TEST

/* Enough records that the WAL is copied into the file in between; errors there count too. */
START_TEST(checkpoints_happen_and_their_errors_count)
{
    struct bl_log *log = open_log();
    char path[128];
    struct stat status;
    off_t largest = 0;
    uint64_t serial = 1;

    (void)snprintf(path, sizeof(path), "%s/log.sqlite-wal", directory);
    for (; serial < 64 * 400; serial += 64) {
        ck_assert_int_eq(append(log, serial, 64), BL_OK);
        ck_assert_int_eq(stat(path, &status), 0);
        largest = status.st_size > largest ? status.st_size : largest;
    }
    ck_assert_int_lt(largest, 24 << 20); /* 60 MB of records went through it */
    (void)snprintf(path, sizeof(path), "%s/log.sqlite", directory);
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_int_gt(status.st_size, 30 << 20);
    for (;; serial += 64) {
        int before = n_syncs;

        fail_sync_at = n_syncs + 2; /* a plain append has one sync; the second of a call is a checkpoint's */
        if (append(log, serial, 64) != BL_OK)
            break;
        ck_assert_int_eq(n_syncs, before + 1);
    }
    ck_assert_ptr_nonnull(strstr(detail.text, "wal_checkpoint"));
    ck_assert_int_eq(append(log, serial, 1), BL_EIO);
    bl_log_close(log);
    log = open_log();
    ck_assert_uint_eq(bl_log_serial(log), serial - 1);
    ck_assert_uint_eq(read_from(log, 1), serial - 1);
    bl_log_close(log);
}
END_TEST

START_TEST(a_full_disk_writes_nothing_and_heals)
{
    struct bl_log *log;
    struct parts parts = {.n = 11, .seed = 1};
    char filler[128];
    uint64_t full_at;
    int error = BL_OK;
    int file;

    ck_assert_int_eq(mkdir(directory, 0700), 0);
    if (mount("tmpfs", directory, "tmpfs", 0, "size=4m") != 0) {
        (void)printf("skipped: a full disk needs root, to mount a tmpfs (%s)\n", strerror(errno));
        return;
    }
    log = open_log();
    (void)snprintf(filler, sizeof(filler), "%s/filler", directory);
    file = open(filler, O_CREAT | O_WRONLY, 0600);
    ck_assert_int_eq(posix_fallocate(file, 0, 2 << 20), 0);
    ck_assert_int_eq(close(file), 0);
    while (error == BL_OK)
        error = append(log, bl_log_serial(log) + 1, 10);
    full_at = bl_log_serial(log);
    ck_assert_int_eq(error, BL_EFULL);
    ck_assert_ptr_nonnull(strstr(detail.text, "full"));
    ck_assert_int_eq(append(log, full_at + 1, 60), BL_EFULL);
    ck_assert_int_eq(write_snapshot(log, full_at, next_part, &parts, &detail), BL_EFULL);
    ck_assert_uint_eq(bl_log_serial(log), full_at);
    ck_assert_uint_eq(read_from(log, 1), full_at);
    ck_assert_int_eq(unlink(filler), 0);
    ck_assert_int_eq(append(log, full_at + 1, 10), BL_OK);
    ck_assert_uint_eq(read_from(log, 1), full_at + 10);
    bl_log_close(log);
    log = open_log();
    ck_assert_uint_eq(read_from(log, 1), full_at + 10);
    bl_log_close(log);
    ck_assert_int_eq(umount(directory), 0);
}
END_TEST

START_TEST(places_that_can_not_hold_a_log_are_refused)
{
    struct bl_log *log = NULL;
    char path[160];
    int file;

    (void)snprintf(path, sizeof(path), "%s/none/data", base);
    ck_assert_int_eq(bl_log_open(&log, path, &detail), BL_EIO);
    ck_assert_ptr_nonnull(strstr(detail.text, path));
    (void)snprintf(path, sizeof(path), "%s/file", base);
    file = open(path, O_CREAT | O_WRONLY, 0600);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(close(file), 0);
    ck_assert_int_eq(bl_log_open(&log, path, &detail), BL_EIO);
    ck_assert_ptr_null(log);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log_sqlite");
    TCase *tests = tcase_create("log_sqlite");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, records_come_back_after_reopening);
    tcase_add_test(tests, a_reader_can_stop);
    tcase_add_test(tests, wrong_serials_write_nothing);
    tcase_add_test(tests, every_append_is_synced_before_it_returns);
    tcase_add_test(tests, a_second_opener_is_refused);
    tcase_add_loop_test(tests, damaged_content_is_refused_with_a_reason, 0,
                        (int)(sizeof(damages) / sizeof(damages[0])));
    tcase_add_test(tests, damaged_bodies_are_found_when_read);
    tcase_add_test(tests, swapped_records_are_found);
    tcase_add_loop_test(tests, damaged_files_are_refused, 0, 3);
    tcase_add_test(tests, flipped_bits_never_pass_as_records);
    tcase_add_test(tests, old_records_are_dropped_behind_the_snapshot);
    tcase_add_test(tests, snapshots_replace_each_other_whole);
    tcase_add_test(tests, kill_loses_nothing_acknowledged);
    tcase_add_test(tests, a_failed_sync_ends_all_writing);
    tcase_add_test(tests, a_failed_sync_of_a_snapshot_keeps_the_old_one);
    tcase_add_test(tests, a_failed_sync_at_open_is_refused);
    tcase_add_test(tests, the_wal_is_synced_again_at_open);
    tcase_add_test(tests, checkpoints_happen_and_their_errors_count);
    tcase_add_test(tests, a_full_disk_writes_nothing_and_heals);
    tcase_add_test(tests, places_that_can_not_hold_a_log_are_refused);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
