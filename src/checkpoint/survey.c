/* What the headers of a checkpoint tell, without its weights. */
#include <string.h>

#include "base/str.h"
#include "checkpoint/checkpoint_impl.h"

/* Tensors that describe codes and are no weights of their own, by the end of their name. */
static const char *const helpers[] = {
    ".scales",
    ".biases",
    ".qzeros",
    ".g_idx",
    ".weight_scale",
    ".weight_scale_inv",
    ".weight_shape",
    ".weight_zero_point",
    ".input_scale",
    "_scales",
    ".weight_g_idx",
    ".weight_global_scale",
    ".input_global_scale",
};

/* Tensors whose elements each hold several codes, by the end of their name. */
static const char *const packed[] = {".weight", ".qweight", ".weight_packed", "_blocks"};

#define ENDS_IN(name, table) mx_ends_with_any(name, table, sizeof(table) / sizeof *(table))

static bool is_integer(enum mx_storage storage)
{
    return storage == MX_STORAGE_U32 || storage == MX_STORAGE_I32 || storage == MX_STORAGE_U8 ||
           storage == MX_STORAGE_I8;
}

/* Bits of a code of a packed tensor: its module's, or 4 where nothing says. */
static int code_bits(const struct mx_checkpoint *checkpoint, const char *name)
{
    char module[512];
    const char *end = strrchr(name, '.');
    const size_t length = end ? (size_t)(end - name) : strlen(name);
    struct mx_quant quant = checkpoint->quantization.quant;
    if (length < sizeof module) {
        memcpy(module, name, length);
        module[length] = '\0';
        quant = mx_quantization_of(&checkpoint->quantization, module);
    }
    return quant.bits ? quant.bits : 4;
}

static void add_tensor(struct mx_checkpoint_survey *survey, const struct mx_checkpoint *checkpoint,
                       const struct mx_tensor *tensor)
{
    survey->bytes += tensor->bytes;
    survey->bytes_by_storage[tensor->storage] += tensor->bytes;
    survey->elements_by_storage[tensor->storage] += tensor->elements;
    if (ENDS_IN(tensor->name, helpers)) {
        survey->quantized_bytes += tensor->bytes;
    } else if (is_integer(tensor->storage) && ENDS_IN(tensor->name, packed)) {
        const uint64_t codes = (uint64_t)tensor->bytes * 8 / (uint64_t)code_bits(checkpoint, tensor->name);
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
    *survey = (struct mx_checkpoint_survey){0};
    MX_TRY(mx_checkpoint_load(&checkpoint, directory, config, err));
    survey->files = checkpoint->shard_count;
    survey->tensors = checkpoint->count;
    survey->kind = checkpoint->quantization.kind;
    survey->quant = checkpoint->quantization.quant;
    for (size_t i = 0; i < checkpoint->count; i++) add_tensor(survey, checkpoint, checkpoint->tensors[i]);
    mx_checkpoint_close(checkpoint);
    return MX_OK;
}
