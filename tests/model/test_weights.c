/* Every form in which a checkpoint may hold a matrix gives the blocks the same one: fused in blocks of rows,
 * alternating, transposed, stacked flat. A tiny model is written in each form, under names made up here, and read back.
 */
#include "model/copies.h"

#include "config/names.h"
#include "model/weights.h"

enum { HIDDEN = 8, WIDTH = 6, HEADS = 4, KV_HEADS = 2, DIM = 2, EXPERTS = 3, VOCAB = 5, MOST = 4096 };

/* The number at (row, col) of the matrix of a role and expert: different everywhere, exact in f32. */
static float number(enum mx_role role, uint32_t expert, size_t row, size_t col)
{
    return (float)(((size_t)role * 8 + expert) * 4096 + row * 64 + col);
}

/* One tensor being written, in the order of its elements. */
struct values {
    float data[MOST];
    size_t count;
};

static void put_row(struct values *values, enum mx_role role, uint32_t expert, size_t row, size_t cols)
{
    for (size_t col = 0; col < cols; col++) values->data[values->count++] = number(role, expert, row, col);
}

static void write_tensor(struct copy *copy, const char *name, const struct values *values, size_t a, size_t b, size_t c)
{
    const size_t shape[] = {a, b, c};
    const int rank = c ? 3 : b ? 2 : 1;
    assert_int_equal(a * (b ? b : 1) * (c ? c : 1), values->count);
    copy_tensor(copy, name, "F32", rank, shape, values->data, values->count * sizeof(float));
}

static void write_plain(struct copy *copy, const char *name, enum mx_role role, size_t rows, size_t cols)
{
    struct values values = {.count = 0};
    for (size_t row = 0; row < rows; row++) put_row(&values, role, 0, row, cols);
    write_tensor(copy, name, &values, rows, cols, 0);
}

static void write_norm(struct copy *copy, const char *name)
{
    struct values values = {.count = HIDDEN};
    for (size_t i = 0; i < HIDDEN; i++) values.data[i] = 1;
    write_tensor(copy, name, &values, HIDDEN, 0, 0);
}

/* [cols, rows] */
static void write_transposed(struct copy *copy, const char *name, enum mx_role role, size_t rows, size_t cols)
{
    struct values values = {.count = 0};
    for (size_t col = 0; col < cols; col++)
        for (size_t row = 0; row < rows; row++) values.data[values.count++] = number(role, 0, row, col);
    write_tensor(copy, name, &values, cols, rows, 0);
}

/* q, k and v: `blocks` times (q, k, v rows). */
static void write_qkv(struct copy *copy, const char *name, size_t blocks)
{
    static const enum mx_role roles[] = {MX_ROLE_Q, MX_ROLE_K, MX_ROLE_V};
    const size_t rows[] = {HEADS * DIM / blocks, KV_HEADS * DIM / blocks, KV_HEADS * DIM / blocks};
    struct values values = {.count = 0};
    for (size_t b = 0; b < blocks; b++)
        for (int part = 0; part < 3; part++)
            for (size_t i = 0; i < rows[part]; i++) put_row(&values, roles[part], 0, b * rows[part] + i, HIDDEN);
    write_tensor(copy, name, &values, (HEADS + 2 * KV_HEADS) * DIM, HIDDEN, 0);
}

/* Biases as the rows of that tensor stand: number(role, 7, row, 0). */
static void write_qkv_bias(struct copy *copy, const char *name, size_t blocks)
{
    static const enum mx_role roles[] = {MX_ROLE_Q, MX_ROLE_K, MX_ROLE_V};
    const size_t rows[] = {HEADS * DIM / blocks, KV_HEADS * DIM / blocks, KV_HEADS * DIM / blocks};
    struct values values = {.count = 0};
    for (size_t b = 0; b < blocks; b++)
        for (int part = 0; part < 3; part++)
            for (size_t i = 0; i < rows[part]; i++) put_row(&values, roles[part], 7, b * rows[part] + i, 1);
    write_tensor(copy, name, &values, (HEADS + 2 * KV_HEADS) * DIM, 0, 0);
}

/* Gate and up of all experts, row by row in turn, each expert transposed: [experts, hidden, 2 * width]. */
static void write_alternating_experts(struct copy *copy, const char *name)
{
    struct values values = {.count = 0};
    for (uint32_t e = 0; e < EXPERTS; e++)
        for (size_t col = 0; col < HIDDEN; col++)
            for (size_t row = 0; row < WIDTH; row++) {
                values.data[values.count++] = number(MX_ROLE_EXPERT_GATE, e, row, col);
                values.data[values.count++] = number(MX_ROLE_EXPERT_UP, e, row, col);
            }
    write_tensor(copy, name, &values, EXPERTS, HIDDEN, 2 * WIDTH);
}

/* Down of all experts as one matrix, each transposed: [experts * width, hidden]. */
static void write_flat_down(struct copy *copy, const char *name)
{
    struct values values = {.count = 0};
    for (uint32_t e = 0; e < EXPERTS; e++)
        for (size_t col = 0; col < WIDTH; col++)
            for (size_t row = 0; row < HIDDEN; row++)
                values.data[values.count++] = number(MX_ROLE_EXPERT_DOWN, e, row, col);
    write_tensor(copy, name, &values, EXPERTS * WIDTH, HIDDEN, 0);
}

static void assert_matrix(const struct mx_linear *linear, enum mx_role role, uint32_t expert, size_t rows, size_t cols)
{
    float row_of[64];
    assert_int_equal(linear->matrix.rows, rows);
    assert_int_equal(linear->matrix.cols, cols);
    for (size_t row = 0; row < rows; row++) {
        mx_matrix_row(&linear->matrix, row, row_of);
        for (size_t col = 0; col < cols; col++)
            if (row_of[col] != number(role, expert, row, col))
                fail_msg("%s, expert %u: element (%zu, %zu) is %g", mx_role_name(role), expert, row, col,
                         (double)row_of[col]);
    }
}

static void assert_bias(const struct mx_linear *linear, enum mx_role role)
{
    assert_non_null(linear->bias);
    for (size_t row = 0; row < linear->matrix.rows; row++) assert_true(linear->bias[row] == number(role, 7, row, 0));
}

/* A model of one layer with these names. */
static struct mx_arch small_arch(struct mx_layer *layer, const struct mx_names *names)
{
    *layer = (struct mx_layer){.attention = {.kind = MX_ATTENTION_FULL,
                                             .heads = HEADS,
                                             .kv_heads = KV_HEADS,
                                             .k_dim = DIM,
                                             .v_dim = DIM,
                                             .cache_copies = 1,
                                             .shares_cache_of = -1},
                               .feed_forward = {.kind = MX_FEED_FORWARD_DENSE, .width = WIDTH}};
    return (struct mx_arch){.hidden = HIDDEN,
                            .vocab = VOCAB,
                            .layer_count = 1,
                            .layers = layer,
                            .gated = true,
                            .tied = true,
                            .names = names};
}

static void begin(struct copy *copy)
{
    copy_start(copy);
    write_plain(copy, "model.embed_tokens.weight", MX_ROLE_EMBEDDING, VOCAB, HIDDEN);
    write_norm(copy, "model.norm.weight");
    write_norm(copy, "model.layers.0.input_layernorm.weight");
    write_norm(copy, "model.layers.0.post_attention_layernorm.weight");
}

static void write_attention(struct copy *copy)
{
    write_plain(copy, "model.layers.0.self_attn.q_proj.weight", MX_ROLE_Q, HEADS * DIM, HIDDEN);
    write_plain(copy, "model.layers.0.self_attn.k_proj.weight", MX_ROLE_K, KV_HEADS * DIM, HIDDEN);
    write_plain(copy, "model.layers.0.self_attn.v_proj.weight", MX_ROLE_V, KV_HEADS * DIM, HIDDEN);
    write_plain(copy, "model.layers.0.self_attn.o_proj.weight", MX_ROLE_O, HIDDEN, HEADS * DIM);
}

static void write_dense(struct copy *copy)
{
    write_plain(copy, "model.layers.0.mlp.gate_proj.weight", MX_ROLE_GATE, WIDTH, HIDDEN);
    write_plain(copy, "model.layers.0.mlp.up_proj.weight", MX_ROLE_UP, WIDTH, HIDDEN);
    write_plain(copy, "model.layers.0.mlp.down_proj.weight", MX_ROLE_DOWN, HIDDEN, WIDTH);
}

/* Reads what was written, and lets `check` look at it. */
static void read_back_with(struct copy *copy, const struct mx_arch *arch, const char *config,
                           void (*check)(const struct mx_weights *weights))
{
    struct mx_error err;
    struct mx_weights weights;
    struct mx_arena arena = {0};
    copy_finish(copy, config);
    struct mx_checkpoint *checkpoint = open_checkpoint(copy->folder);
    assert_ok(mx_weights_resolve(&weights, &arena, arch, checkpoint, NULL, &err));
    check(&weights);
    mx_checkpoint_close(checkpoint);
    mx_arena_free(&arena);
    copy_remove(copy);
}

static void read_back(struct copy *copy, const struct mx_arch *arch, void (*check)(const struct mx_weights *weights))
{
    read_back_with(copy, arch, "{}", check);
}

static void check_attention(const struct mx_weights *weights)
{
    const struct mx_attention_weights *attention = &weights->layers[0].attention;
    assert_matrix(&attention->q, MX_ROLE_Q, 0, HEADS * DIM, HIDDEN);
    assert_matrix(&attention->k, MX_ROLE_K, 0, KV_HEADS * DIM, HIDDEN);
    assert_matrix(&attention->v, MX_ROLE_V, 0, KV_HEADS * DIM, HIDDEN);
    assert_matrix(&attention->o, MX_ROLE_O, 0, HIDDEN, HEADS * DIM);
    assert_bias(&attention->q, MX_ROLE_Q);
    assert_bias(&attention->k, MX_ROLE_K);
    assert_bias(&attention->v, MX_ROLE_V);
}

static void test_fused(void **state)
{
    (void)state;
    static const struct {
        enum mx_blocks blocks;
        size_t count;
    } cases[] = {{MX_BLOCKS_ONE, 1}, {MX_BLOCKS_KV_HEADS, KV_HEADS}, {MX_BLOCKS_FOUR, 4}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct mx_names names = {
            .base = &mx_names_llama,
            .of = {[MX_ROLE_Q] = "", [MX_ROLE_K] = "", [MX_ROLE_V] = ""},
            .fused = {{"self_attn.qkv", cases[i].blocks, 3, {MX_ROLE_Q, MX_ROLE_K, MX_ROLE_V}}},
        };
        struct mx_layer layer;
        struct mx_arch arch = small_arch(&layer, &names);
        struct copy copy;
        arch.qkv_bias = true;
        begin(&copy);
        write_qkv(&copy, "model.layers.0.self_attn.qkv.weight", cases[i].count);
        write_qkv_bias(&copy, "model.layers.0.self_attn.qkv.bias", cases[i].count);
        write_plain(&copy, "model.layers.0.self_attn.o_proj.weight", MX_ROLE_O, HIDDEN, HEADS * DIM);
        write_dense(&copy);
        read_back(&copy, &arch, check_attention);
    }
}

static void check_dense(const struct mx_weights *weights)
{
    const struct mx_feed_forward_weights *dense = &weights->layers[0].dense;
    assert_matrix(&dense->gate, MX_ROLE_GATE, 0, WIDTH, HIDDEN);
    assert_matrix(&dense->up, MX_ROLE_UP, 0, WIDTH, HIDDEN);
    assert_matrix(&dense->down, MX_ROLE_DOWN, 0, HIDDEN, WIDTH);
}

static void check_dense_converted(const struct mx_weights *weights)
{
    check_dense(weights);
    assert_int_equal(weights->converted_bytes, 3 * WIDTH * HIDDEN * sizeof(float));
}

static void check_dense_in_place(const struct mx_weights *weights)
{
    check_dense(weights);
    assert_int_equal(weights->converted_bytes, 0);
}

/* Hugging Face's body holds [in, out], MLX's body the same matrices as they are multiplied. */
static void test_transposed(void **state)
{
    (void)state;
    static const struct mx_names names = {
        .base = &mx_names_llama,
        .body = "model.",
        .mlx_body = "language.",
        .of = {[MX_ROLE_GATE] = "mlp.gate_proj^T", [MX_ROLE_UP] = "mlp.up_proj^T", [MX_ROLE_DOWN] = "mlp.down_proj^T"},
    };
    struct mx_layer layer;
    const struct mx_arch arch = small_arch(&layer, &names);
    struct copy copy;
    begin(&copy);
    write_attention(&copy);
    write_transposed(&copy, "model.layers.0.mlp.gate_proj.weight", MX_ROLE_GATE, WIDTH, HIDDEN);
    write_transposed(&copy, "model.layers.0.mlp.up_proj.weight", MX_ROLE_UP, WIDTH, HIDDEN);
    write_transposed(&copy, "model.layers.0.mlp.down_proj.weight", MX_ROLE_DOWN, HIDDEN, WIDTH);
    read_back(&copy, &arch, check_dense_converted);

    struct mx_names other = names;
    other.body = "transformer.";
    other.mlx_body = "model.";
    struct mx_arch mlx = arch;
    mlx.names = &other;
    begin(&copy);
    write_attention(&copy);
    write_dense(&copy);
    read_back(&copy, &mlx, check_dense_in_place);
}

static void check_experts(const struct mx_weights *weights)
{
    const struct mx_experts_weights *own = &weights->layers[0].experts;
    assert_matrix(&own->router, MX_ROLE_ROUTER, 0, EXPERTS, HIDDEN);
    for (uint32_t e = 0; e < EXPERTS; e++) {
        assert_matrix(&own->experts[e].gate, MX_ROLE_EXPERT_GATE, e, WIDTH, HIDDEN);
        assert_matrix(&own->experts[e].up, MX_ROLE_EXPERT_UP, e, WIDTH, HIDDEN);
        assert_matrix(&own->experts[e].down, MX_ROLE_EXPERT_DOWN, e, HIDDEN, WIDTH);
    }
}

static void test_experts(void **state)
{
    (void)state;
    static const struct mx_names names = {
        .base = &mx_names_llama,
        .of = {[MX_ROLE_EXPERT_GATE] = "", [MX_ROLE_EXPERT_UP] = "", [MX_ROLE_EXPERT_DOWN] = "mlp.experts.down^FT"},
        .fused = {{"mlp.experts.both^T", MX_BLOCKS_ROWS, 2, {MX_ROLE_EXPERT_GATE, MX_ROLE_EXPERT_UP}}},
    };
    struct mx_layer layer;
    struct mx_arch arch = small_arch(&layer, &names);
    struct copy copy;
    layer.feed_forward.kind = MX_FEED_FORWARD_EXPERTS;
    arch.experts = (struct mx_experts){.count = EXPERTS, .used = 1, .scale = 1};
    begin(&copy);
    write_attention(&copy);
    write_plain(&copy, "model.layers.0.mlp.gate.weight", MX_ROLE_ROUTER, EXPERTS, HIDDEN);
    write_alternating_experts(&copy, "model.layers.0.mlp.experts.both");
    write_flat_down(&copy, "model.layers.0.mlp.experts.down");
    read_back(&copy, &arch, check_experts);
}

/* What a latent is multiplied by: one matrix of all heads (Hugging Face), or two stacks of them (MLX). */
enum { RANK = 6, NOPE = 3, ROPE = 2, V_DIM = 2 };

static void check_latent(const struct mx_weights *weights)
{
    const struct mx_latent_weights *latent = &weights->layers[0].attention.latent;
    for (uint32_t head = 0; head < HEADS; head++) {
        float row_of[RANK];
        const size_t at = head * (NOPE + V_DIM);
        assert_int_equal(latent->k_up[head].rows, RANK);
        assert_int_equal(latent->k_up[head].cols, NOPE);
        for (size_t row = 0; row < RANK; row++) {
            mx_matrix_row(&latent->k_up[head], row, row_of);
            for (size_t col = 0; col < NOPE; col++) assert_true(row_of[col] == number(MX_ROLE_KV_B, 0, at + col, row));
        }
        assert_int_equal(latent->v_up[head].rows, V_DIM);
        assert_int_equal(latent->v_up[head].cols, RANK);
        for (size_t row = 0; row < V_DIM; row++) {
            mx_matrix_row(&latent->v_up[head], row, row_of);
            for (size_t col = 0; col < RANK; col++)
                assert_true(row_of[col] == number(MX_ROLE_KV_B, 0, at + NOPE + row, col));
        }
    }
}

static void write_latent(struct copy *copy, size_t rank)
{
    struct values norm = {.count = rank};
    for (size_t i = 0; i < rank; i++) norm.data[i] = 1;
    write_plain(copy, "model.layers.0.self_attn.q_proj.weight", MX_ROLE_Q, HEADS * (NOPE + ROPE), HIDDEN);
    write_plain(copy, "model.layers.0.self_attn.kv_a_proj_with_mqa.weight", MX_ROLE_KV_A, rank + ROPE, HIDDEN);
    write_tensor(copy, "model.layers.0.self_attn.kv_a_layernorm.weight", &norm, rank, 0, 0);
    write_plain(copy, "model.layers.0.self_attn.o_proj.weight", MX_ROLE_O, HIDDEN, HEADS * V_DIM);
    write_dense(copy);
}

static struct mx_arch latent_arch(struct mx_layer *layer, uint32_t rank)
{
    const struct mx_arch arch = small_arch(layer, &mx_names_deepseek);
    layer->attention.kind = MX_ATTENTION_LATENT;
    layer->attention.kv_heads = HEADS;
    layer->attention.k_dim = NOPE + ROPE;
    layer->attention.v_dim = V_DIM;
    layer->attention.latent = (struct mx_latent){.kv_rank = rank, .nope = NOPE, .rope = ROPE, .v = V_DIM};
    return arch;
}

static void test_latent(void **state)
{
    (void)state;
    struct mx_layer layer;
    struct mx_arch arch = latent_arch(&layer, RANK);
    struct copy copy;
    begin(&copy);
    write_latent(&copy, RANK);
    write_plain(&copy, "model.layers.0.self_attn.kv_b_proj.weight", MX_ROLE_KV_B, HEADS * (NOPE + V_DIM), RANK);
    read_back(&copy, &arch, check_latent);

    struct values keys = {.count = 0}, values = {.count = 0};
    for (size_t head = 0; head < HEADS; head++) {
        const size_t at = head * (NOPE + V_DIM);
        for (size_t row = 0; row < RANK; row++)
            for (size_t col = 0; col < NOPE; col++) keys.data[keys.count++] = number(MX_ROLE_KV_B, 0, at + col, row);
        for (size_t row = 0; row < V_DIM; row++) put_row(&values, MX_ROLE_KV_B, 0, at + NOPE + row, RANK);
    }
    begin(&copy);
    write_latent(&copy, RANK);
    write_tensor(&copy, "model.layers.0.self_attn.embed_q.weight", &keys, HEADS, RANK, NOPE);
    write_tensor(&copy, "model.layers.0.self_attn.unembed_out.weight", &values, HEADS, V_DIM, RANK);
    read_back(&copy, &arch, check_latent);
}

/* The same of quantized weights: the keys' half is what its numbers stand for, the values' half stays as it is. */
enum { WIDE = 32 }; /* a latent of one group */

static struct mx_matrix quantized; /* [HEADS * (NOPE + V_DIM), WIDE], as written */

static void check_quantized_latent(const struct mx_weights *weights)
{
    const struct mx_latent_weights *latent = &weights->layers[0].attention.latent;
    for (uint32_t head = 0; head < HEADS; head++) {
        const size_t at = head * (NOPE + V_DIM);
        float found[WIDE], wanted[WIDE];
        assert_int_equal(latent->v_up[head].bits, 4);
        for (size_t row = 0; row < V_DIM; row++) {
            mx_matrix_row(&latent->v_up[head], row, found);
            mx_matrix_row(&quantized, at + NOPE + row, wanted);
            assert_memory_equal(found, wanted, sizeof wanted);
        }
        for (size_t col = 0; col < NOPE; col++) {
            mx_matrix_row(&quantized, at + col, wanted);
            for (size_t row = 0; row < WIDE; row++) {
                mx_matrix_row(&latent->k_up[head], row, found);
                assert_true(found[col] == wanted[row]);
            }
        }
    }
}

static void test_quantized_latent(void **state)
{
    (void)state;
    enum { ROWS = HEADS * (NOPE + V_DIM), WORDS = WIDE * 4 / 32 };
    static uint32_t codes[ROWS * WORDS];
    static float scales[ROWS], biases[ROWS];
    for (size_t i = 0; i < ROWS * WORDS; i++) codes[i] = (uint32_t)(i * 2654435761u);
    for (size_t i = 0; i < ROWS; i++) {
        scales[i] = 0.25f * (float)(i % 5 + 1);
        biases[i] = -(float)(i % 3);
    }
    quantized = (struct mx_matrix){.data = (const uint8_t *)codes,
                                   .scales = (const uint8_t *)scales,
                                   .biases = (const uint8_t *)biases,
                                   .rows = ROWS,
                                   .cols = WIDE,
                                   .dtype = MX_F32,
                                   .bits = 4,
                                   .group = 32};
    struct mx_layer layer;
    struct mx_arch arch = latent_arch(&layer, WIDE);
    struct copy copy;
    begin(&copy);
    write_latent(&copy, WIDE);
    const size_t words[] = {ROWS, WORDS}, groups[] = {ROWS, 1};
    copy_tensor(&copy, "model.layers.0.self_attn.kv_b_proj.weight", "U32", 2, words, codes, sizeof codes);
    copy_tensor(&copy, "model.layers.0.self_attn.kv_b_proj.scales", "F32", 2, groups, scales, sizeof scales);
    copy_tensor(&copy, "model.layers.0.self_attn.kv_b_proj.biases", "F32", 2, groups, biases, sizeof biases);
    read_back_with(&copy, &arch, "{\"quantization\":{\"group_size\":32,\"bits\":4}}", check_quantized_latent);
}

/* A fusion whose parts don't divide into its blocks is no place to look. */
static void test_uneven(void **state)
{
    (void)state;
    static const struct mx_names names = {
        .base = &mx_names_llama,
        .of = {[MX_ROLE_GATE] = "", [MX_ROLE_UP] = ""},
        .fused = {{"mlp.both", MX_BLOCKS_FOUR, 2, {MX_ROLE_GATE, MX_ROLE_UP}}},
    };
    struct mx_layer layer;
    const struct mx_arch arch = small_arch(&layer, &names); /* 6 rows in 4 blocks */
    const struct mx_name_world world = {.body = "model."};
    const struct mx_tensor_spec spec = {.role = MX_ROLE_UP, .rows = WIDTH, .cols = HIDDEN};
    struct mx_tensor_source source;
    assert_false(mx_tensor_source(&arch, &world, &spec, 0, &source));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fused),  cmocka_unit_test(test_transposed),       cmocka_unit_test(test_experts),
        cmocka_unit_test(test_latent), cmocka_unit_test(test_quantized_latent), cmocka_unit_test(test_uneven)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
