/* GGUF headers: what is read, what is refused, and that a model's GGUF describes it as its config.json does. */
#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "checkpoint/gguf.h"
#include "checkpoint/gguf_config.h"
#include "checkpoint/gguf_writer.h"
#include "config/arch.h"
#include "support.h"

static struct mx_error err;

static struct mx_gguf *open_text(const struct mx_str *text)
{
    struct mx_gguf *gguf;
    assert_ok(mx_gguf_read(&gguf, (const uint8_t *)text->data, text->length, "x.gguf", &err));
    return gguf;
}

static void small(struct mx_str *out)
{
    struct gguf_writer writer = {.architecture = "llama"};
    gguf_text(&writer, "general.architecture", "llama");
    gguf_u32(&writer, "block_count", 2);
    gguf_u32(&writer, "embedding_length", 256);
    gguf_u32(&writer, "attention.head_count", 4);
    gguf_f32(&writer, "rope.freq_base", 10000);
    gguf_list(&writer, "feed_forward_length", MX_GGUF_I32, (const uint32_t[]){512, 512}, 2);
    gguf_tokens(&writer, 100);
    gguf_tensor(&writer, "token_embd.weight", 100, 256, 12, 100 * 144);
    gguf_tensor(&writer, "blk.0.attn_q.weight", 256, 256, 8, 256 * 256 / 32 * 34);
    gguf_tensor(&writer, "blk.0.attn_norm.weight", 0, 256, 0, 1024);
    gguf_tensor(&writer, "blk.0.new.weight", 16, 256, 99, 4096);
    gguf_tensor(&writer, "last.weight", 0, 64, 1, 128);
    gguf_finish(&writer, out);
}

static void reads_a_header(void **state)
{
    struct mx_str text = {0};
    small(&text);
    struct mx_gguf *gguf = open_text(&text);
    double value;
    struct mx_gguf_text name;
    assert_int_equal(mx_gguf_pair_count(gguf), 7);
    assert_true(mx_gguf_text(mx_gguf_find(gguf, "general.architecture"), &name));
    assert_int_equal(name.length, 5);
    assert_true(mx_gguf_number(mx_gguf_find(gguf, "llama.block_count"), 0, &value) && value == 2);
    assert_true(mx_gguf_number(mx_gguf_find(gguf, "llama.rope.freq_base"), 0, &value) && value == 10000);
    assert_true(mx_gguf_number(mx_gguf_find(gguf, "llama.feed_forward_length"), 1, &value) && value == 512);
    assert_false(mx_gguf_number(mx_gguf_find(gguf, "llama.feed_forward_length"), 2, &value));
    assert_false(mx_gguf_number(mx_gguf_find(gguf, "general.architecture"), 0, &value));
    assert_null(mx_gguf_find(gguf, "llama.block"));
    assert_int_equal(mx_gguf_find(gguf, "tokenizer.ggml.tokens")->count, 100);
    assert_int_equal(mx_gguf_tensor_count(gguf), 5);
    assert_int_equal(mx_gguf_find_tensor(gguf, "token_embd.weight")->bytes, 100 * 144);
    assert_int_equal(mx_gguf_find_tensor(gguf, "blk.0.attn_q.weight")->bytes, 256 * 256 / 32 * 34);
    assert_int_equal(mx_gguf_find_tensor(gguf, "blk.0.new.weight")->bytes, 4096); /* by the next one's offset */
    assert_int_equal(mx_gguf_bytes(gguf), 14400 + 69632 + 1024 + 4096 + 128);
    assert_int_equal(mx_gguf_missing_bytes(gguf), 14400 + 69632 + 1024 + 4096 + 128); /* the header alone */
    assert_string_equal(mx_ggml_type_name(12), "Q4_K");
    assert_true(mx_ggml_type_bits(8) == 8.5);
    assert_null(mx_ggml_type_name(99));
    mx_gguf_close(gguf);
    mx_str_free(&text);
}

/* A list of heads that ends before the layers do is no list of all of them. */
static void short_lists_are_refused(void **state)
{
    static const uint32_t heads[] = {4, 4}, kv[] = {2, 1};
    for (int length = 1; length <= 2; length++) {
        struct gguf_writer writer = {.architecture = "llama"};
        struct mx_str out = {0};
        struct mx_arch arch;
        cJSON *config;
        gguf_text(&writer, "general.architecture", "llama");
        gguf_u32(&writer, "block_count", 2);
        gguf_u32(&writer, "embedding_length", 64);
        gguf_u32(&writer, "feed_forward_length", 64);
        gguf_list(&writer, "attention.head_count", MX_GGUF_I32, heads, 2);
        gguf_list(&writer, "attention.head_count_kv", MX_GGUF_I32, kv, (size_t)length);
        gguf_finish(&writer, &out);
        struct mx_gguf *gguf = open_text(&out);
        assert_ok(mx_gguf_config(&config, gguf, "x.gguf", &err));
        if (length == 2) {
            assert_ok(mx_arch_from_json(&arch, config, "x.gguf", &err));
            assert_int_equal(mx_arch_cache_elements(&arch, 10), 10 * 2 * 16 * (2 + 1));
        } else {
            assert_fails(mx_arch_from_json(&arch, config, "x.gguf", &err), MX_ERR_FORMAT,
                         "lists 1 values for 2 layers");
        }
        mx_arch_free(&arch);
        cJSON_Delete(config);
        mx_gguf_close(gguf);
        mx_str_free(&out);
    }
}

/* A stretch of the positions has a factor under one of two names, and is linear where no kind is named. */
static void stretches_have_a_factor(void **state)
{
    static const struct {
        const char *kind, *key, *expected;
    } cases[] = {{NULL, NULL, NULL},
                 {"yarn", NULL, NULL},
                 {"none", "rope.scaling.factor", NULL},
                 {"yarn", "rope.scaling.factor", "{\"rope_type\":\"yarn\",\"factor\":4}"},
                 {"linear", "rope.scale_linear", "{\"rope_type\":\"linear\",\"factor\":4}"},
                 {NULL, "rope.scale_linear", "{\"rope_type\":\"linear\",\"factor\":4}"}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct gguf_writer writer = {.architecture = "llama"};
        struct mx_str out = {0};
        cJSON *config;
        gguf_text(&writer, "general.architecture", "llama");
        gguf_u32(&writer, "block_count", 2);
        gguf_u32(&writer, "embedding_length", 64);
        if (cases[c].kind) gguf_text(&writer, "rope.scaling.type", cases[c].kind);
        if (cases[c].key) gguf_f32(&writer, cases[c].key, 4);
        gguf_finish(&writer, &out);
        struct mx_gguf *gguf = open_text(&out);
        assert_ok(mx_gguf_config(&config, gguf, "x.gguf", &err));
        char *text = cJSON_PrintUnformatted(mx_json_get(config, "rope_scaling"));
        assert_true(cases[c].expected ? text && strcmp(text, cases[c].expected) == 0 : !text);
        cJSON_free(text);
        cJSON_Delete(config);
        mx_gguf_close(gguf);
        mx_str_free(&out);
    }
}

/* Each prefix is refused with a line that names the file, and so is anything that a changed byte breaks. */
static void cut_and_damaged_headers_are_refused(void **state)
{
    struct mx_str text = {0};
    small(&text);
    struct mx_gguf *gguf;
    size_t whole = text.length;
    while (whole && text.data[whole - 1] == '\0') whole--; /* padding, and the last offset's zeros */
    for (size_t length = 0; length < whole; length++) {
        char *copy = malloc(length + 1); /* its end is where the sanitizer looks */
        memcpy(copy, text.data, length);
        assert_int_not_equal(mx_gguf_read(&gguf, (const uint8_t *)copy, length, "x.gguf", &err), MX_OK);
        assert_non_null(strstr(err.message, "x.gguf"));
        free(copy);
    }
    struct mx_random random = {7};
    for (int round = 0; round < 20000; round++) {
        char *copy = malloc(text.length);
        memcpy(copy, text.data, text.length);
        for (int i = 0; i < 3; i++) copy[mx_random_u64(&random) % text.length] = (char)mx_random_u64(&random);
        if (mx_gguf_read(&gguf, (const uint8_t *)copy, text.length, "x.gguf", &err) == MX_OK) {
            cJSON *config;
            if (mx_gguf_config(&config, gguf, "x.gguf", &err) == MX_OK) cJSON_Delete(config);
            mx_gguf_close(gguf);
        }
        free(copy);
    }
    mx_str_free(&text);
}

static void versions_and_kinds_are_named(void **state)
{
    struct mx_gguf *gguf;
    cJSON *config;
    struct mx_str text = {0};
    small(&text);
    text.data[4] = 1;
    assert_fails(mx_gguf_read(&gguf, (const uint8_t *)text.data, text.length, "x.gguf", &err), MX_ERR_UNSUPPORTED,
                 "GGUF version 1");
    memcpy(text.data + 4, "\0\0\0\3", 4);
    assert_fails(mx_gguf_read(&gguf, (const uint8_t *)text.data, text.length, "x.gguf", &err), MX_ERR_UNSUPPORTED,
                 "big-endian");
    text.data[0] = 'X';
    assert_fails(mx_gguf_read(&gguf, (const uint8_t *)text.data, text.length, "x.gguf", &err), MX_ERR_FORMAT,
                 "does not begin with");
    mx_str_free(&text);

    static const char *const kinds[][3] = {{"clip", "model", "a projector of images"},
                                           {"llama", "adapter", "an adapter, not a model"},
                                           {"", "model", "no general.architecture"}};
    for (int i = 0; i < 3; i++) {
        struct gguf_writer writer = {.architecture = kinds[i][0]};
        struct mx_str out = {0};
        gguf_text(&writer, "general.architecture", kinds[i][0]);
        gguf_text(&writer, "general.type", kinds[i][1]);
        gguf_finish(&writer, &out);
        gguf = open_text(&out);
        assert_fails(mx_gguf_config(&config, gguf, "x.gguf", &err), MX_ERR_FORMAT, kinds[i][2]);
        mx_gguf_close(gguf);
        mx_str_free(&out);
    }
}

static void series_are_summed(void **state)
{
    static const char *const names[] = {"/tmp/mlxcel-series-00001-of-00002.gguf",
                                        "/tmp/mlxcel-series-00002-of-00002.gguf"};
    for (int i = 0; i < 2; i++) {
        struct gguf_writer writer = {.architecture = "llama"};
        struct mx_str out = {0};
        if (i == 0) gguf_text(&writer, "general.architecture", "llama");
        gguf_u32(&writer, "split.no", (uint32_t)i);
        gguf_tensor(&writer, i ? "b.weight" : "a.weight", 4, 32, 8, 4 * 34);
        gguf_finish(&writer, &out);
        assert_ok(mx_file_write(names[i], out.data, out.length, &err));
        mx_str_free(&out);
    }
    struct mx_gguf *gguf;
    for (int i = 0; i < 2; i++) { /* whichever is given */
        assert_ok(mx_gguf_open(&gguf, names[i], &err));
        assert_int_equal(mx_gguf_part_count(gguf), 2);
        assert_int_equal(mx_gguf_tensor_count(gguf), 2);
        assert_int_equal(mx_gguf_bytes(gguf), 2 * 4 * 34);
        assert_int_equal(mx_gguf_find_tensor(gguf, "b.weight")->part, 1);
        assert_non_null(mx_gguf_find(gguf, "general.architecture"));
        mx_gguf_close(gguf);
    }
    unlink(names[1]);
    assert_fails(mx_gguf_open(&gguf, names[0], &err), MX_ERR_IO, "part 2 of 2 is missing; fetch it");
    unlink(names[0]);
}

/* ---- configs and their GGUF ---- */

static double field(const cJSON *config, const char *name, double fallback)
{
    const cJSON *item = mx_json_get(config, name);
    return cJSON_IsNumber(item) ? item->valuedouble : fallback;
}

/* Types whose window pattern the converter writes out, layer by layer; for the others llama.cpp knows it. */
static bool writes_pattern(const char *architecture)
{
    static const char *const names[] = {"gemma3n", "gemma4", "mimo2", "laguna", "exaone4"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(architecture, names[i])) return true;
    return false;
}

static void write_ssm(struct gguf_writer *writer, const cJSON *config, const char *type)
{
    const uint32_t hidden = (uint32_t)field(config, "hidden_size", 0);
    if (!strcmp(type, "mamba") || !strcmp(type, "jamba")) {
        const bool pure = !strcmp(type, "mamba");
        const double expand = field(config, pure ? "expand" : "mamba_expand", 2);
        gguf_u32(writer, "ssm.conv_kernel", (uint32_t)field(config, pure ? "conv_kernel" : "mamba_d_conv", 4));
        gguf_u32(writer, "ssm.inner_size", (uint32_t)field(config, pure ? "intermediate_size" : "", expand * hidden));
        gguf_u32(writer, "ssm.state_size", (uint32_t)field(config, pure ? "state_size" : "mamba_d_state", 16));
        gguf_u32(writer, "ssm.time_step_rank",
                 (uint32_t)field(config, pure ? "time_step_rank" : "mamba_dt_rank", (hidden + 15) / 16));
    } else if (mx_json_get(config, "linear_num_value_heads")) {
        const double heads = field(config, "linear_num_value_heads", 32);
        gguf_u32(writer, "ssm.conv_kernel", (uint32_t)field(config, "linear_conv_kernel_dim", 4));
        gguf_u32(writer, "ssm.inner_size", (uint32_t)(heads * field(config, "linear_value_head_dim", 128)));
        gguf_u32(writer, "ssm.state_size", (uint32_t)field(config, "linear_key_head_dim", 128));
        gguf_u32(writer, "ssm.time_step_rank", (uint32_t)heads);
        gguf_u32(writer, "ssm.group_count", (uint32_t)field(config, "linear_num_key_heads", 16));
    } else if (mx_json_get(config, "mamba_n_heads") || mx_json_get(config, "mamba_num_heads") ||
               !strcmp(type, "mamba2")) {
        const double heads =
            field(config, "mamba_n_heads", field(config, "mamba_num_heads", field(config, "num_heads", 128)));
        const double dim =
            field(config, "mamba_d_head", field(config, "mamba_head_dim", field(config, "head_dim", 64)));
        gguf_u32(writer, "ssm.conv_kernel", (uint32_t)field(config, "mamba_d_conv", field(config, "conv_kernel", 4)));
        gguf_u32(writer, "ssm.inner_size", (uint32_t)(heads * dim));
        gguf_u32(writer, "ssm.state_size",
                 (uint32_t)field(config, "mamba_d_state",
                                 field(config, "ssm_state_size", field(config, "state_size", 128))));
        gguf_u32(writer, "ssm.time_step_rank", (uint32_t)heads);
        gguf_u32(
            writer, "ssm.group_count",
            (uint32_t)field(config, "mamba_n_groups", field(config, "n_groups", field(config, "mamba_ngroups", 1))));
    }
}

static void write_latent(struct gguf_writer *writer, const cJSON *config)
{
    const double rank = field(config, "kv_lora_rank", 512), rope = field(config, "qk_rope_head_dim", 64);
    gguf_u32(writer, "attention.kv_lora_rank", (uint32_t)rank);
    if (field(config, "q_lora_rank", 0) > 0)
        gguf_u32(writer, "attention.q_lora_rank", (uint32_t)field(config, "q_lora_rank", 0));
    gguf_u32(writer, "attention.key_length", (uint32_t)(rank + rope));
    gguf_u32(writer, "attention.value_length", (uint32_t)rank);
    gguf_u32(writer, "attention.key_length_mla", (uint32_t)(field(config, "qk_nope_head_dim", 128) + rope));
    gguf_u32(writer, "attention.value_length_mla", (uint32_t)field(config, "v_head_dim", 128));
    gguf_u32(writer, "rope.dimension_count", (uint32_t)rope);
}

/* Widths of Nemotron-H's layers: 0 where a layer is a mixer alone. */
static void write_widths(struct gguf_writer *writer, const struct mx_arch *arch, const cJSON *config)
{
    const cJSON *pattern = mx_json_get(config, "hybrid_override_pattern"),
                *types = mx_json_get(config, "layers_block_type");
    if (!types) types = mx_json_get(config, "layer_types");
    uint32_t widths[MX_ARCH_MAX_LAYERS];
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        const cJSON *type = cJSON_GetArrayItem(types, (int)i);
        const bool forward = cJSON_IsString(pattern) ? strchr("-E", pattern->valuestring[i]) != NULL
                                                     : strstr("mlp moe", type->valuestring) != NULL;
        widths[i] = forward ? (uint32_t)field(config, "intermediate_size", 64) : 0;
    }
    gguf_list(writer, "feed_forward_length", MX_GGUF_I32, widths, arch->layer_count);
}

/* The header that the converter writes for a config, with what `arch` says of each layer. */
static void convert(struct mx_str *out, const struct mx_arch *arch, const cJSON *config, const char *architecture)
{
    struct gguf_writer writer = {.architecture = architecture};
    uint32_t kv[MX_ARCH_MAX_LAYERS], heads[MX_ARCH_MAX_LAYERS], sliding[MX_ARCH_MAX_LAYERS], window = 0, k = 0, v = 0;
    bool any = false, all = true, latent = false;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        const struct mx_kv_shape shape = mx_layer_kv_shape(&arch->layers[i]);
        const bool attends = shape.attention != MX_ATTENTION_NONE;
        latent |= shape.attention == MX_ATTENTION_LATENT;
        kv[i] = attends ? shape.kv_heads : 0;
        heads[i] = attends ? shape.heads : 0;
        sliding[i] = shape.attention == MX_ATTENTION_SLIDING;
        if (shape.window > window) window = shape.window;
        if (attends && shape.k_dim > k) k = shape.k_dim;
        if (attends && shape.v_dim > v) v = shape.v_dim;
        any |= attends;
        all &= attends;
    }
    gguf_text(&writer, "general.architecture", architecture);
    gguf_u32(&writer, "block_count", arch->layer_count);
    gguf_u32(&writer, "embedding_length", arch->hidden);
    gguf_u32(&writer, "context_length", arch->max_context ? arch->max_context : 1 << 20);
    gguf_u32(&writer, "vocab_size", arch->vocab);
    if (!strcmp(architecture, "nemotron_h"))
        write_widths(&writer, arch, config);
    else
        gguf_u32(&writer, "feed_forward_length", (uint32_t)field(config, "intermediate_size", 4.0 * arch->hidden));
    if (!strcmp(architecture, "llama4"))
        gguf_u32(&writer, "expert_feed_forward_length", (uint32_t)field(config, "intermediate_size", 64));
    const cJSON *linear = mx_json_get(config, "linear_attn_config");
    if (!strcmp(architecture, "kimi-linear")) {
        gguf_u32(&writer, "kda.head_dim", (uint32_t)field(linear, "head_dim", field(config, "linear_head_dim", 128)));
        gguf_u32(&writer, "ssm.conv_kernel",
                 (uint32_t)field(linear, "short_conv_kernel_size", field(config, "linear_conv_kernel_dim", 4)));
    }
    if (any) {
        bool same = all;
        for (uint32_t i = 1; i < arch->layer_count; i++) same &= kv[i] == kv[0];
        uint32_t most = 0;
        for (uint32_t i = 0; i < arch->layer_count; i++)
            if (heads[i] > most) most = heads[i];
        gguf_u32(&writer, "attention.head_count", most);
        if (same || (latent && all))
            gguf_u32(&writer, "attention.head_count_kv", kv[0]);
        else
            gguf_list(&writer, "attention.head_count_kv", MX_GGUF_I32, kv, arch->layer_count);
        if (!latent) {
            gguf_u32(&writer, "attention.key_length", k);
            for (uint32_t i = 0; !strcmp(architecture, "gemma4") && i < arch->layer_count; i++) {
                const struct mx_kv_shape shape = mx_layer_kv_shape(&arch->layers[i]);
                if (shape.attention != MX_ATTENTION_SLIDING) continue;
                gguf_u32(&writer, "attention.key_length_swa", shape.k_dim);
                break;
            }
            gguf_u32(&writer, "attention.value_length", v);
        }
    }
    if (latent) write_latent(&writer, config);
    if (window && strcmp(architecture, "llama4") != 0) gguf_u32(&writer, "attention.sliding_window", window);
    if (writes_pattern(architecture))
        gguf_list(&writer, "attention.sliding_window_pattern", MX_GGUF_BOOL, sliding, arch->layer_count);
    if (arch->experts.count) {
        gguf_u32(&writer, "expert_count", arch->experts.count);
        gguf_u32(&writer, "expert_used_count", arch->experts.used);
        const double width = field(config, "moe_intermediate_size", 0);
        if (width > 0) gguf_u32(&writer, "expert_feed_forward_length", (uint32_t)width);
    }
    if (mx_json_get(config, "conv_L_cache"))
        gguf_u32(&writer, "shortconv.l_cache", (uint32_t)field(config, "conv_L_cache", 3));
    if (field(config, "num_kv_shared_layers", 0) > 0)
        gguf_u32(&writer, "attention.shared_kv_layers", (uint32_t)field(config, "num_kv_shared_layers", 0));
    if (field(config, "index_head_dim", 0) > 0)
        gguf_u32(&writer, "attention.indexer.key_length", (uint32_t)field(config, "index_head_dim", 0));
    write_ssm(&writer, config, arch->model_type);
    gguf_finish(&writer, out);
}

static const char *architecture_of(const char *type)
{
    if (!strcmp(type, "mixtral") || !strcmp(type, "mistral")) return "llama";
    if (!strcmp(type, "olmo3")) return "olmo2";
    if (!strcmp(type, "deepseek_v2")) return "deepseek2";
    for (const struct mx_gguf_architecture *row = mx_gguf_architectures(); row->name; row++)
        if (!strcmp(row->model_type, type)) return row->name;
    return NULL;
}

/* What a GGUF cannot say: llama.cpp has no windows for these architectures, and for those a fixed pattern. */
static bool is_unsaid(const char *name, const char *architecture, const struct mx_arch *arch)
{
    static const char *const windowless[] = {"llama", "qwen2"};
    static const char *const other_patterns[] = {"gemma2_layer_types", "gemma3_text_hub_pattern3",
                                                 "gemma3_text_layer_types", "llama4_text", "llama4_text_hub"};
    for (size_t i = 0; i < sizeof other_patterns / sizeof *other_patterns; i++)
        if (!strcmp(name, other_patterns[i])) return true;
    for (size_t i = 0; i < sizeof windowless / sizeof *windowless; i++)
        if (!strcmp(architecture, windowless[i]) && arch->class_ == MX_CLASS_SLIDING_WINDOW) return true;
    return false;
}

static bool agrees(const char *name, const struct mx_arch *wanted, const struct mx_arch *got)
{
    static const uint64_t lengths[] = {512, 3000, 6000, 32768};
    bool good = wanted->layer_count == got->layer_count && wanted->hidden == got->hidden &&
                wanted->vocab == got->vocab && wanted->class_ == got->class_ &&
                (!wanted->max_context || wanted->max_context == got->max_context) &&
                wanted->experts.count == got->experts.count && wanted->experts.used == got->experts.used;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        good &= mx_arch_cache_elements(wanted, lengths[i]) == mx_arch_cache_elements(got, lengths[i]);
    good &= mx_arch_state_elements(wanted) == mx_arch_state_elements(got);
    if (!good)
        print_message("%s (%s): %s %u layers, %llu elements at 6000, state %llu; config: %s %u layers, %llu, %llu\n",
                      name, got->model_type, mx_class_name(got->class_), got->layer_count,
                      (unsigned long long)mx_arch_cache_elements(got, 6000),
                      (unsigned long long)mx_arch_state_elements(got), mx_class_name(wanted->class_),
                      wanted->layer_count, (unsigned long long)mx_arch_cache_elements(wanted, 6000),
                      (unsigned long long)mx_arch_state_elements(wanted));
    return good;
}

static void gguf_and_config_describe_alike(void **state)
{
    cJSON *root;
    const struct mx_json_rules rules = {.allow_nan = true};
    assert_ok(mx_json_read_file(&root, "tests/data/kv-truth/given.json", 16 << 20, &rules, &err));
    const cJSON *entry;
    int compared = 0, bad = 0;
    const char *seen[128];
    int types = 0;
    cJSON_ArrayForEach (entry, root) {
        const char *name = mx_json_get(entry, "name")->valuestring;
        const cJSON *config = mx_json_get(entry, "config");
        struct mx_arch wanted, got;
        assert_ok(mx_arch_from_json(&wanted, config, name, &err));
        const cJSON *inner = mx_json_get(config, "text_config");
        const char *architecture = architecture_of(wanted.model_type);
        if (architecture && !is_unsaid(name, architecture, &wanted)) {
            struct mx_str text = {0};
            cJSON *made;
            convert(&text, &wanted, inner ? inner : config, architecture);
            struct mx_gguf *gguf = open_text(&text);
            assert_ok(mx_gguf_config(&made, gguf, name, &err));
            const mx_status status = mx_arch_from_json(&got, made, name, &err);
            if (status != MX_OK) print_message("%s: %s\n", name, err.message);
            bad += status != MX_OK || !agrees(name, &wanted, &got);
            if (status == MX_OK) mx_arch_free(&got);
            compared++;
            bool fresh = true;
            for (int i = 0; i < types; i++) fresh &= strcmp(seen[i], architecture) != 0;
            if (fresh && types < 128) seen[types++] = architecture;
            cJSON_Delete(made);
            mx_gguf_close(gguf);
            mx_str_free(&text);
        }
        mx_arch_free(&wanted);
    }
    print_message("%d configs of %d architectures\n", compared, types);
    assert_true(types >= 20);
    assert_int_equal(bad, 0);
    cJSON_Delete(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_header),
        cmocka_unit_test(cut_and_damaged_headers_are_refused),
        cmocka_unit_test(versions_and_kinds_are_named),
        cmocka_unit_test(short_lists_are_refused),
        cmocka_unit_test(stretches_have_a_factor),
        cmocka_unit_test(series_are_summed),
        cmocka_unit_test(gguf_and_config_describe_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
