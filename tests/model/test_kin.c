/* Families for which there is no reference of their own, since their arithmetic is another one's: a golden of that one,
 * with its tensors called, joined and laid out as theirs are, gives the same logits. */
#include "base/half.h"
#include "kin.h"

enum { LAYERS = 2, KV_HEADS = 2, GROUP = 2, PIECES = 4 };

/* How the tensors of one family come from a golden's. A line makes a module of others, in each layer (%d) and for each
 * expert (%e), weights and biases alike:
 *   to = a + b   the rows of a, then those of b; "a*": each of its K/V heads twice
 *   to / a + b   by K/V head: the rows of a that belong to one, then those of b
 *   to # a + b   of all experts: the rows of a and b, transposed, in one stack */
struct kin {
    const char *type, *base, *config;
    const char *lines[16];
};

#define SMALL "\"rms_norm_eps\":1e-6,\"rope_theta\":10000.0,\"max_position_embeddings\":256,"
#define LLAMA_SIZES                                                                                                    \
    "\"hidden_size\":64,\"intermediate_size\":64,\"num_hidden_layers\":2,\"num_attention_heads\":4,"                   \
    "\"num_key_value_heads\":2,\"vocab_size\":256,\"tie_word_embeddings\":false}"
#define LLAMA_BODY                                                                                                     \
    "model.embed_tokens = model.embed_tokens", "model.norm = model.norm", "lm_head = lm_head",                         \
        "model.layers.%d.input_layernorm = model.layers.%d.input_layernorm",                                           \
        "model.layers.%d.post_attention_layernorm = model.layers.%d.post_attention_layernorm"
#define LLAMA_FFN                                                                                                      \
    "model.layers.%d.mlp.gate_proj = model.layers.%d.mlp.gate_proj",                                                   \
        "model.layers.%d.mlp.up_proj = model.layers.%d.mlp.up_proj",                                                   \
        "model.layers.%d.mlp.down_proj = model.layers.%d.mlp.down_proj"
#define LLAMA_QKV                                                                                                      \
    "model.layers.%d.self_attn.q_proj = model.layers.%d.self_attn.q_proj",                                             \
        "model.layers.%d.self_attn.k_proj = model.layers.%d.self_attn.k_proj",                                         \
        "model.layers.%d.self_attn.v_proj = model.layers.%d.self_attn.v_proj"
#define LLAMA_O "model.layers.%d.self_attn.o_proj = model.layers.%d.self_attn.o_proj"
#define QKV "model.layers.%d.self_attn.q_proj + model.layers.%d.self_attn.k_proj + model.layers.%d.self_attn.v_proj"
#define ALL_HEADS                                                                                                      \
    "model.layers.%d.self_attn.q_proj + model.layers.%d.self_attn.k_proj* + model.layers.%d.self_attn.v_proj*"
#define MIXTRAL(what) "model.layers.%d.block_sparse_moe." what

static const struct kin kins[] = {
    {"internlm2",
     "llama",
     "{\"model_type\":\"internlm2\",\"bias\":false,\"hidden_act\":\"silu\"," SMALL LLAMA_SIZES,
     {"model.tok_embeddings = model.embed_tokens", "model.norm = model.norm", "output = lm_head",
      "model.layers.%d.attention_norm = model.layers.%d.input_layernorm",
      "model.layers.%d.ffn_norm = model.layers.%d.post_attention_layernorm", "model.layers.%d.attention.wqkv / " QKV,
      "model.layers.%d.attention.wo = model.layers.%d.self_attn.o_proj",
      "model.layers.%d.feed_forward.w1 = model.layers.%d.mlp.gate_proj",
      "model.layers.%d.feed_forward.w3 = model.layers.%d.mlp.up_proj",
      "model.layers.%d.feed_forward.w2 = model.layers.%d.mlp.down_proj"}},
    {"internlm3",
     "llama",
     "{\"model_type\":\"internlm3\",\"bias\":false,\"qkv_bias\":false,\"head_dim\":16," SMALL LLAMA_SIZES,
     {LLAMA_BODY, LLAMA_FFN, LLAMA_QKV, LLAMA_O}},
    {"baichuan",
     "llama",
     "{\"model_type\":\"baichuan\",\"hidden_act\":\"silu\"," SMALL
     "\"hidden_size\":64,\"intermediate_size\":64,\"num_hidden_layers\":2,\"num_attention_heads\":4,"
     "\"vocab_size\":256,\"tie_word_embeddings\":false}",
     {LLAMA_BODY, LLAMA_FFN, "model.layers.%d.self_attn.W_pack = " ALL_HEADS, LLAMA_O}},
    {"exaone",
     "llama",
     "{\"model_type\":\"exaone\",\"activation_function\":\"silu\",\"layer_norm_epsilon\":1e-6,\"num_layers\":2,"
     "\"rope_theta\":10000.0,\"max_position_embeddings\":256," LLAMA_SIZES,
     {"transformer.wte = model.embed_tokens", "transformer.ln_f = model.norm", "lm_head = lm_head",
      "transformer.h.%d.ln_1 = model.layers.%d.input_layernorm",
      "transformer.h.%d.ln_2 = model.layers.%d.post_attention_layernorm",
      "transformer.h.%d.attn.attention.q_proj = model.layers.%d.self_attn.q_proj",
      "transformer.h.%d.attn.attention.k_proj = model.layers.%d.self_attn.k_proj",
      "transformer.h.%d.attn.attention.v_proj = model.layers.%d.self_attn.v_proj",
      "transformer.h.%d.attn.attention.out_proj = model.layers.%d.self_attn.o_proj",
      "transformer.h.%d.mlp.c_fc_0 = model.layers.%d.mlp.gate_proj",
      "transformer.h.%d.mlp.c_fc_1 = model.layers.%d.mlp.up_proj",
      "transformer.h.%d.mlp.c_proj = model.layers.%d.mlp.down_proj"}},
    {"minicpm",
     "llama",
     "{\"model_type\":\"minicpm\",\"scale_emb\":1,\"scale_depth\":1.4142135623730951,\"dim_model_base\":64," SMALL
         LLAMA_SIZES,
     {LLAMA_BODY, LLAMA_FFN, LLAMA_QKV, LLAMA_O}},
    {"emu3_text_model",
     "llama",
     "{\"model_type\":\"emu3_text_model\"," SMALL LLAMA_SIZES,
     {LLAMA_BODY, LLAMA_FFN, LLAMA_QKV, LLAMA_O}},
    {"nemotron-nas",
     "llama",
     "{\"model_type\":\"nemotron-nas\",\"block_configs\":[{\"attention\":{\"n_heads_in_group\":2},\"ffn\":{}},"
     "{\"attention\":{\"n_heads_in_group\":2},\"ffn\":{\"ffn_mult\":null}}]," SMALL
     "\"hidden_size\":64,\"intermediate_size\":64,\"num_hidden_layers\":2,\"num_attention_heads\":4,"
     "\"num_key_value_heads\":null,\"vocab_size\":256}",
     {LLAMA_BODY, LLAMA_FFN, LLAMA_QKV, LLAMA_O}},
    {"mimo, whose further layers guess more tokens",
     "qwen2",
     "{\"model_type\":\"mimo\",\"num_nextn_predict_layers\":1," SMALL
     "\"hidden_size\":64,\"intermediate_size\":64,\"num_hidden_layers\":2,\"num_attention_heads\":4,"
     "\"num_key_value_heads\":2,\"vocab_size\":256,\"tie_word_embeddings\":true}",
     {"model.embed_tokens = model.embed_tokens", "model.norm = model.norm",
      "model.layers.%d.input_layernorm = model.layers.%d.input_layernorm",
      "model.layers.%d.post_attention_layernorm = model.layers.%d.post_attention_layernorm", LLAMA_FFN, LLAMA_QKV,
      LLAMA_O, "model.mtp_layers.0.input_proj = model.norm", "model.layers.2.eh_proj = model.norm"}},
    {"qwen",
     "qwen2",
     "{\"model_type\":\"qwen\",\"hidden_size\":64,\"intermediate_size\":128,\"num_hidden_layers\":2,"
     "\"num_attention_heads\":4,\"kv_channels\":16,\"layer_norm_epsilon\":1e-6,\"rotary_emb_base\":10000,"
     "\"seq_length\":256,\"max_position_embeddings\":256,\"no_bias\":true,\"vocab_size\":256,"
     "\"tie_word_embeddings\":false}",
     {"transformer.wte = model.embed_tokens", "transformer.ln_f = model.norm", "lm_head = model.embed_tokens",
      "transformer.h.%d.ln_1 = model.layers.%d.input_layernorm",
      "transformer.h.%d.ln_2 = model.layers.%d.post_attention_layernorm", "transformer.h.%d.attn.c_attn = " ALL_HEADS,
      "transformer.h.%d.attn.c_proj = model.layers.%d.self_attn.o_proj",
      "transformer.h.%d.mlp.w1 = model.layers.%d.mlp.up_proj",
      "transformer.h.%d.mlp.w2 = model.layers.%d.mlp.gate_proj",
      "transformer.h.%d.mlp.c_proj = model.layers.%d.mlp.down_proj"}},
    {"qwen2_vl_text",
     "qwen2",
     "{\"model_type\":\"qwen2_vl_text\",\"rope_scaling\":{\"type\":\"mrope\",\"mrope_section\":[2,3,3]}," SMALL
     "\"hidden_size\":64,\"intermediate_size\":64,\"num_hidden_layers\":2,\"num_attention_heads\":4,"
     "\"num_key_value_heads\":2,\"vocab_size\":256,\"tie_word_embeddings\":true}",
     {"model.embed_tokens = model.embed_tokens", "model.norm = model.norm",
      "model.layers.%d.input_layernorm = model.layers.%d.input_layernorm",
      "model.layers.%d.post_attention_layernorm = model.layers.%d.post_attention_layernorm", LLAMA_FFN, LLAMA_QKV,
      LLAMA_O}},
    {"openelm",
     "qwen3",
     "{\"model_type\":\"openelm\",\"model_dim\":64,\"num_transformer_layers\":2,\"head_dim\":32,"
     "\"num_query_heads\":[4,4],\"num_kv_heads\":[2,2],\"ffn_multipliers\":[0.75,0.75],\"ffn_dim_divisor\":16,"
     "\"normalize_qk_projections\":true,\"share_input_output_layers\":true,\"rope_freq_constant\":10000,"
     "\"max_context_length\":256,\"vocab_size\":256,\"activation_fn_name\":\"swish\"}",
     {"transformer.token_embeddings = model.embed_tokens", "transformer.norm = model.norm",
      "transformer.layers.%d.attn_norm = model.layers.%d.input_layernorm",
      "transformer.layers.%d.ffn_norm = model.layers.%d.post_attention_layernorm",
      "transformer.layers.%d.attn.qkv_proj = " QKV,
      "transformer.layers.%d.attn.q_norm = model.layers.%d.self_attn.q_norm",
      "transformer.layers.%d.attn.k_norm = model.layers.%d.self_attn.k_norm",
      "transformer.layers.%d.attn.out_proj = model.layers.%d.self_attn.o_proj",
      "transformer.layers.%d.ffn.proj_1 = model.layers.%d.mlp.gate_proj + model.layers.%d.mlp.up_proj",
      "transformer.layers.%d.ffn.proj_2 = model.layers.%d.mlp.down_proj"}},
    {"chatglm",
     "glm",
     "{\"model_type\":\"chatglm\",\"hidden_size\":32,\"ffn_hidden_size\":48,\"num_layers\":2,"
     "\"num_attention_heads\":4,\"kv_channels\":16,\"multi_query_attention\":true,\"multi_query_group_num\":2,"
     "\"layernorm_epsilon\":1.5625e-7,\"rmsnorm\":true,\"add_qkv_bias\":true,\"add_bias_linear\":false,"
     "\"rope_ratio\":1,\"seq_length\":256,\"padded_vocab_size\":128,\"tie_word_embeddings\":false}",
     {"transformer.embedding.word_embeddings = model.embed_tokens", "transformer.encoder.final_layernorm = model.norm",
      "transformer.output_layer = model.embed_tokens",
      "transformer.encoder.layers.%d.input_layernorm = model.layers.%d.input_layernorm",
      "transformer.encoder.layers.%d.post_attention_layernorm = model.layers.%d.post_attention_layernorm",
      "transformer.encoder.layers.%d.self_attention.query_key_value = " QKV,
      "transformer.encoder.layers.%d.self_attention.dense = model.layers.%d.self_attn.o_proj",
      "transformer.encoder.layers.%d.mlp.dense_h_to_4h = model.layers.%d.mlp.gate_up_proj",
      "transformer.encoder.layers.%d.mlp.dense_4h_to_h = model.layers.%d.mlp.down_proj"}},
    {"hf_olmo",
     "olmo",
     "{\"model_type\":\"hf_olmo\",\"d_model\":32,\"n_layers\":2,\"n_heads\":4,\"n_kv_heads\":2,"
     "\"mlp_hidden_size\":96,\"max_sequence_length\":256,\"clip_qkv\":1.5,\"vocab_size\":100,\"embedding_size\":128,"
     "\"weight_tying\":true,\"layer_norm_type\":\"default\",\"block_type\":\"sequential\",\"rope\":true,"
     "\"activation_type\":\"swiglu\"}",
     {"model.transformer.wte = model.embed_tokens", "model.transformer.blocks.%d.att_proj = " QKV,
      "model.transformer.blocks.%d.attn_out = model.layers.%d.self_attn.o_proj",
      "model.transformer.blocks.%d.ff_proj = model.layers.%d.mlp.up_proj + model.layers.%d.mlp.gate_proj",
      "model.transformer.blocks.%d.ff_out = model.layers.%d.mlp.down_proj"}},
    {"deepseek",
     "mixtral",
     "{\"model_type\":\"deepseek\",\"hidden_size\":64,\"intermediate_size\":96,\"moe_intermediate_size\":32,"
     "\"num_hidden_layers\":2,\"num_attention_heads\":4,\"num_key_value_heads\":2,\"n_routed_experts\":4,"
     "\"n_shared_experts\":0,\"num_experts_per_tok\":2,\"first_k_dense_replace\":0,\"norm_topk_prob\":true,"
     "\"scoring_func\":\"softmax\",\"rms_norm_eps\":1e-5,\"rope_theta\":10000.0,\"max_position_embeddings\":256,"
     "\"vocab_size\":256,\"tie_word_embeddings\":true}",
     {"model.embed_tokens = model.embed_tokens", "model.norm = model.norm",
      "model.layers.%d.input_layernorm = model.layers.%d.input_layernorm",
      "model.layers.%d.post_attention_layernorm = model.layers.%d.post_attention_layernorm", LLAMA_QKV, LLAMA_O,
      "model.layers.%d.mlp.gate = " MIXTRAL("gate"),
      "model.layers.%d.mlp.experts.%e.gate_proj = " MIXTRAL("experts.%e.w1"),
      "model.layers.%d.mlp.experts.%e.up_proj = " MIXTRAL("experts.%e.w3"),
      "model.layers.%d.mlp.experts.%e.down_proj = " MIXTRAL("experts.%e.w2")}},
    {"bailing_moe",
     "mixtral",
     "{\"model_type\":\"bailing_moe\",\"hidden_size\":64,\"intermediate_size\":96,\"moe_intermediate_size\":32,"
     "\"num_hidden_layers\":2,\"num_attention_heads\":4,\"num_key_value_heads\":2,\"num_experts\":4,"
     "\"num_shared_experts\":0,\"num_experts_per_tok\":2,\"norm_topk_prob\":true,\"norm_head\":false,"
     "\"rms_norm_eps\":1e-5,\"rope_theta\":10000.0,\"max_position_embeddings\":256,\"vocab_size\":256,"
     "\"tie_word_embeddings\":true}",
     {"model.word_embeddings = model.embed_tokens", "model.norm = model.norm",
      "model.layers.%d.input_layernorm = model.layers.%d.input_layernorm",
      "model.layers.%d.post_attention_layernorm = model.layers.%d.post_attention_layernorm",
      "model.layers.%d.attention.query_key_value = " QKV,
      "model.layers.%d.attention.dense = model.layers.%d.self_attn.o_proj",
      "model.layers.%d.mlp.gate = " MIXTRAL("gate"),
      "model.layers.%d.mlp.experts.%e.gate_proj = " MIXTRAL("experts.%e.w1"),
      "model.layers.%d.mlp.experts.%e.up_proj = " MIXTRAL("experts.%e.w3"),
      "model.layers.%d.mlp.experts.%e.down_proj = " MIXTRAL("experts.%e.w2")}},
    {"qwen3_vl_moe_text",
     "qwen3_moe",
     "{\"model_type\":\"qwen3_vl_moe_text\",\"hidden_size\":32,\"intermediate_size\":48,\"moe_intermediate_size\":16,"
     "\"num_hidden_layers\":2,\"num_attention_heads\":4,\"num_key_value_heads\":2,\"head_dim\":16,\"num_experts\":8,"
     "\"num_experts_per_tok\":2,\"norm_topk_prob\":true,\"mlp_only_layers\":[0],\"rms_norm_eps\":1e-6,"
     "\"rope_theta\":10000.0,\"rope_scaling\":{\"rope_type\":\"default\",\"mrope_section\":[2,3,3]},"
     "\"max_position_embeddings\":256,\"vocab_size\":128,\"tie_word_embeddings\":true}",
     {"model.embed_tokens = model.embed_tokens", "model.norm = model.norm",
      "model.layers.%d.input_layernorm = model.layers.%d.input_layernorm",
      "model.layers.%d.post_attention_layernorm = model.layers.%d.post_attention_layernorm", LLAMA_QKV, LLAMA_O,
      "model.layers.%d.self_attn.q_norm = model.layers.%d.self_attn.q_norm",
      "model.layers.%d.self_attn.k_norm = model.layers.%d.self_attn.k_norm",
      "model.layers.0.mlp.gate_proj = model.layers.0.mlp.gate_proj",
      "model.layers.0.mlp.up_proj = model.layers.0.mlp.up_proj",
      "model.layers.0.mlp.down_proj = model.layers.0.mlp.down_proj",
      "model.layers.1.mlp.gate = model.layers.1.mlp.gate",
      "model.layers.1.mlp.experts.gate_up_proj # model.layers.1.mlp.experts.%e.gate_proj + "
      "model.layers.1.mlp.experts.%e.up_proj"}},
};

static const struct mx_tensor *find(const struct mx_checkpoint *from, const char *module, const char *part)
{
    char name[192];
    snprintf(name, sizeof name, "%s%s", module, part);
    for (size_t i = 0; i < mx_checkpoint_tensor_count(from); i++)
        if (!strcmp(mx_checkpoint_tensor(from, i)->name, name)) return mx_checkpoint_tensor(from, i);
    return NULL;
}

/* A name with the layer and the expert in it. */
static void fill_in(char out[160], const char *name, int layer, int expert)
{
    size_t length = 0;
    for (; *name && *name != ' ' && *name != '*'; name++) {
        const bool hole = name[0] == '%';
        length += (size_t)(hole ? snprintf(out + length, 160 - length, "%d", name[1] == 'd' ? layer : expert)
                                : snprintf(out + length, 160 - length, "%c", *name));
        name += hole;
    }
}

struct piece {
    const struct mx_tensor *tensor;
    bool twice;
};

/* Appends rows [first, first + count) of a tensor. */
static size_t append(struct mx_str *data, const struct mx_tensor *tensor, size_t first, size_t count)
{
    const size_t row = tensor->bytes / tensor->shape[0];
    mx_str_append(data, (const char *)tensor->data + first * row, count * row);
    return count;
}

/* One tensor of a line: the weights, or the biases. */
static void make_part(struct copy *copy, const char *to, const char *part, char rule, const struct piece *pieces,
                      size_t count)
{
    struct mx_str data = {0};
    char name[192];
    size_t rows = 0;
    for (size_t block = 0; block < (rule == '/' ? KV_HEADS : 1); block++) {
        for (size_t p = 0; p < count; p++) {
            const struct mx_tensor *tensor = pieces[p].tensor;
            const size_t all = tensor->shape[0], share = rule == '/' ? all / KV_HEADS : all, head = all / KV_HEADS;
            if (!pieces[p].twice) rows += append(&data, tensor, block * share, share);
            for (size_t h = 0; pieces[p].twice && h < KV_HEADS; h++)
                for (int i = 0; i < GROUP; i++) rows += append(&data, tensor, h * head, head);
        }
    }
    const size_t shape[] = {rows, pieces[0].tensor->shape[1]};
    snprintf(name, sizeof name, "%s%s", to, part);
    copy_tensor(copy, name, mx_storage_name(pieces[0].tensor->storage), pieces[0].tensor->rank, shape, data.data,
                data.length);
    mx_str_free(&data);
}

/* The sources behind a line's rule; returns how many there are, 0 if the golden has none of these. */
static size_t sources_of(const struct mx_checkpoint *from, const char *line, const char *part, int layer, int expert,
                         struct piece pieces[PIECES])
{
    size_t count = 0;
    for (const char *at = line; at; at = strstr(at, " + ") ? strstr(at, " + ") + 3 : NULL) {
        char name[160];
        fill_in(name, at, layer, expert);
        assert_true(count < PIECES);
        pieces[count].tensor = find(from, name, part);
        pieces[count].twice = at[strcspn(at, " *")] == '*';
        if (!pieces[count++].tensor) return 0;
    }
    return count;
}

/* All experts' rows transposed: [experts, cols, rows of all pieces]. */
static void make_stack(struct copy *copy, const struct mx_checkpoint *from, const char *to, const char *sources)
{
    struct mx_str data = {0};
    struct piece pieces[PIECES];
    size_t experts = 0, rows = 0, cols = 0, count;
    for (; (count = sources_of(from, sources, ".weight", 1, (int)experts, pieces)) > 0; experts++) {
        cols = pieces[0].tensor->shape[1];
        rows = count * pieces[0].tensor->shape[0];
        for (size_t c = 0; c < cols; c++)
            for (size_t p = 0; p < count; p++)
                for (size_t r = 0; r < pieces[p].tensor->shape[0]; r++)
                    mx_str_append(&data, (const char *)pieces[p].tensor->data + 2 * (r * cols + c), 2);
    }
    copy_tensor(copy, to, "BF16", 3, (const size_t[]){experts, cols, rows}, data.data, data.length);
    mx_str_free(&data);
}

static void make_line(struct copy *copy, const struct mx_checkpoint *from, const char *line, int layer, int expert)
{
    static const char *const parts[] = {".weight", ".bias"};
    const char *rule = strchr(line, ' ') + 1;
    struct piece pieces[PIECES];
    char to[160];
    fill_in(to, line, layer, expert);
    for (size_t i = 0; i < 2; i++) {
        const size_t count = sources_of(from, rule + 2, parts[i], layer, expert, pieces);
        if (count) make_part(copy, to, parts[i], *rule, pieces, count);
    }
}

static void make_kin(struct copy *copy, const struct kin *kin)
{
    char base[64];
    snprintf(base, sizeof base, DATA "%s", kin->base);
    struct mx_checkpoint *from = open_checkpoint(base);
    copy_start(copy);
    for (const char *const *line = kin->lines; *line; line++) {
        const bool by_layer = strstr(*line, "%d"), by_expert = strstr(*line, "%e"), stack = strstr(*line, " # ");
        char to[160];
        fill_in(to, *line, 0, 0);
        if (stack) make_stack(copy, from, to, strstr(*line, " # ") + 3);
        for (int layer = 0; !stack && layer < (by_layer ? LAYERS : 1); layer++)
            for (int expert = 0; expert < (by_expert ? 4 : 1); expert++) make_line(copy, from, *line, layer, expert);
    }
    if (!strcmp(kin->base, "qwen3_moe"))
        make_stack(copy, from, "model.layers.1.mlp.experts.down_proj", "model.layers.1.mlp.experts.%e.down_proj");
    copy_finish(copy, kin->config);
    mx_checkpoint_close(from);
}

static void test_kin(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kins / sizeof *kins; i++) {
        struct copy copy;
        char base[64];
        size_t vocab, same;
        snprintf(base, sizeof base, DATA "%s", kins[i].base);
        print_message("%s as %s\n", kins[i].base, kins[i].type);
        make_kin(&copy, &kins[i]);
        float *got = run(copy.folder, &vocab), *expected = run(base, &same);
        assert_int_equal(vocab, same);
        const double off = distance(got, expected, TOKENS * vocab);
        if (!(off <= 1e-5)) fail_msg("%s: %g from %s", kins[i].type, off, kins[i].base);
        free(got);
        free(expected);
        copy_remove(&copy);
    }
}

/* The number at [row, col] of a matrix in bf16. */
static double number(const struct mx_tensor *tensor, size_t row, size_t col)
{
    uint16_t half;
    memcpy(&half, (const char *)tensor->data + 2 * (row * tensor->shape[1] + col), sizeof half);
    return (double)mx_f32_from_bf16(half);
}

/* To a text of one token attention is a matrix: the output's times the values'. */
static void test_linear_layer(void **state)
{
    enum { HIDDEN = 64, DIM = 16 };
    (void)state;
    struct copy copy;
    struct mx_checkpoint *from = open_checkpoint(DATA "llama");
    const struct mx_tensor *o = find(from, "model.layers.1.self_attn.o_proj", ".weight");
    const struct mx_tensor *v = find(from, "model.layers.1.self_attn.v_proj", ".weight");
    static float product[HIDDEN * HIDDEN];
    for (size_t i = 0; i < HIDDEN; i++)
        for (size_t j = 0; j < HIDDEN; j++) {
            double sum = 0;
            for (size_t k = 0; k < HIDDEN; k++)
                sum += number(o, i, k) * number(v, k / (GROUP * DIM) * DIM + k % DIM, j);
            product[i * HIDDEN + j] = (float)sum;
        }
    copy_start(&copy);
    for (size_t i = 0; i < mx_checkpoint_tensor_count(from); i++) {
        const struct mx_tensor *tensor = mx_checkpoint_tensor(from, i);
        if (!strncmp(tensor->name, "model.layers.1.self_attn.", 25)) continue;
        copy_tensor(&copy, tensor->name, mx_storage_name(tensor->storage), tensor->rank, tensor->shape, tensor->data,
                    tensor->bytes);
    }
    copy_tensor(&copy, "model.layers.1.self_attn.linear_attn.weight", "F32", 2, (const size_t[]){HIDDEN, HIDDEN},
                product, sizeof product);
    copy_finish(&copy, "{\"model_type\":\"nemotron-nas\",\"block_configs\":[{\"attention\":{\"n_heads_in_group\":2},"
                       "\"ffn\":{}},{\"attention\":{\"replace_with_linear\":true},\"ffn\":{}}]," SMALL
                       "\"hidden_size\":64,\"intermediate_size\":64,\"num_hidden_layers\":2,"
                       "\"num_attention_heads\":4,\"num_key_value_heads\":null,\"vocab_size\":256}");
    size_t vocab;
    float *got = run(copy.folder, &vocab), *expected = run(DATA "llama", &vocab);
    assert_true(distance(got, expected, vocab) < 1e-3);
    assert_true(distance(got + vocab, expected + vocab, vocab) > 1e-2); /* the next token attends */
    free(got);
    free(expected);
    copy_remove(&copy);
    mx_checkpoint_close(from);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kin),
        cmocka_unit_test(test_linear_layer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
