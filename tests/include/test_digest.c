/* The digest of an effective set: what makes it equal, what makes it differ, and its value by an implementation of
 * SipHash that is not ours. */
#include <check.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "bounceline/digest.h"

enum { N_ENTRIES = 500, EPOCH = 12 };

struct entry {
    struct bl_prefix prefix;
    uint8_t class_id;
};

static void fill(struct entry entries[N_ENTRIES])
{
    for (unsigned i = 0; i < N_ENTRIES; i++) {
        struct bl_prefix *prefix = &entries[i].prefix;

        memset(prefix, 0, sizeof(*prefix));
        prefix->family = i % 2 == 0 ? BL_FAMILY_IPV4 : BL_FAMILY_IPV6;
        prefix->length = bl_address_bits(prefix->family);
        prefix->bytes[0] = (uint8_t)(i >> 8);
        prefix->bytes[1] = (uint8_t)i;
        entries[i].class_id = (uint8_t)(1 + i % 63);
    }
}

static bool is_empty(const struct bl_digest *digest)
{
    static const struct bl_digest empty = {0, 0};

    return bl_digest_equal(digest, &empty);
}

START_TEST(the_order_does_not_matter)
{
    struct entry entries[N_ENTRIES];
    struct bl_digest forward = {0, 0};
    struct bl_digest backward = {0, 0};
    struct bl_digest strided = {0, 0};

    fill(entries);
    for (unsigned i = 0; i < N_ENTRIES; i++) {
        const struct entry *last = &entries[N_ENTRIES - 1 - i];
        const struct entry *other = &entries[i * 7 % N_ENTRIES]; /* 7 and 500 have no common divisor: each once */

        bl_digest_add(&forward, EPOCH, &entries[i].prefix, entries[i].class_id);
        bl_digest_add(&backward, EPOCH, &last->prefix, last->class_id);
        bl_digest_add(&strided, EPOCH, &other->prefix, other->class_id);
    }
    ck_assert(!is_empty(&forward));
    ck_assert(bl_digest_equal(&forward, &backward));
    ck_assert(bl_digest_equal(&forward, &strided));
}
END_TEST

/* Eight at a time, in lanes, with a rest of every size: the sum is the one of single additions. */
START_TEST(a_batch_adds_what_single_additions_do)
{
    struct entry entries[N_ENTRIES];

    fill(entries);
    for (unsigned n = 0; n <= 4 * BL_DIGEST_BATCH; n++) {
        struct bl_digest_batch batch = {.n = 0};
        struct bl_digest one = {0, 0};
        struct bl_digest many = {0, 0};

        for (unsigned i = 0; i < n; i++) {
            bl_digest_add(&one, EPOCH, &entries[i].prefix, entries[i].class_id);
            bl_digest_batch_add(&batch, &many, EPOCH, &entries[i].prefix, entries[i].class_id);
        }
        bl_digest_batch_end(&batch, &many, EPOCH);
        ck_assert_uint_eq(batch.n, 0);
        ck_assert(bl_digest_equal(&one, &many));
    }
}
END_TEST

START_TEST(removing_undoes_adding)
{
    struct entry entries[N_ENTRIES];
    struct bl_digest without = {0, 0};
    struct bl_digest digest = {0, 0};

    fill(entries);
    for (unsigned i = 0; i < N_ENTRIES; i++)
        bl_digest_add(&digest, EPOCH, &entries[i].prefix, entries[i].class_id);
    for (unsigned i = 0; i < N_ENTRIES; i += 2)
        bl_digest_remove(&digest, EPOCH, &entries[i].prefix, entries[i].class_id);
    for (unsigned i = 1; i < N_ENTRIES; i += 2)
        bl_digest_add(&without, EPOCH, &entries[i].prefix, entries[i].class_id);
    ck_assert(bl_digest_equal(&digest, &without));
    for (unsigned i = 1; i < N_ENTRIES; i += 2)
        bl_digest_remove(&digest, EPOCH, &entries[i].prefix, entries[i].class_id);
    ck_assert(is_empty(&digest));
}
END_TEST

static struct bl_digest digest_of(uint64_t epoch, const char *text, uint8_t class_id)
{
    struct bl_digest digest = {0, 0};
    struct bl_prefix prefix;

    ck_assert_int_eq(bl_address_parse_prefix(text, 128, &prefix, NULL), BL_OK);
    bl_digest_add(&digest, epoch, &prefix, class_id);
    return digest;
}

START_TEST(everything_that_matters_makes_a_difference)
{
    const struct bl_digest digests[] = {
        digest_of(1, "0.0.0.0/0", 1),
        digest_of(2, "0.0.0.0/0", 1),
        digest_of(1, "0.0.0.0/0", 2),
        digest_of(1, "::/0", 1),
        digest_of(1, "0.0.0.0/32", 1),
        digest_of(1, "::/32", 1),
        digest_of(1, "10.0.0.0/8", 1),
        digest_of(1, "a00::/8", 1),
        digest_of(1, "::1/128", 1),
        digest_of(1, "0.0.0.1/32", 1),
        digest_of(1 + (UINT64_C(1) << 32), "0.0.0.0/0", 1),
    };
    const size_t n = sizeof(digests) / sizeof(digests[0]);

    for (size_t i = 0; i < n; i++) {
        ck_assert_uint_ne(digests[i].hi, digests[i].lo);
        for (size_t other = i + 1; other < n; other++) {
            /* Each lane alone tells them apart: neither is a copy of the other's failure. */
            ck_assert_uint_ne(digests[i].hi, digests[other].hi);
            ck_assert_uint_ne(digests[i].lo, digests[other].lo);
        }
    }
}
END_TEST

/* Two entries that swap their classes are another set, although the same prefixes and classes occur. */
START_TEST(swapped_classes_differ)
{
    struct bl_digest a = digest_of(1, "10.0.0.1/32", 1);
    struct bl_digest b = digest_of(1, "10.0.0.1/32", 2);
    struct bl_prefix prefix;

    ck_assert_int_eq(bl_address_parse_prefix("10.0.0.2/32", 128, &prefix, NULL), BL_OK);
    bl_digest_add(&a, 1, &prefix, 2);
    bl_digest_add(&b, 1, &prefix, 1);
    ck_assert(!bl_digest_equal(&a, &b));
}
END_TEST

START_TEST(equal_needs_both_lanes)
{
    const struct bl_digest a = {1, 2};
    const struct bl_digest b = {1, 3};
    const struct bl_digest c = {0, 2};

    ck_assert(bl_digest_equal(&a, &a));
    ck_assert(!bl_digest_equal(&a, &b));
    ck_assert(!bl_digest_equal(&a, &c));
}
END_TEST

static uint64_t sodium_lane(uint64_t epoch, uint64_t lane, const uint8_t *entry, size_t length)
{
    uint8_t key[crypto_shorthash_siphash24_KEYBYTES];
    uint8_t hash[crypto_shorthash_siphash24_BYTES];
    uint64_t value;

    memcpy(key, &epoch, 8);
    memcpy(key + 8, &lane, 8);
    ck_assert_int_eq(crypto_shorthash_siphash24(hash, entry, length, key), 0);
    memcpy(&value, hash, sizeof(value));
    return value;
}

/* The value itself is a contract between the planes, and between versions: it must not change unseen. */
START_TEST(the_value_is_two_siphashes_of_the_entry)
{
    static const uint8_t entry[19] = {192, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 24, BL_FAMILY_IPV4, 5};
    struct bl_digest digest = digest_of(EPOCH, "192.0.2.0/24", 5);

    ck_assert_uint_eq(digest.hi, sodium_lane(EPOCH, 0x626f756e63656869ULL, entry, sizeof(entry)));
    ck_assert_uint_eq(digest.lo, sodium_lane(EPOCH, 0x626f756e63656c6fULL, entry, sizeof(entry)));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("digest");
    TCase *cases = tcase_create("digest");
    SRunner *runner;
    int n_failed;

    tcase_add_test(cases, the_order_does_not_matter);
    tcase_add_test(cases, a_batch_adds_what_single_additions_do);
    tcase_add_test(cases, removing_undoes_adding);
    tcase_add_test(cases, everything_that_matters_makes_a_difference);
    tcase_add_test(cases, swapped_classes_differ);
    tcase_add_test(cases, equal_needs_both_lanes);
    tcase_add_test(cases, the_value_is_two_siphashes_of_the_entry);
    suite_add_tcase(suite, cases);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
