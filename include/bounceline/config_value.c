/* Texts to numbers, choices and strings; see config_value.h. */
#include "bounceline/config_value.h"

#include <stdio.h>
#include <string.h>

static bool is_text(const struct bl_config_key *key)
{
    return key->type == BL_CONFIG_TEXT || key->type == BL_CONFIG_ITEMS;
}

bool bl_config_value_may_be_quoted(const struct bl_config_key *key)
{
    /* A choice too: YAML 1.1 takes a bare off for a boolean, so people quote it. */
    return is_text(key) || key->type == BL_CONFIG_ENUM;
}

bool bl_config_value_is_list(const struct bl_config_key *key)
{
    return key->type == BL_CONFIG_INTEGERS || key->type == BL_CONFIG_ITEMS || key->type == BL_CONFIG_MAPPINGS;
}

static const char *const unit_names[] = {
    [BL_CONFIG_UNIT_NONE] = "",
    [BL_CONFIG_UNIT_MS] = "milliseconds",
    [BL_CONFIG_UNIT_S] = "seconds",
    [BL_CONFIG_UNIT_DAYS] = "days",
};

const char *bl_config_value_expected(const struct bl_config_key *key, char out[BL_CONFIG_VALUE_EXPECTED_MAX])
{
    const size_t room = BL_CONFIG_VALUE_EXPECTED_MAX;
    size_t used;

    switch (key->type) {
    case BL_CONFIG_BOOL:
        return "true or false";
    case BL_CONFIG_INTEGER:
    case BL_CONFIG_INTEGERS:
        (void)snprintf(out, room, "an integer of %ju..%ju", (uintmax_t)key->min, (uintmax_t)key->max);
        return out;
    case BL_CONFIG_DURATION:
        (void)snprintf(out, room, "whole %s, %ju..%ju, or a time such as 90s, 5min, 2h, 1d", unit_names[key->unit],
                       (uintmax_t)key->min, (uintmax_t)key->max);
        return out;
    case BL_CONFIG_OCTAL:
        (void)snprintf(out, room, "an octal mode of %03jo..%03jo", (uintmax_t)key->min, (uintmax_t)key->max);
        return out;
    case BL_CONFIG_ENUM:
        used = (size_t)snprintf(out, room, "one of");
        for (const struct bl_config_choice *choice = key->choices; choice->text != NULL && used < room; choice++)
            used += (size_t)snprintf(out + used, room - used, "%s %s", choice == key->choices ? "" : ",", choice->text);
        return out;
    case BL_CONFIG_TEXT:
        (void)snprintf(out, room, "printable ASCII text of at most %zu bytes", key->size - 1);
        return out;
    case BL_CONFIG_ITEMS:
        return "printable ASCII text";
    case BL_CONFIG_MAPPINGS:
        return "a mapping";
    }
    return "";
}

/* Decimal digits from *text on, which moves behind them. No sign, no leading zero. */
static int read_digits(const char **text, uint64_t *value)
{
    const char *at = *text;

    *value = 0;
    if (*at < '0' || *at > '9' || (at[0] == '0' && at[1] >= '0' && at[1] <= '9'))
        return BL_EINVAL;
    for (; *at >= '0' && *at <= '9'; at++) {
        unsigned digit = (unsigned)(*at - '0');

        if (*value > (UINT64_MAX - digit) / 10)
            return BL_ERANGE;
        *value = *value * 10 + digit;
    }
    *text = at;
    return BL_OK;
}

/* The whole text, to its end: "12x" is no number. */
static int read_integer(const char *text, uint64_t *value)
{
    int error = read_digits(&text, value);

    return error == BL_OK && *text != '\0' ? BL_EINVAL : error;
}

/* A number alone is in the key's unit; with a suffix it must come out as whole units. */
static int read_duration(const char *text, enum bl_config_unit unit, uint64_t *value)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } suffixes[] = {{"ms", 1}, {"s", 1000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000}};
    static const uint64_t unit_ms[] = {
        [BL_CONFIG_UNIT_NONE] = 1,
        [BL_CONFIG_UNIT_MS] = 1,
        [BL_CONFIG_UNIT_S] = 1000,
        [BL_CONFIG_UNIT_DAYS] = 86400000,
    };
    int error = read_digits(&text, value);

    if (error != BL_OK || *text == '\0')
        return error;
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        if (strcmp(text, suffixes[i].text) != 0)
            continue;
        if (*value > UINT64_MAX / suffixes[i].ms)
            return BL_ERANGE;
        if (*value * suffixes[i].ms % unit_ms[unit] != 0)
            return BL_EINVAL;
        *value = *value * suffixes[i].ms / unit_ms[unit];
        return BL_OK;
    }
    return BL_EINVAL;
}

/* With or without the leading zero that people write. */
static int read_octal(const char *text, uint64_t *value)
{
    size_t n = strspn(text, "01234567");

    if (text[n] != '\0' || n < 3 || n > 4)
        return BL_EINVAL;
    *value = 0;
    for (; *text != '\0'; text++)
        *value = *value << 3 | (uint64_t)(*text - '0');
    return BL_OK;
}

static int read_choice(const char *text, const struct bl_config_choice *choices, uint64_t *value)
{
    for (; choices->text != NULL; choices++) {
        if (strcmp(text, choices->text) == 0) {
            *value = choices->value;
            return BL_OK;
        }
    }
    return BL_EINVAL;
}

/* The field has the width that its struct gives it; the range in the table keeps the value inside. Enums are 4 bytes. */
static void store(void *to, size_t size, uint64_t value)
{
    switch (size) {
    case sizeof(uint8_t):
        *(uint8_t *)to = (uint8_t)value;
        break;
    case sizeof(uint16_t):
        *(uint16_t *)to = (uint16_t)value;
        break;
    case sizeof(uint32_t):
        *(uint32_t *)to = (uint32_t)value;
        break;
    default:
        *(uint64_t *)to = value;
        break;
    }
}

/* Any type whose value is a number. */
static int set_number(const struct bl_config_key *key, const char *text, void *to)
{
    uint64_t value = 0;
    int error;

    switch (key->type) {
    case BL_CONFIG_BOOL:
        value = strcmp(text, "true") == 0;
        if (value == 0 && strcmp(text, "false") != 0)
            return BL_EINVAL;
        *(bool *)to = value != 0;
        return BL_OK;
    case BL_CONFIG_ENUM:
        error = read_choice(text, key->choices, &value);
        if (error == BL_OK)
            store(to, key->size, value);
        return error;
    case BL_CONFIG_DURATION:
        error = read_duration(text, key->unit, &value);
        break;
    case BL_CONFIG_OCTAL:
        error = read_octal(text, &value);
        break;
    default:
        error = read_integer(text, &value);
        break;
    }
    if (error != BL_OK)
        return error;
    if (value < key->min || value > key->max)
        return BL_ERANGE;
    store(to, key->size, value);
    return BL_OK;
}

/* A text of a scalar or of a list's item; *cause says what a check found. */
static int set_text(const struct bl_config_key *key, const char *text, void *to, struct bl_error_detail *cause)
{
    int error;

    if (key->type == BL_CONFIG_ITEMS)
        return key->parse(text, to, cause);
    if (strlen(text) >= key->size)
        return BL_ERANGE;
    error = key->check == NULL ? BL_OK : key->check(text, cause);
    if (error == BL_OK)
        memcpy(to, text, strlen(text) + 1);
    return error;
}

int bl_config_value_set(const struct bl_config_key *key, const char *text, void *to, struct bl_error_detail *cause)
{
    int error;

    if (is_text(key))
        return set_text(key, text, to, cause);
    error = set_number(key, text, to);
    return error == BL_OK && key->check != NULL ? key->check(text, cause) : error;
}
