/* Text out of a sequence, and how well a text is predicted. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/handles.h"
#include "api/sized.h"
#include "base/clock.h"
#include "engine/reply.h"

_Static_assert((int)MX_END_LENGTH == (int)MX_FINISH_LENGTH && (int)MX_END_MODEL == (int)MX_FINISH_END &&
                   (int)MX_END_STOP == (int)MX_FINISH_STOP && (int)MX_END_CONTEXT == (int)MX_FINISH_CONTEXT &&
                   (int)MX_END_CANCELLED == (int)MX_FINISH_INTERRUPTED,
               "the reasons for an end are the engine's");

struct mx_sampling mx_sampling_default(void)
{
    return (struct mx_sampling){.size = sizeof(struct mx_sampling), .top_p = 1, .repeat_penalty = 1};
}

struct mx_generate_request mx_generate_request_default(void)
{
    return (struct mx_generate_request){.size = sizeof(struct mx_generate_request), .max_tokens = 256};
}

const char *mx_end_reason_name(enum mx_end_reason reason)
{
    static const char *const names[] = {"length", "model", "stop", "context", "cancelled"};
    return reason >= MX_END_LENGTH && reason <= MX_END_CANCELLED ? names[reason] : "unknown";
}

mx_status mx_sampler_settings(struct mx_sampler_options *settings, const struct mx_sampling *given,
                              struct mx_error *err)
{
    struct mx_sampling sampling = mx_sampling_default();
    if (given) MX_TRY(mx_take_sized(&sampling, sizeof sampling, given, "mx_sampling", err));
    *settings = (struct mx_sampler_options){.temperature = sampling.temperature,
                                            .top_k = sampling.top_k,
                                            .top_p = sampling.top_p,
                                            .min_p = sampling.min_p,
                                            .repeat_penalty = sampling.repeat_penalty,
                                            .seed = sampling.seed};
    return MX_OK;
}

/* ---- the prompt ---- */

/* Whether the text of the sequence's first `count` tokens begins `text`; *length is how much of it they are. */
static mx_status begins(const struct mx_seq *seq, size_t count, const struct mx_str *text, bool *found, size_t *length,
                        struct mx_error *err)
{
    struct mx_str held = {0};
    const mx_status status = mx_tokenizer_decode(seq->llm->tokenizer, seq->tokens, count, false, &held, err);
    *length = held.length;
    *found = status == MX_OK && held.length < text->length &&
             memcmp(mx_str_text(&held), mx_str_text(text), held.length) == 0;
    mx_str_free(&held);
    return status;
}

/* The tokens of a conversation. Where it begins with the text that the sequence holds, that keeps the tokens as which
 * the model wrote it, which need not be those that the tokenizer makes of it: so the cache serves. A template may have
 * trimmed the end of an answer. */
static mx_status encode_onto(const struct mx_seq *seq, const struct mx_str *text, struct mx_ids *ids,
                             struct mx_error *err)
{
    enum { TRIMMED = 4 };
    size_t length = 0, kept = 0;
    for (size_t less = 0; less < TRIMMED && less < seq->count && kept == 0; less++) {
        bool found;
        MX_TRY(begins(seq, seq->count - less, text, &found, &length, err));
        if (found) kept = seq->count - less;
    }
    if (kept == 0) length = 0;
    for (size_t i = 0; i < kept; i++) MX_TRY(mx_ids_append(ids, seq->tokens[i], err));
    return mx_tokenizer_encode(seq->llm->tokenizer, mx_str_text(text) + length, text->length - length, false, ids, err);
}

static mx_status encode_messages(const struct mx_seq *seq, const struct mx_generate_request *request,
                                 struct mx_ids *ids, struct mx_error *err)
{
    struct mx_str text = {0};
    mx_status status = mx_render_messages(seq->llm, request->messages, request->count, true, &text, err);
    if (status == MX_OK && mx_str_failed(&text)) status = mx_fail_memory(err, "a prompt", text.length);
    if (status == MX_OK) status = encode_onto(seq, &text, ids, err);
    mx_str_free(&text);
    return status;
}

static mx_status encode_prompt(const struct mx_seq *seq, const struct mx_generate_request *request, struct mx_ids *ids,
                               struct mx_error *err)
{
    const int given = (request->prompt != NULL) + (request->messages != NULL) + (request->tokens != NULL);
    if (given != 1) return mx_fail(err, MX_ERR_ARGUMENT, "give a prompt, messages or tokens: one of the three");
    if (request->prompt) {
        MX_TRY(mx_tokenizer_encode(seq->llm->tokenizer, request->prompt, strlen(request->prompt), true, ids, err));
    } else if (request->messages) {
        MX_TRY(encode_messages(seq, request, ids, err));
    } else {
        for (size_t i = 0; i < request->count; i++) MX_TRY(mx_ids_append(ids, request->tokens[i], err));
    }
    return ids->count ? MX_OK : mx_fail(err, MX_ERR_ARGUMENT, "the prompt is empty: there is nothing to continue");
}

/* ---- the answer ---- */

struct answer {
    struct mx_seq *seq;
    const struct mx_generate_request *request;
    struct mx_generation generation;
};

static void relay_text(void *context, const char *text, size_t length)
{
    const struct answer *answer = context;
    const struct mx_generate_request *request = answer->request;
    if (length && request->on_text && !request->on_text(request->context, text, length)) mx_seq_cancel(answer->seq);
}

static mx_status prefill(struct answer *answer, const struct mx_ids *prompt, struct mx_error *err)
{
    struct mx_seq *seq = answer->seq;
    if (prompt->count > seq->limit) {
        return mx_fail(err, MX_ERR_LIMIT, "the prompt has %zu tokens, the context holds %llu; raise the context",
                       prompt->count, (unsigned long long)seq->limit);
    }
    size_t same = 0;
    while (same < seq->count && same + 1 < prompt->count && seq->tokens[same] == prompt->data[same]) same++;
    const size_t kept = mx_seq_cut(seq, same);
    answer->generation.prompt_tokens = prompt->count;
    answer->generation.reused_tokens = kept;
    const double start = mx_seconds();
    const struct mx_feeding feeding = {.tokens = prompt->data + kept,
                                       .n = prompt->count - kept,
                                       .want_logits = true,
                                       .next = -1,
                                       .on_progress = answer->request->on_progress,
                                       .context = answer->request->context};
    const mx_status status = mx_seq_run(seq, &feeding, err);
    answer->generation.prefill_seconds = mx_seconds() - start;
    return status;
}

static mx_status decode(struct answer *answer, struct mx_reply *reply, struct mx_error *err)
{
    struct mx_seq *seq = answer->seq;
    for (;;) {
        int32_t token;
        bool ended;
        MX_TRY(
            mx_reply_next(reply, seq->logits, seq->tokens, seq->count, seq->limit - seq->count, &token, &ended, err));
        seq->has_logits = false;
        if (ended) return MX_OK;
        if (atomic_load(&seq->cancelled)) {
            answer->generation.finish = MX_FINISH_INTERRUPTED;
            return MX_OK;
        }
        const double start = mx_seconds();
        const struct mx_feeding feeding = {.tokens = &token, .n = 1, .decoded = true, .want_logits = true, .next = -1};
        MX_TRY(mx_seq_run(seq, &feeding, err));
        answer->generation.decode_seconds += mx_seconds() - start;
        answer->generation.decode_steps++;
    }
}

static mx_status run_reply(struct answer *answer, struct mx_reply *reply, const struct mx_ids *prompt,
                           struct mx_error *err)
{
    mx_status status = prefill(answer, prompt, err);
    if (status == MX_OK) status = decode(answer, reply, err);
    if (status == MX_ERR_INTERRUPTED) {
        answer->generation.finish = MX_FINISH_INTERRUPTED;
        status = MX_OK;
    }
    if (status != MX_OK) return status;
    return mx_reply_end(reply, err);
}

static void give_result(const struct answer *answer, struct mx_generate_result *result)
{
    const struct mx_generation *generation = &answer->generation;
    const double fed = (double)(generation->prompt_tokens - generation->reused_tokens);
    const double decoded = (double)generation->decode_steps;
    const struct mx_generate_result own = {
        .end = (enum mx_end_reason)generation->finish,
        .prompt_tokens = (uint32_t)generation->prompt_tokens,
        .reused_tokens = (uint32_t)generation->reused_tokens,
        .tokens = (uint32_t)generation->tokens.count,
        .prefill_tokens_per_second = generation->prefill_seconds > 0 ? fed / generation->prefill_seconds : 0,
        .decode_tokens_per_second = generation->decode_seconds > 0 ? decoded / generation->decode_seconds : 0,
    };
    mx_give_sized(result, &own, sizeof own);
}

mx_status mx_seq_generate(struct mx_seq *seq, const struct mx_generate_request *given,
                          struct mx_generate_result *result, struct mx_error *err)
{
    const struct mx_llm *llm = seq->llm;
    struct mx_generate_request request = mx_generate_request_default();
    MX_TRY(mx_take_sized(&request, sizeof request, given, "mx_generate_request", err));
    if (result) MX_TRY(mx_check_sized(result, "mx_generate_result", err));
    atomic_store(&seq->cancelled, false);
    struct answer answer = {.seq = seq, .request = &request};
    struct mx_generate_options options = {.max_tokens = request.max_tokens,
                                          .stops = request.stops,
                                          .stop_count = request.stops ? request.stop_count : 0,
                                          .text = relay_text,
                                          .context = &answer};
    MX_TRY(mx_sampler_settings(&options.sampler, request.sampling, err));
    struct mx_ids prompt = {0};
    struct mx_reply reply = {0};
    mx_status status = encode_prompt(seq, &request, &prompt, err);
    if (status == MX_OK) {
        status = mx_reply_open(&reply, &options, &answer.generation, llm->tokenizer, llm->chat,
                               mx_model_arch(llm->model)->vocab, mx_dense_kernels(llm->cpu), err);
    }
    if (status == MX_OK) status = run_reply(&answer, &reply, &prompt, err);
    if (status == MX_OK && result) give_result(&answer, result);
    mx_reply_close(&reply);
    mx_generation_free(&answer.generation);
    mx_ids_free(&prompt);
    return status;
}

mx_status mx_llm_generate(struct mx_llm *llm, const struct mx_seq_options *cache,
                          const struct mx_generate_request *request, struct mx_generate_result *result,
                          struct mx_error *err)
{
    struct mx_seq *seq;
    MX_TRY(mx_seq_open(&seq, llm, cache, err));
    const mx_status status = mx_seq_generate(seq, request, result, err);
    mx_seq_close(seq);
    return status;
}

/* ---- by hand ---- */

mx_status mx_seq_sample(struct mx_seq *seq, const struct mx_sampling *sampling, int32_t *token, struct mx_error *err)
{
    struct mx_sampler_options settings;
    struct mx_sampling wanted = mx_sampling_default();
    if (!seq->has_logits) return mx_fail(err, MX_ERR_ARGUMENT, "there are no logits: feed the sequence first");
    if (sampling) MX_TRY(mx_take_sized(&wanted, sizeof wanted, sampling, "mx_sampling", err));
    MX_TRY(mx_sampler_settings(&settings, &wanted, err));
    const bool same = seq->sampler && wanted.temperature == seq->sampling.temperature &&
                      wanted.top_k == seq->sampling.top_k && wanted.top_p == seq->sampling.top_p &&
                      wanted.min_p == seq->sampling.min_p && wanted.repeat_penalty == seq->sampling.repeat_penalty &&
                      wanted.seed == seq->sampling.seed;
    if (!same) {
        struct mx_sampler *sampler = NULL;
        MX_TRY(mx_sampler_open(&sampler, &settings, mx_model_arch(seq->llm->model)->vocab,
                               mx_dense_kernels(seq->llm->cpu), err));
        mx_sampler_close(seq->sampler);
        seq->sampler = sampler;
        seq->sampling = wanted;
    }
    *token = mx_sampler_pick(seq->sampler, seq->logits, seq->tokens, seq->count);
    seq->has_logits = false;
    return MX_OK;
}

/* ---- a text's likelihood ---- */

static mx_status evaluate(struct mx_seq *seq, const struct mx_ids *ids, struct mx_evaluation *own, struct mx_error *err)
{
    const size_t window = seq->limit;
    if (ids->count < window + 1) {
        return mx_fail(err, MX_ERR_ARGUMENT, "the text has %zu tokens; one window needs %zu: lower the context",
                       ids->count, window + 1);
    }
    double *scores = malloc(window * sizeof *scores), sum = 0;
    if (!scores) return mx_fail_memory(err, "scores", window * sizeof *scores);
    mx_status status = MX_OK;
    for (size_t first = 0; status == MX_OK && first + window < ids->count; first += window) {
        mx_seq_cut(seq, 0);
        const struct mx_feeding feeding = {
            .tokens = ids->data + first, .n = window, .scores = scores, .next = ids->data[first + window]};
        status = mx_seq_run(seq, &feeding, err);
        for (size_t i = 0; status == MX_OK && i < window; i++) sum -= scores[i];
        own->tokens += window;
    }
    free(scores);
    own->mean_nll = sum / (double)own->tokens;
    own->perplexity = exp(own->mean_nll);
    return status;
}

mx_status mx_llm_evaluate(struct mx_llm *llm, const struct mx_seq_options *cache, const char *text,
                          struct mx_evaluation *evaluation, struct mx_error *err)
{
    MX_TRY(mx_check_sized(evaluation, "mx_evaluation", err));
    struct mx_evaluation own = {0};
    struct mx_seq *seq;
    struct mx_ids ids = {0};
    MX_TRY(mx_seq_open(&seq, llm, cache, err));
    mx_status status = mx_tokenizer_encode(llm->tokenizer, text, strlen(text), false, &ids, err);
    if (status == MX_OK) status = evaluate(seq, &ids, &own, err);
    if (status == MX_OK) mx_give_sized(evaluation, &own, sizeof own);
    mx_ids_free(&ids);
    mx_seq_close(seq);
    return status;
}
