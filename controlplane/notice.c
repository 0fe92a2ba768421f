/* Lines on stderr; see notice.h. */
#define _GNU_SOURCE /* program_invocation_short_name */
#include "controlplane/notice.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { LEAST_MS = 1000 };
enum { TEXT_MAX = 800, LINE_MAX_BYTES = 64 + 4 * TEXT_MAX };

bool bl_notice_may(struct bl_notice_limit *limit, int64_t now_ms, unsigned *n)
{
    int64_t told_ms = atomic_load_explicit(&limit->told_ms, memory_order_relaxed);

    (void)atomic_fetch_add_explicit(&limit->n_untold, 1, memory_order_relaxed);
    if ((told_ms != 0 && now_ms - told_ms < LEAST_MS) ||
        !atomic_compare_exchange_strong_explicit(&limit->told_ms, &told_ms, now_ms, memory_order_relaxed,
                                                 memory_order_relaxed))
        return false;
    *n = atomic_exchange_explicit(&limit->n_untold, 0, memory_order_relaxed);
    return true;
}

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
