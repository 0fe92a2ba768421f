/* Which strings may enter the list; see policy_text.h. */
#include "controlplane/policy_text.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "bounceline/utf8.h"

static bool is_printable(uint32_t character)
{
    if (character < ' ' || (character >= 0x7f && character < 0xa0))
        return false;
    /* Line and paragraph separators, and what embeds, overrides or isolates a direction. */
    return !(character >= 0x2028 && character <= 0x202e) && !(character >= 0x2066 && character <= 0x2069);
}

bool bl_policy_text_is_reason(const char *text)
{
    if (strlen(text) > BL_POLICY_TEXT_REASON_MAX)
        return false;
    while (*text != '\0') {
        uint32_t character;
        size_t length = bl_utf8_decode_string(text, &character);

        if (length == 0 || !is_printable(character))
            return false;
        text += length;
    }
    return true;
}

bool bl_policy_text_is_source(const char *text)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789._-");

    return length > 0 && length <= BL_POLICY_TEXT_SOURCE_MAX && text[length] == '\0';
}
