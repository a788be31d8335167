/* Opening a subject: its place, its description, then headers if there are any, else an estimate from the config. */
#include "advisor/subject.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "advisor/weigh.h"
#include "base/arena.h"
#include "base/clean.h"
#include "base/file.h"
#include "base/json.h"
#include "base/units.h"
#include "checkpoint/gguf.h"
#include "checkpoint/gguf_config.h"

enum { CONFIG_LIMIT = 16 << 20 }; /* bytes of a config.json */

static const char *const basis_names[] = {"exact", "estimated", "unknown"};

const char *mx_basis_name(enum mx_basis basis)
{
    return basis_names[basis];
}

void mx_subject_note(struct mx_subject *subject, const char *format, ...)
{
    if (subject->note_count == MX_MAX_NOTES) return;
    char text[2 * MX_NOTE_SIZE];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    mx_clean_copy(subject->notes[subject->note_count++], MX_NOTE_SIZE, text);
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

static void use_survey(struct mx_subject *subject, const struct mx_checkpoint_survey *survey)
{
    subject->basis = MX_BASIS_EXACT;
    subject->weights_here = true;
    subject->weights = survey->held;
    subject->count = survey->parameters_known ? survey->parameters : subject->parameters.total;
    snprintf(subject->weights_from, sizeof subject->weights_from, "headers of %zu file%s, %zu tensors", survey->files,
             survey->files == 1 ? "" : "s", survey->tensors);
    uint64_t most = 0;
    for (int i = 0; i < DTYPES; i++) {
        if (survey->elements_by_storage[dtypes[i].storage] <= most) continue;
        most = survey->elements_by_storage[dtypes[i].storage];
        snprintf(subject->dtype, sizeof subject->dtype, "%s", dtypes[i].name);
    }
    subject->strange = survey->elements_by_storage[MX_STORAGE_OTHER] > 0;
    if (subject->strange)
        mx_subject_note(subject, "some tensors have a dtype that is not known here: their bytes are counted by their "
                                 "offsets, and the engine does not run them");
}

static void set_unknown(struct mx_subject *subject, const char *why)
{
    subject->basis = MX_BASIS_UNKNOWN;
    subject->count = 0;
    subject->weights = 0;
    snprintf(subject->weights_from, sizeof subject->weights_from, "%s", why);
}

static mx_status use_config(struct mx_subject *subject, const struct mx_quantization *quantization,
                            struct mx_error *err)
{
    char storage[96];
    double plain = 2, bytes;
    snprintf(subject->dtype, sizeof subject->dtype, "%s", subject->arch.dtype);
    for (int i = 0; i < DTYPES; i++)
        if (!strcmp(subject->dtype, dtypes[i].name)) plain = dtypes[i].bytes;
    subject->count = subject->parameters.total;
    if (subject->count == 0 || !subject->parameters.complete) { /* a lower bound would say "fits" where it does not */
        set_unknown(subject, "the config does not describe all parameters");
        return MX_OK;
    }
    MX_TRY(mx_weigh(&bytes, &subject->arch, quantization, plain, err));
    if (bytes < 0) {
        set_unknown(subject, "");
        snprintf(subject->weights_from, sizeof subject->weights_from, "the scheme %s has no width that is known",
                 subject->quant_method);
        return MX_OK;
    }
    subject->basis = MX_BASIS_ESTIMATED;
    subject->weights = (uint64_t)bytes;
    const bool billions = subject->count >= 999500000;
    snprintf(subject->weights_from, sizeof subject->weights_from, "config: %.3g %s parameters, %s",
             (double)subject->count / (billions ? 1e9 : 1e6), billions ? "B" : "M",
             mx_subject_storage(subject, storage));
    return MX_OK;
}

/* Files that are not the weights but tell their size. True if they did. */
static bool use_absent(struct mx_subject *subject, const char *folder)
{
    struct mx_checkpoint_absent absent;
    mx_checkpoint_look(&absent, folder);
    if (absent.pointers)
        mx_subject_note(subject,
                        "%zu file%s of weights here %s a git-lfs pointer, not the weights: git lfs pull "
                        "fetches them",
                        absent.pointers, absent.pointers == 1 ? "" : "s", absent.pointers == 1 ? "is" : "are each");
    const uint64_t bytes = absent.indexed ? absent.indexed : absent.pointed;
    if (!bytes) return false;
    subject->basis = absent.indexed ? MX_BASIS_EXACT : MX_BASIS_ESTIMATED;
    subject->weights = bytes;
    subject->count = subject->parameters.complete ? subject->parameters.total : 0;
    snprintf(subject->dtype, sizeof subject->dtype, "%s", subject->arch.dtype);
    snprintf(subject->weights_from, sizeof subject->weights_from, "%s",
             absent.indexed ? "total_size of the index" : "the sizes that the git-lfs pointers tell");
    return true;
}

const char *mx_subject_storage(const struct mx_subject *subject, char buffer[96])
{
    if (subject->quant_kind == MX_QUANT_MLX && subject->quant.mode == MX_QUANT_AFFINE)
        snprintf(buffer, 96, "%d bits, groups of %d", subject->quant.bits, subject->quant.group);
    else if (subject->quant_kind == MX_QUANT_MLX)
        snprintf(buffer, 96, "%s", mx_quant_mode_name(subject->quant.mode));
    else if (subject->quant_kind == MX_QUANT_FOREIGN)
        snprintf(buffer, 96, "%s%s", subject->quant_method,
                 subject->foreign && !subject->gguf ? " (another program's scheme)" : "");
    else
        snprintf(buffer, 96, "%s", subject->dtype[0] ? subject->dtype : "16 bits assumed");
    return buffer;
}

unsigned mx_storage_bits(const char *storage)
{
    enum { MOST = 64 };
    const unsigned long number = strtoul(storage + strcspn(storage, "0123456789"), NULL, 10);
    return number <= MOST ? (unsigned)number : 0;
}

/* The scheme where the config is silent: files that older tools wrote beside it. */
static mx_status read_side_files(struct mx_quantization *quantization, struct mx_arena *arena, const char *folder,
                                 struct mx_error *err)
{
    static const char *const names[] = {"hf_quant_config.json", "quantize_config.json", "quant_config.json"};
    const struct mx_json_rules rules = {.allow_nan = true};
    mx_status status = MX_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names && quantization->kind == MX_QUANT_NONE; i++) {
        char *path = mx_path_join(folder, names[i]);
        if (!path) return mx_fail_memory(err, "a path", strlen(folder));
        cJSON *root = NULL;
        if (mx_is_file(path)) status = mx_json_read_file(&root, path, CONFIG_LIMIT, &rules, err);
        if (status == MX_OK && root) status = mx_quantization_read_scheme(quantization, arena, root, path, err);
        cJSON_Delete(root);
        free(path);
        MX_TRY(status);
    }
    return MX_OK;
}

static mx_status read_weights(struct mx_subject *subject, struct mx_arena *arena, const cJSON *config,
                              struct mx_error *err)
{
    const char *folder = subject->place.folder;
    struct mx_quantization quantization;
    MX_TRY(mx_quantization_read(&quantization, arena, config, subject->place.file, err));
    if (folder && quantization.kind == MX_QUANT_NONE) MX_TRY(read_side_files(&quantization, arena, folder, err));
    subject->quant_kind = quantization.kind;
    subject->quant = quantization.quant;
    subject->foreign = quantization.kind == MX_QUANT_FOREIGN && !quantization.scheme.runs;
    if (quantization.kind == MX_QUANT_FOREIGN)
        snprintf(subject->quant_method, sizeof subject->quant_method, "%s", quantization.method);
    struct mx_checkpoint_absent absent = {0};
    if (folder) mx_checkpoint_look(&absent, folder);
    if (folder && mx_checkpoint_present(folder) && !absent.pointers) {
        struct mx_checkpoint_survey survey;
        MX_TRY(mx_checkpoint_survey(&survey, folder, config, err));
        use_survey(subject, &survey);
    } else if (!folder || !use_absent(subject, folder)) {
        MX_TRY(use_config(subject, &quantization, err));
    }
    return MX_OK;
}

/* ---- .gguf ---- */

/* "Q4_K, Q6_K and F32": the types that hold the most bytes. */
static void name_types(struct mx_subject *subject, const struct mx_gguf *gguf)
{
    enum { TYPES = 64, TOLD = 3 };
    uint64_t bytes[TYPES] = {0};
    size_t length = (size_t)snprintf(subject->quant_method, sizeof subject->quant_method, "GGUF");
    for (size_t i = 0; i < mx_gguf_tensor_count(gguf); i++) {
        const struct mx_gguf_tensor *tensor = mx_gguf_tensor(gguf, i);
        bytes[tensor->type < TYPES ? tensor->type : TYPES - 1] += tensor->bytes;
    }
    for (int told = 0; told < TOLD; told++) {
        uint32_t most = 0;
        for (uint32_t i = 1; i < TYPES; i++)
            if (bytes[i] > bytes[most]) most = i;
        if (!bytes[most]) break;
        const char *name = mx_ggml_type_name(most);
        const size_t room = sizeof subject->quant_method - length;
        const int added = snprintf(subject->quant_method + length, room, "%s%s", told ? ", " : " ",
                                   name ? name : "of an unknown type");
        if (added < 0 || (size_t)added >= room) break;
        length += (size_t)added;
        bytes[most] = 0;
    }
}

static void use_gguf(struct mx_subject *subject, const struct mx_gguf *gguf)
{
    const size_t tensors = mx_gguf_tensor_count(gguf), parts = mx_gguf_part_count(gguf);
    const struct mx_gguf_pair *tokens = mx_gguf_find(gguf, "tokenizer.ggml.tokens");
    char count[32], bytes[16];
    subject->gguf = subject->foreign = true;
    subject->quant_kind = MX_QUANT_FOREIGN;
    for (size_t i = 0; i < tensors; i++) subject->count += mx_gguf_tensor(gguf, i)->elements;
    if (!tensors) {
        set_unknown(subject, "a file of the vocabulary alone, without tensors");
        snprintf(subject->quant_method, sizeof subject->quant_method, "GGUF");
    } else {
        subject->basis = MX_BASIS_EXACT;
        subject->weights = mx_gguf_bytes(gguf);
        name_types(subject, gguf);
        subject->quant.bits = (int)(8.0 * (double)subject->weights / (double)(subject->count ? subject->count : 1));
        snprintf(subject->weights_from, sizeof subject->weights_from, "header%s of %zu file%s, %zu tensors",
                 parts == 1 ? "" : "s", parts, parts == 1 ? "" : "s", tensors);
    }
    if (tokens && tokens->type == MX_GGUF_ARRAY)
        mx_subject_note(subject, "its tokenizer has %s tokens", mx_format_count(tokens->count, count));
    const uint64_t missing = mx_gguf_missing_bytes(gguf);
    if (missing)
        mx_subject_note(subject, "the file was cut off: %s of its tensors are not there",
                        mx_format_bytes(missing, bytes));
}

static void refuse_gguf(struct mx_arch *arch)
{
    arch->runnable = false;
    snprintf(arch->not_runnable, sizeof arch->not_runnable,
             "the engine reads safetensors, not GGUF: take the model's Hugging Face or MLX checkpoint");
}

static mx_status open_gguf(struct mx_subject *subject, struct mx_error *err)
{
    struct mx_gguf *gguf;
    cJSON *config = NULL;
    const char *file = subject->place.file;
    MX_TRY(mx_gguf_open(&gguf, file, err));
    mx_status status = mx_gguf_config(&config, gguf, file, err);
    if (status == MX_OK) status = mx_arch_from_json(&subject->arch, config, file, err);
    if (status == MX_OK) {
        subject->parameters = mx_arch_parameters(&subject->arch);
        use_gguf(subject, gguf);
        refuse_gguf(&subject->arch);
    }
    cJSON_Delete(config);
    mx_gguf_close(gguf);
    return status;
}

/* ---- config.json ---- */

/* The engine runs the type; whether it runs these weights is another question. */
static void check_runnable(struct mx_subject *subject)
{
    struct mx_arch *arch = &subject->arch;
    if (!arch->runnable) return;
    const bool eight = subject->quant_kind != MX_QUANT_FOREIGN && !strncmp(subject->dtype, "float8", 6);
    if (!subject->foreign && !eight && !subject->strange) return;
    arch->runnable = false;
    snprintf(arch->not_runnable, sizeof arch->not_runnable,
             "the engine does not run weights in %s: take the original model or an MLX checkpoint",
             subject->foreign ? subject->quant_method
             : eight          ? "8-bit floats without scales"
                              : "a dtype that is not known");
}

static mx_status open_config(struct mx_subject *subject, struct mx_error *err)
{
    cJSON *config = NULL;
    struct mx_arena arena = {0};
    const struct mx_json_rules rules = {.allow_nan = true};
    const char *file = subject->place.file;
    unsigned long long bytes;
    if (mx_is_lfs_pointer(file, &bytes))
        return mx_fail(err, MX_ERR_FORMAT, "%s: a git-lfs pointer, not the file; git lfs pull fetches it", file);
    mx_status status = mx_json_read_file(&config, file, CONFIG_LIMIT, &rules, err);
    if (status == MX_OK) status = mx_arch_from_json(&subject->arch, config, file, err);
    if (status == MX_OK) {
        subject->parameters = mx_arch_parameters(&subject->arch);
        status = read_weights(subject, &arena, config, err);
    }
    if (status == MX_OK) check_runnable(subject);
    mx_arena_free(&arena);
    cJSON_Delete(config);
    return status;
}

mx_status mx_subject_open(struct mx_subject *subject, const char *path, struct mx_error *err)
{
    *subject = (struct mx_subject){.path = path};
    MX_TRY(mx_place_find(&subject->place, path, err));
    snprintf(subject->name, sizeof subject->name, "%s", subject->place.name);
    mx_status status = MX_OK;
    switch (subject->place.kind) {
    case MX_PLACE_CONFIG: status = open_config(subject, err); break;
    case MX_PLACE_GGUF: status = open_gguf(subject, err); break;
    case MX_PLACE_PIPELINE:
        status = mx_fail(err, MX_ERR_UNSUPPORTED,
                         "%s: parts of an image or video model: no text is generated, and "
                         "there is no KV cache to advise about",
                         subject->place.file);
        break;
    }
    subject->parameter_bytes = subject->count ? (double)subject->weights / (double)subject->count : 0;
    if (status != MX_OK) mx_subject_close(subject);
    return status;
}

void mx_subject_close(struct mx_subject *subject)
{
    mx_place_free(&subject->place);
    mx_arch_free(&subject->arch);
    *subject = (struct mx_subject){0};
}
