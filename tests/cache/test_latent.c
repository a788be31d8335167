/* cache/: attention on a latent that every head reads, against the same in double precision: ranks, groups of scales,
 * modes, levels, odd lengths, hostile data; all tokens, or those that an indexer chooses. What chunks, threads, going
 * back and saving may not change. */
#include "support.h"

#include <unistd.h>

#include "base/random.h"
#include "cache/reference.h"

static struct mx_error err;

struct test_case {
    enum mx_mode mode;
    uint32_t rank, rope, heads, length;
    int recent, sink;
    enum mx_cpu_level cpu;
    uint32_t top; /* tokens that an indexer chooses; 0: none */
};

enum { INDEX_HEADS = 35, INDEX_DIM = 24 }; /* more heads than are scored at once */

/* Three layers: the second attends; the third likewise, to what the second has chosen. */
struct fixture {
    struct model model;
    struct mx_pool *pool;
    struct mx_kv_scratch *scratch;
    struct mx_kv_plan_options options;
    float *q, *k, *v, *out; /* [length][heads][rank + rope], [length][rope], [length][rank], [length][heads][rank] */
    float *index_q, *index_k,
        *weights; /* [length][INDEX_HEADS][INDEX_DIM], [length][INDEX_DIM], [length][INDEX_HEADS] */
};

static float *numbers(size_t count, uint64_t seed, bool hostile, uint32_t dim)
{
    float *x = malloc(count * sizeof *x);
    struct mx_random random = {seed};
    float scale = 10; /* the first token's */
    for (size_t i = 0; i < count; i++) {
        const uint64_t kind = i % dim == 0 && i ? mx_random_u64(&random) % 24 : 9;
        if (i % dim == 0 && i) scale = kind == 1 ? 10.0f : kind == 2 ? 0.0f : kind == 3 ? 1e-5f : 1.0f;
        x[i] = mx_random_normal(&random) * (hostile ? scale * (i % dim % 29 == 3 ? 6.0f : 1.0f) : 0.3f);
    }
    return x;
}

static void open_fixture(struct fixture *f, const struct test_case *c, int threads)
{
    assert_ok(mx_pool_open(&f->pool, threads, &err));
    model_init(&f->model, "deepseek_v3", 3, c->heads, c->heads, 24);
    f->model.layers[0].attention.kind = MX_ATTENTION_NONE;
    f->model.layers[1].attention.kind = MX_ATTENTION_LATENT;
    f->model.layers[1].attention.latent = (struct mx_latent){.kv_rank = c->rank, .nope = 16, .rope = c->rope, .v = 8};
    f->model.layers[2] = f->model.layers[1];
    f->model.layers[2].attention.indexer.top = c->top;
    if (c->top)
        f->model.layers[1].attention.indexer =
            (struct mx_indexer){.heads = INDEX_HEADS, .dim = INDEX_DIM, .top = c->top};
    f->model.arch.attention_scale = 1 / sqrt(c->rank);
    struct mx_kv_options request = mx_kv_options_default();
    request.mode = c->mode;
    request.recent = c->recent;
    request.sink = c->sink;
    request.force = true;
    f->options = (struct mx_kv_plan_options){.context = c->length + 8, .cpu = c->cpu};
    assert_ok(mx_kv_resolve(&f->options.setup, &request, &f->model.arch, &err));
    f->scratch = scratch_of(&f->model.arch, 160, f->pool);
    const size_t n = (c->length + MX_BLOCK) / MX_BLOCK * MX_BLOCK;
    f->q = numbers(n * c->heads * (c->rank + c->rope), 3, false, c->rank + c->rope);
    f->k = numbers(n * c->rope, 1, true, c->rope);
    f->v = numbers(n * c->rank, 2, true, c->rank);
    f->out = calloc(n * c->heads * c->rank, sizeof(float));
    f->index_q = numbers(n * INDEX_HEADS * INDEX_DIM, 4, false, INDEX_DIM);
    f->index_k = numbers(n * INDEX_DIM, 5, false, INDEX_DIM);
    for (size_t i = 0; i < n * INDEX_DIM; i++) /* every other token is worth as much as the one before it */
        if (i / INDEX_DIM % 2) f->index_k[i] = f->index_k[i - INDEX_DIM];
    f->weights = numbers(n * INDEX_HEADS, 6, false, INDEX_HEADS);
}

static void close_fixture(struct fixture *f)
{
    free(f->scratch);
    free(f->q);
    free(f->k);
    free(f->v);
    free(f->out);
    free(f->index_q);
    free(f->index_k);
    free(f->weights);
    mx_pool_close(f->pool);
}

static struct mx_sequence *open_sequence(struct fixture *f)
{
    struct mx_sequence *sequence;
    assert_ok(mx_sequence_open_alone(&sequence, &f->model.arch, &f->options, &err));
    return sequence;
}

static void feed(struct fixture *f, const struct test_case *c, struct mx_sequence *sequence, uint64_t from, uint64_t to)
{
    const struct mx_kv_segment segment = {sequence, (uint32_t)(to - from)};
    const float *q = f->q + from * c->heads * (c->rank + c->rope);
    const size_t count = (to - from) * c->heads * c->rank;
    float *out = f->out + from * c->heads * c->rank, *again = malloc(count * sizeof *again);
    assert_ok(mx_sequence_reserve(sequence, to - from, &err));
    if (c->top)
        mx_kv_choose(f->scratch, 1, &segment, 1, f->index_q + from * INDEX_HEADS * INDEX_DIM,
                     f->weights + from * INDEX_HEADS, f->index_k + from * INDEX_DIM);
    mx_kv_attend(f->scratch, 1, &segment, 1, NULL, q, f->k + from * c->rope, f->v + from * c->rank, out);
    mx_kv_attend(f->scratch, 2, &segment, 1, NULL, q, f->k + from * c->rope, f->v + from * c->rank, again);
    if (c->mode != MX_MODE_TURBO4) assert_memory_equal(out, again, count * sizeof *out); /* signs differ by layer */
    free(again);
    mx_sequence_advance(sequence, to - from);
}

/* Everything but the last 20 tokens in chunks of at most `chunk`, these one by one. */
static void feed_all(struct fixture *f, const struct test_case *c, struct mx_sequence *sequence, uint64_t chunk)
{
    const uint64_t decoded = c->length > 20 ? c->length - 20 : 0;
    for (uint64_t at = mx_sequence_length(sequence), n; at < c->length; at += n) {
        n = at >= decoded ? 1 : decoded - at < chunk ? decoded - at : chunk;
        feed(f, c, sequence, at, at + n);
    }
}

/* What the codes of all blocks stand for: group by group, or rotated as a whole. */
static double *code_all(const struct fixture *f, const struct test_case *c, const struct mx_sequence *sequence)
{
    const struct inside_side side = inside_side(sequence, 1, MX_KV_V);
    const uint32_t rank = c->rank, width = side.repr != MX_REPR_INT8 ? rank
                                           : rank % 64 == 0          ? 64
                                           : rank % 32 == 0          ? 32
                                                                     : rank;
    const size_t blocks = (c->length + MX_BLOCK - 1) / MX_BLOCK;
    double *coded = malloc(blocks * MX_BLOCK * rank * sizeof *coded);
    float *panel = malloc(MX_BLOCK * width * sizeof *panel), *rows = malloc(MX_BLOCK * width * sizeof *rows);
    for (size_t i = 0; i < blocks * MX_BLOCK * rank; i++) coded[i] = clamp_fp16(f->v[i]);
    for (size_t b = 0; side.repr != MX_REPR_FP16 && b < blocks; b++) {
        for (uint32_t from = 0; from < rank; from += width) {
            for (uint32_t t = 0; t < MX_BLOCK; t++) {
                double *x = coded + (b * MX_BLOCK + t) * rank + from;
                if (side.rotation) reference_rotate(x, side.rotation, false);
                for (uint32_t i = 0; i < width; i++) panel[i * MX_BLOCK + t] = (float)x[i];
            }
            reference_codes(side.repr, MX_KV_V, panel, width, 0, rows);
            for (uint32_t t = 0; t < MX_BLOCK; t++) {
                double *x = coded + (b * MX_BLOCK + t) * rank + from;
                for (uint32_t i = 0; i < width; i++) x[i] = rows[t * width + i];
                if (side.rotation) reference_rotate(x, side.rotation, true);
            }
        }
    }
    free(panel);
    free(rows);
    return coded;
}

static bool reads_fp16(const struct mx_kv_setup *setup, uint64_t position, uint64_t t)
{
    return t < setup->sink || position / MX_BLOCK * MX_BLOCK <= t / MX_BLOCK * MX_BLOCK + setup->recent;
}

/* Marks the tokens that the query at a position attends to. */
static void choose_exactly(const struct fixture *f, const struct test_case *c, uint64_t position, bool *chosen)
{
    double *worth = calloc(position + 1, sizeof *worth);
    for (uint64_t t = 0; t <= position; t++) {
        chosen[t] = !c->top || position < c->top;
        for (uint32_t head = 0; head < INDEX_HEADS; head++) {
            double score = 0;
            for (uint32_t i = 0; i < INDEX_DIM; i++)
                score += f->index_q[(position * INDEX_HEADS + head) * INDEX_DIM + i] *
                         clamp_fp16(f->index_k[t * INDEX_DIM + i]);
            worth[t] += f->weights[position * INDEX_HEADS + head] * fmax(score, 0);
        }
    }
    for (uint32_t n = 0; c->top && position >= c->top && n < c->top; n++) {
        uint64_t best = position + 1;
        for (uint64_t t = 0; t <= position; t++)
            if (!chosen[t] && (best > position || worth[t] > worth[best])) best = t;
        chosen[best] = true;
    }
    free(worth);
}

/* One head's attention at a position, and the size of what it sums. */
static double attend_exactly(const struct fixture *f, const struct test_case *c, const double *coded,
                             const bool *chosen, const float *q, uint64_t position, double *out)
{
    const struct mx_kv_setup *setup = &f->options.setup;
    const double scale = f->model.arch.attention_scale;
    double *w = malloc((position + 1) * sizeof *w), largest = -INFINITY, total = 0, size = 0;
    memset(out, 0, c->rank * sizeof *out);
    for (uint64_t t = 0; t <= position; t++) {
        const bool plain = setup->mode == MX_MODE_FP16 || reads_fp16(setup, position, t);
        w[t] = 0;
        for (uint32_t i = 0; i < c->rank; i++)
            w[t] += q[i] * (plain ? clamp_fp16(f->v[t * c->rank + i]) : coded[t * c->rank + i]);
        for (uint32_t i = 0; i < c->rope; i++) w[t] += q[c->rank + i] * clamp_fp16(f->k[t * c->rope + i]);
        w[t] = chosen[t] ? w[t] * scale : -INFINITY;
        largest = fmax(largest, w[t]);
    }
    for (uint64_t t = 0; t <= position; t++) total += w[t] = exp(w[t] - largest);
    for (uint64_t t = 0; t <= position; t++) {
        const bool plain = setup->mode == MX_MODE_FP16 || reads_fp16(setup, position, t);
        double length = 0;
        for (uint32_t i = 0; i < c->rank; i++) {
            const double x = plain ? clamp_fp16(f->v[t * c->rank + i]) : coded[t * c->rank + i];
            out[i] += w[t] / total * x;
            length += x * x;
        }
        size += w[t] / total * sqrt(length);
    }
    free(w);
    return size;
}

static void check(const struct fixture *f, const struct test_case *c, const struct mx_sequence *sequence)
{
    double *coded = code_all(f, c, sequence), exact[MX_KV_MAX_DIM];
    bool *chosen = calloc(c->length, sizeof *chosen);
    const double allowed = c->mode == MX_MODE_FP16 ? 2e-5 : 1e-3;
    for (uint64_t t = 0; t < c->length; t++) {
        if (t >= 3 && t + 3 < c->length && t % 97 != 16) continue;
        choose_exactly(f, c, t, chosen);
        for (uint32_t head = t % 3; head < c->heads; head += 3) {
            const float *q = f->q + (t * c->heads + head) * (c->rank + c->rope);
            const double size = attend_exactly(f, c, coded, chosen, q, t, exact);
            for (uint32_t i = 0; i < c->rank; i++) exact[i] -= f->out[(t * c->heads + head) * c->rank + i];
            const double error = reference_length(exact, c->rank);
            if (!(error <= allowed * size))
                fail_msg("%s, %s, rank %u, rope %u, %u heads, length %u: token %d head %u is off by %g of %g",
                         mx_mode_info(c->mode)->name, mx_cpu_name(c->cpu), c->rank, c->rope, c->heads, c->length,
                         (int)t, head, error, size);
        }
    }
    free(coded);
    free(chosen);
}

static void run_case(const struct test_case *c)
{
    struct fixture f;
    open_fixture(&f, c, 2);
    struct mx_sequence *sequence = open_sequence(&f);
    feed_all(&f, c, sequence, 100);
    check(&f, c, sequence);
    mx_sequence_close(sequence);
    close_fixture(&f);
}

static const enum mx_mode modes[] = {MX_MODE_FP16, MX_MODE_INT8, MX_MODE_TURBO4};
enum { MODES = sizeof modes / sizeof *modes };

static void attention_is_exact(void **state)
{
    static const uint32_t ranks[] = {32, 64, 96, 128, 512, 40}, lengths[] = {1, 17, 130, 300};
    for (int mode = 0; mode < MODES; mode++) {
        for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++) {
            for (int level = 0; level <= (int)mx_cpu_detect(); level++) {
                struct test_case c = {.mode = modes[mode],
                                      .rank = ranks[i],
                                      .rope = i % 2 ? 64 : 8,
                                      .heads = i % 2 ? 5 : 16,
                                      .length = lengths[(i + (size_t)level) % 4],
                                      .cpu = (enum mx_cpu_level)level};
                if (SANITIZED && (i + (size_t)level) % 3) continue;
                if (c.rank == 512 && level == 0) c.length = 40;
                run_case(&c);
                c.recent = 64;
                c.sink = 5;
                c.heads = 3;
                run_case(&c);
                c.top = 21;
                run_case(&c);
            }
        }
        struct test_case c = {
            .mode = modes[mode], .rank = 64, .rope = 16, .heads = 2, .length = 2100, .cpu = mx_cpu_detect()};
        run_case(&c);
        c.top = 1100; /* two ranges of chosen tokens, out of three */
        run_case(&c);
    }
}

static void chunks_and_threads_change_nothing(void **state)
{
    for (int mode = 0; mode < 2 * MODES; mode++) {
        const struct test_case c = {.mode = modes[mode / 2],
                                    .rank = 128,
                                    .rope = 16,
                                    .heads = 8,
                                    .length = 300,
                                    .recent = 16,
                                    .sink = 4,
                                    .cpu = mx_cpu_detect(),
                                    .top = mode % 2 ? 40 : 0};
        const size_t bytes = (size_t)c.length * c.heads * c.rank * sizeof(float);
        float *first = malloc(bytes);
        static const uint64_t chunks[] = {160, 1, 3, 16, 48};
        for (int i = 0; i < 5; i++) {
            struct fixture f;
            open_fixture(&f, &c, 1 + i % 3);
            struct mx_sequence *sequence = open_sequence(&f);
            for (uint64_t at = 0, n; at < c.length; at += n) {
                n = c.length - at < chunks[i] ? c.length - at : chunks[i];
                feed(&f, &c, sequence, at, at + n);
            }
            if (i == 0) memcpy(first, f.out, bytes);
            assert_memory_equal(first, f.out, bytes);
            mx_sequence_close(sequence);
            close_fixture(&f);
        }
        free(first);
    }
}

/* Saved, loaded and gone on with; cut back and fed again; copied: the same bits as without. */
static void sequences_go_on_the_same(void **state)
{
    char path[] = "/tmp/mlxcel-latent-XXXXXX";
    const int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    for (int mode = 0; mode < 2 * MODES; mode++) {
        const struct test_case c = {.mode = modes[mode / 2],
                                    .rank = 128,
                                    .rope = 16,
                                    .heads = 4,
                                    .length = 290,
                                    .recent = 64,
                                    .sink = 4,
                                    .cpu = mx_cpu_detect(),
                                    .top = mode % 2 ? 40 : 0};
        const size_t bytes = (size_t)c.length * c.heads * c.rank * sizeof(float);
        struct fixture f;
        open_fixture(&f, &c, 2);
        struct mx_sequence *sequence = open_sequence(&f), *other = open_sequence(&f);
        float *whole = malloc(bytes);
        int32_t *tokens = calloc(c.length, sizeof *tokens), *loaded;
        feed_all(&f, &c, sequence, 100);
        memcpy(whole, f.out, bytes);
        mx_sequence_clear(sequence);
        feed(&f, &c, sequence, 0, 100);
        feed(&f, &c, sequence, 100, 160);
        assert_ok(mx_sequence_save(sequence, path, 7, tokens, &err));
        assert_ok(mx_sequence_load(other, path, 7, &loaded, &err));
        feed(&f, &c, other, 160, 200);
        feed_all(&f, &c, other, 70);
        assert_memory_equal(whole, f.out, bytes);
        free(loaded);
        assert_ok(mx_sequence_fork(other, sequence, 160, &err));
        feed(&f, &c, other, 160, 200);
        assert_ok(mx_sequence_truncate(other, 165, &err));
        feed(&f, &c, other, 165, 200);
        feed_all(&f, &c, other, 70);
        assert_memory_equal(whole, f.out, bytes);
        assert_int_equal(mx_sequence_bytes(other),
                         mx_kv_own_bytes(&f.model.arch, &f.options.setup, mx_sequence_context(other)) +
                             mx_kv_pages(&f.model.arch, &f.options.setup, c.length) *
                                 mx_kv_page_bytes(&f.model.arch, &f.options.setup));
        free(whole);
        free(tokens);
        mx_sequence_close(sequence);
        mx_sequence_close(other);
        close_fixture(&f);
    }
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(attention_is_exact),
                                       cmocka_unit_test(chunks_and_threads_change_nothing),
                                       cmocka_unit_test(sequences_go_on_the_same)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
