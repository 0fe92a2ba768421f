/* segment.c: the frame of an answer, read with the tests' own eyes. The frame in lies in a heap block of its size, the
 * frame out in one of BL_SEGMENT_FRAME_MAX. */
#include <check.h>
#include <stdlib.h>

#include "dataplane/segment.h"
#include "frame_view.h"

static uint8_t received[FRAME_BYTES_MAX];
static uint8_t *out;

static void set_up(void)
{
    out = malloc(BL_SEGMENT_FRAME_MAX);
    ck_assert_ptr_nonnull(out);
    memset(out, 0xa5, BL_SEGMENT_FRAME_MAX);
}

static void tear_down(void)
{
    free(out);
}

static uint8_t family_of(int i)
{
    return i == 0 ? 4 : 6;
}

static size_t build(const struct frame_spec *spec, const struct bl_reply *reply)
{
    struct bl_packet packet;
    size_t length = frame_build(spec, received);
    uint8_t *exact = malloc(length);

    ck_assert_ptr_nonnull(exact);
    memcpy(exact, received, length);
    bl_parse_frame(exact, length, &packet);
    ck_assert_int_eq(packet.status, BL_PARSE_TCP);
    length = bl_segment_build(exact, &packet, reply, out);
    free(exact);
    ck_assert_uint_ge(length, 60);
    ck_assert_uint_le(length, BL_SEGMENT_FRAME_MAX);
    return length;
}

START_TEST(answer_goes_back_the_way_it_came)
{
    struct frame_spec spec = frame_spec_init(family_of(_i));
    struct bl_reply reply = {.flags = BL_TCP_PSH | BL_TCP_ACK,
                             .sequence = 0xfffffff0,
                             .acknowledgement = 0x80000001,
                             .window = 8192,
                             .payload_bytes = 5,
                             .payload = "250 x"};
    struct frame_view view;

    for (unsigned n_tags = 0; n_tags <= 4; n_tags++) {
        size_t length;

        spec.n_tags = n_tags;
        for (unsigned i = 0; i < n_tags; i++)
            spec.tags[i] = i == 0 ? 0x88a8 : 0x8100;
        length = build(&spec, &reply);
        ck_assert(frame_view_read(out, length, &view));
        ck_assert(view.checksums_right);
        ck_assert_mem_eq(out, spec.source_mac, 6);
        ck_assert_mem_eq(out + 6, spec.destination_mac, 6);
        ck_assert_mem_eq(out + 12, received + 12, 2 + 4 * n_tags);
        ck_assert_mem_eq(view.source, spec.destination, spec.family == 4 ? 4 : 16);
        ck_assert_mem_eq(view.destination, spec.source, spec.family == 4 ? 4 : 16);
        ck_assert_uint_eq(view.source_port, 25);
        ck_assert_uint_eq(view.destination_port, 40007);
        ck_assert_uint_eq(view.sequence, 0xfffffff0);
        ck_assert_uint_eq(view.acknowledgement, 0x80000001);
        ck_assert_uint_eq(view.flags, FRAME_PSH | FRAME_ACK);
        ck_assert_uint_eq(view.window, 8192);
        ck_assert_uint_eq(view.payload - view.tcp, 20);
        ck_assert_uint_eq(view.payload_bytes, 5);
        ck_assert_mem_eq(out + view.payload, "250 x", 5);
    }
}
END_TEST

/* In the name of the source, to whom it was sent: everything as it was. */
START_TEST(onward_keeps_the_way_it_went)
{
    struct frame_spec spec = frame_spec_init(family_of(_i));
    struct bl_reply reply = {.flags = BL_TCP_RST, .onward = true, .sequence = 0xfffffff0};
    struct frame_view view;
    size_t length;

    spec.n_tags = 1;
    spec.tags[0] = 0x8100;
    length = build(&spec, &reply);
    ck_assert(frame_view_read(out, length, &view));
    ck_assert(view.checksums_right);
    ck_assert_mem_eq(out, received, 18);
    ck_assert_mem_eq(view.source, spec.source, spec.family == 4 ? 4 : 16);
    ck_assert_mem_eq(view.destination, spec.destination, spec.family == 4 ? 4 : 16);
    ck_assert_uint_eq(view.source_port, 40007);
    ck_assert_uint_eq(view.destination_port, 25);
    ck_assert_uint_eq(view.sequence, 0xfffffff0);
    ck_assert_uint_eq(view.acknowledgement, 0);
    ck_assert_uint_eq(view.flags, FRAME_RST);
}
END_TEST

START_TEST(ip_header_is_plain)
{
    struct frame_spec spec = frame_spec_init(family_of(_i));
    struct bl_reply reply = {.flags = BL_TCP_ACK, .window = 8192};

    /* Options, extension headers, traffic class, flow label and hop limit of the peer stay with the peer. */
    spec.ip_options_bytes = 40;
    spec.n_extensions = 3;
    memset(spec.extensions, 60, 3);
    build(&spec, &reply);
    if (spec.family == 4) {
        ck_assert_mem_eq(out + 14, "\x45\x00\x00\x28\x00\x00\x40\x00\x40\x06", 10);
        ck_assert_uint_eq(frame_sum(0, out + 14, 20), 0xffff);
    } else {
        ck_assert_mem_eq(out + 14, "\x60\x00\x00\x00\x00\x14\x06\x40", 8);
    }
}
END_TEST

START_TEST(short_answers_are_padded_with_zeros)
{
    struct frame_spec spec = frame_spec_init(4);
    struct bl_reply reply = {.flags = BL_TCP_ACK};
    static const uint8_t zeros[6];

    ck_assert_uint_eq(build(&spec, &reply), 60);
    ck_assert_mem_eq(out + 54, zeros, 6);
    ck_assert_uint_eq(out[60], 0xa5);
}
END_TEST

START_TEST(mss_is_the_only_option)
{
    struct frame_spec spec = frame_spec_init(family_of(_i));
    struct bl_reply reply = {.flags = BL_TCP_SYN | BL_TCP_ACK, .mss = 1220, .window = 8192};
    struct frame_view view;
    size_t length = build(&spec, &reply);

    ck_assert(frame_view_read(out, length, &view));
    ck_assert(view.checksums_right);
    ck_assert_uint_eq(view.payload - view.tcp, 24);
    ck_assert_mem_eq(out + view.tcp + 20, "\x02\x04\x04\xc4", 4);
}
END_TEST

/* The largest answer that a caller may ask for fills the room to the last byte, but for the options it has not. */
START_TEST(largest_answer_fits)
{
    struct frame_spec spec = frame_spec_init(family_of(_i));
    struct bl_reply reply = {.flags = BL_TCP_ACK, .mss = 1220, .payload_bytes = BL_REJECT_PAYLOAD_MAX_IPV6};
    struct frame_view view;
    size_t length;

    memset(reply.payload, 'x', sizeof(reply.payload));
    spec.n_tags = 4;
    for (unsigned i = 0; i < 4; i++)
        spec.tags[i] = 0x9100;
    length = build(&spec, &reply);
    ck_assert_uint_eq(length, spec.family == 6 ? BL_SEGMENT_FRAME_MAX : BL_SEGMENT_FRAME_MAX - 20);
    ck_assert(frame_view_read(out, length, &view));
    ck_assert(view.checksums_right);
}
END_TEST

/* Odd and even lengths, and a sum for which 0xffff and 0 could be mixed up. */
START_TEST(checksums_for_every_length)
{
    struct frame_spec spec = frame_spec_init(family_of(_i));
    struct bl_reply reply = {.flags = BL_TCP_PSH | BL_TCP_ACK};
    struct frame_view view;

    for (unsigned bytes = 0; bytes <= 536; bytes++) {
        size_t length;

        reply.payload_bytes = (uint16_t)bytes;
        memset(reply.payload, (int)(bytes % 3 == 0 ? 0xff : bytes), bytes);
        reply.sequence = bytes * 2654435761u;
        length = build(&spec, &reply);
        ck_assert(frame_view_read(out, length, &view));
        ck_assert(view.checksums_right);
        ck_assert_uint_eq(view.payload_bytes, bytes);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("segment");
    TCase *both = tcase_create("both families");
    SRunner *runner;
    int n_failed;

    tcase_add_checked_fixture(both, set_up, tear_down);
    tcase_add_loop_test(both, answer_goes_back_the_way_it_came, 0, 2);
    tcase_add_loop_test(both, onward_keeps_the_way_it_went, 0, 2);
    tcase_add_loop_test(both, ip_header_is_plain, 0, 2);
    tcase_add_test(both, short_answers_are_padded_with_zeros);
    tcase_add_loop_test(both, mss_is_the_only_option, 0, 2);
    tcase_add_loop_test(both, largest_answer_fits, 0, 2);
    tcase_add_loop_test(both, checksums_for_every_length, 0, 2);
    suite_add_tcase(suite, both);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
