/* Which strings may enter the list; see policy_text.h. */
#include "controlplane/policy_text.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BAD_CHARACTER UINT32_MAX

/* Reads one character; @at points behind it then. @return it, or BAD_CHARACTER: not the shortest form, a surrogate, above
 * U+10FFFF, or cut. */
static uint32_t read_character(const uint8_t **at)
{
    static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
    uint32_t character = *(*at)++;
    size_t n_more = character < 0x80 ? 0 : character < 0xc0 ? 4 : character < 0xe0 ? 1 : character < 0xf0 ? 2 : 3;

    if (n_more == 4 || character >= 0xf8)
        return BAD_CHARACTER;
    if (n_more != 0)
        character &= 0x3fU >> n_more;
    for (size_t i = 0; i < n_more; i++) {
        if ((**at & 0xc0) != 0x80)
            return BAD_CHARACTER;
        character = character << 6 | (*(*at)++ & 0x3f);
    }
    if (character < smallest[n_more] || character > 0x10ffff || (character >= 0xd800 && character < 0xe000))
        return BAD_CHARACTER;
    return character;
}

static bool is_printable(uint32_t character)
{
    if (character < ' ' || (character >= 0x7f && character < 0xa0))
        return false;
    /* Line and paragraph separators, and what embeds, overrides or isolates a direction. */
    return !(character >= 0x2028 && character <= 0x202e) && !(character >= 0x2066 && character <= 0x2069);
}

bool bl_policy_text_is_reason(const char *text)
{
    const uint8_t *at = (const uint8_t *)text;

    if (strlen(text) > BL_POLICY_TEXT_REASON_MAX)
        return false;
    while (*at != '\0') {
        uint32_t character = read_character(&at);

        if (character == BAD_CHARACTER || !is_printable(character))
            return false;
    }
    return true;
}

bool bl_policy_text_is_source(const char *text)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789._-");

    return length > 0 && length <= BL_POLICY_TEXT_SOURCE_MAX && text[length] == '\0';
}
