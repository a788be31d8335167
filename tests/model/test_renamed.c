/* The same tensors under another type's name, or with a config in other words: another model's logits to the bit. */
#include "kin.h"

/* A golden as another type, without the tensors whose names hold `drop`; `from` of its config becomes `to`. */
static float *run_as(const char *folder, const char *drop, const char *from, const char *to, size_t *vocab)
{
    struct copy copy;
    struct mx_checkpoint *checkpoint = open_checkpoint(folder);
    copy_start(&copy);
    for (size_t i = 0; i < mx_checkpoint_tensor_count(checkpoint); i++) {
        const struct mx_tensor *tensor = mx_checkpoint_tensor(checkpoint, i);
        if (drop && strstr(tensor->name, drop)) continue;
        copy_tensor(&copy, tensor->name, mx_storage_name(tensor->storage), tensor->rank, tensor->shape, tensor->data,
                    tensor->bytes);
    }
    char *config = replaced(config_of(folder), from, to);
    copy_finish(&copy, config);
    float *logits = run(copy.folder, vocab);
    copy_remove(&copy);
    mx_checkpoint_close(checkpoint);
    free(config);
    return logits;
}

/* The text parts of wrappers, whose classes are a text model's under another name. */
static void test_other_types(void **state)
{
    static const struct {
        const char *base, *drop, *from, *to, *other;
    } types[] = {
        {"glm4", NULL, "\"glm4\"", "\"glm4\"", "\"glm4v_text\""},
        {"glm4_moe", "_norm.", "\"use_qk_norm\": true", "\"use_qk_norm\": false", NULL},
        {"qwen2", NULL, "\"qwen2\"", "\"qwen2\"", "\"qwen2_5_vl_text\""},
        {"qwen2", NULL, "\"qwen2\"", "\"qwen2\"", "\"qwen2_5_omni_text\""},
        {"qwen3", NULL, "\"qwen3\"", "\"qwen3\"", "\"qwen3_vl_text\""},
        {"llama_rope_linear", NULL, "\"llama\"", "\"llama\"", "\"paddleocr_vl_text\""},
        {"qwen3_moe", NULL, "\"qwen3_moe\"", "\"qwen3_moe\"", "\"qwen3_omni_moe_text\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char base[64];
        size_t vocab;
        snprintf(base, sizeof base, DATA "%s", types[i].base);
        float *expected = run_as(base, types[i].drop, types[i].from, types[i].to, &vocab);
        const char *from = types[i].other ? types[i].from : "\"glm4_moe\"";
        float *got = run_as(base, types[i].drop, from, types[i].other ? types[i].other : "\"glm4v_moe_text\"", &vocab);
        assert_memory_equal(got, expected, TOKENS * vocab * sizeof *got);
        free(got);
        free(expected);
    }
}

/* A golden with another config, in the field names that published files use. */
static void test_published_fields(void **state)
{
    static const struct {
        const char *base, *config;
    } configs[] = {
        {"mimo_v2_flash",
         "{\"model_type\":\"mimo_v2_flash\",\"attention_value_scale\":0.707,\"head_dim\":16,\"v_head_dim\":12,"
         "\"hidden_size\":32,\"intermediate_size\":48,\"moe_intermediate_size\":16,\"num_hidden_layers\":2,"
         "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"swa_num_attention_heads\":4,"
         "\"swa_num_key_value_heads\":4,\"swa_head_dim\":16,\"swa_v_head_dim\":12,\"hybrid_layer_pattern\":[0,1],"
         "\"moe_layer_freq\":[0,1],\"n_routed_experts\":4,\"num_experts_per_tok\":2,\"n_group\":1,\"topk_group\":1,"
         "\"norm_topk_prob\":true,\"scoring_func\":\"sigmoid\",\"rope_theta\":500000.0,\"swa_rope_theta\":10000.0,"
         "\"partial_rotary_factor\":0.5,\"sliding_window\":16,\"add_swa_attention_sink_bias\":true,"
         "\"add_full_attention_sink_bias\":false,\"layernorm_epsilon\":1e-5,\"max_position_embeddings\":256,"
         "\"tie_word_embeddings\":true,\"vocab_size\":128}"},
        {"modernbert-decoder",
         "{\"model_type\":\"modernbert-decoder\",\"hidden_size\":32,\"intermediate_size\":48,"
         "\"num_hidden_layers\":2,\"num_attention_heads\":4,\"hidden_activation\":\"gelu\",\"norm_eps\":1e-5,"
         "\"norm_bias\":false,\"global_attn_every_n_layers\":3,\"local_attention\":32,\"global_rope_theta\":160000.0,"
         "\"local_rope_theta\":10000.0,\"max_position_embeddings\":256,\"vocab_size\":128}"},
        {"gemma4_moe_text",
         "{\"model_type\":\"gemma4_text\",\"attention_k_eq_v\":true,\"enable_moe_block\":true,\"head_dim\":16,"
         "\"global_head_dim\":32,\"num_global_key_value_heads\":1,\"hidden_size\":32,"
         "\"hidden_size_per_layer_input\":0,\"intermediate_size\":32,\"moe_intermediate_size\":16,"
         "\"layer_types\":[\"sliding_attention\",\"full_attention\"],\"num_attention_heads\":4,\"num_experts\":4,"
         "\"top_k_experts\":2,\"num_hidden_layers\":2,\"num_key_value_heads\":2,\"num_kv_shared_layers\":0,"
         "\"rms_norm_eps\":1e-6,\"sliding_window\":16,\"max_position_embeddings\":256,"
         "\"final_logit_softcapping\":null,\"tie_word_embeddings\":true,\"vocab_size\":128}"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        struct copy copy;
        char base[64];
        size_t vocab;
        snprintf(base, sizeof base, DATA "%s", configs[i].base);
        copy_start(&copy);
        copy_all(&copy, base, NULL, NULL);
        copy_finish(&copy, configs[i].config);
        float *got = run(copy.folder, &vocab), *expected = run(base, &vocab);
        if (memcmp(got, expected, TOKENS * vocab * sizeof *got) != 0)
            fail_msg("%s: %g", configs[i].base, distance(got, expected, TOKENS * vocab));
        free(got);
        free(expected);
        copy_remove(&copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_other_types),
        cmocka_unit_test(test_published_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
