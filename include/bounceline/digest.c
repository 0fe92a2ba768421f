/* The order-independent digest of an effective set; see digest.h. */
#include "bounceline/digest.h"

#include <string.h>

/* What one entry contributes: the same bytes in both planes, whatever the machine. Two hashes under different keys
 * make the two lanes independent. */
static struct bl_digest entry_hash(uint64_t epoch, const struct bl_prefix *prefix, uint8_t class_id)
{
    const struct bl_siphash_key key_hi = {epoch, 0x626f756e63656869ULL};
    const struct bl_siphash_key key_lo = {epoch, 0x626f756e63656c6fULL};
    uint8_t entry[sizeof(prefix->bytes) + 3];

    memcpy(entry, prefix->bytes, sizeof(prefix->bytes));
    entry[16] = prefix->length;
    entry[17] = prefix->family;
    entry[18] = class_id;
    return (struct bl_digest){
        .hi = bl_siphash(&key_hi, entry, sizeof(entry)),
        .lo = bl_siphash(&key_lo, entry, sizeof(entry)),
    };
}

void bl_digest_add(struct bl_digest *digest, uint64_t epoch, const struct bl_prefix *prefix, uint8_t class_id)
{
    struct bl_digest entry = entry_hash(epoch, prefix, class_id);

    digest->hi += entry.hi;
    digest->lo += entry.lo;
}

void bl_digest_remove(struct bl_digest *digest, uint64_t epoch, const struct bl_prefix *prefix, uint8_t class_id)
{
    struct bl_digest entry = entry_hash(epoch, prefix, class_id);

    digest->hi -= entry.hi;
    digest->lo -= entry.lo;
}
