/* WordLevel: a word is a piece, or unknown. */
#include <stdlib.h>
#include <string.h>

#include "tokenizer/subword.h"

struct word_level {
    struct mx_subword base;
    const struct mx_vocab *vocab;
    int32_t unknown; /* id, or -1 */
};

static void close_word_level(struct mx_subword *model)
{
    free(model);
}

static mx_status open_word_level(struct mx_subword **model, struct mx_subword_source *source)
{
    const char *unknown;
    if (source->scores) return mx_fail_listed(source, "WordLevel");
    MX_TRY(mx_settings_text(source->settings, "unk_token", NULL, &unknown));
    struct word_level *words = calloc(1, sizeof *words);
    if (!words) return mx_fail_memory(source->settings->err, "a tokenizer", sizeof *words);
    words->base.kind = &mx_subword_word_level;
    words->vocab = source->vocab;
    words->unknown = mx_vocab_find(source->vocab, unknown, strlen(unknown));
    *model = &words->base;
    return MX_OK;
}

static mx_status encode_word_level(const struct mx_subword *model, struct mx_word_scratch *scratch, const char *word,
                                   size_t length, struct mx_ids *ids, struct mx_error *err)
{
    const struct word_level *words = (const struct word_level *)model;
    const int32_t id = mx_vocab_find(words->vocab, word, length);
    if (id < 0 && words->unknown < 0) return mx_fail_unknown(err);
    return mx_ids_append(ids, id >= 0 ? id : words->unknown, err);
}

const struct mx_subword_kind mx_subword_word_level = {open_word_level, close_word_level, encode_word_level, NULL};
