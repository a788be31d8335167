/* Opening and closing a model. */
#include "model/model.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/file.h"
#include "config/names.h"
#include "model/block.h"
#include "model/identity.h"
#include "model/rope.h"

enum { SAMPLE = 64 }; /* bytes at each end of a tensor that enter the fingerprint */

static uint64_t fingerprint(const struct mx_checkpoint *checkpoint)
{
    XXH64_hash_t hash = 0;
    for (size_t i = 0; i < mx_checkpoint_tensor_count(checkpoint); i++) {
        const struct mx_tensor *tensor = mx_checkpoint_tensor(checkpoint, i);
        const size_t sample = tensor->bytes < SAMPLE ? tensor->bytes : SAMPLE;
        hash = XXH64(tensor->name, strlen(tensor->name), hash);
        hash = XXH64(tensor->shape, (size_t)tensor->rank * sizeof *tensor->shape, hash + (uint64_t)tensor->storage);
        if (!sample) continue;
        hash = XXH64(tensor->data, sample, hash);
        hash = XXH64(tensor->data + tensor->bytes - sample, sample, hash);
    }
    return hash;
}

static mx_status find_key_bias(struct mx_model *model, struct mx_error *err)
{
    const struct mx_arch *arch = &model->arch;
    const float **bias = mx_arena_array(&model->arena, arch->layer_count, sizeof *bias);
    if (!bias) return mx_fail_memory(err, "the K biases' table", arch->layer_count * sizeof *bias);
    for (uint32_t i = 0; i < arch->layer_count; i++) bias[i] = model->weights.layers[i].attention.k.bias;
    model->key_bias.bias = bias;
    for (uint8_t i = 0; i < arch->rope_count; i++) {
        const size_t pairs = arch->rope[i].dims / 2;
        float *inverse = mx_arena_array(&model->arena, pairs + 1, sizeof *inverse);
        if (!inverse) return mx_fail_memory(err, "rotary frequencies", pairs * sizeof *inverse);
        model->key_bias.factor[i] = mx_rope_frequencies(&arch->rope[i], 1, inverse);
        model->key_bias.inverse[i] = inverse;
    }
    return MX_OK;
}

static mx_status open_weights(struct mx_model *model, const char *directory, const struct mx_progress *progress,
                              struct mx_error *err)
{
    MX_TRY(mx_arch_open(&model->arch, directory, err));
    if (!model->arch.runnable) {
        return mx_fail(err, MX_ERR_UNSUPPORTED, "%s: %s; `mlxcel arch` lists the types that run", directory,
                       model->arch.not_runnable);
    }
    MX_TRY(mx_checkpoint_open(&model->checkpoint, directory, NULL, err));
    mx_names_settle_tie(&model->arch, mx_checkpoint_has_name, model->checkpoint);
    MX_TRY(mx_weights_resolve(&model->weights, &model->arena, &model->arch, model->checkpoint, progress, err));
    MX_TRY(find_key_bias(model, err));
    model->fingerprint = fingerprint(model->checkpoint);
    MX_TRY(mx_config_hash_file(directory, &model->config_hash, err));
    return MX_OK;
}

mx_status mx_model_open(struct mx_model **out, const char *directory, const struct mx_progress *progress,
                        struct mx_error *err)
{
    *out = NULL;
    if (!mx_is_directory(directory)) {
        return mx_fail(err, MX_ERR_IO, "%s: no such directory; give the folder that holds config.json", directory);
    }
    struct mx_model *model = calloc(1, sizeof *model);
    if (!model) return mx_fail_memory(err, "a model", sizeof *model);
    const mx_status status = open_weights(model, directory, progress, err);
    if (status != MX_OK) {
        mx_model_close(model);
        return status;
    }
    *out = model;
    return MX_OK;
}

void mx_model_close(struct mx_model *model)
{
    if (!model) return;
    mx_checkpoint_close(model->checkpoint);
    mx_arena_free(&model->arena);
    mx_arch_free(&model->arch);
    free(model);
}

const struct mx_arch *mx_model_arch(const struct mx_model *model)
{
    return &model->arch;
}

const struct mx_checkpoint *mx_model_checkpoint(const struct mx_model *model)
{
    return model->checkpoint;
}

uint64_t mx_model_fingerprint(const struct mx_model *model)
{
    return model->fingerprint;
}

size_t mx_model_skipped_tensors(const struct mx_model *model)
{
    return model->weights.skipped;
}

const struct mx_key_bias *mx_model_key_bias(const struct mx_model *model)
{
    return &model->key_bias;
}

uint64_t mx_model_step_bytes(const struct mx_model *model)
{
    return model->weights.step_bytes;
}
