/* The sketch against an exact count: its promise holds for every stream, the malicious one too. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "bounceline/error.h"
#include "controlplane/sketch.h"
#include "dataplane/sampler.h"

enum { K = 64, KEYS = 4096, STREAM = 200000 };

static const struct bl_siphash_key secret = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

static struct bl_sketch *sketch;
static uint64_t exact[KEYS];
static uint64_t total;
static uint64_t seed;

static void set_up(void)
{
    ck_assert_int_eq(bl_sketch_create(&sketch, K, sizeof(uint32_t), secret), BL_OK);
    memset(exact, 0, sizeof(exact));
    total = 0;
    seed = 88172645463325252;
}

static void tear_down(void)
{
    bl_sketch_free(sketch);
}

static uint64_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static void add(uint32_t key, uint64_t weight)
{
    bl_sketch_add(sketch, &key, weight, weight, (int64_t)total);
    exact[key] += weight;
    total += weight;
}

/* What sketch.h promises, for every key there is. */
static void check_promise(void)
{
    struct bl_sketch_item item;

    ck_assert_uint_eq(bl_sketch_total(sketch), total);
    for (uint32_t key = 0; key < KEYS; key++) {
        if (bl_sketch_find(sketch, &key, &item) != BL_OK) {
            ck_assert_msg(exact[key] <= total / K, "key %u has %lu of %lu and is not in", key,
                          (unsigned long)exact[key], (unsigned long)total);
            continue;
        }
        ck_assert_uint_le(exact[key], item.count);
        ck_assert_uint_le(item.count, exact[key] + item.error);
        ck_assert_uint_le(item.error, total / K);
    }
}

START_TEST(few_keys_are_counted_exactly)
{
    for (int i = 0; i < STREAM; i++)
        add((uint32_t)(draw() % K), 1 + draw() % 5);
    for (uint32_t key = 0; key < K; key++) {
        struct bl_sketch_item item;

        ck_assert_int_eq(bl_sketch_find(sketch, &key, &item), BL_OK);
        ck_assert_uint_eq(item.count, exact[key]);
        ck_assert_uint_eq(item.error, 0);
    }
    check_promise();
}
END_TEST

START_TEST(uniform)
{
    for (int i = 0; i < STREAM; i++) {
        add((uint32_t)(draw() % KEYS), 1);
        if (i % 20000 == 0)
            check_promise();
    }
    check_promise();
}
END_TEST

/* About 1/rank, with weights. */
START_TEST(skewed)
{
    for (int i = 0; i < STREAM; i++) {
        uint64_t key = draw() % KEYS;

        add((uint32_t)(draw() % (key + 1)), 1 + draw() % 100);
        if (i % 20000 == 0)
            check_promise();
    }
    check_promise();
}
END_TEST

/* The worst that a sender can do: always a key that was just thrown out, so that every event is an exchange, with the
 * heavy ones first in dribs and drabs between, then never again. */
START_TEST(adversarial)
{
    for (int i = 0; i < STREAM; i++) {
        struct bl_sketch_item item;
        uint32_t key = (uint32_t)(draw() % KEYS);

        for (int tries = 0; tries < 50 && bl_sketch_find(sketch, &key, &item) == BL_OK; tries++)
            key = (key + 1) % KEYS;
        add(key, 1);
        if (i % 32 == 0 && i < STREAM / 2)
            add((uint32_t)(i / 32 % 3), 2);
        if (i % 20000 == 0)
            check_promise();
    }
    check_promise();
}
END_TEST

/* One with a third of everything comes out on top, in whatever noise, and with hardly an error. */
START_TEST(the_heavy_one_is_on_top)
{
    struct bl_sketch_item items[3];
    uint32_t heavy = 4000;

    for (int i = 0; i < STREAM; i++)
        add(i % 3 == 0 ? heavy : (uint32_t)(draw() % 4000), 1);
    ck_assert_uint_eq(bl_sketch_top(sketch, items, 3), 3);
    ck_assert_mem_eq(items[0].key, &heavy, sizeof(heavy));
    ck_assert_uint_ge(items[0].count - items[0].error, exact[heavy] - total / K);
    ck_assert_uint_ge(items[1].count, items[2].count);
    check_promise();
}
END_TEST

START_TEST(top_is_sorted_and_bounded)
{
    struct bl_sketch_item items[K + 10];
    size_t n;

    ck_assert_uint_eq(bl_sketch_top(sketch, items, 10), 0);
    add(7, 30);
    add(8, 20);
    add(9, 20);
    n = bl_sketch_top(sketch, items, 10);
    ck_assert_uint_eq(n, 3);
    ck_assert_uint_eq(items[0].key[0], 7);
    ck_assert_uint_eq(items[1].key[0], 8);
    ck_assert_uint_eq(items[2].key[0], 9);
    ck_assert_int_eq(items[1].last_ms, 30);
    for (int i = 0; i < STREAM; i++)
        add((uint32_t)(draw() % KEYS), 1);
    n = bl_sketch_top(sketch, items, K + 10);
    ck_assert_uint_eq(n, K);
    for (size_t i = 1; i < n; i++)
        ck_assert_uint_ge(items[i - 1].count, items[i].count);
}
END_TEST

/* A worker's sampler before it: a sample carries the weight of what others sent. Whoever has the most by weight, it is
 * never said to have more for sure than it has. */
START_TEST(nobody_is_blamed_for_what_its_sample_stands_for)
{
    enum { EVENTS = 3000000, EVENTS_PER_S = 1000000, HEAVY = 7 };
    static struct bl_sampler sampler;
    static uint32_t n_heavy;
    struct bl_packet packet = {.status = BL_PARSE_FRAGMENT, .family = BL_FAMILY_IPV4};
    const struct bl_sample event = {.reason = BL_REASON_DROP_ACTION, .class_id = 1};
    struct bl_sample samples[256];
    struct bl_sketch_item items[K];
    uint64_t n_told = 0;

    bl_sampler_init(&sampler, 100, EVENTS_PER_S, secret);
    for (uint32_t i = 0; i < EVENTS; i++) {
        packet.source_ip4 = draw() % 4 == 0 ? HEAVY : 1000 + i;
        n_heavy += packet.source_ip4 == HEAVY;
        bl_sampler_offer(&sampler, &packet, &event, EVENTS_PER_S + i);
        for (size_t n = bl_sampler_take(&sampler, samples, 256); n > 0; n--, n_told++)
            bl_sketch_add(sketch, &samples[n - 1].source_ip4, samples[n - 1].weight, 1, 0);
    }
    ck_assert_uint_gt(bl_sketch_total(sketch), EVENTS - EVENTS / 100);
    ck_assert_uint_lt(n_told, EVENTS / 1000);
    ck_assert_uint_eq(bl_sketch_top(sketch, items, K), K);
    for (size_t i = 0; i < K; i++) {
        uint32_t source;

        memcpy(&source, items[i].key, sizeof(source));
        ck_assert_uint_le(items[i].count - items[i].error, source == HEAVY ? n_heavy : 1);
    }
}
END_TEST

/* Samples of several workers come as each is asked: the latest counts, and of its own events only. */
START_TEST(the_last_does_not_go_back)
{
    struct bl_sketch_item item;

    for (uint32_t key = 0; key < K; key++) {
        bl_sketch_add(sketch, &key, 1 + key, 1 + key, 2000);
        bl_sketch_add(sketch, &key, 1, 1, 1000);
        ck_assert_int_eq(bl_sketch_find(sketch, &key, &item), BL_OK);
        ck_assert_int_eq(item.last_ms, 2000);
    }
    /* Takes the least one's place, not its time. */
    bl_sketch_add(sketch, &(uint32_t){K}, 1, 1, 500);
    ck_assert_int_eq(bl_sketch_find(sketch, &(uint32_t){K}, &item), BL_OK);
    ck_assert_int_eq(item.last_ms, 500);
}
END_TEST

/* Who sends a weight of 2^63 does not turn a count round. */
START_TEST(sums_do_not_overflow)
{
    uint32_t key = 1;
    struct bl_sketch_item item;

    bl_sketch_add(sketch, &key, UINT64_MAX - 1, 1, 0);
    bl_sketch_add(sketch, &key, 5, 1, 0);
    ck_assert_int_eq(bl_sketch_find(sketch, &key, &item), BL_OK);
    ck_assert_uint_eq(item.count, UINT64_MAX);
    ck_assert_uint_eq(bl_sketch_total(sketch), UINT64_MAX);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sketch");
    TCase *tests = tcase_create("all");
    SRunner *runner;
    int n_failed;

    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, few_keys_are_counted_exactly);
    tcase_add_test(tests, uniform);
    tcase_add_test(tests, skewed);
    tcase_add_test(tests, adversarial);
    tcase_add_test(tests, the_heavy_one_is_on_top);
    tcase_add_test(tests, top_is_sorted_and_bounded);
    tcase_add_test(tests, nobody_is_blamed_for_what_its_sample_stands_for);
    tcase_add_test(tests, the_last_does_not_go_back);
    tcase_add_test(tests, sums_do_not_overflow);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
