/* tokenizer.json. Nearly all of it is the model's vocabulary and merges: these two are read straight from the text
 * (scan.h); the rest, a few kilobytes, is cut out, parsed into a tree and handed to the stages. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"
#include "tokenizer/internal.h"
#include "tokenizer/scan.h"

struct span {
    const char *from, *to;
};

/* The file while it is being read. */
struct reading {
    struct mx_tokenizer *tokenizer;
    struct mx_scan scan;
    struct span left_out[2]; /* vocabulary and merges, in the text's order */
    int left_out_count;
    double *scores; /* of a vocabulary that is a list */
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

/* Leaves the value between `from` and the present place out of the rest. */
static void leave_out(struct reading *reading, const char *from)
{
    reading->left_out[reading->left_out_count++] = (struct span){from, reading->scan.at};
}

/* The text with null for what was left out, whose line ends stay in if `lines` says so. */
static void put_rest(const struct reading *reading, bool lines, struct mx_str *rest)
{
    const char *at = reading->scan.text;
    for (int i = 0; i < reading->left_out_count; i++) {
        const struct span *span = &reading->left_out[i];
        mx_str_append(rest, at, (size_t)(span->from - at));
        mx_str_puts(rest, "null");
        for (at = span->from; lines && at < span->to; at++) {
            if (*at == '\n') mx_str_putc(rest, '\n');
        }
        at = span->to;
    }
    mx_str_append(rest, at, (size_t)(reading->scan.end - at));
}

static mx_status parse_rest(const struct reading *reading, bool lines, cJSON **root)
{
    static const struct mx_json_rules rules = {.allow_nan = false, .allow_duplicates = false};
    const char *name = reading->scan.name;
    struct mx_str rest = {0};
    mx_status status = MX_OK;
    put_rest(reading, lines, &rest);
    if (mx_str_failed(&rest))
        status = mx_fail_memory(reading->err, name, rest.length);
    else if (mx_utf8_valid_length(mx_str_text(&rest), rest.length) < rest.length)
        status = mx_fail(reading->err, MX_ERR_FORMAT, "%s: not UTF-8 text", name);
    else
        status = mx_json_parse(root, mx_str_text(&rest), rest.length, name, &rules, reading->err);
    mx_str_free(&rest);
    return status;
}

static mx_status read_vocab(struct reading *reading)
{
    if (reading->has_vocab)
        return mx_scan_fail(&reading->scan, MX_ERR_FORMAT, "a second \"vocab\" in the model", reading->err);
    reading->has_vocab = true;
    const char c = mx_scan_peek(&reading->scan), *from = reading->scan.at;
    if (c != '{' && c != '[')
        return mx_scan_fail(&reading->scan, MX_ERR_FORMAT, "\"vocab\" should be an object or a list", reading->err);
    /* No piece is longer than its JSON, and none comes with less than {"":0} of it. */
    const size_t length = (size_t)(reading->scan.end - from);
    MX_TRY(mx_vocab_reserve(&reading->tokenizer->vocab, length / 6, length, reading->scan.name, reading->err));
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

/* Walks over the whole text once: reads the vocabulary, finds the merges. */
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
    /* Random merges help training; a text has one list of ids. */
    const cJSON *dropout = mx_json_get_set(settings->json, "dropout");
    if (dropout && !(cJSON_IsNumber(dropout) && dropout->valuedouble == 0))
        tokenizer->note = "the tokenizer asks for \"dropout\", random merges for training: ignored";
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
    MX_TRY(mx_added_parse(&tokenizer->added, &added, &tokenizer->vocab, &tokenizer->normalizer, false));
    MX_TRY(mx_pretokenizer_parse(&tokenizer->pretokenizer, &words));
    MX_TRY(mx_postprocessor_parse(&tokenizer->post, &post));
    return mx_decoder_parse(&tokenizer->decoder, &decoder);
}

mx_status mx_tokenizer_load(struct mx_tokenizer *tokenizer, const char *json, size_t length, const char *name,
                            struct mx_error *err)
{
    struct reading reading = {.tokenizer = tokenizer, .err = err};
    reading.scan = (struct mx_scan){.text = json, .at = json, .end = json + length, .name = name};
    cJSON *root = NULL;
    mx_status status = survey(&reading);
    if (status == MX_OK) {
        status = parse_rest(&reading, false, &root);
        if (status != MX_OK) status = parse_rest(&reading, true, &root); /* again, for the line in the message */
    }
    if (status == MX_OK) status = load_stages(&reading, root);
    cJSON_Delete(root);
    mx_str_free(&reading.scan.buffer);
    free(reading.scores);
    return status;
}
