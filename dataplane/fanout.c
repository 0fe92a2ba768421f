/* This program's setsockopt; see fanout.h. */
#include "dataplane/fanout.h"

#include <dirent.h>
#include <linux/if_packet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux 6.1, not in Debian 12's headers. A kernel that does not know it ignores it. */
#ifndef PACKET_FANOUT_FLAG_IGNORE_OUTGOING
#define PACKET_FANOUT_FLAG_IGNORE_OUTGOING 0x4000
#endif

enum { TYPE_SHIFT = 16 }; /* of type and flags, in the option's value */

/* Found by the driver, a shared object, because the executable exports it (CMakeLists.txt). */
__attribute__((used, visibility("default"))) int setsockopt(int fd, int level, int name, const void *value,
                                                            socklen_t length)
{
    uint32_t fanout;

    if (level == SOL_PACKET && name == PACKET_FANOUT && length == sizeof(fanout)) {
        memcpy(&fanout, value, sizeof(fanout));
        fanout &= ~((uint32_t)PACKET_FANOUT_FLAG_DEFRAG << TYPE_SHIFT);
        fanout |= (uint32_t)PACKET_FANOUT_FLAG_IGNORE_OUTGOING << TYPE_SHIFT;
        value = &fanout;
    }
    return (int)syscall(SYS_setsockopt, fd, level, name, value, length);
}

static bool reassembles(int fd)
{
    uint32_t fanout = 0;
    int domain = 0;
    socklen_t length = sizeof(domain);

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0 || domain != AF_PACKET)
        return false;
    length = sizeof(fanout);
    return getsockopt(fd, SOL_PACKET, PACKET_FANOUT, &fanout, &length) == 0 &&
           (fanout & (uint32_t)PACKET_FANOUT_FLAG_DEFRAG << TYPE_SHIFT) != 0;
}

bool bl_fanout_verify(void)
{
    DIR *folder = opendir("/proc/self/fd");
    struct dirent *entry;
    bool fine = true;

    if (folder == NULL)
        return false;
    while ((entry = readdir(folder)) != NULL)
        if (entry->d_name[0] != '.' && reassembles(atoi(entry->d_name)))
            fine = false;
    closedir(folder);
    return fine;
}
