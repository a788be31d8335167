/* mx_seq: opening, copying, keeping; and feeding, which all the rest is built on. */
#include <stdlib.h>
#include <string.h>

#include "advisor/advised.h"
#include "api/handles.h"
#include "api/likelihood.h"
#include "api/sized.h"
#include "base/checked.h"
#include "base/machine.h"
#include "base/units.h"
#include "cache/plan_file.h"
#include "cache/size.h"
#include "engine/identity.h"

struct mx_seq_options mx_seq_options_default(void)
{
    return (struct mx_seq_options){.size = sizeof(struct mx_seq_options), .recent = -1, .sink = -1, .center = -1};
}

/* ---- the memory of a sequence and its forks ---- */

static void leave_family(struct mx_family *family)
{
    if (!family || atomic_fetch_sub(&family->members, 1) > 1) return;
    mx_kv_store_close(family->store);
    mx_kv_plan_close(family->plan);
    free(family);
}

/* Memory for `sequences` full contexts. */
static mx_status open_store(struct mx_kv_store **store, const struct mx_kv_plan *plan, uint64_t sequences,
                            struct mx_error *err)
{
    const struct mx_arch *arch = mx_kv_plan_arch(plan);
    const uint64_t one = mx_cache_bytes(arch, mx_kv_plan_setup(plan), mx_kv_plan_context(plan)) +
                         mx_marked_state_bytes(arch, mx_kv_plan_marks(plan));
    struct mx_kv_store_options options = {.single = sequences == 1};
    if (__builtin_mul_overflow(one, sequences, &options.budget)) {
        return mx_fail(err, MX_ERR_LIMIT, "%llu forks do not fit", (unsigned long long)sequences - 1);
    }
    return mx_kv_store_open(store, plan, &options, err);
}

static mx_status found_family(struct mx_family **out, const struct mx_llm *llm, const struct mx_kv_setup *setup,
                              const struct mx_seq *seq, struct mx_error *err)
{
    struct mx_family *family = calloc(1, sizeof *family);
    if (!family) return mx_fail_memory(err, "a sequence", sizeof *family);
    atomic_init(&family->members, 1);
    const struct mx_kv_plan_options plan = {.setup = *setup,
                                            .key_bias = mx_model_key_bias(llm->model),
                                            .context = seq->limit,
                                            .marks = seq->options.marks,
                                            .cpu = llm->cpu};
    mx_status status = mx_kv_plan_open(&family->plan, mx_model_arch(llm->model), &plan, err);
    if (status == MX_OK) status = open_store(&family->store, family->plan, (uint64_t)seq->options.forks + 1, err);
    if (status != MX_OK) {
        leave_family(family);
        return status;
    }
    *out = family;
    return MX_OK;
}

/* ---- opening ---- */

static mx_status cache_options(struct mx_seq *seq, struct mx_kv_options *kv, struct mx_error *err)
{
    const struct mx_seq_options *options = &seq->options;
    *kv = mx_kv_options_default();
    if (options->marks > MX_MARKS_MOST)
        return mx_fail(err, MX_ERR_ARGUMENT, "marks is %u; at most %d are kept", options->marks, MX_MARKS_MOST);
    if (options->center < -1 || options->center > 1) {
        return mx_fail(err, MX_ERR_ARGUMENT, "center is %d; it takes -1, 0 or 1", options->center);
    }
    kv->recent = options->recent;
    kv->sink = options->sink;
    kv->boundary_v = options->boundary_layers;
    kv->center = options->center < 0 ? MX_CENTER_AUTO : options->center ? MX_CENTER_ON : MX_CENTER_OFF;
    kv->force = options->force_mode;
    seq->requested = NULL;
    const bool advised = mx_is_advised(options->cache_mode);
    if (advised) seq->requested = MX_ADVISED;
    if (options->cache_mode && !advised) MX_TRY(mx_kv_options_take(kv, options->cache_mode, err));
    if (!advised && (kv->mode != MX_MODE_TURBO4 || kv->force)) return MX_OK;
    struct mx_evidence_set evidence = {0};
    mx_status status = mx_evidence_add_shipped(&evidence, err);
    const char *folder = seq->llm->directory;
    if (status == MX_OK)
        status = advised ? mx_take_advice(kv, folder, seq->limit, &evidence, seq->reason, err)
                         : mx_take_evidence(kv, folder, seq->limit, &evidence, seq->reason, err);
    mx_evidence_close(&evidence);
    return status;
}

static mx_status check_memory(const struct mx_seq *seq, const struct mx_kv_setup *setup, struct mx_error *err)
{
    const struct mx_arch *arch = mx_model_arch(seq->llm->model);
    const uint64_t bytes = mx_cache_bytes(arch, setup, mx_round_up((size_t)seq->limit, MX_CONTEXT_STEP)) +
                           mx_marked_state_bytes(arch, seq->options.marks);
    struct mx_machine machine;
    mx_machine_probe(&machine);
    if (seq->options.ignore_memory || !machine.available || bytes <= machine.available) return MX_OK;
    char need[16], have[16];
    return mx_fail(err, MX_ERR_LIMIT,
                   "a context of %llu tokens takes %s of cache in mode %s; %s of memory is available: lower the "
                   "context, or take a smaller mode",
                   (unsigned long long)seq->limit, mx_format_bytes(bytes, need), mx_mode_info(setup->mode)->name,
                   mx_format_bytes(machine.available, have));
}

/* What a sequence holds beside its cache; the family is joined already. */
static mx_status open_rest(struct mx_seq *seq, struct mx_error *err)
{
    MX_TRY(mx_sequence_open(&seq->sequence, seq->own_store ? seq->own_store : seq->family->store, err));
    const uint64_t context = mx_sequence_context(seq->sequence), vocab = mx_model_arch(seq->llm->model)->vocab;
    seq->tokens = malloc(context * sizeof *seq->tokens);
    seq->logits = malloc(vocab * sizeof *seq->logits);
    if (seq->tokens && seq->logits) return MX_OK;
    return mx_fail_memory(err, "a sequence", context * sizeof *seq->tokens + vocab * sizeof *seq->logits);
}

static mx_status open_seq(struct mx_seq *seq, struct mx_error *err)
{
    const struct mx_arch *arch = mx_model_arch(seq->llm->model);
    seq->limit = seq->options.context ? seq->options.context : mx_arch_default_context(arch);
    if (seq->limit > MX_ARCH_MAX_CONTEXT) {
        return mx_fail(err, MX_ERR_ARGUMENT, "a context of %llu tokens; at most %llu are possible",
                       (unsigned long long)seq->limit, (unsigned long long)MX_ARCH_MAX_CONTEXT);
    }
    struct mx_kv_options kv;
    struct mx_kv_setup setup;
    MX_TRY(cache_options(seq, &kv, err));
    MX_TRY(mx_kv_layers_check(&kv, mx_model_fingerprint(seq->llm->model), err));
    MX_TRY(mx_kv_resolve(&setup, &kv, arch, err));
    MX_TRY(check_memory(seq, &setup, err));
    if (!seq->requested) seq->requested = mx_mode_info(setup.requested)->name;
    if (!seq->reason[0]) memcpy(seq->reason, setup.reason, sizeof setup.reason);
    MX_TRY(found_family(&seq->family, seq->llm, &setup, seq, err));
    return open_rest(seq, err);
}

mx_status mx_seq_open(struct mx_seq **out, struct mx_llm *llm, const struct mx_seq_options *given, struct mx_error *err)
{
    *out = NULL;
    struct mx_seq_options options = mx_seq_options_default();
    if (given) MX_TRY(mx_take_sized(&options, sizeof options, given, "mx_seq_options", err));
    struct mx_seq *seq = calloc(1, sizeof *seq);
    if (!seq) return mx_fail_memory(err, "a sequence", sizeof *seq);
    seq->llm = llm;
    seq->options = options;
    const mx_status status = open_seq(seq, err);
    seq->options.cache_mode = NULL;
    if (status != MX_OK) {
        mx_seq_close(seq);
        return status;
    }
    *out = seq;
    return MX_OK;
}

void mx_seq_close(struct mx_seq *seq)
{
    if (!seq) return;
    mx_sequence_close(seq->sequence);
    mx_kv_store_close(seq->own_store);
    leave_family(seq->family);
    mx_sampler_close(seq->sampler);
    free(seq->tokens);
    free(seq->logits);
    free(seq);
}

/* ---- what it is ---- */

mx_status mx_seq_facts(const struct mx_seq *seq, struct mx_seq_facts *facts, struct mx_error *err)
{
    MX_TRY(mx_check_sized(facts, "mx_seq_facts", err));
    const struct mx_arch *arch = mx_model_arch(seq->llm->model);
    const struct mx_kv_setup *setup = mx_sequence_setup(seq->sequence);
    struct mx_seq_facts own = {
        .cache_mode = mx_mode_info(setup->mode)->name,
        .requested_mode = seq->requested,
        .applied_layers = setup->applied_layers,
        .cache_layers = setup->cache_layers,
        .recent = setup->recent,
        .sink = setup->sink,
        .context = seq->limit,
        .length = seq->count,
        .bytes = mx_sequence_bytes(seq->sequence),
        .full_bytes = mx_cache_bytes(arch, setup, mx_sequence_context(seq->sequence)) +
                      mx_marked_state_bytes(arch, seq->options.marks),
    };
    memcpy(own.reason, seq->reason, sizeof own.reason);
    mx_give_sized(facts, &own, sizeof own);
    return MX_OK;
}

const int32_t *mx_seq_tokens(const struct mx_seq *seq, size_t *count)
{
    *count = seq->count;
    return seq->tokens;
}

float *mx_seq_logits(struct mx_seq *seq)
{
    return seq->has_logits ? seq->logits : NULL;
}

void mx_seq_cancel(struct mx_seq *seq)
{
    atomic_store(&seq->cancelled, true);
}

/* ---- another length, another copy, another time ---- */

uint64_t mx_seq_cut(struct mx_seq *seq, uint64_t length)
{
    if (length >= seq->count) return seq->count;
    const uint64_t nearest = mx_sequence_nearest(seq->sequence, length);
    if (mx_sequence_truncate(seq->sequence, nearest, NULL) != MX_OK) mx_sequence_clear(seq->sequence);
    seq->count = mx_sequence_length(seq->sequence);
    seq->has_logits = false;
    return seq->count;
}

static mx_status fork_into(struct mx_seq *fork, const struct mx_seq *seq, struct mx_error *err)
{
    fork->family = seq->family;
    atomic_fetch_add(&fork->family->members, 1);
    if (!seq->options.forks) MX_TRY(open_store(&fork->own_store, seq->family->plan, 1, err));
    MX_TRY(open_rest(fork, err));
    MX_TRY(mx_sequence_fork(fork->sequence, seq->sequence, seq->count, err));
    memcpy(fork->tokens, seq->tokens, seq->count * sizeof *seq->tokens);
    fork->count = seq->count;
    fork->has_logits = seq->has_logits;
    if (seq->has_logits) {
        memcpy(fork->logits, seq->logits, mx_model_arch(seq->llm->model)->vocab * sizeof *seq->logits);
    }
    return MX_OK;
}

mx_status mx_seq_fork(struct mx_seq **out, const struct mx_seq *seq, struct mx_error *err)
{
    *out = NULL;
    struct mx_seq *fork = calloc(1, sizeof *fork);
    if (!fork) return mx_fail_memory(err, "a fork", sizeof *fork);
    fork->llm = seq->llm;
    fork->options = seq->options;
    fork->requested = seq->requested;
    fork->limit = seq->limit;
    memcpy(fork->reason, seq->reason, sizeof fork->reason);
    const mx_status status = fork_into(fork, seq, err);
    if (status != MX_OK) {
        mx_seq_close(fork);
        return status;
    }
    *out = fork;
    return MX_OK;
}

/* What the model's saved sequences belong to. */
static mx_status identity(struct mx_llm *llm, uint64_t *belongs, struct mx_error *err)
{
    pthread_mutex_lock(&llm->compute);
    const mx_status status = mx_saved_identity(llm->model, llm->directory, llm->pool, belongs, err);
    pthread_mutex_unlock(&llm->compute);
    return status;
}

mx_status mx_seq_save(const struct mx_seq *seq, const char *path, struct mx_error *err)
{
    uint64_t belongs;
    MX_TRY(identity(seq->llm, &belongs, err));
    return mx_sequence_save(seq->sequence, path, belongs, seq->tokens, err);
}

mx_status mx_seq_load(struct mx_seq *seq, const char *path, struct mx_error *err)
{
    int32_t *tokens = NULL;
    uint64_t belongs = 0;
    seq->count = 0;
    seq->has_logits = false;
    mx_sequence_clear(seq->sequence);
    MX_TRY(identity(seq->llm, &belongs, err));
    MX_TRY(mx_sequence_load(seq->sequence, path, belongs, &tokens, err));
    const uint64_t length = mx_sequence_length(seq->sequence);
    if (length > seq->limit) {
        free(tokens);
        mx_sequence_clear(seq->sequence);
        return mx_fail(err, MX_ERR_LIMIT, "%s: holds %llu tokens, the context %llu; raise the context", path,
                       (unsigned long long)length, (unsigned long long)seq->limit);
    }
    memcpy(seq->tokens, tokens, length * sizeof *tokens);
    seq->count = length;
    free(tokens);
    return MX_OK;
}

/* ---- feeding ---- */

/* Takes the logits of one chunk: scores the tokens that follow, keeps the last row. */
struct taking {
    struct mx_seq *seq;
    const struct mx_feeding *feeding;
    size_t first; /* of the chunk's tokens among all */
};

static void take_logits(void *context, size_t segment, size_t token, size_t count, float *logits)
{
    (void)segment;
    const struct taking *taking = context;
    const struct mx_feeding *feeding = taking->feeding;
    const size_t vocab = mx_model_arch(taking->seq->llm->model)->vocab;
    for (size_t row = 0; row < count; row++) {
        const size_t at = taking->first + token + row;
        const float *values = logits + row * vocab;
        if (feeding->scores) {
            const int32_t target = at + 1 < feeding->n ? feeding->tokens[at + 1] : feeding->next;
            feeding->scores[at] = target >= 0 ? mx_log_probability(values, vocab, target) : 0;
        }
        if (at + 1 == feeding->n) memcpy(taking->seq->logits, values, vocab * sizeof *values);
    }
}

mx_status mx_seq_run(struct mx_seq *seq, const struct mx_feeding *feeding, struct mx_error *err)
{
    if (feeding->n == 0) return mx_fail(err, MX_ERR_ARGUMENT, "no tokens were given");
    if (feeding->n > seq->limit - seq->count) {
        return mx_fail(err, MX_ERR_LIMIT, "%zu more tokens after %zu do not fit the context of %llu; raise the context",
                       feeding->n, seq->count, (unsigned long long)seq->limit);
    }
    const uint64_t text = seq->count + feeding->n;
    seq->has_logits = false;
    if (!feeding->decoded) mx_sequence_mark(seq->sequence);
    for (size_t done = 0; done < feeding->n;) {
        if (atomic_load(&seq->cancelled)) return mx_fail(err, MX_ERR_INTERRUPTED, "interrupted");
        const size_t part = mx_min(feeding->n - done, MX_MODEL_CHUNK);
        const bool last = done + part == feeding->n;
        const struct mx_segment segment = {
            .sequence = seq->sequence,
            .tokens = feeding->tokens + done,
            .n = part,
            .logits = feeding->scores ? part : last && feeding->want_logits,
            .decode = feeding->decoded,
            .text = text,
        };
        struct taking taking = {seq, feeding, done};
        const struct mx_logits_sink sink = {take_logits, &taking};
        pthread_mutex_lock(&seq->llm->compute);
        const mx_status status = mx_model_forward(seq->llm->model, seq->llm->workspace, &segment, 1, &sink, NULL, err);
        pthread_mutex_unlock(&seq->llm->compute);
        const uint64_t length = mx_sequence_length(seq->sequence);
        if (length > seq->count) {
            memcpy(seq->tokens + seq->count, segment.tokens, (length - seq->count) * sizeof *segment.tokens);
        }
        seq->count = length;
        if (status != MX_OK) return status;
        done += part;
        if (feeding->on_progress &&
            !feeding->on_progress(feeding->context, "prefill", (double)done / (double)feeding->n)) {
            atomic_store(&seq->cancelled, true);
        }
    }
    if (!feeding->decoded) mx_sequence_mark(seq->sequence);
    seq->has_logits = feeding->want_logits || feeding->scores;
    return MX_OK;
}

mx_status mx_seq_feed(struct mx_seq *seq, const int32_t *tokens, size_t n, bool decoded, struct mx_error *err)
{
    atomic_store(&seq->cancelled, false);
    return mx_seq_run(
        seq, &(struct mx_feeding){.tokens = tokens, .n = n, .decoded = decoded, .want_logits = true, .next = -1}, err);
}

mx_status mx_seq_score(struct mx_seq *seq, const int32_t *tokens, size_t n, double *scores, struct mx_error *err)
{
    const size_t vocab = mx_model_arch(seq->llm->model)->vocab;
    atomic_store(&seq->cancelled, false);
    if (n == 0) return mx_fail(err, MX_ERR_ARGUMENT, "no tokens were given");
    const bool known = seq->has_logits && tokens[0] >= 0 && (size_t)tokens[0] < vocab;
    const double first = known ? mx_log_probability(seq->logits, vocab, tokens[0]) : 0;
    double *following = malloc(n * sizeof *following);
    if (!following) return mx_fail_memory(err, "scores", n * sizeof *following);
    const struct mx_feeding feeding = {.tokens = tokens, .n = n, .scores = following, .next = -1};
    const mx_status status = mx_seq_run(seq, &feeding, err);
    if (status == MX_OK) {
        scores[0] = first;
        memcpy(scores + 1, following, (n - 1) * sizeof *scores);
    }
    free(following);
    return status;
}
