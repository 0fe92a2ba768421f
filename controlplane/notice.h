/** @file notice.h
 * One line on stderr for each event that an operator wants to know of, behind the name of the program. Bytes outside
 * printable ASCII are escaped, so that nothing a client sends can forge a line. Threads: any; a line is one write. */
#ifndef BL_NOTICE_H
#define BL_NOTICE_H

void bl_notice_write(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
