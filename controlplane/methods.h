/** @file methods.h
 * The methods by their paths, and those with one answer: Apply, Lookup, GetStatus, ListRejects, GetTop, health's Check
 * (ingest → methods → writer, publish, the list state). Apply is answered later, by the writer's thread or publish's; all
 * others on the spot. Threads: any. */
#ifndef BL_METHODS_H
#define BL_METHODS_H

#include "controlplane/call.h"

/** @return false: there is no such method. */
bool bl_methods_find(const grpc_slice *path, enum bl_authorize_method *method);

/** Serves the request of a call with one answer. @return 0: it is answered, or will be; or the error to refuse it with. */
int bl_methods_handle(struct bl_call *call, const uint8_t *data, size_t length, struct bl_error_detail *detail);

#endif
