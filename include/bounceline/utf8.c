/* The strict UTF-8 decoder; see utf8.h. */
#include "bounceline/utf8.h"

#include <string.h>

enum { BYTES_MAX = 4 };

size_t bl_utf8_decode(const char *text, size_t length, uint32_t *code)
{
    /* The smallest character that needs so many more bytes: a smaller one is not in its shortest form. */
    static const uint32_t smallest[BYTES_MAX] = {0, 0x80, 0x800, 0x10000};
    const unsigned char *bytes = (const unsigned char *)text;
    uint32_t value;
    size_t n_more;

    if (length == 0)
        return 0;
    value = bytes[0];
    if (value < 0x80)
        n_more = 0;
    else if (value >> 5 == 0x6)
        n_more = 1;
    else if (value >> 4 == 0xe)
        n_more = 2;
    else if (value >> 3 == 0x1e)
        n_more = 3;
    else /* a lone continuation byte, or 0xf8 to 0xff, which begin nothing */
        return 0;
    if (n_more >= length)
        return 0;
    if (n_more != 0)
        value &= 0x3fU >> n_more;
    for (size_t i = 1; i <= n_more; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (bytes[i] & 0x3f);
    }
    if (value < smallest[n_more] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *code = value;
    return n_more + 1;
}

size_t bl_utf8_decode_string(const char *text, uint32_t *code)
{
    return bl_utf8_decode(text, strnlen(text, BYTES_MAX), code);
}
