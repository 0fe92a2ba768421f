/* What the operator's view counts, who may ask for it, and that nothing in a name becomes markup. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/portal/operator.h"
#include "controlplane/portal/overview_text.h"

START_TEST(a_tally_by_reason)
{
    static char names[BL_TALLY_REASONS_MAX + 8][16];
    struct bl_tally_entry taken[BL_TALLY_REASONS_MAX];
    struct bl_tally *tally = bl_tally_create();
    uint64_t sum = 0;
    size_t n;

    bl_tally_add(NULL, "nobody wants to know");
    ck_assert_uint_eq(bl_tally_take(tally, taken), 0);
    bl_tally_add(tally, "busy");
    bl_tally_add(tally, "used");
    bl_tally_add_many(tally, "busy", 4);
    ck_assert_uint_eq(bl_tally_take(tally, taken), 2);
    ck_assert_str_eq(taken[0].reason, "busy");
    ck_assert_uint_eq(taken[0].n, 5);
    ck_assert_uint_eq(taken[1].n, 1);
    ck_assert_uint_eq(bl_tally_take(tally, taken), 0);
    /* More reasons than there is room for: none is lost, the last are together. */
    for (int i = 0; i < BL_TALLY_REASONS_MAX + 8; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "r%d", i);
        bl_tally_add(tally, names[i]);
    }
    n = bl_tally_take(tally, taken);
    ck_assert_uint_eq(n, BL_TALLY_REASONS_MAX);
    for (size_t i = 0; i < n; i++)
        sum += taken[i].n;
    ck_assert_uint_eq(sum, BL_TALLY_REASONS_MAX + 8);
    ck_assert_str_eq(taken[n - 1].reason, "other");
    ck_assert_uint_eq(taken[n - 1].n, 9);
    bl_tally_free(tally);
}
END_TEST

START_TEST(hosts)
{
    static const char *const good[] = {"localhost",    "localhost:8026", "127.0.0.1",
                                       "192.0.2.1:80", "[::1]",          "[::1]:8026"};
    static const char *const bad[] = {
        "",       ":80", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1evil",
        "[evil]", "[",   "LOCALHOST."};

    ck_assert(!bl_operator_host_valid(NULL));
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        ck_assert_msg(bl_operator_host_valid(good[i]), "%s", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!bl_operator_host_valid(bad[i]), "%s", bad[i]);
}
END_TEST

/* The store holds what people and mail servers said. */
START_TEST(names_stay_text)
{
    static const char hostile[] = "<script>\"'&</td>\x01\xff";
    static struct bl_settings settings;
    struct bl_secret secret = {{1}};
    const struct bl_overview_names names = {&settings.portal, &secret};
    struct bl_overview_state *state = calloc(1, sizeof(*state));
    size_t length;
    char *page;
    char *json;

    bl_settings_init(&settings);
    settings.portal.audit = BL_AUDIT_CLEAR;
    state->n_latest = state->n_outbox = state->n_reasons = 1;
    (void)snprintf(state->latest[0].email, sizeof(state->latest[0].email), "%s", hostile);
    (void)snprintf(state->latest[0].source, sizeof(state->latest[0].source), "%s", hostile);
    (void)snprintf(state->outbox[0].cause, sizeof(state->outbox[0].cause), "%s", hostile);
    (void)snprintf(state->reasons[0].name, sizeof(state->reasons[0].name), "%s", hostile);
    state->latest[0].state = BL_REQUEST_DONE;
    state->latest[0].outcome = 200; /* a later version's */
    page = bl_overview_text_page(state, &names, &length);
    ck_assert_uint_eq(length, strlen(page));
    ck_assert_ptr_null(strstr(page, "<script"));
    ck_assert_ptr_nonnull(strstr(page, "&lt;script&gt;&quot;&#39;&amp;&lt;/td&gt;"));
    json = bl_overview_text_json(state, &names, &length);
    ck_assert_uint_eq(length, strlen(json));
    ck_assert_uint_eq(strcspn(json, "\n"), length - 1);
    ck_assert_ptr_nonnull(strstr(json, "<script>\\\"'&</td>\\u0001\\ufffd"));
    free(page);
    free(json);
    settings.portal.audit = BL_AUDIT_HASHED;
    json = bl_overview_text_json(state, &names, &length);
    ck_assert_ptr_nonnull(strstr(json, "\"who\":\"#"));
    free(json);
    free(state);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("operator");
    TCase *cases = tcase_create("all");
    SRunner *runner;
    int n_failed;

    tcase_add_test(cases, a_tally_by_reason);
    tcase_add_test(cases, hosts);
    tcase_add_test(cases, names_stay_text);
    suite_add_tcase(suite, cases);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
