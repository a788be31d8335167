/* Not a number is never a result: weights that hold NaN or infinity end the forward pass, which names where they lie.
 */
#include "model_runs.h"

#include "engine/generate.h"
#include "engine/scheduler.h"
#include "model/block.h"

#define LLAMA "tests/data/families/llama"

static struct mx_error err;
static char folder[] = "/tmp/mlxcel-finite-XXXXXX";

static void each_number_is_looked_at(void **state)
{
    float x[37];
    static const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 37; i++) x[i] = i % 3 ? (float)i * 9e36f : -1e-42f;
    assert_true(mx_all_finite(x, 37));
    assert_true(mx_all_finite(x, 0));
    for (size_t i = 0; i < 37; i++) {
        for (size_t b = 0; b < 4; b++) {
            const float kept = x[i];
            x[i] = bad[b];
            assert_false(mx_all_finite(x, 37));
            assert_true(mx_all_finite(x, i));
            x[i] = kept;
        }
    }
}

/* The model of the tests with one number of a tensor, in bf16, replaced. */
static void damage(const char *tensor, size_t index, uint16_t bits)
{
    char path[256], *data;
    size_t length;
    uint64_t header;
    assert_ok(mx_file_read(LLAMA "/config.json", 1 << 20, &data, &length, &err));
    snprintf(path, sizeof path, "%s/config.json", folder);
    assert_ok(mx_file_write(path, data, length, &err));
    free(data);
    assert_ok(mx_file_read(LLAMA "/model.safetensors", 1 << 20, &data, &length, &err));
    memcpy(&header, data, sizeof header);
    cJSON *root;
    assert_ok(mx_json_parse(&root, data + 8, header, "header", &(struct mx_json_rules){0}, &err));
    const cJSON *offsets = mx_json_get(mx_json_get(root, tensor), "data_offsets");
    const size_t at = 8 + header + (size_t)cJSON_GetArrayItem(offsets, 0)->valuedouble + 2 * index;
    memcpy(data + at, &bits, sizeof bits);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    assert_ok(mx_file_write(path, data, length, &err));
    cJSON_Delete(root);
    free(data);
}

enum { NAN_BITS = 0x7fc0, INFINITY_BITS = 0xff80 };

static void the_first_layer_is_named(void **state)
{
    static const struct {
        const char *tensor;
        uint16_t bits;
        const char *place;
    } cases[] = {
        {"model.embed_tokens.weight", NAN_BITS, "the embedding"},
        {"model.layers.0.self_attn.v_proj.weight", NAN_BITS, "layer 0, its attention"},
        {"model.layers.0.mlp.up_proj.weight", INFINITY_BITS, "layer 0, its feed-forward"},
        {"model.layers.1.self_attn.q_proj.weight", NAN_BITS, "layer 1, its attention"},
        {"model.layers.1.mlp.down_proj.weight", INFINITY_BITS, "layer 1, its feed-forward"},
        {"lm_head.weight", INFINITY_BITS, "the output matrix"},
    };
    static const int32_t ids[] = {0, 5, 9, 0, 7, 3, 2, 1};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        damage(cases[i].tensor, 3, cases[i].bits);
        struct mx_session *session = session_of(folder, mx_cpu_detect(), 2, 64, 4);
        float *logits = NULL;
        size_t count;
        assert_fails(mx_session_feed(session, ids, 8, &logits, NULL, &err), MX_ERR_NOT_A_NUMBER, cases[i].place);
        mx_session_tokens(session, &count);
        assert_int_equal(count, 0); /* nothing of it stays */
        assert_fails(mx_session_decode(session, 0, &logits, &err), MX_ERR_NOT_A_NUMBER, cases[i].place);
        mx_session_close(session);
    }
}

/* One row of the embedding: the text is fine until its token comes, and the message counts to it. */
static void one_token_is_enough(void **state)
{
    damage("model.embed_tokens.weight", 64 * 9 + 5, NAN_BITS);
    static const int32_t good[] = {1, 2, 3, 4, 5, 6};
    static const int32_t bad[] = {1, 2, 9};
    struct mx_session *session = session_of(folder, mx_cpu_detect(), 1, 64, 4);
    float *logits;
    assert_ok(mx_session_feed(session, good, 6, &logits, NULL, &err));
    assert_true(mx_all_finite(logits, mx_session_arch(session)->vocab));
    assert_fails(mx_session_decode(session, 9, &logits, &err), MX_ERR_NOT_A_NUMBER, "after token 7 ");
    assert_ok(mx_session_feed(session, good, 6, &logits, NULL, &err));
    mx_session_clear(session);
    assert_fails(mx_session_feed(session, bad, 3, &logits, NULL, &err), MX_ERR_NOT_A_NUMBER, "after token 3 ");
    mx_session_close(session);
}

struct heard {
    size_t count;
    int32_t tokens[8];
    mx_status status;
    bool done;
};

static void hear(void *context, const struct mx_generation *generation, const struct mx_error *failure)
{
    struct heard *heard = context;
    heard->done = true;
    heard->status = failure ? failure->status : MX_OK;
    heard->count = generation->tokens.count;
    if (heard->count) memcpy(heard->tokens, generation->tokens.data, heard->count * sizeof *heard->tokens);
}

/* Of several texts together the one with the bad token ends; the others get what they get alone. */
static void others_go_on(void **state)
{
    damage("model.embed_tokens.weight", 64 * 9 + 5, NAN_BITS);
    static const int32_t prompts[4][3] = {{1, 2, 3}, {4, 9, 1}, {5, 6, 7}, {8, 8, 8}};
    struct heard heard[4] = {0};
    struct mx_session *session = session_of(folder, mx_cpu_detect(), 2, 64, 4);
    const struct mx_scheduler_options options = {.context = 64, .parallel = 4, .kv = mx_kv_options_default()};
    struct mx_scheduler *scheduler;
    assert_ok(mx_scheduler_open(&scheduler, session, &options, &err));
    for (size_t i = 0; i < 4; i++) {
        const struct mx_request request = {.prompt = prompts[i],
                                           .prompt_tokens = 3,
                                           .max_tokens = 8,
                                           .sampler = mx_sampler_options_default(),
                                           .events = {.done = hear, .context = &heard[i]}};
        assert_ok(mx_scheduler_add(scheduler, &request, NULL, &err));
    }
    while (mx_scheduler_busy(scheduler)) assert_ok(mx_scheduler_step(scheduler, &err));
    mx_scheduler_close(scheduler);
    for (size_t i = 0; i < 4; i++) {
        assert_true(heard[i].done);
        assert_int_equal(heard[i].status, i == 1 ? MX_ERR_NOT_A_NUMBER : MX_OK);
        if (i == 1) continue;
        const struct mx_generate_options alone = {.max_tokens = 8, .sampler = mx_sampler_options_default()};
        struct mx_generation generation;
        assert_ok(mx_generate(session, prompts[i], 3, &alone, NULL, &generation, &err));
        assert_int_equal(generation.tokens.count, heard[i].count);
        assert_memory_equal(generation.tokens.data, heard[i].tokens, heard[i].count * sizeof(int32_t));
        mx_generation_free(&generation);
    }
    mx_session_close(session);
}

static int make_folder(void **state)
{
    return mkdtemp(folder) ? 0 : 1;
}

static int remove_folder(void **state)
{
    char path[256];
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/config.json", folder);
    unlink(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_number_is_looked_at),
        cmocka_unit_test(the_first_layer_is_named),
        cmocka_unit_test(one_token_is_enough),
        cmocka_unit_test(others_go_on),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
