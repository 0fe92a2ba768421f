/* The keeper: what the main core notes is what the file holds soon, and at the end at once; deltas go into what a file held
 * at the start; a set that is not what the digest says is not written; a directory that can't be written is counted, and
 * written when it can be. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/keeper.h"
#include "dataplane/plane_fixture.h"

static char directory[] = "/tmp/test_keeper.XXXXXX";
static char path[64];
static struct bl_keeper *keeper;
static struct bl_table_build *build; /* what the control plane has */
static struct bl_class classes[BL_CLASS_COUNT];
static struct bl_table_file found;

static void start(void)
{
    plane_start_eal();
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/table", directory);
    build = fixture_create();
    classes[1] = (struct bl_class){606, BL_ACTION_REJECT, true, "https://delist.example.net/?ip={address}"};
}

static void end(void)
{
    char command[128];

    bl_keeper_free(keeper);
    bl_table_file_fini(&found);
    bl_table_build_free(build);
    snprintf(command, sizeof(command), "rm -rf %s", directory);
    ck_assert_int_eq(system(command), 0);
    plane_end_eal();
}

static void create(uint32_t least_ms, struct bl_table_file *table)
{
    const struct bl_keeper_options options = {path, least_ms, 5};

    ck_assert_int_eq(bl_keeper_create(&keeper, &options, table), BL_OK);
}

static void create_empty(uint32_t least_ms)
{
    struct bl_table_file none = {.held = {.epoch = 0}};

    create(least_ms, &none);
}

static void note(const char *prefix, uint8_t class_id)
{
    struct bl_table_entry entry = {fixture_prefix(prefix), class_id};

    fixture_set(build, prefix, class_id);
    bl_keeper_note(keeper, &entry);
}

static void commit(uint64_t serial, bool with_classes)
{
    struct bl_held held = {.epoch = FIXTURE_EPOCH, .serial = serial, .digest = bl_table_build_digest(build)};

    bl_table_build_count(build, &held.n_ipv4, &held.n_ipv6);
    bl_keeper_end(keeper, &held, with_classes ? classes : NULL);
}

static void snapshot(uint64_t serial)
{
    bl_keeper_begin(keeper, true);
    note("192.0.2.0/24", 1);
    note("2001:db8::/32", 1);
    commit(serial, true);
}

static void delta(uint64_t serial, const char *prefix, uint8_t class_id)
{
    bl_keeper_begin(keeper, false);
    note(prefix, class_id);
    commit(serial, false);
}

static void read_file(void)
{
    struct bl_error_detail detail = {""};

    bl_table_file_fini(&found);
    ck_assert_msg(bl_table_file_read(path, &found, &detail) == BL_OK, "%s", detail.text);
}

static void assert_file(uint64_t serial)
{
    struct bl_digest digest = bl_table_build_digest(build);
    struct bl_digest sum = {0, 0};
    struct bl_table_entry entry;

    read_file();
    ck_assert_uint_eq(found.held.serial, serial);
    ck_assert(bl_digest_equal(&found.held.digest, &digest));
    for (size_t i = 0; i < bl_entries_count(&found.entries); i++) {
        bl_entries_get(&found.entries, i, &entry);
        bl_digest_add(&sum, found.held.epoch, &entry.prefix, entry.class_id);
    }
    ck_assert(bl_digest_equal(&sum, &digest));
    ck_assert(bl_class_equal(&found.classes[1], &classes[1]));
}

static void wait_for_writes(uint64_t n)
{
    for (int i = 0; i < 20000 && bl_keeper_counts(keeper).n_writes < n; i++)
        usleep(1000);
    ck_assert_uint_ge(bl_keeper_counts(keeper).n_writes, n);
}

START_TEST(a_snapshot_is_written_soon)
{
    create_empty(1);
    snapshot(100);
    wait_for_writes(1);
    assert_file(100);
    delta(101, "198.51.100.7", 1);
    wait_for_writes(2);
    assert_file(101);
    classes[1].code = 607;
    bl_keeper_begin(keeper, false);
    note("192.0.2.0/24", 0);
    commit(102, true);
    wait_for_writes(3);
    assert_file(102);
}
END_TEST

/* With an hour between two writes: the first, then one at the end. */
START_TEST(no_sooner_than_the_least_time_but_at_the_end)
{
    create_empty(3600 * 1000);
    snapshot(100);
    wait_for_writes(1);
    for (uint64_t serial = 101; serial <= 300; serial++)
        delta(serial, serial % 2 != 0 ? "198.51.100.7" : "203.0.113.0/24", (uint8_t)(serial % 3));
    usleep(50000); /* ten looks of the thread */
    ck_assert_uint_eq(bl_keeper_counts(keeper).n_writes, 1);
    read_file();
    ck_assert_uint_eq(found.held.serial, 100);
    bl_keeper_stop(keeper);
    assert_file(300);
    ck_assert_uint_eq(bl_keeper_counts(keeper).n_writes, 2);
}
END_TEST

START_TEST(deltas_go_into_what_the_file_held)
{
    create_empty(1);
    snapshot(100);
    bl_keeper_free(keeper);
    read_file();
    create(1, &found);
    delta(101, "198.51.100.7", 1);
    delta(102, "2001:db8::/32", 0);
    bl_keeper_stop(keeper);
    assert_file(102);
}
END_TEST

START_TEST(nothing_new_is_not_written)
{
    struct stat before, after;

    create_empty(1);
    snapshot(100);
    bl_keeper_free(keeper);
    ck_assert_int_eq(stat(path, &before), 0);
    read_file();
    create(1, &found);
    bl_keeper_stop(keeper);
    ck_assert_int_eq(stat(path, &after), 0);
    ck_assert_uint_eq(before.st_ino, after.st_ino);
    bl_keeper_free(keeper);
    ck_assert_int_eq(unlink(path), 0);
    create_empty(1);
    bl_keeper_stop(keeper); /* nothing was ever held */
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

/* What did not end is not in the file, nor in what comes after it. */
START_TEST(what_does_not_end_is_forgotten)
{
    struct bl_table_entry entry = {fixture_prefix("10.0.0.0/8"), 1};

    create_empty(1);
    snapshot(100);
    wait_for_writes(1);
    bl_keeper_begin(keeper, false);
    bl_keeper_note(keeper, &entry);
    bl_keeper_begin(keeper, true);
    bl_keeper_note(keeper, &entry);
    delta(101, "198.51.100.7", 1);
    bl_keeper_stop(keeper);
    assert_file(101);
}
END_TEST

START_TEST(another_digest_is_not_written)
{
    struct bl_held wrong = {.epoch = FIXTURE_EPOCH, .serial = 101, .digest = {1, 2}};

    create_empty(1);
    snapshot(100);
    wait_for_writes(1);
    bl_keeper_begin(keeper, false);
    bl_keeper_end(keeper, &wrong, NULL);
    for (int i = 0; i < 20000 && bl_keeper_counts(keeper).n_failures == 0; i++)
        usleep(1000);
    ck_assert_uint_eq(bl_keeper_counts(keeper).n_failures, 1);
    delta(102, "198.51.100.7", 1); /* does not bring back what is not known */
    usleep(50000);
    read_file();
    ck_assert_uint_eq(found.held.serial, 100);
    bl_table_build_free(build);
    build = fixture_create();
    snapshot(103);
    bl_keeper_stop(keeper);
    assert_file(103);
}
END_TEST

/* A file stands where the directory should be. */
START_TEST(an_unwritable_directory_is_counted_and_tried_again)
{
    ck_assert_int_eq(rmdir(directory), 0);
    fclose(fopen(directory, "w"));
    create_empty(1);
    snapshot(100);
    for (int i = 0; i < 20000 && bl_keeper_counts(keeper).n_failures < 3; i++)
        usleep(1000);
    ck_assert_uint_ge(bl_keeper_counts(keeper).n_failures, 3);
    ck_assert_uint_eq(bl_keeper_counts(keeper).n_writes, 0);
    ck_assert_int_eq(unlink(directory), 0);
    wait_for_writes(1);
    assert_file(100);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("keeper");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_checked_fixture(tests, start, end);
    tcase_add_test(tests, a_snapshot_is_written_soon);
    tcase_add_test(tests, no_sooner_than_the_least_time_but_at_the_end);
    tcase_add_test(tests, deltas_go_into_what_the_file_held);
    tcase_add_test(tests, nothing_new_is_not_written);
    tcase_add_test(tests, what_does_not_end_is_forgotten);
    tcase_add_test(tests, another_digest_is_not_written);
    tcase_add_test(tests, an_unwritable_directory_is_counted_and_tried_again);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
