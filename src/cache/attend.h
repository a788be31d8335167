/* Attention on sequences. A forward pass calls, for the tokens that it brings: mx_sequence_reserve for each sequence,
 * mx_kv_attend for each attention layer (it stores the layer's new K and V and computes its attention, since in a coded
 * cache the two interleave: a block is encoded when the queries that still read it in fp16 are through), and
 * mx_sequence_advance for each sequence at the end.
 *
 * The form in which a query sees a token, and the order in which its result is summed, depend on positions alone
 * (docs/kv-cache-design.md, "The recent window"). So the result of a token is the same to the bit however its text was
 * cut into calls, whatever other sequences share a call, and for any number of threads.
 */
#ifndef MX_CACHE_ATTEND_H
#define MX_CACHE_ATTEND_H

#include "base/pool.h"
#include "cache/sequence.h"

/* What attention needs while it runs, whatever the number of sequences. One thread at a time. */
struct mx_kv_scratch;

/* Bytes of scratch for calls of at most `chunk` tokens on that many threads; a multiple of 64. */
uint64_t mx_kv_scratch_bytes(const struct mx_arch *arch, uint32_t chunk, int threads);

/* Builds the scratch in `memory`, mx_kv_scratch_bytes() of it from a multiple of 64 on. It is valid as long as the
 * memory and the pool are, and has nothing to free. */
struct mx_kv_scratch *mx_kv_scratch_place(void *memory, const struct mx_arch *arch, uint32_t chunk,
                                          struct mx_pool *pool);

/* The next n tokens of one sequence. */
struct mx_kv_segment {
    struct mx_sequence *sequence;
    uint32_t n;
};

/* What a layer has besides keys and values in its scores, numbers per query head [heads]; NULL: none. */
struct mx_kv_terms {
    const float *sinks;  /* a score that no key has and whose value is 0: it joins the softmax's sum alone (gpt-oss) */
    const float *slopes; /* ALiBi (arXiv 2108.12409): slope * (the key's position - the query's) is added to a score */
};

/* Numbers of a query of a layer: those of its keys; of a layer that holds a latent, of the latent and the rotary part.
 */
uint32_t mx_kv_query_dim(const struct mx_kv_shape *shape);

/* Chooses the tokens that the queries of a layer with an indexer attend to, and of the layers behind it that have none
 * of their own (mx_kv_shape.top): the best so many by sum over heads h of weights[h] * max(0, <q_h, k_t>)
 * (DeepSeek-V3.2, arXiv 2512.02556, section 2.1) of equals the first; a query that sees no more attends to all. Stores
 * the tokens' keys. Called before mx_kv_attend, with the same segments; the choice stands until the next one. q [total,
 * indexer heads, indexer dim]  after rotary weights [total, indexer heads] k       [total, indexer dim] after norm and
 * rotary */
void mx_kv_choose(struct mx_kv_scratch *scratch, uint32_t layer, const struct mx_kv_segment *segments, size_t count,
                  const float *q, const float *weights, const float *k);

/* Attention of the segments' tokens in `layer`; all sequences have the same plan, none stands twice. Rows of all
 * segments follow one another, `total` of them at most the scratch's chunk:
 *   q   [total, heads, query dim] after norms and rotary; not scaled
 *   k   [total, kv_heads, k_dim]  after norms and rotary; NULL where the layer shares another's cache
 *   v   [total, kv_heads, v_dim]
 *   out [total, heads, v_dim]     softmax(scale * q k^T, softcapped where softcap > 0, with the slopes' terms, masked)
 * v `terms` may be NULL. Of a latent (arXiv 2405.04434, section 2.1, in its absorbed form) k is the rotary part and v
 * the latent, which every head's scores and sums read: q is brought into the latent's space, the rotary part behind it,
 * and out, in that space too, is the weighted sum of latents. Each query sees itself and what its layer's kind (full,
 * sliding, chunked) lets it see. */
void mx_kv_attend(struct mx_kv_scratch *scratch, uint32_t layer, const struct mx_kv_segment *segments, size_t count,
                  const struct mx_kv_terms *terms, const float *q, const float *k, const float *v, float *out);

#endif
