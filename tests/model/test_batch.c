/* Several texts in one forward pass: what each gets is the same to the bit as alone, whatever stands beside it, however
 * its prompt was cut, whoever it shares its beginning with, and with another number of threads. */
#include "model_runs.h"

#include <dirent.h>
#include <pthread.h>

#include "base/random.h"
#include "cache/size.h"

#define DATA "tests/data/families/"

enum { TEXTS = 5, LONGEST = 520, DECODED = 24, CONTEXT = 768, CHUNK = 320 };

static const size_t lengths[TEXTS] = {3, 41, 70, 301, LONGEST};
static const enum mx_mode modes[] = {MX_MODE_FP16, MX_MODE_INT8_TURBO4, MX_MODE_FP16_TURBO3, MX_MODE_TURBO4};

/* One model in one mode, ready to run. */
struct engine {
    struct mx_pool *pool;
    struct mx_kv_plan *plan;
    struct mx_kv_store *store;
    struct mx_workspace *workspace;
    const struct mx_model *model;
    size_t vocab;
};

static void open_engine(struct engine *engine, const struct mx_model *model, enum mx_mode mode, enum mx_cpu_level cpu,
                        int threads)
{
    struct mx_error err;
    const struct mx_arch *arch = mx_model_arch(model);
    struct mx_kv_options request = mx_kv_options_default();
    request.mode = mode;
    request.force = true;
    struct mx_kv_plan_options plan = {.key_bias = mx_model_key_bias(model), .context = CONTEXT, .cpu = cpu};
    if (mx_kv_resolve(&plan.setup, &request, arch, &err) != MX_OK) { /* no layer has a kernel for it */
        request.force = false;
        assert_ok(mx_kv_resolve(&plan.setup, &request, arch, &err));
    }
    *engine = (struct engine){.model = model, .vocab = arch->vocab};
    assert_ok(mx_pool_open(&engine->pool, threads, &err));
    assert_ok(mx_kv_plan_open(&engine->plan, arch, &plan, &err));
    const struct mx_kv_store_options store = {
        .budget = (TEXTS + 1) * (mx_cache_bytes(arch, &plan.setup, CONTEXT) + mx_state_bytes(arch))};
    assert_ok(mx_kv_store_open(&engine->store, engine->plan, &store, &err));
    const struct mx_workspace_options workspace = {.chunk = CHUNK, .rows = 3, .cpu = cpu, .pool = engine->pool};
    assert_ok(mx_workspace_open(&engine->workspace, arch, &workspace, &err));
}

static void close_engine(struct engine *engine)
{
    assert_int_equal(mx_kv_store_usage(engine->store).used, 0);
    mx_workspace_close(engine->workspace);
    mx_kv_store_close(engine->store);
    mx_kv_plan_close(engine->plan);
    mx_pool_close(engine->pool);
}

/* A text: its prompt, what it decodes (given, not sampled: bits are compared), and the logits after the prompt and
 * after each decoded token [DECODED + 1][vocab]. */
struct text {
    int32_t tokens[LONGEST + DECODED];
    size_t prompt;
    float *logits;
    struct mx_sequence *sequence;
    size_t fed;
};

static void make_texts(struct text texts[TEXTS], size_t vocab)
{
    for (size_t i = 0; i < TEXTS; i++) {
        struct mx_random random = {i + 1}, same = {100};
        texts[i] =
            (struct text){.prompt = lengths[i], .logits = malloc((DECODED + 1) * vocab * sizeof *texts[i].logits)};
        for (size_t t = 0; t < LONGEST + DECODED; t++) { /* the longest two begin alike */
            const uint64_t common = mx_random_u64(&same), own = mx_random_u64(&random);
            texts[i].tokens[t] = (int32_t)((i >= 3 && t < 290 ? common : own) % vocab);
        }
    }
}

/* A forward pass with a part of each of some texts. */
struct pass {
    struct text *texts[TEXTS];
    struct mx_segment segments[TEXTS];
    size_t count, vocab;
};

static void keep(void *context, size_t segment, size_t token, size_t count, float *logits)
{
    const struct pass *pass = context;
    const struct text *text = pass->texts[segment];
    const size_t after = text->fed + token + 1 - text->prompt;
    memcpy(text->logits + after * pass->vocab, logits, count * pass->vocab * sizeof *logits);
}

static void add(struct pass *pass, struct text *text, size_t n)
{
    const bool decode = text->fed >= text->prompt;
    pass->texts[pass->count] = text;
    pass->segments[pass->count++] = (struct mx_segment){.sequence = text->sequence,
                                                        .tokens = text->tokens + text->fed,
                                                        .n = n,
                                                        .logits = decode ? n : text->fed + n == text->prompt,
                                                        .decode = decode,
                                                        .text = decode ? 0 : text->prompt};
}

static void run(const struct engine *engine, struct pass *pass)
{
    struct mx_error err;
    pass->vocab = engine->vocab;
    const struct mx_logits_sink sink = {keep, pass};
    assert_ok(mx_model_forward(engine->model, engine->workspace, pass->segments, pass->count, &sink, NULL, &err));
    for (size_t i = 0; i < pass->count; i++) pass->texts[i]->fed += pass->segments[i].n;
}

static void run_alone(const struct engine *engine, struct text *text)
{
    struct mx_error err;
    assert_ok(mx_sequence_open(&text->sequence, engine->store, &err));
    for (text->fed = 0; text->fed < text->prompt + DECODED;) {
        struct pass pass = {.count = 0};
        add(&pass, text, text->fed ? 1 : text->prompt);
        run(engine, &pass);
    }
    mx_sequence_close(text->sequence);
}

/* Tokens that a text feeds next: of its prompt a piece of any size, but 256 at the beginning; then a few at a time. */
static size_t next_piece(const struct text *text, struct mx_random *random)
{
    const bool decodes = text->fed >= text->prompt;
    const size_t left = text->prompt + (decodes ? DECODED : 0) - text->fed, least = text->fed ? 1 : 256;
    const size_t piece = least + mx_random_u64(random) % (decodes ? 3 : 90);
    return piece < left ? piece : left;
}

/* All texts together, each beginning 5 passes after the one before; the last one takes the beginning that it has in
 * common with the one before from that. */
static void run_together(const struct engine *engine, struct text texts[TEXTS], bool share, struct mx_random *random)
{
    struct mx_error err;
    for (size_t i = 0; i < TEXTS; i++) {
        texts[i].fed = 0;
        assert_ok(mx_sequence_open(&texts[i].sequence, engine->store, &err));
    }
    for (size_t step = 0, left = 1; left > 0; step++) {
        struct pass pass = {.count = left = 0};
        for (size_t i = 0; i < TEXTS; i++) {
            struct text *text = &texts[i];
            left += text->fed < text->prompt + DECODED;
            if (step < 5 * i || text->fed == text->prompt + DECODED) continue;
            if (share && i == TEXTS - 1 && text->fed == 0 && mx_kv_plan_least_shared(engine->plan) <= 256) {
                const struct text *from = &texts[i - 1];
                const size_t same = from->fed < 290 ? from->fed : 290;
                text->fed = mx_sequence_nearest(from->sequence, same);
                assert_ok(mx_sequence_fork(text->sequence, from->sequence, text->fed, &err));
            }
            add(&pass, text, next_piece(text, random));
        }
        if (pass.count > 0) run(engine, &pass);
    }
    for (size_t i = 0; i < TEXTS; i++) mx_sequence_close(texts[i].sequence);
}

static void check(const struct mx_model *model, const char *family, enum mx_mode mode, enum mx_cpu_level cpu)
{
    static struct text alone[TEXTS], together[TEXTS];
    struct engine one, many;
    struct mx_random random = {(uint64_t)mode + 7 * (uint64_t)cpu};
    open_engine(&one, model, mode, cpu, 1);
    open_engine(&many, model, mode, cpu, 3);
    make_texts(alone, one.vocab);
    make_texts(together, one.vocab);
    for (size_t i = 0; i < TEXTS; i++) run_alone(&one, &alone[i]);
    for (int share = 0; share < 2; share++) {
        run_together(&many, together, share, &random);
        for (size_t i = 0; i < TEXTS; i++) {
            for (size_t t = 0; t <= DECODED; t++) {
                const size_t row = t * one.vocab;
                if (memcmp(alone[i].logits + row, together[i].logits + row, one.vocab * sizeof(float)) == 0) continue;
                fail_msg("%s, %s, %s: text %zu differs %zu tokens after its prompt%s", family, mx_mode_info(mode)->name,
                         mx_cpu_name(cpu), i, t, share ? ", with a shared beginning" : "");
            }
        }
    }
    for (size_t i = 0; i < TEXTS; i++) {
        free(alone[i].logits);
        free(together[i].logits);
    }
    close_engine(&one);
    close_engine(&many);
}

static void company_changes_nothing(void **state)
{
    struct mx_error err;
    DIR *families = opendir(DATA);
    assert_non_null(families);
    unsigned count = 0, runs = 0;
    for (const struct dirent *entry; (entry = readdir(families)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        char directory[300];
        struct mx_model *model;
        snprintf(directory, sizeof directory, DATA "%s", entry->d_name);
        assert_ok(mx_model_open(&model, directory, NULL, &err));
        const struct mx_arch *arch = mx_model_arch(model);
        if (arch->positions == MX_POSITIONS_LEARNED && arch->position_rows < CONTEXT) {
            mx_model_close(model); /* its table of positions ends before these texts do */
            continue;
        }
        for (int cpu = MX_CPU_SCALAR; cpu <= (int)mx_cpu_detect(); cpu++) {
            for (size_t mode = 0; mode < sizeof modes / sizeof *modes; mode++) {
                if (++runs % (SANITIZED ? 13 : cpu == MX_CPU_SCALAR ? 4 : 1)) continue;
                check(model, entry->d_name, modes[mode], (enum mx_cpu_level)cpu);
            }
        }
        mx_model_close(model);
        count++;
    }
    closedir(families);
    assert_true(count >= 15);
}

/* Tokens that a shared beginning does not need to be fed again, and the bytes that it does not take again. */
static void a_beginning_is_stored_once(void **state)
{
    struct mx_error err;
    struct mx_model *model;
    struct engine engine;
    static struct text text;
    assert_ok(mx_model_open(&model, DATA "qwen3", NULL, &err));
    for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
        open_engine(&engine, model, modes[m], mx_cpu_detect(), 1);
        text = (struct text){.prompt = 512, .logits = malloc(engine.vocab * sizeof(float))};
        assert_ok(mx_sequence_open(&text.sequence, engine.store, &err));
        struct pass pass = {.count = 0};
        add(&pass, &text, 512);
        run(&engine, &pass);
        const uint64_t before = mx_kv_store_usage(engine.store).used;
        const uint64_t own = mx_kv_own_bytes(mx_model_arch(model), mx_kv_plan_setup(engine.plan), CONTEXT);
        const uint64_t page = mx_kv_page_bytes(mx_model_arch(model), mx_kv_plan_setup(engine.plan));
        struct mx_sequence *forks[3];
        for (int i = 0; i < 3; i++) {
            assert_ok(mx_sequence_open(&forks[i], engine.store, &err));
            assert_ok(mx_sequence_fork(forks[i], text.sequence, 512, &err));
        }
        struct mx_kv_usage usage = mx_kv_store_usage(engine.store);
        assert_int_equal(usage.used, before + 3 * own);
        assert_int_equal(usage.shared, 2 * page);
        assert_int_equal(usage.saved, 6 * page);
        /* The next token of a fork goes to a new page, and the block that it ages to a copy of the last one. */
        const struct mx_mode_info *info = mx_mode_info(modes[m]);
        const unsigned fresh = (info->k == MX_REPR_FP16) + (info->v != MX_REPR_FP16);
        assert_ok(mx_sequence_reserve(forks[0], 1, &err));
        assert_int_equal(mx_kv_store_usage(engine.store).used, before + 3 * own + fresh * page);
        for (int i = 0; i < 3; i++) mx_sequence_close(forks[i]);
        assert_int_equal(mx_kv_store_usage(engine.store).used, before);
        mx_sequence_close(text.sequence);
        free(text.logits);
        close_engine(&engine);
    }
    mx_model_close(model);
}

/* A thread with texts of its own, on a model, a plan and a store that others use, too. */
struct worker {
    pthread_t thread;
    struct engine engine; /* its own pool and workspace */
    struct text *texts;   /* [TEXTS] */
};

static void *run_worker(void *argument)
{
    const struct worker *worker = argument;
    for (size_t i = 0; i < TEXTS; i++) run_alone(&worker->engine, &worker->texts[i]);
    return NULL;
}

static void threads_share_a_model(void **state)
{
    enum { THREADS = 2 };
    static struct text alone[TEXTS], texts[THREADS][TEXTS];
    struct mx_error err;
    struct mx_model *model;
    struct engine engine;
    struct worker workers[THREADS];
    assert_ok(mx_model_open(&model, DATA "qwen2", NULL, &err));
    open_engine(&engine, model, MX_MODE_INT8_TURBO4, mx_cpu_detect(), 1);
    make_texts(alone, engine.vocab);
    for (size_t i = 0; i < TEXTS; i++) run_alone(&engine, &alone[i]);
    for (int i = 0; i < THREADS; i++) {
        struct worker *worker = &workers[i];
        *worker = (struct worker){.engine = engine, .texts = texts[i]};
        struct mx_workspace_options own = {.chunk = CHUNK, .rows = 1, .cpu = mx_cpu_detect()};
        assert_ok(mx_pool_open(&worker->engine.pool, 1, &err)); /* of one thread: any thread may drive it */
        own.pool = worker->engine.pool;
        assert_ok(mx_workspace_open(&worker->engine.workspace, mx_model_arch(model), &own, &err));
        make_texts(texts[i], engine.vocab);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        for (size_t t = 0; t < TEXTS; t++) {
            assert_memory_equal(alone[t].logits, texts[i][t].logits, (DECODED + 1) * engine.vocab * sizeof(float));
            free(texts[i][t].logits);
        }
        mx_workspace_close(workers[i].engine.workspace);
        mx_pool_close(workers[i].engine.pool);
    }
    for (size_t t = 0; t < TEXTS; t++) free(alone[t].logits);
    close_engine(&engine);
    mx_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(company_changes_nothing),
        cmocka_unit_test(a_beginning_is_stored_once),
        cmocka_unit_test(threads_share_a_model),
    };
    return cmocka_run_group_tests_name("several texts together", tests, NULL, NULL);
}
