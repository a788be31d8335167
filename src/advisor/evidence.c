/* Records become evidence: by source, model, machine and version, and in these by plan, context and text. */
#include "advisor/evidence.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "advisor/shipped.h"
#include "base/file.h"
#include "records/exchange.h"
#include "records/store.h"

enum { MAX_FILES = 1024 };

/* What is read now, and where its records begin in the set: a source that turns out bad is taken back. */
struct source {
    struct mx_evidence_set *set;
    const char *name;
    size_t first;
};

/* Room for one more item of `size` bytes in a list that doubles. */
static mx_status grow(void **items, size_t count, size_t *capacity, size_t size, struct mx_error *err)
{
    if (count < *capacity) return MX_OK;
    const size_t room = *capacity ? 2 * *capacity : 8;
    void *moved = realloc(*items, room * size);
    if (!moved) return mx_fail_memory(err, "evidence", room * size);
    *items = moved;
    *capacity = room;
    return MX_OK;
}

static bool is_of(const struct mx_evidence *evidence, const struct mx_record *record)
{
    return !strcmp(evidence->model.fingerprint, record->model.fingerprint) &&
           !strcmp(evidence->machine_fingerprint, record->machine.fingerprint) &&
           !strcmp(evidence->version, record->version);
}

/* Records come in order, so that the last one's place is the next one's as a rule. */
static mx_status find_evidence(const struct source *source, const struct mx_record *record, struct mx_evidence **found,
                               struct mx_error *err)
{
    struct mx_evidence_set *set = source->set;
    for (size_t i = set->count; i-- > source->first;) {
        *found = &set->items[i];
        if (is_of(*found, record)) return MX_OK;
    }
    MX_TRY(grow((void **)&set->items, set->count, &set->capacity, sizeof *set->items, err));
    *found = &set->items[set->count++];
    **found = (struct mx_evidence){.model = record->model};
    snprintf((*found)->file, sizeof(*found)->file, "%.63s", source->name);
    memcpy((*found)->machine, record->machine.name, sizeof(*found)->machine);
    memcpy((*found)->machine_fingerprint, record->machine.fingerprint, sizeof(*found)->machine_fingerprint);
    memcpy((*found)->version, record->version, sizeof(*found)->version);
    return MX_OK;
}

static bool same_plan(const struct mx_record_plan *a, const struct mx_record_plan *b)
{
    return !strcmp(a->name, b->name) && a->recent == b->recent && a->sink == b->sink &&
           a->boundary_v == b->boundary_v && !strcmp(a->center, b->center);
}

static mx_status find_cell(struct mx_evidence *evidence, const struct mx_record *record,
                           struct mx_evidence_cell **found, struct mx_error *err)
{
    for (size_t i = evidence->cell_count; i-- > 0;) {
        *found = &evidence->cells[i];
        if ((*found)->context == record->context && same_plan(&(*found)->plan, &record->plan) &&
            !strcmp((*found)->text, record->text))
            return MX_OK;
    }
    MX_TRY(
        grow((void **)&evidence->cells, evidence->cell_count, &evidence->cell_capacity, sizeof *evidence->cells, err));
    *found = &evidence->cells[evidence->cell_count++];
    **found = (struct mx_evidence_cell){.mode = MX_MODE_COUNT,
                                        .plan = record->plan,
                                        .context = record->context,
                                        .decode_ratio = MX_NOT_MEASURED,
                                        .bytes_per_token = MX_NOT_MEASURED,
                                        .kl = MX_NOT_MEASURED,
                                        .top1 = MX_NOT_MEASURED,
                                        .perplexity_change = MX_NOT_MEASURED,
                                        .retrieval = MX_NOT_MEASURED,
                                        .retrieval_fp16 = MX_NOT_MEASURED,
                                        .grade = MX_GRADE_NONE};
    memcpy((*found)->text, record->text, sizeof(*found)->text);
    for (int mode = 0; mode < MX_MODE_COUNT; mode++)
        if (!strcmp(mx_mode_info((enum mx_mode)mode)->name, record->plan.name)) (*found)->mode = (enum mx_mode)mode;
    return MX_OK;
}

static double *figure_of(struct mx_evidence_cell *cell, enum mx_measure measure)
{
    switch ((int)measure) {
    case MX_MEASURE_DECODE_RATIO: return &cell->decode_ratio;
    case MX_MEASURE_BYTES_PER_TOKEN: return &cell->bytes_per_token;
    case MX_MEASURE_KL_MEAN: return &cell->kl;
    case MX_MEASURE_TOP1: return &cell->top1;
    case MX_MEASURE_PERPLEXITY_CHANGE: return &cell->perplexity_change;
    case MX_MEASURE_RETRIEVAL: return &cell->retrieval;
    case MX_MEASURE_RETRIEVAL_FP16: return &cell->retrieval_fp16;
    default: return NULL; /* advice does not ask for it */
    }
}

static mx_status take(void *context, const struct mx_record *record, struct mx_error *err)
{
    const struct source *source = context;
    struct mx_evidence_cell probe, *cell;
    struct mx_evidence *evidence;
    if (record->batch != 1 || !figure_of(&probe, record->measure)) return MX_OK;
    MX_TRY(find_evidence(source, record, &evidence, err));
    MX_TRY(find_cell(evidence, record, &cell, err));
    *figure_of(cell, record->measure) = record->value;
    if (record->measure == MX_MEASURE_RETRIEVAL) cell->prompts = record->repeats;
    if (strcmp(record->date, evidence->date) > 0) memcpy(evidence->date, record->date, sizeof evidence->date);
    return MX_OK;
}

/* The cell of the same plan and context with retrieval, which has texts of its own; NULL: there is none. */
static const struct mx_evidence_cell *find_retrieval(const struct mx_evidence *evidence,
                                                     const struct mx_evidence_cell *cell)
{
    for (size_t i = 0; i < evidence->cell_count; i++) {
        const struct mx_evidence_cell *one = &evidence->cells[i];
        if (one->retrieval >= 0 && one->retrieval_fp16 >= 0 && one->context == cell->context &&
            same_plan(&one->plan, &cell->plan))
            return one;
    }
    return NULL;
}

static void grade(struct mx_evidence *evidence)
{
    for (size_t i = 0; i < evidence->cell_count; i++) {
        struct mx_evidence_cell *cell = &evidence->cells[i];
        struct mx_quality quality = {.measured =
                                         cell->kl >= 0 && cell->top1 >= 0 && cell->perplexity_change != MX_NOT_MEASURED,
                                     .perplexity_change = cell->perplexity_change,
                                     .kl_mean = cell->kl,
                                     .top1 = cell->top1};
        if (!quality.measured) continue;
        const struct mx_evidence_cell *found = find_retrieval(evidence, cell);
        if (found) {
            quality.retrieved = true;
            quality.retrieval = cell->retrieval = found->retrieval;
            quality.retrieval_fp16 = cell->retrieval_fp16 = found->retrieval_fp16;
            quality.prompts = cell->prompts = found->prompts;
        }
        cell->grade = mx_grade_of(&quality);
    }
}

/* Ends a source: its cells get their grades, or, where it failed, go. */
static mx_status finish(const struct source *source, mx_status status)
{
    struct mx_evidence_set *set = source->set;
    for (size_t i = source->first; i < set->count; i++) {
        if (status == MX_OK)
            grade(&set->items[i]);
        else
            free(set->items[i].cells);
    }
    if (status != MX_OK) set->count = source->first;
    return status;
}

mx_status mx_evidence_parse(struct mx_evidence_set *set, const char *text, size_t length, const char *name,
                            struct mx_error *err)
{
    const char *slash = strrchr(name, '/');
    struct source source = {set, slash ? slash + 1 : name, set->count};
    return finish(&source, mx_exchange_parse(text, length, name, take, &source, err));
}

mx_status mx_evidence_add_shipped(struct mx_evidence_set *set, struct mx_error *err)
{
    for (const struct mx_shipped *file = mx_shipped; file->name; file++)
        MX_TRY(mx_evidence_parse(set, file->text, file->length, file->name, err));
    return MX_OK;
}

static mx_status read_file(struct mx_evidence_set *set, const char *path, struct mx_error *err)
{
    char *text;
    size_t length;
    MX_TRY(mx_file_read(path, MX_EXCHANGE_FILE_LIMIT, &text, &length, err));
    const mx_status status = mx_evidence_parse(set, text, length, path, err);
    free(text);
    return status;
}

static mx_status read_store(struct mx_evidence_set *set, const char *path, struct mx_error *err)
{
    struct mx_store *store;
    struct source source = {set, "your own", set->count};
    const struct mx_store_query all = {0};
    MX_TRY(mx_store_open(&store, path, MX_STORE_READ, err));
    const mx_status status = finish(&source, mx_store_each(store, &all, take, &source, err));
    mx_store_close(store);
    return status;
}

static bool is_database(const char *path)
{
    char head[16] = "";
    const size_t length = strlen(path);
    if (length > 3 && !strcmp(path + length - 3, ".db")) return true;
    FILE *file = fopen(path, "rbe");
    if (!file) return false;
    const bool read = fread(head, 1, sizeof head, file) == sizeof head;
    fclose(file);
    return read && !memcmp(head, "SQLite format 3", 16);
}

/* Reads a file, and notes why where it is of no use; only a lack of memory fails. */
static mx_status read_or_note(struct mx_evidence_set *set, const char *path, struct mx_error *err)
{
    const mx_status status = is_database(path) ? read_store(set, path, err) : read_file(set, path, err);
    if (status == MX_OK || status == MX_ERR_MEMORY) return status;
    if (set->ignored_count < MX_EVIDENCE_IGNORED)
        snprintf(set->ignored[set->ignored_count], sizeof *set->ignored, "%.255s", err->message);
    set->ignored_count++;
    return MX_OK;
}

static int is_json(const struct dirent *entry)
{
    const size_t length = strlen(entry->d_name);
    return length > 5 && entry->d_name[0] != '.' && !strcmp(entry->d_name + length - 5, ".json");
}

static mx_status read_folder(struct mx_evidence_set *set, const char *directory, struct mx_error *err)
{
    struct dirent **entries = NULL;
    const int found = scandir(directory, &entries, is_json, alphasort);
    if (found < 0) return mx_fail(err, MX_ERR_IO, "%s: cannot read the evidence: %s", directory, strerror(errno));
    mx_status status = MX_OK;
    if (found > MAX_FILES) status = mx_fail(err, MX_ERR_LIMIT, "%s: more than %d files", directory, MAX_FILES);
    for (int i = 0; i < found; i++) {
        char *path = status == MX_OK ? mx_path_join(directory, entries[i]->d_name) : NULL;
        if (path) status = read_or_note(set, path, err);
        if (!path && status == MX_OK) status = mx_fail_memory(err, "a path", strlen(directory));
        free(path);
        free(entries[i]);
    }
    free(entries);
    return status;
}

mx_status mx_evidence_add(struct mx_evidence_set *set, const char *path, struct mx_error *err)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return mx_fail(err, MX_ERR_IO, "%s: cannot read the evidence: %s", path, strerror(errno));
    return S_ISDIR(info.st_mode) ? read_folder(set, path, err) : read_or_note(set, path, err);
}

void mx_evidence_close(struct mx_evidence_set *set)
{
    for (size_t i = 0; i < set->count; i++) free(set->items[i].cells);
    free(set->items);
    *set = (struct mx_evidence_set){0};
}

enum mx_kin mx_evidence_kin(const struct mx_evidence *evidence, const struct mx_arch *arch, const char *name,
                            uint64_t parameters)
{
    const struct mx_record_model *model = &evidence->model;
    const char *class = mx_class_name(arch->class_);
    if (model->head_dim != arch->head_dim || model->qk_norm != (arch->qk_norm != MX_QK_NORM_NONE) ||
        model->key_bias != arch->qkv_bias || strcmp(model->class_, class ? class : "other") != 0)
        return MX_KIN_NONE;
    if (strcmp(model->type, arch->model_type) != 0) return MX_KIN_LIKE;
    return name && !strcmp(model->name, name) && model->parameters == parameters ? MX_KIN_SELF : MX_KIN_FAMILY;
}
