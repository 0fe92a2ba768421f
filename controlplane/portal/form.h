/** @file form.h
 * Fields of a query or of a form's body (application/x-www-form-urlencoded), from anybody.
 *
 * Called by site.c. Strict: a bad percent sign, a control character (CR, LF, NUL and all others below 0x20, and 0x7f), a
 * repeated name or more than BL_FORM_FIELDS_MAX fields refuse the whole; so does text that is not UTF-8. Line breaks
 * and tabs are let through only where the caller says so (a pasted bounce), as spaces. Pure; any thread. */
#ifndef BL_FORM_H
#define BL_FORM_H

#include <stdbool.h>
#include <stddef.h>

#include "bounceline/error.h"

enum { BL_FORM_FIELDS_MAX = 16, BL_FORM_BYTES_MAX = 16 << 10 };

struct bl_form_field {
    const char *name;
    const char *value;
};

struct bl_form {
    char text[BL_FORM_BYTES_MAX + 1]; /**< the fields' bytes, decoded in place */
    struct bl_form_field fields[BL_FORM_FIELDS_MAX];
    size_t n_fields;
};

/** Decodes. @param spacious the field whose line breaks become spaces, or NULL.
 * @return 0, BL_EINVAL or BL_ETOOBIG; on failure @p out has no field. */
int bl_form_decode(const char *text, size_t length, const char *spacious, struct bl_form *out);

/** The value, or "". */
const char *bl_form_get(const struct bl_form *form, const char *name);

#endif
