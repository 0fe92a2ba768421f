/* See claim.h. */
#include "controlplane/portal/claim.h"

#include <ctype.h>
#include <string.h>

#include "bounceline/hostname.h"

static bool is_atom(char c)
{
    return isalnum((unsigned char)c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

bool bl_claim_email_valid(const char *text)
{
    const char *at = strrchr(text, '@');
    const char *dot = strrchr(text, '.');

    if (at == NULL || at == text || at - text > 64 || strlen(text) > BL_CLAIM_EMAIL_MAX || text[0] == '-')
        return false;
    for (const char *c = text; c < at; c++) {
        bool inner_dot = *c == '.' && c != text && c + 1 != at && c[1] != '.';

        if (!is_atom(*c) && !inner_dot)
            return false;
    }
    /* A top-level domain is not all digits, and a host without a dot is nobody's mail server. */
    return bl_hostname_valid(at + 1) && dot > at && !isdigit((unsigned char)dot[1]);
}

void bl_claim_email_fold(const char *email, char *out)
{
    const char *at = strrchr(email, '@');
    const char *plus = strchr(email, '+');
    size_t n = 0;

    for (const char *c = email; *c != '\0' && n < BL_CLAIM_EMAIL_MAX; c++) {
        if (plus != NULL && plus != email && plus < at && c >= plus && c < at)
            continue;
        out[n++] = (char)tolower((unsigned char)*c);
    }
    out[n] = '\0';
}

static bool is_address_char(char c)
{
    return isxdigit((unsigned char)c) || c == '.' || c == ':';
}

/* The longest run of an address's characters at *text; a sentence's own dot or colon behind it is not its part.
 * Moves *text behind the run. */
static bool take_word(const char **text, struct bl_address *out)
{
    char word[BL_ADDRESS_TEXT_MAX];
    size_t length = 0;
    bool found;

    while (is_address_char((*text)[length]))
        length++;
    *text += length;
    if (length == 0 || length >= sizeof(word))
        return false;
    memcpy(word, *text - length, length);
    word[length] = '\0';
    found = bl_address_parse(word, out, NULL) == BL_OK;
    while (!found && length > 1 && (word[length - 1] == '.' || word[length - 1] == ':')) {
        word[--length] = '\0';
        found = bl_address_parse(word, out, NULL) == BL_OK;
    }
    return found;
}

/* The first address between brackets. "IPv6:" in front of it is SMTP's own way. */
static bool find_bracketed(const char *text, struct bl_address *out)
{
    while ((text = strchr(text, '[')) != NULL) {
        struct bl_address address;

        text++;
        if (strncmp(text, "IPv6:", 5) == 0)
            text += 5;
        if (take_word(&text, &address) && *text == ']') {
            *out = address;
            return true;
        }
    }
    return false;
}

/* How many different addresses stand in the text; the first is *out. */
static unsigned count_addresses(const char *text, struct bl_address *out)
{
    unsigned n = 0;

    while (*text != '\0') {
        struct bl_address address;

        if (!is_address_char(*text)) {
            text++;
            continue;
        }
        if (take_word(&text, &address) && (n == 0 || memcmp(&address, out, sizeof(address)) != 0)) {
            if (n++ == 0)
                *out = address;
        }
        /* The rest of a word with other letters in it is no address. */
    }
    return n;
}

int bl_claim_find_address(const char *text, struct bl_address *out)
{
    static const char mark[] = "banned sending"; /* a pasted line may be folded behind it */
    const char *bounce = strstr(text, mark);
    struct bl_address address = {.family = BL_FAMILY_NONE};
    unsigned n;

    if ((bounce != NULL && find_bracketed(bounce, &address)) || find_bracketed(text, &address)) {
        *out = address;
        return BL_OK;
    }
    n = count_addresses(text, &address);
    if (n != 1)
        return n == 0 ? BL_ENOENT : BL_ECONFLICT;
    *out = address;
    return BL_OK;
}
