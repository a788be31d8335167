/* Configs that are wrong: each is refused with one line that names the file and the field, and never yields a number.
 */
#include "support.h"

#include <sys/stat.h>

#include "base/json.h"
#include "config/arch.h"

static struct mx_error err;

#define SIZES "\"hidden_size\":64,\"num_hidden_layers\":4,\"num_attention_heads\":4"

struct bad {
    const char *text, *message;
};
static const struct bad bad[] = {
    /* Shape. */
    {"[1]", "a config is a JSON object"},
    {"7", "a config is a JSON object"},
    {"{\"text_config\":\"llama\"}", "field \"text_config\" must be an object"},
    {"{\"hidden_size\":64,}", "config.json:1:19"},
    {"{\n  \"hidden_size\": sixty\n}", "config.json:2:18"},
    /* Absent: which field, and how else it may be called. */
    {"{}", "field \"hidden_size\" is missing (also accepted: \"d_model\", \"dim\""},
    {"{\"model_type\":\"llama\",\"hidden_size\":64,\"num_attention_heads\":4}",
     "field \"num_hidden_layers\" is missing"},
    {"{\"model_type\":\"llama\",\"hidden_size\":64,\"num_hidden_layers\":4}",
     "field \"num_attention_heads\" is missing"},
    {"{\"model_type\":\"llama\",\"num_hidden_layers\":null,\"hidden_size\":64,\"num_attention_heads\":4}",
     "field \"num_hidden_layers\" is missing"},
    /* Numbers. */
    {"{\"hidden_size\":64,\"num_hidden_layers\":-3,\"num_attention_heads\":4}",
     "config.json: field \"num_hidden_layers\" is -3; it must be a whole number from 1 to 1024"},
    {"{\"hidden_size\":64,\"num_hidden_layers\":0,\"num_attention_heads\":4}", "field \"num_hidden_layers\" is"},
    {"{\"hidden_size\":64,\"n_layer\":1.5,\"num_attention_heads\":4}", "field \"n_layer\" is 1.5"},
    {"{\"hidden_size\":1e30,\"num_hidden_layers\":4,\"num_attention_heads\":4}", "field \"hidden_size\" is"},
    {"{\"hidden_size\":\"64\",\"num_hidden_layers\":4,\"num_attention_heads\":4}", "field \"hidden_size\" is \"64\""},
    {"{\"hidden_size\":Infinity,\"num_hidden_layers\":4,\"num_attention_heads\":4}",
     "field \"hidden_size\" is missing"},
    {"{\"vocab_size\":1e30," SIZES "}", "field \"vocab_size\" is"},
    {"{\"vocab_size\":[1]," SIZES "}", "field \"vocab_size\" is a list"},
    {"{\"sliding_window\":-1," SIZES "}", "field \"sliding_window\" is"},
    {"{\"max_position_embeddings\":0.5," SIZES "}", "field \"max_position_embeddings\" is"},
    {"{\"model_type\":\"llama\",\"rope_theta\":-1," SIZES "}", "field \"rope_theta\" is"},
    {"{\"model_type\":\"llama\",\"attention_bias\":3," SIZES "}", "field \"attention_bias\" is"},
    {"{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"linear\"}," SIZES "}",
     "field \"rope_scaling.factor\" is missing"},
    {"{\"num_experts\":4,\"num_experts_per_tok\":8,\"intermediate_size\":8," SIZES "}",
     "8 experts are used per token, of 4"},
    /* Contradictions. */
    {"{\"hidden_size\":66,\"num_hidden_layers\":4,\"num_attention_heads\":4}",
     "hidden_size 66 is not a multiple of num_attention_heads 4, and there is no head_dim"},
    {"{\"num_key_value_heads\":8," SIZES "}", "num_key_value_heads 8 is more than num_attention_heads 4"},
    {"{\"num_key_value_heads\":3," SIZES "}", "num_attention_heads 4 is not a multiple of num_key_value_heads 3"},
    {"{\"head_dim\":1000000," SIZES "}", "num_attention_heads 4 times head_dim 1000000 is more than"},
    {"{\"layer_types\":[\"full_attention\"]," SIZES "}", "field \"layer_types\" has 1 entries for 4 layers"},
    {"{\"layer_types\":[]," SIZES "}", "field \"layer_types\" has 0 entries"},
    {"{\"layer_types\":[\"full_attention\",\"odd\",\"x\",\"y\"]," SIZES "}", "\"odd\" is not a kind of layer"},
    {"{\"layer_types\":[1,2,3,4]," SIZES "}", "field \"layer_types\", entry 0"},
    {"{\"layer_types\":[\"sliding_attention\",\"full_attention\",\"full_attention\",\"full_attention\"]," SIZES "}",
     "layer 0 sees a window, but field \"sliding_window\" is missing"},
    {"{\"layer_types\":[\"mamba\",\"attention\",\"mamba\",\"mamba\"]," SIZES "}", "no field tells of which kind"},
    {"{\"model_type\":\"bamba\",\"attn_layer_indices\":[9]," SIZES "}", "field \"attn_layer_indices\" is 9"},
    {"{\"model_type\":\"gemma3n_text\",\"num_kv_shared_layers\":4," SIZES "}", "num_kv_shared_layers is 4"},
    {"{\"model_type\":\"minimax\",\"attn_type_list\":[1]," SIZES "}", "field \"attn_type_list\" has 1 entries"},
    {"{\"model_type\":\"nemotron_h\",\"hybrid_override_pattern\":\"M*Q-\",\"num_attention_heads\":4,\"hidden_size\":"
     "64}",
     "is not a kind of layer"},
    {"{\"model_type\":\"new\",\"mamba_d_state\":16," SIZES "}",
     "some layers are recurrent, but no field that is known"},
    /* Of another kind than what is read: no default takes over. */
    {"{\"model_type\":[\"llama\"]," SIZES "}", "field \"model_type\" is a list; it must be a string"},
    {"{\"model_type\":\"llama\",\"layer_types\":{}," SIZES "}", "field \"layer_types\" is an object"},
    {"{\"model_type\":\"llama\",\"hidden_act\":[\"silu\"]," SIZES "}", "field \"hidden_act\" is a list"},
    {"{\"model_type\":\"gemma3_text\",\"rope_parameters\":{\"full_attention\":3}," SIZES "}",
     "field \"rope_parameters.full_attention\" is 3"},
    {"{\"model_type\":\"mamba2\",\"head_dim\":\"automatic\",\"hidden_size\":64,\"num_hidden_layers\":1,\"num_heads\":"
     "8}",
     "field \"head_dim\" is \"automatic\""},
    {"{\"model_type\":\"glm_moe_dsa\",\"n_routed_experts\":4,\"num_experts_per_tok\":2,\"indexer_types\":[1,2,3,4],"
     "\"intermediate_size\":8," SIZES "}",
     "field \"indexer_types\" has no word for layer 0"},
    {"{\"model_type\":\"ernie4_5_moe\",\"moe_layer_end_index\":[2],\"intermediate_size\":8," SIZES "}",
     "field \"moe_layer_end_index\" is a list"},
    /* Twice the same key: which one counts would be a guess. */
    {"{\"hidden_size\":64,\"hidden_size\":32,\"num_hidden_layers\":4,\"num_attention_heads\":4}", "hidden_size"},
};

static mx_status read_text(struct mx_arch *arch, const char *text, size_t length)
{
    cJSON *root;
    const struct mx_json_rules rules = {.allow_nan = true};
    *arch = (struct mx_arch){0};
    const mx_status status = mx_json_parse(&root, text, length, "config.json", &rules, &err);
    if (status != MX_OK) return status;
    const mx_status filled = mx_arch_from_json(arch, root, "config.json", &err);
    cJSON_Delete(root);
    return filled;
}

static void test_contents(void **state)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct mx_arch arch;
        err.message[0] = '\0';
        if (read_text(&arch, bad[i].text, strlen(bad[i].text)) != MX_ERR_FORMAT)
            fail_msg("accepted: %s (%s)", bad[i].text, err.message);
        if (!strstr(err.message, bad[i].message)) fail_msg("%s\n  says: %s", bad[i].text, err.message);
        if (strncmp(err.message, "config.json", 11)) fail_msg("no file name: %s", err.message);
        assert_null(strchr(err.message, '\n'));
        assert_null(arch.layers);
        mx_arch_free(&arch);
    }
}

/* NUL bytes, and nesting deeper than anyone needs. */
static void test_hostile_text(void **state)
{
    struct mx_arch arch;
    static const char nul[] = "{\"hidden_size\":64,\0\"num_hidden_layers\":4}";
    assert_fails(read_text(&arch, nul, sizeof nul - 1), MX_ERR_FORMAT, "NUL byte");
    char deep[4000];
    memset(deep, '[', sizeof deep);
    assert_fails(read_text(&arch, deep, sizeof deep), MX_ERR_FORMAT, "nested too deep");
    char nested[2000] = "";
    for (int i = 0; i < 8; i++) strcat(nested, "{\"text_config\":");
    strcat(nested, "{}}}}}}}}}");
    assert_fails(read_text(&arch, nested, strlen(nested)), MX_ERR_FORMAT, "text models inside one another");
}

/* Python's bare words are fine where the number is not needed (several published configs have them). */
static void test_bare_words(void **state)
{
    static const char text[] =
        "{\"model_type\":\"mamba2\",\"time_step_limit\":[0.0,Infinity],\"x\":NaN,\"y\":-Infinity,"
        "\"hidden_size\":64,\"num_hidden_layers\":2,\"num_heads\":8,\"head_dim\":16}";
    struct mx_arch arch;
    assert_ok(read_text(&arch, text, strlen(text)));
    assert_int_equal(arch.class_, MX_CLASS_RECURRENT);
    mx_arch_free(&arch);
}

/* Files of the state-space library have no model_type. */
static void test_old_mamba(void **state)
{
    static const char one[] = "{\"d_model\":64,\"n_layer\":3,\"vocab_size\":256,\"ssm_cfg\":{},\"rms_norm\":true}";
    static const char two[] = "{\"d_model\":64,\"n_layer\":3,\"vocab_size\":256,\"ssm_cfg\":{\"layer\":\"Mamba2\"}}";
    struct mx_arch arch;
    assert_ok(read_text(&arch, one, strlen(one)));
    assert_int_equal(arch.class_, MX_CLASS_RECURRENT);
    assert_int_equal(mx_arch_state_elements(&arch), 3 * 128 * (16 + 4));
    mx_arch_free(&arch);
    assert_ok(read_text(&arch, two, strlen(two)));
    assert_int_equal(mx_arch_state_elements(&arch), 3 * (128 * 128 + (128 + 2 * 128) * 4));
    mx_arch_free(&arch);
}

static void write_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(ftruncate(fileno(file), (off_t)size), 0);
    fclose(file);
}

static void test_files(void **state)
{
    char folder[] = "/tmp/mlxcel-config-XXXXXX", path[128];
    struct mx_arch arch;
    assert_non_null(mkdtemp(folder));
    assert_fails(mx_arch_open(&arch, folder, &err), MX_ERR_IO, "config.json"); /* a folder without one */
    snprintf(path, sizeof path, "%s/config.json", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_true(mx_arch_open(&arch, folder, &err) != MX_OK); /* a folder in its place */
    rmdir(path);
    write_file(path, 100 << 20);
    assert_true(mx_arch_open(&arch, path, &err) != MX_OK);
    assert_non_null(strstr(err.message, path));
    write_file(path, 0);
    assert_fails(mx_arch_open(&arch, path, &err), MX_ERR_FORMAT, path);
    if (geteuid() != 0) {
        chmod(path, 0);
        assert_fails(mx_arch_open(&arch, path, &err), MX_ERR_IO, path);
    }
    unlink(path);
    assert_fails(mx_arch_open(&arch, path, &err), MX_ERR_IO, path);
    rmdir(folder);
}

/* Types that the table does not have are classified from their fields alone. */
static void test_unknown_types(void **state)
{
    static const struct {
        const char *fields;
        enum mx_class wanted;
    } cases[] = {
        {"\"x\":1", MX_CLASS_STANDARD},
        {"\"sliding_window\":128", MX_CLASS_SLIDING_WINDOW},
        {"\"sliding_window\":128,\"use_sliding_window\":false", MX_CLASS_STANDARD},
        {"\"sliding_window\":128,\"sliding_window_pattern\":\"LLG\"", MX_CLASS_SLIDING_WINDOW},
        {"\"attention_chunk_size\":128", MX_CLASS_SLIDING_WINDOW},
        {"\"kv_lora_rank\":32", MX_CLASS_MLA},
        {"\"full_attention_interval\":2,\"linear_num_value_heads\":4", MX_CLASS_HYBRID},
        {"\"attn_layer_period\":2,\"attn_layer_offset\":1,\"mamba_d_state\":8", MX_CLASS_HYBRID},
        {"\"layers_block_type\":[\"mamba\",\"attention\",\"mamba\",\"mamba\"],\"mamba_n_heads\":4", MX_CLASS_HYBRID},
        {"\"layer_types\":[\"conv\",\"full_attention\",\"conv\",\"conv\"],\"conv_L_cache\":3", MX_CLASS_HYBRID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        struct mx_arch arch;
        snprintf(text, sizeof text, "{\"model_type\":\"brand_new\",%s," SIZES "}", cases[i].fields);
        assert_ok(read_text(&arch, text, strlen(text)));
        assert_false(arch.known || arch.runnable);
        assert_non_null(strstr(arch.not_runnable, "brand_new"));
        if (arch.class_ != cases[i].wanted) fail_msg("%s is %s", cases[i].fields, mx_class_name(arch.class_));
        assert_false(mx_arch_parameters(&arch).complete);
        mx_arch_free(&arch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contents),  cmocka_unit_test(test_hostile_text), cmocka_unit_test(test_bare_words),
        cmocka_unit_test(test_old_mamba), cmocka_unit_test(test_files),        cmocka_unit_test(test_unknown_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
