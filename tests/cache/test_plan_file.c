/* Plan files: what is read, printed and refused, and that a model holds what a plan says. */
#include "cache/plan_file.h"

#include "base/file.h"
#include "cache/size.h"
#include "models.h"
#include "support.h"

static struct mx_error err;

#define HEAD "{\"schema\": 1, \"fingerprint\": \"00112233aabbccdd\", "
#define PROTECTIONS "\"protections\": {\"recent\": 64, \"sink\": 16, \"center\": \"auto\"}, "
#define TWO "\"layers\": [{\"k\": \"int8\", \"v\": \"turbo3\"}, {\"k\": \"fp16\", \"v\": \"turbo4\"}]"

static mx_status parse(struct mx_kv_plan_file *file, const char *text)
{
    return mx_kv_plan_file_parse(file, text, strlen(text), "p.json", &err);
}

static void reads_what_it_prints(void **state)
{
    (void)state;
    struct mx_kv_plan_file file, again;
    struct mx_str text = {0};
    assert_ok(parse(&file, HEAD PROTECTIONS "\"predicted_kl\": 0.25, \"bytes_per_token\": 1600, " TWO "}"));
    assert_true(file.layers.model == 0x00112233aabbccdd);
    assert_int_equal(file.layers.count, 2);
    assert_int_equal(mx_kv_layers_pair(&file.layers, 0).k, MX_REPR_INT8);
    assert_int_equal(mx_kv_layers_pair(&file.layers, 0).v, MX_REPR_TURBO3);
    assert_int_equal(mx_kv_layers_pair(&file.layers, 1).k, MX_REPR_FP16);
    assert_int_equal(mx_kv_layers_pair(&file.layers, 1).v, MX_REPR_TURBO4);
    assert_int_equal(file.recent, 64);
    assert_int_equal(file.sink, 16);
    assert_int_equal(file.center, MX_CENTER_AUTO);
    assert_true(file.predicted_kl == 0.25 && file.measured_kl < 0);
    assert_int_equal(file.bytes_per_token, 1600);
    assert_ok(mx_kv_plan_file_print(&file, "a \"name\"", &text, &err));
    assert_ok(mx_kv_plan_file_parse(&again, mx_str_text(&text), text.length, "again", &err));
    assert_memory_equal(&again.layers, &file.layers, sizeof file.layers);
    assert_true(again.predicted_kl == file.predicted_kl && again.recent == 64 && again.bytes_per_token == 1600);
    mx_str_free(&text);
}

static void refuses_what_is_no_plan(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "p.json"},
        {"[]", "not a cache plan"},
        {"{\"mlxcel_evidence\": 2, \"cells\": []}", "not a cache plan"},
        {"{\"schema\": 2, \"layers\": []}", "version 2"},
        {"{\"schema\": 1, \"layers\": []}", "\"fingerprint\""},
        {"{\"schema\": 1, \"fingerprint\": \"00112233AABBCCDD\", \"layers\": []}", "\"fingerprint\""},
        {HEAD PROTECTIONS "\"layers\": []}", "empty"},
        {HEAD PROTECTIONS "\"layers\": 3}", "must be a list"},
        {HEAD PROTECTIONS "\"layers\": [{\"k\": \"int8\"}]}", "layer 0: \"v\" must be"},
        {HEAD PROTECTIONS "\"layers\": [{\"k\": \"q8_0\", \"v\": \"fp16\"}]}", "layer 0: \"k\" must be"},
        {HEAD TWO "}", "\"recent\""},
        {HEAD "\"protections\": {\"recent\": -1, \"sink\": 0, \"center\": \"on\"}, " TWO "}", "\"recent\""},
        {HEAD "\"protections\": {\"recent\": 0, \"sink\": 0, \"center\": \"maybe\"}, " TWO "}", "\"center\""},
        {HEAD PROTECTIONS "\"predicted_kl\": -1, " TWO "}", "\"predicted_kl\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mx_kv_plan_file file;
        err.message[0] = '\0';
        assert_int_not_equal(parse(&file, cases[i].text), MX_OK);
        if (!strstr(err.message, cases[i].says) || !strstr(err.message, "p.json")) fail_msg("%s", err.message);
    }
    struct mx_kv_options kv = mx_kv_options_default();
    assert_fails(mx_kv_options_take(&kv, "nowhere/plan.json", &err), MX_ERR_IO, "nowhere/plan.json");
    assert_fails(mx_kv_options_take(&kv, "plan", &err), MX_ERR_ARGUMENT, "not a KV-cache mode");
    assert_ok(mx_kv_options_take(&kv, "int8", &err));
    assert_int_equal(kv.mode, MX_MODE_INT8);
}

/* Each layer stores what the plan says, bytes are those of the layers, and protections follow from what is coded. */
static void a_model_holds_it(void **state)
{
    (void)state;
    struct model model;
    model_init(&model, "llama", 2, 8, 2, 64);
    const struct mx_arch arch = model.arch;
    struct mx_kv_plan_file file;
    struct mx_kv_setup setup, uniform;
    assert_ok(parse(&file, HEAD PROTECTIONS TWO "}"));
    struct mx_kv_options kv = mx_kv_options_default();
    kv.mode = MX_MODE_PLAN;
    assert_fails(mx_kv_resolve(&setup, &kv, &arch, &err), MX_ERR_ARGUMENT, "needs a plan file");
    kv.layers = file.layers;
    assert_ok(mx_kv_resolve(&setup, &kv, &arch, &err));
    assert_int_equal(mx_kv_layer_pair(&setup, &arch, 0).k, MX_REPR_INT8);
    assert_int_equal(mx_kv_layer_pair(&setup, &arch, 1).v, MX_REPR_TURBO4);
    assert_int_equal(setup.applied_layers, 2);
    assert_int_equal(setup.recent, 64);
    assert_int_equal(setup.sink, 16);
    const uint64_t codes = 2 * (64 + 2 + 64 * 3 / 8 + 2) + 2 * (128 + 32 + 2); /* K, V of 2 heads, with their scales */
    assert_int_equal(mx_cache_marginal_bytes(&arch, &setup), codes);

    for (uint32_t i = 0; i < 2; i++) /* a uniform plan is the mode */
        mx_kv_layers_set(&kv.layers, i, (struct mx_kv_pair){MX_REPR_INT8, MX_REPR_TURBO4});
    assert_ok(mx_kv_resolve(&setup, &kv, &arch, &err));
    kv.mode = MX_MODE_INT8_TURBO4;
    assert_ok(mx_kv_resolve(&uniform, &kv, &arch, &err));
    assert_int_equal(mx_cache_bytes(&arch, &setup, 8192), mx_cache_bytes(&arch, &uniform, 8192));
    assert_true(setup.recent == uniform.recent && setup.sink == uniform.sink && setup.center == uniform.center);

    kv.mode = MX_MODE_PLAN; /* 3 bits on both sides, of 2 heads */
    for (uint32_t i = 0; i < 2; i++)
        mx_kv_layers_set(&kv.layers, i, (struct mx_kv_pair){MX_REPR_TURBO3, MX_REPR_TURBO3});
    assert_ok(mx_kv_resolve(&setup, &kv, &arch, &err));
    assert_int_equal(mx_cache_marginal_bytes(&arch, &setup), 2 * 2 * 2 * (64 * 3 / 8 + 2));

    kv.layers.count = 3;
    assert_fails(mx_kv_resolve(&setup, &kv, &arch, &err), MX_ERR_ARGUMENT, "for 3 layers, this model has 2");
    kv.layers.count = 2;
    model.layers[1].attention.k_dim = model.layers[1].attention.v_dim = 1000;
    mx_kv_layers_set(&kv.layers, 1, (struct mx_kv_pair){MX_REPR_TURBO4, MX_REPR_TURBO4});
    assert_fails(mx_kv_resolve(&setup, &kv, &arch, &err), MX_ERR_ARGUMENT, "layer 1, which can't hold them");
    model.layers[1].attention.kind = MX_ATTENTION_LATENT; /* takes 4 bits, not 3 */
    model.layers[1].attention.latent = (struct mx_latent){.kv_rank = 512, .rope = 64};
    assert_ok(mx_kv_resolve(&setup, &kv, &arch, &err));
    mx_kv_layers_set(&kv.layers, 1, (struct mx_kv_pair){MX_REPR_TURBO3, MX_REPR_TURBO3});
    assert_fails(mx_kv_resolve(&setup, &kv, &arch, &err), MX_ERR_ARGUMENT, "layer 1, which can't hold them");
}

static void belongs_to_a_model(void **state)
{
    (void)state;
    struct mx_kv_options kv = mx_kv_options_default();
    assert_ok(mx_kv_layers_check(&kv, 7, &err)); /* no plan */
    kv.mode = MX_MODE_PLAN;
    assert_ok(mx_kv_layers_check(&kv, 7, &err)); /* of any model */
    kv.layers.model = 7;
    assert_ok(mx_kv_layers_check(&kv, 7, &err));
    assert_fails(mx_kv_layers_check(&kv, 8, &err), MX_ERR_ARGUMENT, "another model");
    kv.force = true;
    assert_ok(mx_kv_layers_check(&kv, 8, &err));
}

static void names_tell_plans_apart(void **state)
{
    (void)state;
    char one[MX_KV_PLAN_NAME], other[MX_KV_PLAN_NAME];
    struct mx_kv_layers layers = {.count = 2};
    mx_kv_layers_name(&layers, one);
    assert_int_equal(strncmp(one, "plan:", 5), 0);
    assert_int_equal(strlen(one), 21);
    mx_kv_layers_set(&layers, 1, (struct mx_kv_pair){MX_REPR_FP16, MX_REPR_INT8});
    assert_string_not_equal(one, mx_kv_layers_name(&layers, other));
    layers.count = 1;
    assert_string_not_equal(one, mx_kv_layers_name(&layers, other));
    const struct mx_kv_setup setup = {.mode = MX_MODE_INT8};
    assert_string_equal(mx_kv_setup_name(&setup, other), "int8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_it_prints),   cmocka_unit_test(refuses_what_is_no_plan),
        cmocka_unit_test(a_model_holds_it),       cmocka_unit_test(belongs_to_a_model),
        cmocka_unit_test(names_tell_plans_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
