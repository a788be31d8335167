/* JSON of `recommend` and `inspect`: the schema is docs/json.md, and tests/cli checks it. Figures that are not known
 * are null. */
#include "advisor/serving.h"
#include "cache/size.h"
#include "cli/advise.h"
#include "cli/output.h"

enum { SCHEMA = 1 };

/* cJSON reports memory that ran out by NULL, and each of its functions accepts NULL: the printer sees a NULL root. */
static void add_bytes(cJSON *object, const char *key, uint64_t bytes, bool known)
{
    if (known)
        cJSON_AddNumberToObject(object, key, (double)bytes);
    else
        cJSON_AddNullToObject(object, key);
}

static void add_rate(cJSON *object, const char *key, double rate)
{
    if (rate > 0)
        cJSON_AddNumberToObject(object, key, (double)(int64_t)(rate * 1000 + 0.5) / 1000);
    else
        cJSON_AddNullToObject(object, key);
}

static void add_figure(cJSON *object, const char *key, double figure)
{
    if (figure != MX_NOT_MEASURED)
        cJSON_AddNumberToObject(object, key, figure);
    else
        cJSON_AddNullToObject(object, key);
}

static void add_fit(cJSON *object, const char *key, enum mx_fit fit)
{
    if (fit == MX_FIT_UNKNOWN)
        cJSON_AddNullToObject(object, key);
    else
        cJSON_AddBoolToObject(object, key, fit == MX_FIT_YES);
}

static const char *mode_name(enum mx_mode mode)
{
    return mx_mode_info(mode)->name;
}

/* The JSON names of figures that fields which nobody read may change. */
static void add_uncertain(cJSON *root, unsigned uncertain)
{
    static const struct {
        enum mx_uncertain figure;
        const char *names[5];
    } figures[] = {
        {MX_UNCERTAIN_CACHE,
         {"cache.elements", "cache.bytes", "cache.marginal_bytes_per_token", "memory.cache", "modes"}},
        {MX_UNCERTAIN_PARAMETERS, {"parameters.total", "parameters.active", "memory.weights"}},
        {MX_UNCERTAIN_CONTEXT, {"model_context"}},
    };
    cJSON *list = cJSON_AddArrayToObject(root, "uncertain");
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        for (int k = 0; (uncertain & figures[i].figure) && k < 5 && figures[i].names[k]; k++)
            cJSON_AddItemToArray(list, cJSON_CreateString(figures[i].names[k]));
}

/* What both commands begin with. */
static cJSON *start(const struct mx_adviser *adviser, const struct mx_model_advice *model)
{
    const struct mx_subject *subject = &model->subject;
    const struct mx_arch *arch = &subject->arch;
    cJSON *root = cJSON_CreateObject();
    cJSON_AddNumberToObject(root, "schema", SCHEMA);
    cJSON_AddStringToObject(root, "model", subject->name);
    cJSON_AddStringToObject(root, "model_type", arch->model_type);
    if (arch->outer_type[0])
        cJSON_AddStringToObject(root, "outer_type", arch->outer_type);
    else
        cJSON_AddNullToObject(root, "outer_type");
    cJSON_AddStringToObject(root, "kind", mx_kind_name(arch->kind));
    if (arch->kind == MX_KIND_DECODER && arch->class_ != MX_CLASS_OTHER)
        cJSON_AddStringToObject(root, "class", mx_class_name(arch->class_));
    else
        cJSON_AddNullToObject(root, "class");
    cJSON_AddBoolToObject(root, "known", arch->known);
    cJSON_AddBoolToObject(root, "runnable", arch->runnable);
    if (!arch->runnable) cJSON_AddStringToObject(root, "not_runnable", arch->not_runnable);
    cJSON_AddNumberToObject(root, "model_context", arch->max_context);
    cJSON_AddNumberToObject(root, "context", (double)model->request.context);
    cJSON_AddNumberToObject(root, "batch", model->request.batch);
    cJSON *parameters = cJSON_AddObjectToObject(root, "parameters");
    const bool counted = subject->parameters.total > 0;
    add_bytes(parameters, "total", subject->parameters.total, counted);
    add_bytes(parameters, "active", subject->parameters.active, counted);
    cJSON_AddBoolToObject(parameters, "complete", subject->parameters.complete);
    cJSON *unread = cJSON_AddArrayToObject(root, "unread_fields");
    for (uint32_t i = 0; i < arch->unread_count; i++) cJSON_AddItemToArray(unread, cJSON_CreateString(arch->unread[i]));
    add_uncertain(root, arch->uncertain);
    cJSON *notes = cJSON_AddArrayToObject(root, "notes");
    for (int i = 0; i < subject->note_count; i++) cJSON_AddItemToArray(notes, cJSON_CreateString(subject->notes[i]));
    const struct mx_machine *machine = &adviser->machine;
    cJSON *object = cJSON_AddObjectToObject(root, "machine");
    cJSON_AddStringToObject(object, "cpu", machine->cpu);
    cJSON_AddNumberToObject(object, "cores", machine->cores);
    char isa[128];
    cJSON_AddStringToObject(object, "instruction_sets", mx_isa_text(machine->isa, isa));
    add_bytes(object, "memory_total", machine->memory_total, machine->memory_total > 0);
    add_bytes(object, "memory_available", machine->available, machine->available > 0);
    cJSON_AddStringToObject(object, "memory_source", machine->memory_source);
    add_bytes(object, "read_bandwidth", (uint64_t)adviser->bandwidth.bytes_per_second,
              adviser->bandwidth.bytes_per_second > 0);
    return root;
}

static void add_memory(cJSON *root, const struct mx_model_advice *model)
{
    const struct mx_estimate *estimate = &model->estimate;
    const bool known = estimate->weights > 0;
    char text[256];
    cJSON *memory = cJSON_AddObjectToObject(root, "memory");
    add_bytes(memory, "weights", estimate->weights, known);
    cJSON_AddStringToObject(memory, "weights_basis", mx_basis_name(model->subject.basis));
    cJSON_AddStringToObject(memory, "weights_from", model->subject.weights_from);
    add_bytes(memory, "cache", estimate->cache, true);
    add_bytes(memory, "state", estimate->state, true);
    add_bytes(memory, "activations", estimate->activations, true);
    add_bytes(memory, "overhead", estimate->overhead, true);
    add_bytes(memory, "total", estimate->total, known);
    add_bytes(memory, "available", estimate->available, estimate->available > 0);
    add_fit(memory, "fits", estimate->fits);
    if (estimate->fits == MX_FIT_NO) {
        add_bytes(memory, "missing", estimate->missing, true);
        cJSON_AddStringToObject(memory, "way_out", mx_remedy_text(&model->remedy, text));
    }
}

/* Only for a .gguf. */
static void add_llama_cpp(cJSON *root, const struct mx_model_advice *model)
{
    if (!model->subject.gguf) return;
    cJSON *list = cJSON_AddArrayToObject(root, "llama_cpp");
    for (int i = 0; i < MX_LLAMA_CPP_CACHES; i++) {
        const struct mx_llama_cpp_cache *one = &model->llama_cpp[i];
        cJSON *object = cJSON_CreateObject();
        cJSON_AddItemToArray(list, object);
        cJSON_AddStringToObject(object, "type_k", one->type_k);
        cJSON_AddStringToObject(object, "type_v", one->type_v);
        cJSON_AddStringToObject(object, "like", mode_name(one->like));
        add_bytes(object, "cache", one->bytes, one->possible);
        add_bytes(object, "bytes_per_token", one->bytes_per_token, one->possible);
    }
}

/* Who was measured, where and when. */
static void add_source(cJSON *object, const struct mx_evidence *evidence, enum mx_kin kin)
{
    cJSON_AddStringToObject(object, "model", evidence->model.name);
    cJSON_AddStringToObject(object, "machine", evidence->machine);
    cJSON_AddStringToObject(object, "date", evidence->date);
    cJSON_AddStringToObject(object, "file", evidence->file);
    cJSON_AddBoolToObject(object, "kin", kin == MX_KIN_LIKE);
}

static void add_evidence(cJSON *object, const struct mx_mode_evidence *found)
{
    if (!found->evidence) {
        cJSON_AddNullToObject(object, "measured");
        return;
    }
    cJSON *measured = cJSON_AddObjectToObject(object, "measured");
    const struct mx_evidence_cell *quality = found->quality, *speed = found->speed;
    add_figure(measured, "decode_ratio", speed ? speed->decode_ratio : MX_NOT_MEASURED);
    add_bytes(measured, "decode_context", speed ? speed->context : 0, speed != NULL);
    add_figure(measured, "kl_mean", quality ? quality->kl : MX_NOT_MEASURED);
    add_figure(measured, "top1", quality ? quality->top1 : MX_NOT_MEASURED);
    add_figure(measured, "perplexity_change", quality ? quality->perplexity_change : MX_NOT_MEASURED);
    add_figure(measured, "retrieval", quality ? quality->retrieval : MX_NOT_MEASURED);
    if (quality)
        cJSON_AddStringToObject(measured, "grade", mx_grade_name(quality->grade));
    else
        cJSON_AddNullToObject(measured, "grade");
    add_bytes(measured, "quality_context", quality ? quality->context : 0, quality != NULL);
    add_source(measured, found->evidence, found->kin);
}

/* The page: one object per mode. */
static void add_page(cJSON *root, const struct mx_model_advice *model)
{
    char command[700];
    cJSON *page = cJSON_AddArrayToObject(root, "page");
    for (int mode = 0; mode < MX_MODE_COUNT; mode++) {
        const struct mx_page_row *row = &model->page[mode];
        const struct mx_estimate *estimate = &row->estimate;
        cJSON *object = cJSON_CreateObject();
        cJSON_AddItemToArray(page, object);
        cJSON_AddStringToObject(object, "mode", mode_name((enum mx_mode)mode));
        cJSON_AddStringToObject(object, "runs_as", mode_name(estimate->setup.mode));
        cJSON_AddStringToObject(object, "why", estimate->setup.reason);
        add_bytes(object, "bytes_per_token", estimate->marginal, true);
        add_bytes(object, "cache", estimate->cache, true);
        add_bytes(object, "total", estimate->total, estimate->weights > 0);
        add_fit(object, "fits", estimate->fits);
        add_bytes(object, "max_context", estimate->max_context, estimate->max_context_known);
        add_bytes(object, "pays_from", row->pays_from, row->pays_from > 0);
        add_rate(object, "decode_bound_ratio", row->speed_up);
        add_evidence(object, &row->evidence);
        if (model->subject.arch.runnable)
            cJSON_AddStringToObject(object, "command",
                                    mx_try_command(model, (enum mx_mode)mode, command, sizeof command));
        else
            cJSON_AddNullToObject(object, "command");
    }
}

cJSON *mx_inspect_json(const struct mx_adviser *adviser, const struct mx_model_advice *model)
{
    const struct mx_estimate *estimate = &model->estimate;
    const struct mx_kv_setup *setup = &estimate->setup;
    const struct mx_arch *arch = &model->subject.arch;
    char text[256];
    cJSON *root = start(adviser, model);
    cJSON_AddStringToObject(root, "layers", mx_layers_text(arch, text));
    cJSON *cache = cJSON_AddObjectToObject(root, "cache");
    cJSON_AddStringToObject(cache, "mode", mode_name(setup->mode));
    cJSON_AddStringToObject(cache, "requested_mode", mode_name(setup->requested));
    cJSON_AddStringToObject(cache, "why", setup->reason);
    add_bytes(cache, "elements", mx_arch_cache_elements(arch, model->request.context), true);
    add_bytes(cache, "state_elements", mx_arch_state_elements(arch), true);
    add_bytes(cache, "bytes", estimate->cache, true);
    add_bytes(cache, "marginal_bytes_per_token", estimate->marginal, true);
    cJSON_AddNumberToObject(cache, "applied_layers", setup->applied_layers);
    cJSON_AddNumberToObject(cache, "cache_layers", setup->cache_layers);
    cJSON *modes = cJSON_AddObjectToObject(root, "modes");
    for (int mode = 0; mode < MX_MODE_COUNT; mode++)
        add_bytes(modes, mode_name((enum mx_mode)mode), model->page[mode].estimate.cache, true);
    add_memory(root, model);
    cJSON *largest = cJSON_AddObjectToObject(root, "max_context");
    for (int mode = 0; mode < MX_MODE_COUNT; mode++)
        add_bytes(largest, mode_name((enum mx_mode)mode), model->page[mode].estimate.max_context,
                  model->page[mode].estimate.max_context_known);
    add_page(root, model);
    add_llama_cpp(root, model);
    return root;
}

static void add_line(cJSON *list, const struct mx_kv_advice_line *line, enum mx_range range)
{
    const struct mx_range_info *info = mx_range_info(range);
    cJSON *object = cJSON_CreateObject();
    cJSON_AddItemToArray(list, object);
    cJSON_AddStringToObject(object, "range", info->name);
    cJSON_AddNumberToObject(object, "from", (double)info->from);
    cJSON_AddNumberToObject(object, "to", (double)line->end);
    cJSON_AddStringToObject(object, "suggested", mode_name(line->suggested));
    cJSON *alternatives = cJSON_AddArrayToObject(object, "alternatives");
    for (int i = 0; i < line->alternative_count; i++)
        cJSON_AddItemToArray(alternatives, cJSON_CreateString(mode_name(line->alternatives[i])));
    cJSON_AddStringToObject(object, "reason", line->reason);
    cJSON_AddStringToObject(object, "basis", line->from_evidence ? "evidence" : "rules");
    cJSON_AddBoolToObject(object, "from_evidence", line->from_evidence);
    if (line->from_evidence)
        add_source(cJSON_AddObjectToObject(object, "evidence"), line->evidence, line->kin);
    else
        cJSON_AddNullToObject(object, "evidence");
    if (line->cell)
        cJSON_AddStringToObject(object, "grade", mx_grade_name(line->cell->grade));
    else
        cJSON_AddNullToObject(object, "grade");
    add_figure(object, "kl_mean", line->cell ? line->cell->kl : MX_NOT_MEASURED);
    add_figure(object, "decode_ratio", line->speed ? line->speed->decode_ratio : MX_NOT_MEASURED);
    add_bytes(object, "bytes_saved", line->bytes_saved, true);
    cJSON_AddBoolToObject(object, "reachable", line->reachable);
}

static void add_weights(cJSON *root, const struct mx_model_advice *model)
{
    const struct mx_weights_advice *advice = &model->weights;
    const bool known = model->subject.basis != MX_BASIS_UNKNOWN;
    char text[96];
    cJSON *weights = cJSON_AddObjectToObject(root, "weights");
    if (advice->recommended < 0)
        cJSON_AddNullToObject(weights, "recommended");
    else
        cJSON_AddStringToObject(weights, "recommended", advice->candidates[advice->recommended].name);
    cJSON_AddStringToObject(weights, "reason", advice->reason);
    add_bytes(weights, "bytes", model->subject.weights, known);
    cJSON_AddStringToObject(weights, "basis", mx_basis_name(model->subject.basis));
    cJSON_AddStringToObject(weights, "storage", mx_subject_storage(&model->subject, text));
    cJSON *list = cJSON_AddArrayToObject(weights, "candidates");
    for (int i = 0; known && i < advice->count; i++) {
        const struct mx_weight_candidate *one = &advice->candidates[i];
        cJSON *object = cJSON_CreateObject();
        cJSON_AddItemToArray(list, object);
        cJSON_AddStringToObject(object, "name", one->name);
        cJSON_AddNumberToObject(object, "bits", one->bits);
        add_bytes(object, "bytes", one->bytes, true);
        cJSON_AddBoolToObject(object, "exact", one->exact);
        cJSON_AddBoolToObject(object, "needs_original", one->needs_original);
        add_bytes(object, "total", one->total, true);
        add_fit(object, "fits", one->fits);
        add_rate(object, "decode_bound_tok_s", one->bound);
        add_rate(object, "decode_bound_at_context_tok_s", one->bound_far);
    }
    cJSON *warnings = cJSON_AddArrayToObject(weights, "warnings");
    for (int i = 0; i < advice->warning_count; i++)
        cJSON_AddItemToArray(warnings, cJSON_CreateString(advice->warnings[i]));
}

static void add_serving(cJSON *root, const struct mx_adviser *adviser, const struct mx_model_advice *model)
{
    struct mx_serving serving;
    mx_serving_plan(&serving, model, adviser->bandwidth.bytes_per_second);
    cJSON *object = cJSON_AddObjectToObject(root, "serving");
    cJSON_AddNumberToObject(object, "users", serving.users);
    cJSON_AddNumberToObject(object, "context", (double)serving.context);
    if (serving.take >= 0)
        cJSON_AddStringToObject(object, "take", mode_name(serving.rows[serving.take].mode));
    else
        cJSON_AddNullToObject(object, "take");
    cJSON *list = cJSON_AddArrayToObject(object, "modes");
    for (size_t i = 0; i < serving.count; i++) {
        const struct mx_serving_row *row = &serving.rows[i];
        cJSON *one = cJSON_CreateObject();
        cJSON_AddItemToArray(list, one);
        cJSON_AddStringToObject(one, "mode", mode_name(row->mode));
        cJSON_AddNumberToObject(one, "bytes_per_user", (double)row->user_bytes);
        add_bytes(one, "users_that_fit", row->users, row->users_known);
        add_rate(one, "user_tok_s_at_most", row->user_rate);
        add_rate(one, "all_tok_s_at_most", row->all_rate);
    }
}

/* The best calibrated plan of this model, or null. */
static void add_plan(cJSON *root, const struct mx_model_advice *model)
{
    if (!model->plan) {
        cJSON_AddNullToObject(root, "plan");
        return;
    }
    cJSON *plan = cJSON_AddObjectToObject(root, "plan");
    cJSON_AddStringToObject(plan, "name", model->plan->plan.name);
    cJSON_AddNumberToObject(plan, "bytes_per_token", model->plan->bytes_per_token);
    cJSON_AddNumberToObject(plan, "context", (double)model->plan->context);
    cJSON_AddNumberToObject(plan, "kl_mean", model->plan->kl);
    cJSON_AddStringToObject(plan, "grade", mx_grade_name(model->plan->grade));
    add_source(cJSON_AddObjectToObject(plan, "evidence"), model->plan_evidence, MX_KIN_SELF);
}

cJSON *mx_recommend_json(const struct mx_adviser *adviser, const struct mx_model_advice *model)
{
    cJSON *root = start(adviser, model);
    cJSON *advice = cJSON_AddArrayToObject(root, "advice");
    for (int range = 0; range < MX_RANGE_COUNT; range++)
        if (model->kv.lines[range].shown) add_line(advice, &model->kv.lines[range], (enum mx_range)range);
    add_plan(root, model);
    add_weights(root, model);
    add_memory(root, model);
    add_llama_cpp(root, model);
    if (adviser->flags.serve) add_serving(root, adviser, model);
    return root;
}
