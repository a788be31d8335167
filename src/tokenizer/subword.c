/* The table of models. */
#include "tokenizer/subword.h"

#include <stdlib.h>

struct row {
    const char *type;
    const struct mx_subword_kind *kind;
};
static const struct row rows[] = {{"BPE", &mx_subword_bpe}, {"Unigram", &mx_subword_unigram}};

mx_status mx_subword_open(struct mx_subword **model, struct mx_subword_source *source)
{
    const void *row;
    *model = NULL;
    const cJSON *json = source->settings->json;
    /* Files of before 2021 leave the type out; they are BPE. */
    if (cJSON_IsObject(json) && !mx_json_get(json, "type") && source->merges) return mx_subword_bpe.open(model, source);
    MX_TRY(mx_settings_kind(source->settings, rows, sizeof rows / sizeof *rows, sizeof *rows, &row));
    return ((const struct row *)row)->kind->open(model, source);
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
