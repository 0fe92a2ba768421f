/* This program's setsockopt; see fanout.h. */
#include "dataplane/fanout.h"

#include <dirent.h>
#include <errno.h>
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

enum {
    TYPE_SHIFT = 16, /* of type and flags, in the option's value; the group is below */
    ATTEMPTS_MAX = 8,
};

uint16_t bl_fanout_group(uint32_t process, uint32_t interface, uint32_t attempt)
{
    return (uint16_t)(((process * 0x9e3779b1u ^ interface) * 0x85ebca6bu >> TYPE_SHIFT) + attempt);
}

static uint32_t interface_of(int fd)
{
    struct sockaddr_ll address = {0};
    socklen_t length = sizeof(address);

    (void)getsockname(fd, (struct sockaddr *)&address, &length);
    return (uint32_t)address.sll_ifindex;
}

/* The queues of a port try the same groups in the same order, and meet in the first that no other program has: the
 * kernel refuses one that is of another interface. */
static int join(int fd, uint32_t fanout)
{
    int result = -1;

    fanout &= ~((uint32_t)PACKET_FANOUT_FLAG_DEFRAG << TYPE_SHIFT);
    fanout |= (uint32_t)PACKET_FANOUT_FLAG_IGNORE_OUTGOING << TYPE_SHIFT;
    for (uint32_t attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        uint32_t option = fanout >> TYPE_SHIFT << TYPE_SHIFT;

        option |= bl_fanout_group((uint32_t)getpid(), interface_of(fd), attempt);
        result = (int)syscall(SYS_setsockopt, fd, SOL_PACKET, PACKET_FANOUT, &option, (socklen_t)sizeof(option));
        if (result == 0 || errno != EINVAL)
            break;
    }
    return result;
}

/* Found by the driver, a shared object, because the executable exports it (CMakeLists.txt). */
__attribute__((used, visibility("default"))) int setsockopt(int fd, int level, int name, const void *value,
                                                            socklen_t length)
{
    uint32_t fanout;

    if (level == SOL_PACKET && name == PACKET_FANOUT && length == sizeof(fanout)) {
        memcpy(&fanout, value, sizeof(fanout));
        return join(fd, fanout);
    }
    return (int)syscall(SYS_setsockopt, fd, level, name, value, length);
}

static bool is_packet_socket(int fd)
{
    socklen_t length = sizeof(int);
    int domain = 0;

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_PACKET;
}

/* Calls @p visit for each packet socket of this process. @return false when that can't be known. */
static bool visit_sockets(void (*visit)(int fd, bool *result), bool *result)
{
    DIR *folder = opendir("/proc/self/fd");
    struct dirent *entry;

    if (folder == NULL)
        return false;
    while ((entry = readdir(folder)) != NULL) {
        int fd = atoi(entry->d_name);

        if (entry->d_name[0] != '.' && is_packet_socket(fd))
            visit(fd, result);
    }
    closedir(folder);
    return true;
}

static void look_at_flags(int fd, bool *fine)
{
    socklen_t length = sizeof(uint32_t);
    uint32_t fanout = 0;

    if (getsockopt(fd, SOL_PACKET, PACKET_FANOUT, &fanout, &length) == 0 &&
        (fanout & (uint32_t)PACKET_FANOUT_FLAG_DEFRAG << TYPE_SHIFT) != 0)
        *fine = false;
}

bool bl_fanout_verify(void)
{
    bool fine = true;

    return visit_sockets(look_at_flags, &fine) && fine;
}

/* Reading the error clears it. The kernel has a lock for senders, so that the worker whose socket it is may send too. */
static void take_error(int fd, bool *unused)
{
    socklen_t length = sizeof(int);
    int error = 0;

    (void)unused;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error != 0)
        (void)send(fd, NULL, 0, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void bl_fanout_recover(void)
{
    (void)visit_sockets(take_error, NULL);
}
