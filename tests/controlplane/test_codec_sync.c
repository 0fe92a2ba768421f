/* What data planes say, and the frames they get. */
#include <check.h>
#include <stdlib.h>

#include "controlplane/codec_sync.h"
#include "controlplane/wire_writer.h"

static int decode(unsigned kind, const struct wire *inner, struct bl_codec_sync_message *message)
{
    struct wire wire = {.n = 0};
    struct bl_error_detail detail;

    wire_nested(&wire, kind, inner);
    return bl_codec_sync_decode(wire.data, wire.n, message, &detail);
}

START_TEST(a_hello_is_understood)
{
    struct wire hello = {.n = 0};
    struct bl_codec_sync_message message;

    wire_number(&hello, 1, 1);
    wire_text(&hello, 2, "bounceline-dataplane 0.1.0");
    wire_text(&hello, 3, "edge-1");
    wire_number(&hello, 4, 11);
    wire_number(&hello, 5, 12);
    wire_number(&hello, 6, 13);
    wire_number(&hello, 7, 14);
    wire_number(&hello, 8, 4);
    ck_assert_int_eq(decode(1, &hello, &message), BL_OK);
    ck_assert_int_eq(message.kind, BL_CODEC_SYNC_HELLO);
    ck_assert_uint_eq(message.protocol_version, 1);
    ck_assert_str_eq(message.name, "edge-1");
    ck_assert_uint_eq(message.epoch, 11);
    ck_assert_uint_eq(message.serial, 12);
    ck_assert_uint_eq(message.digest.hi, 13);
    ck_assert_uint_eq(message.digest.lo, 14);
    ck_assert_uint_eq(message.n_workers, 4);
}
END_TEST

/* Names go to the log and to clients. */
START_TEST(names_are_plain)
{
    static const char *const bad[] = {"", "a\nb", "caf\xc3\xa9",
                                      "0123456789012345678901234567890123456789012345678901234567890123"};
    struct bl_codec_sync_message message;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct wire hello = {.n = 0};

        wire_number(&hello, 1, 1);
        wire_text(&hello, 2, "v");
        wire_text(&hello, 3, bad[i]);
        ck_assert_int_eq(decode(1, &hello, &message), BL_EINVAL);
    }
}
END_TEST

/* Each worker takes its checksum when it has time: one of an earlier serial must not be compared with a later one's. */
START_TEST(a_checksum_of_another_serial_is_none)
{
    static const struct {
        uint64_t serial;
        uint64_t kept;
    } cases[] = {{44, 77}, {43, 0}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bl_codec_sync_message message;
        struct wire worker = {.n = 0};
        struct wire report = {.n = 0};

        wire_number(&worker, 2, 44);
        wire_number(&worker, 3, 77);
        wire_number(&worker, 4, cases[i].serial);
        wire_nested(&report, 7, &worker);
        ck_assert_int_eq(decode(6, &report, &message), BL_OK);
        ck_assert_uint_eq(message.report.workers[0].checksum, cases[i].kept);
    }
}
END_TEST

START_TEST(a_report_is_kept)
{
    struct wire worker = {.n = 0};
    struct wire counter = {.n = 0};
    struct wire report = {.n = 0};
    struct bl_codec_sync_message message;

    wire_number(&worker, 1, 3);
    wire_number(&worker, 2, 44);
    wire_text(&counter, 1, "reject_syn");
    wire_number(&counter, 2, 55);
    wire_number(&report, 2, 44);
    wire_nested(&report, 7, &worker);
    wire_nested(&report, 8, &counter);
    ck_assert_int_eq(decode(6, &report, &message), BL_OK);
    ck_assert_int_eq(message.kind, BL_CODEC_SYNC_REPORT);
    ck_assert_uint_eq(message.report.n_workers, 1);
    ck_assert_uint_eq(message.report.workers[0].worker, 3);
    ck_assert_uint_eq(message.report.workers[0].serial, 44);
    ck_assert_str_eq(message.report.counters[0].name, "reject_syn");
    ck_assert_uint_eq(message.report.counters[0].value, 55);
}
END_TEST

/* A sample as a data plane of another make would send it; @field is left out, or said as @value. */
static struct wire sample_with(unsigned field, uint64_t value)
{
    static const struct {
        unsigned field;
        uint64_t value;
    } numbers[] = {{1, 1795615323123}, {4, 40000}, {5, 25}, {6, 62}, {8, BL_DENIED_AT_RCPT}, {9, 63}, {10, 17}};
    /* As long as a length of one byte says at most. */
    static const uint8_t source[128] = {0xc6, 0x33, 0x64, 0x0a, [15] = 1};
    static const uint8_t destination[128] = {0xc0, 0x00, 0x02, 0x19, [15] = 2};
    struct wire sample = {.n = 0};

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        wire_number(&sample, numbers[i].field, numbers[i].field == field ? value : numbers[i].value);
    wire_bytes(&sample, 2, source, field == 2 ? (size_t)value : 4);
    wire_bytes(&sample, 3, destination, field == 3 ? (size_t)value : 4);
    wire_text(&sample, 7, field == 7 ? "of_another_version" : "reject_bounce");
    return sample;
}

START_TEST(rejects_are_taken)
{
    struct bl_codec_sync_message message;
    struct wire rejects = {.n = 0};
    struct wire sample = sample_with(0, 0);
    const struct bl_codec_sync_reject *taken = &message.rejects.rejects[0];
    char text[BL_ADDRESS_TEXT_MAX];

    wire_nested(&rejects, 1, &sample);
    sample = sample_with(7, 0);
    wire_nested(&rejects, 1, &sample);
    sample = sample_with(3, 0);
    wire_nested(&rejects, 1, &sample);
    ck_assert_int_eq(decode(7, &rejects, &message), BL_OK);
    ck_assert_int_eq(message.kind, BL_CODEC_SYNC_REJECTS);
    ck_assert_uint_eq(message.rejects.n, 3);
    ck_assert_int_eq(taken->time_ms, 1795615323123);
    ck_assert_str_eq(bl_address_format(&taken->source, text), "198.51.100.10");
    ck_assert_str_eq(bl_address_format(&taken->destination, text), "192.0.2.25");
    ck_assert_uint_eq(taken->source_port, 40000);
    ck_assert_uint_eq(taken->destination_port, 25);
    ck_assert_uint_eq(taken->class_id, 62);
    ck_assert_uint_eq(taken->reason, BL_REASON_REJECT_BOUNCE);
    ck_assert_uint_eq(taken->denied_at, BL_DENIED_AT_RCPT);
    ck_assert_uint_eq(taken->worker, 63);
    ck_assert_uint_eq(taken->weight, 17);
    ck_assert_uint_eq(message.rejects.rejects[1].reason, BL_REASON_COUNT);
    ck_assert_str_eq(bl_address_format(&taken[2].source, text), "198.51.100.10");
    ck_assert_uint_eq(taken[2].destination.family, BL_FAMILY_NONE);
}
END_TEST

START_TEST(a_sample_out_of_range_refuses_all)
{
    static const struct {
        unsigned field;
        uint64_t value;
    } cases[] = {{1, UINT64_MAX}, {2, 3},  {2, 16}, {3, 3},  {4, 65536}, {5, 65536},
                 {6, 0},          {6, 63}, {8, 5},  {9, 64}, {10, 0}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bl_codec_sync_message message;
        struct wire rejects = {.n = 0};
        struct wire sample = sample_with(0, 0);

        wire_nested(&rejects, 1, &sample);
        sample = sample_with(cases[i].field, cases[i].value);
        wire_nested(&rejects, 1, &sample);
        ck_assert_msg(decode(7, &rejects, &message) == BL_EINVAL, "field %u", cases[i].field);
    }
}
END_TEST

/* Empty ones: their number alone is too large. */
START_TEST(too_many_samples_are_refused)
{
    static struct bl_codec_sync_message message;
    struct wire rejects = {.n = 0};

    for (int i = 0; i <= BL_CODEC_SYNC_REJECTS_MAX; i++)
        wire_bytes(&rejects, 1, "", 0);
    ck_assert_int_eq(decode(7, &rejects, &message), BL_ETOOBIG);
}
END_TEST

/* Deltas and snapshots go one way only; an empty message says nothing. */
START_TEST(what_a_data_plane_may_not_say_is_refused)
{
    struct wire empty = {.n = 0};
    struct bl_codec_sync_message message;
    struct bl_error_detail detail;

    ck_assert_int_eq(decode(3, &empty, &message), BL_EINVAL);
    ck_assert_int_eq(decode(4, &empty, &message), BL_EINVAL);
    ck_assert_int_eq(bl_codec_sync_decode(empty.data, 0, &message, &detail), BL_EINVAL);
}
END_TEST

static struct bl_list_change change_of(const char *text, uint8_t class_id)
{
    struct bl_list_change change = {.class_id = class_id};

    ck_assert_int_eq(bl_address_parse_prefix(text, 64, &change.prefix, NULL), BL_OK);
    return change;
}

START_TEST(a_delta_has_its_columns)
{
    const struct bl_list_change changes[] = {change_of("192.0.2.0/24", 1), change_of("2001:db8::/48", 63),
                                             change_of("192.0.2.1", 0)};
    struct bl_class classes[BL_CLASS_COUNT] = {[1] = {.code = 606, .action = 1, .url = "https://x.example/"},
                                               [2] = {.code = 607, .action = 1, .url = "https://x.example/"}};
    struct bl_codec_sync_part part = {.epoch = 1,
                                      .from_serial = 2,
                                      .serial = 3,
                                      .last = true,
                                      .classes = classes,
                                      .classes_mask = 1u << 2,
                                      .entries = changes,
                                      .n_entries = 3,
                                      .digest = {0x1234, 0x5678}};
    struct bl_codec_bytes frame;
    struct wire_found delta;
    struct wire_found found;

    ck_assert_int_eq(bl_codec_sync_encode_delta(&part, &frame), BL_OK);
    ck_assert_uint_eq((size_t)frame.data[2] << 8 | frame.data[3], frame.length - 4);
    ck_assert(wire_find(frame.data + 4, frame.length - 4, 4, 0, &delta));
    ck_assert(wire_find(delta.bytes, delta.length, 2, 0, &found) && found.number == 2);
    ck_assert(wire_find(delta.bytes, delta.length, 3, 0, &found) && found.number == 3);
    ck_assert(!wire_find(delta.bytes, delta.length, 4, 0, &found));                       /* not partial */
    ck_assert(wire_find(delta.bytes, delta.length, 5, 0, &found) && found.bytes[1] == 2); /* class 2, not 1 */
    ck_assert(wire_find(delta.bytes, delta.length, 6, 0, &found) && found.length == 8);
    ck_assert_int_eq(memcmp(found.bytes, "\xc0\x00\x02\x00\xc0\x00\x02\x01", 8), 0);
    ck_assert(wire_find(delta.bytes, delta.length, 7, 0, &found) && memcmp(found.bytes, "\x18\x20", 2) == 0);
    ck_assert(wire_find(delta.bytes, delta.length, 8, 0, &found) && memcmp(found.bytes, "\x01\x00", 2) == 0);
    ck_assert(wire_find(delta.bytes, delta.length, 9, 0, &found) && found.length == 16);
    ck_assert(wire_find(delta.bytes, delta.length, 11, 0, &found) && found.bytes[0] == 63);
    ck_assert(wire_find(delta.bytes, delta.length, 12, 0, &found) && found.number == 0x1234);
    bl_codec_bytes_fini(&frame);
}
END_TEST

/* The largest part, IPv6 with all classes and the longest URLs, stays under 1 MiB. */
START_TEST(the_largest_frame_is_under_1_mib)
{
    struct bl_list_change *changes = calloc(BL_CODEC_SYNC_ENTRIES_MAX, sizeof(*changes));
    struct bl_class classes[BL_CLASS_COUNT];
    struct bl_codec_sync_part part = {.epoch = UINT64_MAX,
                                      .serial = UINT64_MAX,
                                      .last = true,
                                      .classes = classes,
                                      .classes_mask = UINT64_MAX,
                                      .entries = changes,
                                      .n_entries = BL_CODEC_SYNC_ENTRIES_MAX};
    struct bl_codec_bytes frame;

    for (int i = 0; i < BL_CODEC_SYNC_ENTRIES_MAX; i++)
        changes[i] = change_of("2001:db8::/64", 1);
    for (int i = 0; i < BL_CLASS_COUNT; i++) {
        classes[i] = (struct bl_class){.code = 606, .action = 1, .self_service = true};
        memset(classes[i].url, 'u', BL_CLASS_URL_MAX);
    }
    ck_assert_int_eq(bl_codec_sync_encode_snapshot(&part, &frame), BL_OK);
    ck_assert_uint_le(frame.length, 1 << 20);
    bl_codec_bytes_fini(&frame);
    free(changes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("codec_sync");
    TCase *tcase = tcase_create("codec_sync");
    SRunner *runner;
    int n_failed;

    tcase_add_test(tcase, a_hello_is_understood);
    tcase_add_test(tcase, names_are_plain);
    tcase_add_test(tcase, a_report_is_kept);
    tcase_add_test(tcase, a_checksum_of_another_serial_is_none);
    tcase_add_test(tcase, rejects_are_taken);
    tcase_add_test(tcase, a_sample_out_of_range_refuses_all);
    tcase_add_test(tcase, too_many_samples_are_refused);
    tcase_add_test(tcase, what_a_data_plane_may_not_say_is_refused);
    tcase_add_test(tcase, a_delta_has_its_columns);
    tcase_add_test(tcase, the_largest_frame_is_under_1_mib);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
