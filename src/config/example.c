/* A small model of each known type, from the fields that configs of all types have in common: what its row makes of
 * them is what the type's layers are, and whether they run. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "config/families.h"

enum { LAYERS = 24 };

/* `kinds`: two words for the layers in turn, where a config of the type has to say them; NULL: none. */
static mx_status make(struct mx_arch *arch, const char *type, const char *const *kinds, struct mx_error *err)
{
    struct mx_str text = {0};
    const struct mx_json_rules rules = {0};
    cJSON *root;
    mx_str_printf(&text,
                  "{\"model_type\": \"%s\", \"num_hidden_layers\": %d, \"hidden_size\": 1024, "
                  "\"num_attention_heads\": 8, \"num_key_value_heads\": 8, \"intermediate_size\": 2048, "
                  "\"vocab_size\": 32000, \"max_position_embeddings\": 32768",
                  type, LAYERS);
    for (int i = 0; kinds && i < LAYERS; i++)
        mx_str_printf(&text, "%s\"%s\"", i ? ", " : ", \"layer_types\": [", kinds[i % 2]);
    mx_str_printf(&text, "%s}", kinds ? "]" : "");
    mx_status status = text.failed ? mx_fail_memory(err, "a config", text.length)
                                   : mx_json_parse(&root, text.data, text.length, type, &rules, err);
    mx_str_free(&text);
    if (status != MX_OK) return status;
    status = mx_arch_from_json(arch, root, type, err);
    cJSON_Delete(root);
    return status;
}

mx_status mx_family_example(struct mx_arch *arch, const char *type, struct mx_error *err)
{
    static const char *const windows[] = {"sliding_attention", "full_attention"};
    static const char *const hybrid[] = {"linear_attention", "full_attention"};
    static const char *const both[] = {"linear_attention", "hybrid"};
    const struct mx_family *family = mx_family_find(type);
    *arch = (struct mx_arch){0};
    if (!family) return mx_fail(err, MX_ERR_ARGUMENT, "\"%.60s\" is not a known model type", type);
    const mx_status status = make(arch, type, NULL, err);
    if (status == MX_ERR_MEMORY || (status == MX_OK && arch->class_ == family->class_)) return status;
    if (family->class_ != MX_CLASS_HYBRID && family->class_ != MX_CLASS_SLIDING_WINDOW) return status;
    mx_arch_free(arch);
    return make(arch, type, family->class_ == MX_CLASS_SLIDING_WINDOW ? windows : family->both ? both : hybrid, err);
}
