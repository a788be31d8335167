/* Requests: checking, copying and freeing them. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "engine/scheduler_impl.h"

void mx_running_free(struct mx_running *request)
{
    mx_reply_close(&request->reply);
    mx_generation_free(&request->generation);
    mx_sequence_close(request->sequence);
    for (size_t i = 0; request->options.stops && i < request->options.stop_count; i++) {
        free((char *)(uintptr_t)request->options.stops[i]);
    }
    free((void *)(uintptr_t)request->options.stops);
    free(request->tokens);
    free(request);
}

static void pass_text(void *context, const char *text, size_t length)
{
    const struct mx_running *request = context;
    if (request->events.text) request->events.text(request->events.context, text, length);
}

static mx_status copy_stops(struct mx_running *running, const struct mx_request *request, struct mx_error *err)
{
    if (request->stop_count == 0) return MX_OK;
    char **stops = calloc(request->stop_count, sizeof *stops);
    if (!stops) return mx_fail_memory(err, "stop strings", request->stop_count * sizeof *stops);
    running->options.stops = (const char *const *)stops;
    for (size_t i = 0; i < request->stop_count; i++) {
        stops[i] = strdup(request->stops[i]);
        if (!stops[i]) return mx_fail_memory(err, "a stop string", strlen(request->stops[i]));
        running->options.stop_count = i + 1;
    }
    return MX_OK;
}

static mx_status check_request(const struct mx_scheduler *scheduler, const struct mx_request *request,
                               struct mx_error *err)
{
    const uint32_t vocab = mx_session_arch(scheduler->session)->vocab;
    const uint64_t limit = request->context ? request->context : scheduler->options.context;
    if (request->prompt_tokens == 0) {
        return mx_fail(err, MX_ERR_ARGUMENT, "the prompt is empty: there is nothing to continue");
    }
    if (limit > scheduler->options.context || request->prompt_tokens > limit) {
        return mx_fail(err, MX_ERR_LIMIT, "the prompt has %zu tokens, the context holds %llu", request->prompt_tokens,
                       (unsigned long long)mx_min(limit, scheduler->options.context));
    }
    for (size_t i = 0; i < request->prompt_tokens; i++) {
        if (request->prompt[i] >= 0 && (uint32_t)request->prompt[i] < vocab) continue;
        return mx_fail(err, MX_ERR_ARGUMENT, "token id %d (number %zu) is not in the vocabulary: ids are 0 to %u",
                       request->prompt[i], i + 1, vocab - 1);
    }
    return MX_OK;
}

static mx_status fill_request(struct mx_running *running, const struct mx_request *request, struct mx_error *err)
{
    const struct mx_scheduler *scheduler = running->scheduler;
    struct mx_session *session = scheduler->session;
    running->events = request->events;
    running->options = (struct mx_generate_options){.max_tokens = request->max_tokens,
                                                    .sampler = request->sampler,
                                                    .constraint = request->constraint,
                                                    .specials = request->specials,
                                                    .text = pass_text,
                                                    .context = running};
    MX_TRY(copy_stops(running, request, err));
    running->limit = request->context ? request->context : scheduler->options.context;
    running->tokens = malloc(running->limit * sizeof *running->tokens);
    if (!running->tokens) return mx_fail_memory(err, "a text's tokens", running->limit * sizeof *running->tokens);
    memcpy(running->tokens, request->prompt, request->prompt_tokens * sizeof *running->tokens);
    running->prompt = running->count = running->generation.prompt_tokens = request->prompt_tokens;
    return mx_reply_open(&running->reply, &running->options, &running->generation, mx_session_tokenizer(session),
                         mx_session_chat(session), mx_session_arch(session)->vocab,
                         mx_dense_kernels(mx_session_cpu(session)), err);
}

mx_status mx_scheduler_add(struct mx_scheduler *scheduler, const struct mx_request *request, struct mx_running **handle,
                           struct mx_error *err)
{
    if (handle) *handle = NULL;
    MX_TRY(check_request(scheduler, request, err));
    struct mx_running *running = calloc(1, sizeof *running);
    if (!running) return mx_fail_memory(err, "a request", sizeof *running);
    running->scheduler = scheduler;
    const mx_status status = fill_request(running, request, err);
    if (status != MX_OK) {
        mx_running_free(running);
        return status;
    }
    struct mx_running **last = &scheduler->waiting;
    while (*last) last = &(*last)->next;
    *last = running;
    scheduler->stats.requests++;
    if (handle) *handle = running;
    return MX_OK;
}

void mx_scheduler_cancel(struct mx_running *handle)
{
    handle->cancelled = true;
}
