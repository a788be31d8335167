/* Replies: pick a token, show its text, see whether that was all. */
#include "engine/reply.h"

#include <stdlib.h>

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
                               .vocab = vocab,
                               .stop = {.strings = options->stops, .count = options->stop_count}};
    MX_TRY(mx_sampler_open(&reply->sampler, &options->sampler, vocab, kernels, err));
    if (options->constraint) {
        const size_t words = mx_mask_words(vocab);
        reply->mask = malloc(words * sizeof *reply->mask);
        if (!reply->mask) return mx_fail_memory(err, "a mask", words * sizeof *reply->mask);
    }
    return tokenizer ? mx_text_stream_open(&reply->stream, tokenizer, !options->specials, err) : MX_OK;
}

void mx_reply_close(struct mx_reply *reply)
{
    mx_sampler_close(reply->sampler);
    mx_text_stream_close(reply->stream);
    mx_str_free(&reply->stop.held);
    free(reply->mask);
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

/* Leaves the tokens that the constraint allows, and those that end a text where it may end. */
static mx_status constrain(struct mx_reply *reply, float *logits, struct mx_error *err)
{
    struct mx_constraint *constraint = reply->options->constraint;
    if (reply->generation->tokens.count == 0) MX_TRY(mx_constraint_begin(constraint, err));
    bool any = mx_constraint_mask(constraint, reply->mask);
    if (mx_constraint_complete(constraint)) {
        const size_t count = reply->chat ? mx_chat_eos_count(reply->chat) : 0;
        for (size_t i = 0; i < count; i++) {
            const int32_t eos = mx_chat_eos(reply->chat, i);
            if (eos < 0 || (size_t)eos >= reply->vocab) continue;
            reply->mask[eos / 64] |= 1ull << eos % 64;
            any = true;
        }
    }
    if (!any) {
        return mx_fail(err, MX_ERR_UNSUPPORTED,
                       "no token of the vocabulary continues the required form: single bytes are missing from it");
    }
    mx_sampler_mask(logits, reply->vocab, reply->mask);
    return MX_OK;
}

/* Whether the constraint has it that nothing can follow the token. */
static mx_status advance(struct mx_reply *reply, int32_t token, bool *ended, struct mx_error *err)
{
    *ended = false;
    if (!reply->options->constraint) return MX_OK;
    if (!mx_constraint_accept(reply->options->constraint, token)) {
        return mx_fail(err, MX_ERR_NOT_A_NUMBER, "a token was picked that the form asked for does not allow");
    }
    *ended = mx_constraint_ended(reply->options->constraint);
    return MX_OK;
}

mx_status mx_reply_next(struct mx_reply *reply, float *logits, const int32_t *history, size_t length, uint64_t room,
                        int32_t *token, bool *ended, struct mx_error *err)
{
    struct mx_generation *generation = reply->generation;
    *ended = true;
    generation->finish = MX_FINISH_LENGTH;
    if (generation->tokens.count >= reply->options->max_tokens) return MX_OK;
    if (reply->options->constraint) MX_TRY(constrain(reply, logits, err));
    *token = mx_sampler_pick(reply->sampler, logits, history, length);
    if (reply->chat && mx_chat_is_eos(reply->chat, *token)) {
        generation->finish = MX_FINISH_END;
        return MX_OK;
    }
    bool stopped = false, complete;
    MX_TRY(show(reply, *token, &stopped, err));
    MX_TRY(advance(reply, *token, &complete, err));
    if (stopped) {
        generation->finish = MX_FINISH_STOP;
    } else if (complete) {
        generation->finish = MX_FINISH_END;
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
    if (!mx_str_failed(&generation->text) && !mx_str_failed(&reply->stop.held)) return MX_OK;
    return mx_fail_memory(err, "the text", generation->text.length);
}
