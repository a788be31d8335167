/* A model that runs: the description (config/arch.h), its weights in place in the mapped checkpoint, and the forward
 * pass, one loop over layers that reads the description and knows no model's name.
 *
 * A model is read-only once opened: several workspaces may run on it, each in a thread of its own. A workspace holds
 * the activations of one chunk of tokens and the scratch of attention; what it takes can be asked beforehand. A chunk
 * may hold tokens of any number of sequences. The token loop allocates nothing.
 *
 * Read next: weights.h (what was resolved), forward.c (the loop), attention.c, feed_forward.c, experts.c (the blocks).
 */
#ifndef MX_MODEL_MODEL_H
#define MX_MODEL_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/pool.h"
#include "base/progress.h"
#include "cache/sequence.h"
#include "checkpoint/checkpoint.h"
#include "config/arch.h"
#include "kernels/cpu.h"

struct mx_model;

/* Opens DIRECTORY/config.json and its weights, and checks everything: the model type runs, each tensor is there with
 * the shape that the description wants, none is left over, no scale is NaN. Only norms and biases are copied (widened
 * to f32); all else stays in the mapped files. `progress` may be NULL. */
mx_status mx_model_open(struct mx_model **out, const char *directory, const struct mx_progress *progress,
                        struct mx_error *err);
void mx_model_close(struct mx_model *model); /* NULL is fine */

const struct mx_arch *mx_model_arch(const struct mx_model *model);
const struct mx_checkpoint *mx_model_checkpoint(const struct mx_model *model);

/* Tells checkpoints apart: a hash of all names, shapes and a sample of each tensor's bytes. */
uint64_t mx_model_fingerprint(const struct mx_model *model);

/* Tells models apart whose saved caches must not be mixed up: a hash of what config.json says (order, spelling and
 * members that no computation depends on aside) and of all bytes of the weights. They are read whole where the user's
 * cache folder does not hold their hash, or they have changed since; opening a model never waits for that. */
mx_status mx_model_identity(const struct mx_model *model, struct mx_pool *pool, const struct mx_progress *progress,
                            uint64_t *identity, struct mx_error *err);

/* Tensors that were not read, of the other parts (vision, audio) of a model that wraps this text model. */
size_t mx_model_skipped_tensors(const struct mx_model *model);

/* What a cache of this model needs to know of K biases: mx_kv_plan_options.key_bias. */
const struct mx_key_bias *mx_model_key_bias(const struct mx_model *model);

/* Bytes of weights that decoding one token reads: every matrix once; of the experts those that a token uses; of an
 * untied embedding one row. */
uint64_t mx_model_step_bytes(const struct mx_model *model);

enum { MX_MODEL_CHUNK = 512 }; /* tokens that a prefill feeds at a time, unless asked otherwise */

struct mx_workspace_options {
    uint32_t chunk; /* the largest number of tokens fed at a time, all sequences together */
    uint32_t rows;  /* the largest number of rows of logits made at a time; at most `chunk` */
    enum mx_cpu_level cpu;
    struct mx_pool *pool; /* borrowed; must outlive the workspace */
};

struct mx_workspace;

/* Bytes that a workspace for this model takes with `threads` threads, attention's scratch included; UINT64_MAX if the
 * size overflows. */
uint64_t mx_workspace_bytes(const struct mx_arch *arch, uint32_t chunk, uint32_t rows, int threads);

/* Rows that keep the logits of one tile within 32 MiB, at most `chunk`. */
uint32_t mx_workspace_rows(const struct mx_arch *arch, uint32_t chunk);

/* `arch` is read during the call only. */
mx_status mx_workspace_open(struct mx_workspace **out, const struct mx_arch *arch,
                            const struct mx_workspace_options *options, struct mx_error *err);
void mx_workspace_close(struct mx_workspace *workspace); /* NULL is fine */

/* What the experts of a model have been read for since the workspace was opened: layers run for a chunk of tokens, and
 * experts whose weights these runs read, each once for all its tokens. Zero without experts. */
struct mx_experts_use {
    uint64_t layers, read;
};
struct mx_experts_use mx_workspace_experts(const struct mx_workspace *workspace);

/* The next n tokens of one sequence. */
struct mx_segment {
    struct mx_sequence *sequence;
    const int32_t *tokens; /* [n] */
    size_t n;
    size_t logits; /* of how many of the tokens, from the last one on backwards, logits are wanted */
    bool decode;   /* tokens that the model has made: they go before prompts, and each is as if it came alone */
    uint64_t text; /* of a prompt: its tokens in all, where this is a part; 0: up to the end of this */
};

/* Receives logits: rows [count, vocab] after tokens token .. token + count - 1 of a segment, in the order of its
 * tokens. They are valid during the call and may be changed. Runs in the calling thread and may use the pool. */
struct mx_logits_sink {
    void (*take)(void *context, size_t segment, size_t token, size_t count, float *logits);
    void *context;
    /* May be NULL. Tells whose logits are no numbers, before the call fails for that; rows of other segments in the
     * same chunk may not have been handed out then, though they were fed. */
    void (*bad)(void *context, size_t segment);
};

/* Feeds the segments' tokens to their sequences, all of one plan and none twice, in chunks, and leaves them there.
 * `sink` may be NULL where no segment wants logits, `progress` always. Fails with MX_ERR_ARGUMENT on a token beyond the
 * vocabulary, MX_ERR_LIMIT where they don't fit (both before anything is computed) and MX_ERR_INTERRUPTED between
 * chunks; each sequence then holds what was fed. Logits that are NaN or infinite are never handed out: the call ends
 * with MX_ERR_NOT_A_NUMBER and names the first layer that made them; the sequence of those is empty then.
 *
 * What a segment gets is the same to the bit whatever other segments stand beside it, however a text is cut into
 * segments (the first has min(text, 256) tokens at least, and `text` is said where the rotary embedding is dynamic),
 * and for any number of threads.
 * A dynamic rope takes the length that the text has after its prompt, as the reference does in one pass; longrope's
 * long factors serve sequences whose context is beyond the original one, whatever they hold. */
mx_status mx_model_forward(const struct mx_model *model, struct mx_workspace *workspace,
                           const struct mx_segment *segments, size_t count, const struct mx_logits_sink *sink,
                           const struct mx_progress *progress, struct mx_error *err);

/* One chunk of mx_model_forward by turns, for a caller that has something else to do in between (other texts that must
 * not wait), on the same pool: the same results to the bit. It has a workspace of its own meanwhile. Until it has
 * ended, its sequences must not be touched, and a model's layers stand in the middle of something. */
struct mx_pass;
mx_status mx_pass_open(struct mx_pass **out, const struct mx_model *model, struct mx_workspace *workspace,
                       struct mx_error *err);
void mx_pass_close(struct mx_pass *pass); /* NULL is fine */

/* Begins: `segments` and `sink` stay the caller's and must be there until the pass has ended. As mx_model_forward, and
 * MX_ERR_LIMIT where the segments don't fit the workspace's chunk at once. */
mx_status mx_pass_start(struct mx_pass *pass, const struct mx_segment *segments, size_t count,
                        const struct mx_logits_sink *sink, struct mx_error *err);

/* Goes on for about `seconds` (INFINITY: to the end), for a few pieces of a loop at least. When all layers are done it
 * hands out the logits, and sets *ended. */
mx_status mx_pass_run(struct mx_pass *pass, double seconds, bool *ended, struct mx_error *err);

/* Gives the pass up: it ends with the layer that it is in, and hands nothing out. Its sequences are lost then. */
void mx_pass_stop(struct mx_pass *pass);

#endif
