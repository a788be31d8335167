/* The tokenizer as its users see it: opening, encoding, whole-text decoding, look-ups. */
#include "tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "tokenizer/bytes.h"
#include "tokenizer/internal.h"
#include "tokenizer/word_cache.h"

enum {
    MAX_TEXT = 1 << 30, /* bytes of one call */
    CACHED_WORD = 64,   /* longer words come too seldom */
    CUT_WORD = 16,      /* longer words are cut where the model allows it */
};

mx_status mx_tokenizer_parse(struct mx_tokenizer **tokenizer, const char *json, size_t length, const char *name,
                             struct mx_error *err)
{
    *tokenizer = NULL;
    struct mx_tokenizer *made = calloc(1, sizeof *made);
    if (!made) return mx_fail_memory(err, "a tokenizer", sizeof *made);
    const mx_status status = mx_tokenizer_load(made, json, length, name, err);
    if (status != MX_OK) {
        mx_tokenizer_close(made);
        return status;
    }
    *tokenizer = made;
    return MX_OK;
}

void mx_tokenizer_close(struct mx_tokenizer *tokenizer)
{
    if (!tokenizer) return;
    mx_subword_close(tokenizer->model);
    mx_added_free(&tokenizer->added);
    mx_normalizer_free(&tokenizer->normalizer);
    mx_pretokenizer_free(&tokenizer->pretokenizer);
    mx_postprocessor_free(&tokenizer->post);
    mx_decoder_free(&tokenizer->decoder);
    mx_vocab_free(&tokenizer->vocab);
    mx_precompiled_free(&tokenizer->sentencepiece.charsmap);
    mx_trie_free(&tokenizer->symbols);
    mx_arena_free(&tokenizer->arena);
    free(tokenizer);
}

const char *mx_tokenizer_note(const struct mx_tokenizer *tokenizer)
{
    return tokenizer->note;
}

mx_status mx_ids_append(struct mx_ids *ids, int32_t id, struct mx_error *err)
{
    if (ids->count == ids->capacity) {
        const size_t capacity = ids->capacity ? ids->capacity * 2 : 64;
        int32_t *data = realloc(ids->data, capacity * sizeof *data);
        if (!data) return mx_fail_memory(err, "token ids", capacity * sizeof *data);
        ids->data = data;
        ids->capacity = capacity;
    }
    ids->data[ids->count++] = id;
    return MX_OK;
}

void mx_ids_free(struct mx_ids *ids)
{
    free(ids->data);
    *ids = (struct mx_ids){0};
}

/* One call of mx_tokenizer_encode. */
struct encoding {
    const struct mx_tokenizer *tokenizer;
    struct mx_regex_state regex;
    struct mx_word_scratch scratch;
    struct mx_word_cache cache;
    struct mx_str normal, spare, spelled;
    struct mx_words words, spare_words;
    struct mx_ids *ids;
    struct mx_error *err;
};

static mx_status encode_word(struct encoding *encoding, const char *word, size_t length)
{
    struct mx_ids *ids = encoding->ids;
    const bool cached = length <= CACHED_WORD;
    const uint64_t hash = cached ? mx_word_cache_hash(word, length) : 0;
    const struct mx_word_cache_slot *known = cached ? mx_word_cache_find(&encoding->cache, hash, word, length) : NULL;
    if (known) {
        const int32_t *from = encoding->cache.ids.data + known->ids;
        for (uint32_t i = 0; i < known->count; i++) MX_TRY(mx_ids_append(ids, from[i], encoding->err));
        return MX_OK;
    }
    const size_t before = ids->count;
    const char *text = word;
    size_t text_length = length;
    if (encoding->tokenizer->pretokenizer.byte_level) {
        mx_str_clear(&encoding->spelled);
        mx_bytes_to_chars(&encoding->spelled, word, length);
        if (mx_str_failed(&encoding->spelled)) return mx_fail_memory(encoding->err, "a word", 2 * length);
        text = mx_str_text(&encoding->spelled);
        text_length = encoding->spelled.length;
    }
    MX_TRY(mx_subword_encode(encoding->tokenizer->model, &encoding->scratch, text, text_length, ids, encoding->err));
    if (cached && ids->count > before)
        mx_word_cache_keep(&encoding->cache, hash, word, length, ids->data + before, ids->count - before);
    return MX_OK;
}

/* A long word, in the parts that the model allows. */
static mx_status encode_cut(struct encoding *encoding, const char *word, size_t length)
{
    size_t start = 0;
    for (size_t at = mx_utf8_length(*word); at < length; at += mx_utf8_length(word[at])) {
        if (!mx_subword_can_cut(encoding->tokenizer->model, word, at)) continue;
        MX_TRY(encode_word(encoding, word + start, at - start));
        start = at;
    }
    return encode_word(encoding, word + start, length - start);
}

/* Text without added tokens, normalized. */
static mx_status encode_normal(struct encoding *encoding, const char *text, size_t length, bool first)
{
    const struct mx_pretokenizer *pretokenizer = &encoding->tokenizer->pretokenizer;
    MX_TRY(mx_pretokenizer_apply(pretokenizer, &encoding->regex, text, length, first, &encoding->words,
                                 &encoding->spare_words, encoding->err));
    for (size_t i = 0; i < encoding->words.count; i++) {
        const struct mx_word *word = &encoding->words.items[i];
        const char *at = encoding->words.text.data + word->start;
        const size_t size = word->end - word->start;
        MX_TRY(size > CUT_WORD && !pretokenizer->byte_level ? encode_cut(encoding, at, size)
                                                            : encode_word(encoding, at, size));
    }
    return MX_OK;
}

/* Text without plain added tokens. */
static mx_status encode_text(struct encoding *encoding, const char *text, size_t length, bool first)
{
    const struct mx_tokenizer *tokenizer = encoding->tokenizer;
    MX_TRY(mx_normalizer_apply(&tokenizer->normalizer, &encoding->regex, text, length, &encoding->normal,
                               &encoding->spare, &first, encoding->err));
    struct mx_added_walk walk = {.text = mx_str_text(&encoding->normal), .length = encoding->normal.length};
    while (mx_added_next(&tokenizer->added, &tokenizer->added.normalized, &walk)) {
        MX_TRY(walk.id >= 0
                   ? mx_ids_append(encoding->ids, walk.id, encoding->err)
                   : encode_normal(encoding, walk.text + walk.start, walk.end - walk.start, first && walk.start == 0));
    }
    return MX_OK;
}

static mx_status encode_all(struct encoding *encoding, const char *text, size_t length, bool add_special)
{
    const struct mx_tokenizer *tokenizer = encoding->tokenizer;
    const struct mx_ids *before = &tokenizer->post.before, *after = &tokenizer->post.after;
    for (size_t i = before->count; add_special && i-- > 0;)
        MX_TRY(mx_ids_append(encoding->ids, before->data[i], encoding->err));
    struct mx_added_walk walk = {.text = text, .length = length};
    while (mx_added_next(&tokenizer->added, &tokenizer->added.plain, &walk)) {
        MX_TRY(walk.id >= 0 ? mx_ids_append(encoding->ids, walk.id, encoding->err)
                            : encode_text(encoding, text + walk.start, walk.end - walk.start, walk.start == 0));
    }
    for (size_t i = 0; add_special && i < after->count; i++)
        MX_TRY(mx_ids_append(encoding->ids, after->data[i], encoding->err));
    return MX_OK;
}

mx_status mx_tokenizer_encode(const struct mx_tokenizer *tokenizer, const char *text, size_t length, bool add_special,
                              struct mx_ids *ids, struct mx_error *err)
{
    if (length > MAX_TEXT)
        return mx_fail(err, MX_ERR_LIMIT, "a text of %zu bytes; at most 1 GiB is tokenized at once", length);
    struct mx_str repaired = {0};
    if (mx_utf8_valid_length(text, length) < length) {
        mx_utf8_append_lossy(&repaired, text, length);
        if (mx_str_failed(&repaired)) return mx_fail_memory(err, "a text", length);
        text = repaired.data;
        length = repaired.length;
    }
    const size_t before = ids->count;
    struct encoding encoding = {.tokenizer = tokenizer, .ids = ids, .err = err};
    mx_word_cache_open(&encoding.cache, length);
    mx_regex_allow(&encoding.regex, length);
    const mx_status status = encode_all(&encoding, text, length, add_special);
    if (status != MX_OK) ids->count = before;
    mx_regex_state_free(&encoding.regex);
    mx_word_scratch_free(&encoding.scratch);
    mx_word_cache_free(&encoding.cache);
    mx_str_free(&encoding.normal);
    mx_str_free(&encoding.spare);
    mx_str_free(&encoding.spelled);
    mx_words_free(&encoding.words);
    mx_words_free(&encoding.spare_words);
    mx_str_free(&repaired);
    return status;
}

const char *mx_tokenizer_spelling(const struct mx_tokenizer *tokenizer, int32_t id, bool skip_special, size_t *length)
{
    const struct mx_added_token *token = mx_added_of(&tokenizer->added, id);
    if (!token) return mx_vocab_piece(&tokenizer->vocab, id, length);
    *length = token->spelling_length;
    return skip_special && token->special ? NULL : token->spelling;
}

mx_status mx_tokenizer_decode(const struct mx_tokenizer *tokenizer, const int32_t *ids, size_t count, bool skip_special,
                              struct mx_str *text, struct mx_error *err)
{
    struct mx_decoder_run run;
    MX_TRY(mx_decoder_open(&run, &tokenizer->decoder, false, err));
    mx_status status = MX_OK;
    for (size_t i = 0; i < count && status == MX_OK; i++) {
        size_t length;
        const char *piece = mx_tokenizer_spelling(tokenizer, ids[i], skip_special, &length);
        if (piece) status = mx_decoder_feed(&run, piece, length, err);
    }
    if (status == MX_OK) status = mx_decoder_finish(&run, err);
    if (status == MX_OK) {
        mx_str_append(text, mx_str_text(&run.out), run.out.length);
        if (mx_str_failed(text)) status = mx_fail_memory(err, "decoded text", run.out.length);
    }
    mx_decoder_close(&run);
    return status;
}

mx_status mx_tokenizer_bytes(const struct mx_tokenizer *tokenizer, int32_t id, struct mx_str *bytes,
                             struct mx_error *err)
{
    size_t length;
    const char *piece = mx_tokenizer_spelling(tokenizer, id, false, &length);
    if (!piece || mx_decoder_bytes(&tokenizer->decoder, piece, length, bytes)) {
        return mx_str_failed(bytes) ? mx_fail_memory(err, "a token's bytes", length) : MX_OK;
    }
    return mx_fail(err, MX_ERR_UNSUPPORTED,
                   "this tokenizer's decoder joins tokens by what stands beside them: a token has no bytes of its own, "
                   "so replies can't be held to a form");
}

int32_t mx_tokenizer_vocab_size(const struct mx_tokenizer *tokenizer)
{
    const size_t model = tokenizer->vocab.size, added = tokenizer->added.vocab.size;
    return (int32_t)(model > added ? model : added);
}

const char *mx_tokenizer_piece(const struct mx_tokenizer *tokenizer, int32_t id, size_t *length)
{
    const char *piece = mx_vocab_piece(&tokenizer->added.vocab, id, length);
    return piece ? piece : mx_vocab_piece(&tokenizer->vocab, id, length);
}

int32_t mx_tokenizer_id(const struct mx_tokenizer *tokenizer, const char *piece, size_t length)
{
    const int32_t id = mx_vocab_find(&tokenizer->added.vocab, piece, length);
    return id >= 0 ? id : mx_vocab_find(&tokenizer->vocab, piece, length);
}

bool mx_tokenizer_is_special(const struct mx_tokenizer *tokenizer, int32_t id)
{
    const struct mx_added_token *token = mx_added_of(&tokenizer->added, id);
    return token && token->special;
}
