/** @file error.h
 * Error codes and the text that goes with them.
 *
 * Functions return 0 or a negative `enum bl_error`. Where a person will read the cause, the function also takes a
 * `struct bl_error_detail` and says there what was wrong, naming the file, line, field or prefix, and what was
 * expected. Threads: any; nothing here is shared. */
#ifndef BL_ERROR_H
#define BL_ERROR_H

/** name, value, text */
#define BL_ERRORS(X) \
    X(BL_EINVAL, -1, "invalid argument or malformed input") \
    X(BL_ENOMEM, -2, "out of memory") \
    X(BL_ERANGE, -3, "value out of range") \
    X(BL_ENOENT, -4, "not found") \
    X(BL_EEXIST, -5, "already there") \
    X(BL_EIO, -6, "input/output error") \
    X(BL_EFULL, -7, "no room left") \
    X(BL_EAGAIN, -8, "not now, try again") \
    X(BL_EVERSION, -9, "unknown version") \
    X(BL_EORDER, -10, "out of order") \
    X(BL_EDIGEST, -11, "digest or checksum differs") \
    X(BL_EPERM, -12, "not permitted") \
    X(BL_ECONFLICT, -13, "conflicts with what is there") \
    X(BL_ECLOSED, -14, "the other side is gone") \
    X(BL_ETOOBIG, -15, "larger than the limit") \
    X(BL_EAUTH, -16, "not known who it is")

enum bl_error {
    BL_OK = 0,
#define X(name, value, text) name = value,
    BL_ERRORS(X)
#undef X
};

/** The cause of one failure, for a person. Always NUL-terminated; empty when there is nothing to say. */
struct bl_error_detail {
    char text[320];
};

/** The fixed text of a code; "unknown error" for any other number. Cost: control path. */
const char *bl_error_text(int error);

/** Writes the cause into @p detail (may be NULL: then nothing) and returns @p error, so that a caller can
 * `return bl_error_set(detail, BL_EINVAL, "line %u: ...", line);`. A text that is too long is cut. */
int bl_error_set(struct bl_error_detail *detail, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
