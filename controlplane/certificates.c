/* PEM files in, a store to verify against out; see certificates.h. */
#include "controlplane/certificates.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <openssl/conf.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "bounceline/config.h"

struct bl_certificates {
    char *chain_pem;
    char *key_pem;
    char *ca_pem;
    X509_STORE *store; /* the CAs and their CRLs */
};

/* gRPC sets OpenSSL's least version itself, to 1.2; a version that is taken away stays away. The defaults of the
 * system's own file (Debian: security level 2) are replaced by ours, so they are said again. */
int bl_certificates_require_tls13(struct bl_error_detail *detail)
{
    static const char text[] = "openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = only13\n"
                               "[only13]\nProtocol = -SSLv3, -TLSv1, -TLSv1.1, -TLSv1.2\n"
                               "CipherString = DEFAULT@SECLEVEL=2\n";
    CONF *configuration = NCONF_new(NULL);
    BIO *in = BIO_new_mem_buf(text, -1);
    SSL_CTX *probe = NULL;
    bool done = false;

    /* The system's file first: what is loaded last counts. */
    if (configuration != NULL && in != NULL && OPENSSL_init_ssl(0, NULL) == 1 &&
        NCONF_load_bio(configuration, in, NULL) == 1 && CONF_modules_load(configuration, NULL, 0) == 1) {
        probe = SSL_CTX_new(TLS_method());
        done = probe != NULL && (SSL_CTX_get_options(probe) & SSL_OP_NO_TLSv1_2) != 0;
    }
    SSL_CTX_free(probe);
    NCONF_free(configuration);
    BIO_free(in);
    return done ? BL_OK : bl_error_set(detail, BL_EIO, "OpenSSL can't be told to speak TLS 1.3 only");
}

/* Nobody sits here to type one in. */
static int no_passphrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)context;
    return 0;
}

static const char *cause_text(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());

    return text == NULL ? "no such part" : text;
}

/* @return whether the file ended where an object could begin, rather than in a broken one. */
static bool at_the_end(void)
{
    unsigned long last = ERR_peek_last_error();

    return last == 0 || (ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE);
}

static int read_pem(const char *path, char **text, BIO **in, struct bl_error_detail *detail)
{
    size_t length;
    int error = bl_config_read_file(path, text, &length, detail);

    ERR_clear_error();
    if (error != BL_OK)
        return error;
    *in = BIO_new_mem_buf(*text, (int)length);
    return *in == NULL ? BL_ENOMEM : BL_OK;
}

static int check_time(const char *path, const char *what, const ASN1_TIME *begin, const ASN1_TIME *end,
                      struct bl_error_detail *detail)
{
    if (begin != NULL && X509_cmp_current_time(begin) > 0)
        return bl_error_set(detail, BL_EINVAL, "%s: the %s is not valid yet", path, what);
    if (end == NULL)
        return bl_error_set(detail, BL_EINVAL, "%s: the %s says no end of its time", path, what);
    if (X509_cmp_current_time(end) < 0)
        return bl_error_set(detail, BL_EINVAL, "%s: the %s has expired", path, what);
    return BL_OK;
}

/* The first is ours; what follows leads to the CA. */
static int load_own(struct bl_certificates *certificates, const struct bl_certificates_files *files,
                    struct bl_error_detail *detail)
{
    struct stat status;
    BIO *in = NULL;
    X509 *own = NULL;
    EVP_PKEY *key = NULL;
    int error = read_pem(files->certificate, &certificates->chain_pem, &in, detail);

    if (error == BL_OK && (own = PEM_read_bio_X509(in, NULL, no_passphrase, NULL)) == NULL)
        error =
            bl_error_set(detail, BL_EINVAL, "%s: expected a certificate in PEM: %s", files->certificate, cause_text());
    if (error == BL_OK)
        error =
            check_time(files->certificate, "certificate", X509_get0_notBefore(own), X509_get0_notAfter(own), detail);
    BIO_free(in);
    in = NULL;
    if (error == BL_OK && stat(files->key, &status) == 0 && (status.st_mode & 07) != 0)
        error = bl_error_set(detail, BL_EINVAL, "%s: its mode is %04o: expected one that shuts out others", files->key,
                             (unsigned)status.st_mode & 07777);
    if (error == BL_OK)
        error = read_pem(files->key, &certificates->key_pem, &in, detail);
    if (error == BL_OK && (key = PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL)) == NULL)
        error = bl_error_set(detail, BL_EINVAL, "%s: expected a private key in PEM, without a passphrase: %s",
                             files->key, cause_text());
    if (error == BL_OK && X509_check_private_key(own, key) != 1)
        error = bl_error_set(detail, BL_EINVAL, "%s: is not the key of %s", files->key, files->certificate);
    BIO_free(in);
    EVP_PKEY_free(key);
    X509_free(own);
    return error;
}

static int load_ca(struct bl_certificates *certificates, const char *path, struct bl_error_detail *detail)
{
    BIO *in = NULL;
    X509 *ca;
    unsigned n = 0;
    int error = read_pem(path, &certificates->ca_pem, &in, detail);

    while (error == BL_OK && (ca = PEM_read_bio_X509(in, NULL, no_passphrase, NULL)) != NULL) {
        n++;
        error = check_time(path, "CA's certificate", X509_get0_notBefore(ca), X509_get0_notAfter(ca), detail);
        if (error == BL_OK && X509_check_ca(ca) == 0)
            error = bl_error_set(detail, BL_EINVAL, "%s: certificate %u is not a CA's", path, n);
        if (error == BL_OK && X509_STORE_add_cert(certificates->store, ca) != 1)
            error = BL_ENOMEM;
        X509_free(ca);
    }
    if (error == BL_OK && (n == 0 || !at_the_end()))
        error = bl_error_set(detail, BL_EINVAL, "%s: certificate %u: expected a CA's certificate in PEM: %s", path,
                             n + 1, cause_text());
    BIO_free(in);
    return error;
}

/* A list that none of our CAs signed says nothing. */
static int check_signer(X509_STORE *store, X509_CRL *crl)
{
    STACK_OF(X509) *all = X509_STORE_get1_all_certs(store);
    int found = 0;

    for (int i = 0; i < sk_X509_num(all) && !found; i++) {
        X509 *ca = sk_X509_value(all, i);

        found = X509_NAME_cmp(X509_get_subject_name(ca), X509_CRL_get_issuer(crl)) == 0 &&
                X509_CRL_verify(crl, X509_get0_pubkey(ca)) == 1;
    }
    sk_X509_pop_free(all, X509_free);
    return found;
}

/* Every CA must have one: of another's clients nobody would know which are revoked. */
static int check_all_have_one(X509_STORE *store, STACK_OF(X509_CRL) * crls, const char *path,
                              struct bl_error_detail *detail)
{
    STACK_OF(X509) *all = X509_STORE_get1_all_certs(store);
    int error = BL_OK;

    for (int i = 0; i < sk_X509_num(all) && error == BL_OK; i++) {
        X509_NAME *name = X509_get_subject_name(sk_X509_value(all, i));
        bool found = false;
        char text[128];

        for (int j = 0; j < sk_X509_CRL_num(crls) && !found; j++)
            found = X509_NAME_cmp(name, X509_CRL_get_issuer(sk_X509_CRL_value(crls, j))) == 0;
        if (!found)
            error = bl_error_set(detail, BL_EINVAL, "%s: holds no CRL of the CA %s", path,
                                 X509_NAME_oneline(name, text, sizeof(text)));
    }
    sk_X509_pop_free(all, X509_free);
    return error;
}

static int load_crls(struct bl_certificates *certificates, const char *path, struct bl_error_detail *detail)
{
    STACK_OF(X509_CRL) *crls = sk_X509_CRL_new_null();
    BIO *in = NULL;
    X509_CRL *crl;
    char *text = NULL;
    int n = 0;
    int error = crls == NULL ? BL_ENOMEM : read_pem(path, &text, &in, detail);

    while (error == BL_OK && (crl = PEM_read_bio_X509_CRL(in, NULL, no_passphrase, NULL)) != NULL) {
        n++;
        error = check_time(path, "CRL", X509_CRL_get0_lastUpdate(crl), X509_CRL_get0_nextUpdate(crl), detail);
        if (error == BL_OK && !check_signer(certificates->store, crl))
            error = bl_error_set(detail, BL_EINVAL, "%s: CRL %d is not signed by a CA of ours", path, n);
        if (error == BL_OK && X509_STORE_add_crl(certificates->store, crl) != 1)
            error = BL_ENOMEM;
        if (error != BL_OK || sk_X509_CRL_push(crls, crl) == 0)
            X509_CRL_free(crl);
    }
    if (error == BL_OK && (n == 0 || !at_the_end()))
        error = bl_error_set(detail, BL_EINVAL, "%s: part %d: expected a CRL in PEM: %s", path, n + 1, cause_text());
    if (error == BL_OK)
        error = check_all_have_one(certificates->store, crls, path, detail);
    if (error == BL_OK)
        (void)X509_STORE_set_flags(certificates->store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    sk_X509_CRL_pop_free(crls, X509_CRL_free);
    BIO_free(in);
    free(text);
    return error;
}

int bl_certificates_load(struct bl_certificates **out, const struct bl_certificates_files *files,
                         struct bl_error_detail *detail)
{
    struct bl_certificates *certificates = calloc(1, sizeof(*certificates));
    int error = BL_OK;

    if (certificates == NULL || (certificates->store = X509_STORE_new()) == NULL)
        error = bl_error_set(detail, BL_ENOMEM, "out of memory");
    if (error == BL_OK)
        error = load_own(certificates, files, detail);
    if (error == BL_OK)
        error = load_ca(certificates, files->ca, detail);
    if (error == BL_OK && files->crl[0] != '\0')
        error = load_crls(certificates, files->crl, detail);
    ERR_clear_error();
    if (error != BL_OK)
        bl_certificates_free(certificates);
    else
        *out = certificates;
    return error;
}

void bl_certificates_free(struct bl_certificates *certificates)
{
    if (certificates == NULL)
        return;
    if (certificates->key_pem != NULL)
        OPENSSL_cleanse(certificates->key_pem, strlen(certificates->key_pem));
    free(certificates->key_pem);
    free(certificates->chain_pem);
    free(certificates->ca_pem);
    X509_STORE_free(certificates->store);
    free(certificates);
}

const char *bl_certificates_chain_pem(const struct bl_certificates *certificates)
{
    return certificates->chain_pem;
}

const char *bl_certificates_key_pem(const struct bl_certificates *certificates)
{
    return certificates->key_pem;
}

const char *bl_certificates_ca_pem(const struct bl_certificates *certificates)
{
    return certificates->ca_pem;
}

/* A list that nobody renewed is no reason to cut every feed off: it was in its time when it was loaded. */
static int tolerate_old_crl(int good, X509_STORE_CTX *context)
{
    return good || X509_STORE_CTX_get_error(context) == X509_V_ERR_CRL_HAS_EXPIRED;
}

static X509 *read_shown(const struct bl_certificates_shown *shown, STACK_OF(X509) * others)
{
    BIO *in = BIO_new_mem_buf(shown->leaf, (int)shown->leaf_length);
    X509 *leaf = in == NULL ? NULL : PEM_read_bio_X509(in, NULL, no_passphrase, NULL);
    X509 *other;

    BIO_free(in);
    in = BIO_new_mem_buf(shown->chain, (int)shown->chain_length);
    while (in != NULL && (other = PEM_read_bio_X509(in, NULL, no_passphrase, NULL)) != NULL)
        if (sk_X509_push(others, other) == 0)
            X509_free(other);
    BIO_free(in);
    ERR_clear_error();
    return leaf;
}

/* Whoever wrote the name: printable and without spaces, or it is not taken. DNS names have no case. */
static void add_name(struct bl_certificates_names *names, const char *kind, const ASN1_IA5STRING *value)
{
    const unsigned char *data = ASN1_STRING_get0_data(value);
    int length = ASN1_STRING_length(value);
    size_t kind_length = strlen(kind);
    bool fold = kind[0] == 'D';
    char *out = names->name[names->n];

    if (names->n == BL_CERTIFICATES_NAMES_MAX || length <= 0 ||
        kind_length + (size_t)length >= BL_CERTIFICATES_NAME_MAX)
        return;
    memcpy(out, kind, kind_length);
    for (int i = 0; i < length; i++) {
        if (data[i] <= ' ' || data[i] > '~')
            return;
        out[kind_length + (size_t)i] = (char)(fold ? tolower(data[i]) : data[i]);
    }
    out[kind_length + (size_t)length] = '\0';
    names->n++;
}

static void read_names(X509 *leaf, struct bl_certificates_names *names)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    struct tm end;

    names->n = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(all) && names->n < BL_CERTIFICATES_NAMES_MAX; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);

        if (name->type == GEN_DNS)
            add_name(names, "DNS:", name->d.dNSName);
        else if (name->type == GEN_URI)
            add_name(names, "URI:", name->d.uniformResourceIdentifier);
    }
    GENERAL_NAMES_free(all);
    names->until_s = ASN1_TIME_to_tm(X509_get0_notAfter(leaf), &end) == 1 ? (int64_t)timegm(&end) : 0;
}

int bl_certificates_verify(const struct bl_certificates *certificates, const struct bl_certificates_shown *shown,
                           struct bl_certificates_names *names, struct bl_error_detail *detail)
{
    STACK_OF(X509) *others = sk_X509_new_null();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    X509 *leaf = others == NULL ? NULL : read_shown(shown, others);
    int error = BL_OK;

    if (leaf == NULL || context == NULL || X509_STORE_CTX_init(context, certificates->store, leaf, others) != 1) {
        error = bl_error_set(detail, BL_EINVAL, "the client's certificate can't be read");
    } else {
        (void)X509_STORE_CTX_set_default(context, "ssl_client");
        X509_STORE_CTX_set_verify_cb(context, tolerate_old_crl);
        if (X509_verify_cert(context) != 1)
            error = bl_error_set(detail, BL_EPERM, "the client's certificate is refused: %s",
                                 X509_verify_cert_error_string(X509_STORE_CTX_get_error(context)));
        else
            read_names(leaf, names);
    }
    X509_STORE_CTX_free(context);
    X509_free(leaf);
    sk_X509_pop_free(others, X509_free);
    ERR_clear_error();
    return error;
}
