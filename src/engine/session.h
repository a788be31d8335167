/* A session: one model, one text that grows in one cache. Open it (loads the model), begin (makes the cache and the
 * activations, once their size is known), feed tokens, generate. One thread drives it; it owns the thread pool.
 *
 * Read next: generate.h (text out of a prompt), model/model.h, cache/sequence.h.
 */
#ifndef MX_ENGINE_SESSION_H
#define MX_ENGINE_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/pool.h"
#include "base/progress.h"
#include "cache/sequence.h"
#include "model/model.h"
#include "structure/token_trie.h"
#include "tokenizer/chat.h"
#include "tokenizer/tokenizer.h"

struct mx_session;

struct mx_session_options {
    int threads;           /* 0: the machine's physical cores */
    enum mx_cpu_level cpu; /* of the kernels */
    bool text;             /* the tokenizer is needed; without it only ids go in and come out */
};
struct mx_session_options mx_session_options_default(void);
int mx_default_threads(void); /* the machine's physical cores, as a pool takes them */

mx_status mx_session_open(struct mx_session **out, const char *directory, const struct mx_session_options *options,
                          const struct mx_progress *progress, struct mx_error *err);
void mx_session_close(struct mx_session *session); /* NULL is fine */

struct mx_session_begin {
    uint64_t context; /* tokens that must fit; at least 1 */
    uint32_t chunk;   /* tokens fed at a time; 0: MX_MODEL_CHUNK */
    uint32_t rows;    /* rows of logits at a time; 0: 1, which is what generating needs */
    struct mx_kv_options kv;
    uint32_t marks; /* recurrent states that are remembered, for mx_session_rewind: at the beginning and the end of each
                       prompt that is fed (cache/sequence.h); 0: none */
    bool force;     /* go on where cache and activations exceed the memory that is available */
};

/* Makes the cache and the activations. May be called again: the former text is gone. MX_ERR_LIMIT where they would not
 * fit in memory. */
mx_status mx_session_begin(struct mx_session *session, const struct mx_session_begin *begin, struct mx_error *err);

const struct mx_model *mx_session_model(const struct mx_session *session);
const struct mx_arch *mx_session_arch(const struct mx_session *session);
const struct mx_tokenizer *mx_session_tokenizer(const struct mx_session *session); /* NULL without `text` */
const struct mx_chat *mx_session_chat(const struct mx_session *session);           /* NULL without `text` */
/* The bytes of the tokens, for constraints (structure/constraint.h); special ones as MX_TOKEN_SPECIAL and their
 * spelling. Made by the first call, which is the driving thread's and takes up to some 100 ms; any thread may read it.
 * Lives as long as the session. MX_ERR_UNSUPPORTED where tokens have no bytes of their own. */
mx_status mx_session_trie(struct mx_session *session, const struct mx_token_trie **trie, struct mx_error *err);
/* mx_chat_use_template for the session's chat. */
mx_status mx_session_use_template(struct mx_session *session, const char *path, struct mx_error *err);
struct mx_pool *mx_session_pool(const struct mx_session *session);
struct mx_sequence *mx_session_sequence(const struct mx_session *session); /* NULL before mx_session_begin */
struct mx_workspace *mx_session_workspace(const struct mx_session *session);
enum mx_cpu_level mx_session_cpu(const struct mx_session *session);
uint64_t mx_session_cache_bytes(const struct mx_session *session); /* of a full context: cache/size.h */
uint64_t mx_session_state_bytes(const struct mx_session *session); /* of recurrent layers, with those of marks */
uint64_t mx_session_room(const struct mx_session *session);        /* tokens that still fit the context */
double mx_session_load_seconds(const struct mx_session *session);

/* The tokens of the text so far: those that the cache holds. */
const int32_t *mx_session_tokens(const struct mx_session *session, size_t *count);

/* Appends n >= 1 tokens of a prompt to the text. *logits (may be NULL) is then what follows the last of them, [vocab],
 * valid until the next call, may be changed. Errors as mx_model_forward; the text is then as long as what was fed. */
mx_status mx_session_feed(struct mx_session *session, const int32_t *tokens, size_t n, float **logits,
                          const struct mx_progress *progress, struct mx_error *err);

/* The same for a token that the model made (sampled from the last logits). */
mx_status mx_session_decode(struct mx_session *session, int32_t token, float **logits, struct mx_error *err);

/* Forgets the text, keeps cache and activations. */
void mx_session_clear(struct mx_session *session);

/* Makes the text begin as `tokens` does, keeping as much as it can of what the cache holds (a loaded cache, the last
 * prompt), at most n - 1 tokens; returns how many it kept. The rest is to be fed. */
size_t mx_session_rewind(struct mx_session *session, const int32_t *tokens, size_t n);

/* The cache with its tokens in a file, and back: cache/sequence.h. */
mx_status mx_session_save(const struct mx_session *session, const char *path, struct mx_error *err);
mx_status mx_session_load(struct mx_session *session, const char *path, struct mx_error *err);

#endif
