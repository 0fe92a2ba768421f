/* JSON lines with rotation; see rejects_file.h. */
#define _GNU_SOURCE /* O_CLOEXEC and friends, struct tm's zone */
#include "controlplane/rejects_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "controlplane/cli/json.h"
#include "controlplane/notice.h"

enum { PATH_BYTES = 512 };

struct bl_rejects_file {
    struct bl_rejects_file_options options;
    int descriptor; /* -1: could not be opened again */
    uint64_t n_bytes;
    bool failing; /* the operator was told */
    bool growing; /* ... that it can't be rotated */
};

static int open_regular(const char *path, uint64_t *n_bytes)
{
    /* Neither a FIFO nor a device may hold this thread up. */
    int descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW, 0640);
    struct stat status;

    if (descriptor < 0)
        return -1;
    if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
        (void)close(descriptor);
        errno = EINVAL;
        return -1;
    }
    *n_bytes = (uint64_t)status.st_size;
    return descriptor;
}

/* Files are rotated by renaming. @return 0, or errno's value: nothing can be renamed in the path's directory. */
static int check_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    char directory[PATH_BYTES] = ".";

    if (slash != NULL)
        (void)snprintf(directory, sizeof(directory), "%.*s", slash == path ? 1 : (int)(slash - path), path);
    return faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

int bl_rejects_file_open(struct bl_rejects_file **out, const struct bl_rejects_file_options *options,
                         struct bl_error_detail *detail)
{
    struct bl_rejects_file *file = calloc(1, sizeof(*file));
    int cause;

    if (file == NULL)
        return bl_error_set(detail, BL_ENOMEM, "out of memory");
    file->options = *options;
    file->descriptor = open_regular(options->path, &file->n_bytes);
    if (file->descriptor < 0) {
        cause = errno;
        free(file);
        return bl_error_set(detail, BL_EIO, "controlplane.rejects_file: %s: %s", options->path,
                            cause == EINVAL ? "expected a regular file" : strerror(cause));
    }
    cause = options->n_files > 1 ? check_directory(options->path) : 0;
    if (cause != 0) {
        bl_rejects_file_close(file);
        return bl_error_set(detail, BL_EIO,
                            "controlplane.rejects_file: %s: its directory can't be written, which "
                            "rotation needs: %s",
                            options->path, strerror(cause));
    }
    *out = file;
    return BL_OK;
}

void bl_rejects_file_close(struct bl_rejects_file *file)
{
    if (file == NULL)
        return;
    if (file->descriptor >= 0)
        (void)close(file->descriptor);
    free(file);
}

/* "2026-11-25T14:02:03.123Z" */
static void put_time(struct bl_json *json, const char *key, int64_t time_ms)
{
    time_t seconds = (time_t)(time_ms / 1000);
    char text[48] = "";
    struct tm utc;
    size_t length;

    if (gmtime_r(&seconds, &utc) != NULL && (length = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc)) != 0)
        (void)snprintf(text + length, sizeof(text) - length, ".%03dZ", (int)(time_ms % 1000));
    bl_json_put_text(json, key, text);
}

/* Nothing in a line is the sender's own: addresses are numbers that we wrote out, the rest is our settings' and names. */
static void put_line(struct bl_json *json, const struct bl_reject *reject)
{
    const struct bl_codec_sync_reject *sample = &reject->sample;
    const char *reason = bl_verdict_reason_name(sample->reason);
    char text[BL_ADDRESS_TEXT_MAX];

    bl_json_begin_object(json, NULL);
    put_time(json, "time", sample->time_ms);
    bl_json_put_int(json, "time_ms", sample->time_ms);
    bl_json_put_text(json, "source", bl_address_format(&sample->source, text));
    bl_json_put_uint(json, "source_port", sample->source_port);
    bl_json_put_text(json, "destination", bl_address_format(&sample->destination, text));
    bl_json_put_uint(json, "destination_port", sample->destination_port);
    bl_json_put_text(json, "reason", reason == NULL ? "unknown" : reason);
    bl_json_put_text(json, "denied_at", bl_verdict_denied_at_text(sample->denied_at));
    bl_json_put_uint(json, "code", reject->code);
    bl_json_put_text(json, "action", bl_class_action_text(reject->action));
    bl_json_put_text(json, "listing",
                     reject->listing.family == BL_FAMILY_NONE ? "" : bl_address_format_prefix(&reject->listing, text));
    bl_json_put_text(json, "listing_source", reject->listing_source);
    bl_json_put_text(json, "dataplane", reject->dataplane);
    bl_json_put_uint(json, "worker", sample->worker);
    bl_json_put_uint(json, "weight", sample->weight);
    bl_json_end_object(json);
}

static int name_of(const struct bl_rejects_file *file, uint32_t number, char path[PATH_BYTES])
{
    return number == 0 ? snprintf(path, PATH_BYTES, "%s", file->options.path)
                       : snprintf(path, PATH_BYTES, "%s.%u", file->options.path, number);
}

/* Somebody's logrotate may have moved it: what is open must be what the path names. */
static void follow_path(struct bl_rejects_file *file)
{
    struct stat named;
    struct stat held;

    if (file->descriptor >= 0 && stat(file->options.path, &named) == 0 && fstat(file->descriptor, &held) == 0 &&
        named.st_ino == held.st_ino && named.st_dev == held.st_dev) {
        file->n_bytes = (uint64_t)held.st_size;
        return;
    }
    if (file->descriptor >= 0)
        (void)close(file->descriptor);
    file->descriptor = open_regular(file->options.path, &file->n_bytes);
}

/* How many names move: those before the first that is free. So a file that can't be moved does not, when that is tried
 * again and again, push all that are older over the end. */
static uint32_t count_moving(const struct bl_rejects_file *file)
{
    uint32_t number = 1;
    char path[PATH_BYTES];
    struct stat status;

    while (number < file->options.n_files - 1) {
        (void)name_of(file, number, path);
        if (lstat(path, &status) != 0)
            break;
        number++;
    }
    return number;
}

/* A name that can't be moved keeps its lines and takes more, up to twice as many: better a file that is too large than
 * one that is lost, and better lines that are lost than a full disk. */
static void rotate(struct bl_rejects_file *file)
{
    char from[PATH_BYTES];
    char to[PATH_BYTES];
    int cause = 0;

    for (uint32_t number = file->options.n_files == 1 ? 0 : count_moving(file); number > 0 && cause == 0; number--) {
        (void)name_of(file, number - 1, from);
        (void)name_of(file, number, to);
        if (rename(from, to) != 0 && errno != ENOENT)
            cause = errno;
    }
    if (file->options.n_files == 1 && ftruncate(file->descriptor, 0) != 0)
        cause = errno;
    if (cause != 0 && !file->growing)
        bl_notice_write("rejects file %s: can't be rotated: %s; it grows to twice its size at most", file->options.path,
                        strerror(cause));
    file->growing = cause != 0;
    if (cause == 0)
        follow_path(file);
}

/* @return 0, or errno's value; then the file ends where it ended before. */
static int append(struct bl_rejects_file *file, const char *lines, size_t length)
{
    size_t n_written = 0;

    while (n_written < length) {
        ssize_t written = write(file->descriptor, lines + n_written, length - n_written);
        int cause = errno;

        if (written < 0 && cause == EINTR)
            continue;
        if (written <= 0) {
            if (n_written != 0 && ftruncate(file->descriptor, (off_t)file->n_bytes) != 0)
                return errno;
            return written == 0 ? ENOSPC : cause;
        }
        n_written += (size_t)written;
    }
    file->n_bytes += length;
    return 0;
}

static void tell(struct bl_rejects_file *file, int cause)
{
    if (cause != 0 && !file->failing)
        bl_notice_write("rejects file %s: %s; lines are lost until it can be written again", file->options.path,
                        strerror(cause));
    if (cause == 0 && file->failing)
        bl_notice_write("rejects file %s: written again", file->options.path);
    file->failing = cause != 0;
}

/* The lines of a batch in one piece. @return NULL without memory. */
static char *make_lines(const struct bl_reject *rejects, size_t n, size_t *length)
{
    char *lines = NULL;
    FILE *out = open_memstream(&lines, length);
    struct bl_json json;

    if (out == NULL)
        return NULL;
    bl_json_init(&json, out);
    for (size_t i = 0; i < n; i++) {
        bl_json_init(&json, out);
        put_line(&json, &rejects[i]);
    }
    if (fclose(out) == 0)
        return lines;
    free(lines);
    return NULL;
}

void bl_rejects_file_write(struct bl_rejects_file *file, const struct bl_reject *rejects, size_t n,
                           struct bl_rejects_file_counts *counts)
{
    size_t length = 0;
    char *lines = make_lines(rejects, n, &length);
    int cause = ENOMEM;

    if (lines != NULL) {
        follow_path(file);
        if (file->descriptor >= 0 && file->n_bytes != 0 && file->n_bytes + length > file->options.bytes_max)
            rotate(file);
        if (file->descriptor < 0)
            cause = errno;
        else if (file->growing && file->n_bytes + length > 2 * file->options.bytes_max)
            cause = EFBIG;
        else
            cause = append(file, lines, length);
    }
    free(lines);
    tell(file, cause);
    if (cause == 0)
        counts->n_written += n;
    else
        counts->n_lost += n;
}
