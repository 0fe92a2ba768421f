/* Lines for the operator; see say.h. */
#include "dataplane/say.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void bl_say_line(const char *format, ...)
{
    char line[640] = "bounceline-dataplane: ";
    size_t prefix = strlen(line);
    size_t length;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line + prefix, sizeof(line) - prefix - 1, format, arguments);
    va_end(arguments);
    length = strlen(line);
    /* A refusal's detail may quote the other side; a terminal must not obey it. */
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = '?';
    line[length++] = '\n';
    /* One write, so that lines of two programs in one file do not mix; nobody is there to hear that it failed. */
    if (write(STDERR_FILENO, line, length) < 0)
        return;
}
