/* resend.c: what is sent again and when, what ends that, and that a flood gets nothing for it. The frames that come out
 * are made by segment.c, as in the worker. */
#include <check.h>
#include <stdlib.h>

#include "dataplane/cookie.h"
#include "dataplane/reject.h"
#include "dataplane/resend.h"
#include "dataplane/segment.h"
#include "frame_view.h"

enum { TICKS_PER_S = 1000, N_SETS = 16, N_ENTRIES = N_SETS * BL_RESEND_WAYS, N_ITEMS = 128, SEQUENCE = 0x1000 };

static struct bl_resend resend;
static struct bl_resend_set sets[N_SETS];
static struct bl_resend_entry entries[N_ENTRIES];
static struct bl_resend_item items[N_ITEMS];
static uint64_t n_limited;
static uint8_t frame[FRAME_BYTES_MAX];
static struct bl_packet packet;

static void set_up(void)
{
    memset(sets, 0, sizeof(sets));
    memset(entries, 0, sizeof(entries));
    memset(items, 0, sizeof(items));
    bl_resend_init(&resend, &(struct bl_resend_memory){sets, entries, items, N_SETS, N_ITEMS});
    bl_resend_set_time(&resend, 0, TICKS_PER_S);
    n_limited = 0;
}

/* A segment of dialogue @i, in frame and packet. */
static uint64_t make(uint8_t family, unsigned i, uint8_t flags, uint32_t sequence)
{
    static const struct bl_siphash_key key = {1, 2};
    struct frame_spec spec = frame_spec_init(family);

    spec.flags = flags;
    spec.sequence = sequence;
    spec.source_port = (uint16_t)(1024 + i);
    spec.n_tags = i % 3;
    spec.tags[0] = 0x88a8;
    spec.tags[1] = 0x8100;
    spec.tcp_options_bytes = (flags & FRAME_SYN) != 0 ? 20 : 0;
    spec.ip_options_bytes = i % 2 == 0 ? 0 : 8;
    spec.window = 1000;
    spec.payload_bytes = 0;
    bl_parse_frame(frame, frame_build(&spec, frame), &packet);
    ck_assert_int_eq(packet.status, BL_PARSE_TCP);
    return bl_cookie_hash(&key, &packet, 7);
}

static uint64_t note_syn(uint8_t family, unsigned i, uint64_t now)
{
    uint64_t cookie = make(family, i, FRAME_SYN, SEQUENCE);

    bl_resend_note_syn(&resend, frame, &packet, cookie, now);
    return cookie;
}

static uint64_t note_greeting(uint8_t family, unsigned i, uint64_t now)
{
    uint64_t cookie = make(family, i, FRAME_ACK, SEQUENCE + 1);

    bl_resend_note_greeting(&resend, frame, &packet, cookie, now);
    return cookie;
}

/* All that is due at @now. */
static unsigned count_due(uint64_t now)
{
    struct bl_resend_due due;
    unsigned n = 0;

    while (bl_resend_next(&resend, now, &due, &n_limited))
        n++;
    return n;
}

static void expect_one(uint64_t now, enum bl_resend_state state, uint64_t cookie)
{
    struct bl_resend_due due;

    ck_assert(!bl_resend_next(&resend, now - 1, &due, &n_limited));
    ck_assert(bl_resend_next(&resend, now, &due, &n_limited));
    ck_assert_int_eq(due.state, state);
    ck_assert_uint_eq(due.cookie, cookie);
    ck_assert_uint_eq(due.sequence, SEQUENCE + 1);
    ck_assert(!bl_resend_next(&resend, now, &due, &n_limited));
}

START_TEST(a_syn_ack_twice_a_second_apart)
{
    uint64_t cookie = note_syn(4, 0, 5000);

    expect_one(6000, BL_RESEND_SYN_ACK, cookie);
    expect_one(7000, BL_RESEND_SYN_ACK, cookie);
    ck_assert_uint_eq(count_due(1000000), 0);
    ck_assert_uint_eq(n_limited, 0);
}
END_TEST

START_TEST(from_the_valid_ack_on_the_greeting_twice)
{
    uint64_t cookie = note_syn(6, 0, 5000);

    expect_one(6000, BL_RESEND_SYN_ACK, cookie);
    ck_assert_uint_eq(note_greeting(6, 0, 6100), cookie);
    expect_one(7100, BL_RESEND_GREETING, cookie);
    expect_one(8100, BL_RESEND_GREETING, cookie);
    ck_assert_uint_eq(count_due(1000000), 0);
}
END_TEST

/* The same ACK, again and again, gets its greeting each time, but no more of its own accord. */
START_TEST(what_is_repeated_gets_no_new_tries)
{
    unsigned n = 0;

    note_syn(4, 0, 5000);
    for (uint64_t now = 5000; now < 60000; now += 100) {
        note_greeting(4, 0, now);
        n += count_due(now + 99);
    }
    n += count_due(1000000);
    n += count_due(2000000);
    ck_assert_uint_eq(n + count_due(3000000), BL_RESEND_TRIES_MAX);
    /* A new handshake of the same connection is another matter. */
    make(4, 0, FRAME_SYN, 0x9000);
    bl_resend_note_syn(&resend, frame, &packet, make(4, 0, FRAME_SYN, 0x9000), 4000000);
    ck_assert_uint_eq(count_due(4001000), 1);
}
END_TEST

START_TEST(two_notes_in_one_tick_count_once)
{
    unsigned n;

    note_syn(4, 0, 5000);
    note_syn(4, 0, 5000);
    n = count_due(6000);
    n += count_due(7000);
    ck_assert_uint_eq(n + count_due(1000000), BL_RESEND_TRIES_MAX);
}
END_TEST

START_TEST(what_was_heard_of_is_not_sent_again)
{
    uint64_t cookie = note_syn(4, 0, 5000);

    bl_resend_clear(&resend, cookie ^ UINT64_C(0x100000000)); /* another's */
    expect_one(6000, BL_RESEND_SYN_ACK, cookie);
    bl_resend_clear(&resend, cookie);
    ck_assert_uint_eq(count_due(1000000), 0);
    note_greeting(4, 1, 5000);
    bl_resend_clear(&resend, note_greeting(4, 1, 5000));
    ck_assert_uint_eq(count_due(1000000), 0);
}
END_TEST

/* Nobody can make us send more than one answer each, and a few: not with SYNs of his own either. */
START_TEST(a_flood_earns_nothing)
{
    unsigned n = 0;

    for (unsigned i = 0; i < 60000; i++) {
        uint64_t now = 5000 + i * UINT64_C(50);

        note_syn(4, i, now);
        n += count_due(now);
    }
    ck_assert_uint_eq(n, BL_RESEND_CREDITS_FIRST);
    ck_assert_uint_gt(n_limited, 0);
    /* Completed handshakes earn one each, up to the cap. */
    for (unsigned i = 0; i < 2 * BL_RESEND_CREDITS_MAX; i++) {
        note_syn(4, i, 3500000);
        bl_resend_clear(&resend, note_greeting(4, i, 3500000));
    }
    n = 0;
    for (unsigned i = 0; i < 60000; i++) {
        uint64_t now = 4000000 + i * UINT64_C(50); /* slow enough for the entries to be there when they are due */

        note_syn(4, i, now);
        n += count_due(now);
    }
    ck_assert_uint_eq(n, BL_RESEND_CREDITS_MAX);
}
END_TEST

/* As tools send it, never a mail server: its SYN-ACK is larger than itself. */
START_TEST(a_syn_without_options_is_not_remembered)
{
    struct frame_spec spec = frame_spec_init(4);

    spec.flags = FRAME_SYN;
    bl_parse_frame(frame, frame_build(&spec, frame), &packet);
    bl_resend_note_syn(&resend, frame, &packet, 99, 5000);
    ck_assert_uint_eq(count_due(1000000), 0);
}
END_TEST

START_TEST(the_rate_limit_holds)
{
    bl_resend_set_time(&resend, 10, TICKS_PER_S);
    for (unsigned i = 0; i < 40; i++)
        note_greeting(4, i, 5000);
    ck_assert_uint_eq(count_due(6000), 10);
    ck_assert_uint_ge(n_limited, 5);
}
END_TEST

/* More handshakes than entries: the latest are kept, and nothing is ever written outside. */
START_TEST(the_oldest_are_overwritten)
{
    unsigned n_latest = 0;

    for (unsigned i = 0; i < 10 * N_ENTRIES; i++)
        note_greeting(4, i, 5000 + i);
    for (unsigned i = 10 * N_ENTRIES - N_ENTRIES / 4; i < 10 * N_ENTRIES; i++) {
        uint64_t cookie = make(4, i, FRAME_ACK, SEQUENCE + 1);

        for (unsigned e = 0; e < N_ENTRIES; e++)
            n_latest += sets[e / BL_RESEND_WAYS].cookies[e % BL_RESEND_WAYS] == cookie ? 1 : 0;
    }
    /* Twenty-eight over sixteen sets of seven: a set would have to get eight of them. */
    ck_assert_uint_ge(n_latest, N_ENTRIES / 4 - 1);
    ck_assert_uint_le(count_due(1000000), N_ENTRIES);
}
END_TEST

/* One call looks at a bounded number of items, and none is lost for it. */
START_TEST(a_look_is_bounded)
{
    struct bl_resend_due due;
    unsigned n_calls = 0;
    unsigned n = 0;

    resend.n_credits = 0;
    for (unsigned i = 0; i < N_ENTRIES; i++)
        note_syn(4, i, 5000);
    ck_assert_uint_gt(resend.n_pushed, 64);
    ck_assert(!bl_resend_next(&resend, 6000, &due, &n_limited));
    ck_assert_uint_le(resend.n_popped, 64);
    while (resend.n_popped != resend.n_pushed && ++n_calls < 10)
        n += bl_resend_next(&resend, 6000, &due, &n_limited) ? 1 : 0;
    ck_assert_uint_eq(n, 0);
    ck_assert_uint_lt(n_calls, 10);
}
END_TEST

/* A clock that goes back does not keep the queue waiting until it has caught up. */
START_TEST(time_that_goes_back_does_not_stop_it)
{
    note_syn(4, 0, 5000000);
    note_syn(4, 1, 1000);
    ck_assert_uint_eq(count_due(2000), 2);
}
END_TEST

START_TEST(without_entries_nothing_is_done)
{
    bl_resend_init(&resend, &(struct bl_resend_memory){0});
    bl_resend_set_time(&resend, 0, TICKS_PER_S);
    note_greeting(4, 0, 5000);
    bl_resend_clear(&resend, note_syn(4, 0, 5000));
    ck_assert_uint_eq(count_due(1000000), 0);
}
END_TEST

START_TEST(sizes_hold_what_was_asked_for)
{
    static const uint32_t numbers[] = {1, 6, 7, 8, 100, 16384, 1048576};

    ck_assert_uint_eq(bl_resend_size(0).n_sets, 0);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct bl_resend_memory memory = bl_resend_size(numbers[i]);

        ck_assert_uint_ge(memory.n_sets * BL_RESEND_WAYS, numbers[i]);
        ck_assert_uint_lt(memory.n_sets * BL_RESEND_WAYS, numbers[i] + BL_RESEND_WAYS);
        ck_assert_uint_ge(memory.n_items, memory.n_sets * BL_RESEND_WAYS);
        ck_assert_uint_eq(memory.n_items & (memory.n_items - 1), 0);
    }
}
END_TEST

/* The frame that goes out is the one that went out the first time, to the bit. */
START_TEST(the_same_frame_again)
{
    static const struct bl_reject_rules rules = {.cookie_key = {1, 2}, .hostname = "mx.example.org"};
    static const struct bl_class class = {.code = 606, .action = BL_ACTION_REJECT, .url = "https://a.example/"};
    uint8_t family = _i % 2 == 0 ? 4 : 6;
    uint8_t first[BL_SEGMENT_FRAME_MAX];
    uint8_t again[BL_SEGMENT_FRAME_MAX];
    struct bl_resend_due due;
    struct bl_reply reply;
    bool greeting = _i >= 2;
    size_t length;
    struct bl_reject_proof proof;
    const struct bl_reject_segment segment = {&packet, frame, &class, &proof};

    for (unsigned i = 0; i < 6; i++) {
        set_up();
        make(family, i, greeting ? FRAME_ACK : FRAME_SYN, SEQUENCE + (greeting ? 1 : 0));
        if (greeting)
            packet.acknowledgement = bl_cookie_isn(&rules.cookie_key, &packet, 7) + 1;
        bl_reject_prove(&rules, &packet, 7 * BL_COOKIE_EPOCH_S, &proof);
        ck_assert_int_eq(bl_reject_answer(&rules, &segment, 7 * BL_COOKIE_EPOCH_S, &reply),
                         greeting ? BL_REASON_REJECT_GREETING : BL_REASON_REJECT_SYN);
        length = bl_segment_build(frame, &packet, &reply, first);
        if (greeting)
            bl_resend_note_greeting(&resend, frame, &packet, reply.cookie, 1);
        else
            bl_resend_note_syn(&resend, frame, &packet, reply.cookie, 1);
        memset(frame, 0xee, sizeof(frame)); /* the driver has it back */
        memset(&reply, 0xa5, sizeof(reply));
        ck_assert(bl_resend_next(&resend, 1000000, &due, &n_limited));
        if (due.state == BL_RESEND_SYN_ACK)
            bl_reject_repeat_syn_ack(due.cookie, due.sequence, &reply);
        else
            bl_reject_repeat_greeting(&rules, due.cookie, due.sequence, &reply);
        ck_assert_uint_eq(bl_segment_build(due.headers, &due.packet, &reply, again), length);
        ck_assert_mem_eq(again, first, length);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("resend");
    TCase *all = tcase_create("all");
    SRunner *runner;
    int n_failed;

    tcase_add_checked_fixture(all, set_up, NULL);
    tcase_add_test(all, a_syn_ack_twice_a_second_apart);
    tcase_add_test(all, from_the_valid_ack_on_the_greeting_twice);
    tcase_add_test(all, what_is_repeated_gets_no_new_tries);
    tcase_add_test(all, two_notes_in_one_tick_count_once);
    tcase_add_test(all, what_was_heard_of_is_not_sent_again);
    tcase_add_test(all, a_flood_earns_nothing);
    tcase_add_test(all, a_syn_without_options_is_not_remembered);
    tcase_add_test(all, the_rate_limit_holds);
    tcase_add_test(all, the_oldest_are_overwritten);
    tcase_add_test(all, a_look_is_bounded);
    tcase_add_test(all, time_that_goes_back_does_not_stop_it);
    tcase_add_test(all, without_entries_nothing_is_done);
    tcase_add_test(all, sizes_hold_what_was_asked_for);
    tcase_add_loop_test(all, the_same_frame_again, 0, 4);
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
