/* The decoder: pieces back to text ("decoder" of tokenizer.json, Sequences flattened into a list of steps).
 *
 * It takes one piece at a time and hands on what is settled, so that a stream and a whole text are decoded by the same
 * code. Between two steps flow tokens; a token may come in parts (what is behind Fuse is one endless token). */
#ifndef MX_TOKENIZER_DECODE_H
#define MX_TOKENIZER_DECODE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/str.h"
#include "tokenizer/pattern.h"
#include "tokenizer/regex.h"
#include "tokenizer/settings.h"

struct mx_decoder_kind;

/* One step: its kind and the settings that the kind reads. */
struct mx_decoder_step {
    const struct mx_decoder_kind *kind;
    bool whole;                /* it must see tokens whole: parts are gathered before it */
    struct mx_pattern pattern; /* Replace */
    const char *text; /* Replace, Strip, Metaspace, WordPiece, BPEDecoder, CTC: content, prefix, suffix or padding */
    const char *delimiter; /* CTC */
    int64_t start, stop;   /* Strip */
    bool prefixed;         /* Metaspace: a mark in the first token was put there by the encoder */
    bool cleanup;          /* WordPiece, CTC */
    struct mx_decoder_step *next;
};

struct mx_decoder {
    struct mx_decoder_step *steps; /* at least one */
    size_t count;
};

/* settings->json is the component; null joins tokens with spaces. */
mx_status mx_decoder_parse(struct mx_decoder *decoder, const struct mx_settings *settings);
void mx_decoder_free(struct mx_decoder *decoder);

/* Appends the bytes that a piece adds to a text in its middle, part of a character or not. False: they depend on the
 * pieces around. */
bool mx_decoder_bytes(const struct mx_decoder *decoder, const char *piece, size_t length, struct mx_str *out);

/* One text being decoded. Open, feed the pieces, finish: the text stands in `out`, which the caller may empty in
 * between. After finish the next text may begin. */
struct mx_decoder_run {
    const struct mx_decoder *decoder;
    struct mx_decoder_memory *memory; /* [decoder->count] */
    struct mx_regex_state regex;
    struct mx_str out;
    uint64_t fed; /* bytes of the text's pieces so far */
    bool eager;   /* hand characters of byte runs on at once, at the price described at mx_text_stream */
};
mx_status mx_decoder_open(struct mx_decoder_run *run, const struct mx_decoder *decoder, bool eager,
                          struct mx_error *err);
mx_status mx_decoder_feed(struct mx_decoder_run *run, const char *piece, size_t length, struct mx_error *err);
mx_status mx_decoder_finish(struct mx_decoder_run *run, struct mx_error *err);
void mx_decoder_close(struct mx_decoder_run *run);

#endif
