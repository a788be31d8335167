/* Text out of a prompt. */
#ifndef MX_ENGINE_GENERATE_H
#define MX_ENGINE_GENERATE_H

#include "engine/reply.h"
#include "engine/session.h"

/* Feeds the prompt (n >= 1 tokens; what the cache holds of it already is not computed again) and generates. The session
 * has begun and has a tokenizer, or text stays empty. Ctrl-C is not a failure: what was made until then is the result.
 * A prompt that doesn't fit the context is MX_ERR_LIMIT. *generation is to be freed, after a failure too. */
mx_status mx_generate(struct mx_session *session, const int32_t *prompt, size_t n,
                      const struct mx_generate_options *options, const struct mx_progress *progress,
                      struct mx_generation *generation, struct mx_error *err);

#endif
