/* Each kind of normalizer is a row of `kinds`: its name in the file, how its settings are read, what it does.
 * Unicode's own forms come from utf8proc; SentencePiece's table is in precompiled.c. */
#include "tokenizer/normalize.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "tokenizer/bytes.h"
#include "tokenizer/limits.h"

/* Where the text begins: have its first characters been dropped? Those that a step has put there don't count. */
struct front {
    size_t inserted; /* bytes at the beginning that no character of the text stands for */
    bool dropped;
};

static void drop_front(struct front *front, size_t bytes)
{
    front->dropped = front->dropped || bytes > front->inserted;
    front->inserted -= bytes < front->inserted ? bytes : front->inserted;
}

/* One application of one step: `text` is read, the result is appended to `out`. */
struct job {
    const struct mx_normalizer_step *step;
    const char *text;
    size_t length;
    struct mx_str *out;
    uint64_t limit; /* bytes of `out` */
    struct front *front;
    struct mx_regex_state *state;
    struct mx_error *err;
};

struct mx_normalizer_kind {
    const char *type;
    mx_status (*parse)(struct mx_normalizer_step *step, const struct mx_settings *settings); /* may be NULL */
    mx_status (*apply)(const struct job *job);
};

/* Unicode forms. `form` is a set of utf8proc options. */

static mx_status parse_nfc(struct mx_normalizer_step *step, const struct mx_settings *settings)
{
    step->form = UTF8PROC_COMPOSE;
    return MX_OK;
}

static mx_status parse_nfd(struct mx_normalizer_step *step, const struct mx_settings *settings)
{
    step->form = UTF8PROC_DECOMPOSE;
    return MX_OK;
}

static mx_status parse_nfkc(struct mx_normalizer_step *step, const struct mx_settings *settings)
{
    step->form = UTF8PROC_COMPOSE | UTF8PROC_COMPAT;
    return MX_OK;
}

static mx_status parse_nfkd(struct mx_normalizer_step *step, const struct mx_settings *settings)
{
    step->form = UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT;
    return MX_OK;
}

/* Characters, decomposed; [spare] is as large. */
struct points {
    int32_t *data, *spare;
    size_t count, room;
};

static bool reserve_points(struct points *points, size_t room)
{
    int32_t *data = realloc(points->data, room * sizeof *data);
    if (data) points->data = data;
    int32_t *spare = realloc(points->spare, room * sizeof *spare);
    if (spare) points->spare = spare;
    if (data && spare) points->room = room;
    return data && spare;
}

static bool decompose(int form, const char *text, size_t length, struct points *points)
{
    enum { LONGEST = 32 }; /* characters that one may become; Unicode's longest are 18 */
    for (const char *at = text, *end = text + length; at < end;) {
        if (points->room - points->count < LONGEST &&
            !reserve_points(points, points->room ? points->room * 2 : length + LONGEST))
            return false;
        int unused = 0;
        const utf8proc_ssize_t size =
            utf8proc_decompose_char((utf8proc_int32_t)mx_utf8_next(&at), points->data + points->count, LONGEST,
                                    (utf8proc_option_t)form, &unused);
        if (size > 0 && size <= LONGEST) points->count += (size_t)size;
    }
    return true;
}

static int combining_class(int32_t c)
{
    return c < 0x300 ? 0 : utf8proc_get_property(c)->combining_class;
}

/* Orders [from, to), marks all of them, by their classes; of equal classes the order stays. By counting: utf8proc's own
 * way takes the square of their number. */
static void order_run(struct points *points, size_t from, size_t to)
{
    size_t starts[256] = {0}, sum = from;
    for (size_t i = from; i < to; i++) starts[combining_class(points->data[i])]++;
    for (int class = 0; class < 256; class ++) {
        const size_t count = starts[class];
        starts[class] = sum;
        sum += count;
    }
    for (size_t i = from; i < to; i++) points->spare[starts[combining_class(points->data[i])]++] = points->data[i];
    memcpy(points->data + from, points->spare + from, (to - from) * sizeof *points->data);
}

/* Unicode's canonical ordering (The Unicode Standard, 3.11). */
static void order_marks(struct points *points)
{
    for (size_t i = 0; i < points->count; i++) {
        const size_t from = i;
        bool ordered = true;
        for (int before = 0, class; i < points->count && (class = combining_class(points->data[i])) > 0; i++) {
            ordered = ordered && before <= class;
            before = class;
        }
        if (!ordered) order_run(points, from, i);
    }
}

static mx_status unicode_form(int form, const char *text, size_t length, struct mx_str *out, struct mx_error *err)
{
    struct points points = {0};
    form |= UTF8PROC_STABLE;
    const bool enough = decompose(form, text, length, &points);
    if (enough && points.count) {
        order_marks(&points);
        const utf8proc_ssize_t count =
            utf8proc_normalize_utf32(points.data, (utf8proc_ssize_t)points.count, (utf8proc_option_t)form);
        for (utf8proc_ssize_t i = 0; i < count; i++) mx_utf8_put(out, (uint32_t)points.data[i]);
    }
    free(points.data);
    free(points.spare);
    return enough ? MX_OK : mx_fail_memory(err, "normalized text", length);
}

/* Does nothing in any form change this character, and does no other character combine with it? Then the text may be
 * cut before it, and runs of such characters are copied. ASCII always is; for NFC, so are all below U+0300 and the
 * ideographs. */
static bool is_inert(int form, uint32_t c)
{
    if (form != UTF8PROC_COMPOSE) return c < 0x80;
    return c < 0x300 || (c >= 0x3400 && c < 0x4dc0) || (c >= 0x4e00 && c < 0xa000);
}

static mx_status apply_form(const struct job *job)
{
    const char *at = job->text, *end = job->text + job->length, *run = job->text; /* [run, at) is to be copied */
    while (at < end) {
        const char *here = at;
        if (is_inert(job->step->form, mx_utf8_next(&at))) continue;
        /* The character before may combine with this one, the next inert one not. */
        const char *from = here;
        if (from > run) mx_utf8_before(run, from, &from);
        mx_str_append(job->out, run, (size_t)(from - run));
        const char *to = at;
        while (to < end) {
            const char *next = to;
            if (is_inert(job->step->form, mx_utf8_next(&next))) break;
            to = next;
        }
        MX_TRY(unicode_form(job->step->form, from, (size_t)(to - from), job->out, job->err));
        run = at = to;
    }
    mx_str_append(job->out, run, (size_t)(end - run));
    return MX_OK;
}

/* Character by character. */

static void put_lower(struct mx_str *out, uint32_t c)
{
    if (c == 0x130) /* the one letter whose lower case is two characters */
        mx_str_puts(out, "i\xcc\x87");
    else
        mx_utf8_put(out, (uint32_t)utf8proc_tolower((utf8proc_int32_t)c));
}

static mx_status apply_lowercase(const struct job *job)
{
    for (const char *at = job->text, *end = job->text + job->length; at < end;) put_lower(job->out, mx_utf8_next(&at));
    return MX_OK;
}

static mx_status apply_strip_accents(const struct job *job)
{
    for (const char *at = job->text, *end = job->text + job->length; at < end;) {
        const char *start = at;
        if (!mx_char_is_mark(mx_utf8_next(&at)))
            mx_str_append(job->out, start, (size_t)(at - start));
        else if (!job->out->length)
            drop_front(job->front, (size_t)(at - start));
    }
    return MX_OK;
}

/* SentencePiece's "nmt" rules: control characters go, odd spaces become spaces. */
static mx_status apply_nmt(const struct job *job)
{
    for (const char *at = job->text, *end = job->text + job->length; at < end;) {
        const char *start = at;
        const uint32_t c = mx_utf8_next(&at);
        if ((c >= 0x01 && c <= 0x08) || c == 0x0b || (c >= 0x0e && c <= 0x1f) || c == 0x7f || c == 0x8f || c == 0x9f) {
            if (!job->out->length) drop_front(job->front, (size_t)(at - start));
            continue;
        }
        const bool space = c == 0x09 || c == 0x0a || c == 0x0c || c == 0x0d || c == 0x1680 ||
                           (c >= 0x200b && c <= 0x200f) || c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xfeff ||
                           c == 0xfffd;
        mx_utf8_put(job->out, space ? ' ' : c);
    }
    return MX_OK;
}

static mx_status apply_byte_level(const struct job *job)
{
    mx_bytes_to_chars(job->out, job->text, job->length);
    return MX_OK;
}

/* Strip */

static mx_status parse_strip(struct mx_normalizer_step *step, const struct mx_settings *settings)
{
    MX_TRY(mx_settings_bool(settings, "strip_left", false, &step->left));
    return mx_settings_bool(settings, "strip_right", false, &step->right);
}

static mx_status apply_strip(const struct job *job)
{
    const char *begin = job->text, *end = job->text + job->length;
    while (job->step->left && begin < end) {
        const char *next = begin;
        if (!mx_char_is_space(mx_utf8_next(&next))) break;
        begin = next;
    }
    while (job->step->right && begin < end) {
        const char *last;
        if (!mx_char_is_space(mx_utf8_before(begin, end, &last))) break;
        end = last;
    }
    drop_front(job->front, (size_t)(begin - job->text));
    mx_str_append(job->out, begin, (size_t)(end - begin));
    return MX_OK;
}

/* Prepend, Replace */

static mx_status parse_prepend(struct mx_normalizer_step *step, const struct mx_settings *settings)
{
    return mx_settings_text(settings, "prepend", NULL, &step->text);
}

static mx_status apply_prepend(const struct job *job)
{
    if (job->length) {
        mx_str_puts(job->out, job->step->text);
        job->front->inserted += job->out->length;
    }
    mx_str_append(job->out, job->text, job->length);
    return MX_OK;
}

static mx_status parse_replace(struct mx_normalizer_step *step, const struct mx_settings *settings)
{
    MX_TRY(mx_settings_text(settings, "content", NULL, &step->text));
    return mx_pattern_parse(&step->pattern, settings);
}

static mx_status apply_replace(const struct job *job)
{
    struct mx_matches matches = {.text = job->text, .length = job->length};
    size_t copied = 0;
    const size_t inserted = job->front->inserted;
    for (;;) {
        bool found;
        MX_TRY(mx_pattern_next(&job->step->pattern, job->state, &matches, &found, job->err));
        if (!found) break;
        mx_str_append(job->out, job->text + copied, matches.start - copied);
        mx_str_puts(job->out, job->step->text);
        copied = matches.end;
        if (!job->out->length)
            drop_front(job->front, matches.end - matches.start);
        else if (matches.end <= inserted)
            job->front->inserted += strlen(job->step->text) - (matches.end - matches.start);
        if (job->out->length > job->limit) return MX_OK; /* said by the caller */
    }
    mx_str_append(job->out, job->text + copied, job->length - copied);
    return MX_OK;
}

/* BertNormalizer: cleaning, spaces around ideographs, accents, lower case, in this order. */

static mx_status parse_bert(struct mx_normalizer_step *step, const struct mx_settings *settings)
{
    MX_TRY(mx_settings_bool(settings, "clean_text", true, &step->clean));
    MX_TRY(mx_settings_bool(settings, "handle_chinese_chars", true, &step->chinese));
    MX_TRY(mx_settings_bool(settings, "lowercase", true, &step->lower));
    return mx_settings_bool(settings, "strip_accents", step->lower, &step->accents); /* null: as `lowercase` says */
}

static bool is_ideograph(uint32_t c)
{
    return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) ||
           (c >= 0x2a700 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) || (c >= 0xf900 && c <= 0xfaff) ||
           (c >= 0x2f800 && c <= 0x2fa1f);
}

static bool is_control(uint32_t c)
{
    if (c == '\t' || c == '\n' || c == '\r') return false;
    return utf8proc_category((utf8proc_int32_t)c) >= UTF8PROC_CATEGORY_CC;
}

static void bert_clean(const struct mx_normalizer_step *step, const char *text, size_t length, struct mx_str *out,
                       struct front *front)
{
    for (const char *at = text, *end = text + length; at < end;) {
        const char *start = at;
        uint32_t c = mx_utf8_next(&at);
        if (step->clean) {
            if (c == 0 || c == 0xfffd || is_control(c)) {
                if (!out->length) drop_front(front, (size_t)(at - start));
                continue;
            }
            if (mx_char_is_space(c)) c = ' ';
        }
        const bool apart = step->chinese && is_ideograph(c);
        if (apart) mx_str_putc(out, ' ');
        mx_utf8_put(out, c);
        if (apart) mx_str_putc(out, ' ');
    }
}

static mx_status apply_bert(const struct job *job)
{
    struct mx_str clean = {0}, apart = {0};
    bert_clean(job->step, job->text, job->length, &clean, job->front);
    mx_status status = MX_OK;
    if (job->step->accents)
        status = unicode_form(UTF8PROC_DECOMPOSE, mx_str_text(&clean), clean.length, &apart, job->err);
    else
        mx_str_append(&apart, clean.data, clean.length);
    const char *at = mx_str_text(&apart), *end = at + apart.length;
    while (status == MX_OK && at < end) {
        const char *start = at;
        const uint32_t c = mx_utf8_next(&at);
        if (job->step->accents && utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_MN) {
            if (!job->out->length) drop_front(job->front, (size_t)(at - start));
            continue;
        }
        if (job->step->lower)
            put_lower(job->out, c);
        else
            mx_utf8_put(job->out, c);
    }
    mx_str_inherit(job->out, &clean);
    mx_str_inherit(job->out, &apart);
    mx_str_free(&clean);
    mx_str_free(&apart);
    return status;
}

/* Precompiled */

static mx_status parse_precompiled(struct mx_normalizer_step *step, const struct mx_settings *settings)
{
    return mx_precompiled_parse(&step->charsmap, settings);
}

static mx_status apply_precompiled(const struct job *job)
{
    mx_precompiled_apply(&job->step->charsmap, job->text, job->length, job->limit, job->out);
    return MX_OK;
}

static const struct mx_normalizer_kind kinds[] = {
    {"NFC", parse_nfc, apply_form},
    {"NFD", parse_nfd, apply_form},
    {"NFKC", parse_nfkc, apply_form},
    {"NFKD", parse_nfkd, apply_form},
    {"Lowercase", NULL, apply_lowercase},
    {"StripAccents", NULL, apply_strip_accents},
    {"Strip", parse_strip, apply_strip},
    {"Prepend", parse_prepend, apply_prepend},
    {"Replace", parse_replace, apply_replace},
    {"Nmt", NULL, apply_nmt},
    {"Precompiled", parse_precompiled, apply_precompiled},
    {"BertNormalizer", parse_bert, apply_bert},
    {"ByteLevel", NULL, apply_byte_level},
    {"Sequence", NULL, NULL},
};

static mx_status parse_into(struct mx_normalizer_step ***tail, const struct mx_settings *settings)
{
    const void *row;
    MX_TRY(mx_settings_kind(settings, kinds, sizeof kinds / sizeof *kinds, sizeof *kinds, &row));
    const struct mx_normalizer_kind *kind = row;
    if (!kind->apply) { /* a sequence: its members stand in its place */
        const cJSON *list, *member;
        MX_TRY(mx_settings_list(settings, "normalizers", &list));
        struct mx_settings inner = *settings;
        cJSON_ArrayForEach (member, list) {
            inner.json = member;
            MX_TRY(parse_into(tail, &inner));
        }
        return MX_OK;
    }
    struct mx_normalizer_step *step = mx_arena_alloc(settings->arena, sizeof *step);
    if (!step) return mx_fail_memory(settings->err, settings->file, sizeof *step);
    step->kind = kind;
    **tail = step;
    *tail = &step->next;
    return kind->parse ? kind->parse(step, settings) : MX_OK;
}

mx_status mx_normalizer_parse(struct mx_normalizer *normalizer, const struct mx_settings *settings)
{
    *normalizer = (struct mx_normalizer){0};
    struct mx_normalizer_step **tail = &normalizer->steps;
    if (cJSON_IsNull(settings->json) || !settings->json) return MX_OK;
    MX_TRY(parse_into(&tail, settings));
    size_t count = 0;
    for (const struct mx_normalizer_step *step = normalizer->steps; step; step = step->next) count++;
    return count > MX_MAX_STEPS ? mx_fail_steps(settings->err, settings->file, settings->place) : MX_OK;
}

void mx_normalizer_free(struct mx_normalizer *normalizer)
{
    for (struct mx_normalizer_step *step = normalizer->steps; step; step = step->next) {
        mx_pattern_free(&step->pattern);
        mx_precompiled_free(&step->charsmap);
    }
    normalizer->steps = NULL;
}

mx_status mx_normalizer_apply(const struct mx_normalizer *normalizer, struct mx_regex_state *state, const char *text,
                              size_t length, struct mx_str *out, struct mx_str *spare, bool *front,
                              struct mx_error *err)
{
    const uint64_t limit = mx_growth_limit(length);
    struct front start = {0};
    mx_str_clear(out);
    if (normalizer->sentencepiece) {
        mx_sp_normalize(normalizer->sentencepiece, text, length, *front, limit, out);
        if (out->length > limit) return mx_fail_growth(err, "normalizer");
    } else if (!normalizer->steps) {
        mx_str_append(out, text, length);
    }
    for (const struct mx_normalizer_step *step = normalizer->steps; step; step = step->next) {
        MX_TRY(step->kind->apply(&(struct job){step, text, length, out, limit, &start, state, err}));
        if (out->length > limit) return mx_fail_growth(err, "normalizer");
        if (!step->next) break;
        const struct mx_str swap = *spare; /* what came out goes into the next step */
        *spare = *out;
        *out = swap;
        mx_str_clear(out);
        text = mx_str_text(spare);
        length = spare->length;
    }
    *front = *front && !start.dropped;
    return mx_str_failed(out) || mx_str_failed(spare) ? mx_fail_memory(err, "normalized text", length) : MX_OK;
}
