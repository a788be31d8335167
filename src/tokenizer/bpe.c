/* Byte-pair encoding. A word starts as one symbol per character; again and again the neighbours whose merge has the
 * lowest rank (of equal ranks the leftmost) become one symbol, until no neighbours merge.
 *
 * Short words, nearly all, scan for the lowest rank each time; long ones keep candidates in a heap, so that a megabyte
 * of one letter costs n log n. Models without a pre-tokenizer see a whole text as one word: it is cut where no merge
 * can reach across (can_cut), and so becomes short words too. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/utf8.h"
#include "tokenizer/merges.h"
#include "tokenizer/subword.h"

enum {
    NONE = -1,
    SHORT_WORD = 40, /* symbols; below, a scan is faster than a heap */
    DIRECT = 0x3000, /* characters below are looked up in an array */
};

struct bpe {
    struct mx_subword base;
    const struct mx_vocab *vocab;
    struct mx_merges merges;
    const uint8_t *uses;           /* by id, enum mx_use; NULL: all MX_USE_TEXT */
    const struct mx_trie *symbols; /* pieces that are symbols wherever they stand; NULL: none */
    int32_t unknown;               /* id, or NONE */
    bool fuse_unknown, byte_fallback, ignore_merges;
    bool all_bytes;              /* every byte has its piece */
    const char *prefix, *suffix; /* of continuing symbols, of the last symbol; NULL if none */
    int32_t bytes[256];
    int32_t direct[DIRECT];
};

/* Opening */

static void close_bpe(struct mx_subword *model)
{
    struct bpe *bpe = (struct bpe *)model;
    mx_merges_free(&bpe->merges);
    free(bpe);
}

static mx_status read_settings(struct bpe *bpe, const struct mx_settings *settings)
{
    const char *unknown;
    MX_TRY(mx_settings_bool(settings, "fuse_unk", false, &bpe->fuse_unknown));
    MX_TRY(mx_settings_bool(settings, "byte_fallback", false, &bpe->byte_fallback));
    MX_TRY(mx_settings_bool(settings, "ignore_merges", false, &bpe->ignore_merges));
    MX_TRY(mx_settings_text(settings, "continuing_subword_prefix", "", &bpe->prefix));
    MX_TRY(mx_settings_text(settings, "end_of_word_suffix", "", &bpe->suffix));
    if (!*bpe->prefix) bpe->prefix = NULL;
    if (!*bpe->suffix) bpe->suffix = NULL;
    MX_TRY(mx_settings_text(settings, "unk_token", "", &unknown));
    bpe->unknown =
        mx_json_get_set(settings->json, "unk_token") ? mx_vocab_find(bpe->vocab, unknown, strlen(unknown)) : NONE;
    if (mx_json_get_set(settings->json, "unk_token") && bpe->unknown < 0)
        return mx_fail(settings->err, MX_ERR_FORMAT, "%s: model: \"unk_token\" is \"%.40s\", which no piece is",
                       settings->file, unknown);
    return MX_OK;
}

/* The id of a piece that stands for this text, or NONE. */
static int32_t find_text(const struct bpe *bpe, const char *text, size_t length)
{
    const int32_t id = mx_vocab_find(bpe->vocab, text, length);
    return id >= 0 && bpe->uses && bpe->uses[id] == MX_USE_NEVER ? NONE : id;
}

static void index_characters(struct bpe *bpe)
{
    for (uint32_t c = 0; c < DIRECT; c++) {
        char bytes[4] = {(char)c};
        if (c >= 0x800) {
            bytes[0] = (char)(0xe0 | c >> 12);
            bytes[1] = (char)(0x80 | (c >> 6 & 0x3f));
            bytes[2] = (char)(0x80 | (c & 0x3f));
        } else if (c >= 0x80) {
            bytes[0] = (char)(0xc0 | c >> 6);
            bytes[1] = (char)(0x80 | (c & 0x3f));
        }
        bpe->direct[c] = find_text(bpe, bytes, mx_utf8_length(bytes[0]));
    }
    mx_vocab_byte_ids(bpe->vocab, bpe->bytes);
    bpe->all_bytes = true;
    for (int i = 0; i < 256; i++) bpe->all_bytes = bpe->all_bytes && bpe->bytes[i] >= 0;
}

static mx_status open_bpe(struct mx_subword **model, struct mx_subword_source *source)
{
    struct mx_error *err = source->settings->err;
    if (source->scores) return mx_fail_listed(source, "BPE");
    if (!source->merges && !source->ready)
        return mx_fail(err, MX_ERR_FORMAT, "%s: model: \"merges\" is missing", source->settings->file);
    struct bpe *bpe = calloc(1, sizeof *bpe);
    if (!bpe) return mx_fail_memory(err, "a tokenizer", sizeof *bpe);
    bpe->base.kind = &mx_subword_bpe;
    bpe->vocab = source->vocab;
    bpe->uses = source->uses;
    bpe->symbols = source->symbols;
    mx_status status = read_settings(bpe, source->settings);
    if (status == MX_OK && source->ready) {
        bpe->merges = *source->ready;
        *source->ready = (struct mx_merges){0};
    } else if (status == MX_OK) {
        status = mx_merges_read(&bpe->merges, bpe->vocab, bpe->prefix, source->merges, err);
    }
    if (status != MX_OK) {
        close_bpe(&bpe->base);
        return status;
    }
    index_characters(bpe);
    *model = &bpe->base;
    return MX_OK;
}

/* Encoding */

/* One symbol of a word. Dead symbols, merged into their left neighbour, have no rank. */
struct symbol {
    int32_t id;
    int32_t previous, next; /* indices; NONE at the ends */
    uint32_t rank;          /* of the merge with the next one */
    int32_t into;           /* what that makes */
};

static int32_t character_id(const struct bpe *bpe, const char *at, size_t length)
{
    const char *end = at;
    const uint32_t c = mx_utf8_next(&end);
    return c < DIRECT ? bpe->direct[c] : find_text(bpe, at, length);
}

/* The longest symbol at the start of `text`: its id and length; NONE if there is none. */
static int32_t find_symbol(const struct bpe *bpe, const char *text, size_t length, size_t *size)
{
    int32_t id = NONE;
    uint32_t node = 0;
    for (size_t i = 0; i < length; i++) {
        node = mx_trie_step(bpe->symbols, node, (uint8_t)text[i]);
        if (!node) break;
        if (bpe->symbols->nodes[node].value < 0) continue;
        id = bpe->symbols->nodes[node].value;
        *size = i + 1;
    }
    return id;
}

/* The character with the model's prefix and suffix around it. */
static int32_t decorated_id(const struct bpe *bpe, const char *at, size_t length, bool first, bool last, char *text,
                            size_t *text_length)
{
    const size_t prefix = bpe->prefix && !first ? strlen(bpe->prefix) : 0;
    const size_t suffix = bpe->suffix && last ? strlen(bpe->suffix) : 0;
    if (prefix) memcpy(text, bpe->prefix, prefix);
    memcpy(text + prefix, at, length);
    if (suffix) memcpy(text + prefix + length, bpe->suffix, suffix);
    *text_length = prefix + length + suffix;
    return mx_vocab_find(bpe->vocab, text, *text_length);
}

/* The symbols of a word's characters, before any merge. Unknown characters become bytes, or the unknown id, or vanish,
 * as the model says. symbols has room for room bytes' worth (see encode). Returns their number. */
static size_t start_symbols(const struct bpe *bpe, const char *word, size_t length, struct symbol *symbols, char *text)
{
    size_t count = 0;
    bool pending = false; /* an unknown id that has not been written yet: more may be fused into it */
    for (size_t i = 0; i < length;) {
        const char *at = word + i;
        size_t size = mx_utf8_length(*at);
        const int32_t symbol = bpe->symbols ? find_symbol(bpe, at, length - i, &size) : NONE;
        const bool first = i == 0, last = i + size == length;
        i += size;
        const int32_t id = symbol >= 0 ? symbol
                           : (bpe->prefix && !first) || (bpe->suffix && last)
                               ? decorated_id(bpe, at, size, first, last, text, &size)
                               : character_id(bpe, at, size);
        const char *spelled = (bpe->prefix && !first) || (bpe->suffix && last) ? text : at;
        if (id >= 0) {
            if (pending) symbols[count++].id = bpe->unknown;
            pending = false;
            symbols[count++].id = id;
            continue;
        }
        bool as_bytes = bpe->byte_fallback;
        for (size_t b = 0; b < size && as_bytes && !bpe->all_bytes; b++)
            as_bytes = bpe->bytes[(uint8_t)spelled[b]] >= 0;
        if (as_bytes) {
            for (size_t b = 0; b < size; b++) symbols[count++].id = bpe->bytes[(uint8_t)spelled[b]];
        } else if (bpe->unknown >= 0) {
            if (pending && !bpe->fuse_unknown) symbols[count++].id = bpe->unknown;
            pending = true;
        }
    }
    if (pending) symbols[count++].id = bpe->unknown;
    return count;
}

static void update_rank(const struct bpe *bpe, struct symbol *symbols, int32_t at)
{
    struct symbol *symbol = &symbols[at];
    symbol->rank = symbol->next < 0 ? MX_NO_RANK
                                    : mx_merges_rank(&bpe->merges, symbol->id, symbols[symbol->next].id, &symbol->into);
}

/* The symbol and its right neighbour become one. */
static void merge_at(const struct bpe *bpe, struct symbol *symbols, int32_t at)
{
    struct symbol *symbol = &symbols[at];
    struct symbol *right = &symbols[symbol->next];
    symbol->id = symbol->into;
    symbol->next = right->next;
    right->rank = MX_NO_RANK;
    if (right->next >= 0) symbols[right->next].previous = at;
    update_rank(bpe, symbols, at);
    if (symbol->previous >= 0) update_rank(bpe, symbols, symbol->previous);
}

static void merge_by_scan(const struct bpe *bpe, struct symbol *symbols)
{
    for (;;) {
        int32_t best = 0;
        for (int32_t at = 0; at >= 0; at = symbols[at].next) {
            if (symbols[at].rank < symbols[best].rank) best = at;
        }
        if (symbols[best].rank == MX_NO_RANK) return;
        merge_at(bpe, symbols, best);
    }
}

/* A binary heap of candidates, each rank << 32 | position. A candidate whose symbol has changed since is skipped when
 * it comes up. */
struct heap {
    uint64_t *items;
    size_t count;
};

static void heap_sink(struct heap *heap, size_t i)
{
    const uint64_t item = heap->items[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= heap->count) break;
        if (child + 1 < heap->count && heap->items[child + 1] < heap->items[child]) child++;
        if (item <= heap->items[child]) break;
        heap->items[i] = heap->items[child];
        i = child;
    }
    heap->items[i] = item;
}

static void heap_push(struct heap *heap, const struct symbol *symbols, int32_t at)
{
    if (at < 0 || symbols[at].rank == MX_NO_RANK) return;
    const uint64_t item = (uint64_t)symbols[at].rank << 32 | (uint32_t)at;
    size_t i = heap->count++;
    while (i > 0 && heap->items[(i - 1) / 2] > item) {
        heap->items[i] = heap->items[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    heap->items[i] = item;
}

static void merge_by_heap(const struct bpe *bpe, struct symbol *symbols, size_t count, uint64_t *items)
{
    struct heap heap = {items, 0};
    for (size_t i = 0; i < count; i++) {
        if (symbols[i].rank != MX_NO_RANK) items[heap.count++] = (uint64_t)symbols[i].rank << 32 | i;
    }
    for (size_t i = heap.count / 2; i-- > 0;) heap_sink(&heap, i);
    while (heap.count) {
        const uint64_t item = items[0];
        items[0] = items[--heap.count];
        if (heap.count) heap_sink(&heap, 0);
        const int32_t at = (int32_t)(uint32_t)item;
        if (symbols[at].rank != (uint32_t)(item >> 32)) continue;
        merge_at(bpe, symbols, at);
        heap_push(&heap, symbols, at);
        heap_push(&heap, symbols, symbols[at].previous);
    }
}

static mx_status encode_bpe(const struct mx_subword *model, struct mx_word_scratch *scratch, const char *word,
                            size_t length, struct mx_ids *ids, struct mx_error *err)
{
    const struct bpe *bpe = (const struct bpe *)model;
    if (bpe->ignore_merges) {
        const int32_t id = mx_vocab_find(bpe->vocab, word, length);
        if (id >= 0) return mx_ids_append(ids, id, err);
    }
    /* At most a symbol per byte, of the prefixes and the suffix too. Each merge leaves two candidates and removes a
     * symbol, so a heap of three per symbol suffices. */
    const size_t prefix = bpe->prefix ? strlen(bpe->prefix) : 0, suffix = bpe->suffix ? strlen(bpe->suffix) : 0;
    size_t room, bytes;
    if (!mx_mul_size(length, prefix + 1, &room) || !mx_add_size(room, suffix + 1, &room) || room > INT32_MAX ||
        !mx_mul_size(room, sizeof(struct symbol) + 3 * sizeof(uint64_t), &bytes))
        return mx_fail(err, MX_ERR_LIMIT, "a word of %zu bytes is too long for this tokenizer", length);
    MX_TRY(mx_word_scratch_reserve(scratch, bytes + prefix + suffix + 8, err));
    uint64_t *heap = scratch->cells;
    struct symbol *symbols = (struct symbol *)(heap + 3 * room);
    char *text = (char *)(symbols + room);

    const size_t count = start_symbols(bpe, word, length, symbols, text);
    if (!count) return MX_OK;
    for (size_t i = 0; i < count; i++) {
        symbols[i].previous = (int32_t)i - 1;
        symbols[i].next = i + 1 < count ? (int32_t)i + 1 : NONE;
        update_rank(bpe, symbols, (int32_t)i);
    }
    if (count <= SHORT_WORD)
        merge_by_scan(bpe, symbols);
    else
        merge_by_heap(bpe, symbols, count, heap);
    for (int32_t at = 0; at >= 0; at = symbols[at].next) MX_TRY(mx_ids_append(ids, symbols[at].id, err));
    return MX_OK;
}

/* Two known characters that no merge joins at a seam stay apart for ever. (An unknown one might be fused with its
 * neighbour, or be bytes that merge.) */
static bool can_cut_bpe(const struct mx_subword *model, const char *word, size_t at)
{
    const struct bpe *bpe = (const struct bpe *)model;
    if (bpe->prefix || bpe->suffix || bpe->ignore_merges) return false;
    const char *before, *after = word + at;
    const uint32_t last = mx_utf8_before(word, after, &before);
    const uint32_t first = mx_utf8_next(&after);
    if (mx_merges_reach(&bpe->merges, last, first)) return false;
    return character_id(bpe, before, (size_t)(word + at - before)) >= 0 &&
           character_id(bpe, word + at, (size_t)(after - (word + at))) >= 0;
}

const struct mx_subword_kind mx_subword_bpe = {open_bpe, close_bpe, encode_bpe, can_cut_bpe};
