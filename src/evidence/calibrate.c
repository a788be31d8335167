#include "evidence/calibrate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/machine.h"
#include "cache/size.h"
#include "evidence/plan_search.h"

enum {
    PAIRS = MX_REPR_COUNT * MX_REPR_COUNT,
    LEAST_WINDOWS = 3, /* before a probe may be done early */
};
static const double ENOUGH = 0.08; /* standard error of a probe's mean, relative, with which it is done */

/* One layer's K or V in one form. */
struct probe {
    uint32_t layer;
    enum mx_kv_which which;
    enum mx_repr repr;
    double sum, squares; /* of the windows' means */
    size_t windows;
    bool done;
};

struct calibrating {
    struct mx_session *session;
    const struct mx_calibrate_options *options;
    const struct mx_progress *progress;
    struct mx_calibration *result;
    struct probe *probes;
    size_t probe_count, passes, passes_done; /* a pass: one probe on one window */
    double base;                             /* of the bar: where this part begins */
};

static struct mx_kv_options plan_options(const struct mx_kv_layers *layers)
{
    struct mx_kv_options kv = mx_kv_options_default();
    kv.mode = MX_MODE_PLAN;
    kv.layers = *layers;
    return kv;
}

static struct mx_kv_layers all_fp16(const struct mx_arch *arch)
{
    return (struct mx_kv_layers){.count = arch->layer_count}; /* MX_REPR_FP16 is 0 */
}

/* The plan of a form alone. */
static struct mx_kv_layers layers_of(const struct mx_arch *arch, uint32_t layer, struct mx_kv_pair pair)
{
    struct mx_kv_layers layers = all_fp16(arch);
    mx_kv_layers_set(&layers, layer, pair);
    return layers;
}

static bool can_hold(const struct mx_arch *arch, uint32_t layer, struct mx_kv_pair pair, struct mx_kv_setup *setup)
{
    struct mx_error ignored;
    const struct mx_kv_layers layers = layers_of(arch, layer, pair);
    const struct mx_kv_options kv = plan_options(&layers);
    return mx_layer_owns_cache(&arch->layers[layer]) && mx_kv_resolve(setup, &kv, arch, &ignored) == MX_OK;
}

static bool is_latent(const struct mx_arch *arch, uint32_t layer)
{
    return mx_layer_kv_shape(&arch->layers[layer]).attention == MX_ATTENTION_LATENT;
}

/* A latent is key and value in one and has one form, which counts as that of V. */
static struct mx_kv_pair pair_of(const struct mx_arch *arch, uint32_t layer, enum mx_kv_which which, enum mx_repr repr)
{
    if (is_latent(arch, layer)) return (struct mx_kv_pair){repr, repr};
    return which == MX_KV_K ? (struct mx_kv_pair){repr, MX_REPR_FP16} : (struct mx_kv_pair){MX_REPR_FP16, repr};
}

/* Lists the forms to measure into probes (NULL: counts them alone). */
static size_t list_probes(const struct mx_arch *arch, struct probe *probes)
{
    size_t count = 0;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        for (int which = MX_KV_K; which <= MX_KV_V; which++) {
            for (int repr = MX_REPR_FP16 + 1; repr < MX_REPR_COUNT; repr++) {
                struct mx_kv_setup setup;
                const struct mx_kv_pair pair = pair_of(arch, i, (enum mx_kv_which)which, (enum mx_repr)repr);
                if ((is_latent(arch, i) && which == MX_KV_K) || !can_hold(arch, i, pair, &setup)) continue;
                if (probes)
                    probes[count] =
                        (struct probe){.layer = i, .which = (enum mx_kv_which)which, .repr = (enum mx_repr)repr};
                count++;
            }
        }
    }
    return count;
}

size_t mx_calibrate_probes(const struct mx_arch *arch)
{
    return list_probes(arch, NULL);
}

static void report(void *context, const char *what, double done)
{
    const struct calibrating *job = context;
    (void)what;
    mx_progress_report(job->progress, "calibrating", job->base + done * (1 - job->base));
}

/* So many probes run side by side that their caches take a quarter of the memory that is free. */
static size_t group_size(const struct calibrating *job)
{
    struct mx_kv_setup plain;
    struct mx_machine machine;
    struct mx_error ignored;
    const struct mx_arch *arch = mx_session_arch(job->session);
    const struct mx_kv_options fp16 = mx_kv_options_default();
    mx_machine_probe(&machine);
    if (mx_kv_resolve(&plain, &fp16, arch, &ignored) != MX_OK) return 1;
    const uint64_t one = mx_cache_bytes(arch, &plain, job->options->windows.length) + mx_state_bytes(arch) + 1;
    const uint64_t fit = machine.available / 4 / one;
    return fit < 1 ? 1 : fit > 64 ? 64 : (size_t)fit;
}

static void take(struct probe *probe, double kl)
{
    probe->sum += kl;
    probe->squares += kl * kl;
    const double n = (double)++probe->windows, mean = probe->sum / n;
    if (n < LEAST_WINDOWS) return;
    const double variance = fmax(0, probe->squares / n - mean * mean) * n / (n - 1);
    probe->done = sqrt(variance / n) <= ENOUGH * mean;
}

static mx_status run_group(struct calibrating *job, size_t window, struct probe *const *group, size_t count,
                           struct mx_error *err)
{
    const struct mx_arch *arch = mx_session_arch(job->session);
    const struct mx_windows *all = &job->options->windows;
    const struct mx_windows one = {.tokens = all->tokens + window * all->length,
                                   .count = all->count - window * all->length,
                                   .length = all->length,
                                   .limit = 1};
    struct mx_kv_options *modes = calloc(count, sizeof *modes);
    struct mx_comparison *results = calloc(count, sizeof *results);
    mx_status status = MX_OK;
    if (!modes || !results) status = mx_fail_memory(err, "the probes", count * (sizeof *modes + sizeof *results));
    for (size_t i = 0; status == MX_OK && i < count; i++) {
        const struct mx_kv_pair pair = pair_of(arch, group[i]->layer, group[i]->which, group[i]->repr);
        const struct mx_kv_layers layers = layers_of(arch, group[i]->layer, pair);
        modes[i] = plan_options(&layers);
    }
    const struct mx_compare_options options = {.windows = one, .modes = modes, .count = count};
    const struct mx_progress only_stop = {.interrupted = job->progress ? job->progress->interrupted : NULL};
    double reference;
    if (status == MX_OK) status = mx_compare_run(job->session, &options, &only_stop, results, &reference, err);
    for (size_t i = 0; status == MX_OK && i < count; i++) take(group[i], results[i].kl_mean);
    free(modes);
    free(results);
    job->passes_done += count;
    mx_progress_report(job->progress, "calibrating", 0.9 * (double)job->passes_done / (double)job->passes);
    return status;
}

/* Window by window, so that a probe whose mean is known well enough runs no more. */
static mx_status measure_probes(struct calibrating *job, struct mx_error *err)
{
    const size_t size = group_size(job);
    struct probe **group = calloc(size, sizeof(struct probe *));
    mx_status status = group ? MX_OK : mx_fail_memory(err, "the probes", size * sizeof(struct probe *));
    job->passes = job->probe_count * job->options->probes;
    for (size_t window = 0; status == MX_OK && window < job->options->probes; window++) {
        size_t count = 0;
        for (size_t i = 0; status == MX_OK && i < job->probe_count; i++) {
            if (job->probes[i].done)
                job->passes_done++;
            else
                group[count++] = &job->probes[i];
            if (count == size || (count && i + 1 == job->probe_count)) {
                status = run_group(job, window, group, count, err);
                count = 0;
            }
        }
        if (status == MX_OK && count) status = run_group(job, window, group, count, err);
    }
    free(group);
    return status;
}

/* Bytes of a layer that stores `pair`, per token at MX_CALIBRATE_CONTEXT tokens, times that. */
static uint64_t layer_bytes(const struct mx_arch *arch, uint32_t layer, struct mx_kv_pair pair)
{
    struct mx_kv_setup setup;
    return can_hold(arch, layer, pair, &setup) ? mx_cache_layer_bytes(arch, &setup, layer, MX_CALIBRATE_CONTEXT) : 0;
}

/* The bytes of a uniform mode, counted in the same way. */
static mx_status mode_bytes(const struct mx_arch *arch, enum mx_mode mode, uint64_t *bytes, struct mx_error *err)
{
    struct mx_kv_setup setup;
    struct mx_kv_options kv = mx_kv_options_default();
    kv.mode = mode;
    kv.force = true;
    *bytes = 0;
    MX_TRY(mx_kv_resolve(&setup, &kv, arch, err));
    for (uint32_t i = 0; i < arch->layer_count; i++) *bytes += layer_bytes(arch, i, mx_kv_layer_pair(&setup, arch, i));
    return MX_OK;
}

static double loss_of(const struct mx_calibration *result, const struct mx_arch *arch, uint32_t layer,
                      struct mx_kv_pair pair)
{
    if (is_latent(arch, layer)) return pair.k == pair.v ? result->loss[layer][MX_KV_V][pair.v] : NAN;
    return result->loss[layer][MX_KV_K][pair.k] + result->loss[layer][MX_KV_V][pair.v];
}

/* options [layer_count][PAIRS]; a pair that a layer can't hold costs too much. */
static void fill_options(const struct calibrating *job, struct mx_plan_option *options)
{
    const struct mx_arch *arch = mx_session_arch(job->session);
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        for (int p = 0; p < PAIRS; p++) {
            const struct mx_kv_pair pair = {(enum mx_repr)(p / MX_REPR_COUNT), (enum mx_repr)(p % MX_REPR_COUNT)};
            struct mx_kv_setup setup;
            struct mx_plan_option *option = &options[i * PAIRS + (size_t)p];
            const double loss = loss_of(job->result, arch, i, pair);
            *option = (struct mx_plan_option){UINT64_MAX / 4 / (arch->layer_count + 1), INFINITY};
            if (p == 0 && !mx_layer_owns_cache(&arch->layers[i])) *option = (struct mx_plan_option){0, 0};
            if (can_hold(arch, i, pair, &setup) && !isnan(loss))
                *option = (struct mx_plan_option){layer_bytes(arch, i, pair), loss};
        }
    }
}

static mx_status search(struct calibrating *job, struct mx_plan_option *options, uint32_t *choice, struct mx_error *err)
{
    struct mx_calibration *result = job->result;
    const struct mx_arch *arch = mx_session_arch(job->session);
    uint64_t most = (uint64_t)(job->options->most_bytes * MX_CALIBRATE_CONTEXT), bytes = 0;
    if (most == 0) MX_TRY(mode_bytes(arch, job->options->like, &most, err));
    fill_options(job, options);
    MX_TRY(mx_plan_search(options, arch->layer_count, PAIRS, most, job->options->most_loss, choice, err));
    result->layers = all_fp16(arch);
    result->layers.model = mx_model_fingerprint(mx_session_model(job->session));
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        const struct mx_kv_pair pair = {(enum mx_repr)(choice[i] / MX_REPR_COUNT),
                                        (enum mx_repr)(choice[i] % MX_REPR_COUNT)};
        mx_kv_layers_set(&result->layers, i, pair);
        result->predicted_kl += options[i * PAIRS + choice[i]].loss;
        bytes += options[i * PAIRS + choice[i]].bytes;
    }
    result->bytes = (double)bytes / MX_CALIBRATE_CONTEXT;
    return MX_OK;
}

static mx_status find_plan(struct calibrating *job, struct mx_error *err)
{
    const struct mx_arch *arch = mx_session_arch(job->session);
    struct mx_calibration *result = job->result;
    result->loss = malloc(arch->layer_count * sizeof *result->loss);
    struct mx_plan_option *options = malloc(arch->layer_count * PAIRS * sizeof *options);
    uint32_t *choice = malloc(arch->layer_count * sizeof *choice);
    mx_status status = MX_OK;
    if (!result->loss || !options || !choice)
        status = mx_fail_memory(err, "the plan", arch->layer_count * PAIRS * sizeof *options);
    if (status == MX_OK) {
        for (uint32_t i = 0; i < arch->layer_count; i++)
            for (int half = 0; half < 2; half++)
                for (int r = 0; r < MX_REPR_COUNT; r++) result->loss[i][half][r] = r == MX_REPR_FP16 ? 0 : NAN;
        for (size_t i = 0; i < job->probe_count; i++) {
            const struct probe *probe = &job->probes[i];
            result->loss[probe->layer][probe->which][probe->repr] = probe->sum / (double)probe->windows;
        }
        status = search(job, options, choice, err);
    }
    free(options);
    free(choice);
    return status;
}

/* The plan whole, and uniform modes, on the windows that follow. */
static mx_status check_plan(struct calibrating *job, struct mx_error *err)
{
    const struct mx_calibrate_options *options = job->options;
    struct mx_calibration *result = job->result;
    struct mx_kv_options modes[MX_CALIBRATE_MODES + 1];
    struct mx_comparison compared[MX_CALIBRATE_MODES + 1];
    const size_t skipped = options->probes * options->windows.length;
    const struct mx_windows rest = {.tokens = options->windows.tokens + skipped,
                                    .count = options->windows.count - skipped,
                                    .length = options->windows.length,
                                    .limit = options->checks};
    modes[0] = plan_options(&result->layers);
    for (size_t i = 0; i < options->mode_count; i++) {
        modes[i + 1] = mx_kv_options_default();
        modes[i + 1].mode = options->modes[i];
        modes[i + 1].force = true;
    }
    const struct mx_compare_options compare = {.windows = rest, .modes = modes, .count = options->mode_count + 1};
    const struct mx_progress progress = {report, job, job->progress ? job->progress->interrupted : NULL};
    double reference;
    job->base = 0.9;
    MX_TRY(mx_compare_run(job->session, &compare, &progress, compared, &reference, err));
    result->plan = compared[0];
    memcpy(result->uniform, compared + 1, options->mode_count * sizeof *compared);
    return MX_OK;
}

mx_status mx_calibrate_check(const struct mx_calibrate_options *options, const struct mx_arch *arch,
                             struct mx_error *err)
{
    size_t windows;
    if (mx_calibrate_probes(arch) == 0)
        return mx_fail(err, MX_ERR_UNSUPPORTED,
                       "no layer of this model keeps keys and values: there is nothing to plan");
    if (options->mode_count > MX_CALIBRATE_MODES)
        return mx_fail(err, MX_ERR_ARGUMENT, "more than %d modes beside the plan", MX_CALIBRATE_MODES);
    MX_TRY(mx_windows_count(&options->windows, &windows, err));
    if (windows >= options->probes + options->checks) return MX_OK;
    return mx_fail(err, MX_ERR_ARGUMENT,
                   "calibration needs %zu windows of %u tokens and a check %zu more, the text has %zu; give a longer "
                   "text, or lower the context",
                   options->probes, options->windows.length, options->checks, windows);
}

mx_status mx_calibrate_run(struct mx_session *session, const struct mx_calibrate_options *options,
                           const struct mx_progress *progress, struct mx_calibration *result, struct mx_error *err)
{
    const struct mx_arch *arch = mx_session_arch(session);
    *result = (struct mx_calibration){0};
    MX_TRY(mx_calibrate_check(options, arch, err));
    struct calibrating job = {.session = session, .options = options, .progress = progress, .result = result};
    job.probe_count = result->probed = mx_calibrate_probes(arch);
    job.probes = calloc(job.probe_count, sizeof *job.probes);
    if (!job.probes) return mx_fail_memory(err, "the probes", job.probe_count * sizeof *job.probes);
    (void)list_probes(arch, job.probes);
    mx_status status = measure_probes(&job, err);
    if (status == MX_OK) status = find_plan(&job, err);
    if (status == MX_OK) status = check_plan(&job, err);
    free(job.probes);
    return status;
}

void mx_calibration_free(struct mx_calibration *result)
{
    free(result->loss);
    result->loss = NULL;
}
