/* What the headers of a checkpoint tell, without its weights. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/str.h"
#include "checkpoint/checkpoint_impl.h"
#include "checkpoint/place.h"
#include "checkpoint/ternary.h"

enum { INDEX_LIMIT = 256 << 20 };

/* Tensors that describe codes and are no weights of their own, by the end of their name. */
static const char *const helpers[] = {
    /* MLX, GPTQ, AWQ, compressed-tensors, fp8, modelopt, quark */
    ".scales", ".biases", ".qzeros", ".g_idx", ".weight_scale", ".weight_scale_inv", ".weight_scale_2", ".weight_shape",
    ".weight_zero_point", ".weight_g_idx", ".weight_global_scale", ".input_scale", ".input_scale_ub",
    ".input_global_scale", ".output_scale", ".k_scale", ".v_scale", ".q_scale", ".scale", ".zero_point",
    /* stacks of experts, as mxfp4 has them */
    "_scales", "_scale_inv", "_weight_scale",
    /* bitsandbytes */
    ".absmax", ".nested_absmax", ".quant_map", ".nested_quant_map", ".bitsandbytes__nf4", ".bitsandbytes__fp4", ".SCB",
    ".weight_format",
    /* EXL2 and EXL3, HQQ, AQLM, torchao */
    ".q_scale_max", ".q_groups", ".q_group_map", ".q_invperm", ".q_perm", ".suh", ".svh", ".su", ".sv", ".mcg", ".mul1",
    ".zero", ".meta", ".codebooks", "_weight_zero_point", "_weight_scale_and_zero"};

/* Tensors whose elements each hold several codes, by the end of their name. */
static const char *const packed[] = {".weight", ".qweight", ".weight_packed", "_blocks", ".q_weight", ".trellis",
                                     ".codes",  ".W_q",     "_weight_qdata",  "_packed", "_proj"};

#define ENDS_IN(name, table) mx_ends_with_any(name, table, sizeof(table) / sizeof *(table))

static bool is_integer(enum mx_storage storage)
{
    return storage == MX_STORAGE_U32 || storage == MX_STORAGE_I32 || storage == MX_STORAGE_U8 ||
           storage == MX_STORAGE_I8 || storage == MX_STORAGE_I16 || storage == MX_STORAGE_U16;
}

/* Bits of a code of a packed tensor, by its module; 0: not known. */
static double code_bits(const struct mx_checkpoint *checkpoint, const struct mx_scheme_matcher *matcher,
                        const char *name)
{
    const struct mx_quantization *quantization = &checkpoint->quantization;
    char module[512];
    const char *end = strrchr(name, '.');
    const size_t length = end ? (size_t)(end - name) : strlen(name);
    if (length >= sizeof module) return quantization->kind == MX_QUANT_MLX ? quantization->quant.bits : 0;
    memcpy(module, name, length);
    module[length] = '\0';
    if (quantization->kind == MX_QUANT_MLX) return mx_quantization_of(quantization, module).bits;
    if (quantization->kind != MX_QUANT_FOREIGN) return 0;
    struct mx_module asked = {.layer = -1, .expert = strstr(module, "experts.") != NULL};
    const char *names[] = {module, NULL}, *layers = strstr(module, "layers.");
    if (layers) {
        char *rest;
        const unsigned long layer = strtoul(layers + 7, &rest, 10);
        if (rest != layers + 7 && *rest == '.' && layer < 100000) {
            asked.layer = (int32_t)layer;
            names[0] = rest + 1;
        }
    }
    asked.names = names;
    asked.head = mx_ends_with(module, "lm_head");
    const struct mx_width width = mx_scheme_width(matcher, &asked);
    /* A tensor that is packed though its module is left alone: the scheme's own width. */
    return width.bits > 0 ? width.bits : quantization->scheme.width.bits > 0 ? quantization->scheme.width.bits : 0;
}

static void add_tensor(struct mx_checkpoint_survey *survey, const struct mx_checkpoint *checkpoint,
                       const struct mx_scheme_matcher *matcher, const struct mx_tensor *tensor)
{
    const uint64_t ternary = mx_ternary_bytes(checkpoint, tensor);
    survey->bytes += tensor->bytes;
    survey->held += ternary ? ternary : tensor->bytes;
    survey->bytes_by_storage[tensor->storage] += tensor->bytes;
    survey->elements_by_storage[tensor->storage] += tensor->elements;
    if (ENDS_IN(tensor->name, helpers)) {
        survey->quantized_bytes += tensor->bytes;
    } else if (is_integer(tensor->storage) && ENDS_IN(tensor->name, packed)) {
        const double bits = code_bits(checkpoint, matcher, tensor->name);
        const uint64_t codes = bits > 0 ? (uint64_t)((double)tensor->bytes * 8 / bits + 0.5) : tensor->elements;
        if (bits <= 0) survey->parameters_known = false;
        survey->parameters += codes;
        survey->quantized_parameters += codes;
        survey->quantized_bytes += tensor->bytes;
    } else {
        survey->parameters += tensor->elements;
    }
}

mx_status mx_checkpoint_survey(struct mx_checkpoint_survey *survey, const char *directory, const cJSON *config,
                               struct mx_error *err)
{
    struct mx_checkpoint *checkpoint;
    struct mx_scheme_matcher *matcher = NULL;
    *survey = (struct mx_checkpoint_survey){.parameters_known = true};
    MX_TRY(mx_checkpoint_load(&checkpoint, directory, config, err));
    const mx_status status = mx_scheme_matcher_open(&matcher, &checkpoint->quantization.scheme, 0, err);
    if (status == MX_OK) {
        survey->files = checkpoint->shard_count;
        survey->tensors = checkpoint->count;
        survey->kind = checkpoint->quantization.kind;
        survey->quant = checkpoint->quantization.quant;
        for (size_t i = 0; i < checkpoint->count; i++) add_tensor(survey, checkpoint, matcher, checkpoint->tensors[i]);
    }
    mx_scheme_matcher_close(matcher);
    mx_checkpoint_close(checkpoint);
    return status;
}

/* "total_size" of an index: it stands in the metadata, at the file's beginning or its end. */
static uint64_t total_size(const char *path)
{
    cJSON *root = NULL;
    const struct mx_json_rules rules = {.allow_nan = true, .allow_duplicates = true};
    if (mx_json_read_file(&root, path, INDEX_LIMIT, &rules, NULL) != MX_OK) return 0;
    const cJSON *item = mx_json_get(mx_json_get(root, "metadata"), "total_size");
    double bytes = cJSON_IsNumber(item) ? item->valuedouble : 0;
    if (cJSON_IsString(item)) bytes = strtod(item->valuestring, NULL);
    cJSON_Delete(root);
    return bytes > 0 && bytes < 0x1p53 ? (uint64_t)bytes : 0;
}

void mx_checkpoint_look(struct mx_checkpoint_absent *absent, const char *directory)
{
    *absent = (struct mx_checkpoint_absent){0};
    DIR *stream = opendir(directory);
    if (!stream) return;
    for (const struct dirent *entry; (entry = readdir(stream));) {
        const bool weights = mx_ends_with(entry->d_name, ".safetensors");
        const bool index = mx_ends_with(entry->d_name, ".safetensors.index.json");
        if (!weights && !index) continue;
        char *path = mx_path_join(directory, entry->d_name);
        unsigned long long bytes;
        if (path && mx_is_lfs_pointer(path, &bytes) && weights) {
            absent->pointers++;
            if (__builtin_add_overflow(absent->pointed, bytes, &absent->pointed)) absent->pointed = 0;
        } else if (path && index) {
            absent->indexed = total_size(path);
        }
        free(path);
    }
    closedir(stream);
}
