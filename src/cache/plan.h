/* The plan of a KV cache: how every layer's keys and values lie in memory, and what coding them needs (rotations,
 * angle tables, K biases). One per model and setup; constant once opened, so any number of sequences and threads share
 * it. What belongs to one text is a sequence (cache/sequence.h), what a call needs is scratch (cache/attend.h).
 */
#ifndef MX_CACHE_PLAN_H
#define MX_CACHE_PLAN_H

#include <stdint.h>

#include "base/error.h"
#include "cache/mode.h"
#include "config/arch.h"
#include "kernels/cpu.h"

/* What rotary positions make of a model's K biases: at position t a key holds factor * R_t bias, with R_t the rotation
 * of arch->rope by t. All borrowed; must outlive the plans opened with it. */
struct mx_key_bias {
    const float *const *bias; /* [layer_count]: [kv_heads, k_dim] before rotary, or NULL where a layer has none */
    const float *inverse[2];  /* [pairs]: radians per position of each arch->rope */
    float factor[2];
};

enum { MX_MARKS_MOST = 8 };

struct mx_kv_plan_options {
    struct mx_kv_setup setup;
    const struct mx_key_bias *key_bias; /* NULL: none is known */
    uint64_t context;                   /* the most tokens of one sequence; rounded up to MX_CONTEXT_STEP */
    uint32_t marks; /* recurrent states that a sequence remembers (mx_sequence_mark), at most MX_MARKS_MOST */
    enum mx_cpu_level cpu;
};

struct mx_kv_plan;

/* `arch` is borrowed and must outlive the plan. Fails with MX_ERR_UNSUPPORTED where a layer holds something that the
 * engine does not run, MX_ERR_ARGUMENT where the context is out of range. */
mx_status mx_kv_plan_open(struct mx_kv_plan **out, const struct mx_arch *arch, const struct mx_kv_plan_options *options,
                          struct mx_error *err);
void mx_kv_plan_close(struct mx_kv_plan *plan); /* NULL is fine */

const struct mx_arch *mx_kv_plan_arch(const struct mx_kv_plan *plan);
const struct mx_kv_setup *mx_kv_plan_setup(const struct mx_kv_plan *plan);
uint64_t mx_kv_plan_context(const struct mx_kv_plan *plan); /* tokens that fit a sequence */
uint32_t mx_kv_plan_marks(const struct mx_kv_plan *plan);

/* True where some layer reads another's keys and values. A forward pass must then not cross a multiple of
 * MX_QUERY_TILE positions, since a ring may not run ahead of the layers that still read it. */
bool mx_kv_plan_shares_layers(const struct mx_kv_plan *plan);

/* The shortest beginning that texts may share: longer ones hold the same numbers whatever follows. Where an offset is
 * decided from a text's first tokens these are meant (cache/center.h); where the rotary embedding depends on the length
 * of the text none is, UINT64_MAX. */
uint64_t mx_kv_plan_least_shared(const struct mx_kv_plan *plan);

/* True where sequences can be cut back to any length (mx_sequence_nearest gives what it is asked for): everything is
 * held in fp16, without windows or states. */
bool mx_kv_plan_cuts_anywhere(const struct mx_kv_plan *plan);

#endif
