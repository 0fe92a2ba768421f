/* Escaping for terminals; see text.h.
 *
 * The decoder is strict (RFC 3629: no overlong form, no surrogate), because a lax one lets a control character through
 * in a spelling that the check does not know but the terminal does. */
#include "controlplane/cli/text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <time.h>

size_t bl_text_decode(const char *text, uint32_t *code)
{
    static const uint32_t smallest[] = {0x1, 0x80, 0x800, 0x10000};
    const unsigned char *bytes = (const unsigned char *)text;
    uint32_t value = bytes[0];
    size_t n_more = value < 0x80 ? 0 : (value >> 5) == 0x6 ? 1 : (value >> 4) == 0xe ? 2 : (value >> 3) == 0x1e ? 3 : 4;

    /* A lone continuation byte and 0xf8..0xff begin nothing. */
    if (value == 0 || n_more == 4)
        return 0;
    if (n_more != 0)
        value &= 0x3fu >> n_more;
    /* The NUL is no continuation byte, so that this never reads past the end. */
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

/* Characters that show as something else than a character: controls, and Unicode's direction marks and separators
 * (a right-to-left override can turn a shown address around). */
static bool steers(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0xad || code == 0x61c ||
           (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2060 && code <= 0x206f) || code == 0xfeff;
}

void bl_text_put(FILE *out, const char *text)
{
    while (*text != '\0') {
        uint32_t code = 0;
        size_t length = bl_text_decode(text, &code);

        /* Single bytes as \x.., so that what is not UTF-8 can be told from a character of the same number. */
        if (length == 0 || (length == 1 && steers(code)))
            (void)fprintf(out, "\\x%02x", (unsigned char)*text);
        else if (steers(code))
            (void)fprintf(out, "\\u{%" PRIx32 "}", code);
        else if (code == '\\')
            (void)fputs("\\\\", out);
        else
            (void)fwrite(text, 1, length, out);
        text += length == 0 ? 1 : length;
    }
}

void bl_text_put_time(FILE *out, int64_t time_ms)
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm utc;
    char text[32];

    /* A time that no calendar holds is still shown: it came from the server and means something is wrong there. */
    if (time_ms == 0)
        (void)fputs("never", out);
    else if (gmtime_r(&seconds, &utc) == NULL || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
        (void)fprintf(out, "%" PRId64 " ms", time_ms);
    else
        (void)fputs(text, out);
}
