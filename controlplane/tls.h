/** @file tls.h
 * TCP with mutual TLS 1.3 for gRPC: the listener's credentials, and who a call's certificate says it is (ingest → tls).
 *
 * gRPC asks for the certificates at each handshake, and ingest asks for the caller at each call, each pushed batch and
 * each second of a stream: so a reload changes what counts without a connection being dropped, and a certificate that
 * was revoked, or whose name has no actor any more, ends there. Certificates are certificates.h's.
 *
 * A reload takes of the configuration the four files and the actors with a `san`, new ones too; it is taken whole or
 * not at all. An actor keeps its number, the key of its limits, by its name. Threads: identify and gRPC's questions by
 * any; the rest by the main thread. */
#ifndef BL_TLS_H
#define BL_TLS_H

#include <stdbool.h>

#include <grpc/grpc.h>

#include "bounceline/settings.h"
#include "controlplane/batch.h"
#include "controlplane/limits.h"

struct bl_tls;

/** What a call was told last: while nothing was reloaded since, and until the certificate's end, it is still so. Zeroed
 * to begin with. */
struct bl_tls_seen {
    uint64_t generation;
    int64_t until_s;
};

/** Reads the certificates. @p settings and @p limits are borrowed for the object's life. @return 0, BL_ENOMEM, or
 * BL_EINVAL, BL_EIO, BL_ENOENT with the file. */
int bl_tls_create(struct bl_tls **out, const struct bl_settings_controlplane *settings, struct bl_limits *limits,
                  struct bl_error_detail *detail);
/** After the gRPC server's end. */
void bl_tls_free(struct bl_tls *tls);

/** Opens the address for @p server, before that starts. @return 0, or BL_EIO naming the address. */
int bl_tls_listen(struct bl_tls *tls, grpc_server *server, struct bl_error_detail *detail);

/** Takes over what @p settings say now; on an error all stays as it was. */
int bl_tls_reload(struct bl_tls *tls, const struct bl_settings_controlplane *settings, struct bl_error_detail *detail);

/** Who makes @p call? The strings live as long as @p tls. @return 0; BL_EAUTH: no certificate, or none with a name;
 * BL_EPERM: revoked or otherwise not valid any more, or of an unknown name, which @p detail says. */
int bl_tls_identify(struct bl_tls *tls, grpc_call *call, struct bl_tls_seen *seen, struct bl_actor *actor,
                    struct bl_error_detail *detail);

#endif
