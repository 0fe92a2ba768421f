/* Self-service that comes again and again: counted exactly, over restarts, and forgiven by an operator. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/codec_log.h"
#include "controlplane/policy.h"
#include "controlplane/policy_escalation.h"

enum { NOW = 1000000000 };
#define DAY INT64_C(86400000)

static struct bl_settings_controlplane settings;
static struct bl_list_state *state;
static struct bl_item_result last; /* its detail is `detail` */
static char detail[256];
static uint64_t serial;

static const struct bl_actor admin = {"root", BL_ROLE_ADMIN, "", 0};
static const struct bl_actor feeder = {"trapd", BL_ROLE_FEEDER, "trap", 0};
static const struct bl_actor delister = {"portal", BL_ROLE_DELISTER, "", 0};

static void setup(void)
{
    memset(&settings, 0, sizeof(settings));
    settings.code = 606;
    settings.ipv6_unit = 64;
    settings.delist_days = 30;
    settings.delist_grace_s = 300;
    settings.self_service_delists = 3;
    settings.self_service_days = 30;
    settings.hold_percent = 100;
    ck_assert_int_eq(bl_list_state_create(&state, 1, NULL, 0), BL_OK);
    serial = 0;
}

static void teardown(void)
{
    bl_list_state_free(state);
}

/* Decides one update, and commits it as a restart would see it: from its record's bytes. */
static void say(const struct bl_actor *actor, const struct bl_update update, int64_t now_ms)
{
    const struct bl_batch batch = {.session = "", .updates = &update, .n_updates = 1};
    size_t mark = bl_list_state_mark(state);
    struct bl_policy_effects effects;
    struct bl_batch_result result;
    struct bl_codec_record back;
    struct bl_codec_bytes blob;
    struct bl_list_changes changes;

    ck_assert_int_eq(bl_policy_apply(&settings, state, actor, &batch, now_ms, ++serial, &result, &effects), BL_OK);
    last = result.items[0];
    (void)snprintf(detail, sizeof(detail), "%s", last.detail == NULL ? "" : last.detail);
    const struct bl_record record = {.epoch = 1,
                                     .serial = serial,
                                     .time_ms = now_ms,
                                     .actor = actor->name,
                                     .session = "",
                                     .groups = effects.groups,
                                     .n_groups = effects.n_groups};

    ck_assert_int_eq(bl_codec_log_encode_record(&record, &blob), BL_OK);
    bl_policy_effects_fini(&effects);
    bl_batch_result_fini(&result);
    bl_list_state_rollback(state, mark);
    ck_assert_int_eq(bl_codec_log_decode_record(blob.data, blob.length, &back, NULL), BL_OK);
    for (size_t i = 0; i < back.record.n_groups; i++)
        ck_assert_int_eq(bl_list_state_apply(state, &back.record.groups[i], serial, back.record.actor, NULL), BL_OK);
    bl_list_state_commit(state, serial, &changes);
    bl_codec_log_record_fini(&back);
    bl_codec_bytes_fini(&blob);
}

/* Lists @prefix anew, with evidence of that moment, and delists it. */
static void delist_again(const struct bl_actor *actor, const char *prefix, int64_t now_ms, enum bl_refusal refusal)
{
    say(&feeder, (struct bl_update){.kind = BL_UPDATE_LIST, .prefix = prefix, .observed_at_ms = now_ms}, now_ms);
    say(actor, (struct bl_update){.kind = BL_UPDATE_DELIST, .prefix = prefix}, now_ms);
    ck_assert_msg(last.refusal == refusal, "%lld: outcome %u, refusal %u, %s", (long long)now_ms, last.outcome,
                  last.refusal, detail);
    ck_assert_uint_eq(last.outcome, refusal == BL_REFUSAL_NONE ? BL_OUTCOME_REMOVED : BL_OUTCOME_REFUSED);
}

START_TEST(the_fourth_in_the_window_is_refused)
{
    delist_again(&delister, "192.0.2.1", NOW, BL_REFUSAL_NONE);
    delist_again(&delister, "192.0.2.1", NOW + 10 * DAY, BL_REFUSAL_NONE);
    delist_again(&delister, "192.0.2.1", NOW + 20 * DAY, BL_REFUSAL_NONE);
    delist_again(&delister, "192.0.2.1", NOW + 21 * DAY, BL_REFUSAL_SELF_SERVICE_CLOSED);
    ck_assert_str_eq(detail, "192.0.2.1/32: delisted 3 times by self-service within 30 days: closed until "
                             "1970-02-11T13:46:40Z");
    delist_again(&delister, "192.0.2.1", NOW + 30 * DAY - 1, BL_REFUSAL_SELF_SERVICE_CLOSED);
    /* Another address has a count of its own. */
    delist_again(&delister, "192.0.2.2", NOW + 30 * DAY - 1, BL_REFUSAL_NONE);
    /* The first is 30 days old: one more, and closed until the second is. */
    delist_again(&delister, "192.0.2.1", NOW + 30 * DAY, BL_REFUSAL_NONE);
    delist_again(&delister, "192.0.2.1", NOW + 31 * DAY, BL_REFUSAL_SELF_SERVICE_CLOSED);
    delist_again(&delister, "192.0.2.1", NOW + 40 * DAY, BL_REFUSAL_NONE);
}
END_TEST

START_TEST(an_operators_delist_opens_again)
{
    settings.self_service_delists = 1;
    delist_again(&delister, "2001:db8::", NOW, BL_REFUSAL_NONE);
    delist_again(&delister, "2001:db8::", NOW + DAY, BL_REFUSAL_SELF_SERVICE_CLOSED);
    delist_again(&admin, "2001:db8::", NOW + DAY, BL_REFUSAL_NONE);
    delist_again(&admin, "2001:db8::", NOW + 2 * DAY, BL_REFUSAL_NONE);
    delist_again(&delister, "2001:db8::", NOW + 3 * DAY, BL_REFUSAL_NONE);
    delist_again(&delister, "2001:db8::", NOW + 4 * DAY, BL_REFUSAL_SELF_SERVICE_CLOSED);
}
END_TEST

/* Who asks for a short delist can't have it forgotten with its count; what finds nothing to do is not counted. */
START_TEST(what_is_counted)
{
    const struct bl_prefix prefix = {{192, 0, 2, 1}, 32, BL_FAMILY_IPV4};
    struct bl_effect_attributes known;

    say(&feeder, (struct bl_update){.kind = BL_UPDATE_LIST, .prefix = "192.0.2.1"}, NOW);
    say(&delister, (struct bl_update){.kind = BL_UPDATE_DELIST, .prefix = "192.0.2.1", .expires_at_ms = NOW + 1000},
        NOW);
    say(&delister, (struct bl_update){.kind = BL_UPDATE_DELIST, .prefix = "192.0.2.1"}, NOW + 1000);
    ck_assert_uint_eq(last.outcome, BL_OUTCOME_UNCHANGED);
    ck_assert_int_eq(bl_list_state_find_other(state, BL_EFFECT_DELIST, &prefix, &known), BL_OK);
    ck_assert_int_eq(known.expires_at_ms, NOW + 30 * DAY);
    ck_assert_str_eq(known.self_delists, "1000000");
}
END_TEST

/* The longest text fits, and rot in it is no crash. */
START_TEST(times_are_read_with_care)
{
    struct bl_policy_escalation out = {.text = ""};
    const int64_t late_ms = INT64_C(253402300799000);

    for (int i = 0; i < 40; i++) {
        struct bl_policy_escalation in = out;

        bl_policy_escalation_add(&out, in.text, late_ms + i * 1000, DAY);
    }
    ck_assert_int_eq(bl_policy_escalation_until(out.text, late_ms + 40000, DAY, 16), late_ms + 24000 + DAY);
    ck_assert_int_eq(bl_policy_escalation_until("9223372036854775807", NOW, DAY, 1), 0);
    ck_assert_int_eq(bl_policy_escalation_until("x", NOW, DAY, 1), 0);
    ck_assert_int_eq(bl_policy_escalation_until(NULL, NOW, DAY, 1), 0);
    ck_assert_int_eq(bl_policy_escalation_until("1000000 -", NOW, DAY, 1), NOW + DAY);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("policy_escalation");
    TCase *count = tcase_create("count");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_checked_fixture(count, setup, teardown);
    tcase_add_test(count, the_fourth_in_the_window_is_refused);
    tcase_add_test(count, an_operators_delist_opens_again);
    tcase_add_test(count, what_is_counted);
    tcase_add_test(count, times_are_read_with_care);
    suite_add_tcase(suite, count);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
