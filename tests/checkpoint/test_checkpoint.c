/* checkpoint/: folders of shards, the quantization of config.json, matrices and vectors out of tensors, surveys. */
#include "support.h"

#include <math.h>

#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/floats.h"
#include "files.h"

static struct mx_error err;

#define TENSOR(name, dtype, shape, begin, end)                                                                         \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"

static char *folder;

static int open_folder(void **state)
{
    folder = make_folder();
    return 0;
}

static int close_folder(void **state)
{
    remove_folder(folder);
    return 0;
}

static mx_status try_open(void)
{
    struct mx_checkpoint *checkpoint;
    const mx_status status = mx_checkpoint_open(&checkpoint, folder, NULL, &err);
    if (status != MX_OK) assert_null(checkpoint);
    mx_checkpoint_close(checkpoint);
    return status;
}

static struct mx_checkpoint *must_open(void)
{
    struct mx_checkpoint *checkpoint;
    assert_ok(mx_checkpoint_open(&checkpoint, folder, NULL, &err));
    return checkpoint;
}

/* ---- files ---- */

static void joins_shards_without_an_index(void **state)
{
    put_safetensors(folder, "model-00001-of-00002.safetensors", "{" TENSOR("a", "U8", "[4]", 0, 4) "}", 4);
    put_safetensors(folder, "model-00002-of-00002.safetensors",
                    "{" TENSOR("b", "F32", "[1]", 1, 5) "," TENSOR("c", "U8", "[1]", 0, 1) "}", 5);
    put_text(folder, "notes.safetensors", "not a shard");
    struct mx_checkpoint *checkpoint = must_open();
    assert_int_equal(mx_checkpoint_tensor_count(checkpoint), 3);
    const struct mx_tensor *b = mx_checkpoint_find(checkpoint, "b");
    assert_non_null(b);
    assert_memory_equal(b->data, "\1\2\3\4", 4);
    assert_non_null(strstr(b->file, "model-00002-of-00002.safetensors"));
    assert_null(mx_checkpoint_find(checkpoint, "d"));
    assert_null(mx_checkpoint_find(checkpoint, ""));
    mx_checkpoint_close(checkpoint);
    assert_true(mx_checkpoint_present(folder));
}

static void a_stale_index_hides_nothing(void **state)
{
    static const char *const indexes[] = {
        "{\"weight_map\":{\"a\":\"model-00001-of-00009.safetensors\"}}",
        "{\"weight_map\":{\"a\":\"model.safetensors\",\"gone\":\"model.safetensors\"}}",
        "{\"weight_map\":{}}",
        "{\"weight_map\":[\"a\",\"b\"]}",
        "{\"weight_map\":{\"a\":5,\"b\":null}}",
        "{\"weight_map\":",
        "[]",
    };
    put_safetensors(folder, "model.safetensors",
                    "{" TENSOR("a", "U8", "[4]", 0, 4) "," TENSOR("b", "U8", "[]", 4, 5) "}", 5);
    for (size_t i = 0; i < sizeof indexes / sizeof *indexes; i++) {
        put_text(folder, "model.safetensors.index.json", indexes[i]);
        struct mx_checkpoint *checkpoint = must_open();
        assert_non_null(mx_checkpoint_find(checkpoint, "a"));
        assert_non_null(mx_checkpoint_find(checkpoint, "b"));
        mx_checkpoint_close(checkpoint);
    }
}

static void reports_what_is_missing(void **state)
{
    assert_fails(try_open(), MX_ERR_IO, "no weights here (looked for *.safetensors)");
    assert_false(mx_checkpoint_present(folder));
    put_safetensors(folder, "model.safetensors", "{" TENSOR("a", "U8", "[]", 0, 1) "}", 1);
    put_text(folder, "model.safetensors.index.json", "{\"weight_map\":{\"a\":\"x\",\"b\":\"model-2.safetensors\"}}");
    assert_fails(try_open(), MX_ERR_IO, "tensor \"b\" is in model-2.safetensors, which is not there; fetch it");
    put_safetensors(folder, "model-00002-of-00003.safetensors", "{" TENSOR("b", "U8", "[]", 0, 1) "}", 1);
    assert_fails(try_open(), MX_ERR_IO, "the shard model-00001-of-00003.safetensors is missing; fetch it");
    put_safetensors(folder, "model-00001-of-00003.safetensors", "{}", 0);
    assert_fails(try_open(), MX_ERR_IO, "the shard model-00003-of-00003.safetensors is missing; fetch it");
    put_safetensors(folder, "model-00003-of-00003.safetensors", "{" TENSOR("a", "U8", "[]", 0, 1) "}", 1);
    assert_fails(try_open(), MX_ERR_FORMAT, "tensor \"a\" is also in ");
    struct mx_checkpoint *checkpoint;
    assert_fails(mx_checkpoint_open(&checkpoint, "/no/such/folder", NULL, &err), MX_ERR_IO,
                 "/no/such/folder: No such file or directory");
    assert_fails(mx_checkpoint_open(&checkpoint, "CMakeLists.txt", NULL, &err), MX_ERR_IO,
                 "CMakeLists.txt: is a file; give the folder");
}

static void passes_on_what_is_wrong_in_a_file(void **state)
{
    put_text(folder, "model.safetensors", "");
    assert_fails(try_open(), MX_ERR_FORMAT, "model.safetensors: 0 bytes are too few");
    put_safetensors(folder, "model.safetensors", "{" TENSOR("a", "F32", "[9]", 0, 36) "}", 30);
    assert_fails(try_open(), MX_ERR_FORMAT, "model.safetensors: tensor \"a\": its data end at byte 36 of 30");
    put_safetensors(folder, "model.safetensors", "{}", 0);
    put_text(folder, "config.json", "{\n  \"a\": }");
    assert_fails(try_open(), MX_ERR_FORMAT, "config.json:2:8: not valid JSON here");
}

static void finds_each_of_many(void **state)
{
    struct mx_str header = {0};
    mx_str_putc(&header, '{');
    for (int i = 0; i < 20000; i++) {
        mx_str_printf(&header, "%s\"model.layers.%d.w\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%d,%d]}",
                      i ? "," : "", i, i, i + 1);
    }
    mx_str_putc(&header, '}');
    put_safetensors(folder, "model.safetensors", header.data, 20000);
    mx_str_free(&header);
    struct mx_checkpoint *checkpoint = must_open();
    for (int i = 0; i < 20000; i++) {
        char name[64];
        snprintf(name, sizeof name, "model.layers.%d.w", i);
        const struct mx_tensor *tensor = mx_checkpoint_find(checkpoint, name);
        assert_non_null(tensor);
        assert_int_equal(tensor->data[0], i & 255);
        snprintf(name, sizeof name, "model.layers.%d.x", i);
        assert_null(mx_checkpoint_find(checkpoint, name));
    }
    mx_checkpoint_close(checkpoint);
}

/* ---- quantization in config.json ---- */

static mx_status read_config(const char *text, struct mx_quantization *out, struct mx_arena *arena)
{
    cJSON *config;
    assert_ok(mx_json_parse(&config, text, strlen(text), "config.json", NULL, &err));
    const mx_status status = mx_quantization_read(out, arena, config, "config.json", &err);
    cJSON_Delete(config);
    return status;
}

static void reads_quantization(void **state)
{
    struct mx_quantization q;
    struct mx_arena arena = {0};
    assert_ok(read_config("{\"quantization\":{\"group_size\":32,\"bits\":3,\"mode\":\"affine\","
                          "\"lm_head\":{\"bits\":8},\"model.a\":true,\"model.b\":false,"
                          "\"model.c\":{\"group_size\":128,\"bits\":6}},"
                          "\"quantization_config\":{\"quant_method\":\"gptq\"}}",
                          &q, &arena));
    assert_int_equal(q.kind, MX_QUANT_MLX);
    struct mx_quant quant = mx_quantization_of(&q, "model.x");
    assert_int_equal(quant.bits, 3);
    assert_int_equal(quant.group, 32);
    quant = mx_quantization_of(&q, "lm_head"); /* inherits nothing: its group is affine's default */
    assert_int_equal(quant.bits, 8);
    assert_int_equal(quant.group, 64);
    quant = mx_quantization_of(&q, "model.a");
    assert_int_equal(quant.bits, 3);
    assert_int_equal(quant.group, 32);
    quant = mx_quantization_of(&q, "model.c");
    assert_int_equal(quant.bits, 6);
    assert_int_equal(quant.group, 128);
    assert_false(mx_quantization_override(&q, "model.b")->quantized);
    assert_null(mx_quantization_override(&q, "model"));

    assert_ok(read_config("{\"quantization_config\":{\"mode\":\"mxfp4\",\"quantize_activations\":true,\"m\":{}}}", &q,
                          &arena));
    assert_int_equal(q.quant.mode, MX_QUANT_MXFP4);
    assert_int_equal(q.quant.group, 32);
    assert_int_equal(mx_quantization_of(&q, "m").mode, MX_QUANT_AFFINE);
    assert_int_equal(q.override_count, 1);
    assert_ok(read_config("{\"quantization\":{\"mode\":\"nvfp4\"}}", &q, &arena));
    assert_int_equal(q.quant.group, 16);
    assert_ok(read_config("{\"quantization\":{}}", &q, &arena));
    assert_int_equal(q.quant.bits, 4);
    assert_int_equal(q.quant.group, 64);
    assert_ok(read_config("{\"quantization\":null,\"quantization_config\":null}", &q, &arena));
    assert_int_equal(q.kind, MX_QUANT_NONE);
    assert_ok(read_config("{\"text_config\":{\"quantization_config\":{\"quant_method\":\"awq\"}}}", &q, &arena));
    assert_int_equal(q.kind, MX_QUANT_FOREIGN);
    assert_string_equal(q.method, "awq");
    assert_int_equal(q.quant.bits, 0); /* it does not say: never 4 by default */
    mx_arena_free(&arena);
}

static void refuses_bad_quantization(void **state)
{
    static const struct {
        const char *config;
        mx_status status;
        const char *message;
    } bad_configs[] = {
        {"{\"quantization\":4}", MX_ERR_FORMAT, "config.json: \"quantization\" must be an object, not 4"},
        {"{\"quantization\":{\"bits\":7}}", MX_ERR_UNSUPPORTED, "affine with 7 bits in groups of 64"},
        {"{\"quantization\":{\"bits\":0}}", MX_ERR_FORMAT, "\"bits\" must be a whole number from 1, not 0"},
        {"{\"quantization\":{\"bits\":2.5}}", MX_ERR_FORMAT, "\"bits\" must be a whole number from 1, not 2.5"},
        {"{\"quantization\":{\"bits\":100}}", MX_ERR_UNSUPPORTED, "affine with 100 bits"},
        {"{\"quantization\":{\"group_size\":48}}", MX_ERR_UNSUPPORTED, "4 bits in groups of 48"},
        {"{\"quantization\":{\"group_size\":96}}", MX_ERR_UNSUPPORTED, "4 bits in groups of 96"},
        {"{\"quantization\":{\"group_size\":\"64\"}}", MX_ERR_FORMAT, "not \"64\""},
        {"{\"quantization\":{\"mode\":\"q4_0\"}}", MX_ERR_UNSUPPORTED, "unknown quantization mode \"q4_0\""},
        {"{\"quantization\":{\"mode\":\"mxfp8\",\"bits\":4}}", MX_ERR_UNSUPPORTED, "mxfp8 with 4 bits in groups of 32"},
        {"{\"quantization\":{\"lm_head\":{\"bits\":9}}}", MX_ERR_UNSUPPORTED,
         "config.json: quantization: lm_head: affine"},
    };
    struct mx_quantization q;
    struct mx_arena arena = {0};
    for (size_t i = 0; i < sizeof bad_configs / sizeof *bad_configs; i++) {
        assert_fails(read_config(bad_configs[i].config, &q, &arena), bad_configs[i].status, bad_configs[i].message);
    }
    mx_arena_free(&arena);
    put_safetensors(folder, "model.safetensors", "{}", 0);
    put_text(folder, "config.json", "{\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":4}}");
    assert_fails(try_open(), MX_ERR_UNSUPPORTED, "its weights are quantized by \"gptq\", which cannot be run");
}

/* ---- weights ---- */

/* p: 4 bits, group 32, [2, 64]; s: a stack [2, 2, 64] of the same; f: plain; u: packed without scales. */
static const struct tensor_row weights[] = {
    {"p.weight", "U32", "[2,8]", 64},       {"p.scales", "F16", "[2,2]", 8},
    {"p.biases", "F16", "[2,2]", 8},        {"f.weight", "BF16", "[2,3]", 12},
    {"u.weight", "U32", "[2,8]", 64},       {"v", "F32", "[3]", 12},
    {"s.weight", "U32", "[2,2,8]", 128},    {"s.scales", "F32", "[2,2,2]", 32},
    {"s.biases", "F32", "[2,2,2]", 32},     {"bare", "F16", "[4,2,3]", 48},
    {"i.weight", "I8", "[2,3]", 6},         {"q.weight", "U32", "[2,8]", 64},
    {"q.scales", "F16", "[2,2]", 8},        {"r.weight", "U32", "[2,8]", 64},
    {"r.scales", "F16", "[2,2]", 8},        {"r.biases", "BF16", "[2,2]", 8},
    {"t.weight", "F16", "[2,8]", 32},       {"t.scales", "F16", "[2,2]", 8},
    {"x.weight", "U32", "[2,8]", 64},       {"x.scales", "U8", "[2,2]", 4},
    {"x.biases", "U8", "[2,2]", 4},         {"y.weight", "U32", "[2,8]", 64},
    {"y.scales", "F16", "[3,2]", 12},       {"y.biases", "F16", "[2,2]", 8},
    {"m.weight", "U32", "[2,8]", 64},       {"m.scales", "U8", "[2,2]", 4},
    {"k_blocks", "U8", "[2,2,16]", 64},     {"k_scales", "U8", "[2,3]", 6},
    {"l_blocks", "U8", "[2,2,16]", 64},     {"e.weight", "F8_E4M3", "[2,64]", 128},
    {"h.weight", "F8_E4M3", "[2,64]", 128}, {"h.weight_scale_inv", "F32", "[2,2]", 16},
    {"w.weight", "F8_E4M3", "[2,64]", 128}, {"w.weight_scale", "U8", "[]", 1},
};

static void gives_matrices_in_place(void **state)
{
    static const char *const configs[] = {"{}", "{\"quantization\":{\"group_size\":32,\"bits\":4}}",
                                          "{\"quantization\":{\"p\":{\"group_size\":32},\"s\":{\"group_size\":32}}}"};
    PUT_TENSORS(folder, "model.safetensors", weights);
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        struct mx_matrix m;
        put_text(folder, "config.json", configs[i]);
        struct mx_checkpoint *checkpoint = must_open();
        assert_ok(mx_checkpoint_matrix(checkpoint, "p", 2, 64, &m, &err));
        assert_int_equal(m.bits, 4);
        assert_int_equal(m.group, 32);
        assert_int_equal(m.dtype, MX_F16);
        assert_ptr_equal(m.data, mx_checkpoint_find(checkpoint, "p.weight")->data);
        assert_ptr_equal(m.scales, mx_checkpoint_find(checkpoint, "p.scales")->data);
        assert_ptr_equal(m.biases, mx_checkpoint_find(checkpoint, "p.biases")->data);
        assert_int_equal(mx_matrix_bytes(&m), 64 + 16);
        assert_ok(mx_checkpoint_expert(checkpoint, "s", 2, 1, 2, 64, &m, &err));
        assert_ptr_equal(m.data, mx_checkpoint_find(checkpoint, "s.weight")->data + 64);
        assert_ptr_equal(m.scales, mx_checkpoint_find(checkpoint, "s.scales")->data + 16);
        assert_ptr_equal(m.biases, mx_checkpoint_find(checkpoint, "s.biases")->data + 16);
        assert_ok(mx_checkpoint_matrix(checkpoint, "f", 2, 3, &m, &err));
        assert_int_equal(m.bits, 0);
        assert_int_equal(m.dtype, MX_BF16);
        assert_null(m.scales);
        assert_ok(mx_checkpoint_expert(checkpoint, "bare", 4, 3, 2, 3, &m, &err));
        assert_ptr_equal(m.data, mx_checkpoint_find(checkpoint, "bare")->data + 36);
        assert_true(mx_checkpoint_has(checkpoint, "p"));
        assert_true(mx_checkpoint_has(checkpoint, "bare"));
        assert_false(mx_checkpoint_has(checkpoint, "nothing"));
        mx_checkpoint_close(checkpoint);
    }
}

static const struct tensor_row float_weights[] = {
    {"a.weight", "U32", "[2,8]", 64},
    {"a.scales", "U8", "[2,2]", 4},
    {"b.weight", "U32", "[2,6]", 48}, /* nvfp4 of 48 columns */
    {"b.scales", "U8", "[2,3]", 6},
    {"c.weight", "U32", "[2,2,8]", 128},
    {"c.scales", "U8", "[2,2,1]", 4},
    {"d_blocks", "U8", "[3,2,1,16]", 96},
    {"d_scales", "U8", "[3,2,1]", 6},
    {"tile.weight", "F8_E4M3", "[130,192]", 24960},
    {"tile.weight_scale_inv", "F32", "[2,2]", 16},
    {"one.weight", "F8_E4M3", "[2,5]", 10},
    {"one.weight_scale", "BF16", "[1]", 2},
    {"row.weight", "F8_E4M3", "[2,5]", 10},
    {"row.weight_scale", "F32", "[2,1]", 8},
    {"stack", "F8_E4M3", "[2,2,64]", 256},
    {"stack_scale_inv", "F32", "[2,1,1]", 8},
};

/* Where the scales lie, and which columns and rows share one. */
static void gives_float_matrices_in_place(void **state)
{
    struct mx_matrix m;
    PUT_TENSORS(folder, "model.safetensors", float_weights);
    struct mx_checkpoint *checkpoint = must_open();
#define DATA(name) mx_checkpoint_find(checkpoint, name)->data
    assert_ok(mx_checkpoint_matrix(checkpoint, "a", 2, 64, &m, &err));
    assert_true(m.codes == MX_CODES_MXFP4 && m.bits == 4 && m.group == 32 && !m.biases);
    assert_ptr_equal(m.scales, DATA("a.scales"));
    assert_int_equal(mx_matrix_bytes(&m), 64 + 4);
    assert_ok(mx_checkpoint_matrix(checkpoint, "b", 2, 48, &m, &err));
    assert_true(m.codes == MX_CODES_NVFP4 && m.bits == 4 && m.group == 16);
    assert_ok(mx_checkpoint_expert(checkpoint, "c", 2, 1, 2, 32, &m, &err));
    assert_true(m.codes == MX_CODES_MXFP8 && m.bits == 8 && m.group == 32);
    assert_ptr_equal(m.scales, DATA("c.scales") + 2);
    assert_ok(mx_checkpoint_expert(checkpoint, "d_blocks", 3, 2, 2, 32, &m, &err));
    assert_true(m.codes == MX_CODES_MXFP4 && m.bits == 4 && m.group == 32);
    assert_ptr_equal(m.data, DATA("d_blocks") + 64);
    assert_ptr_equal(m.scales, DATA("d_scales") + 4);
    assert_ok(mx_checkpoint_matrix(checkpoint, "tile", 130, 192, &m, &err));
    assert_true(m.codes == MX_CODES_FLOAT8 && m.group == 128 && m.group_rows == 128 && m.dtype == MX_F32);
    assert_int_equal(mx_matrix_groups(&m), 2);
    assert_int_equal(mx_matrix_scale_row(&m, 127), 0);
    assert_int_equal(mx_matrix_scale_row(&m, 128), 1);
    assert_int_equal(mx_matrix_bytes(&m), 24960 + 16);
    assert_ok(mx_checkpoint_matrix(checkpoint, "one", 2, 5, &m, &err));
    assert_true(m.group == 5 && mx_matrix_scale_row(&m, 1) == 0 && m.dtype == MX_BF16);
    assert_ok(mx_checkpoint_matrix(checkpoint, "row", 2, 5, &m, &err));
    assert_true(m.group == 5 && mx_matrix_scale_row(&m, 1) == 1);
    assert_ok(mx_checkpoint_expert(checkpoint, "stack", 2, 1, 2, 64, &m, &err));
    assert_ptr_equal(m.scales, DATA("stack_scale_inv") + 4);
#undef DATA
    mx_checkpoint_close(checkpoint);
}

static void float_scales_are_checked(void **state)
{
    uint8_t codes[64] = {0}, scales[4] = {127, 127, 127, 127};
    struct mx_matrix m = {.data = codes, .scales = scales, .rows = 2, .cols = 64, .bits = 4, .group = 32};
    m.codes = MX_CODES_MXFP4;
    scales[3] = 254;
    assert_ok(mx_matrix_check_scales(&m, "m", &err));
    scales[3] = 255;
    assert_fails(mx_matrix_check_scales(&m, "m", &err), MX_ERR_FORMAT, "\"m.scales\" holds NaN or infinity");
    m = (struct mx_matrix){.data = codes, .scales = scales, .rows = 2, .cols = 32, .bits = 8, .group = 32};
    m.codes = MX_CODES_MXFP8;
    scales[1] = 247;
    assert_fails(mx_matrix_check_scales(&m, "m", &err), MX_ERR_FORMAT, "\"m.scales\" holds NaN or infinity");
    float scale[2] = {0x1p119f, INFINITY};
    memcpy(scales, scale, 4);
    m = (struct mx_matrix){.data = codes, .scales = scales, .rows = 2, .cols = 32, .bits = 8, .group = 32};
    m.codes = MX_CODES_FLOAT8;
    m.group_rows = 2;
    assert_ok(mx_matrix_check_scales(&m, "m", &err)); /* both rows have the first */
    memcpy(scales, scale + 1, 4);
    assert_fails(mx_matrix_check_scales(&m, "m", &err), MX_ERR_FORMAT, "\"m.weight_scale\" holds NaN");
}

static const struct {
    const char *config, *module;
    size_t experts, rows, cols;
    mx_status status;
    const char *message;
} unfit[] = {
    {"{}", "g", 0, 2, 3, MX_ERR_FORMAT, "tensor \"g.weight\" is missing"},
    {"{}", "f", 0, 3, 2, MX_ERR_FORMAT, "tensor \"f.weight\": expected [3, 2], got [2, 3]"},
    {"{}", "f", 2, 1, 3, MX_ERR_FORMAT, "tensor \"f.weight\": expected [2, 1, 3], got [2, 3]"},
    {"{}", "bare", 0, 2, 3, MX_ERR_FORMAT, "tensor \"bare\": expected [2, 3], got [4, 2, 3]"},
    {"{}", "i", 0, 2, 3, MX_ERR_UNSUPPORTED,
     "tensor \"i.weight\" is stored as I8; F32, F16, BF16, F8_E4M3 with scales or"},
    {"{}", "u", 0, 2, 64, MX_ERR_UNSUPPORTED, "stored as U32 without scales beside it"},
    {"{}", "p", 0, 2, 48, MX_ERR_FORMAT, "[2, 8] with scales [2, 2] is no MLX quantization of 48 columns"},
    {"{}", "p", 0, 2, 0, MX_ERR_FORMAT, "no MLX quantization of 0 columns"},
    {"{}", "p", 0, 3, 64, MX_ERR_FORMAT, "tensor \"p.weight\": expected [3, 8], got [2, 8]"},
    {"{}", "p", 2, 1, 64, MX_ERR_FORMAT, "tensor \"p.weight\": expected [2, 1, 8], got [2, 8]"},
    {"{}", "s", 2, 1, 64, MX_ERR_FORMAT, "tensor \"s.weight\": expected [2, 1, 8], got [2, 2, 8]"},
    {"{}", "q", 0, 2, 64, MX_ERR_FORMAT, "tensor \"q.biases\" is missing"},
    {"{}", "r", 0, 2, 64, MX_ERR_FORMAT, "the scales and biases of \"r\" are F16 and BF16"},
    {"{}", "t", 0, 2, 64, MX_ERR_FORMAT, "\"t.weight\" has scales, but is stored as F16, not U32"},
    {"{}", "x", 0, 2, 64, MX_ERR_FORMAT, "the scales and biases of \"x\" are U8 and U8"},
    {"{}", "y", 0, 2, 64, MX_ERR_FORMAT, "tensor \"y.scales\": expected [2, 2], got [3, 2]"},
    {"{\"quantization\":{}}", "p", 0, 2, 64, MX_ERR_FORMAT,
     "config.json says affine, 4 bits in groups of 64, and 64 columns"},
    {"{\"quantization\":{\"bits\":8,\"group_size\":32}}", "p", 0, 2, 64, MX_ERR_FORMAT,
     "says affine, 8 bits in groups of 32"},
    {"{\"quantization\":{\"p\":false}}", "p", 0, 2, 64, MX_ERR_FORMAT, "config.json says it is not quantized"},
    {"{\"quantization\":{\"mode\":\"mxfp4\"}}", "p", 0, 2, 64, MX_ERR_FORMAT,
     "with F16 scales [2, 2]: config.json says mxfp4"},
    {"{\"quantization\":{\"mode\":\"nvfp4\"}}", "m", 0, 2, 64, MX_ERR_FORMAT, "says nvfp4, 4 bits in groups of 16"},
    {"{}", "k_blocks", 0, 2, 64, MX_ERR_FORMAT, "tensor \"k_scales\": expected [2, 2], got [2, 3]"},
    {"{}", "k_blocks", 0, 2, 96, MX_ERR_FORMAT, "tensor \"k_blocks\": expected [2, 3, 16], got [2, 2, 16]"},
    {"{}", "k_blocks", 0, 2, 65, MX_ERR_FORMAT, "tensor \"k_blocks\": expected"},
    {"{}", "l_blocks", 0, 2, 64, MX_ERR_FORMAT, "tensor \"l_scales\" is missing"},
    {"{}", "e", 0, 2, 64, MX_ERR_UNSUPPORTED, "stored as F8_E4M3 without scales beside it"},
    {"{}", "h", 0, 2, 64, MX_ERR_UNSUPPORTED, "\"h.weight_scale_inv\": [2, 2] are not the scales of 2 x 64 numbers"},
    {"{\"quantization_config\":{\"quant_method\":\"fp8\",\"weight_block_size\":[1,64]}}", "h", 0, 2, 64,
     MX_ERR_UNSUPPORTED, "are not the scales of 2 x 64 numbers"},
    {"{}", "w", 0, 2, 64, MX_ERR_UNSUPPORTED, "\"w.weight_scale\" is stored as U8; F32"},
};

static void refuses_what_does_not_fit(void **state)
{
    PUT_TENSORS(folder, "model.safetensors", weights);
    for (size_t i = 0; i < sizeof unfit / sizeof *unfit; i++) {
        struct mx_matrix m;
        put_text(folder, "config.json", unfit[i].config);
        struct mx_checkpoint *checkpoint = must_open();
        if (unfit[i].experts) {
            assert_fails(mx_checkpoint_expert(checkpoint, unfit[i].module, unfit[i].experts, 0, unfit[i].rows,
                                              unfit[i].cols, &m, &err),
                         unfit[i].status, unfit[i].message);
        } else {
            assert_fails(mx_checkpoint_matrix(checkpoint, unfit[i].module, unfit[i].rows, unfit[i].cols, &m, &err),
                         unfit[i].status, unfit[i].message);
        }
        mx_checkpoint_close(checkpoint);
    }
}

static void gives_vectors_as_f32(void **state)
{
    static const uint16_t bf16[] = {0x3f80, 0xc000, 0x7f80}; /* 1, -2, infinity */
    static const struct tensor_row rows[] = {
        {"good", "BF16", "[2]", 4}, {"bad", "BF16", "[1,1]", 2}, {"b", "U8", "[1]", 1}};
    PUT_TENSORS(folder, "model.safetensors", rows);
    struct mx_checkpoint *checkpoint = must_open();
    /* Put the numbers where the helper wrote its pattern: a second file of the same size. */
    const size_t at = mx_checkpoint_find(checkpoint, "good")->offset;
    mx_checkpoint_close(checkpoint);
    char *path = mx_path_join(folder, "model.safetensors"), *bytes;
    size_t length;
    assert_ok(mx_file_read(path, 1 << 20, &bytes, &length, &err));
    memcpy(bytes + at, bf16, sizeof bf16);
    assert_ok(mx_file_write(path, bytes, length, &err));
    free(path);
    free(bytes);
    checkpoint = must_open();
    float out[2];
    assert_ok(mx_checkpoint_vector(checkpoint, "good", 2, out, &err));
    assert_true(out[0] == 1 && out[1] == -2);
    assert_fails(mx_checkpoint_vector(checkpoint, "good", 3, out, &err), MX_ERR_FORMAT, "expected [3], got [2]");
    assert_fails(mx_checkpoint_vector(checkpoint, "none", 1, out, &err), MX_ERR_FORMAT, "tensor \"none\" is missing");
    assert_fails(mx_checkpoint_vector(checkpoint, "b", 1, out, &err), MX_ERR_UNSUPPORTED, "\"b\" is stored as U8");
    assert_fails(mx_checkpoint_vector(checkpoint, "bad", 1, out, &err), MX_ERR_FORMAT, "element 0 is inf");
    mx_checkpoint_close(checkpoint);
}

static void finds_nan_scales(void **state)
{
    static const enum mx_dtype dtypes[] = {MX_F32, MX_F16, MX_BF16};
    for (size_t d = 0; d < 3; d++) {
        uint8_t scales[4 * 37] = {0}, biases[4 * 37] = {0};
        const struct mx_matrix m = {scales, scales, biases, 37, 32, dtypes[d], 4, 32};
        assert_ok(mx_matrix_check_scales(&m, "m", &err));
        for (size_t i = 0; i < 37; i++) mx_float_store(scales, dtypes[d], i, dtypes[d] == MX_F16 ? 65504 : 3e38f);
        assert_ok(mx_matrix_check_scales(&m, "m", &err));
        mx_float_store(biases, dtypes[d], 36, -INFINITY);
        assert_fails(mx_matrix_check_scales(&m, "m", &err), MX_ERR_FORMAT, "\"m.biases\" holds NaN or infinity");
        mx_float_store(scales, dtypes[d], 0, NAN);
        assert_fails(mx_matrix_check_scales(&m, "m", &err), MX_ERR_FORMAT, "\"m.scales\" holds NaN or infinity");
    }
}

/* ---- surveys ---- */

static void surveys_count_codes(void **state)
{
    static const struct tensor_row rows[] = {
        {"a.weight", "U32", "[2,8]", 64},    {"a.scales", "F16", "[2,1]", 4}, {"a.biases", "F16", "[2,1]", 4},
        {"b.weight", "U32", "[2,16]", 128},  {"b.scales", "F16", "[2,1]", 4}, {"b.biases", "F16", "[2,1]", 4},
        {"norm.weight", "F16", "[64]", 128}, {"a.bias", "F16", "[2]", 4},
    };
    PUT_TENSORS(folder, "model.safetensors", rows);
    put_text(folder, "config.json", "{\"quantization\":{\"bits\":4,\"b\":{\"bits\":8}}}");
    struct mx_checkpoint_survey survey;
    assert_ok(mx_checkpoint_survey(&survey, folder, NULL, &err));
    assert_int_equal(survey.files, 1);
    assert_int_equal(survey.tensors, 8);
    assert_int_equal(survey.bytes, 64 + 8 + 128 + 8 + 128 + 4);
    assert_int_equal(survey.bytes_by_storage[MX_STORAGE_U32], 192);
    assert_int_equal(survey.elements_by_storage[MX_STORAGE_F16], 8 + 64 + 2);
    assert_int_equal(survey.quantized_parameters, 2 * 64 + 2 * 64);
    assert_int_equal(survey.parameters, 256 + 64 + 2);
    assert_int_equal(survey.quantized_bytes, 64 + 8 + 128 + 8);
    assert_int_equal(survey.kind, MX_QUANT_MLX);

    static const struct tensor_row gptq[] = {{"a.qweight", "I32", "[8,2]", 64},
                                             {"a.qzeros", "I32", "[1,1]", 4},
                                             {"a.scales", "F16", "[1,2]", 4},
                                             {"a.g_idx", "I32", "[64]", 256}};
    PUT_TENSORS(folder, "model.safetensors", gptq);
    put_text(folder, "config.json", "{\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":4}}");
    assert_ok(mx_checkpoint_survey(&survey, folder, NULL, &err));
    assert_int_equal(survey.kind, MX_QUANT_FOREIGN);
    assert_int_equal(survey.parameters, 128);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(joins_shards_without_an_index, open_folder, close_folder),
        cmocka_unit_test_setup_teardown(a_stale_index_hides_nothing, open_folder, close_folder),
        cmocka_unit_test_setup_teardown(reports_what_is_missing, open_folder, close_folder),
        cmocka_unit_test_setup_teardown(passes_on_what_is_wrong_in_a_file, open_folder, close_folder),
        cmocka_unit_test_setup_teardown(finds_each_of_many, open_folder, close_folder),
        cmocka_unit_test(reads_quantization),
        cmocka_unit_test_setup_teardown(refuses_bad_quantization, open_folder, close_folder),
        cmocka_unit_test_setup_teardown(gives_matrices_in_place, open_folder, close_folder),
        cmocka_unit_test_setup_teardown(gives_float_matrices_in_place, open_folder, close_folder),
        cmocka_unit_test(float_scales_are_checked),
        cmocka_unit_test_setup_teardown(refuses_what_does_not_fit, open_folder, close_folder),
        cmocka_unit_test_setup_teardown(gives_vectors_as_f32, open_folder, close_folder),
        cmocka_unit_test(finds_nan_scales),
        cmocka_unit_test_setup_teardown(surveys_count_codes, open_folder, close_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
