/** @file say.h
 * What the data plane tells its operator: one line on standard error at start, at a change of a link or of the sync
 * connection, at a refusal, and when the table file can't be written. Nothing is said per packet. The peer's bytes are
 * never in a line unescaped.
 *
 * Threads: any (nothing is shared, a line is one write); never a worker. Cost: control path. */
#ifndef BL_SAY_H
#define BL_SAY_H

/** Writes "bounceline-dataplane: ...\n" in one write. A line that is too long is cut; control characters become '?'. */
void bl_say_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
