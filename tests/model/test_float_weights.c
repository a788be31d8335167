/* Weights in floats of 4 and 8 bits: a model with them gives the logits of one whose weights are what they decode to,
 * at every level, whatever the file's form. */
#include "copies.h"

#include "base/floats.h"
#include "base/minifloat.h"
#include "base/random.h"
#include "checkpoint/float_modes.h"
#include "checkpoint/quantize.h"

#define DATA "tests/data/families/"

static struct mx_error err;

/* ---- comparing ---- */

/* Plain C decodes and then does the same; vector levels add up in f32 and, in E2M1, take the input as 16-bit integers.
 */
static void assert_same_model(const char *what, const char *coded, const char *plain)
{
    int32_t ids[40];
    for (int i = 0; i < 40; i++) ids[i] = (i * 37 + 5) % 128;
    for (int cpu = MX_CPU_SCALAR; cpu <= (int)mx_cpu_detect(); cpu++) {
        for (uint32_t chunk = 1; chunk <= 40; chunk += 39) {
            struct mx_session *one = session_of(coded, (enum mx_cpu_level)cpu, 1, 64, chunk);
            struct mx_session *two = session_of(plain, (enum mx_cpu_level)cpu, 1, 64, chunk);
            const size_t count = 40 * (size_t)mx_session_arch(one)->vocab;
            float *a = logits_of(one, ids, 40), *b = logits_of(two, ids, 40);
            const double off = distance(a, b, count);
            if (!(off <= (cpu == MX_CPU_SCALAR ? 0 : 5e-4)))
                fail_msg("%s, %s, chunks of %u: off by %g", what, mx_cpu_name((enum mx_cpu_level)cpu), chunk, off);
            free(a);
            free(b);
            mx_session_close(one);
            mx_session_close(two);
        }
    }
}

static void remove_tree(const char *folder)
{
    char command[160];
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

/* ---- MLX's modes ---- */

/* A copy of an MLX checkpoint whose quantized matrices are decoded. */
static void decode_mlx(struct copy *copy, const char *directory, const char *config)
{
    struct mx_checkpoint *checkpoint = open_checkpoint(directory);
    for (size_t i = 0; i < mx_checkpoint_tensor_count(checkpoint); i++) {
        const struct mx_tensor *tensor = mx_checkpoint_tensor(checkpoint, i);
        char name[512];
        snprintf(name, sizeof name, "%s", tensor->name);
        if (mx_ends_with(name, ".scales") || mx_ends_with(name, ".biases")) continue;
        if (tensor->storage != MX_STORAGE_U32) {
            copy_tensor(copy, name, mx_storage_name(tensor->storage), tensor->rank, tensor->shape, tensor->data,
                        tensor->bytes);
            continue;
        }
        name[strlen(name) - strlen(".weight")] = '\0';
        const size_t experts = tensor->rank == 3 ? tensor->shape[0] : 1, rows = tensor->shape[tensor->rank - 2];
        const size_t words = tensor->shape[tensor->rank - 1];
        const int bits = mx_quantization_of(mx_checkpoint_quantization(checkpoint), name).bits;
        const size_t cols = words * 32 / (size_t)bits, shape[] = {experts, rows, cols};
        float *decoded = malloc(experts * rows * cols * sizeof *decoded);
        for (size_t e = 0; e < experts; e++) {
            struct mx_matrix matrix;
            if (tensor->rank == 3)
                assert_ok(mx_checkpoint_expert(checkpoint, name, experts, e, rows, cols, &matrix, &err));
            else
                assert_ok(mx_checkpoint_matrix(checkpoint, name, rows, cols, &matrix, &err));
            for (size_t r = 0; r < rows; r++) mx_matrix_row(&matrix, r, decoded + (e * rows + r) * cols);
        }
        copy_tensor(copy, tensor->name, "F32", tensor->rank, tensor->rank == 3 ? shape : shape + 1, decoded,
                    experts * rows * cols * sizeof *decoded);
        free(decoded);
    }
    mx_checkpoint_close(checkpoint);
    copy_finish(copy, config);
}

/* `quantize` writes each mode, and the engine reads it: dense, tied, experts. */
static void mlx_modes(void **state)
{
    static const char *const families[] = {DATA "llama", DATA "qwen3_moe", DATA "gemma2"};
    static const enum mx_quant_mode modes[] = {MX_QUANT_MXFP4, MX_QUANT_MXFP8, MX_QUANT_NVFP4};
    for (size_t f = 0; f < 3; f++) {
        char *config = config_of(families[f]);
        for (size_t m = 0; m < 3; m++) {
            char folder[] = "/tmp/mlxcel-floats-XXXXXX", target[64], what[128];
            assert_non_null(mkdtemp(folder));
            snprintf(target, sizeof target, "%s/q", folder);
            const struct mx_quantize_options options = {.mode = modes[m]};
            struct mx_quantize_result result;
            assert_ok(mx_quantize_checkpoint(families[f], target, &options, NULL, &result, &err));
            assert_true(result.quantized > 10);
            struct copy plain;
            copy_start(&plain);
            decode_mlx(&plain, target, config);
            snprintf(what, sizeof what, "%s in %s", families[f], mx_quant_mode_name(modes[m]));
            assert_same_model(what, target, plain.folder);
            copy_remove(&plain);
            remove_tree(folder);
        }
        free(config);
    }
}

/* ---- gpt-oss ---- */

enum { EXPERTS = 4, HIDDEN = 64, WIDTH = 32 };

/* Experts' matrices [EXPERTS, rows, cols] in three forms. */
struct stack {
    size_t rows, cols;
    uint8_t *codes, *scales; /* mxfp4, row by row */
    float *decoded;          /* as Hugging Face stores it: [EXPERTS, cols, rows] */
};

static struct stack make_stack(struct mx_random *random, size_t rows, size_t cols)
{
    const size_t count = EXPERTS * rows * cols;
    struct stack stack = {rows, cols, malloc(count / 2), malloc(count / 32), malloc(count * sizeof(float))};
    float row[HIDDEN];
    for (size_t r = 0; r < EXPERTS * rows; r++) {
        for (size_t c = 0; c < cols; c++) row[c] = mx_random_normal(random) / 8;
        uint8_t *codes = stack.codes + r * cols / 2, *scales = stack.scales + r * cols / 32;
        mx_float_quantize_row(row, cols, MX_CODES_MXFP4, MX_F32, codes, scales);
        const struct mx_matrix matrix = {
            .data = codes, .scales = scales, .rows = 1, .cols = cols, .bits = 4, .group = 32, .codes = MX_CODES_MXFP4};
        mx_matrix_row(&matrix, 0, row);
        for (size_t c = 0; c < cols; c++) stack.decoded[((r / rows) * cols + c) * rows + r % rows] = row[c];
    }
    return stack;
}

/* Every `step`-th row from `first` on, as MLX stores it. */
static void put_mlx(struct copy *copy, const char *module, const struct stack *stack, size_t first, size_t step)
{
    const size_t rows = stack->rows / step, row_bytes = stack->cols / 2, groups = stack->cols / 32;
    const size_t weight[] = {EXPERTS, rows, stack->cols / 8}, scale[] = {EXPERTS, rows, groups};
    uint8_t *codes = malloc(EXPERTS * rows * row_bytes), *scales = malloc(EXPERTS * rows * groups);
    for (size_t r = 0; r < EXPERTS * rows; r++) {
        const size_t from = r * step + first;
        memcpy(codes + r * row_bytes, stack->codes + from * row_bytes, row_bytes);
        memcpy(scales + r * groups, stack->scales + from * groups, groups);
    }
    char name[512];
    snprintf(name, sizeof name, "%.200s.weight", module);
    copy_tensor(copy, name, "U32", 3, weight, codes, EXPERTS * rows * row_bytes);
    snprintf(name, sizeof name, "%.200s.scales", module);
    copy_tensor(copy, name, "U8", 3, scale, scales, EXPERTS * rows * groups);
    free(codes);
    free(scales);
}

static void put_blocks(struct copy *copy, const char *module, const struct stack *stack)
{
    const size_t blocks[] = {EXPERTS, stack->rows, stack->cols / 32, 16};
    char name[512];
    snprintf(name, sizeof name, "%.200s_blocks", module);
    copy_tensor(copy, name, "U8", 4, blocks, stack->codes, EXPERTS * stack->rows * stack->cols / 2);
    snprintf(name, sizeof name, "%.200s_scales", module);
    copy_tensor(copy, name, "U8", 3, blocks, stack->scales, EXPERTS * stack->rows * stack->cols / 32);
}

static void put_decoded(struct copy *copy, const char *module, const struct stack *stack)
{
    const size_t shape[] = {EXPERTS, stack->cols, stack->rows};
    copy_tensor(copy, module, "F32", 3, shape, stack->decoded, EXPERTS * stack->rows * stack->cols * sizeof(float));
}

/* A bias of zeros, but one in each row that differs. */
static void put_bias(struct copy *copy, const char *name, size_t rows, size_t first, size_t step)
{
    const size_t shape[] = {EXPERTS, rows / step};
    float bias[EXPERTS * 2 * HIDDEN];
    for (size_t i = 0; i < EXPERTS * rows / step; i++) bias[i] = (float)((i * step + first) % 7) / 16;
    copy_tensor(copy, name, "F32", 2, shape, bias, EXPERTS * rows / step * sizeof(float));
}

enum { HUGGING_FACE, MLX, DECODED, FORMS };

static void put_experts(struct copy copies[FORMS], int layer, struct mx_random *random)
{
    struct stack gate_up = make_stack(random, 2 * WIDTH, HIDDEN), down = make_stack(random, HIDDEN, WIDTH);
    char name[512], module[200];
    snprintf(module, sizeof module, "model.layers.%d.mlp.experts", layer);
    for (int form = 0; form < FORMS; form++) {
        struct copy *copy = &copies[form];
        snprintf(name, sizeof name, "%s.gate_up_proj", module);
        if (form == HUGGING_FACE) put_blocks(copy, name, &gate_up);
        if (form == DECODED) put_decoded(copy, name, &gate_up);
        snprintf(name, sizeof name, "%s.down_proj", module);
        if (form == HUGGING_FACE) put_blocks(copy, name, &down);
        if (form == DECODED) put_decoded(copy, name, &down);
        if (form != MLX) {
            snprintf(name, sizeof name, "%s.gate_up_proj_bias", module);
            put_bias(copy, name, 2 * WIDTH, 0, 1);
            snprintf(name, sizeof name, "%s.down_proj_bias", module);
            put_bias(copy, name, HIDDEN, 0, 1);
            continue;
        }
        put_mlx(copy, name, &down, 0, 1);
        snprintf(name, sizeof name, "%s.down_proj.bias", module);
        put_bias(copy, name, HIDDEN, 0, 1);
        for (size_t odd = 0; odd < 2; odd++) {
            snprintf(name, sizeof name, "%s.%s_proj", module, odd ? "up" : "gate");
            put_mlx(copy, name, &gate_up, odd, 2);
            strcat(name, ".bias");
            put_bias(copy, name, 2 * WIDTH, odd, 2);
        }
    }
    free(gate_up.codes), free(gate_up.scales), free(gate_up.decoded);
    free(down.codes), free(down.scales), free(down.decoded);
}

/* The experts of gpt-oss in Hugging Face's blocks, in MLX's stacks of mxfp4, and decoded; nothing is copied. */
static void gpt_oss_blocks(void **state)
{
    struct mx_random random = {1};
    struct copy copies[FORMS];
    struct mx_checkpoint *checkpoint = open_checkpoint(DATA "gpt_oss");
    for (int form = 0; form < FORMS; form++) copy_start(&copies[form]);
    for (size_t i = 0; i < mx_checkpoint_tensor_count(checkpoint); i++) {
        const struct mx_tensor *tensor = mx_checkpoint_tensor(checkpoint, i);
        if (strstr(tensor->name, "experts")) continue;
        for (int form = 0; form < FORMS; form++)
            copy_tensor(&copies[form], tensor->name, mx_storage_name(tensor->storage), tensor->rank, tensor->shape,
                        tensor->data, tensor->bytes);
    }
    mx_checkpoint_close(checkpoint);
    for (int layer = 0; layer < 2; layer++) put_experts(copies, layer, &random);
    static const char *const quantization[FORMS] = {
        ("{ \"quantization_config\": {\"quant_method\": \"mxfp4\", \"modules_to_not_convert\": "
         "[\"model.layers.*.self_attn\"]},"),
        "{ \"quantization\": {\"mode\": \"mxfp4\", \"bits\": 4, \"group_size\": 32},", "{"};
    for (int form = 0; form < FORMS; form++) {
        char *config = replaced(config_of(DATA "gpt_oss"), "\"intermediate_size\": 24", "\"intermediate_size\": 32");
        config = replaced(config, "{", quantization[form]);
        copy_finish(&copies[form], config);
        free(config);
    }
    assert_same_model("gpt-oss in blocks", copies[HUGGING_FACE].folder, copies[DECODED].folder);
    assert_same_model("gpt-oss in mxfp4", copies[MLX].folder, copies[DECODED].folder);
    for (int form = 0; form < FORMS; form++) copy_remove(&copies[form]);
}

/* ---- 8-bit floats with scales ---- */

static const struct float8 {
    const char *name, *quantization, *part;
    size_t rows, cols; /* of a tile; 0: all */
    enum mx_dtype dtype;
    bool flat; /* scales [1], not [rows, cols] */
} forms[] = {
    {"tiles", "{\"quant_method\": \"fp8\", \"weight_block_size\": [24, 32], \"activation_scheme\": \"dynamic\"}",
     "weight_scale_inv", 24, 32, MX_F32, false},
    {"tiles of 128", "{\"quant_method\": \"fp8\", \"fmt\": \"e4m3\", \"weight_block_size\": [128, 128]}",
     "weight_scale_inv", 128, 128, MX_BF16, false},
    {"one scale",
     "{\"quant_method\": \"compressed-tensors\", \"format\": \"float-quantized\", \"ignore\": [\"lm_head\"], "
     "\"config_groups\": {\"group_0\": {\"targets\": [\"Linear\"], \"weights\": {\"num_bits\": 8, \"type\": \"float\", "
     "\"strategy\": \"tensor\", \"symmetric\": true}}}}",
     "weight_scale", 0, 0, MX_BF16, true},
    {"a scale for each row", "{\"quant_method\": \"fbgemm_fp8\"}", "weight_scale", 1, 0, MX_F32, false},
};

/* A matrix in 8-bit floats, and what it decodes to. */
static void put_float8(struct copy *coded, struct copy *plain, const struct mx_tensor *tensor,
                       const struct float8 *form)
{
    const size_t rows = tensor->shape[0], cols = tensor->shape[1];
    const size_t tile_rows = form->rows ? form->rows : rows, tile_cols = form->cols ? form->cols : cols;
    const size_t down = (rows + tile_rows - 1) / tile_rows, across = (cols + tile_cols - 1) / tile_cols;
    uint8_t *codes = malloc(rows * cols), *scales = malloc(down * across * 4);
    float *decoded = malloc(rows * cols * sizeof *decoded);
    for (size_t t = 0; t < down * across; t++) {
        const size_t first_row = t / across * tile_rows, first_col = t % across * tile_cols;
        const size_t last_row = first_row + tile_rows < rows ? first_row + tile_rows : rows;
        const size_t last_col = first_col + tile_cols < cols ? first_col + tile_cols : cols;
        float largest = 0;
        for (size_t r = first_row; r < last_row; r++)
            for (size_t c = first_col; c < last_col; c++)
                largest = fmaxf(largest, fabsf(mx_float_load(tensor->data, MX_BF16, r * cols + c)));
        mx_float_store(scales, form->dtype, t, largest / 400);
        const float scale = mx_float_load(scales, form->dtype, t);
        for (size_t r = first_row; r < last_row; r++) {
            for (size_t c = first_col; c < last_col; c++) {
                const size_t i = r * cols + c;
                codes[i] = mx_e4m3_from_f32(mx_float_load(tensor->data, MX_BF16, i) / scale);
                decoded[i] = mx_f32_from_e4m3(codes[i]) * scale;
            }
        }
    }
    const size_t shape[] = {down, across};
    char name[512];
    copy_tensor(coded, tensor->name, "F8_E4M3", 2, tensor->shape, codes, rows * cols);
    snprintf(name, sizeof name, "%.*s%s", (int)(strlen(tensor->name) - strlen("weight")), tensor->name, form->part);
    copy_tensor(coded, name, form->dtype == MX_F32 ? "F32" : "BF16", form->flat ? 1 : 2, shape, scales,
                down * across * mx_dtype_size(form->dtype));
    copy_tensor(plain, tensor->name, "F32", 2, tensor->shape, decoded, rows * cols * sizeof *decoded);
    free(codes);
    free(scales);
    free(decoded);
}

static void check_float8(const char *family, const struct float8 *form)
{
    struct copy coded, plain;
    char directory[64], what[128], *start;
    snprintf(directory, sizeof directory, DATA "%s", family);
    copy_start(&coded);
    copy_start(&plain);
    struct mx_checkpoint *checkpoint = open_checkpoint(directory);
    for (size_t i = 0; i < mx_checkpoint_tensor_count(checkpoint); i++) {
        const struct mx_tensor *tensor = mx_checkpoint_tensor(checkpoint, i);
        if (tensor->rank == 2 && !strstr(tensor->name, "embed") && !strstr(tensor->name, "lm_head")) {
            put_float8(&coded, &plain, tensor, form);
            continue;
        }
        const char *storage = mx_storage_name(tensor->storage);
        copy_tensor(&coded, tensor->name, storage, tensor->rank, tensor->shape, tensor->data, tensor->bytes);
        copy_tensor(&plain, tensor->name, storage, tensor->rank, tensor->shape, tensor->data, tensor->bytes);
    }
    copy_tensor(&coded, "model.layers.0.self_attn.k_proj.input_scale", "F32", 0, NULL, "\0\0\0", 4); /* ignored */
    mx_checkpoint_close(checkpoint);
    char *config = config_of(directory);
    copy_finish(&plain, config);
    assert_true(asprintf(&start, "{ \"quantization_config\": %s,", form->quantization) > 0);
    config = replaced(config, "{", start);
    copy_finish(&coded, config);
    snprintf(what, sizeof what, "%s with %s", family, form->name);
    assert_same_model(what, coded.folder, plain.folder);
    free(start);
    free(config);
    copy_remove(&coded);
    copy_remove(&plain);
}

/* Each form: matrices of their own, rows of a fusion that begin within a tile, heads that alternate, experts. */
static void float8_with_scales(void **state)
{
    static const char *const families[] = {"llama", "phi3", "gpt_neox", "qwen3_moe", "deepseek_v3"};
    for (size_t f = 0; f < 5; f++)
        for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) check_float8(families[f], &forms[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mlx_modes),
        cmocka_unit_test(gpt_oss_blocks),
        cmocka_unit_test(float8_with_scales),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
