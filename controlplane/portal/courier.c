/* See courier.h. */
#include "controlplane/portal/courier.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>

#include "controlplane/clock.h"
#include "controlplane/notice.h"
#include "controlplane/portal/bell.h"
#include "controlplane/portal/message.h"
#include "controlplane/portal/ranges.h"

enum { CONNECT_S = 10, WHOLE_S = 60, FIRST_PAUSE_MS = 5000, PAUSE_MAX_MS = 600000, IDLE_MS = 60000 };

struct bl_courier {
    struct bl_requests *requests;
    const struct bl_secret *secret;
    const struct bl_settings_portal *settings;
    CURL *curl; /* keeps the connection between mails */
    pthread_t thread;
    struct bl_bell bell;
};

/* The message as curl asks for it. */
struct parcel {
    struct bl_courier *courier;
    int64_t mail_id;
    const char *text;
    size_t length;
    size_t at;
    bool handed;
};

/* At the end curl says "." to the server: from then on the mail may be the server's, so the store must know before. */
static size_t give(char *buffer, size_t size, size_t n, void *context)
{
    struct parcel *parcel = context;
    size_t rest = parcel->length - parcel->at;
    size_t part = rest < size * n ? rest : size * n;

    memcpy(buffer, parcel->text + parcel->at, part);
    parcel->at += part;
    if (part > 0 || parcel->handed)
        return part;
    if (bl_requests_mark_mail(parcel->courier->requests, parcel->mail_id, BL_MAIL_HANDED, 0, "") != BL_OK)
        return CURL_READFUNC_ABORT;
    parcel->handed = true;
    return 0;
}

/* One attempt. @return curl's code; *reply is the server's last one, 0 for none. */
static CURLcode send_mail(struct bl_courier *courier, struct parcel *parcel, const char *to, long *reply)
{
    const struct bl_settings_portal *settings = courier->settings;
    char angled[BL_CLAIM_EMAIL_MAX + 3];
    struct curl_slist *recipients;
    CURL *curl = courier->curl;
    CURLcode code;

    (void)snprintf(angled, sizeof(angled), "<%s>", to);
    recipients = curl_slist_append(NULL, angled);
    if (recipients == NULL)
        return CURLE_OUT_OF_MEMORY;
    curl_easy_reset(curl);
    (void)curl_easy_setopt(curl, CURLOPT_URL, settings->mail_server);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)WHOLE_S);
    (void)curl_easy_setopt(curl, CURLOPT_USE_SSL, (long)CURLUSESSL_TRY);
    (void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, (long)(strncmp(settings->mail_server, "smtps", 5) == 0));
    (void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, strncmp(settings->mail_server, "smtps", 5) == 0 ? 2L : 0L);
    (void)curl_easy_setopt(curl, CURLOPT_MAIL_FROM, settings->envelope_from);
    (void)curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, recipients);
    (void)curl_easy_setopt(curl, CURLOPT_READFUNCTION, give);
    (void)curl_easy_setopt(curl, CURLOPT_READDATA, parcel);
    (void)curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    code = curl_easy_perform(curl);
    *reply = 0;
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, reply);
    curl_slist_free_all(recipients);
    return code;
}

static int64_t pause_ms(uint32_t n_attempts)
{
    int64_t pause = FIRST_PAUSE_MS;

    while (n_attempts-- > 0 && pause < PAUSE_MAX_MS)
        pause *= 3;
    return pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS;
}

/* What becomes of the mail. After the end of its data only a server's own word that it refuses makes it ours again. */
static void settle(struct bl_courier *courier, const struct bl_mail *mail, const struct parcel *parcel, CURLcode code,
                   long reply)
{
    int64_t now_ms = bl_clock_wall_ms();
    int64_t due_ms = now_ms + pause_ms(mail->n_attempts);
    enum bl_mail_state state;
    char cause[160] = "";

    if (code != CURLE_OK)
        (void)snprintf(cause, sizeof(cause), "%s; the server's last reply: %ld", curl_easy_strerror(code), reply);
    if (code == CURLE_OK)
        state = BL_MAIL_SENT;
    else if (parcel->handed && (reply < 400 || reply > 599))
        state = BL_MAIL_UNSURE;
    else if (reply >= 500 && reply <= 599)
        state = BL_MAIL_FAILED;
    else
        state = mail->kind == BL_MAIL_LINK && due_ms >= mail->request.expires_ms ? BL_MAIL_FAILED : BL_MAIL_QUEUED;
    if (state == BL_MAIL_QUEUED && mail->n_attempts >= 30)
        state = BL_MAIL_FAILED;
    if (code != CURLE_OK)
        bl_notice_write("mail %lld: %s: %s", (long long)mail->id,
                        state == BL_MAIL_QUEUED   ? "will be tried again"
                        : state == BL_MAIL_UNSURE ? "may have been sent, is not sent again"
                                                  : "given up",
                        cause);
    (void)bl_requests_mark_mail(courier->requests, mail->id, state, due_ms, cause);
}

static void deliver(struct bl_courier *courier, struct bl_mail *mail)
{
    struct bl_control_items *items = mail->request.n_addresses > 0 ? calloc(1, sizeof(*items)) : NULL;
    struct parcel parcel = {.courier = courier, .mail_id = mail->id};
    CURLcode code = CURLE_OUT_OF_MEMORY;
    long reply = 0;
    char *text = NULL;

    mail->items = items;
    if (mail->request.n_addresses == 0 ||
        (items != NULL && bl_ranges_read(courier->requests, mail->request.id, items) == BL_OK))
        text = bl_message_make(courier->settings, courier->secret, mail, bl_clock_wall_ms(), &parcel.length);
    parcel.text = text;
    if (text != NULL)
        code = send_mail(courier, &parcel, mail->request.email, &reply);
    settle(courier, mail, &parcel, code, reply);
    free(text);
    free(items);
}

static void *run(void *context)
{
    struct bl_courier *courier = context;
    int64_t until_ms = 0;
    int64_t purge_ms = 0;

    while (bl_bell_wait(&courier->bell, until_ms)) {
        int64_t now_ms = bl_clock_wall_ms();
        struct bl_mail mail;

        if (bl_requests_next_mail(courier->requests, now_ms, &mail, &until_ms) == BL_OK) {
            deliver(courier, &mail);
            until_ms = 0;
            continue;
        }
        /* It reads the whole table: not once a mail. */
        if (now_ms >= purge_ms) {
            bl_requests_purge(courier->requests, now_ms);
            purge_ms = now_ms + IDLE_MS;
        }
        if (until_ms == 0 || until_ms > now_ms + IDLE_MS)
            until_ms = now_ms + IDLE_MS;
    }
    return NULL;
}

int bl_courier_create(struct bl_courier **out, struct bl_requests *requests, const struct bl_secret *secret,
                      const struct bl_settings_portal *settings)
{
    struct bl_courier *courier = calloc(1, sizeof(*courier));

    if (courier == NULL)
        return BL_ENOMEM;
    *courier = (struct bl_courier){.requests = requests, .secret = secret, .settings = settings};
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    courier->curl = curl_easy_init();
    bl_bell_init(&courier->bell);
    if (courier->curl == NULL || pthread_create(&courier->thread, NULL, run, courier) != 0) {
        free(courier);
        return BL_EAGAIN;
    }
    *out = courier;
    return BL_OK;
}

void bl_courier_wake(struct bl_courier *courier)
{
    bl_bell_ring(&courier->bell);
}

void bl_courier_free(struct bl_courier *courier)
{
    bl_bell_stop(&courier->bell);
    (void)pthread_join(courier->thread, NULL);
    curl_easy_cleanup(courier->curl);
    curl_global_cleanup();
    free(courier);
}
