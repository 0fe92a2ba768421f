/* Frames over a socket; see channel.h. */
#include "dataplane/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/wire.h"

enum {
    IN_BYTES_MIN = 64 << 10,
    /* Acknowledgements and reports are small: so much unsent means that nobody reads. */
    OUT_BYTES_MAX = 256 << 10,
};

void bl_channel_init(struct bl_channel *channel)
{
    memset(channel, 0, sizeof(*channel));
    channel->fd = -1;
}

void bl_channel_close(struct bl_channel *channel)
{
    if (channel->fd >= 0)
        close(channel->fd);
    channel->fd = -1;
    channel->in_bytes = 0;
    channel->in_start = 0;
    channel->in_taken = 0;
    channel->out_bytes = 0;
}

void bl_channel_fini(struct bl_channel *channel)
{
    bl_channel_close(channel);
    free(channel->in);
    free(channel->out);
    bl_channel_init(channel);
}

int bl_channel_connect(struct bl_channel *channel, const char *path, struct bl_error_detail *detail)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int cause;

    bl_channel_close(channel);
    if (strlen(path) >= sizeof(address.sun_path))
        return bl_error_set(detail, BL_ERANGE, "%s: longer than the %zu bytes of a socket's path", path,
                            sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, path, strlen(path));
    channel->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (channel->fd >= 0 && connect(channel->fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return BL_OK;
    cause = errno;
    bl_channel_close(channel);
    return bl_error_set(detail, cause == EAGAIN ? BL_EAGAIN : BL_ECLOSED, "%s: %s", path, strerror(cause));
}

static int grow(uint8_t **buffer, size_t *room, size_t needed)
{
    uint8_t *larger;

    if (needed <= *room)
        return BL_OK;
    larger = realloc(*buffer, needed);
    if (larger == NULL)
        return BL_ENOMEM;
    *buffer = larger;
    *room = needed;
    return BL_OK;
}

/* Reads once. @return 0 when something came. */
static int fill(struct bl_channel *channel)
{
    ssize_t got = recv(channel->fd, channel->in + channel->in_bytes, channel->in_room - channel->in_bytes, 0);

    if (got > 0) {
        channel->in_bytes += (size_t)got;
        return BL_OK;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return BL_EAGAIN;
    return BL_ECLOSED;
}

/* Moves what has come in to the buffer's start, for the rest of a frame of @p needed bytes. */
static int make_room(struct bl_channel *channel, size_t needed)
{
    if (channel->in_start > 0) {
        channel->in_bytes -= channel->in_start;
        memmove(channel->in, channel->in + channel->in_start, channel->in_bytes);
        channel->in_start = 0;
    }
    return grow(&channel->in, &channel->in_room, needed < IN_BYTES_MIN ? IN_BYTES_MIN : needed);
}

int bl_channel_receive(struct bl_channel *channel, const uint8_t **body, size_t *length)
{
    int error;

    if (channel->fd < 0)
        return BL_ECLOSED;
    channel->in_start += channel->in_taken;
    channel->in_taken = 0;
    for (;;) {
        size_t available = channel->in_bytes - channel->in_start;
        size_t needed = BL_WIRE_FRAME_HEADER_BYTES;

        if (available >= needed) {
            error = bl_wire_frame_parse(channel->in + channel->in_start, length);
            if (error != BL_OK)
                return error;
            needed += *length;
            if (available >= needed) {
                *body = channel->in + channel->in_start + BL_WIRE_FRAME_HEADER_BYTES;
                channel->in_taken = needed;
                return BL_OK;
            }
        }
        error = make_room(channel, needed);
        if (error == BL_OK)
            error = fill(channel);
        if (error != BL_OK)
            return error;
    }
}

bool bl_channel_in_frame(const struct bl_channel *channel)
{
    return channel->in_bytes > channel->in_start + channel->in_taken;
}

int bl_channel_flush(struct bl_channel *channel)
{
    while (channel->fd >= 0 && channel->out_bytes > 0) {
        ssize_t sent = send(channel->fd, channel->out, channel->out_bytes, MSG_NOSIGNAL);

        if (sent < 0)
            return errno == EAGAIN || errno == EINTR ? BL_OK : BL_ECLOSED;
        channel->out_bytes -= (size_t)sent;
        memmove(channel->out, channel->out + sent, channel->out_bytes);
    }
    return channel->fd >= 0 ? BL_OK : BL_ECLOSED;
}

int bl_channel_send(struct bl_channel *channel, const uint8_t *data, size_t length)
{
    if (channel->fd < 0)
        return BL_ECLOSED;
    if (channel->out_bytes + length > OUT_BYTES_MAX)
        return BL_EFULL;
    if (grow(&channel->out, &channel->out_room, channel->out_bytes + length) != BL_OK)
        return BL_ENOMEM;
    memcpy(channel->out + channel->out_bytes, data, length);
    channel->out_bytes += length;
    return bl_channel_flush(channel);
}
