/* See options.h. */
#include "options.h"

#include <errno.h>
#include <stdlib.h>

unsigned long options_read_number(const char *text, unsigned long low, unsigned long high, const char *what,
                                  const struct argp_state *state)
{
    char *end;
    unsigned long value;

    errno = 0;
    value = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value < low || value > high)
        argp_error(state, "--%s %s: expected a number from %lu to %lu", what, text, low, high);
    return value;
}
