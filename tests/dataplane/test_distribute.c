/* Replicas follow the master: in order, in steps, whatever the workers' pace; the least of them is what is enforced; a
 * damaged one is found and repaired, no more than what is damaged; nothing leaks. */
#include "dataplane/plane_fixture.h"
#include "dataplane/scrub.h"

static struct bl_table_build *build;
static struct bl_class classes[BL_CLASS_COUNT];

static void start(void)
{
    const struct bl_held none = {.epoch = 0};

    plane_start();
    build = fixture_create();
    ck_assert_int_eq(bl_distribute_start(plane_distribute, bl_table_build_master(build), classes, &none), BL_OK);
    classes[1].code = 606;
    classes[2].code = 607;
}

static void end(void)
{
    bl_table_build_free(build);
    plane_end();
}

static struct bl_held held_at(uint64_t epoch, uint64_t serial)
{
    return (struct bl_held){.epoch = epoch, .serial = serial, .digest = bl_table_build_digest(build)};
}

/* Commits what was set and hands it to the workers. */
static void hand_out(uint64_t serial, const struct bl_class *new_classes)
{
    struct bl_held held = held_at(FIXTURE_EPOCH, serial);
    struct bl_table_patch *patch = NULL;
    bool rebuilt = false;

    ck_assert_int_eq(bl_table_build_commit(build, serial, &patch, &rebuilt), BL_OK);
    if (rebuilt)
        ck_assert_int_eq(bl_distribute_switch(plane_distribute, bl_table_build_master(build), classes, &held), BL_OK);
    else
        ck_assert_int_eq(bl_distribute_patch(plane_distribute, patch, new_classes, &held), BL_OK);
}

static const struct bl_table *master(void)
{
    return bl_table_build_master(build);
}

static void assert_all_equal(void)
{
    for (unsigned i = 0; i < PLANE_WORKERS; i++) {
        const struct bl_table *table = plane_workers[i]->replica.table;

        ck_assert_uint_eq(bl_table_size(table), bl_table_size(master()));
        ck_assert_int_eq(memcmp(table, master(), bl_table_size(table)), 0);
    }
}

START_TEST(everybody_follows)
{
    fixture_set(build, "192.0.2.0/24", 1);
    hand_out(1, NULL);
    plane_settle(master());
    for (unsigned i = 0; i < PLANE_WORKERS; i++)
        ck_assert_uint_eq(plane_lookup(i, "192.0.2.9"), 1);
    fixture_set(build, "192.0.2.0/24", 0);
    hand_out(2, NULL);
    plane_settle(master());
    for (unsigned i = 0; i < PLANE_WORKERS; i++)
        ck_assert_uint_eq(plane_lookup(i, "192.0.2.9"), 0);
    assert_all_equal();
    ck_assert_uint_eq(bl_distribute_enforced(plane_distribute)->serial, 2);
}
END_TEST

START_TEST(the_slowest_worker_is_what_is_enforced)
{
    fixture_set(build, "192.0.2.0/24", 1);
    hand_out(1, NULL);
    plane_settle(master());
    fixture_set(build, "198.51.100.0/24", 1);
    hand_out(2, NULL);
    while (plane_turn(0) || plane_turn(1))
        ;
    bl_distribute_poll(plane_distribute, master());
    ck_assert_uint_eq(bl_distribute_held(plane_distribute, 0)->serial, 2);
    ck_assert_uint_eq(bl_distribute_held(plane_distribute, 2)->serial, 1);
    ck_assert_uint_eq(bl_distribute_enforced(plane_distribute)->serial, 1);
    ck_assert_uint_eq(bl_distribute_waiting(plane_distribute), 1);
    while (plane_turn(2))
        ;
    bl_distribute_poll(plane_distribute, master());
    ck_assert_uint_eq(bl_distribute_enforced(plane_distribute)->serial, 2);
    ck_assert_uint_eq(bl_distribute_waiting(plane_distribute), 0);
}
END_TEST

/* Many more patches than the ring holds, workers at random paces, one of them late: everybody ends at the master. */
START_TEST(any_pace_ends_in_equal_replicas)
{
    uint64_t state = 42 + (uint64_t)_i;

    for (uint64_t serial = 1; serial <= 600; serial++) {
        for (int n = 0; n < 4; n++) {
            struct bl_prefix prefix = fixture_prefix_ip4((uint32_t)fixture_random(&state) & 0xfff00, 24);

            ck_assert_int_eq(bl_table_build_set(build, &prefix, (uint8_t)(fixture_random(&state) % 4)), BL_OK);
        }
        hand_out(serial, NULL);
        for (unsigned i = 0; i < PLANE_WORKERS - 1; i++)
            for (uint64_t turns = fixture_random(&state) % 3; turns > 0; turns--)
                plane_turn(i);
        bl_distribute_poll(plane_distribute, master());
        ck_assert_uint_le(bl_distribute_enforced(plane_distribute)->serial, serial);
    }
    ck_assert_uint_eq(bl_distribute_enforced(plane_distribute)->serial, 0);
    plane_settle(master());
    ck_assert_uint_eq(bl_distribute_enforced(plane_distribute)->serial, 600);
    ck_assert_uint_eq(bl_distribute_counts(plane_distribute).n_repairs, 0);
    assert_all_equal();
}
END_TEST

START_TEST(a_large_patch_goes_in_by_steps)
{
    unsigned n_turns = 0;

    fixture_set(build, "203.0.113.0/24", 1);
    hand_out(1, NULL);
    plane_settle(master());
    for (uint32_t i = 0; i < 200; i++) {
        struct bl_prefix prefix = fixture_prefix_ip4(i << 12, 32);

        ck_assert_int_eq(bl_table_build_set(build, &prefix, 1), BL_OK);
    }
    hand_out(2, NULL);
    if (bl_table_size(plane_workers[0]->replica.table) == bl_table_size(master())) {
        while (plane_turn(0))
            n_turns++;
        ck_assert_uint_gt(n_turns, 3);
    }
    plane_settle(master());
    assert_all_equal();
}
END_TEST

START_TEST(classes_change_before_the_patch_that_needs_them)
{
    fixture_set(build, "192.0.2.0/24", 1);
    hand_out(1, classes);
    plane_settle(master());
    ck_assert_uint_eq(plane_workers[0]->replica.classes[1].code, 606);
    classes[2].code = 649;
    fixture_set(build, "198.51.100.0/24", 2);
    hand_out(2, classes);
    classes[2].code = 0; /* what was handed out is a copy */
    ck_assert_uint_ne(plane_workers[0]->replica.classes[2].code, 649);
    while (plane_lookup(0, "198.51.100.1") == 0)
        ck_assert(plane_turn(0));
    ck_assert_uint_eq(plane_workers[0]->replica.classes[2].code, 649);
    plane_settle(master());
    for (unsigned i = 0; i < PLANE_WORKERS; i++)
        ck_assert_uint_eq(plane_workers[i]->replica.classes[2].code, 649);
}
END_TEST

START_TEST(a_switch_to_another_epoch_counts_when_all_have_it)
{
    struct bl_held held = held_at(FIXTURE_EPOCH + 1, 1);

    fixture_set(build, "192.0.2.0/24", 1);
    hand_out(7, NULL);
    plane_settle(master());
    ck_assert_uint_eq(bl_distribute_enforced(plane_distribute)->serial, 7);
    ck_assert_int_eq(bl_distribute_switch(plane_distribute, master(), classes, &held), BL_OK);
    plane_turn(0);
    plane_turn(1);
    bl_distribute_poll(plane_distribute, master());
    ck_assert_uint_eq(bl_distribute_enforced(plane_distribute)->serial, 7);
    ck_assert_uint_eq(bl_distribute_enforced(plane_distribute)->epoch, FIXTURE_EPOCH);
    plane_turn(2);
    bl_distribute_poll(plane_distribute, master());
    ck_assert_uint_eq(bl_distribute_enforced(plane_distribute)->serial, 1);
    ck_assert_uint_eq(bl_distribute_enforced(plane_distribute)->epoch, FIXTURE_EPOCH + 1);
}
END_TEST

/* Compares until a round is over. @return what bl_distribute_compare said. */
static bool compare(uint64_t now_ms)
{
    bool master_wrong = false;

    for (int i = 0; i < 10000 && !master_wrong; i++) {
        master_wrong = bl_distribute_compare(plane_distribute, master(), now_ms);
        if (!bl_distribute_comparing(plane_distribute))
            break;
        for (unsigned worker = 0; worker < PLANE_WORKERS; worker++)
            plane_turn(worker);
        bl_distribute_poll(plane_distribute, master());
    }
    ck_assert(!bl_distribute_comparing(plane_distribute));
    return master_wrong;
}

static void damage_at(const struct bl_table *table, size_t offset)
{
    union {
        const struct bl_table *in;
        uint8_t *out;
    } bytes = {table};

    bytes.out[offset] ^= 0x10;
}

static void damage(const struct bl_table *table)
{
    damage_at(table, bl_table_size(table) / 2);
}

/* A table of several regions. @return how many. */
static size_t hand_out_many(uint64_t serial)
{
    for (uint32_t i = 0; i < 20000; i++) {
        struct bl_prefix prefix = fixture_prefix_ip4(i * 2654435761u, 32);

        if (bl_table_build_set(build, &prefix, 1) != BL_OK)
            ck_abort_msg("entry %u", i);
    }
    hand_out(serial, NULL);
    plane_settle(master());
    return bl_table_size(master()) / BL_REPLICA_REGION_BYTES;
}

START_TEST(only_the_damaged_region_is_copied)
{
    size_t n_regions = hand_out_many(1);
    struct bl_table *before[PLANE_WORKERS];
    unsigned n_turns = 0;

    ck_assert_uint_ge(n_regions, 2);
    for (unsigned i = 0; i < PLANE_WORKERS; i++)
        before[i] = plane_workers[i]->replica.table;
    damage_at(before[1], n_regions * BL_REPLICA_REGION_BYTES - 1);
    /* To where it is judged; what is damaged after that is not known yet. */
    bl_distribute_compare(plane_distribute, master(), 100000);
    while (bl_distribute_comparing(plane_distribute)) {
        plane_turn(0);
        plane_turn(1);
        plane_turn(2);
        ck_assert(!bl_distribute_compare(plane_distribute, master(), 100000));
    }
    ck_assert_uint_eq(bl_distribute_counts(plane_distribute).n_mismatches, 1);
    ck_assert_uint_eq(bl_distribute_counts(plane_distribute).n_repairs, 1);
    damage_at(before[1], BL_REPLICA_REGION_BYTES / 2);
    damage_at(before[0], BL_REPLICA_REGION_BYTES / 2);
    ck_assert(!plane_turn(0));
    while (plane_turn(1))
        n_turns++;
    ck_assert_uint_eq(n_turns, BL_REPLICA_REGION_BYTES / PLANE_STEP_BYTES);
    ck_assert_int_eq(((const uint8_t *)before[1])[n_regions * BL_REPLICA_REGION_BYTES - 1],
                     ((const uint8_t *)master())[n_regions * BL_REPLICA_REGION_BYTES - 1]);
    ck_assert_int_ne(memcmp(before[1], master(), BL_REPLICA_REGION_BYTES), 0);
    damage_at(before[0], BL_REPLICA_REGION_BYTES / 2);
    bl_distribute_poll(plane_distribute, master());
    ck_assert(!compare(101000)); /* a second later, not ten */
    plane_settle(master());
    ck_assert_uint_eq(bl_distribute_counts(plane_distribute).n_repairs, 2);
    assert_all_equal();
    for (unsigned i = 0; i < PLANE_WORKERS; i++)
        ck_assert_ptr_eq(plane_workers[i]->replica.table, before[i]);
    ck_assert(!compare(200000));
    ck_assert_uint_eq(bl_distribute_counts(plane_distribute).n_mismatches, 2);
}
END_TEST

/* Each byte of the header: of what says the size, too, when nothing behind the header can be found any more. */
START_TEST(a_damaged_header_is_repaired)
{
    size_t n_regions = _i == 0 ? 0 : hand_out_many(1);
    uint64_t now_ms = 100000;
    unsigned n = 0;

    fixture_set(build, "192.0.2.0/24", 1);
    hand_out(2, NULL);
    plane_settle(master());
    for (size_t offset = 0; offset < 128; offset += _i == 0 ? 1 : 24) {
        damage_at(plane_workers[2]->replica.table, offset);
        if (n_regions > 0) {
            damage_at(plane_workers[2]->replica.table, n_regions * BL_REPLICA_REGION_BYTES - 1);
            n++;
        }
        n++;
        for (int round = 0; round < 2; round++) {
            ck_assert(!compare(now_ms));
            plane_settle(master());
            now_ms += 10000;
        }
        ck_assert_uint_eq(bl_distribute_counts(plane_distribute).n_repairs, n);
        assert_all_equal();
    }
    fixture_set(build, "192.0.2.0/24", 2);
    hand_out(3, NULL);
    plane_settle(master());
    assert_all_equal();
    ck_assert_uint_eq(bl_distribute_counts(plane_distribute).n_repairs, n); /* the patch did fit */
}
END_TEST

/* The patch does not care, and the next round finds it. */
START_TEST(damage_during_a_patch_is_found)
{
    hand_out_many(1);
    for (uint32_t i = 0; i < 200; i++) {
        struct bl_prefix prefix = fixture_prefix_ip4(i << 12, 24);

        ck_assert_int_eq(bl_table_build_set(build, &prefix, 1), BL_OK);
    }
    hand_out(2, NULL);
    ck_assert(plane_turn(1));
    ck_assert_uint_eq(bl_table_serial(plane_workers[1]->replica.table), 1);
    damage(plane_workers[1]->replica.table);
    ck_assert(!compare(100000)); /* nobody is asked before all have the patch */
    plane_settle(master());
    ck_assert_uint_eq(bl_distribute_counts(plane_distribute).n_mismatches, 0);
    ck_assert(!compare(110000));
    plane_settle(master());
    ck_assert_uint_eq(bl_distribute_counts(plane_distribute).n_repairs, 1);
    assert_all_equal();
}
END_TEST

/* A patch that is handed out behind a repair comes after it. */
START_TEST(a_patch_waits_for_the_repair_before_it)
{
    hand_out_many(1);
    damage(plane_workers[1]->replica.table);
    bl_distribute_compare(plane_distribute, master(), 100000);
    while (bl_distribute_counts(plane_distribute).n_repairs == 0) {
        for (unsigned i = 0; i < PLANE_WORKERS; i++)
            plane_turn(i);
        ck_assert(!bl_distribute_compare(plane_distribute, master(), 100000));
    }
    ck_assert(plane_turn(1)); /* a part of it */
    fixture_set(build, "192.0.2.0/24", 2);
    hand_out(2, NULL);
    plane_settle(master());
    for (unsigned i = 0; i < PLANE_WORKERS; i++)
        ck_assert_uint_eq(plane_lookup(i, "192.0.2.1"), 2);
    assert_all_equal();
}
END_TEST

/* More damage than one round repairs. */
START_TEST(much_damage_takes_some_rounds)
{
    size_t n_regions = hand_out_many(1);

    for (unsigned i = 0; i < 2; i++)
        for (size_t region = 1; region < n_regions; region++)
            damage_at(plane_workers[0]->replica.table, region * BL_REPLICA_REGION_BYTES + 1000 * (i + 1));
    for (uint64_t round = 0; round < 1 + n_regions / BL_SCRUB_FINDINGS_MAX; round++) {
        ck_assert(!compare(100000 + round * 10000));
        plane_settle(master());
    }
    ck_assert_uint_eq(bl_distribute_counts(plane_distribute).n_repairs, n_regions - 1);
    assert_all_equal();
}
END_TEST

/* Whatever a message says: nothing is written outside the block. */
START_TEST(a_repair_that_does_not_fit_is_refused)
{
    struct bl_replica *replica = &plane_workers[0]->replica;
    const uint8_t bytes[64] = {0};
    struct bl_message message = {.kind = BL_MESSAGE_REPAIR, .bytes = bytes, .n_bytes = sizeof(bytes)};

    message.offset = replica->table_bytes - sizeof(bytes) + 8;
    bl_mailbox_send(&plane_workers[0]->mailbox, &message);
    ck_assert(plane_turn(0));
    ck_assert(!plane_turn(0));
    ck_assert_ptr_eq(bl_mailbox_collect(&plane_workers[0]->mailbox), &message);
    ck_assert(message.failed);
}
END_TEST

START_TEST(a_damaged_replica_is_found_and_repaired)
{
    fixture_set(build, "192.0.2.0/24", 1);
    hand_out(1, NULL);
    plane_settle(master());
    ck_assert(!compare(100000));
    ck_assert_uint_eq(bl_distribute_counts(plane_distribute).n_mismatches, 0);
    damage(plane_workers[1]->replica.table);
    ck_assert(!compare(200000));
    ck_assert_uint_eq(bl_distribute_counts(plane_distribute).n_mismatches, 1);
    plane_settle(master());
    ck_assert_uint_eq(bl_distribute_counts(plane_distribute).n_repairs, 1);
    assert_all_equal();
    fixture_set(build, "198.51.100.0/24", 1);
    hand_out(2, NULL);
    plane_settle(master());
    assert_all_equal();
}
END_TEST

START_TEST(a_damaged_master_is_told_from_damaged_replicas)
{
    fixture_set(build, "192.0.2.0/24", 1);
    hand_out(1, NULL);
    plane_settle(master());
    damage(master());
    ck_assert(compare(100000));
    ck_assert_uint_eq(bl_distribute_counts(plane_distribute).n_repairs, 0);
}
END_TEST

/* Serials of two epochs may be equal: what was summed of the old blocks is forgotten with them. */
START_TEST(a_switch_forgets_the_checksums)
{
    struct bl_held held = held_at(FIXTURE_EPOCH + 1, 1);
    uint64_t serial, sum;

    fixture_set(build, "192.0.2.0/24", 1);
    hand_out(1, NULL);
    plane_settle(master());
    ck_assert(!compare(100000));
    bl_distribute_checksum(plane_distribute, 0, &serial, &sum);
    ck_assert(serial == 1 && sum != 0);
    ck_assert_int_eq(bl_distribute_switch(plane_distribute, master(), classes, &held), BL_OK);
    plane_settle(master());
    for (unsigned i = 0; i < PLANE_WORKERS; i++) {
        bl_distribute_checksum(plane_distribute, i, &serial, &sum);
        ck_assert(serial == 0 && sum == 0);
    }
}
END_TEST

/* A patch that comes while a checksum is under way: the sum that is published is of one state, not of two. */
START_TEST(a_patch_in_the_middle_of_a_checksum_starts_it_anew)
{
    struct bl_replica *replica = &plane_workers[0]->replica;
    struct bl_replica_check check = {0, 0};
    struct bl_replica_sums *expected;
    const struct bl_replica_sums *sums;
    uint64_t serial;

    fixture_set(build, "192.0.2.0/24", 1);
    hand_out(1, NULL);
    plane_settle(master());
    ck_assert(!bl_distribute_compare(plane_distribute, master(), 100000));
    ck_assert(plane_turn(0)); /* asked, and begun */
    bl_replica_check_step(replica, bl_table_size(replica->table) - PLANE_STEP_BYTES - 1);
    fixture_set(build, "192.0.2.0/24", 2);
    hand_out(2, NULL);
    while (plane_turn(0))
        ;
    while ((sums = bl_replica_check_result(replica, 1, &serial)) == NULL)
        bl_replica_check_step(replica, PLANE_STEP_BYTES);
    ck_assert_uint_eq(serial, 2);
    expected = bl_replica_create_sums(bl_table_size(replica->table));
    while (!bl_replica_check_table(replica->table, &check, expected, 1 << 20))
        ;
    ck_assert_uint_eq(sums->n, expected->n);
    ck_assert_int_eq(memcmp(sums->sums, expected->sums, sums->n * sizeof(uint64_t)), 0);
    free(expected);
    plane_settle(master());
}
END_TEST

/* A replica that is not at the serial that a patch is for: the patch is not applied, and a copy comes instead. */
START_TEST(a_patch_that_does_not_fit_is_repaired)
{
    struct bl_table_build *other = fixture_create();
    struct bl_held held = held_at(FIXTURE_EPOCH, 50);
    struct bl_table_patch *patch = NULL;
    bool rebuilt = false;

    fixture_set(build, "192.0.2.0/24", 1);
    hand_out(1, NULL);
    plane_settle(master());
    for (uint64_t serial = 49; serial <= 50; serial++) {
        bl_table_patch_free(patch);
        fixture_set(other, serial == 49 ? "10.0.0.0/8" : "11.0.0.0/8", 1);
        ck_assert_int_eq(bl_table_build_commit(other, serial, &patch, &rebuilt), BL_OK);
    }
    ck_assert_ptr_nonnull(patch);
    ck_assert_int_eq(bl_distribute_patch(plane_distribute, patch, NULL, &held), BL_OK);
    for (unsigned i = 0; i < PLANE_WORKERS; i++)
        while (plane_turn(i))
            ;
    bl_distribute_poll(plane_distribute, NULL);
    ck_assert_uint_eq(bl_distribute_enforced(plane_distribute)->serial, 1); /* not what did not go in */
    plane_settle(master());
    ck_assert_uint_eq(bl_distribute_counts(plane_distribute).n_repairs, PLANE_WORKERS);
    assert_all_equal();
    bl_table_build_free(other);
}
END_TEST

/* The data plane may be told to stop at any moment. */
START_TEST(an_end_in_the_middle_leaks_nothing)
{
    for (uint64_t serial = 1; serial <= 3 * BL_MAILBOX_RING; serial++) {
        struct bl_prefix prefix = fixture_prefix_ip4((uint32_t)serial << 8, 24);

        ck_assert_int_eq(bl_table_build_set(build, &prefix, 1), BL_OK);
        hand_out(serial, serial % 5 == 0 ? classes : NULL);
        plane_turn((unsigned)serial % 2);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("distribute");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_checked_fixture(tests, start, end);
    tcase_add_test(tests, everybody_follows);
    tcase_add_test(tests, the_slowest_worker_is_what_is_enforced);
    tcase_add_loop_test(tests, any_pace_ends_in_equal_replicas, 0, 8);
    tcase_add_test(tests, a_large_patch_goes_in_by_steps);
    tcase_add_test(tests, classes_change_before_the_patch_that_needs_them);
    tcase_add_test(tests, a_switch_to_another_epoch_counts_when_all_have_it);
    tcase_add_test(tests, a_damaged_replica_is_found_and_repaired);
    tcase_add_test(tests, only_the_damaged_region_is_copied);
    tcase_add_loop_test(tests, a_damaged_header_is_repaired, 0, 2);
    tcase_add_test(tests, damage_during_a_patch_is_found);
    tcase_add_test(tests, a_patch_waits_for_the_repair_before_it);
    tcase_add_test(tests, much_damage_takes_some_rounds);
    tcase_add_test(tests, a_repair_that_does_not_fit_is_refused);
    tcase_add_test(tests, a_damaged_master_is_told_from_damaged_replicas);
    tcase_add_test(tests, a_switch_forgets_the_checksums);
    tcase_add_test(tests, a_patch_in_the_middle_of_a_checksum_starts_it_anew);
    tcase_add_test(tests, a_patch_that_does_not_fit_is_repaired);
    tcase_add_test(tests, an_end_in_the_middle_leaks_nothing);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
