/* Backup and restore; see backup.h. */
#include "controlplane/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "controlplane/codec_stream.h"
#include "controlplane/notice.h"
#include "controlplane/store.h"

#define LOG_FILE "log.sqlite"
#define RESTORE_FOLDER "restoring" /* in the data directory: the same file system */

enum { PIECE_BYTES = 256 << 10 };

static const struct timespec pause_between = {.tv_nsec = 500000};

/* ---- Copying out ---- */

static void lock(struct bl_store *store)
{
    (void)pthread_mutex_lock(&store->reader_lock);
    (void)pthread_mutex_lock(&store->log_lock);
}

static void unlock(struct bl_store *store)
{
    (void)pthread_mutex_unlock(&store->log_lock);
    (void)pthread_mutex_unlock(&store->reader_lock);
}

/* The writer's turn between the steps. */
static int copy_log(struct bl_store *store, const char *path, struct bl_error_detail *detail)
{
    struct bl_log_copy *copy = NULL;
    int more = 1;
    int error;

    lock(store);
    error = bl_log_copy_begin(store->log, path, &copy, detail);
    unlock(store);
    if (error != BL_OK)
        return error;
    while (more == 1) {
        lock(store);
        more = bl_log_copy_step(copy, detail);
        unlock(store);
        (void)nanosleep(&pause_between, NULL);
    }
    lock(store);
    bl_log_copy_end(copy);
    unlock(store);
    return more;
}

/* A copy in the data directory that has no name any more: it goes with its descriptor. @return that, or the error. */
static int open_copy(struct bl_store *store, struct bl_error_detail *detail)
{
    char path[4096];
    int file;
    int error;

    if (snprintf(path, sizeof(path), "%s/backup-XXXXXX", store->settings->data_directory) >= (int)sizeof(path))
        return bl_error_set(detail, BL_EINVAL, "the data directory's path is too long");
    file = mkstemp(path);
    if (file < 0)
        return bl_error_set(detail, BL_EIO, "%s: %s", path, strerror(errno));
    error = copy_log(store, path, detail);
    (void)unlink(path);
    if (error == BL_OK)
        return file;
    (void)close(file);
    return error;
}

static int write_all(int out, const uint8_t *data, size_t length)
{
    while (length != 0) {
        ssize_t n = write(out, data, length);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return BL_EIO;
        data += n;
        length -= (size_t)n;
    }
    return BL_OK;
}

/* From where @in stands to its end. */
static int pump(int in, int out, const char *what, struct bl_error_detail *detail)
{
    uint8_t *piece = malloc(PIECE_BYTES);
    int error = piece == NULL ? BL_ENOMEM : BL_OK;
    ssize_t n = 1;

    while (error == BL_OK && n != 0) {
        n = read(in, piece, PIECE_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || write_all(out, piece, (size_t)n) != BL_OK)
            error = bl_error_set(detail, errno == ENOSPC ? BL_EFULL : BL_EIO, "%s: %s", what, strerror(errno));
    }
    free(piece);
    return error;
}

/* The log alone: nothing is folded, so that also one that can't be is copied. */
int bl_backup_write(const struct bl_settings_controlplane *settings, int out, struct bl_error_detail *detail)
{
    struct bl_store store = {
        .settings = settings, .log_lock = PTHREAD_MUTEX_INITIALIZER, .reader_lock = PTHREAD_MUTEX_INITIALIZER};
    int copy;
    int error = bl_log_open(&store.log, settings->data_directory, detail);

    if (error != BL_OK)
        return error;
    copy = open_copy(&store, detail);
    bl_log_close(store.log);
    if (copy < 0)
        return copy;
    error = pump(copy, out, "the backup", detail);
    (void)close(copy);
    return error;
}

int bl_backup_run(struct bl_stream *stream, void *context, const uint8_t *request, size_t length,
                  struct bl_error_detail *detail)
{
    uint8_t *piece = malloc(PIECE_BYTES);
    struct bl_codec_bytes message;
    uint64_t n_bytes = 0;
    ssize_t n = 1;
    int error = piece == NULL ? BL_ENOMEM : bl_codec_stream_decode_backup(request, length, detail);
    int copy = error == BL_OK ? open_copy(context, detail) : error;

    if (copy < 0)
        error = copy;
    while (error == BL_OK && n != 0) {
        n = read(copy, piece, PIECE_BYTES);
        if (n < 0)
            error = bl_error_set(detail, BL_EIO, "the backup: %s", strerror(errno));
        n_bytes += n > 0 ? (uint64_t)n : 0;
        if (error == BL_OK)
            error = bl_codec_stream_encode_backup(piece, (size_t)n, n == 0 ? n_bytes : 0, &message);
        if (error == BL_OK)
            error = bl_stream_send(stream, &message);
    }
    if (copy >= 0)
        (void)close(copy);
    free(piece);
    return error;
}

/* ---- Putting back ---- */

static int check_record(void *context, const struct bl_log_blob *record)
{
    (void)context;
    (void)record; /* its checksum held */
    return BL_OK;
}

/* @folder holds the file as log.sqlite. All of it must be readable, and fold. */
static int verify(const struct bl_settings_controlplane *settings, const char *folder, struct bl_error_detail *detail)
{
    struct bl_settings_controlplane *copied = malloc(sizeof(*copied));
    struct bl_store store;
    int error;

    if (copied == NULL)
        return BL_ENOMEM;
    *copied = *settings;
    (void)snprintf(copied->data_directory, sizeof(copied->data_directory), "%s", folder);
    error = bl_store_open(&store, copied, detail);
    if (error == BL_OK) {
        if (bl_log_serial(store.log) != 0)
            error = bl_log_read(store.log, bl_log_first(store.log), check_record, NULL, detail);
        if (error == BL_OK)
            error = bl_log_renew(store.log, detail);
        if (error == BL_OK)
            bl_notice_write("restored: serial %llu, new epoch %llx", (unsigned long long)bl_log_serial(store.log),
                            (unsigned long long)bl_log_epoch(store.log));
        bl_store_close(&store);
    }
    free(copied);
    return error;
}

static void clear_folder(int directory)
{
    (void)unlinkat(directory, RESTORE_FOLDER "/" LOG_FILE, 0);
    (void)unlinkat(directory, RESTORE_FOLDER "/" LOG_FILE "-wal", 0);
    (void)unlinkat(directory, RESTORE_FOLDER "/reserve", 0);
    (void)unlinkat(directory, RESTORE_FOLDER, AT_REMOVEDIR);
}

static int sync_file(int directory, const char *name)
{
    int file = openat(directory, name, O_RDONLY | O_CLOEXEC);
    int failed = file < 0 || fsync(file) != 0;

    if (file >= 0)
        (void)close(file);
    return failed ? BL_EIO : BL_OK;
}

/* An empty file would pass as a log to be made. */
static int copy_in(int directory, int in, struct bl_error_detail *detail)
{
    struct stat found;
    int file;
    int error;

    clear_folder(directory);
    if (mkdirat(directory, RESTORE_FOLDER, 0700) != 0)
        return bl_error_set(detail, BL_EIO, RESTORE_FOLDER ": %s", strerror(errno));
    file = openat(directory, RESTORE_FOLDER "/" LOG_FILE, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0)
        return bl_error_set(detail, BL_EIO, RESTORE_FOLDER "/" LOG_FILE ": %s", strerror(errno));
    error = pump(in, file, "copying the backup", detail);
    if (error == BL_OK && fstat(file, &found) == 0 && found.st_size == 0)
        error = bl_error_set(detail, BL_EINVAL, "the backup is empty");
    (void)close(file);
    return error;
}

/* The old log under another name first; its WAL goes before the new file comes, which it would be taken to belong to. */
static int put_in_place(int directory, struct bl_error_detail *detail)
{
    char aside[64];
    char aside_wal[72];
    time_t now = time(NULL);
    struct stat wal;
    struct tm utc;

    (void)gmtime_r(&now, &utc);
    (void)strftime(aside, sizeof(aside), LOG_FILE ".before-%Y%m%dT%H%M%SZ", &utc);
    (void)snprintf(aside_wal, sizeof(aside_wal), "%s-wal", aside);
    if (sync_file(directory, RESTORE_FOLDER "/" LOG_FILE) != BL_OK)
        return bl_error_set(detail, BL_EIO, "the backup's copy can't be synced");
    if (linkat(directory, LOG_FILE, directory, aside, 0) != 0 && errno != ENOENT)
        return bl_error_set(detail, BL_EIO, "%s: %s", aside, strerror(errno));
    if (fstatat(directory, LOG_FILE "-wal", &wal, 0) == 0 && wal.st_size != 0 &&
        linkat(directory, LOG_FILE "-wal", directory, aside_wal, 0) != 0)
        return bl_error_set(detail, BL_EIO, "%s: %s", aside_wal, strerror(errno));
    if (fsync(directory) != 0 || (unlinkat(directory, LOG_FILE "-wal", 0) != 0 && errno != ENOENT) ||
        renameat(directory, RESTORE_FOLDER "/" LOG_FILE, directory, LOG_FILE) != 0 || fsync(directory) != 0)
        return bl_error_set(detail, BL_EIO, LOG_FILE ": can't be put in place: %s", strerror(errno));
    bl_notice_write("the log before is kept as %s", aside);
    return BL_OK;
}

/* Its WAL goes into its file, so that nothing is lost whenever this ends; a log that can't be opened is kept as it is. */
static int settle_old(const char *path, struct bl_error_detail *detail)
{
    struct bl_error_detail cause = {""};
    struct bl_log *log = NULL;
    char file[4096];
    int error;

    if (snprintf(file, sizeof(file), "%s/" LOG_FILE, path) >= (int)sizeof(file) || access(file, F_OK) != 0)
        return BL_OK;
    error = bl_log_open(&log, path, &cause);
    if (error == BL_EEXIST)
        return bl_error_set(detail, error, "%s: stop the control plane first", cause.text);
    if (error != BL_OK)
        bl_notice_write("the log that is replaced can't be opened: %s", cause.text);
    bl_log_close(log);
    return BL_OK;
}

int bl_backup_restore(const struct bl_settings_controlplane *settings, int in, struct bl_error_detail *detail)
{
    char folder[sizeof(settings->data_directory)];
    int directory;
    int error = settle_old(settings->data_directory, detail);

    if (error != BL_OK)
        return error;
    if (snprintf(folder, sizeof(folder), "%s/" RESTORE_FOLDER, settings->data_directory) >= (int)sizeof(folder))
        return bl_error_set(detail, BL_EINVAL, "the data directory's path is too long");
    directory = open(settings->data_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return bl_error_set(detail, BL_EIO, "%s: %s", settings->data_directory, strerror(errno));
    /* The log's own lock: until this ends no control plane starts. */
    if (flock(directory, LOCK_EX | LOCK_NB) != 0)
        error = bl_error_set(detail, BL_EEXIST, "log %s: in use by another process: stop the control plane first",
                             settings->data_directory);
    if (error == BL_OK) {
        error = copy_in(directory, in, detail);
        if (error == BL_OK)
            error = verify(settings, folder, detail);
        if (error == BL_OK)
            error = put_in_place(directory, detail);
        clear_folder(directory);
    }
    (void)close(directory);
    return error;
}
