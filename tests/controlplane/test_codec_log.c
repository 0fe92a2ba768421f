/* Records and snapshots survive the way through the log, and what is not one is refused. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/codec_log.h"
#include "controlplane/wire_writer.h"

static struct bl_prefix prefix_of(const char *text)
{
    struct bl_prefix prefix;

    ck_assert_int_eq(bl_address_parse_prefix(text, 64, &prefix, NULL), BL_OK);
    return prefix;
}

static const struct bl_effect_attributes listing = {.source = "feed",
                                                    .reason = "spam",
                                                    .url = "https://x.example/",
                                                    .actor = "root",
                                                    .serial = 12,
                                                    .observed_at_ms = 1,
                                                    .expires_at_ms = 2,
                                                    .suppress_until_ms = 3,
                                                    .self_delists = "1 2",
                                                    .code = 607,
                                                    .action = 2,
                                                    .self_service = true};

static void assert_same(const struct bl_effect_attributes *a, const struct bl_effect_attributes *b)
{
    ck_assert_str_eq(a->source, b->source);
    ck_assert_str_eq(a->reason, b->reason);
    ck_assert_str_eq(a->url, b->url);
    ck_assert_int_eq(a->observed_at_ms, b->observed_at_ms);
    ck_assert_int_eq(a->expires_at_ms, b->expires_at_ms);
    ck_assert_int_eq(a->suppress_until_ms, b->suppress_until_ms);
    ck_assert_str_eq(a->self_delists, b->self_delists);
    ck_assert_uint_eq(a->code, b->code);
    ck_assert_uint_eq(a->action, b->action);
    ck_assert_int_eq(a->self_service, b->self_service);
}

/* Two families in one group, neighbours that are equal, one that is not: order is kept, runs are made. */
START_TEST(a_record_comes_back_in_order)
{
    const struct bl_prefix mixed[] = {prefix_of("192.0.2.1"), prefix_of("192.0.2.0/24"), prefix_of("2001:db8::/48"),
                                      prefix_of("10.0.0.0/8")};
    const struct bl_prefix more[] = {prefix_of("10.1.0.0/16")};
    const struct bl_effect_group groups[] = {
        {BL_EFFECT_LIST, listing, mixed, 4},
        {BL_EFFECT_LIST, listing, more, 1},
        {BL_EFFECT_UNLIST, {.source = "feed"}, mixed, 1},
        {BL_EFFECT_UNEXEMPT, {NULL}, mixed, 0},
    };
    const uint8_t answer[] = {1, 2, 3};
    const struct bl_record record = {7, 8, 9, "root", "session", 10, 11, groups, 4, answer, sizeof(answer)};
    const struct bl_prefix expected[] = {mixed[0], mixed[1], mixed[2], mixed[3], more[0], mixed[0]};
    struct bl_codec_bytes blob;
    struct bl_codec_record back;
    struct bl_error_detail detail = {""};
    size_t n = 0;

    ck_assert_int_eq(bl_codec_log_encode_record(&record, &blob), BL_OK);
    ck_assert_int_eq(bl_codec_log_decode_record(blob.data, blob.length, &back, &detail), BL_OK);
    ck_assert_uint_eq(back.record.epoch, 7);
    ck_assert_uint_eq(back.record.serial, 8);
    ck_assert_int_eq(back.record.time_ms, 9);
    ck_assert_str_eq(back.record.actor, "root");
    ck_assert_str_eq(back.record.session, "session");
    ck_assert_uint_eq(back.record.sequence, 10);
    ck_assert_uint_eq(back.record.request_hash, 11);
    ck_assert_uint_eq(back.record.answer_bytes, 3);
    ck_assert_int_eq(memcmp(back.record.answer, answer, 3), 0);
    ck_assert_uint_eq(back.record.n_groups, 4); /* 2 IPv4, 1 IPv6, 2 IPv4 of two groups, 1 unlist */
    ck_assert_uint_eq(back.record.groups[2].n_prefixes, 2);
    for (size_t i = 0; i < back.record.n_groups; i++)
        for (size_t k = 0; k < back.record.groups[i].n_prefixes; k++)
            ck_assert_int_eq(bl_address_prefix_compare(&back.record.groups[i].prefixes[k], &expected[n++]), 0);
    ck_assert_uint_eq(n, 6);
    assert_same(&back.record.groups[0].attributes, &listing);
    /* In a live record actor and serial are the record's. */
    ck_assert_str_eq(back.record.groups[0].attributes.actor, "");
    ck_assert_uint_eq(back.record.groups[0].attributes.serial, 0);
    ck_assert_int_eq(back.record.groups[3].kind, BL_EFFECT_UNLIST);
    bl_codec_log_record_fini(&back);
    bl_codec_bytes_fini(&blob);
}
END_TEST

START_TEST(a_snapshot_comes_back)
{
    const struct bl_prefix one[] = {prefix_of("192.0.2.1")};
    struct bl_effect_group groups[] = {{BL_EFFECT_LIST, listing, one, 1}, {BL_EFFECT_LIST, listing, one, 1}};
    const uint8_t data[] = {5};
    const struct bl_answer answers[] = {{"root", "s", 1, 2, 3, data, 1}, {"root", "s", 2, 2, 4, data, 1}};
    struct bl_class classes[BL_CLASS_COUNT] = {{0}};
    struct bl_codec_snapshot snapshot = {1, 20, groups, 2, classes, answers, 2};
    struct bl_codec_snapshot_part back;
    struct bl_codec_bytes blob;
    struct bl_error_detail detail = {""};

    groups[1].attributes.serial = 13; /* other serials are other runs in a snapshot */
    classes[62] = (struct bl_class){.code = 649, .action = 4, .self_service = true, .url = "https://y.example/"};
    ck_assert_int_eq(bl_codec_log_encode_snapshot(&snapshot, &blob), BL_OK);
    ck_assert_int_eq(bl_codec_log_decode_snapshot(blob.data, blob.length, &back, &detail), BL_OK);
    ck_assert_uint_eq(back.snapshot.serial, 20);
    ck_assert_uint_eq(back.snapshot.n_groups, 2);
    ck_assert_str_eq(back.snapshot.groups[0].attributes.actor, "root");
    ck_assert_uint_eq(back.snapshot.groups[0].attributes.serial, 12);
    ck_assert_uint_eq(back.snapshot.groups[1].attributes.serial, 13);
    for (int i = 0; i < BL_CLASS_COUNT; i++)
        ck_assert(bl_class_equal(&back.snapshot.classes[i], &classes[i]));
    ck_assert_uint_eq(back.snapshot.n_answers, 2);
    ck_assert_uint_eq(back.snapshot.answers[1].sequence, 2);
    ck_assert_uint_eq(back.snapshot.answers[1].serial, 4);
    ck_assert_int_eq(back.snapshot.answers[1].data[0], 5);
    bl_codec_log_snapshot_fini(&back);
    bl_codec_bytes_fini(&blob);
}
END_TEST

static int decode_group(uint64_t version, uint64_t kind, const uint8_t address[4], uint8_t length, size_t n_lengths)
{
    struct wire group = {.n = 0};
    struct wire wire = {.n = 0};
    struct bl_codec_record back;
    struct bl_error_detail detail = {""};
    const uint8_t lengths[2] = {length, length};
    int error;

    wire_number(&group, 1, kind);
    wire_bytes(&group, 11, address, 4);
    wire_bytes(&group, 12, lengths, n_lengths);
    wire_number(&wire, 1, version);
    wire_nested(&wire, 9, &group);
    error = bl_codec_log_decode_record(wire.data, wire.n, &back, &detail);
    if (error == BL_OK)
        bl_codec_log_record_fini(&back);
    else
        ck_assert_str_ne(detail.text, "");
    return error;
}

START_TEST(what_is_no_record_is_refused)
{
    static const uint8_t address[4] = {192, 0, 2, 0};

    ck_assert_int_eq(decode_group(1, 1, address, 24, 1), BL_OK);
    ck_assert_int_eq(decode_group(2, 1, address, 24, 1), BL_EVERSION);
    ck_assert_int_eq(decode_group(0, 1, address, 24, 1), BL_EVERSION);
    ck_assert_int_eq(decode_group(1, 0, address, 24, 1), BL_EINVAL);
    ck_assert_int_eq(decode_group(1, 7, address, 24, 1), BL_EINVAL);
    ck_assert_int_eq(decode_group(1, 1, address, 22, 1), BL_EINVAL); /* host bits */
    ck_assert_int_eq(decode_group(1, 1, address, 33, 1), BL_EINVAL);
    ck_assert_int_eq(decode_group(1, 1, address, 24, 2), BL_EINVAL);
}
END_TEST

/* Every attribute of layers that share some: delists with a grace, times before 1970, both families, in columns. */
START_TEST(layers_come_back_by_column)
{
    enum { N = 300 };
    static struct bl_prefix prefixes[N];
    static struct bl_effect_group groups[N];
    static const char *const reasons[] = {"", "spam", "dictionary attack"};
    struct bl_codec_snapshot snapshot = {.epoch = 1, .serial = 20, .groups = groups, .n_groups = N};
    struct bl_codec_snapshot_part back;
    struct bl_codec_bytes blob;
    struct bl_error_detail detail = {""};

    for (int i = 0; i < N; i++) {
        prefixes[i] = prefix_of(i < N / 2 ? "192.0.2.0/24" : "2001:db8::/48");
        prefixes[i].bytes[2] = (uint8_t)i;
        groups[i] = (struct bl_effect_group){i % 7 == 0 ? BL_EFFECT_DELIST : BL_EFFECT_LIST, listing, &prefixes[i], 1};
        groups[i].attributes.reason = reasons[i % 3];
        groups[i].attributes.serial = (uint64_t)i * 1000003;
        groups[i].attributes.observed_at_ms = i % 5 == 0 ? -i : INT64_C(1700000000000) + i;
        groups[i].attributes.expires_at_ms = i % 2 == 0 ? 0 : INT64_C(1800000000000) + i;
        groups[i].attributes.suppress_until_ms =
            i % 7 == 0 ? groups[i].attributes.observed_at_ms + 3600000 * (i % 2) : 0;
    }
    ck_assert_int_eq(bl_codec_log_encode_snapshot(&snapshot, &blob), BL_OK);
    ck_assert_msg(bl_codec_log_decode_snapshot(blob.data, blob.length, &back, &detail) == BL_OK, "%s", detail.text);
    ck_assert_uint_eq(back.snapshot.n_groups, N);
    for (int i = 0; i < N; i++) {
        ck_assert_int_eq(back.snapshot.groups[i].kind, groups[i].kind);
        ck_assert_int_eq(bl_address_prefix_compare(back.snapshot.groups[i].prefixes, &prefixes[i]), 0);
        assert_same(&back.snapshot.groups[i].attributes, &groups[i].attributes);
        ck_assert_uint_eq(back.snapshot.groups[i].attributes.serial, groups[i].attributes.serial);
    }
    bl_codec_log_snapshot_fini(&back);
    bl_codec_bytes_fini(&blob);
}
END_TEST

/* @n_labels the layer's column has, of a number; @return what a part of one layer gives. */
static int decode_layers(uint64_t version, uint8_t label, size_t n_labels, uint8_t length)
{
    static const uint8_t address[4] = {192, 0, 2, 0};
    const uint8_t numbers[2] = {label, label};
    struct wire group = {.n = 0};
    struct wire layers = {.n = 0};
    struct wire wire = {.n = 0};
    struct bl_codec_snapshot_part back;
    struct bl_error_detail detail = {""};
    int error;

    wire_number(&group, 1, BL_EFFECT_LIST);
    wire_nested(&layers, 1, &group);
    wire_bytes(&layers, 2, address, 4);
    wire_bytes(&layers, 3, &length, 1);
    wire_bytes(&layers, 6, numbers, n_labels);
    for (unsigned field = 7; field <= 9; field++)
        wire_bytes(&layers, field, "\x05", 1);
    wire_number(&wire, 1, version);
    wire_nested(&wire, 7, &layers);
    error = bl_codec_log_decode_snapshot(wire.data, wire.n, &back, &detail);
    if (error == BL_OK)
        bl_codec_log_snapshot_fini(&back);
    else
        ck_assert_str_ne(detail.text, "");
    return error;
}

START_TEST(what_are_no_layers_is_refused)
{
    ck_assert_int_eq(decode_layers(2, 0, 1, 24), BL_OK);
    ck_assert_int_eq(decode_layers(1, 0, 1, 24), BL_EINVAL); /* format 1 has groups */
    ck_assert_int_eq(decode_layers(3, 0, 1, 24), BL_EVERSION);
    ck_assert_int_eq(decode_layers(2, 1, 1, 24), BL_EINVAL); /* there is label 0 only */
    ck_assert_int_eq(decode_layers(2, 0, 2, 24), BL_EINVAL);
    ck_assert_int_eq(decode_layers(2, 0, 0, 24), BL_EINVAL);
    ck_assert_int_eq(decode_layers(2, 0, 1, 22), BL_EINVAL); /* host bits */
}
END_TEST

/* What the program before wrote. */
START_TEST(a_snapshot_of_format_1_is_read)
{
    static const uint8_t addresses[8] = {192, 0, 2, 1, 192, 0, 2, 9};
    static const uint8_t lengths[2] = {32, 32};
    struct wire group = {.n = 0};
    struct wire wire = {.n = 0};
    struct bl_codec_snapshot_part back;
    struct bl_error_detail detail = {""};

    wire_number(&group, 1, BL_EFFECT_LIST);
    wire_text(&group, 2, "trap");
    wire_number(&group, 3, 606);
    wire_number(&group, 4, 1);
    wire_bytes(&group, 11, addresses, 8);
    wire_bytes(&group, 12, lengths, 2);
    wire_number(&group, 16, 12);
    wire_number(&wire, 1, 1);
    wire_number(&wire, 3, 20);
    wire_nested(&wire, 4, &group);
    ck_assert_msg(bl_codec_log_decode_snapshot(wire.data, wire.n, &back, &detail) == BL_OK, "%s", detail.text);
    ck_assert_uint_eq(back.snapshot.serial, 20);
    ck_assert_uint_eq(back.snapshot.n_groups, 1);
    ck_assert_uint_eq(back.snapshot.groups[0].n_prefixes, 2);
    ck_assert_uint_eq(back.snapshot.groups[0].prefixes[1].bytes[3], 9);
    ck_assert_str_eq(back.snapshot.groups[0].attributes.source, "trap");
    ck_assert_uint_eq(back.snapshot.groups[0].attributes.serial, 12);
    bl_codec_log_snapshot_fini(&back);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("codec_log");
    TCase *tcase = tcase_create("codec_log");
    SRunner *runner;
    int n_failed;

    tcase_add_test(tcase, a_record_comes_back_in_order);
    tcase_add_test(tcase, a_snapshot_comes_back);
    tcase_add_test(tcase, what_is_no_record_is_refused);
    tcase_add_test(tcase, layers_come_back_by_column);
    tcase_add_test(tcase, what_are_no_layers_is_refused);
    tcase_add_test(tcase, a_snapshot_of_format_1_is_read);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
