/* Each kind of normalizer is a row of `kinds`: its name in the file, how its settings are read, what it does.
 * Unicode's own forms come from utf8proc; SentencePiece's table is in precompiled.c. */
#include "tokenizer/normalize.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "tokenizer/bytes.h"

/* One application of one step: `text` is read, the result is appended to `out`. */
struct job {
    const struct mx_normalizer_step *step;
    const char *text;
    size_t length;
    struct mx_str *out;
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

static mx_status unicode_form(int form, const char *text, size_t length, struct mx_str *out, struct mx_error *err)
{
    utf8proc_uint8_t *result = NULL;
    const utf8proc_ssize_t size = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)length, &result,
                                               (utf8proc_option_t)(form | UTF8PROC_STABLE));
    if (size < 0)
        return size == UTF8PROC_ERROR_NOMEM
                   ? mx_fail_memory(err, "normalized text", length)
                   : mx_fail(err, MX_ERR_LIMIT, "Unicode normalization failed: %s", utf8proc_errmsg(size));
    mx_str_append(out, result, (size_t)size);
    free(result);
    return MX_OK;
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
        if (!mx_char_is_mark(mx_utf8_next(&at))) mx_str_append(job->out, start, (size_t)(at - start));
    }
    return MX_OK;
}

/* SentencePiece's "nmt" rules: control characters go, odd spaces become spaces. */
static mx_status apply_nmt(const struct job *job)
{
    for (const char *at = job->text, *end = job->text + job->length; at < end;) {
        const uint32_t c = mx_utf8_next(&at);
        if ((c >= 0x01 && c <= 0x08) || c == 0x0b || (c >= 0x0e && c <= 0x1f) || c == 0x7f || c == 0x8f || c == 0x9f)
            continue;
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
    if (job->length) mx_str_puts(job->out, job->step->text);
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
    for (;;) {
        bool found;
        MX_TRY(mx_pattern_next(&job->step->pattern, job->state, &matches, &found, job->err));
        if (!found) break;
        mx_str_append(job->out, job->text + copied, matches.start - copied);
        mx_str_puts(job->out, job->step->text);
        copied = matches.end;
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

static void bert_clean(const struct mx_normalizer_step *step, const char *text, size_t length, struct mx_str *out)
{
    for (const char *at = text, *end = text + length; at < end;) {
        uint32_t c = mx_utf8_next(&at);
        if (step->clean) {
            if (c == 0 || c == 0xfffd || is_control(c)) continue;
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
    bert_clean(job->step, job->text, job->length, &clean);
    mx_status status = MX_OK;
    if (job->step->accents)
        status = unicode_form(UTF8PROC_DECOMPOSE, mx_str_text(&clean), clean.length, &apart, job->err);
    else
        mx_str_append(&apart, clean.data, clean.length);
    const char *at = mx_str_text(&apart), *end = at + apart.length;
    while (status == MX_OK && at < end) {
        const uint32_t c = mx_utf8_next(&at);
        if (job->step->accents && utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_MN) continue;
        if (job->step->lower)
            put_lower(job->out, c);
        else
            mx_utf8_put(job->out, c);
    }
    job->out->failed = job->out->failed || clean.failed || apart.failed;
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
    mx_precompiled_apply(&job->step->charsmap, job->text, job->length, job->out);
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
    normalizer->steps = NULL;
    struct mx_normalizer_step **tail = &normalizer->steps;
    return cJSON_IsNull(settings->json) || !settings->json ? MX_OK : parse_into(&tail, settings);
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
                              size_t length, struct mx_str *out, struct mx_str *spare, struct mx_error *err)
{
    mx_str_clear(out);
    if (!normalizer->steps) mx_str_append(out, text, length);
    for (const struct mx_normalizer_step *step = normalizer->steps; step; step = step->next) {
        MX_TRY(step->kind->apply(&(struct job){step, text, length, out, state, err}));
        if (!step->next) break;
        const struct mx_str swap = *spare; /* what came out goes into the next step */
        *spare = *out;
        *out = swap;
        mx_str_clear(out);
        text = mx_str_text(spare);
        length = spare->length;
    }
    return mx_str_failed(out) || mx_str_failed(spare) ? mx_fail_memory(err, "normalized text", length) : MX_OK;
}
