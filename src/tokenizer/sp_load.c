/* A SentencePiece model becomes the stages of this tokenizer. Its own normalizer (sp_normalize.c) stands in for the
 * first; its model is BPE, with ranks from scores, or Unigram, with sums in single precision; control pieces become
 * added tokens. The dummy prefix is put at the beginning of a text alone, not behind control tokens in it. */
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "tokenizer/added_list.h"
#include "tokenizer/around.h"
#include "tokenizer/internal.h"
#include "tokenizer/sp_model.h"

struct loading {
    struct mx_tokenizer *tokenizer;
    struct mx_sp_model model;
    uint8_t *uses; /* [model.count], in the tokenizer's arena */
    const struct mx_beside *beside;
    const char *name;
    struct mx_error *err;
};

static enum mx_use use_of(enum mx_sp_type type)
{
    return type == MX_SP_NORMAL ? MX_USE_TEXT : type == MX_SP_USER_DEFINED ? MX_USE_SYMBOL : MX_USE_NEVER;
}

static mx_status load_pieces(struct loading *loading)
{
    struct mx_tokenizer *tokenizer = loading->tokenizer;
    const size_t count = loading->model.count;
    loading->uses = mx_arena_array(&tokenizer->arena, count, sizeof *loading->uses);
    if (!loading->uses) return mx_fail_memory(loading->err, loading->name, count);
    MX_TRY(mx_vocab_reserve(&tokenizer->vocab, count, 0, loading->name, loading->err));
    for (size_t id = 0; id < count; id++) {
        const struct mx_sp_piece *piece = &loading->model.pieces[id];
        loading->uses[id] = use_of(piece->type);
        MX_TRY(mx_vocab_note(&tokenizer->vocab, piece->text, piece->length, (int64_t)id, loading->name, loading->err));
    }
    MX_TRY(mx_vocab_index(&tokenizer->vocab, loading->name, loading->err));
    if (tokenizer->vocab.count != count)
        return mx_fail(loading->err, MX_ERR_FORMAT, "%s: a piece appears twice in the vocabulary", loading->name);
    return mx_vocab_trie(&tokenizer->vocab, loading->uses, MX_USE_SYMBOL, MX_USE_SYMBOL, loading->name,
                         &tokenizer->symbols, loading->err);
}

static mx_status load_normalizer(struct loading *loading)
{
    const struct mx_sp_model *model = &loading->model;
    struct mx_sp_normalizer *normalizer = &loading->tokenizer->sentencepiece;
    *normalizer = (struct mx_sp_normalizer){.symbols = &loading->tokenizer->symbols,
                                            .dummy_prefix = model->dummy_prefix,
                                            .remove_extra = model->remove_extra,
                                            .escape = model->escape,
                                            .space_as_suffix = model->space_as_suffix};
    loading->tokenizer->normalizer.sentencepiece = normalizer;
    return mx_precompiled_copy(&normalizer->charsmap, model->charsmap, model->charsmap_length, loading->name,
                               loading->err);
}

/* Scores in descending order. */
static int compare_scores(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

/* A piece's rank is that of its score among all: equal scores, equal ranks. */
static mx_status rank_pieces(const struct loading *loading, uint32_t *ranks)
{
    const struct mx_sp_model *model = &loading->model;
    float *scores = malloc(model->count * sizeof *scores);
    if (!scores) return mx_fail_memory(loading->err, loading->name, model->count * sizeof *scores);
    size_t count = 0;
    for (size_t id = 0; id < model->count; id++) {
        if (loading->uses[id] == MX_USE_TEXT) scores[count++] = model->pieces[id].score;
    }
    qsort(scores, count, sizeof *scores, compare_scores);
    size_t distinct = 0;
    for (size_t i = 0; i < count; i++) {
        if (!distinct || scores[i] != scores[distinct - 1]) scores[distinct++] = scores[i];
    }
    for (size_t id = 0; id < model->count; id++) {
        const float *found = loading->uses[id] == MX_USE_TEXT
                                 ? bsearch(&model->pieces[id].score, scores, distinct, sizeof *scores, compare_scores)
                                 : NULL;
        ranks[id] = found ? (uint32_t)(found - scores) + 1 : 0;
    }
    free(scores);
    return MX_OK;
}

static mx_status make_merges(const struct loading *loading, struct mx_merges *merges)
{
    const size_t count = loading->model.count;
    uint32_t *ranks = malloc(count * sizeof *ranks);
    if (!ranks) return mx_fail_memory(loading->err, loading->name, count * sizeof *ranks);
    memset(ranks, 0, count * sizeof *ranks);
    mx_status status = loading->model.merges ? rank_pieces(loading, ranks) : MX_OK;
    if (status == MX_OK) status = mx_merges_make(merges, &loading->tokenizer->vocab, ranks, loading->err);
    free(ranks);
    for (size_t id = 0; id < count && status == MX_OK; id++) {
        const struct mx_sp_piece *piece = &loading->model.pieces[id];
        if (loading->uses[id] == MX_USE_SYMBOL) mx_merges_bind(merges, piece->text, piece->length);
    }
    return status;
}

/* User-defined pieces outbid whatever else their bytes could be: in SentencePiece's Unigram they cost 0.1 each, for all
 * scores that training makes are below zero. */
static mx_status make_scores(const struct loading *loading, double **scores)
{
    const struct mx_sp_model *model = &loading->model;
    float best = FLT_MIN;
    *scores = malloc(model->count * sizeof **scores);
    if (!*scores) return mx_fail_memory(loading->err, loading->name, model->count * sizeof **scores);
    for (size_t id = 0; id < model->count; id++) {
        if (loading->uses[id] == MX_USE_TEXT && model->pieces[id].score > best) best = model->pieces[id].score;
    }
    for (size_t id = 0; id < model->count; id++) {
        const struct mx_sp_piece *piece = &model->pieces[id];
        (*scores)[id] =
            loading->uses[id] == MX_USE_SYMBOL ? (double)((float)piece->length * best) - 0.1 : (double)piece->score;
    }
    return MX_OK;
}

/* {"unk_id": 0, ...}, as a model's settings in tokenizer.json. */
static mx_status parse_settings(const struct loading *loading, const char *text, const char *place, cJSON **root)
{
    static const struct mx_json_rules rules = {.allow_nan = false};
    return mx_json_parse(root, text, strlen(text), place, &rules, loading->err);
}

static mx_status load_model(struct loading *loading)
{
    const struct mx_sp_model *model = &loading->model;
    struct mx_tokenizer *tokenizer = loading->tokenizer;
    struct mx_merges merges = {0};
    struct mx_str json = {0};
    cJSON *root = NULL;
    mx_str_printf(&json, "{\"type\":\"%s\",\"byte_fallback\":%s,\"fuse_unk\":true,\"unk_id\":%lld,\"unk_token\":",
                  model->bpe ? "BPE" : "Unigram", model->byte_fallback ? "true" : "false", (long long)model->unknown);
    mx_json_quote(&json, mx_vocab_piece(&tokenizer->vocab, (int32_t)model->unknown, NULL));
    mx_str_putc(&json, '}');
    mx_status status = mx_str_failed(&json) ? mx_fail_memory(loading->err, loading->name, json.length)
                                            : parse_settings(loading, json.data, loading->name, &root);
    const struct mx_settings settings = {root, loading->name, "model", &tokenizer->arena, loading->err};
    struct mx_subword_source source = {.settings = &settings,
                                       .vocab = &tokenizer->vocab,
                                       .uses = loading->uses,
                                       .symbols = &tokenizer->symbols,
                                       .single = true};
    if (status == MX_OK && model->bpe) {
        status = make_merges(loading, &merges);
        source.ready = &merges;
    } else if (status == MX_OK) {
        status = make_scores(loading, &source.scores);
        source.scored = model->count;
    }
    if (status == MX_OK) status = mx_subword_open(&tokenizer->model, &source);
    free(source.scores);
    mx_merges_free(&merges);
    cJSON_Delete(root);
    mx_str_free(&json);
    return status;
}

static mx_status load_added(struct loading *loading)
{
    const struct mx_sp_model *model = &loading->model;
    struct mx_str list = {0};
    for (size_t id = 0; id < model->count; id++) {
        const struct mx_sp_piece *piece = &model->pieces[id];
        if ((piece->type == MX_SP_CONTROL || piece->type == MX_SP_UNKNOWN) &&
            !mx_added_list_names(loading->beside, (int64_t)id))
            mx_added_list_put(&list, mx_vocab_piece(&loading->tokenizer->vocab, (int32_t)id, NULL), (int64_t)id, true);
    }
    mx_status status = mx_added_list_put_files(&list, loading->beside, loading->name, loading->err);
    if (status == MX_OK) status = mx_added_list_take(loading->tokenizer, &list, loading->name, loading->err);
    mx_str_free(&list);
    return status;
}

/* Spaces back from U+2581, bytes back from their pieces; the space that the normalizer put in front goes. */
static mx_status load_decoder(struct loading *loading)
{
    const struct mx_sp_model *model = &loading->model;
    const bool strip = model->dummy_prefix || model->remove_extra;
    const int count = model->remove_extra ? INT32_MAX : 1;
    char json[512];
    cJSON *root;
    snprintf(json, sizeof json,
             "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"" MX_SP_SPACE
             "\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":"
             "\" \",\"start\":%d,\"stop\":0}]}",
             strip ? count : 0);
    MX_TRY(parse_settings(loading, json, loading->name, &root));
    const struct mx_settings settings = {root, loading->name, "decoder", &loading->tokenizer->arena, loading->err};
    const mx_status status = mx_decoder_parse(&loading->tokenizer->decoder, &settings);
    cJSON_Delete(root);
    return status;
}

/* Decoders of such models begin a text with the token that their file calls bos; encoders, and what T5 has, end it. */
static mx_status load_around(struct loading *loading)
{
    const struct mx_sp_model *model = &loading->model;
    const struct mx_vocab *vocab = &loading->tokenizer->vocab;
    const struct mx_around_defaults defaults = {
        .add_bos = model->bpe,
        .bos = model->bos < 0 ? NULL : mx_vocab_piece(vocab, (int32_t)model->bos, NULL),
        .eos = model->eos < 0 ? NULL : mx_vocab_piece(vocab, (int32_t)model->eos, NULL),
    };
    return mx_around_apply(loading->tokenizer, loading->beside->config, &defaults, loading->name, loading->err);
}

static mx_status load_stages(struct loading *loading)
{
    MX_TRY(load_pieces(loading));
    MX_TRY(load_normalizer(loading));
    MX_TRY(load_model(loading));
    MX_TRY(load_added(loading));
    MX_TRY(load_decoder(loading));
    return load_around(loading);
}

mx_status mx_tokenizer_load_sentencepiece(struct mx_tokenizer *tokenizer, const char *bytes, size_t length,
                                          const char *name, const struct mx_beside *beside, struct mx_error *err)
{
    struct loading loading = {.tokenizer = tokenizer, .beside = beside, .name = name, .err = err};
    MX_TRY(mx_sp_model_read(&loading.model, bytes, length, name, err));
    const mx_status status = load_stages(&loading);
    mx_sp_model_free(&loading.model);
    return status;
}
