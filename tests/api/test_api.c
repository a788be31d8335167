/* The public interface, as a program that links the library uses it: only <mlxcel/mlxcel.h>. */
#include "support.h"

#include <mlxcel/mlxcel.h>

static struct mx_error err;
static const char model[] = "models/demo-llama-7m";

static void advises_from_a_config(void **state)
{
    struct mx_advise_options options = mx_advise_options_default();
    struct mx_advice advice;
    options.context = 32768;
    options.budget = 24000000000;
    assert_ok(mx_advise("examples/llama-3.1-8b/config.json", &options, &advice, &err));
    assert_string_equal(advice.model_type, "llama");
    assert_string_equal(advice.class_name, "standard");
    assert_string_equal(advice.ranges[0].suggested, "fp16");
    assert_string_equal(advice.ranges[1].suggested, "int8+turbo4");
    assert_string_equal(advice.ranges[1].alternatives[0], "int8");
    assert_null(advice.ranges[1].alternatives[1]);
    assert_int_equal(advice.ranges[2].from, 32769);
    /* 32 layers of 8 KV heads of 128: 131,072 bytes per token in fp16 */
    assert_string_equal(advice.modes[0].mode, "fp16");
    assert_int_equal(advice.modes[0].cache, 131072ull * 32768);
    assert_true(advice.modes[1].cache < advice.modes[0].cache);
    assert_true(advice.modes[1].max_context > advice.modes[0].max_context);
}

static void says_what_is_wrong(void **state)
{
    struct mx_advise_options options = mx_advise_options_default();
    struct mx_advice advice = {.context = 7};
    assert_fails(mx_advise("examples/none", &options, &advice, &err), MX_ERR_IO, "examples/none");
    assert_int_equal(advice.context, 7);
    options.batch = 0;
    assert_fails(mx_advise(model, &options, &advice, &err), MX_ERR_ARGUMENT, "batch");
    struct mx_llm_options llm_options = mx_llm_options_default();
    struct mx_llm *llm;
    llm_options.cache_mode = "q8_0";
    assert_fails(mx_llm_open(&llm, model, &llm_options, &err), MX_ERR_ARGUMENT, "int8");
    assert_null(llm);
}

struct heard {
    char text[256];
    size_t length, limit;
};

static bool hear(void *context, const char *text, size_t length)
{
    struct heard *heard = context;
    if (heard->length + length < sizeof heard->text) {
        memcpy(heard->text + heard->length, text, length);
        heard->length += length;
    }
    return heard->length < heard->limit;
}

static void generates_in_a_compressed_mode(void **state)
{
    struct mx_llm_options options = mx_llm_options_default();
    struct mx_llm *llm;
    options.threads = 2;
    options.context = 256;
    options.cache_mode = "int8+turbo4";
    assert_ok(mx_llm_open(&llm, model, &options, &err));
    assert_string_equal(mx_llm_cache_mode(llm), "int8+turbo4");
    assert_true(mx_llm_cache_bytes(llm) > 0);

    struct heard first = {.limit = SIZE_MAX}, second = {.limit = SIZE_MAX}, cut = {.limit = 1};
    struct mx_generate_request request = mx_generate_request_default();
    struct mx_generate_result result;
    request.prompt = "The table is";
    request.max_tokens = 12;
    request.on_text = hear;
    request.context = &first;
    assert_ok(mx_llm_generate(llm, &request, &result, &err));
    assert_true(result.tokens > 0 && result.tokens <= 12);
    request.context = &second;
    assert_ok(mx_llm_generate(llm, &request, &result, &err));
    assert_string_equal(first.text, second.text);
    request.context = &cut;
    assert_ok(mx_llm_generate(llm, &request, &result, &err));
    assert_true(cut.length < first.length);

    struct mx_evaluation evaluation;
    assert_fails(mx_llm_evaluate(llm, "too short", &evaluation, &err), MX_ERR_ARGUMENT, "token");
    char text[4096] = "";
    while (strlen(text) + 60 < sizeof text) strcat(text, "The function returns a pointer to the table of values. ");
    assert_ok(mx_llm_evaluate(llm, text, &evaluation, &err));
    assert_int_equal(evaluation.tokens % 256, 0);
    assert_true(evaluation.perplexity > 1 && evaluation.perplexity < 50); /* the sentence repeats itself */
    memset(&first, 0, sizeof first);
    first.limit = SIZE_MAX;
    request.context = &first;
    assert_ok(mx_llm_generate(llm, &request, &result, &err)); /* an evaluation leaves the handle usable */
    assert_string_equal(first.text, second.text);
    mx_llm_close(llm);
}

static void has_a_version(void **state)
{
    assert_int_equal(mx_abi_version(), MX_ABI_VERSION);
    assert_string_equal(mx_version(), MLXCEL_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(advises_from_a_config),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(generates_in_a_compressed_mode),
        cmocka_unit_test(has_a_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
