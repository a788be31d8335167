/* tekken.json, Mistral's: byte strings by rank, as tiktoken has them, behind a block of special tokens. A byte string
 * of rank r has the id r + the number of special tokens; a lower rank is merged first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "base/utf8.h"
#include "tokenizer/added_list.h"
#include "tokenizer/around.h"
#include "tokenizer/base64.h"
#include "tokenizer/bytes.h"
#include "tokenizer/internal.h"
#include "tokenizer/limits.h"
#include "tokenizer/scan.h"

struct span {
    const char *from, *to; /* NULL: absent */
};

struct loading {
    struct mx_tokenizer *tokenizer;
    struct mx_scan scan;
    struct span config, vocab, special;
    int64_t vocab_size, special_count; /* all ids; those of special tokens */
    const char *pattern;               /* in the arena */
    const struct mx_beside *beside;
    struct mx_error *err;
};

/* Files of before November 2024 don't list their special tokens: they have these, and numbers. */
static const char *const former[] = {"<unk>",
                                     "<s>",
                                     "</s>",
                                     "[INST]",
                                     "[/INST]",
                                     "[AVAILABLE_TOOLS]",
                                     "[/AVAILABLE_TOOLS]",
                                     "[TOOL_RESULTS]",
                                     "[/TOOL_RESULTS]",
                                     "[TOOL_CALLS]",
                                     "[IMG]",
                                     "<pad>",
                                     "[IMG_BREAK]",
                                     "[IMG_END]",
                                     "[PREFIX]",
                                     "[MIDDLE]",
                                     "[SUFFIX]",
                                     "[SYSTEM_PROMPT]",
                                     "[/SYSTEM_PROMPT]",
                                     "[TOOL_CONTENT]"};

static bool is_key(const char *key, size_t length, const char *name)
{
    return strlen(name) == length && memcmp(key, name, length) == 0;
}

bool mx_is_tekken(const char *json, size_t length)
{
    struct mx_scan scan = {.text = json, .at = json, .end = json + length, .name = ""};
    bool found = false, more = mx_scan_take(&scan, '{');
    for (bool first = true; more; first = false) {
        const char *key;
        size_t size;
        if (mx_scan_more(&scan, '}', first, &more, NULL) != MX_OK || !more ||
            mx_scan_string(&scan, &key, &size, NULL) != MX_OK || is_key(key, size, "model"))
            break;
        found = is_key(key, size, "config") || is_key(key, size, "vocab") || is_key(key, size, "special_tokens");
        more = !found && mx_scan_take(&scan, ':') && mx_scan_skip(&scan, NULL) == MX_OK;
    }
    mx_str_free(&scan.buffer);
    return found;
}

/* Where the parts stand. */
static mx_status survey(struct loading *loading)
{
    struct mx_scan *scan = &loading->scan;
    MX_TRY(mx_scan_expect(scan, '{', loading->err));
    for (bool first = true;; first = false) {
        bool more;
        const char *key;
        size_t length;
        MX_TRY(mx_scan_more(scan, '}', first, &more, loading->err));
        if (!more) break;
        MX_TRY(mx_scan_string(scan, &key, &length, loading->err));
        struct span *span = is_key(key, length, "config")           ? &loading->config
                            : is_key(key, length, "vocab")          ? &loading->vocab
                            : is_key(key, length, "special_tokens") ? &loading->special
                                                                    : NULL;
        MX_TRY(mx_scan_expect(scan, ':', loading->err));
        mx_scan_peek(scan);
        const char *from = scan->at;
        MX_TRY(mx_scan_skip(scan, loading->err));
        if (span) *span = (struct span){from, scan->at};
    }
    if (mx_scan_peek(scan) || scan->at < scan->end)
        return mx_scan_fail(scan, MX_ERR_FORMAT, "text after the end", loading->err);
    return MX_OK;
}

static mx_status parse_span(const struct loading *loading, const struct span *span, cJSON **root)
{
    static const struct mx_json_rules rules = {.allow_nan = false};
    return mx_json_parse(root, span->from, (size_t)(span->to - span->from), loading->scan.name, &rules, loading->err);
}

static mx_status parse_text(const struct loading *loading, const struct mx_str *text, cJSON **root)
{
    if (mx_str_failed(text)) return mx_fail_memory(loading->err, loading->scan.name, text->length);
    const struct span span = {text->data, text->data + text->length};
    return parse_span(loading, &span, root);
}

static struct mx_settings settings_of(const struct loading *loading, const cJSON *json, const char *place)
{
    return (struct mx_settings){json, loading->scan.name, place, &loading->tokenizer->arena, loading->err};
}

static mx_status read_config(struct loading *loading, const cJSON *json)
{
    const struct mx_settings config = settings_of(loading, json, "config");
    MX_TRY(mx_settings_text(&config, "pattern", NULL, &loading->pattern));
    MX_TRY(mx_settings_whole(&config, "default_vocab_size", -1, 1, MX_VOCAB_MAX_ID + 1, &loading->vocab_size));
    MX_TRY(mx_settings_whole(&config, "default_num_special_tokens", -1, 0, MX_VOCAB_MAX_ID, &loading->special_count));
    if (loading->vocab_size < 0) return mx_settings_wrong(&config, "default_vocab_size", "a number of ids");
    if (loading->special_count < 0) return mx_settings_wrong(&config, "default_num_special_tokens", "a number of ids");
    return loading->vocab_size > loading->special_count
               ? MX_OK
               : mx_settings_wrong(&config, "default_vocab_size", "more than the special tokens");
}

static mx_status load_config(struct loading *loading)
{
    cJSON *json;
    if (!loading->config.from || !loading->vocab.from)
        return mx_fail(loading->err, MX_ERR_FORMAT, "%s: no \"config\" and \"vocab\": this is not a tekken.json",
                       loading->scan.name);
    MX_TRY(parse_span(loading, &loading->config, &json));
    const mx_status status = read_config(loading, json);
    cJSON_Delete(json);
    return status;
}

/* {"rank": 0, "token_bytes": "AA==", "token_str": "\u0000"}, whose rank must be `rank`: its bytes as characters. */
static mx_status read_token(struct loading *loading, int64_t rank, struct mx_str *spelled)
{
    struct mx_scan *scan = &loading->scan;
    double number = -1;
    mx_str_clear(spelled);
    MX_TRY(mx_scan_expect(scan, '{', loading->err));
    for (bool first = true;; first = false) {
        bool more;
        const char *text;
        size_t length;
        MX_TRY(mx_scan_more(scan, '}', first, &more, loading->err));
        if (!more) break;
        MX_TRY(mx_scan_string(scan, &text, &length, loading->err));
        const bool is_rank = is_key(text, length, "rank"), is_bytes = is_key(text, length, "token_bytes");
        MX_TRY(mx_scan_expect(scan, ':', loading->err));
        if (is_rank) {
            MX_TRY(mx_scan_number(scan, &number, loading->err));
        } else if (is_bytes) {
            uint8_t bytes[MX_MAX_PIECE];
            MX_TRY(mx_scan_string(scan, &text, &length, loading->err));
            if (length > MX_MAX_PIECE)
                return mx_scan_fail(scan, MX_ERR_LIMIT, "a token of more than 768 bytes", loading->err);
            const size_t size = mx_base64_decode(text, length, bytes);
            if (size == SIZE_MAX) return mx_scan_fail(scan, MX_ERR_FORMAT, "not base64", loading->err);
            mx_str_clear(spelled);
            mx_bytes_to_chars(spelled, (const char *)bytes, size);
        } else {
            MX_TRY(mx_scan_skip(scan, loading->err));
        }
    }
    if (mx_str_failed(spelled)) return mx_fail_memory(loading->err, scan->name, spelled->length);
    if (number != (double)rank || !spelled->length)
        return mx_scan_fail(scan, MX_ERR_FORMAT, "tokens should be in the order of their ranks, each with its bytes",
                            loading->err);
    return MX_OK;
}

static mx_status read_vocab(struct loading *loading, struct mx_str *spelled)
{
    struct mx_scan *scan = &loading->scan;
    struct mx_vocab *vocab = &loading->tokenizer->vocab;
    const int64_t count = loading->vocab_size - loading->special_count;
    scan->at = loading->vocab.from;
    MX_TRY(mx_scan_expect(scan, '[', loading->err));
    int64_t rank = 0;
    for (;; rank++) {
        bool more;
        MX_TRY(mx_scan_more(scan, ']', rank == 0, &more, loading->err));
        if (!more || rank == count) break; /* the file may hold more than the model uses */
        MX_TRY(read_token(loading, rank, spelled));
        MX_TRY(mx_vocab_note(vocab, spelled->data, spelled->length, rank + loading->special_count, scan->name,
                             loading->err));
    }
    MX_TRY(mx_vocab_index(vocab, scan->name, loading->err));
    if ((int64_t)vocab->count != rank)
        return mx_fail(loading->err, MX_ERR_FORMAT, "%s: a token appears twice in the vocabulary", scan->name);
    for (uint32_t byte = 0; byte < 256; byte++) {
        mx_str_clear(spelled);
        mx_utf8_put(spelled, mx_byte_char((uint8_t)byte));
        if (mx_vocab_find(vocab, mx_str_text(spelled), spelled->length) < 0)
            return mx_fail(loading->err, MX_ERR_FORMAT, "%s: no token for the byte %u", scan->name, (unsigned)byte);
    }
    return MX_OK;
}

static mx_status load_vocab(struct loading *loading)
{
    struct mx_str spelled = {0};
    MX_TRY(
        mx_vocab_reserve(&loading->tokenizer->vocab, (size_t)loading->vocab_size, 0, loading->scan.name, loading->err));
    const mx_status status = read_vocab(loading, &spelled);
    mx_str_free(&spelled);
    return status;
}

static mx_status load_model(struct loading *loading)
{
    const struct mx_vocab *vocab = &loading->tokenizer->vocab;
    struct mx_merges merges = {0};
    struct mx_str text = {0};
    cJSON *json = NULL;
    uint32_t *ranks = calloc(vocab->size, sizeof *ranks);
    if (!ranks) return mx_fail_memory(loading->err, loading->scan.name, vocab->size * sizeof *ranks);
    for (size_t id = (size_t)loading->special_count; id < vocab->size; id++)
        ranks[id] = (uint32_t)(id - (size_t)loading->special_count) + 1;
    mx_str_puts(&text, "{\"type\":\"BPE\",\"ignore_merges\":true}");
    mx_status status = parse_text(loading, &text, &json);
    if (status == MX_OK) status = mx_merges_make(&merges, vocab, ranks, loading->err);
    const struct mx_settings settings = settings_of(loading, json, "model");
    struct mx_subword_source source = {.settings = &settings, .vocab = vocab, .ready = &merges};
    if (status == MX_OK) status = mx_subword_open(&loading->tokenizer->model, &source);
    mx_merges_free(&merges);
    mx_str_free(&text);
    cJSON_Delete(json);
    free(ranks);
    return status;
}

/* Words by the file's pattern, their bytes as characters; and back. */
static mx_status load_words(struct loading *loading)
{
    struct mx_str text = {0};
    cJSON *json = NULL;
    mx_str_puts(&text,
                "{\"words\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"behavior\":\"Isolated\","
                "\"pattern\":{\"Regex\":");
    mx_json_quote(&text, loading->pattern);
    mx_str_puts(&text, "}},{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}]},"
                       "\"decoder\":{\"type\":\"ByteLevel\"}}");
    mx_status status = parse_text(loading, &text, &json);
    const struct mx_settings words = settings_of(loading, mx_json_get(json, "words"), "config"),
                             decoder = settings_of(loading, mx_json_get(json, "decoder"), "decoder");
    if (status == MX_OK) status = mx_pretokenizer_parse(&loading->tokenizer->pretokenizer, &words);
    if (status == MX_OK) status = mx_decoder_parse(&loading->tokenizer->decoder, &decoder);
    cJSON_Delete(json);
    mx_str_free(&text);
    return status;
}

static mx_status put_special(const struct loading *loading, const cJSON *special, struct mx_str *list)
{
    const cJSON *entry;
    int64_t id = 0;
    cJSON_ArrayForEach (entry, special) {
        int64_t rank;
        const cJSON *text = mx_json_get(entry, "token_str");
        if (!mx_json_whole(mx_json_get(entry, "rank"), id, id, &rank) || !cJSON_IsString(text) ||
            id == loading->special_count)
            return mx_fail(loading->err, MX_ERR_FORMAT,
                           "%s: special_tokens: not a list of at most %lld tokens in the order of their ranks",
                           loading->scan.name, (long long)loading->special_count);
        mx_added_list_put(list, text->valuestring, id++, true);
    }
    const int64_t named = (int64_t)(sizeof former / sizeof *former);
    for (; !special && id < named && id < loading->special_count; id++) mx_added_list_put(list, former[id], id, true);
    for (char text[32]; id < loading->special_count; id++) {
        snprintf(text, sizeof text, "<SPECIAL_%lld>", (long long)id);
        mx_added_list_put(list, text, id, true);
    }
    return MX_OK;
}

static mx_status load_special(struct loading *loading)
{
    struct mx_str list = {0};
    cJSON *special = NULL;
    mx_status status = loading->special.from ? parse_span(loading, &loading->special, &special) : MX_OK;
    if (status == MX_OK) status = put_special(loading, cJSON_IsNull(special) ? NULL : special, &list);
    if (status == MX_OK) status = mx_added_list_take(loading->tokenizer, &list, loading->scan.name, loading->err);
    cJSON_Delete(special);
    mx_str_free(&list);
    return status;
}

static mx_status load_stages(struct loading *loading)
{
    static const struct mx_around_defaults around = {true, false, "<s>", "</s>"};
    MX_TRY(survey(loading));
    MX_TRY(load_config(loading));
    MX_TRY(load_vocab(loading));
    MX_TRY(load_model(loading));
    MX_TRY(load_words(loading));
    MX_TRY(load_special(loading));
    return mx_around_apply(loading->tokenizer, loading->beside->config, &around, loading->scan.name, loading->err);
}

mx_status mx_tokenizer_load_tekken(struct mx_tokenizer *tokenizer, const char *json, size_t length, const char *name,
                                   const struct mx_beside *beside, struct mx_error *err)
{
    struct loading loading = {.tokenizer = tokenizer, .beside = beside, .err = err};
    loading.scan = (struct mx_scan){.text = json, .at = json, .end = json + length, .name = name};
    const mx_status status = load_stages(&loading);
    mx_str_free(&loading.scan.buffer);
    return status;
}
