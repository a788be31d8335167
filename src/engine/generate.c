/* The loop: pick a token, show its text, feed it. */
#include "engine/generate.h"

#include "base/clock.h"
#include "engine/stop.h"

const char *mx_finish_name(enum mx_finish finish)
{
    static const char *const names[] = {"length", "end", "stop", "context", "interrupted"};
    return names[finish];
}

void mx_generation_free(struct mx_generation *generation)
{
    mx_str_free(&generation->text);
    mx_ids_free(&generation->tokens);
}

struct loop {
    struct mx_session *session;
    const struct mx_generate_options *options;
    const struct mx_progress *progress;
    struct mx_generation *generation;
    struct mx_sampler *sampler;
    struct mx_text_stream *stream; /* NULL without a tokenizer */
    struct mx_stop stop;
    struct mx_error *err;
};

static void emit(void *context, const char *text, size_t length)
{
    struct loop *loop = context;
    mx_str_append(&loop->generation->text, text, length);
    if (loop->options->text) loop->options->text(loop->options->context, text, length);
}

/* Shows a token's text; *stopped is set where a stop string is complete. */
static mx_status show(struct loop *loop, int32_t token, bool *stopped)
{
    MX_TRY(mx_ids_append(&loop->generation->tokens, token, loop->err));
    if (!loop->stream) return MX_OK;
    const char *text;
    size_t length;
    MX_TRY(mx_text_stream_feed(loop->stream, token, &text, &length, loop->err));
    *stopped = mx_stop_feed(&loop->stop, text, length, emit, loop);
    return MX_OK;
}

static mx_status finish_text(struct loop *loop)
{
    if (!loop->stream || loop->generation->finish == MX_FINISH_STOP) return MX_OK;
    const char *text;
    size_t length;
    MX_TRY(mx_text_stream_finish(loop->stream, &text, &length, loop->err));
    if (mx_stop_feed(&loop->stop, text, length, emit, loop)) {
        loop->generation->finish = MX_FINISH_STOP;
    } else {
        mx_stop_finish(&loop->stop, emit, loop);
    }
    return MX_OK;
}

static mx_status decode(struct loop *loop, float *logits)
{
    const struct mx_chat *chat = mx_session_chat(loop->session);
    struct mx_generation *generation = loop->generation;
    generation->finish = MX_FINISH_LENGTH;
    while (generation->tokens.count < loop->options->max_tokens) {
        size_t length;
        const int32_t *history = mx_session_tokens(loop->session, &length);
        const int32_t token = mx_sampler_pick(loop->sampler, logits, history, length);
        if (chat && mx_chat_is_eos(chat, token)) {
            generation->finish = MX_FINISH_END;
            break;
        }
        bool stopped = false;
        MX_TRY(show(loop, token, &stopped));
        if (stopped) generation->finish = MX_FINISH_STOP;
        if (stopped || generation->tokens.count == loop->options->max_tokens) break;
        if (mx_session_room(loop->session) == 0) generation->finish = MX_FINISH_CONTEXT;
        if (mx_progress_interrupted(loop->progress)) generation->finish = MX_FINISH_INTERRUPTED;
        if (generation->finish != MX_FINISH_LENGTH) break;
        const double start = mx_seconds();
        MX_TRY(mx_session_decode(loop->session, token, &logits, loop->err));
        generation->decode_seconds += mx_seconds() - start;
        generation->decode_steps++;
    }
    return finish_text(loop);
}

static mx_status prefill(struct loop *loop, const int32_t *prompt, size_t n, float **logits)
{
    struct mx_generation *generation = loop->generation;
    generation->prompt_tokens = n;
    generation->reused_tokens = mx_session_rewind(loop->session, prompt, n);
    const double start = mx_seconds();
    const mx_status status = mx_session_feed(loop->session, prompt + generation->reused_tokens,
                                             n - generation->reused_tokens, logits, loop->progress, loop->err);
    generation->prefill_seconds = mx_seconds() - start;
    return status;
}

static mx_status run(struct loop *loop, const int32_t *prompt, size_t n)
{
    const struct mx_arch *arch = mx_session_arch(loop->session);
    MX_TRY(mx_sampler_open(&loop->sampler, &loop->options->sampler, arch->vocab,
                           mx_dense_kernels(mx_session_cpu(loop->session)), loop->err));
    const struct mx_tokenizer *tokenizer = mx_session_tokenizer(loop->session);
    if (tokenizer) {
        MX_TRY(mx_text_stream_open(&loop->stream, tokenizer, true, loop->err));
        MX_TRY(mx_text_stream_skip(loop->stream, prompt, n, loop->err));
    }
    float *logits = NULL;
    const mx_status status = prefill(loop, prompt, n, &logits);
    if (status == MX_ERR_INTERRUPTED) {
        loop->generation->finish = MX_FINISH_INTERRUPTED;
        return MX_OK;
    }
    return status == MX_OK ? decode(loop, logits) : status;
}

mx_status mx_generate(struct mx_session *session, const int32_t *prompt, size_t n,
                      const struct mx_generate_options *options, const struct mx_progress *progress,
                      struct mx_generation *generation, struct mx_error *err)
{
    *generation = (struct mx_generation){0};
    if (n == 0) return mx_fail(err, MX_ERR_ARGUMENT, "the prompt is empty: there is nothing to go on from");
    struct loop loop = {.session = session,
                        .options = options,
                        .progress = progress,
                        .generation = generation,
                        .stop = {.strings = options->stops, .count = options->stop_count},
                        .err = err};
    mx_status status = run(&loop, prompt, n);
    mx_sampler_close(loop.sampler);
    mx_text_stream_close(loop.stream);
    mx_str_free(&loop.stop.held);
    if (status == MX_OK && mx_str_failed(&generation->text)) {
        status = mx_fail_memory(err, "the text", generation->text.length);
    }
    const size_t fed = n - generation->reused_tokens;
    if (generation->prefill_seconds > 0) generation->prefill_tok_s = (double)fed / generation->prefill_seconds;
    if (generation->decode_steps) {
        generation->decode_tok_s = (double)generation->decode_steps / generation->decode_seconds;
    }
    return status;
}
