/** @file descriptors.h
 * The .proto files as descriptors (an encoded google.protobuf.FileDescriptorSet), for server reflection; made at build
 * time (proto/embed.cmake). */
#ifndef BL_DESCRIPTORS_H
#define BL_DESCRIPTORS_H

#include <stddef.h>

extern const unsigned char bl_descriptors_set[];
extern const size_t bl_descriptors_set_bytes;

#endif
