/* See domain.h. */
#include "controlplane/portal/domain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpsl.h>

struct bl_domain_list {
    psl_ctx_t *psl;
};

int bl_domain_open(struct bl_domain_list **out)
{
    struct bl_domain_list *list = calloc(1, sizeof(*list));

    if (list == NULL)
        return BL_ENOMEM;
    list->psl = psl_latest(NULL);
    if (list->psl == NULL) {
        free(list);
        return BL_EIO;
    }
    *out = list;
    return BL_OK;
}

void bl_domain_close(struct bl_domain_list *list)
{
    if (list == NULL)
        return;
    psl_free(list->psl);
    free(list);
}

const char *bl_domain_registered(const struct bl_domain_list *list, const char *name)
{
    return psl_registrable_domain(list->psl, name);
}

static void add_mailboxes(struct bl_lookup_answer *out, const char *domain)
{
    static const char *const locals[] = {"postmaster", "abuse"};

    for (size_t i = 0; i < sizeof(locals) / sizeof(locals[0]); i++) {
        char *mailbox = out->mailboxes[out->n_mailboxes];
        int length = snprintf(mailbox, sizeof(out->mailboxes[0]), "%s@%s", locals[i], domain);

        if (length <= BL_CLAIM_EMAIL_MAX && bl_claim_email_valid(mailbox))
            out->n_mailboxes++;
    }
}

/* True when each address has a confirmed name under the domain. */
static bool agree(const struct bl_domain_list *list, const struct bl_reverse_answer *answers, size_t n,
                  const char *domain)
{
    for (size_t i = 0; i < n; i++) {
        bool found = false;

        for (size_t k = 0; k < answers[i].n_names && !found; k++) {
            const char *own = bl_domain_registered(list, answers[i].names[k]);

            found = own != NULL && strcmp(own, domain) == 0;
        }
        if (!found)
            return false;
    }
    return true;
}

void bl_domain_choose(const struct bl_domain_list *list, const struct bl_reverse_answer *answers, size_t n,
                      struct bl_lookup_answer *out)
{
    out->n_mailboxes = 0;
    out->cause = n == 1 ? "no confirmed reverse name" : "the reverse names do not agree";
    for (size_t k = 0; k < answers[0].n_names; k++) {
        const char *name = answers[0].names[k];
        const char *domain = bl_domain_registered(list, name);

        if (domain == NULL || !agree(list, answers, n, domain))
            continue;
        if (n == 1 && strcmp(name, domain) != 0)
            add_mailboxes(out, name);
        add_mailboxes(out, domain);
        out->cause = "";
        return;
    }
}
