/* Experts at speed: each chosen expert's weights are read once, however many tokens or texts share the pass, and the
 * pages of experts that nobody chose stay untouched. */
#include "copies.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/random.h"
#include "cache/size.h"

#define FAMILY "tests/data/families/qwen3_moe"

static struct mx_error err;

enum { EXPERTS = 8 };

static size_t expert_layers(const struct mx_arch *arch)
{
    size_t count = 0;
    for (uint32_t i = 0; i < arch->layer_count; i++)
        count += arch->layers[i].feed_forward.kind == MX_FEED_FORWARD_EXPERTS;
    return count;
}

/* A prefill of many tokens reads an expert at most once a layer, whatever number of tokens chose it; a step of one
 * token exactly those that it uses. */
static void chosen_experts_are_read_once(void **state)
{
    enum { TOKENS = 40 };
    struct mx_session *session = session_of(FAMILY, mx_cpu_detect(), 1, 64, TOKENS);
    const struct mx_arch *arch = mx_session_arch(session);
    const size_t layers = expert_layers(arch);
    int32_t ids[TOKENS];
    float *logits;
    for (int i = 0; i < TOKENS; i++) ids[i] = (i * 37 + 5) % 128;
    assert_true(layers > 0);
    assert_ok(mx_session_feed(session, ids, TOKENS, &logits, NULL, &err));
    const struct mx_experts_use prefill = mx_workspace_experts(mx_session_workspace(session));
    assert_int_equal(prefill.layers, layers);
    assert_true(prefill.read > layers * arch->experts.used && prefill.read <= layers * arch->experts.count);
    assert_ok(mx_session_decode(session, 7, &logits, &err));
    const struct mx_experts_use step = mx_workspace_experts(mx_session_workspace(session));
    assert_int_equal(step.layers - prefill.layers, layers);
    assert_int_equal(step.read - prefill.read, layers * arch->experts.used);
    mx_session_close(session);
}

/* The same text twice in one pass: the experts of one. */
static void texts_share_experts(void **state)
{
    enum { CONTEXT = 64, PROMPT = 3 };
    static const int32_t ids[PROMPT + 1] = {5, 9, 13, 7};
    struct mx_model *model;
    struct mx_pool *pool;
    struct mx_kv_plan *plan;
    struct mx_kv_store *store;
    struct mx_workspace *workspace;
    struct mx_sequence *texts[2];
    assert_ok(mx_model_open(&model, FAMILY, NULL, &err));
    const struct mx_arch *arch = mx_model_arch(model);
    const struct mx_kv_options request = mx_kv_options_default();
    struct mx_kv_plan_options options = {
        .key_bias = mx_model_key_bias(model), .context = CONTEXT, .cpu = mx_cpu_detect()};
    assert_ok(mx_kv_resolve(&options.setup, &request, arch, &err));
    assert_ok(mx_pool_open(&pool, 1, &err));
    assert_ok(mx_kv_plan_open(&plan, arch, &options, &err));
    const struct mx_kv_store_options room = {.budget = 3 * mx_cache_bytes(arch, &options.setup, CONTEXT)};
    assert_ok(mx_kv_store_open(&store, plan, &room, &err));
    const struct mx_workspace_options work = {.chunk = 8, .rows = 1, .cpu = options.cpu, .pool = pool};
    assert_ok(mx_workspace_open(&workspace, arch, &work, &err));
    struct mx_segment segments[2];
    for (int i = 0; i < 2; i++) {
        assert_ok(mx_sequence_open(&texts[i], store, &err));
        segments[i] = (struct mx_segment){.sequence = texts[i], .tokens = ids, .n = PROMPT};
    }
    assert_ok(mx_model_forward(model, workspace, segments, 2, NULL, NULL, &err));
    const struct mx_experts_use before = mx_workspace_experts(workspace);
    for (int i = 0; i < 2; i++)
        segments[i] = (struct mx_segment){.sequence = texts[i], .tokens = ids + PROMPT, .n = 1, .decode = true};
    assert_ok(mx_model_forward(model, workspace, segments, 2, NULL, NULL, &err));
    const struct mx_experts_use after = mx_workspace_experts(workspace);
    assert_int_equal(after.layers - before.layers, expert_layers(arch));
    assert_int_equal(after.read - before.read, expert_layers(arch) * arch->experts.used);
    for (int i = 0; i < 2; i++) mx_sequence_close(texts[i]);
    mx_workspace_close(workspace);
    mx_kv_store_close(store);
    mx_kv_plan_close(plan);
    mx_pool_close(pool);
    mx_model_close(model);
}

/* A copy of a family that keeps one of two groups of experts, with `bias`, a bfloat16, for those of the first when
 * groups are chosen; a router that knows nothing gives all experts one score. What it says to one token. */
static float first_logit(uint16_t bias)
{
    static const char family[] = "tests/data/families/deepseek_v3";
    struct copy copy;
    struct mx_checkpoint *checkpoint = open_checkpoint(family);
    copy_start(&copy);
    for (size_t i = 0; i < mx_checkpoint_tensor_count(checkpoint); i++) {
        const struct mx_tensor *tensor = mx_checkpoint_tensor(checkpoint, i);
        const bool router = strstr(tensor->name, "mlp.gate."), biases = strstr(tensor->name, "e_score_correction_bias");
        uint16_t *numbers = calloc(1, tensor->bytes); /* bfloat16 */
        assert_non_null(numbers);
        for (size_t e = 0; biases && e < EXPERTS / 2; e++) numbers[e] = bias;
        copy_tensor(&copy, tensor->name, mx_storage_name(tensor->storage), tensor->rank, tensor->shape,
                    router ? (const void *)numbers : tensor->data, tensor->bytes);
        free(numbers);
    }
    mx_checkpoint_close(checkpoint);
    char *config = config_of(family);
    copy_finish(&copy, config);
    free(config);
    struct mx_session *session = session_of(copy.folder, mx_cpu_detect(), 1, 16, 4);
    const int32_t token = 5;
    float *logits;
    assert_ok(mx_session_feed(session, &token, 1, &logits, NULL, &err));
    const float first = logits[0];
    mx_session_close(session);
    copy_remove(&copy);
    return first;
}

/* Of groups that score the same, as of experts, the first is kept. */
static void first_of_equal_groups_is_kept(void **state)
{
    assert_true(first_logit(0) == first_logit(0x3f80));
    assert_true(first_logit(0) != first_logit(0xbf80));
}

/* ---- pages ---- */

enum { HIDDEN = 128, WIDTH = 256, VOCAB = 64 }; /* a matrix of an expert: 64 KiB in bfloat16 */

static void put_random(struct copy *copy, struct mx_random *random, const char *name, size_t rows, size_t cols)
{
    const size_t shape[] = {rows, cols}, count = rows * cols;
    uint16_t *numbers = malloc(count * sizeof *numbers);
    for (size_t i = 0; i < count; i++) numbers[i] = (uint16_t)(0x3c00 | (mx_random_u64(random) & 0x807f));
    copy_tensor(copy, name, "BF16", cols == 1 ? 1 : 2, shape, numbers, count * sizeof *numbers);
    free(numbers);
}

/* One layer, 8 experts of which a token uses one. */
static void make_model(struct copy *copy)
{
    static const struct {
        const char *name;
        size_t rows, cols;
    } tensors[] = {
        {"model.embed_tokens.weight", VOCAB, HIDDEN},
        {"model.norm.weight", HIDDEN, 1},
        {"lm_head.weight", VOCAB, HIDDEN},
        {"model.layers.0.input_layernorm.weight", HIDDEN, 1},
        {"model.layers.0.post_attention_layernorm.weight", HIDDEN, 1},
        {"model.layers.0.self_attn.q_proj.weight", HIDDEN, HIDDEN},
        {"model.layers.0.self_attn.k_proj.weight", HIDDEN, HIDDEN},
        {"model.layers.0.self_attn.v_proj.weight", HIDDEN, HIDDEN},
        {"model.layers.0.self_attn.o_proj.weight", HIDDEN, HIDDEN},
        {"model.layers.0.self_attn.q_norm.weight", 64, 1},
        {"model.layers.0.self_attn.k_norm.weight", 64, 1},
        {"model.layers.0.mlp.gate.weight", EXPERTS, HIDDEN},
    };
    struct mx_random random = {1};
    copy_start(copy);
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++)
        put_random(copy, &random, tensors[i].name, tensors[i].rows, tensors[i].cols);
    for (int e = 0; e < EXPERTS; e++) {
        static const char *const parts[] = {"gate", "up", "down"};
        for (int p = 0; p < 3; p++) {
            char name[128];
            snprintf(name, sizeof name, "model.layers.0.mlp.experts.%d.%s_proj.weight", e, parts[p]);
            put_random(copy, &random, name, p == 2 ? HIDDEN : WIDTH, p == 2 ? WIDTH : HIDDEN);
        }
    }
    copy_finish(copy, "{\"model_type\": \"qwen3_moe\", \"hidden_size\": 128, \"intermediate_size\": 256, "
                      "\"moe_intermediate_size\": 256, \"num_attention_heads\": 2, \"num_key_value_heads\": 2, "
                      "\"head_dim\": 64, \"num_hidden_layers\": 1, \"vocab_size\": 64, \"num_experts\": 8, "
                      "\"num_experts_per_tok\": 1, \"norm_topk_prob\": true, \"decoder_sparse_step\": 1, "
                      "\"mlp_only_layers\": [], \"rms_norm_eps\": 1e-6, \"rope_theta\": 10000, "
                      "\"max_position_embeddings\": 64, \"tie_word_embeddings\": false, \"hidden_act\": \"silu\"}");
}

/* Forbids the whole pages of an expert's matrices. */
static void forbid(const struct mx_checkpoint *checkpoint, int expert)
{
    static const char *const parts[] = {"gate", "up", "down"};
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int p = 0; p < 3; p++) {
        char name[128];
        snprintf(name, sizeof name, "model.layers.0.mlp.experts.%d.%s_proj.weight", expert, parts[p]);
        const struct mx_tensor *tensor = mx_checkpoint_find(checkpoint, name);
        const uintptr_t first = ((uintptr_t)tensor->data + page - 1) / page * page;
        const uintptr_t last = ((uintptr_t)tensor->data + tensor->bytes) / page * page;
        if (mprotect((void *)first, last - first, PROT_NONE) != 0) _exit(2);
    }
}

/* Whether a step of the model reads an expert's weights: in a process that may not. */
static bool step_reads(struct mx_session *session, int expert)
{
    float *logits;
    int status;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        forbid(mx_model_checkpoint(mx_session_model(session)), expert);
        _exit(mx_session_feed(session, (const int32_t[]){9}, 1, &logits, NULL, &err) == MX_OK ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) assert_int_equal(WEXITSTATUS(status), 0);
    return WIFSIGNALED(status);
}

static void other_experts_stay_untouched(void **state)
{
    struct copy copy;
    make_model(&copy);
    struct mx_session *session = session_of(copy.folder, mx_cpu_detect(), 1, 16, 4);
    size_t read = 0;
    for (int e = 0; e < EXPERTS; e++) read += step_reads(session, e);
    assert_int_equal(read, 1);
    mx_session_close(session);
    copy_remove(&copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chosen_experts_are_read_once),
        cmocka_unit_test(texts_share_experts),
        cmocka_unit_test(first_of_equal_groups_is_kept),
        cmocka_unit_test(other_experts_stay_untouched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
