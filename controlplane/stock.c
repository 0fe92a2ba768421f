/* Health and reflection; see stock.h. */
#include "controlplane/stock.h"

#include <time.h>

#include "controlplane/codec_stock.h"

/* How long until a health watch sees that it is over. */
enum { LOOK_MS = 200 };

int bl_stock_check(const uint8_t *data, size_t length, struct bl_codec_bytes *response, struct bl_error_detail *detail)
{
    bool known = false;
    int error = bl_codec_stock_decode_health(data, length, &known, detail);

    if (error == BL_OK && !known)
        return bl_error_set(detail, BL_ENOENT, "there is no such service");
    return error == BL_OK ? bl_codec_stock_encode_health(BL_CODEC_HEALTH_SERVING, response) : error;
}

int bl_stock_watch(struct bl_stream *stream, void *context, const uint8_t *request, size_t length,
                   struct bl_error_detail *detail)
{
    static const struct timespec look = {.tv_nsec = LOOK_MS * 1000000L};
    struct bl_codec_bytes response;
    bool known = false;
    int error = bl_codec_stock_decode_health(request, length, &known, detail);

    (void)context;
    if (error == BL_OK)
        error =
            bl_codec_stock_encode_health(known ? BL_CODEC_HEALTH_SERVING : BL_CODEC_HEALTH_SERVICE_UNKNOWN, &response);
    if (error == BL_OK)
        error = bl_stream_send(stream, &response);
    while (error == BL_OK) {
        (void)nanosleep(&look, NULL);
        error = bl_stream_check(stream);
    }
    return error;
}

void bl_stock_reflect_begin(struct bl_call *call)
{
    bl_call_start(call);
    bl_call_receive(call);
}

void bl_stock_reflect_receive(struct bl_call *call)
{
    struct bl_error_detail detail = {""};
    struct bl_codec_bytes response;
    grpc_slice message;
    int error;

    if (bl_call_message(call, &message) != BL_OK) {
        bl_call_finish(call, GRPC_STATUS_OK, "");
        return;
    }
    error = bl_codec_stock_reflect(GRPC_SLICE_START_PTR(message), GRPC_SLICE_LENGTH(message), &response, &detail);
    grpc_slice_unref(message);
    if (error == BL_OK)
        bl_call_send(call, &response);
    else
        bl_call_finish(call, bl_call_status(error), detail.text);
}

void bl_stock_reflect_sent(struct bl_call *call)
{
    bl_call_receive(call);
}

void bl_stock_reflect_stop(struct bl_call *call)
{
    /* Then the message that is waited for does not come, and receive ends it: only one side ever sends. */
    (void)grpc_call_cancel_with_status(call->call, GRPC_STATUS_UNAVAILABLE, "the control plane stops", NULL);
}
