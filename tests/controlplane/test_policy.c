/* The rules, one by one: what each refuses, what each answers, and that a refusal leaves nothing behind. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/policy.h"
#include "controlplane/policy_text.h"

enum { NOW = 1000000000, DAY = 86400000 };

static struct bl_settings_controlplane settings;
static struct bl_list_state *state;
static struct bl_batch_result result;
static struct bl_policy_effects effects;
static uint64_t serial;

static const char *const order[] = {"trap", "wide"};
static const struct bl_actor admin = {"root", BL_ROLE_ADMIN, ""};
static const struct bl_actor feeder = {"trapd", BL_ROLE_FEEDER, "trap"};
static const struct bl_actor wide_feeder = {"wided", BL_ROLE_FEEDER, "wide"};
static const struct bl_actor delister = {"portal", BL_ROLE_DELISTER, ""};
static const struct bl_actor reader = {"guest", BL_ROLE_READER, ""};

static void setup(void)
{
    memset(&settings, 0, sizeof(settings));
    (void)snprintf(settings.url, sizeof(settings.url), "https://delist.example/");
    settings.code = 606;
    settings.ipv6_unit = 64;
    settings.delist_days = 30;
    settings.delist_grace_s = 300;
    settings.self_service_delists = 3;
    settings.self_service_days = 30;
    settings.hold_percent = 5;
    settings.hold_floor_addresses = 65536;
    settings.never_listed[0] = (struct bl_prefix){{198, 51, 100}, 24, BL_FAMILY_IPV4};
    settings.n_never_listed = 1;
    settings.sources[0] = (struct bl_settings_source){"trap", 610, BL_ACTION_DROP, false, "https://trap.example/"};
    settings.sources[1] = (struct bl_settings_source){"wide", 611, BL_ACTION_REJECT, true, ""};
    settings.n_sources = 2;
    ck_assert_int_eq(bl_list_state_create(&state, 1, order, 2), BL_OK);
    serial = 0;
}

static void forget(void)
{
    bl_batch_result_fini(&result);
    bl_policy_effects_fini(&effects);
}

static void teardown(void)
{
    forget();
    bl_list_state_free(state);
}

static void decide_at(const struct bl_actor *actor, const struct bl_batch *batch, int64_t now_ms)
{
    struct bl_list_changes changes;

    forget();
    ck_assert_int_eq(bl_policy_apply(&settings, state, actor, batch, now_ms, ++serial, &result, &effects), BL_OK);
    bl_list_state_commit(state, serial, &changes);
}

static void decide(const struct bl_actor *actor, const struct bl_batch *batch)
{
    decide_at(actor, batch, NOW);
}

static const struct bl_item_result *say(const struct bl_actor *actor, struct bl_update update)
{
    const struct bl_batch batch = {.session = "", .updates = &update, .n_updates = 1};

    decide(actor, &batch);
    ck_assert_uint_eq(result.n_items, 1);
    return result.items;
}

/* One update, and what it must lead to. */
static void expect(const struct bl_actor *actor, struct bl_update update, enum bl_outcome outcome,
                   enum bl_refusal refusal)
{
    const struct bl_item_result *item = say(actor, update);

    ck_assert_msg(item->outcome == outcome && item->refusal == refusal, "%s: outcome %u, refusal %u, %s", update.prefix,
                  item->outcome, item->refusal, item->detail == NULL ? "" : item->detail);
    ck_assert_uint_eq(result.n_outcomes[outcome], 1);
    if (refusal != BL_REFUSAL_NONE) {
        ck_assert_uint_eq(effects.n_groups, 0);
        ck_assert_ptr_nonnull(item->detail);
    }
}

static void expect_list(const struct bl_actor *actor, const char *prefix, enum bl_outcome outcome)
{
    expect(actor, (struct bl_update){.kind = BL_UPDATE_LIST, .prefix = prefix}, outcome, BL_REFUSAL_NONE);
}

static void expect_delist(const struct bl_actor *actor, const char *prefix, enum bl_outcome outcome,
                          enum bl_refusal refusal)
{
    expect(actor, (struct bl_update){.kind = BL_UPDATE_DELIST, .prefix = prefix}, outcome, refusal);
}

static uint8_t class_at(const char *text)
{
    struct bl_list_layer layers[8];
    struct bl_prefix prefix;
    uint8_t class_id;

    ck_assert_int_eq(bl_address_parse_prefix(text, 64, &prefix, NULL), BL_OK);
    (void)bl_list_state_lookup(state, &prefix, layers, 8, &class_id);
    return class_id;
}

static bool is_listed(const char *text)
{
    uint8_t class_id = class_at(text);

    return class_id >= BL_CLASS_FIRST && class_id <= BL_CLASS_LAST;
}

static bool says(const char *words)
{
    return result.items[0].detail != NULL && strstr(result.items[0].detail, words) != NULL;
}

START_TEST(malformed_is_refused)
{
    static const struct {
        struct bl_update update;
        const char *names;
    } cases[] = {
        {{.kind = BL_UPDATE_LIST, .prefix = "192.0.2.1/24"}, "192.0.2.0/24"},
        {{.kind = BL_UPDATE_LIST, .prefix = "192.0.2.256"}, "192.0.2.256"},
        {{.kind = BL_UPDATE_LIST, .prefix = NULL}, "expected"},
        {{.kind = (enum bl_update_kind)0, .prefix = "192.0.2.1"}, "kind"},
        {{.kind = BL_UPDATE_LIST, .prefix = "192.0.2.1", .code = 605}, "605"},
        {{.kind = BL_UPDATE_LIST, .prefix = "192.0.2.1", .code = 650}, "606..649"},
        {{.kind = BL_UPDATE_LIST, .prefix = "192.0.2.1", .action = 5}, "action"},
        {{.kind = BL_UPDATE_LIST, .prefix = "192.0.2.1", .self_service = 3}, "self_service"},
        {{.kind = BL_UPDATE_LIST, .prefix = "192.0.2.1", .reason = "a\nb"}, "reason"},
        {{.kind = BL_UPDATE_LIST, .prefix = "192.0.2.1", .source = "Trap"}, "source"},
        {{.kind = BL_UPDATE_LIST, .prefix = "192.0.2.1", .observed_at_ms = -1}, "observed_at_ms"},
        {{.kind = BL_UPDATE_LIST, .prefix = "192.0.2.1", .observed_at_ms = NOW + DAY}, "observed_at_ms"},
        {{.kind = BL_UPDATE_LIST, .prefix = "192.0.2.1", .expires_at_ms = NOW}, "expires_at_ms"},
        {{.kind = BL_UPDATE_LIST, .prefix = "192.0.2.1", .expires_at_ms = -1}, "expires_at_ms"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect(&admin, cases[i].update, BL_OUTCOME_REFUSED, BL_REFUSAL_INVALID);
        ck_assert_msg(says(cases[i].names), "case %zu: %s", i, result.items[0].detail);
    }
    ck_assert(!is_listed("192.0.2.1"));
}
END_TEST

START_TEST(reasons_are_printable_utf8)
{
    char longest[BL_POLICY_TEXT_REASON_MAX + 2];

    memset(longest, 'a', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    ck_assert(!bl_policy_text_is_reason(longest));
    longest[BL_POLICY_TEXT_REASON_MAX] = '\0';
    ck_assert(bl_policy_text_is_reason(longest));
    ck_assert(bl_policy_text_is_reason("spam \xc3\xa9 \xe2\x82\xac \xf0\x9f\x93\xa7"));
    ck_assert(!bl_policy_text_is_reason("\x7f"));
    ck_assert(!bl_policy_text_is_reason("\xc2\x9b"));         /* a C1 control: CSI */
    ck_assert(!bl_policy_text_is_reason("\xc0\xaf"));         /* not the shortest form */
    ck_assert(!bl_policy_text_is_reason("\xe0\x80\xaf"));     /* nor this */
    ck_assert(!bl_policy_text_is_reason("\xed\xa0\x80"));     /* a surrogate */
    ck_assert(!bl_policy_text_is_reason("\xf4\x90\x80\x80")); /* above U+10FFFF */
    ck_assert(!bl_policy_text_is_reason("\xe2\x82"));         /* cut */
    ck_assert(!bl_policy_text_is_reason("\x80"));
    ck_assert(!bl_policy_text_is_reason("a\xe2\x80\xae"
                                        "b")); /* right-to-left override */
    ck_assert(!bl_policy_text_is_source(""));
    ck_assert(bl_policy_text_is_source("a.b_c-9"));
    ck_assert(!bl_policy_text_is_source("a b"));
}
END_TEST

START_TEST(roles_bound_the_kinds)
{
    static const struct {
        const struct bl_actor *actor;
        enum bl_update_kind kind;
        const char *prefix;
        const char *source;
    } forbidden[] = {
        {&reader, BL_UPDATE_LIST, "192.0.2.1", ""},         {&reader, BL_UPDATE_DELIST, "192.0.2.1", ""},
        {&delister, BL_UPDATE_LIST, "192.0.2.1", ""},       {&delister, BL_UPDATE_EXEMPT, "192.0.2.1", ""},
        {&delister, BL_UPDATE_UNEXEMPT, "192.0.2.1", ""},   {&delister, BL_UPDATE_DELIST, "192.0.2.0/31", ""},
        {&delister, BL_UPDATE_DELIST, "192.0.2.1", "trap"}, {&delister, BL_UPDATE_DELIST, "2001:db8::/63", ""},
        {&feeder, BL_UPDATE_EXEMPT, "192.0.2.1", ""},       {&feeder, BL_UPDATE_UNEXEMPT, "192.0.2.1", ""},
        {&feeder, BL_UPDATE_DELIST, "192.0.2.1", ""},
    };

    for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++)
        expect(
            forbidden[i].actor,
            (struct bl_update){.kind = forbidden[i].kind, .prefix = forbidden[i].prefix, .source = forbidden[i].source},
            BL_OUTCOME_REFUSED, BL_REFUSAL_ROLE);
    expect_delist(&delister, "2001:db8::1", BL_OUTCOME_NOT_LISTED, BL_REFUSAL_NONE);
    expect_delist(&delister, "192.0.2.1", BL_OUTCOME_NOT_LISTED, BL_REFUSAL_NONE);
}
END_TEST

START_TEST(too_wide_is_refused_but_for_unexempt)
{
    static const char *const wide[] = {"0.0.0.0/0", "64.0.0.0/7", "::/0", "2000::/18"};

    for (size_t i = 0; i < 4; i++) {
        for (enum bl_update_kind kind = BL_UPDATE_LIST; kind <= BL_UPDATE_EXEMPT; kind++)
            expect(&admin, (struct bl_update){.kind = kind, .prefix = wide[i]}, BL_OUTCOME_REFUSED,
                   BL_REFUSAL_TOO_WIDE);
        expect(&admin, (struct bl_update){.kind = BL_UPDATE_UNEXEMPT, .prefix = wide[i]}, BL_OUTCOME_NOT_LISTED,
               BL_REFUSAL_NONE);
    }
    expect_list(&admin, "64.0.0.0/8", BL_OUTCOME_APPLIED);
    expect_list(&feeder, "2000::/19", BL_OUTCOME_APPLIED);
}
END_TEST

START_TEST(never_listed_both_ways)
{
    static const char *const bad[] = {"198.51.100.7", "198.51.100.0/24", "198.51.0.0/16",  "127.0.0.1",
                                      "224.0.0.0/8",  "fe80::1",         "255.255.255.255"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        expect(&admin, (struct bl_update){.kind = BL_UPDATE_LIST, .prefix = bad[i]}, BL_OUTCOME_REFUSED,
               BL_REFUSAL_NEVER_LISTED);
    expect(&admin, (struct bl_update){.kind = BL_UPDATE_EXEMPT, .prefix = "198.51.100.0/24"}, BL_OUTCOME_APPLIED,
           BL_REFUSAL_NONE);
    expect_list(&admin, "198.51.101.7", BL_OUTCOME_APPLIED);
}
END_TEST

START_TEST(a_feeder_speaks_for_its_own_source)
{
    expect(&feeder, (struct bl_update){.kind = BL_UPDATE_LIST, .prefix = "192.0.2.1", .source = "wide"},
           BL_OUTCOME_REFUSED, BL_REFUSAL_SOURCE);
    expect(&feeder, (struct bl_update){.kind = BL_UPDATE_DELIST, .prefix = "192.0.2.1", .source = "wide"},
           BL_OUTCOME_REFUSED, BL_REFUSAL_SOURCE);
    expect(&feeder, (struct bl_update){.kind = BL_UPDATE_LIST, .prefix = "192.0.2.1", .source = "operator"},
           BL_OUTCOME_REFUSED, BL_REFUSAL_SOURCE);
    expect(&feeder, (struct bl_update){.kind = BL_UPDATE_LIST, .prefix = "192.0.2.1", .source = "trap"},
           BL_OUTCOME_APPLIED, BL_REFUSAL_NONE);
    expect(&feeder, (struct bl_update){.kind = BL_UPDATE_DELIST, .prefix = "192.0.2.1", .source = "trap"},
           BL_OUTCOME_REMOVED, BL_REFUSAL_NONE);
    expect(&feeder, (struct bl_update){.kind = BL_UPDATE_DELIST, .prefix = "192.0.2.1", .source = "trap"},
           BL_OUTCOME_NOT_LISTED, BL_REFUSAL_NONE);
}
END_TEST

START_TEST(a_listing_takes_its_sources_settings)
{
    struct bl_prefix prefix = {{192, 0, 2, 1}, 32, BL_FAMILY_IPV4};
    struct bl_effect_attributes found;

    expect_list(&feeder, "192.0.2.1", BL_OUTCOME_APPLIED);
    ck_assert_int_eq(bl_list_state_find(state, &prefix, "trap", &found), BL_OK);
    ck_assert_uint_eq(found.code, 610);
    ck_assert_uint_eq(found.action, BL_ACTION_DROP);
    ck_assert(!found.self_service);
    ck_assert_str_eq(found.url, "https://trap.example/");
    ck_assert_int_eq(found.observed_at_ms, NOW);
    ck_assert_str_eq(found.actor, "trapd");
    expect_list(&wide_feeder, "192.0.2.1", BL_OUTCOME_APPLIED);
    ck_assert_int_eq(bl_list_state_find(state, &prefix, "wide", &found), BL_OK);
    ck_assert_str_eq(found.url, "https://delist.example/");
    expect(&admin,
           (struct bl_update){.kind = BL_UPDATE_LIST,
                              .prefix = "192.0.2.1",
                              .code = 640,
                              .action = BL_ACTION_RESET,
                              .self_service = BL_SELF_SERVICE_CLOSED,
                              .reason = "said so"},
           BL_OUTCOME_APPLIED, BL_REFUSAL_NONE);
    ck_assert_int_eq(bl_list_state_find(state, &prefix, "operator", &found), BL_OK);
    ck_assert(found.code == 640 && found.action == BL_ACTION_RESET && !found.self_service);
    ck_assert_str_eq(found.reason, "said so");
}
END_TEST

START_TEST(a_repeat_changes_nothing_and_is_no_newer_evidence)
{
    const struct bl_update update = {.kind = BL_UPDATE_LIST, .prefix = "192.0.2.1"};
    struct bl_update renamed = update;
    const struct bl_batch batch = {.session = "", .updates = &update, .n_updates = 1};
    const struct bl_batch renamed_batch = {.session = "", .updates = &renamed, .n_updates = 1};
    struct bl_prefix prefix = {{192, 0, 2, 1}, 32, BL_FAMILY_IPV4};
    struct bl_effect_attributes found;

    renamed.reason = "other";
    decide(&feeder, &batch);
    decide_at(&feeder, &batch, NOW + DAY);
    ck_assert_uint_eq(result.n_outcomes[BL_OUTCOME_UNCHANGED], 1);
    ck_assert_uint_eq(effects.n_groups, 0);
    decide_at(&feeder, &renamed_batch, NOW + DAY);
    ck_assert_uint_eq(result.n_outcomes[BL_OUTCOME_APPLIED], 1);
    ck_assert_int_eq(bl_list_state_find(state, &prefix, "trap", &found), BL_OK);
    ck_assert_int_eq(found.observed_at_ms, NOW);
}
END_TEST

START_TEST(evidence_from_the_future_counts_as_now)
{
    struct bl_prefix prefix = {{192, 0, 2, 1}, 32, BL_FAMILY_IPV4};
    struct bl_effect_attributes found;

    expect(&feeder, (struct bl_update){.kind = BL_UPDATE_LIST, .prefix = "192.0.2.1", .observed_at_ms = NOW + 60000},
           BL_OUTCOME_APPLIED, BL_REFUSAL_NONE);
    ck_assert_int_eq(bl_list_state_find(state, &prefix, "trap", &found), BL_OK);
    ck_assert_int_eq(found.observed_at_ms, NOW);
}
END_TEST

START_TEST(a_delist_removes_exempts_or_finds_nothing)
{
    const struct bl_effect_group *group;

    expect_delist(&delister, "192.0.2.1", BL_OUTCOME_NOT_LISTED, BL_REFUSAL_NONE);
    ck_assert_uint_eq(effects.n_groups, 0);
    expect_list(&wide_feeder, "192.0.2.1", BL_OUTCOME_APPLIED);
    expect_delist(&delister, "192.0.2.1", BL_OUTCOME_REMOVED, BL_REFUSAL_NONE);
    ck_assert(!is_listed("192.0.2.1"));
    ck_assert_uint_eq(effects.n_groups, 1);
    group = &effects.groups[0];
    ck_assert_int_eq(group->kind, BL_EFFECT_DELIST);
    ck_assert_int_eq(group->attributes.suppress_until_ms, NOW + 300000);
    ck_assert_int_eq(group->attributes.expires_at_ms, NOW + INT64_C(30) * DAY);
    expect_delist(&delister, "192.0.2.1", BL_OUTCOME_UNCHANGED, BL_REFUSAL_NONE);
    expect_list(&wide_feeder, "192.0.3.0/24", BL_OUTCOME_APPLIED);
    expect_delist(&delister, "192.0.3.9", BL_OUTCOME_EXEMPTED, BL_REFUSAL_NONE);
    ck_assert(says("192.0.3.0/24"));
    ck_assert(!is_listed("192.0.3.9") && is_listed("192.0.3.8"));
}
END_TEST

START_TEST(newer_evidence_lists_again)
{
    const struct bl_update again = {.kind = BL_UPDATE_LIST, .prefix = "192.0.2.1", .observed_at_ms = NOW + 300001};
    const struct bl_update soon = {.kind = BL_UPDATE_LIST, .prefix = "192.0.2.1", .observed_at_ms = NOW + 300000};
    const struct bl_batch again_batch = {.session = "", .updates = &again, .n_updates = 1};
    const struct bl_batch soon_batch = {.session = "", .updates = &soon, .n_updates = 1};

    expect_list(&wide_feeder, "192.0.2.1", BL_OUTCOME_APPLIED);
    expect_delist(&delister, "192.0.2.1", BL_OUTCOME_REMOVED, BL_REFUSAL_NONE);
    decide_at(&wide_feeder, &soon_batch, NOW + DAY);
    ck_assert(!is_listed("192.0.2.1"));
    ck_assert(says("applied, but 192.0.2.1/32 is delisted by portal"));
    decide_at(&wide_feeder, &again_batch, NOW + DAY);
    ck_assert(is_listed("192.0.2.1"));
}
END_TEST

START_TEST(closed_listings_are_not_for_self_service)
{
    const struct bl_update wide = {.kind = BL_UPDATE_LIST, .prefix = "192.0.0.0/16"};
    const struct bl_batch batch = {.session = "", .updates = &wide, .n_updates = 1};

    expect_list(&feeder, "192.0.2.1", BL_OUTCOME_APPLIED); /* closed by its source's settings */
    expect_delist(&delister, "192.0.2.1", BL_OUTCOME_REFUSED, BL_REFUSAL_SELF_SERVICE_CLOSED);
    ck_assert(is_listed("192.0.2.1"));
    expect_delist(&admin, "192.0.2.1", BL_OUTCOME_REMOVED, BL_REFUSAL_NONE);
    expect_delist(&delister, "192.0.2.1", BL_OUTCOME_UNCHANGED, BL_REFUSAL_NONE);
    /* Suppressed already, it still counts: a delist because of the newer listing would renew that. */
    decide_at(&wide_feeder, &batch, NOW + DAY);
    ck_assert(is_listed("192.0.2.1"));
    expect_delist(&delister, "192.0.2.1", BL_OUTCOME_REFUSED, BL_REFUSAL_SELF_SERVICE_CLOSED);
    expect_delist(&delister, "192.0.2.2", BL_OUTCOME_EXEMPTED, BL_REFUSAL_NONE);
}
END_TEST

START_TEST(only_an_operator_ends_an_operators_listing)
{
    expect_list(&admin, "192.0.2.0/24", BL_OUTCOME_APPLIED);
    expect_delist(&delister, "192.0.2.1", BL_OUTCOME_REFUSED, BL_REFUSAL_OPERATOR_LISTING);
    ck_assert(says("192.0.2.0/24"));
    expect_delist(&admin, "192.0.2.1", BL_OUTCOME_REFUSED, BL_REFUSAL_OPERATOR_LISTING);
    expect_list(&admin, "192.0.2.1", BL_OUTCOME_APPLIED);
    expect_delist(&delister, "192.0.2.1", BL_OUTCOME_REFUSED, BL_REFUSAL_OPERATOR_LISTING);
    expect_delist(&admin, "192.0.2.1", BL_OUTCOME_REMOVED, BL_REFUSAL_NONE);
    ck_assert(says("192.0.2.0/24"));
    ck_assert(is_listed("192.0.2.1"));
    expect_delist(&admin, "192.0.2.0/24", BL_OUTCOME_REMOVED, BL_REFUSAL_NONE);
    ck_assert(!is_listed("192.0.2.1"));
}
END_TEST

/* An administrator who delists what both list sees it gone. */
START_TEST(an_admins_delist_takes_all_layers)
{
    expect_list(&feeder, "192.0.2.1", BL_OUTCOME_APPLIED);
    expect_list(&admin, "192.0.2.1", BL_OUTCOME_APPLIED);
    expect_delist(&admin, "192.0.2.1", BL_OUTCOME_REMOVED, BL_REFUSAL_NONE);
    ck_assert_uint_eq(effects.n_groups, 2);
    ck_assert_uint_eq(class_at("192.0.2.1"), BL_CLASS_EXEMPT);
}
END_TEST

START_TEST(a_wide_delist_counts_what_is_inside)
{
    expect_list(&wide_feeder, "2001:db8::1/128", BL_OUTCOME_APPLIED);
    expect_delist(&delister, "2001:db8::", BL_OUTCOME_REMOVED, BL_REFUSAL_NONE);
    ck_assert_uint_eq(class_at("2001:db8::1/128"), BL_CLASS_EXEMPT);
    expect_delist(&delister, "2001:db8::", BL_OUTCOME_UNCHANGED, BL_REFUSAL_NONE);
    expect_list(&admin, "2001:db8:1::1/128", BL_OUTCOME_APPLIED);
    expect_delist(&delister, "2001:db8:1::", BL_OUTCOME_REFUSED, BL_REFUSAL_OPERATOR_LISTING);
    expect_list(&feeder, "2001:db8:1::2/128", BL_OUTCOME_APPLIED);
    expect_delist(&delister, "2001:db8:1::", BL_OUTCOME_REFUSED, BL_REFUSAL_SELF_SERVICE_CLOSED);
    expect_delist(&admin, "2001:db8:1::", BL_OUTCOME_REMOVED, BL_REFUSAL_NONE);
    ck_assert(says("2001:db8:1::1/128"));
    ck_assert(is_listed("2001:db8:1::1/128"));
}
END_TEST

START_TEST(delists_last_as_long_as_the_role_may_say)
{
    struct bl_update update = {
        .kind = BL_UPDATE_DELIST, .prefix = "192.0.2.1", .expires_at_ms = NOW + INT64_C(365) * DAY};

    expect_list(&wide_feeder, "192.0.2.1", BL_OUTCOME_APPLIED);
    expect(&delister, update, BL_OUTCOME_REMOVED, BL_REFUSAL_NONE);
    ck_assert_int_eq(effects.groups[0].attributes.expires_at_ms, NOW + INT64_C(30) * DAY);
    expect(&admin, update, BL_OUTCOME_APPLIED, BL_REFUSAL_NONE);
    ck_assert_int_eq(effects.groups[0].attributes.expires_at_ms, NOW + INT64_C(365) * DAY);
    expect(&admin, update, BL_OUTCOME_UNCHANGED, BL_REFUSAL_NONE);
}
END_TEST

START_TEST(exemptions_are_set_renewed_and_taken_back)
{
    struct bl_update update = {.kind = BL_UPDATE_EXEMPT, .prefix = "192.0.2.0/24", .reason = "partner"};

    expect_list(&feeder, "192.0.2.1", BL_OUTCOME_APPLIED);
    expect(&admin, update, BL_OUTCOME_APPLIED, BL_REFUSAL_NONE);
    expect(&admin, update, BL_OUTCOME_UNCHANGED, BL_REFUSAL_NONE);
    ck_assert_uint_eq(effects.n_groups, 0);
    ck_assert_uint_eq(class_at("192.0.2.1"), BL_CLASS_EXEMPT);
    expect_delist(&admin, "192.0.2.1", BL_OUTCOME_UNCHANGED, BL_REFUSAL_NONE);
    ck_assert(says("exempt: 192.0.2.0/24"));
    expect(&feeder, (struct bl_update){.kind = BL_UPDATE_LIST, .prefix = "192.0.2.5"}, BL_OUTCOME_APPLIED,
           BL_REFUSAL_NONE);
    ck_assert(says("applied, but 192.0.2.0/24 is exempt by root"));
    update.kind = BL_UPDATE_UNEXEMPT;
    expect(&admin, update, BL_OUTCOME_APPLIED, BL_REFUSAL_NONE);
    expect(&admin, update, BL_OUTCOME_NOT_LISTED, BL_REFUSAL_NONE);
    ck_assert(is_listed("192.0.2.1"));
}
END_TEST

START_TEST(atomic_batches_take_all_or_nothing)
{
    const struct bl_update updates[] = {
        {.kind = BL_UPDATE_LIST, .prefix = "192.0.2.1"},
        {.kind = BL_UPDATE_LIST, .prefix = "127.0.0.1"},
        {.kind = BL_UPDATE_LIST, .prefix = "192.0.2.2", .code = 640},
    };
    struct bl_batch batch = {.session = "", .updates = updates, .n_updates = 3, .atomic = true};

    decide(&admin, &batch);
    ck_assert_uint_eq(effects.n_groups, 0);
    ck_assert_uint_eq(result.n_outcomes[BL_OUTCOME_REFUSED], 3);
    ck_assert_uint_eq(result.items[0].refusal, BL_REFUSAL_BATCH);
    ck_assert_uint_eq(result.items[1].refusal, BL_REFUSAL_NEVER_LISTED);
    ck_assert_uint_eq(result.items[2].refusal, BL_REFUSAL_BATCH);
    ck_assert(!is_listed("192.0.2.1") && !is_listed("192.0.2.2"));
    ck_assert_uint_eq(bl_list_state_classes(state)[1].code, 0);
    batch.atomic = false;
    decide(&admin, &batch);
    ck_assert_uint_eq(result.n_outcomes[BL_OUTCOME_APPLIED], 2);
    ck_assert_uint_eq(effects.n_groups, 2);
    ck_assert(is_listed("192.0.2.1") && is_listed("192.0.2.2"));
}
END_TEST

/* Columns of /32s from @first on. */
static void fill(uint8_t *columns, uint32_t first, size_t n)
{
    for (uint32_t i = 0; i < n; i++)
        bl_address_from_ip4(first + i, columns + (size_t)i * 4);
}

START_TEST(large_changes_of_a_source_are_held_for_force)
{
    static uint8_t columns[1000 * 4];
    struct bl_bulk bulk = {.update = {.kind = BL_UPDATE_LIST}, .ipv4_addresses = columns, .n_ipv4 = 1000};
    struct bl_batch batch = {.session = "", .bulk = &bulk};

    settings.hold_floor_addresses = 16;
    fill(columns, 0x0a000000, 1000);
    decide(&feeder, &batch); /* the first import */
    ck_assert_uint_eq(result.n_outcomes[BL_OUTCOME_APPLIED], 1000);
    ck_assert_uint_eq(effects.n_groups, 1);
    ck_assert_uint_eq(effects.groups[0].n_prefixes, 1000);
    decide(&feeder, &batch);
    ck_assert_uint_eq(result.n_outcomes[BL_OUTCOME_UNCHANGED], 1000);
    fill(columns, 0x0a010000, 51);
    bulk.n_ipv4 = 51;
    decide(&feeder, &batch);
    ck_assert_uint_eq(result.n_outcomes[BL_OUTCOME_REFUSED], 51);
    ck_assert_uint_eq(result.n_items, 1);
    ck_assert_uint_eq(result.items[0].refusal, BL_REFUSAL_HELD_FOR_FORCE);
    ck_assert(says("adds 51 IPv4 addresses") && says("1000"));
    ck_assert_uint_eq(effects.n_groups, 0);
    ck_assert(!is_listed("10.1.0.0"));
    bulk.n_ipv4 = 50;
    decide(&feeder, &batch);
    ck_assert_uint_eq(result.n_outcomes[BL_OUTCOME_APPLIED], 50);
    fill(columns, 0x0a000000, 100);
    bulk.n_ipv4 = 100;
    bulk.update.kind = BL_UPDATE_DELIST;
    bulk.update.source = "trap";
    decide(&feeder, &batch);
    ck_assert_uint_eq(result.items[0].refusal, BL_REFUSAL_HELD_FOR_FORCE);
    ck_assert(says("removes 100"));
    batch.force = true;
    decide(&feeder, &batch);
    ck_assert_uint_eq(result.n_outcomes[BL_OUTCOME_REMOVED], 100);
}
END_TEST

START_TEST(the_floor_lets_small_changes_pass)
{
    struct bl_update updates[17];
    static char texts[17][32];
    struct bl_batch batch = {.session = "", .updates = updates, .n_updates = 16};

    settings.hold_floor_addresses = 16;
    expect_list(&feeder, "10.9.9.9", BL_OUTCOME_APPLIED);
    for (size_t i = 0; i < 17; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "10.0.0.%zu", i);
        updates[i] = (struct bl_update){.kind = BL_UPDATE_LIST, .prefix = texts[i]};
    }
    decide(&feeder, &batch);
    ck_assert_uint_eq(result.n_outcomes[BL_OUTCOME_APPLIED], 16);
    expect(&feeder, (struct bl_update){.kind = BL_UPDATE_LIST, .prefix = "10.2.0.0/27"}, BL_OUTCOME_REFUSED,
           BL_REFUSAL_HELD_FOR_FORCE);
    expect(&feeder, (struct bl_update){.kind = BL_UPDATE_LIST, .prefix = "2001:db8::/59"}, BL_OUTCOME_REFUSED,
           BL_REFUSAL_HELD_FOR_FORCE);
    expect_list(&feeder, "2001:db8::/60", BL_OUTCOME_APPLIED);
}
END_TEST

START_TEST(bulks_tell_the_refused_items_by_index)
{
    static uint8_t ipv4[300 * 4];
    static uint8_t lengths[300];
    static uint8_t ipv6[2 * 16] = {0x20, 0x01, 0x0d, 0xb8, [16 + 10] = 0xff, 0xff, 192, 0, 2, 77};
    static const uint8_t ipv6_lengths[] = {64, 128};
    struct bl_bulk bulk = {.update = {.kind = BL_UPDATE_LIST},
                           .ipv4_addresses = ipv4,
                           .ipv4_lengths = lengths,
                           .n_ipv4 = 300,
                           .ipv6_addresses = ipv6,
                           .ipv6_lengths = ipv6_lengths,
                           .n_ipv6 = 2};
    const struct bl_batch batch = {.session = "", .bulk = &bulk};

    fill(ipv4, 0x7f000000, 300); /* loopback: never listed */
    memset(lengths, 32, sizeof(lengths));
    fill(ipv4 + 4, 0x0a000001, 1);
    lengths[2] = 33;
    fill(ipv4 + 12, 0x0a000001, 1);
    lengths[3] = 24; /* host bits */
    decide(&feeder, &batch);
    ck_assert_uint_eq(result.n_outcomes[BL_OUTCOME_APPLIED], 3);
    ck_assert_uint_eq(result.n_outcomes[BL_OUTCOME_REFUSED], 299);
    ck_assert_uint_eq(result.n_items, BL_BATCH_BULK_REFUSALS_MAX);
    ck_assert_uint_eq(result.items[0].index, 0);
    ck_assert_uint_eq(result.items[1].index, 2);
    ck_assert_uint_eq(result.items[1].refusal, BL_REFUSAL_INVALID);
    ck_assert_uint_eq(result.items[2].index, 3);
    ck_assert_uint_eq(result.items[2].refusal, BL_REFUSAL_INVALID);
    ck_assert(is_listed("192.0.2.77") && is_listed("2001:db8::") && is_listed("10.0.0.1"));
}
END_TEST

static const uint8_t replace_columns[] = {192, 0, 2, 1, 192, 0, 2, 2, 192, 0, 2, 3, 203, 0, 113, 9};

static void replace_with(const struct bl_actor *actor, struct bl_bulk bulk, bool force, bool dry_run)
{
    const struct bl_batch batch = {
        .session = "", .atomic = true, .force = force, .replace = true, .dry_run = dry_run, .bulk = &bulk};

    bulk.update.kind = BL_UPDATE_LIST;
    bulk.update.source = "trap";
    decide(actor, &batch);
}

/* The source lists what the bulk says, by the smallest difference; what others say stays. */
START_TEST(a_replacing_bulk_leaves_its_source_with_what_it_says)
{
    expect_list(&feeder, "192.0.2.1", BL_OUTCOME_APPLIED);
    expect_list(&feeder, "192.0.2.7", BL_OUTCOME_APPLIED);
    expect_list(&feeder, "2001:db8::/64", BL_OUTCOME_APPLIED);
    expect_list(&wide_feeder, "192.0.2.7", BL_OUTCOME_APPLIED);
    expect_list(&wide_feeder, "192.0.2.8", BL_OUTCOME_APPLIED);
    replace_with(&feeder, (struct bl_bulk){.ipv4_addresses = replace_columns, .n_ipv4 = 3}, false, false);
    ck_assert_uint_eq(result.n_outcomes[BL_OUTCOME_REMOVED], 2);
    ck_assert_uint_eq(result.n_outcomes[BL_OUTCOME_APPLIED], 2);
    ck_assert_uint_eq(result.n_outcomes[BL_OUTCOME_UNCHANGED], 1);
    ck_assert_uint_eq(effects.n_groups, 2);
    ck_assert_int_eq(effects.groups[0].kind, BL_EFFECT_UNLIST);
    ck_assert(is_listed("192.0.2.1") && is_listed("192.0.2.3") && is_listed("192.0.2.8") && !is_listed("2001:db8::"));
    ck_assert(is_listed("192.0.2.7")); /* by the other source */
    /* Again, in another order: nothing to do, nothing to record. */
    static const uint8_t shuffled[] = {192, 0, 2, 3, 192, 0, 2, 1, 192, 0, 2, 2, 192, 0, 2, 1};

    replace_with(&feeder, (struct bl_bulk){.ipv4_addresses = shuffled, .n_ipv4 = 4}, false, false);
    ck_assert_uint_eq(result.n_outcomes[BL_OUTCOME_UNCHANGED], 4);
    ck_assert_uint_eq(effects.n_groups, 0);
}
END_TEST

START_TEST(a_replacing_bulk_is_refused_or_held_as_a_whole)
{
    settings.hold_floor_addresses = 2;
    replace_with(&feeder, (struct bl_bulk){.ipv4_addresses = replace_columns, .n_ipv4 = 3}, false, false);
    ck_assert_uint_eq(result.n_outcomes[BL_OUTCOME_APPLIED], 3); /* its first import */
    replace_with(&feeder, (struct bl_bulk){.ipv4_addresses = replace_columns + 12, .n_ipv4 = 1}, false, false);
    ck_assert_uint_eq(result.n_outcomes[BL_OUTCOME_REFUSED], 4);
    ck_assert_uint_eq(result.items[0].refusal, BL_REFUSAL_HELD_FOR_FORCE);
    ck_assert_ptr_nonnull(strstr(result.items[0].detail, "removes 3 IPv4 addresses, the source covers 3"));
    ck_assert(is_listed("192.0.2.1") && !is_listed("203.0.113.9"));
    replace_with(&wide_feeder, (struct bl_bulk){.ipv4_addresses = replace_columns + 12, .n_ipv4 = 1}, true, false);
    ck_assert_uint_eq(result.items[0].refusal, BL_REFUSAL_SOURCE);
    ck_assert(is_listed("192.0.2.1"));
    replace_with(&feeder, (struct bl_bulk){.ipv4_addresses = replace_columns + 12, .n_ipv4 = 1}, true, false);
    ck_assert(!is_listed("192.0.2.1") && is_listed("203.0.113.9"));
}
END_TEST

START_TEST(a_dry_run_tells_the_changes_and_makes_none)
{
    expect_list(&feeder, "192.0.2.7", BL_OUTCOME_APPLIED);
    replace_with(&feeder, (struct bl_bulk){.ipv4_addresses = replace_columns, .n_ipv4 = 3}, false, true);
    ck_assert_uint_eq(result.n_outcomes[BL_OUTCOME_REMOVED], 1);
    ck_assert_uint_eq(result.n_outcomes[BL_OUTCOME_APPLIED], 3);
    ck_assert_uint_eq(effects.n_groups, 0);
    ck_assert_uint_eq(result.n_items, 4);
    ck_assert_uint_eq(result.items[0].outcome, BL_OUTCOME_REMOVED);
    ck_assert_str_eq(result.items[0].detail, "192.0.2.7/32");
    ck_assert_uint_eq(result.items[3].index, 2);
    ck_assert(is_listed("192.0.2.7") && !is_listed("192.0.2.1"));
}
END_TEST

START_TEST(items_of_a_bulk_may_end_at_times_of_their_own)
{
    static const uint8_t expiries[] = {0, 0x1e, 0x84, 0x80, 0, 0, 0, 0, 0, 0, 0, 1};

    replace_with(&feeder, (struct bl_bulk){.ipv4_addresses = replace_columns, .n_ipv4 = 2, .expires_at_s = expiries},
                 false, false);
    ck_assert_uint_eq(effects.n_groups, 2);
    ck_assert_int_eq(effects.groups[0].attributes.expires_at_ms, 2000000000);
    ck_assert_int_eq(effects.groups[1].attributes.expires_at_ms, 0);
    replace_with(&feeder, (struct bl_bulk){.ipv4_addresses = replace_columns, .n_ipv4 = 3, .expires_at_s = expiries},
                 false, false);
    ck_assert_uint_eq(result.n_outcomes[BL_OUTCOME_REFUSED], 3);
    ck_assert_ptr_nonnull(strstr(result.items[0].detail, "a time to come"));
}
END_TEST

START_TEST(no_class_left_is_said)
{
    char text[32];

    for (unsigned i = 0; i < BL_CLASS_LAST; i++) {
        (void)snprintf(text, sizeof(text), "192.0.2.%u", i);
        expect(&admin,
               (struct bl_update){.kind = BL_UPDATE_LIST,
                                  .prefix = text,
                                  .code = 606 + i % 31,
                                  .action = i < 31 ? BL_ACTION_REJECT : BL_ACTION_DROP},
               BL_OUTCOME_APPLIED, BL_REFUSAL_NONE);
    }
    expect(&admin, (struct bl_update){.kind = BL_UPDATE_LIST, .prefix = "192.0.2.100", .action = BL_ACTION_RESET},
           BL_OUTCOME_REFUSED, BL_REFUSAL_CLASSES_EXHAUSTED);
    ck_assert(!is_listed("192.0.2.100"));
}
END_TEST

/* What a batch decides, replayed from its effects alone, gives the same state. */
START_TEST(effects_replay_to_the_same_state)
{
    const struct bl_update updates[] = {
        {.kind = BL_UPDATE_LIST, .prefix = "192.0.2.0/24", .source = "wide"},
        {.kind = BL_UPDATE_LIST, .prefix = "192.0.2.1"},
        {.kind = BL_UPDATE_LIST, .prefix = "192.0.2.1", .code = 630},
        {.kind = BL_UPDATE_DELIST, .prefix = "192.0.2.1"},
        {.kind = BL_UPDATE_EXEMPT, .prefix = "192.0.2.128/25"},
        {.kind = BL_UPDATE_LIST, .prefix = "2001:db8::1", .source = "trap"},
    };
    const struct bl_batch batch = {.session = "", .updates = updates, .n_updates = 6};
    struct bl_list_state *replay;
    struct bl_digest a;
    struct bl_digest b;

    decide(&admin, &batch);
    ck_assert_uint_eq(result.n_outcomes[BL_OUTCOME_REFUSED], 0);
    ck_assert_int_eq(bl_list_state_create(&replay, 1, order, 2), BL_OK);
    for (size_t i = 0; i < effects.n_groups; i++) {
        ck_assert_ptr_nonnull(effects.groups[i].attributes.actor);
        ck_assert_int_eq(bl_list_state_apply(replay, &effects.groups[i], 1, "root", NULL), BL_OK);
    }
    a = bl_list_state_digest(state);
    b = bl_list_state_digest(replay);
    ck_assert(bl_digest_equal(&a, &b));
    ck_assert_mem_eq(bl_list_state_classes(state), bl_list_state_classes(replay),
                     sizeof(struct bl_class) * BL_CLASS_COUNT);
    bl_list_state_free(replay);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("policy");
    TCase *rules = tcase_create("rules");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_checked_fixture(rules, setup, teardown);
    tcase_add_test(rules, malformed_is_refused);
    tcase_add_test(rules, reasons_are_printable_utf8);
    tcase_add_test(rules, roles_bound_the_kinds);
    tcase_add_test(rules, too_wide_is_refused_but_for_unexempt);
    tcase_add_test(rules, never_listed_both_ways);
    tcase_add_test(rules, a_feeder_speaks_for_its_own_source);
    tcase_add_test(rules, a_listing_takes_its_sources_settings);
    tcase_add_test(rules, a_repeat_changes_nothing_and_is_no_newer_evidence);
    tcase_add_test(rules, evidence_from_the_future_counts_as_now);
    tcase_add_test(rules, a_delist_removes_exempts_or_finds_nothing);
    tcase_add_test(rules, newer_evidence_lists_again);
    tcase_add_test(rules, closed_listings_are_not_for_self_service);
    tcase_add_test(rules, only_an_operator_ends_an_operators_listing);
    tcase_add_test(rules, an_admins_delist_takes_all_layers);
    tcase_add_test(rules, a_wide_delist_counts_what_is_inside);
    tcase_add_test(rules, delists_last_as_long_as_the_role_may_say);
    tcase_add_test(rules, exemptions_are_set_renewed_and_taken_back);
    tcase_add_test(rules, atomic_batches_take_all_or_nothing);
    tcase_add_test(rules, large_changes_of_a_source_are_held_for_force);
    tcase_add_test(rules, the_floor_lets_small_changes_pass);
    tcase_add_test(rules, bulks_tell_the_refused_items_by_index);
    tcase_add_test(rules, a_replacing_bulk_leaves_its_source_with_what_it_says);
    tcase_add_test(rules, a_replacing_bulk_is_refused_or_held_as_a_whole);
    tcase_add_test(rules, a_dry_run_tells_the_changes_and_makes_none);
    tcase_add_test(rules, items_of_a_bulk_may_end_at_times_of_their_own);
    tcase_add_test(rules, no_class_left_is_said);
    tcase_add_test(rules, effects_replay_to_the_same_state);
    suite_add_tcase(suite, rules);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
