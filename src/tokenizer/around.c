/* As transformers 4 does it: five classes ("Fast" or not) replace the post-processor that tokenizer.json holds, by the
 * two flags or their defaults; all others let it be. transformers 5 writes "backend" into the config and saves the
 * post-processor that it uses: then that counts. */
#include "tokenizer/around.h"

#include <string.h>

#include "base/str.h"
#include "tokenizer/internal.h"
#include "tokenizer/tokenizer.h"

struct tokenizer_class {
    const char *name;
    struct mx_around_defaults defaults;
    bool keeps; /* the post-processor of a tokenizer.json: the defaults are for files without one */
};

static const struct tokenizer_class classes[] = {
    {"LlamaTokenizer", {true, false, "<s>", "</s>"}, false},
    {"CodeLlamaTokenizer", {true, false, "<s>", "</s>"}, false},
    {"GemmaTokenizer", {true, false, "<bos>", "<eos>"}, false},
    {"CohereTokenizer", {true, false, "<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>"}, false},
    {"GPTNeoXTokenizer", {false, false, "<|endoftext|>", "<|endoftext|>"}, false},
    {"T5Tokenizer", {false, true, NULL, "</s>"}, true},
    {"GPT2Tokenizer", {false, false, "<|endoftext|>", "<|endoftext|>"}, true},
    {"Qwen2Tokenizer", {false, false, NULL, "<|endoftext|>"}, true},
    {"BloomTokenizer", {false, false, "<s>", "</s>"}, true},
    {"CodeGenTokenizer", {false, false, "<|endoftext|>", "<|endoftext|>"}, true},
};

/* "LlamaTokenizer" or "LlamaTokenizerFast". */
static const struct tokenizer_class *find_class(const cJSON *config)
{
    const cJSON *name = mx_json_get(config, "tokenizer_class");
    if (!cJSON_IsString(name)) return NULL;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        const size_t length = strlen(classes[i].name);
        if (strncmp(name->valuestring, classes[i].name, length) != 0) continue;
        const char *rest = name->valuestring + length;
        if (!*rest || strcmp(rest, "Fast") == 0) return &classes[i];
    }
    return NULL;
}

const char *mx_config_token(const cJSON *config, const char *key, const char *fallback)
{
    const cJSON *item = mx_json_get(config, key);
    if (!item) return fallback;
    if (cJSON_IsObject(item)) item = mx_json_get(item, "content");
    return cJSON_IsString(item) ? item->valuestring : NULL;
}

const char *mx_class_token(const cJSON *config, const char *key)
{
    const struct tokenizer_class *known = find_class(config);
    if (!known) return NULL;
    return strcmp(key, "bos_token") == 0 ? known->defaults.bos : known->defaults.eos;
}

/* A flag, and the token that it puts there. */
static mx_status put(const struct mx_tokenizer *tokenizer, const cJSON *config, bool wanted, const char *flag,
                     const char *token, struct mx_ids *ids, const char *file, struct mx_error *err)
{
    const cJSON *item = mx_json_get_set(config, flag);
    if (item && !cJSON_IsBool(item))
        return mx_fail(err, MX_ERR_FORMAT, "%s: \"%s\" is neither true nor false", file, flag);
    ids->count = 0;
    if (item) wanted = cJSON_IsTrue(item);
    if (!wanted || !token) return MX_OK;
    const int32_t id = mx_tokenizer_id(tokenizer, token, strlen(token));
    if (id < 0)
        return mx_fail(err, MX_ERR_FORMAT, "%s: \"%s\" asks for \"%.40s\", which the tokenizer does not have", file,
                       flag, token);
    return mx_ids_append(ids, id, err);
}

mx_status mx_around_apply(struct mx_tokenizer *tokenizer, const cJSON *config,
                          const struct mx_around_defaults *defaults, const char *file, struct mx_error *err)
{
    const struct tokenizer_class *known = find_class(config);
    if (known && (defaults || !(known->keeps || mx_json_get(config, "backend")))) defaults = &known->defaults;
    if (!defaults) return MX_OK;
    struct mx_postprocessor *post = &tokenizer->post;
    MX_TRY(put(tokenizer, config, defaults->add_bos, "add_bos_token",
               mx_config_token(config, "bos_token", defaults->bos), &post->before, file, err));
    return put(tokenizer, config, defaults->add_eos, "add_eos_token",
               mx_config_token(config, "eos_token", defaults->eos), &post->after, file, err);
}
