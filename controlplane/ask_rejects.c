/* ListRejects and GetTop; see ask_rejects.h. */
#include "controlplane/ask_rejects.h"

#include <stdlib.h>

/* Up to 10000 rejects of some 300 bytes: on the heap, for the length of the call. */
int bl_ask_rejects_list(struct bl_rejects *rejects, uint8_t ipv6_unit, const uint8_t *data, size_t length,
                        struct bl_codec_bytes *response, struct bl_error_detail *detail)
{
    struct bl_codec_rejects_request request;
    struct bl_reject_answer answer;
    struct bl_reject *found;
    int error = bl_codec_rejects_decode_list(data, length, ipv6_unit, &request, detail);

    if (error != BL_OK)
        return error;
    found = malloc(request.limit * sizeof(*found));
    if (found == NULL)
        return BL_ENOMEM;
    /* A cursor of another run points nowhere: as if it had none. */
    if (request.instance != bl_rejects_instance(rejects))
        request.query.after = 0;
    bl_rejects_find(rejects, &request.query, found, request.limit, &answer);
    error = bl_codec_rejects_encode_list(bl_rejects_instance(rejects), found, &answer, response);
    free(found);
    return error;
}

int bl_ask_rejects_top(struct bl_rejects *rejects, const uint8_t *data, size_t length, struct bl_codec_bytes *response,
                       struct bl_error_detail *detail)
{
    struct bl_rejects_total total;
    struct bl_rejects_item *items;
    enum bl_rejects_top kind;
    uint32_t limit;
    size_t n;
    int error = bl_codec_rejects_decode_top(data, length, &kind, &limit, detail);

    if (error != BL_OK)
        return error;
    items = calloc(limit, sizeof(*items));
    if (items == NULL)
        return BL_ENOMEM;
    n = bl_rejects_top(rejects, kind, items, limit, &total);
    error = bl_codec_rejects_encode_top(kind, items, n, &total, response);
    free(items);
    return error;
}
