/* Keys from the kernel or a file; see random.h. */
#include "dataplane/random.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_BYTES = 16 };
_Static_assert(sizeof(struct bl_siphash_key) == KEY_BYTES, "a key is read as it is kept");

int bl_random_key(struct bl_siphash_key *key, struct bl_error_detail *detail)
{
    if (getrandom(key, KEY_BYTES, 0) != KEY_BYTES)
        return bl_error_set(detail, BL_EIO, "getrandom: %s: no keys can be made, and nothing is safe without",
                            strerror(errno));
    return BL_OK;
}

static int check_file(const char *setting, const char *path, const struct stat *status, struct bl_error_detail *detail)
{
    if (!S_ISREG(status->st_mode))
        return bl_error_set(detail, BL_EINVAL, "%s: %s: expected a regular file", setting, path);
    if ((status->st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return bl_error_set(detail, BL_EPERM,
                            "%s: %s: its mode is %04o: expected one that shuts out group and others "
                            "(0400 or 0600)",
                            setting, path, (unsigned)(status->st_mode & 07777));
    if (status->st_size != KEY_BYTES)
        return bl_error_set(detail, BL_EINVAL, "%s: %s: %lld bytes: expected exactly %d", setting, path,
                            (long long)status->st_size, KEY_BYTES);
    return BL_OK;
}

int bl_random_key_file(const char *setting, const char *path, struct bl_siphash_key *key,
                       struct bl_error_detail *detail)
{
    struct bl_siphash_key read_key;
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int error;

    if (fd < 0)
        return bl_error_set(detail, BL_ENOENT, "%s: %s: %s", setting, path, strerror(errno));
    error = fstat(fd, &status) != 0 ? bl_error_set(detail, BL_EIO, "%s: %s: %s", setting, path, strerror(errno))
                                    : check_file(setting, path, &status, detail);
    if (error == BL_OK && read(fd, &read_key, KEY_BYTES) != KEY_BYTES)
        error = bl_error_set(detail, BL_EIO, "%s: %s: can't be read", setting, path);
    close(fd);
    if (error == BL_OK && read_key.k0 == 0 && read_key.k1 == 0)
        error = bl_error_set(detail, BL_EINVAL, "%s: %s: all zero: expected 16 random bytes", setting, path);
    if (error == BL_OK)
        *key = read_key;
    return error;
}
