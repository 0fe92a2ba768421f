/* Requests of clients as bytes, and the answers as bytes: what is taken, what is refused, and that it names the field. */
#include <check.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/codec_client.h"
#include "controlplane/wire_writer.h"

static int decode(const struct wire *wire, struct bl_codec_request *request, struct bl_error_detail *detail)
{
    detail->text[0] = '\0';
    return bl_codec_client_decode_batch(wire->data, wire->n, request, detail);
}

static struct wire one_update(const char *prefix, unsigned kind)
{
    struct wire update = {.n = 0};

    wire_number(&update, 1, kind);
    wire_text(&update, 2, prefix);
    return update;
}

START_TEST(batch_arrives_whole)
{
    struct wire update = one_update("192.0.2.0/24", 1);
    struct wire second = one_update("2001:db8::1", 2);
    struct wire wire = {.n = 0};
    struct bl_codec_request request;
    struct bl_error_detail detail;

    wire_text(&update, 3, "drop");
    wire_number(&update, 4, 607);
    wire_text(&update, 5, "why");
    wire_number(&update, 6, 1111);
    wire_number(&update, 7, 2222);
    wire_number(&update, 8, 2);
    wire_number(&update, 9, 3);
    wire_text(&wire, 1, "s1");
    wire_number(&wire, 2, 77);
    wire_nested(&wire, 3, &update);
    wire_nested(&wire, 3, &second);
    wire_number(&wire, 5, 2);
    wire_number(&wire, 7, 1);
    wire_number(&wire, 8, 1);
    wire_number(&wire, 9, 5);
    ck_assert_int_eq(decode(&wire, &request, &detail), BL_OK);
    ck_assert_str_eq(request.batch.session, "s1");
    ck_assert_uint_eq(request.batch.sequence, 77);
    ck_assert_uint_eq(request.batch.expected_serial, 5);
    ck_assert(request.batch.atomic && request.batch.force && request.wait_enforced);
    ck_assert_uint_eq(request.deadline_ms, BL_CODEC_CLIENT_DEADLINE_MS);
    ck_assert_uint_eq(request.batch.n_updates, 2);
    ck_assert_ptr_null(request.batch.bulk);
    ck_assert_str_eq(request.batch.updates[0].prefix, "192.0.2.0/24");
    ck_assert_str_eq(request.batch.updates[0].source, "drop");
    ck_assert_str_eq(request.batch.updates[0].reason, "why");
    ck_assert_uint_eq(request.batch.updates[0].code, 607);
    ck_assert_int_eq(request.batch.updates[0].observed_at_ms, 1111);
    ck_assert_int_eq(request.batch.updates[0].expires_at_ms, 2222);
    ck_assert_uint_eq(request.batch.updates[0].self_service, BL_SELF_SERVICE_CLOSED);
    ck_assert_uint_eq(request.batch.updates[0].action, BL_ACTION_DROP);
    ck_assert_int_eq(request.batch.updates[1].kind, BL_UPDATE_DELIST);
    ck_assert_uint_ne(request.batch.request_hash, 0);
    bl_codec_client_request_fini(&request);
}
END_TEST

/* 256 + 1 must not become 1 on its way into a byte. */
START_TEST(values_outside_an_enum_stay_outside)
{
    struct wire update = one_update("192.0.2.1", 257);
    struct wire wire = {.n = 0};
    struct bl_codec_request request;
    struct bl_error_detail detail;

    wire_number(&update, 8, 257);
    wire_number(&update, 9, 258);
    wire_nested(&wire, 3, &update);
    ck_assert_int_eq(decode(&wire, &request, &detail), BL_OK);
    ck_assert_int_eq(request.batch.updates[0].kind, 0);
    ck_assert_uint_eq(request.batch.updates[0].self_service, UINT8_MAX);
    ck_assert_uint_eq(request.batch.updates[0].action, UINT8_MAX);
    bl_codec_client_request_fini(&request);
}
END_TEST

static void assert_refused(const struct wire *wire, int error, const char *field)
{
    struct bl_codec_request request;
    struct bl_error_detail detail;

    ck_assert_int_eq(decode(wire, &request, &detail), error);
    ck_assert_msg(strstr(detail.text, field) != NULL, "\"%s\" does not name %s", detail.text, field);
}

START_TEST(malformed_batches_name_their_field)
{
    struct wire empty = {.n = 0};
    struct wire update = one_update("192.0.2.1", 1);
    struct wire wire;
    char session[BL_CODEC_CLIENT_SESSION_MAX + 2];

    assert_refused(&empty, BL_EINVAL, "updates");
    wire = (struct wire){.n = 0};
    wire_nested(&wire, 3, &update);
    wire_number(&wire, 5, 3);
    assert_refused(&wire, BL_EINVAL, "wait");
    wire = (struct wire){.n = 0};
    wire_nested(&wire, 3, &update);
    wire_number(&wire, 6, BL_CODEC_CLIENT_DEADLINE_MS_MAX + 1);
    assert_refused(&wire, BL_ERANGE, "deadline_ms");
    wire = (struct wire){.n = 0};
    memset(session, 'x', sizeof(session));
    session[sizeof(session) - 1] = '\0';
    wire_text(&wire, 1, session);
    wire_nested(&wire, 3, &update);
    assert_refused(&wire, BL_ERANGE, "session");
    wire = (struct wire){.n = 0};
    wire_number(&wire, 99, 1);
    assert_refused(&wire, BL_EINVAL, "99");
}
END_TEST

START_TEST(bulk_columns_must_agree)
{
    static const uint8_t addresses[16] = {192, 0, 2, 0, 198, 51, 100, 0};
    static const uint8_t lengths[4] = {24, 24, 24, 24};
    const struct {
        unsigned n_ipv4, n_ipv4_lengths, n_ipv6, n_ipv6_lengths;
        int error;
        const char *field;
    } cases[] = {
        {8, 2, 0, 0, BL_OK, ""},
        {8, 0, 0, 0, BL_OK, ""}, /* no lengths: every item a /32 */
        {0, 0, 16, 1, BL_OK, ""},
        {7, 2, 0, 0, BL_EINVAL, "ipv4_addresses"},
        {8, 3, 0, 0, BL_EINVAL, "ipv4_lengths"},
        {0, 0, 15, 1, BL_EINVAL, "ipv6_addresses"},
        {0, 0, 16, 0, BL_EINVAL, "ipv6_lengths"},
        {0, 0, 0, 0, BL_EINVAL, "bulk"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wire bulk = {.n = 0};
        struct wire wire = {.n = 0};
        struct bl_codec_request request;
        struct bl_error_detail detail;

        wire_number(&bulk, 1, 1);
        wire_bytes(&bulk, 9, addresses, cases[i].n_ipv4);
        wire_bytes(&bulk, 10, lengths, cases[i].n_ipv4_lengths);
        wire_bytes(&bulk, 11, addresses, cases[i].n_ipv6);
        wire_bytes(&bulk, 12, lengths, cases[i].n_ipv6_lengths);
        wire_nested(&wire, 4, &bulk);
        ck_assert_int_eq(decode(&wire, &request, &detail), cases[i].error);
        if (cases[i].error != BL_OK) {
            ck_assert_msg(strstr(detail.text, cases[i].field) != NULL, "case %zu: %s", i, detail.text);
            continue;
        }
        ck_assert_uint_eq(request.batch.bulk->n_ipv4, cases[i].n_ipv4 / 4);
        ck_assert_uint_eq(request.batch.bulk->n_ipv6, cases[i].n_ipv6 / 16);
        ck_assert_int_eq(request.batch.bulk->ipv4_lengths == NULL, cases[i].n_ipv4_lengths == 0);
        bl_codec_client_request_fini(&request);
    }
}
END_TEST

/* 10,001 empty updates are 20 kB on the wire. */
START_TEST(a_batch_of_too_many_updates_is_refused)
{
    size_t n = (BL_CODEC_CLIENT_UPDATES_MAX + 1) * (size_t)2;
    uint8_t *data = malloc(n);
    struct bl_codec_request request;
    struct bl_error_detail detail = {""};

    for (size_t i = 0; i < n; i += 2) {
        data[i] = 3 << 3 | 2;
        data[i + 1] = 0;
    }
    ck_assert_int_eq(bl_codec_client_decode_batch(data, n, &request, &detail), BL_ETOOBIG);
    ck_assert_ptr_nonnull(strstr(detail.text, "updates"));
    ck_assert_int_eq(bl_codec_client_decode_batch(data, n - 2, &request, &detail), BL_OK);
    ck_assert_uint_eq(request.batch.n_updates, BL_CODEC_CLIENT_UPDATES_MAX);
    bl_codec_client_request_fini(&request);
    free(data);
}
END_TEST

/* The answer of the log, with what was reached behind it, is one UpdateResult: each field once. */
START_TEST(a_result_is_the_answer_and_what_was_reached)
{
    char bad[] = "192.0.2.\xc3 \n";
    struct bl_item_result items[] = {{0, BL_OUTCOME_APPLIED, 0, NULL}, {1, BL_OUTCOME_REFUSED, 1, bad}};
    struct bl_batch batch = {.session = "s", .sequence = 3};
    struct bl_batch_result result = {.epoch = 9, .serial = 4, .items = items, .n_items = 2};
    struct bl_codec_reached reached = {true, 2, 2};
    struct bl_codec_bytes answer;
    struct bl_codec_bytes whole;
    struct wire_found found;
    struct wire_found detail;

    result.n_outcomes[BL_OUTCOME_APPLIED] = 1;
    result.n_outcomes[BL_OUTCOME_REFUSED] = 1;
    ck_assert_int_eq(bl_codec_client_encode_answer(&batch, &result, &answer), BL_OK);
    ck_assert(!wire_find(answer.data, answer.length, 6, 0, &found));
    ck_assert_int_eq(bl_codec_client_encode_result(answer.data, answer.length, &reached, true, &whole), BL_OK);
    ck_assert(wire_find(whole.data, whole.length, 4, 0, &found) && found.number == 4);
    ck_assert(wire_find(whole.data, whole.length, 5, 0, &found) && found.number == 1);
    ck_assert(wire_find(whole.data, whole.length, 6, 0, &found) && found.number == 1);
    ck_assert(!wire_find(whole.data, whole.length, 6, 1, &found));
    ck_assert(wire_find(whole.data, whole.length, 7, 0, &found) && found.number == 2);
    ck_assert(wire_find(whole.data, whole.length, 15, 0, &found) && found.number == 1);
    ck_assert(wire_find(whole.data, whole.length, 16, 0, &found) && found.number == 1);
    ck_assert(wire_find(whole.data, whole.length, 9, 1, &found));
    /* A cut character and a line feed in a detail don't break the message. */
    ck_assert(wire_find(found.bytes, found.length, 3, 0, &detail));
    ck_assert_uint_eq(detail.length, strlen("192.0.2.? ?"));
    ck_assert_int_eq(memcmp(detail.bytes, "192.0.2.? ?", detail.length), 0);
    bl_codec_bytes_fini(&whole);
    bl_codec_bytes_fini(&answer);
}
END_TEST

START_TEST(a_lookup_names_its_layers)
{
    struct bl_list_layer layers[2] = {
        {.kind = BL_EFFECT_LIST, .attributes = {.source = "operator", .reason = "r", .code = 606, .action = 1}},
        {.kind = BL_EFFECT_LIST, .attributes = {.source = "feed", .reason = "", .code = 607, .action = 1}},
    };
    struct bl_class meaning = {.code = 606, .action = BL_ACTION_REJECT};
    struct bl_codec_lookup lookup = {
        .class_id = 5, .meaning = &meaning, .layers = layers, .n_layers = 2, .serial = 8, .enforced_serial = 7};
    struct bl_codec_bytes out;
    struct wire_found found;
    struct wire_found kind;

    ck_assert_int_eq(bl_address_parse_prefix("192.0.2.0/24", 64, &lookup.prefix, NULL), BL_OK);
    layers[0].prefix = layers[1].prefix = lookup.prefix;
    ck_assert_int_eq(bl_codec_client_encode_lookup(&lookup, &out), BL_OK);
    ck_assert(wire_find(out.data, out.length, 1, 0, &found) && memcmp(found.bytes, "192.0.2.0/24", 12) == 0);
    ck_assert(wire_find(out.data, out.length, 2, 0, &found) && found.number == 1);
    ck_assert(wire_find(out.data, out.length, 3, 0, &found) && found.number == 606);
    ck_assert(wire_find(out.data, out.length, 6, 0, &found) && wire_find(found.bytes, found.length, 1, 0, &kind));
    ck_assert_uint_eq(kind.number, 2); /* an operator's listing */
    ck_assert(wire_find(out.data, out.length, 6, 1, &found) && wire_find(found.bytes, found.length, 1, 0, &kind));
    ck_assert_uint_eq(kind.number, 3);
    bl_codec_bytes_fini(&out);
}
END_TEST

/* glibc's own count: nothing else runs here. AddressSanitizer's heap has none. */
static size_t bytes_in_use(void)
{
    const struct mallinfo2 heap = mallinfo2();

    return heap.uordblks + heap.hblkhd;
}

/* @return what the decoded request holds, beside its message. */
static size_t measure(const char *name, const uint8_t *data, size_t length)
{
    struct bl_codec_request request;
    struct bl_error_detail detail = {""};
    size_t before = bytes_in_use();
    size_t held;

    ck_assert_msg(bl_codec_client_decode_batch(data, length, &request, &detail) == BL_OK, "%s: %s", name, detail.text);
    held = bytes_in_use() - before;
    bl_codec_client_request_fini(&request);
    printf("%s: %zu bytes, decoded to %zu, times %.2f\n", name, length, held, (double)held / (double)length);
#ifndef __SANITIZE_ADDRESS__
    ck_assert_uint_gt(held, 0);
    ck_assert_uint_le(bytes_in_use(), before + 4096);
#endif
    ck_assert_uint_le(held, BL_CODEC_CLIENT_DECODED_MAX);
    return held;
}

static size_t put_items(uint8_t *out, const struct wire *update)
{
    size_t n = 0;

    for (int i = 0; i < BL_CODEC_CLIENT_UPDATES_MAX; i++) {
        struct wire nested = {.n = 0};

        wire_nested(&nested, 3, update);
        memcpy(out + n, nested.data, nested.n);
        n += nested.n;
    }
    return n;
}

/* The frames that are worst by their kind: items of nothing, honest items, items of long texts, one column of all the
 * bytes that a request may have. */
START_TEST(memory_of_one_request_is_bounded)
{
    uint8_t *data = calloc(1, BL_CODEC_CLIENT_REQUEST_MAX);
    struct wire update = {.n = 0};
    struct wire bulk = {.n = 0};
    static char text[2900];
    size_t column = (BL_CODEC_CLIENT_REQUEST_MAX - 32) / 4 * 4;
    size_t length;

    ck_assert_ptr_nonnull(data);
    (void)measure("10,000 empty items", data, put_items(data, &update));
    update = one_update("192.0.2.1", 1);
    (void)measure("10,000 addresses item-wise", data, put_items(data, &update));
    memset(text, 'x', sizeof(text) - 1);
    wire_text(&update, 5, text);
    length = put_items(data, &update);
    ck_assert_uint_le(length, BL_CODEC_CLIENT_REQUEST_MAX);
    (void)measure("10,000 items with 2.9 kB of text each", data, length);
    /* Field 4, a BulkUpdate, with its kind and field 9, the addresses, of zeros. */
    wire_number(&bulk, 1, 1);
    wire_varint(&bulk, 9 << 3 | 2);
    wire_varint(&bulk, column);
    memset(data, 0, BL_CODEC_CLIENT_REQUEST_MAX);
    update.n = 0;
    wire_varint(&update, 4 << 3 | 2);
    wire_varint(&update, bulk.n + column);
    memcpy(data, update.data, update.n);
    memcpy(data + update.n, bulk.data, bulk.n);
    length = update.n + bulk.n + column;
    ck_assert_uint_lt(measure("one column", data, length), 2 * length);
    free(data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("codec_client");
    TCase *tcase = tcase_create("codec_client");
    SRunner *runner;
    int n_failed;

    tcase_add_test(tcase, batch_arrives_whole);
    tcase_add_test(tcase, values_outside_an_enum_stay_outside);
    tcase_add_test(tcase, malformed_batches_name_their_field);
    tcase_add_test(tcase, bulk_columns_must_agree);
    tcase_add_test(tcase, a_batch_of_too_many_updates_is_refused);
    tcase_add_test(tcase, memory_of_one_request_is_bounded);
    tcase_add_test(tcase, a_result_is_the_answer_and_what_was_reached);
    tcase_add_test(tcase, a_lookup_names_its_layers);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
