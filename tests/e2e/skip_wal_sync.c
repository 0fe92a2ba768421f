/* The planted bug of test_durability.py, for LD_PRELOAD: fsync and fdatasync of a file whose name ends in "-wal" return 0
 * and do nothing. SQLite's commit is such a sync, so every answer is then given before its record is on disk. */
#define _GNU_SOURCE /* syscall */
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int fsync(int descriptor);
int fdatasync(int descriptor);

static int is_wal(int descriptor)
{
    char link[64];
    char path[4096];
    ssize_t length;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", descriptor);
    length = readlink(link, path, sizeof(path));
    return length > 4 && memcmp(path + length - 4, "-wal", 4) == 0;
}

int fsync(int descriptor)
{
    return is_wal(descriptor) ? 0 : (int)syscall(SYS_fsync, descriptor);
}

int fdatasync(int descriptor)
{
    return is_wal(descriptor) ? 0 : (int)syscall(SYS_fdatasync, descriptor);
}
