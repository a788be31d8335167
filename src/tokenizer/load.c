/* tokenizer.json. Nearly all of it is the model's vocabulary and merges: these two are read straight from the text
 * (scan.h); the rest, a few kilobytes, is cut out, parsed into a tree and handed to the stages. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "tokenizer/internal.h"
#include "tokenizer/scan.h"
#include "tokenizer/utf8.h"

/* The file while it is being read. */
struct reading {
    struct mx_tokenizer *tokenizer;
    struct mx_scan scan;
    struct mx_str rest; /* the text without vocabulary and merges */
    const char *copied; /* the text before this is in `rest` */
    double *scores;     /* of a vocabulary that is a list */
    size_t scored, room;
    bool has_vocab;
    const char *merges; /* where the value of "merges" stands */
    struct mx_error *err;
};

/* {"piece": id, ...} */
static mx_status read_ids(struct reading *reading)
{
    struct mx_scan *scan = &reading->scan;
    MX_TRY(mx_scan_expect(scan, '{', reading->err));
    for (bool first = true;; first = false) {
        bool more;
        const char *piece;
        size_t length;
        double id;
        MX_TRY(mx_scan_more(scan, '}', first, &more, reading->err));
        if (!more) return MX_OK;
        MX_TRY(mx_scan_string(scan, &piece, &length, reading->err));
        MX_TRY(mx_scan_expect(scan, ':', reading->err));
        MX_TRY(mx_scan_number(scan, &id, reading->err));
        if (!(id >= 0 && id <= MX_VOCAB_MAX_ID) || id != (double)(int64_t)id)
            return mx_scan_fail(scan, MX_ERR_LIMIT, "an id that is no whole number or beyond 4194303", reading->err);
        MX_TRY(mx_vocab_note(&reading->tokenizer->vocab, piece, length, (int64_t)id, scan->name, reading->err));
    }
}

/* [["piece", score], ...] */
static mx_status read_scores(struct reading *reading)
{
    struct mx_scan *scan = &reading->scan;
    MX_TRY(mx_scan_expect(scan, '[', reading->err));
    for (bool first = true;; first = false) {
        bool more;
        const char *piece;
        size_t length;
        MX_TRY(mx_scan_more(scan, ']', first, &more, reading->err));
        if (!more) break;
        if (reading->scored == reading->room) {
            const size_t room = reading->room ? reading->room * 2 : 1024;
            double *scores = realloc(reading->scores, room * sizeof *scores);
            if (!scores) return mx_fail_memory(reading->err, scan->name, room * sizeof *scores);
            reading->scores = scores;
            reading->room = room;
        }
        MX_TRY(mx_scan_expect(scan, '[', reading->err));
        MX_TRY(mx_scan_string(scan, &piece, &length, reading->err));
        MX_TRY(mx_vocab_note(&reading->tokenizer->vocab, piece, length, (int64_t)reading->scored, scan->name,
                             reading->err));
        MX_TRY(mx_scan_expect(scan, ',', reading->err));
        MX_TRY(mx_scan_number(scan, &reading->scores[reading->scored++], reading->err));
        MX_TRY(mx_scan_expect(scan, ']', reading->err));
    }
    return reading->scored ? MX_OK : mx_scan_fail(scan, MX_ERR_FORMAT, "the vocabulary is empty", reading->err);
}

/* Leaves the value between `from` and the present place out of the rest; line numbers stay what they were. */
static void leave_out(struct reading *reading, const char *from)
{
    mx_str_append(&reading->rest, reading->copied, (size_t)(from - reading->copied));
    mx_str_puts(&reading->rest, "null");
    while ((from = memchr(from, '\n', (size_t)(reading->scan.at - from)))) {
        mx_str_putc(&reading->rest, '\n');
        from++;
    }
    reading->copied = reading->scan.at;
}

static mx_status read_vocab(struct reading *reading)
{
    if (reading->has_vocab)
        return mx_scan_fail(&reading->scan, MX_ERR_FORMAT, "a second \"vocab\" in the model", reading->err);
    reading->has_vocab = true;
    const char c = mx_scan_peek(&reading->scan), *from = reading->scan.at;
    if (c != '{' && c != '[')
        return mx_scan_fail(&reading->scan, MX_ERR_FORMAT, "\"vocab\" should be an object or a list", reading->err);
    MX_TRY(c == '{' ? read_ids(reading) : read_scores(reading));
    MX_TRY(mx_vocab_index(&reading->tokenizer->vocab, reading->scan.name, reading->err));
    leave_out(reading, from);
    return MX_OK;
}

/* Merges need the vocabulary and the model's settings: their place is noted for later. */
static mx_status note_merges(struct reading *reading)
{
    if (reading->merges)
        return mx_scan_fail(&reading->scan, MX_ERR_FORMAT, "a second \"merges\" in the model", reading->err);
    mx_scan_peek(&reading->scan);
    reading->merges = reading->scan.at;
    MX_TRY(mx_scan_skip(&reading->scan, reading->err));
    leave_out(reading, reading->merges);
    return MX_OK;
}

static mx_status survey_model(struct reading *reading)
{
    struct mx_scan *scan = &reading->scan;
    if (!mx_scan_take(scan, '{')) return mx_scan_skip(scan, reading->err); /* of a wrong type: said later */
    for (bool first = true;; first = false) {
        bool more;
        const char *key;
        size_t length;
        MX_TRY(mx_scan_more(scan, '}', first, &more, reading->err));
        if (!more) return MX_OK;
        MX_TRY(mx_scan_string(scan, &key, &length, reading->err));
        const bool vocab = length == 5 && memcmp(key, "vocab", 5) == 0;
        const bool merges = length == 6 && memcmp(key, "merges", 6) == 0;
        MX_TRY(mx_scan_expect(scan, ':', reading->err));
        MX_TRY(vocab ? read_vocab(reading) : merges ? note_merges(reading) : mx_scan_skip(scan, reading->err));
    }
}

/* Walks over the whole text once: reads the vocabulary, finds the merges, keeps the rest. */
static mx_status survey(struct reading *reading)
{
    struct mx_scan *scan = &reading->scan;
    MX_TRY(mx_scan_expect(scan, '{', reading->err));
    for (bool first = true;; first = false) {
        bool more;
        const char *key;
        size_t length;
        MX_TRY(mx_scan_more(scan, '}', first, &more, reading->err));
        if (!more) break;
        MX_TRY(mx_scan_string(scan, &key, &length, reading->err));
        const bool model = length == 5 && memcmp(key, "model", 5) == 0;
        MX_TRY(mx_scan_expect(scan, ':', reading->err));
        MX_TRY(model ? survey_model(reading) : mx_scan_skip(scan, reading->err));
    }
    mx_str_append(&reading->rest, reading->copied, (size_t)(scan->end - reading->copied));
    if (mx_str_failed(&reading->rest)) return mx_fail_memory(reading->err, scan->name, reading->rest.length);
    const size_t valid = mx_utf8_valid_length(mx_str_text(&reading->rest), reading->rest.length);
    if (valid < reading->rest.length) return mx_fail(reading->err, MX_ERR_FORMAT, "%s: not UTF-8 text", scan->name);
    return MX_OK;
}

static mx_status load_model(struct reading *reading, const struct mx_settings *settings)
{
    struct mx_tokenizer *tokenizer = reading->tokenizer;
    struct mx_scan *merges = NULL;
    if (!cJSON_IsObject(settings->json) || !reading->has_vocab)
        return mx_fail(reading->err, MX_ERR_FORMAT, "%s: no \"model\" with a \"vocab\": this is not a tokenizer.json",
                       settings->file);
    if (reading->merges && *reading->merges != 'n') { /* not null */
        merges = &reading->scan;
        merges->at = reading->merges;
    }
    struct mx_subword_source source = {settings, &tokenizer->vocab, reading->scores, reading->scored, merges};
    const mx_status status = mx_subword_open(&tokenizer->model, &source);
    reading->scores = source.scores;
    return status;
}

static mx_status load_stages(struct reading *reading, const cJSON *root)
{
    struct mx_tokenizer *tokenizer = reading->tokenizer;
    const struct mx_settings base = {NULL, reading->scan.name, NULL, &tokenizer->arena, reading->err};
#define STAGE(KEY)                                                                                                     \
    (struct mx_settings)                                                                                               \
    {                                                                                                                  \
        mx_json_get(root, KEY), base.file, KEY, base.arena, base.err                                                   \
    }
    const struct mx_settings model = STAGE("model"), normalizer = STAGE("normalizer"), added = STAGE("added_tokens"),
                             words = STAGE("pre_tokenizer"), post = STAGE("post_processor"), decoder = STAGE("decoder");
#undef STAGE
    MX_TRY(load_model(reading, &model));
    MX_TRY(mx_normalizer_parse(&tokenizer->normalizer, &normalizer));
    MX_TRY(mx_added_parse(&tokenizer->added, &added, &tokenizer->vocab, &tokenizer->normalizer));
    MX_TRY(mx_pretokenizer_parse(&tokenizer->pretokenizer, &words));
    MX_TRY(mx_postprocessor_parse(&tokenizer->post, &post));
    return mx_decoder_parse(&tokenizer->decoder, &decoder);
}

mx_status mx_tokenizer_load(struct mx_tokenizer *tokenizer, const char *json, size_t length, const char *name,
                            struct mx_error *err)
{
    struct reading reading = {.tokenizer = tokenizer, .copied = json, .err = err};
    reading.scan = (struct mx_scan){.text = json, .at = json, .end = json + length, .name = name};
    cJSON *root = NULL;
    const struct mx_json_rules rules = {.allow_nan = false, .allow_duplicates = false};
    mx_status status = survey(&reading);
    if (status == MX_OK)
        status = mx_json_parse(&root, mx_str_text(&reading.rest), reading.rest.length, name, &rules, err);
    if (status == MX_OK) status = load_stages(&reading, root);
    cJSON_Delete(root);
    mx_str_free(&reading.rest);
    mx_str_free(&reading.scan.buffer);
    free(reading.scores);
    return status;
}
