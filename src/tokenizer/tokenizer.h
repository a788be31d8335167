/* Text to token ids and back, from a Hugging Face `tokenizer.json`, with the results of its `tokenizers` library.
 *
 * Encoding runs five stages, one file each: added tokens are cut out (added.c), the rest is normalized (normalize.c),
 * split into words (pretokenize.c), each word becomes ids (bpe.c or unigram.c), and special tokens are put around them
 * (postprocess.c). Decoding is one chain of steps (decode.c) that works id by id, so that a whole text and a stream
 * share it. The file's `truncation` and `padding` are ignored: a caller that wants them asks for them.
 *
 * An open tokenizer never changes: any number of threads may use it at once. A stream belongs to one thread.
 * Ids are int32_t, in [0, mx_tokenizer_vocab_size()).
 */
#ifndef MX_TOKENIZER_TOKENIZER_H
#define MX_TOKENIZER_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

struct mx_tokenizer;

/* The name of the tokenizer's file in a model's folder ("tokenizer.json"); NULL if none is there. */
const char *mx_tokenizer_file(const char *directory);
/* Reads the file at `path`, or the one in the folder at `path`. A tokenizer_config.json beside it tells the tokens that
 * go around a text, where the class that it names does so in transformers (around.h). A component that nothing here
 * implements is MX_ERR_UNSUPPORTED and named. */
mx_status mx_tokenizer_open(struct mx_tokenizer **tokenizer, const char *path, struct mx_error *err);
/* A tokenizer.json in memory, nothing beside it; `name` starts every message. */
mx_status mx_tokenizer_parse(struct mx_tokenizer **tokenizer, const char *json, size_t length, const char *name,
                             struct mx_error *err);
void mx_tokenizer_close(struct mx_tokenizer *tokenizer); /* NULL is fine */

/* What the file asks for and does not get, one line that a user should see; NULL if there is nothing. Lives as long as
 * the tokenizer. */
const char *mx_tokenizer_note(const struct mx_tokenizer *tokenizer);

/* A growing list of ids. Zero-initialize; free with mx_ids_free. */
struct mx_ids {
    int32_t *data;
    size_t count, capacity;
};
mx_status mx_ids_append(struct mx_ids *ids, int32_t id, struct mx_error *err);
void mx_ids_free(struct mx_ids *ids);

/* Appends the ids of `text` (UTF-8, `length` bytes, NUL bytes allowed; what is not UTF-8 counts as U+FFFD). Added
 * tokens in the text ("<|im_end|>") become their ids. `add_special` also puts the tokens around it that the file asks
 * for (a beginning-of-text token, usually); leave it out for text that a chat template made. On failure `ids` holds
 * what it held before. */
mx_status mx_tokenizer_encode(const struct mx_tokenizer *tokenizer, const char *text, size_t length, bool add_special,
                              struct mx_ids *ids, struct mx_error *err);

/* Appends the text of `count` ids: valid UTF-8, broken sequences as U+FFFD. Ids that have no piece give nothing.
 * `skip_special` leaves special tokens out. */
mx_status mx_tokenizer_decode(const struct mx_tokenizer *tokenizer, const int32_t *ids, size_t count, bool skip_special,
                              struct mx_str *text, struct mx_error *err);

/* Appends the bytes that an id adds to a text in its middle: what a stream hands out for it, but that a character may
 * be cut. Nothing for an id without a piece; special tokens as they are spelled. MX_ERR_UNSUPPORTED where that depends
 * on the ids around (a WordPiece, BPE-with-suffixes or CTC decoder). */
mx_status mx_tokenizer_bytes(const struct mx_tokenizer *tokenizer, int32_t id, struct mx_str *bytes,
                             struct mx_error *err);

/* The highest id, plus one. */
int32_t mx_tokenizer_vocab_size(const struct mx_tokenizer *tokenizer);
/* The piece of an id as the file spells it ("Ġthe"), NUL-terminated, lives as long as the tokenizer; its bytes in
 * *length unless that is NULL. NULL for an id without a piece. */
const char *mx_tokenizer_piece(const struct mx_tokenizer *tokenizer, int32_t id, size_t *length);
/* The id of a piece or added token, spelled so; -1 if there is none. */
int32_t mx_tokenizer_id(const struct mx_tokenizer *tokenizer, const char *piece, size_t length);
/* Is it an added token that the file calls special? */
bool mx_tokenizer_is_special(const struct mx_tokenizer *tokenizer, int32_t id);

/* Decoding while ids come in, one at a time. Every text that it hands out consists of whole characters; together they
 * are what mx_tokenizer_decode gives for the same ids. One exception, for the reader's sake: in a run of byte tokens
 * characters come out as they are complete, and only broken bytes become U+FFFD, where the whole-text decoder replaces
 * the whole run. Memory is kept from call to call, so that a long stream stops allocating. */
struct mx_text_stream;
mx_status mx_text_stream_open(struct mx_text_stream **stream, const struct mx_tokenizer *tokenizer, bool skip_special,
                              struct mx_error *err);
void mx_text_stream_close(struct mx_text_stream *stream); /* NULL is fine */
/* Takes one id; *text (`length` bytes, often 0, NUL-terminated) is what can be shown now, valid until the next call. */
mx_status mx_text_stream_feed(struct mx_text_stream *stream, int32_t id, const char **text, size_t *length,
                              struct mx_error *err);
/* Takes the ids that stand before those to come, without handing out their text: what follows then begins with the
 * space that a beginning of text would lose, and ends the character that these leave unfinished. */
mx_status mx_text_stream_skip(struct mx_text_stream *stream, const int32_t *ids, size_t count, struct mx_error *err);
/* No more ids: hands out what was held back (an unfinished character as U+FFFD) and makes ready for a new text. */
mx_status mx_text_stream_finish(struct mx_text_stream *stream, const char **text, size_t *length, struct mx_error *err);

#endif
