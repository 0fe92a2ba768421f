/* See secret.h. */
#include "controlplane/portal/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { MINUTE_MS = 60000, ANSWER_MAX = 20, SOURCE_MAX = 64 };

int bl_secret_random(uint8_t *out, size_t length)
{
    return getrandom(out, length, 0) == (ssize_t)length ? BL_OK : BL_EIO;
}

/* A file that stands is whole: it gets its name last. */
static int make_key(const char *path, struct bl_error_detail *detail)
{
    uint8_t key[BL_SECRET_KEY_BYTES];
    char temporary[4096];
    int fd;
    bool written;

    (void)snprintf(temporary, sizeof(temporary), "%s.new", path);
    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return bl_error_set(detail, BL_EIO, "%s: %s", temporary, strerror(errno));
    written = bl_secret_random(key, sizeof(key)) == BL_OK && write(fd, key, sizeof(key)) == (ssize_t)sizeof(key) &&
              fsync(fd) == 0;
    if (close(fd) != 0 || !written || rename(temporary, path) != 0)
        return bl_error_set(detail, BL_EIO, "%s: can't be written: %s", path, strerror(errno));
    return BL_OK;
}

int bl_secret_open(struct bl_secret *secret, const char *path, struct bl_error_detail *detail)
{
    uint8_t bytes[BL_SECRET_KEY_BYTES + 1];
    ssize_t length;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT) {
        int error = make_key(path, detail);

        if (error != BL_OK)
            return error;
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0)
        return bl_error_set(detail, BL_EIO, "%s: %s", path, strerror(errno));
    length = read(fd, bytes, sizeof(bytes));
    (void)close(fd);
    if (length != BL_SECRET_KEY_BYTES)
        return bl_error_set(detail, BL_EINVAL, "%s: found %zd bytes, expected %d", path, length, BL_SECRET_KEY_BYTES);
    memcpy(secret->key, bytes, sizeof(secret->key));
    return BL_OK;
}

static void put_hex(const uint8_t *bytes, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

/* The first byte tells the purposes apart. */
static void mac(const struct bl_secret *secret, char purpose, const void *data, size_t length,
                uint8_t out[BL_SECRET_HASH_BYTES])
{
    uint8_t text[512];
    unsigned n = 0;

    if (length > sizeof(text) - 1)
        length = sizeof(text) - 1;
    text[0] = (uint8_t)purpose;
    memcpy(text + 1, data, length);
    /* Fails on no memory only, which must not become a known key. */
    if (HMAC(EVP_sha256(), secret->key, sizeof(secret->key), text, length + 1, out, &n) == NULL)
        abort();
}

void bl_secret_make_token(const struct bl_secret *secret, const uint8_t nonce[BL_SECRET_NONCE_BYTES], char *out)
{
    uint8_t hash[BL_SECRET_HASH_BYTES];

    mac(secret, 'L', nonce, BL_SECRET_NONCE_BYTES, hash);
    put_hex(hash, BL_SECRET_TOKEN_CHARS / 2, out);
}

bool bl_secret_hash_token(const char *token, uint8_t out[BL_SECRET_HASH_BYTES])
{
    if (strlen(token) != BL_SECRET_TOKEN_CHARS || strspn(token, "0123456789abcdef") != BL_SECRET_TOKEN_CHARS)
        return false;
    return EVP_Digest(token, BL_SECRET_TOKEN_CHARS, out, NULL, EVP_sha256(), NULL) == 1;
}

int bl_secret_make_link(const struct bl_secret *secret, uint8_t nonce[BL_SECRET_NONCE_BYTES],
                        uint8_t hash[BL_SECRET_HASH_BYTES])
{
    char token[BL_SECRET_TOKEN_CHARS + 1];

    if (bl_secret_random(nonce, BL_SECRET_NONCE_BYTES) != BL_OK)
        return BL_EIO;
    bl_secret_make_token(secret, nonce, token);
    return bl_secret_hash_token(token, hash) ? BL_OK : BL_EIO;
}

static void make_form_of(const struct bl_secret *secret, const char *source, uint32_t minute, char *out)
{
    uint8_t hash[BL_SECRET_HASH_BYTES];
    char text[8 + SOURCE_MAX + 1];

    (void)snprintf(text, sizeof(text), "%08x%s", minute, source);
    mac(secret, 'F', text, strlen(text), hash);
    memcpy(out, text, 8);
    put_hex(hash, 16, out + 8);
}

void bl_secret_make_form(const struct bl_secret *secret, const char *source, int64_t now_ms, char *out)
{
    make_form_of(secret, source, (uint32_t)(now_ms / MINUTE_MS), out);
}

bool bl_secret_verify_form(const struct bl_secret *secret, const char *source, int64_t now_ms, const char *form)
{
    char right[BL_SECRET_FORM_CHARS + 1];
    char digits[9] = "";
    uint32_t minute;
    uint32_t age;

    if (strlen(form) != BL_SECRET_FORM_CHARS || strspn(form, "0123456789abcdef") != BL_SECRET_FORM_CHARS)
        return false;
    memcpy(digits, form, 8);
    minute = (uint32_t)strtoul(digits, NULL, 16);
    age = (uint32_t)(now_ms / MINUTE_MS) - minute;
    make_form_of(secret, source, minute, right);
    return CRYPTO_memcmp(form, right, BL_SECRET_FORM_CHARS) == 0 && age <= BL_SECRET_FORM_MINUTES;
}

bool bl_secret_verify_work(const char *form, const char *answer, unsigned bits)
{
    uint8_t hash[BL_SECRET_HASH_BYTES];
    char text[BL_SECRET_FORM_CHARS + 1 + ANSWER_MAX + 1];
    size_t length = strlen(answer);

    if (bits == 0 || length == 0 || length > ANSWER_MAX || strspn(answer, "0123456789") != length)
        return false;
    (void)snprintf(text, sizeof(text), "%.40s:%s", form, answer);
    if (EVP_Digest(text, strlen(text), hash, NULL, EVP_sha256(), NULL) != 1)
        return false;
    for (unsigned i = 0; i < bits; i++) {
        if ((hash[i / 8] >> (7 - i % 8) & 1) != 0)
            return false;
    }
    return true;
}

void bl_secret_hash_name(const struct bl_secret *secret, const char *name, char out[17])
{
    uint8_t hash[BL_SECRET_HASH_BYTES];

    mac(secret, 'N', name, strlen(name), hash);
    put_hex(hash, 8, out);
}

void bl_secret_name_person(const struct bl_secret *secret, enum bl_audit audit, const char *email,
                           char out[BL_CLAIM_EMAIL_MAX + 1])
{
    char mailbox[BL_CLAIM_EMAIL_MAX + 1];

    if (audit == BL_AUDIT_CLEAR) {
        (void)snprintf(out, BL_CLAIM_EMAIL_MAX + 1, "%s", email);
        return;
    }
    bl_claim_email_fold(email, mailbox);
    out[0] = '#';
    bl_secret_hash_name(secret, mailbox, out + 1);
}
