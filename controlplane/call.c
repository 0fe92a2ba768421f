/* Operations on one call at the gRPC core; see call.h. */
#include "controlplane/call.h"

#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer_reader.h>
#include <grpc/support/alloc.h>

#include "controlplane/push.h"
#include "controlplane/stream.h"

/* The tags point back to the call: an event finds it without a table. */
int bl_call_create(struct bl_call **out, struct bl_ingest *ingest)
{
    struct bl_call *call = calloc(1, sizeof(*call));

    if (call == NULL)
        return BL_ENOMEM;
    call->ingest = ingest;
    atomic_init(&call->n_references, 1);
    grpc_call_details_init(&call->details);
    grpc_metadata_array_init(&call->metadata);
    call->arrived = (struct bl_call_tag){call, BL_CALL_ARRIVED};
    call->received = (struct bl_call_tag){call, BL_CALL_RECEIVED};
    call->started = (struct bl_call_tag){call, BL_CALL_STARTED};
    call->sent = (struct bl_call_tag){call, BL_CALL_SENT};
    call->answered = (struct bl_call_tag){call, BL_CALL_ANSWERED};
    call->closed = (struct bl_call_tag){call, BL_CALL_CLOSED};
    *out = call;
    return BL_OK;
}

void bl_call_hold(struct bl_call *call)
{
    (void)atomic_fetch_add_explicit(&call->n_references, 1, memory_order_relaxed);
}

void bl_call_release(struct bl_call *call)
{
    /* Release pairs with the acquire of whoever comes last and frees. */
    if (atomic_fetch_sub_explicit(&call->n_references, 1, memory_order_acq_rel) != 1)
        return;
    bl_push_free(call->push);
    bl_stream_free(call->stream);
    bl_codec_client_request_fini(&call->job.request);
    bl_codec_bytes_fini(&call->job.answer);
    if (call->message != NULL)
        grpc_byte_buffer_destroy(call->message);
    grpc_metadata_array_destroy(&call->metadata);
    grpc_call_details_destroy(&call->details);
    if (call->call != NULL)
        grpc_call_unref(call->call);
    free(call);
}

/* Starts @ops with a reference for their event. The core refuses only what is against its rules. */
static void start(struct bl_call *call, const grpc_op *ops, size_t n, struct bl_call_tag *tag)
{
    bl_call_hold(call);
    if (grpc_call_start_batch(call->call, ops, n, tag, NULL) != GRPC_CALL_OK)
        abort();
}

void bl_call_watch(struct bl_call *call)
{
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};

    op.data.recv_close_on_server.cancelled = &call->cancelled;
    start(call, &op, 1, &call->closed);
}

void bl_call_receive(struct bl_call *call)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};

    if (call->message != NULL)
        grpc_byte_buffer_destroy(call->message);
    call->message = NULL;
    op.data.recv_message.recv_message = &call->message;
    start(call, &op, 1, &call->received);
}

/* The core keeps a message in the pieces it came in; the decoder wants one. */
int bl_call_message(struct bl_call *call, grpc_slice *out)
{
    grpc_byte_buffer_reader reader;

    if (call->message == NULL || !grpc_byte_buffer_reader_init(&reader, call->message))
        return BL_EINVAL;
    *out = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    return BL_OK;
}

/* The response was allocated by our codec and is given to the core without a copy. */
static void free_response(void *data)
{
    free(data);
}

void bl_call_answer(struct bl_call *call, struct bl_codec_bytes *response)
{
    grpc_slice slice = grpc_slice_new(response->data, response->length, free_response);
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_op ops[3] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA}, {.op = GRPC_OP_SEND_MESSAGE}, {.op = GRPC_OP_SEND_STATUS_FROM_SERVER}};

    *response = (struct bl_codec_bytes){NULL, 0};
    ops[1].data.send_message.send_message = buffer;
    ops[2].data.send_status_from_server.status = GRPC_STATUS_OK;
    start(call, ops, 3, &call->answered);
    /* The core has references of its own. */
    grpc_byte_buffer_destroy(buffer);
    grpc_slice_unref(slice);
}

void bl_call_start(struct bl_call *call)
{
    const grpc_op op = {.op = GRPC_OP_SEND_INITIAL_METADATA};

    start(call, &op, 1, &call->started);
}

void bl_call_send(struct bl_call *call, struct bl_codec_bytes *response)
{
    grpc_slice slice = grpc_slice_new(response->data, response->length, free_response);
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};

    *response = (struct bl_codec_bytes){NULL, 0};
    op.data.send_message.send_message = buffer;
    start(call, &op, 1, &call->sent);
    grpc_byte_buffer_destroy(buffer);
    grpc_slice_unref(slice);
}

void bl_call_finish(struct bl_call *call, grpc_status_code status, const char *text)
{
    grpc_slice details = grpc_slice_from_copied_string(text);
    grpc_op op = {.op = GRPC_OP_SEND_STATUS_FROM_SERVER};

    call->status = (int)status;
    op.data.send_status_from_server.status = status;
    op.data.send_status_from_server.status_details = &details;
    start(call, &op, 1, &call->answered);
    grpc_slice_unref(details);
}

void bl_call_drop(struct bl_call *call, grpc_status_code status, const char *text)
{
    (void)grpc_call_cancel_with_status(call->call, status, text, NULL);
}

void bl_call_refuse(struct bl_call *call, grpc_status_code status, const char *text)
{
    grpc_slice details = grpc_slice_from_copied_string(text);
    grpc_op ops[2] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}, {.op = GRPC_OP_SEND_STATUS_FROM_SERVER}};

    call->status = (int)status;
    ops[1].data.send_status_from_server.status = status;
    ops[1].data.send_status_from_server.status_details = &details;
    start(call, ops, 2, &call->answered);
    grpc_slice_unref(details);
}

/* Clients act on these: UNAVAILABLE and RESOURCE_EXHAUSTED are worth another try, the others are not. */
grpc_status_code bl_call_status(int error)
{
    switch (error) {
    case BL_OK:
        return GRPC_STATUS_OK;
    case BL_EINVAL:
    case BL_ERANGE:
        return GRPC_STATUS_INVALID_ARGUMENT;
    case BL_ENOENT:
        return GRPC_STATUS_NOT_FOUND;
    case BL_EPERM:
        return GRPC_STATUS_PERMISSION_DENIED;
    case BL_EAUTH:
        return GRPC_STATUS_UNAUTHENTICATED;
    case BL_ECONFLICT:
        return GRPC_STATUS_ALREADY_EXISTS;
    case BL_EORDER:
        return GRPC_STATUS_ABORTED;
    case BL_ETOOBIG:
    case BL_EFULL:
    case BL_ENOMEM:
        return GRPC_STATUS_RESOURCE_EXHAUSTED;
    case BL_ECLOSED:
        return GRPC_STATUS_UNAVAILABLE;
    default:
        return GRPC_STATUS_INTERNAL;
    }
}

void bl_call_refuse_error(struct bl_call *call, int error, const char *text)
{
    bl_call_refuse(call, bl_call_status(error), text[0] == '\0' ? bl_error_text(error) : text);
}
