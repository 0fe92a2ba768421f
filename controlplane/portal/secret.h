/** @file secret.h
 * The portal's key and what is made of it: the tokens in links, the form's token, the proof of work, hashed names.
 *
 *   link token = the first 16 bytes of HMAC-SHA-256(key, "link", nonce), as 32 hexadecimal digits
 *   form token = minute (8 digits), then the first 16 bytes of HMAC-SHA-256(key, "form", minute, source), as 32 digits
 *
 * The store holds a link's random nonce and its token's SHA-256: who reads the store alone can make no link, and yet a
 * restart can write the same mail again. The form token is stateless: it shows that the form was fetched from here, from
 * the same source, at most BL_SECRET_FORM_MINUTES ago. The key is a file of 32 bytes, made at the first start (0600).
 * Comparisons take the same time whatever the text. Threads: any. */
#ifndef BL_SECRET_H
#define BL_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounceline/error.h"
#include "bounceline/settings.h"
#include "controlplane/portal/claim.h"

enum {
    BL_SECRET_KEY_BYTES = 32,
    BL_SECRET_NONCE_BYTES = 16,
    BL_SECRET_HASH_BYTES = 32,
    BL_SECRET_TOKEN_CHARS = 32,
    BL_SECRET_FORM_CHARS = 40,
    BL_SECRET_FORM_MINUTES = 120,
};

struct bl_secret {
    uint8_t key[BL_SECRET_KEY_BYTES];
};

/** Reads @p path, or makes it. @return 0, BL_EIO or BL_EINVAL (not 32 bytes). */
int bl_secret_open(struct bl_secret *secret, const char *path, struct bl_error_detail *detail);

/** Random bytes from the kernel. @return 0 or BL_EIO. */
int bl_secret_random(uint8_t *out, size_t length);

/** @p out takes BL_SECRET_TOKEN_CHARS + 1 bytes. */
void bl_secret_make_token(const struct bl_secret *secret, const uint8_t nonce[BL_SECRET_NONCE_BYTES], char *out);

/** The hash that the store finds a token by. @return false: it does not look like a token. */
bool bl_secret_hash_token(const char *token, uint8_t out[BL_SECRET_HASH_BYTES]);

/** A new link: its nonce, and what the store finds it by. @return 0 or BL_EIO. */
int bl_secret_make_link(const struct bl_secret *secret, uint8_t nonce[BL_SECRET_NONCE_BYTES],
                        uint8_t hash[BL_SECRET_HASH_BYTES]);

/** @p out takes BL_SECRET_FORM_CHARS + 1 bytes. */
void bl_secret_make_form(const struct bl_secret *secret, const char *source, int64_t now_ms, char *out);
bool bl_secret_verify_form(const struct bl_secret *secret, const char *source, int64_t now_ms, const char *form);

/** True when SHA-256 of "FORM:ANSWER" begins with @p bits zero bits; of no bits nothing is true. */
bool bl_secret_verify_work(const char *form, const char *answer, unsigned bits);

/** A keyed hash of a name, 16 hexadecimal digits: the same name can be followed, and not be read. */
void bl_secret_hash_name(const struct bl_secret *secret, const char *name, char out[17]);

/** Who asked, as logs and the operator's view name him: # and the hash of his mailbox, or his mail address. */
void bl_secret_name_person(const struct bl_secret *secret, enum bl_audit audit, const char *email,
                           char out[BL_CLAIM_EMAIL_MAX + 1]);

#endif
