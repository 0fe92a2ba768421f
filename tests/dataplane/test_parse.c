/* parse.c: what a frame is, and where its parts lie. Every frame lies in a heap block of its size, so that ASan sees
 * a byte read too far. */
#include <check.h>
#include <stdlib.h>

#include "dataplane/glance.h"
#include "dataplane/parse.h"
#include "frames.h"

static uint8_t frame[FRAME_BYTES_MAX];

/* A glance knows the plain shape, whole, and nothing else. */
static void check_glance(const uint8_t *exact, size_t length, const struct bl_packet *packet)
{
    size_t ip_bytes = packet->family == BL_FAMILY_IPV4 ? 20 : 40;
    bool plain = packet->status == BL_PARSE_TCP && packet->l3_offset == 14 && packet->l4_offset == 14 + ip_bytes;
    enum bl_family family = bl_glance_family(exact, length);
    struct bl_packet glanced;

    ck_assert_int_eq(family, plain ? packet->family : BL_FAMILY_NONE);
    if (!plain)
        return;
    ck_assert_uint_eq(bl_glance_destination_port(exact, family), packet->destination_port);
    memset(&glanced, 0xff, sizeof(glanced));
    bl_glance_packet(exact, family, &glanced);
    ck_assert_mem_eq(&glanced, packet, sizeof(glanced));
}

/* Parses the first @p length bytes of `frame`. */
static struct bl_packet parse(size_t length)
{
    struct bl_packet packet;
    uint8_t *exact = malloc(length != 0 ? length : 1);

    ck_assert_ptr_nonnull(exact);
    memcpy(exact, frame, length);
    memset(&packet, 0xff, sizeof(packet));
    bl_parse_frame(exact, length, &packet);
    if (packet.status == BL_PARSE_TCP)
        (void)bl_parse_verify_checksums(exact, &packet);
    check_glance(exact, length, &packet);
    free(exact);
    return packet;
}

static struct bl_packet parse_spec(const struct frame_spec *spec)
{
    return parse(frame_build(spec, frame));
}

static uint8_t family_of(int i)
{
    return i == 0 ? 4 : 6;
}

START_TEST(every_field_of_a_plain_segment)
{
    struct frame_spec spec = frame_spec_init(family_of(_i));
    struct bl_packet packet;
    size_t ip_bytes = spec.family == 4 ? 20 : 40;

    spec.payload = (const uint8_t *)"EHLO x\r\n";
    spec.payload_bytes = 8;
    spec.acknowledgement = 0xfedcba98;
    spec.flags = 0xff;
    packet = parse_spec(&spec);
    ck_assert_int_eq(packet.status, BL_PARSE_TCP);
    ck_assert_int_eq(packet.family, spec.family);
    ck_assert_int_eq(packet.tcp_flags, 0xff);
    ck_assert_int_eq(packet.link_group, false);
    ck_assert_uint_eq(packet.l3_offset, 14);
    ck_assert_uint_eq(packet.l4_offset, 14 + ip_bytes);
    ck_assert_uint_eq(packet.payload_offset, 34 + ip_bytes);
    ck_assert_uint_eq(packet.payload_bytes, 8);
    ck_assert_uint_eq(packet.source_port, 40007);
    ck_assert_uint_eq(packet.destination_port, 25);
    ck_assert_uint_eq(packet.window, 64240);
    ck_assert_uint_eq(packet.sequence, 0x10000000);
    ck_assert_uint_eq(packet.acknowledgement, 0xfedcba98);
    if (spec.family == 4) {
        ck_assert_uint_eq(packet.source_ip4, 0xc0000207);
        ck_assert_uint_eq(packet.destination_ip4, 0xc6336419);
    } else {
        ck_assert_uint_eq(packet.source_ip6.hi, 0x20010db800000000);
        ck_assert_uint_eq(packet.source_ip6.lo, 7);
        ck_assert_uint_eq(packet.destination_ip6.hi, 0x20010db800010000);
        ck_assert_uint_eq(packet.destination_ip6.lo, 0x25);
    }
}
END_TEST

START_TEST(up_to_four_tags_of_any_kind)
{
    static const uint16_t types[] = {0x8100, 0x88a8, 0x9100};
    struct frame_spec spec = frame_spec_init(family_of(_i));

    for (unsigned n = 0; n <= 5; n++) {
        struct bl_packet packet;

        spec.n_tags = n;
        for (unsigned i = 0; i < n; i++)
            spec.tags[i] = types[(n + i) % 3];
        packet = parse_spec(&spec);
        ck_assert_int_eq(packet.status, n <= 4 ? BL_PARSE_TCP : BL_PARSE_NOT_IP);
        if (n <= 4)
            ck_assert_uint_eq(packet.l3_offset, 14 + 4 * n);
    }
}
END_TEST

START_TEST(no_cut_frame_is_a_segment)
{
    struct frame_spec spec = frame_spec_init(family_of(_i));
    size_t source_end = spec.family == 4 ? 16 : 24;
    size_t ip_bytes = spec.family == 4 ? 20 : 40;
    size_t length;

    spec.n_tags = 2;
    spec.tags[0] = 0x88a8;
    spec.tags[1] = 0x8100;
    spec.payload = (const uint8_t *)"NOOP\r\n";
    spec.payload_bytes = 6;
    length = frame_build(&spec, frame);
    for (size_t cut = 0; cut < length; cut++) {
        struct bl_packet packet = parse(cut);

        if (cut < 22) {
            ck_assert_int_eq(packet.status, BL_PARSE_NOT_IP);
            continue;
        }
        ck_assert_int_eq(packet.status, BL_PARSE_UNPARSABLE);
        /* A listed source must not get through as soon as it can be read. */
        ck_assert_int_eq(packet.family, cut < 22 + source_end ? BL_FAMILY_NONE : spec.family);
        ck_assert_int_eq(packet.destination_cut, packet.family != BL_FAMILY_NONE && cut < 22 + ip_bytes);
    }
    ck_assert_int_eq(parse(length).status, BL_PARSE_TCP);
}
END_TEST

START_TEST(padding_is_not_payload)
{
    struct frame_spec spec = frame_spec_init(family_of(_i));

    spec.padding_bytes = 13;
    ck_assert_uint_eq(parse_spec(&spec).payload_bytes, 0);
    spec.payload = (const uint8_t *)"x";
    spec.payload_bytes = 1;
    ck_assert_uint_eq(parse_spec(&spec).payload_bytes, 1);
}
END_TEST

START_TEST(frames_as_large_as_offload_makes_them)
{
    static uint8_t payload[65000];
    struct frame_spec spec = frame_spec_init(family_of(_i));
    struct bl_packet packet;

    spec.payload = payload;
    spec.payload_bytes = sizeof(payload);
    packet = parse_spec(&spec);
    ck_assert_int_eq(packet.status, BL_PARSE_TCP);
    ck_assert_uint_eq(packet.payload_bytes, sizeof(payload));
    ck_assert(bl_parse_verify_checksums(frame, &packet));
}
END_TEST

START_TEST(tcp_options_are_skipped_unread)
{
    struct frame_spec spec = frame_spec_init(family_of(_i));

    for (unsigned bytes = 0; bytes <= 40; bytes += 4) {
        struct bl_packet packet;

        spec.tcp_options_bytes = (uint8_t)bytes;
        packet = parse_spec(&spec);
        ck_assert_int_eq(packet.status, BL_PARSE_TCP);
        ck_assert_uint_eq(packet.payload_offset - packet.l4_offset, 20 + bytes);
        ck_assert_uint_eq(packet.payload_bytes, 0);
    }
}
END_TEST

START_TEST(data_offset_out_of_range)
{
    struct frame_spec spec = frame_spec_init(family_of(_i));
    size_t length = frame_build(&spec, frame);
    size_t tcp = spec.family == 4 ? 34 : 54;

    for (unsigned words = 0; words < 16; words++) {
        frame[tcp + 12] = (uint8_t)(words << 4);
        ck_assert_int_eq(parse(length).status, words == 5 ? BL_PARSE_TCP : BL_PARSE_UNPARSABLE);
    }
}
END_TEST

START_TEST(wrong_version)
{
    struct frame_spec spec = frame_spec_init(family_of(_i));
    size_t length = frame_build(&spec, frame);
    struct bl_packet packet;

    frame[14] ^= 0x20; /* 4 to 6, 6 to 4 */
    packet = parse(length);
    ck_assert_int_eq(packet.status, BL_PARSE_UNPARSABLE);
    ck_assert_int_eq(packet.family, BL_FAMILY_NONE);
}
END_TEST

START_TEST(ipv4_options)
{
    struct frame_spec spec = frame_spec_init(4);

    for (unsigned bytes = 0; bytes <= 40; bytes += 4) {
        struct bl_packet packet;

        spec.ip_options_bytes = (uint8_t)bytes;
        packet = parse_spec(&spec);
        ck_assert_int_eq(packet.status, BL_PARSE_TCP);
        ck_assert_uint_eq(packet.l4_offset, 34 + bytes);
        ck_assert_uint_eq(packet.destination_port, 25);
        ck_assert(bl_parse_verify_checksums(frame, &packet));
    }
}
END_TEST

START_TEST(ipv4_lengths_that_lie)
{
    static const struct {
        uint8_t version_and_length;
        uint16_t total_bytes;
    } broken[] = {{0x40, 40}, {0x44, 40}, {0x46, 23}, {0x4f, 40}, {0x45, 0}, {0x45, 19}, {0x45, 39}, {0x45, 41}};
    struct frame_spec spec = frame_spec_init(4);
    size_t length = frame_build(&spec, frame);

    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct bl_packet packet;

        frame[14] = broken[i].version_and_length;
        frame_store16(frame + 16, broken[i].total_bytes);
        packet = parse(length);
        ck_assert_int_eq(packet.status, BL_PARSE_UNPARSABLE);
        ck_assert_int_eq(packet.family, BL_FAMILY_IPV4);
        ck_assert_uint_eq(packet.source_ip4, 0xc0000207);
    }
}
END_TEST

START_TEST(ipv4_fragments)
{
    /* More fragments, an offset, both; DF and the reserved bit are none. */
    static const struct {
        uint16_t field;
        int status;
    } cases[] = {{0x2000, BL_PARSE_FRAGMENT}, {0x0001, BL_PARSE_FRAGMENT}, {0x1fff, BL_PARSE_FRAGMENT},
                 {0x6001, BL_PARSE_FRAGMENT}, {0x4000, BL_PARSE_TCP},      {0x8000, BL_PARSE_TCP}};
    struct frame_spec spec = frame_spec_init(4);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bl_packet packet;

        spec.fragment = cases[i].field;
        packet = parse_spec(&spec);
        ck_assert_int_eq(packet.status, cases[i].status);
        ck_assert_uint_eq(packet.source_ip4, 0xc0000207);
    }
}
END_TEST

START_TEST(ipv6_extension_headers)
{
    static const uint8_t walked[] = {0, 43, 60, 51, 135, 139, 140, 60, 60};
    struct frame_spec spec = frame_spec_init(6);

    for (unsigned n = 0; n <= 9; n++) {
        struct bl_packet packet;

        spec.n_extensions = n;
        memcpy(spec.extensions, walked, sizeof(walked));
        packet = parse_spec(&spec);
        ck_assert_int_eq(packet.status, n <= 8 ? BL_PARSE_TCP : BL_PARSE_UNPARSABLE);
        ck_assert_int_eq(packet.family, BL_FAMILY_IPV6);
        ck_assert_uint_eq(packet.source_ip6.lo, 7);
        if (n <= 8) {
            ck_assert_uint_eq(packet.l4_offset, 54 + 8 * n);
            ck_assert(bl_parse_verify_checksums(frame, &packet));
        }
    }
}
END_TEST

START_TEST(ipv6_extension_bytes)
{
    static const struct {
        unsigned n;
        uint16_t bytes;
        int status;
    } cases[] = {{1, 256, BL_PARSE_TCP},        {1, 264, BL_PARSE_UNPARSABLE}, {2, 128, BL_PARSE_TCP},
                 {2, 136, BL_PARSE_UNPARSABLE}, {8, 32, BL_PARSE_TCP},         {8, 40, BL_PARSE_UNPARSABLE}};
    struct frame_spec spec = frame_spec_init(6);

    memset(spec.extensions, 60, sizeof(spec.extensions));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        spec.n_extensions = cases[i].n;
        spec.extension_bytes = cases[i].bytes;
        ck_assert_int_eq(parse_spec(&spec).status, cases[i].status);
    }
}
END_TEST

START_TEST(ipv6_other_upper_layers)
{
    struct frame_spec spec = frame_spec_init(6);

    spec.n_extensions = 2;
    spec.extensions[1] = 44; /* a fragment header: any fragment, also one that says it is whole */
    ck_assert_int_eq(parse_spec(&spec).status, BL_PARSE_FRAGMENT);
    spec.extensions[1] = 50; /* ESP */
    ck_assert_int_eq(parse_spec(&spec).status, BL_PARSE_OTHER);
    spec.extensions[1] = 59; /* nothing follows */
    ck_assert_int_eq(parse_spec(&spec).status, BL_PARSE_OTHER);
}
END_TEST

START_TEST(ipv6_lengths_that_lie)
{
    struct frame_spec spec = frame_spec_init(6);
    size_t length;

    spec.n_extensions = 1;
    spec.extensions[0] = 60;
    length = frame_build(&spec, frame);
    frame[55] = 3; /* the header ends 4 bytes behind the packet */
    ck_assert_int_eq(parse(length).status, BL_PARSE_UNPARSABLE);
    frame[55] = 0;
    for (unsigned bytes = 0; bytes < 28; bytes++) {
        frame_store16(frame + 18, bytes);
        ck_assert_int_eq(parse(length).status, BL_PARSE_UNPARSABLE);
        ck_assert_int_eq(parse(length).family, BL_FAMILY_IPV6);
    }
    frame_store16(frame + 18, 29);
    ck_assert_int_eq(parse(length).status, BL_PARSE_UNPARSABLE);
}
END_TEST

START_TEST(what_is_not_tcp_and_not_ip)
{
    struct frame_spec spec = frame_spec_init(4);
    size_t length = frame_build(&spec, frame);

    frame[23] = 17;
    ck_assert_int_eq(parse(length).status, BL_PARSE_OTHER);
    ck_assert_uint_eq(parse(length).source_ip4, 0xc0000207);
    frame_store16(frame + 12, 0x0806);
    ck_assert_int_eq(parse(length).status, BL_PARSE_NOT_IP);
    ck_assert_int_eq(parse(length).family, BL_FAMILY_NONE);
    frame_store16(frame + 12, 60); /* a length: IEEE 802.3 */
    ck_assert_int_eq(parse(length).status, BL_PARSE_NOT_IP);
    ck_assert_int_eq(parse(0).status, BL_PARSE_NOT_IP);
}
END_TEST

START_TEST(group_mac_addresses_are_seen)
{
    struct frame_spec spec = frame_spec_init(family_of(_i));

    spec.destination_mac[0] = 0x01;
    ck_assert(parse_spec(&spec).link_group);
    spec.destination_mac[0] = 0x02;
    spec.source_mac[0] = 0xff;
    ck_assert(parse_spec(&spec).link_group);
}
END_TEST

START_TEST(every_flipped_bit_breaks_a_checksum)
{
    struct frame_spec spec = frame_spec_init(family_of(_i));
    struct bl_packet packet;
    size_t length;

    spec.ip_options_bytes = 8;
    spec.n_extensions = 1;
    spec.extensions[0] = 60;
    spec.payload = (const uint8_t *)"odd";
    spec.payload_bytes = 3;
    spec.padding_bytes = 5;
    length = frame_build(&spec, frame);
    packet = parse(length);
    ck_assert(bl_parse_verify_checksums(frame, &packet));
    for (size_t bit = 14 * 8; bit < (length - 5) * 8; bit++) {
        /* IPv6 has no checksum of its own: only its addresses count. */
        bool covered = spec.family == 4 || bit / 8 >= packet.l4_offset || (bit / 8 >= 22 && bit / 8 < 54);

        frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ck_assert_int_eq(bl_parse_verify_checksums(frame, &packet), !covered);
        frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    memset(frame + length - 5, 0, 5);
    ck_assert(bl_parse_verify_checksums(frame, &packet));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("parse");
    TCase *both = tcase_create("both families");
    TCase *one = tcase_create("one family");
    SRunner *runner;
    int n_failed;

    tcase_add_loop_test(both, every_field_of_a_plain_segment, 0, 2);
    tcase_add_loop_test(both, up_to_four_tags_of_any_kind, 0, 2);
    tcase_add_loop_test(both, no_cut_frame_is_a_segment, 0, 2);
    tcase_add_loop_test(both, padding_is_not_payload, 0, 2);
    tcase_add_loop_test(both, frames_as_large_as_offload_makes_them, 0, 2);
    tcase_add_loop_test(both, tcp_options_are_skipped_unread, 0, 2);
    tcase_add_loop_test(both, data_offset_out_of_range, 0, 2);
    tcase_add_loop_test(both, wrong_version, 0, 2);
    tcase_add_loop_test(both, group_mac_addresses_are_seen, 0, 2);
    tcase_add_loop_test(both, every_flipped_bit_breaks_a_checksum, 0, 2);
    tcase_add_test(one, ipv4_options);
    tcase_add_test(one, ipv4_lengths_that_lie);
    tcase_add_test(one, ipv4_fragments);
    tcase_add_test(one, ipv6_extension_headers);
    tcase_add_test(one, ipv6_extension_bytes);
    tcase_add_test(one, ipv6_other_upper_layers);
    tcase_add_test(one, ipv6_lengths_that_lie);
    tcase_add_test(one, what_is_not_tcp_and_not_ip);
    suite_add_tcase(suite, both);
    suite_add_tcase(suite, one);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
