/* See page.h. The texts are read once and then only looked at, so that threads need no lock. */
#define _GNU_SOURCE /* open_memstream */
#include "controlplane/portal/page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "controlplane/portal/files.h"

enum { TEXTS_MAX = 160, NESTED_MAX = 4 };

struct text {
    const char *key;
    size_t key_length;
    const char *text;
    size_t length;
};

struct catalogue {
    struct text texts[TEXTS_MAX];
    size_t n_texts;
};

static struct catalogue catalogues[BL_LANGUAGE_COUNT];
static const char *const languages[BL_LANGUAGE_COUNT] = {"en", "nl"};

static const struct text *find_text(enum bl_language language, const char *key, size_t length)
{
    const struct catalogue *catalogue = &catalogues[language];

    for (size_t i = 0; i < catalogue->n_texts; i++) {
        if (catalogue->texts[i].key_length == length && memcmp(catalogue->texts[i].key, key, length) == 0)
            return &catalogue->texts[i];
    }
    return NULL;
}

static void read_catalogue(struct catalogue *catalogue, const char *at)
{
    catalogue->n_texts = 0;
    while (*at != '\0') {
        size_t line = strcspn(at, "\n");
        const char *equals = memchr(at, '=', line);

        if (*at != '#' && equals != NULL && equals > at + 1 && catalogue->n_texts < TEXTS_MAX)
            catalogue->texts[catalogue->n_texts++] =
                (struct text){at, (size_t)(equals - at) - 1, equals + 2, (size_t)(at + line - equals) - 2};
        at += line + (at[line] == '\n');
    }
}

int bl_page_load(char missing[64])
{
    for (int i = 0; i < BL_LANGUAGE_COUNT; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "%s.txt", languages[i]);
        read_catalogue(&catalogues[i], bl_files_find(name)->text);
    }
    for (int i = 0; i < BL_LANGUAGE_COUNT; i++) {
        const struct catalogue *catalogue = &catalogues[i];

        for (size_t k = 0; k < catalogue->n_texts; k++) {
            const struct text *text = &catalogue->texts[k];

            for (int other = 0; other < BL_LANGUAGE_COUNT; other++) {
                if (find_text((enum bl_language)other, text->key, text->key_length) != NULL)
                    continue;
                (void)snprintf(missing, 64, "%s.txt: %.*s", languages[other], (int)text->key_length, text->key);
                return -1;
            }
        }
    }
    return 0;
}

static const char *find_value(const struct bl_page *page, const char *name, size_t length)
{
    for (size_t i = 0; i < page->n_values; i++) {
        const struct bl_page_value *value = &page->values[i];

        if (strncmp(value->name, name, length) == 0 && value->name[length] == '\0')
            return value->value == NULL || value->value[0] == '\0' ? NULL : value->value;
    }
    return NULL;
}

void bl_page_put_escaped(const char *text, FILE *out)
{
    for (; *text != '\0'; text++) {
        const char *escaped = NULL;

        switch (*text) {
        case '&':
            escaped = "&amp;";
            break;
        case '<':
            escaped = "&lt;";
            break;
        case '>':
            escaped = "&gt;";
            break;
        case '"':
            escaped = "&quot;";
            break;
        case '\'':
            escaped = "&#39;";
            break;
        }
        if (escaped != NULL)
            (void)fputs(escaped, out);
        else
            (void)fputc(*text, out);
    }
}

/* Behind the section's own {{/}}. */
static const char *skip_section(const char *at, const char *end)
{
    unsigned depth = 1;

    while (at < end && depth > 0) {
        const char *open = memmem(at, (size_t)(end - at), "{{", 2);

        if (open == NULL || open + 2 >= end)
            return end;
        if (open[2] == '?' || open[2] == '^')
            depth++;
        else if (open[2] == '/')
            depth--;
        at = memmem(open, (size_t)(end - open), "}}", 2);
        at = at == NULL ? end : at + 2;
    }
    return at;
}

static void render(const struct bl_page *page, const char *at, const char *end, unsigned depth, FILE *out)
{
    while (at < end) {
        const char *open = memmem(at, (size_t)(end - at), "{{", 2);
        const char *close = open == NULL ? NULL : memmem(open, (size_t)(end - open), "}}", 2);
        const char *name;
        size_t length;

        if (close == NULL) {
            (void)fwrite(at, 1, (size_t)(end - at), out);
            return;
        }
        (void)fwrite(at, 1, (size_t)(open - at), out);
        at = close + 2;
        name = open + 2;
        length = (size_t)(close - name);
        if (*name == '@') {
            const struct text *text = find_text(page->language, name + 1, length - 1);

            if (text != NULL && depth < NESTED_MAX)
                render(page, text->text, text->text + text->length, depth + 1, out);
        } else if (*name == '?' || *name == '^') {
            if ((find_value(page, name + 1, length - 1) != NULL) != (*name == '?'))
                at = skip_section(at, end);
        } else if (*name == '!') {
            const char *value = find_value(page, name + 1, length - 1);

            (void)fputs(value == NULL ? "" : value, out);
        } else if (*name != '/') {
            const char *value = find_value(page, name, length);

            if (value != NULL && page->html)
                bl_page_put_escaped(value, out);
            else if (value != NULL)
                (void)fputs(value, out);
        }
    }
}

static char *render_all(const struct bl_page *page, const char *text, size_t text_length, size_t *length)
{
    char *rendered = NULL;
    FILE *out = open_memstream(&rendered, length);

    if (out == NULL)
        return NULL;
    render(page, text, text + text_length, 0, out);
    if (fclose(out) == 0)
        return rendered;
    free(rendered);
    return NULL;
}

char *bl_page_render(const struct bl_page *page, const char *name, size_t *length)
{
    const struct bl_files_file *file = bl_files_find(name);

    return file == NULL ? NULL : render_all(page, file->text, file->length, length);
}

char *bl_page_render_text(const struct bl_page *page, const char *key)
{
    const struct text *text = find_text(page->language, key, strlen(key));
    size_t length;

    return text == NULL ? NULL : render_all(page, text->text, text->length, &length);
}

const char *bl_page_language_text(enum bl_language language)
{
    return languages[language];
}

bool bl_page_read_language(const char *text, enum bl_language *out)
{
    for (int i = 0; i < BL_LANGUAGE_COUNT; i++) {
        if (strcmp(text, languages[i]) == 0) {
            *out = (enum bl_language)i;
            return true;
        }
    }
    return false;
}

enum bl_language bl_page_choose_language(const char *accept)
{
    enum bl_language best = BL_LANGUAGE_EN;
    double best_q = 0;

    while (accept != NULL && *accept != '\0') {
        size_t part = strcspn(accept, ",");
        const char *begin = accept + strspn(accept, " ");
        const char *q_at = memmem(accept, part, ";q=", 3);
        double q = q_at == NULL ? 1.0 : strtod(q_at + 3, NULL);

        for (int i = 0; i < BL_LANGUAGE_COUNT; i++) {
            if (strncasecmp(begin, languages[i], 2) == 0 && strchr("-,; ", begin[2]) != NULL && q > best_q) {
                best = (enum bl_language)i;
                best_q = q;
            }
        }
        accept += part + (accept[part] == ',');
    }
    return best;
}
