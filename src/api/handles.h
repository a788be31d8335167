/* What the handles of the public interface hold. */
#ifndef MX_API_HANDLES_H
#define MX_API_HANDLES_H

#include <mlxcel/mlxcel.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/pool.h"
#include "cache/sequence.h"
#include "engine/sampler.h"
#include "model/model.h"
#include "tokenizer/chat.h"
#include "tokenizer/tokenizer.h"

struct mx_llm {
    char *directory;
    enum mx_cpu_level cpu;
    struct mx_pool *pool;
    struct mx_model *model;
    struct mx_tokenizer *tokenizer;
    struct mx_chat *chat;
    /* Pool and workspace serve one forward pass at a time: who computes holds the lock, for one token or chunk. */
    pthread_mutex_t compute;
    struct mx_workspace *workspace;
};

/* What a sequence and its forks share: the plan, and the memory if there is room for forks in it. */
struct mx_family {
    atomic_int members;
    struct mx_kv_plan *plan;
    struct mx_kv_store *store;
};

struct mx_seq {
    struct mx_llm *llm;
    struct mx_family *family;
    struct mx_kv_store *own_store; /* of a fork whose family has no room for it; otherwise NULL */
    struct mx_sequence *sequence;
    struct mx_seq_options options; /* its strings are not to be used */
    char reason[256];
    const char *requested; /* mode, as it is printed */
    uint64_t limit;        /* tokens asked for; the cache may hold a few more */
    int32_t *tokens;       /* [mx_sequence_context] */
    size_t count;
    float *logits; /* [vocab] */
    bool has_logits;
    atomic_bool cancelled;
    struct mx_sampler *sampler; /* of mx_seq_sample; NULL before */
    struct mx_sampling sampling;
};

/* Part of a prompt, or a token that was decoded, and what its logits are for. */
struct mx_feeding {
    const int32_t *tokens;
    size_t n;
    bool decoded, want_logits;
    double *scores; /* [n], or NULL: of the token that follows each; the last one's is `next` (-1: none) */
    int32_t next;
    mx_on_progress on_progress; /* may be NULL */
    void *context;
};

/* Appends tokens. The sequence then holds what was fed. */
mx_status mx_seq_run(struct mx_seq *seq, const struct mx_feeding *feeding, struct mx_error *err);

/* A conversation as text, appended. */
mx_status mx_render_messages(const struct mx_llm *llm, const struct mx_message *messages, size_t count, bool answer,
                             struct mx_str *text, struct mx_error *err);

/* The engine's settings from the program's. */
mx_status mx_sampler_settings(struct mx_sampler_options *settings, const struct mx_sampling *given,
                              struct mx_error *err);

#endif
