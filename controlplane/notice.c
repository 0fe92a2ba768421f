/* Lines on stderr; see notice.h. */
#define _GNU_SOURCE /* program_invocation_short_name */
#include "controlplane/notice.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { TEXT_MAX = 800, LINE_MAX_BYTES = 64 + 4 * TEXT_MAX };

void bl_notice_write(const char *format, ...)
{
    char text[TEXT_MAX];
    char line[LINE_MAX_BYTES];
    int length = snprintf(line, sizeof(line), "%.48s: ", program_invocation_short_name);
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    for (const char *at = text; *at != '\0'; at++) {
        if (*at >= ' ' && *at <= '~' && *at != '\\')
            line[length++] = *at;
        else
            length += snprintf(line + length, sizeof(line) - (size_t)length, "\\x%02x", (unsigned char)*at);
    }
    line[length++] = '\n';
    /* stderr that is gone must not stop the program. */
    if (write(STDERR_FILENO, line, (size_t)length) < 0)
        return;
}
