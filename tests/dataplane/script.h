/** @file script.h
 * The language of tests/scripts (README.md there tells it): lines of a file, and what a line says of a frame.
 * Read by script.c, played by run_scripts.c against the pure library. tests/lib/scripts.py reads the same files and
 * shares nothing with this. */
#ifndef BL_TEST_SCRIPT_H
#define BL_TEST_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/frames.h"

enum {
    SCRIPT_LINES_MAX = 400,
    SCRIPT_WORD_MAX = 512,
    SCRIPT_TEXTS_MAX = 8,
    SCRIPT_TEXT_MAX = 2048,
    SCRIPT_PAYLOAD_MAX = 60000,
};

/** A line with the lines that go on with it (they begin with a space), without comments. */
struct script_line {
    unsigned number;
    char *text;
};

struct script_text {
    char name[32];
    char value[SCRIPT_TEXT_MAX]; /* {address} and {ticket} are filled in */
};

struct script {
    const char *path;
    char *bytes; /* owned: the file; the lines' texts lie in it */
    struct script_line lines[SCRIPT_LINES_MAX];
    unsigned n_lines;
    const char *address; /* what {address} becomes */
    const char *ticket;  /* and {ticket} */
    struct script_text texts[SCRIPT_TEXTS_MAX];
    unsigned n_texts;
};

/** A sequence number: counted from its side's first, or `next` and something, or raw. */
struct script_number {
    bool said;
    bool next;
    bool raw;
    int64_t value;
};

enum script_fragment { SCRIPT_WHOLE, SCRIPT_FIRST, SCRIPT_MIDDLE, SCRIPT_LAST };

/** What a `>`, `<` or `>>` line says. */
struct script_frame {
    uint8_t flags;
    struct script_number sequence;
    struct script_number acknowledgement;
    int window; /* -1: not said */
    int mss;    /* of an answer; 0: no options */
    int epoch;  /* 0: the cookie of now, -1: of 1024 s ago */
    unsigned n_tags;
    uint16_t tag_types[FRAME_TAGS_MAX];
    uint16_t tag_numbers[FRAME_TAGS_MAX];
    uint8_t options[40]; /* of TCP */
    unsigned options_bytes;
    unsigned ip_options_bytes;
    unsigned n_extensions;
    uint8_t extensions[FRAME_EXTENSIONS_MAX];
    unsigned extension_bytes; /* each; 0: 8 */
    enum script_fragment fragment;
    bool bad_ip_sum;
    bool bad_tcp_sum;
    unsigned pad_bytes;
    unsigned cut_bytes;
    int protocol;  /* -1: TCP */
    int ethertype; /* -1: the family's */
    char from[64]; /* addresses; empty: the client's, the server's */
    char to[64];
    int source_port; /* -1: not said */
    int destination_port;
    char source_mac[18];
    char destination_mac[18];
    size_t payload_bytes;
    uint8_t payload[SCRIPT_PAYLOAD_MAX];
};

/** Ends the program, with file and line, when the file can't be read. @return its first wrong thing otherwise. */
void script_open(struct script *script, const char *path);
void script_close(struct script *script);

/** Takes the next word off *at: up to a space, or a whole "string" with its quotes. @return false at the line's end. */
bool script_word(const char **at, char out[SCRIPT_WORD_MAX]);

/** `text: NAME "..."`, the part behind the colon. @return false when it can't be read. */
bool script_add_text(struct script *script, const char *at);

/** Reads the part behind `>`, `<` or `>>`. @return what is wrong with it, or NULL. */
const char *script_read_frame(const struct script *script, const char *at, struct script_frame *frame);

/** The frame in the language's own words: flags, numbers, window, MSS, tags, payload. */
void script_write_frame(const struct script_frame *frame, char *out, size_t room);

#endif
