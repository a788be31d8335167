/* Puts the parts of advise.h together. */
#include "advisor/advise.h"

#include "model/model.h"

/* What the engine's workspace takes for a prefill chunk, one row of logits for each sequence. */
static uint64_t activation_bytes(const struct mx_arch *arch, const struct mx_advise_request *request)
{
    const uint32_t rows = request->batch < MX_MODEL_CHUNK ? request->batch : MX_MODEL_CHUNK;
    const int threads = request->threads ? request->threads : mx_machine_threads(request->machine);
    return mx_workspace_bytes(arch, MX_MODEL_CHUNK, rows, threads);
}

static struct mx_kv_advice_request kv_request(const struct mx_model_advice *advice,
                                              const struct mx_advise_request *request, char storage[96])
{
    return (struct mx_kv_advice_request){.evidence = request->evidence,
                                         .machine = request->machine->cpu,
                                         .name = advice->subject.name,
                                         .parameters = advice->subject.count,
                                         .weights = mx_subject_storage(&advice->subject, storage),
                                         .rules = request->rules,
                                         .bar = request->bar,
                                         .prefer_memory = request->prefer_memory};
}

static mx_status check(struct mx_model_advice *advice, const struct mx_advise_request *request, struct mx_error *err)
{
    const struct mx_arch *arch = &advice->subject.arch;
    if (request->batch < 1) return mx_fail(err, MX_ERR_ARGUMENT, "a batch of 0: give at least 1");
    advice->request = (struct mx_estimate_request){
        .context = request->context ? request->context : mx_arch_default_context(arch),
        .batch = request->batch,
        .kv = request->kv,
        .available = request->budget ? request->budget : request->machine->available,
        .activations = activation_bytes(arch, request),
    };
    char storage[96];
    struct mx_mode_evidence found;
    const struct mx_kv_advice_request kv = kv_request(advice, request, storage);
    struct mx_kv_options *options = &advice->request.kv;
    if (options->proof == MX_PROOF_NONE)
        options->proof = mx_turbo4_proof(options, advice->request.context, arch, &kv, &found);
    MX_TRY(mx_estimate(&advice->estimate, &advice->subject, &advice->request, err));
    return mx_estimate_remedy(&advice->remedy, &advice->subject, &advice->request, err);
}

static mx_status advise(struct mx_model_advice *advice, const struct mx_advise_request *request, struct mx_error *err)
{
    MX_TRY(check(advice, request, err));
    const struct mx_weights_request weights = {
        .estimate = advice->request, .bandwidth = request->bandwidth, .machine = request->machine};
    MX_TRY(mx_weights_advise(&advice->weights, &advice->subject, &weights, err));
    char storage[96];
    const struct mx_kv_advice_request kv = kv_request(advice, request, storage);
    MX_TRY(mx_kv_advise(&advice->kv, &advice->subject.arch, &kv, err));
    advice->plan = mx_plan_evidence(&advice->subject.arch, &kv, &advice->plan_evidence);
    for (int range = 0; range < MX_RANGE_COUNT; range++) { /* beyond the model's own context only where asked for */
        struct mx_kv_advice_line *line = &advice->kv.lines[range];
        const bool asked = request->context && mx_range_of(request->context) == (enum mx_range)range;
        line->shown = advice->subject.arch.kind == MX_KIND_DECODER && (line->reachable || asked);
    }
    if (advice->subject.gguf) mx_llama_cpp_caches(advice->llama_cpp, &advice->subject.arch, advice->request.context);
    return mx_page_fill(advice->page, &advice->subject, &advice->request, &kv, err);
}

typedef mx_status part(struct mx_model_advice *advice, const struct mx_advise_request *request, struct mx_error *err);

static mx_status compose(struct mx_model_advice *advice, const char *path, const struct mx_advise_request *request,
                         part *fill, struct mx_error *err)
{
    *advice = (struct mx_model_advice){0};
    MX_TRY(mx_subject_open(&advice->subject, path, err));
    const mx_status status = fill(advice, request, err);
    if (status != MX_OK) mx_model_advice_close(advice);
    return status;
}

mx_status mx_model_advise(struct mx_model_advice *advice, const char *path, const struct mx_advise_request *request,
                          struct mx_error *err)
{
    return compose(advice, path, request, advise, err);
}

mx_status mx_model_check(struct mx_model_advice *advice, const char *path, const struct mx_advise_request *request,
                         struct mx_error *err)
{
    return compose(advice, path, request, check, err);
}

void mx_model_advice_close(struct mx_model_advice *advice)
{
    mx_subject_close(&advice->subject);
}
