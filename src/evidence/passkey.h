/* Passkey retrieval: a number is hidden in a long text and asked for at its end; the model's greedy answer is right
 * when it is that number's tokens. */
#ifndef MX_EVIDENCE_PASSKEY_H
#define MX_EVIDENCE_PASSKEY_H

#include "engine/session.h"

struct mx_passkey {
    size_t cases, right;
    uint64_t text;       /* a hash of all prompts */
    size_t as_reference; /* cases that are right or wrong as the file says of the reference */
    struct mx_kv_setup setup;
};

/* Runs the cases that the file lists under `length` ("1024"). The file: {"cases": {"1024": [{"prompt": [ids],
 * "answer": [ids], "correct_fp32": true}, ...]}}. Begins the session anew with `kv`. */
mx_status mx_passkey_run(struct mx_session *session, const char *path, const char *length,
                         const struct mx_kv_options *kv, const struct mx_progress *progress, struct mx_passkey *result,
                         struct mx_error *err);

#endif
