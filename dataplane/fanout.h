/** @file fanout.h
 * Keeps the kernel from changing frames on their way into net_af_packet, and from holding them back on the way out.
 *
 * The driver spreads a port's frames over its queues with PACKET_FANOUT, and always asks the kernel to put IPv4 fragments
 * together first (PACKET_FANOUT_FLAG_DEFRAG). What comes in is then longer than the wire allows: it is cut at the slot's
 * size, or the other port drops it, so that no fragmented datagram passes. The driver has no setting for it. So
 * this program has a setsockopt of its own, which the driver's calls find before the C library's; it takes that flag
 * out, and adds the one that keeps frames which the host itself sends on the port from being taken for received ones.
 * The kernel is then asked whether it worked.
 *
 * It also gives the port's sockets another group: the driver's is the process number XOR the interface's, so that two
 * data planes on one host, started one after the other on neighbouring interfaces, have the same one by chance, and the
 * second does not start. Threads: any; no state. */
#ifndef BL_FANOUT_H
#define BL_FANOUT_H

#include <stdbool.h>
#include <stdint.h>

/** The group of a port's sockets at the @p attempt-th try. Neighbours in process and interface are far apart. */
uint16_t bl_fanout_group(uint32_t process, uint32_t interface, uint32_t attempt);

/** True when no packet socket of this process reassembles fragments. Cost: start-up, looks at every descriptor. */
bool bl_fanout_verify(void);

/** After an interface was down each of its sockets owes its next caller an error: the driver's next frame would lie in
 * its ring until another one is sent. Takes the errors, and has the kernel send what lies there. Threads: main core
 * only, while workers run. Cost: control path, looks at every descriptor. */
void bl_fanout_recover(void);

#endif
