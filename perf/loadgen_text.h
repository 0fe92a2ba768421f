/** @file loadgen_text.h
 * The words that a listed source must hear, as the documents have them, and the keyed numbers that go with them (check →
 * text). None of the product's code that makes them is used; SipHash is. Pure. Threads: any. */
#ifndef BL_PERF_LOADGEN_TEXT_H
#define BL_PERF_LOADGEN_TEXT_H

#include "perf/loadgen_frame.h"
#include "perf/loadgen_options.h"

enum { LOADGEN_TICKET_CHARS = 12 };

/** The 550 line with its CRLF. A {ticket} becomes 12 times '*'. @return its length. */
size_t loadgen_text_deny(const struct loadgen_options *options, const struct loadgen_ends *ends, uint16_t code,
                         char *out, size_t room);

/** True when the 12 characters are a ticket of the source of today (@p time_s since 1970) or yesterday; without a key, when
 * they look like one. */
bool loadgen_text_is_ticket(const struct loadgen_options *options, const struct loadgen_ends *ends, const char *text,
                            uint64_t time_s);

/** True when the number is the server's first one for these ends, in the epoch of now or one beside it. */
bool loadgen_text_is_cookie(const struct bl_siphash_key *key, const struct loadgen_ends *ends, uint32_t isn,
                            uint64_t time_s);

#endif
