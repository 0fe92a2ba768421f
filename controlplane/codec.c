/* Encoding, as all codecs do it; see codec.h. */
#include "controlplane/codec.h"

#include <stdlib.h>

#include <protobuf-c/protobuf-c.h>

#include "bounceline/error.h"

int bl_codec_pack(const struct ProtobufCMessage *message, size_t n_headroom, struct bl_codec_bytes *out)
{
    size_t length = n_headroom + protobuf_c_message_get_packed_size(message);
    uint8_t *data = malloc(length == 0 ? 1 : length);

    if (data == NULL)
        return BL_ENOMEM;
    (void)protobuf_c_message_pack(message, data + n_headroom);
    *out = (struct bl_codec_bytes){data, length};
    return BL_OK;
}

void bl_codec_bytes_fini(struct bl_codec_bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct bl_codec_bytes){NULL, 0};
}
