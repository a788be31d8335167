/* Reading evidence files (docs/evidence-format.md). */
#include "advisor/evidence.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"

enum {
    VERSION = 1,
    FILE_LIMIT = 4 << 20,
    MAX_FILES = 1024,
    MAX_CELLS = 4096,
};

/* A text member of at most size - 1 bytes; a needed one that is missing is an error. */
static mx_status read_text(const cJSON *object, const char *key, bool needed, char *out, size_t size,
                           struct mx_error *err)
{
    const cJSON *item = mx_json_get_set(object, key);
    if (!item && !needed) return MX_OK;
    if (!item || !cJSON_IsString(item)) return mx_fail(err, MX_ERR_FORMAT, "\"%s\" must be a text", key);
    if (snprintf(out, size, "%s", item->valuestring) >= (int)size)
        return mx_fail(err, MX_ERR_FORMAT, "\"%s\" is longer than %zu bytes", key, size - 1);
    return MX_OK;
}

static mx_status read_count(const cJSON *object, const char *key, uint64_t *out, struct mx_error *err)
{
    const cJSON *item = mx_json_get_set(object, key);
    int64_t value;
    if (!item) return MX_OK;
    if (!mx_json_whole(item, 0, INT64_C(1) << 53, &value))
        return mx_fail(err, MX_ERR_FORMAT, "\"%s\" must be a whole number", key);
    *out = (uint64_t)value;
    return MX_OK;
}

/* A figure of a cell or gate and where it goes. */
struct figure {
    const char *key;
    double low, high;
    size_t offset;
};
static const struct figure cell_figures[] = {
    {"decode_ratio", 0, 1e6, offsetof(struct mx_evidence_cell, decode_ratio)},
    {"kl_mean", 0, 1e6, offsetof(struct mx_evidence_cell, kl)},
    {"top1", 0, 1, offsetof(struct mx_evidence_cell, top1)},
    {"perplexity_change", -1, 1e6, offsetof(struct mx_evidence_cell, perplexity_change)},
    {"passkey", 0, 1, offsetof(struct mx_evidence_cell, passkey)},
};
static const struct figure gate_figures[] = {
    {"kl_mean", 0, 1e6, offsetof(struct mx_evidence_gate, kl)},
    {"top1", 0, 1, offsetof(struct mx_evidence_gate, top1)},
    {"perplexity_change", 0, 1e6, offsetof(struct mx_evidence_gate, perplexity_change)},
    {"passkey", 0, 1, offsetof(struct mx_evidence_gate, passkey)},
};
#define COUNT(array) (sizeof(array) / sizeof *(array))

static mx_status read_figures(const cJSON *object, const struct figure *figures, size_t count, void *out,
                              struct mx_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const cJSON *item = mx_json_get_set(object, figures[i].key);
        if (!item) continue;
        const double value = cJSON_IsNumber(item) ? item->valuedouble : NAN;
        if (!(value >= figures[i].low && value <= figures[i].high))
            return mx_fail(err, MX_ERR_FORMAT, "\"%s\" must be a number from %g to %g", figures[i].key, figures[i].low,
                           figures[i].high);
        memcpy((char *)out + figures[i].offset, &value, sizeof value);
    }
    return MX_OK;
}

static mx_status read_cell(const cJSON *object, struct mx_evidence_cell *cell, struct mx_error *err)
{
    *cell = (struct mx_evidence_cell){.decode_ratio = MX_NOT_MEASURED,
                                      .kl = MX_NOT_MEASURED,
                                      .top1 = MX_NOT_MEASURED,
                                      .perplexity_change = MX_NOT_MEASURED,
                                      .passkey = MX_NOT_MEASURED};
    char mode[32] = "";
    MX_TRY(read_text(object, "mode", true, mode, sizeof mode, err));
    MX_TRY(mx_mode_parse(mode, &cell->mode, err));
    MX_TRY(read_count(object, "context", &cell->context, err));
    if (cell->context == 0) return mx_fail(err, MX_ERR_FORMAT, "\"context\" must be a number of tokens");
    return read_figures(object, cell_figures, COUNT(cell_figures), cell, err);
}

static mx_status read_cells(const cJSON *list, struct mx_evidence *evidence, struct mx_error *err)
{
    if (!cJSON_IsArray(list)) return mx_fail(err, MX_ERR_FORMAT, "\"cells\" must be a list");
    const int count = cJSON_GetArraySize(list);
    if (count > MAX_CELLS) return mx_fail(err, MX_ERR_LIMIT, "more than %d cells", MAX_CELLS);
    evidence->cells = calloc((size_t)count + 1, sizeof *evidence->cells);
    if (!evidence->cells) return mx_fail_memory(err, "evidence", (size_t)count * sizeof *evidence->cells);
    const cJSON *item;
    cJSON_ArrayForEach (item, list) {
        if (read_cell(item, &evidence->cells[evidence->cell_count], err) != MX_OK)
            return mx_fail_prefix(err, "cell %zu", evidence->cell_count);
        evidence->cell_count++;
    }
    return MX_OK;
}

static mx_status read_covers(const cJSON *covers, struct mx_evidence *evidence, struct mx_error *err)
{
    uint64_t head_dim = 0;
    evidence->most_parameters = UINT64_MAX;
    if (!cJSON_IsObject(covers)) return mx_fail(err, MX_ERR_FORMAT, "\"covers\" must be an object");
    MX_TRY(read_text(covers, "model_type", true, evidence->model_type, sizeof evidence->model_type, err));
    MX_TRY(read_count(covers, "head_dim", &head_dim, err));
    MX_TRY(read_count(covers, "parameters_from", &evidence->least_parameters, err));
    MX_TRY(read_count(covers, "parameters_to", &evidence->most_parameters, err));
    if (head_dim > MX_ARCH_MAX_WIDTH) return mx_fail(err, MX_ERR_FORMAT, "\"head_dim\" is too large");
    evidence->head_dim = (uint32_t)head_dim;
    return MX_OK;
}

static mx_status read_evidence(const cJSON *root, struct mx_evidence *evidence, struct mx_error *err)
{
    int64_t version;
    if (!mx_json_whole(mx_json_get(root, "mlxcel_evidence"), 1, 1 << 20, &version))
        return mx_fail(err, MX_ERR_FORMAT, "not an evidence file: \"mlxcel_evidence\" must be a version");
    if (version > VERSION)
        return mx_fail(err, MX_ERR_UNSUPPORTED, "evidence of version %d; this program reads up to %d", (int)version,
                       VERSION);
    const cJSON *model = mx_json_get(root, "model"), *machine = mx_json_get(root, "machine");
    MX_TRY(read_text(model, "name", true, evidence->model, sizeof evidence->model, err));
    MX_TRY(read_count(model, "parameters", &evidence->parameters, err));
    MX_TRY(read_text(machine, "cpu", true, evidence->machine, sizeof evidence->machine, err));
    MX_TRY(read_text(root, "date", true, evidence->date, sizeof evidence->date, err));
    MX_TRY(read_covers(mx_json_get(root, "covers"), evidence, err));
    evidence->gate = (struct mx_evidence_gate){MX_NOT_MEASURED, MX_NOT_MEASURED, MX_NOT_MEASURED, MX_NOT_MEASURED};
    const cJSON *gate = mx_json_get(root, "gate");
    MX_TRY(read_figures(gate, gate_figures, COUNT(gate_figures), &evidence->gate, err));
    if (evidence->gate.kl < 0 && evidence->gate.perplexity_change < 0)
        return mx_fail(err, MX_ERR_FORMAT, "\"gate\" must bound kl_mean or perplexity_change");
    return read_cells(mx_json_get(root, "cells"), evidence, err);
}

mx_status mx_evidence_parse(struct mx_evidence *evidence, const char *text, size_t length, const char *name,
                            struct mx_error *err)
{
    *evidence = (struct mx_evidence){0};
    cJSON *root = NULL;
    const struct mx_json_rules rules = {0};
    MX_TRY(mx_json_parse(&root, text, length, name, &rules, err));
    const mx_status status = read_evidence(root, evidence, err);
    cJSON_Delete(root);
    if (status == MX_OK) return MX_OK;
    free(evidence->cells);
    *evidence = (struct mx_evidence){0};
    return mx_fail_prefix(err, "%s", name);
}

static mx_status read_one(const char *directory, const char *name, struct mx_evidence *evidence, struct mx_error *err)
{
    char *path = mx_path_join(directory, name), *text = NULL;
    size_t length;
    if (!path) return mx_fail_memory(err, "a path", strlen(directory));
    mx_status status = mx_file_read(path, FILE_LIMIT, &text, &length, err);
    if (status == MX_OK) status = mx_evidence_parse(evidence, text, length, path, err);
    if (status == MX_OK) snprintf(evidence->file, sizeof evidence->file, "%.63s", name);
    free(text);
    free(path);
    return status;
}

static int is_json(const struct dirent *entry)
{
    const size_t length = strlen(entry->d_name);
    return length > 5 && entry->d_name[0] != '.' && !strcmp(entry->d_name + length - 5, ".json");
}

mx_status mx_evidence_open(struct mx_evidence_set *set, const char *directory, struct mx_error *err)
{
    *set = (struct mx_evidence_set){0};
    struct dirent **entries = NULL;
    const int found = scandir(directory, &entries, is_json, alphasort);
    if (found < 0) return mx_fail(err, MX_ERR_IO, "%s: cannot read the evidence: %s", directory, strerror(errno));
    mx_status status = MX_OK;
    if (found > MAX_FILES) status = mx_fail(err, MX_ERR_LIMIT, "%s: more than %d files", directory, MAX_FILES);
    if (status == MX_OK && found > 0) {
        set->items = calloc((size_t)found, sizeof *set->items);
        if (!set->items) status = mx_fail_memory(err, "evidence", (size_t)found * sizeof *set->items);
    }
    for (int i = 0; i < found; i++) {
        if (status == MX_OK && set->items)
            status = read_one(directory, entries[i]->d_name, &set->items[set->count], err);
        if (status == MX_OK) set->count++;
        free(entries[i]);
    }
    free(entries);
    if (status != MX_OK) mx_evidence_close(set);
    return status;
}

void mx_evidence_close(struct mx_evidence_set *set)
{
    for (size_t i = 0; i < set->count; i++) free(set->items[i].cells);
    free(set->items);
    *set = (struct mx_evidence_set){0};
}

bool mx_evidence_covers(const struct mx_evidence *evidence, const struct mx_arch *arch, uint64_t parameters)
{
    return !strcmp(evidence->model_type, arch->model_type) &&
           (evidence->head_dim == 0 || evidence->head_dim == arch->head_dim) &&
           parameters >= evidence->least_parameters && parameters <= evidence->most_parameters;
}

enum mx_verdict mx_evidence_verdict(const struct mx_evidence *evidence, const struct mx_evidence_cell *cell)
{
    const struct mx_evidence_gate *gate = &evidence->gate;
    if (cell->mode == MX_MODE_FP16) return MX_VERDICT_PASSED; /* what the others are compared with */
    const bool distance = gate->kl >= 0 && cell->kl >= 0;
    const bool change = gate->perplexity_change >= 0 && cell->perplexity_change != MX_NOT_MEASURED;
    if (!distance && !change) return MX_VERDICT_NONE;
    const bool good = (!distance || cell->kl <= gate->kl) &&
                      (!change || cell->perplexity_change <= gate->perplexity_change) &&
                      (gate->top1 < 0 || cell->top1 < 0 || cell->top1 >= gate->top1) &&
                      (gate->passkey < 0 || cell->passkey < 0 || cell->passkey >= gate->passkey);
    return good ? MX_VERDICT_PASSED : MX_VERDICT_FAILED;
}
