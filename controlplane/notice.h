/** @file notice.h
 * One line on stderr for each event that an operator wants to know of, behind the name of the program. Bytes outside
 * printable ASCII are escaped, so that nothing a client sends can forge a line. Threads: any; a line is one write. */
#ifndef BL_NOTICE_H
#define BL_NOTICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/** Of lines that strangers can cause: zeroed to begin with. */
struct bl_notice_limit {
    _Atomic int64_t told_ms; /**< 0: never; relaxed, as the next: a line more or less */
    _Atomic unsigned n_untold;
};

/** May there be another such line at @p now_ms (monotonic)? One a second. @return whether, with @p n the events since
 * the last line, this one included. */
bool bl_notice_may(struct bl_notice_limit *limit, int64_t now_ms, unsigned *n);

void bl_notice_write(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
