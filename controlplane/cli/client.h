/** @file client.h
 * The connection to the control plane: gRPC calls over its Unix socket, or by TCP and mutual TLS 1.3, with the gRPC C
 * core.
 *
 * Knows bytes and methods, not messages: client_codec.h makes and reads those. Called by session.c. It connects a
 * Unix socket itself and hands the descriptor to gRPC: so the cause of a failure is the system's own word (no such file,
 * refused, permission denied), and a lost connection is told from a socket that nobody serves. One thread; gRPC runs
 * threads of its own behind it. Memory: a request and an answer of at most BL_CLIENT_MESSAGE_BYTES_MAX. */
#ifndef BL_CLIENT_H
#define BL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounceline/error.h"

enum { BL_CLIENT_MESSAGE_BYTES_MAX = 32 << 20 };

struct bl_client;

/** One call. */
struct bl_client_call {
    const char *method; /**< "/bounceline.v1.ListControl/Lookup" */
    const uint8_t *request;
    size_t request_length;
    uint32_t deadline_ms;        /**< of the whole call, with its retry */
    void (*tick)(void *context); /**< NULL, or called about each 100 ms while the answer is awaited */
    void *tick_context;
};

/** Where the control plane is: a socket's path, or, when @p connect is not NULL, HOST:PORT with the files to show and to
 * trust. All borrowed for the call. */
struct bl_client_target {
    const char *path;
    const char *connect;
    const char *certificate_file;
    const char *key_file;
    const char *ca_file;
};

/** Connects, with TLS at the first call. What is needed of @p target is kept, for a second connection. @return 0,
 * BL_ENOMEM, BL_EINVAL (the path does not fit in a socket's name, a file is not what it should be), BL_EIO, BL_ENOENT or
 * BL_ECLOSED; @p detail names the path and the cause. */
int bl_client_open(struct bl_client **out, const struct bl_client_target *target, struct bl_error_detail *detail);
void bl_client_close(struct bl_client *client);

/** Makes one call. When the connection is lost before the answer, it connects again (waiting for the socket up to the
 * deadline) and sends the same bytes once more: a write must carry a session, so that it is not done twice.
 *
 * @return 0 with *response (owned by the caller: free), or
 * BL_ECLOSED: the connection is lost, or the server says that it can't serve now;
 * BL_EAGAIN: no answer before the deadline; BL_EIO: the server failed; BL_EVERSION: it does not know the method;
 * BL_EPERM, BL_EINVAL, BL_ERANGE, BL_ENOENT, BL_EEXIST, BL_ECONFLICT, BL_EFULL: it refused, @p detail is its word
 * (not escaped). */
int bl_client_call(struct bl_client *client, const struct bl_client_call *call, uint8_t **response,
                   size_t *response_length, struct bl_error_detail *detail);

/** A call with many answers. */
struct bl_client_stream {
    const char *method;
    const uint8_t *request;
    size_t request_length;
    /** Takes one answer, which is its own for the call. Anything but 0 ends the stream and is returned. */
    int (*take)(void *context, const uint8_t *answer, size_t length, struct bl_error_detail *detail);
    /** Asked about each 100 ms; true ends the stream, which then has succeeded. */
    bool (*is_over)(void *context);
    void *context;
};

/** Makes one, once: what comes again after a lost connection is the caller's to say. @return as bl_client_call, or what
 * take returned. */
int bl_client_stream(struct bl_client *client, const struct bl_client_stream *stream, struct bl_error_detail *detail);

#endif
