#include "evidence/retrieval.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "cache/size.h"
#include "kernels/dense.h"
#include "records/record.h"

const uint32_t mx_retrieval_depths[MX_RETRIEVAL_DEPTHS] = {5, 25, 50, 75, 95};

static const char *const words[] = {"quartz", "maple",  "harbor", "violet", "copper",
                                    "falcon", "meadow", "cobalt", "willow", "ember"};
enum { WORDS = sizeof words / sizeof *words, ANSWER = 16 };

/* Where the template's text is cut: what a user says, which no template changes. */
static const char here[] = "MXLCEL-HAYSTACK";

/* A key: the sentence that hides it, the question, the answer, and what leads to it behind another key's answer. */
struct key {
    struct mx_ids sentence, question, answer, lead;
    uint32_t depth; /* index */
};

struct haystack {
    struct mx_ids ids; /* without a question */
    struct key keys[MX_RETRIEVAL_DEPTHS];
    size_t key_count;
    struct mx_ids question; /* for all keys; empty where there is one alone */
};

struct retrieving {
    struct mx_session *session;
    const struct mx_retrieval_options *options;
    const struct mx_progress *progress;
    const struct mx_dense_kernels *kernels;
    struct haystack *haystacks;
    struct mx_ids before; /* every haystack: the beginning of a text, or of the user's message */
    struct mx_str after;  /* the question, as text: from the message's end to where the assistant answers; "" */
    bool chat;
    size_t done;
    int32_t next; /* the likeliest after what was fed */
};

static mx_status encode(const struct mx_session *session, const char *text, bool special, struct mx_ids *ids,
                        struct mx_error *err)
{
    return mx_tokenizer_encode(mx_session_tokenizer(session), text, strlen(text), special, ids, err);
}

/* What stands around a haystack: of the chat template, where the model has one. */
static mx_status frame(struct retrieving *job, struct mx_error *err)
{
    const struct mx_chat *chat = mx_session_chat(job->session);
    struct mx_str conversation = {0}, prompt = {0};
    job->chat = mx_chat_has_template(chat);
    if (!job->chat) return encode(job->session, "", true, &job->before, err);
    mx_chat_add(&conversation, "user", here, strlen(here));
    const struct mx_chat_request request = {
        .messages = {.text = mx_str_text(&conversation), .length = conversation.length, .origin = "retrieval"},
        .think = MX_THINK_OFF};
    mx_status status = mx_str_failed(&conversation) ? mx_fail_memory(err, "a prompt", 0)
                                                    : mx_chat_render(chat, &request, &prompt, err);
    char *cut = status == MX_OK ? strstr(mx_str_text(&prompt), here) : NULL;
    if (status == MX_OK && !cut)
        status = mx_fail(err, MX_ERR_UNSUPPORTED, "retrieval: the chat template does not show what the user says");
    if (status == MX_OK) {
        mx_str_puts(&job->after, cut + strlen(here));
        status = mx_tokenizer_encode(mx_session_tokenizer(job->session), mx_str_text(&prompt),
                                     (size_t)(cut - mx_str_text(&prompt)), false, &job->before, err);
    }
    mx_str_free(&conversation);
    mx_str_free(&prompt);
    return status;
}

/* "QUESTION", the message's end, "BEGINNING of the answer". */
static mx_status encode_question(const struct retrieving *job, const char *question, const char *beginning,
                                 struct mx_ids *ids, struct mx_error *err)
{
    struct mx_str text = {0};
    mx_str_printf(&text, "\n%s%s%s", question, job->chat ? mx_str_text(&job->after) : " ", beginning);
    const mx_status status = mx_str_failed(&text) ? mx_fail_memory(err, "a question", 0)
                                                  : encode(job->session, mx_str_text(&text), false, ids, err);
    mx_str_free(&text);
    return status;
}

static mx_status make_key(const struct retrieving *job, struct key *key, const char *word, uint32_t number,
                          struct mx_error *err)
{
    const struct mx_session *session = job->session;
    char text[160], question[160];
    snprintf(text, sizeof text, "\nThe pass key for %s is %u. Remember it.\n", word, number);
    MX_TRY(encode(session, text, false, &key->sentence, err));
    snprintf(question, sizeof question, "What is the pass key for %s?", word);
    snprintf(text, sizeof text, "The pass key for %s is", word);
    MX_TRY(encode_question(job, question, text, &key->question, err));
    snprintf(text, sizeof text, ". The pass key for %s is", word);
    MX_TRY(encode(session, text, false, &key->lead, err));
    snprintf(text, sizeof text, " %u", number);
    MX_TRY(encode(session, text, false, &key->answer, err));
    return key->answer.count <= ANSWER ? MX_OK
                                       : mx_fail(err, MX_ERR_UNSUPPORTED,
                                                 "retrieval: a number of five digits is more "
                                                 "than %d tokens here",
                                                 ANSWER);
}

static mx_status append(struct mx_ids *ids, const int32_t *tokens, size_t count, struct mx_error *err)
{
    for (size_t i = 0; i < count; i++) MX_TRY(mx_ids_append(ids, tokens[i], err));
    return MX_OK;
}

/* The question for all keys of a haystack that has several. */
static mx_status make_question(const struct retrieving *job, struct haystack *haystack, size_t index,
                               struct mx_error *err)
{
    char question[160] = "What are the pass keys for", beginning[64];
    if (haystack->key_count < 2) return MX_OK;
    for (size_t i = 0; i < haystack->key_count; i++) {
        const char *joint = i == 0 ? "" : i + 1 < haystack->key_count ? "," : " and";
        const char *word = words[(index + i) % WORDS];
        const size_t at = strlen(question);
        snprintf(question + at, sizeof question - at, "%s %s%s", joint, word, i + 1 < haystack->key_count ? "" : "?");
    }
    snprintf(beginning, sizeof beginning, "The pass key for %s is", words[index % WORDS]);
    return encode_question(job, question, beginning, &haystack->question, err);
}

/* Text with the keys' sentences at their depths, so long that a question and its answer still fit. */
static mx_status make_haystack(const struct retrieving *job, size_t index, struct mx_error *err)
{
    const struct mx_retrieval_options *options = job->options;
    struct haystack *haystack = &job->haystacks[index];
    struct mx_random random = {.state = index + 1};
    const bool alone = index % 2 != 0;
    size_t hidden = 0, asked = 0;
    haystack->key_count = alone ? 1 : MX_RETRIEVAL_DEPTHS;
    for (size_t i = 0; i < haystack->key_count; i++) {
        struct key *key = &haystack->keys[i];
        key->depth = alone ? (uint32_t)(index / 2 % MX_RETRIEVAL_DEPTHS) : (uint32_t)i;
        MX_TRY(make_key(job, key, words[(index + i) % WORDS], 10000 + (uint32_t)(mx_random_u64(&random) % 90000), err));
        hidden += key->sentence.count;
        const size_t end = key->question.count + key->answer.count;
        if (end > asked) asked = end;
    }
    MX_TRY(make_question(job, haystack, index, err));
    size_t together = haystack->question.count;
    for (size_t i = 0; i < haystack->key_count; i++)
        together += haystack->keys[i].answer.count + haystack->keys[i].lead.count;
    if ((job->before.count + hidden + together) * 2 > options->length) mx_ids_free(&haystack->question);
    if (haystack->question.count && together > asked) asked = together;
    MX_TRY(append(&haystack->ids, job->before.data, job->before.count, err));
    const size_t taken = haystack->ids.count + hidden + asked;
    if (taken * 2 > options->length)
        return mx_fail(err, MX_ERR_ARGUMENT, "retrieval: %u tokens leave too little text around keys and question",
                       options->length);
    const size_t filler = options->length - taken;
    if (options->count < filler)
        return mx_fail(err, MX_ERR_ARGUMENT, "retrieval at %u tokens needs a text of %zu, this one has %zu",
                       options->length, filler, options->count);
    const int32_t *text = options->tokens + (options->count - filler) * index / options->haystacks;
    size_t at = 0;
    for (size_t i = 0; i < haystack->key_count; i++) {
        const struct key *key = &haystack->keys[i];
        const size_t to = filler * mx_retrieval_depths[key->depth] / 100;
        MX_TRY(append(&haystack->ids, text + at, to - at, err));
        MX_TRY(append(&haystack->ids, key->sentence.data, key->sentence.count, err));
        at = to;
    }
    return append(&haystack->ids, text + at, filler - at, err);
}

static void take(void *context, size_t segment, size_t token, size_t count, float *logits)
{
    struct retrieving *job = context;
    (void)segment;
    (void)token;
    (void)count; /* 1 */
    job->next = (int32_t)job->kernels->argmax(logits, mx_session_arch(job->session)->vocab);
}

static mx_status feed(struct retrieving *job, struct mx_sequence *sequence, const int32_t *tokens, size_t n,
                      bool decode, struct mx_error *err)
{
    const struct mx_logits_sink sink = {.take = take, .context = job};
    const struct mx_segment segment = {.sequence = sequence, .tokens = tokens, .n = n, .logits = 1, .decode = decode};
    const struct mx_progress only_stop = {.interrupted = job->progress ? job->progress->interrupted : NULL};
    return mx_model_forward(mx_session_model(job->session), mx_session_workspace(job->session), &segment, 1, &sink,
                            &only_stop, err);
}

static mx_status ask(struct retrieving *job, struct mx_sequence *sequence, const struct key *key,
                     struct mx_retrieval *result, struct mx_error *err)
{
    MX_TRY(feed(job, sequence, key->question.data, key->question.count, false, err));
    bool right = true;
    for (size_t i = 0; right && i < key->answer.count; i++) {
        right = job->next == key->answer.data[i];
        if (right && i + 1 < key->answer.count) MX_TRY(feed(job, sequence, &key->answer.data[i], 1, true, err));
    }
    result->prompts++;
    result->right += right;
    result->prompts_at[key->depth]++;
    result->right_at[key->depth] += right;
    return MX_OK;
}

/* All keys in one answer, which is led back onto the way where it went wrong: each number is right or wrong by itself.
 */
static mx_status ask_together(struct retrieving *job, struct mx_sequence *sequence, const struct haystack *haystack,
                              struct mx_retrieval *result, struct mx_error *err)
{
    MX_TRY(feed(job, sequence, haystack->question.data, haystack->question.count, false, err));
    for (size_t k = 0; k < haystack->key_count; k++) {
        const struct mx_ids *answer = &haystack->keys[k].answer;
        bool right = true;
        for (size_t i = 0; i < answer->count; i++) {
            right = right && job->next == answer->data[i];
            MX_TRY(feed(job, sequence, &answer->data[i], 1, true, err));
        }
        result->asked_together++;
        result->right_together += right;
        if (k + 1 < haystack->key_count)
            MX_TRY(feed(job, sequence, haystack->keys[k + 1].lead.data, haystack->keys[k + 1].lead.count, false, err));
    }
    return MX_OK;
}

/* Each question is asked of a copy of the haystack. */
static mx_status ask_all(struct retrieving *job, struct mx_sequence *whole, struct mx_sequence *copy,
                         struct mx_retrieval *result, struct mx_error *err)
{
    const double all = (double)(job->options->mode_count + 1) * job->options->haystacks;
    for (size_t i = 0; i < job->options->haystacks; i++) {
        const struct haystack *haystack = &job->haystacks[i];
        mx_sequence_clear(whole);
        MX_TRY(feed(job, whole, haystack->ids.data, haystack->ids.count, false, err));
        for (size_t k = 0; k < haystack->key_count; k++) {
            mx_sequence_clear(copy);
            MX_TRY(mx_sequence_fork(copy, whole, haystack->ids.count, err));
            MX_TRY(ask(job, copy, &haystack->keys[k], result, err));
        }
        if (haystack->question.count) {
            mx_sequence_clear(copy);
            MX_TRY(mx_sequence_fork(copy, whole, haystack->ids.count, err));
            MX_TRY(ask_together(job, copy, haystack, result, err));
        }
        mx_progress_report(job->progress, "retrieval", (double)++job->done / all);
    }
    return MX_OK;
}

static mx_status run_mode(struct retrieving *job, const struct mx_kv_options *mode, struct mx_retrieval *result,
                          struct mx_error *err)
{
    const struct mx_arch *arch = mx_session_arch(job->session);
    struct mx_kv_plan_options options = {.key_bias = mx_model_key_bias(mx_session_model(job->session)),
                                         .context = job->options->length,
                                         .cpu = mx_session_cpu(job->session)};
    struct mx_kv_plan *plan = NULL;
    struct mx_kv_store *store = NULL;
    struct mx_sequence *whole = NULL, *copy = NULL;
    MX_TRY(mx_kv_layers_check(mode, mx_model_fingerprint(mx_session_model(job->session)), err));
    MX_TRY(mx_kv_resolve(&options.setup, mode, arch, err));
    *result = (struct mx_retrieval){.setup = options.setup, .chat = job->chat};
    mx_status status = mx_kv_plan_open(&plan, arch, &options, err);
    if (status == MX_OK) {
        const uint64_t one = mx_cache_bytes(arch, &options.setup, options.context) + mx_state_bytes(arch);
        const struct mx_kv_store_options room = {.budget = 2 * one};
        status = mx_kv_store_open(&store, plan, &room, err);
    }
    if (status == MX_OK) status = mx_sequence_open(&whole, store, err);
    if (status == MX_OK) status = mx_sequence_open(&copy, store, err);
    if (status == MX_OK) status = ask_all(job, whole, copy, result, err);
    mx_sequence_close(copy);
    mx_sequence_close(whole);
    mx_kv_store_close(store);
    mx_kv_plan_close(plan);
    return status;
}

/* A text's identity is that of all haystacks, one after the other. */
static mx_status name_text(const struct retrieving *job, char text[17], struct mx_error *err)
{
    struct mx_ids all = {0};
    mx_status status = MX_OK;
    for (size_t i = 0; status == MX_OK && i < job->options->haystacks; i++)
        status = append(&all, job->haystacks[i].ids.data, job->haystacks[i].ids.count, err);
    if (status == MX_OK) mx_record_text(text, all.data, all.count);
    mx_ids_free(&all);
    return status;
}

static mx_status run(struct retrieving *job, struct mx_retrieval *results, struct mx_error *err)
{
    char text[17];
    MX_TRY(frame(job, err));
    for (size_t i = 0; i < job->options->haystacks; i++) MX_TRY(make_haystack(job, i, err));
    MX_TRY(name_text(job, text, err));
    const struct mx_session_begin begin = {.context = MX_CONTEXT_STEP, .kv = mx_kv_options_default()};
    MX_TRY(mx_session_begin(job->session, &begin, err)); /* for its workspace: the texts have caches of their own */
    struct mx_retrieval fp16;
    MX_TRY(run_mode(job, &begin.kv, &fp16, err));
    for (size_t i = 0; i < job->options->mode_count; i++) {
        const struct mx_kv_options *mode = &job->options->modes[i];
        if (mode->mode == MX_MODE_FP16)
            results[i] = fp16;
        else
            MX_TRY(run_mode(job, mode, &results[i], err));
        results[i].right_fp16 = fp16.right;
        results[i].right_together_fp16 = fp16.right_together;
        memcpy(results[i].text, text, sizeof text);
    }
    return MX_OK;
}

mx_status mx_retrieval_run(struct mx_session *session, const struct mx_retrieval_options *options,
                           const struct mx_progress *progress, struct mx_retrieval *results, struct mx_error *err)
{
    struct retrieving job = {.session = session,
                             .options = options,
                             .progress = progress,
                             .kernels = mx_dense_kernels(mx_session_cpu(session)),
                             .haystacks = calloc(options->haystacks, sizeof *job.haystacks)};
    if (!job.haystacks) return mx_fail_memory(err, "the haystacks", options->haystacks * sizeof *job.haystacks);
    const mx_status status = run(&job, results, err);
    mx_ids_free(&job.before);
    mx_str_free(&job.after);
    for (size_t i = 0; i < options->haystacks; i++) {
        mx_ids_free(&job.haystacks[i].ids);
        mx_ids_free(&job.haystacks[i].question);
        for (size_t k = 0; k < job.haystacks[i].key_count; k++) {
            mx_ids_free(&job.haystacks[i].keys[k].sentence);
            mx_ids_free(&job.haystacks[i].keys[k].question);
            mx_ids_free(&job.haystacks[i].keys[k].answer);
            mx_ids_free(&job.haystacks[i].keys[k].lead);
        }
    }
    free(job.haystacks);
    return status;
}
