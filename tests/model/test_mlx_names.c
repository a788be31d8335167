/* The same model under Hugging Face's names and stacking and under MLX's gives the same logits. What MLX's conversion
 * of a type changes is a list of rules. */
#include "copies.h"

#include "base/floats.h"

enum op {
    RENAME,    /* `from` in a name becomes `to` */
    STACK,     /* FROM with the expert's number for '#': all of a layer into one, along a new first axis */
    HALVES,    /* the halves of axis -2 of a stack: TO with gate and with up for '#' */
    COLUMNS,   /* the halves of the last axis, transposed */
    EVEN_ODD,  /* every other column, transposed; of a matrix [experts, n] every other number */
    TURN,      /* the last two axes change places */
    UNSTACK,   /* [experts * rows, cols] into a tensor for each expert, '#' in TO */
    CONVOLVE,  /* [channels, 1, width] becomes [channels, width, 1] */
    ADD_ONE,   /* to each number; as F32 */
    SPLIT_KV_B /* into `embed_q` and `unembed_out` */
};
struct rule {
    const char *families; /* words */
    enum op op;
    const char *from, *to; /* parts of names */
};

#define SWITCH_MLP(families, from, to)                                                                                 \
    {families, STACK, from ".#.gate_proj.weight", to ".gate_proj.weight"},                                             \
        {families, STACK, from ".#.up_proj.weight", to ".up_proj.weight"},                                             \
    {                                                                                                                  \
        families, STACK, from ".#.down_proj.weight", to ".down_proj.weight"                                            \
    }
#define SWITCH_W(families, from, to)                                                                                   \
    {families, STACK, from ".#.w1.weight", to ".gate_proj.weight"},                                                    \
        {families, STACK, from ".#.w3.weight", to ".up_proj.weight"},                                                  \
    {                                                                                                                  \
        families, STACK, from ".#.w2.weight", to ".down_proj.weight"                                                   \
    }

static const struct rule rules[] = {
    SWITCH_MLP("qwen2_moe qwen3_moe qwen3_next qwen3_5_moe_text olmoe mellum glm4_moe glm4_moe_lite glm_moe_dsa "
               "deepseek_v2 deepseek_v3 deepseek_v32 "
               "longcat_flash mimo_v2_flash hunyuan_v1_moe ernie4_5_moe exaone_moe",
               "mlp.experts", "mlp.switch_mlp"),
    {"exaone_moe", RENAME, "mlp.e_score_correction_bias", "mlp.gate.e_score_correction_bias"},
    SWITCH_W("mixtral phimoe minimax minimax_m2", "block_sparse_moe.experts", "block_sparse_moe.switch_mlp"),
    SWITCH_W("kimi_linear", "block_sparse_moe.experts", "block_sparse_moe.switch_mlp"),
    {"kimi_linear", RENAME, "block_sparse_moe.gate.e_score", "block_sparse_moe.e_score"},
    {"kimi_linear", RENAME, "block_sparse_moe.", "mlp."},
    {"kimi_linear", CONVOLVE, "_conv1d.weight", "_conv.conv.weight"},
    SWITCH_MLP("afmoe dots1", "mlp.experts", "mlp.experts"),
    {"nemotron_h", STACK, "mixer.experts.#.up_proj.weight", "mixer.switch_mlp.fc1.weight"},
    {"nemotron_h", STACK, "mixer.experts.#.down_proj.weight", "mixer.switch_mlp.fc2.weight"},
    SWITCH_W("lfm2_moe", "feed_forward.experts", "feed_forward.switch_mlp"),
    {"lfm2_moe", RENAME, "feed_forward.w1", "feed_forward.gate_proj"},
    {"lfm2_moe", RENAME, "feed_forward.w3", "feed_forward.up_proj"},
    {"lfm2_moe", RENAME, "feed_forward.w2", "feed_forward.down_proj"},
    SWITCH_MLP("jamba", "feed_forward.experts", "feed_forward.switch_mlp"),
    {"granitemoe granitemoehybrid granitemoeshared", HALVES, "moe.input_linear.weight", "moe.switch_mlp.#_proj.weight"},
    {"granitemoe granitemoehybrid granitemoeshared", RENAME, "moe.output_linear", "moe.switch_mlp.down_proj"},
    {"llama4_text", COLUMNS, "experts.gate_up_proj", "experts.#_proj.weight"},
    {"llama4_text", TURN, "experts.down_proj", "experts.down_proj.weight"},
    {"gemma4_moe_text", HALVES, "experts.gate_up_proj", "experts.switch_glu.#_proj.weight"},
    {"gemma4_moe_text", RENAME, "experts.down_proj", "experts.switch_glu.down_proj.weight"},
    {"gpt_oss", EVEN_ODD, "experts.gate_up_proj_bias", "experts.#_proj.bias"},
    {"gpt_oss", EVEN_ODD, "experts.gate_up_proj", "experts.#_proj.weight"},
    {"gpt_oss", TURN, "experts.down_proj$", "experts.down_proj.weight"},
    {"gpt_oss", RENAME, "experts.down_proj_bias", "experts.down_proj.bias"},
    {"dbrx", UNSTACK, "experts.mlp.w1", "experts.#.w1.weight"},
    {"dbrx", UNSTACK, "experts.mlp.v1", "experts.#.v1.weight"},
    {"dbrx", UNSTACK, "experts.mlp.w2", "experts.#.w2.weight"},
    {"dbrx", TURN, ".w2.weight", ".w2.weight"},
    {"deepseek_v3 deepseek_v32 glm4_moe_lite glm_moe_dsa longcat_flash kimi_linear", SPLIT_KV_B, "kv_b_proj.weight",
     NULL},
    {"qwen3_next qwen3_5_text qwen3_5_moe_text", CONVOLVE, "conv1d.weight", "conv1d.weight"},
    {"qwen3_next qwen3_5_text qwen3_5_moe_text", ADD_ONE, "layernorm.weight", NULL},
    {"qwen3_next qwen3_5_text qwen3_5_moe_text", ADD_ONE, "model.norm.weight", NULL},
    {"qwen3_next qwen3_5_text qwen3_5_moe_text", ADD_ONE, "q_norm.weight", NULL},
    {"qwen3_next qwen3_5_text qwen3_5_moe_text", ADD_ONE, "k_norm.weight", NULL},
    {"mamba falcon_mamba mamba2 jamba nemotron_h granitemoehybrid", CONVOLVE, "conv1d.weight", "conv1d.weight"},
    {"lfm2 lfm2_moe", CONVOLVE, "conv.conv.weight", "conv.conv.weight"},
    {"recurrent_gemma", CONVOLVE, "conv_1d.weight", "conv_1d.weight"},
    {"gpt2", TURN, "c_attn.weight", "c_attn.weight"},
    {"gpt2", TURN, "c_proj.weight", "c_proj.weight"},
    {"gpt2", TURN, "c_fc.weight", "c_fc.weight"},
    {"gpt2", RENAME, "transformer.", "model."},
};
enum { RULES = sizeof rules / sizeof *rules };

/* ---- tensors ---- */

struct tensor {
    char name[256], storage[16];
    int rank;
    size_t shape[4];
    uint8_t *data;
    size_t size; /* of an element */
    bool gone;
};

struct tensors {
    struct tensor *all;
    size_t count;
};

static size_t elements_of(const struct tensor *tensor)
{
    size_t count = 1;
    for (int i = 0; i < tensor->rank; i++) count *= tensor->shape[i];
    return count;
}

/* A tensor like `like`, called `name`, with room for its own elements. */
static struct tensor *add_tensor(struct tensors *tensors, const struct tensor *like, const char *name, int rank,
                                 const size_t *shape)
{
    tensors->all = realloc(tensors->all, (tensors->count + 1) * sizeof *tensors->all);
    assert_non_null(tensors->all);
    struct tensor *tensor = &tensors->all[tensors->count++];
    *tensor = (struct tensor){.rank = rank, .size = like->size};
    snprintf(tensor->name, sizeof tensor->name, "%s", name);
    snprintf(tensor->storage, sizeof tensor->storage, "%s", like->storage);
    memcpy(tensor->shape, shape, (size_t)rank * sizeof *shape);
    tensor->data = malloc(elements_of(tensor) * tensor->size + 1);
    assert_non_null(tensor->data);
    return tensor;
}

static struct tensors read_tensors(const char *directory)
{
    struct tensors tensors = {0};
    struct mx_checkpoint *checkpoint = open_checkpoint(directory);
    for (size_t i = 0; i < mx_checkpoint_tensor_count(checkpoint); i++) {
        const struct mx_tensor *from = mx_checkpoint_tensor(checkpoint, i);
        struct tensor like = {.size = from->elements ? from->bytes / from->elements : 0};
        snprintf(like.storage, sizeof like.storage, "%s", mx_storage_name(from->storage));
        struct tensor *tensor = add_tensor(&tensors, &like, from->name, from->rank, from->shape);
        memcpy(tensor->data, from->data, from->bytes);
    }
    mx_checkpoint_close(checkpoint);
    return tensors;
}

static void write_tensors(struct tensors *tensors, struct copy *copy)
{
    for (size_t i = 0; i < tensors->count; i++) {
        struct tensor *tensor = &tensors->all[i];
        if (!tensor->gone)
            copy_tensor(copy, tensor->name, tensor->storage, tensor->rank, tensor->shape, tensor->data,
                        elements_of(tensor) * tensor->size);
        free(tensor->data);
    }
    free(tensors->all);
}

/* `name` with `from` in it, whose '#' stands for a number, replaced by `to`, whose '#' becomes `word`. A '$' at the end
 * of `from` is the name's end. False if it isn't in it; *number is what '#' stood for. */
static bool replace_part(char out[256], const char *name, const char *from, const char *to, const char *word,
                         size_t *number)
{
    const char *hash = strchr(from, '#');
    const bool last = from[strlen(from) - 1] == '$';
    const size_t before = hash ? (size_t)(hash - from) : strlen(from) - last;
    for (const char *at = name; *at; at++) {
        if (strncmp(at, from, before) != 0) continue;
        const char *end = at + before;
        if (hash) {
            char *digits;
            *number = strtoul(end, &digits, 10);
            if (digits == end || strncmp(digits, hash + 1, strlen(hash + 1)) != 0) continue;
            end = digits + strlen(hash + 1);
        }
        if (last && *end) continue;
        const char *place = to ? strchr(to, '#') : NULL;
        if (place)
            snprintf(out, 256, "%.*s%.*s%s%s%s", (int)(at - name), name, (int)(place - to), to, word, place + 1, end);
        else
            snprintf(out, 256, "%.*s%s%s", (int)(at - name), name, to ? to : "", end);
        return true;
    }
    return false;
}

/* Element [first + i * step][j] of a matrix [rows, cols] goes to [j][i] (turned) or [i][j]. */
static void copy_rows(uint8_t *to, const uint8_t *from, size_t cols, size_t first, size_t count, size_t step,
                      bool turned, size_t size)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < cols; j++)
            memcpy(to + (turned ? j * count + i : i * cols + j) * size, from + ((first + i * step) * cols + j) * size,
                   size);
}

static void turn(uint8_t *to, const uint8_t *from, size_t rows, size_t cols, size_t size)
{
    copy_rows(to, from, cols, 0, rows, 1, true, size);
}

/* ---- rules ---- */

/* Of `most` experts, if it isn't 0: others, which do nothing, are left out. */
static void stack(struct tensors *tensors, size_t first, const struct rule *rule, const char *name, size_t most)
{
    const struct tensor like = tensors->all[first];
    const size_t bytes = elements_of(&like) * like.size, known = tensors->count;
    size_t count = 0, number;
    char other[256];
    for (size_t i = 0; i < known; i++) {
        if (replace_part(other, tensors->all[i].name, rule->from, rule->to, "", &number) && !strcmp(other, name))
            count++;
    }
    if (most && most < count) count = most;
    const size_t shape[] = {count, like.shape[0], like.shape[1]};
    struct tensor *whole = add_tensor(tensors, &like, name, 3, shape);
    for (size_t i = 0; i < known; i++) {
        struct tensor *one = &tensors->all[i];
        if (!replace_part(other, one->name, rule->from, rule->to, "", &number) || strcmp(other, name) != 0) continue;
        if (number < count) memcpy(whole->data + number * bytes, one->data, bytes);
        one->gone = true;
    }
}

/* Gate and up out of what holds both. */
static void part(struct tensors *tensors, size_t index, const struct rule *rule)
{
    static const char *const words[] = {"gate", "up"};
    tensors->all[index].gone = true;
    for (size_t w = 0; w < 2; w++) {
        const struct tensor both = tensors->all[index];
        const size_t experts = both.shape[0], a = both.shape[1], b = both.rank == 3 ? both.shape[2] : 1,
                     size = both.size;
        char name[256];
        replace_part(name, both.name, rule->from, rule->to, words[w], NULL);
        const bool rows = rule->op == HALVES || both.rank == 2;
        const size_t shape[] = {experts, rows ? a / 2 : b / 2, rows ? b : a};
        const size_t width = shape[1], step = rule->op == EVEN_ODD ? 2 : 1, start = w * (step == 2 ? 1 : width);
        struct tensor *out = add_tensor(tensors, &both, name, both.rank, shape);
        uint8_t *turned = malloc(a * b * size);
        for (size_t e = 0; e < experts; e++) {
            const uint8_t *from = both.data + e * a * b * size;
            if (!rows) turn(turned, from, a, b, size);
            copy_rows(out->data + e * width * shape[2] * size, rows ? from : turned, shape[2], start, width, step,
                      false, size);
        }
        free(turned);
    }
}

static void turn_last(struct tensor *tensor)
{
    const size_t rows = tensor->shape[tensor->rank - 2], cols = tensor->shape[tensor->rank - 1];
    const size_t bytes = rows * cols * tensor->size;
    uint8_t *turned = malloc(elements_of(tensor) * tensor->size);
    for (size_t e = 0; e < elements_of(tensor) / rows / cols; e++)
        turn(turned + e * bytes, tensor->data + e * bytes, rows, cols, tensor->size);
    free(tensor->data);
    tensor->data = turned;
    tensor->shape[tensor->rank - 2] = cols;
    tensor->shape[tensor->rank - 1] = rows;
}

static void unstack(struct tensors *tensors, size_t index, const struct rule *rule, size_t experts)
{
    tensors->all[index].gone = true;
    for (size_t e = 0; e < experts; e++) {
        const struct tensor whole = tensors->all[index];
        const size_t shape[] = {whole.shape[0] / experts, whole.shape[1]}, bytes = shape[0] * shape[1] * whole.size;
        char name[256], number[24];
        snprintf(number, sizeof number, "%zu", e);
        replace_part(name, whole.name, rule->from, rule->to, number, NULL);
        memcpy(add_tensor(tensors, &whole, name, 2, shape)->data, whole.data + e * bytes, bytes);
    }
}

static void add_one(struct tensor *tensor)
{
    const size_t count = elements_of(tensor);
    float *values = malloc(count * sizeof *values);
    assert_string_equal(tensor->storage, "BF16");
    for (size_t i = 0; i < count; i++) values[i] = mx_float_load(tensor->data, MX_BF16, i) + 1;
    free(tensor->data);
    tensor->data = (uint8_t *)values;
    tensor->size = sizeof *values;
    strcpy(tensor->storage, "F32");
}

static size_t field(const cJSON *config, const char *name)
{
    const cJSON *item = mx_json_get(config, name);
    return cJSON_IsNumber(item) ? (size_t)item->valuedouble : 0;
}

static void split_kv_b(struct tensors *tensors, size_t index, const cJSON *config)
{
    const size_t nope = field(config, "qk_nope_head_dim"), v = field(config, "v_head_dim");
    const size_t heads = tensors->all[index].shape[0] / (nope + v), rank = tensors->all[index].shape[1];
    const size_t key_shape[] = {heads, rank, nope}, value_shape[] = {heads, v, rank};
    char name[256];
    tensors->all[index].gone = true;
    for (int values = 0; values < 2; values++) {
        const struct tensor both = tensors->all[index];
        replace_part(name, both.name, "kv_b_proj", values ? "unembed_out" : "embed_q", "", NULL);
        struct tensor *own = add_tensor(tensors, &both, name, 3, values ? value_shape : key_shape);
        for (size_t h = 0; h < heads; h++)
            copy_rows(own->data + h * rank * (values ? v : nope) * both.size, both.data, rank,
                      h * (nope + v) + (values ? nope : 0), values ? v : nope, 1, !values, both.size);
    }
}

static void apply(struct tensors *tensors, const struct rule *rule, const cJSON *config)
{
    size_t applied = 0;
    for (size_t i = 0, known = tensors->count; i < known; i++) {
        char name[256];
        size_t number;
        struct tensor *tensor = &tensors->all[i];
        if (tensor->gone || !replace_part(name, tensor->name, rule->from, rule->to, "", &number)) continue;
        applied++;
        switch (rule->op) {
        case STACK: stack(tensors, i, rule, name, field(config, "n_routed_experts")); continue;
        case HALVES:
        case COLUMNS:
        case EVEN_ODD: part(tensors, i, rule); continue;
        case UNSTACK: unstack(tensors, i, rule, field(mx_json_get(config, "ffn_config"), "moe_num_experts")); continue;
        case SPLIT_KV_B: split_kv_b(tensors, i, config); continue;
        case ADD_ONE: add_one(tensor); continue;
        case TURN: turn_last(tensor); break;
        case CONVOLVE:
            tensor->shape[1] = tensor->shape[2];
            tensor->shape[2] = 1;
            break;
        case RENAME: break;
        }
        strcpy(tensor->name, name);
    }
    if (!applied) fail_msg("%s: no tensor is called %s", rule->families, rule->from);
}

/* ---- models ---- */

static bool has_word(const char *words, const char *word)
{
    const size_t length = strlen(word);
    for (const char *at = strstr(words, word); at; at = strstr(at + 1, word))
        if ((at == words || at[-1] == ' ') && (at[length] == ' ' || !at[length])) return true;
    return false;
}

static size_t wrong;

static void check_same(const char *family, const char *one, const char *two)
{
    enum { COUNT = 24 };
    int32_t ids[COUNT];
    struct mx_session *a = session_of(one, MX_CPU_SCALAR, 1, 64, COUNT), *b;
    b = session_of(two, MX_CPU_SCALAR, 1, 64, COUNT);
    const size_t vocab = mx_session_arch(a)->vocab;
    for (size_t i = 0; i < COUNT; i++) ids[i] = (int32_t)((i * 37 + 5) % vocab);
    float *x = logits_of(a, ids, COUNT), *y = logits_of(b, ids, COUNT);
    if (memcmp(x, y, COUNT * vocab * sizeof *x) != 0) {
        print_error("%s: MLX's names give other logits\n", family);
        wrong++;
    }
    free(x);
    free(y);
    mx_session_close(a);
    mx_session_close(b);
}

static void check_family(const char *family, const char *directory)
{
    struct copy copy;
    struct tensors tensors = read_tensors(directory);
    cJSON *config = json_of(directory, "config.json");
    for (size_t i = 0; i < RULES; i++)
        if (has_word(rules[i].families, family)) apply(&tensors, &rules[i], config);
    copy_start(&copy);
    write_tensors(&tensors, &copy);
    char *text = config_of(directory);
    copy_finish(&copy, text);
    free(text);
    cJSON_Delete(config);
    struct mx_error err;
    struct mx_model *model;
    if (mx_model_open(&model, copy.folder, NULL, &err) == MX_OK) {
        mx_model_close(model);
        check_same(family, directory, copy.folder);
    } else {
        print_error("%s: %s\n", family, err.message);
        wrong++;
    }
    copy_remove(&copy);
}

/* Every family of the rules: the goldens here, the others where the folder of references is there. */
static void mlx_names_give_the_same(void **state)
{
    size_t checked = 0;
    char done[4096] = "", word[64], directory[512];
    for (size_t i = 0; i < RULES; i++) {
        for (const char *at = rules[i].families; *at; at += strspn(at, " ")) {
            const size_t length = strcspn(at, " ");
            snprintf(word, sizeof word, "%.*s", (int)length, at);
            at += length;
            if (has_word(done, word)) continue;
            snprintf(done + strlen(done), sizeof done - strlen(done), " %s", word);
            snprintf(directory, sizeof directory, "tests/data/families/%s/config.json", word);
            if (access(directory, R_OK) != 0) {
                if (!shared_fixtures()) continue;
                snprintf(directory, sizeof directory, "%s/families/%s/config.json", shared_fixtures(), word);
                if (access(directory, R_OK) != 0) continue;
            }
            *strrchr(directory, '/') = '\0';
            check_family(word, directory);
            checked++;
        }
    }
    assert_true(checked >= 25);
    assert_int_equal(wrong, 0);
}

/* Its multipliers are in the weights there: refused, not multiplied twice. */
static void folded_multipliers_are_refused(void **state)
{
    static const struct rule turned = {"falcon_h1", CONVOLVE, "conv1d.weight", "conv1d.weight"};
    struct mx_error err;
    struct copy copy;
    struct mx_model *model;
    struct tensors tensors = read_tensors("tests/data/families/falcon_h1");
    apply(&tensors, &turned, NULL);
    copy_start(&copy);
    write_tensors(&tensors, &copy);
    char *text = config_of("tests/data/families/falcon_h1");
    copy_finish(&copy, text);
    free(text);
    assert_fails(mx_model_open(&model, copy.folder, NULL, &err), MX_ERR_UNSUPPORTED,
                 "has its multipliers in the weights");
    copy_remove(&copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(mlx_names_give_the_same),
                                       cmocka_unit_test(folded_multipliers_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
