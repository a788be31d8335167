/* Replies: pick a token, show its text, see whether that was all. */
#include "engine/reply.h"

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

mx_status mx_reply_open(struct mx_reply *reply, const struct mx_generate_options *options,
                        struct mx_generation *generation, const struct mx_tokenizer *tokenizer,
                        const struct mx_chat *chat, size_t vocab, const struct mx_dense_kernels *kernels,
                        struct mx_error *err)
{
    *reply = (struct mx_reply){.options = options,
                               .generation = generation,
                               .chat = chat,
                               .stop = {.strings = options->stops, .count = options->stop_count}};
    MX_TRY(mx_sampler_open(&reply->sampler, &options->sampler, vocab, kernels, err));
    return tokenizer ? mx_text_stream_open(&reply->stream, tokenizer, true, err) : MX_OK;
}

void mx_reply_close(struct mx_reply *reply)
{
    mx_sampler_close(reply->sampler);
    mx_text_stream_close(reply->stream);
    mx_str_free(&reply->stop.held);
    *reply = (struct mx_reply){0};
}

static void emit(void *context, const char *text, size_t length)
{
    struct mx_reply *reply = context;
    mx_str_append(&reply->generation->text, text, length);
    if (reply->options->text) reply->options->text(reply->options->context, text, length);
}

/* Shows a token's text; *stopped is set where a stop string is complete. */
static mx_status show(struct mx_reply *reply, int32_t token, bool *stopped, struct mx_error *err)
{
    MX_TRY(mx_ids_append(&reply->generation->tokens, token, err));
    if (!reply->stream) return MX_OK;
    const char *text;
    size_t length;
    MX_TRY(mx_text_stream_feed(reply->stream, token, &text, &length, err));
    *stopped = mx_stop_feed(&reply->stop, text, length, emit, reply);
    return MX_OK;
}

mx_status mx_reply_next(struct mx_reply *reply, float *logits, const int32_t *history, size_t length, uint64_t room,
                        int32_t *token, bool *ended, struct mx_error *err)
{
    struct mx_generation *generation = reply->generation;
    *ended = true;
    generation->finish = MX_FINISH_LENGTH;
    if (generation->tokens.count >= reply->options->max_tokens) return MX_OK;
    *token = mx_sampler_pick(reply->sampler, logits, history, length);
    if (reply->chat && mx_chat_is_eos(reply->chat, *token)) {
        generation->finish = MX_FINISH_END;
        return MX_OK;
    }
    bool stopped = false;
    MX_TRY(show(reply, *token, &stopped, err));
    if (stopped) {
        generation->finish = MX_FINISH_STOP;
    } else if (generation->tokens.count < reply->options->max_tokens) {
        if (room == 0) generation->finish = MX_FINISH_CONTEXT;
        *ended = room == 0;
    }
    return MX_OK;
}

mx_status mx_reply_end(struct mx_reply *reply, struct mx_error *err)
{
    struct mx_generation *generation = reply->generation;
    if (reply->stream && generation->finish != MX_FINISH_STOP) {
        const char *text;
        size_t length;
        MX_TRY(mx_text_stream_finish(reply->stream, &text, &length, err));
        if (mx_stop_feed(&reply->stop, text, length, emit, reply)) {
            generation->finish = MX_FINISH_STOP;
        } else {
            mx_stop_finish(&reply->stop, emit, reply);
        }
    }
    if (!mx_str_failed(&generation->text)) return MX_OK;
    return mx_fail_memory(err, "the text", generation->text.length);
}
