/* ListRejects and GetTop: the server's questions and answers as bytes, and the same bytes in the client's terms. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/cli/client_codec_rejects.h"
#include "controlplane/codec_rejects.h"
#include "controlplane/wire_writer.h"

static struct bl_error_detail detail;

static int decode_list(const struct wire *wire, struct bl_codec_rejects_request *out)
{
    detail.text[0] = '\0';
    return bl_codec_rejects_decode_list(wire->data, wire->n, 64, out, &detail);
}

START_TEST(a_question_is_understood)
{
    const struct bl_rejects_request asked = {
        .instance = 77, .after = 5, .prefix = "2001:db8::1", .all_stages = true, .since_ms = 123, .limit = 10000};
    struct bl_codec_rejects_request request;
    char text[BL_ADDRESS_TEXT_MAX];
    uint8_t *data;
    size_t length;

    ck_assert_int_eq(bl_client_codec_encode_rejects(&asked, &data, &length, &detail), BL_OK);
    ck_assert_int_eq(bl_codec_rejects_decode_list(data, length, 64, &request, &detail), BL_OK);
    free(data);
    ck_assert_uint_eq(request.instance, 77);
    ck_assert_uint_eq(request.query.after, 5);
    ck_assert_str_eq(bl_address_format_prefix(&request.query.prefix, text), "2001:db8::/64");
    ck_assert(request.query.all_stages);
    ck_assert_int_eq(request.query.since_ms, 123);
    ck_assert_uint_eq(request.limit, 10000);
}
END_TEST

START_TEST(what_is_not_said_has_a_default)
{
    struct bl_codec_rejects_request request;
    struct wire empty = {.n = 0};
    struct wire top = {.n = 0};
    enum bl_rejects_top kind;
    uint32_t limit;

    ck_assert_int_eq(decode_list(&empty, &request), BL_OK);
    ck_assert_uint_eq(request.query.prefix.family, BL_FAMILY_NONE);
    ck_assert(!request.query.all_stages);
    ck_assert_uint_eq(request.limit, BL_CODEC_REJECTS_LIMIT);
    wire_number(&top, 1, 2);
    ck_assert_int_eq(bl_codec_rejects_decode_top(top.data, top.n, &kind, &limit, &detail), BL_OK);
    ck_assert_int_eq(kind, BL_REJECTS_TOP_LISTINGS);
    ck_assert_uint_eq(limit, BL_CODEC_REJECTS_TOP);
}
END_TEST

START_TEST(bad_questions_are_refused_by_field)
{
    struct bl_codec_rejects_request request;
    enum bl_rejects_top kind;
    struct wire wire = {.n = 0};
    uint32_t limit;

    wire_number(&wire, 6, 10001);
    ck_assert_int_eq(decode_list(&wire, &request), BL_ERANGE);
    ck_assert_ptr_nonnull(strstr(detail.text, "limit"));
    wire.n = 0;
    wire_text(&wire, 3, "192.0.2.1/24");
    ck_assert_int_lt(decode_list(&wire, &request), 0);
    ck_assert_ptr_nonnull(strstr(detail.text, "192.0.2.1/24"));
    wire.n = 0;
    wire_number(&wire, 1, 3);
    ck_assert_int_eq(bl_codec_rejects_decode_top(wire.data, wire.n, &kind, &limit, &detail), BL_EINVAL);
    ck_assert_int_eq(bl_codec_rejects_decode_top(wire.data, 0, &kind, &limit, &detail), BL_EINVAL);
    wire.n = 0;
    wire_number(&wire, 1, 1);
    wire_number(&wire, 2, BL_REJECTS_COUNTED + 1);
    ck_assert_int_eq(bl_codec_rejects_decode_top(wire.data, wire.n, &kind, &limit, &detail), BL_ERANGE);
    wire.n = 0;
    wire_number(&wire, 40, 1);
    ck_assert_int_eq(decode_list(&wire, &request), BL_EINVAL);
}
END_TEST

START_TEST(an_answer_is_read_as_it_was_meant)
{
    struct bl_reject rejects[2] = {{.id = 8,
                                    .sample = {.time_ms = 1795615323123,
                                               .weight = 17,
                                               .source_port = 40000,
                                               .destination_port = 25,
                                               .class_id = 3,
                                               .reason = BL_REASON_REJECT_BOUNCE,
                                               .denied_at = BL_DENIED_AT_RCPT,
                                               .worker = 1},
                                    .listing_source = "drop",
                                    .dataplane = "edge1",
                                    .code = 606,
                                    .action = BL_ACTION_REJECT},
                                   {.id = 9, .sample = {.reason = BL_REASON_COUNT, .weight = 1}, .dataplane = "edge2"}};
    const struct bl_reject_answer answer = {.next = 9, .n_lost = 4, .more = true, .n = 2};
    struct bl_rejects_page page;
    struct bl_codec_bytes bytes;

    ck_assert_int_eq(bl_address_parse("198.51.100.10", &rejects[0].sample.source, NULL), BL_OK);
    ck_assert_int_eq(bl_address_parse("192.0.2.25", &rejects[0].sample.destination, NULL), BL_OK);
    ck_assert_int_eq(bl_address_parse_prefix("198.51.100.0/24", 64, &rejects[0].listing, NULL), BL_OK);
    ck_assert_int_eq(bl_address_parse("2001:db8::1", &rejects[1].sample.source, NULL), BL_OK);
    ck_assert_int_eq(bl_codec_rejects_encode_list(5, rejects, &answer, &bytes), BL_OK);
    ck_assert_int_eq(bl_client_codec_decode_rejects(bytes.data, bytes.length, &page, &detail), BL_OK);
    bl_codec_bytes_fini(&bytes);
    ck_assert_uint_eq(page.instance, 5);
    ck_assert_uint_eq(page.next, 9);
    ck_assert_uint_eq(page.n_lost, 4);
    ck_assert(page.more);
    ck_assert_uint_eq(page.n_lines, 2);
    ck_assert_uint_eq(page.lines[0].id, 8);
    ck_assert_int_eq(page.lines[0].time_ms, 1795615323123);
    ck_assert_str_eq(page.lines[0].source, "198.51.100.10");
    ck_assert_str_eq(page.lines[0].destination, "192.0.2.25");
    ck_assert_uint_eq(page.lines[0].source_port, 40000);
    ck_assert_uint_eq(page.lines[0].destination_port, 25);
    ck_assert_str_eq(page.lines[0].reason, "reject_bounce");
    ck_assert_uint_eq(page.lines[0].denied_at, BL_DENIED_AT_RCPT);
    ck_assert_uint_eq(page.lines[0].code, 606);
    ck_assert_uint_eq(page.lines[0].action, BL_ACTION_REJECT);
    ck_assert_str_eq(page.lines[0].listing, "198.51.100.0/24");
    ck_assert_str_eq(page.lines[0].listing_source, "drop");
    ck_assert_str_eq(page.lines[0].dataplane, "edge1");
    ck_assert_uint_eq(page.lines[0].worker, 1);
    ck_assert_uint_eq(page.lines[0].weight, 17);
    ck_assert_uint_eq(page.lines[0].class_id, 3);
    ck_assert_str_eq(page.lines[1].reason, "unknown");
    ck_assert_str_eq(page.lines[1].listing, "");
    ck_assert_str_eq(page.lines[1].source, "2001:db8::1");
    ck_assert_str_eq(page.lines[1].destination, "");
    bl_client_codec_free_rejects(&page);
}
END_TEST

/* As many as one answer may hold, at their longest, must pass the client's own limits. */
START_TEST(the_largest_answer_fits)
{
    struct bl_reject *rejects = calloc(BL_CODEC_REJECTS_LIMIT_MAX, sizeof(*rejects));
    const struct bl_reject_answer answer = {.next = UINT64_MAX, .n = BL_CODEC_REJECTS_LIMIT_MAX};
    struct bl_rejects_page page;
    struct bl_codec_bytes bytes;

    for (size_t i = 0; i < answer.n; i++) {
        struct bl_reject *reject = &rejects[i];

        memset(reject, 0xff, sizeof(*reject));
        reject->sample.source.family = BL_FAMILY_IPV6;
        reject->sample.destination.family = BL_FAMILY_IPV6;
        reject->sample.reason = BL_REASON_DROP_LIMIT_ESTABLISHED;
        reject->listing.family = BL_FAMILY_IPV6;
        reject->listing.length = 128;
        memset(reject->listing_source, 's', sizeof(reject->listing_source) - 1);
        reject->listing_source[sizeof(reject->listing_source) - 1] = '\0';
        memset(reject->dataplane, 'd', sizeof(reject->dataplane) - 1);
        reject->dataplane[sizeof(reject->dataplane) - 1] = '\0';
    }
    ck_assert_int_eq(bl_codec_rejects_encode_list(1, rejects, &answer, &bytes), BL_OK);
    ck_assert_msg(bl_client_codec_decode_rejects(bytes.data, bytes.length, &page, &detail) == BL_OK, "%s: %zu bytes",
                  detail.text, bytes.length);
    ck_assert_uint_eq(page.n_lines, answer.n);
    bl_client_codec_free_rejects(&page);
    bl_codec_bytes_fini(&bytes);
    free(rejects);
}
END_TEST

START_TEST(top_is_read_as_it_was_meant)
{
    struct bl_rejects_item items[2] = {{.n_events = 900, .error = 3, .last_ms = 55, .source = "drop"},
                                       {.n_events = 800, .last_ms = 44, .source = "operator"}};
    const struct bl_rejects_total total = {.n_events = 5000, .since_ms = 11};
    struct bl_codec_bytes bytes;
    struct bl_top top;

    ck_assert_int_eq(bl_address_parse_prefix("192.0.2.1", 64, &items[0].prefix, NULL), BL_OK);
    ck_assert_int_eq(bl_address_parse_prefix("2001:db8::1/128", 64, &items[1].prefix, NULL), BL_OK);
    for (int kind = BL_REJECTS_TOP_SOURCES; kind <= BL_REJECTS_TOP_LISTINGS; kind++) {
        bool is_listing = kind == BL_REJECTS_TOP_LISTINGS;

        ck_assert_int_eq(bl_codec_rejects_encode_top((enum bl_rejects_top)kind, items, 2, &total, &bytes), BL_OK);
        ck_assert_int_eq(bl_client_codec_decode_top(bytes.data, bytes.length, &top, &detail), BL_OK);
        bl_codec_bytes_fini(&bytes);
        ck_assert_uint_eq(top.n_events, 5000);
        ck_assert_uint_eq(top.n_counted, BL_REJECTS_COUNTED);
        ck_assert_int_eq(top.since_ms, 11);
        ck_assert_uint_eq(top.n_entries, 2);
        ck_assert_str_eq(top.entries[0].prefix, is_listing ? "192.0.2.1/32" : "192.0.2.1");
        ck_assert_str_eq(top.entries[1].prefix, is_listing ? "2001:db8::1/128" : "2001:db8::1");
        ck_assert_str_eq(top.entries[0].source, "drop");
        ck_assert_uint_eq(top.entries[0].n_events, 900);
        ck_assert_uint_eq(top.entries[0].error, 3);
        ck_assert_int_eq(top.entries[0].last_ms, 55);
        bl_client_codec_free_top(&top);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("codec_rejects");
    TCase *tests = tcase_create("all");
    SRunner *runner;
    int n_failed;

    tcase_add_test(tests, a_question_is_understood);
    tcase_add_test(tests, what_is_not_said_has_a_default);
    tcase_add_test(tests, bad_questions_are_refused_by_field);
    tcase_add_test(tests, an_answer_is_read_as_it_was_meant);
    tcase_add_test(tests, the_largest_answer_fits);
    tcase_add_test(tests, top_is_read_as_it_was_meant);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
