/* See form.h. Decoding never makes text longer, so that it is done where the text lies. */
#include "controlplane/portal/form.h"

#include <string.h>

#include "bounceline/utf8.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Decodes *text in place. @return false: a bad escape. *length is the decoded one: NULs are still to be seen. */
static bool unescape(char *text, size_t *length)
{
    size_t to = 0;

    for (size_t from = 0; from < *length; from++) {
        char c = text[from];

        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            int high = from + 2 < *length ? hex_value(text[from + 1]) : -1;
            int low = high >= 0 ? hex_value(text[from + 2]) : -1;

            if (low < 0)
                return false;
            c = (char)(high * 16 + low);
            from += 2;
        }
        text[to++] = c;
    }
    *length = to;
    return true;
}

static bool clean(char *text, size_t length, bool spacious)
{
    for (size_t i = 0; i < length; i++) {
        if (spacious && (text[i] == '\r' || text[i] == '\n' || text[i] == '\t'))
            text[i] = ' ';
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    }
    for (size_t at = 0, n; at < length; at += n) {
        uint32_t code;

        n = bl_utf8_decode(text + at, length - at, &code);
        if (n == 0 || (code >= 0x80 && code < 0xa0))
            return false;
    }
    return true;
}

/* One "name=value" of @p length bytes; the byte behind it is free for a NUL. */
static bool take_field(struct bl_form *form, char *text, size_t length, const char *spacious)
{
    char *equals = memchr(text, '=', length);
    size_t name_length = equals == NULL ? length : (size_t)(equals - text);
    char *value = equals == NULL ? text + length : equals + 1;
    size_t value_length = equals == NULL ? 0 : length - name_length - 1;

    if (form->n_fields == BL_FORM_FIELDS_MAX || !unescape(text, &name_length) || !unescape(value, &value_length) ||
        !clean(text, name_length, false))
        return false;
    text[name_length] = '\0';
    if (!clean(value, value_length, spacious != NULL && strcmp(text, spacious) == 0))
        return false;
    value[value_length] = '\0';
    for (size_t i = 0; i < form->n_fields; i++) {
        if (strcmp(form->fields[i].name, text) == 0)
            return false;
    }
    form->fields[form->n_fields++] = (struct bl_form_field){text, value};
    return true;
}

int bl_form_decode(const char *text, size_t length, const char *spacious, struct bl_form *out)
{
    size_t at = 0;

    out->n_fields = 0;
    if (length > BL_FORM_BYTES_MAX)
        return BL_ETOOBIG;
    memcpy(out->text, text, length);
    out->text[length] = '\0';
    while (at < length) {
        char *end = memchr(out->text + at, '&', length - at);
        size_t part = end == NULL ? length - at : (size_t)(end - out->text) - at;

        if (part > 0 && !take_field(out, out->text + at, part, spacious)) {
            out->n_fields = 0;
            return BL_EINVAL;
        }
        at += part + 1;
    }
    return BL_OK;
}

const char *bl_form_get(const struct bl_form *form, const char *name)
{
    for (size_t i = 0; i < form->n_fields; i++) {
        if (strcmp(form->fields[i].name, name) == 0)
            return form->fields[i].value;
    }
    return "";
}
