/** @file config_value.h
 * One value of a settings file: from its text into its place, as its key says (config.c calls, for values and for
 * defaults). Knows types, ranges and units; knows nothing of YAML. Pure. Threads: any; start-up. */
#ifndef BL_CONFIG_VALUE_H
#define BL_CONFIG_VALUE_H

#include "bounceline/config.h"

/** Room for any bl_config_value_expected text. */
#define BL_CONFIG_VALUE_EXPECTED_MAX 200

/** Writes @p text into @p to. @return 0, BL_EINVAL (not of the type) or BL_ERANGE; @p cause is written when the key's own
 * check or parse refused it, and only then. */
int bl_config_value_set(const struct bl_config_key *key, const char *text, void *to, struct bl_error_detail *cause);

/** What the key, or one element of its list, takes, for a message: "an integer of 1..64". @return @p out or a constant. */
const char *bl_config_value_expected(const struct bl_config_key *key, char out[BL_CONFIG_VALUE_EXPECTED_MAX]);

/** True when the value is a text, a choice or a list of texts: it may be quoted. */
bool bl_config_value_may_be_quoted(const struct bl_config_key *key);

bool bl_config_value_is_list(const struct bl_config_key *key);

#endif
