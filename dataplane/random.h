/** @file random.h
 * Keys nobody can guess: from the kernel, or from a file that a standby pair shares. Threads: any. Cost: start-up. */
#ifndef BL_RANDOM_H
#define BL_RANDOM_H

#include "bounceline/error.h"
#include "bounceline/siphash.h"

/** A new key from getrandom(2). @return 0 or BL_EIO: then nothing may start. */
int bl_random_key(struct bl_siphash_key *key, struct bl_error_detail *detail);

/** The key in a file: exactly 16 bytes, not all zero, a regular file that neither group nor others may read or write.
 * @param setting the key of the settings that names the file, for the error
 * @return 0, BL_ENOENT, BL_EPERM, BL_EINVAL or BL_EIO; @p detail names file, cause and what was expected. */
int bl_random_key_file(const char *setting, const char *path, struct bl_siphash_key *key,
                       struct bl_error_detail *detail);

#endif
