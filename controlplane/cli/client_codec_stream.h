/** @file client_codec_stream.h
 * The messages of Watch, History and Export in the command line's own terms; all three as groups of prefixes that share
 * everything else. See client_codec.h. */
#ifndef BL_CLIENT_CODEC_STREAM_H
#define BL_CLIENT_CODEC_STREAM_H

#include <stdio.h>

#include "bounceline/address.h"
#include "controlplane/cli/client_codec.h"

#define BL_CLIENT_CODEC_WATCH "/bounceline.v1.ListControl/Watch"
#define BL_CLIENT_CODEC_HISTORY "/bounceline.v1.ListControl/History"
#define BL_CLIENT_CODEC_EXPORT "/bounceline.v1.ListControl/Export"
#define BL_CLIENT_CODEC_BACKUP "/bounceline.v1.ListControl/Backup" /* its request is empty */

enum bl_stream_kind { BL_STREAM_WATCH, BL_STREAM_HISTORY, BL_STREAM_EXPORT };

struct bl_stream_group {
    unsigned kind; /**< the wire's UpdateKind: enum bl_update_kind, and 5: undelist */
    const char *source;
    const char *reason;
    uint32_t code;
    unsigned action;       /**< enum bl_action */
    unsigned self_service; /**< enum bl_self_service */
    int64_t observed_at_ms;
    int64_t expires_at_ms;
    struct bl_prefix *prefixes;
    size_t n_prefixes;
};

struct bl_stream_message {
    uint64_t serial;
    int64_t time_ms;   /**< not of an export */
    const char *actor; /**< of an export: of its group */
    struct bl_stream_group *groups;
    size_t n_groups;
    bool heartbeat;
    bool last;
    uint64_t n_items;     /**< of a whole export */
    uint64_t next_before; /**< of a history that is not whole */
    void *message;        /**< owns the strings */
    struct bl_prefix *prefixes;
};

int bl_client_codec_encode_watch(uint64_t from_serial, bool live_only, uint8_t **out, size_t *length);
int bl_client_codec_encode_history(const char *prefix, uint32_t limit, uint64_t before_serial, uint8_t **out,
                                   size_t *length);
int bl_client_codec_encode_export(const char *source, uint8_t **out, size_t *length);

/** @return 0, BL_EINVAL, BL_ETOOBIG or BL_ENOMEM; free @p out with the next. */
int bl_client_codec_decode_stream(enum bl_stream_kind kind, const uint8_t *data, size_t length,
                                  struct bl_stream_message *out, struct bl_error_detail *detail);
void bl_client_codec_free_stream(struct bl_stream_message *message);

/** A piece of a backup, written to @p out. *n_bytes is set by the last. @return 0, BL_EINVAL, BL_ETOOBIG, BL_ENOMEM, or
 * BL_EFULL: it can't be written. */
int bl_client_codec_write_backup(const uint8_t *data, size_t length, FILE *out, uint64_t *n_bytes,
                                 struct bl_error_detail *detail);

#endif
