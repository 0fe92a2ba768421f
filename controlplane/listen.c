/* Listening sockets; those of Unix: made, replaced when stale, accepted with credentials; see listen.h. */
#define _GNU_SOURCE /* accept4, struct ucred */
#include "controlplane/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "bounceline/address.h"

/* What is there already keeps its owner and mode: it may be the administrator's own choice. */
static int make_directory(const char *path, mode_t mode, uint32_t uid, uint32_t gid, struct bl_error_detail *detail)
{
    if (mkdir(path, mode) != 0) {
        if (errno == EEXIST)
            return BL_OK;
        return bl_error_set(detail, BL_EIO, "%s: can't make the directory: %s", path, strerror(errno));
    }
    if ((uid != geteuid() || gid != getegid()) && chown(path, uid, gid) != 0)
        return bl_error_set(detail, BL_EIO, "%s: can't give the directory to user %u: %s", path, uid, strerror(errno));
    return BL_OK;
}

int bl_listen_prepare(const char *path, int itself, uint32_t uid, uint32_t gid, struct bl_error_detail *detail)
{
    char part[4096];
    size_t length = strlen(path);
    int error = BL_OK;

    if (length == 0 || length >= sizeof(part))
        return bl_error_set(detail, BL_EINVAL, "path of %zu bytes: expected 1 to %zu", length, sizeof(part) - 1);
    /* Each directory on the way, as mkdir -p does it. */
    for (size_t i = 1; i < length && error == BL_OK; i++) {
        if (path[i] != '/')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        error = make_directory(part, 0755, uid, gid, detail);
    }
    if (error == BL_OK && itself)
        error = make_directory(path, 0700, uid, gid, detail);
    return error;
}

/* sun_path is short (107 bytes): a longer path is an error, never cut. */
static int make_address(const char *path, struct sockaddr_un *address, struct bl_error_detail *detail)
{
    size_t length = strlen(path);

    if (length == 0 || length >= sizeof(address->sun_path))
        return bl_error_set(detail, BL_EINVAL, "socket path of %zu bytes: expected 1 to %zu", length,
                            sizeof(address->sun_path) - 1);
    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, length + 1);
    return BL_OK;
}

/* Removes a socket that nobody answers on. Two programs can't both get here for one list: the log's lock is taken
 * before the sockets are opened. */
static int remove_stale(const struct sockaddr_un *address, struct bl_error_detail *detail)
{
    const char *path = address->sun_path;
    struct stat status;
    int probe;
    int error = BL_OK;

    if (lstat(path, &status) != 0)
        return errno == ENOENT ? BL_OK : bl_error_set(detail, BL_EIO, "%s: %s", path, strerror(errno));
    if (!S_ISSOCK(status.st_mode))
        return bl_error_set(detail, BL_EEXIST, "%s: is there and is not a socket", path);
    probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0)
        return bl_error_set(detail, BL_EIO, "%s: %s", path, strerror(errno));
    /* EAGAIN: somebody listens whose backlog is full. */
    if (connect(probe, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN)
        error = bl_error_set(detail, BL_EEXIST, "%s: another program answers on it", path);
    else if (errno != ECONNREFUSED)
        error = bl_error_set(detail, BL_EIO, "%s: %s", path, strerror(errno));
    else if (unlink(path) != 0)
        error = bl_error_set(detail, BL_EIO, "%s: can't remove the stale socket: %s", path, strerror(errno));
    (void)close(probe);
    return error;
}

int bl_listen_open(const char *path, uint32_t mode, struct bl_error_detail *detail)
{
    struct sockaddr_un address;
    int error = make_address(path, &address, detail);
    int descriptor;

    if (error == BL_OK)
        error = remove_stale(&address, detail);
    if (error != BL_OK)
        return error;
    descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0)
        return bl_error_set(detail, BL_EIO, "%s: %s", path, strerror(errno));
    /* The mode is set before listen: until then nobody can connect. */
    if (bind(descriptor, (const struct sockaddr *)&address, sizeof(address)) != 0 || chmod(path, mode) != 0 ||
        listen(descriptor, SOMAXCONN) != 0) {
        error = bl_error_set(detail, BL_EIO, "%s: can't listen: %s", path, strerror(errno));
        (void)close(descriptor);
        return error;
    }
    return descriptor;
}

int bl_listen_give(const char *path, uint32_t uid, uint32_t gid, struct bl_error_detail *detail)
{
    if ((uid == UINT32_MAX && gid == UINT32_MAX) || chown(path, uid, gid) == 0)
        return BL_OK;
    return bl_error_set(detail, BL_EPERM, "%s: can't give the socket to user %d, group %d: %s", path, (int)uid,
                        (int)gid, strerror(errno));
}

int bl_listen_open_endpoint(const char *setting, const char *endpoint, struct bl_error_detail *detail)
{
    union {
        struct sockaddr any;
        struct sockaddr_in ipv4;
        struct sockaddr_in6 ipv6;
    } name = {0};
    socklen_t length;
    struct bl_address address;
    uint16_t port;
    int yes = 1;
    int descriptor;
    int error = bl_address_parse_endpoint(endpoint, &address, &port, detail);

    if (error != BL_OK)
        return error;
    if (address.family == BL_FAMILY_IPV4) {
        name.ipv4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
        memcpy(&name.ipv4.sin_addr, address.bytes, sizeof(name.ipv4.sin_addr));
        length = sizeof(name.ipv4);
    } else {
        name.ipv6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
        memcpy(&name.ipv6.sin6_addr, address.bytes, sizeof(name.ipv6.sin6_addr));
        length = sizeof(name.ipv6);
    }
    descriptor = socket(name.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor >= 0 && setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) == 0 &&
        bind(descriptor, &name.any, length) == 0 && listen(descriptor, SOMAXCONN) == 0)
        return descriptor;
    error = bl_error_set(detail, BL_EIO, "%s: %s: %s", setting, endpoint, strerror(errno));
    if (descriptor >= 0)
        (void)close(descriptor);
    return error;
}

void bl_listen_close(int descriptor, const char *path)
{
    (void)unlink(path);
    (void)close(descriptor);
}

int bl_listen_accept(int descriptor, uint32_t *uid)
{
    struct ucred credentials;
    socklen_t length = sizeof(credentials);
    int accepted;

    do {
        accepted = accept4(descriptor, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    } while (accepted < 0 && (errno == EINTR || errno == ECONNABORTED));
    if (accepted < 0)
        return errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS ? BL_EFULL : BL_EAGAIN;
    if (getsockopt(accepted, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) {
        (void)close(accepted);
        return BL_EAGAIN;
    }
    *uid = credentials.uid;
    return accepted;
}

size_t bl_listen_groups(int accepted, uint32_t *groups, size_t max)
{
    struct ucred credentials;
    socklen_t length = sizeof(credentials);
    socklen_t rest = (socklen_t)((max - 1) * sizeof(groups[0]));

    if (getsockopt(accepted, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0)
        return 0;
    groups[0] = credentials.gid;
    if (getsockopt(accepted, SOL_SOCKET, SO_PEERGROUPS, groups + 1, &rest) != 0)
        return 0;
    return 1 + rest / sizeof(groups[0]);
}
