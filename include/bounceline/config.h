/** @file config.h
 * Reads a YAML file into structs, by tables: each key's type, range, unit, default and place (settings.c has the tables,
 * libyaml reads the text). Knows nothing of what a key means.
 *
 *   file: sections (mappings) → keys → a scalar, a list of scalars, or a list of mappings of scalars
 *
 * Strict on purpose: an unknown or repeated key, a value of the wrong type or out of range, a missing required key, an
 * alias, anchor, tag or second document is refused, and the cause says "file:line: section.key: what was found, what was
 * expected", with libyaml's own line. Numbers and booleans are plain, never quoted. Text is printable ASCII: it goes to
 * logs and to the wire. Limits: BL_CONFIG_FILE_BYTES_MAX, BL_CONFIG_KEYS_MAX. Threads: any; start-up. */
#ifndef BL_CONFIG_H
#define BL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounceline/error.h"

enum { BL_CONFIG_FILE_BYTES_MAX = 1 << 20, BL_CONFIG_KEYS_MAX = 64 };

enum bl_config_type {
    BL_CONFIG_BOOL,     /**< true or false; a bool */
    BL_CONFIG_INTEGER,  /**< min..max; an unsigned integer of `size` bytes */
    BL_CONFIG_DURATION, /**< min..max in `unit`; as 300, 5min, 1h; the same */
    BL_CONFIG_OCTAL,    /**< min..max; 3 or 4 octal digits; the same */
    BL_CONFIG_ENUM,     /**< one of `choices`; the same */
    BL_CONFIG_TEXT,     /**< fits into `size` bytes with its NUL, then `check` */
    BL_CONFIG_INTEGERS, /**< a list of distinct integers min..max, then `check` on the text of each */
    BL_CONFIG_ITEMS,    /**< a list of texts, each read by `parse` */
    BL_CONFIG_MAPPINGS, /**< a list of mappings as `element` says */
};

/** What a duration is kept in. */
enum bl_config_unit { BL_CONFIG_UNIT_NONE, BL_CONFIG_UNIT_MS, BL_CONFIG_UNIT_S, BL_CONFIG_UNIT_DAYS };

/** A row of a table of choices; text NULL ends the table. */
struct bl_config_choice {
    const char *text;
    uint32_t value;
};

struct bl_config_mapping;

/** One key. Offsets are from the start of the mapping's struct. */
struct bl_config_key {
    const char *name;
    enum bl_config_type type;
    bool required;       /**< there is no sane default */
    bool reload;         /**< a change takes effect without a restart */
    size_t offset;       /**< of the value, or of the first element of a list */
    size_t size;         /**< of the value, or of one element */
    const char *initial; /**< the default as the file would say it (a list: its one element); NULL: zero, "" or empty */
    uint64_t min;
    uint64_t max;
    enum bl_config_unit unit;
    const struct bl_config_choice *choices;
    /** Refuses a text: says what was found and what was expected. */
    int (*check)(const char *text, struct bl_error_detail *detail);
    int (*parse)(const char *text, void *element, struct bl_error_detail *detail);
    const struct bl_config_mapping *element;
    size_t count_offset; /**< lists: of the uint32_t that takes the number of elements */
    size_t n_elements_max;
};

/** A struct and the keys that fill it. */
struct bl_config_mapping {
    const struct bl_config_key *keys; /**< at most BL_CONFIG_KEYS_MAX */
    size_t n_keys;
    size_t size; /**< of the struct */
    /** Refuses what no single key can: element @p index against itself and those before it. Sets *key to the name of the
     * key to blame, whose line is then named. May be NULL. */
    int (*check)(const void *elements, size_t index, const char **key, struct bl_error_detail *detail);
};

struct bl_config_section {
    const char *name;
    unsigned bit;  /**< its bit in a mask of needed sections */
    size_t offset; /**< of its struct in the whole */
    struct bl_config_mapping mapping;
};

/** Writes every default into @p out (the struct that holds all sections). */
void bl_config_init(const struct bl_config_section *sections, size_t n_sections, void *out);

/** A text to read, and how to name it. */
struct bl_config_source {
    const char *name; /**< of the file, for people */
    const char *text;
    size_t length;
};

/** Writes defaults, then what @p source says, into @p out, whose content is undefined on failure.
 * @param needed the mask of sections whose required keys must be there even when the section is not
 * @return 0, BL_EINVAL, BL_ERANGE, BL_ETOOBIG or BL_ENOMEM. */
int bl_config_parse(const struct bl_config_section *sections, size_t n_sections, unsigned needed,
                    const struct bl_config_source *source, void *out, struct bl_error_detail *detail);

/** Reads a whole file, at most BL_CONFIG_FILE_BYTES_MAX. @return 0 with *text, owned by the caller (free); BL_ENOENT,
 * BL_EIO, BL_ETOOBIG or BL_ENOMEM. */
int bl_config_read_file(const char *path, char **text, size_t *length, struct bl_error_detail *detail);

#endif
