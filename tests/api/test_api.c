/* The public interface, as a program that links the library uses it: only <mlxcel/mlxcel.h>. */
#include "support.h"

#include <mlxcel/mlxcel.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct mx_error err;
static const char model[] = "models/demo-llama-7m";

static void advises_from_a_config(void **state)
{
    struct mx_advise_options options = mx_advise_options_default();
    struct mx_advice advice = {sizeof advice};
    options.context = 32768;
    options.budget = 24000000000;
    assert_ok(mx_advise("examples/llama-3.1-8b/config.json", &options, &advice, &err));
    assert_string_equal(advice.model_type, "llama");
    assert_string_equal(advice.class_name, "standard");
    assert_string_equal(advice.ranges[0].suggested, "fp16");
    assert_string_equal(advice.ranges[1].suggested, "int8+turbo4");
    assert_string_equal(advice.ranges[1].alternatives[0], "int8");
    assert_null(advice.ranges[1].alternatives[1]);
    assert_int_equal(advice.ranges[2].from, 32769);
    /* 32 layers of 8 KV heads of 128: 131,072 bytes per token in fp16 */
    assert_string_equal(advice.modes[0].mode, "fp16");
    assert_int_equal(advice.modes[0].cache, 131072ull * 32768);
    assert_true(advice.modes[1].cache < advice.modes[0].cache);
    assert_true(advice.modes[1].max_context > advice.modes[0].max_context);
    assert_int_equal(advice.mode_count, 7);
    for (uint32_t i = 0; i < advice.mode_count; i++) { /* nothing is left out */
        assert_true(advice.modes[i].cache > 0 && advice.modes[i].total > advice.weights + advice.modes[i].cache);
        assert_true(i == 0 || strcmp(advice.modes[i].mode, advice.modes[i - 1].mode) != 0);
    }

    /* a hybrid: 24 recurrent layers keep 32 heads of 128 x 128 and 4 columns of 8192 in f32, 8 layers attend */
    options.context = 256;
    assert_ok(mx_advise("examples/qwen3.5-4b/config.json", &options, &advice, &err));
    assert_int_equal(advice.modes[0].cache, 24 * (32 * 128 * 128 + 4 * 8192) * 4 + 256 * 8 * (4 * 256 * 2) * 2);
}

static void says_what_is_wrong(void **state)
{
    struct mx_advise_options options = mx_advise_options_default();
    struct mx_advice advice = {.size = sizeof advice, .context = 7};
    assert_fails(mx_advise("examples/none", &options, &advice, &err), MX_ERR_IO, "examples/none");
    assert_int_equal(advice.context, 7);
    options.batch = 0;
    assert_fails(mx_advise(model, &options, &advice, &err), MX_ERR_ARGUMENT, "batch");
    options = (struct mx_advise_options){.batch = 1}; /* not from _default() */
    assert_fails(mx_advise(model, &options, &advice, &err), MX_ERR_ARGUMENT, "size");
    options = mx_advise_options_default();
    advice.size = 0;
    assert_fails(mx_advise(model, &options, &advice, &err), MX_ERR_ARGUMENT, "size");
    struct mx_llm *llm = (struct mx_llm *)&err;
    assert_fails(mx_llm_open(&llm, "examples/none", NULL, &err), MX_ERR_IO, "examples/none");
    assert_null(llm);
}

/* A folder as the Hugging Face cache keeps it: the model is its snapshot, here under the name that is linked to it. */
static void opens_a_cache_root(void **state)
{
    char root[] = "/tmp/mlxcel-api-XXXXXX", snapshots[64], snapshot[80], *files = realpath(model, NULL);
    struct mx_llm *llm;
    assert_non_null(mkdtemp(root));
    snprintf(snapshots, sizeof snapshots, "%s/snapshots", root);
    snprintf(snapshot, sizeof snapshot, "%s/abc123", snapshots);
    assert_int_equal(mkdir(snapshots, 0700), 0);
    assert_int_equal(symlink(files, snapshot), 0);
    free(files);
    const mx_status status = mx_llm_open(&llm, root, NULL, &err);
    unlink(snapshot);
    rmdir(snapshots);
    rmdir(root);
    if (status != MX_OK) fail_msg("%s", err.message);
    mx_llm_close(llm);
}

struct heard {
    char text[256];
    size_t length, limit;
};

static bool hear(void *context, const char *text, size_t length)
{
    struct heard *heard = context;
    if (heard->length + length < sizeof heard->text) {
        memcpy(heard->text + heard->length, text, length);
        heard->length += length;
    }
    return heard->length < heard->limit;
}

static struct mx_llm *llm;

static int open_llm(void **state)
{
    struct mx_llm_options options = mx_llm_options_default();
    options.threads = 2;
    return mx_llm_open(&llm, model, &options, &err) == MX_OK ? 0 : -1;
}

static int close_llm(void **state)
{
    mx_llm_close(llm);
    return 0;
}

static struct mx_seq *open_seq(const char *mode, uint64_t context)
{
    struct mx_seq_options options = mx_seq_options_default();
    struct mx_seq *seq;
    options.context = context;
    options.cache_mode = mode;
    assert_ok(mx_seq_open(&seq, llm, &options, &err));
    return seq;
}

/* What `seq` answers to `prompt`, at most 12 tokens. */
static struct mx_generate_result answer(struct mx_seq *seq, const char *prompt, struct heard *heard)
{
    struct mx_generate_request request = mx_generate_request_default();
    struct mx_generate_result result = {sizeof result};
    *heard = (struct heard){.limit = SIZE_MAX};
    request.prompt = prompt;
    request.max_tokens = 12;
    request.on_text = hear;
    request.context = heard;
    assert_ok(mx_seq_generate(seq, &request, &result, &err));
    return result;
}

static void generates_in_a_compressed_mode(void **state)
{
    struct mx_seq_options cache = mx_seq_options_default();
    struct heard first, second, once = {.limit = SIZE_MAX}, cut = {.limit = 1};
    struct mx_seq *seq = open_seq("int8+turbo4", 256);
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    const struct mx_generate_result result = answer(seq, "The table is", &first);
    clock_gettime(CLOCK_MONOTONIC, &end);
    assert_true(result.tokens > 0 && result.tokens <= 12);
    /* the speeds are those of parts of this time */
    const double seconds = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) * 1e-9;
    assert_true(result.prefill_tokens_per_second * seconds >= result.prompt_tokens);
    assert_true(result.decode_tokens_per_second * seconds >= result.tokens - 1);
    assert_int_equal(result.reused_tokens, 0);
    const struct mx_generate_result again = answer(seq, "The table is", &second);
    assert_string_equal(first.text, second.text);
    assert_int_equal(again.reused_tokens, again.prompt_tokens - 1);

    struct mx_generate_request request = mx_generate_request_default();
    struct mx_generate_result whole = {sizeof whole};
    cache.context = 256;
    cache.cache_mode = "int8+turbo4";
    request.prompt = "The table is";
    request.max_tokens = 12;
    request.on_text = hear;
    request.context = &once;
    whole.size = 0;
    assert_fails(mx_llm_generate(llm, &cache, &request, &whole, &err), MX_ERR_ARGUMENT, "size");
    whole.size = sizeof whole;
    assert_ok(mx_llm_generate(llm, &cache, &request, &whole, &err));
    assert_string_equal(first.text, once.text);
    assert_int_equal(whole.end, result.end);
    request.context = &cut;
    assert_ok(mx_llm_generate(llm, &cache, &request, &whole, &err));
    assert_true(cut.length < first.length);
    assert_int_equal(whole.end, MX_END_CANCELLED);
    assert_string_equal(mx_end_reason_name(whole.end), "cancelled");
    mx_seq_close(seq);
}

static void ends_for_a_reason(void **state)
{
    struct mx_seq *seq = open_seq(NULL, 64);
    struct mx_generate_request request = mx_generate_request_default();
    struct mx_generate_result result = {sizeof result};
    struct heard all, heard = {.limit = SIZE_MAX};
    answer(seq, "The table is", &all);
    assert_true(all.length > 4);
    char stop[4] = {all.text[2], all.text[3], all.text[4]};
    const char *const stops[] = {"never", stop};
    request.prompt = "The table is";
    request.max_tokens = 12;
    request.stops = stops;
    request.stop_count = 2;
    request.on_text = hear;
    request.context = &heard;
    assert_ok(mx_seq_generate(seq, &request, &result, &err));
    assert_int_equal(result.end, MX_END_STOP);
    assert_memory_equal(heard.text, all.text, heard.length);
    assert_true(heard.length <= 2);
    request.stops = NULL;
    request.max_tokens = 1;
    assert_ok(mx_seq_generate(seq, &request, &result, &err));
    assert_int_equal(result.end, MX_END_LENGTH);
    request.max_tokens = 100000;
    assert_ok(mx_seq_generate(seq, &request, &result, &err));
    assert_true(result.end == MX_END_CONTEXT || result.end == MX_END_MODEL);
    char longer[4096] = "";
    while (strlen(longer) + 20 < sizeof longer) strcat(longer, "The table of values. ");
    request.prompt = longer;
    assert_fails(mx_seq_generate(seq, &request, &result, &err), MX_ERR_LIMIT, "context");
    request.messages = &(struct mx_message){"user", "Hi"};
    assert_fails(mx_seq_generate(seq, &request, &result, &err), MX_ERR_ARGUMENT, "one of the three");
    mx_seq_close(seq);
}

static bool stop_at_once(void *context, const char *what, double done)
{
    *(int *)context += 1;
    return false;
}

static void can_be_cancelled(void **state)
{
    int calls = 0;
    struct mx_llm_options options = mx_llm_options_default();
    struct mx_llm *other;
    options.on_progress = stop_at_once;
    options.context = &calls;
    assert_int_equal(mx_llm_open(&other, model, &options, &err), MX_ERR_INTERRUPTED);
    assert_null(other);
    assert_true(calls > 0);

    struct mx_seq *seq = open_seq(NULL, 4096);
    struct mx_generate_request request = mx_generate_request_default();
    struct mx_generate_result result = {sizeof result};
    int32_t tokens[1200];
    for (int i = 0; i < 1200; i++) tokens[i] = 100 + i % 50;
    request.tokens = tokens;
    request.count = 1200;
    request.on_progress = stop_at_once;
    request.context = &calls;
    calls = 0;
    assert_ok(mx_seq_generate(seq, &request, &result, &err));
    assert_int_equal(result.end, MX_END_CANCELLED);
    assert_int_equal(result.tokens, 0);
    assert_int_equal(calls, 1);
    size_t count;
    mx_seq_tokens(seq, &count);
    assert_true(count > 0 && count < 1200);
    request.on_progress = NULL;
    request.max_tokens = 2;
    assert_ok(mx_seq_generate(seq, &request, &result, &err)); /* goes on where it was */
    assert_int_equal(result.reused_tokens, count);
    mx_seq_close(seq);
}

static void speaks_tokens(void **state)
{
    static const char text[] = "The file system keeps";
    int32_t tokens[32];
    size_t count, again, length;
    char buffer[64];
    assert_ok(mx_llm_encode(llm, text, strlen(text), false, NULL, 0, &count, &err));
    assert_true(count > 2 && count < 32);
    assert_fails(mx_llm_encode(llm, text, strlen(text), false, tokens, 2, &again, &err), MX_ERR_LIMIT, "room");
    assert_int_equal(again, count);
    assert_ok(mx_llm_encode(llm, text, strlen(text), false, tokens, 32, &again, &err));
    assert_ok(mx_llm_decode(llm, tokens, count, true, NULL, 0, &length, &err));
    assert_int_equal(length, strlen(text));
    assert_fails(mx_llm_decode(llm, tokens, count, true, buffer, length, &length, &err), MX_ERR_LIMIT, "room");
    assert_ok(mx_llm_decode(llm, tokens, count, true, buffer, sizeof buffer, &length, &err));
    assert_string_equal(buffer, text);
    assert_int_equal(mx_llm_token(llm, mx_llm_piece(llm, tokens[0])), tokens[0]);
    assert_null(mx_llm_piece(llm, -1));
    assert_int_equal(mx_llm_token(llm, "no such piece at all"), -1);
    struct mx_llm_facts facts = {sizeof facts};
    assert_ok(mx_llm_facts(llm, &facts, &err));
    assert_string_equal(facts.model_type, "llama");
    assert_true(facts.layers > 0 && facts.vocabulary > 1000 && facts.weight_bytes > 1000000 && facts.threads == 2);
}

/* What is drawn first after `prompt`. */
static int32_t draw(struct mx_seq *seq, const int32_t *prompt, size_t n, const struct mx_sampling *sampling)
{
    int32_t token;
    mx_seq_cut(seq, 0);
    assert_ok(mx_seq_feed(seq, prompt, n, false, &err));
    assert_ok(mx_seq_sample(seq, sampling, &token, &err));
    return token;
}

/* Draws go on while the settings stay; whichever of them changes, they begin anew. */
static void draws_begin_anew_where_a_setting_changes(void **state)
{
    static const int32_t prompt[] = {11, 12, 13};
    struct mx_sampling usual = mx_sampling_default(), others[6];
    usual.temperature = 5;
    for (int i = 0; i < 6; i++) others[i] = usual;
    others[0].temperature = 4;
    others[1].top_k = 30;
    others[2].top_p = 0.9;
    others[3].min_p = 0.01;
    others[4].repeat_penalty = 1.2;
    others[5].seed = usual.seed + 1;
    struct mx_seq *seq = open_seq("fp16", 64);
    const int32_t first = draw(seq, prompt, 3, &usual);
    assert_int_not_equal(draw(seq, prompt, 3, &usual), first);
    for (int i = 0; i < 6; i++) {
        struct mx_seq *fresh = open_seq("fp16", 64);
        const int32_t expected = draw(fresh, prompt, 3, &others[i]);
        mx_seq_close(fresh);
        draw(seq, prompt, 3, &usual);
        assert_int_equal(draw(seq, prompt, 3, &others[i]), expected);
    }
    mx_seq_close(seq);
}

/* Feeding and sampling by hand gives what mx_seq_generate gives. */
static void works_by_hand(void **state)
{
    struct mx_seq *seq = open_seq("int8", 128), *hand = open_seq("int8", 128);
    struct heard heard;
    struct mx_sampling sampling = mx_sampling_default();
    int32_t prompt[32], made[16], token;
    size_t n, length;
    char text[256];
    const struct mx_generate_result result = answer(seq, "The table is", &heard);
    assert_null(mx_seq_logits(seq)); /* the last token was drawn from them */
    assert_ok(mx_llm_encode(llm, "The table is", 12, true, prompt, 32, &n, &err));
    assert_null(mx_seq_logits(hand));
    assert_fails(mx_seq_sample(hand, &sampling, &token, &err), MX_ERR_ARGUMENT, "logits");
    assert_ok(mx_seq_feed(hand, prompt, n, false, &err));
    for (uint32_t i = 0; i < result.tokens; i++) {
        assert_non_null(mx_seq_logits(hand));
        assert_ok(mx_seq_sample(hand, &sampling, &made[i], &err));
        assert_ok(mx_seq_feed(hand, &made[i], 1, true, &err));
    }
    assert_ok(mx_llm_decode(llm, made, result.tokens, false, text, sizeof text, &length, &err));
    assert_non_null(strstr(text, heard.text));
    token = 1 << 30;
    assert_fails(mx_seq_feed(hand, &token, 1, false, &err), MX_ERR_ARGUMENT, "vocab");
    mx_seq_close(seq);
    mx_seq_close(hand);
}

static void scores_texts(void **state)
{
    struct mx_seq *seq = open_seq(NULL, 128);
    int32_t tokens[64];
    size_t n;
    double whole[64], parts[64], sum = 0;
    assert_ok(mx_llm_encode(llm, "The table of values is in the file.", 35, false, tokens, 64, &n, &err));
    assert_ok(mx_seq_score(seq, tokens, n, whole, &err));
    assert_true(whole[0] == 0);
    for (size_t i = 1; i < n; i++) assert_true(whole[i] < 0);
    mx_seq_cut(seq, 0);
    const int32_t first_of_vocabulary[2] = {tokens[0], 0};
    assert_ok(mx_seq_score(seq, first_of_vocabulary, 2, parts, &err));
    assert_true(parts[1] < 0);
    mx_seq_cut(seq, 0);
    assert_ok(mx_seq_score(seq, tokens, 4, parts, &err));
    assert_ok(mx_seq_score(seq, tokens + 4, n - 4, parts + 4, &err));
    for (size_t i = 1; i < n; i++) assert_float_equal(whole[i], parts[i], 1e-3);
    const float *logits = mx_seq_logits(seq);
    struct mx_llm_facts facts = {sizeof facts};
    assert_ok(mx_llm_facts(llm, &facts, &err));
    for (uint32_t i = 0; i < facts.vocabulary; i++) sum += logits[i];
    assert_true(sum == sum);
    facts.size = 0;
    assert_fails(mx_llm_facts(llm, &facts, &err), MX_ERR_ARGUMENT, "size");

    struct mx_seq_options cache = mx_seq_options_default();
    struct mx_evaluation evaluation = {sizeof evaluation};
    cache.context = 64;
    assert_fails(mx_llm_evaluate(llm, &cache, "too short", &evaluation, &err), MX_ERR_ARGUMENT, "token");
    char text[4096] = "";
    while (strlen(text) + 60 < sizeof text) strcat(text, "The function returns a pointer to the table of values. ");
    evaluation.size = 0;
    assert_fails(mx_llm_evaluate(llm, &cache, text, &evaluation, &err), MX_ERR_ARGUMENT, "size");
    evaluation.size = sizeof evaluation;
    assert_ok(mx_llm_evaluate(llm, &cache, text, &evaluation, &err));
    assert_int_equal(evaluation.tokens % 64, 0);
    assert_true(evaluation.perplexity > 1 && evaluation.perplexity < 50); /* the sentence repeats itself */
    mx_seq_close(seq);
}

/* A recurrent model goes back to where a prompt began or ended, and says what else it can do. */
static void marks_of_recurrent_models(void **state)
{
    struct mx_llm *recurrent;
    struct mx_seq *seq;
    struct mx_seq_options options = mx_seq_options_default();
    const int32_t first[] = {5, 6, 7, 8, 9, 10, 11, 12}, other[] = {20, 21, 22};
    static const char *const files[] = {"config.json", "model.safetensors", "tokenizer.json"};
    float before[128];
    char folder[] = "/tmp/mlxcel-api-XXXXXX", here[512], from[1024], to[128];
    assert_non_null(mkdtemp(folder));
    assert_non_null(getcwd(here, sizeof here));
    for (int i = 0; i < 3; i++) { /* a golden has no tokenizer */
        snprintf(from, sizeof from, "%s/%s/%s", here, i < 2 ? "tests/data/families/mamba2" : model, files[i]);
        snprintf(to, sizeof to, "%s/%s", folder, files[i]);
        assert_int_equal(symlink(from, to), 0);
    }
    assert_ok(mx_llm_open(&recurrent, folder, NULL, &err));
    options.context = 64;
    options.marks = 9;
    assert_fails(mx_seq_open(&seq, recurrent, &options, &err), MX_ERR_ARGUMENT, "marks");
    for (options.marks = 0; options.marks <= 2; options.marks += 2) {
        assert_ok(mx_seq_open(&seq, recurrent, &options, &err));
        assert_ok(mx_seq_feed(seq, first, 8, false, &err));
        assert_ok(mx_seq_feed(seq, other, 3, false, &err));
        memcpy(before, mx_seq_logits(seq), sizeof before);
        assert_ok(mx_seq_feed(seq, other, 1, true, &err));
        struct mx_seq_facts facts = {sizeof facts};
        assert_ok(mx_seq_facts(seq, &facts, &err));
        assert_int_equal(facts.bytes, facts.full_bytes); /* states are all that it holds */
        const uint64_t kept = mx_seq_cut(seq, 10);
        assert_int_equal(kept, options.marks ? 8 : 0);
        if (!kept) assert_ok(mx_seq_feed(seq, first, 8, false, &err));
        assert_ok(mx_seq_feed(seq, other, 3, false, &err));
        assert_memory_equal(before, mx_seq_logits(seq), sizeof before);
        mx_seq_close(seq);
    }
    mx_llm_close(recurrent);
    for (int i = 0; i < 3; i++) {
        snprintf(to, sizeof to, "%s/%s", folder, files[i]);
        unlink(to);
    }
    rmdir(folder);
}

static void forks_saves_and_loads(void **state)
{
    for (uint32_t forks = 0; forks < 2; forks++) {
        struct mx_seq_options options = mx_seq_options_default();
        struct mx_seq *seq, *fork, *loaded;
        struct heard plain, forked, kept;
        options.context = 256;
        options.cache_mode = "int8+turbo4";
        options.forks = forks;
        assert_ok(mx_seq_open(&seq, llm, &options, &err));
        answer(seq, "The table is", &plain);
        assert_ok(mx_seq_fork(&fork, seq, &err));
        assert_ok(mx_seq_save(seq, "/tmp/mlxcel-api-cache", &err));
        loaded = open_seq("int8+turbo4", 256);
        assert_ok(mx_seq_load(loaded, "/tmp/mlxcel-api-cache", &err));
        size_t count, other;
        mx_seq_tokens(seq, &count);
        mx_seq_tokens(loaded, &other);
        assert_int_equal(count, other);
        mx_seq_close(seq); /* a fork outlives what it was made of */
        assert_int_equal(answer(fork, "The table is", &forked).reused_tokens > 0, 1);
        answer(loaded, "The table is", &kept);
        assert_string_equal(plain.text, forked.text);
        assert_string_equal(plain.text, kept.text);
        mx_seq_close(fork);
        struct mx_seq *wrong = open_seq("int8", 256);
        assert_fails(mx_seq_load(wrong, "/tmp/mlxcel-api-cache", &err), MX_ERR_ARGUMENT, "mode");
        mx_seq_close(wrong);
        mx_seq_close(loaded);
    }
    remove("/tmp/mlxcel-api-cache");
}

static void says_what_runs(void **state)
{
    struct mx_seq *seq = open_seq("turbo4", 256); /* what came with the library proves it on this family */
    struct mx_seq_facts facts = {sizeof facts};
    assert_ok(mx_seq_facts(seq, &facts, &err));
    assert_string_equal(facts.requested_mode, "turbo4");
    assert_string_equal(facts.cache_mode, "turbo4");
    assert_non_null(strstr(facts.reason, "turbo4 was graded high at 4096 tokens on llama"));
    assert_int_equal(facts.length, 0);
    assert_int_equal(facts.context, 256);
    facts.size = 0;
    assert_fails(mx_seq_facts(seq, &facts, &err), MX_ERR_ARGUMENT, "size");
    facts.size = sizeof facts;
    mx_seq_close(seq);
    seq = open_seq("turbo4", 40000); /* nothing was measured so far out */
    assert_ok(mx_seq_facts(seq, &facts, &err));
    assert_string_equal(facts.cache_mode, "fp16+turbo4");
    assert_non_null(strstr(facts.reason, "unproven"));
    mx_seq_close(seq);
    seq = open_seq("advised", 16384);
    assert_ok(mx_seq_facts(seq, &facts, &err));
    assert_string_equal(facts.requested_mode, "advised");
    assert_non_null(strstr(facts.reason, "advised for 16384 tokens: decodes"));
    struct mx_advise_options options = mx_advise_options_default();
    struct mx_advice advice = {sizeof advice};
    options.context = 16384;
    assert_ok(mx_advise(model, &options, &advice, &err));
    assert_string_equal(facts.cache_mode, advice.ranges[1].suggested);
    assert_true(advice.ranges[1].from_evidence);
    options.evidence = "none";
    assert_ok(mx_advise(model, &options, &advice, &err));
    assert_false(advice.ranges[1].from_evidence);
    mx_seq_close(seq);
    struct mx_seq_options wrong = mx_seq_options_default();
    wrong.cache_mode = "q8_0";
    assert_fails(mx_seq_open(&seq, llm, &wrong, &err), MX_ERR_ARGUMENT, "int8");
    assert_null(seq);
}

/* A program that was built when the structs were shorter, or will be when they are longer. */
static void other_sizes_fit(void **state)
{
    struct {
        struct mx_llm_facts facts;
        char more[64];
    } later = {.facts = {.size = sizeof later}};
    assert_ok(mx_llm_facts(llm, &later.facts, &err));
    assert_int_equal(later.facts.size, sizeof later);
    assert_string_equal(later.facts.model_type, "llama");
    struct mx_llm_facts facts = {.size = offsetof(struct mx_llm_facts, layers), .layers = 77};
    assert_ok(mx_llm_facts(llm, &facts, &err));
    assert_string_equal(facts.model_type, "llama");
    assert_int_equal(facts.layers, 77);
    struct mx_seq_options options = mx_seq_options_default();
    struct mx_seq *seq;
    options.size = offsetof(struct mx_seq_options, recent);
    options.recent = -17; /* not known to that program */
    options.context = 64;
    assert_ok(mx_seq_open(&seq, llm, &options, &err));
    mx_seq_close(seq);
}

struct talk {
    struct heard heard;
    const char *prompt;
};

static void *talk(void *context)
{
    struct talk *talking = context;
    struct mx_seq *seq = NULL;
    struct mx_seq_options options = mx_seq_options_default();
    struct mx_generate_request request = mx_generate_request_default();
    struct mx_error error;
    options.context = 256;
    options.cache_mode = "int8+turbo4";
    request.prompt = talking->prompt;
    request.max_tokens = 24;
    request.on_text = hear;
    request.context = &talking->heard;
    if (mx_seq_open(&seq, llm, &options, &error) == MX_OK) (void)mx_seq_generate(seq, &request, NULL, &error);
    mx_seq_close(seq);
    return NULL;
}

static void serves_two_threads(void **state)
{
    struct talk alone[2] = {{{.limit = SIZE_MAX}, "The table is"}, {{.limit = SIZE_MAX}, "The file system keeps"}};
    struct talk beside[2] = {{{.limit = SIZE_MAX}, "The table is"}, {{.limit = SIZE_MAX}, "The file system keeps"}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) talk(&alone[i]);
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&threads[i], NULL, talk, &beside[i]), 0);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < 2; i++) {
        assert_true(alone[i].heard.length > 0);
        assert_string_equal(alone[i].heard.text, beside[i].heard.text);
    }
}

static void has_a_version(void **state)
{
    assert_int_equal(mx_abi_version(), MX_ABI_VERSION);
    assert_string_equal(mx_version(), MLXCEL_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(advises_from_a_config),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(opens_a_cache_root),
        cmocka_unit_test(generates_in_a_compressed_mode),
        cmocka_unit_test(ends_for_a_reason),
        cmocka_unit_test(can_be_cancelled),
        cmocka_unit_test(speaks_tokens),
        cmocka_unit_test(draws_begin_anew_where_a_setting_changes),
        cmocka_unit_test(works_by_hand),
        cmocka_unit_test(scores_texts),
        cmocka_unit_test(marks_of_recurrent_models),
        cmocka_unit_test(forks_saves_and_loads),
        cmocka_unit_test(says_what_runs),
        cmocka_unit_test(other_sizes_fit),
        cmocka_unit_test(serves_two_threads),
        cmocka_unit_test(has_a_version),
    };
    return cmocka_run_group_tests(tests, open_llm, close_llm);
}
