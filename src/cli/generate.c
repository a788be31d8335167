/* `mlxcel generate`: text out of a prompt. With --recommend-quant it advises instead, without loading weights. */
#include "engine/generate.h"

#include <string.h>
#include <unistd.h>

#include "base/units.h"
#include "cli/advise.h"
#include "cli/chat_flags.h"
#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/form_flags.h"
#include "cli/kv_flags.h"
#include "cli/output.h"
#include "cli/sampler_flags.h"
#include "engine/usage.h"

struct options {
    struct mx_engine_flags engine;
    const char *prompt, *file, *save_cache, *load_cache;
    int64_t tokens, context;
    struct mx_sampler_flags sampler;
    bool stats, json, recommend, estimate, force;
    struct mx_chat_flags chat;
    struct mx_form_flags form;
    struct mx_kv_flags kv;
};
static const struct options defaults = {.tokens = 256, .sampler = MX_SAMPLER_FLAGS_DEFAULT, .kv = MX_KV_FLAGS_DEFAULT};

static const struct mx_flag flags[] = {
    {"prompt", 'p', MX_FLAG_TEXT, "TEXT", "the prompt (or -f, or standard input)", offsetof(struct options, prompt)},
    {"file", 'f', MX_FLAG_PATH, "FILE", "a file that holds the prompt (-: standard input)",
     offsetof(struct options, file)},
    {"tokens", 'n', MX_FLAG_WHOLE, "N", "stop after N new tokens (default 256)", offsetof(struct options, tokens), 0,
     1 << 24},
    {"ctx", 'c', MX_FLAG_WHOLE, "N", "context size in tokens (default: what the prompt and -n need)",
     offsetof(struct options, context), 1, MX_ARCH_MAX_CONTEXT},
    MX_SAMPLER_FLAG_ROWS(struct options, sampler),
    MX_CHAT_FLAG_ROWS(struct options, chat),
    MX_FORM_FLAG_ROWS(struct options, form),
    {"stats", 0, MX_FLAG_SWITCH, NULL, "print times, speeds and memory on stderr", offsetof(struct options, stats)},
    {"json", 0, MX_FLAG_SWITCH, NULL, "print JSON at the end, and nothing before", offsetof(struct options, json)},
    {"save-cache", 0, MX_FLAG_PATH, "FILE", "save the KV cache, so that the prompt is free next time",
     offsetof(struct options, save_cache)},
    {"load-cache", 0, MX_FLAG_PATH, "FILE", "start from a saved cache", offsetof(struct options, load_cache)},
    {"recommend-quant", 0, MX_FLAG_SWITCH, NULL, "print advice for this model and exit",
     offsetof(struct options, recommend)},
    {"estimate-memory", 0, MX_FLAG_SWITCH, NULL, "refuse to load a model that does not fit",
     offsetof(struct options, estimate)},
    {"force", 0, MX_FLAG_SWITCH, NULL, "load it anyway", offsetof(struct options, force)},
    MX_ENGINE_FLAG_ROWS(struct options, engine),
    MX_KV_FLAG_ROWS(struct options, kv),
    {0},
};

/* What a run holds, so that one place frees it. */
struct job {
    struct mx_cli *cli;
    const struct options *options;
    struct mx_session *session;
    struct mx_kv_options kv;
    struct mx_conversation conversation; /* with --chat */
    struct mx_constraint *form;          /* NULL: any */
    struct mx_ids prompt;
    struct mx_generation generation;
    bool shown;   /* some text came out */
    bool unheard; /* some did not: the disk is full, or whoever read it is gone */
    struct mx_error *err;
};

/* --- the prompt --- */

static mx_status read_prompt(struct job *job, struct mx_str *text)
{
    const struct options *options = job->options;
    MX_TRY(mx_chat_flags_check(&options->chat, options->prompt || options->file, job->err));
    if (options->chat.messages) return MX_OK;
    if (options->prompt && options->file) {
        return mx_fail(job->err, MX_ERR_ARGUMENT, "give the prompt with -p or with -f, not both");
    }
    if (!options->prompt && !options->file && isatty(STDIN_FILENO)) {
        return mx_fail(job->err, MX_ERR_ARGUMENT, "no prompt: give -p TEXT or -f FILE, or pipe it in");
    }
    if (!options->prompt) return mx_read_text(options->file, text, job->err);
    mx_str_puts(text, options->prompt);
    return mx_str_failed(text) ? mx_fail_memory(job->err, "the prompt", strlen(options->prompt)) : MX_OK;
}

static mx_status encode_prompt(struct job *job, const struct mx_str *text)
{
    const struct options *options = job->options;
    const struct mx_tokenizer *tokenizer = mx_session_tokenizer(job->session);
    if (!options->chat.chat) {
        return mx_tokenizer_encode(tokenizer, mx_str_text(text), text->length, true, &job->prompt, job->err);
    }
    struct mx_str rendered = {0};
    const char *template = options->chat.template;
    if (template) MX_TRY(mx_session_use_template(job->session, template, job->err));
    mx_status status =
        mx_conversation_render(job->cli, &job->conversation, mx_session_chat(job->session), &rendered, job->err);
    if (status == MX_OK) {
        status = mx_tokenizer_encode(tokenizer, mx_str_text(&rendered), rendered.length, false, &job->prompt, job->err);
    }
    mx_str_free(&rendered);
    return status;
}

/* --- the cache --- */

/* The context that was asked for, or what prompt and -n need, within what the model was trained for. */
static mx_status begin(struct job *job)
{
    const struct options *options = job->options;
    const struct mx_arch *arch = mx_session_arch(job->session);
    const uint32_t marks = options->save_cache || options->load_cache ? 2 : 0; /* else nobody goes back */
    struct mx_session_begin begin = {
        .context = (uint64_t)options->context, .marks = marks, .kv = job->kv, .force = options->force};
    if (!begin.context) {
        begin.context = job->prompt.count + (uint64_t)options->tokens;
        if (arch->max_context && begin.context > arch->max_context) begin.context = arch->max_context;
    }
    if (arch->max_context && begin.context > arch->max_context) {
        mx_print_note(job->cli, "--ctx %llu is beyond the %u tokens that the model was made for",
                      (unsigned long long)begin.context, arch->max_context);
    }
    if (job->prompt.count > begin.context) {
        return mx_fail(job->err, MX_ERR_LIMIT, "the prompt has %zu tokens, the context holds %llu; %s",
                       job->prompt.count, (unsigned long long)begin.context,
                       options->context ? "raise --ctx" : "shorten it, or give --ctx to go beyond");
    }
    MX_TRY(mx_kv_flags_advise(&begin.kv, &options->kv, job->cli, &options->engine, begin.context, job->err));
    MX_TRY(mx_session_begin(job->session, &begin, job->err));
    mx_note_kv_setup(job->cli, mx_sequence_setup(mx_session_sequence(job->session)));
    return options->load_cache ? mx_session_load(job->session, options->load_cache, job->err) : MX_OK;
}

/* --- results --- */

static void show(void *context, const char *text, size_t length)
{
    struct job *job = context;
    if (!job->shown) mx_progress_bar_end();
    job->shown = true;
    fwrite(text, 1, length, stdout);
    if (mx_output_flush()) return;
    job->unheard = true;
    atomic_store(job->cli->interrupted, true);
}

/* "12.0 of 128 a layer in prefill, 8.0 in decode (1,234 read)" */
static void print_experts(const struct mx_generation *generation, uint32_t count)
{
    const struct mx_experts_use prefill = generation->prefill_experts, decode = generation->decode_experts;
    char all[32];
    fprintf(stderr, "experts   ");
    if (prefill.layers)
        fprintf(stderr, "%.1f of %u a layer in prefill", (double)prefill.read / (double)prefill.layers, count);
    if (decode.layers)
        fprintf(stderr, "%s%.1f of %u in decode", prefill.layers ? ", " : "",
                (double)decode.read / (double)decode.layers, count);
    fprintf(stderr, " (%s read)\n", mx_format_count(prefill.read + decode.read, all));
}

static void print_stats(const struct job *job)
{
    const struct mx_generation *generation = &job->generation;
    const struct mx_sequence *sequence = mx_session_sequence(job->session);
    char bytes[16], mode[96];
    fprintf(stderr, "load      %.3f s\n", mx_session_load_seconds(job->session));
    fprintf(stderr, "prefill   %zu tokens, %.1f tok/s", generation->prompt_tokens - generation->reused_tokens,
            generation->prefill_tok_s);
    if (generation->reused_tokens) fprintf(stderr, " (%zu more were in the cache)", generation->reused_tokens);
    fprintf(stderr, "\ndecode    %zu tokens, %.1f tok/s (ended by: %s)\n", generation->tokens.count,
            generation->decode_tok_s, mx_finish_name(generation->finish));
    const struct mx_arch *arch = mx_session_arch(job->session);
    if (generation->prefill_experts.layers + generation->decode_experts.layers)
        print_experts(generation, arch->experts.count);
    fprintf(stderr, "KV cache  %s, %s\n", mx_format_bytes(mx_session_cache_bytes(job->session), bytes),
            mx_kv_setup_text(mx_sequence_setup(sequence), mode));
    if (mx_session_state_bytes(job->session))
        fprintf(stderr, "state     %s\n", mx_format_bytes(mx_session_state_bytes(job->session), bytes));
    fprintf(stderr, "memory    %s resident\n", mx_format_bytes(mx_resident_bytes(), bytes));
}

static cJSON *make_json(const struct job *job)
{
    const struct mx_generation *generation = &job->generation;
    const struct mx_sequence *sequence = mx_session_sequence(job->session);
    const struct mx_kv_setup *setup = mx_sequence_setup(sequence);
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "text", mx_str_text(&generation->text));
    cJSON_AddItemToObject(root, "tokens", cJSON_CreateIntArray(generation->tokens.data, (int)generation->tokens.count));
    cJSON_AddStringToObject(root, "finish", mx_finish_name(generation->finish));
    cJSON_AddStringToObject(root, "kv_cache_mode", mx_mode_info(setup->mode)->name);
    cJSON_AddStringToObject(root, "requested_kv_cache_mode", mx_mode_info(setup->requested)->name);
    cJSON *stats = cJSON_AddObjectToObject(root, "stats");
    cJSON_AddNumberToObject(stats, "load_s", mx_session_load_seconds(job->session));
    cJSON_AddNumberToObject(stats, "prompt_tokens", (double)generation->prompt_tokens);
    cJSON_AddNumberToObject(stats, "reused_tokens", (double)generation->reused_tokens);
    cJSON_AddNumberToObject(stats, "prefill_tok_s", generation->prefill_tok_s);
    cJSON_AddNumberToObject(stats, "decode_tok_s", generation->decode_tok_s);
    const struct mx_experts_use *prefill = &generation->prefill_experts, *decode = &generation->decode_experts;
    if (prefill->layers + decode->layers) {
        cJSON_AddNumberToObject(stats, "prefill_experts_read", (double)prefill->read);
        cJSON_AddNumberToObject(stats, "prefill_expert_layers", (double)prefill->layers);
        cJSON_AddNumberToObject(stats, "decode_experts_read", (double)decode->read);
        cJSON_AddNumberToObject(stats, "decode_expert_layers", (double)decode->layers);
    }
    cJSON_AddNumberToObject(stats, "cache_bytes", (double)mx_session_cache_bytes(job->session));
    cJSON_AddNumberToObject(stats, "state_bytes", (double)mx_session_state_bytes(job->session));
    cJSON_AddStringToObject(stats, "kv_cache_mode", mx_mode_info(setup->mode)->name);
    cJSON_AddStringToObject(stats, "requested_kv_cache_mode", mx_mode_info(setup->requested)->name);
    cJSON_AddNumberToObject(stats, "applied_layers", setup->applied_layers);
    cJSON_AddNumberToObject(stats, "cache_layers", setup->cache_layers);
    cJSON_AddNumberToObject(stats, "resident_bytes", (double)mx_resident_bytes());
    return root;
}

static mx_status generate(struct job *job)
{
    const struct options *options = job->options;
    struct mx_generate_options generate = mx_reply_options(&options->sampler, options->tokens);
    generate.text = options->json ? NULL : show;
    generate.constraint = job->form;
    generate.again = options->save_cache != NULL;
    generate.context = job;
    const struct mx_progress progress = mx_progress_bar(job->cli);
    MX_TRY(mx_generate(job->session, job->prompt.data, job->prompt.count, &generate, &progress, &job->generation,
                       job->err));
    if (job->unheard) return MX_OK;                      /* mx_output_end says why */
    cJSON *json = options->json ? make_json(job) : NULL; /* before the cache is kept: what fails leaves nothing */
    mx_status status = mx_output_was_lost() ? mx_fail_memory(job->err, "the JSON output", 0) : MX_OK;
    if (status == MX_OK && options->save_cache) {
        status = mx_session_save(job->session, options->save_cache, job->err);
    }
    if (status != MX_OK) {
        cJSON_Delete(json);
        return status;
    }
    if (options->json) {
        MX_TRY(mx_print_json(json, job->err));
    } else {
        putchar('\n');
        mx_output_flush();
    }
    /* Ctrl-C ends the text, and then the reader wants to know how far it came. */
    const bool interrupted = job->generation.finish == MX_FINISH_INTERRUPTED;
    if (options->stats || interrupted) print_stats(job);
    if (!interrupted) return MX_OK;
    return mx_fail(job->err, MX_ERR_INTERRUPTED, "interrupted after %zu tokens", job->generation.tokens.count);
}

static mx_status run_job(struct job *job)
{
    struct mx_str text = {0};
    mx_status status = read_prompt(job, &text);
    if (status == MX_OK && job->options->chat.chat)
        status = mx_conversation_read(&job->conversation, &job->options->chat, &text, job->err);
    if (status == MX_OK) status = mx_engine_open(&job->session, job->cli, &job->options->engine, true, job->err);
    if (status == MX_OK) status = mx_form_flags_open(&job->form, &job->options->form, job->session, job->err);
    if (status == MX_OK) status = encode_prompt(job, &text);
    mx_str_free(&text);
    MX_TRY(status);
    MX_TRY(begin(job));
    return generate(job);
}

/* --recommend-quant, --estimate-memory: what is done before anything is loaded. */
static mx_status advise(struct job *job, bool *done)
{
    const struct options *options = job->options;
    if (!options->recommend && !options->estimate) return MX_OK;
    char buffer[4096];
    const char *folder = options->engine.model; /* also what can be advised on only: a .gguf, a config alone */
    if (!folder) MX_TRY(mx_model_folder(&options->engine, buffer, sizeof buffer, &folder, job->err));
    if (options->recommend) {
        *done = true;
        struct mx_advise_flags advice = MX_ADVISE_FLAGS_DEFAULT;
        advice.context = options->context;
        advice.json = options->json;
        advice.kv = options->kv;
        return mx_recommend(job->cli, &advice, (char *const[]){(char *)folder}, 1, job->err);
    }
    if (options->force) return MX_OK;
    return mx_check_memory(job->cli, folder, (uint64_t)options->context, &job->kv, job->err);
}

static mx_status run(struct mx_cli *cli, const void *given, struct mx_error *err)
{
    struct job job = {.cli = cli, .options = given, .err = err};
    MX_TRY(mx_kv_flags_read(&job.kv, &job.options->kv, cli, err));
    bool done = false;
    mx_status status = advise(&job, &done);
    if (status == MX_OK && !done) status = run_job(&job);
    mx_generation_free(&job.generation);
    mx_ids_free(&job.prompt);
    mx_constraint_close(job.form);
    mx_conversation_free(&job.conversation);
    mx_session_close(job.session);
    return status;
}

const struct mx_command mx_command_generate = {
    .name = "generate",
    .summary = "continue a prompt",
    .flags = flags,
    .examples = {"mlxcel generate -p \"The file system\" -n 64 --stats",
                 "mlxcel generate -m DIR --chat -f question.txt --kv-cache-mode int8+turbo4"},
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .run = run,
};
