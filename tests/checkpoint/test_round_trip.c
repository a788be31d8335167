/* What this floor writes, the model floor opens: checkpoints that tools/make-checkpoint makes up, and the tiny models
 * of the references after quantizing. Opening checks that each tensor is there in its shape and none is left over. */
#include "support.h"

#include "checkpoint/quantize.h"
#include "files.h"
#include "model/model.h"

static struct mx_error err;

static const char *const configs[] = {
    "{\"model_type\": \"llama\", \"hidden_size\": 64, \"intermediate_size\": 96, \"num_attention_heads\": 4, "
    "\"num_key_value_heads\": 2, \"num_hidden_layers\": 2, \"vocab_size\": 40, \"max_position_embeddings\": 128, "
    "\"rms_norm_eps\": 1e-05, \"tie_word_embeddings\": false}",
    "{\"model_type\": \"phi\", \"hidden_size\": 160, \"intermediate_size\": 96, \"num_attention_heads\": 2, "
    "\"num_key_value_heads\": 2, \"num_hidden_layers\": 2, \"vocab_size\": 40, \"max_position_embeddings\": 128, "
    "\"layer_norm_eps\": 1e-05, \"partial_rotary_factor\": 0.4, \"hidden_act\": \"gelu_new\"}",
};
static const char *const forms[] = {"--bf16", "--bits 4 --group-size 32", "--bits 3 --group-size 64 --seed 5"};
static const char *const families[] = {"llama",   "mistral",   "qwen2",     "qwen3",
                                       "mixtral", "qwen2_moe", "qwen3_moe", "phi"};

static void check_opens(const char *directory)
{
    struct mx_model *model;
    assert_ok(mx_model_open(&model, directory, NULL, &err));
    mx_model_close(model);
}

static void check_made(const char *config_path, const char *form)
{
    char *folder = make_folder(), *target = mx_path_join(folder, "made");
    struct mx_str command = {0};
    mx_str_printf(&command, "%s '%s' -o '%s' %s >/dev/null", MAKE_CHECKPOINT, config_path, target, form);
    assert_int_equal(system(command.data), 0);
    check_opens(target);
    mx_str_free(&command);
    free(target);
    remove_folder(folder);
}

static void made_up_checkpoints_open(void **state)
{
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        char *folder = make_folder(), *path = mx_path_join(folder, "config.json");
        put_text(folder, "config.json", configs[i]);
        for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) check_made(path, forms[f]);
        free(path);
        remove_folder(folder);
    }
}

static void every_family_is_made_and_quantized(void **state)
{
    if (!shared_fixtures()) skip_needing("../shared/fixtures");
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        char source[256], path[300];
        snprintf(source, sizeof source, "%s/families/%s", shared_fixtures(), families[i]);
        snprintf(path, sizeof path, "%s/config.json", source);
        check_made(path, "--bits 6 --group-size 32");
        char *folder = make_folder(), *target = mx_path_join(folder, "quantized");
        const struct mx_quantize_options options = {.bits = 5, .group = 32};
        struct mx_quantize_result result;
        assert_ok(mx_quantize_checkpoint(source, target, &options, NULL, &result, &err));
        assert_true(result.bytes < result.source_bytes && result.quantized > 0);
        check_opens(target);
        free(target);
        remove_folder(folder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(made_up_checkpoints_open),
        cmocka_unit_test(every_family_is_made_and_quantized),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
