/** @file options.h
 * What the benches' command lines have in common (argp). Threads: main. Cost: start-up. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <argp.h>

/** The number that @p text is, whole and from @p low to @p high; ends the program with a message otherwise, which names the
 * option @p what. */
unsigned long options_read_number(const char *text, unsigned long low, unsigned long high, const char *what,
                                  const struct argp_state *state);

#endif
