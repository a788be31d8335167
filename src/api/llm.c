/* mx_llm: a session of the engine behind a handle. */
#include <mlxcel/mlxcel.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "engine/generate.h"
#include "engine/session.h"
#include "evidence/perplexity.h"

struct mx_llm {
    struct mx_session *session;
    struct mx_session_begin begin;
};

struct mx_llm_options mx_llm_options_default(void)
{
    return (struct mx_llm_options){0};
}

struct mx_generate_request mx_generate_request_default(void)
{
    return (struct mx_generate_request){.max_tokens = 128};
}

static mx_status open_session(struct mx_llm *llm, const char *directory, const struct mx_llm_options *options,
                              struct mx_error *err)
{
    struct mx_session_options session = mx_session_options_default();
    session.threads = options->threads;
    session.text = true;
    llm->begin = (struct mx_session_begin){.context = options->context, .kv = mx_kv_options_default()};
    if (options->cache_mode) MX_TRY(mx_mode_parse(options->cache_mode, &llm->begin.kv.mode, err));
    MX_TRY(mx_session_open(&llm->session, directory, &session, NULL, err));
    if (!llm->begin.context) {
        llm->begin.context = mx_arch_default_context(mx_session_arch(llm->session));
    }
    return mx_session_begin(llm->session, &llm->begin, err);
}

mx_status mx_llm_open(struct mx_llm **out, const char *directory, const struct mx_llm_options *options,
                      struct mx_error *err)
{
    *out = NULL;
    struct mx_llm *llm = calloc(1, sizeof *llm);
    if (!llm) return mx_fail_memory(err, "a model's handle", sizeof *llm);
    const mx_status status = open_session(llm, directory, options, err);
    if (status != MX_OK) {
        mx_llm_close(llm);
        return status;
    }
    *out = llm;
    return MX_OK;
}

void mx_llm_close(struct mx_llm *llm)
{
    if (!llm) return;
    mx_session_close(llm->session);
    free(llm);
}

const char *mx_llm_cache_mode(const struct mx_llm *llm)
{
    return mx_mode_info(mx_sequence_setup(mx_session_sequence(llm->session))->mode)->name;
}

uint64_t mx_llm_cache_bytes(const struct mx_llm *llm)
{
    return mx_session_cache_bytes(llm->session);
}

/* The caller's hook ends a generation by returning false; the engine's by a flag. */
struct relay {
    const struct mx_generate_request *request;
    atomic_bool stop;
};

static void relay_text(void *context, const char *text, size_t length)
{
    struct relay *relay = context;
    const struct mx_generate_request *request = relay->request;
    if (request->on_text && !request->on_text(request->context, text, length)) atomic_store(&relay->stop, true);
}

mx_status mx_llm_generate(struct mx_llm *llm, const struct mx_generate_request *request,
                          struct mx_generate_result *result, struct mx_error *err)
{
    struct relay relay = {.request = request};
    const struct mx_progress progress = {.interrupted = &relay.stop};
    struct mx_generate_options options = {
        .max_tokens = request->max_tokens,
        .sampler = mx_sampler_options_default(),
        .text = relay_text,
        .context = &relay,
    };
    options.sampler.temperature = request->temperature;
    options.sampler.seed = request->seed;
    struct mx_ids ids = {0};
    struct mx_generation generation = {0};
    const struct mx_tokenizer *tokenizer = mx_session_tokenizer(llm->session);
    mx_status status = mx_tokenizer_encode(tokenizer, request->prompt, strlen(request->prompt), true, &ids, err);
    if (status == MX_OK) {
        status = mx_generate(llm->session, ids.data, ids.count, &options, &progress, &generation, err);
    }
    if (status == MX_OK && result) {
        *result = (struct mx_generate_result){
            .prompt_tokens = (uint32_t)generation.prompt_tokens,
            .tokens = (uint32_t)generation.tokens.count,
            .prefill_tokens_per_second = generation.prefill_tok_s,
            .decode_tokens_per_second = generation.decode_tok_s,
        };
    }
    mx_generation_free(&generation);
    mx_ids_free(&ids);
    return status;
}

mx_status mx_llm_evaluate(struct mx_llm *llm, const char *text, struct mx_evaluation *evaluation, struct mx_error *err)
{
    struct mx_ids ids = {0};
    const struct mx_tokenizer *tokenizer = mx_session_tokenizer(llm->session);
    mx_status status = mx_tokenizer_encode(tokenizer, text, strlen(text), false, &ids, err);
    if (status == MX_OK) {
        const struct mx_windows windows = {
            .tokens = ids.data, .count = ids.count, .length = (uint32_t)llm->begin.context};
        struct mx_perplexity perplexity = {0};
        status = mx_perplexity_run(llm->session, &windows, &llm->begin.kv, NULL, &perplexity, err);
        if (status == MX_OK) {
            *evaluation = (struct mx_evaluation){
                .mean_nll = perplexity.mean_nll, .perplexity = perplexity.perplexity, .tokens = perplexity.tokens};
        }
        mx_perplexity_free(&perplexity);
    }
    mx_ids_free(&ids);
    /* The evaluation began the session anew in its own shape; bring back the one that generating wants. */
    const mx_status begun = mx_session_begin(llm->session, &llm->begin, status == MX_OK ? err : NULL);
    return status == MX_OK ? begun : status;
}
