/** @file session.h
 * One run of the program is one session with the control plane: a connection, a random name, batches counted under it.
 * The calls that the commands make: options to a connection, a batch or a question to its decoded answer, an error to
 * an exit code and a message. Stands between the commands and client.h + client_codec.h. One thread. */
#ifndef BL_SESSION_H
#define BL_SESSION_H

#include "bounceline/error.h"
#include "controlplane/cli/client_codec.h"
#include "controlplane/cli/client_codec_rejects.h"
#include "controlplane/cli/client_codec_stream.h"
#include "controlplane/cli/json.h"
#include "controlplane/cli/options.h"

struct bl_client;

struct bl_session {
    const struct bl_options *options; /**< borrowed */
    struct bl_client *client;
    uint32_t deadline_ms;
    char name[33];       /**< random, hexadecimal: names this program's batches */
    uint64_t sequence;   /**< of the last batch */
    uint64_t elapsed_us; /**< of the last call */
    void (*tick)(void *context);
    void *tick_context;
};

/** Finds the socket (--socket, client.socket of --config, $BOUNCELINE_SOCKET, the default) and the deadline, connects.
 * @return BL_EXIT_DONE, or the exit code after the cause was said; bl_session_close is due only after BL_EXIT_DONE. */
enum bl_exit bl_session_open(struct bl_session *session, const struct bl_options *options);
void bl_session_close(struct bl_session *session);

/** Sends one batch; session and sequence are set here. @return as bl_client_call; free @p out with its function. */
int bl_session_apply(struct bl_session *session, struct bl_batch *batch, struct bl_result *out,
                     struct bl_error_detail *detail);
int bl_session_lookup(struct bl_session *session, const char *prefix, struct bl_lookup *out,
                      struct bl_error_detail *detail);
int bl_session_status(struct bl_session *session, struct bl_status *out, struct bl_error_detail *detail);
int bl_session_rejects(struct bl_session *session, const struct bl_rejects_request *request,
                       struct bl_rejects_page *out, struct bl_error_detail *detail);
int bl_session_top(struct bl_session *session, bool listings, uint32_t limit, struct bl_top *out,
                   struct bl_error_detail *detail);

/** Makes a call with many answers; takes @p request. @p take gets each decoded, is_over as in struct bl_client_stream. */
struct bl_session_stream {
    enum bl_stream_kind kind;
    uint8_t *request;
    size_t request_length;
    int (*take)(void *context, const struct bl_stream_message *message, struct bl_error_detail *detail);
    bool (*is_over)(void *context);
    void *context;
};

int bl_session_stream(struct bl_session *session, const struct bl_session_stream *stream,
                      struct bl_error_detail *detail);

/** Writes a backup to @p out. @return as bl_client_stream; BL_EIO also when it is not whole. */
int bl_session_backup(struct bl_session *session, FILE *out, struct bl_error_detail *detail);

/** BL_EXIT_REFUSED for a refusal, BL_EXIT_UNAVAILABLE for everything that says nothing about the request. */
enum bl_exit bl_session_exit(int error);

/** Says "bounceline: text" on stderr, escaped, and with --json {"error":text,"exit_code":N} on stdout.
 * @return @p code. */
enum bl_exit bl_session_fail(const struct bl_options *options, enum bl_exit code, const char *text);

#endif
