/* Escaping for terminals; see text.h. */
#include "controlplane/cli/text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <time.h>

#include "bounceline/utf8.h"

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
        size_t length = bl_utf8_decode_string(text, &code);

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

void bl_text_put_moment(FILE *out, int64_t time_ms)
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm utc;
    char text[32];

    if (time_ms < 0 || gmtime_r(&seconds, &utc) == NULL || strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &utc) == 0)
        (void)fprintf(out, "%" PRId64 " ms", time_ms);
    else
        (void)fprintf(out, "%s.%03dZ", text, (int)(time_ms % 1000));
}
