/* cookie.c: which acknowledgement numbers prove a handshake. */
#include <check.h>
#include <stdlib.h>

#include "dataplane/cookie.h"

enum { EPOCH = 1757812 };

static const struct bl_siphash_key key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

static struct bl_packet packet_of(int i)
{
    struct bl_packet packet = {.family = BL_FAMILY_IPV4, .source_port = 40007, .destination_port = 25};

    if (i == 0) {
        packet.source_ip4 = 0xc0000207;
        packet.destination_ip4 = 0xc6336419;
    } else {
        packet.family = BL_FAMILY_IPV6;
        packet.source_ip6 = (struct bl_ip6){0x20010db800000000, 7};
        packet.destination_ip6 = (struct bl_ip6){0x20010db800010000, 0x25};
    }
    return packet;
}

/* The layout of what is hashed may not change by accident: a standby pair would reset each other's dialogues. The
 * values were computed with libsodium's crypto_shorthash. */
START_TEST(layout_is_pinned)
{
    static const uint32_t expected[] = {0xd21143ed, 0xdf4ff841};
    struct bl_packet packet = packet_of(_i);

    ck_assert_uint_eq(bl_cookie_isn(&key, &packet, EPOCH), expected[_i]);
}
END_TEST

/* The next one too in the last seconds of an epoch: the other one of a pair may be there already. */
START_TEST(current_and_previous_epoch_only)
{
    static const struct {
        uint64_t second;
        bool next;
    } rows[] = {{0, false}, {500, false}, {991, false}, {992, true}, {1023, true}};
    struct bl_packet packet = packet_of(_i);

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (int age = -2; age <= 4; age++) {
            struct bl_cookie_proof proof = {0, 0xffffffff};
            bool valid;

            packet.acknowledgement = bl_cookie_isn(&key, &packet, EPOCH - (uint64_t)age) + 1 + 123;
            valid = bl_cookie_verify(&key, &packet, EPOCH * 1024 + rows[i].second, &proof);
            ck_assert_int_eq(valid, age == 0 || age == 1 || (age == -1 && rows[i].next));
            if (!valid)
                continue;
            ck_assert_uint_eq(proof.offset, 123);
            ck_assert_uint_eq(proof.hash, bl_cookie_hash(&key, &packet, EPOCH - (uint64_t)age));
        }
    }
}
END_TEST

START_TEST(offsets_below_65536_only)
{
    static const struct {
        uint32_t offset;
        bool valid;
    } rows[] = {{0, true},      {1, true},           {60001, true},       {65535, true},      {65536, false},
                {65537, false}, {0x7fffffff, false}, {0xffffffff, false}, {0xffff0000, false}};
    struct bl_packet packet = packet_of(_i);

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bl_cookie_proof proof;

        packet.acknowledgement = bl_cookie_isn(&key, &packet, EPOCH) + 1 + rows[i].offset;
        ck_assert_int_eq(bl_cookie_verify(&key, &packet, EPOCH * BL_COOKIE_EPOCH_S, &proof), rows[i].valid);
        if (rows[i].valid)
            ck_assert_uint_eq(proof.offset, rows[i].offset);
    }
}
END_TEST

START_TEST(numbers_wrap_around)
{
    struct bl_packet packet = packet_of(_i);
    uint64_t epoch = EPOCH;
    struct bl_cookie_proof proof;

    /* An epoch whose first number lies less than 65536 below the wrap; about one in 65536 does. */
    while (bl_cookie_isn(&key, &packet, epoch) < 0xffff0000)
        epoch++;
    packet.acknowledgement = bl_cookie_isn(&key, &packet, epoch) + 1 + 65535;
    ck_assert_uint_lt(packet.acknowledgement, 65536);
    ck_assert(bl_cookie_verify(&key, &packet, epoch * BL_COOKIE_EPOCH_S, &proof));
    ck_assert_uint_eq(proof.offset, 65535);
}
END_TEST

START_TEST(everything_of_the_connection_counts)
{
    struct bl_packet packet = packet_of(_i);
    uint32_t isn = bl_cookie_isn(&key, &packet, EPOCH);
    struct bl_siphash_key other_key = {key.k0 ^ 1, key.k1};
    struct bl_packet other[6];

    for (unsigned i = 0; i < 6; i++)
        other[i] = packet;
    other[0].source_port ^= 1;
    other[1].destination_port ^= 1;
    if (packet.family == BL_FAMILY_IPV4) {
        other[2].source_ip4 ^= 1;
        other[3].destination_ip4 ^= 0x80000000;
        other[4].source_ip4 = packet.destination_ip4;
        other[4].destination_ip4 = packet.source_ip4;
        other[5].source_ip4 ^= 0x01000000;
    } else {
        other[2].source_ip6.lo ^= 1;
        other[3].source_ip6.hi ^= UINT64_C(1) << 63;
        other[4].destination_ip6.lo ^= 1;
        other[5].destination_ip6.hi ^= 1;
    }
    for (unsigned i = 0; i < 6; i++)
        ck_assert_uint_ne(bl_cookie_isn(&key, &other[i], EPOCH), isn);
    ck_assert_uint_ne(bl_cookie_isn(&other_key, &packet, EPOCH), isn);
    other_key = (struct bl_siphash_key){key.k0, key.k1 ^ 1};
    ck_assert_uint_ne(bl_cookie_isn(&other_key, &packet, EPOCH), isn);
}
END_TEST

/* Later segments do not show the client's first number: it must not count, nor may anything else of the segment. */
START_TEST(nothing_else_of_the_segment_counts)
{
    struct bl_packet packet = packet_of(_i);
    struct bl_packet other = packet;

    other.sequence = 0x12345678;
    other.acknowledgement = 0x9abcdef0;
    other.window = 1;
    other.tcp_flags = BL_TCP_ACK;
    other.l3_offset = 18;
    other.payload_bytes = 99;
    ck_assert_uint_eq(bl_cookie_isn(&key, &other, EPOCH), bl_cookie_isn(&key, &packet, EPOCH));
}
END_TEST

/* 2 * 65536 / 2^32 of all guesses: of 8 M about 256, and 6 sigma is 96. */
START_TEST(blind_guesses_seldom_succeed)
{
    struct bl_packet packet = packet_of(_i);
    uint64_t random = 42;
    unsigned n_valid = 0;

    for (unsigned n = 0; n < 8u << 20; n++) {
        struct bl_cookie_proof proof;

        random = random * 6364136223846793005 + 1442695040888963407;
        packet.acknowledgement = (uint32_t)(random >> 32);
        packet.source_port = (uint16_t)(random >> 13);
        n_valid += bl_cookie_verify(&key, &packet, EPOCH * BL_COOKIE_EPOCH_S, &proof) ? 1 : 0;
    }
    ck_assert_uint_gt(n_valid, 160);
    ck_assert_uint_lt(n_valid, 352);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cookie");
    TCase *both = tcase_create("both families");
    SRunner *runner;
    int n_failed;

    tcase_add_loop_test(both, layout_is_pinned, 0, 2);
    tcase_add_loop_test(both, current_and_previous_epoch_only, 0, 2);
    tcase_add_loop_test(both, offsets_below_65536_only, 0, 2);
    tcase_add_loop_test(both, numbers_wrap_around, 0, 2);
    tcase_add_loop_test(both, everything_of_the_connection_counts, 0, 2);
    tcase_add_loop_test(both, nothing_else_of_the_segment_counts, 0, 2);
    tcase_add_loop_test(both, blind_guesses_seldom_succeed, 0, 2);
    suite_add_tcase(suite, both);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
