/* The steps and their order are those of Normalizer::Normalize in SentencePiece. */
#include "tokenizer/sp_normalize.h"

#include <string.h>

#include "base/utf8.h"

static void put_space(const struct mx_sp_normalizer *normalizer, struct mx_str *out)
{
    mx_str_puts(out, normalizer->escape ? MX_SP_SPACE : " ");
}

/* The longest symbol at the start of `text`; 0 if there is none. */
static size_t symbol_length(const struct mx_trie *symbols, const char *text, size_t length)
{
    size_t longest = 0;
    uint32_t node = 0;
    for (size_t i = 0; i < length; i++) {
        node = mx_trie_step(symbols, node, (uint8_t)text[i]);
        if (!node) break;
        if (symbols->nodes[node].value >= 0) longest = i + 1;
    }
    return longest;
}

/* What stands at the start of `text` becomes [*to, *to_length); returns how many bytes of `text` that is. */
static size_t normalize_prefix(const struct mx_sp_normalizer *normalizer, const char *text, size_t length,
                               const char **to, size_t *to_length)
{
    const size_t symbol = symbol_length(normalizer->symbols, text, length);
    *to = text;
    *to_length = symbol;
    if (symbol) return symbol;
    size_t used;
    const char *replacement = mx_precompiled_longest(&normalizer->charsmap, text, length, &used);
    if (!replacement) return *to_length = mx_utf8_length(*text);
    *to = replacement;
    *to_length = strlen(replacement);
    return used;
}

static bool ends_with_space(const char *text, size_t length)
{
    return length && text[length - 1] == ' ';
}

void mx_sp_normalize(const struct mx_sp_normalizer *normalizer, const char *text, size_t length, bool first,
                     uint64_t limit, struct mx_str *out)
{
    const char *to;
    size_t to_length, at = 0, used;
    while (normalizer->remove_extra && first && at < length) {
        used = normalize_prefix(normalizer, text + at, length - at, &to, &to_length);
        if (to_length != 1 || *to != ' ') break;
        at += used;
    }
    if (at == length) return;
    const size_t begin = out->length;
    if (normalizer->dummy_prefix && !normalizer->space_as_suffix && first) put_space(normalizer, out);
    bool after_space = normalizer->remove_extra && first;
    for (; at < length && out->length <= limit; at += used) {
        used = normalize_prefix(normalizer, text + at, length - at, &to, &to_length);
        for (; after_space && to_length && *to == ' '; to++) to_length--;
        for (size_t i = 0; i < to_length; i++) {
            if (to[i] == ' ')
                put_space(normalizer, out);
            else
                mx_str_putc(out, to[i]);
        }
        if (to_length) after_space = ends_with_space(to, to_length);
        after_space = after_space && normalizer->remove_extra;
    }
    const char *space = normalizer->escape ? MX_SP_SPACE : " ";
    const size_t size = strlen(space);
    while (normalizer->remove_extra && out->length - begin >= size &&
           memcmp(out->data + out->length - size, space, size) == 0)
        out->length -= size;
    if (normalizer->dummy_prefix && normalizer->space_as_suffix) put_space(normalizer, out);
}
