/* Samples of rejects: whatever the budgets and the ring let through, the weights add up to the events; a flood of what
 * can be forged crowds out nothing that can't; nothing waits. */
#define _GNU_SOURCE /* pthread_tryjoin_np */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/sampler.h"

enum { RATE = 10, TICKS_PER_S = 1000 };

static struct bl_sampler *sampler;
static uint64_t now_ms;
static const struct bl_siphash_key secret = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

static void set_up(void)
{
    sampler = aligned_alloc(_Alignof(struct bl_sampler), sizeof(*sampler));
    bl_sampler_init(sampler, RATE, TICKS_PER_S, secret);
    now_ms = 1790000000000;
}

static void tear_down(void)
{
    free(sampler);
}

static struct bl_packet packet_from(uint32_t source)
{
    return (struct bl_packet){.status = BL_PARSE_TCP,
                              .family = BL_FAMILY_IPV4,
                              .source_port = 40000,
                              .destination_port = 25,
                              .source_ip4 = source,
                              .destination_ip4 = 0xc0000219};
}

static void offer(uint32_t source, enum bl_reason reason)
{
    const struct bl_packet packet = packet_from(source);
    const struct bl_sample event = {
        .time_ms = now_ms, .class_id = 7, .reason = (uint8_t)reason, .denied = BL_DENIED_AT_RCPT};

    bl_sampler_offer(sampler, &packet, &event, now_ms);
}

/* Takes everything out. @return the sum of the weights of one reason; *n: samples of it. */
static uint64_t take_all(enum bl_reason reason, size_t *n)
{
    struct bl_sample samples[100];
    uint64_t sum = 0;
    size_t n_taken;

    *n = 0;
    while ((n_taken = bl_sampler_take(sampler, samples, 100)) != 0)
        for (size_t i = 0; i < n_taken; i++) {
            if (samples[i].reason != reason)
                continue;
            sum += samples[i].weight;
            ++*n;
        }
    return sum;
}

START_TEST(a_sample_says_what_happened)
{
    struct bl_packet packet = packet_from(0xc633640a);
    struct bl_sample event = {.time_ms = now_ms, .class_id = 7, .reason = BL_REASON_REJECT_BOUNCE};
    struct bl_sample sample;

    event.denied = BL_DENIED_AT_MAIL;
    bl_sampler_offer(sampler, &packet, &event, now_ms);
    ck_assert_uint_eq(bl_sampler_take(sampler, &sample, 1), 1);
    ck_assert_uint_eq(sample.time_ms, now_ms);
    ck_assert_uint_eq(sample.weight, 1);
    ck_assert_uint_eq(sample.family, BL_FAMILY_IPV4);
    ck_assert_uint_eq(sample.source_ip4, 0xc633640a);
    ck_assert_uint_eq(sample.destination_ip4, 0xc0000219);
    ck_assert_uint_eq(sample.source_port, 40000);
    ck_assert_uint_eq(sample.destination_port, 25);
    ck_assert_uint_eq(sample.class_id, 7);
    ck_assert_uint_eq(sample.reason, BL_REASON_REJECT_BOUNCE);
    ck_assert_uint_eq(sample.denied, BL_DENIED_AT_MAIL);
    ck_assert_uint_eq(bl_sampler_take(sampler, &sample, 1), 0);

    packet.family = BL_FAMILY_IPV6;
    packet.status = BL_PARSE_FRAGMENT;
    packet.source_ip6 = (struct bl_ip6){0x20010db800050000, 0x10};
    packet.destination_ip6 = (struct bl_ip6){0x20010db800250000, 0x25};
    event.reason = BL_REASON_DROP_FRAGMENT;
    bl_sampler_offer(sampler, &packet, &event, now_ms);
    ck_assert_uint_eq(bl_sampler_take(sampler, &sample, 1), 1);
    ck_assert_uint_eq(sample.family, BL_FAMILY_IPV6);
    ck_assert_uint_eq(sample.source_ip6.lo, 0x10);
    ck_assert_uint_eq(sample.destination_ip6.hi, 0x20010db800250000);
    /* What looks like ports in a fragment may be anything. */
    ck_assert_uint_eq(sample.source_port, 0);
    ck_assert_uint_eq(sample.destination_port, 0);
    ck_assert(!sample.destination_cut);

    packet.status = BL_PARSE_UNPARSABLE;
    packet.destination_cut = true;
    event.reason = BL_REASON_DROP_UNPARSABLE;
    bl_sampler_offer(sampler, &packet, &event, now_ms);
    ck_assert_uint_eq(bl_sampler_take(sampler, &sample, 1), 1);
    ck_assert(sample.destination_cut);
}
END_TEST

START_TEST(the_budget_is_kept_and_the_weights_add_up)
{
    uint64_t n_events = 0;
    uint64_t sum = 0;
    size_t n_samples = 0;
    size_t n;

    /* 10 s of 1000 a second, then a pause and one more, which stands for what was left over. */
    for (int i = 0; i < 10000; i++, n_events++) {
        offer(1, BL_REASON_REJECT_SYN);
        now_ms++;
    }
    sum += take_all(BL_REASON_REJECT_SYN, &n);
    n_samples += n;
    ck_assert_uint_ge(n_samples, 10 * RATE);
    ck_assert_uint_le(n_samples, 11 * RATE);
    ck_assert_uint_le(sum, n_events);
    now_ms += 1000;
    offer(1, BL_REASON_REJECT_SYN);
    n_events++;
    sum += take_all(BL_REASON_REJECT_SYN, &n);
    ck_assert_uint_eq(n, 1);
    ck_assert_uint_eq(sum, n_events);
}
END_TEST

/* Below the rate every event is a sample of its own. */
START_TEST(what_is_within_the_budget_is_told_one_by_one)
{
    size_t n;

    for (int i = 0; i < 100; i++) {
        offer(1, BL_REASON_REJECT_BOUNCE);
        now_ms += 1000 / RATE;
    }
    ck_assert_uint_eq(take_all(BL_REASON_REJECT_BOUNCE, &n), 100);
    ck_assert_uint_eq(n, 100);
}
END_TEST

START_TEST(a_flood_does_not_crowd_out_the_550)
{
    static const enum bl_reason floods[] = {BL_REASON_REJECT_SYN, BL_REASON_DROP_ACTION, BL_REASON_DROP_CHECKSUM};
    size_t n;

    /* Nobody takes anything out meanwhile, for as long as it takes to fill what floods may fill; the last flood has used
     * up all that it may when the 550s come. */
    for (int second = 0; second < 30; second++) {
        now_ms += 1000;
        for (uint32_t i = 0; i < 3000; i++)
            offer(i, floods[i % 3]);
    }
    for (int i = 0; i < RATE; i++)
        offer(99, BL_REASON_REJECT_BOUNCE);
    ck_assert_uint_eq(take_all(BL_REASON_REJECT_BOUNCE, &n), RATE);
    ck_assert_uint_eq(n, RATE);
}
END_TEST

/* What can be forged could fill it in time: the early stages leave half of it to the others, drops and resets a quarter to
 * the 550. */
START_TEST(what_can_be_forged_leaves_room_in_the_ring)
{
    static const struct {
        enum bl_reason reason;
        uint64_t n_room;
    } kinds[] = {{BL_REASON_REJECT_SYN, BL_SAMPLER_RING / 2},
                 {BL_REASON_RESET_ACTION, BL_SAMPLER_RING / 4},
                 {BL_REASON_REJECT_BOUNCE, BL_SAMPLER_RING / 4}};
    uint64_t n_lost = 0;

    for (size_t kind = 0; kind < 3; kind++) {
        for (int i = 0; i < BL_SAMPLER_RING; i++) {
            offer(1, kinds[kind].reason);
            now_ms += 1000 / RATE;
        }
        n_lost += BL_SAMPLER_RING - kinds[kind].n_room;
        ck_assert_uint_eq(bl_sampler_lost(sampler), n_lost);
    }
}
END_TEST

START_TEST(what_a_full_ring_loses_is_in_the_next_weight)
{
    enum { N = BL_SAMPLER_RING + 700 };
    uint64_t sum;
    size_t n;

    for (int i = 0; i < N; i++) {
        offer(1, BL_REASON_REJECT_BOUNCE);
        now_ms += 1000 / RATE;
    }
    ck_assert_uint_eq(bl_sampler_lost(sampler), 700);
    sum = take_all(BL_REASON_REJECT_BOUNCE, &n);
    ck_assert_uint_eq(n, BL_SAMPLER_RING);
    offer(1, BL_REASON_REJECT_BOUNCE);
    sum += take_all(BL_REASON_REJECT_BOUNCE, &n);
    ck_assert_uint_eq(n, 1);
    ck_assert_uint_eq(sum, N + 1);
}
END_TEST

/* 1000 events a second of one source and, just behind one of them, now and then one of a source that was never there
 * before: each of those is told, by itself. */
START_TEST(a_busy_source_hides_nobody)
{
    static const enum bl_reason reasons[] = {BL_REASON_REJECT_BOUNCE, BL_REASON_DROP_ACTION};
    enum { SECONDS = 60, QUIET = 1000, EVERY_MS = 1000 / (RATE - 1) };
    enum bl_reason reason = reasons[_i];
    struct bl_sample samples[100];
    uint64_t n_events = 0, n_busy = 0, sum = 0;
    uint32_t n_quiet = 0, n_seen = 0;

    for (int ms = 0; ms < SECONDS * 1000; ms++, now_ms++) {
        offer(1, reason);
        n_events++;
        if (ms > 2000 && ms % EVERY_MS == 0) {
            offer(QUIET + n_quiet++, reason);
            n_events++;
        }
        for (size_t n = bl_sampler_take(sampler, samples, 100); n > 0; n--) {
            const struct bl_sample *sample = &samples[n - 1];

            sum += sample->weight;
            n_busy += sample->source_ip4 == 1;
            if (sample->source_ip4 == 1)
                continue;
            ck_assert_uint_eq(sample->source_ip4, QUIET + n_seen++);
            ck_assert_uint_eq(sample->weight, 1);
        }
    }
    ck_assert_uint_gt(n_quiet, 500);
    ck_assert_uint_eq(n_seen, n_quiet);
    /* It has its share, and no more of the reserve than the few who share its place leave to it. */
    ck_assert_uint_ge(n_busy, SECONDS * RATE);
    ck_assert_uint_le(n_busy, SECONDS * RATE + RATE + 5);
    ck_assert_uint_eq(sum + sampler->skipped[reason], n_events);
}
END_TEST

/* Uses the common bucket up for this moment. */
static void use_up(enum bl_reason reason)
{
    size_t n;

    for (int i = 0; i < 2 * RATE; i++)
        offer(1, reason);
    (void)take_all(reason, &n);
}

START_TEST(the_reserve_is_for_who_had_no_sample_lately)
{
    static const int after_s[] = {0, BL_SAMPLER_SEEN_S - 1, BL_SAMPLER_SEEN_S};
    size_t n;

    use_up(BL_REASON_REJECT_BOUNCE);
    offer(2, BL_REASON_REJECT_BOUNCE);
    ck_assert_uint_eq(take_all(BL_REASON_REJECT_BOUNCE, &n), 1);
    for (size_t i = 0; i < 3; i++) {
        uint64_t start_ms = now_ms;

        now_ms += 1000 * (uint64_t)after_s[i];
        use_up(BL_REASON_REJECT_BOUNCE);
        offer(2, BL_REASON_REJECT_BOUNCE);
        (void)take_all(BL_REASON_REJECT_BOUNCE, &n);
        ck_assert_uint_eq(n, after_s[i] == BL_SAMPLER_SEEN_S);
        now_ms = start_ms;
    }
}
END_TEST

/* Whoever has one IPv6 address has 2^64: they are one source to the reserve. */
START_TEST(the_reserve_takes_a_64_for_one_source)
{
    struct bl_packet packet = {.status = BL_PARSE_TCP, .family = BL_FAMILY_IPV6};
    const struct bl_sample event = {.time_ms = now_ms, .reason = BL_REASON_REJECT_BOUNCE};
    size_t n;

    use_up(BL_REASON_REJECT_BOUNCE);
    for (uint64_t i = 0; i < 100; i++) {
        packet.source_ip6 = (struct bl_ip6){0x20010db800050000 + i / 50, i};
        bl_sampler_offer(sampler, &packet, &event, now_ms);
    }
    (void)take_all(BL_REASON_REJECT_BOUNCE, &n);
    ck_assert_uint_eq(n, 2);
}
END_TEST

/* Drops of forged sources use up the reserve of drops, and make nobody forgotten who had his 550 told. */
START_TEST(a_flood_does_not_reach_the_reserve_of_the_550)
{
    size_t n_busy = 0;
    size_t n;

    use_up(BL_REASON_REJECT_BOUNCE);
    for (uint32_t i = 0; i < 8 * BL_SAMPLER_SEEN; i++) {
        offer(1000 + i, BL_REASON_DROP_ACTION);
        offer(1, BL_REASON_REJECT_BOUNCE);
        (void)take_all(BL_REASON_REJECT_BOUNCE, &n);
        n_busy += n;
    }
    ck_assert_uint_eq(n_busy, 0);
    for (uint32_t i = 0; i < RATE; i++)
        offer(100 + i, BL_REASON_REJECT_BOUNCE);
    ck_assert_uint_eq(take_all(BL_REASON_REJECT_BOUNCE, &n), RATE);
    ck_assert_uint_eq(n, RATE);
}
END_TEST

/* A second's worth of a high rate would not fit into the ring: only so much comes at once as does, of 550s, drops and
 * resets with all of their buckets full. */
START_TEST(what_comes_at_once_fits_into_the_ring)
{
    enum { RATE_HIGH = 100 * BL_SAMPLER_BURST_MAX };
    size_t n;

    bl_sampler_init(sampler, RATE_HIGH, RATE_HIGH, secret);
    for (uint32_t i = 0; i < 2 * BL_SAMPLER_RING; i++) {
        offer(i, BL_REASON_REJECT_BOUNCE);
        offer(i, BL_REASON_DROP_ACTION);
    }
    ck_assert_uint_eq(bl_sampler_lost(sampler), 0);
    (void)take_all(BL_REASON_REJECT_BOUNCE, &n);
    ck_assert_uint_eq(n, 2 * BL_SAMPLER_BURST_MAX);
    for (uint32_t i = 0; i < 2 * BL_SAMPLER_RING; i++)
        offer(i, BL_REASON_REJECT_SYN);
    ck_assert_uint_eq(bl_sampler_lost(sampler), 0);
    (void)take_all(BL_REASON_REJECT_SYN, &n);
    ck_assert_uint_eq(n, BL_SAMPLER_BURST_MAX);
}
END_TEST

START_TEST(zero_is_off)
{
    struct bl_sample sample;

    bl_sampler_init(sampler, 0, TICKS_PER_S, secret);
    for (int i = 0; i < 100; i++, now_ms += 1000)
        offer(1, BL_REASON_REJECT_BOUNCE);
    ck_assert_uint_eq(bl_sampler_take(sampler, &sample, 1), 0);
    ck_assert_uint_eq(bl_sampler_lost(sampler), 0);
}
END_TEST

START_TEST(budgets_are_by_what_can_be_forged)
{
    ck_assert_int_eq(bl_sampler_budget_of(BL_REASON_REJECT_BOUNCE), BL_SAMPLER_DENIED);
    ck_assert_int_eq(bl_sampler_budget_of(BL_REASON_DROP_ACTION), BL_SAMPLER_ACTION);
    ck_assert_int_eq(bl_sampler_budget_of(BL_REASON_RESET_ACTION), BL_SAMPLER_ACTION);
    ck_assert_int_eq(bl_sampler_budget_of(BL_REASON_REJECT_SYN), BL_SAMPLER_EARLY);
    ck_assert_int_eq(bl_sampler_budget_of(BL_REASON_DROP_CHECKSUM), BL_SAMPLER_EARLY);
}
END_TEST

/* Two threads, as worker and main core: every sample whole, in order, none twice, and the weights add up. */
enum { RACE_EVENTS = 20000000 };

static void *produce(void *unused)
{
    (void)unused;
    for (uint32_t i = 1; i <= RACE_EVENTS; i++) {
        offer(i, BL_REASON_REJECT_BOUNCE);
        /* As fast as the budget: nearly every event is a sample, and the ring is now empty, now full. */
        now_ms++;
    }
    return NULL;
}

START_TEST(worker_and_main_core_agree)
{
    struct bl_sample samples[64];
    uint64_t sum = 0;
    uint32_t last = 0;
    bool ended = false;
    pthread_t worker;
    size_t n;

    bl_sampler_init(sampler, 1000, TICKS_PER_S, secret);
    ck_assert_int_eq(pthread_create(&worker, NULL, produce, NULL), 0);
    for (;;) {
        n = bl_sampler_take(sampler, samples, 64);
        for (size_t i = 0; i < n; i++) {
            /* The number of the event is its source: what lies between two samples is the second one's weight. */
            ck_assert_uint_eq(samples[i].source_ip4 - last, samples[i].weight);
            ck_assert_uint_eq(samples[i].destination_ip4, 0xc0000219);
            last = samples[i].source_ip4;
            sum += samples[i].weight;
        }
        if (n == 0 && ended)
            break;
        if (n == 0)
            ended = pthread_tryjoin_np(worker, NULL) == 0;
    }
    ck_assert_uint_gt(sum, 0);
    ck_assert_uint_eq(sum + sampler->skipped[BL_REASON_REJECT_BOUNCE], RACE_EVENTS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sampler");
    TCase *tests = tcase_create("all");
    SRunner *runner;
    int n_failed;

    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_sample_says_what_happened);
    tcase_add_test(tests, the_budget_is_kept_and_the_weights_add_up);
    tcase_add_test(tests, what_is_within_the_budget_is_told_one_by_one);
    tcase_add_test(tests, a_flood_does_not_crowd_out_the_550);
    tcase_add_test(tests, what_can_be_forged_leaves_room_in_the_ring);
    tcase_add_test(tests, what_a_full_ring_loses_is_in_the_next_weight);
    tcase_add_loop_test(tests, a_busy_source_hides_nobody, 0, 2);
    tcase_add_test(tests, the_reserve_is_for_who_had_no_sample_lately);
    tcase_add_test(tests, the_reserve_takes_a_64_for_one_source);
    tcase_add_test(tests, a_flood_does_not_reach_the_reserve_of_the_550);
    tcase_add_test(tests, what_comes_at_once_fits_into_the_ring);
    tcase_add_test(tests, zero_is_off);
    tcase_add_test(tests, budgets_are_by_what_can_be_forged);
    tcase_add_test(tests, worker_and_main_core_agree);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
