/* Whom confirmed reverse names name, and that no public suffix is ever one of them. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/portal/domain.h"

static const struct {
    const char *name;
    const char *domain; /* NULL: none */
} names[] = {
    {"mail.example.net", "example.net"},
    {"a.b.example.co.uk", "example.co.uk"},
    {"example.co.uk", "example.co.uk"},
    {"co.uk", NULL},
    {"net", NULL},
    {"host.internal-name", "host.internal-name"}, /* of no known suffix: the last label is one */
    {"x.github.io", "x.github.io"},               /* the list's private part */
    {"github.io", NULL},
    {"y.x.blogspot.com", "x.blogspot.com"},
};

START_TEST(registered_domains)
{
    struct bl_domain_list *list;
    const char *domain;

    ck_assert_int_eq(bl_domain_open(&list), BL_OK);
    domain = bl_domain_registered(list, names[_i].name);
    if (names[_i].domain == NULL)
        ck_assert_ptr_null(domain);
    else
        ck_assert_str_eq(domain, names[_i].domain);
    bl_domain_close(list);
}
END_TEST

/* Names of one address with spaces between, addresses with a semicolon; whom that mails. */
static const struct {
    const char *names;
    const char *mailboxes;
} choices[] = {
    {"mail.example.net",
     "postmaster@mail.example.net abuse@mail.example.net postmaster@example.net abuse@example.net "},
    {"example.net", "postmaster@example.net abuse@example.net "},
    {"a.example.net b.example.org",
     "postmaster@a.example.net abuse@a.example.net postmaster@example.net abuse@example.net "},
    {"co.uk", ""},
    {"co.uk example.co.uk", "postmaster@example.co.uk abuse@example.co.uk "},
    {"", ""},
    {"a.example.net;b.example.net", "postmaster@example.net abuse@example.net "},
    {"a.example.net;b.deep.example.net;example.net", "postmaster@example.net abuse@example.net "},
    {"a.example.net;b.example.org", ""},
    {"a.example.net;", ""},
    {"a.co.uk;b.co.uk", ""},
    {"a.example.org b.example.net;c.example.net", "postmaster@example.net abuse@example.net "},
    {"a.github.io;b.github.io", ""},
};

START_TEST(mailboxes)
{
    static struct bl_reverse_answer answers[8];
    struct bl_domain_list *list;
    struct bl_lookup_answer answer;
    char found[1024] = "";
    size_t n = 1;

    memset(answers, 0, sizeof(answers));
    for (const char *at = choices[_i].names; *at != '\0'; at += *at == ' ') {
        size_t length = strcspn(at, " ;");

        if (length > 0)
            memcpy(answers[n - 1].names[answers[n - 1].n_names++], at, length);
        at += length;
        if (*at == ';') {
            n++;
            at++;
        }
    }
    ck_assert_int_eq(bl_domain_open(&list), BL_OK);
    bl_domain_choose(list, answers, n, &answer);
    for (size_t i = 0; i < answer.n_mailboxes; i++) {
        (void)strcat(found, answer.mailboxes[i]);
        (void)strcat(found, " ");
    }
    ck_assert_str_eq(found, choices[_i].mailboxes);
    ck_assert_int_eq(answer.cause[0] == '\0', answer.n_mailboxes > 0);
    bl_domain_close(list);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("portal");
    TCase *tests = tcase_create("domain");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(tests, registered_domains, 0, (int)(sizeof(names) / sizeof(names[0])));
    tcase_add_loop_test(tests, mailboxes, 0, (int)(sizeof(choices) / sizeof(choices[0])));
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
