/* gzip, or not; see gunzip.h. */
#include "controlplane/cli/gunzip.h"

#include <string.h>

enum { BLOCK_BYTES = 32 << 10, WINDOW_GZIP_ONLY = 15 + 16 };

void bl_gunzip_init(struct bl_gunzip *gunzip,
                    int (*take)(void *context, const char *data, size_t length, struct bl_error_detail *detail),
                    void *context)
{
    memset(gunzip, 0, sizeof(*gunzip));
    gunzip->take = take;
    gunzip->context = context;
}

void bl_gunzip_fini(struct bl_gunzip *gunzip)
{
    if (gunzip->is_gzip)
        (void)inflateEnd(&gunzip->stream);
    gunzip->is_gzip = false;
}

static int hand_out(struct bl_gunzip *gunzip, const char *data, size_t length, struct bl_error_detail *detail)
{
    gunzip->n_out += length;
    if (gunzip->n_out > BL_GUNZIP_BYTES_MAX)
        return bl_error_set(detail, BL_ETOOBIG, "more than %llu MiB of text: split it",
                            (unsigned long long)(BL_GUNZIP_BYTES_MAX >> 20));
    return length == 0 ? BL_OK : gunzip->take(gunzip->context, data, length, detail);
}

static int inflate_all(struct bl_gunzip *gunzip, const char *data, size_t length, struct bl_error_detail *detail)
{
    char block[BLOCK_BYTES];
    int error = BL_OK;
    int result;

    /* zlib's input has no const, and is not written to. */
    union {
        const char *in;
        Bytef *out;
    } pointer = {.in = data};

    gunzip->stream.next_in = pointer.out;
    gunzip->stream.avail_in = (uInt)length;
    do {
        if (!gunzip->in_member) {
            if (gunzip->stream.avail_in == 0)
                break;
            (void)inflateReset(&gunzip->stream);
            gunzip->in_member = true;
        }
        gunzip->stream.next_out = (Bytef *)block;
        gunzip->stream.avail_out = sizeof(block);
        result = inflate(&gunzip->stream, Z_NO_FLUSH);
        if (result == Z_STREAM_END)
            gunzip->in_member = false;
        else if (result != Z_OK && result != Z_BUF_ERROR)
            return bl_error_set(detail, result == Z_MEM_ERROR ? BL_ENOMEM : BL_EINVAL, "broken gzip: %s",
                                gunzip->stream.msg == NULL ? "no sound stream" : gunzip->stream.msg);
        error = hand_out(gunzip, block, sizeof(block) - gunzip->stream.avail_out, detail);
        /* Output that fills the block may have more behind it, without any more input. */
    } while (error == BL_OK && (gunzip->stream.avail_in != 0 || gunzip->stream.avail_out == 0));
    return error;
}

static int hand_on(struct bl_gunzip *gunzip, const char *data, size_t length, struct bl_error_detail *detail)
{
    return gunzip->is_gzip ? inflate_all(gunzip, data, length, detail) : hand_out(gunzip, data, length, detail);
}

/* Two bytes tell: they may come one by one. */
static int look_at_mark(struct bl_gunzip *gunzip, struct bl_error_detail *detail)
{
    gunzip->is_known = true;
    if (gunzip->n_mark == 2 && gunzip->mark[0] == 0x1f && gunzip->mark[1] == 0x8b) {
        if (inflateInit2(&gunzip->stream, WINDOW_GZIP_ONLY) != Z_OK)
            return bl_error_set(detail, BL_ENOMEM, "out of memory");
        gunzip->is_gzip = gunzip->in_member = true;
    }
    return hand_on(gunzip, (const char *)gunzip->mark, gunzip->n_mark, detail);
}

int bl_gunzip_feed(struct bl_gunzip *gunzip, const char *data, size_t length, struct bl_error_detail *detail)
{
    int error = BL_OK;

    while (!gunzip->is_known && length != 0 && error == BL_OK) {
        gunzip->mark[gunzip->n_mark++] = (uint8_t)*data++;
        length--;
        if (gunzip->n_mark == 2)
            error = look_at_mark(gunzip, detail);
    }
    return error == BL_OK && length != 0 ? hand_on(gunzip, data, length, detail) : error;
}

int bl_gunzip_end(struct bl_gunzip *gunzip, struct bl_error_detail *detail)
{
    int error = gunzip->is_known ? BL_OK : look_at_mark(gunzip, detail);

    if (error == BL_OK && gunzip->in_member)
        return bl_error_set(detail, BL_EINVAL, "broken gzip: it ends early: truncated");
    return error;
}
