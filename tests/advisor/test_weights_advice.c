/* advisor/weights_advice: sizes and bounds by hand, the choice, and the warnings. */
#include "advisor/weights_advice.h"

#include "base/file.h"
#include "checkpoint/gguf_writer.h"
#include "models.h"

#include <math.h>

static struct mx_error err;

static struct mx_subject llama_subject(void)
{
    struct mx_subject subject = {.basis = MX_BASIS_ESTIMATED, .parameter_bytes = 2, .dtype = "bfloat16"};
    parse_arch(&subject.arch, LLAMA_8B);
    subject.parameters = mx_arch_parameters(&subject.arch);
    subject.count = subject.parameters.total;
    subject.weights = 2 * subject.count;
    return subject;
}

static struct mx_weights_request plan(uint64_t available)
{
    return (struct mx_weights_request){.estimate = {.context = 4096,
                                                    .batch = 1,
                                                    .kv = mx_kv_options_default(),
                                                    .available = available,
                                                    .activations = 100000000},
                                       .bandwidth = 34e9};
}

static const struct mx_weight_candidate *find(const struct mx_weights_advice *advice, const char *name)
{
    for (int i = 0; i < advice->count; i++)
        if (!strcmp(advice->candidates[i].name, name)) return &advice->candidates[i];
    fail_msg("no candidate %s", name);
    return NULL;
}

static void sizes_and_bounds(void **state)
{
    struct mx_subject subject = llama_subject();
    struct mx_weights_advice advice;
    const struct mx_weights_request request = plan(64000000000);
    assert_ok(mx_weights_advise(&advice, &subject, &request, &err));
    assert_int_equal(find(&advice, "as-is")->bytes, 16060522496);
    assert_int_equal(find(&advice, "bf16")->bytes, 16060522496);
    const double total = 8030261248.0, embedding = 128256.0 * 4096;
    static const struct {
        const char *name;
        double bits;
    } widths[] = {{"8-bit", 8.5}, {"6-bit", 6.5}, {"5-bit", 5.5}, {"4-bit", 4.5}, {"3-bit", 3.5}, {"2-bit", 2.5}};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        const struct mx_weight_candidate *one = find(&advice, widths[i].name);
        assert_true(fabs((double)one->bytes - total * widths[i].bits / 8) < 2);
        /* a token reads all but the embedding, which is not tied here */
        const double step = (total - embedding) * widths[i].bits / 8;
        assert_true(fabs(one->bound - 34e9 / step) < 1e-3);
        assert_true(fabs(one->bound_far - 34e9 / (step + 4096 * 131072.0)) < 1e-3);
    }
    mx_arch_free(&subject.arch);
}

static void experts_count_only_if_used(void **state)
{
    struct mx_subject subject = {.basis = MX_BASIS_ESTIMATED, .parameter_bytes = 2, .dtype = "bfloat16"};
    parse_arch(&subject.arch, QWEN3_30B);
    subject.parameters = mx_arch_parameters(&subject.arch);
    subject.count = subject.parameters.total;
    subject.weights = 2 * subject.count;
    assert_true(fabs((double)subject.parameters.total / 30.53e9 - 1) < 0.001); /* as published: 30.5 B, 3.3 B active */
    struct mx_weights_advice advice;
    const struct mx_weights_request request = plan(64000000000);
    assert_ok(mx_weights_advise(&advice, &subject, &request, &err));
    const double step = 2.0 * (double)subject.parameters.active;
    assert_true(fabs(find(&advice, "as-is")->bound - 34e9 / step) < 1e-6);
    assert_true(step < 2 * 3.4e9);
    mx_arch_free(&subject.arch);
}

static void the_widest_that_fits_with_headroom(void **state)
{
    struct mx_subject subject = llama_subject();
    static const struct {
        uint64_t memory;
        const char *name; /* NULL: nothing fits */
    } cases[] = {{64000000000, "as-is"}, {18700000000, "as-is"}, {17500000000, "8-bit"},
                 {11000000000, "8-bit"}, {9900000000, "6-bit"},  {6000000000, "4-bit"},
                 {4400000000, "3-bit"},  {3300000000, "2-bit"},  {2000000000, NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mx_weights_advice advice;
        const struct mx_weights_request request = plan(cases[i].memory);
        assert_ok(mx_weights_advise(&advice, &subject, &request, &err));
        if (!cases[i].name) {
            assert_int_equal(advice.recommended, -1);
            assert_non_null(strstr(advice.reason, "nothing fits: even 2-bit needs"));
            continue;
        }
        assert_true(advice.recommended >= 0);
        assert_string_equal(advice.candidates[advice.recommended].name, cases[i].name);
    }
    struct mx_weights_advice advice;
    const struct mx_weights_request request = plan(0);
    assert_ok(mx_weights_advise(&advice, &subject, &request, &err));
    assert_int_equal(advice.recommended, -1);
    assert_non_null(strstr(advice.reason, "memory to plan for"));
    mx_arch_free(&subject.arch);
}

/* A 4-bit checkpoint holds no more than 4 bits: nothing wider is recommended, but said where it would fit. */
static void never_wider_than_the_checkpoint(void **state)
{
    struct mx_subject subject = llama_subject();
    subject.quant_kind = MX_QUANT_MLX;
    subject.quant = (struct mx_quant){MX_QUANT_AFFINE, 4, 64};
    subject.parameter_bytes = 0.5625;
    subject.weights = (uint64_t)(0.5625 * (double)subject.count);
    struct mx_weights_advice advice;
    const struct mx_weights_request request = plan(64000000000);
    assert_ok(mx_weights_advise(&advice, &subject, &request, &err));
    assert_string_equal(advice.candidates[advice.recommended].name, "as-is");
    assert_true(find(&advice, "bf16")->needs_original && find(&advice, "5-bit")->needs_original);
    assert_false(find(&advice, "4-bit")->needs_original || find(&advice, "3-bit")->needs_original);
    assert_non_null(strstr(advice.reason, "the original in bf16 would fit too"));
    subject.quant_kind = MX_QUANT_FOREIGN; /* not ours to run: another candidate */
    subject.foreign = true;
    strcpy(subject.quant_method, "gptq");
    assert_ok(mx_weights_advise(&advice, &subject, &request, &err));
    assert_string_equal(advice.candidates[advice.recommended].name, "4-bit");
    assert_true(advice.warning_count == 1 && strstr(advice.warnings[0], "gptq"));
    subject = (struct mx_subject){.arch = subject.arch,
                                  .basis = MX_BASIS_EXACT,
                                  .count = subject.count,
                                  .parameter_bytes = 4,
                                  .weights = 4 * subject.count,
                                  .dtype = "float32"};
    assert_ok(mx_weights_advise(&advice, &subject, &request, &err)); /* what is whole holds them all */
    for (int i = 0; i < advice.count; i++) assert_false(advice.candidates[i].needs_original);
    mx_arch_free(&subject.arch);
}

static void warnings_name_what_is_missing(void **state)
{
    struct mx_subject subject = llama_subject();
    struct mx_machine machine = {.isa = MX_ISA_AVX2 | MX_ISA_FMA | MX_ISA_F16C};
    struct mx_weights_request request = plan(64000000000);
    request.machine = &machine;
    struct mx_weights_advice advice;
    assert_ok(mx_weights_advise(&advice, &subject, &request, &err));
    assert_int_equal(advice.warning_count, 1);
    assert_non_null(strstr(advice.warnings[0], "never turned into fp16"));
    assert_string_equal(advice.candidates[1].name, "bf16"); /* and no candidate is fp16 */
    machine.isa |= MX_ISA_AVX512_BF16;
    assert_ok(mx_weights_advise(&advice, &subject, &request, &err));
    assert_int_equal(advice.warning_count, 0);
    machine.isa = 0;
    assert_ok(mx_weights_advise(&advice, &subject, &request, &err));
    assert_non_null(strstr(advice.warnings[0], "no AVX2"));
    strcpy(subject.dtype, "float16");
    machine.isa = MX_ISA_AVX2;
    assert_ok(mx_weights_advise(&advice, &subject, &request, &err));
    assert_non_null(strstr(advice.warnings[0], "no F16C"));
    assert_string_equal(advice.candidates[1].name, "fp16");
    mx_arch_free(&subject.arch);
}

static void unknown_weights_stay_unknown(void **state)
{
    struct mx_subject subject = {.basis = MX_BASIS_UNKNOWN, .weights_from = "the config does not tell the parameters"};
    struct mx_layer rows[4];
    subject.arch = plain_arch(MX_CLASS_STANDARD, "odd", 64, rows, 4);
    struct mx_weights_advice advice;
    const struct mx_weights_request request = plan(64000000000);
    assert_ok(mx_weights_advise(&advice, &subject, &request, &err));
    assert_int_equal(advice.recommended, -1);
    assert_non_null(strstr(advice.reason, "unknown"));
    for (int i = 0; i < advice.count; i++) {
        assert_int_equal(advice.candidates[i].fits, MX_FIT_UNKNOWN);
        assert_true(advice.candidates[i].bound == 0);
    }
}

/* Of a GGUF file's types the three that hold the most, the largest first: the rest are norms and the like. */
static void names_the_types_of_a_gguf(void **state)
{
    static const char path[] = "/tmp/mlxcel-types.gguf";
    struct gguf_writer writer = {.architecture = "llama"};
    struct mx_str text = {0};
    gguf_text(&writer, "general.architecture", "llama");
    gguf_u32(&writer, "block_count", 2);
    gguf_u32(&writer, "embedding_length", 256);
    gguf_u32(&writer, "attention.head_count", 4);
    gguf_list(&writer, "feed_forward_length", MX_GGUF_I32, (const uint32_t[]){512, 512}, 2);
    gguf_tokens(&writer, 100);
    gguf_tensor(&writer, "blk.0.attn_norm.weight", 0, 256, 0, 256 * 4);
    gguf_tensor(&writer, "last.weight", 0, 64, 1, 64 * 2);
    gguf_tensor(&writer, "token_embd.weight", 100, 256, 12, 100 * 144);
    gguf_tensor(&writer, "blk.0.attn_q.weight", 256, 256, 8, 256 * 256 / 32 * 34);
    gguf_finish(&writer, &text);
    assert_ok(mx_file_write(path, text.data, text.length, &err));
    struct mx_subject subject;
    const mx_status status = mx_subject_open(&subject, path, &err);
    unlink(path);
    assert_ok(status);
    assert_string_equal(subject.quant_method, "GGUF Q8_0, Q4_K, F32");
    mx_subject_close(&subject);
    mx_str_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_and_bounds),
        cmocka_unit_test(experts_count_only_if_used),
        cmocka_unit_test(the_widest_that_fits_with_headroom),
        cmocka_unit_test(never_wider_than_the_checkpoint),
        cmocka_unit_test(warnings_name_what_is_missing),
        cmocka_unit_test(unknown_weights_stay_unknown),
        cmocka_unit_test(names_the_types_of_a_gguf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
