/* What the tests share that take one family's golden for another's. */
#ifndef MX_TESTS_MODEL_KIN_H
#define MX_TESTS_MODEL_KIN_H

#include "copies.h"

#define DATA "tests/data/families/"
enum { TOKENS = 24 };

/* Logits [TOKENS, vocab] of a model after each of some ids; the caller frees. */
static inline float *run(const char *folder, size_t *vocab)
{
    int32_t ids[TOKENS];
    struct mx_session *session = session_of(folder, MX_CPU_SCALAR, 1, TOKENS, TOKENS);
    *vocab = mx_session_arch(session)->vocab;
    for (int i = 0; i < TOKENS; i++) ids[i] = (int32_t)((7 + 29 * (size_t)i) % *vocab);
    float *logits = logits_of(session, ids, TOKENS);
    mx_session_close(session);
    return logits;
}

#endif
