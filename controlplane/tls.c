/* Generations of certificates and names, and gRPC's questions about them; see tls.h. */
#include "controlplane/tls.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <grpc/grpc_security.h>
#include <grpc/support/log.h>

#include "controlplane/certificates.h"
#include "controlplane/clock.h"
#include "controlplane/notice.h"

/* The actors of one configuration that certificates may be. Kept until the end: what callers borrowed of it may still be
 * with the writer. An actor is 600 bytes. */
struct names {
    struct names *older;
    uint32_t n;
    struct {
        struct bl_settings_actor actor;
        uint32_t number;
    } all[];
};

struct bl_tls {
    const struct bl_settings_controlplane *settings; /* of the start */
    struct bl_limits *limits;
    uint32_t n_numbers;                         /* main thread: how many actors have one */
    char added[BL_SETTINGS_ACTORS_MAX + 1][64]; /* main thread: names behind those of the start, by their number */
    pthread_rwlock_t lock;                      /* of the rest */
    struct bl_certificates *certificates;
    struct names *names;
    uint64_t generation;
    uint64_t given; /* the generation that gRPC has */
};

static struct bl_certificates_files files_of(const struct bl_settings_controlplane *settings)
{
    return (struct bl_certificates_files){settings->tls_certificate_file, settings->tls_key_file,
                                          settings->tls_client_ca_file, settings->tls_crl_file};
}

/* A number is found by the name, given if the name is new. @return 0: there are no more. */
static uint32_t number_of(struct bl_tls *tls, const char *name)
{
    for (uint32_t i = 1; i <= tls->n_numbers; i++)
        if (strcmp(i <= tls->settings->n_actors ? tls->settings->actors[i - 1].name : tls->added[i], name) == 0)
            return i;
    if (tls->n_numbers == BL_SETTINGS_ACTORS_MAX)
        return 0;
    memcpy(tls->added[++tls->n_numbers], name, strlen(name) + 1);
    return tls->n_numbers;
}

static int collect_names(struct bl_tls *tls, const struct bl_settings_controlplane *settings, struct names **out,
                         struct bl_error_detail *detail)
{
    struct names *names = calloc(1, sizeof(*names) + settings->n_actors * sizeof(names->all[0]));

    if (names == NULL)
        return bl_error_set(detail, BL_ENOMEM, "out of memory");
    for (uint32_t i = 0; i < settings->n_actors; i++) {
        if (settings->actors[i].san[0] == '\0')
            continue;
        names->all[names->n].actor = settings->actors[i];
        names->all[names->n].number = number_of(tls, settings->actors[i].name);
        if (names->all[names->n].number == 0) {
            free(names);
            return bl_error_set(detail, BL_EFULL,
                                "controlplane.actors: %s: more than %d names since the start: expected a restart",
                                settings->actors[i].name, BL_SETTINGS_ACTORS_MAX);
        }
        names->n++;
    }
    *out = names;
    return BL_OK;
}

/* Both are good: from now on they count. */
static void take_over(struct bl_tls *tls, struct bl_certificates *certificates, struct names *names)
{
    struct bl_certificates *old = tls->certificates;

    for (uint32_t i = 0; i < names->n; i++)
        bl_limits_change(tls->limits, names->all[i].number, &names->all[i].actor);
    (void)pthread_rwlock_wrlock(&tls->lock);
    tls->certificates = certificates;
    names->older = tls->names;
    tls->names = names;
    tls->generation++;
    (void)pthread_rwlock_unlock(&tls->lock);
    bl_certificates_free(old);
}

int bl_tls_reload(struct bl_tls *tls, const struct bl_settings_controlplane *settings, struct bl_error_detail *detail)
{
    const struct bl_certificates_files files = files_of(settings);
    struct bl_certificates *certificates = NULL;
    struct names *names = NULL;
    int error = bl_certificates_load(&certificates, &files, detail);

    if (error == BL_OK)
        error = collect_names(tls, settings, &names, detail);
    if (error == BL_OK)
        take_over(tls, certificates, names);
    else
        bl_certificates_free(certificates);
    return error;
}

/* gRPC tells of failed handshakes in its log only. Anybody can make them fail: one line a second at most, the next says
 * how many there were. */
static void tell(gpr_log_func_args *arguments)
{
    static struct bl_notice_limit limit;
    const char *cause = strstr(arguments->message, "error:");
    unsigned n;

    if (arguments->severity < GPR_LOG_SEVERITY_ERROR || !bl_notice_may(&limit, bl_clock_monotonic_ms(), &n))
        return;
    if (strstr(arguments->message, "andshake") != NULL)
        bl_notice_write("TLS handshakes failed: %u, the last: %.200s", n, cause != NULL ? cause : arguments->message);
    else
        bl_notice_write("gRPC: %u messages, the last: %.200s", n, arguments->message);
}

int bl_tls_create(struct bl_tls **out, const struct bl_settings_controlplane *settings, struct bl_limits *limits,
                  struct bl_error_detail *detail)
{
    struct bl_tls *tls = calloc(1, sizeof(*tls));
    int error;

    if (tls == NULL)
        return bl_error_set(detail, BL_ENOMEM, "out of memory");
    tls->settings = settings;
    tls->limits = limits;
    tls->n_numbers = settings->n_actors;
    (void)pthread_rwlock_init(&tls->lock, NULL);
    error = bl_certificates_require_tls13(detail);
    if (error == BL_OK)
        error = bl_tls_reload(tls, settings, detail);
    if (error != BL_OK) {
        bl_tls_free(tls);
        return error;
    }
    gpr_set_log_function(tell);
    *out = tls;
    return BL_OK;
}

void bl_tls_free(struct bl_tls *tls)
{
    struct names *older;

    if (tls == NULL)
        return;
    bl_certificates_free(tls->certificates);
    for (struct names *names = tls->names; names != NULL; names = older) {
        older = names->older;
        free(names);
    }
    (void)pthread_rwlock_destroy(&tls->lock);
    free(tls);
}

/* gRPC asks at each handshake, one at a time, and keeps what it got. */
static grpc_ssl_certificate_config_reload_status give_certificates(void *context,
                                                                   grpc_ssl_server_certificate_config **config)
{
    struct bl_tls *tls = context;
    grpc_ssl_certificate_config_reload_status status = GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;

    (void)pthread_rwlock_wrlock(&tls->lock);
    if (tls->given != tls->generation) {
        const grpc_ssl_pem_key_cert_pair pair = {bl_certificates_key_pem(tls->certificates),
                                                 bl_certificates_chain_pem(tls->certificates)};

        *config = grpc_ssl_server_certificate_config_create(bl_certificates_ca_pem(tls->certificates), &pair, 1);
        tls->given = tls->generation;
        status = GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
    }
    (void)pthread_rwlock_unlock(&tls->lock);
    return status;
}

int bl_tls_listen(struct bl_tls *tls, grpc_server *server, struct bl_error_detail *detail)
{
    grpc_server_credentials *credentials =
        grpc_ssl_server_credentials_create_with_options(grpc_ssl_server_credentials_create_options_using_config_fetcher(
            GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY, give_certificates, tls));
    int port = grpc_server_add_http2_port(server, tls->settings->tls_listen, credentials);

    grpc_server_credentials_release(credentials);
    if (port != 0)
        return BL_OK;
    return bl_error_set(detail, BL_EIO,
                        "controlplane.tls_listen: can't listen on %s: expected an address of this host and a free port "
                        "that its user may open",
                        tls->settings->tls_listen);
}

/* The texts are the context's. */
static struct bl_certificates_shown shown_by(const grpc_auth_context *context)
{
    struct bl_certificates_shown shown = {"", 0, "", 0};
    grpc_auth_property_iterator leaf =
        grpc_auth_context_find_properties_by_name(context, GRPC_X509_PEM_CERT_PROPERTY_NAME);
    grpc_auth_property_iterator chain =
        grpc_auth_context_find_properties_by_name(context, GRPC_X509_PEM_CERT_CHAIN_PROPERTY_NAME);
    const grpc_auth_property *property = grpc_auth_property_iterator_next(&leaf);

    if (property != NULL) {
        shown.leaf = property->value;
        shown.leaf_length = property->value_length;
    }
    property = grpc_auth_property_iterator_next(&chain);
    if (property != NULL) {
        shown.chain = property->value;
        shown.chain_length = property->value_length;
    }
    return shown;
}

/* The first actor that has one of the certificate's names. */
static int find_actor_locked(const struct names *names, const struct bl_certificates_names *carried,
                             struct bl_actor *actor, struct bl_error_detail *detail)
{
    for (uint32_t i = 0; i < names->n; i++) {
        const struct bl_settings_actor *found = &names->all[i].actor;

        for (size_t j = 0; j < carried->n; j++) {
            if (strcmp(carried->name[j], found->san) != 0)
                continue;
            *actor = (struct bl_actor){found->name, found->role, found->source, names->all[i].number};
            return BL_OK;
        }
    }
    if (carried->n == 0)
        return bl_error_set(detail, BL_EAUTH, "the client's certificate carries no name of DNS or URI");
    return bl_error_set(detail, BL_EPERM, "%s is not an actor: expected one of controlplane.actors", carried->name[0]);
}

static int identify_locked(struct bl_tls *tls, grpc_call *call, struct bl_tls_seen *seen, struct bl_actor *actor,
                           struct bl_error_detail *detail)
{
    grpc_auth_context *context = grpc_call_auth_context(call);
    struct bl_certificates_names carried;
    struct bl_certificates_shown shown;
    int error;

    if (context == NULL)
        return bl_error_set(detail, BL_EAUTH, "the client shows no certificate");
    shown = shown_by(context);
    if (shown.leaf_length == 0)
        error = bl_error_set(detail, BL_EAUTH, "the client shows no certificate");
    else
        error = bl_certificates_verify(tls->certificates, &shown, &carried, detail);
    grpc_auth_context_release(context);
    if (error == BL_OK)
        error = find_actor_locked(tls->names, &carried, actor, detail);
    if (error == BL_OK)
        *seen = (struct bl_tls_seen){tls->generation, carried.until_s};
    return error;
}

int bl_tls_identify(struct bl_tls *tls, grpc_call *call, struct bl_tls_seen *seen, struct bl_actor *actor,
                    struct bl_error_detail *detail)
{
    int error = BL_OK;

    (void)pthread_rwlock_rdlock(&tls->lock);
    if (seen->generation != tls->generation || time(NULL) >= seen->until_s)
        error = identify_locked(tls, call, seen, actor, detail);
    (void)pthread_rwlock_unlock(&tls->lock);
    return error;
}
