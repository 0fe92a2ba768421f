/** @file supervisor.h
 * Tells systemd how the program is (sd_notify(3)'s protocol: a datagram to the socket that NOTIFY_SOCKET names), so that
 * `systemctl start` ends when a program serves, not when it was forked. Without systemd it does nothing. Called by the three
 * programs' main.c. Threads: main. Cost: start-up and end. */
#ifndef BL_SUPERVISOR_H
#define BL_SUPERVISOR_H

/** @param state such as "READY=1" or "STOPPING=1". Whoever supervises and does not listen is no reason to stop. */
void bl_supervisor_tell(const char *state);

#endif
