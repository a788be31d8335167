/* Reading published schemes, by the rows of scheme_table.h. Next: scheme_match.c applies the rules to modules. */
#include "checkpoint/scheme.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clean.h"
#include "base/json.h"
#include "checkpoint/scheme_table.h"

enum { MAX_GROUP = 1 << 20, RULES_LIMIT = 1 << 18 };
static const double UNKNOWN = -1;
static const struct mx_width plain_width; /* of what is not quantized */

/* ---- reading fields ---- */

struct reader {
    struct mx_scheme *scheme;
    struct mx_arena *arena;
    const char *where;
    struct mx_error *err;
    struct mx_scheme_rule *rules;
    size_t count, capacity;
};

/* The member at the first of several dotted paths that is there and not null. */
static const cJSON *at(const cJSON *object, const char *paths)
{
    char step[96];
    while (paths && *paths) {
        const cJSON *item = object;
        const size_t path = strcspn(paths, "|");
        for (size_t i = 0; i < path && item;) {
            size_t length = strcspn(paths + i, ".|");
            snprintf(step, sizeof step, "%.*s", (int)length, paths + i);
            item = mx_json_get_set(item, step);
            i += length + 1;
        }
        if (item && item != object) return item;
        paths += path + (paths[path] == '|');
    }
    return NULL;
}

/* A width in bits that makes sense, fractions included; false if the item is none. */
static bool bits_of(const cJSON *item, double *bits)
{
    const double value = cJSON_GetNumberValue(item);
    if (!cJSON_IsNumber(item) || !(value > 0 && value <= 64)) return false;
    *bits = value;
    return true;
}

static uint32_t group_of(const cJSON *item, uint32_t usual)
{
    int64_t group;
    if (!item) return usual;
    return mx_json_whole(item, 1, MAX_GROUP, &group) ? (uint32_t)group : 0; /* -1 and 0: a whole row */
}

/* A block [rows, cols] that shares a scale. */
static bool block_of(const cJSON *item, struct mx_width *width)
{
    int64_t block_rows, block_cols;
    if (cJSON_GetArraySize(item) != 2 || !mx_json_whole(cJSON_GetArrayItem(item, 0), 1, MAX_GROUP, &block_rows) ||
        !mx_json_whole(cJSON_GetArrayItem(item, 1), 1, MAX_GROUP, &block_cols))
        return false;
    width->group_rows = (uint32_t)block_rows;
    width->group = (uint32_t)block_cols;
    return true;
}

/* A class of modules ("Linear", "torch.nn.Linear", "LlamaDecoderLayer"), or all of them: no name of one. */
static bool is_class(const char *target)
{
    return !strcmp(target, "*") || !strcmp(target, "re:Linear") || !strncmp(target, "torch.nn.", 9) ||
           (*target >= 'A' && *target <= 'Z' && !strchr(target, '.'));
}

static mx_status add_rule(struct reader *reader, const char *pattern, struct mx_width width)
{
    if (!strcmp(pattern, "Linear") || !strcmp(pattern, "*")) return MX_OK; /* everything: the rule itself */
    if (reader->count == RULES_LIMIT)
        return mx_fail(reader->err, MX_ERR_LIMIT, "%s: more than %d modules with a width of their own", reader->where,
                       RULES_LIMIT);
    if (reader->count == reader->capacity) {
        const size_t capacity = reader->capacity ? 2 * reader->capacity : 32;
        struct mx_scheme_rule *wider = mx_arena_array(reader->arena, capacity, sizeof *wider);
        if (!wider) return mx_fail_memory(reader->err, reader->where, capacity * sizeof *wider);
        if (reader->count) memcpy(wider, reader->rules, reader->count * sizeof *wider);
        reader->rules = wider;
        reader->capacity = capacity;
    }
    const bool regex = !strncmp(pattern, "re:", 3);
    const char *text = regex ? pattern + 3 : pattern;
    struct mx_scheme_rule *rule = &reader->rules[reader->count];
    *rule = (struct mx_scheme_rule){.width = width,
                                    .kind = regex                 ? MX_PATTERN_REGEX
                                            : strpbrk(text, "*?") ? MX_PATTERN_GLOB
                                                                  : MX_PATTERN_NAME};
    rule->pattern = mx_arena_strndup(reader->arena, text, strlen(text));
    if (!rule->pattern) return mx_fail_memory(reader->err, reader->where, strlen(text));
    reader->count++;
    return MX_OK;
}

static mx_status add_list(struct reader *reader, const cJSON *list, struct mx_width width)
{
    const cJSON *item;
    if (cJSON_IsString(list)) return add_rule(reader, list->valuestring, width);
    cJSON_ArrayForEach (item, list)
        if (cJSON_IsString(item)) MX_TRY(add_rule(reader, item->valuestring, width));
    return MX_OK;
}

/* Every list that is named, not the first alone. */
static mx_status add_ignored(struct reader *reader, const cJSON *object, const char *names)
{
    char name[64];
    while (names && *names) {
        const size_t length = strcspn(names, "|");
        snprintf(name, sizeof name, "%.*s", (int)length, names);
        MX_TRY(add_list(reader, mx_json_get_set(object, name), plain_width));
        names += length + (names[length] == '|');
    }
    return MX_OK;
}

/* ---- configs that nest ---- */

/* compressed-tensors' description of weights: {num_bits, type, group_size, strategy, block_structure, symmetric}. */
static struct mx_width width_of_weights(const cJSON *weights)
{
    struct mx_width width = {.bits = UNKNOWN};
    if (!bits_of(mx_json_get(weights, "num_bits"), &width.bits)) return width;
    const cJSON *type = mx_json_get(weights, "type");
    const bool floats = cJSON_IsString(type) && !strcmp(type->valuestring, "float");
    width.group = group_of(mx_json_get_set(weights, "group_size"), 0);
    if (!width.group) block_of(mx_json_get_set(weights, "block_structure"), &width);
    const cJSON *scale = mx_json_get_set(weights, "scale_dtype");
    struct mx_width scales;
    const bool bytes = cJSON_IsString(scale) && mx_width_of_word(scale->valuestring, &scales) && scales.bits == 8;
    width.group_bytes = bytes || (floats && width.bits < 8) ? 1 : floats ? 4 : 2;
    if (cJSON_IsFalse(mx_json_get(weights, "symmetric"))) width.group_bytes += width.bits / 8;
    return width;
}

/* Targets of a group: classes of modules are the rule, or the embedding's width; modules are exceptions to it. */
static mx_status add_targets(struct reader *reader, const cJSON *targets, struct mx_width width)
{
    struct mx_scheme *scheme = reader->scheme;
    const cJSON *item;
    if (!cJSON_GetArraySize(targets)) scheme->width = width;
    cJSON_ArrayForEach (item, targets) {
        const char *target = cJSON_IsString(item) ? item->valuestring : "";
        if (!is_class(target)) {
            MX_TRY(add_rule(reader, target, width));
        } else if (strstr(target, "Embedding")) {
            scheme->embedding = width;
        } else { /* the output matrix is such a module, too, unless it is ignored */
            scheme->width = scheme->head = width;
        }
    }
    return MX_OK;
}

/* config_groups of compressed-tensors and modelopt: {weights, targets}, or the targets under the name of a preset
 * ("W4A16"). What no group names is not quantized. *found: some group quantizes weights. */
static mx_status read_groups(struct reader *reader, const cJSON *object, bool *found)
{
    const cJSON *group, *groups = mx_json_get_set(object, "config_groups");
    *found = false;
    cJSON_ArrayForEach (group, groups) {
        const cJSON *weights = mx_json_get_set(group, "weights"), *targets = mx_json_get_set(group, "targets");
        const bool preset = cJSON_IsArray(group) && group->string;
        struct mx_width width = {.bits = UNKNOWN};
        if (preset)
            mx_width_of_word(group->string, &width);
        else if (cJSON_IsObject(weights))
            width = width_of_weights(weights);
        else
            continue;
        if (!*found) reader->scheme->width = plain_width;
        *found = true;
        MX_TRY(add_targets(reader, preset ? group : targets, width));
    }
    return MX_OK;
}

/* Weights of which a share is left out: what is kept, and a bit for each that says whether it was. */
static void leave_out(struct mx_width *width, const cJSON *sparsity)
{
    enum { PLAIN = 16 };
    const cJSON *share = mx_json_get_set(sparsity, "global_sparsity"),
                *structure = mx_json_get_set(sparsity, "sparsity_structure");
    const bool half = cJSON_IsString(structure) && !strcmp(structure->valuestring, "2:4");
    double kept = half ? 0.5 : 1;
    if (!half && cJSON_IsNumber(share) && share->valuedouble > 0 && share->valuedouble < 1)
        kept = 1 - share->valuedouble;
    if (width->bits >= 0) width->bits = (width->bits > 0 ? width->bits : PLAIN) * kept + 1;
}

static mx_status read_compressed_tensors(struct reader *reader, const cJSON *object, bool *quantized)
{
    struct mx_scheme *scheme = reader->scheme;
    const cJSON *format = mx_json_get_set(object, "format"), *sparsity = mx_json_get_set(object, "sparsity_config");
    const cJSON *packing = mx_json_get_set(sparsity, "format");
    const bool dense = !cJSON_IsString(format) || !strcmp(format->valuestring, "dense");
    /* What is ignored comes before what is targeted. */
    MX_TRY(add_ignored(reader, object, "ignore"));
    MX_TRY(read_groups(reader, object, quantized));
    if (!*quantized && !dense) {
        *quantized = true;
        mx_width_of_word(format->valuestring, &scheme->width);
    }
    if (cJSON_IsString(packing) && strcmp(packing->valuestring, "dense") != 0) {
        if (!*quantized) scheme->width = plain_width;
        leave_out(&scheme->width, sparsity);
        scheme->sparse = *quantized = true;
    }
    return MX_OK;
}

/* modelopt: quant_algo, or groups; mixed precision by module. */
static mx_status read_modelopt(struct reader *reader, const cJSON *object, bool *quantized)
{
    struct mx_scheme *scheme = reader->scheme;
    const cJSON *algorithm = mx_json_get_set(object, "quant_algo"), *layer;
    const cJSON *layers = mx_json_get_set(object, "quantized_layers");
    struct mx_width width;
    bool groups;
    MX_TRY(add_ignored(reader, object, "ignore|exclude_modules"));
    cJSON_ArrayForEach (layer, layers) {
        const cJSON *own = mx_json_get_set(layer, "quant_algo");
        if (!layer->string || !cJSON_IsString(own) || !mx_width_of_word(own->valuestring, &width)) continue;
        width.group = group_of(mx_json_get_set(layer, "group_size"), width.group);
        MX_TRY(add_rule(reader, layer->string, width));
    }
    MX_TRY(read_groups(reader, object, &groups));
    *quantized = groups || cJSON_IsString(algorithm) || layers != NULL;
    if (!cJSON_IsString(algorithm)) return MX_OK;
    snprintf(scheme->method, sizeof scheme->method, "modelopt %.28s", algorithm->valuestring);
    if (groups) return MX_OK;
    if (mx_width_of_word(algorithm->valuestring, &width)) {
        width.group = group_of(mx_json_get_set(object, "group_size"), width.group);
        scheme->width = width;
    } else {
        scheme->width = (struct mx_width){.bits = layers ? 0 : UNKNOWN};
    }
    return MX_OK;
}

/* A torchao config: {"_type": "Int4WeightOnlyConfig", "_data": {...}}, or an old name with keyword arguments. */
static struct mx_width width_of_torchao(const cJSON *config, const cJSON *arguments)
{
    struct mx_width width = {.bits = UNKNOWN};
    const cJSON *data = mx_json_get_set(config, "_data"), *type = mx_json_get_set(config, "_type");
    const char *name = cJSON_IsString(config) ? config->valuestring : cJSON_IsString(type) ? type->valuestring : "";
    if (!data) data = arguments;
    if (!mx_width_of_word(name, &width)) width = (struct mx_width){UNKNOWN, 32, 1, 4};
    const cJSON *dtype = at(data, "weight_dtype._data|weight_dtype|dtype._data|dtype"),
                *bits = at(data, "bit_width|nbits");
    struct mx_width said;
    if (cJSON_IsString(dtype) && mx_width_of_word(dtype->valuestring, &said)) width.bits = said.bits;
    bits_of(bits, &width.bits);
    const cJSON *exponent = at(data, "ebits"), *mantissa = at(data, "mbits");
    if (cJSON_IsNumber(exponent) && cJSON_IsNumber(mantissa))
        width = (struct mx_width){1 + exponent->valuedouble + mantissa->valuedouble, 0, 1, 2};
    if (!(width.bits > 0 && width.bits <= 64)) width.bits = UNKNOWN;
    const cJSON *group =
        at(data, "group_size|block_size|granularity._data.group_size|weight_granularity._data.group_size");
    if (group) width.group = group_of(group, width.group);
    return width;
}

static mx_status read_torchao(struct reader *reader, const cJSON *object, bool *quantized)
{
    struct mx_scheme *scheme = reader->scheme;
    const cJSON *type = mx_json_get_set(object, "quant_type"),
                *arguments = mx_json_get_set(object, "quant_type_kwargs");
    const cJSON *whole = mx_json_get_set(type, "default"), *own;
    *quantized = true;
    if (!whole) whole = type;
    MX_TRY(add_ignored(reader, object, "modules_to_not_convert"));
    const cJSON *modules = at(whole, "_data.module_fqn_to_config|_data.fqn_to_config");
    cJSON_ArrayForEach (own, modules) {
        if (!own->string || !strcmp(own->string, "_default")) continue;
        MX_TRY(add_rule(reader, own->string, cJSON_IsNull(own) ? plain_width : width_of_torchao(own, NULL)));
    }
    scheme->width = plain_width;
    if (!modules) scheme->width = width_of_torchao(whole, arguments);
    const cJSON *rest = mx_json_get_set(modules, "_default");
    if (rest) scheme->width = width_of_torchao(rest, NULL);
    if (cJSON_IsTrue(mx_json_get(object, "include_input_output_embeddings")))
        scheme->head = scheme->embedding = scheme->width;
    return MX_OK;
}

/* Quark: a weight's {dtype, qscheme, group_size}, or a list of such, of which the last one is what is stored. */
static struct mx_width width_of_quark(const cJSON *config)
{
    const cJSON *weight = mx_json_get_set(config, "weight");
    if (cJSON_IsArray(weight)) weight = cJSON_GetArrayItem(weight, cJSON_GetArraySize(weight) - 1);
    const cJSON *dtype = mx_json_get_set(weight, "dtype");
    struct mx_width width = {.bits = UNKNOWN};
    if (!weight) return plain_width;
    if (!cJSON_IsString(dtype) || !mx_width_of_word(dtype->valuestring, &width))
        return (struct mx_width){.bits = UNKNOWN};
    width.group = group_of(mx_json_get_set(weight, "group_size"), 0);
    const cJSON *rule = mx_json_get_set(weight, "qscheme");
    if (cJSON_IsString(rule) && strcmp(rule->valuestring, "per_group") != 0) width.group = 0;
    return width;
}

static mx_status read_quark(struct reader *reader, const cJSON *object, bool *quantized)
{
    const cJSON *own;
    MX_TRY(add_ignored(reader, object, "exclude"));
    cJSON_ArrayForEach (own, mx_json_get_set(object, "layer_quant_config"))
        if (own->string) MX_TRY(add_rule(reader, own->string, width_of_quark(own)));
    const cJSON *global = mx_json_get_set(object, "global_quant_config");
    *quantized = true;
    reader->scheme->width = global ? width_of_quark(global) : (struct mx_width){.bits = UNKNOWN};
    return MX_OK;
}

static mx_status read_bitsandbytes(struct reader *reader, const cJSON *object, bool *quantized)
{
    struct mx_width *width = &reader->scheme->width;
    const bool eight = cJSON_IsTrue(at(object, "load_in_8bit|_load_in_8bit"));
    const bool four = cJSON_IsTrue(at(object, "load_in_4bit|_load_in_4bit"));
    *quantized = true;
    if (eight && !four)
        *width = (struct mx_width){8, 0, 1, 4};
    else if (four && !eight) /* a scale per 64; with double quantization the scales are 8 bits, with one per 256 */
        *width = (struct mx_width){4, 64, 1, cJSON_IsTrue(at(object, "bnb_4bit_use_double_quant")) ? 1 + 4.0 / 256 : 4};
    return add_ignored(reader, object, "llm_int8_skip_modules|modules_to_not_convert");
}

/* AQLM: codes of several codebooks for each group of numbers. */
static mx_status read_aqlm(struct reader *reader, const cJSON *object, bool *quantized)
{
    double codebook, count, in, out = 1;
    *quantized = true;
    if (bits_of(at(object, "nbits_per_codebook"), &codebook) && bits_of(at(object, "num_codebooks"), &count) &&
        bits_of(at(object, "in_group_size"), &in)) {
        bits_of(at(object, "out_group_size"), &out);
        reader->scheme->width = (struct mx_width){codebook * count / in / out, 0, 1, 2};
    }
    return add_ignored(reader, object, "linear_weights_not_to_quantize|modules_to_not_convert");
}

static const struct {
    const char *method;
    mx_status (*read)(struct reader *reader, const cJSON *object, bool *quantized);
} nested[] = {
    {"aqlm", read_aqlm},
    {"bitsandbytes", read_bitsandbytes},
    {"bnb", read_bitsandbytes},
    {"compressed-tensors", read_compressed_tensors},
    {"compressed_tensors", read_compressed_tensors},
    {"modelopt", read_modelopt},
    {"modelopt_fp4", read_modelopt},
    {"modelopt_mixed", read_modelopt},
    {"quark", read_quark},
    {"torchao", read_torchao},
};

/* A width of so many bits in groups of so many: what the config, or an override of it, says; else the rest's. */
static struct mx_width width_in_row(const struct mx_scheme_row *row, const cJSON *object, struct mx_width width)
{
    bits_of(at(object, row->bits), &width.bits);
    const cJSON *group = at(object, row->group);
    if (!block_of(group, &width)) width.group = group_of(group, width.group);
    if (row->zeros && width.bits > 0) width.group_bytes = row->scale_bytes + width.bits / 8;
    return width.bits >= 16 ? plain_width : width;
}

/* A name, or a regular expression that may match anywhere. */
static mx_status add_somewhere(struct reader *reader, const char *text, struct mx_width width)
{
    char pattern[512];
    snprintf(pattern, sizeof pattern, "re:.*(?:%.480s)", text);
    return add_rule(reader, strpbrk(text, "*+?^$()[]{}|\\") ? pattern : text, width);
}

/* Widths by module: AutoRound's extra_config, HQQ's quant_config, and GPTQModel's dynamic ("-:" before what is left
 * alone, "+:" before others, regular expressions all). */
static mx_status read_overrides(struct reader *reader, const struct mx_scheme_row *row, const cJSON *object)
{
    const struct mx_width whole = reader->scheme->width;
    const cJSON *own;
    cJSON_ArrayForEach (own, mx_json_get_set(object, "extra_config"))
        if (own->string && mx_json_get_set(own, "bits"))
            MX_TRY(add_somewhere(reader, own->string, width_in_row(row, own, whole)));
    cJSON_ArrayForEach (own, mx_json_get_set(object, "quant_config")) {
        if (!own->string || !mx_json_get_set(own, "weight_quant_params")) continue;
        MX_TRY(add_rule(reader, own->string, width_in_row(row, own, whole)));
        reader->scheme->width = plain_width;
    }
    cJSON_ArrayForEach (own, mx_json_get_set(object, "dynamic")) {
        if (!own->string) continue;
        char pattern[512];
        const bool skip = own->string[0] == '-' && own->string[1] == ':';
        const bool plus = own->string[0] == '+' && own->string[1] == ':';
        snprintf(pattern, sizeof pattern, "re:%s", own->string + (skip || plus ? 2 : 0));
        MX_TRY(add_rule(reader, pattern, skip ? plain_width : width_in_row(row, own, whole)));
    }
    return MX_OK;
}

/* The modules that alone are quantized, in a list of lists (GPTQ). */
static mx_status read_chosen(struct reader *reader, const cJSON *object)
{
    const cJSON *item, *chosen = mx_json_get_set(object, "modules_in_block_to_quantize");
    if (!cJSON_GetArraySize(chosen)) return MX_OK;
    cJSON_ArrayForEach (item, chosen) MX_TRY(add_list(reader, item, reader->scheme->width));
    reader->scheme->width = plain_width;
    return MX_OK;
}

static mx_status read_row(struct reader *reader, const struct mx_scheme_row *row, const cJSON *object)
{
    struct mx_scheme *scheme = reader->scheme;
    struct mx_width own, width = {.bits = row->usual_bits ? row->usual_bits : UNKNOWN,
                                  .group = row->usual_group,
                                  .group_bytes = row->scale_bytes};
    const cJSON *word = at(object, row->word), *type = mx_json_get_set(object, "data_type");
    if (cJSON_IsString(word) && !at(object, row->bits)) mx_width_of_word(word->valuestring, &width);
    width = width_in_row(row, object, width);
    if (cJSON_IsString(type) && mx_width_of_word(type->valuestring, &own)) width.group_bytes = own.group_bytes;
    scheme->scope = row->scope;
    scheme->width = width;
    bits_of(at(object, row->head), &scheme->head.bits);
    if (cJSON_IsTrue(mx_json_get(object, "lm_head"))) scheme->head = width;
    MX_TRY(read_overrides(reader, row, object));
    /* One width for the experts beside that of the rest: its list of ignored modules speaks of the experts' alone. */
    const cJSON *experts = mx_json_get_set(object, "moe_quant_algo");
    if (cJSON_IsString(experts) && mx_width_of_word(experts->valuestring, &own)) {
        MX_TRY(add_rule(reader, "experts", own));
        reader->rules[reader->count - 1].experts = true;
        return MX_OK;
    }
    MX_TRY(add_ignored(reader, object, row->ignore));
    return read_chosen(reader, object);
}

bool mx_scheme_is(const cJSON *object)
{
    if (!cJSON_IsObject(object)) return false;
    return cJSON_IsString(mx_json_get(object, "quant_method")) || mx_json_get_set(object, "quant_algo") ||
           mx_json_get_set(object, "config_groups") || mx_json_get_set(object, "qformat_weight") ||
           mx_json_get_set(object, "w_bit") || mx_json_get_set(object, "load_in_8bit") ||
           mx_json_get_set(object, "load_in_4bit") || mx_json_get_set(object, "kv_cache_scheme");
}

/* The method where no quant_method says it. */
static const char *guess_method(const cJSON *object)
{
    if (mx_json_get_set(object, "quant_algo")) return "modelopt";
    if (mx_json_get_set(object, "config_groups")) return "compressed-tensors";
    if (mx_json_get_set(object, "w_bit")) return "awq";
    if (mx_json_get_set(object, "load_in_8bit") || mx_json_get_set(object, "load_in_4bit")) return "bitsandbytes";
    if (mx_json_get_set(object, "damp_percent") || mx_json_get_set(object, "desc_act")) return "gptq";
    return "";
}

mx_status mx_scheme_read(struct mx_scheme *scheme, bool *quantized, struct mx_arena *arena, const cJSON *object,
                         const char *where, struct mx_error *err)
{
    struct reader reader = {.scheme = scheme, .arena = arena, .where = where, .err = err};
    *scheme = (struct mx_scheme){.width = {.bits = UNKNOWN}};
    *quantized = false;
    const cJSON *named = mx_json_get(object, "quant_method"), *words = mx_json_get_set(object, "qformat_weight");
    const char *said = cJSON_IsString(named) ? named->valuestring : guess_method(object);
    char method[40]; /* in small letters */
    mx_clean_copy(scheme->method, sizeof scheme->method, *said ? said : "unnamed");
    snprintf(method, sizeof method, "%.39s", said);
    for (char *c = method; *c; c++) *c = (char)tolower((unsigned char)*c);
    const struct mx_scheme_row *row = mx_scheme_row_find(method);
    bool done = false;
    for (size_t i = 0; i < sizeof nested / sizeof *nested && !done; i++) {
        if (strcmp(method, nested[i].method) != 0) continue;
        MX_TRY(nested[i].read(&reader, object, quantized));
        done = true;
    }
    if (!done && cJSON_IsString(words)) { /* Mistral's params.json */
        *quantized = mx_width_of_word(words->valuestring, &scheme->width);
        mx_clean_copy(scheme->method, sizeof scheme->method, words->valuestring);
    } else if (!done && *method) {
        MX_TRY(read_row(&reader, row, object));
        /* Plain, and coded only while it is computed with (BitNet's training): another program's all the same. */
        const cJSON *mode = mx_json_get_set(object, "quantization_mode");
        const bool online = cJSON_IsString(mode) && !strcmp(mode->valuestring, "online");
        if (online) scheme->width = plain_width;
        *quantized = scheme->width.bits != 0 || online;
        for (size_t i = 0; i < reader.count; i++) *quantized |= reader.rules[i].width.bits != 0;
    }
    scheme->rules = reader.rules;
    scheme->rule_count = reader.count;
    if (!strcmp(method, "bitnet")) scheme->ternary = mx_scheme_ternary(object);
    if (scheme->ternary > MX_TERNARY_TIMES) scheme->width.group_bytes *= 2; /* numbers that are computed are f32 */
    scheme->runs = *quantized && mx_scheme_runs(scheme, row->method ? row->method : method, object);
    return MX_OK;
}

double mx_width_bytes(const struct mx_width *width, double rows, double cols, double plain)
{
    if (width->bits < 0) return -1;
    if (width->bits == 0) return rows * cols * plain;
    const double across = width->group ? ceil(cols / width->group) : 1;
    const double down = width->group_rows > 1 ? ceil(rows / width->group_rows) : rows;
    return rows * cols * width->bits / 8 + across * down * width->group_bytes;
}
