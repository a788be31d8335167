/* The pre-tokenizer: cuts normalized text into words, which the model then encodes one by one ("pre_tokenizer" of
 * tokenizer.json, Sequences flattened into a list of steps). */
#ifndef MX_TOKENIZER_PRETOKENIZE_H
#define MX_TOKENIZER_PRETOKENIZE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/str.h"
#include "tokenizer/pattern.h"
#include "tokenizer/regex.h"
#include "tokenizer/settings.h"

struct mx_pretokenizer_kind;

/* What becomes of the matches of a splitting pattern. */
enum mx_behavior { MX_REMOVED, MX_ISOLATED, MX_MERGED_WITH_PREVIOUS, MX_MERGED_WITH_NEXT, MX_CONTIGUOUS };

/* One step: its kind and the settings that the kind reads. */
struct mx_pretokenizer_step {
    const struct mx_pretokenizer_kind *kind;
    enum mx_behavior behavior;
    bool invert;               /* Split: what lies between the matches counts as match */
    struct mx_pattern pattern; /* Split, ByteLevel with use_regex */
    const char *text;          /* Metaspace: the replacement; CharDelimiterSplit: the delimiter */
    int prefix;                /* ByteLevel, Metaspace: when something is put in front; see pretokenize.c */
    int64_t length;            /* FixedLength: characters */
    bool split;                /* Metaspace, ByteLevel */
    struct mx_pretokenizer_step *next;
};

struct mx_pretokenizer {
    struct mx_pretokenizer_step *steps; /* NULL: the text is one word */
    bool byte_level;                    /* the last step spells bytes as characters: it is left to the caller, who
                                           applies mx_bytes_to_chars to each word (most words come from a cache) */
};

/* Words: pieces text[start, end) in order, none of them empty. */
struct mx_word {
    size_t start, end;
    bool first; /* it stands at the very beginning of what the user gave */
};
struct mx_words {
    struct mx_str text;
    struct mx_word *items;
    size_t count, capacity;
};
void mx_words_free(struct mx_words *words);

/* settings->json is the component; null gives no steps. */
mx_status mx_pretokenizer_parse(struct mx_pretokenizer *pretokenizer, const struct mx_settings *settings);
void mx_pretokenizer_free(struct mx_pretokenizer *pretokenizer);

/* Sets `words` to the words of `text` (valid UTF-8). `first` says that the text is the beginning of what the user
 * gave. `spare` is scratch. */
mx_status mx_pretokenizer_apply(const struct mx_pretokenizer *pretokenizer, struct mx_regex_state *state,
                                const char *text, size_t length, bool first, struct mx_words *words,
                                struct mx_words *spare, struct mx_error *err);

#endif
