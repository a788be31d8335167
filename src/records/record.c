/* What a record may say, and when two say the same. */
#include "records/record.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>
#include <xxhash.h>

static const struct mx_measure_info measures[MX_MEASURE_COUNT] = {
    [MX_MEASURE_DECODE] = {"decode_tok_s", "tok/s", 0, 1e9},
    [MX_MEASURE_PREFILL] = {"prefill_tok_s", "tok/s", 0, 1e9},
    [MX_MEASURE_DECODE_RATIO] = {"decode_ratio", "1", 0, 1e6},
    [MX_MEASURE_PREFILL_RATIO] = {"prefill_ratio", "1", 0, 1e6},
    [MX_MEASURE_FLOOR_SHARE] = {"floor_share", "1", 0, 100},
    [MX_MEASURE_CACHE_BYTES] = {"cache_bytes", "B", 0, 1e18},
    [MX_MEASURE_BYTES_PER_TOKEN] = {"bytes_per_token", "B", 0, 1e12},
    [MX_MEASURE_RESIDENT] = {"resident_bytes", "B", 0, 1e18},
    [MX_MEASURE_PERPLEXITY] = {"perplexity", "1", 1, 1e30},
    [MX_MEASURE_PERPLEXITY_CHANGE] = {"perplexity_change", "1", -1, 1e30},
    [MX_MEASURE_KL_MEAN] = {"kl_mean", "nat", 0, 1e6},
    [MX_MEASURE_KL_P99] = {"kl_p99", "nat", 0, 1e6},
    [MX_MEASURE_KL_P999] = {"kl_p999", "nat", 0, 1e6},
    [MX_MEASURE_KL_AT] = {"kl_at", "nat", 0, 1e6, true},
    [MX_MEASURE_TOP1] = {"top1", "1", 0, 1},
    [MX_MEASURE_WORST_CHANGE] = {"worst_change", "1", 0, 1},
    [MX_MEASURE_GREEDY_SAME] = {"greedy_same", "1", 0, 1},
    [MX_MEASURE_GREEDY_LENGTH] = {"greedy_length", "tok", 0, 1e9},
    [MX_MEASURE_RETRIEVAL] = {"retrieval", "1", 0, 1},
    [MX_MEASURE_RETRIEVAL_AT] = {"retrieval_at", "1", 0, 1, true},
    [MX_MEASURE_RETRIEVAL_FP16] = {"retrieval_fp16", "1", 0, 1},
};

const struct mx_measure_info *mx_measure_info(enum mx_measure measure)
{
    return &measures[measure];
}

enum mx_measure mx_measure_find(const char *name)
{
    enum mx_measure measure = 0;
    while (measure < MX_MEASURE_COUNT && strcmp(measures[measure].name, name) != 0) measure++;
    return measure;
}

void mx_record_text(char text[17], const int32_t *tokens, size_t count)
{
    snprintf(text, 17, "%016" PRIx64, XXH3_64bits(tokens, count * sizeof *tokens));
}

static mx_status check_text(const char *text, size_t size, const char *member, bool needed, struct mx_error *err)
{
    const size_t length = strnlen(text, size);
    if (length == size) return mx_fail(err, MX_ERR_FORMAT, "\"%s\" is longer than %zu bytes", member, size - 1);
    if (needed && length == 0) return mx_fail(err, MX_ERR_FORMAT, "\"%s\" is empty", member);
    for (size_t at = 0; at < length;) {
        utf8proc_int32_t point;
        if (text[at] >= 0x20 && text[at] < 0x7f) { /* nearly all that there is */
            at++;
            continue;
        }
        const utf8proc_ssize_t taken =
            utf8proc_iterate((const utf8proc_uint8_t *)text + at, (utf8proc_ssize_t)(length - at), &point);
        if (taken <= 0) return mx_fail(err, MX_ERR_FORMAT, "\"%s\" is not UTF-8", member);
        if (point < 0x20 || (point >= 0x7f && point < 0xa0))
            return mx_fail(err, MX_ERR_FORMAT, "\"%s\" holds a control character", member);
        at += (size_t)taken;
    }
    return MX_OK;
}

static mx_status check_hash(const char *text, const char *member, struct mx_error *err)
{
    if (strnlen(text, 17) == 16 && strspn(text, "0123456789abcdef") == 16) return MX_OK;
    return mx_fail(err, MX_ERR_FORMAT, "\"%s\" must be 16 hexadecimal digits", member);
}

static mx_status check_date(const char *date, struct mx_error *err)
{
    static const char shape[] = "dddd-dd-dd";
    bool right = strnlen(date, sizeof shape) == sizeof shape - 1;
    for (size_t i = 0; right && shape[i]; i++)
        right = shape[i] == 'd' ? isdigit((unsigned char)date[i]) != 0 : date[i] == shape[i];
    if (right) {
        const int month = (date[5] - '0') * 10 + date[6] - '0', day = (date[8] - '0') * 10 + date[9] - '0';
        right = month >= 1 && month <= 12 && day >= 1 && day <= 31;
    }
    return right ? MX_OK : mx_fail(err, MX_ERR_FORMAT, "\"date\" must be year-month-day");
}

mx_status mx_record_check(const struct mx_record *record, struct mx_error *err)
{
    const struct {
        const char *text;
        size_t size;
        const char *member;
        bool needed;
    } texts[] = {
        {record->model.name, sizeof record->model.name, "model.name", true},
        {record->model.type, sizeof record->model.type, "model.type", true},
        {record->model.class_, sizeof record->model.class_, "model.class", true},
        {record->model.weights, sizeof record->model.weights, "model.weights", true},
        {record->machine.name, sizeof record->machine.name, "machine.name", true},
        {record->plan.name, sizeof record->plan.name, "plan", true},
        {record->plan.center, sizeof record->plan.center, "center", true},
        {record->version, sizeof record->version, "version", true},
        {record->command, sizeof record->command, "command", false},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        MX_TRY(check_text(texts[i].text, texts[i].size, texts[i].member, texts[i].needed, err));
    MX_TRY(check_hash(record->model.fingerprint, "model.fingerprint", err));
    MX_TRY(check_hash(record->machine.fingerprint, "machine.fingerprint", err));
    if (record->text[0]) MX_TRY(check_hash(record->text, "text", err));
    MX_TRY(check_date(record->date, err));
    if (record->context == 0 || record->context > INT64_MAX)
        return mx_fail(err, MX_ERR_FORMAT, "\"context\" must be a number of tokens");
    if (record->batch == 0) return mx_fail(err, MX_ERR_FORMAT, "\"batch\" must be a number of sequences");
    if (record->measure >= MX_MEASURE_COUNT) return mx_fail(err, MX_ERR_FORMAT, "an unknown measure");
    const struct mx_measure_info *info = &measures[record->measure];
    if (!(record->value >= info->low && record->value <= info->high))
        return mx_fail(err, MX_ERR_FORMAT, "\"%s\" must be a number from %g to %g", info->name, info->low, info->high);
    if (!(record->error >= 0 && isfinite(record->error)))
        return mx_fail(err, MX_ERR_FORMAT, "the error of \"%s\" must be a number that is not negative", info->name);
    if (!info->positioned && record->at != 0) return mx_fail(err, MX_ERR_FORMAT, "\"%s\" has no positions", info->name);
    return MX_OK;
}

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

int mx_record_compare(const struct mx_record *a, const struct mx_record *b)
{
    const int orders[] = {
        strcmp(a->model.fingerprint, b->model.fingerprint),
        strcmp(a->machine.fingerprint, b->machine.fingerprint),
        strcmp(a->version, b->version),
        strcmp(a->plan.name, b->plan.name),
        ORDER(a->plan.recent, b->plan.recent),
        ORDER(a->plan.sink, b->plan.sink),
        ORDER(a->plan.boundary_v, b->plan.boundary_v),
        strcmp(a->plan.center, b->plan.center),
        ORDER(a->context, b->context),
        ORDER(a->batch, b->batch),
        strcmp(a->text, b->text),
        strcmp(measures[a->measure].name, measures[b->measure].name),
        ORDER(a->at, b->at),
    };
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
        if (orders[i]) return orders[i];
    return 0;
}

static int compare_records(const void *a, const void *b)
{
    return mx_record_compare(a, b);
}

void mx_record_sort(struct mx_record *records, size_t count)
{
    if (count) qsort(records, count, sizeof *records, compare_records);
}

/* Of records in a list: the same ones side by side, the one to keep last. */
static int compare_places(const void *a, const void *b)
{
    const struct mx_record *const x = *(const struct mx_record *const *)a, *const y =
                                                                               *(const struct mx_record *const *)b;
    const int orders[] = {mx_record_compare(x, y), strcmp(x->date, y->date), ORDER(x, y)};
    return orders[0] ? orders[0] : orders[1] ? orders[1] : orders[2];
}

static int compare_addresses(const void *a, const void *b)
{
    const struct mx_record *const x = *(const struct mx_record *const *)a, *const y =
                                                                               *(const struct mx_record *const *)b;
    return ORDER(x, y);
}

mx_status mx_record_merge(struct mx_record *records, size_t *count, struct mx_error *err)
{
    size_t kept = 0;
    if (*count == 0) return MX_OK;
    const struct mx_record **places = malloc(*count * sizeof(const struct mx_record *));
    if (!places) return mx_fail_memory(err, "the records", *count * sizeof(const struct mx_record *));
    for (size_t i = 0; i < *count; i++) places[i] = &records[i];
    qsort(places, *count, sizeof *places, compare_places);
    for (size_t i = 0; i < *count; i++)
        if (i + 1 == *count || mx_record_compare(places[i], places[i + 1]) != 0) places[kept++] = places[i];
    qsort(places, kept, sizeof *places, compare_addresses);
    for (size_t i = 0; i < kept; i++)
        if (places[i] != &records[i]) records[i] = *places[i]; /* moves down, over what went before it */
    *count = kept;
    free(places);
    return MX_OK;
}
