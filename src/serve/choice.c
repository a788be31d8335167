/* One text: biases and penalties on its logits, log-probabilities, and sending what it says. */
#include "serve/choice.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "serve/answer.h"

/* --- before a token is picked --- */

static void take_off_penalties(const struct mx_choice *choice, float *logits)
{
    const struct mx_ask *ask = &choice->work->ask;
    for (size_t i = 0; i < choice->count_count; i++) {
        const struct mx_token_count *count = &choice->counts[i];
        logits[count->token] -= (float)(ask->presence_penalty + ask->frequency_penalty * count->count);
    }
}

static void on_logits(void *context, float *logits, size_t vocab)
{
    struct mx_choice *choice = context;
    const struct mx_ask *ask = &choice->work->ask;
    if (choice->kept) memcpy(choice->kept, logits, vocab * sizeof *logits);
    for (size_t i = 0; i < ask->bias_count; i++) logits[ask->biases[i].token] += ask->biases[i].bias;
    take_off_penalties(choice, logits);
}

/* --- after it was picked --- */

/* Log-probabilities of a token and of the likeliest, from what the model gave: penalties and temperature aside. Of
 * equals the smaller token comes first. */
static void measure(struct mx_token_logprobs *out, const float *logits, size_t vocab, int32_t token, size_t top)
{
    float best = logits[0];
    for (size_t i = 1; i < vocab; i++) best = logits[i] > best ? logits[i] : best;
    double sum = 0;
    for (size_t i = 0; i < vocab; i++) sum += exp((double)logits[i] - best);
    // cppcheck-suppress invalidFunctionArg ; the best one's e^0 is in it
    const double whole = best + log(sum);
    *out = (struct mx_token_logprobs){.own = {token, (float)(logits[token] - whole)}};
    for (size_t i = 0; i < vocab && top > 0; i++) {
        if (out->top_count == top && logits[i] <= out->top[top - 1].logprob) continue;
        size_t place = out->top_count < top ? out->top_count++ : top - 1;
        for (; place > 0 && logits[i] > out->top[place - 1].logprob; place--) out->top[place] = out->top[place - 1];
        out->top[place] = (struct mx_logprob){(int32_t)i, logits[i]};
    }
    for (size_t i = 0; i < out->top_count; i++) out->top[i].logprob = (float)(out->top[i].logprob - whole);
}

/* Room for one more in a list that doubles. */
static bool make_room(void **list, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) return true;
    const size_t wanted = *capacity ? 2 * *capacity : 16;
    void *grown = realloc(*list, wanted * size);
    if (!grown) return false;
    *list = grown;
    *capacity = wanted;
    return true;
}

static void note_logprobs(struct mx_choice *choice, int32_t token)
{
    void *list = choice->logprobs;
    if (!make_room(&list, choice->logprob_count, &choice->logprob_capacity, sizeof *choice->logprobs)) {
        choice->short_of_memory = true;
        return;
    }
    choice->logprobs = list;
    measure(&choice->logprobs[choice->logprob_count++], choice->kept, choice->work->served->vocab, token,
            choice->work->ask.top_logprobs);
}

static void count_token(struct mx_choice *choice, int32_t token)
{
    for (size_t i = 0; i < choice->count_count; i++) {
        if (choice->counts[i].token != token) continue;
        choice->counts[i].count++;
        return;
    }
    void *list = choice->counts;
    if (!make_room(&list, choice->count_count, &choice->count_capacity, sizeof *choice->counts)) {
        choice->short_of_memory = true;
        return;
    }
    choice->counts = list;
    choice->counts[choice->count_count++] = (struct mx_token_count){token, 1};
}

/* Sends what there is of a streamed choice. */
static void send(struct mx_choice *choice)
{
    struct mx_work *work = choice->work;
    mx_str_clear(&work->chunk);
    mx_answer_chunk(&work->chunk, choice);
    if (mx_str_failed(&work->chunk))
        choice->short_of_memory = true;
    else
        (void)mx_outbox_put(&work->outbox, work->chunk.data, work->chunk.length);
    choice->started = true;
    choice->text_offset += choice->text.length;
    choice->logprob_count = 0;
    choice->calls_sent = choice->call_count;
    mx_str_clear(&choice->text);
    mx_str_clear(&choice->thoughts);
}

static void note_times(struct mx_choice *choice)
{
    struct mx_work *work = choice->work;
    struct mx_metrics *metrics = work->served->metrics;
    const double now = mx_seconds();
    if (work->first_token == 0) {
        work->first_token = now;
        mx_metrics_observe(metrics, &metrics->first_token, now - work->accepted);
    }
    if (choice->last_token > 0) mx_metrics_observe(metrics, &metrics->token_gap, now - choice->last_token);
    choice->last_token = now;
}

/* Comes after the token's text. */
static void on_token(void *context, int32_t token)
{
    struct mx_choice *choice = context;
    const struct mx_ask *ask = &choice->work->ask;
    note_times(choice);
    choice->work->made_tokens++;
    if (choice->kept) note_logprobs(choice, token);
    if (ask->presence_penalty != 0 || ask->frequency_penalty != 0) count_token(choice, token);
    const bool calls = choice->call_count > choice->calls_sent;
    const bool news = choice->text.length || choice->thoughts.length || choice->logprob_count || calls;
    if (ask->stream && news) send(choice);
}

static void add_text(void *context, const char *text, size_t length)
{
    struct mx_choice *choice = context;
    if (!choice->called_enough) mx_str_append(&choice->text, text, length);
}

static void add_thought(void *context, const char *text, size_t length)
{
    struct mx_choice *choice = context;
    if (!choice->called_enough) mx_str_append(&choice->thoughts, text, length);
}

static void on_text(void *context, const char *text, size_t length)
{
    struct mx_choice *choice = context;
    if (choice->parser)
        mx_tool_parser_feed(choice->parser, text, length);
    else
        add_text(choice, text, length);
}

/* Ids are the answer's, the choice's and the call's, in letters and digits; nine of them where the template asks. */
static void name_call(const struct mx_choice *choice, char id[40])
{
    const char *random = strpbrk(choice->work->id, "-_");
    const unsigned number = (unsigned)(choice->index << 12 | (choice->call_count & 0xfff));
    if (choice->work->form.format->short_ids)
        snprintf(id, 40, "%.4s%05x", random + 1, number & 0xfffff);
    else
        snprintf(id, 40, "call_%.16s%08x", random + 1, number);
}

static void on_call(void *context, const char *name, const char *arguments, size_t length)
{
    struct mx_choice *choice = context;
    void *list = choice->calls;
    if (choice->called_enough) return;
    if (!make_room(&list, choice->call_count, &choice->call_capacity, sizeof *choice->calls)) {
        choice->short_of_memory = true;
        return;
    }
    choice->calls = list;
    struct mx_call *call = &choice->calls[choice->call_count];
    name_call(choice, call->id);
    call->name = strdup(name);
    call->arguments = mx_strndup(arguments, length);
    if (!call->name || !call->arguments) {
        free(call->name);
        free(call->arguments);
        choice->short_of_memory = true;
        return;
    }
    choice->call_count++;
    if (!choice->work->form.one_call) return;
    choice->called_enough = true;
    if (choice->handle) mx_scheduler_cancel(choice->handle);
}

static void on_done(void *context, const struct mx_generation *generation, const struct mx_error *failure)
{
    static const char *const words[] = {
        [MX_FINISH_LENGTH] = "length",  [MX_FINISH_END] = "stop",         [MX_FINISH_STOP] = "stop",
        [MX_FINISH_CONTEXT] = "length", [MX_FINISH_INTERRUPTED] = "stop",
    };
    struct mx_choice *choice = context;
    struct mx_work *work = choice->work;
    struct mx_error error = {0};
    choice->handle = NULL;
    choice->ended = true;
    if (choice->parser && mx_tool_parser_finish(choice->parser, &error) != MX_OK) choice->short_of_memory = true;
    choice->finish = words[generation->finish];
    if (choice->call_count && strcmp(choice->finish, "stop") == 0) choice->finish = "tool_calls";
    work->open--;
    if (generation->finish == MX_FINISH_INTERRUPTED && !choice->called_enough) work->cancelled = true;
    if (choice->index % work->ask.n == 0) {
        work->prompt_tokens += generation->prompt_tokens;
        work->cached_tokens += generation->reused_tokens;
    }
    pthread_mutex_lock(&work->served->metrics->mutex);
    if (generation->reused_tokens)
        work->served->metrics->prefix_hits++;
    else
        work->served->metrics->prefix_misses++;
    pthread_mutex_unlock(&work->served->metrics->mutex);
    if (!failure && (choice->short_of_memory || mx_str_failed(&choice->text) || mx_str_failed(&choice->thoughts))) {
        (void)mx_fail_memory(&error, "an answer", choice->text.length);
        failure = &error;
    }
    if (failure && work->failure.error.status == MX_OK) {
        mx_refuse_error(&work->failure, MX_REFUSE_INTERNAL, NULL, failure);
    }
    if (work->ask.stream && !failure) send(choice);
}

/* What the answer must look like, and who reads its calls. */
static mx_status take_form(struct mx_choice *choice, struct mx_request *request, struct mx_error *err)
{
    const struct mx_work *work = choice->work;
    const struct mx_form *form = &work->form;
    const struct mx_tool_events events = {add_text, add_thought, form->calls ? on_call : NULL, choice};
    if (form->format) {
        request->specials = work->served->means.specials;
        MX_TRY(mx_tool_parser_open(&choice->parser, form->format, work->ask.tools, &events, err));
    }
    if (!form->constraint) return MX_OK;
    MX_TRY(mx_constraint_fork(&choice->constraint, form->constraint, err));
    request->constraint = choice->constraint;
    return MX_OK;
}

mx_status mx_choice_start(struct mx_choice *choice, struct mx_scheduler *scheduler, struct mx_error *err)
{
    const struct mx_work *work = choice->work;
    const struct mx_ask *ask = &work->ask;
    const uint64_t most = choice->prompt->count + (uint64_t)ask->max_tokens;
    struct mx_request request = {
        .prompt = choice->prompt->data,
        .prompt_tokens = choice->prompt->count,
        .context = most < work->served->context ? most : work->served->context,
        .max_tokens = ask->max_tokens,
        .sampler = ask->sampler,
        .stops = ask->stops,
        .stop_count = ask->stop_count,
        .events = {.token = on_token, .text = on_text, .done = on_done, .context = choice},
    };
    request.sampler.seed += choice->index % ask->n;
    const bool penalties = ask->presence_penalty != 0 || ask->frequency_penalty != 0;
    if (ask->logprobs || ask->bias_count || penalties) request.events.logits = on_logits;
    mx_status status = take_form(choice, &request, err);
    if (status == MX_OK && ask->logprobs) {
        choice->kept = malloc(work->served->vocab * sizeof *choice->kept);
        if (!choice->kept) status = mx_fail_memory(err, "log-probabilities", work->served->vocab * sizeof(float));
    }
    if (status == MX_OK) status = mx_scheduler_add(scheduler, &request, &choice->handle, err);
    if (status == MX_OK) return MX_OK;
    choice->ended = true;
    choice->work->open--;
    return status;
}

void mx_choice_free(struct mx_choice *choice)
{
    mx_str_free(&choice->text);
    mx_str_free(&choice->thoughts);
    free(choice->logprobs);
    free(choice->kept);
    free(choice->counts);
    mx_constraint_close(choice->constraint);
    mx_tool_parser_close(choice->parser);
    for (size_t i = 0; i < choice->call_count; i++) {
        free(choice->calls[i].name);
        free(choice->calls[i].arguments);
    }
    free(choice->calls);
}
