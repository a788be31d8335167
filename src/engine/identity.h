/* What a saved cache belongs to. */
#ifndef MX_ENGINE_IDENTITY_H
#define MX_ENGINE_IDENTITY_H

#include "base/pool.h"
#include "model/model.h"

/* A hash of the model (mx_model_identity) and of the file of its tokenizer in `directory`, which tells what the tokens
 * mean. Uses the pool. */
mx_status mx_saved_identity(const struct mx_model *model, const char *directory, struct mx_pool *pool,
                            uint64_t *identity, struct mx_error *err);

#endif
