/** @file client_codec_rejects.h
 * ListRejects and GetTop in the command line's terms; as client_codec.h, which holds the rest. */
#ifndef BL_CLIENT_CODEC_REJECTS_H
#define BL_CLIENT_CODEC_REJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounceline/error.h"

#define BL_CLIENT_CODEC_LIST_REJECTS "/bounceline.v1.ListControl/ListRejects"
#define BL_CLIENT_CODEC_GET_TOP "/bounceline.v1.ListControl/GetTop"

/** ListRejectsRequest. */
struct bl_rejects_request {
    uint64_t instance;  /**< of the last page; 0 at first */
    uint64_t after;     /**< the last page's next; 0: the newest */
    const char *prefix; /**< "": all */
    bool all_stages;
    int64_t since_ms; /**< wall clock */
    uint32_t limit;
};

/** One Reject. Strings are the page's. */
struct bl_rejects_line {
    uint64_t id;
    int64_t time_ms;
    const char *source;
    const char *destination;
    uint32_t source_port;
    uint32_t destination_port;
    const char *reason;
    unsigned denied_at; /**< enum bl_denied_at */
    uint32_t code;
    unsigned action; /**< enum bl_action */
    const char *listing;
    const char *listing_source;
    const char *dataplane;
    uint32_t worker;
    uint64_t weight;
    uint32_t class_id;
};

/** ListRejectsResponse. */
struct bl_rejects_page {
    uint64_t instance;
    uint64_t next;
    uint64_t n_lost;
    bool more;
    struct bl_rejects_line *lines;
    size_t n_lines;
    void *message;
};

struct bl_top_entry {
    const char *prefix;
    const char *source;
    uint64_t n_events;
    uint64_t error;
    int64_t last_ms;
};

/** GetTopResponse. */
struct bl_top {
    uint64_t n_events;
    uint32_t n_counted;
    int64_t since_ms;
    struct bl_top_entry *entries;
    size_t n_entries;
    void *message;
};

/** @return 0 with *out owned by the caller (free), or BL_ENOMEM. */
int bl_client_codec_encode_rejects(const struct bl_rejects_request *request, uint8_t **out, size_t *length,
                                   struct bl_error_detail *detail);
int bl_client_codec_encode_top(bool listings, uint32_t limit, uint8_t **out, size_t *length,
                               struct bl_error_detail *detail);

/** @return 0, BL_EINVAL, BL_ETOOBIG or BL_ENOMEM; on failure *out owns nothing. */
int bl_client_codec_decode_rejects(const uint8_t *data, size_t length, struct bl_rejects_page *out,
                                   struct bl_error_detail *detail);
int bl_client_codec_decode_top(const uint8_t *data, size_t length, struct bl_top *out, struct bl_error_detail *detail);

void bl_client_codec_free_rejects(struct bl_rejects_page *page);
void bl_client_codec_free_top(struct bl_top *top);

#endif
