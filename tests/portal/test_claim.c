/* What people type: mail addresses, and IP addresses in everything they paste. And who the client is. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/portal/claim.h"
#include "controlplane/portal/form.h"
#include "controlplane/portal/page.h"
#include "controlplane/portal/secret.h"
#include "controlplane/portal/server.h"

static const struct {
    const char *text;
    const char *address; /* NULL: none; "": several */
} pasted[] = {
    {"192.0.2.7", "192.0.2.7"},
    {" [192.0.2.7] ", "192.0.2.7"},
    {"192.0.2.7.", "192.0.2.7"},
    {"2001:DB8:0::7", "2001:db8::7"},
    {"[IPv6:2001:db8::7]", "2001:db8::7"},
    {"::ffff:192.0.2.7", "192.0.2.7"},
    {"host mx[192.0.2.25] said: 550 5.7.606 Access denied, banned sending IP [198.51.100.10]; To", "198.51.100.10"},
    {"host mx[192.0.2.25] said: 550 5.7.606 Access denied, banned sending  IP [2001:db8::1]; To", "2001:db8::1"},
    {"the address is 192.0.2.7: please", "192.0.2.7"},
    {"192.0.2.7 192.0.2.7", "192.0.2.7"},
    {"192.0.2.7 192.0.2.8", ""},
    {"192.0.2.007", NULL},
    {"192.0.2", NULL},
    {"[]", NULL},
    {"[[[[", NULL},
    {"550 5.7.606 Access denied", NULL},
    {"", NULL},
    {"dead beef", NULL},
};

START_TEST(an_address_is_found)
{
    struct bl_address address;
    char text[BL_ADDRESS_TEXT_MAX];
    int error = bl_claim_find_address(pasted[_i].text, &address);

    if (pasted[_i].address == NULL || pasted[_i].address[0] == '\0') {
        ck_assert_int_eq(error, pasted[_i].address == NULL ? BL_ENOENT : BL_ECONFLICT);
        return;
    }
    ck_assert_int_eq(error, BL_OK);
    ck_assert_str_eq(bl_address_format(&address, text), pasted[_i].address);
}
END_TEST

START_TEST(mail_addresses)
{
    static const char *const good[] = {"a@b.cd", "alice.b+c@mail.example.net", "o'neil@example.org", "x_y=z@a-b.co"};
    static const char *const bad[] = {"",         "a",        "@b.cd",    "a@b",         "a@b.1",      "a..b@c.de",
                                      ".a@b.cd",  "a.@b.cd",  "a b@c.de", "a@b@c.de",    "\"a\"@b.cd", "a@[192.0.2.1]",
                                      "a,b@c.de", "<a@b.cd>", "-a@b.cd",  "a@b.cd\r\nX", "a@-b.cd",    "\xc3\xa9@b.cd"};
    char long_local[80];

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        ck_assert_msg(bl_claim_email_valid(good[i]), "%s", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!bl_claim_email_valid(bad[i]), "%s", bad[i]);
    memset(long_local, 'a', 65);
    strcpy(long_local + 65, "@b.cd");
    ck_assert(!bl_claim_email_valid(long_local));
    ck_assert(bl_claim_email_valid(long_local + 1));
}
END_TEST

START_TEST(limits_fold_tags_and_case)
{
    char out[BL_CLAIM_EMAIL_MAX + 1];

    bl_claim_email_fold("Alice+Tag+x@Example.NET", out);
    ck_assert_str_eq(out, "alice@example.net");
    bl_claim_email_fold("+x@example.net", out);
    ck_assert_str_eq(out, "+x@example.net");
}
END_TEST

START_TEST(forms)
{
    static struct bl_form form;
    static const char *const bad[] = {"a=%0d", "a=%00b",  "a=%7f", "a=%",      "a=%4",
                                      "a=%zz", "a=1&a=2", "a=%ff", "a=%c2%85", "%0a=1"};

    ck_assert_int_eq(bl_form_decode("a=b%20c+d&&e&f=%C3%A9", 21, NULL, &form), BL_OK);
    ck_assert_str_eq(bl_form_get(&form, "a"), "b c d");
    ck_assert_str_eq(bl_form_get(&form, "e"), "");
    ck_assert_str_eq(bl_form_get(&form, "f"), "\xc3\xa9");
    ck_assert_uint_eq(form.n_fields, 3);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(bl_form_decode(bad[i], strlen(bad[i]), NULL, &form) == BL_EINVAL, "%s", bad[i]);
    ck_assert_int_eq(bl_form_decode("ip=a%0D%0Ab", 11, "ip", &form), BL_OK);
    ck_assert_str_eq(bl_form_get(&form, "ip"), "a  b");
    ck_assert_int_eq(bl_form_decode("ip=a%00b", 8, "ip", &form), BL_EINVAL);
}
END_TEST

START_TEST(form_tokens)
{
    struct bl_secret secret = {{1, 2, 3}};
    struct bl_secret other = {{1, 2, 4}};
    const int64_t now_ms = 1800000000000;
    const int64_t life_ms = BL_SECRET_FORM_MINUTES * INT64_C(60000);
    char form[BL_SECRET_FORM_CHARS + 1];

    bl_secret_make_form(&secret, "192.0.2.1/32", now_ms, form);
    ck_assert(bl_secret_verify_form(&secret, "192.0.2.1/32", now_ms, form));
    ck_assert(bl_secret_verify_form(&secret, "192.0.2.1/32", now_ms + life_ms, form));
    ck_assert(!bl_secret_verify_form(&secret, "192.0.2.1/32", now_ms + life_ms + 60000, form));
    ck_assert(!bl_secret_verify_form(&secret, "192.0.2.1/32", now_ms - 60000, form)); /* from the future */
    ck_assert(!bl_secret_verify_form(&secret, "192.0.2.2/32", now_ms, form));
    ck_assert(!bl_secret_verify_form(&other, "192.0.2.1/32", now_ms, form));
    for (int i = 0; i < BL_SECRET_FORM_CHARS; i++) {
        char altered[BL_SECRET_FORM_CHARS + 1];

        memcpy(altered, form, sizeof(altered));
        altered[i] = altered[i] == '0' ? '1' : '0';
        ck_assert(!bl_secret_verify_form(&secret, "192.0.2.1/32", now_ms, altered));
    }
}
END_TEST

START_TEST(languages)
{
    char missing[64] = "";

    ck_assert_msg(bl_page_load(missing) == 0, "missing: %s", missing);
    ck_assert_int_eq(bl_page_choose_language(NULL), BL_LANGUAGE_EN);
    ck_assert_int_eq(bl_page_choose_language("nl"), BL_LANGUAGE_NL);
    ck_assert_int_eq(bl_page_choose_language("nl-BE,en;q=0.8"), BL_LANGUAGE_NL);
    ck_assert_int_eq(bl_page_choose_language("fr, en;q=0.7, nl;q=0.9"), BL_LANGUAGE_NL);
    ck_assert_int_eq(bl_page_choose_language("nld,de"), BL_LANGUAGE_EN);
    ck_assert_int_eq(bl_page_choose_language("nl;q=0"), BL_LANGUAGE_EN);
}
END_TEST

START_TEST(values_are_escaped)
{
    const struct bl_page_value values[] = {{"email", "<a&\"'>"}};
    const struct bl_page html = {BL_LANGUAGE_EN, true, values, 1};
    char missing[64];
    char *text;

    ck_assert_int_eq(bl_page_load(missing), 0);
    text = bl_page_render_text(&html, "sent_lead");
    ck_assert_ptr_nonnull(strstr(text, "&lt;a&amp;&quot;&#39;&gt;"));
    free(text);
}
END_TEST

static const struct {
    const char *peer;
    const char *forwarded;
    const char *client;
} clients[] = {
    {"127.0.0.1", NULL, "127.0.0.1"},
    {"127.0.0.1", "203.0.113.9", "203.0.113.9"},
    {"127.0.0.1", "1.2.3.4, 203.0.113.9", "203.0.113.9"},
    {"127.0.0.1", "1.2.3.4, 203.0.113.9,127.0.0.2", "203.0.113.9"},
    {"127.0.0.1", "1.2.3.4, nonsense", "127.0.0.1"},
    {"192.0.2.1", "203.0.113.9", "192.0.2.1"},
    {"127.0.0.1", "2001:db8::1", "2001:db8::1"},
    {"127.0.0.1", ",", "127.0.0.1"},
};

START_TEST(only_a_trusted_proxy_names_the_client)
{
    static struct bl_settings settings;
    struct bl_address peer;
    struct bl_address client;
    char text[BL_ADDRESS_TEXT_MAX];

    bl_settings_init(&settings);
    ck_assert_int_eq(bl_address_parse(clients[_i].peer, &peer, NULL), BL_OK);
    client = bl_server_find_client(&settings.portal, &peer, clients[_i].forwarded);
    ck_assert_str_eq(bl_address_format(&client, text), clients[_i].client);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("portal");
    TCase *tests = tcase_create("claim");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(tests, an_address_is_found, 0, (int)(sizeof(pasted) / sizeof(pasted[0])));
    tcase_add_loop_test(tests, only_a_trusted_proxy_names_the_client, 0, (int)(sizeof(clients) / sizeof(clients[0])));
    tcase_add_test(tests, mail_addresses);
    tcase_add_test(tests, limits_fold_tags_and_case);
    tcase_add_test(tests, forms);
    tcase_add_test(tests, form_tokens);
    tcase_add_test(tests, languages);
    tcase_add_test(tests, values_are_escaped);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
