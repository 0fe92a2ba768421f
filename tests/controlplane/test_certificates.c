/* Certificates, CRLs and their names, made with the library itself: what is loaded, what is refused, who is whom. */
#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "controlplane/certificates.h"

enum { HOUR_S = 3600, PEM_MAX = 8192 };

static char directory[] = "/tmp/bounceline-test-certificates-XXXXXX";
static char paths[4][80]; /* certificate, key, CA, CRL */
static EVP_PKEY *ca_key;
static EVP_PKEY *key;
static X509 *ca;
static X509 *own;
static struct bl_error_detail detail;

static EVP_PKEY *make_key(void)
{
    EVP_PKEY *made = EVP_EC_gen("P-256");

    ck_assert_ptr_nonnull(made);
    return made;
}

static void add_extension(X509 *certificate, X509 *issuer, int kind, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;

    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    ck_assert_ptr_nonnull(extension);
    ck_assert_int_eq(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

/* Valid from @p from_s to @p to_s, counted from now; without a CA yet, it is one and signs itself. */
static X509 *make_certificate(long serial, const char *name, const char *san, long from_s, long to_s)
{
    X509 *made = X509_new();
    bool is_ca = ca == NULL;

    ck_assert_int_eq(X509_set_version(made, X509_VERSION_3), 1);
    ASN1_INTEGER_set(X509_get_serialNumber(made), serial);
    X509_gmtime_adj(X509_getm_notBefore(made), from_s);
    X509_gmtime_adj(X509_getm_notAfter(made), to_s);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(made, X509_get_subject_name(is_ca ? made : ca));
    X509_set_pubkey(made, is_ca ? ca_key : key);
    if (is_ca)
        add_extension(made, made, NID_basic_constraints, "critical,CA:TRUE");
    if (san != NULL)
        add_extension(made, ca, NID_subject_alt_name, san);
    ck_assert_int_gt(X509_sign(made, ca_key, EVP_sha256()), 0);
    return made;
}

static X509_CRL *make_crl(EVP_PKEY *signer, long from_s, long to_s, long revoked)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *when = X509_gmtime_adj(NULL, from_s);

    ck_assert_int_eq(X509_CRL_set_version(crl, X509_CRL_VERSION_2), 1);
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca));
    X509_CRL_set1_lastUpdate(crl, when);
    if (revoked != 0) {
        X509_REVOKED *entry = X509_REVOKED_new();
        ASN1_INTEGER *serial = ASN1_INTEGER_new();

        ASN1_INTEGER_set(serial, revoked);
        X509_REVOKED_set_serialNumber(entry, serial);
        X509_REVOKED_set_revocationDate(entry, when);
        X509_CRL_add0_revoked(crl, entry);
        ASN1_INTEGER_free(serial);
    }
    ASN1_TIME_free(when);
    when = X509_gmtime_adj(NULL, to_s);
    X509_CRL_set1_nextUpdate(crl, when);
    ASN1_TIME_free(when);
    ck_assert_int_gt(X509_CRL_sign(crl, signer, EVP_sha256()), 0);
    return crl;
}

static FILE *create(int which)
{
    FILE *out = fopen(paths[which], "we");

    ck_assert_ptr_nonnull(out);
    ck_assert_int_eq(chmod(paths[which], 0600), 0);
    return out;
}

static void write_text(int which, const char *text)
{
    FILE *out = create(which);

    (void)fputs(text, out);
    ck_assert_int_eq(fclose(out), 0);
}

static void write_certificate(int which, X509 *certificate)
{
    FILE *out = create(which);

    PEM_write_X509(out, certificate);
    ck_assert_int_eq(fclose(out), 0);
}

static void write_key(EVP_PKEY *written)
{
    FILE *out = create(1);

    PEM_write_PrivateKey(out, written, NULL, NULL, 0, NULL, NULL);
    ck_assert_int_eq(fclose(out), 0);
}

/* Takes @p crl. */
static void write_crl(X509_CRL *crl)
{
    FILE *out = create(3);

    PEM_write_X509_CRL(out, crl);
    ck_assert_int_eq(fclose(out), 0);
    X509_CRL_free(crl);
}

static void setup(void)
{
    static const char *const names[] = {"own.pem", "own.key", "ca.pem", "crl.pem"};

    strcpy(directory + sizeof(directory) - 7, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    for (int i = 0; i < 4; i++)
        (void)snprintf(paths[i], sizeof(paths[i]), "%s/%s", directory, names[i]);
    ca = NULL;
    ca_key = make_key();
    key = make_key();
    ca = make_certificate(1, "CA", NULL, -HOUR_S, HOUR_S);
    own = make_certificate(2, "own", "DNS:localhost", -HOUR_S, HOUR_S);
    write_certificate(0, own);
    write_key(key);
    write_certificate(2, ca);
    write_crl(make_crl(ca_key, -HOUR_S, HOUR_S, 0));
}

static void teardown(void)
{
    for (int i = 0; i < 4; i++)
        (void)unlink(paths[i]);
    ck_assert_int_eq(rmdir(directory), 0);
    X509_free(ca);
    X509_free(own);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(key);
}

static int load(struct bl_certificates **out)
{
    const struct bl_certificates_files files = {paths[0], paths[1], paths[2], paths[3]};

    detail.text[0] = '\0';
    return bl_certificates_load(out, &files, &detail);
}

static void refused(int which, const char *expected)
{
    struct bl_certificates *certificates;
    int error = load(&certificates);

    ck_assert_msg(error != BL_OK, "loaded, expected '%s'", expected);
    ck_assert_msg(strstr(detail.text, paths[which]) != NULL && strstr(detail.text, expected) != NULL,
                  "said '%s', expected %s and '%s'", detail.text, paths[which], expected);
}

/* Shows it as gRPC does. Takes @p certificate. */
static int verify(const struct bl_certificates *certificates, X509 *certificate, struct bl_certificates_names *names)
{
    char text[PEM_MAX];
    BIO *out = BIO_new(BIO_s_mem());
    int length;

    ck_assert_int_eq(PEM_write_bio_X509(out, certificate), 1);
    length = BIO_read(out, text, sizeof(text));
    ck_assert_int_gt(length, 0);
    BIO_free(out);
    X509_free(certificate);
    detail.text[0] = '\0';
    return bl_certificates_verify(certificates, &(struct bl_certificates_shown){text, (size_t)length, "", 0}, names,
                                  &detail);
}

START_TEST(what_is_whole_is_loaded)
{
    struct bl_certificates *certificates;

    ck_assert_msg(load(&certificates) == BL_OK, "%s", detail.text);
    ck_assert_ptr_nonnull(strstr(bl_certificates_key_pem(certificates), "PRIVATE KEY"));
    bl_certificates_free(certificates);
}
END_TEST

START_TEST(own_files_that_are_refused)
{
    EVP_PKEY *another = make_key();
    X509 *other;

    write_key(another);
    EVP_PKEY_free(another);
    refused(1, "is not the key of");
    write_key(key);
    ck_assert_int_eq(chmod(paths[1], 0644), 0);
    refused(1, "its mode is 0644");
    write_text(1, "no key\n");
    refused(1, "expected a private key");
    write_key(key);
    other = make_certificate(3, "own", NULL, -2 * HOUR_S, -HOUR_S);
    write_certificate(0, other);
    X509_free(other);
    refused(0, "has expired");
    other = make_certificate(3, "own", NULL, HOUR_S, 2 * HOUR_S);
    write_certificate(0, other);
    X509_free(other);
    refused(0, "is not valid yet");
    write_text(0, "");
    refused(0, "expected a certificate");
    (void)unlink(paths[0]);
    refused(0, "No such file");
    write_certificate(0, own);
    write_certificate(2, own);
    refused(2, "is not a CA's");
    write_text(2, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    refused(2, "certificate 1: expected a CA's certificate");
}
END_TEST

START_TEST(crls_that_are_refused)
{
    write_crl(make_crl(ca_key, -2 * HOUR_S, -HOUR_S, 0));
    refused(3, "the CRL has expired");
    write_crl(make_crl(ca_key, HOUR_S, 2 * HOUR_S, 0));
    refused(3, "the CRL is not valid yet");
    write_crl(make_crl(key, -HOUR_S, HOUR_S, 0)); /* with the CA's name, but not by it */
    refused(3, "CRL 1 is not signed by a CA of ours");
    write_text(3, "");
    refused(3, "expected a CRL");
    (void)unlink(paths[3]);
    refused(3, "No such file");
}
END_TEST

/* A second CA without one: of its clients nobody would know. */
START_TEST(every_ca_has_a_crl)
{
    X509 *first = ca;
    EVP_PKEY *first_key = ca_key;
    FILE *out;

    ca = NULL;
    ca_key = make_key();
    ca = make_certificate(9, "Second CA", NULL, -HOUR_S, HOUR_S);
    out = fopen(paths[2], "ae");
    ck_assert_ptr_nonnull(out);
    PEM_write_X509(out, ca);
    ck_assert_int_eq(fclose(out), 0);
    refused(3, "holds no CRL of the CA /CN=Second CA");
    X509_free(ca);
    EVP_PKEY_free(ca_key);
    ca = first;
    ca_key = first_key;
}
END_TEST

START_TEST(who_is_verified)
{
    struct bl_certificates *certificates;
    struct bl_certificates_names names;
    EVP_PKEY *right = ca_key;

    write_crl(make_crl(ca_key, -HOUR_S, HOUR_S, 66));
    ck_assert_int_eq(load(&certificates), BL_OK);
    ck_assert_int_eq(verify(certificates, make_certificate(65, "x", "DNS:a.example", -HOUR_S, HOUR_S), &names), BL_OK);
    ck_assert_int_eq(verify(certificates, make_certificate(66, "x", "DNS:a.example", -HOUR_S, HOUR_S), &names),
                     BL_EPERM);
    ck_assert_ptr_nonnull(strstr(detail.text, "certificate revoked"));
    ck_assert_int_eq(verify(certificates, make_certificate(65, "x", NULL, -HOUR_S, -1), &names), BL_EPERM);
    ck_assert_ptr_nonnull(strstr(detail.text, "certificate has expired"));
    ck_assert_int_eq(verify(certificates, make_certificate(65, "x", NULL, HOUR_S, 2 * HOUR_S), &names), BL_EPERM);
    ck_assert_ptr_nonnull(strstr(detail.text, "not yet valid"));
    ca_key = key; /* in the CA's name, by another hand */
    ck_assert_int_eq(verify(certificates, make_certificate(65, "x", NULL, -HOUR_S, HOUR_S), &names), BL_EPERM);
    ca_key = right;
    ck_assert_int_eq(
        bl_certificates_verify(certificates, &(struct bl_certificates_shown){"junk", 4, "", 0}, &names, &detail),
        BL_EINVAL);
    bl_certificates_free(certificates);
}
END_TEST

START_TEST(names_of_a_certificate)
{
    struct bl_certificates *certificates;
    struct bl_certificates_names names;
    char long_name[400] = "URI:";

    ck_assert_int_eq(load(&certificates), BL_OK);
    ck_assert_int_eq(
        verify(certificates,
               make_certificate(5, "x", "email:a@example.net,DNS:Feed.Example,URI:spiffe://Example/a,IP:192.0.2.1",
                                -HOUR_S, HOUR_S),
               &names),
        BL_OK);
    ck_assert_uint_eq(names.n, 2);
    ck_assert_str_eq(names.name[0], "DNS:feed.example");
    ck_assert_str_eq(names.name[1], "URI:spiffe://Example/a");
    ck_assert_int_gt(names.until_s, time(NULL) + HOUR_S - 60);
    ck_assert_int_lt(names.until_s, time(NULL) + HOUR_S + 60);
    /* Longer than a setting can be, or with a space: nobody's. */
    memset(long_name + 4, 'a', 300);
    ck_assert_int_eq(verify(certificates, make_certificate(5, "x", long_name, -HOUR_S, HOUR_S), &names), BL_OK);
    ck_assert_uint_eq(names.n, 0);
    ck_assert_int_eq(verify(certificates, make_certificate(5, "x", "DNS:a b", -HOUR_S, HOUR_S), &names), BL_OK);
    ck_assert_uint_eq(names.n, 0);
    ck_assert_int_eq(verify(certificates, make_certificate(5, "x", NULL, -HOUR_S, HOUR_S), &names), BL_OK);
    ck_assert_uint_eq(names.n, 0);
    bl_certificates_free(certificates);
}
END_TEST

/* Runs in a process of its own, as every test here: it is for the whole process. */
START_TEST(only_tls13)
{
    SSL_CTX *context;

    ck_assert_int_eq(bl_certificates_require_tls13(&detail), BL_OK);
    context = SSL_CTX_new(TLS_method());
    ck_assert_int_eq(SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION), 1); /* as gRPC does */
    ck_assert_uint_ne(SSL_CTX_get_options(context) & SSL_OP_NO_TLSv1_2, 0);
    ck_assert_uint_eq(SSL_CTX_get_options(context) & SSL_OP_NO_TLSv1_3, 0);
    SSL_CTX_free(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("certificates");
    TCase *tcase = tcase_create("certificates");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, what_is_whole_is_loaded);
    tcase_add_test(tcase, own_files_that_are_refused);
    tcase_add_test(tcase, crls_that_are_refused);
    tcase_add_test(tcase, every_ca_has_a_crl);
    tcase_add_test(tcase, who_is_verified);
    tcase_add_test(tcase, names_of_a_certificate);
    tcase_add_test(tcase, only_tls13);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
