/* What hosters paste: addresses, prefixes, tickets, links; and what is refused by its name. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/portal/range.h"

static const struct {
    const char *text;
    enum bl_range_mistake mistake;
    size_t n;
    const char *says; /* well: "ADDRESS TICKET" of the last entry; a mistake: the word */
} pasted[] = {
    {"192.0.2.7", BL_RANGE_NONE, 1, "192.0.2.7 "},
    {" [192.0.2.7],192.0.2.9;192.0.2.8 ", BL_RANGE_NONE, 3, "192.0.2.8 "},
    {"192.0.2.7 abcdefghijkl 192.0.2.8 ABCDEFGHIJK7", BL_RANGE_NONE, 2, "192.0.2.8 ABCDEFGHIJK7"},
    {"192.0.2.7 192.0.2.7 abcdefghijkl", BL_RANGE_NONE, 1, "192.0.2.7 abcdefghijkl"},
    {"https://delist.example.net/?ip=192.0.2.7&t=abcdefghijkl", BL_RANGE_NONE, 1, "192.0.2.7 abcdefghijkl"},
    {"https://delist.example.net/?t=abcdefghijkl&ip=2001:db8::7#x", BL_RANGE_NONE, 1, "2001:db8::7 abcdefghijkl"},
    {"https://delist.example.net/?ip=192.0.2.7&t=abc", BL_RANGE_NONE, 1, "192.0.2.7 "},
    {"192.0.2.0/24", BL_RANGE_NONE, 256, "192.0.2.255 "},
    {"192.0.2.0/24 192.0.2.128/25 192.0.2.9", BL_RANGE_NONE, 256, "192.0.2.255 "},
    {"192.0.2.8/30", BL_RANGE_NONE, 4, "192.0.2.11 "},
    {"2001:db8:0:100::/56", BL_RANGE_NONE, 256, "2001:db8:0:1ff:: "},
    {"2001:db8:0:1::1 2001:db8:0:1::2 2001:db8:0:2::1", BL_RANGE_NONE, 2, "2001:db8:0:2::1 "},
    {"::ffff:192.0.2.7 192.0.2.7", BL_RANGE_NONE, 1, "192.0.2.7 "},
    {"", BL_RANGE_EMPTY, 0, ""},
    {" ,; ", BL_RANGE_EMPTY, 0, ""},
    {"192.0.2.7 192.0.3.7", BL_RANGE_APART, 0, "192.0.3.7"},
    {"192.0.2.7 2001:db8::1", BL_RANGE_APART, 0, "2001:db8::1"},
    {"2001:db8:0:1::1 2001:db8:0:100::1", BL_RANGE_APART, 0, "2001:db8:0:100::1"},
    {"192.0.2.0/23", BL_RANGE_APART, 0, "192.0.2.0/23"},
    {"2001:db8::/48", BL_RANGE_APART, 0, "2001:db8::/48"},
    {"127.0.0.1", BL_RANGE_RESERVED, 0, "127.0.0.1"},
    {"192.0.2.7 hello", BL_RANGE_WORD, 0, "hello"},
    {"abcdefghijkl", BL_RANGE_WORD, 0, "abcdefghijkl"}, /* of no address */
    {"192.0.2.7 abcdefghijkl abcdefghijkl", BL_RANGE_WORD, 0, "abcdefghijkl"},
    {"192.0.2.0/31 abcdefghijkl", BL_RANGE_WORD, 0, "abcdefghijkl"},
    {"192.0.2.1/24", BL_RANGE_WORD, 0, "192.0.2.1/24"},
    {"2001:db8::1/128", BL_RANGE_WORD, 0, "2001:db8::1/128"}, /* less than a delist means */
    {"https://delist.example.net/", BL_RANGE_WORD, 0, "https://delist.example.net/"},
    {"https://delist.example.net/?xip=192.0.2.7", BL_RANGE_WORD, 0, "https://delist.example.net/?xip=192.0.2.7"},
    {"[", BL_RANGE_WORD, 0, "["},
    {"[]", BL_RANGE_WORD, 0, "[]"},
};

START_TEST(what_is_pasted)
{
    static struct bl_range range;
    char text[BL_ADDRESS_TEXT_MAX];
    char says[BL_ADDRESS_TEXT_MAX + BL_TICKET_TEXT_MAX];

    ck_assert_int_eq(bl_range_read(pasted[_i].text, 64, &range), pasted[_i].mistake);
    if (pasted[_i].mistake != BL_RANGE_NONE) {
        ck_assert_str_eq(range.word, pasted[_i].says);
        return;
    }
    ck_assert_uint_eq(range.n, pasted[_i].n);
    (void)snprintf(says, sizeof(says), "%s %s", bl_address_format(&range.entries[range.n - 1].address, text),
                   range.entries[range.n - 1].ticket);
    ck_assert_str_eq(says, pasted[_i].says);
}
END_TEST

/* Of all lengths that a unit may have: 256 of them, no two the same, all inside. */
START_TEST(a_network_is_256_units)
{
    static struct bl_range range;
    uint8_t unit = (uint8_t)_i;
    char text[BL_ADDRESS_TEXT_MAX];
    struct bl_prefix network = {{0x20, 0x01, 0x0d, 0xb8}, (uint8_t)(unit - 8), BL_FAMILY_IPV6};

    bl_address_format_prefix(&network, text);
    ck_assert_int_eq(bl_range_read(text, unit, &range), BL_RANGE_NONE);
    ck_assert_uint_eq(range.n, 256);
    ck_assert_int_eq(bl_address_prefix_compare(&range.network, &network), 0);
    for (size_t i = 0; i < range.n; i++) {
        struct bl_prefix one = bl_ticket_unit(&range.entries[i].address, unit);

        ck_assert(bl_address_prefix_covers(&network, &one));
    }
}
END_TEST

START_TEST(a_long_word_is_cut)
{
    static struct bl_range range;
    char text[2000];

    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    ck_assert_int_eq(bl_range_read(text, 64, &range), BL_RANGE_WORD);
    ck_assert_uint_eq(strlen(range.word), BL_RANGE_WORD_MAX - 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("portal");
    TCase *tests = tcase_create("range");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(tests, what_is_pasted, 0, (int)(sizeof(pasted) / sizeof(pasted[0])));
    tcase_add_loop_test(tests, a_network_is_256_units, 48, 129);
    tcase_add_test(tests, a_long_word_is_cut);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
