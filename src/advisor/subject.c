/* Opening a subject: config, then headers if there are any, else an estimate from the config. */
#include "advisor/subject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clean.h"
#include "base/file.h"
#include "base/json.h"
#include "base/str.h"
#include "base/units.h"

enum { CONFIG_LIMIT = 16 << 20 }; /* bytes of a config.json */

static const char *const basis_names[] = {"exact", "estimated", "unknown"};

const char *mx_basis_name(enum mx_basis basis)
{
    return basis_names[basis];
}

double mx_quant_parameter_bytes(const struct mx_quant *quant)
{
    switch (quant->mode) {
    case MX_QUANT_AFFINE: return quant->bits / 8.0 + 4.0 / quant->group;
    case MX_QUANT_MXFP4:
    case MX_QUANT_MXFP8:
    case MX_QUANT_NVFP4: return quant->bits / 8.0 + 1.0 / quant->group; /* an 8-bit scale, no offset */
    }
    return 2;
}

/* Plain storages by the names that configs and headers use. */
static const struct dtype_row {
    const char *name;
    enum mx_storage storage;
    double bytes;
} dtypes[] = {
    {"bfloat16", MX_STORAGE_BF16, 2}, {"float16", MX_STORAGE_F16, 2},           {"float32", MX_STORAGE_F32, 4},
    {"float64", MX_STORAGE_F64, 8},   {"float8_e4m3fn", MX_STORAGE_F8_E4M3, 1}, {"float8_e5m2", MX_STORAGE_F8_E5M2, 1},
};
enum { DTYPES = sizeof dtypes / sizeof *dtypes };

/* The folder's or file's name without the path: "models/demo/" and "models/demo/config.json" are "demo". */
static void name_subject(struct mx_subject *subject)
{
    size_t length = strlen(subject->path);
    const char *path = subject->path;
    static const char config[] = "/config.json";
    if (length > sizeof config - 1 && !strcmp(path + length - (sizeof config - 1), config)) length -= sizeof config - 1;
    while (length > 1 && path[length - 1] == '/') length--;
    size_t start = length;
    while (start > 0 && path[start - 1] != '/') start--;
    char *name = mx_strndup(path + start, length - start);
    mx_clean_copy(subject->name, sizeof subject->name, name ? name : "");
    free(name);
    if (!strcmp(subject->name, ".") || !strcmp(subject->name, ".."))
        snprintf(subject->name, sizeof subject->name, "%s", subject->arch.model_type);
}

static void use_survey(struct mx_subject *subject, const struct mx_checkpoint_survey *survey)
{
    subject->basis = MX_BASIS_EXACT;
    subject->weights = survey->bytes;
    subject->count = survey->parameters;
    snprintf(subject->weights_from, sizeof subject->weights_from, "headers of %zu file%s, %zu tensors", survey->files,
             survey->files == 1 ? "" : "s", survey->tensors);
    uint64_t most = 0;
    for (int i = 0; i < DTYPES; i++) {
        if (survey->elements_by_storage[dtypes[i].storage] <= most) continue;
        most = survey->elements_by_storage[dtypes[i].storage];
        snprintf(subject->dtype, sizeof subject->dtype, "%s", dtypes[i].name);
    }
}

/* Parameters of all routed experts: what a scheme like GPT-OSS's packs. */
static double expert_parameters(const struct mx_arch *arch)
{
    double sum = 0;
    for (uint32_t i = 0; i < arch->layer_count; i++)
        if (arch->layers[i].feed_forward == MX_FEED_FORWARD_EXPERTS)
            sum += 3.0 * arch->experts.count * arch->hidden * arch->layers[i].intermediate;
    return sum;
}

/* Bytes of the weights from the config alone. MLX packs every matrix, embedding included. Other programs leave the
 * embedding and the output matrix at 16 bits, and MXFP4 checkpoints all but the experts. */
static double estimate_weights(const struct mx_subject *subject)
{
    const struct mx_parameters *parameters = &subject->parameters;
    const double total = (double)parameters->total;
    double plain = 2;
    for (int i = 0; i < DTYPES; i++)
        if (!strcmp(subject->dtype, dtypes[i].name)) plain = dtypes[i].bytes;
    if (subject->quant_kind == MX_QUANT_NONE) return total * plain;
    if (subject->quant_kind == MX_QUANT_MLX) return total * mx_quant_parameter_bytes(&subject->quant);
    const double packed_bytes = (subject->quant.bits > 0 ? subject->quant.bits : 8) / 8.0;
    double packed = total - (double)parameters->embedding * (subject->arch.tied ? 1 : 2);
    if (!strcmp(subject->quant_method, "mxfp4")) packed = expert_parameters(&subject->arch);
    if (packed < 0) packed = 0;
    if (packed > total) packed = total;
    return packed * (packed_bytes + 1.0 / 32) + (total - packed) * plain;
}

static void use_config(struct mx_subject *subject)
{
    subject->count = subject->parameters.total;
    snprintf(subject->dtype, sizeof subject->dtype, "%s", subject->arch.dtype);
    if (subject->count == 0 || !subject->parameters.complete) { /* a lower bound would say "fits" where it does not */
        subject->basis = MX_BASIS_UNKNOWN;
        subject->count = 0;
        snprintf(subject->weights_from, sizeof subject->weights_from, "the config does not describe all parameters");
        return;
    }
    subject->basis = MX_BASIS_ESTIMATED;
    subject->weights = (uint64_t)estimate_weights(subject);
    char storage[64];
    const bool billions = subject->count >= 999500000;
    snprintf(subject->weights_from, sizeof subject->weights_from, "config: %.3g %s parameters, %s",
             (double)subject->count / (billions ? 1e9 : 1e6), billions ? "B" : "M",
             mx_subject_storage(subject, storage));
}

const char *mx_subject_storage(const struct mx_subject *subject, char buffer[64])
{
    if (subject->quant_kind == MX_QUANT_MLX && subject->quant.mode == MX_QUANT_AFFINE)
        snprintf(buffer, 64, "%d bits, groups of %d", subject->quant.bits, subject->quant.group);
    else if (subject->quant_kind == MX_QUANT_MLX)
        snprintf(buffer, 64, "%s", mx_quant_mode_name(subject->quant.mode));
    else if (subject->quant_kind == MX_QUANT_FOREIGN)
        snprintf(buffer, 64, "%s (another program's scheme)", subject->quant_method);
    else
        snprintf(buffer, 64, "%s", subject->dtype[0] ? subject->dtype : "16 bits assumed");
    return buffer;
}

static mx_status read_weights(struct mx_subject *subject, const cJSON *config, const char *file, bool directory,
                              struct mx_error *err)
{
    struct mx_arena arena = {0};
    struct mx_quantization quantization;
    const mx_status status = mx_quantization_read(&quantization, &arena, config, file, err);
    if (status == MX_OK) {
        subject->quant_kind = quantization.kind;
        subject->quant = quantization.quant;
        if (quantization.kind == MX_QUANT_FOREIGN)
            snprintf(subject->quant_method, sizeof subject->quant_method, "%s", quantization.method);
    }
    mx_arena_free(&arena);
    MX_TRY(status);
    if (directory && mx_checkpoint_present(subject->path)) {
        struct mx_checkpoint_survey survey;
        MX_TRY(mx_checkpoint_survey(&survey, subject->path, config, err));
        use_survey(subject, &survey);
    } else {
        use_config(subject);
    }
    subject->parameter_bytes = subject->count ? (double)subject->weights / (double)subject->count : 0;
    return MX_OK;
}

mx_status mx_subject_open(struct mx_subject *subject, const char *path, struct mx_error *err)
{
    *subject = (struct mx_subject){.path = path};
    const bool directory = mx_is_directory(path);
    char *inside = directory ? mx_path_join(path, "config.json") : NULL;
    if (directory && !inside) return mx_fail_memory(err, "a path", strlen(path));
    const char *file = inside ? inside : path;
    cJSON *config = NULL;
    const struct mx_json_rules rules = {.allow_nan = true};
    mx_status status = mx_json_read_file(&config, file, CONFIG_LIMIT, &rules, err);
    if (status == MX_OK) status = mx_arch_from_json(&subject->arch, config, file, err);
    if (status == MX_OK) {
        subject->parameters = mx_arch_parameters(&subject->arch);
        name_subject(subject);
        status = read_weights(subject, config, file, directory, err);
    }
    cJSON_Delete(config);
    free(inside);
    if (status != MX_OK) mx_subject_close(subject);
    return status;
}

void mx_subject_close(struct mx_subject *subject)
{
    mx_arch_free(&subject->arch);
    *subject = (struct mx_subject){0};
}
