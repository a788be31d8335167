/* cache/: saved caches come back bit for bit, and nothing else is let in. */
#include "support.h"

#include "base/file.h"
#include "base/random.h"
#include "cache/internal.h"
#include "cache/models.h"
#include "evidence/attention_bench.h"

#include <xxhash.h>

static struct mx_error err;
static char path[] = "/tmp/mlxcel-saved-XXXXXX";
enum { TOKENS = 300, FINGERPRINT = 0x1234, HEADS = 4, KV_HEADS = 2, DIM = 64 };

struct fixture {
    struct mx_pool *pool;
    struct model model;
    struct mx_kv_scratch *scratch;
    struct mx_sequence *cache;
};

static struct mx_sequence *open_with(struct fixture *f, const struct mx_kv_options *request, uint64_t context)
{
    struct mx_kv_plan_options options = {.key_bias = &f->model.key_bias, .context = context, .cpu = mx_cpu_detect()};
    struct mx_sequence *cache;
    assert_ok(mx_kv_resolve(&options.setup, request, &f->model.arch, &err));
    assert_ok(mx_sequence_open_alone(&cache, &f->model.arch, &options, &err));
    return cache;
}

static struct mx_sequence *open_cache(struct fixture *f, enum mx_mode mode, int recent, uint64_t context)
{
    struct mx_kv_options request = mx_kv_options_default();
    request.mode = mode;
    request.proof = MX_PROOF_PASSED;
    request.recent = recent;
    return open_with(f, &request, context);
}

/* With `bias` the keys' bias rotates. */
static void open_fixture(struct fixture *f, enum mx_mode mode, bool bias)
{
    assert_ok(mx_pool_open(&f->pool, 1, &err));
    model_init(&f->model, "qwen3_next", 3, HEADS, KV_HEADS, DIM);
    f->model.layers[1].attention.kind = MX_ATTENTION_SLIDING;
    f->model.layers[1].attention.window = 100;
    if (bias) model_bias(&f->model, DIM, false, 10);
    f->scratch = scratch_of(&f->model.arch, 128, f->pool);
    f->cache = open_cache(f, mode, -1, 512);
}

/* Feeds n tokens that follow from their position; returns the last layer's last output. */
static void feed(const struct fixture *f, struct mx_sequence *cache, uint32_t n, float last[HEADS * DIM])
{
    float *q = malloc(n * HEADS * DIM * sizeof(float)), *k = malloc(n * KV_HEADS * DIM * sizeof(float));
    float *out = malloc(n * HEADS * DIM * sizeof(float));
    struct mx_random random = {mx_sequence_length(cache)};
    for (size_t i = 0; i < n * HEADS * DIM; i++) q[i] = mx_random_normal(&random);
    for (size_t i = 0; i < n * KV_HEADS * DIM; i++) k[i] = mx_random_normal(&random);
    assert_ok(mx_sequence_reserve(cache, n, &err));
    for (uint32_t layer = 0; layer < 3; layer++) attend(f->scratch, cache, layer, q, k, k, out, n);
    mx_sequence_advance(cache, n);
    memcpy(last, out + (n - 1) * HEADS * DIM, HEADS * DIM * sizeof(float));
    free(q);
    free(k);
    free(out);
}

static int32_t *make_tokens(void)
{
    int32_t *tokens = malloc(TOKENS * sizeof *tokens);
    for (int32_t i = 0; i < TOKENS; i++) tokens[i] = i * 7;
    return tokens;
}

static void fill_and_save(struct fixture *f)
{
    float last[HEADS * DIM];
    for (int i = 0; i < TOKENS / 100; i++) feed(f, f->cache, 100, last);
    int32_t *tokens = make_tokens();
    assert_ok(mx_sequence_save(f->cache, path, FINGERPRINT, tokens, &err));
    free(tokens);
}

static void close_fixture(struct fixture *f)
{
    free(f->scratch);
    mx_sequence_close(f->cache);
    mx_pool_close(f->pool);
    unlink(path);
}

static void round_trip(void **state)
{
    for (int i = 0; i < 2 * MX_MODE_COUNT; i++) {
        const int mode = i / 2;
        struct fixture f;
        open_fixture(&f, (enum mx_mode)mode, i % 2);
        fill_and_save(&f);
        struct mx_sequence *loaded = open_cache(&f, (enum mx_mode)mode, -1, 2048); /* a larger one will do */
        int32_t *tokens;
        assert_ok(mx_sequence_load(loaded, path, FINGERPRINT, &tokens, &err));
        assert_int_equal(mx_sequence_length(loaded), TOKENS);
        int32_t *expected = make_tokens();
        assert_memory_equal(tokens, expected, TOKENS * sizeof *tokens);
        float a[HEADS * DIM], b[HEADS * DIM];
        for (int token = 0; token < 40; token++) {
            feed(&f, f.cache, 1, a);
            feed(&f, loaded, 1, b);
            assert_memory_equal(a, b, sizeof a);
        }
        free(tokens);
        free(expected);
        mx_sequence_close(loaded);
        close_fixture(&f);
    }
}

static void foreign_files_are_refused(void **state)
{
    struct fixture f;
    open_fixture(&f, MX_MODE_INT8_TURBO4, false);
    fill_and_save(&f);
    int32_t *tokens;
    assert_fails(mx_sequence_load(f.cache, path, 99, &tokens, &err), MX_ERR_FORMAT, "another model");
    assert_null(tokens);
    assert_int_equal(mx_sequence_length(f.cache), 0);
    struct mx_sequence *other = open_cache(&f, MX_MODE_INT8, -1, 512);
    assert_fails(mx_sequence_load(other, path, FINGERPRINT, &tokens, &err), MX_ERR_ARGUMENT,
                 "was saved in mode int8+turbo4");
    mx_sequence_close(other);
    other = open_cache(&f, MX_MODE_INT8_TURBO4, 128, 512);
    assert_fails(mx_sequence_load(other, path, FINGERPRINT, &tokens, &err), MX_ERR_ARGUMENT, "a recent window of 64");
    mx_sequence_close(other);
    other = open_cache(&f, MX_MODE_INT8_TURBO4, -1, 256);
    assert_fails(mx_sequence_load(other, path, FINGERPRINT, &tokens, &err), MX_ERR_LIMIT, "holds 300 tokens");
    mx_sequence_close(other);
    struct mx_kv_options signs = mx_kv_options_default();
    signs.mode = MX_MODE_INT8_TURBO4;
    signs.sign_seed = 7;
    other = open_with(&f, &signs, 512);
    assert_fails(mx_sequence_load(other, path, FINGERPRINT, &tokens, &err), MX_ERR_FORMAT, "other layer shapes");
    mx_sequence_close(other);
    f.model.layers[1].attention.window = 90;
    other = open_cache(&f, MX_MODE_INT8_TURBO4, -1, 512);
    assert_fails(mx_sequence_load(other, path, FINGERPRINT, &tokens, &err), MX_ERR_FORMAT, "other layer shapes");
    mx_sequence_close(other);
    f.model.layers[1].attention.window = 100;
    model_bias(&f.model, DIM, false, 10);
    other = open_cache(&f, MX_MODE_INT8_TURBO4, -1, 512);
    assert_fails(mx_sequence_load(other, path, FINGERPRINT, &tokens, &err), MX_ERR_FORMAT, "other layer shapes");
    mx_sequence_close(other);
    assert_fails(mx_sequence_load(f.cache, "/tmp/absent.tmp", FINGERPRINT, &tokens, &err), MX_ERR_IO, "absent.tmp");
    close_fixture(&f);
}

static void damaged_files_are_refused(void **state)
{
    struct fixture f;
    open_fixture(&f, MX_MODE_TURBO4, true);
    fill_and_save(&f);
    char *bytes;
    size_t length;
    int32_t *tokens;
    assert_ok(mx_file_read(path, 1 << 30, &bytes, &length, &err));
    struct mx_random random = {5};
    for (int i = 0; i < 60; i++) { /* one flipped bit anywhere, the header more often */
        const size_t at = mx_random_u64(&random) % (i % 3 ? length : 88);
        bytes[at] ^= (char)(1 << i % 8);
        assert_ok(mx_file_write(path, bytes, length, &err));
        assert_int_not_equal(mx_sequence_load(f.cache, path, FINGERPRINT, &tokens, &err), MX_OK);
        assert_null(tokens);
        assert_int_equal(mx_sequence_length(f.cache), 0);
        bytes[at] ^= (char)(1 << i % 8);
    }
    for (int i = 0; i < 20; i++) {
        assert_ok(mx_file_write(path, bytes, i == 0 ? 0 : mx_random_u64(&random) % length, &err));
        assert_int_equal(mx_sequence_load(f.cache, path, FINGERPRINT, &tokens, &err), MX_ERR_FORMAT);
    }
    for (int32_t step = -1; step <= 1; step++) { /* whole, but of another version of the format */
        uint32_t version, other;
        memcpy(&version, bytes + 8, sizeof version);
        other = version + (uint32_t)step;
        memcpy(bytes + 8, &other, sizeof other);
        memset(bytes + 16, 0, sizeof(uint64_t));
        const uint64_t checksum = XXH3_64bits(bytes, length);
        memcpy(bytes + 16, &checksum, sizeof checksum);
        assert_ok(mx_file_write(path, bytes, length, &err));
        if (step == 0) {
            assert_ok(mx_sequence_load(f.cache, path, FINGERPRINT, &tokens, &err));
            free(tokens);
        } else {
            assert_fails(mx_sequence_load(f.cache, path, FINGERPRINT, &tokens, &err), MX_ERR_FORMAT, "format version");
        }
        memcpy(bytes + 8, &version, sizeof version);
    }
    free(bytes);
    close_fixture(&f);
}

/* The benchmark's pass over noise gives finite numbers and reads what it says. */
static void bench_runs(void **state)
{
    struct mx_pool *pool;
    assert_ok(mx_pool_open(&pool, 2, &err));
    for (int mode = 0; mode < MX_MODE_COUNT; mode++) {
        struct mx_attention_shape shape = {.kv = mx_kv_options_default(),
                                           .dim = 80,
                                           .kv_heads = 2,
                                           .group = 3,
                                           .layers = 2,
                                           .length = mode == MX_MODE_FP16 ? 1024 : 1000, /* full pages */
                                           .queries = 1,
                                           .bias_pairs = mode % 2 ? 5 : 0,
                                           .cpu = mx_cpu_detect()};
        shape.kv.mode = (enum mx_mode)mode;
        uint64_t bytes;
        assert_ok(mx_attention_bench_size(&shape, &bytes, &err));
        struct mx_attention_bench *bench;
        assert_ok(mx_attention_bench_open(&bench, &shape, pool, &err));
        assert_true(mx_attention_bench_run(bench) > 0);
        assert_true(mx_attention_bench_read_bytes(bench) > 0);
        assert_true(mx_attention_bench_read_bytes(bench) <= mx_attention_bench_bytes(bench));
        assert_int_equal(mx_attention_bench_bytes(bench), bytes);
        mx_attention_bench_close(bench);
    }
    mx_pool_close(pool);
}

int main(void)
{
    const int file = mkstemp(path);
    if (file < 0) return 1;
    close(file);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(foreign_files_are_refused),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(bench_runs),
    };
    return cmocka_run_group_tests_name("saved caches", tests, NULL, NULL);
}
