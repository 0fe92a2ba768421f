/* Sorted columns of entries; see entries.h. */
#include "dataplane/entries.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { LENGTH_SHIFT = 8, ADDRESS_SHIFT = 16, IPV4_END = 48, ROOM_FIRST = 64 };

/* Of a huge page. */
enum { HUGE_BYTES = 2 << 20 };

/* The class is byte 0 of an entry and no part of its key. */
enum { KEY_BYTE = 1, N_DIGITS = 256 };

unsigned bl_entries_words(enum bl_entries_family family)
{
    return family == BL_ENTRIES_IPV4 ? 1 : 3;
}

static size_t entry_bytes(enum bl_entries_family family)
{
    return bl_entries_words(family) * sizeof(uint64_t);
}

static uint64_t *entry_at(const struct bl_entries_column *column, enum bl_entries_family family, size_t i)
{
    return column->words + i * bl_entries_words(family);
}

static uint8_t class_of(const uint64_t *words)
{
    return (uint8_t)words[0];
}

void bl_entries_fini(struct bl_entries *entries)
{
    for (int family = 0; family < BL_ENTRIES_FAMILIES; family++)
        free(entries->columns[family].words);
    memset(entries, 0, sizeof(*entries));
}

/* Ten million entries are 20,000 pages, and the faults of those take several times as long as all the rest of a load:
 * where the kernel has huge pages to give, it is 40. If not, nothing changes. */
static void want_huge_pages(void *start, size_t n_bytes)
{
    uintptr_t first = ((uintptr_t)start + HUGE_BYTES - 1) & ~(uintptr_t)(HUGE_BYTES - 1);
    uintptr_t end = ((uintptr_t)start + n_bytes) & ~(uintptr_t)(HUGE_BYTES - 1);

    if (first < end)
        (void)madvise((uint8_t *)start + (first - (uintptr_t)start), end - first, MADV_HUGEPAGE);
}

static int make_room(struct bl_entries_column *column, enum bl_entries_family family, size_t room)
{
    uint64_t *words;

    if (room <= column->room)
        return BL_OK;
    words = reallocarray(column->words, room, entry_bytes(family));
    if (words == NULL)
        return BL_ENOMEM;
    want_huge_pages(words, room * entry_bytes(family));
    column->words = words;
    column->room = room;
    return BL_OK;
}

static enum bl_entries_family to_words(const struct bl_table_entry *entry, uint64_t *words)
{
    const struct bl_prefix *prefix = &entry->prefix;
    struct bl_ip6 ip6;

    words[0] = (uint64_t)prefix->length << LENGTH_SHIFT | entry->class_id;
    if (prefix->family == BL_FAMILY_IPV4) {
        words[0] |= (uint64_t)bl_address_to_ip4(prefix->bytes) << ADDRESS_SHIFT;
        return BL_ENTRIES_IPV4;
    }
    ip6 = bl_address_to_ip6(prefix->bytes);
    words[1] = ip6.lo;
    words[2] = ip6.hi;
    return BL_ENTRIES_IPV6;
}

static void from_words(const uint64_t *words, enum bl_entries_family family, struct bl_table_entry *entry)
{
    memset(entry, 0, sizeof(*entry));
    entry->class_id = class_of(words);
    entry->prefix.length = (uint8_t)(words[0] >> LENGTH_SHIFT);
    if (family == BL_ENTRIES_IPV4) {
        entry->prefix.family = BL_FAMILY_IPV4;
        bl_address_from_ip4((uint32_t)(words[0] >> ADDRESS_SHIFT), entry->prefix.bytes);
    } else {
        entry->prefix.family = BL_FAMILY_IPV6;
        bl_address_from_ip6((struct bl_ip6){.hi = words[2], .lo = words[1]}, entry->prefix.bytes);
    }
}

int bl_entries_add(struct bl_entries *entries, const struct bl_table_entry *entry)
{
    uint64_t words[3];
    enum bl_entries_family family = to_words(entry, words);
    struct bl_entries_column *column = &entries->columns[family];
    size_t room = column->room == 0 ? ROOM_FIRST : 2 * column->room;

    if (column->n == column->room && make_room(column, family, room) != BL_OK)
        return BL_ENOMEM;
    memcpy(entry_at(column, family, column->n++), words, entry_bytes(family));
    return BL_OK;
}

int bl_entries_append(struct bl_entries *entries, const struct bl_entries *from)
{
    for (int i = 0; i < BL_ENTRIES_FAMILIES; i++) {
        struct bl_entries_column *column = &entries->columns[i];
        enum bl_entries_family family = (enum bl_entries_family)i;
        size_t n = from->columns[i].n;
        size_t room = column->n + n > 2 * column->room ? column->n + n : 2 * column->room;

        if (n == 0)
            continue;
        if (column->n + n > column->room && make_room(column, family, room) != BL_OK)
            return BL_ENOMEM;
        memcpy(entry_at(column, family, column->n), from->columns[i].words, n * entry_bytes(family));
        column->n += n;
    }
    return BL_OK;
}

int bl_entries_resize(struct bl_entries *entries, enum bl_entries_family family, size_t n)
{
    struct bl_entries_column *column = &entries->columns[family];

    if (make_room(column, family, n) != BL_OK)
        return BL_ENOMEM;
    column->n = n;
    return BL_OK;
}

void bl_entries_get(const struct bl_entries *entries, size_t i, struct bl_table_entry *entry)
{
    size_t n_ipv4 = entries->columns[BL_ENTRIES_IPV4].n;
    enum bl_entries_family family = i < n_ipv4 ? BL_ENTRIES_IPV4 : BL_ENTRIES_IPV6;

    from_words(entry_at(&entries->columns[family], family, i < n_ipv4 ? i : i - n_ipv4), family, entry);
}

size_t bl_entries_count(const struct bl_entries *entries)
{
    return entries->columns[BL_ENTRIES_IPV4].n + entries->columns[BL_ENTRIES_IPV6].n;
}

/* < 0, 0, > 0 as key @p a comes before, is, or comes after key @p b. */
static int compare(const uint64_t *a, const uint64_t *b, unsigned n_words)
{
    for (unsigned i = n_words; i-- > 1;)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    if (a[0] >> LENGTH_SHIFT != b[0] >> LENGTH_SHIFT)
        return a[0] >> LENGTH_SHIFT < b[0] >> LENGTH_SHIFT ? -1 : 1;
    return 0;
}

static bool is_ordered(const struct bl_entries_column *column, enum bl_entries_family family)
{
    for (size_t i = 1; i < column->n; i++)
        if (compare(entry_at(column, family, i - 1), entry_at(column, family, i), bl_entries_words(family)) >= 0)
            return false;
    return true;
}

/* One pass of the radix sort: by one byte, equal ones in the order that they have. @return false when all are equal. */
static bool sort_by_byte(const uint8_t *from, uint8_t *to, size_t n, size_t size, size_t byte)
{
    size_t places[N_DIGITS] = {0};
    size_t sum = 0;

    for (size_t i = 0; i < n; i++)
        places[from[i * size + byte]]++;
    if (places[from[byte]] == n)
        return false;
    for (unsigned digit = 0; digit < N_DIGITS; digit++) {
        size_t count = places[digit];

        places[digit] = sum;
        sum += count;
    }
    for (size_t i = 0; i < n; i++)
        memcpy(to + places[from[i * size + byte]]++ * size, from + i * size, size);
    return true;
}

/* Keeps the last of equal keys. */
static void keep_last(struct bl_entries_column *column, enum bl_entries_family family)
{
    unsigned n_words = bl_entries_words(family);
    size_t kept = 0;

    for (size_t i = 0; i < column->n; i++) {
        uint64_t *entry = entry_at(column, family, i);

        if (i + 1 < column->n && compare(entry, entry + n_words, n_words) == 0)
            continue;
        memmove(entry_at(column, family, kept++), entry, entry_bytes(family));
    }
    column->n = kept;
}

/* Radix sort from the last byte of the key (words are little-endian, so that byte order is key order): stable, which
 * "the last one stays" needs. */
static int sort_column(struct bl_entries_column *column, enum bl_entries_family family)
{
    size_t size = entry_bytes(family);
    struct bl_entries_column spare = {0};

    if (is_ordered(column, family))
        return BL_OK;
    if (make_room(&spare, family, column->n) != BL_OK)
        return BL_ENOMEM;
    spare.n = column->n;
    for (size_t byte = KEY_BYTE; byte < size; byte++) {
        struct bl_entries_column sorted = spare;

        if (!sort_by_byte((const uint8_t *)column->words, (uint8_t *)spare.words, column->n, size, byte))
            continue;
        spare = *column;
        *column = sorted;
    }
    free(spare.words);
    keep_last(column, family);
    return BL_OK;
}

int bl_entries_sort(struct bl_entries *entries)
{
    int error = sort_column(&entries->columns[BL_ENTRIES_IPV4], BL_ENTRIES_IPV4);

    return error != BL_OK ? error : sort_column(&entries->columns[BL_ENTRIES_IPV6], BL_ENTRIES_IPV6);
}

/* IPv4 is told from the word itself: a start may have ten million of them before it. */
static bool is_sound(const uint64_t *words, enum bl_entries_family family)
{
    uint64_t length = words[0] >> LENGTH_SHIFT & 0xff;
    struct bl_table_entry entry;

    if (class_of(words) == BL_CLASS_NONE || class_of(words) >= BL_CLASS_COUNT)
        return false;
    if (family == BL_ENTRIES_IPV4)
        return words[0] >> IPV4_END == 0 && length <= 32 &&
               (words[0] >> ADDRESS_SHIFT & ((UINT64_C(1) << (32 - length)) - 1)) == 0;
    from_words(words, family, &entry);
    return words[0] >> ADDRESS_SHIFT == 0 && bl_address_prefix_canonical(&entry.prefix);
}

static size_t check_column(const struct bl_entries_column *column, enum bl_entries_family family)
{
    for (size_t i = 0; i < column->n; i++) {
        const uint64_t *entry = entry_at(column, family, i);

        if (!is_sound(entry, family))
            return i;
        if (i > 0 && compare(entry_at(column, family, i - 1), entry, bl_entries_words(family)) >= 0)
            return i;
    }
    return column->n;
}

size_t bl_entries_check(const struct bl_entries *entries)
{
    const struct bl_entries_column *columns = entries->columns;
    size_t bad = check_column(&columns[BL_ENTRIES_IPV4], BL_ENTRIES_IPV4);

    return bad < columns[BL_ENTRIES_IPV4].n ? bad : bad + check_column(&columns[BL_ENTRIES_IPV6], BL_ENTRIES_IPV6);
}

/* One change, and what was there before. */
static void change_digest(struct bl_digest *digest, uint64_t epoch, const uint64_t *words, uint8_t class_before,
                          enum bl_entries_family family)
{
    struct bl_table_entry entry;

    from_words(words, family, &entry);
    if (class_before != BL_CLASS_NONE)
        bl_digest_remove(digest, epoch, &entry.prefix, class_before);
    if (entry.class_id != BL_CLASS_NONE)
        bl_digest_add(digest, epoch, &entry.prefix, entry.class_id);
}

/* Both into @p out, which has room for both. */
static void merge_column(const struct bl_entries_column *column, const struct bl_entries_column *changes,
                         enum bl_entries_family family, struct bl_entries_column *out)
{
    unsigned n_words = bl_entries_words(family);
    size_t i = 0, k = 0;

    while (i < column->n || k < changes->n) {
        const uint64_t *entry = entry_at(column, family, i);
        const uint64_t *change = entry_at(changes, family, k);
        int order = i == column->n ? 1 : k == changes->n ? -1 : compare(entry, change, n_words);

        i += order <= 0;
        k += order >= 0;
        if (order >= 0)
            entry = change;
        if (class_of(entry) != BL_CLASS_NONE)
            memcpy(entry_at(out, family, out->n++), entry, entry_bytes(family));
    }
}

/* What merge_column does, to the digest: apart, so that a merge that finds no memory has changed nothing. */
static void merge_digest(const struct bl_entries_column *column, const struct bl_entries_column *changes,
                         enum bl_entries_family family, uint64_t epoch, struct bl_digest *digest)
{
    unsigned n_words = bl_entries_words(family);

    for (size_t k = 0; k < changes->n; k++) {
        const uint64_t *change = entry_at(changes, family, k);
        size_t low = 0, high = column->n;

        while (low < high) {
            size_t middle = low + (high - low) / 2;

            if (compare(entry_at(column, family, middle), change, n_words) < 0)
                low = middle + 1;
            else
                high = middle;
        }
        if (low < column->n && compare(entry_at(column, family, low), change, n_words) == 0)
            change_digest(digest, epoch, change, class_of(entry_at(column, family, low)), family);
        else
            change_digest(digest, epoch, change, BL_CLASS_NONE, family);
    }
}

int bl_entries_merge(struct bl_entries *entries, const struct bl_entries *changes, uint64_t epoch,
                     struct bl_digest *digest)
{
    struct bl_entries merged = {0};

    for (int family = 0; family < BL_ENTRIES_FAMILIES; family++) {
        size_t room = entries->columns[family].n + changes->columns[family].n;

        if (make_room(&merged.columns[family], (enum bl_entries_family)family, room) != BL_OK) {
            bl_entries_fini(&merged);
            return BL_ENOMEM;
        }
    }
    for (int i = 0; i < BL_ENTRIES_FAMILIES; i++) {
        enum bl_entries_family family = (enum bl_entries_family)i;

        merge_column(&entries->columns[i], &changes->columns[i], family, &merged.columns[i]);
        merge_digest(&entries->columns[i], &changes->columns[i], family, epoch, digest);
    }
    bl_entries_fini(entries);
    *entries = merged;
    return BL_OK;
}
