/* ticket.c: the test vectors, which are part of the format (they were made by another implementation, in Python), and what
 * a ticket may and may not prove. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "bounceline/ticket.h"

enum { TODAY = 20782 };

static const struct bl_siphash_key key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

static struct bl_prefix unit_of(const char *text, uint8_t ipv6_unit)
{
    struct bl_error_detail detail;
    struct bl_address address;

    ck_assert_msg(bl_address_parse(text, &address, &detail) == BL_OK, "%s", detail.text);
    return bl_ticket_unit(&address, ipv6_unit);
}

static bool is_good(const struct bl_prefix *unit, uint64_t today, const char *text)
{
    uint64_t age_days = 0;

    return bl_ticket_verify(&key, unit, today, text, &age_days);
}

static const struct {
    const char *address;
    uint8_t ipv6_unit;
    uint64_t day;
    const char *ticket;
} vectors[] = {
    {"192.0.2.7", 64, 0, "rygyfenfbzn6"},
    {"192.0.2.7", 64, 20782, "zaqpykfmwhvo"},
    {"198.51.100.10", 64, 20782, "czssdtoz3j5i"},
    {"2001:db8:5::10", 64, 20782, "s66kgeo22adw"},
    {"2001:db8:5::ffff:1", 64, 20782, "s66kgeo22adw"}, /* of the same network */
    {"2001:db8:5::10", 128, 20782, "lccucrvwuy5z"},
    {"2001:db8:5::10", 48, 20783, "67e5sjwosclv"},
    {"::ffff:192.0.2.7", 64, 20782, "zaqpykfmwhvo"}, /* IPv4 is IPv4 */
};

START_TEST(the_vectors_hold)
{
    struct bl_prefix unit = unit_of(vectors[_i].address, vectors[_i].ipv6_unit);
    char text[BL_TICKET_TEXT_MAX];

    ck_assert_str_eq(bl_ticket_make(&key, &unit, vectors[_i].day, text), vectors[_i].ticket);
}
END_TEST

START_TEST(it_is_good_for_its_day_and_a_week)
{
    struct bl_prefix unit = unit_of("192.0.2.7", 64);
    char text[BL_TICKET_TEXT_MAX];

    bl_ticket_make(&key, &unit, TODAY, text);
    for (uint64_t later = 0; later <= 20; later++) {
        uint64_t age_days = 99;
        bool good = bl_ticket_verify(&key, &unit, TODAY + later, text, &age_days);

        ck_assert_int_eq(good, later <= 7);
        ck_assert_uint_eq(age_days, good ? later : 99);
    }
    ck_assert(!is_good(&unit, TODAY - 1, text)); /* of tomorrow */
}
END_TEST

START_TEST(case_does_not_count_and_everything_else_does)
{
    struct bl_prefix unit = unit_of("192.0.2.7", 64);
    char text[BL_TICKET_TEXT_MAX];
    char other[2 * BL_TICKET_TEXT_MAX];

    bl_ticket_make(&key, &unit, TODAY, text);
    for (unsigned i = 0; i < BL_TICKET_CHARS; i++) {
        strcpy(other, text);
        if (other[i] >= 'a')
            other[i] = (char)(other[i] - 'a' + 'A');
        ck_assert(is_good(&unit, TODAY, other));
        other[i] = text[i] == 'q' ? 'r' : 'q';
        ck_assert(!is_good(&unit, TODAY, other));
        strcpy(other, text);
        other[i] = '\0';
        ck_assert(!is_good(&unit, TODAY, other));
    }
    strcpy(other, text);
    strcat(other, "a");
    ck_assert(!is_good(&unit, TODAY, other));
    ck_assert(!is_good(&unit, TODAY, ""));
    ck_assert(!is_good(&unit, TODAY, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"));
}
END_TEST

START_TEST(it_proves_one_unit_with_one_key)
{
    static const char *const others[] = {"192.0.2.6", "192.0.2.71", "2001:db8:5::10", "::c000:207"};
    const struct bl_siphash_key other_key = {key.k0, key.k1 ^ 1};
    struct bl_prefix unit = unit_of("192.0.2.7", 64);
    char text[BL_TICKET_TEXT_MAX];
    uint64_t age_days;

    bl_ticket_make(&key, &unit, TODAY, text);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct bl_prefix other = unit_of(others[i], 64);

        ck_assert(!is_good(&other, TODAY, text));
    }
    ck_assert(!bl_ticket_verify(&other_key, &unit, TODAY, text, &age_days));
    /* A network's ticket is none for an address of it in other units. */
    unit = unit_of("2001:db8:5::10", 64);
    bl_ticket_make(&key, &unit, TODAY, text);
    unit = unit_of("2001:db8:5::10", 128);
    ck_assert(!is_good(&unit, TODAY, text));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ticket");
    TCase *all = tcase_create("all");
    SRunner *runner;
    int n_failed;

    tcase_add_loop_test(all, the_vectors_hold, 0, sizeof(vectors) / sizeof(vectors[0]));
    tcase_add_test(all, it_is_good_for_its_day_and_a_week);
    tcase_add_test(all, case_does_not_count_and_everything_else_does);
    tcase_add_test(all, it_proves_one_unit_with_one_key);
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
