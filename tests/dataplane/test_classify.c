/* classify.c: the ordered policy, a row a rule. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/classify.h"

static struct bl_classify_policy policy;
static struct bl_class classes[BL_CLASS_COUNT];

enum { CLASS_REJECT = 1, CLASS_RESET, CLASS_DROP, CLASS_MONITOR, CLASS_ODD, CLASS_UNUSED };

static void set_up(void)
{
    static const uint8_t actions[] = {0, BL_ACTION_REJECT, BL_ACTION_RESET, BL_ACTION_DROP, BL_ACTION_MONITOR, 77};

    bl_classify_policy_init(&policy);
    bl_classify_policy_protect(&policy, 25, BL_ACTION_REJECT);
    bl_classify_policy_protect(&policy, 65535, BL_ACTION_REJECT);
    memset(classes, 0, sizeof(classes));
    for (unsigned i = CLASS_REJECT; i <= CLASS_ODD; i++)
        classes[i] = (struct bl_class){.code = 606, .action = actions[i]};
}

static struct bl_packet packet_of(uint8_t status, uint16_t destination_port)
{
    struct bl_packet packet = {.status = status, .family = BL_FAMILY_IPV4, .destination_port = destination_port};

    return packet;
}

START_TEST(only_what_a_list_can_change_is_looked_up)
{
    static const struct {
        uint8_t status;
        uint8_t family;
        uint16_t source_port;
        uint16_t destination_port;
        bool lookup;
        int reason; /* of those that are not looked up */
    } rows[] = {
        {BL_PARSE_NOT_IP, 0, 0, 0, false, BL_REASON_PASS_NOT_IP},
        {BL_PARSE_UNPARSABLE, 0, 0, 0, false, BL_REASON_PASS_UNPARSABLE},
        {BL_PARSE_UNPARSABLE, 4, 0, 0, true, 0},
        {BL_PARSE_UNPARSABLE, 6, 0, 0, true, 0},
        {BL_PARSE_FRAGMENT, 4, 0, 0, true, 0},
        {BL_PARSE_OTHER, 4, 0, 25, false, BL_REASON_PASS_OTHER},
        {BL_PARSE_TCP, 4, 40000, 25, true, 0},
        {BL_PARSE_TCP, 6, 40000, 65535, true, 0},
        {BL_PARSE_TCP, 4, 40000, 24, false, BL_REASON_PASS_OTHER},
        {BL_PARSE_TCP, 4, 40000, 26, false, BL_REASON_PASS_OTHER},
        {BL_PARSE_TCP, 4, 40000, 89, false, BL_REASON_PASS_OTHER}, /* 25 + 64: another word of the map */
        {BL_PARSE_TCP, 4, 25, 40000, false, BL_REASON_PASS_OTHER}, /* the answer to our servers' own mail */
        {BL_PARSE_TCP, 4, 25, 25, true, 0},                        /* sending from port 25 is no way round */
        {BL_PARSE_TCP, 4, 0, 0, false, BL_REASON_PASS_OTHER},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bl_packet packet = packet_of(rows[i].status, rows[i].destination_port);
        struct bl_decision decision;

        packet.family = rows[i].family;
        packet.source_port = rows[i].source_port;
        memset(&decision, 0xff, sizeof(decision));
        ck_assert_msg(bl_classify_needs_lookup(&policy, &packet, &decision) == rows[i].lookup, "row %zu", i);
        if (rows[i].lookup)
            continue;
        ck_assert_int_eq(decision.reason, rows[i].reason);
        ck_assert_int_eq(decision.verdict, BL_VERDICT_PASS);
        ck_assert_int_eq(decision.class_id, 0);
    }
}
END_TEST

START_TEST(class_and_packet_make_the_reason)
{
    static const struct {
        uint8_t class_id;
        int tcp;
        int fragment;
        int unparsable;
    } rows[] = {
        {BL_CLASS_NONE, BL_REASON_PASS_NOT_LISTED, BL_REASON_PASS_NOT_LISTED, BL_REASON_PASS_UNPARSABLE},
        {BL_CLASS_EXEMPT, BL_REASON_PASS_EXEMPT, BL_REASON_PASS_EXEMPT, BL_REASON_PASS_EXEMPT},
        {CLASS_UNUSED, BL_REASON_PASS_NOT_LISTED, BL_REASON_PASS_NOT_LISTED, BL_REASON_PASS_UNPARSABLE},
        {BL_CLASS_LAST, BL_REASON_PASS_NOT_LISTED, BL_REASON_PASS_NOT_LISTED, BL_REASON_PASS_UNPARSABLE},
        {64, BL_REASON_PASS_NOT_LISTED, BL_REASON_PASS_NOT_LISTED, BL_REASON_PASS_UNPARSABLE},
        {255, BL_REASON_PASS_NOT_LISTED, BL_REASON_PASS_NOT_LISTED, BL_REASON_PASS_UNPARSABLE},
        {CLASS_ODD, BL_REASON_PASS_NOT_LISTED, BL_REASON_PASS_NOT_LISTED, BL_REASON_PASS_UNPARSABLE},
        {CLASS_MONITOR, BL_REASON_PASS_MONITOR, BL_REASON_PASS_MONITOR, BL_REASON_PASS_MONITOR},
        {CLASS_DROP, BL_REASON_DROP_ACTION, BL_REASON_DROP_ACTION, BL_REASON_DROP_ACTION},
        {CLASS_RESET, BL_REASON_RESET_ACTION, BL_REASON_DROP_FRAGMENT, BL_REASON_DROP_UNPARSABLE},
        {CLASS_REJECT, BL_REASON_REJECT_SYN, BL_REASON_DROP_FRAGMENT, BL_REASON_DROP_UNPARSABLE},
    };
    static const uint8_t statuses[] = {BL_PARSE_TCP, BL_PARSE_FRAGMENT, BL_PARSE_UNPARSABLE};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const int reasons[] = {rows[i].tcp, rows[i].fragment, rows[i].unparsable};

        for (size_t s = 0; s < 3; s++) {
            struct bl_packet packet = packet_of(statuses[s], 25);
            struct bl_decision decision;

            memset(&decision, 0xff, sizeof(decision));
            bl_classify_decide(&policy, classes, &packet, rows[i].class_id, &decision);
            ck_assert_msg(decision.reason == reasons[s], "row %zu, status %zu: %s", i, s,
                          bl_verdict_reason_name(decision.reason));
            ck_assert_int_eq(decision.verdict, bl_verdict_of((enum bl_reason)reasons[s]));
            ck_assert_int_eq(decision.class_id, rows[i].class_id);
        }
    }
}
END_TEST

START_TEST(every_port_is_a_bit_of_its_own)
{
    for (unsigned port = 0; port < 65536; port += 97) {
        struct bl_packet packet = packet_of(BL_PARSE_TCP, 0);
        struct bl_decision decision;
        unsigned n_protected = 0;

        bl_classify_policy_init(&policy);
        bl_classify_policy_protect(&policy, (uint16_t)port, BL_ACTION_REJECT);
        for (unsigned other = 0; other < 65536; other++) {
            packet.destination_port = (uint16_t)other;
            n_protected += bl_classify_needs_lookup(&policy, &packet, &decision) ? 1 : 0;
        }
        packet.destination_port = (uint16_t)port;
        ck_assert_uint_eq(n_protected, 1);
        ck_assert(bl_classify_needs_lookup(&policy, &packet, &decision));
    }
}
END_TEST

/* What stands in for the 550 on a port; the other actions are the class's own everywhere. */
START_TEST(a_port_may_have_its_own_action)
{
    static const struct {
        uint16_t port;
        int reject;
        int reset;
        int drop;
        int monitor;
    } rows[] = {
        {25, BL_REASON_REJECT_SYN, BL_REASON_RESET_ACTION, BL_REASON_DROP_ACTION, BL_REASON_PASS_MONITOR},
        {465, BL_REASON_RESET_ACTION, BL_REASON_RESET_ACTION, BL_REASON_DROP_ACTION, BL_REASON_PASS_MONITOR},
        {2525, BL_REASON_DROP_ACTION, BL_REASON_RESET_ACTION, BL_REASON_DROP_ACTION, BL_REASON_PASS_MONITOR},
        {26, BL_REASON_PASS_MONITOR, BL_REASON_RESET_ACTION, BL_REASON_DROP_ACTION, BL_REASON_PASS_MONITOR},
    };
    struct bl_decision decision;
    struct bl_packet packet;

    bl_classify_policy_protect(&policy, 465, BL_ACTION_RESET);
    bl_classify_policy_protect(&policy, 2525, BL_ACTION_DROP);
    bl_classify_policy_protect(&policy, 26, BL_ACTION_MONITOR);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const int reasons[] = {rows[i].reject, rows[i].reset, rows[i].drop, rows[i].monitor};

        packet = packet_of(BL_PARSE_TCP, rows[i].port);
        ck_assert(bl_classify_needs_lookup(&policy, &packet, &decision));
        for (unsigned c = 0; c < 4; c++) {
            bl_classify_decide(&policy, classes, &packet, (uint8_t)(CLASS_REJECT + c), &decision);
            ck_assert_msg(decision.reason == reasons[c], "port %u, class %u: %s", rows[i].port, CLASS_REJECT + c,
                          bl_verdict_reason_name(decision.reason));
        }
    }
    /* Where there is no port there is no action of a port. */
    packet = packet_of(BL_PARSE_FRAGMENT, 26);
    bl_classify_decide(&policy, classes, &packet, CLASS_REJECT, &decision);
    ck_assert_int_eq(decision.reason, BL_REASON_DROP_FRAGMENT);
    /* Where nothing bites yet, this does not either; what the class itself drops is dropped. */
    bl_classify_policy_init(&policy);
    bl_classify_policy_protect(&policy, 25, BL_ACTION_MONITOR);
    for (unsigned i = 0; i < 2; i++) {
        packet.status = i == 0 ? BL_PARSE_FRAGMENT : BL_PARSE_UNPARSABLE;
        bl_classify_decide(&policy, classes, &packet, CLASS_REJECT, &decision);
        ck_assert_int_eq(decision.reason, BL_REASON_PASS_MONITOR);
        bl_classify_decide(&policy, classes, &packet, CLASS_DROP, &decision);
        ck_assert_int_eq(decision.reason, BL_REASON_DROP_ACTION);
    }
}
END_TEST

static struct bl_prefix prefix_of(const char *text)
{
    struct bl_error_detail detail;
    struct bl_prefix prefix;

    ck_assert_msg(bl_address_parse_prefix(text, 128, &prefix, &detail) == BL_OK, "%s", detail.text);
    return prefix;
}

/* Against every prefix, one after the other, in any order of being said; at the edges and at random. */
START_TEST(protected_prefixes_are_what_was_said)
{
    static const char *const texts[] = {
        "192.0.2.0/24",
        "192.0.2.128/25",
        "10.0.0.0/8",
        "10.1.0.0/16",
        "0.0.0.0/32",
        "255.255.255.255/32",
        "198.51.100.7",
        "198.51.100.6",
        "2001:db8::/32",
        "2001:db8:25::/64",
        "::/128",
        "fe00::/9",
        "2001:db9::8/125",
        "2001:db9::1",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "203.0.113.0/26",
        "203.0.113.192/26",
        "203.0.113.0/24",
        "2001:dba::/50",
        "2001:dba:0:c000::/50",
        "2001:dba::/48",
        "203.0.113.64/26",
    };
    enum { N = sizeof(texts) / sizeof(texts[0]) };
    struct bl_prefix prefixes[N];

    srand((unsigned)_i + 1);
    for (unsigned i = 0; i < N; i++)
        prefixes[i] = prefix_of(texts[i]);
    for (unsigned i = N - 1; i > 0; i--) {
        unsigned j = (unsigned)rand() % (i + 1);
        struct bl_prefix other = prefixes[i];

        prefixes[i] = prefixes[j];
        prefixes[j] = other;
    }
    for (unsigned i = 0; i < N; i++)
        bl_classify_policy_protect_prefix(&policy, &prefixes[i]);
    for (unsigned n = 0; n < 20000; n++) {
        const struct bl_prefix *near = &prefixes[(unsigned)rand() % N];
        struct bl_address address = {.family = near->family};
        struct bl_packet packet = packet_of(n % 3 == 0 ? BL_PARSE_FRAGMENT : BL_PARSE_TCP, 25);
        struct bl_decision decision;
        struct bl_prefix host;
        bool expected = false;

        memcpy(address.bytes, near->bytes, 16);
        for (unsigned bit = near->length; bit < bl_address_bits(near->family) && rand() % 4 != 0; bit++)
            address.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
        if (rand() % 2 == 0 && near->length > 0)
            address.bytes[(near->length - 1) / 8] ^= (uint8_t)(0x80 >> (near->length - 1) % 8);
        host = bl_address_host_prefix(&address);
        for (unsigned i = 0; i < N; i++)
            expected |= bl_address_prefix_covers(&prefixes[i], &host);
        packet.family = address.family;
        if (address.family == BL_FAMILY_IPV4)
            packet.destination_ip4 = bl_address_to_ip4(address.bytes);
        else
            packet.destination_ip6 = bl_address_to_ip6(address.bytes);
        ck_assert_int_eq(bl_classify_needs_lookup(&policy, &packet, &decision), expected);
        if (!expected)
            ck_assert_int_eq(decision.reason, BL_REASON_PASS_OTHER);
    }
}
END_TEST

START_TEST(everything_is_protected_by_the_widest)
{
    struct bl_prefix all4 = prefix_of("0.0.0.0/0");
    struct bl_packet packet = packet_of(BL_PARSE_TCP, 25);
    struct bl_decision decision;

    bl_classify_policy_protect_prefix(&policy, &all4);
    for (unsigned i = 0; i < 33; i++) {
        packet.destination_ip4 = (uint32_t)(((uint64_t)1 << i) - 1);
        ck_assert(bl_classify_needs_lookup(&policy, &packet, &decision));
    }
    packet.family = BL_FAMILY_IPV6; /* of which nothing was said */
    ck_assert(!bl_classify_needs_lookup(&policy, &packet, &decision));
    /* Whom a cut frame is for nobody can say: its source alone decides. */
    packet.status = BL_PARSE_UNPARSABLE;
    packet.destination_cut = true;
    ck_assert(bl_classify_needs_lookup(&policy, &packet, &decision));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("classify");
    TCase *policy_case = tcase_create("policy");
    SRunner *runner;
    int n_failed;

    tcase_add_checked_fixture(policy_case, set_up, NULL);
    tcase_add_test(policy_case, only_what_a_list_can_change_is_looked_up);
    tcase_add_test(policy_case, class_and_packet_make_the_reason);
    tcase_add_test(policy_case, every_port_is_a_bit_of_its_own);
    tcase_add_test(policy_case, a_port_may_have_its_own_action);
    tcase_add_loop_test(policy_case, protected_prefixes_are_what_was_said, 0, 12);
    tcase_add_test(policy_case, everything_is_protected_by_the_widest);
    suite_add_tcase(suite, policy_case);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
