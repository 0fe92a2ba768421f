/* Error codes to text; see error.h. */
#include "bounceline/error.h"

#include <stdarg.h>
#include <stdio.h>

const char *bl_error_text(int error)
{
    switch (error) {
    case BL_OK:
        return "success";
#define X(name, value, text) \
    case name: \
        return text;
        BL_ERRORS(X)
#undef X
    default:
        return "unknown error";
    }
}

int bl_error_set(struct bl_error_detail *detail, int error, const char *format, ...)
{
    if (detail != NULL) {
        va_list arguments;

        va_start(arguments, format);
        (void)vsnprintf(detail->text, sizeof(detail->text), format, arguments);
        va_end(arguments);
    }
    return error;
}
