/* Who is who, and who may call what. */
#include <check.h>
#include <string.h>
#include <unistd.h>

#include "controlplane/authorize.h"

static struct bl_settings_controlplane settings;

static struct bl_authorize *create(uint32_t own_uid)
{
    struct bl_authorize *authorize;

    ck_assert_int_eq(bl_authorize_create(&authorize, &settings, own_uid), BL_OK);
    return authorize;
}

static void add_actor(const char *name, uint32_t uid, enum bl_role role, const char *source)
{
    struct bl_settings_actor *actor = &settings.actors[settings.n_actors++];

    actor->uid = uid;
    actor->role = role;
    strcpy(actor->name, name);
    strcpy(actor->source, source);
}

START_TEST(root_and_the_own_user_are_administrators)
{
    struct bl_authorize *authorize = create(12345);
    struct bl_actor actor;
    struct bl_error_detail detail;

    ck_assert_int_eq(bl_authorize_find(authorize, 0, &actor, &detail), BL_OK);
    ck_assert_str_eq(actor.name, "root");
    ck_assert_int_eq(actor.role, BL_ROLE_ADMIN);
    ck_assert_int_eq(bl_authorize_find(authorize, 12345, &actor, &detail), BL_OK);
    ck_assert_int_eq(actor.role, BL_ROLE_ADMIN);
    ck_assert_int_eq(bl_authorize_find(authorize, 12346, &actor, &detail), BL_EPERM);
    ck_assert_ptr_nonnull(strstr(detail.text, "12346"));
    bl_authorize_free(authorize);
}
END_TEST

START_TEST(the_configuration_goes_before)
{
    struct bl_authorize *authorize;
    struct bl_actor actor;
    struct bl_error_detail detail;

    memset(&settings, 0, sizeof(settings));
    add_actor("auditor", 0, BL_ROLE_READER, "");
    add_actor("importer", 998, BL_ROLE_FEEDER, "drop");
    authorize = create(12345);
    ck_assert_int_eq(bl_authorize_find(authorize, 0, &actor, &detail), BL_OK);
    ck_assert_str_eq(actor.name, "auditor");
    ck_assert_int_eq(actor.role, BL_ROLE_READER);
    ck_assert_int_eq(bl_authorize_find(authorize, 998, &actor, &detail), BL_OK);
    ck_assert_str_eq(actor.source, "drop");
    bl_authorize_free(authorize);
    memset(&settings, 0, sizeof(settings));
}
END_TEST

START_TEST(methods_by_role)
{
    /* apply, lookup, get status, list rejects, get top */
    static const bool allowed[][5] = {
        [BL_ROLE_NONE] = {false, false, false, false, false},   [BL_ROLE_READER] = {false, true, true, true, true},
        [BL_ROLE_DELISTER] = {true, true, false, false, false}, [BL_ROLE_FEEDER] = {true, true, true, true, true},
        [BL_ROLE_ADMIN] = {true, true, true, true, true},
    };

    for (int role = BL_ROLE_NONE; role <= BL_ROLE_ADMIN; role++)
        for (int method = BL_AUTHORIZE_APPLY; method <= BL_AUTHORIZE_GET_TOP; method++) {
            const struct bl_actor actor = {"someone", (enum bl_role)role, ""};
            struct bl_error_detail detail = {""};
            int error = bl_authorize_check(&actor, (enum bl_authorize_method)method, &detail);

            ck_assert_int_eq(error, allowed[role][method] ? BL_OK : BL_EPERM);
            if (error != BL_OK)
                ck_assert_ptr_nonnull(strstr(detail.text, "someone"));
        }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("authorize");
    TCase *tcase = tcase_create("authorize");
    SRunner *runner;
    int n_failed;

    tcase_add_test(tcase, root_and_the_own_user_are_administrators);
    tcase_add_test(tcase, the_configuration_goes_before);
    tcase_add_test(tcase, methods_by_role);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
