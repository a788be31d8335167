#include "cli/record_run.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#include "advisor/subject.h"
#include "base/checked.h"
#include "base/machine.h"
#include "cache/size.h"
#include "cli/output.h"

/* The whole text, or none of it: half a name may be no UTF-8, and another model's name. */
static void set(char *to, size_t size, const char *text)
{
    if (snprintf(to, size, "%s", text) >= (int)size) to[0] = '\0';
}

/* `key_bias` is what the config says, as the advisor reads it, which sees no weights. */
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
    model->key_bias = arch->qkv_bias;
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
    char name[MX_KV_PLAN_NAME];
    set(plan->name, sizeof plan->name, mx_kv_setup_name(setup, name));
    set(plan->center, sizeof plan->center, mx_center_name(setup->center));
}

mx_status mx_record_run_describe(struct mx_record_run *run, const char *folder, const struct mx_session *session,
                                 const char *command, struct mx_error *err)
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
    return MX_OK;
}

mx_status mx_record_run_open(struct mx_record_run *run, const struct mx_store_flags *flags,
                             const struct mx_engine_flags *engine, const struct mx_session *session,
                             struct mx_error *err, const char *command, ...)
{
    char text[512], buffer[4096];
    const char *folder;
    va_list arguments;
    va_start(arguments, command);
    vsnprintf(text, sizeof text, command, arguments);
    va_end(arguments);
    MX_TRY(mx_model_folder(engine, buffer, sizeof buffer, &folder, err));
    MX_TRY(mx_record_run_describe(run, folder, session, text, err));
    return mx_store_flags_open(&run->store, flags, MX_STORE_WRITE, err);
}

void mx_record_run_close(struct mx_record_run *run)
{
    mx_store_close(run->store);
    run->store = NULL;
}

const char *mx_record_command(char buffer[512], const char *name, const char *file, const char *tokens)
{
    const char *text = file ? file : tokens, *slash = strrchr(text, '/');
    snprintf(buffer, 512, "mlxcel %s %s %s", name, file ? "-f" : "--tokens-file", slash ? slash + 1 : text);
    return buffer;
}

uint64_t mx_record_cache_bytes(const struct mx_arch *arch, const struct mx_kv_setup *setup, uint64_t context)
{
    return mx_cache_bytes(arch, setup, mx_round_up(context, MX_CONTEXT_STEP));
}

void mx_record_set_begin(struct mx_record_set *set, const struct mx_record_run *run, const struct mx_kv_setup *setup,
                         uint64_t context)
{
    set->count = 0;
    set->base = run->base;
    set->base.context = context;
    use_plan(&set->base.plan, setup);
}

void mx_record_set_add(struct mx_record_set *set, const struct mx_cli *cli, enum mx_measure measure, uint32_t at,
                       double value, double error, uint32_t repeats)
{
    const struct mx_measure_info *info = mx_measure_info(measure);
    if (!(value >= info->low && value <= info->high) || !isfinite(error)) {
        mx_print_note(cli, "%s of %s at %llu tokens is %g: not recorded", info->name, set->base.plan.name,
                      (unsigned long long)set->base.context, value);
        return;
    }
    if (set->count == sizeof set->items / sizeof *set->items) return; /* more than any command adds */
    struct mx_record *record = &set->items[set->count++];
    *record = set->base;
    record->measure = measure;
    record->at = at;
    record->value = value;
    record->error = error;
    record->repeats = repeats;
}

void mx_record_set_add_comparison(struct mx_record_set *set, const struct mx_cli *cli, const struct mx_arch *arch,
                                  const struct mx_comparison *result)
{
    const struct figure {
        enum mx_measure measure;
        double value, error;
    } figures[] = {
        {MX_MEASURE_CACHE_BYTES, (double)mx_record_cache_bytes(arch, &result->setup, set->base.context), 0},
        {MX_MEASURE_BYTES_PER_TOKEN, (double)mx_cache_marginal_bytes(arch, &result->setup), 0},
        {MX_MEASURE_PERPLEXITY, exp(result->nll), 0},
        {MX_MEASURE_PERPLEXITY_CHANGE, result->perplexity_change, result->perplexity_change_se},
        {MX_MEASURE_KL_MEAN, result->kl_mean, result->kl_mean_se},
        {MX_MEASURE_KL_P99, result->kl_p99, 0},
        {MX_MEASURE_KL_P999, result->kl_p999, 0},
        {MX_MEASURE_TOP1, result->top1, result->top1_se},
        {MX_MEASURE_WORST_CHANGE, result->worst_change, 0},
    };
    const uint32_t windows = (uint32_t)result->windows;
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        mx_record_set_add(set, cli, figures[i].measure, 0, figures[i].value, figures[i].error, windows);
    if (result->greedy) {
        mx_record_set_add(set, cli, MX_MEASURE_GREEDY_SAME, 0, result->greedy_same, result->greedy_same_se, windows);
        mx_record_set_add(set, cli, MX_MEASURE_GREEDY_LENGTH, 0, result->greedy_length, result->greedy_length_se,
                          windows);
    }
    for (size_t i = 0; i < result->stretches; i++)
        mx_record_set_add(set, cli, MX_MEASURE_KL_AT, result->at[i], result->kl_at[i], 0, windows);
}

void mx_record_set_add_bench(struct mx_record_set *set, const struct mx_cli *cli, const struct mx_bench_cell *cell,
                             uint32_t repeats)
{
    const struct figure {
        enum mx_measure measure;
        double value, error;
    } figures[] = {
        {MX_MEASURE_PREFILL, cell->prefill_tok_s, cell->prefill_spread},
        {MX_MEASURE_PREFILL_RATIO, cell->prefill_ratio, 0},
        {MX_MEASURE_DECODE, cell->decode_tok_s, cell->decode_spread},
        {MX_MEASURE_DECODE_RATIO, cell->ratio_to_fp16, cell->ratio_spread},
        {MX_MEASURE_FLOOR_SHARE, cell->floor_tok_s > 0 ? cell->decode_tok_s / cell->floor_tok_s : 0, 0},
    };
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        if (figures[i].value > 0) /* 0: not timed */
            mx_record_set_add(set, cli, figures[i].measure, 0, figures[i].value, figures[i].error, repeats);
}

void mx_record_set_add_retrieval(struct mx_record_set *set, const struct mx_cli *cli, const struct mx_retrieval *result)
{
    const double share = (double)result->right / result->prompts;
    memcpy(set->base.text, result->text, sizeof set->base.text);
    mx_record_set_add(set, cli, MX_MEASURE_RETRIEVAL, 0, share, sqrt(share * (1 - share) / result->prompts),
                      result->prompts); /* the error of a binomial share */
    mx_record_set_add(set, cli, MX_MEASURE_RETRIEVAL_FP16, 0, (double)result->right_fp16 / result->prompts, 0,
                      result->prompts);
    for (size_t i = 0; i < MX_RETRIEVAL_DEPTHS; i++)
        if (result->prompts_at[i])
            mx_record_set_add(set, cli, MX_MEASURE_RETRIEVAL_AT, mx_retrieval_depths[i],
                              (double)result->right_at[i] / result->prompts_at[i], 0, result->prompts_at[i]);
}

enum mx_grade mx_record_grade(const struct mx_comparison *result, const struct mx_retrieval *retrieval)
{
    struct mx_quality quality = {.measured = true,
                                 .perplexity_change = result->perplexity_change,
                                 .kl_mean = result->kl_mean,
                                 .top1 = result->top1};
    if (retrieval) {
        quality.retrieved = true;
        quality.prompts = retrieval->prompts;
        quality.retrieval = (double)retrieval->right / retrieval->prompts;
        quality.retrieval_fp16 = (double)retrieval->right_fp16 / retrieval->prompts;
    }
    return mx_grade_of(&quality);
}

mx_status mx_record_set_put(const struct mx_record_set *set, struct mx_record_run *run, const char *job,
                            struct mx_error *err)
{
    return run->store ? mx_store_put(run->store, set->items, set->count, job, err) : MX_OK;
}

void mx_record_windows_text(char text[17], const struct mx_windows *windows, size_t count)
{
    int32_t both[8]; /* the names of what came before and of one window more: 16 characters each */
    char one[17];
    if (!windows->chosen) {
        mx_record_text(text, windows->tokens, count * windows->length + 1);
        return;
    }
    memset(both, 0, sizeof both);
    for (size_t i = 0; i < count; i++) {
        mx_record_text(one, mx_windows_at(windows, i), (size_t)windows->length + 1);
        memcpy(both + 4, one, 16);
        mx_record_text(text, both, 8);
        memcpy(both, text, 16);
    }
}

const char *mx_record_kept_path(char path[MX_USER_CACHE_PATH], const struct mx_session *session,
                                const struct mx_compare_options *compare)
{
    const struct mx_windows *windows = &compare->windows;
    uint64_t of[MX_MODE_COUNT + 6] = {mx_model_fingerprint(mx_session_model(session)), windows->length, windows->limit,
                                      compare->greedy,
                                      XXH3_64bits(windows->tokens, windows->count * sizeof *windows->tokens)};
    char name[32];
    for (size_t i = 0; i < compare->count && i <= MX_MODE_COUNT; i++) of[5 + i] = 1 + (uint64_t)compare->modes[i].mode;
    snprintf(name, sizeof name, "measured-%016" PRIx64, XXH3_64bits(of, sizeof of));
    return mx_user_cache_path(path, name) ? path : NULL;
}

void mx_record_note_unkept(const struct mx_cli *cli, const struct mx_error *unkept)
{
    if (unkept->message[0])
        mx_print_note(cli, "finished windows can't be kept, so that what is interrupted begins anew: %s",
                      unkept->message);
}

mx_status mx_record_run_comparison(struct mx_record_run *run, const struct mx_cli *cli, const struct mx_arch *arch,
                                   const struct mx_windows *windows, const struct mx_comparison *result,
                                   const struct mx_retrieval *retrieval, struct mx_error *err)
{
    if (!run->store) return MX_OK;
    struct mx_record_set set;
    mx_record_set_begin(&set, run, &result->setup, windows->length);
    mx_record_windows_text(set.base.text, windows, result->windows);
    mx_record_set_add_comparison(&set, cli, arch, result);
    if (retrieval) mx_record_set_add_retrieval(&set, cli, retrieval);
    return mx_record_set_put(&set, run, NULL, err);
}
