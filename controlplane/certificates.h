/** @file certificates.h
 * One set of files for mutual TLS: our certificate and key, the CAs that we trust, their CRLs (tls.c and cli/client.c load
 * and hand the PEM to gRPC; tls.c verifies each call's certificate against the set of now).
 *
 * A set is read and checked whole or not at all: a key that is not the certificate's, a certificate out of its time, a
 * CRL that no CA signed, that is out of its time, or that a CA lacks, is refused with the file's name. What a client
 * shows is verified again here (chain, purpose, times, revocation), though gRPC did so at the handshake: a connection
 * may be older than the set. OpenSSL; no gRPC. Threads: any; a set does not change. Cost: start-up, but for verify,
 * which is some signatures' check. */
#ifndef BL_CERTIFICATES_H
#define BL_CERTIFICATES_H

#include <stddef.h>
#include <stdint.h>

#include "bounceline/error.h"

enum {
    BL_CERTIFICATES_NAMES_MAX = 16, /**< of a certificate that are looked at */
    BL_CERTIFICATES_NAME_MAX = 256, /**< with NUL; longer ones are nobody's */
};

struct bl_certificates;

struct bl_certificates_files {
    const char *certificate; /**< PEM, with the chain up to the CA */
    const char *key;         /**< PEM; others have no access to it */
    const char *ca;          /**< PEM, one or more */
    const char *crl;         /**< PEM, one for each CA; "": nothing is revoked */
};

/** The names that a certificate carries, as the configuration writes them: "DNS:..." in lower case, "URI:...". */
struct bl_certificates_names {
    char name[BL_CERTIFICATES_NAMES_MAX][BL_CERTIFICATES_NAME_MAX];
    size_t n;
    int64_t until_s; /**< UNIX time: what was verified holds no longer */
};

/** Lets OpenSSL speak TLS 1.3 only, in this whole process: gRPC has no setting for it. Before any gRPC credentials are
 * made. @return 0, or BL_EIO. */
int bl_certificates_require_tls13(struct bl_error_detail *detail);

/** Reads and checks. @return 0, BL_ENOMEM, BL_EIO or BL_EINVAL, @p detail names the file. */
int bl_certificates_load(struct bl_certificates **out, const struct bl_certificates_files *files,
                         struct bl_error_detail *detail);
void bl_certificates_free(struct bl_certificates *certificates);

/** PEM, NUL-terminated, for as long as the set lives. */
const char *bl_certificates_chain_pem(const struct bl_certificates *certificates);
const char *bl_certificates_key_pem(const struct bl_certificates *certificates);
const char *bl_certificates_ca_pem(const struct bl_certificates *certificates);

/** Texts of a peer's certificate and of those that it sent with it ("" if none). */
struct bl_certificates_shown {
    const char *leaf;
    size_t leaf_length;
    const char *chain;
    size_t chain_length;
};

/** Is it a client's certificate of one of our CAs, in its time, not revoked? A CRL that went out of its time since it
 * was loaded still counts. @return 0 with @p names, BL_EINVAL: no certificate, or BL_EPERM with the reason. */
int bl_certificates_verify(const struct bl_certificates *certificates, const struct bl_certificates_shown *shown,
                           struct bl_certificates_names *names, struct bl_error_detail *detail);

#endif
