/* The one UTF-8 decoder, against the ranges of RFC 3629, 4 spelled out byte by byte. */
#include "bounceline/utf8.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* The RFC's grammar: how many bytes the character takes, 0 when it is none. */
static size_t grammar(const unsigned char *b, size_t n)
{
#define IN(i, low, high) (n > (i) && b[i] >= (low) && b[i] <= (high))
    if (IN(0, 0x00, 0x7f))
        return 1;
    if (IN(0, 0xc2, 0xdf) && IN(1, 0x80, 0xbf))
        return 2;
    if (((IN(0, 0xe0, 0xe0) && IN(1, 0xa0, 0xbf)) || (IN(0, 0xe1, 0xec) && IN(1, 0x80, 0xbf)) ||
         (IN(0, 0xed, 0xed) && IN(1, 0x80, 0x9f)) || (IN(0, 0xee, 0xef) && IN(1, 0x80, 0xbf))) &&
        IN(2, 0x80, 0xbf))
        return 3;
    if (((IN(0, 0xf0, 0xf0) && IN(1, 0x90, 0xbf)) || (IN(0, 0xf1, 0xf3) && IN(1, 0x80, 0xbf)) ||
         (IN(0, 0xf4, 0xf4) && IN(1, 0x80, 0x8f))) &&
        IN(2, 0x80, 0xbf) && IN(3, 0x80, 0xbf))
        return 4;
    return 0;
#undef IN
}

START_TEST(agrees_with_the_grammar)
{
    /* The bytes at which the grammar's ranges begin and end, and their neighbours. */
    static const unsigned char edges[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf,
                                          0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};
    const size_t n = sizeof(edges);
    size_t n_good = 0;

    for (size_t i = 0; i < n * n * n * n; i++) {
        const unsigned char bytes[4] = {edges[i % n], edges[i / n % n], edges[i / n / n % n], edges[i / n / n / n]};

        for (size_t length = 0; length <= 4; length++) {
            uint32_t code = 0xffffffff;
            size_t got = bl_utf8_decode((const char *)bytes, length, &code);

            /* Check writes each of its asserts down: four million of them would be most of the test's time. */
            if (got != (length == 0 ? 0 : grammar(bytes, length)) || (got == 0) != (code == 0xffffffff))
                ck_abort_msg("%02x %02x %02x %02x, the first %zu: %zu bytes, code %x", bytes[0], bytes[1], bytes[2],
                             bytes[3], length, got, code);
            n_good += got != 0;
        }
    }
    ck_assert_uint_gt(n_good, 100000);
}
END_TEST

START_TEST(gives_the_character)
{
    uint32_t code;

    ck_assert_uint_eq(bl_utf8_decode_string("A", &code), 1);
    ck_assert_uint_eq(code, 'A');
    ck_assert_uint_eq(bl_utf8_decode_string("\xc3\xbc.", &code), 2);
    ck_assert_uint_eq(code, 0xfc);
    ck_assert_uint_eq(bl_utf8_decode_string("\xe2\x82\xac", &code), 3);
    ck_assert_uint_eq(code, 0x20ac);
    ck_assert_uint_eq(bl_utf8_decode_string("\xf4\x8f\xbf\xbf", &code), 4);
    ck_assert_uint_eq(code, 0x10ffff);
}
END_TEST

/* A cut character at the end of its memory: a sanitizer would see a read behind it. */
START_TEST(a_string_is_not_read_behind_its_end)
{
    uint32_t code;
    char *cut = malloc(3);

    ck_assert_ptr_nonnull(cut);
    memcpy(cut, "\xe2\x82", 3);
    ck_assert_uint_eq(bl_utf8_decode_string(cut, &code), 0);
    cut[0] = '\0';
    ck_assert_uint_eq(bl_utf8_decode_string(cut, &code), 0);
    free(cut);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("utf8");
    TCase *tests = tcase_create("utf8");
    SRunner *runner;
    int n_failed;

    tcase_add_test(tests, agrees_with_the_grammar);
    tcase_add_test(tests, gives_the_character);
    tcase_add_test(tests, a_string_is_not_read_behind_its_end);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
