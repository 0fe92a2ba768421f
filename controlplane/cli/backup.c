/* backup and restore; see backup.h. */
#include "controlplane/cli/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controlplane/cli/session.h"

#define CONTROLPLANE "bounceline-controlplane"

/* The name is on disk only when its directory is. */
static int sync_parent(const char *path)
{
    char *copy = strdup(path);
    int parent = copy == NULL ? -1 : open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failed = parent < 0 || fsync(parent) != 0;

    if (parent >= 0)
        (void)close(parent);
    free(copy);
    return failed ? BL_EIO : BL_OK;
}

static int write_all(struct bl_session *session, int file, struct bl_error_detail *detail)
{
    FILE *out = fdopen(file, "w");
    int error;

    if (out == NULL) {
        (void)close(file);
        return BL_ENOMEM;
    }
    error = bl_session_backup(session, out, detail);
    if (error == BL_OK && (fflush(out) != 0 || fsync(file) != 0))
        error = bl_error_set(detail, BL_EFULL, "the backup can't be written: %s", strerror(errno));
    if (fclose(out) != 0 && error == BL_OK)
        error = bl_error_set(detail, BL_EFULL, "the backup can't be written: %s", strerror(errno));
    return error;
}

/* Beside the file and renamed over it. The mode stays 0600: it says who did what. */
static int write_file(struct bl_session *session, const char *path, struct bl_error_detail *detail)
{
    char name[4096];
    int file;
    int error;

    if (snprintf(name, sizeof(name), "%s.XXXXXX", path) >= (int)sizeof(name))
        return bl_error_set(detail, BL_EINVAL, "FILE: the path is too long");
    file = mkstemp(name);
    if (file < 0)
        return bl_error_set(detail, BL_EINVAL, "%s: %s", path, strerror(errno));
    error = write_all(session, file, detail);
    if (error == BL_OK && (rename(name, path) != 0 || sync_parent(path) != BL_OK))
        error = bl_error_set(detail, BL_EFULL, "%s: %s", path, strerror(errno));
    if (error != BL_OK)
        (void)unlink(name);
    return error;
}

int bl_cli_backup_run(const struct bl_options *options)
{
    struct bl_error_detail detail = {""};
    struct bl_session session;
    enum bl_exit code = bl_session_open(&session, options);
    int error;

    if (code != BL_EXIT_DONE)
        return code;
    error = write_file(&session, options->arguments[0], &detail);
    bl_session_close(&session);
    return error == BL_OK ? BL_EXIT_DONE : bl_session_fail(options, bl_session_exit(error), detail.text);
}

/* The control plane's program beside this one. */
static int find_program(char *path, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", path, size - sizeof(CONTROLPLANE) - 1);
    char *slash;

    if (n <= 0)
        return BL_ENOENT;
    path[n] = '\0';
    slash = strrchr(path, '/');
    if (slash == NULL)
        return BL_ENOENT;
    memcpy(slash + 1, CONTROLPLANE, sizeof(CONTROLPLANE));
    return BL_OK;
}

int bl_cli_restore_run(const struct bl_options *options)
{
    struct bl_error_detail detail = {""};
    char program[4096];
    int file = open(options->arguments[0], O_RDONLY | O_CLOEXEC);

    if (file < 0 || dup2(file, STDIN_FILENO) < 0) {
        (void)bl_error_set(&detail, BL_EINVAL, "%s: %s", options->arguments[0], strerror(errno));
        return bl_session_fail(options, BL_EXIT_REFUSED, detail.text);
    }
    if (find_program(program, sizeof(program)) == BL_OK) {
        if (options->config == NULL)
            (void)execl(program, CONTROLPLANE, "--restore", (char *)NULL);
        else
            (void)execl(program, CONTROLPLANE, "--restore", "--config", options->config, (char *)NULL);
    }
    (void)bl_error_set(&detail, BL_ENOENT, CONTROLPLANE ": can't be started: %s", strerror(errno));
    return bl_session_fail(options, BL_EXIT_UNAVAILABLE, detail.text);
}
