/* Entries, and the servers' processes; see sink.h. */
#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_S = 60 };

/* An odd factor permutes the range: each address comes once, far from the last. */
uint32_t sink_address(uint32_t i)
{
    return 0x10000000u | ((i * 2654435761u) & (SINK_ENTRIES - 1));
}

int sink_format(uint32_t i, char text[16])
{
    uint32_t address = sink_address(i);

    return snprintf(text, 16, "%u.%u.%u.%u", address >> 24, address >> 16 & 255, address >> 8 & 255, address & 255);
}

bool sink_is_installed(const char *program)
{
    static const char *const folders[] = {"/usr/bin", "/usr/sbin", "/usr/local/bin"};
    char path[SINK_PATH_MAX];

    for (unsigned i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", folders[i], program);
        if (access(path, X_OK) == 0)
            return true;
    }
    return false;
}

/* PostgreSQL refuses to run as root. */
static int become(const char *user)
{
    const struct passwd *entry = getpwnam(user);

    return entry == NULL || initgroups(user, entry->pw_gid) != 0 || setgid(entry->pw_gid) != 0 ||
                   setuid(entry->pw_uid) != 0
               ? -1
               : 0;
}

static _Noreturn void run_child(const struct sink *sink, const char *user, const char *const argv[])
{
    int said;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (chdir(sink->directory) != 0)
        _exit(126);
    said = open("said", O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (said < 0 || dup2(said, 1) < 0 || dup2(said, 2) < 0)
        _exit(126);
    if (user != NULL && become(user) != 0)
        _exit(126);
    (void)execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

pid_t sink_spawn(struct sink *sink, const char *user, const char *const argv[])
{
    pid_t pid = fork();

    if (pid == 0)
        run_child(sink, user, argv);
    if (pid < 0)
        (void)snprintf(sink->why, sizeof(sink->why), "fork: %s", strerror(errno));
    return pid;
}

static int explain(struct sink *sink, const char *program, int status)
{
    (void)snprintf(sink->why, sizeof(sink->why), "%s: %s %d; its words are in %s/said", program,
                   WIFEXITED(status) ? "exit" : "signal", WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
                   sink->directory);
    return -1;
}

int sink_run(struct sink *sink, const char *user, const char *const argv[])
{
    pid_t pid = sink_spawn(sink, user, argv);
    int status = 0;

    if (pid < 0)
        return -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : explain(sink, argv[0], status);
}

int sink_await(struct sink *sink, pid_t pid, int (*is_ready)(const struct sink *sink))
{
    const struct timespec pause = {0, 5000000};
    time_t end = time(NULL) + PATIENCE_S;
    int status;

    while (!is_ready(sink)) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return explain(sink, sink->kind->name, status);
        if (time(NULL) > end) {
            (void)snprintf(sink->why, sizeof(sink->why), "not ready within %d s", PATIENCE_S);
            return -1;
        }
        (void)nanosleep(&pause, NULL);
    }
    return 0;
}

static FILE *open_said(const struct sink *sink)
{
    char path[SINK_PATH_MAX + 8];

    (void)snprintf(path, sizeof(path), "%s/said", sink->directory);
    return fopen(path, "r");
}

long sink_said_bytes(const struct sink *sink)
{
    FILE *said = open_said(sink);
    long n = said != NULL && fseek(said, 0, SEEK_END) == 0 ? ftell(said) : 0;

    if (said != NULL)
        (void)fclose(said);
    return n;
}

int sink_has_said(const struct sink *sink, const char *text, long from)
{
    FILE *said = open_said(sink);
    char line[512];
    int found = 0;

    if (said == NULL)
        return 0;
    if (fseek(said, from, SEEK_SET) == 0)
        while (!found && fgets(line, sizeof(line), said) != NULL)
            found = strstr(line, text) != NULL;
    (void)fclose(said);
    return found;
}

void sink_end(pid_t *pid, int number)
{
    if (*pid <= 0)
        return;
    (void)kill(*pid, number);
    while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR)
        ;
    *pid = 0;
}

void sink_stop(struct sink *sink, int number)
{
    sink_end(&sink->beside, number);
    sink_end(&sink->pid, number);
}
