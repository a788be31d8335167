/* The table of models. */
#include "tokenizer/subword.h"

#include <stdlib.h>

#include "tokenizer/limits.h"

struct row {
    const char *type;
    const struct mx_subword_kind *kind;
};
static const struct row rows[] = {{"BPE", &mx_subword_bpe},
                                  {"Unigram", &mx_subword_unigram},
                                  {"WordPiece", &mx_subword_word_piece},
                                  {"WordLevel", &mx_subword_word_level}};

/* Files of before 2021 leave the type out; it is told from what else they hold, as the `tokenizers` library does. */
static const struct mx_subword_kind *untyped(const struct mx_subword_source *source)
{
    const cJSON *json = source->settings->json;
    if (source->scores) return &mx_subword_unigram;
    if (source->merges) return &mx_subword_bpe;
    return mx_json_get_set(json, "continuing_subword_prefix") && mx_json_get_set(json, "max_input_chars_per_word")
               ? &mx_subword_word_piece
               : &mx_subword_word_level;
}

mx_status mx_subword_open(struct mx_subword **model, struct mx_subword_source *source)
{
    const void *row;
    *model = NULL;
    const cJSON *json = source->settings->json;
    if (cJSON_IsObject(json) && !mx_json_get(json, "type")) return untyped(source)->open(model, source);
    MX_TRY(mx_settings_kind(source->settings, rows, sizeof rows / sizeof *rows, sizeof *rows, &row));
    return ((const struct row *)row)->kind->open(model, source);
}

mx_status mx_vocab_trie(const struct mx_vocab *vocab, const uint8_t *uses, enum mx_use from, enum mx_use to,
                        const char *file, struct mx_trie *trie, struct mx_error *err)
{
    struct mx_trie_key *keys = malloc((vocab->size + 1) * sizeof *keys);
    if (!keys) return mx_fail_memory(err, "the pieces of a tokenizer", vocab->size * sizeof *keys);
    size_t used = 0;
    mx_status status = MX_OK;
    for (size_t id = 0; id < vocab->size && status == MX_OK; id++) {
        size_t length;
        if (uses && (uses[id] < from || uses[id] > to)) continue;
        const char *piece = mx_vocab_piece(vocab, (int32_t)id, &length);
        /* Of a piece that stands in the list twice, the later entry counts. */
        if (!piece || !length || mx_vocab_find(vocab, piece, length) != (int32_t)id) continue;
        if (length > MX_MAX_PIECE)
            status = mx_fail(err, MX_ERR_LIMIT, "%s: model: a piece of %zu bytes; the limit is %d", file, length,
                             (int)MX_MAX_PIECE);
        keys[used++] = (struct mx_trie_key){piece, (uint32_t)length, (int32_t)id};
    }
    if (status == MX_OK) status = mx_trie_build(trie, keys, used, false, err);
    free(keys);
    return status;
}

mx_status mx_fail_listed(const struct mx_subword_source *source, const char *type)
{
    return mx_fail(source->settings->err, MX_ERR_FORMAT,
                   "%s: model: the vocabulary of a %s model is an object, not a list", source->settings->file, type);
}

mx_status mx_fail_unknown(struct mx_error *err)
{
    return mx_fail(err, MX_ERR_FORMAT, "a word of the text is unknown to the tokenizer, and its unk_token is no piece");
}

void mx_subword_close(struct mx_subword *model)
{
    if (model) model->kind->close(model);
}

mx_status mx_subword_encode(const struct mx_subword *model, struct mx_word_scratch *scratch, const char *word,
                            size_t length, struct mx_ids *ids, struct mx_error *err)
{
    return model->kind->encode(model, scratch, word, length, ids, err);
}

bool mx_subword_can_cut(const struct mx_subword *model, const char *word, size_t at)
{
    return model->kind->can_cut && model->kind->can_cut(model, word, at);
}

mx_status mx_word_scratch_reserve(struct mx_word_scratch *scratch, size_t bytes, struct mx_error *err)
{
    if (bytes <= scratch->size) return MX_OK;
    free(scratch->cells);
    scratch->size = 0;
    scratch->cells = malloc(bytes * 2);
    if (!scratch->cells) return mx_fail_memory(err, "a word of a text", bytes * 2);
    scratch->size = bytes * 2;
    return MX_OK;
}

void mx_word_scratch_free(struct mx_word_scratch *scratch)
{
    free(scratch->cells);
    *scratch = (struct mx_word_scratch){0};
}
