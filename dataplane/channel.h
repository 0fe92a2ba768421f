/** @file channel.h
 * Frames over the sync socket, never waiting: a 4-byte length and that many bytes (feed → channel → kernel).
 *
 * Owns the socket and two buffers. Knows no message. Threads: main core only. Cost: control path. */
#ifndef BL_CHANNEL_H
#define BL_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounceline/error.h"

struct bl_channel {
    int fd;      /**< -1: closed */
    uint8_t *in; /**< received */
    size_t in_bytes;
    size_t in_room;
    size_t in_start; /**< where the next frame's header is, or the one's that was given out last */
    size_t in_taken; /**< bytes of the frame that was given out last; 0: none */
    uint8_t *out;    /**< to be sent */
    size_t out_bytes;
    size_t out_room;
};

void bl_channel_init(struct bl_channel *channel);

/** Closes, and forgets what was in the buffers. */
void bl_channel_close(struct bl_channel *channel);
void bl_channel_fini(struct bl_channel *channel);

/** Connects to a Unix stream socket. @return 0, BL_EAGAIN (its queue is full), BL_ERANGE (path too long) or BL_ECLOSED
 * with the system's words; then the channel is closed. */
int bl_channel_connect(struct bl_channel *channel, const char *path, struct bl_error_detail *detail);

/** The next frame's body, borrowed until the next call. @return 0, BL_EAGAIN (no whole frame yet), BL_ETOOBIG, BL_ENOMEM
 * or BL_ECLOSED. A frame's length is checked before there is memory for it. */
int bl_channel_receive(struct bl_channel *channel, const uint8_t **body, size_t *length);

/** True while a part of a frame has come in. */
bool bl_channel_in_frame(const struct bl_channel *channel);

/** Sends, or keeps what the socket does not take now. @return 0, BL_EFULL (the other side does not read), BL_ENOMEM or
 * BL_ECLOSED. On failure nothing of @p data will be sent. */
int bl_channel_send(struct bl_channel *channel, const uint8_t *data, size_t length);

/** Sends what was kept. @return 0 or BL_ECLOSED. */
int bl_channel_flush(struct bl_channel *channel);

#endif
