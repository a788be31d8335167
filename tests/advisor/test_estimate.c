/* advisor/estimate and subject: sums by hand for known models, the largest context, and what gets in the way. */
#include "advisor/estimate.h"

#include "models.h"

#include <sys/stat.h>

#include "advisor/page.h"
#include "base/file.h"
#include "base/random.h"
#include "cache/size.h"

static struct mx_error err;

static void llama_by_hand(void **state)
{
    struct mx_subject subject = {.weights = 16060522496, .basis = MX_BASIS_ESTIMATED};
    parse_arch(&subject.arch, LLAMA_8B);
    assert_int_equal(mx_arch_parameters(&subject.arch).total, 8030261248); /* as published: 8.03 B */
    struct mx_estimate_request request = {.context = 32768,
                                          .batch = 1,
                                          .kv = mx_kv_options_default(),
                                          .available = 24000000000,
                                          .activations = 100000000};
    struct mx_estimate estimate;
    assert_ok(mx_estimate(&estimate, &subject, &request, &err));
    assert_int_equal(estimate.marginal, 32 * 8 * 128 * 2 * 2); /* layers, heads, numbers, sides, bytes: 131072 */
    assert_int_equal(estimate.cache, 32768ull * 131072);
    assert_int_equal(estimate.state, 0);
    assert_int_equal(estimate.total, estimate.weights + estimate.cache + 100000000 + estimate.overhead);
    assert_int_equal(estimate.fits, MX_FIT_YES);
    assert_int_equal(estimate.spare, 24000000000 - estimate.total);
    request.available = estimate.total; /* to the byte */
    assert_ok(mx_estimate(&estimate, &subject, &request, &err));
    assert_int_equal(estimate.fits, MX_FIT_YES);
    assert_int_equal(estimate.spare, 0);
    request.available--;
    assert_ok(mx_estimate(&estimate, &subject, &request, &err));
    assert_int_equal(estimate.fits, MX_FIT_NO);
    assert_int_equal(estimate.missing, 1);
    request.available = 24000000000;
    request.batch = 4;
    assert_ok(mx_estimate(&estimate, &subject, &request, &err));
    assert_int_equal(estimate.cache, 4 * 32768ull * 131072);
    assert_int_equal(estimate.fits, MX_FIT_NO);
    assert_int_equal(estimate.missing, estimate.total - 24000000000);
    request.batch = 1;
    request.context = 32769; /* the next step of 256 */
    assert_ok(mx_estimate(&estimate, &subject, &request, &err));
    assert_int_equal(estimate.context, 33024);
    assert_int_equal(estimate.cache, 33024ull * 131072);
    request.available = 0; /* nothing known of the machine */
    assert_ok(mx_estimate(&estimate, &subject, &request, &err));
    assert_int_equal(estimate.fits, MX_FIT_UNKNOWN);
    assert_false(estimate.max_context_known);
    mx_arch_free(&subject.arch);
}

/* For every mode, at random budgets and batches: the largest context fits, 256 more tokens don't, and a larger budget
 * never gives less. */
static void largest_context_is_the_largest(void **state)
{
    struct mx_layer rows[8];
    struct mx_random random = {7};
    for (int class_ = MX_CLASS_STANDARD; class_ <= MX_CLASS_RECURRENT; class_++) {
        struct mx_subject subject = {.weights = 100000000, .basis = MX_BASIS_EXACT};
        subject.arch = plain_arch((enum mx_class)class_, "qwen3_next", 128, rows, 8);
        for (int mode = 0; mode < MX_MODE_COUNT; mode++) {
            uint64_t last = 0, budget = 100000000;
            const uint32_t batch = 1 + mx_random_u64(&random) % 4;
            for (int step = 0; step < 24; step++) {
                budget += mx_random_u64(&random) % (20000000ull << (step / 3));
                struct mx_estimate_request request = {.context = 256,
                                                      .batch = batch,
                                                      .kv = mx_kv_options_default(),
                                                      .available = budget,
                                                      .activations = 1000000};
                request.kv.mode = (enum mx_mode)mode;
                struct mx_estimate estimate, at;
                assert_ok(mx_estimate(&estimate, &subject, &request, &err));
                assert_true(estimate.max_context >= last);
                last = estimate.max_context;
                assert_int_equal(last % MX_CONTEXT_STEP, 0);
                assert_int_equal(estimate.fits == MX_FIT_YES, last >= 256);
                if (last) {
                    request.context = last;
                    assert_ok(mx_estimate(&at, &subject, &request, &err));
                    assert_int_equal(at.fits, MX_FIT_YES);
                    assert_int_equal(at.max_context, last);
                }
                if (last + MX_CONTEXT_STEP > MX_ESTIMATE_MAX_CONTEXT) continue;
                request.context = last + MX_CONTEXT_STEP;
                assert_ok(mx_estimate(&at, &subject, &request, &err));
                assert_int_equal(at.fits, MX_FIT_NO);
            }
        }
    }
}

static void remedies(void **state)
{
    struct mx_layer rows[8];
    struct mx_subject subject = {.weights = 1000000000, .basis = MX_BASIS_EXACT};
    subject.arch = plain_arch(MX_CLASS_STANDARD, "llama", 128, rows, 8);
    struct mx_estimate_request request = {
        .context = 65536, .batch = 1, .kv = mx_kv_options_default(), .available = 3000000000, .activations = 1000000};
    struct mx_remedy remedy;
    assert_ok(mx_estimate_remedy(&remedy, &subject, &request, &err));
    assert_int_equal(remedy.kind, MX_REMEDY_NONE);
    request.available = 1400000000;
    assert_ok(mx_estimate_remedy(&remedy, &subject, &request, &err));
    assert_int_equal(remedy.kind, MX_REMEDY_MODE);
    assert_int_equal(remedy.mode, MX_MODE_INT8);
    assert_int_equal(remedy.context, 65536);
    request.available = 1150000000;
    assert_ok(mx_estimate_remedy(&remedy, &subject, &request, &err));
    assert_int_equal(remedy.kind, MX_REMEDY_CONTEXT);
    assert_int_equal(remedy.mode, MX_MODE_INT8_TURBO4);
    assert_in_range(remedy.context, 256, 65536 - 256);
    request.available = 900000000;
    assert_ok(mx_estimate_remedy(&remedy, &subject, &request, &err));
    assert_int_equal(remedy.kind, MX_REMEDY_WEIGHTS);
    assert_true(remedy.fixed > 1000000000);
}

/* In a short text, what a mode keeps in fp16 besides its codes takes more than codes save. */
static void remedy_of_a_short_text(void **state)
{
    struct mx_layer rows[8];
    struct mx_subject subject = {.weights = 1000000000, .basis = MX_BASIS_EXACT};
    subject.arch = plain_arch(MX_CLASS_STANDARD, "llama", 128, rows, 8);
    struct mx_estimate_request request = {
        .context = 256, .batch = 1, .kv = mx_kv_options_default(), .available = 3000000000, .activations = 1000000};
    struct mx_estimate plain, asked;
    assert_ok(mx_estimate(&plain, &subject, &request, &err));
    request.kv.mode = MX_MODE_TURBO4_DELEGATED;
    assert_ok(mx_estimate(&asked, &subject, &request, &err));
    assert_true(asked.total > plain.total);
    request.available = plain.total;
    struct mx_remedy remedy;
    assert_ok(mx_estimate_remedy(&remedy, &subject, &request, &err));
    assert_int_equal(remedy.kind, MX_REMEDY_MODE);
    assert_int_equal(remedy.mode, MX_MODE_FP16);
}

static void refuses_nonsense(void **state)
{
    struct mx_layer rows[2];
    struct mx_subject subject = {.weights = 1, .basis = MX_BASIS_EXACT};
    subject.arch = plain_arch(MX_CLASS_STANDARD, "llama", 128, rows, 2);
    struct mx_estimate_request request = {.context = 0, .batch = 1, .kv = mx_kv_options_default()};
    struct mx_estimate estimate;
    assert_fails(mx_estimate(&estimate, &subject, &request, &err), MX_ERR_ARGUMENT, "context is 0");
    request.context = 1ull << 40;
    assert_fails(mx_estimate(&estimate, &subject, &request, &err), MX_ERR_ARGUMENT, "1 to 268435456");
    request.context = 1;
    request.batch = 0;
    assert_fails(mx_estimate(&estimate, &subject, &request, &err), MX_ERR_ARGUMENT, "batch is 0");
    request.batch = MX_ESTIMATE_MAX_BATCH; /* beyond what 64 bits hold: an error, never a wrong number */
    request.context = MX_ESTIMATE_MAX_CONTEXT;
    for (int i = 0; i < 2; i++) rows[i].attention.kv_heads = rows[i].attention.k_dim = rows[i].attention.v_dim = 8192;
    assert_fails(mx_estimate(&estimate, &subject, &request, &err), MX_ERR_LIMIT, "2^63");
}

/* Where a mode pays: less is read than with fp16 by MX_PAGE_GAIN per cent there, and not 256 tokens earlier. */
static void pays_from(void **state)
{
    struct mx_layer rows[8];
    struct mx_subject subject = {
        .weights = 20000000,
        .basis = MX_BASIS_EXACT,
        .parameter_bytes = 2,
        .parameters = {.total = 10000000, .active = 10000000, .read = 10000000, .complete = true}};
    subject.arch = plain_arch(MX_CLASS_STANDARD, "llama", 128, rows, 8);
    const struct mx_estimate_request request = {.context = 8192, .batch = 1, .kv = mx_kv_options_default()};
    const struct mx_kv_advice_request none = {0};
    struct mx_page_row page[MX_MODE_COUNT];
    assert_ok(mx_page_fill(page, &subject, &request, &none, &err));
    assert_int_equal(page[MX_MODE_FP16].pays_from, 0);
    for (int mode = 1; mode < MX_MODE_COUNT; mode++) {
        const uint64_t from = page[mode].pays_from;
        assert_true(from >= 512 && from <= 8192);
        for (int before = 0; before < 2; before++) {
            const uint64_t context = from - (uint64_t)before * MX_CONTEXT_STEP;
            const double plain = 20e6 + (double)mx_cache_bytes(&subject.arch, &page[0].estimate.setup, context);
            const double coded = 20e6 + (double)mx_cache_bytes(&subject.arch, &page[mode].estimate.setup, context);
            assert_int_equal(plain / coded >= 1.05, !before);
        }
        assert_true(page[mode].speed_up > 1.05);
    }
    subject.arch = plain_arch(MX_CLASS_RECURRENT, "mamba2", 128, rows, 8);
    assert_ok(mx_page_fill(page, &subject, &request, &none, &err));
    for (int mode = 0; mode < MX_MODE_COUNT; mode++) {
        assert_int_equal(page[mode].estimate.setup.mode, MX_MODE_FP16);
        assert_int_equal(page[mode].pays_from, 0);
    }
}

static char folder[] = "/tmp/mlxcel-subject-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s%s", folder, name);
    return path;
}

static void put(const char *name, const void *bytes, size_t length)
{
    assert_ok(mx_file_write(in_folder(name), bytes, length, &err));
}

static void subject_from_config_and_headers(void **state)
{
    struct mx_subject subject;
    put("/config.json", LLAMA_8B, strlen(LLAMA_8B));
    assert_ok(mx_subject_open(&subject, in_folder("/config.json"), &err));
    assert_int_equal(subject.basis, MX_BASIS_ESTIMATED);
    assert_int_equal(subject.weights, 2 * 8030261248ull);
    assert_string_equal(subject.dtype, "bfloat16");
    assert_string_equal(subject.name, folder + 5); /* without "/tmp/" */
    mx_subject_close(&subject);

    static const char header[] = "{\"a.weight\":{\"dtype\":\"F16\",\"shape\":[4,8],\"data_offsets\":[0,64]}}";
    char file[8 + sizeof header - 1 + 64] = {sizeof header - 1};
    memcpy(file + 8, header, sizeof header - 1);
    put("/model.safetensors", file, sizeof file);
    assert_ok(mx_subject_open(&subject, folder, &err)); /* headers beat the config */
    assert_int_equal(subject.basis, MX_BASIS_EXACT);
    assert_int_equal(subject.weights, 64);
    assert_int_equal(subject.count, 32);
    assert_string_equal(subject.dtype, "float16");
    mx_subject_close(&subject);
    put("/model.safetensors", file, 40); /* truncated: an error, not an estimate */
    assert_int_not_equal(mx_subject_open(&subject, folder, &err), MX_OK);
    unlink(in_folder("/model.safetensors"));
    unlink(in_folder("/config.json"));
    assert_fails(mx_subject_open(&subject, folder, &err), MX_ERR_IO, "config.json");
    assert_fails(mx_subject_open(&subject, in_folder("/nowhere"), &err), MX_ERR_IO, "nowhere");
}

/* Weights that are not here, but that an index or a pointer in their place tells the size of. */
static void subject_of_absent_weights(void **state)
{
    static const char index[] = "{\"metadata\": {\"total_size\": 12345678}, \"weight_map\": {}}";
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\n"
                                  "oid sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"
                                  "size 7654321\n";
    static const struct {
        const char *file, *text, *from;
        uint64_t bytes;
        enum mx_basis basis;
    } cases[] = {
        {"/model.safetensors.index.json", index, "total_size of the index", 12345678, MX_BASIS_EXACT},
        {"/model.safetensors", pointer, "the sizes that the git-lfs pointers tell", 7654321, MX_BASIS_ESTIMATED},
    };
    put("/config.json", LLAMA_8B, strlen(LLAMA_8B));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mx_subject subject;
        put(cases[i].file, cases[i].text, strlen(cases[i].text));
        assert_ok(mx_subject_open(&subject, folder, &err));
        assert_int_equal(subject.basis, cases[i].basis);
        assert_int_equal(subject.weights, cases[i].bytes);
        assert_int_equal(subject.count, 8030261248);
        assert_string_equal(subject.weights_from, cases[i].from);
        mx_subject_close(&subject);
        unlink(in_folder(cases[i].file));
    }
    unlink(in_folder("/config.json"));
}

/* 8 030 261 248 parameters at 4.5 bits; another program's 4 bits leave embedding and output at 16. */
static void quantized_configs(void **state)
{
    static const char *const sections[] = {
        "\"quantization\": {\"group_size\": 64, \"bits\": 4}}",
        "\"quantization_config\": {\"quant_method\": \"gptq\", \"bits\": 4, \"group_size\": 128}}"};
    const uint64_t total = 8030261248, tables = 2 * 128256ull * 4096;
    const uint64_t expected[] = {total / 16 * 9, (total - tables) / 2 + (total - tables) / 128 * 5 / 2 + 2 * tables};
    for (int i = 0; i < 2; i++) {
        char text[1024];
        snprintf(text, sizeof text, "%.*s, %s", (int)strlen(LLAMA_8B) - 1, LLAMA_8B, sections[i]);
        put("/config.json", text, strlen(text));
        struct mx_subject subject;
        assert_ok(mx_subject_open(&subject, folder, &err));
        assert_in_range(subject.weights, expected[i] - expected[i] / 1000, expected[i] + expected[i] / 1000);
        mx_subject_close(&subject);
    }
    unlink(in_folder("/config.json"));
}

int main(void)
{
    if (!mkdtemp(folder)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(llama_by_hand),
        cmocka_unit_test(largest_context_is_the_largest),
        cmocka_unit_test(remedies),
        cmocka_unit_test(remedy_of_a_short_text),
        cmocka_unit_test(refuses_nonsense),
        cmocka_unit_test(pays_from),
        cmocka_unit_test(subject_from_config_and_headers),
        cmocka_unit_test(subject_of_absent_weights),
        cmocka_unit_test(quantized_configs),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
