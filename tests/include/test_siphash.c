/* SipHash-2-4 against libsodium's, and against the first and last vector of its authors. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "bounceline/siphash.h"

static uint64_t reference(const uint8_t key[16], const uint8_t *data, size_t length)
{
    uint8_t out[crypto_shorthash_siphash24_BYTES];
    uint64_t value;

    ck_assert_int_eq(crypto_shorthash_siphash24(out, data, length, key), 0);
    memcpy(&value, out, sizeof(value)); /* libsodium writes little-endian */
    return value;
}

static uint64_t ours(const uint8_t key[16], const uint8_t *data, size_t length)
{
    struct bl_siphash_key k;

    memcpy(&k.k0, key, 8);
    memcpy(&k.k1, key + 8, 8);
    return bl_siphash(&k, data, length);
}

START_TEST(the_authors_vectors)
{
    uint8_t key[16];
    uint8_t data[64];

    for (uint8_t i = 0; i < 64; i++)
        data[i] = i;
    memcpy(key, data, sizeof(key));
    ck_assert(ours(key, data, 0) == 0x726fdb47dd0e0e31ULL);
    ck_assert(ours(key, data, 15) == 0xa129ca6149be45e5ULL);
    ck_assert(ours(key, data, 63) == 0x958a324ceb064572ULL);
}
END_TEST

/* Every length up to 300, at every alignment, under random keys. */
START_TEST(equal_to_libsodium)
{
    uint8_t key[16];
    uint8_t data[320];

    ck_assert_int_ge(sodium_init(), 0);
    for (int round = 0; round < 20; round++) {
        randombytes_buf(key, sizeof(key));
        randombytes_buf(data, sizeof(data));
        for (size_t length = 0; length <= 300; length++) {
            const uint8_t *at = data + length % 17;

            ck_assert(ours(key, at, length) == reference(key, at, length));
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("siphash");
    TCase *tests = tcase_create("siphash");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_test(tests, the_authors_vectors);
    tcase_add_test(tests, equal_to_libsodium);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
