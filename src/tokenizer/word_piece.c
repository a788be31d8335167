/* WordPiece: from left to right the longest piece that fits; pieces behind the first carry a prefix ("##ing"). A word
 * that can't be written so, or is too long, is unknown as a whole. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "tokenizer/limits.h"
#include "tokenizer/subword.h"
#include "tokenizer/trie.h"

struct word_piece {
    struct mx_subword base;
    struct mx_trie trie;
    uint32_t inside;     /* the node that the prefix leads to: pieces behind the first hang below it */
    bool any_inside;     /* is there such a node? */
    int64_t max_letters; /* characters of a word */
    int32_t unknown;     /* id, or -1 */
};

static void close_word_piece(struct mx_subword *model)
{
    struct word_piece *pieces = (struct word_piece *)model;
    mx_trie_free(&pieces->trie);
    free(pieces);
}

static void find_inside(struct word_piece *pieces, const char *prefix)
{
    pieces->any_inside = true;
    for (; *prefix && pieces->any_inside; prefix++) {
        pieces->inside = mx_trie_step(&pieces->trie, pieces->inside, (uint8_t)*prefix);
        pieces->any_inside = pieces->inside != 0;
    }
}

static mx_status open_word_piece(struct mx_subword **model, struct mx_subword_source *source)
{
    const struct mx_settings *settings = source->settings;
    const char *unknown, *prefix;
    int64_t max_letters;
    if (source->scores) return mx_fail_listed(source, "WordPiece");
    MX_TRY(mx_settings_text(settings, "unk_token", NULL, &unknown));
    MX_TRY(mx_settings_text(settings, "continuing_subword_prefix", NULL, &prefix));
    if (!mx_json_get_set(settings->json, "max_input_chars_per_word"))
        return mx_settings_wrong(settings, "max_input_chars_per_word", "a whole number");
    MX_TRY(mx_settings_whole(settings, "max_input_chars_per_word", 0, 0, INT64_C(1) << 53, &max_letters));
    struct word_piece *pieces = calloc(1, sizeof *pieces);
    if (!pieces) return mx_fail_memory(settings->err, "a tokenizer", sizeof *pieces);
    pieces->base.kind = &mx_subword_word_piece;
    pieces->max_letters = max_letters;
    pieces->unknown = mx_vocab_find(source->vocab, unknown, strlen(unknown));
    const mx_status status =
        mx_vocab_trie(source->vocab, NULL, MX_USE_TEXT, MX_USE_TEXT, settings->file, &pieces->trie, settings->err);
    if (status != MX_OK) {
        close_word_piece(&pieces->base);
        return status;
    }
    find_inside(pieces, prefix);
    *model = &pieces->base;
    return MX_OK;
}

/* The longest piece at the start of `text`, below a node: its id and length; -1 if there is none. */
static int32_t longest(const struct word_piece *pieces, uint32_t node, const char *text, size_t length, size_t *size)
{
    int32_t id = -1;
    for (size_t i = 0; i < length; i++) {
        node = mx_trie_step(&pieces->trie, node, (uint8_t)text[i]);
        if (!node) break;
        if (pieces->trie.nodes[node].value < 0) continue;
        id = pieces->trie.nodes[node].value;
        *size = i + 1;
    }
    return id;
}

static size_t count_letters(const char *word, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i += mx_utf8_length(word[i])) count++;
    return count;
}

static mx_status encode_word_piece(const struct mx_subword *model, struct mx_word_scratch *scratch, const char *word,
                                   size_t length, struct mx_ids *ids, struct mx_error *err)
{
    const struct word_piece *pieces = (const struct word_piece *)model;
    const size_t before = ids->count;
    bool known = (int64_t)count_letters(word, length) <= pieces->max_letters;
    for (size_t at = 0, size = 0; known && at < length; at += size) {
        const int32_t id =
            at && !pieces->any_inside ? -1 : longest(pieces, at ? pieces->inside : 0, word + at, length - at, &size);
        known = id >= 0;
        if (known) MX_TRY(mx_ids_append(ids, id, err));
    }
    if (known) return MX_OK;
    ids->count = before;
    return pieces->unknown < 0 ? mx_fail_unknown(err) : mx_ids_append(ids, pieces->unknown, err);
}

const struct mx_subword_kind mx_subword_word_piece = {open_word_piece, close_word_piece, encode_word_piece, NULL};
