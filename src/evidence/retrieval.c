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

/* A key: the sentence that hides it, the question, the answer. */
struct key {
    struct mx_ids sentence, question, answer;
    uint32_t depth; /* index */
};

struct haystack {
    struct mx_ids ids; /* without a question */
    struct key keys[MX_RETRIEVAL_DEPTHS];
    size_t key_count;
};

struct retrieving {
    struct mx_session *session;
    const struct mx_retrieval_options *options;
    const struct mx_progress *progress;
    const struct mx_dense_kernels *kernels;
    struct haystack *haystacks;
    size_t done;
    int32_t next; /* the likeliest after what was fed */
};

static mx_status encode(const struct mx_session *session, const char *text, bool special, struct mx_ids *ids,
                        struct mx_error *err)
{
    return mx_tokenizer_encode(mx_session_tokenizer(session), text, strlen(text), special, ids, err);
}

static mx_status make_key(const struct mx_session *session, struct key *key, const char *word, uint32_t number,
                          struct mx_error *err)
{
    char text[160];
    snprintf(text, sizeof text, "\nThe pass key for %s is %u. Remember it.\n", word, number);
    MX_TRY(encode(session, text, false, &key->sentence, err));
    snprintf(text, sizeof text, "\nWhat is the pass key for %s? The pass key for %s is", word, word);
    MX_TRY(encode(session, text, false, &key->question, err));
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
        MX_TRY(make_key(job->session, key, words[(index + i) % WORDS],
                        10000 + (uint32_t)(mx_random_u64(&random) % 90000), err));
        hidden += key->sentence.count;
        const size_t end = key->question.count + key->answer.count;
        asked = end > asked ? end : asked;
    }
    MX_TRY(encode(job->session, "", true, &haystack->ids, err)); /* the beginning of a text */
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
    *result = (struct mx_retrieval){.setup = options.setup};
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
    for (size_t i = 0; i < options->haystacks; i++) {
        mx_ids_free(&job.haystacks[i].ids);
        for (size_t k = 0; k < job.haystacks[i].key_count; k++) {
            mx_ids_free(&job.haystacks[i].keys[k].sentence);
            mx_ids_free(&job.haystacks[i].keys[k].question);
            mx_ids_free(&job.haystacks[i].keys[k].answer);
        }
    }
    free(job.haystacks);
    return status;
}
