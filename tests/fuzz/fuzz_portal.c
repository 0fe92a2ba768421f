/* A form's body from anybody: fields, mail address, IP address, a hoster's range, language, client. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "controlplane/portal/claim.h"
#include "controlplane/portal/form.h"
#include "controlplane/portal/page.h"
#include "controlplane/portal/range.h"
#include "controlplane/portal/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bl_form form;
    static struct bl_settings settings;
    static struct bl_range range;
    const struct bl_address peer = {.bytes = {127, 0, 0, 1}, .family = BL_FAMILY_IPV4};

    bl_settings_init(&settings);
    if (bl_form_decode((const char *)data, size, "ip", &form) != BL_OK) {
        assert(form.n_fields == 0);
        return 0;
    }
    assert(form.n_fields <= BL_FORM_FIELDS_MAX);
    for (size_t i = 0; i < form.n_fields; i++) {
        const char *value = form.fields[i].value;
        char folded[BL_CLAIM_EMAIL_MAX + 1];
        struct bl_address address;
        struct bl_address client = bl_server_find_client(&settings.portal, &peer, value);

        for (const char *c = value; *c != '\0'; c++)
            assert((unsigned char)*c >= 0x20 && *c != 0x7f);
        assert(client.family != BL_FAMILY_NONE);
        (void)bl_page_choose_language(value);
        if (bl_claim_find_address(value, &address) == BL_OK)
            assert(address.family == BL_FAMILY_IPV4 || address.family == BL_FAMILY_IPV6);
        if (bl_range_read(value, (uint8_t)(48 + size % 81), &range) == BL_RANGE_NONE)
            assert(range.n > 0 && range.n <= BL_RANGE_MAX);
        assert(range.n <= BL_RANGE_MAX && strlen(range.word) < BL_RANGE_WORD_MAX);
        for (size_t k = 0; k < range.n; k++)
            assert(strlen(range.entries[k].ticket) % BL_TICKET_CHARS == 0);
        if (bl_claim_email_valid(value)) {
            bl_claim_email_fold(value, folded);
            assert(strpbrk(value, "\r\n <>\"(),:;[\\]") == NULL && strchr(folded, '@') != NULL);
        }
    }
    return 0;
}
