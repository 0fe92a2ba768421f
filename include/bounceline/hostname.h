/** @file hostname.h
 * Which names may stand in a greeting: checked when the settings are read, with key and line, and again by the reject
 * dialogue's own rules. Pure; any thread. */
#ifndef BL_HOSTNAME_H
#define BL_HOSTNAME_H

#include <stdbool.h>

/** As text: the 255 of RFC 1035, 2.3.4 count the name's end and the length of each label. */
enum { BL_HOSTNAME_MAX = 253, BL_HOSTNAME_LABEL_MAX = 63 };

/** True for letters, digits and inner hyphens in labels of 1 to 63 with dots between them, at most BL_HOSTNAME_MAX bytes
 * (RFC 952; RFC 1123, 2.1; RFC 5321, 2.3.5). */
bool bl_hostname_valid(const char *hostname);

#endif
