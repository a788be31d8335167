/* A text model inside another model's checkpoint: found under each wrapper's names, and nothing else of it read. */
#include "copies.h"

#define LLAMA "tests/data/families/llama"

enum { TOKENS = 12 };

static const int32_t ids[TOKENS] = {1, 17, 93, 4, 200, 255, 8, 31, 64, 5, 77, 130};

static float *logits_in(const char *folder, size_t *skipped, size_t *vocab)
{
    struct mx_session *session = session_of(folder, MX_CPU_SCALAR, 1, TOKENS, TOKENS);
    float *logits = logits_of(session, ids, TOKENS);
    *skipped = mx_model_skipped_tensors(mx_session_model(session));
    *vocab = mx_session_arch(session)->vocab;
    mx_session_close(session);
    return logits;
}

/* The reference as a wrapper's: a name's "model." becomes `body`, any other name begins with `outer`; NULL: there is no
 * other. `text_config` is NULL for its own. */
static void wrap_config(struct copy *copy, const char *type, const char *outer, const char *body, const char *more,
                        const char *top, const char *text_config)
{
    static const float patch[4];
    struct mx_checkpoint *checkpoint = open_checkpoint(LLAMA);
    copy_start(copy);
    for (size_t i = 0; i < mx_checkpoint_tensor_count(checkpoint); i++) {
        const struct mx_tensor *tensor = mx_checkpoint_tensor(checkpoint, i);
        char name[160];
        const bool inside = !strncmp(tensor->name, "model.", 6);
        if (!inside && !outer) continue;
        snprintf(name, sizeof name, "%s%s", inside ? body : outer, tensor->name + (inside ? 6 : 0));
        copy_tensor(copy, name, mx_storage_name(tensor->storage), tensor->rank, tensor->shape, tensor->data,
                    tensor->bytes);
    }
    mx_checkpoint_close(checkpoint);
    copy_tensor(copy, "visual.patch.weight", "F32", 2, (const size_t[]){2, 2}, patch, sizeof patch);
    copy_tensor(copy, more, "F32", 2, (const size_t[]){2, 2}, patch, sizeof patch);
    char *text = config_of(LLAMA), *config;
    assert_true(asprintf(&config, "{\"model_type\": \"%s\", %s\"text_config\": %s, \"vision_config\": {}}", type, top,
                         text_config ? text_config : text) > 0);
    copy_finish(copy, config);
    free(text);
    free(config);
}

static void wrap(struct copy *copy, const char *type, const char *outer, const char *body, const char *more)
{
    wrap_config(copy, type, outer, body, more, "", NULL);
}

static void each_form_computes_the_same(void **state)
{
    static const struct {
        const char *type, *outer, *body;
    } forms[] = {
        {"llava", "language_model.", "language_model.model."},
        {"llava", "", "model.language_model."},
        {"idefics3", "", "model.text_model."},
        {"llava_llama", "", "model."},
        {"llava", "thinker.", "thinker.model."},
    };
    size_t skipped, vocab;
    float *expected = logits_in(LLAMA, &skipped, &vocab);
    assert_int_equal(skipped, 0);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct copy copy;
        wrap(&copy, forms[i].type, forms[i].outer, forms[i].body, "model.vision_tower.patch.weight");
        float *logits = logits_in(copy.folder, &skipped, &vocab);
        assert_memory_equal(logits, expected, TOKENS * vocab * sizeof *logits);
        assert_int_equal(skipped, 2);
        free(logits);
        copy_remove(&copy);
    }
    free(expected);
}

static mx_status open_wrapped(const char *type, const char *more, struct mx_error *err)
{
    struct copy copy;
    struct mx_model *model;
    wrap(&copy, type, "", "model.language_model.", more);
    const mx_status status = mx_model_open(&model, copy.folder, NULL, err);
    if (status == MX_OK) mx_model_close(model);
    copy_remove(&copy);
    return status;
}

static void other_text_parts_are_refused(void **state)
{
    struct mx_error err;
    assert_int_equal(open_wrapped("paligemma", "other.weight", &err), MX_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "both directions"));
    assert_int_equal(open_wrapped("llava", "other.weight", &err), MX_OK);
    /* What stands among the text model's own tensors is no other part. */
    assert_int_equal(open_wrapped("llava", "model.language_model.layers.0.extra.weight", &err), MX_ERR_FORMAT);
    assert_non_null(strstr(err.message, "layers.0.extra"));
}

/* Where wrapper and text model differ on it, the output matrix is the embedding if the checkpoint has no other. */
static void the_checkpoint_says_what_is_tied(void **state)
{
    struct mx_error err;
    struct copy copy;
    struct mx_model *model;
    size_t skipped, vocab;
    float *expected = logits_in(LLAMA, &skipped, &vocab);
    char *tied = replaced(config_of(LLAMA), "\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true");
    wrap_config(&copy, "llava", "", "model.language_model.", "other.weight", "\"tie_word_embeddings\": false, ", tied);
    float *logits = logits_in(copy.folder, &skipped, &vocab);
    assert_memory_equal(logits, expected, TOKENS * vocab * sizeof *logits);
    copy_remove(&copy);
    wrap_config(&copy, "llava", NULL, "model.language_model.", "other.weight", "\"tie_word_embeddings\": true, ", NULL);
    assert_int_equal(mx_model_open(&model, copy.folder, NULL, &err), MX_OK);
    assert_true(mx_model_arch(model)->tied);
    mx_model_close(model);
    copy_remove(&copy);
    wrap_config(&copy, "llava", NULL, "model.language_model.", "other.weight", "\"tie_word_embeddings\": false, ",
                NULL);
    assert_int_equal(mx_model_open(&model, copy.folder, NULL, &err), MX_ERR_FORMAT);
    copy_remove(&copy);
    free(tied);
    free(logits);
    free(expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_form_computes_the_same),
        cmocka_unit_test(other_text_parts_are_refused),
        cmocka_unit_test(the_checkpoint_says_what_is_tied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
