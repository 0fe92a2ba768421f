/* Records and snapshots ↔ the log's blobs; see codec_log.h.
 *
 * Encoding makes runs: it walks all prefixes of all groups in order and starts a new EffectGroup wherever the family or
 * an attribute changes. The columns of all runs lie in one block, 17 bytes a prefix at most. */
#include "controlplane/codec_log.h"

#include <stdlib.h>
#include <string.h>

#include "bounceline/v1/log.pb-c.h"
#include "bounceline/version.h"
#include "controlplane/codec_columns.h"
#include "proto/wire.h"

/* Our own blobs: bounded by what SQLite takes, and by the largest batch. */
static const struct bl_wire_limits blob_limits = {
    .message_bytes_max = (size_t)1 << 30, .memory_bytes_max = (size_t)2 << 30, .repeats_max = 1u << 24};

static char *borrow(const char *text)
{
    union {
        const char *in;
        char *out;
    } pointer = {.in = text == NULL ? "" : text};

    return pointer.out;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || strcmp(a == NULL ? "" : a, b == NULL ? "" : b) == 0;
}

/* Everything but the prefixes. Strings of one state or batch are often the same pointer. */
static bool same_group(const struct bl_effect_group *a, const struct bl_effect_group *b)
{
    const struct bl_effect_attributes *x = &a->attributes;
    const struct bl_effect_attributes *y = &b->attributes;

    return a == b || (a->kind == b->kind && x->serial == y->serial && x->observed_at_ms == y->observed_at_ms &&
                      x->expires_at_ms == y->expires_at_ms && x->suppress_until_ms == y->suppress_until_ms &&
                      x->code == y->code && x->action == y->action && x->self_service == y->self_service &&
                      same_text(x->source, y->source) && same_text(x->reason, y->reason) && same_text(x->url, y->url) &&
                      same_text(x->actor, y->actor) && same_text(x->self_delists, y->self_delists));
}

/* Walks the prefixes of all groups. */
struct walk {
    const struct bl_effect_group *groups;
    size_t n_groups;
    size_t group;
    size_t at;
};

/* The prefix under the walk, with its group; NULL at the end. Empty groups are passed over. */
static const struct bl_prefix *walk_look(struct walk *walk, const struct bl_effect_group **group)
{
    while (walk->group < walk->n_groups && walk->at == walk->groups[walk->group].n_prefixes) {
        walk->group++;
        walk->at = 0;
    }
    if (walk->group == walk->n_groups)
        return NULL;
    *group = &walk->groups[walk->group];
    return &(*group)->prefixes[walk->at];
}

/* The length of the run that starts here; the walk is moved behind it. */
static size_t walk_run(struct walk *walk, const struct bl_effect_group **group, uint8_t *family)
{
    const struct bl_effect_group *next;
    const struct bl_prefix *prefix = walk_look(walk, group);
    size_t n = 0;

    if (prefix == NULL)
        return 0;
    next = *group;
    *family = prefix->family;
    while (prefix != NULL && prefix->family == *family && same_group(*group, next)) {
        n++;
        walk->at++;
        prefix = walk_look(walk, &next);
    }
    return n;
}

/* groups[i] has its columns in `columns`; pointers[i] is what protobuf-c wants. */
struct runs {
    Bounceline__V1__EffectGroup *groups;
    Bounceline__V1__EffectGroup **pointers;
    uint8_t *columns;
    size_t n;
};

static void runs_fini(struct runs *runs)
{
    free(runs->columns);
    free(runs->pointers);
    free(runs->groups);
}

/* In a live record actor and serial are the record's own and are not said again in each group. */
void bl_codec_columns_label(const struct bl_effect_group *in, bool snapshot, Bounceline__V1__EffectGroup *out)
{
    const struct bl_effect_attributes *attributes = &in->attributes;

    bounceline__v1__effect_group__init(out);
    out->kind = (Bounceline__V1__EffectKind)in->kind;
    out->source = borrow(attributes->source);
    out->code = attributes->code;
    out->action = attributes->action;
    out->self_service = attributes->self_service;
    out->reason = borrow(attributes->reason);
    out->observed_at_ms = attributes->observed_at_ms;
    out->expires_at_ms = attributes->expires_at_ms;
    out->suppress_until_ms = attributes->suppress_until_ms;
    out->url = borrow(attributes->url);
    out->self_delists = borrow(attributes->self_delists);
    if (snapshot) {
        out->actor = borrow(attributes->actor);
        out->serial = attributes->serial;
    }
}

/* Copies @n prefixes from the walk into columns at @column. @return the first byte behind them. */
static uint8_t *fill_columns(struct walk *walk, size_t n, uint8_t family, uint8_t *column,
                             Bounceline__V1__EffectGroup *out)
{
    size_t width = family == BL_FAMILY_IPV4 ? 4 : 16;
    ProtobufCBinaryData addresses = {n * width, column};
    ProtobufCBinaryData lengths = {n, column + n * width};
    const struct bl_effect_group *group = NULL;

    for (size_t i = 0; i < n; i++) {
        const struct bl_prefix *prefix = walk_look(walk, &group);

        memcpy(addresses.data + i * width, prefix->bytes, width);
        lengths.data[i] = prefix->length;
        walk->at++;
    }
    if (family == BL_FAMILY_IPV4) {
        out->ipv4_addresses = addresses;
        out->ipv4_lengths = lengths;
    } else {
        out->ipv6_addresses = addresses;
        out->ipv6_lengths = lengths;
    }
    return lengths.data + n;
}

/* Twice over the groups: once to count the runs, once to fill them. Nothing is reallocated on the way. */
static int make_runs(const struct bl_effect_group *groups, size_t n_groups, struct runs *runs)
{
    struct walk measure = {groups, n_groups, 0, 0};
    struct walk fill = measure;
    const struct bl_effect_group *group = NULL;
    uint8_t family = 0;
    size_t n_prefixes = 0;
    uint8_t *column;

    *runs = (struct runs){NULL, NULL, NULL, 0};
    for (size_t n = walk_run(&measure, &group, &family); n != 0; n = walk_run(&measure, &group, &family)) {
        n_prefixes += n;
        runs->n++;
    }
    runs->groups = calloc(runs->n + 1, sizeof(*runs->groups));
    runs->pointers = calloc(runs->n + 1, sizeof(struct Bounceline__V1__EffectGroup *));
    runs->columns = malloc(n_prefixes * 17 + 1);
    if (runs->groups == NULL || runs->pointers == NULL || runs->columns == NULL) {
        runs_fini(runs);
        return BL_ENOMEM;
    }
    measure = fill;
    column = runs->columns;
    for (size_t i = 0; i < runs->n; i++) {
        size_t n = walk_run(&measure, &group, &family);

        bl_codec_columns_label(group, false, &runs->groups[i]);
        column = fill_columns(&fill, n, family, column, &runs->groups[i]);
        runs->pointers[i] = &runs->groups[i];
    }
    return BL_OK;
}

static ProtobufCBinaryData borrow_bytes(const uint8_t *data, size_t length)
{
    union {
        const uint8_t *in;
        uint8_t *out;
    } pointer = {.in = data};

    return (ProtobufCBinaryData){length, pointer.out};
}

int bl_codec_log_encode_record(const struct bl_record *record, struct bl_codec_bytes *out)
{
    Bounceline__V1__LogRecord message;
    struct runs runs;
    int error = make_runs(record->groups, record->n_groups, &runs);

    bounceline__v1__log_record__init(&message);
    if (error != BL_OK)
        return error;
    message.format_version = BL_VERSION_RECORD;
    message.epoch = record->epoch;
    message.serial = record->serial;
    message.time_ms = record->time_ms;
    message.actor = borrow(record->actor);
    message.session = borrow(record->session);
    message.sequence = record->sequence;
    message.request_hash = record->request_hash;
    message.groups = runs.pointers;
    message.n_groups = runs.n;
    message.answer = borrow_bytes(record->answer, record->answer_bytes);
    error = bl_codec_pack(&message.base, 0, out);
    runs_fini(&runs);
    return error;
}

/* What came from a disk is checked like what comes from a client: rot must not become a listing. */
int bl_codec_columns_check_label(const Bounceline__V1__EffectGroup *in, struct bl_error_detail *detail)
{
    if ((int)in->kind < BL_EFFECT_LIST || in->kind > BOUNCELINE__V1__EFFECT_KIND__EFFECT_KIND_UNEXEMPT)
        return bl_error_set(detail, BL_EINVAL, "EffectGroup.kind: %d is unknown", (int)in->kind);
    if (in->code > UINT16_MAX || in->action > BL_ACTION_MONITOR)
        return bl_error_set(detail, BL_EINVAL, "EffectGroup: code %u, action %u: out of range", in->code, in->action);
    if (in->ipv4_addresses.len != in->ipv4_lengths.len * 4 || in->ipv6_addresses.len != in->ipv6_lengths.len * 16)
        return bl_error_set(detail, BL_EINVAL, "EffectGroup: columns of different lengths");
    return BL_OK;
}

/* Reads one family's columns. @return 0, or BL_EINVAL for a prefix that is not canonical. */
static int take_columns(const ProtobufCBinaryData *addresses, const ProtobufCBinaryData *lengths, uint8_t family,
                        struct bl_prefix *out, struct bl_error_detail *detail)
{
    size_t width = family == BL_FAMILY_IPV4 ? 4 : 16;

    for (size_t i = 0; i < lengths->len; i++) {
        out[i] = (struct bl_prefix){.length = lengths->data[i], .family = family};
        memcpy(out[i].bytes, addresses->data + i * width, width);
        if (!bl_address_prefix_canonical(&out[i]))
            return bl_error_set(detail, BL_EINVAL, "EffectGroup: item %zu of IPv%u is not a prefix", i, family);
    }
    return BL_OK;
}

void bl_codec_columns_take_label(const Bounceline__V1__EffectGroup *in, struct bl_effect_group *out)
{
    *out = (struct bl_effect_group){
        .kind = (enum bl_effect_kind)in->kind,
        .attributes = {.source = in->source,
                       .reason = in->reason,
                       .url = in->url,
                       .actor = in->actor,
                       .serial = in->serial,
                       .observed_at_ms = in->observed_at_ms,
                       .expires_at_ms = in->expires_at_ms,
                       .suppress_until_ms = in->suppress_until_ms,
                       .self_delists = in->self_delists,
                       .code = (uint16_t)in->code,
                       .action = (uint8_t)in->action,
                       .self_service = in->self_service != 0},
    };
}

static int take_group(const Bounceline__V1__EffectGroup *in, struct bl_prefix *prefixes, struct bl_effect_group *out,
                      struct bl_error_detail *detail)
{
    size_t n_ipv4 = in->ipv4_lengths.len;
    int error = take_columns(&in->ipv4_addresses, &in->ipv4_lengths, BL_FAMILY_IPV4, prefixes, detail);

    if (error == BL_OK)
        error = take_columns(&in->ipv6_addresses, &in->ipv6_lengths, BL_FAMILY_IPV6, prefixes + n_ipv4, detail);
    bl_codec_columns_take_label(in, out);
    out->prefixes = prefixes;
    out->n_prefixes = n_ipv4 + in->ipv6_lengths.len;
    return error;
}

/* All groups of a message, with one block for all their prefixes. */
static int take_groups(Bounceline__V1__EffectGroup **in, size_t n, struct bl_effect_group **groups,
                       struct bl_prefix **prefixes, struct bl_error_detail *detail)
{
    size_t n_prefixes = 0;
    int error = BL_OK;

    for (size_t i = 0; i < n && error == BL_OK; i++) {
        error = bl_codec_columns_check_label(in[i], detail);
        n_prefixes += in[i]->ipv4_lengths.len + in[i]->ipv6_lengths.len;
    }
    if (error != BL_OK)
        return error;
    *groups = calloc(n + 1, sizeof(**groups));
    *prefixes = calloc(n_prefixes + 1, sizeof(**prefixes));
    if (*groups == NULL || *prefixes == NULL)
        return BL_ENOMEM;
    n_prefixes = 0;
    for (size_t i = 0; i < n && error == BL_OK; i++) {
        error = take_group(in[i], *prefixes + n_prefixes, &(*groups)[i], detail);
        n_prefixes += (*groups)[i].n_prefixes;
    }
    return error;
}

/* A newer format is refused, not guessed at: an old program must not append to it. */
static int check_version(uint32_t version, uint32_t max, const char *what, struct bl_error_detail *detail)
{
    if (version >= 1 && version <= max)
        return BL_OK;
    return bl_error_set(detail, BL_EVERSION, "the %s's format is %u: this program knows 1 to %u", what, version, max);
}

int bl_codec_log_decode_record(const uint8_t *data, size_t length, struct bl_codec_record *out,
                               struct bl_error_detail *detail)
{
    ProtobufCMessage *message = NULL;
    int error = bl_wire_decode(&bounceline__v1__log_record__descriptor, data, length, &blob_limits, &message, detail);

    if (error != BL_OK)
        return error;
    const Bounceline__V1__LogRecord *in = (const Bounceline__V1__LogRecord *)message;

    memset(out, 0, sizeof(*out));
    out->message = message;
    error = check_version(in->format_version, BL_VERSION_RECORD, "record", detail);
    if (error == BL_OK)
        error = take_groups(in->groups, in->n_groups, &out->groups, &out->prefixes, detail);
    if (error != BL_OK) {
        bl_codec_log_record_fini(out);
        return error;
    }
    out->record = (struct bl_record){
        .epoch = in->epoch,
        .serial = in->serial,
        .time_ms = in->time_ms,
        .actor = in->actor,
        .session = in->session,
        .sequence = in->sequence,
        .request_hash = in->request_hash,
        .groups = out->groups,
        .n_groups = in->n_groups,
        .answer = in->answer.data,
        .answer_bytes = in->answer.len,
    };
    return BL_OK;
}

/* The fields before the groups are numbers with small tags: format_version, epoch, serial, time_ms. */
int bl_codec_log_peek_time(const uint8_t *data, size_t length, int64_t *time_ms)
{
    enum { TIME_TAG = 4 << 3 };
    size_t at = 0;

    while (at < length && (data[at] & 7) == 0 && data[at] <= TIME_TAG) {
        uint8_t tag = data[at++];
        uint64_t value = 0;

        for (unsigned shift = 0; at < length && shift < 64; shift += 7) {
            value |= (uint64_t)(data[at] & 0x7f) << shift;
            if (data[at++] < 0x80)
                break;
        }
        if (tag == TIME_TAG) {
            *time_ms = (int64_t)value;
            return BL_OK;
        }
    }
    return BL_EINVAL;
}

void bl_codec_log_record_fini(struct bl_codec_record *record)
{
    free(record->prefixes);
    free(record->groups);
    bl_wire_free(record->message);
    memset(record, 0, sizeof(*record));
}

/* The repeated fields of a snapshot part beside its groups. */
struct snapshot_rows {
    Bounceline__V1__SnapshotClass classes[BL_CLASS_COUNT];
    Bounceline__V1__SnapshotClass *class_pointers[BL_CLASS_COUNT];
    Bounceline__V1__SnapshotAnswer *answers;
    Bounceline__V1__SnapshotAnswer **answer_pointers;
};

static size_t fill_classes(const struct bl_class *classes, struct snapshot_rows *rows)
{
    size_t n = 0;

    for (uint32_t id = BL_CLASS_FIRST; classes != NULL && id <= BL_CLASS_LAST; id++) {
        if (classes[id].code == 0)
            continue;
        bounceline__v1__snapshot_class__init(&rows->classes[n]);
        rows->classes[n].class_id = id;
        rows->classes[n].code = classes[id].code;
        rows->classes[n].action = classes[id].action;
        rows->classes[n].self_service = classes[id].self_service;
        rows->classes[n].url = borrow(classes[id].url);
        rows->class_pointers[n] = &rows->classes[n];
        n++;
    }
    return n;
}

static void fill_answers(const struct bl_answer *answers, size_t n, struct snapshot_rows *rows)
{
    for (size_t i = 0; i < n; i++) {
        Bounceline__V1__SnapshotAnswer *out = &rows->answers[i];

        bounceline__v1__snapshot_answer__init(out);
        out->actor = borrow(answers[i].actor);
        out->session = borrow(answers[i].session);
        out->sequence = answers[i].sequence;
        out->request_hash = answers[i].request_hash;
        out->answer = borrow_bytes(answers[i].data, answers[i].length);
        out->serial = answers[i].serial;
        rows->answer_pointers[i] = out;
    }
}

/* The repeated fields of rows are filled here, so that they live as long as the pack. */
static int pack_snapshot(const struct bl_codec_snapshot *snapshot, struct snapshot_rows *rows,
                         struct bl_codec_bytes *out)
{
    Bounceline__V1__SnapshotRecord message;
    struct bl_codec_columns columns;
    int error = bl_codec_columns_make(snapshot->groups, snapshot->n_groups, &columns);

    bounceline__v1__snapshot_record__init(&message);
    if (error != BL_OK)
        return error;
    message.format_version = BL_VERSION_SNAPSHOT;
    message.epoch = snapshot->epoch;
    message.serial = snapshot->serial;
    message.layers = columns.message;
    message.classes = rows->class_pointers;
    message.n_classes = fill_classes(snapshot->classes, rows);
    fill_answers(snapshot->answers, snapshot->n_answers, rows);
    message.answers = rows->answer_pointers;
    message.n_answers = snapshot->n_answers;
    error = bl_codec_pack(&message.base, 0, out);
    bl_codec_columns_fini(&columns);
    return error;
}

int bl_codec_log_encode_snapshot(const struct bl_codec_snapshot *snapshot, struct bl_codec_bytes *out)
{
    struct snapshot_rows rows = {.answers = calloc(snapshot->n_answers + 1, sizeof(*rows.answers)),
                                 .answer_pointers =
                                     calloc(snapshot->n_answers + 1, sizeof(struct Bounceline__V1__SnapshotAnswer *))};
    int error = rows.answers == NULL || rows.answer_pointers == NULL ? BL_ENOMEM : pack_snapshot(snapshot, &rows, out);

    free(rows.answer_pointers);
    free(rows.answers);
    return error;
}

/* Classes keep their numbers over a restart: data planes know them by number. */
static int take_classes(const Bounceline__V1__SnapshotRecord *in, struct bl_codec_snapshot_part *out,
                        struct bl_error_detail *detail)
{
    if (in->n_classes == 0)
        return BL_OK;
    out->classes = calloc(BL_CLASS_COUNT, sizeof(*out->classes));
    if (out->classes == NULL)
        return BL_ENOMEM;
    for (size_t i = 0; i < in->n_classes; i++) {
        const Bounceline__V1__SnapshotClass *class = in->classes[i];
        size_t url_bytes = strlen(class->url);

        if (class->class_id < BL_CLASS_FIRST || class->class_id > BL_CLASS_LAST || class->code > UINT16_MAX ||
            class->action > BL_ACTION_MONITOR || url_bytes > BL_CLASS_URL_MAX)
            return bl_error_set(detail, BL_EINVAL, "SnapshotClass %u: out of range", class->class_id);
        out->classes[class->class_id] = (struct bl_class){.code = (uint16_t) class->code,
                                                          .action = (uint8_t) class->action,
                                                          .self_service = class->self_service != 0};
        memcpy(out->classes[class->class_id].url, class->url, url_bytes + 1);
    }
    out->snapshot.classes = out->classes;
    return BL_OK;
}

/* Borrowed from the message, as the groups are. */
static int take_answers(const Bounceline__V1__SnapshotRecord *in, struct bl_codec_snapshot_part *out)
{
    out->answers = calloc(in->n_answers + 1, sizeof(*out->answers));
    if (out->answers == NULL)
        return BL_ENOMEM;
    for (size_t i = 0; i < in->n_answers; i++)
        out->answers[i] = (struct bl_answer){
            .actor = in->answers[i]->actor,
            .session = in->answers[i]->session,
            .sequence = in->answers[i]->sequence,
            .request_hash = in->answers[i]->request_hash,
            .serial = in->answers[i]->serial,
            .data = in->answers[i]->answer.data,
            .length = in->answers[i]->answer.len,
        };
    out->snapshot.answers = out->answers;
    out->snapshot.n_answers = in->n_answers;
    return BL_OK;
}

/* Groups of format 1, or the columns as groups of one. */
static int take_layers(const Bounceline__V1__SnapshotRecord *in, struct bl_codec_snapshot_part *out,
                       struct bl_error_detail *detail)
{
    size_t n = 0;
    int error;

    if ((in->format_version == 1) != (in->layers == NULL) || (in->layers != NULL && in->n_groups != 0))
        return bl_error_set(detail, BL_EINVAL, "SnapshotRecord: format %u with %s", in->format_version,
                            in->layers == NULL ? "groups" : "layers");
    out->snapshot.n_groups = in->n_groups;
    if (in->layers == NULL)
        return take_groups(in->groups, in->n_groups, &out->groups, &out->prefixes, detail);
    error = bl_codec_columns_check(in->layers, &n, detail);
    if (error != BL_OK)
        return error;
    out->groups = malloc((n + 1) * sizeof(*out->groups));
    out->prefixes = malloc((n + 1) * sizeof(*out->prefixes));
    if (out->groups == NULL || out->prefixes == NULL)
        return BL_ENOMEM;
    out->snapshot.n_groups = n;
    return bl_codec_columns_take(in->layers, out->groups, out->prefixes, detail);
}

int bl_codec_log_decode_snapshot(const uint8_t *data, size_t length, struct bl_codec_snapshot_part *out,
                                 struct bl_error_detail *detail)
{
    ProtobufCMessage *message = NULL;
    int error =
        bl_wire_decode(&bounceline__v1__snapshot_record__descriptor, data, length, &blob_limits, &message, detail);

    if (error != BL_OK)
        return error;
    const Bounceline__V1__SnapshotRecord *in = (const Bounceline__V1__SnapshotRecord *)message;

    memset(out, 0, sizeof(*out));
    out->message = message;
    error = check_version(in->format_version, BL_VERSION_SNAPSHOT, "snapshot", detail);
    if (error == BL_OK)
        error = take_layers(in, out, detail);
    if (error == BL_OK)
        error = take_classes(in, out, detail);
    if (error == BL_OK)
        error = take_answers(in, out);
    if (error != BL_OK) {
        bl_codec_log_snapshot_fini(out);
        return error;
    }
    out->snapshot.epoch = in->epoch;
    out->snapshot.serial = in->serial;
    out->snapshot.groups = out->groups;
    return BL_OK;
}

void bl_codec_log_snapshot_fini(struct bl_codec_snapshot_part *part)
{
    free(part->answers);
    free(part->classes);
    free(part->prefixes);
    free(part->groups);
    bl_wire_free(part->message);
    memset(part, 0, sizeof(*part));
}
