/* Each kind of post-processor is a row of `kinds`. ByteLevel only concerns offsets, which nothing here keeps. */
#include "tokenizer/postprocess.h"

#include <string.h>

#include "tokenizer/limits.h"
#include "tokenizer/vocab.h"

struct kind {
    const char *type;
    mx_status (*parse)(struct mx_postprocessor *post, const struct mx_settings *settings);
};

static mx_status parse_any(struct mx_postprocessor *post, const struct mx_settings *settings);

static mx_status append(struct mx_ids *ids, int32_t id, const struct mx_settings *settings)
{
    if (ids->count == MX_MAX_AROUND)
        return mx_fail(settings->err, MX_ERR_LIMIT, "%s: %s: more than %d tokens around a text", settings->file,
                       settings->place, (int)MX_MAX_AROUND);
    return mx_ids_append(ids, id, settings->err);
}

static mx_status parse_byte_level(struct mx_postprocessor *post, const struct mx_settings *settings)
{
    return MX_OK;
}

/* ["[SEP]", 102] */
static mx_status pair_id(const struct mx_settings *settings, const char *key, int32_t *id)
{
    int64_t value;
    const cJSON *pair = mx_json_get(settings->json, key);
    if (!cJSON_IsArray(pair) || cJSON_GetArraySize(pair) != 2 ||
        !mx_json_whole(cJSON_GetArrayItem(pair, 1), 0, MX_VOCAB_MAX_ID, &value))
        return mx_settings_wrong(settings, key, "a pair of a token and its id");
    *id = (int32_t)value;
    return MX_OK;
}

static mx_status parse_cls_sep(struct mx_postprocessor *post, const struct mx_settings *settings)
{
    int32_t cls = 0, sep = 0;
    MX_TRY(pair_id(settings, "cls", &cls));
    MX_TRY(pair_id(settings, "sep", &sep));
    MX_TRY(append(&post->before, cls, settings));
    return append(&post->after, sep, settings);
}

/* The ids of a special token that a template names, appended. */
static mx_status template_ids(const struct mx_settings *settings, const char *name, struct mx_ids *ids)
{
    const cJSON *list = mx_json_get(mx_json_get(mx_json_get(settings->json, "special_tokens"), name), "ids"), *item;
    if (!cJSON_IsArray(list))
        return mx_fail(settings->err, MX_ERR_FORMAT, "%s: %s: the template names \"%.40s\", which special_tokens lacks",
                       settings->file, settings->place, name);
    cJSON_ArrayForEach (item, list) {
        int64_t id;
        if (!mx_json_whole(item, 0, MX_VOCAB_MAX_ID, &id))
            return mx_settings_wrong(settings, "special_tokens", "ids in the range of token ids");
        MX_TRY(append(ids, (int32_t)id, settings));
    }
    return MX_OK;
}

static mx_status read_template(struct mx_postprocessor *post, const struct mx_settings *settings, struct mx_ids *before)
{
    const cJSON *list, *piece;
    bool text = false; /* has the text itself come? */
    MX_TRY(mx_settings_list(settings, "single", &list));
    cJSON_ArrayForEach (piece, list) {
        const cJSON *special = mx_json_get(mx_json_get(piece, "SpecialToken"), "id");
        const cJSON *sequence = mx_json_get(mx_json_get(piece, "Sequence"), "id");
        if (cJSON_IsString(special)) {
            MX_TRY(template_ids(settings, special->valuestring, text ? &post->after : before));
        } else if (cJSON_IsString(sequence) && strcmp(sequence->valuestring, "A") == 0 && !text) {
            text = true;
        } else {
            return mx_settings_wrong(settings, "single", "special tokens around one \"A\"");
        }
    }
    return text ? MX_OK : mx_settings_wrong(settings, "single", "special tokens around one \"A\"");
}

static mx_status parse_template(struct mx_postprocessor *post, const struct mx_settings *settings)
{
    struct mx_ids before = {0};
    mx_status status = read_template(post, settings, &before);
    for (size_t i = before.count; i-- > 0 && status == MX_OK;) status = append(&post->before, before.data[i], settings);
    mx_ids_free(&before);
    return status;
}

static mx_status parse_sequence(struct mx_postprocessor *post, const struct mx_settings *settings)
{
    const cJSON *list, *member;
    MX_TRY(mx_settings_list(settings, "processors", &list));
    struct mx_settings inner = *settings;
    cJSON_ArrayForEach (member, list) {
        inner.json = member;
        MX_TRY(parse_any(post, &inner));
    }
    return MX_OK;
}

static const struct kind kinds[] = {
    {"TemplateProcessing", parse_template}, {"ByteLevel", parse_byte_level}, {"BertProcessing", parse_cls_sep},
    {"RobertaProcessing", parse_cls_sep},   {"Sequence", parse_sequence},
};

static mx_status parse_any(struct mx_postprocessor *post, const struct mx_settings *settings)
{
    const void *row;
    MX_TRY(mx_settings_kind(settings, kinds, sizeof kinds / sizeof *kinds, sizeof *kinds, &row));
    return ((const struct kind *)row)->parse(post, settings);
}

mx_status mx_postprocessor_parse(struct mx_postprocessor *post, const struct mx_settings *settings)
{
    *post = (struct mx_postprocessor){0};
    return !settings->json || cJSON_IsNull(settings->json) ? MX_OK : parse_any(post, settings);
}

void mx_postprocessor_free(struct mx_postprocessor *post)
{
    mx_ids_free(&post->before);
    mx_ids_free(&post->after);
}
