/** @file list_file.h
 * A file that holds a list, in any of the formats that list_format.h names: bytes in, sorted prefixes out. A line that
 * can't be meant makes the whole file bad: what was ignored could list what nobody meant, or free what somebody did.
 *
 * Called by import.c, which reads the bytes and sends the prefixes; calls the format's functions. Owns its entries. Pure
 * but for the heap; threads: one. Memory: 28 bytes an entry, whatever the lines' lengths; of a JSON document the document
 * and at most BL_LIST_FILE_JSON_BYTES_MAX while it is read. */
#ifndef BL_LIST_FILE_H
#define BL_LIST_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounceline/address.h"

enum {
    BL_LIST_FILE_BAD_SHOWN = 20,           /**< bad lines kept with their cause; the rest is counted */
    BL_LIST_FILE_CONTENT_MAX = 127,        /**< longest content of a plain line without its comment */
    BL_LIST_FILE_LINE_MAX = 4095,          /**< of formats with more than an address a line */
    BL_LIST_FILE_COMMENT_MAX = 127,        /**< more of a comment is not looked at */
    BL_LIST_FILE_HEAD_MAX = 16 << 10,      /**< what a format is detected from */
    BL_LIST_FILE_ENTRIES_MAX = 1 << 24,    /**< two times what one message can carry */
    BL_LIST_FILE_DOCUMENT_MAX = 64 << 20,  /**< a JSON document */
    BL_LIST_FILE_JSON_BYTES_MAX = 1 << 30, /**< what its parser may take; 3 bytes can cost it 250 */
};

struct bl_list_format;

struct bl_list_file_entry {
    struct bl_prefix prefix;
    bool bare_ipv6 : 1; /**< an IPv6 address without a length: its length is the server's to say */
    bool excluded : 1;  /**< a hole in what the file lists; none is left after finish */
    uint32_t line;
    uint32_t expires_at_s; /**< 0: the file does not say */
};

struct bl_list_file_bad {
    uint32_t line;
    struct bl_error_detail cause;
};

/** What a format remembers between lines. */
struct bl_list_file_facts {
    uint64_t n_expected;   /**< entries, where the file says how many */
    uint64_t n_taken;      /**< entries and records so far, as the file counts them */
    int64_t valid_until_s; /**< 0: it does not say */
    char name[64];         /**< of the one set in the file */
    uint8_t columns[8];    /**< where each column of a CSV stands, from 1; 0: it is not there */
    uint8_t length_min;    /**< wider ones are refused; 0: not said */
    bool has_expected;
    bool has_begun; /**< a header or a set's beginning was seen */
};

struct bl_list_file {
    const struct bl_list_format *format; /**< may be set after init; NULL: detected */
    int64_t now_s;                       /**< may be set after init: for durations and expiry; 0: not checked */
    bool mask_host_bits;                 /**< may be set after init: cut them; else they make the line bad */
    bool allow_stale;                    /**< may be set after init: also what says that it is out of date */

    struct bl_list_file_entry *entries; /**< owned; after finish sorted by prefix, IPv4 first, no prefix twice */
    size_t n_entries;
    size_t capacity;
    uint32_t n_lines; /**< of a JSON document its elements */
    uint64_t n_bad;
    uint64_t n_duplicates; /**< known after finish, as the next two */
    uint64_t n_overlaps;   /**< prefixes within another one of the file */
    uint64_t n_excluded;   /**< exclusions that were carved out */
    uint64_t n_masked;     /**< prefixes that lost host bits */
    uint64_t n_skipped;    /**< entries that are no ban of an address: countries, captchas, what has ended */
    bool has_bare_ipv6;
    bool has_expiries;
    struct bl_list_file_bad bad[BL_LIST_FILE_BAD_SHOWN];

    struct bl_list_file_facts facts;
    char content[BL_LIST_FILE_LINE_MAX + 1]; /**< of the line that is being read */
    size_t content_length;
    char comment[BL_LIST_FILE_COMMENT_MAX + 1];
    size_t comment_length;
    bool too_long;
    bool has_nul;
    bool in_comment;
    bool line_begun;
    char *document; /**< owned; the head until the format is known, then a JSON document */
    size_t document_length;
    size_t document_capacity;
};

void bl_list_file_init(struct bl_list_file *file);
void bl_list_file_fini(struct bl_list_file *file);

/** Reads the next bytes; they may end anywhere in a line.
 * @return 0, BL_ENOMEM, or BL_ETOOBIG: more entries, lines or document than one import takes. Bad lines are no error
 * here: they are counted in n_bad. */
int bl_list_file_feed(struct bl_list_file *file, const char *data, size_t length, struct bl_error_detail *detail);

/** The end of the input: a last line without LF counts, and what holds for the whole file is checked: that it is all
 * there, and not out of date. @return as bl_list_file_feed. */
int bl_list_file_end(struct bl_list_file *file, struct bl_error_detail *detail);

/** Gives IPv6 addresses without a length the length @p ipv6_unit, sorts, drops duplicates (the first line of each prefix
 * stays) and carves the exclusions out. Once, after end. @return 0 or BL_ENOMEM. */
int bl_list_file_finish(struct bl_list_file *file, uint8_t ipv6_unit);

#endif
