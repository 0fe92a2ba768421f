/* See message.h. RFC 5322, 2045 (6.7 quoted-printable), 2046 (5.1.4 alternative), 3834 (Auto-Submitted). */
#define _GNU_SOURCE /* open_memstream */
#include "controlplane/portal/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "controlplane/portal/words.h"

enum { QP_LINE_MAX = 75 };

/* Lines end in \n here, in CRLF there; no line is longer than 76; a dot alone is curl's to double. */
static void put_quoted_printable(const char *text, FILE *out)
{
    unsigned column = 0;

    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        bool literal = (c > 0x20 && c < 0x7f && c != '=') || (c == ' ' && text[1] != '\n' && text[1] != '\0');

        if (c == '\n') {
            (void)fputs("\r\n", out);
            column = 0;
            continue;
        }
        if (column + (literal ? 1 : 3) > QP_LINE_MAX) {
            (void)fputs("=\r\n", out);
            column = 0;
        }
        if (literal)
            (void)fputc(c, out);
        else
            (void)fprintf(out, "=%02X", c);
        column += literal ? 1 : 3;
    }
}

static void put_part(const struct bl_page *page, const char *name, FILE *out)
{
    size_t length;
    char *text = bl_page_render(page, name, &length);

    (void)fprintf(out, "Content-Type: text/%s; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",
                  page->html ? "html" : "plain");
    if (text != NULL)
        put_quoted_printable(text, out);
    free(text);
    (void)fputs("\r\n", out);
}

/* strftime's names would be the locale's; the program never leaves "C". */
static void put_date(int64_t now_ms, FILE *out)
{
    time_t now = (time_t)(now_ms / 1000);
    struct tm broken;
    char text[64] = "";

    (void)strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S +0000", gmtime_r(&now, &broken));
    (void)fprintf(out, "Date: %s\r\n", text);
}

/* The same mail has the same id however often it is tried: a receiver that knows it can tell. */
static void put_headers(const struct bl_settings_portal *settings, const struct bl_mail *mail, const char *subject,
                        int64_t now_ms, FILE *out)
{
    char id[2 * BL_SECRET_NONCE_BYTES + 1];

    for (int i = 0; i < BL_SECRET_NONCE_BYTES; i++)
        (void)snprintf(id + 2 * i, 3, "%02x", mail->request.nonce[i]);
    put_date(now_ms, out);
    (void)fprintf(out, "From: \"%s\" <%s>\r\nTo: <%s>\r\nSubject: %s\r\n", settings->operator_name, settings->mail_from,
                  mail->request.email, subject == NULL ? "" : subject);
    (void)fprintf(out, "Message-ID: <%s.%d@%s>\r\nReply-To: <%s>\r\n", id, (int)mail->kind,
                  strrchr(settings->mail_from, '@') + 1, settings->contact);
    (void)fputs("Auto-Submitted: auto-generated\r\nX-Auto-Response-Suppress: All\r\nMIME-Version: 1.0\r\n", out);
    (void)fprintf(out, "Content-Type: multipart/alternative; boundary=\"=_%s\"\r\n\r\n", id);
}

char *bl_message_make(const struct bl_settings_portal *settings, const struct bl_secret *secret,
                      const struct bl_mail *mail, int64_t now_ms, size_t *length)
{
    struct bl_words words;
    struct bl_page page = {.language = mail->request.language};
    const char *name = mail->kind == BL_MAIL_LINK ? "mail_link" : "mail_receipt";
    char id[2 * BL_SECRET_NONCE_BYTES + 1];
    char file[32];
    char *message = NULL;
    char *subject;
    FILE *out = open_memstream(&message, length);

    if (out == NULL)
        return NULL;
    bl_words_init(&words, settings);
    bl_words_add_request(&words, secret, &mail->request);
    bl_words_add(&words, "language", bl_page_language_text(page.language));
    page.values = words.values;
    page.n_values = words.n;
    subject = bl_page_render_text(&page, mail->kind == BL_MAIL_LINK ? "mail_link_subject" : "mail_receipt_subject");
    put_headers(settings, mail, subject, now_ms, out);
    free(subject);
    for (int i = 0; i < BL_SECRET_NONCE_BYTES; i++)
        (void)snprintf(id + 2 * i, 3, "%02x", mail->request.nonce[i]);
    (void)fprintf(out, "--=_%s\r\n", id);
    (void)snprintf(file, sizeof(file), "%s.txt", name);
    put_part(&page, file, out);
    (void)fprintf(out, "--=_%s\r\n", id);
    page.html = true;
    (void)snprintf(file, sizeof(file), "%s.html", name);
    put_part(&page, file, out);
    (void)fprintf(out, "--=_%s--\r\n", id);
    if (fclose(out) == 0)
        return message;
    free(message);
    return NULL;
}
