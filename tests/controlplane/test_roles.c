/* Who may do what: every role with every method, and with every kind of update in every shape that it can have. The
 * tables say what must be; what is in no table does not exist. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/authorize.h"
#include "controlplane/policy.h"

enum { NOW = 1000000000, ROLES = 4 };

static const struct bl_actor actors[ROLES] = {
    {"root", BL_ROLE_ADMIN, "", 0},
    {"trapd", BL_ROLE_FEEDER, "trap", 1},
    {"portal", BL_ROLE_DELISTER, "", 2},
    {"guest", BL_ROLE_READER, "", 3},
};

/* ---- Methods ---- */

/* In the order of actors. */
static const struct {
    enum bl_authorize_method method;
    const char *allowed;
} methods[] = {
    {BL_AUTHORIZE_APPLY, "yyyn"},      {BL_AUTHORIZE_PUSH, "yyyn"},         {BL_AUTHORIZE_LOOKUP, "yyyy"},
    {BL_AUTHORIZE_GET_STATUS, "yyny"}, {BL_AUTHORIZE_LIST_REJECTS, "yyny"}, {BL_AUTHORIZE_GET_TOP, "yyny"},
    {BL_AUTHORIZE_WATCH, "yyny"},      {BL_AUTHORIZE_EXPORT, "yyny"},       {BL_AUTHORIZE_HISTORY, "yyny"},
    {BL_AUTHORIZE_HEALTH, "yyyy"},     {BL_AUTHORIZE_HEALTH_WATCH, "yyyy"}, {BL_AUTHORIZE_REFLECTION, "yyyy"},
    {BL_AUTHORIZE_BACKUP, "ynnn"},
};

_Static_assert(sizeof(methods) / sizeof(methods[0]) == BL_AUTHORIZE_METHOD_COUNT, "every method has its row");

START_TEST(methods_by_role)
{
    for (int i = 0; i < ROLES; i++) {
        struct bl_error_detail detail = {""};
        int error = bl_authorize_check(&actors[i], methods[_i].method, &detail);

        ck_assert_msg(error == (methods[_i].allowed[i] == 'y' ? BL_OK : BL_EPERM), "%s, method %d: %d", actors[i].name,
                      methods[_i].method, error);
        if (error != BL_OK)
            ck_assert_ptr_nonnull(strstr(detail.text, actors[i].name));
    }
}
END_TEST

START_TEST(no_role_is_no_method)
{
    const struct bl_actor nobody = {"nobody", BL_ROLE_NONE, "", 0};
    struct bl_error_detail detail;

    for (int method = 0; method < BL_AUTHORIZE_METHOD_COUNT; method++)
        ck_assert_int_eq(bl_authorize_check(&nobody, (enum bl_authorize_method)method, &detail), BL_EPERM);
}
END_TEST

/* ---- Updates ---- */

static struct bl_settings_controlplane settings;
static struct bl_list_state *state;
static struct bl_batch_result result;
static struct bl_policy_effects effects;

static const char *const order[] = {"trap", "wide"};

static void apply(const struct bl_actor *actor, const struct bl_batch *batch)
{
    struct bl_list_changes changes;
    uint64_t serial = bl_list_state_serial(state) + 1;

    bl_batch_result_fini(&result);
    bl_policy_effects_fini(&effects);
    ck_assert_int_eq(bl_policy_apply(&settings, state, actor, batch, NOW, serial, &result, &effects), BL_OK);
    bl_list_state_commit(state, serial, &changes);
}

/* What an update may be about is listed by both feeds, and there is an exemption to be taken back. */
static void setup(void)
{
    static const struct bl_update begin[] = {
        {.kind = BL_UPDATE_LIST, .prefix = "11.1.113.7", .source = "trap"},
        {.kind = BL_UPDATE_LIST, .prefix = "11.1.113.7", .source = "wide"},
        {.kind = BL_UPDATE_LIST, .prefix = "11.1.113.0/24", .source = "wide"},
        {.kind = BL_UPDATE_LIST, .prefix = "2a00:db9:1::/64", .source = "trap"},
        {.kind = BL_UPDATE_LIST, .prefix = "2a00:db9::/32", .source = "wide"},
        {.kind = BL_UPDATE_EXEMPT, .prefix = "11.1.114.7"},
    };
    const struct bl_batch batch = {.session = "", .updates = begin, .n_updates = sizeof(begin) / sizeof(begin[0])};

    memset(&settings, 0, sizeof(settings));
    (void)snprintf(settings.url, sizeof(settings.url), "https://delist.example/");
    settings.code = 606;
    settings.ipv6_unit = 64;
    settings.delist_days = 30;
    settings.delist_grace_s = 300;
    settings.hold_percent = 5;
    settings.hold_floor_addresses = 65536;
    settings.sources[0] = (struct bl_settings_source){"trap", 610, BL_ACTION_REJECT, true, ""};
    settings.sources[1] = (struct bl_settings_source){"wide", 611, BL_ACTION_REJECT, true, ""};
    settings.n_sources = 2;
    ck_assert_int_eq(bl_list_state_create(&state, 1, order, 2), BL_OK);
    apply(&actors[0], &batch);
    ck_assert_uint_eq(result.n_outcomes[BL_OUTCOME_APPLIED], sizeof(begin) / sizeof(begin[0]));
}

static void teardown(void)
{
    bl_batch_result_fini(&result);
    bl_policy_effects_fini(&effects);
    bl_list_state_free(state);
}

/* y: may; r: refused for the role; s: refused for the source. In the order of actors. */
static const struct row {
    const char *what;
    struct bl_update update;
    const char *wanted;
} rows[] = {
    {"list, source not said", {.kind = BL_UPDATE_LIST, .prefix = "11.0.3.1"}, "yyrr"},
    {"list, own source", {.kind = BL_UPDATE_LIST, .prefix = "11.0.3.1", .source = "trap"}, "yyrr"},
    {"list, another's source", {.kind = BL_UPDATE_LIST, .prefix = "11.0.3.1", .source = "wide"}, "ysrr"},
    {"list, the operator's", {.kind = BL_UPDATE_LIST, .prefix = "11.0.3.1", .source = "operator"}, "ysrr"},
    {"list, a network", {.kind = BL_UPDATE_LIST, .prefix = "11.0.4.0/24"}, "yyrr"},
    {"list, IPv6", {.kind = BL_UPDATE_LIST, .prefix = "2a00:db9:2::/48"}, "yyrr"},
    {"list, closed", {.kind = BL_UPDATE_LIST, .prefix = "11.0.3.1", .self_service = BL_SELF_SERVICE_CLOSED}, "yyrr"},
    {"delist, an address", {.kind = BL_UPDATE_DELIST, .prefix = "11.1.113.7"}, "yryr"},
    {"delist, a /32", {.kind = BL_UPDATE_DELIST, .prefix = "11.1.113.7/32"}, "yryr"},
    {"delist, in a network", {.kind = BL_UPDATE_DELIST, .prefix = "11.1.113.8"}, "yryr"},
    {"delist, a /31", {.kind = BL_UPDATE_DELIST, .prefix = "11.1.113.6/31"}, "yrrr"},
    {"delist, a network", {.kind = BL_UPDATE_DELIST, .prefix = "11.1.113.0/24"}, "yrrr"},
    {"delist, own source", {.kind = BL_UPDATE_DELIST, .prefix = "11.1.113.7", .source = "trap"}, "yyrr"},
    {"delist, another's source", {.kind = BL_UPDATE_DELIST, .prefix = "11.1.113.7", .source = "wide"}, "ysrr"},
    {"delist, IPv6 without a length", {.kind = BL_UPDATE_DELIST, .prefix = "2a00:db9:1::1"}, "yryr"},
    {"delist, the unit", {.kind = BL_UPDATE_DELIST, .prefix = "2a00:db9:1::/64"}, "yryr"},
    {"delist, in the unit", {.kind = BL_UPDATE_DELIST, .prefix = "2a00:db9:1::1/128"}, "yryr"},
    {"delist, two units", {.kind = BL_UPDATE_DELIST, .prefix = "2a00:db9:1::/63"}, "yrrr"},
    {"delist, IPv4-mapped", {.kind = BL_UPDATE_DELIST, .prefix = "::ffff:11.1.113.7"}, "yryr"},
    {"delist, IPv4-mapped, a /31", {.kind = BL_UPDATE_DELIST, .prefix = "::ffff:11.1.113.6/127"}, "yrrr"},
    {"exempt", {.kind = BL_UPDATE_EXEMPT, .prefix = "11.1.113.7"}, "yrrr"},
    {"exempt, with a source", {.kind = BL_UPDATE_EXEMPT, .prefix = "11.1.113.7", .source = "trap"}, "yrrr"},
    {"unexempt", {.kind = BL_UPDATE_UNEXEMPT, .prefix = "11.1.114.7"}, "yrrr"},
};

enum { N_ROWS = sizeof(rows) / sizeof(rows[0]) };

static void judge(const struct bl_actor *actor, const char *what, char wanted)
{
    enum bl_refusal refusal = wanted == 'r' ? BL_REFUSAL_ROLE : wanted == 's' ? BL_REFUSAL_SOURCE : BL_REFUSAL_NONE;

    ck_assert_msg(result.n_items == 1 || (wanted == 'y' && result.n_items == 0), "%s, %s: %zu items", actor->name, what,
                  result.n_items);
    ck_assert_msg(result.n_outcomes[BL_OUTCOME_REFUSED] == (wanted != 'y'), "%s, %s", actor->name, what);
    if (result.n_items == 0)
        return;
    ck_assert_msg(result.items[0].refusal == refusal, "%s, %s: refusal %u, %s", actor->name, what,
                  result.items[0].refusal, result.items[0].detail == NULL ? "" : result.items[0].detail);
    if (wanted != 'y') {
        ck_assert_uint_eq(effects.n_groups, 0);
        ck_assert_ptr_nonnull(result.items[0].detail);
    }
}

/* A dry run: what one may do leaves nothing for the next. */
START_TEST(updates_by_role)
{
    const struct row *row = &rows[_i];

    for (int i = 0; i < ROLES; i++) {
        const struct bl_batch batch = {.session = "", .updates = &row->update, .n_updates = 1, .dry_run = true};

        apply(&actors[i], &batch);
        judge(&actors[i], row->what, row->wanted[i]);
    }
}
END_TEST

/* Columns are no way around. */
START_TEST(bulks_by_role)
{
    const struct row *row = &rows[_i];
    struct bl_prefix prefix;
    struct bl_bulk bulk = {.update = row->update};
    const struct bl_batch batch = {.session = "", .bulk = &bulk, .dry_run = true};

    ck_assert_int_eq(bl_address_parse_prefix(row->update.prefix, settings.ipv6_unit, &prefix, NULL), BL_OK);
    bulk.update.prefix = NULL;
    bulk.n_ipv4 = prefix.family == BL_FAMILY_IPV4;
    bulk.n_ipv6 = prefix.family == BL_FAMILY_IPV6;
    bulk.ipv4_addresses = bulk.ipv6_addresses = prefix.bytes;
    bulk.ipv4_lengths = bulk.ipv6_lengths = &prefix.length;
    for (int i = 0; i < ROLES; i++) {
        apply(&actors[i], &batch);
        judge(&actors[i], row->what, row->wanted[i]);
    }
}
END_TEST

/* ---- Batches ---- */

START_TEST(a_delister_neither_forces_nor_replaces)
{
    static const uint8_t address[4] = {11, 1, 113, 7};
    static const struct bl_update update = {.kind = BL_UPDATE_DELIST, .prefix = "11.1.113.7"};
    const struct bl_bulk bulk = {.update = {.kind = BL_UPDATE_DELIST}, .ipv4_addresses = address, .n_ipv4 = 1};
    const struct bl_batch forced[] = {
        {.session = "", .updates = &update, .n_updates = 1, .force = true},
        {.session = "", .bulk = &bulk, .force = true},
        {.session = "", .bulk = &bulk, .replace = true},
    };
    const struct bl_batch plain = {.session = "", .updates = &update, .n_updates = 1};

    for (size_t i = 0; i < sizeof(forced) / sizeof(forced[0]); i++) {
        apply(&actors[2], &forced[i]);
        judge(&actors[2], "force or replace", 'r');
        ck_assert_ptr_nonnull(strstr(result.items[0].detail, "neither force nor replace"));
    }
    apply(&actors[2], &plain);
    judge(&actors[2], "plain", 'y');
    ck_assert_uint_eq(result.n_outcomes[BL_OUTCOME_REMOVED], 1);
}
END_TEST

/* A feeder replaces what its own source lists, and nothing else. */
START_TEST(a_feeder_replaces_its_own)
{
    static const uint8_t address[4] = {11, 1, 113, 9};
    struct bl_bulk bulk = {
        .update = {.kind = BL_UPDATE_LIST, .source = "wide"}, .ipv4_addresses = address, .n_ipv4 = 1};
    const struct bl_batch batch = {.session = "", .bulk = &bulk, .replace = true};
    struct bl_list_coverage before;
    struct bl_list_coverage after;

    bl_list_state_cover(state, "wide", &before);
    apply(&actors[1], &batch);
    ck_assert_uint_eq(result.n_outcomes[BL_OUTCOME_REFUSED], 1 + before.n_listings);
    bl_list_state_cover(state, "wide", &after);
    ck_assert_uint_eq(after.n_listings, before.n_listings);
    bulk.update.source = "";
    apply(&actors[1], &batch);
    bl_list_state_cover(state, "trap", &after);
    ck_assert_uint_eq(after.n_listings, 1);
    bl_list_state_cover(state, "wide", &after);
    ck_assert_uint_eq(after.n_listings, before.n_listings);
}
END_TEST

/* Without a source of its own a feeder speaks for none. */
START_TEST(a_feeder_without_a_source)
{
    const struct bl_actor feeder = {"lost", BL_ROLE_FEEDER, "", 1};
    const struct bl_update update = {.kind = BL_UPDATE_LIST, .prefix = "11.0.3.1"};
    const struct bl_batch batch = {.session = "", .updates = &update, .n_updates = 1};

    apply(&feeder, &batch);
    judge(&feeder, "list", 's');
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("roles");
    TCase *methods_case = tcase_create("methods");
    TCase *updates_case = tcase_create("updates");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_loop_test(methods_case, methods_by_role, 0, BL_AUTHORIZE_METHOD_COUNT);
    tcase_add_test(methods_case, no_role_is_no_method);
    tcase_add_checked_fixture(updates_case, setup, teardown);
    tcase_add_loop_test(updates_case, updates_by_role, 0, N_ROWS);
    tcase_add_loop_test(updates_case, bulks_by_role, 0, N_ROWS);
    tcase_add_test(updates_case, a_delister_neither_forces_nor_replaces);
    tcase_add_test(updates_case, a_feeder_replaces_its_own);
    tcase_add_test(updates_case, a_feeder_without_a_source);
    suite_add_tcase(suite, methods_case);
    suite_add_tcase(suite, updates_case);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
