/* Which tokens may come next, so that a reply becomes a document that a grammar admits: a pushdown automaton over bytes
 * that runs along with the reply.
 *
 *     mx_constraint_from_schema(&constraint, text, length, name, trie, err);
 *     mx_constraint_begin(constraint, err);
 *     until the reply ends:
 *         mx_constraint_mask(constraint, mask)        bits of the tokens that may come
 *         mx_constraint_accept(constraint, token)     the one that came
 *         mx_constraint_ended(constraint)             nothing can follow any more
 *
 * It never gets stuck: whatever it allows can be brought to an end, if the vocabulary has all bytes. White space
 * between the parts of a document is one space, or a line end and up to MX_CONSTRAINT_INDENT spaces or tabs. Everything
 * is allocated when it opens; a mask costs microseconds where a string's content goes on, whose masks are kept, and a
 * few milliseconds at worst. One thread at a time. */
#ifndef MX_STRUCTURE_CONSTRAINT_H
#define MX_STRUCTURE_CONSTRAINT_H

#include "structure/grammar.h"
#include "structure/token_trie.h"

enum { MX_CONSTRAINT_INDENT = 60 };

struct mx_constraint;

/* Takes over `grammar`, also on failure; `trie` is borrowed. */
mx_status mx_constraint_open(struct mx_constraint **out, struct mx_grammar *grammar, const struct mx_token_trie *trie,
                             struct mx_error *err);
/* From text: a JSON Schema of `length` bytes, called `name` in messages; `text` NULL: any JSON object. */
mx_status mx_constraint_from_schema(struct mx_constraint **out, const char *text, size_t length, const char *name,
                                    const struct mx_token_trie *trie, struct mx_error *err);
/* What the interface of OpenAI calls response_format: {"type": "text"} (neither *any_object nor
 * *schema; *out is NULL), {"type": "json_object"}, or
 * {"type": "json_schema", "json_schema": {"name": ..., "schema": {...}}}, whose "strict" makes no difference. `name`
 * starts messages. */
mx_status mx_response_format(const cJSON *format, const char *name, bool *any_object, const cJSON **schema,
                             struct mx_error *err);
mx_status mx_constraint_from_format(struct mx_constraint **out, const cJSON *format, const char *name,
                                    const struct mx_token_trie *trie, struct mx_error *err);
/* Another of the same form, for a reply of its own; any thread may have it. */
mx_status mx_constraint_fork(struct mx_constraint **out, const struct mx_constraint *from, struct mx_error *err);
void mx_constraint_close(struct mx_constraint *constraint); /* NULL is fine */

/* Starts a document, the first or another. */
mx_status mx_constraint_begin(struct mx_constraint *constraint, struct mx_error *err);

/* Words of a mask: bit t % 64 of word t / 64 is token t. */
static inline size_t mx_mask_words(size_t vocab)
{
    return (vocab + 63) / 64;
}
/* The tokens that may come, tokens of the trie only: those that end the reply are the caller's to add where
 * mx_constraint_complete says so. Returns whether there is any. */
bool mx_constraint_mask(struct mx_constraint *constraint, uint64_t *mask);

/* The token that came. False where it was not allowed; then nothing has changed. */
bool mx_constraint_accept(struct mx_constraint *constraint, int32_t token);

bool mx_constraint_complete(const struct mx_constraint *constraint); /* the document may end here */
bool mx_constraint_ended(const struct mx_constraint *constraint);    /* it is complete, and nothing can follow */

#endif
