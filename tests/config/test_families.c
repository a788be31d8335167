/* Every family in the reference folder: it opens, its two spellings give the same description, the parameters counted
 * from the description are those in the weights, and the class is the one that the table of types tells of it. */
#include "support.h"

#include <dirent.h>
#include <math.h>

#include "config/arch.h"
#include "config/families.h"
#include "config/headers.h"

static struct mx_error err;

/* Folders whose weights hold more than the description says, and why. */
struct exception {
    const char *folder, *reason;
};
static const struct exception exceptions[] = {
    {"longcat_flash", "the file also holds matrices for the empty experts, which published checkpoints do not have"},
};

static const char *reason_for(const char *folder)
{
    for (size_t i = 0; i < sizeof exceptions / sizeof *exceptions; i++)
        if (!strcmp(folder, exceptions[i].folder)) return exceptions[i].reason;
    return NULL;
}

static bool same(double a, double b)
{
    return fabs(a - b) <= 1e-12 * fabs(a);
}

#define SAME(field)                                                                                                    \
    if (!same((double)a->field, (double)b->field)) return #field
#define LAYER(field)                                                                                                   \
    if (memcmp(&a->layers[i].field, &b->layers[i].field, sizeof a->layers[i].field)) return "layer: " #field
#define ROPE(field)                                                                                                    \
    if (!same((double)a->rope[i].field, (double)b->rope[i].field)) return "rope: " #field

/* The first field in which two descriptions differ; NULL if they are the same. Layers
 * are zeroed before they are filled, so that their bytes can be compared. */
static const char *difference(const struct mx_arch *a, const struct mx_arch *b)
{
    SAME(known);
    SAME(runnable);
    SAME(class_);
    SAME(hidden);
    SAME(vocab);
    SAME(layer_count);
    SAME(max_context);
    SAME(head_dim);
    SAME(experts.count);
    SAME(experts.used);
    SAME(experts.normalize);
    SAME(experts.softmax_first);
    SAME(experts.sigmoid);
    SAME(experts.shared_gate);
    SAME(experts.bias);
    SAME(experts.router_bias);
    SAME(experts.empty);
    SAME(experts.scale);
    SAME(activation);
    SAME(gated);
    SAME(norm);
    SAME(norm_bias);
    SAME(norm_eps);
    SAME(norm_offset);
    SAME(qk_norm);
    SAME(qk_norm_bias);
    SAME(qkv_bias);
    SAME(o_bias);
    SAME(mlp_bias);
    SAME(lm_head_bias);
    SAME(tied);
    SAME(embedding_norm);
    SAME(no_final_norm);
    SAME(head_dense);
    SAME(residual_weights);
    SAME(layer_scalar);
    SAME(expert_norms);
    SAME(embedding_width);
    SAME(streams);
    SAME(laurel_rank);
    SAME(layer_input_width);
    SAME(layer_input_vocab);
    SAME(positions);
    SAME(position_rows);
    SAME(position_offset);
    SAME(rope_count);
    SAME(attention_scale);
    SAME(clip_qkv);
    SAME(attention_softcap);
    SAME(logit_softcap);
    SAME(embedding_scale);
    SAME(residual_scale);
    SAME(logit_scale);
    for (uint32_t i = 0; i < a->layer_count; i++) {
        LAYER(attention);
        LAYER(recurrence);
        LAYER(feed_forward);
        LAYER(block);
        LAYER(no_input_norm);
        LAYER(input_norm);
        LAYER(linear_mixer);
        LAYER(shares_weights);
    }
    for (uint32_t i = 0; i < a->rope_count; i++) {
        ROPE(type);
        ROPE(dims);
        ROPE(interleaved);
        ROPE(theta);
        ROPE(factor);
        ROPE(low_freq_factor);
        ROPE(high_freq_factor);
        ROPE(beta_fast);
        ROPE(beta_slow);
        ROPE(mscale);
        ROPE(mscale_all_dim);
        ROPE(attention_factor);
        ROPE(truncate);
        ROPE(original_context);
    }
    return NULL;
}

static int check_folder(const char *folder)
{
    char path[512];
    struct mx_arch arch, legacy;
    snprintf(path, sizeof path, "%s/families/%s/config.json", shared_fixtures(), folder);
    assert_ok(mx_arch_open(&arch, path, &err));
    snprintf(path, sizeof path, "%s/families/%s/config.legacy.json", shared_fixtures(), folder);
    if (access(path, R_OK) == 0) {
        assert_ok(mx_arch_open(&legacy, path, &err));
        const char *field = difference(&arch, &legacy);
        if (field) fail_msg("%s: the two spellings differ in %s", folder, field);
        mx_arch_free(&legacy);
    }
    snprintf(path, sizeof path, "%s/families/%s/model.safetensors", shared_fixtures(), folder);
    cJSON *header = read_header(path);
    const struct mx_parameters count = mx_arch_parameters(&arch);
    const uint64_t wanted = header_elements(header);
    bool shared = false; /* a token reads a shared block once per use */
    for (uint32_t i = 0; i < arch.layer_count; i++) shared |= arch.layers[i].shares_weights;
    if (count.active > count.total && !shared) fail_msg("%s: more parameters are active than there are", folder);
    if (count.total != wanted && !reason_for(folder))
        fail_msg("%s: %llu parameters, the file holds %llu", folder, (unsigned long long)count.total,
                 (unsigned long long)wanted);
    if (!count.complete || !arch.known) fail_msg("%s: not known, or not complete", folder);
    const struct mx_family *family = mx_family_find(arch.model_type);
    const bool windowless = family->class_ == MX_CLASS_SLIDING_WINDOW && arch.class_ == MX_CLASS_STANDARD;
    const bool windowed = family->class_ == MX_CLASS_STANDARD && arch.class_ == MX_CLASS_SLIDING_WINDOW;
    if (family->class_ != arch.class_ && !windowless && !windowed) /* many types have a window in some models */
        fail_msg("%s is %s; the table says %s", folder, mx_class_name(arch.class_), mx_class_name(family->class_));
    cJSON_Delete(header);
    mx_arch_free(&arch);
    return count.total == wanted;
}

static void test_folders(void **state)
{
    if (!shared_fixtures()) skip_needing("../shared/fixtures");
    char path[256];
    snprintf(path, sizeof path, "%s/families", shared_fixtures());
    DIR *folder = opendir(path);
    assert_non_null(folder);
    int exact = 0, all = 0;
    for (const struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.' || strchr(entry->d_name, '.')) continue; /* README.md */
        exact += check_folder(entry->d_name);
        all++;
    }
    closedir(folder);
    print_message("parameters exact in %d of %d families\n", exact, all);
    assert_true(exact + (int)(sizeof exceptions / sizeof *exceptions) >= all);
}

static void test_table(void **state)
{
    const struct mx_family_entry *entries;
    const size_t count = mx_family_list(&entries);
    for (size_t i = 0; i < count; i++) {
        if (i && strcmp(entries[i - 1].type, entries[i].type) >= 0) fail_msg("%s is out of order", entries[i].type);
        assert_non_null(mx_family_find(entries[i].type));
    }
    assert_null(mx_family_find("no such type"));
    assert_string_equal(mx_family_inner_type("llava"), "llama");
    assert_string_equal(mx_family_inner_type("gemma3"), "gemma3_text");
    assert_null(mx_family_inner_type("qwen"));
}

/* The example of each type runs where its row says so, and is of the row's class as far as a config without a word
 * about layers can be. */
static void test_examples(void **state)
{
    const struct mx_family_entry *entries;
    const size_t count = mx_family_list(&entries);
    size_t other = 0;
    for (size_t i = 0; i < count; i++) {
        struct mx_arch arch;
        assert_ok(mx_family_example(&arch, entries[i].type, &err));
        assert_string_equal(arch.model_type, entries[i].type);
        if (arch.runnable != entries[i].runnable)
            fail_msg("%s: %s", entries[i].type, arch.runnable ? "runs, which its row denies" : arch.not_runnable);
        assert_true(arch.runnable == !arch.not_runnable[0]);
        other += arch.class_ != entries[i].class_;
        mx_arch_free(&arch);
    }
    assert_true(other <= 2); /* DeepSeek-V4, whose compression is listed by layer, under both of its names */
    struct mx_arch arch;
    assert_int_equal(mx_family_example(&arch, "no such type", &err), MX_ERR_ARGUMENT);
    mx_arch_free(&arch);
}

/* docs/models.md is what tools/models-md writes from the table. */
static void test_document(void **state)
{
    const struct mx_family_entry *entries;
    const size_t count = mx_family_list(&entries);
    char *text, row[320];
    size_t length, rows = 0;
    assert_ok(mx_file_read("docs/models.md", 1 << 20, &text, &length, &err));
    for (size_t i = 0; i < count; i++) {
        snprintf(row, sizeof row, "\n| `%s` | %s | %s | %s |\n", entries[i].type, mx_class_name(entries[i].class_),
                 entries[i].runnable ? "yes" : "", entries[i].note ? entries[i].note : "");
        if (!strstr(text, row)) fail_msg("docs/models.md is older than the table: %s", entries[i].type);
    }
    for (const char *at = text; (at = strstr(at, "\n| `")); at++) rows++;
    assert_int_equal(rows, count);
    free(text);
}

/* Layers that attend to an image are empty to a text: the forward pass has no rule of its own for them. */
static void test_image_layers(void **state)
{
    struct mx_arch arch;
    assert_ok(mx_arch_open(&arch, "tests/data/families/mllama_text_model/config.json", &err));
    for (uint32_t i = 0; i < arch.layer_count; i++) {
        const struct mx_layer *layer = &arch.layers[i];
        const bool image = i == 1 || i == 3; /* its cross_attention_layers */
        assert_int_equal(layer->cross, image);
        assert_int_equal(layer->attention.kind == MX_ATTENTION_NONE, image);
        assert_int_equal(layer->feed_forward.kind == MX_FEED_FORWARD_NONE, image);
    }
    mx_arch_free(&arch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_document),
                                       cmocka_unit_test(test_examples), cmocka_unit_test(test_folders),
                                       cmocka_unit_test(test_image_layers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
