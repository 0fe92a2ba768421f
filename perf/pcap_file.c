/* See pcap_file.h. The format: a header of 24 bytes, then for each frame 16 bytes and the frame, in the byte order of the
 * magic number (draft-ietf-opsawg-pcap). */
#include "perf/pcap_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_BYTES = 24, RECORD_BYTES = 16, ETHERNET = 1, SNAP_BYTES = 65535 };

static const uint32_t magic_us = 0xa1b2c3d4U;
static const uint32_t magic_ns = 0xa1b23c4dU;

static uint32_t word(const uint8_t *at, bool swap)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return swap ? __builtin_bswap32(value) : value;
}

/* The whole file. */
static int slurp(const char *path, uint8_t **bytes, size_t *length, struct bl_error_detail *detail)
{
    FILE *file = fopen(path, "rbe");
    long end;

    *bytes = NULL;
    if (file == NULL)
        return bl_error_set(detail, BL_EIO, "%s: %s", path, strerror(errno));
    if (fseek(file, 0, SEEK_END) == 0 && (end = ftell(file)) >= 0 && fseek(file, 0, SEEK_SET) == 0) {
        *length = (size_t)end;
        *bytes = malloc(*length + 1);
    }
    if (*bytes == NULL || fread(*bytes, 1, *length, file) != *length) {
        free(*bytes);
        fclose(file);
        return bl_error_set(detail, BL_EIO, "%s: can't be read", path);
    }
    fclose(file);
    return BL_OK;
}

/* Moves the frames together in place, and notes where each begins. */
static int gather(struct pcap_file *out, size_t length, size_t frame_max, bool swap, struct bl_error_detail *detail)
{
    size_t at = HEADER_BYTES;
    size_t to = 0;

    while (length - at >= RECORD_BYTES) {
        uint32_t bytes = word(out->bytes + at + 8, swap);

        if (bytes > frame_max || bytes != word(out->bytes + at + 12, swap) || bytes > length - at - RECORD_BYTES)
            return bl_error_set(detail, BL_EINVAL, "frame %zu: %u bytes: expected whole frames of at most %zu",
                                out->n + 1, bytes, frame_max);
        memmove(out->bytes + to, out->bytes + at + RECORD_BYTES, bytes);
        out->offsets[out->n++] = (uint32_t)to;
        to += bytes;
        at += RECORD_BYTES + bytes;
    }
    out->offsets[out->n] = (uint32_t)to;
    return out->n != 0 && at == length
               ? BL_OK
               : bl_error_set(detail, BL_EINVAL, "frame %zu is cut, or there is none", out->n + 1);
}

int pcap_file_read(struct pcap_file *file, const char *path, size_t frame_max, struct bl_error_detail *detail)
{
    struct bl_error_detail cause = {""};
    struct pcap_file out = {NULL, 0, NULL};
    size_t length = 0;
    int error = slurp(path, &out.bytes, &length, detail);
    bool swap;

    if (error != BL_OK)
        return error;
    swap = length >= HEADER_BYTES && (word(out.bytes, true) == magic_us || word(out.bytes, true) == magic_ns);
    if (length < HEADER_BYTES || length > UINT32_MAX ||
        (word(out.bytes, swap) != magic_us && word(out.bytes, swap) != magic_ns) ||
        (word(out.bytes + 20, swap) & 0xffff) != ETHERNET) {
        pcap_file_fini(&out);
        return bl_error_set(detail, BL_EINVAL, "%s: expected a pcap capture of Ethernet, below 4 GiB", path);
    }
    out.offsets = malloc((length / RECORD_BYTES + 1) * sizeof(*out.offsets));
    error = out.offsets == NULL ? BL_ENOMEM : gather(&out, length, frame_max, swap, &cause);
    if (error != BL_OK) {
        pcap_file_fini(&out);
        return bl_error_set(detail, error, "%s: %s", path, cause.text);
    }
    *file = out;
    return BL_OK;
}

void pcap_file_fini(struct pcap_file *file)
{
    free(file->bytes);
    free(file->offsets);
    *file = (struct pcap_file){NULL, 0, NULL};
}

FILE *pcap_file_create(const char *path)
{
    const uint32_t header[6] = {magic_ns, 2 | 4 << 16, 0, 0, SNAP_BYTES, ETHERNET};
    FILE *file = fopen(path, "wbe");

    if (file != NULL && fwrite(header, sizeof(header), 1, file) != 1) {
        fclose(file);
        return NULL;
    }
    return file;
}

bool pcap_file_write(FILE *file, uint64_t time_ns, const uint8_t *frame, size_t length)
{
    const uint32_t record[4] = {(uint32_t)(time_ns / 1000000000), (uint32_t)(time_ns % 1000000000), (uint32_t)length,
                                (uint32_t)length};

    return fwrite(record, sizeof(record), 1, file) == 1 && fwrite(frame, 1, length, file) == length;
}
