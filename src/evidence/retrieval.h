/* Retrieval: numbers are hidden in a long text, at several depths, and asked for at its end; the model's greedy answer
 * is right when it is the number's tokens. Haystacks hide five keys and one key in turns: of several the right one must
 * be told from the others, and, where the text is long enough, all are asked for in one answer. With the model's chat
 * template, text and question are the user's message and the answer is begun for the assistant; a model without one
 * goes on with plain text. What is hidden and asked is made here; the text is the caller's. */
#ifndef MX_EVIDENCE_RETRIEVAL_H
#define MX_EVIDENCE_RETRIEVAL_H

#include "engine/session.h"

enum { MX_RETRIEVAL_DEPTHS = 5 };
/* Where keys are hidden, in per cent of the context. */
extern const uint32_t mx_retrieval_depths[MX_RETRIEVAL_DEPTHS];

struct mx_retrieval_options {
    const int32_t *tokens; /* [count], borrowed: the text in which keys are hidden */
    size_t count;
    uint32_t length;                   /* of a haystack with its question and answer, tokens */
    uint32_t haystacks;                /* at least 1; they begin at different places of the text */
    const struct mx_kv_options *modes; /* [mode_count] */
    size_t mode_count;
};

struct mx_retrieval {
    struct mx_kv_setup setup;            /* what ran */
    uint32_t prompts, right, right_fp16; /* the last: of the same prompts through an fp16 cache */
    uint32_t prompts_at[MX_RETRIEVAL_DEPTHS], right_at[MX_RETRIEVAL_DEPTHS];
    uint32_t asked_together, right_together, right_together_fp16; /* keys that one answer had to give with others, not
                                                                     among `prompts`, and those that it gave */
    bool chat;                                                    /* by the chat template */
    char text[17];                                                /* of all haystacks: mx_record_text's */
};

/* results [mode_count]. The session must have its tokenizer; it is begun anew. MX_ERR_ARGUMENT where the length leaves
 * no room for keys and question, or the text is shorter. */
mx_status mx_retrieval_run(struct mx_session *session, const struct mx_retrieval_options *options,
                           const struct mx_progress *progress, struct mx_retrieval *results, struct mx_error *err);

#endif
