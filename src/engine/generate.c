/* The loop of one text: pick a token, feed it. */
#include "engine/generate.h"

#include "base/clock.h"

/* What was read since `before`. */
static struct mx_experts_use experts_since(struct mx_session *session, const struct mx_experts_use *before)
{
    const struct mx_experts_use now = mx_workspace_experts(mx_session_workspace(session));
    return (struct mx_experts_use){now.layers - before->layers, now.read - before->read};
}

static mx_status decode(struct mx_session *session, struct mx_reply *reply, float *logits,
                        const struct mx_progress *progress, struct mx_error *err)
{
    struct mx_generation *generation = reply->generation;
    for (;;) {
        size_t length;
        const int32_t *history = mx_session_tokens(session, &length);
        int32_t token;
        bool ended;
        MX_TRY(mx_reply_next(reply, logits, history, length, mx_session_room(session), &token, &ended, err));
        if (ended) return MX_OK;
        if (mx_progress_interrupted(progress)) {
            generation->finish = MX_FINISH_INTERRUPTED;
            return MX_OK;
        }
        const double start = mx_seconds();
        MX_TRY(mx_session_decode(session, token, &logits, err));
        generation->decode_seconds += mx_seconds() - start;
        generation->decode_steps++;
    }
}

static mx_status prefill(struct mx_session *session, struct mx_reply *reply, const int32_t *prompt, size_t n,
                         const struct mx_progress *progress, float **logits, struct mx_error *err)
{
    struct mx_generation *generation = reply->generation;
    generation->prompt_tokens = n;
    size_t at = generation->reused_tokens = mx_session_rewind(session, prompt, n);
    const double start = mx_seconds();
    mx_status status = MX_OK;
    if (reply->options->again && n - at > 1 && mx_session_state_bytes(session)) {
        status = mx_session_feed(session, prompt + at, n - 1 - at, NULL, progress, err);
        at = n - 1;
    }
    if (status == MX_OK) status = mx_session_feed(session, prompt + at, n - at, logits, progress, err);
    generation->prefill_seconds = mx_seconds() - start;
    return status;
}

static mx_status run(struct mx_session *session, struct mx_reply *reply, const int32_t *prompt, size_t n,
                     const struct mx_progress *progress, struct mx_error *err)
{
    struct mx_generation *generation = reply->generation;
    float *logits = NULL;
    const struct mx_experts_use begun = mx_workspace_experts(mx_session_workspace(session));
    const mx_status status = prefill(session, reply, prompt, n, progress, &logits, err);
    generation->prefill_experts = experts_since(session, &begun);
    if (status == MX_ERR_INTERRUPTED) {
        generation->finish = MX_FINISH_INTERRUPTED;
        return MX_OK;
    }
    if (status != MX_OK) return status;
    const struct mx_experts_use filled = mx_workspace_experts(mx_session_workspace(session));
    MX_TRY(decode(session, reply, logits, progress, err));
    generation->decode_experts = experts_since(session, &filled);
    return mx_reply_end(reply, err);
}

mx_status mx_generate(struct mx_session *session, const int32_t *prompt, size_t n,
                      const struct mx_generate_options *options, const struct mx_progress *progress,
                      struct mx_generation *generation, struct mx_error *err)
{
    *generation = (struct mx_generation){0};
    if (n == 0) return mx_fail(err, MX_ERR_ARGUMENT, "the prompt is empty: there is nothing to continue");
    struct mx_reply reply;
    mx_status status =
        mx_reply_open(&reply, options, generation, mx_session_tokenizer(session), mx_session_chat(session),
                      mx_session_arch(session)->vocab, mx_dense_kernels(mx_session_cpu(session)), err);
    if (status == MX_OK) status = run(session, &reply, prompt, n, progress, err);
    mx_reply_close(&reply);
    const size_t fed = n - generation->reused_tokens;
    if (generation->prefill_seconds > 0) generation->prefill_tok_s = (double)fed / generation->prefill_seconds;
    if (generation->decode_steps) {
        generation->decode_tok_s = (double)generation->decode_steps / generation->decode_seconds;
    }
    return status;
}
