/* The scheduler: what each of many texts gets is what it gets alone, in every mode, with shared beginnings, with a
 * budget so small that texts are parked, and when others are cancelled. */
#include "model_runs.h"

#include "base/random.h"
#include "cache/size.h"
#include "engine/generate.h"
#include "engine/scheduler_impl.h"

#define DATA "tests/data/families/"

enum { TEXTS = 9, LONGEST = 330, MADE = 40, CONTEXT = 512 };

static struct mx_error err;

struct text {
    int32_t prompt[LONGEST], alone[MADE], together[MADE];
    size_t length, alone_count, count, shared;
    struct mx_sampler_options sampler;
    enum mx_finish finish;
    unsigned done;
    size_t cancel_after; /* 0: never */
    struct mx_running *handle;
};

/* Texts of several lengths; from the fourth on they begin alike, two of them even longer. Every third is drawn with a
 * temperature. */
static void make_texts(struct text texts[TEXTS], size_t vocab, size_t common)
{
    for (size_t i = 0; i < TEXTS; i++) {
        struct mx_random own = {i + 1}, same = {100};
        texts[i] =
            (struct text){.length = i < 3 ? 1 + i * 17 : common + 5 + i * 3, .sampler = mx_sampler_options_default()};
        if (i % 3 == 2) texts[i].sampler = (struct mx_sampler_options){.temperature = 1, .top_p = 0.9, .seed = i};
        if (i % 3 == 2) texts[i].sampler.repeat_penalty = 1.1;
        for (size_t t = 0; t < texts[i].length; t++) {
            const uint64_t a = mx_random_u64(&same), b = mx_random_u64(&own);
            texts[i].prompt[t] = (int32_t)((i >= 3 && t < common + (i > 6 ? 20 : 0) ? a : b) % vocab);
        }
    }
}

static struct mx_session *open_session(const char *family, int threads)
{
    char directory[160];
    struct mx_session *session;
    snprintf(directory, sizeof directory, DATA "%s", family);
    const struct mx_session_options options = {.threads = threads, .cpu = mx_cpu_detect()};
    assert_ok(mx_session_open(&session, directory, &options, NULL, &err));
    return session;
}

static void run_alone(struct mx_session *session, const struct mx_kv_options *kv, struct text texts[TEXTS])
{
    for (size_t i = 0; i < TEXTS; i++) {
        const struct mx_session_begin begin = {.context = CONTEXT, .kv = *kv};
        const struct mx_generate_options options = {.max_tokens = MADE, .sampler = texts[i].sampler};
        struct mx_generation generation;
        assert_ok(mx_session_begin(session, &begin, &err));
        assert_ok(mx_generate(session, texts[i].prompt, texts[i].length, &options, NULL, &generation, &err));
        texts[i].alone_count = generation.tokens.count;
        memcpy(texts[i].alone, generation.tokens.data, generation.tokens.count * sizeof *texts[i].alone);
        mx_generation_free(&generation);
    }
}

static void on_token(void *context, int32_t token)
{
    struct text *text = context;
    assert_true(text->count < MADE);
    text->together[text->count++] = token;
    if (text->count == text->cancel_after) mx_scheduler_cancel(text->handle);
}

static void on_done(void *context, const struct mx_generation *generation, const struct mx_error *failure)
{
    struct text *text = context;
    if (failure) fail_msg("%s", failure->message);
    assert_int_equal(generation->tokens.count, text->count);
    assert_int_equal(generation->prompt_tokens, text->length);
    text->shared = generation->reused_tokens;
    text->finish = generation->finish;
    text->done++;
}

static struct mx_scheduler_stats run_together(struct mx_session *session, const struct mx_scheduler_options *options,
                                              struct text texts[TEXTS])
{
    struct mx_scheduler *scheduler;
    assert_ok(mx_scheduler_open(&scheduler, session, options, &err));
    for (size_t i = 0; i < TEXTS; i++) {
        const struct mx_request request = {.prompt = texts[i].prompt,
                                           .prompt_tokens = texts[i].length,
                                           .max_tokens = MADE,
                                           .sampler = texts[i].sampler,
                                           .events = {.token = on_token, .done = on_done, .context = &texts[i]}};
        texts[i].count = texts[i].done = 0;
        assert_ok(mx_scheduler_add(scheduler, &request, &texts[i].handle, &err));
    }
    while (mx_scheduler_busy(scheduler)) assert_ok(mx_scheduler_step(scheduler, &err));
    const struct mx_scheduler_stats stats = mx_scheduler_stats(scheduler);
    assert_int_equal(stats.requests, TEXTS);
    assert_true(stats.cache.peak <= stats.cache.budget);
    for (size_t i = 0; i < TEXTS; i++) assert_int_equal(texts[i].done, 1);
    mx_scheduler_close(scheduler);
    return stats;
}

static void compare(const char *family, const struct mx_kv_options *kv, const struct text texts[TEXTS])
{
    for (size_t i = 0; i < TEXTS; i++) {
        const size_t count = texts[i].cancel_after ? texts[i].cancel_after : texts[i].alone_count;
        if (texts[i].count == count && memcmp(texts[i].alone, texts[i].together, count * sizeof(int32_t)) == 0)
            continue;
        fail_msg("%s in %s: text %zu is another one in company (%zu tokens, alone %zu)", family,
                 mx_mode_info(kv->mode)->name, i, texts[i].count, count);
    }
}

static void texts_are_what_they_are_alone(void **state)
{
    static const char *const families[] = {
        "llama", "llama_bias", "qwen2_sliding", "qwen3_moe", "llama_rope_dynamic", "qwen3_5_text", "mamba2"};
    static const enum mx_mode modes[] = {MX_MODE_FP16, MX_MODE_INT8_TURBO4, MX_MODE_TURBO4};
    static struct text texts[TEXTS];
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
        struct mx_session *session = open_session(families[f], 2);
        for (size_t m = 0; m < (SANITIZED ? 2 : 3); m++) {
            struct mx_kv_options kv = mx_kv_options_default();
            kv.mode = modes[m];
            kv.force = true;
            make_texts(texts, mx_session_arch(session)->vocab, 280);
            run_alone(session, &kv, texts);
            struct mx_scheduler_options options = {.context = CONTEXT, .parallel = 4, .kv = kv};
            struct mx_scheduler_stats stats = run_together(session, &options, texts);
            compare(families[f], &kv, texts);
            const bool shares = strcmp(families[f], "llama_rope_dynamic") != 0;
            for (size_t i = 4; i < TEXTS; i++) {
                if (shares ? texts[i].shared >= 280 : texts[i].shared == 0) continue;
                fail_msg("%s in %s: text %zu shares %zu tokens", families[f], mx_mode_info(kv.mode)->name, i,
                         texts[i].shared);
            }
            assert_int_equal(stats.prefilled + stats.shared_tokens, stats.prompt_tokens);
            assert_int_equal(stats.parkings, 0);
            if (f == 0) { /* the texts' common pages, held once, spare what each one more would take */
                assert_true(stats.cache.shared > 0);
                assert_true(stats.cache.saved >= stats.cache.shared);
            }

            options.parallel = 6; /* with room for two */
            struct mx_kv_setup setup;
            assert_ok(mx_kv_resolve(&setup, &kv, mx_session_arch(session), &err));
            options.budget = 2 * (mx_cache_bytes(mx_session_arch(session), &setup, CONTEXT) +
                                  mx_state_bytes(mx_session_arch(session))) +
                             1000;
            run_together(session, &options, texts);
            compare(families[f], &kv, texts);

            options =
                (struct mx_scheduler_options){.context = CONTEXT, .parallel = 3, .chunk = 256, .keep = 4, .kv = kv};
            texts[1].cancel_after = 3;
            texts[5].cancel_after = 1;
            run_together(session, &options, texts);
            assert_int_equal(texts[1].finish, MX_FINISH_INTERRUPTED);
            compare(families[f], &kv, texts);
        }
        mx_session_close(session);
    }
}

/* A budget that runs short while texts grow: some are parked, and get the same all the same. */
static void parked_texts_go_on(void **state)
{
    static struct text texts[TEXTS];
    struct mx_session *session = open_session("qwen3", 2);
    struct mx_kv_options kv = mx_kv_options_default();
    const uint64_t page = mx_kv_page_bytes(mx_session_arch(session), &(struct mx_kv_setup){0});
    make_texts(texts, mx_session_arch(session)->vocab, 280);
    for (size_t i = 0; i < TEXTS; i++) texts[i].length = 240 + i % 3; /* all grow into a second page */
    run_alone(session, &kv, texts);
    struct mx_scheduler_options options = {.context = CONTEXT, .parallel = 4, .budget = 5 * page, .kv = kv};
    for (size_t i = 0; i < TEXTS; i++) texts[i].prompt[0] = (int32_t)i; /* nothing in common */
    run_alone(session, &kv, texts);
    const struct mx_scheduler_stats stats = run_together(session, &options, texts);
    compare("qwen3", &kv, texts);
    assert_true(stats.parkings > 0);
    mx_session_close(session);
}

/* A text that is being decoded goes on while a long prompt comes in, and the prompt's text is what it is alone; one
 * that is given up in the middle of its pass harms nobody. */
enum { LONG = 1000, VAIN = 400, JOINS = 258, JOINED = 256, LONG_MADE = 8, BESIDE_MADE = 2000 };

struct arrival {
    struct mx_running *handle;
    int32_t made[BESIDE_MADE];
    size_t count, beside; /* beside: tokens of the other when the first of this one came */
    const struct arrival *other;
    bool done;
};

static void on_arrival_token(void *context, int32_t token)
{
    struct arrival *arrival = context;
    if (arrival->count == 0 && arrival->other) arrival->beside = arrival->other->count;
    arrival->made[arrival->count++] = token;
}

static void on_arrival_done(void *context, const struct mx_generation *generation, const struct mx_error *failure)
{
    struct arrival *arrival = context;
    (void)generation;
    assert_null(failure);
    arrival->done = true;
}

static void add_arrival(struct mx_scheduler *scheduler, struct arrival *arrival, const int32_t *prompt, size_t length,
                        uint32_t made)
{
    const struct mx_request request = {
        .prompt = prompt,
        .prompt_tokens = length,
        .max_tokens = made,
        .sampler = mx_sampler_options_default(),
        .events = {.token = on_arrival_token, .done = on_arrival_done, .context = arrival}};
    assert_ok(mx_scheduler_add(scheduler, &request, &arrival->handle, &err));
}

/* A step of one token that has no time for its pass, whatever the machine: a few pieces of a loop go on all the same.
 */
static void step_for_tokens_alone(struct mx_scheduler *scheduler)
{
    scheduler->decode_time = (struct mx_step_time){.tokens = 1};
    assert_ok(mx_scheduler_step(scheduler, &err));
    scheduler->decode_time.tokens = 0; /* what was said is forgotten */
}

static void texts_go_on_beside_a_long_prompt(void **state)
{
    static const struct {
        const char *family;
        enum mx_mode mode;
    } cases[] = {
        {"qwen3", MX_MODE_FP16}, {"qwen3", MX_MODE_INT8_TURBO4}, {"mamba2", MX_MODE_FP16}, {"olmoe", MX_MODE_FP16}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct mx_session *session = open_session(cases[c].family, 2);
        const size_t vocab = mx_session_arch(session)->vocab;
        int32_t prompt[LONG], joining[JOINS];
        struct mx_random random = {9};
        for (size_t i = 0; i < LONG; i++) prompt[i] = (int32_t)(mx_random_u64(&random) % vocab);
        memcpy(joining, prompt, sizeof joining);
        for (size_t i = JOINED; i < JOINS; i++) joining[i] = prompt[i + 300];
        struct mx_kv_options kv = mx_kv_options_default();
        kv.mode = cases[c].mode;
        kv.force = true;
        struct mx_scheduler_options options = {.context = LONG + BESIDE_MADE, .parallel = 1, .kv = kv};
        struct mx_scheduler *scheduler;
        struct arrival alone = {0}, first = {0}, second = {.other = &first}, gone = {0}, stays = {0}, joins = {0};
        struct arrival stays_alone = {0}, joins_alone = {0}, vain = {0}, again = {0}, again_alone = {0};
        assert_ok(mx_scheduler_open(&scheduler, session, &options, &err));
        add_arrival(scheduler, &alone, prompt, LONG, LONG_MADE);
        add_arrival(scheduler, &stays_alone, prompt + 30, 100, LONG_MADE);
        add_arrival(scheduler, &joins_alone, joining, JOINS, LONG_MADE);
        add_arrival(scheduler, &again_alone, prompt + VAIN, LONG - VAIN, LONG_MADE);
        while (mx_scheduler_busy(scheduler)) assert_ok(mx_scheduler_step(scheduler, &err));
        mx_scheduler_close(scheduler);
        options.parallel = 5;
        options.keep = 4;
        assert_ok(mx_scheduler_open(&scheduler, session, &options, &err));
        add_arrival(scheduler, &first, prompt + 7, 5, BESIDE_MADE);
        while (first.count < 3) assert_ok(mx_scheduler_step(scheduler, &err));
        /* One that is given up alone, in the middle of its second pass, and comes again. */
        add_arrival(scheduler, &vain, prompt + VAIN, LONG - VAIN, LONG_MADE);
        while (!vain.handle->fed) assert_ok(mx_scheduler_step(scheduler, &err));
        for (int i = 0; i < 20; i++) step_for_tokens_alone(scheduler);
        assert_true(scheduler->passing && vain.handle->passing);
        mx_scheduler_cancel(vain.handle);
        for (int i = 0; !vain.done; i++) {
            assert_true(i < 400);
            step_for_tokens_alone(scheduler);
        }
        assert_true(vain.count == 0 && !first.done);
        add_arrival(scheduler, &again, prompt + VAIN, LONG - VAIN, LONG_MADE);
        while (!again.done) assert_ok(mx_scheduler_step(scheduler, &err));
        /* Two in one pass, of which one is given up. */
        add_arrival(scheduler, &gone, prompt + 1, 100, LONG_MADE);
        add_arrival(scheduler, &stays, prompt + 30, 100, LONG_MADE);
        assert_ok(mx_scheduler_step(scheduler, &err));
        mx_scheduler_cancel(gone.handle);
        while (!stays.done) assert_ok(mx_scheduler_step(scheduler, &err));
        assert_true(gone.done && gone.count <= 1);
        /* One that joins another in the middle of its second pass. */
        add_arrival(scheduler, &second, prompt, LONG, LONG_MADE);
        const uint64_t before = mx_scheduler_stats(scheduler).prefilled;
        while (mx_scheduler_stats(scheduler).prefilled == before) assert_ok(mx_scheduler_step(scheduler, &err));
        step_for_tokens_alone(scheduler);
        assert_true(scheduler->passing && second.handle->passing && second.handle->fed == JOINED);
        add_arrival(scheduler, &joins, joining, JOINS, LONG_MADE);
        while (!second.done || !joins.done) assert_ok(mx_scheduler_step(scheduler, &err));
        assert_true(second.beside >= 3 + LONG / 256 && !first.done);
        assert_memory_equal(second.made, alone.made, LONG_MADE * sizeof *alone.made);
        assert_memory_equal(again.made, again_alone.made, LONG_MADE * sizeof *alone.made);
        assert_memory_equal(stays.made, stays_alone.made, LONG_MADE * sizeof *alone.made);
        assert_memory_equal(joins.made, joins_alone.made, LONG_MADE * sizeof *alone.made);
        if (mx_session_arch(session)->experts.count) { /* what both lanes read for is counted */
            const struct mx_experts_use all = mx_workspace_experts(scheduler->all.workspace);
            const struct mx_experts_use side = mx_workspace_experts(scheduler->side.workspace);
            const struct mx_scheduler_stats stats = mx_scheduler_stats(scheduler);
            assert_true(all.layers > 0 && side.layers > 0);
            assert_int_equal(stats.experts.layers, all.layers + side.layers);
            assert_int_equal(stats.experts.read, all.read + side.read);
        }
        mx_scheduler_close(scheduler);
        mx_session_close(session);
    }
}

/* A text that goes on where an ended one's prompt ended is fed only what is new, whatever that one wrote: a model with
 * states goes back to its mark. */
static void prompts_are_kept(void **state)
{
    static const char *const families[] = {"llama", "qwen3_5_text", "mamba2", "recurrent_gemma", "rwkv"};
    static struct text texts[TEXTS];
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
        struct mx_session *session = open_session(families[f], 1);
        const struct mx_kv_options kv = mx_kv_options_default();
        make_texts(texts, mx_session_arch(session)->vocab, 280);
        memcpy(texts[1].prompt, texts[0].prompt, sizeof texts[0].prompt);
        texts[0].length = 40;
        texts[1].length = 60;
        texts[0].sampler = texts[1].sampler = mx_sampler_options_default();
        run_alone(session, &kv, texts);
        struct mx_scheduler *scheduler;
        const struct mx_scheduler_options options = {.context = CONTEXT, .parallel = 1, .keep = 2, .kv = kv};
        assert_ok(mx_scheduler_open(&scheduler, session, &options, &err));
        for (size_t i = 0; i < 2; i++) {
            const struct mx_request request = {.prompt = texts[i].prompt,
                                               .prompt_tokens = texts[i].length,
                                               .max_tokens = MADE,
                                               .sampler = texts[i].sampler,
                                               .events = {.token = on_token, .done = on_done, .context = &texts[i]}};
            texts[i].count = 0;
            assert_ok(mx_scheduler_add(scheduler, &request, NULL, &err));
            while (mx_scheduler_busy(scheduler)) assert_ok(mx_scheduler_step(scheduler, &err));
            assert_int_equal(texts[i].count, texts[i].alone_count);
            assert_memory_equal(texts[i].together, texts[i].alone, texts[i].count * sizeof(int32_t));
        }
        assert_int_equal(texts[1].shared, 40);
        const struct mx_scheduler_stats stats = mx_scheduler_stats(scheduler);
        assert_true(stats.cache.peak <= stats.cache.budget);
        mx_scheduler_close(scheduler);
        mx_session_close(session);
    }
}

/* A conversation that goes on: the reply needn't be read again, unless the first prompt was too short to decide an
 * offset of the keys; what comes after it is what it is without. */
static void replies_are_reused(void **state)
{
    struct mx_session *session = open_session("qwen2", 2);
    enum { REPLY = 200, MORE = 40 };
    static int32_t prompt[600];
    for (int i = 0; i < 3; i++) {
        const size_t before = i == 1 ? 300 : 100; /* tokens of the first prompt */
        struct mx_scheduler_options options = {
            .context = 1024, .parallel = 2, .keep = 4, .kv = mx_kv_options_default()};
        if (i < 2) options.kv.mode = MX_MODE_TURBO4;
        if (i < 2) options.kv.force = true;
        struct mx_scheduler *scheduler;
        static struct arrival first, second, alone;
        first = second = alone = (struct arrival){0};
        for (size_t t = 0; t < before + REPLY + MORE; t++)
            prompt[t] = (int32_t)(t * 7 % mx_session_arch(session)->vocab);
        assert_ok(mx_scheduler_open(&scheduler, session, &options, &err));
        add_arrival(scheduler, &first, prompt, before, REPLY);
        while (mx_scheduler_busy(scheduler)) assert_ok(mx_scheduler_step(scheduler, &err));
        assert_int_equal(first.count, REPLY);
        memcpy(prompt + before, first.made, REPLY * sizeof *prompt);
        add_arrival(scheduler, &second, prompt, before + REPLY + MORE, MORE);
        while (mx_scheduler_busy(scheduler)) assert_ok(mx_scheduler_step(scheduler, &err));
        /* The last token of a reply was made, not fed. */
        assert_int_equal(mx_scheduler_stats(scheduler).shared_tokens, i == 0 ? 0 : before + REPLY - 1);
        mx_scheduler_close(scheduler);
        assert_ok(mx_scheduler_open(&scheduler, session, &options, &err));
        add_arrival(scheduler, &alone, prompt, before + REPLY + MORE, MORE);
        while (mx_scheduler_busy(scheduler)) assert_ok(mx_scheduler_step(scheduler, &err));
        assert_int_equal(alone.count, second.count);
        assert_memory_equal(alone.made, second.made, alone.count * sizeof *alone.made);
        mx_scheduler_close(scheduler);
    }
    mx_session_close(session);
}

static void on_failure(void *context, const struct mx_generation *generation, const struct mx_error *failure)
{
    fail_msg("called back");
}

static void refusals(void **state)
{
    struct mx_session *session = open_session("llama", 1);
    struct mx_scheduler *scheduler;
    struct mx_scheduler_options options = {.context = 64, .parallel = 0, .kv = mx_kv_options_default()};
    assert_fails(mx_scheduler_open(&scheduler, session, &options, &err), MX_ERR_ARGUMENT, "1 to 4096 texts");
    options.parallel = 2;
    options.budget = 1000;
    assert_fails(mx_scheduler_open(&scheduler, session, &options, &err), MX_ERR_LIMIT, "the budget is");
    assert_null(scheduler);
    options.budget = 0;
    assert_ok(mx_scheduler_open(&scheduler, session, &options, &err));
    int32_t prompt[65] = {1, 2, 3};
    struct mx_request request = {.prompt = prompt, .max_tokens = 1, .events = {.done = on_failure}};
    request.sampler = mx_sampler_options_default();
    assert_fails(mx_scheduler_add(scheduler, &request, NULL, &err), MX_ERR_ARGUMENT, "empty");
    request.prompt_tokens = 65;
    assert_fails(mx_scheduler_add(scheduler, &request, NULL, &err), MX_ERR_LIMIT, "65 tokens");
    request.prompt_tokens = 3;
    request.sampler.top_p = 2;
    assert_fails(mx_scheduler_add(scheduler, &request, NULL, &err), MX_ERR_ARGUMENT, "top-p");
    request.sampler.top_p = 1;
    prompt[2] = -4;
    assert_fails(mx_scheduler_add(scheduler, &request, NULL, &err), MX_ERR_ARGUMENT, "number 3");
    prompt[2] = 4;
    assert_ok(mx_scheduler_add(scheduler, &request, NULL, &err));
    assert_true(mx_scheduler_busy(scheduler));
    mx_scheduler_close(scheduler); /* gives it up without calling back */
    mx_session_close(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_what_they_are_alone),
        cmocka_unit_test(parked_texts_go_on),
        cmocka_unit_test(texts_go_on_beside_a_long_prompt),
        cmocka_unit_test(prompts_are_kept),
        cmocka_unit_test(replies_are_reused),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests_name("scheduler", tests, NULL, NULL);
}
