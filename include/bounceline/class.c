/* What a table entry means, and whether it can be said in one SMTP line; see class.h. */
#include "bounceline/class.h"

#include <string.h>

#include "bounceline/address.h"
#include "bounceline/ticket.h"

/* Everything of the 550 line but the two addresses and the URL. */
enum {
    LINE_REST_BYTES = sizeof("550 5.7.649 Access denied, banned sending IP []; To request removal from this list "
                             "please visit  and follow the directions.\r\n") -
                      1
};

/* The longest text of an address in a reply: no IPv4-mapped ones, those are IPv4. */
enum { ADDRESS_TEXT_LONGEST = sizeof("xxxx:xxxx:xxxx:xxxx:xxxx:xxxx:xxxx:xxxx") - 1 };

/* What stands in braces, and how long what takes its place can be. */
static const struct {
    const char *text;
    size_t value_bytes;
} placeholders[] = {
    {BL_CLASS_PLACEHOLDER_ADDRESS, ADDRESS_TEXT_LONGEST},
    {BL_CLASS_PLACEHOLDER_TICKET, BL_TICKET_CHARS},
};

/* @return the placeholder's bytes, *value_bytes those of its value; 0 when there is none at @at. */
static size_t measure_placeholder(const char *at, size_t *value_bytes)
{
    for (size_t i = 0; i < sizeof(placeholders) / sizeof(placeholders[0]); i++) {
        size_t length = strlen(placeholders[i].text);

        *value_bytes = placeholders[i].value_bytes;
        if (strncmp(at, placeholders[i].text, length) == 0)
            return length;
    }
    return 0;
}

/* Checks the characters, and measures the URL with everything filled in. */
static int check_url_text(const char *url, size_t *filled_bytes, struct bl_error_detail *detail)
{
    *filled_bytes = 0;
    for (const char *at = url; *at != '\0'; at++) {
        size_t value_bytes = 1;

        if (*at <= ' ' || *at > '~')
            return bl_error_set(detail, BL_EINVAL,
                                "url: byte 0x%02x at position %zu: expected printable ASCII without spaces",
                                (unsigned char)*at, (size_t)(at - url) + 1);
        if (*at == '{') {
            size_t length = measure_placeholder(at, &value_bytes);

            if (length == 0)
                return bl_error_set(detail, BL_EINVAL, "url: '{' at position %zu: expected {address} or {ticket}",
                                    (size_t)(at - url) + 1);
            at += length - 1;
        } else if (*at == '}') {
            return bl_error_set(detail, BL_EINVAL, "url: '}' at position %zu without {address} or {ticket} before it",
                                (size_t)(at - url) + 1);
        }
        *filled_bytes += value_bytes;
    }
    return BL_OK;
}

int bl_class_validate(const struct bl_class *class, struct bl_error_detail *detail)
{
    size_t url_length = strnlen(class->url, sizeof(class->url));
    size_t filled_bytes;
    size_t line_length;
    int error;

    if (class->code < BL_CLASS_CODE_MIN || class->code > BL_CLASS_CODE_MAX)
        return bl_error_set(detail, BL_ERANGE, "code %u: expected %d..%d", class->code, BL_CLASS_CODE_MIN,
                            BL_CLASS_CODE_MAX);
    if (class->action < BL_ACTION_REJECT || class->action > BL_ACTION_MONITOR)
        return bl_error_set(detail, BL_ERANGE, "action %u: expected reject, reset, drop or monitor", class->action);
    if (url_length == sizeof(class->url))
        return bl_error_set(detail, BL_ERANGE, "url: longer than %d bytes", BL_CLASS_URL_MAX);
    if (strncmp(class->url, "http://", 7) != 0 && strncmp(class->url, "https://", 8) != 0)
        return bl_error_set(detail, BL_EINVAL, "url: expected http:// or https:// at its start");
    if (strchr("/?#", class->url[class->url[4] == 's' ? 8 : 7]) != NULL)
        return bl_error_set(detail, BL_EINVAL, "url: expected a host name behind http:// or https://");
    error = check_url_text(class->url, &filled_bytes, detail);
    if (error != BL_OK)
        return error;
    line_length = LINE_REST_BYTES + ADDRESS_TEXT_LONGEST + filled_bytes;
    if (line_length >= BL_CLASS_LINE_MAX)
        return bl_error_set(
            detail, BL_ERANGE,
            "url: the reply line would take up to %zu bytes with every {address} and {ticket} filled in: "
            "expected under %d",
            line_length, BL_CLASS_LINE_MAX);
    return BL_OK;
}

bool bl_class_has_ticket(const struct bl_class *class)
{
    return strstr(class->url, BL_CLASS_PLACEHOLDER_TICKET) != NULL;
}

bool bl_class_equal(const struct bl_class *a, const struct bl_class *b)
{
    return a->code == b->code && a->action == b->action && a->self_service == b->self_service &&
           strcmp(a->url, b->url) == 0;
}

const char *bl_class_action_text(uint8_t action)
{
    switch (action) {
    case BL_ACTION_REJECT:
        return "reject";
    case BL_ACTION_RESET:
        return "reset";
    case BL_ACTION_DROP:
        return "drop";
    case BL_ACTION_MONITOR:
        return "monitor";
    default:
        return "none";
    }
}
