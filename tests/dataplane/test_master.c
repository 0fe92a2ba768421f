/* A snapshot of a list that changes while it is sent: the control plane's chunks and deltas, made by its own code, lead
 * the master to exactly the list's state; what is missing or out of order is refused, and what was held stays. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/sync_snapshot.h"
#include "dataplane/master.h"
#include "dataplane/plane_fixture.h"
#include "proto/wire.h"

enum { EPOCH = 9, PREFIXES = 40000, WIDE = 40, DELTAS_MAX = 4096 };

static struct bl_store store; /* its list alone */
static struct bl_master *master;
static struct bl_prefix prefixes[PREFIXES];
static uint64_t random_state;
static struct bl_frames *deltas[DELTAS_MAX]; /* of the serials from 1 on, as in the ring */
static struct bl_error_detail detail;

static uint64_t serial(void)
{
    return bl_list_state_serial(store.state);
}

/* Ends what was applied, as the writer does. */
static void commit(void)
{
    struct bl_list_changes changes;
    uint64_t from = serial();

    bl_list_state_commit(store.state, from + 1, &changes);
    ck_assert_uint_lt(from, DELTAS_MAX);
    ck_assert_int_eq(bl_frames_create_delta(&deltas[from], store.state, from, &changes), BL_OK);
}

static void apply(enum bl_effect_kind kind, const struct bl_prefix *prefix, uint16_t code)
{
    const struct bl_effect_group group = {kind,
                                          {.source = "feed",
                                           .reason = "",
                                           .url = "https://delist.example.net/",
                                           .code = code,
                                           .action = BL_ACTION_REJECT,
                                           .observed_at_ms = 1},
                                          prefix,
                                          1};

    ck_assert_int_eq(bl_list_state_apply(store.state, &group, serial() + 1, "tester", &detail), BL_OK);
}

/* One or a few changes anywhere: before what was read, at it, behind it; now and then with a class that is new. */
static void change(void)
{
    unsigned n = 1 + fixture_random(&random_state) % 8;

    for (unsigned i = 0; i < n; i++) {
        const struct bl_prefix *prefix = &prefixes[fixture_random(&random_state) % PREFIXES];
        static const enum bl_effect_kind kinds[] = {BL_EFFECT_LIST,   BL_EFFECT_LIST,   BL_EFFECT_UNLIST,
                                                    BL_EFFECT_UNLIST, BL_EFFECT_EXEMPT, BL_EFFECT_UNEXEMPT};

        apply(kinds[fixture_random(&random_state) % 6], prefix, (uint16_t)(606 + fixture_random(&random_state) % 40));
    }
    commit();
}

static void start(void)
{
    static const char *const order[] = {"feed"};

    plane_start();
    ck_assert_int_eq(bl_master_create(&master, plane_distribute, NULL, NULL), BL_OK);
    ck_assert_int_eq(pthread_rwlock_init(&store.lock, NULL), 0);
    ck_assert_int_eq(bl_list_state_create(&store.state, EPOCH, order, 1), BL_OK);
    random_state = 4;
    for (unsigned i = 0; i < PREFIXES; i++) {
        uint64_t bits = fixture_random(&random_state);

        if (i < WIDE)
            prefixes[i] = fixture_prefix_ip4((uint32_t)bits, 12 + i % 12);
        else if (i % 8 == 0)
            prefixes[i] = fixture_prefix_ip6(0x2001000000000000 | bits >> 16, 0, 64);
        else
            prefixes[i] = fixture_prefix_ip4((uint32_t)bits, 32);
        if (i % 2 == 0 || i < WIDE)
            apply(BL_EFFECT_LIST, &prefixes[i], 606);
    }
    commit();
}

static void end(void)
{
    for (unsigned i = 0; i < DELTAS_MAX; i++)
        bl_frames_release(deltas[i]);
    bl_list_state_free(store.state);
    bl_master_free(master);
    plane_end();
}

/* Takes in frames that came from the socket. */
static int take(const struct bl_frames *frames)
{
    int error = BL_OK;

    for (size_t at = 0; at < frames->n_bytes && error == BL_OK;) {
        struct bl_sync_message *message;
        size_t length;

        ck_assert_int_eq(bl_wire_frame_parse(frames->data + at, &length), BL_OK);
        at += BL_WIRE_FRAME_HEADER_BYTES;
        ck_assert_int_eq(bl_sync_codec_decode(frames->data + at, length, &message, &detail), BL_OK);
        error = bl_master_apply(master, message, &detail);
        bl_sync_codec_free(message);
        at += length;
    }
    return error;
}

/* The next frames of a snapshot, a chunk or a delta. @return what the master says. */
static int step(struct bl_sync_snapshot *snapshot, uint64_t *sent, bool *last)
{
    struct bl_frames *frames;
    int error = bl_sync_snapshot_next(snapshot, &store, *sent, last, &frames);

    if (error == BL_EAGAIN)
        frames = bl_frames_hold(deltas[*sent]);
    else
        ck_assert_int_eq(error, BL_OK);
    error = take(frames);
    *sent = frames->serial;
    bl_frames_release(frames);
    return error;
}

static void assert_equal(void)
{
    struct bl_held held = bl_master_held(master);
    struct bl_digest digest = bl_list_state_digest(store.state);
    struct bl_list_counts counts;

    bl_list_state_count(store.state, &counts);
    ck_assert_uint_eq(held.epoch, EPOCH);
    ck_assert_uint_eq(held.serial, serial());
    ck_assert(bl_digest_equal(&held.digest, &digest));
    ck_assert_uint_eq(held.n_ipv4, counts.n_effective_ipv4);
    ck_assert_uint_eq(held.n_ipv6, counts.n_effective_ipv6);
    plane_settle(bl_master_table(master));
}

/* @param every changes come after so many steps; 0: none come. */
static void send_snapshot(unsigned every, unsigned *n_steps)
{
    struct bl_sync_snapshot snapshot = {.n_chunks = 0};
    uint64_t sent = 0;
    bool last = false;

    for (*n_steps = 0; !last; ++*n_steps) {
        ck_assert_msg(step(&snapshot, &sent, &last) == BL_OK, "%s", detail.text);
        if (every != 0 && *n_steps % every == 0 && !last && *n_steps < 400)
            change();
    }
}

START_TEST(a_list_that_rests)
{
    unsigned n_steps;

    send_snapshot(0, &n_steps);
    ck_assert_uint_ge(n_steps, PREFIXES / 2 / BL_SYNC_SNAPSHOT_SLICE);
    ck_assert_uint_le(n_steps, PREFIXES / 2 / BL_SYNC_SNAPSHOT_SLICE + 2);
    assert_equal();
}
END_TEST

/* Faster than the snapshot, too: then the last chunk waits until the changes do. */
START_TEST(a_list_that_changes)
{
    for (unsigned round = 0; round < 12; round++) {
        unsigned n_steps;

        for (unsigned i = 0; i < 20; i++)
            change();
        send_snapshot(1 + round % 3, &n_steps);
        assert_equal();
        /* And on from there. */
        change();
        ck_assert_int_eq(take(deltas[serial() - 1]), BL_OK);
        assert_equal();
    }
}
END_TEST

START_TEST(between_chunks_the_order_counts)
{
    struct bl_sync_snapshot snapshot = {.n_chunks = 0};
    struct bl_held before;
    unsigned n_steps;
    uint64_t sent = 0;
    bool last = false;

    send_snapshot(0, &n_steps);
    before = bl_master_held(master);
    ck_assert_int_eq(step(&snapshot, &sent, &last), BL_OK);
    change();
    change();
    ck_assert_int_eq(take(deltas[serial() - 1]), BL_EORDER); /* the one before it is missing */
    /* The snapshot is given up with it, not what is held. */
    ck_assert_int_eq(step(&snapshot, &sent, &last), BL_EORDER);
    ck_assert_uint_eq(bl_master_held(master).serial, before.serial);
    ck_assert_ptr_nonnull(bl_master_table(master));
    send_snapshot(0, &n_steps);
    assert_equal();
}
END_TEST

/* One that never came is missed by the serial of the next chunk. */
START_TEST(a_delta_that_is_left_out)
{
    struct bl_sync_snapshot snapshot = {.n_chunks = 0};
    uint64_t sent = 0;
    bool last = false;

    ck_assert_int_eq(step(&snapshot, &sent, &last), BL_OK);
    change();
    ck_assert_int_eq(step(&snapshot, &sent, &last), BL_OK); /* read after the change, and before its delta */
    ck_assert_uint_eq(snapshot.read_serial, serial());
    sent = serial();
    ck_assert_int_eq(step(&snapshot, &sent, &last), BL_EORDER);
    ck_assert_uint_eq(bl_master_held(master).epoch, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("master");
    TCase *tcase = tcase_create("master");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, start, end);
    tcase_add_test(tcase, a_list_that_rests);
    tcase_add_test(tcase, a_list_that_changes);
    tcase_add_test(tcase, between_chunks_the_order_counts);
    tcase_add_test(tcase, a_delta_that_is_left_out);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
