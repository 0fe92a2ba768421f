/* Addresses and prefixes: text in and out, refusals, and the order and cover that the list is built on. */
#include <arpa/inet.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "bounceline/address.h"

static struct bl_error_detail detail;

static const struct {
    const char *text;
    const char *out;
    int family;
} addresses[] = {
    {"192.0.2.1", "192.0.2.1", BL_FAMILY_IPV4},
    {"0.0.0.0", "0.0.0.0", BL_FAMILY_IPV4},
    {"255.255.255.255", "255.255.255.255", BL_FAMILY_IPV4},
    {"::", "::", BL_FAMILY_IPV6},
    {"::1", "::1", BL_FAMILY_IPV6},
    {"2001:DB8:0:0:0:0:0:1", "2001:db8::1", BL_FAMILY_IPV6},
    {"2001:db8:0:1:0:0:0:1", "2001:db8:0:1::1", BL_FAMILY_IPV6}, /* RFC 5952, 4.2.3: the longest run */
    {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", BL_FAMILY_IPV6},
    {"::ffff:192.0.2.1", "192.0.2.1", BL_FAMILY_IPV4},
    {"::FFFF:C000:0201", "192.0.2.1", BL_FAMILY_IPV4},
    {"64:ff9b::192.0.2.1", "64:ff9b::c000:201", BL_FAMILY_IPV6},
};

/* Every pattern of zero words, and words and octets of every length: as the C library writes it. */
START_TEST(text_as_the_c_library_writes_it)
{
    static const uint16_t words[] = {0, 1, 0xf, 0x10, 0xab, 0x100, 0xabc, 0x1000, 0xffff};
    char ours[BL_ADDRESS_TEXT_MAX];
    char theirs[INET6_ADDRSTRLEN];

    for (unsigned pattern = 0; pattern < 256; pattern++)
        for (unsigned turn = 0; turn < 9; turn++) {
            struct bl_address address = {.family = BL_FAMILY_IPV6};

            for (unsigned i = 0; i < 8; i++) {
                uint16_t word = (pattern >> i & 1) != 0 ? words[(i + turn) % 9] : 0;

                address.bytes[2 * i] = (uint8_t)(word >> 8);
                address.bytes[2 * i + 1] = (uint8_t)word;
            }
            ck_assert_ptr_nonnull(inet_ntop(AF_INET6, address.bytes, theirs, sizeof(theirs)));
            ck_assert_str_eq(bl_address_format(&address, ours), theirs);
        }
    for (unsigned octet = 0; octet < 256; octet++) {
        struct bl_address address = {.family = BL_FAMILY_IPV4, .bytes = {(uint8_t)octet, (uint8_t)~octet, 9, 255}};

        ck_assert_ptr_nonnull(inet_ntop(AF_INET, address.bytes, theirs, sizeof(theirs)));
        ck_assert_str_eq(bl_address_format(&address, ours), theirs);
    }
}
END_TEST

START_TEST(addresses_round_trip)
{
    struct bl_address address;
    struct bl_address again;
    char text[BL_ADDRESS_TEXT_MAX];

    memset(&address, 0xff, sizeof(address));
    ck_assert_int_eq(bl_address_parse(addresses[_i].text, &address, &detail), BL_OK);
    ck_assert_int_eq(address.family, addresses[_i].family);
    ck_assert_str_eq(bl_address_format(&address, text), addresses[_i].out);
    ck_assert_int_eq(bl_address_parse(text, &again, &detail), BL_OK);
    ck_assert_mem_eq(&again, &address, sizeof(address)); /* unused bytes are zero */
}
END_TEST

static const char *const bad_addresses[] = {
    "",
    " ",
    "192.0.2",
    "192.0.2.256",
    "192.0.2.1 ",
    " 192.0.2.1",
    "192.0.02.1",
    "192.0.2.1.1",
    "192.0.2.1/32",
    "0x7f.0.0.1",
    "2130706433",
    "1.2.3.4:25",
    ":",
    ":::",
    "2001:db8::1::",
    "2001:db8::g",
    "fe80::1%eth0",
    "[::1]",
    "12345::",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "::1.2.3",
    "example.org",
    "192.0.2.1\n",
};

START_TEST(no_address_is_no_text)
{
    const struct bl_address none = {.family = BL_FAMILY_NONE};
    char text[BL_ADDRESS_TEXT_MAX] = "not written";

    ck_assert_str_eq(bl_address_format(&none, text), "");
}
END_TEST

START_TEST(bad_addresses_are_refused)
{
    struct bl_address address;
    struct bl_address before;

    memset(&address, 0x77, sizeof(address));
    before = address;
    ck_assert_int_eq(bl_address_parse(bad_addresses[_i], &address, &detail), BL_EINVAL);
    ck_assert_mem_eq(&address, &before, sizeof(address));
    ck_assert_ptr_nonnull(strstr(detail.text, "expected"));
}
END_TEST

static const struct {
    const char *text;
    const char *out; /* NULL: refused with `error` */
    int error;
    uint8_t unit;
} prefixes[] = {
    {"192.0.2.1", "192.0.2.1/32", BL_OK, 64},
    {"192.0.2.0/24", "192.0.2.0/24", BL_OK, 64},
    {"0.0.0.0/0", "0.0.0.0/0", BL_OK, 64},
    {"128.0.0.0/1", "128.0.0.0/1", BL_OK, 64},
    {"192.0.2.254/31", "192.0.2.254/31", BL_OK, 64},
    {"2001:db8::1", "2001:db8::/64", BL_OK, 64},
    {"2001:db8:0:17::1", "2001:db8::/56", BL_OK, 56},
    {"2001:db8::1", "2001:db8::1/128", BL_OK, 128},
    {"2001:db8::1/128", "2001:db8::1/128", BL_OK, 64},
    {"2001:db8::/32", "2001:db8::/32", BL_OK, 64},
    {"::/0", "::/0", BL_OK, 64},
    {"::ffff:192.0.2.1", "192.0.2.1/32", BL_OK, 64},
    {"::ffff:192.0.2.0/120", "192.0.2.0/24", BL_OK, 64},
    {"::ffff:0.0.0.0/96", "0.0.0.0/0", BL_OK, 64},
    {"192.0.2.1/24", NULL, BL_EINVAL, 64},
    {"2001:db8::1/64", NULL, BL_EINVAL, 64},
    {"::ffff:192.0.2.1/120", NULL, BL_EINVAL, 64},
    {"::ffff:192.0.2.0/95", NULL, BL_EINVAL, 64},
    {"192.0.2.0/33", NULL, BL_ERANGE, 64},
    {"2001:db8::/129", NULL, BL_ERANGE, 64},
    {"192.0.2.0/", NULL, BL_EINVAL, 64},
    {"192.0.2.0/024", NULL, BL_EINVAL, 64},
    {"192.0.2.0/+24", NULL, BL_EINVAL, 64},
    {"192.0.2.0/-1", NULL, BL_EINVAL, 64},
    {"192.0.2.0/24/24", NULL, BL_EINVAL, 64},
    {"192.0.2.0/24 ", NULL, BL_EINVAL, 64},
    {"192.0.2.0/255.255.255.0", NULL, BL_EINVAL, 64},
    {"/24", NULL, BL_EINVAL, 64},
    {"", NULL, BL_EINVAL, 64},
    {"192.0.2.0/4294967320", NULL, BL_EINVAL, 64},
    {"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx/24", NULL, BL_EINVAL, 64},
};

START_TEST(prefixes_are_read_or_refused)
{
    struct bl_prefix prefix;
    struct bl_prefix before;
    char text[BL_ADDRESS_TEXT_MAX];

    memset(&prefix, 0x77, sizeof(prefix));
    before = prefix;
    ck_assert_int_eq(bl_address_parse_prefix(prefixes[_i].text, prefixes[_i].unit, &prefix, &detail),
                     prefixes[_i].error);
    if (prefixes[_i].out == NULL) {
        ck_assert_mem_eq(&prefix, &before, sizeof(prefix));
        return;
    }
    ck_assert(bl_address_prefix_canonical(&prefix));
    ck_assert_str_eq(bl_address_format_prefix(&prefix, text), prefixes[_i].out);
}
END_TEST

START_TEST(a_refused_host_bit_names_the_prefix_that_was_meant)
{
    struct bl_prefix prefix;

    ck_assert_int_eq(bl_address_parse_prefix("192.0.2.129/25", 64, &prefix, &detail), BL_EINVAL);
    ck_assert_ptr_nonnull(strstr(detail.text, "192.0.2.128/25"));
}
END_TEST

/* ---- Against bit by bit oracles, on random prefixes that are near each other ---- */

static bool bit_of(const uint8_t bytes[16], unsigned n)
{
    return (bytes[n / 8] >> (7 - n % 8) & 1) != 0;
}

static struct bl_prefix random_prefix(void)
{
    struct bl_prefix prefix = {.family = rand() % 2 == 0 ? BL_FAMILY_IPV4 : BL_FAMILY_IPV6};
    unsigned bits = bl_address_bits(prefix.family);

    prefix.length = (uint8_t)(rand() % (int)(bits + 1));
    for (unsigned i = 0; i < bits / 8; i++)
        prefix.bytes[i] = rand() % 4 == 0 ? (uint8_t)rand() : 0x2a;
    return prefix;
}

START_TEST(mask_clears_exactly_the_bits_below_the_length)
{
    for (int i = 0; i < 20000; i++) {
        struct bl_prefix raw = random_prefix();
        struct bl_prefix masked = raw;
        bool had_host_bits = false;
        bool right = true;

        bl_address_prefix_mask(&masked);
        for (unsigned n = 0; n < 128; n++) {
            bool expected = n < raw.length && bit_of(raw.bytes, n);

            had_host_bits |= n >= raw.length && bit_of(raw.bytes, n);
            right &= bit_of(masked.bytes, n) == expected;
        }
        ck_assert(right);
        ck_assert_int_eq(bl_address_prefix_canonical(&raw), !had_host_bits);
        ck_assert(bl_address_prefix_canonical(&masked));
    }
}
END_TEST

START_TEST(canonical_refuses_what_no_family_has)
{
    ck_assert(!bl_address_prefix_canonical(&(struct bl_prefix){.family = BL_FAMILY_NONE}));
    ck_assert(!bl_address_prefix_canonical(&(struct bl_prefix){.family = 5}));
    ck_assert(!bl_address_prefix_canonical(&(struct bl_prefix){.family = BL_FAMILY_IPV4, .length = 33}));
    ck_assert(!bl_address_prefix_canonical(&(struct bl_prefix){.family = BL_FAMILY_IPV6, .length = 129}));
    ck_assert(!bl_address_prefix_canonical(&(struct bl_prefix){{[4] = 1}, .length = 32, .family = BL_FAMILY_IPV4}));
    ck_assert(bl_address_prefix_canonical(&(struct bl_prefix){.family = BL_FAMILY_IPV4}));
}
END_TEST

START_TEST(cover_is_what_the_bits_say)
{
    int n_covered = 0;

    for (int i = 0; i < 100000; i++) {
        struct bl_prefix outer = random_prefix();
        struct bl_prefix inner = random_prefix();
        bool expected;

        outer.length = (uint8_t)(outer.length % 40 > bl_address_bits(outer.family) ? 0 : outer.length % 40);
        if (outer.family == BL_FAMILY_IPV4 && outer.length > 32)
            outer.length = 32;
        expected = outer.family == inner.family && outer.length <= inner.length;
        bl_address_prefix_mask(&outer);
        bl_address_prefix_mask(&inner);
        for (unsigned n = 0; expected && n < outer.length; n++)
            expected = bit_of(outer.bytes, n) == bit_of(inner.bytes, n);
        ck_assert_int_eq(bl_address_prefix_covers(&outer, &inner), expected);
        n_covered += expected;
    }
    ck_assert_int_gt(n_covered, 1000);
}
END_TEST

START_TEST(compare_is_a_total_order_with_covers_first)
{
    for (int i = 0; i < 100000; i++) {
        struct bl_prefix a = random_prefix();
        struct bl_prefix b = random_prefix();
        struct bl_prefix c = random_prefix();
        int ab;

        bl_address_prefix_mask(&a);
        bl_address_prefix_mask(&b);
        bl_address_prefix_mask(&c);
        ab = bl_address_prefix_compare(&a, &b);
        ck_assert(ab == -1 || ab == 0 || ab == 1);
        ck_assert_int_eq(ab, -bl_address_prefix_compare(&b, &a));
        ck_assert_int_eq(ab == 0, memcmp(&a, &b, sizeof(a)) == 0);
        if (ab < 0 && bl_address_prefix_compare(&b, &c) < 0)
            ck_assert_int_eq(bl_address_prefix_compare(&a, &c), -1);
        if (ab != 0 && bl_address_prefix_covers(&a, &b))
            ck_assert_int_eq(ab, -1);
        /* Directly before what it covers: nothing that is not covered stands between. */
        if (bl_address_prefix_covers(&a, &c) && ab < 0 && bl_address_prefix_compare(&b, &c) < 0)
            ck_assert(bl_address_prefix_covers(&a, &b));
    }
}
END_TEST

static const struct {
    const char *prefix;
    const char *network; /* NULL: not reserved */
} reserved[] = {
    {"0.0.0.0/0", "0.0.0.0/8"},
    {"0.1.2.3/32", "0.0.0.0/8"},
    {"127.0.0.1/32", "127.0.0.0/8"},
    {"126.0.0.0/7", "127.0.0.0/8"},
    {"169.254.1.0/24", "169.254.0.0/16"},
    {"224.0.0.1/32", "224.0.0.0/4"},
    {"239.255.255.255/32", "224.0.0.0/4"},
    {"255.255.255.255/32", "240.0.0.0/4"},
    {"240.0.0.1/32", "240.0.0.0/4"},
    {"::/0", "::/96"},
    {"::1/128", "::/96"},
    {"fe80::1/128", "fe80::/10"},
    {"ff02::1/128", "ff00::/8"},
    {"126.255.255.255/32", NULL},
    {"128.0.0.0/8", NULL},
    {"223.255.255.255/32", NULL},
    {"10.0.0.0/8", NULL},
    {"192.0.2.0/24", NULL},
    {"2001:db8::/32", NULL},
    {"2000::/19", NULL},
};

START_TEST(reserved_networks_are_known)
{
    struct bl_prefix prefix;
    const char *network;

    ck_assert_msg(bl_address_parse_prefix(reserved[_i].prefix, 128, &prefix, &detail) == BL_OK, "%s", detail.text);
    network = bl_address_reserved(&prefix);
    if (reserved[_i].network == NULL)
        ck_assert_msg(network == NULL, "%s is said to be in %s", reserved[_i].prefix, network);
    else
        ck_assert_str_eq(network, reserved[_i].network);
}
END_TEST

START_TEST(mapped_addresses_are_reserved_as_ipv6)
{
    struct bl_prefix prefix = {{[10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, [15] = 1}, 128, BL_FAMILY_IPV6};

    ck_assert_str_eq(bl_address_reserved(&prefix), "::ffff:0:0/96");
}
END_TEST

START_TEST(keys_are_host_order)
{
    const uint8_t ip4[4] = {192, 0, 2, 1};
    uint8_t back[16];
    struct bl_address address;
    struct bl_ip6 ip6;

    ck_assert_uint_eq(bl_address_to_ip4(ip4), 0xc0000201u);
    bl_address_from_ip4(0xc0000201u, back);
    ck_assert_mem_eq(back, ip4, 4);
    ck_assert_int_eq(bl_address_parse("2001:db8:1:2:3:4:5:6", &address, &detail), BL_OK);
    ip6 = bl_address_to_ip6(address.bytes);
    ck_assert(ip6.hi == 0x20010db800010002ULL && ip6.lo == 0x0003000400050006ULL);
    bl_address_from_ip6(ip6, back);
    ck_assert_mem_eq(back, address.bytes, 16);
}
END_TEST

START_TEST(a_host_is_a_prefix_of_full_length)
{
    struct bl_address address;
    struct bl_prefix prefix;
    char text[BL_ADDRESS_TEXT_MAX];

    ck_assert_int_eq(bl_address_parse("192.0.2.1", &address, &detail), BL_OK);
    prefix = bl_address_host_prefix(&address);
    ck_assert_str_eq(bl_address_format_prefix(&prefix, text), "192.0.2.1/32");
    ck_assert_int_eq(bl_address_parse("2001:db8::1", &address, &detail), BL_OK);
    prefix = bl_address_host_prefix(&address);
    ck_assert_str_eq(bl_address_format_prefix(&prefix, text), "2001:db8::1/128");
}
END_TEST

static const struct {
    const char *text;
    const char *address; /* NULL: refused */
    uint16_t port;
} endpoints[] = {
    {"127.0.0.1:9117", "127.0.0.1", 9117},
    {"0.0.0.0:1", "0.0.0.0", 1},
    {"[2001:db8::1]:65535", "2001:db8::1", 65535},
    {"[::]:25", "::", 25},
    {"127.0.0.1", NULL, 0},
    {"127.0.0.1:", NULL, 0},
    {":9117", NULL, 0},
    {"127.0.0.1:0", NULL, 0},
    {"127.0.0.1:09117", NULL, 0},
    {"127.0.0.1:65536", NULL, 0},
    {"127.0.0.1:99999999999999999999", NULL, 0},
    {"127.0.0.1:+25", NULL, 0},
    {"127.0.0.1:25 ", NULL, 0},
    {"::1:25", NULL, 0},
    {"[::1]", NULL, 0},
    {"[::1:25", NULL, 0},
    {"::1]:25", NULL, 0},
    {"[]:25", NULL, 0},
    {"[127.0.0.1]:25", NULL, 0},
    {"localhost:25", NULL, 0},
    {"[2001:db8:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:1]:25", NULL, 0},
    {"", NULL, 0},
};

START_TEST(endpoints_are_read_or_refused)
{
    struct bl_address address;
    uint16_t port = 7;
    char text[BL_ADDRESS_TEXT_MAX];
    int error = bl_address_parse_endpoint(endpoints[_i].text, &address, &port, &detail);

    if (endpoints[_i].address == NULL) {
        ck_assert_msg(error == BL_EINVAL, "%s", endpoints[_i].text);
        ck_assert_uint_eq(port, 7);
        ck_assert_ptr_nonnull(strstr(detail.text, "expected ADDRESS:PORT"));
        return;
    }
    ck_assert_int_eq(error, BL_OK);
    ck_assert_str_eq(bl_address_format(&address, text), endpoints[_i].address);
    ck_assert_uint_eq(port, endpoints[_i].port);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("address");
    TCase *tests = tcase_create("address");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_test(tests, text_as_the_c_library_writes_it);
    tcase_add_test(tests, no_address_is_no_text);
    tcase_add_loop_test(tests, addresses_round_trip, 0, (int)(sizeof(addresses) / sizeof(addresses[0])));
    tcase_add_loop_test(tests, bad_addresses_are_refused, 0, (int)(sizeof(bad_addresses) / sizeof(bad_addresses[0])));
    tcase_add_loop_test(tests, prefixes_are_read_or_refused, 0, (int)(sizeof(prefixes) / sizeof(prefixes[0])));
    tcase_add_test(tests, a_refused_host_bit_names_the_prefix_that_was_meant);
    tcase_add_test(tests, mask_clears_exactly_the_bits_below_the_length);
    tcase_add_test(tests, canonical_refuses_what_no_family_has);
    tcase_add_test(tests, cover_is_what_the_bits_say);
    tcase_add_test(tests, compare_is_a_total_order_with_covers_first);
    tcase_add_loop_test(tests, reserved_networks_are_known, 0, (int)(sizeof(reserved) / sizeof(reserved[0])));
    tcase_add_loop_test(tests, endpoints_are_read_or_refused, 0, (int)(sizeof(endpoints) / sizeof(endpoints[0])));
    tcase_add_test(tests, mapped_addresses_are_reserved_as_ipv6);
    tcase_add_test(tests, keys_are_host_order);
    tcase_add_test(tests, a_host_is_a_prefix_of_full_length);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
