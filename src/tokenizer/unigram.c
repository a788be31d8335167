/* Unigram: of all ways to write a word as pieces, the one whose scores (log probabilities) add up to the most, found by
 * Viterbi's algorithm from left to right. A character that is no piece costs ten more than the rarest piece and becomes
 * the unknown id, or its bytes. */
#include <math.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/utf8.h"
#include "tokenizer/subword.h"
#include "tokenizer/trie.h"

#define UNKNOWN_PENALTY 10.0

struct unigram {
    struct mx_subword base;
    const struct mx_vocab *vocab;
    double *scores; /* by id */
    double unknown_score;
    int32_t unknown; /* id, or -1 */
    bool byte_fallback;
    bool by_text;       /* a run of unknown characters that is a piece after all becomes that */
    bool single;        /* sums of scores are rounded to single precision, as SentencePiece does */
    int32_t bytes[256]; /* ids of the byte pieces, -1 where missing */
    struct mx_trie trie;
};

static void close_unigram(struct mx_subword *model)
{
    struct unigram *unigram = (struct unigram *)model;
    mx_trie_free(&unigram->trie);
    free(unigram->scores);
    free(unigram);
}

static mx_status open_unigram(struct mx_subword **model, struct mx_subword_source *source)
{
    const struct mx_settings *settings = source->settings;
    struct mx_error *err = settings->err;
    if (!source->scores)
        return mx_fail(err, MX_ERR_FORMAT, "%s: model: the vocabulary of a Unigram model is a list of [piece, score]",
                       settings->file);
    int64_t unknown;
    bool byte_fallback;
    MX_TRY(mx_settings_whole(settings, "unk_id", -1, 0, (int64_t)source->scored - 1, &unknown));
    MX_TRY(mx_settings_bool(settings, "byte_fallback", false, &byte_fallback));
    struct unigram *unigram = calloc(1, sizeof *unigram);
    if (!unigram) return mx_fail_memory(err, "a tokenizer", sizeof *unigram);
    unigram->base.kind = &mx_subword_unigram;
    unigram->vocab = source->vocab;
    unigram->unknown = (int32_t)unknown;
    unigram->byte_fallback = byte_fallback;
    double least = INFINITY;
    for (size_t i = 0; i < source->scored; i++) {
        if (!source->uses || source->uses[i] == MX_USE_TEXT) least = fmin(least, source->scores[i]);
    }
    unigram->unknown_score = least - UNKNOWN_PENALTY;
    unigram->by_text = !source->uses;
    unigram->single = source->single;
    mx_vocab_byte_ids(source->vocab, unigram->bytes);
    const mx_status status =
        mx_vocab_trie(source->vocab, source->uses, MX_USE_TEXT, MX_USE_SYMBOL, settings->file, &unigram->trie, err);
    if (status != MX_OK) {
        close_unigram(&unigram->base);
        return status;
    }
    unigram->scores = source->scores;
    source->scores = NULL;
    *model = &unigram->base;
    return MX_OK;
}

/* The best way to write the bytes before a position. */
struct best {
    double score;
    int32_t id;    /* of its last piece */
    int32_t start; /* of its last piece; -1: no way yet */
};

static void offer(const struct unigram *unigram, struct best *best, double score, int32_t id, size_t start)
{
    if (best->start >= 0 && !(score > best->score)) return;
    *best = (struct best){unigram->single ? (double)(float)score : score, id, (int32_t)start};
}

/* Fills best[0, length]. False if a character is unknown and the model has no unknown id. */
static bool find_best(const struct unigram *unigram, const char *word, size_t length, struct best *best)
{
    for (size_t i = 0; i <= length; i++) best[i] = (struct best){.start = -1};
    for (size_t i = 0; i < length;) {
        const size_t character = mx_utf8_length(word[i]);
        bool known = false;
        uint32_t node = 0;
        for (size_t end = i; end < length;) {
            node = mx_trie_step(&unigram->trie, node, (uint8_t)word[end]);
            if (!node) break;
            end++;
            const int32_t id = unigram->trie.nodes[node].value;
            if (id < 0) continue;
            offer(unigram, &best[end], best[i].score + unigram->scores[id], id, i);
            known = known || end - i == character;
        }
        if (!known) {
            if (unigram->unknown < 0) return false;
            offer(unigram, &best[i + character], best[i].score + unigram->unknown_score, unigram->unknown, i);
        }
        i += character;
    }
    return true;
}

/* A piece that Viterbi took, or neighbouring unknown characters as one. */
static mx_status put_piece(const struct unigram *unigram, const char *text, size_t length, int32_t id,
                           struct mx_ids *ids, struct mx_error *err)
{
    if (unigram->by_text) id = mx_vocab_find(unigram->vocab, text, length);
    if (id >= 0 && (unigram->by_text || id != unigram->unknown)) return mx_ids_append(ids, id, err);
    bool as_bytes = unigram->byte_fallback;
    for (size_t i = 0; i < length && as_bytes; i++) as_bytes = unigram->bytes[(uint8_t)text[i]] >= 0;
    if (!as_bytes) return mx_ids_append(ids, unigram->unknown, err);
    for (size_t i = 0; i < length; i++) MX_TRY(mx_ids_append(ids, unigram->bytes[(uint8_t)text[i]], err));
    return MX_OK;
}

static mx_status encode_unigram(const struct mx_subword *model, struct mx_word_scratch *scratch, const char *word,
                                size_t length, struct mx_ids *ids, struct mx_error *err)
{
    const struct unigram *unigram = (const struct unigram *)model;
    size_t bytes;
    if (length >= INT32_MAX || !mx_mul_size(length + 1, sizeof(struct best), &bytes))
        return mx_fail(err, MX_ERR_LIMIT, "a word of %zu bytes is too long for this tokenizer", length);
    MX_TRY(mx_word_scratch_reserve(scratch, bytes, err));
    struct best *best = scratch->cells;
    if (!find_best(unigram, word, length, best))
        return mx_fail(err, MX_ERR_FORMAT, "a character of the text is unknown to the tokenizer, which has no unk_id");
    /* The way back; the links are turned round on it, so that the pieces come out in order. */
    int32_t follower = (int32_t)length;
    for (int32_t at = follower, start; at > 0; at = start) {
        start = best[at].start;
        best[at].start = follower; /* where the piece that starts at `at` ends */
        follower = at;
    }
    best[0].start = follower;
    for (size_t at = 0; at < length;) {
        size_t end = (size_t)best[at].start;
        if (best[end].id == unigram->unknown && unigram->unknown >= 0) {
            while (end < length && best[best[end].start].id == unigram->unknown) end = (size_t)best[end].start;
        }
        MX_TRY(put_piece(unigram, word + at, end - at, best[end].id, ids, err));
        at = end;
    }
    return MX_OK;
}

const struct mx_subword_kind mx_subword_unigram = {open_unigram, close_unigram, encode_unigram, NULL};
