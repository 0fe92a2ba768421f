/* TableSync's messages as another make would send them: decoded to the right terms, or refused whole. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "bounceline/version.h"
#include "controlplane/wire_writer.h"
#include "dataplane/sync_codec.h"
#include "proto/wire.h"

/* Field numbers of table_sync.proto. */
enum { HELLO = 1, REFUSAL = 2, SNAPSHOT = 3, DELTA = 4, ACK = 5, REPORT = 6, REJECTS = 7 };
enum { CLASSES = 5, IPV4_ADDRESSES = 6, IPV4_LENGTHS = 7, IPV4_CLASSES = 8, IPV6_ADDRESSES = 9 };

static struct bl_error_detail detail;

/* Decodes `inner` as member `field` of a SyncMessage. */
static int decode(unsigned field, const struct wire *inner, struct bl_sync_message **out)
{
    struct wire outer = {.n = 0};

    wire_nested(&outer, field, inner);
    *out = NULL;
    detail.text[0] = '\0';
    return bl_sync_codec_decode(outer.data, outer.n, out, &detail);
}

static struct wire delta_start(void)
{
    struct wire wire = {.n = 0};

    wire_number(&wire, 1, 7);
    wire_number(&wire, 2, 100);
    wire_number(&wire, 3, 101);
    return wire;
}

static void add_entry_ip4(struct wire *wire, const char *addresses, const char *lengths, const char *classes, size_t n)
{
    wire_bytes(wire, IPV4_ADDRESSES, addresses, 4 * n);
    wire_bytes(wire, IPV4_LENGTHS, lengths, n);
    wire_bytes(wire, IPV4_CLASSES, classes, n);
}

static struct wire class_definition(unsigned id, unsigned code, unsigned action, const char *url)
{
    struct wire wire = {.n = 0};

    wire_number(&wire, 1, id);
    wire_number(&wire, 2, code);
    wire_number(&wire, 3, action);
    wire_text(&wire, 5, url);
    return wire;
}

static void assert_refused(unsigned field, const struct wire *wire, const char *word)
{
    struct bl_sync_message *message;

    ck_assert_int_ne(decode(field, wire, &message), BL_OK);
    ck_assert_ptr_null(message);
    ck_assert_msg(strstr(detail.text, word) != NULL, "'%s' does not say '%s'", detail.text, word);
}

START_TEST(a_delta_decodes)
{
    struct wire wire = delta_start();
    struct wire class = class_definition(62, 649, BL_ACTION_RESET, "https://x.example/?a={address}");
    struct bl_sync_message *message;
    struct bl_table_entry entry;
    char text[BL_ADDRESS_TEXT_MAX];

    wire_nested(&wire, CLASSES, &class);
    add_entry_ip4(&wire, "\xc0\x00\x02\x00\x0a\x00\x00\x00", "\x18\x08", "\x3e\x00", 2);
    wire_bytes(&wire, IPV6_ADDRESSES, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    wire_bytes(&wire, 10, "\x20", 1);
    wire_bytes(&wire, 11, "\x3f", 1);
    wire_number(&wire, 12, 0x1122334455667788);
    wire_number(&wire, 13, 5);
    ck_assert_int_eq(decode(DELTA, &wire, &message), BL_OK);
    ck_assert_int_eq(message->kind, BL_SYNC_DELTA);
    ck_assert_uint_eq(message->epoch, 7);
    ck_assert_uint_eq(message->from_serial, 100);
    ck_assert_uint_eq(message->serial, 101);
    ck_assert(message->last);
    ck_assert_uint_eq(message->digest.hi, 0x1122334455667788);
    ck_assert_uint_eq(message->digest.lo, 5);
    ck_assert_uint_eq(message->classes_mask, UINT64_C(1) << 62);
    ck_assert_uint_eq(message->classes[62].code, 649);
    ck_assert_uint_eq(message->classes[62].action, BL_ACTION_RESET);
    ck_assert_str_eq(message->classes[62].url, "https://x.example/?a={address}");
    ck_assert_uint_eq(message->n_entries, 3);
    bl_sync_codec_entry(message, 0, &entry);
    ck_assert_str_eq(bl_address_format_prefix(&entry.prefix, text), "192.0.2.0/24");
    ck_assert_uint_eq(entry.class_id, 62);
    bl_sync_codec_entry(message, 1, &entry);
    ck_assert_str_eq(bl_address_format_prefix(&entry.prefix, text), "10.0.0.0/8");
    ck_assert_uint_eq(entry.class_id, 0);
    bl_sync_codec_entry(message, 2, &entry);
    ck_assert_str_eq(bl_address_format_prefix(&entry.prefix, text), "2001:db8::/32");
    ck_assert_uint_eq(entry.class_id, BL_CLASS_EXEMPT);
    bl_sync_codec_free(message);
}
END_TEST

START_TEST(a_snapshot_holds_no_removals)
{
    struct wire wire = {.n = 0};
    struct bl_sync_message *message;

    wire_number(&wire, 1, 7);
    wire_number(&wire, 2, 100);
    wire_number(&wire, 4, 1);
    add_entry_ip4(&wire, "\xc0\x00\x02\x00", "\x18", "\x01", 1);
    wire_number(&wire, 14, 1);
    ck_assert_int_eq(decode(SNAPSHOT, &wire, &message), BL_OK);
    ck_assert_int_eq(message->kind, BL_SYNC_SNAPSHOT);
    ck_assert(message->last);
    ck_assert_uint_eq(message->n_entries_all, 1);
    bl_sync_codec_free(message);
    wire.n = 0;
    wire_number(&wire, 1, 7);
    add_entry_ip4(&wire, "\xc0\x00\x02\x00", "\x18", "\x00", 1);
    assert_refused(SNAPSHOT, &wire, "class 0");
}
END_TEST

START_TEST(classes_come_in_the_first_chunk_only)
{
    struct wire class = class_definition(1, 606, BL_ACTION_REJECT, "https://x.example/");
    struct wire wire = {.n = 0};

    wire_number(&wire, 1, 7);
    wire_number(&wire, 3, 1);
    wire_nested(&wire, CLASSES, &class);
    assert_refused(SNAPSHOT, &wire, "first chunk");
}
END_TEST

START_TEST(entries_that_are_none_are_refused)
{
    static const struct {
        const char *addresses, *lengths, *classes, *word;
    } cases[] = {
        {"\xc0\x00\x02\x01", "\x18", "\x01", "below its length"},
        {"\xc0\x00\x02\x00", "\x21", "\x01", "33"},
        {"\xc0\x00\x02\x00", "\xff", "\x01", "255"},
        {"\xc0\x00\x02\x00", "\x18", "\x40", "class 64"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wire wire = delta_start();

        add_entry_ip4(&wire, cases[i].addresses, cases[i].lengths, cases[i].classes, 1);
        assert_refused(DELTA, &wire, cases[i].word);
    }
}
END_TEST

START_TEST(columns_must_fit_together)
{
    struct wire wire = delta_start();

    wire_bytes(&wire, IPV4_ADDRESSES, "\xc0\x00\x02\x00\x00", 5);
    wire_bytes(&wire, IPV4_LENGTHS, "\x18", 1);
    wire_bytes(&wire, IPV4_CLASSES, "\x01", 1);
    assert_refused(DELTA, &wire, "fit together");
    wire = delta_start();
    wire_bytes(&wire, IPV6_ADDRESSES, "0123456789abcdef", 16);
    assert_refused(DELTA, &wire, "ipv6");
    wire = delta_start();
    wire_bytes(&wire, IPV4_LENGTHS, "\x18\x18", 2);
    assert_refused(DELTA, &wire, "ipv4");
}
END_TEST

START_TEST(classes_that_can_not_be_said_are_refused)
{
    static const char url[] = "https://x.example/";
    const struct wire cases[] = {
        class_definition(0, 606, BL_ACTION_REJECT, url),
        class_definition(63, 606, BL_ACTION_REJECT, url),
        class_definition(1, 605, BL_ACTION_REJECT, url),
        class_definition(1, 650, BL_ACTION_REJECT, url),
        class_definition(1, 66142, BL_ACTION_REJECT, url),
        class_definition(1, 606, 0, url),
        class_definition(1, 606, 5, url),
        class_definition(1, 606, 257, url),
        class_definition(1, 606, BL_ACTION_REJECT, "ftp://x"),
        class_definition(1, 606, BL_ACTION_REJECT, "https://x\r\n"),
        class_definition(1, 606, BL_ACTION_REJECT, ""),
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wire wire = delta_start();

        wire_nested(&wire, CLASSES, &cases[i]);
        assert_refused(DELTA, &wire, "");
    }
}
END_TEST

START_TEST(a_class_defined_twice_is_refused)
{
    struct wire class = class_definition(1, 606, BL_ACTION_REJECT, "https://x.example/");
    struct wire wire = delta_start();

    wire_nested(&wire, CLASSES, &class);
    wire_nested(&wire, CLASSES, &class);
    assert_refused(DELTA, &wire, "twice");
}
END_TEST

START_TEST(a_delta_leads_forward)
{
    struct wire wire = {.n = 0};

    wire_number(&wire, 1, 7);
    wire_number(&wire, 2, 100);
    wire_number(&wire, 3, 100);
    assert_refused(DELTA, &wire, "back");
    wire.n = 0;
    wire_number(&wire, 3, 1);
    assert_refused(DELTA, &wire, "epoch");
}
END_TEST

START_TEST(what_is_no_message_is_refused)
{
    struct bl_sync_message *message = NULL;
    struct wire wire = {.n = 0};

    ck_assert_int_ne(bl_sync_codec_decode(wire.data, 0, &message, &detail), BL_OK);
    ck_assert_int_ne(bl_sync_codec_decode((const uint8_t *)"\xff\xff\xff", 3, &message, &detail), BL_OK);
    assert_refused(ACK, &wire, "control plane");
    assert_refused(REPORT, &wire, "control plane");
    wire = delta_start();
    wire_number(&wire, 99, 1);
    assert_refused(DELTA, &wire, "unknown field");
    ck_assert_ptr_null(message);
}
END_TEST

START_TEST(hello_and_refusal_decode)
{
    struct wire wire = {.n = 0};
    struct bl_sync_message *message;

    wire_number(&wire, 1, 9);
    wire_number(&wire, 4, 7);
    wire_number(&wire, 5, 8);
    ck_assert_int_eq(decode(HELLO, &wire, &message), BL_OK);
    ck_assert_int_eq(message->kind, BL_SYNC_HELLO);
    ck_assert_uint_eq(message->protocol_version, 9); /* the feed's to refuse */
    ck_assert_uint_eq(message->epoch, 7);
    ck_assert_uint_eq(message->serial, 8);
    bl_sync_codec_free(message);
    wire.n = 0;
    wire_number(&wire, 1, 77);
    wire_text(&wire, 2, "because");
    ck_assert_int_eq(decode(REFUSAL, &wire, &message), BL_OK);
    ck_assert_int_eq(message->kind, BL_SYNC_REFUSAL);
    ck_assert_uint_eq(message->refusal, 77);
    ck_assert_str_eq(message->refusal_detail.text, "because");
    bl_sync_codec_free(message);
}
END_TEST

/* The body's member `field` of an encoded frame. */
static struct wire_found body_of(const struct bl_sync_frame *frame, unsigned field)
{
    struct wire_found found = {0};
    size_t length = 0;

    ck_assert_int_eq(bl_wire_frame_parse(frame->data, &length), BL_OK);
    ck_assert_uint_eq(length + BL_WIRE_FRAME_HEADER_BYTES, frame->length);
    ck_assert(wire_find(frame->data + BL_WIRE_FRAME_HEADER_BYTES, length, field, 0, &found));
    return found;
}

static uint64_t number_in(const struct wire_found *body, unsigned field)
{
    struct wire_found found;

    return wire_find(body->bytes, body->length, field, 0, &found) ? found.number : 0;
}

START_TEST(hello_ack_and_refusal_encode)
{
    struct bl_sync_hello hello = {"edge-1", 7, 8, {9, 10}, 4};
    struct bl_sync_frame frame;
    struct wire_found body, text;

    ck_assert_int_eq(bl_sync_codec_encode_hello(&hello, &frame), BL_OK);
    body = body_of(&frame, HELLO);
    ck_assert_uint_eq(number_in(&body, 1), BL_VERSION_SYNC);
    ck_assert(wire_find(body.bytes, body.length, 3, 0, &text));
    ck_assert_int_eq(memcmp(text.bytes, "edge-1", 6), 0);
    for (unsigned field = 4; field <= 7; field++)
        ck_assert_uint_eq(number_in(&body, field), field + 3);
    ck_assert_uint_eq(number_in(&body, 8), 4);
    free(frame.data);
    ck_assert_int_eq(bl_sync_codec_encode_ack(1, 2, (struct bl_digest){3, 4}, &frame), BL_OK);
    body = body_of(&frame, ACK);
    for (unsigned field = 1; field <= 4; field++)
        ck_assert_uint_eq(number_in(&body, field), field);
    free(frame.data);
    ck_assert_int_eq(bl_sync_codec_encode_refusal(BL_SYNC_REFUSAL_DIGEST, "why", &frame), BL_OK);
    body = body_of(&frame, REFUSAL);
    ck_assert_uint_eq(number_in(&body, 1), 5);
    free(frame.data);
}
END_TEST

START_TEST(a_full_report_encodes)
{
    static struct bl_sync_report report = {.epoch = 1, .serial = 2, .digest = {3, 4}, .n_ipv4 = 5, .n_ipv6 = 6};
    struct bl_sync_frame frame;
    struct wire_found body, item;

    report.n_workers = BL_SYNC_WORKERS_MAX;
    report.n_counters = BL_SYNC_COUNTERS_MAX;
    for (unsigned i = 0; i < BL_SYNC_WORKERS_MAX; i++)
        report.workers[i] = (struct bl_sync_worker){100 + i, 200 + i, 300 + i, 400 + i, 500 + i};
    for (unsigned i = 0; i < BL_SYNC_COUNTERS_MAX; i++)
        report.counters[i] = (struct bl_sync_counter){"a_counter", 1000 + i};
    ck_assert_int_eq(bl_sync_codec_encode_report(&report, &frame), BL_OK);
    body = body_of(&frame, REPORT);
    for (unsigned field = 1; field <= 6; field++)
        ck_assert_uint_eq(number_in(&body, field), field);
    for (unsigned i = 0; i < BL_SYNC_WORKERS_MAX; i++) {
        ck_assert(wire_find(body.bytes, body.length, 7, i, &item));
        ck_assert_uint_eq(number_in(&item, 1), i);
        for (unsigned field = 2; field <= 6; field++)
            ck_assert_uint_eq(number_in(&item, field), (field - 1) * 100 + i);
    }
    for (unsigned i = 0; i < BL_SYNC_COUNTERS_MAX; i++) {
        ck_assert(wire_find(body.bytes, body.length, 8, i, &item));
        ck_assert_uint_eq(number_in(&item, 2), 1000 + i);
    }
    free(frame.data);
}
END_TEST

START_TEST(samples_encode)
{
    static struct bl_sync_sample samples[BL_SYNC_SAMPLES_MAX];
    struct bl_sync_frame frame;
    struct wire_found body, item, found, destination;

    for (unsigned i = 0; i < BL_SYNC_SAMPLES_MAX; i++) {
        samples[i].worker = i % 64;
        samples[i].sample = (struct bl_sample){.time_ms = 1795615323123 + i,
                                               .weight = UINT64_MAX - i,
                                               .source_ip6 = {0x20010db800050000, i},
                                               .destination_ip6 = {0x20010db800250000, 0x25},
                                               .source_port = 65535,
                                               .destination_port = 25,
                                               .family = BL_FAMILY_IPV6,
                                               .class_id = 62,
                                               .reason = BL_REASON_DROP_LIMIT_ESTABLISHED,
                                               .denied = BL_DENIED_AT_STARTTLS};
    }
    samples[1].sample.family = BL_FAMILY_IPV4;
    samples[1].sample.source_ip4 = 0xc633640a;
    samples[1].sample.destination_ip4 = 0xc0000219;
    samples[3].sample.destination_cut = true;
    ck_assert_int_eq(bl_sync_codec_encode_rejects(samples, BL_SYNC_SAMPLES_MAX, &frame), BL_OK);
    /* The control plane takes frames of 64 KiB; an acknowledgement waits for half of that at most. */
    ck_assert_uint_le(frame.length, 32 << 10);
    body = body_of(&frame, REJECTS);
    for (unsigned i = 0; i < BL_SYNC_SAMPLES_MAX; i++) {
        ck_assert(wire_find(body.bytes, body.length, 1, i, &item));
        ck_assert_uint_eq(number_in(&item, 1), 1795615323123 + i);
        ck_assert_uint_eq(number_in(&item, 9), i % 64);
        ck_assert_uint_eq(number_in(&item, 10), UINT64_MAX - i);
    }
    ck_assert(wire_find(body.bytes, body.length, 1, 1, &item));
    ck_assert(wire_find(item.bytes, item.length, 2, 0, &found) && found.length == 4);
    ck_assert_mem_eq(found.bytes, "\xc6\x33\x64\x0a", 4);
    ck_assert(wire_find(body.bytes, body.length, 1, 2, &item));
    ck_assert(wire_find(item.bytes, item.length, 2, 0, &found) && found.length == 16);
    ck_assert(wire_find(item.bytes, item.length, 3, 0, &destination) && destination.length == 16);
    ck_assert_mem_eq(found.bytes, "\x20\x01\x0d\xb8\0\x05\0\0\0\0\0\0\0\0\0\x02", 16);
    ck_assert(wire_find(item.bytes, item.length, 7, 0, &found));
    ck_assert_mem_eq(found.bytes, "drop_limit_established", found.length);
    ck_assert_uint_eq(number_in(&item, 4), 65535);
    ck_assert_uint_eq(number_in(&item, 5), 25);
    ck_assert_uint_eq(number_in(&item, 6), 62);
    ck_assert_uint_eq(number_in(&item, 8), BL_DENIED_AT_STARTTLS);
    ck_assert(wire_find(body.bytes, body.length, 1, 3, &item));
    ck_assert(wire_find(item.bytes, item.length, 2, 0, &found) && found.length == 16);
    ck_assert(!wire_find(item.bytes, item.length, 3, 0, &destination));
    free(frame.data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sync_codec");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_test(tests, a_delta_decodes);
    tcase_add_test(tests, a_snapshot_holds_no_removals);
    tcase_add_test(tests, classes_come_in_the_first_chunk_only);
    tcase_add_test(tests, entries_that_are_none_are_refused);
    tcase_add_test(tests, columns_must_fit_together);
    tcase_add_test(tests, classes_that_can_not_be_said_are_refused);
    tcase_add_test(tests, a_class_defined_twice_is_refused);
    tcase_add_test(tests, a_delta_leads_forward);
    tcase_add_test(tests, what_is_no_message_is_refused);
    tcase_add_test(tests, hello_and_refusal_decode);
    tcase_add_test(tests, hello_ack_and_refusal_encode);
    tcase_add_test(tests, a_full_report_encodes);
    tcase_add_test(tests, samples_encode);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
