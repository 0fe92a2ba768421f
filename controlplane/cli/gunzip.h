/** @file gunzip.h
 * A file's bytes as they are, or out of gzip when it begins with gzip's mark (import.c feeds it, list_file.c gets them).
 *
 * A file of many members is one. A stream that ends early, has something behind its end or a wrong checksum is refused;
 * so is one of more than BL_GUNZIP_BYTES_MAX: 40 MB of deflate can say 40 GB. Memory: zlib's 40 kB and one block. */
#ifndef BL_GUNZIP_H
#define BL_GUNZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <zlib.h>

#include "bounceline/error.h"

#define BL_GUNZIP_BYTES_MAX (UINT64_C(1) << 30)

struct bl_gunzip {
    int (*take)(void *context, const char *data, size_t length, struct bl_error_detail *detail);
    void *context;
    z_stream stream;
    uint64_t n_out;
    uint8_t mark[2];
    size_t n_mark;
    bool is_known; /* plain or gzip */
    bool is_gzip;
    bool in_member;
};

/** @param take gets the bytes; what it returns ends the reading when it is not 0. */
void bl_gunzip_init(struct bl_gunzip *gunzip,
                    int (*take)(void *context, const char *data, size_t length, struct bl_error_detail *detail),
                    void *context);
void bl_gunzip_fini(struct bl_gunzip *gunzip);

/** @return 0, BL_EINVAL: not sound gzip, BL_ETOOBIG, BL_ENOMEM, or what take returned. */
int bl_gunzip_feed(struct bl_gunzip *gunzip, const char *data, size_t length, struct bl_error_detail *detail);

/** The end of the input. @return as feed; BL_EINVAL: it ends within a member. */
int bl_gunzip_end(struct bl_gunzip *gunzip, struct bl_error_detail *detail);

#endif
