/** @file smtp.h
 * The lines of one segment to the lines of its answer (called by reject.c). Knows SMTP, not TCP.
 *
 * The answer depends on the lines alone: any command, in any order, in any split, ends in the 550. Nothing of the
 * peer's bytes is ever copied into an answer. Pure. Threads: any. Cost: fast path. Source: RFC 5321, RFC 3463. */
#ifndef BL_SMTP_H
#define BL_SMTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounceline/class.h"
#include "bounceline/verdict.h"

/** What is the same for every line of one segment. */
struct bl_smtp_script {
    const char *hostname;         /**< borrowed */
    const struct bl_class *class; /**< borrowed: code and URL */
    const char *address;          /**< borrowed: the source's text, for [address] and {address}; NULL: not made yet */
    const char *ticket;           /**< borrowed: for {ticket}; "" when there is no key */
    uint8_t stage;                /**< enum bl_stage */
    uint8_t starttls;             /**< enum bl_starttls */
};

struct bl_smtp_answer {
    size_t consumed; /**< bytes of input answered: ends at a line's end, or is everything */
    size_t written;  /**< bytes of the answer */
    bool bounced;    /**< the 550 is in it */
    uint8_t denied;  /**< enum bl_denied_at: the command that got the first 550 */
    bool quit;       /**< QUIT was answered: close */
    bool partial;    /**< the rest, without a line's end, was consumed without an answer */
    bool nameless;   /**< a line earned the 550, and the script has no address: answer anew with one */
};

/** Writes "220 <name> ESMTP". @return bytes written, 0 when @p room is too small. */
size_t bl_smtp_greet(const struct bl_smtp_script *script, char *out, size_t room);

/** Writes the 550 line. @return bytes written, 0 when @p room is too small. */
size_t bl_smtp_deny(const struct bl_smtp_script *script, char *out, size_t room);

/** Answers whole lines of @p input in order for as long as the answers fit in @p room. Most segments earn no 550, and need
 * no address: without one this ends at the first that does. */
void bl_smtp_answer(const struct bl_smtp_script *script, const uint8_t *input, size_t length, char *out, size_t room,
                    struct bl_smtp_answer *answer);

#endif
