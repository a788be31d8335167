#include "evidence/calibrate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/machine.h"
#include "cache/size.h"
#include "evidence/plan_search.h"

enum {
    PAIRS = MX_REPR_COUNT * MX_REPR_COUNT,
    LEAST_WINDOWS = 3, /* before a probe may be done early */
    ROUNDS = 4,        /* plans that are measured whole, at most */
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
    size_t probe_count;
    size_t *probe_windows, *refine_windows, *check_windows; /* which of the text */
    struct mx_plan_option *choices;                         /* [layer_count][PAIRS] */
    double passes, passes_done; /* of one plan through one window: what is reported, fp16's not counted */
    double share;               /* of a pass, by which the part under way advances the bar */
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
    mx_progress_report(job->progress, "calibrating", (job->passes_done + done * job->share) / job->passes);
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

/* The divergences of `count` plans on one window, by the session. */
static mx_status compare_plans(struct calibrating *job, size_t window, const struct mx_kv_layers *plans, size_t count,
                               double *kl, struct mx_error *err)
{
    struct mx_kv_options *modes = calloc(count, sizeof *modes);
    struct mx_comparison *results = calloc(count, sizeof *results);
    mx_status status = MX_OK;
    if (!modes || !results) status = mx_fail_memory(err, "the probes", count * (sizeof *modes + sizeof *results));
    for (size_t i = 0; status == MX_OK && i < count; i++) modes[i] = plan_options(&plans[i]);
    struct mx_compare_options options = {.windows = job->options->windows, .modes = modes, .count = count};
    options.windows.chosen = &window;
    options.windows.limit = 1;
    job->share = (double)count;
    const struct mx_progress progress = {report, job, job->progress ? job->progress->interrupted : NULL};
    double reference;
    if (status == MX_OK) status = mx_compare_run(job->session, &options, &progress, results, &reference, err);
    for (size_t i = 0; status == MX_OK && i < count; i++) kl[i] = results[i].kl_mean;
    free(modes);
    free(results);
    return status;
}

/* The same; what is new is kept. */
static mx_status measure_plans(struct calibrating *job, size_t window, const struct mx_kv_layers *plans, size_t count,
                               double *kl, struct mx_error *err)
{
    MX_TRY(compare_plans(job, window, plans, count, kl, err));
    job->passes_done += (double)count;
    for (size_t i = 0; job->options->work && i < count; i++)
        MX_TRY(mx_work_file_add(job->options->work, mx_kv_layers_hash(&plans[i]), window, kl[i], err));
    return MX_OK;
}

static bool was_measured(struct calibrating *job, const struct mx_kv_layers *plan, size_t window, double *kl)
{
    const struct mx_work_file *work = job->options->work;
    return work && mx_work_file_find(work, mx_kv_layers_hash(plan), window, kl);
}

/* What probes are measured together. */
struct group {
    struct probe **probes;
    struct mx_kv_layers *plans;
    double *kl;
    size_t count, size;
};

static mx_status flush(struct calibrating *job, struct group *group, size_t window, struct mx_error *err)
{
    if (group->count == 0) return MX_OK;
    MX_TRY(measure_plans(job, window, group->plans, group->count, group->kl, err));
    for (size_t i = 0; i < group->count; i++) take(group->probes[i], group->kl[i]);
    group->count = 0;
    return MX_OK;
}

/* All probes on one window, but for those that are known well enough. */
static mx_status probe_window(struct calibrating *job, struct group *group, size_t window, struct mx_error *err)
{
    const struct mx_arch *arch = mx_session_arch(job->session);
    for (size_t i = 0; i < job->probe_count; i++) {
        struct probe *probe = &job->probes[i];
        const struct mx_kv_layers plan =
            layers_of(arch, probe->layer, pair_of(arch, probe->layer, probe->which, probe->repr));
        double kl;
        if (probe->done) {
            job->passes_done++;
        } else if (was_measured(job, &plan, window, &kl)) {
            take(probe, kl);
            job->result->found++;
            job->passes_done++;
        } else {
            group->probes[group->count] = probe;
            group->plans[group->count++] = plan;
        }
        if (group->count == group->size) MX_TRY(flush(job, group, window, err));
    }
    return flush(job, group, window, err);
}

/* Window by window, so that a probe whose mean is known well enough runs no more. */
static mx_status measure_probes(struct calibrating *job, struct mx_error *err)
{
    struct group group = {.size = group_size(job)};
    group.probes = calloc(group.size, sizeof(struct probe *));
    group.plans = calloc(group.size, sizeof *group.plans);
    group.kl = calloc(group.size, sizeof *group.kl);
    mx_status status = MX_OK;
    if (!group.probes || !group.plans || !group.kl)
        status = mx_fail_memory(err, "the probes", group.size * sizeof *group.plans);
    for (size_t i = 0; status == MX_OK && i < job->options->probes; i++)
        status = probe_window(job, &group, job->probe_windows[i], err);
    free(group.probes);
    free(group.plans);
    free(group.kl);
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

/* A plan: what it loses by its parts' sum and, once it was measured, whole. */
struct candidate {
    struct mx_kv_layers layers;
    uint64_t bytes;
    double sum, mean, error;
};

/* The best plan by its parts' sum: of at most `most_bytes`, or of at most `most_loss` where that is not negative. */
static mx_status search(struct calibrating *job, uint64_t most_bytes, double most_loss, struct candidate *found,
                        struct mx_error *err)
{
    const struct mx_arch *arch = mx_session_arch(job->session);
    uint32_t choice[MX_ARCH_MAX_LAYERS];
    MX_TRY(mx_plan_search(job->choices, arch->layer_count, PAIRS, most_bytes, most_loss, choice, err));
    *found = (struct candidate){.layers = all_fp16(arch)};
    found->layers.model = mx_model_fingerprint(mx_session_model(job->session));
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        const struct mx_kv_pair pair = {(enum mx_repr)(choice[i] / MX_REPR_COUNT),
                                        (enum mx_repr)(choice[i] % MX_REPR_COUNT)};
        mx_kv_layers_set(&found->layers, i, pair);
        found->sum += job->choices[i * PAIRS + choice[i]].loss;
        found->bytes += job->choices[i * PAIRS + choice[i]].bytes;
    }
    return MX_OK;
}

/* A plan whole, on all windows that may serve its making. */
static mx_status measure_whole(struct calibrating *job, struct candidate *plan, struct mx_error *err)
{
    const size_t count = job->options->refine;
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++) {
        double kl;
        if (was_measured(job, &plan->layers, job->refine_windows[i], &kl))
            job->passes_done++;
        else
            MX_TRY(measure_plans(job, job->refine_windows[i], &plan->layers, 1, &kl, err));
        sum += kl;
        squares += kl * kl;
    }
    const double n = (double)count, mean = sum / n;
    plan->mean = mean;
    plan->error = count > 1 ? sqrt(fmax(0, squares / n - mean * mean) / (n - 1)) : 0;
    return MX_OK;
}

/* Under a bound of bytes the least sum is the least loss whatever the factor between them. Under a bound of loss the
 * factor counts: it is measured on the plan that was found, and another is searched for under the bound that the sum
 * then has, until nothing smaller keeps it. */
static mx_status refine(struct calibrating *job, uint64_t most_bytes, struct candidate *best, struct mx_error *err)
{
    const double most_loss = job->options->most_loss;
    double bound = most_loss;
    bool kept = false;
    MX_TRY(search(job, most_bytes, bound, best, err));
    MX_TRY(measure_whole(job, best, err));
    if (most_loss < 0) return MX_OK;
    struct candidate last = *best;
    kept = best->mean <= most_loss;
    for (int round = 1; round < ROUNDS && last.sum > 0; round++) {
        struct candidate next;
        bound = most_loss * last.sum / last.mean;
        MX_TRY(search(job, most_bytes, bound, &next, err));
        if (mx_kv_layers_hash(&next.layers) == mx_kv_layers_hash(&last.layers)) break;
        job->passes += (double)job->options->refine;
        MX_TRY(measure_whole(job, &next, err));
        const bool keeps = next.mean <= most_loss;
        if (keeps ? !kept || next.bytes < best->bytes : !kept && next.mean < best->mean) *best = next;
        kept |= keeps;
        last = next;
    }
    if (kept) return MX_OK;
    return mx_fail(err, MX_ERR_UNSUPPORTED, "no plan that was tried keeps the bound: the best loses %.3g nats",
                   best->mean);
}

static void fill_losses(struct calibrating *job)
{
    struct mx_calibration *result = job->result;
    for (uint32_t i = 0; i < mx_session_arch(job->session)->layer_count; i++)
        for (int half = 0; half < 2; half++)
            for (int r = 0; r < MX_REPR_COUNT; r++) result->loss[i][half][r] = r == MX_REPR_FP16 ? 0 : NAN;
    for (size_t i = 0; i < job->probe_count; i++) {
        const struct probe *probe = &job->probes[i];
        result->loss[probe->layer][probe->which][probe->repr] = probe->sum / (double)probe->windows;
    }
}

static mx_status find_plan(struct calibrating *job, struct mx_error *err)
{
    const struct mx_arch *arch = mx_session_arch(job->session);
    struct mx_calibration *result = job->result;
    struct candidate best;
    uint64_t most = (uint64_t)(job->options->most_bytes * MX_CALIBRATE_CONTEXT);
    result->loss = calloc(arch->layer_count, sizeof *result->loss);
    job->choices = calloc(arch->layer_count * PAIRS, sizeof *job->choices);
    if (!result->loss || !job->choices)
        return mx_fail_memory(err, "the plan", arch->layer_count * PAIRS * sizeof *job->choices);
    fill_losses(job);
    fill_options(job, job->choices);
    if (most == 0) MX_TRY(mode_bytes(arch, job->options->like, &most, err));
    MX_TRY(refine(job, most, &best, err));
    result->layers = best.layers;
    result->sum_kl = best.sum;
    result->predicted_kl = best.mean;
    result->predicted_kl_se = best.error;
    result->bytes = (double)best.bytes / MX_CALIBRATE_CONTEXT;
    return MX_OK;
}

/* The plan whole, and uniform modes, on the windows that were held out. */
static mx_status check_plan(struct calibrating *job, struct mx_error *err)
{
    const struct mx_calibrate_options *options = job->options;
    struct mx_calibration *result = job->result;
    struct mx_kv_options modes[MX_CALIBRATE_MODES + 1];
    struct mx_comparison compared[MX_CALIBRATE_MODES + 1];
    struct mx_windows held_out = options->windows;
    held_out.chosen = job->check_windows;
    held_out.limit = options->checks;
    modes[0] = plan_options(&result->layers);
    for (size_t i = 0; i < options->mode_count; i++) {
        modes[i + 1] = mx_kv_options_default();
        modes[i + 1].mode = options->modes[i];
        modes[i + 1].force = true;
    }
    const struct mx_compare_options compare = {.windows = held_out, .modes = modes, .count = options->mode_count + 1};
    const struct mx_progress progress = {report, job, job->progress ? job->progress->interrupted : NULL};
    double reference;
    job->share = job->passes - job->passes_done;
    MX_TRY(mx_compare_run(job->session, &compare, &progress, compared, &reference, err));
    result->plan = compared[0];
    memcpy(result->uniform, compared + 1, options->mode_count * sizeof *compared);
    return MX_OK;
}

/* A step through `count` things, prime to it and about two fifths of it: the first few steps are well spread. */
static size_t stride_of(size_t count)
{
    for (size_t stride = (2 * count + 4) / 5;; stride++) {
        size_t a = stride, b = count;
        while (b) {
            const size_t rest = a % b;
            a = b;
            b = rest;
        }
        if (a == 1) return stride;
    }
}

/* Of `all` things in a row, evenly spread, whether thing i is one of `some`. */
static bool is_one_of(size_t i, size_t some, size_t all)
{
    return (i + 1) * some / all > i * some / all;
}

void mx_calibrate_choose(const struct mx_calibrate_options *options, size_t total, size_t *probes, size_t *refine,
                         size_t *checks)
{
    const size_t all = options->refine + options->checks, stride = stride_of(options->probes);
    size_t refine_count = 0, check_count = 0, probe = 0;
    for (size_t i = 0; i < all; i++) {
        const size_t window = i * total / all;
        if (is_one_of(i, options->checks, all))
            checks[check_count++] = window;
        else
            refine[refine_count++] = window;
    }
    for (size_t i = 0; i < options->probes; i++) {
        probes[i] = refine[probe * options->refine / options->probes];
        probe = (probe + stride) % options->probes;
    }
}

uint64_t mx_calibrate_key(const struct mx_session *session, const struct mx_windows *windows)
{
    const uint64_t of[] = {
        mx_model_fingerprint(mx_session_model(session)),
        XXH3_64bits(windows->tokens, windows->count * sizeof *windows->tokens),
        windows->length,
        XXH3_64bits(MLXCEL_VERSION, strlen(MLXCEL_VERSION)),
        (uint64_t)mx_session_cpu(session), /* a level's sums are rounded in their own way */
    };
    return XXH3_64bits(of, sizeof of);
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
    if (options->probes < 1 || options->checks < 1 || options->refine < options->probes)
        return mx_fail(err, MX_ERR_ARGUMENT,
                       "forms are measured on a window at least, the plan on those at least and on one other");
    if (windows >= options->refine + options->checks) return MX_OK;
    return mx_fail(err, MX_ERR_ARGUMENT,
                   "calibration needs %zu windows of %u tokens and a check %zu more, the text has %zu; give a longer "
                   "text, or lower the context",
                   options->refine, options->windows.length, options->checks, windows);
}

static mx_status open_job(struct calibrating *job, struct mx_error *err)
{
    const struct mx_calibrate_options *options = job->options;
    size_t windows;
    MX_TRY(mx_windows_count(&options->windows, &windows, err));
    const size_t needed = options->probes + options->refine + options->checks;
    job->probe_count = job->result->probed = mx_calibrate_probes(mx_session_arch(job->session));
    job->probes = calloc(job->probe_count, sizeof *job->probes);
    job->probe_windows = calloc(needed, sizeof *job->probe_windows);
    if (!job->probes || !job->probe_windows)
        return mx_fail_memory(err, "the probes", job->probe_count * sizeof *job->probes);
    (void)list_probes(mx_session_arch(job->session), job->probes);
    job->refine_windows = job->probe_windows + options->probes;
    job->check_windows = job->refine_windows + options->refine;
    mx_calibrate_choose(options, windows, job->probe_windows, job->refine_windows, job->check_windows);
    job->passes =
        (double)(job->probe_count * options->probes + options->refine + options->checks * (options->mode_count + 1));
    return MX_OK;
}

mx_status mx_calibrate_run(struct mx_session *session, const struct mx_calibrate_options *options,
                           const struct mx_progress *progress, struct mx_calibration *result, struct mx_error *err)
{
    const struct mx_arch *arch = mx_session_arch(session);
    *result = (struct mx_calibration){0};
    MX_TRY(mx_calibrate_check(options, arch, err));
    struct calibrating job = {.session = session, .options = options, .progress = progress, .result = result};
    mx_status status = open_job(&job, err);
    if (status == MX_OK) status = measure_probes(&job, err);
    if (status == MX_OK) status = find_plan(&job, err);
    if (status == MX_OK) status = check_plan(&job, err);
    free(job.probes);
    free(job.probe_windows);
    free(job.choices);
    return status;
}

void mx_calibration_free(struct mx_calibration *result)
{
    free(result->loss);
    result->loss = NULL;
}
