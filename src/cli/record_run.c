#include "cli/record_run.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#include "advisor/subject.h"
#include "base/checked.h"
#include "base/machine.h"
#include "cache/size.h"
#include "cli/output.h"

static const char *const centers[] = {[MX_CENTER_OFF] = "off", [MX_CENTER_ON] = "on", [MX_CENTER_AUTO] = "auto"};

/* The whole text, or none of it: half a name may be no UTF-8, and another model's name. */
static void set(char *to, size_t size, const char *text)
{
    if (snprintf(to, size, "%s", text) >= (int)size) to[0] = '\0';
}

static bool has_key_bias(const struct mx_model *model)
{
    const struct mx_key_bias *bias = mx_model_key_bias(model);
    for (uint32_t i = 0; i < mx_model_arch(model)->layer_count; i++)
        if (bias->bias[i]) return true;
    return false;
}

static mx_status describe_model(struct mx_record_model *model, const char *folder, const struct mx_session *session,
                                struct mx_error *err)
{
    char storage[96];
    struct mx_subject subject;
    MX_TRY(mx_subject_open(&subject, folder, err));
    const struct mx_arch *arch = mx_session_arch(session);
    const char *class = mx_class_name(arch->class_);
    set(model->name, sizeof model->name, subject.name);
    set(model->type, sizeof model->type, arch->model_type);
    set(model->class_, sizeof model->class_, class ? class : "other");
    set(model->weights, sizeof model->weights, mx_subject_storage(&subject, storage));
    snprintf(model->fingerprint, sizeof model->fingerprint, "%016" PRIx64,
             mx_model_fingerprint(mx_session_model(session)));
    model->parameters = subject.count;
    model->head_dim = arch->head_dim;
    model->qk_norm = arch->qk_norm != MX_QK_NORM_NONE;
    model->key_bias = has_key_bias(mx_session_model(session));
    mx_subject_close(&subject);
    return MX_OK;
}

static void describe_machine(struct mx_record_machine *record)
{
    char key[192];
    struct mx_machine machine;
    mx_machine_probe(&machine);
    mx_machine_key(&machine, key);
    set(record->name, sizeof record->name, machine.cpu);
    snprintf(record->fingerprint, sizeof record->fingerprint, "%016" PRIx64, XXH3_64bits(key, strlen(key)));
    record->cores = machine.cores;
    record->memory = machine.memory_total;
}

static void use_plan(struct mx_record_plan *plan, const struct mx_kv_setup *setup)
{
    *plan = (struct mx_record_plan){.recent = setup->recent, .sink = setup->sink, .boundary_v = setup->boundary_v};
    set(plan->name, sizeof plan->name, mx_mode_info(setup->mode)->name);
    set(plan->center, sizeof plan->center, centers[setup->center]);
}

mx_status mx_record_run_open(struct mx_record_run *run, const struct mx_store_flags *flags, const char *folder,
                             const struct mx_session *session, const char *command, struct mx_error *err)
{
    *run = (struct mx_record_run){0};
    struct mx_record *base = &run->base;
    MX_TRY(describe_model(&base->model, folder, session, err));
    describe_machine(&base->machine);
    set(base->version, sizeof base->version, MLXCEL_VERSION);
    const time_t now = time(NULL);
    struct tm day;
    gmtime_r(&now, &day);
    strftime(base->date, sizeof base->date, "%Y-%m-%d", &day);
    base->batch = 1;
    /* A figure that is always possible, to hear now what would be refused later. */
    struct mx_record trial = *base;
    trial.context = 1;
    trial.measure = MX_MEASURE_CACHE_BYTES;
    use_plan(&trial.plan, &(struct mx_kv_setup){0});
    MX_TRY(mx_record_check(&trial, err));
    struct mx_error ignored;
    set(trial.command, sizeof trial.command, command);
    if (mx_record_check(&trial, &ignored) == MX_OK) set(base->command, sizeof base->command, command);
    return mx_store_flags_open(&run->store, flags, MX_STORE_WRITE, err);
}

void mx_record_run_close(struct mx_record_run *run)
{
    mx_store_close(run->store);
    run->store = NULL;
}

uint64_t mx_record_cache_bytes(const struct mx_arch *arch, const struct mx_kv_setup *setup, uint32_t context)
{
    return mx_cache_bytes(arch, setup, mx_round_up(context, MX_CONTEXT_STEP));
}

mx_status mx_record_run_comparison(struct mx_record_run *run, const struct mx_cli *cli, const struct mx_arch *arch,
                                   uint32_t context, const struct mx_comparison *result, struct mx_error *err)
{
    if (!run->store) return MX_OK;
    const struct figure {
        enum mx_measure measure;
        double value, error;
    } figures[] = {
        {MX_MEASURE_CACHE_BYTES, (double)mx_record_cache_bytes(arch, &result->setup, context), 0},
        {MX_MEASURE_BYTES_PER_TOKEN, (double)mx_cache_marginal_bytes(arch, &result->setup), 0},
        {MX_MEASURE_PERPLEXITY, exp(result->nll), 0},
        {MX_MEASURE_PERPLEXITY_CHANGE, result->perplexity_change, result->perplexity_change_se},
        {MX_MEASURE_KL_MEAN, result->kl_mean, result->kl_mean_se},
        {MX_MEASURE_KL_P99, result->kl_p99, 0},
        {MX_MEASURE_KL_P999, result->kl_p999, 0},
        {MX_MEASURE_TOP1, result->top1, result->top1_se},
        {MX_MEASURE_WORST_CHANGE, result->worst_change, 0},
    };
    enum { FIGURES = sizeof figures / sizeof *figures };
    struct mx_record records[FIGURES + MX_COMPARE_STRETCHES];
    size_t count = 0;
    for (size_t i = 0; i < FIGURES + result->stretches; i++) {
        const struct figure figure =
            i < FIGURES ? figures[i] : (struct figure){MX_MEASURE_KL_AT, result->kl_at[i - FIGURES], 0};
        const struct mx_measure_info *info = mx_measure_info(figure.measure);
        if (!(figure.value >= info->low && figure.value <= info->high) || !isfinite(figure.error)) {
            mx_print_note(cli, "%s of %s at %u tokens is %g: not recorded", info->name,
                          mx_mode_info(result->setup.mode)->name, context, figure.value);
            continue;
        }
        struct mx_record *record = &records[count++];
        *record = run->base;
        use_plan(&record->plan, &result->setup);
        record->context = context;
        record->measure = figure.measure;
        record->at = i < FIGURES ? 0 : result->at[i - FIGURES];
        record->value = figure.value;
        record->error = figure.error;
        record->repeats = (uint32_t)result->windows;
    }
    return mx_store_put(run->store, records, count, NULL, err);
}
