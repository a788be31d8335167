/* The normalizer: a list of steps, each from text to text ("normalizer" of tokenizer.json, Sequences flattened). */
#ifndef MX_TOKENIZER_NORMALIZE_H
#define MX_TOKENIZER_NORMALIZE_H

#include <stddef.h>

#include "base/error.h"
#include "base/str.h"
#include "tokenizer/pattern.h"
#include "tokenizer/precompiled.h"
#include "tokenizer/regex.h"
#include "tokenizer/settings.h"
#include "tokenizer/sp_normalize.h"

struct mx_normalizer_kind;

/* One step: its kind and the settings that the kind reads. */
struct mx_normalizer_step {
    const struct mx_normalizer_kind *kind;
    struct mx_pattern pattern;           /* Replace */
    const char *text;                    /* Replace, Prepend: what is put in */
    int form;                            /* NFC and its like: utf8proc options */
    bool left, right;                    /* Strip */
    bool clean, chinese, accents, lower; /* BertNormalizer */
    struct mx_precompiled charsmap;      /* Precompiled */
    struct mx_normalizer_step *next;
};

struct mx_normalizer {
    struct mx_normalizer_step *steps;             /* NULL: none */
    const struct mx_sp_normalizer *sentencepiece; /* instead of steps; not owned; NULL: none */
};

/* settings->json is the component; null gives no steps. */
mx_status mx_normalizer_parse(struct mx_normalizer *normalizer, const struct mx_settings *settings);
void mx_normalizer_free(struct mx_normalizer *normalizer);

/* Sets `out` to the normalized text (valid UTF-8 in and out); `spare` is scratch. *front comes in as true if the text
 * is the beginning of what the user gave; it stays so unless characters there are dropped, so that `out` does not begin
 * where the text does. MX_ERR_LIMIT if the text grows beyond
 * mx_growth_limit. */
mx_status mx_normalizer_apply(const struct mx_normalizer *normalizer, struct mx_regex_state *state, const char *text,
                              size_t length, struct mx_str *out, struct mx_str *spare, bool *front,
                              struct mx_error *err);

#endif
