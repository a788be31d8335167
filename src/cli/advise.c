/* The adviser of advise.h: machine, evidence and flags make a request. Printing: recommend.c, inspect.c,
 * advise_json.c. */
#include "cli/advise.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/file.h"
#include "base/units.h"
#include "cli/output.h"
#include "cli/table.h"
#include "records/store.h"

static mx_status add_default(struct mx_evidence_set *set, struct mx_error *err)
{
    char path[PATH_MAX];
    struct mx_error ignored;
    MX_TRY(mx_evidence_add_shipped(set, err));
    if (mx_store_path(path, sizeof path, &ignored) != MX_OK || faccessat(AT_FDCWD, path, F_OK, 0) != 0) return MX_OK;
    return mx_evidence_add(set, path, err);
}

mx_status mx_evidence_open(struct mx_evidence_set *set, const char *given, const struct mx_cli *cli,
                           struct mx_error *err)
{
    *set = (struct mx_evidence_set){0};
    const mx_status status = given ? mx_evidence_add(set, given, err) : add_default(set, err);
    for (size_t i = 0; status == MX_OK && i < set->ignored_count && i < MX_EVIDENCE_IGNORED; i++)
        mx_print_note(cli, "evidence left out: %s", set->ignored[i]);
    if (status == MX_OK && set->ignored_count > MX_EVIDENCE_IGNORED)
        mx_print_note(cli, "evidence left out: %zu files more", set->ignored_count - MX_EVIDENCE_IGNORED);
    if (status != MX_OK) mx_evidence_close(set);
    return status;
}

static mx_status open_evidence(struct mx_adviser *adviser, struct mx_error *err)
{
    const char *given = adviser->flags.evidence;
    if (given && !strcmp(given, "none")) return MX_OK;
    MX_TRY(mx_evidence_open(&adviser->evidence, given, adviser->cli, err));
    adviser->request.evidence = &adviser->evidence;
    return MX_OK;
}

mx_status mx_adviser_open(struct mx_adviser *adviser, const struct mx_cli *cli, const struct mx_advise_flags *flags,
                          struct mx_error *err)
{
    *adviser = (struct mx_adviser){.cli = cli, .flags = *flags};
    mx_machine_probe(&adviser->machine);
    adviser->request = (struct mx_advise_request){
        .machine = &adviser->machine,
        .context = (uint64_t)flags->context,
        .batch = (uint32_t)flags->batch,
        .threads = (int)flags->threads,
        .budget = flags->budget,
        .rules = (enum mx_rules)flags->rules,
        .prefer_memory = flags->prefer == 1,
        .bar = flags->quality ? mx_grade_find(flags->quality) : MX_GRADE_HIGH,
    };
    if (adviser->request.bar == MX_GRADE_NONE)
        return mx_fail(err, MX_ERR_ARGUMENT, "\"%.40s\" is not a grade; --quality is near-lossless, high or acceptable",
                       flags->quality);
    MX_TRY(mx_kv_flags_refuse_advised(&flags->kv, "what is advised is what comes out here; leave it out", err));
    MX_TRY(mx_kv_flags_read(&adviser->request.kv, &flags->kv, cli, err));
    if (flags->bandwidth)
        adviser->bandwidth = (struct mx_bandwidth){(double)flags->bandwidth, "given"};
    else
        MX_TRY(mx_bandwidth_of(&adviser->bandwidth, &adviser->machine, flags->measure, cli, err));
    adviser->request.bandwidth = adviser->bandwidth.bytes_per_second;
    return open_evidence(adviser, err);
}

void mx_adviser_close(struct mx_adviser *adviser)
{
    mx_evidence_close(&adviser->evidence);
}

const char *mx_remedy_text(const struct mx_remedy *remedy, char buffer[256])
{
    char count[32], bytes[16];
    const char *mode = mx_mode_info(remedy->mode)->name;
    buffer[0] = '\0';
    switch (remedy->kind) {
    case MX_REMEDY_NONE: break;
    case MX_REMEDY_MODE:
        snprintf(buffer, 256, "--kv-cache-mode %s makes %s tokens fit", mode, mx_format_count(remedy->context, count));
        break;
    case MX_REMEDY_CONTEXT:
        snprintf(buffer, 256, "no mode makes the context fit; at most --ctx %llu fits, with --kv-cache-mode %s",
                 (unsigned long long)remedy->context, mode);
        break;
    case MX_REMEDY_WEIGHTS:
        snprintf(buffer, 256, "no context fits: the weights and the program alone take %s; use smaller weights",
                 mx_format_bytes(remedy->fixed, bytes));
        break;
    }
    return buffer;
}

mx_status mx_check_memory(const struct mx_cli *cli, const char *path, uint64_t context, const struct mx_kv_options *kv,
                          struct mx_error *err)
{
    struct mx_machine machine;
    struct mx_model_advice advice;
    char text[256], need[16], have[16], missing[16], count[32];
    mx_machine_probe(&machine);
    struct mx_evidence_set evidence;
    MX_TRY(mx_evidence_open(&evidence, NULL, cli, err));
    const struct mx_advise_request request = {
        .machine = &machine, .context = context, .batch = 1, .kv = *kv, .evidence = &evidence};
    const mx_status checked = mx_model_check(&advice, path, &request, err);
    mx_evidence_close(&evidence);
    MX_TRY(checked);
    const struct mx_estimate *estimate = &advice.estimate;
    mx_status status = MX_OK;
    if (estimate->fits == MX_FIT_NO)
        status = mx_fail(err, MX_ERR_LIMIT,
                         "%s needs %s with %s tokens, %s more than the %s available; %s (--force loads "
                         "it anyway)",
                         advice.subject.name, mx_format_bytes(estimate->total, need),
                         mx_format_count(advice.request.context, count), mx_format_bytes(estimate->missing, missing),
                         mx_format_bytes(machine.available, have), mx_remedy_text(&advice.remedy, text));
    mx_model_advice_close(&advice);
    return status;
}

/* One kind of layer and how many there are. */
static void count_layers(struct mx_str *text, uint32_t count, const char *what)
{
    if (count) mx_str_printf(text, "%s%u %s", text->length ? ", " : "", count, what);
}

struct span {
    uint32_t least, most;
};

static void widen(struct span *span, uint32_t value)
{
    if (!span->most || value < span->least) span->least = value;
    if (value > span->most) span->most = value;
}

static const char *span_text(struct span span, char buffer[32])
{
    if (span.least == span.most)
        snprintf(buffer, 32, "%u", span.most);
    else
        snprintf(buffer, 32, "%u to %u", span.least, span.most);
    return buffer;
}

/* The heads of the layers that keep a cache of their own: ranges where the layers differ. */
static void tell_heads(struct mx_str *text, const struct mx_arch *arch)
{
    struct span heads = {0}, kv_heads = {0}, head_dim = {0};
    struct mx_kv_shape latent = {0};
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        if (!mx_layer_owns_cache(&arch->layers[i])) continue;
        const struct mx_kv_shape shape = mx_layer_kv_shape(&arch->layers[i]);
        if (shape.attention == MX_ATTENTION_LATENT) {
            latent = shape;
            continue;
        }
        widen(&heads, shape.heads);
        widen(&kv_heads, shape.kv_heads);
        widen(&head_dim, shape.k_dim);
    }
    if (latent.heads)
        mx_str_printf(text, "; %u heads, a latent of %u and %u rotary numbers", latent.heads, latent.v_dim,
                      latent.k_dim);
    if (!heads.most) return;
    char query[32], kept[32], wide[32];
    mx_str_printf(text, "; %s heads, %s of K and V, head dimension %s", span_text(heads, query),
                  span_text(kv_heads, kept), span_text(head_dim, wide));
}

const char *mx_layers_text(const struct mx_arch *arch, char buffer[256])
{
    uint32_t full = 0, sliding = 0, chunked = 0, latent = 0, shared = 0, window = 0, compressed = 0;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        const struct mx_layer *layer = &arch->layers[i];
        full += layer->attention.kind == MX_ATTENTION_FULL;
        sliding += layer->attention.kind == MX_ATTENTION_SLIDING;
        chunked += layer->attention.kind == MX_ATTENTION_CHUNKED;
        latent += layer->attention.kind == MX_ATTENTION_LATENT;
        shared += mx_layer_attends(layer) && layer->attention.shares_cache_of >= 0;
        compressed += layer->attention.compress != 0;
        if (layer->attention.window > window) window = layer->attention.window;
    }
    struct mx_str text = {0};
    char windowed[64], count[32];
    count_layers(&text, full, "full attention");
    snprintf(windowed, sizeof windowed, "sliding (window %s)", mx_format_count(window, count));
    count_layers(&text, sliding, windowed);
    snprintf(windowed, sizeof windowed, "chunked (%s tokens)", mx_format_count(window, count));
    count_layers(&text, chunked, windowed);
    count_layers(&text, latent, "latent attention");
    count_layers(&text, mx_arch_recurrent_layers(arch), "recurrent");
    count_layers(&text, compressed, "of them with compressed entries of all that is before");
    count_layers(&text, shared, "of them sharing another's cache");
    tell_heads(&text, arch);
    snprintf(buffer, 256, "%s", mx_str_text(&text));
    if (mx_str_failed(&text)) mx_output_lost();
    mx_str_free(&text);
    return buffer;
}

const char *mx_shell_path(const char *path, char *buffer, size_t size)
{
    static const char config[] = "/config.json";
    size_t length = strlen(path);
    if (length > sizeof config - 1 && !strcmp(path + length - (sizeof config - 1), config)) length -= sizeof config - 1;
    const char *plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
    char cleaned[1024];
    const bool quotable = !memchr(path, '\'', length) && !strcmp(mx_clean_copy(cleaned, sizeof cleaned, path), path);
    const bool bare = length && strspn(path, plain) >= length;
    if ((!bare && !quotable) || length + 3 > size)
        snprintf(buffer, size, "DIR");
    else if (bare)
        snprintf(buffer, size, "%.*s", (int)length, path);
    else
        snprintf(buffer, size, "'%.*s'", (int)length, path);
    return buffer;
}

const char *mx_try_command(const struct mx_model_advice *advice, enum mx_mode mode, char *buffer, size_t size)
{
    char path[512];
    const bool weights = advice->subject.weights_here;
    snprintf(buffer, size, "mlxcel bench -m %s --depth %llu --modes %s%s",
             weights ? mx_shell_path(advice->subject.place.folder, path, sizeof path) : "DIR",
             (unsigned long long)advice->request.context, mode == MX_MODE_FP16 ? "" : "fp16,",
             mx_mode_info(mode)->name);
    return buffer;
}

/* "7.34 M", "671 B" */
static const char *parameters_text(uint64_t count, char buffer[32])
{
    const bool billions = count >= 999500000;
    snprintf(buffer, 32, "%.3g %s", (double)count / (billions ? 1e9 : 1e6), billions ? "B" : "M");
    return buffer;
}

static void print_line(const char *name, const char *text)
{
    printf("  %-9s", name);
    mx_print_wrapped(text, 11, 100);
}

static void print_str(const char *name, const struct mx_str *text)
{
    if (mx_str_failed(text)) mx_output_lost();
    print_line(name, mx_str_text(text));
}

const char *mx_kind_text(const struct mx_arch *arch)
{
    switch (arch->kind) {
    case MX_KIND_DECODER:
        return arch->class_ == MX_CLASS_OTHER ? "a window and compressed entries" : mx_class_name(arch->class_);
    case MX_KIND_ENCODER: return "an encoder: it reads a text at once and keeps no KV cache";
    case MX_KIND_ENCODER_DECODER: return "an encoder and a decoder, which attends to the source as well";
    case MX_KIND_DIFFUSION:
        return "a diffusion model: it refines all of its output at once and keeps no KV cache by default";
    case MX_KIND_OTHER: return "no model that writes text";
    }
    return "";
}

/* Names of fields that nobody read, as many as fit. */
static void print_unread(const struct mx_arch *arch)
{
    enum { TOLD = 6 };
    struct mx_str text = {0};
    if (!arch->unread_count) return;
    for (uint32_t i = 0; i < arch->unread_count && i < TOLD; i++)
        mx_str_printf(&text, "%s%s", i ? ", " : "", arch->unread[i]);
    if (arch->unread_count > TOLD) mx_str_printf(&text, " and %u more", arch->unread_count - TOLD);
    mx_str_printf(&text, ": in the config and not known here%s",
                  arch->uncertain ? "; the figures that they may change are uncertain" : "");
    print_line("Unread", mx_str_text(&text));
    mx_str_free(&text);
}

void mx_print_model_lines(const struct mx_adviser *adviser, const struct mx_model_advice *advice)
{
    const struct mx_subject *subject = &advice->subject;
    const struct mx_arch *arch = &subject->arch;
    char one[160], two[96], layers[256], bytes[16], total[16];
    struct mx_str text = {0};

    mx_str_printf(&text, "%s%s%s%s, %s", arch->outer_type, arch->outer_type[0] ? " with " : "", arch->model_type,
                  arch->known ? "" : " (not in the table: classified by its fields)", mx_kind_text(arch));
    if (arch->max_context) mx_str_printf(&text, ", made for %s tokens", mx_format_count(arch->max_context, two));
    mx_str_puts(&text, arch->runnable ? "" : "; the engine does not run it");
    print_str("Model", &text);
    print_line("Layers", mx_layers_text(arch, layers));

    mx_str_clear(&text);
    if (subject->basis == MX_BASIS_UNKNOWN)
        mx_str_printf(&text, "unknown: %s", subject->weights_from);
    else
        mx_str_printf(&text, "%s, %s (%s)", mx_format_bytes(subject->weights, bytes), mx_basis_name(subject->basis),
                      subject->weights_from);
    if (subject->basis == MX_BASIS_EXACT && subject->count)
        mx_str_printf(&text, "; %s parameters, %s", parameters_text(subject->count, one),
                      mx_subject_storage(subject, two));
    if (arch->experts.count && subject->parameters.active)
        mx_str_printf(&text, "; a token reads %u of %u experts, %s parameters", arch->experts.used, arch->experts.count,
                      parameters_text(subject->parameters.active, one));
    print_str("Weights", &text);

    mx_str_clear(&text);
    const struct mx_machine *machine = &adviser->machine;
    mx_str_printf(&text, "%s, %u core%s; %s", machine->cpu, machine->cores, machine->cores == 1 ? "" : "s",
                  mx_isa_text(machine->isa, one));
    if (adviser->bandwidth.bytes_per_second > 0)
        mx_str_printf(&text, "; reads %.3g GB/s (%s)", adviser->bandwidth.bytes_per_second / 1e9,
                      adviser->bandwidth.from);
    print_str("Machine", &text);

    mx_str_clear(&text);
    if (adviser->flags.budget)
        mx_str_printf(&text, "a budget of %s", mx_format_bytes(advice->request.available, bytes));
    else if (advice->request.available)
        mx_str_printf(&text, "%s available of %s (%s)", mx_format_bytes(advice->request.available, bytes),
                      mx_format_bytes(machine->memory_total, total), machine->memory_source);
    else
        mx_str_puts(&text, "unknown; --budget 8GB says what to plan for");
    print_str("Memory", &text);
    print_unread(arch);
    for (int i = 0; i < subject->note_count; i++) print_line("Note", subject->notes[i]);
    mx_str_free(&text);
}
