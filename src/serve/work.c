/* Making a work of what was asked: prompts as tokens, and all checks that need no engine. */
#include "serve/work.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "serve/choice.h"

enum {
    STREAM_BYTES = 4 << 20, /* that a slow reader may leave unfetched */
    WHOLE_BYTES = 256 << 20,
};

/* --- prompts --- */

static mx_status render_chat(struct mx_work *work, struct mx_error *err)
{
    const struct mx_served *served = work->served;
    struct mx_str text = {0};
    mx_status status = mx_chat_render(served->chat, &work->ask.chat, &text, err);
    if (status == MX_OK) {
        status = mx_tokenizer_encode(served->tokenizer, mx_str_text(&text), text.length, false, work->prompts, err);
    }
    mx_str_free(&text);
    return status;
}

static mx_status encode_prompt(const struct mx_work *work, size_t index, struct mx_error *err)
{
    const struct mx_ask_prompt *prompt = &work->ask.prompts[index];
    struct mx_ids *ids = &work->prompts[index];
    if (prompt->text) {
        return mx_tokenizer_encode(work->served->tokenizer, prompt->text, strlen(prompt->text), true, ids, err);
    }
    for (size_t i = 0; i < prompt->ids.count; i++) {
        if ((uint32_t)prompt->ids.data[i] >= work->served->vocab) {
            return mx_fail(err, MX_ERR_ARGUMENT, "token id %" PRId32 " is not in the vocabulary: ids are 0 to %" PRIu32,
                           prompt->ids.data[i], work->served->vocab - 1);
        }
        MX_TRY(mx_ids_append(ids, prompt->ids.data[i], err));
    }
    return MX_OK;
}

static mx_status encode(struct mx_work *work, struct mx_error *err)
{
    work->prompt_count = work->ask.kind == MX_ASK_CHAT ? 1 : work->ask.prompt_count;
    work->prompts = calloc(work->prompt_count, sizeof *work->prompts);
    if (!work->prompts) return mx_fail_memory(err, "prompts", work->prompt_count * sizeof *work->prompts);
    if (work->ask.kind == MX_ASK_CHAT) return render_chat(work, err);
    for (size_t i = 0; i < work->prompt_count; i++) MX_TRY(encode_prompt(work, i, err));
    return MX_OK;
}

static bool check_lengths(const struct mx_work *work, const char *param, struct mx_refusal *refusal)
{
    for (size_t i = 0; i < work->prompt_count; i++) {
        const size_t count = work->prompts[i].count;
        if (count == 0) {
            return mx_refuse(refusal, MX_REFUSE_REQUEST, param, "the prompt is empty: there is nothing to continue");
        }
        if (count < work->served->context || (count == work->served->context && work->ask.max_tokens == 0)) continue;
        return mx_refuse(refusal, MX_REFUSE_CONTEXT, param,
                         "the prompt has %zu tokens, and a text may have %" PRIu64 " with its reply: shorten it", count,
                         work->served->context);
    }
    return true;
}

static bool check_tokens(const struct mx_work *work, struct mx_refusal *refusal)
{
    for (size_t i = 0; i < work->ask.bias_count; i++) {
        if ((uint32_t)work->ask.biases[i].token < work->served->vocab) continue;
        return mx_refuse(refusal, MX_REFUSE_REQUEST, "logit_bias",
                         "logit_bias: token id %" PRId32 " is not in the vocabulary", work->ask.biases[i].token);
    }
    return true;
}

/* --- the work --- */

static void name(struct mx_work *work)
{
    uint64_t random[3] = {0};
    (void)!getrandom(random, sizeof random, GRND_NONBLOCK);
    const char *what = work->ask.response ? "resp_" : work->ask.kind == MX_ASK_CHAT ? "chatcmpl-" : "cmpl-";
    snprintf(work->id, sizeof work->id, "%s%016" PRIx64 "%08" PRIx32, what, random[0], (uint32_t)random[1]);
    if (!work->ask.seeded) work->ask.sampler.seed = random[2];
    work->created = (int64_t)time(NULL);
    work->accepted = mx_seconds();
}

static bool fill(struct mx_work *work, struct mx_refusal *refusal)
{
    struct mx_error error;
    if (!mx_form_open(&work->form, &work->ask, work->served, refusal)) return false;
    const char *param = work->ask.kind == MX_ASK_CHAT ? "messages" : "prompt";
    if (encode(work, &error) != MX_OK) return mx_refuse_error(refusal, MX_REFUSE_REQUEST, param, &error);
    if (!check_lengths(work, param, refusal) || !check_tokens(work, refusal)) return false;
    const size_t count = work->prompt_count * work->ask.n;
    work->choices = calloc(count, sizeof *work->choices);
    if (!work->choices) {
        (void)mx_fail_memory(&error, "choices", count * sizeof *work->choices);
        return mx_refuse_error(refusal, MX_REFUSE_LEAVING, NULL, &error);
    }
    work->choice_count = work->open = count;
    for (size_t i = 0; i < count; i++) {
        work->choices[i].work = work;
        work->choices[i].index = i;
        work->choices[i].prompt = &work->prompts[i / work->ask.n];
    }
    return true;
}

bool mx_work_open(struct mx_work **out, struct mx_ask *ask, const struct mx_served *served, void (*wake)(void *context),
                  void *context, struct mx_refusal *refusal)
{
    *out = NULL;
    struct mx_work *work = calloc(1, sizeof *work);
    if (!work) {
        struct mx_error error;
        (void)mx_fail_memory(&error, "a request", sizeof *work);
        mx_ask_free(ask);
        return mx_refuse_error(refusal, MX_REFUSE_LEAVING, NULL, &error);
    }
    atomic_init(&work->holds, 1);
    work->served = served;
    work->ask = *ask;
    *ask = (struct mx_ask){0};
    mx_outbox_open(&work->outbox, work->ask.stream ? STREAM_BYTES : WHOLE_BYTES, wake, context);
    name(work);
    if (!fill(work, refusal)) {
        mx_work_release(work);
        return false;
    }
    *out = work;
    return true;
}

void mx_work_hold(struct mx_work *work)
{
    atomic_fetch_add(&work->holds, 1);
}

void mx_work_release(struct mx_work *work)
{
    if (!work || atomic_fetch_sub(&work->holds, 1) > 1) return;
    for (size_t i = 0; work->choices && i < work->choice_count; i++) mx_choice_free(&work->choices[i]);
    for (size_t i = 0; work->prompts && i < work->prompt_count; i++) mx_ids_free(&work->prompts[i]);
    free(work->choices);
    free(work->prompts);
    mx_form_close(&work->form);
    mx_outbox_close(&work->outbox);
    mx_str_free(&work->chunk);
    mx_ask_free(&work->ask);
    free(work);
}
