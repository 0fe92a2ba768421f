/* Names for greetings; see hostname.h. */
#include "bounceline/hostname.h"

#include <string.h>

/* Not isalnum(): the locale must not matter. */
static bool is_alphanumeric(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool bl_hostname_valid(const char *hostname)
{
    const char *at = hostname;

    if (strnlen(hostname, BL_HOSTNAME_MAX + 1) > BL_HOSTNAME_MAX)
        return false;
    for (;;) {
        const char *label = at;

        while (is_alphanumeric(*at) || *at == '-')
            at++;
        if (at == label || at - label > BL_HOSTNAME_LABEL_MAX || *label == '-' || at[-1] == '-')
            return false;
        if (*at == '\0')
            return true;
        if (*at++ != '.')
            return false;
    }
}
