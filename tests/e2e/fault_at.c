/* The faults of test_faults.py, for LD_PRELOAD: what goes wrong at the n-th write, sync or change of length of a file
 * below BL_FAULT_DIRECTORY. The orders are in the file BL_FAULT_ORDERS, which the test maps too, so that it can begin in
 * the middle of a run and sees how far the count went. Once a sync failed, those of the same file lie: they return 0 and
 * do nothing, as the kernel's second one does, which has marked the pages clean. */
#define _GNU_SOURCE /* syscall, pwrite64 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum kind { NOTHING, KILL_BEFORE, KILL_AFTER, TORN, ERROR };

/* As test_faults.py packs it. */
struct orders {
    _Atomic uint32_t n; /* calls so far */
    uint32_t at;        /* the one that goes wrong; 0: none */
    uint32_t kind;
    uint32_t error; /* of ERROR */
    _Atomic uint32_t hit;
    char call[60];
};

static struct orders *orders;
static const char *directory;
static _Atomic uint64_t lying_file; /* its inode; 0: none */

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("BL_FAULT_ORDERS");
    int file = path == NULL ? -1 : open(path, O_RDWR);

    directory = getenv("BL_FAULT_DIRECTORY");
    if (file < 0 || directory == NULL)
        return;
    orders = mmap(NULL, sizeof(*orders), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (orders == MAP_FAILED)
        orders = NULL;
    (void)close(file);
}

static int is_ours(int descriptor, char *path, size_t size)
{
    char link[64];
    ssize_t length;

    if (orders == NULL)
        return 0;
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", descriptor);
    length = readlink(link, path, size - 1);
    if (length <= 0)
        return 0;
    path[length] = '\0';
    return strncmp(path, directory, strlen(directory)) == 0;
}

/* @return what is to happen at this call. */
static enum kind next(const char *call, int descriptor)
{
    char path[4096];
    const char *name;

    if (!is_ours(descriptor, path, sizeof(path)))
        return NOTHING;
    if (atomic_fetch_add(&orders->n, 1) + 1 != orders->at)
        return NOTHING;
    name = strrchr(path, '/');
    (void)snprintf(orders->call, sizeof(orders->call), "%s %.40s", call, name == NULL ? path : name + 1);
    atomic_store(&orders->hit, 1);
    return (enum kind)orders->kind;
}

static void die(void)
{
    (void)kill(getpid(), SIGKILL);
    for (;;)
        (void)pause();
}

static long finish(enum kind kind, long result)
{
    int error = errno;

    if (kind == KILL_AFTER)
        die();
    errno = error;
    return result;
}

static long change(const char *name, int descriptor, long number, const long arguments[4])
{
    enum kind kind = next(name, descriptor);

    if (kind == KILL_BEFORE || kind == TORN)
        die();
    if (kind == ERROR) {
        errno = (int)orders->error;
        return -1;
    }
    return finish(kind, syscall(number, (long)descriptor, arguments[0], arguments[1], arguments[2], arguments[3]));
}

/* At @offset, or where the file is when that is negative. */
static ssize_t put(const char *name, int descriptor, const void *data, size_t length, off64_t offset)
{
    enum kind kind = next(name, descriptor);
    size_t n = kind == TORN ? length / 2 : length;
    long result;

    if (kind == KILL_BEFORE)
        die();
    if (kind == ERROR) {
        errno = (int)orders->error;
        return -1;
    }
    result = offset < 0 ? syscall(SYS_write, descriptor, data, n) : syscall(SYS_pwrite64, descriptor, data, n, offset);
    if (kind == TORN)
        die();
    return finish(kind, result);
}

ssize_t write(int descriptor, const void *data, size_t length)
{
    return put("write", descriptor, data, length, -1);
}

ssize_t pwrite(int descriptor, const void *data, size_t length, off_t offset)
{
    return put("pwrite", descriptor, data, length, offset);
}

ssize_t pwrite64(int descriptor, const void *data, size_t length, off64_t offset)
{
    return put("pwrite", descriptor, data, length, offset);
}

static uint64_t inode_of(int descriptor)
{
    struct stat status;

    return fstat(descriptor, &status) == 0 ? (uint64_t)status.st_ino : 0;
}

static int sync_file(const char *name, int descriptor, long number)
{
    uint64_t lying = atomic_load(&lying_file);
    long result;

    if (lying != 0 && inode_of(descriptor) == lying)
        return 0;
    result = change(name, descriptor, number, (const long[4]){0});
    if (result != 0)
        atomic_store(&lying_file, inode_of(descriptor));
    return (int)result;
}

int fsync(int descriptor)
{
    return sync_file("fsync", descriptor, SYS_fsync);
}

int fdatasync(int descriptor)
{
    return sync_file("fdatasync", descriptor, SYS_fdatasync);
}

int ftruncate(int descriptor, off_t length)
{
    return (int)change("ftruncate", descriptor, SYS_ftruncate, (const long[4]){length});
}

int ftruncate64(int descriptor, off64_t length)
{
    return (int)change("ftruncate", descriptor, SYS_ftruncate, (const long[4]){length});
}

int fallocate(int descriptor, int mode, off_t offset, off_t length)
{
    return (int)change("fallocate", descriptor, SYS_fallocate, (const long[4]){mode, offset, length});
}
