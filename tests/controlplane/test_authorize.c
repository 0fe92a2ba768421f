/* Who is who, and who may call what. */
#include <check.h>
#include <string.h>
#include <unistd.h>

#include "controlplane/authorize.h"

static struct bl_settings_controlplane settings;

static struct bl_authorize *create(uint32_t own_uid)
{
    struct bl_authorize *authorize;
    struct bl_error_detail detail;

    ck_assert_int_eq(bl_authorize_create(&authorize, &settings, own_uid, &detail), BL_OK);
    return authorize;
}

/* As main.c does it at accept, and ingest.c at a call. */
static int find(const struct bl_authorize *authorize, uint32_t uid, struct bl_actor *actor,
                struct bl_error_detail *detail)
{
    const struct bl_peer peer = {uid, 0, bl_authorize_match(authorize, uid, NULL, 0)};

    return bl_authorize_find(authorize, &peer, actor, detail);
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

    ck_assert_int_eq(find(authorize, 0, &actor, &detail), BL_OK);
    ck_assert_str_eq(actor.name, "root");
    ck_assert_int_eq(actor.role, BL_ROLE_ADMIN);
    ck_assert_int_eq(find(authorize, 12345, &actor, &detail), BL_OK);
    ck_assert_int_eq(actor.role, BL_ROLE_ADMIN);
    ck_assert_int_eq(find(authorize, 12346, &actor, &detail), BL_EPERM);
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
    ck_assert_int_eq(find(authorize, 0, &actor, &detail), BL_OK);
    ck_assert_str_eq(actor.name, "auditor");
    ck_assert_int_eq(actor.role, BL_ROLE_READER);
    ck_assert_int_eq(find(authorize, 998, &actor, &detail), BL_OK);
    ck_assert_str_eq(actor.source, "drop");
    bl_authorize_free(authorize);
    memset(&settings, 0, sizeof(settings));
}
END_TEST

START_TEST(by_name_and_by_group)
{
    static const uint32_t groups[] = {7, 1, 0};
    struct bl_authorize *authorize;
    struct bl_error_detail detail = {""};

    memset(&settings, 0, sizeof(settings));
    add_actor("staff", BL_SETTINGS_NO_UID, BL_ROLE_READER, "");
    strcpy(settings.actors[0].group, "daemon"); /* 1 on every Debian, as the user */
    add_actor("rooted", BL_SETTINGS_NO_UID, BL_ROLE_DELISTER, "");
    strcpy(settings.actors[1].group, "root");
    add_actor("service", BL_SETTINGS_NO_UID, BL_ROLE_FEEDER, "drop");
    strcpy(settings.actors[2].user, "daemon");
    authorize = create(12345);
    ck_assert_uint_eq(bl_authorize_match(authorize, 1, groups, 3), 3); /* himself before his groups */
    ck_assert_uint_eq(bl_authorize_match(authorize, 500, groups, 3), 1);
    ck_assert_uint_eq(bl_authorize_match(authorize, 500, groups + 2, 1), 2);
    ck_assert_uint_eq(bl_authorize_match(authorize, 500, groups, 1), 0);
    ck_assert_uint_eq(bl_authorize_match(authorize, BL_SETTINGS_NO_UID - 1, groups, 0), 0);
    bl_authorize_free(authorize);
    strcpy(settings.actors[2].user, "no-such-user");
    ck_assert_int_eq(bl_authorize_create(&authorize, &settings, 0, &detail), BL_EINVAL);
    ck_assert_ptr_nonnull(strstr(detail.text, "service: there is no user no-such-user"));
    memset(&settings, 0, sizeof(settings));
}
END_TEST

/* A socket with a role lets in who has it, and an admin with no more than it; nobody gets more than he has. */
START_TEST(a_socket_with_a_role)
{
    struct bl_authorize *authorize;

    memset(&settings, 0, sizeof(settings));
    for (uint32_t role = BL_ROLE_READER; role <= BL_ROLE_ADMIN; role++)
        add_actor("someone", 1000 + role, (enum bl_role)role, role == BL_ROLE_FEEDER ? "drop" : "");
    for (uint32_t role = BL_ROLE_NONE; role <= BL_ROLE_ADMIN; role++)
        settings.sockets[settings.n_sockets++] = (struct bl_settings_socket){.path = "/p", .role = (enum bl_role)role};
    authorize = create(12345);
    for (uint32_t role = BL_ROLE_READER; role <= BL_ROLE_ADMIN; role++)
        for (uint32_t of_socket = BL_ROLE_NONE; of_socket <= BL_ROLE_ADMIN; of_socket++) {
            const struct bl_peer peer = {1000 + role, (uint8_t)(1 + of_socket), (uint8_t)role};
            struct bl_actor actor = {NULL};
            struct bl_error_detail detail = {""};
            int error = bl_authorize_find(authorize, &peer, &actor, &detail);

            if (of_socket == BL_ROLE_NONE || of_socket == role || role == BL_ROLE_ADMIN) {
                ck_assert_int_eq(error, BL_OK);
                ck_assert_uint_eq(actor.role, of_socket == BL_ROLE_NONE ? role : of_socket);
                ck_assert_uint_eq(actor.number, role);
            } else {
                ck_assert_int_eq(error, BL_EPERM);
                ck_assert_ptr_nonnull(strstr(detail.text, "/p is for role "));
            }
        }
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
    tcase_add_test(tcase, by_name_and_by_group);
    tcase_add_test(tcase, a_socket_with_a_role);
    tcase_add_test(tcase, methods_by_role);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
