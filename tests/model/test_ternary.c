/* Weights of three values become codes that stand for just these, whatever the file holds; what they take is what the
 * advisor counts; and what is no such matrix is refused. */
#include "copies.h"

#include <math.h>

#include "advisor/subject.h"
#include "base/floats.h"
#include "checkpoint/ternary.h"
#include "model/block.h"

static struct mx_error err;

enum { ROWS = 8, COLS = 96 };
#define MODULE "model.layers.0.mlp.up_proj"

/* The code of column `col`, the same in no two rows that share bytes. */
static unsigned code_of(size_t row, size_t col)
{
    return (unsigned)(row % 2 * COLS + col + row / 2 * (1 + col % 2)) % 3;
}

/* A packed matrix, and its number. */
static void write_packed(struct copy *copy, const char *dtype, const void *scale, size_t bytes)
{
    uint8_t packed[ROWS / 4 * COLS];
    memset(packed, 0, sizeof packed);
    for (size_t row = 0; row < ROWS; row++)
        for (size_t col = 0; col < COLS; col++)
            packed[row % 2 * COLS + col] |= (uint8_t)(code_of(row, col) << row / 2 * 2);
    const size_t shape[] = {ROWS / 4, COLS}, one[] = {1};
    copy_start(copy);
    copy_tensor(copy, MODULE ".weight", "U8", 2, shape, packed, sizeof packed);
    if (dtype) copy_tensor(copy, MODULE ".weight_scale", dtype, 1, one, scale, bytes);
}

#define CONFIG(more) "{\"quantization_config\": {\"quant_method\": \"bitnet\"" more "}}"
#define TIMES ", \"linear_class\": \"autobitlinear\""

/* The numbers of all rows, decoded from what mx_ternary_row makes. */
static void decode(const struct mx_checkpoint *checkpoint, size_t rows, enum mx_dtype dtype, int group, float *out)
{
    struct mx_ternary ternary;
    assert_true(mx_checkpoint_has_ternary(checkpoint, MODULE, true));
    assert_ok(mx_checkpoint_ternary(checkpoint, MODULE, rows, COLS, &ternary, &err));
    assert_int_equal(ternary.codes.dtype, dtype);
    assert_int_equal(ternary.codes.group, group);
    for (size_t row = 0; row < rows; row++) {
        uint8_t codes[COLS / 4], scales[4 * COLS / 32], biases[4 * COLS / 32];
        struct mx_matrix one = ternary.codes;
        mx_ternary_row(&ternary, row, codes, scales, biases);
        one.rows = 1;
        one.data = codes;
        one.scales = scales;
        one.biases = biases;
        mx_matrix_row(&one, 0, out + row * COLS);
    }
}

static void check_packed(const char *config, const char *dtype, float scale, float worth, enum mx_dtype expected)
{
    struct copy copy;
    uint8_t number[4];
    float out[ROWS * COLS];
    const enum mx_dtype stored = !strcmp(dtype, "BF16") ? MX_BF16 : MX_F32;
    mx_float_store(number, stored, 0, scale);
    write_packed(&copy, dtype, number, mx_dtype_size(stored));
    copy_finish(&copy, config);
    struct mx_checkpoint *checkpoint = open_checkpoint(copy.folder);
    decode(checkpoint, ROWS, expected, 32, out);
    for (size_t row = 0; row < ROWS; row++)
        for (size_t col = 0; col < COLS; col++)
            assert_true(out[row * COLS + col] == ((float)code_of(row, col) - 1) * worth);
    mx_checkpoint_close(checkpoint);
    copy_remove(&copy);
}

static void packed_weights(void **state)
{
    (void)state;
    check_packed(CONFIG(TIMES), "BF16", 1.25f, 1.25f, MX_BF16);
    check_packed(CONFIG(TIMES), "F32", 1.1f, 1.1f, MX_F32);
    check_packed(CONFIG(""), "BF16", 3, 1 / 3.f, MX_F32);
}

/* A checkpoint of a matrix whose three values the scheme finds by itself. */
static struct mx_checkpoint *open_found(struct copy *copy, const float weights[ROWS * COLS])
{
    const size_t shape[] = {ROWS, COLS};
    copy_start(copy);
    copy_tensor(copy, MODULE ".weight", "F32", 2, shape, weights, ROWS * COLS * sizeof *weights);
    copy_finish(copy, CONFIG(TIMES ", \"quantization_mode\": \"online\""));
    return open_checkpoint(copy->folder);
}

/* The mean size is 0.55, and half of that lies between the two smaller ones. */
static void found_weights(void **state)
{
    (void)state;
    static const float values[] = {1, -.25f, .4f}, worth[] = {1, 0, 1};
    float weights[ROWS * COLS], out[ROWS * COLS];
    for (size_t i = 0; i < ROWS * COLS; i++) weights[i] = values[i % 3];
    struct copy copy;
    struct mx_checkpoint *checkpoint = open_found(&copy, weights);
    assert_false(mx_checkpoint_has_ternary(checkpoint, MODULE, false));
    decode(checkpoint, ROWS, MX_F32, 32, out);
    for (size_t i = 0; i < ROWS * COLS; i++) assert_true(fabsf(out[i] - worth[i % 3] * .55f) < 1e-6f);
    mx_checkpoint_close(checkpoint);
    copy_remove(&copy);
}

/* A weight that is no number leaves no scale, which the loader looks at. */
static void damaged_weights(void **state)
{
    (void)state;
    float weights[ROWS * COLS] = {1, NAN};
    struct copy copy;
    struct mx_ternary ternary;
    struct mx_checkpoint *checkpoint = open_found(&copy, weights);
    assert_ok(mx_checkpoint_ternary(checkpoint, MODULE, ROWS, COLS, &ternary, &err));
    assert_true(isnan(ternary.scale));
    mx_checkpoint_close(checkpoint);
    copy_remove(&copy);
}

static void refusals(void **state)
{
    (void)state;
    struct copy copy;
    struct mx_ternary ternary;
    const float none = 1;
    write_packed(&copy, "F32", &none, sizeof none);
    copy_finish(&copy, CONFIG(TIMES));
    struct mx_checkpoint *checkpoint = open_checkpoint(copy.folder);
    assert_fails(mx_checkpoint_ternary(checkpoint, MODULE, ROWS + 4, COLS, &ternary, &err), MX_ERR_FORMAT,
                 "[2, 96] are not 12 x 96 ternary weights");
    assert_fails(mx_checkpoint_ternary(checkpoint, MODULE, ROWS, COLS + 32, &ternary, &err), MX_ERR_FORMAT,
                 "[2, 96] are not 8 x 128 ternary weights");
    assert_fails(mx_checkpoint_ternary(checkpoint, MODULE, ROWS + 1, COLS, &ternary, &err), MX_ERR_FORMAT, "9 x 96");
    assert_fails(mx_checkpoint_ternary(checkpoint, MODULE, ROWS, COLS + 16, &ternary, &err), MX_ERR_UNSUPPORTED,
                 "112 columns, no multiple of 32");
    mx_checkpoint_close(checkpoint);
    copy_remove(&copy);
    write_packed(&copy, NULL, NULL, 0);
    copy_finish(&copy, CONFIG(TIMES));
    checkpoint = open_checkpoint(copy.folder);
    assert_fails(mx_checkpoint_ternary(checkpoint, MODULE, ROWS, COLS, &ternary, &err), MX_ERR_FORMAT,
                 MODULE ".weight_scale\" is missing");
    mx_checkpoint_close(checkpoint);
    copy_remove(&copy);
}

/* What a model takes is what its headers hold, less the ternary tensors, and the codes in their place. */
static void memory_is_what_is_allocated(void **state)
{
    (void)state;
    static const char *const folders[] = {"tests/data/families/bitnet_packed", "tests/data/families/bitnet_divided",
                                          "tests/data/families/bitnet_online"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        struct mx_model *model;
        struct mx_subject subject;
        assert_ok(mx_model_open(&model, folders[i], NULL, &err));
        uint64_t rest = 0;
        const struct mx_checkpoint *checkpoint = mx_model_checkpoint(model);
        for (size_t t = 0; t < mx_checkpoint_tensor_count(checkpoint); t++) {
            const struct mx_tensor *tensor = mx_checkpoint_tensor(checkpoint, t);
            if (tensor->rank != 2 || !strstr(tensor->name, "_proj")) rest += tensor->bytes;
        }
        assert_true(model->weights.converted_bytes > 0);
        assert_ok(mx_subject_open(&subject, folders[i], &err));
        assert_int_equal(subject.weights, rest + model->weights.converted_bytes);
        assert_true(subject.arch.runnable);
        mx_subject_close(&subject);
        mx_model_close(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(packed_weights), cmocka_unit_test(found_weights),
                                       cmocka_unit_test(damaged_weights), cmocka_unit_test(refusals),
                                       cmocka_unit_test(memory_is_what_is_allocated)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
