/** @file listen.h
 * Listening sockets, and who is at the other end of those of Unix (main.c, sync_server.c, metrics_server.c and the portal
 * call).
 *
 * Threads: any. Cost: start-up, but for accept. */
#ifndef BL_LISTEN_H
#define BL_LISTEN_H

#include <stddef.h>
#include <stdint.h>

#include "bounceline/error.h"

/** Makes the directory that @p path lies in when it is missing (0755, given to @p uid and @p gid), and, with @p itself,
 * @p path as a directory too (0700). What exists is left as it is. @return 0, BL_EINVAL or BL_EIO. */
int bl_listen_prepare(const char *path, int itself, uint32_t uid, uint32_t gid, struct bl_error_detail *detail);

/** Listens on @p path with @p mode, non-blocking, close-on-exec. A socket that nobody answers on is replaced; one that
 * somebody answers on, or anything else of that name, is refused.
 * @return the descriptor, or BL_EEXIST, BL_EINVAL, BL_EIO. */
int bl_listen_open(const char *path, uint32_t mode, struct bl_error_detail *detail);

/** Listens on @p endpoint, as bl_address_parse_endpoint takes it; non-blocking, close-on-exec.
 * @return the descriptor, BL_EINVAL, or BL_EIO naming @p setting. */
int bl_listen_open_endpoint(const char *setting, const char *endpoint, struct bl_error_detail *detail);

/** Gives the socket to @p uid and @p gid, UINT32_MAX: as it is. @return 0, or BL_EPERM naming the path. */
int bl_listen_give(const char *path, uint32_t uid, uint32_t gid, struct bl_error_detail *detail);

/** Closes, and removes the path. */
void bl_listen_close(int descriptor, const char *path);

/** Accepts one connection (non-blocking, close-on-exec) and says who made it (SO_PEERCRED: the user that called
 * connect, whatever became of it since). @return the descriptor, BL_EAGAIN: nobody waits, or BL_EFULL: no descriptors. */
int bl_listen_accept(int descriptor, uint32_t *uid);

/** The groups of who made an accepted connection, his main one first, as they were then.
 * @return how many; 0 when the kernel does not say or there are more than @p max. */
size_t bl_listen_groups(int accepted, uint32_t *groups, size_t max);

#endif
