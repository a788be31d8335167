/* mx_llm: a model with its tokenizer, its threads and the one workspace in which its sequences compute. */
#include <stdlib.h>

#include "api/handles.h"
#include "api/sized.h"
#include "base/machine.h"
#include "base/str.h"
#include "checkpoint/place.h"

struct mx_llm_options mx_llm_options_default(void)
{
    return (struct mx_llm_options){.size = sizeof(struct mx_llm_options)};
}

/* The program's callback ends work by what it returns; the engine's by a flag. */
struct relay {
    const struct mx_llm_options *options;
    atomic_bool stop;
};

static void relay_progress(void *context, const char *what, double done)
{
    struct relay *relay = context;
    const struct mx_llm_options *options = relay->options;
    if (options->on_progress && !options->on_progress(options->context, what, done)) atomic_store(&relay->stop, true);
}

static mx_status open_parts(struct mx_llm *llm, const char *directory, const struct mx_llm_options *options,
                            struct mx_error *err)
{
    int threads = options->threads;
    if (threads == 0) {
        struct mx_machine machine;
        mx_machine_probe(&machine);
        threads = mx_machine_threads(&machine);
    }
    MX_TRY(mx_place_folder(&llm->directory, directory, err));
    directory = llm->directory;
    MX_TRY(mx_pool_open(&llm->pool, threads, err));
    struct relay relay = {.options = options};
    const struct mx_progress progress = {relay_progress, &relay, &relay.stop};
    MX_TRY(mx_model_open(&llm->model, directory, &progress, err));
    if (!mx_tokenizer_file(directory)) return mx_fail(err, MX_ERR_IO, "%s: has no tokenizer", directory);
    MX_TRY(mx_tokenizer_open(&llm->tokenizer, directory, err));
    MX_TRY(mx_chat_open(&llm->chat, directory, llm->tokenizer, err));
    const struct mx_arch *arch = mx_model_arch(llm->model);
    const struct mx_workspace_options workspace = {
        .chunk = MX_MODEL_CHUNK, .rows = mx_workspace_rows(arch, MX_MODEL_CHUNK), .cpu = llm->cpu, .pool = llm->pool};
    MX_TRY(mx_workspace_open(&llm->workspace, arch, &workspace, err));
    if (atomic_load(&relay.stop)) return mx_fail(err, MX_ERR_INTERRUPTED, "loading: interrupted");
    return MX_OK;
}

mx_status mx_llm_open(struct mx_llm **out, const char *directory, const struct mx_llm_options *given,
                      struct mx_error *err)
{
    *out = NULL;
    struct mx_llm_options options = mx_llm_options_default();
    if (given) MX_TRY(mx_take_sized(&options, sizeof options, given, "mx_llm_options", err));
    struct mx_llm *llm = calloc(1, sizeof *llm);
    if (!llm) return mx_fail_memory(err, "a model's handle", sizeof *llm);
    llm->cpu = mx_cpu_detect();
    pthread_mutex_init(&llm->compute, NULL);
    const mx_status status = open_parts(llm, directory, &options, err);
    if (status != MX_OK) {
        mx_llm_close(llm);
        return status;
    }
    *out = llm;
    return MX_OK;
}

void mx_llm_close(struct mx_llm *llm)
{
    if (!llm) return;
    mx_workspace_close(llm->workspace);
    mx_chat_close(llm->chat);
    mx_tokenizer_close(llm->tokenizer);
    mx_model_close(llm->model);
    mx_pool_close(llm->pool);
    pthread_mutex_destroy(&llm->compute);
    free(llm->directory);
    free(llm);
}

mx_status mx_llm_facts(const struct mx_llm *llm, struct mx_llm_facts *facts, struct mx_error *err)
{
    MX_TRY(mx_check_sized(facts, "mx_llm_facts", err));
    const struct mx_arch *arch = mx_model_arch(llm->model);
    const struct mx_llm_facts own = {
        .model_type = arch->model_type,
        .class_name = mx_class_name(arch->class_),
        .layers = arch->layer_count,
        .hidden = arch->hidden,
        .vocabulary = arch->vocab,
        .max_context = arch->max_context,
        .weight_bytes = mx_checkpoint_mapped_bytes(mx_model_checkpoint(llm->model)),
        .step_bytes = mx_model_step_bytes(llm->model),
        .fingerprint = mx_model_fingerprint(llm->model),
        .threads = mx_pool_threads(llm->pool),
        .has_chat_template = mx_chat_has_template(llm->chat),
    };
    mx_give_sized(facts, &own, sizeof own);
    return MX_OK;
}
