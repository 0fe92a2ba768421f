/** @file list_file.h
 * A list as text: a prefix or an address a line; `#` and `;` begin a comment, also behind a prefix; empty lines, CRLF,
 * spaces around and a byte order mark are fine. Anything else makes the line bad: a range or a second column that was
 * ignored could list what nobody meant.
 *
 * Called by import.c, which reads the bytes and sends the prefixes. Owns its entries. Pure but for the heap; threads:
 * one. Memory: 24 bytes an entry, whatever the lines' lengths. */
#ifndef BL_LIST_FILE_H
#define BL_LIST_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounceline/address.h"

enum {
    BL_LIST_FILE_BAD_SHOWN = 20,        /**< bad lines kept with their cause; the rest is counted */
    BL_LIST_FILE_CONTENT_MAX = 127,     /**< longest content of a line without its comment */
    BL_LIST_FILE_ENTRIES_MAX = 1 << 24, /**< two times what one message can carry */
};

struct bl_list_file_entry {
    struct bl_prefix prefix;
    bool bare_ipv6; /**< an IPv6 address without a length: its length is the server's to say */
    uint32_t line;
};

struct bl_list_file_bad {
    uint32_t line;
    struct bl_error_detail cause;
};

struct bl_list_file {
    struct bl_list_file_entry *entries; /**< owned; after finish sorted by prefix, IPv4 first, no prefix twice */
    size_t n_entries;
    size_t capacity;
    uint32_t n_lines;
    uint64_t n_bad;
    uint64_t n_duplicates; /**< known after finish */
    bool has_bare_ipv6;
    struct bl_list_file_bad bad[BL_LIST_FILE_BAD_SHOWN];
    char content[BL_LIST_FILE_CONTENT_MAX + 1]; /**< of the line that is being read */
    size_t content_length;
    bool too_long;
    bool has_nul;
    bool in_comment;
    bool line_begun;
};

void bl_list_file_init(struct bl_list_file *file);
void bl_list_file_fini(struct bl_list_file *file);

/** Reads the next bytes; they may end anywhere in a line.
 * @return 0, BL_ENOMEM, or BL_ETOOBIG: more entries or lines than one import takes. Bad lines are no error here: they
 * are counted in n_bad. */
int bl_list_file_feed(struct bl_list_file *file, const char *data, size_t length, struct bl_error_detail *detail);

/** The end of the input: a last line without LF counts. @return as bl_list_file_feed. */
int bl_list_file_end(struct bl_list_file *file, struct bl_error_detail *detail);

/** Gives IPv6 addresses without a length the length @p ipv6_unit, sorts, and drops duplicates (the first line of each
 * prefix stays). Once, after end. */
void bl_list_file_finish(struct bl_list_file *file, uint8_t ipv6_unit);

#endif
