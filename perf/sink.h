/** @file sink.h
 * Who takes updates and makes them durable: Bounceline and its peers, each a server that the bench starts in a folder of
 * its own, with the best client that it has (bench_update).
 *
 * All are asked for the same: an entry is an IPv4 address with a code, a source and a time; a batch is `n` new ones; send
 * returns when the server has said that all of it is on disk. Each server is told to wait for the disk before it answers.
 * They listen on Unix sockets in their folder only, and die with the bench. Threads: start and stop by the main thread;
 * a client belongs to the thread that uses it. */
#ifndef BL_PERF_SINK_H
#define BL_PERF_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum { SINK_PATH_MAX = 96, SINK_WHY_MAX = 200, SINK_ENTRIES = 1 << 26 };

struct sink {
    const struct sink_kind *kind;
    char directory[SINK_PATH_MAX];
    pid_t pid;              /**< 0: it does not run */
    pid_t beside;           /**< a second program, likewise */
    char why[SINK_WHY_MAX]; /**< of a failure */
};

struct sink_kind {
    const char *name;
    const char *how; /**< what is asked of it, for people */
    /** True when it is installed. NULL: it always is. */
    bool (*find)(void);
    int (*start)(struct sink *sink);
    /** @return 0 with a client, or -1. */
    int (*connect)(const struct sink *sink, void **client);
    /** Entries @p first to @p first + @p n - 1. @return 0: all of them are durable; or -1. */
    int (*send)(void *client, uint32_t first, uint32_t n);
    void (*disconnect)(void *client);
};

extern const struct sink_kind sink_bounceline;
/** The same with a data plane of four workers on CPU 0 and 1, whose ports receive nothing; send returns when all of them
 * have the batch. */
extern const struct sink_kind sink_bounceline_enforced;
extern const struct sink_kind sink_redis;
extern const struct sink_kind sink_redis_mset;
extern const struct sink_kind sink_copy;
extern const struct sink_kind sink_insert;
extern const struct sink_kind sink_etcd;

/** The address of entry @p i, in host order: 64 M of them, scattered over 16.0.0.0/6. */
uint32_t sink_address(uint32_t i);
/** Writes it as text. @return its length. */
int sink_format(uint32_t i, char text[16]);

/** True when @p program can be run. */
bool sink_is_installed(const char *program);

/** Starts @p argv[0] in the sink's folder, as @p user (NULL: as we are), with its words in the file `said` there. @return
 * its pid, or -1 with sink->why. */
pid_t sink_spawn(struct sink *sink, const char *user, const char *const argv[]);
/** Runs one to its end. @return 0, or -1 with sink->why: it did not end with 0. */
int sink_run(struct sink *sink, const char *user, const char *const argv[]);
/** Waits until @p is_ready, up to a minute. @return 0, or -1 with sink->why. */
int sink_await(struct sink *sink, pid_t pid, int (*is_ready)(const struct sink *sink));
/** True when the file `said` has @p text in it behind byte @p from. */
int sink_has_said(const struct sink *sink, const char *text, long from);
long sink_said_bytes(const struct sink *sink);
/** Ends a process with signal @p number, and waits for that. */
void sink_end(pid_t *pid, int number);
/** Ends both of a sink. */
void sink_stop(struct sink *sink, int number);

#endif
