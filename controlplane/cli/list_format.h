/** @file list_format.h
 * The formats of lists: one row each, its functions in list_lines.c, list_rbldnsd.c and list_json.c (list_file.c calls
 * them; they call back with what they found).
 *
 * A format's function says 0, or BL_EINVAL with the cause: then the line is bad. Other errors end the reading. */
#ifndef BL_LIST_FORMAT_H
#define BL_LIST_FORMAT_H

#include "controlplane/cli/list_file.h"

struct bl_list_format {
    const char *name;
    const char *comment;  /**< the bytes that begin one, also behind an entry; "" for none */
    uint16_t content_max; /**< longest line without its comment */
    bool is_document;     /**< there are no lines: `end` gets all of it */
    bool by_octets; /**< an exclusion holds against listings of as many whole octets, as rbldnsd's ip4set has it */
    int (*take_line)(struct bl_list_file *file, char *content, struct bl_error_detail *cause);
    void (*take_comment)(struct bl_list_file *file, const char *comment); /**< NULL: of no interest */
    int (*end)(struct bl_list_file *file, struct bl_error_detail *cause); /**< NULL: nothing to check */
};

/** Ends with a row whose name is NULL. */
extern const struct bl_list_format *const bl_list_format_table[];

/** NULL when there is no such format. */
const struct bl_list_format *bl_list_format_find(const char *name);

/** What a file is that begins with @p head; plain when nothing says otherwise. */
const struct bl_list_format *bl_list_format_detect(const char *head, size_t length);

/** What a format finds. `excluded`: a hole; expires_at_s 0: it does not say. */
struct bl_list_found {
    struct bl_prefix prefix;
    bool bare_ipv6;
    bool excluded;
    uint32_t expires_at_s;
};

/** Takes one prefix: host bits are refused or cut as the file's user chose, mapped IPv6 becomes IPv4.
 * @return 0, BL_EINVAL with the cause, BL_ETOOBIG, BL_ENOMEM. */
int bl_list_format_add(struct bl_list_file *file, const struct bl_list_found *found, struct bl_error_detail *cause);

/** Takes a range as the fewest prefixes; found->prefix is not read. */
int bl_list_format_add_range(struct bl_list_file *file, const struct bl_list_found *found,
                             const struct bl_address *first, const struct bl_address *last,
                             struct bl_error_detail *cause);

/** Takes "address", "address/length", "a-b" or "a - b"; found->prefix is not read. */
int bl_list_format_add_text(struct bl_list_file *file, const struct bl_list_found *found, char *text,
                            struct bl_error_detail *cause);

/** "4h", "3h58m38.3s", "-5m" as CrowdSec writes it, from now. @return 0, BL_EINVAL, or BL_ENOENT: it has ended. */
int bl_list_format_expiry(const struct bl_list_file *file, const char *text, uint32_t *expires_at_s,
                          struct bl_error_detail *cause);

/** The same from a number of seconds; what is not this century's is the latest that can be said. */
uint32_t bl_list_format_expiry_s(const struct bl_list_file *file, uint64_t seconds);

/** A file that says how many entries it has, or until when it is good, must be right. For `end`. */
int bl_list_format_check_whole(struct bl_list_file *file, struct bl_error_detail *cause);

/** The next word of @p *rest, cut off in place; NULL: there is none. */
char *bl_list_format_word(char **rest);

bool bl_list_format_is_space(char byte);

/** Cuts the spaces at both ends. @return the start. */
char *bl_list_format_trim(char *text);

extern const struct bl_list_format bl_list_lines_plain, bl_list_lines_columns, bl_list_lines_drop,
    bl_list_lines_firehol, bl_list_lines_dshield, bl_list_lines_crowdsec, bl_list_lines_ipset;
extern const struct bl_list_format bl_list_rbldnsd_ip4set, bl_list_rbldnsd_ip4trie, bl_list_rbldnsd_ip6trie;
extern const struct bl_list_format bl_list_json_drop, bl_list_json_crowdsec, bl_list_json_nft;

#endif
